"""Circuits of gates: max pooling, products, clipped and leaky ReLUs, against the trained."""

import math
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.layers import (
    INPUT,
    Activation,
    Add,
    BatchNorm,
    Concat,
    Dense,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    Resample2D,
)
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.amos import calibrated_gates, circuits
from ann2brian.models.schemes.amos import conversion as amos
from ann2brian.models.schemes.amos import reference as amos_reference
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.schemes.amos.size import size_report

from tests.support.networks import CLASSES, assert_same, coding, conv, dense, images_for

EXACT = {"range_percentile": 100.0, "weight_bits": 20}


@pytest.fixture(autouse=True)
def _short_fits(monkeypatch):
    monkeypatch.setattr(calibrated_gates, "REFIT_EVALUATIONS", 100)


def around(kind, seed=0):
    """A network with one kind of layer in the middle, from 6x5x1 to five classes."""
    rng = np.random.default_rng(seed)
    first = Activation("act1", ("conv1",), "relu")

    def of_function(function, *parameters):
        return [replace(first, function=function, parameters=parameters)]

    def pooled(source, *window):
        return [first, MaxPool2D("mid", (source,), *window)]

    before, middle, n = (), {
        "overlapping max": lambda: pooled("act1", (3, 2), (2, 1), (1, 0, 1, 1)),
        "max twice": lambda: [
            *pooled("act1", (2, 3), (1, 1), (0, 1, 1, 1)),
            MaxPool2D("mid2", ("mid",), (2, 2), (2, 2)),
        ],
        "max before ReLU": lambda: [
            MaxPool2D("mid", ("conv1",), (2, 2), (2, 2)), replace(first, inputs=("mid",))
        ],
        "max before SiLU": lambda: [
            MaxPool2D("mid", ("conv1",), (2, 2), (2, 2)),
            replace(first, inputs=("mid",), function="silu"),
        ],
        "max of a sum": lambda: [
            first,
            conv(rng, "body", "act1", (3, 3), 4, 4, padding=(1, 1)),
            Add("sum", ("body", "act1")),
            MaxPool2D("mid", ("sum",), (2, 2), (2, 2), (1, 0, 0, 1)),
        ],
        "max of clipped": lambda: [
            *of_function("clip", 0.0, 0.7), MaxPool2D("mid", ("act1",), (2, 2), (2, 2))
        ],
        "leaky": lambda: [LeakyReLU("act1", ("conv1",), np.array([0.1, 1.5, 0.0, -0.4]))],
        "clip": lambda: of_function("clip", -0.3, 0.8),
        "hardsigmoid": lambda: of_function("hardsigmoid"),
        "norm after": lambda: [
            first, BatchNorm("mid", ("act1",), *rng.uniform(0.5, 1.5, size=(4, 4)), 1e-5)
        ],
        "concat": lambda: [
            first,
            conv(rng, "body", "act1", (3, 3), 4, 2, padding=(1, 1)),
            Concat("mid", ("body", "act1")),
        ],
        "resample": lambda: [
            first, Resample2D("mid", ("act1",), rng.uniform(size=(3, 6)), rng.uniform(size=(4, 5)))
        ],
        "hardswish": lambda: of_function("hardswish"),
        "elu": lambda: of_function("elu", 0.7),
        "softplus": lambda: of_function("softplus", 2.0),
        "gelu_tanh": lambda: of_function("gelu_tanh"),
        "excitation": lambda: [
            first,
            GlobalAvgPool("squeeze", ("act1",)),
            dense(rng, "fc", "squeeze", 4, 4),
            Activation("gate", ("fc",), "sigmoid"),
            Resample2D("wide", ("gate",), np.ones((6, 1)), np.ones((5, 1))),
            Multiply("mid", ("act1", "wide")),
        ],
        "norm on input": lambda: [first],
    }[kind], {"concat": 6}.get(kind, 4)  # fmt: skip
    source = INPUT
    if kind == "norm on input":
        before, source = (BatchNorm("norm", (INPUT,), [1.3], [0.4], [-0.2], [0.8], 1e-5),), "norm"
    layers = [*before, conv(rng, "conv1", source, (3, 3), 1, 4, padding=(1, 1)), *middle()]
    layers += [
        conv(rng, "conv2", layers[-1].name, (2, 2), n, 6),
        Activation("act2", ("conv2",), "relu"),
        Flatten("flat", ("act2",)),
    ]
    shapes = {INPUT: (6, 5, 1)}
    for layer in layers:
        shapes[layer.name] = layer.output_shape(*(shapes[name] for name in layer.inputs))
    layers.append(dense(rng, "out", "flat", shapes["flat"][2], 5))
    return Network(kind, coding((6, 5, 1)), tuple(layers), CLASSES)


