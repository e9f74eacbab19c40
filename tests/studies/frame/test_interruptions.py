"""Runs that are stopped, killed or meet each other: what is left behind, and what comes next."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.engine import builds
from ann2brian.studies import make_figures
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame.spike_files import load_spikes

ROOT = Path(__file__).resolve().parents[3]


class Study:
    """A study in a process of its own, in a process group of its own."""

    started_here: ClassVar[list["Study"]] = []

    def __init__(self, cache, out, *flags, script="run_amos.py"):
        self.started = time.time()
        self.out = out / script.removeprefix("run_").removesuffix(".py")
        self.flags = ["--out", str(out), *flags]
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "studies" / script), *self.flags],
            env={**os.environ, "ANN2BRIAN_CACHE": str(cache)},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started_here.append(self)

    def wait_for(self, folder, pattern):
        """Return once a file of that pattern is written in the folder."""
        while not any(self._is_ours(path) for path in folder.glob(pattern)):
            if self.process.poll() is not None:
                pytest.fail(f"ended before there was {pattern}: {self.process.communicate()}")
            time.sleep(0.01)

    def _is_ours(self, path):
        try:
            return path.stat().st_mtime > self.started
        except OSError:
            return False  # removed since it was listed

    def kill(self):
        """kill -9 of this process alone; the compiler or programs that it started live on."""
        self.process.kill()
        self.process.wait()
        assert self.process.returncode == -signal.SIGKILL

    def interrupt(self):
        """Ctrl-C, which the terminal sends to all processes of the group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self._is_interrupted()

    def interrupt_alone(self):
        """kill -INT of this process alone."""
        self.process.send_signal(signal.SIGINT)
        self._is_interrupted()

    def _is_interrupted(self):
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 130
        # Brian2 may add a word about objects that it was still creating.
        assert "\nstopped; the same command continues where it can\n" in said
        assert "Traceback" not in said

    def finish(self):
        """Wait for success; returns the one result folder and what was said on stderr."""
        _, said = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, said
        (result,) = common.complete_results(self.out)
        return result, said

    def left(self):
        """Living processes of the group."""
        alive = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = status.read_text().rsplit(")", 1)[1].split()[:3]
            except OSError:
                continue  # it has just ended
            if int(group) == self.process.pid and state != "Z":
                alive.append(status.parent.name)
        return alive


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    """End what a failed test leaves behind."""
    yield
    while Study.started_here:
        study = Study.started_here.pop()
        if study.left():
            os.killpg(study.process.pid, signal.SIGKILL)
        study.process.communicate()


def assert_unfinished(study):
    """A stopped study has left a .part folder, and nothing that counts as a result."""
    assert [path.suffix for path in study.out.glob("*/")] == [".part"]
    assert common.complete_results(study.out) == []
    with pytest.raises(SystemExit):
        make_figures.main(["--results", str(study.out.parent)])


