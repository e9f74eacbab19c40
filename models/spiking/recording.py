"""What a run leaves behind: counts, class scores over time, and spike trains where asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Integers
from .spikes import COLUMNS as COLUMNS
from .spikes import Column as Column
from .spikes import RecordedLayer as RecordedLayer
from .spikes import Spikes as Spikes
from .spikes import SpikeTrains

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Recording:
    """Result of a simulation, as plain arrays.

    Parameters
    ----------
    scheme, network : str
        Conversion scheme and trained network.
    layers : tuple of RecordedLayer
        Populations in order.
    n_images : int
        Images presented.
    dt_ms : float
        Length of a step.
    phase_steps : int
        Steps of a phase (see :mod:`models.spiking.network`).
    period : int
        Phases between the onsets of successive images of one copy.
    scores : ndarray, shape (n_images, n_steps, n_classes)
        Class scores as they stand after each step of the read-out window: logits, in the units of
        the trained network. Gain and offset of the classes are in them, and where a network
        classifies by the mean over steps they are means over the steps so far.
    readout_onset, readout_every : int
        Phase, from the image's onset, whose contributions the first entry of `scores` holds, and
        phases from one entry to the next.
    spike_counts : tuple of ndarray, shape (n_positions, n_units)
        Per layer: spikes of each neuron over all images.
    most_spikes : int
        Largest number of spikes that any neuron fired for one image.
    events_by_step : dict of str to ndarray, shape (n,)
        Per connection: target neurons reached by the spikes of each step of the algorithm.
    spikes_by_step : dict of str to ndarray, shape (n,)
        Per layer with outgoing connections: spikes of each step of the algorithm.
    spikes : Spikes or None
        Spike trains of the layers that were recorded.
    traces : dict of str to ndarray, shape (n_traced_neurons, n_steps)
        Membrane potential in mV of the neurons asked for, by layer.
    end_potentials : dict of str to ndarray, shape (n_images, n_neurons)
        Membrane potential in mV at the end of each image, of the recorded layers; empty when
        images overlapped in the network.
    build_s, run_s : float
        Wall time of code generation and compilation, and of everything after it.
    loop_s : float
        Wall time of the simulation loops alone, summed over all program starts.
    with_own_axons : tuple of str
        Connections whose source neurons had axons of their own, since their delays differ; spikes
        over the others travelled by block, all neurons of a layer at once.
    """

    scheme: str
    network: str
    layers: tuple[RecordedLayer, ...]
    n_images: int
    dt_ms: float
    phase_steps: int
    period: int
    scores: NDArray[np.float64]
    readout_onset: int
    readout_every: int
    spike_counts: tuple[Integers, ...]
    most_spikes: int
    events_by_step: dict[str, Integers]
    spikes_by_step: dict[str, Integers]
    spikes: Spikes | None
    traces: dict[str, NDArray[np.float64]]
    end_potentials: dict[str, NDArray[np.float64]]
    build_s: float
    run_s: float
    loop_s: float
    with_own_axons: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Recording({self.scheme}, {self.network}: {self.n_images:,} images, "
            f"{len(self.layers)} layers, {self.spikes_per_image:,.1f} spikes per image, "
            f"{self.latency_steps * self.dt_ms:,.1f} ms)"
        )

    @property
    def predictions(self) -> Integers:
        """Class with the largest final score, shape (n_images,); the first one on a tie."""
        return self.scores[:, -1].argmax(axis=1)

    @property
    def spikes_per_image(self) -> float:
        """Spikes of all neurons, input included, for one image."""
        return float(sum(counts.sum() for counts in self.spike_counts)) / self.n_images

    @property
    def synaptic_events(self) -> dict[str, int]:
        """Per connection: target neurons reached by all spikes."""
        return {name: int(events.sum()) for name, events in self.events_by_step.items()}

    @property
    def events_per_image(self) -> float:
        """Synaptic events of all connections for one image."""
        return sum(self.synaptic_events.values()) / self.n_images

    @property
    def latency_steps(self) -> int:
        """Steps from the onset of an image until its scores are complete, read-out included."""
        return int(self.ready_steps[-1])

    @property
    def ready_steps(self) -> Integers:
        """Steps from the onset of an image until each entry of `scores` is complete."""
        phases = self.readout_onset + self.readout_every * np.arange(self.scores.shape[1]) + 1
        return phases * self.phase_steps + 1

    def layer(self, name: str) -> int:
        """Index of the layer of that name.

        Raises
        ------
        ValueError
            If there is none; the message lists the names.
        """
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise ValueError(f"no layer {name!r}; there are {', '.join(names)}")
        return names.index(name)

    @cached_property
    def trains(self) -> SpikeTrains:
        """Spike trains of the recorded layers, with all that it takes to hand them on.

        Raises
        ------
        ValueError
            If no spike trains were recorded, or they do not agree with the spike counts.
        """
        if self.spikes is None:
            raise ValueError(
                "this recording holds no spike trains; simulate with record=True, or with record "
                "set to the names of the layers"
            )
        recorded = {}
        for index, (layer, counts) in enumerate(zip(self.layers, self.spike_counts, strict=True)):
            own = self.spikes.of_layer(index, layer, self.n_images)
            if len(own) == counts.sum():
                recorded[index] = own
            elif len(own):
                raise ValueError(
                    f"layer {layer.name!r}: {len(own)} spikes in the trains, {counts.sum()} counted"
                )
        last = max((int(own.step.max(initial=-1)) for own in recorded.values()), default=-1)
        return SpikeTrains(
            scheme=self.scheme,
            network=self.network,
            layers=self.layers,
            recorded=recorded,
            predictions=self.predictions,
            dt_ms=self.dt_ms,
            n_steps=max(self.latency_steps, last + 1),
        )

    def to_pandas(self) -> pd.DataFrame:
        """Spikes as a table.

        Returns
        -------
        DataFrame
            One row for each spike, in the order of :attr:`spikes`: image, layer (categorical, all
            layers in order), neuron, its position, row, column and channel, step since the onset
            of the image, and time_ms. ``spikes_from_pandas`` reads it back.

        Raises
        ------
        ValueError
            If no spike trains were recorded. So do all methods below.
        """
        from .exports.tables import to_pandas

        return to_pandas(self.trains)

    def summary(self) -> pd.DataFrame:
        """What the layers do, in numbers.

        Returns
        -------
        DataFrame
            One row for each layer: layer, neurons, spikes (of all images), rate_hz (mean over
            neurons, images and the whole window of an image); active_fraction (trains with a
            spike, of one train for each neuron and image); first_spike_ms (mean over these, from
            the onset of the image); isi_mean_ms (of all intervals within trains); isi_cv (standard
            deviation by mean of the intervals of a train, mean over the trains with two or more).
            NaN where there is nothing to average, and in the last four of a layer whose spikes were
            not kept.
        """
        from .exports.tables import summary

        return summary(self.trains, self.spike_counts)

    def raster(self, layer: str, image: int | None = None) -> NDArray[np.bool_]:
        """Which neurons of a layer fire in which step.

        Parameters
        ----------
        layer : str
            Name of a recorded layer.
        image : int, optional
            Number of an image; all of them without it, which takes a byte for each neuron, step
            and image.

        Returns
        -------
        ndarray of bool, shape (n_images, n_steps, n_neurons), or (n_steps, n_neurons) of one image
            ``spikes_from_raster`` reads it back.
        """
        from .exports.rasters import raster

        return raster(self.trains, layer, image)

    def to_events(self, layer: str, image: int) -> NDArray[np.void]:
        """Spikes of a layer for one image as events at places of its map, in order of time.

        Parameters
        ----------
        layer, image : str, int
            Name of a recorded layer and number of an image.

        Returns
        -------
        structured ndarray, shape (n_spikes,)
            As tonic has events: t in microseconds, rounded, x (column), y (row), c (channel); and
            beside them position (of the neuron in its unit) and step. ``spikes_from_events`` reads
            it back.
        """
        from .exports.rasters import to_events

        return to_events(self.trains, layer, image)

    def to_nir(self, layer: str) -> Any:
        """Spikes of a layer as events of NIR.

        Parameters
        ----------
        layer : str
            Name of a recorded layer.

        Returns
        -------
        nir.EventData
            Of all images. Times in seconds, in the middle of steps, so that ``to_time_gridded``
            of nir gives each step as it was. ``spikes_from_nir`` reads it back.

        Raises
        ------
        ImportError
            If nir is not installed.
        """
        from .exports.nir_events import to_nir

        return to_nir(self.trains, layer)

    def to_neo(self, layer: str, image: int) -> list[Any]:
        """Spike trains of a layer for one image, as Neo and Elephant take them.

        Parameters
        ----------
        layer, image : str, int
            Name of a recorded layer and number of an image.

        Returns
        -------
        list of neo.SpikeTrain
            One for each neuron, in order, empty ones too. Times in ms since the onset of the image,
            from ``t_start`` 0 ms to ``t_stop``, the end of its window, which no spike reaches. The
            array annotation ``step`` has the steps; annotations say scheme, network, layer,
            layer_index, image, neuron, position, row, column, channel, dt_ms and n_steps.
            ``spikes_from_neo`` reads them back.

        Raises
        ------
        ImportError
            If neo is not installed.
        """
        from .exports.neo_trains import to_neo

        return to_neo(self.trains, layer, image)

    def to_nwb(
        self,
        path: str | os.PathLike[str],
        labels: ArrayLike | None = None,
        *,
        overwrite: bool = False,
        session_start: datetime | None = None,
    ) -> Path:
        """Write spike trains and trials to a file of Neurodata Without Borders.

        Parameters
        ----------
        path : str or Path
            Ends in ``.nwb``. The file appears complete or not at all.
        labels : array_like of int or str, shape (n_images,), optional
            True classes, for the table of trials.
        overwrite : bool
            Replace a file of that name.
        session_start : datetime, optional
            Time of the session, with its zone. The files of equal recordings differ in nothing that
            this package writes, so it is no time of day unless you give one, but 1970-01-01 UTC.

        Returns
        -------
        Path
            The file. It holds one session: the images one after the other, as if each had been
            shown alone. ``trials`` has start_time, stop_time, image, prediction and label;
            ``units`` one row for each neuron of the recorded layers, with layer, layer_index,
            neuron, position, row, column, channel, spike_times in seconds, and for each spike
            spike_images and spike_steps. ``obs_intervals`` are the windows of the images.
            ``spikes_from_nwb`` reads it back.

        Raises
        ------
        FileExistsError
            If there is such a file already.
        ValueError
            If the name has another ending, or labels another shape.
        ImportError
            If pynwb is not installed.
        """
        from .exports.nwb_files import NO_DATE, to_nwb

        return to_nwb(self.trains, path, labels, overwrite, session_start or NO_DATE)