KINDS = (
    "overlapping max", "max twice", "max before ReLU", "max before SiLU", "max of a sum",
    "max of clipped", "leaky", "clip", "hardsigmoid", "norm after", "norm on input", "concat",
    "resample", "hardswish", "elu", "softplus", "gelu_tanh", "excitation",
)  # fmt: skip


def of_magnitudes(layer):
    """A linear layer with the magnitudes of its weights: it carries bounds of errors."""
    weights = ("kernel", "rows", "columns")
    arrays = {field: np.abs(getattr(layer, field)) for field in weights if hasattr(layer, field)}
    if hasattr(layer, "bias"):
        arrays["bias"] = np.zeros_like(layer.bias)
    return replace(layer, **arrays)


def error_bound(conversion, images):
    """Largest possible error of each logit, from the steps of the gates.

    A linear layer passes errors e on with the magnitudes of its weights. A binary code adds less
    than its step. A fitted gate adds its largest error near its range, to e times the steepest
    slope.
    """
    network = conversion.network
    bounds = {INPUT: np.zeros((len(images), *network.shapes[INPUT]))}
    for layer in network.layers:
        given = [bounds[name] for name in layer.inputs]
        if not isinstance(layer, Activation):
            bounds[layer.name] = of_magnitudes(layer).apply(*given)
            continue
        gate, bound = conversion.gates[layer.name], given[0]
        if layer.function == "relu":
            bounds[layer.name] = bound + gate.outputs[-1]
            continue
        low, high = gate.domain
        x = np.linspace(low - bound.max(), high + bound.max(), 20_001)
        values = layer.apply(x)
        steepest = np.abs(np.diff(values) / np.diff(x)).max()
        bounds[layer.name] = steepest * bound + np.abs(gate(x) - values).max()
    return bounds[network.layers[-1].name].reshape(len(images), -1)


@pytest.mark.parametrize("kind", KINDS)
def test_circuits_equal_reference_and_stay_near_the_trained(kind):
    """Spikes against the reference; logits within the bound that follows from the gates' steps."""
    network = around(kind)
    images = images_for(network, 6)
    options = AmosOptions(neurons_per_gate=8, **EXACT)
    conversion = amos.convert(network, options, images)
    reference = amos_reference.run(conversion, images)
    run = simulate(conversion.spiking, images, target="numpy", record=True, batch=6)
    assert_same(run, reference)
    assert run.most_spikes == 1
    trained = network.forward(images)
    error = np.abs(run.scores[:, -1] - trained)
    slack = 2.0**-12 * np.abs(trained).max()  # weights of 20 bits
    assert (error <= error_bound(conversion, images) + slack).all()
    fitted = {gate.function for gate in conversion.gates.values()} - {INPUT, "relu"}
    assert error.max() < (1.0 if fitted else 0.03) * trained.std()
    assert conversion.out_of_range.keys() == conversion.gates.keys() - {INPUT}
    assert set(conversion.fits) == {
        name
        for name, gate in conversion.gates.items()
        if gate.function in fitted - {"silu", "sigmoid"}
    }


