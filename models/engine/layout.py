"""Where everything of a network lies in the arrays of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Integers
from ..dyadic import grid_step, narrowest
from ..spiking.network import READOUT, Population, SpikingNetwork
from ..spiking.projections import Projection, SparseProjection, WindowProjection

CONVOLUTION, SPARSE, LATERAL, WINDOW = range(4)  # enum Kind of delivery.h

LANES = 8  # channels of a packed kernel, or of one of signs, are filled up to a multiple of it
SPARE_SIGNS = 16  # numbers behind the last sign, which are read and not used

AnyProjection = Projection | SparseProjection | WindowProjection


class Route(NamedTuple):
    """One row of the route table: struct Route of delivery.h, in the same order."""

    kind: int
    group: int
    offset: int
    block: int
    units: int
    positions: int
    delays_start: int = 0
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
    dilation_h: int = 1
    dilation_w: int = 1
    groups: int = 1
    out_h: int = 0
    out_w: int = 0
    out_channels: int = 0
    kernel_start: int = 0
    columns_start: int = 0
    gain_start: int = 0
    array: int = 0
    target_offset: int = 0
    target_units: int = 0
    target_channels: int = 0
    first_channel: int = 0
    readout_row: int = -1
    first_phase: int = 0
    is_binary: int = 0
    is_gathered: int = 0
    tap: int = 0
    places_start: int = 0
    pending_start: int = 0


class Layer(NamedTuple):
    """One row of the layer table: struct Layer of delivery.h, in the same order."""

    group: int
    array: int
    offset: int
    units: int
    positions: int
    onset: int
    pending_start: int = 0


class Group(NamedTuple):
    """One row of the table of groups: struct Group of delivery.h, in the same order."""

    size: int
    first_word: int


class Sizes(NamedTuple):
    """The table of sizes: struct Sizes of delivery.h, in the same order."""

    groups: int
    routes: int
    layers: int
    copies: int
    pending: int
    readout_rows: int
    phase_steps: int
    phases: int
    period: int
    every: int
    steps: int
    words: int
    remembered: int = 1


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Layout:
    """Where everything of a network lies in the arrays of a run with `n_copies` images at once.

    Every type of neurons is one group. Its neurons are ordered layer, position in the unit, copy,
    unit, so that one position of one layer is a contiguous block.

    Parameters
    ----------
    sizes : Sizes
        Numbers that hold for the whole run.
    groups : tuple of Group
        Neurons of each type, all copies, and where a bit for each begins among those of a step.
    layers : tuple of Layer
        One per population.
    routes : tuple of Route
        One per projection, then one per population with inhibition.
    connections : tuple of str
        Name of each route; two paths between the same layers have the same.
    weights : ndarray
        Real kernels that are not packed, one after the other, in network units.
    packed : ndarray of int16
        Kernels as whole multiples of their grid: channel of the source, row, column from last to
        first, channel of the target, filled up with zeros to a multiple of `LANES`.
    gains : ndarray
        Factors of all routes, one a position; those of binary and of packed routes in volts.
    signs : ndarray of int32
        Binary kernels, 32 to a number, the lowest bit first and set for +1; filled up in the same
        way, so that the channels of a tap begin with a byte.
    places : ndarray of int32
        Of each gathered route: the pooled place of each place, or -1; its column; then the targets
        of a spike at each pooled place. Of each route to pooling windows: `_windows_of_places`.
    columns : ndarray of int32
        Of each sparse route: where the weights of each source unit begin, one entry more than
        there are units, then the target unit of each weight.
    has_axon : tuple of ndarray of bool, shape (n_units,), or None
        Of each route, the source units whose spikes it carries; None for all.
    delays : tuple of ndarray of int, shape (n_positions,) or (n_positions, n_units)
        Of each route in steps; -1 where a position has no axon.
    unit_volt : float
        One network unit in volts.
    """

    sizes: Sizes
    groups: tuple[Group, ...]
    layers: tuple[Layer, ...]
    routes: tuple[Route, ...]
    connections: tuple[str, ...]
    weights: Array
    packed: NDArray[np.int16]
    gains: Array
    signs: NDArray[np.int32]
    columns: NDArray[np.int32]
    places: NDArray[np.int32]
    has_axon: tuple[NDArray[np.bool_] | None, ...]
    delays: tuple[Integers, ...]
    unit_volt: float

    def __repr__(self) -> str:
        return (
            f"Layout({len(self.layers)} layers, {len(self.routes)} routes, {self.n_copies} copies, "
            f"{sum(group.size for group in self.groups):,} neurons)"
        )

    @property
    def n_copies(self) -> int:
        """Images side by side."""
        return self.sizes.copies

    def block(self, index: int) -> slice:
        """Neurons of a layer in their group, all copies."""
        layer = self.layers[index]
        return slice(layer.offset, layer.offset + layer.positions * layer.units * self.n_copies)


class _Tables:
    """Weights, factors and geometry of the routes, while they grow."""

    def __init__(self) -> None:
        self.weights: list[Array] = [np.zeros(0)]
        self.packed: list[NDArray[np.int16]] = []
        self.gains: list[Array] = [np.zeros(0)]
        self.signs: list[NDArray[np.bool_]] = [np.zeros(0, dtype=bool)]
        self.columns: list[NDArray[np.int32]] = []
        self.places: list[NDArray[np.int32]] = []


def _start(parts: Sequence[NDArray]) -> int:
    """Where the next of several arrays begins."""
    return sum(part.size for part in parts)


def lay_out(network: SpikingNetwork, n_copies: int, period: int) -> Layout:
    """Lay out a network for `n_copies` images side by side, a new one each `period` phases."""
    layers, groups = _layers(network, n_copies)
    tables = _Tables()
    routes = [_feed_forward(network, p, layers, n_copies, tables) for p in network.projections]
    delays = [p.delays for p in network.projections]
    connections = [p.name for p in network.projections]
    has_axon = [
        np.diff(p.matrix.indptr) > 0 if isinstance(p, SparseProjection) else None
        for p in network.projections
    ]
    for population in network.populations:
        if population.inhibition.any():
            routes.append(_lateral(population, layers[population.name], n_copies, tables))
            delays.append(np.where(np.any(population.inhibition != 0, axis=0), 0, -1))
            connections.append(f"{population.name} inhibition")
            has_axon.append(None)
    starts = np.cumsum([0, *(len(own) for own in delays)])
    # Behind the last entry of a table there is a zero, so that none is empty.
    none = np.zeros(1, dtype=np.int32)
    return Layout(
        sizes=Sizes(
            groups=len(groups),
            routes=len(routes),
            layers=len(layers),
            copies=n_copies,
            pending=_n_pending(layers, n_copies) + 1 if network.neurons[0].is_chain else 0,
            readout_rows=network.readout.n_rows,
            phase_steps=network.phase_steps,
            phases=network.n_phases,
            period=period,
            every=network.readout.every,
            steps=-(-network.n_phases // network.readout.every),
            words=sum(_words(group.size) for group in groups),
        ),
        groups=groups,
        layers=tuple(layers.values()),
        routes=tuple(
            route._replace(delays_start=int(start))
            for route, start in zip(routes, starts, strict=False)
        ),
        connections=tuple(connections),
        weights=np.concatenate(tables.weights),
        packed=np.concatenate([*tables.packed, np.zeros(LANES, dtype=np.int16)]),
        gains=np.concatenate(tables.gains),
        signs=_packed(np.concatenate(tables.signs)),
        columns=np.concatenate([*tables.columns, none]),
        places=np.concatenate([*tables.places, none]),
        has_axon=tuple(has_axon),
        delays=tuple(delays),
        unit_volt=network.unit_volt,
    )


def _words(n_neurons: int) -> int:
    """Numbers of 32 bits with a bit for each neuron, and one more."""
    return n_neurons // 32 + 2


def kernel_bytes(network: SpikingNetwork) -> int:
    """Memory of all weights in a run.

    Two, four or eight bytes a real weight, a bit a binary one, and four bytes more a sparse one.
    """
    layout = lay_out(network, 1, network.n_phases)
    real = narrowest(layout.weights * layout.unit_volt)
    has_columns = any(route.kind == SPARSE for route in layout.routes)
    return int(
        real.nbytes
        + layout.packed[:-LANES].nbytes
        + layout.signs[:-SPARE_SIGNS].nbytes
        + (layout.columns.nbytes if has_columns else 0)
    )


def _layers(network: SpikingNetwork, n_copies: int) -> tuple[dict[str, Layer], tuple[Group, ...]]:
    """Layers by name, and the groups."""
    kinds = [kind.name for kind in network.neurons]
    arrays = _first_arrays(network)
    group_sizes = [0] * len(kinds)
    layers: dict[str, Layer] = {}
    for population in network.populations:
        group = kinds.index(population.neurons)
        layers[population.name] = Layer(
            group=group,
            array=arrays[group],
            offset=group_sizes[group],
            units=population.n_units,
            positions=population.n_positions,
            onset=population.onset,
            pending_start=_n_pending(layers, n_copies),
        )
        group_sizes[group] += population.n_neurons * n_copies
    first_words = np.cumsum([0, *map(_words, group_sizes)])
    groups = (
        Group(size, int(first)) for size, first in zip(group_sizes, first_words, strict=False)
    )
    return layers, tuple(groups)


def _n_pending(layers: Mapping[str, Layer], n_copies: int) -> int:
    """Numbers that hold inhibition on its way: one a pair of neurons of a unit but neighbours."""
    pairs = (math.comb(layer.positions - 1, 2) * layer.units for layer in layers.values())
    return sum(pairs) * n_copies


def _first_arrays(network: SpikingNetwork) -> list[int]:
    """Place of each group's first afferent variable in State::targets, then the read-out's."""
    counts = [len(kind.afferents) for kind in network.neurons]
    return [sum(counts[:group]) for group in range(len(counts) + 1)]


def _lateral(population: Population, layer: Layer, n_copies: int, tables: _Tables) -> Route:
    """Route of the inhibition between the neurons of a unit, with its weights."""
    route = Route(
        kind=LATERAL,
        group=layer.group,
        offset=layer.offset,
        block=layer.units * n_copies,
        units=layer.units,
        positions=layer.positions,
        kernel_start=_start(tables.weights),
        pending_start=layer.pending_start,
    )
    # Row: position that spikes; column: position that it inhibits.
    tables.weights.append(population.inhibition.T.ravel())
    return route


def _feed_forward(
    network: SpikingNetwork,
    p: AnyProjection,
    layers: Mapping[str, Layer],
    n_copies: int,
    tables: _Tables,
) -> Route:
    """Route of a projection, with its weights and gains."""
    route = _route(network, p, layers, n_copies)
    route = route._replace(gain_start=_start(tables.gains))
    if isinstance(p, WindowProjection):
        tables.gains.append(p.gains)
        route = route._replace(
            kernel_start=_start(tables.weights), places_start=_start(tables.places)
        )
        tables.weights.append(np.array([p.weight]))
        tables.places += _windows_of_places(p)
        return route
    if isinstance(p, SparseProjection):
        tables.gains.append(p.gains)
        route = route._replace(
            kernel_start=_start(tables.weights), columns_start=_start(tables.columns)
        )
        tables.weights.append(p.weights)
        tables.columns += [
            np.asarray(a, dtype=np.int32) for a in (p.matrix.indptr, p.matrix.indices)
        ]
        return route
    kernel = _by_source_channel(p.kernel, p.groups)
    is_gathered = _can_be_gathered(p)
    if not p.is_binary and not (is_gathered and _can_be_packed(p)):
        tables.gains.append(p.gains)
        start = _start(tables.weights)
        tables.weights.append(kernel.ravel())
        return route._replace(kernel_start=start, tap=kernel.shape[-1])
    unit = 1.0 if p.is_binary else grid_step(p.kernel)
    tables.gains.append(p.gains * unit * network.unit_volt)
    filled = _filled_up(kernel / unit)
    route = route._replace(is_binary=int(p.is_binary), tap=filled.shape[-1])
    if is_gathered:
        route = route._replace(is_gathered=1, places_start=_start(tables.places))
        pooled = _pooled_places(p)
        tables.places += [pooled, pooled % p.pooled_shape[1], _fan_out_of_pooled(p)]
    if p.is_binary:
        start = _start(tables.signs)
        tables.signs.append(filled.ravel() > 0)
    else:
        start = _start(tables.packed)
        tables.packed.append(filled.ravel().astype(np.int16))
    return route._replace(kernel_start=start)


def _filled_up(kernel: Array) -> Array:
    """With zeros behind the output channels, up to a multiple of `LANES`."""
    more = -kernel.shape[-1] % LANES
    return np.pad(kernel, [(0, 0)] * (kernel.ndim - 1) + [(0, more)])


def _can_be_gathered(p: Projection) -> bool:
    """Whether a row of the kernel reads one stretch of the source: every place has one window."""
    if p.groups > 1 or p.dilation != (1, 1):
        return False
    return all(size <= stride for size, stride in zip(p.pool, p.pool_stride, strict=True))


def _can_be_packed(p: Projection) -> bool:
    """Whether weights are whole multiples of a grid, in 16 bits, and their sums fit 32."""
    unit = grid_step(p.kernel)
    if np.isinf(unit):
        return False
    whole = np.abs(p.kernel / unit)
    n_pooled = p.pool[0] * p.pool[1]
    largest_sum = n_pooled * whole.sum(axis=(0, 1, 2)).max()
    return bool(whole.max() < 2**15 and largest_sum < 2**31)


def _pooled_places(p: Projection) -> NDArray[np.int32]:
    """Pooled place whose window holds each place of the source, or -1."""
    ways = []
    for axis in (0, 1):
        at = np.arange(p.source_shape[axis]) + p.pool_padding[2 * axis]
        pooled, within = np.divmod(at, p.pool_stride[axis])
        is_held = (within < p.pool[axis]) & (pooled >= 0) & (pooled < p.pooled_shape[axis])
        ways.append(np.where(is_held, pooled, -1))
    rows, columns = ways[0][:, None], ways[1][None, :]
    places = np.where((rows < 0) | (columns < 0), -1, rows * p.pooled_shape[1] + columns)
    return places.ravel().astype(np.int32)


def _windows_of_places(p: WindowProjection) -> list[NDArray[np.int32]]:
    """Number of lists; then lists with an entry for each place of the source.

    An entry is window * places of a window + place within it, or -1. There are as many lists as
    windows that hold the same place.
    """
    (rows, height), (columns, width) = zip(p.pool_stride, p.source_shape, strict=False)
    top, left = p.pool_padding[::2]
    found: list[list[int]] = [[] for _ in range(height * width)]
    for number, window in enumerate(np.ndindex(p.target_shape[:2])):
        for within, (i, j) in enumerate(np.ndindex(p.pool)):
            y, x = window[0] * rows - top + i, window[1] * columns - left + j
            if 0 <= y < height and 0 <= x < width:
                found[y * width + x].append(number * p.pool[0] * p.pool[1] + within)
    most = max(map(len, found))
    lists = np.full((most, height * width), -1, dtype=np.int32)
    for place, entries in enumerate(found):
        lists[: len(entries), place] = entries
    return [np.array([most], dtype=np.int32), lists.ravel()]


def _fan_out_of_pooled(p: Projection) -> NDArray[np.int32]:
    """Targets of a spike at each pooled place."""
    ways = []
    for axis in (0, 1):
        taps = np.arange(p.output_shape[axis])[:, None] * p.stride[axis] - p.padding[2 * axis]
        taps = (taps + np.arange(p.kernel.shape[axis])).ravel()
        inside = taps[(taps >= 0) & (taps < p.pooled_shape[axis])]
        ways.append(np.bincount(inside, minlength=p.pooled_shape[axis]))
    return (np.outer(*ways) * p.kernel.shape[3]).ravel().astype(np.int32)


def _route(
    network: SpikingNetwork, p: AnyProjection, layers: Mapping[str, Layer], n_copies: int
) -> Route:
    """Geometry and timing of a projection's route."""
    source, every = layers[p.source], network.readout.every
    height, width, channels = p.source_shape
    base = Route(
        kind=SPARSE,
        group=source.group,
        offset=source.offset,
        block=source.units * n_copies,
        units=source.units,
        positions=source.positions,
        height=height,
        width=width,
        channels=channels,
        target_channels=p.target_shape[2],
        # Layers release the spikes of a step in the last of its phases.
        first_phase=source.onset + every - 1 + int(p.delays.min()) // network.phase_steps,
    )
    return base._replace(**_end(network, p, layers), **_geometry(p))


