"""From the arrays of finished runs to a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import SpikeMonitor, get_device, mV, volt
from brian2.core.variables import ArrayVariable
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from numpy.typing import NDArray

from ..arrays import Array, Integers
from ..spiking.recording import RecordedLayer, Recording, Spikes
from .job import Job, Part
from .objects import Objects
from .spike_trains import AT_ONCE, Recorded, spike_trains


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Outcome:
    """What one part of the images gave, in the order of the images.

    Parameters
    ----------
    start : int
        Number of the first image in the data set.
    loop_s : float
        Wall time of the simulation loop.
    with_own_axons : tuple of str
        Connections whose neurons have axons of their own.
    received : ndarray, shape (n_images, n_steps, n_classes)
        What the read-out got in each step, in network units.
    counts : tuple of ndarray, shape (n_positions, n_units)
        Per layer: spikes of each neuron.
    most_spikes : int
        Largest number of spikes that any neuron fired for one image.
    arrivals, events : ndarray, shape (n_routes, n_steps)
        Spikes that arrived over each route, and the targets that they reached.
    spikes : Spikes or None
        Of the layers that are recorded.
    traces : dict of str to ndarray, shape (n_traced_neurons, n_steps)
        Membrane potential in mV, by type of neurons.
    ends : dict of str to ndarray, shape (n_images, n_neurons)
        Membrane potential in mV at the end of each image, by layer.
    """

    start: int
    loop_s: float
    with_own_axons: tuple[str, ...]
    received: Array
    counts: tuple[Integers, ...]
    most_spikes: int
    arrivals: Integers
    events: Integers
    spikes: Spikes | None
    traces: dict[str, Array]
    ends: dict[str, Array]

    @property
    def n_images(self) -> int:
        """Images of the part."""
        return len(self.received)


def outcome_of(job: Job, objects: Objects, part: Part, loop_s: float) -> Outcome:
    """Read the arrays of a finished run and put them in the order of the images.

    Raises
    ------
    RuntimeError
        If a variable is not 0 that must be, see :class:`~models.spiking.neuron_type.NeuronType`,
        or a potential is infinite or no number.
    """
    _require_sound(job, objects)
    layout = job.layout
    n_images = len(part.images)
    n_routes = len(layout.routes)
    tally = (-1, layout.sizes.steps)  # one row more where there is no route
    groups = objects.neurons.values()
    return Outcome(
        start=part.start,
        loop_s=loop_s,
        with_own_axons=objects.individual,
        received=_received(job, objects, n_images),
        counts=_counts(job, objects),
        most_spikes=max(
            int(np.max(counts[:]))
            for counts in (objects.copies.most_spikes, *(g.n_spikes - g.n_before for g in groups))
        ),
        arrivals=np.asarray(objects.tally.n_arrived[:]).reshape(tally)[:n_routes].astype(np.int64),
        events=np.asarray(objects.tally.n_reached[:]).reshape(tally)[:n_routes].astype(np.int64),
        spikes=_spikes(job, objects, part.place),
        traces={
            name: np.asarray(trace.v / volt, dtype=np.float64) / float(mV)
            for name, trace in objects.traces.items()
        },
        ends=_ends(job, objects, n_images),
    )


def _require_sound(job: Job, objects: Objects) -> None:
    """Refuse a run in which neurons were asked for more than they can do.

    A potential that is infinite once stays so, or becomes no number when the next image comes.
    """
    for kind in job.network.neurons:
        endless = np.flatnonzero(~np.isfinite(np.asarray(objects.neurons[kind.name].v[:])))
        if endless.size:
            raise RuntimeError(
                f"neurons of type {kind.name!r}: potentials grew beyond all numbers "
                f"({endless.size} of them); take shorter steps, or smaller weights or input"
            )
        for name, meaning in kind.must_be_zero.items():
            wrong = np.flatnonzero(np.asarray(getattr(objects.neurons[kind.name], name)[:]))
            if wrong.size:
                raise RuntimeError(
                    f"neurons of type {kind.name!r}: {meaning} ({wrong.size} of them)"
                )


def _copy_and_turn(job: Job, n_images: int) -> tuple[Integers, Integers]:
    """In which copy each image was shown, and as which one of that copy."""
    turn, copy = np.divmod(np.arange(n_images), job.layout.n_copies)
    return copy, turn


def _received(job: Job, objects: Objects, n_images: int) -> Array:
    """What the read-out got, shape (n_images, n_steps, n_classes)."""
    readout = job.network.readout
    recorded = objects.scores.v if readout.potentials else objects.scores.score
    score = np.asarray(recorded / (job.network.unit_volt * volt), dtype=np.float64)
    score = score.reshape(readout.n_rows, job.layout.n_copies, readout.n_classes, -1)
    copy, turn = _copy_and_turn(job, n_images)
    steps = np.arange(readout.n_steps)
    # What arrived in a phase is read at the start of the next.
    at = turn[:, None] * job.period + readout.onset + readout.every * steps + 1
    return score[steps % readout.n_rows, copy[:, None], :, at]


def _counts(job: Job, objects: Objects) -> tuple[Integers, ...]:
    """Spikes of each neuron, all copies together."""
    of_groups = {name: np.asarray(group.n_spikes[:]) for name, group in objects.neurons.items()}
    counts = []
    for index, population in enumerate(job.network.populations):
        layer = job.layout.layers[index]
        own = of_groups[population.neurons][job.layout.block(index)]
        own = own.reshape(layer.positions, job.layout.n_copies, layer.units)
        counts.append(own.sum(axis=1, dtype=np.int64))
    return tuple(counts)


def _ends(job: Job, objects: Objects, n_images: int) -> dict[str, Array]:
    """Potential in mV of recorded layers at each image's end, shape (n_images, n_neurons)."""
    turns = slice(1, 1 + job.depth)  # at its onset each image finds the end of the one before
    volts = {name: _left(monitor.variables["v"]) for name, monitor in objects.ends.items()}
    found = {}
    done = dict.fromkeys(volts, 0)
    for index in job.record if job.keeps_ends else ():
        population, layer = job.network.populations[index], job.layout.layers[index]
        kind, shape = population.neurons, (layer.positions, job.layout.n_copies, layer.units)
        part = slice(done[kind], done[kind] + int(np.prod(shape)))
        done[kind] = part.stop
        by_image = volts[kind][turns, part].reshape(-1, *shape).swapaxes(1, 2)
        mv = np.divide(by_image, float(mV), order="C", dtype=np.float64)  # some are held in single
        mv = mv.reshape(-1, population.n_neurons)
        found[population.name] = mv[:n_images]
    return found


