"""Projections as the weights that other programs know: plain convolutions and matrices.

A projection may pool first, have groups, dilation, and different padding on each side; of all that,
programs read some and misread some (docs/nir.md). What is written here is a convolution with a
square kernel, one group, no dilation and the same padding on both sides, or a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array
from ..conversion.linear_paths import unrolled
from ..networks.layers import Pair
from ..spiking.projections import Projection, WeightedProjection

LARGEST_MATRIX = 2**25  # weights; 0.25 GB


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution:
    """A convolution.

    Parameters
    ----------
    weight : ndarray, shape (channels_out, channels_in, rows, columns)
        As frameworks have it.
    stride, padding : (int, int)
        Of rows and columns.
    """

    weight: Array
    stride: Pair
    padding: Pair

    @property
    def is_square(self) -> bool:
        """Whether the kernel is; of others the package nir states wrong shapes, and refuses."""
        return bool(self.weight.shape[2] == self.weight.shape[3])


def as_convolution(p: WeightedProjection) -> Convolution | None:
    """A projection from map to map as a convolution; None if it has no such form."""
    if not isinstance(p, Projection) or min((*p.pool_padding, *p.padding)) < 0:
        return None
    down, along = p.pool_stride
    sides = [
        q + own * (down, down, along, along)[i]
        for i, (q, own) in enumerate(zip(p.pool_padding, p.padding, strict=True))
    ]
    kernel = _pooled(_undilated(_ungrouped(p), p.dilation), p)
    stride = (p.stride[0] * down, p.stride[1] * along)
    kernel, padding = _even(kernel, sides, p.source_shape[:2], stride)
    found = replace(
        p,
        kernel=kernel,
        pool=(1, 1),
        pool_stride=(1, 1),
        pool_padding=(0, 0, 0, 0),
        stride=stride,
        padding=(padding[0], padding[0], padding[1], padding[1]),
        dilation=(1, 1),
        groups=1,
        channel=0,
        is_binary=False,
    )
    return _checked(p, found)


def _checked(p: Projection, found: Projection) -> Convolution | None:
    """The convolution, if it computes the same: windows beyond the border may see other places."""
    if found.output_shape != p.target_shape:
        return None
    ones: Array = np.ones((1, int(np.prod(p.source_shape))))
    ramp = np.asarray(np.arange(ones.size)[None] % 97, dtype=np.float64)
    for values in (ones, ramp):
        wanted, own = p.gains[0] * p.forward(values), found.forward(values)
        if not np.allclose(own, wanted, rtol=1e-12, atol=1e-9 * max(np.abs(wanted).max(), 1e-300)):
            return None
    top, _, left, _ = found.padding
    weight = found.kernel.transpose(3, 2, 0, 1)
    return Convolution(weight=weight, stride=found.stride, padding=(top, left))


def _ungrouped(p: Projection) -> Array:
    """Kernel of one group, for all channels of the target."""
    rows, columns, n_in, n_out = p.kernel.shape
    full = np.zeros((rows, columns, n_in * p.groups, p.target_shape[2]))
    own = n_out // p.groups
    for group in range(p.groups):
        to = slice(p.channel + group * own, p.channel + (group + 1) * own)
        source = slice(group * n_in, (group + 1) * n_in)
        full[:, :, source, to] = p.kernel[..., group * own : (group + 1) * own]
    return full * p.gains[0]


def _undilated(kernel: Array, dilation: Pair) -> Array:
    rows, columns = ((size - 1) * d + 1 for size, d in zip(kernel.shape, dilation, strict=False))
    full = np.zeros((rows, columns, *kernel.shape[2:]))
    full[:: dilation[0], :: dilation[1]] = kernel
    return full


def _pooled(kernel: Array, p: Projection) -> Array:
    """Kernel that sums the windows itself."""
    (height, width), (down, along) = p.pool, p.pool_stride
    rows, columns = kernel.shape[:2]
    full = np.zeros((height + (rows - 1) * down, width + (columns - 1) * along, *kernel.shape[2:]))
    for row, column in np.ndindex(rows, columns):
        top, left = row * down, column * along
        full[top : top + height, left : left + width] += kernel[row, column]
    return full


def _even(kernel: Array, sides: Sequence[int], extent: Pair, stride: Pair) -> tuple[Array, Pair]:
    """Zeros around a kernel that make it square, and its padding the same on both sides.

    A kernel of a size that no axis forbids; where there is none, as large as each axis needs.
    """
    ways = [
        _ways(kernel.shape[i], (sides[2 * i], sides[2 * i + 1]), extent[i], stride[i])
        for i in (0, 1)
    ]
    both = sorted(ways[0].keys() & ways[1].keys())
    sizes = [both[0]] * 2 if both else [min(own) for own in ways]
    first = [own[size] for own, size in zip(ways, sizes, strict=True)]
    added = [(first[i], sizes[i] - kernel.shape[i] - first[i]) for i in (0, 1)]
    return np.pad(kernel, (*added, (0, 0), (0, 0))), (sides[0] + first[0], sides[2] + first[1])


def _ways(size: int, sides: Pair, extent: int, stride: int) -> dict[int, int]:
    """Sizes of the kernel along an axis, and how many of the zeros come first.

    Padding is then that many more on both sides, and the windows are as many as before.
    """
    before, after = sides
    last = (extent + before + after - size) // stride
    found: dict[int, int] = {}
    for first in range(size + before + after + 1):
        for larger in range(size + first, 2 * (size + before + after) + 2):
            if (extent + 2 * (before + first) - larger) // stride == last:
                found.setdefault(larger, first)
    return found


def as_matrix(p: WeightedProjection) -> Array:
    """A projection as a matrix, shape (n_target_units, n_source_units), channels last."""
    return np.asarray(unrolled(p).matrix.toarray().T * p.gains[0])


def require_size(n_target: int, n_source: int, name: str) -> None:
    """Refuse a matrix that is too large for a file; the message names the population."""
    if n_target * n_source > LARGEST_MATRIX:
        raise ValueError(
            f"what leads to {name!r} is no plain convolution, or its biases differ at the border; "
            f"as a matrix of {n_target:,} x {n_source:,} weights it is too large for a file"
        )


def channels_first(shape: Sequence[int]) -> np.ndarray:
    """Numbers of the units of a map (H, W, C) in the order of (C, H, W)."""
    numbers = np.arange(int(np.prod(shape))).reshape(tuple(shape))
    return numbers.transpose(2, 0, 1).reshape(-1)
