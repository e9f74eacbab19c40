"""delivery.h itself, and its NumPy twin, against the connections' own sums, on drawn layers.

The header is compiled alone, as for this processor and, in the slow tests, as for poorer ones, and
spikes are set by hand, so that a case costs no program of Brian2.
"""

import ctypes
import platform
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.dyadic import grid_step, narrowest
from ann2brian.models.engine.delivery import C_TYPES, HEADER, LISTS, TABLES
from ann2brian.models.engine.layout import lay_out
from ann2brian.models.engine.numpy_delivery import NumpyDelivery, State
from ann2brian.models.spiking.network import READOUT, Population, Readout, SpikingNetwork
from ann2brian.models.spiking.neuron_type import NeuronType
from ann2brian.models.spiking.projections import Projection, SparseProjection, WindowProjection
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import random_array

N_STEPS = 4
WRAPPER = """
#include "delivery.h"
extern "C" void run_WEIGHT(int64_t step, void **tables, void **state) {
    const ann2brian::State<WEIGHT> s{POINTERS};
    ann2brian::find_spikes(s, step);
    ann2brian::deliver(s, step);
}
"""
OPTIONS = ("-O2", "-ffast-math", "-fno-finite-math-only", "-std=c++11", "-fPIC", "-shared")
PROCESSORS = {"native": "-march=native", "avx2": "-march=haswell", "plain": "-march=x86-64"}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """The header compiled for a processor, once each."""
    folder, made = tmp_path_factory.mktemp("delivery"), {}

    def library(processor):
        if processor not in made:
            text = ""
            for weight in ("float", "double"):
                types = {"weights": f"const {weight} *", "gains": "const double *"}
                types["packed"] = "const int16_t *"
                pointers = [
                    f"({types.get(table, 'const int32_t *')})tables[{i}]"
                    for i, table in enumerate(TABLES)
                ]
                pointers += [
                    f"({kind} {'*const *' if key in LISTS else '*'})state[{i}]"
                    for i, (key, kind) in enumerate(C_TYPES._asdict().items())
                ]
                text += WRAPPER.replace("WEIGHT", weight).replace("POINTERS", ", ".join(pointers))
            (folder / f"{processor}.cpp").write_text(text)
            file = folder / f"{processor}.so"
            flags = [*OPTIONS, PROCESSORS[processor], f"-I{HEADER.parent}"]
            source = str(folder / f"{processor}.cpp")
            subprocess.run(["g++", *flags, source, "-o", str(file)], check=True)
            made[processor] = ctypes.CDLL(str(file))
        return made[processor]

    return library


# ---- drawn layers ----


def neurons(name, n_afferents=1):
    afferents = tuple(f"drive{i}" for i in range(n_afferents))
    lines = "".join(f"{x} : volt\n" for x in afferents)
    return NeuronType(
        name=name,
        equations=f"v : volt\nage : integer\n{lines}",
        threshold="v > 1*volt",
        reset="v = 0*volt",
        afferents=afferents,
    )


def pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def connections(draw):
    """A connection from one population, of one or several positions, to another or the read-out."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["packed", "packed", "wide", "binary", "sparse", "window"]))
    groups = draw(st.sampled_from([1, 1, 2, 3])) if kind in ("wide", "binary", "packed") else 1
    channels = groups * draw(st.sampled_from([1, 2, 7, 8, 20, 33, 60]))
    shape = (*draw(pairs(1, 6)), channels)
    n_positions = 1 if kind == "window" else draw(st.integers(1, 3))
    delays = np.array(draw(st.lists(st.integers(0, 2), min_size=n_positions, max_size=n_positions)))
    common = {"source": "a", "source_shape": shape, "delays": delays}
    gains = 2.0 ** rng.integers(-2, 2, n_positions) * rng.choice([1, 3, -1], n_positions)
    if kind == "sparse":
        target = (2, 3, 5)
        matrix = random_array((int(np.prod(shape)), 30), density=0.3, rng=rng, format="csr")
        matrix.data = rng.integers(-9, 9, matrix.nnz) / 8
        return SparseProjection(
            target="b", matrix=matrix, gains=gains, target_shape=target, **common
        ), n_positions
    pool, stride = draw(pairs(1, 3)), draw(pairs(1, 3))
    sides = tuple(draw(st.integers(0, pool[axis] - 1)) for axis in (0, 0, 1, 1))
    if kind == "window":
        fake = Projection(
            target="b", kernel=np.ones((1, 1, channels, 1)), gains=gains, target_shape=shape,
            pool=pool, pool_stride=stride, pool_padding=sides, **common,
        )  # fmt: skip
        assume(min(fake.pooled_shape) > 0)
        return WindowProjection(
            target="b", target_shape=fake.pooled_shape, pool=pool, pool_stride=stride,
            pool_padding=sides, **common,
        ), 1  # fmt: skip
    if draw(st.booleans()):
        pool, stride, sides = (1, 1), (1, 1), (0, 0, 0, 0)
    size = draw(pairs(1, 4))
    out = groups * draw(st.sampled_from([1, 3, 8, 20, 50, 140, 200, 700]))
    kernel_shape = (*size, channels // groups, out)
    if kind == "binary":
        kernel = rng.choice([-1.0, 1.0], kernel_shape)
    else:
        kernel = rng.integers(-(2**15) + 1, 2**15, kernel_shape) / 2.0**12
        if kind == "wide":
            kernel = kernel + 2.0**6
    projection = Projection(
        target=draw(st.sampled_from(["b", READOUT])),
        kernel=kernel,
        gains=gains,
        target_shape=(1, 1, 1),
        pool=pool,
        pool_stride=stride,
        pool_padding=sides,
        stride=draw(pairs(1, 3)),
        dilation=draw(st.sampled_from([(1, 1), (1, 1), (1, 2), (2, 1)])),
        padding=tuple(draw(st.integers(-1, 2)) for _ in range(4)),
        groups=groups,
        is_binary=kind == "binary",
        **common,
    )
    assume(min(projection.pooled_shape) > 0 and min(projection.output_shape) > 0)
    if projection.target == READOUT:
        assume(projection.output_shape[:2] == (1, 1))
    return replace(projection, target_shape=projection.output_shape), n_positions


def network_of(projection, n_positions):
    n_afferents = projection.n_places if isinstance(projection, WindowProjection) else 1
    is_to_readout = projection.target == READOUT
    shape = (1, 1, 1) if is_to_readout else projection.target_shape
    n_classes = projection.target_shape[2] if is_to_readout else 2
    return SpikingNetwork(
        scheme="drawn",
        name="drawn",
        neurons=(neurons("first"), neurons("second", n_afferents)),
        populations=(
            Population(
                name="a",
                neurons="first",
                shape=projection.source_shape,
                n_positions=n_positions,
                onset=0,
            ),
            Population(name="b", neurons="second", shape=shape, onset=1),
        ),
        projections=(projection,),
        stimuli=(),
        readout=Readout(n_steps=1, offset=np.zeros(n_classes), onset=1),
        image_shape=(1, 1, 1),
    )


# ---- runs ----


class Arrays:
    """What the functions read and write, for one run."""

    def __init__(self, layout, n_places, n_targets, is_single):
        kind = np.float32 if is_single else np.float64
        first = layout.routes[0].array
        sizes = [0] * first + [n_targets * layout.n_copies] * n_places
        own = [np.zeros(size, dtype=kind) for size in sizes]
        none = [None] * len(own)
        counts = [np.zeros(g.size, dtype=np.int32) for g in layout.groups]
        steps = (len(layout.routes), layout.sizes.steps)
        self.targets = own
        self.state = State(
            targets=none if is_single else own,
            singles=own if is_single else none,
            ages=counts,
            in_image=counts,
            n_spikes=counts,
            most_in_image=counts,
            spikes=[np.zeros(g.size + 1, dtype=np.int32) for g in layout.groups],
            fires=[np.zeros(g.size, dtype=np.int8) for g in layout.groups],
            remembered=[np.zeros(layout.sizes.words * 3, dtype=np.int32)],
            inhibition=[],
            pending=[],
            arrivals=[np.zeros(steps)],
            events=[np.zeros(steps)],
            n_images=[np.zeros(layout.n_copies, dtype=np.int32)],
        )


def pointers(arrays):
    return (ctypes.c_void_p * len(arrays))(*(a if a is None else a.ctypes.data for a in arrays))


def run_header(library, layout, delays, arrays, fires):
    tables = {
        "sizes": np.array(layout.sizes._replace(remembered=3), dtype=np.int32),
        "groups": np.array(layout.groups, dtype=np.int32),
        "layers": np.array(layout.layers, dtype=np.int32),
        "routes": np.array(layout.routes, dtype=np.int32),
        "weights": narrowest(layout.weights * layout.unit_volt),
        "delays": np.concatenate([*delays, [-1]]).astype(np.int32),
    }
    tables = [np.ascontiguousarray(tables.get(t, getattr(layout, t, None))) for t in TABLES]
    weight = {"float32": "float", "float64": "double"}[tables[TABLES.index("weights")].dtype.name]
    kept, given_state = [], []
    for key, own in arrays.state._asdict().items():
        if key in LISTS:
            kept.append(pointers(own))
            given_state.append(ctypes.cast(kept[-1], ctypes.c_void_p))
        else:
            given_state.append(ctypes.c_void_p(own[0].ctypes.data if own else None))
    state = (ctypes.c_void_p * len(given_state))(*given_state)
    run = getattr(library, f"run_{weight}")
    for step, flags in enumerate(fires):
        arrays.state.fires[0][:] = flags
        run(ctypes.c_int64(step), pointers(tables), state)


def run_numpy(layout, delays, arrays, fires):
    twin = NumpyDelivery(layout, narrowest(layout.weights * layout.unit_volt), arrays.state, delays)
    for step, flags in enumerate(fires):
        arrays.state.fires[0][:] = flags
        twin.find_spikes(step)
        twin.deliver(step)


def expected(projection, layout, fires):
    """What each target gets, and targets reached, by the connection's own sums."""
    copies, units = layout.n_copies, layout.layers[0].units
    by_block = fires.reshape(N_STEPS, -1, copies, units)
    n_places = projection.n_places if isinstance(projection, WindowProjection) else 1
    total = np.zeros((n_places, copies, int(np.prod(projection.target_shape))))
    n_arrived = n_reached = 0
    for position, delay in enumerate(projection.delays):
        arriving = by_block[: N_STEPS - delay, position].sum(axis=0, dtype=np.float64)
        n_arrived += arriving.sum()
        n_reached += (arriving * projection.fan_out).sum()
        if isinstance(projection, WindowProjection):
            got = np.moveaxis(projection.by_place(arriving), 2, 0) * projection.weight
        else:
            got = projection.forward(arriving)[None]
        total += projection.gains[position] * got
    return total * layout.unit_volt, n_arrived, n_reached


