"""Psychometric curves against statsmodels, known truths and hand-made cases."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from ann2brian.analysis.statistics.psychometric import (
    firing_probability,
    fit_probit,
    largest_deviation,
)
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

DRIVES = np.linspace(-1.0, 3.0, 9)


def responses(threshold, width, n_trials=200, seed=0, drives=DRIVES):
    """Spikes at each drive of a neuron with Gaussian noise."""
    p = norm.cdf(drives, threshold, width)
    return np.random.default_rng(seed).binomial(n_trials, p)


def glm(drive, n, k):
    """Probit regression by statsmodels on an intercept and the drive."""
    link = sm.families.links.Probit()
    table = np.column_stack([k, n - np.asarray(k)])
    model = sm.GLM(table, sm.add_constant(drive), family=sm.families.Binomial(link))
    return model.fit(tol=1e-12)


# ---- measured ----


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_firing_probability(confidence):
    """Table of frequencies against the counts and the Wilson interval of statsmodels."""
    n, k = [10, 200, 1, 7], [0, 63, 1, 3]
    table = firing_probability([0.5, -1.0, 3.0, 2.0], n, k, confidence)
    low, high = proportion_confint(np.array(k), np.array(n), 1 - confidence, method="wilson")
    assert table.columns.tolist() == ["drive", "n_trials", "n_spikes", "probability", "low", "high"]
    assert table["drive"].tolist() == [0.5, -1.0, 3.0, 2.0]
    assert table["n_trials"].tolist() == n
    assert table["n_spikes"].tolist() == k
    assert table["probability"].tolist() == [0, 63 / 200, 1, 3 / 7]
    np.testing.assert_allclose(table["low"], low, atol=1e-12)
    np.testing.assert_allclose(table["high"], high, atol=1e-12)


# ---- fitted ----

DATA = {
    "few trials": (DRIVES, 7, responses(0.8, 0.9, 7, seed=3)),
    "many trials": (DRIVES, 100_000, responses(1.0, 0.5, 100_000)),
    "different numbers of trials": ([0.0, 2.0, 1.0, 4.0], [10, 1000, 30, 1], [1, 803, 14, 1]),
    "large drives": (1e6 + 1e3 * DRIVES, 50, responses(1.0, 0.7, 50)),
    "small drives": (1e-9 * DRIVES, 50, responses(1.0, 0.7, 50)),
    "threshold outside the drives": (DRIVES, 300, responses(4.5, 1.0, 300)),
    "single trials that overlap": ([0.0, 1.0, 2.0, 3.0], 1, [0, 1, 0, 1]),
}


@pytest.mark.parametrize("confidence", [0.68, 0.95])
@pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
def test_fit_agrees_with_statsmodels(data, confidence):
    """Estimates, intervals and deviance against a generalised linear model.

    The standard error of the threshold is that of the intercept where drives are measured from
    the threshold, by the slope; statsmodels gives it without a delta method.
    """
    drive, n, k = data
    fit = fit_probit(drive, n, k, confidence)
    # In units near 1, which statsmodels needs more than the code under test.
    centre, scale = np.mean(drive), np.ptp(drive)
    oracle = glm((np.asarray(drive) - centre) / scale, n, k)
    threshold = -oracle.params[0] / oracle.params[1]
    from_threshold = glm((np.asarray(drive) - centre) / scale - threshold, n, k)
    z = norm.ppf((1 + confidence) / 2)
    half = z * from_threshold.bse[0] / from_threshold.params[1]
    factor = math.exp(z * oracle.bse[1] / oracle.params[1])
    width = scale / oracle.params[1]

    close = {"rtol": 1e-6, "atol": 1e-6 * scale}
    np.testing.assert_allclose(fit.threshold, centre + scale * threshold, **close)
    np.testing.assert_allclose(
        [fit.threshold_low, fit.threshold_high],
        centre + scale * (threshold + np.array([-half, half])),
        **close,
    )
    assert [fit.width_low, fit.width, fit.width_high] == pytest.approx(
        [width / factor, width, width * factor], rel=1e-6
    )
    density = norm.pdf(0) / width
    assert [fit.slope_low, fit.slope, fit.slope_high] == pytest.approx(
        [density / factor, density, density * factor], rel=1e-6
    )
    assert fit.deviance == pytest.approx(oracle.deviance, rel=1e-6, abs=1e-8)
    assert fit.degrees_of_freedom == oracle.df_resid
    np.testing.assert_allclose(fit.probability(drive), oracle.fittedvalues, rtol=1e-6, atol=1e-9)


def test_fit_with_an_outlier():
    """A spike far below the threshold, where Fisher scoring, which a GLM uses, goes in circles;
    against Newton's method of statsmodels, trial by trial."""
    drive, k = np.array([-0.47, 0.26, 0.35]), [1, 48, 100]
    spikes = np.repeat([1, 0] * 3, np.column_stack([k, 100 - np.array(k)]).ravel())
    model = sm.Probit(spikes, sm.add_constant(np.repeat(drive, 100)))
    offset, rise = model.fit(method="newton", disp=False).params
    fit = fit_probit(drive, 100, k)
    assert fit.width == pytest.approx(1 / rise, rel=1e-6)
    assert fit.threshold == pytest.approx(-offset / rise, rel=1e-6)
    assert fit.p_value < 1e-6


