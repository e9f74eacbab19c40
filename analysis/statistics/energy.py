"""Energy of arithmetic, estimated from counts of operations.

A spiking network adds one weight per synaptic event; a trained network multiplies and adds. Only
this arithmetic is counted, no memory access, no communication, no static power and no state
update, so the numbers compare schemes and predict no chip.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from ann2brian.models.networks.layers import INPUT, BinaryConv2D, Conv2D, Dense, Shape
from ann2brian.models.networks.network import Network
from ann2brian.models.spiking.network import SpikingNetwork

# 32-bit floats in 45 nm CMOS. Published in the code of bic-L/burst-ann2snn and usually attributed
# to Horowitz (2014), doi:10.1109/ISSCC.2014.6757323, which was not read.
ACCUMULATE_PJ = 0.9
MULTIPLY_ACCUMULATE_PJ = 4.6


def energy_nj(*, accumulates: float = 0.0, multiply_accumulates: float = 0.0) -> float:
    """Energy of counted operations in nJ.

    Parameters
    ----------
    accumulates : float
        Synaptic events, e.g. per image: spikes times the targets each reaches, every spike of a
        burst counted singly.
    multiply_accumulates : float
        Products that are added up, from `multiply_accumulates`. For a spiking network those of
        the real-valued input current, where there is one.

    Returns
    -------
    float
        0.9 pJ for each of the first and 4.6 pJ for each of the second, in nJ.

    Raises
    ------
    ValueError
        If a count is negative.
    """
    if not (accumulates >= 0 and multiply_accumulates >= 0):
        raise ValueError(
            f"counts must not be negative, got {accumulates!r} and {multiply_accumulates!r}"
        )
    return (ACCUMULATE_PJ * accumulates + MULTIPLY_ACCUMULATE_PJ * multiply_accumulates) / 1000.0


def multiply_accumulates(network: Network) -> pd.DataFrame:
    """Products that each layer of a trained network adds up for one image.

    Parameters
    ----------
    network : Network
        Fold batch normalisation first; its products are not counted, nor those of averages.

    Returns
    -------
    DataFrame
        One row per convolution and dense layer: layer, multiply_accumulates (products with padded
        zeros included, as is usual; biases are not counted).
    """
    counts = {
        layer.name: _products(layer, network.shapes[layer.name])
        for layer in network.layers
        if isinstance(layer, Conv2D | Dense)
    }
    return pd.DataFrame({"layer": counts.keys(), "multiply_accumulates": counts.values()})


def _products(layer: Conv2D | Dense, shape: Shape) -> int:
    """Every weight is used once at each place of the output map."""
    return layer.kernel.size * shape[0] * shape[1]


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Arithmetic of one image.

    Parameters
    ----------
    multiply_accumulates : int
        Products that are added up.
    accumulates : int
        Numbers that are only added or subtracted, by binary weights.
    """

    multiply_accumulates: int = 0
    accumulates: int = 0

    @property
    def energy_nj(self) -> float:
        """See :func:`energy_nj`."""
        return energy_nj(
            accumulates=self.accumulates, multiply_accumulates=self.multiply_accumulates
        )


def trained_operations(network: Network) -> Operations:
    """Arithmetic of a trained network for one image, as a machine does it that skips no zero.

    Parameters
    ----------
    network : Network
        As trained. Layers with binary weights only add and subtract; a scale, batch normalisation,
        biases and averages are not counted.

    Returns
    -------
    Operations
        Of one step, products with padded zeros included.
    """
    binary = [
        layer.signs.size * network.shapes[layer.name][0] * network.shapes[layer.name][1]
        for layer in network.layers
        if isinstance(layer, BinaryConv2D)
    ]
    real = multiply_accumulates(network)["multiply_accumulates"]
    return Operations(multiply_accumulates=int(real.sum()), accumulates=int(sum(binary)))


def input_operations(network: Network, spiking: SpikingNetwork) -> Operations:
    """Arithmetic of the current that an image is for the first neurons, once for each image.

    Parameters
    ----------
    network : Network
        As trained.
    spiking : SpikingNetwork
        What it became.

    Returns
    -------
    Operations
        Pairs of a pixel and a neuron that it reaches; without padding. None where the image enters
        as spikes, whose events are counted instead. They are additions if all weights that the
        image meets are binary.
    """
    reached = sum(
        int(projection.fan_out.sum())
        for stimulus in spiking.stimuli
        for projection in stimulus.projections
    )
    if _meets_binary_weights_only(network):
        return Operations(accumulates=reached)
    return Operations(multiply_accumulates=reached)


def _meets_binary_weights_only(network: Network) -> bool:
    """Whether the first weights on every way from the image are binary."""
    bare = {INPUT}  # what holds the image without weights
    for layer in network.layers:
        if bare.isdisjoint(layer.inputs) or isinstance(layer, BinaryConv2D):
            continue
        if isinstance(layer, Conv2D | Dense):
            return False
        bare.add(layer.name)
    return True
