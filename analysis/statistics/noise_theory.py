"""Closed forms for noisy integrate-and-fire neurons, to hold measurements against.

The neurons are those of :mod:`models.schemes.noise.neurons`. Potentials, drives, means and
deviations are in thresholds unless `threshold` says otherwise; times are in ms. Every function
takes arrays, which are broadcast against each other, and refuses values out of range with a
ValueError that names the argument.

The noise of a single step is the reconstruction of the specification after the abstract of Jiang
and Zhang (2022), arXiv 2211.05453; each docstring says which of its formulas are published and
which are derived.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from ann2brian.models.arrays import Array
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

INTEGRATIONS = ("exact", "euler")


# ---- one step ----


def spike_probability(
    drive: ArrayLike, mean: ArrayLike, sigma: ArrayLike, threshold: ArrayLike = 1.0
) -> Array:
    """Probability of a spike in a step with Gaussian noise in front of a hard threshold.

    It is the same whether the noise is on the membrane or on the threshold, and holds for escape
    noise in every step of a neuron that carries nothing over, and for all noisy neurons in their
    first step.

    Parameters
    ----------
    drive : array_like
        What the step brings.
    mean, sigma : array_like
        Mean and standard deviation of the noise, `sigma` at least 0.
    threshold : array_like
        In the unit of the three others.

    Returns
    -------
    ndarray
        ``Phi((drive + mean - threshold) / sigma)``, Phi the distribution function of the standard
        normal distribution; without noise 1 from the threshold on and 0 below.

    Notes
    -----
    Derived: a spike comes if ``drive + mean + sigma * N(0, 1) >= threshold``.
    """
    s = _at_least_0("sigma", sigma)
    distance = _finite("drive", drive) + _finite("mean", mean) - _finite("threshold", threshold)
    sharp = np.where(distance >= 0, 1.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # where sigma is 0 or tiny
        return np.where(s > 0, ndtr(distance / s), sharp)


def spike_gradient(
    drive: ArrayLike, mean: ArrayLike, width: ArrayLike, threshold: ArrayLike = 1.0
) -> Array:
    """Slope of `spike_probability` against the drive: what training puts in place of a spike's.

    Parameters
    ----------
    drive, mean, threshold : array_like
        As in `spike_probability`.
    width : array_like
        Standard deviation of the bell, above 0: that of the noise for the exact slope, or larger.

    Returns
    -------
    ndarray
        ``exp(-(drive + mean - threshold)^2 / (2 width^2)) / (width sqrt(2 pi))``, per unit of the
        drive; ``1 / (width sqrt(2 pi))`` at the threshold.

    Notes
    -----
    Derived, as the density of the noise. To sample spikes forwards and to use this bell backwards
    is published code (NSNN, genema/Noisy-Spiking-Neuron-Nets); its use here is the specification's
    reconstruction.
    """
    w = _above_0("width", width)
    distance = _finite("drive", drive) + _finite("mean", mean) - _finite("threshold", threshold)
    with np.errstate(over="ignore"):  # far from the threshold
        return np.exp(-((distance / w) ** 2) / 2) / (w * math.sqrt(2 * math.pi))


# ---- several steps without noise ----


def spike_count(drive: ArrayLike, n_steps: ArrayLike, start: ArrayLike = 0.5) -> Array:
    """Spikes of an integrate-and-fire neuron with soft reset, no leak and a constant drive.

    Parameters
    ----------
    drive : array_like
        In each step; any sign.
    n_steps : array_like of int
        Steps T, at least 0.
    start : array_like
        Initial potential, at least 0 and below 1.

    Returns
    -------
    ndarray
        ``floor(T drive + start)``, but at least 0 and at most T.

    Notes
    -----
    Derived. For 0 <= drive <= 1 the potential after a reset stays from 0 to below 1, so that the
    count is the integer part of everything that came in. From half the threshold this rounds to
    the nearest count, and ``count / T`` is at most 1 / (2 T) away from the drive.
    """
    t = _at_least_0("n_steps", n_steps)
    v = _finite("start", start)
    _refuse("start", v, (v < 0) | (v >= 1), "at least 0 and below 1")
    return np.clip(np.floor(t * _finite("drive", drive) + v), 0.0, t)


def residual(drive: ArrayLike, n_steps: ArrayLike, start: ArrayLike = 0.5) -> Array:
    """Potential of the same neuron after its last step.

    Parameters
    ----------
    drive, n_steps, start : array_like
        As in `spike_count`.

    Returns
    -------
    ndarray
        ``T drive + start`` less the spikes: from 0 to below 1 for 0 <= drive < 1, and drifting
        away without bound outside.

    Notes
    -----
    Derived.
    """
    total = np.asarray(n_steps, dtype=np.float64) * np.asarray(drive) + np.asarray(start)
    return total - spike_count(drive, n_steps, start)


def residual_moments(threshold: ArrayLike = 1.0) -> tuple[Array, Array]:
    """Mean and standard deviation of what that neuron carries from step to step.

    Parameters
    ----------
    threshold : array_like
        Above 0.

    Returns
    -------
    mean, sd : ndarray
        ``threshold / 2`` and ``threshold / sqrt(12)``, in the unit of the threshold.

    Notes
    -----
    Derived: for a constant drive from 0 to the threshold the residual is the fractional part of
    ``T drive + start``; if their ratio is irrational, its values are equidistributed over the steps
    (Weyl's theorem), so that the moments are those of the uniform distribution. A rational ratio
    p/q visits only q values. This is the "moment-matched" noise of the specification.
    """
    theta = _above_0("threshold", threshold)
    return theta / 2, theta / math.sqrt(12)


# ---- noise in place of the residual ----


def distance_from_line(sigma: ArrayLike) -> Array:
    """How far noise training is from the rates of the converted neuron, at mean 1/2.

    Parameters
    ----------
    sigma : array_like
        Standard deviation of the noise in training, at least 0.

    Returns
    -------
    ndarray
        Largest distance over all drives x between the probability of a spike in training,
        ``Phi((x - 1/2) / sigma)``, and the rate of the converted neuron after many steps,
        ``clip(x, 0, 1)``. It is 1/2 without noise, 0.0572 for the moment-matched noise
        (:func:`residual_moments`), 0.0484 for 0.3, and hardly smaller for the best
        (:func:`best_sigma`).

    Notes
    -----
    Derived. The difference is odd about x = 1/2 and monotonic outside 0 to 1, so that it is
    largest either at x = 0, where it is ``Phi(-1 / (2 sigma))``, or where its slope vanishes: at
    ``z = (x - 1/2) / sigma = -sqrt(-2 ln(sigma sqrt(2 pi)))``, if sigma is below 1 / sqrt(2 pi).
    """
    s = _at_least_0("sigma", sigma)
    largest = [max(_at_the_end(v), _inside(v)) if v > 0 else 0.5 for v in s.ravel().tolist()]
    return np.array(largest, dtype=np.float64).reshape(s.shape)


@cache
def best_sigma() -> tuple[float, float]:
    """Deviation of the noise that brings training closest to the converted neuron, at mean 1/2.

    Returns
    -------
    sigma, distance : float
        Where :func:`distance_from_line` is smallest, and its value there.

    Notes
    -----
    Derived: with sigma the distance at the ends of 0 to 1 grows and the one inside shrinks, and
    the larger of the two is smallest where they are equal; solved numerically.
    """
    sigma = brentq(lambda s: _at_the_end(s) - _inside(s), 0.2, 0.39, xtol=1e-14)
    return float(sigma), _at_the_end(float(sigma))


def _at_the_end(sigma: float) -> float:
    """Distance of the two curves at x = 0 and at x = 1, for sigma above 0."""
    return float(ndtr(-0.5 / sigma))


def _inside(sigma: float) -> float:
    """Distance of the two curves where they are equally steep; 0 if that is nowhere."""
    steepness = sigma * math.sqrt(2 * math.pi)
    if steepness >= 1:
        return 0.0
    z = -math.sqrt(-2 * math.log(steepness))
    return abs(float(ndtr(z)) - (0.5 + sigma * z))


# ---- diffusive noise ----


def diffusion_deviation(sigma: ArrayLike, dt_over_tau: ArrayLike = 0.0) -> Array:
    """Stationary deviation of ``dv/dt = -v/tau + sigma sqrt(2/tau) xi``, far from the threshold.

    Parameters
    ----------
    sigma : array_like
        Deviation of the process in continuous time, at least 0, in any unit.
    dt_over_tau : array_like
        Step of Euler's method by the membrane time constant, from 0 (continuous) to below 2.

    Returns
    -------
    ndarray
        ``sigma / sqrt(1 - dt / (2 tau))``, in the unit of `sigma`: too large by half the step's
        share of tau, to first order.

    Notes
    -----
    The process is that of Ornstein and Uhlenbeck, published; its deviation under Euler steps is
    derived, see `carried_deviation`. From a step of 2 tau on Euler's method is unstable.
    """
    step = _at_least_0("dt_over_tau", dt_over_tau)
    _refuse("dt_over_tau", step, step >= 2, "at least 0 and below 2")
    return _at_least_0("sigma", sigma) / np.sqrt(1 - step / 2)


def carried_deviation(
    step_sigma: ArrayLike, leak: ArrayLike, n_steps: ArrayLike = math.inf
) -> Array:
    """Deviation of a potential that gets fresh noise in every step and carries it on.

    Parameters
    ----------
    step_sigma : array_like
        Deviation of the noise of one step, at least 0, in any unit: the `sigma` of the project's
        diffusive neuron.
    leak : array_like
        Factor of the potential from step to step, from 0 to 1.
    n_steps : array_like
        Steps since a start without noise; by default infinitely many.

    Returns
    -------
    ndarray
        ``step_sigma sqrt((1 - leak^(2 n)) / (1 - leak^2))``, in the unit of `step_sigma`; without
        a leak ``step_sigma sqrt(n)``, which grows without bound.

    Notes
    -----
    Derived: the variance obeys ``w' = leak^2 w + step_sigma^2``. A spike subtracts from the
    potential, so this is for neurons that do not fire.
    """
    s = _at_least_0("step_sigma", step_sigma)
    kept = _at_least_0("leak", leak)
    _refuse("leak", kept, kept > 1, "from 0 to 1")
    n = _number("n_steps", n_steps)
    _refuse("n_steps", n, ~(n >= 0), "at least 0")
    with np.errstate(divide="ignore", invalid="ignore"):  # where leak is 1
        leaky = (1 - np.where(kept < 1, kept, 0.0) ** (2 * n)) / (1 - kept**2)
    share = np.where(kept < 1, leaky, n)
    with np.errstate(invalid="ignore"):  # no noise for infinitely long
        return np.where(s > 0, s * np.sqrt(share), 0.0)


def membrane_time_constant(
    leak: ArrayLike, dt_ms: ArrayLike = 1.0, integration: str = "exact"
) -> Array:
    """Membrane time constant that a factor from step to step stands for.

    Parameters
    ----------
    leak : array_like
        Factor of the potential in a step, above 0 and at most 1.
    dt_ms : array_like
        Length of a step in ms, above 0.
    integration : str
        ``"exact"``: the membrane decays as ``exp(-t / tau)``. ``"euler"``: its equation is taken
        in Euler steps, as those of Brian2 with noise are.

    Returns
    -------
    ndarray
        In ms: ``-dt / ln(leak)`` (exact) or ``dt / (1 - leak)`` (Euler); infinite without a leak.

    Notes
    -----
    Derived. The two agree to first order in dt / tau; tau is larger by about dt / 2 in Euler steps.
    """
    if integration not in INTEGRATIONS:
        raise ValueError(
            f"integration must be one of {', '.join(INTEGRATIONS)}, got {integration!r}"
        )
    kept = _above_0("leak", leak)
    _refuse("leak", kept, kept > 1, "above 0 and at most 1")
    dt = _above_0("dt_ms", dt_ms)
    lost = -np.log(kept) if integration == "exact" else 1 - kept
    with np.errstate(divide="ignore"):
        return dt / np.abs(lost)  # abs: the logarithm of 1 is -0 after the sign


# ---- escape rates ----


def escape_rate(
    potential: ArrayLike, sigma: ArrayLike, delta_ms: ArrayLike = 1.0, threshold: ArrayLike = 1.0
) -> Array:
    """Rate of spikes of a neuron in continuous time whose threshold is soft.

    Parameters
    ----------
    potential : array_like
        Noise-free potential.
    sigma : array_like
        Width of the soft threshold, at least 0, in the unit of the potential.
    delta_ms : array_like
        Mean time in ms to a spike far above the threshold, above 0.
    threshold : array_like
        In the unit of the potential.

    Returns
    -------
    ndarray
        ``rho = Phi((potential - threshold) / sigma) / delta``, per ms.

    Notes
    -----
    One of the usual escape rates (published, textbooks). That Gaussian dependence on the distance
    to the threshold stands in for diffusive noise is published too, for input below the threshold;
    it is better with a term for the derivative of the potential, which is not included here.

    References
    ----------
    Gerstner, Kistler (2002) Spiking Neuron Models, Cambridge University Press (second-hand).
    Plesser, Gerstner (2000) Neural Comput 12:367. doi:10.1162/089976600300015835 (abstract)
    """
    return spike_probability(potential, 0.0, sigma, threshold) / _above_0("delta_ms", delta_ms)


def probability_of_rate(rate: ArrayLike, dt_ms: ArrayLike = 1.0) -> Array:
    """Probability of at least one spike in a step with a constant rate.

    Parameters
    ----------
    rate : array_like
        Per ms, at least 0; may be infinite.
    dt_ms : array_like
        Length of the step in ms, above 0.

    Returns
    -------
    ndarray
        ``1 - exp(-rate dt)``: nearly ``rate dt`` for short steps.

    Notes
    -----
    Published (textbooks): the survivor function of a Poisson process. With the rate of
    :func:`escape_rate` and ``delta = dt`` it is ``1 - exp(-p)`` for a step's ``p = Phi(...)``, so
    that a neuron far above its threshold fires in only 63 % of the steps: a step of the noisy
    neurons here is not this rate (derived), see :func:`rate_of_probability`.
    """
    rho = _number("rate", rate)
    _refuse("rate", rho, ~(rho >= 0), "at least 0")
    return -np.expm1(-rho * _above_0("dt_ms", dt_ms))


def rate_of_probability(probability: ArrayLike, dt_ms: ArrayLike = 1.0) -> Array:
    """Constant rate with which a step holds a spike with exactly the given probability.

    Parameters
    ----------
    probability : array_like
        From 0 to 1, e.g. of :func:`spike_probability`.
    dt_ms : array_like
        Length of the step in ms, above 0.

    Returns
    -------
    ndarray
        ``-ln(1 - probability) / dt``, per ms; infinite for a certain spike.

    Notes
    -----
    Derived, the inverse of :func:`probability_of_rate`: an escape-noise neuron of a step is one of
    continuous time with this rate, which is not bounded by 1 / dt.
    """
    p = _at_least_0("probability", probability)
    _refuse("probability", p, p > 1, "from 0 to 1")
    with np.errstate(divide="ignore"):
        rate = -np.log1p(-p) / _above_0("dt_ms", dt_ms)
    return rate + 0.0  # no -0


def _number(name: str, values: ArrayLike) -> Array:
    """Values as an array without NaN."""
    array = np.asarray(values, dtype=np.float64)
    _refuse(name, array, np.isnan(array), "a number")
    return array


def _finite(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    _refuse(name, array, ~np.isfinite(array), "finite")
    return array


def _at_least_0(name: str, values: ArrayLike) -> Array:
    array = _finite(name, values)
    _refuse(name, array, array < 0, "at least 0")
    return array


def _above_0(name: str, values: ArrayLike) -> Array:
    array = _finite(name, values)
    _refuse(name, array, array <= 0, "above 0")
    return array


def _refuse(name: str, values: Array, is_wrong: NDArray[np.bool_], wanted: str) -> None:
    """Raise a ValueError if any value is wrong."""
    if is_wrong.any():
        raise ValueError(f"{name} must be {wanted}, got {values[is_wrong].flat[0]:g}")
