"""Functions are known by their values, and others are not taken for them."""

import numpy as np
import pytest
from ann2brian.models.importing.pointwise import GRID, Function, recognised
from ann2brian.models.networks.layers import Activation
from hypothesis import given
from hypothesis import strategies as st

NAMES = ["relu", "silu", "sigmoid", "tanh", "gelu", "gelu_tanh", "hardsigmoid", "hardswish"]


def values(function):
    """What our own layer makes of the grid, in float32 as an evaluator does."""
    layer = Activation("a", ("input",), function.name, function.parameters)
    x = (GRID * function.before).reshape(-1, 1, 1, 1)
    return (function.after * layer.apply(x).ravel()).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_functions_without_parameters(name):
    assert recognised(values(Function(name))) == Function(name)


@given(st.floats(-3, 3), st.floats(0.1, 4))
def test_clip(low, width):
    found = recognised(values(Function("clip", (low, low + width))))
    assert found is not None and found.name == "clip"
    np.testing.assert_allclose(found.parameters, (low, low + width), rtol=1e-6, atol=1e-7)


@given(st.floats(0.2, 3), st.floats(0.3, 2), st.floats(0.3, 2))
def test_elu_of_any_width_and_scale(alpha, before, after):
    """ELU, CELU and SELU are of this kind."""
    wanted = values(Function("elu", (alpha,), before, after))
    found = recognised(wanted)
    assert found is not None and found.name == "elu"
    np.testing.assert_allclose(values(found), wanted, rtol=2e-5, atol=2e-5)


@given(st.floats(0.5, 4))
def test_softplus_and_silu_of_any_slope(beta):
    for function in (Function("softplus", (beta,)), Function("silu", (), beta, 1 / beta)):
        found = recognised(values(function))
        assert found is not None and found.name == function.name
        np.testing.assert_allclose(values(found), values(function), rtol=2e-5, atol=2e-5)


@given(st.floats(-0.9, 0.9))
def test_leaky_relu(slope):
    found = recognised(np.where(GRID > 0, GRID, slope * GRID).astype(np.float32))
    assert found is not None
    if found.name == "leaky_relu":
        np.testing.assert_allclose(found.parameters, slope, rtol=1e-5, atol=1e-12)
    else:  # a slope that rounding takes for none
        assert found.name == "relu" and abs(slope) < 1e-6


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: 2 * x + 1,
        lambda x: x / 2,  # x * sigmoid(0 * x)
        np.sin,
        lambda x: np.clip(x, -50, 50),
        lambda x: np.clip(x, 0, 65504),
        lambda x: np.minimum(x, 100),
        lambda x: x**2,
        lambda x: np.maximum(x, 0) + 0.001,
        lambda x: np.zeros_like(x),
        lambda x: np.where(x > 0, np.inf, 0),
        lambda x: x / (1 + np.abs(x)),
        lambda x: np.where(x > 1, x, 0),
        lambda x: np.maximum(x, 0) ** 2,
    ],
)
def test_others_are_none_of_them(function):
    assert recognised(function(GRID)) is None
