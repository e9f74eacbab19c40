"""Burst conversion: rectified units become neurons that answer with short bursts of spikes.

Li and Zeng (2022), arXiv 2204.13271. In each of T algorithmic steps a neuron takes in what its
inputs sent and releases up to Gamma spikes (published: the authors' code)::

    V <- V + I        s <- clip(floor(V / v_th), 0, Gamma)        V <- V - s v_th

Gamma = 1 is the integrate-and-fire neuron with soft reset. The image is a constant current,
the same in every step; the read-out sums without spiking. Max pooling is done by neurons with
lateral inhibition, :func:`models.schemes.burst.neurons.pooling_neuron`.

Weights are normalised (published): W_l <- W_l lambda_(l-1) / lambda_l, b_l <- b_l / lambda_l, so
that one spike a step stands for lambda_l. Which lambda the paper prints is not established; the
rules in circulation are the options of :class:`BurstOptions`. Initial potential v_th / 2, division
of lambda by Gamma, channel-wise lambda, limits of each layer's own and the exact conversion of
networks with quantised activations go beyond the paper.

Units: one network unit is the threshold, v_th = 2**-6 V = 15.625 mV above rest. A step of the
simulation is the interval of two spikes in a burst. A phase is Gamma such intervals and a pause.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...checks import require_one_of, require_whole
from ...conversion.synapses import (
    Weighted,
    last_onset,
    onsets,
    pooling_windows,
    require_spiking,
    weighted,
)
from ...dyadic import round_to
from ...networks.layers import INPUT, Activation, Layer, MaxPool2D, QuantisedReLU
from ...networks.network import Network
from ...spiking.network import READOUT, NeuronType, Population, Readout, SpikingNetwork, Stimulus
from ...spiking.projections import Projection, WindowProjection
from . import reference as burst_reference
from .neurons import UNIT_VOLT, burst_neuron, pooling_neuron

Array = NDArray[np.float64]

SPIKING = (Activation, QuantisedReLU, MaxPool2D)  # layers whose units become neurons
NORMALISATIONS = ("maximum", "percentile", "percentile/gamma", "compatibility")
POOLINGS = ("lipool", "gated", "or")
TIMINGS = ("double-buffer", "alternating")
MOST_STEPS = 4096  # algorithmic steps of a conversion
MOST_INTERVALS = 1000  # of a pause or a delay
START_STEP = 2.0**-16  # grid of the initial potential, in thresholds
HELD_BACK = 1e-3  # fraction of a layer's calibration spikes that its own limit may delay


@dataclass(frozen=True, kw_only=True)
class BurstOptions:
    """How to convert.

    Parameters
    ----------
    n_steps : int
        Algorithmic steps T.
    gamma : int
        Most spikes of a neuron in a step.
    own_limits : bool
        Lower the limit of each layer to what its neurons need on the calibration images, so that
        at most a thousandth of its spikes waits for a later step.
    normalisation : str
        What lambda is: ``"maximum"`` of the layer's calibration outputs; their ``"percentile"``;
        ``"percentile/gamma"``, so that a full burst stands for it; or ``"compatibility"``, the
        rule of the authors' later framework (BrainCog): every output is cut at Gamma before it
        goes on, and lambda is the percentile of what is left.
    percentile : float
        Above 0, at most 100; not used by ``"maximum"``.
    channel_wise : bool
        A lambda for each channel instead of one for the layer.
    initial : float
        Potential at the onset of an image, as a fraction of the threshold: 0 (the authors) or
        0.5 (rounds to nearest instead of down), or anything between.
    pooling : str
        Max pooling by ``"lipool"`` (exact), ``"gated"`` (spikes of the unit that leads so far)
        or ``"or"`` (most spikes in this step).
    timing : str
        ``"double-buffer"`` or ``"alternating"``, see :mod:`models.schemes.burst.neurons`.
    intra_burst_ms : float
        Interval between the spikes of a burst; also the time step of the simulation.
    guard_ms : float
        Pause after the longest burst, a whole number of intervals.
    delay_ms : float
        Axonal delay, a whole number of intervals, at most the pause.
    weight_bits : int
        Bits of a synaptic weight, sign included: the dyadic grid of a layer's kernels.
    """

    n_steps: int = 32
    gamma: int = 5
    own_limits: bool = False
    normalisation: str = "percentile/gamma"
    percentile: float = 99.99
    channel_wise: bool = False
    initial: float = 0.5
    pooling: str = "lipool"
    timing: str = "double-buffer"
    intra_burst_ms: float = 2.0
    guard_ms: float = 4.0
    delay_ms: float = 2.0
    weight_bits: int = 16

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_whole("n_steps", self.n_steps, 1, MOST_STEPS)
        require_whole("gamma", self.gamma, 1, 64)
        require_whole("weight_bits", self.weight_bits, 2, 24)
        require_one_of("normalisation", self.normalisation, NORMALISATIONS)
        require_one_of("pooling", self.pooling, POOLINGS)
        require_one_of("timing", self.timing, TIMINGS)
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must be above 0 and at most 100, got {self.percentile!r}")
        if not 0 <= self.initial < 1:
            raise ValueError(f"initial must be at least 0 and below 1, got {self.initial!r}")
        if not 1e-3 <= self.intra_burst_ms <= 1e3:
            raise ValueError(
                f"intra_burst_ms must be from 0.001 to 1000, got {self.intra_burst_ms!r}"
            )
        for name in ("guard_ms", "delay_ms"):
            n = getattr(self, name) / self.intra_burst_ms
            if not (0 <= n <= MOST_INTERVALS and abs(n - round(n)) < 1e-6):
                raise ValueError(
                    f"{name} must be a whole number of intervals of {self.intra_burst_ms} ms, at "
                    f"most {MOST_INTERVALS}, got {getattr(self, name)!r}"
                )
        if self.delay_ms > self.guard_ms:
            raise ValueError(
                f"delay_ms {self.delay_ms} is longer than guard_ms {self.guard_ms}: the last spike "
                "of a burst would come too late"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class BurstConversion:
    """A converted network and what its spikes stand for.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    scales : dict of str to ndarray, shape (channels,)
        By population: lambda, the value in the trained network that one spike a step stands for.
    limits : dict of str to int
        By population: most spikes in a step.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    """

    spiking: SpikingNetwork
    scales: dict[str, Array]
    limits: dict[str, int]
    weight_error: float


def convert(
    network: Network, calibration: Array, options: BurstOptions | None = None
) -> BurstConversion:
    """Convert a trained network.

    Parameters
    ----------
    network : Network
        ReLU or quantised ReLU activations; average, global average and max pooling.
    calibration : ndarray, shape (n, height, width, channels)
        Training images from which the scale of each layer is read.
    options : BurstOptions, optional
        Defaults as stated there. Quantised activations bring their own scale, limit and initial
        potential, with which one step is exact.

    Returns
    -------
    BurstConversion

    Raises
    ------
    ValueError
        If a layer cannot be converted; the message names it.
    """
    options = options or BurstOptions()
    network = network.fold_batch_norm()
    _require_convertible(network)
    scales = layer_scales(network, calibration, options)
    limits = _limits(network, options)
    conversion = _assemble(network, scales, limits, options)
    if options.own_limits:
        run = burst_reference.run(conversion.spiking, calibration)
        for layer in network.layers:
            if isinstance(layer, Activation):
                limits[layer.name] = needed_limit(run.counts[layer.name])
            elif isinstance(layer, MaxPool2D):
                limits[layer.name] = limits[layer.inputs[0]]
        conversion = _assemble(network, scales, limits, options)
    return conversion


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
        If there are no images, or none drives a layer above 0.
    """
    if not len(calibration):
        raise ValueError("calibration needs at least one image")
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


