"""The same network with explicit Brian2 synapses: what the shared kernels are measured against.

Every weight becomes one synapse per position of its source, with a weight of its own, and a delay
of its own where they are not all the same, as any Brian2 user would write it; neurons, equations
and spikes stay the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from ann2brian.models.engine.layout import lay_out
from ann2brian.models.engine.objects import Objects
from ann2brian.models.spiking.network import READOUT, SpikingNetwork
from ann2brian.models.spiking.projections import WeightedProjection, WindowProjection
from brian2 import Synapses, second, volt


def without_connections(objects: Objects) -> None:
    """Take the connections out of a simulation: a ``change`` for `simulate`."""
    for connection in dict.fromkeys(objects.layout.connections):
        objects.cut(connection)


def with_explicit_synapses(network: SpikingNetwork) -> Callable[[Objects], None]:
    """Return a ``change`` that replaces the axons by explicit synapses, for one image at a time.

    Parameters
    ----------
    network : SpikingNetwork
        The network that is simulated, with ``batch=1``.
    """
    layout = lay_out(network, 1, network.n_phases)
    kinds = {p.name: network.kind(p.neurons) for p in network.populations}
    layers = dict(zip(kinds, layout.layers, strict=True))

    def change(objects: Objects) -> None:
        without_connections(objects)
        dt = network.dt_s * second
        # (type of the source, type of the target or read-out, variable): synapses
        found: dict[tuple[str, str, str], list[tuple[np.ndarray, ...]]] = defaultdict(list)
        for projection, route in zip(network.projections, layout.routes, strict=False):
            source_kind = kinds[projection.source].name
            for variable, unit, target, weight in _synapses_of(network, projection):
                owner = READOUT if projection.target == READOUT else kinds[projection.target].name
                for position in range(route.positions):
                    source = route.offset + position * route.units + unit
                    at = route.target_offset + target
                    if projection.target == READOUT:
                        row = (position + route.readout_row) % network.readout.n_rows
                        at = at + row * route.target_units
                    delay = np.full(unit.size, projection.delays[position])
                    entry = (source, at, weight * projection.gains[position], delay)
                    found[source_kind, owner, variable].append(entry)
        for population in network.populations:
            layer, kind = layers[population.name], kinds[population.name].name
            for (later, earlier), weight in np.ndenumerate(population.inhibition):
                lag = later - earlier
                if weight != 0:
                    source = layer.offset + earlier * layer.units + np.arange(layer.units)
                    entry = (
                        source,
                        source + lag * layer.units,
                        np.full(layer.units, weight),
                        np.full(layer.units, lag - 1),
                    )
                    found[kind, kind, "inhibition"].append(entry)
        for number, ((source_kind, owner, variable), entries) in enumerate(found.items()):
            i, j, weight, delay = (np.concatenate(column) for column in zip(*entries, strict=True))
            is_common = (delay == delay[0]).all()  # then Brian2 keeps one queue entry a spike
            synapses = Synapses(
                objects.neurons[source_kind],
                objects.readout if owner == READOUT else objects.neurons[owner],
                "w : volt (constant)",
                on_pre=f"{variable}_post += w",
                delay=delay[0] * dt if is_common else None,
                namespace={},
                dt=dt,
                name=f"explicit_{number}",
            )
            synapses.connect(i=i, j=j)
            synapses.w = weight * network.unit_volt * volt
            if not is_common:
                synapses.delay = delay * dt
            objects.network.add(synapses)

    return change


def _synapses_of(
    network: SpikingNetwork, projection: WeightedProjection | WindowProjection
) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Variable of the target, source units, target units and weights; one entry a variable."""
    if projection.target == READOUT:
        variables: tuple[str, ...] = ("score",)
    else:
        variables = network.kind(network.population(projection.target).neurons).afferents
    if isinstance(projection, WeightedProjection):
        return [(variables[projection.afferent], *unrolled(projection))]
    number = 1.0 + np.arange(np.prod(projection.source_shape))  # 0 is padding
    places = projection.by_place(number[None])[0].astype(np.int64) - 1
    synapses = []
    for variable, source in zip(variables, places.T, strict=True):
        target = np.flatnonzero(source >= 0)
        weight = np.full(target.size, projection.weight)
        synapses.append((variable, source[target], target, weight))
    return synapses


def unrolled(projection: WeightedProjection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source units, target units and weights of all synapses of one position."""
    n_source = int(np.prod(projection.source_shape))
    connected = projection.with_weights(np.ones_like(projection.weights))
    columns: list[tuple[np.ndarray, ...]] = []
    for start in range(0, n_source, 64):
        unit = np.arange(start, min(start + 64, n_source))
        alone = np.zeros((unit.size, n_source))
        alone[np.arange(unit.size), unit] = 1.0
        source, target = np.nonzero(connected.forward(alone))
        weight = projection.forward(alone)[source, target]
        columns.append((unit[source], target, weight))
    source, target, weight = (np.concatenate(column) for column in zip(*columns, strict=True))
    return source, target, weight
