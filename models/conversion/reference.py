"""What the NumPy references of the schemes of steps share: result, helpers, the loop over steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Counts
from ..spiking.network import READOUT, Population, SpikingNetwork
from ..spiking.recording import Spikes

# Population, step, V after the step before, constant current, weighted spikes: spikes and V after.
Respond = Callable[[Population, int, Array, Array, "Array | float"], tuple[Array, Array]]


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceRun:
    """What the algorithm does with some images.

    Parameters
    ----------
    counts : dict of str to ndarray of int, shape (n_images, n_steps, n_units)
        Spikes in each step, by population.
    potentials : dict of str to ndarray, shape (n_images, n_units)
        V after the last step in units of the threshold; of pooling neurons, what they would
        still have to release.
    scores : ndarray, shape (n_images, n_steps, n_classes)
        Class scores after each step, as in a recording.
    spikes : Spikes
        The same spikes as a table with times.
    """

    counts: dict[str, Counts]
    potentials: dict[str, Array]
    scores: Array
    spikes: Spikes


def weighted_sum(network: SpikingNetwork, target: str, counts: dict[str, Array]) -> Array | float:
    """What `target` receives in one step, shape (n_images, n_units), in network units."""
    return sum((p.forward(counts[p.source]) for p in network.incoming(target)), start=0.0)


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
        parts.append(
            Spikes(
                image=image[which],
                layer=np.full(which.size, index),
                neuron=unit[which],
                step=phase[which] * phase_steps + place,
            )
        )
    return Spikes.of(parts)


def step_by_step(
    network: SpikingNetwork, images: Array, n_steps: int, respond: Respond
) -> ReferenceRun:
    """Present each image on its own, layer by layer in every step; neurons spike once or not.

    Parameters
    ----------
    network : SpikingNetwork
        Whose images are constant currents; pooling neurons pass on what any of their window sent.
    images : ndarray, shape (n, height, width, channels)
        Pixels.
    n_steps : int
        Steps, at most those of the read-out.
    respond : callable
        One step of all neurons of a population but pooling ones: gets the population, the number
        of the step, V after the step before (0 at first), the constant current ``bias`` and the
        weighted sum of spikes; returns spikes and V.

    Returns
    -------
    ReferenceRun
    """
    n_images = len(images)
    populations = network.populations
    currents: dict[str, Array] = {
        p.name: p.parameters["bias"].reshape(-1).astype(np.float64)
        for p in populations
        if network.window(p.name) is None
    }
    currents |= {s.target: s.values(images) for s in network.stimuli}
    counts = {p.name: np.zeros((n_images, n_steps, p.n_units), np.int16) for p in populations}
    state = {p.name: np.zeros((n_images, p.n_units)) for p in populations}
    scores = np.zeros((n_images, n_steps, network.readout.n_classes))
    for t in range(n_steps):
        now: dict[str, Array] = {}
        for population in populations:
            name = population.name
            window = network.window(name)
            if window is not None:
                now[name] = window.by_place(now[window.source]).max(axis=-1)
            else:
                received = weighted_sum(network, name, now)
                now[name], state[name] = respond(
                    population, t, state[name], currents[name], received
                )
            counts[name][:, t] = now[name]
        scores[:, t] = weighted_sum(network, READOUT, now)
    return ReferenceRun(
        counts=counts,
        potentials=state,
        scores=network.readout.logits(scores),
        spikes=spike_table(network, counts),
    )
