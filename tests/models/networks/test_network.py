"""The plain-data network against SciPy, plain loops and closed forms; and what it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.networks.layers import (
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool2D,
    QuantisedReLU,
    Spike,
)
from ann2brian.models.networks.network import InputCoding, Network, accuracy, input_coding
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate


def coding(shape=(6, 5, 2), maximum=255, signed=False):
    channels = np.arange(shape[2])
    return InputCoding(shape, maximum, 0.01 + 0.01 * channels, -0.5 - 0.1 * channels, signed)


def random_norm(name, source, n, rng):
    return BatchNorm(
        name,
        (source,),
        gamma=rng.normal(1, 0.3, n),
        beta=rng.normal(size=n),
        mean=rng.normal(size=n),
        variance=rng.uniform(0.2, 3, n),
        epsilon=1e-5,
    )


def random_conv(name, source, shape, rng, **options):
    return Conv2D(name, (source,), rng.normal(size=shape), rng.normal(size=shape[3]), **options)


def example(rng):
    """A network with every kind of layer, for (6, 5, 2) images and three classes."""
    return Network(
        name="example",
        input=coding(),
        layers=(
            random_conv("conv1", "input", (3, 3, 2, 4), rng, padding=(1, 1)),
            random_norm("norm1", "conv1", 4, rng),
            Activation("act1", ("norm1",), "silu"),
            random_conv("conv2", "act1", (3, 1, 2, 4), rng, padding=(1, 0), groups=2),
            random_norm("norm2", "conv2", 4, rng),
            Add("add1", ("norm2", "act1")),
            MaxPool2D("pool1", ("add1",), (2, 2), (1, 1)),
            AvgPool2D("pool2", ("pool1",), (2, 2), (2, 2), (1, 1)),
            Flatten("flatten1", ("pool2",)),
            Dense("dense1", ("flatten1",), rng.normal(size=(36, 6)), rng.normal(size=6)),
            random_norm("norm3", "dense1", 6, rng),
            Activation("act2", ("norm3",), "relu"),
            Dense("dense2", ("act2",), rng.normal(size=(6, 3)), rng.normal(size=3)),
        ),
        classes=("a", "b", "c"),
    )


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_conv_equals_scipy(size, stride, padding, groups, seed):
    """Conv2D against scipy.signal.correlate summed over the channels of each group."""
    rng = np.random.default_rng(seed)
    kernel, bias = rng.normal(size=(*size, 4 // groups, 8)), rng.normal(size=8)
    x = rng.normal(size=(2, 7, 6, 4))
    layer = Conv2D("c", ("input",), kernel, bias, stride, padding, groups)
    out = layer.apply(x)
    assert out.shape[1:] == layer.output_shape((7, 6, 4))
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    for image in range(2):
        for o in range(8):
            first = (o // (8 // groups)) * (4 // groups)
            full = sum(
                correlate(padded[image, :, :, first + c], kernel[:, :, c, o], "valid", "direct")
                for c in range(4 // groups)
            )
            expected = full[:: stride[0], :: stride[1]] + bias[o]
            # 1e-12: sums of at most 36 products of order 1 in float64
            np.testing.assert_allclose(out[image, :, :, o], expected, atol=1e-12)


@pytest.mark.parametrize("kind, fill", [(AvgPool2D, 0.0), (MaxPool2D, -np.inf)])
@pytest.mark.parametrize(
    "size, stride, padding", [((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 1))]
)
def test_pooling_equals_loop(kind, fill, size, stride, padding, rng):
    """Both poolings against a loop over windows of the padded image."""
    x = rng.normal(size=(2, 7, 6, 3)) - 1.0  # mostly negative: a padded zero would win a maximum
    layer = kind("p", ("input",), size, stride, padding)
    out = layer.apply(x)
    assert out.shape[1:] == layer.output_shape(x.shape[1:])
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)), constant_values=fill)
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            top, left = row * stride[0], column * stride[1]
            window = padded[:, top : top + size[0], left : left + size[1]]
            if kind is AvgPool2D:
                expected = window.sum(axis=(1, 2)) / (size[0] * size[1])
            else:
                expected = window.max(axis=(1, 2))
            np.testing.assert_allclose(out[:, row, column], expected, atol=1e-14)


def test_average_pooling_divides_by_the_full_window():
    """A corner window of ones with padding 1 against pen and paper: one of four entries is real."""
    out = AvgPool2D("p", ("input",), (2, 2), (2, 2), (1, 1)).apply(np.ones((1, 2, 2, 1)))
    assert out[0, 0, 0, 0] == 0.25


@pytest.mark.parametrize(
    "function, formula",
    [
        ("relu", lambda v: max(v, 0.0)),
        ("silu", lambda v: v / (1 + math.exp(-v))),
        ("sigmoid", lambda v: 1 / (1 + math.exp(-v))),
        ("tanh", lambda v: (math.exp(2 * v) - 1) / (math.exp(2 * v) + 1)),
        ("gelu", lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2)))),
    ],
)
def test_activation_equals_formula(function, formula):
    """Each activation against its closed form from the math module."""
    values = np.linspace(-6, 6, 49)
    out = Activation("a", ("input",), function).apply(values.reshape(1, 7, 7, 1))
    expected = [formula(v) for v in values]
    np.testing.assert_allclose(out.ravel(), expected, rtol=1e-12, atol=1e-15)


def test_quantised_relu_by_hand():
    """Values below, at and between the steps of 1/4, ties and saturation, against pen and paper."""
    outputs = {
        -3.0: 0.0, -0.125: 0.0, 0.0: 0.0, 0.12: 0.0, 0.125: 0.25, 0.3: 0.25, 0.37: 0.25,
        0.375: 0.5, 0.5: 0.5, 0.624: 0.5, 0.625: 0.75, 0.75: 0.75, 0.875: 0.75, 9.0: 0.75,
    }  # fmt: skip
    x = np.array(list(outputs)).reshape(2, 1, 1, 7)
    out = QuantisedReLU("q", ("input",), 0.25, 3).apply(x)
    assert out.shape == x.shape
    assert out.ravel().tolist() == list(outputs.values())
    one_level = QuantisedReLU("q", ("input",), 0.5, 1).apply(x)
    assert one_level.ravel().tolist() == [0.5 if v >= 0.25 else 0.0 for v in outputs]


def test_spike_by_hand():
    """Values around the threshold, the tie included, against pen and paper."""
    outputs = {
        -3.0: 0, -0.5: 0, 0.0: 0, 0.25: 0, 0.5: 0, 1.2499: 0, 1.25: 1, 1.2501: 1, 2.0: 1, 9.0: 1,
    }  # fmt: skip
    x = np.array(list(outputs)).reshape(2, 1, 1, 5)
    layer = Spike("s", ("input",), threshold=1.5, mean=0.25, sigma=0.3)
    assert layer.output_shape((1, 1, 5)) == (1, 1, 5)
    out = layer.apply(x)
    assert (out.shape, out.dtype) == (x.shape, np.float64)
    assert out.ravel().tolist() == list(outputs.values())
    # The noise of training is off: its deviation makes no difference.
    np.testing.assert_array_equal(replace(layer, sigma=5.0).apply(x), out)
    assert Spike("s", ("input",)).apply(x).ravel().tolist() == [float(v >= 1) for v in outputs]
    negative = Spike("s", ("input",), threshold=0.5, mean=-0.5)
    assert negative.apply(x).ravel().tolist() == [float(v >= 1) for v in outputs]


def test_spike_keeps_plain_floats():
    """Fields given as whole numbers or NumPy scalars against floats, as a weight file has them."""
    layer = Spike("s", ("input",), 2, np.float32(0.25), np.int64(0))
    assert [type(v) for v in (layer.threshold, layer.mean, layer.sigma)] == [float] * 3
    assert (layer.threshold, layer.mean, layer.sigma) == (2.0, 0.25, 0.0)


def test_activations_do_not_overflow():
    """Sigmoid and SiLU at +-1000 against their limits; overflow warnings would be errors."""
    x = np.array([-1000.0, 1000.0]).reshape(1, 1, 2, 1)
    assert Activation("a", ("input",), "sigmoid").apply(x).ravel().tolist() == [0, 1]
    assert Activation("a", ("input",), "silu").apply(x).ravel().tolist() == [0, 1000]


def test_small_layers_equal_formulas(rng):
    """Dense, BatchNorm, GlobalAvgPool, Flatten and Add against one-line formulas."""
    x, y = rng.normal(size=(2, 4, 3, 2, 5))
    kernel, bias = rng.normal(size=(30, 7)), rng.normal(size=7)
    norm = random_norm("n", "input", 5, rng)
    flat = Flatten("f", ("input",)).apply(x)
    assert flat.shape == (4, 1, 1, 30)
    assert flat[3, 0, 0, (2 * 2 + 1) * 5 + 4] == x[3, 2, 1, 4]  # C order of (H, W, C)
    np.testing.assert_allclose(
        Dense("d", ("f",), kernel, bias).apply(flat),
        np.einsum("nabi,io->nabo", flat, kernel) + bias,
        atol=1e-12,
    )
    for c in range(5):
        expected = (x[..., c] - norm.mean[c]) / math.sqrt(norm.variance[c] + 1e-5)
        expected = norm.gamma[c] * expected + norm.beta[c]
        np.testing.assert_allclose(norm.apply(x)[..., c], expected, atol=1e-12)
    np.testing.assert_allclose(
        GlobalAvgPool("g", ("input",)).apply(x)[:, 0, 0], x.sum(axis=(1, 2)) / 6, atol=1e-12
    )
    total = Add("s", ("a", "b", "c")).apply(x, y, x)
    np.testing.assert_allclose(total, 2 * x + y, atol=1e-12)


def test_forward_chains_the_layers(rng):
    """Logits of the example against its layers applied by hand to the standardised image."""
    network = example(rng)
    images = rng.integers(0, 256, (3, 6, 5, 2))
    values = {"input": images * np.array([0.01, 0.02]) + np.array([-0.5, -0.6])}
    for layer in network.layers:
        values[layer.name] = layer.apply(*[values[s] for s in layer.inputs])
    np.testing.assert_allclose(network.forward(images), values["dense2"][:, 0, 0], rtol=1e-12)
    found = network.activations(images)
    assert list(found) == ["input", *(layer.name for layer in network.layers)]
    for name, array in found.items():
        assert array.dtype == np.float64
        assert array.shape == (3, *network.shapes[name])


def test_padding_follows_the_standardisation():
    """A 1x1 image under a padded 3x3 kernel against pen and paper: only the middle tap sees x."""
    kernel = np.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    network = Network(
        "pad",
        InputCoding((1, 1, 1), 10, [2.0], [-3.0]),
        (Conv2D("c", ("input",), kernel, [0.5], padding=(1, 1)),),
        ("only",),
    )
    assert network.forward(np.full((1, 1, 1, 1), 4))[0, 0] == 5.0 * (4 * 2.0 - 3.0) + 0.5


def test_batches_do_not_change_the_logits(rng):
    """Logits computed one by one, in threes and at once against each other; also for no image."""
    network = example(rng)
    images = rng.integers(0, 256, (7, 6, 5, 2), dtype=np.uint8)
    at_once = network.forward(images)
    for batch in (1, 3):
        np.testing.assert_allclose(network.forward(images, batch=batch), at_once, rtol=1e-10)
    assert network.forward(images[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match="batch must be >= 1"):
        network.forward(images, batch=0)


def test_folding_keeps_the_function(rng):
    """Logits of the folded example against the original's, to 1e-9 relative."""
    network = example(rng)
    folded = network.fold_batch_norm()
    assert [layer.name for layer in folded.layers if isinstance(layer, BatchNorm)] == []
    assert len(folded.layers) == len(network.layers) - 3
    images = rng.integers(0, 256, (5, 6, 5, 2))
    np.testing.assert_allclose(folded.forward(images), network.forward(images), rtol=1e-9)


