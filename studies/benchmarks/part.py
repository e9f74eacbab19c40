"""What a part of the benchmark declares, and the networks that several parts measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pandas as pd
from ann2brian.studies.benchmarks.contenders import Case, Task
from ann2brian.studies.benchmarks.spread import Quantity
from ann2brian.studies.benchmarks.subjects import (
    CAFFE,
    CAFFE_AVERAGE,
    DIGITS,
    DIGITS_GATES,
    LENET5,
    RESIDUAL,
    SIX_LAYERS,
    Subject,
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is asked for.

    Parameters
    ----------
    quick : bool
        Digits only.
    rounds : int
        Of every comparison.
    scale : float
        Factor of all numbers of images.
    has_previous : bool
        Whether there is a checkout of the previous release.
    peers : tuple of str
        Libraries that are installed.
    """

    quick: bool = False
    rounds: int = 5
    scale: float = 1.0
    has_previous: bool = False
    peers: tuple[str, ...] = ()

    def images(self, n: int, least: int = 2) -> int:
        """Number of images in place of `n`."""
        return max(least, round(n * self.scale))


@dataclass(frozen=True, kw_only=True)
class Part:
    """One question to the engine.

    Parameters
    ----------
    name : str
        As ``--only`` has it.
    about : str
        The question.
    cases : callable
        Comparisons that are made; none where something is missing.
    quantities : callable
        From the rows of one case, the numbers that are printed.
    """

    name: str
    about: str
    cases: Callable[[Setting], list[Case]]
    quantities: Callable[[str, pd.DataFrame], Iterator[Quantity]]


def plain(n_steps: int) -> dict[str, Any]:
    """Options of plain integrate-and-fire neurons: no burst, no pause, one delay for all."""
    return {
        "n_steps": n_steps,
        "gamma": 1,
        "normalisation": "maximum",
        "initial": 0,
        "guard_ms": 0,
        "delay_ms": 0,
    }


def _task(
    subject: Subject, n_images: int, options: Mapping[str, Any], scheme: str = "burst"
) -> Task:
    return Task(subject=subject, n_images=n_images, scheme=scheme, options=options)


NETWORKS: Mapping[str, Task] = MappingProxyType(
    {
        "Caffe LeNet, IF": _task(CAFFE, 1000, plain(50)),
        "Caffe LeNet, burst": _task(CAFFE, 128, {"n_steps": 50}),
        "Caffe LeNet, AMOS": _task(CAFFE_AVERAGE, 1000, {"neurons_per_gate": 4}, "amos"),
        "LeNet-5, IF": _task(LENET5, 1000, plain(50)),
        "LeNet-5, burst": _task(LENET5, 256, {"n_steps": 50}),
        "six-layer CNN, burst": _task(SIX_LAYERS, 8, {"n_steps": 8}),
        "ResNet-20 shape, burst": _task(RESIDUAL, 8, {"n_steps": 8}),
    }
)
QUICK_NETWORKS: Mapping[str, Task] = MappingProxyType(
    {
        "digits, IF": _task(DIGITS, 64, plain(8)),
        "digits, AMOS": _task(DIGITS_GATES, 64, {"neurons_per_gate": 4}, "amos"),
    }
)


def networks(setting: Setting) -> dict[str, Task]:
    """Networks by name, with the numbers of images that are asked for."""
    chosen = QUICK_NETWORKS if setting.quick else NETWORKS
    return {
        name: replace(task, n_images=setting.images(task.n_images)) for name, task in chosen.items()
    }
