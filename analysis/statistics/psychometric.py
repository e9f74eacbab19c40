"""Firing probability of a noisy neuron against its drive: measured, fitted, compared with theory.

A neuron is given the same drive again and again and fires or not. With Gaussian noise of standard
deviation `width` in front of a hard `threshold` it fires with probability ``Phi((drive -
threshold) / width)``, Phi the distribution function of the standard normal distribution. Drives
may be in any unit; thresholds and widths come out in the same one.

Every function takes the same three arrays and refuses, with a ValueError, shapes that do not fit,
drives that are not finite or occur twice, and counts that are impossible.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ann2brian.models.arrays import Array, Integers
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, ndtr, ndtri, xlogy
from scipy.stats import binomtest, chi2

LAST_STEP = 1e-8  # standard errors; after a step as short as this the fit is done
MOST_STEPS = 100  # it takes about ten


def firing_probability(
    drive: ArrayLike, n_trials: ArrayLike, n_spikes: ArrayLike, confidence: float = 0.95
) -> pd.DataFrame:
    """Fraction of trials with a spike at each drive, and where the probability may lie.

    Parameters
    ----------
    drive : array_like, shape (n_levels,)
        Finite and all different, in any order.
    n_trials : array_like of int, shape (n_levels,), or int
        Trials at each drive, or the one number for all of them; at least 1.
    n_spikes : array_like of int, shape (n_levels,)
        Trials with a spike.
    confidence : float
        Level of the intervals, above 0 and below 1.

    Returns
    -------
    DataFrame
        One row per drive, in the order given: drive, n_trials, n_spikes, probability (n_spikes /
        n_trials), low and high (Wilson interval).

    Raises
    ------
    ValueError
        If `confidence` is not between 0 and 1.

    References
    ----------
    Wilson (1927) J Am Stat Assoc 22:209. doi:10.1080/01621459.1927.10502953
    """
    _check_confidence(confidence)
    x, n, k = _checked(drive, n_trials, n_spikes)
    intervals = [
        binomtest(spikes, trials).proportion_ci(confidence, method="wilson")
        for spikes, trials in zip(k.tolist(), n.tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            "drive": x,
            "n_trials": n,
            "n_spikes": k,
            "probability": k / n,
            "low": [interval.low for interval in intervals],
            "high": [interval.high for interval in intervals],
        }
    )


@dataclass(frozen=True, kw_only=True)
class PsychometricFit:
    """Threshold and noise of a neuron as its responses tell them; `asdict` makes a table row.

    Parameters
    ----------
    threshold, threshold_low, threshold_high : float
        Drive at which the neuron fires in half of the trials, and its confidence interval.
    width, width_low, width_high : float
        Standard deviation of the equivalent noise, in the unit of the drive, above 0.
    slope, slope_low, slope_high : float
        Of the probability at the threshold, ``1 / (width sqrt(2 pi))``, per unit of the drive.
    deviance : float
        Twice the log likelihood ratio of the measured frequencies to the fit.
    degrees_of_freedom : int
        Levels less two.
    p_value : float
        Probability of a deviance as large or larger, were the fit true; NaN for two levels.
    """

    threshold: float
    threshold_low: float
    threshold_high: float
    width: float
    width_low: float
    width_high: float
    slope: float
    slope_low: float
    slope_high: float
    deviance: float
    degrees_of_freedom: int
    p_value: float

    def probability(self, drive: ArrayLike) -> Array:
        """Fitted firing probability at any drives, of their shape."""
        return ndtr((np.asarray(drive, dtype=np.float64) - self.threshold) / self.width)


def fit_probit(
    drive: ArrayLike, n_trials: ArrayLike, n_spikes: ArrayLike, confidence: float = 0.95
) -> PsychometricFit:
    """Most likely threshold and width of ``P(spike) = Phi((drive - threshold) / width)``.

    Parameters
    ----------
    drive : array_like, shape (n_levels,)
        Finite and all different, in any order.
    n_trials : array_like of int, shape (n_levels,), or int
        Trials at each drive, or the one number for all of them; at least 1.
    n_spikes : array_like of int, shape (n_levels,)
        Trials with a spike.
    confidence : float
        Level of the intervals, above 0 and below 1.

    Returns
    -------
    PsychometricFit

    Raises
    ------
    ValueError
        If `confidence` is not between 0 and 1, if there is no most likely finite width (the
        neuron always or never fires, or one drive separates trials without from trials with a
        spike), or if it does not fire more often for more drive.
    RuntimeError
        If the fit does not converge.

    Notes
    -----
    Intervals follow from the Fisher information by the delta method: symmetric for the threshold,
    symmetric in the logarithm for width and slope, which keeps them above 0. They hold for many
    trials; so does the chi-squared distribution of the deviance, which needs more than a few
    expected spikes and failures at most of the levels.

    A finite most likely width exists if and only if some trial without a spike has a larger drive
    than some trial with one. One level with both outcomes is not enough if all trials below it
    fail and all above it fire: the width would shrink to 0.

    References
    ----------
    Silvapulle (1981) J R Stat Soc B 43:310, when the fit exists (recalled).
    Wichmann, Hill (2001) Percept Psychophys 63:1293. doi:10.3758/BF03194544 (recalled)
    """
    _check_confidence(confidence)
    x, n, k = _checked(drive, n_trials, n_spikes)
    _check_overlap(x, n, k)
    centre, scale = x.mean(), np.ptp(x)
    design = np.column_stack([np.ones(x.size), (x - centre) / scale])
    offset, rise = _most_likely(design, n, k)
    if rise <= 0:
        raise ValueError(
            "the neuron does not fire more often for more drive; threshold and width have no "
            "meaning here (is the sign of the drive right?)"
        )
    width = scale / rise
    threshold = centre - offset * width
    z = design @ (offset, rise)
    covariance = np.linalg.inv(_information(design, n, z))
    gradient = np.array([1.0, -offset / rise])
    threshold_sd = width * math.sqrt(gradient @ covariance @ gradient)
    log_width_sd = math.sqrt(covariance[1, 1]) / rise
    quantile = float(ndtri((1.0 + confidence) / 2))
    with np.errstate(over="ignore"):  # infinite if the drive has next to no effect
        factor = float(np.exp(quantile * log_width_sd))
    slope = 1.0 / (width * math.sqrt(2 * math.pi))
    deviance = _deviance(n, k, z)
    degrees = x.size - 2
    return PsychometricFit(
        threshold=float(threshold),
        threshold_low=float(threshold - quantile * threshold_sd),
        threshold_high=float(threshold + quantile * threshold_sd),
        width=float(width),
        width_low=float(width / factor),
        width_high=float(width * factor),
        slope=float(slope),
        slope_low=float(slope / factor),
        slope_high=float(slope * factor),
        deviance=deviance,
        degrees_of_freedom=degrees,
        p_value=float(chi2.sf(deviance, degrees)) if degrees else math.nan,
    )


def largest_deviation(
    drive: ArrayLike,
    n_trials: ArrayLike,
    n_spikes: ArrayLike,
    cdf: Callable[[Array], ArrayLike],
) -> float:
    """Largest distance of a measured frequency from theory, in binomial standard errors.

    Parameters
    ----------
    drive : array_like, shape (n_levels,)
        Finite and all different, in any order.
    n_trials : array_like of int, shape (n_levels,), or int
        Trials at each drive, or the one number for all of them; at least 1.
    n_spikes : array_like of int, shape (n_levels,)
        Trials with a spike.
    cdf : callable
        Takes drives, shape (n_levels,), and returns the firing probability at each.

    Returns
    -------
    float
        Largest ``|n_spikes / n_trials - p| / sqrt(p (1 - p) / n_trials)``. Where p is 0 or 1 the
        deviation is 0 if the frequency is the same and infinite if not.

    Raises
    ------
    ValueError
        If `cdf` returns another shape or a value outside 0 to 1.
    """
    x, n, k = _checked(drive, n_trials, n_spikes)
    p = np.asarray(cdf(x), dtype=np.float64)
    if p.shape != x.shape or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"cdf must return probabilities of shape {x.shape}, got shape {p.shape}, values {p}"
        )
    distance = np.abs(k / n - p)
    error = np.sqrt(p * (1 - p) / n)
    deviation = np.where(distance > 0, np.inf, 0.0)
    np.divide(distance, error, out=deviation, where=error > 0)
    return float(deviation.max())


def _checked(
    drive: ArrayLike, n_trials: ArrayLike, n_spikes: ArrayLike
) -> tuple[Array, Integers, Integers]:
    """Drives, trials and spikes as arrays of shape (n_levels,), or a ValueError."""
    x = np.asarray(drive, dtype=np.float64)
    if x.ndim != 1 or not x.size:
        raise ValueError(f"drive must have shape (n_levels,), not empty, got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"drives must be finite, got {x[~np.isfinite(x)][0]}")
    distinct, n_each = np.unique(x, return_counts=True)
    if (n_each > 1).any():
        raise ValueError(
            f"drive {distinct[n_each > 1][0]:g} occurs more than once; add its trials up"
        )
    n = np.asarray(n_trials)
    n = np.broadcast_to(n, x.shape) if n.ndim == 0 else n
    k = np.asarray(n_spikes)
    for name, values in (("n_trials", n), ("n_spikes", k)):
        if values.shape != x.shape or not np.issubdtype(values.dtype, np.integer):
            raise ValueError(
                f"{name} must be integers of shape {x.shape}, got {values.dtype} of shape "
                f"{values.shape}"
            )
    is_wrong = (n < 1) | (k < 0) | (k > n)
    if is_wrong.any():
        first = int(is_wrong.argmax())
        raise ValueError(
            "need 0 <= n_spikes <= n_trials and n_trials >= 1, got "
            f"{k[first]} of {n[first]} at drive {x[first]:g}"
        )
    return x, n.astype(np.int64), k.astype(np.int64)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be above 0 and below 1, got {confidence!r}")


def _check_overlap(x: Array, n: Integers, k: Integers) -> None:
    """Refuse responses that no finite width fits best."""
    fired, failed = x[k > 0], x[k < n]
    if not fired.size or not failed.size:
        raise ValueError(
            f"the neuron {'never' if not fired.size else 'always'} fires; take drives on both "
            "sides of its threshold"
        )
    if x.size < 2:
        raise ValueError(f"need at least 2 drives, got only {x[0]:g}")
    if failed.max() <= fired.min() or fired.max() <= failed.min():
        border = min(failed.max(), fired.max())
        raise ValueError(
            f"drive {border:g} separates trials with from trials without a spike, so that no "
            "finite width is most likely; take drives closer together or more trials"
        )


def _most_likely(design: Array, n: Integers, k: Integers) -> Array:
    """Coefficients, shape (2,), of the probit model, by Newton's method.

    The log likelihood is concave. Fisher scoring, the usual choice, does not converge for some
    responses with outliers (tried).
    """
    beta = np.zeros(2)
    for _ in range(MOST_STEPS):
        z = design @ beta
        rising, falling = _hazard(z), _hazard(-z)
        score = design.T @ (k * rising - (n - k) * falling)
        weight = k * rising * (rising + z) + (n - k) * falling * (falling - z)
        step = np.linalg.solve((design.T * weight) @ design, score)
        beta = beta + step
        if score @ step < LAST_STEP**2:
            return beta
    raise RuntimeError(f"the probit fit did not converge in {MOST_STEPS} steps")


def _hazard(z: Array) -> Array:
    """Density by distribution function of the standard normal distribution, far tails included."""
    return np.exp(-(z**2) / 2 - log_ndtr(z)) / math.sqrt(2 * math.pi)


def _information(design: Array, n: Integers, z: Array) -> Array:
    """Expected Fisher information of the coefficients, shape (2, 2)."""
    return (design.T * (n * _hazard(z) * _hazard(-z))) @ design


def _deviance(n: Integers, k: Integers, z: Array) -> float:
    """Twice the log likelihood ratio of the frequencies to the probabilities Phi(z)."""
    saturated = xlogy(k, k / n) + xlogy(n - k, (n - k) / n)
    fitted = k * log_ndtr(z) + (n - k) * log_ndtr(-z)
    return float(2 * (saturated - fitted).sum())
