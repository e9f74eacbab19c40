"""Figures that compare methods of training: each draws one table on given axes.

A **method** is a way to get a spiking network. It has the colour of its setting in
`analysis.figures.noise_network`; style and general colours are those of `analysis.figures.style`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.noise_network import OTHER_COLOUR, SETTINGS
from ann2brian.analysis.figures.style import COLOURS, beside, check_rows, check_unique, log_axis
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

# How the names of methods begin, and the setting that lends the colour.
METHODS = (
    ("noise", "noise"),
    ("direct, T = 2", "direct2"),
    ("direct, T = 4", "direct4"),
    ("rate", "rate"),
    ("analogue", "rate"),  # the network that rate conversion starts from
)
TARGET_MARKERS = ("o", "s", "^", "D")
LIMIT_PERCENT = 40.0  # of the training time of direct, T = 4; marked by a line


# ---- effort ----


def effort_at_accuracy(axes: Sequence[Axes], comparison: pd.DataFrame) -> None:
    """Steps and wall time until an accuracy is reached, one row per method.

    Small markers are the seeds; the large one with its number is their geometric mean, drawn if
    all of them reach the accuracy.

    Parameters
    ----------
    axes : sequence of two Axes
        Steps and wall time; with a common vertical axis, which runs downwards. With several
        accuracies the legend stands right of the second.
    comparison : DataFrame
        Of one data set, one row per method, seed and accuracy to reach: method, training_seed,
        target_accuracy (fraction), n_steps and ms_per_image (NaN n_steps: not reached), accuracy
        (what the method has in the end, if not reached; the mean over seeds is shown).

    Raises
    ------
    ValueError
        If there are no rows, or several for one method, seed and accuracy.
    """
    check_rows(comparison)
    check_unique(comparison, ["method", "training_seed", "target_accuracy"])
    methods = _ordered(comparison["method"])
    # Accuracies to reach may depend on the seed; the lowest ones of all seeds belong together.
    rank = comparison.groupby("training_seed")["target_accuracy"].rank("dense").astype(int)
    targets = {
        number: _percent_range(rows["target_accuracy"]) for number, rows in comparison.groupby(rank)
    }
    markers = {number: TARGET_MARKERS[(number - 1) % len(TARGET_MARKERS)] for number in targets}
    height = 0.75 / len(targets)
    is_reached = comparison["n_steps"].notna()
    several = len(targets) > 1
    aim = "an accuracy" if several else next(iter(targets.values()))
    for ax, (column, label) in zip(
        axes,
        (("n_steps", "steps until {} is reached"), ("ms_per_image", "wall time per image (ms)")),
        strict=True,
    ):
        values = comparison[column].where(is_reached)
        ax.set_xlabel(label.format(aim))
        log_axis(ax, base=10)
        low, high = _room_for_numbers(values)
        ax.set_xlim(low, high)
        if high > 200 * low:  # the numbers between powers of ten would touch
            ax.xaxis.set_major_locator(LogLocator(base=10))
        for border in range(1, len(methods)):
            ax.axhline(border - 0.5, color="0.9", linewidth=0.6)
        for number, (at, marker) in enumerate(markers.items()):
            for y, method in enumerate(methods):
                is_own = (comparison["method"] == method) & (rank == at)
                if is_own.any():
                    y_at = y + (number - (len(targets) - 1) / 2) * height
                    text = "not reached"
                    end = 100 * comparison.loc[is_own, "accuracy"].mean()
                    if column == "n_steps" and np.isfinite(end):
                        text += f" ({end:.1f} % in the end)"
                    _effort(ax, values[is_own], y_at, text, marker, _method_colour(method))
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(methods)), methods)
    axes[0].set_ylim(len(methods) - 0.5, -0.5)
    if several:
        handles = [
            Line2D([], [], color="0.3", marker=marker, linestyle="none", label=targets[number])
            for number, marker in markers.items()
        ]
        axes[-1].legend(
            handles=handles,
            title="accuracy to reach",
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            alignment="left",
        )


# ---- cost of training ----


def training_time(ax: Axes, training: pd.DataFrame) -> None:
    """Time to train on an image, relative to direct training with four steps, by method.

    Parameters
    ----------
    ax : Axes
        Where to draw; its vertical axis runs downwards.
    training : DataFrame
        One row per method: method, ms_per_image, ratio, low, high (ends of its interval, NaN if
        there is none).

    Raises
    ------
    ValueError
        If there are no rows, or several for a method.
    """
    check_rows(training)
    check_unique(training, ["method"])
    rows = training.set_index("method").loc[_ordered(training["method"])]
    ratio, low, high = 100 * rows[["ratio", "low", "high"]].to_numpy().T
    y = np.arange(len(rows))
    ax.barh(y, ratio, 0.6, color=[_method_colour(method) for method in rows.index])
    arms = np.array([ratio - low, high - ratio])
    ax.errorbar(ratio, y, xerr=arms, fmt="none", ecolor="0.2", elinewidth=0.8, capsize=2)
    right = max(float(np.nanmax(np.fmax(ratio, high))), LIMIT_PERCENT)
    for at, value, time in zip(y, ratio, rows["ms_per_image"], strict=True):
        beside(ax, right, at, f"{value:.0f} % ({time:.3g} ms)")
    ax.axvline(LIMIT_PERCENT, color=COLOURS["trained"], linewidth=0.8, linestyle="--")
    ax.annotate(
        f"{LIMIT_PERCENT:g} %",
        (LIMIT_PERCENT, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize="small",
    )
    ax.set(
        xlabel="training time per image (% of direct, T = 4)",
        xlim=(0, 1.4 * right),
        ylim=(len(rows) - 0.5, -0.5),
    )
    ax.set_yticks(y, rows.index)
    ax.tick_params(axis="y", length=0)


# ---- helpers ----


def _ordered(methods: Iterable[str]) -> list[str]:
    """Methods, each once, in the order of `METHODS`; others last."""

    def place(method: str) -> int:
        found = (i for i, (start, _) in enumerate(METHODS) if method.startswith(start))
        return next(found, len(METHODS))

    return sorted(dict.fromkeys(methods), key=place)


def _method_colour(method: str) -> str:
    """Colour of the setting whose networks the method uses."""
    settings = (setting for start, setting in METHODS if method.startswith(start))
    setting = next(settings, None)
    return SETTINGS[setting][2] if setting else OTHER_COLOUR


def _effort(ax: Axes, values: pd.Series, y: float, never: str, marker: str, colour: str) -> None:
    """Markers of the seeds of a method, their geometric mean, and what was not reached."""
    reached = values.dropna()
    missing = len(values) - len(reached)
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none"}
    if missing == len(values):
        ax.text(0.02, y, never, va="center", fontsize="small", transform=ax.get_yaxis_transform())
        return
    if len(values) > 1:
        ax.plot(reached, np.full(len(reached), y), **look, markersize=3, alpha=0.5)
    if missing:
        beside(ax, reached.max(), y, f"{missing} of {len(values)} not reached")
        return
    mean = float(np.exp(np.log(reached).mean()))
    ax.plot(mean, y, **look, markersize=6)
    beside(ax, reached.max(), y, f"{mean:.3g}")


def _room_for_numbers(values: pd.Series) -> tuple[float, float]:
    """Limits of a logarithmic axis with room right of the values."""
    found = values.dropna()
    if found.empty:
        return 1.0, 10.0
    low, high = np.log10([found.min(), found.max()])
    span = max(high - low, 0.5)
    return float(10 ** (low - 0.1 * span)), float(10 ** (high + 0.8 * span))


def _percent_range(fractions: pd.Series) -> str:
    """Values in per cent, as one number if they are all the same."""
    low, high = f"{100 * fractions.min():.1f}", f"{100 * fractions.max():.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"
