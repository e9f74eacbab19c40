"""Spike trains of Neo, which Elephant takes, with their steps beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...installs import needed
from ..spikes import Spikes, SpikeTrains
from .grid import Grid

STEP = "step"  # array annotation


def to_neo(trains: SpikeTrains, layer: str, image: int) -> list[Any]:
    """One ``neo.SpikeTrain`` for each neuron; see :meth:`Recording.to_neo`."""
    neo = needed("neo", "hand on spike trains of Neo")
    index, of_layer = trains.layer(layer)
    own = trains.of_image(index, image)
    grid = Grid(dt=trains.dt_ms)
    order = np.lexsort((own.step, own.neuron))
    neurons = np.arange(of_layer.n_neurons, dtype=np.int32)
    ends = np.searchsorted(own.neuron[order], neurons, side="right")
    by_neuron = np.split(own.step[order], ends)[:-1]
    places = {name: of_each.tolist() for name, of_each in of_layer.places(neurons).items()}
    shared = {
        "scheme": trains.scheme,
        "network": trains.network,
        "layer": layer,
        "layer_index": index,
        "image": int(image),
        "dt_ms": trains.dt_ms,
        "n_steps": trains.n_steps,
    }
    # Quantities are slow to make and shared by all trains. All times have one unit: Neo compares
    # them with t_stop without a tolerance.
    pq = needed("quantities", "hand on spike trains of Neo")
    start, stop = 0.0 * pq.ms, trains.n_steps * trains.dt_ms * pq.ms
    rate = pq.kHz / trains.dt_ms
    return [
        neo.SpikeTrain(
            grid.times(steps),
            units=pq.ms,
            t_start=start,
            t_stop=stop,
            sampling_rate=rate,
            name=f"{layer} {neuron}",
            array_annotations={STEP: steps},
            neuron=neuron,
            **{name: of_each[neuron] for name, of_each in places.items()},
            **shared,
        )
        for neuron, steps in enumerate(by_neuron)
    ]


def spikes_from_neo(trains: Sequence[Any], dt_ms: float | None = None) -> Spikes:
    """Read spike trains of Neo, ours or others'.

    Parameters
    ----------
    trains : sequence of neo.SpikeTrain
        Times since the onset of the image, in any unit. Ours say by annotations which neuron of
        which layer and image each is; without these it is layer 0, image 0 and the neuron that has
        its place in the sequence.
    dt_ms : float, optional
        Length of a step, where the trains have no annotation of it.

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If a train does not say its step and `dt_ms` does not, or they differ; if a time is on no
        whole step or not that of the step beside it. The message names the train.
    """
    parts = []
    for place, train in enumerate(trains):
        notes = train.annotations
        what = f"train {place}"
        dt = notes.get("dt_ms", dt_ms)
        if dt is None:
            raise ValueError(f"{what} does not say how long a step is; say dt_ms")
        if dt_ms is not None and dt != dt_ms:
            raise ValueError(f"{what} has steps of {dt:g} ms, not {dt_ms:g} ms")
        times = np.asarray(train.rescale("ms").magnitude)
        step = Grid(dt=dt).steps(what, times, train.array_annotations.get(STEP))
        columns = {
            "image": notes.get("image", 0),
            "layer": notes.get("layer_index", 0),
            "neuron": notes.get("neuron", place),
        }
        shaped = {name: np.full(len(step), value) for name, value in columns.items()}
        parts.append(Spikes(step=step, **shaped))
    if not parts:
        raise ValueError("spikes_from_neo takes at least one train")
    return Spikes.of(parts)
