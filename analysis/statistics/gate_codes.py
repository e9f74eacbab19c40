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
from ann2brian.models.spiking.recording import RecordedLayer, Recording, Spikes
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
LARGEST_CHAIN = 63  # positions that fit into the bits of an int64
READOUT_STEPS = 2  # the slot of a spike itself and the one in which the read-out takes it


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
    own = _of_layer(spikes, layer_index, layer, n_images)
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
    own = _of_layer(spikes, layer_index, layer, n_images)
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
            bits = np.left_shift(1, own.neuron[order] // layer.n_units)
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


def accuracy_over_time(
    scores: ArrayLike,
    labels: ArrayLike,
    reference_predictions: ArrayLike,
    dt_ms: float,
    readout_onset: int,
) -> pd.DataFrame:
    """Accuracy of the read-out if it is stopped after each of its steps.

    Parameters
    ----------
    scores : array_like, shape (n_images, n_steps, n_classes)
        Class scores after each step of the read-out window.
    labels : array_like of int, shape (n_images,)
        True classes.
    reference_predictions : array_like of int, shape (n_images,)
        Classes that the trained network gives.
    dt_ms : float
        Length of a step in ms.
    readout_onset : int
        Step of the first entry of `scores`, from the image's onset.

    Returns
    -------
    DataFrame
        One row per step: slot (whose spikes are the last that count), time_ms (from the image's
        onset until these scores can be read, the read-out's own slot included, so that the last
        row stands at the recording's latency), accuracy and agreement with the trained network
        as fractions. The first of several equal scores decides.

    Raises
    ------
    ValueError
        If the shapes do not fit or there is no image or step.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(labels)
    reference = np.asarray(reference_predictions)
    if values.ndim != 3 or not values.size:
        raise ValueError(
            f"scores must have shape (n_images, n_steps, n_classes), not empty, got {values.shape}"
        )
    for name, classes in (("labels", truth), ("reference_predictions", reference)):
        if classes.shape != values.shape[:1]:
            raise ValueError(f"{name} must have shape ({len(values)},), got {classes.shape}")
    predictions = values.argmax(axis=2)
    slot = readout_onset + np.arange(values.shape[1])
    return pd.DataFrame(
        {
            "slot": slot,
            "time_ms": (slot + READOUT_STEPS) * dt_ms,
            "accuracy": np.mean(predictions == truth[:, None], axis=0),
            "agreement": np.mean(predictions == reference[:, None], axis=0),
        }
    )


def accuracy_interval(n_correct: int, n: int) -> tuple[float, float]:
    """Wilson 95 % confidence interval of an accuracy.

    Parameters
    ----------
    n_correct : int
        Images classified correctly.
    n : int
        Images.

    Returns
    -------
    (float, float)
        Lower and upper end, fractions from 0 to 1.

    Raises
    ------
    ValueError
        If `n` is below 1 or `n_correct` is not from 0 to `n`.

    References
    ----------
    Wilson (1927) J Am Stat Assoc 22:209. doi:10.1080/01621459.1927.10502953
    """
    if n < 1 or not 0 <= n_correct <= n:
        raise ValueError(f"need 0 <= n_correct <= n and n >= 1, got {n_correct!r} of {n!r}")
    p = n_correct / n
    scale = 1.0 + Z_95**2 / n
    centre = (p + Z_95**2 / (2 * n)) / scale
    half = Z_95 / scale * math.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n**2))
    # The ends are exact at no and at all correct; rounding would leave them 1e-17 off.
    low = 0.0 if n_correct == 0 else centre - half
    high = 1.0 if n_correct == n else centre + half
    return low, high


def _of_layer(spikes: Spikes, layer_index: int, layer: RecordedLayer, n_images: int) -> Spikes:
    """Spikes of one layer, checked against its shape."""
    own = spikes.where(spikes.layer == layer_index)
    n_neurons = layer.n_units * layer.n_positions
    for name, values, limit in (("neuron", own.neuron, n_neurons), ("image", own.image, n_images)):
        if len(own) and not (values.min() >= 0 and values.max() < limit):
            raise ValueError(
                f"layer {layer.name!r}: spikes of {name} {values.min()} to {values.max()}, but "
                f"there are {limit}"
            )
    return own


def _gates(spikes: Spikes, layer: RecordedLayer) -> Integers:
    """Index of each spike's gate: image times units of the layer plus unit."""
    return spikes.image * layer.n_units + spikes.neuron % layer.n_units


def _grouped(gates: Integers) -> tuple[Integers, Integers]:
    """Order that brings the spikes of a gate together, and where each gate starts in it.

    Only gates with a spike appear, so that memory grows with spikes and not with gates.
    """
    order = np.argsort(gates, kind="stable")
    starts = np.flatnonzero(np.diff(gates[order], prepend=-1))
    return order, starts


def recorded_layers(recording: Recording) -> list[tuple[RecordedLayer, Spikes]]:
    """Layers whose spike trains were kept, each with its spikes."""
    if recording.spikes is None:
        raise ValueError(
            "this recording holds no spike trains; simulate with record=True, or with record set "
            "to the names of the layers"
        )
    kept = []
    for index, (layer, counts) in enumerate(
        zip(recording.layers, recording.spike_counts, strict=True)
    ):
        own = _of_layer(recording.spikes, index, layer, recording.n_images)
        if len(own) == counts.sum():
            kept.append((layer, own))
        elif len(own):
            raise ValueError(
                f"layer {layer.name!r}: {len(own)} spikes in the trains, {counts.sum()} counted"
            )
    return kept
