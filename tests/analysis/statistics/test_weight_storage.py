"""Storage of networks with binary layers: counts against hand counts and against weight files."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.analysis.statistics.weight_storage import layer_storage, network_storage
from ann2brian.models.networks.layers import (
    Activation,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool2D,
    Spike,
)
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.networks.weight_files import save_network
from safetensors import safe_open

CLASSES = tuple("abcdefghij")


def weights(name, before, size, n_in, n_out, is_binary, **options):
    """A convolution whose numbers do not matter."""
    shape = (size, size, n_in, n_out)
    if is_binary:
        return BinaryConv2D(name, (before,), np.ones(shape), np.ones(n_out), **options)
    return Conv2D(name, (before,), np.ones(shape), np.zeros(n_out), **options)


def gap_net(*binary):
    """The specification's small net, 16C5 stride 2 - 32C3 stride 2 - 32C3 - 10C1 - GAP."""
    blocks = ((5, 1, 16, 2, 2), (3, 16, 32, 2, 1), (3, 32, 32, 1, 1), (1, 32, 10, 1, 0))
    layers, before = [], "input"
    for number, (size, n_in, n_out, stride, padding) in enumerate(blocks, start=1):
        conv, norm, spike = (f"{kind}{number}" for kind in ("conv", "norm", "act"))
        options = {"stride": (stride, stride), "padding": (padding, padding)}
        layers.append(weights(conv, before, size, n_in, n_out, conv in binary, **options))
        ones = np.ones(n_out)
        layers.append(BatchNorm(norm, (conv,), ones, ones, ones, ones, 1e-5))
        layers.append(Spike(spike, (norm,)))
        before = spike
    layers[-1] = GlobalAvgPool("pool", ("norm4",))  # the head does not spike
    coding = InputCoding((28, 28, 1), 255, np.ones(1), np.zeros(1))
    return Network("small", coding, tuple(layers), CLASSES)


@pytest.mark.parametrize(
    ("binary", "percent", "share"),
    [
        ((), 0.0, 0.0),
        (("conv1", "conv2", "conv3", "conv4"), 96.26, 1.0),
        (("conv3",), 61.17, 0.6337),
        (("conv2", "conv3"), 91.64, 0.9505),
    ],
)
def test_saving_of_the_small_net(binary, percent, share):
    """Savings of the small net against those of the specification, to 0.01 points (V4)."""
    found = network_storage(gap_net(*binary))
    assert abs(100 * found["saving"] - percent) < 0.005
    assert abs(found["weight_share_binary"] - share) < 5e-5
    assert found["weight_bits_real"] == 32 * 14544


def test_layers_by_hand():
    """The table of the small net with two binary layers against numbers worked out by hand."""
    table = layer_storage(gap_net("conv3", "conv1"))
    assert table.columns.tolist() == [
        "layer",
        "is_binary",
        "n_weights",
        "n_outputs",
        "bits",
        "saving",
    ]
    assert table.drop(columns="saving").to_numpy().tolist() == [
        ["conv1", True, 400, 16, 400 + 512],
        ["conv2", False, 4608, 32, 147456],
        ["conv3", True, 9216, 32, 9216 + 1024],
        ["conv4", False, 320, 10, 10240],
    ]
    np.testing.assert_allclose(table["saving"], [1 - 912 / 12800, 0, 1 - 10240 / 294912, 0])


def test_what_is_not_weights():
    """Bits beside the weights against a count by hand; none of them changes the saving."""
    network = gap_net("conv2")
    found, later = network_storage(network), network_storage(network, n_steps=4)
    # Batch norm of 90 channels with four numbers each; biases of the three real layers.
    assert found["other_bits"] == 32 * (4 * 90 + 16 + 32 + 10)
    spiking = 14 * 14 * 16 + 7 * 7 * 32 + 7 * 7 * 32
    assert found["activation_bits"] == spiking
    assert found["state_bits"] == 0
    assert later == found | {"state_bits": 32 * spiking}


def test_pooling_and_dense_layers():
    """A net with pooling of spikes and a dense head: pooled spikes are bits, but have no state."""
    layers = (
        weights("conv1", "input", 3, 1, 8, True, padding=(1, 1)),
        Spike("act1", ("conv1",)),
        MaxPool2D("pool1", ("act1",)),
        Flatten("flat", ("pool1",)),
        Dense("dense1", ("flat",), np.ones((2 * 2 * 8, 10)), np.zeros(10)),
    )
    coding = InputCoding((4, 4, 1), 255, np.ones(1), np.zeros(1))
    network = Network("pooled", coding, layers, CLASSES)
    table = layer_storage(network)
    assert table["bits"].tolist() == [72 + 256, 320 * 32]
    assert table["saving"][0] == 1 - 41 / 288  # nine signs and a scale for each channel
    found = network_storage(network, n_steps=2)
    assert found["activation_bits"] == 4 * 4 * 8 + 2 * 2 * 8
    assert found["state_bits"] == 32 * 4 * 4 * 8
    assert found["other_bits"] == 32 * 10


@pytest.mark.parametrize("binary", [(), ("conv2",), ("conv1", "conv2", "conv3", "conv4")])
def test_bytes_in_a_weight_file(binary, tmp_path):
    """Bits against the bytes that tensors take in a weight file, layer by layer and in all."""
    network = gap_net(*binary)
    path = save_network(network, tmp_path / "small.safetensors")
    with safe_open(path, framework="numpy") as file:
        n_bytes = {key: file.get_tensor(key).nbytes for key in file.keys()}  # noqa: SIM118
    for row in layer_storage(network).itertuples():
        fields = ("signs", "scale") if row.is_binary else ("kernel",)
        in_file = [n_bytes.pop(f"{row.layer}.{field}") for field in fields]
        assert 8 * sum(in_file) == row.bits
    others = [size for key, size in n_bytes.items() if not key.startswith("input.")]
    assert 8 * sum(others) == network_storage(network)["other_bits"]
    assert len(others) == 4 * 4 + 4 - len(binary)


def test_refusals():
    """A network without weights, and no step, against the messages."""
    network = gap_net()
    layers = (
        Activation("act", ("input",), "relu"),
        GlobalAvgPool("pool", ("act",)),
    )
    coding = InputCoding((2, 2, 10), 1, np.ones(10), np.zeros(10))
    bare = replace(network, name="bare", input=coding, layers=layers)
    with pytest.raises(ValueError, match="network 'bare': no layer has weights"):
        network_storage(bare)
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        network_storage(network, n_steps=0)
