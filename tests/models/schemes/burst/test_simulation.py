"""Brian2 against the NumPy reference of the burst algorithm: spike for spike, on every target."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst import reference as burst_reference
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies.benchmarks.explicit_synapses import with_explicit_synapses
from brian2 import ms

from tests.support.networks import (
    BUSIEST,
    COMPILED,
    assert_same,
    curved_network,
    everything,
    images_for,
    pooled_network,
    shipped,
    slow_unless,
    unusual_pools,
)

SLOW = pytest.mark.slow
POOLINGS, TIMINGS = (BurstOptions.declared(name).choices for name in ("pooling", "timing"))


ONE_SIZE = (2, 2), (2, 2), (1, 0)  # windows, strides and padding
OPTIONS = {"n_steps": 6, "gamma": 3, "normalisation": "percentile", "percentile": 90.0}


def convert(network, images, **options):
    return burst.convert(network, BurstOptions(**{**OPTIONS, **options}), images)


@pytest.fixture(scope="module")
def case():
    """Network with every kind of pooling, 17 images, and what the reference does with them."""
    network = pooled_network()
    images = images_for(network, 17)
    conversion = convert(network, images)
    spiking = conversion.spiking
    return spiking, images, burst_reference.run(conversion, images)


@pytest.fixture(scope="module")
def compiled_case():
    """The same with windows of one size: their neurons are of one type, so less is compiled."""
    network = pooled_network(*ONE_SIZE)
    images = images_for(network, 17)
    conversion = convert(network, images)
    spiking = conversion.spiking
    return spiking, images, burst_reference.run(conversion, images)


@pytest.mark.parametrize("target", ["numpy", *(pytest.param(t, marks=SLOW) for t in COMPILED)])
def test_windows_of_several_sizes_equal_reference(case, target):
    """Two types of pooling neurons in one network."""
    spiking, images, reference = case
    assert_same(simulate(spiking, images, target=target, record=True, **BUSIEST), reference)


@pytest.mark.parametrize(
    ("gamma", "target"),
    slow_unless(
        lambda gamma, target: target == "numpy",
        itertools.product((1, 2, 3, 5), ("numpy", *COMPILED)),
    ),
)
def test_every_limit_equals_reference(gamma, target):
    """Acceptance B8: Gamma 1, 2, 3 and 5, on all targets; residual and bursts really occur."""
    network = pooled_network(*ONE_SIZE, seed=gamma)
    images = images_for(network, 6)
    conversion = convert(network, images, gamma=gamma, normalisation="percentile/gamma")
    spiking = conversion.spiking
    reference = burst_reference.run(conversion, images)
    run = simulate(spiking, images, target=target, record=True, batch=2)
    assert_same(run, reference)
    assert max(c.max() for c in reference.counts.values()) == gamma
    for name, potentials in reference.potentials.items():
        found = run.end_potentials[name] / (spiking.unit_volt * 1e3)
        assert np.allclose(found, potentials, rtol=0, atol=1e-12), name


@pytest.mark.parametrize("timing", TIMINGS)
def test_pieces_squares_and_tournaments_equal_reference(timing):
    """A network of layers that are neither ReLU nor pooling of it; every one spikes."""
    network = curved_network()
    images = images_for(network, 5)
    options = {"normalisation": "percentile/gamma", "percentile": 100.0}
    conversion = convert(network, images, timing=timing, pieces=4, **options)
    reference = burst_reference.run(conversion, images)
    run = simulate(conversion.spiking, images, target="numpy", record=True, batch=2)
    assert_same(run, reference)
    for start in ("act1", "pool1", "gate", "product", "act2", "pool2", "act3"):
        assert any(c.any() for name, c in reference.counts.items() if name.startswith(start))


@pytest.mark.parametrize(
    ("timing", "pooling", "target"),
    slow_unless(
        lambda *case: (
            case[2] == "numpy" or case[:2] in (("double-buffer", "or"), ("alternating", "gated"))
        ),
        itertools.product(
            TIMINGS,
            POOLINGS,
            ("numpy", "cpp_standalone"),
        ),
    ),
)
def test_each_timing_and_pooling_equals_reference(timing, pooling, target):
    """All neuron types: the reference knows the rules of pooling, and nothing of the timing."""
    network = pooled_network((2, 2), (2, 2), (0, 0), seed=3)
    images = images_for(network, 5)
    conversion = convert(network, images, timing=timing, pooling=pooling)
    spiking = conversion.spiking
    reference = burst_reference.run(conversion, images)
    run = simulate(spiking, images, target=target, record=True, batch=2, pipelined=True)
    assert_same(run, reference)


def test_both_timings_release_the_same_spikes_at_other_times():
    """Counts by step of the two timings against each other; the alternating one takes twice."""
    network = pooled_network()
    images = images_for(network, 4)
    runs = [
        simulate(
            convert(network, images, timing=timing).spiking, images, target="numpy", record=True
        )
        for timing in TIMINGS
    ]
    for name, counts in runs[0].spikes_by_step.items():
        assert np.array_equal(counts, runs[1].spikes_by_step[name])
    assert np.array_equal(runs[0].scores, runs[1].scores)
    assert not np.array_equal(runs[0].spikes.step, runs[1].spikes.step)
    n_layers = 6
    phases = [(run.latency_steps - 1) // run.phase_steps for run in runs]
    assert phases == [OPTIONS["n_steps"] + n_layers - 1, 2 * OPTIONS["n_steps"] + n_layers - 1]


@pytest.mark.parametrize(
    "options",
    [
        {"own_limits": True, "gamma": 6},
        {"bias_correction": True, "channel_wise": True},
        {"channel_wise": True},
        {"guard_ms": 0.0, "delay_ms": 0.0},
        {"guard_ms": 6.0, "delay_ms": 6.0},
        {"intra_burst_ms": 1.25, "guard_ms": 5.0, "delay_ms": 2.5},
        {"normalisation": "compatibility"},
        {"weight_bits": 4},
        {"n_steps": 1},
    ],
    ids=str,
)
def test_options_equal_reference(options):
    """Limits and scales of their own, and other intervals, pauses and delays."""
    network = pooled_network(seed=5)
    images = images_for(network, 5)
    conversion = convert(network, images, **options)
    spiking = conversion.spiking
    run = simulate(spiking, images, target="numpy", record=True, batch=3, pipelined=True)
    assert_same(run, burst_reference.run(conversion, images))


def test_average_pooling_residual_and_grouped_layers_equal_reference():
    """The network of the AMOS tests, which holds every linear layer, as burst neurons."""
    network = everything()
    images = images_for(network, 5)
    conversion = convert(network, images)
    spiking = conversion.spiking
    run = simulate(spiking, images, target="numpy", record=True, batch=2)
    assert_same(run, burst_reference.run(conversion, images))


def test_unusual_pools_equal_reference():
    """Pools of clipped activations and over windows of several sizes."""
    network = unusual_pools()
    images = images_for(network, 5)
    conversion = convert(network, images)
    run = simulate(conversion.spiking, images, target="numpy", record=True, batch=2)
    assert_same(run, burst_reference.run(conversion, images))


def test_signed_real_images():
    """Real input of both signs is a current of both signs."""
    network = pooled_network()
    network = replace(network, input=replace(network.input, signed=True, maximum=2.0))
    images = images_for(network, 5)
    conversion = convert(network, images)
    spiking = conversion.spiking
    run = simulate(spiking, images, target="numpy", record=True, batch=2)
    assert_same(run, burst_reference.run(conversion, images))


SHIPPED = [
    *((name, gamma, "numpy") for name in shipped("burst") for gamma in (1, 2, 3, 5)),
    *((name, 3, target) for name in shipped("burst") for target in COMPILED),
    *(("fashion-burst", gamma, target) for gamma in (1, 2, 5) for target in COMPILED),
]


@pytest.mark.parametrize(
    ("name", "gamma", "target"),
    slow_unless(
        lambda name, gamma, target: (
            (name == "digits-burst" and target != "cython")
            or (target == "numpy" and (gamma == 3 or name == "fashion-burst"))
        ),
        SHIPPED,
    ),
)
def test_shipped_networks_equal_reference(name, gamma, target):
    """Shipped networks on real images, on every target against the reference."""
    network = storage.load_network(storage.trained(name))
    try:
        images, _ = datasets.load(
            "digits" if name.startswith("digits") else "fashion-mnist", "test"
        )
    except datasets.DatasetError as error:
        pytest.skip(str(error))
    images = images[:4]
    conversion = convert(network, images, n_steps=3, percentile=99.0, gamma=gamma)
    spiking = conversion.spiking
    jobs = 1 + (gamma > 2)
    run = simulate(spiking, images, target=target, record=True, pipelined=True, batch=2, jobs=jobs)
    assert_same(run, burst_reference.run(conversion, images))


def test_bursts_are_real_spikes_one_interval_apart(case):
    """Spike times: within a phase exactly one interval apart, from its start, pause after it."""
    spiking, images, _ = case
    run = simulate(spiking, images, target="numpy", record=True)
    spikes = run.spikes
    order = np.lexsort((spikes.step, spikes.neuron, spikes.layer, spikes.image))
    same = np.ones(len(order) - 1, dtype=bool)
    for column in (spikes.image, spikes.layer, spikes.neuron):
        same &= np.diff(column[order]) == 0
    interval = np.diff(spikes.step[order])[same]
    place = spikes.step[order] % run.phase_steps
    assert run.dt_ms == 2.0
    assert place.max() == OPTIONS["gamma"] - 1
    assert interval.min() == 1
    within = np.diff(spikes.step[order] // run.phase_steps)[same] == 0
    assert np.all(interval[within] == 1)
    assert np.all(interval[~within] >= run.phase_steps - OPTIONS["gamma"] + 1)
    assert 0 < within.sum() < len(within)
    first = np.ones(len(order), dtype=bool)
    first[1:] = ~(same & (np.diff(spikes.step[order] // run.phase_steps) == 0))
    assert np.all(place[first] == 0)


def test_tally_equals_the_spike_trains(case):
    """Spikes and events of each step against the trains and the geometry's fan-out."""
    spiking, images, reference = case
    for target, pipelined in (("numpy", True), ("cpp_standalone", True), ("numpy", False)):
        run = simulate(spiking, images, target=target, pipelined=pipelined, batch=3)
        expected = {}
        for projection in spiking.projections:
            counts = reference.counts[projection.source].sum(axis=0, dtype=np.int64)
            assert np.array_equal(run.spikes_by_step[projection.source], counts.sum(axis=1))
            events = (counts * projection.fan_out).sum(axis=1)
            expected[projection.name] = expected.get(projection.name, 0) + events
        assert expected.keys() == run.events_by_step.keys()
        for name, events in expected.items():
            assert np.array_equal(run.events_by_step[name], events)


