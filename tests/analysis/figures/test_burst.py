"""Figures of bursts: what is drawn against the tables it is drawn from, and what is left out."""

import itertools
import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import burst as burst_figures
from ann2brian.analysis.figures import style as figures
from ann2brian.analysis.statistics.accuracy import accuracy_interval
from ann2brian.models.spiking.recording import RecordedLayer, Spikes
from ann2brian.studies.burst import figures as script
from ann2brian.studies.frame.figures import Result, make_figures
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

N_STEPS = 12
DT_MS, PHASE_STEPS = 2.0, 7
# condition, Gamma, pooling, normalisation, percentile, initial potential
CONDITIONS = (
    ("base", 1, "lipool", "maximum", np.nan, 0.0),
    ("base gated", 1, "gated", "maximum", np.nan, 0.0),
    ("plain", 1, "lipool", "percentile", 99.0, 0.0),
    ("plain gated", 1, "gated", "percentile", 99.0, 0.0),
    ("high", 5, "lipool", "percentile", 99.9, 0.0),
    ("scaled", 2, "lipool", "percentile/gamma", 99.9, 0.0),
    ("theirs", 5, "lipool", "compatibility", 99.0, 0.0),
    ("half", 5, "lipool", "percentile", 99.0, 0.5),
    ("gated", 5, "gated", "percentile", 99.0, 0.0),
    ("or", 5, "or", "percentile", 99.0, 0.0),
    ("full", 5, "lipool", "percentile", 99.0, 0.0),
)
LAYERS = (("act1", "burst"), ("pool1", "pool"), ("act2", "burst"))


def metrics_table(names=None):
    columns = ("condition", "gamma", "pooling", "normalisation", "percentile", "initial")
    table = pd.DataFrame(CONDITIONS, columns=columns).assign(
        timing="pipelined", n_images=200, ann_accuracy=0.9
    )
    return table if names is None else table[table["condition"].isin(names)]


def time_table(metrics):
    """Made-up but different numbers for every condition and step."""
    rows = []
    for index, row in enumerate(metrics.itertuples()):
        for step in range(1, N_STEPS + 1):
            rows.append(
                {
                    "condition": row.condition,
                    "gamma": row.gamma,
                    "step": step,
                    "sub_steps": step * row.gamma,
                    "time_ms": 14.0 * (step + 3),
                    "accuracy": 0.9 - 0.5 / step - 0.005 * index,
                    "logit_mse": (1 + index) / step,
                }
            )
    return pd.DataFrame(rows)


def layers_table(metrics):
    rows = []
    for (index, condition), (name, kind) in itertools.product(
        enumerate(metrics["condition"]), LAYERS
    ):
        is_pool = kind == "pool"
        rows.append(
            {
                "condition": condition,
                "layer": name,
                "kind": kind,
                "sin_fraction": np.nan if is_pool else 0.01 * (index + 1),
                "residual_fraction": np.nan if is_pool else 0.0,
                "pooling_error": 0.2 if is_pool else np.nan,
            }
        )
    return pd.DataFrame(rows)


def matched_table(metrics):
    rows = []
    for index, condition in enumerate(metrics["condition"]):
        for loss in (0.5, 1.0):
            ratio = np.nan if index == 1 else (index + 1) / (10 * loss)
            rows.append(
                {
                    "condition": condition,
                    "loss_points": loss,
                    "step": 4 * ratio,
                    "time_ratio": ratio,
                    "spike_ratio": 2 * ratio,
                    "energy_ratio": 3 * ratio,
                }
            )
    return pd.DataFrame(rows)


def intervals_table(metrics):
    rows = [
        (condition, name, interval, count)
        for condition in metrics["condition"]
        for name, _ in LAYERS
        for interval, count in ((2.0, 30), (14.0, 50), (28.0, 20))
    ]
    return pd.DataFrame(rows, columns=["condition", "layer", "interval_ms", "count"])


def spikes_of(layer, neuron, step, image=None):
    image = np.zeros(len(layer)) if image is None else image
    columns = {"image": image, "layer": layer, "neuron": neuron, "step": step}
    return Spikes(**{name: np.asarray(values, dtype=np.int64) for name, values in columns.items()})


