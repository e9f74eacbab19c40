"""What all parts of a simulation share, and what enters the copies of a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..arrays import Array, Integers
from ..spiking.inputs import Injection, Stimulus
from ..spiking.network import SpikingNetwork
from .layout import Layout
from .objects import Objects


class Part(NamedTuple):
    """Images of one program start."""

    start: int  # number of the first of them in the data set
    images: Array
    place: int  # of the first of them among the images of the run


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Job:
    """What all parts of a simulation share.

    Parameters
    ----------
    network : SpikingNetwork
        What runs.
    layout : Layout
        Where it lies in the arrays, for the copies of a run.
    period : int
        Phases between the onsets of successive images.
    depth : int
        Images one after another in each copy.
    record : tuple of int
        Layers whose spike trains are kept.
    traced : mapping of str to ndarray of int
        By type of neurons: those whose membrane is recorded.
    injected : tuple of Injection
        What enters beside the images.
    seed : int
        Of the neurons' own random numbers.
    change : callable, optional
        Alters the objects before they run.
    """

    network: SpikingNetwork
    layout: Layout
    period: int
    depth: int
    record: tuple[int, ...]
    traced: Mapping[str, Integers]
    injected: tuple[Injection, ...]
    seed: int
    change: Callable[[Objects], None] | None

    @property
    def period_steps(self) -> int:
        """Steps between the onsets of successive images."""
        return self.period * self.network.phase_steps

    @property
    def n_steps(self) -> int:
        """Steps until the last image has left the network."""
        network = self.network
        last = max(p.onset + p.n_positions - 1 + network.n_phases for p in network.populations)
        phases = (self.depth - 1) * self.period + max(last, network.latency_phases)
        return phases * network.phase_steps + 1

    @property
    def keeps_ends(self) -> bool:
        """Whether the potentials at the end of each image are still there when the next comes."""
        return bool(self.record) and self.period >= self.network.latency_phases

    def recorded_neurons(self, kind: str) -> Integers:
        """Neurons of the recorded layers in the group of one type, shape (n_neurons,)."""
        found = [np.zeros(0, dtype=np.int64)]
        for index in self.record:
            if self.network.populations[index].neurons == kind:
                block = self.layout.block(index)
                found.append(np.arange(block.start, block.stop))
        return np.concatenate(found)

    def part_seed(self, start: int) -> int:
        """Seed of the part of the images that starts at `start`; every part draws other numbers."""
        return int(np.random.SeedSequence([self.seed, start]).generate_state(1)[0] >> 1)

    def images_of_copies(self, n_images: int) -> Integers:
        """Images that each copy gets, one after the other, shape (n_copies,)."""
        n_copies = self.layout.n_copies
        return (n_images - np.arange(n_copies) + n_copies - 1) // n_copies

    def stimulus_values(self, stimulus: Stimulus, images: Array) -> Array:
        """What images set in network units, shape (depth, copies * units)."""
        n_units = self.network.population(stimulus.target).n_units
        values = np.zeros((self.depth * self.layout.n_copies, n_units))
        if len(images):
            values[: len(images)] = stimulus.values(images)
        return values.reshape(self.depth, -1)

    def injected_values(self, injection: Injection, place: int, n_images: int) -> Array:
        """What is injected for some images, network units, shape (depth * period, copies * units).

        Parameters
        ----------
        injection : Injection
            For all images.
        place, n_images : int
            Of the first of those that are presented among all, and how many.
        """
        n_copies = self.layout.n_copies
        given = injection.values[place : place + n_images]
        values = np.zeros((self.depth * n_copies, self.period, injection.values.shape[2]))
        values[:n_images, : self.network.n_phases] = given
        by_turn = values.reshape(self.depth, n_copies, self.period, -1).swapaxes(1, 2)
        return by_turn.reshape(self.depth * self.period, -1)