def _left(variable: ArrayVariable) -> NDArray[Any]:
    """A monitor's variable after the run, by time and neuron; not read before it is used."""
    device = get_device()
    if not isinstance(device, CPPStandaloneDevice):
        return variable.get_value()
    path = Path(device.results_dir) / device.get_array_filename(variable)
    return np.memmap(path, variable.dtype, "r").reshape(-1, variable.size[1])


def _spikes(job: Job, objects: Objects, place: int) -> Spikes | None:
    """Spike trains, if any were recorded."""
    if not objects.spikes:
        return None
    recorded = {name: _recorded(monitor) for name, monitor in objects.spikes.items()}
    return spike_trains(job, recorded, place)


def _recorded(monitor: SpikeMonitor) -> Iterator[Recorded]:
    """Neurons and times in seconds of the spikes of a monitor, in pieces."""
    device, variables = get_device(), (monitor.variables["i"], monitor.variables["t"])
    if not isinstance(device, CPPStandaloneDevice):
        neurons, times_s = (variable.get_value() for variable in variables)
        yield neurons, times_s
        return
    # Brian2 would read the whole of each file, which may be much larger than what is kept of it.
    paths = [Path(device.results_dir) / device.get_array_filename(v) for v in variables]
    with paths[0].open("rb") as of_neurons, paths[1].open("rb") as of_times:
        while len(neurons := np.fromfile(of_neurons, variables[0].dtype, AT_ONCE)):
            yield neurons, np.fromfile(of_times, variables[1].dtype, AT_ONCE)


def recording_of(job: Job, outcomes: Sequence[Outcome], build_s: float, run_s: float) -> Recording:
    """Join the outcomes of all parts.

    Parameters
    ----------
    job : Job
        What ran.
    outcomes : sequence of Outcome
        Of all parts, in any order.
    build_s, run_s : float
        As in the recording.
    """
    network = job.network
    outcomes = sorted(outcomes, key=lambda outcome: outcome.start)
    received = np.concatenate([outcome.received for outcome in outcomes])
    arrivals = np.sum([outcome.arrivals for outcome in outcomes], axis=0)
    events = np.sum([outcome.events for outcome in outcomes], axis=0)
    by_step: dict[str, Integers] = {}
    for name, count in zip(job.layout.connections, events, strict=True):
        by_step[name] = by_step.get(name, 0) + count  # two paths between layers count together
    return Recording(
        scheme=network.scheme,
        network=network.name,
        layers=tuple(
            RecordedLayer(name=p.name, shape=p.shape, n_positions=p.n_positions, onset=p.onset)
            for p in network.populations
        ),
        n_images=len(received),
        dt_ms=network.dt_ms,
        phase_steps=network.phase_steps,
        period=job.period,
        scores=network.readout.logits(received),
        readout_onset=network.readout.onset,
        readout_every=network.readout.every,
        spike_counts=tuple(
            sum(of_parts) for of_parts in zip(*(o.counts for o in outcomes), strict=True)
        ),
        most_spikes=max(outcome.most_spikes for outcome in outcomes),
        events_by_step=by_step,
        spikes_by_step={
            p.source: count for p, count in zip(network.projections, arrivals, strict=False)
        },
        spikes=Spikes.following([o.spikes for o in outcomes if o.spikes is not None])
        if job.record
        else None,
        traces=_traces_by_layer(job, outcomes[0].traces),
        end_potentials={
            name: np.concatenate([outcome.ends[name] for outcome in outcomes])
            for name in outcomes[0].ends
        },
        build_s=build_s,
        run_s=run_s,
        loop_s=sum(outcome.loop_s for outcome in outcomes),
        with_own_axons=outcomes[0].with_own_axons,
    )


def _traces_by_layer(job: Job, by_type: dict[str, Array]) -> dict[str, Array]:
    """Traces of each layer that has any; there is one copy."""
    traces = {}
    for index, population in enumerate(job.network.populations):
        block, kind = job.layout.block(index), population.neurons
        if kind in by_type:
            chosen = (job.traced[kind] >= block.start) & (job.traced[kind] < block.stop)
            if chosen.any():
                traces[population.name] = by_type[kind][chosen]
    return traces
