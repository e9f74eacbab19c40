"""The Brian2 objects of a run: a group of neurons and of axons for each type, and what they need.

Everything random or large enters as arrays; names and clocks are explicit; nothing is taken from
the caller's variables. :mod:`models.engine.simulate` decides what runs, this module builds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import brian2
import numpy as np
from brian2 import (
    Clock,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    have_same_dimensions,
    second,
    volt,
)
from brian2 import Network as BrianNetwork
from numpy.typing import NDArray

from ..spiking.inputs import Injection, Stimulus
from ..spiking.network import SpikingNetwork
from ..spiking.neuron_type import NeuronType
from .delivery import brian2_functions
from .layout import Plan

BOOKKEEPING = """
    n_spikes : integer     # spikes of this neuron so far; bookkeeping, not biology
    in_image : integer     # of them, for the image of the last spike
    most_in_image : integer
    last_image : integer
    onset : integer (constant)  # step in which the first image reaches the neuron
"""
COUNT = """
    in_image = 1 + in_image*int((t_in_timesteps - onset)//period == last_image)
    last_image = (t_in_timesteps - onset)//period
    most_in_image = most_in_image + int(in_image > most_in_image)
    n_spikes += 1
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Objects:
    """The Brian2 objects of a run, before it starts.

    Parameters
    ----------
    neurons : dict of str to brian2.NeuronGroup
        Neurons of each type; order: layer, position, copy, unit.
    axons : dict of str to brian2.Synapses
        By type of the source: one synapse per neuron and route, with its delay.
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
    n_steps : int
        Steps until the last image has left the network.
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
    n_steps: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """What all parts of a simulation share.

    Parameters
    ----------
    network : SpikingNetwork
        What runs.
    plan : Plan
        Its layout for the copies of a run.
    period : int
        Phases between the onsets of successive images.
    depth : int
        Images one after another in each copy.
    record : tuple of int
        Layers whose spike trains are kept.
    traced : dict of str to ndarray of int
        By type of neurons: those whose membrane is recorded.
    injected : tuple of Injection
        What enters beside the images.
    seed : int
        Of the neurons' own random numbers.
    change : callable, optional
        Alters the objects before they run.
    """

    network: SpikingNetwork
    plan: Plan
    period: int
    depth: int
    record: tuple[int, ...]
    traced: dict[str, NDArray[np.int64]]
    injected: tuple[Injection, ...]
    seed: int
    change: Callable[[Objects], None] | None

    @property
    def period_steps(self) -> int:
        """Steps between the onsets of successive images."""
        return self.period * self.network.phase_steps

    @property
    def keeps_ends(self) -> bool:
        """Whether the potentials at the end of each image are still there when the next comes."""
        return bool(self.record) and self.period >= self.network.latency_phases

    def neurons_of(self, layers: tuple[int, ...], kind: str) -> NDArray[np.int64]:
        """Neurons of some layers in the group of one type, shape (n_neurons,)."""
        found = [np.zeros(0, dtype=np.int64)]
        for index in layers:
            layer = self.plan.layers[index]
            if self.network.populations[index].neurons == kind:
                size = layer.positions * layer.units * self.plan.n_copies
                found.append(layer.offset + np.arange(size))
        return np.concatenate(found)


def build(job: Job, images: NDArray[np.float64], target: str, start: int = 0) -> Objects:
    """Create the Brian2 objects for one run on the active device.

    Parameters
    ----------
    job : Job
        Network, layout and run shape.
    images : ndarray, shape (n, height, width, channels)
        Images of the run, at most copies times depth.
    target : str
        Code-generation target.
    start : int
        Number of the first of the images.
    """
    network, layout = job.network, job.plan
    n_copies = layout.n_copies
    dt = network.dt_s * second
    steps = Clock(dt, name="steps")
    phases = Clock(network.phase_steps * dt, name="phases")
    shown = Clock(job.period_steps * dt, name="shown")
    last_layer = max(p.onset + p.n_positions - 1 + network.n_phases for p in network.populations)
    n_phases = (job.depth - 1) * job.period + max(last_layer, network.latency_phases)

    groups = {
        kind.name: _group(job, kind, size, steps, phases)
        for kind, size in zip(network.neurons, layout.group_sizes, strict=True)
    }
    copies = NeuronGroup(
        n_copies,
        "n_images : integer\nphase : integer\ntravelled : integer\nnoise_seed : integer",
        namespace={},
        clock=phases,
        name="copies",
    )
    copies.n_images = images_of_copies(job, len(images))
    readout = NeuronGroup(
        network.readout.n_rows * n_copies * network.readout.n_classes,
        "score : volt  # sum of this phase's contributions; not biological",
        namespace={},
        clock=phases,
        name="readout",
    )
    readout.run_regularly("score = 0*volt", when="start", order=0, name="clear")
    scores = StateMonitor(
        readout, "score", record=True, when="start", order=-1, clock=phases, name="scores"
    )
    tally = NeuronGroup(
        len(layout.routes) * layout.sizes.steps,
        """
        arrived : 1    # spikes of this phase; bookkeeping, not biology
        reached : 1    # their targets
        n_arrived : 1  # the same since the start
        n_reached : 1
        """,
        namespace={},
        clock=phases,
        name="tally",
    )
    tally.run_regularly(
        "n_arrived += arrived\nn_reached += reached\narrived = 0\nreached = 0",
        when="start",
        name="count",
    )
    parts: list[Any] = [*groups.values(), copies, readout, scores, tally]
    owners: dict[str, list[tuple[Any, str]]] = {
        "targets": [
            (groups[kind.name], name) for kind in network.neurons for name in kind.afferents
        ],
        "ages": [(group, "age") for group in groups.values()],
        "n_images": [(copies, "n_images")],
        "arrivals": [(tally, "arrived")],
        "events": [(tally, "reached")],
        "inhibition": [],
        "pending": [],
    }
    owners["targets"].append((readout, "score"))
    for kind in network.neurons:
        if kind.is_chain:
            lateral = NeuronGroup(
                layout.sizes.rows * layout.sizes.chained,
                "pending : volt  # inhibition on its way along a unit",
                namespace={},
                clock=phases,
                name="lateral",
            )
            owners["inhibition"] = [(groups[kind.name], "inhibition")]
            owners["pending"] = [(lateral, "pending")]
            parts.append(lateral)
    functions = brian2_functions(layout, _state(owners, target))
    copies.namespace.update({k: f for k, f in functions.items() if k != "deliver_spike"})
    copies.run_regularly("phase = set_ages(i, t_in_timesteps)", when="start", order=-1, name="ages")
    if "travel" in functions:
        copies.run_regularly(
            "travelled = travel(i, t_in_timesteps)", when="before_synapses", name="travel"
        )
    stimuli = tuple(
        _present(job, stimulus, number, images, groups, phases, shown)
        for number, stimulus in enumerate(network.stimuli)
    )
    injections = tuple(
        _inject(job, injection, number, start, len(images), groups, phases)
        for number, injection in enumerate(job.injected)
    )
    axons = {}
    for kind, found in zip(network.neurons, layout.axons, strict=True):
        if not found.sources.size:
            continue
        group = groups[kind.name]
        synapses = Synapses(
            group,
            group,
            "route : integer (constant)\nreached : integer  # targets of the last spike",
            # i_pre and not i: see docs/brian2-releases.md
            on_pre="reached = deliver_spike(i_pre, route, t_in_timesteps)",
            namespace={"deliver_spike": functions["deliver_spike"]},
            clock=steps,
            name=f"{kind.name}_axons",
        )
        synapses.connect(i=found.sources, j=found.sources)
        synapses.route = found.routes
        synapses.delay = found.delays * dt
        axons[kind.name] = synapses
    spikes, traces, ends = {}, {}, {}
    for name, group in groups.items():
        if job.record:
            spikes[name] = SpikeMonitor(group, name=f"{name}_spikes")
        if job.traced.get(name, np.zeros(0)).size:
            traces[name] = StateMonitor(
                group,
                "v",
                record=job.traced[name],
                when="after_thresholds",
                clock=steps,
                name=f"{name}_traces",
            )
        kept = job.neurons_of(job.record, name)
        if job.keeps_ends and kept.size:
            ends[name] = StateMonitor(
                group,
                "v",
                record=kept,
                when="start",
                order=-2,
                clock=shown,
                name=f"{name}_ends",
            )
    parts += [*axons.values(), *spikes.values(), *traces.values(), *ends.values()]
    objects = Objects(
        neurons=groups,
        axons=axons,
        readout=readout,
        copies=copies,
        tally=tally,
        stimuli=stimuli,
        injections=injections,
        scores=scores,
        spikes=spikes,
        traces=traces,
        ends=ends,
        network=BrianNetwork(*parts),
        n_steps=n_phases * network.phase_steps + 1,
    )
    if job.change is not None:
        job.change(objects)
    return objects


def _group(job: Job, kind: NeuronType, size: int, steps: Clock, phases: Clock) -> NeuronGroup:
    """Neurons of one type with their constants."""
    network, n_copies = job.network, job.plan.n_copies
    neurons = NeuronGroup(
        size,
        kind.equations + BOOKKEEPING,
        threshold=kind.threshold,
        reset=f"{kind.reset}\n{COUNT}",
        method=kind.method,
        namespace={**kind.constants, "period": job.period_steps},
        clock=steps,
        name=kind.name,
    )
    for order, clock, what in ((1, phases, "phase"), (2, steps, "step")):
        statements = getattr(kind, f"every_{what}")
        if statements:
            neurons.run_regularly(
                statements, when="start", order=order, clock=clock, name=f"{kind.name}_every_{what}"
            )
    mine = [p for p in network.populations if p.neurons == kind.name]
    for name in mine[0].parameters:
        values = np.concatenate([_per_copy(p.parameters[name], n_copies) for p in mine])
        is_potential = have_same_dimensions(getattr(neurons, name), volt)
        setattr(neurons, name, values * network.unit_volt * volt if is_potential else values)
    neurons.onset = np.concatenate(
        [
            np.repeat(
                (p.onset + np.arange(p.n_positions)) * network.phase_steps, p.n_units * n_copies
            )
            for p in mine
        ]
    )
    neurons.last_image = -1
    neurons.age = -1
    return neurons


def _present(
    job: Job,
    stimulus: Stimulus,
    number: int,
    images: NDArray[np.float64],
    groups: dict[str, NeuronGroup],
    phases: Clock,
    shown: Clock,
) -> TimedArray:
    """Set what an image sets when it reaches the population."""
    network = job.network
    name, dt = f"stimulus_{number}", network.dt_s * second
    values = TimedArray(
        stimulus_values(job, stimulus, images) * network.unit_volt * volt,
        dt=job.period_steps * dt,
        name=name,
    )
    onset = network.population(stimulus.target).onset
    # Images come to a later layer between two ticks of their own clock.
    clock = phases if onset else shown
    _set_each_time(job, stimulus.target, stimulus.variable, values, groups, clock)
    return values


def _inject(
    job: Job,
    injection: Injection,
    number: int,
    start: int,
    n_images: int,
    groups: dict[str, NeuronGroup],
    phases: Clock,
) -> TimedArray:
    """Set what is injected in every phase."""
    network = job.network
    values = TimedArray(
        injected_values(job, injection, start, n_images) * network.unit_volt * volt,
        dt=network.phase_steps * network.dt_s * second,
        name=f"injection_{number}",
    )
    _set_each_time(job, injection.target, injection.variable, values, groups, phases)
    return values


def _set_each_time(
    job: Job,
    target: str,
    variable: str,
    values: TimedArray,
    groups: dict[str, NeuronGroup],
    clock: Clock,
) -> None:
    """Set a variable of one population from a table of values whose time starts at its onset."""
    network = job.network
    index = [p.name for p in network.populations].index(target)
    layer = job.plan.layers[index]
    entry = groups[network.populations[index].neurons][
        layer.offset : layer.offset + layer.units * job.plan.n_copies
    ]
    onset = layer.onset * network.phase_steps * network.dt_s * second
    late = {f"{values.name}_onset": onset} if layer.onset else {}
    entry.namespace.update({values.name: values, **late})
    entry.run_regularly(
        f"{variable} = {values.name}({' - '.join(['t', *late])}, i)",
        when="start",
        order=0,
        clock=clock,
        name=f"set_{values.name}",
    )


def _state(owners: dict[str, list[tuple[Any, str]]], target: str) -> dict[str, list[Any]]:
    """Arrays of the state variables, or their names in a generated program."""
    if target != "cpp_standalone":
        return {
            key: [owner.variables[name].get_value() for owner, name in found]
            for key, found in owners.items()
        }
    device = brian2.get_device()
    return {
        key: [device.get_array_name(owner.variables[name]) for owner, name in found]
        for key, found in owners.items()
    }


def _per_copy(values: NDArray[Any], n_copies: int) -> NDArray[Any]:
    """Parameters of one image's neurons, repeated for every copy: position, copy, unit."""
    flat = values.reshape(len(values), 1, -1)
    return np.broadcast_to(flat, (len(values), n_copies, flat.shape[2])).ravel()


def stimulus_values(
    job: Job, stimulus: Stimulus, images: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What images set in network units, shape (depth, copies * units)."""
    n_copies = job.plan.n_copies
    n_units = job.network.population(stimulus.target).n_units
    values = np.zeros((job.depth * n_copies, n_units))
    if len(images):
        values[: len(images)] = stimulus.values(images)
    return values.reshape(job.depth, -1)


def injected_values(
    job: Job, injection: Injection, start: int, n_images: int
) -> NDArray[np.float64]:
    """What is injected for some images in network units, shape (depth * period, copies * units)."""
    n_copies = job.plan.n_copies
    given = injection.values[start : start + n_images]
    values = np.zeros((job.depth * n_copies, job.period, injection.values.shape[2]))
    values[:n_images, : job.network.n_phases] = given
    by_turn = values.reshape(job.depth, n_copies, job.period, -1).swapaxes(1, 2)
    return by_turn.reshape(job.depth * job.period, -1)


def images_of_copies(job: Job, n_images: int) -> NDArray[np.int64]:
    """Images that each copy gets, one after the other."""
    n_copies = job.plan.n_copies
    return (n_images - np.arange(n_copies) + n_copies - 1) // n_copies