@pytest.mark.parametrize("kind", ["overlapping max", "leaky", "max of a sum"])
def test_error_falls_with_the_size_of_the_gates(kind):
    """Ten neurons against five: steps are 32 times smaller, errors at least 8 times."""
    network = around(kind, seed=1)
    images = images_for(network, 20)
    errors = []
    for k in (5, 10):
        conversion = amos.convert(network, AmosOptions(neurons_per_gate=k, **EXACT), images)
        scores = amos_reference.run(conversion, images).scores[:, -1]
        errors.append(np.abs(scores - network.forward(images)).max())
    assert 0 < 8 * errors[1] < errors[0]


WINDOWS = [
    ((2, 2), (2, 2), (0, 0)),
    ((3, 3), (2, 1), (1, 1)),
    ((1, 4), (1, 3), (0, 0, 3, 0)),
    ((5, 2), (3, 2), (2, 1, 0, 1)),
]


@pytest.mark.parametrize(("half_step", "collects"), [(False, True), (False, False), (True, False)])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_max_pooling_of_codes_is_exact(window, half_step, collects, monkeypatch):
    """Scores against max pooling, in NumPy, of the decoded ReLUs: not one step is lost.

    Few calibration images and a low percentile, so that many ReLUs saturate. With and without gates
    of the winners.
    """
    if collects:
        monkeypatch.setattr(circuits, "MOST_UNROLLED", 0)
    rng = np.random.default_rng(3)
    first = conv(rng, "conv", INPUT, (3, 3), 1, 3, padding=(1, 1))
    act, pool = Activation("act", ("conv",), "relu"), MaxPool2D("pool", ("act",), *window)
    n = math.prod(pool.output_shape((7, 6, 3)))
    kernel = rng.integers(-3, 4, (n, 5))
    out = Dense("out", ("flat",), kernel, np.zeros(5))
    layers = (first, act, pool, Flatten("flat", ("pool",)), out)
    network = Network("max", coding((7, 6, 1)), layers, CLASSES)
    images = images_for(network, 12)
    options = AmosOptions(neurons_per_gate=5, range_percentile=90.0, half_step=half_step)
    conversion = amos.convert(network, options, images[:2])
    run = amos_reference.run(conversion, images)
    decoded = conversion.gates["act"].decode(run.counts["act"].transpose(0, 2, 1))
    pooled = pool.apply(decoded.reshape(12, 7, 6, 3))
    wanted = pooled.reshape(12, -1) @ kernel
    np.testing.assert_allclose(run.scores[:, -1], wanted, rtol=0, atol=1e-10)
    rounds = sum(math.ceil(math.log2(extent)) for extent in window[0])
    costs = {one.name: one for one in conversion.sizes}
    assert costs["pool"].size.n_sublayers == 5 * (rounds + collects)
    assert ("pool" in conversion.gates) == collects


def test_sizes_say_what_each_layer_became():
    """Neurons and slots by trained layer against the spiking network and against hand counts."""
    network = around("excitation")
    images = images_for(network, 6)
    conversion = amos.convert(network, AmosOptions(neurons_per_gate=4), images)
    found = {one.name: (one.kind, one.n_gates, one.size.n_sublayers) for one in conversion.sizes}
    assert found == {
        "input": ("input", 30, 4),
        "act1": ("relu", 120, 4),
        "gate": ("sigmoid", 4, 4),
        "mid": ("Multiply", 240, 4),  # two squares for each product
        "act2": ("relu", 120, 4),
    }
    sizes = [one.size for one in conversion.sizes]
    assert sum(size.n_neurons for size in sizes) == conversion.spiking.n_neurons
    # All these layers are one after the other, and the read-out takes a slot more.
    assert sum(size.n_sublayers for size in sizes) + 1 == conversion.spiking.latency_ms
    report = size_report(conversion.sizes)
    assert "mid    Multiply    240      960" in report
    assert len(report.splitlines()) == 6


def test_circuits_share_slots_where_they_work_at_the_same_time():
    """Both ReLUs of a clipped unit decide together."""
    network = around("clip")
    conversion = amos.convert(network, AmosOptions(neurons_per_gate=4), images_for(network, 6))
    (cost,) = (one for one in conversion.sizes if one.name == "act1")
    assert (cost.kind, cost.n_gates, cost.size.n_sublayers) == ("clip", 240, 4)
    onsets = {p.name: p.onset for p in conversion.spiking.populations}
    assert onsets["act1_relu1"] == onsets["act1_relu2"] == 4


