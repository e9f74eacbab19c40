"""Tasks done one after the other, whole in processes or in shards: the same tables each time."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame import work
from ann2brian.studies.frame.result_folder import ResultFolder
from ann2brian.studies.frame.task import shards
from ann2brian.studies.frame.work import MANY, Task, computed

from tests.support.recordings import recording_of

ROOT = Path(__file__).resolve().parents[3]
N_IMAGES = 7


def simulated(offset: int, start: int, stop: int) -> Recording:
    """A spike of neuron `offset` for each image, in the step of its number."""
    rows = [(i, 0, offset, start + i) for i in range(stop - start)]
    return recording_of(rows, n_images=stop - start)


def written(offset: int, path: Path, recording: Recording) -> None:
    """Spikes, and the process that wrote them."""
    recording.to_pandas().assign(offset=offset).to_csv(path / "spikes.csv", index=False)
    (path / "process").write_text(str(os.getpid()))


def tasks(n):
    return [
        Task(
            name=f"{k:03d}",
            simulate=partial(simulated, k),
            n_images=N_IMAGES,
            write=partial(written, k),
        )
        for k in range(n)
    ]


@pytest.mark.parametrize("n, jobs", [(3, 1), (8, 2), (7, 2), (1, 3)])
def test_tables_do_not_depend_on_the_processes(tmp_path, n, jobs):
    """Tables of whole tasks and of shards against what the tasks say."""
    with ResultFolder(tmp_path, "name", {}) as folder:
        done = computed(folder, tasks(n), jobs=jobs)
    assert [path.name for path in done] == [f"{k:03d}" for k in range(n)]
    for k, path in enumerate(done):
        table = pd.read_csv(path / "spikes.csv")
        assert table["image"].tolist() == table["step"].tolist() == list(range(N_IMAGES))
        assert (table["neuron"] == k).all() and (table["offset"] == k).all()
    is_here = {int((path / "process").read_text()) == os.getpid() for path in done}
    assert is_here == {jobs == 1 or n < MANY * jobs}


def test_finished_tasks_are_kept(tmp_path):
    """A task that an earlier run finished against its folder, which is as it was."""
    with ResultFolder(tmp_path, "name", {}) as folder:
        computed(folder, tasks(1))
        (folder.path_of("000") / "spikes.csv").write_text("earlier")
        done = computed(folder, tasks(9), jobs=2)
    assert (done[0] / "spikes.csv").read_text() == "earlier"
    assert all((path / "process").exists() for path in done)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_fails(tmp_path, jobs, monkeypatch):
    """A bad task between good ones against its message, and folders of good ones alone."""

    def fail(path, recording):
        (path / "half").touch()
        time.sleep(0.3)
        raise ValueError("no such thing")

    first, second, third = tasks(3)
    bad = Task(name="bad", simulate=second.simulate, n_images=N_IMAGES, write=fail)
    monkeypatch.setattr(work, "MANY", 1)
    with ResultFolder(tmp_path, "name", {}) as folder:
        with pytest.raises(ValueError, match="no such thing"):
            computed(folder, [first, bad, third], jobs=jobs)
        assert folder.has("000") and not folder.has("bad")
        assert folder.has("002") == (jobs == 2)


def test_one_name_twice(tmp_path):
    """Two tasks of one name against the message, as the second would be taken for finished."""
    with (
        ResultFolder(tmp_path, "name", {}) as folder,
        pytest.raises(ValueError, match="2 tasks are called '000'"),
    ):
        computed(folder, tasks(1) * 2)


@pytest.mark.parametrize("n_images, most", [(1, 5), (5, 5), (6, 5), (1000, 300), (1003, 250)])
@pytest.mark.parametrize("at_least", [1, 2, 8])
def test_shards(n_images, most, at_least):
    """Every image once, in order, and all shards of one size but for the last, which is smaller."""
    found = shards(n_images, most, at_least)
    assert np.array_equal(np.concatenate([np.arange(*shard) for shard in found]), range(n_images))
    sizes = [stop - start for start, stop in found]
    assert set(sizes[:-1]) <= {max(sizes)} and max(sizes) <= most
    assert max(sizes) <= -(-n_images // at_least)


SLOW = """
import sys, time
from pathlib import Path
from ann2brian.studies.frame import console, work
from ann2brian.studies.frame.result_folder import ResultFolder
from ann2brian.studies.frame.work import Task, computed
from tests.studies.frame.test_work import simulated

work.MANY = 1

def task(k):
    def write(path, recording):
        (path / "begun").touch()
        time.sleep(0 if k < 2 else 60)
    return Task(name=str(k), simulate=lambda *shard: simulated(k, *shard), n_images=1, write=write)

with console.refusals(), ResultFolder(Path(sys.argv[1]), "name", {}) as folder:
    computed(folder, [task(k) for k in range(4)], jobs=int(sys.argv[2]))
"""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped(tmp_path, jobs, stop):
    """Ctrl-C and kill -9 against the tasks finished before, no process left, and a free folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path), str(jobs)],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*.part/.[23]/begun"))) < jobs:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(stop)
        process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == (130 if stop == signal.SIGINT else -signal.SIGKILL)
    while True:
        try:
            folder = ResultFolder(tmp_path, "name", {})
            break
        except RuntimeError:  # processes of the killed run are about to follow it
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with folder:
        assert [folder.has(str(k)) for k in range(4)] == [True, True, False, False]
