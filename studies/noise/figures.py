"""Figures of the noise study."""

from __future__ import annotations

from ann2brian.analysis.figures import noise_network as noise_network_figures
from ann2brian.analysis.figures import noise_neuron as noise_neuron_figures
from ann2brian.analysis.figures import training as training_method_figures
from ann2brian.analysis.figures.style import spread
from ann2brian.studies.frame.figures import MOST_PANELS, Result
from matplotlib.figure import Figure


def noise_accuracy(result: Result) -> Figure | None:
    """Accuracy against steps by how the network was trained; None for a single way."""
    residual = result.table("time", condition="residual")
    if residual is None or residual["setting"].nunique() < 2:
        return None
    figure = Figure(figsize=(7.6, 3.0))
    noise_network_figures.accuracy_by_setting(
        figure.subplots(1, 2), result.table("time"), result.metrics, "residual"
    )
    return figure


def noise_conditions(result: Result) -> Figure:
    """Accuracy against steps by how the network that is shown was run."""
    figure = Figure(figsize=(7.6, 3.0))
    noise_network_figures.accuracy_by_condition(
        figure.subplots(1, 2), result.table("time"), result.metrics, result.shown
    )
    return figure


def noise_residuals(result: Result) -> Figure | None:
    """What neurons carry from step to step beside the noise of training."""
    wanted = {"setting": result.shown, "condition": result.metrics["condition"].iloc[-1]}
    quantiles, residuals = (result.table(n, **wanted) for n in ("quantiles", "residuals"))
    if quantiles is None or residuals is None:
        return None
    seed = result.metrics["training_seed"].iloc[-1]
    quantiles, residuals = (t[t["training_seed"] == seed] for t in (quantiles, residuals))
    layers = noise_network_figures.gaussian_layers(quantiles)
    if not layers:
        return None
    shown = [layers[i] for i in spread(len(layers), MOST_PANELS)]
    n_columns = min(len(shown), 3)
    n_rows = -(-len(shown) // n_columns)
    figure = Figure(figsize=(1.0 + 2.1 * n_columns, 0.4 + 1.9 * n_rows))
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, name in zip(axes, shown, strict=False):
        own = (t[t["layer"] == name] for t in (quantiles, residuals))
        noise_network_figures.residual_quantiles(ax, *own)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    return figure


def noise_psychometric(result: Result) -> Figure | None:
    """Firing probability of one neuron against its drive."""
    curve, fits = result.table("psychometric"), result.table("fits")
    if curve is None or fits is None:
        return None
    figure = Figure(figsize=(5.6, 2.9))
    noise_neuron_figures.psychometric_curves(figure.subplots(), curve, fits)
    return figure


def noise_trials(result: Result) -> Figure | None:
    """Spike trains of one neuron over trials, and their intervals."""
    raster, trials, intervals = (
        result.table(name) for name in ("raster", "neuron_trials", "intervals")
    )
    if raster is None or trials is None or intervals is None:
        return None
    drive = float(raster["drive"].iloc[0])
    n_rules = len(noise_neuron_figures.rules(trials))
    figure = Figure(figsize=(0.6 + 1.8 * n_rules, 3.6))
    axes = figure.subplots(2, n_rules, height_ratios=(1.5, 1), sharex="row", squeeze=False)
    noise_neuron_figures.trial_rasters(axes[0], raster, trials, drive)
    noise_neuron_figures.trial_intervals(axes[1], intervals, trials, drive)
    figure.suptitle(f"drive {drive:g} thresholds in each step", fontsize="medium")
    return figure


def noise_trial_statistics(result: Result) -> Figure | None:
    """Jitter and variation of one neuron's spike trains against the drive."""
    trials = result.table("neuron_trials")
    if trials is None:
        return None
    figure = Figure(figsize=(9.0, 2.3))
    noise_neuron_figures.trial_statistics(figure.subplots(1, 4), trials)
    return figure


def noise_layers(result: Result) -> Figure | None:
    """Variation, correlation and information of each layer of the network that is shown."""
    layers = result.table("layers", setting=result.shown)
    if layers is None:
        return None
    n_rows = layers["layer"].nunique() * layers["condition"].nunique()
    figure = Figure(figsize=(8.8, 0.9 + 0.1 * n_rows))
    noise_network_figures.layer_statistics(figure.subplots(1, 4, sharey=True), layers)
    return figure


def noise_effort(result: Result) -> Figure | None:
    """Steps and wall time of each method at the same accuracy."""
    comparison = result.table("comparison")
    if comparison is None or comparison["method"].nunique() < 2:
        return None
    n_methods = comparison["method"].nunique()
    figure = Figure(figsize=(6.4, 0.7 + 0.32 * n_methods))
    if comparison.groupby("training_seed")["target_accuracy"].first().nunique() > 1:
        figure = Figure(figsize=(7.6, 0.9 + 0.42 * n_methods))
    training_method_figures.effort_at_accuracy(figure.subplots(1, 2, sharey=True), comparison)
    return figure


FIGURES = (
    noise_accuracy,
    noise_conditions,
    noise_residuals,
    noise_psychometric,
    noise_trials,
    noise_trial_statistics,
    noise_layers,
    noise_effort,
)
