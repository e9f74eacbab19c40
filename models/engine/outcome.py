"""From the arrays of finished runs to a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import mV, second, volt
from numpy.typing import NDArray

from ..spiking.recording import RecordedLayer, Recording, Spikes
from .assembly import Job, Objects
from .layout import Layer


def _outcome(job: Job, objects: Objects, start: int, n_images: int, loop_s: float) -> dict:
    """Read one run's arrays and put them in the order of the images."""
    network, layout = job.network, job.plan
    n_copies, readout = layout.n_copies, network.readout
    unit = network.unit_volt * volt
    score = np.asarray(objects.scores.score / unit, dtype=np.float64)
    score = score.reshape(readout.n_rows, n_copies, readout.n_classes, -1)
    index = np.arange(n_images)
    copy, turn = index % n_copies, index // n_copies
    steps = np.arange(readout.n_steps)
    # What arrived in a phase is read at the start of the next.
    at = turn[:, None] * job.period + readout.onset + readout.every * steps + 1
    scores = score[steps % readout.n_rows, copy[:, None], :, at]
    spikes = {name: np.asarray(group.n_spikes[:]) for name, group in objects.neurons.items()}
    tally = (len(layout.routes), layout.sizes.steps)
    outcome: dict[str, Any] = {
        "start": start,
        "loop_s": loop_s,
        "scores": scores,
        "counts": [
            spikes[population.neurons][_block(layer, n_copies)]
            .reshape(layer.positions, n_copies, layer.units)
            .sum(axis=1)
            for population, layer in zip(network.populations, layout.layers, strict=True)
        ],
        "most": max(int(np.max(group.most_in_image[:])) for group in objects.neurons.values()),
        "arrivals": np.asarray(objects.tally.n_arrived[:]).reshape(tally).astype(np.int64),
        "events": np.asarray(objects.tally.n_reached[:]).reshape(tally).astype(np.int64),
        "spikes": _spike_trains(job, objects, start) if objects.spikes else None,
        "traces": {name: np.asarray(trace.v / mV) for name, trace in objects.traces.items()},
        "ends": _ends(job, objects, copy, turn),
    }
    return outcome


def _block(layer: Layer, n_copies: int) -> slice:
    """Neurons of a layer in their group."""
    return slice(layer.offset, layer.offset + layer.positions * layer.units * n_copies)


def _ends(
    job: Job, objects: Objects, copy: NDArray[np.int64], turn: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Potential in mV of recorded layers at each image's end, shape (n_images, n_neurons)."""
    found = {}
    done = dict.fromkeys(objects.ends, 0)
    for index in job.record if job.keeps_ends else ():
        population, layer = job.network.populations[index], job.plan.layers[index]
        kind, size = population.neurons, layer.positions * layer.units * job.plan.n_copies
        v = np.asarray(objects.ends[kind].v[done[kind] : done[kind] + size] / mV)
        done[kind] += size
        v = v.reshape(layer.positions, job.plan.n_copies, layer.units, -1)
        found[population.name] = np.moveaxis(v, 3, 0)[turn + 1, :, copy].reshape(len(turn), -1)
    return found


def _spike_trains(job: Job, objects: Objects, start: int) -> Spikes:
    """Spikes as image, layer, neuron in the layer, and step since the image's onset."""
    n_copies, network = job.plan.n_copies, job.network
    parts = []
    for group, kind in enumerate(network.neurons):
        monitor = objects.spikes[kind.name]
        neuron = np.asarray(monitor.i[:], dtype=np.int64)
        step = np.rint(np.asarray(monitor.t / second) / network.dt_s).astype(np.int64)
        mine = np.array([i for i, layer in enumerate(job.plan.layers) if layer.group == group])
        table = np.array([job.plan.layers[i] for i in mine], dtype=np.int64)
        row = np.searchsorted(table[:, 2], neuron, side="right") - 1
        _, _, offset, units, _, onset = table[row].T
        position, rest = np.divmod(neuron - offset, units * n_copies)
        copy, unit = np.divmod(rest, units)
        turn = (step - (onset + position) * network.phase_steps) // job.period_steps
        spikes = Spikes(
            image=start + turn * n_copies + copy,
            layer=mine[row],
            neuron=position * units + unit,
            step=step - turn * job.period_steps,
        )
        parts.append(spikes.where(np.isin(spikes.layer, job.record)))
    return Spikes.of(parts)


def _collect(job: Job, outcomes: list[dict], build_s: float, run_s: float) -> Recording:
    network = job.network
    scores = np.concatenate([outcome["scores"] for outcome in outcomes])
    arrivals = sum(outcome["arrivals"] for outcome in outcomes)
    events = sum(outcome["events"] for outcome in outcomes)
    lateral = [p.name for p in network.populations if p.inhibition.any()]
    names = [p.name for p in network.projections] + [f"{name} inhibition" for name in lateral]
    by_step: dict[str, NDArray[np.int64]] = {}
    for name, count in zip(names, events, strict=True):
        by_step[name] = by_step.get(name, 0) + count  # two paths between layers count together
    spikes_by_step = {
        p.source: count for p, count in zip(network.projections, arrivals, strict=False)
    }
    traces, done = {}, dict.fromkeys(job.traced, 0)
    for population in network.populations:
        kind = population.neurons
        rows = outcomes[0]["traces"].get(kind)
        if rows is None:
            continue
        size = population.n_neurons
        chosen = (job.traced[kind] >= done[kind]) & (job.traced[kind] < done[kind] + size)
        done[kind] += size
        if chosen.any():
            traces[population.name] = rows[chosen]
    return Recording(
        scheme=network.scheme,
        network=network.name,
        layers=tuple(
            RecordedLayer(name=p.name, shape=p.shape, n_positions=p.n_positions, onset=p.onset)
            for p in network.populations
        ),
        n_images=len(scores),
        dt_ms=network.dt_ms,
        phase_steps=network.phase_steps,
        period=job.period,
        scores=network.readout.logits(scores),
        readout_onset=network.readout.onset,
        readout_every=network.readout.every,
        spike_counts=tuple(
            sum(outcome["counts"][i] for outcome in outcomes).astype(np.int64)
            for i in range(len(network.populations))
        ),
        most_spikes=max(outcome["most"] for outcome in outcomes),
        events_by_step=by_step,
        spikes_by_step=spikes_by_step,
        spikes=Spikes.of([o["spikes"] for o in outcomes]) if job.record else None,
        traces=traces,
        end_potentials={
            name: np.concatenate([outcome["ends"][name] for outcome in outcomes])
            for name in outcomes[0]["ends"]
        },
        build_s=build_s,
        run_s=run_s,
        loop_s=sum(outcome["loop_s"] for outcome in outcomes),
    )
