"""Figures of the study of perturbations."""

from __future__ import annotations

from collections.abc import Sequence

from ann2brian.studies.frame.figures import Draw

FIGURES: Sequence[Draw] = ()
