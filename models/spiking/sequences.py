"""Input that changes from step to step, in the place of images that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..arrays import Array
from .inputs import Injection, Stimulus
from .network import SpikingNetwork


class Frames:
    """Values of a stimulus in each phase, computed for the inputs that are asked for.

    Parameters
    ----------
    stimulus : Stimulus
        What a frame sets.
    frames : ndarray, shape (n, n_steps, height, width, channels)
        Input of each algorithmic step.
    every, n_phases : int
        Phases of a step, and of an input.
    n_units : int
        Of the population.
    """

    def __init__(
        self, stimulus: Stimulus, frames: Array, every: int, n_phases: int, n_units: int
    ) -> None:
        self._stimulus, self._frames, self._every = stimulus, frames, every
        self.shape = (len(frames), n_phases, n_units)

    def __getitem__(self, which: slice) -> Array:
        """Values of some inputs, shape (n, n_phases, n_units)."""
        frames = self._frames[which]
        n, n_steps = frames.shape[:2]
        values = np.zeros((n, *self.shape[1:]))
        if n:
            by_step = self._stimulus.values(frames.reshape(n * n_steps, *frames.shape[2:]))
            by_step = by_step.reshape(n, n_steps, -1)
            values[:, : self._every * n_steps] = np.repeat(by_step, self._every, axis=1)
        return values


def in_steps(
    network: SpikingNetwork, images: Array, injections: Sequence[Injection]
) -> tuple[SpikingNetwork, Array, tuple[Injection, ...]]:
    """Input that changes from step to step, as injections in the place of the stimuli.

    Parameters
    ----------
    network : SpikingNetwork
        Sees images.
    images : ndarray, shape (n, n_steps, height, width, channels)
        What it sees in each algorithmic step.
    injections : sequence of Injection
        What enters beside them.

    Returns
    -------
    SpikingNetwork
        Without stimuli.
    ndarray, shape (n, 0)
        Stands for the images.
    tuple of Injection
        All of them.
    """
    every, n_phases = network.readout.every, network.n_phases
    found = [
        Injection(
            target=stimulus.target,
            variable=stimulus.variable,
            values=Frames(
                stimulus, images, every, n_phases, network.population(stimulus.target).n_units
            ),
        )
        for stimulus in network.stimuli
    ]
    bare = replace(network, stimuli=())
    return bare, np.zeros((len(images), 0)), (*found, *injections)
