"""Figures of the engine's benchmark and of the cost of training."""

from __future__ import annotations

import pandas as pd
from ann2brian.analysis.figures import training as training_method_figures
from ann2brian.analysis.figures.benchmark import cost
from ann2brian.studies.frame.figures import Result
from matplotlib.figure import Figure


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
