"""Brian2 against the NumPy reference of noise-trained networks, with the same noise and in law."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.noise import conversion as noise
from ann2brian.models.schemes.noise import reference as noise_reference
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.models.spiking.inputs import Injection
from scipy import stats

from tests.support.networks import (
    BUSIEST,
    COMPILED,
    SETTINGS,
    assert_same,
    everything,
    images_for,
    noisy,
    pooled_network,
    slow_unless,
)

RULES = [
    {"rule": "residual"},
    {"rule": "residual", "start": "drawn"},
    {"rule": "memoryless"},
    {"rule": "both"},
]


def convert(network, **options):
    return noise.convert(network, NoiseOptions(**{"n_steps": 5, **options}))


def with_noise(conversion, n_images, seed=3):
    """Network, injections and what the reference needs, with noise known beforehand."""
    if not conversion.options.has_noise:
        return conversion.spiking, (), None
    drawn = noise_reference.draw(conversion, n_images, seed)
    injections = [
        Injection(target=name, variable="eps", values=values) for name, values in drawn.items()
    ]
    return conversion.with_given_noise, injections, drawn


def leaky_case(network):
    """Leaky neurons with both kinds of memory, 17 images, and what the reference does with them."""
    images = images_for(network, 17)
    conversion = convert(network, rule="both", leak=0.5)
    spiking, injections, drawn = with_noise(conversion, 17)
    return spiking, injections, images, noise_reference.run(conversion, images, drawn)


@pytest.fixture(scope="module")
def case():
    """A network with every kind of pooling."""
    return leaky_case(noisy(pooled_network()))


@pytest.mark.parametrize("settings", [SETTINGS[i] for i in (0, 3, 6, 7, 9, 10)], ids=str)
def test_given_noise_equals_reference(case, settings):
    """The same noise for any number of images side by side, one after another, and processes."""
    spiking, injections, images, reference = case
    run = simulate(spiking, images, target="numpy", record=True, inject=injections, **settings)
    assert_same(run, reference)


@pytest.fixture(scope="module")
def compiled_case():
    """The same with windows of one size: their neurons are of one type, so less is compiled."""
    return leaky_case(noisy(pooled_network((2, 2), (2, 2), (1, 0))))


@pytest.mark.parametrize(
    ("target", "settings"),
    slow_unless(
        lambda target, settings: (target, settings) == ("cpp_standalone", BUSIEST),
        itertools.product(COMPILED, [BUSIEST, SETTINGS[5], SETTINGS[10]]),
    ),
    ids=str,
)
def test_given_noise_equals_reference_on_compiled_targets(compiled_case, target, settings):
    """The compiled targets, for some of the same settings."""
    spiking, injections, images, reference = compiled_case
    run = simulate(spiking, images, target=target, record=True, inject=injections, **settings)
    assert_same(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("target", COMPILED)
def test_windows_of_several_sizes_on_compiled_targets(case, target):
    """Two types of pooling neurons in one compiled network."""
    spiking, injections, images, reference = case
    run = simulate(spiking, images, target=target, record=True, inject=injections, **BUSIEST)
    assert_same(run, reference)


OPTIONS = [
    *({**rule, **how} for rule in RULES for how in ({}, {"leak": 0.5, "n_steps": 4})),
    {"reset": "hard"},
    {"reset": "hard", "leak": 0.25, "has_floor": True},
    {"has_floor": True},
    {"rule": "both", "has_floor": True, "reset": "hard"},
    {"leak": 0.8},
    {"leak": 0.5, "n_steps": 40},  # more halvings than double precision has bits
    {"mean": 0.0},
    {"mean": 0.0, "sigma": 0.75, "rule": "both"},
    {"n_steps": 1},
    {"weight_bits": 4},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_equal_reference(options):
    """Every rule, reset, leak and floor: spikes, scores and potentials at the end."""
    network = noisy(pooled_network((2, 2), (2, 2), (0, 0), seed=4))
    images = images_for(network, 5)
    conversion = convert(network, **options)
    spiking, injections, drawn = with_noise(conversion, 5)
    reference = noise_reference.run(conversion, images, drawn)
    run = simulate(spiking, images, target="numpy", record=True, batch=2, inject=injections)
    assert_same(run, reference)
    for name, potentials in reference.potentials.items():
        found = run.end_potentials[name] / (spiking.unit_volt * 1e3)
        assert np.allclose(found, potentials, rtol=0, atol=1e-12), name


@pytest.mark.parametrize(
    "options",
    [
        {"leak": 0.5, "n_steps": 40, "reset": "hard"},
        {"rule": "memoryless"},
        {"start": "drawn", "leak": 0.5, "has_floor": True},
    ],
    ids=str,
)
def test_options_equal_reference_as_compiled_program(options):
    """The same, where the compiler may reorder and fuse operations."""
    network = noisy(everything(), sigma=0.3)
    images = images_for(network, 5)
    conversion = convert(network, **options)
    spiking, injections, drawn = with_noise(conversion, 5)
    run = simulate(spiking, images, record=True, batch=2, inject=injections, pipelined=True)
    assert_same(run, noise_reference.run(conversion, images, drawn))


@pytest.mark.parametrize("leak", [1.0, 0.5])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_one_step_is_the_network_that_was_trained(leak, reset):
    """U8 of the specification: every unit's spike at N = 1, without noise, is the trained one."""
    network = noisy(everything(), mean=0.75)
    images = images_for(network, 6)
    conversion = convert(network, n_steps=1, leak=leak, reset=reset, weight_bits=24)
    run = simulate(conversion.spiking, images, target="numpy", record=True)
    values = network.activations(images)
    for index, layer in enumerate(run.layers):
        own = run.spikes.where(run.spikes.layer == index)
        fired = np.zeros((6, layer.n_units))
        fired[own.image, own.neuron] = 1
        assert np.array_equal(fired, values[layer.name].reshape(6, -1))
        assert 0 < fired.mean() < 1, layer.name