def _require_convertible(network: Network) -> None:
    """Refuse, by name, what has no spiking counterpart in this scheme."""
    for layer in network.layers:
        if isinstance(layer, Activation) and layer.function != "relu":
            raise ValueError(
                f"network {network.name!r}: {layer.label} is {layer.function}; burst neurons stand "
                "for ReLU only. Train with ReLU, or choose a scheme that has this activation"
            )
    require_spiking(network, SPIKING, (Activation, QuantisedReLU))


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


def _assemble(
    network: Network, scales: dict[str, Array], limits: dict[str, int], options: BurstOptions
) -> BurstConversion:
    """The spiking network for given scales and limits."""
    timing = _Timing(network, limits, options)
    populations: list[Population] = []
    projections: list[Projection | WindowProjection] = []
    stimuli: list[Stimulus] = []
    neurons = {"burst": burst_neuron(options.timing, timing.phase_steps, options.intra_burst_ms)}
    weight_error = 0.0

    def received(node: str, target: str) -> Weighted:
        return weighted(
            network,
            node,
            target,
            spiking=SPIKING,
            gains=scales,
            scale=scales.get(target, np.ones(1)),  # scores are in units of logits
            delays=timing.delays,
            weight_bits=options.weight_bits,
        )

    for layer in network.layers:
        if isinstance(layer, MaxPool2D):
            kind = pooling_neuron(options.pooling, layer.size, options.timing, timing.phase_steps)
            neurons[kind.name] = kind
            populations.append(_pool_population(network, layer, kind, timing, limits))
            projections.append(pooling_windows(network, layer, timing.delays))
        elif isinstance(layer, Activation | QuantisedReLU):
            found = received(layer.inputs[0], layer.name)
            start = 0.5 if isinstance(layer, QuantisedReLU) else options.initial
            shape = network.shapes[layer.name]
            populations.append(
                Population(
                    name=layer.name,
                    neurons="burst",
                    shape=shape,
                    onset=timing.onsets[layer.name],
                    parameters={
                        "bias": found.bias[None],
                        "v_start": np.full((1, *shape), round_to(start, START_STEP)),
                        "limit": np.full((1, *shape), limits[layer.name]),
                    },
                    largest_input=found.largest_input,
                    input_step=min(START_STEP, found.step),
                )
            )
            projections += found.projections
            stimuli += found.stimuli
            weight_error = max(weight_error, found.error)
    found = received(network.layers[-1].name, READOUT)
    spiking = SpikingNetwork(
        scheme="burst",
        name=network.name,
        neurons=tuple(neurons.values()),
        populations=tuple(populations),
        projections=(*projections, *found.projections),
        stimuli=tuple(stimuli),
        readout=Readout(
            n_steps=options.n_steps,
            offset=found.bias.reshape(-1),
            is_mean=True,
            onset=timing.onsets[READOUT],
            every=timing.every,
        ),
        image_shape=network.input.shape,
        coding=network.input,
        unit_volt=UNIT_VOLT,
        dt_ms=options.intra_burst_ms,
        phase_steps=timing.phase_steps,
        n_phases=timing.every * options.n_steps,
        most_spikes=max(limits.values()) * options.n_steps,
    )
    return BurstConversion(
        spiking=spiking,
        scales=scales,
        limits=limits,
        weight_error=max(weight_error, found.error),
    )


