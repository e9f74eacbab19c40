"""Figures of AMOS networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import (
    COLOURS,
    MOST_NAMES,
    colour_bar,
    sequence,
    spread,
    trained_line,
)
from ann2brian.analysis.statistics.accuracy import accuracy_interval
from ann2brian.models.networks.layers import ACTIVATIONS
from ann2brian.models.spiking.recording import RecordedLayer, Spikes
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator

POINTS = 4001  # of a staircase; finer than a printed pixel


def staircase(
    ax: Axes,
    function_name: str,
    gates: Mapping[int, Callable[[np.ndarray], np.ndarray]],
    domain: tuple[float, float],
) -> None:
    """Output of gates of several sizes against their drive, with the function they stand for.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    function_name : str
        A name of `models.networks.layers.ACTIVATIONS`.
    gates : mapping of int to callable
        By the number of neurons of a gate, its output for an array of drives.
    domain : (float, float)
        Range of drives to show, in the units of the trained network.
    """
    drive = np.linspace(*domain, POINTS)
    exact = ACTIVATIONS[function_name](drive)
    ax.plot(drive, exact, color=COLOURS["exact"], linewidth=3.5, label=function_name)
    colours = sequence("neurons_per_gate", len(gates))
    for colour, (n_neurons, gate) in zip(colours, sorted(gates.items()), strict=True):
        ax.plot(drive, gate(drive), color=colour, linewidth=1.0, label=f"K = {n_neurons}")
    ax.set(xlabel="drive x of the gate", ylabel="activation", xlim=domain)
    ax.legend(loc="upper left")


def travelling_raster(
    ax: Axes,
    spikes: Spikes,
    layers: Sequence[RecordedLayer],
    dt_ms: float,
    *,
    most_units: int = 40,
) -> None:
    """Spikes of one image on their way through the layers, one row for each gate.

    A row holds the K neurons of a gate. They decide in turn, one in each slot, so time and
    colour tell them apart, and a row is the code word of its gate. A spike fills its slot; the
    grey field is the time in which the layer decides.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    spikes : Spikes
        Of one image.
    layers : sequence of RecordedLayer
        All layers of the recording, in its order; the first is drawn at the top.
    dt_ms : float
        Length of a step in ms.
    most_units : int
        Gates drawn of each layer; of a larger layer evenly spaced ones are, and the label says
        how many.

    Raises
    ------
    ValueError
        If the spikes belong to several images.
    """
    if len(np.unique(spikes.image)) > 1:
        raise ValueError(
            f"a raster shows one image, the spikes belong to {len(np.unique(spikes.image))}"
        )
    colours = sequence("position", max(layer.n_positions for layer in layers))
    gap = 0.12 * min(most_units, max(layer.n_units for layer in layers))
    top, centres, names = 0.0, [], []
    for index, layer in enumerate(layers):
        shown = spread(layer.n_units, most_units)
        own = spikes.where(spikes.layer == index)
        position, unit = np.divmod(own.neuron, layer.n_units)
        is_shown = np.isin(unit, shown)
        row = top + np.searchsorted(shown, unit[is_shown])
        window = np.array([layer.onset, layer.onset + layer.n_positions]) * dt_ms
        ax.fill_between(window, top - 0.5, top + len(shown) - 0.5, color="0.93", linewidth=0)
        # One field for each spike: its slot wide, its row high but for a gap.
        corners = np.stack([own.step[is_shown] * dt_ms, row - 0.4], axis=1)
        fields = corners[:, None, :] + np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) * [dt_ms, 0.8]
        ax.add_collection(
            PolyCollection(list(fields), facecolors=colours[position[is_shown]], linewidth=0)
        )
        centres.append(top + (len(shown) - 1) / 2)
        sampled = f"{len(shown)} of " if len(shown) < layer.n_units else ""
        names.append(f"{layer.name} ({sampled}{layer.n_units})")
        top += len(shown) + gap
    ax.set_yticks(centres, names)
    ax.tick_params(axis="y", length=0)
    is_sampled = any(layer.n_units > most_units for layer in layers)
    ax.set(
        xlabel="time (ms)",
        ylabel="layer and its gates" + (" (evenly sampled)" if is_sampled else ""),
        ylim=(top - gap - 0.5, -0.5),
        xlim=(0, max(layer.onset + layer.n_positions for layer in layers) * dt_ms),
    )
    ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    ax.spines["left"].set_visible(False)
    colour_bar(ax, colours, "position in the gate (0 decides first)")


def accuracy_against_k(ax: Axes, metrics: pd.DataFrame) -> None:
    """Test accuracy against the number of neurons of a gate, with 95 % intervals.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    metrics : DataFrame
        One row per K: neurons_per_gate, n_images, snn_accuracy and ann_accuracy (fractions).
    """
    rows = metrics.sort_values("neurons_per_gate")
    accuracy = rows["snn_accuracy"].to_numpy()
    images = rows["n_images"].to_numpy()
    ends = np.array(
        [accuracy_interval(round(a * n), int(n)) for a, n in zip(accuracy, images, strict=True)]
    )
    below, above = np.abs(ends.T - accuracy)
    trained = float(rows["ann_accuracy"].iloc[-1])
    trained_line(ax, trained)
    ax.errorbar(
        rows["neurons_per_gate"],
        100 * accuracy,
        yerr=100 * np.array([below, above]),
        color=COLOURS["spiking"],
        marker="o",
        capsize=2,
        elinewidth=0.8,
        label="spiking network",
    )
    for n_neurons, value in zip(rows["neurons_per_gate"], 100 * accuracy, strict=True):
        ax.annotate(
            f"{value:.1f}",
            (n_neurons, value),
            xytext=(4, -3),
            textcoords="offset points",
            va="top",
            fontsize="small",
            color=COLOURS["spiking"],
        )
    ax.set(xlabel="neurons per gate K", ylabel="test accuracy (%)")
    ax.margins(0.1)
    ax.set_ylim(top=min(ax.get_ylim()[1], 101.0))  # a margin, but no ticks above 100 %
    ax.set_xticks(rows["neurons_per_gate"])
    ax.legend(loc="lower right")


def accuracy_over_time(ax: Axes, table: pd.DataFrame, ann_accuracy: float) -> None:
    """Accuracy of the read-out, and its agreement with the trained network, as spikes arrive.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    table : DataFrame
        From `analysis.statistics.accuracy.accuracy_over_time`.
    ann_accuracy : float
        Accuracy of the trained network on the same images, a fraction.
    """
    trained_line(ax, ann_accuracy)
    ax.plot(
        table["time_ms"],
        100 * table["accuracy"],
        color=COLOURS["spiking"],
        marker="o",
        drawstyle="steps-post",
        label="spiking network",
    )
    # Thinner and hollow, because the two often lie on each other.
    ax.plot(
        table["time_ms"],
        100 * table["agreement"],
        color=COLOURS["agreement"],
        marker="o",
        markersize=6,
        fillstyle="none",
        linewidth=0.6,
        drawstyle="steps-post",
        label="same class as the trained network",
    )
    ax.set(xlabel="time (ms)", ylabel="test images (%)", ylim=(0, 103))
    ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    ax.legend(loc="lower right")


def firing_by_position(ax: Axes, table: pd.DataFrame) -> None:
    """Probability that a neuron fires, by its position in the gate, one line per layer.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    table : DataFrame
        From `analysis.statistics.gate_codes.firing_by_position`.
    """
    names = list(dict.fromkeys(table["layer"]))
    colours = sequence("depth", len(names))
    named = set(spread(len(names), MOST_NAMES))
    for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
        rows = table[table["layer"] == name]
        ax.plot(
            rows["position"],
            rows["firing_probability"],
            color=colour,
            marker="o",
            label=name if index in named else f"_{name}",
        )
    ax.set(
        xlabel="position in the gate (0 decides first)",
        ylabel="firing probability per image",
        ylim=(0, None),
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(title="layer", loc="center left", bbox_to_anchor=(1.0, 0.5))
