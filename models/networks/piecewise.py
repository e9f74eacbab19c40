"""Functions of one variable as sums of ReLUs: straight pieces between points on their graph.

The knots spread the largest error evenly over the pieces, which makes it smallest (de Boor, A
Practical Guide to Splines, 1978, chapter XII); with many pieces, their density becomes proportional
to the root of the curvature, |f''|**(1/2). Nothing is assumed of the curvature here: kinks and
straight parts are found like anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..arrays import Array

GRID = 2**11  # points of a range, evenly; as many again by their distance from 0
NEAREST = 2.0**-20  # of them to 0, in the largest value of the range
BISECTIONS = 50  # of the error
EXACT = 2.0**-14  # an error that is not worth another piece, in the change on the range


class ReluTerm(NamedTuple):
    """weight * relu(scale * x + shift)."""

    scale: float
    shift: float
    weight: float | Array


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """A continuous function of straight pieces; beyond its range the last ones go on.

    Parameters
    ----------
    knots : ndarray, shape (n_pieces + 1,)
        In increasing order; the first and the last are the ends of the range.
    values : ndarray, shape (n_pieces + 1,)
        At the knots.
    error : float
        Largest distance on the range from the function that it stands for.
    """

    knots: Array
    values: Array
    error: float

    def __repr__(self) -> str:
        low, high = self.knots[[0, -1]]
        return f"PiecewiseLinear({self.n_pieces} on [{low:.3g}, {high:.3g}], off {self.error:.2g})"

    @property
    def n_pieces(self) -> int:
        """Number of pieces."""
        return self.knots.size - 1

    @property
    def slopes(self) -> Array:
        """Slope of each piece."""
        return np.asarray(np.diff(self.values) / np.diff(self.knots))

    def __call__(self, x: Array) -> Array:
        """Values at `x`, of any shape."""
        piece = np.searchsorted(self.knots[1:-1], x)
        return np.asarray(self.values[piece] + self.slopes[piece] * (x - self.knots[piece]))

    def terms(self) -> tuple[list[ReluTerm], float]:
        """The function as a constant and one ReLU for each piece, but for changes of slope by 0.

        Right of one knot, the anchor, ReLUs rise to the right and left of it to the left, so that
        no term has to take back what one of the other side brings. The anchor is the knot from
        which the largest sum of all terms of a side, each counted positive, is least.

        Returns
        -------
        list of ReluTerm, float
            At least one term, and the constant.
        """
        n, slopes = self.n_pieces, self.slopes

        def sides(anchor: int) -> tuple[Array, Array]:
            right = np.diff(slopes[anchor:], prepend=0.0)
            left = np.diff(-slopes[:anchor][::-1], prepend=0.0)
            return right, left

        def bound(anchor: int) -> float:
            right, left = sides(anchor)
            of_right = np.abs(right) @ (self.knots[-1] - self.knots[anchor:n])
            of_left = np.abs(left) @ (self.knots[1 : anchor + 1][::-1] - self.knots[0])
            return float(max(of_right, of_left))

        anchor = min(range(n + 1), key=bound)
        right, left = sides(anchor)
        terms = [
            ReluTerm(1.0, -float(knot), float(weight))
            for knot, weight in zip(self.knots[anchor:n], right, strict=True)
        ] + [
            ReluTerm(-1.0, float(knot), float(weight))
            for knot, weight in zip(self.knots[1 : anchor + 1][::-1], left, strict=True)
        ]
        return [term for term in terms if term.weight] or terms[:1], float(self.values[anchor])

    def spans(self) -> list[float]:
        """By term: its largest ReLU on the range."""
        low, high = self.knots[[0, -1]]
        return [max(t.scale * low, t.scale * high) + t.shift for t in self.terms()[0]]


def piecewise_linear(
    function: Callable[[Array], Array], low: float, high: float, most_pieces: int
) -> PiecewiseLinear:
    """The function of at most so many pieces that is nearest to a function in its largest error.

    It agrees with it at its knots, which are points of a fine grid.

    Parameters
    ----------
    function : callable
        Of an array of any shape.
    low, high : float
        The range.
    most_pieces : int
        At least 1; fewer are taken where they do as well.

    Returns
    -------
    PiecewiseLinear

    Raises
    ------
    ValueError
        If there is no range, or the function is not finite there.
    """
    if not low < high:
        raise ValueError(f"a range needs low < high, got {low!r} and {high!r}")
    x = _grid(low, high)
    y = np.asarray(function(x), dtype=np.float64)
    if not np.isfinite(y).all():
        raise ValueError(f"the function is not finite on all of [{low:g}, {high:g}]")
    change = float(np.ptp(y))
    knots = _knots(x, y, EXACT * change, most_pieces)
    if knots is None:
        too_small, enough = EXACT * change, change
        knots = np.array([0, x.size - 1])
        for _ in range(BISECTIONS):
            error = (too_small + enough) / 2
            found = _knots(x, y, error, most_pieces)
            if found is None:
                too_small = error
            else:
                enough, knots = error, found
    distance = np.abs(np.interp(x, x[knots], y[knots]) - y)
    return PiecewiseLinear(x[knots], y[knots], float(distance.max()))


def _grid(low: float, high: float) -> Array:
    """Points of a range, denser where x is small: that is where these functions bend."""
    largest = max(abs(low), abs(high))
    near = np.geomspace(NEAREST * largest, largest, GRID // 2)
    points = np.concatenate((np.linspace(low, high, GRID + 1), near, -near, [0.0]))
    return np.unique(points[(points >= low) & (points <= high)])


def _knots(x: Array, y: Array, error: float, most: int) -> np.ndarray | None:
    """Ends of pieces, each as long as the error lets it be; None if more than `most` are needed.

    A chord from a point stays within the error of all points on the way if its slope is in the
    cone of theirs.
    """
    ends = [0]
    while ends[-1] < x.size - 1:
        if len(ends) > most:
            return None
        start = ends[-1]
        run, rise = x[start + 1 :] - x[start], y[start + 1 :] - y[start]
        least = np.maximum.accumulate((rise - error) / run)
        largest = np.minimum.accumulate((rise + error) / run)
        slope = rise / run
        is_within = (least <= slope) & (slope <= largest)
        ends.append(start + 1 + int(np.flatnonzero(is_within)[-1]))
    return np.array(ends)
