"""Where everything of a network lies in the arrays of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Integers
from ..dyadic import narrowest
from ..networks.layers import window_count
from ..spiking.network import READOUT, Population, SpikingNetwork
from ..spiking.projections import Projection, WindowProjection

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

    sources: Integers
    routes: Integers
    delays: Integers


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Layout:
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
    connections : tuple of str
        Name of each route; two paths between the same layers have the same.
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
    connections: tuple[str, ...]
    weights: Array
    gains: Array
    signs: NDArray[np.int32]
    axons: tuple[Axons, ...]
    unit_volt: float

    def __repr__(self) -> str:
        return (
            f"Layout({len(self.layers)} layers, {len(self.routes)} routes, {self.n_copies} copies, "
            f"{sum(self.group_sizes):,} neurons)"
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
    """Weights, gains and signs of the routes, and the axons of each group, while they grow."""

    def __init__(self, n_groups: int) -> None:
        self.weights: list[Array] = [np.zeros(0)]
        self.gains: list[Array] = [np.zeros(0)]
        self.signs: list[NDArray[np.bool_]] = [np.zeros(0, dtype=bool)]
        self.axons: list[list[Axons]] = [[] for _ in range(n_groups)]

    def add_axons(self, group: int, neurons: Integers, route: int, delays: Integers) -> None:
        self.axons[group].append(Axons(neurons, np.full(neurons.size, route), delays))

    def all_axons(self) -> tuple[Axons, ...]:
        none = np.zeros(0, dtype=np.int64)
        return tuple(
            Axons(
                sources=np.concatenate([none, *(axons.sources for axons in parts)]),
                routes=np.concatenate([none, *(axons.routes for axons in parts)]),
                delays=np.concatenate([none, *(axons.delays for axons in parts)]),
            )
            for parts in self.axons
        )


def _start(parts: Sequence[NDArray]) -> int:
    """Where the next of several arrays begins."""
    return sum(part.size for part in parts)


def lay_out(network: SpikingNetwork, n_copies: int, period: int) -> Layout:
    """Lay out a network for `n_copies` images side by side, a new one each `period` phases."""
    layers, group_sizes = _layers(network, n_copies)
    tables = _Tables(len(group_sizes))
    routes = [_feed_forward(network, p, layers, n_copies, tables) for p in network.projections]
    for number, (p, route) in enumerate(zip(network.projections, routes, strict=True)):
        neurons = route.offset + np.arange(route.positions * route.block)
        group = layers[p.source].group
        tables.add_axons(group, neurons, number, np.repeat(p.delays, route.block))
    connections = [p.name for p in network.projections]
    for population in network.populations:
        if population.inhibition.any():
            layer = layers[population.name]
            routes.append(_lateral(population, layer, n_copies, len(routes), tables))
            connections.append(f"{population.name} inhibition")
    chained = [
        size for size, kind in zip(group_sizes, network.neurons, strict=True) if kind.is_chain
    ]
    return Layout(
        sizes=Sizes(
            layers=len(layers),
            copies=n_copies,
            chained=sum(chained),
            rows=max(layer.positions for layer in layers.values()),
            readout_rows=network.readout.n_rows,
            phase_steps=network.phase_steps,
            phases=network.n_phases,
            period=period,
            every=network.readout.every,
            steps=-(-network.n_phases // network.readout.every),
        ),
        group_sizes=group_sizes,
        layers=tuple(layers.values()),
        routes=tuple(routes),
        connections=tuple(connections),
        weights=np.concatenate(tables.weights),
        gains=np.concatenate(tables.gains),
        signs=_packed(np.concatenate(tables.signs)),
        axons=tables.all_axons(),
        unit_volt=network.unit_volt,
    )


def kernel_bytes(network: SpikingNetwork) -> int:
    """Memory of all kernels in a run: four or eight bytes a real weight, a bit a binary one."""
    layout = lay_out(network, 1, network.n_phases)
    real = narrowest(layout.weights * layout.unit_volt)
    has_signs = any(route.is_binary for route in layout.routes)
    return int(real.nbytes + (layout.signs.nbytes if has_signs else 0))


def _layers(network: SpikingNetwork, n_copies: int) -> tuple[dict[str, Layer], tuple[int, ...]]:
    """Layers by name, and the size of each group."""
    kinds = [kind.name for kind in network.neurons]
    arrays = _first_arrays(network)
    group_sizes = [0] * len(kinds)
    layers = {}
    for population in network.populations:
        group = kinds.index(population.neurons)
        layers[population.name] = Layer(
            group=group,
            array=arrays[group],
            offset=group_sizes[group],
            units=population.n_units,
            positions=population.n_positions,
            onset=population.onset,
        )
        group_sizes[group] += population.n_neurons * n_copies
    return layers, tuple(group_sizes)


def _first_arrays(network: SpikingNetwork) -> list[int]:
    """Place of each group's first afferent variable in State::targets, then the read-out's."""
    counts = [len(kind.afferents) for kind in network.neurons]
    return [sum(counts[:group]) for group in range(len(counts) + 1)]


def _lateral(
    population: Population, layer: Layer, n_copies: int, number: int, tables: _Tables
) -> Route:
    """Route of the inhibition between the neurons of a unit, with its weights and axons."""
    h = population.inhibition
    block = layer.units * n_copies
    route = Route(
        kind=LATERAL,
        offset=layer.offset,
        block=block,
        units=layer.units,
        positions=layer.positions,
        kernel_start=_start(tables.weights),
    )
    tables.weights.append(h.T.ravel())  # row: position that spikes; column: position it inhibits
    sources = np.flatnonzero(np.any(h != 0, axis=0))
    neurons = (layer.offset + sources[:, None] * block + np.arange(block)).ravel()
    tables.add_axons(layer.group, neurons, number, np.zeros(neurons.size, dtype=np.int64))
    return route


def _feed_forward(
    network: SpikingNetwork,
    p: Projection | WindowProjection,
    layers: Mapping[str, Layer],
    n_copies: int,
    tables: _Tables,
) -> Route:
    """Route of a projection, with its weights and gains."""
    is_binary = isinstance(p, Projection) and p.is_binary
    start = _start(tables.signs if is_binary else tables.weights)
    gain_start = _start(tables.gains)
    if isinstance(p, WindowProjection):
        tables.weights.append(np.array([p.weight]))
    else:
        kernel = _by_source_channel(p.kernel, p.groups).ravel()
        if is_binary:
            tables.signs.append(kernel > 0)
        else:
            tables.weights.append(kernel)
    tables.gains.append(p.gains * (network.unit_volt if is_binary else 1.0))
    array = _first_arrays(network)[-1] if p.target == READOUT else layers[p.target].array
    return _geometry(network, p, layers, n_copies)._replace(
        is_binary=int(is_binary), kernel_start=start, gain_start=gain_start, array=array
    )


def _geometry(
    network: SpikingNetwork,
    p: Projection | WindowProjection,
    layers: Mapping[str, Layer],
    n_copies: int,
) -> Route:
    """Geometry and timing of a projection's route."""
    source = layers[p.source]
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
        **_pair("pool_pad", p.pool_padding[::2]),  # what follows the map is in the output's size
        "first_phase": first,
    }
    if isinstance(p, WindowProjection):
        return Route(
            kind=WINDOW,
            **_pair("pooled", p.target_shape[:2]),
            out_channels=p.source_shape[2],
            target_offset=layers[p.target].offset,
            target_units=layers[p.target].units,
            **common,
        )
    rows, columns = p.kernel.shape[:2]
    height, width = window_count(p.pooled_shape[:2], (rows, columns), p.stride, p.padding)
    to_readout = p.target == READOUT
    return Route(
        kind=TO_READOUT if to_readout else CONVOLUTION,
        **_pair("pooled", p.pooled_shape[:2]),
        **_pair("kernel", p.kernel.shape[:2]),
        **_pair("stride", p.stride),
        **_pair("pad", p.padding[::2]),
        groups=p.groups,
        out_h=height,
        out_w=width,
        out_channels=p.kernel.shape[3],
        target_offset=0 if to_readout else layers[p.target].offset,
        target_units=network.readout.n_classes if to_readout else layers[p.target].units,
        readout_row=max(source.onset - network.readout.onset, 0) if to_readout else 0,
        **common,
    )


def _pair(name: str, values: Sequence[int]) -> dict[str, int]:
    return {f"{name}_h": int(values[0]), f"{name}_w": int(values[1])}


def _by_source_channel(kernel: Array, groups: int) -> Array:
    """Kernel as delivery.h reads it: source channel, row, column from last to first, output."""
    rows, columns, in_per_group, n_out = kernel.shape
    split = kernel[:, ::-1].reshape(rows, columns, in_per_group, groups, n_out // groups)
    return split.transpose(3, 2, 0, 1, 4)


def _packed(signs: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Bits, the lowest of each number first, and a number of zeros behind the last."""
    bits = np.zeros((-(-signs.size // 32) + 1) * 32, dtype=bool)
    bits[: signs.size] = signs
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)
