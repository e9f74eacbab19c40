"""How strong a perturbation a network bears: losses of accuracy, where they are reached, intervals.

Answers are right or wrong for each strength, seed of the perturbation and image. Intervals are
those of the pigeonhole bootstrap: seeds and images are drawn anew, each with replacement, and all
strengths take the same draw, since they share seeds and images. It is conservative (Owen 2007).

References
----------
Owen (2007) The pigeonhole bootstrap. Ann Appl Stat 1:386. doi:10.1214/07-AOAS122 (recalled)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ann2brian.models.arrays import Array
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

LEVEL = 0.95  # of confidence
DRAWS = 1000
ROUNDING = 1e-9  # of an accuracy
BEFORE, BEYOND = -np.inf, np.inf  # a crossing that lies outside of what was tested


def losses(
    correct: ArrayLike, control: ArrayLike, *, n_draws: int = DRAWS, seed: int = 0
) -> tuple[Array, Array]:
    """Loss of accuracy at each strength, and the same of bootstrap draws.

    Parameters
    ----------
    correct : array_like of bool, shape (n_strengths, n_seeds, n_images)
        Whether an image is classified correctly.
    control : array_like of bool, shape (n_images,)
        The same without perturbation.
    n_draws, seed : int
        Draws of seeds and images, and the seed of these.

    Returns
    -------
    (ndarray, shape (n_strengths,); ndarray, shape (n_draws, n_strengths))
        Fractions; below 0 where accuracy rises.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    right, base = np.asarray(correct, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if right.ndim != 3 or base.shape != right.shape[2:] or not right.size:
        raise ValueError(
            "correct must have shape (n_strengths, n_seeds, n_images), control (n_images,), got "
            f"{right.shape} and {base.shape}"
        )
    lost = base - right
    seeds, images = draws(right.shape[1], right.shape[2], n_draws, seed)
    drawn = np.einsum("bs,ksi,bi->bk", seeds, lost, images, optimize=True)
    return lost.mean(axis=(1, 2)), drawn


def draws(n_seeds: int, n_images: int, n_draws: int, seed: int) -> tuple[Array, Array]:
    """Weights of seeds and images in each draw, shapes (n_draws, n); those of a draw add to 1."""
    rng = np.random.default_rng(seed)
    seeds, images = (
        rng.multinomial(n, np.full(n, 1 / n), size=n_draws) / n for n in (n_seeds, n_images)
    )
    return seeds, images


def interval(drawn: ArrayLike) -> tuple[float, float]:
    """Ends of the 95 % percentile interval of bootstrap draws, which may be infinite."""
    values = np.asarray(drawn, dtype=np.float64)
    ends = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return float(ends[0]), float(ends[1])


def crossing(
    strengths: Sequence[float] | NDArray, lost: ArrayLike, level: float, *, is_log: bool
) -> float:
    """Strength at which a loss is reached, between those that were tested.

    Parameters
    ----------
    strengths : sequence of float
        Tested ones, from the weakest to the strongest; rising or falling numbers.
    lost : array_like, shape (n_strengths,)
        Loss at each, a fraction.
    level : float
        Loss that is looked for, above 0.
    is_log : bool
        Interpolate the logarithm of the strength.

    Returns
    -------
    float
        `BEFORE`, -inf, if the weakest strength loses as much; `BEYOND`, inf, if the strongest does
        not; nothing is extrapolated.

    Notes
    -----
    Losses are first made monotone by isotonic regression (least squares), then interpolated
    linearly; the first strength that reaches the level counts.
    """
    if level <= 0:
        raise ValueError(f"level must be above 0, got {level!r}")
    fitted = isotonic_regression(np.asarray(lost, dtype=np.float64)).x
    reached = np.flatnonzero(fitted >= level - ROUNDING)
    if not reached.size:
        return BEYOND
    after = int(reached[0])
    if after == 0:
        return BEFORE
    x = np.asarray(strengths, dtype=np.float64)[after - 1 : after + 1]
    x = np.log(x) if is_log else x
    part = (level - fitted[after - 1]) / (fitted[after] - fitted[after - 1])
    found = x[0] + min(part, 1.0) * (x[1] - x[0])
    return float(np.exp(found) if is_log else found)
