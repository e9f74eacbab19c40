"""Statistics of noisy neurons over repeated trials: intervals, counts, reliability, information.

A **trial** is one presentation of a stimulus. The trains of a neuron are a sequence of arrays, one
for each trial, of its spike times in ms from the onset of the stimulus; a trial without a spike is
an empty array. Counts are spikes per trial. Every function refuses, with a ValueError that names
the trial, times that are negative, not finite or not in ascending order.

Variances divide by the number of values, as those of the library elephant do: the variance of
counts over n trials, and with it the Fano factor, is too small by (n - 1) / n on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.distances import (
    _overlaps,
    mean_over_pairs,
    van_rossum,
    victor_purpura,
)
from ann2brian.analysis.statistics.trains import _check_above_0, _checked, _mean
from ann2brian.models.arrays import Array, Integers
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

ROUNDING = 1e-9  # of a window; times and windows are multiples of dt, with rounding errors


# ---- intervals ----


def interval_histogram(trains: Sequence[ArrayLike], dt_ms: float) -> pd.DataFrame:
    """How often each interval between successive spikes of a trial occurs, over all trials.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each trial in ms.
    dt_ms : float
        Step of the grid in ms, above 0; each interval counts at the nearest multiple of it.

    Returns
    -------
    DataFrame
        One row per multiple that occurs: interval_ms (ascending), count, fraction (of all
        intervals).

    Raises
    ------
    ValueError
        If `dt_ms` is not above 0.
    """
    _check_above_0("dt_ms", dt_ms)
    intervals = np.concatenate([np.diff(train) for train in _checked(trains)])
    steps, counts = np.unique(np.rint(intervals / dt_ms).astype(np.int64), return_counts=True)
    return pd.DataFrame(
        {
            "interval_ms": steps * dt_ms,
            "count": counts,
            "fraction": counts / max(int(counts.sum()), 1),
        }
    )


def interval_variation(trains: Sequence[ArrayLike]) -> dict[str, float]:
    """Irregularity of the intervals within trials, pooled over trials.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each trial in ms.

    Returns
    -------
    dict of str to float
        n_intervals; mean_interval_ms (NaN without intervals); cv, the standard deviation of all
        intervals by their mean (NaN below two intervals); cv2, the mean of 2 |a - b| / (a + b)
        over all pairs of successive intervals a, b of a trial (NaN without pairs).

    Notes
    -----
    Both are 0 for a regular train and 1 for a long Poisson train. Trials so short that they hold
    only a few intervals cut long intervals off, which lowers the mean and cv.

    References
    ----------
    Holt et al. (1996) J Neurophysiol 75:1806. doi:10.1152/jn.1996.75.5.1806
    """
    of_trials = [np.diff(train) for train in _checked(trains)]
    intervals = np.concatenate(of_trials)
    contrasts = np.concatenate(
        [2 * np.abs(np.diff(own)) / (own[1:] + own[:-1]) for own in of_trials]
    )
    return {
        "n_intervals": intervals.size,
        "mean_interval_ms": _mean(intervals),
        "cv": float(intervals.std() / intervals.mean()) if intervals.size > 1 else math.nan,
        "cv2": _mean(contrasts),
    }


# ---- counts ----


def windowed_counts(trains: Sequence[ArrayLike], duration_ms: float, window_ms: float) -> Integers:
    """Spikes of each trial in successive windows.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each trial in ms.
    duration_ms : float
        Length of a trial; all spikes come before it.
    window_ms : float
        Length of a window, above 0 and at most `duration_ms`; the end of a window belongs to the
        next one, and a rest shorter than a window at the end of the trial is left out.

    Returns
    -------
    ndarray of int, shape (n_trials, n_windows)

    Raises
    ------
    ValueError
        If a spike comes at or after the end of the trial, or `window_ms` is out of range.
    """
    checked = _checked(trains, duration_ms)
    if not 0 < window_ms <= duration_ms:
        raise ValueError(
            f"window_ms must be above 0 and at most the {duration_ms:g} ms of a trial, got "
            f"{window_ms!r}"
        )
    n_windows = math.floor(duration_ms / window_ms + ROUNDING)
    which = [np.floor(train / window_ms + ROUNDING).astype(np.int64) for train in checked]
    counts = [np.bincount(own[own < n_windows], minlength=n_windows) for own in which]
    return np.array(counts, dtype=np.int64)


def fano_factor(counts: ArrayLike) -> Array:
    """Variance of spike counts over trials by their mean.

    Parameters
    ----------
    counts : array_like, shape (n_trials,) or (n_trials, ...)
        Spikes; further axes are neurons or windows.

    Returns
    -------
    ndarray, shape (...)
        One value for each neuron or window, NaN where no trial has a spike. 0 if all trials have
        the same count, 1 on average for a Poisson process.

    Raises
    ------
    ValueError
        If there is no trial or a count is negative or not finite.
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim < 1 or not len(values) or not ((values >= 0) & np.isfinite(values)).all():
        raise ValueError(
            f"counts must be finite, at least 0 and of shape (n_trials, ...), got shape "
            f"{values.shape}, smallest {values.min() if values.size else 'none'}"
        )
    mean = values.mean(axis=0)
    return np.divide(values.var(axis=0), mean, out=np.full_like(mean, math.nan), where=mean > 0)


