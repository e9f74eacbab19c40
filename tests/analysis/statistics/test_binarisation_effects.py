"""Effects of binary weights: against pen and paper, PyTorch's training layers and plain loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.analysis.statistics.binarisation_effects import (
    binarised,
    potential_histogram,
    saving_curve,
    timing_change,
    weight_error,
)
from ann2brian.analysis.statistics.distances import van_rossum
from ann2brian.models.networks.grids import on_grid
from ann2brian.models.networks.layers import (
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    GlobalAvgPool,
    MaxPool2D,
    Spike,
)
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn import reference as albsnn_reference
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions

from tests.support.with_torch import torch_or_skip

CLASSES = tuple("abcde")


def conv(name, before, kernel, **options):
    return Conv2D(name, (before,), kernel, np.zeros(np.shape(kernel)[3]), **options)


def spiking_network(seed=0):
    """Real weights, batch norm of both signs, a threshold other than 1, pooling of spikes."""
    rng = np.random.default_rng(seed)

    def norm(name, before, n):
        gamma = rng.uniform(0.4, 0.9, n) * rng.choice([-1, 1, 1], n)
        return BatchNorm(name, (before,), gamma, rng.normal(0.5, 0.3, n), *rng.random((2, n)), 0.1)

    layers = (
        conv("conv1", "input", rng.normal(0, 0.5, (3, 3, 2, 6)), padding=(1, 1)),
        norm("norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
        MaxPool2D("pool1", ("act1",)),
        conv("conv2", "pool1", rng.laplace(0, 0.5, (3, 3, 3, 8)), padding=(1, 1), groups=2),
        norm("norm2", "conv2", 8),
        Spike("act2", ("norm2",), 1.5),
        conv("conv3", "act2", rng.normal(0, 0.5, (2, 2, 8, 7)), stride=(1, 2)),
        norm("norm3", "conv3", 7),
        Spike("act3", ("norm3",)),
        conv("conv4", "act3", rng.normal(0, 0.5, (1, 1, 7, 5))),
        norm("norm4", "conv4", 5),
        GlobalAvgPool("pool2", ("norm4",)),
    )
    coding = InputCoding((8, 10, 2), 16, np.full(2, 0.2), np.full(2, -1.4))
    return on_grid(Network("spiking", coding, layers, CLASSES))


def with_all_classes(network, images):
    """The network with a head whose classes all win for some images."""
    mean = network.activations(images)["conv4"].mean(axis=(0, 1, 2))
    norm = replace(network.layer("norm4"), mean=mean, gamma=np.full(5, 8.0), beta=np.zeros(5))
    return replace(
        network, layers=tuple(norm if part.name == "norm4" else part for part in network.layers)
    )


def pixels(n, seed=1):
    return np.random.default_rng(seed).integers(0, 17, (n, 8, 10, 2))


# ---- weights ----


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda rng, shape: rng.normal(size=shape), 1 - 2 / math.pi),
        (lambda rng, shape: rng.uniform(-1, 1, shape), 0.25),
        (lambda rng, shape: rng.laplace(size=shape), 0.5),
    ],
)
def test_weight_error_of_distributions(draw, expected):
    """Errors of a million draws against the closed forms, 1 % apart at most (V1)."""
    kernel = draw(np.random.default_rng(0), (10, 10, 100, 100))
    kernel *= np.linspace(0.5, 1.5, 100)  # every channel has its own scale, which changes nothing
    assert abs(weight_error(conv("conv", "input", kernel)) / expected - 1) < 0.01


def test_weight_error_by_hand():
    """Two channels against pen and paper; weights of one size a channel have no error."""
    kernel = np.zeros((1, 1, 2, 2))
    kernel[0, 0] = [[3.0, -0.5], [-1.0, 0.5]]  # alpha 2 and 0.5
    assert weight_error(conv("conv", "input", kernel)) == (1 + 1) / (9 + 1 + 0.25 + 0.25)
    assert weight_error(conv("conv", "input", np.abs(kernel[..., 1:]))) == 0.0


def test_scale_is_the_best():
    """The scale of a channel against others: each of them has a larger error (V2)."""
    kernel = np.random.default_rng(3).laplace(size=(3, 3, 4, 2))
    network = spiking_network()
    layer = replace(network.layer("conv2"), kernel=kernel[..., [0, 0, 0, 0, 1, 1, 1, 1]][:, :, :3])
    network = replace(
        network, layers=tuple(layer if part.name == "conv2" else part for part in network.layers)
    )
    binary = binarised(network, ["conv2"]).layer("conv2")
    for channel in range(8):
        own, sign = layer.kernel[..., channel], binary.signs[..., channel]
        errors = [
            np.square(own - factor * binary.scale[channel] * sign).sum()
            for factor in (0.99, 1.0, 1.01)
        ]
        assert errors[1] < min(errors[0], errors[2])


def test_binarised_against_the_training_layer():
    """Weights of the plain network against PyTorch's, zeros included; all else is untouched."""
    torch = torch_or_skip()
    from ann2brian.models.pytorch.binary_conv import binary_weight

    network = spiking_network()
    kernel = network.layer("conv2").kernel.copy()
    kernel[0, 0, 0] = 0.0
    kernel[1, 1, 1] = -0.0
    layers = [
        replace(part, kernel=kernel) if part.name == "conv2" else part for part in network.layers
    ]
    network = replace(network, layers=tuple(layers))
    changed = binarised(network, {"conv2", "conv4"})
    for before, after in zip(network.layers, changed.layers, strict=True):
        if before.name not in ("conv2", "conv4"):
            assert after is before
            continue
        latent = torch.tensor(before.kernel.transpose(3, 2, 0, 1))
        wanted = binary_weight(latent).numpy().transpose(2, 3, 1, 0)
        assert isinstance(after, BinaryConv2D)
        np.testing.assert_allclose(after.as_real().kernel, wanted, rtol=1e-14)
        for field in ("name", "inputs", "stride", "padding", "groups"):
            assert getattr(after, field) == getattr(before, field)
    assert (changed.layer("conv2").signs[0, 0, 0] == 1).all()
    assert (changed.layer("conv2").signs[1, 1, 1] == 1).all()


