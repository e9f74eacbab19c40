"""What a network has spent when its scores are read: spikes and synaptic events over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ann2brian.models.spiking.network import SpikingNetwork
from ann2brian.models.spiking.recording import Recording
from numpy.typing import NDArray


def spending(recording: Recording, network: SpikingNetwork) -> pd.DataFrame:
    """Spikes and synaptic events up to each step of the read-out.

    A network that runs in steps has spent those of all steps so far. One that runs once, in chains
    of neurons each of which has a slot of its own, has spent those of all slots so far.

    Parameters
    ----------
    recording : Recording
        Of all images.
    network : SpikingNetwork
        What was run.

    Returns
    -------
    DataFrame
        One row for each step of the read-out: spikes_per_image, events_per_image, both from the
        onset of an image. The last row has all.

    Raises
    ------
    ValueError
        If steps of the read-out are neither those of the neurons nor slots.
    """
    n_steps = recording.scores.shape[1]
    spikes, events = (
        sum(by_step.values()) for by_step in (recording.spikes_by_step, recording.events_by_step)
    )
    if len(events) != n_steps:
        if len(events) > 1:
            raise ValueError(
                f"network {network.name!r} runs {len(events)} steps and is read out in {n_steps}"
            )
        spikes, events = _by_slot(recording, network)
    found = {"spikes_per_image": spikes, "events_per_image": events}
    return pd.DataFrame(
        {name: np.cumsum(counts) / recording.n_images for name, counts in found.items()}
    )


def _by_slot(
    recording: Recording, network: SpikingNetwork
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spikes and events of each slot of the read-out; of the first also all before."""
    n_slots = recording.scores.shape[1]
    spikes, events = np.zeros((2, n_slots), dtype=np.int64)
    for population, counts in zip(network.populations, recording.spike_counts, strict=True):
        positions = np.arange(population.n_positions)
        slot = np.maximum(population.onset + positions - recording.readout_onset, 0)
        by_position = counts.sum(axis=1)
        np.add.at(spikes, slot, by_position)
        reached = by_position * np.count_nonzero(population.inhibition, axis=0)
        for projection in network.projections:
            if projection.source == population.name:
                reached = reached + counts @ projection.fan_out
        np.add.at(events, slot, reached)
    return spikes, events
