"""Shared-kernel synapses through Brian2's public API: one function, three implementations.

A network has one axon (one Brian2 synapse) per neuron and outgoing route. When a spike arrives
at its end, ``deliver_spike`` adds the rows of the shared kernel to the drive of the targets.
Between threshold test and arrivals, ``advance_step`` moves every drive on to the next neuron of
its gate. Both are Brian2 user functions with implementations for C++ standalone, Cython and
NumPy; the first two use the same header ``delivery.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2 import Function
from numpy.typing import NDArray

from .dyadic import narrowest
from .spiking import READOUT, UNIT_VOLT, SpikingNetwork

HEADER = Path(__file__).with_name("delivery.h")
TO_DRIVE, TO_READOUT, LATERAL = range(3)


class Route(NamedTuple):
    """One row of the route table: struct Route of delivery.h, in the same order."""

    kind: int
    offset: int
    block: int
    units: int
    positions: int
    height: int = 0
    width: int = 0
    channels: int = 0
    pool_h: int = 1
    pool_w: int = 1
    pool_stride_h: int = 1
    pool_stride_w: int = 1
    pool_pad_h: int = 0
    pool_pad_w: int = 0
    pooled_h: int = 0
    pooled_w: int = 0
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    pad_h: int = 0
    pad_w: int = 0
    groups: int = 1
    out_h: int = 0
    out_w: int = 0
    out_channels: int = 0
    kernel_start: int = 0
    gain_start: int = 0
    target_offset: int = 0
    target_units: int = 0
    readout_shift: int = 0


class Layer(NamedTuple):
    """One row of the layer table: struct Layer of delivery.h, in the same order."""

    offset: int
    units: int
    positions: int
    onset: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """Where everything of a network lies in the arrays of a run with `n_copies` images at once.

    Neurons are ordered layer, position in the gate, copy, unit, so that one position of one
    layer is a contiguous block.

    Parameters
    ----------
    n_copies : int
        Images side by side.
    n_neurons : int
        Of all copies.
    n_rows : int
        Rows of the ring that holds inhibition for later steps.
    layers : tuple of Layer
        One per population.
    routes : tuple of Route
        One per projection, then one per population with inhibition.
    weights, gains : ndarray
        Kernels, in network units, and factors of all routes, one after the other.
    axon_sources, axon_routes, axon_delays : ndarray of int
        One entry per axon: presynaptic neuron, route and delay in steps.
    """

    n_copies: int
    n_neurons: int
    n_rows: int
    layers: tuple[Layer, ...]
    routes: tuple[Route, ...]
    weights: NDArray[np.float64]
    gains: NDArray[np.float64]
    axon_sources: NDArray[np.int64]
    axon_routes: NDArray[np.int64]
    axon_delays: NDArray[np.int64]


def plan(network: SpikingNetwork, n_copies: int) -> Plan:
    """Lay out a network for `n_copies` images side by side."""
    layers: list[Layer] = []
    offset = 0
    for population in network.populations:
        layers.append(Layer(offset, population.n_units, population.n_positions, population.onset))
        offset += population.n_neurons * n_copies
    index = {population.name: i for i, population in enumerate(network.populations)}
    routes: list[Route] = []
    weights: list[NDArray[np.float64]] = []
    gains: list[NDArray[np.float64]] = []
    n_weights = n_gains = 0
    axons: list[tuple[NDArray[np.int64], int, NDArray[np.int64]]] = []
    for p in network.projections:
        source = layers[index[p.source]]
        to_readout = p.target == READOUT
        target = None if to_readout else layers[index[p.target]]
        block = source.units * n_copies
        routes.append(
            Route._make(
                [
                    TO_READOUT if to_readout else TO_DRIVE,
                    source.offset,
                    block,
                    source.units,
                    source.positions,
                    *p.source_shape,
                    *p.pool,
                    *p.pool_stride,
                    *p.pool_padding,
                    *p.pooled_shape[:2],
                    *p.kernel.shape[:2],
                    *p.stride,
                    *p.padding,
                    p.groups,
                    *_output_shape(p.pooled_shape, p.kernel.shape, p.stride, p.padding),
                    n_weights,
                    n_gains,
                    target.offset if target else 0,
                    target.units if target else len(network.readout.bias),
                    source.onset - network.readout.onset if to_readout else 0,
                ]
            )
        )
        weights.append(_by_source_channel(p.kernel, p.groups).ravel())
        gains.append(p.gains)
        n_weights += p.kernel.size
        n_gains += p.gains.size
        neurons = source.offset + np.arange(source.positions * block)
        axons.append((neurons, len(routes) - 1, np.repeat(p.delays, block)))
    for population, layer in zip(network.populations, layers, strict=True):
        h = population.inhibition
        sources = np.flatnonzero(np.any(h != 0, axis=0))
        if not sources.size:
            continue
        block = layer.units * n_copies
        routes.append(
            Route(
                LATERAL, layer.offset, block, layer.units, layer.positions, kernel_start=n_weights
            )
        )
        weights.append(h.T.ravel())  # row: position that spikes; column: position it inhibits
        n_weights += h.size
        neurons = (layer.offset + sources[:, None] * block + np.arange(block)).ravel()
        axons.append((neurons, len(routes) - 1, np.zeros(neurons.size, dtype=np.int64)))
    return Plan(
        n_copies=n_copies,
        n_neurons=offset,
        n_rows=max(layer.positions for layer in layers),
        layers=tuple(layers),
        routes=tuple(routes),
        weights=np.concatenate(weights),
        gains=np.concatenate(gains),
        axon_sources=np.concatenate([sources for sources, _, _ in axons]),
        axon_routes=np.concatenate([np.full(len(s), route) for s, route, _ in axons]),
        axon_delays=np.concatenate([delays for _, _, delays in axons]),
    )


def _by_source_channel(kernel: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Kernel as delivery.h reads it: source channel, row, column from last to first, output."""
    rows, columns, in_per_group, n_out = kernel.shape
    split = kernel[:, ::-1].reshape(rows, columns, in_per_group, groups, n_out // groups)
    return split.transpose(3, 2, 0, 1, 4)


def _output_shape(
    pooled: tuple[int, int, int],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> tuple[int, int, int]:
    rows = (pooled[0] + 2 * padding[0] - kernel[0]) // stride[0] + 1
    columns = (pooled[1] + 2 * padding[1] - kernel[1]) // stride[1] + 1
    return rows, columns, kernel[3]


SIGNATURES = {  # function: arguments, and the tables that it reads
    "deliver_spike": (
        ("neuron", "route", "step"),
        ("shared_sizes", "shared_routes", "shared_weights", "shared_gains"),
    ),
    "advance_step": (("copy", "step"), ("shared_sizes", "shared_layers")),
}
STATE = ("drive", "inhibition", "pending", "score", "clocked", "n_images")  # order of `State`


def brian2_functions(
    plan: Plan,
    period: int,
    state: Mapping[str, Any],
) -> dict[str, Function]:
    """Brian2 functions ``deliver_spike(i, route, step)`` and ``advance_step(i, step)``.

    Parameters
    ----------
    plan : Plan
        Layout.
    period : int
        Steps between the onsets of successive images of a copy.
    state : mapping of str to ndarray or str
        The state variables named in ``STATE``: their arrays for the NumPy and Cython targets,
        or their names in the generated program for C++ standalone.

    Returns
    -------
    dict of str to Function
        By name; both are stateful.
    """
    tables = {
        "shared_sizes": np.array(
            [len(plan.layers), plan.n_copies, plan.n_neurons, plan.n_rows, period], dtype=np.int32
        ),
        "shared_layers": np.array(plan.layers, dtype=np.int32).ravel(),
        "shared_routes": np.array(plan.routes, dtype=np.int32).ravel(),
        "shared_weights": narrowest(plan.weights * UNIT_VOLT),
        "shared_gains": plan.gains,
    }
    weight = {"float32": "float", "float64": "double"}[tables["shared_weights"].dtype.name]
    is_standalone = isinstance(state[STATE[0]], str)
    in_python = None if is_standalone else _NumpyDelivery(plan, period, {**tables, **state})
    functions = {}
    for name, (arguments, needed) in SIGNATURES.items():
        run = _not_in_python if in_python is None else getattr(in_python, name)
        function = Function(
            run,
            arg_units=[1] * len(arguments),
            arg_types=["integer"] * len(arguments),
            return_unit=1,
            return_type="integer",
            stateless=False,
        )
        namespace = {table: tables[table] for table in needed}
        given = [f"_namespace{table}" if table in needed else "nullptr" for table in tables]
        if is_standalone:
            declared = ", ".join(f"int {argument}" for argument in arguments)
            pointers = ", ".join([*given, *(f"brian::{state[key]}" for key in STATE)])
            code = f"""
            static inline int {name}({declared}) {{
                const ann2brian::State<{weight}> state{{{pointers}}};
                return ann2brian::{name}(state, {", ".join(arguments)});
            }}
            """
            location = {"headers": [f'"{HEADER.name}"'], "include_dirs": [str(HEADER.parent)]}
            function.implementations.add_implementation(
                "cpp", code, namespace=namespace, name=name, compiler_kwds=location
            )
        else:
            kinds = {
                table: {"shared_weights": weight, "shared_gains": "double"}.get(table, "int32_t")
                for table in needed
            }
            code = _cython_code(name, arguments, kinds, given, weight)
            arrays = {key: state[key] for key in STATE}
            function.implementations.add_implementation(
                "cython", code, namespace={**namespace, **arrays}, name=name
            )
            function.implementations.add_implementation("numpy", run, name=name)
        functions[name] = function
    return functions


def _not_in_python(*_: object) -> int:
    raise RuntimeError("this function runs inside generated C++ code only")


def _cython_code(
    name: str,
    arguments: tuple[str, ...],
    tables: dict[str, str],
    given: list[str],
    weight: str,
) -> str:
    """Cython code that calls the C++ header.

    The header stands in the code as text, because Brian2 recompiles when the text changes. The
    arrays of the function's namespace are module variables, handed over as pointers.
    """
    kinds = tables | dict(zip(STATE, ["double"] * 4 + ["char", "int32_t"], strict=True))
    pointers = {f"_namespace{key}": kind for key, kind in kinds.items()}
    declared = ", ".join(
        [f"{kind} *{key}" for key, kind in pointers.items()] + [f"int {a}" for a in arguments]
    )
    passed = ", ".join([f"<{kind} *>{key}" for key, kind in pointers.items()] + list(arguments))
    state = ", ".join([*given, *(f"_namespace{key}" for key in STATE)])
    return f'''
cdef extern from *:
    """
    {HEADER.read_text()}
    static inline int run_{name}({declared}) {{
        const ann2brian::State<{weight}> state{{{state}}};
        return ann2brian::{name}(state, {", ".join(arguments)});
    }}
    """
    int run_{name}({declared})

cdef int {name}({", ".join(f"int {a}" for a in arguments)}):
    return run_{name}({passed})
'''


class _NumpyDelivery:
    """The two functions of delivery.h in NumPy, for whole vectors of spikes."""

    def __init__(self, plan: Plan, period: int, arrays: dict[str, NDArray[Any]]) -> None:
        self.plan, self.period = plan, period
        self.drive, self.score = arrays["drive"], arrays["score"]
        self.inhibition, self.n_images = arrays["inhibition"], arrays["n_images"]
        self.clocked = arrays["clocked"]
        self.pending = arrays["pending"].reshape(plan.n_rows, plan.n_neurons)
        self.weights, self.gains = arrays["shared_weights"], arrays["shared_gains"]

    def deliver_spike(self, neuron: Any, route: Any, step: Any) -> NDArray[np.int32]:
        neuron, route = np.atleast_1d(neuron), np.atleast_1d(route)
        neuron, route = np.broadcast_arrays(neuron, route)
        reached = np.zeros(neuron.shape, dtype=np.int32)
        for index in np.unique(route):
            chosen = route == index
            r = self.plan.routes[index]
            run = self._inhibit if r.kind == LATERAL else self._spread
            reached[chosen] = run(r, neuron[chosen], int(step))
        return reached

    def _inhibit(self, r: Route, neuron: NDArray[Any], step: int) -> NDArray[np.int32]:
        h = self.weights[r.kernel_start : r.kernel_start + r.positions**2]
        h = h.reshape(r.positions, r.positions)
        position = (neuron - r.offset) // r.block
        reached = np.zeros(neuron.shape, dtype=np.int32)
        for lag in range(1, r.positions):
            chosen = np.flatnonzero(position + lag < r.positions)
            weight = h[position[chosen], position[chosen] + lag]
            row = self.inhibition if lag == 1 else self.pending[(step + lag) % len(self.pending)]
            np.add.at(row, neuron[chosen] + lag * r.block, weight)
            reached[chosen] += weight != 0
        return reached

    def _spread(self, r: Route, neuron: NDArray[Any], step: int) -> NDArray[np.int32]:
        position, rest = np.divmod(neuron - r.offset, r.block)
        copy, unit = np.divmod(rest, r.units)
        y, x, channel = np.unravel_index(unit, (r.height, r.width, r.channels))
        in_per_group, out_per_group = r.channels // r.groups, r.out_channels // r.groups
        group = channel // in_per_group
        shape = (r.channels, r.kernel_h, r.kernel_w, out_per_group)
        kernel = self.weights[r.kernel_start : r.kernel_start + int(np.prod(shape))].reshape(shape)
        gain = self.gains[r.gain_start + position]
        base = r.target_offset + copy * r.target_units + group * out_per_group
        target = self.drive
        if r.kind == TO_READOUT:
            target = self.score
            base = base + (position + r.readout_shift) * self.plan.n_copies * r.target_units
        reached = np.zeros(neuron.shape, dtype=np.int32)
        channels = np.arange(out_per_group)
        for py, px, inside in self._pooled(r, y, x):
            for ky in range(r.kernel_h):
                for kx in range(r.kernel_w):
                    oy, left_y = np.divmod(py + r.pad_h - ky, r.stride_h)
                    ox, left_x = np.divmod(px + r.pad_w - kx, r.stride_w)
                    hit = inside & (left_y == 0) & (left_x == 0)
                    hit &= (oy >= 0) & (oy < r.out_h) & (ox >= 0) & (ox < r.out_w)
                    if not hit.any():
                        continue
                    start = base[hit] + (oy[hit] * r.out_w + ox[hit]) * r.out_channels
                    weight = kernel[channel[hit], ky, r.kernel_w - 1 - kx]
                    np.add.at(target, start[:, None] + channels, gain[hit][:, None] * weight)
                    reached[hit] += out_per_group
        return reached

    @staticmethod
    def _pooled(r: Route, y: NDArray[Any], x: NDArray[Any]) -> Any:
        """Pooled positions whose window holds (y, x), one possible offset after the other."""
        for dy in range(-(-r.pool_h // r.pool_stride_h)):
            py = (y + r.pool_pad_h) // r.pool_stride_h - dy
            in_y = (py >= 0) & (py < r.pooled_h)
            in_y &= y + r.pool_pad_h < py * r.pool_stride_h + r.pool_h
            for dx in range(-(-r.pool_w // r.pool_stride_w)):
                px = (x + r.pool_pad_w) // r.pool_stride_w - dx
                in_x = (px >= 0) & (px < r.pooled_w)
                in_x &= x + r.pool_pad_w < px * r.pool_stride_w + r.pool_w
                yield py, px, in_y & in_x

    def advance_step(self, copy: Any, step: Any) -> NDArray[np.int32]:
        following = int(step) + 1
        row = self.pending[following % len(self.pending)]
        self.inhibition[:] = row
        row[:] = 0
        for layer in self.plan.layers:
            block = layer.units * self.plan.n_copies
            stop = layer.offset + layer.positions * block
            drive = self.drive[layer.offset : stop].reshape(layer.positions, block)
            drive[1:] = drive[:-1].copy()
            drive[0] = 0
            since = following - layer.onset - np.arange(layer.positions)[:, None]
            due = (since >= 0) & (since % self.period == 0)
            due = due & (since // self.period < self.n_images)
            self.clocked[layer.offset : stop] = np.repeat(due, layer.units, axis=1).ravel()
        return np.full(np.shape(copy), following, dtype=np.int32)
