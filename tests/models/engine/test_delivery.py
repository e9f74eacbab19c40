"""delivery.h itself, and its NumPy twin, on drawn layers.

Deliveries are compared with the connections' own sums, inhibition and counts of spikes with what
follows from all flags of the run.

The header is compiled alone, as for this processor and, in the slow tests, as for poorer ones, and
spikes are set by hand, so that a case costs no program of Brian2.
"""

import ctypes
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ann2brian.models.dyadic import grid_step, narrowest
from ann2brian.models.engine.delivery import C_TYPES, HEADER, LISTS, SIGNATURES, TABLES
from ann2brian.models.engine.layout import lay_out
from ann2brian.models.engine.numpy_delivery import NumpyDelivery, State
from ann2brian.models.networks.layers import window_count
from ann2brian.models.spiking.network import READOUT, Population, Readout, SpikingNetwork
from ann2brian.models.spiking.neuron_type import NeuronType
from ann2brian.models.spiking.projections import Projection, SparseProjection, WindowProjection
from scipy.sparse import random_array

N_STEPS, LONGEST = 4, 2  # steps of a run, and of a delay
WRAPPER = """
extern "C" int NAME_WEIGHT(const int *given, void **tables, void **state) {
    const ann2brian::State<WEIGHT> s{POINTERS};
    return ann2brian::NAME(s, ARGUMENTS);
}
"""
OPTIONS = ("-O2", "-ffast-math", "-fno-finite-math-only", "-std=c++11", "-fPIC", "-c")
PROCESSORS = {
    "native": "-march=native",
    "avx512bw": "-march=skylake-avx512",  # without VBMI2
    "avx2": "-march=haswell",
    "plain": "-march=x86-64",
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """The header compiled for a processor, once each."""
    folder, made = tmp_path_factory.mktemp("delivery"), {}

    def library(processor):
        if processor not in made:
            text = f'#include "{HEADER.name}"\n'
            for weight in ("float", "double"):
                types = {"weights": f"const {weight} *", "gains": "const double *"}
                pointers = [
                    f"({types.get(table, 'const int32_t *')})tables[{i}]"
                    for i, table in enumerate(TABLES)
                ]
                pointers += [
                    f"({kind} {'*const *' if key in LISTS else '*'})state[{i}]"
                    for i, (key, kind) in enumerate(C_TYPES._asdict().items())
                ]
                of_weight = WRAPPER.replace("WEIGHT", weight)
                of_weight = of_weight.replace("POINTERS", ", ".join(pointers))
                for name, signature in SIGNATURES.items():
                    given = ", ".join(f"given[{i}]" for i in range(len(signature.arguments)))
                    text += of_weight.replace("NAME", name).replace("ARGUMENTS", given)
            (folder / f"{processor}.cpp").write_text(text)
            file = folder / f"{processor}.so"
            flags = [*OPTIONS, PROCESSORS[processor], f"-I{HEADER.parent}"]
            source = str(folder / f"{processor}.cpp")
            # Linked without -ffast-math, which would switch subnormal numbers off in this process.
            subprocess.run(["g++", *flags, source, "-o", f"{file}.o"], check=True)
            subprocess.run(["g++", "-shared", f"{file}.o", "-o", str(file)], check=True)
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


GATHERED = ("packed", "signs")  # of geometries that can be
KINDS = (*GATHERED, "wide", "shortcut", "binary", "sparse", "window")


def connection(rng, kind):
    """A connection from one population, of one or several positions, to another or the read-out."""
    while True:
        try:
            return drawn(rng, kind)
        except ValueError:  # windows that do not fit the map
            continue


def drawn(rng, kind):
    def pair(least, most):
        return tuple(rng.integers(least, most, 2, endpoint=True).tolist())

    groups = int(rng.choice([1, 2, 3])) if kind in ("wide", "binary") else 1
    channels = groups * int(rng.choice([1, 2, 7, 8, 20, 33, 60]))
    shape = (*pair(1, 7), channels)
    n_positions = 1 if kind == "window" else int(rng.integers(1, 4))
    common = {
        "source": "a",
        "source_shape": shape,
        "delays": rng.integers(0, LONGEST, n_positions, endpoint=True),
    }
    gains = 2.0 ** rng.integers(-2, 2, n_positions) * rng.choice([1, 3, -1], n_positions)
    if kind == "sparse":
        matrix = random_array((int(np.prod(shape)), 30), density=0.3, rng=rng, format="csr")
        matrix.data = rng.integers(-9, 9, matrix.nnz) / 8
        own = {"matrix": matrix, "gains": gains, "target_shape": (2, 3, 5)}
        return SparseProjection(target="b", **own, **common)
    pool, stride = pair(1, 3), pair(1, 3)
    if kind in GATHERED:  # windows that do not overlap
        stride = tuple(max(sides) for sides in zip(pool, stride, strict=True))
    if kind != "window" and rng.random() < 0.5:
        pool = stride = (1, 1)
    sides = tuple(int(rng.integers(0, pool[axis])) for axis in (0, 0, 1, 1))
    count = window_count(shape[:2], pool, stride, sides)
    if min(count) < 1:
        raise ValueError
    common |= {"pool": pool, "pool_stride": stride, "pool_padding": sides}
    if kind == "shortcut":
        return shortcut(rng, common)
    if kind == "window":
        return WindowProjection(target="b", target_shape=(*count, channels), **common)
    kernel_shape = (
        *pair(1, 4),
        channels // groups,
        groups * int(rng.choice([1, 3, 8, 20, 50, 140, 200, 600])),
    )
    kernel = np.where(rng.random(kernel_shape) < rng.choice([0.5, 1.0]), 1.0, -1.0)
    if kind not in ("binary", "signs"):
        kernel = rng.integers(-(2**15) + 1, 2**15, kernel_shape) / 2.0**12
    if kind == "wide":
        kernel += 2.0**6
    projection = Projection(
        target="b",
        kernel=kernel,
        gains=gains,
        target_shape=shape,
        stride=pair(1, 3),
        dilation=(1, 1) if kind in GATHERED else pair(1, 2),
        padding=tuple(rng.integers(-1, 3, 4).tolist()),
        groups=groups,
        is_binary=kind in ("binary", "signs"),
        **common,
    )
    out = projection.output_shape
    if min(out) < 1:
        raise ValueError
    is_one_place = out[:2] == (1, 1)
    room = 0 if is_one_place else int(rng.integers(0, 3))  # channels of others before and behind
    return replace(
        projection,
        target=READOUT if is_one_place else "b",
        target_shape=(*out[:2], out[2] + 2 * room),
        channel=room,
    )


def shortcut(rng, common):
    """Every unit to its own, or in half of the cases to one beside it."""
    channels = common["source_shape"][2]
    projection = Projection(
        target="b",
        kernel=rng.integers(-9, 9, (1, 1, 1, channels)) / 8,
        gains=2.0 ** rng.integers(-2, 2, len(common["delays"])),
        target_shape=common["source_shape"],
        groups=channels,
        **(common | dict.fromkeys(("pool", "pool_stride"), (1, 1)) | {"pool_padding": (0,) * 4}),
    )
    odd = rng.choice(["none"] * 5 + ["pool", "stride", "padding", "room", "kernel"])
    if odd == "pool":  # each place in up to 9 windows, and as many windows as places
        projection = replace(projection, pool=(3, 3), pool_padding=(1,) * 4)
    elif odd == "stride":
        below = (0, common["source_shape"][0] - 1, 0, 0)  # as many rows as before
        projection = replace(projection, stride=(2, 1), padding=below)
    elif odd == "padding":
        projection = replace(projection, padding=(1, -1, 0, 0))
    elif odd == "kernel":
        kernel = projection.kernel.repeat(3, 0)
        projection = replace(projection, kernel=kernel, padding=(0, 2, 0, 0))
    shape, room = projection.output_shape, int(odd == "room")
    if min(shape) < 1:
        raise ValueError
    return replace(projection, target_shape=(*shape[:2], shape[2] + 2 * room), channel=room)


def network_of(projection):
    n_afferents = projection.n_places if isinstance(projection, WindowProjection) else 1
    is_to_readout = projection.target == READOUT
    shape = (1, 1, 1) if is_to_readout else projection.target_shape
    n_classes = projection.target_shape[2] if is_to_readout else 2
    populations = (
        Population(
            name="a",
            neurons="first",
            shape=projection.source_shape,
            n_positions=len(projection.delays),
            onset=0,
        ),
        Population(name="b", neurons="second", shape=shape, onset=1),
    )
    kinds = (neurons("first"), neurons("second", n_afferents))
    return network(kinds, populations, n_classes, projections=(projection,))


def network(kinds, populations, n_classes=2, **others):
    given = {"projections": ()} | others
    return SpikingNetwork(
        scheme="drawn",
        name="drawn",
        neurons=kinds,
        populations=populations,
        stimuli=(),
        readout=Readout(n_steps=1, offset=np.zeros(n_classes), onset=1),
        image_shape=(1, 1, 1),
        **given,
    )


# ---- runs ----


class Arrays:
    """What the functions read and write, for one run."""

    def __init__(self, layout, n_places=1, n_targets=0, is_single=False):
        kind = np.float32 if is_single else np.float64
        first = layout.routes[0].array if layout.routes else 0
        sizes = [0] * first + [n_targets * layout.n_copies] * n_places
        own = [np.zeros(size, dtype=kind) for size in sizes]
        none = [None] * len(own)
        steps = (len(layout.routes), layout.sizes.steps)

        def counts():
            return [np.zeros(g.size, dtype=np.int32) for g in layout.groups]

        self.targets = own
        self.state = State(
            targets=none if is_single else own,
            singles=own if is_single else none,
            ages=counts(),
            images=counts(),
            n_spikes=counts(),
            n_before=counts(),
            spikes=[np.zeros(g.size + 1, dtype=np.int32) for g in layout.groups],
            fires=[np.zeros(g.size, dtype=bool) for g in layout.groups],
            remembered=[np.zeros(layout.sizes.words * (LONGEST + 1), dtype=np.int32)],
            inhibition=[np.zeros(layout.groups[0].size)],
            pending=[np.zeros(layout.sizes.pending)],
            arrivals=[np.zeros(steps)],
            events=[np.zeros(steps)],
            n_images=[np.zeros(layout.n_copies, dtype=np.int32)],
            first_image=[np.zeros(layout.n_copies, dtype=np.int32)],
        )


def pointers(arrays):
    return (ctypes.c_void_p * len(arrays))(*(a if a is None else a.ctypes.data for a in arrays))


class Header:
    """The compiled functions, called as those of the NumPy twin."""

    def __init__(self, library, layout, delays, state):
        tables = {
            "sizes": np.array(layout.sizes._replace(remembered=LONGEST + 1), dtype=np.int32),
            "groups": np.array(layout.groups, dtype=np.int32),
            "layers": np.array(layout.layers, dtype=np.int32),
            "routes": np.array(layout.routes, dtype=np.int32),
            "weights": narrowest(layout.weights * layout.unit_volt),
            "delays": np.concatenate([*delays, [-1]]).astype(np.int32),
        }
        self.tables = [
            np.ascontiguousarray(tables.get(t, getattr(layout, t, None))) for t in TABLES
        ]
        kind = tables["weights"].dtype.name
        self.library, self.weight = library, {"float32": "float", "float64": "double"}[kind]
        self.lists, self.state = [], []
        for key, own in state._asdict().items():
            if key in LISTS:
                self.lists.append(pointers(own))
                self.state.append(ctypes.cast(self.lists[-1], ctypes.c_void_p))
            else:
                self.state.append(ctypes.c_void_p(own[0].ctypes.data))

    def _call(self, name, *given):
        run = getattr(self.library, f"{name}_{self.weight}")
        state = (ctypes.c_void_p * len(self.state))(*self.state)
        return run((ctypes.c_int * len(given))(*given), pointers(self.tables), state)

    def find_spikes(self, step):
        self._call("find_spikes", step)

    def deliver(self, step):
        self._call("deliver", step)

    def set_ages(self, copies, phase, most):
        return np.array([self._call("set_ages", c, phase, most[c]) for c in copies])

    def travel(self, copies, step):
        for copy in copies:
            self._call("travel", copy, step)


def both(library, layout, delays, make):
    """The header and its twin, each with arrays of its own from `make`."""
    arrays = make()
    yield Header(library, layout, delays, arrays.state), arrays
    arrays = make()
    weights = narrowest(layout.weights * layout.unit_volt)
    yield NumpyDelivery(layout, weights, arrays.state, delays), arrays


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


def check(library, projection, n_copies, is_single, rng):
    layout = lay_out(network_of(projection), n_copies, 1)
    activity = rng.choice([0.02, 0.2, 0.9])
    fires = rng.random((N_STEPS, layout.groups[0].size)) < activity
    fires = fires.astype(bool)
    wanted, n_arrived, n_reached = expected(projection, layout, fires)
    step = grid_step(wanted)
    if is_single and np.abs(wanted).max() / min(step, 1.0) >= 2**20:
        is_single = False
    delays = [projection.delays]
    n_places = len(wanted)
    for run, arrays in both(
        library, layout, delays, lambda: Arrays(layout, n_places, wanted.shape[2], is_single)
    ):
        for step, flags in enumerate(fires):
            arrays.state.fires[0][:] = flags
            run.find_spikes(step)
            run.deliver(step)
        first = layout.routes[0].array
        found = np.array([arrays.targets[first + place] for place in range(n_places)])
        assert np.array_equal(found.reshape(wanted.shape), wanted)
        assert arrays.state.arrivals[0].sum() == n_arrived
        assert arrays.state.events[0].sum() == n_reached
        listed = np.flatnonzero(fires[-1])
        assert np.array_equal(arrays.state.spikes[0][: listed.size], listed)
        assert arrays.state.spikes[0][-1] == listed.size
    return layout.routes[0].is_gathered


def check_many(library, kind, n):
    is_gathered = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        projection = connection(rng, kind)
        n_copies, is_single = int(rng.integers(1, 4)), bool(rng.integers(2))
        is_gathered.append(check(library, projection, n_copies, is_single, rng))
    if kind in GATHERED:
        assert np.mean(is_gathered) > 0.9
    elif kind not in ("binary", "shortcut"):
        assert not any(is_gathered)


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_layers(libraries, kind):
    """Any geometry, delays and copies, as for this processor."""
    check_many(libraries("native"), kind, 100)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_many_drawn_layers(libraries, processor, kind):
    """The same with and without AVX-512 and AVX2."""
    about = Path("/proc/cpuinfo")
    if processor.startswith("avx") and about.exists() and processor not in about.read_text():
        pytest.skip(f"this processor has no {processor}")
    check_many(libraries(processor), kind, 1000)


# ---- chains and counts ----


def test_drawn_chains(libraries):
    """Drive moves on by one neuron a step; a spike inhibits a later neuron when it gets there."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        populations = tuple(
            Population(
                name=name,
                neurons="chain",
                shape=(1, 1, int(rng.integers(1, 20))),
                n_positions=(n_positions := int(rng.integers(1, 8))),
                onset=0,
                inhibition=rng.integers(-2, 3, (n_positions, n_positions)) / 4,
            )
            for name in ("a", "b", "c")
        )
        chain = replace(neurons("chain"), is_chain=True)
        layout = lay_out(network((chain,), populations), int(rng.integers(1, 4)), 1)
        check_chains(libraries("native"), layout, [p.inhibition for p in populations], rng)


def check_chains(library, layout, inhibition, rng):
    n_steps, size = 12, layout.groups[0].size
    fires = rng.random((n_steps, size)) < 0.3
    enters = rng.integers(0, 99, (n_steps, size)).astype(np.float64)  # read at position 0 only
    copies = np.arange(layout.n_copies)

    def by_position(values, index):
        return values[layout.block(index)].reshape(layout.layers[index].positions, -1)

    for run, arrays in both(
        library, layout, layout.delays, lambda: Arrays(layout, n_targets=size // layout.n_copies)
    ):
        for step in range(n_steps):
            arrays.state.fires[0][:] = fires[step]
            run.find_spikes(step)
            run.travel(copies, step)
            run.deliver(step)
            for index, h in enumerate(inhibition):
                drive = by_position(arrays.targets[0], index)
                drive[0] += by_position(enters[step], index)[0]
                found = by_position(arrays.state.inhibition[0], index)
                for position in range(len(h)):
                    due = np.zeros(found.shape[1])
                    for lag in range(1, min(position, step + 1) + 1):
                        fired = by_position(fires[step + 1 - lag], index)[position - lag]
                        due += h[position, position - lag] * layout.unit_volt * fired
                    assert np.array_equal(found[position], due)
                    if position <= step:
                        entered = by_position(enters[step - position], index)[0]
                        assert np.array_equal(drive[position], entered)


def test_drawn_counts(libraries):
    """Ages, and spikes of a neuron between two onsets, before the first and after the last."""
    largest = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n_copies, phase_steps, n_phases = rng.integers(1, 4, 3).tolist()
        period = n_phases + int(rng.integers(0, 3))
        populations = tuple(
            Population(
                name=name,
                neurons=kind,
                shape=(1, 1, int(rng.integers(1, 20))),
                n_positions=int(rng.integers(1, 4)),
                onset=int(rng.integers(0, 6)),
            )
            for name, kind in (("a", "first"), ("b", "second"), ("c", "first"))
        )
        kinds = neurons("first"), neurons("second")
        drawn = network(kinds, populations, phase_steps=phase_steps, n_phases=n_phases)
        layout = lay_out(drawn, n_copies, period)
        largest.add(check_counts(libraries("native"), layout, rng))
    assert len(largest) > 6


def check_counts(library, layout, rng):
    sizes, copies = layout.sizes, np.arange(layout.n_copies)
    n_images = rng.integers(0, 4, layout.n_copies)
    n_phases = 4 * sizes.period + 6
    activity = rng.choice([0.1, 0.5, 1.0])
    fires = [rng.random((n_phases * sizes.phase_steps, g.size)) < activity for g in layout.groups]
    wanted_age = [np.full((n_phases, group.size), -1) for group in layout.groups]
    most = np.zeros(layout.n_copies, dtype=np.int32)
    last = [np.zeros(group.size) for group in layout.groups]
    for layer in layout.layers:
        for position, copy in np.ndindex(layer.positions, layout.n_copies):
            start = layer.offset + (position * layout.n_copies + copy) * layer.units
            block = slice(start, start + layer.units)
            onsets = layer.onset + position + np.arange(n_images[copy]) * sizes.period
            for onset in onsets:
                ages = np.arange(sizes.phases)[:, None]
                wanted_age[layer.group][onset : onset + sizes.phases, block] = ages
            pieces = np.split(fires[layer.group][:, block], onsets * sizes.phase_steps)
            *finished, last[layer.group][block] = (own.sum(axis=0) for own in pieces)
            most[copy] = max(most[copy], *(counts.max() for counts in finished), 0)
    for run, arrays in both(library, layout, layout.delays, lambda: Arrays(layout)):
        state = arrays.state
        state.n_images[0][:] = n_images
        for ages in state.ages:
            ages[:] = -1  # as `assemble` sets them
        of_copies = np.zeros(layout.n_copies, dtype=np.int32)
        for phase in range(n_phases):
            of_copies = run.set_ages(copies, phase, of_copies)
            for group, own in enumerate(fires):
                assert np.array_equal(state.ages[group], wanted_age[group][phase])
                steps = slice(phase * sizes.phase_steps, (phase + 1) * sizes.phase_steps)
                state.n_spikes[group] += own[steps].sum(axis=0, dtype=np.int32)
        assert np.array_equal(of_copies, most)
        for counts, before, wanted in zip(state.n_spikes, state.n_before, last, strict=True):
            assert np.array_equal(counts - before, wanted)
    return int(most.max())
