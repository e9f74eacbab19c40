"""What a study works on: a trained network, its test images and its calibration images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ann2brian.models.networks import weight_files
from ann2brian.models.networks.image_sets import ImageSet, is_numbered, require_known_order
from ann2brian.models.networks.network import Network
from ann2brian.studies.frame.importing import HAS_NAMES, InputFlags, weight_file
from ann2brian.studies.frame.study_images import StudyImages
from numpy.typing import NDArray

UNKNOWN_SEED = -1  # in tables, of networks whose files say none


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A trained network and the images of a study, as the network takes them.

    Parameters
    ----------
    network : Network
        As trained.
    weights : Path
        Its weight file.
    weights_sha256 : str
        Of this file.
    info : dict
        What this file says of the training, or of the import.
    tensor_bytes : dict of str to int
        Bytes of each tensor in this file.
    training_seed : int
        Seed that it was trained with; `UNKNOWN_SEED` if its file says none.
    origin : str
        The same in words; of an imported network, the file that it comes from.
    images : ndarray, shape (n, H, W, C)
        Test images.
    labels : ndarray of int, shape (n,)
        Their classes, as the network numbers them.
    source : StudyImages
        Where they come from.
    """

    network: Network
    weights: Path
    weights_sha256: str
    info: dict[str, Any]
    tensor_bytes: dict[str, int]
    training_seed: int
    origin: str
    images: NDArray
    labels: NDArray
    source: StudyImages

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
        return _taken_by(self.network, self.source.calibration)


def setting_of(name: str) -> str:
    """The part of a network's name after its data set, e.g. "noise-wide" of "digits-noise-wide"."""
    return name.split("-", 1)[-1]


def load(
    path: Path, source: StudyImages, *, any_classes: bool = False, seen: InputFlags | None = None
) -> Subject:
    """Load a network and bring the test images to what it takes.

    Parameters
    ----------
    path : Path
        A weight file, or an ``.onnx``, ``.keras`` or ``.h5`` file, which is imported.
    source : StudyImages
        Of the study.
    any_classes : bool
        Whether labels go by number, whatever the names of the classes are.
    seen : InputFlags, optional
        How an imported network sees an image; None where a study has no flags for it.

    Raises
    ------
    ValueError
        If network and images do not fit; the message names both.
    """
    path = weight_file(path, source.test, source.maximum, seen)
    network = weight_files.load_network(path)
    info = weight_files.load_info(path)
    images = _taken_by(network, source.test)
    labels = source.test.labels_among(
        network.classes, any_names=any_classes or _goes_by_number(network, info, source.test)
    )
    return Subject(
        network=network,
        weights=path,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        info=info,
        tensor_bytes=weight_files.tensor_bytes(path),
        training_seed=info.get("seed", UNKNOWN_SEED),
        origin=_origin(info),
        images=images,
        labels=labels,
        source=source,
    )


def _origin(info: dict[str, Any]) -> str:
    """Where a network comes from, as far as its file says."""
    if "seed" in info:
        return f"seed {info['seed']}"
    return f"imported from {info['imported_from']}" if "imported_from" in info else "seed not known"


def _goes_by_number(network: Network, info: dict[str, Any], images: ImageSet) -> bool:
    """Whether an import made up the names of the classes, and there are as many."""
    is_made_up = is_numbered(network.classes) and info.get(HAS_NAMES) is False
    if not is_made_up or images.classes is None or len(images.classes) != len(network.classes):
        return False
    require_known_order(images.name, images.classes)
    return True


def _taken_by(network: Network, images: ImageSet) -> NDArray:
    """Images in the shape and range of a network."""
    try:
        return network.check_images(images.shaped(network.input.shape))
    except ValueError as error:
        text = str(error)
        if network.name not in text:
            text = f"network {network.name!r}: {text}"
        raise ValueError(text if images.name in text else f"{images.name}: {text}") from None


def shown_of(subjects: Sequence[Subject], setting: str) -> Subject:
    """The network whose details are shown: the first with this setting, or else the first."""
    return next((one for one in subjects if one.setting == setting), subjects[0])
