"""Rewritten networks have the logits of the original, and lack what was to be rewritten."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.conversion.convolutions import resampling
from ann2brian.models.networks.layers import (
    ACTIVATIONS,
    Activation,
    Add,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    Dense,
    GlobalAvgPool,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    QuantisedReLU,
    Resample2D,
    Spike,
    scale_and_shift,
)
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.networks.piecewise import piecewise_linear
from ann2brian.models.networks.rewriting import (
    max_by_pairs,
    pick_before_activation,
    pool_after_activation,
    pool_before_activation,
    pool_each_relu,
    products_by_squares,
    relu_sums,
    with_pieces,
    with_relu_only,
)
from hypothesis import given, settings
from hypothesis import strategies as st

REWRITE = (
    Network.fold_batch_norm,
    pool_after_activation,
    with_relu_only,
    max_by_pairs,
    products_by_squares,
)
PARAMETERS = {"clip": (-0.5, 1.0), "elu": (0.7,), "softplus": (2.0,)}
KINDS = ("conv", "norm", "norm", "pool", "pool", "pool", "act", "act", "leaky", "mul", "binary")
SHAPE = (7, 6, 3)
SEEDS = st.integers(0, 2**32 - 1)


def network_of(*layers, shape=SHAPE):
    """Layers on an input of real numbers, with a read-out of the mean of each channel."""
    coding = InputCoding(shape, 9.0, np.ones(shape[2]), np.zeros(shape[2]), signed=True)
    body = Network(
        "body",
        coding,
        (*layers, GlobalAvgPool("mean", (layers[-1].name,))),
        tuple("abcdefghij"[: channels_of(layers, shape)]),
    )
    kernel = np.random.default_rng(1).normal(size=(len(body.classes), 2))
    return replace(
        body,
        layers=(*body.layers, Dense("out", ("mean",), kernel, np.zeros(2))),
        classes=("a", "b"),
    )


def channels_of(layers, shape):
    shapes = {"input": shape}
    for layer in layers:
        shapes[layer.name] = layer.output_shape(*(shapes[name] for name in layer.inputs))
    return shapes[layers[-1].name][2]


def norm(rng, name, source, n=3, signs=None):
    gamma = rng.normal(size=n)
    return BatchNorm(
        name,
        (source,),
        gamma if signs is None else np.abs(gamma) * signs,
        rng.normal(size=n),
        rng.normal(size=n),
        rng.uniform(0.5, 2, n),
        1e-3,
    )


def conv(rng, name, source, n=3):
    return Conv2D(
        name, (source,), rng.normal(size=(2, 3, n, n)), rng.normal(size=n), (1, 1), (1, 0, 1, 1)
    )


def images(network, seed=0, n=4):
    return np.random.default_rng(seed).uniform(-3, 3, (n, *network.input.shape))


def same(before, after, seed=0):
    """The logits agree to rounding."""
    x = images(before, seed)
    expected = before.forward(x)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(after.forward(x), expected, atol=1e-10 * scale)


def kinds(network, *wanted):
    return [layer for layer in network.layers if isinstance(layer, wanted)]


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS)
def test_random_networks_stay_the_same(seed):
    """Layers of all kinds in any order, with branches, under every function and all together."""
    rng = np.random.default_rng(seed)
    layers, ends = [], ["input"]
    for i in range(rng.integers(2, 9)):
        name, source = f"l{i}", rng.choice(ends[-2:])
        kind = rng.choice(KINDS)
        if kind == "conv":
            layer = conv(rng, name, source)
        elif kind == "binary":
            signs = np.sign(rng.normal(size=(3, 3, 3, 3)))
            scale = rng.uniform(0.1, 0.3, 3)
            layer = BinaryConv2D(name, (source,), signs, scale, (1, 1), (1, 1))
        elif kind == "norm":
            layer = norm(rng, name, source, signs=rng.choice([1.0, -1.0]))
        elif kind == "pool":
            layer = MaxPool2D(name, (source,), (3, 3), (1, 1), (1, 1))
        elif kind == "leaky":
            layer = LeakyReLU(name, (source,), rng.normal(size=3))
        elif kind == "mul":
            layer = Multiply(name, (source, rng.choice(ends[-2:])))
        else:
            function = str(rng.choice(sorted(set(ACTIVATIONS) - {"square"})))
            layer = Activation(name, (source,), function, PARAMETERS.get(function, ()))
        layers.append(layer)
        if kind in ("conv", "binary", "mul"):  # values stay small
            layers.append(scale_and_shift(f"b{i}", name, np.full(3, 0.2)))
        ends.append(layers[-1].name if rng.random() < 0.5 else name)
    used = {source for layer in layers for source in layer.inputs}
    loose = [layer.name for layer in layers if layer.name not in used]
    if len(loose) > 1:
        layers.append(Add("all", tuple(loose)))
    network = network_of(*layers)
    everything = network
    for rewrite in REWRITE:
        same(network, rewrite(network), seed)
        everything = rewrite(everything)
    same(network, everything, seed)
    assert not kinds(everything, BatchNorm, BinaryConv2D, MaxPool2D, Multiply, LeakyReLU)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    data=st.data(),
    seed=SEEDS,
)
def test_tournament_of_any_window(size, stride, data, seed):
    """Windows, strides and uneven padding; all values below 0, so that a zero would win."""
    sides = tuple(data.draw(st.integers(0, min(size[axis] - 1, 2))) for axis in (0, 0, 1, 1))
    network = network_of(MaxPool2D("pool", ("input",), size, stride, sides))
    rewritten = max_by_pairs(network)
    x = images(network, seed) - 4
    found, expected = rewritten.activations(x)["pool"], network.activations(x)["pool"]
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert expected.max() < 0
    rounds = sum(int(np.ceil(np.log2(k))) for k in size)
    shapes = rewritten.shapes
    relus = kinds(rewritten, Activation)
    rows, columns, channels = shapes["pool"]
    units = (size[0] - 1) * rows * SHAPE[1] + (size[1] - 1) * rows * columns
    assert sum(np.prod(shapes[layer.name]) for layer in relus) == units * channels
    assert depth(rewritten, "pool") == rounds


@settings(max_examples=40, deadline=None)
@given(st.data(), SEEDS)
def test_padding_behind_a_relu_is_zero(data, seed):
    """The values of the layer, and windows that all have the weights of one kernel."""
    size = tuple(data.draw(st.integers(2, 3)) for _ in range(2))
    stride = tuple(data.draw(st.integers(1, 3)) for _ in range(2))
    sides = tuple(data.draw(st.integers(0, size[axis] - 1)) for axis in (0, 0, 1, 1))
    network = network_of(
        Activation("act", ("input",), "relu"), MaxPool2D("pool", ("act",), size, stride, sides)
    )
    rewritten = max_by_pairs(network)
    x = images(network, seed) - 4
    found, expected = rewritten.activations(x)["pool"], network.activations(x)["pool"]
    np.testing.assert_allclose(found, expected, atol=1e-10)
    picks = kinds(rewritten, Resample2D)
    assert picks and all(resampling(layer, 3) is not None for layer in picks)


def test_picks_go_before_the_activation():
    """ReLU, pick, pool become pick, ReLU, pool; a ReLU that somebody else uses stays as well."""
    rows, columns = np.eye(7)[[0, 1, 2, 2, 3, 4, 5, 6, 6]], np.eye(6)[[0, 1, 1, 2, 3, 5]]
    pooled = (
        Activation("act", ("input",), "relu"),
        Resample2D("pick", ("act",), rows, columns),
        MaxPool2D("pool", ("pick",), (3, 2), (3, 2)),
    )
    network = network_of(*pooled)
    found = pick_before_activation(network)
    same(network, found)
    assert [type(layer) for layer in found.layers[:3]] == [Resample2D, Activation, MaxPool2D]
    assert found.layer("pool").inputs == ("pick",) and "act" not in found.shapes
    both = network_of(*pooled, GlobalAvgPool("m", ("act",)), GlobalAvgPool("n", ("pool",)),
                      Add("sum", ("m", "n")))  # fmt: skip
    found = pick_before_activation(both)
    same(both, found)
    assert len(kinds(found, Activation)) == 2
    mixing = network_of(pooled[0], Resample2D("pick", ("act",), rows / 2, columns), pooled[2])
    assert pick_before_activation(mixing).layers == mixing.layers
    spiking = network_of(Spike("act", ("input",)), *pooled[1:])
    assert pick_before_activation(spiking).layers == spiking.layers


@pytest.mark.parametrize(
    "activation",
    [
        Activation("act", ("input",), "clip", (0.0, 2.0)),
        Activation("act", ("input",), "clip", (-1.0, 1.0)),
        Activation("act", ("input",), "hardsigmoid"),
    ],
)
def test_relus_are_pooled_one_by_one(activation):
    """The values of the pool, from pools of ReLUs only; LeakyReLU, whose terms differ, stays."""
    pool = MaxPool2D("pool", ("act",), (2, 3), (2, 2), (1, 0, 1, 1))
    network = network_of(activation, pool)
    found = pool_each_relu(network)
    same(network, found)
    assert "act" not in found.shapes and len(kinds(found, MaxPool2D)) == 2
    for layer in kinds(found, MaxPool2D):
        assert found.layer(layer.inputs[0]).function == "relu"
    leaky = network_of(LeakyReLU("act", ("input",), [0.2] * 3), pool)
    assert pool_each_relu(leaky).layers == leaky.layers


def depth(network, end):
    """Largest number of activations on a way from the input."""
    found = {"input": 0}
    for layer in network.layers:
        most = max(found[name] for name in layer.inputs)
        found[layer.name] = most + isinstance(layer, Activation)
    return found[end]


def test_pooling_changes_places():
    """Conv, pool, norm, ReLU become conv, norm, ReLU, pool; names stay, of the users too."""
    rng = np.random.default_rng(3)
    network = network_of(
        conv(rng, "conv1", "input"),
        MaxPool2D("pool1", ("conv1",)),
        norm(rng, "norm1", "pool1", signs=1.0),
        Activation("act1", ("norm1",), "relu"),
        conv(rng, "conv2", "act1"),
        Activation("act2", ("conv2",), "relu"),
    )
    found = pool_after_activation(network)
    same(network, found)
    order = [(layer.name, layer.inputs) for layer in found.layers[:5]]
    assert order == [
        ("conv1", ("input",)),
        ("norm1", ("conv1",)),
        ("act1", ("norm1",)),
        ("pool1", ("act1",)),
        ("conv2", ("pool1",)),
    ]


@pytest.mark.parametrize(
    "after",
    [
        lambda rng: norm(rng, "a", "pool", signs=np.array([1, -1, 1])),
        lambda rng: LeakyReLU("a", ("pool",), [0.1, -0.1, 0.1]),
        lambda rng: Activation("a", ("pool",), "silu"),
        lambda rng: Spike("a", ("pool",)),
    ],
)
def test_pooling_stays(after):
    """Before functions that fall somewhere, and before units with a memory."""
    network = network_of(MaxPool2D("pool", ("input",)), after(np.random.default_rng(0)))
    assert pool_after_activation(network).layers == network.layers


def test_pooling_goes_before_the_activation():
    """Sigmoid, pool become pool, sigmoid, of fewer units; chosen ones only, and none that falls."""
    rng = np.random.default_rng(3)
    activations = (
        Activation("act", ("conv",), "sigmoid"),
        LeakyReLU("act", ("conv",), [0.1, 0.0, 1.0]),
        Activation("act", ("conv",), "silu"),
        LeakyReLU("act", ("conv",), [0.1, -0.1, 1.0]),
    )
    for activation, is_swapped in zip(activations, (True, True, False, False), strict=True):
        network = network_of(
            conv(rng, "conv", "input"), activation, MaxPool2D("pool", ("act",)),
            conv(rng, "conv2", "pool"),
        )  # fmt: skip
        found = pool_before_activation(network, lambda layer: True)
        same(network, found)
        order = [(layer.name, layer.inputs) for layer in found.layers[1:4]]
        swapped = [("pool", ("conv",)), ("act", ("pool",)), ("conv2", ("act",))]
        assert (order == swapped) == is_swapped
        assert pool_before_activation(network, lambda layer: False).layers == network.layers
    both = network_of(
        conv(rng, "conv", "input"), activations[0],
        MaxPool2D("pool", ("act",), (3, 3), (1, 1), (1, 1)), Add("sum", ("act", "pool")),
    )  # fmt: skip
    assert pool_before_activation(both, lambda layer: True).layers == both.layers


def test_pooling_goes_behind_chosen_activations_only():
    """The predicate of a scheme that pools neurons of some functions only."""
    network = network_of(MaxPool2D("pool", ("input",)), Activation("act", ("pool",), "tanh"))
    assert pool_after_activation(network).layers[0].name == "act"
    found = pool_after_activation(network, lambda layer: False)
    assert found.layers == network.layers


def test_some_poolings_become_tournaments():
    """The named one of two; and what the ReLUs of a network were."""
    network = network_of(
        MaxPool2D("pool1", ("input",), (2, 2), (1, 1)),
        LeakyReLU("leaky", ("pool1",), [0.2] * 3),
        MaxPool2D("pool2", ("leaky",)),
    )
    found = max_by_pairs(network, {"pool1"})
    same(network, found)
    assert [layer.name for layer in kinds(found, MaxPool2D)] == ["pool2"]
    sums = relu_sums(network, with_relu_only(found))
    assert sums["leaky"] == ("leaky_relu1", "leaky_relu2")
    assert sums["pool1"] == ("pool1_relu1", "pool1_relu2") and len(sums) == 2


def test_fits_stand_for_their_activations():
    """Values against the pieces themselves, and against the function within the stated error."""
    network = network_of(
        Activation("a", ("input",), "silu"),
        Activation("b", ("input",), "tanh"),
        Activation("c", ("input",), "elu", (0.5,)),
        Add("sum", tuple("abc")),
    )
    fits = {
        name: piecewise_linear(network.layer(name).apply, -3.0, 3.0, pieces)
        for name, pieces in (("a", 6), ("b", 1))
    }
    found = with_pieces(network, fits)
    assert [layer.function for layer in kinds(found, Activation)] == ["relu", "relu", "elu"]
    assert found.shapes["a_relu1"] == (*SHAPE[:2], 6 * 3) and found.shapes["b_relu1"] == SHAPE
    assert relu_sums(network, found) == {"a": ("a_relu1",), "b": ("b_relu1",)}
    x = images(network)
    before, after = network.activations(x), found.activations(x)
    for name, fit in fits.items():
        np.testing.assert_allclose(after[name], fit(x), atol=1e-12)
        assert np.abs(after[name] - before[name]).max() <= fit.error * 1.01
    assert np.array_equal(after["c"], before["c"])


def test_pooling_that_somebody_else_uses_stays():
    """Before an activation, and before a sum that takes the maximum itself."""
    network = network_of(
        MaxPool2D("pool", ("input",)),
        Activation("act", ("pool",), "relu"),
        Add("sum", ("pool", "act")),
    )
    assert pool_after_activation(network).layers == network.layers
    alone = network_of(MaxPool2D("pool", ("input",)), QuantisedReLU("act", ("pool",), 0.5, 4))
    assert [layer.name for layer in pool_after_activation(alone).layers[:2]] == ["act", "pool"]
    same(alone, pool_after_activation(alone))


def test_piecewise_linear_functions_are_relus():
    """ReLU6, Hardtanh, Hardsigmoid, LeakyReLU: the values of the layers, and ReLUs only."""
    network = network_of(
        Activation("a", ("input",), "clip", (0.0, 2.0)),
        Activation("b", ("input",), "clip", (-1.0, 1.0)),
        Activation("c", ("input",), "hardsigmoid"),
        LeakyReLU("d", ("input",), [0.2, -0.3, 1.0]),
        Add("sum", tuple("abcd")),
    )
    found = with_relu_only(network)
    assert {layer.function for layer in kinds(found, Activation)} == {"relu"}
    assert not kinds(found, LeakyReLU)
    x = images(network)
    before, after = network.activations(x), found.activations(x)
    for name in "abcd":
        np.testing.assert_allclose(after[name], before[name], atol=1e-12)
    np.testing.assert_allclose(before["a"], x.clip(0, 2), atol=0)
    assert len(kinds(found, Activation)) == 8 and len(found.layers) < 30


def test_products_are_squares():
    """Products of two layers by two squares, of a layer with itself by one."""
    network = network_of(
        Activation("a", ("input",), "tanh"),
        Multiply("m", ("a", "input")),
        Multiply("s", ("m", "m")),
    )
    found = products_by_squares(network)
    same(network, found)
    assert [layer.function for layer in kinds(found, Activation)] == ["tanh", *["square"] * 3]
    assert not kinds(found, Multiply)


def test_new_names_are_free():
    """A layer whose name a sub-layer would get, against another name for that."""
    network = network_of(
        Activation("a_relu1", ("input",), "relu"), LeakyReLU("a", ("a_relu1",), [0.1] * 3)
    )
    found = with_relu_only(network)
    same(network, found)
    assert len({layer.name for layer in found.layers}) == len(found.layers)
    kept = network_of(Activation("a", ("input",), "relu"))
    for rewrite in REWRITE:
        assert [repr(x) for x in rewrite(kept).layers] == [repr(x) for x in kept.layers]
    assert not kinds(kept, Resample2D)
