"""Energy and operation counts against hand sums and a loop over every product."""

import math

import numpy as np
import pytest
from ann2brian.analysis.statistics.energy import (
    Operations,
    energy_nj,
    input_operations,
    multiply_accumulates,
    trained_operations,
)
from ann2brian.models.networks.layers import Activation, BinaryConv2D, Conv2D, Dense
from ann2brian.models.networks.network import Network
from ann2brian.models.networks.weight_files import load_network, trained

import ann2brian as ab
from tests.support.binary_networks import mixed
from tests.support.networks import KINDS, coding, conv, everything, of_kind


def test_energy_pen_and_paper():
    """Energy of a thousand operations of either kind against 0.9 and 4.6 nJ."""
    assert energy_nj(accumulates=1000) == pytest.approx(0.9, rel=1e-15)
    assert energy_nj(multiply_accumulates=1000) == pytest.approx(4.6, rel=1e-15)
    assert energy_nj(accumulates=2000, multiply_accumulates=500) == pytest.approx(4.1, rel=1e-15)
    assert energy_nj() == 0.0


@pytest.mark.parametrize("counts", [{"accumulates": -1.0}, {"multiply_accumulates": math.nan}])
def test_energy_refuses(counts):
    """Negative and missing counts against the error message."""
    with pytest.raises(ValueError, match="counts must not be negative"):
        energy_nj(**counts)


def counted_products(layer, network):
    """Products of one layer, counted one by one in the definition of the layer."""
    rows, columns, channels = network.shapes[layer.name]
    if isinstance(layer, Dense):
        return sum(1 for _ in range(channels) for _ in range(layer.kernel.shape[0]))
    n = 0
    for _ in range(rows * columns):
        for o in range(channels):
            group = o // (channels // layer.groups)
            per_group = network.shapes[layer.inputs[0]][2] // layer.groups
            for c in range(network.shapes[layer.inputs[0]][2]):
                n += layer.size[0] * layer.size[1] * (c // per_group == group)
    return n


@pytest.mark.parametrize("kind", ["everything", *KINDS])
def test_multiply_accumulates_one_by_one(kind):
    """Products of every kind of layer against counting them one by one."""
    network = (everything() if kind == "everything" else of_kind(kind)).fold_batch_norm()
    table = multiply_accumulates(network).set_index("layer")["multiply_accumulates"]
    weighted = [layer for layer in network.layers if isinstance(layer, Conv2D | Dense)]
    assert list(table.index) == [layer.name for layer in weighted]
    for layer in weighted:
        assert table[layer.name] == counted_products(layer, network)


def test_multiply_accumulates_grow_with_the_image():
    """Products of a padded convolution against four times the pixels."""
    rng = np.random.default_rng(0)
    found = []
    for side in (4, 8):
        layers = (
            conv(rng, "conv", "input", (3, 3), 1, 2, padding=(1, 1)),
            Activation("act", ("conv",), "relu"),
            conv(rng, "out", "act", (side, side), 2, 5),
        )
        network = Network("sides", coding((side, side, 1)), layers, tuple("abcde"))
        found.append(multiply_accumulates(network).set_index("layer").loc["conv"].item())
    assert found == [16 * 9 * 2, 64 * 9 * 2]


def test_multiply_accumulates_of_caffe_lenet():
    """Products of the shipped LeNet against its layer sizes (24x24x20, 8x8x50, 800 to 500)."""
    table = multiply_accumulates(load_network(trained("fashion-lenet")).fold_batch_norm())
    expected = [24 * 24 * 20 * 25, 8 * 8 * 50 * 25 * 20, 800 * 500, 500 * 10]
    assert table["multiply_accumulates"].tolist() == expected


@pytest.mark.parametrize("pattern", ["rbrbr", "bbbbb", "rrrrr"])
def test_binary_layers_add(pattern):
    """Real and binary layers of one network, each against the product of its sizes."""
    network = mixed(pattern)
    found = trained_operations(network)
    counts = {BinaryConv2D: 0, Conv2D: 0}
    for layer in network.layers:
        if type(layer) in counts:
            weights = layer.signs if isinstance(layer, BinaryConv2D) else layer.kernel
            counts[type(layer)] += weights.size * np.prod(network.shapes[layer.name][:2])
    assert found.multiply_accumulates == counts[Conv2D]
    assert found.accumulates == counts[BinaryConv2D]
    assert found.energy_nj == pytest.approx(4.6e-3 * counts[Conv2D] + 0.9e-3 * counts[BinaryConv2D])


@pytest.mark.parametrize("pattern", ["rbrbr", "bbbbb"])
def test_current_of_the_image(pattern):
    """Pairs of pixel and neuron against those that a single pixel changes, over all pixels."""
    network = mixed(pattern)
    spiking = ab.convert(network, ab.AlbsnnOptions()).spiking
    (stimulus,) = spiking.stimuli
    n_pixels = int(np.prod(network.input.shape))
    changed = stimulus.values(np.eye(n_pixels).reshape(-1, *network.input.shape) * 4.0)
    reached = np.count_nonzero(changed - stimulus.values(np.zeros((1, *network.input.shape))))
    found = input_operations(network, spiking)
    is_binary = pattern.startswith("b")
    assert found == Operations(**{"accumulates" if is_binary else "multiply_accumulates": reached})


def test_an_image_of_spikes_costs_events_only():
    """AMOS, whose input neurons spike."""
    network = load_network(trained("digits-relu"))
    images, _ = ab.load_images("digits", "train")
    spiking = ab.convert(network, ab.AmosOptions(neurons_per_gate=2), images[:20]).spiking
    assert input_operations(network, spiking) == Operations()
