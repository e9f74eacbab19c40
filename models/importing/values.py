"""Tensors of a framework as entries of our layers' outputs, and what brings the entries there.

Shapes have no batch axis. A map of the framework has three axes, a sequence two (channels and
places: a map of one row), a vector one, a single number none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..arrays import Array, Integers
from ..networks.layers import Shape

ZERO = -1  # in an index: the entry is a zero that no layer holds


@dataclass(frozen=True, eq=False, repr=False)
class Value:
    """A tensor of the framework, without its batch axis, as entries of a layer's output.

    Parameters
    ----------
    source : str
        Our layer, or ``"input"``.
    index : ndarray of int, of the framework's shape
        Flat position of each entry in the source's (H, W, C) output; `ZERO` for a zero that
        padding put there.
    is_probability : bool
        Whether a softmax that is left out stands between the source and the framework's tensor.
    """

    source: str
    index: Integers
    is_probability: bool = False

    def __repr__(self) -> str:
        return f"Value({self.shape} of {self.source!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The framework's shape, without the batch axis."""
        return self.index.shape

    def read(self, output: Array) -> Array:
        """The tensor, from the output of its source.

        Parameters
        ----------
        output : ndarray, shape (n, H, W, C)
            Of the layer `source`, as `Network.activations` gives it.

        Returns
        -------
        ndarray, shape (n, *shape)
            As the framework has it (for `is_probability`: before the softmax).
        """
        flat = output.reshape(len(output), -1)
        return np.where(self.index == ZERO, 0.0, flat[:, self.index])


class Selection(NamedTuple):
    """Which row, column and channel of a map stands at each place of another; ZERO for none."""

    rows: Integers
    columns: Integers
    channels: Integers


def map_axes(n_axes: int, channels_last: bool) -> tuple[int, ...]:
    """For each axis of the framework, which axis of (H, W, C) it is."""
    if n_axes > 3:
        raise ValueError(f"a tensor of {n_axes} axes beside the batch; there may be three at most")
    if channels_last:
        return (0, 1, 2)[3 - n_axes :]
    return ((), (2,), (2, 1), (2, 0, 1))[n_axes]


def to_map(index: Integers, channels_last: bool) -> Integers:
    """The index of a map, sequence or vector with the axes (H, W, C)."""
    axes = map_axes(index.ndim, channels_last)
    missing = tuple(range(3 - index.ndim))
    order = np.argsort(axes)
    return np.expand_dims(index.transpose(order), missing)


def from_map(index: Integers, n_axes: int, channels_last: bool) -> Integers:
    """Inverse of `to_map`; what the framework's shape has no axis for must be of length 1."""
    missing = tuple(range(3 - n_axes))
    if any(index.shape[axis] != 1 for axis in missing):
        raise ValueError(
            f"a map of shape {index.shape} (H, W, C) does not fit into {n_axes} axes; "
            "there is more than one row or column"
        )
    axes = map_axes(n_axes, channels_last)
    return index.squeeze(missing).transpose(np.argsort(np.argsort(axes)))


def positions(shape: Shape) -> Integers:
    """Flat position of each unit of a map, shape (H, W, C)."""
    return np.arange(int(np.prod(shape))).reshape(shape)


def selection(index: Integers, shape: Shape) -> Selection | None:
    """Rows, columns and channels that make a map from one of `shape`.

    Parameters
    ----------
    index : ndarray of int, shape (H', W', C')
        Flat positions.
    shape : tuple of int
        (H, W, C) of the map that they are positions in.

    Returns
    -------
    Selection or None
        None if the row does not depend on the row only, the column on the column, and so on.
    """
    parts = np.where(index == ZERO, ZERO, np.unravel_index(np.maximum(index, 0), shape))
    found = Selection(
        parts[0].max(axis=(1, 2)), parts[1].max(axis=(0, 2)), parts[2].max(axis=(0, 1))
    )
    grid = np.meshgrid(*found, indexing="ij")
    picked = np.ravel_multi_index(np.maximum(grid, 0), shape)
    made = np.where(np.min(grid, axis=0) == ZERO, ZERO, picked)
    return found if np.array_equal(made, index) else None


def one_hot(chosen: Integers, size: int) -> Array:
    """Matrix that picks `chosen` of `size` entries, shape (n_chosen, size); no row of ZERO."""
    matrix = np.zeros((len(chosen), size))
    held = np.flatnonzero(chosen != ZERO)
    matrix[held, chosen[held]] = 1.0
    return matrix
