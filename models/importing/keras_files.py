"""Structure and weights of Keras files, ``.keras`` and ``.h5``, of Keras 2 and 3.

Only JSON and arrays of floats are read: nothing is unpickled, and no code is run. Sizes that a
file declares are compared with what it holds before memory is given to them.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..installs import needed
from ..messages import one_line
from ..networks.hdf5_files import MAX_ARRAYS, Budget, member

MAX_STRUCTURE = 2**24  # bytes of JSON; a ResNet-152 takes half a megabyte
MAX_RATIO = (
    100  # of declared to stored bytes: weights hardly shrink, a zip bomb does a thousandfold
)
MAX_DEPTH = 16  # of models in models


@dataclass(frozen=True)
class LayerRecord:
    """A layer of a Keras file, without its weights.

    Parameters
    ----------
    kind : str
        Class of the layer.
    name : str
        Its own name.
    config : dict
        Its options.
    calls : list
        Where it is called, as the file has it (``inbound_nodes``).
    group : str
        Where a ``.keras`` file keeps its weights.
    owner : str
        Name of the outermost layer that it is part of; itself, unless a model holds it.
    """

    kind: str
    name: str
    config: dict[str, Any]
    calls: Sequence[Any]
    group: str
    owner: str


class KerasFile:
    """An open Keras file.

    Parameters
    ----------
    structure : dict
        Class name and config of the model.
    version : str
        Of the Keras that wrote it.
    weights : h5py.File or Group
        Holds the weights.
    is_archive : bool
        Whether weights are numbered (``.keras``) or named (``.h5``).
    """

    def __init__(
        self, structure: dict[str, Any], version: str, weights: Any, is_archive: bool
    ) -> None:
        self.structure = structure
        self.version = version
        self._weights = weights
        self._is_archive = is_archive
        self._budget = Budget(MAX_ARRAYS, MAX_RATIO)

    @property
    def is_keras_2(self) -> bool:
        """Whether Keras 2 wrote it."""
        return self.version.startswith(("1.", "2."))

    def layers(self, model: dict[str, Any], within: LayerRecord | None = None) -> list[LayerRecord]:
        """Layers of a model, in the file's order.

        Parameters
        ----------
        model : dict
            Config of a Sequential or Functional model.
        within : LayerRecord, optional
            The layer that the model is; the outermost model is none.

        Returns
        -------
        list of LayerRecord
            One for each.

        Raises
        ------
        ValueError
            If models stand in models too deep.
        """
        base = f"{within.group}/" if within else ""
        if base.count("layers/") > MAX_DEPTH:
            raise ValueError(f"models stand in models more than {MAX_DEPTH} deep")
        records = []
        counts: dict[str, int] = {}
        for entry in model["layers"]:
            kind, config = str(entry["class_name"]), dict(entry["config"])
            name = str(entry.get("name") or config["name"])
            # Groups are named by kind and number, not by the layer's name; function calls such as
            # x + y, which Keras 3 records, have none.
            group = f"{base}layers/{_snake_case(kind)}"
            if ".ops." not in str(entry.get("module", "")):
                counts[group] = number = counts.get(group, -1) + 1
                group += f"_{number}" if number else ""
            calls = entry.get("inbound_nodes", [])
            records.append(
                LayerRecord(kind, name, config, calls, group, within.owner if within else name)
            )
        return records

    def weights(
        self, layer: LayerRecord, names: Sequence[str], unread: Sequence[str] = ()
    ) -> dict[str, Array]:
        """Read the weights of a layer.

        Parameters
        ----------
        layer : LayerRecord
            From `layers`.
        names : sequence of str
            Its weights, in Keras' order.
        unread : sequence of str
            Those of them that are of no use.

        Returns
        -------
        dict of str to ndarray
            float64, by name, but those unread.

        Raises
        ------
        ValueError
            If the file holds others than these, or something that is no array of floats.
        """
        found = self._numbered(layer, names) if self._is_archive else self._named(layer)
        if set(found) != set(names):
            raise ValueError(
                f"the file holds the weights {', '.join(found) or 'none'}, expected are "
                f"{', '.join(names) or 'none'}"
            )
        return {name: self._array(found[name], name) for name in names if name not in unread}

    def _numbered(self, layer: LayerRecord, names: Sequence[str]) -> dict[str, Any]:
        for container in ("layers", "_layer_checkpoint_dependencies"):  # Keras 3, late Keras 2
            group = member(self._weights, re.sub(r"\blayers/", f"{container}/", layer.group))
            if group is not None:
                break
        numbered = None if group is None else member(group, "vars")
        if numbered is None:
            return {}
        named = numbered.attrs.get("name", layer.name) if "name" in numbered.attrs else layer.name
        if named != layer.name:
            raise ValueError(f"the file holds the weights of {named!r} in its place")
        if len(numbered) > len(names):
            names = [*names, *(f"number {i}" for i in range(len(names), len(numbered)))]
        found = ((name, member(numbered, str(i))) for i, name in enumerate(names))
        return {name: dataset for name, dataset in found if dataset is not None}

    def _named(self, layer: LayerRecord) -> dict[str, Any]:
        group = member(self._weights, layer.owner)
        found: dict[str, Any] = {}
        for path in [] if group is None else _texts(group, "weight_names"):
            *above, name = path.split("/")
            # A model in a model has the weights of all its layers in one group.
            if layer.owner != layer.name and layer.name not in above:
                continue
            name = name.partition(":")[0]
            if name in found:
                raise ValueError(f"the file holds two weights that are called {name!r}")
            dataset = member(group, path)
            if dataset is None:
                raise ValueError(f"the file lists the weight {path!r} and does not hold it")
            found[name] = dataset
        return found

    def _array(self, dataset: Any, name: str) -> Array:
        """Read a dataset whose declared size its stored bytes bear out."""
        if not hasattr(dataset, "dtype"):
            raise ValueError(f"{name} is a group, not an array")
        if dataset.dtype.kind != "f":
            raise ValueError(
                f"{name} has dtype {dataset.dtype}, not floats; quantised networks are not read, "
                "save the one before the quantisation"
            )
        return np.asarray(self._budget.read(dataset, name), dtype=np.float64)


@contextmanager
def opened(path: Path) -> Iterator[KerasFile]:
    """Open a Keras file.

    Parameters
    ----------
    path : Path
        A ``.keras`` or ``.h5`` file that `Model.save` wrote.

    Yields
    ------
    KerasFile
        Valid until the context is left.

    Raises
    ------
    ImportError
        If h5py is missing.
    ValueError
        If the file is missing, truncated, hostile or holds no whole model; the message says what
        to do, and the caller adds the path.
    """
    h5py = needed("h5py", "read Keras files")
    if not path.is_file():
        raise ValueError("no such file")
    try:
        with path.open("rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
        with _archive(path, h5py) if is_archive else _hdf5(path, h5py) as opened_file:
            yield opened_file
    except (OSError, RuntimeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        # h5py and zipfile report damage by any of these, on opening and on reading.
        raise ValueError(
            f"is damaged or cut short, or no Keras file ({one_line(error, 300)}); save the model "
            "again with model.save('net.keras')"
        ) from error


@contextmanager
def as_damage() -> Iterator[None]:
    """Report what is missing from a structure, or of another type, as a ValueError.

    Raises
    ------
    ValueError
        Instead of a KeyError, TypeError, IndexError or AttributeError.
    """
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"its structure is not that of a Keras model ({type(error).__name__}: {error}); save "
            "the model again with model.save('net.keras')"
        ) from error


@contextmanager
def _archive(path: Path, h5py: Any) -> Iterator[KerasFile]:
    with zipfile.ZipFile(path) as archive:
        stored = path.stat().st_size
        structure = _json(_entry(archive, "config.json", MAX_STRUCTURE, stored))
        about = _json(_entry(archive, "metadata.json", MAX_STRUCTURE, stored))
        weights = io.BytesIO(_entry(archive, "model.weights.h5", MAX_ARRAYS, stored))
    with h5py.File(weights, "r") as file:
        yield KerasFile(structure, str(about.get("keras_version", "3")), file, is_archive=True)


@contextmanager
def _hdf5(path: Path, h5py: Any) -> Iterator[KerasFile]:
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ValueError(
                "holds no structure, perhaps weights only; save the whole model with "
                "model.save('net.keras')"
            )
        structure = _json(_text(file, "model_config").encode())
        version = _text(file, "keras_version") if "keras_version" in file.attrs else "2.0"
        weights = member(file, "model_weights")
        if weights is None:
            raise ValueError("holds a structure and no weights; save the whole model")
        yield KerasFile(structure, version, weights, is_archive=False)


def _entry(archive: zipfile.ZipFile, name: str, most: int, stored: int) -> bytes:
    """Read one member, no more of it than was declared and no more than the archive can hold."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"holds no {name}; save the whole model with model.save") from None
    if info.file_size > min(most, MAX_RATIO * stored):
        raise ValueError(
            f"{name} is declared as {info.file_size} bytes in a file of {stored}; at most {most} "
            f"and {MAX_RATIO} times the file's size are read"
        )
    with archive.open(info) as member:
        content = member.read(info.file_size)
        if member.read(1):
            raise ValueError(f"{name} is longer than the file declares")
    return content


def _json(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_STRUCTURE:
        raise ValueError(f"its structure takes {len(content)} bytes, at most {MAX_STRUCTURE}")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its structure is no valid JSON ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise ValueError("its structure is no JSON object")
    return document


def _text(group: Any, name: str) -> str:
    attribute = group.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "OS":
        raise ValueError(f"its attribute {name} is no text")
    value = group.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def _texts(group: Any, name: str) -> list[str]:
    """Texts of an attribute; long lists are split into name0, name1, ..."""
    names = [name] if name in group.attrs else []
    while not names or names[-1] != name:
        if f"{name}{len(names)}" not in group.attrs:
            break
        names.append(f"{name}{len(names)}")
    texts: list[str] = []
    for part in names:
        if group.attrs.get_id(part).dtype.itemsize * np.prod(group.attrs.get_id(part).shape) > (
            MAX_STRUCTURE
        ):
            raise ValueError(f"its attribute {part} is too large")
        values = np.atleast_1d(group.attrs[part])
        texts += [v.decode() if isinstance(v, bytes) else str(v) for v in values]
    return texts


def _snake_case(name: str) -> str:
    """Keras' own rule for the names of groups."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
