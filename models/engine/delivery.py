"""Shared-kernel synapses through Brian2's public API: three functions, three implementations.

A network has one axon (one Brian2 synapse) per neuron and outgoing route. When a spike arrives
at its end, ``deliver_spike`` adds the rows of the shared kernel to the drive of the targets. At
the start of each phase ``set_ages`` tells every neuron how long its image has been there. Where
units are chains of neurons, ``travel`` moves their drive on between threshold test and arrivals.
All are Brian2 user functions with implementations for C++ standalone, Cython and NumPy; the first
two use the same header ``delivery.h``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2 import Function
from numpy.typing import NDArray

from ..dyadic import narrowest
from ..spiking.network import READOUT, SpikingNetwork
from ..spiking.projections import Projection, WindowProjection

HEADER = Path(__file__).with_name("delivery.h")
CONVOLUTION, TO_READOUT, LATERAL, WINDOW = range(4)  # enum Kind of delivery.h


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
    array: int = 0
    target_offset: int = 0
    target_units: int = 0
    readout_row: int = 0
    first_phase: int = 0
    is_binary: int = 0


class Layer(NamedTuple):
    """One row of the layer table: struct Layer of delivery.h, in the same order."""

    group: int
    array: int
    offset: int
    units: int
    positions: int
    onset: int


class Sizes(NamedTuple):
    """The table of sizes: struct Sizes of delivery.h, in the same order."""

    layers: int
    copies: int
    chained: int
    rows: int
    readout_rows: int
    phase_steps: int
    phases: int
    period: int
    every: int
    steps: int


class Axons(NamedTuple):
    """Axons of one group of neurons, one entry an axon: source, route and delay in steps."""

    sources: NDArray[np.int64]
    routes: NDArray[np.int64]
    delays: NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """Where everything of a network lies in the arrays of a run with `n_copies` images at once.

    Every type of neurons is one group. Its neurons are ordered layer, position in the unit, copy,
    unit, so that one position of one layer is a contiguous block.

    Parameters
    ----------
    sizes : Sizes
        Numbers that hold for the whole run.
    group_sizes : tuple of int
        Neurons of each type, all copies.
    layers : tuple of Layer
        One per population.
    routes : tuple of Route
        One per projection, then one per population with inhibition.
    weights, gains : ndarray
        Real kernels, in network units, and factors of all routes, one after the other; those of
        binary routes in volts.
    signs : ndarray of int32
        Binary kernels, 32 to a number, the lowest bit first and set for +1.
    axons : tuple of Axons
        Of each group.
    unit_volt : float
        One network unit in volts.
    """

    sizes: Sizes
    group_sizes: tuple[int, ...]
    layers: tuple[Layer, ...]
    routes: tuple[Route, ...]
    weights: NDArray[np.float64]
    gains: NDArray[np.float64]
    signs: NDArray[np.int32]
    axons: tuple[Axons, ...]
    unit_volt: float

    @property
    def n_copies(self) -> int:
        """Images side by side."""
        return self.sizes.copies


def plan(network: SpikingNetwork, n_copies: int, period: int) -> Plan:
    """Lay out a network for `n_copies` images side by side, a new one each `period` phases."""
    kinds = [kind.name for kind in network.neurons]
    arrays = np.cumsum([0, *(len(kind.afferents) for kind in network.neurons)])
    group_sizes = [0] * len(kinds)
    layers: list[Layer] = []
    for population in network.populations:
        group = kinds.index(population.neurons)
        layers.append(
            Layer(
                group,
                int(arrays[group]),
                group_sizes[group],
                population.n_units,
                population.n_positions,
                population.onset,
            )
        )
        group_sizes[group] += population.n_neurons * n_copies
    index = {population.name: i for i, population in enumerate(network.populations)}
    routes: list[Route] = []
    weights: list[NDArray[np.float64]] = [np.zeros(0)]
    gains: list[NDArray[np.float64]] = [np.zeros(0)]
    signs: list[NDArray[np.bool_]] = [np.zeros(0, dtype=bool)]
    n_weights = n_gains = n_signs = 0
    axons: list[list[Axons]] = [[] for _ in kinds]
    for p in network.projections:
        source = layers[index[p.source]]
        block = source.units * n_copies
        if isinstance(p, Projection):
            kernel = _by_source_channel(p.kernel, p.groups).ravel()
        else:
            kernel = np.array([p.weight])
        is_binary = isinstance(p, Projection) and p.is_binary
        routes.append(
            _route(network, p, source, layers, index, n_copies)._replace(
                block=block,
                is_binary=int(is_binary),
                kernel_start=n_signs if is_binary else n_weights,
                gain_start=n_gains,
                array=int(arrays[-1]) if p.target == READOUT else layers[index[p.target]].array,
            )
        )
        if is_binary:
            signs.append(kernel > 0)
            n_signs += kernel.size
        else:
            weights.append(kernel)
            n_weights += kernel.size
        gains.append(p.gains * (network.unit_volt if is_binary else 1.0))
        n_gains += p.gains.size
        neurons = source.offset + np.arange(source.positions * block)
        number = np.full(neurons.size, len(routes) - 1)
        axons[source.group].append(Axons(neurons, number, np.repeat(p.delays, block)))
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
        number = np.full(neurons.size, len(routes) - 1)
        axons[layer.group].append(Axons(neurons, number, np.zeros(neurons.size, dtype=np.int64)))
    chained = [
        size for size, kind in zip(group_sizes, network.neurons, strict=True) if kind.is_chain
    ]
    return Plan(
        sizes=Sizes(
            layers=len(layers),
            copies=n_copies,
            chained=sum(chained),
            rows=max(layer.positions for layer in layers),
            readout_rows=network.readout.n_rows,
            phase_steps=network.phase_steps,
            phases=network.n_phases,
            period=period,
            every=network.readout.every,
            steps=-(-network.n_phases // network.readout.every),
        ),
        group_sizes=tuple(group_sizes),
        layers=tuple(layers),
        routes=tuple(routes),
        weights=np.concatenate(weights),
        gains=np.concatenate(gains),
        signs=_packed(np.concatenate(signs)),
        axons=tuple(
            Axons(*(np.concatenate(column) for column in zip(*parts, strict=True)))
            if parts
            else Axons(*(np.zeros(0, dtype=np.int64),) * 3)
            for parts in axons
        ),
        unit_volt=network.unit_volt,
    )


def kernel_bytes(network: SpikingNetwork) -> int:
    """Memory of all kernels in a run: four or eight bytes a real weight, a bit a binary one."""
    layout = plan(network, 1, network.n_phases)
    real = narrowest(layout.weights * layout.unit_volt)
    has_signs = any(route.is_binary for route in layout.routes)
    return int(real.nbytes + (layout.signs.nbytes if has_signs else 0))


def _route(
    network: SpikingNetwork,
    p: Projection | WindowProjection,
    source: Layer,
    layers: Sequence[Layer],
    index: Mapping[str, int],
    n_copies: int,
) -> Route:
    """Geometry and timing of a projection's route."""
    every = network.readout.every
    # Layers release the spikes of a step in the last of its phases.
    first = source.onset + every - 1 + int(p.delays.min()) // network.phase_steps
    common = {
        "offset": source.offset,
        "block": source.units * n_copies,
        "units": source.units,
        "positions": source.positions,
        **dict(zip(("height", "width", "channels"), p.source_shape, strict=True)),
        **_pair("pool", p.pool),
        **_pair("pool_stride", p.pool_stride),
        **_pair("pool_pad", p.pool_padding),
        "first_phase": first,
    }
    if isinstance(p, WindowProjection):
        target = layers[index[p.target]]
        rows, columns = p.target_shape[:2]
        return Route(
            kind=WINDOW,
            pooled_h=rows,
            pooled_w=columns,
            out_channels=p.source_shape[2],
            target_offset=target.offset,
            target_units=target.units,
            **common,
        )
    out = _output_shape(p.pooled_shape, p.kernel.shape, p.stride, p.padding)
    to_readout = p.target == READOUT
    return Route(
        kind=TO_READOUT if to_readout else CONVOLUTION,
        **_pair("pooled", p.pooled_shape[:2]),
        **_pair("kernel", p.kernel.shape[:2]),
        **_pair("stride", p.stride),
        **_pair("pad", p.padding),
        groups=p.groups,
        out_h=out[0],
        out_w=out[1],
        out_channels=out[2],
        target_offset=0 if to_readout else layers[index[p.target]].offset,
        target_units=network.readout.n_classes if to_readout else layers[index[p.target]].units,
        readout_row=max(source.onset - network.readout.onset, 0) if to_readout else 0,
        **common,
    )


