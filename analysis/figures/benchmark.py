"""Figures of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import COLOURS, beside, check_rows, log_axis
from matplotlib.axes import Axes

LONG = 50  # largest of the numbers on an axis of a small panel, in the smallest


def speed(ax: Axes, quantities: pd.DataFrame) -> None:
    """Draw how many times as long something else takes, as bars with the middle half of rounds.

    Parameters
    ----------
    ax : Axes
        Where to draw; its vertical axis runs downwards, its horizontal one is logarithmic.
    quantities : DataFrame
        One row per bar: label, value, low, high.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    check_rows(quantities)
    _spreads(ax, quantities, "bar")
    ax.axvline(1, color=COLOURS["trained"], linewidth=0.8)
    ax.set(xlabel="times as long as this engine", xlim=(min(0.9, quantities.low.min()), None))
    ax.set_xlim(right=4 * max(quantities.high.max(), 2))


def cost(ax: Axes, quantities: pd.DataFrame, limits: pd.DataFrame, unit: str) -> None:
    """Draw nanoseconds of the engine beside what the processor can do at best.

    Parameters
    ----------
    ax : Axes
        Where to draw; its vertical axis runs downwards, its horizontal one is logarithmic.
    quantities : DataFrame
        One row per marker: label, value, low, high.
    limits : DataFrame
        Column value; the dashed line stands at their median.
    unit : str
        Label of the horizontal axis.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    check_rows(quantities)
    limit = float(np.median(limits.value))
    _spreads(ax, quantities, "marker")
    ax.axvline(limit, color=COLOURS["trained"], linewidth=0.8, linestyle="--")
    ax.annotate(
        f"this processor: {limit:.2g}",
        (limit, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        va="bottom",
        fontsize="small",
    )
    low, high = min(limit, quantities.low.min()), max(limit, quantities.high.max())
    ax.set(xlabel=unit, xlim=(low / 1.6, high * 3))


def growth(axes: Sequence[Axes], points: pd.DataFrame) -> None:
    """Draw cost against what grows; where it has a slope, with the line through the logarithms.

    Parameters
    ----------
    axes : sequence of Axes
        One for each of them.
    points : DataFrame
        One row per measurement: growth (its name), x, y, xlabel, ylabel, slope (NaN for none).

    Raises
    ------
    ValueError
        If there are no rows.
    """
    check_rows(points)
    for ax, (_, rows) in zip(axes, points.groupby("growth", sort=False), strict=True):
        middle = rows.groupby("x")[["y"]].median().reset_index()
        ax.plot(rows.x, rows.y, ".", color=COLOURS["spiking"], alpha=0.5)
        slope = float(rows.slope.iloc[0])
        line = middle.y
        if np.isfinite(slope):
            x, y = np.log(middle.x), np.log(middle.y)
            line = np.exp(slope * (x - x.mean()) + y.mean())
            ax.set_title(f"slope {slope:.2f}")
        ax.plot(middle.x, line, color=COLOURS["spiking"])
        for which in ("x", "y"):
            is_long = rows[which].max() > LONG * rows[which].min()
            log_axis(ax, base=10, which=which, is_long=is_long)
        centre = np.sqrt(rows.y.min() * rows.y.max())
        half = max(np.sqrt(rows.y.max() / rows.y.min()) * 1.3, 3.0)  # noise is no growth
        ax.set(xlabel=rows.xlabel.iloc[0], ylabel=rows.ylabel.iloc[0])
        ax.set_ylim(centre / half, centre * half)


def _spreads(ax: Axes, quantities: pd.DataFrame, kind: str) -> None:
    """Values with the middle half of the rounds, from top to bottom, and their numbers."""
    y = np.arange(len(quantities))
    value, low, high = quantities[["value", "low", "high"]].to_numpy().T
    log_axis(ax, base=10)
    arms = np.array([value - low, high - value])
    if kind == "bar":
        ax.barh(y, value - 1, 0.6, left=1, color=COLOURS["spiking"])
    ax.errorbar(
        value,
        y,
        xerr=arms,
        fmt="none" if kind == "bar" else "o",
        color=COLOURS["spiking"],
        markersize=4,
        ecolor="0.2",
        elinewidth=0.8,
        capsize=2,
    )
    for at, middle, end in zip(y, value, high, strict=True):
        beside(ax, max(end, 1.0) if kind == "bar" else end, at, f"{middle:.3g}")
    ax.set_yticks(y, quantities.label)
    ax.set_ylim(len(y) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
