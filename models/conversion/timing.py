"""When an image reaches each layer, and the axonal delays that bring spikes there in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..networks.layers import INPUT, Layer
from ..networks.network import Network
from ..spiking.network import READOUT
from .linear_paths import path_sources

Delays = Callable[[str, str], NDArray[np.int64]]  # source and target to delays in steps


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When the layers of a network work.

    Parameters
    ----------
    onsets : mapping of str to int
        Phase in which an image reaches each spiking layer, and the read-out.
    delays : callable
        Axonal delays from a source to a target, in steps.
    phase_steps : int
        Simulation steps of a phase.
    every : int
        Phases of an algorithmic step.
    """

    onsets: Mapping[str, int]
    delays: Delays
    phase_steps: int = 1
    every: int = 1


def direct_timing(network: Network, spiking: tuple[type[Layer], ...]) -> Timing:
    """Timing of neurons that decide at once: a phase is one step, and spikes arrive when due."""
    first = onsets(network, spiking)

    def delays(source: str, target: str) -> NDArray[np.int64]:
        between = first[target] - first[source] - (0 if target == READOUT else 1)
        return np.array([between])

    return Timing(onsets=first, delays=delays)


def onsets(network: Network, spiking: tuple[type[Layer], ...]) -> dict[str, int]:
    """Phase in which an image reaches each spiking layer: one after the last of its sources.

    The read-out takes the spikes in the phase of the last of its sources.
    """
    first: dict[str, int] = {INPUT: -1}

    def latest(node: str) -> int:
        return max(first[source] for source in path_sources(network, node, spiking))

    for layer in network.layers:
        if isinstance(layer, spiking):
            first[layer.name] = 1 + latest(layer.inputs[0])
    first[READOUT] = latest(network.layers[-1].name)
    return first