def raster_layers():
    return tuple(
        RecordedLayer(name=name, shape=(1, 1, 40), n_positions=1, onset=index)
        for index, (name, _) in enumerate(LAYERS)
    )


@pytest.fixture
def ax():
    with figures.style():
        yield Figure().subplots()


@pytest.fixture
def axes():
    with figures.style():
        yield Figure().subplots(1, 3, sharey=True)


def lines(ax):
    """Lines by label, as (x, y)."""
    return {line.get_label(): np.array(line.get_data(orig=True)) for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ---- conditions ----


def test_settings_in_words():
    """Names of settings against the columns they are made of; the timing only if there are two."""
    names = burst_figures.settings(metrics_table())
    assert names == {
        "base": "maximum",
        "base gated": "maximum, pooling gated",
        "plain": "99 %",
        "plain gated": "99 %, pooling gated",
        "high": "99.9 %",
        "scaled": "99.9 % / Γ",
        "theirs": "compatibility 99 %",
        "half": "99 %, V(0) = 0.5",
        "gated": "99 %, pooling gated",
        "or": "99 %, pooling or",
        "full": "99 %",
    }
    two = metrics_table(["base", "full"]).assign(timing=["pipelined", "alternating"])
    assert list(burst_figures.settings(two).values()) == [
        "maximum, pipelined",
        "99 %, alternating",
    ]


def test_pooling_groups():
    """Groups to compare against the conditions that differ in the rule only."""
    groups = burst_figures.pooling_groups(metrics_table())
    found = [rows["condition"].tolist() for rows in groups]
    assert found == [["base", "base gated"], ["plain", "plain gated"], ["gated", "or", "full"]]
    assert burst_figures.pooling_groups(metrics_table(["full", "half"])) == []
    # A percentile that is not used makes no difference.
    base = metrics_table(["base", "base gated"]).assign(percentile=[99.0, 99.9])
    assert len(burst_figures.pooling_groups(base)) == 1


def test_ablation_chain():
    """The chain against the conditions from the full method to the plain conversion."""
    chain = burst_figures.ablation_chain(metrics_table())
    assert chain["condition"].tolist() == ["full", "gated", "plain gated", "base gated"]
    assert chain["item"].tolist()[1:] == ["− lateral inhibition", "− bursts", "− percentile"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["full", "gated", "base gated"], ["full", "gated"]),  # ends where one is missing
        (["full", "plain gated", "base gated"], []),
        (["gated", "plain gated", "base gated"], []),  # nothing to start from
        (["high", "full", "gated", "half"], ["full", "gated"]),  # the longest one
    ],
)
def test_ablation_chain_of_a_subset(names, expected):
    """Chains of incomplete studies against what is left of them."""
    chain = burst_figures.ablation_chain(metrics_table(names))
    assert chain["condition"].tolist() == expected


# ---- single figures ----


def test_accuracy_draws_the_table(axes):
    """Lines of all three panels against the table, in per cent; one colour for each setting."""
    metrics = metrics_table(["base", "plain", "full"])
    time = time_table(metrics)
    burst_figures.accuracy_against_effort(axes, time.sample(frac=1, random_state=0), metrics)
    for ax, column in zip(axes, ("step", "sub_steps", "time_ms"), strict=True):
        drawn = lines(ax)
        assert list(drawn) == ["trained network", "base", "plain", "full"]
        np.testing.assert_allclose(drawn["trained network"][1], [90.0, 90.0])
        for condition in metrics["condition"]:
            rows = time[time["condition"] == condition]
            expected = [rows[column], 100 * rows["accuracy"]]
            np.testing.assert_allclose(drawn[condition], expected, rtol=1e-14)
        looks = {
            line.get_label(): (line.get_color(), line.get_linestyle()) for line in ax.lines[1:]
        }
        assert looks["plain"][0] == looks["full"][0] != looks["base"][0]
        assert looks["plain"][1] == looks["base"][1] != looks["full"][1]
        assert ax.lines[1].get_markevery() == [0, 1, 3, 7, 11]  # powers of two and the last
    assert legend(axes[2]) == [
        "normalisation",
        "maximum",
        "99 %",
        "most spikes of a burst",
        "Γ = 1",
        "Γ = 5",
        "trained",
    ]


