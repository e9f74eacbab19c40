"""Distances between spike trains, and how synchronous they are.

Victor-Purpura and van Rossum distances have a time scale, which is to be chosen; the ISI-distance,
the SPIKE-distance and SPIKE-synchronization adapt to the intervals of the trains themselves and
have none: only ratios of times enter, so that steps will do as well as ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from ann2brian.analysis.statistics.trains import _check_above_0, _checked, _mean
from ann2brian.models.arrays import Array
from numpy.typing import ArrayLike


def victor_purpura(trains: Sequence[ArrayLike], cost_per_ms: float) -> Array:
    """Victor-Purpura distances of all pairs of spike trains.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each train in ms.
    cost_per_ms : float
        Cost q of moving a spike by 1 ms, finite and at least 0; a spike is added or removed at
        cost 1, so that it is moved by at most 2 / q.

    Returns
    -------
    ndarray, shape (n_trains, n_trains)
        Least cost of turning one train into the other: from the difference of the numbers of
        spikes (q = 0) to the number of spikes without an exact counterpart (large q).

    Raises
    ------
    ValueError
        If `cost_per_ms` is negative or not finite.

    References
    ----------
    Victor, Purpura (1996) J Neurophysiol 76:1310. doi:10.1152/jn.1996.76.2.1310
    """
    if not 0 <= cost_per_ms < math.inf:
        raise ValueError(f"cost_per_ms must be finite and at least 0, got {cost_per_ms!r}")
    checked = _checked(trains)
    size = np.array([train.size for train in checked])
    padded = np.zeros((size.size, size.max()))
    for row, train in zip(padded, checked, strict=True):
        row[: train.size] = train
    number = np.arange(size.max() + 1.0)
    distance = np.zeros((size.size, size.size))
    for i, train in enumerate(checked):
        others = padded[i + 1 :]
        # Cost of turning the spikes so far into the first 0, 1, ... of each other train.
        cost = np.tile(number, (len(others), 1))
        for time in train:
            moved = cost[:, :-1] + cost_per_ms * np.abs(others - time)
            cost += 1
            np.minimum(cost[:, 1:], moved, out=cost[:, 1:])
            cost = np.minimum.accumulate(cost - number, axis=1) + number  # add spikes
        distance[i, i + 1 :] = cost[np.arange(len(others)), size[i + 1 :]]
    return distance + distance.T


def van_rossum(trains: Sequence[ArrayLike], tau_ms: float) -> Array:
    """Van Rossum distances of all pairs of spike trains.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each train in ms.
    tau_ms : float
        Time constant of the exponential that each spike is replaced by, above 0 and finite.

    Returns
    -------
    ndarray, shape (n_trains, n_trains)
        ``sqrt(2 / tau * integral of (f - g)^2)`` over all times, f and g the trains with each
        spike at s replaced by exp(-(t - s) / tau) for t >= s: 1 for a single spike against none,
        as in elephant. The source has the factor 1 / tau, hence distances smaller by sqrt(2).

    Raises
    ------
    ValueError
        If `tau_ms` is not above 0 and finite.

    References
    ----------
    van Rossum (2001) Neural Comput 13:751. doi:10.1162/089976601300014321 (recalled)
    """
    _check_above_0("tau_ms", tau_ms)
    product = _overlaps(_checked(trains), lambda distance: np.exp(-distance / tau_ms))
    own = product.diagonal()
    squared = own[:, None] + own - product - product.T
    return np.sqrt(np.maximum(squared, 0.0))  # rounding may leave tiny negative values


def isi_distance(trains: Sequence[ArrayLike], duration_ms: float) -> Array:
    """ISI-distances of all pairs of spike trains.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each train in ms.
    duration_ms : float
        Length of the window, above 0; all spikes come before it.

    Returns
    -------
    ndarray, shape (n_trains, n_trains)
        Mean over time of ``|a - b| / max(a, b)``, a and b the intervals in which the two trains
        are: 0 for trains of equal rate, towards 1 for very different ones.

    Raises
    ------
    ValueError
        If a spike lies outside the window.

    Notes
    -----
    At the edges as PySpike does it: before the first spike of a train its interval is the time
    since the onset or the first interval, whichever is longer, after the last one likewise; a
    train without spikes is one interval as long as the window.

    References
    ----------
    Kreuz et al. (2007) J Neurosci Methods 165:151. doi:10.1016/j.jneumeth.2007.05.031 (recalled)
    Mulansky, Kreuz (2016) SoftwareX 5:183, PySpike. doi:10.1016/j.softx.2016.07.006 (recalled)
    """
    checked = [_with_edges(train, duration_ms) for train in _in_window(trains, duration_ms)]
    held = [_held_intervals(train, duration_ms) for train in checked]

    def of_pair(i: int, j: int) -> float:
        borders = _borders(checked[i], checked[j], duration_ms)
        a, b = (held[k][checked[k].searchsorted(borders[:-1], "right")] for k in (i, j))
        return float(np.abs(a - b) / np.maximum(a, b) @ np.diff(borders)) / duration_ms

    return _all_pairs(len(checked), of_pair)


def spike_distance(trains: Sequence[ArrayLike], duration_ms: float) -> Array:
    """SPIKE-distances of all pairs of spike trains.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each train in ms.
    duration_ms : float
        Length of the window, above 0; all spikes come before it.

    Returns
    -------
    ndarray, shape (n_trains, n_trains)
        Mean over time of how far the spikes around an instant lie from their nearest neighbours in
        the other train, relative to the intervals: 0 for equal trains, at most 1.

    Raises
    ------
    ValueError
        If a spike lies outside the window.

    Notes
    -----
    At time t each train has a distance s: that of its spike before t to the nearest spike of the
    other train, and that of its spike after t, weighted linearly in time. With the intervals a and
    b as in `isi_distance`, ``S(t) = (s_a b + s_b a) / (2 ((a + b) / 2)^2)``. It is linear between
    spikes, so that its mean is exact. Edges as in PySpike: nearest neighbours may be the auxiliary
    spikes, one interval outside the train's own or at the edge of the window.

    References
    ----------
    Kreuz et al. (2013) J Neurophysiol 109:1457. doi:10.1152/jn.00873.2012 (recalled)
    Mulansky, Kreuz (2016) SoftwareX 5:183, PySpike. doi:10.1016/j.softx.2016.07.006 (recalled)
    """
    checked = [_with_edges(train, duration_ms) for train in _in_window(trains, duration_ms)]
    held = [_held_intervals(train, duration_ms) for train in checked]

    def of_pair(i: int, j: int) -> float:
        borders = _borders(checked[i], checked[j], duration_ms)
        (s_a, a), (s_b, b) = (
            (
                _spike_gaps(checked[k], checked[other], borders, duration_ms),
                held[k][checked[k].searchsorted(borders[:-1], "right")],
            )
            for k, other in ((i, j), (j, i))
        )
        ends = 2 * (s_a * b + s_b * a) / (a + b) ** 2  # of each piece, shape (2, n_pieces)
        return float(ends.mean(axis=0) @ np.diff(borders)) / duration_ms

    return _all_pairs(len(checked), of_pair)


def spike_synchronization(trains: Sequence[ArrayLike], duration_ms: float) -> Array:
    """SPIKE-synchronization of all pairs of spike trains.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each train in ms.
    duration_ms : float
        Length of the window, above 0; all spikes come before it.

    Returns
    -------
    ndarray, shape (n_trains, n_trains)
        Fraction of the spikes of both trains that coincide with one of the other: two spikes do if
        they are closer than half of each of the intervals beside them, or than half of the window
        where there is none. 1 on the diagonal, and for two trains without spikes.

    Raises
    ------
    ValueError
        If a spike lies outside the window.

    Notes
    -----
    Closer is strict. With times on a grid a distance is often exactly half of an interval; give
    steps, which are whole numbers, and nothing depends on rounding.

    References
    ----------
    Kreuz, Mulansky, Bozanic (2015) J Neurophysiol 113:3432. doi:10.1152/jn.00848.2014 (recalled)
    """
    checked = _in_window(trains, duration_ms)
    halves = [_half_intervals(train, duration_ms) for train in checked]

    def of_pair(i: int, j: int) -> float:
        a, b = checked[i], checked[j]
        if not a.size or not b.size:
            return float(a.size == b.size)
        after = b.searchsorted(a)
        is_paired = np.zeros(a.size, dtype=bool)
        for nearest in (np.maximum(after - 1, 0), np.minimum(after, b.size - 1)):
            window = np.minimum(halves[i], halves[j][nearest])
            is_paired |= np.abs(a - b[nearest]) < window
        # A spike coincides with one other at most, so that both trains have as many.
        return 2.0 * int(is_paired.sum()) / (a.size + b.size)

    return _all_pairs(len(checked), of_pair) + np.eye(len(checked))


def mean_over_pairs(matrix: ArrayLike) -> float:
    """Mean over all pairs of different trials of a symmetric matrix.

    Parameters
    ----------
    matrix : array_like, shape (n_trials, n_trials)
        E.g. distances.

    Returns
    -------
    float
        NaN with a single trial.

    Raises
    ------
    ValueError
        If the matrix is not square.
    """
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ValueError(f"matrix must have shape (n_trials, n_trials), got {values.shape}")
    return _mean(values[np.triu_indices(len(values), 1)])


def _overlaps(trains: Sequence[Array], kernel: Callable[[Array], Array]) -> Array:
    """Sum of a kernel of the distances in ms of all spikes of two trains, for all pairs.

    Returns an ndarray, shape (n_trains, n_trains). Memory is that of one train against all.
    """
    times = np.concatenate(trains)
    which = np.repeat(np.arange(len(trains)), [train.size for train in trains])
    return np.array(
        [
            np.bincount(
                which, kernel(np.abs(times[:, None] - train)).sum(axis=1), minlength=len(trains)
            )
            for train in trains
        ]
    )


def _in_window(trains: Sequence[ArrayLike], duration_ms: float) -> list[Array]:
    """Trains as arrays, all spikes within a window of finite length."""
    _check_above_0("duration_ms", duration_ms)
    return _checked(trains, duration_ms)


def _all_pairs(n_trains: int, of_pair: Callable[[int, int], float]) -> Array:
    """Symmetric matrix of a measure of each pair, 0 on the diagonal."""
    matrix = np.zeros((n_trains, n_trains))
    for i in range(n_trains):
        for j in range(i + 1, n_trains):
            matrix[i, j] = of_pair(i, j)
    return matrix + matrix.T


def _with_edges(train: Array, duration: float) -> Array:
    """A train that leaves the window one interval, with spikes at both of its edges."""
    return train if train.any() else np.array([0.0, duration])


def _held_intervals(train: Array, duration: float) -> Array:
    """Interval after 0, 1, ... of a train's spikes, shape (n_spikes + 1,)."""
    inner = np.diff(train)
    edges = train[0], duration - train[-1]
    first, last = np.maximum(edges, inner[[0, -1]]) if inner.size else edges
    return np.concatenate([[first], inner, [last]])


