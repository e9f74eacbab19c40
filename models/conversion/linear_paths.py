"""The linear paths between the activations of a trained network, as shared kernels.

Between one layer of spiking units and the next, a trained network applies linear layers only:
convolution, dense, average pooling, flattening and addition. Each path through them becomes one
:class:`~models.spiking.projections.Projection` geometry, and all constants along the way one bias
per unit.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..networks.layers import (
    INPUT,
    Activation,
    Add,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Pair,
    Shape,
    Sides,
)
from ..networks.network import Network

LARGEST_MERGED_KERNEL = 2**26  # weights; 0.5 GB in double precision


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearPath:
    """A pooled convolution equal to the linear layers from one activation to another.

    Parameters
    ----------
    source : str
        Activation, or ``"input"``, where the path starts.
    kernel : ndarray, shape (kernel_h, kernel_w, channels_in / groups, channels_out)
        Weights, the divisor of the pooling window included.
    source_shape, target_shape : (int, int, int)
        Maps at both ends.
    pool, pool_stride, pool_padding, stride, padding : tuple of int
        As in :class:`~models.spiking.projections.Projection`.
    groups : int
        Of the convolution.
    """

    source: str
    kernel: Array
    source_shape: Shape
    target_shape: Shape
    pool: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    pool_padding: Sides = (0, 0, 0, 0)
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    groups: int = 1

    def geometry(self) -> dict[str, Any]:
        """Everything but source and kernel, as arguments of a Projection."""
        names = ("source_shape", "target_shape", "pool", "pool_stride", "pool_padding")
        return {name: getattr(self, name) for name in (*names, "stride", "padding", "groups")}

    def scaled(self, gain: Array) -> Array:
        """Kernel whose input channels are multiplied by `gain`, shape (channels,)."""
        per_group = self.kernel.shape[2]
        n_out = self.kernel.shape[3] // self.groups
        by_group = gain.reshape(self.groups, per_group)
        factors = np.repeat(by_group, n_out, axis=0).T  # (channels_in / groups, channels_out)
        return self.kernel * factors


def linear_paths(
    network: Network, node: str, ends: tuple[type[Layer], ...] = (Activation,)
) -> list[LinearPath]:
    """Paths from spiking layers (or the input) to the value of layer `node`.

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    node : str
        Name of a linear layer or of a spiking one.
    ends : tuple of type
        Kinds of layers whose units spike, so that paths start there.

    Returns
    -------
    list of LinearPath
        In the order of the layers' inputs; their sum, plus a bias, is the value of `node`.

    Raises
    ------
    ValueError
        If a layer on the way is not linear (max pooling, for instance), or if linear layers
        follow each other that cannot be merged; the message names the layer.
    """
    found = []
    pending: list[tuple[str, tuple[Layer, ...]]] = [(node, ())]
    while pending:
        name, after = pending.pop(0)
        if name == INPUT or isinstance(network.layer(name), ends):
            found.append(_merge(network, name, after, network.shapes[node]))
            continue
        layer = network.layer(name)
        if isinstance(layer, Add):
            pending += [(source, after) for source in layer.inputs]
        elif isinstance(layer, Conv2D | Dense | AvgPool2D | GlobalAvgPool | Flatten):
            pending.append((layer.inputs[0], (layer, *after)))
        else:
            raise ValueError(
                f"network {network.name!r}: {layer.label} cannot become spiking neurons in this "
                "scheme: only dense, convolution, average pooling, flatten and addition may stand "
                "between activations. Train with other layers instead, or choose a scheme that "
                "has this one"
            )
    return found


def bias_map(network: Network, node: str, resting: dict[str, Array | float]) -> Array:
    """Value of `node` while every activation shows its resting output, shape (H, W, C).

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    node : str
        Layer whose value is asked for.
    resting : dict of str to float or ndarray
        Output of each activation, and of ``"input"``, when no neuron spikes.

    Notes
    -----
    Biases and resting outputs go through the layers themselves, so that zero padding, which a
    constant bias per channel would get wrong at the border, is accounted for.
    """
    values = {
        name: np.broadcast_to(np.asarray(value, dtype=np.float64), (1, *network.shapes[name]))
        for name, value in resting.items()
    }
    for layer in network.layers:
        if layer.name not in values:
            values[layer.name] = layer.apply(*(values[source] for source in layer.inputs))
        if layer.name == node:
            break
    return values[node][0]


def _merge(network: Network, source: str, layers: tuple[Layer, ...], target: Shape) -> LinearPath:
    """One pooled convolution for a chain of linear layers."""
    shape = network.shapes[source]
    kinds = [layer for layer in layers if not isinstance(layer, Flatten)]
    pools = [layer for layer in kinds if isinstance(layer, AvgPool2D | GlobalAvgPool)]
    weighted = [layer for layer in kinds if isinstance(layer, Conv2D | Dense)]
    if len(pools) == len(weighted) == 1 and _commute(*kinds):
        kinds = [*pools, *weighted]
    in_order = kinds == [*pools, *weighted]
    is_flat_conv = any(
        isinstance(a, Flatten) and isinstance(b, Conv2D) for a, b in itertools.pairwise(layers)
    )
    is_dilated = any(isinstance(layer, Conv2D) and layer.dilation != (1, 1) for layer in weighted)
    if len(pools) > 1 or len(weighted) > 1 or not in_order or is_flat_conv or is_dilated:
        return _dense_path(network, source, layers, target)

    window: dict[str, Any] = {}
    divisor = 1.0
    for pool in pools:
        if isinstance(pool, AvgPool2D):
            window = {
                "pool": pool.size,
                "pool_stride": pool.stride,
                "pool_padding": pool.padding,
            }
        else:
            window = {"pool": shape[:2], "pool_stride": shape[:2]}
        divisor = float(np.prod(window["pool"]))
    pooled = pools[-1].output_shape(shape) if pools else shape
    if not weighted:
        identity = np.full((1, 1, 1, shape[2]), 1.0 / divisor)
        return LinearPath(
            source=source,
            kernel=identity,
            source_shape=shape,
            target_shape=target,
            groups=shape[2],
            **window,
        )
    layer = weighted[0]
    if isinstance(layer, Dense):
        return LinearPath(
            source=source,
            kernel=layer.kernel.reshape(*pooled, -1) / divisor,
            source_shape=shape,
            target_shape=target,
            **window,
        )
    assert isinstance(layer, Conv2D)
    return LinearPath(
        source=source,
        kernel=layer.kernel / divisor,
        source_shape=shape,
        target_shape=target,
        stride=layer.stride,
        padding=layer.padding,
        groups=layer.groups,
        **window,
    )


def _commute(first: Layer, second: Layer) -> bool:
    """Whether a 1x1 convolution and the global mean after it may change places."""
    return (
        isinstance(first, Conv2D)
        and isinstance(second, GlobalAvgPool)
        and first.size == first.stride == (1, 1)
        and not any(first.padding)
    )


def _dense_path(
    network: Network, source: str, layers: tuple[Layer, ...], target: Shape
) -> LinearPath:
    """Several linear layers in a row as one dense kernel, by their response to unit vectors."""
    shape = network.shapes[source]
    n_source, n_target = int(np.prod(shape)), int(np.prod(target))
    if n_source * n_target > LARGEST_MERGED_KERNEL:
        names = ", ".join(layer.name for layer in layers)
        raise ValueError(
            f"network {network.name!r}: the layers {names} follow each other without an "
            f"activation; merged they need {n_source} x {n_target} weights, more than "
            f"{LARGEST_MERGED_KERNEL}. Put an activation between them"
        )

    def respond(values: Array) -> Array:
        for layer in layers:
            values = layer.apply(values)
        return values.reshape(len(values), n_target)

    at_rest = respond(np.zeros((1, *shape)))
    kernel = np.empty((n_source, n_target))
    for start in range(0, n_source, 256):
        units = np.arange(start, min(start + 256, n_source))
        kernel[units] = respond(np.eye(n_source)[units].reshape(-1, *shape)) - at_rest
    return LinearPath(
        source=source,
        kernel=kernel.reshape(*shape, n_target),
        source_shape=shape,
        target_shape=(1, 1, n_target),
    )
