"""What every study of the catalogue promises: files, numbers, flags, refusals and resuming."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.conversion.options import options_of
from ann2brian.models.networks import datasets
from ann2brian.models.networks.dynamics import Neurons
from ann2brian.models.networks.network import accuracy
from ann2brian.models.networks.weight_files import load_info, load_network, trained
from ann2brian.models.places import ROOT
from ann2brian.studies.catalogue import STUDIES
from ann2brian.studies.frame import study as frame
from ann2brian.studies.frame.flags import place_of
from ann2brian.studies.frame.result_folder import REQUIRED_COLUMNS, complete_results
from ann2brian.studies.frame.spike_files import load_spikes

import ann2brian as ab
from tests.support.studies import N_IMAGES, N_TRAINS, SMALL, quick_run

PROMISED = {
    *("scheme", "dataset", "network", "n_images", "ann_accuracy", "snn_accuracy", "agreement"),
    *("spikes_per_image", "max_spikes_per_neuron", "latency_ms", "synaptic_events_per_image"),
    *("build_s", "run_s"),
}
NOT_DRAWN = {  # of a plain run: comparisons of several sizes, rules, networks, and of one neuron
    "amos": {"amos_accuracy_against_k"},
    "burst": {"burst_pooling", "burst_ablation"},
    "noise": {
        *("noise_accuracy", "noise_psychometric", "noise_trials", "noise_trial_statistics"),
        "noise_effort",
    },
    "albsnn": {"albsnn_potentials", "albsnn_curve", "albsnn_timing"},
}
TWO = {  # flags of two conditions
    "amos": ("--neurons-per-gate", "2", "4"),
    "burst": ("--gamma", "1", "2", "--baseline-steps", "0"),
    "noise": ("--rule", "both", "residual"),
    "albsnn": ("--steps", "1", "2"),
    "nir": ("--reset", "value", "subtract"),
}
WALL_TIMES = ["build_s", "run_s"]
# An interpreter whose installation lacks PyTorch (None in sys.modules confuses SciPy).
NO_TORCH = (
    "import sys; "
    "from importlib.machinery import PathFinder as P; "
    "find = P.find_spec; "
    "P.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)"
)


@pytest.fixture(params=STUDIES, ids=lambda study: study.name)
def study(request):
    return request.param


@pytest.fixture
def result(study, finished):
    return finished(study.name)


def table(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


def tables_of(folder):
    return sorted(path.stem for path in folder.glob("*.csv"))


def assert_same_numbers(folder, other, but=()):
    """All tables and spike trains of two results, exactly; wall times and `but` apart."""
    assert tables_of(folder) == tables_of(other)
    for name in tables_of(folder):
        ours, theirs = (
            table(f, name).drop(columns=[*WALL_TIMES, *but], errors="ignore")
            for f in (folder, other)
        )
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    ours, theirs = (load_spikes(f / "spikes.npz")[0] for f in (folder, other))
    assert len(ours) > 0
    for column in ("image", "layer", "neuron", "step"):
        np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))


# ---- what is written ----


def test_every_study_is_here():
    """The catalogue against the folders with studies, and against what is varied here."""
    names = {path.parent.name for path in (ROOT / "studies").glob("*/study.py")} - {"frame"}
    assert {study.name for study in STUDIES} == names >= set(TWO) | set(NOT_DRAWN)


def test_promised_files(study, result):
    """Files of a run against the promise, figures included, and nothing unfinished."""
    network = study.networks["digits"]
    assert result.parent.name == study.name
    name, _, key = result.name.rpartition("-")
    assert name in (f"digits-{network}", f"digits-{network}-K8")
    assert len(key) == 8
    drawn = {draw.__name__ for draw in study.figures} - NOT_DRAWN.get(study.name, set())
    files = {str(path.relative_to(result)) for path in result.rglob("*") if path.is_file()}
    fixed = {"config.json", "provenance.json", "spikes.npz", "metrics.csv", "time.csv"}
    fixed |= {"layers.csv", "report.html"} | {
        f"figures/{x}.{kind}" for x in drawn for kind in ("png", "pdf")
    }
    assert fixed <= files
    assert all(file.endswith(".csv") for file in files - fixed)
    for path in result.glob("figures/*"):
        assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix]
        assert path.stat().st_size > 2000  # an empty set of axes is smaller
    assert [path.name for path in result.iterdir() if path.is_dir()] == ["figures"]
    assert not list(result.parent.glob("*.part"))


def test_metrics_are_those_of_images_and_spikes(study, result):
    """The last row of metrics.csv against the trained network, the spike trains, and time.csv."""
    row = table(result, "metrics").iloc[-1]
    assert PROMISED == set(REQUIRED_COLUMNS) <= set(row.index)
    network = load_network(trained(study.networks["digits"]))
    images, labels = (part[:N_IMAGES] for part in datasets.load("digits", "test"))
    logits = as_trained(network, images, row)
    assert (row.scheme, row.dataset, row.network) == (study.name, "digits", network.name)
    assert row.n_images == N_IMAGES
    assert row.training_seed == load_info(trained(network.name)).get("seed", 0)
    assert row.ann_accuracy == accuracy(logits, labels) > 0.8
    assert 0 <= row.build_s < 600 and 0 < row.run_s < 600
    spikes, layers, stored = load_spikes(result / "spikes.npz")
    n_kept = len(stored["labels"])
    assert n_kept == (N_IMAGES if study.records_all else N_TRAINS)
    np.testing.assert_array_equal(stored["labels"], labels[:n_kept])
    counts = table(result, "layers")["layer"].drop_duplicates()
    assert len(spikes) > 0 and len(layers) > 0 and len(counts) > 0
    most = pd.DataFrame({"image": spikes.image, "layer": spikes.layer, "neuron": spikes.neuron})
    assert most.value_counts().max() <= row.max_spikes_per_neuron
    if study.records_all:
        assert len(spikes) == pytest.approx(row.spikes_per_image * N_IMAGES)
    assert stored["latency_steps"] * stored["dt_ms"] == pytest.approx(row.latency_ms)
    time = table(result, "time")
    own = time[(time[list(_keys(row, time))] == row[list(_keys(row, time))]).all(axis=1)]
    last = own.iloc[-1]
    assert own["step"].tolist() == list(range(1, len(own) + 1))
    assert (last.accuracy, last.agreement) == (row.snn_accuracy, row.agreement)
    assert last.time_ms == pytest.approx(row.latency_ms)
    if "events_per_image" in own:
        assert last.events_per_image == pytest.approx(row.synaptic_events_per_image)
        assert last.energy_nj == pytest.approx(0.9e-3 * row.synaptic_events_per_image)
        assert own["spikes_per_image"].is_monotonic_increasing


def as_trained(network, images, row):
    """Logits; of neurons with a state in time, which have no forward pass, their reference's."""
    if not any(isinstance(layer, Neurons) for layer in network.layers):
        return network.forward(images)
    conversion = ab.convert(network, ab.NirOptions(n_steps=int(row.n_steps)))
    return ab.reference(conversion, images).scores[:, -1]