def noise_correlation(counts: ArrayLike, labels: ArrayLike | None = None) -> dict[str, float]:
    """Mean correlation of the trial-to-trial fluctuations of neurons recorded together.

    Parameters
    ----------
    counts : array_like, shape (n_trials, n_neurons)
        Spikes of each neuron in each trial.
    labels : array_like, shape (n_trials,), or None
        Stimulus of each trial; None if all had the same.

    Returns
    -------
    dict of str to float
        noise_correlation (mean of Pearson's coefficient over all pairs of neurons that vary; NaN
        below two such neurons) and n_neurons (how many vary).

    Raises
    ------
    ValueError
        If the shapes do not fit or there is no trial.

    Notes
    -----
    The mean count of each neuron for each stimulus is subtracted first, so that neurons that
    prefer the same stimulus do not count as correlated. A neuron with the same count in all
    trials of every stimulus is left out.

    References
    ----------
    Cohen, Kohn (2011) Nat Neurosci 14:811. doi:10.1038/nn.2842 (a review; recalled)
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise ValueError(
            f"counts must have shape (n_trials, n_neurons), not empty, got {values.shape}"
        )
    stimulus = np.zeros(len(values)) if labels is None else labels
    residual = np.concatenate(
        [own - own.mean(axis=0) for own in _by_class(values, stimulus)], axis=0
    )
    norm = np.sqrt((residual**2).sum(axis=0))
    varies = norm > 0
    n_neurons = int(varies.sum())
    if n_neurons < 2:
        return {"noise_correlation": math.nan, "n_neurons": n_neurons}
    # The sum of all entries of the correlation matrix, without the matrix.
    total = (residual[:, varies] / norm[varies]).sum(axis=1)
    return {
        "noise_correlation": float(total @ total - n_neurons) / (n_neurons * (n_neurons - 1)),
        "n_neurons": n_neurons,
    }


def information_per_spike(counts: ArrayLike, labels: ArrayLike) -> pd.DataFrame:
    """What the spike count of each neuron alone tells about the class.

    Parameters
    ----------
    counts : array_like of int, shape (n_presentations, n_neurons) or (n_presentations,)
        Spikes of each neuron, or of the only one.
    labels : array_like, shape (n_presentations,)
        Class of each presentation.

    Returns
    -------
    DataFrame
        One row per neuron: neuron, spikes_per_presentation, information_bits (mutual information
        of the observed frequencies), corrected_bits (less its bias), bits_per_spike
        (corrected_bits by spikes_per_presentation, 0 for a neuron without spikes).

    Raises
    ------
    ValueError
        If the shapes do not fit, there is no presentation, or counts are not integers >= 0.

    Notes
    -----
    The correction of Miller and Madow adds (K - 1) / (2 n) nats to an entropy of K values that
    occur, n the presentations. Corrected values are not clipped, so that their mean over neurons
    without information is near 0: single ones may be below 0 or, where the count tells the class
    exactly, slightly above the entropy of the classes. The correction is too small where many
    values occur only once or twice.

    References
    ----------
    Miller (1955) in Information Theory in Psychology, ed Quastler, p 95 (recalled)
    Panzeri et al. (2007) J Neurophysiol 98:1064. doi:10.1152/jn.00559.2007 (recalled)
    """
    values = np.asarray(counts)
    values = values[:, None] if values.ndim == 1 else values
    is_counts = np.issubdtype(values.dtype, np.integer) and (values >= 0).all()
    if values.ndim != 2 or not len(values) or not is_counts:
        raise ValueError(
            "counts must be integers >= 0 of shape (n_presentations, n_neurons) or "
            f"(n_presentations,), not empty, got {values.dtype} of shape {np.shape(counts)}"
        )
    of_classes = _by_class(values, labels)
    n = len(values)
    count_entropy, joint_entropy = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    n_counts, n_joint = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for value in np.unique(values):
        joint = np.array([(own == value).sum(axis=0) for own in of_classes])
        marginal = joint.sum(axis=0)
        joint_entropy += entr(joint / n).sum(axis=0)
        count_entropy += entr(marginal / n)
        n_joint += (joint > 0).sum(axis=0)
        n_counts += marginal > 0
    class_entropy = entr(np.array([len(own) for own in of_classes]) / n).sum()
    information = count_entropy + class_entropy - joint_entropy
    correction = (n_counts + len(of_classes) - n_joint - 1) / (2 * n)
    corrected = (information + correction) / math.log(2)
    spikes = values.mean(axis=0)
    return pd.DataFrame(
        {
            "neuron": np.arange(values.shape[1]),
            "spikes_per_presentation": spikes,
            "information_bits": information / math.log(2),
            "corrected_bits": corrected,
            "bits_per_spike": np.divide(
                corrected, spikes, out=np.zeros_like(spikes), where=spikes > 0
            ),
        }
    )


# ---- spike times ----


def reliability(trains: Sequence[ArrayLike], sigma_ms: float) -> float:
    """How alike the spike trains of the trials are: mean correlation of the smoothed trains.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each trial in ms.
    sigma_ms : float
        Standard deviation of the Gaussian that each spike is replaced by, above 0.

    Returns
    -------
    float
        Mean over all pairs of trials of ``s_i . s_j / (|s_i| |s_j|)``, s the smoothed trains, from
        0 to 1. A pair with an empty train counts as 0, since a response that is sometimes missing
        is not reliable. NaN without spikes or with a single trial.

    Raises
    ------
    ValueError
        If `sigma_ms` is not above 0.

    Notes
    -----
    The means of the smoothed trains are not subtracted, as in the source. The scalar product of
    two Gaussians is a Gaussian of their distance with sqrt(2) times the standard deviation, so
    that no grid of time is needed and nothing is cut off at the ends of the trial (derived).

    References
    ----------
    Schreiber et al. (2003) Neurocomputing 52-54:925. doi:10.1016/S0925-2312(02)00838-X (recalled)
    """
    _check_above_0("sigma_ms", sigma_ms)
    checked = _checked(trains)
    if not any(train.size for train in checked):
        return math.nan
    product = _overlaps(checked, lambda distance: np.exp(-((distance / (2 * sigma_ms)) ** 2)))
    norm = np.sqrt(product.diagonal())
    both = np.outer(norm, norm)
    return mean_over_pairs(np.divide(product, both, out=np.zeros_like(product), where=both > 0))


def spike_jitter(trains: Sequence[ArrayLike], nth: int = 1) -> dict[str, float]:
    """Spread over trials of the time of one spike.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each trial in ms.
    nth : int
        Which spike of a trial, from 1.

    Returns
    -------
    dict of str to float
        fraction (of the trials that have an `nth` spike), mean_ms and jitter_ms (mean and standard
        deviation of its time over these trials; NaN without any, jitter_ms also for only one).

    Raises
    ------
    ValueError
        If `nth` is below 1.

    Notes
    -----
    Where a spike is missing in some trials, the later ones of these trials count as earlier ones,
    and jitter grows by more than the noise of a spike's time. The first spike suffers least.
    """
    if nth < 1:
        raise ValueError(f"nth must be at least 1, the first spike, got {nth!r}")
    checked = _checked(trains)
    times = np.array([train[nth - 1] for train in checked if train.size >= nth])
    return {
        "fraction": times.size / len(checked),
        "mean_ms": _mean(times),
        "jitter_ms": float(times.std()) if times.size > 1 else math.nan,
    }


# ---- summary ----


def summary(
    trains: Sequence[ArrayLike],
    duration_ms: float,
    *,
    window_ms: float,
    sigma_ms: float,
    cost_per_ms: float,
    tau_ms: float,
) -> dict[str, float]:
    """Everything about the spike trains of one neuron over trials of the same stimulus.

    Parameters
    ----------
    trains : sequence of array_like, each of shape (n_spikes,)
        Spike times of each trial in ms.
    duration_ms : float
        Length of a trial, above 0; all spikes come before it.
    window_ms : float
        Length of a window, see `windowed_counts`.
    sigma_ms : float
        Of the smoothing, see `reliability`.
    cost_per_ms : float
        See `victor_purpura`.
    tau_ms : float
        See `van_rossum`.

    Returns
    -------
    dict of str to float
        One row of a table: n_trials, spikes_per_trial, rate_hz; n_intervals, mean_interval_ms, cv
        and cv2 (see `interval_variation`); fano (of the counts of whole trials) and fano_windowed
        (mean over the windows with spikes), NaN without spikes; reliability; first_fraction,
        first_mean_ms and first_jitter_ms (of the first spike, see `spike_jitter`); victor_purpura
        and van_rossum (means over all pairs of trials, NaN with a single trial).

    Raises
    ------
    ValueError
        If a parameter is out of range or a spike outside the trial; see the functions named.
    """
    in_windows = fano_factor(windowed_counts(trains, duration_ms, window_ms))
    counts = np.array([np.size(train) for train in trains])
    return {
        "n_trials": counts.size,
        "spikes_per_trial": float(counts.mean()),
        "rate_hz": float(counts.mean() / duration_ms * 1000.0),
        **interval_variation(trains),
        "fano": float(fano_factor(counts)),
        "fano_windowed": _mean(in_windows[~np.isnan(in_windows)]),
        "reliability": reliability(trains, sigma_ms),
        **{f"first_{name}": value for name, value in spike_jitter(trains).items()},
        "victor_purpura": mean_over_pairs(victor_purpura(trains, cost_per_ms)),
        "van_rossum": mean_over_pairs(van_rossum(trains, tau_ms)),
    }


def _by_class(values: NDArray, labels: ArrayLike) -> list[NDArray]:
    """Rows of each class that occurs."""
    classes = np.asarray(labels)
    if classes.shape != values.shape[:1]:
        raise ValueError(f"labels must have shape ({len(values)},), got {classes.shape}")
    return [values[classes == label] for label in np.unique(classes)]