class _Timing:
    """When each layer works: its first phase, and the axonal delays that bring spikes there."""

    def __init__(self, network: Network, limits: dict[str, int], options: BurstOptions) -> None:
        guard, self.delay_steps = (
            round(ms / options.intra_burst_ms) for ms in (options.guard_ms, options.delay_ms)
        )
        self.phase_steps = max(limits.values()) + guard
        self.every = 2 if options.timing == "alternating" else 1
        self.onsets = onsets(network, SPIKING)
        last = last_onset(network, network.layers[-1].name, SPIKING, self.onsets)
        # The read-out takes the spikes in the phase in which the last of its sources releases them.
        self.onsets[READOUT] = last + self.every - 1

    def delays(self, source: str, target: str) -> NDArray[np.int64]:
        """Delay in steps after which a spike meets those of the same step from other layers."""
        phases = self.onsets[target] - self.onsets[source]
        phases -= self.every - 1 if target == READOUT else 1
        return np.array([phases * self.phase_steps + self.delay_steps])


def _pool_population(
    network: Network,
    layer: MaxPool2D,
    kind: NeuronType,
    timing: _Timing,
    limits: dict[str, int],
) -> Population:
    shape = network.shapes[layer.name]
    return Population(
        name=layer.name,
        neurons=kind.name,
        shape=shape,
        onset=timing.onsets[layer.name],
        parameters={"limit": np.full((1, *shape), limits[layer.name])},
    )
