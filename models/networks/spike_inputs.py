"""Input that changes from step to step: rasters, values, and lists of events with times.

An ``.npz`` file holds one of

``spikes``, shape (n, n_steps, ...)
    What enters in each step: spikes counted, or any numbers.
``events`` and ``shape``
    Events with the fields ``t`` (in microseconds), ``x``, ``y``, ``p``, as event cameras and the
    package tonic have them, and ``sample`` if there are several recordings; the shape is
    (channels, rows, columns), or (channels,) for events with ``t`` and ``x``.

and beside it ``labels``, and ``classes`` if they have names, as for images.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dataset_files import DatasetError
from .file_formats import checked_path
from .image_sets import ImageSet
from .own_images import MOST_BYTES, checked, names_of, npz_arrays

MICROSECOND = 1e-6
MOST_STEPS = 4096


def read_spikes(path: str | Path, *, dt: float = 1e-3, n_steps: int | None = None) -> ImageSet:
    """Read input that changes from step to step.

    Parameters
    ----------
    path : str or Path
        An ``.npz`` file, see the head of this module.
    dt : float
        Length in seconds of a step, into which events are counted.
    n_steps : int, optional
        Steps into which events are counted, by default as many as hold all of them.

    Returns
    -------
    ImageSet
        Of sequences: images of shape (n, n_steps, ...).

    Raises
    ------
    DatasetError
        If the file is missing, damaged, of another form, or has events outside of map or steps; the
        message names the file and says what to do.
    """
    path = checked_path(path, "read_spikes")
    if not path.is_file() or path.suffix.lower() != ".npz":
        raise DatasetError(f"{path}: no .npz file; spikes are read from one with an array 'spikes'")
    try:
        arrays = npz_arrays(path, ("spikes",))
    except DatasetError as error:
        if "needs arrays 'spikes'" not in str(error):
            raise
        arrays = npz_arrays(path, ("events", "shape"))
    images = arrays.get("spikes")
    if images is None:
        images = _counted(path, arrays, dt, n_steps)
    elif images.ndim < 3:
        raise DatasetError(f"{path}: spikes have the shape {images.shape}; (n, n_steps, ...) is it")
    elif n_steps is not None and images.shape[1] != n_steps:
        raise DatasetError(
            f"{path}: its spikes have {images.shape[1]} steps, asked for are {n_steps}"
        )
    found = ImageSet(
        name=path.name,
        images=images,
        labels=arrays.get("labels"),
        classes=names_of(path, arrays),
        is_stepped=True,
    )
    return checked(found)


def _counted(path: Path, arrays: dict[str, NDArray], dt: float, n_steps: int | None) -> NDArray:
    """Events counted by sample, step and unit."""
    events, shape = arrays["events"], arrays.get("shape")
    fields = events.dtype.names or ()
    if events.ndim != 1 or "t" not in fields or "x" not in fields:
        raise DatasetError(
            f"{path}: events have the fields {', '.join(fields) or 'none'}; they need t (in "
            "microseconds) and x, and y and p of a map"
        )
    if shape is None or shape.shape not in ((1,), (3,)) or (shape < 1).any():
        raise DatasetError(
            f"{path}: events need an array shape beside them, (channels, rows, columns) or "
            "(channels,)"
        )
    units = tuple(int(size) for size in shape)
    of_axes = ("x",) if len(units) == 1 else ("p", "y", "x")
    missing = [name for name in of_axes if name not in fields]
    if missing:
        raise DatasetError(f"{path}: events of a map of {units} have no field {missing[0]!r}")
    places = [_whole(path, events, name, size) for name, size in zip(of_axes, units, strict=True)]
    # A time on the border of two steps, which rounding may put a little before it, is in the later.
    at = np.floor(events["t"].astype(np.float64) * MICROSECOND / dt + 1e-6)
    if not np.isfinite(at).all() or (at < 0).any():
        raise DatasetError(f"{path}: events have times below 0, or none")
    needed = int(at.max(initial=0)) + 1
    n_steps = needed if n_steps is None else n_steps
    if needed > n_steps or n_steps > MOST_STEPS:
        raise DatasetError(
            f"{path}: its events need {needed} steps of {dt * 1e3:g} ms, asked for are {n_steps}, "
            f"and there may be {MOST_STEPS}; cut the recordings, or take longer steps"
        )
    n = len(arrays["labels"]) if "labels" in arrays else None
    sample = np.zeros(len(at), dtype=np.int64)
    if "sample" in fields:
        sample = _whole(path, events, "sample", n)
    elif n is not None and n > 1:
        raise DatasetError(f"{path}: {n} labels, and events have no field 'sample'; add it")
    n = int(sample.max(initial=0)) + 1 if n is None else n
    if n * n_steps * math.prod(units) * 4 > MOST_BYTES:
        raise DatasetError(f"{path}: its {n} samples of {n_steps} steps take too much memory")
    # Of a type that holds all events in one place.
    counts = np.zeros((n, n_steps, *units), dtype=np.int16 if len(at) < 2**15 else np.int32)
    np.add.at(counts, (sample, at.astype(np.int64), *places), 1)
    return np.moveaxis(counts, 2, -1)  # channels last, as images are


def _whole(path: Path, events: NDArray, name: str, size: int | None) -> NDArray[np.int64]:
    """A field of whole numbers from 0, to `size` - 1 if that is known."""
    values = events[name]
    is_whole = values.dtype.kind in "iub" and not (values < 0).any()
    if not is_whole or (size is not None and (values >= size).any()):
        most = "" if size is None else f" to {size - 1}"
        raise DatasetError(f"{path}: {name} of its events must be whole, from 0{most}")
    return values.astype(np.int64)
