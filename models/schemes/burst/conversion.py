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
networks with quantised activations go beyond the paper, and so do the correction of biases and all
layers but ReLU and max pooling of it.

Units: one network unit is the threshold, v_th = 2**-6 V = 15.625 mV above rest. A step of the
simulation is the interval of two spikes in a burst. A phase is Gamma such intervals and a pause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...conversion.builder import build
from ...conversion.scheme import Conversion, required
from ...conversion.step_neurons import StepNeuron
from ...conversion.synapses import Weighted, weighted
from ...conversion.timing import Timing, onsets
from ...dyadic import round_to
from ...networks.layers import Activation, Layer, MaxPool2D, QuantisedReLU
from ...networks.network import Network
from ...networks.piecewise import PiecewiseLinear
from ...spiking.network import READOUT
from . import reference as burst_reference
from .neurons import burst_neuron
from .options import BurstOptions
from .relus import SPIKING, OfRelus, of_relus
from .scales import _limits, layer_scales, needed_limit

REFERENCE_BATCH = 4  # images; every step of every neuron is held, and a table of all spikes
CORRECTED_ON = 128  # images; a mean over them and all places needs no more
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
    network : Network
        What was converted: the trained network without batch normalisation, of ReLUs only. Its
        spiking layers are the populations. It has the trained logits, but for the errors of `fits`.
    fits : dict of str to PiecewiseLinear
        By activation that is no sum of ReLUs: the straight pieces that stand for it, with their
        range and their largest error there. Of a product, these are its squares.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    """

    options: BurstOptions
    scales: dict[str, Array]
    limits: dict[str, int]
    network: Network
    fits: dict[str, PiecewiseLinear]
    weight_error: float

    @property
    def step_neurons(self) -> dict[str, StepNeuron]:
        """See :attr:`Conversion.step_neurons`."""
        return {
            population.name: StepNeuron(
                limit=self.limits[population.name],
                start=float(population.parameters["v_start"].flat[0]),
            )
            for population in self.spiking.populations
            if "v_start" in population.parameters
        }


def convert(
    network: Network, options: BurstOptions | None = None, calibration: Array | None = None
) -> BurstConversion:
    """Convert a trained network.

    Parameters
    ----------
    network : Network
        Of any layers but spiking ones. ReLU, quantised ReLU and max pooling of them are neurons;
        all else becomes sums of ReLUs, see :mod:`models.schemes.burst.relus`.
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
    calibration = required(calibration)
    relus = of_relus(network, calibration, options)
    network = relus.network
    scales = layer_scales(network, calibration, options, relus.sums, relus.spans)
    limits = _limits(network, options)
    conversion = _assemble(relus, scales, limits, options)
    if options.own_limits:
        sizes = _burst_sizes(conversion, calibration)
        for layer in network.layers:
            if isinstance(layer, Activation):
                limits[layer.name] = needed_limit(sizes[layer.name])
            elif isinstance(layer, MaxPool2D):
                limits[layer.name] = limits[layer.inputs[0]]
        conversion = _assemble(relus, scales, limits, options)
    if options.bias_correction:
        errors = mean_errors(conversion, calibration[:CORRECTED_ON])
        conversion = _assemble(relus, scales, limits, options, errors)
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


def mean_errors(conversion: BurstConversion, images: Array) -> dict[str, Array]:
    """What the neurons answer to their input in all steps more than ReLU and maximum of it.

    A neuron conserves: its mean input is (spikes + V at the end - V at the onset) / steps. What
    it answers is more where input that came too early has been answered and then taken back, and
    less where it is beyond the longest burst.

    Parameters
    ----------
    conversion : BurstConversion
        Runs by its reference.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    dict of str to ndarray, shape (channels,)
        By population: the mean over images and places, in units of the trained network. None of
        quantised activations, which are as they were trained.
    """
    network = conversion.network
    sums = {
        layer.name: np.zeros(network.shapes[layer.name][2])
        for layer in network.layers
        if isinstance(layer, SPIKING) and not _is_quantised(network, layer)
    }
    for start in range(0, len(images), REFERENCE_BATCH):
        run = burst_reference.run(conversion, images[start : start + REFERENCE_BATCH])
        wanted: dict[str, Array] = {}  # spikes of all steps
        for name in sums:
            layer, shape = network.layer(name), network.shapes[name]
            answered = run.counts[name].sum(axis=1, dtype=np.float64)
            if isinstance(layer, MaxPool2D):
                wanted[name] = layer.apply(wanted[layer.inputs[0]])
            else:
                onset = conversion.spiking.population(name).parameters["v_start"].reshape(-1)
                drive = answered + run.potentials[name] - onset
                wanted[name] = np.maximum(drive, 0).reshape(-1, *shape)
            sums[name] += (answered.reshape(-1, *shape) - wanted[name]).sum(axis=(0, 1, 2))
    errors = {}
    for name, total in sums.items():
        rows, columns, _ = network.shapes[name]
        n_answers = len(images) * rows * columns * conversion.options.n_steps
        errors[name] = total / n_answers * conversion.scales[name]
    return errors


def _is_quantised(network: Network, layer: Layer) -> bool:
    while isinstance(layer, MaxPool2D):
        layer = network.layer(layer.inputs[0])
    return isinstance(layer, QuantisedReLU)


def _assemble(
    relus: OfRelus,
    scales: dict[str, Array],
    limits: dict[str, int],
    options: BurstOptions,
    errors: Mapping[str, Array] | None = None,
) -> BurstConversion:
    """The spiking network for given scales, limits and errors to be taken off."""
    network = relus.network
    timing = _timing(network, limits, options)
    constants = {name: -error for name, error in (errors or {}).items()}

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
            constants=constants,
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
        network=network,
        fits=relus.fits,
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
