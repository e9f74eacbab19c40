"""Figures of the study of perturbations: each function draws one table on given axes.

The tables are those of ``studies/run_biology.py``. From left to right a perturbation grows, whether
its numbers do or not; a scheme always has the same colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import COLOURS, SCHEME_COLOURS, check_rows, only_value
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

NONE = "none"  # tick of the unperturbed network
LOG_FROM = 10  # ratio of the largest to the smallest strength from which axes are logarithmic
MOST_TICKS = 5
NEAR = 0.35  # decades between ticks at least
MARKERS: Mapping[int, str] = MappingProxyType({1: "o", 10: "s"})  # by points of accuracy lost
BESIDE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"before": ("<", "weakest"), "beyond": (">", "strongest")}
)
HOW: Mapping[str, str] = MappingProxyType(
    {
        "rate": "R",
        "first_spike": "L",
        "isi": "I",
        "bursts": "B",
        "pattern": "P",
    }
)
HOW_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "R": "rate",
        "L": "latency of the first spike",
        "I": "interval",
        "B": "bursts",
        "P": "other neurons or steps",
    }
)
SHARE_COLOURS = "YlOrBr"


def scheme_colour(scheme: str) -> str:
    """Colour of a scheme; that of spiking networks for one that has none."""
    return SCHEME_COLOURS.get(scheme, COLOURS["spiking"])


def accuracy_by_strength(ax: Axes, sweep: pd.DataFrame) -> None:
    """Draw accuracy in per cent against the relative strength of one perturbation.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    sweep : DataFrame
        Rows of one perturbation: scheme, relative, relative_unit, is_none, accuracy, accuracy_low,
        accuracy_high. Bands are 95 % intervals.
    """
    name = only_value(sweep, "perturbation")
    tested = _tested(sweep[~sweep["is_none"]])
    before = strength_axis(ax, tested, has_none=True)
    for scheme, own in sweep.groupby("scheme", sort=False):
        x = own["relative"].where(~own["is_none"], before).to_numpy()
        colour = scheme_colour(str(scheme))
        low, high = (100 * own[f"accuracy_{end}"].to_numpy() for end in ("low", "high"))
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(x, 100 * own["accuracy"], color=colour, marker="o", markersize=2, linewidth=1)
    ax.set_ylim(0, 102)
    ax.set_title(name)
    ax.set_xlabel(sweep["relative_unit"].iloc[0])


def tolerances(ax: Axes, table: pd.DataFrame) -> None:
    """Draw the strength of one perturbation at which accuracy is lost, a row for each scheme.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    table : DataFrame
        Rows of one perturbation: scheme, points, is, relative, relative_weak, relative_strong,
        weak_is, strong_is, weakest, strongest. Triangles stand for strengths before the weakest or
        beyond the strongest that was tested.
    """
    name = only_value(table, "perturbation")
    furthest = table.loc[np.abs(np.log(table["strongest"] / table["weakest"])).idxmax()]
    strength_axis(ax, (furthest["weakest"], furthest["strongest"]), has_none=False)
    schemes = list(dict.fromkeys(table["scheme"]))
    for (scheme, points), own in table.groupby(["scheme", "points"], sort=False):
        row = own.iloc[0]
        y = schemes.index(scheme) + (0.18 if points > min(MARKERS) else -0.18)
        colour = scheme_colour(str(scheme))
        line = [_edge(row, end) for end in ("weak", "strong")]
        ax.plot(line, [y, y], color=colour, linewidth=1.2, solid_capstyle="butt")
        fill = colour if points == min(MARKERS) else "white"
        if row["is"] == "within":
            x, marker = row["relative"], MARKERS.get(points, "D")
        else:
            marker, column = BESIDE[row["is"]]
            x = row[column]
        ax.plot(x, y, marker=marker, color=colour, markerfacecolor=fill, clip_on=False, zorder=3)
    ax.set_yticks(range(len(schemes)), schemes)
    ax.set_ylim(len(schemes) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_title(name)
    ax.set_xlabel(table["relative_unit"].iloc[0])


def pairs(ax: Axes, table: pd.DataFrame) -> None:
    """Draw what two perturbations lose together, and the sum of what each loses, in points.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    table : DataFrame
        Rows of one pair, one for each scheme: scheme, first, second, loss_sum, loss_both, both_low,
        both_high. Lines are 95 % intervals.
    """
    check_rows(table)
    for y, row in enumerate(table.itertuples()):
        colour = scheme_colour(str(row.scheme))
        ax.plot([100 * row.both_low, 100 * row.both_high], [y, y], color=colour, linewidth=1.2)
        ax.plot(100 * row.loss_both, y, "o", color=colour)
        ax.plot(100 * row.loss_sum, y, "|", color="black", markersize=9)
    ax.set_yticks(range(len(table)), table["scheme"])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_title(f"{table['first'].iloc[0]}\nand {table['second'].iloc[0]}")
    ax.set_xlabel("accuracy lost (points)")


def pair_handles() -> list[Line2D]:
    """Entries of a legend of `pairs`."""
    styles = (("o", "both at once"), ("|", "sum of each alone"))
    return [
        Line2D([], [], color="black", linestyle="none", marker=marker, label=label)
        for marker, label in styles
    ]


def layers(ax: Axes, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Draw which part of each layer's spikes a perturbation changes, for one scheme.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    table : DataFrame
        Rows of one scheme: perturbation, layer, depth, differing, fails_first, how.
    names : sequence of str
        Perturbations, one row each from the top; those that cost less than a point stay empty.
    """
    check_rows(table)
    order = table.drop_duplicates("layer").sort_values("depth")
    columns = list(order["layer"])
    share = np.full((len(names), len(columns)), np.nan)
    for row in table.itertuples():
        y, x = names.index(row.perturbation), columns.index(row.layer)
        share[y, x] = row.differing
        if row.fails_first:
            colour = "white" if row.differing > 0.6 else "black"
            ax.text(x, y, HOW.get(row.how, "?"), ha="center", va="center", color=colour)
    ax.imshow(100 * share, cmap=SHARE_COLOURS, vmin=0, vmax=100, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, rotation=90)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(length=0)
    ax.set_title(only_value(table, "scheme"))


