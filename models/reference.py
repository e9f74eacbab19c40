"""What the NumPy references of the schemes of steps share: their result and two helpers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .recording import Spikes
from .spiking import SpikingNetwork

Array = NDArray[np.float64]
Counts = NDArray[np.int16]


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
