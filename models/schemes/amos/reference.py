"""The AMOS algorithm slot by slot in plain NumPy, independent of Brian2 and of the engine.

It reads the same converted network as the simulation but shares no code with it: drives are
gathered by convolution in float64, where the engine scatters spikes through axons. Every spike
train of a simulation must equal this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...spiking.network import READOUT, Population, SpikingNetwork
from ...spiking.projections import Projection
from ...spiking.recording import Spikes


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceRun:
    """What the algorithm does with some images.

    Parameters
    ----------
    fired : dict of str to ndarray of bool, shape (n_images, n_positions, n_units)
        By population.
    scores : ndarray, shape (n_images, n_steps, n_classes)
        Class scores after each step of the read-out window, as in a recording.
    spikes : Spikes
        The same spikes as a table with times.
    """

    fired: dict[str, NDArray[np.bool_]]
    scores: Array
    spikes: Spikes


def run(network: SpikingNetwork, images: Array) -> ReferenceRun:
    """Present each image on its own and let every neuron decide in its slot.

    Parameters
    ----------
    network : SpikingNetwork
        From :func:`models.schemes.amos.conversion.convert`.
    images : ndarray, shape (n, height, width, channels)
        Values that the input population codes.

    Returns
    -------
    ReferenceRun
    """
    n_images = len(images)
    fired = {
        p.name: np.zeros((n_images, p.n_positions, p.n_units), dtype=bool)
        for p in network.populations
    }
    drives = {stimulus.target: stimulus.values(images) for stimulus in network.stimuli}
    last = max(p.onset + p.n_positions for p in network.populations)
    for slot in range(last):
        for population in network.populations:
            position = slot - population.onset
            if not 0 <= position < population.n_positions:
                continue
            if position == 0 and population.name not in drives:
                drives[population.name] = _drive(network, population, fired)
            past = fired[population.name][:, :position]
            inhibition = np.tensordot(population.inhibition[position, :position], past, (0, 1))
            theta = population.parameters["theta"][position].reshape(-1)
            fired[population.name][:, position] = drives[population.name] - inhibition > theta
    return ReferenceRun(fired=fired, scores=_scores(network, fired), spikes=_table(network, fired))


def decoded(projection: Projection, fired: NDArray[np.bool_]) -> Array:
    """Value of each source unit in the projection's own unit, shape (n_images, n_units)."""
    return np.einsum("p,npu->nu", projection.gains, fired.astype(np.float64))


def _drive(
    network: SpikingNetwork, population: Population, fired: dict[str, NDArray[np.bool_]]
) -> Array:
    incoming = network.incoming(population.name)
    return sum(
        (p.forward(decoded(p, fired[p.source])) for p in incoming),
        start=np.zeros((len(fired[incoming[0].source]), population.n_units)),
    )


def _scores(network: SpikingNetwork, fired: dict[str, NDArray[np.bool_]]) -> Array:
    """Scores over time: in each slot the spikes of that slot are added."""
    readout = network.readout
    n_images = len(next(iter(fired.values())))
    scores = np.zeros((n_images, readout.n_steps, readout.n_classes))
    for projection in network.incoming(READOUT):
        source = network.population(projection.source)
        for position in range(source.n_positions):
            values = projection.gains[position] * fired[source.name][:, position].astype(float)
            at = source.onset + position - readout.onset
            scores[:, at] += projection.forward(values)
    return readout.logits(scores)


def _table(network: SpikingNetwork, fired: dict[str, NDArray[np.bool_]]) -> Spikes:
    parts = []
    for index, population in enumerate(network.populations):
        image, position, unit = np.nonzero(fired[population.name])
        parts.append(
            Spikes(
                image=image,
                layer=np.full(image.size, index),
                neuron=position * population.n_units + unit,
                step=population.onset + position,
            )
        )
    return Spikes.of(parts)
