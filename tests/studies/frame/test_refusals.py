"""Bad input: what is said about it.

Refusals are tested twice where they have two doors: the function raises an error that names what
is wrong, and the study prints it in one line, without a traceback, and exits with status 2.
"""

import gzip
import hashlib
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.engine import builds
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    GlobalAvgPool,
    MaxPool2D,
    QuantisedReLU,
)
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.amos import conversion as amos
from ann2brian.models.schemes.amos.gate_fits import fitted_gate
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.studies import run_amos
from ann2brian.studies.frame import result_folder as common

from tests.support.networks import everything, images_for

ROOT = Path(__file__).resolve().parents[3]
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
    options = AmosOptions(neurons_per_gate=2)
    return network, images, amos.convert(network, options, images).spiking


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


def test_quantised_activations_are_named_by_amos():
    """A network of quantised activations only, which has no gate at all."""
    network = storage.load_network(storage.trained("digits-qcfs"))
    layers = tuple(
        AvgPool2D(layer.name, layer.inputs, layer.size, layer.stride, layer.padding)
        if isinstance(layer, MaxPool2D)
        else layer
        for layer in network.layers
    )
    network = replace(network, layers=layers)
    with pytest.raises(ValueError, match=r"QuantisedReLU '\w+' cannot become"):
        amos.convert(network, calibration=np.zeros((2, 8, 8, 1)))


def test_study_names_the_unsupported_layer(tmp_path, capsys):
    """The study on a weight file with quantised units against the same error, in one line."""
    shipped = storage.load_network(storage.trained("digits-relu"))
    width = shipped.layers[-1].kernel.shape[1]
    layers = (
        Conv2D("conv", ("input",), np.ones((1, 1, 1, width)), np.zeros(width)),
        QuantisedReLU("act", ("conv",), 0.5, 4),
        GlobalAvgPool("mean", ("act",)),
        Dense("out", ("mean",), np.eye(width), np.zeros(width)),
    )
    network = Network("quantised", shipped.input, layers, shipped.classes)
    path = storage.save_network(network, tmp_path / "quantised.safetensors")
    said = refused(capsys, tmp_path / "out", "--network", str(path))
    assert "QuantisedReLU 'act' cannot become" in said


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
        "calibration": lambda images: amos.convert(network, calibration=images),
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
        "calibration": lambda images: amos.convert(network, calibration=images),
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
    known = datasets.DATASETS["fashion-mnist"]
    changed = replace(known, source=replace(known.source, md5=sums))
    monkeypatch.setitem(datasets.DATASETS, "fashion-mnist", changed)
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
    flags = ["--dataset", "fashion-mnist", "--data", str(fashion), "--images", "2"]
    said = refused(capsys, tmp_path / "out", *flags)
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
        AmosOptions(neurons_per_gate=n_neurons)


def test_gate_size_without_a_fit(case):
    """A size of which no SiLU gate is shipped, in function and conversion, against the list."""
    network = everything("silu")
    for attempt in (
        lambda: fitted_gate("silu", 5),
        lambda: amos.convert(network, AmosOptions(neurons_per_gate=5), case[1]),
    ):
        with pytest.raises(ValueError, match=r"silu gate with 5 neurons.*4, 6, 8.* neurons"):
            attempt()


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("range_percentile", 0, "range_percentile must be above 0 and at most 100, got 0"),
        ("range_percentile", np.nan, "range_percentile.*got nan"),
        ("inhibition", "none", "inhibition must be one of amos, fs, got 'none'"),
        ("weight_bits", 1, "weight_bits.*2 to 24, got 1"),
        ("slot_ms", 0.0, "slot_ms.*got 0.0"),
        ("slot_ms", np.inf, "slot_ms.*finite, got inf"),
        ("slot_ms", np.nan, "slot_ms.*got nan"),
    ],
)
def test_conversion_option_out_of_range(option, value, message):
    """Each other option of the conversion against the error that names it and the value."""
    with pytest.raises(ValueError, match=message):
        AmosOptions(**{option: value})


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            ["--neurons-per-gate", "0"],
            "--neurons-per-gate: neurons_per_gate must be a whole number .*got 0",
        ),
        (["--neurons-per-gate", "x"], "--neurons-per-gate: neurons_per_gate must .* got 'x'"),
        (["--neurons-per-gate", "17"], "neurons_per_gate must be a whole number from 1 to 16"),
        (["--gate", "silu", "--neurons-per-gate", "5"], "silu gate with 5 neurons; there are"),
        (["--gate", "silu", "--network", "digits-relu"], "--gate silu: digits-relu has relu"),
        (["--gate", "tanh"], "--gate: invalid choice: 'tanh'"),
        (["--network", "resnet"], "no trained network 'resnet'.*digits-relu"),
        (["--target", "cuda"], "--target: invalid choice: 'cuda'.*cpp_standalone"),
        (["--slot-ms", "inf"], "slot_ms must be above 0 and finite, got inf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flag_out_of_range(tmp_path, capsys, flags, message):
    """Bad values of flags against the one line that names the flag or option and the value."""
    assert re.search(message, refused(capsys, tmp_path, *flags))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch": 0}, "batch must be .* at least 1, got 0"),
        ({"batch": 1.5}, "batch .*got 1.5"),
        ({"jobs": 0}, "jobs must be .* at least 1, got 0"),
        ({"period": 0}, "period must be .*at least 1 phases, got 0"),
        ({"target": "cuda"}, "target must be one of cpp_standalone, cython, numpy, got 'cuda'"),
        ({"record": ["act1", "act9"]}, "record: no layer 'act9'; there are input, act1, act2"),
        ({"traces": {"act9": [0]}}, "traces: no layer 'act9'; there are input, act1, act2"),
        ({"traces": {"act4": [24]}, "batch": 1}, "traces: neurons of layer 'act4' are 0 to 23"),
        ({"traces": {"act4": [0]}, "batch": 2}, "traces show one image at a time.* got batch=2"),
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
