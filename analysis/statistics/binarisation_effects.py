"""What binary weights do to a spiking network: to weights, potentials, spike times and accuracy.

Networks as plain data and arrays go in, numbers and tables come out. Binary weights are those of
the specification, section 3: W_hat = alpha_c sign(W), where alpha_c is the mean size of the weights
of output channel c (published: XNOR-Net). A network that becomes binary after its training is no
ALBSNN (arXiv 2208.00398), which trains with binary weights, but it is the same network neuron for
neuron, so that potentials and spike times can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.distances import van_rossum
from ann2brian.analysis.statistics.weight_storage import network_storage
from ann2brian.models.arrays import Array
from ann2brian.models.networks.layers import BinaryConv2D, Conv2D, Layer
from ann2brian.models.networks.network import Network, accuracy
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

MOST_STEPS = 62  # of a train, which is kept as the bits of an int64

# ---- weights ----


def weight_error(layer: Conv2D) -> float:
    """Squared error of binary weights relative to the real ones (estimate E1).

    Parameters
    ----------
    layer : Conv2D
        With real weights.

    Returns
    -------
    float
        ``sum (W - W_hat)^2 / sum W^2`` over the whole layer: 0 where the weights of each channel
        have one size, 1 - 2 / pi = 0.36 for Gaussian weights (derived), below 1 in any case.

    Raises
    ------
    ValueError
        If all weights are 0.
    """
    if not layer.kernel.any():
        raise ValueError(f"{layer.label}: all weights are 0, so that no error is relative to them")
    signs, scale = _signs_and_scale(layer)
    return float(np.square(layer.kernel - scale * signs).sum() / np.square(layer.kernel).sum())


def binarised(network: Network, layers: Collection[str]) -> Network:
    """The same network with some convolutions made binary, W -> alpha sign(W), sign(0) = +1.

    Parameters
    ----------
    network : Network
        As trained.
    layers : collection of str
        Names of convolutions with real weights.

    Returns
    -------
    Network
        All else is as it was, batch normalisation included; layers keep their names.

    Raises
    ------
    ValueError
        If a layer is not there, is no convolution with real weights, or has a bias, which binary
        layers have not.
    """
    if isinstance(layers, str):
        raise ValueError(f"layers must be several names, got the string {layers!r}")
    changed: dict[str, Layer] = {}
    for name in layers:
        layer = _real_convolution(network, name)
        if layer.bias.any():
            raise ValueError(
                f"network {network.name!r}: {layer.label} has a bias, which a binary layer has "
                "not; train it without one, before batch normalisation"
            )
        signs, scale = _signs_and_scale(layer)
        names = ("stride", "padding", "groups", "dilation")
        geometry = {field: getattr(layer, field) for field in names}
        changed[name] = BinaryConv2D(layer.name, layer.inputs, signs, scale, **geometry)
    return replace(
        network, layers=tuple(changed.get(layer.name, layer) for layer in network.layers)
    )


def saving_curve(
    network: Network, images: NDArray, labels: ArrayLike, layers: Sequence[str] | None = None
) -> pd.DataFrame:
    """Accuracy in one time step, and storage, as layers become binary after the training.

    Parameters
    ----------
    network : Network
        As trained.
    images : ndarray, shape (n, height, width, channels)
        Pixels.
    labels : array_like of int, shape (n,)
        Their classes.
    layers : sequence of str, optional
        Which layers become binary; by default all convolutions with real weights.

    Returns
    -------
    DataFrame
        A row for the network as it is, one for each layer alone, then one for each number of
        layers together, the least harmful alone first: kind ("none", "alone", "together"), layers
        (names, separated by spaces), weight_error (of the last of them; NaN for none), loss_rise
        (of the mean cross-entropy, in nats), accuracy (fraction), saving (fraction of the weights'
        bits, see `analysis.statistics.weight_storage`).

    Raises
    ------
    ValueError
        See `binarised` and `weight_error`; also if there is no image.
    """
    if layers is None:
        layers = [layer.name for layer in network.layers if isinstance(layer, Conv2D)]
    errors = {name: weight_error(_real_convolution(network, name)) for name in layers}
    truth = np.asarray(labels)

    @cache
    def outcome(names: frozenset[str]) -> tuple[float, float, float]:
        """Cross-entropy, accuracy and saving."""
        changed = binarised(network, names)
        logits = changed.forward(images)
        saving = network_storage(changed)["saving"]
        return _cross_entropy(logits, truth), accuracy(logits, truth), saving

    def row(kind: str, names: Sequence[str]) -> dict[str, Any]:
        loss, correct, saving = outcome(frozenset(names))
        return {
            "kind": kind,
            "layers": " ".join(names),
            "weight_error": errors[names[-1]] if names else math.nan,
            "loss_rise": loss - outcome(frozenset())[0],
            "accuracy": correct,
            "saving": saving,
        }

    alone = [row("alone", [name]) for name in layers]
    rises = [found["loss_rise"] for found in alone]
    order = [layers[place] for place in np.argsort(rises, kind="stable")]
    together = [row("together", order[:number]) for number in range(1, len(order) + 1)]
    return pd.DataFrame([row("none", []), *alone, *together])


# ---- potentials ----


def potential_histogram(
    potentials: ArrayLike,
    low: float = -4.0,
    high: float = 4.0,
    n_bins: int = 64,
    near: float = 0.05,
) -> pd.DataFrame:
    """Histogram of membrane potentials in units of the threshold.

    Parameters
    ----------
    potentials : array_like of float
        In thresholds, any shape; e.g. of `models.schemes.albsnn.reference.drives`.
    low, high : float
        Ends of the histogram. A potential beyond them is in no bin, but counts among all.
    n_bins : int
        Bins of equal width; a potential on a border belongs to the bin above it. With the default
        values the threshold is a border.
    near : float
        Distance from the threshold below which a potential is "at" it.

    Returns
    -------
    DataFrame
        One row per bin: low, high (borders), density (per threshold; sums to 1 over all bins,
        times their width, if nothing is beyond the ends), fraction_at_threshold (of all
        potentials, the same in every row).

    Raises
    ------
    ValueError
        If there is no potential or one is not finite, or there is no bin.
    """
    values = np.asarray(potentials, dtype=np.float64).ravel()
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"potentials must be finite numbers, got {values.size} values")
    if n_bins < 1 or not low < high:
        raise ValueError(f"need a bin between low and high, got {n_bins}, {low} and {high}")
    edges = np.linspace(low, high, n_bins + 1)
    below = values[values < high]  # np.histogram would count the upper end too
    counts, _ = np.histogram(below, edges)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "density": counts / (values.size * np.diff(edges)),
            "fraction_at_threshold": float(np.mean(np.abs(values - 1.0) < near)),
        }
    )


# ---- spike times ----


def timing_change(
    reference: ArrayLike, changed: ArrayLike, tau_steps: float = 2.0
) -> dict[str, float]:
    """How the spike trains of a layer differ between two versions of a network.

    A pair is a neuron and an image. Only pairs with a spike in either version are counted, since
    silence on both sides says nothing about time.

    Parameters
    ----------
    reference, changed : array_like of int, shape (n_images, n_steps, n_units)
        Spikes in each step, 0 or 1, of the same layer for the same images; e.g. of
        `models.schemes.albsnn.reference.run`.
    tau_steps : float
        Time constant of the van Rossum distance in steps.

    Returns
    -------
    dict of str to float
        ``first_spike_shift`` (mean of the first spike's step in `changed` less that in
        `reference`, of pairs that spike in both), ``same_first`` (fraction of the pairs whose
        first spikes come in the same step; a spike in one version only is another first spike),
        ``same_train`` (fraction of the pairs whose whole trains are equal), ``van_rossum`` (mean
        distance of a pair, as of `analysis.statistics.distances.van_rossum`) and ``rate_ratio``
        (spikes of all pairs, `changed` by `reference`). NaN where there is nothing to average.

    Raises
    ------
    ValueError
        If the shapes differ or are not of three axes, there are more than `MOST_STEPS` steps, a
        value is neither 0 nor 1, or `tau_steps` is not above 0.

    Notes
    -----
    Distances are computed once for each two distinct trains, so that time and memory grow with the
    square of their number, at most 2^n_steps.
    """
    arrays = [np.asarray(spikes) for spikes in (reference, changed)]
    if arrays[0].shape != arrays[1].shape or arrays[0].ndim != 3:
        raise ValueError(
            "spikes of both versions must have one shape (n_images, n_steps, n_units), got "
            f"{arrays[0].shape} and {arrays[1].shape}"
        )
    n_steps = arrays[0].shape[1]
    if n_steps > MOST_STEPS:
        raise ValueError(f"trains of up to {MOST_STEPS} steps are compared, got {n_steps} steps")
    for spikes in arrays:
        if not ((spikes == 0) | (spikes == 1)).all():
            raise ValueError(f"a neuron spikes once or not in a step, got {spikes.max()} spikes")
    does_spike = np.any([spikes.any(axis=1) for spikes in arrays], axis=0)
    before, after = (spikes.transpose(0, 2, 1)[does_spike] == 1 for spikes in arrays)
    in_both = before.any(axis=1) & after.any(axis=1)
    shift = after.argmax(axis=1) - before.argmax(axis=1)
    step = np.arange(n_steps)
    words = np.array([trains @ (1 << step) for trains in (before, after)])  # a bit for each step
    distinct, (first, second) = np.unique(words, return_inverse=True)
    trains = [np.flatnonzero(word >> step & 1) for word in distinct]
    distance = van_rossum(trains or [np.zeros(0, dtype=np.int64)], tau_steps)
    n_before = int(before.sum())
    return {
        "first_spike_shift": _mean(shift[in_both]),
        "same_first": _mean(in_both & (shift == 0)),
        "same_train": _mean(first == second),
        "van_rossum": _mean(distance[first, second]),
        "rate_ratio": int(after.sum()) / n_before if n_before else math.nan,
    }


# ---- helpers ----


def _real_convolution(network: Network, name: str) -> Conv2D:
    """A convolution with real weights, or a ValueError that names what is there."""
    layer = network.layer(name)
    if not isinstance(layer, Conv2D):
        raise ValueError(
            f"network {network.name!r}: {layer.label} is no convolution with real weights; only "
            "such a layer becomes binary"
        )
    return layer


def _signs_and_scale(layer: Conv2D) -> tuple[Array, Array]:
    """Signs of the weights, +1 for 0, and their mean size by output channel."""
    return np.where(layer.kernel >= 0, 1.0, -1.0), np.abs(layer.kernel).mean(axis=(0, 1, 2))


def _cross_entropy(logits: Array, labels: NDArray) -> float:
    """Mean over images, in nats."""
    return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]))


def _mean(values: NDArray) -> float:
    """Mean, or NaN of nothing."""
    return float(values.mean()) if values.size else math.nan
