"""How a spike reaches other neurons: shared kernels and pooling windows, as plain data.

The one connection with weights is the **pooled convolution**: an optional average-pooling window
(its divisor is already inside the kernel) followed by a convolution. A dense layer is the special
case whose kernel covers the whole map; global average pooling is a window as large as the map;
an identity shortcut is a 1x1 depthwise kernel. So one shared kernel serves every layer, and
nothing is unrolled. Beside it, a :class:`WindowProjection` brings each unit of a pooling window
to a variable of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..dyadic import power_of_two_at_least, round_to
from ..networks.layers import Conv2D, Pair, Sides, window_count, windows


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Projection:
    """A shared kernel from one population to another, or to the read-out.

    Parameters
    ----------
    source, target : str
        Population names; the read-out's name is ``READOUT``.
    kernel : ndarray, shape (kernel_h, kernel_w, channels_in / groups, channels_out)
        Weights in network units for a spike of gain 1.
    gains : ndarray, shape (n_positions of the source,)
        Factor of each position, dimensionless.
    delays : ndarray of int, shape (n_positions of the source,)
        Axonal delay of each position in steps.
    source_shape, target_shape : (int, int, int)
        The maps as this kernel sees them.
    pool, pool_stride : (int, int)
        Window summed before the convolution, (1, 1) and (1, 1) for none.
    stride : (int, int)
        Of the convolution.
    pool_padding, padding : (int, int, int, int)
        Of window and convolution: top, bottom, left, right.
    groups : int
        Of the convolution.
    is_binary : bool
        Whether the weights are +1 and -1 only, of which a run keeps one bit each.
    """

    source: str
    target: str
    kernel: Array
    gains: Array
    delays: NDArray[np.int64]
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    pool: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    pool_padding: Sides = (0, 0, 0, 0)
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    groups: int = 1
    is_binary: bool = False

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.kernel.shape))
        return f"Projection({self.name}: {shape} {'signs' if self.is_binary else 'weights'})"

    @property
    def name(self) -> str:
        """Source and target in one string."""
        return f"{self.source}->{self.target}"

    @property
    def pooled_shape(self) -> tuple[int, int, int]:
        """Shape of the source map after pooling."""
        height, width, channels = self.source_shape
        counts = window_count((height, width), self.pool, self.pool_stride, self.pool_padding)
        return *counts, channels

    def forward(self, values: Array, kernel: Array | None = None) -> Array:
        """Weighted sum that each target unit receives.

        Parameters
        ----------
        values : ndarray, shape (n, n_source_units) or (n, height, width, channels)
            One value for each unit of the source.
        kernel : ndarray, optional
            Other weights of the same geometry.

        Returns
        -------
        ndarray, shape (n, n_target_units)
            In network units.
        """
        values = values.reshape(len(values), *self.source_shape)
        pooled = windows(values, self.pool, self.pool_stride, self.pool_padding, 0.0)
        kernel = self.kernel if kernel is None else kernel
        layer = Conv2D(
            name="projection",
            inputs=(self.source,),
            kernel=kernel,
            bias=np.zeros(kernel.shape[3]),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )
        return layer.apply(pooled.sum(axis=(4, 5))).reshape(len(values), -1)

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Target units reached by each source unit, shape (n_source_units,).

        Counted from the geometry: the number of (output, tap) pairs that use the unit. Zero
        weights inside a kernel count, and a unit in two overlapping pooling windows counts twice.
        """
        rows = _reach(self.source_shape[0], self.pooled_shape[0], self, 0)
        columns = _reach(self.source_shape[1], self.pooled_shape[1], self, 1)
        per_group = self.kernel.shape[3] // self.groups
        counts = rows[:, None, None] * columns[None, :, None] * per_group
        return np.broadcast_to(counts, self.source_shape).reshape(-1).astype(np.int64)