def _keys(row, time):
    names = ("network", "training_seed", "condition", "n_steps", "neurons_per_gate")
    return [name for name in names if name in time]


def test_metrics_have_a_column_for_each_option(study, result):
    """Names of the options against the columns; values of those that nothing varies here."""
    row = table(result, "metrics").iloc[-1]
    assert {option.name for option in options_of(study.scheme.options)} <= set(row.index)
    for option in options_of(study.scheme.options):
        if option.name not in (*study.published.varies, "mean", "sigma"):
            found, wanted = row[option.name], usual(option)
            assert found == wanted or (wanted is None and pd.isna(found))


def usual(option):
    return option.otherwise if option.default is None else option.default


def test_every_column_of_metrics_is_explained(study, result):
    """Columns against the tables of docs/read-a-recording.md and the options of the scheme."""
    page = (ROOT / "docs/read-a-recording.md").read_text()
    rows = [line for line in page.partition("### Columns of")[2].splitlines() if line[:3] == "| `"]
    explained = {column for row in rows for column in re.findall(r"`(\w+)`", row.split("|")[1])}
    explained |= {option.name for option in options_of(study.scheme.options)}
    assert set(table(result, "metrics").columns) <= explained


def test_configuration_and_provenance(study, result):
    """config.json and provenance.json against flags, defaults, weight file, packages and clock."""
    config = json.loads((result / "config.json").read_text())
    digest = hashlib.sha256(trained(study.networks["digits"]).read_bytes()).hexdigest()
    assert set(np.ravel(config["weights_sha256"])) == {digest}
    fixed = {"scheme": study.name, "dataset": "digits", "images": N_IMAGES, "spikes": N_TRAINS}
    fixed |= {"is_whole_test_split": False, "quick": True, "seed": 1, "target": "numpy"}
    fixed |= {"pipelined": False, "jobs": 1, "batch": None}
    assert fixed.items() <= config.items()
    # Less than the default 512, because of --quick; only where images are read.
    calibration = 100 if study.scheme.reads_calibration else None
    assert config.get("calibration") == calibration
    for condition in config["conditions"]:
        assert {option.name for option in options_of(study.scheme.options)} <= set(condition)
    found = json.loads((result / "provenance.json").read_text())
    head = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    if subprocess.run(head, capture_output=True, check=False).returncode == 0:
        assert len(found["commit"]) == 40  # a commit may have been made since the run
        assert isinstance(found["uncommitted_changes"], bool)
    assert found["command"] == [Path(sys.argv[0]).name, *sys.argv[1:]]
    assert (found["seed"], found["target"]) == (1, "numpy")
    for package in ("brian2", "numpy", "scikit-learn", "safetensors"):
        assert found["versions"][package] == version(package)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cores"] >= 1
    age = datetime.now(UTC) - datetime.fromisoformat(found["finished"])
    assert timedelta(0) <= age < timedelta(hours=1)