def repeated(network, n, seed=1):
    return np.repeat(images_for(network, 1, seed), n, axis=0)


DRAWN = [*RULES[1:], {"rule": "diffusive"}, {"rule": "diffusive", "leak": 0.75}]
DRAWN += [{"start": "drawn"}, {"rule": "both", "leak": 0.5}]
HOW = [
    {"batch": 1},
    {"batch": 3, "jobs": 2},
    {"batch": 64, "pipelined": True},
]


@pytest.mark.parametrize("options", DRAWN, ids=str)
def test_drawn_noise_equals_reference(options):
    """Every rule that draws: the same spikes for any batch and number of processes."""
    network = noisy(everything())
    images = images_for(network, 8)
    conversion = convert(network, n_steps=4, **options)
    drawn = noise_reference.draw(conversion, len(images), seed=11)
    reference = noise_reference.run(conversion, images, drawn)
    other = noise_reference.run(conversion, images, noise_reference.draw(conversion, 8, seed=12))
    assert not np.array_equal(reference.scores, other.scores)
    for how in HOW:
        run = simulate(conversion.spiking, images, target="numpy", record=True, seed=11, **how)
        assert_same(run, reference)


@pytest.mark.parametrize(
    ("target", "options"),
    slow_unless(
        lambda target, options: target == "cpp_standalone" and options == DRAWN[1],
        itertools.product(COMPILED, DRAWN),
    ),
    ids=str,
)
def test_drawn_noise_equals_reference_on_compiled_targets(target, options):
    """The same spikes in C++ and in Cython."""
    network = noisy(everything())
    images = images_for(network, 8)
    conversion = convert(network, n_steps=4, **options)
    drawn = noise_reference.draw(conversion, len(images), seed=11)
    reference = noise_reference.run(conversion, images, drawn)
    for how in HOW:
        run = simulate(conversion.spiking, images, target=target, record=True, seed=11, **how)
        assert_same(run, reference)


