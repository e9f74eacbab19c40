"""Functions of one variable as straight pieces, and straight pieces as sums of ReLUs.

The knots spread the largest error of chords evenly over the pieces, which makes it smallest (de
Boor, A Practical Guide to Splines, 1978, chapter XII); with many pieces, their density becomes
proportional to the root of the curvature, |f''|**(1/2). Nothing is assumed of the curvature here:
kinks and straight parts are found like anything else. The chords are then moved so that the errors
on both sides of each are equal: half as large where the function bends one way, and without the
mean that many units would add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array

GRID = 2**12  # points of a range, evenly; as many again by their distance from 0, on each side
NEAREST = 2.0**-20  # of them to 0, in the largest value of the range
BISECTIONS = 50  # of the error
ROUNDS = 32  # of moving the chords
EXACT = 2.0**-14  # an error that is not worth another piece, in the change on the range


class ReluTerm(NamedTuple):
    """weight * relu(scale * x + shift)."""

    scale: float
    shift: float
    weight: float


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

    def spans(self) -> Array:
        """Largest ReLU on the range, shape (n_terms,)."""
        low, high = self.knots[[0, -1]]
        return np.array([max(t.scale * low, t.scale * high) + t.shift for t in self.terms()[0]])


def piecewise_linear(
    function: Callable[[Array], Array], low: float, high: float, most_pieces: int
) -> PiecewiseLinear:
    """Straight pieces that follow a function with a small largest error, seen on a fine grid.

    Chords have the smallest that there is; moved, they come within some 20 % of it. x**2 on [-a, a]
    has a**2 / n**2 by n chords and half of it by pieces that were moved.

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
    values, error = _moved(x, y, knots)
    return PiecewiseLinear(x[knots], values, error)


def _grid(low: float, high: float) -> Array:
    """Points of a range, denser where x is small: that is where these functions bend."""
    largest = max(abs(low), abs(high))
    near = np.geomspace(NEAREST * largest, largest, GRID)
    points = np.concatenate((np.linspace(low, high, GRID + 1), near, -near, [0.0]))
    apart = NEAREST**2 * largest  # an end beside 0, say: slopes would overflow
    inside = points[(points > low + apart) & (points < high - apart)]
    return np.unique(np.concatenate(([low], inside, [high])))


def _knots(x: Array, y: Array, error: float, most: int) -> NDArray[np.int64] | None:
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


def _moved(x: Array, y: Array, knots: NDArray[np.int64]) -> tuple[Array, float]:
    """Values at the knots, near those of the function, and the largest error with them.

    Each round takes off the middle between the largest and the smallest error of a piece, at a knot
    the mean of both pieces.
    """
    found = values = y[knots]
    least = np.inf
    for _ in range(ROUNDS):
        error = np.interp(x, x[knots], values) - y
        largest = float(np.abs(error).max())
        if largest < least:
            found, least = values, largest
        pieces = [error[start : end + 1] for start, end in pairwise(knots)]
        middles = np.array([(piece.max() + piece.min()) / 2 for piece in pieces])
        around = np.concatenate((middles[:1], middles, middles[-1:]))
        values = values - (around[:-1] + around[1:]) / 2
    return found, least