def test_folding_two_norms_in_a_row(rng):
    """A Dense with two batch norms at the output against its folded form."""
    network = Network(
        "twice",
        coding((1, 1, 4)),
        (
            Dense("d", ("input",), rng.normal(size=(4, 2)), rng.normal(size=2)),
            random_norm("n1", "d", 2, rng),
            random_norm("n2", "n1", 2, rng),
        ),
        ("a", "b"),
    )
    images = rng.integers(0, 256, (5, 1, 1, 4))
    folded = network.fold_batch_norm()
    assert [layer.name for layer in folded.layers] == ["d"]
    np.testing.assert_allclose(folded.forward(images), network.forward(images), rtol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: (random_norm("n", "input", 2, rng), Flatten("f", ("n",))),
        lambda rng: (
            Activation("a", ("input",), "relu"),
            random_norm("n", "a", 2, rng),
            Flatten("f", ("n",)),
        ),
        lambda rng: (
            Conv2D("c", ("input",), rng.normal(size=(1, 1, 2, 2)), np.zeros(2)),
            random_norm("n", "c", 2, rng),
            Add("s", ("n", "c")),
            Flatten("f", ("s",)),
        ),
    ],
)
def test_what_cannot_be_folded_is_a_convolution(make, rng):
    """A BatchNorm without a layer of its own before it: one weight a channel, the same logits."""
    layers = (*make(rng), Dense("d", ("f",), rng.normal(size=(60, 2)), np.zeros(2)))
    network = Network("n", coding(), layers, ("a", "b"))
    folded = network.fold_batch_norm()
    assert isinstance(folded.layer("n"), Conv2D) and folded.layer("n").kernel.shape == (1, 1, 1, 2)
    images = rng.integers(0, 256, (5, 6, 5, 2))
    np.testing.assert_allclose(folded.forward(images), network.forward(images), rtol=1e-9)


