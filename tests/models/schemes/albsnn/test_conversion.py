"""Conversion of locally binary networks: grids, gains and offsets, packed signs, refusals."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from ann2brian.models.dyadic import grid_step
from ann2brian.models.engine.layout import LANES, SPARE_SIGNS, lay_out
from ann2brian.models.networks.grids import on_grid
from ann2brian.models.networks.layers import (
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool2D,
    Multiply,
    QuantisedReLU,
    Resample2D,
    Spike,
)
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn import reference as albsnn_reference
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.models.spiking.projections import Projection

from tests.support.binary_networks import convolution, dyadic_coding, mixed, norm, step_by_step
from tests.support.networks import CLASSES, coding, images_for

PATTERNS = ("rrrrr", "bbbbb", "rbrbr", "brbrb")


def convert(network, **options):
    return albsnn.convert(network, AlbsnnOptions(**options))


def rough(network, seed=3):
    """The same network off its grids, as a training leaves it, with statistics of the data."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        if isinstance(layer, BatchNorm):
            n = layer.gamma.size
            variance, mean = rng.uniform(0.3, 3, n), rng.normal(0, 0.5, n)
            layer = replace(
                layer,
                gamma=layer.gamma * np.sqrt(variance + 1e-5) * rng.uniform(0.99, 1.01, n),
                beta=layer.beta + mean * layer.gamma + 1e-4 * rng.normal(size=n),
                mean=mean,
                variance=variance,
                epsilon=1e-5,
            )
        elif isinstance(layer, BinaryConv2D):
            layer = replace(layer, scale=layer.scale * rng.uniform(0.99, 1.01, layer.scale.size))
        elif isinstance(layer, Conv2D):
            layer = replace(layer, kernel=layer.kernel * rng.uniform(0.99, 1.01))
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def numbers(network):
    return {
        f"{layer.name}.{f}": getattr(layer, f) for layer in network.layers for f in layer.ARRAYS
    }


# ---- the neuron ----


def test_neuron_by_hand():
    """Potentials and spikes of four steps against pen and paper, for both resets and leaks."""
    drives = (0.75, 0.75, 1.5, -0.5)
    on_paper = {
        # 0.75; 0.375 + 0.75 = 1.125 -> 0; 1.5 -> 0; -0.5
        ("hard", 0.5): ([0, 1, 1, 0], [0.75, 0, 0, -0.5]),
        # 0.75; 1.125 -> 0.125; 0.0625 + 1.5 = 1.5625 -> 0.5625; 0.28125 - 0.5
        ("soft", 0.5): ([0, 1, 1, 0], [0.75, 0.125, 0.5625, -0.21875]),
        # 0.75; 1.5 -> 0.5; 2 -> 1, which is a threshold, but the step is over; 0.5
        ("soft", 1.0): ([0, 1, 1, 0], [0.75, 0.5, 1.0, 0.5]),
        ("hard", 1.0): ([0, 1, 1, 0], [0.75, 0, 0, -0.5]),
    }
    for (reset, leak), (fires, potentials) in on_paper.items():
        v, found = np.zeros(1), []
        for drive in drives:
            fired, v = albsnn_reference.step(v, np.array([drive]), leak, reset)
            found.append((fired.item(), v.item()))
        assert found == list(zip(fires, potentials, strict=True))


def test_threshold_itself_fires():
    """Drives at and just below the threshold against the sign >= of the neuron."""
    drive = np.array([1.0, np.nextafter(1.0, 0)])
    for reset in ("hard", "soft"):
        fired, v = albsnn_reference.step(np.zeros(2), drive, 0.5, reset)
        assert fired.tolist() == [1, 0]
        assert v.tolist() == [0, drive[1]]


GAINS_OFFSETS = [  # of which (1 - b) / a is a whole number for some
    (Fraction(1, 4), Fraction(1, 4)),
    (Fraction(1, 4), Fraction(1, 8)),
    (Fraction(3, 8), Fraction(-2)),
    (Fraction(-1, 4), Fraction(1, 4)),
    (Fraction(-1, 4), Fraction(3, 8)),
    (Fraction(-3, 16), Fraction(-5, 4)),
    (Fraction(-1, 16), Fraction(7, 4)),
    (Fraction(0), Fraction(1)),
    (Fraction(0), Fraction(15, 16)),
    (Fraction(0), Fraction(-1)),
]


