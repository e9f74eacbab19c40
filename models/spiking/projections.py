"""How a spike reaches other neurons: shared kernels and pooling windows, as plain data.

The usual connection with weights is the **pooled convolution**: an optional average-pooling window
(its divisor is already inside the kernel) followed by a convolution. A dense layer is the special
case whose kernel covers the whole map; global average pooling is a window as large as the map;
an identity shortcut is a 1x1 depthwise kernel. So one shared kernel serves a layer, and nothing is
unrolled. What has no common kernel, such as two padded convolutions in a row, is a
:class:`SparseProjection`: one weight for each pair of units that it connects. Beside them, a
:class:`WindowProjection` brings each unit of a pooling window to a variable of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..arrays import Array
from ..dyadic import power_of_two_at_least, round_to
from ..networks.layers import Pair, Shape, Sides, window_count, window_span, windows
from ..networks.products import convolution


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
    delays : ndarray of int, shape (n_positions of the source,) or (n_positions, n_source_units)
        Axonal delay of each position in steps, or of each neuron.
    source_shape, target_shape : (int, int, int)
        The maps as this kernel sees them.
    pool, pool_stride : (int, int)
        Window summed before the convolution, (1, 1) and (1, 1) for none.
    pool_padding : (int, int, int, int)
        Zeros around the source for the windows: top, bottom, left, right; below 0, what is cut off
        from the map.
    stride, dilation : (int, int)
        Of the convolution.
    padding : (int, int, int, int)
        Of the convolution, like that of the windows.
    groups : int
        Of the convolution.
    channel : int
        Channel of the target that the kernel's first output goes to; where a target takes several
        maps one after the other, each projection leads to channels of its own.
    is_binary : bool
        Whether the weights are +1 and -1 only, of which a run keeps one bit each.
    afferent : int
        Which of the target's afferent variables the spikes are added to.
    """

    source: str
    target: str
    kernel: Array
    gains: Array
    delays: NDArray[np.int64]
    source_shape: Shape
    target_shape: Shape
    pool: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    pool_padding: Sides = (0, 0, 0, 0)
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    channel: int = 0
    is_binary: bool = False
    afferent: int = 0

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.kernel.shape))
        return f"Projection({self.name}: {shape} {'signs' if self.is_binary else 'weights'})"

    @property
    def name(self) -> str:
        """Source and target in one string."""
        return f"{self.source}->{self.target}"

    @property
    def weights(self) -> Array:
        """Stored weights: the kernel."""
        return self.kernel

    def with_weights(self, weights: Array) -> Projection:
        """The same connections with other weights of the same shape."""
        return replace(self, kernel=weights)

    def scaled(self, gain: Array) -> Projection:
        """With weights times a factor of each channel of the source, shape (channels,) or (1,)."""
        n_in, n_out = self.kernel.shape[2:]
        by_group = np.broadcast_to(gain, (self.source_shape[2],)).reshape(self.groups, n_in)
        return self.with_weights(self.kernel * np.repeat(by_group, n_out // self.groups, axis=0).T)

    def times(self, gain: Array) -> Projection:
        """With weights times a factor of each channel of the target, as of `scaled`."""
        own = np.broadcast_to(gain, (self.target_shape[2],))[self.channel :]
        return self.with_weights(self.kernel * own[: self.kernel.shape[3]])

    def divided(self, scale: Array) -> Projection:
        """With weights divided by the scale of each channel of the target, as of `scaled`."""
        own = np.broadcast_to(scale, (self.target_shape[2],))[self.channel :]
        return self.with_weights(self.kernel / own[: self.kernel.shape[3]])

    @property
    def pooled_shape(self) -> Shape:
        """Shape of the source map after pooling."""
        height, width, channels = self.source_shape
        count = window_count((height, width), self.pool, self.pool_stride, self.pool_padding)
        return *count, channels

    @property
    def output_shape(self) -> Shape:
        """Shape of the map that the kernel gives: its own channels of the target."""
        size = self.kernel.shape[0], self.kernel.shape[1]
        span = window_span(size, self.dilation)
        count = window_count(self.pooled_shape[:2], span, self.stride, self.padding)
        return *count, self.kernel.shape[3]

    def forward(self, values: Array) -> Array:
        """Weighted sum that each target unit receives.

        Parameters
        ----------
        values : ndarray, shape (n, n_source_units) or (n, height, width, channels)
            One value for each unit of the source.

        Returns
        -------
        ndarray, shape (n, n_target_units)
            In network units.
        """
        values = _padded(values.reshape(len(values), *self.source_shape), self.pool_padding)
        pooled = windows(values, self.pool, self.pool_stride, (0, 0, 0, 0), 0.0)
        views = windows(
            _padded(pooled.sum(axis=(4, 5)), self.padding),
            (self.kernel.shape[0], self.kernel.shape[1]),
            self.stride,
            (0, 0, 0, 0),
            0.0,
            self.dilation,
        )
        found = convolution(views, self.kernel, self.groups)
        if found.shape[3] == self.target_shape[2]:
            return found.reshape(len(values), -1)
        total = np.zeros((*found.shape[:3], self.target_shape[2]))
        total[..., self.channel : self.channel + found.shape[3]] = found
        return total.reshape(len(values), -1)

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Target units reached by each source unit, shape (n_source_units,).

        Counted from the geometry: the number of (output, tap) pairs that use the unit. Zero
        weights inside a kernel count, and a unit in two overlapping pooling windows counts twice.
        """
        rows = _reach(self, 0)
        columns = _reach(self, 1)
        per_group = self.kernel.shape[3] // self.groups
        counts = rows[:, None, None] * columns[None, :, None] * per_group
        return np.broadcast_to(counts, self.source_shape).reshape(-1).astype(np.int64)


def _padded(maps: Array, padding: Sides) -> Array:
    """Maps, shape (n, height, width, channels), with zeros around, or less where it is below 0."""
    if not any(padding):
        return maps
    around = [max(side, 0) for side in padding]
    maps = np.pad(maps, ((0, 0), (around[0], around[1]), (around[2], around[3]), (0, 0)))
    top, bottom, left, right = (max(-side, 0) for side in padding)
    return maps[:, top : maps.shape[1] - bottom, left : maps.shape[2] - right]


def _reach(p: Projection, axis: int) -> NDArray[np.int64]:
    """Pairs of (pooled position, tap) along one axis that start at each source position."""

    def taps(n_pooled: int) -> NDArray[np.int64]:
        starts = np.arange(p.output_shape[axis]) * p.stride[axis] - p.padding[2 * axis]
        used = starts[:, None] + np.arange(p.kernel.shape[axis]) * p.dilation[axis]
        return np.bincount(used[(used >= 0) & (used < n_pooled)], minlength=n_pooled)

    return _held(p.source_shape[axis], p.pooled_shape[axis], p, axis, taps)


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
        reach[max(start, 0) : max(min(start + projection.pool[axis], size), 0)] += int(weight)
    return reach


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SparseProjection:
    """Weights of their own from units of one population to units of another, or of the read-out.

    For linear layers in a row that have no common kernel.

    Parameters
    ----------
    source, target : str
        Population names; the read-out's name is ``READOUT``.
    matrix : scipy.sparse.csr_array, shape (n_source_units, n_target_units)
        Weights in network units for a spike of gain 1; every stored entry is a synapse.
    gains : ndarray, shape (n_positions of the source,)
        Factor of each position, dimensionless.
    delays : ndarray of int, shape (n_positions of the source,) or (n_positions, n_source_units)
        Axonal delay of each position in steps, or of each neuron.
    source_shape, target_shape : (int, int, int)
        Maps at both ends.
    afferent : int
        As of :class:`Projection`.
    """

    source: str
    target: str
    matrix: csr_array
    gains: Array
    delays: NDArray[np.int64]
    source_shape: Shape
    target_shape: Shape
    afferent: int = 0

    def __post_init__(self) -> None:
        """Refuse a matrix that does not fit the maps."""
        wanted = int(np.prod(self.source_shape)), int(np.prod(self.target_shape))
        if self.matrix.shape != wanted:
            raise ValueError(
                f"projection {self.name}: a matrix of shape {self.matrix.shape} for maps of "
                f"{wanted[0]} and {wanted[1]} units"
            )

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.matrix.shape))
        return f"SparseProjection({self.name}: {self.matrix.nnz:,} weights of {shape})"

    @property
    def name(self) -> str:
        """Source and target in one string."""
        return f"{self.source}->{self.target}"

    @property
    def weights(self) -> Array:
        """Stored weights, shape (n_synapses,)."""
        return np.asarray(self.matrix.data)

    def with_weights(self, weights: Array) -> SparseProjection:
        """The same connections with other weights of the same shape."""
        structure = self.matrix.indices, self.matrix.indptr
        return replace(self, matrix=csr_array((weights, *structure), shape=self.matrix.shape))

    def scaled(self, gain: Array) -> SparseProjection:
        """With weights times a factor of each channel of the source, shape (channels,) or (1,)."""
        by_unit = np.tile(gain, self.matrix.shape[0] // gain.size)
        return self.with_weights(self.weights * np.repeat(by_unit, self.fan_out))

    def times(self, gain: Array) -> SparseProjection:
        """With weights times a factor of each channel of the target, as of `scaled`."""
        by_unit = np.tile(gain, self.matrix.shape[1] // gain.size)
        return self.with_weights(self.weights * by_unit[self.matrix.indices])

    def divided(self, scale: Array) -> SparseProjection:
        """With weights divided by the scale of each channel of the target, as of `scaled`."""
        by_unit = np.tile(scale, self.matrix.shape[1] // scale.size)
        return self.with_weights(self.weights / by_unit[self.matrix.indices])

    def forward(self, values: Array) -> Array:
        """Weighted sum that each target unit receives; as of :class:`Projection`."""
        return np.asarray(values.reshape(len(values), -1) @ self.matrix)

    @property
    def fan_out(self) -> NDArray[np.int64]:
        """Target units reached by each source unit, shape (n_source_units,)."""
        return np.diff(self.matrix.indptr).astype(np.int64)


WeightedProjection = Projection | SparseProjection


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class WindowProjection:
    """Units of each pooling window to variables of their own, one for each place in the window.

    Parameters
    ----------
    source, target : str
        Population names; the target has one unit for each window and channel.
    delays : ndarray of int, shape (1,) or (1, n_source_units)
        Axonal delay in steps.
    source_shape, target_shape : (int, int, int)
        Maps at both ends.
    pool, pool_stride : (int, int)
        The windows; they may overlap.
    pool_padding : (int, int, int, int)
        Top, bottom, left, right; it never spikes.
    weight : float
        What one spike adds, in network units.
    """

    source: str
    target: str
    delays: NDArray[np.int64]
    source_shape: Shape
    target_shape: Shape
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


def largest_sum(incoming: Sequence[WeightedProjection]) -> float:
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
                total = total + p.with_weights(np.maximum(part * p.weights, 0.0)).forward(ones)
        bounds.append(float(np.max(total)))
    return max(bounds)


def round_kernels(
    incoming: Sequence[WeightedProjection], weight_bits: int
) -> tuple[list[WeightedProjection], float, float]:
    """Put the kernels of all projections to one target on one dyadic grid.

    Parameters
    ----------
    incoming : sequence of Projection and SparseProjection
        With real weights.
    weight_bits : int
        Bits of a weight, sign included, of the projection with the smallest weights.

    Returns
    -------
    projections : list of Projection and SparseProjection
        With rounded weights.
    step : float
        Of the grid, in network units.
    error : float
        Largest relative root-mean-square rounding error of a kernel.
    """
    largest = [float(np.abs(p.weights).max(initial=0.0)) for p in incoming]
    smallest = min((x for x in largest if x > 0), default=1.0)
    step = power_of_two_at_least(smallest) / 2 ** (weight_bits - 1)
    rounded = [p.with_weights(round_to(p.weights, step)) for p in incoming]
    errors = [
        np.sqrt(np.mean((new.weights - old.weights) ** 2) / np.mean(old.weights**2))
        for new, old in zip(rounded, incoming, strict=True)
        if old.weights.any()
    ]
    return rounded, step, float(max(errors, default=0.0))
