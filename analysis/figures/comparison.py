"""Figures of schemes side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from ann2brian.analysis.figures.style import (
    SCHEME_COLOURS,
    check_rows,
    check_unique,
    log_axis,
)
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

COSTS = (
    ("time_ms", "biological time of an image (ms)"),
    ("spikes_per_image", "spikes of an image"),
    ("energy_nj", "energy of an image (nJ)"),
)
NAMES = {
    "amos": "AMOS",
    "burst": "burst",
    "noise": "noise",
    "albsnn": "ALBSNN",
    "rate": "rate conversion",
}
LONG = 100  # largest of the numbers on an axis, in the smallest
LARGE = 9_999  # above which there is room for few of them
LINE = ["scheme", "network", "training_seed", "condition"]  # what names a line


def frontier(axes: Sequence[Axes], time: pd.DataFrame, metrics: pd.DataFrame) -> None:
    """Draw accuracy against time, spikes and energy, one line for each scheme and setting.

    A line is one run read out ever later, with the 95 % interval over the images; its end, the
    whole run, has a mark, and in the last panel the number of its setting where a scheme has
    several. Triangles at the right are the trained networks.

    Parameters
    ----------
    axes : sequence of three Axes
        One for each of `COSTS`; the legend stands right of the last.
    time : DataFrame
        One row for each step of a run: scheme, network, training_seed, condition, step, accuracy,
        accuracy_low, accuracy_high (fractions), time_ms, spikes_per_image, energy_nj.
    metrics : DataFrame
        One row for each run: scheme, network, training_seed, condition, ann_accuracy (fraction).

    Raises
    ------
    ValueError
        If there are no rows, or a run has several for the same step.
    """
    check_rows(time)
    check_unique(time, [*LINE, "step"])
    schemes = [scheme for scheme in NAMES if (time.scheme == scheme).any()]
    for ax, (cost, label) in zip(axes, COSTS, strict=True):
        low, high = time[cost].min(), time[cost].max()
        log_axis(ax, base=10, is_long=high > LONG * low or high > LARGE)
        for (scheme, *_), rows in time.groupby(LINE, sort=False):
            _line(ax, rows, cost, SCHEME_COLOURS[scheme])
        for (scheme, _), own in metrics.groupby(["scheme", "network"], sort=False):
            ax.plot(
                1.0,
                100 * own.ann_accuracy.iloc[0],
                marker="<",
                color=SCHEME_COLOURS[scheme],
                transform=ax.get_yaxis_transform(),
                clip_on=False,
                linestyle="none",
            )
        ax.set_xlabel(label)
    _magnify(axes, time, metrics)
    _number_settings(axes[-1], time)
    axes[0].set_ylabel("test accuracy (%)")
    handles = [Line2D([], [], color=SCHEME_COLOURS[own], label=_name(own, time)) for own in schemes]
    handles.append(Line2D([], [], color="0.3", marker="o", linestyle="none", label="end of a run"))
    handles.append(Line2D([], [], color="0.3", marker="<", linestyle="none", label="as trained"))
    axes[-1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.08, 0.5))


def _line(ax: Axes, rows: pd.DataFrame, cost: str, colour: str) -> None:
    """One run, its interval, and a mark at its end."""
    rows = rows.sort_values("step")
    ax.plot(rows[cost], 100 * rows.accuracy, color=colour)
    if len(rows) == 1:  # no band is as wide as a point
        ends = (100 * rows.accuracy_low, 100 * rows.accuracy_high)
        ax.vlines(rows[cost], *ends, color=colour, linewidth=0.8)
    ax.fill_between(
        rows[cost],
        100 * rows.accuracy_low,
        100 * rows.accuracy_high,
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
    ax.plot(rows[cost].iloc[-1], 100 * rows.accuracy.iloc[-1], "o", color=colour)


def _name(scheme: str, time: pd.DataFrame) -> str:
    """Of a scheme in the legend, with its settings if there are several."""
    settings = list(dict.fromkeys(time.condition[time.scheme == scheme]))
    if len(settings) == 1:
        return NAMES[scheme]
    values = ", ".join(_value(setting) for setting in settings)
    return f"{NAMES[scheme]}, {settings[0].partition(' = ')[0]} = {values}"


def _number_settings(ax: Axes, time: pd.DataFrame) -> None:
    """Number the ends of the runs of a scheme with several settings, of its first network."""
    for scheme, rows in time.groupby("scheme", sort=False):
        if rows.condition.nunique() == 1:
            continue
        first = rows.drop_duplicates("condition").index  # each setting's first row
        for index in first:
            own = rows[(rows[LINE] == rows.loc[index, LINE]).all(axis=1)]
            end = own.sort_values("step").iloc[-1]
            ax.annotate(
                _value(end.condition),
                (end[COSTS[-1][0]], 100 * end.accuracy),
                xytext=(3, 2),
                textcoords="offset points",
                ha="left",
                va="bottom",
                fontsize="small",
                color=SCHEME_COLOURS[str(scheme)],
            )


def _value(setting: str) -> str:
    """The number of a setting such as "K = 8"."""
    return setting.rpartition(" = ")[2]


def _magnify(axes: Sequence[Axes], time: pd.DataFrame, metrics: pd.DataFrame) -> None:
    """Show where the best runs of each scheme end: what is far below is left out."""
    ends = time.groupby(LINE, sort=False)[["accuracy_low", "accuracy_high"]].last()
    low = ends.groupby("scheme").accuracy_low.max().min()
    high = max(ends.accuracy_high.max(), metrics.ann_accuracy.max())
    room = max(high - low, 0.02)
    for ax in axes:
        ax.set_ylim(100 * max(low - 1.5 * room, 0), 100 * (high + 0.05 * room))
