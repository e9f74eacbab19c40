"""Events of NIR, with times from which its own tools read the right steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...installs import needed
from ..spikes import Spikes, SpikeTrains
from .grid import Grid

NOTHING = -1  # neuron of an entry that is no event
MIDDLE = 0.5  # of a step


def to_nir(trains: SpikeTrains, layer: str) -> Any:
    """A ``nir.EventData`` of all images; see :meth:`Recording.to_nir`."""
    nir = needed("nir", "hand on events of NIR")
    index, of_layer = trains.layer(layer)
    own = trains.recorded[index]
    n_each = np.bincount(own.image, minlength=trains.n_images)
    starts = np.cumsum(n_each) - n_each
    at = own.image, np.arange(len(own)) - starts[own.image]
    shape = trains.n_images, int(n_each.max(initial=0))
    idx, time = np.full(shape, NOTHING), np.full(shape, np.inf)
    idx[at] = own.neuron
    grid = Grid(dt=trains.dt_ms / 1000.0, unit="s")
    # nir takes the step below a time, and below the end: at whole multiples of a step rounding
    # errors decide, in the middle they cannot.
    time[at] = grid.times(own.step.astype(np.float64) + MIDDLE)
    end = float(grid.times(np.asarray(trains.n_steps + MIDDLE)))
    return nir.EventData(idx, time, of_layer.n_neurons, end)


def spikes_from_nir(events: Any, dt_ms: float, layer: int = 0) -> Spikes:
    """Read events of NIR, ours or others'.

    Parameters
    ----------
    events : nir.EventData
        Times in seconds, at the beginning of steps or in their middle.
    dt_ms : float
        Length of a step.
    layer : int
        Index of the layer.

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If a time is neither.
    """
    image, place = np.nonzero(events.idx != NOTHING)
    halves = Grid(dt=dt_ms / 2000.0, unit="s").steps("events", events.time[image, place])
    columns = {"image": image, "layer": np.full(image.shape, layer), "step": halves // 2}
    return Spikes.of([Spikes(neuron=events.idx[image, place], **columns)])
