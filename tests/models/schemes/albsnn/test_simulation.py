"""Brian2 against the NumPy reference of locally binary networks, spike for spike."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.engine.layout import SPARE_SIGNS, lay_out
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.layers import GlobalAvgPool, Spike
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn import reference as albsnn_reference
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.models.spiking.projections import Projection

from tests.support.binary_networks import convolution, dyadic_coding, mixed, norm, step_by_step
from tests.support.networks import CLASSES, COMPILED, SETTINGS, assert_same, images_for

N_IMAGES = 7
EXACT = 1e-12  # of potentials whose leak is no power of two


def convert(network, **options):
    return albsnn.convert(network, AlbsnnOptions(**{"n_steps": 4, **options}))


def check(network, target, n_images=N_IMAGES, options=None, **settings):
    """Run on a target against the reference: spikes, scores, potentials, and that all fire."""
    images = images_for(network, n_images)
    conversion = convert(network, **(options or {}))
    reference = albsnn_reference.run(conversion, images)
    run = simulate(conversion.spiking, images, target=target, record=True, **settings)
    assert_same(run, reference)
    for name, counts in reference.counts.items():
        assert 0.01 < counts.mean() < 0.99, name
    assert bool(run.end_potentials) != settings.get("pipelined", False)
    for name, found in run.end_potentials.items():
        if not name.startswith("pool"):  # these have no potential of their own
            found = found / (conversion.spiking.unit_volt * 1e3)
            assert np.allclose(found, reference.potentials[name], rtol=0, atol=EXACT), name
    return run, reference


@pytest.fixture(scope="module")
def case():
    """Real and binary layers in turn, binary head, 17 images."""
    network = mixed("rbbrb")
    images = images_for(network, 17)
    conversion = convert(network)
    return conversion.spiking, images, albsnn_reference.run(conversion, images)


PATTERNS = ("rrrrr", "bbbbb", "brrrr", "rrrrb", "rbbrr", "rbrbr", "brbrb")
OPTIONS = (
    {},
    {"n_steps": 1},
    {"leak": 1.0},
    {"leak": 0.8},
    {"reset": "soft"},
    {"reset": "soft", "leak": 1.0},
    {"reset": "soft", "leak": 0.8},
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_kinds_of_layers_equal_reference(pattern):
    """Which layers are binary: none, all, the first, the head, those in the middle, every other."""
    check(mixed(pattern), "numpy", batch=3)


@pytest.mark.parametrize("options", OPTIONS[1:], ids=str)
def test_options_equal_reference(options):
    """One step and several, every leak, both resets."""
    check(mixed("brbbr", seed=1), "numpy", options=options, batch=4)


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 70])
def test_numbers_of_channels_equal_reference(channels):
    """Channels of a binary layer before and after it, around the 32 signs of a word."""
    check(mixed("rbbbr", channels), "numpy", n_images=3, batch=3, pipelined=True)


def test_weights_of_few_bits_equal_reference():
    """Real weights of 4 bits, and a step of 2 ms."""
    run, _ = check(mixed("rbrbr"), "numpy", options={"weight_bits": 4, "dt_ms": 2.0}, batch=3)
    assert run.dt_ms == 2.0


# The binary kernels that these hold: grouped rows of 37 channels, strides, the read-out, all.
COMPILED_CASES = [
    pytest.param("cpp_standalone", "rbbrb", {"n_steps": 1}, {"batch": 3}),
    pytest.param("cython", "brrbr", {"reset": "soft", "leak": 1.0}, {"batch": 4}),
    pytest.param(
        "cython",
        "brrbr",
        {"reset": "soft", "leak": 1.0, "n_steps": 1},
        {"batch": 4},
        marks=pytest.mark.slow,
    ),
    *(
        pytest.param(target, pattern, options, settings, marks=pytest.mark.slow)
        for target in COMPILED
        for pattern, options, settings in (
            *((pattern, {}, SETTINGS[3]) for pattern in PATTERNS),
            *(("brbbr", options, {"batch": 4}) for options in OPTIONS[1:]),
            *(("rbbrb", {}, settings) for settings in SETTINGS[::3]),
        )
    ),
]


@pytest.mark.parametrize(("target", "pattern", "options", "settings"), COMPILED_CASES)
def test_compiled_targets_equal_reference(target, pattern, options, settings):
    """C++ standalone and Cython, which read packed signs bit by bit, against the reference."""
    check(mixed(pattern), target, options=options, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 70])
def test_numbers_of_channels_equal_reference_when_compiled(channels):
    """Rows of signs that end before, at and after a word, where the compiled code reads them."""
    check(mixed("bbbbb", channels), "cython", n_images=3, batch=3, pipelined=True)


@pytest.mark.parametrize("leak, reset", [(0.5, "hard"), (1.0, "soft")])
def test_one_step_is_the_network_that_was_trained(leak, reset):
    """Spikes and logits of one step in Brian2 against the trained network's, bit for bit."""
    network = mixed("rbbrb", shape=(19, 14, 2))
    images = images_for(network, 5)
    conversion = convert(network, n_steps=1, leak=leak, reset=reset)
    run = simulate(conversion.spiking, images, target="numpy", record=True)
    values = network.activations(images)
    for index, layer in enumerate(run.layers):
        own = run.spikes.where(run.spikes.layer == index)
        fired = np.zeros((5, layer.n_units))
        fired[own.image, own.neuron] = 1
        assert np.array_equal(fired, values[layer.name].reshape(5, -1))
    assert np.array_equal(run.scores[:, 0], network.forward(images))


