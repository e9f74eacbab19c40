"""The layers of other frameworks against PyTorch, or against loops; their fields and refusals."""

import numpy as np
import pytest
from ann2brian.models.networks.layer_types import LAYER_TYPES
from ann2brian.models.networks.layers import (
    ACTIVATIONS,
    PARAMETERS,
    Activation,
    AvgPool2D,
    BinaryConv2D,
    Concat,
    Conv2D,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    Resample2D,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.with_torch import torch_or_skip

SIDES = st.tuples(*[st.integers(0, 2)] * 4)
PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


def tensor(x):
    return torch_or_skip().from_numpy(np.array(x))


def first(x):
    """Channels first, as a tensor."""
    return tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def last(tensor):
    return np.moveaxis(tensor.numpy(), 1, -1)


@settings(max_examples=60, deadline=None)
@given(
    size=PAIR,
    stride=PAIR,
    padding=SIDES,
    dilation=PAIR,
    groups=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_convolution_equals_torch(size, stride, padding, dilation, groups, seed):
    """Uneven padding, dilation and groups; signs and scales are the same convolution."""
    torch_or_skip()
    from torch.nn import functional as F

    rng = np.random.default_rng(seed)
    kernel, bias = rng.normal(size=(*size, 4 // groups, 8)), rng.normal(size=8)
    x = rng.normal(size=(2, 8, 7, 4))
    layer = Conv2D("c", ("a",), kernel, bias, stride, padding, groups, dilation)
    assert layer.size == size
    top, bottom, left, right = padding
    padded = F.pad(first(x), (left, right, top, bottom))
    weight = first(np.moveaxis(kernel, 3, 0)).contiguous()
    expected = F.conv2d(padded, weight, tensor(bias), stride, dilation=dilation, groups=groups)
    out = layer.apply(x)
    np.testing.assert_allclose(out, last(expected), atol=1e-12)
    assert out.shape[1:] == layer.output_shape(x.shape[1:])
    signs, scale = np.where(kernel > 0, 1.0, -1.0), np.abs(bias)
    binary = BinaryConv2D("b", ("a",), signs, scale, stride, padding, groups, dilation)
    real = Conv2D("c", ("a",), signs * scale, 0 * bias, stride, padding, groups, dilation)
    np.testing.assert_array_equal(binary.apply(x), real.apply(x))
    assert binary.output_shape(x.shape[1:]) == layer.output_shape(x.shape[1:])


@settings(max_examples=60, deadline=None)
@given(size=PAIR, stride=PAIR, data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_pooling_equals_torch(size, stride, data, seed):
    """Uneven padding: zeros count in the mean, and never win as maximum."""
    torch_or_skip()
    from torch.nn import functional as F

    padding = tuple(data.draw(st.integers(0, size[i] - 1)) for i in (0, 0, 1, 1))
    x = np.random.default_rng(seed).normal(size=(2, 6, 7, 3)) - 2
    top, bottom, left, right = padding
    for kind, pool, fill in ((AvgPool2D, F.avg_pool2d, 0.0), (MaxPool2D, F.max_pool2d, -np.inf)):
        padded = F.pad(first(x), (left, right, top, bottom), value=fill)
        layer = kind("p", ("a",), size, stride, padding)
        out = layer.apply(x)
        np.testing.assert_allclose(out, last(pool(padded, size, stride)), atol=1e-12)
        assert out.shape[1:] == layer.output_shape(x.shape[1:])


def test_a_pair_of_paddings_is_both_sides():
    """(rows, columns) becomes (rows, rows, columns, columns) in each layer that pads."""
    arrays = np.ones((3, 4, 1, 1)), np.ones(1)
    for layer in (
        Conv2D("c", ("a",), *arrays, padding=(1, 2)),
        BinaryConv2D("c", ("a",), *arrays, padding=[1, 2]),
        AvgPool2D("c", ("a",), (3, 4), padding=(1, 2)),
        MaxPool2D("c", ("a",), (3, 4), padding=np.array([1, 2])),
    ):
        assert layer.padding == (1, 1, 2, 2)


TORCH = {
    "relu": lambda f: f.relu,
    "silu": lambda f: f.silu,
    "sigmoid": lambda f: f.sigmoid,
    "tanh": lambda f: f.tanh,
    "gelu": lambda f: f.gelu,
    "gelu_tanh": lambda f: lambda x: f.gelu(x, approximate="tanh"),
    "clip": lambda f: lambda x: f.hardtanh(x, -0.5, 2.0),
    "hardsigmoid": lambda f: f.hardsigmoid,
    "hardswish": lambda f: f.hardswish,
    "elu": lambda f: lambda x: f.elu(x, 0.7),
    "softplus": lambda f: lambda x: f.softplus(x, 2.0, 40),
    "square": lambda f: lambda x: x * x,
}


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_activations_equal_torch(function):
    """Every function over [-12, 12], and far out without a warning."""
    torch_or_skip()
    from torch.nn import functional as F

    parameters = {"clip": (-0.5, 2), "elu": (0.7,), "softplus": (2,)}.get(function, ())
    layer = Activation("a", ("b",), function, parameters)
    assert all(type(value) is float for value in layer.parameters)
    x = np.concatenate([np.linspace(-12, 12, 481), [-700.0, 700.0]]).reshape(1, 1, 1, -1)
    expected = last(TORCH[function](F)(first(x)))
    np.testing.assert_allclose(layer.apply(x), expected, atol=1e-12)


def test_leaky_relu_equals_torch():
    """One slope for each channel, also below 0 and above 1."""
    torch_or_skip()
    from torch.nn import functional as F

    x = np.random.default_rng(0).normal(size=(2, 3, 4, 3))
    slope = np.array([0.01, -0.5, 1.5])
    layer = LeakyReLU("l", ("a",), slope)
    np.testing.assert_allclose(layer.apply(x), last(F.prelu(first(x), tensor(slope))), atol=0)
    with pytest.raises(ValueError, match=r"LeakyReLU 'l': slope of shape \(3,\).*\(3, 4, 2\)"):
        layer.output_shape((3, 4, 2))


@pytest.mark.parametrize("align", [False, True])
def test_resampling_equals_torch(align):
    """Bilinear enlargement, whose weights are known from its response along each axis."""
    torch_or_skip()
    from torch.nn import functional as F

    x = np.random.default_rng(0).normal(size=(2, 4, 3, 5))

    def enlarged(x, size):
        return F.interpolate(first(x), size, mode="bilinear", align_corners=align)

    # In the response to unit vectors, row weights stand in the channels.
    rows = last(enlarged(np.eye(4).reshape(1, 4, 1, 4), (7, 1)))[0, :, 0]
    columns = last(enlarged(np.eye(3).reshape(1, 1, 3, 3), (1, 5)))[0, 0]
    layer = Resample2D("r", ("a",), rows, columns)
    np.testing.assert_allclose(layer.apply(x), last(enlarged(x, (7, 5))), atol=1e-12)
    assert layer.output_shape((4, 3, 5)) == (7, 5, 5)
    with pytest.raises(ValueError, match=r"'r': takes 4 rows and 3 columns.*\(3, 4, 5\)"):
        layer.output_shape((3, 4, 5))


def test_several_inputs():
    """Channels one after the other, and products, by hand; unequal maps are refused by name."""
    x = np.arange(12.0).reshape(1, 2, 2, 3)
    both = Concat("c", ("a", "b", "a"))
    out = both.apply(x, -x[..., :1], x)
    np.testing.assert_array_equal(out[0, 1, 0], [6, 7, 8, -6, 6, 7, 8])
    assert both.output_shape((2, 2, 3), (2, 2, 1), (2, 2, 3)) == (2, 2, 7)
    np.testing.assert_array_equal(Multiply("m", ("a", "b")).apply(x, x + 1), x * x + x)
    with pytest.raises(ValueError, match=r"Concat 'c': .*rows or columns.*b \(2, 1, 1\)"):
        both.output_shape((2, 2, 3), (2, 1, 1), (2, 2, 3))
    with pytest.raises(ValueError, match=r"Multiply 'm': inputs differ in shape: a \(2, 2, 3\)"):
        Multiply("m", ("a", "b")).output_shape((2, 2, 3), (2, 2, 1))
    for make in (lambda: Concat("c", ("a",)), lambda: Multiply("m", ("a",))):
        with pytest.raises(ValueError, match="input"):
            make()


def conv(**options):
    return Conv2D("c", ("a",), np.ones((2, 2, 1, 1)), np.zeros(1), **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv(padding=(1, 2, 3)), "'c': padding must be two or four whole numbers >= 0"),
        (lambda: conv(padding=(0, 0, -1, 0)), "'c': padding .*-1"),
        (lambda: conv(padding=(0, np.inf)), "'c': padding .*inf"),
        (lambda: conv(padding=1), "'c': padding .*got 1"),
        (lambda: conv(dilation=(0, 1)), "'c': dilation must be two whole numbers >= 1"),
        (lambda: conv(groups=1.5), "'c': groups must be a whole number"),
        (lambda: MaxPool2D("p", ("a",), padding=(0, 2, 0, 0)), "'p': padding .* not smaller than"),
        (
            lambda: Activation("f", ("a",), "clip"),
            "'f': parameters of clip must be the numbers low",
        ),
        (lambda: Activation("f", ("a",), "relu", (1.0,)), "'f': parameters of relu must be none"),
        (lambda: Activation("f", ("a",), "clip", (1, 1)), r"'f': low must be below high"),
        (lambda: Activation("f", ("a",), "clip", (0, np.inf)), "'f': parameters of clip"),
        (lambda: Activation("f", ("a",), "elu", ("x",)), "'f': parameters of elu"),
        (lambda: Activation("f", ("a",), "elu", (0.0,)), "'f': alpha must be > 0"),
        (lambda: Activation("f", ("a",), "softplus", (-1.0,)), "'f': beta must be > 0"),
        (lambda: LeakyReLU("l", ("a",), [np.nan]), "'l': slope.*nan"),
        (lambda: Resample2D("r", ("a",), [[np.inf]], [[1]]), "'r': rows.*inf"),
        (lambda: Resample2D("r", ("a",), [[1]], [1]), "'r': columns must have 2 axes"),
    ],
)
def test_bad_fields_are_named(make, message):
    """Layer, field and what is wanted, in one line."""
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_every_layer_is_known_to_weight_files():
    """Every class with a forward pass stands in the table, and every parameter's function."""
    from ann2brian.models.networks import dynamics, layers

    own = {
        name
        for name, kind in {**vars(layers), **vars(dynamics)}.items()
        if isinstance(kind, type) and issubclass(kind, layers.Layer) and not name.startswith("_")
    }
    assert own - {"Layer"} == set(LAYER_TYPES)
    assert set(PARAMETERS) < set(ACTIVATIONS)
