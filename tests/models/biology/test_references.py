"""Perturbed neurons against the same neurons in NumPy, spike for spike."""

import numpy as np
import pytest
from ann2brian.models import biology, philox
from ann2brian.models.biology.membranes import MISMATCH_STEP
from ann2brian.models.conversion.draws import GRID_BITS
from ann2brian.models.conversion.reference import step_by_step
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.noise.conversion import convert
from ann2brian.models.schemes.noise.options import NoiseOptions
from brian2 import Hz, ms, mV

from tests.support.networks import COMPILED, assert_same, everything, images_for, noisy, slow_unless

N_STEPS, N_IMAGES, SEED = 5, 8, 7
HOW = [{"batch": 1}, {"batch": 3, "jobs": 2}, {"batch": 64, "pipelined": True}]
UNIT_MV = 2.0**-6 * 1e3  # threshold


@pytest.fixture(scope="module")
def case():
    """A network with pooling and branches, noise-free units of several steps, and images."""
    network = noisy(everything())
    return convert(network, NoiseOptions(n_steps=N_STEPS)).spiking, images_for(network, N_IMAGES)


def on_grid(values):
    """In thresholds, on the grid of potentials in volts."""
    step = 2.0 ** (6 - GRID_BITS)
    return np.rint(values / step) * step


class Reference:
    """One step of a perturbed neuron: what each perturbation does, by its definition."""

    def __init__(self, spiking, **how):
        self.how, self.rest, self.slow = how, {}, {}
        sizes = [p.n_neurons for p in spiking.populations]
        first = np.cumsum([0, *sizes[:-1]])
        self.numbers = {
            p.name: start + np.arange(p.n_neurons)
            for p, start in zip(spiking.populations, first, strict=True)
        }
        self.parameters = {p.name: p.parameters for p in spiking.populations}

    def drawn(self, law, name, t, stream):
        image = np.arange(N_IMAGES)[:, None]
        return law(philox.key_of(SEED), image, self.numbers[name], t, stream)

    def __call__(self, population, t, v, current, received):
        name, how = population.name, self.how
        v_th = self.parameters[name].get("v_th", np.ones(1)).reshape(-1)
        lives = self.parameters[name].get("lives", np.ones(1)).reshape(-1)
        if "tau" in how:  # of the synapses, in steps
            charge = self.slow.get(name, 0.0) + received if t else received
            received = on_grid((1 - np.exp(-1 / how["tau"])) * charge)
            self.slow[name] = charge - received
        v = (0.5 if t == 0 else v) + current + received
        if "keep" in how:
            v = on_grid(how["keep"] * v)
        if "sigma" in how:
            v = v + how["sigma"] * self.drawn(philox.normal, name, t, 0)
        if "rate" in how:
            up, down = (self.drawn(philox.uniform, name, t, s) < how["rate"] for s in (0, 1))
            v = v + how["size"] * (up.astype(float) - down)
        crosses = (v >= v_th) & (lives > 0)
        if "pause" in how:
            rest = np.maximum(self.rest.get(name, np.zeros(v.shape)) - 1, 0) if t else 0 * v
            crosses &= rest == 0
            self.rest[name] = np.where(crosses, how["pause"], rest)
        spikes = crosses
        if "failure" in how:
            spikes = crosses & (self.drawn(philox.uniform, name, t, 0) >= how["failure"])
        return spikes.astype(float), v - v_th * crosses


CASES = {
    "leak": (biology.leak(4 * ms), {"keep": np.exp(-1 / 4)}),
    "leak, in steps": (biology.leak(4.0), {"keep": np.exp(-1 / 4)}),
    "refractory": (biology.refractory(3 * ms), {"pause": 3}),
    "refractory, up to the next step": (biology.refractory(1.2), {"pause": 2}),
    "mismatch": (biology.threshold_mismatch(0.25), {}),
    "dead": (biology.dead_neurons(0.25), {}),
    "noise": (biology.membrane_noise(0.25), {"sigma": 0.25}),
    "noise, in mV": (biology.membrane_noise(0.25 * UNIT_MV * mV), {"sigma": 0.25}),
    "background": (biology.background(0.25, 0.5), {"rate": 0.25, "size": 0.5}),
    "background, in Hz": (biology.background(250 * Hz, 0.5), {"rate": 0.25, "size": 0.5}),
    "failure": (biology.transmission_failure(0.25), {"failure": 0.25}),
    "currents": (biology.synaptic_currents(2 * ms), {"tau": 2.0}),
}


@pytest.mark.parametrize("name", CASES)
def test_perturbed_neurons_equal_their_reference(case, name):
    """Spikes and scores, for any batch and number of processes; others than unperturbed."""
    spiking, images = case
    perturbation, how = CASES[name]
    perturbed = biology.perturbed(spiking, perturbation, seed=3)
    wanted = step_by_step(perturbed, images, Reference(perturbed, **how))
    plain = simulate(spiking, images, target="numpy", record=True)
    assert not np.array_equal(plain.scores, wanted.scores)
    for settings in HOW:
        run = simulate(perturbed, images, target="numpy", record=True, seed=SEED, **settings)
        assert_same(run, wanted)


@pytest.mark.parametrize(
    ("target", "name"),
    slow_unless(
        lambda target, name: (target, name) == ("cpp_standalone", "all"),
        [(target, name) for target in COMPILED for name in ("all", *CASES)],
    ),
)
def test_perturbed_neurons_equal_numpy_on_compiled_targets(case, target, name):
    """The same spikes as NumPy's, for any batch and number of processes."""
    spiking, images = case
    chosen = [CASES[name][0]] if name != "all" else [p for p, _ in CASES.values()]
    chosen = list({p.name: p for p in chosen}.values())
    perturbed = biology.perturbed(spiking, *chosen, seed=3)
    wanted = simulate(perturbed, images, target="numpy", record=True, seed=SEED)
    for settings in HOW:
        run = simulate(perturbed, images, target=target, record=True, seed=SEED, **settings)
        assert_same(run, wanted)


def test_mismatch_is_what_was_asked_for():
    """Mean and deviation of the thresholds, on their grid."""
    spiking = convert(noisy(everything()), NoiseOptions(n_steps=2)).spiking
    perturbed = biology.perturbed(spiking, biology.threshold_mismatch(0.1), seed=1)
    shifts = np.concatenate(
        [p.parameters["v_th"].ravel() - 1 for p in perturbed.populations if "v_th" in p.parameters]
    )
    assert shifts.size > 300
    assert abs(shifts.mean()) < 4 * 0.1 / np.sqrt(shifts.size)
    assert abs(shifts.std() / 0.1 - 1) < 4 / np.sqrt(2 * shifts.size)
    assert (shifts / MISMATCH_STEP % 1 == 0).all()
