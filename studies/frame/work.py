"""The work of a study: its tasks, done by as many processes as there are.

A task runs whole, in this process or in another, or in shards of its images, which are merged. What
comes out is the same; what is finished is kept.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ann2brian.models.engine.workers import in_processes, require_jobs
from ann2brian.models.installs import needed
from ann2brian.models.spiking.merging import merged
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame import console
from ann2brian.studies.frame.result_folder import ResultFolder
from ann2brian.studies.frame.task import Report, shards
from ann2brian.studies.frame.task import Task as Task

IMAGES_PER_SHARD = 1000  # at most, of a task that several processes share
# Tasks for each process from which on it does whole ones: then all write and compile side by side.
# With fewer, of which some take longer, processes would wait for the last one.
MANY = 4


def computed(
    folder: ResultFolder, tasks: Sequence[Task], *, scheduler: str | None = None, jobs: int = 1
) -> list[Path]:
    """Folders of all tasks; those that an earlier run finished are kept.

    With many unfinished tasks for each process, it does whole ones; else the tasks follow each
    other, and the processes share the images of each. A run that is stopped, by
    Ctrl-C or ``kill -9``, leaves the finished folders whole and the others out.

    Parameters
    ----------
    folder : ResultFolder
        Where they are written.
    tasks : sequence of Task
        What to do.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do it.
    jobs : int
        Processes on this machine that do it.

    Returns
    -------
    list of Path
        In the order of the tasks.

    Raises
    ------
    ValueError
        If two tasks have one name.
    ImportError
        If there is a scheduler, and distributed is not installed.
    RuntimeError
        If a process was ended from outside, or the cluster cannot do the work.
    """
    _require_distinct(tasks)
    require_jobs(jobs)
    missing = [task for task in tasks if not folder.has(task.name)]
    if scheduler is not None and jobs > 1:
        raise ValueError(f"--jobs {jobs}: the workers of --scheduler do the work; leave one out")
    if scheduler is not None and missing:
        needed("distributed", "spread a study over machines (--scheduler)")
        from ann2brian.studies.frame import cluster

        for task in missing:
            _tell(task)
        cluster.compute(folder, missing, scheduler)
    elif jobs > 1 and len(missing) >= MANY * jobs:
        _in_whole_tasks(folder, missing, jobs)
    else:
        for task in missing:
            folder.condition(task.name, partial(_alone, task, jobs))
    return [folder.path_of(task.name) for task in tasks]


def _require_distinct(tasks: Sequence[Task]) -> None:
    for name, count in Counter(task.name for task in tasks).items():
        if count > 1:
            raise ValueError(f"{count} tasks are called {name!r}; each needs a folder of its own")


def _tell(task: Task) -> None:
    if task.about:
        print(task.about, flush=True)


def _in_whole_tasks(folder: ResultFolder, tasks: Sequence[Task], jobs: int) -> None:
    """Let each process simulate and write one task after the other."""

    def finish(number: int) -> int:
        task = tasks[number]

        def compute(path: Path) -> None:
            _tell(task)
            task.write(path, _recording(task, 1, lambda *_: None))

        folder.condition(task.name, compute)
        return task.n_images

    n_images, done = sum(task.n_images for task in tasks), 0
    with console.progress(f"{len(tasks)} conditions", n_images) as report:
        for finished in in_processes(finish, range(len(tasks)), jobs):
            done += finished
            report(done, n_images)


def _alone(task: Task, jobs: int, path: Path) -> None:
    """Simulate a task, its images shared by the processes, and write its tables."""
    _tell(task)
    with console.progress(task.title or task.name, task.n_images) as report:
        recording = _recording(task, jobs, report)
    task.write(path, recording)


def _recording(task: Task, jobs: int, report: Report) -> Recording:
    """Recording of all images of a task."""
    if task.whole is not None:
        return task.whole(jobs, report)
    if jobs == 1:
        return task.simulate(0, task.n_images)

    def simulate(shard: tuple[int, int]) -> tuple[int, Recording]:
        return shard[0], task.simulate(*shard)

    started = time.perf_counter()
    parts: dict[int, Recording] = {}
    cut = shards(task.n_images, IMAGES_PER_SHARD, at_least=jobs)
    for start, part in in_processes(simulate, cut, jobs):
        parts[start] = part
        report(sum(part.n_images for part in parts.values()), task.n_images)
    elapsed = time.perf_counter() - started
    build_s = max(part.build_s for part in parts.values())  # side by side
    recording = merged([parts[start] for start in sorted(parts)])
    return replace(recording, build_s=build_s, run_s=elapsed - build_s)