def test_parameter_count(rng):
    """The example's number of parameters against a sum by hand."""
    convs = (3 * 3 * 2 * 4 + 4) + (3 * 1 * 2 * 4 + 4)
    dense = (36 * 6 + 6) + (6 * 3 + 3)
    norms = 2 * (4 + 4 + 6)
    assert example(rng).n_parameters == convs + dense + norms


def test_arrays_are_frozen_copies():
    """A kernel that is changed after the construction against the layer's, which stays."""
    kernel = np.ones((2, 3))
    layer = Dense("d", ("input",), kernel, np.zeros(3))
    kernel[:] = 7
    assert (layer.kernel == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        layer.kernel[0, 0] = 2


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Dense("d", ("input",), [[1, np.nan]], [0, 0]), r"'d': kernel\[0, 1\] is nan"),
        (lambda: Dense("d", ("input",), [[1.0]], [-np.inf]), r"Dense 'd': bias\[0\] is -inf"),
        (lambda: Dense("d", ("input",), [1.0], [0]), r"'d': kernel must have 2 axes.*\(1,\)"),
        (lambda: Dense("d", ("input",), [["x"]], [0]), "'d': kernel is not an array of real"),
        (lambda: Dense("d", ("input",), np.ones((2, 3)), np.ones(2)), r"\(2,\).*\(2, 3\)"),
        (lambda: Dense("input", ("input",), [[1.0]], [0]), "other than 'input'"),
        (lambda: Dense("a b", ("input",), [[1.0]], [0]), "identifier.*'a b'"),
        (lambda: Dense("d", "input", [[1.0]], [0]), "tuple of names"),
        (lambda: Dense("d", ("a", "b"), [[1.0]], [0]), r"needs 1 input\(s\)"),
        (lambda: Add("s", ("a",)), r"needs at least 2 input\(s\)"),
        (lambda: conv(groups=3), "'c': groups=3 does not divide the 4 output channels"),
        (lambda: conv(bias=np.zeros(3)), r"'c': bias has shape \(3,\)"),
        (lambda: conv(stride=(0, 1)), r"'c': stride must be two whole numbers >= 1, got \(0, 1\)"),
        (lambda: conv(stride=2), "'c': stride must be two whole numbers"),
        (lambda: conv(padding=(0.5, 0)), "'c': padding must be two or four whole numbers >= 0"),
        (lambda: AvgPool2D("p", ("input",), padding=(2, 0)), "'p': padding.*not smaller than"),
        (lambda: Activation("a", ("input",), "swish"), "'swish'; there are relu, silu"),
        (lambda: QuantisedReLU("q", ("c",), 0.0, 4), "ReLU 'q': step must be > 0, got 0.0"),
        (lambda: QuantisedReLU("q", ("c",), np.inf, 4), "ReLU 'q': step must be > 0, got inf"),
        (lambda: QuantisedReLU("q", ("c",), np.nan, 4), "ReLU 'q': step must be > 0, got nan"),
        (lambda: QuantisedReLU("q", ("c",), 0.5, 0), "'q': levels must be a whole number.*got 0"),
        (lambda: QuantisedReLU("q", ("c",), 0.5, 1.5), "'q': levels.*got 1.5"),
        (lambda: Spike("s", ("c",), 0.0), "Spike 's': threshold must be > 0, got 0.0"),
        (lambda: Spike("s", ("c",), -1), "Spike 's': threshold must be > 0, got -1.0"),
        (lambda: Spike("s", ("c",), np.nan), "Spike 's': threshold must be > 0, got nan"),
        (lambda: Spike("s", ("c",), np.inf), "Spike 's': threshold must be > 0, got inf"),
        (lambda: Spike("s", ("c",), 1, np.inf), "Spike 's': mean must be finite, got inf"),
        (lambda: Spike("s", ("c",), 1, np.nan), "Spike 's': mean must be finite, got nan"),
        (lambda: Spike("s", ("c",), 1, 0, -0.1), "Spike 's': sigma must be >= 0, got -0.1"),
        (lambda: Spike("s", ("c",), 1, 0, np.nan), "Spike 's': sigma must be >= 0, got nan"),
        (lambda: Spike("s", ("c", "d")), r"Spike 's': needs 1 input\(s\)"),
        (lambda: BatchNorm("n", ("c",), [1], [1], [1], [-1], 0.1), "'n': variance . epsilon"),
        (lambda: BatchNorm("n", ("c",), [1], [1, 2], [1], [1], 0.1), "'n': arrays differ"),
    ],
)  # fmt: skip
def test_malformed_layer(make, message):
    """A layer with one wrong field against the message that names layer, field and value."""
    with pytest.raises(ValueError, match=message):
        make()


