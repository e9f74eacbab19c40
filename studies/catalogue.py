"""The studies there are, the other results that are published, and what can be trained."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ann2brian.studies.benchmarks.published import BENCHMARK, TRAINING
from ann2brian.studies.biology.published import BIOLOGY
from ann2brian.studies.comparison.published import COMPARISON
from ann2brian.studies.exchange.published import EXCHANGE
from ann2brian.studies.frame.publishing import Reported
from ann2brian.studies.frame.study import Study
from ann2brian.studies.nir.exports import EXPORTS

if TYPE_CHECKING:
    from ann2brian.studies.training.recipe import Recipe

NAMES = (
    "amos",
    "burst",
    "noise",
    "albsnn",
    "nir",
)
STUDIES: tuple[Study, ...] = tuple(
    import_module(f"ann2brian.studies.{name}.study").STUDY for name in NAMES
)
REPORTS: tuple[Reported, ...] = (
    *(*STUDIES, COMPARISON, BIOLOGY),
    *(TRAINING, BENCHMARK, EXCHANGE, EXPORTS),
)


def recipes() -> dict[str, Recipe]:
    """One recipe for each network, shipped or not; only this needs PyTorch."""
    found = (import_module(f"ann2brian.studies.{name}.recipes") for name in NAMES if _trains(name))
    return {name: recipe for module in found for name, recipe in module.RECIPES.items()}


def _trains(name: str) -> bool:
    return find_spec(f"ann2brian.studies.{name}.recipes") is not None