def test_binarised_refusals():
    """Layers that cannot become binary against the messages that name them."""
    network = spiking_network()
    with pytest.raises(ValueError, match="network 'spiking': no layer 'conv9'; there are conv1, "):
        binarised(network, ["conv9"])
    with pytest.raises(ValueError, match="BatchNorm 'norm1' is no convolution with real weights"):
        binarised(network, ["norm1"])
    once = binarised(network, ["conv1"])
    with pytest.raises(ValueError, match="BinaryConv2D 'conv1' is no convolution with real"):
        binarised(once, ["conv1"])
    with pytest.raises(ValueError, match="layers must be several names, got the string 'conv1'"):
        binarised(network, "conv1")
    biased = [
        replace(part, bias=np.eye(8)[3]) if part.name == "conv2" else part
        for part in network.layers
    ]
    with pytest.raises(ValueError, match="Conv2D 'conv2' has a bias, which a binary layer has not"):
        binarised(replace(network, layers=tuple(biased)), ["conv1", "conv2"])
    with pytest.raises(ValueError, match="Conv2D 'none': all weights are 0"):
        weight_error(conv("none", "input", np.zeros((3, 3, 1, 2))))


def test_saving_curve():
    """Rows against networks made one by one; together, layers follow in the order of harm."""
    torch = torch_or_skip()
    images = pixels(60)
    network = with_all_classes(spiking_network(), images)
    labels = network.forward(images).argmax(axis=1)  # nearly all right: there is much to lose
    labels[::7] = 0
    names = ["conv3", "conv4", "conv2"]
    table = saving_curve(network, images, labels, names)
    assert table["kind"].tolist() == ["none", *["alone"] * 3, *["together"] * 3]
    assert table["layers"][:4].tolist() == ["", *names]
    assert table["accuracy"].nunique() > 3
    rises = dict(zip(table["layers"][1:4], table["loss_rise"][1:4], strict=True))
    order = sorted(rises, key=rises.get)
    assert order != names
    assert table["layers"][4:].tolist() == [" ".join(order[:n]) for n in (1, 2, 3)]

    def loss(net):
        p = torch.log_softmax(torch.tensor(net.forward(images)), dim=1)
        return -float(np.mean([p[i, label] for i, label in enumerate(labels)]))

    sizes = {"conv1": (108, 6), "conv2": (216, 8), "conv3": (224, 7), "conv4": (35, 5)}
    total = 32 * sum(n for n, _ in sizes.values())
    for row in table.itertuples():
        names = row.layers.split()
        changed = binarised(network, names)
        hits = [
            net_class == label
            for net_class, label in zip(changed.forward(images).argmax(1), labels, strict=True)
        ]
        assert row.accuracy == sum(hits) / 60
        assert row.loss_rise == pytest.approx(loss(changed) - loss(network), abs=1e-12)
        saved = sum(31 * sizes[name][0] - 32 * sizes[name][1] for name in names)
        assert row.saving == pytest.approx(saved / total, abs=1e-12)
        if names:
            assert row.weight_error == weight_error(network.layer(names[-1]))
    assert table["loss_rise"][0] == table["saving"][0] == 0
    assert math.isnan(table["weight_error"][0])
    assert saving_curve(network, images, labels)["layers"][1:5].tolist() == list(sizes)