def conv(**changes):
    fields = {"kernel": np.ones((3, 3, 2, 4)), "bias": np.zeros(4)} | changes
    return Conv2D("c", ("input",), **fields)


def dense(n_in, source="g"):
    return Dense("d", (source,), np.ones((n_in, 2)), np.zeros(2))


def norm(n):
    return BatchNorm("n", ("c",), *np.ones((4, n)), 0)


WIDE = np.ones((3, 3, 3, 4))
TALL = np.ones((7, 3, 2, 4))
HEAD = (GlobalAvgPool("g", ("c",)), dense(4))


@pytest.mark.parametrize(
    "layers, message",
    [
        ((), "has no layers"),
        ((conv(), conv(), *HEAD), "two layers are named 'c'"),
        ((*HEAD, conv()), "GlobalAvgPool 'g' takes 'c'.*not the name of an earlier layer"),
        ((conv(kernel=WIDE), *HEAD), r"'c'.*\(3, 3, 3, 4\).*3 channels.*\(6, 5, 2\)"),
        ((conv(groups=2), *HEAD), r"'c'.*groups=2 takes 4 channels.*\(6, 5, 2\)"),
        ((conv(kernel=TALL), *HEAD), r"'c': window \(7, 3\).*\(6, 5, 2\)"),
        ((conv(), dense(4, "c")), r"'d'.*\(1, 1, 4\).*\(4, 3, 4\); put a Flatten"),
        ((conv(), HEAD[0], dense(5)), r"'d'.*\(1, 1, 5\).*\(1, 1, 4\)"),
        ((conv(), Add("s", ("c", "input")), *HEAD), r"'s'.*c \(4, 3, 4\), input \(6, 5, 2\)"),
        ((conv(), norm(1), *HEAD), r"'n'.*\(1,\).*\(4, 3, 4\)"),
        ((conv(), MaxPool2D("p", ("c",), (5, 5)), *HEAD), r"'p': window \(5, 5\).*\(4, 3, 4\)"),
        ((conv(), Activation("lost", ("c",), "relu"), *HEAD), "nobody uses.*Activation 'lost'"),
        ((conv(), HEAD[0]), r"'g' gives shape \(1, 1, 4\), 2 classes need \(1, 1, 2\)"),
    ],
)  # fmt: skip
def test_malformed_network(layers, message):
    """Layers that do not fit together against the message that names them and both shapes."""
    with pytest.raises(ValueError, match=f"network 'broken'.*{message}"):
        Network("broken", coding(), layers, ("a", "b"))


