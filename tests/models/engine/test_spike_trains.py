"""Spike trains from what Brian2 recorded, against a plain decoding of one spike after the other."""

import tracemalloc

import numpy as np
import pytest
from ann2brian.models.engine import spike_trains as decoding
from ann2brian.models.engine.job import Job
from ann2brian.models.engine.layout import lay_out
from ann2brian.models.networks.layers import Activation, Flatten, MaxPool2D
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes import SCHEMES, convert
from ann2brian.models.spiking.recording import COLUMNS

from tests.support.networks import CLASSES, coding, conv, dense, everything, images_for

LAYOUTS = [(1, False), (3, False), (3, True), (8, True)]  # copies, pipelined


def chains():
    """One type of neurons, four to a unit."""
    network = everything()
    options = SCHEMES["amos"].options(neurons_per_gate=4)
    return convert(network, options, images_for(network, 20)).spiking


def several_types():
    """Layers of one type with pooling neurons of another between them, and steps of a burst."""
    rng = np.random.default_rng(0)
    layers = (
        conv(rng, "conv1", "input", (3, 3), 2, 4),
        Activation("act1", ("conv1",), "relu"),
        MaxPool2D("pool1", ("act1",), (2, 2), (2, 2)),
        conv(rng, "conv2", "pool1", (2, 2), 4, 6),
        Activation("act2", ("conv2",), "relu"),
        MaxPool2D("pool2", ("act2",), (2, 2), (2, 2)),
        Flatten("flat", ("pool2",)),
        dense(rng, "out", "flat", 6, 5),
    )
    network = Network("pools", coding((8, 8, 2)), layers, CLASSES)
    options = SCHEMES["burst"].options(n_steps=3)
    return convert(network, options, images_for(network, 20)).spiking


@pytest.fixture(scope="module", params=[chains, several_types])
def spiking(request):
    """A converted network."""
    return request.param()


def job_of(spiking, n_copies, is_pipelined, record=None):
    """A run of four images in each copy."""
    period = spiking.n_phases if is_pipelined else spiking.latency_phases
    return Job(
        network=spiking,
        layout=lay_out(spiking, n_copies, period),
        period=period,
        depth=4,
        record=tuple(range(len(spiking.populations))) if record is None else record,
        traced={},
        injected=(),
        seed=0,
        change=None,
    )


def drawn(job, density, rng):
    """Random spikes as Brian2 lists them: each neuron in any step, from its first image on."""
    found = {}
    for group, kind in enumerate(job.network.neurons):
        size = job.layout.groups[group].size
        steps, neurons = np.nonzero(rng.random((job.n_steps, size)) < density)
        found[kind.name] = neurons.astype(np.int32), steps * job.network.dt_s
    return found


def plain(job, recorded, start):
    """What each spike is by the layout's definition: layer, position, copy, unit."""
    rows = []
    for group, kind in enumerate(job.network.neurons):
        where = {}
        for index, layer in enumerate(job.layout.layers):
            if layer.group != group:
                continue
            order = np.ndindex(layer.positions, job.layout.n_copies, layer.units)
            for place, (position, copy, unit) in enumerate(order):
                where[layer.offset + place] = index, position, copy, unit
        for neuron, time_s in zip(*recorded[kind.name], strict=True):
            index, position, copy, unit = where[int(neuron)]
            layer = job.layout.layers[index]
            step = round(time_s / job.network.dt_s)
            onset = (layer.onset + position) * job.network.phase_steps
            turn = (step - onset) // job.period_steps
            image = start + turn * job.layout.n_copies + copy
            if index in job.record:
                local = position * layer.units + unit
                rows.append((image, index, step - turn * job.period_steps, local))
    image, layer, step, neuron = np.array(sorted(rows)).reshape(-1, 4).T
    return {"image": image, "layer": layer, "neuron": neuron, "step": step}


def assert_same(spikes, wanted):
    for name, values in wanted.items():
        assert np.array_equal(getattr(spikes, name), values), name


@pytest.mark.parametrize(("n_copies", "is_pipelined"), LAYOUTS)
@pytest.mark.parametrize("density", [0.3, 0.002])
def test_decoding_equals_the_plain_one(spiking, n_copies, is_pipelined, density, monkeypatch):
    """In pieces that end in the middle of a step, a run and an image, whatever their size."""
    job = job_of(spiking, n_copies, is_pipelined)
    recorded = drawn(job, density / n_copies, np.random.default_rng(n_copies))
    n_spikes = sum(len(neurons) for neurons, _ in recorded.values())
    assert n_spikes > 20
    wanted = plain(job, recorded, 1000)
    assert len(wanted["image"]) == n_spikes
    for at_once in (7, 1000, 2**17):
        monkeypatch.setattr(decoding, "AT_ONCE", at_once)
        pieces = {
            name: [(neurons[:11], times[:11]), (neurons[11:], times[11:])]
            for name, (neurons, times) in recorded.items()
        }
        assert_same(decoding.spike_trains(job, pieces, 1000), wanted)


def test_only_the_recorded_layers_are_kept(spiking):
    """Two layers of several, and none that spiked."""
    job = job_of(spiking, 3, True, record=(1, 3))
    recorded = drawn(job, 0.05, np.random.default_rng(0))
    pieces = {name: [both] for name, both in recorded.items()}
    spikes = decoding.spike_trains(job, pieces, 0)
    assert set(spikes.layer) == {1, 3}
    assert_same(spikes, plain(job, recorded, 0))
    silent = {name: [(both[0][:0], both[1][:0])] for name, both in recorded.items()}
    assert len(decoding.spike_trains(job, silent, 0)) == 0


def test_at_most_16_bytes_a_spike_also_on_the_way(monkeypatch):
    """What is kept, and the peak of what NumPy allocates beside Brian2's own arrays."""
    job = job_of(several_types(), 8, True)
    recorded = {name: [both] for name, both in drawn(job, 0.9, np.random.default_rng(1)).items()}
    monkeypatch.setattr(decoding, "AT_ONCE", 4096)
    tracemalloc.start()
    spikes = decoding.spike_trains(job, recorded, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(spikes) > 100_000
    assert sum(getattr(spikes, name).nbytes for name in COLUMNS) <= 16 * len(spikes)
    assert peak <= 17 * len(spikes)
