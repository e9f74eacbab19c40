"""Closed forms for noisy neurons against SciPy, against loops, and against neurons in Brian2."""

import math
from fractions import Fraction

import numpy as np
import pytest
from ann2brian.analysis.statistics import noise_theory as theory
from ann2brian.analysis.statistics.psychometric import largest_deviation
from ann2brian.models.conversion.membrane import UNIT_VOLT
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.grids import NOISE_STEP
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.models.schemes.noise.single_neuron import single_neuron
from brian2 import Network, NeuronGroup, mV, prefs, second
from scipy import stats
from scipy.integrate import quad, solve_ivp
from scipy.optimize import minimize_scalar

DRIVES = np.arange(-10, 27, 3) / 16  # in thresholds; 13 of them
N_TRIALS = 3000


def on_grid(values):
    """Values on the grid on which the neurons' drives and means lie."""
    return np.round(np.asarray(values) / NOISE_STEP) * NOISE_STEP


def present(drives, n_steps, *, seed=0, **arguments):
    """Run one neuron with all drives side by side; `arguments` are options, or mean and sigma."""
    noise = {name: arguments.pop(name) for name in ("mean", "sigma") if name in arguments}
    network = single_neuron(NoiseOptions(n_steps=n_steps, **arguments), **noise)
    images = np.asarray(drives, dtype=float).reshape(-1, 1, 1, 1)
    recording = simulate(network, images, batch=len(images), target="numpy", record=True, seed=seed)
    ends = recording.end_potentials["neuron"][:, 0] / (1000 * UNIT_VOLT)  # in thresholds
    return np.diff(recording.scores[:, :, 0], axis=1, prepend=0), ends


# ---- one step ----


@pytest.mark.parametrize(
    "mean, sigma, threshold", [(0.5, 0.3, 1.0), (0.0, 5.0, 15.0), (-2, 0.1, 1)]
)
def test_spike_probability_is_an_integral(mean, sigma, threshold):
    """The probability against the density of the noise, integrated over what reaches threshold."""
    drives = threshold - mean + sigma * np.linspace(-3, 3, 13)
    found = theory.spike_probability(drives, mean, sigma, threshold)
    noise = stats.norm(mean, sigma)
    for drive, p in zip(drives, found, strict=True):
        far = mean + 9 * sigma
        expected, _ = quad(noise.pdf, threshold - drive, far, epsabs=1e-12)
        assert p == pytest.approx(expected, abs=1e-10)


def test_published_probabilities():
    """Test U1 of the specification, and the same without noise: 1 from the threshold on."""
    found = theory.spike_probability([10.0, 15.0, 20.0], 0.0, 5.0, threshold=15.0)
    np.testing.assert_allclose(found, [0.1587, 0.5, 0.8413], atol=1e-4)
    sharp = theory.spike_probability([0.25, 0.5, 0.75], 0.5, [[0.0], [1e-320]])
    assert sharp[0].tolist() == [0, 1, 1]
    assert sharp[1].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("width", [0.3, 0.4, 2.0])
def test_spike_gradient_is_the_slope(width):
    """The bell against differences of the probability, its integral and the peaks of test U2."""
    drives, step = np.linspace(-1, 2, 31), 1e-5
    low, high = (theory.spike_probability(drives + s, 0.5, width) for s in (-step, step))
    slope = theory.spike_gradient(drives, 0.5, width)
    np.testing.assert_allclose(slope, (high - low) / (2 * step), atol=1e-8)
    area, _ = quad(lambda x: float(theory.spike_gradient(x, 0.5, width)), 0.5 - 9 * width, 30)
    assert area == pytest.approx(1, abs=1e-8)
    peaks = {0.3: 1.3298, 0.4: 0.9974}
    if width in peaks:
        assert theory.spike_gradient(0.5, 0.5, width) == pytest.approx(peaks[width], abs=1e-4)


@pytest.mark.parametrize(
    "rule, start, n_steps",
    [("memoryless", "fixed", 4), ("both", "fixed", 1), ("diffusive", "fixed", 1),
     ("residual", "drawn", 1)],
)  # fmt: skip
@pytest.mark.parametrize("mean, sigma, leak", [(0.5, 0.3, 1.0), (0.25, 0.75, 0.5)])
def test_firing_probability_in_brian2(rule, start, n_steps, mean, sigma, leak):
    """How often the neurons fire in a step, for 13 drives, against Phi: 4 standard errors.

    Every step of the memoryless neuron, the first of those that carry something on.
    """
    options = {"rule": rule, "start": start, "leak": leak, "mean": mean, "sigma": sigma}
    spikes, _ = present(np.repeat(DRIVES, N_TRIALS), n_steps, seed=int(100 * sigma), **options)
    assert set(np.unique(spikes)) == {0, 1}
    for in_step in spikes.T:
        counts = in_step.reshape(len(DRIVES), -1).sum(axis=1).astype(int)
        worst = largest_deviation(
            DRIVES, N_TRIALS, counts, lambda x: theory.spike_probability(x, mean, sigma)
        )
        assert worst < 4


