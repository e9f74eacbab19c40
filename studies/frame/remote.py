"""What the workers of a cluster do for a study.

The scheduler opens what it is sent far enough to know these functions, and in a thread where Brian2
cannot be imported: this file imports little.
"""

from __future__ import annotations

import pickle
import platform
import tempfile
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from ann2brian.models.spiking.merging import merged
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame.provenance import source_digest
from distributed import WorkerPlugin, get_worker

# Of the code as it is now: a worker that lives on when its files change has the old code.
DIGEST = source_digest()[:16]

_one_at_a_time = threading.Lock()  # Brian2's device and preferences are those of a process


class Packed(NamedTuple):
    """A pickled value, and where its large arrays are."""

    head: bytes
    buffers: list[Any]  # futures for the client, bytes at a worker


class About(NamedTuple):
    """What a worker says of itself."""

    name: str
    n_threads: int
    environment: dict[str, str]


class MainThread(WorkerPlugin):
    """Imports Brian2 where it can be: it sets a signal handler, and work is done in a thread."""

    name = "ann2brian"

    def setup(self, worker: Any) -> None:
        """Called by every worker, also by those that come later."""
        import brian2  # noqa: F401


def environment() -> dict[str, str]:
    """What must be equal where one result is computed."""
    return {
        "source digest": DIGEST,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{package: version(package) for package in ("brian2", "numpy", "scipy", "pandas")},
    }


def about(dask_worker: Any) -> About:
    """What a worker says of itself; Dask hands it in."""
    return About(str(dask_worker.name), dask_worker.state.nthreads, environment())


def require_same(worker: str, found: dict[str, str], expected: dict[str, str]) -> None:
    """Refuse a worker of another environment.

    Raises
    ------
    RuntimeError
        The message names the worker and what differs.
    """
    for what, value in expected.items():
        if found.get(what) != value:
            raise RuntimeError(
                f"worker {worker} has {what} {found.get(what)}, this machine {value}; give both "
                "the same commit and packages, and start the worker again"
            )


def held(data: bytes) -> bytes:
    """An array that tasks share."""
    return data


def simulated(
    expected: dict[str, str], head: bytes, buffers: list[bytes], start: int, stop: int
) -> Recording:
    """Recording of a shard.

    Parameters
    ----------
    expected : dict of str to str
        Environment of the client.
    head, buffers : bytes, list of bytes
        Of what simulates, see :class:`Packed`.
    start, stop : int
        Images.
    """
    _require_same_here(expected)
    with _one_at_a_time:
        recording: Recording = _opened(head, buffers)(start, stop)
    return recording


def written(
    expected: dict[str, str], head: bytes, buffers: list[bytes], parts: list[Recording]
) -> dict[str, bytes]:
    """What is written of all shards: contents by name.

    Parameters
    ----------
    expected : dict of str to str
        Environment of the client.
    head, buffers : bytes, list of bytes
        Of what writes, see :class:`Packed`.
    parts : list of Recording
        Of all shards, in the order of the images.
    """
    _require_same_here(expected)
    write: Callable[[Path, Recording], None] = _opened(head, buffers)
    with _one_at_a_time, tempfile.TemporaryDirectory(prefix="ann2brian_") as name:
        folder = Path(name)
        write(folder, merged(parts))
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _opened(head: bytes, buffers: list[bytes]) -> Any:
    return pickle.loads(head, buffers=[bytearray(one) for one in buffers])  # which may be changed


def _require_same_here(expected: dict[str, str]) -> None:
    """Refuse this worker, which may have come after the others were looked at."""
    require_same(str(get_worker().name), environment(), expected)
