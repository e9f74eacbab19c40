"""Figures of networks from NIR files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import COLOURS, spread
from ann2brian.models.spiking.recording import RecordedLayer, Spikes
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

MOST_NEURONS = 40  # of a layer in a raster


def accuracy_over_time(axes: Sequence[Axes], time: pd.DataFrame) -> None:
    """Accuracy and spikes of an input against time, one line for each condition.

    Parameters
    ----------
    axes : sequence of Axes
        Two.
    time : DataFrame
        Columns ``condition``, ``time_ms``, ``accuracy`` and ``spikes_per_image``.
    """
    for label, own in time.groupby("condition", sort=False):
        axes[0].plot(own["time_ms"], 100 * own["accuracy"], label=label)
        if "spikes_per_image" in own:
            axes[1].plot(own["time_ms"], own["spikes_per_image"], label=label)
    axes[0].set(xlabel="time (ms)", ylabel="correct (%)")
    axes[0].set_ylim(top=100.5)
    axes[1].set(xlabel="time (ms)", ylabel="spikes so far")
    axes[0].legend(loc="lower right")


def raster(
    axes: Sequence[Axes],
    spikes: Spikes,
    layers: Sequence[RecordedLayer],
    dt_ms: float,
    end_ms: float,
) -> None:
    """Spikes of one input, one row for each active neuron, layers from the top to the bottom.

    Parameters
    ----------
    axes : sequence of Axes
        One for each layer.
    spikes : Spikes
        Of one input.
    layers : sequence of RecordedLayer
        All layers of the recording, in its order.
    dt_ms : float
        Length of a simulation step in ms.
    end_ms : float
        Until when to draw.
    """
    for index, (ax, layer) in enumerate(zip(axes, layers, strict=True)):
        own = spikes.where(spikes.layer == index)
        active = np.unique(own.neuron)
        shown = active[spread(len(active), MOST_NEURONS)]
        drawn = own.where(np.isin(own.neuron, shown))
        rows = np.searchsorted(shown, drawn.neuron)
        ax.plot(drawn.step * dt_ms, rows, "|", color=COLOURS["spiking"], markersize=4)
        # What cannot happen before the input arrives is grey.
        ax.axvspan(0, layer.onset * dt_ms, color="0.92", linewidth=0)
        ax.set_ylabel(
            f"{layer.name}\n{len(shown)} of {len(active)}\nactive,\n{layer.n_units} in all"
        )
        ax.set(xlim=(0, end_ms), ylim=(len(shown) - 0.5, -0.5), yticks=[])
    axes[-1].set_xlabel("time (ms)")
    axes[-1].xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
