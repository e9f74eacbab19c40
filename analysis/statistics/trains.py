"""Spike trains by layer, and checks of what is asked of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ann2brian.models.arrays import Array, Integers
from ann2brian.models.spiking.recording import RecordedLayer, Recording, Spikes
from numpy.typing import ArrayLike, NDArray


def recorded_layers(recording: Recording) -> list[tuple[RecordedLayer, Spikes]]:
    """Layers whose spike trains were kept, each with its spikes."""
    trains = recording.trains
    return [(trains.layers[index], own) for index, own in trains.recorded.items()]


@dataclass(frozen=True, eq=False, kw_only=True)
class Trains:
    """Spikes of one layer, train after train, in order of time within a train.

    Parameters
    ----------
    layer : RecordedLayer
        The layer.
    n_images : int
        Images presented, including those without a spike.
    dt_ms : float
        Length of a simulation step in ms.
    train : ndarray of int, shape (n_spikes,)
        Image times neurons of the layer plus neuron; ascending.
    step : ndarray of int, shape (n_spikes,)
        Simulation steps since the onset of the image; ascending within a train.
    """

    layer: RecordedLayer
    n_images: int
    dt_ms: float
    train: Integers
    step: Integers

    @classmethod
    def of(cls, spikes: Spikes, layer: RecordedLayer, n_images: int, dt_ms: float) -> Trains:
        """Sort the spikes of one layer into trains.

        Parameters
        ----------
        spikes : Spikes
            Of this layer only, in any order.
        layer : RecordedLayer
            Its shape and onset.
        n_images : int
            Images presented, including those without a spike.
        dt_ms : float
            Length of a simulation step in ms.

        Returns
        -------
        Trains

        Raises
        ------
        ValueError
            If the spikes belong to several layers or lie outside this one or the images, or if a
            neuron fires twice in one step; the message names the layer.
        """
        label = f"layer {layer.name!r}"
        if len(np.unique(spikes.layer)) > 1:
            raise ValueError(f"{label}: got spikes of {len(np.unique(spikes.layer))} layers")
        n_neurons = layer.n_neurons
        for name, values, limit in (
            ("neuron", spikes.neuron, n_neurons),
            ("image", spikes.image, n_images),
        ):
            if len(spikes) and not (values.min() >= 0 and values.max() < limit):
                raise ValueError(
                    f"{label}: spikes of {name} {values.min()} to {values.max()}, but there are "
                    f"{limit}"
                )
        train = spikes.image.astype(np.int64) * n_neurons + spikes.neuron
        order = np.lexsort([spikes.step, train])
        train, step = train[order], spikes.step[order].astype(np.int64)
        if ((np.diff(train) == 0) & (np.diff(step) == 0)).any():
            raise ValueError(f"{label}: a neuron fires twice in one step")
        return cls(layer=layer, n_images=n_images, dt_ms=dt_ms, train=train, step=step)

    def __len__(self) -> int:
        """Number of spikes."""
        return len(self.train)

    @property
    def n_neurons(self) -> int:
        """Neurons of the layer."""
        return self.layer.n_neurons

    @property
    def image(self) -> Integers:
        """Image of each spike, shape (n_spikes,)."""
        return self.train // self.n_neurons

    @property
    def neuron(self) -> Integers:
        """Neuron of each spike, shape (n_spikes,)."""
        return self.train % self.n_neurons

    @property
    def bounds(self) -> tuple[Integers, Integers]:
        """First spike of each train that has one, and the one after its last; (n_trains,) each."""
        starts = np.flatnonzero(np.diff(self.train, prepend=-1))
        return starts, np.append(starts, len(self))[1:]

    @property
    def is_successor(self) -> NDArray[np.bool_]:
        """Whether spike i + 1 belongs to the train of spike i, shape (n_spikes - 1,)."""
        return np.diff(self.train) == 0

    @property
    def intervals_ms(self) -> Array:
        """All intervals within trains, in ms, shape (n_intervals,)."""
        return np.diff(self.step)[self.is_successor] * self.dt_ms


def trains_of(recording: Recording) -> tuple[Trains, ...]:
    """Trains of the layers whose spikes were recorded.

    Parameters
    ----------
    recording : Recording
        With spike trains; layers that were not recorded are left out.

    Returns
    -------
    tuple of Trains
        In the order of the layers.

    Raises
    ------
    ValueError
        If no spike trains were recorded, or they do not agree with the spike counts.
    """
    return tuple(
        Trains.of(own, layer, recording.n_images, recording.dt_ms)
        for layer, own in recorded_layers(recording)
    )


def _checked(trains: Sequence[ArrayLike], duration_ms: float = math.inf) -> list[Array]:
    """Trains as arrays, each of shape (n_spikes,), or a ValueError that names the trial."""
    checked = [np.asarray(train, dtype=np.float64) for train in trains]
    if not checked:
        raise ValueError("need at least one trial; a trial without a spike is an empty array")
    for trial, times in enumerate(checked):
        if times.ndim != 1:
            raise ValueError(f"trial {trial}: spike times must be 1-D, got shape {times.shape}")
        if not ((times >= 0) & (times < duration_ms)).all():
            wrong = times[~((times >= 0) & (times < duration_ms))][0]
            raise ValueError(f"trial {trial}: spike at {wrong} ms, outside 0 to {duration_ms:g} ms")
        if (np.diff(times) <= 0).any():
            later = int((np.diff(times) <= 0).argmax()) + 1
            raise ValueError(
                f"trial {trial}: spike at {times[later]} ms after one at {times[later - 1]} ms; "
                "sort the times and give each only once"
            )
    return checked


def _check_above_0(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be finite and above 0, got {value!r}")


def _mean(values: NDArray) -> float:
    """Mean, or NaN of nothing."""
    return float(values.mean()) if values.size else math.nan


def _mean_of_defined(values: ArrayLike) -> float:
    """Mean of what is not NaN, or NaN of nothing."""
    every = np.asarray(values, dtype=np.float64)
    return _mean(every[~np.isnan(every)])
