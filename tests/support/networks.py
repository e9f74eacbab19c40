"""Small random networks that hold every kind of layer, and how runs of them are compared."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.dynamics import Delay, Neurons, Previous
from ann2brian.models.networks.layers import (
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    Resample2D,
    Spike,
)
from ann2brian.models.networks.network import InputCoding, Network

CLASSES = tuple("abcde")
COMPILED = ("cpp_standalone", "cython")
SETTINGS = [
    {"batch": batch, "jobs": jobs, "pipelined": pipelined}
    for batch in (1, 3, 64)
    for jobs in (1, 2)
    for pipelined in (False, True)
]
BUSIEST = SETTINGS[7]  # several images side by side and on their way, in two processes


def slow_unless(is_fast, cases):
    """Cases for parametrisation; those that are not fast, by their values, are slow tests."""
    return [
        case if is_fast(*case) else pytest.param(*case, marks=pytest.mark.slow) for case in cases
    ]


def conv(rng, name, before, size, n_in, n_out, **options):
    """Random convolution with a bias."""
    fan_in = size[0] * size[1] * n_in / options.get("groups", 1)
    kernel = rng.normal(size=(*size, n_in // options.get("groups", 1), n_out)) / np.sqrt(fan_in)
    return Conv2D(name, (before,), kernel, 0.2 * rng.normal(size=n_out), **options)


def dense(rng, name, before, n_in, n_out):
    """Random dense layer with a bias."""
    kernel = rng.normal(size=(n_in, n_out)) * np.sqrt(2 / n_in)
    return Dense(name, (before,), kernel, 0.2 * rng.normal(size=n_out))


def coding(shape, maximum=15, signed=False):
    """Input coding with a standardisation that is not trivial."""
    channels = np.arange(1, shape[2] + 1)
    return InputCoding(shape, maximum, 1.5 / maximum / channels, -0.3 * channels, signed)


def everything(function="relu", seed=0):
    """Every kind of connection: kernels of all geometries, a sparse matrix, residual and dense."""
    rng = np.random.default_rng(seed)
    layers = (
        conv(rng, "conv1", "input", (3, 3), 2, 6, padding=(1, 1), stride=(2, 1)),
        BatchNorm("norm1", ("conv1",), *rng.uniform(0.5, 1.5, size=(4, 6)), 1e-5),
        Activation("act1", ("norm1",), function),
        AvgPool2D("pool1", ("act1",), (3, 2), (2, 2), (1, 1, 0, 1)),
        conv(rng, "conv2", "pool1", (3, 2), 6, 8, padding=(2, 0, 0, 2), groups=2),
        Activation("act2", ("conv2",), function),
        conv(rng, "conv3", "act2", (3, 3), 8, 5, padding=(1, 1)),
        Resample2D("blur", ("conv3",), *(rng.uniform(size=(n, n)) for n in (3, 5))),
        conv(rng, "wide", "act2", (1, 3), 8, 3, padding=(0, 0, 1, 3), dilation=(1, 2)),
        Concat("both", ("blur", "wide")),
        Add("sum", ("both", "act2")),
        Activation("act3", ("sum",), function),
        Flatten("flat", ("act3",)),
        dense(rng, "dense1", "flat", 3 * 5 * 8, 12),
        Activation("act4", ("dense1",), function),
        dense(rng, "dense2", "act4", 12, 5),
    )
    return Network("everything", coding((9, 8, 2)), layers, CLASSES)


def pooled_network(size=(3, 2), stride=(2, 2), padding=(1, 0), seed=0):
    """Max pooling twice, average and global pooling, batch norm and a shortcut over a pooling."""
    rng = np.random.default_rng(seed)
    layers = (
        conv(rng, "conv1", "input", (3, 3), 2, 6, padding=(1, 1)),
        BatchNorm("norm1", ("conv1",), *rng.uniform(0.5, 1.5, size=(4, 6)), 1e-5),
        Activation("act1", ("norm1",), "relu"),
        MaxPool2D("pool1", ("act1",), size, stride, padding),
        conv(rng, "conv2", "pool1", (3, 3), 6, 6, padding=(1, 1)),
        Activation("act2", ("conv2",), "relu"),
        conv(rng, "conv3", "act2", (3, 3), 6, 6, padding=(1, 1)),
        Add("sum", ("conv3", "pool1")),
        Activation("act3", ("sum",), "relu"),
        MaxPool2D("pool2", ("act3",), (2, 2), (1, 1), (0, 0)),
        AvgPool2D("pool3", ("pool2",), (2, 1), (1, 1), (0, 0)),
        conv(rng, "conv4", "pool3", (1, 1), 6, 9),
        Activation("act4", ("conv4",), "relu"),
        GlobalAvgPool("gap", ("act4",)),
        dense(rng, "out", "gap", 9, 5),
    )
    return Network("pooled", coding((11, 10, 2)), layers, CLASSES)


def unusual_pools(seed=0):
    """Max pooling of clipped activations, and over windows of several sizes."""
    rng = np.random.default_rng(seed)
    layers = (
        conv(rng, "conv1", "input", (3, 3), 2, 6, padding=(1, 1)),
        Activation("act1", ("conv1",), "clip", (-0.5, 2.0)),
        MaxPool2D("pool1", ("act1",), (3, 2), (2, 1), (1, 1, 0, 0)),
        conv(rng, "conv2", "pool1", (3, 3), 6, 6, padding=(1, 1)),
        Activation("act2", ("conv2",), "relu"),
        Resample2D("pick", ("act2",), np.eye(5)[[0, 1, 1, 2, 3, 4]], np.eye(7)),
        MaxPool2D("pool2", ("pick",), (2, 3), (2, 3)),
        Flatten("flat", ("pool2",)),
        dense(rng, "out", "flat", 3 * 2 * 6, 5),
    )
    return Network("unusual pools", coding((9, 8, 2)), layers, CLASSES)


def curved_network(seed=0):
    """Functions that are no sums of ReLUs, a product, and max pooling of what is no ReLU."""
    rng = np.random.default_rng(seed)
    layers = (
        conv(rng, "conv1", "input", (3, 3), 2, 6, padding=(1, 1)),
        Activation("act1", ("conv1",), "silu"),
        MaxPool2D("pool1", ("act1",), (2, 2), (2, 2)),
        GlobalAvgPool("squeeze", ("pool1",)),
        dense(rng, "excite", "squeeze", 6, 6),
        Activation("gate", ("excite",), "sigmoid"),
        Resample2D("gates", ("gate",), np.ones((4, 1)), np.ones((4, 1))),
        Multiply("product", ("pool1", "gates")),
        conv(rng, "conv2", "product", (3, 3), 6, 6),
        LeakyReLU("act2", ("conv2",), np.linspace(0.0, 0.4, 6)),
        MaxPool2D("pool2", ("act2",), (2, 2), (1, 1)),
        conv(rng, "conv3", "pool2", (1, 1), 6, 8),
        Activation("act3", ("conv3",), "gelu"),
        Flatten("flat", ("act3",)),
        dense(rng, "out", "flat", 8, 5),
    )
    return Network("curved", coding((9, 8, 2)), layers, CLASSES)


def stateful(seed=0):
    """Neurons with a state: a map and vectors, connections that lead back, delays, potentials."""
    rng = np.random.default_rng(seed)

    def each(value):
        return np.full((1, 1, 1), value)

    def one_each(low, high, n):
        return rng.uniform(low, high, (1, 1, n)).astype(np.float32)

    told = {"written_by": "definition", "dt": 2.0**-10}
    layers = (
        conv(rng, "conv1", "input", (3, 2), 2, 4, padding=(1, 1), stride=(2, 1)),
        Neurons("map", ("conv1",), "IF", r=each(256.0), v_threshold=each(0.5), **told),
        AvgPool2D("pool1", ("map",), (2, 2), (2, 2)),
        Flatten("flat", ("pool1",)),
        dense(rng, "dense1", "flat", 2 * 3 * 4, 6),
        Previous("before", (), "late", (1, 1, 6)),
        dense(rng, "back", "before", 6, 6),
        Add("sum", ("dense1", "back")),
        Neurons(
            "first",
            ("sum",),
            "CubaLIF",
            tau_syn=one_each(0.002, 0.005, 6),
            tau_mem=one_each(0.002, 0.005, 6),
            r=each(1.0),
            w_in=one_each(8.0, 16.0, 6),
            v_leak=one_each(0.0, 0.25, 6),
            v_threshold=each(0.5),
            v_reset=each(-0.25),
            **told,
        ),
        dense(rng, "dense2", "first", 6, 6),
        Neurons(
            "second",
            ("dense2",),
            "LIF",
            tau=one_each(0.002, 0.005, 6),
            r=each(8.0),
            v_leak=each(0.25),
            v_threshold=each(0.5),
            v_reset=each(0.0),
            **told,
        ),
        Delay("late", ("second",), np.arange(6).reshape(1, 1, 6) % 3 * 2.0**-10),
        dense(rng, "dense3", "late", 6, 5),
    )
    return Network("stateful", coding((7, 6, 2), 2, signed=True), layers, CLASSES)


def noisy(network, mean=0.5, sigma=0.25):
    """The same network with spiking units in place of its activations."""
    layers = (
        Spike(layer.name, layer.inputs, 1.0, mean, sigma)
        if isinstance(layer, Activation)
        else layer
        for layer in network.layers
    )
    return replace(network, layers=tuple(layers))


def of_kind(kind, seed=0):
    """A network with one kind of layer between two activations."""
    rng = np.random.default_rng(seed)
    start = (
        conv(rng, "conv1", "input", (2, 2), 1, 4, padding=(1, 1)),
        Activation("act1", ("conv1",), "relu"),
    )  # 7 x 7 x 4
    middle = {
        "dense": lambda: (Flatten("flat", ("act1",)), dense(rng, "mid", "flat", 196, 9)),
        "even kernel": lambda: (conv(rng, "mid", "act1", (2, 4), 4, 6),),
        "strided": lambda: (conv(rng, "mid", "act1", (3, 3), 4, 6, stride=(3, 2)),),
        "padded": lambda: (conv(rng, "mid", "act1", (5, 3), 4, 6, padding=(2, 1)),),
        "strided and padded": lambda: (
            conv(rng, "mid", "act1", (3, 4), 4, 6, stride=(2, 3), padding=(1, 2)),
        ),
        "grouped": lambda: (conv(rng, "mid", "act1", (3, 3), 4, 8, groups=2, padding=(1, 1)),),
        "depthwise": lambda: (conv(rng, "mid", "act1", (3, 3), 4, 4, groups=4, stride=(2, 2)),),
        "pooled": lambda: (
            AvgPool2D("pool", ("act1",), (2, 2), (2, 2)),
            conv(rng, "mid", "pool", (2, 2), 4, 6),
        ),
        "overlapping pool": lambda: (
            AvgPool2D("pool", ("act1",), (3, 3), (2, 1), (1, 1)),
            conv(rng, "mid", "pool", (2, 2), 4, 6, stride=(1, 2)),
        ),
        "pool with gaps": lambda: (
            AvgPool2D("pool", ("act1",), (1, 2), (3, 3)),
            conv(rng, "mid", "pool", (1, 1), 4, 6),
        ),
        "pool alone": lambda: (AvgPool2D("mid", ("act1",), (2, 2), (2, 2)),),
        "global pool": lambda: (
            GlobalAvgPool("pool", ("act1",)),
            dense(rng, "mid", "pool", 4, 6),
        ),
        "pooled dense": lambda: (
            AvgPool2D("pool", ("act1",), (2, 2), (2, 2)),
            Flatten("flat", ("pool",)),
            dense(rng, "mid", "flat", 36, 6),
        ),
        "two linear layers": lambda: (
            conv(rng, "lin", "act1", (3, 3), 4, 3, padding=(1, 1)),
            conv(rng, "mid", "lin", (3, 3), 3, 6),
        ),
        "no common kernel": lambda: (
            conv(rng, "lin", "act1", (3, 3), 4, 3, padding=(1, 1)),
            conv(rng, "mid", "lin", (3, 3), 3, 6, padding=(1, 1), stride=(2, 2)),
        ),
        "cut": lambda: (
            Resample2D("picked", ("act1",), np.eye(7)[2:6], np.eye(7)[1::2]),
            conv(rng, "mid", "picked", (3, 2), 4, 6),
        ),
        "residual": lambda: (
            conv(rng, "body1", "act1", (3, 3), 4, 4, padding=(1, 1)),
            Activation("inner", ("body1",), "relu"),
            conv(rng, "body2", "inner", (3, 3), 4, 4, padding=(1, 1)),
            Add("mid", ("body2", "act1")),
        ),
        "residual with projection": lambda: (
            conv(rng, "body", "act1", (3, 3), 4, 6, stride=(2, 2), padding=(1, 1)),
            conv(rng, "short", "act1", (1, 1), 4, 6, stride=(2, 2)),
            Add("mid", ("body", "short")),
        ),
    }[kind]()
    head = (
        Activation("act2", ("mid",), "relu"),
        GlobalAvgPool("gap", ("act2",)),
    )
    channels = {"dense": 9, "depthwise": 4, "pool alone": 4, "residual": 4, "grouped": 8}
    out = dense(rng, "out", "gap", channels.get(kind, 6), 5)
    return Network(kind, coding((6, 6, 1)), (*start, *middle, *head, out), CLASSES)


KINDS = (
    "dense",
    "even kernel",
    "strided",
    "padded",
    "strided and padded",
    "grouped",
    "depthwise",
    "pooled",
    "overlapping pool",
    "pool with gaps",
    "pool alone",
    "global pool",
    "pooled dense",
    "two linear layers",
    "no common kernel",
    "cut",
    "residual",
    "residual with projection",
)


def images_for(network, n, seed=1):
    """Random images that the network accepts."""
    rng = np.random.default_rng(seed)
    shape, maximum = network.input.shape, network.input.maximum
    if network.input.signed:
        return rng.uniform(-maximum, maximum, (n, *shape))
    return rng.integers(0, int(maximum) + 1, (n, *shape))


def shipped(scheme):
    """Names of the shipped networks that are meant for a scheme."""
    networks = storage.trained_networks()
    return sorted(n for n, path in networks.items() if storage.load_info(path)["scheme"] == scheme)


def assert_same(recording, reference):
    """Same spikes, spike for spike, and the same scores, bit for bit."""
    assert len(reference.spikes) > 0
    for column in ("image", "layer", "neuron", "step"):
        found, wanted = getattr(recording.spikes, column), getattr(reference.spikes, column)
        assert np.array_equal(found, wanted), column
    assert np.array_equal(recording.scores, reference.scores)
