"""Strengths that cost accuracy against closed forms, and intervals against their coverage."""

import numpy as np
import pytest
from ann2brian.analysis.statistics import tolerance
from scipy.stats import norm


@pytest.mark.parametrize("level", [0.01, 0.1, 0.25])
def test_a_straight_loss_is_crossed_where_it_says(level):
    """Loss = strength / 2, on a grid that does not hold the crossing."""
    strengths = np.array([0.01, 0.15, 0.37, 0.8])
    found = tolerance.crossing(strengths, strengths / 2, level, is_log=False)
    assert found == pytest.approx(2 * level)


@pytest.mark.parametrize("order", [1, -1], ids=["rising", "falling"])
def test_a_logarithmic_loss_is_crossed_where_it_says(order):
    """Loss = log2(strength) / 10 from 1 on; or of 1/strength, as of a membrane time constant."""
    strengths = np.array([1.5, 2, 5, 9], dtype=float)
    lost = np.log2(strengths) / 10
    found = tolerance.crossing(strengths**order, lost, 0.15, is_log=True)
    assert found == pytest.approx((2**1.5) ** order)


def test_nothing_is_extrapolated():
    """Outside of what was tested there is no number."""
    assert tolerance.crossing([1, 2, 3], [0.02, 0.1, 0.2], 0.01, is_log=True) == tolerance.BEFORE
    assert tolerance.crossing([1, 2, 3], [0, 0.001, 0.009], 0.01, is_log=True) == tolerance.BEYOND
    assert tolerance.crossing([1, 2, 3], [0, 0, 0.01], 0.01, is_log=False) == 3


def test_losses_that_go_up_and_down_are_made_monotone():
    """Two neighbours out of order count as their mean."""
    found = tolerance.crossing([1, 2, 3, 4], [0.0, 0.06, 0.02, 0.1], 0.04, is_log=False)
    assert found == pytest.approx(2)
    with pytest.raises(ValueError, match="level must be above 0"):
        tolerance.crossing([1, 2], [0, 1], 0, is_log=False)


def test_losses_are_means_over_seeds_and_images():
    """By hand; the draws have the same mean."""
    control = np.array([True, True, True, False])
    correct = np.array(
        [
            [[True, True, True, False], [True, True, False, True]],
            [[False, False, False, False], [True, False, False, False]],
        ]
    )
    lost, drawn = tolerance.losses(correct, control, n_draws=4000)
    np.testing.assert_allclose(lost, [0.0, 5 / 8])
    np.testing.assert_allclose(drawn.mean(axis=0), lost, atol=0.02)
    with pytest.raises(ValueError, match="correct must have shape"):
        tolerance.losses(correct, control[:3])


def test_draws_resample_seeds_and_images():
    """The variance of a draw against the sum of its parts, for a table of row and column effects.

    A mean over rows and columns of a_s + b_i, each drawn anew, varies by var(a)/S + var(b)/I.
    """
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(8), rng.standard_normal(50)
    seeds, images = tolerance.draws(8, 50, 20_000, seed=1)
    np.testing.assert_allclose(seeds.sum(axis=1), 1)
    np.testing.assert_allclose(images.sum(axis=1), 1)
    found = np.einsum("ds,si,di->d", seeds, a[:, None] + b, images, optimize=True)
    assert found.var() == pytest.approx(a.var() / 8 + b.var() / 50, rel=0.05)


def test_intervals_cover_images_as_often_as_they_say():
    """One seed: the loss of independent images, whose interval is that of a proportion."""
    n, p = 400, 0.2
    control = np.ones(n, dtype=bool)
    half = norm.ppf(0.975) * np.sqrt(p * (1 - p) / n)
    lost = np.arange(n) >= p * n
    _, drawn = tolerance.losses(lost[None, None], control, n_draws=4000)
    low, high = tolerance.interval(drawn[:, 0])
    assert low == pytest.approx(p - half, abs=0.005)
    assert high == pytest.approx(p + half, abs=0.005)


def test_an_interval_may_be_open():
    """Draws beyond what was tested are kept, and are an end if there are enough."""
    drawn = np.concatenate([np.linspace(1, 2, 90), np.full(10, np.inf)])
    low, high = tolerance.interval(drawn)
    assert 1 <= low < 1.1
    assert high == np.inf
