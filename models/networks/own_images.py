"""Images of one's own: NumPy and IDX files, and folders with one folder of pictures per class.

| what | images | labels | class names |
|---|---|---|---|
| ``x.npz`` | array ``images`` | array ``labels`` | array ``classes``, if there is one |
| ``x-images.npy`` | the array | ``x-labels.npy`` beside it | none |
| ``x-images-idx3-ubyte.gz`` | IDX, packed or not | ``x-labels-idx1-ubyte.gz`` beside it | none |
| a folder | PNG and JPEG files | the folder a file is in | those of the folders, sorted |

Files are not trusted: nothing is unpickled, and what a header promises is compared with the file
and with `MOST_BYTES` before memory is taken for it.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .dataset_files import DatasetError
from .file_formats import checked_path
from .idx_files import read_idx
from .image_sets import ImageSet
from .jpeg_files import require_whole_jpeg
from .png_files import require_whole_png

MOST_BYTES = 1 << 31  # that the images of one file or folder may take; CIFAR-10 takes 184 MB
_MOST_NAMES = 1 << 24  # bytes of class names
_MOST_HEADER = 1 << 14  # bytes of the header of an .npy file; NumPy itself reads 10,000
_BLOCK = 1 << 20
_IDX = re.compile(r"[.-]idx\d?([.-]ubyte)?(\.gz)?$")
_PICTURES = (".png", ".jpg", ".jpeg")
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # as NumPy writes them
FORMATS = (
    ".npz (arrays images and labels), .npy, an IDX file (*-images-idx3-ubyte, also .gz), or a "
    "folder with one folder of PNG or JPEG files per class"
)


def read(path: str | Path) -> ImageSet:
    """Read images from a file or folder.

    Parameters
    ----------
    path : str or Path
        See the head of this module.

    Returns
    -------
    ImageSet
        What it holds.

    Raises
    ------
    DatasetError
        If it is missing, of another format, damaged, too large or not what it says; the message
        names the file and says what to do.
    ImportError
        If pictures are to be read without Pillow.
    """
    path = checked_path(path, "read_images", holds="a file or a folder")
    try:
        if path.is_dir():
            found = _folder(path)
        elif not path.is_file():
            raise DatasetError(f"{path}: no such file or folder")
        elif path.suffix.lower() == ".npz":
            found = _npz(path)
        elif path.suffix.lower() == ".npy":
            found = ImageSet(name=path.name, images=_npy(path), labels=_labels_beside(path))
        elif _IDX.search(path.name):
            images = read_idx(path, MOST_BYTES)
            found = ImageSet(name=path.name, images=images, labels=_labels_beside(path))
        else:
            raise DatasetError(f"{path}: images are read from {FORMATS}")
        return checked(found)
    except DatasetError:
        raise
    except (ValueError, OSError) as error:
        text = " ".join(str(error).split())
        raise DatasetError(text if str(path) in text else f"{path}: {text}") from None


def checked(found: ImageSet) -> ImageSet:
    """The same, once types, lengths and values are what they must be."""
    images, labels, classes, name = found.images, found.labels, found.classes, found.name
    if images.dtype.kind not in "buif":
        raise DatasetError(f"{name}: images are of type {images.dtype}, numbers are needed")
    if not 2 <= images.ndim - found.is_stepped <= 4 or 0 in images.shape:
        raise DatasetError(
            f"{name}: images have the shape {images.shape}; it must be (n, rows, columns, "
            "channels), (n, rows, columns), (n, length, channels) or (n, features), none of them 0"
        )
    if images.dtype.kind == "b":
        images = images.view(np.uint8)
    if images.dtype.kind == "f":
        step = max(1, _BLOCK * len(images) // images.size)
        for start in range(0, len(images), step):  # no second array of the whole size
            block = images[start : start + step].reshape(len(images[start : start + step]), -1)
            wrong = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if wrong.size:
                raise DatasetError(f"{name}: image {start + wrong[0]} holds NaN or infinite values")
    if labels is not None:
        if labels.dtype.kind not in "iu":
            raise DatasetError(
                f"{name}: labels are of type {labels.dtype}; they must be whole numbers from 0"
            )
        if labels.shape == (len(images), 1):  # as Keras has them
            labels = labels[:, 0]
        if labels.shape != (len(images),):
            raise DatasetError(
                f"{name}: labels have the shape {labels.shape}, {len(images)} images need "
                f"{(len(images),)}"
            )
        n_classes = len(classes) if classes else np.iinfo(np.int64).max
        wrong = np.flatnonzero((labels < 0) | (labels >= n_classes))
        if wrong.size:
            among = f"0 to {n_classes - 1}" if classes else "0 or more"
            raise DatasetError(
                f"{name}: image {wrong[0]} has the label {labels[wrong[0]]}, labels are {among}"
            )
        labels = labels.astype(np.int64)
    if classes is not None and len(set(classes)) < len(classes):
        raise DatasetError(f"{name}: two classes have one name")
    return replace(found, images=images, labels=labels)


# ---- NumPy files ----


def _npz(path: Path) -> ImageSet:
    arrays = npz_arrays(path, ("images",))
    return ImageSet(
        name=path.name,
        images=arrays["images"],
        labels=arrays.get("labels"),
        classes=names_of(path, arrays),
    )


def npz_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray]:
    """Arrays of an ``.npz`` file.

    Parameters
    ----------
    path : Path
        The file.
    wanted : sequence of str
        Arrays of which it must hold the first; the others, ``labels`` and ``classes`` are read
        where they are there.

    Raises
    ------
    DatasetError
        If the file is damaged, lacks the first, or promises more than it holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if wanted[0] not in members:
                found = ", ".join(repr(name[:40]) for name in sorted(members)[:9]) or "nothing"
                raise DatasetError(
                    f"{path}: holds {found}; it needs arrays {wanted[0]!r} and 'labels', and "
                    "'classes' if they have names"
                )
            most = {**dict.fromkeys((*wanted, "labels"), MOST_BYTES), "classes": _MOST_NAMES}
            return {
                name: _member(path, archive, members[name], size)
                for name, size in most.items()
                if name in members
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DatasetError(f"{path}: damaged or cut short ({error})") from None


def names_of(path: Path, arrays: Mapping[str, NDArray]) -> tuple[str, ...] | None:
    """Names of the classes that a file holds, if it does."""
    names = arrays.get("classes")
    if names is None:
        return None
    if names.dtype.kind not in "US" or names.ndim != 1:
        raise DatasetError(
            f"{path}: classes must be one axis of text, got the shape {names.shape} of type "
            f"{names.dtype}"
        )
    return tuple(map(str, names.astype(str)))


def _member(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, most_bytes: int
) -> NDArray:
    """One array of an ``.npz`` file."""
    if info.compress_type not in _PACKED:
        raise DatasetError(f"{path}: {info.filename} is not packed as NumPy packs it (deflate)")
    with archive.open(info) as file:
        return _array(f"{path}: {info.filename}", file, info.file_size, most_bytes)


def _npy(path: Path) -> NDArray:
    with path.open("rb") as file:
        return _array(str(path), file, path.stat().st_size, MOST_BYTES)


def _array(name: str, file: IO[bytes], n_bytes: int, most_bytes: int) -> NDArray:
    """Array of an ``.npy`` stream of `n_bytes`, after its header is compared with them."""
    head = io.BytesIO(file.read(_MOST_HEADER))
    try:
        version = np.lib.format.read_magic(head)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format")
        read_header: Any = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, is_fortran, dtype = read_header(head)
    except Exception as error:  # the header is Python text, and its tokeniser has errors of its own
        raise DatasetError(f"{name}: not a NumPy array ({_line(error)})") from None
    if dtype.hasobject:
        raise DatasetError(
            f"{name}: holds Python objects, which are never unpickled; save numbers, all images "
            "of one size"
        )
    promised, there = math.prod(shape) * dtype.itemsize, n_bytes - head.tell()
    if min(shape, default=1) < 1 or promised != there:
        raise DatasetError(
            f"{name}: damaged, cut short or empty: its header says {shape} of {dtype}, which are "
            f"{promised:,} bytes, and {there:,} follow"
        )
    if promised > most_bytes:
        raise DatasetError(
            f"{name}: takes {promised:,} bytes, at most {most_bytes:,} are read; save fewer "
            "images, or whole numbers as uint8"
        )
    content = bytearray(head.read())
    while len(content) <= promised and (part := file.read(_BLOCK)):  # memory for what is there
        content += part
    if len(content) != promised:
        raise DatasetError(f"{name}: cut short: it has {len(content):,} of {promised:,} bytes")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")
    return np.ascontiguousarray(array, dtype.newbyteorder("="))


def _labels_beside(path: Path) -> NDArray | None:
    """Labels of a file whose name has "images", in the file whose name has "labels" instead."""
    if "images" not in path.name:
        return None
    name = re.sub(r"idx\d", "idx1", path.name.replace("images", "labels"))
    beside = path.with_name(name)
    if not beside.is_file():
        return None
    return _npy(beside) if path.suffix == ".npy" else read_idx(beside, MOST_BYTES)


# ---- folders of pictures ----


def _folder(path: Path) -> ImageSet:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{path}: Pillow is needed to read pictures; install it with: pip install pillow"
        ) from error
    classes = sorted(one.name for one in path.iterdir() if one.is_dir() and one.name[0] != ".")
    if not classes:
        raise DatasetError(
            f"{path}: a folder of images needs a folder for each class, e.g. {path.name}/cat/1.png"
        )
    files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in sorted((path / name).iterdir())
        if file.name[0] != "."
    ]
    files += [(file, -1) for file in path.iterdir() if file.suffix.lower() in _PICTURES]
    for file, label in files:
        if file.suffix.lower() not in _PICTURES or not file.is_file():
            raise DatasetError(f"{file}: not a PNG or JPEG file; convert it or take it away")
        if label < 0:
            raise DatasetError(f"{file}: stands in no folder of a class")
    if not files:
        raise DatasetError(f"{path}: the folders of its classes hold no PNG or JPEG files")
    mode, (columns, rows) = _common(Image, [file for file, _ in files])
    dtype = np.uint16 if mode == "I;16" else np.uint8
    shape = (len(files), rows, columns, 3 if mode == "RGB" else 1)
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if n_bytes > MOST_BYTES:
        raise DatasetError(
            f"{path}: {len(files)} pictures of {columns} x {rows} pixels take {n_bytes:,} bytes, "
            f"at most {MOST_BYTES:,} are read; bring them to the size of the training"
        )
    images = np.empty(shape, dtype)
    for number, (file, _) in enumerate(files):
        with _opened(Image, file) as picture:
            images[number] = _pixels(Image, file, picture, mode)
    labels = np.array([label for _, label in files])
    name = path.resolve().name
    return ImageSet(name=name, images=images, labels=labels, classes=tuple(classes))


