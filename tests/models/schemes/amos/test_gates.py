"""AMOS gates against closed forms, published coefficients and the few-spike recursion."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.networks.layers import ACTIVATIONS
from ann2brian.models.schemes.amos.gate_fits import published_gate, quality
from ann2brian.models.schemes.amos.gates import (
    Gate,
    alpha_for,
    fs_gate,
    fs_spikes,
    pixel_gate,
    relu_gate,
    signed_gate,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

SIZES = st.integers(1, 12)
SCALES = st.floats(1e-3, 1e3)


def with_margin(gate, fraction=1e-6):
    """Gate whose thresholds are lower by a fraction of the smallest bit: no ties by rounding."""
    return replace(gate, thresholds=gate.thresholds - fraction * gate.outputs[-1])


def sentence(gate, x):
    """Decisions by the defining equations, neuron by neuron, for one drive."""
    s = []
    for i in range(gate.n_neurons):
        u = x - sum(gate.inhibition[i, j] * s[j] for j in range(i)) - gate.thresholds[i]
        s.append(u >= 0 if gate.inclusive else u > 0)
    return s


def pattern(spikes):
    return "".join("01"[int(s)] for s in spikes)


# --- ReLU: closed form -----------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1.0, 2.0, 25.0])
@pytest.mark.parametrize("n_neurons", range(1, 13))
def test_relu_on_multiples_of_the_step(n_neurons, alpha):
    """A1: y = q clip(j, 0, 2^K - 1) at x = j q, exactly, with and without a margin for ties."""
    q = alpha * 2.0**-n_neurons
    j = np.arange(-5, 2**n_neurons + 6)
    expected = q * np.clip(j, 0, 2**n_neurons - 1)
    for gate in (relu_gate(n_neurons, alpha), with_margin(relu_gate(n_neurons, alpha))):
        np.testing.assert_array_equal(gate(j * q), expected)


def test_strict_comparison_loses_a_step():
    """Published sets are strict; measured in the note: strict ReLU gives alpha/2 - q, 0 at q."""
    gate = replace(relu_gate(10, 25.0), inclusive=False)
    q = 25.0 / 1024
    assert (gate(q), gate(12.5)) == (0.0, 12.5 - q)


@pytest.mark.parametrize("half_step", [False, True])
@pytest.mark.parametrize("n_neurons", [4, 6, 8, 10, 12])
def test_relu_error_for_uniform_drives(n_neurons, half_step):
    """A1: mean squared error q^2/3, with the half step q^2/12 and no bias (derived), within 1 %."""
    gate = relu_gate(n_neurons, 25.0, half_step=half_step)
    q = 25.0 * 2.0**-n_neurons
    top = 25.0 - q
    n = 400_003  # not commensurate with the steps
    x = (np.arange(n) + 0.5) / n * top
    error = gate(x) - x
    assert np.mean(error**2) == pytest.approx(q**2 / (12 if half_step else 3), rel=0.01)
    assert np.mean(error) == pytest.approx(0.0 if half_step else -q / 2, abs=0.01 * q)


@pytest.mark.parametrize(
    ("x", "spikes", "y"),
    [
        (-1, "0000", 0),
        (0, "0000", 0),
        (0.49, "0000", 0),
        (0.5, "0001", 0.5),
        (3.3, "0110", 3.0),
        (4, "1000", 4.0),
        (7.5, "1111", 7.5),
        (9, "1111", 7.5),
    ],
)
def test_relu_golden_vectors(x, spikes, y):
    """Golden vectors of the method note for K = 4, alpha = 8 (derived)."""
    gate = relu_gate(4, 8.0)
    assert (pattern(gate.spikes(x)), gate(x)) == (spikes, y)


def test_pixels_as_fractions_of_255():
    """A2: K = 8 and alpha = 256/255 reproduce p/255 for all 256 values to 1e-12."""
    p = np.arange(256) / 255
    gate = with_margin(relu_gate(8, alpha_for(1.0, 8)))
    np.testing.assert_allclose(gate(p), p, rtol=0, atol=1e-12)


@settings(deadline=None)  # the machine may be busy
@given(n_neurons=SIZES, alpha=SCALES, part=st.floats(0.0, 1.0, exclude_max=True))
def test_relu_floors_within_its_range(n_neurons, alpha, part):
    """0 <= x - y <= q for x in [0, alpha); the half step brings it to |x - y| <= q/2."""
    x, q = part * alpha, alpha * 2.0**-n_neurons
    rounding = 1e-12 * alpha
    assert -rounding <= x - relu_gate(n_neurons, alpha)(x) <= q + rounding
    if x <= alpha - q:
        y = relu_gate(n_neurons, alpha, half_step=True)(x)
        assert abs(x - y) <= q / 2 + rounding


@settings(deadline=None)  # the machine may be busy
@given(n_neurons=SIZES, alpha=SCALES, x=st.floats(-1e6, 1e6))
def test_relu_spikes_are_the_binary_digits(n_neurons, alpha, x):
    """Spikes of a ReLU gate are the digits of its output over q: at most one per neuron."""
    gate = relu_gate(n_neurons, alpha)
    code = round(float(gate(x) / gate.outputs[-1]))
    assert pattern(gate.spikes(x)) == f"{code:0{n_neurons}b}"


# --- coded input -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_neurons", [1, 4, 8, 12])
def test_pixel_gate_is_exact(n_neurons):
    """All whole numbers from 0 to 2^K - 1 are reproduced, with as many spikes as set bits."""
    p = np.arange(2**n_neurons)
    gate = pixel_gate(n_neurons)
    np.testing.assert_array_equal(gate(p), p)
    np.testing.assert_array_equal(gate.spikes(p).sum(axis=-1), np.bitwise_count(p))


@settings(deadline=None)  # the machine may be busy
@given(n_neurons=SIZES, maximum=SCALES, part=st.floats(-1.0, 1.0, exclude_max=True))
def test_signed_gate_floors(n_neurons, maximum, part):
    """0 <= x - y <= q with q = 2 maximum / 2^K on [-maximum, maximum); zero is exact."""
    gate = signed_gate(n_neurons, maximum)
    x, q = part * maximum, 2.0 * maximum * 2.0**-n_neurons
    assert -1e-12 * maximum <= x - gate(x) <= q + 1e-12 * maximum
    assert gate(0.0) == 0.0
    assert gate(-2.0 * maximum) == -maximum  # a silent gate


# --- published few-spike sets ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "domain", "mse", "max_abs_err", "n_spikes", "levels"),
    [
        ("fs-silu-16", (-8, 12), 3.445e-3, 0.295, 4.17, 86),
        ("fs-silu-16", (-10, 10), 3.009e-3, 0.295, 3.21, 73),
        ("fs-sigmoid-12", (-10, 10), 1.438e-4, 0.0577, 2.74, 34),
        ("fs-sigmoid-12", (-10, 12), 1.003e-3, 0.178, 2.97, 39),
        ("tbpi-silu-4", (-8, 12), 0.03880, 0.47, 1.22, None),
        ("tbpi-silu-8", (-8, 12), 0.00897, 0.28, 2.37, None),
        ("tbpi-silu-12", (-8, 12), 0.00152, 0.11, 3.56, None),
        ("tbpi-silu-16", (-8, 12), 0.00125, 0.11, 4.72, None),
    ],
)
def test_published_sets(name, domain, mse, max_abs_err, n_spikes, levels):
    """A3: coefficients (published) against their quality (measured in the note), within 1 %."""
    gate = published_gate(name)
    report = quality(gate, gate.function, domain)
    assert report.mse == pytest.approx(mse, rel=0.01)
    assert report.max_abs_err == pytest.approx(max_abs_err, rel=0.02)  # quoted with two digits
    assert report.spikes_per_gate == pytest.approx(n_spikes, rel=0.01)
    assert levels is None or report.levels == levels


GOLDEN = """
-8    0000000000000000   0         000000000000   0
-5    0000000000000000   0         000000000001   .010218
-3    0000000000000001  -.148306   000000100001   .053825
-1.5  0000000000000100  -.262171   000011001000   .178770
-.5   0000000000000100  -.262171   010011001000   .398545
0     0000000000010100   .066156   100011001000   .555669
.3    1000000000000100   .138711   100011100001   .589494
1     1000000000101100   .720413   110010100001   .746340
2     1000100000001100  1.749569   110101100001   .883487
3.5   1100000100001100  3.456883   110111100001   .979328
5     1110000100001100  4.948429   111000000000   .999388
8     1111100010001100  7.944287   111000000001  1.009606
"""


@pytest.mark.parametrize("row", GOLDEN.strip().splitlines())
def test_published_golden_vectors(row):
    """A3: spike patterns and outputs of the authors' sets (derived in the note, six digits)."""
    x, *expected = row.split()
    pairs = {"fs-silu-16": expected[:2], "fs-sigmoid-12": expected[2:]}
    for name, (spikes, y) in pairs.items():
        gate = published_gate(name)
        assert pattern(gate.spikes(float(x))) == spikes
        assert gate(float(x)) == pytest.approx(float(y), abs=6e-7)


