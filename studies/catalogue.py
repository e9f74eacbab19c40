"""The studies there are, the other results that are published, and what can be trained."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ann2brian.studies.benchmarks.published import BENCHMARK, TRAINING
from ann2brian.studies.frame.publishing import Reported
from ann2brian.studies.frame.study import Study

if TYPE_CHECKING:
    from ann2brian.studies.training.recipe import Recipe

NAMES = (
    "amos",
    "burst",
    "noise",
    "albsnn",
)
STUDIES: tuple[Study, ...] = tuple(
    import_module(f"ann2brian.studies.{name}.study").STUDY for name in NAMES
)
REPORTS: tuple[Reported, ...] = (*STUDIES, TRAINING, BENCHMARK)


def recipes() -> dict[str, Recipe]:
    """One recipe for each network, shipped or not; only this needs PyTorch."""
    from ann2brian.studies.albsnn.recipes import RECIPES as ALBSNN_RECIPES
    from ann2brian.studies.amos.recipes import RECIPES as AMOS_RECIPES
    from ann2brian.studies.burst.recipes import RECIPES as BURST_RECIPES
    from ann2brian.studies.noise.recipes import RECIPES as NOISE_RECIPES

    return AMOS_RECIPES | BURST_RECIPES | NOISE_RECIPES | ALBSNN_RECIPES
