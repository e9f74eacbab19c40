"""What a spike stands for in each layer, and how many a burst may have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...networks.layers import INPUT, Activation, Layer, MaxPool2D, QuantisedReLU
from ...networks.network import Network
from .options import BurstOptions

HELD_BACK = 1e-3  # fraction of a layer's calibration spikes that its own limit may delay


def needed_limit(counts: NDArray[np.integer], held_back: float = HELD_BACK) -> int:
    """Smallest limit that cuts at most a fraction `held_back` of the spikes off their bursts.

    Parameters
    ----------
    counts : ndarray of int
        Spikes of each neuron in each step.
    held_back : float
        Largest fraction.
    """
    sizes = np.bincount(counts.ravel())
    beyond = np.array(
        [
            (sizes * np.maximum(np.arange(sizes.size) - limit, 0)).sum()
            for limit in range(sizes.size)
        ]
    )
    total = max(int(beyond[0]), 1)
    return max(1, int(np.argmax(beyond <= held_back * total)))


def layer_scales(network: Network, calibration: Array, options: BurstOptions) -> dict[str, Array]:
    """Lambda of every spiking layer, shape (channels,).

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    calibration : ndarray, shape (n, height, width, channels)
        Training images.
    options : BurstOptions
        Names the rule.

    Raises
    ------
    ValueError
        If no image drives a layer above 0.
    """
    is_cut = options.normalisation == "compatibility"
    values = {INPUT: network.input.standardise(network.check_images(calibration))}
    scales: dict[str, Array] = {}
    for layer in network.layers:
        found = layer.apply(*(values[source] for source in layer.inputs))
        if isinstance(layer, Activation) and is_cut:
            found = np.minimum(found, options.gamma)
        values[layer.name] = found
        n_channels = found.shape[3]
        if isinstance(layer, QuantisedReLU):
            scales[layer.name] = np.full(n_channels, layer.step)
        elif isinstance(layer, MaxPool2D):
            scales[layer.name] = scales[layer.inputs[0]]
        elif isinstance(layer, Activation):
            scales[layer.name] = _scale(layer, found, options)
    return scales


def _scale(layer: Layer, values: Array, options: BurstOptions) -> Array:
    """Lambda of one layer by the rule of the options."""
    percentile = 100.0 if options.normalisation == "maximum" else options.percentile
    flat = values.reshape(-1, values.shape[3])
    whole = float(_quantile(flat.ravel(), percentile))
    if whole <= 0:
        raise ValueError(
            f"layer {layer.name!r}: percentile {percentile:g} of its calibration outputs is 0, so "
            "its scale is unknown; calibrate with more images or a higher percentile"
        )
    scale = np.full(flat.shape[1], whole)
    if options.channel_wise:
        of_channel = np.array([_quantile(column, percentile) for column in flat.T])
        scale = np.where(of_channel > 0, of_channel, whole)  # a channel that is never active
    return scale / options.gamma if options.normalisation == "percentile/gamma" else scale


def _quantile(values: Array, percentile: float) -> float:
    """Element int(n p) - 1 of the sorted values (published: the authors' code)."""
    rank = max(int(values.size * percentile / 100) - 1, 0)
    return float(np.partition(values, rank)[rank])


def _limits(network: Network, options: BurstOptions) -> dict[str, int]:
    """Most spikes in a step of every spiking layer."""
    limits: dict[str, int] = {}
    for layer in network.layers:
        if isinstance(layer, QuantisedReLU):
            limits[layer.name] = layer.levels
        elif isinstance(layer, MaxPool2D):
            limits[layer.name] = limits[layer.inputs[0]]
        elif isinstance(layer, Activation):
            limits[layer.name] = options.gamma
    return limits
