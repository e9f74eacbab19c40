"""A trained network with nothing but gates and linear layers, and where its gates come from.

What has no gate of its own becomes a circuit of gates (:mod:`models.networks.rewriting`): clipped
and leaky ReLUs a sum of ReLUs, max pooling a tournament of max(a, b) = a + relu(b - a), and a
product of two layers a difference of squares. All of it is feed-forward, so that each neuron still
spikes at most once.

DIFFERS: the authors' products are gates of their own, of 40 neurons (published: their logs); other
circuits are not known from them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...networks.layers import Activation, Layer, MaxPool2D
from ...networks.network import Network
from ...networks.rewriting import (
    max_by_pairs,
    pool_after_activation,
    products_by_squares,
    with_relu_only,
)


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
    network_of_gates = products_by_squares(max_by_pairs(pooled))
    origins = _origins(network, network_of_gates)
    codes = {}
    for name, origin in origins.items():
        if isinstance(origin, MaxPool2D):
            source = _pooled(pooled, origin.name)
            if isinstance(source, Activation) and source.function == "relu":
                codes[name] = source.name
    return Circuits(network_of_gates, origins, codes)


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