# ---- potentials ----


@pytest.mark.parametrize("binary", [(), ("conv2", "conv3")])
def test_drives_are_the_potentials_of_the_first_step(binary):
    """Potentials against the layers' own outputs, and the spikes of the first step against them."""
    network, images = binarised(spiking_network(), binary), pixels(20)
    network = on_grid(network)
    conversion = albsnn.convert(network, AlbsnnOptions(n_steps=3, weight_bits=16))
    found = albsnn_reference.drives(conversion, images)
    assert list(found) == ["act1", "act2", "act3"]
    values = network.activations(images)
    run = albsnn_reference.run(conversion, images)
    for number, (name, h) in enumerate(found.items(), start=1):
        wanted = values[f"norm{number}"].reshape(20, -1) / network.layer(name).threshold
        np.testing.assert_allclose(h, wanted, atol=2e-5)  # the grid of offsets, over 1.5
        spikes = run.counts[name][:, 0]
        np.testing.assert_array_equal(spikes, h >= 1)
        assert 0.02 < spikes.mean() < 0.98


def test_histogram_by_hand():
    """Counts of a few potentials against pen and paper, those on borders and beyond the ends."""
    potentials = np.array([[-9.0, -0.5, 0.0, 0.97], [1.0, 1.04, 1.5, 2.0], [0.94, 1.06, 0.2, 1.9]])
    table = potential_histogram(potentials, low=-1.0, high=2.0, n_bins=3)
    assert table["low"].tolist() == [-1.0, 0.0, 1.0]
    assert table["high"].tolist() == [0.0, 1.0, 2.0]
    # -0.5 | 0, 0.97, 0.94, 0.2 | 1, 1.04, 1.5, 1.06, 1.9; 2.0 and -9.0 are beyond the ends
    np.testing.assert_allclose(table["density"], np.array([1, 4, 5]) / 12)
    np.testing.assert_allclose(table["fraction_at_threshold"], 3 / 12)  # 0.97, 1 and 1.04


def test_histogram_and_firing():
    """Density from the threshold on against the fraction of neurons that spike."""
    h = np.random.default_rng(5).normal(0.4, 1.0, 20_001)
    h = np.append(np.round(h[np.abs(h) < 3.9] * 8) / 8, [1.0, 1 - 1e-12])  # many on borders
    table = potential_histogram(h)
    width = table["high"] - table["low"]
    assert (width * table["density"]).sum() == pytest.approx(1.0)
    above = table["low"] >= 1.0
    assert table["low"][above].min() == 1.0
    assert (width * table["density"])[above].sum() == pytest.approx(np.mean(h >= 1), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"potentials": []}, "potentials must be finite numbers, got 0 values"),
        ({"potentials": [1.0, np.nan]}, "potentials must be finite numbers, got 2 values"),
        ({"potentials": [1.0], "n_bins": 0}, "need a bin between low and high, got 0, "),
        ({"potentials": [1.0], "low": 4.0}, "need a bin between low and high, got 64, 4.0 and 4.0"),
    ],
)
def test_histogram_refusals(options, message):
    """Arguments out of range against the messages."""
    with pytest.raises(ValueError, match=message):
        potential_histogram(**options)


# ---- spike times ----


def spikes_of(*trains):
    """Spikes of one image, shape (1, n_steps, n_units), from trains such as "0101"."""
    return np.array([[int(bit) for bit in train] for train in trains]).T[None]


