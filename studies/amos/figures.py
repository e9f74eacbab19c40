"""Figures of the AMOS study."""

from __future__ import annotations

import pandas as pd
from ann2brian.analysis.figures.amos import (
    accuracy_against_k,
    accuracy_over_time,
    firing_by_position,
    staircase,
    travelling_raster,
)
from ann2brian.models.schemes.amos.gate_fits import fitted_gate, shipped_functions
from ann2brian.models.schemes.amos.gates import alpha_for, relu_gate
from ann2brian.studies.frame.figures import Result
from ann2brian.studies.frame.spike_files import SPIKES, load_spikes, read_out
from matplotlib.figure import Figure

STAIRCASES = {"relu": (2, 3, 4)}  # sizes whose steps can be seen; fitted gates: the next line
FITTED_STAIRCASES = (4, 6, 8)
SHOWN_DRIVES = (-6.0, 6.0)  # of fitted gates: where their functions bend


def amos_staircase(result: Result) -> Figure | None:
    """Gates of several sizes against their functions; None if all are fitted at conversion."""
    config = result.config
    functions = [one for one in config["gate"].split("+") if one in ("relu", *shipped_functions())]
    if not functions:
        return None
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
    true, found = read_out(stored, 0)
    ax.set_title(
        f"{result.config['dataset']}, image 0: {true}, read out as {found} after "
        f"{latency_ms:g} ms (line)"
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
    accuracy_over_time(figure.subplots(), _finest(result, "time"), float(trained))
    return figure


def amos_firing_by_position(result: Result) -> Figure:
    """Probability of a spike by the position in the gate, for the largest K."""
    figure = Figure(figsize=(4.4, 2.7))
    firing_by_position(figure.subplots(), _finest(result, "positions"))
    return figure


def _finest(result: Result, name: str) -> pd.DataFrame:
    """Rows of a table that belong to the largest K."""
    largest = result.metrics["neurons_per_gate"].max()
    table = result.table(name, neurons_per_gate=largest)
    assert table is not None
    return table


FIGURES = (
    amos_staircase,
    amos_raster,
    amos_accuracy_against_k,
    amos_accuracy_over_time,
    amos_firing_by_position,
)
