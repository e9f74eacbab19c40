"""What is left on the membranes after a step, against the Gaussian assumed in training.

Residual potentials are in units of the threshold. Training replaces them by noise of a normal
distribution with mean `mu` and standard deviation `sigma`; the functions here say how far that is
from the truth. ``sigma = 0`` means that no noise was assumed: all probability lies at `mu`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from ann2brian.models.arrays import Array
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri


def residual_statistics(
    potentials: ArrayLike, mu: float, sigma: float, low: float = -1.0, high: float = 1.5
) -> dict[str, float]:
    """Moments of residual potentials and their distances from the assumed Gaussian.

    Parameters
    ----------
    potentials : array_like, any shape
        Residual potentials in units of the threshold.
    mu, sigma : float
        Mean and standard deviation of the assumed Gaussian, in the same unit; `sigma` at least 0.
    low, high : float
        Ends of the band, both within it, in the same unit.

    Returns
    -------
    dict of str to float
        n (potentials), mean, sd (divides by n), skewness and excess_kurtosis (NaN if all values
        are equal), inside_fraction (of the band), wasserstein_assumed and wasserstein_own
        (Wasserstein-1 distance in units of the threshold, from the assumed Gaussian and from the
        one with the mean and sd of the sample), kolmogorov_smirnov (largest distance between the
        distribution functions of the sample and of the assumed Gaussian, 0 to 1): one row of a
        table.

    Raises
    ------
    ValueError
        If there are no potentials, one is not finite, `mu` or `sigma` is not a finite number,
        `sigma` is below 0 or `low` is not below `high`.

    Notes
    -----
    `wasserstein_assumed` is 0 only for the assumed Gaussian itself; `wasserstein_own` is the part
    that no choice of `mu` and `sigma` by moments would remove, the shape. Both are exact for the
    sample, so that even n values drawn from the very Gaussian are about ``sigma / sqrt(n)`` away.
    """
    values = _sorted(potentials, mu, sigma)
    if not low < high:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    mean = float(values.mean())
    centred = values - mean
    square = centred**2
    sd = math.sqrt(square.mean()) if values[0] < values[-1] else 0.0
    return {
        "n": values.size,
        "mean": mean,
        "sd": sd,
        "skewness": float((square * centred).mean()) / sd**3 if sd else math.nan,
        "excess_kurtosis": float((square * square).mean()) / sd**4 - 3.0 if sd else math.nan,
        "inside_fraction": float(np.mean((values >= low) & (values <= high))),
        "wasserstein_assumed": _wasserstein(values, mu, sigma),
        "wasserstein_own": _wasserstein(values, mean, sd),
        "kolmogorov_smirnov": _kolmogorov_smirnov(values, mu, sigma),
    }


def quantile_table(
    potentials: ArrayLike, mu: float, sigma: float, n_quantiles: int = 99
) -> pd.DataFrame:
    """Quantiles of residual potentials beside those of the assumed Gaussian.

    Parameters
    ----------
    potentials : array_like, any shape
        Residual potentials in units of the threshold.
    mu, sigma : float
        Mean and standard deviation of the assumed Gaussian; `sigma` at least 0.
    n_quantiles : int
        Rows of the table.

    Returns
    -------
    DataFrame
        One row per quantile: probability ((i - 1/2) / n_quantiles, ascending), assumed and sample
        (in units of the threshold). With as many quantiles as potentials, sample holds the sorted
        potentials.

    Raises
    ------
    ValueError
        As in `residual_statistics`, or if `n_quantiles` is below 1.
    """
    values = _sorted(potentials, mu, sigma)
    if n_quantiles < 1:
        raise ValueError(f"n_quantiles must be at least 1, got {n_quantiles!r}")
    probability = (np.arange(n_quantiles) + 0.5) / n_quantiles
    return pd.DataFrame(
        {
            "probability": probability,
            "assumed": mu + sigma * ndtri(probability),
            "sample": np.quantile(values, probability, method="hazen"),
        }
    )


def _sorted(potentials: ArrayLike, mu: float, sigma: float) -> Array:
    """Potentials in ascending order, shape (n,), checked together with the Gaussian."""
    values = np.sort(np.asarray(potentials, dtype=np.float64), axis=None)
    if not values.size:
        raise ValueError(f"need potentials, got shape {np.shape(potentials)}")
    n_wrong = int((~np.isfinite(values)).sum())
    if n_wrong:
        raise ValueError(f"potentials must be finite, {n_wrong} of {values.size} are not")
    if not math.isfinite(mu) or not 0 <= sigma < math.inf:
        raise ValueError(f"mu must be finite and sigma at least 0, got {mu!r} and {sigma!r}")
    return values


def _wasserstein(values: Array, mu: float, sigma: float) -> float:
    """Wasserstein-1 distance of sorted values, shape (n,), from a Gaussian or a point.

    The optimal transport takes the i-th of n equal parts of the Gaussian, from z = a to z = b in
    standard units, to the i-th value c. The integral of ``|c - z|`` times the density over such a
    part is written with the density and the distribution function alone (derived).
    """
    if sigma == 0:
        return float(np.abs(values - mu).mean())
    border = np.linspace(0.0, 1.0, values.size + 1)
    z = ndtri(border)
    density = _density(z)
    c = (values - mu) / sigma
    turn = np.clip(c, z[:-1], z[1:])  # where c - z changes its sign, if it does
    part = c * (2 * ndtr(turn) - border[:-1] - border[1:])
    part += 2 * _density(turn) - density[:-1] - density[1:]
    return float(sigma * part.sum())


def _density(z: Array) -> Array:
    """Density of the standard normal distribution, of the shape of `z`."""
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _kolmogorov_smirnov(values: Array, mu: float, sigma: float) -> float:
    """Largest distance of distribution functions, of sorted values from a Gaussian or a point."""
    if sigma == 0:
        return float(max(np.mean(values < mu), np.mean(values > mu)))
    assumed = ndtr((values - mu) / sigma)
    step = np.arange(values.size + 1) / values.size
    return float(max((step[1:] - assumed).max(), (assumed - step[:-1]).max()))