@pytest.mark.parametrize("interval_ms", [2.0, pytest.param(1.5, marks=pytest.mark.slow)])
def test_long_runs_stay_exact(interval_ms):
    """More than 64 s of biological time, where Brian2's clocks would drift apart.

    In a compiled program Brian2 takes times as equal up to 1e-14 s, less than a rounding error
    there. The lengths of a phase and of an image are such that rounded times would differ.
    """
    network = pooled_network((2, 2), (2, 2), (0, 0))
    images = images_for(network, 4)
    conversion = convert(
        network,
        images,
        gamma=7,
        n_steps=40,
        intra_burst_ms=interval_ms,
        guard_ms=2 * interval_ms,
        delay_ms=interval_ms,
    )
    spiking = conversion.spiking
    once = burst_reference.run(conversion, images)
    seconds = spiking.latency_ms / 1000
    n_repeats = int(np.ceil(66 / seconds / len(images)))
    many = np.tile(images, (n_repeats, 1, 1, 1))
    run = simulate(spiking, many, batch=1)
    assert len(many) * seconds > 64
    assert np.array_equal(run.scores, np.tile(once.scores, (n_repeats, 1, 1)))


def test_explicit_synapses_give_the_same_spikes(case):
    """Shared kernels and windows against a network unrolled into explicit Brian2 synapses."""
    spiking, images, reference = case
    change = with_explicit_synapses(spiking)
    run = simulate(spiking, images, target="numpy", record=True, batch=1, change=change)
    assert_same(run, reference)


