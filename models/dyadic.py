"""Dyadic grids: numbers whose sums are exact in any order.

A floating-point sum is exact whenever all terms are whole multiples of one power of two and the
largest partial sum fits the mantissa. Then spike trains do not depend on the order of addition:
not on the code-generation target, the batch size or the number of processes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MANTISSA_BITS = 53  # of double precision
SINGLE_BITS = 24  # of single precision


def grid_step(values: ArrayLike) -> float:
    """Largest power of two of which every value is a whole multiple.

    Parameters
    ----------
    values : array_like of float

    Returns
    -------
    float
        ``inf`` when all values are zero.
    """
    values = np.abs(np.asarray(values, dtype=np.float64)).ravel()
    values = values[values > 0]
    if not values.size:
        return float("inf")
    mantissa, exponent = np.frexp(values)
    digits = np.ldexp(mantissa, 53).astype(np.int64)
    lowest = digits & -digits
    return float(np.min(np.ldexp(lowest.astype(np.float64), exponent - 53)))


def round_to(values: ArrayLike, step: float) -> NDArray[np.float64]:
    """Nearest multiples of `step`, ties to even."""
    return np.round(np.asarray(values, dtype=np.float64) / step) * step


def power_of_two_at_least(value: float) -> float:
    """Smallest power of two that is not below a positive `value`."""
    return float(2.0 ** np.ceil(np.log2(value)))


def exact_bits(largest: float, step: float) -> int:
    """Mantissa bits that hold every multiple of `step` up to `largest`."""
    if largest == 0 or np.isinf(step):
        return 0
    return int(np.floor(np.log2(largest / step))) + 1


def require_exact(bits: int) -> None:
    """Raise a ValueError if double precision, in which all potentials are kept, is too narrow."""
    if bits > MANTISSA_BITS:
        raise ValueError(
            f"the sums of this network need {bits} bits to be exact; double precision has "
            f"{MANTISSA_BITS}. Convert with fewer weight bits, or fewer neurons for each unit"
        )


def narrowest(values: NDArray[np.float64]) -> NDArray[np.floating]:
    """The same values in single precision if that holds all of them exactly, else unchanged."""
    single = values.astype(np.float32)
    return single if np.array_equal(single.astype(np.float64), values) else values
