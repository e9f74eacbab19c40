"""Studies on a Dask cluster: the tables of a local run, whatever dies on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ann2brian.studies.frame import cluster as clusters
from ann2brian.studies.frame import remote
from ann2brian.studies.frame.result_folder import ResultFolder, complete_results
from ann2brian.studies.frame.work import Task, computed

from tests.support.recordings import recording_of

ROOT = Path(__file__).resolve().parents[3]
WALL_TIMES = ["build_s", "run_s"]
# Two conditions of two shards each.
STUDY = ("--images", "260", "--steps", "3", "--baseline-steps", "0", "--gamma", "1", "2")
NUMPY = (*STUDY, "--target", "numpy")
LONGER = (*NUMPY, "--gamma", "1", "2", "3", "4", "5", "6")  # conditions are left after a kill


class Cluster:
    """A scheduler and its workers, as the docs start them."""

    def __init__(self, folder, allowed_failures=3):
        self.file = folder / "scheduler.json"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ANN2BRIAN_CACHE": str(folder / "cache"),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
        }
        self.log = (folder / "log").open("w+")
        self.processes = {}
        options = ("--port", "0", "--no-dashboard", "--scheduler-file", str(self.file))
        self.start("scheduler", "scheduler", "--host", "127.0.0.1", *options)
        self.wait_until(lambda: self.file.exists() and self.file.read_text().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, name, *command, root=ROOT):
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "dask", *command],
            env={**self.environment, "PYTHONPATH": str(root)},
            cwd=root,
            start_new_session=True,
            stdout=self.log,
            stderr=self.log,
        )

    def add_worker(self, name, *options, n_threads=1, root=ROOT):
        known = len(self.workers())
        options = ("--name", name, "--nthreads", str(n_threads), "--no-dashboard", *options)
        self.start(name, "worker", self.address, "--host", "127.0.0.1", *options, root=root)
        self.wait_until(lambda: len(self.workers()) > known)

    def workers(self):
        """Addresses that the scheduler knows."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return list(client.nthreads())

    def kill(self, name):
        """kill -9 of a process and all that it started."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait_until(self, holds):
        deadline = time.monotonic() + 120
        while not holds():
            for process in self.processes.values():
                assert process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        for name in list(self.processes):
            self.kill(name)
        self.log.close()


@pytest.fixture
def started(tmp_path_factory):
    """Starts clusters, which end with the test."""
    begun = []

    def start(**options):
        begun.append(Cluster(tmp_path_factory.mktemp("cluster"), **options))
        return begun[-1]

    yield start
    for one in begun:
        one.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler, to which tests add workers that they end."""
    one = Cluster(tmp_path_factory.mktemp("cluster"))
    yield one
    one.close()


def study(out, *flags):
    """A sweep of the burst study, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "studies/run_burst.py"), "--out", str(out), *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process, out):
    said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    (result,) = complete_results(out / "burst")
    return result


def wait_for(process, out, pattern):
    """Return once there is such a file in the unfinished result."""
    while not list(out.glob(f"burst/*.part/{pattern}")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Result of the sweep without a cluster."""
    out = tmp_path_factory.mktemp("local")
    return result_of(study(out, *LONGER), out)


def assert_same(result, local):
    """Names and contents of all files but for wall times and where the result comes from."""
    assert result.name == local.name
    files, wanted = (sorted(x for x in y.iterdir() if x.is_file()) for y in (result, local))
    assert [file.name for file in files] == [file.name for file in wanted]
    assert len([file for file in files if file.suffix == ".csv"]) >= 4
    for one, other in zip(files, wanted, strict=True):
        if one.name == "metrics.csv":
            ours, theirs = (pd.read_csv(file, dtype=str) for file in (one, other))
            assert set(WALL_TIMES) < set(ours)
            pd.testing.assert_frame_equal(*(x.drop(columns=WALL_TIMES) for x in (ours, theirs)))
        elif one.suffix == ".npz":
            with np.load(one) as ours, np.load(other) as theirs:
                assert ours.files == theirs.files
                assert all(np.array_equal(ours[name], theirs[name]) for name in ours.files)
        elif one.name not in ("provenance.json", "report.html"):  # which shows wall times, too
            assert one.read_bytes() == other.read_bytes(), one.name


def test_a_killed_worker_is_replaced(cluster, local, tmp_path):
    """Two workers, one killed at work, against the tables of a local run, byte for byte."""
    cluster.add_worker("stays", "--no-nanny")
    cluster.add_worker("dies", "--no-nanny")
    run = study(tmp_path, *LONGER, "--scheduler", cluster.address)
    wait_for(run, tmp_path, "00?")
    cluster.kill("dies")
    done = list(tmp_path.glob("burst/*.part/00?"))
    assert len(done) < 6
    assert_same(result_of(run, tmp_path), local)
    assert len(cluster.workers()) == 1
    cluster.kill("stays")


