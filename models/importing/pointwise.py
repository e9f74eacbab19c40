"""Which function a chain of element-by-element operations is, told by its values.

Every exporter writes GELU, SiLU or hardswish in its own way, as sums and products of simpler
functions. What such a chain computes on a grid tells them apart, however it is written.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit

from ..arrays import Array

# Both sides of every kink, the curved middle, and far out where functions have become straight.
GRID: Array = np.concatenate([np.linspace(-9, 9, 361), [-60.0, -33.3, -17.1, 17.1, 33.3, 60.0]])
_TOLERANCE = 1e-5  # float32 chains lose about 1e-6; gelu and its tanh form differ by 5e-4

_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * expit(x),
    "sigmoid": expit,
    "tanh": np.tanh,
    "gelu": lambda x: x / 2 * (1 + erf(x / np.sqrt(2))),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}


def recognised(values: Array) -> tuple[str, tuple[float, ...]] | None:
    """Name a function by its values.

    Parameters
    ----------
    values : ndarray, shape of `GRID`
        What it gives on `GRID`.

    Returns
    -------
    (str, tuple of float) or None
        An activation and its parameters: one without, ``clip`` (low, high) or ``leaky_relu``
        (slope). None if it is none of these.
    """
    if not np.isfinite(values).all():
        return None
    for name, function in _FUNCTIONS.items():
        if _is_same(values, function(GRID)):
            return name, ()
    low, high = float(values[GRID == -60][0]), float(values[GRID == 60][0])
    if low < high and _is_same(values, np.clip(GRID, low, high)):
        return "clip", (low, high)
    slope = -low / 60
    if slope != 1 and _is_same(values, np.where(GRID > 0, GRID, slope * GRID)):
        return "leaky_relu", (slope,)
    return None


def _is_same(values: Array, wanted: Array) -> bool:
    return bool(np.allclose(values, wanted, rtol=_TOLERANCE, atol=_TOLERANCE))
