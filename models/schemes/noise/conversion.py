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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...conversion.builder import build, require_spiking
from ...conversion.scheme import Conversion
from ...conversion.synapses import Weighted, weighted
from ...conversion.timing import direct_timing
from ...dyadic import round_to
from ...networks.grids import NOISE_STEP
from ...networks.layers import Activation, Layer, MaxPool2D, QuantisedReLU, Spike
from ...networks.network import Network
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
        As asked for.
    means, sigmas : dict of str to float
        By population that has noise: mean and deviation, in thresholds.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    """

    options: NoiseOptions
    means: dict[str, float]
    sigmas: dict[str, float]
    weight_error: float

    @property
    def with_given_noise(self) -> SpikingNetwork:
        """The network with noise from outside; see :class:`~models.spiking.inputs.Injection`.

        Raises
        ------
        ValueError
            If its neurons have no noise, or noise that is not a number for each step.
        """
        if not self.options.has_noise or self.options.rule == "diffusive":
            raise ValueError(
                f"neurons of the rule {self.options.rule!r} do not draw a number for each step, "
                "so none can be given"
            )
        return self.spiking.with_neurons(self.options.neuron_with_given_noise)


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
    network = network.fold_batch_norm()
    for layer in network.layers:
        if isinstance(layer, Activation | QuantisedReLU):
            raise ValueError(
                f"network {network.name!r}: {layer.label} does not spike; this scheme runs "
                "networks that were trained with spiking units (studies/train.py --scheme noise)"
            )
    require_spiking(network, SPIKING, (Spike,))
    timing = direct_timing(network, SPIKING)
    layers = {layer.name: layer for layer in network.layers if isinstance(layer, SPIKING)}
    ones = {name: np.ones(network.shapes[name][2]) for name in layers}
    noise = {
        name: _noise(layer, options) for name, layer in layers.items() if isinstance(layer, Spike)
    }

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
        return _parameters(received.bias, *noise[layer.name], options)

    spiking, weight_error = build(
        network,
        scheme="noise",
        spiking=SPIKING,
        neuron=options.neuron,
        receive=receive,
        parameters=parameters,
        timing=timing,
        n_steps=options.n_steps,
        dt_ms=options.dt_ms,
        start_step=NOISE_STEP,
    )
    return NoiseConversion(
        spiking=spiking,
        options=options,
        means={name: mean for name, (mean, _) in noise.items()},
        sigmas={name: sigma for name, (_, sigma) in noise.items()},
        weight_error=weight_error,
    )


def _noise(layer: Spike, options: NoiseOptions) -> tuple[float, float]:
    """Mean and deviation of a layer's noise, in thresholds."""
    mean = layer.mean / layer.threshold if options.mean is None else options.mean
    sigma = layer.sigma / layer.threshold if options.sigma is None else options.sigma
    return float(round_to(mean, NOISE_STEP)), float(round_to(sigma, NOISE_STEP))


def _parameters(
    bias: Array, mean: float, sigma: float, options: NoiseOptions
) -> dict[str, NDArray]:
    """Constants of each neuron; a start of mean / leak is the mean after the first leak."""
    start = mean if options.rule == "memoryless" else mean / options.leak
    found: dict[str, NDArray] = {"bias": bias[None], "v_start": np.full_like(bias, start)[None]}
    if options.has_noise:
        found["sigma"] = np.full_like(bias, sigma)[None]
    return found