BUILD = ("--images", "540", "--batch", "1", "--jobs", "2", "--neurons-per-gate", "6")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that is empty at first, for all tests that compile or are stopped doing so."""
    return tmp_path_factory.mktemp("cache")


def test_killed_and_interrupted_while_compiling(cache, tmp_path):
    """kill -9, Ctrl-C, then the same command twice at once, against two whole, equal results."""
    builds_folder = cache / "builds"
    killed = Study(cache, tmp_path / "one", *BUILD)
    killed.wait_for(builds_folder, "*/main.o")
    killed.kill()
    assert_unfinished(killed)
    (unfinished,) = builds_folder.glob("*/")
    assert not (unfinished / builds.COMPLETE).exists()
    (unfinished / "main.o").write_bytes(b"half an object file")

    stopped = Study(cache, tmp_path / "one", *BUILD)
    stopped.wait_for(builds_folder, f"*/{builds.RULES}")
    time.sleep(0.3)  # so that g++ is at work
    stopped.interrupt()
    assert stopped.left() == []
    assert_unfinished(stopped)
    assert not list(builds_folder.glob(f"*/{builds.COMPLETE}"))

    first = Study(cache, tmp_path / "one", *BUILD)
    first.wait_for(builds_folder, f"*/{builds.RULES}")
    second = Study(cache, tmp_path / "two", *BUILD)
    (result, alone), (other, waited) = first.finish(), second.finish()
    (folder,) = builds_folder.glob("*/")
    assert (folder / builds.COMPLETE).exists()
    assert f"waiting for another run that compiles {folder}" in waited
    assert "waiting" not in alone
    assert json.loads((result / "provenance.json").read_text())["command"] == [
        "run_amos.py",
        *first.flags,
    ]
    for name in ("layers", "positions", "time"):
        pd.testing.assert_frame_equal(*(pd.read_csv(f / f"{name}.csv") for f in (result, other)))
    ours, theirs = (load_spikes(f / "spikes.npz")[0] for f in (result, other))
    assert np.array_equal(ours.neuron, theirs.neuron) and len(ours) > 0
    assert not list(folder.glob("run_*")) and not list(builds_folder.glob("*.discarded"))


@pytest.mark.parametrize("stop", [Study.kill, Study.interrupt, Study.interrupt_alone])
def test_stopped_while_the_program_runs(cache, tmp_path, stop):
    """Two processes stopped at work against none left, and a result the next time."""
    if not list(cache.glob("builds/*/complete")):  # unless a test before has compiled it
        Study(cache, tmp_path / "first", *BUILD).finish()
    programs = {path: path.stat().st_mtime_ns for path in cache.glob("builds/*/main")}
    assert len(programs) == 1
    study = Study(cache, tmp_path, *BUILD)
    study.wait_for(cache, "builds/*/run_*/results_*/stdout.txt")
    assert len(study.left()) >= 3  # the study and its two processes
    stop(study)
    deadline = time.monotonic() + 10
    while study.left() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert study.left() == []
    assert_unfinished(study)
    result, said = Study(cache, tmp_path, *BUILD).finish()
    assert "waiting" not in said
    assert pd.read_csv(result / "metrics.csv")["n_images"].tolist() == [540]
    assert {path: path.stat().st_mtime_ns for path in cache.glob("builds/*/main")} == programs


def test_process_ended_from_outside(cache, tmp_path):
    """A worker that is killed, as for want of memory, against the message that says so."""
    study = Study(cache, tmp_path, *BUILD)
    study.wait_for(cache, "builds/*/run_*/results_*/stdout.txt")
    children = Path(f"/proc/{study.process.pid}/task/{study.process.pid}/children").read_text()
    os.kill(int(children.split()[0]), signal.SIGKILL)
    _, said = study.process.communicate(timeout=60)
    assert study.process.returncode == 2
    last = re.split(r"[\r\n]+", said.strip())[-1]
    assert last.startswith("error: a worker process was ended from outside")
    assert "--jobs" in last and "Traceback" not in said


def test_two_runs_of_one_result(tmp_path):
    """A second run of the same study, while the first is at work, against the refusal with name."""
    with common.ResultFolder(tmp_path, "name", {"seed": 1}) as first:
        with pytest.raises(RuntimeError, match=f"another run is writing {first.path.name}"):
            common.ResultFolder(tmp_path, "name", {"seed": 1})
        with common.ResultFolder(tmp_path, "name", {"seed": 2}) as other:
            assert other.part != first.part
    with common.ResultFolder(tmp_path, "name", {"seed": 1}) as again:
        assert again.part == first.part


NUMPY = ("--target", "numpy", "--images", "100", "--batch", "1")
# By study: flags of a sweep over two conditions, their folders, the column that tells them apart.
SWEEPS = {
    "run_amos.py": (("--neurons-per-gate", "2", "4"), ("000", "001"), "neurons_per_gate", [2, 4]),
    "run_burst.py": (
        ("--baseline-steps", "0", "--steps", "4", "--gamma", "1", "2"),
        ("000", "001"),
        "condition",
        ["Q99.99/gamma, gamma 1, V0 0.5", "Q99.99/gamma, gamma 2, V0 0.5"],
    ),
}


@pytest.mark.parametrize(
    "script, stop",
    [
        ("run_amos.py", Study.kill),
        ("run_amos.py", Study.interrupt),
        ("run_burst.py", Study.kill),
    ],
)
def test_finished_conditions_are_kept(cache, tmp_path, script, stop):
    """A sweep stopped after its first condition against a result that holds the first run's row."""
    flags, (first, second), column, values = SWEEPS[script]
    study = Study(cache, tmp_path, *NUMPY, *flags, script=script)
    study.wait_for(study.out, f"*.part/{first}")
    time.sleep(0.3)  # so that the second one is at work
    stop(study)
    assert_unfinished(study)
    (part,) = study.out.glob("*/")
    assert sorted(path.name for path in part.iterdir()) == [f".{second}", first, "config.json"]
    metrics = pd.read_csv(part / first / "metrics.csv")
    metrics["run_s"] = 12345.0  # no run takes that long
    metrics.to_csv(part / first / "metrics.csv", index=False)
    (part / f".{second}" / "metrics.csv").write_text("half a")

    result, _ = Study(cache, tmp_path, *NUMPY, *flags, script=script).finish()
    rows = pd.read_csv(result / "metrics.csv")
    assert rows[column].tolist() == values
    assert rows["run_s"][0] == 12345.0 > rows["run_s"][1]
    assert set(pd.read_csv(result / "layers.csv")[column]) == set(values)
    assert not list(study.out.glob("*.part"))


