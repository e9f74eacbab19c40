"""Where everything of a network lies in the arrays of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..dyadic import narrowest
from ..spiking.network import READOUT, SpikingNetwork
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
