"""What a file holds, told by its first bytes, and who reads it.

A reader that gets a file of another format finds it damaged. What the bytes say is worth more than
the name, which people choose. Nothing is unpickled, and nothing but heads and tables of contents is
read.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

_EXPORT = "export the network to ONNX (.onnx) or Keras (.keras)"
# What a file is, and what to do with it.
ABOUT = {
    "onnx": "is an ONNX file; from_onnx reads it, or studies/import_network.py",
    "keras": "is a Keras file; from_keras reads it, or studies/import_network.py",
    "hdf5": "is an HDF5 file; if model.save of Keras wrote it, from_keras reads it, or "
    "studies/import_network.py; if nir.write did, from_nir, or studies/run_nir.py",
    "safetensors": "is a safetensors file; load_network reads what save_network wrote, and "
    "safetensors.torch.load_file gives the weights of a module",
    "torch": "is a file of torch.save, which may hold pickled code, which is not run; build the "
    "module in Python, load its weights with torch.load(..., weights_only=True), and give it to "
    "from_torch; or give both to studies/import_network.py (FILE.py:FUNCTION --weights FILE.pt)",
    "torchscript": "is a TorchScript archive, which holds code, which is not run; give the module "
    "that it was made of to from_torch",
    "torch.export": "holds a program of torch.export; give the module to from_torch",
    "pickle": f"is a pickle, which is not run; {_EXPORT}",
    "tflite": "holds a TensorFlow Lite model; save the Keras model that it was made of as .keras",
    "numpy": f"holds arrays and no structure; {_EXPORT}",
    "lfs": "is a pointer of Git LFS and not the file itself; fetch that with: git lfs pull",
    "page": "is a web page and not the file itself; download it again",
    "savedmodel": "is a TensorFlow SavedModel; save the Keras model as .keras, or write ONNX with: "
    "python -m tf2onnx.convert --saved-model FOLDER --output net.onnx",
    "folder": "is a folder, not a network file",
}
_HEAD = 1 << 12  # bytes
_STARTS = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x93NUMPY", "numpy"),
    # The number by which torch.save began before it wrote archives, pickled.
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),
    *((bytes((0x80, protocol)), "pickle") for protocol in range(2, 6)),
    (b"version https://git-lfs", "lfs"),
    (b"<!doctype html", "page"),
    (b"<html", "page"),
)
# Fields of ONNX' ModelProto by number: 0 for a number in it, 2 for bytes.
_ONNX_FIELDS = {1: 0, 5: 0, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), 2)}
_ONNX_TEXTS = (2, 3, 4, 6)  # a SavedModel has a message where ONNX has its producer's name
_ONNX_TELLING = (7, 8)  # the graph, and the versions of its operators


def checked_path(path: object, taker: str, otherwise: str = "", holds: str = "a file") -> Path:
    """Return a path, or say whose argument is none.

    Parameters
    ----------
    path : str or os.PathLike
        As given.
    taker : str
        Name of the function that was called.
    otherwise : str
        What to do with something else.
    holds : str
        What the path is of.

    Raises
    ------
    TypeError
        If it is something else, such as what the file should hold.
    """
    if not isinstance(path, str | os.PathLike):
        remedy = f"; {otherwise}" if otherwise else ""
        raise TypeError(f"{taker} takes the path of {holds}, got {type(path).__name__}{remedy}")
    return Path(path)


def recognised(path: str | Path) -> str | None:
    """Tell the format of a file by its content.

    Parameters
    ----------
    path : str or Path
        A file or a folder; there need not be one.

    Returns
    -------
    str or None
        A key of `ABOUT`; None if the content tells nothing, as of most damaged files.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return "savedmodel" if (path / "saved_model.pb").exists() else "folder"
        with path.open("rb") as file:
            head = file.read(_HEAD)
        n_bytes = path.stat().st_size
    except OSError:
        return None
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(_members(path, head))
    length = int.from_bytes(head[:8], "little")  # of JSON; may begin like a pickle
    if head[8:9] == b"{" and length + 8 <= n_bytes:
        return "safetensors"
    for start, name in _STARTS:
        if head.lower().startswith(start) if name == "page" else head.startswith(start):
            return name
    if head[4:8] == b"TFL3":
        return "tflite"
    return "onnx" if _is_onnx(head) else None


def other_format(path: str | Path, *wanted: str) -> str | None:
    """Say what a file is that a reader was given and does not read.

    Parameters
    ----------
    path : str or Path
        A file; there need not be one.
    *wanted : str
        Keys of `ABOUT`: what the reader reads.

    Returns
    -------
    str or None
        What it is and who reads it; None if it is one of `wanted`, or not known.
    """
    name = recognised(path)
    return None if name is None or name in wanted else ABOUT[name]


def _members(path: Path, head: bytes) -> Sequence[str]:
    """Names in a zip archive; of one that is cut short, the first."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        length = int.from_bytes(head[26:28], "little")
        return [head[30 : 30 + length].decode(errors="replace")]


def _of_archive(members: Sequence[str]) -> str | None:
    names = {Path(member).name for member in members}
    if "archive_format" in names or "serialized_exported_program.json" in names:
        return "torch.export"
    if any("/code/" in f"/{member}" for member in members):
        return "torchscript"
    if "data.pkl" in names:
        return "torch"
    if "config.json" in members or "model.weights.h5" in members:
        return "keras"
    return "numpy" if any(name.endswith(".npy") for name in names) else None


def _is_onnx(head: bytes) -> bool:
    """Whether protobuf messages follow each other as in an ONNX model, up to one that tells."""
    at = 0
    numbers: set[int] = set()
    while at < len(head):
        key, at = _varint(head, at)
        number, wire = key >> 3, key & 7
        if _ONNX_FIELDS.get(number) != wire:
            return False
        numbers.add(number)
        if number in _ONNX_TELLING:
            return 1 in numbers  # the version of the format, which all have
        value, at = _varint(head, at)
        if wire == 2:
            if number in _ONNX_TEXTS and not _is_text(head[at : at + value]):
                return False
            at += value
    return at > len(head) and {1, 2} <= numbers  # a long text comes before what tells


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of protobuf, and where it ends."""
    value = shift = 0
    while at < len(content):
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            break
    return value, at


def _is_text(content: bytes) -> bool:
    text = content[:64].decode(errors="ignore")  # may end inside of a character
    return " ".join(text.split()).isprintable()
