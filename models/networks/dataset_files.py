"""Where the files of published data sets come from, and how they are read.

Files are looked for in a data folder (an argument, or the environment variable ANN2BRIAN_DATA);
without such a setting they are downloaded once into the cache folder. IDX files and downloads are
verified by checksum, binary files in a data folder by their size and their labels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pooch
from numpy.typing import NDArray

from ..arrays import Integers
from ..places import cache_folder
from .idx_files import read_idx

SETTING = "ANN2BRIAN_DATA"
SPLITS = ("train", "test")

_TIMEOUT_S = 30
_MOST_BYTES = 1 << 28  # of one unpacked file; the largest has 154 MB

# 30 % of the digits are for testing; the seed fixes which.
_DIGITS_TEST_FRACTION = 0.3
_DIGITS_SEED = 0


class DatasetError(ValueError):
    """Data that is missing, damaged or unreachable; the message says what to do."""


class Source(Protocol):
    """Where a data set comes from."""

    def read(self, split: str, data: str | Path | None) -> tuple[NDArray, Integers]:
        """Images, shape (n, H, W, C), and labels, shape (n,), of a split."""


@dataclass(frozen=True)
class Digits:
    """The digits that come with scikit-learn."""

    def read(self, split: str, data: str | Path | None = None) -> tuple[NDArray, Integers]:
        """Images and labels; no folder is needed.

        They are kept in the cache folder: to import scikit-learn takes longer than to run many a
        network on them.
        """
        kept = cache_folder() / "data" / f"digits-{version('scikit-learn')}.npz"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            unfinished = kept.with_name(f"{kept.name}.{os.getpid()}.part")
            with unfinished.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **self._splits())
            unfinished.replace(kept)
        with np.load(kept) as stored:
            return stored[f"{split}_images"], stored[f"{split}_labels"]

    def _splits(self) -> dict[str, NDArray]:
        """Images and labels of both splits, as scikit-learn gives them."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        parts = train_test_split(
            np.arange(len(digits.target)),
            test_size=_DIGITS_TEST_FRACTION,
            stratify=digits.target,
            random_state=_DIGITS_SEED,
        )
        found = {}
        for split, chosen in zip(SPLITS, parts, strict=True):
            chosen.sort()
            found[f"{split}_images"] = digits.images[chosen].astype(np.uint8)[..., None]
            found[f"{split}_labels"] = digits.target[chosen].astype(np.int64)
        return found


@dataclass(frozen=True, kw_only=True)
class IdxFiles:
    """Four gzip IDX files: images and labels of two splits.

    Parameters
    ----------
    folder : str
        Of the files in a data folder.
    mirrors : tuple of str
        Addresses of the folder with the files, the first one tried first.
    md5 : mapping of str to str
        Published checksum by file name.
    """

    folder: str
    mirrors: tuple[str, ...]
    md5: Mapping[str, str]

    def read(self, split: str, data: str | Path | None) -> tuple[NDArray, Integers]:
        """Images and labels of a split, once their checksums are verified."""
        prefix = {"train": "train", "test": "t10k"}[split]
        images = self._file(f"{prefix}-images-idx3-ubyte.gz", data)
        labels = self._file(f"{prefix}-labels-idx1-ubyte.gz", data)
        return images[..., None], labels.astype(np.int64)

    def _file(self, file: str, data: str | Path | None) -> NDArray:
        advice = _advice(f"{self.folder}/{file} as published by its authors")
        setting = _setting(data)
        if setting is None:
            path = _download(self.folder, file, self.mirrors, self.md5[file], advice)
        else:
            path = _found(setting / self.folder / file, advice)
        found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if found != self.md5[file]:
            raise DatasetError(
                f"{path}: damaged or cut short: its md5 is {found}, the published one "
                f"{self.md5[file]}. Replace the file. {advice}."
            )
        return read_idx(path, _MOST_BYTES)


@dataclass(frozen=True, kw_only=True)
class BinaryFiles:
    """The binary version of CIFAR: of each image its labels, then its red, green and blue plane.

    Parameters
    ----------
    name : str
        Of the data set.
    folder : str
        Of the files, in the archive and in a data folder.
    archive : str
        Name of the download.
    md5 : str
        Its published checksum.
    files : mapping of str to mapping of str to int
        By split, the number of images in each file by its name.
    n_labels : int
        Labels of an image; the last one is its class.
    n_classes : int
        Classes are numbered from 0.
    mirrors : tuple of str
        Addresses of the folder with the archive.
    """

    name: str
    folder: str
    archive: str
    md5: str
    files: Mapping[str, Mapping[str, int]]
    n_labels: int
    n_classes: int
    mirrors: tuple[str, ...] = ("https://www.cs.toronto.edu/~kriz/",)

    def read(self, split: str, data: str | Path | None) -> tuple[NDArray, Integers]:
        """Images and labels of a split."""
        files = self.files[split]
        advice = _advice(f"{self.folder}/*.bin, the binary version as published by its author")
        setting = _setting(data)
        if setting is None:
            members = [f"{self.folder}/{file}" for own in self.files.values() for file in own]
            unpack = pooch.Untar(members=members, extract_dir=".")
            archive = _download(self.name, self.archive, self.mirrors, self.md5, advice, unpack)
            folder, remedy = archive.parent, "Delete the file: it is then unpacked again"
        else:
            folder, remedy = setting, f"Replace the file. {advice}"
        paths = [_found(folder / self.folder / file, advice) for file in files]
        records = np.concatenate(
            [
                self._records(path, n_images, remedy)
                for path, n_images in zip(paths, files.values(), strict=True)
            ]
        )
        planes = records[:, self.n_labels :].reshape(-1, 3, 32, 32)
        labels = records[:, self.n_labels - 1].astype(np.int64)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels

    def _records(self, path: Path, n_images: int, remedy: str) -> NDArray:
        """Labels and planes of each image in one file, shape (n, bytes of an image)."""
        n_bytes = self.n_labels + 3 * 32 * 32
        n_found, n_expected = path.stat().st_size, n_images * n_bytes
        if n_found != n_expected:
            raise DatasetError(
                f"{path}: damaged or cut short: it has {n_found} bytes, the published one "
                f"{n_expected}. {remedy}."
            )
        records = np.fromfile(path, np.uint8).reshape(-1, n_bytes)
        labels = records[:, self.n_labels - 1]
        wrong = np.flatnonzero(labels >= self.n_classes)
        if wrong.size:
            raise DatasetError(
                f"{path}: damaged: image {wrong[0]} has the label {labels[wrong[0]]}, labels are "
                f"0 to {self.n_classes - 1}. {remedy}."
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
