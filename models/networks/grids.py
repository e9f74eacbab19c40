"""Trained networks on dyadic grids, so that all of their sums are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import Array
from ..dyadic import power_of_two_at_least, round_to
from .layers import BatchNorm, BinaryConv2D, Conv2D, Dense, Layer, Spike
from .network import Network

NOISE_STEP = 2.0**-16  # grid of means and deviations of the noise, in thresholds
GAIN_BITS = 15  # of scales and of the gains of batch normalisation, relative to the largest
OFFSET_STEP = 2.0**-16  # grid of the offsets of batch normalisation
KERNEL_BITS = 15  # of the kernels of the networks that are shipped, relative to the largest weight


def on_grid(network: Network, weight_bits: int = 16) -> Network:
    """The same network with all of its numbers on dyadic grids, so that its sums are exact.

    Parameters
    ----------
    network : Network
        As trained.
    weight_bits : int
        Bits of a real weight, sign included.

    Returns
    -------
    Network
        Real kernels are multiples of a power of two, one a layer; scales and the factors of batch
        normalisation of a coarser one; batch normalisation has mean 0 and variance 1.
        A network that is on these grids is returned with equal numbers.
    """
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Conv2D | Dense):
            layer = replace(
                layer,
                kernel=rounded(layer.kernel, weight_bits - 1),
                bias=round_to(layer.bias, OFFSET_STEP),
            )
        elif isinstance(layer, BinaryConv2D):
            layer = replace(layer, scale=rounded(layer.scale, GAIN_BITS))
        elif isinstance(layer, BatchNorm):
            n = layer.gamma.size
            layer = replace(
                layer,
                gamma=rounded(layer.scale, GAIN_BITS),
                beta=round_to(layer.beta - layer.mean * layer.scale, OFFSET_STEP),
                mean=np.zeros(n),
                variance=np.ones(n),
                epsilon=0.0,
            )
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def rounded(values: Array, bits: int) -> Array:
    """Multiples of a power of two, `bits` bits below the one that holds the largest."""
    largest = float(np.abs(values).max())
    return round_to(values, power_of_two_at_least(largest) / 2**bits) if largest else values


def to_dyadic(network: Network) -> Network:
    """Return the network without batch normalisation and with kernels and biases on a grid.

    Parameters
    ----------
    network : Network
        As trained.

    Returns
    -------
    Network
        In each layer, kernel and bias are multiples of one power of two, `KERNEL_BITS` bits below
        the one that holds the largest weight; so are mean and deviation of noise.
    """
    layers: list[Layer] = []
    for layer in network.fold_batch_norm().layers:
        if isinstance(layer, Conv2D | Dense):
            step = power_of_two_at_least(np.abs(layer.kernel).max()) / 2**KERNEL_BITS
            layer = replace(
                layer, kernel=round_to(layer.kernel, step), bias=round_to(layer.bias, step)
            )
        elif isinstance(layer, Spike):
            layer = replace(
                layer,
                mean=float(round_to(layer.mean, NOISE_STEP)),
                sigma=float(round_to(layer.sigma, NOISE_STEP)),
            )
        layers.append(layer)
    return replace(network, layers=tuple(layers))
