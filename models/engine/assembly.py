"""Assemble the Brian2 objects of a run: a group of neurons and of axons for each type.

Everything random or large enters as arrays; names and clocks are explicit; nothing is taken from
the caller's variables. :mod:`models.engine.simulate` decides what runs, this module builds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from brian2 import (
    Clock,
    NeuronGroup,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    get_device,
    second,
    volt,
)
from brian2 import Network as BrianNetwork
from numpy.typing import NDArray

from ..arrays import Integers
from ..dyadic import SINGLE_BITS
from ..philox import key_of
from ..spiking.inputs import Injection, Stimulus
from ..spiking.network import Population
from .deliveries import data_of, deliveries
from .delivery import brian2_functions
from .job import Job, Part
from .layout import Layout
from .neurons import can_be_shared, is_told, neuron_group, single_variables
from .numpy_delivery import State
from .objects import Objects


class _Clocks(NamedTuple):
    """What ticks once a step, once a phase, and once for each image."""

    steps: Clock
    phases: Clock
    shown: Clock


def assemble(job: Job, part: Part, target: str) -> Objects:
    """Create the Brian2 objects for one run on the active device.

    Parameters
    ----------
    job : Job
        Network, layout and run shape.
    part : Part
        Images of the run, at most copies times depth.
    target : str
        Code-generation target.
    """
    network, layout = job.network, job.layout
    dt = network.dt_s * second
    clocks = _Clocks(
        steps=Clock(dt, name="steps"),
        phases=Clock(network.phase_steps * dt, name="phases"),
        shown=Clock(job.period_steps * dt, name="shown"),
    )
    groups, shared = _groups(job, clocks)
    copies = _copies(job, part, clocks)
    if target == "cpp_standalone":
        get_device().apply_run_args()  # before `change`, which has the last word
    else:
        for name, values in shared.items():
            group, variable = name.split(".")
            groups[group].variables[variable].set_value(values)
    readout = _readout(job, clocks)
    tally = _tally(job, clocks)
    lateral = _lateral(job, clocks)
    state = _state(job, groups, copies, readout, tally, lateral)
    _keep_time(layout, copies, data_of(state, target))
    stimuli = tuple(
        _present(job, stimulus, number, part, groups, clocks)
        for number, stimulus in enumerate(network.stimuli)
    )
    injections = tuple(
        _inject(job, injection, number, part, groups, clocks)
        for number, injection in enumerate(job.injected)
    )
    scores = _scores(job, groups, readout, clocks)
    spikes = {
        name: SpikeMonitor(group, name=f"{name}_spikes")
        for name, group in groups.items()
        if job.record
    }
    traces = _traces(job, groups, clocks)
    ends = _ends(job, groups, clocks)
    parts = [*groups.values(), copies, readout, scores, tally, *lateral]
    parts += [*spikes.values(), *traces.values(), *ends.values()]
    objects = Objects(
        neurons=groups,
        shared=shared,
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
        clocks=clocks,
        layout=layout,
        delays=[own.copy() for own in layout.delays],
    )
    if job.change is not None:
        job.change(objects)
    objects.network.add(*deliveries(job, objects, state, clocks.steps, target))
    return objects


def _groups(job: Job, clocks: _Clocks) -> tuple[dict[str, NeuronGroup], dict[str, NDArray[Any]]]:
    """Neurons of each type with their parameters; and what is one number for a whole type.

    The latter, by type and name, is data of a run: networks that differ in it share a program.
    """
    network, n_copies = job.network, job.layout.n_copies
    groups, shared_values = {}, {}
    numbers = _numbers(network.populations)
    for kind, group in zip(network.neurons, job.layout.groups, strict=True):
        mine = [p for p in network.populations if p.neurons == kind.name]
        values = {
            name: np.concatenate([_per_copy(p.parameters[name], n_copies) for p in mine])
            for name in mine[0].parameters
        }
        shared = [
            name
            for name, own in values.items()
            if can_be_shared(kind, name) and (own == own[0]).all()
        ]
        is_exact = network.bits_of_a_phase(kind) <= SINGLE_BITS
        single = single_variables(kind) if is_exact else ()
        neurons = neuron_group(kind, group.size, clocks.steps, clocks.phases, single, shared)
        for name, own in values.items():
            variable = neurons.variables[name]
            value = own * network.unit_volt if variable.dim is volt.dim else own  # or in SI units
            if name in shared:
                shared_values[f"{kind.name}.{name}"] = value[:1].astype(variable.dtype)
            else:
                setattr(neurons, name, Quantity(value, dim=variable.dim))
        if is_told(kind, "seed"):
            key = np.array([key_of(job.seed)], dtype=neurons.variables["seed"].dtype)
            shared_values[f"{kind.name}.seed"] = key
        if is_told(kind, "neuron"):
            neurons.neuron = np.concatenate([_per_copy(numbers[p.name], n_copies) for p in mine])
        neurons.age = -1
        groups[kind.name] = neurons
    return groups, shared_values


def _numbers(populations: Sequence[Population]) -> dict[str, Integers]:
    """Number of each neuron in the network, by population, shape (n_positions, n_units)."""
    found, first = {}, 0
    for p in populations:
        found[p.name] = first + np.arange(p.n_neurons).reshape(p.n_positions, p.n_units)
        first += p.n_neurons
    return found


def _per_copy(values: NDArray[Any], n_copies: int) -> NDArray[Any]:
    """Parameters of one image's neurons, repeated for every copy: position, copy, unit."""
    flat = values.reshape(len(values), 1, -1)
    return np.broadcast_to(flat, (len(values), n_copies, flat.shape[2])).ravel()


