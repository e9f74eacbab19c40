"""Spike trains in a file of Neurodata Without Borders, and from it.

A recording becomes one session: the images one after the other, each in a window of its own, and a
row in the table of units for each neuron. Between two windows there is one step in which nothing
was observed. So windows do not touch, and a count that includes both ends of a window, as several
tools take it, counts no spike twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Array, Integers
from ...installs import needed
from ...networks.file_formats import checked_path
from ..spikes import COLUMNS, Spikes, SpikeTrains
from .grid import Grid

GAP = 1  # steps between the windows of two images
NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
LEVEL = 2  # of compression
PURPOSE = "write and read NWB files"
UNIT_COLUMNS = {
    "layer": "layer of the trained network",
    "layer_index": "its index among all layers of the recording",
    "neuron": "index in the layer: position * units + unit",
    "position": "place of the neuron among those of its unit",
    "row": "row of the unit in the map of the layer",
    "column": "column of the unit in the map of the layer",
    "channel": "channel of the unit in the map of the layer",
}
SPIKE_COLUMNS = {
    "spike_images": "image of each spike, as in the column image of trials",
    "spike_steps": "step of each spike since the onset of its image, units.resolution long",
}


def to_nwb(
    trains: SpikeTrains,
    path: str | os.PathLike[str],
    labels: ArrayLike | None = None,
    overwrite: bool = False,
    session_start: datetime = NO_DATE,
) -> Path:
    """Write one session; see :meth:`Recording.to_nwb`."""
    pynwb = needed("pynwb", PURPOSE)
    path = checked_path(path, "to_nwb")
    if path.suffix != ".nwb":
        raise ValueError(f"{path}: a file of Neurodata Without Borders is named *.nwb")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already; take another name, or overwrite=True")
    if session_start.tzinfo is None:
        raise ValueError(f"session_start has no time zone, got {session_start!r}")
    if labels is not None and np.shape(labels) != (trains.n_images,):
        raise ValueError(f"{np.shape(labels)} labels, where {trains.n_images} images were shown")
    session = pynwb.NWBFile(
        session_description=(
            f"Spiking network {trains.network!r}, converted by the scheme {trains.scheme!r}, "
            f"simulated in Brian2. {trains.n_images} images one after the other, each in a window "
            f"of {trains.n_steps} steps of {trains.dt_ms:g} ms, with {GAP} step between two."
        ),
        identifier=_identifier(trains),
        session_start_time=session_start,
        file_create_date=session_start,
    )
    session.trials = _trials(trains, labels)
    session.units = _units(trains)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part.nwb")
    try:
        with pynwb.NWBHDF5IO(part, "w") as file:
            file.write(session)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def spikes_from_nwb(path: str | os.PathLike[str]) -> Spikes:
    """Read back what :meth:`Recording.to_nwb` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If the file is none of these, or its times are not those of its steps; the message names it.
    """
    pynwb = needed("pynwb", PURPOSE)
    path = checked_path(path, "spikes_from_nwb")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with pynwb.NWBHDF5IO(path, "r") as file:
            session = file.read()
            units, trials = session.units, session.trials
            if units is None or trials is None or not {*SPIKE_COLUMNS} <= {*units.colnames}:
                raise ValueError("it has no table of units with steps, as to_nwb writes it")
            return _read(units, trials)
    except Exception as error:  # of many kinds, in HDF5, in hdmf and in what it builds
        raise ValueError(f"{path}: {error}") from error


def _read(units: Any, trials: Any) -> Spikes:
    """Spikes of the table of units, compared with their times."""
    n_each = np.diff(units["spike_steps"].data[:], prepend=0)
    image, step, time_s = (units[name].target.data[:] for name in (*SPIKE_COLUMNS, "spike_times"))
    onset_s = np.asarray(trials["start_time"].data[:])
    grid = Grid(dt=float(units.resolution), unit="s")
    onset = grid.steps("trials", onset_s)
    if len(image) and not (image.min() >= 0 and image.max() < len(onset)):
        raise ValueError(
            f"units: spikes of image {image.min()} to {image.max()}, but there are {len(onset)}"
        )
    grid.steps("units", time_s, onset[image] + step)
    neuron, layer = (np.repeat(units[name].data[:], n_each) for name in ("neuron", "layer_index"))
    return Spikes.of([Spikes(image=image, layer=layer, neuron=neuron, step=step)])


def _identifier(trains: SpikeTrains) -> str:
    """Hash of what was recorded: equal recordings have equal identifiers."""
    digest = hashlib.sha256()
    words = [trains.scheme, trains.network, trains.n_images, trains.n_steps, float(trains.dt_ms)]
    for layer in trains.layers:
        words += [layer.name, *layer.shape, layer.n_positions]
    digest.update("\n".join(map(str, words)).encode())
    for index, own in trains.recorded.items():
        digest.update(f"{index} {len(own)}".encode())
        for name in COLUMNS:
            digest.update(np.ascontiguousarray(getattr(own, name), dtype="<i4").tobytes())
    return digest.hexdigest()


def _onsets(trains: SpikeTrains) -> Integers:
    """Step of the session in which each image begins, shape (n_images,)."""
    return np.arange(trains.n_images, dtype=np.int64) * (trains.n_steps + GAP)


def _grid(trains: SpikeTrains) -> Grid:
    """NWB counts time in seconds."""
    return Grid(dt=trains.dt_ms / 1000.0, unit="s")


def _windows(trains: SpikeTrains) -> Array:
    """Begin and end of the window of each image in seconds, shape (n_images, 2)."""
    onsets = _onsets(trains)
    return _grid(trains).times(np.stack([onsets, onsets + trains.n_steps], axis=1))


def _trials(trains: SpikeTrains, labels: ArrayLike | None) -> Any:
    """One row for each image."""
    windows = _windows(trains)
    columns = {
        "start_time": (windows[:, 0], "onset of the image in s"),
        "stop_time": (windows[:, 1], "end of its window in s; no spike is as late"),
        "image": (np.arange(trains.n_images), "number of the image"),
        "prediction": (trains.predictions, "class with the largest score"),
    }
    if labels is not None:
        columns["label"] = (_storable(labels), "true class")
    epoch = needed("pynwb.epoch", PURPOSE)
    return epoch.TimeIntervals(
        name="trials",
        description="Presentations of images.",
        columns=[_column(name, *what) for name, what in columns.items()],
    )


def _units(trains: SpikeTrains) -> Any:
    """One row for each neuron of the recorded layers."""
    indices = list(trains.recorded)
    sizes = np.array([trains.layers[index].n_neurons for index in indices])
    firsts = np.cumsum(sizes) - sizes
    rows = [_rows_of(trains, index) for index in indices]
    columns = [
        _column(name, np.concatenate([row[name] for row in rows]), text)
        for name, text in UNIT_COLUMNS.items()
    ]
    parts = list(trains.recorded.values())
    unit = np.concatenate([first + own.neuron for first, own in zip(firsts, parts, strict=True)])
    image, step = (np.concatenate([getattr(own, x) for own in parts]) for x in ("image", "step"))
    order = np.lexsort((step, image, unit))
    unit, image, step = unit[order], image[order], step[order]
    ends = np.cumsum(np.bincount(unit, minlength=sizes.sum()))
    time_s = _grid(trains).times(_onsets(trains)[image] + step)
    columns += _ragged("spike_times", time_s, "times in s since the start of the session", ends)
    columns += _ragged("spike_images", image, SPIKE_COLUMNS["spike_images"], ends)
    columns += _ragged("spike_steps", step, SPIKE_COLUMNS["spike_steps"], ends)
    windows = _windows(trains)
    observed = np.tile(windows, (int(sizes.sum()), 1))
    ends = np.arange(1, sizes.sum() + 1) * len(windows)
    columns += _ragged("obs_intervals", observed, "windows of the images in s", ends)
    return needed("pynwb.misc", PURPOSE).Units(
        name="units",
        description="Neurons of the layers whose spikes were recorded.",
        columns=columns,
        resolution=trains.dt_ms / 1000.0,
    )


def _rows_of(trains: SpikeTrains, index: int) -> Mapping[str, NDArray[Any]]:
    """Columns of the table of units for one layer."""
    layer = trains.layers[index]
    neuron = np.arange(layer.n_neurons, dtype=np.int32)
    return {
        "layer": np.full(layer.n_neurons, layer.name, dtype=object),
        "layer_index": np.full(layer.n_neurons, index, dtype=np.int32),
        "neuron": neuron,
        **layer.places(neuron),
    }


def _storable(labels: ArrayLike) -> NDArray[Any]:
    """Numbers as they are, names as HDF5 takes them."""
    values = np.asarray(labels)
    return values.astype(object) if values.dtype.kind == "U" else values


def _column(name: str, values: Any, description: str) -> Any:
    """A column with one entry a row."""
    common = needed("hdmf.common", PURPOSE)
    return common.VectorData(name=name, description=description, data=values)


def _ragged(name: str, values: NDArray[Any], description: str, ends: Integers) -> Sequence[Any]:
    """A column with several entries a row, and where those of each row end."""
    io, common = (needed(f"hdmf.{part}", PURPOSE) for part in ("backends.hdf5", "common"))
    packed = io.H5DataIO(values, compression="gzip", compression_opts=LEVEL, shuffle=True)
    column = _column(name, packed, description)
    return column, common.VectorIndex(name=f"{name}_index", data=ends, target=column)
