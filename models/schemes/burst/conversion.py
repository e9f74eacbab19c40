"""Burst conversion: rectified units become neurons that answer with short bursts of spikes.

Li and Zeng (2022), arXiv 2204.13271. In each of T algorithmic steps a neuron takes in what its
inputs sent and releases up to Gamma spikes (published: the authors' code)::

    V <- V + I        s <- clip(floor(V / v_th), 0, Gamma)        V <- V - s v_th

Gamma = 1 is the integrate-and-fire neuron with soft reset. The image is a constant current,
the same in every step; the read-out sums without spiking. Max pooling is done by neurons with
lateral inhibition, :func:`models.conversion.pooling.pooling_neuron`.

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

from ...arrays import Array
from ...conversion.builder import build, require_spiking
from ...conversion.scheme import Conversion, required
from ...conversion.synapses import Weighted, weighted
from ...conversion.timing import Timing, onsets
from ...dyadic import round_to
from ...networks.layers import Activation, Layer, MaxPool2D, QuantisedReLU
from ...networks.network import Network
from ...spiking.network import READOUT
from . import reference as burst_reference
from .neurons import burst_neuron
from .options import BurstOptions
from .scales import _limits, layer_scales, needed_limit

SPIKING = (Activation, QuantisedReLU, MaxPool2D)  # layers whose units become neurons
REFERENCE_BATCH = 4  # images; every step of every neuron is held, and a table of all spikes
START_STEP = 2.0**-16  # grid of the initial potential, in thresholds


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class BurstConversion(Conversion):
    """A converted network and what its spikes stand for.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    options : BurstOptions
        As asked for.
    scales : dict of str to ndarray, shape (channels,)
        By population: lambda, the value in the trained network that one spike a step stands for.
    limits : dict of str to int
        By population: most spikes in a step.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    """

    options: BurstOptions
    scales: dict[str, Array]
    limits: dict[str, int]
    weight_error: float


def convert(
    network: Network, options: BurstOptions | None = None, calibration: Array | None = None
) -> BurstConversion:
    """Convert a trained network.

    Parameters
    ----------
    network : Network
        ReLU or quantised ReLU activations; average, global average and max pooling.
    options : BurstOptions, optional
        Defaults as stated there. Quantised activations bring their own scale, limit and initial
        potential, with which one step is exact.
    calibration : ndarray, shape (n, height, width, channels)
        Training images from which the scale of each layer is read.

    Returns
    -------
    BurstConversion

    Raises
    ------
    ValueError
        If a layer cannot be converted; the message names it. If there are no training images.
    """
    options = BurstOptions.given(options)
    network = network.fold_batch_norm()
    _require_convertible(network)
    calibration = required(calibration)
    scales = layer_scales(network, calibration, options)
    limits = _limits(network, options)
    conversion = _assemble(network, scales, limits, options)
    if options.own_limits:
        sizes = _burst_sizes(conversion, calibration)
        for layer in network.layers:
            if isinstance(layer, Activation):
                limits[layer.name] = needed_limit(sizes[layer.name])
            elif isinstance(layer, MaxPool2D):
                limits[layer.name] = limits[layer.inputs[0]]
        conversion = _assemble(network, scales, limits, options)
    return conversion


def _burst_sizes(conversion: BurstConversion, images: Array) -> dict[str, NDArray[np.int64]]:
    """By population, how many bursts of 0, 1, 2, ... spikes the images bring about."""
    sizes: dict[str, NDArray[np.int64]] = {}
    for start in range(0, len(images), REFERENCE_BATCH):
        run = burst_reference.run(conversion, images[start : start + REFERENCE_BATCH])
        for name, counts in run.counts.items():
            before = sizes.get(name, np.zeros(0, dtype=np.int64))
            sizes[name] = np.bincount(counts.ravel(), minlength=before.size)
            sizes[name][: before.size] += before
    return sizes


def _require_convertible(network: Network) -> None:
    """Refuse, by name, what has no spiking counterpart in this scheme."""
    for layer in network.layers:
        if isinstance(layer, Activation) and layer.function != "relu":
            raise ValueError(
                f"network {network.name!r}: {layer.label} is {layer.function}; burst neurons stand "
                "for ReLU only. Train with ReLU, or choose a scheme that has this activation"
            )
    require_spiking(network, SPIKING, (Activation, QuantisedReLU))


def _assemble(
    network: Network, scales: dict[str, Array], limits: dict[str, int], options: BurstOptions
) -> BurstConversion:
    """The spiking network for given scales and limits."""
    timing = _timing(network, limits, options)

    def receive(node: str, target: str) -> Weighted:
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

    def parameters(layer: Layer, received: Weighted) -> dict[str, NDArray]:
        shape = (1, *network.shapes[layer.name])
        start = 0.5 if isinstance(layer, QuantisedReLU) else options.initial
        return {
            "bias": received.bias[None],
            "v_start": np.full(shape, round_to(start, START_STEP)),
            "limit": np.full(shape, limits[layer.name]),
        }

    spiking, weight_error = build(
        network,
        scheme="burst",
        spiking=SPIKING,
        neuron=burst_neuron(options.timing, timing.phase_steps, options.intra_burst_ms),
        receive=receive,
        parameters=parameters,
        timing=timing,
        n_steps=options.n_steps,
        dt_ms=options.intra_burst_ms,
        limits=limits,
        pooling=options.pooling,
        release=options.timing,
        start_step=START_STEP,
    )
    return BurstConversion(
        spiking=spiking,
        options=options,
        scales=scales,
        limits=limits,
        weight_error=weight_error,
    )


def _timing(network: Network, limits: dict[str, int], options: BurstOptions) -> Timing:
    """Phases as long as the longest burst and a pause; layers may take turns."""
    guard, delay_steps = (
        round(ms / options.intra_burst_ms) for ms in (options.guard_ms, options.delay_ms)
    )
    phase_steps = max(limits.values()) + guard
    every = 2 if options.timing == "alternating" else 1
    first = onsets(network, SPIKING)
    # The read-out takes the spikes in the phase in which the last of its sources releases them.
    first[READOUT] += every - 1

    def delays(source: str, target: str) -> NDArray[np.int64]:
        """Steps after which a spike meets those of the same step from other layers."""
        phases = first[target] - first[source] - (every - 1 if target == READOUT else 1)
        return np.array([phases * phase_steps + delay_steps])

    return Timing(onsets=first, delays=delays, phase_steps=phase_steps, every=every)
