"""Locally binary networks (ALBSNN): layers with one bit a synapse beside layers with real weights.

Xu, Pei, Wu, Liu, Yang (2022), arXiv 2208.00398; journal version Pei, Xu, Wu, Liu, Yang (2023),
Frontiers in Neuroscience 17:1225871. During the training an estimate of the loss of accuracy
chooses the layers with binary weights (:mod:`models.schemes.albsnn.training`); a head of
convolution and global average pooling replaces fully connected layers; one time step suffices
(published: abstracts). All else is the specification's reconstruction.

A synapse of a binary layer holds a sign. The scale of the channel and batch normalisation are
gain and offset of the neuron (:mod:`models.schemes.albsnn.neurons`), real layers included; where
branches are added, each has a gain of its own (:mod:`models.schemes.albsnn.ways`). The image is a
constant current, the same in every step. The head does not spike: it sums what arrives from all
positions, and gain and offset of each class turn the sum into the score (the read-out has them)::

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
from ...conversion.as_trained import as_trained, of_layer, warn_of_other_dynamics
from ...conversion.builder import build, named_apart, require_spiking
from ...conversion.linear_paths import bias_map, linear_paths
from ...conversion.scheme import Conversion
from ...conversion.step_neurons import StepNeuron
from ...conversion.synapses import Weighted, image_current
from ...conversion.timing import Delays, direct_timing
from ...dyadic import grid_step, round_to
from ...networks.grids import OFFSET_STEP, on_grid, rounded
from ...networks.layers import (
    INPUT,
    Activation,
    BinaryConv2D,
    Conv2D,
    Dense,
    Layer,
    QuantisedReLU,
    Spike,
)
from ...networks.network import Network
from ...spiking.network import READOUT, gain_of
from ...spiking.projections import Projection, WeightedProjection
from .neurons import leaky_neuron
from .options import AlbsnnOptions
from .ways import SPIKING, Bare, Way, ways

DIVIDED_GAIN_BITS = 24  # of gains divided by something else than a power of two, or longer than
MOST_GAIN_STEPS = 2**30  # the product of a scale and a factor of batch normalisation
IMAGE_BITS = 31  # of the weights from the image: a weight times a gain


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class AlbsnnConversion(Conversion):
    """A converted network and how it was converted.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    options : AlbsnnOptions
        As asked for; what was left to the network is as trained, and None only where its layers
        differ.
    by_layer : dict of str to AlbsnnOptions
        The same of each population but those for pooling, with leak and reset of its own.
    binary : tuple of str
        Weighted layers with binary weights.
    driven : dict of str to str
        By weighted layer: the population that it drives, or the read-out.
    projections : dict of str to tuple of Projection and SparseProjection
        By weighted layer: what carries its weights; none for weights from the image.
    """

    options: AlbsnnOptions
    by_layer: dict[str, AlbsnnOptions]
    binary: tuple[str, ...]
    driven: dict[str, str]
    projections: dict[str, tuple[WeightedProjection, ...]]

    @property
    def step_neurons(self) -> dict[str, StepNeuron]:
        """See :attr:`Conversion.step_neurons`."""
        found = {}
        for name, options in self.by_layer.items():
            assert options.leak is not None and options.reset is not None
            found[name] = StepNeuron(leak=options.leak, reset=options.reset)
        return found


def convert(
    network: Network, options: AlbsnnOptions | None = None, calibration: Array | None = None
) -> AlbsnnConversion:
    """Convert a network of spiking units, some of whose layers may have binary weights.

    Parameters
    ----------
    network : Network
        With :class:`~models.networks.layers.Spike` activations of mean 0. Before each of them, and
        at the end, one convolution or dense layer, which batch normalisation may follow; average
        pooling before or after it. Additions before the weights, and after them if a spiking layer
        follows; a shortcut may have no weights.
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
    warn_of_other_dynamics(options, network)
    network = on_grid(network, options.weight_bits)
    _require_convertible(network)
    binary = tuple(layer.name for layer in network.layers if isinstance(layer, BinaryConv2D))
    spiking_units = [layer for layer in network.layers if isinstance(layer, Spike)]
    by_layer = {layer.name: of_layer(options, layer) for layer in spiking_units}
    inputs = {layer.name: _inputs(network, layer.inputs[0], layer) for layer in spiking_units}
    inputs[READOUT] = _inputs(network, network.layers[-1].name, None)
    bare = Bare.of(network)
    timing = direct_timing(bare.network, SPIKING)
    resting: dict[str, Array | float] = {
        layer.name: 0.0 for layer in network.layers if isinstance(layer, SPIKING)
    }
    resting[INPUT] = network.input.offset
    projections: dict[str, list[WeightedProjection]] = {}
    driven: dict[str, str] = {}

    def receive(_node: str, target: str) -> Weighted:
        own = inputs[target]
        from_spikes: list[WeightedProjection] = []
        from_image: list[WeightedProjection] = []
        for way, gain in zip(own.ways, own.gains, strict=True):
            path = _projection(bare, way, own.node, target, timing.delays, binary)
            if way.source == INPUT:
                from_image.append(path.times(gain))
            else:
                path = replace(path, afferent=own.afferent(gain))
                from_spikes.append(path)
            for name in way.weights:
                driven[name] = target
                projections.setdefault(name, []).extend([path] if way.source != INPUT else [])
        bias = bias_map(network, own.node, resting) / own.threshold
        if target == READOUT:
            return _received(from_spikes, bias, own.distinct[0])
        if not from_image:
            return _received(from_spikes, round_to(bias, OFFSET_STEP))
        stimulus, largest = image_current(network, target, from_image, bias, IMAGE_BITS)
        assert stimulus.step is not None
        return Weighted(
            projections=from_spikes,
            stimuli=[stimulus],
            bias=np.zeros_like(bias),
            largest_input=largest,
            step=stimulus.step,
            error=0.0,
        )

    def parameters(layer: Layer, received: Weighted) -> dict[str, NDArray]:
        shape = (1, *network.shapes[layer.name])
        distinct = inputs[layer.name].distinct or [np.zeros(shape[3])]  # in front of the image
        gains = {gain_of(i): np.broadcast_to(gain, shape) for i, gain in enumerate(distinct)}
        return {**gains, "bias": received.bias[None]}

    kinds = {
        name: leaky_neuron(own.leak, own.reset, max(len(inputs[name].distinct), 1))
        for name, own in by_layer.items()
        if own.leak is not None and own.reset is not None
    }
    options = as_trained(options, network)
    assert options.n_steps is not None  # the layers of a network agree in it
    spiking, _ = build(
        bare.network,
        scheme="albsnn",
        spiking=SPIKING,
        neuron=named_apart(kinds),
        receive=receive,
        parameters=parameters,
        timing=timing,
        n_steps=options.n_steps,
        dt_ms=options.dt_ms,
    )
    return AlbsnnConversion(
        spiking=spiking,
        options=options,
        by_layer=by_layer,
        binary=binary,
        driven=driven,
        projections={name: tuple(own) for name, own in projections.items()},
    )


