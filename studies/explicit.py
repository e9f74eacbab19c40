"""The same network with explicit Brian2 synapses: what the shared kernels are measured against.

Every weight becomes one synapse per position of its source, with a weight and a delay of its own,
as any Brian2 user would write it; neurons, equations and spikes stay the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from brian2 import BrianLogger, Synapses, ms, volt

from models.assembly import Objects
from models.delivery import TO_READOUT, plan
from models.spiking import READOUT, UNIT_VOLT, Projection, SpikingNetwork


def without_connections(objects: Objects) -> None:
    """Take the axons out of a simulation: a ``change`` for :func:`models.simulation.simulate`."""
    BrianLogger.suppress_name("unused_brian_object")
    objects.network.remove(objects.axons)


def with_explicit_synapses(network: SpikingNetwork) -> Callable[[Objects], None]:
    """Return a ``change`` that replaces the axons by explicit synapses, for one image at a time.

    Parameters
    ----------
    network : SpikingNetwork
        The network that is simulated, with ``batch=1``.
    """
    layout = plan(network, 1)

    def change(objects: Objects) -> None:
        without_connections(objects)
        dt = network.dt_ms * ms
        forward: list[tuple[np.ndarray, ...]] = []
        output: list[tuple[np.ndarray, ...]] = []
        for projection, route in zip(network.projections, layout.routes, strict=False):
            unit, target, weight = unrolled(projection)
            for position in range(route.positions):
                source = route.offset + position * route.units + unit
                at = route.target_offset + target
                if route.kind == TO_READOUT:
                    at = at + (position + route.readout_shift) * route.target_units
                delay = np.full(unit.size, projection.delays[position])
                entry = (source, at, weight * projection.gains[position], delay)
                (output if projection.target == READOUT else forward).append(entry)
        lateral = [
            (
                source,
                source + lag * layer.units,
                np.full(layer.units, weight),
                np.full(layer.units, lag - 1),
            )
            for population, layer in zip(network.populations, layout.layers, strict=True)
            for (later, earlier), weight in np.ndenumerate(population.inhibition)
            if weight != 0
            for lag in (later - earlier,)
            for source in (layer.offset + earlier * layer.units + np.arange(layer.units),)
        ]
        for name, variable, target, entries in (
            ("forward", "drive", objects.neurons, forward),
            ("lateral_synapses", "inhibition", objects.neurons, lateral),
            ("output", "score", objects.readout, output),
        ):
            i, j, weight, delay = (np.concatenate(column) for column in zip(*entries, strict=True))
            synapses = Synapses(
                objects.neurons,
                target,
                "w : volt (constant)",
                on_pre=f"{variable}_post += w",
                namespace={},
                dt=dt,
                name=name,
            )
            synapses.connect(i=i, j=j)
            synapses.w = weight * UNIT_VOLT * volt
            synapses.delay = delay * dt
            objects.network.add(synapses)

    return change


def unrolled(projection: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source units, target units and weights of all synapses of one position."""
    n_source = int(np.prod(projection.source_shape))
    ones = np.ones_like(projection.kernel)
    columns: list[tuple[np.ndarray, ...]] = []
    for start in range(0, n_source, 64):
        unit = np.arange(start, min(start + 64, n_source))
        alone = np.zeros((unit.size, n_source))
        alone[np.arange(unit.size), unit] = 1.0
        source, target = np.nonzero(projection.forward(alone, ones))
        weight = projection.forward(alone)[source, target]
        columns.append((unit[source], target, weight))
    source, target, weight = (np.concatenate(column) for column in zip(*columns, strict=True))
    return source, target, weight
