"""Figures of one noisy neuron: each draws one table on given axes.

The tables are those of the noise study; style and general colours are those of
`analysis.figures.style`. A rule that the neuron follows has a colour, a line style and a marker,
the same in all figures of neurons and of networks. A **condition** is a rule and, after a comma,
what is unusual about it, e.g. "residual, hard reset"; conditions of one rule share its colour and
differ in line style and marker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import COLOURS, check_rows, only_value
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.special import ndtr

# Of the palette of Okabe and Ito, like the general colours.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "residual": "#0072B2",
        "memoryless": "#D55E00",
        "both": "#009E73",
        "diffusive": "#CC79A7",
        "rate": "#44AA99",  # no noise at all: analogue networks
    }
)
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "<", ">")
MOST_TRIALS = 40  # shown in a raster
OF_TRIALS = (
    ("first_jitter_ms", "jitter of the first spike (ms)"),
    ("fano", "Fano factor of the counts"),
    ("cv2", "CV2 of the intervals"),
    ("reliability", "reliability"),
)
POISSON = ("fano", "cv2")  # measures that are 1 for a Poisson process


# ---- rules and their looks ----


def rules(table: pd.DataFrame) -> list[str]:
    """Rules of a table, each once, in the order in which they are drawn.

    Parameters
    ----------
    table : DataFrame
        With a column rule.

    Returns
    -------
    list of str
        So many panels `trial_rasters` and `trial_intervals` draw.
    """
    return list(condition_looks(table["rule"]))


def condition_looks(conditions: Iterable[str]) -> dict[str, tuple[Any, str, str]]:
    """Line style, marker and colour by condition, in the order of the rules.

    A rule on its own has the first line style and its own first marker; other conditions of the
    same rule take the next ones.

    Parameters
    ----------
    conditions : iterable of str
        May repeat.

    Returns
    -------
    dict of str to (line style, str, str)
        Each condition once.

    Raises
    ------
    ValueError
        If a condition does not begin with a rule.
    """
    looks = {}
    found = list(dict.fromkeys(conditions))
    for first, (rule, colour) in enumerate(RULES.items()):
        variants = [c for c in found if c.startswith(f"{rule},")]
        for index, condition in enumerate([rule, *variants]):
            line = LINES[index % len(LINES)]
            looks[condition] = (line, MARKERS[(first + index) % len(MARKERS)], colour)
    unknown = [condition for condition in found if condition not in looks]
    if unknown:
        raise ValueError(
            f"condition {unknown[0]!r} does not begin with a rule, which are {', '.join(RULES)}"
        )
    return {condition: look for condition, look in looks.items() if condition in found}


# ---- firing probability ----


def psychometric_curves(ax: Axes, psychometric: pd.DataFrame, fits: pd.DataFrame) -> None:
    """Firing probability against drive: measured with intervals, in theory, and fitted, by rule.

    Lines of theory and points become smaller from rule to rule, so that those of rules that do the
    same can all be seen.

    Parameters
    ----------
    ax : Axes
        Where to draw; the legend stands right of it.
    psychometric : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        probability, low, high, theory.
    fits : DataFrame
        At most one row per rule: rule, threshold, width and their ends (_low, _high),
        theory_threshold, theory_width (thresholds). Without a row, or with NaN for the threshold,
        no fit is drawn; without a row, or with NaN for the width in theory, a line through the
        values in `psychometric` is the theory.

    Raises
    ------
    ValueError
        If there are no rows, or a rule has several leaks.
    """
    names = _rule_names(psychometric)
    low, high = psychometric["drive"].min(), psychometric["drive"].max()
    fine = np.linspace(low, high, 501)
    looks = condition_looks(psychometric["rule"])
    thickness = np.linspace(6.5, 2.0, len(looks))
    sizes = _shrinking(len(looks))
    for thick, size, rule in zip(thickness, sizes, looks, strict=True):
        _, marker, colour = looks[rule]
        rows = psychometric[psychometric["rule"] == rule].sort_values("drive")
        found = fits[fits["rule"] == rule]
        fit = found.iloc[0] if len(found) else None
        if fit is not None and fit["theory_width"] >= 0:
            x, y = fine, _normal(fine, fit["theory_threshold"], fit["theory_width"])
        else:
            x, y = rows["drive"].to_numpy(), rows["theory"].to_numpy()
        ax.plot(x, y, color=_pale(colour), linewidth=thick, label=f"_theory {rule}")
        text = "no fit"
        if fit is not None and fit["threshold"] == fit["threshold"]:
            y = _normal(fine, fit["threshold"], fit["width"])
            ax.plot(fine, y, color=colour, linewidth=1, linestyle="--", label=f"_fit {rule}")
            text = "\n".join(
                f"{name} {fit[name]:.3f} ({fit[f'{name}_low']:.3f} to {fit[f'{name}_high']:.3f})"
                for name in ("threshold", "width")
            )
        p = rows["probability"]
        ax.errorbar(
            rows["drive"],
            p,
            yerr=np.clip([p - rows["low"], rows["high"] - p], 0, None),
            color=colour,
            marker=marker,
            markersize=size,
            linestyle="none",
            elinewidth=0.8,
            label=f"{names[rule]}\n{text}",
        )
    handles, labels = ax.get_legend_handles_labels()
    handles += [
        Line2D([], [], color=_pale("0.3"), linewidth=4),
        Line2D([], [], color="0.3", linewidth=1, linestyle="--"),
    ]
    labels += ["theory", "fitted Φ((drive − threshold) / width)"]
    ax.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.9)
    ax.set(xlabel="drive (thresholds)", ylabel="firing probability", ylim=(-0.03, 1.03))
    ax.xaxis.set_major_locator(MaxNLocator(6))


# ---- trials ----


def trial_rasters(
    axes: Sequence[Axes],
    raster: pd.DataFrame,
    trials: pd.DataFrame,
    drive: float,
    *,
    shown_ms: float | None = None,
) -> None:
    """Spikes of one neuron in repeated trials of the same drive, one panel per rule.

    Parameters
    ----------
    axes : sequence of Axes
        As many as there are `rules` in `trials`.
    raster : DataFrame
        One row per spike: rule, leak, drive, trial (from 0), time_ms.
    trials : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        n_trials.
    drive : float
        Which one.
    shown_ms : float, optional
        End of the time axis; the last spike of all panels by default.

    Raises
    ------
    ValueError
        If there are no trials or no spikes with this drive, or a rule has several leaks.
    """
    names = _rule_names(trials)
    at_drive = _at_drive(trials, drive)
    own = _of_trials(raster, at_drive)
    if own.empty:
        raise ValueError(f"the raster has no spikes of these trials with drive {drive:g}")
    end = shown_ms or 1.02 * float(own["time_ms"].max())
    own = own[(own["trial"] < MOST_TRIALS) & (own["time_ms"] <= end)]
    n_trials = at_drive["n_trials"].max()
    shown = min(n_trials, MOST_TRIALS)
    for ax, (rule, (_, _, colour)) in zip(
        axes, condition_looks(trials["rule"]).items(), strict=True
    ):
        rows = own[own["rule"] == rule]
        y = rows["trial"]
        ax.vlines(rows["time_ms"], y - 0.4, y + 0.4, color=colour, linewidth=0.9)
        ax.set(title=names[rule], xlabel="time (ms)", xlim=(0, end), ylim=(shown - 0.4, -0.6))
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    of_all = f" (first {shown} of {n_trials})" if shown < n_trials else ""
    axes[0].set_ylabel(f"trial{of_all}")


def trial_intervals(
    axes: Sequence[Axes], intervals: pd.DataFrame, trials: pd.DataFrame, drive: float
) -> None:
    """Histograms of the intervals between spikes of one neuron, one panel per rule.

    Parameters
    ----------
    axes : sequence of Axes
        As many as there are `rules` in `trials`.
    intervals : DataFrame
        One row per rule, drive and interval that occurs: rule, leak, drive, interval_ms, fraction.
    trials : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        mean_interval_ms and cv (NaN without intervals).
    drive : float
        Which one.

    Raises
    ------
    ValueError
        If there are no trials with this drive, or a rule has several leaks.
    """
    _rule_names(trials)
    at_drive = _at_drive(trials, drive)
    own = _of_trials(intervals, at_drive)
    distance = np.diff(np.unique(own["interval_ms"]))
    width = 0.8 * float(distance.min(initial=distance[0])) if len(distance) else 0.8
    for ax, (rule, (_, _, colour)) in zip(
        axes, condition_looks(trials["rule"]).items(), strict=True
    ):
        rows = own[own["rule"] == rule]
        ax.bar(rows["interval_ms"], 100 * rows["fraction"], width, color=colour)
        text = "no intervals"
        if len(rows):
            of_rule = at_drive[at_drive["rule"] == rule].iloc[0]
            text = f"mean {of_rule['mean_interval_ms']:.3g} ms\nCV {of_rule['cv']:.2f}"
        ax.annotate(
            text, (0.98, 0.98), xycoords="axes fraction", ha="right", va="top", fontsize="small"
        )
        room = 1.4 * 100 * max(rows["fraction"].max() if len(rows) else 0.0, 0.01)
        ax.set(xlabel="interval (ms)", ylim=(0, room))
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes[0].set_ylabel("intervals (%)")


def trial_statistics(axes: Sequence[Axes], trials: pd.DataFrame) -> None:
    """Jitter, Fano factor, CV2 and reliability of one neuron against its drive, by rule.

    Markers become smaller from rule to rule, so that rules that do the same can all be seen. The
    dashed line is a Poisson process.

    Parameters
    ----------
    axes : sequence of four Axes
        The legend stands right of the last.
    trials : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        first_jitter_ms, fano, cv2, reliability (NaN where it has no meaning).

    Raises
    ------
    ValueError
        If there are no rows, or a rule has several leaks.
    """
    names = _rule_names(trials)
    looks = condition_looks(trials["rule"])
    sizes = _shrinking(len(looks))
    for ax, (column, label) in zip(axes, OF_TRIALS, strict=True):
        if column in POISSON:
            ax.axhline(
                1.0, color=COLOURS["trained"], linewidth=0.8, linestyle="--", label="Poisson"
            )
        for size, (rule, (line, marker, colour)) in zip(sizes, looks.items(), strict=True):
            rows = trials[trials["rule"] == rule].sort_values("drive")
            ax.plot(
                rows["drive"],
                rows[column],
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=size,
                label=names[rule],
            )
        ax.set(xlabel="drive (thresholds)", ylabel=label)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]) if column == "first_jitter_ms" else -0.04)
    axes[-1].set_ylim(top=1.04)
    handles = [*axes[-1].lines, axes[1].lines[0]]
    axes[-1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))


# ---- helpers ----


def _rule_names(table: pd.DataFrame) -> dict[str, str]:
    """Name of each rule with its leak, of which there must be one."""
    check_rows(table)
    names = {}
    for rule in condition_looks(table["rule"]):
        leak = only_value(table[table["rule"] == rule], "leak", f"rule {rule}: ")
        names[rule] = rule if leak == 1 else f"{rule}, leak {leak:g}"
    return names


def _of_trials(table: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Rows with the rule, leak and drive of one of the trials."""
    is_own = np.zeros(len(table), dtype=bool)
    for row in trials.itertuples():
        is_own |= (
            (table["rule"] == row.rule)
            & np.isclose(table["leak"], row.leak)
            & np.isclose(table["drive"], row.drive)
        )
    return table[is_own]


def _at_drive(trials: pd.DataFrame, drive: float) -> pd.DataFrame:
    """Rows with a drive, or a ValueError that says which drives there are."""
    rows = trials[np.isclose(trials["drive"], drive)]
    if rows.empty:
        found = ", ".join(f"{value:g}" for value in sorted(trials["drive"].unique()))
        raise ValueError(f"no trials with drive {drive:g}; there are {found}")
    return rows


def _normal(x: NDArray, threshold: float, width: float) -> NDArray:
    """Firing probability with Gaussian noise; a step at the threshold without."""
    return ndtr((x - threshold) / width) if width > 0 else (x >= threshold).astype(np.float64)


def _pale(colour: str) -> tuple[float, float, float]:
    """Mix a colour with white."""
    red, green, blue = (0.4 * part + 0.6 for part in to_rgb(colour))
    return red, green, blue


def _shrinking(n: int) -> NDArray[np.float64]:
    """Sizes of markers that lie on each other."""
    return np.linspace(5.5, 2.5, n)