@pytest.mark.slow
def test_a_killed_worker_that_compiles_is_replaced(started, tmp_path):
    """As above on C++, with a nanny that starts the killed worker again."""
    cluster = started()
    for name in ("one", "other"):
        cluster.add_worker(name)
    distributed = study(tmp_path / "cluster", *STUDY, "--scheduler", cluster.address)
    wait_for(distributed, tmp_path / "cluster", "00?")
    children = Path(f"/proc/{cluster.processes['one'].pid}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    worker = max(pids, key=lambda pid: Path(f"/proc/{pid}/statm").read_text().split()[1].zfill(12))
    os.kill(worker, signal.SIGKILL)
    local = result_of(study(tmp_path / "local", *STUDY), tmp_path / "local")
    assert_same(result_of(distributed, tmp_path / "cluster"), local)


def test_an_interrupted_client_resumes(cluster, local, tmp_path):
    """Ctrl-C after the first condition, then the same command: its row is the first run's."""
    cluster.add_worker("only", "--no-nanny")
    flags = (*NUMPY, "--scheduler", cluster.address)
    stopped = study(tmp_path, *flags)
    wait_for(stopped, tmp_path, "000")
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130 and "the same command continues" in said, said
    assert "Traceback" not in said
    (table,) = tmp_path.glob("burst/*.part/000/metrics.csv")
    pd.read_csv(table).assign(run_s=12345.0).to_csv(table, index=False)
    result = result_of(study(tmp_path, *flags), tmp_path)
    kept = pd.read_csv(result / "metrics.csv")["run_s"] == 12345.0
    assert kept.tolist() == [True, False]
    cluster.kill("only")


def test_workers_that_are_refused(cluster, tmp_path):
    """Workers of other code, and with two threads, against the line that names them."""
    other = tmp_path / "other"
    for name in ("ann2brian", "models", "analysis", "studies"):
        shutil.copytree(ROOT / name, other / name, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copy(ROOT / "pyproject.toml", other)
    with (other / "models/arrays.py").open("a") as file:
        file.write("# changed\n")
    cluster.add_worker("stranger", "--no-nanny", root=other)
    said = refused(tmp_path, cluster.address)
    assert "error: worker stranger has source digest" in said
    assert f"this machine {remote.DIGEST}; give both the same commit" in said
    cluster.kill("stranger")
    cluster.wait_until(lambda: not cluster.workers())
    cluster.add_worker("wide", "--no-nanny", n_threads=2)
    assert "error: worker wide has 2 threads" in refused(tmp_path, cluster.address)
    cluster.kill("wide")
    cluster.wait_until(lambda: not cluster.workers())


def refused(out, address):
    """The last line of a study that is refused."""
    run = study(out, *NUMPY, "--scheduler", address)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 2 and "Traceback" not in said, said
    return said.strip().split("\n")[-1]


def task(simulate):
    def write(path, recording):
        (path / "metrics.csv").write_text("n\n1\n")

    return Task(name="000", simulate=simulate, n_images=1, write=write)


def test_a_task_that_kills_its_workers(started, tmp_path):
    """Work that no worker survives against the line that says so."""
    cluster = started(allowed_failures=0)
    cluster.add_worker("one")

    def die(start, stop):
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        ResultFolder(tmp_path, "name", {}) as folder,
        pytest.raises(RuntimeError, match=r"000: workers died one after the other .* --batch"),
    ):
        computed(folder, [task(die)], scheduler=cluster.address)


def test_a_scheduler_that_is_lost(started, tmp_path):
    """A scheduler killed while a task runs against the line that says how to go on."""
    cluster = started()
    cluster.add_worker("one", "--no-nanny")

    def end_all(start, stop):
        os.kill(scheduler, signal.SIGKILL)
        return recording_of([])

    scheduler = cluster.processes["scheduler"].pid
    with (
        ResultFolder(tmp_path, "name", {}) as folder,
        pytest.raises(RuntimeError, match=f"scheduler at {cluster.address} was lost"),
    ):
        computed(folder, [task(end_all)], scheduler=cluster.address)


def test_no_scheduler(tmp_path, monkeypatch):
    """An address where nobody listens against the line that names it."""
    monkeypatch.setattr(clusters, "CONNECT_S", 1)
    with (
        ResultFolder(tmp_path, "name", {}) as folder,
        pytest.raises(RuntimeError, match=r"--scheduler tcp://127.0.0.1:9: no Dask"),
    ):
        computed(folder, [task(None)], scheduler="tcp://127.0.0.1:9")


def test_without_distributed_the_error_says_what_to_install(tmp_path, monkeypatch):
    """A missing package against the line that names it; finished tasks do not need it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with ResultFolder(tmp_path, "name", {}) as folder:
        with pytest.raises(ImportError, match="pip install distributed"):
            computed(folder, [task(None)], scheduler="tcp://127.0.0.1:9")
        folder.path_of("000").mkdir()
        assert computed(folder, [task(None)], scheduler="tcp://127.0.0.1:9")


def test_processes_beside_workers(tmp_path):
    """Both flags against the line that takes one."""
    with (
        ResultFolder(tmp_path, "name", {}) as folder,
        pytest.raises(ValueError, match="--jobs 2: the workers of --scheduler do the work"),
    ):
        computed(folder, [task(None)], scheduler="tcp://127.0.0.1:9", jobs=2)