# ---- what must not change a number, and what must ----


@pytest.mark.parametrize(
    "flags, columns",
    [
        (["--batch", 3, "--jobs", 2], ["jobs"]),
        (["--pipelined"], ["pipelined", "images_per_biological_s"]),
    ],
    ids=["batch and jobs", "pipelined"],
)
def test_how_images_are_presented_changes_no_number(study, result, tmp_path, flags, columns):
    """Tables and spikes with other batches, processes and periods against the finished run."""
    other = quick_run(study, tmp_path, *flags)
    assert other.name != result.name
    assert_same_numbers(other, result, columns)


def test_network_by_file_is_the_same_result(study, result, tmp_path):
    """A copy of the weight file, named by its path, against the default choice."""
    copy = tmp_path / "mine.safetensors"
    shutil.copy(trained(study.networks["digits"]), copy)
    other = quick_run(study, tmp_path, "--network", copy)
    assert other.name == result.name
    assert_same_numbers(other, result)


def test_own_images_are_as_those_of_a_data_set(study, result, tmp_path):
    """The digits as a file of one's own against the data set: all numbers, and the hash of both."""
    for split in ("train", "test"):
        images, labels = datasets.load("digits", split)
        np.savez(tmp_path / f"{split}.npz", images=images[..., 0], labels=labels)
    flags = ["--images", tmp_path / "test.npz", N_IMAGES, "--network", study.networks["digits"]]
    if study.scheme.reads_calibration:
        flags += ["--calibration-images", tmp_path / "train.npz"]
    other = quick_run(study, tmp_path / "out", *flags)
    assert other.name.startswith(f"test.npz-{study.networks['digits']}")
    assert set(table(other, "metrics")["dataset"]) == {"test.npz"}
    assert_same_numbers(other, result, ["dataset"])
    config = json.loads((other / "config.json").read_text())
    assert not config["is_whole_test_split"] and len(config["images_sha256"]) == 64
    assert ("calibration_sha256" in config) == study.scheme.reads_calibration


