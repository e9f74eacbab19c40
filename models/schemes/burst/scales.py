"""What a spike stands for in each layer, and how many a burst may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...conversion.calibration import ChannelOrderStatistic, OrderStatistics, Reading, read
from ...networks.layers import Activation, Layer, MaxPool2D, QuantisedReLU
from ...networks.network import Network
from .options import BurstOptions

BESIDE = 64  # least scale of a ReLU in a sum: this fraction of the largest one there
HELD_BACK = 1e-3  # fraction of a layer's calibration spikes that its own limit may delay


def needed_limit(sizes: NDArray[np.integer], held_back: float = HELD_BACK) -> int:
    """Smallest limit that cuts at most a fraction `held_back` of the spikes off their bursts.

    Parameters
    ----------
    sizes : ndarray of int, shape (m,)
        How many bursts of 0, 1, 2, ... spikes there are.
    held_back : float
        Largest fraction.
    """
    beyond = np.array(
        [
            (sizes * np.maximum(np.arange(sizes.size) - limit, 0)).sum()
            for limit in range(sizes.size)
        ]
    )
    total = max(int(beyond[0]), 1)
    return max(1, int(np.argmax(beyond <= held_back * total)))


def layer_scales(
    network: Network,
    calibration: Array,
    options: BurstOptions,
    sums: Sequence[Sequence[str]] = (),
    spans: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Lambda of every spiking layer, shape (channels,).

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    calibration : ndarray, shape (n, height, width, channels)
        Training images.
    options : BurstOptions
        Names the rule.
    sums : sequence of sequence of str
        ReLUs that were one layer. One that the images hardly drive is scaled by those beside it:
        its scale matters to images that are not among them.
    spans : mapping of str to ndarray, shape (channels,), optional
        Of layers whose range is known: the largest output of each channel. It takes the place of
        calibration outputs, so that no image within the range is cut.

    Raises
    ------
    ValueError
        If no image drives a layer above 0 that is no such ReLU.
    """
    percentile = 100.0 if options.normalisation == "maximum" else options.percentile
    spans = spans or {}
    whole: dict[str, OrderStatistics] = {}
    by_channel: dict[str, ChannelOrderStatistic] = {}
    for layer in network.layers:
        if isinstance(layer, Activation) and layer.name not in spans:
            rows, columns, n_channels = network.shapes[layer.name]
            n = len(calibration) * rows * columns  # of a channel
            ranks = [_rank(n * n_channels, percentile)]
            whole[layer.name] = OrderStatistics(n * n_channels, ranks)
            if options.channel_wise:
                rank = _rank(n, percentile)
                by_channel[layer.name] = ChannelOrderStatistic(n, n_channels, rank)

    def cut(layer: Layer, values: Array) -> Array:
        return np.minimum(values, options.gamma) if layer.name in whole else values

    readings: dict[str, list[Reading]] = {
        name: [one, *([by_channel[name]] if name in by_channel else [])]
        for name, one in whole.items()
    }
    read(network, calibration, readings, cut if options.normalisation == "compatibility" else None)
    tops = {name: statistics.values[0] for name, statistics in whole.items()}
    least: dict[str, float] = {}
    for names in sums:
        least |= dict.fromkeys(names, max(tops[name] for name in names) / BESIDE or 1.0)
    scales: dict[str, Array] = {}
    for layer in network.layers:
        n_channels = network.shapes[layer.name][2]
        if isinstance(layer, QuantisedReLU):
            scales[layer.name] = np.full(n_channels, layer.step)
        elif isinstance(layer, MaxPool2D):
            scales[layer.name] = scales[layer.inputs[0]]
        elif isinstance(layer, Activation):
            scale = spans.get(layer.name)
            if scale is None:
                bottom = least.get(layer.name, 0.0)
                one = max(tops[layer.name], bottom)
                if one <= 0:
                    silent = "if no image drives it, leave it out of the network"
                    raise ValueError(
                        f"layer {layer.name!r}: percentile {percentile:g} of its calibration "
                        "outputs is 0, so its scale is unknown; calibrate with more images"
                        + (" or a higher percentile" if percentile < 100 else f"; {silent}")
                    )
                scale = np.full(n_channels, one)
                if options.channel_wise:
                    of_channel = np.maximum(by_channel[layer.name].values, bottom)
                    scale = np.where(of_channel > 0, of_channel, scale)  # a channel never active
            if options.normalisation == "percentile/gamma":
                scale = scale / options.gamma
            scales[layer.name] = scale
    return scales


def _rank(n_values: int, percentile: float) -> int:
    """Element int(n p) - 1 of the sorted values (published: the authors' code).

    Also of few values, where it leaves out the largest though none is beyond the percentile.
    """
    return max(int(n_values * percentile / 100) - 1, 0)


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