@pytest.mark.parametrize("n_removals", [0, 1, 2, 3])
def test_killed_while_the_result_is_put_together(tmp_path, monkeypatch, n_removals):
    """A run stopped in each removal of its last step against one that is not, and older results."""

    class Killed(BaseException):
        pass

    def compute(folder, k=None):
        computed.append(k)
        for name in ("metrics", "other"):
            pd.DataFrame({"k": [k], "value": [len(computed)]}).to_csv(folder / f"{name}.csv")

    def study(folder):
        with common.ResultFolder(folder, "name", {"seed": 1}) as results:
            done = [results.condition(f"K{k}", lambda path, k=k: compute(path, k)) for k in (1, 2)]
            return results.finish(done, {"commit": None}, required=("k",))

    def remove_half(folder, ignore_errors=False):
        if not Path(folder).exists():
            return
        removed.append(folder)
        if len(removed) > n_removals:
            next(Path(folder).iterdir()).unlink()
            raise Killed
        rmtree(folder)

    computed, removed = [], []
    rmtree = common.shutil.rmtree
    older = study(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(common.shutil, "rmtree", remove_half)
        if n_removals < 3:  # two conditions and the older result
            with pytest.raises(Killed):
                study(tmp_path)
        else:
            study(tmp_path)
    found = common.complete_results(tmp_path)
    assert found in ([], [older])
    for folder in found:
        assert {"metrics.csv", "other.csv"} <= {path.name for path in folder.iterdir()}
    assert study(tmp_path) == older
    assert common.complete_results(tmp_path) == [older]
    for name in ("metrics", "other"):
        assert pd.read_csv(older / f"{name}.csv")["k"].tolist() == [1, 2]


def test_build_without_its_marker_is_made_again(tmp_path, monkeypatch):
    """Builds stopped half way and whole ones against what is made: only what is not whole."""
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path))
    made = []

    def stopped(folder):
        (folder / "main").write_text("half")
        raise KeyboardInterrupt

    def whole(folder):
        assert list(folder.iterdir()) == []
        (folder / "main").write_text("whole")
        made.append(folder)

    with pytest.raises(KeyboardInterrupt), builds.build_folder("program", stopped):
        pass
    for description in ("program", "program", "another program", "program"):
        with builds.build_folder(description, whole) as folder:
            assert sorted(path.name for path in folder.iterdir()) == [builds.COMPLETE, "main"]
            assert (folder / "main").read_text() == "whole"
    assert len(made) == len(set(made)) == 2


def test_folders_of_dead_runs_are_removed(tmp_path, monkeypatch):
    """A run that is killed and one that lives against what the next run of the program leaves."""
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path))

    def project(name):
        (tmp_path / name / builds.DATA).mkdir(parents=True)
        (tmp_path / name / builds.DATA / "weights").write_text(name)
        return tmp_path / name

    monkeypatch.setattr(builds, "compile_program", lambda folder: (folder / "main").touch())
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ann2brian.models.engine import builds\n"
        "with builds.program(Path(sys.argv[1]), 'same'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    with builds.program(project("one"), "same") as one:
        subprocess.run([sys.executable, "-c", code, str(project("killed"))], cwd=ROOT, check=False)
        assert len(list(one.parent.glob("run_*"))) == 2
        with builds.program(project("two"), "same") as two:
            assert set(one.parent.glob("run_*")) == {one, two}
            for folder in (one, two):
                assert (folder / "main").exists()
            texts = [(folder / builds.DATA / "weights").read_text() for folder in (one, two)]
            assert texts == ["one", "two"]
        assert list(one.parent.glob("run_*")) == [one]
    assert list(one.parent.iterdir()) == [one.parent / builds.COMPLETE, one.parent / "main"]


def test_one_process_compiles_and_all_run(tmp_path):
    """Two processes with one program, and another: one build each, waited for, and then shared."""
    code = (
        "import sys, time; from ann2brian.models.engine.builds import build_folder\n"
        "def make(folder): print(time.monotonic()); time.sleep(1); print(time.monotonic())\n"
        "with build_folder(sys.argv[1], make):\n"
        "    start = time.monotonic(); time.sleep(1); print(start, time.monotonic())"
    )

    def process(description):
        return subprocess.Popen(
            [sys.executable, "-c", code, description],
            cwd=ROOT,
            env={**os.environ, "ANN2BRIAN_CACHE": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    runs = [process("same"), process("same"), process("other")]
    found, said = zip(*(run.communicate(timeout=60) for run in runs), strict=True)
    times = [[float(time) for time in lines.split()] for lines in found]
    assert [len(line) for line in times] in ([4, 2, 4], [2, 4, 4])
    makers, (user,) = [line for line in times if len(line) == 4], [x for x in times if len(x) == 2]
    made = makers[0][1]
    assert made <= user[0] and user[0] < makers[0][3] and makers[0][2] < user[1]
    assert ["waiting for another run" in text for text in said] == [len(x) == 2 for x in times]