def _copies(job: Job, part: Part, clocks: _Clocks) -> NeuronGroup:
    """One entry for each image side by side."""
    copies = NeuronGroup(
        job.layout.n_copies,
        """
        n_images : integer
        most_spikes : integer  # of a neuron for one image
        travelled : integer
        noise_seed : integer
        first_image : integer
        """,
        namespace={},
        clock=clocks.phases,
        name="copies",
    )
    copies.n_images = job.images_of_copies(len(part.images))
    copies.first_image = part.start + np.arange(job.layout.n_copies)
    return copies


def _readout(job: Job, clocks: _Clocks) -> NeuronGroup:
    """Accumulators of the class scores, cleared in every phase."""
    readout = job.network.readout
    group = NeuronGroup(
        readout.n_rows * job.layout.n_copies * readout.n_classes,
        "score : volt  # sum of this phase's contributions; not biological",
        namespace={},
        clock=clocks.phases,
        name="readout",
    )
    group.run_regularly("score = 0*volt", when="start", order=0, name="clear")
    return group


def _scores(
    job: Job, groups: Mapping[str, NeuronGroup], readout: NeuronGroup, clocks: _Clocks
) -> StateMonitor:
    """Monitor of what the scores are made of, as each phase leaves it."""
    name = job.network.readout.potentials
    group, variable, recorded = readout, "score", np.arange(len(readout))
    if name:
        index = [p.name for p in job.network.populations].index(name)
        block = job.layout.block(index)
        group, variable = groups[job.network.populations[index].neurons], "v"
        recorded = np.arange(block.start, block.stop)
    return StateMonitor(
        group,
        variable,
        record=recorded,
        when="start",
        order=-1,
        clock=clocks.phases,
        name="scores",
    )


def _tally(job: Job, clocks: _Clocks) -> NeuronGroup:
    """Counts by route and step of the read-out."""
    tally = NeuronGroup(
        max(len(job.layout.routes), 1) * job.layout.sizes.steps,
        """
        arrived : 1    # spikes of this phase; bookkeeping, not biology
        reached : 1    # their targets
        n_arrived : 1  # the same since the start
        n_reached : 1
        """,
        namespace={},
        clock=clocks.phases,
        name="tally",
    )
    tally.run_regularly(
        "n_arrived += arrived\nn_reached += reached\narrived = 0\nreached = 0",
        when="start",
        name="count",
    )
    return tally


def _lateral(job: Job, clocks: _Clocks) -> list[NeuronGroup]:
    """What holds inhibition on its way, if neurons of a unit form a chain."""
    if not job.layout.sizes.pending:
        return []
    return [
        NeuronGroup(
            job.layout.sizes.pending,
            "pending : volt  # inhibition on its way along a unit",
            namespace={},
            clock=clocks.phases,
            name="lateral",
        )
    ]


