"""The NumPy references of all schemes: their one result, and their one loop over layers and steps.

A reference reads the same converted network as the simulation but shares no code with it: what
spikes bring is gathered by convolution in float64, where the engine scatters spikes through axons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Counts
from ..spiking.network import READOUT, Population, SpikingNetwork
from ..spiking.recording import Spikes
from .pooling import PoolingNeuron

# Population, step, V after the step before, constant current, weighted spikes: spikes and V after.
Respond = Callable[[Population, int, Array, Array, Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ReferenceRun:
    """What the algorithm does with some images.

    A step of a unit that is one neuron is an algorithmic step. A unit that is a chain of neurons
    has a step for each position, in which that neuron decides.

    Parameters
    ----------
    counts : dict of str to ndarray of int, shape (n_images, n_steps, n_units)
        Spikes in each step, by population.
    potentials : dict of str to ndarray, shape (n_images, n_neurons)
        V after the last step in network units; of pooling neurons, what they would still have to
        release; of the neurons of a chain, the potential with which they decided.
    scores : ndarray, shape (n_images, n_steps, n_classes)
        Class scores after each step of the read-out, as in a recording.
    spikes : Spikes
        The same spikes as a table with times.
    """

    counts: dict[str, Counts]
    potentials: dict[str, Array]
    scores: Array
    spikes: Spikes

    def __repr__(self) -> str:
        n_images, n_steps, _ = self.scores.shape
        return (
            f"ReferenceRun({n_images:,} images, {n_steps:,} steps, "
            f"{len(self.counts)} layers, {len(self.spikes):,} spikes)"
        )


def step_by_step(
    network: SpikingNetwork, images: Array, respond: Respond, n_steps: int | None = None
) -> ReferenceRun:
    """Present each image on its own, to one layer after the other, in every step of each.

    Parameters
    ----------
    network : SpikingNetwork
        A step of a layer needs nothing but the same step of its sources; of a chain, all of their
        steps.
    images : ndarray, shape (n, height, width, channels)
        Pixels.
    respond : callable
        One step of all neurons of a population but pooling ones: gets the population, the number
        of the step, V after the step before (0 at first), shape (n, n_neurons), the constant
        current and what the weighted spikes bring, gains applied, shape (n, n_units); returns the
        spikes, shape (n, n_units), and V.
    n_steps : int, optional
        Steps, at most and by default those of the read-out; chains have one for each position.

    Returns
    -------
    ReferenceRun
    """
    n_images = len(images)
    n_steps = network.readout.n_steps if n_steps is None else n_steps
    from_image = {s.target: s.values(images) for s in network.stimuli}
    counts: dict[str, Counts] = {}
    potentials: dict[str, Array] = {}
    for population in network.populations:
        name = population.name
        kind = network.kind(population.neurons)
        window = network.window(name)
        fired = np.zeros(
            (n_images, population.n_positions if kind.is_chain else n_steps, population.n_units),
            dtype=np.int16,
        )
        if window is not None:
            assert isinstance(kind, PoolingNeuron)
            places = np.zeros((n_images, population.n_units, window.n_places))
            for t in range(n_steps):
                arrived = window.by_place(counts[window.source][:, t].astype(np.float64))
                fired[:, t], places = pool(kind.rule, places, arrived)
            v = places.max(axis=2) if kind.rule == "lipool" else np.zeros(places.shape[:2])
        else:
            v = np.zeros((n_images, population.n_neurons))
            bias = np.asarray(population.parameters.get("bias", 0.0), dtype=np.float64).reshape(-1)
            shape = (n_images, population.n_units)
            current = np.broadcast_to(from_image.get(name, bias), shape)
            received = np.zeros(shape)
            for t in range(fired.shape[1]):
                if t == 0 or not kind.is_chain:
                    due = slice(None) if kind.is_chain else slice(t, t + 1)
                    received = sum(
                        (
                            population.gain(p.afferent)
                            * p.forward(np.einsum("p,npu->nu", p.gains, counts[p.source][:, due]))
                            for p in network.incoming(name)
                        ),
                        start=np.zeros(shape),
                    )
                fired[:, t], v = respond(population, t, v, current, received)
        counts[name], potentials[name] = fired, v
    return ReferenceRun(
        counts=counts,
        potentials=potentials,
        scores=_scores(network, counts, n_steps),
        spikes=spike_table(network, counts),
    )


def pool(rule: str, places: Array, arrived: Array) -> tuple[Array, Array]:
    """One step of a pooling neuron.

    Parameters
    ----------
    rule : str
        ``"lipool"``, ``"gated"`` or ``"or"``, see :func:`models.conversion.pooling.pooling_neuron`.
    places : ndarray, shape (..., n_places)
        Counts so far; for lateral inhibition less the output so far.
    arrived : ndarray, shape (..., n_places)
        Spikes of this step at each place.

    Returns
    -------
    spikes : ndarray, shape (...)
    places : ndarray, shape (..., n_places)
    """
    places = places + arrived
    if rule == "lipool":
        spikes = np.maximum(places.max(axis=-1), 0)
        return spikes, places - spikes[..., None]
    if rule == "gated":
        leads = places == places.max(axis=-1, keepdims=True)
        return np.where(leads, arrived, 0).max(axis=-1), places
    return arrived.max(axis=-1), places


def _scores(network: SpikingNetwork, counts: dict[str, Counts], n_steps: int) -> Array:
    """Scores after each step; the neurons of a chain contribute one after the other."""
    readout = network.readout
    first = next(iter(counts.values()))
    scores = np.zeros((len(first), n_steps, readout.n_classes))
    for projection in network.incoming(READOUT):
        source = network.population(projection.source)
        is_chain = network.kind(source.neurons).is_chain
        fired = counts[source.name].astype(np.float64)
        if is_chain:
            fired *= projection.gains[:, None]
        at = source.onset - readout.onset if is_chain else 0
        for t in range(fired.shape[1]):
            scores[:, at + t] += projection.forward(fired[:, t])
    return readout.logits(scores)


def spike_table(network: SpikingNetwork, counts: dict[str, Counts]) -> Spikes:
    """Spikes with their times; those of one step come one simulation step apart."""
    every, phase_steps = network.readout.every, network.phase_steps
    parts = []
    for index, population in enumerate(network.populations):
        fired = counts[population.name]
        image, step, unit = np.nonzero(fired)
        size = fired[image, step, unit].astype(np.int64)
        which = np.repeat(np.arange(size.size), size)
        place = np.arange(which.size) - np.repeat(np.cumsum(size) - size, size)
        phase = population.onset + every * step + every - 1
        is_chain = network.kind(population.neurons).is_chain
        neuron = unit + step * population.n_units if is_chain else unit
        parts.append(
            Spikes(
                image=image[which],
                layer=np.full(which.size, index),
                neuron=neuron[which],
                step=phase[which] * phase_steps + place,
            )
        )
    return Spikes.of(parts)
