"""Figures of the sweep of perturbations: what is drawn against the tables."""

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import biology
from ann2brian.analysis.figures import style as figures
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def style():
    with figures.style():
        yield


@pytest.fixture
def ax():
    """Axes of a figure that can be drawn."""
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    yield axes
    figure.canvas.draw()


def sweep(strengths, n_of_burst):
    """AMOS under all strengths, burst under the first few."""
    rows = []
    for scheme, n in (("amos", len(strengths)), ("burst", n_of_burst)):
        for rank, strength in enumerate(strengths[:n]):
            accuracy = 1 - 0.2 * rank
            rows.append(
                {
                    "scheme": scheme,
                    "perturbation": "leak",
                    "relative": strength,
                    "relative_unit": "steps",
                    "is_none": rank == 0,
                    "accuracy": accuracy,
                    "accuracy_low": accuracy - 0.1,
                    "accuracy_high": accuracy,
                }
            )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("strengths", [(0, 0.01, 0.1, 1), (np.inf, 64, 8, 1), (32, 8, 6, 4)])
def test_accuracy_falls_to_the_right(ax, strengths):
    """In the order of the strengths, none leftmost, in the colour of the scheme."""
    biology.accuracy_by_strength(ax, sweep(strengths, 3))
    amos, burst = ax.lines
    assert to_hex(amos.get_color()) == figures.SCHEME_COLOURS["amos"].lower()
    np.testing.assert_allclose(amos.get_ydata(), [100, 80, 60, 40])
    np.testing.assert_allclose(amos.get_xdata()[1:], strengths[1:])
    np.testing.assert_allclose(burst.get_xdata(), amos.get_xdata()[:3])
    x = ax.transData.transform(np.column_stack([amos.get_xdata(), amos.get_ydata()]))[:, 0]
    assert (np.diff(x) > 5).all()
    assert x[0] >= ax.bbox.x0 and x[-1] <= ax.bbox.x1
    ticks = dict(zip([t.get_text() for t in ax.get_xticklabels()], ax.get_xticks(), strict=True))
    assert ticks["none"] == amos.get_xdata()[0]
    assert ticks[f"{strengths[-1]:g}"] == strengths[-1]
    assert ax.get_xlabel() == "steps"


def bearing(scheme, points, at, strongest=1.0):
    """A row whose strength and ends of the interval may be infinite: outside of what was tested."""
    names = ("", "weak", "strong")
    where = ["within" if np.isfinite(x) else "before" if x < 0 else "beyond" for x in at]
    return {
        "scheme": scheme,
        "perturbation": "dead neurons",
        "points": points,
        **{f"{name}_is".lstrip("_"): place for name, place in zip(names, where, strict=True)},
        **{f"relative_{name}".rstrip("_"): x for name, x in zip(names, at, strict=True)},
        "relative_unit": "fraction",
        "weakest": 0.01,
        "strongest": strongest,
    }


def test_strengths_outside_are_triangles_at_the_end(ax):
    """Beyond the strongest that this scheme was tested with, and before the weakest."""
    table = pd.DataFrame(
        [
            bearing("amos", 1, (0.1, 0.05, 0.2)),
            bearing("amos", 10, (np.inf, 0.5, np.inf), strongest=0.8),
            bearing("burst", 1, (-np.inf, -np.inf, 0.03)),
        ]
    )
    biology.tolerances(ax, table)
    lines, marks = ax.lines[::2], ax.lines[1::2]
    assert [m.get_marker() for m in marks] == ["o", ">", "<"]
    assert [m.get_xdata()[0] for m in marks] == [0.1, 0.8, 0.01]
    ends = [list(line.get_xdata()) for line in lines]
    assert ends == [[0.05, 0.2], [0.5, 0.8], [0.01, 0.03]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["amos", "burst"]
    y = [m.get_ydata()[0] for m in marks]
    assert y[0] < y[1] < y[2]


def test_pairs_stand_beside_their_sums(ax):
    """In points of accuracy."""
    row = {"first": "leak", "second": "jitter", "loss_sum": 0.02, "loss_both": 0.05}
    table = pd.DataFrame([row | {"scheme": "rate", "both_low": 0.03, "both_high": 0.08}])
    biology.pairs(ax, table)
    line, both, together = ax.lines
    np.testing.assert_allclose(line.get_xdata(), [3, 8])
    np.testing.assert_allclose([both.get_xdata()[0], together.get_xdata()[0]], [5, 2])
    assert ax.get_title(loc="left") == "leak\nand jitter"


def test_layers_are_rows_of_perturbations(ax):
    """Shares in per cent; a letter where the first layer fails, nothing where no point is lost."""
    table = pd.DataFrame(
        {
            "scheme": "noise",
            "perturbation": "leak",
            "layer": ["act1", "act2"],
            "depth": [1, 2],
            "differing": [0.05, 0.7],
            "fails_first": [False, True],
            "how": ["", "rate"],
        }
    )
    biology.layers(ax, table, ["bits", "leak"])
    shares = ax.images[0].get_array()
    np.testing.assert_allclose(shares.filled(-1), [[-1, -1], [5, 70]])
    (letter,) = ax.texts
    assert (letter.get_text(), letter.get_position(), letter.get_color()) == ("R", (1, 1), "white")
