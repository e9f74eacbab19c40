"""Convolutions as plain linear maps: two in a row as one, or any of them as a sparse matrix.

Dense layers and average pooling are convolutions too, so these few rules serve all linear layers
that share their weights between positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from ..arrays import Array, Integers
from ..networks.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    GlobalAvgPool,
    Layer,
    Pair,
    Resample2D,
    Shape,
    Sides,
)

LARGEST_KERNEL = 2**26  # weights; 0.5 GB in double precision
LARGEST_MATRIX = 2**24  # weights; 0.2 GB with their indices
ROWS_AT_ONCE = 2**22  # entries of a product that are made together


class TooLargeError(ValueError):
    """A matrix would have more weights than `LARGEST_MATRIX`."""


class Windows(NamedTuple):
    """Windows along one axis of a map: taps `dilation` apart, windows `stride` apart.

    `before` and `after` are the zeros at both ends of the map; below 0, what is cut off there.
    """

    size: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    @property
    def span(self) -> int:
        """Places from the first tap to the last."""
        return (self.size - 1) * self.dilation + 1

    def count(self, extent: int) -> int:
        """Windows in a map of `extent` places."""
        return (extent + self.before + self.after - self.span) // self.stride + 1


class Nested(NamedTuple):
    """Windows of windows as windows: tap i of the first and j of the second is one tap.

    Its number is ``i * step_first + j * step_second - lead``; numbers from `size` on, and below 0,
    see nothing but zeros and are left out.
    """

    windows: Windows
    step_first: int
    step_second: int
    lead: int


def nested(first: Windows, second: Windows, extent: int) -> Nested | None:
    """Return windows on a map of windows as windows on the map below; None where they are not.

    The zeros around the map in between are exact only if the first windows, continued to there,
    would see zeros themselves: single taps do, a padded 3x3 convolution does not. Nor may taps
    lie apart unevenly.

    Parameters
    ----------
    first, second : Windows
        On the map, and on what the first give.
    extent : int
        Places of the map.
    """
    between = first.count(extent)
    if second.before and first.span - 1 >= first.stride + first.before:
        return None
    if second.after and between * first.stride - first.before < extent:
        return None
    step_first, step_second = first.dilation, second.dilation * first.stride
    if first.size == 1:
        dilation = step_second
    elif second.size == 1:
        dilation = step_first
    else:
        dilation = math.gcd(step_first, step_second)
    step_first, step_second = max(step_first // dilation, 1), max(step_second // dilation, 1)
    # One of the two fills the gaps that the other leaves.
    is_even = (step_first == 1 and step_second <= first.size) or (
        step_second == 1 and step_first <= second.size
    )
    if min(first.size, second.size) > 1 and not is_even:
        return None
    size = (first.size - 1) * step_first + (second.size - 1) * step_second + 1
    stride = first.stride * second.stride
    before = first.before + second.before * first.stride
    count = second.count(between)
    to_last = (count - 1) * stride
    lead = min(max(-(-(before - to_last) // dilation), 0), size - 1)
    before -= lead * dilation
    size = max(min(size - lead, (extent - 1 + before) // dilation + 1), 1)
    windows = fitted(size, stride, before, dilation if size > 1 else 1, extent, count)
    return Nested(windows, step_first, step_second, lead)


def fitted(size: int, stride: int, before: int, dilation: int, extent: int, count: int) -> Windows:
    """Windows of which there are `count` in a map of `extent` places."""
    windows = Windows(size, stride, before, 0, dilation)
    missing = (count - 1) * stride + windows.span - before - extent
    is_enough = missing <= 0 and windows.count(extent) == count
    return windows if is_enough else windows._replace(after=missing)


def windows_and_weights(matrix: Array) -> tuple[Windows, Array] | None:
    """A matrix as windows with the same weights in all of them; None if it is none.

    Parameters
    ----------
    matrix : ndarray, shape (n_windows, n_places)
        Weights from each place to each window.
    """
    count, extent = matrix.shape
    used = [np.flatnonzero(row) for row in matrix]
    ends = np.array([(row[0], row[-1]) for row in used if row.size])
    strides = {1, *np.diff(ends, axis=0).ravel().tolist()} if len(ends) else set()
    if len(ends) == 1:  # the others see nothing but padding, at one stride or another
        strides |= set(range(2, extent + 1))
    for stride in sorted(n for n in strides if n > 0):
        # Place and weight of each tap in the window that starts at 0.
        place = np.arange(extent) - stride * np.arange(count)[:, None]
        taps = np.unique(place[matrix != 0])
        dilation = int(np.gcd.reduce(np.diff(taps))) if taps.size > 1 else 1
        size = int(taps[-1] - taps[0]) // dilation + 1
        weights = np.array([matrix[place == tap][0] for tap in taps])
        wanted = np.zeros_like(matrix)
        for tap, weight in zip(taps, weights, strict=True):
            wanted[place == tap] = weight
        if taps.size == size and np.array_equal(wanted, matrix):
            return fitted(size, stride, -int(taps[0]), dilation, extent, count), weights
    return None


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution without bias.

    Parameters
    ----------
    rows, columns : Windows
        Along the two axes.
    kernel : ndarray, shape (rows, columns, channels_in / groups, channels_out)
        Weights.
    groups : int
        Of the channels.
    """

    rows: Windows
    columns: Windows
    kernel: Array
    groups: int = 1

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the result on a map of shape (H, W, C)."""
        height, width, _ = shape
        return self.rows.count(height), self.columns.count(width), self.kernel.shape[3]

    @property
    def is_pointwise(self) -> bool:
        """Whether each place is treated on its own."""
        return self.rows == self.columns == Windows()

    def then(self, second: Convolution, shape: Shape) -> Convolution | None:
        """Return this on a map of `shape` and then a second convolution as one convolution.

        None if they are not one, or one with more than `LARGEST_KERNEL` weights.
        """
        rows = nested(self.rows, second.rows, shape[0])
        columns = nested(self.columns, second.columns, shape[1])
        if rows is None or columns is None:
            return None
        groups = math.gcd(self.groups, second.groups)
        if max(c.kernel.size * (c.groups // groups) for c in (self, second)) > LARGEST_KERNEL:
            return None
        below = by_group(self.kernel, self.groups, groups)
        above = by_group(second.kernel, second.groups, groups)
        last_row = (below.shape[1] - 1) * rows.step_first + 1
        last_column = (below.shape[2] - 1) * columns.step_first + 1
        full = (
            groups,
            last_row + (above.shape[1] - 1) * rows.step_second,
            last_column + (above.shape[2] - 1) * columns.step_second,
            below.shape[3],
            above.shape[4],
        )
        if math.prod(full) > LARGEST_KERNEL:
            return None
        kernel = np.zeros(full)
        for i, j in np.ndindex(above.shape[1:3]):
            top, left = i * rows.step_second, j * columns.step_second
            kernel[
                :,
                top : top + last_row : rows.step_first,
                left : left + last_column : columns.step_first,
            ] += below @ above[:, i, j][:, None, None]
        kernel = kernel[
            :,
            rows.lead : rows.lead + rows.windows.size,
            columns.lead : columns.lead + columns.windows.size,
        ]
        joined = kernel.transpose(1, 2, 3, 0, 4).reshape(*kernel.shape[1:4], -1)
        return Convolution(rows.windows, columns.windows, joined, groups)

    def matrix(self, shape: Shape) -> csr_array:
        """Sparse matrix, shape (n_inputs, n_outputs), on a map of shape (H, W, C).

        Raises
        ------
        TooLargeError
            If it would have too many weights.
        """
        height, width, n_in = shape
        above = self.output_shape(shape)
        taps = [
            (self._reached(self.rows, i, height), self._reached(self.columns, j, width), i, j)
            for i, j in np.ndindex(self.kernel.shape[:2])
        ]
        sizes = [
            y[0].size * x[0].size * int(np.count_nonzero(self.kernel[i, j])) for y, x, i, j in taps
        ]
        require_size(sum(sizes))
        source, target = (np.empty(sum(sizes), dtype=np.int32) for _ in range(2))
        weight = np.empty(sum(sizes))
        stop = 0
        for (y, x, i, j), size in zip(taps, sizes, strict=True):
            channel, made = np.nonzero(self.kernel[i, j])
            of_group = made // (above[2] // self.groups) * self.kernel.shape[2]
            start, stop = stop, stop + size
            place = (y[0][:, None] * width + x[0]).reshape(-1, 1)
            source[start:stop] = (place * n_in + of_group + channel).ravel()
            place = (y[1][:, None] * above[1] + x[1]).reshape(-1, 1)
            target[start:stop] = (place * above[2] + made).ravel()
            weight[start:stop] = np.tile(self.kernel[i, j][channel, made], len(place))
        whole = math.prod(shape), math.prod(above)
        return csr_array((weight, (source, target)), shape=whole)

    @staticmethod
    def _reached(windows: Windows, tap: int, extent: int) -> tuple[Integers, Integers]:
        """Places of the map that a tap sees, and the windows in which it does."""
        window = np.arange(windows.count(extent))
        place = window * windows.stride + tap * windows.dilation - windows.before
        is_inside = (place >= 0) & (place < extent)
        return place[is_inside], window[is_inside]


def by_group(kernel: Array, groups: int, wanted: int) -> Array:
    """Kernel of a convolution of `groups` as one of fewer, shape (wanted, kh, kw, in, out).

    What does not belong together is 0.
    """
    height, width, n_in, n_out = kernel.shape
    n_out //= groups
    inner = groups // wanted
    split = kernel.reshape(height, width, n_in, wanted, inner, n_out)
    full = np.zeros((wanted, height, width, inner, n_in, inner, n_out))
    for k in range(inner):
        full[:, :, :, k, :, k] = split[:, :, :, :, k].transpose(3, 0, 1, 2, 4)
    return full.reshape(wanted, height, width, inner * n_in, inner * n_out)


def pointwise(kernel: Array, groups: int = 1) -> Convolution:
    """1x1 convolution by a matrix, shape (channels_in / groups, channels_out)."""
    return Convolution(Windows(), Windows(), kernel[None, None], groups)


def identity(channels: int) -> Convolution:
    """The convolution that changes nothing."""
    return pointwise(np.ones((1, channels)), channels)


def resampling(layer: Resample2D, channels: int) -> Convolution | None:
    """Resampling as depthwise convolution, if every place is treated alike."""
    rows, columns = windows_and_weights(layer.rows), windows_and_weights(layer.columns)
    if rows is None or columns is None:
        return None
    kernel = np.multiply.outer(rows[1], columns[1])[..., None, None]
    return Convolution(rows[0], columns[0], np.repeat(kernel, channels, axis=3), channels)


def convolution_of(layer: Layer, shape: Shape) -> tuple[Convolution, float]:
    """A linear layer on a map of shape (H, W, C) as convolution, and what divides its result.

    Of a dense layer on a flattened map, the shape before the flattening. The divisor is that of
    pooling; its kernel is all ones.

    Raises
    ------
    TypeError
        If it is none.
    """
    if isinstance(layer, Dense):
        kernel = layer.kernel.reshape(*shape, -1)
        return Convolution(Windows(shape[0]), Windows(shape[1]), kernel), 1.0
    if isinstance(layer, Conv2D):
        rows, columns = windows_of(layer.size, layer.stride, layer.padding, layer.dilation)
        return Convolution(rows, columns, layer.kernel, layer.groups), 1.0
    if isinstance(layer, GlobalAvgPool):
        rows, columns = windows_of(shape[:2], shape[:2], (0, 0, 0, 0), (1, 1))
    elif isinstance(layer, AvgPool2D):
        rows, columns = windows_of(layer.size, layer.stride, layer.padding, (1, 1))
    else:
        raise TypeError(f"{layer.label} is no convolution")
    ones = np.ones((rows.size, columns.size, 1, shape[2]))
    return Convolution(rows, columns, ones, shape[2]), float(rows.size * columns.size)


def windows_of(size: Pair, stride: Pair, padding: Sides, dilation: Pair) -> tuple[Windows, Windows]:
    """Rows and columns; single taps have no dilation."""
    rows, columns = (
        Windows(
            size[i],
            stride[i],
            padding[2 * i],
            padding[2 * i + 1],
            dilation[i] if size[i] > 1 else 1,
        )
        for i in (0, 1)
    )
    return rows, columns


def require_size(n_weights: int) -> None:
    """Refuse a matrix of more weights than `LARGEST_MATRIX`."""
    if n_weights > LARGEST_MATRIX:
        raise TooLargeError(f"more than {LARGEST_MATRIX} weights")


def product(first: csr_array, second: csr_array) -> csr_array:
    """Matrix product whose size is checked while it grows.

    Raises
    ------
    TooLargeError
        If it has too many weights.
    """
    step = max(ROWS_AT_ONCE // second.shape[1], 1)
    parts = []
    n_weights = 0
    for start in range(0, first.shape[0], step):
        part = first[start : start + step] @ second
        n_weights += part.nnz
        require_size(n_weights)
        parts.append(part)
    return stacked(parts)


def stacked(parts: list[csr_array]) -> csr_array:
    """Matrices one below the other."""
    ends = np.cumsum([0, *(part.nnz for part in parts)])
    starts = [part.indptr[:-1] + end for part, end in zip(parts, ends, strict=False)]
    shape = sum(part.shape[0] for part in parts), parts[0].shape[1]
    return csr_array(
        (
            np.concatenate([part.data for part in parts]),
            np.concatenate([part.indices for part in parts]),
            np.concatenate([*starts, ends[-1:]]),
        ),
        shape=shape,
    )