def check(library, drawn, n_copies, is_single, seed, activity):
    projection, n_positions = drawn
    layout = lay_out(network_of(projection, n_positions), n_copies, 1)
    fires = np.random.default_rng(seed).random((N_STEPS, layout.groups[0].size)) < activity
    fires = fires.astype(np.int8)
    wanted, n_arrived, n_reached = expected(projection, layout, fires)
    step = grid_step(wanted)
    if is_single and np.abs(wanted).max() / min(step, 1.0) >= 2**20:
        is_single = False
    delays = [projection.delays]
    n_places = len(wanted)
    for run in (
        lambda arrays: run_header(library, layout, delays, arrays, fires),
        lambda arrays: run_numpy(layout, delays, arrays, fires),
    ):
        arrays = Arrays(layout, n_places, wanted.shape[2], is_single)
        run(arrays)
        first = layout.routes[0].array
        found = np.array([arrays.targets[first + place] for place in range(n_places)])
        assert np.array_equal(found.reshape(wanted.shape), wanted)
        assert arrays.state.arrivals[0].sum() == n_arrived
        assert arrays.state.events[0].sum() == n_reached
        listed = np.flatnonzero(fires[-1])
        assert np.array_equal(arrays.state.spikes[0][: listed.size], listed)
        assert arrays.state.spikes[0][-1] == listed.size


def check_many(library, n):
    @settings(max_examples=n, deadline=None, suppress_health_check=[*HealthCheck])
    @given(
        connections(),
        st.integers(1, 3),
        st.booleans(),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0.0, 0.02, 0.2, 0.9]),
    )
    def run(drawn, n_copies, is_single, seed, activity):
        check(library, drawn, n_copies, is_single, seed, activity)

    run()


def test_drawn_layers(libraries):
    """Any geometry, kind of weights, delays and copies, as for this processor."""
    check_many(libraries("native"), 150)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_many_drawn_layers(libraries, processor):
    """The same with and without AVX-512 and AVX2."""
    check_many(libraries(processor), 1500)
