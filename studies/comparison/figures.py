"""The figure of the comparison."""

from __future__ import annotations

from ann2brian.analysis.figures import comparison as comparison_figures
from ann2brian.studies.frame.figures import Result
from matplotlib.figure import Figure


def comparison_frontier(result: Result) -> Figure:
    """Accuracy against biological time, spikes and energy, each run read out ever later."""
    figure = Figure(figsize=(8.6, 2.9))
    time = result.table("time")
    assert time is not None
    axes = figure.subplots(1, 3, sharey=True)
    comparison_figures.frontier(list(axes), time, result.metrics)
    return figure


FIGURES = (comparison_frontier,)
