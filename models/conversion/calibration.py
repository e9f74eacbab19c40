"""What a conversion reads from calibration images, batch by batch in bounded memory.

A reading takes the outputs of one layer as they come and says after the last image whether it knows
enough; while one does not, the images are presented again. Order statistics are exact: they are
elements of the sorted values, not estimates. Those near the largest value, as high percentiles are,
take one pass, which keeps the largest values so far; before others, passes that only count narrow
down the range that holds them (radix selection).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..arrays import Array, Integers
from ..networks.layers import Layer
from ..networks.network import Network

BATCH = 32  # images computed at once; fixed, so that rounding does not depend on a caller's choice
KEPT = 2**18  # most values that the order statistics of one layer keep
LEAST_KEPT = 2**12  # of one order statistic, however many the layer has
DIGIT = 12  # bits by which a pass narrows an order statistic down

Alter = Callable[[Layer, Array], Array]


class Reading(ABC):
    """Something that is read from the outputs of a layer."""

    @abstractmethod
    def add(self, values: Array) -> None:
        """Take in one batch.

        Parameters
        ----------
        values : ndarray, shape (n, H, W, C)
            Outputs of the layer; left as they are, and not kept.
        """

    @abstractmethod
    def end_pass(self) -> bool:
        """Whether all is known after all images; if not, they are presented once more."""


def read(
    network: Network,
    images: Array,
    readings: Mapping[str, Sequence[Reading]],
    alter: Alter | None = None,
) -> None:
    """Present images until every reading knows what it wants.

    Parameters
    ----------
    network : Network
        Gives the values.
    images : ndarray, shape (n, height, width, channels)
        Calibration images, at least one.
    readings : mapping of str to sequence of Reading
        By the name of the layer whose outputs they take.
    alter : callable, optional
        As in :meth:`Network.outputs`.

    Raises
    ------
    ValueError
        If the images are not what the network takes, or drive a layer that is read to a value that
        is not finite; the message names it.
    """
    images = network.check_images(images)
    pending = {name: list(of_layer) for name, of_layer in readings.items() if of_layer}
    while pending:
        last = [name for name in network.shapes if name in pending][-1]
        for start in range(0, len(images), BATCH):
            for name, values in network.outputs(images[start : start + BATCH], alter):
                if name in pending:
                    _require_finite(network, name, values)
                for reading in pending.get(name, ()):
                    reading.add(values)
                if name == last:
                    break
        left = {name: [r for r in rs if not r.end_pass()] for name, rs in pending.items()}
        pending = {name: unknown for name, unknown in left.items() if unknown}


def _require_finite(network: Network, name: str, values: Array) -> None:
    if not np.isfinite(values).all():
        raise ValueError(
            f"network {network.name!r}: a calibration image gives values in {name!r} that are not "
            "finite; the weights are damaged or too large"
        )


class OrderStatistics(Reading):
    """Elements of the sorted outputs of a layer.

    Parameters
    ----------
    n_values : int
        Outputs over all images.
    ranks : sequence of int
        Which elements, from 0, the smallest.
    """

    def __init__(self, n_values: int, ranks: Sequence[int]) -> None:
        kept = max(KEPT // len(ranks), LEAST_KEPT)
        self._searches = [_Largest(n_values - rank, kept) for rank in ranks]

    def add(self, values: Array) -> None:
        """See `Reading.add`."""
        for search in self._searches:
            search.add(values.reshape(-1))

    def end_pass(self) -> bool:
        """See `Reading.end_pass`."""
        return all([search.end_pass() for search in self._searches])

    @property
    def values(self) -> list[float]:
        """The elements, in the order of the ranks."""
        return [search.value for search in self._searches]


class ChannelOrderStatistic(Reading):
    """The element of one rank of the sorted outputs of each channel.

    Parameters
    ----------
    n_values : int
        Outputs of a channel over all images.
    n_channels : int
        Channels of the layer.
    rank : int
        Which element, from 0, the smallest.
    """

    def __init__(self, n_values: int, n_channels: int, rank: int) -> None:
        kept = max(KEPT // n_channels, LEAST_KEPT)
        self._searches = [_Largest(n_values - rank, kept) for _ in range(n_channels)]

    def add(self, values: Array) -> None:
        """See `Reading.add`."""
        columns = np.ascontiguousarray(values.reshape(-1, values.shape[3]).T)
        for search, column in zip(self._searches, columns, strict=True):
            search.add(column)

    def end_pass(self) -> bool:
        """See `Reading.end_pass`."""
        return all([search.end_pass() for search in self._searches])

    @property
    def values(self) -> Array:
        """One element for each channel."""
        return np.array([search.value for search in self._searches])


class Percentile(OrderStatistics):
    """A percentile of the outputs of a layer, bit for bit that of ``np.percentile``.

    Parameters
    ----------
    n_values : int
        Outputs over all images.
    percent : float
        From 0 to 100.
    """

    def __init__(self, n_values: int, percent: float) -> None:
        place = (n_values - 1) * (percent / 100)
        lower = min(int(place), n_values - 1)
        self._weight = place - lower
        self._n_above_lower = n_values - 1 - lower
        super().__init__(n_values, (lower, min(lower + 1, n_values - 1)))

    @property
    def value(self) -> float:
        """The percentile: between two elements, a straight line."""
        lower, upper = self.values
        if self._weight >= 0.5:
            return upper - (upper - lower) * (1 - self._weight)
        return lower + (upper - lower) * self._weight

    @property
    def n_above(self) -> int:
        """Number of outputs larger than the percentile."""
        if self.value < self.values[1]:
            return self._n_above_lower
        return self._searches[1].n_above


class Range(Reading):
    """The range of the outputs of a layer, without an equal share of them at either end.

    Its ends are outputs. Near the largest and the smallest one, they take one pass.

    Parameters
    ----------
    n_values : int
        Outputs over all images.
    percent : float
        Of outputs that are not above the upper end, at least; 100 is the largest output.
    """

    def __init__(self, n_values: int, percent: float) -> None:
        rank = max(math.ceil(n_values * percent / 100), 1) - 1
        self._high, self._low = (OrderStatistics(n_values, (rank,)) for _ in range(2))

    def add(self, values: Array) -> None:
        """See `Reading.add`."""
        self._high.add(values)
        self._low.add(-values)

    def end_pass(self) -> bool:
        """See `Reading.end_pass`."""
        return all([self._high.end_pass(), self._low.end_pass()])

    @property
    def ends(self) -> tuple[float, float]:
        """The lower and the upper end; below 50 percent, the lower may be the larger one."""
        return -self._low.values[0], self._high.values[0]


class Outside(Reading):
    """Number of outputs outside of a range.

    Parameters
    ----------
    low, high : float
        The range; its ends are inside.
    """

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self.count = 0

    def add(self, values: Array) -> None:
        """See `Reading.add`."""
        self.count += int(np.count_nonzero((values < self._low) | (values > self._high)))

    def end_pass(self) -> bool:
        """See `Reading.end_pass`."""
        return True


class Magnitude(Reading):
    """The largest absolute value of the outputs of a layer."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, values: Array) -> None:
        """See `Reading.add`."""
        self.value = max(self.value, float(np.abs(values).max()))

    def end_pass(self) -> bool:
        """See `Reading.end_pass`."""
        return True