def _received(paths: list[WeightedProjection], bias: Array, gain: Array | float = 1.0) -> Weighted:
    """What spikes bring by projections on their grids, and a constant."""
    return Weighted(
        projections=list(paths),
        stimuli=[],
        bias=bias,
        largest_input=float(np.abs(bias).max()),
        step=OFFSET_STEP,
        error=0.0,
        gain=gain,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Inputs:
    """The ways to one population or the read-out, with their gains in thresholds.

    Parameters
    ----------
    node : str
        Layer whose value is received.
    threshold : float
        Of the population; 1 for the read-out.
    ways : list of Way
        To that layer.
    gains : list of ndarray, shape (channels,)
        Of each way.
    distinct : list of ndarray, shape (channels,)
        Different gains of the ways from spikes: each needs an afferent variable of its own.
    """

    node: str
    threshold: float
    ways: list[Way]
    gains: list[Array]
    distinct: list[Array]

    def afferent(self, gain: Array) -> int:
        """Number of a gain among the different ones."""
        return next(i for i, other in enumerate(self.distinct) if np.array_equal(gain, other))


def _inputs(network: Network, node: str, layer: Spike | None) -> _Inputs:
    """What a layer, or the read-out for None, receives."""
    target, threshold = (READOUT, 1.0) if layer is None else (layer.name, layer.threshold)
    found = ways(network, node, target)
    gains: list[Array] = []
    distinct: list[Array] = []
    for way in found:
        gain = way.gain / (way.divisor * threshold)
        if layer is not None and (
            np.frexp(way.divisor * threshold)[0] != 0.5  # ninths, say
            or np.abs(gain).max() > MOST_GAIN_STEPS * grid_step(gain)  # norm after norm
        ):
            gain = rounded(gain, DIVIDED_GAIN_BITS)
        gains.append(gain)
        if way.source != INPUT and not any(np.array_equal(gain, other) for other in distinct):
            distinct.append(gain)
    if layer is None and any(way.source == INPUT for way in found):
        raise ValueError(
            f"network {network.name!r}: a path leads from the input to the output without an "
            "activation; the read-out takes spikes only"
        )
    if layer is None and len(distinct) > 1:
        names = ", ".join(name for way in found for name in way.picks)
        raise ValueError(
            f"network {network.name!r}: {names} adds branches of different gains for the scores, "
            "but the read-out has one gain a class; put a spiking layer after the addition"
        )
    return _Inputs(node=node, threshold=threshold, ways=found, gains=gains, distinct=distinct)


def _require_convertible(network: Network) -> None:
    """Refuse, by name, what this scheme has no neurons for."""
    for layer in network.layers:
        if isinstance(layer, Activation | QuantisedReLU):
            raise ValueError(
                f"network {network.name!r}: {layer.label} does not spike; this scheme runs "
                "networks that were trained with spiking units (docs/train-your-own.md, or "
                "studies/train.py --scheme albsnn)"
            )
        if isinstance(layer, Spike) and layer.mean:
            raise ValueError(
                f"network {network.name!r}: {layer.label} was trained with noise of mean "
                f"{layer.mean:g}; run it with NoiseOptions (studies/run_noise.py)"
            )
    require_spiking(network, SPIKING, (Spike,))


def _projection(
    bare: Bare, way: Way, node: str, target: str, delays: Delays, binary: Collection[str]
) -> WeightedProjection:
    """Weights of a way without the divisor of pooling."""
    network, node = bare.along(way, node)
    (path,) = linear_paths(network, node, SPIKING)
    path = replace(path, target=target, delays=delays(path.source, target))
    if path.source == INPUT:
        path = path.scaled(network.input.gain)
        return path.with_weights(path.weights * way.divisor)
    # Takes away what dividing and multiplying left.
    step = grid_step(_kernel(network, way)) if way.weights else 1.0
    weights = round_to(path.weights * way.divisor, step if np.isfinite(step) else 1.0)
    path = path.with_weights(weights)
    # A 3x3 head and its mean over positions merge to other weights than signs.
    are_signs = not set(way.weights).isdisjoint(binary) and bool((np.abs(weights) == 1).all())
    return replace(path, is_binary=True) if are_signs and isinstance(path, Projection) else path


def _kernel(network: Network, way: Way) -> Array:
    layer = network.layer(way.weights[0])
    assert isinstance(layer, Conv2D | Dense)
    return layer.kernel