def _reach(size: int, pooled: int, projection: Projection, axis: int) -> NDArray[np.int64]:
    """Pairs of (pooled position, tap) along one axis that start at each source position."""

    def taps(n_pooled: int) -> NDArray[np.int64]:
        counts = np.zeros(n_pooled, dtype=np.int64)
        before, after = projection.padding[2 * axis : 2 * axis + 2]
        size, stride = projection.kernel.shape[axis], projection.stride[axis]
        for out in range((n_pooled + before + after - size) // stride + 1):
            start = out * stride - before
            counts[max(start, 0) : min(start + size, n_pooled)] += 1
        return counts

    return _held(size, pooled, projection, axis, taps)


def _held(
    size: int,
    pooled: int,
    projection: Projection | WindowProjection,
    axis: int,
    weights: Callable[[int], NDArray],
) -> NDArray[np.int64]:
    """Sum of the weights of the windows that hold each source position along one axis."""
    reach = np.zeros(size, dtype=np.int64)
    for position, weight in enumerate(weights(pooled)):
        start = position * projection.pool_stride[axis] - projection.pool_padding[2 * axis]
        reach[max(start, 0) : min(start + projection.pool[axis], size)] += int(weight)
    return reach


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class WindowProjection:
    """Units of each pooling window to variables of their own, one for each place in the window.

    Parameters
    ----------
    source, target : str
        Population names; the target has one unit for each window and channel.
    delays : ndarray of int, shape (1,)
        Axonal delay in steps.
    source_shape, target_shape : (int, int, int)
        Maps at both ends.
    pool, pool_stride : (int, int)
        The windows; they may overlap.
    pool_padding : (int, int, int, int)
        Top, bottom, left, right. Padding never spikes.
    weight : float
        What one spike adds, in network units.
    """

    source: str
    target: str
    delays: NDArray[np.int64]
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    pool: Pair
    pool_stride: Pair
    pool_padding: Sides = (0, 0, 0, 0)
    weight: float = 1.0

    def __repr__(self) -> str:
        return f"WindowProjection({self.name}: windows of {self.pool[0]}x{self.pool[1]})"

    @property
    def name(self) -> str:
        """Source and target in one string."""
        return f"{self.source}->{self.target}"

    @property
    def gains(self) -> Array:
        """Factor of the one neuron of each unit, shape (1,)."""
        return np.ones(1)

    @property
    def n_places(self) -> int:
        """Places in a window."""
        return int(np.prod(self.pool))

    def by_place(self, values: Array) -> Array:
        """Values of each window's units.

        Parameters
        ----------
        values : ndarray, shape (n, n_source_units)
            One value for each unit of the source.

        Returns
        -------
        ndarray, shape (n, n_target_units, n_places)
            Places row by row; 0 for padding.
        """
        values = values.reshape(len(values), *self.source_shape)
        found = windows(values, self.pool, self.pool_stride, self.pool_padding, 0.0)
        return found.reshape(len(values), -1, self.n_places)

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Windows that hold each source unit, shape (n_source_units,)."""
        counts = [
            _held(self.source_shape[i], self.target_shape[i], self, i, np.ones) for i in (0, 1)
        ]
        reach = counts[0][:, None, None] * counts[1][None, :, None]
        return np.broadcast_to(reach, self.source_shape).reshape(-1).astype(np.int64)


def largest_sum(incoming: Sequence[Projection]) -> float:
    """Largest size, in network units, of any partial sum of projections to one target.

    All positive contributions may arrive before all negative ones or after, so the two are
    bounded separately.
    """
    bounds = []
    for sign in (1.0, -1.0):
        total: Array | float = 0.0
        for p in incoming:
            for part in (sign, -sign):
                gain = np.maximum(part * sign * p.gains, 0.0).sum()
                ones = np.full((1, int(np.prod(p.source_shape))), gain)
                total = total + p.forward(ones, np.maximum(part * p.kernel, 0.0))
        bounds.append(float(np.max(total)))
    return max(bounds)


def round_kernels(
    incoming: Sequence[Projection], weight_bits: int
) -> tuple[list[Projection], float, float]:
    """Put the kernels of all projections to one target on one dyadic grid.

    Parameters
    ----------
    incoming : sequence of Projection
        With real weights.
    weight_bits : int
        Bits of a weight, sign included, of the projection with the smallest weights.

    Returns
    -------
    projections : list of Projection
        With rounded kernels.
    step : float
        Of the grid, in network units.
    error : float
        Largest relative root-mean-square rounding error of a kernel.
    """
    largest = [float(np.abs(projection.kernel).max()) for projection in incoming]
    smallest = min((x for x in largest if x > 0), default=1.0)
    step = power_of_two_at_least(smallest) / 2 ** (weight_bits - 1)
    rounded = [replace(p, kernel=round_to(p.kernel, step)) for p in incoming]
    errors = [
        np.sqrt(np.mean((new.kernel - old.kernel) ** 2) / np.mean(old.kernel**2))
        for new, old in zip(rounded, incoming, strict=True)
        if old.kernel.any()
    ]
    return rounded, step, float(max(errors, default=0.0))