def test_wrong_probability_would_be_noticed():
    """The same comparison with noise that acts twice, or a mean that is off by 0.05: refused."""
    spikes, _ = present(np.repeat(DRIVES, N_TRIALS), 1, rule="memoryless", seed=30)
    counts = spikes.reshape(len(DRIVES), -1).sum(axis=1).astype(int)
    for mean, sigma in ((0.5, math.sqrt(2) * 0.3), (0.55, 0.3)):
        worst = largest_deviation(
            DRIVES,
            N_TRIALS,
            counts,
            lambda x, m=mean, s=sigma: theory.spike_probability(x, m, s),
        )
        assert worst > 4


@pytest.mark.parametrize("rule", ["memoryless", "both", "diffusive"])
def test_neurons_without_noise_in_brian2(rule):
    """Spikes of noisy neurons whose noise is 0 against the step function, ties included."""
    drives = np.arange(-16, 33) / 32
    spikes, _ = present(drives, 1, rule=rule, sigma=0.0)
    np.testing.assert_array_equal(spikes[:, 0], theory.spike_probability(drives, 0.5, 0.0))


def test_memoryless_neurons_forget_but_the_others_do_not():
    """Correlation of successive steps against 0: independent steps, or a reset that is carried."""
    found = {}
    for rule in ("memoryless", "both"):
        spikes, _ = present(np.full(4000, 0.5), 2, rule=rule, seed=5)
        found[rule] = np.corrcoef(spikes.T)[0, 1] * math.sqrt(len(spikes))  # standard errors
    assert abs(found["memoryless"]) < 4
    assert found["both"] < -4  # a spike lowers the potential by one threshold


# ---- several steps without noise ----


def loop(drive, n_steps, start):
    """Spikes and final potential, step by step in exact arithmetic."""
    v, count = Fraction(start), 0
    for _ in range(n_steps):
        v += Fraction(drive)
        if v >= 1:
            v -= 1
            count += 1
    return count, float(v)


def test_spike_count_equals_a_loop():
    """Counts and residuals, any sign and ties included, against steps in rational numbers."""
    drives = np.concatenate([np.arange(-24, 41) / 16, [0.3, 0.1, math.pi / 4]])
    for start in (0.0, 0.5, 0.96875):
        for n_steps in (1, 3, 16):
            wanted = np.array([loop(x, n_steps, start) for x in drives.tolist()])
            # 0.3 and the like: sums in floating point are off by 1e-15, never near a tie
            np.testing.assert_array_equal(theory.spike_count(drives, n_steps, start), wanted[:, 0])
            found = theory.residual(drives, n_steps, start)
            np.testing.assert_allclose(found, wanted[:, 1], atol=1e-13)
    assert theory.spike_count(0.7, 0) == 0


@pytest.mark.parametrize("n_steps", [1, 2, 7, 32])
def test_spike_count_in_brian2(n_steps):
    """Test U3: counts and end potentials for 300 dyadic drives against the closed form, exactly."""
    near_ties = (np.arange(n_steps) + 0.5) / n_steps
    drives = np.concatenate(
        [
            np.arange(-32, 161) / 128,
            on_grid(near_ties),
            on_grid(np.random.default_rng(4).random(99)),
        ]
    )
    spikes, ends = present(drives, n_steps)
    np.testing.assert_array_equal(spikes.sum(axis=1), theory.spike_count(drives, n_steps))
    np.testing.assert_array_equal(ends, theory.residual(drives, n_steps))
    inside = (drives >= 0) & (drives <= 1)
    error = spikes.sum(axis=1) / n_steps - drives
    assert np.abs(error[inside]).max() <= 0.5 / n_steps