def test_several_steps_are_the_layers_step_by_step():
    """Logits of four steps in Brian2 against the layers' own forward pass with leaky units."""
    network = mixed("rbrbb")
    images = images_for(network, 5)
    conversion = convert(network)
    run = simulate(conversion.spiking, images, target="numpy", batch=2)
    expected, _, _ = step_by_step(network, images, 4, 0.5, "hard")
    found = run.scores[:, -1]
    assert np.allclose(found, expected, rtol=0, atol=1e-12)
    assert expected.std() > 0.1


@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_traces_are_potentials_before_the_reset(reset):
    """Membranes of some neurons in every step of an image against drive and leak by hand.

    The drive is that of the spikes that Brian2 itself recorded a step before.
    """
    network = mixed("rbbrr", seed=2)
    images = images_for(network, 1)
    spiking = convert(network, reset=reset).spiking
    neurons = [0, 5, 17, 44]
    run = simulate(
        spiking, images, target="numpy", batch=1, record=True, traces={"act3": neurons, "act1": [3]}
    )
    fired = {layer.name: np.zeros((4, layer.n_units)) for layer in run.layers}
    for index, layer in enumerate(run.layers):
        own = run.spikes.where(run.spikes.layer == index)
        fired[layer.name][own.step - layer.onset, own.neuron] = 1
    found = {name: trace / (1e3 * spiking.unit_volt) for name, trace in run.traces.items()}
    (projection,) = spiking.incoming("act3")
    gain, bias = (spiking.population("act3").parameters[x].ravel() for x in ("gain", "bias"))
    drives = {
        "act3": (projection.forward(fired["pool2"]) * gain + bias)[:, neurons],
        "act1": np.repeat(spiking.stimuli[0].values(images)[:, [3]], 4, axis=0),
    }
    for name, drive in drives.items():
        onset = spiking.population(name).onset
        v = 0.0
        for t in range(4):
            h = 0.5 * v + drive[t]
            assert found[name][:, onset + t].tolist() == h.tolist()
            v = np.where(h >= 1, 0.0 if reset == "hard" else h - 1, h)
    assert (found["act3"] >= 1).any() and (found["act3"] < 1).any()


def test_unused_neurons_rest_between_images():
    """Membranes of a first layer over two images against each other: nothing is carried over."""
    network = mixed("rbbrr", seed=2)
    images = np.repeat(images_for(network, 1), 2, axis=0)
    spiking = convert(network, leak=1.0, reset="soft").spiking
    run = simulate(spiking, images, target="numpy", batch=1, traces={"act1": [0, 1, 2, 3, 4]})
    trace = run.traces["act1"]
    period = spiking.latency_phases
    assert np.array_equal(trace[:, :4], trace[:, period : period + 4])
    assert np.ptp(trace[:, :4], axis=1).min() > 0
    assert (np.ptp(trace[:, 4:period], axis=1) == 0).all()  # no leak, no drive