def test_unknown_layer_name(rng):
    """A layer looked up by name against the stored one, and by a wrong name against the list."""
    network = example(rng)
    assert network.layer("conv2") is network.layers[3]
    with pytest.raises(ValueError, match="no layer 'conv9'; there are conv1, norm1"):
        network.layer("conv9")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"shape": (6, 5)}, "shape must be"),
        ({"shape": (6, 0, 2)}, "shape must be"),
        ({"maximum": 0}, "maximum must be > 0"),
        ({"maximum": np.nan}, "maximum must be > 0"),
        ({"maximum": 0.5}, "whole numbers"),
        ({"gain": [1.0]}, r"gain has shape \(1,\)"),
        ({"offset": [np.nan, 0]}, r"offset\[0\] is nan"),
    ],
)
def test_malformed_input_coding(changes, message):
    """An input coding with one wrong field against the message that names the field."""
    with pytest.raises(ValueError, match=f"input: .*{message}"):
        replace(coding(), **changes)


def test_input_coding_needs_four_axes():
    """Grey images without an axis of channels are refused by shape, and a remedy is named."""
    with pytest.raises(ValueError, match=r"got \(5, 4, 4\); .*images\[\.\.\., None\]"):
        input_coding(np.zeros((5, 4, 4), np.uint8), maximum=16)