def test_calibration_images_are_loaded_only_where_they_are_read(study, tmp_path, monkeypatch):
    """Splits of the data set that a run asks for, and whether there is the flag."""
    load, splits = datasets.load, []

    def observe(name, split, data=None):
        splits.append(split)
        return load(name, split, data)

    monkeypatch.setattr(datasets, "load", observe)
    one_image = ("--images", 1, "--spikes", 1)
    quick_run(study, tmp_path, *one_image)
    assert set(splits) == {"test"} | ({"train"} if study.scheme.reads_calibration else set())
    flags = {flag for action in study.parser()._actions for flag in action.option_strings}
    for flag in ("--calibration", "--calibration-images"):
        assert (flag in flags) == study.scheme.reads_calibration


def test_every_flag_names_another_result(study, tmp_path, monkeypatch):
    """Names of the results of runs that differ in one flag against each other."""

    class Named(Exception):
        pass

    def stop(folder, *_, **__):
        raise Named(folder.path.name)

    monkeypatch.setattr(frame, "_task", lambda *_, **__: None)
    monkeypatch.setattr(frame, "computed", stop)
    monkeypatch.setattr(frame.Case, "conversion", True)

    def name(*flags):
        with pytest.raises(Named) as named:
            quick_run(study, tmp_path, *flags)
        return str(named.value)

    changes = [(), ("--pipelined",), ("--batch", 1), ("--jobs", 2), ("--target", "cython")]
    changes += [("--seed", 2), ("--images", 3), ("--spikes", 1)]
    changes += [("--calibration", 50)] if study.scheme.reads_calibration else []
    changes += [("--any-classes",)]
    changes += [("--study",)] if study.comparisons else []
    changes += [("--baseline-steps", 0)] if study.name == "burst" else []
    changes += [(f"--{o.flag}", *other_value(o)) for o in declared(study)]
    assert len({name(*flags) for flags in changes}) == len(changes)
    nowhere = ("--data", tmp_path / "nowhere")  # not read for the digits
    assert name(*nowhere, "--network", study.networks["digits"]) == name()
    assert name("--scheduler", "tcp://127.0.0.1:8786") == name()  # changes no number


def declared(study):
    return [o for o in options_of(study.scheme.options) if o.name not in study.unused]


def other_value(option):
    """Flag values other than the default of an option, and than those of the quick runs here."""
    if option.kind is bool:
        return ()
    if option.choices:
        return (next(choice for choice in option.choices if choice != usual(option)),)
    value = {"n_steps": 1, "weight_bits": 12, "guard_ms": 6, "delay_ms": 4, "intra_burst_ms": 1}
    if option.name in value:
        return (value[option.name],)
    return (option.default / 2 if option.default else 0.25,) if option.kind is float else (3,)


# ---- the command line ----


def test_flags_are_explained(study):
    """Every flag has a help text of some words; each option its default, and a sweep its list."""
    parser = study.parser()
    said = parser.format_help()  # a stray per cent sign would fail here
    assert ("which is imported" in " ".join(said.split())) == study.imports
    flags = {flag: action for action in parser._actions for flag in action.option_strings}
    for flag, action in flags.items():
        assert len(action.help.split()) >= 3 or flag in ("-h", "--help"), flag
    for option in declared(study):
        action = flags[f"--{option.flag}"]
        assert action.dest == place_of(option)
        if option.kind is not bool:
            assert "(default: " in action.help
            assert (action.nargs == "+") == (option.name in study.sweeps)
    assert not {f"--{name.replace('_', '-')}" for name in study.unused} & set(flags)


OUT_OF_RANGE = {int: "0", float: "nan", str: "nothing"}


def refused(capsys, study, out, *flags):
    """The line with which a study ends with status 2; nothing is written."""
    with pytest.raises(SystemExit) as stop:
        frame.run(study, ["--target", "numpy", "--out", str(out), *map(str, flags)])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert not complete_results(out / study.name)
    return said.strip().splitlines()[-1]


