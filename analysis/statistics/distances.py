"""Distances between spike trains."""

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