def test_many_settings_have_colours(axes):
    """Twenty settings against as many colours."""
    base = metrics_table(["full"])
    many = pd.concat([base.assign(condition=str(p), percentile=p) for p in range(80, 100)])
    burst_figures.accuracy_against_effort(axes, time_table(many), many)
    assert len({to_hex(line.get_color()) for line in axes[0].lines[1:]}) == 20


def test_pooling_draws_the_table(ax):
    """Lines of the pooling rules against the errors in the table, in the order of the rules."""
    metrics = metrics_table()
    time = time_table(metrics)
    burst_figures.pooling_rules(ax, time, burst_figures.pooling_groups(metrics)[2])
    drawn = lines(ax)
    expected = {"lateral inhibition": 11, "gated by the largest count": 9, "OR of the spikes": 10}
    assert list(drawn) == list(expected)
    for name, factor in expected.items():
        np.testing.assert_allclose(drawn[name][1], factor / np.arange(1, N_STEPS + 1))
    assert ax.get_title(loc="left") == "99 %, Γ = 5"


def test_matched_draws_the_table(axes):
    """Bars, values and the published marks against the table; what is missing says so."""
    matched = matched_table(metrics_table(["base", "base gated", "plain"]))
    burst_figures.matched_accuracy(axes, matched)
    for ax, factor in zip(axes, (1, 2, 3), strict=True):
        assert [bars.get_label() for bars in ax.containers] == ["at most 0.5", "at most 1"]
        widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
        expected = factor * np.array([[0.2, 0.0, 0.6], [0.1, 0.0, 0.3]])
        np.testing.assert_allclose(widths, expected, rtol=1e-12)
        assert max(ax.get_xlim()) > 1.0
    texts = [[text.get_text() for text in ax.texts] for ax in axes]
    assert texts[0] == [
        "0.20 (T = 0.8)",
        "baseline not reached",
        "0.60 (T = 2.4)",
        "0.10 (T = 0.4)",
        "baseline not reached",
        "0.30 (T = 1.2)",
        "paper (abstract): 1/10",
    ]
    assert texts[1] == [
        "0.40",
        "baseline not reached",
        "1.20",
        "0.20",
        "baseline not reached",
        "0.60",
    ]
    assert texts[2][-1] == "paper (abstract): 0.693"
    marks = [[line.get_xdata()[0] for line in ax.lines] for ax in axes]
    assert marks == [[1.0, 0.1], [1.0], [1.0, 0.693]]
    labels = [label.get_text() for label in axes[0].get_yticklabels()]
    assert labels == ["base", "base gated", "plain"]
    bottom, top = axes[0].get_ylim()
    assert bottom > top  # the first condition is at the top
    centres = [np.mean([bars[i].get_y() + 0.18 for bars in axes[0].containers]) for i in range(3)]
    np.testing.assert_allclose(centres, [0, 1, 2], atol=1e-12)


def test_matched_that_nobody_reached(axes):
    """A table of missing ratios against axes that still show the baseline."""
    matched = matched_table(metrics_table(["base", "base gated"])).query("condition != 'base'")
    burst_figures.matched_accuracy(axes, matched)
    assert {text.get_text() for text in axes[1].texts} == {"baseline not reached"}
    assert axes[1].get_xlim() == (0.0, 1.35)


