"""Bad input of the burst study: what is said about it, by the function and by the command.

The command says it in one line, exits with status 2, and leaves no result.
"""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import Activation, Conv2D, Dense, Flatten, MaxPool2D, Spike
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies import run_burst
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame import study as frame
from safetensors.numpy import load_file, save_file

from tests.support.networks import everything, images_for, pooled_network

TINY = ["--target", "numpy", "--quick", "--images", "2", "--spikes", "1", "--steps", "2"]


def refused(capsys, out, *flags, before=TINY):
    """Message of a study that must end with status 2 and say why in one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run_burst.main([*before, "--out", str(out), *flags])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    *above, last = re.split(r"[\r\n]+", said.strip())
    # Above it there may be a progress bar, or the usage that argparse prints.
    assert "error:" not in "".join(above)
    assert "error: " in last
    if out.is_dir():
        assert not common.complete_results(out / "burst")
    return last.split("error: ", 1)[1]


def refused_at_once(capsys, out, *flags):
    """The same, before anything is written."""
    said = refused(capsys, out, *flags)
    assert not out.exists()
    return said


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Results without figures, which take most of the time."""
    monkeypatch.setattr(frame, "make_figures", lambda *_: [])
    monkeypatch.setattr(frame, "try_report", lambda *_: None)


@pytest.fixture(scope="module")
def case():
    """A small network with max pooling, its images and its conversion."""
    network = pooled_network()
    images = images_for(network, 3)
    options = BurstOptions(n_steps=2, gamma=2)
    return network, images, burst.convert(network, options, images).spiking


# ---- networks and weights ----


def digits_network(*middle):
    """Network for the digits whose layers are a convolution, `middle` and a dense layer."""
    shipped = storage.load_network(storage.trained("digits-burst"))
    n_classes = len(shipped.classes)
    layers = (
        Conv2D("conv", ("input",), np.ones((8, 8, 1, n_classes)), np.zeros(n_classes)),
        *middle,
        Flatten("flat", (middle[-1].name if middle else "conv",)),
        Dense("out", ("flat",), np.eye(n_classes), np.zeros(n_classes)),
    )
    return Network("by hand", shipped.input, layers, shipped.classes)


@pytest.mark.parametrize(
    "middle, message",
    [
        ([], "network 'by hand' has no activation"),
        (
            [Activation("act", ("conv",), "relu"), Spike("spikes", ("act",))],
            "Spike 'spikes' cannot become spiking neurons in this scheme",
        ),
    ],
    ids=["linear", "spiking units"],
)
def test_networks_that_cannot_be_converted(tmp_path, capsys, middle, message):
    """Networks without burst neurons, in function and study, against the layer and the reason."""
    network = digits_network(*middle)
    images, _ = datasets.load("digits", "train")
    network.forward(images[:2])  # it is a network, only not one that can be converted
    with pytest.raises(ValueError, match=message):
        burst.convert(network, calibration=images[:20])
    path = storage.save_network(network, tmp_path / "mine.safetensors")
    said = refused_at_once(capsys, tmp_path / "out", "--network", str(path))
    assert re.search(message, said)


@pytest.mark.parametrize(
    "middle, layers",
    [
        ([Activation("act", ("conv",), "relu")], ["act"]),
        ([Activation("act", ("conv",), "silu")], ["act_relu1"]),
        (
            [
                Activation("act", ("conv",), "relu"),
                Dense("mid", ("act",), np.eye(10), np.zeros(10)),
                MaxPool2D("biggest", ("mid",), (1, 1), (1, 1)),
            ],
            ["act"],
        ),
    ],
    ids=["relu", "silu", "pooling of no spikes"],
)
def test_networks_by_hand_that_can_be_converted(tmp_path, middle, layers):
    """Networks like those of the test above against a result: the control."""
    path = storage.save_network(digits_network(*middle), tmp_path / "mine.safetensors")
    folder = run_burst.main([*TINY, "--network", str(path), "--out", str(tmp_path / "out")])
    assert pd.read_csv(folder / "layers.csv")["layer"].tolist() == layers * 2


