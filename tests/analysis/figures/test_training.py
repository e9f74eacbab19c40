"""Figures that compare methods of training: what is drawn against the tables."""

import itertools

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import style as figures
from ann2brian.analysis.figures import training as training_method_figures
from ann2brian.analysis.figures.noise_network import SETTINGS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from tests.support.drawn import check_labels, labels, legend, on, panels


def comparison_table(seeds=(0, 1)):
    """Two accuracies to reach; direct, T = 2 reaches only the first, rate it once."""
    rows = []
    methods = (("rate conversion", 20), ("noise-trained, N steps", 4), ("direct, T = 2", 2))
    for (method, n_steps), seed, rank in itertools.product(methods, seeds, (0, 1)):
        is_missing = rank == 1 and (method == "direct, T = 2" or (n_steps == 20 and seed == 1))
        rows.append(
            {
                "method": method,
                "training_seed": seed,
                "target_accuracy": (0.95, 0.96 + 0.01 * seed)[rank],
                "n_steps": np.nan if is_missing else n_steps * (1 + 3 * seed) * (1 + rank),
                "ms_per_image": 0.5 * n_steps * (1 + rank),
                "accuracy": 0.93 + 0.002 * seed,
            }
        )
    return pd.DataFrame(rows)


def training_table():
    return pd.DataFrame(
        {
            "method": ["analogue", "direct, T = 4", "noise, T = 1"],
            "ms_per_image": [0.25, 1.05, 0.3141],
            "ratio": [0.24, 1.0, 0.29],
            "low": [0.22, np.nan, 0.27],
            "high": [0.27, np.nan, 0.32],
        }
    )


@pytest.fixture(autouse=True)
def style():
    with figures.style():
        yield


@pytest.fixture
def ax():
    return panels()


@pytest.fixture
def pair():
    return panels(1, 2)


# ---- effort ----


def markers(ax):
    """Large markers as (steps or time, row), small ones as their values by row."""
    points = [line for line in ax.lines if line.get_linestyle() == "None"]
    means = [
        (float(line.get_xdata()[0]), round(float(line.get_ydata()[0]), 6))
        for line in points
        if line.get_markersize() > 4
    ]
    seeds = {
        round(float(line.get_ydata()[0]), 6): line.get_xdata().tolist()
        for line in points
        if line.get_markersize() < 4
    }
    return means, seeds


def test_effort_draws_the_table(pair):
    """Seeds, geometric means, and what was not reached against the table, by method."""
    training_method_figures.effort_at_accuracy(pair, comparison_table())
    names = ["noise-trained, N steps", "direct, T = 2", "rate conversion"]
    assert labels(pair[0].get_yticklabels()) == names
    shift = 0.1875
    means, seeds = markers(pair[0])
    # The second seed needs four times the steps of the first: twice is the geometric mean.
    expected = [(8, -shift), (4, 1 - shift), (40, 2 - shift), (16, shift)]
    np.testing.assert_allclose(means, expected)
    assert seeds == {
        -shift: [4, 16],
        shift: [8, 32],
        1 - shift: [2, 8],
        2 - shift: [20, 80],
        2 + shift: [40],
    }
    texts = ["8", "4", "40", "16", "not reached (93.1 % in the end)", "1 of 2 not reached"]
    assert labels(pair[0].texts) == texts
    # A wall time counts only where the accuracy was reached.
    assert labels(pair[1].texts) == ["2", "1", "10", "4", "not reached", "1 of 2 not reached"]
    assert [ax.get_xscale() for ax in pair] == ["log", "log"]
    assert legend(pair[1]) == ["95.0 %", "96.0 to 97.0 %"]
    colours = {line.get_color() for line in pair[0].lines if line.get_linestyle() == "None"}
    assert colours == {SETTINGS[setting][2] for setting in ("noise", "direct2", "rate")}


