"""The Brian2 objects of a run, which a user's ``change`` may alter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Network as BrianNetwork
from brian2 import (
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    get_unit,
    have_same_dimensions,
    second,
)

from ..arrays import Array
from .layout import Layout


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Objects:
    """The Brian2 objects of a run, before it starts.

    Parameters
    ----------
    neurons : dict of str to brian2.NeuronGroup
        Neurons of each type; order: layer, position, copy, unit.
    axons : dict of str to brian2.Synapses
        By type of the source: one synapse per neuron and route. :meth:`delay` and
        :meth:`set_delay` read and set their delays.
    readout : brian2.NeuronGroup
        Class scores; it has no threshold.
    copies : brian2.NeuronGroup
        One entry for each image side by side: how many images it gets.
    tally : brian2.NeuronGroup
        Spikes that arrived and targets that they reached, by route and step of the read-out.
    stimuli : tuple of brian2.TimedArray
        What each image sets, one row for each image in turn.
    injections : tuple of brian2.TimedArray
        What is injected, one row for each phase.
    scores : brian2.StateMonitor
        Class scores of every phase.
    spikes, traces, ends : dict of str to brian2 monitors
        By type, where asked for: spikes, membranes of chosen neurons in every step, and of
        whole layers at the end of each image.
    network : brian2.Network
        All of them together.
    layout : Layout
        Where the neurons and axons of each layer stand in them.
    delays_s : dict of str to ndarray
        Delay of every axon of each type in seconds.
    """

    neurons: dict[str, NeuronGroup]
    axons: dict[str, Synapses]
    readout: NeuronGroup
    copies: NeuronGroup
    tally: NeuronGroup
    stimuli: tuple[TimedArray, ...]
    injections: tuple[TimedArray, ...]
    scores: StateMonitor
    spikes: dict[str, SpikeMonitor]
    traces: dict[str, StateMonitor]
    ends: dict[str, StateMonitor]
    network: BrianNetwork
    layout: Layout
    delays_s: dict[str, Array]

    def __repr__(self) -> str:
        groups = ", ".join(f"{len(group):,} {name}" for name, group in self.neurons.items())
        connections = ", ".join(dict.fromkeys(self.layout.connections))
        return f"Objects({groups} neurons; connections {connections})"

    def delay(self, connection: str) -> Quantity:
        """Delays of the axons of a connection.

        Parameters
        ----------
        connection : str
            ``"source->target"``, or ``"layer inhibition"``.

        Returns
        -------
        brian2.Quantity, shape (n_neurons,)
            Of each source neuron that has such an axon, index as in
            :class:`~models.spiking.recording.Spikes`.

        Raises
        ------
        ValueError
            If there is no such connection; the message lists those there are.
        """
        kind, route = self._routes(connection)[0]
        chosen = self.layout.axons[self._group(kind)].routes == route
        return self._by_copy(self.delays_s[kind][chosen], route)[:, 0].ravel() * second

    def set_delay(self, connection: str, delay: Quantity) -> None:
        """Set the delays of the axons of a connection, in all copies and on every target.

        Parameters
        ----------
        connection : str
            As for :meth:`delay`.
        delay : brian2.Quantity
            A time in whole steps, or one for each source neuron.

        Raises
        ------
        ValueError
            If there is no such connection, or a delay is not a time of at least 0, or no whole
            number of steps, which Brian2 would round.
        """
        n_neurons = self.delay(connection).size
        if not have_same_dimensions(delay, second):
            raise ValueError(
                f"{connection}: a delay is a time, not in {get_unit(delay.dim)!s}"
                if isinstance(delay, Quantity)
                else f"{connection}: a delay has a unit, 2*ms say, got {delay!r}"
            )
        seconds = np.asarray(delay / second, dtype=np.float64)
        if seconds.shape not in ((), (n_neurons,)):
            raise ValueError(
                f"{connection}: {seconds.shape} delays, where one or {n_neurons} are needed"
            )
        if not (np.isfinite(seconds) & (seconds >= 0)).all():
            raise ValueError(f"{connection}: a delay is a time of at least 0 s")
        step = float(self.readout.dt / second)
        parts = seconds.ravel()[np.abs(seconds / step - np.round(seconds / step)).ravel() > 1e-6]
        if parts.size:
            raise ValueError(
                f"{connection}: a delay is a whole number of steps of {1e3 * step:g} ms, got "
                f"{1e3 * parts[0]:g} ms"
            )
        for kind, route in self._routes(connection):
            chosen = self.layout.axons[self._group(kind)].routes == route
            values = self._by_copy(self.delays_s[kind][chosen], route)
            values[:] = np.broadcast_to(seconds, n_neurons).reshape(len(values), 1, -1)
            self.delays_s[kind][chosen] = values.ravel()
            self.axons[kind].delay = self.delays_s[kind] * second

    def _by_copy(self, values: Array, route: int) -> Array:
        """Values of a route's axons, shape (n_positions, n_copies, n_units)."""
        return values.reshape(-1, self.layout.n_copies, self.layout.routes[route].units)

    def _group(self, kind: str) -> int:
        return list(self.neurons).index(kind)

    def _routes(self, connection: str) -> list[tuple[str, int]]:
        """Type of the source and number of each route of that name."""
        found = []
        for number, name in enumerate(self.layout.connections):
            if name == connection:
                for kind, axons in zip(self.neurons, self.layout.axons, strict=True):
                    if (axons.routes == number).any():
                        found.append((kind, number))
        if not found:
            names = ", ".join(dict.fromkeys(self.layout.connections))
            raise ValueError(f"no connection {connection!r}; there are {names}")
        return found