def test_fit_covers_the_truth():
    """Threshold and width within their intervals in about 95 % of 300 repetitions, and the p value
    below 0.05 in about 5 %; bounds are three and a half binomial standard errors."""
    threshold, width = 1.2, 0.8
    fits = [fit_probit(DRIVES, 200, responses(threshold, width, seed=seed)) for seed in range(300)]
    error = 3.5 * math.sqrt(0.05 * 0.95 / len(fits))
    for inside in (
        [fit.threshold_low < threshold < fit.threshold_high for fit in fits],
        [fit.width_low < width < fit.width_high for fit in fits],
        [fit.p_value > 0.05 for fit in fits],
    ):
        assert np.mean(inside) == pytest.approx(0.95, abs=error)


def test_fit_notices_another_curve():
    """Goodness of fit of a neuron that misses a fifth of its trials at any drive."""
    k = np.random.default_rng(0).binomial(500, 0.8 * norm.cdf(DRIVES, 1.0, 0.5))
    fit = fit_probit(DRIVES, 500, k)
    assert fit.p_value < 1e-6
    assert fit_probit(DRIVES, 500, responses(1.0, 0.5, 500)).p_value > 0.01


def test_fit_of_two_levels_is_exact():
    """Two levels against the line through their probits; there is no goodness of fit."""
    fit = fit_probit([1.0, 3.0], 100, [20, 70])
    low, high = norm.ppf([0.2, 0.7])
    assert fit.width == pytest.approx(2.0 / (high - low))
    assert fit.threshold == pytest.approx(1.0 - low * 2.0 / (high - low))
    assert fit.degrees_of_freedom == 0
    assert math.isnan(fit.p_value)


def test_fit_without_effect_has_a_wide_interval():
    """A drive with next to no effect against an interval of the width without upper end."""
    fit = fit_probit([0.0, 1.0], 10**6, [500_000, 500_001])
    assert fit.width_high == math.inf
    assert fit.slope_low == fit.width_low == 0.0


@pytest.mark.parametrize(
    ("drive", "n", "k", "message"),
    [
        ([0, 1, 2], 5, [0, 0, 0], "never fires"),
        ([0, 1, 2], 5, [5, 5, 5], "always fires"),
        ([1], 5, [3], "at least 2 drives"),
        ([0, 1, 2], 5, [0, 0, 5], "drive 1 separates"),
        ([0, 1, 2], 5, [0, 2, 5], "drive 1 separates"),  # one level with both outcomes
        ([2, 0, 1], 5, [0, 5, 2], "drive 1 separates"),  # the other way round
        ([0, 1, 2], 5, [4, 3, 1], "does not fire more often"),
        ([0, 1], 5, [3, 3], "does not fire more often"),
    ],
)
def test_fit_refuses(drive, n, k, message):
    """Responses without a most likely width against the message."""
    with pytest.raises(ValueError, match=message):
        fit_probit(drive, n, k)


