"""From a Keras file to a `Network`.

``.keras`` and ``.h5`` files are read without Keras. Where Keras is installed, the network is
compared with what Keras makes of the file, layer by layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..messages import one_line
from ..networks.file_formats import checked_path, other_format
from ..networks.network import InputCoding, Network
from . import keras_oracle
from .assembler import Assembler
from .checking import HALF, SINGLE, compare, note_of_half
from .entry import Layout, Standardisation, Transform, read_sample
from .keras_files import as_damage, opened
from .keras_layers import KerasReader, input_shape, is_channels_first, precision


def from_keras(
    path: str | Path,
    example: Any = None,
    *,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    pixel_scale: float = 1.0,
    maximum: float | None = None,
    transform: Transform | None = None,
    input: InputCoding | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Network:
    """Read a trained Keras model from its file.

    The model sees x = (image / maximum * pixel_scale - mean) / std, channels last unless its
    layers say otherwise; layers such as Rescaling and Normalization that it holds come after that.
    Nothing in the file is run.

    Parameters
    ----------
    path : str or Path
        A ``.keras`` or ``.h5`` file that ``model.save`` wrote, of Keras 2 or 3: a Sequential or
        Functional model with one input and one output.
    example : ndarray, optional
        Some raw images, (n, H, W, C), (n, H, W), (n, L, C) or (n, F), as the spiking network will
        get them; by default random ones.
    mean, std, pixel_scale, maximum, transform, input, classes
        As of `from_torch`. Pixels that the model takes as they are, 0 to 255, are
        ``pixel_scale=255``.
    name : str, optional
        Of the network; by default the file's name.

    Returns
    -------
    Network
        Layers are named by kind and position: conv1, norm1, act1, ...

    Raises
    ------
    TypeError
        If `path` is no path.
    ImportError
        If h5py is missing; the message says how to install it.
    ValueError
        If the file is missing, damaged or hostile, a layer is not supported, the images do not fit
        the model, or the network differs from what Keras computes; the message names the file and
        the layer.
    """
    path = checked_path(path, "from_keras", "a model is saved with model.save('net.keras')")
    try:
        network, notes = _read(
            path,
            example,
            Standardisation(mean, std, pixel_scale, maximum),
            transform,
            input,
            classes,
            path.stem if name is None else name,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
    for note in notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return network


def _read(
    path: Path,
    example: Any,
    stated: Standardisation,
    transform: Transform | None,
    input: InputCoding | None,
    classes: Sequence[str] | None,
    name: str,
) -> tuple[Network, list[str]]:
    other = other_format(path, "keras", "hdf5")
    if other is not None:
        raise ValueError(other)
    with opened(path) as file:
        with as_damage():
            shape = input_shape(file.structure)
            is_first = is_channels_first(file.structure)
        sample = read_sample(
            example,
            stated,
            accepts=lambda x: None if x.shape[1:] == shape else f"it takes {shape}",
            channels_first=is_first,
            input=input,
            transform=transform,
            declared=_declared(shape, is_first),
        )
        assembler = Assembler(sample.layout.shape)
        reader = KerasReader(file, assembler)
        with as_damage():
            output = reader.read(sample.layout.value)
        network = assembler.network(output, sample.coding, classes, name)
        try:
            theirs = keras_oracle.values(path, file.structure, file.version, sample.inputs)
        except keras_oracle.NotCompared as why:
            note = f"{keras_oracle.NOT_COMPARED}: {why}"
            return network, [*assembler.notes, note]
        with as_damage():
            half = precision(file.structure)
    logits = replace(output, is_probability=False)
    ours = {**reader.values, "": logits}
    compare(
        network,
        sample.images,
        [
            (f"layer {layer}" if layer else "its output", ours[layer], array)
            for layer, array in theirs.items()
            if layer in ours
        ],
        SINGLE if half is None else HALF[half],
    )
    return network, [*assembler.notes, *([] if half is None else [note_of_half(half)])]


def _declared(shape: tuple[int, ...], channels_first: bool) -> Layout:
    """How the model says that it sees an image."""
    if len(shape) == 1:
        return Layout((1, 1, shape[0]), "(n, F)")
    if len(shape) not in (2, 3):
        raise ValueError(f"its input has the shape {shape}; images have three axes, sequences two")
    *space, channels = (*shape[1:], shape[0]) if channels_first else shape
    rows, columns = (1, *space)[-2:]
    axes = {True: ("(n, C, L)", "(n, C, H, W)"), False: ("(n, L, C)", "(n, H, W, C)")}
    return Layout((rows, columns, channels), axes[channels_first][len(shape) - 2])