def _state(
    job: Job,
    groups: Mapping[str, NeuronGroup],
    copies: NeuronGroup,
    readout: NeuronGroup,
    tally: NeuronGroup,
    lateral: list[NeuronGroup],
) -> State:
    """Owner and name of the variables that the functions of the delivery read and write."""
    kinds = job.network.neurons
    afferents = [(groups[kind.name], name) for kind in kinds for name in kind.afferents]
    targets: list[tuple[Any, str]] = [*afferents, (readout, "score")]

    def of_type(dtype: type) -> list[tuple[Any, str] | None]:
        return [
            (owner, name) if owner.variables[name].dtype == dtype else None
            for owner, name in targets
        ]

    chains = [(groups[kind.name], "inhibition") for kind in kinds if kind.is_chain]
    return State(
        targets=of_type(np.float64),
        singles=of_type(np.float32),
        ages=[(group, "age") for group in groups.values()],
        images=[(groups[kind.name], "image") if is_told(kind, "image") else None for kind in kinds],
        n_spikes=[(group, "n_spikes") for group in groups.values()],
        n_before=[(group, "n_before") for group in groups.values()],
        spikes=[(group, "_spikespace") for group in groups.values()],
        fires=[(group, "fires") for group in groups.values()],
        remembered=[],
        inhibition=chains,
        pending=[(group, "pending") for group in lateral],
        arrivals=[(tally, "arrived")],
        events=[(tally, "reached")],
        n_images=[(copies, "n_images")],
        first_image=[(copies, "first_image")],
    )


def _keep_time(layout: Layout, copies: NeuronGroup, data: State) -> None:
    """Let every copy set the ages of its neurons, and move drive along its chains."""
    names = ["set_ages", *(["travel"] if layout.sizes.pending else [])]
    copies.namespace.update(brian2_functions(layout, data, names))
    copies.run_regularly(
        "most_spikes = set_ages(i, t_in_timesteps, most_spikes)",
        when="start",
        order=-1,
        name="ages",
    )
    if layout.sizes.pending:
        copies.run_regularly(
            "travelled = travel(i, t_in_timesteps)", when="before_synapses", name="travel"
        )


def _traces(
    job: Job, groups: Mapping[str, NeuronGroup], clocks: _Clocks
) -> dict[str, StateMonitor]:
    """Monitors of the membranes asked for, by type."""
    return {
        name: StateMonitor(
            groups[name],
            "v",
            record=neurons,
            when="after_thresholds",
            clock=clocks.steps,
            name=f"{name}_traces",
        )
        for name, neurons in job.traced.items()
        if neurons.size
    }


def _ends(job: Job, groups: Mapping[str, NeuronGroup], clocks: _Clocks) -> dict[str, StateMonitor]:
    """Monitors of the potentials at the end of each image, by type."""
    kept = {name: job.recorded_neurons(name) for name in groups if job.keeps_ends}
    return {
        name: StateMonitor(
            groups[name],
            "v",
            record=neurons,
            when="start",
            order=-2,
            clock=clocks.shown,
            name=f"{name}_ends",
        )
        for name, neurons in kept.items()
        if neurons.size
    }


def _present(
    job: Job,
    stimulus: Stimulus,
    number: int,
    part: Part,
    groups: Mapping[str, NeuronGroup],
    clocks: _Clocks,
) -> TimedArray:
    """Set what an image sets when it reaches the population."""
    network = job.network
    values = TimedArray(
        job.stimulus_values(stimulus, part.images) * network.unit_volt * volt,
        dt=job.period_steps * network.dt_s * second,
        name=f"stimulus_{number}",
    )
    # Images come to a later layer between two ticks of their own clock.
    clock = clocks.phases if network.population(stimulus.target).onset else clocks.shown
    _set_each_time(job, stimulus, values, groups, clock)
    return values


def _inject(
    job: Job,
    injection: Injection,
    number: int,
    part: Part,
    groups: Mapping[str, NeuronGroup],
    clocks: _Clocks,
) -> TimedArray:
    """Set what is injected in every phase."""
    network = job.network
    injected = job.injected_values(injection, part.place, len(part.images))
    values = TimedArray(
        injected * network.unit_volt * volt,
        dt=network.phase_steps * network.dt_s * second,
        name=f"injection_{number}",
    )
    _set_each_time(job, injection, values, groups, clocks.phases)
    return values


def _set_each_time(
    job: Job,
    what: Stimulus | Injection,
    values: TimedArray,
    groups: Mapping[str, NeuronGroup],
    clock: Clock,
) -> None:
    """Set a variable of one population from a table of values whose time starts at its onset."""
    network = job.network
    index = [p.name for p in network.populations].index(what.target)
    layer = job.layout.layers[index]
    entry = groups[network.populations[index].neurons][
        layer.offset : layer.offset + layer.units * job.layout.n_copies
    ]
    onset = layer.onset * network.phase_steps * network.dt_s * second
    late = {f"{values.name}_onset": onset} if layer.onset else {}
    entry.namespace.update({values.name: values, **late})
    entry.run_regularly(
        f"{what.variable} = {values.name}({' - '.join(['t', *late])}, i)",
        when="start",
        order=0,
        clock=clock,
        name=f"set_{values.name}",
    )
