"""Weight files: one ``.safetensors`` file holds a whole network and says where it comes from.

The arrays are tensors named ``layer.field``: float32; constants of neurons with a state float64;
signs packed to one bit each, eight to a byte, the first in the highest bit and set for +1. The
structure (layers, input coding, class names) and a free ``info`` dictionary are JSON in the
metadata, next to a SHA-256 over the structure and all tensors, which is verified at every load. No
pickle is involved. The same network and info give the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .file_formats import checked_path, other_format
from .layer_types import LAYER_TYPES
from .layers import Layer
from .network import InputCoding, Network

FORMAT = "ann2brian network, version 1"
TRAINED_FOLDER = Path(__file__).resolve().parent / "trained"

# One metadata key only: safetensors writes several in an order that changes from run to run.
_KEY = "ann2brian"
_INPUT_ARRAYS = ("gain", "offset")


class WeightFileError(ValueError):
    """A weight file that is missing, damaged, or not one of ours; the message names it."""


def save_network(network: Network, path: str | Path, info: Mapping[str, Any] | None = None) -> Path:
    """Write a network to one file, in one step: there is never a half-written file at `path`.

    Parameters
    ----------
    network : Network
        What to write; arrays are rounded to float32, but those of neurons with a state; signs are
        packed to bits.
    path : str or Path
        Ends in ``.safetensors``; its folder is made if needed.
    info : mapping, optional
        Where the network comes from (seed, test accuracy, training command, ...); JSON values.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    WeightFileError
        If the path does not end in ``.safetensors`` or `info` does not fit into JSON.
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"save_network takes a Network and the path of a file, got {type(network).__name__}"
        )
    path = checked_path(path, "save_network")
    if path.suffix != ".safetensors":
        raise WeightFileError(f"{path}: a weight file is named *.safetensors")
    tensors = {f"input.{f}": getattr(network.input, f) for f in _INPUT_ARRAYS}
    signs: dict[str, np.ndarray] = {}
    exact: dict[str, np.ndarray] = {}
    for layer in network.layers:
        real = [f for f in layer.ARRAYS if f not in layer.SIGNS and getattr(layer, f) is not None]
        own = {f"{layer.name}.{f}": getattr(layer, f) for f in real}
        (exact if layer.IN_DOUBLE else tensors).update(own)
        signs |= {f"{layer.name}.{f}": np.packbits(getattr(layer, f) > 0) for f in layer.SIGNS}
    with np.errstate(over="ignore"):  # what overflows becomes inf and is refused below, by name
        tensors = {key: np.ascontiguousarray(a, dtype="<f4") for key, a in tensors.items()}
    for key, array in tensors.items():
        if not np.isfinite(array).all():
            raise WeightFileError(f"{path}: {key} does not fit into float32; rescale the layer")
    tensors |= signs | {key: np.ascontiguousarray(a, dtype="<f8") for key, a in exact.items()}
    structure = {
        "format": FORMAT,
        "name": network.name,
        "classes": list(network.classes),
        "input": {
            "shape": list(network.input.shape),
            "maximum": float(network.input.maximum),
            "signed": network.input.signed,
        },
        "layers": [_plain(layer) for layer in network.layers],
        "info": dict(info or {}),
    }
    try:
        digest = _digest(structure, tensors)
    except (TypeError, ValueError) as error:
        raise WeightFileError(f"{path}: info is not plain JSON ({error})") from error
    metadata = {_KEY: json.dumps({"sha256": digest, "structure": structure})}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(save(tensors, metadata=metadata))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load_network(path: str | Path) -> Network:
    """Read a network back.

    Parameters
    ----------
    path : str or Path
        A file that `save_network` wrote.

    Returns
    -------
    Network
        With float64 arrays that hold the stored float32 values.

    Raises
    ------
    WeightFileError
        If the file is missing, truncated, altered or of another kind; the message names the file
        and says what to do.
    """
    path = checked_path(path, "load_network")
    structure, tensors = _read(path)
    try:
        coding: dict[str, Any] = {f: tensors[f"input.{f}"] for f in _INPUT_ARRAYS}
        return Network(
            name=structure["name"],
            input=InputCoding(**structure["input"], **coding),
            layers=tuple(_layer(plain, tensors) for plain in structure["layers"]),
            classes=tuple(structure["classes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        # Intact by its checksum, so it was written like this, by other code than save_network.
        raise WeightFileError(
            f"{path}: holds no valid network ({error!r}); write it with save_network"
        ) from error


def load_info(path: str | Path) -> dict[str, Any]:
    """Read what a weight file says about its origin.

    Parameters
    ----------
    path : str or Path
        A file that `save_network` wrote.

    Returns
    -------
    dict
        The `info` given to `save_network`.

    Raises
    ------
    WeightFileError
        As `load_network`; the checksum is verified here too.
    """
    return _read(checked_path(path, "load_info"))[0]["info"]


def tensor_bytes(path: str | Path) -> dict[str, int]:
    """Bytes that each tensor takes in a weight file; signs take a bit each, filled up to bytes.

    Parameters
    ----------
    path : str or Path
        A file that `save_network` wrote.

    Returns
    -------
    dict of str to int
        By name, ``layer.field``.

    Raises
    ------
    WeightFileError
        As `load_network`; the checksum is verified here too.
    """
    return {name: tensor.nbytes for name, tensor in _read(Path(path))[1].items()}


def trained_networks() -> dict[str, Path]:
    """List the networks that are shipped with the project.

    Returns
    -------
    dict of str to Path
        File by name, sorted; e.g. ``digits-relu``.
    """
    return {path.stem: path for path in sorted(TRAINED_FOLDER.glob("*.safetensors"))}


def trained(name: str) -> Path:
    """Return the weight file of a shipped network.

    Parameters
    ----------
    name : str
        One of `trained_networks`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    WeightFileError
        If there is none of that name; the message lists what there is.
    """
    files = trained_networks()
    if name not in files:
        raise WeightFileError(
            f"no trained network {name!r} in {TRAINED_FOLDER}; there are "
            f"{', '.join(files) or 'none'}. Train it with: python studies/train.py --scheme SCHEME "
            f"--network {name}"
        )
    return files[name]


def _plain(layer: Layer) -> dict[str, Any]:
    """Everything about a layer but its arrays, as JSON values."""
    fields = [f.name for f in dataclasses.fields(layer) if f.name not in layer.ARRAYS]
    values = {name: getattr(layer, name) for name in fields}
    plain: dict[str, Any] = {"kind": type(layer).__name__}
    plain |= {name: value for name, value in values.items() if value is not None}
    if layer.SIGNS:  # bits do not say how many they are
        plain["shapes"] = {field: list(getattr(layer, field).shape) for field in layer.SIGNS}
    return plain


def _layer(plain: dict[str, Any], tensors: dict[str, np.ndarray]) -> Layer:
    """Inverse of `_plain`."""
    fields = dict(plain)
    kind = LAYER_TYPES[fields.pop("kind")]
    arrays: dict[str, Any] = {
        field: tensors[f"{plain['name']}.{field}"]
        for field in kind.ARRAYS
        if field not in kind.OPTIONAL or f"{plain['name']}.{field}" in tensors
    }
    for field, shape in fields.pop("shapes", {}).items():
        bits = np.unpackbits(arrays[field], count=int(np.prod(shape)))
        arrays[field] = bits.reshape(shape) * 2.0 - 1.0
    return kind(**fields, **arrays)


def _digest(structure: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) over the structure and over name, shape and bytes of all tensors."""
    digest = hashlib.sha256(json.dumps(structure, allow_nan=False).encode())
    for key in sorted(tensors):
        digest.update(f"\n{key} {tensors[key].shape} {tensors[key].dtype.str}\n".encode())
        digest.update(np.ascontiguousarray(tensors[key]).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Structure and tensors of a file, checksum verified."""
    other = other_format(path, "safetensors")
    if other is not None:
        raise WeightFileError(f"{path}: {other}")
    if not path.is_file():
        raise WeightFileError(
            f"{path}: no such weight file; the shipped networks are "
            f"{', '.join(trained_networks()) or 'none'}, others are made by studies/train.py"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightFileError(
            f"{path}: not a readable safetensors file, perhaps cut short ({error}); restore it "
            "(git checkout) or train it again"
        ) from error
    try:
        document = json.loads(metadata[_KEY])
        structure, sha256 = document["structure"], document["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise WeightFileError(
            f"{path}: a safetensors file, but not one that this project wrote; convert the model "
            "with from_torch and save it with save_network"
        ) from error
    if _digest(structure, tensors) != sha256:
        raise WeightFileError(
            f"{path}: the checksum does not match, the file was altered or damaged; restore it "
            "(git checkout) or train it again"
        )
    if structure["format"] != FORMAT:
        raise WeightFileError(
            f"{path}: has the format {structure['format']!r}, this version reads {FORMAT!r}; "
            "train the network again"
        )
    return structure, tensors
