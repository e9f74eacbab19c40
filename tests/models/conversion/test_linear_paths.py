"""Linear layers merged into projections, against the layers themselves."""

import numpy as np
import pytest
from ann2brian.models.conversion import convolutions
from ann2brian.models.conversion.linear_paths import bias_map, linear_paths, path_sources, unrolled
from ann2brian.models.conversion.synapses import weighted
from ann2brian.models.networks.layers import (
    Activation,
    Add,
    AvgPool2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool2D,
    Resample2D,
)
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.spiking.projections import Projection, SparseProjection
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

SIDES = (0, 0, 0, 0)


class Chain:
    """Layers from the input to one called `at`, whose shape is `shape`, with random weights."""

    def __init__(self, shape, seed=0):
        self.rng = np.random.default_rng(seed)
        self.input, self.shapes, self.layers, self.at = shape, {"input": shape}, [], "input"

    @property
    def shape(self):
        return self.shapes[self.at]

    def add(self, kind, *fields, inputs=None):
        """One more layer, on the last one unless inputs are named."""
        layer = kind(f"n{len(self.layers)}", inputs or (self.at,), *fields)
        self.shapes[layer.name] = layer.output_shape(*(self.shapes[s] for s in layer.inputs))
        self.layers.append(layer)
        self.at = layer.name
        return self

    def conv(self, size, n_out, stride=(1, 1), padding=SIDES, groups=1, dilation=(1, 1)):
        kernel = self.rng.normal(size=(*size, self.shape[2] // groups, n_out))
        bias = self.rng.normal(size=n_out)
        return self.add(Conv2D, kernel, bias, stride, padding, groups, dilation)

    def dense(self, n_out):
        n_in = self.shape[2]
        return self.add(Dense, self.rng.normal(size=(n_in, n_out)), self.rng.normal(size=n_out))

    def network(self):
        """With a head of its own, so that it is whole."""
        node, end = self.at, Chain((1, 1, 1))
        end.layers, end.shapes, end.at, end.rng = [*self.layers], {**self.shapes}, node, self.rng
        end.add(Activation, "relu").add(GlobalAvgPool).dense(1)
        coding = InputCoding(self.input, 1, np.ones(self.input[2]), np.zeros(self.input[2]))
        return Network("drawn", coding, tuple(end.layers), ("a",))


def paths_of(chain, ends=(Activation,)):
    """The paths, after a comparison of their sum and the bias with the layers themselves."""
    network, node = chain.network(), chain.at
    rng = np.random.default_rng(1)
    sources = path_sources(network, node, ends)
    values = {name: rng.normal(size=(3, *network.shapes[name])) for name in sources}
    paths = linear_paths(network, node, ends)
    assert {path.source for path in paths} == set(values)
    rest = {layer.name: 0.0 for layer in network.layers if isinstance(layer, ends)}
    total = bias_map(network, node, {"input": 0.0, **rest}).reshape(1, -1)
    for path in paths:
        total = total + path.forward(values[path.source])
        assert np.array_equal(path.fan_out, fan_out_by_unit_vectors(path))
    for layer in network.layers:
        if layer.name not in values and all(source in values for source in layer.inputs):
            values[layer.name] = layer.apply(*(values[source] for source in layer.inputs))
    wanted = values[node].reshape(3, -1)
    assert np.abs(total - wanted).max() <= 1e-9 * max(np.abs(wanted).max(), 1.0)
    return paths


def fan_out_by_unit_vectors(path):
    """Pairs of tap and window that use each unit: what weights of 1 bring to all targets."""
    ones = path.with_weights(np.ones_like(path.weights))
    n_units = int(np.prod(path.source_shape))
    return np.round(ones.forward(np.eye(n_units)).sum(axis=1)).astype(int)


# ---- any chain ----


def divisor(rng, n):
    return int(rng.choice([d for d in range(1, n + 1) if n % d == 0]))


def random_conv(chain, rng):
    height, width, channels = chain.shape
    groups = divisor(rng, channels)
    dilation = tuple(int(d) for d in rng.integers(1, 3, 2))
    padding = tuple(int(p) for p in rng.integers(0, 3, 4)) if rng.random() < 0.5 else SIDES
    size = []
    sides = (height, padding[:2], dilation[0]), (width, padding[2:], dilation[1])
    for extent, pads, apart in sides:
        most = (extent + sum(pads) - 1) // apart + 1
        size.append(int(rng.integers(1, min(most, 3) + 1)) if rng.random() < 0.7 else 1)
    stride = tuple(int(s) for s in rng.integers(1, 3, 2))
    chain.conv(tuple(size), groups * int(rng.integers(1, 3)), stride, padding, groups, dilation)


def random_pool(chain, rng):
    size = tuple(int(rng.integers(1, min(extent, 3) + 1)) for extent in chain.shape[:2])
    padding = tuple(int(rng.integers(0, size[i // 2] // 2 + 1)) for i in range(4))
    stride = size if rng.random() < 0.5 else tuple(int(s) for s in rng.integers(1, 3, 2))
    chain.add(AvgPool2D, size, stride, padding)


def banded(rng, n_out, n_in):
    stride, first, size = rng.integers(1, 3), rng.integers(-2, 3), rng.integers(1, 3)
    matrix = np.zeros((n_out, n_in))
    for tap, weight in enumerate(rng.normal(size=size)):
        for i in range(n_out):
            if 0 <= (place := i * stride + first + tap) < n_in:
                matrix[i, place] = weight
    return matrix


def random_resample(chain, rng):
    height, width, _ = chain.shape
    new = [int(n) for n in rng.integers(1, 6, 2)]
    kind = rng.integers(3)
    if kind == 0:  # windows with the same weights in each, some of them beyond the map
        rows, columns = banded(rng, new[0], height), banded(rng, new[1], width)
    elif kind == 1:  # single places
        rows, columns = np.eye(height)[rng.integers(0, height, new[0])], np.eye(width)
        columns = columns[rng.integers(0, width, new[1])]
    else:
        rows, columns = rng.normal(size=(new[0], height)), rng.normal(size=(new[1], width))
    chain.add(Resample2D, rows, columns)


def random_sum(chain, rng):
    before, channels = chain.at, chain.shape[2]
    if rng.random() < 0.7:
        size = (1, 1) if rng.random() < 0.5 else (3, 3)
        padding = tuple([size[0] // 2] * 4)
        chain.conv(size, channels, padding=padding, groups=divisor(rng, channels))
    if rng.random() < 0.3:
        chain.add(Activation, "relu")
    chain.add(Add, inputs=(chain.at, before))


def random_concat(chain, rng):
    before = chain.at
    chain.conv((1, 1), int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        chain.add(Activation, "relu")
    inputs = [chain.at, before] if rng.random() < 0.5 else [before, chain.at, before]
    chain.add(Concat, inputs=tuple(inputs))


def random_norm(chain, rng):
    chain.conv((1, 1), chain.shape[2], groups=chain.shape[2])


RANDOM = {
    "conv": random_conv,
    "pool": random_pool,
    "resample": random_resample,
    "sum": random_sum,
    "concat": random_concat,
    "norm": random_norm,
    "global": lambda chain, rng: chain.add(GlobalAvgPool),
    "flatten": lambda chain, rng: chain.add(Flatten),
    "dense": lambda chain, rng: chain.add(Flatten).dense(int(rng.integers(1, 6))),
}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4)),
    kinds=st.lists(st.sampled_from(["conv", *RANDOM]), min_size=1, max_size=6),
    starts_spiking=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_chain_of_linear_layers(shape, kinds, starts_spiking, seed):
    """Sum of the paths' forward and the bias map against the layers' own forward."""
    chain = Chain(shape, seed)
    if starts_spiking:
        chain.add(Activation, "relu")
    for kind in kinds:
        RANDOM[kind](chain, chain.rng)
    paths_of(chain)


# ---- which form ----

KERNELS = {  # layers on 8 x 8 x 4, and the shapes of the merged kernel and of its pooling window
    "1x1, then padded 3x3": (
        lambda c: c.conv((1, 1), 2).conv((3, 3), 6, padding=(1, 1, 1, 1)),
        (3, 3, 4, 6),
        (1, 1),
    ),
    "strided 1x1, then padded 3x3": (
        lambda c: c.conv((1, 1), 2, (2, 2)).conv((3, 3), 6, padding=(0, 1, 0, 1)),
        (3, 3, 4, 6),
        (1, 1),
    ),
    "padded 3x3, then 1x1": (
        lambda c: c.conv((3, 3), 6, (2, 2), (1, 1, 1, 1)).conv((1, 1), 5),
        (3, 3, 4, 5),
        (1, 1),
    ),
    "padded 3x3, then 3x3": (
        lambda c: c.conv((3, 3), 6, padding=(1, 1, 1, 1)).conv((3, 3), 5),
        (5, 5, 4, 5),
        (1, 1),
    ),
    "dilated, then 1x1": (
        lambda c: c.conv((3, 3), 6, padding=(2, 2, 2, 2), dilation=(2, 2)).conv((1, 1), 5),
        (3, 3, 4, 5),
        (1, 1),
    ),
    "depthwise, then 1x1": (
        lambda c: c.conv((3, 3), 4, padding=(1, 1, 1, 1), groups=4).conv((1, 1), 6),
        (3, 3, 4, 6),
        (1, 1),
    ),
    "1x1 of four groups, then of two": (
        lambda c: c.conv((1, 1), 4, groups=4).conv((1, 1), 6, groups=2),
        (1, 1, 2, 6),
        (1, 1),
    ),
    "padded pooling, then padded 3x3": (
        lambda c: c.add(AvgPool2D, (3, 3), (2, 2), (1, 1, 1, 1)).conv((3, 3), 5, padding=(1,) * 4),
        (3, 3, 4, 5),
        (3, 3),
    ),
    "1x1, then pooling": (
        lambda c: c.conv((1, 1), 5).add(AvgPool2D, (3, 3), (2, 2), (1, 1, 1, 1)),
        (1, 1, 4, 5),
        (3, 3),
    ),
    "pooling twice, globally, dense": (
        lambda c: c.add(AvgPool2D, (2, 2), (2, 2)).add(GlobalAvgPool).dense(5),
        (1, 1, 4, 5),
        (8, 8),
    ),
    "padded 3x3, then all places": (
        lambda c: c.conv((3, 3), 6, padding=(1, 1, 1, 1)).add(GlobalAvgPool),
        (8, 8, 4, 6),
        (1, 1),
    ),
    "batch norm between flattening and dense": (
        lambda c: c.add(Flatten).conv((1, 1), 256, groups=256).dense(3),
        (8, 8, 4, 3),
        (1, 1),
    ),
}


def picked(n, start, step):
    return np.eye(n)[start::step]


KERNELS |= {
    "every other place, then padded 3x3": (  # a maximum by pairs, then a convolution
        lambda c: c.add(Resample2D, picked(8, 0, 2), picked(8, 1, 2)).conv(
            (3, 3), 5, padding=(1,) * 4
        ),
        (3, 3, 4, 5),
        (1, 1),
    ),
    "cropped and enlarged by zeros": (
        lambda c: c.add(Resample2D, picked(8, 2, 1)[:5], np.eye(11, 8, k=-2)),
        (1, 1, 1, 4),
        (1, 1),
    ),
    "every other place but the last, then padded 3x3": (
        lambda c: c.add(Resample2D, picked(8, 0, 2)[:3], picked(8, 1, 2)[:3]).conv(
            (3, 3), 5, padding=(1,) * 4
        ),
        (3, 3, 4, 5),
        (1, 1),
    ),
    "differences of pairs": (
        lambda c: c.add(Resample2D, picked(8, 1, 2) - picked(8, 0, 2), np.eye(8)),
        (2, 1, 1, 4),
        (1, 1),
    ),
}


@pytest.mark.parametrize("name", KERNELS)
def test_layers_with_a_common_kernel_get_it(name):
    """One shared kernel, no larger than needed, that equals the layers."""
    build, kernel, pool = KERNELS[name]
    chain = Chain((8, 8, 4)).add(Activation, "relu")
    build(chain)
    (path,) = paths_of(chain)
    assert isinstance(path, Projection)
    assert (path.kernel.shape, path.pool) == (kernel, pool)


MATRICES = {
    "padded 3x3 twice": lambda c: c.conv((3, 3), 3, padding=(1,) * 4).conv(
        (3, 3), 5, padding=(1,) * 4
    ),
    "padded 3x3, then padded pooling": lambda c: c.conv((3, 3), 3, padding=(1,) * 4).add(
        AvgPool2D, (3, 3), (2, 2), (1, 1, 1, 1)
    ),
    "kernels with uneven gaps": lambda c: c.conv((2, 2), 3, dilation=(3, 3)).conv(
        (2, 2), 5, dilation=(2, 2)
    ),
    "resampled": lambda c: c.add(Resample2D, np.eye(8)[::-1], np.ones((2, 8))),
    "flattened, then concatenated": lambda c: c.add(Flatten).add(Concat, inputs=("n1", "n1")),
}


@pytest.mark.parametrize("name", MATRICES)
def test_layers_without_a_common_kernel_become_one_matrix(name):
    """Rules that would be wrong at the border, or have no kernel, are not used."""
    chain = Chain((8, 8, 4)).add(Activation, "relu")
    MATRICES[name](chain)
    (path,) = paths_of(chain)
    assert isinstance(path, SparseProjection)


def test_paths_of_one_source_become_one_matrix():
    """Two branches without a kernel, and a shortcut that has one: two connections in all."""
    chain = Chain((6, 6, 3)).add(Activation, "relu")
    ends = []
    for size in ((3, 3), (5, 5)):
        chain.at = "n0"
        chain.conv((3, 3), 2, padding=(1,) * 4).conv(size, 3, padding=(size[0] // 2,) * 4)
        ends.append(chain.at)
    chain.add(Add, inputs=(*ends, "n0"))
    kinds = {type(path): path for path in paths_of(chain)}
    assert set(kinds) == {Projection, SparseProjection}


def test_bottleneck_of_mobilenet_v2_merges_to_1x1_kernels():
    """Narrow, widen, with a residual sum in between; as a matrix it was refused at 16384 squared.

    Two inverted residuals of 16 x 16 x 24, expanded six times: the drive of the last expansion.
    """
    chain = Chain((16, 16, 24)).add(Activation, "relu").conv((1, 1), 144).add(Activation, "relu")
    chain.conv((1, 1), 24)
    narrow = chain.at
    chain.conv((1, 1), 144).add(Activation, "relu")
    chain.conv((3, 3), 144, padding=(1,) * 4, groups=144).add(Activation, "relu")
    chain.conv((1, 1), 24)
    chain.add(Add, inputs=(chain.at, narrow)).conv((1, 1), 144)
    network = chain.network()
    paths = linear_paths(network, chain.at)
    assert [path.kernel.shape for path in paths] == [(1, 1, 144, 144)] * 2
    assert len({path.source for path in paths}) == 2


def test_concatenated_maps_bring_their_own_channels():
    """Three branches, pooled and normalised together, into a spiking layer: no zeros are stored."""
    chain = Chain((6, 6, 4)).add(Activation, "relu")
    ends = []
    for n_out in (2, 3, 5):
        chain.at = "n0"
        ends.append(chain.conv((1, 1), n_out).at)
    chain.add(Concat, inputs=tuple(ends)).add(AvgPool2D, (2, 2), (2, 2))
    chain.conv((1, 1), 10, groups=10)
    paths = paths_of(chain)
    assert [(path.kernel.shape[3], path.channel) for path in paths] == [(2, 0), (3, 2), (5, 5)]
    assert all(path.kernel.all() and path.pool == (2, 2) for path in paths)
    chain.conv((3, 3), 7, padding=(1,) * 4)
    (path,) = paths_of(chain)  # the same source and geometry, so the kernels are added
    assert path.kernel.shape == (3, 3, 4, 7)


@pytest.mark.parametrize("build", [*[k[0] for k in KERNELS.values()], *MATRICES.values()])
def test_unrolled_kernels_are_the_same_map(build):
    """Every kernel as a matrix, with factors of both ends, against itself."""
    chain = Chain((8, 8, 4)).add(Activation, "relu")
    build(chain)
    (path,) = linear_paths(chain.network(), chain.at)
    n_in, n_out = path.source_shape[2], path.target_shape[2]
    factors = 1.0 + np.arange(n_in), 2.0 + np.arange(n_out)
    values = np.random.default_rng(2).normal(size=(2, 8 * 8 * 4))
    scaled = path.scaled(factors[0]).divided(factors[1])
    own = path.forward((values.reshape(2, -1, n_in) * factors[0]).reshape(2, -1))
    own = (own.reshape(2, -1, n_out) / factors[1]).reshape(2, -1)
    assert np.allclose(scaled.forward(values), own, rtol=0, atol=1e-9)
    assert np.allclose(unrolled(scaled).forward(values), own, rtol=0, atol=1e-9)


def test_units_of_a_flattened_map_may_have_a_scale_each():
    """An activation after the flattening: what its units receive, against the layers."""
    chain = Chain((4, 4, 2)).add(Activation, "relu").conv((3, 3), 3).add(Flatten)
    network = chain.network()
    scale = 1.0 + np.arange(12)
    received = weighted(
        network,
        chain.at,
        "n3",
        spiking=(Activation,),
        gains={"n0": np.array([1.0, 2.0])},
        scale=scale,
        delays=lambda source, target: np.zeros(1, dtype=np.int64),
        weight_bits=40,
    )
    (path,) = received.projections
    assert isinstance(path, SparseProjection) and path.name == "n0->n3"
    spikes = np.random.default_rng(2).integers(0, 3, (5, 32)).astype(float)
    values = spikes.reshape(5, 4, 4, 2) * [1.0, 2.0]
    wanted = chain.layers[1].apply(values).reshape(5, 12) / scale
    found = path.forward(spikes) + received.bias.reshape(-1)
    assert np.abs(found - wanted).max() < 1e-3  # the grid of the bias


# ---- refusals ----


def test_matrices_that_are_too_large_are_refused_by_name(monkeypatch):
    """Before they are made: the layers in between and the number."""
    chain = Chain((8, 8, 4)).add(Activation, "relu")
    MATRICES["padded 3x3 twice"](chain)
    network = chain.network()
    (path,) = linear_paths(network, chain.at)
    monkeypatch.setattr(convolutions, "LARGEST_MATRIX", path.matrix.nnz)
    linear_paths(network, chain.at)
    monkeypatch.setattr(convolutions, "LARGEST_MATRIX", path.matrix.nnz - 1)
    with pytest.raises(ValueError, match=r"network 'drawn': the layers n1, n2 lie between two"):
        linear_paths(network, chain.at)


def test_large_maps_are_refused_in_little_memory():
    """512 x 512 x 3, padded convolutions to 32 channels: 2 x 10^8 weights for the first alone."""
    chain = Chain((512, 512, 3)).add(Activation, "relu")
    chain.conv((3, 3), 32, padding=(1,) * 4).conv((3, 3), 32, padding=(1,) * 4)
    with pytest.raises(ValueError, match="the layers n1, n2 lie between two activations and have"):
        linear_paths(chain.network(), chain.at)


def test_layers_that_are_not_linear_are_refused_by_name():
    """Max pooling where it does not spike."""
    chain = Chain((8, 8, 4)).add(MaxPool2D).conv((3, 3), 2)
    with pytest.raises(ValueError, match=r"network 'drawn': MaxPool2D 'n0' cannot become spiking"):
        path_sources(chain.network(), chain.at)
    with pytest.raises(ValueError, match=r"a matrix of shape \(4, 3\) for maps of 4 and 2 units"):
        SparseProjection(
            source="a",
            target="b",
            matrix=csr_array((4, 3)),
            gains=np.ones(1),
            delays=np.zeros(1, dtype=int),
            source_shape=(2, 2, 1),
            target_shape=(1, 1, 2),
        )
