"""What the units of a layer receive through weights, on a dyadic grid; for all schemes of steps.

In these schemes time goes in algorithmic steps: in each, a unit receives the weighted spikes of one
step of its sources and a constant bias. The image is a constant input
current, the same in every step, which is part of the bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array
from ..dyadic import round_to
from ..networks.layers import INPUT, Layer
from ..networks.network import Network
from ..spiking.inputs import Stimulus
from ..spiking.network import READOUT
from ..spiking.projections import WeightedProjection, round_kernels
from .convolutions import TooLargeError
from .linear_paths import bias_map, linear_paths, unrolled
from .timing import Delays

PIXEL_BITS = 24  # of the weights from the image; their sums are rounded to the layer's grid


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted:
    """Everything that a layer receives through weights.

    Parameters
    ----------
    projections : list of Projection and SparseProjection
        From spiking layers.
    stimuli : list of Stimulus
        From the image: it sets the variable ``bias``, the constant part included.
    bias : ndarray, shape (height, width, channels)
        Constant in every step, 0 where the stimulus has it.
    largest_input : float
        Bound of bias and stimulus, in network units.
    step : float
        Of the grid.
    error : float
        Largest relative root-mean-square rounding error of a kernel.
    gain : float or ndarray
        Factor of what spikes bring, by which the neurons of the target multiply.
    """

    projections: list[WeightedProjection]
    stimuli: list[Stimulus]
    bias: Array
    largest_input: float
    step: float
    error: float
    gain: Array | float = 1.0


def weighted(
    network: Network,
    node: str,
    target: str,
    *,
    spiking: tuple[type[Layer], ...],
    gains: Mapping[str, Array],
    scale: Array,
    delays: Delays,
    weight_bits: int,
    constants: Mapping[str, Array] | None = None,
) -> Weighted:
    """Weights and biases of the value of `node`.

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    node : str
        Layer whose value the units receive.
    target : str
        Population, or the read-out.
    spiking : tuple of type
        Layers whose units are neurons.
    gains : mapping of str to ndarray, shape (channels,)
        By population: the value that one spike stands for.
    scale : ndarray, shape (channels,) or (1,)
        Value that is one network unit of the target.
    delays : callable
        Axonal delays from a source to a target.
    weight_bits : int
        Bits of a weight, sign included.
    constants : mapping of str to ndarray, shape (channels,), optional
        By population: what is added to the value that its spikes stand for; 0 by default.

    Raises
    ------
    ValueError
        If the image reaches the read-out without spikes, or see
        :func:`models.conversion.linear_paths.linear_paths`.
    """
    projections: list[WeightedProjection] = []
    from_image: list[WeightedProjection] = []
    for path in linear_paths(network, node, spiking):
        gain = network.input.gain if path.source == INPUT else gains[path.source]
        path = _divided(network, path.scaled(gain), scale)
        path = replace(path, target=target, delays=delays(path.source, target))
        (from_image if path.source == INPUT else projections).append(path)
    if from_image and target == READOUT:
        raise ValueError(
            f"network {network.name!r}: a path leads from the input to the output without an "
            "activation; the read-out takes spikes only"
        )
    resting: dict[str, Array | float] = {
        layer.name: (constants or {}).get(layer.name, 0.0)
        for layer in network.layers
        if isinstance(layer, spiking)
    }
    resting[INPUT] = network.input.offset
    bias = bias_map(network, node, resting) / scale
    rounded, step, error = round_kernels(projections or from_image, weight_bits)
    step = min(step, 2.0**-10)
    if not from_image:
        bias = round_to(bias, step)
        return Weighted(
            projections=rounded,
            stimuli=[],
            bias=bias,
            largest_input=float(np.abs(bias).max()),
            step=step,
            error=error,
        )
    stimulus, largest = image_current(network, target, from_image, bias, PIXEL_BITS, step)
    return Weighted(
        projections=rounded if projections else [],
        stimuli=[stimulus],
        bias=np.zeros_like(bias),
        largest_input=largest,
        step=step,
        error=error if projections else 0.0,
    )


def image_current(
    network: Network,
    target: str,
    from_image: list[WeightedProjection],
    bias: Array,
    bits: int,
    step: float | None = None,
) -> tuple[Stimulus, float]:
    """The constant current that an image is to a layer.

    Parameters
    ----------
    network : Network
        Says what pixels there are.
    target : str
        Population; the current is its variable ``bias``.
    from_image : list of Projection and SparseProjection
        From the pixels.
    bias : ndarray, shape (height, width, channels)
        Added to their sum.
    bits : int
        Of a weight from the image, sign included.
    step : float, optional
        Grid of the current; by default that of the weights.

    Returns
    -------
    Stimulus, float
        And a bound of the current, in network units.
    """
    fine, fine_step, _ = round_kernels(from_image, bits)
    stimulus = Stimulus(
        target=target,
        variable="bias",
        projections=tuple(fine),
        bias=round_to(bias, fine_step),
        step=fine_step if step is None else step,
    )
    ones = np.full((1, *network.input.shape), network.input.maximum)
    largest = sum(p.with_weights(np.abs(p.weights)).forward(ones).max() for p in fine)
    largest += np.abs(bias).max()
    return stimulus, float(largest)


def _divided(network: Network, path: WeightedProjection, scale: Array) -> WeightedProjection:
    """Weights in network units of the target; of a flattened map, each unit has a scale."""
    if scale.size in (1, path.target_shape[2]):
        return path.divided(scale)
    try:
        return unrolled(path).divided(scale)
    except TooLargeError:
        raise ValueError(
            f"network {network.name!r}: the map that is flattened into {path.target!r} has too "
            "many units for weights of their own; put the activation before the Flatten, which "
            "computes the same"
        ) from None
