"""Operations of a framework, as layers of ours, against the same operations in NumPy or PyTorch."""

import numpy as np
import pytest
from ann2brian.models.importing.assembler import Assembler
from ann2brian.models.importing.values import Value
from ann2brian.models.networks.layers import (
    ACTIVATIONS,
    INPUT,
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
    LeakyReLU,
    MaxPool2D,
    Multiply,
    QuantisedReLU,
    Resample2D,
    Spike,
)
from ann2brian.models.networks.network import InputCoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.with_torch import torch_or_skip

N = 3  # images
KERNEL = np.random.default_rng(0).normal(size=(2, 3, 4, 2))


def outputs(assembler, images):
    """Outputs of all layers by name."""
    found = {INPUT: images}
    for layer in assembler.layers:
        found[layer.name] = layer.apply(*(found[name] for name in layer.inputs))
        assert found[layer.name].shape[1:] == assembler.shapes[layer.name]
    return found


def check(assembler, images, value, expected):
    """The value holds what the framework has, and what a layer of its own would hold."""
    found = value.read(outputs(assembler, images)[value.source])
    np.testing.assert_allclose(found, expected, atol=1e-10)


class Program:
    """A tensor of a framework and its value, side by side."""

    def __init__(self, shape, channels_last, n_axes=3, seed=0):
        self.rng = np.random.default_rng(seed)
        self.channels_last = channels_last
        self.assembler = Assembler(shape)
        self.images = self.rng.normal(size=(N, *shape))
        self.value = self.assembler.input(channels_last, n_axes)
        array = self.images if channels_last else self.images.transpose(0, 3, 1, 2)
        self.array = array.reshape(N, *self.value.shape)

    def move(self, operate):
        """An operation that only moves entries."""
        self.value = self.assembler.reindexed(self.value, operate)
        self.array = np.stack([operate(own) for own in self.array])

    def check(self):
        check(self.assembler, self.images, self.value, self.array)

    def kinds(self):
        return [type(layer) for layer in self.assembler.layers]


def along(constant, axis):
    """One number a channel, to broadcast with a batch of maps."""
    return np.expand_dims(constant, tuple(k for k in range(4) if k != axis + 1))


def conv_of(x, kernel, bias, stride, padding, channels_last):
    """Convolution by loops over the taps."""
    x = x if channels_last else np.moveaxis(x, 1, 3)
    top, bottom, left, right = padding
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    kh, kw, _, n_out = kernel.shape
    rows, columns = (x.shape[1] - kh) // stride[0] + 1, (x.shape[2] - kw) // stride[1] + 1
    out = np.zeros((len(x), rows, columns, n_out)) + bias
    for i, j in np.ndindex(kh, kw):
        part = x[:, i : i + rows * stride[0] : stride[0], j : j + columns * stride[1] : stride[1]]
        out += part[:, :rows, :columns] @ kernel[i, j]
    return out if channels_last else np.moveaxis(out, 3, 1)


MOVES = ["flip", "slice", "stride", "repeat", "pad", "permute", "crop", "pick", "twice", "shuffle"]
LAYERS = ["conv", "norm", "relu", "sigmoid", "avg", "leaky", "add", "mul"]


