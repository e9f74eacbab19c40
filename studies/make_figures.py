"""Draw all figures again from the stored results.

    python studies/make_figures.py [--results DIR] [--out DIR]

Every complete result folder ``results/<scheme>/*/`` (one with ``metrics.csv``) gets a folder
``figures`` with a PNG and a PDF of each figure of its scheme. `FIGURES` is the list of them.
Nothing is simulated.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures import albsnn as albsnn_figures
from ann2brian.analysis.figures import burst as burst_figures
from ann2brian.analysis.figures import noise_network as noise_network_figures
from ann2brian.analysis.figures import noise_neuron as noise_neuron_figures
from ann2brian.analysis.figures import style as figures
from ann2brian.analysis.figures import training as training_method_figures
from ann2brian.analysis.figures.amos import (
    accuracy_against_k,
    accuracy_over_time,
    firing_by_position,
    staircase,
    travelling_raster,
)
from ann2brian.analysis.figures.benchmark import cost
from ann2brian.analysis.statistics.bursts import WITHIN_BURST_STEPS
from ann2brian.models.schemes.amos.gate_fits import fitted_gate
from ann2brian.models.schemes.amos.gates import alpha_for, relu_gate
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame.spike_files import load_spikes
from matplotlib.figure import Figure

COMPLETE = "metrics.csv"
SPIKES = "spikes.npz"
FORMATS: Mapping[str, dict[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "pdf": {"metadata": {"CreationDate": None}},  # the same results give the same bytes
}
STAIRCASES = {"relu": (2, 3, 4)}  # sizes whose steps can be seen; fitted gates: the next line
FITTED_STAIRCASES = (4, 6, 8)
SHOWN_DRIVES = (-6.0, 6.0)  # of fitted gates: where their functions bend
RASTER_PHASES = 6  # of bursts: shown after the image has reached the last layer
MOST_PANELS = 6  # of a figure with one panel for each layer
MOST_COLUMNS = 3  # of a figure with one column for each seed
MOST_SETTINGS = 5  # of locally binary networks in one figure


@dataclass(frozen=True)
class Result:
    """A stored result, read as far as a figure asks for it.

    Parameters
    ----------
    folder : Path
        Its folder.
    """

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """What was run."""
        return json.loads((self.folder / "config.json").read_text())

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row per condition."""
        return pd.read_csv(self.folder / COMPLETE)

    def table(self, name: str) -> pd.DataFrame | None:
        """Table of that name, None if the study did not write it."""
        file = self.folder / f"{name}.csv"
        return pd.read_csv(file) if file.exists() else None

    def finest(self, table: str) -> pd.DataFrame:
        """Rows of a table, ``positions`` or ``time``, that belong to the largest K."""
        rows = pd.read_csv(self.folder / f"{table}.csv")
        return rows[rows["neurons_per_gate"] == rows["neurons_per_gate"].max()]


def amos_staircase(result: Result) -> Figure:
    """Gates of several sizes against the functions they stand for."""
    config = result.config
    functions = config["gate"].split("+")
    figure = Figure(figsize=(3.6 * len(functions), 3.0))
    for function, ax in zip(
        functions, figure.subplots(1, len(functions), squeeze=False)[0], strict=True
    ):
        sizes = STAIRCASES.get(function, FITTED_STAIRCASES)
        if function == "relu":
            # The range differs from layer to layer; in units of it all gates are the same.
            half_step = config["half_step"]
            gates = {k: relu_gate(k, alpha_for(1.0, k), half_step=half_step) for k in sizes}
            staircase(ax, function, gates, (-0.25, 1.25))
            ax.set(xlabel="drive x / range of the layer", ylabel="activation / range of the layer")
        else:
            gates = {k: fitted_gate(function, k, kind=config["inhibition"]) for k in sizes}
            low, high = gates[sizes[0]].domain
            shown = (max(low, SHOWN_DRIVES[0]), min(high, SHOWN_DRIVES[1]))
            staircase(ax, function, gates, shown)
    return figure