def test_options_out_of_range_are_refused_by_flag(study, tmp_path, capsys):
    """A value outside of each option's range against the line with flag and value."""
    for option in declared(study):
        if option.kind is bool:
            continue
        value = OUT_OF_RANGE[option.kind]
        said = refused(capsys, study, tmp_path, f"--{option.flag}", value)
        assert f"--{option.flag}" in said and value in said, said


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--images", "0"], "--images: '0' is not a whole number of at least 1"),
        (["--images", "541"], "--images 541: digits has 540"),
        (["--batch", "0"], "--batch: '0' is not a whole number of at least 1"),
        (["--jobs", "-1"], "--jobs: '-1' is not a whole number of at least 1"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number of at least 0"),
        (["--target", "cuda"], "--target: invalid choice: 'cuda'"),
        (["--dataset", "imagenet"], "--dataset: invalid choice: 'imagenet'"),
        (["--network", "resnet"], "no trained network 'resnet'"),
        (["--network", "no.safetensors"], "no.safetensors: no such weight file"),
        (["--network", "fashion-relu"], "(28, 28, 1), digits has (8, 8, 1)"),
    ],
    ids=" ".join,
)
def test_bad_flags_are_refused(study, tmp_path, capsys, flags, message):
    """Bad values of common flags against the one line that names flag or file, and the value."""
    assert message in refused(capsys, study, tmp_path, *flags)


def test_what_is_printed(study, finished, tmp_path, capsys):
    """The printed summary against metrics.csv, and the result's folder."""
    one_image = ("--images", 2, "--spikes", 1)
    folder = quick_run(study, tmp_path, *one_image)
    said = capsys.readouterr().out
    row = table(folder, "metrics").iloc[-1]
    part = said.split(f"\n{study.name}, digits, {row.network}")[-1].split("\n\n")[0]
    values = dict(line.split("  ", 1) for line in map(str.strip, part.split("\n")) if "  " in line)
    found = {name: value.strip() for name, value in values.items()}
    assert found["accuracy, spiking network"] == f"{row.snn_accuracy:.2%}"
    assert found["spikes per image"] == f"{row.spikes_per_image:.0f}"
    assert found["biological time"] == f"{row.latency_ms:g} ms"
    assert f"results: {folder}\n" in said


# ---- interruptions ----


def test_interrupted_study_goes_on_where_it_stopped(study, tmp_path, monkeypatch):
    """A study stopped in its second condition keeps the first; the tables are those of one run."""
    whole, calls = frame._write, []

    def failing(study, case, *rest):
        calls.append(case.label)
        if len(calls) == 2:
            raise KeyboardInterrupt
        whole(study, case, *rest)

    if study.name not in TWO:
        pytest.skip(f"{study.name}: no flags of two conditions are known here")
    once = quick_run(study, tmp_path / "once", *TWO[study.name])
    monkeypatch.setattr(frame, "_write", failing)
    with pytest.raises(SystemExit) as stop:
        quick_run(study, tmp_path, *TWO[study.name])
    assert stop.value.code == 130
    assert not complete_results(tmp_path / study.name)
    folder = quick_run(study, tmp_path, *TWO[study.name])
    assert calls[1] == calls[2] != calls[0]
    assert len(calls) == 3
    assert_same_numbers(folder, once)
    assert not list((tmp_path / study.name).glob("*.part"))


def test_studies_run_without_torch(tmp_path):
    """Every command in an interpreter that cannot import PyTorch."""
    arguments = ["--quick", "--target", "numpy", *SMALL, "--out", str(tmp_path)]
    code = f"{NO_TORCH}; sys.path.insert(0, {str(ROOT)!r}); "
    names = [f"run_{study.name}" for study in STUDIES]
    code += f"from ann2brian.studies import {', '.join(names)}; "
    code += "; ".join(f"{name}.main({arguments!r})" for name in names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy, spiking network") == len(STUDIES) + 1  # and the baseline
