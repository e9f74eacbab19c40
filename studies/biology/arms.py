"""The arms of the study: one converted network of each scheme, and its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ann2brian.models.biology import phase_ms, threshold_mv
from ann2brian.models.networks.network import accuracy
from ann2brian.models.networks.weight_files import trained
from ann2brian.models.schemes import SCHEMES
from ann2brian.models.spiking.network import SpikingNetwork
from ann2brian.studies.frame import rate_conversion
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.network_under_test import load
from ann2brian.studies.frame.study_images import StudyImages
from numpy.typing import NDArray

# Steps after which accuracy rises no more; rate conversion runs the network of the burst scheme.
OPTIONS: Mapping[str, tuple[str, Any]] = {
    "amos": ("relu", SCHEMES["amos"].options(neurons_per_gate=8)),
    "burst": ("burst", SCHEMES["burst"].options(n_steps=16)),
    "noise": ("noise", SCHEMES["noise"].options(n_steps=4)),
    "albsnn": ("albsnn", SCHEMES["albsnn"].options(n_steps=1)),
    rate_conversion.NAME: ("burst", rate_conversion.improved(rate_conversion.N_STEPS)),
}
DATASETS: Mapping[str, str] = {"digits": "digits", "fashion-mnist": "fashion"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Arm:
    """A scheme as it is swept.

    Parameters
    ----------
    scheme, network : str
        Scheme, and name of its trained network.
    spiking : SpikingNetwork
        Unperturbed.
    images : ndarray, shape (n, height, width, channels)
        As the network takes them.
    labels : ndarray of int, shape (n,)
        Their classes.
    trained_accuracy : float
        Of the network as it was trained.
    about : dict
        What decides its numbers, for the configuration of the result.
    """

    scheme: str
    network: str
    spiking: SpikingNetwork
    images: NDArray[Any]
    labels: NDArray[Any]
    trained_accuracy: float
    about: dict[str, Any]

    @property
    def scales(self) -> dict[str, float]:
        """Time and voltage scale of the network."""
        return {"phase_ms": phase_ms(self.spiking), "threshold_mv": threshold_mv(self.spiking)}


def arms(schemes: Sequence[str], dataset: str, source: StudyImages) -> list[Arm]:
    """Convert a network for each scheme.

    Parameters
    ----------
    schemes : sequence of str
        Keys of `OPTIONS`.
    dataset : str
        Key of `DATASETS`.
    source : StudyImages
        Images that are presented, and those that ranges are read from.
    """
    found = []
    for scheme in schemes:
        setting, options = OPTIONS[scheme]
        subject = load(trained(f"{DATASETS[dataset]}-{setting}"), source)
        case = Case(subject=subject, options=options, label=scheme)
        found.append(
            Arm(
                scheme=scheme,
                network=subject.network.name,
                spiking=case.conversion.spiking,
                images=subject.images,
                labels=np.asarray(subject.labels),
                trained_accuracy=accuracy(subject.logits, subject.labels),
                about={"weights_sha256": subject.weights_sha256, "options": repr(options)},
            )
        )
    return found
