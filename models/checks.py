"""Checks of option values that every scheme makes; each error names the option and the value."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def require_whole(name: str, value: object, least: int, most: int) -> None:
    """Raise a ValueError unless `value` is a whole number from `least` to `most`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (is_whole and least <= value <= most):  # type: ignore[operator]
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")


def require_one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise a ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def require_between(name: str, value: float | None, least: float, most: float) -> None:
    """Raise a ValueError unless `value` is a number from `least` to `most`, or None."""
    if value is None:
        return
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {value!r}")
