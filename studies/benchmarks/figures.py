"""Figures of the engine's benchmark and of the cost of training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ann2brian.analysis.figures import training as training_method_figures
from ann2brian.analysis.figures.benchmark import cost, growth, speed
from ann2brian.studies.benchmarks.parts.growth import points
from ann2brian.studies.frame.figures import Result
from matplotlib.figure import Figure


def training_time(result: Result) -> Figure:
    """Cost of a training step by method."""
    figure = Figure(figsize=(4.4, 0.6 + 0.3 * len(result.metrics)))
    training_method_figures.training_time(figure.subplots(), result.metrics)
    return figure


SPEED = {  # by part: title of a panel
    "against": "previous release",
    "peers": "other libraries, from pixels to scores",
    "explicit": "explicit Brian2 synapses",
}
COST = {"event": "delivery, per event (ns)", "update": "all else, per neuron and step (ns)"}


def benchmark_speed(result: Result) -> Figure | None:
    """How many times as long the previous release, other libraries and explicit synapses take."""
    shown = _labelled(result.metrics[result.metrics.panel == "speed"])
    parts = [part for part in SPEED if part in set(shown.part)]
    if not parts:
        return None
    heights = [(shown.part == part).sum() + 2 for part in parts]
    figure = Figure(figsize=(6.0, 0.17 * sum(heights) + 0.4))
    axes = figure.subplots(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
    for ax, part in zip(axes, parts, strict=True):
        speed(ax, shown[shown.part == part])
        ax.set_title(SPEED[part])
    return figure


def benchmark_cost(result: Result) -> Figure | None:
    """Cost of an event and of a neuron's step, beside what the processor can do at best."""
    shown = _labelled(result.metrics)
    if not set(COST) <= set(shown.panel):
        return None
    figure = Figure(figsize=(9.0, 2.0))
    for ax, (panel, unit) in zip(figure.subplots(1, 2), COST.items(), strict=True):
        limits = shown[shown.panel == f"{panel} limit"]
        cost(ax, shown[shown.panel == panel], limits, unit)
    return figure


def benchmark_growth(result: Result) -> Figure | None:
    """Growth of cost with neurons, events, depth, images and copies."""
    table = result.table("measurements", part="growth")
    if table is None:
        return None
    slopes = result.metrics.set_index("quantity").value
    found = [
        points(name, rows).assign(
            growth=name,
            slope=slopes.get(f"growth with {name}: slope", np.nan),
        )
        for name, rows in table.groupby("case", sort=False)
    ]
    figure = Figure(figsize=(1.8 * len(found), 1.9))
    growth(figure.subplots(1, len(found), squeeze=False)[0], pd.concat(found))
    return figure


def _labelled(quantities: pd.DataFrame) -> pd.DataFrame:
    """With a column for what stands beside the axis: the quantity up to what is measured."""
    label = quantities.quantity.str.split(":").str[0].str.replace(" / IF", "")
    return quantities.assign(label=label.str.replace(", T = 50", ""))