def test_shipped_network_of_another_scheme(tmp_path):
    """The SiLU network of the AMOS study, whose curves are pieces, against the named layers."""
    flags = ["--network", "digits-silu", "--pieces", "2", "--baseline-steps", "0"]
    folder = run_burst.main([*TINY, *flags, "--out", str(tmp_path / "out")])
    assert pd.read_csv(folder / "layers.csv")["layer"].tolist() == ["act1_relu1", "act2_relu1"]
    assert pd.read_csv(folder / "metrics.csv")["pieces"].tolist() == [2]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weight_file_with_weights_that_are_not_finite(tmp_path, capsys, value):
    """One bad weight in a file that is intact otherwise against layer, place and value."""
    path = tmp_path / "mine.safetensors"
    tensors = load_file(storage.trained("digits-burst"))
    tensors["conv2.kernel"][1, 0, 2, 3] = value
    structure, _ = storage._read(storage.trained("digits-burst"))
    document = {"sha256": storage._digest(structure, tensors), "structure": structure}
    save_file(tensors, path, metadata={"ann2brian": json.dumps(document)})
    said = refused_at_once(capsys, tmp_path / "out", "--network", str(path))
    assert said.startswith(f"{path}: holds no valid network")
    assert re.search(rf"'conv2'.*kernel\[1, 0, 2, 3\] is {value}.*not finite", said)


def test_damaged_weight_file(tmp_path, capsys):
    """A weight file cut short against the message with its path."""
    path = tmp_path / "mine.safetensors"
    path.write_bytes(storage.trained("digits-burst").read_bytes()[:-7])
    said = refused_at_once(capsys, tmp_path / "out", "--network", str(path))
    assert said.startswith(str(path)) and "cut short" in said


# ---- images and data ----


@pytest.mark.parametrize("value", [-1.0, 16.0, 0.5, np.nan, np.inf])
@pytest.mark.parametrize("where", ["calibration", "simulate"])
def test_images_out_of_range(case, where, value):
    """Pixels below, above, between or beyond 0 to 15 against errors that name image and value."""
    network, images, spiking = case
    take = {
        "calibration": lambda images: burst.convert(network, calibration=images),
        "simulate": lambda images: simulate(spiking, images, target="numpy"),
    }[where]
    broken = images.astype(float)
    broken[1, 4, 3, 1] = value
    shown = "nan|NaN" if np.isnan(value) else str(value)
    with pytest.raises(ValueError, match=rf"image 1 holds ({shown})"):
        take(broken)


@pytest.mark.parametrize("where", ["calibration", "simulate"])
@pytest.mark.parametrize("shape", [(3, 10, 11, 2), (3, 11, 10, 1), (11, 10, 2), (3, 220)], ids=str)
def test_images_of_the_wrong_size(case, where, shape):
    """Images turned, grey, single or flat against errors with the wanted and the given shape."""
    network, _, spiking = case
    take = {
        "calibration": lambda images: burst.convert(network, calibration=images),
        "simulate": lambda images: simulate(spiking, images, target="numpy"),
    }[where]
    with pytest.raises(ValueError, match=rf"\(n, 11, 10, 2\).*got {re.escape(str(shape))}"):
        take(np.zeros(shape))


def test_no_images(case):
    """Empty batches against errors that want at least one."""
    network, images, spiking = case
    with pytest.raises(ValueError, match="at least one image"):
        burst.convert(network, calibration=images[:0])
    with pytest.raises(ValueError, match=r"n >= 1, got \(0, 11, 10, 2\)"):
        simulate(spiking, images[:0], target="numpy")


def test_study_names_images_that_are_out_of_range(tmp_path, capsys, monkeypatch):
    """A data set with a bad pixel, in training and in test images, against image and value."""
    load = datasets.load
    for split, shown in (("train", "99"), ("test", "98")):

        def broken(dataset, which, folder, split=split, shown=shown):
            images, labels = load(dataset, which, folder)
            images = images.copy()
            if which == split:
                images[:, 3, 3, 0] = int(shown)
            return images, labels

        monkeypatch.setattr(datasets, "load", broken)
        said = refused(capsys, tmp_path / "out")
        assert f"image 0 holds {shown}" in said


def test_missing_data_folder(tmp_path, capsys):
    """A folder without Fashion-MNIST against the message with the path and both settings."""
    flags = ["--dataset", "fashion-mnist", "--data", str(tmp_path / "nowhere")]
    said = refused_at_once(capsys, tmp_path / "out", *flags)
    assert str(tmp_path / "nowhere") in said and "no such file" in said
    assert datasets.SETTING in said and "--data" in said


# ---- scales ----


@pytest.mark.parametrize("normalisation", ["percentile", "percentile/gamma", "compatibility"])
def test_percentile_at_which_a_layer_is_silent(tmp_path, capsys, normalisation):
    """A percentile so low that a layer shows nothing, in function and study, against its name."""
    network = storage.load_network(storage.trained("digits-burst"))
    images, _ = datasets.load("digits", "train")
    activity = network.activations(images[:100])
    silent = [np.mean(activity[name] > 0) < 0.8 for name in ("act1", "act2")]
    assert silent[0]
    message = "layer 'act1': percentile 20 of its calibration outputs is 0"
    options = BurstOptions(normalisation=normalisation, percentile=20.0)
    with pytest.raises(ValueError, match=message):
        burst.convert(network, options, images[:100])
    flags = ["--percentile", "20", "--normalisation", normalisation]
    said = refused_at_once(capsys, tmp_path / "out", *flags)
    assert said.startswith(message)
    assert "more images or a higher percentile" in said


