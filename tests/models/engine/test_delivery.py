"""The functions of delivery.h by themselves, on every kind of processor that they know."""

import platform
from pathlib import Path

import numpy as np
import pytest
from ann2brian.models.engine.layout import lay_out
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions

from tests.support.binary_networks import mixed
from tests.support.compiled_delivery import InCpp, compiled, in_numpy, variables_of

STEPS = 4


def processors():
    """Flags of g++ for what this machine can run."""
    found = {"this one": ("-march=native",)}
    if platform.machine() == "x86_64":
        found["x86-64"] = ("-march=x86-64",)
        known = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        if " avx2 " in known:
            found["AVX2"] = ("-march=x86-64", "-mavx2")
    return found


@pytest.fixture(
    scope="module",
    params=[
        name if name == "this one" else pytest.param(name, marks=pytest.mark.slow)
        for name in processors()
    ],
)
def library(request, tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("delivery"), *processors()[request.param])


def delivered(functions, variables, rate):
    """What has arrived after random spikes in some steps: drives, spikes and targets."""
    rng = np.random.default_rng(0)
    arrived = []
    for step in range(STEPS):
        for fires in variables.state.fires:
            fires[:] = rng.random(fires.size) < rate
        found = functions.find_spikes(step)
        assert found == sum(fires.sum() for fires in variables.state.fires)
        arrived.append(np.ravel(functions.deliver(step))[0])
    counts = variables.arrived.copy(), variables.reached.copy()
    return [*(target.copy() for target in variables.targets), *counts, np.array(arrived)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.02, 0.6])
@pytest.mark.parametrize(
    ("pattern", "channels"), [("rbbbb", 600), ("rrbbr", 200), ("brrrb", 100), ("brbrr", 37)]
)
def test_every_processor_delivers_the_same(library, pattern, channels, rate, dtype):
    """Signs, packed kernels, windows: all sums bit for bit against the functions in NumPy.

    Rows of signs from a few bits to two registers, up to 2,000 spikes under a kernel.
    """
    network = albsnn.convert(mixed(pattern, channels), AlbsnnOptions(n_steps=2)).spiking
    layout = lay_out(network, 2, network.n_phases)
    results = []
    for make in (in_numpy, lambda *given: InCpp(library, *given)):
        variables = variables_of(network, layout, dtype)
        results.append(delivered(make(layout, variables, layout.delays), variables, rate))
    for found, expected in zip(*results, strict=True):
        assert expected.any()
        np.testing.assert_array_equal(found, expected)