# ---- packed signs ----


def unpacked(spiking):
    """The same network, its signs as numbers."""
    projections = tuple(
        replace(p, is_binary=False) if isinstance(p, Projection) else p for p in spiking.projections
    )
    return replace(spiking, projections=projections)


@pytest.mark.parametrize(
    "target", ["numpy", *(pytest.param(t, marks=pytest.mark.slow) for t in COMPILED)]
)
def test_packed_signs_do_what_numbers_do(target):
    """Spikes, scores, potentials and event counts of a bit a weight and of numbers."""
    network = mixed("bbbbb")
    images = images_for(network, 5)
    spiking = convert(network).spiking
    packed, real = (
        simulate(s, images, target=target, record=True, batch=2)
        for s in (spiking, unpacked(spiking))
    )
    assert len(packed.spikes) > 1000
    assert_same(packed, real)
    for name, events in real.events_by_step.items():
        assert np.array_equal(packed.events_by_step[name], events)
        assert events.sum() > 0
    for name, counts in real.spikes_by_step.items():
        assert np.array_equal(packed.spikes_by_step[name], counts)
    for name, potentials in real.end_potentials.items():
        assert np.array_equal(packed.end_potentials[name], potentials)
    with_bits, with_numbers = (lay_out(s, 1, 4) for s in (spiking, unpacked(spiking)))
    assert with_bits.weights.size < 10 < with_numbers.weights.size
    assert with_bits.signs.size > SPARE_SIGNS == with_numbers.signs.size


def test_events_equal_spikes_times_fan_out(case):
    """Synaptic events of each connection against the spikes and the geometry's fan-out."""
    spiking, images, reference = case
    run = simulate(spiking, images, target="numpy", batch=4)
    expected = Counter()
    for p in spiking.projections:
        if isinstance(p, Projection):
            counts = reference.counts[p.source].sum(axis=(0, 1))
            expected[p.name] = int((counts * p.fan_out).sum())
    assert min(expected.values()) > 0
    assert expected.items() <= run.synaptic_events.items()
    assert run.most_spikes == max(int(c.sum(axis=1).max()) for c in reference.counts.values()) > 1


def test_needed_bits_count_the_gain():
    """Bits of exact sums against pen and paper, for a layer whose gains alone need them.

    576 signs of gain 2**-30 or 1: sums up to 576, times the steps, in steps of 2**-30.
    """
    rng = np.random.default_rng(0)
    fine = np.array([1.0, 2.0**-15, 1, 1, 1, 1])
    layers = (
        convolution(rng, "r", "conv1", "input", (1, 1), 1, 64),
        Spike("act1", ("conv1",)),
        replace(
            convolution(rng, "b", "conv2", "act1", (3, 3), 64, 6),
            signs=np.ones((3, 3, 64, 6)),
            scale=fine,
        ),
        replace(norm(rng, "norm2", "conv2", 6), gamma=fine, beta=np.zeros(6)),
        Spike("act2", ("norm2",)),
        convolution(rng, "b", "conv3", "act2", (1, 1), 6, 5),
        GlobalAvgPool("gap", ("conv3",)),
    )
    network = Network("bits", dyadic_coding((5, 5, 1)), layers, CLASSES)
    assert convert(network, n_steps=1).spiking.needed_bits == 10 + 30  # 576 < 2**10
    assert convert(network, n_steps=4).spiking.needed_bits == 12 + 30


def test_pooling_by_nine_is_exact_too():
    """Pooling by 3 x 3, whose ninths are no binary fractions: gains are on a grid."""
    network = mixed("rbbrr")
    layers = [
        replace(layer, size=(3, 3)) if layer.name == "pool1" else layer for layer in network.layers
    ]
    network = replace(network, layers=tuple(layers))
    check(network, "numpy", options={"n_steps": 2})