@settings(max_examples=200, deadline=None)
@given(channels_last=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_moves_and_layers_in_any_order(channels_last, seed):
    """Maps whose axes are flipped, sliced, padded and so on between layers, against NumPy."""
    p = Program((4, 5, 6), channels_last, seed=seed)
    rng, assembler = p.rng, p.assembler
    for _ in range(rng.integers(1, 7)):
        name = rng.choice(MOVES + LAYERS)
        axis = int(rng.integers(3))
        size = p.array.shape[1 + axis]
        channel = 2 if channels_last else 0
        n_channels = p.array.shape[1 + channel]
        if name == "flip":
            p.move(lambda x, axis=axis: np.flip(x, axis))
        elif name == "slice":
            first = int(rng.integers(size))
            p.move(lambda x, axis=axis, first=first: x.take(range(first, x.shape[axis]), axis))
        elif name == "stride":
            p.move(lambda x, axis=axis: x.take(range(0, x.shape[axis], 2), axis))
        elif name == "repeat" and size < 8:
            p.move(lambda x, axis=axis: np.repeat(x, 2, axis))
        elif name == "permute" or name == "pick":
            order = rng.permutation(size)[: size if name == "permute" else max(1, size // 2)]
            p.move(lambda x, axis=axis, order=order: x.take(order, axis))
        elif name == "shuffle" and size % 2 == 0:

            def shuffle(x, axis=axis):
                last = np.moveaxis(x, axis, -1)
                pairs = last.reshape(*last.shape[:-1], 2, -1).swapaxes(-1, -2)
                return np.moveaxis(pairs.reshape(last.shape), -1, axis)

            p.move(shuffle)
        elif name == "twice" and size < 8:
            p.value = assembler.concat([p.value, p.value], axis)
            p.array = np.concatenate([p.array, p.array], axis + 1)
        elif name in ("pad", "crop"):
            low, high = (0, 2) if name == "pad" else (-1, 1)
            widths = [
                tuple(int(k) for k in rng.integers(low if n > 2 else 0, high + 1, 2))
                for n in p.array.shape[1:]
            ]
            p.value = assembler.pad(p.value, widths)
            cut = tuple(
                slice(max(-a, 0), n - max(-b, 0))
                for (a, b), n in zip(widths, p.array.shape[1:], strict=True)
            )
            added = [(0, 0), *((max(a, 0), max(b, 0)) for a, b in widths)]
            p.array = np.pad(p.array[(slice(None), *cut)], added)
        elif name == "conv":
            kernel, bias = rng.normal(size=(2, 2, n_channels, 3)), rng.normal(size=3)
            sides, stride = (1, 0, 2, 1), (1, 2)
            p.value = assembler.conv(
                p.value, kernel, bias, stride, sides, channels_last=channels_last
            )
            p.array = conv_of(p.array, kernel, bias, stride, sides, channels_last)
        elif name == "norm":
            gamma, beta, mean = rng.normal(size=(3, n_channels))
            variance = rng.uniform(0.5, 2, n_channels)
            p.value = assembler.batch_norm(
                p.value, gamma, beta, mean, variance, 0.1, channels_last=channels_last
            )
            scale = gamma / np.sqrt(variance + 0.1)
            centred = p.array - along(mean, channel)
            p.array = centred * along(scale, channel) + along(beta, channel)
        elif name in ("relu", "sigmoid"):
            p.value = assembler.activation(p.value, name)
            p.array = ACTIVATIONS[name](p.array)
        elif name == "leaky":
            slope = rng.normal(size=n_channels)
            p.value = assembler.leaky_relu(p.value, slope, channels_last=channels_last)
            p.array = np.where(p.array > 0, p.array, p.array * along(slope, channel))
        elif name == "avg":
            p.value = assembler.mean(p.value, [axis], keep_axes=True)
            p.array = p.array.mean(axis + 1, keepdims=True)
        elif name in ("add", "mul"):
            other = assembler.mean(p.value, [axis], keep_axes=True)
            mean = p.array.mean(axis + 1, keepdims=True)
            join = assembler.add if name == "add" else assembler.multiply
            p.value = join(other, p.value)
            p.array = mean + p.array if name == "add" else mean * p.array
    p.check()
    # Entries in any order reach a dense layer, and a function that makes 0 to something else.
    kernel = rng.normal(size=(p.value.index.size, 2))
    logits = assembler.dense(assembler.reindexed(p.value, np.ravel), kernel, None)
    check(assembler, p.images, logits, p.array.reshape(N, -1) @ kernel)
    padded = assembler.activation(assembler.pad(p.value, [(1, 0)] * 3), "sigmoid")
    expected = ACTIVATIONS["sigmoid"](np.pad(p.array, [(0, 0), *[(1, 0)] * 3]))
    check(assembler, p.images, padded, expected)


@pytest.mark.parametrize("channels_last", [False, True])
def test_moves_alone_make_no_layer(channels_last):
    """Reshape, transpose, flip, split and concatenation of the parts, then back: no layer."""
    p = Program((4, 3, 6), channels_last)
    shape = p.value.shape
    p.move(lambda x: x.reshape(2, 2, -1, 3).transpose(2, 0, 3, 1)[::-1])
    p.move(lambda x: x[::-1].transpose(1, 3, 0, 2).reshape(shape))
    a, b = (p.assembler.reindexed(p.value, lambda x, s=s: x[s]) for s in (slice(2), slice(2, None)))
    p.value = p.assembler.concat([a, b], 0)
    p.check()
    convolved = p.assembler.conv(p.value, np.ones((1, 1, 6, 1)), None, channels_last=channels_last)
    assert p.kinds() == [Conv2D] and p.assembler.layers[0].inputs == (INPUT,)
    check(
        p.assembler,
        p.images,
        convolved,
        p.array.sum(3 if channels_last else 1, keepdims=True),
    )


def test_flattening_is_an_order_of_rows():
    """Channels first, flattened, with a dense layer: Flatten and Dense, nothing else."""
    p = Program((3, 4, 5), False)
    p.move(np.ravel)
    kernel, bias = p.rng.normal(size=(60, 7)), p.rng.normal(size=7)
    p.value = p.assembler.activation(p.assembler.dense(p.value, kernel, bias), "relu")
    p.array = np.maximum(p.array @ kernel + bias, 0)
    p.check()
    assert p.kinds() == [Flatten, Dense, Activation]
    assert p.assembler.layers[1].kernel.shape == kernel.shape


def test_dense_layers_of_chosen_entries():
    """Entries that are left out, and entries that are taken twice, of a sequence."""
    p = Program((1, 6, 4), False, n_axes=2)
    p.move(lambda x: x.T[-1])  # the last place, as recurrent networks' heads take it
    p.move(lambda x: x[[3, 0, 0]])
    kernel = p.rng.normal(size=(3, 2))
    p.value, p.array = p.assembler.dense(p.value, kernel, None), p.array @ kernel
    p.check()
    assert p.kinds() == [Resample2D, Dense]
    assert p.assembler.layers[1].kernel.shape == (4, 2)  # not of the whole sequence


def test_dense_layers_at_each_place():
    """Along the last axis of a sequence and of a map: a convolution of size 1x1."""
    for shape, n_axes in (((1, 6, 4), 2), ((3, 5, 4), 3)):
        p = Program(shape, True, n_axes)
        kernel, bias = p.rng.normal(size=(4, 2)), p.rng.normal(size=2)
        p.value, p.array = p.assembler.dense(p.value, kernel, bias), p.array @ kernel + bias
        p.check()
        assert p.kinds() == [Conv2D]
    p = Program((1, 1, 4), False, 1)  # with another axis of length 1 it is a vector
    p.move(lambda x: x[None])
    p.value, p.array = p.assembler.dense(p.value, kernel, bias), p.array @ kernel + bias
    p.check()
    assert p.kinds() == [Dense] and p.value.shape == (1, 2)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "apply",
    [
        lambda a, x, last: a.max_pool(x, (3, 2), (1, 1), (1, 0, 0, 1), channels_last=last),
        lambda a, x, last: a.conv(x, KERNEL, None, padding=(0, 1, 1, 0), channels_last=last),
        lambda a, x, last: a.conv(
            a.pad(x, [(1, 2)] * 3), np.ones((2, 2, 4 + 3, 1)), None, channels_last=last
        ),
        lambda a, x, last: a.mean(x, [1]),
        lambda a, x, last: a.largest(x, [0, 1, 2]),
        lambda a, x, last: a.add(x, a.reindexed(x, lambda i: i[::-1, ::-1])),
        lambda a, x, last: a.concat([x, a.reindexed(x, np.flip)], 1),
        lambda a, x, last: a.dense(x, np.eye(4 if last else 5)[::-1] + 1, None),
        lambda a, x, last: a.scale_shift(x, np.arange(1.0, 5.0), 2.0, channels_last=last),
    ],
)
def test_a_vector_becomes_a_map_of_any_order(apply, channels_last):
    """Entries of a vector, some twice, as a map, against the same of an input that is that map."""
    rng = np.random.default_rng(3)
    index = rng.integers(0, 17, (3, 5, 4) if channels_last else (4, 3, 5))
    vectors = rng.normal(size=(N, 1, 1, 17))
    laid_out = Assembler((1, 1, 17))
    value = laid_out.reindexed(laid_out.input(channels_last, 1), lambda i: i[index])
    maps = vectors[:, 0, 0, index]
    as_map = Assembler((3, 5, 4))
    expected = apply(as_map, as_map.input(channels_last, 3), channels_last)
    given_map = maps if channels_last else maps.transpose(0, 2, 3, 1)
    expected = expected.read(outputs(as_map, given_map)[expected.source])
    check(laid_out, vectors, apply(laid_out, value, channels_last), expected)


def test_orders_of_too_many_weights_are_refused(monkeypatch):
    """A vector as a map needs a weight for each pair of their entries."""
    assembler = Assembler((1, 1, 60))
    value = assembler.reindexed(assembler.input(False, 1), lambda i: i.reshape(4, 3, 5))
    monkeypatch.setattr("ann2brian.models.importing.assembler.LARGEST_SELECTION", 3599)
    with pytest.raises(ValueError, match=r"\(4, 3, 5\) takes .* would need 60 x 60 weights"):
        assembler.max_pool(value, (2, 2), (1, 1), channels_last=False)


def test_parameters_of_a_flat_vector():
    """Batch normalisation after a Flatten: one number an entry, in the framework's order."""
    p = Program((2, 3, 4), False)
    p.move(np.ravel)
    gamma, beta, mean = p.rng.normal(size=(3, 24))
    variance = p.rng.uniform(0.5, 2, 24)
    p.value = p.assembler.batch_norm(p.value, gamma, beta, mean, variance, 0.1, channels_last=False)
    p.array = (p.array - mean) / np.sqrt(variance + 0.1) * gamma + beta
    p.check()
    assert p.kinds() == [Flatten, BatchNorm]
    p.value, p.array = p.assembler.dense(p.value, np.eye(24), None), p.array
    p.check()
    assert p.kinds() == [Flatten, BatchNorm, Dense]


@pytest.mark.parametrize("channels_last", [False, True])
def test_padding_goes_into_the_layer_that_can_pad(channels_last):
    """Zeros before a convolution or an average that counts them; not before a maximum."""
    widths = [(1, 2), (0, 1)]
    widths = [*widths, (0, 0)] if channels_last else [(0, 0), *widths]
    for pooled in ("conv", "mean", "max"):
        p = Program((4, 5, 2), channels_last)
        p.images -= 5  # so that a zero that takes part would win
        p.array -= 5
        p.value = p.assembler.pad(p.value, widths)
        padded = np.pad(p.array, [(0, 0), *widths])
        x = padded if channels_last else padded.transpose(0, 2, 3, 1)
        blocks = x[:, :6, :6].reshape(N, 3, 2, 3, 2, 2)
        if pooled == "conv":
            kernel = p.rng.normal(size=(2, 2, 2, 3))
            p.value = p.assembler.conv(p.value, kernel, None, (2, 2), channels_last=channels_last)
            p.array = conv_of(padded, kernel, 0.0, (2, 2), (0,) * 4, channels_last)
            assert p.assembler.layers[0].padding == (1, 2, 0, 1)
        else:
            pool = p.assembler.avg_pool if pooled == "mean" else p.assembler.max_pool
            p.value = pool(p.value, (2, 2), (2, 2), channels_last=channels_last)
            found = blocks.mean((2, 4)) if pooled == "mean" else blocks.max((2, 4))
            p.array = found if channels_last else found.transpose(0, 3, 1, 2)
        p.check()
        kind = {"conv": [Conv2D], "mean": [Resample2D], "max": [Resample2D, MaxPool2D]}[pooled]
        assert p.kinds() == kind


def test_shortcut_of_resnets_without_weights():
    """x[:, :, ::2, ::2] with channels of zeros around it, as ResNets on CIFAR-10 have it."""
    p = Program((5, 6, 3), False)
    p.move(lambda x: x[:, ::2, ::2])
    p.value = p.assembler.pad(p.value, [(1, 2), (0, 0), (0, 0)])
    p.array = np.pad(p.array, [(0, 0), (1, 2), (0, 0), (0, 0)])
    doubled = p.assembler.add(p.value, p.assembler.activation(p.value, "relu"))
    check(p.assembler, p.images, doubled, p.array + np.maximum(p.array, 0))
    p.check()
    p.value = p.assembler.conv(p.value, np.eye(6)[None, None], None, channels_last=False)
    p.check()
    assert p.kinds() == [Activation, Add, Conv2D, Conv2D]  # the one that strides, and the last
    assert p.assembler.layers[2].stride == (2, 2)


def test_squeeze_and_excitation():
    """One number a channel, by a gate, times the map: spread over the map by Resample2D."""
    p = Program((3, 4, 5), False)
    first, second = p.rng.normal(size=(5, 2)), p.rng.normal(size=(2, 5))
    gate = p.assembler.mean(p.value, (-1, -2))
    gate = p.assembler.activation(p.assembler.dense(gate, first, None), "relu")
    gate = p.assembler.activation(p.assembler.dense(gate, second, None), "sigmoid")
    gate = p.assembler.reindexed(gate, lambda x: x[:, None, None])
    p.value = p.assembler.multiply(p.value, gate)
    own = ACTIVATIONS["sigmoid"](np.maximum(p.array.mean((2, 3)) @ first, 0) @ second)
    p.array = p.array * own[:, :, None, None]
    p.check()
    assert p.kinds() == [
        GlobalAvgPool,
        Dense,
        Activation,
        Dense,
        Activation,
        Resample2D,
        Multiply,
    ]


@pytest.mark.parametrize(("gate", "name"), [("sigmoid", "silu"), ("hardsigmoid", "hardswish")])
def test_gated_by_itself_is_one_activation(gate, name):
    """x * sigmoid(x), written out as exporters do, in either order; but not y * sigmoid(x)."""
    for first in (True, False):
        p = Program((3, 4, 5), False)
        own = p.assembler.activation(p.value, gate)
        pair = (p.value, own) if first else (own, p.value)
        p.value, p.array = p.assembler.multiply(*pair), ACTIVATIONS[name](p.array)
        p.check()
        assert p.assembler.layers[-1].function == name
        flipped = p.assembler.reindexed(p.value, lambda x: x[::-1])
        p.assembler.multiply(flipped, p.assembler.activation(p.value, gate))
        assert isinstance(p.assembler.layers[-1], Multiply)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("channels_last", [False, True])
def test_concatenation(axis, channels_last):
    """Along each axis, of three different layers: channels by Concat, places by Add."""
    p = Program((3, 4, 2), channels_last)
    values, arrays = [p.value], [p.array]
    for function in ("relu", "tanh"):
        values.append(p.assembler.activation(p.value, function))
        arrays.append(ACTIVATIONS[function](p.array))
    p.value = p.assembler.concat(values, axis)
    p.array = np.concatenate(arrays, axis + 1 if axis >= 0 else axis)
    p.check()
    is_channel = axis % 3 == (2 if channels_last else 0)
    assert p.kinds()[-1] is (Concat if is_channel else Add)


def test_concatenation_of_vectors():
    """Flattened maps and vectors: each in its own order, rows of the next layer."""
    p = Program((2, 3, 4), False)
    flat = p.assembler.reindexed(p.value, np.ravel)
    mean = p.assembler.mean(p.value, (1, 2))
    p.value = p.assembler.concat([flat, mean], -1)
    p.array = np.concatenate([p.array.reshape(N, -1), p.array.mean((2, 3))], -1)
    p.check()
    kernel = p.rng.normal(size=(28, 3))
    p.value, p.array = p.assembler.dense(p.value, kernel, None), p.array @ kernel
    p.check()
    assert sorted(kind.__name__ for kind in p.kinds()) == [
        "Concat",
        "Dense",
        "Flatten",
        "GlobalAvgPool",
    ]


def test_constants():
    """Scalars, one number a channel, and constants of the framework's shape."""
    for constant in (2.5, np.arange(4.0), np.arange(4.0)[:, None, None], np.ones((1, 1, 1))):
        p = Program((2, 3, 4), False)
        p.value = p.assembler.scale_shift(p.value, constant, constant, channels_last=False)
        spread = np.asarray(constant)
        spread = spread[:, None, None] if spread.ndim == 1 else spread
        p.array = p.array * spread + spread
        p.check()
        assert p.kinds() == [BatchNorm]
    assert p.assembler.scale_shift(p.value, 1, 0, channels_last=False) is p.value
    p.value = p.assembler.subtract(p.value, p.assembler.activation(p.value, "relu"))
    p.array = p.array - np.maximum(p.array, 0)
    p.check()


def test_units_of_spiking_networks():
    """Quantised and spiking units, and a leaky slope for all or for each channel."""
    p = Program((2, 3, 4), False)
    p.value, p.array = (
        p.assembler.quantised_relu(p.value, 0.5, 3),
        0.5 * np.clip(np.floor(p.array / 0.5 + 0.5), 0, 3),
    )
    p.check()
    p.value = p.assembler.leaky_relu(
        p.assembler.scale_shift(p.value, 1, -1, channels_last=False), -2.0
    )
    p.array = np.where(p.array > 1, p.array - 1, -2 * (p.array - 1))
    p.check()
    p.value, p.array = p.assembler.spike(p.value, threshold=1.5), 1.0 * (p.array >= 1.5)
    p.check()
    assert p.kinds() == [QuantisedReLU, BatchNorm, LeakyReLU, Spike]


def test_binary_convolutions():
    """Signs and scales, and the same as a real convolution."""
    p = Program((5, 4, 6), False)
    signs, scale = np.sign(p.rng.normal(size=(3, 2, 3, 4))), p.rng.uniform(1, 2, 4)
    geometry = ((2, 1), (1, 0, 0, 1), (1, 2), 2)
    a = p.assembler.binary_conv(p.value, signs, scale, *geometry, channels_last=False)
    b = p.assembler.conv(p.value, signs * scale, None, *geometry, channels_last=False)
    found = outputs(p.assembler, p.images)
    np.testing.assert_allclose(found[a.source], found[b.source], atol=1e-12)
    assert p.kinds() == [BinaryConv2D, Conv2D]


POOLING = st.fixed_dictionaries(
    {
        "size": st.integers(1, 4),
        "stride": st.integers(1, 4),
        "padding": st.integers(0, 2),
        "ceil_mode": st.booleans(),
    }
)


@settings(max_examples=80, deadline=None)
@given(
    options=POOLING.filter(lambda o: 2 * o["padding"] <= o["size"]),
    extent=st.tuples(st.integers(4, 8), st.integers(4, 8)),
    count_padding=st.booleans(),
)
def test_pooling_equals_torch(options, extent, count_padding):
    """Windows at the border by PyTorch's rules, maximum and mean."""
    torch = torch_or_skip()
    from torch.nn import functional as F

    p = Program((*extent, 2), False)
    size, stride, padding = ((options[x],) * 2 for x in ("size", "stride", "padding"))
    sides = (options["padding"],) * 4
    x, ceil_mode = torch.from_numpy(np.ascontiguousarray(p.array)), options["ceil_mode"]
    found = p.assembler.avg_pool(
        p.value,
        size,
        stride,
        sides,
        channels_last=False,
        ceil_mode=ceil_mode,
        count_padding=count_padding,
    )
    expected = F.avg_pool2d(x, size, stride, padding, ceil_mode, count_padding)
    check(p.assembler, p.images, found, expected.numpy())
    found = p.assembler.max_pool(
        p.value, size, stride, sides, channels_last=False, ceil_mode=ceil_mode
    )
    expected = F.max_pool2d(x, size, stride, padding, ceil_mode=ceil_mode)
    check(p.assembler, p.images, found, expected.numpy())


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((1, 1), GlobalAvgPool),
        ((2, 5), AvgPool2D),
        ((4, 3), Resample2D),
        ((None, 3), Resample2D),
        ((7, 12), Resample2D),
        ((None, 10), None),
    ],
)
def test_adaptive_pooling_equals_torch(size, kind):
    """Any output size, for means and for maxima."""
    torch = torch_or_skip()
    from torch.nn import functional as F

    p = Program((6, 10, 2), False)
    x = torch.from_numpy(np.ascontiguousarray(p.array))
    found = p.assembler.adaptive_avg_pool(p.value, size, channels_last=False)
    check(p.assembler, p.images, found, F.adaptive_avg_pool2d(x, size).numpy())
    assert p.kinds() == ([] if kind is None else [kind])
    found = p.assembler.adaptive_max_pool(p.value, size, channels_last=False)
    check(p.assembler, p.images, found, F.adaptive_max_pool2d(x, size).numpy())


