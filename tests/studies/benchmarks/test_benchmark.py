"""The benchmark: the same spikes, the same weights, and ratios of what was measured."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import Activation
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst import reference as burst_reference
from ann2brian.studies import benchmark
from ann2brian.studies.benchmarks import spikingjelly as spikingjelly_network

from tests.support.with_torch import torch_or_skip

QUICK = benchmark.parser().parse_args(["--quick"])


def burst_task(neurons, **changes):
    """A quick measurement of the neurons, of three images."""
    tasks = benchmark.burst_tasks(QUICK)
    task = next(task for task in tasks if task["neurons"] == neurons)
    return task | {"images": 3} | changes


def test_explicit_synapses_give_the_same_spikes():
    """Digest of counts and scores, shared kernels against explicit synapses; max pooling in it."""
    shared = benchmark.measure(burst_task("IF"))
    explicit = benchmark.measure(burst_task("IF", connections="explicit", batch=1))
    assert shared["spike_digest"] == explicit["spike_digest"]
    assert shared["spikes_per_image"] > 100
    trained = storage.load_network(storage.trained("digits-burst"))
    images, labels = datasets.load("digits", "test")
    right = trained.forward(images[:3]).argmax(axis=1) == labels[:3]
    assert shared["ann_accuracy"] == right.mean()
    assert shared["peak_memory_mb"] > 1


def test_without_spikingjelly(monkeypatch, capsys, tmp_path):
    """Where it is not installed: how to install it, and every other measurement."""

    def stop(*_):
        raise ValueError("stopped here")

    monkeypatch.setattr(spikingjelly_network, "find_spec", lambda name: None)
    monkeypatch.setattr(benchmark, "_measure_all", stop)
    with pytest.raises(SystemExit):
        benchmark.main(["--quick", "--out", str(tmp_path)])
    printed = capsys.readouterr().err
    assert "pip install --constraint constraints.txt torch==2.13.0 spikingjelly" in printed
    without = benchmark.tasks(QUICK)
    monkeypatch.setattr(spikingjelly_network, "find_spec", lambda name: object())
    with_it = benchmark.tasks(QUICK)
    assert [task for task in with_it if task.get("neurons") != "SpikingJelly"] == without
    assert len(with_it) == len(without) + 1


def measured(**changes):
    """Made-up measurements of one network."""
    rows = [
        {"question": "burst connections", "neurons": neurons, "connections": connections}
        | {"loop_s": loop_s, "spike_digest": neurons}
        for neurons in ("IF", "burst")
        for connections, loop_s in (("shared", 2.0), ("explicit", 30.0))
    ]
    rows += [
        {"question": "converter", "neurons": neurons, "loop_s": 2.0, "run_s": 4.0, "images": 10}
        | {"accuracy": 0.9, "ann_accuracy": 0.95, "spikes_per_image": 5.0}
        for neurons in (*benchmark.neurons_of_lenets(50), "SpikingJelly")
    ]
    table = pd.DataFrame(rows).assign(network="fashion-caffe-max", n_steps=50)
    return table.assign(synaptic_events_per_image=7.0, **changes)


def test_ratios_of_burst_networks():
    """Ratios by name against those worked out by hand, and none without SpikingJelly."""
    found = dict(benchmark.burst_ratios(measured()))
    title = "Caffe LeNet, T = 50"
    assert found[f"{title}, IF: loop, explicit / ours"] == 15
    assert found[f"{title}, burst: loop, per image (ms)"] == 200
    assert found[f"{title}, SpikingJelly: all, per image (ms)"] == 400
    assert found[f"{title}, SpikingJelly / IF: all"] == 1
    assert found[f"{title}, SpikingJelly all / IF loop"] == 2
    table = measured()
    rest = dict(benchmark.burst_ratios(table[table.neurons != "SpikingJelly"]))
    assert rest == {name: v for name, v in found.items() if "SpikingJelly" not in name}


def test_ratios_refuse_other_spikes():
    """Digests that differ against the message that names the neurons."""
    with pytest.raises(RuntimeError, match=r"Caffe LeNet, IF: .* gave different spikes"):
        benchmark.burst_ratios(measured(spike_digest=[str(i) for i in range(8)]))


@pytest.mark.parametrize("name", ["digits-burst", "fashion-lenet5-max", "fashion-caffe-max"])
def test_module_has_the_same_weights(name):
    """Logits of the PyTorch module against those of the saved network."""
    torch = torch_or_skip()
    network = storage.load_network(storage.trained(name)).fold_batch_norm()
    shape = (5, *network.input.shape)
    images = np.random.default_rng(0).integers(0, int(network.input.maximum) + 1, shape)
    module = spikingjelly_network.to_module(network)
    with torch.no_grad():
        logits = module(spikingjelly_network.to_tensor(images, network.input)).numpy()
    assert np.allclose(logits, network.forward(images), atol=1e-3)


def test_module_refuses_other_layers():
    """An activation without counterpart against the message that names it."""
    torch_or_skip()
    network = storage.load_network(storage.trained("digits-burst")).fold_batch_norm()
    smooth = tuple(
        Activation(layer.name, layer.inputs, "silu") if isinstance(layer, Activation) else layer
        for layer in network.layers
    )
    with pytest.raises(ValueError, match="Activation 'act1' has no counterpart here"):
        spikingjelly_network.to_module(replace(network, layers=smooth))


def test_spikingjelly_spikes_as_or_pooling_does():
    """Spikes and predictions of its network against the reference of ours, T = 8."""
    pytest.importorskip("spikingjelly")
    task = burst_task("SpikingJelly", images=40)
    calibration, images, labels = benchmark.lenet_images(task)
    network = storage.load_network(storage.trained("digits-burst"))
    options = benchmark.neurons_of_lenets(8)["IF, or-pooling"]
    ours = burst_reference.run(burst.convert(network, options, calibration), images)
    theirs = benchmark.measure(task)
    spikes = sum(counts.sum() for counts in ours.counts.values()) / len(images)
    assert theirs["spikes_per_image"] == pytest.approx(spikes, rel=0.01)
    assert theirs["accuracy"] == (ours.scores[:, -1].argmax(axis=1) == labels).mean()
