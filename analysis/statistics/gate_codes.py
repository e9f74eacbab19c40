"""Statistics of spike trains that carry a value in which neuron fires when, as in AMOS.

Arrays go in, tidy tables come out, with the unit in the column name. A **gate** is one unit of a
layer for one image: `n_positions` neurons of which position p decides in step onset + p and fires
at most once. Positions count from 0, as in a recording. Times are ``step * dt_ms`` from the onset
of the image: a spike belongs to the start of its slot, and the code of a gate is complete at the
end of its last slot.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.trains import recorded_layers
from ann2brian.models.arrays import Array, Integers
from ann2brian.models.spiking.recording import RecordedLayer, Recording, Spikes
from numpy.typing import ArrayLike

LARGEST_CHAIN = 63  # positions that fit into the bits of an int64


def firing_by_position(recording: Recording) -> pd.DataFrame:
    """Probability that a neuron fires for an image, by its position in the gate.

    Parameters
    ----------
    recording : Recording
        Spike trains are not needed.

    Returns
    -------
    DataFrame
        One row per layer and position: layer, position (from 0), firing_probability (spikes per
        neuron and image; a probability because no neuron fires twice).
    """
    parts = [
        pd.DataFrame(
            {
                "layer": layer.name,
                "position": np.arange(layer.n_positions),
                "firing_probability": counts.sum(axis=1) / (layer.n_units * recording.n_images),
            }
        )
        for layer, counts in zip(recording.layers, recording.spike_counts, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def per_layer(recording: Recording) -> pd.DataFrame:
    """Size and activity of each layer.

    Parameters
    ----------
    recording : Recording
        Spike trains are not needed.

    Returns
    -------
    DataFrame
        One row per layer: layer, n_units, n_neurons, spikes_per_image, spikes_per_gate (per unit
        and image), spikes_per_neuron (per neuron and image), synaptic_events_per_image (targets
        reached through outgoing connections), inhibition_events_per_image (targets reached
        inside the layer's own gates). The two kinds of events add up to
        ``recording.events_per_image``.
    """
    spikes = np.array([counts.sum() for counts in recording.spike_counts]) / recording.n_images
    units = np.array([layer.n_units for layer in recording.layers])
    neurons = units * [layer.n_positions for layer in recording.layers]
    names = [layer.name for layer in recording.layers]
    forward = dict.fromkeys(names, 0)
    lateral = dict.fromkeys(names, 0)
    for connection, events in recording.synaptic_events.items():
        source, arrow, _ = connection.partition("->")
        if arrow:
            forward[source] += events
        else:
            lateral[connection.removesuffix(" inhibition")] += events
    return pd.DataFrame(
        {
            "layer": names,
            "n_units": units,
            "n_neurons": neurons,
            "spikes_per_image": spikes,
            "spikes_per_gate": spikes / units,
            "spikes_per_neuron": spikes / neurons,
            "synaptic_events_per_image": [forward[n] / recording.n_images for n in names],
            "inhibition_events_per_image": [lateral[n] / recording.n_images for n in names],
        }
    )


def spikes_per_gate(
    spikes: Spikes, layer_index: int, n_images: int, layer: RecordedLayer
) -> Integers:
    """Spikes of every gate of a layer.

    Parameters
    ----------
    spikes : Spikes
        Spike trains of any layers.
    layer_index : int
        Which of them.
    n_images : int
        Images presented, including those without a spike.
    layer : RecordedLayer
        That layer's shape.

    Returns
    -------
    ndarray of int, shape (n_images, n_units)
        Number of spikes.

    Raises
    ------
    ValueError
        If a spike lies outside the layer or the images.
    """
    own = spikes.of_layer(layer_index, layer, n_images)
    counts = np.bincount(_gates(own, layer), minlength=n_images * layer.n_units)
    return counts.reshape(n_images, layer.n_units)


def decoded(
    spikes: Spikes,
    layer_index: int,
    layer: RecordedLayer,
    n_images: int,
    outputs: ArrayLike,
    offset: float,
) -> Array:
    """Activations that the spikes of a layer stand for: offset + sum of the output weights.

    Parameters
    ----------
    spikes : Spikes
        Spike trains of any layers.
    layer_index : int
        Which of them.
    layer : RecordedLayer
        That layer's shape.
    n_images : int
        Images presented, including those without a spike.
    outputs : array_like, shape (n_positions,)
        Output weight d_i of each position, in the units of the trained network.
    offset : float
        Output of a silent gate, in the same units.

    Returns
    -------
    ndarray, shape (n_images, n_units)
        In the units of the trained network.

    Raises
    ------
    ValueError
        If `outputs` has another length than the gate, or a spike lies outside the layer or the
        images.
    """
    weights = np.asarray(outputs, dtype=np.float64)
    if weights.shape != (layer.n_positions,):
        raise ValueError(
            f"layer {layer.name!r}: outputs must have shape ({layer.n_positions},), got "
            f"{weights.shape}"
        )
    own = spikes.of_layer(layer_index, layer, n_images)
    values = np.bincount(
        _gates(own, layer),
        weights=weights[own.neuron // layer.n_units],
        minlength=n_images * layer.n_units,
    ).astype(np.float64)
    return values.reshape(n_images, layer.n_units) + offset


def activation_error(decoded: ArrayLike, trained: ArrayLike) -> dict[str, float]:
    """Difference between decoded and trained activations.

    Parameters
    ----------
    decoded, trained : array_like of float, the same shape
        Activations, in the units of the trained network.

    Returns
    -------
    dict of str to float
        ``bias`` (mean of decoded - trained), ``rmse`` (root mean square difference), ``max_abs``
        (largest difference), all three in the units of the trained network; ``relative_rmse``
        (rmse by the root mean square of `trained`) and ``correlation`` (Pearson),
        dimensionless. The last two are NaN where they are undefined: `trained` all zero, or one
        of the two constant.

    Raises
    ------
    ValueError
        If the shapes differ or there is nothing to compare.
    """
    values = np.asarray(decoded, dtype=np.float64)
    truth = np.asarray(trained, dtype=np.float64)
    if values.shape != truth.shape or not values.size:
        raise ValueError(
            f"activations must have one shape and not be empty, got decoded {values.shape} and "
            f"trained {truth.shape}"
        )
    difference = values - truth
    rmse = float(np.sqrt(np.mean(difference**2)))
    scale = float(np.sqrt(np.mean(truth**2)))
    is_constant = np.ptp(values) == 0 or np.ptp(truth) == 0
    return {
        "bias": float(difference.mean()),
        "rmse": rmse,
        "max_abs": float(np.abs(difference).max()),
        "relative_rmse": rmse / scale if scale else math.nan,
        "correlation": (
            math.nan if is_constant else float(np.corrcoef(values.ravel(), truth.ravel())[0, 1])
        ),
    }


def latencies(recording: Recording) -> pd.DataFrame:
    """When the gates of each layer speak first, and when their code is complete.

    Parameters
    ----------
    recording : Recording
        With spike trains; layers that were not recorded are left out.

    Returns
    -------
    DataFrame
        One row per recorded layer: layer, silent_fraction (gates without a spike); mean, median
        and quartiles, as ``<statistic>_in_gate_ms`` and ``<statistic>_from_onset_ms``, of the
        time of a gate's first spike counted from the layer's first slot and from the image's
        onset (NaN if all gates are silent; silent gates do not enter); decision_ms, from the
        image's onset to the end of the layer's last slot, when its code is complete.

    Raises
    ------
    ValueError
        If no spike trains were recorded, or they do not agree with the spike counts.
    """
    rows = []
    for layer, own in recorded_layers(recording):
        order, starts = _grouped(_gates(own, layer))
        first = (
            np.minimum.reduceat(own.step[order], starts) if starts.size else np.empty(0, np.int64)
        )
        n_gates = layer.n_units * recording.n_images
        row: dict[str, object] = {
            "layer": layer.name,
            "silent_fraction": 1.0 - first.size / n_gates,
        }
        for name, start in (("in_gate", layer.onset), ("from_onset", 0)):
            times = (first - start) * recording.dt_ms
            quartiles = np.percentile(times, [25, 50, 75]) if times.size else np.full(3, np.nan)
            row[f"mean_{name}_ms"] = times.mean() if times.size else math.nan
            row[f"median_{name}_ms"] = quartiles[1]
            row[f"lower_quartile_{name}_ms"] = quartiles[0]
            row[f"upper_quartile_{name}_ms"] = quartiles[2]
        row["decision_ms"] = (layer.onset + layer.n_positions) * recording.dt_ms
        rows.append(row)
    return pd.DataFrame(rows)


def code_words(recording: Recording) -> pd.DataFrame:
    """How many of its possible spike patterns each layer uses, and how evenly.

    Parameters
    ----------
    recording : Recording
        With spike trains; layers that were not recorded are left out.

    Returns
    -------
    DataFrame
        One row per recorded layer: layer, words_used (different patterns of a gate over all
        images and units, the silent one included), entropy_bits of their distribution,
        n_positions (2**n_positions patterns are possible), n_gates (samples: images times
        units).

    Raises
    ------
    ValueError
        If no spike trains were recorded, they do not agree with the spike counts, or a gate has
        more than 63 neurons.

    Notes
    -----
    The entropy is the plug-in estimate, -sum p log2 p of the observed frequencies. It is biased
    downwards, by about (words_used - 1) / (2 n_gates ln 2) bits (Miller and Madow) if gates were
    independent samples. Units of one image are not independent, so the true bias is larger:
    compare layers only where n_gates is far above words_used. Patterns of all units are pooled;
    the entropy says nothing about the information that a particular unit carries.
    """
    rows = []
    for layer, own in recorded_layers(recording):
        if layer.n_positions > LARGEST_CHAIN:
            raise ValueError(
                f"layer {layer.name!r}: {layer.n_positions} neurons a gate, code words are "
                f"counted up to {LARGEST_CHAIN}"
            )
        order, starts = _grouped(_gates(own, layer))
        n_gates = layer.n_units * recording.n_images
        frequencies = np.empty(0, dtype=np.int64)
        if starts.size:
            bits = np.left_shift(np.int64(1), own.neuron[order] // layer.n_units)
            words = np.bitwise_or.reduceat(bits, starts)
            frequencies = np.unique(words, return_counts=True)[1]
        if starts.size < n_gates:  # gates without a spike share one more word
            frequencies = np.append(frequencies, n_gates - starts.size)
        p = frequencies / n_gates
        rows.append(
            {
                "layer": layer.name,
                "words_used": frequencies.size,
                "entropy_bits": float(np.sum(p * np.log2(1.0 / p))),
                "n_positions": layer.n_positions,
                "n_gates": n_gates,
            }
        )
    return pd.DataFrame(rows)


def _gates(spikes: Spikes, layer: RecordedLayer) -> Integers:
    """Index of each spike's gate: image times units of the layer plus unit."""
    return spikes.image.astype(np.int64) * layer.n_units + spikes.neuron % layer.n_units


def _grouped(gates: Integers) -> tuple[Integers, Integers]:
    """Order that brings the spikes of a gate together, and where each gate starts in it.

    Only gates with a spike appear, so that memory grows with spikes and not with gates.
    """
    order = np.argsort(gates, kind="stable")
    starts = np.flatnonzero(np.diff(gates[order], prepend=-1))
    return order, starts