def _end(network: SpikingNetwork, p: AnyProjection, layers: Mapping[str, Layer]) -> dict[str, int]:
    """Where a route ends."""
    if p.target == READOUT:
        return {
            "array": _first_arrays(network)[-1],
            "target_units": network.readout.n_classes,
            "readout_row": max(layers[p.source].onset - network.readout.onset, 0),
        }
    target = layers[p.target]
    array = target.array + (0 if isinstance(p, WindowProjection) else p.afferent)
    return {"array": array, "target_offset": target.offset, "target_units": target.units}


def _geometry(p: AnyProjection) -> dict[str, int]:
    """Windows and kernel of a route."""
    if isinstance(p, SparseProjection):
        return {}
    pool = {
        **_pair("pool", p.pool),
        **_pair("pool_stride", p.pool_stride),
        **_pair("pool_pad", p.pool_padding[::2]),
    }
    if isinstance(p, WindowProjection):
        return {"kind": WINDOW, **pool, **_pair("pooled", p.target_shape)}
    return {
        "kind": CONVOLUTION,
        **pool,
        **_pair("pooled", p.pooled_shape),
        **_pair("kernel", p.kernel.shape),
        **_pair("stride", p.stride),
        **_pair("pad", p.padding[::2]),
        **_pair("dilation", p.dilation),
        "groups": p.groups,
        **_pair("out", p.output_shape),
        "out_channels": p.output_shape[2],
        "first_channel": p.channel,
    }


def _pair(name: str, values: Sequence[int]) -> dict[str, int]:
    return {f"{name}_h": int(values[0]), f"{name}_w": int(values[1])}


def _by_source_channel(kernel: Array, groups: int) -> Array:
    """Kernel as delivery.h reads it: source channel, row, column from last to first, output."""
    rows, columns, in_per_group, n_out = kernel.shape
    split = kernel[:, ::-1].reshape(rows, columns, in_per_group, groups, n_out // groups)
    return split.transpose(3, 2, 0, 1, 4)


def _packed(signs: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Bits, the lowest of each number first, and `SPARE_SIGNS` numbers of zeros behind the last."""
    bits = np.zeros((-(-signs.size // 32) + SPARE_SIGNS) * 32, dtype=bool)
    bits[: signs.size] = signs
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)
