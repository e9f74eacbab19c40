"""Figures of the burst study."""

from __future__ import annotations

import numpy as np
from ann2brian.analysis.figures import burst as burst_figures
from ann2brian.analysis.figures.style import spread
from ann2brian.analysis.statistics.bursts import WITHIN_BURST_STEPS
from ann2brian.studies.frame.figures import MOST_PANELS, Result
from ann2brian.studies.frame.spike_files import SPIKES, load_spikes, read_out
from matplotlib.figure import Figure

RASTER_PHASES = 6  # shown after the image has reached the last layer


def burst_accuracy(result: Result) -> Figure | None:
    """Accuracy against steps, sub-steps and time; other pooling rules have their own figure."""
    time = result.table("time")
    if time is None:
        return None
    is_full = result.metrics["pooling"] == "lipool"
    metrics = result.metrics[is_full] if is_full.any() else result.metrics
    figure = Figure(figsize=(8.6, 3.0))
    burst_figures.accuracy_against_effort(figure.subplots(1, 3, sharey=True), time, metrics)
    return figure


def burst_pooling(result: Result) -> Figure | None:
    """Error of the logits against steps by pooling rule; None without two rules to compare."""
    time = result.table("time")
    groups = burst_figures.pooling_groups(result.metrics)
    if time is None or not groups:
        return None
    figure = Figure(figsize=(1.6 + 2.6 * len(groups), 2.7))
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for ax, group in zip(axes, groups, strict=True):
        burst_figures.pooling_rules(ax, time, group)
    axes[0].set_ylabel("mean squared error of the logits")
    most = int(np.argmax([len(ax.lines) for ax in axes]))
    axes[-1].legend(
        handles=list(axes[most].lines),
        title="pooling",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        alignment="left",
    )
    return figure


def burst_matched(result: Result) -> Figure | None:
    """Time, spikes and energy at equal accuracy; None without a baseline to compare with."""
    matched = result.table("matched")
    if matched is None or matched.empty or "time_ratio" not in matched:
        return None
    figure = Figure(figsize=(8.6, 1.3 + 0.16 * len(matched)))
    axes = figure.subplots(1, 3, sharey=True)
    burst_figures.matched_accuracy(axes, matched)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        title="accuracy lost against the trained network (points)",
        loc="outside lower center",
        ncols=4,
    )
    return figure


def burst_ablation(result: Result) -> Figure | None:
    """Loss of accuracy and error of the logits as parts of the method go."""
    time = result.table("time")
    chain = burst_figures.ablation_chain(result.metrics)
    if time is None or chain.empty:
        return None
    figure = Figure(figsize=(7.0, 0.9 + 0.35 * len(chain)))
    burst_figures.ablation(figure.subplots(1, 2, sharey=True), chain, time)
    return figure


def burst_raster(result: Result) -> Figure | None:
    """Bursts of the first image on their way through the network."""
    if not (result.folder / SPIKES).exists():
        return None
    spikes, layers, stored = load_spikes(result.folder / SPIKES)
    own = spikes.where(spikes.image == 0)
    n_phases = max(layer.onset for layer in layers) + RASTER_PHASES
    figure = Figure(figsize=(8.6, 1.0 + 0.75 * len(layers)))
    ax = figure.subplots()
    burst_figures.burst_raster(ax, own, layers, stored["dt_ms"], stored["phase_steps"], n_phases)
    true, found = read_out(stored, 0)
    ax.set_title(
        f"{result.config['dataset']}, image 0: {true}, read out as {found}; "
        f"{result.metrics['condition'].iloc[-1]}"
    )
    return figure


def burst_intervals(result: Result) -> Figure | None:
    """Intervals of the layers of the last condition, whose spikes are stored as well."""
    intervals = result.table("intervals")
    if intervals is None or not (result.folder / SPIKES).exists():
        return None
    condition = result.metrics["condition"].iloc[-1]
    rows = intervals[intervals["condition"] == condition]
    if rows.empty:
        return None
    _, _, stored = load_spikes(result.folder / SPIKES)
    names = list(dict.fromkeys(rows["layer"]))
    shown = [names[i] for i in spread(len(names), MOST_PANELS)]
    n_columns = min(len(shown), 3)
    n_rows = -(-len(shown) // n_columns)
    figure = Figure(figsize=(1.0 + 2.5 * n_columns, 0.5 + 1.9 * n_rows))
    axes = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    for ax, name in zip(axes, shown, strict=False):
        # Spikes of a burst follow each other at dt; half as much again still tells them apart.
        own = rows[rows["layer"] == name]
        burst_figures.interval_histogram(ax, own, WITHIN_BURST_STEPS * stored["dt_ms"])
        ax.set_title(name)
    for ax in axes[: len(shown) - n_columns]:
        ax.set_xlabel("")  # the panel below says it
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    figure.suptitle(condition, fontsize="medium")
    return figure


def burst_errors(result: Result) -> Figure | None:
    """Classes of error by layer and condition."""
    layers = result.table("layers")
    if layers is None:
        return None
    n_layers = layers.groupby("kind")["layer"].nunique()
    n_burst, n_pool = (int(n_layers.get(kind, 0)) for kind in ("burst", "pool"))
    n_conditions = layers["condition"].nunique()
    widths = [max(n_burst, 6), max(n_burst, 6), max(n_pool, 4)]  # at least as wide as the titles
    figure = Figure(figsize=(2.0 + 0.34 * sum(widths), 1.4 + 0.19 * n_conditions))
    axes = figure.subplots(1, 3, sharey=True, width_ratios=widths)
    burst_figures.errors_by_layer(axes, layers)
    return figure


FIGURES = (
    burst_accuracy,
    burst_pooling,
    burst_matched,
    burst_ablation,
    burst_raster,
    burst_intervals,
    burst_errors,
)
