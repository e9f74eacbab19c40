"""Perturbations against theory: closed forms, laws, and what must change nothing."""

import numpy as np
import pytest
from ann2brian.models import biology
from ann2brian.models.biology.wiring import part_of_charge
from ann2brian.models.conversion.draws import GRID_BITS
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import Activation, Conv2D, Dense, Flatten
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.schemes import SCHEMES, convert
from brian2 import ms
from scipy import integrate, stats

from tests.support.networks import assert_same, everything, images_for, noisy, pooled_network

NEUTRAL = {
    "leak": biology.leak(np.inf),
    "refractory": biology.refractory(0 * ms),
    "mismatch": biology.threshold_mismatch(0.0),
    "noise": biology.membrane_noise(0.0),
    "background": biology.background(0.0),
    "currents": biology.synaptic_currents(0.0),
    "weights": biology.weight_noise(0.0),
    "bits": biology.weight_bits(32),
    "jitter": biology.delay_jitter(0.0),
    "failure": biology.transmission_failure(0.0),
    "dead": biology.dead_neurons(0.0),
}
SMALL = {"amos": {"neurons_per_gate": 4}, "albsnn": {}, "burst": {"n_steps": 4}, "noise": {}}


def converted(scheme, network, images, **options):
    kind = SCHEMES[scheme].options
    return convert(network, kind(**(SMALL.get(scheme, {}) | options)), images).spiking


@pytest.fixture(scope="module", params=sorted(SMALL))
def case(request):
    """A small network for each scheme, and what it does unperturbed."""
    if request.param == "albsnn":  # whose layers tests of others do not draw
        network = storage.load_network(storage.trained("digits-albsnn"))
    else:
        network = noisy(pooled_network()) if request.param == "noise" else pooled_network()
    images = images_for(network, 4)
    spiking = converted(request.param, network, images)
    return spiking, images, simulate(spiking, images, target="numpy", record=True)


def test_without_perturbation_nothing_changes(case):
    """Every control at once, spike for spike; and no perturbation at all."""
    spiking, images, plain = case
    control = biology.perturbed(spiking, *NEUTRAL.values(), seed=3)
    assert control.neurons != spiking.neurons
    assert_same(simulate(control, images, target="numpy", record=True, seed=5), plain)
    assert biology.perturbed(spiking) is spiking


def gates_of(n_gates, n_neurons, top):
    """A map of gates that each see a pixel of their own, from 0 to below `top`."""
    side = int(np.sqrt(n_gates))
    coding = InputCoding((side, side, 1), maximum=top - 1, gain=np.ones(1), offset=np.zeros(1))
    layers = (
        Conv2D("copy", ("input",), np.ones((1, 1, 1, 1)), np.zeros(1)),
        Activation("gates", ("copy",), "relu"),
        Flatten("flat", ("gates",)),
        Dense("scores", ("flat",), np.zeros((side * side, 2)), np.zeros(2)),
    )
    network = Network(name="gates", input=coding, layers=layers, classes=("a", "b"))
    calibration = np.full((1, side, side, 1), top - 1)
    options = {"neurons_per_gate": n_neurons, "range_percentile": 100.0}
    return converted("amos", network, calibration, **options)