def test_potentials_are_kept_only_while_images_do_not_overlap(case):
    """Pipelined images would overwrite each other's potentials, so none are returned."""
    spiking, images, _ = case
    run = simulate(spiking, images[:3], target="numpy", record=["act1", "pool1"])
    assert list(run.end_potentials) == ["act1", "pool1"]
    assert all(potentials.dtype == np.float64 for potentials in run.end_potentials.values())
    run = simulate(spiking, images[:3], target="numpy", record=["act1"], pipelined=True)
    assert run.end_potentials == {}


def test_traces_follow_pen_and_paper():
    """Potential of a neuron with a constant current, step by step, on both timings."""
    network = pooled_network()
    images = images_for(network, 1)
    for timing, every in (("double-buffer", 1), ("alternating", 2)):
        conversion = convert(network, images, timing=timing, initial=0.0)
        spiking = conversion.spiking
        current = spiking.stimuli[0].values(images)[0]
        unit = int(np.argmax((current > 0.3) & (current < 0.9)))
        run = simulate(spiking, images, target="numpy", batch=1, traces={"act1": [unit]})
        v = run.traces["act1"][0] / (spiking.unit_volt * 1e3)
        level = current[unit]
        for step in range(OPTIONS["n_steps"]):
            first = (every * step + every - 1) * spiking.phase_steps
            before = level * (step + 1) - np.floor(level * step)  # as the phase begins to release
            assert v[first] == pytest.approx(before, abs=1e-9)
            after = level * (step + 1) - np.floor(level * (step + 1))
            assert v[first + 1] == pytest.approx(after, abs=1e-9)


