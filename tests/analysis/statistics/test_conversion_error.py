"""Conversion errors against the golden vectors of the burst neuron, plain loops and invariants."""

import math
from fractions import Fraction

import numpy as np
import pytest
from ann2brian.analysis.statistics.conversion_error import (
    CASES,
    NeuronOutcome,
    PoolingOutcome,
    classify,
    conservation_error,
    error_table,
    neuron_errors,
    own_input,
    pooling_error,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def burst_neuron(inputs, gamma, initial=Fraction(0)):
    """The burst neuron in exact arithmetic: spikes of each step and the final potential."""
    potential, spikes = Fraction(initial), []
    for current in inputs:
        potential += current
        spikes.append(min(max(math.floor(potential), 0), gamma))
        potential -= spikes[-1]
    return spikes, potential


def fractions(*tenths):
    return [Fraction(value, 10) for value in tenths]


# Derived vectors: input, limit of a burst, spikes, final potential; then the case they stand for.
GOLDEN = [
    (fractions(*[23] * 5), 1, [1, 1, 1, 1, 1], 6.5, "residual"),
    (fractions(*[23] * 5), 2, [2, 2, 2, 2, 2], 1.5, "residual"),
    (fractions(*[23] * 5), 3, [2, 2, 2, 3, 2], 0.5, "quantisation"),
    (fractions(34, 0, 0, 0), 1, [1, 1, 1, 0], 0.4, "quantisation"),
    (fractions(34, 0, 0, 0), 2, [2, 1, 0, 0], 0.4, "quantisation"),
    (fractions(34, 0, 0, 0), 3, [3, 0, 0, 0], 0.4, "quantisation"),
    (fractions(12, -20, -10), 1, [1, 0, 0], -2.8, "inactivated"),
    (fractions(12, -20, -10), 5, [1, 0, 0], -2.8, "inactivated"),
    (fractions(-10, 25, 0), 5, [0, 1, 0], 0.5, "quantisation"),
    # Not in the literature: the two remaining cases, and both borders of "inactivated".
    (fractions(12, -5, 0), 5, [1, 0, 0], -0.3, "over-fired"),
    (fractions(5, -15, 2), 5, [0, 0, 0], -0.8, "correct zero"),
    (fractions(10, -10, 0), 5, [1, 0, 0], -1.0, "inactivated"),
    (fractions(5, -5, 0), 5, [0, 0, 0], 0.0, "quantisation"),
    (fractions(10, 10, 0), 1, [1, 1, 0], 0.0, "quantisation"),
    (fractions(20, 10, 0), 1, [1, 1, 1], 0.0, "quantisation"),
    (fractions(20, 20, 0), 1, [1, 1, 1], 1.0, "residual"),
]


@pytest.mark.parametrize(("inputs", "gamma", "spikes", "final", "case"), GOLDEN)
def test_golden_vectors(inputs, gamma, spikes, final, case):
    """Golden vectors against their case, their own input and the conservation of potential."""
    assert burst_neuron(inputs, gamma) == (spikes, Fraction(round(10 * final), 10))
    count = [[sum(spikes)]]
    assert CASES[classify(count, [[final]], 0.0).item()] == case
    mean = float(sum(inputs) / len(inputs))
    assert own_input(count, [[final]], 0.0, len(inputs)).item() == pytest.approx(mean, abs=1e-12)
    total = [[float(sum(inputs))]]
    assert conservation_error(total, count, [[final]], 0.0).item() == pytest.approx(0, abs=1e-12)


def dyadic_layer(seed, gamma, n_steps, initial, n_images=3, n_units=8):
    """Random burst neurons on a grid of 1/64: inputs, counts and final potentials, exact."""
    rng = np.random.default_rng(seed)
    drift = rng.integers(-64, 64 * gamma + 64, (n_images, n_units, 1))
    inputs = (drift + rng.integers(-96, 97, (n_images, n_units, n_steps))) / 64
    counts, final = np.zeros((n_images, n_units)), np.zeros((n_images, n_units))
    for index in np.ndindex(n_images, n_units):
        row = [Fraction(float(value)) for value in inputs[index]]
        spikes, potential = burst_neuron(row, gamma, Fraction(initial))
        counts[index], final[index] = sum(spikes), float(potential)
    return inputs, counts, final


LAYERS = {
    "seed": st.integers(0, 2**32 - 1),
    "gamma": st.sampled_from([1, 2, 5]),
    "n_steps": st.integers(1, 12),
    "initial": st.sampled_from([0.0, 0.25, 0.5]),
}


@settings(max_examples=80, deadline=None)
@given(**LAYERS)
def test_cases_bound_the_error(seed, gamma, n_steps, initial):
    """Error r - ReLU(z) of random burst neurons against what their case says about it."""
    inputs, counts, final = dyadic_layer(seed, gamma, n_steps, initial)
    z = inputs.mean(axis=2)
    np.testing.assert_allclose(own_input(counts, final, initial, n_steps), z, atol=1e-12)
    error = counts / n_steps - np.maximum(z, 0)
    cases = np.array(CASES)[classify(counts, final, initial)]
    tolerance = 1e-12
    bounds = {
        "quantisation": (-1 / n_steps + tolerance, initial / n_steps),
        "residual": (-math.inf, (initial - 1) / n_steps),
        "over-fired": (tolerance, math.inf),
        "inactivated": (1 / n_steps - tolerance, math.inf),
        "correct zero": (0.0, 0.0),
    }
    for case, (low, high) in bounds.items():
        chosen = error[cases == case]
        assert ((chosen >= low - tolerance) & (chosen <= high + tolerance)).all(), case
    assert (z[cases == "over-fired"] > -tolerance).all()
    assert (z[cases == "inactivated"] < tolerance).all()
    sin = cases == "inactivated"
    np.testing.assert_allclose(error[sin], counts[sin] / n_steps, atol=tolerance)


def test_all_cases_occur():
    """Random burst neurons against all five cases, so that the bounds above are not empty."""
    found = set()
    for seed in range(20):
        _, counts, final = dyadic_layer(seed, 1, 8, 0.0)
        found |= set(np.unique(classify(counts, final, 0.0)))
    assert found == set(range(len(CASES)))


@settings(max_examples=40, deadline=None)
@given(**LAYERS)
def test_conservation_is_exact(seed, gamma, n_steps, initial):
    """Conservation on a dyadic grid against zero, bit for bit; a lost spike is found."""
    inputs, counts, final = dyadic_layer(seed, gamma, n_steps, initial)
    total = inputs.sum(axis=2)
    assert (conservation_error(total, counts, final, initial) == 0).all()
    counts[1, 2] += 1
    error = conservation_error(total, counts, final, initial)
    assert error[1, 2] == -1 and np.count_nonzero(error) == 1


def test_bursts_remove_residual_information():
    """Constant input below Gamma against no residual; above the cap against all residual."""
    rates = np.linspace(1.1, 4.9, 20)
    for gamma in (1, 5):
        outcomes = [burst_neuron([Fraction(float(rate))] * 16, gamma) for rate in rates]
        counts = [[sum(spikes) for spikes, _ in outcomes]]
        final = [[float(potential) for _, potential in outcomes]]
        expected = "residual" if gamma == 1 else "quantisation"
        assert {CASES[c] for c in classify(counts, final, 0.0).ravel()} == {expected}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2]], [[0.5]], 0.0), "one shape and not be empty"),
        (([[]], [[]], 0.0), "one shape and not be empty"),
        (([[-1]], [[0.5]], 0.0), "counts must not be negative, the smallest is -1"),
        (([[1]], [[0.5]], 1.0), r"from 0 to below 1, got 1\.0"),
        (([[1]], [[0.5]], -0.5), r"from 0 to below 1, got -0\.5"),
    ],
)
def test_classify_refuses(arguments, message):
    """Arguments that make no neuron against the error message."""
    with pytest.raises(ValueError, match=message):
        classify(*arguments)


