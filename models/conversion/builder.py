"""From the layers of a trained network to a spiking network, for schemes of steps.

In these schemes every unit is one neuron, the image is a constant current, max pooling is done by
neurons of its own, and the read-out takes the mean over the steps. What differs is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..networks.dynamics import Neurons
from ..networks.layers import INPUT, Layer, MaxPool2D
from ..networks.network import Network
from ..spiking.inputs import Stimulus
from ..spiking.network import READOUT, Population, Readout, SpikingNetwork
from ..spiking.neuron_type import NeuronType
from ..spiking.projections import WeightedProjection, WindowProjection
from .membrane import UNIT_VOLT
from .pooling import pooling_neuron, pooling_population, pooling_windows
from .synapses import Weighted
from .timing import Timing


def build(
    network: Network,
    *,
    scheme: str,
    spiking: tuple[type[Layer], ...],
    neuron: NeuronType | Mapping[str, NeuronType],
    receive: Callable[[str, str], Weighted],
    parameters: Callable[[Layer, Weighted], Mapping[str, Any]],
    timing: Timing,
    n_steps: int,
    dt_ms: float,
    limits: Mapping[str, int] | None = None,
    pooling: str = "or",
    release: str = "double-buffer",
    start_step: float = np.inf,
) -> tuple[SpikingNetwork, float]:
    """Neurons for every spiking unit and every pooling window.

    Parameters
    ----------
    network : Network
        Without what the scheme has merged or taken out.
    scheme : str
        Name.
    spiking : tuple of type
        Layers whose units become neurons, max pooling included.
    neuron : NeuronType or mapping of str to NeuronType
        Of all but pooling units; or by layer.
    receive : callable
        Gets a layer and a target (population or read-out): what the target receives when it is
        given the value of that layer.
    parameters : callable
        Gets a spiking layer and what it receives: constants of its neurons.
    timing : Timing
        When each layer works.
    n_steps : int
        Algorithmic steps.
    dt_ms : float
        Length of a simulation step.
    limits : mapping of str to int, optional
        Most spikes of a neuron in a step, by layer; 1 by default.
    pooling, release : str
        Rule of the pooling neurons, and when they release spikes, see
        :func:`models.conversion.pooling.pooling_neuron`.
    start_step : float
        Grid of the neurons' initial potentials, in network units.

    Returns
    -------
    SpikingNetwork, float
        And the largest relative root-mean-square rounding error of a kernel.
    """
    layers = [layer for layer in network.layers if isinstance(layer, spiking)]
    limits = limits or dict.fromkeys((layer.name for layer in layers), 1)
    names = [layer.name for layer in layers]
    by_layer = dict.fromkeys(names, neuron) if isinstance(neuron, NeuronType) else neuron
    neurons: dict[str, NeuronType] = {}
    populations: list[Population] = []
    projections: list[WeightedProjection | WindowProjection] = []
    stimuli: list[Stimulus] = []
    errors: list[float] = []
    for layer in layers:
        onset = timing.onsets[layer.name]
        if isinstance(layer, MaxPool2D):
            window = pooling_neuron(pooling, layer.size, release, timing.phase_steps)
            neurons[window.name] = window
            population = pooling_population(network, layer, window.name, onset, limits[layer.name])
            populations.append(population)
            projections.append(pooling_windows(network, layer, timing.delays))
            continue
        received = receive(layer.inputs[0], layer.name)
        kind = by_layer[layer.name]
        neurons[kind.name] = kind
        populations.append(
            Population(
                name=layer.name,
                neurons=kind.name,
                shape=network.shapes[layer.name],
                onset=onset,
                parameters=parameters(layer, received),
                largest_input=received.largest_input,
                input_step=min(start_step, received.step),
            )
        )
        projections += received.projections
        stimuli += received.stimuli
        errors.append(received.error)
    scores = receive(network.layers[-1].name, READOUT)
    network_of_neurons = SpikingNetwork(
        scheme=scheme,
        name=network.name,
        neurons=tuple(neurons.values()),
        populations=tuple(populations),
        projections=(*projections, *scores.projections),
        stimuli=tuple(stimuli),
        readout=Readout(
            n_steps=n_steps,
            gain=scores.gain,
            offset=scores.bias.reshape(-1),
            is_mean=True,
            onset=timing.onsets[READOUT],
            every=timing.every,
        ),
        image_shape=network.input.shape,
        coding=network.input,
        unit_volt=UNIT_VOLT,
        dt_ms=dt_ms,
        phase_steps=timing.phase_steps,
        n_phases=timing.every * n_steps,
        most_spikes=max(limits.values()) * n_steps,
    )
    return network_of_neurons, max(*errors, scores.error)


def named_apart(neurons: Mapping[str, NeuronType]) -> dict[str, NeuronType]:
    """The same types of neurons by layer, with equal names only where they are equal.

    The first of a name keeps it, the next is ``name_2``, and so on.
    """
    kinds: dict[str, list[NeuronType]] = {}
    found = {}
    for layer, kind in neurons.items():
        alike = kinds.setdefault(kind.name, [])
        if kind not in alike:
            alike.append(kind)
        number = alike.index(kind) + 1
        found[layer] = kind if number == 1 else replace(kind, name=f"{kind.name}_{number}")
    return found


def require_spiking(
    network: Network, spiking: tuple[type[Layer], ...], meant: tuple[type[Layer], ...]
) -> None:
    """Refuse, by name, max pooling of what does not spike, and networks without neurons.

    Parameters
    ----------
    network : Network
        To be converted.
    spiking : tuple of type
        Layers whose units become neurons, max pooling included.
    meant : tuple of type
        Those of them that have weights before them.
    """
    for layer in network.layers:
        if isinstance(layer, Neurons):
            raise ValueError(
                f"network {network.name!r}: {layer.label} has a state of its own, as in NIR files; "
                "convert the network with NirOptions (studies/run_nir.py), which runs it as it is"
            )
        if isinstance(layer, MaxPool2D):
            source = layer.inputs[0]
            if source == INPUT or not isinstance(network.layer(source), spiking):
                raise ValueError(
                    f"network {network.name!r}: {layer.label} pools {source!r}, which does not "
                    "spike; put the activation before the pooling, which computes the same"
                )
    if not any(isinstance(layer, meant) for layer in network.layers):
        raise ValueError(
            f"network {network.name!r} has no activation, so there is nothing to make neurons of"
        )
    if isinstance(network.layers[-1], spiking):
        raise ValueError(
            f"network {network.name!r}: the last layer, {network.layers[-1].label}, spikes; the "
            "scores need a linear layer after it"
        )