def integer_test(acc, a, b):
    """Spike test on the count alone (N2 of the specification), in whole numbers."""
    if a > 0:
        return acc >= math.ceil((1 - b) / a)
    if a < 0:
        return acc <= math.floor((1 - b) / a)
    return b >= 1


@pytest.mark.parametrize("n_steps", [1, 3])
def test_integer_spike_test(n_steps):
    """V5: spikes of a converted binary layer, for every count that it can get, against integers.

    Pixels set the spikes of 12 units with sign +1 and 12 with -1. With a soft reset and full leak
    in front, units that spike do so in every step.
    """
    n, n_out = 24, len(GAINS_OFFSETS)
    signs = np.where(np.arange(n) % 2, -1.0, 1.0)
    gains, offsets = (np.array([float(pair[i]) for pair in GAINS_OFFSETS]) for i in (0, 1))
    scale = np.array([2.0, 0.5] * (n_out // 2))
    layers = (
        Conv2D("conv1", ("input",), np.eye(n)[None, None], np.zeros(n)),
        Spike("act1", ("conv1",)),
        BinaryConv2D("conv2", ("act1",), np.tile(signs[:, None], n_out)[None, None], scale),
        BatchNorm(
            "norm2", ("conv2",), gains / scale, offsets, np.zeros(n_out), np.ones(n_out), 0.0
        ),
        Spike("act2", ("norm2",)),
        convolution(np.random.default_rng(0), "r", "conv3", "act2", (1, 1), n_out, 5),
        GlobalAvgPool("gap", ("conv3",)),
    )
    code = replace(dyadic_coding((1, 1, n)), gain=np.ones(n), offset=np.zeros(n), maximum=1)
    images = np.zeros((25, 1, 1, n), dtype=int)
    for row, count in enumerate(range(-12, 13)):
        images[row, 0, 0, int(count < 0) : 2 * abs(count) : 2] = 1
    conversion = convert(Network("one unit", code, layers, CLASSES), n_steps=n_steps, leak=2**-10)
    run = albsnn_reference.run(conversion, images)
    assert (run.counts["act1"][:, 0] @ signs.astype(int)).tolist() == list(range(-12, 13))
    found = run.counts["act2"][:, 0]
    for row, acc in enumerate(range(-12, 13)):
        expected = [integer_test(acc, a, b) for a, b in GAINS_OFFSETS]
        assert found[row].tolist() == expected, acc
        drives = np.array([float(a) * acc + float(b) for a, b in GAINS_OFFSETS])
        real, _ = albsnn_reference.step(np.zeros(n_out), drives, 1.0, "hard")
        assert real.tolist() == expected
    assert 0.2 < found.mean() < 0.8


# ---- grids ----


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bits", [16, 4])
def test_on_grid_changes_little_and_once(pattern, bits):
    """Numbers on the grid against half a step of it, and against those of a second rounding."""
    network = rough(mixed(pattern))
    once = on_grid(network, bits)
    for layer, original in zip(once.layers, network.layers, strict=True):
        if isinstance(layer, BatchNorm):
            x = np.linspace(-3, 3, layer.gamma.size)[None, None, None]
            np.testing.assert_allclose(layer.apply(x), original.apply(x), atol=4e-4)
            assert not np.array_equal(layer.gamma, original.scale)
            assert grid_step(layer.gamma) >= 2.0**-16
            assert grid_step(layer.beta) >= 2.0**-16
        elif isinstance(layer, BinaryConv2D):
            np.testing.assert_array_equal(layer.signs, original.signs)
            assert np.abs(layer.scale - original.scale).max() <= 2.0**-16
            assert grid_step(layer.scale) >= 2.0**-15
        elif isinstance(layer, Conv2D):
            largest = np.abs(original.kernel).max()
            step = 2.0 ** math.ceil(math.log2(largest)) / 2 ** (bits - 1)
            assert grid_step(layer.kernel) >= step
            assert np.abs(layer.kernel - original.kernel).max() <= step / 2
            assert np.abs(layer.kernel).max() <= 2 ** (bits - 1) * step
    again = numbers(on_grid(once, bits))
    for name, values in numbers(once).items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_grid_of_zeros_and_dense_layers():
    """A layer of zeros, and a bias, against themselves: nothing to round, nothing divided by 0."""
    layers = (
        Conv2D("conv1", ("input",), np.zeros((1, 1, 1, 2)), np.array([0.5, 2.0])),
        Spike("act1", ("conv1",)),
        GlobalAvgPool("gap", ("act1",)),
        Dense("dense1", ("gap",), np.array([[0.3, 0.7], [1 / 3, 0.0]]), np.array([0.1, 0.25])),
    )
    network = Network("zeros", dyadic_coding((2, 2, 1)), layers, ("a", "b"))
    found = on_grid(network)
    np.testing.assert_array_equal(found.layers[0].kernel, layers[0].kernel)
    np.testing.assert_array_equal(found.layers[0].bias, layers[0].bias)
    assert np.abs(found.layers[3].kernel - layers[3].kernel).max() <= 2.0**-16
    assert found.layers[3].bias.tolist() == [round(0.1 * 2**16) / 2**16, 0.25]
    run = albsnn_reference.run(convert(network, n_steps=2), images_for(network, 3))
    assert (run.counts["act1"].reshape(3, 2, 4, 2) == [0, 1]).all()


# ---- one step, and several ----


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("leak, reset", [(0.5, "hard"), (1.0, "soft")])
def test_one_step_is_the_network_that_was_trained(pattern, leak, reset):
    """Logits at one step against the trained network's, bit for bit; leak and reset are inert."""
    network = mixed(pattern, shape=(19, 14, 2))
    assert network.shapes["norm5"][:2] == (4, 4)
    images = images_for(network, 9)
    conversion = convert(network, leak=leak, reset=reset)
    run = albsnn_reference.run(conversion, images)
    found = run.scores
    assert found.shape == (9, 1, 5)
    np.testing.assert_array_equal(found[:, 0], network.forward(images))
    values = network.activations(images)
    for name, counts in run.counts.items():
        np.testing.assert_array_equal(counts[:, 0], values[name].reshape(9, -1))
        assert 0 < counts.mean() < 1


@pytest.mark.parametrize("kinds", ["rb", "br", "bb", "rr"])
def test_mean_over_seven_by_seven(kinds):
    """The same where the number of positions is no power of two, to 1e-12."""
    rng = np.random.default_rng(5)
    layers = (
        convolution(rng, kinds[0], "conv1", "input", (3, 3), 1, 6, stride=(2, 2), padding=(1, 1)),
        norm(rng, "norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
        convolution(rng, kinds[1], "conv2", "act1", (1, 1), 6, 5),
        norm(rng, "norm2", "conv2", 5),
        GlobalAvgPool("gap", ("norm2",)),
    )
    network = Network("seven", dyadic_coding((14, 14, 1)), layers, CLASSES)
    images = images_for(network, 20)
    conversion = convert(network)
    run = albsnn_reference.run(conversion, images)
    assert network.shapes["norm2"] == (7, 7, 5)
    np.testing.assert_allclose(run.scores[:, 0], network.forward(images), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "n_steps, leak, reset",
    [(2, 0.5, "hard"), (4, 0.5, "hard"), (4, 0.5, "soft"), (4, 1.0, "soft"), (3, 1.0, "hard")],
)
def test_several_steps_equal_the_layers_step_by_step(pattern, n_steps, leak, reset):
    """Spikes, potentials and logits of the reference against the layers, applied in every step."""
    network = mixed(pattern)
    images = images_for(network, 6)
    conversion = convert(network, n_steps=n_steps, leak=leak, reset=reset)
    run = albsnn_reference.run(conversion, images)
    logits, spikes, potentials = step_by_step(network, images, n_steps, leak, reset)
    for name, fired in spikes.items():
        np.testing.assert_array_equal(run.counts[name], fired)
        np.testing.assert_array_equal(run.potentials[name], potentials[name])
    np.testing.assert_allclose(run.scores[:, -1], logits, rtol=0, atol=1e-12)
    assert (np.ptp(run.counts["act3"], axis=1) > 0).any()  # steps differ


def test_leak_and_reset_matter_from_the_second_step():
    """Spikes of the same images under other leaks and resets against each other."""
    network = mixed("rbbrr")
    images = images_for(network, 6)
    found = {
        (leak, reset): albsnn_reference.run(
            convert(network, n_steps=3, leak=leak, reset=reset), images
        ).counts["act4"]
        for leak in (0.5, 0.8, 1.0)
        for reset in ("hard", "soft")
    }
    first = found.pop((0.5, "hard"))
    for counts in found.values():
        np.testing.assert_array_equal(counts[:, 0], first[:, 0])
        assert not np.array_equal(counts[:, 1:], first[:, 1:])


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_readout_identity(pattern, n_steps):
    """V6: logits against convolution, batch normalisation and mean of the head, to 1e-12.

    Of rough numbers, which the conversion first puts on a grid; the sums here are by `einsum`.
    """
    network = on_grid(rough(mixed(pattern)))
    images = images_for(network, 6)
    conversion = convert(network, n_steps=n_steps)
    run = albsnn_reference.run(conversion, images)
    head, bn = network.layer("conv5"), network.layer("norm5")
    weights, bias = (head.signs * head.scale, 0) if pattern[4] == "b" else (head.kernel, head.bias)
    spikes = run.counts["act4"].reshape(6, n_steps, 3, 3, 9).astype(float)
    h = np.einsum("nthwi,io->nthwo", spikes, weights[0, 0]) + bias
    z = bn.gamma * (h - bn.mean) / np.sqrt(bn.variance + bn.epsilon) + bn.beta
    expected = z.mean(axis=(2, 3)).cumsum(axis=1) / np.arange(1, n_steps + 1)[:, None]
    found = run.scores
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert expected.std() > 0.1


def test_rough_network_keeps_its_logits():
    """Logits of a network off the grids against its own, within what rounding may change.

    Few spikes differ, each of which moves a logit by a tenth at most; wrong gains move all.
    """
    network = rough(mixed("rbbrb"))
    images = images_for(network, 20)
    conversion = convert(network)
    found = albsnn_reference.run(conversion, images).scores[:, 0]
    expected = network.forward(images)
    assert np.abs(found - expected).mean() < 0.02 * expected.std()


def test_threshold_scales_gain_and_offset():
    """A layer whose threshold and batch normalisation are doubled against the one before."""
    network = mixed("rbbrb")
    layers = [
        replace(layer, gamma=2 * layer.gamma, beta=2 * layer.beta)
        if layer.name in ("norm1", "norm3")
        else replace(layer, threshold=2.0)
        if layer.name in ("act1", "act3")
        else layer
        for layer in network.layers
    ]
    images = images_for(network, 5)
    runs = [
        albsnn_reference.run(convert(n, n_steps=3), images)
        for n in (network, replace(network, layers=tuple(layers)))
    ]
    for name, counts in runs[0].counts.items():
        np.testing.assert_array_equal(runs[1].counts[name], counts)


@pytest.mark.parametrize("pool", ["before", "after"])
@pytest.mark.parametrize("kind", ["r", "b"])
def test_average_pooling_on_either_side_of_the_weights(pool, kind):
    """Spikes and logits where windows overlap, before (padded too) or after the weights."""
    rng = np.random.default_rng(6)
    window = AvgPool2D("pool", ("act1",), (4, 2), (2, 1), (1, 1))
    if pool == "after":
        window = AvgPool2D("pool", ("norm2",), (4, 2), (2, 1))
    start = (
        convolution(rng, "b", "conv1", "input", (3, 3), 1, 6, padding=(1, 1)),
        norm(rng, "norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
    )
    weights = (
        convolution(
            rng, kind, "conv2", "pool" if pool == "before" else "act1", (3, 3), 6, 4, padding=(1, 1)
        ),
        norm(rng, "norm2", "conv2", 4),
    )
    middle = (window, *weights) if pool == "before" else (*weights, window)
    end = (
        Spike("act2", (middle[-1].name,)),
        convolution(rng, "b", "conv3", "act2", (1, 1), 4, 5),
        GlobalAvgPool("gap", ("conv3",)),
    )
    network = Network("pooled", dyadic_coding((8, 6, 1)), (*start, *middle, *end), CLASSES)
    images = images_for(network, 7)
    conversion = convert(network)
    run = albsnn_reference.run(conversion, images)
    values = network.activations(images)
    np.testing.assert_array_equal(run.counts["act2"][:, 0], values["act2"].reshape(7, -1))
    assert 0.05 < run.counts["act2"].mean() < 0.95
    np.testing.assert_allclose(run.scores[:, 0], network.forward(images), rtol=0, atol=1e-12)
    by_target = {p.target: p.is_binary for p in conversion.spiking.projections}
    assert by_target == {"act2": kind == "b" and pool == "before", "readout": True}


# ---- what a conversion holds ----


@pytest.mark.parametrize("pattern", PATTERNS)
def test_layout(pattern):
    """Names, times, kinds of weights and of neurons against those of the layers."""
    network = mixed(pattern)
    conversion = convert(network, n_steps=3, dt_ms=2.0)
    spiking = conversion.spiking
    assert conversion.binary == tuple(f"conv{i + 1}" for i in range(5) if pattern[i] == "b")
    onsets = {p.name: p.onset for p in spiking.populations}
    names = ("act1", "act2", "pool2", "act3", "act4")
    assert onsets == {name: i for i, name in enumerate(names)}
    assert spiking.latency_ms == 2.0 * (4 + 3 + 1)  # read-out with act4's spikes, and one to read
    kinds = {p.name: p.is_binary for p in spiking.projections if isinstance(p, Projection)}
    targets = ("act1->act2", "pool2->act3", "act3->act4", "act4->readout")
    assert kinds == {t: letter == "b" for t, letter in zip(targets, pattern[1:], strict=True)}
    assert [s.target for s in spiking.stimuli] == ["act1"]
    for population in spiking.populations:
        assert population.shape == network.shapes[population.name]
    unscaled = {p.target: p.kernel for p in spiking.projections if isinstance(p, Projection)}
    for name, letter in zip(("conv2", "conv3", "conv4", "conv5"), pattern[1:], strict=True):
        layer = network.layer(name)
        target = "readout" if name == "conv5" else f"act{name[-1]}"
        expected = layer.signs if letter == "b" else layer.kernel
        np.testing.assert_array_equal(unscaled[target], expected)  # no divisor of pools in them


@pytest.mark.parametrize("pattern", PATTERNS)
def test_gain_holds_scale_norm_and_divisor(pattern):
    """Gains and offsets of each neuron against alpha gamma / pool, and the bias normalised."""
    network = mixed(pattern)
    spiking = convert(network).spiking
    for number, positions in ((2, 4), (3, 1), (4, 1)):
        layer, bn = network.layer(f"conv{number}"), network.layer(f"norm{number}")
        alpha, bias = (layer.scale, 0.0) if pattern[number - 1] == "b" else (1.0, layer.bias)
        found = spiking.population(f"act{number}").parameters
        assert found["gain"].shape == (1, *network.shapes[f"act{number}"])
        expected = np.broadcast_to(alpha * bn.gamma / positions, found["gain"].shape)
        np.testing.assert_array_equal(found["gain"], expected)
        expected = np.broadcast_to(bn.gamma * bias + bn.beta, found["bias"].shape)
        np.testing.assert_array_equal(found["bias"], expected)
    first = spiking.population("act1").parameters
    assert not first["gain"].any() and not first["bias"].any()  # its drive is a stimulus


def test_a_wider_head_merges_with_its_mean():
    """A 3x3 binary head before the mean: no signs any more, but the same logits."""
    rng = np.random.default_rng(5)
    layers = (
        convolution(rng, "r", "conv1", "input", (3, 3), 1, 6, padding=(1, 1)),
        norm(rng, "norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
        convolution(rng, "b", "conv2", "act1", (3, 3), 6, 5, padding=(1, 1)),
        norm(rng, "norm2", "conv2", 5),
        GlobalAvgPool("gap", ("norm2",)),
    )
    network = Network("wide", dyadic_coding((4, 8, 1)), layers, CLASSES)
    images = images_for(network, 7)
    conversion = convert(network)
    (projection,) = conversion.spiking.projections
    assert not projection.is_binary
    assert conversion.binary == ("conv2",)
    found = albsnn_reference.run(conversion, images).scores[:, 0]
    np.testing.assert_array_equal(found, network.forward(images))


def test_dense_head_without_norm():
    """A dense head with a bias, after a Flatten, against the trained network's logits."""
    rng = np.random.default_rng(5)
    kernel = np.round(rng.normal(size=(96, 5)) * 2**8) / 2**8
    layers = (
        convolution(rng, "b", "conv1", "input", (3, 3), 1, 6, stride=(2, 1), padding=(1, 1)),
        norm(rng, "norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
        Flatten("flat", ("act1",)),
        Dense("dense1", ("flat",), kernel, np.arange(5) / 4),
    )
    network = Network("dense", dyadic_coding((4, 8, 1)), layers, CLASSES)
    images = images_for(network, 7)
    conversion = convert(network)
    assert conversion.spiking.readout.gain.tolist() == [1] * 5
    assert conversion.spiking.readout.offset.tolist() == [0, 0.25, 0.5, 0.75, 1]
    found = albsnn_reference.run(conversion, images).scores[:, 0]
    np.testing.assert_array_equal(found, network.forward(images))


# ---- packed signs ----


def bit(words, index):
    return words[index // 32].item() >> (index % 32) & 1


def n_bits(layer):
    """Of a binary layer's signs: one each, and the output channels of a tap fill whole bytes."""
    rows, columns, per_group, n_out = layer.signs.shape
    n_each = -(-n_out // layer.groups // LANES) * LANES
    return rows * columns * per_group * layer.groups * n_each


@pytest.mark.parametrize("channels", [37, 32, 5])
def test_plan_packs_a_bit_a_weight(channels):
    """Every bit of the plan against its weight; what fills up the last byte of a tap is 0."""
    network = mixed("rbbrb", channels)
    spiking = convert(network).spiking
    layout = lay_out(spiking, 2, 1)
    names = ("conv2", "conv3", "conv5")
    sizes = {name: n_bits(network.layer(name)) for name in names}
    assert layout.signs.dtype == np.int32
    assert len(layout.signs) == -(-sum(sizes.values()) // 32) + SPARE_SIGNS
    assert layout.weights.size == 1  # max pooling's
    rows, columns, n_in, n_out = network.layer("conv4").kernel.shape
    n_packed = rows * columns * n_in * -(-n_out // LANES) * LANES
    assert layout.packed.size == n_packed + LANES and layout.packed.dtype == np.int16
    routes = {
        p.name: route
        for p, route in zip(spiking.projections, layout.routes, strict=True)
        if route.is_binary
    }
    assert list(routes) == ["act1->act2", "pool2->act3", "act4->readout"]
    start = 0
    for route, (name, size) in zip(routes.values(), sizes.items(), strict=True):
        assert route.kernel_start == start
        layer = network.layer(name)
        rows, columns, per_group, n_out = layer.signs.shape
        n_each = n_out // layer.groups
        assert route.tap == -(-n_each // LANES) * LANES
        index = start
        for group in range(layer.groups):
            for channel in range(per_group):
                for row in range(rows):
                    for column in reversed(range(columns)):
                        for out in range(group * n_each, (group + 1) * n_each):
                            sign = layer.signs[row, column, channel, out]
                            assert bit(layout.signs, index) == (sign == 1)
                            index += 1
                        while index % 8:
                            assert not bit(layout.signs, index)
                            index += 1
        start += size
        assert index == start
    assert not any(bit(layout.signs, i) for i in range(start, 32 * len(layout.signs)))


def test_gains_of_binary_routes_are_volts():
    """Factors of each route in volts: one threshold for signs, the grid's step for real weights."""
    spiking = convert(mixed("rbrbb")).spiking
    layout = lay_out(spiking, 1, 1)
    step = grid_step(spiking.projections[2].kernel)
    found = [(route.is_binary, layout.gains[route.gain_start]) for route in layout.routes]
    assert found == [(1, 2.0**-6), (0, 1), (0, step * 2.0**-6), (1, 2.0**-6), (1, 2.0**-6)]


def test_binary_projections_hold_signs_only():
    """A binary projection with another weight against the message that names it."""
    spiking = convert(mixed("rbrrr")).spiking
    (index,) = (i for i, p in enumerate(spiking.projections) if getattr(p, "is_binary", False))
    for value in (0.0, 2.0, -0.5):
        kernel = spiking.projections[index].kernel.copy()
        kernel[1, 2, 0, 3] = value
        changed = list(spiking.projections)
        changed[index] = replace(changed[index], kernel=kernel)
        with pytest.raises(ValueError, match=r"act1->act2: binary weights are \+1 and -1; move"):
            replace(spiking, projections=tuple(changed))


# ---- refusals ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number from 1 to 4096, got 0"),
        ({"n_steps": 2.0}, "n_steps must be a whole number"),
        ({"weight_bits": 1}, "weight_bits must be a whole number from 2 to 24, got 1"),
        ({"weight_bits": 25}, "weight_bits must be a whole number from 2 to 24, got 25"),
        ({"reset": "none"}, "reset must be one of soft, hard, got 'none'"),
        ({"leak": 0.0}, "leak must be from .* to 1, got 0.0"),
        ({"leak": 1.01}, "leak must be from .* to 1, got 1.01"),
        ({"leak": float("nan")}, "leak must be from .*, got nan"),
        ({"dt_ms": 0.0}, "dt_ms must be from 0.001 to 1000, got 0.0"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, message):
    """Errors that name the option and the value."""
    with pytest.raises(ValueError, match=message):
        AlbsnnOptions(**options)


def odd(*layers):
    """Of pixels, a convolution to 4x4x2 and what is given; ends with two classes."""
    rng = np.random.default_rng(0)
    first = convolution(rng, "r", "c", "input", (3, 3), 1, 2)
    return Network("odd", coding((6, 6, 1)), (first, *layers), "ab")


def conv(name, before, n_in=2, n_out=2, kind="b"):
    return convolution(np.random.default_rng(1), kind, name, before, (1, 1), n_in, n_out)


def bn(name, before):
    return norm(np.random.default_rng(2), name, before, 2)


S, END = Spike("s", ("c",)), (conv("d", "s"), GlobalAvgPool("g", ("d",)))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            (Activation("a", ("c",), "relu"), conv("d", "a"), GlobalAvgPool("g", ("d",))),
            r"Activation 'a' does not spike; .*train\.py --scheme albsnn",
        ),
        (
            (QuantisedReLU("q", ("c",), 0.5, 4), conv("d", "q"), GlobalAvgPool("g", ("d",))),
            "QuantisedReLU 'q' does not spike",
        ),
        (
            (S, Add("sum", ("c", "s")), conv("d", "sum"), *END[1:]),
            "between 'input' and 'readout' there must be one .* there are: c, d",
        ),
        (
            (S, conv("d", "s"), Add("sum", ("d", "s")), GlobalAvgPool("g", ("sum",))),
            "sum adds branches of different gains for the scores, .* put a spiking layer after",
        ),
        (
            (S, bn("n", "s"), conv("d", "n"), *END[1:]),
            "BatchNorm 'n' has a factor for each channel before the weights of 'd', .* after the",
        ),
        ((Spike("s", ("c",), 1.0, 0.5), *END), "Spike 's' was trained with noise of mean 0.5"),
        (
            (conv("e", "c"), Spike("s", ("e",)), *END),
            "between 'input' and 's' there must be one .* there are: c, e",
        ),
        (
            (S, conv("d", "s"), conv("e", "d", kind="r"), GlobalAvgPool("g", ("e",))),
            "between 's' and 'readout' there must be one .* there are: d, e",
        ),
        (
            (S, AvgPool2D("p", ("s",)), bn("n", "p"), conv("d", "n"), *END[1:]),
            "BatchNorm 'n' has a factor for each channel before the weights of 'd'",
        ),
        (
            (S, Concat("k", ("s", "s")), conv("d", "k", n_in=4), *END[1:]),
            "Concat 'k' cannot stand between the spiking layers of a locally binary network",
        ),
        (
            (
                S,
                Resample2D("r", ("s",), np.ones((8, 4)), np.ones((8, 4))),
                conv("d", "r"),
                *END[1:],
            ),
            "Resample2D 'r' cannot stand between the spiking layers",
        ),
        (
            (S, Multiply("m", ("s", "s")), conv("d", "m"), *END[1:]),
            "Multiply 'm' cannot (stand|become)",
        ),
        ((MaxPool2D("p", ("c",), (4, 4)),), "'p' pools 'c', which does not spike"),
        ((GlobalAvgPool("g", ("c",)),), "has no activation"),
        ((S, MaxPool2D("p", ("s",), (4, 4))), "the last layer, MaxPool2D 'p', spikes"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(layers, message):
    """Errors that name the layer."""
    with pytest.raises(ValueError, match=f"network 'odd'.*{message}"):
        convert(odd(*layers))


def test_norm_of_pixels_is_refused():
    """Batch normalisation before the first convolution against the message that names both."""
    rng = np.random.default_rng(0)
    layers = (
        norm(rng, "n", "input", 2),
        convolution(rng, "r", "c", "n", (3, 3), 2, 2),
        S,
        *END,
    )
    with pytest.raises(ValueError, match=r"BatchNorm 'n' has a factor .* weights of 'c'"):
        convert(Network("odd", coding((6, 6, 2)), layers, "ab"))


def affine(name, before, n, factor, shift):
    """The same factor and summand for all channels, as of `factor * x + shift`."""
    return BatchNorm(name, (before,), *map(np.full, [n] * 4, (factor, shift, 0.0, 1.0)), 0.0)


@pytest.mark.parametrize("kind", ["b", "r"])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_one_factor_goes_past_the_weights(kind, n_steps):
    """Of pixels, of spikes before a padded convolution, of a sum over the map: by the layers."""
    rng = np.random.default_rng(8)
    pad = {"padding": (1, 1)}
    layers = (
        affine("n0", "input", 1, 0.5, 0.25),
        convolution(rng, kind, "conv1", "n0", (3, 3), 1, 6, **pad),
        norm(rng, "norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
        affine("n1", "act1", 6, 2.0, -0.5),
        convolution(rng, kind, "conv2", "n1", (3, 3), 6, 5, **pad),
        norm(rng, "norm2", "conv2", 5),
        Spike("act2", ("norm2",)),
        GlobalAvgPool("pool", ("act2",)),
        affine("n2", "pool", 5, 8 * 6, 0.0),
        Dense("dense", ("n2",), np.round(rng.normal(size=(5, 5)) * 2**8) / 2**8, np.zeros(5)),
    )
    network = Network("factors", dyadic_coding((8, 6, 1)), layers, CLASSES)
    images = images_for(network, 7)
    conversion = convert(network, n_steps=n_steps, leak=0.5, reset="hard")
    found = albsnn_reference.run(conversion, images)
    logits, spikes, _ = step_by_step(network, images, n_steps, 0.5, "hard")
    for name, counts in found.counts.items():
        np.testing.assert_array_equal(counts, spikes[name])
        assert 0.02 < counts.mean() < 0.98, name
    np.testing.assert_allclose(found.scores[:, -1], logits, rtol=0, atol=1e-9)
