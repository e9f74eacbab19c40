"""Spike trains on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ann2brian.models.networks.image_sets import is_numbered
from ann2brian.models.spiking.recording import COLUMNS, RecordedLayer, Recording, Spikes
from numpy.typing import ArrayLike

SPIKES = "spikes.npz"
LEVEL = 2  # of compression: three times as fast as NumPy's 6, for files larger by a third


def save_spikes(
    path: Path, recording: Recording, labels: ArrayLike, classes: Sequence[str] = ()
) -> Path:
    """Write the spike trains of a recording and what is needed to read them.

    Parameters
    ----------
    path : Path
        Ends in ``.npz``.
    recording : Recording
        With spike trains.
    labels : array_like of int, shape (n_images,)
        True classes.
    classes : sequence of str
        Names of the classes, in their order; none if they have numbers only.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If no spike trains were recorded.
    """
    if recording.spikes is None:
        raise ValueError(f"{path}: the recording holds no spike trains")
    layers = recording.layers
    arrays = {
        **{name: getattr(recording.spikes, name) for name in COLUMNS},
        "layer_names": np.array([layer.name for layer in layers]),
        "layer_shapes": np.array([layer.shape for layer in layers]),
        "layer_positions": np.array([layer.n_positions for layer in layers]),
        "layer_onsets": np.array([layer.onset for layer in layers]),
        "dt_ms": recording.dt_ms,
        "phase_steps": recording.phase_steps,
        "labels": np.asarray(labels),
        "predictions": recording.predictions,
        "classes": np.array(classes, dtype=np.str_),
        "latency_steps": recording.latency_steps,
    }
    # As np.savez_compressed does it, which leaves no choice of the level.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
    return path


def load_spikes(path: Path) -> tuple[Spikes, tuple[RecordedLayer, ...], dict[str, Any]]:
    """Read what `save_spikes` wrote.

    Parameters
    ----------
    path : Path
        The ``.npz`` file.

    Returns
    -------
    (Spikes, tuple of RecordedLayer, dict)
        Spike trains, layers in order, and ``dt_ms``, ``phase_steps``, ``labels``,
        ``predictions``, ``latency_steps`` and ``classes``, none if they were not written.
    """
    with np.load(path) as stored:
        spikes = Spikes(**{name: stored[name] for name in COLUMNS})
        layers = tuple(
            RecordedLayer(
                name=str(name),
                shape=(int(shape[0]), int(shape[1]), int(shape[2])),
                n_positions=int(n_positions),
                onset=int(onset),
            )
            for name, shape, n_positions, onset in zip(
                stored["layer_names"],
                stored["layer_shapes"],
                stored["layer_positions"],
                stored["layer_onsets"],
                strict=True,
            )
        )
        rest = {
            "dt_ms": float(stored["dt_ms"]),
            "phase_steps": int(stored["phase_steps"]),
            "labels": stored["labels"],
            "predictions": stored["predictions"],
            "latency_steps": int(stored["latency_steps"]),
            "classes": tuple(map(str, stored["classes"])) if "classes" in stored else (),
        }
    return spikes, layers, rest


def read_out(stored: Mapping[str, Any], image: int) -> tuple[str, str]:
    """Names of the class of an image and of the one that was read out.

    Parameters
    ----------
    stored : mapping
        Of `load_spikes`.
    image : int
        Number of the image.

    Returns
    -------
    (str, str)
        ``"class 3"`` and ``"4"`` where classes are numbers, else their names in quotation marks.
    """
    names = stored["classes"]
    true, found = (int(stored[key][image]) for key in ("labels", "predictions"))
    if not names or is_numbered(names):
        return f"class {true}", str(found)
    return f'"{names[true]}"', f'"{names[found]}"'
