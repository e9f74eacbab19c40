"""Figures of the NIR study."""

from __future__ import annotations

from ann2brian.analysis.figures import nir as nir_figures
from ann2brian.studies.frame.figures import Result
from ann2brian.studies.frame.spike_files import SPIKES, load_spikes, read_out
from matplotlib.figure import Figure


def nir_accuracy(result: Result) -> Figure | None:
    """Accuracy and spikes against time, one line for each condition."""
    time = result.table("time")
    if time is None:
        return None
    figure = Figure(figsize=(7.6, 3.0))
    nir_figures.accuracy_over_time(figure.subplots(1, 2), time)
    return figure


def nir_raster(result: Result) -> Figure | None:
    """Spikes of the first input, layer under layer."""
    file = result.folder / SPIKES
    if not file.exists():
        return None
    spikes, layers, stored = load_spikes(file)
    first = spikes.where(spikes.image == 0)
    figure = Figure(figsize=(7.6, 0.8 + 1.1 * len(layers)))
    axes = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[:, 0]
    dt_ms = stored["dt_ms"]
    nir_figures.raster(axes, first, layers, dt_ms, stored["latency_steps"] * dt_ms)
    true, found = read_out(stored, 0)
    figure.suptitle(f"{true}, read out as {found}")
    return figure


FIGURES = (nir_accuracy, nir_raster)