def _borders(a: Array, b: Array, duration: float) -> Array:
    """Where a new interval starts in either train, and the edges of the window."""
    return np.unique(np.concatenate([[0.0, duration], a, b]))


def _spike_gaps(own: Array, other: Array, borders: Array, duration: float) -> Array:
    """Weighted distance of the spikes around an instant to the other train's nearest ones.

    Returns an ndarray, shape (2, n_pieces): at the start and the end of each piece of `borders`.
    """
    lead = np.diff(other)[[0, -1]] if other.size > 1 else np.zeros(2)
    outer = min(0.0, other[0] - lead[0]), max(duration, other[-1] + lead[1])
    around = np.concatenate([outer[:1], other, outer[1:]])
    after = np.clip(around.searchsorted(own), 1, around.size - 1)
    gap = np.minimum(np.abs(own - around[after - 1]), np.abs(around[after] - own))
    # Before the first and after the last spike its own distance holds.
    gap = np.pad(gap, 1, mode="edge")
    time = np.concatenate([[own[0] - 1], own, [own[-1] + 1]])
    before = own.searchsorted(borders[:-1], "right")
    slope = np.diff(gap)[before] / np.diff(time)[before]
    return gap[before] + slope * (np.stack([borders[:-1], borders[1:]]) - time[before])


def _half_intervals(train: Array, duration: float) -> Array:
    """Half of the shorter interval beside each spike; the window where there is none."""
    gaps = np.concatenate([[duration], np.diff(train), [duration]])
    return np.minimum(gaps[:-1], gaps[1:])[: train.size] / 2