def _common(image: Any, files: list[Path]) -> tuple[str, tuple[int, int]]:
    """Mode and size that all pictures have; of each the head is read, and no pixel decoded."""
    modes: dict[str, Path] = {}
    size: tuple[int, int] | None = None
    for file in files:
        with _opened(image, file) as picture:
            modes.setdefault(_mode(picture), file)
            size = size or picture.size
            if picture.size != size:
                raise DatasetError(
                    f"{file}: is {picture.size[0]} x {picture.size[1]} pixels, {files[0]} is "
                    f"{size[0]} x {size[1]}; bring all to the size of the training"
                )
    if "I;16" in modes and len(modes) > 1:
        raise DatasetError(f"{modes['I;16']}: has 16 bits, other pictures here have 8")
    assert size is not None
    return "RGB" if "RGB" in modes else next(iter(modes)), size


@contextmanager
def _opened(image: Any, file: Path) -> Iterator[Any]:
    """A picture, and what goes wrong with it as one line that names the file."""
    try:
        with image.open(file, formats=("PNG", "JPEG")) as picture:
            yield picture
    except DatasetError:
        raise
    except Exception as error:  # decoders raise what they like, SyntaxError among it
        raise DatasetError(
            f"{file}: not a readable PNG or JPEG file, perhaps cut short ({_line(error)})"
        ) from None


def _mode(picture: Any) -> str:
    """What the pixels of a picture become: "L" (grey), "RGB" or "I;16" (grey, 16 bits)."""
    if picture.mode.startswith("I"):
        return "I;16"
    return "L" if picture.mode in ("1", "L", "LA") else "RGB"


def _pixels(image: Any, file: Path, picture: Any, mode: str) -> NDArray:
    """Pixels of a picture, shape (H, W, C)."""
    if picture.format == "PNG":
        require_whole_png(file)
    elif picture.format == "JPEG":
        require_whole_jpeg(file, partial(_decoded, image))
    has_alpha = picture.mode in ("LA", "RGBA", "PA") or "transparency" in picture.info
    if has_alpha and picture.convert("RGBA").getextrema()[3][0] < 255:
        raise DatasetError(f"{file}: has transparent pixels; save it without transparency")
    picture.load()
    pixels = np.asarray(picture if mode == "I;16" else picture.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def _decoded(image: Any, content: bytes) -> NDArray:
    with image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        return np.asarray(picture)


def _line(error: Exception) -> str:
    """The message of another library, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
