"""Statistics of residual potentials against scipy.stats and closed forms."""

import math

import numpy as np
import pytest
from ann2brian.analysis.statistics.residuals import quantile_table, residual_statistics
from scipy import stats

RNG = np.random.default_rng(0)
SAMPLES = {
    "gaussian": RNG.normal(0.4, 0.3, 1500),
    "uniform": RNG.random((30, 50)),
    "skewed": RNG.exponential(0.5, 1501) - 0.5,
    "rounded, with ties": np.round(RNG.normal(0.5, 0.5, 800), 1),
    "two values": np.array([0.0, 1.0]),
    "one value": np.array([0.7]),
}
GAUSSIANS = [(0.5, 0.3), (0.0, 1.0), (-2.0, 0.01)]


def gaussian_quantiles(mu, sigma, n=200_000):
    return mu + sigma * stats.norm.ppf((np.arange(n) + 0.5) / n)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_moments(name):
    """Moments and the band against scipy.stats and a count."""
    values = SAMPLES[name]
    found = residual_statistics(values, 0.5, 0.3, low=0.0, high=0.7)
    assert found["n"] == values.size
    assert found["mean"] == pytest.approx(stats.tmean(values.ravel()))
    assert found["sd"] == pytest.approx(stats.tstd(values.ravel(), ddof=0), abs=1e-15)
    inside = [0.0 <= v <= 0.7 for v in values.ravel()]
    assert found["inside_fraction"] == sum(inside) / len(inside)
    if values.size > 1:
        described = stats.describe(values, axis=None)
        assert found["skewness"] == pytest.approx(described.skewness, abs=1e-12)
        assert found["excess_kurtosis"] == pytest.approx(described.kurtosis, abs=1e-12)


@pytest.mark.parametrize(("mu", "sigma"), GAUSSIANS)
@pytest.mark.parametrize("name", list(SAMPLES))
def test_distances(name, mu, sigma):
    """Distances from the assumed Gaussian against scipy.stats: exact for distribution functions,
    for transport with 200,000 quantiles in place of the Gaussian."""
    values = SAMPLES[name].ravel()
    found = residual_statistics(values, mu, sigma)
    ks = stats.kstest(values, stats.norm(mu, sigma).cdf, method="asymp").statistic
    assert found["kolmogorov_smirnov"] == pytest.approx(ks, abs=1e-12)
    w = stats.wasserstein_distance(values, gaussian_quantiles(mu, sigma))
    assert found["wasserstein_assumed"] == pytest.approx(w, abs=2e-5)
    own = stats.wasserstein_distance(values, gaussian_quantiles(values.mean(), values.std()))
    assert found["wasserstein_own"] == pytest.approx(own, abs=2e-5)


@pytest.mark.parametrize("mu", [0.5, 0.0, 3.0])
@pytest.mark.parametrize("name", list(SAMPLES))
def test_distances_from_a_point(name, mu):
    """Without assumed noise, distances against those from a sample of equal values."""
    values = SAMPLES[name].ravel()
    found = residual_statistics(values, mu, 0.0)
    point = np.full(3, mu)
    ks = stats.ks_2samp(values, point, method="asymp").statistic
    assert found["kolmogorov_smirnov"] == pytest.approx(ks, abs=1e-12)
    w = stats.wasserstein_distance(values, point)
    assert found["wasserstein_assumed"] == pytest.approx(w, abs=1e-12)
    table = quantile_table(values, mu, 0.0, n_quantiles=4)
    assert table["assumed"].tolist() == [mu] * 4


def test_distances_approach_those_from_a_point():
    """A Gaussian of vanishing width against none."""
    values = SAMPLES["gaussian"]
    narrow, point = (residual_statistics(values, 0.3, sigma) for sigma in (1e-9, 0.0))
    for name in ("wasserstein_assumed", "kolmogorov_smirnov"):
        assert narrow[name] == pytest.approx(point[name], abs=1e-6)


def test_uniform_residual():
    """Evenly spaced values of [0, 1) against the closed forms of the uniform distribution."""
    n = 100_000
    found = residual_statistics((np.arange(n) + 0.5) / n, 0.5, 0.0)
    assert found["mean"] == pytest.approx(0.5)
    assert found["sd"] == pytest.approx(1 / math.sqrt(12))
    assert found["skewness"] == pytest.approx(0.0, abs=1e-9)
    assert found["excess_kurtosis"] == pytest.approx(-1.2)
    assert found["wasserstein_assumed"] == pytest.approx(0.25)
    assert found["kolmogorov_smirnov"] == 0.5
    assert found["inside_fraction"] == 1.0