def with_value(value, dtype):
    images = np.zeros((4, 6, 5, 2), dtype)
    images[2:, 1, 3, 0] = value
    return images


@pytest.mark.parametrize(
    "images, signed, message",
    [
        (np.zeros((6, 5, 2)), False, r"\(n, 6, 5, 2\), got \(6, 5, 2\)"),
        (np.zeros((1, 5, 6, 2)), False, r"\(n, 6, 5, 2\), got \(1, 5, 6, 2\)"),
        (np.zeros((1, 6, 5, 2), bool), False, "dtype bool"),
        (np.zeros((1, 6, 5, 2), complex), False, "dtype complex128"),
        (with_value(256, int), False, r"image 2 holds 256 at.*\(1, 3, 0\).*0 to 255; 2 of 4"),
        (with_value(-1, int), False, "image 2 holds -1"),
        (with_value(0.5, float), False, r"image 2 holds 0.5 at.*whole number"),
        (with_value(np.nan, float), False, "image 2 holds nan"),
        (with_value(np.nan, float), True, "image 2 holds nan"),
        (with_value(np.inf, float), True, "image 2 holds inf"),
        (with_value(-255.5, float), True, r"image 2 holds -255.5 at.*real number from -255 to 255"),
    ],
)
def test_refused_images(images, signed, message):
    """Images of a wrong shape, type or range against the message with image index and value."""
    network = Network("net", coding(signed=signed), (conv(), *HEAD), ("a", "b"))
    for call in (network.check_images, network.forward, network.activations):
        with pytest.raises(ValueError, match=f"network 'net': .*{message}"):
            call(images)


@pytest.mark.parametrize(
    "images, signed",
    [
        (with_value(255, np.uint8), False),
        (with_value(255.0, np.float32), False),
        (with_value(-255, int), True),
        (with_value(0.25, float), True),
    ],
)
def test_accepted_images(images, signed):
    """Images at the limits of the range against what check_images returns: the same."""
    assert coding(signed=signed).check(images) is images


def test_accuracy():
    """Accuracy against counting by hand, with the first logit winning a tie."""
    logits = np.array([[1.0, 0, 0], [0, 2, 1], [3, 3, 0], [0, 0, 1]])
    assert accuracy(logits, [0, 2, 0, 2]) == 0.75
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(3,\)"):
        accuracy(logits, [0, 1, 2])
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        accuracy(logits[:0], [])
