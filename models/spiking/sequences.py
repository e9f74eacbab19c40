"""Input that changes from step to step, in the place of images that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..arrays import Array
from .inputs import Injection
from .network import SpikingNetwork


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
    n, n_steps = images.shape[:2]
    every = network.readout.every
    found = []
    for stimulus in network.stimuli:
        n_units = network.population(stimulus.target).n_units
        values = np.zeros((n, network.n_phases, n_units))
        by_step = stimulus.values(images.reshape(n * n_steps, *images.shape[2:]))
        values[:, : every * n_steps] = np.repeat(by_step.reshape(n, n_steps, -1), every, axis=1)
        found.append(Injection(target=stimulus.target, variable=stimulus.variable, values=values))
    bare = replace(network, stimuli=())
    return bare, np.zeros((n, 0)), (*found, *injections)