def test_ablation_draws_the_table():
    """Losses, intervals and errors against the table at the last common step."""
    metrics = metrics_table()
    time = time_table(metrics)
    time = time[(time["condition"] != "gated") | (time["step"] <= 8)]  # a shorter run
    with figures.style():
        left, right = Figure().subplots(1, 2, sharey=True)
        burst_figures.ablation((left, right), burst_figures.ablation_chain(metrics), time)
    accuracy = 0.9 - 0.5 / 8 - 0.005 * np.array([10, 8, 3, 1])
    bars, (_, _, (arms,)) = left.containers[0], left.containers[1]
    np.testing.assert_allclose([bar.get_width() for bar in bars], 90 - 100 * accuracy)
    ends = [accuracy_interval(round(200 * a), 200) for a in accuracy]
    drawn = [sorted(segment[:, 0]) for segment in arms.get_segments()]
    np.testing.assert_allclose(drawn, [[90 - 100 * high, 90 - 100 * low] for low, high in ends])
    assert [text.get_text() for text in left.texts] == ["78.8 %", "79.8 %", "82.2 %", "83.2 %"]
    np.testing.assert_allclose(right.lines[0].get_xdata(), np.array([11, 9, 4, 2]) / 8)
    assert left.get_xlabel() == "accuracy lost at T = 8 (points)"
    bottom, top = left.get_ylim()
    assert bottom > top


def ticks(ax):
    """Left, width, middle height and colour of every drawn spike, by layer, and shaded phases."""
    spikes, shaded = [], []
    for collection in ax.collections:
        if type(collection) is PolyCollection:
            spikes.append([])
            for path, colour in zip(
                collection.get_paths(), collection.get_facecolors(), strict=False
            ):
                x, y = path.vertices[:4].T
                row = round(float(y.mean()), 9)
                spikes[-1].append((x.min(), round(np.ptp(x), 9), row, to_hex(colour)))
        else:
            (path,) = collection.get_paths()
            x, y = path.vertices.T
            shaded.append((x.min(), x.max(), y.min(), y.max()))
    return spikes, shaded


def test_raster_pen_and_paper(ax):
    """Ticks, colours and shaded phases of handmade bursts against hand values."""
    layers = raster_layers()[:2]
    # Neuron 7 of the first layer: a burst of three in phase 0 and a spike in phase 1; neuron 30
    # one in phase 1. Neuron 2 of the second layer: a burst of two in its first phase.
    spikes = spikes_of([0, 0, 0, 0, 0, 1, 1], [7, 7, 7, 7, 30, 2, 2], [2, 0, 1, 7, 8, 7, 8])
    burst_figures.burst_raster(ax, spikes, layers, DT_MS, PHASE_STEPS, 4)
    first, second, third = (to_hex(c) for c in mpl.colormaps["inferno"](np.linspace(0.15, 0.78, 3)))
    drawn, shaded = ticks(ax)
    assert drawn == [
        [
            (4.0, 0.9, 0.0, third),
            (0.0, 0.9, 0.0, first),
            (2.0, 0.9, 0.0, second),
            (14.0, 0.9, 0.0, first),
            (16.0, 0.9, 1.0, first),
        ],
        [(14.0, 0.9, 4.0, first), (16.0, 0.9, 4.0, second)],
    ]
    # Rows 0 and 1, a gap of two, row 4; phases last 14 ms.
    assert shaded == [(14, 28, -0.5, 1.5), (42, 56, -0.5, 1.5), (28, 42, 3.5, 4.5)]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["act1\n2 of 2 active,\n40 in all", "pool1\n1 of 1 active,\n40 in all"]
    assert ax.get_xlim() == (0.0, 56.0)


def test_raster_samples_the_active(ax):
    """Rows of a busy layer against evenly spaced active neurons, and a silent layer against one."""
    neurons = np.arange(0, 40, 2)  # 20 active ones
    spikes = spikes_of(np.zeros(20), neurons, np.zeros(20))
    burst_figures.burst_raster(
        ax, spikes, raster_layers()[:2], DT_MS, PHASE_STEPS, 3, most_neurons=5
    )
    drawn, _ = ticks(ax)
    assert [row for _, _, row, _ in drawn[0]] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert drawn[1] == []
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["act1\n5 of 20 active,\n40 in all", "pool1\n0 of 0 active,\n40 in all"]


