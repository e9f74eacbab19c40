"""The Brian2 objects of a run: one group of neurons, one group of axons, and what they need.

Everything random or large enters as arrays; names and clocks are explicit; nothing is taken from
the caller's variables. :mod:`models.simulation` decides what runs, this module builds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import brian2
import numpy as np
from brian2 import Clock, NeuronGroup, SpikeMonitor, StateMonitor, Synapses, TimedArray, ms, volt
from brian2 import Network as BrianNetwork
from numpy.typing import NDArray

from .delivery import STATE, Plan, brian2_functions
from .spiking import UNIT_VOLT, SpikingNetwork

UNIT = UNIT_VOLT * volt

BOOKKEEPING = """
    n_spikes : integer     # spikes of this neuron so far; bookkeeping, not biology
    in_image : integer     # of them, for the image of the last spike
    most_in_image : integer
    last_image : integer
    onset : integer (constant)
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
    neurons : brian2.NeuronGroup
        All neurons; order: layer, position, copy, unit.
    axons : brian2.Synapses
        One synapse per neuron and route, with its delay.
    readout : brian2.NeuronGroup
        Class scores; it has no threshold.
    copies : brian2.NeuronGroup
        One entry for each image side by side: how many images it gets, and its step.
    stimulus : brian2.TimedArray
        Drive of the input population, one row for each image in turn.
    scores, spikes, traces : brian2 monitors
        Scores of every step; spikes and membranes where asked for.
    network : brian2.Network
        All of them together.
    n_steps : int
        Steps until the last image has left the network.
    """

    neurons: NeuronGroup
    axons: Synapses
    readout: NeuronGroup
    copies: NeuronGroup
    stimulus: TimedArray
    scores: StateMonitor
    spikes: SpikeMonitor | None
    traces: StateMonitor | None
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
        Steps between the onsets of successive images.
    depth : int
        Images one after another in each copy.
    record : tuple of int
        Layers whose spike trains are kept.
    traced : ndarray of int
        Neurons whose membrane is recorded.
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
    traced: NDArray[np.int64]
    seed: int
    change: Callable[[Objects], None] | None


def build(job: Job, images: NDArray[np.float64], target: str) -> Objects:
    """Create the Brian2 objects for one run on the active device.

    Parameters
    ----------
    job : Job
        Network, layout and run shape.
    images : ndarray, shape (n, height, width, channels)
        Images of the run, at most copies times depth.
    target : str
        Code-generation target.
    """
    network, layout, period = job.network, job.plan, job.period
    kind = network.neurons
    clock = Clock(network.dt_ms * ms, name="steps")
    last_layer = max(p.onset + p.n_positions for p in network.populations)
    n_steps = (job.depth - 1) * period + max(last_layer, network.n_steps - 1)
    neurons = NeuronGroup(
        layout.n_neurons,
        kind.equations + BOOKKEEPING,
        threshold=kind.threshold,
        reset=f"{kind.reset}\n{COUNT}",
        method=kind.method,
        namespace={**kind.constants, "period": period},
        clock=clock,
        name=kind.name,
    )
    neurons.run_regularly(kind.every_step, when="start", order=1, name=f"{kind.name}_every_step")
    for name in network.populations[0].parameters:
        values = [_per_copy(p.parameters[name], layout.n_copies) for p in network.populations]
        setattr(neurons, name, np.concatenate(values) * UNIT)
    neurons.onset = np.concatenate(
        [
            np.repeat(p.onset + np.arange(p.n_positions), p.n_units * layout.n_copies)
            for p in network.populations
        ]
    )
    neurons.last_image = -1
    copies = NeuronGroup(
        layout.n_copies,
        "n_images : integer\nstep : integer\nnoise_seed : integer",
        namespace={},
        clock=clock,
        name="copies",
    )
    readout = NeuronGroup(
        network.readout.n_steps * layout.n_copies * len(network.readout.bias),
        "score : volt  # sum of this step's contributions; not biological",
        namespace={},
        clock=clock,
        name="readout",
    )
    pending = NeuronGroup(
        layout.n_rows * layout.n_neurons,
        "pending : volt  # inhibition on its way along a gate",
        namespace={},
        clock=clock,
        name="lateral",
    )
    stimulus_values, n_images = stimulus_of(job, images)
    copies.n_images = n_images
    stimulus = TimedArray(stimulus_values * UNIT, dt=period * network.dt_ms * ms, name="stimulus")
    entry = neurons[: stimulus_values.shape[1]]
    entry.run_regularly("drive = stimulus(t, i)", when="start", order=0, name="present")
    neurons.clocked = first_decisions(job, n_images)
    owners = {
        "drive": neurons,
        "inhibition": neurons,
        "clocked": neurons,
        "pending": pending,
        "score": readout,
        "n_images": copies,
    }
    variables = {name: owners[name].variables[name] for name in STATE}
    if target == "cpp_standalone":
        device = brian2.get_device()
        state = {name: device.get_array_name(variable) for name, variable in variables.items()}
    else:
        state = {name: variable.get_value() for name, variable in variables.items()}
    functions = brian2_functions(layout, period, state)
    entry.namespace["stimulus"] = stimulus
    copies.namespace["advance_step"] = functions["advance_step"]
    copies.run_regularly(
        "step = advance_step(i, t_in_timesteps)", when="before_synapses", name="travel"
    )
    readout.run_regularly("score = 0*volt", when="start", name="clear")
    axons = Synapses(
        neurons,
        neurons,
        "route : integer (constant)\nreached : integer  # targets reached so far",
        on_pre="reached += deliver_spike(i, route, t_in_timesteps)",
        namespace={"deliver_spike": functions["deliver_spike"]},
        clock=clock,
        name="axons",
    )
    axons.connect(i=layout.axon_sources, j=layout.axon_sources)
    axons.route = layout.axon_routes
    axons.delay = layout.axon_delays * network.dt_ms * ms
    scores = StateMonitor(readout, "score", record=True, when="end", clock=clock, name="scores")
    parts: list[Any] = [neurons, copies, readout, pending, axons, scores]
    spikes = SpikeMonitor(neurons, name="spikes") if job.record else None
    traces = None
    if job.traced.size:
        traces = StateMonitor(
            neurons, "v", record=job.traced, when="after_thresholds", clock=clock, name="traces"
        )
    parts += [monitor for monitor in (spikes, traces) if monitor is not None]
    objects = Objects(
        neurons=neurons,
        axons=axons,
        readout=readout,
        copies=copies,
        stimulus=stimulus,
        scores=scores,
        spikes=spikes,
        traces=traces,
        network=BrianNetwork(*parts),
        n_steps=n_steps,
    )
    if job.change is not None:
        job.change(objects)
    return objects


def _per_copy(values: NDArray[np.float64], n_copies: int) -> NDArray[np.float64]:
    """Parameters of one image's neurons, repeated for every copy: position, copy, unit."""
    flat = values.reshape(len(values), 1, -1)
    return np.broadcast_to(flat, (len(values), n_copies, flat.shape[2])).ravel()


def stimulus_of(
    job: Job, images: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Input drive in network units, shape (depth, copies * units), and images of each copy."""
    n_copies = job.plan.n_copies
    values = np.zeros((job.depth * n_copies, job.network.populations[0].n_units))
    flat = images.reshape(len(images), values.shape[1])
    values[: len(images)] = flat * job.network.input_scale
    n_images = (len(images) - np.arange(n_copies) + n_copies - 1) // n_copies
    return values.reshape(job.depth, -1), n_images


def first_decisions(job: Job, n_images: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Neurons that decide in step 0: those of the input's first position, where an image is."""
    n_units = job.plan.layers[0].units
    clocked = np.zeros(job.plan.n_neurons, dtype=bool)
    clocked[: n_units * job.plan.n_copies] = np.repeat(n_images > 0, n_units)
    return clocked