def test_own_input_refuses_no_step():
    """No step against the error message."""
    with pytest.raises(ValueError, match="at least one step, got 0"):
        own_input([[1]], [[0.5]], 0.0, 0)


# ---- pooling ----

A, B = [1, 1, 0, 0], [0, 1, 1, 1]


def pooled(rule):
    """Output count of two inputs under a rule, step by step: the largest count so far or OR."""
    total = 0
    for t in range(4):
        if rule == "lateral inhibition":
            total = max(sum(A[: t + 1]), sum(B[: t + 1]))
        else:
            total += max(A[t], B[t])
    return total


@pytest.mark.parametrize(("rule", "error"), [("lateral inhibition", 0), ("or", 1)])
def test_pooling_error_of_the_golden_vector(rule, error):
    """Over-count of two alternating trains against the derived 3 and 4 spikes."""
    counts_in = np.array([sum(A), sum(B)]).reshape(1, 1, 2, 1)
    counts_out = np.full((1, 1, 1, 1), pooled(rule))
    outcome = PoolingOutcome(counts_in=counts_in, counts_out=counts_out, size=(1, 2), stride=(1, 2))
    assert pooling_error(outcome).item() == error


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [((2, 2), (2, 2), (0,) * 4), ((3, 2), (2, 1), (1, 1, 0, 1)), ((3, 3), (2, 2), (1, 2, 0, 1))],
)
def test_pooling_error_by_loops(size, stride, padding):
    """Over-counts of any window geometry against a loop over windows."""
    rng = np.random.default_rng(7)
    counts = rng.integers(0, 9, (2, 6, 7, 3))
    top, bottom, left, right = padding
    rows = (6 + top + bottom - size[0]) // stride[0] + 1
    columns = (7 + left + right - size[1]) // stride[1] + 1
    out = rng.integers(0, 12, (2, rows, columns, 3))
    found = pooling_error(
        PoolingOutcome(counts_in=counts, counts_out=out, size=size, stride=stride, padding=padding)
    )
    for n, i, j, c in np.ndindex(out.shape):
        inside = [
            counts[n, y, x, c]
            for y in range(i * stride[0] - top, i * stride[0] - top + size[0])
            for x in range(j * stride[1] - left, j * stride[1] - left + size[1])
            if 0 <= y < 6 and 0 <= x < 7
        ]
        assert found[n, i, j, c] == out[n, i, j, c] - max(inside)