def test_raster_leaves_out_later_phases(ax):
    """Spikes after the phases to show against no tick and no active neuron."""
    spikes = spikes_of([0, 0], [1, 2], [13, 14])
    burst_figures.burst_raster(ax, spikes, raster_layers()[:1], DT_MS, PHASE_STEPS, 2)
    assert [left for left, *_ in ticks(ax)[0][0]] == [26.0]


def test_raster_refuses_several_images(ax):
    """Spikes of two images against the error message."""
    spikes = spikes_of([0, 0], [0, 0], [0, 0], image=[0, 1])
    with pytest.raises(ValueError, match="one image, the spikes belong to 2"):
        burst_figures.burst_raster(ax, spikes, raster_layers(), DT_MS, PHASE_STEPS, 3)


def test_intervals_draw_the_table(ax):
    """Bars of the intervals against the table in per cent, split at the threshold."""
    table = pd.DataFrame({"interval_ms": [2.0, 14.0, 28.0], "count": [30, 50, 20]})
    burst_figures.interval_histogram(ax, table, 3.0)
    bars = [
        [(segment[0, 0], round(segment[1, 1], 9)) for segment in collection.get_segments()]
        for collection in ax.collections
    ]
    assert bars == [[(2.0, 30.0)], [(14.0, 50.0), (28.0, 20.0)]]
    assert legend(ax) == ["within bursts, 30.0 %", "between bursts, 70.0 %"]


def test_errors_draw_the_table(axes):
    """Numbers and colours of the fields against the table, each kind of layer in its panel."""
    burst_figures.errors_by_layer(axes, layers_table(metrics_table(["base", "full"])))
    names = [[label.get_text() for label in ax.get_xticklabels()] for ax in axes]
    assert names == [["act1", "act2"], ["act1", "act2"], ["pool1"]]
    texts = [[text.get_text() for text in ax.texts] for ax in axes]
    assert texts == [["0.010", "0.010", "0.020", "0.020"], ["0"] * 4, ["0.20"] * 2]
    np.testing.assert_allclose(axes[0].images[0].get_array(), [[0.01, 0.01], [0.02, 0.02]])
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["base", "full"]


def test_errors_without_pooling(axes):
    """A network without pooling, and a measure without values, against an empty panel."""
    table = layers_table(metrics_table(["full"])).query("kind == 'burst'")
    burst_figures.errors_by_layer(axes, table.assign(residual_fraction=np.nan))
    assert [ax.get_visible() for ax in axes] == [True, True, False]
    assert [text.get_text() for text in axes[1].texts] == ["", ""]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.4567, "0.46"),
        (0.0949, "0.095"),
        (0.0951, "0.10"),
        (2e-4, "<0.001"),
        (-2e-4, ">-0.001"),
        (-0.25, "-0.25"),
        (np.nan, ""),
    ],
)
def test_short_numbers(value, text):
    """Numbers on fields against their two digits."""
    assert burst_figures._short(value) == text


# ---- the script ----


