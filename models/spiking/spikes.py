"""Spike trains as integers, and the layers whose neurons fired them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Integers
from ..checks import require_whole

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

    def where(self, chosen: NDArray[np.bool_] | slice) -> Spikes:
        """Those of a boolean mask, shape (n_spikes,), or of a slice."""
        return Spikes(**{name: getattr(self, name)[chosen] for name in COLUMNS})

    def of_layer(self, index: int, layer: RecordedLayer, n_images: int) -> Spikes:
        """Those of one layer, refused if they lie outside it or outside the images."""
        own = self.where(self.layer == index)
        for name, values, limit in (
            ("neuron", own.neuron, layer.n_neurons),
            ("image", own.image, n_images),
        ):
            if len(own) and not (values.min() >= 0 and values.max() < limit):
                raise ValueError(
                    f"layer {layer.name!r}: spikes of {name} {values.min()} to {values.max()}, but "
                    f"there are {limit}"
                )
        return own


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

    @property
    def n_neurons(self) -> int:
        """Neurons of the layer."""
        return self.n_units * self.n_positions

    def places(self, neuron: Column) -> dict[str, Column]:
        """Where neurons stand: ``position`` in the unit, and its ``row``, ``column``, ``channel``.

        Parameters
        ----------
        neuron : ndarray of int, shape (n,)
            Indices in the layer, as in :class:`Spikes`.
        """
        position, unit = np.divmod(neuron, self.n_units)
        row, column, channel = np.unravel_index(unit, self.shape)
        places = {"position": position, "row": row, "column": column, "channel": channel}
        return {name: np.asarray(of_each, dtype=np.int32) for name, of_each in places.items()}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SpikeTrains:
    """Spike trains of a recording with all that it takes to hand them on.

    Parameters
    ----------
    scheme, network : str
        Conversion scheme and trained network.
    layers : tuple of RecordedLayer
        All populations in order.
    recorded : mapping of int to Spikes
        By index, those layers whose spikes were kept.
    predictions : ndarray of int, shape (n_images,)
        Class that was read out of each image.
    dt_ms : float
        Length of a step.
    n_steps : int
        Steps of the window of an image. No spike is as late: a window starts with step 0 and ends
        before step `n_steps`.
    """

    scheme: str
    network: str
    layers: tuple[RecordedLayer, ...]
    recorded: Mapping[int, Spikes]
    predictions: Integers
    dt_ms: float
    n_steps: int

    def __repr__(self) -> str:
        n_spikes = sum(map(len, self.recorded.values()))
        return (
            f"SpikeTrains({self.network}: {n_spikes:,} spikes, {len(self.recorded)} of "
            f"{len(self.layers)} layers, {self.n_images:,} images of {self.n_steps:,} steps)"
        )

    @property
    def n_images(self) -> int:
        """Images presented."""
        return len(self.predictions)

    def layer(self, name: str) -> tuple[int, RecordedLayer]:
        """Index and shape of a recorded layer.

        Raises
        ------
        ValueError
            If there is none of that name, or its spikes were not kept; the message lists those
            there are.
        """
        names = {self.layers[index].name: index for index in self.recorded}
        if name not in names:
            what = "was not recorded" if name in {x.name for x in self.layers} else "does not exist"
            raise ValueError(
                f"layer {name!r} {what}; spikes were kept of {', '.join(names) or 'no layer'}, and "
                "of others with simulate(..., record=[names of layers])"
            )
        return names[name], self.layers[names[name]]

    def of_image(self, index: int, image: int) -> Spikes:
        """Spikes of one layer for one image.

        Raises
        ------
        ValueError
            If there is no such image.
        """
        require_whole("image", image, 0, self.n_images - 1)
        own = self.recorded[index]
        return own.where(slice(*np.searchsorted(own.image, (image, image + 1))))
