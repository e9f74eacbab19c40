"""Image data sets: ``digits`` (8x8), ``fashion-mnist`` (28x28) and ``cifar-10`` (32x32, colour).

The digits come with scikit-learn. The others are looked for in a data folder (an argument, or the
environment variable ANN2BRIAN_DATA), laid out as ``fashion-mnist/*.gz`` with the four official
files and ``cifar-10-batches-bin/*.bin`` with the six of the official binary version; without such
a setting they are downloaded once into the cache folder. Files of Fashion-MNIST and downloads are
verified by checksum, files of CIFAR-10 in a data folder by their size and their labels.

Sources: Xiao, Rasul, Vollgraf (2017) arXiv:1708.07747; Krizhevsky (2009) Learning multiple layers
of features from tiny images, technical report, University of Toronto.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pooch

from ..places import cache_folder

SETTING = "ANN2BRIAN_DATA"
SPLITS = ("train", "test")

_FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
# The md5 sums that the authors publish in the README of zalandoresearch/fashion-mnist.
_FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}

_CIFAR_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
_CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
# Published beside the download ("binary version"), https://www.cs.toronto.edu/~kriz/cifar.html.
_CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_CIFAR_FOLDER = "cifar-10-batches-bin"  # its name in the archive
_CIFAR_FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
_CIFAR_IMAGES = 10_000  # in each file
_CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes of an image: label, then its red, green and blue plane

_TIMEOUT_S = 30

# 30 % of the digits are for testing; the seed fixes which.
_DIGITS_TEST_FRACTION = 0.3
_DIGITS_SEED = 0


class DatasetError(ValueError):
    """Data that is missing, damaged or unreachable; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is known about a data set without reading it.

    Parameters
    ----------
    shape : tuple of int
        (H, W, C) of one image.
    maximum : int
        Largest pixel value.
    classes : tuple of str
        Names, in the order of the labels.
    """

    shape: tuple[int, int, int]
    maximum: int
    classes: tuple[str, ...]


DATASETS: dict[str, Dataset] = {
    "digits": Dataset(shape=(8, 8, 1), maximum=16, classes=tuple("0123456789")),
    "fashion-mnist": Dataset(
        shape=(28, 28, 1),
        maximum=255,
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
    "cifar-10": Dataset(
        shape=(32, 32, 3),
        maximum=255,
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
    ),
}


def describe(name: str) -> Dataset:
    """Return shape, pixel range and classes of a data set.

    Parameters
    ----------
    name : str
        ``digits``, ``fashion-mnist`` or ``cifar-10``.

    Returns
    -------
    Dataset
        The entry of `DATASETS`.

    Raises
    ------
    DatasetError
        If there is no such data set.
    """
    if name not in DATASETS:
        raise DatasetError(f"no data set {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name]


def classes(name: str) -> tuple[str, ...]:
    """Return the class names of a data set in the order of its labels.

    Parameters
    ----------
    name : str
        ``digits``, ``fashion-mnist`` or ``cifar-10``.

    Returns
    -------
    tuple of str
        One name per class.

    Raises
    ------
    DatasetError
        If there is no such data set.
    """
    return describe(name).classes


def load(name: str, split: str, data: str | Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of a data set.

    Parameters
    ----------
    name : str
        ``digits``, ``fashion-mnist`` or ``cifar-10``.
    split : str
        ``train`` or ``test``.
    data : str or Path, optional
        Data folder; by default the environment variable ANN2BRIAN_DATA, and without that a
        download. The digits need none.

    Returns
    -------
    images : ndarray, shape (n, H, W, C)
        uint8, from 0 to 16 (digits) or 255 (the others).
    labels : ndarray, shape (n,)
        int64.

    Raises
    ------
    DatasetError
        For an unknown name or split, and if a file is missing, damaged or cannot be downloaded;
        the message names the file or folder and says what to do.
    """
    describe(name)
    if split not in SPLITS:
        raise DatasetError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    if name == "digits":
        return _digits(split)
    if name == "cifar-10":
        return _cifar(split, data)
    prefix = {"train": "train", "test": "t10k"}[split]
    images = _fashion_file(f"{prefix}-images-idx3-ubyte.gz", data)
    labels = _fashion_file(f"{prefix}-labels-idx1-ubyte.gz", data)
    # IDX headers: 4 bytes of magic number, then 4 bytes for each of three axes or one.
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28, 1).copy(),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
    )


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # slow to import, and needed for this set only
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    chosen = train_test_split(
        np.arange(len(digits.target)),
        test_size=_DIGITS_TEST_FRACTION,
        stratify=digits.target,
        random_state=_DIGITS_SEED,
    )[SPLITS.index(split)]
    chosen.sort()
    images = digits.images[chosen].astype(np.uint8)[..., None]
    return images, digits.target[chosen].astype(np.int64)


