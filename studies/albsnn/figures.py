"""Figures of the study of locally binary networks."""

from __future__ import annotations

import pandas as pd
from ann2brian.analysis.figures import albsnn as albsnn_figures
from ann2brian.analysis.figures.style import seed_label, spread
from ann2brian.studies.frame.figures import MOST_PANELS, Result
from matplotlib.figure import Figure

MOST_COLUMNS = 3  # of a figure with one column for each seed
MOST_SETTINGS = 5  # of networks in one figure


def _compared(result: Result, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the settings that a figure has room for: the one that is shown, then the first."""
    settings = dict.fromkeys([result.shown, *table["setting"]])
    return table[table["setting"].isin(list(settings)[:MOST_SETTINGS])]


def albsnn_accuracy(result: Result) -> Figure:
    """Accuracy against saved storage, beside published accuracies on the same data set."""
    figure = Figure(figsize=(7.6, 3.0))
    axes = figure.subplots(1, 2, sharey=True)
    metrics = _compared(result, result.metrics)
    albsnn_figures.accuracy_against_saving(axes, metrics, result.table("paper"))
    return figure


def albsnn_choice(result: Result) -> Figure | None:
    """How the layers of the network that is shown were chosen, one column for each seed."""
    history = result.table("history", setting=result.shown)
    if history is None or not result.shown.startswith(albsnn_figures.CHOSEN):
        return None
    seeds = sorted(history["training_seed"].unique())
    shown = [seeds[i] for i in spread(len(seeds), MOST_COLUMNS)]
    figure = Figure(figsize=(1.4 + 2.5 * len(shown), 3.2))
    axes = figure.subplots(
        2, len(shown), sharex="col", sharey="row", height_ratios=(3, 1), squeeze=False
    )
    for column, seed in zip(axes.T, shown, strict=True):
        albsnn_figures.choice_of_layers(column, history[history["training_seed"] == seed])
        column[0].set_title(seed_label(seed))
    for ax in axes[0, 1:]:
        ax.set_ylabel("")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def albsnn_potentials(result: Result) -> Figure | None:
    """Potentials of the first step by layer and setting."""
    potentials = result.table("potentials")
    if potentials is None or potentials.empty:
        return None
    potentials = _compared(result, potentials)
    names = list(dict.fromkeys(potentials["layer"]))
    shown = [names[i] for i in spread(len(names), MOST_PANELS)]
    figure = Figure(figsize=(1.6 + 1.9 * len(shown), 2.6))
    albsnn_figures.potential_densities(
        figure.subplots(1, len(shown), squeeze=False)[0],
        potentials[potentials["layer"].isin(shown)],
    )
    return figure


def albsnn_curve(result: Result) -> Figure | None:
    """Accuracy as layers of trained networks become binary."""
    curve = result.table("curve")
    if curve is None:
        return None
    figure = Figure(figsize=(7.2, 2.8))
    albsnn_figures.curve_of_layers(figure.subplots(1, 2), curve)
    return figure


def albsnn_timing(result: Result) -> Figure | None:
    """What binary weights do to spike times, by layer; one row for each number of steps."""
    timing = result.table("timing")
    if timing is None or timing.empty:
        return None
    steps = sorted(timing["n_steps"].unique())
    figure = Figure(figsize=(9.4, 0.3 + 1.8 * len(steps)))
    axes = figure.subplots(len(steps), len(albsnn_figures.TIMING), sharex=True, squeeze=False)
    for row, n_steps in zip(axes, steps, strict=True):
        albsnn_figures.timing_by_layer(row, timing[timing["n_steps"] == n_steps])
        row[0].set_title(f"T = {n_steps}")
    axes[0, -1].legend(
        title="made binary", loc="center left", bbox_to_anchor=(1.0, 0.5), alignment="left"
    )
    return figure


def albsnn_layers(result: Result) -> Figure | None:
    """Storage and synaptic events of each layer, for the fewest steps."""
    layers = result.table("layers")
    if layers is None:
        return None
    layers = _compared(result, layers[layers["n_steps"] == layers["n_steps"].min()])
    n_bars = len(layers[["setting", "training_seed"]].drop_duplicates())
    figure = Figure(figsize=(8.8, 0.9 + 0.2 * layers["setting"].nunique() + 0.12 * n_bars))
    albsnn_figures.storage_and_events(figure.subplots(1, 3, sharey=True), layers)
    return figure


FIGURES = (
    albsnn_accuracy,
    albsnn_choice,
    albsnn_potentials,
    albsnn_curve,
    albsnn_timing,
    albsnn_layers,
)
