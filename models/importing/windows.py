"""How the frameworks lay pooling windows along one axis, as weights."""

from __future__ import annotations

import numpy as np

from ..arrays import Array


def count(extent: int, size: int, stride: int, before: int, after: int, ceil_mode: bool) -> int:
    """Number of windows; with `ceil_mode` also one that is cut off, if it begins on the map.

    Raises
    ------
    ValueError
        If no window fits.
    """
    room = extent + before + after - size
    found = room // stride + 1
    if ceil_mode:
        found = -(-room // stride) + 1
        if (found - 1) * stride >= extent + before:
            found -= 1
    if found < 1:
        raise ValueError(
            f"a window of {size} with padding ({before}, {after}) does not fit into {extent} places"
        )
    return found


def has_cut_windows(
    extent: int, size: int, stride: int, before: int, after: int, ceil_mode: bool
) -> bool:
    """Whether `ceil_mode` adds a window that is cut off."""
    whole = (extent + before + after - size) // stride + 1
    return count(extent, size, stride, before, after, ceil_mode) != whole


def padding_after(
    extent: int, size: int, stride: int, before: int, after: int, ceil_mode: bool
) -> int:
    """Padding behind the map that gives as many whole windows as `count` says."""
    windows = count(extent, size, stride, before, after, ceil_mode)
    return max(after, (windows - 1) * stride + size - extent - before)


def mean_weights(
    extent: int,
    size: int,
    stride: int,
    before: int,
    after: int,
    ceil_mode: bool,
    count_padding: bool,
) -> Array:
    """Weight of each place in the mean of each window, shape (windows, extent).

    Raises
    ------
    ValueError
        If no window fits, or one holds padding only and that does not count.
    """
    weights = np.zeros((count(extent, size, stride, before, after, ceil_mode), extent))
    for i, own in enumerate(weights):
        start = i * stride - before
        stop = min(start + size, extent + after)  # what ceil_mode adds beyond does not count
        inside = slice(max(start, 0), max(min(stop, extent), 0))
        held = inside.stop - inside.start
        if held > 0:
            own[inside] = 1.0 / (stop - start if count_padding else held)
        elif not count_padding:
            raise ValueError(
                f"window {i} of {size} places holds nothing but padding ({before}, {after})"
            )
    return weights


def adaptive_mean_weights(extent: int, windows: int) -> Array:
    """Likewise for `windows` windows that cover the axis: i * extent / windows rounded outwards."""
    weights = np.zeros((windows, extent))
    for own, (start, stop) in zip(weights, _adaptive(extent, windows), strict=True):
        own[start:stop] = 1.0 / (stop - start)
    return weights


def adaptive_picks(extent: int, windows: int) -> tuple[Array, int]:
    """The places of those windows behind each other, and how many each has.

    All windows become as large as the largest: the last place of a smaller one is repeated, which
    changes no maximum.

    Returns
    -------
    picks : ndarray, shape (windows * size, extent)
        A one in each row.
    size : int
    """
    bounds = _adaptive(extent, windows)
    size = max(stop - start for start, stop in bounds)
    places = [min(start + i, stop - 1) for start, stop in bounds for i in range(size)]
    return np.eye(extent)[places], size


def _adaptive(extent: int, windows: int) -> list[tuple[int, int]]:
    """First place of each window, and the one behind its last, as PyTorch lays them."""
    return [(i * extent // windows, -(-(i + 1) * extent // windows)) for i in range(windows)]
