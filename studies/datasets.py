"""Image data sets, verified by checksum: ``digits`` (8x8) and ``fashion-mnist`` (28x28).

The digits come with scikit-learn. Fashion-MNIST is looked for in a data folder (an argument, or
the environment variable ANN2BRIAN_DATA), laid out as ``fashion-mnist/*.gz`` with the four official
files; without such a setting it is downloaded once into the cache folder.

Source: Xiao, Rasul, Vollgraf (2017) arXiv:1708.07747.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch

from models.cache import cache_folder

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
}


def describe(name: str) -> Dataset:
    """Return shape, pixel range and classes of a data set.

    Parameters
    ----------
    name : str
        ``digits`` or ``fashion-mnist``.

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
        ``digits`` or ``fashion-mnist``.

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
        ``digits`` or ``fashion-mnist``.
    split : str
        ``train`` or ``test``.
    data : str or Path, optional
        Data folder; by default the environment variable ANN2BRIAN_DATA, and without that a
        download. The digits need none.

    Returns
    -------
    images : ndarray, shape (n, H, W, 1)
        uint8, from 0 to 16 (digits) or 255 (fashion-mnist).
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
    setting = data if data is not None else os.environ.get(SETTING) or None
    advice = (
        f"Set {SETTING} (or the option --data) to a folder that holds fashion-mnist/{file} as "
        "published by its authors"
    )
    if setting is None:
        path = _download(file, advice)
    else:
        path = Path(setting).expanduser() / "fashion-mnist" / file
        if not path.is_file():
            raise DatasetError(f"{path}: no such file. {advice}.")
    packed = path.read_bytes()
    found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if found != _FASHION_MD5[file]:
        raise DatasetError(
            f"{path}: damaged or cut short: its md5 is {found}, the published one "
            f"{_FASHION_MD5[file]}. Replace the file. {advice}."
        )
    return gzip.decompress(packed)


def _download(file: str, advice: str) -> Path:
    """File in the cache, downloaded from the first mirror that answers."""
    folder = cache_folder() / "data" / "fashion-mnist"
    failures = []
    for mirror in _FASHION_MIRRORS:
        try:
            return Path(
                pooch.retrieve(
                    mirror + file,
                    known_hash=f"md5:{_FASHION_MD5[file]}",
                    fname=file,
                    path=folder,
                    downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S, progressbar=False),
                )
            )
        except (OSError, ValueError) as error:  # no network, or another content than published
            failures.append(f"{mirror}: {error}")
    raise DatasetError(
        f"{folder / file} is not there and cannot be downloaded. {advice}, or connect to the "
        f"network. Tried: {'; '.join(failures)}"
    )
