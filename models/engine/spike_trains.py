"""From the spikes that Brian2 recorded to spike trains of images and layers.

Brian2 lists the spikes of a type of neurons in the order of time, and those of a step in the order
of the neurons: layer, position, copy, unit. So they come in runs, the spikes of one position of
one layer in one copy, which belong to one image. What holds for a run is computed once for it, and
runs are moved as a whole: those of one image and layer stand in the right order already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Integers
from ..spiking.recording import Column, Spikes
from .job import Job

AT_ONCE = 2**17  # spikes that are decoded together: what is computed of them stays in the cache

Recorded = tuple[NDArray[np.int32], Array]  # neurons in their group, and times in seconds


class _Blocks(NamedTuple):
    """One entry for each position of each layer of a group in each copy, in their order."""

    of_neuron: NDArray[np.int32]  # block of each neuron of the group
    layer: Integers
    copy: Integers
    onset: Integers  # step in which the first image reaches it
    shift: NDArray[np.int32]  # from a neuron's index in the group to that in the layer
    is_kept: NDArray[np.bool_]


class _Pieces(NamedTuple):
    """Spikes that were decoded together, all of one image and layer in one piece."""

    key: Integers  # of each piece: image times layers plus layer; ascending
    size: Integers  # of each piece
    neuron: Column  # piece after piece
    step: Column


def spike_trains(job: Job, recorded: Mapping[str, Iterable[Recorded]], place: int) -> Spikes:
    """Spikes as image, layer, neuron in the layer, and step since the image's onset.

    Parameters
    ----------
    job : Job
        What ran.
    recorded : mapping of str to iterable of (ndarray of int32, ndarray)
        By type of neurons: indices in the group and times in seconds, in any number of pieces, in
        the order in which Brian2 lists them.
    place : int
        Of the first image among those of the run.

    Returns
    -------
    Spikes
        Of the recorded layers.
    """
    none = np.zeros(0, dtype=np.int64)
    keys, sizes = [none], [none]
    neurons: list[Column] = []  # piece by piece
    steps: list[Column] = []
    for group, kind in enumerate(job.network.neurons):
        blocks = _blocks(job, group)
        for indices, times_s in recorded[kind.name]:
            for begin in range(0, len(indices), AT_ONCE):
                part = slice(begin, begin + AT_ONCE)
                found = _decoded(job, blocks, indices[part], times_s[part])
                keys.append(found.key)
                sizes.append(found.size)
                ends = np.cumsum(found.size)
                neurons += np.split(found.neuron, ends)[:-1]
                steps += np.split(found.step, ends)[:-1]
    key, size = np.concatenate(keys), np.concatenate(sizes)
    order = np.argsort(key, kind="stable")
    size = size[order]
    image, layer = np.divmod(key[order], len(job.layout.layers))
    return Spikes(
        neuron=_taken(neurons, order),
        step=_taken(steps, order),
        image=np.repeat((place + image).astype(np.int32), size),
        layer=np.repeat(layer.astype(np.int32), size),
    )


def _taken(pieces: list[Column], order: Integers) -> Column:
    """Pieces in another order, as one array; the list is empty afterwards, to free them."""
    joined = np.concatenate([np.zeros(0, dtype=np.int32), *(pieces[i] for i in order)])
    pieces.clear()
    return joined


def _blocks(job: Job, group: int) -> _Blocks:
    """Blocks of a group, with what holds for all spikes of each."""
    rows = [
        (index, copy, layer.onset + position, position * layer.units, layer.units)
        for index, layer in enumerate(job.layout.layers)
        if layer.group == group
        for position in range(layer.positions)
        for copy in range(job.layout.n_copies)
    ]
    layer, copy, onset, before, units = np.array(rows, dtype=np.int64).T
    first = np.cumsum(units) - units
    return _Blocks(
        of_neuron=np.repeat(np.arange(len(rows), dtype=np.int32), units),
        layer=layer,
        copy=copy,
        onset=onset * job.network.phase_steps,
        shift=(before - first).astype(np.int32),
        is_kept=np.isin(layer, job.record),
    )


def _decoded(job: Job, blocks: _Blocks, neurons: NDArray[np.int32], times_s: Array) -> _Pieces:
    """Decode spikes that follow each other: runs of one block and step, then their spikes."""
    block = blocks.of_neuron[neurons]
    is_first = np.ones(len(neurons), dtype=bool)
    np.not_equal(block[1:], block[:-1], out=is_first[1:])
    is_first[1:] |= times_s[1:] != times_s[:-1]
    first = np.flatnonzero(is_first)
    size = np.diff(first, append=len(neurons))

    block = block[first]
    step = np.rint(times_s[first] / job.network.dt_s).astype(np.int64)
    turn = (step - blocks.onset[block]) // job.period_steps
    step -= turn * job.period_steps
    image = turn * job.layout.n_copies + blocks.copy[block]
    key = image * len(job.layout.layers) + blocks.layer[block]

    # A stable order leaves the runs of an image and layer as Brian2 lists them.
    order = np.argsort(key, kind="stable")
    order = order[blocks.is_kept[block[order]]]
    key, size = key[order], size[order]
    taken = np.repeat(first[order] - (np.cumsum(size) - size), size)
    taken += np.arange(len(taken))
    key, starts = np.unique(key, return_index=True)
    return _Pieces(
        key=key,
        size=np.add.reduceat(size, starts) if starts.size else size,
        neuron=neurons[taken] + np.repeat(blocks.shift[block[order]], size),
        step=np.repeat(step[order].astype(np.int32), size),
    )