def test_layer_that_is_always_silent(tmp_path, capsys):
    """A second layer whose bias lets nothing through against its name, whatever the percentile."""
    shipped = storage.load_network(storage.trained("digits-burst"))
    layers = tuple(
        replace(layer, bias=np.full(layer.bias.shape, -1e6)) if layer.name == "conv2" else layer
        for layer in shipped.layers
    )
    path = storage.save_network(replace(shipped, layers=layers), tmp_path / "mine.safetensors")
    said = refused_at_once(capsys, tmp_path / "out", "--network", str(path))
    assert said.startswith("layer 'act2': percentile 100 of its calibration outputs is 0")
    assert "higher" not in said and "leave it out of the network" in said


# ---- options ----


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--steps", "0"], "--steps: n_steps must be a whole number from 1 to 4096, got 0"),
        (["--steps", "2.5"], "--steps: n_steps must be .* got '2.5'"),
        (["--gamma", "0"], "--gamma: gamma must be a whole number from 1 to 64, got 0"),
        (["--gamma", "2", "65"], "gamma must be a whole number from 1 to 64, got 65"),
        (["--baseline-steps", "-1"], "--baseline-steps: '-1' is not a whole number of at least 0"),
        (["--baseline-steps", "4097"], "--baseline-steps: .* from 1 to 4096, got 4097"),
        (["--normalisation", "mean"], "--normalisation: invalid choice: 'mean'.*compatibility"),
        (["--percentile", "0"], "percentile must be above 0 and at most 100, got 0.0"),
        (["--percentile", "100.1"], "percentile must be .*got 100.1"),
        (["--percentile", "nan"], "percentile must be .*got nan"),
        (["--pieces", "0"], "--pieces: pieces must be a whole number from 1 to 256, got 0"),
        (["--percentile", "x"], "--percentile: percentile must be .* got 'x'"),
        (["--initial", "1"], "initial must be at least 0 and below 1, got 1.0"),
        (["--initial", "-0.5"], "initial must be .*got -0.5"),
        (["--initial", "nan"], "initial must be .*got nan"),
        (["--pooling", "lipool", "max"], "--pooling: invalid choice: 'max'.*lipool.*gated.*or"),
        (["--timing", "none"], "--timing: invalid choice: 'none'.*double-buffer.*alternating"),
        (["--intra-burst-ms", "0"], "intra_burst_ms must be from 0.001 to 1000, got 0.0"),
        (["--intra-burst-ms", "-2"], "intra_burst_ms must be from 0.001 to 1000, got -2.0"),
        (["--intra-burst-ms", "inf"], "intra_burst_ms must be .*got inf"),
        (["--intra-burst-ms", "nan"], "intra_burst_ms must be .*got nan"),
        (["--guard-ms", "3"], "guard_ms must be a whole number of intervals of 2.0 ms.*got 3.0"),
        (["--guard-ms", "1e12"], "guard_ms must be .*at most 1000, got"),
        (["--intra-burst-ms", "1e-300"], "intra_burst_ms must be .*got 1e-300"),
        (["--guard-ms", "-2"], "guard_ms must be .*got -2.0"),
        (["--guard-ms", "inf"], "guard_ms must be .*got inf"),
        (["--delay-ms", "1"], "delay_ms must be a whole number of intervals of 2.0 ms.*got 1.0"),
        (["--delay-ms", "nan"], "delay_ms must be .*got nan"),
        (["--delay-ms", "6"], "delay_ms 6.0 is longer than guard_ms 4.0: the last spike"),
        (["--guard-ms", "0"], "delay_ms 2.0 is longer than guard_ms 0.0"),
        (["--weight-bits", "1"], "weight_bits must be a whole number from 2 to 24, got 1"),
        (["--weight-bits", "25"], "weight_bits .*got 25"),
        (["--weight-bits", "x"], "--weight-bits: weight_bits must be .* got 'x'"),
        (["--spikes", "0"], "--spikes: '0' is not a whole number of at least 1"),
        (["--calibration", "0"], "--calibration: '0' is not a whole number of at least 1"),
        (["--network", "resnet"], "no trained network 'resnet'.*digits-burst"),
        (["--network", "no.safetensors"], "no.safetensors: no such weight file.*digits-burst"),
        (["--network", "fashion-burst"], r"fashion-burst.* \(28, 28, 1\), digits has \(8, 8, 1\)"),
        (["--dataset", "mnist"], "--dataset mnist: no burst network is shipped for it"),
        (["--dataset", "imagenet"], "--dataset: invalid choice: 'imagenet'"),
        (["--images", "0"], "--images: '0' is not a whole number of at least 1"),
        (["--batch", "0"], "--batch: '0' is not a whole number of at least 1"),
        (["--jobs", "-1"], "--jobs: '-1' is not a whole number of at least 1"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number of at least 0"),
        (["--target", "cuda"], "--target: invalid choice: 'cuda'.*cpp_standalone"),
        (["--slot-ms", "1"], "unrecognized arguments: --slot-ms"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flag_out_of_range(tmp_path, capsys, flags, message):
    """Bad values of flags against the one line that names the flag or option and the value."""
    assert re.search(message, refused_at_once(capsys, tmp_path / "out", *flags))


@pytest.mark.parametrize(
    "flags",
    [
        ["--guard-ms", "0", "--delay-ms", "0"],
        ["--delay-ms", "4"],
        ["--percentile", "100", "--weight-bits", "2", "--gamma", "64"],
    ],
    ids=" ".join,
)
def test_values_at_the_ends_are_taken(tmp_path, flags):
    """The last values that are not refused against a result."""
    folder = run_burst.main([*TINY, "--baseline-steps", "0", "--out", str(tmp_path), *flags])
    assert pd.read_csv(folder / "metrics.csv")["n_images"].tolist() == [2]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--images", "541"], "--images 541: digits has 540"),
        (
            ["--steps", "4097"],
            "argument --steps: n_steps must be a whole number from 1 to 4096, got 4097",
        ),
    ],
    ids=" ".join,
)
def test_more_than_there_are(tmp_path, capsys, flags, message):
    """Images and steps beyond the last, which --quick would lower, against both numbers."""
    out = tmp_path / "out"
    assert refused(capsys, out, *flags, before=["--target", "numpy"]) == message
    assert not out.exists()


