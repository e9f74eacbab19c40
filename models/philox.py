"""Random numbers that are counted, not drawn in turn: Philox 4x32 with 10 rounds, in NumPy.

A number is a function of a seed and of what it is for: image, neuron, step and stream. So it is the
same whatever else runs, in which order, on which target and in how many processes. Everything is
whole numbers until the end, and what comes out lies on a dyadic grid, so that sums with it are
exact and the same bit for bit everywhere. The C++ text of the same functions stands in
:mod:`models.conversion.draws`.

Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3. SC '11.
doi:10.1145/2063384.2063405
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # added to the key after each round
NORMAL_STEP = 2.0**-13  # grid of normal numbers
LARGEST_NORMAL = 6.5  # no normal number is as large
FINE_BITS = 11  # by which the table of quantiles is finer than the grid
KNOTS = 128  # of the table, in each octave of the probability
MASK = np.uint64(0xFFFFFFFF)

Words = NDArray[np.uint64]


def key_of(seed: int) -> int:
    """What the generator gets of a seed: a whole number of 31 bits."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)


def philox(counter: tuple[ArrayLike, ...], key: tuple[ArrayLike, ...]) -> tuple[Words, ...]:
    """Four words of 32 random bits.

    Parameters
    ----------
    counter : tuple of four array_like of int
        What is numbered; their lowest 32 bits count.
    key : tuple of two array_like of int
        The stream.

    Returns
    -------
    tuple of four ndarray of uint64
        Each below 2**32.
    """
    c0, c1, c2, c3 = (_word(part) for part in counter)
    k0, k1 = (_word(part) for part in key)
    low, high = (np.uint64(m) for m in MULTIPLIERS)
    for _ in range(ROUNDS):
        p0, p1 = low * c0, high * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ k0,
            p1 & MASK,
            (p0 >> np.uint64(32)) ^ c3 ^ k1,
            p0 & MASK,
        )
        k0, k1 = (k0 + np.uint64(WEYL[0])) & MASK, (k1 + np.uint64(WEYL[1])) & MASK
    return c0, c1, c2, c3


def _word(part: ArrayLike) -> Words:
    return np.asarray(part).astype(np.int64).astype(np.uint64) & MASK


def uniform(
    key: ArrayLike, image: ArrayLike, neuron: ArrayLike, step: ArrayLike, stream: ArrayLike
) -> NDArray[np.float64]:
    """Numbers that are uniform on the multiples of 2**-32 from 0 to below 1.

    Parameters
    ----------
    key : array_like of int
        From `key_of`.
    image, neuron, step, stream : array_like of int
        What the number is for; broadcast together.

    Returns
    -------
    ndarray of float
        1 where the step is negative, of neurons that have no image: nothing is drawn there, since
        most neurons of some networks wait most of the time.
    """
    return _where_drawn(_uniform, 1.0, key, image, neuron, step, stream)


def normal(
    key: ArrayLike, image: ArrayLike, neuron: ArrayLike, step: ArrayLike, stream: ArrayLike
) -> NDArray[np.float64]:
    """Numbers from the standard normal distribution, on the multiples of `NORMAL_STEP`.

    Parameters
    ----------
    key, image, neuron, step, stream : array_like of int
        As of `uniform`.

    Returns
    -------
    ndarray of float
        Quantiles of 32 random bits, interpolated between `KNOTS` knots in each octave of the
        probability (error below 1e-5) and rounded to the grid; 0 where the step is negative.
    """
    return _where_drawn(_normal, 0.0, key, image, neuron, step, stream)


def _where_drawn(
    law: Callable[[Words], NDArray[np.float64]], otherwise: float, *address: ArrayLike
) -> NDArray[np.float64]:
    """Numbers of a law where the step, the fourth of the address, is not negative."""
    broadcast = np.broadcast_arrays(*address)
    is_drawn = broadcast[3] >= 0
    found = np.full(is_drawn.shape, otherwise)
    key, *counter = (part[is_drawn] for part in broadcast)
    found[is_drawn] = law(np.asarray(philox(tuple(counter), (key, 0))[0]))
    return found


def _uniform(words: Words) -> NDArray[np.float64]:
    return np.ldexp(words.astype(np.float64), -32)


def _normal(words: Words) -> NDArray[np.float64]:
    word = words.astype(np.int64)
    rest = word & 0x7FFFFFFF
    # The octave, from the exponent of the number; exact, as 31 bits fit a double.
    shift = np.maximum(np.frexp(rest.astype(np.float64))[1] - 8, 0)
    knot = shift * KNOTS + (rest >> shift)
    fraction = rest & ((1 << shift) - 1)
    fine = QUANTILES[knot] + (
        ((QUANTILES[knot + 1] - QUANTILES[knot]) * fraction) >> shift.astype(np.int64)
    )
    size = (fine + (1 << (FINE_BITS - 1))) >> FINE_BITS
    return np.where(word >> 31, -size, size) * NORMAL_STEP


def _quantiles() -> NDArray[np.int64]:
    """Upper quantiles of the normal distribution at the knots, as multiples of the fine grid."""
    knots = np.arange(25 * KNOTS + 2, dtype=np.int64)
    shift = np.maximum(knots // KNOTS - 1, 0)
    number = (knots - shift * KNOTS) << shift
    z = -ndtri((number + 0.5) / 2.0**32)
    return np.rint(np.maximum(z, 0.0) * 2**FINE_BITS / NORMAL_STEP).astype(np.int64)


QUANTILES = _quantiles()