def coding(shape):
    return InputCoding(shape, 1.0, np.ones(shape[2]), np.zeros(shape[2]), signed=True)


def test_network_without_what_is_not_used():
    """A branch that leads nowhere is left out, a softmax too, with a note; logits are the same."""
    p = Program((3, 4, 5), False)
    p.images = p.images.clip(-1, 1)
    p.assembler.activation(p.value, "tanh")
    kernel = p.rng.normal(size=(5, 3))
    logits = p.assembler.dense(p.assembler.mean(p.value, (1, 2)), kernel, None)
    p.value = p.assembler.softmax(logits)
    network = p.assembler.network(p.value, coding((3, 4, 5)), None, "one")
    assert [type(layer) for layer in network.layers] == [GlobalAvgPool, Dense]
    assert network.classes == ("0", "1", "2")
    assert p.assembler.notes == ["the softmax at the end is left out; it changes no class"]
    expected = p.images.mean((1, 2)) @ kernel
    np.testing.assert_allclose(network.forward(p.images), expected, atol=1e-12)
    turned = p.assembler.reindexed(p.value, lambda x: x[::-1].reshape(3, 1, 1))
    network = p.assembler.network(turned, coding((3, 4, 5)), ("a", "b", "c"), "two")
    np.testing.assert_allclose(network.forward(p.images), expected[:, ::-1], atol=1e-12)