def test_effort_for_one_accuracy_and_seed(pair):
    """A table with one accuracy to reach against its name on the axis, and no small markers."""
    training_method_figures.effort_at_accuracy(
        pair, comparison_table(seeds=(0,)).query("target_accuracy < 0.955")
    )
    assert pair[0].get_xlabel() == "steps until 95.0 % is reached"
    means, seeds = markers(pair[0])
    np.testing.assert_allclose(means, [(4, 0), (2, 1), (20, 2)])
    assert seeds == {}
    assert pair[1].get_legend() is None


@pytest.mark.parametrize(("factor", "is_decades"), [(0.25, False), (100, True)])
def test_effort_axis_has_room(pair, factor, is_decades):
    """Numbers of a narrow and of a wide axis, and the text beside the last marker."""
    table = comparison_table()
    is_rate = table["method"] == "rate conversion"
    table["n_steps"] = table["n_steps"].where(~is_rate, factor * table["n_steps"])
    training_method_figures.effort_at_accuracy(pair, table)
    low, high = pair[0].get_xlim()
    ticks = [tick for tick in pair[0].get_xticks() if low <= tick <= high]
    assert all(np.log10(tick) % 1 == 0 for tick in ticks) == is_decades
    figure = pair[0].figure
    FigureCanvasAgg(figure).draw()
    right = pair[0].get_window_extent().x1
    assert max(text.get_window_extent().x1 for text in pair[0].texts) <= right


def test_effort_that_nobody_made(pair):
    """A table in which no accuracy was reached against axes that say so."""
    table = comparison_table().assign(n_steps=np.nan, accuracy=np.nan)
    training_method_figures.effort_at_accuracy(pair, table)
    assert set(labels(pair[0].texts)) == {"not reached"}
    assert pair[0].get_xlim() == (1, 10)


def test_effort_refuses(pair):
    """No rows, and rows of two networks, against the errors."""
    table = comparison_table()
    with pytest.raises(ValueError, match="nothing to draw"):
        training_method_figures.effort_at_accuracy(pair, table.iloc[:0])
    with pytest.raises(ValueError, match="several rows for method rate conversion, training_seed"):
        training_method_figures.effort_at_accuracy(pair, pd.concat([table, table]))


# ---- cost of training ----


def test_training_draws_the_table(ax):
    """Bars, intervals, numbers and the line against the table, in per cent."""
    training_method_figures.training_time(ax, training_table())
    assert labels(ax.get_yticklabels()) == ["noise, T = 1", "direct, T = 4", "analogue"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [29, 100, 24])
    faces = [to_hex(bar.get_facecolor()) for bar in ax.patches]
    assert faces == [SETTINGS[s][2].lower() for s in ("noise", "direct4", "rate")]
    (arms,) = ax.containers[1].lines[2]
    drawn = [np.sort(segment[:, 0]) for segment in arms.get_segments() if len(segment)]
    drawn = [ends for ends in drawn if np.isfinite(ends).all()]
    np.testing.assert_allclose(drawn, [[27, 32], [22, 27]])
    assert labels(ax.texts) == ["29 % (0.314 ms)", "100 % (1.05 ms)", "24 % (0.25 ms)", "40 %"]
    lines = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert lines == [40]
    with pytest.raises(ValueError, match="several rows for method analogue"):
        training_method_figures.training_time(ax, pd.concat([training_table(), training_table()]))
    with pytest.raises(ValueError, match="nothing to draw"):
        training_method_figures.training_time(ax, training_table().iloc[:0])


# ---- all of them ----


def every_figure():
    """All figures as they are laid out."""
    figure, axes = on((7.6, 1.9), 1, 2, sharey=True)
    training_method_figures.effort_at_accuracy(axes, comparison_table())
    yield figure
    figure, axes = on((4.4, 1.5))
    training_method_figures.training_time(axes, training_table())
    yield figure


def test_no_label_covers_another(monkeypatch):
    """Texts of every figure against each other and the edges of the figure."""
    for figure in every_figure():
        check_labels(figure, monkeypatch)