@pytest.mark.parametrize(
    ("name", "domain", "mse"),
    [("fs-silu-16", (-8, 12), 0.376), ("fs-sigmoid-12", (-10, 10), 0.0597)],
)
def test_shifted_index_is_wrong(name, domain, mse):
    """A3: h read in the convention of find_coeffs.py gives the large errors of the note."""
    gate = published_gate(name)
    h = np.append(gate.inhibition[-1, :-1], 0.0)
    x = np.linspace(*domain, 200_001)
    z = fs_spikes(x, np.roll(h, -1), gate.thresholds)
    error = z @ gate.outputs - ACTIVATIONS[gate.function](x)
    assert np.mean(error**2) > 0.05
    assert np.mean(error**2) == pytest.approx(mse, rel=0.01)


def test_unknown_published_gate():
    """The message lists the names that there are."""
    with pytest.raises(ValueError, match="tbpi-silu-16"):
        published_gate("fs-gelu-16")


# --- AMOS and few-spike neurons --------------------------------------------------------------


def test_restricted_gate_is_a_few_spike_neuron():
    """A4: h_ij = h_j against the time-folded recursion: no mismatch in over 1e6 decisions."""
    rng = np.random.default_rng(5)
    n_decisions = n_fired = 0
    for _ in range(60):
        n = int(rng.integers(1, 17))
        h, d, thresholds = rng.normal(scale=2.0, size=(3, n))
        gate = fs_gate("relu", h, d, thresholds, (-8.0, 8.0))
        x = np.append(rng.normal(scale=4.0, size=3000), thresholds)  # and exact ties
        folded = fs_spikes(x, h, thresholds)
        assert gate.is_restricted
        np.testing.assert_array_equal(gate.spikes(x), folded)
        n_decisions += folded.size
        n_fired += np.count_nonzero(folded)
    assert n_decisions >= 1_000_000
    assert 0.2 < n_fired / n_decisions < 0.8


