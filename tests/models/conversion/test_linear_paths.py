"""Linear layers merged into projections, against the layers themselves."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.conversion import convolutions
from ann2brian.models.conversion.linear_paths import bias_map, linear_paths, path_sources, unrolled
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
    for extent, pads, apart in ((height, padding[:2], dilation[0]), (width, padding[2:], dilation[1])):
        most = (extent + sum(pads) - 1) // apart + 1
        size.append(int(rng.integers(1, min(most, 3) + 1)) if rng.random() < 0.7 else 1)
    stride = tuple(int(s) for s in rng.integers(1, 3, 2))
    chain.conv(tuple(size), groups * int(rng.integers(1, 3)), stride, padding, groups, dilation)


def random_pool(chain, rng):
    size = tuple(int(rng.integers(1, min(extent, 3) + 1)) for extent in chain.shape[:2])
    padding = tuple(int(rng.integers(0, size[i // 2] // 2 + 1)) for i in range(4))
    stride = size if rng.random() < 0.5 else tuple(int(s) for s in rng.integers(1, 3, 2))
    chain.add(AvgPool2D, size, stride, padding)


def random_resample(chain, rng):
    height, width, _ = chain.shape
    new = [int(n) for n in rng.integers(1, 6, 2)]
    if rng.random() < 0.5:  # single places
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
FOUND = Counter()


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
    FOUND.update(type(path).__name__ for path in paths_of(chain))


def test_both_kinds_of_paths_were_drawn():
    """The test before saw kernels and matrices, each many times."""
    assert min(FOUND["Projection"], FOUND["SparseProjection"]) > 50