def test_sequences_and_rows():
    """The input of one row as (C, L) or (L, C), of one channel as rows, of one place as vector."""
    images = np.arange(24.0).reshape(1, 1, 6, 4)
    for channels_last in (False, True):
        value = Assembler((1, 6, 4)).input(channels_last, 2)
        expected = images[0, 0] if channels_last else images[0, 0].T
        np.testing.assert_array_equal(value.read(images)[0], expected)
    value = Assembler((6, 4, 1)).input(False, 2)
    np.testing.assert_array_equal(value.read(images.reshape(1, 6, 4, 1))[0], images[0, 0])
    value = Assembler((2, 3, 4)).input(False, 1)
    x = images.reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(value.read(x)[0], x[0].transpose(2, 0, 1).ravel())
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*does not fit into 2 axes"):
        Assembler((2, 3, 4)).input(False, 2)


@pytest.mark.parametrize(
    ("operate", "message"),
    [
        (lambda a, x: a.dense(x, np.ones((5, 2)), None), r"takes 5 values.*\(4, 2, 3\)"),
        (lambda a, x: a.add(x, a.reindexed(x, np.ravel)), "equally many axes"),
        (lambda a, x: a.add(x, a.reindexed(x, lambda i: i[:3])), "do not match"),
        (lambda a, x: a.activation(a.softmax(x), "relu"), "a softmax over axis -1"),
        (
            lambda a, x: a.activation(a.softmax(a.reindexed(x, np.ravel)), "relu"),
            "comes after a softmax",
        ),
        (lambda a, x: a.max_pool(x, (2, 2), (1, 1), channels_last=False, dilation=(2, 1)), "dilat"),
        (lambda a, x: a.max_pool(x, (5, 2), (1, 1), channels_last=False), "window of 5.*2 places"),
        (lambda a, x: a.scale_shift(x, np.ones(3) * 2, 0, channels_last=False), r"shape \(3,\)"),
        (
            lambda a, x: a.scale_shift(x, 1, np.arange(24.0).reshape(4, 2, 3), channels_last=False),
            "differ within a channel",
        ),
        (
            lambda a, x: a.mean(a.reindexed(x, lambda i: i.reshape(2, 2, 3, 2)), [0, 3]),
            r"\(2, 2, 3, 2\) takes its entries from 'input' of shape \(2, 3, 4\)",
        ),
        (lambda a, x: a.conv(x, np.ones((1, 1, 3, 1)), None, channels_last=False), "takes 3 chan"),
        (lambda a, x: a.reindexed(x, lambda i: i[:0]), "leaves nothing"),
        (lambda a, x: a.pad(x, [(1, 1)]), "1 paddings"),
        (lambda a, x: a.network(x, coding((2, 3, 4)), None, "n"), "not one number for each"),
        (
            lambda a, x: a.network(a.reindexed(x, np.ravel), coding((1, 1, 24)), None, "n"),
            r"coding is of \(1, 1, 24\)",
        ),
    ],
)
def test_what_has_no_layer_is_refused(operate, message):
    """One line, with the shapes."""
    assembler = Assembler((2, 3, 4))
    value = assembler.input(False, 3)
    with pytest.raises(ValueError, match=message) as caught:
        operate(assembler, value)
    assert "\n" not in str(caught.value)


def test_an_output_that_is_the_input():
    """A network needs a layer."""
    assembler = Assembler((1, 1, 4))
    with pytest.raises(ValueError, match="the output is the input"):
        assembler.network(assembler.input(False, 1), coding((1, 1, 4)), None, "n")
    assert repr(Value(INPUT, np.zeros((2, 3), int))) == "Value((2, 3) of 'input')"