def test_residual_moments_in_brian2():
    """Test U4: moments of what is carried, for irrational drives, against the uniform: 1 %.

    The drives are rounded to odd multiples of 2**-16, so that no value comes back in 4096 steps.
    """
    drives = np.array([math.sqrt(2) - 1, (math.sqrt(5) - 1) / 2, math.pi - 3])
    drives = (2 * np.round(drives / NOISE_STEP / 2) + 1) * NOISE_STEP
    n_steps = 4096
    network = single_neuron(NoiseOptions(n_steps=n_steps))
    recording = simulate(
        network, drives.reshape(-1, 1, 1, 1), batch=1, target="numpy", traces={"neuron": [0]}
    )
    potential = recording.traces["neuron"][0, : 3 * n_steps] / (1000 * UNIT_VOLT)
    carried = np.where(potential >= 1, potential - 1, potential).reshape(3, n_steps)
    steps = 1 + np.arange(n_steps)
    np.testing.assert_array_equal(carried, theory.residual(drives[:, None], steps))
    mean, sd = theory.residual_moments()
    np.testing.assert_allclose(carried.mean(axis=1), mean, rtol=0.01)
    np.testing.assert_allclose(carried.std(axis=1), sd, rtol=0.01)


def test_residual_moments():
    """Moments of a uniform distribution up to the threshold against scipy.stats, in mV too."""
    for threshold in (1.0, 15.0):
        found = theory.residual_moments(threshold)
        uniform = stats.uniform(0, threshold)
        assert found == pytest.approx((uniform.mean(), uniform.std()))
    # Rational drives are not: a drive of 1/4 from 1/2 visits 0, 1/4, 1/2 and 3/4 only.
    assert theory.residual(0.25, np.arange(1, 9)).tolist() == [0.75, 0, 0.25, 0.5] * 2


# ---- noise in place of the residual ----


def test_distance_from_line():
    """Test U5 of the specification, and the closed form against a search over a fine grid."""
    sigmas = np.array([0.02, 0.1, 12**-0.5, 0.3, 0.35, 0.398, 0.4, 0.5, 3.0])
    x = np.linspace(-1, 2, 300_001)
    line = np.clip(x, 0, 1)
    wanted = [np.abs(stats.norm.cdf((x - 0.5) / s) - line).max() for s in sigmas]
    np.testing.assert_allclose(theory.distance_from_line(sigmas), wanted, atol=1e-8)
    np.testing.assert_allclose(
        theory.distance_from_line([0.0, 12**-0.5, 0.3]), [0.5, 0.0572, 0.0484], atol=1e-4
    )


