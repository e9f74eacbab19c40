"""Between steps and times, both ways without losing one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Array, Integers

OFF_GRID = 1e-3  # of a step; rounding errors of times are far below


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Times that are whole multiples of a step.

    Parameters
    ----------
    dt : float
        Length of a step, above 0 and finite.
    unit : str
        Of `dt` and of all times, for messages.
    resolution : float
        Of the times: those that were rounded miss the grid by up to half of it.

    Raises
    ------
    ValueError
        If `dt` is no length, or below `resolution`.
    """

    dt: float
    unit: str = "ms"
    resolution: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a step without a length."""
        if not 0 < self.dt < np.inf:
            raise ValueError(f"a step has a length above 0 {self.unit}, got {self.dt!r}")
        if self.dt < self.resolution:
            raise ValueError(
                f"steps of {self.dt:g} {self.unit} cannot be told apart by times that are rounded "
                f"to {self.resolution:g} {self.unit}"
            )

    def times(self, steps: NDArray[np.integer] | Array) -> Array:
        """Times of steps, each rounded once."""
        return np.multiply(steps, self.dt, dtype=np.float64)

    def steps(self, what: str, times: ArrayLike, kept: ArrayLike | None = None) -> Integers:
        """Steps of times: the nearest ones, not those below, which rounding errors make wrong.

        Parameters
        ----------
        what : str
            What the times are of, for messages.
        times : array_like, shape (n,)
            In `unit`.
        kept : array_like of int, shape (n,), optional
            The steps, where they stand beside the times.

        Returns
        -------
        ndarray of int, shape (n,)

        Raises
        ------
        ValueError
            If a time is negative, or off the grid, or not that of the step beside it.
        """
        times = np.asarray(times, dtype=np.float64)
        parts = times / self.dt
        within = OFF_GRID + self.resolution / 2 / self.dt
        is_time = np.isfinite(parts) & (parts > -within)
        if not is_time.all():
            wrong = times[~is_time][0]
            raise ValueError(f"{what}: a spike at {wrong:g} {self.unit}; times begin at 0")
        steps = np.rint(parts)
        is_off = np.abs(parts - steps) > within
        if is_off.any():
            raise ValueError(
                f"{what}: a spike at {times[is_off][0]:.9g} {self.unit} is on no whole step of "
                f"{self.dt:g} {self.unit}"
            )
        if kept is not None and not np.array_equal(np.asarray(kept), steps):
            raise ValueError(
                f"{what}: its steps are not those of its times; if the times were shifted, shift "
                "them back or take the steps away"
            )
        return steps.astype(np.int64)
