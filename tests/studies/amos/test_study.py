"""The study as a command: what it promises to write, and what must not change its numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import Conv2D, Dense, Flatten, LeakyReLU, MaxPool2D
from ann2brian.models.networks.network import Network, accuracy, input_coding
from ann2brian.studies import run_amos
from ann2brian.studies.amos.figures import amos_accuracy_against_k, amos_staircase
from ann2brian.studies.frame import study as frame
from ann2brian.studies.frame.figures import Result
from ann2brian.studies.frame.spike_files import load_spikes

ROOT = Path(__file__).resolve().parents[3]
WALL_TIMES = ["build_s", "run_s"]
TABLES = ("metrics", "layers", "positions", "time")


def study(out, *flags, figures=False):
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr(frame, "make_figures", lambda *_: [])
            patch.setattr(frame, "try_report", lambda *_: None)
        return run_amos.main(["--quick", "--target", "numpy", "--out", str(out), *flags])


def table(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


def metrics(folder):
    """The only row of metrics.csv."""
    (row,) = table(folder, "metrics").to_dict("records")
    return row


def assert_same_numbers(folder, other, but=()):
    """All tables and spike trains of two results, exactly; wall times and `but` apart."""
    for name in TABLES:
        ours, theirs = (
            table(f, name).drop(columns=[*but], errors="ignore") for f in (folder, other)
        )
        if name == "metrics":
            ours, theirs = ours.drop(columns=WALL_TIMES), theirs.drop(columns=WALL_TIMES)
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    ours, theirs = (load_spikes(f / "spikes.npz")[0] for f in (folder, other))
    assert len(ours) > 0
    for column in ("image", "layer", "neuron", "step"):
        np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def quick(once):
    """Result of the quick run that all tests look at."""
    return once("amos-quick", study)


# ---- what is written ----


def test_metrics_are_those_of_the_first_images(quick):
    """The row of metrics.csv against the trained network, the spike trains and the timing rule."""
    row = metrics(quick)
    assert (row["scheme"], row["dataset"], row["network"]) == ("amos", "digits", "digits-relu")
    images, labels = (array[:50] for array in datasets.load("digits", "test"))
    logits = storage.load_network(storage.trained("digits-relu")).forward(images)
    assert row["n_images"] == 50
    assert row["ann_accuracy"] == accuracy(logits, labels) > 0.9
    _, _, stored = load_spikes(quick / "spikes.npz")
    np.testing.assert_array_equal(stored["labels"], labels)
    assert row["snn_accuracy"] == np.mean(stored["predictions"] == labels)
    assert row["agreement"] == np.mean(stored["predictions"] == logits.argmax(axis=1))
    assert 0.9 < min(row["snn_accuracy"], row["agreement"]) <= 1
    assert row["max_spikes_per_neuron"] == 1
    # 16 grey levels and zero take 5 neurons a pixel, two layers of K = 8 follow, then the read-out.
    assert row["latency_ms"] == row["latency_slots"] == 5 + 8 + 8 + 1
    assert row["images_per_biological_s"] == pytest.approx(1000 / 21)
    assert 0 < row["spikes_per_image"] < row["n_neurons"]
    assert row["spikes_per_neuron"] == pytest.approx(row["spikes_per_image"] / row["n_neurons"])
    assert row["spikes_per_image"] < row["synaptic_events_per_image"] < row["n_synapses"]
    assert 0 <= row["build_s"] < row["run_s"] < 600


def test_tables_agree_with_each_other(quick):
    """metrics.csv, layers.csv, positions.csv, time.csv and spikes.npz against one another."""
    row = metrics(quick)
    layers, positions, time = (table(quick, name) for name in ("layers", "positions", "time"))
    for rows in (layers, positions, time):
        assert set(rows["neurons_per_gate"]) == {8}
    assert layers["layer"].tolist() == ["input", "act1", "act2"]
    assert layers["n_neurons"].sum() == row["n_neurons"]
    assert layers["spikes_per_image"].sum() == pytest.approx(row["spikes_per_image"])
    events = layers["synaptic_events_per_image"] + layers["inhibition_events_per_image"]
    assert events.sum() == pytest.approx(row["synaptic_events_per_image"])

    spikes, recorded, stored = load_spikes(quick / "spikes.npz")
    assert len(spikes) == pytest.approx(row["spikes_per_image"] * 50)
    counts = np.bincount(spikes.layer, minlength=3) / 50
    np.testing.assert_allclose(layers["spikes_per_image"], counts)
    assert [layer.name for layer in recorded] == layers["layer"].tolist()
    assert [layer.n_units for layer in recorded] == layers["n_units"].tolist()
    assert stored["latency_steps"] * stored["dt_ms"] == row["latency_ms"]

    per_layer = layers.set_index("layer")
    for name, rows in positions.groupby("layer"):
        n_units = per_layer.loc[name, "n_units"]
        assert len(rows) == per_layer.loc[name, "n_neurons"] / n_units
        spikes_per_image = rows["firing_probability"].sum() * n_units
        assert spikes_per_image == pytest.approx(per_layer.loc[name, "spikes_per_image"])
    assert set(positions["layer"]) == set(layers["layer"])

    assert time["accuracy"].iloc[-1] == row["snn_accuracy"]
    assert time["agreement"].iloc[-1] == row["agreement"]
    assert time["time_ms"].iloc[-1] == row["latency_ms"]


# ---- what changes a number ----


def test_pipelining_raises_the_throughput_alone(quick, out):
    """Pipelined accuracy, spikes and latency against one at a time; throughput is 1 per slot."""
    one, many = metrics(quick), metrics(study(out, "--pipelined"))
    for column in ("snn_accuracy", "agreement", "spikes_per_image", "latency_ms"):
        assert one[column] == many[column]
    assert (one["pipelined"], many["pipelined"]) == (False, True)
    assert many["images_per_biological_s"] == 1000


def test_seed_decides_the_calibration_images(quick, out, tmp_path):
    """The same seed again against identical numbers, another seed against other ranges."""
    again, other = study(tmp_path), study(out, "--seed", "2")
    assert again.name == quick.name
    assert metrics(again)["ann_accuracy"] == metrics(other)["ann_accuracy"]
    assert metrics(again)["spikes_per_image"] != metrics(other)["spikes_per_image"]
    assert_same_numbers(again, quick)


def test_sweep(quick, out):
    """Three values of K, one twice and out of order, against two rows, a curve and single runs."""
    folder = study(out, "--images", "30", "--neurons-per-gate", "8", "2", "8", figures=True)
    assert folder.name.startswith("digits-digits-relu-K2-8-")
    rows = table(folder, "metrics")
    assert rows["neurons_per_gate"].tolist() == [2, 8]
    assert rows["latency_slots"].tolist() == [5 + 2 + 2 + 1, 5 + 8 + 8 + 1]
    last = table(folder, "time").groupby("neurons_per_gate").last()
    assert rows["snn_accuracy"].tolist() == last["accuracy"].tolist()
    assert rows["agreement"].tolist() == last["agreement"].tolist()
    assert rows["agreement"].is_monotonic_increasing and rows["agreement"][0] < 1
    assert rows["n_neurons"].tolist() == [
        table(folder, "layers").query("neurons_per_gate == @k")["n_neurons"].sum() for k in (2, 8)
    ]
    assert (folder / "figures" / "amos_accuracy_against_k.png").exists()
    assert amos_accuracy_against_k(Result(quick)) is None
    # The spike trains are those of the largest K.
    spikes, layers, _ = load_spikes(folder / "spikes.npz")
    assert [layer.n_positions for layer in layers] == [5, 8, 8]
    assert len(spikes) == pytest.approx(30 * rows["spikes_per_image"].iloc[1])
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["figures"]


@pytest.mark.parametrize("inhibition", ["amos", "fs"])
def test_silu(out, inhibition):
    """The SiLU network against its own trained accuracy, with gates of both kinds."""
    flags = ("--gate", "silu", "--neurons-per-gate", "12", "--inhibition", inhibition)
    folder = study(out, *flags)
    row = metrics(folder)
    assert (row["network"], row["gate"]) == ("digits-silu", "silu")
    assert row["snn_accuracy"] > 0.9 < row["ann_accuracy"]
    assert row["max_spikes_per_neuron"] == 1
    assert row["latency_slots"] == 5 + 12 + 12 + 1
    (ax,) = amos_staircase(Result(folder)).axes
    assert ax.get_legend_handles_labels()[1][0] == "silu"


def test_circuits_of_gates_are_printed_and_shown(out, capsys):
    """A network with max pooling and LeakyReLU: costs against hand counts, and all figures."""
    rng = np.random.default_rng(0)
    images, _ = datasets.load("digits", "train")
    layers = (
        Conv2D("conv", ("input",), rng.normal(0, 0.3, (3, 3, 1, 4)), np.zeros(4), (2, 2)),
        LeakyReLU("act", ("conv",), np.full(4, 0.1)),
        MaxPool2D("pool", ("act",), (3, 1), (1, 1)),
        Flatten("flat", ("pool",)),
        Dense("out", ("flat",), rng.normal(0, 0.3, (12, 10)), np.zeros(10)),
    )
    network = Network("circuits", input_coding(images, 16), layers, tuple("0123456789"))
    path = out / "circuits.safetensors"
    storage.save_network(network, path)
    folder = study(out / "circuits", "--network", str(path), figures=True)
    assert "circuits" in capsys.readouterr().out
    sizes = table(folder, "sizes").set_index("trained_layer")
    assert sizes.loc["act", ["n_gates", "n_neurons", "n_sublayers"]].tolist() == [72, 576, 8]
    assert sizes.loc["pool", ["n_gates", "n_neurons", "n_sublayers"]].tolist() == [24, 192, 16]
    row = metrics(folder)
    assert row["gate"] == "relu"
    assert row["max_spikes_per_neuron"] == 1
    assert sizes["n_neurons"].sum() == row["n_neurons"]
    errors = table(folder, "layers").set_index("layer")
    assert set(errors.index) == {"input", "act_relu1", "act_relu2", "pool_relu1", "pool_relu2"}