def test_inner_relu_that_nothing_drives():
    """A limit that no image reaches changes nothing, and is told; a dead layer is refused."""
    network = around("clip")
    images = images_for(network, 6)
    layers = {layer.name: layer for layer in network.layers}

    def changed(layer):
        layers[layer.name] = layer
        return replace(network, layers=tuple(layers.values()))

    wide = changed(replace(layers["act1"], parameters=(0.0, 1e3)))
    options = AmosOptions(neurons_per_gate=8, **EXACT)
    conversion = amos.convert(wide, options, images)
    assert conversion.undriven == ("act1_relu2",)
    run = amos_reference.run(conversion, images)
    assert not run.counts["act1_relu2"].any()
    error = np.abs(run.scores[:, -1] - wide.forward(images)).max()
    assert error < 0.03 * wide.forward(images).std()
    dead = changed(replace(layers["conv2"], bias=np.full(6, -1e3)))
    with pytest.raises(ValueError, match="'act2': no calibration image drives it above 0"):
        amos.convert(dead, options, images)


def test_drives_that_never_change():
    """A fitted gate whose drives are all equal gets a range around them."""
    network = around("softplus")
    layers = {layer.name: layer for layer in network.layers}
    constant = replace(layers["conv1"], kernel=0 * layers["conv1"].kernel, bias=np.full(4, 0.3))
    layers["conv1"] = constant
    network = replace(network, layers=tuple(layers.values()))
    images = images_for(network, 3)
    conversion = amos.convert(network, AmosOptions(neurons_per_gate=6), images)
    low, high = conversion.gates["act1"].domain
    assert low < 0.3 < high
    scores = amos_reference.run(conversion, images).scores[:, -1]
    np.testing.assert_allclose(scores, network.forward(images), atol=0.05)


def test_gates_are_fitted_to_their_parameters():
    """ELU of two different alpha, each against its own function; silent gates show -alpha."""
    for alpha in (0.5, 2.0):
        network = around("elu")
        layers = {layer.name: layer for layer in network.layers}
        layers["act1"] = replace(layers["act1"], parameters=(alpha,))
        network = replace(network, layers=tuple(layers.values()))
        images = images_for(network, 6)
        conversion = amos.convert(network, AmosOptions(neurons_per_gate=6), images)
        gate, report = conversion.gates["act1"], conversion.fits["act1"]
        x = np.linspace(*gate.domain, 5001)
        wanted = np.where(x > 0, x, alpha * (np.exp(x) - 1))
        assert (gate.function, gate.offset) == ("elu", -alpha)
        found = np.mean((gate(x) - wanted) ** 2)
        assert found == pytest.approx(report.mse, rel=0.1)
        assert math.sqrt(found) < 0.1 * np.ptp(wanted)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_max_pooling_of_many_channels_keeps_the_next_kernel(padding):
    """A convolution of 19 million weights, unrolled, stays a kernel of 64 thousand."""
    size = 2 + max(padding)
    rng = np.random.default_rng(0)
    layers = (
        conv(rng, "conv1", INPUT, (1, 1), 1, 64),
        Activation("act1", ("conv1",), "relu"),
        MaxPool2D("pool", ("act1",), (size, size), (2, 2), padding),
        conv(rng, "conv2", "pool", (3, 3), 64, 128, padding=(1, 1)),
        Activation("act2", ("conv2",), "relu"),
        GlobalAvgPool("gap", ("act2",)),
        dense(rng, "out", "gap", 128, 5),
    )
    network = Network("wide", coding((32, 32, 1)), layers, CLASSES)
    conversion = amos.convert(network, AmosOptions(neurons_per_gate=4), images_for(network, 2))
    (last,) = (p for p in conversion.spiking.projections if p.target == "act2")
    assert (last.source, last.weights.size) == ("pool", 9 * 64 * 128)
