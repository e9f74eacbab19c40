"""Other libraries: the same weights, and the spikes of plain neurons with OR pooling."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from ann2brian.models.networks.datasets import load
from ann2brian.models.networks.layers import Activation
from ann2brian.models.networks.weight_files import load_network, trained
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst import reference as burst_reference
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies.benchmarks import peers
from ann2brian.studies.benchmarks.part import plain
from ann2brian.studies.benchmarks.peers import PEERS, module

from tests.support.with_torch import torch_or_skip


def test_missing_peers_say_how_to_install_them(monkeypatch):
    """The command with the version that was measured, for each; none where it is there."""
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert peers.installed() == ()
    for name, peer in PEERS.items():
        command = "pip install --constraint constraints.txt torch==2.13.0 "
        assert f"{command}{name}=={peer.version}" in peer.missing
        assert peer.title in peer.missing
    monkeypatch.setattr(peers, "find_spec", lambda name: object())
    assert peers.installed() == ("spikingjelly", "snntorch", "sinabs")


@pytest.mark.parametrize("name", ["digits-burst", "fashion-lenet5-max", "fashion-caffe-max"])
def test_module_has_the_same_weights(name):
    """Logits of the PyTorch module against those of the saved network; and once normalised."""
    torch = torch_or_skip()
    network = load_network(trained(name)).fold_batch_norm()
    shape = (5, *network.input.shape)
    images = np.random.default_rng(0).integers(0, int(network.input.maximum) + 1, shape)
    built, pixels = module.to_module(network), module.to_tensor(images, network.input)
    with torch.no_grad():
        assert np.allclose(built(pixels).numpy(), network.forward(images), atol=1e-3)
        scaled = module.normalised(built, pixels)
        assert np.allclose(scaled(pixels).numpy(), network.forward(images), atol=1e-3)
        values = pixels
        for part in scaled:
            values = part(values)
            if isinstance(part, torch.nn.ReLU):
                assert float(values.max()) == pytest.approx(1, rel=1e-5)


def test_module_refuses_other_layers():
    """An activation without counterpart against the message that names it."""
    torch_or_skip()
    network = load_network(trained("digits-burst")).fold_batch_norm()
    smooth = tuple(
        Activation(layer.name, layer.inputs, "silu") if isinstance(layer, Activation) else layer
        for layer in network.layers
    )
    with pytest.raises(ValueError, match="Activation 'act1' has no counterpart here"):
        module.to_module(replace(network, layers=smooth))


@pytest.mark.parametrize("name", PEERS)
def test_peers_spike_as_or_pooling_does(name):
    """Spikes and predictions of each against the reference of ours, T = 8."""
    torch = torch_or_skip()
    pytest.importorskip(name)
    network = load_network(trained("digits-burst"))
    training, _ = load("digits", "train")
    calibration, (images, labels) = training[:512], load("digits", "test")
    images, labels = images[:40], labels[:40]
    options = BurstOptions(**plain(8), pooling="or")
    ours = burst_reference.run(burst.convert(network, options, calibration), images)
    spikes = sum(counts.sum() for counts in ours.counts.values()) / len(images)
    folded = network.fold_batch_norm()
    pixels, shown = (module.to_tensor(x, folded.input) for x in (calibration, images))
    with torch.no_grad():
        peer = import_module(f"ann2brian.studies.benchmarks.peers.{name}")
        theirs = peer.spiking(module.to_module(folded), pixels, 8)
        with theirs.counted() as counts:
            predictions = theirs.present(shown).argmax(1).numpy()
        again = theirs.present(shown).argmax(1).numpy()
    assert np.array_equal(predictions, again)  # from a fresh state
    assert sum(counts) / len(images) == pytest.approx(spikes, rel=0.02)
    expected = ours.scores[:, -1].argmax(axis=1) == labels
    assert (predictions == labels).mean() == pytest.approx(expected.mean(), abs=0.026)