def random_gate(rng, n, inclusive=False):
    """Gate with free h_ij, on a grid of 1/8, so that ties occur and sums are exact."""
    values = np.round(8 * rng.normal(scale=2.0, size=(n + 2, n))) / 8
    return Gate(
        function="relu",
        thresholds=values[0],
        outputs=values[1],
        inhibition=np.tril(values[2:], k=-1),
        domain=(-8.0, 8.0),
        offset=0.5,
        inclusive=inclusive,
    )


@settings(deadline=None)  # the machine may be busy
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 8), inclusive=st.booleans())
def test_gate_follows_its_definition(seed, n, inclusive):
    """Vectorised decisions and outputs against the equations written out, ties included."""
    rng = np.random.default_rng(seed)
    gate = random_gate(rng, n, inclusive)
    x = np.append(np.round(rng.normal(scale=4.0, size=6) * 8) / 8, gate.thresholds)
    spikes = gate.spikes(x)
    np.testing.assert_array_equal(spikes, [sentence(gate, value) for value in x])
    np.testing.assert_array_equal(gate(x), [0.5 + sum(gate.outputs[row]) for row in spikes])


def test_free_inhibition_is_more_than_a_few_spike_neuron():
    """A gate with free h_ij is told apart, by its flag and by its spikes."""
    gate = random_gate(np.random.default_rng(1), 6)
    x = np.linspace(-8, 8, 1001)
    h = np.append(gate.inhibition[-1, :-1], 0.0)
    assert not gate.is_restricted
    assert np.any(gate.spikes(x) != fs_spikes(x, h, gate.thresholds))


