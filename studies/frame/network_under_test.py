"""What a study works on: a trained network, its test images and its calibration images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ann2brian.models.networks import datasets, weight_files
from ann2brian.models.networks.network import Network
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A trained network and the images of one data set.

    Parameters
    ----------
    network : Network
        As trained.
    weights : Path
        Its weight file.
    weights_sha256 : str
        Of this file.
    training_seed : int
        Seed that it was trained with.
    dataset : str
        Name of the data set.
    data : Path or None
        Folder with the data sets.
    images : ndarray, shape (n, H, W, C)
        Test images.
    labels : ndarray of int, shape (n,)
        Their classes.
    is_whole : bool
        Whether `images` is the whole test split.
    n_calibration : int
        Training images for calibration.
    seed : int
        Of their choice.
    """

    network: Network
    weights: Path
    weights_sha256: str
    training_seed: int
    dataset: str
    data: Path | None
    images: NDArray
    labels: NDArray
    is_whole: bool
    n_calibration: int
    seed: int

    @property
    def setting(self) -> str:
        """How it was trained: the network's name without that of its data set."""
        return setting_of(self.network.name)

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that name the network in every table."""
        return {
            "network": self.network.name,
            "setting": self.setting,
            "training_seed": self.training_seed,
        }

    @cached_property
    def logits(self) -> NDArray[np.float64]:
        """What the trained network says, shape (n, n_classes)."""
        return self.network.forward(self.images)

    @cached_property
    def calibration(self) -> NDArray:
        """Training images, shape (m, H, W, C); loaded where a scheme reads them, and only there."""
        training, _ = datasets.load(self.dataset, "train", self.data)
        chosen = np.random.default_rng(self.seed).permutation(len(training))
        return training[chosen[: self.n_calibration]]


def setting_of(name: str) -> str:
    """The part of a network's name after its data set, e.g. "noise-wide" of "digits-noise-wide"."""
    return name.split("-", 1)[-1]


def load(
    name: str,
    dataset: str,
    *,
    n_images: int | None,
    n_calibration: int,
    seed: int,
    data: Path | None,
) -> Subject:
    """Load a network and its test images.

    Parameters
    ----------
    name : str
        Of a shipped network, or path of a ``.safetensors`` file.
    dataset : str
        Name of the data set.
    n_images : int or None
        The first so many test images; None for all.
    n_calibration, seed : int
        Training images and their choice, see :class:`Subject`.
    data : Path or None
        Folder with the data sets.

    Raises
    ------
    ValueError
        If network and images do not fit or there are too few images; the message names them.
    """
    path = Path(name) if name.endswith(".safetensors") else weight_files.trained(name)
    network = weight_files.load_network(path)
    images, labels = datasets.load(dataset, "test", data)
    if images.shape[1:] != network.input.shape:
        raise ValueError(
            f"{path.name} takes images of shape {network.input.shape}, {dataset} has "
            f"{images.shape[1:]}; choose another --dataset or --network"
        )
    if n_images is not None and n_images > len(images):
        raise ValueError(f"--images {n_images}: {dataset} has {len(images)}")
    return Subject(
        network=network,
        weights=path,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        training_seed=weight_files.load_info(path).get("seed", 0),
        dataset=dataset,
        data=data,
        images=images[:n_images],
        labels=labels[:n_images],
        is_whole=n_images in (None, len(images)),
        n_calibration=n_calibration,
        seed=seed,
    )


def shown_of(subjects: Sequence[Subject], setting: str) -> Subject:
    """The network whose details are shown: the first with this setting, or else the first."""
    return next((one for one in subjects if one.setting == setting), subjects[0])
