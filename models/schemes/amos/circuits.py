"""A trained network with nothing but gates and linear layers, and where its gates come from.

What has no gate of its own becomes a circuit of gates (:mod:`models.networks.rewriting`): clipped
and leaky ReLUs a sum of ReLUs, max pooling a tournament of max(a, b) = a + relu(b - a), and a
product of two layers a difference of squares. All of it is feed-forward, so that each neuron still
spikes at most once.

DIFFERS: the authors' products are gates of their own, of 40 neurons (published: their logs); other
circuits are not known from them.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, replace

from ...networks.layers import (
    Activation,
    Add,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
)
from ...networks.network import Network
from ...networks.rewriting import (
    max_by_pairs,
    pool_after_activation,
    products_by_squares,
    with_relu_only,
)

MOST_UNROLLED = 2**22  # weights behind max pooling; above, its winners get gates of their own


@dataclass(frozen=True, eq=False)
class Circuits:
    """A network of gates and linear layers.

    Parameters
    ----------
    network : Network
        With the logits of the trained one, up to rounding.
    origins : dict of str to Layer
        By activation of `network`: the layer of the trained network that it is or belongs to.
    codes : dict of str to str
        By ReLU of a tournament between units of one layer of ReLUs: that layer. With its gates, the
        tournament is exact: differences of its codes, and what wins, are codes again.
    """

    network: Network
    origins: dict[str, Layer]
    codes: dict[str, str]

    @property
    def activations(self) -> list[Activation]:
        """Layers that become gates, in their order."""
        return [layer for layer in self.network.layers if isinstance(layer, Activation)]

    def is_inner(self, name: str) -> bool:
        """Whether an activation is part of a circuit, and none that was trained."""
        return self.origins[name].name != name


def circuits(network: Network) -> Circuits:
    """Express a network by gates.

    Parameters
    ----------
    network : Network
        As trained.

    Returns
    -------
    Circuits
    """
    pooled = with_relu_only(pool_after_activation(network).fold_batch_norm())
    coded = {
        layer.name: source.name
        for layer in pooled.layers
        if isinstance(layer, MaxPool2D)
        and isinstance(source := _pooled(pooled, layer.name), Activation)
        and source.function == "relu"
    }
    collected = _collected(pooled, coded)
    network_of_gates = products_by_squares(max_by_pairs(collected))
    origins = _origins(network, network_of_gates)
    codes = {name: coded[of.name] for name, of in origins.items() if of.name in coded}
    return Circuits(network_of_gates, origins, codes)


def _collected(network: Network, pools: Container[str]) -> Network:
    """A ReLU after max pooling of codes where the next weights are too many to unroll.

    It changes no code and takes the winners together: without it, each round of the tournament has
    a matrix of its own to the next layer, and no kernel is shared.
    """
    layers: list[Layer] = []
    for layer in network.layers:
        if layer.name in pools and _unrolled(network, layer.name) > MOST_UNROLLED:
            places = f"{layer.name}_places"
            while places in network.shapes:
                places += "_"
            layers.append(replace(layer, name=places))
            layer = Activation(layer.name, (places,), "relu")
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def _unrolled(network: Network, name: str) -> int:
    """Weights, without sharing, of the largest of the next convolutions and dense layers."""
    largest = 0
    for layer in network.layers:
        if name in layer.inputs:
            shape = network.shapes[layer.name]
            if isinstance(layer, Conv2D):
                largest = max(largest, math.prod(shape[:2]) * layer.kernel.size)
            elif isinstance(layer, Dense):
                largest = max(largest, layer.kernel.size)
            elif isinstance(layer, Flatten | Add | Concat):
                largest = max(largest, _unrolled(network, layer.name))
    return largest


def _origins(trained: Network, rewritten: Network) -> dict[str, Layer]:
    """By activation, the trained layer; what stands for a layer ends with one of its name."""
    by_name = {layer.name: layer for layer in trained.layers}
    origins: dict[str, Layer] = {}
    waiting: list[str] = []
    for layer in rewritten.layers:
        if isinstance(layer, Activation):
            waiting.append(layer.name)
        if layer.name in by_name:
            origins |= dict.fromkeys(waiting, by_name[layer.name])
            waiting = []
    return origins


def _pooled(network: Network, name: str) -> Layer | None:
    """The layer whose units a max pooling, or several in a row, choose from; None for the input."""
    by_name = {layer.name: layer for layer in network.layers}
    layer: Layer | None = by_name[name]
    while isinstance(layer, MaxPool2D):
        layer = by_name.get(layer.inputs[0])
    return layer