def test_best_sigma():
    """The best deviation against a minimisation of the distance, and against 0.30 and 0.048."""
    sigma, distance = theory.best_sigma()
    search = minimize_scalar(
        lambda s: float(theory.distance_from_line(s)), bounds=(0.1, 0.6), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    assert sigma == pytest.approx(search.x, abs=1e-7)
    assert distance == pytest.approx(search.fun, abs=1e-7)
    assert (sigma, distance) == pytest.approx((0.30, 0.0484), abs=1e-3)


# ---- diffusive noise ----


@pytest.mark.parametrize("dt_over_tau", [0.05, 0.5, 1.0, 1.9])
def test_diffusion_deviation_solves_the_euler_steps(dt_over_tau):
    """The stationary deviation against the variance that one more Euler step leaves unchanged."""
    variance = float(theory.diffusion_deviation(5.0, dt_over_tau)) ** 2
    after = (1 - dt_over_tau) ** 2 * variance + 5.0**2 * 2 * dt_over_tau
    assert after == pytest.approx(variance, rel=1e-12)


def test_diffusion_deviation_in_continuous_time():
    """The limit of short steps against the integral of what every instant adds and keeps."""
    tau, sigma = 7.0, 3.0
    variance, _ = quad(lambda age: 2 / tau * sigma**2 * math.exp(-2 * age / tau), 0, math.inf)
    assert theory.diffusion_deviation(sigma) == pytest.approx(math.sqrt(variance), rel=1e-8)
    assert theory.diffusion_deviation(sigma, 1e-9) == pytest.approx(sigma, rel=1e-8)


@pytest.fixture
def numpy_target():
    before = prefs.codegen.target
    prefs.codegen.target = "numpy"
    yield
    prefs.codegen.target = before


@pytest.mark.usefixtures("numpy_target")
@pytest.mark.parametrize("dt_over_tau, published", [(0.05, 5.06), (0.5, 5.77)])
def test_diffusion_deviation_in_brian2(dt_over_tau, published):
    """Test U6: Brian2's Euler steps of the textbook equation against the closed form: 2 %."""
    neurons = NeuronGroup(
        20_000,
        "dv/dt = -v/tau + s*sqrt(2/tau)*xi : volt",
        method="euler",
        namespace={"tau": 1e-3 / dt_over_tau * second, "s": 5 * mV},
        dt=1e-3 * second,
    )
    rng = np.random.default_rng(7)
    np.random.seed(7)  # noqa: NPY002 (what Brian2's numpy target draws from)
    neurons.v = 5 * rng.standard_normal(20_000) * mV  # nearly stationary from the start
    Network(neurons).run(5e-3 / dt_over_tau * second)
    expected = theory.diffusion_deviation(5.0, dt_over_tau)
    assert expected == pytest.approx(published, abs=0.01)
    assert np.std(neurons.v / mV) == pytest.approx(float(expected), rel=0.02)


def test_carried_deviation_equals_a_recursion():
    """Deviations after 0, 1, 2, ... steps against the variance, updated step by step."""
    for leak in (0.0, 0.5, 0.9, 1.0):
        variance, found = 0.0, theory.carried_deviation(0.3, leak, np.arange(40))
        for n in range(40):
            assert found[n] == pytest.approx(math.sqrt(variance), rel=1e-12)
            variance = leak**2 * variance + 0.3**2
    assert theory.carried_deviation(0.3, 0.8) == pytest.approx(0.5)  # the 3-4-5 triangle
    assert theory.carried_deviation([0.3, 0.0], 1.0).tolist() == [math.inf, 0.0]


def test_both_ways_to_write_the_noise_agree():
    """The deviation of the textbook equation against that of the project's, one and the same."""
    dt_over_tau = np.array([0.01, 0.3, 1.0])
    step_sigma = 2.0 * np.sqrt(2 * dt_over_tau)
    np.testing.assert_allclose(
        theory.carried_deviation(step_sigma, 1 - dt_over_tau),
        theory.diffusion_deviation(2.0, dt_over_tau),
        rtol=1e-12,
    )


@pytest.mark.parametrize("leak, n_steps", [(0.5, 20), (0.8125, 40), (0.9375, 120), (1.0, 12)])
def test_carried_deviation_in_brian2(leak, n_steps):
    """Deviation over 20 000 trials of the diffusive neuron, far below threshold: 2 %."""
    mean = -4 * leak
    drives = np.full(20_000, (1 - leak) * -4)  # keeps the mean potential where it starts
    spikes, ends = present(
        drives, n_steps, rule="diffusive", leak=leak, mean=mean, sigma=0.25, seed=n_steps
    )
    assert not spikes.any()
    expected = theory.carried_deviation(0.25, leak, n_steps)
    assert ends.std() == pytest.approx(float(expected), rel=0.02)
    assert abs(ends.mean() + 4) < 4 * expected / math.sqrt(len(ends))
    if leak < 1:  # 2 % of the stationary value too
        assert ends.std() == pytest.approx(float(theory.carried_deviation(0.25, leak)), rel=0.02)


# ---- time constants ----


def test_time_constants():
    """Time constants against the factor that they give back, and those of the specification."""
    leak, dt = np.array([0.05, 0.5, 0.9, 0.999]), 2.0
    exact = theory.membrane_time_constant(leak, dt)
    np.testing.assert_allclose(np.exp(-dt / exact), leak, rtol=1e-12)
    euler = theory.membrane_time_constant(leak, dt, integration="euler")
    np.testing.assert_allclose(1 - dt / euler, leak, rtol=1e-12)
    found = theory.membrane_time_constant([0.5, 0.25, 0.2])
    np.testing.assert_allclose(found, [1.443, 0.721, 0.621], atol=5e-4)
    for integration in theory.INTEGRATIONS:
        assert theory.membrane_time_constant(1.0, integration=integration) == math.inf


@pytest.mark.usefixtures("numpy_target")
@pytest.mark.parametrize("integration", theory.INTEGRATIONS)
def test_time_constants_in_brian2(integration):
    """A membrane that Brian2 integrates with the time constant against the leak of the step."""
    leak = 0.3
    tau = float(theory.membrane_time_constant(leak, integration=integration))
    membrane = NeuronGroup(
        1,
        "dv/dt = -v/tau : volt",
        method="exact" if integration == "exact" else "euler",
        namespace={"tau": tau * 1e-3 * second},
        dt=1e-3 * second,
    )
    membrane.v = 1 * mV
    Network(membrane).run(4e-3 * second)
    assert membrane.v[0] / mV == pytest.approx(leak**4, rel=1e-9)


def test_leak_of_the_neurons():
    """Potentials of the noise-free neuron without drive against a decay with its time constant."""
    leak, n_steps = 0.75, 9
    tau = float(theory.membrane_time_constant(leak))
    _, ends = present([0.0], n_steps, leak=leak, mean=0.75)
    # The start is mean / leak, so that the mean is what the first step finds.
    assert ends[0] == pytest.approx(0.75 * math.exp(-(n_steps - 1) / tau), rel=1e-9)


# ---- escape rates ----


def test_escape_rate():
    """The rate against the probability of a step, and its ceiling."""
    u = np.linspace(-1, 3, 9)
    found = theory.escape_rate(u, 0.3, delta_ms=2.0)
    np.testing.assert_allclose(found, stats.norm.sf(1.0, loc=u, scale=0.3) / 2.0, rtol=1e-12)
    assert theory.escape_rate(100.0, 0.3, 2.0) == 0.5


def test_probability_of_rate_solves_the_survivor_equation():
    """Probabilities against 1 - S, S the survivor function, integrated by SciPy."""
    for rate in (0.0, 0.1, 3.0):
        solution = solve_ivp(lambda _, s, r=rate: -r * s, (0, 2.0), [1.0], rtol=1e-10, atol=1e-12)
        found = theory.probability_of_rate(rate, dt_ms=2.0)
        assert found == pytest.approx(1 - solution.y[0, -1], abs=1e-8)
    assert theory.probability_of_rate([1e-12, math.inf]) == pytest.approx([1e-12, 1], rel=1e-9)


def test_rate_of_probability_in_continuous_time():
    """Neurons with that rate, simulated as Poisson processes, against the step's probability."""
    p = theory.spike_probability(DRIVES, 0.5, 0.3)
    rate = theory.rate_of_probability(p, dt_ms=0.5)
    first_spike = np.random.default_rng(3).exponential(1 / rate, (20_000, len(rate)))
    counts = (first_spike < 0.5).sum(axis=0)
    assert largest_deviation(DRIVES, 20_000, counts, lambda _: p) < 4
    # The textbook's rate with delta = dt is another neuron: it misses one step in e.
    textbook = theory.probability_of_rate(theory.escape_rate(DRIVES + 0.5, 0.3))
    assert largest_deviation(DRIVES, 20_000, counts, lambda _: textbook) > 4
    assert textbook[-1] == pytest.approx(1 - 1 / math.e, abs=1e-3)


def test_rates_and_probabilities_are_inverse():
    """Probabilities turned into rates and back against themselves, 0 and 1 included."""
    p = np.array([0.0, 1e-9, 0.3, 0.999, 1.0])
    rate = theory.rate_of_probability(p, dt_ms=0.1)
    np.testing.assert_allclose(theory.probability_of_rate(rate, dt_ms=0.1), p, rtol=1e-12)
    assert (rate[0], rate[-1]) == (0.0, math.inf)
    assert math.copysign(1, rate[0]) == 1


# ---- refusals ----


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: theory.spike_probability(0, 0, -0.1), "sigma must be at least 0, got -0.1"),
        (lambda: theory.spike_probability(0, np.nan, 1), "mean must be finite, got nan"),
        (lambda: theory.spike_probability([0, np.inf], 0, 1), "drive must be finite, got inf"),
        (lambda: theory.spike_gradient(0, 0, [0.3, 0]), "width must be above 0, got 0"),
        (lambda: theory.spike_count(0.5, -1), "n_steps must be at least 0, got -1"),
        (lambda: theory.spike_count(0.5, 4, 1.0), "start must be at least 0 and below 1, got 1"),
        (lambda: theory.residual(0.5, 4, -0.5), "start must be at least 0 and below 1, got -0.5"),
        (lambda: theory.residual_moments(0.0), "threshold must be above 0, got 0"),
        (lambda: theory.distance_from_line(-1), "sigma must be at least 0, got -1"),
        (lambda: theory.diffusion_deviation(1, 2), "dt_over_tau must be at least 0 and below 2"),
        (lambda: theory.carried_deviation(1, 1.5), "leak must be from 0 to 1, got 1.5"),
        (lambda: theory.carried_deviation(1, 0.5, -2), "n_steps must be at least 0, got -2"),
        (lambda: theory.carried_deviation(1, 0.5, np.nan), "n_steps must be a number, got nan"),
        (lambda: theory.membrane_time_constant(0), "leak must be above 0, got 0"),
        (lambda: theory.membrane_time_constant(1.1), "leak must be above 0 and at most 1"),
        (lambda: theory.membrane_time_constant(0.5, 0), "dt_ms must be above 0, got 0"),
        (lambda: theory.membrane_time_constant(0.5, 1, "rk4"), "one of exact, euler, got 'rk4'"),
        (lambda: theory.escape_rate(0, 1, 0), "delta_ms must be above 0, got 0"),
        (lambda: theory.probability_of_rate(-1), "rate must be at least 0, got -1"),
        (lambda: theory.rate_of_probability(1.5), "probability must be from 0 to 1, got 1.5"),
    ],
)  # fmt: skip
def test_refused_values(call, message):
    """Values out of range against the message that names the argument."""
    with pytest.raises(ValueError, match=message):
        call()
