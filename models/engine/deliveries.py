"""The Brian2 objects that find the spikes of a step and take them to their targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import BrianObject, Clock, Function, NeuronGroup, Synapses, get_device, second

from ..arrays import Integers
from .delivery import brian2_functions
from .job import Job
from .layout import Route
from .numpy_delivery import State
from .objects import Objects


def deliveries(
    job: Job, objects: Objects, state: State, steps: Clock, target: str
) -> list[BrianObject]:
    """Create what finds the spikes of a step and takes them to their targets.

    Parameters
    ----------
    job : Job
        Network and layout.
    objects : Objects
        Neurons, and the delays that were asked for: those of a block are kept by ``deliver``; where
        neurons of a block differ, each has a Brian2 synapse.
    state : State
        Owner and name of the variables that are read and written.
    steps : brian2.Clock
        Ticks once a step.
    target : str
        Code-generation target.

    Returns
    -------
    list of brian2.BrianObject
    """
    layout = job.layout
    by_block = [own if own.ndim == 1 else np.full(len(own), -1) for own in objects.delays]
    longest = max((int(own.max()) for own in by_block), default=0)
    post = NeuronGroup(
        max(longest + 1, 1) * layout.sizes.words,
        "remembered : integer  # spikes of the last steps, a bit a neuron; bookkeeping",
        namespace={},
        clock=steps,
        name="post",
    )
    state = state._replace(remembered=[(post, "remembered")])
    data = data_of(state, target)
    functions = brian2_functions(
        layout, data, ["find_spikes", "deliver", "deliver_spike"], by_block
    )
    mail = NeuronGroup(
        1,
        "found : integer\ndelivered : integer",
        namespace={name: functions[name] for name in ("find_spikes", "deliver")},
        clock=steps,
        name="mail",
    )
    # After all threshold tests, whose place it takes: objects of one slot and order run by name.
    last = max(f"{name}_thresholder" for name in objects.neurons)
    mail.run_regularly("found = find_spikes(t_in_timesteps)", when="thresholds", name=f"{last}_2")
    mail.run_regularly("delivered = deliver(t_in_timesteps)", when="synapses", name="deliver")
    return [post, mail, *_axons(job, objects, functions["deliver_spike"], steps)]


def _axons(job: Job, objects: Objects, deliver_spike: Function, clock: Clock) -> list[Synapses]:
    """One synapse for each neuron of the connections where delays differ, by type of the source."""
    layout, found = job.layout, []
    for number, (kind, group) in enumerate(objects.neurons.items()):
        routes = [
            (index, route)
            for index, route in enumerate(layout.routes)
            if route.group == number and objects.delays[index].ndim == 2
        ]
        if not routes:
            continue
        axons = [_axons_of(route, index, objects.delays[index]) for index, route in routes]
        neurons, of_routes, steps = (np.concatenate(column) for column in zip(*axons, strict=True))
        synapses = Synapses(
            group,
            group,
            "route : integer (constant)\nreached : integer  # targets of the last spike",
            # i_pre and not i: see docs/brian2-releases.md
            on_pre="reached = deliver_spike(i_pre, route, t_in_timesteps)",
            namespace={"deliver_spike": deliver_spike},
            clock=clock,
            name=f"{kind}_axons",
        )
        synapses.connect(i=neurons, j=neurons)
        synapses.route = of_routes
        synapses.delay = steps * job.network.dt_s * second
        found.append(synapses)
    return found


def _axons_of(route: Route, number: int, steps: Integers) -> tuple[Integers, Integers, Integers]:
    """Source, route and delay in steps of each axon of a route, all copies."""
    n_copies = route.block // route.units
    all_steps = np.repeat(steps[:, None], n_copies, axis=1).ravel()
    neurons = (route.offset + np.arange(all_steps.size))[all_steps >= 0]
    return neurons, np.full(neurons.size, number), all_steps[all_steps >= 0]


def data_of(state: State, target: str) -> State:
    """Return the arrays of variables, or their names in a generated program.

    Parameters
    ----------
    state : State
        Owner and name of each variable, or None.
    target : str
        Code-generation target.
    """
    device = get_device()
    is_program = target == "cpp_standalone"

    def own_data(one: tuple[Any, str] | None) -> Any:
        if one is None:
            return None
        variable = one[0].variables[one[1]]
        return device.get_array_name(variable) if is_program else variable.get_value()

    return State(*([own_data(one) for one in own] for own in state))
