"""A trained network of what burst neurons stand for: ReLUs, and max pooling of single ReLUs.

All goes beyond the paper. Clipped and leaky ReLUs are sums of ReLUs, products differences of
squares, and max pooling of anything but single neurons a tournament of max(a, b) = a + relu(b - a);
these are exact. Other functions become straight pieces on the range that calibration images drive
them over: for each activation a layer of ReLUs, one a piece. Beyond the range the last pieces go on
as far as the neurons follow: where a full burst stands for the end of the range, the value there is
held. Scores that take the image itself, by a path without an activation, are relu(x) - relu(-x).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Array
from ...conversion.builder import require_spiking
from ...conversion.calibration import Range, Reading, read
from ...conversion.linear_paths import path_sources
from ...networks.layers import (
    INPUT,
    Activation,
    BatchNorm,
    Layer,
    LeakyReLU,
    MaxPool2D,
    QuantisedReLU,
)
from ...networks.network import Network
from ...networks.piecewise import PiecewiseLinear, piecewise_linear
from ...networks.rewriting import (
    max_by_pairs,
    pick_before_activation,
    pool_after_activation,
    pool_before_activation,
    pool_each_relu,
    products_by_squares,
    relu_sums,
    with_pieces,
    with_relu_only,
)
from .options import BurstOptions

SPIKING = (Activation, QuantisedReLU, MaxPool2D)  # layers whose units become neurons
POOLED = ("relu", "clip", "hardsigmoid")  # functions whose ReLUs are pooled one by one
LEAST_WIDTH = 2.0**-10  # of the range of a fit, in the largest drive


@dataclass(frozen=True, eq=False)
class OfRelus:
    """A network of ReLUs, and how it came about.

    Parameters
    ----------
    network : Network
        Without batch normalisation; activations are ReLUs or quantised.
    fits : dict of str to PiecewiseLinear
        By activation that is no sum of ReLUs: what stands for it.
    sums : list of tuple of str
        Other ReLUs that are one layer of the trained network together.
    spans : dict of str to ndarray, shape (channels,)
        By layer of ReLUs of a fit: the way from the knot of each to the end of the range.
    """

    network: Network
    fits: dict[str, PiecewiseLinear]
    sums: list[tuple[str, ...]]
    spans: dict[str, Array]


def of_relus(trained: Network, images: Array, options: BurstOptions) -> OfRelus:
    """Express a network by ReLUs.

    Parameters
    ----------
    trained : Network
        As trained.
    images : ndarray, shape (n, height, width, channels)
        Calibration images, which give the ranges of fits.
    options : BurstOptions
        Number of pieces, and where a range ends.

    Returns
    -------
    OfRelus

    Raises
    ------
    ValueError
        If a layer cannot become neurons; the message names it.
    """
    exact = _exactly(trained)
    fits = _fits(exact, images, options)
    network = with_pieces(exact, fits)
    require_spiking(network, SPIKING, (Activation, QuantisedReLU))
    network = _with_spiking_scores(network)
    sums = relu_sums(trained, network)
    spans: dict[str, Array] = {}
    for name, fit in fits.items():
        (relus,) = sums.pop(name)
        spans[relus] = np.tile(fit.spans(), network.shapes[name][2])
    return OfRelus(network, fits, list(sums.values()), spans)


def _exactly(network: Network) -> Network:
    """The same function with ReLUs for all that is a sum of them, as few as will do.

    Pooling changes places with an activation while batch normalisation is still a layer: it goes
    behind those whose neurons can be pooled, and before the others.
    """
    network = pool_after_activation(pick_before_activation(network), _is_pooled)
    network = pool_before_activation(network, lambda layer: not _is_pooled(layer))
    network = pool_each_relu(network.fold_batch_norm())
    network = max_by_pairs(network, _pools_of_no_neurons(network))
    return with_relu_only(products_by_squares(network))


def _with_spiking_scores(network: Network) -> Network:
    """The same scores, by neurons where the image reaches them without any."""
    *layers, last = network.layers
    if INPUT not in path_sources(network, last.name, SPIKING):
        return network
    value = f"{last.name}_value"
    while value in network.shapes:
        value += "_"
    same = LeakyReLU(last.name, (value,), np.ones(len(network.classes)))
    return with_relu_only(replace(network, layers=(*layers, replace(last, name=value), same)))


def _is_pooled(layer: Layer) -> bool:
    """Whether pooling of a layer is pooling of neurons, or passes through it."""
    if isinstance(layer, Activation):
        return layer.function in POOLED
    return isinstance(layer, BatchNorm | QuantisedReLU)


def _is_neuron(layer: Layer) -> bool:
    return isinstance(layer, QuantisedReLU) or (
        isinstance(layer, Activation) and layer.function == "relu"
    )


def _pools_of_no_neurons(network: Network) -> set[str]:
    """Max pooling of anything that is not one spiking neuron."""
    neurons: set[str] = set()
    pools: set[str] = set()
    for layer in network.layers:
        if isinstance(layer, MaxPool2D):
            (neurons if layer.inputs[0] in neurons else pools).add(layer.name)
        elif _is_neuron(layer):
            neurons.add(layer.name)
    return pools


def _fits(network: Network, images: Array, options: BurstOptions) -> dict[str, PiecewiseLinear]:
    """Straight pieces for all activations but ReLU, on the ranges of their drives."""
    percent = 100.0 if options.normalisation == "maximum" else options.percentile
    ranges: dict[str, Range] = {}
    readings: dict[str, list[Reading]] = {}
    layers = [x for x in network.layers if isinstance(x, Activation) and x.function != "relu"]
    for layer in layers:
        (source,) = layer.inputs
        if source not in ranges:
            ranges[source] = Range(len(images) * math.prod(network.shapes[source]), percent)
            readings[source] = [ranges[source]]
    read(network, images, readings)
    fits = {}
    for layer in layers:
        low, high = ranges[layer.inputs[0]].ends
        if low > high:
            raise ValueError(
                f"layer {layer.name!r}: percentile {percent:g} leaves no range of its calibration "
                "drives; take one above 50"
            )
        least = LEAST_WIDTH * (max(abs(low), abs(high)) or 1.0)
        if high - low < least:  # drives that hardly change
            low, high = (low + high - least) / 2, (low + high + least) / 2
        try:
            fits[layer.name] = piecewise_linear(layer.apply, low, high, options.pieces)
        except ValueError as error:
            raise ValueError(
                f"{layer.label}: {error}; the weights are damaged or too large"
            ) from None
    return fits