def share_bar(axes: Sequence[Axes]) -> None:
    """Colour bar of `layers`."""
    scale = ScalarMappable(Normalize(0, 100), mpl.colormaps[SHARE_COLOURS])
    bar = axes[0].figure.colorbar(scale, ax=list(axes), aspect=30, pad=0.01)
    bar.outline.set_visible(False)
    bar.set_label("spikes that differ (%)")


def strength_axis(ax: Axes, tested: Sequence[float], *, has_none: bool) -> float:
    """Axis of strengths on which a perturbation grows to the right; where its absence stands.

    Parameters
    ----------
    ax : Axes
        Whose axis it is.
    tested : sequence of float
        Strengths, from the weakest to the strongest.
    has_none : bool
        Whether there is a tick for the unperturbed network left of them.
    """
    low, high = min(tested), max(tested)
    is_log = low > 0 and high / low >= LOG_FROM
    inner = np.log(tested) if is_log else np.asarray(tested, dtype=np.float64)
    gap = (inner[-1] - inner[0]) / 4
    left, right = inner[0] - gap, inner[-1] + 0.2 * gap
    edge = inner[0] - (1.2 if has_none else 0.2) * gap
    none, start, end = (float(np.exp(x) if is_log else x) for x in (left, edge, right))
    if is_log:
        ax.set_xscale("log")
    every = -(-len(tested) // MOST_TICKS)
    ticks = list(tested[::-1][::every][::-1])
    names = [f"{x:g}" for x in ticks]
    if has_none:
        ticks, names = [none, *ticks], [NONE, *names]
    if len(tested) == 2 and is_log:  # the ends only: whole powers between them
        powers = range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)
        ticks = [10.0**n for n in powers]
        ticks += [x for x in tested if all(abs(np.log10(x / t)) > NEAR for t in ticks)]
        names = [f"{x:g}" for x in ticks]
    ax.set_xticks(ticks, names)
    ax.set_xticks([], minor=True)
    ax.set_xlim(start, end)
    return none


def scheme_handles(schemes: Sequence[str]) -> list[Line2D]:
    """Entries of a legend of schemes."""
    return [Line2D([], [], color=scheme_colour(name), marker="o", label=name) for name in schemes]


def point_handles() -> list[Line2D]:
    """Entries of a legend of `tolerances`."""
    lost = {n: f"{n} point{'s' if n > 1 else ''} lost" for n in MARKERS}
    about = [(MARKERS[n], lost[n], "black" if n == min(MARKERS) else "white") for n in MARKERS]
    about += [("<", "before the weakest tested", "black"), (">", "beyond the strongest", "black")]
    return [
        Line2D([], [], color="black", linestyle="none", marker=m, label=text, markerfacecolor=fill)
        for m, text, fill in about
    ]


def _tested(rows: pd.DataFrame) -> list[float]:
    """Strengths of the scheme that was tested furthest, in their order."""
    check_rows(rows)
    return max((list(own["relative"]) for _, own in rows.groupby("scheme")), key=len)


def _edge(row: pd.Series, end: str) -> float:
    """One end of an interval; of one that lies outside, the end of what was tested."""
    where = row[f"{end}_is"]
    return row[f"relative_{end}"] if where == "within" else row[BESIDE[where][1]]