class _Largest:
    """Search for the k-th largest of finite values that come in batches.

    Parameters
    ----------
    k : int
        From 1, the largest.
    most_kept : int
        If `k` is more, passes that only count come first.
    """

    def __init__(self, k: int, most_kept: int) -> None:
        self._k, self._most_kept = k, most_kept  # k among the values from `low` to below `end`
        self._key, self._shift = -(2**63), 64  # key of `low`, and its bits that are not known yet
        self._low, self._end = -np.inf, np.inf
        self.value = np.nan
        self.is_known = False
        self.n_above = 0  # values above the range; once the value is known, above the value
        self._begin()

    def _begin(self) -> None:
        """Prepare a pass."""
        self._is_counting = self._k > self._most_kept
        self._counts = np.zeros(2**DIGIT if self._is_counting else 0, dtype=np.int64)
        self._kept = np.empty(0)
        self._floor = math.nextafter(self._low, -math.inf)  # what is not above it is of no interest

    def add(self, values: Array) -> None:
        """Take in one batch, shape (n,)."""
        if self.is_known:
            return
        found = values[values > self._floor]
        if self._end < np.inf:
            found = found[found < self._end]
        if self._is_counting:
            shift = max(self._shift - DIGIT, 0)
            digits = (_keys(found) >> shift) - (self._key >> shift)
            self._counts += np.bincount(digits, minlength=len(self._counts))
        elif found.size:
            kept = np.concatenate((self._kept, found))
            if kept.size > self._k:
                kept = np.partition(kept, kept.size - self._k)[-self._k :].copy()
                self._floor = kept[0]
            self._kept = kept

    def end_pass(self) -> bool:
        """Whether the value is known; otherwise all values have to be added again."""
        if self.is_known:
            return True
        if not self._is_counting:
            self.value = float(self._kept.min())
            self.n_above += int(np.count_nonzero(self._kept > self.value))
            self.is_known, self._kept = True, np.empty(0)
            return True
        from_top = np.cumsum(self._counts[::-1])
        place = int(np.searchsorted(from_top, self._k))
        above = int(from_top[place - 1]) if place else 0
        self._k -= above
        self.n_above += above
        digit = len(self._counts) - 1 - place
        self._shift = max(self._shift - DIGIT, 0)
        self._key += digit << self._shift
        self._low = _number(self._key)
        self._end = _number(self._key + (1 << self._shift))
        self._begin()
        if self._shift == 0:  # all bits are known: the range is one value
            self.value, self.is_known = self._low, True
        return self.is_known


def _keys(values: Array) -> Integers:
    """Integers in the order of the values; both zeros are one."""
    return _flipped((values + 0.0).view(np.int64))


def _number(key: int) -> float:
    """The value of a key."""
    return float(_flipped(np.array([key])).view(np.float64)[0])


def _flipped(bits: Integers) -> Integers:
    """Bits of floating-point numbers to keys and back: of negative ones, all but the sign turn."""
    flipped: Integers = bits ^ ((bits >> 63) & np.int64(2**63 - 1))
    return flipped
