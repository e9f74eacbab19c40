"""The figure of schemes side by side: what is drawn against the tables."""

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import style as figures
from ann2brian.analysis.figures.comparison import COSTS, LINE, frontier

from tests.support.drawn import check_labels, labels, legend, on

RUNS = (  # scheme, setting, steps, time of a step in ms
    ("amos", "K = 4", 4, 1.0),
    ("amos", "K = 10", 10, 1.5),
    ("burst", "T = 32", 32, 14.0),
    ("rate", "T = 64", 64, 2.0),
    ("albsnn", "T = 4", 4, 1.0),
)


def tables(seeds=(1,)):
    """Accuracy that rises over time, from three tenths."""
    time = []
    for (scheme, condition, n_steps, dt), seed in ((run, seed) for run in RUNS for seed in seeds):
        step = np.arange(1, n_steps + 1)
        accuracy = 0.99 - 0.6 / step
        time.append(
            pd.DataFrame(
                {
                    "scheme": scheme,
                    "network": f"net-{scheme}",
                    "training_seed": seed,
                    "condition": condition,
                    "step": step,
                    "accuracy": accuracy,
                    "accuracy_low": accuracy - 0.01,
                    "accuracy_high": accuracy + 0.005,
                    "time_ms": dt * (step + 3),
                    "spikes_per_image": 700.0 * step * dt,
                    "energy_nj": 40 + 30.0 * step,
                }
            )
        )
    time = pd.concat(time, ignore_index=True)
    metrics = time.groupby(LINE, sort=False).last().reset_index()
    return time, metrics.assign(ann_accuracy=0.99)


@pytest.fixture(autouse=True)
def style():
    with figures.style():
        yield


@pytest.fixture
def drawn():
    figure, axes = on((8.6, 2.9), 1, 3, sharey=True)
    frontier(list(axes), *tables())
    return figure, axes


def test_lines_bands_and_ends(drawn):
    """Each run in each panel, with its interval, and a mark where it ends."""
    time, _ = tables()
    for ax, (cost, label) in zip(drawn[1], COSTS, strict=True):
        assert ax.get_xlabel() == label
        lines = [line for line in ax.lines if line.get_marker() == "None"]
        marks = [line for line in ax.lines if line.get_marker() == "o"]
        runs = [own for _, own in time.groupby(LINE, sort=False)]
        for line, mark, band, own in zip(lines, marks, ax.collections, runs, strict=True):
            colour = figures.SCHEME_COLOURS[own.scheme.iloc[0]]
            assert {line.get_color(), mark.get_color()} == {colour}
            np.testing.assert_array_equal(line.get_xdata(), own[cost])
            np.testing.assert_array_equal(line.get_ydata(), 100 * own.accuracy)
            assert mark.get_xdata() == own[cost].iloc[-1]
            ends = band.get_paths()[0].vertices[:, 1]
            assert ends.min() == pytest.approx(100 * own.accuracy_low.min())
            assert ends.max() == pytest.approx(100 * own.accuracy_high.max())


def test_trained_networks_stand_at_the_right(drawn):
    """One triangle for each network."""
    marks = [line for line in drawn[1][0].lines if line.get_marker() == "<"]
    assert [line.get_ydata() for line in marks] == [[99.0]] * 4


def test_settings_are_numbered(drawn):
    """Of the scheme that has several, in the last panel and in the legend."""
    assert [labels(ax.texts) for ax in drawn[1]] == [[], [], ["4", "10"]]
    names = ["AMOS, K = 4, 10", "burst", "ALBSNN", "rate conversion", "end of a run", "as trained"]
    assert legend(drawn[1][-1]) == names


def test_all_ends_are_shown(drawn):
    """The vertical axis is that of the ends: what is far below them is left out."""
    low, high = drawn[1][0].get_ylim()
    _, metrics = tables()
    assert low < 100 * metrics.accuracy_low.min()
    assert high >= 99
    assert low > 30


def test_a_run_of_one_step_has_its_interval():
    """A bar in place of a band."""
    time, metrics = tables()
    one = time[(time.scheme == "albsnn") & (time.step == 4)].assign(step=1)
    _, axes = on((8.6, 2.9), 1, 3)
    frontier(list(axes), one, metrics)
    bar, _ = axes[0].collections
    ends = bar.get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, 100 * one[["accuracy_low", "accuracy_high"]].iloc[0])


def test_texts_stand_apart(drawn, monkeypatch):
    check_labels(drawn[0], monkeypatch)


def test_seeds_have_a_line_each():
    """Two seeds, and numbers at the ends of the first only."""
    _, axes = on((8.6, 2.9), 1, 3, sharey=True)
    frontier(list(axes), *tables(seeds=(1, 2)))
    assert len([line for line in axes[0].lines if line.get_marker() == "None"]) == 2 * len(RUNS)
    assert labels(axes[-1].texts) == ["4", "10"]


def test_what_cannot_be_drawn():
    """No rows, and two rows for one step."""
    time, metrics = tables()
    _, axes = on((8.6, 2.9), 1, 3)
    with pytest.raises(ValueError, match="no rows"):
        frontier(list(axes), time.head(0), metrics)
    with pytest.raises(ValueError, match="several rows for scheme amos"):
        frontier(list(axes), pd.concat([time, time.head(1)]), metrics)
