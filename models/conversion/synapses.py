"""What the units of a layer receive through weights, on a dyadic grid; for all schemes of steps.

In these schemes (bursts, noisy neurons) time goes in algorithmic steps: in each, a unit receives
the weighted spikes of one step of its sources and a constant bias. The image is a constant input
current, the same in every step, which is part of the bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dyadic import round_to
from ..networks.layers import INPUT, Layer, MaxPool2D
from ..networks.network import Network
from ..schemes.burst.neurons import pooling_neuron
from ..spiking.network import READOUT, NeuronType, Population, Stimulus
from ..spiking.projections import Projection, WindowProjection, round_kernels
from .linear_paths import bias_map, linear_paths

Array = NDArray[np.float64]
Delays = Callable[[str, str], NDArray[np.int64]]  # source and target to delays in steps

PIXEL_BITS = 24  # of the weights from the image; their sums are rounded to the layer's grid


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted:
    """Everything that a layer receives through weights.

    Parameters
    ----------
    projections : list of Projection
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
    """

    projections: list[Projection]
    stimuli: list[Stimulus]
    bias: Array
    largest_input: float
    step: float
    error: float


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

    Raises
    ------
    ValueError
        If the image reaches the read-out without spikes.
    """
    projections: list[Projection] = []
    from_image: list[Projection] = []
    for path in linear_paths(network, node, spiking):
        gain = network.input.gain if path.source == INPUT else gains[path.source]
        projection = Projection(
            source=path.source,
            target=target,
            kernel=path.scaled(gain) / by_output(scale, path.kernel.shape[3]),
            gains=np.ones(1),
            delays=delays(path.source, target),
            **path.geometry(),
        )
        (from_image if path.source == INPUT else projections).append(projection)
    if from_image and target == READOUT:
        raise ValueError(
            f"network {network.name!r}: a path leads from the input to the output without an "
            "activation; the read-out takes spikes only"
        )
    resting: dict[str, Array | float] = {
        layer.name: 0.0 for layer in network.layers if isinstance(layer, spiking)
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
    from_image: list[Projection],
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
    from_image : list of Projection
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
    largest = sum(p.forward(ones, np.abs(p.kernel)).max() for p in fine) + np.abs(bias).max()
    return stimulus, float(largest)


def by_output(scale: Array, n_out: int) -> Array:
    """Scale of each output of a kernel: channels of a convolution, or the units of a dense map."""
    return np.tile(scale, n_out // scale.size)


def pooling_windows(network: Network, layer: MaxPool2D, delays: Delays) -> WindowProjection:
    """Every unit of a pooling window to a variable of its own."""
    source = layer.inputs[0]
    return WindowProjection(
        source=source,
        target=layer.name,
        delays=delays(source, layer.name),
        source_shape=network.shapes[source],
        target_shape=network.shapes[layer.name],
        pool=layer.size,
        pool_stride=layer.stride,
        pool_padding=layer.padding,
    )


def direct_delays(first: Mapping[str, int]) -> Delays:
    """Delays of networks whose neurons decide at once: spikes arrive when their target is due.

    Parameters
    ----------
    first : mapping of str to int
        Phase in which an image reaches each spiking layer, and the read-out.
    """

    def delays(source: str, target: str) -> NDArray[np.int64]:
        between = first[target] - first[source] - (0 if target == READOUT else 1)
        return np.array([between])

    return delays


def or_pooling(
    network: Network, layer: MaxPool2D, first: Mapping[str, int]
) -> tuple[NeuronType, Population, WindowProjection]:
    """Max pooling of single spikes, a logical OR: neurons that pass on what any of a window sent.

    Parameters
    ----------
    network : Network
        That has the layer.
    layer : MaxPool2D
        What becomes neurons.
    first : mapping of str to int
        As in :func:`direct_delays`.
    """
    kind = pooling_neuron("or", layer.size, "double-buffer", 1)
    shape = network.shapes[layer.name]
    population = Population(
        name=layer.name,
        neurons=kind.name,
        shape=shape,
        onset=first[layer.name],
        parameters={"limit": np.ones((1, *shape), dtype=np.int64)},
    )
    return kind, population, pooling_windows(network, layer, direct_delays(first))


def onsets(network: Network, spiking: tuple[type[Layer], ...]) -> dict[str, int]:
    """Phase in which an image reaches each spiking layer: one after the last of its sources."""
    found: dict[str, int] = {INPUT: -1}
    for layer in network.layers:
        if isinstance(layer, spiking):
            found[layer.name] = 1 + last_onset(network, layer.inputs[0], spiking, found)
    return found


def last_onset(
    network: Network, node: str, spiking: tuple[type[Layer], ...], found: Mapping[str, int]
) -> int:
    """Latest onset of the sources of the value of `node`."""
    return max(found[path.source] for path in linear_paths(network, node, spiking))


def require_spiking(
    network: Network, spiking: tuple[type[Layer], ...], meant: tuple[type[Layer], ...]
) -> None:
    """Refuse, by name, max pooling of what does not spike, and networks without neurons.

    Parameters
    ----------
    network : Network
        To be converted.
    spiking : tuple of type
        Layers whose units become neurons, max pooling included.
    meant : tuple of type
        Those of them that have weights before them.
    """
    for layer in network.layers:
        if isinstance(layer, MaxPool2D):
            source = layer.inputs[0]
            if source == INPUT or not isinstance(network.layer(source), spiking):
                raise ValueError(
                    f"network {network.name!r}: {layer.label} pools {source!r}, which does not "
                    "spike; put the activation before the pooling, which computes the same"
                )
    if not any(isinstance(layer, meant) for layer in network.layers):
        raise ValueError(
            f"network {network.name!r} has no activation, so there is nothing to make neurons of"
        )
    if isinstance(network.layers[-1], spiking):
        raise ValueError(
            f"network {network.name!r}: the last layer, {network.layers[-1].label}, spikes; the "
            "scores need a linear layer after it"
        )