def _pair(name: str, values: Sequence[int]) -> dict[str, int]:
    return {f"{name}_h": int(values[0]), f"{name}_w": int(values[1])}


def _by_source_channel(kernel: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Kernel as delivery.h reads it: source channel, row, column from last to first, output."""
    rows, columns, in_per_group, n_out = kernel.shape
    split = kernel[:, ::-1].reshape(rows, columns, in_per_group, groups, n_out // groups)
    return split.transpose(3, 2, 0, 1, 4)


def _packed(signs: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Bits, the lowest of each number first, and a number of zeros behind the last."""
    bits = np.zeros((-(-signs.size // 32) + 1) * 32, dtype=bool)
    bits[: signs.size] = signs
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)


def _output_shape(
    pooled: tuple[int, int, int],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> tuple[int, int, int]:
    rows = (pooled[0] + 2 * padding[0] - kernel[0]) // stride[0] + 1
    columns = (pooled[1] + 2 * padding[1] - kernel[1]) // stride[1] + 1
    return rows, columns, kernel[3]


# In the order of `State` in delivery.h.
TABLES = ("sizes", "layers", "routes", "weights", "gains", "signs")
SIGNATURES = {  # function: arguments, the tables that it reads, the state that it reads or writes
    "deliver_spike": (
        ("neuron", "route", "step"),
        ("sizes", "routes", "weights", "gains", "signs"),
        ("targets", "inhibition", "pending", "arrivals", "events"),
    ),
    "set_ages": (("copy", "phase"), ("sizes", "layers"), ("ages", "n_images")),
    "travel": (
        ("copy", "step"),
        ("sizes", "layers"),
        ("targets", "inhibition", "pending"),
    ),
}
STATE = {  # C++ type, in the order of `State`
    "targets": "double",
    "ages": "int32_t",
    "inhibition": "double",
    "pending": "double",
    "arrivals": "double",
    "events": "double",
    "n_images": "int32_t",
}
LISTS = ("targets", "ages")  # of arrays


def brian2_functions(plan: Plan, state: Mapping[str, Any]) -> dict[str, Function]:
    """Brian2 functions ``deliver_spike``, ``set_ages`` and, for chains, ``travel``.

    Parameters
    ----------
    plan : Plan
        Layout.
    state : mapping of str to list of ndarray or of str
        The state variables named in ``STATE``: their arrays for the NumPy and Cython targets,
        or their names in the generated program for C++ standalone. One entry for most; none for
        what the network lacks.

    Returns
    -------
    dict of str to Function
        By name; all are stateful.
    """
    tables: dict[str, NDArray[Any]] = {
        "sizes": np.array(plan.sizes, dtype=np.int32),
        "layers": np.array(plan.layers, dtype=np.int32).ravel(),
        "routes": np.array(plan.routes, dtype=np.int32).ravel(),
        "weights": narrowest(plan.weights * plan.unit_volt),
        "gains": plan.gains,
        "signs": plan.signs,
    }
    weight = {"float32": "float", "float64": "double"}[tables["weights"].dtype.name]
    is_standalone = isinstance(state["targets"][0], str)
    in_python = None if is_standalone else _NumpyDelivery(plan, tables["weights"], state)
    functions = {}
    for name, (arguments, needed, used) in SIGNATURES.items():
        if name == "travel" and not plan.sizes.chained:
            continue
        run = _not_in_python if in_python is None else getattr(in_python, name)
        function = Function(
            run,
            arg_units=[1] * len(arguments),
            arg_types=["integer"] * len(arguments),
            return_unit=1,
            return_type="integer",
            stateless=False,
        )
        namespace = {f"shared_{table}": tables[table] for table in needed}
        given = [f"_namespaceshared_{t}" if t in needed else "nullptr" for t in TABLES]
        if is_standalone:
            names = {key: [f"brian::{n}" for n in state[key]] for key in used}
            body = _call(name, arguments, given, names, weight)
            code = f"static inline int {name}({_declared(arguments)}) {{\n{body}}}\n"
            location = {"headers": [f'"{HEADER.name}"'], "include_dirs": [str(HEADER.parent)]}
            function.implementations.add_implementation(
                "cpp", code, namespace=namespace, name=name, compiler_kwds=location
            )
        else:
            kinds = {
                table: {"weights": weight, "gains": "double"}.get(table, "int32_t")
                for table in needed
            }
            arrays = {f"{key}_{i}": array for key in used for i, array in enumerate(state[key])}
            names = {key: [f"_namespace{key}_{i}" for i in range(len(state[key]))] for key in used}
            code = _cython_code(name, arguments, kinds, given, names, weight)
            function.implementations.add_implementation(
                "cython", code, namespace={**namespace, **arrays}, name=name
            )
            function.implementations.add_implementation("numpy", run, name=name)
        functions[name] = function
    return functions


def _not_in_python(*_: object) -> int:
    raise RuntimeError("this function runs inside generated C++ code only")


def _declared(arguments: Sequence[str]) -> str:
    return ", ".join(f"int {argument}" for argument in arguments)


def _call(
    name: str,
    arguments: Sequence[str],
    tables: Sequence[str],
    names: Mapping[str, Sequence[str]],
    weight: str,
) -> str:
    """C++ statements that collect the pointers and call the function of delivery.h."""
    lines, pointers = [], list(tables)
    for key, kind in STATE.items():
        found = names.get(key, [])
        if not found:
            pointers.append("nullptr")
        elif key in LISTS:
            lines.append(f"{kind} *const {key}[] = {{{', '.join(found)}}};")
            pointers.append(key)
        else:
            pointers.append(found[0])
    lines.append(f"const ann2brian::State<{weight}> state{{{', '.join(pointers)}}};")
    lines.append(f"return ann2brian::{name}(state, {', '.join(arguments)});")
    return "".join(f"    {line}\n" for line in lines)


def _cython_code(
    name: str,
    arguments: tuple[str, ...],
    tables: dict[str, str],
    given: list[str],
    names: Mapping[str, Sequence[str]],
    weight: str,
) -> str:
    """Cython code that calls the C++ header.

    The header stands in the code as text, because Brian2 recompiles when the text changes. The
    arrays of the function's namespace are module variables, handed over as pointers.
    """
    kinds = {f"_namespaceshared_{table}": kind for table, kind in tables.items()}
    kinds |= {pointer: STATE[key] for key, found in names.items() for pointer in found}
    declared = ", ".join(
        [f"{kind} *{pointer}" for pointer, kind in kinds.items()] + [_declared(arguments)]
    )
    passed = ", ".join([f"<{kind} *>{p}" for p, kind in kinds.items()] + list(arguments))
    return f'''
cdef extern from *:
    """
    {HEADER.read_text()}
    static inline int run_{name}({declared}) {{
{_call(name, arguments, given, names, weight)}    }}
    """
    int run_{name}({declared})

cdef int {name}({_declared(arguments)}):
    return run_{name}({passed})
'''


class _NumpyDelivery:
    """The functions of delivery.h in NumPy, for whole vectors of spikes."""

    def __init__(
        self, plan: Plan, weights: NDArray[Any], state: Mapping[str, Sequence[NDArray[Any]]]
    ) -> None:
        self.plan, self.weights, self.gains = plan, weights, plan.gains
        bits = np.unpackbits(plan.signs.astype("<i4").view(np.uint8), bitorder="little")
        self.signs = np.where(bits, 1.0, -1.0)
        self.targets, self.ages = state["targets"], state["ages"]
        self.n_images = state["n_images"][0]
        counts = (len(plan.routes), plan.sizes.steps)
        self.arrivals = state["arrivals"][0].reshape(counts)
        self.events = state["events"][0].reshape(counts)
        if plan.sizes.chained:
            self.inhibition = state["inhibition"][0]
            self.pending = state["pending"][0].reshape(plan.sizes.rows, plan.sizes.chained)

    def deliver_spike(self, neuron: Any, route: Any, step: Any) -> NDArray[np.int32]:
        neuron, route = np.atleast_1d(neuron), np.atleast_1d(route)
        neuron, route = np.broadcast_arrays(neuron, route)
        reached = np.zeros(neuron.shape, dtype=np.int32)
        sizes = self.plan.sizes
        for index in np.unique(route):
            chosen = route == index
            r = self.plan.routes[index]
            if r.kind == LATERAL:
                reached[chosen] = self._inhibit(r, neuron[chosen], int(step))
            else:
                reached[chosen] = self._spread(r, neuron[chosen])
            since = max(int(step) // sizes.phase_steps - r.first_phase, 0)
            at = min(since % sizes.period // sizes.every, sizes.steps - 1)
            self.arrivals[index, at] += np.count_nonzero(chosen)
            self.events[index, at] += reached[chosen].sum()
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

    def _spread(self, r: Route, neuron: NDArray[Any]) -> NDArray[np.int32]:
        position, rest = np.divmod(neuron - r.offset, r.block)
        copy, unit = np.divmod(rest, r.units)
        y, x, channel = np.unravel_index(unit, (r.height, r.width, r.channels))
        in_per_group, out_per_group = r.channels // r.groups, r.out_channels // r.groups
        group = channel // in_per_group
        gain = self.gains[r.gain_start + position]
        base = r.target_offset + copy * r.target_units
        reached = np.zeros(neuron.shape, dtype=np.int32)
        if r.kind == WINDOW:
            for py, px, inside in self._pooled(r, y, x):
                place = (y + r.pool_pad_h - py * r.pool_stride_h) * r.pool_w
                place = place + x + r.pool_pad_w - px * r.pool_stride_w
                at = base + (py * r.pooled_w + px) * r.channels + channel
                for one in np.unique(place[inside]):
                    hit = inside & (place == one)
                    weight = gain[hit] * self.weights[r.kernel_start]
                    np.add.at(self.targets[r.array + one], at[hit], weight)
                reached[inside] += 1
            return reached
        shape = (r.channels, r.kernel_h, r.kernel_w, out_per_group)
        stored = self.signs if r.is_binary else self.weights
        kernel = stored[r.kernel_start : r.kernel_start + int(np.prod(shape))].reshape(shape)
        target = self.targets[r.array]
        if r.kind == TO_READOUT:
            row = (position + r.readout_row) % self.plan.sizes.readout_rows
            base = base + row * self.plan.n_copies * r.target_units
        base = base + group * out_per_group
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

    def set_ages(self, copy: Any, phase: Any) -> NDArray[np.int32]:
        sizes = self.plan.sizes
        for layer in self.plan.layers:
            block = layer.units * sizes.copies
            stop = layer.offset + layer.positions * block
            since = int(phase) - layer.onset - np.arange(layer.positions)[:, None]
            turn, age = np.divmod(since, sizes.period)
            is_there = (since >= 0) & (turn < self.n_images) & (age < sizes.phases)
            ages = np.where(is_there, age, -1)
            self.ages[layer.group][layer.offset : stop] = np.repeat(
                ages, layer.units, axis=1
            ).ravel()
        return np.full(np.shape(copy), int(phase), dtype=np.int32)

    def travel(self, copy: Any, step: Any) -> NDArray[np.int32]:
        row = self.pending[(int(step) + 1) % len(self.pending)]
        self.inhibition[:] = row
        row[:] = 0
        for layer in self.plan.layers:
            block = layer.units * self.plan.n_copies
            stop = layer.offset + layer.positions * block
            drive = self.targets[layer.array][layer.offset : stop].reshape(layer.positions, block)
            drive[1:] = drive[:-1].copy()
            drive[0] = 0
        return np.full(np.shape(copy), int(step), dtype=np.int32)
