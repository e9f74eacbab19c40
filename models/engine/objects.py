"""The Brian2 objects of a run, which a user's ``change`` may alter."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from brian2 import (
    Clock,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    get_unit,
    have_same_dimensions,
    second,
)
from brian2 import Network as BrianNetwork
from numpy.typing import NDArray

from ..arrays import Array, Integers
from .layout import Layout

OFF_GRID = 1e-6  # of a step: rounding errors of times


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Objects:
    """The Brian2 objects of a run, before it starts.

    Parameters
    ----------
    neurons : dict of str to brian2.NeuronGroup
        Neurons of each type; order: layer, position, copy, unit.
    shared : dict of str to ndarray, shape (1,)
        By type and name, ``"burst.limit"``: what is one number for all neurons of a type.
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
    clocks : tuple of brian2.Clock
        That tick once a step, a phase and an image; kept here, since Brian2 holds them weakly.
    layout : Layout
        Where the neurons and axons of each layer stand in them.
    delays : list of ndarray of int, shape (n_positions,) or (n_positions, n_units)
        Of each connection of the layout in steps, -1 for no axon. :meth:`delay`, :meth:`set_delay`
        and :meth:`cut` read and change them.
    """

    neurons: dict[str, NeuronGroup]
    shared: dict[str, NDArray]
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
    clocks: tuple[Clock, ...]
    layout: Layout
    delays: list[Integers]

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
            If there is no such connection, the message lists those there are; or if a neuron has
            axons of several delays.
        """
        first, *others = self._routes(connection)
        steps, known = self._by_neuron(first), self._has_axon(first)
        for number in others:
            own, is_there = self._by_neuron(number), self._has_axon(number)
            if (own != steps)[:, is_there & known].any():
                raise ValueError(f"{connection}: its neurons have axons of several delays each")
            steps[:, is_there] = own[:, is_there]
            known = known | is_there
        return steps[steps >= 0] * self._dt

    def _has_axon(self, number: int) -> NDArray[np.bool_]:
        """Source units whose spikes a route carries, shape (n_units,)."""
        own = self.layout.has_axon[number]
        return np.ones(self.layout.routes[number].units, dtype=bool) if own is None else own

    def set_delay(self, connection: str, delay: Quantity) -> None:
        """Set the delays of the axons of a connection, in all copies and on every target.

        Parameters
        ----------
        connection : str
            As for :meth:`delay`.
        delay : brian2.Quantity
            A time, or one for each source neuron. Where neurons of a layer differ, each gets an
            axon of its own, which takes more time than one for all.

        Raises
        ------
        ValueError
            If there is no such connection, or a delay is not a time of at least 0.

        Warns
        -----
        UserWarning
            If a delay is no whole number of steps: the nearest is taken, half a step up. Brian2
            would round in silence, and a half differently in its own modes.
        """
        n_neurons = int((self._by_neuron(self._routes(connection)[0]) >= 0).sum())
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
        step = float(self._dt / second)
        taken = np.floor(seconds / step + (0.5 + OFF_GRID))
        self._tell_rounding(connection, seconds, taken * step)
        for number in self._routes(connection):
            steps = self._by_neuron(number)
            steps[steps >= 0] = taken.astype(np.int64)
            is_one_a_position = (steps == steps[:, :1]).all()
            self.delays[number] = steps[:, 0] if is_one_a_position else steps

    def cut(self, connection: str) -> None:
        """Take a connection away: a lesion.

        Parameters
        ----------
        connection : str
            As for :meth:`delay`.

        Raises
        ------
        ValueError
            If there is no such connection.
        """
        for number in self._routes(connection):
            self.delays[number] = np.full(self.layout.routes[number].positions, -1)

    @property
    def individual(self) -> tuple[str, ...]:
        """Connections whose source neurons have delays, and axons, of their own."""
        numbers = (number for number, steps in enumerate(self.delays) if steps.ndim == 2)
        return tuple(dict.fromkeys(self.layout.connections[number] for number in numbers))

    def _tell_rounding(self, connection: str, asked_s: Array, taken_s: Array) -> None:
        """Warn where delays were moved to the grid."""
        step = float(self._dt / second)
        is_moved = np.abs(asked_s - taken_s) > OFF_GRID * step
        if not is_moved.any():
            return
        asked, taken = (1e3 * delays[is_moved].flat[0] for delays in (asked_s, taken_s))
        others = np.count_nonzero(is_moved) - 1
        warnings.warn(
            f"{connection}: a delay of {asked:g} ms is no whole number of steps of {1e3 * step:g} "
            f"ms; {taken:g} ms is taken" + (f", and so for {others:,} more" if others else ""),
            stacklevel=3,
        )

    @property
    def _dt(self) -> Quantity:
        """Length of a step; the read-out and the copies tick once a phase."""
        return next(iter(self.neurons.values())).dt

    def _by_neuron(self, number: int) -> Integers:
        """Delay of each neuron of a route's source, shape (n_positions, n_units)."""
        steps, route = self.delays[number], self.layout.routes[number]
        return np.array(
            np.broadcast_to(steps.reshape(route.positions, -1), (route.positions, route.units))
        )

    def _routes(self, connection: str) -> list[int]:
        """Numbers of the routes of that name that are not cut."""
        names = dict.fromkeys(
            name
            for name, steps in zip(self.layout.connections, self.delays, strict=True)
            if (steps >= 0).any()
        )
        if connection not in names:
            raise ValueError(f"no connection {connection!r}; there are {', '.join(names)}")
        return [number for number, name in enumerate(self.layout.connections) if name == connection]
