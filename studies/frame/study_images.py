"""The images of a study: those that it presents, and those that ranges are read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from ann2brian.models.networks import datasets, own_images, spike_inputs
from ann2brian.models.networks.image_sets import ImageSet, sha256
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyImages:
    """Images of a data set or of one's own.

    Parameters
    ----------
    test : ImageSet
        To be presented, with labels.
    is_whole : bool
        Whether these are the whole test split of a data set.
    maximum : int or None
        Largest pixel value that the data set can hold; None for own images.
    dataset : str or None
        Data set whose training split is for calibration; None for own images.
    data : Path or None
        Folder with the data sets.
    own_calibration : Path or None
        Own images for calibration, instead of the training split.
    n_calibration, seed : int
        Images for calibration, and the seed of their choice.
    """

    test: ImageSet
    is_whole: bool
    maximum: int | None
    dataset: str | None
    data: Path | None
    own_calibration: Path | None
    n_calibration: int
    seed: int

    @property
    def name(self) -> str:
        """Of the data set, or of the file with one's own images."""
        return self.test.name

    @cached_property
    def calibration(self) -> ImageSet:
        """Images for calibration; loaded where a scheme reads them, and only there."""
        if self.own_calibration is not None:
            found = own_images.read(self.own_calibration)
        elif self.dataset is not None:
            images, labels = datasets.load(self.dataset, "train", self.data)
            found = ImageSet(name=self.dataset, images=images, labels=labels)
        else:
            raise ValueError(
                f"{self.name}: ranges are read from training images, and own images have none "
                "beside them; name them with --calibration-images, or where there is no such flag "
                "leave out --study"
            )
        chosen = np.random.default_rng(self.seed).permutation(len(found.images))
        return found.taken(chosen[: self.n_calibration])

    @cached_property
    def sha256(self) -> str:
        """What identifies the images that are presented, and their labels."""
        return _identity(self.test)

    @cached_property
    def calibration_sha256(self) -> str:
        """What identifies the images for calibration."""
        return _identity(self.calibration)


def _identity(images: ImageSet) -> str:
    arrays: list[NDArray] = [images.images]
    if images.labels is not None:
        arrays.append(images.labels)
    return sha256(*arrays)


def load(
    dataset: str,
    *,
    own: Path | None,
    own_spikes: Path | None = None,
    dt_ms: float | None = None,
    n_steps: int | None = None,
    n_images: int | None,
    has_fewer: bool,
    own_calibration: Path | None,
    n_calibration: int,
    seed: int,
    data: Path | None,
) -> StudyImages:
    """Load the test images of a study.

    Parameters
    ----------
    dataset : str
        Name of a data set.
    own : Path or None
        Own images, instead of the data set's.
    own_spikes : Path or None
        Own input that changes from step to step, instead of images.
    dt_ms : float or None
        Length of a step, into which events are counted; 1 ms for None.
    n_steps : int or None
        Steps into which they are counted.
    n_images : int or None
        The first so many; None for all.
    has_fewer : bool
        Whether all are taken if there are fewer.
    own_calibration, n_calibration, seed, data
        See :class:`StudyImages`.

    Returns
    -------
    StudyImages
        The images.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or there are too few images; the message names it.
    """
    if own_spikes is not None:
        dt = 1e-3 * (1.0 if dt_ms is None else dt_ms)
        test = spike_inputs.read_spikes(own_spikes, dt=dt, n_steps=n_steps)
        own = own_spikes
    elif own is None:
        images, labels = datasets.load(dataset, "test", data)
        known = datasets.describe(dataset)
        test = ImageSet(name=dataset, images=images, labels=labels, classes=known.classes)
    else:
        test = own_images.read(own)
        if test.name in datasets.DATASETS:  # a folder may have any name
            test = replace(test, name=f"own-{test.name}")
    n_all = len(test.images)
    n_images = n_all if n_images is None else n_images
    if n_images > n_all and not has_fewer:
        raise ValueError(f"--images {n_images}: {test.name} has {n_all}")
    return StudyImages(
        test=test.taken(slice(n_images)),
        is_whole=own is None and n_images >= n_all,
        maximum=datasets.describe(dataset).maximum if own is None else None,
        dataset=dataset if own is None else None,
        data=data,
        own_calibration=own_calibration,
        n_calibration=n_calibration,
        seed=seed,
    )
