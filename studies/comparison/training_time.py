"""What the training of a network took, as far as anything tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from ann2brian.models.networks import datasets
from ann2brian.studies.frame.network_under_test import Subject
from ann2brian.studies.frame.publishing import PUBLISHED
from ann2brian.studies.training.methods import DATASETS, METHODS

IN_FILE = "training_s"  # of a weight file's info
UNKNOWN = "not known"


def training_time(subject: Subject, data: Path | None = None) -> tuple[float, str]:
    """Seconds that the training of a network took, and what says so.

    Parameters
    ----------
    subject : Subject
        The network.
    data : Path, optional
        Folder with the data sets, to count the training images.

    Returns
    -------
    (float, str)
        NaN if nothing tells. Of the networks whose training step was measured, the published time
        of an image times images and epochs.
    """
    info = subject.info
    if IN_FILE in info:
        return float(info[IN_FILE]), "weight file"
    per_image_ms = _published_ms(subject)
    if np.isnan(per_image_ms) or "epochs" not in info:
        return float("nan"), UNKNOWN
    images, _ = datasets.load(info["dataset"], "train", data)
    return per_image_ms / 1e3 * len(images) * info["epochs"], "published cost of a step"


def _published_ms(subject: Subject) -> float:
    """Time of an image in training; NaN for other networks than those that were measured."""
    dataset = subject.info.get("dataset")
    measured = {f"{DATASETS.get(dataset)}-{name}": method for name, method in METHODS.items()}
    method = measured.get(subject.network.name)
    table = pd.read_csv(PUBLISHED / "training.csv")
    rows = table[(table.dataset == dataset) & (table.method == method)]
    return float(rows.ms_per_image.iloc[0]) if len(rows) else float("nan")