def _fashion_file(file: str, data: str | Path | None) -> bytes:
    """Uncompressed content of one file, after its md5 is verified."""
    advice = _advice(f"fashion-mnist/{file} as published by its authors")
    setting = _setting(data)
    if setting is None:
        path = _download("fashion-mnist", file, _FASHION_MIRRORS, _FASHION_MD5[file], advice)
    else:
        path = _found(setting / "fashion-mnist" / file, advice)
    packed = path.read_bytes()
    found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if found != _FASHION_MD5[file]:
        raise DatasetError(
            f"{path}: damaged or cut short: its md5 is {found}, the published one "
            f"{_FASHION_MD5[file]}. Replace the file. {advice}."
        )
    return gzip.decompress(packed)


def _cifar(split: str, data: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    files = _CIFAR_FILES[split]
    advice = _advice(f"{_CIFAR_FOLDER}/*.bin, the binary version as published by its author")
    setting = _setting(data)
    if setting is None:
        members = [f"{_CIFAR_FOLDER}/{file}" for names in _CIFAR_FILES.values() for file in names]
        unpack = pooch.Untar(members=members, extract_dir=".")
        archive = _download("cifar-10", _CIFAR_ARCHIVE, _CIFAR_MIRRORS, _CIFAR_MD5, advice, unpack)
        folder, remedy = archive.parent, "Delete the file: it is then unpacked again"
    else:
        folder, remedy = setting, f"Replace the file. {advice}"
    paths = [_found(folder / _CIFAR_FOLDER / file, advice) for file in files]
    records = np.concatenate([_cifar_records(path, remedy) for path in paths])
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)


def _cifar_records(path: Path, remedy: str) -> np.ndarray:
    """Label and planes of each image in one file, shape (n, bytes of an image)."""
    content, n_expected = path.read_bytes(), _CIFAR_IMAGES * _CIFAR_RECORD
    if len(content) != n_expected:
        raise DatasetError(
            f"{path}: damaged or cut short: it has {len(content)} bytes, the published one "
            f"{n_expected}. {remedy}."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_RECORD)
    most = len(DATASETS["cifar-10"].classes) - 1
    wrong = np.flatnonzero(records[:, 0] > most)
    if wrong.size:
        raise DatasetError(
            f"{path}: damaged: image {wrong[0]} has the label {records[wrong[0], 0]}, labels are "
            f"0 to {most}. {remedy}."
        )
    return records


def _setting(data: str | Path | None) -> Path | None:
    """Data folder by argument or environment."""
    setting = data if data is not None else os.environ.get(SETTING) or None
    return None if setting is None else Path(setting).expanduser()


def _advice(what: str) -> str:
    return f"Set {SETTING} (or the option --data) to a folder that holds {what}"


def _found(path: Path, advice: str) -> Path:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file. {advice}.")
    return path


def _download(
    name: str,
    file: str,
    mirrors: Sequence[str],
    md5: str,
    advice: str,
    process: Callable[..., Any] | None = None,
) -> Path:
    """File in the cache, downloaded from the first mirror that answers and then processed."""
    folder = cache_folder() / "data" / name
    failures = []
    for mirror in mirrors:
        try:
            pooch.retrieve(
                mirror + file,
                known_hash=f"md5:{md5}",
                fname=file,
                path=folder,
                processor=process,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S, progressbar=False),
            )
            return folder / file
        except (OSError, ValueError) as error:  # no network, or another content than published
            failures.append(f"{mirror}: {error}")
    raise DatasetError(
        f"{folder / file} is not there and cannot be downloaded. {advice}, or connect to the "
        f"network. Tried: {'; '.join(failures)}"
    )