def test_shapes_are_kept():
    """Any shape of drives: one axis of neurons more for spikes, the same for outputs."""
    gate = relu_gate(3, 1.0)
    x = np.linspace(0, 1, 24).reshape(2, 3, 4)
    assert gate.spikes(x).shape == (2, 3, 4, 3)
    assert gate(x).shape == (2, 3, 4)
    np.testing.assert_array_equal(gate(x)[1, 2], gate(x[1, 2]))
    assert gate.spikes(0.7).shape == (3,)


# --- spike counts ----------------------------------------------------------------------------


def test_spikes_of_normal_drives():
    """N4: normal(-.359, 1.462), K = 10, alpha = 25 gives 1.198 spikes per gate (measured).

    Also against the sum over all codes of their probability. As in the published ResNet-20 log
    the probability rises along the chain and levels; here at half of P(x > 0) = .403 (derived),
    there, with other drives, just above a quarter.
    """
    drives = norm(loc=-0.359, scale=1.462)
    n = 400_000
    x = drives.ppf((np.arange(n) + 0.5) / n)
    probability = relu_gate(10, 25.0).spikes(x).mean(axis=0)
    codes = np.arange(1024)
    of_code = np.diff(np.append(drives.cdf(codes * 25.0 / 1024), 1.0))
    digits = codes[:, None] >> np.arange(9, -1, -1) & 1
    np.testing.assert_allclose(probability, of_code @ digits, atol=0.002)  # n points, 512 steps
    assert probability.sum() == pytest.approx(1.198, rel=0.005)  # the note's is a random sample
    assert np.all(np.diff(probability) >= 0)
    assert np.all(probability[:2] < 1e-4)  # the top two bits are wasted with alpha = 25
    assert probability[-1] == pytest.approx(drives.sf(0) / 2, rel=0.01)


# --- refusals --------------------------------------------------------------------------------

GOOD = {
    "function": "relu",
    "thresholds": [1.0, 2.0],
    "outputs": [1.0, 2.0],
    "inhibition": [[0.0, 0.0], [1.0, 0.0]],
    "domain": (0.0, 1.0),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": [1.0, np.nan]}, "thresholds"),
        ({"thresholds": []}, "thresholds"),
        ({"thresholds": [[1.0, 2.0]]}, "thresholds"),
        ({"outputs": [1.0]}, "outputs"),
        ({"inhibition": [[0.0], [1.0]]}, "inhibition"),
        ({"inhibition": [[0.0, 1.0], [1.0, 0.0]]}, "diagonal"),
        ({"inhibition": [[1.0, 0.0], [1.0, 0.0]]}, "diagonal"),
        ({"offset": np.inf}, "offset"),
        ({"domain": (1.0, 1.0)}, "domain"),
    ],
)
def test_malformed_gates_are_refused(change, message):
    """Each malformed field is refused with its name and the gate's."""
    Gate(**GOOD)
    with pytest.raises(ValueError, match=f"gate 'relu'.*{message}"):
        Gate(**(GOOD | change))


@pytest.mark.parametrize(
    "make",
    [
        lambda: relu_gate(0, 1.0),
        lambda: relu_gate(4, 0.0),
        lambda: relu_gate(4, np.inf),
        lambda: pixel_gate(0),
        lambda: signed_gate(4, -1.0),
        lambda: fs_gate("silu", [1.0, 2.0], [1.0], [1.0], (0.0, 1.0)),
        lambda: fs_gate("silu", [1.0], [1.0, 2.0], [1.0], (0.0, 1.0)),
    ],
)
def test_constructors_refuse_nonsense(make):
    """Sizes below one, ranges that are not positive, lengths that differ."""
    with pytest.raises(ValueError, match="gate '"):
        make()


def test_gates_cannot_be_changed():
    """The arrays of a gate are copies, and read-only."""
    thresholds = np.array([1.0, 2.0])
    gate = Gate(**(GOOD | {"thresholds": thresholds}))
    thresholds[0] = 5.0
    assert gate.thresholds[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        gate.outputs[0] = 3.0
