"""Noise-trained networks: one step in training, N steps as spiking neurons, weights unchanged.

Jiang and Zhang (2022), arXiv 2211.05453. A spiking network is trained for a single time step with
Gaussian noise N(mean, sigma^2) on the membrane potential in place of what earlier steps would
leave there, and then run for N steps "without loss" (published: abstract). Everything beyond that
is the reconstruction of the specification: where the noise goes, its size, and the rule by which
it is replaced at run time (:mod:`models.schemes.noise.neurons`). In expectation the rule
``memoryless`` is lossless for any network: N steps are N independent single steps, whose mean has
the same expectation and 1/N of the variance (derived).

The image is a constant current, the same in every step. Max pooling of spikes is a logical OR in
every step, done by pooling neurons that take a step of their own. The read-out sums without
spiking; its scores, means over the steps, are estimates of the trained network's logits.

Units: one network unit is the threshold, 2**-6 V = 15.625 mV above rest (the specification has
15 mV; a power of two keeps sums exact).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...conversion.as_trained import as_trained, of_layer, warn_of_other_dynamics
from ...conversion.builder import build, named_apart, require_spiking
from ...conversion.scheme import Conversion, ConversionWarning
from ...conversion.step_neurons import StepNeuron
from ...conversion.synapses import Weighted, weighted
from ...conversion.timing import direct_timing
from ...dyadic import round_to
from ...networks.grids import NOISE_STEP
from ...networks.layers import Activation, Layer, MaxPool2D, QuantisedReLU, Spike
from ...networks.network import Network
from ...philox import NORMAL_STEP
from ...spiking.network import SpikingNetwork
from .options import NoiseOptions

SPIKING = (Spike, MaxPool2D)  # layers whose units become neurons


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NoiseConversion(Conversion):
    """A converted network and how it was converted.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    options : NoiseOptions
        As asked for; what was left to the network is as trained, and None only where its layers
        differ.
    by_layer : dict of str to NoiseOptions
        The same of each population that has noise, with leak and reset of its own.
    means, sigmas : dict of str to float
        By population that has noise: mean and deviation, in thresholds.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    """

    options: NoiseOptions
    by_layer: dict[str, NoiseOptions]
    means: dict[str, float]
    sigmas: dict[str, float]
    weight_error: float

    @property
    def step_neurons(self) -> dict[str, StepNeuron]:
        """See :attr:`Conversion.step_neurons`."""
        found = {}
        for name, options in self.by_layer.items():
            assert options.leak is not None and options.reset is not None
            found[name] = StepNeuron(
                leak=options.leak,
                reset=options.reset,
                start=self.means[name],
                is_floored=options.has_floor,
                draws=f"noise ({options.rule}, start {options.start})" if options.has_noise else "",
            )
        return found

    @property
    def with_given_noise(self) -> SpikingNetwork:
        """The network with noise from outside; see :class:`~models.spiking.inputs.Injection`.

        Raises
        ------
        ValueError
            If its neurons have no noise.
        """
        if not self.options.has_noise:
            raise ValueError("neurons of the rule 'residual' draw no noise, so none can be given")
        spiking = self.spiking
        for name, options in self.by_layer.items():
            kind = spiking.population(name).neurons
            spiking = spiking.with_neurons(replace(options.neuron_with_given_noise, name=kind))
        return spiking


def convert(
    network: Network, options: NoiseOptions | None = None, calibration: Array | None = None
) -> NoiseConversion:
    """Convert a network of spiking units.

    Parameters
    ----------
    network : Network
        With :class:`~models.networks.layers.Spike` activations; average, global average and max
        pooling.
    options : NoiseOptions, optional
        Defaults as stated there.
    calibration : ndarray, optional
        Not read: the scale of each layer is that of the training.

    Returns
    -------
    NoiseConversion

    Raises
    ------
    ValueError
        If a layer cannot be converted; the message names it.
    """
    options = NoiseOptions.given(options)
    warn_of_other_dynamics(options, network)
    network = network.fold_batch_norm()
    for layer in network.layers:
        if isinstance(layer, Activation | QuantisedReLU):
            raise ValueError(
                f"network {network.name!r}: {layer.label} does not spike; this scheme runs "
                "networks that were trained with spiking units (docs/train-your-own.md, or "
                "studies/train.py --scheme noise)"
            )
    require_spiking(network, SPIKING, (Spike,))
    timing = direct_timing(network, SPIKING)
    layers = {layer.name: layer for layer in network.layers if isinstance(layer, SPIKING)}
    ones = {name: np.ones(network.shapes[name][2]) for name in layers}
    units = [layer for layer in layers.values() if isinstance(layer, Spike)]
    noise = {layer.name: _noise(layer, options) for layer in units}
    by_layer = {layer.name: of_layer(options, layer) for layer in units}
    _warn_of_no_mean(network, options, by_layer)
    options = as_trained(options, network)
    assert options.n_steps is not None  # the layers of a network agree in it

    def receive(node: str, target: str) -> Weighted:
        layer = layers.get(target)
        return weighted(
            network,
            node,
            target,
            spiking=SPIKING,
            gains=ones,
            scale=np.array([layer.threshold if isinstance(layer, Spike) else 1.0]),
            delays=timing.delays,
            weight_bits=options.weight_bits,
        )

    def parameters(layer: Layer, received: Weighted) -> dict[str, NDArray]:
        return _parameters(received.bias, *noise[layer.name], by_layer[layer.name])

    spiking, weight_error = build(
        network,
        scheme="noise",
        spiking=SPIKING,
        neuron=named_apart({name: own.neuron for name, own in by_layer.items()}),
        receive=receive,
        parameters=parameters,
        timing=timing,
        n_steps=options.n_steps,
        dt_ms=options.dt_ms,
        start_step=NOISE_STEP * (NORMAL_STEP if options.has_noise else 1.0),
    )
    return NoiseConversion(
        spiking=spiking,
        options=options,
        by_layer=by_layer,
        means={name: mean for name, (mean, _) in noise.items()},
        sigmas={name: sigma for name, (_, sigma) in noise.items()},
        weight_error=weight_error,
    )


def _noise(layer: Spike, options: NoiseOptions) -> tuple[float, float]:
    """Mean and deviation of a layer's noise, in thresholds."""
    mean = layer.mean / layer.threshold if options.mean is None else options.mean
    sigma = layer.sigma / layer.threshold if options.sigma is None else options.sigma
    return float(round_to(mean, NOISE_STEP)), float(round_to(sigma, NOISE_STEP))


