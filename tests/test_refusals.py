"""Bad input and interruptions: what is said, and what is left behind.

Refusals are tested twice where they have two doors: the function raises an error that names what
is wrong, and the study prints it in one line, without a traceback, and exits with status 2.
"""

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from models import amos, builds, storage
from models.gate_fits import fitted_gate
from models.layers import Activation, Conv2D, Dense, MaxPool2D
from models.network import Network
from models.simulation import simulate
from studies import common, datasets, make_figures, run_amos
from studies.results import load_spikes
from tests.networks import everything, images_for, of_kind

ROOT = Path(__file__).resolve().parents[1]
STUDY = [sys.executable, str(ROOT / "studies" / "run_amos.py")]


def refused(capsys, out, *flags):
    """Message of a study that must end with status 2 and say why in one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run_amos.main(["--target", "numpy", "--quick", "--out", str(out), *flags])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    *before, last = re.split(r"[\r\n]+", said.strip())
    # Before it there may be a progress bar, or the usage that argparse prints.
    assert "error:" not in "".join(before)
    assert "error: " in last
    if out.is_dir():
        assert not common.complete_results(out / "amos")
    return last.split("error: ", 1)[1]


@pytest.fixture(scope="module")
def case():
    """A small network with every kind of layer, its images and its conversion with K = 2."""
    network = everything()
    images = images_for(network, 3)
    options = amos.AmosOptions(neurons_per_gate=2)
    return network, images, amos.convert(network, images, options).spiking


# ---- networks and weights ----


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name, field", [("conv2", "kernel"), ("dense1", "bias"), ("norm1", "mean")]
)
def test_weights_that_are_not_finite(case, name, field, value):
    """One bad weight of a convolution, dense or norm layer against the error that names both."""
    layer = case[0].layer(name)
    broken = getattr(layer, field).copy()
    broken.flat[1] = value
    with pytest.raises(ValueError, match=rf"{name}'.*{field}\[.*1\] is {value}.*not finite"):
        replace(layer, **{field: broken})


def test_shapes_that_do_not_fit(case):
    """Wrong bias, channels and vector length against errors that name layer and both shapes."""
    network, _, _ = case
    with pytest.raises(ValueError, match=r"Conv2D 'conv2': bias has shape \(3,\).*needs \(8,\)"):
        replace(network.layer("conv2"), bias=np.zeros(3))

    def with_layer(layer):
        layers = tuple(layer if old.name == layer.name else old for old in network.layers)
        return replace(network, layers=layers)

    with pytest.raises(
        ValueError, match=r"'everything'.*Conv2D 'conv1'.*takes 3 channels.*9, 8, 2"
    ):
        with_layer(replace(network.layer("conv1"), kernel=np.zeros((3, 3, 3, 6))))
    with pytest.raises(ValueError, match=r"Dense 'dense1'.*\(1, 1, 7\).*\(1, 1, 120\)"):
        with_layer(replace(network.layer("dense1"), kernel=np.zeros((7, 12))))


def with_max_pooling():
    """A network as `of_kind` makes them, its average pooling replaced."""
    network = of_kind("pooled")
    layers = [
        MaxPool2D(layer.name, layer.inputs, layer.size, layer.stride)
        if layer.name == "pool"
        else layer
        for layer in network.layers
    ]
    assert any(isinstance(layer, MaxPool2D) for layer in layers)
    return replace(network, layers=tuple(layers))


def test_max_pooling_is_named(case):
    """A layer without a spiking counterpart against the error with its name and the advice."""
    network = with_max_pooling()
    network.forward(images_for(network, 2))  # it is a network, only not one that can be converted
    with pytest.raises(ValueError, match=r"MaxPool2D 'pool'.*average pooling instead"):
        amos.convert(network, images_for(network, 2))


def test_study_names_the_unsupported_layer(tmp_path, capsys):
    """The study on a weight file with max pooling against the same error, in one line."""
    shipped = storage.load_network(storage.trained("digits-relu"))
    width = shipped.layers[-1].kernel.shape[1]
    layers = (
        Conv2D("conv", ("input",), np.ones((1, 1, 1, width)), np.zeros(width)),
        Activation("act", ("conv",), "relu"),
        MaxPool2D("biggest", ("act",), (8, 8), (8, 8)),
        Dense("out", ("biggest",), np.eye(width), np.zeros(width)),
    )
    network = Network("pooled", shipped.input, layers, shipped.classes)
    path = storage.save_network(network, tmp_path / "pooled.safetensors")
    said = refused(capsys, tmp_path / "out", "--network", str(path))
    assert "MaxPool2D 'biggest'" in said and "average pooling instead" in said


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda content: content[:-7], "cut short"),
        (lambda content: content[: len(content) // 2], "cut short"),
        (lambda content: b"", "cut short"),
        (lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:], "checksum"),
        (lambda content: content.replace(b'"relu', b'"silu'), "checksum"),
    ],
    ids=["truncated", "half", "empty", "one bit", "other activation"],
)
def test_damaged_weight_file(tmp_path, capsys, damage, message):
    """Weights cut short or altered, in function and study, against the message with the path."""
    content = storage.trained("digits-relu").read_bytes()
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content)
    storage.load_network(path)
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    with pytest.raises(storage.WeightFileError, match=rf"{path}.*{message}.*train it again"):
        storage.load_network(path)
    said = refused(capsys, tmp_path / "out", "--network", str(path))
    assert str(path) in said and message in said


# ---- images and data ----

BAD_VALUES = [
    (-1.0, "-1.0"),
    (16.0, "16.0"),
    (0.5, "0.5"),
    (np.nan, "nan|NaN"),
    (np.inf, "inf"),
]


@pytest.mark.parametrize("value, shown", BAD_VALUES, ids=lambda value: str(value))
@pytest.mark.parametrize("where", ["forward", "calibration", "simulate"])
def test_images_out_of_range(case, where, value, shown):
    """Pixels below, above, between or beyond 0 to 15 against errors that name image and value."""
    network, images, spiking = case
    take = {
        "forward": network.forward,
        "calibration": lambda images: amos.convert(network, images),
        "simulate": lambda images: simulate(spiking, images, target="numpy"),
    }[where]
    broken = images.astype(float)
    broken[1, 4, 3, 1] = value
    with pytest.raises(ValueError, match=rf"image 1 holds ({shown})"):
        take(broken)


@pytest.mark.parametrize("where", ["forward", "calibration", "simulate"])
@pytest.mark.parametrize("shape", [(3, 8, 9, 2), (3, 9, 8, 1), (9, 8, 2), (3, 144)], ids=str)
def test_images_of_the_wrong_size(case, where, shape):
    """Images turned, grey, single or flat against errors with the wanted and the given shape."""
    network, _, spiking = case
    take = {
        "forward": network.forward,
        "calibration": lambda images: amos.convert(network, images),
        "simulate": lambda images: simulate(spiking, images, target="numpy"),
    }[where]
    with pytest.raises(ValueError, match=rf"\(n, 9, 8, 2\).*got {re.escape(str(shape))}"):
        take(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_images_for_a_network_that_does_not_say_its_range(case, value):
    """NaN and infinity for a hand-made spiking network against the error that names the image."""
    _, images, spiking = case
    broken = images.astype(float)
    broken[2, 0, 0, 0] = value
    with pytest.raises(ValueError, match="image 2 holds NaN or infinite values"):
        simulate(replace(spiking, coding=None), broken, target="numpy")


def test_no_images(case):
    """An empty batch against the error that wants at least one."""
    with pytest.raises(ValueError, match=r"n >= 1, got \(0, 9, 8, 2\)"):
        simulate(case[2], np.zeros((0, 9, 8, 2)), target="numpy")


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A data folder laid out like Fashion-MNIST, with 12 images whose checksums are known."""
    rng = np.random.default_rng(4)
    folder = tmp_path / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    sums = {}
    for prefix in ("train", "t10k"):
        images = rng.integers(0, 256, (12, 28, 28), dtype=np.uint8)
        labels = np.arange(12, dtype=np.uint8) % 10
        for what, header, array in (
            ("images-idx3", (0x803, 12, 28, 28), images),
            ("labels-idx1", (0x801, 12), labels),
        ):
            content = gzip.compress(np.array(header, ">u4").tobytes() + array.tobytes())
            path = folder / f"{prefix}-{what}-ubyte.gz"
            path.write_bytes(content)
            sums[path.name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(datasets, "_FASHION_MD5", sums)
    monkeypatch.delenv(datasets.SETTING, raising=False)
    return folder.parent


def test_data_folder_that_is_whole_is_taken(fashion, tmp_path):
    """The folder the next tests damage, undamaged, against a result: the control."""
    flags = ["--images", "2", "--neurons-per-gate", "2", "--target", "numpy"]
    folders = ["--data", str(fashion), "--out", str(tmp_path / "out")]
    result = run_amos.main(["--dataset", "fashion-mnist", *flags, *folders])
    assert pd.read_csv(result / "metrics.csv")["n_images"].tolist() == [2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-5],
        lambda content: content[:20] + bytes([content[20] ^ 1]) + content[21:],
        lambda content: gzip.compress(gzip.decompress(content)[:-1] + b"\x05"),
    ],
    ids=["truncated", "one bit", "one label"],
)
@pytest.mark.parametrize("file", ["t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3"])
def test_damaged_data_file(fashion, tmp_path, capsys, file, damage):
    """Data files cut short or altered against the message that names file and remedy."""
    path = fashion / "fashion-mnist" / f"{file}-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    said = refused(capsys, tmp_path / "out", "--dataset", "fashion-mnist", "--data", str(fashion))
    assert said.startswith(f"{path}: damaged or cut short")
    assert "Replace the file" in said