def test_period_shorter_than_an_image_is_refused(case):
    """A period that would let two images meet in one layer."""
    spiking, images, _ = case
    with pytest.raises(ValueError, match=r"period must be .* at least 6 phases"):
        simulate(spiking, images, target="numpy", period=5)


def test_a_late_axon_breaks_the_equality(case):
    """Changed delay: spikes beyond the pause reach the next step, and the result differs."""
    spiking, images, reference = case

    def late(objects):
        for connection in dict.fromkeys(objects.layout.connections):
            objects.set_delay(connection, objects.delay(connection) + 4 * ms)

    run = simulate(spiking, images[:3], target="numpy", batch=1, change=late)
    assert not np.array_equal(run.scores, reference.scores[:3])


def test_a_leak_changes_the_network(compiled_case):
    """Changed equation: a leaky membrane runs, and fires less."""
    spiking, images, _ = compiled_case
    kind = spiking.kind("burst")
    leaky = replace(
        kind,
        equations=kind.equations.replace("v : volt  ", "dv/dt = -v/tau_m : volt  "),
        constants={**kind.constants, "tau_m": 20 * ms},
    )
    plain = simulate(spiking, images, target="numpy")
    for target in ("numpy", "cpp_standalone"):
        run = simulate(spiking.with_neurons(leaky), images, target=target)
        assert 0 < run.spikes_per_image < 0.9 * plain.spikes_per_image
