"""Locally binary networks (ALBSNN): layers with one bit a synapse beside layers with real weights.

Xu, Pei, Wu, Liu, Yang (2022), arXiv 2208.00398; journal version Pei, Xu, Wu, Liu, Yang (2023),
Frontiers in Neuroscience 17:1225871. During the training an estimate of the loss of accuracy
chooses the layers with binary weights (:mod:`models.schemes.albsnn.training`); a head of
convolution and global average pooling replaces fully connected layers; one time step suffices
(published: abstracts). All else is the specification's reconstruction.

A synapse of a binary layer holds a sign. The scale of the channel and batch normalisation are
gain and offset of the neuron (:mod:`models.schemes.albsnn.neurons`), real layers included. The
image is a constant current, the same in every step. The head does not spike: it sums what arrives
from all positions, and gain and offset of each class turn the sum into the score (the read-out has
them)::

    z_c = gain_c sum / (height width steps) + offset_c

which for a 1x1 convolution is exactly convolution, batch normalisation and mean (derived).

Units: one network unit is the threshold, 2**-6 V = 15.625 mV above rest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...conversion.builder import build, require_spiking
from ...conversion.linear_paths import bias_map, linear_paths
from ...conversion.scheme import Conversion
from ...conversion.synapses import Weighted, image_current
from ...conversion.timing import Delays, direct_timing
from ...dyadic import grid_step, round_to
from ...networks.grids import OFFSET_STEP, on_grid, rounded
from ...networks.layers import (
    INPUT,
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    Dense,
    GlobalAvgPool,
    Layer,
    MaxPool2D,
    QuantisedReLU,
    Spike,
)
from ...networks.network import Network
from ...spiking.network import READOUT
from ...spiking.projections import Projection
from .neurons import leaky_neuron
from .options import AlbsnnOptions

SPIKING = (Spike, MaxPool2D)  # layers whose units become neurons
DIVIDED_GAIN_BITS = 24  # of gains divided by something else than a power of two
IMAGE_BITS = 31  # of the weights from the image: a weight times a gain


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class AlbsnnConversion(Conversion):
    """A converted network and how it was converted.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    options : AlbsnnOptions
        As asked for.
    binary : tuple of str
        Weighted layers with binary weights.
    driven : dict of str to str
        By weighted layer: the population that it drives, or the read-out.
    """

    options: AlbsnnOptions
    binary: tuple[str, ...]
    driven: dict[str, str]


def convert(
    network: Network, options: AlbsnnOptions | None = None, calibration: Array | None = None
) -> AlbsnnConversion:
    """Convert a network of spiking units, some of whose layers may have binary weights.

    Parameters
    ----------
    network : Network
        With :class:`~models.networks.layers.Spike` activations of mean 0. Before each of them, and
        at the end, one convolution or dense layer, which batch normalisation may follow; pooling
        before it, and global average pooling after the last one.
    options : AlbsnnOptions, optional
        Defaults as stated there.
    calibration : ndarray, optional
        Not read: the scale of each layer is that of the training.

    Returns
    -------
    AlbsnnConversion

    Raises
    ------
    ValueError
        If a layer cannot be converted; the message names it.
    """
    options = AlbsnnOptions.given(options)
    network = on_grid(network, options.weight_bits)
    _require_convertible(network)
    binary = tuple(layer.name for layer in network.layers if isinstance(layer, BinaryConv2D))
    bare, gains, offsets = _without_affine(network)
    timing = direct_timing(bare, SPIKING)
    driven: dict[str, str] = {}

    def receive(node: str, target: str) -> Weighted:
        path, divisor, name = _projection(bare, node, target, timing.delays, binary)
        driven[name] = target
        if target == READOUT:
            return _received(path, offsets[name], gains[name] / divisor)
        layer = bare.layer(target)
        assert isinstance(layer, Spike)
        shape = bare.shapes[target]
        gain = gains[name] / (divisor * layer.threshold)
        if np.frexp(divisor * layer.threshold)[0] != 0.5:  # ninths, say: back to a grid
            gain = rounded(gain, DIVIDED_GAIN_BITS)
        bias = np.broadcast_to(offsets[name] / layer.threshold, shape)
        if path.source != INPUT:
            return _received(path, round_to(bias, OFFSET_STEP), gain)
        resting = bias_map(bare, node, {INPUT: network.input.offset})
        stimulus, largest = image_current(
            network,
            target,
            [replace(path, kernel=path.kernel * gain, is_binary=False)],
            resting * divisor * gain + bias,
            IMAGE_BITS,
        )
        return Weighted(
            projections=[],
            stimuli=[stimulus],
            bias=np.zeros(shape),
            largest_input=largest,
            step=stimulus.step,
            error=0.0,
            gain=np.zeros_like(gain),
        )

    def parameters(layer: Layer, received: Weighted) -> dict[str, NDArray]:
        shape = (1, *bare.shapes[layer.name])
        return {"gain": np.broadcast_to(received.gain, shape), "bias": received.bias[None]}

    spiking, _ = build(
        bare,
        scheme="albsnn",
        spiking=SPIKING,
        neuron=leaky_neuron(options.leak, options.reset),
        receive=receive,
        parameters=parameters,
        timing=timing,
        n_steps=options.n_steps,
        dt_ms=options.dt_ms,
    )
    return AlbsnnConversion(spiking=spiking, options=options, binary=binary, driven=driven)


def _received(path: Projection, bias: Array, gain: Array) -> Weighted:
    """What spikes bring by one projection on its grid, and a constant."""
    return Weighted(
        projections=[path],
        stimuli=[],
        bias=bias,
        largest_input=float(np.abs(bias).max()),
        step=OFFSET_STEP,
        error=0.0,
        gain=gain,
    )


def _require_convertible(network: Network) -> None:
    """Refuse, by name, what this scheme has no neurons for."""
    for layer in network.layers:
        if isinstance(layer, Activation | QuantisedReLU):
            raise ValueError(
                f"network {network.name!r}: {layer.label} does not spike; this scheme runs "
                "networks that were trained with spiking units (studies/train.py --scheme albsnn)"
            )
        if isinstance(layer, Add):
            raise ValueError(
                f"network {network.name!r}: {layer.label} adds two branches, but a neuron has one "
                "gain; train without shortcuts"
            )
        if isinstance(layer, Spike) and layer.mean:
            raise ValueError(
                f"network {network.name!r}: {layer.label} was trained with noise of mean "
                f"{layer.mean:g}; run it with NoiseOptions (studies/run_noise.py)"
            )
    require_spiking(network, SPIKING, (Spike,))


def _without_affine(network: Network) -> tuple[Network, dict[str, Array], dict[str, Array]]:
    """The network without scales, biases and batch normalisation, and these by weighted layer."""
    gains: dict[str, Array] = {}
    offsets: dict[str, Array] = {}
    layers: list[Layer] = []
    renamed: dict[str, str] = {}
    for layer in network.layers:
        layer = replace(layer, inputs=tuple(renamed.get(name, name) for name in layer.inputs))
        if isinstance(layer, BatchNorm):
            before = layer.inputs[0]
            if before not in gains:
                raise ValueError(
                    f"network {network.name!r}: {layer.label} follows {before!r}, not a "
                    "convolution or dense layer"
                )
            gains[before] = gains[before] * layer.scale
            offsets[before] = (offsets[before] - layer.mean) * layer.scale + layer.beta
            renamed[layer.name] = before
            continue
        if isinstance(layer, BinaryConv2D):
            gains[layer.name], offsets[layer.name] = layer.scale, np.zeros(layer.scale.size)
            layer = replace(layer, scale=np.ones(layer.scale.size)).as_real()
        elif isinstance(layer, Conv2D | Dense):
            gains[layer.name] = np.ones(layer.bias.size)
            offsets[layer.name] = layer.bias
            layer = replace(layer, bias=np.zeros(layer.bias.size))
        layers.append(layer)
    return replace(network, layers=tuple(layers)), gains, offsets


def _before(network: Network, node: str, target: str) -> tuple[Conv2D | Dense, float]:
    """The one weighted layer from the neurons before `node` up to it, and the pools' divisor."""
    found: list[Conv2D | Dense] = []
    divisor = 1.0
    name = node
    while name != INPUT and not isinstance(network.layer(name), SPIKING):
        layer = network.layer(name)
        (name,) = layer.inputs
        if isinstance(layer, Conv2D | Dense):
            found.append(layer)
        elif isinstance(layer, GlobalAvgPool):
            divisor *= float(np.prod(network.shapes[name][:2]))
        elif isinstance(layer, AvgPool2D):
            if any(layer.padding) and not found:
                raise ValueError(
                    f"network {network.name!r}: {layer.label} pads after the weights, where zeros "
                    "lack the offset that a neuron has; pool without padding or before the weights"
                )
            divisor *= float(np.prod(layer.size))
    if len(found) != 1:
        names = ", ".join(layer.name for layer in reversed(found)) or "none"
        raise ValueError(
            f"network {network.name!r}: between {name!r} and {target!r} there must be one "
            f"convolution or dense layer, there are: {names}"
        )
    return found[0], divisor


def _projection(
    network: Network, node: str, target: str, delays: Delays, binary: Collection[str]
) -> tuple[Projection, float, str]:
    """Weights to `node` without the divisor of pooling; this divisor; the weighted layer."""
    weighted, divisor = _before(network, node, target)
    (path,) = linear_paths(network, node, SPIKING)
    if path.source == INPUT:
        kernel = path.scaled(network.input.gain) * divisor
    else:
        step = grid_step(weighted.kernel)  # takes away what dividing and multiplying left
        kernel = round_to(path.kernel * divisor, step if np.isfinite(step) else 1.0)
    projection = Projection(
        source=path.source,
        target=target,
        kernel=kernel,
        gains=np.ones(1),
        delays=delays(path.source, target),
        # A 3x3 head and its mean over positions merge to other weights than signs.
        is_binary=weighted.name in binary and bool((np.abs(kernel) == 1).all()),
        **path.geometry(),
    )
    return projection, divisor, weighted.name