def test_missing_data_file(fashion, tmp_path, capsys):
    """A data folder without one file against the message with its path and both settings."""
    path = fashion / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    said = refused(capsys, tmp_path / "out", "--dataset", "fashion-mnist", "--data", str(fashion))
    assert f"{path}: no such file" in said
    assert "ANN2BRIAN_DATA" in said and "--data" in said


# ---- options ----


@pytest.mark.parametrize("n_neurons", [0, -1, 17, 2.5])
def test_gate_size_out_of_range(n_neurons):
    """Sizes outside 1 to 16 against the error that names the option and the value."""
    with pytest.raises(ValueError, match=rf"neurons_per_gate.*1 to 16, got {n_neurons}$"):
        amos.AmosOptions(neurons_per_gate=n_neurons)


def test_gate_size_without_a_fit(case):
    """A size of which no SiLU gate is shipped, in function and conversion, against the list."""
    network = everything("silu")
    for attempt in (
        lambda: fitted_gate("silu", 5),
        lambda: amos.convert(network, case[1], amos.AmosOptions(neurons_per_gate=5)),
    ):
        with pytest.raises(ValueError, match=r"silu gate with 5 neurons.*4, 6, 8.* neurons"):
            attempt()


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("range_percentile", 0, "range_percentile must be above 0 and at most 100, got 0"),
        ("range_percentile", np.nan, "range_percentile.*got nan"),
        ("inhibition", "none", "inhibition must be 'amos' or 'fs', got 'none'"),
        ("weight_bits", 1, "weight_bits.*2 to 24, got 1"),
        ("slot_ms", 0.0, "slot_ms.*got 0.0"),
        ("slot_ms", np.inf, "slot_ms.*finite, got inf"),
        ("slot_ms", np.nan, "slot_ms.*got nan"),
    ],
)
def test_conversion_option_out_of_range(option, value, message):
    """Each other option of the conversion against the error that names it and the value."""
    with pytest.raises(ValueError, match=message):
        amos.AmosOptions(**{option: value})


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            ["--neurons-per-gate", "0"],
            "--neurons-per-gate: '0' is not a whole number of at least 1",
        ),
        (["--neurons-per-gate", "x"], "--neurons-per-gate: 'x'"),
        (["--neurons-per-gate", "17"], "neurons_per_gate must be a whole number from 1 to 16"),
        (["--gate", "silu", "--neurons-per-gate", "5"], "silu gate with 5 neurons; there are"),
        (["--gate", "silu", "--network", "digits-relu"], "--gate silu: digits-relu has relu"),
        (["--gate", "tanh"], "--gate: invalid choice: 'tanh'"),
        (["--network", "resnet"], "no trained network 'resnet'.*digits-relu"),
        (["--network", "no.safetensors"], "no.safetensors: no such weight file.*digits-relu"),
        (["--network", "fashion-relu"], r"fashion-relu.* \(28, 28, 1\), digits has \(8, 8, 1\)"),
        (["--dataset", "mnist"], "--dataset: invalid choice: 'mnist'"),
        (["--images", "0"], "--images: '0' is not a whole number of at least 1"),
        (["--batch", "0"], "--batch: '0' is not a whole number of at least 1"),
        (["--jobs", "-1"], "--jobs: '-1' is not a whole number of at least 1"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number of at least 0"),
        (["--target", "cuda"], "--target: invalid choice: 'cuda'.*cpp_standalone"),
        (["--slot-ms", "inf"], "slot_ms must be above 0 and finite, got inf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flag_out_of_range(tmp_path, capsys, flags, message):
    """Bad values of flags against the one line that names the flag or option and the value."""
    assert re.search(message, refused(capsys, tmp_path, *flags))


def test_more_images_than_there_are(tmp_path, capsys):
    """--images above the test set against the message with both numbers."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:  # without --quick, which asks for 50 at most
        run_amos.main(["--target", "numpy", "--out", str(tmp_path), "--images", "541"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: --images 541: digits has 540\n"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch": 0}, "batch must be .* at least 1, got 0"),
        ({"batch": 1.5}, "batch .*got 1.5"),
        ({"jobs": 0}, "jobs must be .* at least 1, got 0"),
        ({"period": 0}, "period must be .*at least 1 step, got 0"),
        ({"target": "cuda"}, "target must be one of cpp_standalone, cython, numpy, got 'cuda'"),
        ({"record": ["act1", "act9"]}, "record: no layer 'act9'; there are input, act1, act2"),
        ({"traces": {"act9": [0]}}, "traces: no layer 'act9'; there are input, act1, act2"),
        ({"traces": {"act4": [24]}, "batch": 1}, "traces: neurons of layer 'act4' are 0 to 23"),
        ({"traces": {"act4": [0]}, "batch": 2}, "traces need batch=1"),
    ],
    ids=str,
)
def test_simulation_option_out_of_range(case, options, message):
    """Bad arguments of `simulate` against errors that name argument, value and alternatives."""
    _, images, spiking = case
    with pytest.raises(ValueError, match=message):
        simulate(spiking, images, **{"target": "numpy", **options})


# ---- surroundings ----


@pytest.mark.parametrize(
    "target, there, missing",
    [
        ("cpp_standalone", (), "make and g\\+\\+"),
        ("cpp_standalone", ("make",), "g\\+\\+"),
        ("cpp_standalone", ("g++",), "make"),
        ("cython", ("make",), "g\\+\\+"),
    ],
)
def test_missing_compiler(case, tmp_path, monkeypatch, capsys, target, there, missing):
    """A PATH without make or g++ against the message that names them and what to do."""
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path / "cache"))
    message = rf"^{missing} not found: the target {target}.*apt-get install.*--target numpy"
    with pytest.raises(RuntimeError, match=message):
        simulate(case[2], case[1], target=target)
    said = refused(capsys, tmp_path / "out", "--target", target)
    assert re.search(message, said)
    assert simulate(case[2], case[1], target="numpy").n_images == 3  # this one needs neither


def test_compiler_that_fails(case, tmp_path, monkeypatch):
    """A g++ that cannot write its output against the error with folder and compiler's words."""
    (tmp_path / "g++").write_text("#!/bin/sh\necho no space left >&2\nexit 1\n")
    (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(RuntimeError, match=r"(?s)cache/builds/\w+: make failed:.*no space left"):
        simulate(case[2], case[1])
    assert not list(tmp_path.glob(f"cache/builds/*/{builds.COMPLETE}"))


def test_output_folder_that_cannot_be_written(tmp_path, capsys):
    """An --out below a regular file against the message that names it and the flag."""
    (tmp_path / "file").write_text("in the way")
    said = refused(capsys, tmp_path / "file" / "out")
    assert said.startswith(f"cannot write results to {tmp_path}/file/out/amos: ")
    assert "--out" in said
    assert (tmp_path / "file").read_text() == "in the way"


# ---- interruptions ----


class Study:
    """A study in a process of its own, in a process group of its own."""

    started_here: ClassVar[list["Study"]] = []

    def __init__(self, cache, out, *flags):
        self.started = time.time()
        self.out = out / "amos"
        self.flags = ["--out", str(out), *flags]
        self.process = subprocess.Popen(
            [*STUDY, *self.flags],
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
        assert said.rstrip().endswith("stopped; the same command continues where it can")
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
    assert f"waiting for another run that uses {folder}" in waited
    assert "waiting" not in alone
    assert json.loads((result / "provenance.json").read_text())["command"] == [
        "run_amos.py",
        *first.flags,
    ]
    for name in ("layers", "positions", "time"):
        pd.testing.assert_frame_equal(*(pd.read_csv(f / f"{name}.csv") for f in (result, other)))
    ours, theirs = (load_spikes(f / "spikes.npz")[0] for f in (result, other))
    assert np.array_equal(ours.neuron, theirs.neuron) and len(ours) > 0
    assert not list(folder.glob("results_*")) and not list(builds_folder.glob("*.discarded"))


@pytest.mark.parametrize("stop", [Study.kill, Study.interrupt, Study.interrupt_alone])
def test_stopped_while_the_program_runs(cache, tmp_path, stop):
    """Two processes stopped at work against none left, and a result the next time."""
    programs = {path: path.stat().st_mtime_ns for path in cache.glob("builds/*/main")}
    assert len(programs) == 1, "the test above compiles what this one runs"
    study = Study(cache, tmp_path, *BUILD)
    study.wait_for(cache, "builds/*/results_*/stdout.txt")
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
    study.wait_for(cache, "builds/*/results_*/stdout.txt")
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


SWEEP = ("--target", "numpy", "--images", "200", "--batch", "1", "--neurons-per-gate", "2", "4")


@pytest.mark.parametrize("stop", [Study.kill, Study.interrupt])
def test_finished_conditions_are_kept(cache, tmp_path, stop):
    """A sweep stopped after its first K against a result that holds the first run's row."""
    study = Study(cache, tmp_path, *SWEEP)
    study.wait_for(study.out, "*.part/K2")
    time.sleep(0.3)  # so that K = 4 is at work
    stop(study)
    assert_unfinished(study)
    (part,) = study.out.glob("*/")
    assert sorted(path.name for path in part.iterdir()) == [".K4", "K2", "config.json"]
    metrics = pd.read_csv(part / "K2" / "metrics.csv")
    metrics["run_s"] = 12345.0  # no run takes that long
    metrics.to_csv(part / "K2" / "metrics.csv", index=False)
    (part / ".K4" / "metrics.csv").write_text("half a")

    result, _ = Study(cache, tmp_path, *SWEEP).finish()
    rows = pd.read_csv(result / "metrics.csv")
    assert rows["neurons_per_gate"].tolist() == [2, 4]
    assert rows["run_s"][0] == 12345.0 > rows["run_s"][1]
    assert set(pd.read_csv(result / "layers.csv")["neurons_per_gate"]) == {2, 4}
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
    """Build folders with and without the marker against what is handed out: kept, or empty."""
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), builds.build_folder("program") as folder:
        (folder / "main").write_text("half")
        raise KeyboardInterrupt
    with builds.build_folder("program") as again:
        assert again == folder
        assert list(folder.iterdir()) == []
        (folder / "main").write_text("whole")
        (folder / builds.COMPLETE).touch()
        (folder / "results_0_1").mkdir()
    with builds.build_folder("program") as again:
        assert sorted(path.name for path in again.iterdir()) == [builds.COMPLETE, "main"]
    with builds.build_folder("another program") as other:
        assert other != folder and list(other.iterdir()) == []


def test_two_processes_take_turns_in_one_build(tmp_path):
    """Two processes in one build folder against times that do not overlap; a third elsewhere."""
    code = (
        "import sys, time; from models.builds import build_folder\n"
        "with build_folder(sys.argv[1]):\n"
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
    outputs = [run.communicate(timeout=60) for run in runs]
    spans = [tuple(map(float, out.split())) for out, _ in outputs]
    waited = ["waiting for another run" in said for _, said in outputs]
    (_, end), (start, _) = sorted(spans[:2])
    assert end <= start
    assert sorted(waited) == [False, False, True] and not waited[2]