def write_result(folder, monkeypatch, names=None, leave_out=()):
    """A result as the burst study leaves it, with made-up numbers."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"scheme": "burst", "dataset": "digits"}))
    metrics = metrics_table(names)
    tables = {
        "metrics": metrics,
        "time": time_table(metrics),
        "layers": layers_table(metrics),
        "matched": matched_table(metrics),
        "intervals": intervals_table(metrics),
    }
    for name, table in tables.items():
        if name not in leave_out:
            table.to_csv(folder / f"{name}.csv", index=False)
    if "spikes" not in leave_out:
        (folder / "spikes.npz").touch()
    spikes = spikes_of([0, 0, 1, 2], [3, 3, 8, 9], [0, 1, 7, 14], image=[0, 0, 0, 1])
    stored = {"dt_ms": DT_MS, "phase_steps": PHASE_STEPS, "labels": [4, 5], "predictions": [6, 5]}
    stored["classes"] = tuple("0123456789")
    monkeypatch.setattr(script, "load_spikes", lambda path: (spikes, raster_layers(), stored))
    return folder


def drawn(folder):
    """Figures of a result by name, without those that were left out."""
    result = Result(folder)
    with figures.style():
        found = {draw.__name__: draw(result) for draw in script.FIGURES}
    return {name: figure for name, figure in found.items() if figure is not None}


ALL = {
    "burst_accuracy",
    "burst_pooling",
    "burst_matched",
    "burst_ablation",
    "burst_raster",
    "burst_intervals",
    "burst_errors",
}


@pytest.mark.parametrize(
    ("names", "leave_out", "missing"),
    [
        (None, (), set()),
        (["full"], (), {"burst_pooling", "burst_ablation"}),
        (["base", "gated"], (), {"burst_pooling", "burst_ablation"}),
        (["gated"], (), {"burst_pooling", "burst_ablation"}),
        (None, ("time",), {"burst_accuracy", "burst_pooling", "burst_ablation"}),
        (None, ("layers", "matched"), {"burst_errors", "burst_matched"}),
        (None, ("spikes",), {"burst_raster", "burst_intervals"}),
        (None, ("intervals",), {"burst_intervals"}),
    ],
)
def test_figures_of_a_subset(tmp_path, monkeypatch, names, leave_out, missing):
    """Figures of incomplete studies against those whose data are there."""
    folder = write_result(tmp_path / "some", monkeypatch, names, leave_out)
    assert set(drawn(folder)) == ALL - missing


def test_make_figures_writes_bursts(tmp_path, monkeypatch):
    """Files of a burst result against the list of figures."""
    folder = write_result(tmp_path / "some", monkeypatch, ["base", "full"])
    names = {file.name for file in make_figures(folder, script.FIGURES)}
    assert names == {
        f"{name}.{suffix}"
        for name in ALL - {"burst_pooling", "burst_ablation"}
        for suffix in ("png", "pdf")
    }


def test_accuracy_leaves_pooling_rules_out(tmp_path, monkeypatch):
    """Lines of the accuracy figure against the conditions with lateral inhibition."""
    folder = write_result(tmp_path / "some", monkeypatch)
    labels = set(lines(drawn(folder)["burst_accuracy"].axes[0]))
    metrics = metrics_table()
    inhibited = metrics.loc[metrics["pooling"] == "lipool", "condition"]
    assert labels == {"trained network", *inhibited}


def test_raster_and_intervals_of_a_result(tmp_path, monkeypatch):
    """Titles, image, time and layers against the stored spikes and the last condition."""
    found = drawn(write_result(tmp_path / "some", monkeypatch, ["base", "full"]))
    raster = found["burst_raster"].axes[0]
    assert raster.get_title(loc="left") == "digits, image 0: class 4, read out as 6; full"
    assert [len(layer) for layer in ticks(raster)[0]] == [2, 1, 0]
    # The last layer is reached in phase 2; six more phases of 14 ms are shown.
    assert raster.get_xlim() == (0.0, 112.0)
    panels = found["burst_intervals"].axes
    assert [ax.get_title(loc="left") for ax in panels] == ["act1", "pool1", "act2"]
    assert legend(panels[0])[0] == "within bursts, 30.0 %"


def overlapping(figure, monkeypatch):
    """Pairs of texts that cover each other, of those that are drawn at all."""
    texts = {}
    draw = Text.draw

    def note(text, renderer):
        if text.get_visible() and text.get_text().strip():
            texts[id(text)] = text
        draw(text, renderer)

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # which also moves the axes to where they stay
    renderer = canvas.get_renderer()
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", note)
        figure.draw(renderer)
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts.values()]
    assert len(boxes) > 10
    return [
        (a, b)
        for (a, one), (b, other) in itertools.combinations(boxes, 2)
        if one.padded(-1).overlaps(other.padded(-1))
    ]


@pytest.mark.parametrize("names", [None, ["full"], ["base", "gated", "full"]])
def test_no_label_covers_another(tmp_path, monkeypatch, names):
    """Boxes of all texts of all figures against each other, for many and few conditions."""
    folder = write_result(tmp_path / "some", monkeypatch, names)
    with figures.style():
        for name, figure in drawn(folder).items():
            assert overlapping(figure, monkeypatch) == [], name
