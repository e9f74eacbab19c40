"""Figures: what is drawn against the tables it is drawn from, and the files against the list."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import style as figures
from ann2brian.analysis.figures.amos import (
    accuracy_against_k,
    accuracy_over_time,
    firing_by_position,
    staircase,
    travelling_raster,
)
from ann2brian.analysis.statistics.accuracy import accuracy_interval
from ann2brian.models.networks.layers import ACTIVATIONS
from ann2brian.models.schemes.amos.gate_fits import fitted_gate
from ann2brian.models.schemes.amos.gates import alpha_for, relu_gate
from ann2brian.models.spiking.recording import RecordedLayer, Recording, Spikes
from ann2brian.studies import make_figures as command
from ann2brian.studies.amos import figures as script
from ann2brian.studies.amos.study import STUDY as AMOS
from ann2brian.studies.frame.figures import Result, make_figures
from ann2brian.studies.frame.spike_files import save_spikes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[3]
WALL_TIMES = {f.name: 0.0 for f in fields(Recording) if f.name.endswith("_s")}  # not analysed


@pytest.fixture
def ax():
    with figures.style():
        yield Figure().subplots()


def lines(ax):
    """Lines by label, as (x, y)."""
    return {line.get_label(): np.array(line.get_data(orig=True)) for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ---- single figures ----


def test_staircase_draws_gates(ax):
    """Lines of the staircase against the gates and the function."""
    gates = {3: relu_gate(3, 1.0), 1: relu_gate(1, 1.0)}
    staircase(ax, "relu", gates, (-0.5, 1.5))
    drawn = lines(ax)
    assert list(drawn) == ["relu", "K = 1", "K = 3"] == legend(ax)
    x = drawn["relu"][0]
    assert (x[0], x[-1]) == (-0.5, 1.5) == ax.get_xlim()
    np.testing.assert_array_equal(drawn["relu"][1], ACTIVATIONS["relu"](x))
    for n_neurons, gate in gates.items():
        drive, output = drawn[f"K = {n_neurons}"]
        np.testing.assert_array_equal(output, gate(drive))
        assert len(np.unique(output)) == 2**n_neurons


def marks(ax):
    """Left, right, middle height and colour of every drawn spike, by layer."""
    found = []
    for collection in ax.collections:
        if type(collection) is PolyCollection:
            corners = np.array([path.vertices[:4] for path in collection.get_paths()])
            corners = corners.reshape(-1, 4, 2)
            colours = [tuple(colour) for colour in collection.get_facecolors()]
            found.append(
                list(
                    zip(
                        corners[:, :, 0].min(axis=1).tolist(),
                        corners[:, :, 0].max(axis=1).tolist(),
                        corners[:, :, 1].mean(axis=1).round(9).tolist(),
                        colours,
                        strict=True,
                    )
                )
            )
    return found


def raster_layers():
    return (
        RecordedLayer(name="input", shape=(1, 3, 1), n_positions=2, onset=0),
        RecordedLayer(name="act", shape=(1, 1, 2), n_positions=3, onset=2),
    )


def spikes_of(layer, neuron, step, image=None):
    image = np.zeros(len(layer)) if image is None else image
    columns = {"image": image, "layer": layer, "neuron": neuron, "step": step}
    return Spikes(**{name: np.asarray(values, dtype=np.int64) for name, values in columns.items()})


def test_raster_pen_and_paper(ax):
    """Fields of the raster against handmade spikes: slot, row of the gate, colour of position."""
    # Units 0 and 2 of the input at position 1 and 0; unit 1 of act at positions 0 and 2.
    spikes = spikes_of([0, 0, 1, 1], [2, 3, 1, 5], [0, 1, 2, 4])
    travelling_raster(ax, spikes, raster_layers(), 0.5)
    colours = [tuple(colour) for colour in mpl.colormaps["viridis"]([0.0, 0.43, 0.86])]
    # Three rows, a gap of 0.12 * 3, then two rows.
    assert marks(ax) == [
        [(0.0, 0.5, 2.0, colours[0]), (0.5, 1.0, 0.0, colours[1])],
        [(1.0, 1.5, 4.36, colours[0]), (2.0, 2.5, 4.36, colours[2])],
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["input (3)", "act (2)"]
    assert ax.get_ylabel() == "layer and its gates"
    assert ax.get_xlabel() == "time (ms)"
    assert ax.get_xlim() == (0.0, 2.5)
    bottom, top = ax.get_ylim()
    assert bottom > top  # the first layer is at the top


def test_raster_samples_evenly(ax):
    """Gates drawn of a large layer against evenly spaced ones, and the label against that."""
    layer = RecordedLayer(name="wide", shape=(1, 1, 101), n_positions=1, onset=0)
    spikes = spikes_of(np.zeros(101), np.arange(101), np.zeros(101))
    travelling_raster(ax, spikes, (layer,), 1.0, most_units=5)
    (drawn,) = marks(ax)
    assert [row for _, _, row, _ in drawn] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert ax.get_yticklabels()[0].get_text() == "wide (5 of 101)"
    assert ax.get_ylabel() == "layer and its gates (evenly sampled)"


def test_raster_sampled_rows_keep_their_gate(ax):
    """Rows of a sampled layer against the evenly spaced gates 0, 25, 50, 75, 100."""
    layer = RecordedLayer(name="wide", shape=(1, 1, 101), n_positions=1, onset=0)
    spikes = spikes_of([0, 0, 0], [24, 75, 100], [0, 0, 0])
    travelling_raster(ax, spikes, (layer,), 1.0, most_units=5)
    assert [row for _, _, row, _ in marks(ax)[0]] == [3.0, 4.0]


def test_raster_of_silence(ax):
    """A raster without a spike against no fields at all; it still names the layers."""
    travelling_raster(ax, spikes_of([], [], []), raster_layers(), 1.0)
    assert marks(ax) == [[], []]
    assert len(ax.get_yticklabels()) == 2


def test_raster_refuses_several_images(ax):
    """Spikes of two images against the error message."""
    spikes = spikes_of([0, 0], [0, 0], [0, 0], image=[0, 1])
    with pytest.raises(ValueError, match="one image, the spikes belong to 2"):
        travelling_raster(ax, spikes, raster_layers(), 1.0)


METRICS = pd.DataFrame(
    {
        "neurons_per_gate": [8, 2, 4],
        "n_images": [500, 500, 250],
        "snn_accuracy": [0.978, 0.31, 0.96],
        "ann_accuracy": [0.98, 0.98, 0.98],
    }
)


def test_accuracy_against_k_draws_the_table(ax):
    """Points, intervals, values and the line of the trained network against the table."""
    accuracy_against_k(ax, METRICS)
    (container,) = ax.containers
    points, _, (bars,) = container
    np.testing.assert_array_equal(points.get_xdata(), [2, 4, 8])
    np.testing.assert_allclose(points.get_ydata(), [31.0, 96.0, 97.8], rtol=1e-14)
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    expected = [
        accuracy_interval(155, 500),
        accuracy_interval(240, 250),
        accuracy_interval(489, 500),
    ]
    np.testing.assert_allclose(ends, 100 * np.array(expected), rtol=1e-12)
    np.testing.assert_allclose(lines(ax)["trained network"][1], [98.0, 98.0])
    assert [text.get_text() for text in ax.texts] == ["31.0", "96.0", "97.8"]
    assert legend(ax) == ["trained network", "spiking network"]
    assert ax.get_ylabel() == "test accuracy (%)"


def test_accuracy_against_k_at_all_correct(ax):
    """The interval at 100 % against its bounds: it never reaches above, and has no negative arm."""
    table = METRICS.assign(snn_accuracy=1.0)
    accuracy_against_k(ax, table)
    (bars,) = ax.containers[0][2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert (ends[:, 1] == 100.0).all()
    assert (ends[:, 0] < 100.0).all()


def test_accuracy_over_time_draws_the_table(ax):
    """Lines of the read-out over time against the table, in per cent and ms."""
    table = pd.DataFrame(
        {"slot": [4, 5], "time_ms": [3.0, 3.5], "accuracy": [0.25, 0.75], "agreement": [0.5, 1.0]}
    )
    accuracy_over_time(ax, table, 0.8)
    drawn = lines(ax)
    np.testing.assert_array_equal(drawn["spiking network"], [[3.0, 3.5], [25.0, 75.0]])
    agreement = drawn["same class as the trained network"]
    np.testing.assert_array_equal(agreement, [[3.0, 3.5], [50.0, 100.0]])
    np.testing.assert_array_equal(drawn["trained network"][1], [80.0, 80.0])
    assert ax.get_xlabel() == "time (ms)"
    assert len(legend(ax)) == 3


def test_firing_by_position_draws_the_table(ax):
    """One line for each layer against the rows of the table, in the order of the layers."""
    table = pd.DataFrame(
        {
            "layer": ["b", "b", "a"],
            "position": [0, 1, 0],
            "firing_probability": [0.125, 0.5, 0.25],
        }
    )
    firing_by_position(ax, table)
    drawn = lines(ax)
    assert list(drawn) == ["b", "a"] == legend(ax)
    np.testing.assert_array_equal(drawn["b"], [[0, 1], [0.125, 0.5]])
    np.testing.assert_array_equal(drawn["a"], [[0], [0.25]])
    assert ax.get_ylim()[0] == 0.0


def test_firing_by_position_of_many_layers(ax):
    """The legend of twenty layers against eight names, while all twenty lines are drawn."""
    table = pd.DataFrame(
        {
            "layer": [f"act{i}" for i in range(20)],
            "position": 0,
            "firing_probability": np.arange(20) / 20,
        }
    )
    firing_by_position(ax, table)
    assert [line.get_ydata()[0] for line in ax.lines] == table["firing_probability"].tolist()
    named = legend(ax)
    assert len(named) == figures.MOST_NAMES
    assert (named[0], named[-1]) == ("act0", "act19")


# ---- colours, style and imports ----


def luminance(colour):
    """Relative luminance of sRGB, W3C's definition: 0 black, 1 white."""
    channels = np.array(to_rgba(colour)[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("meaning", figures.SEQUENCES)
def test_sequences_in_grey(meaning, ax):
    """Colours of a sequence against order and contrast in luminance, which any eye can see."""
    name, low, high = figures.SEQUENCES[meaning]
    bright = [luminance(c) for c in mpl.colormaps[name](np.linspace(low, high, 8))]
    assert (np.diff(bright) > 0).all()
    assert 1.05 / (bright[-1] + 0.05) > 1.5  # the lightest still shows on white


def test_style_leaves_no_trace():
    """Matplotlib's settings after drawing against those before; within, the style is in force."""
    before = dict(mpl.rcParams)
    with figures.style():
        assert mpl.rcParams["axes.spines.top"] is False
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert dict(mpl.rcParams) == before


def test_imports():
    """Modules loaded by analysis against pyplot and Brian2."""
    code = (
        "import sys; from ann2brian.analysis.figures import amos, burst, albsnn, noise_network;"
        "from ann2brian.analysis.statistics import gate_codes;"
        "print([m for m in ('matplotlib.pyplot', 'brian2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# ---- the script ----


def write_result(folder, gate="relu", sizes=(2, 4), scheme="amos"):
    """A result as a study leaves it, with numbers made up for two layers and three images."""
    folder.mkdir(parents=True)
    config = {
        "scheme": scheme,
        "dataset": "digits",
        "network": "tiny",
        "gate": gate,
        "neurons_per_gate": list(sizes),
        "half_step": False,
        "inhibition": "amos",
    }
    (folder / "config.json").write_text(json.dumps(config))
    sizes = np.array(sizes)
    metrics = pd.DataFrame({"neurons_per_gate": sizes, "n_images": 100, "ann_accuracy": 0.9})
    metrics["snn_accuracy"] = 0.8 + sizes / 100
    metrics.to_csv(folder / "metrics.csv", index=False)
    rows = [(k, p) for k in sizes for p in range(k)]
    table = pd.DataFrame(rows, columns=["neurons_per_gate", "position"])
    table.assign(layer="act", firing_probability=0.1 * table["neurons_per_gate"]).to_csv(
        folder / "positions.csv", index=False
    )
    table.assign(
        slot=table["position"],
        time_ms=2.0 + table["position"],
        accuracy=table["neurons_per_gate"] / 10,
        agreement=0.5,
    ).to_csv(folder / "time.csv", index=False)
    recording = Recording(
        scheme="amos",
        network="tiny",
        layers=raster_layers(),
        n_images=3,
        dt_ms=1.0,
        phase_steps=1,
        period=5,
        scores=np.eye(3)[:, None, :],
        readout_onset=4,
        readout_every=1,
        spike_counts=(np.zeros((2, 3)), np.zeros((3, 2))),
        most_spikes=1,
        events_by_step={},
        spikes_by_step={},
        spikes=spikes_of([0, 1, 0], [3, 2, 0], [1, 3, 0], image=[0, 0, 1]),
        traces={},
        end_potentials={},
        **WALL_TIMES,
    )
    save_spikes(folder / "spikes.npz", recording, np.array([0, 2, 2]))
    return folder


def test_make_figures_writes_what_it_returns(tmp_path):
    """Files of a result against the list of figures, and their contents against the formats."""
    folder = write_result(tmp_path / "tiny")
    files = make_figures(folder, script.FIGURES)
    names = [draw.__name__ for draw in script.FIGURES]
    assert len(names) == 5
    expected = [folder / "figures" / f"{n}.{suffix}" for n in names for suffix in ("png", "pdf")]
    assert files == expected == [file for file in expected if file.exists()]
    for file in files:
        magic = {".png": b"\x89PNG", ".pdf": b"%PDF"}[file.suffix]
        assert file.read_bytes().startswith(magic)


def test_make_figures_same_bytes(tmp_path):
    """A figure drawn twice from the same result against itself, byte by byte."""
    draws = (script.amos_raster,)
    folder = write_result(tmp_path / "tiny", sizes=(2,))
    first = [file.read_bytes() for file in make_figures(folder, draws)]
    again = [file.read_bytes() for file in make_figures(folder, draws, tmp_path / "again")]
    assert len(first) == 2
    assert first == again


def test_single_size_has_no_comparison(tmp_path):
    """Figures of a result with one K against the list without the comparison over K."""
    result = Result(write_result(tmp_path / "tiny", sizes=(3,)))
    drawn = {draw.__name__: draw(result) for draw in script.FIGURES}
    assert [name for name, figure in drawn.items() if figure is None] == ["amos_accuracy_against_k"]


def test_figures_show_the_largest_size(tmp_path):
    """Lines of the figures over time and position against the rows of the largest K."""
    result = Result(write_result(tmp_path / "tiny", sizes=(4, 2)))
    over_time = lines(script.amos_accuracy_over_time(result).axes[0])
    np.testing.assert_array_equal(over_time["spiking network"], [[2, 3, 4, 5], [40.0] * 4])
    firing = lines(script.amos_firing_by_position(result).axes[0])
    np.testing.assert_array_equal(firing["act"], [[0, 1, 2, 3], [0.4] * 4])


def test_raster_shows_the_first_image(tmp_path):
    """The raster of a result against the spikes of image 0, and its title against the labels."""
    result = Result(write_result(tmp_path / "tiny"))
    with figures.style():
        (ax, _) = script.amos_raster(result).axes  # the second one is the colour bar
    slots = [(left, right) for layer in marks(ax) for left, right, *_ in layer]
    assert slots == [(1.0, 2.0), (3.0, 4.0)]
    # Read-out at step 4, one step long, one more to take it: complete after 6 ms.
    assert ax.get_title(loc="left") == "digits, image 0: class 0, read out as 0 after 6 ms (line)"
    assert [line.get_xdata() for line in ax.lines] == [[6.0, 6.0]]


def test_staircase_of_a_result(tmp_path):
    """Functions, sizes and ranges of the staircases against the configuration."""
    result = Result(write_result(tmp_path / "tiny", gate="relu+silu", sizes=(4,)))
    relu, silu = script.amos_staircase(result).axes
    assert legend(relu) == ["relu", "K = 2", "K = 3", "K = 4"]
    assert legend(silu) == ["silu", "K = 4", "K = 6", "K = 8"]
    assert relu.get_xlim() == (-0.25, 1.25)
    assert silu.get_xlim() == (-6.0, 6.0)
    drive, output = lines(relu)["K = 4"]
    np.testing.assert_array_equal(output, relu_gate(4, alpha_for(1.0, 4))(drive))
    drive, output = lines(silu)["K = 4"]
    np.testing.assert_array_equal(output, fitted_gate("silu", 4)(drive))


def test_main_finds_complete_results(tmp_path, capsys, monkeypatch):
    """Files written by the command line against the complete results and the folder asked for."""
    draws = (script.amos_firing_by_position,)
    monkeypatch.setattr(command, "REPORTS", [replace(AMOS, figures=draws)])
    write_result(tmp_path / "results" / "amos" / "one", sizes=(2,))
    half = write_result(tmp_path / "results" / "amos" / "half", sizes=(2,))
    (half / "metrics.csv").unlink()
    out = tmp_path / "out"
    files = command.main(["--results", str(tmp_path / "results"), "--out", str(out)])
    assert {file.parent for file in files} == {out / "amos" / "one"}
    drawn = {f"amos_firing_by_position.{s}" for s in ("png", "pdf")}
    assert {file.name for file in files} == drawn | {"report.html"}
    assert "one" in capsys.readouterr().out


def test_main_without_results(tmp_path, capsys):
    """An empty folder against the advice in the message."""
    with pytest.raises(SystemExit):
        command.main(["--results", str(tmp_path)])
    assert "run studies/run_amos.py first" in capsys.readouterr().err


def test_refuses_incomplete_result(tmp_path):
    """A folder without metrics against the message that says what is missing."""
    with pytest.raises(ValueError, match=r"there is no metrics\.csv"):
        make_figures(tmp_path, script.FIGURES)
