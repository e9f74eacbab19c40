"""What a study works on: a trained network, its test images and its calibration images."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.network import Network
from ann2brian.studies.frame import result_folder as common
from numpy.typing import NDArray

QUICK_IMAGES, QUICK_CALIBRATION = 50, 100


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
    images : ndarray, shape (n, H, W, C)
        Test images.
    labels : ndarray of int, shape (n,)
        Their classes.
    calibration : ndarray, shape (m, H, W, C)
        Training images.
    is_whole : bool
        Whether `images` is the whole test split.
    """

    network: Network
    weights: Path
    weights_sha256: str
    training_seed: int
    images: NDArray
    labels: NDArray
    calibration: NDArray
    is_whole: bool

    @property
    def setting(self) -> str:
        """How it was trained: the network's name without that of its data set."""
        return setting_of(self.network.name)

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that name the network in a table of several."""
        return {
            "network": self.network.name,
            "setting": self.setting,
            "training_seed": self.training_seed,
        }

    @cached_property
    def logits(self) -> NDArray[np.float64]:
        """What the trained network says, shape (n, n_classes)."""
        return self.network.forward(self.images)


def setting_of(name: str) -> str:
    """The part of a network's name after its data set, e.g. "noise-wide" of "digits-noise-wide"."""
    return name.split("-", 1)[-1]


def add_flags(
    flags: argparse.ArgumentParser, networks: dict[str, str], takes_several: bool = False
) -> None:
    """Flags that choose the subject; `networks` names the default network of each data set."""
    flags.add_argument(
        "--dataset",
        choices=tuple(networks),
        default=next(iter(networks)),
        help=f"test images (default: {next(iter(networks))})",
    )
    flags.add_argument(
        "--network",
        nargs="+" if takes_several else None,
        help="a shipped network, or a .safetensors file (default: by data set)"
        + ("; several are compared" if takes_several else ""),
    )
    flags.add_argument(
        "--calibration",
        type=common.positive,
        default=512,
        help="training images from which ranges are read (default: 512)",
    )


def load(arguments: argparse.Namespace, default: str) -> Subject:
    """Load what the flags name; with ``--quick``, few images.

    Parameters
    ----------
    arguments : Namespace
        With the flags of :func:`add_flags` and :func:`studies.frame.result_folder.add_run_flags`.
        With ``--quick``, its numbers of images are reduced here.
    default : str
        Network if no other is named.

    Raises
    ------
    ValueError
        If network and images do not fit or there are too few images; the message names them.
    """
    if arguments.quick:
        arguments.images = min(arguments.images or QUICK_IMAGES, QUICK_IMAGES)
        arguments.calibration = min(arguments.calibration, QUICK_CALIBRATION)
    name = arguments.network or default
    path = Path(name) if name.endswith(".safetensors") else storage.trained(name)
    network = storage.load_network(path)
    images, labels = datasets.load(arguments.dataset, "test", arguments.data)
    training, _ = datasets.load(arguments.dataset, "train", arguments.data)
    if images.shape[1:] != network.input.shape:
        raise ValueError(
            f"{path.name} takes images of shape {network.input.shape}, {arguments.dataset} has "
            f"{images.shape[1:]}; choose another --dataset or --network"
        )
    if arguments.images is not None and arguments.images > len(images):
        raise ValueError(f"--images {arguments.images}: {arguments.dataset} has {len(images)}")
    chosen = np.random.default_rng(arguments.seed).permutation(len(training))
    return Subject(
        network=network,
        weights=path,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        training_seed=storage.load_info(path).get("seed", 0),
        images=images[: arguments.images],
        labels=labels[: arguments.images],
        calibration=training[chosen[: arguments.calibration]],
        is_whole=arguments.images in (None, len(images)),
    )