def pooling_layer(counts_out):
    return PoolingOutcome(
        counts_in=np.array([[3, 1], [0, 2]]).reshape(1, 2, 2, 1),
        counts_out=np.asarray(counts_out).reshape(1, 1, -1, 1),
        size=(2, 2),
        stride=(2, 2),
    )


def test_pooling_error_refuses_other_maps():
    """A map of two windows against the one window of the input."""
    with pytest.raises(ValueError, match=r"shape \(1, 1, 1, 1\), got \(1, 1, 2, 1\)"):
        pooling_error(pooling_layer([3, 3]))


# ---- tables ----


def handmade():
    """One image, six neurons: each case once, quantisation twice."""
    return NeuronOutcome(
        counts=np.array([[2, 3, 1, 1, 0, 1]]),
        final=np.array([[0.5, 1.5, -0.5, -1.5, -0.5, 0.0]]),
        trained=np.array([[0.5, 1.0, 0.0, 0.0, 0.0, 0.25]]),
    )


def test_neuron_errors_pen_and_paper():
    """All measures of six handmade neurons, T = 4, against hand calculation."""
    found = neuron_errors(handmade(), 4, 0.0)
    assert found["quantisation_fraction"] == pytest.approx(2 / 6)
    for case in ("residual", "over_fired", "inactivated", "correct_zero"):
        assert found[f"{case}_fraction"] == pytest.approx(1 / 6)
    # Neurons 2 and 3 fire although the trained activation is 0; only 3 has no input of its own.
    assert found["sin_fraction"] == pytest.approx(2 / 6)
    # Differences 0, -.25, .25, .25, 0, 0.
    assert found["bias"] == pytest.approx(0.25 / 6)
    mean = 1.75 / 6
    deviation = math.sqrt((0.25 + 1 + 0.0625) / 6 - mean**2)
    assert found["relative_rmse"] == pytest.approx(math.sqrt(3 * 0.0625 / 6) / deviation)


@settings(max_examples=40, deadline=None)
@given(**LAYERS)
def test_neuron_errors_random(seed, gamma, n_steps, initial):
    """Fractions of random neurons against loops; they add up to 1."""
    inputs, counts, final = dyadic_layer(seed, gamma, n_steps, initial)
    trained = np.maximum(inputs.mean(axis=2) + 0.5, 0)
    outcome = NeuronOutcome(counts=counts, final=final, trained=trained)
    found = neuron_errors(outcome, n_steps, initial)
    cases = [f"{c.replace(' ', '_').replace('-', '_')}_fraction" for c in CASES]
    assert sum(found[case] for case in cases) == pytest.approx(1.0)
    assert found["residual_fraction"] == pytest.approx(np.mean(final >= 1))
    sin = [c > 0 and a == 0 for c, a in zip(counts.ravel(), trained.ravel(), strict=True)]
    assert found["sin_fraction"] == pytest.approx(np.mean(sin))


def test_relative_rmse_of_constant_activations():
    """Activations without a spread against an undefined measure."""
    outcome = NeuronOutcome(counts=np.ones((2, 3)), final=np.zeros((2, 3)), trained=np.ones((2, 3)))
    found = neuron_errors(outcome, 2, 0.0)
    assert math.isnan(found["relative_rmse"])
    assert found["bias"] == -0.5


def test_error_table_pen_and_paper():
    """Rows of neurons and of pooling against hand values, NaN where a measure does not apply."""
    table = error_table({"act1": handmade(), "pool1": pooling_layer([5])}, 4, 0.0)
    assert table["layer"].tolist() == ["act1", "pool1"]
    assert table["kind"].tolist() == ["burst", "pool"]
    assert table["sin_fraction"].tolist()[0] == pytest.approx(2 / 6)
    assert table["pooling_error"].tolist()[1] == (5 - 3) / 4
    assert table["pooling_error_fraction"].tolist()[1] == 1.0
    assert np.isnan(table.loc[0, ["pooling_error", "pooling_error_fraction"]].astype(float)).all()
    assert np.isnan(table.loc[1, ["residual_fraction", "sin_fraction"]].astype(float)).all()


def test_error_table_names_the_layer():
    """A layer with counts of another shape against the message that names it."""
    broken = NeuronOutcome(counts=np.ones((1, 2)), final=np.ones((1, 3)), trained=np.ones((1, 3)))
    with pytest.raises(ValueError, match="layer 'act2': arrays must have one shape"):
        error_table({"act1": handmade(), "act2": broken}, 4, 0.0)