def amos_raster(result: Result) -> Figure:
    """Spikes of the first image on their way through the network."""
    spikes, layers, stored = load_spikes(result.folder / SPIKES)
    figure = Figure(figsize=(6.4, min(1.0 + 0.9 * len(layers), 7.0)))
    ax = figure.subplots()
    travelling_raster(ax, spikes.where(spikes.image == 0), layers, stored["dt_ms"])
    latency_ms = stored["latency_steps"] * stored["dt_ms"]
    ax.axvline(latency_ms, color="0.6", linewidth=0.8)
    ax.set_xlim(right=1.02 * latency_ms)
    ax.set_title(
        f"{result.config['dataset']}, image 0: class {stored['labels'][0]}, "
        f"read out as {stored['predictions'][0]} after {latency_ms:g} ms (line)"
    )
    return figure


def amos_accuracy_against_k(result: Result) -> Figure | None:
    """Accuracy against the size of the gates; None for a single size."""
    if result.metrics["neurons_per_gate"].nunique() < 2:
        return None
    figure = Figure(figsize=(3.6, 2.7))
    accuracy_against_k(figure.subplots(), result.metrics)
    return figure


def amos_accuracy_over_time(result: Result) -> Figure:
    """Accuracy of the read-out after each slot, for the largest K."""
    trained = result.metrics.sort_values("neurons_per_gate")["ann_accuracy"].iloc[-1]
    figure = Figure(figsize=(3.6, 2.7))
    accuracy_over_time(figure.subplots(), result.finest("time"), float(trained))
    return figure


def amos_firing_by_position(result: Result) -> Figure:
    """Probability of a spike by the position in the gate, for the largest K."""
    figure = Figure(figsize=(4.4, 2.7))
    firing_by_position(figure.subplots(), result.finest("positions"))
    return figure


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
    """Time, spikes and energy at equal accuracy."""
    matched = result.table("matched")
    if matched is None or matched.empty:
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
    ax.set_title(
        f"{result.config['dataset']}, image 0: class {stored['labels'][0]}, read out as "
        f"{stored['predictions'][0]}; {result.metrics['condition'].iloc[-1]}"
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
    shown = [names[i] for i in figures.spread(len(names), MOST_PANELS)]
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


def _of(table: pd.DataFrame | None, **wanted: str) -> pd.DataFrame | None:
    """Rows with the given values; None for no rows or no table."""
    if table is None:
        return None
    for column, value in wanted.items():
        table = table[table[column] == value]
    return None if table.empty else table


def noise_accuracy(result: Result) -> Figure | None:
    """Accuracy against steps by how the network was trained; None for a single way."""
    residual = _of(result.table("time"), condition="residual")
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
        figure.subplots(1, 2), result.table("time"), result.metrics, _shown(result)
    )
    return figure


def _shown(result: Result) -> str:
    """Setting of the network whose spikes are kept."""
    return str(result.metrics["setting"].iloc[-1])


def noise_residuals(result: Result) -> Figure | None:
    """What neurons carry from step to step beside the noise of training."""
    wanted = {"setting": _shown(result), "condition": result.metrics["condition"].iloc[-1]}
    quantiles, residuals = (_of(result.table(n), **wanted) for n in ("quantiles", "residuals"))
    if quantiles is None or residuals is None:
        return None
    seed = result.metrics["training_seed"].iloc[-1]
    quantiles, residuals = (t[t["training_seed"] == seed] for t in (quantiles, residuals))
    layers = noise_network_figures.gaussian_layers(quantiles)
    if not layers:
        return None
    shown = [layers[i] for i in figures.spread(len(layers), MOST_PANELS)]
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
    layers = _of(result.table("layers"), setting=_shown(result))
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


