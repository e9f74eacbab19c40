"""What enters a spiking network: images as currents, and injected values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..arrays import Array
from .projections import WeightedProjection

IMAGES_AT_ONCE = 16  # whose input currents are computed together; more leave the cache


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Stimulus:
    """What an image sets at one population for as long as it is shown.

    Parameters
    ----------
    target : str
        Population; position 0 of its units.
    variable : str
        Variable of its neurons.
    projections : tuple of Projection and SparseProjection
        From the image's pixels; without any, each unit gets its own pixel.
    bias : ndarray, shape (height, width, channels)
        Added to the weighted sum, in network units.
    step : float
        The sum is rounded to whole multiples of it, in network units; 0 for no rounding.
    """

    target: str
    variable: str
    projections: tuple[WeightedProjection, ...] = ()
    bias: Array = field(default_factory=lambda: np.zeros((1, 1, 1)))
    step: float = 0.0

    def __repr__(self) -> str:
        source = "pixels through weights" if self.projections else "pixels"
        return f"Stimulus({source} -> {self.target}.{self.variable})"

    def values(self, images: Array) -> Array:
        """Value for each unit, shape (n_images, n_units), in network units."""
        if not self.projections:
            return images.reshape(len(images), -1)
        found = np.empty((len(images), self.bias.size))
        done = 0
        for block in self.blocks(images):
            found[done : done + len(block)] = block
            done += len(block)
        return found

    def blocks(self, images: Array) -> Iterator[Array]:
        """The same, some images at a time, for those that need not keep all of them."""
        flat = images.reshape(len(images), -1)
        for start in range(0, len(images), IMAGES_AT_ONCE):
            part = flat[start : start + IMAGES_AT_ONCE]
            yield self._sums(part) if self.projections else part

    def _sums(self, pixels: Array) -> Array:
        """Weighted sums of the pixels, bias included, on the grid."""
        first, *others = self.projections
        total = first.forward(pixels)
        total += self.bias.reshape(-1)
        for projection in others:
            total += projection.forward(pixels)
        if self.step:
            total /= self.step
            np.round(total, out=total)
            total *= self.step
        return total


class Values(Protocol):
    """Values of an injection that are made for some images at a time."""

    shape: tuple[int, int, int]

    def __getitem__(self, which: slice) -> Array:
        """Those of some images."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Injection:
    """Values of a variable for each image, phase and unit, set at the start of the phase.

    An input current that changes in time, say, or noise that is known beforehand.

    Parameters
    ----------
    target : str
        Population; position 0 of its units.
    variable : str
        Variable of its neurons, in volts.
    values : ndarray or Values, shape (n_images, n_phases, n_units)
        In network units; phases count from the one in which the image reaches the population.
    """

    target: str
    variable: str
    values: Array | Values

    def __repr__(self) -> str:
        shape = " x ".join(map(str, np.shape(self.values)))
        return f"Injection({shape} values -> {self.target}.{self.variable})"
