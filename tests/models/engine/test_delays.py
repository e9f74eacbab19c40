"""Setting and reading the delays of axons by the name of their connection."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.amos import conversion
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst.options import BurstOptions
from brian2 import ms, mV

from tests.support.networks import assert_same, images_for, of_kind


@pytest.fixture(scope="module")
def case():
    network = of_kind("residual")
    images = images_for(network, 5)
    return conversion.convert(network, AmosOptions(neurons_per_gate=4), images).spiking, images


def late(spiking, connection, steps):
    """The network with other delays of a connection, by its own data."""
    projections = tuple(
        replace(p, delays=p.delays + steps) if p.name == connection else p
        for p in spiking.projections
    )
    assert projections != spiking.projections
    return replace(spiking, projections=projections)


@pytest.mark.parametrize("target", ["numpy", "cpp_standalone"])
def test_delays_are_set_by_connection_on_every_target(case, target):
    """A later connection by `set_delay` against a network that was made with it."""
    spiking, images = case
    read = []

    def change(objects):
        delay = objects.delay("act1->inner")
        read.append(delay)
        objects.set_delay("act1->inner", delay + 1 * ms)
        read.append(objects.delay("act1->inner"))

    options = {"record": True, "batch": 2}
    run = simulate(spiking, images, target=target, change=change, **options)
    wanted = simulate(late(spiking, "act1->inner", 1), images, target="numpy", **options)
    plain = simulate(spiking, images, target="numpy", **options)
    assert not np.array_equal(plain.scores, wanted.scores)
    assert_same(run, wanted)
    (projection,) = (p for p in spiking.projections if p.name == "act1->inner")
    n_units = spiking.population("act1").n_units
    assert np.allclose(read[0] / ms, np.repeat(projection.delays, n_units))
    assert np.allclose(read[1] / ms, np.repeat(projection.delays, n_units) + 1)


def test_each_neuron_may_have_its_own_delay(case):
    """One delay for all, and one for each neuron, against networks that were made with them."""
    spiking, images = case
    n_positions = spiking.population("act1").n_positions
    n_units = spiking.population("act1").n_units
    steps = np.arange(n_positions) % 2
    made = simulate(late(spiking, "act1->inner", steps), images, target="numpy", record=True)

    def change(objects):
        own = np.repeat(steps, n_units) * ms
        objects.set_delay("act1->inner", objects.delay("act1->inner") + own)

    assert_same(simulate(spiking, images, target="numpy", record=True, change=change), made)
    assert made.with_own_axons == ()  # one delay a position: by block
    zero = []

    def no_delay(objects):
        objects.set_delay("act1->inner", 0 * ms)
        zero.append(objects.delay("act1->inner") / ms)

    simulate(spiking, images[:1], target="numpy", change=no_delay)
    assert zero[0].shape == (n_positions * n_units,) and not zero[0].any()


@pytest.mark.parametrize(
    ("asked_ms", "taken"), [(0.3, 0), (0.5, 1), (1.49, 1), (1.5, 2), (2.5, 3), (2.75, 3)]
)
def test_delays_off_the_grid_are_rounded_aloud(case, asked_ms, taken):
    """The nearest step, halves up, against that delay itself; the warning names both."""
    spiking, images = case

    def run(delay):
        read = []

        def change(objects):
            objects.set_delay("act1->inner", delay)
            read.append(objects.delay("act1->inner") / ms)

        recording = simulate(spiking, images[:2], target="numpy", record=True, change=change)
        return recording, read[0]

    said = rf"act1->inner: a delay of {asked_ms} ms .* steps of 1 ms; {taken} ms is taken$"
    with pytest.warns(UserWarning, match=said):
        recording, read = run(asked_ms * ms)
    assert np.allclose(read, taken)
    assert_same(recording, run(taken * ms)[0])


def test_rounding_of_some_delays_says_of_how_many(case):
    """One of many neurons, and three; delays that only miss the grid by rounding errors."""
    spiking, images = case

    def run(*off):
        def change(objects):
            delay = objects.delay("act1->inner") + 0.1 * ms + 0.2 * ms - 0.3 * ms
            delay[list(off)] += 0.25 * ms
            objects.set_delay("act1->inner", delay)

        simulate(spiking, images[:1], target="numpy", change=change)

    run()
    with pytest.warns(UserWarning, match=r"ms is taken$"):
        run(3)
    with pytest.warns(UserWarning, match=r"ms is taken, and so for 2 more$"):
        run(3, 4, 9)


def test_delays_are_in_steps_where_a_phase_has_several():
    """Delays of burst neurons, read and set to a whole step that is no whole phase."""
    network = of_kind("dense")
    images = images_for(network, 3)
    spiking = burst.convert(network, BurstOptions(n_steps=2, gamma=3), images).spiking
    assert spiking.phase_steps > 2
    projection = spiking.projections[0]
    read = []

    def change(objects):
        read.append(objects.delay(projection.name))
        objects.set_delay(projection.name, 2 * spiking.dt_ms * ms)
        read.append(objects.delay(projection.name))

    simulate(spiking, images, target="numpy", change=change)
    assert np.allclose(read[0] / ms, projection.delays[0] * spiking.dt_ms)
    assert np.allclose(read[1] / ms, 2 * spiking.dt_ms)


@pytest.mark.parametrize("target", ["numpy", "cpp_standalone"])
def test_axons_of_their_own_deliver_what_blocks_deliver(case, target):
    """Each neuron with its own axon against all of a layer at once; a few late ones, both ways."""
    spiking, images = case
    rng = np.random.default_rng(0)
    late_ones = rng.random(spiking.population("act1").n_neurons) < 0.1

    def with_axons(objects):
        for number, route in enumerate(objects.layout.routes):
            shape = route.positions, route.units
            objects.delays[number] = np.broadcast_to(objects.delays[number][:, None], shape)

    def some_late(objects):
        delay = objects.delay("act1->inner")
        objects.set_delay("act1->inner", delay + late_ones * ms)

    def all_with_axons(objects):
        with_axons(objects)
        some_late(objects)

    options = {"record": True, "batch": 2}
    run = simulate(spiking, images, target=target, change=with_axons, **options)
    assert_same(run, simulate(spiking, images, target="numpy", **options))
    assert set(run.with_own_axons) == set(run.events_by_step)
    runs = [
        simulate(spiking, images, target=target, change=change, **options)
        for change in (some_late, all_with_axons)
    ]
    assert_same(*runs)
    assert runs[0].with_own_axons == ("act1->inner",)
    assert not np.array_equal(runs[0].scores, run.scores)


def test_connections_are_cut(case):
    """A lesion against weights of 0; cut twice is refused."""
    spiking, images = case
    silent = tuple(
        p.with_weights(0 * p.weights) if p.name == "act1->inner" else p for p in spiking.projections
    )
    run = simulate(
        spiking, images, target="numpy", change=lambda objects: objects.cut("act1->inner")
    )
    wanted = simulate(replace(spiking, projections=silent), images, target="numpy")
    assert np.array_equal(run.scores, wanted.scores)
    assert not run.events_by_step["act1->inner"].any()

    def twice(objects):
        objects.cut("act1->inner")
        objects.cut("act1->inner")

    with pytest.raises(ValueError, match="no connection 'act1->inner'; there are input->act1"):
        simulate(spiking, images, target="numpy", change=twice)


@pytest.mark.parametrize(
    ("connection", "delay", "said"),
    [
        ("act1->act9", 1 * ms, "no connection 'act1->act9'; there are input->act1, act1->inner"),
        ("act1->inner", 1 * mV, "act1->inner: a delay is a time"),
        ("act1->inner", 3, "act1->inner: a delay has a unit, 2\\*ms say, got 3"),
        ("act1->inner", -1 * ms, "act1->inner: a delay is a time of at least 0 s"),
        ("act1->inner", [1, 2] * ms, r"act1->inner: \(2,\) delays, where one or \d+ are needed"),
    ],
)
def test_what_is_no_delay_is_refused(case, connection, delay, said):
    """Wrong names, units and numbers against the message."""
    spiking, images = case
    with pytest.raises(ValueError, match=said):
        simulate(
            spiking,
            images[:1],
            target="numpy",
            change=lambda objects: objects.set_delay(connection, delay),
        )
