"""The ways on which spikes reach a layer of a locally binary network, each with its gain.

Between one layer of spiking units and the next there is one layer of weights, or none (a shortcut).
What follows the weights, batch normalisation and the scale of binary weights, multiplies each
channel: it is the gain of the neuron for what arrives on this way. An addition after the weights
makes several ways with gains of their own; one before them makes several ways with one gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ...arrays import Array
from ...networks.layers import (
    INPUT,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool2D,
    Spike,
)
from ...networks.network import Network

SPIKING = (Spike, MaxPool2D)  # layers whose units become neurons


@dataclass(frozen=True, eq=False, kw_only=True)
class Way:
    """One way from spikes, or from the image, to a layer.

    Parameters
    ----------
    source : str
        Spiking layer or ``"input"``.
    weights : tuple of str
        Layers of weights on it, the first first; at most one in what :func:`ways` returns.
    picks : mapping of str to str
        By addition on the way: the input that it comes from.
    gain : ndarray, shape (channels of the layer,)
        Factor of what the weights give; of the spikes themselves without weights.
    divisor : float
        Of the windows of average pooling on the way.
    """

    source: str
    gain: Array
    weights: tuple[str, ...] = ()
    picks: Mapping[str, str] = field(default_factory=dict)
    divisor: float = 1.0


def ways(network: Network, node: str, target: str) -> list[Way]:
    """All ways to the value of a layer.

    Parameters
    ----------
    network : Network
        As trained.
    node : str
        Layer whose value is received.
    target : str
        Who receives it, for messages.

    Returns
    -------
    list of Way
        In the order of the layers' inputs.

    Raises
    ------
    ValueError
        If a layer on a way has no place there; the message names it.
    """
    found: list[Way] = []
    pending = [Way(source=node, gain=np.ones(network.shapes[node][2]))]
    while pending:
        way = pending.pop(0)
        if way.source == INPUT or isinstance(network.layer(way.source), SPIKING):
            if len(way.weights) > 1:
                raise ValueError(
                    f"network {network.name!r}: between {way.source!r} and {target!r} there must "
                    f"be one convolution or dense layer, there are: {', '.join(way.weights)}"
                )
            found.append(way)
        else:
            pending = _before(network, network.layer(way.source), way) + pending
    return found


def _before(network: Network, layer: Layer, way: Way) -> list[Way]:
    """The way, or the ways, from the inputs of a layer on it."""
    name = layer.name
    if isinstance(layer, Add):
        return [
            replace(way, source=source, picks={**way.picks, name: source})
            for source in layer.inputs
        ]
    way = replace(way, source=layer.inputs[0])
    if isinstance(layer, BatchNorm):
        if way.weights and (layer.scale != layer.scale[0]).any():
            raise ValueError(
                f"network {network.name!r}: {layer.label} has a factor for each channel before the "
                f"weights of {way.weights[0]!r}, but the gain of a neuron comes after them; put "
                "batch normalisation, or the factors, after the convolution"
            )
        if way.weights:  # one factor, as of a sum over the map, goes past the weights
            return [replace(way, gain=way.gain * layer.scale[0])]
        return [replace(way, gain=way.gain * _by_channel(layer.scale, way.gain))]
    if isinstance(layer, Conv2D | BinaryConv2D | Dense):
        gain = way.gain
        if isinstance(layer, BinaryConv2D) and not way.weights:
            gain = _by_channel(layer.scale, gain) * gain
        return [replace(way, gain=gain, weights=(name, *way.weights))]
    if isinstance(layer, AvgPool2D):
        return [replace(way, divisor=way.divisor * float(np.prod(layer.size)))]
    if isinstance(layer, GlobalAvgPool):
        rows, columns, _ = network.shapes[layer.inputs[0]]
        return [replace(way, divisor=way.divisor * rows * columns)]
    if isinstance(layer, Flatten):
        return [way]
    raise ValueError(
        f"network {network.name!r}: {layer.label} cannot stand between the spiking layers of a "
        "locally binary network; there may be convolution, dense, batch normalisation, average "
        "pooling, flatten and addition"
    )


def _by_channel(scale: Array, gain: Array) -> Array:
    """A scale of each channel as one of each channel of the target, flattened maps included."""
    return np.tile(scale, gain.size // scale.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class Bare:
    """A network without scales, biases and batch normalisation.

    Parameters
    ----------
    network : Network
        Weights of binary layers are numbers here, +1 and -1.
    renamed : mapping of str to str
        By batch normalisation: the layer before it.
    """

    network: Network
    renamed: Mapping[str, str]

    @classmethod
    def of(cls, network: Network) -> Bare:
        """Take scales, biases and batch normalisation out of a network."""
        layers: list[Layer] = []
        renamed: dict[str, str] = {}
        for layer in network.layers:
            layer = replace(layer, inputs=tuple(renamed.get(name, name) for name in layer.inputs))
            if isinstance(layer, BatchNorm):
                renamed[layer.name] = layer.inputs[0]
                continue
            if isinstance(layer, BinaryConv2D):
                layer = replace(layer, scale=np.ones(layer.scale.size)).as_real()
            elif isinstance(layer, Conv2D | Dense):
                layer = replace(layer, bias=np.zeros(layer.bias.size))
            layers.append(layer)
        return cls(network=replace(network, layers=tuple(layers)), renamed=renamed)

    def along(self, way: Way, node: str) -> tuple[Network, str]:
        """The network with only this way to a layer, and the name of that layer in it."""
        skipped = {name: self.renamed.get(source, source) for name, source in way.picks.items()}

        def resolved(name: str) -> str:
            name = self.renamed.get(name, name)
            while name in skipped:
                name = skipped[name]
            return name

        if not skipped:
            return self.network, resolved(node)
        layers = [layer for layer in self.network.layers if layer.name not in skipped]
        layers = [
            replace(layer, inputs=tuple(resolved(name) for name in layer.inputs))
            if skipped.keys() & set(layer.inputs)
            else layer
            for layer in layers
        ]
        used = {resolved(self.network.layers[-1].name)}
        kept: list[Layer] = []
        for layer in reversed(layers):
            if layer.name in used:
                used.update(layer.inputs)
                kept.insert(0, layer)
        return replace(self.network, layers=tuple(kept)), resolved(node)
