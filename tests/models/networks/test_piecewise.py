"""Straight pieces: their largest error against closed forms and dense evaluation, and as ReLUs."""

import numpy as np
import pytest
from ann2brian.models.networks.layers import ACTIVATIONS
from ann2brian.models.networks.piecewise import PiecewiseLinear, piecewise_linear
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit

PARAMETERS = {"elu": (0.7,), "softplus": (2.0,)}
CURVED = sorted(set(ACTIVATIONS) - {"relu", "clip", "hardsigmoid"})


def function(name):
    return lambda x: ACTIVATIONS[name](x, *PARAMETERS.get(name, ()))


@pytest.mark.parametrize("n", [1, 2, 5, 8, 16])
@pytest.mark.parametrize("a", [0.5, 3.0])
def test_square_has_equal_pieces_and_half_the_error_of_chords(n, a):
    """Knots at equal distances and the error a^2 / 2 n^2, half of that of chords, a^2 / n^2."""
    fit = piecewise_linear(np.square, -a, a, n)
    assert np.allclose(fit.knots, np.linspace(-a, a, n + 1), rtol=0, atol=2e-3 * a)
    assert fit.error == pytest.approx(a**2 / (2 * n**2), rel=5e-3 * n)
    chords = np.interp(np.linspace(-a, a, 9999), fit.knots, fit.knots**2)
    largest = np.abs(chords - np.linspace(-a, a, 9999) ** 2).max()
    assert largest == pytest.approx(2 * fit.error, rel=5e-3 * n)


def test_many_pieces_have_the_asymptotic_error_of_free_knots():
    """A convex function against (integral of |f''|^(1/2))^2 / 16 n^2, half of that of chords."""
    x = np.linspace(-6, 9, 100_001)
    slope = expit(2 * x)
    root_curvature = np.sqrt(2 * slope * (1 - slope))  # of softplus with beta = 2
    expected = (root_curvature.mean() * 15) ** 2 / (16 * 32**2)
    fit = piecewise_linear(function("softplus"), -6, 9, 32)
    assert fit.error == pytest.approx(expected, rel=0.06)
    even = np.linspace(-6, 9, 33)
    by_even_knots = np.abs(np.interp(x, even, function("softplus")(even)) - function("softplus")(x))
    assert fit.error < by_even_knots.max() / 4


@pytest.mark.parametrize("ends", [(-4.0, 5.0), (-60.0, 100.0), (0.3, 0.4), (-2.5, -0.1)], ids=str)
@pytest.mark.parametrize("name", CURVED)
def test_reported_error_is_the_largest(name, ends):
    """Every curved activation on wide, narrow and one-sided ranges, on many other points."""
    fit = piecewise_linear(function(name), *ends, 8)
    x = np.linspace(*ends, 200_001)
    distance = np.abs(fit(x) - function(name)(x))
    assert distance.max() == pytest.approx(fit.error, rel=2e-2, abs=1e-12)
    assert fit.n_pieces <= 8
    assert (fit.knots[0], fit.knots[-1]) == ends
    finer = piecewise_linear(function(name), *ends, 16)
    assert finer.error <= fit.error * 0.4 or finer.error < 1e-4 * np.ptp(function(name)(x))


@settings(max_examples=60, deadline=None)
@example("elu", -2.3e-313, 1.0, 1)  # an end next to 0
@given(st.sampled_from(CURVED), st.floats(-9, 9), st.floats(0.01, 20), st.integers(1, 12))
def test_sum_of_relus_is_the_function(name, low, width, most):
    """The terms against the pieces, also beyond the range; spans against the ReLUs at its ends."""
    fit = piecewise_linear(function(name), low, low + width, most)
    terms, constant = fit.terms()
    assert 1 <= len(terms) <= fit.n_pieces
    x = np.linspace(low - width, low + 2 * width, 301)
    relus = np.array([np.maximum(t.scale * x + t.shift, 0) for t in terms])
    found = constant + np.array([t.weight for t in terms]) @ relus
    anchor = fit.knots[np.argmin(np.abs(fit.values - constant))]
    is_followed = (x >= fit.knots[0]) & (x <= fit.knots[-1])
    if any(t.scale > 0 for t in terms) and any(t.scale < 0 for t in terms):
        is_followed[:] = True  # from an anchor within, both last pieces go on
        assert fit.knots[0] < anchor < fit.knots[-1]
    scale = np.abs(fit.values).max() + np.abs(fit.slopes).max() * 3 * width
    assert np.allclose(found[is_followed], fit(x)[is_followed], rtol=0, atol=1e-12 * scale)
    at_ends = [max(t.scale * end + t.shift for end in (low, low + width)) for t in terms]
    assert np.allclose(fit.spans(), at_ends)
    assert min(fit.spans()) > 0


def test_terms_of_two_sides_do_not_take_back_each_other():
    """A square from its minimum: all weights positive, and the sides as large as the function."""
    terms, constant = piecewise_linear(np.square, -2, 2, 8).terms()
    assert constant == pytest.approx(0, abs=0.04)
    assert [t.scale for t in terms] == [1.0] * 4 + [-1.0] * 4
    assert min(t.weight for t in terms) > 0


def test_straight_functions_take_fewer_pieces():
    """A line, a constant and a kink against the pieces and ReLUs that they have."""
    line = piecewise_linear(lambda x: 2 * x + 1, -1, 3, 8)
    assert (line.n_pieces, len(line.terms()[0])) == (1, 1)
    constant = piecewise_linear(np.ones_like, -1, 3, 8)
    assert constant.terms()[0][0].weight == 0 and constant.terms()[1] == 1
    kink = piecewise_linear(np.abs, -1, 3, 8)
    assert kink.n_pieces <= 3 and kink.error < 1e-3
    assert "on [-1, 3]" in repr(kink) and isinstance(kink, PiecewiseLinear)


def test_what_has_no_pieces_is_refused():
    """Ranges without width, and a function that is not finite on its range."""
    for ends in ((1.0, 1.0), (2.0, 1.0), (np.nan, 1.0)):
        with pytest.raises(ValueError, match="low < high"):
            piecewise_linear(np.square, *ends, 4)
    with (
        pytest.raises(ValueError, match=r"not finite on all of \[0, 1\]"),
        np.errstate(all="ignore"),
    ):
        piecewise_linear(np.log, 0.0, 1.0, 4)
