"""Figures of the study of perturbations."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from ann2brian.analysis.figures import biology
from ann2brian.studies.frame.figures import Result
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = 4  # of small multiples


def _multiples(
    table: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], row_height: float
) -> tuple[Figure, list[Axes], Axes]:
    """One panel for each perturbation, and a free one for the legend."""
    groups = list(table.groupby("perturbation", sort=False))
    n_columns = min(COLUMNS, len(groups) + 1)
    n_rows = -(-(len(groups) + 1) // n_columns)
    figure = Figure(figsize=(2.0 * n_columns, 0.3 + row_height * n_rows))
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    for ax, (_, own) in zip(axes, groups, strict=False):
        draw(ax, own)
    for ax in axes[len(groups) :]:
        ax.set_axis_off()
    return figure, axes[: len(groups)], axes[len(groups)]


def biology_accuracy(result: Result) -> Figure | None:
    """Accuracy against the strength of each perturbation, with 95 % intervals."""
    sweep = result.table("sweep")
    if sweep is None:
        return None
    figure, axes, free = _multiples(sweep, biology.accuracy_by_strength, 1.75)
    for ax in axes[::COLUMNS]:
        ax.set_ylabel("accuracy (%)")
    free.legend(handles=biology.scheme_handles(list(dict.fromkeys(sweep["scheme"]))), loc="center")
    return figure


def biology_tolerance(result: Result) -> Figure | None:
    """Relative strength of each perturbation at which accuracy is lost, with 95 % intervals."""
    table = result.table("tolerance")
    if table is None:
        return None
    figure, _, free = _multiples(table, biology.tolerances, 1.6)
    free.legend(handles=biology.point_handles(), loc="center")
    return figure


def biology_pairs(result: Result) -> Figure | None:
    """Loss under two perturbations against the sum of their losses; none without pairs."""
    table = result.table("pairs")
    if table is None:
        return None
    groups = list(table.groupby(["first", "second"], sort=False))
    figure = Figure(figsize=(1.4 + 2.2 * len(groups), 2.0))
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for ax, (_, own) in zip(axes, groups, strict=True):
        biology.pairs(ax, own)
    figure.legend(handles=biology.pair_handles(), loc="outside right center")
    return figure


def biology_layers(result: Result) -> Figure | None:
    """Spikes of each layer that differ where a point is lost; none if nothing loses one.

    Letters mark the first layer with a tenth of its spikes changed, and how it changes most.
    """
    table, sweep = result.table("layers"), result.table("sweep")
    if table is None or sweep is None:
        return None
    names = [n for n in dict.fromkeys(sweep["perturbation"]) if n in set(table["perturbation"])]
    groups = list(table.groupby("scheme", sort=False))
    sizes = [own["layer"].nunique() for _, own in groups]
    figure = Figure(figsize=(2.4 + 0.36 * sum(sizes), 1.3 + 0.22 * len(names)))
    axes = figure.subplots(1, len(groups), squeeze=False, sharey=True, width_ratios=sizes)[0]
    for ax, (_, own) in zip(axes, groups, strict=True):
        biology.layers(ax, own, names)
    biology.share_bar(axes)
    used = {biology.HOW.get(how) for how in table["how"].dropna()} & set(biology.HOW_NAMES)
    said = "; ".join(f"{x}: {name}" for x, name in biology.HOW_NAMES.items() if x in used)
    figure.supxlabel(f"first layer to fail, by {said}", fontsize="small")
    return figure


FIGURES = (biology_accuracy, biology_tolerance, biology_pairs, biology_layers)
