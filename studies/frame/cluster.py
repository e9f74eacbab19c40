"""Tasks spread over the workers of a Dask cluster.

A task goes out as shards of its images, which are simulated where there is room, and one more step
that merges them, writes the tables in a temporary folder and returns the files. The client, this
process, puts finished folders into the result as they come. A worker that dies is replaced by the
others: Dask gives them what it had.

What a task needs is pickled here and opened by the workers, large arrays apart, each sent once,
whatever the number of tasks that share it.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import uuid
import warnings
from asyncio import CancelledError
from collections.abc import Iterator, Sequence
from concurrent import futures
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import distributed
from ann2brian.studies.frame import console, remote
from ann2brian.studies.frame.remote import About, Packed
from ann2brian.studies.frame.result_folder import ResultFolder
from ann2brian.studies.frame.task import Task, shards
from distributed.scheduler import KilledWorker

# Fixed, so that parts, and what might depend on them, are equal for any number of workers. Smaller
# ones would spread better, but each generates its code anew, which takes a second or two.
IMAGES_PER_SHARD = 250
LARGE = 2**16  # bytes of an array that is sent apart
CONNECT_S = 20


class Lost(RuntimeError):
    """The cluster, or all that it could do; the message says how to go on."""


def compute(folder: ResultFolder, tasks: Sequence[Task], scheduler: str) -> None:
    """Let the workers of a scheduler do the tasks; finished ones come into the folder at once.

    Parameters
    ----------
    folder : ResultFolder
        Where they are written.
    tasks : sequence of Task
        None of them finished.
    scheduler : str
        Its address, ``tcp://host:port``.

    Raises
    ------
    RuntimeError
        If the scheduler is not there, a worker has other code or several threads, or workers die
        one after the other over one task; the message says which, and what to do.
    """
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise RuntimeError(
            f"--scheduler {scheduler}: no Dask scheduler answers there ({error}); start one with "
            "`dask scheduler`, see docs/many-machines.md"
        ) from None
    with client:
        _require_sound_workers(client)
        client.register_plugin(remote.MainThread())
        done = {task.name: 0 for task in tasks}
        with console.progress(_title(tasks), sum(task.n_images for task in tasks)) as report:
            for name, n_images, files in _finished(client, tasks, scheduler):
                done[name] += n_images
                report(sum(done.values()), 0)
                if files is not None:
                    folder.condition(name, partial(_unpack_files, files))


def _title(tasks: Sequence[Task]) -> str:
    return (tasks[0].title or tasks[0].name) if len(tasks) == 1 else f"{len(tasks)} conditions"


def _finished(
    client: distributed.Client, tasks: Sequence[Task], scheduler: str
) -> Iterator[tuple[str, int, dict[str, bytes] | None]]:
    """Name, images and files of what is finished: shards, which have no files, and whole tasks."""
    about: dict[str, tuple[Task, int]] = {}
    waiting: list[Any] = []
    for task in tasks:
        for future, n_images in _submitted(client, task):
            about[future.key] = task, n_images
            waiting.append(future)
    queue = distributed.as_completed(waiting, loop=client.loop)
    waiting.clear()
    for future in queue:
        task, n_images = about[future.key]
        try:
            if n_images and future.status == "finished":
                yield task.name, n_images, None
            else:
                yield task.name, 0, future.result()
        except KilledWorker as error:
            raise Lost(
                f"{task.title or task.name}: workers died one after the other while they ran it "
                f"(last {error.last_worker.address}), perhaps for want of memory; give them more "
                "of it, or run with a smaller --batch. The same command continues"
            ) from None
        except (CancelledError, futures.CancelledError):
            raise Lost(
                f"the scheduler at {scheduler} was lost; start it and its workers again. The same "
                "command continues"
            ) from None
        del future  # so that the workers need not keep a shard that is merged


def _submitted(client: distributed.Client, task: Task) -> list[tuple[Any, int]]:
    """Futures of a task, and the images of each: its shards, and last what merges and writes."""
    own = f"{task.name}-{uuid.uuid4().hex}"
    expected = remote.environment()
    simulate = _packed(client, task.simulate)
    parts = [
        (
            client.submit(
                remote.simulated,
                expected,
                *simulate,
                start,
                stop,
                key=f"simulate-{own}-{start}",
            ),
            stop - start,
        )
        for start, stop in shards(task.n_images, IMAGES_PER_SHARD)
    ]
    write = _packed(client, task.write)
    tables = client.submit(
        remote.written,
        expected,
        *write,
        [future for future, _ in parts],
        key=f"write-{own}",
    )
    return [*parts, (tables, 0)]


def _packed(client: distributed.Client, value: Any) -> Packed:
    """Pickle a value; its large arrays become work of their own, which no dying worker can lose."""
    found: list[pickle.PickleBuffer] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < LARGE:
            return True
        found.append(buffer)
        return False

    head = cloudpickle.dumps(value, protocol=5, buffer_callback=is_small)
    buffers = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        for one in found:
            data = one.raw().tobytes()
            key = f"array-{hashlib.sha256(data).hexdigest()}"
            buffers.append(client.submit(remote.held, data, key=key))
    return Packed(head, buffers)


def _unpack_files(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _require_sound_workers(client: distributed.Client) -> None:
    """Refuse workers that would give another result, or none."""
    workers = client.run(remote.about, on_error="return")
    if not workers:
        print(f"waiting for workers; see {client.dashboard_link}", file=sys.stderr)
    for address, about in workers.items():
        if isinstance(about, OSError):
            continue  # it has just gone
        if not isinstance(about, About):
            raise RuntimeError(
                f"worker {address} cannot load this project ({about}); "
                "start it in a checkout of the same commit, see docs/many-machines.md"
            )
        remote.require_same(about.name, about.environment, remote.environment())
        if about.n_threads > 1:
            raise RuntimeError(
                f"worker {about.name} has {about.n_threads} threads, but a process can run one "
                "simulation at a time; start it with --nthreads 1, and as many as there are cores "
                "with --nworkers"
            )
