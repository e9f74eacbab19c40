"""What a run leaves behind: counts, class scores over time, and spike trains where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Integers

COLUMNS = ("image", "layer", "neuron", "step")  # of spike trains
Column = NDArray[np.integer]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Spikes:
    """Spike trains as integers, one entry per spike, sorted by image, layer, step and neuron.

    Parameters
    ----------
    image : ndarray of int, shape (n_spikes,)
        Index of the image.
    layer : ndarray of int, shape (n_spikes,)
        Index into the recording's ``layers``.
    neuron : ndarray of int, shape (n_spikes,)
        Index in the layer: position in the unit times units of the layer plus unit.
    step : ndarray of int, shape (n_spikes,)
        Steps since the onset of that image; times ``dt_ms`` it is the spike time in ms.

    Raises
    ------
    ValueError
        If a number needs more than 32 bits, in which they are kept: 16 bytes a spike.
    """

    image: Column
    layer: Column
    neuron: Column
    step: Column

    def __post_init__(self) -> None:
        """Keep the columns in 32 bits."""
        for name in COLUMNS:
            values = np.asarray(getattr(self, name))
            if values.dtype != np.int32:
                kept = values.astype(np.int32)
                if not np.array_equal(kept, values):
                    raise ValueError(f"spikes: numbers of {name} need more than 32 bits")
                values = kept
            object.__setattr__(self, name, values)

    def __repr__(self) -> str:
        return f"Spikes({len(self):,} spikes of {len(np.unique(self.image)):,} images)"

    def __len__(self) -> int:
        """Number of spikes."""
        return len(self.image)

    @classmethod
    def of(cls, parts: Sequence[Spikes]) -> Spikes:
        """Join several, in the one order that does not depend on how they were simulated."""
        joined = cls.following(parts)
        order = np.lexsort((joined.neuron, joined.step, joined.layer, joined.image))
        return cls(**{name: getattr(joined, name)[order] for name in COLUMNS})

    @classmethod
    def following(cls, parts: Sequence[Spikes]) -> Spikes:
        """Join several of which each holds later images than the one before."""
        if len(parts) == 1:
            return parts[0]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS})

    def where(self, chosen: NDArray[np.bool_]) -> Spikes:
        """Those of a boolean mask, shape (n_spikes,)."""
        return Spikes(**{name: getattr(self, name)[chosen] for name in COLUMNS})


@dataclass(frozen=True, kw_only=True)
class RecordedLayer:
    """Shape and timing of a recorded population.

    Parameters
    ----------
    name : str
        Layer of the trained network.
    shape : (int, int, int)
        Units: height, width, channels.
    n_positions : int
        Neurons of a unit.
    onset : int
        Phase, from the image's onset, in which the image reaches position 0.
    """

    name: str
    shape: tuple[int, int, int]
    n_positions: int
    onset: int

    @property
    def n_units(self) -> int:
        """Units of the map."""
        return int(np.prod(self.shape))


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