def _compared(result: Result, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the settings that a figure has room for: the one that is shown, then the first."""
    settings = dict.fromkeys([_shown(result), *table["setting"]])
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
    history = _of(result.table("history"), setting=_shown(result))
    if history is None or not _shown(result).startswith(albsnn_figures.CHOSEN):
        return None
    seeds = sorted(history["training_seed"].unique())
    shown = [seeds[i] for i in figures.spread(len(seeds), MOST_COLUMNS)]
    figure = Figure(figsize=(1.4 + 2.5 * len(shown), 3.2))
    axes = figure.subplots(
        2, len(shown), sharex="col", sharey="row", height_ratios=(3, 1), squeeze=False
    )
    for column, seed in zip(axes.T, shown, strict=True):
        albsnn_figures.choice_of_layers(column, history[history["training_seed"] == seed])
        column[0].set_title(f"seed {seed}")
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
    shown = [names[i] for i in figures.spread(len(names), MOST_PANELS)]
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


def training_time(result: Result) -> Figure:
    """Cost of a training step by method."""
    figure = Figure(figsize=(4.4, 0.6 + 0.3 * len(result.metrics)))
    training_method_figures.training_time(figure.subplots(), result.metrics)
    return figure


def benchmark_cost(result: Result) -> Figure:
    """Build time against depth, and time of the loop against batch size and activity."""
    table = pd.read_csv(result.folder / "measurements.csv")
    figure = Figure(figsize=(9.0, 2.7))
    cost(figure.subplots(1, 4), table)
    return figure


FIGURES: Mapping[str, Sequence[Callable[[Result], Figure | None]]] = {
    "amos": (
        amos_staircase,
        amos_raster,
        amos_accuracy_against_k,
        amos_accuracy_over_time,
        amos_firing_by_position,
    ),
    "burst": (
        burst_accuracy,
        burst_pooling,
        burst_matched,
        burst_ablation,
        burst_raster,
        burst_intervals,
        burst_errors,
    ),
    "noise": (
        noise_accuracy,
        noise_conditions,
        noise_residuals,
        noise_psychometric,
        noise_trials,
        noise_trial_statistics,
        noise_layers,
        noise_effort,
    ),
    "albsnn": (
        albsnn_accuracy,
        albsnn_choice,
        albsnn_potentials,
        albsnn_curve,
        albsnn_timing,
        albsnn_layers,
    ),
    "training": (training_time,),
    "benchmark": (benchmark_cost,),
}


def make_figures(folder: Path, out: Path | None = None) -> list[Path]:
    """Draw the figures of one result.

    Parameters
    ----------
    folder : Path
        Complete result folder.
    out : Path, optional
        Where to write, instead of ``figures`` inside the folder.

    Returns
    -------
    list of Path
        The files, a PNG and a PDF for each figure that the result has data for.

    Raises
    ------
    ValueError
        If the folder is not complete, or there are no figures for its scheme.
    """
    if not (folder / COMPLETE).exists():
        raise ValueError(f"{folder} is not a complete result: there is no {COMPLETE}")
    result = Result(folder)
    scheme = result.config["scheme"]
    if scheme not in FIGURES:
        raise ValueError(
            f"{folder}: no figures for scheme {scheme!r}; there are for {', '.join(FIGURES)}"
        )
    out = folder / "figures" if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    files = []
    with figures.style():
        for draw in FIGURES[scheme]:
            figure = draw(result)
            if figure is None:
                continue
            for suffix, options in FORMATS.items():
                files.append(out / f"{draw.__name__}.{suffix}")
                figure.savefig(files[-1], **options)
    return files


def main(argv: Sequence[str] | None = None) -> list[Path]:
    """Command line; returns the files written."""
    parser = argparse.ArgumentParser(description="Draw all figures again from stored results.")
    parser.add_argument(
        "--results",
        type=Path,
        default=common.RESULTS,
        help="folder of the schemes",
    )
    parser.add_argument(
        "--out", type=Path, help="write to OUT/<scheme>/<result> instead of each result's folder"
    )
    arguments = parser.parse_args(argv)
    found = [
        folder
        for scheme in FIGURES
        for folder in common.complete_results(arguments.results / scheme)
    ]
    if not found:
        parser.error(f"no results in {arguments.results}: run studies/run_amos.py first")
    files = []
    for folder in found:
        out = arguments.out and arguments.out / folder.parent.name / folder.name
        files += make_figures(folder, out)
        print(f"{folder}: {out or folder / 'figures'}")
    return files


if __name__ == "__main__":
    main()