def test_mismatch_of_an_amos_gate_has_a_closed_form():
    """How many binary codes change by thresholds that miss, each by one unit of the code.

    A threshold that misses by d, less than the smallest one T, changes the code of drives within
    |d| of it. Of neuron i there are 2**(i-1) such places in the range, so that of all drives a
    fraction (2**K - 1) E|d| / range changes: nearly sqrt(2/pi) sigma / T.
    """
    n_neurons, top, side = 3, 256, 60
    spiking = gates_of(side**2, n_neurons, top)
    gates = spiking.population("gates")
    theta = gates.parameters["theta"][:, 0, 0, 0]
    smallest = (theta[0] - theta[1]) / 2 ** (n_neurons - 2)  # T_i are powers of two of it
    whole_range = 2**n_neurons * smallest
    rng = np.random.default_rng(0)
    images = rng.integers(0, top, (6, side, side, 1))
    sigma = 0.15 * smallest

    def codes(network):
        run = simulate(network, images, target="numpy", record=["gates"])
        own = run.spikes
        found = np.zeros((len(images), n_neurons, side**2), dtype=int)
        found[own.image, own.neuron // side**2, own.neuron % side**2] = 1
        return np.einsum("ips,p->is", found, 2 ** np.arange(n_neurons)[::-1])

    shifted = biology.perturbed(
        spiking, biology.threshold_mismatch(sigma / gates.threshold, layers=["gates"]), seed=2
    )
    change = codes(shifted) - codes(spiking)
    is_inside = (images.reshape(6, -1) > smallest / 2) & (
        images.reshape(6, -1) < whole_range - smallest / 2
    )
    n = is_inside.sum()
    expected = (2**n_neurons - 1) * np.sqrt(2 / np.pi) * sigma / (whole_range - smallest)
    fraction = (change != 0)[is_inside].mean()
    # Images share their thresholds, so that a gate counts once.
    error = np.sqrt(expected * (1 - expected) / side**2)
    assert abs(fraction - expected) < 4 * error, (fraction, expected, n)
    assert set(np.unique(change)) == {-1, 0, 1}


def test_transmission_failure_is_thinning():
    """Spikes of neurons that see no other: some of the same ones, each with one probability."""
    network = noisy(everything())
    images = images_for(network, 40)
    spiking = converted("noise", network, images, n_steps=8)
    plain = simulate(spiking, images, target="numpy", record=["act1"])
    p = 0.3
    thinned = simulate(
        biology.perturbed(spiking, biology.transmission_failure(p)),
        images,
        target="numpy",
        record=["act1"],
        seed=4,
    )

    def places(run):
        own = run.spikes
        return set(zip(own.image.tolist(), own.neuron.tolist(), own.step.tolist(), strict=True))

    before, after = places(plain), places(thinned)
    assert after < before
    assert stats.binomtest(len(after), len(before), 1 - p).pvalue > 1e-4
    # Of a rate of n spikes, k arrive with the probabilities of a binomial law.
    counts = np.zeros((2, len(images), spiking.population("act1").n_units), dtype=int)
    for row, run in enumerate((plain, thinned)):
        np.add.at(counts[row], (run.spikes.image, run.spikes.neuron), 1)
    n = np.bincount(counts[0].ravel())[1:].argmax() + 1
    arrived = counts[1][counts[0] == n]
    expected = stats.binom.pmf(np.arange(n + 1), n, 1 - p) * arrived.size
    found = np.bincount(arrived, minlength=n + 1)
    common = expected > 5
    observed = np.append(found[common], found[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    keep = wanted > 0
    assert stats.chisquare(observed[keep], wanted[keep]).pvalue > 1e-4


def test_jitter_below_half_a_step_changes_nothing():
    """Axons that miss by less than what the network waits anyway."""
    network = pooled_network()
    images = images_for(network, 4)
    amos = converted("amos", network, images)
    moved = biology.perturbed(amos, biology.delay_jitter(0.05), seed=1)  # of a slot
    assert all(p.delays.ndim == 1 for p in moved.projections)
    wanted = simulate(amos, images, target="numpy", record=True)
    assert_same(simulate(moved, images, target="numpy", record=True), wanted)
    # Bursts end two intervals before the next phase, and axons are one long.
    burst = converted("burst", network, images)
    late = biology.perturbed(burst, biology.delay_jitter(0.3 * burst.dt_ms * ms), seed=1)
    moves = [
        p.delays - q.delays[:, None]
        for p, q in zip(late.projections, burst.projections, strict=True)
        if p.delays.ndim == 2
    ]
    assert {int(move) for own in moves for move in np.unique(own)} == {-1, 0, 1}
    wanted = simulate(burst, images, target="numpy", record=True)
    assert_same(simulate(late, images, target="numpy", record=True), wanted)


def test_large_jitter_acts():
    """The same networks with axons that miss by several slots."""
    network = pooled_network()
    images = images_for(network, 4)
    for scheme in ("amos", "burst"):
        spiking = converted(scheme, network, images)
        late = biology.perturbed(spiking, biology.delay_jitter(2.0), seed=1)
        plain = simulate(spiking, images, target="numpy")
        assert not np.array_equal(simulate(late, images, target="numpy").scores, plain.scores)


@pytest.mark.parametrize("pause", [1, 2, 3])
def test_refractory_bursts_have_longer_intervals(pause):
    """Least interval of bursts, in simulation steps; a pause of one step is none."""
    network = pooled_network()
    images = images_for(network, 4)
    spiking = converted("burst", network, images)
    plain = simulate(spiking, images, target="numpy", record=True)
    slow = biology.perturbed(spiking, biology.refractory(pause * spiking.dt_ms * ms))
    run = simulate(slow, images, target="numpy", record=True)
    own = run.spikes
    order = np.lexsort([own.step, own.neuron, own.layer, own.image])
    trains = np.stack([own.image, own.layer, own.neuron])[:, order]
    intervals = np.diff(own.step[order])[(np.diff(trains, axis=1) == 0).all(axis=0)]
    assert intervals.min() == pause
    assert np.array_equal(run.scores, plain.scores) == (pause == 1)


def test_leak_of_a_burst_neuron_is_that_of_its_membrane():
    """First layer of a burst network, whose current is constant, step by step in plain Python."""
    network = pooled_network()
    images = images_for(network, 2)
    spiking = converted("burst", network, images)
    tau_ms = 30.0
    leaky = biology.perturbed(spiking, biology.leak(tau_ms * ms))
    run = simulate(leaky, images, target="numpy", record=True)
    name = spiking.stimuli[0].target
    index = [p.name for p in spiking.populations].index(name)
    own = run.spikes.where(run.spikes.layer == index)
    current = spiking.stimuli[0].values(images)
    limit = int(spiking.population(name).parameters["limit"].flat[0])
    step = 2.0 ** (6 - GRID_BITS)
    keep, v, wanted = np.exp(-spiking.dt_ms / tau_ms), np.full(current.shape, 0.5), []
    for phase in range(spiking.n_phases):
        v += current
        for sub in range(spiking.phase_steps):
            v = np.rint(keep * v / step) * step
            fires = (v >= 1) & (sub < limit)
            v -= fires
            wanted += [(i, n, phase * spiking.phase_steps + sub) for i, n in np.argwhere(fires)]
    found = sorted(zip(own.image.tolist(), own.neuron.tolist(), own.step.tolist(), strict=True))
    assert found == sorted(wanted)
    assert len(found) > 100


@pytest.mark.parametrize(("rise", "decay"), [(0, 0), (0, 3), (2, 0), (1, 4), (4, 1), (2, 2)])
def test_part_of_a_charge(rise, decay):
    """Against the integral of the current."""
    times = np.array([0.5, 1.0, 3.0, 10.0, 200.0])
    found = part_of_charge(times, rise, decay)

    def current(t):
        if rise == decay:
            return t / decay**2 * np.exp(-t / decay)
        slow, fast = max(rise, decay), min(rise, decay)
        quick = np.exp(-t / fast) if fast else 0.0
        return (np.exp(-t / slow) - quick) / (slow - fast)

    for time, part in zip(times, found, strict=True):
        exact = 1.0 if rise == decay == 0 else integrate.quad(current, 0, time, epsabs=1e-12)[0]
        assert part == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize(
    ("perturbation", "message"),
    [
        (biology.leak(-1 * ms), "'leak': tau must be at least 0"),
        (biology.leak(1e-3), None),
        (biology.dead_neurons(1.5), "'dead neurons': fraction must be from 0 to 1"),
        (biology.weight_bits(0), "'weight bits': n_bits must be a whole number from 1 to 32"),
        (biology.weight_noise(-1.0), "'weight noise': deviation must be at least 0"),
        (biology.background(3.0), "'background': rate must be from 0 to one a simulation step"),
        (biology.refractory(1 * ms, layers=["act9"]), "'refractory': no layer 'act9'; there are"),
        (biology.threshold_mismatch(1 * ms), "'threshold mismatch': deviation is a voltage"),
        (biology.refractory(float("nan")), "'refractory': pause must be at least 0"),
    ],
    ids=str,
)
def test_what_is_refused(perturbation, message):
    """Strengths out of range or of another kind, by name."""
    network = noisy(everything())
    spiking = converted("noise", network, images_for(network, 1))
    if message is None:
        biology.perturbed(spiking, perturbation)
        return
    with pytest.raises(ValueError, match=message):
        biology.perturbed(spiking, perturbation)


def test_how_perturbations_are_given():
    """Twice the same, things that are none, seeds, and neurons with equations of their own."""
    network = pooled_network()
    images = images_for(network, 1)
    spiking = converted("burst", network, images)
    with pytest.raises(ValueError, match="'leak' comes twice"):
        biology.perturbed(spiking, biology.leak(2.0), biology.leak(3.0))
    with pytest.raises(TypeError, match="a perturbation is needed"):
        biology.perturbed(spiking, 0.3)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        biology.perturbed(spiking, biology.leak(2.0), seed=-1)
    turns = converted("burst", network, images, timing="alternating")
    with pytest.raises(ValueError, match=r"'leak': .*'burst' have a differential equation"):
        biology.perturbed(turns, biology.leak(2.0))


def test_layers_can_be_chosen():
    """Neurons of one layer change, others of the same type do not."""
    network = noisy(everything())
    images = images_for(network, 4)
    spiking = converted("noise", network, images, n_steps=4)
    plain = simulate(spiking, images, target="numpy", record=True)
    late = biology.perturbed(spiking, biology.membrane_noise(0.5, layers=["act4"]))
    run = simulate(late, images, target="numpy", record=True, seed=3)
    for layer in range(3):
        mine, other = (r.spikes.where(r.spikes.layer == layer) for r in (run, plain))
        assert np.array_equal(mine.neuron, other.neuron)
    assert not np.array_equal(run.scores, plain.scores)