def _warn_of_no_mean(
    network: Network, options: NoiseOptions, by_layer: Mapping[str, NoiseOptions]
) -> None:
    """Say that one step of training at mean 0 has not met what several steps carry.

    The mean of the noise stands for the potential that a unit carries from step to step, which
    with soft reset lies between rest and threshold; the units start at it, too.
    """
    if network.n_steps > 1 or options.mean is not None or options.rule == "memoryless":
        return
    without = [
        layer
        for layer in network.layers
        if isinstance(layer, Spike) and layer.mean == 0 and by_layer[layer.name].n_steps != 1
    ]
    if without:
        known = "" if without[0].n_steps else " (as far as the file tells)"
        warnings.warn(
            f"network {network.name!r}: {', '.join(layer.name for layer in without)} had mean 0 "
            f"in the one step of the training{known}, which has not met what a step leaves on the "
            "membrane, half a threshold on average: accuracy falls with the steps. Train with "
            'NoisySpike(mean=0.5) or with several steps, or run rule="memoryless" or n_steps=1',
            ConversionWarning,
            stacklevel=3,
        )


def _before_leak(mean: float, leak: float) -> float:
    """Potential whose leaked value is `mean`, to the last bit if there is one."""
    start = mean / leak
    near = (start, np.nextafter(start, -np.inf), np.nextafter(start, np.inf))
    return float(min(near, key=lambda v: abs(leak * v - mean)))


def _parameters(
    bias: Array, mean: float, sigma: float, options: NoiseOptions
) -> dict[str, NDArray]:
    """Constants of each neuron; a start of mean / leak is the mean after the first leak."""
    assert options.leak is not None
    start = mean if options.rule == "memoryless" else _before_leak(mean, options.leak)
    found: dict[str, NDArray] = {"bias": bias[None], "v_start": np.full_like(bias, start)[None]}
    if options.has_noise:
        found["sigma"] = np.full_like(bias, sigma)[None]
    return found