def test_fit_accepts_what_only_just_overlaps():
    """One spike below a level with both outcomes, against the refusal without it."""
    assert 0 < fit_probit([0, 1, 2], 5, [1, 2, 5]).width < 5


# ---- compared ----


def test_largest_deviation():
    """Deviations against the largest z statistic of statsmodels."""
    k = responses(1.0, 0.5, 50)
    expected = norm.cdf(DRIVES, 1.1, 0.5)
    oracle = [
        abs(proportions_ztest(spikes, 50, value=p, prop_var=p)[0])
        for spikes, p in zip(k, expected, strict=True)
    ]
    found = largest_deviation(DRIVES, 50, k, lambda drive: norm.cdf(drive, 1.1, 0.5))
    assert found == pytest.approx(max(oracle))


def test_largest_deviation_tells_theories_apart():
    """The true curve against one with a threshold 0.3 higher."""
    k = responses(1.0, 0.5, 1000)
    assert largest_deviation(DRIVES, 1000, k, norm(1.0, 0.5).cdf) < 4
    assert largest_deviation(DRIVES, 1000, k, norm(1.3, 0.5).cdf) > 10


@pytest.mark.parametrize(
    ("k", "deviation"), [([0, 5], 0.0), ([0, 4], math.inf), ([1, 5], math.inf)]
)
def test_largest_deviation_from_certainty(k, deviation):
    """A neuron without noise, whose theory knows every trial."""
    assert largest_deviation([0.0, 1.0], 5, k, lambda drive: (drive > 0.5) * 1.0) == deviation


@pytest.mark.parametrize("cdf", [lambda x: x, lambda x: 0.5, lambda x: np.full(x.shape, np.nan)])
def test_largest_deviation_refuses(cdf):
    """Functions that are no distribution function."""
    with pytest.raises(ValueError, match=r"probabilities of shape \(2,\)"):
        largest_deviation([0.0, 2.0], 5, [1, 2], cdf)


# ---- refusals of all ----


@pytest.mark.parametrize("function", [firing_probability, fit_probit])
@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan])
def test_confidence_is_refused(function, confidence):
    """Levels that are no probability."""
    with pytest.raises(ValueError, match="confidence must be above 0 and below 1"):
        function(DRIVES, 200, responses(1.0, 1.0), confidence)


@pytest.mark.parametrize(
    ("drive", "n", "k", "message"),
    [
        ([], 5, [], "drive must have shape"),
        ([[0, 1]], 5, [[0, 1]], "drive must have shape"),
        ([0, math.inf], 5, [1, 2], "drives must be finite, got inf"),
        ([0, 2, 2], 5, [1, 2, 3], "drive 2 occurs more than once"),
        ([0, 1], [5, 5, 5], [1, 2], "n_trials must be integers of shape"),
        ([0, 1], 5, [1, 2, 3], "n_spikes must be integers of shape"),
        ([0, 1], 5, [0.2, 0.4], "n_spikes must be integers of shape .2,., got float64"),
        ([0, 1], 5, [1, 6], "got 6 of 5 at drive 1"),
        ([0, 1], 5, [-1, 2], "got -1 of 5 at drive 0"),
        ([0, 1], [5, 0], [1, 0], "got 0 of 0 at drive 1"),
    ],
)
@pytest.mark.parametrize(
    "function", [firing_probability, fit_probit, lambda *data: largest_deviation(*data, norm.cdf)]
)
def test_responses_are_refused(function, drive, n, k, message):
    """Impossible drives and counts against the message that names them."""
    with pytest.raises(ValueError, match=message):
        function(drive, n, k)