def test_many_steps_without_memory_are_many_single_steps():
    """U7: mean logits of 64 single steps and of runs of 64 steps, 5 standard errors; variance."""
    n_steps, n_runs = 64, 60
    network = noisy(everything())
    single = convert(network, n_steps=1, rule="memoryless")
    many = convert(network, n_steps=n_steps, rule="memoryless")
    one = simulate(single.spiking, repeated(network, 2000), target="numpy", batch=100, seed=1)
    runs = simulate(many.spiking, repeated(network, n_runs), target="numpy", batch=20, seed=2)
    logits = one.scores[:, -1], runs.scores[:, -1]
    error = np.sqrt(sum(x.var(axis=0, ddof=1) / len(x) for x in logits))
    difference = np.abs(logits[0].mean(axis=0) - logits[1].mean(axis=0))
    assert np.all(difference <= 5 * error)
    ratio = logits[1].var(axis=0, ddof=1) / logits[0].var(axis=0, ddof=1)
    low, high = stats.f.ppf([1e-4, 1 - 1e-4], n_runs - 1, 1999)
    assert np.all((ratio * n_steps > low) & (ratio * n_steps < high))
    # The step that is missing from a wrong number of steps would not pass.
    assert not np.all((ratio * n_steps * 4 > low) & (ratio * n_steps * 4 < high))


def test_a_seed_gives_the_same_noise_again():
    """Runs of Brian2's own noise with equal and with different seeds."""
    network = noisy(everything())
    images = images_for(network, 4)
    spiking = convert(network, rule="both").spiking
    runs = [simulate(spiking, images, target="numpy", seed=seed).scores for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_injection_arrives_at_its_image_phase_and_unit():
    """A current into one unit of a late layer, for one image and step, against no current."""
    network = noisy(pooled_network())
    images = images_for(network, 7)
    conversion = convert(network)
    name = "act3"
    shape = (7, 5, conversion.spiking.population(name).n_units)
    # `v_start` is read only in the first step, so later values must not matter.
    start = np.full(shape, 0.5)
    start[:, 1:] = 100.0
    spiking = conversion.spiking.with_neurons(
        replace(
            conversion.options.neuron,
            equations=conversion.options.neuron.equations.replace(" (constant)", ""),
        )
    )
    run = dict(target="numpy", record=True, batch=3, pipelined=True)
    plain = simulate(conversion.spiking, images, **run)
    same = simulate(
        spiking, images, inject=[Injection(target=name, variable="v_start", values=start)], **run
    )
    assert np.array_equal(plain.scores, same.scores)
    start[5, 0, 11] = 1e6
    other = simulate(
        spiking, images, inject=[Injection(target=name, variable="v_start", values=start)], **run
    )
    layer = plain.layer(name)

    def fired(recording):
        own = recording.spikes.where(recording.spikes.layer == layer)
        found = np.zeros(shape, dtype=bool)
        found[own.image, own.step - recording.layers[layer].onset, own.neuron] = True
        return found

    differs = np.argwhere(fired(plain) != fired(other))
    assert differs.size
    assert {(image, unit) for image, _, unit in differs} == {(5, 11)}
    assert fired(other)[5, :, 11].all()


@pytest.mark.parametrize(
    ("injection", "message"),
    [
        (Injection(target="no", variable="eps", values=np.zeros((2, 5, 4))), "'no': no such layer"),
        (
            Injection(target="act1", variable="eps", values=np.zeros((2, 5, 4))),
            r"'act1': values of shape \(2, 5, 4\)",
        ),
        (
            Injection(target="act4", variable="eps", values=np.full((2, 5, 12), np.nan)),
            "NaN or are infinite",
        ),
        (
            Injection(target="act4", variable="no", values=np.zeros((2, 5, 12))),
            "no variable 'no' to set; there are age, bias, drive, eps",
        ),
        (
            Injection(target="act4", variable="v", values=np.zeros((2, 5, 12))),
            "set 'v' themselves in every phase",
        ),
    ],
)
def test_wrong_injections_are_refused(injection, message):
    """Errors that name the layer and the shape."""
    network = noisy(everything())
    conversion = convert(network, rule="both")
    with pytest.raises(ValueError, match=message):
        simulate(
            conversion.with_given_noise, images_for(network, 2), target="numpy", inject=[injection]
        )
