"""Spike trains as dense arrays, and as events at places of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spikes import RecordedLayer, Spikes, SpikeTrains
from .grid import Grid

# As event cameras and tonic have it: x is the column, y the row, t in microseconds.
EVENT = np.dtype(
    [
        ("t", np.int64),
        ("x", np.int32),
        ("y", np.int32),
        ("c", np.int32),
        ("position", np.int32),
        ("step", np.int32),
    ]
)
PER_MS = 1000  # microseconds


def raster(trains: SpikeTrains, layer: str, image: int | None = None) -> NDArray[np.bool_]:
    """Which neurons fire in which step; see :meth:`Recording.raster`."""
    index, of_layer = trains.layer(layer)
    if image is None:
        own, first, n_images = trains.recorded[index], 0, trains.n_images
    else:
        own, first, n_images = trains.of_image(index, image), image, 1
    fired = np.zeros((n_images, trains.n_steps, of_layer.n_neurons), dtype=bool)
    fired[own.image - first, own.step, own.neuron] = True
    if np.count_nonzero(fired) < len(own):
        raise ValueError(
            f"layer {layer!r}: a neuron fires more than once in a step, which a raster does not "
            "hold; take to_pandas()"
        )
    return fired if image is None else fired[0]


def spikes_from_raster(fired: NDArray[np.bool_], layer: int = 0, image: int = 0) -> Spikes:
    """Read a raster back, of all images or of one.

    Parameters
    ----------
    fired : ndarray of bool, shape (n_images, n_steps, n_neurons) or (n_steps, n_neurons)
        Which neurons fire; numbers are taken where they are 0 and 1.
    layer : int
        Index of the layer.
    image : int
        Number of the first image.

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If the array has another shape, or numbers that are neither 0 nor 1.
    """
    fired = np.asarray(fired)
    if fired.ndim not in (2, 3):
        raise ValueError(
            "a raster has the shape (n_images, n_steps, n_neurons) or (n_steps, n_neurons), got "
            f"{fired.shape}"
        )
    if not np.isin(fired, (0, 1)).all():
        raise ValueError("a raster holds 0 and 1; several spikes in one step have no place in it")
    number, step, neuron = np.nonzero(fired if fired.ndim == 3 else fired[None])
    return Spikes(
        image=image + number, layer=np.full(number.shape, layer), neuron=neuron, step=step
    )


def to_events(trains: SpikeTrains, layer: str, image: int) -> NDArray[np.void]:
    """Spikes as events; see :meth:`Recording.to_events`."""
    index, of_layer = trains.layer(layer)
    own = trains.of_image(index, image)
    places = of_layer.places(own.neuron)
    events = np.zeros(len(own), dtype=EVENT)
    events["t"] = np.rint(Grid(dt=trains.dt_ms).times(own.step) * PER_MS)
    for field, name in (("x", "column"), ("y", "row"), ("c", "channel"), ("position", "position")):
        events[field] = places[name]
    events["step"] = own.step
    return events


def spikes_from_events(
    events: NDArray[np.void],
    layer: RecordedLayer,
    *,
    index: int = 0,
    image: int = 0,
    dt_ms: float | None = None,
) -> Spikes:
    """Read events at places of a map.

    Parameters
    ----------
    events : structured ndarray, shape (n_events,)
        Fields t in microseconds, x and y; c or p (channel or polarity; 0 without), position (0
        without) and step.
    layer : RecordedLayer
        The map.
    index, image : int
        Index of the layer, and number of the image.
    dt_ms : float, optional
        Length of a step; needed where the events have no field ``step``, else only compared.

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If a field is missing, a place is outside the map, or a time is on no whole step.
    """
    fields = events.dtype.names or ()
    if not {"x", "y", "t"} <= set(fields):
        raise ValueError(f"events have the fields x, y and t, got {', '.join(fields) or 'none'}")
    kept = events["step"] if "step" in fields else None
    if dt_ms is not None:
        grid = Grid(dt=dt_ms, resolution=1 / PER_MS)
        step = grid.steps("events", events["t"] / PER_MS, kept)
    elif kept is not None:
        step = kept
    else:
        raise ValueError("the events have no field 'step'; say dt_ms, the length of a step")
    none = np.zeros(len(events), dtype=np.int64)
    channel = events["c"] if "c" in fields else events["p"] if "p" in fields else none
    position = events["position"] if "position" in fields else none
    places = np.array([position, events["y"], events["x"], channel], dtype=np.int64)
    shape = (layer.n_positions, *layer.shape)
    is_outside = ((places < 0) | (places >= np.array(shape)[:, None])).any(axis=0)
    if is_outside.any():
        raise ValueError(
            f"layer {layer.name!r}: an event at (position, y, x, channel) "
            f"{tuple(places[:, is_outside.argmax()].tolist())}, but the map is {shape}"
        )
    neuron = np.ravel_multi_index(tuple(places), shape)
    columns = {"image": none + image, "layer": none + index, "neuron": neuron, "step": step}
    return Spikes.of([Spikes(**columns)])
