"""Plain rate conversion, beside which studies set their schemes.

It is burst conversion with one spike a step at most, without pauses and delays.
"""

from __future__ import annotations

from typing import Any

from ann2brian.models.conversion.options import Options
from ann2brian.models.schemes import SCHEMES

NAME = "rate"  # in tables and figures
N_STEPS = 64
_PLAIN: dict[str, Any] = {"gamma": 1, "guard_ms": 0.0, "delay_ms": 0.0}


def at_rest(n_steps: int) -> Options:
    """Scale from the maximum of each layer, start at rest: as it was first done."""
    return _rate(n_steps, normalisation="maximum", initial=0.0)


def improved(n_steps: int) -> Options:
    """Scale from a percentile, start at half a threshold: as it is done today."""
    return _rate(n_steps, normalisation="percentile", percentile=99.9)


def _rate(n_steps: int, **more: Any) -> Options:
    kind: Any = SCHEMES["burst"].options
    return kind(n_steps=n_steps, **_PLAIN, **more)
