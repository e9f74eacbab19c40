"""The functions of delivery.h alone: compiled for one processor or another, and in NumPy."""

import ctypes
import subprocess
from typing import NamedTuple

import numpy as np
from ann2brian.models.engine.delivery import C_TYPES, HEADER, TABLES, tables_of
from ann2brian.models.engine.numpy_delivery import NumpyDelivery, State

FLAGS = ("-O3", "-ffast-math", "-fno-finite-math-only", "-std=c++11")  # as Brian2's
PROGRAM = f"""
#include "{HEADER}"
using Delivery = ann2brian::State<double>;
extern "C" int find_spikes(const void **state, int step) {{
    return ann2brian::find_spikes(*reinterpret_cast<const Delivery *>(state), step);
}}
extern "C" int deliver(const void **state, int step) {{
    return ann2brian::deliver(*reinterpret_cast<const Delivery *>(state), step);
}}
"""


def compiled(folder, *flags):
    """Library of the functions, compiled in `folder` for the processors that `flags` say."""
    program, library = folder / "delivery.cpp", folder / "delivery.so"
    program.write_text(PROGRAM)
    command = ["g++", *FLAGS, *flags, "-shared", "-fPIC", "-fno-gnu-unique"]
    subprocess.run([*command, str(program), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class Variables(NamedTuple):
    """Arrays of a run, all 0: what spikes add to, by group and afferent, and the counts."""

    state: State
    targets: list[np.ndarray]
    arrived: np.ndarray
    reached: np.ndarray


def variables_of(network, layout, dtype=np.float64):
    """Arrays of a network's run, drives of `dtype`."""
    kinds = zip(network.neurons, layout.groups, strict=True)
    sizes = [group.size for kind, group in kinds for _ in kind.afferents]
    sizes.append(network.readout.n_classes * layout.n_copies * layout.sizes.readout_rows)
    targets = [np.zeros(size, dtype=dtype) for size in sizes]
    none = [None] * len(sizes)
    in_double = dtype == np.float64
    n_counts = len(layout.routes) * layout.sizes.steps
    chained = layout.sizes.chained
    state = State(
        targets=targets if in_double else none,
        singles=none if in_double else targets,
        ages=[], in_image=[], n_spikes=[], most_in_image=[],
        spikes=[np.zeros(group.size + 1, dtype=np.int32) for group in layout.groups],
        fires=[np.zeros(group.size, dtype=np.int8) for group in layout.groups],
        remembered=[],
        inhibition=[np.zeros(chained)] if chained else [],
        pending=[np.zeros(chained * layout.sizes.rows)] if chained else [],
        arrivals=[np.zeros(n_counts)],
        events=[np.zeros(n_counts)],
        n_images=[np.zeros(layout.n_copies, dtype=np.int32)],
    )  # fmt: skip
    return Variables(state, targets, state.arrivals[0], state.events[0])


def in_numpy(layout, variables, delays):
    """The functions in NumPy."""
    weights = tables_of(layout, delays)["weights"]
    return NumpyDelivery(layout, weights, variables.state, delays)


class InCpp:
    """The functions of a library from `compiled`."""

    def __init__(self, library, layout, variables, delays):
        tables = tables_of(layout, delays)
        tables["weights"] = tables["weights"].astype(np.float64)
        words = layout.sizes.words * int(tables["sizes"][-1]) + 2
        state = variables.state._replace(remembered=[np.zeros(words, dtype=np.int32)])
        self.library = library
        self.arrays = (tables, state)  # kept as long as there are pointers to them
        lists = ("targets", "singles", "spikes", "fires")
        pointers = [tables[name].ctypes.data for name in TABLES]
        self.lists = []
        for name in C_TYPES._fields:
            own = [None if one is None else one.ctypes.data for one in getattr(state, name)]
            if name in lists:
                self.lists.append((ctypes.c_void_p * len(own))(*own))
                pointers.append(ctypes.addressof(self.lists[-1]))
            else:
                pointers.append(own[0] if own else None)
        self.state = (ctypes.c_void_p * len(pointers))(*pointers)

    def find_spikes(self, step):
        return self.library.find_spikes(self.state, step)

    def deliver(self, step):
        return self.library.deliver(self.state, step)