def test_timing_by_hand():
    """Six neurons against pen and paper; the silent one does not count."""
    before = spikes_of("1010", "0100", "0100", "0010", "0000", "0000")
    after = spikes_of("1010", "0101", "0001", "0000", "1000", "0000")
    found = timing_change(before, after)
    # Spikes in both: 0, 0 and 2 steps later. Of five pairs the first spike is the same in two, the
    # train in one.
    e = math.exp(-1 / 2)
    distances = [0, 1, math.sqrt(2 - 2 * e**2), 1, 1]  # one spike more, moved by 2, lost, new
    assert found == {
        "first_spike_shift": pytest.approx(2 / 3),
        "same_first": 2 / 5,
        "same_train": 1 / 5,
        "van_rossum": pytest.approx(sum(distances) / 5),
        "rate_ratio": 6 / 5,
    }


def test_timing_against_loops():
    """Random trains of many images against a loop over neurons and images."""
    rng = np.random.default_rng(11)
    before = (rng.random((7, 5, 9)) < 0.25).astype(np.int16)
    after = np.where(rng.random(before.shape) < 0.3, rng.random(before.shape) < 0.3, before)
    shifts, same_first, same_train, distance = [], [], [], []
    for image in range(7):
        for unit in range(9):
            a, b = (np.flatnonzero(spikes[image, :, unit]) for spikes in (before, after))
            if not (a.size or b.size):
                continue
            same_train.append(a.tolist() == b.tolist())
            same_first.append(bool(a.size and b.size and a[0] == b[0]))
            distance.append(van_rossum([a, b], 3.0)[0, 1])
            if a.size and b.size:
                shifts.append(b[0] - a[0])
    assert len(shifts) > 20
    assert len(same_first) > len(shifts)
    found = timing_change(before, after, tau_steps=3.0)
    assert found["first_spike_shift"] == pytest.approx(np.mean(shifts))
    assert found["same_first"] == pytest.approx(np.mean(same_first))
    assert found["same_train"] == pytest.approx(np.mean(same_train))
    assert found["van_rossum"] == pytest.approx(np.mean(distance))
    assert found["rate_ratio"] == after.sum() / before.sum()


def test_timing_of_silence_and_of_long_trains():
    """Nothing to average against NaN, and the longest train that fits against its distance."""
    silent = np.zeros((2, 4, 3), dtype=np.int16)
    assert all(math.isnan(value) for value in timing_change(silent, silent).values())
    lively = silent + 1
    found = timing_change(silent, lively)
    assert found["same_train"] == found["same_first"] == 0
    assert math.isnan(found["first_spike_shift"])
    assert math.isnan(found["rate_ratio"])
    assert timing_change(lively, silent)["rate_ratio"] == 0
    last = np.zeros((1, 62, 1))
    last[0, 61] = 1
    found = timing_change(last, np.roll(last, 1, axis=1))
    assert found["first_spike_shift"] == -61
    assert found["van_rossum"] == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ((2, 4, 3), (2, 4, 2), r"one shape .*, got \(2, 4, 3\) and \(2, 4, 2\)"),
        ((4, 3), (4, 3), r"\(n_images, n_steps, n_units\), got \(4, 3\)"),
        ((1, 63, 1), (1, 63, 1), "up to 62 steps are compared, got 63 steps"),
    ],
)
def test_timing_refuses_shapes(before, after, message):
    """Shapes that do not fit against the messages."""
    with pytest.raises(ValueError, match=message):
        timing_change(np.zeros(before), np.zeros(after))


def test_timing_refuses_other_values():
    """Bursts and a time constant of 0 against the messages."""
    once = spikes_of("0100", "1000")
    with pytest.raises(ValueError, match="a neuron spikes once or not in a step, got 2 spikes"):
        timing_change(once, 2 * once)
    with pytest.raises(ValueError, match="tau_ms must be finite and above 0, got 0"):
        timing_change(once, once, tau_steps=0)


def test_layers_before_a_binary_one_do_not_change():
    """A network and the same with one binary layer: only spikes behind that layer move."""
    network, options = spiking_network(), AlbsnnOptions(n_steps=4)
    before, after = (
        albsnn_reference.run(albsnn.convert(version, options), pixels(6)).counts
        for version in (network, binarised(network, ["conv2"]))
    )
    unmoved = timing_change(before["act1"], after["act1"])
    assert unmoved["same_first"] == unmoved["same_train"] == unmoved["rate_ratio"] == 1
    assert unmoved["van_rossum"] == unmoved["first_spike_shift"] == 0
    for name in ("act2", "act3"):
        moved = timing_change(before[name], after[name])
        assert moved["same_train"] < 0.95
        assert moved["van_rossum"] > 0