# ---- surroundings ----


@pytest.mark.parametrize(
    "target, there, missing",
    [("cpp_standalone", (), "make and g\\+\\+"), ("cython", ("make",), "g\\+\\+")],
)
def test_missing_compiler(tmp_path, monkeypatch, capsys, target, there, missing):
    """A PATH without make or g++ against the message that names them, and no result."""
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path / "cache"))
    said = refused(capsys, tmp_path / "out", "--target", target)
    assert re.search(rf"^{missing} not found: the target {target}.*--target numpy", said)
    assert not list((tmp_path / "out").glob("burst/*/*.csv"))


def test_output_folder_that_cannot_be_written(tmp_path, capsys):
    """An --out below a regular file against the message that names it and the flag."""
    (tmp_path / "file").write_text("in the way")
    said = refused(capsys, tmp_path / "file" / "out")
    assert said.startswith(f"cannot write results to {tmp_path}/file/out/burst: ")
    assert "--out" in said
    assert (tmp_path / "file").read_text() == "in the way"


def test_older_result_survives_a_refusal(tmp_path, capsys, monkeypatch):
    """A result whose repetition fails half-way against the old files, which are still there."""
    flags = [*TINY, "--baseline-steps", "0", "--out", str(tmp_path)]
    folder = run_burst.main(flags)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*arguments, **options):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(frame, "save_spikes", fail)
        with pytest.raises(SystemExit):
            run_burst.main(flags)
    assert capsys.readouterr().err.strip().endswith("error: no space left")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert run_burst.main(flags) == folder
    assert not list(tmp_path.glob("burst/*.part"))


def test_network_without_max_pooling_is_taken():
    """Average pooling, which the AMOS networks have, against the same conversion: no refusal."""
    network = everything()
    conversion = burst.convert(network, calibration=images_for(network, 3))
    assert list(conversion.scales) == ["act1", "act2", "act3", "act4"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--study"],
        ["--baseline-steps", "8"],
        ["--gamma", "1", "2"],
        ["--normalisation", "maximum"],
        ["--initial", "0"],
        ["--channel-wise"],
        ["--own-limits"],
    ],
    ids=" ".join,
)
def test_comparisons_of_a_quantised_network_are_refused(tmp_path, capsys, flags):
    """Flags without effect on a network that brings its own scales: named, and nothing written."""
    arguments = ["--network", "digits-qcfs", "--quick", "--out", str(tmp_path), *flags]
    with pytest.raises(SystemExit) as ended:
        run_burst.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {flags[0]}: digits-qcfs has quantised")
    assert not list(tmp_path.iterdir())