def test_shift_and_scale():
    """Values of the Gaussian itself: no distance; a shift costs its length, a scale the mean of
    |z|, which is sqrt(2 / pi)."""
    values = gaussian_quantiles(0.0, 1.0, 100_000)
    assert residual_statistics(values, 0.0, 1.0)["wasserstein_assumed"] < 1e-4
    assert residual_statistics(values, 0.7, 1.0)["wasserstein_assumed"] == pytest.approx(0.7)
    wide = residual_statistics(values, 0.0, 3.0)
    assert wide["wasserstein_assumed"] == pytest.approx(2 * math.sqrt(2 / math.pi), rel=1e-4)
    assert wide["wasserstein_own"] < 1e-4


def test_default_band():
    """Values at and beyond the ends of the default band, -1 to 1.5."""
    found = residual_statistics([-1.01, -1.0, 0.0, 1.5, 1.51], 0.0, 1.0)
    assert found["inside_fraction"] == 0.6


def test_equal_values():
    """A sample without spread, whose mean is not exact in binary, against a point."""
    found = residual_statistics([0.1] * 3, 0.1, 0.5)
    assert found["sd"] == 0.0
    assert math.isnan(found["skewness"])
    assert math.isnan(found["excess_kurtosis"])
    assert found["wasserstein_own"] == pytest.approx(0.0, abs=1e-15)
    assert found["wasserstein_assumed"] == pytest.approx(0.5 * math.sqrt(2 / math.pi))


@pytest.mark.parametrize("n_quantiles", [1, 9, 99, 1500])
def test_quantile_table(n_quantiles):
    """Quantiles against scipy.stats and its midpoint rule for samples."""
    values = SAMPLES["uniform"]
    table = quantile_table(values, 0.5, 0.3, n_quantiles)
    assert table.columns.tolist() == ["probability", "assumed", "sample"]
    p = (np.arange(n_quantiles) + 0.5) / n_quantiles
    np.testing.assert_allclose(table["probability"], p)
    np.testing.assert_allclose(table["assumed"], stats.norm.ppf(p, 0.5, 0.3))
    sample = stats.mstats.mquantiles(values.ravel(), p, alphap=0.5, betap=0.5)
    np.testing.assert_allclose(table["sample"], sample)


def test_quantile_table_is_a_probability_plot():
    """One quantile per value against scipy's probability plot, whose plotting positions differ
    by less than one rank, and a straight line for a Gaussian sample."""
    values = SAMPLES["gaussian"]
    table = quantile_table(values, 0.0, 1.0, values.size)
    (assumed, sample), (slope, intercept, _) = stats.probplot(values)
    np.testing.assert_allclose(table["sample"], sample)
    np.testing.assert_allclose(table["assumed"][10:-10], assumed[10:-10], atol=0.01)
    line = np.polyfit(table["assumed"], table["sample"], 1)
    assert line == pytest.approx([slope, intercept], abs=1e-3)


def test_order_and_shape_do_not_matter():
    """A map of potentials against the same values in another order; the input stays as it is."""
    values = SAMPLES["uniform"].copy()
    shuffled = np.random.default_rng(1).permutation(values.ravel())
    assert residual_statistics(values, 0.5, 0.3) == residual_statistics(shuffled, 0.5, 0.3)
    np.testing.assert_array_equal(values, SAMPLES["uniform"])


@pytest.mark.parametrize("function", [residual_statistics, quantile_table])
@pytest.mark.parametrize(
    ("values", "mu", "sigma", "message"),
    [
        ([], 0.0, 1.0, r"need potentials, got shape \(0,\)"),
        ([0.0, math.nan, math.inf], 0.0, 1.0, "2 of 3 are not"),
        ([0.0], 0.0, -1.0, "sigma at least 0, got 0.0 and -1.0"),
        ([0.0], 0.0, math.nan, "sigma at least 0, got 0.0 and nan"),
        ([0.0], math.inf, 1.0, "mu must be finite"),
    ],
)
def test_refusals(function, values, mu, sigma, message):
    """Impossible potentials and Gaussians against the message."""
    with pytest.raises(ValueError, match=message):
        function(values, mu, sigma)


def test_band_and_quantiles_are_refused():
    """An empty band and a table without rows."""
    with pytest.raises(ValueError, match=r"low must be below high, got 1\.0 and 1\.0"):
        residual_statistics([0.0], 0.0, 1.0, low=1.0, high=1.0)
    with pytest.raises(ValueError, match="n_quantiles must be at least 1, got 0"):
        quantile_table([0.0], 0.0, 1.0, 0)
