"""When an image reaches each layer, and the axonal delays that bring spikes there in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..networks.layers import INPUT, Layer
from ..networks.network import Network
from ..spiking.network import READOUT
from .linear_paths import linear_paths

Delays = Callable[[str, str], NDArray[np.int64]]  # source and target to delays in steps


def direct_delays(first: Mapping[str, int]) -> Delays:
    """Delays of networks whose neurons decide at once: spikes arrive when their target is due.

    Parameters
    ----------
    first : mapping of str to int
        Phase in which an image reaches each spiking layer, and the read-out.
    """

    def delays(source: str, target: str) -> NDArray[np.int64]:
        between = first[target] - first[source] - (0 if target == READOUT else 1)
        return np.array([between])

    return delays


def onsets(network: Network, spiking: tuple[type[Layer], ...]) -> dict[str, int]:
    """Phase in which an image reaches each spiking layer: one after the last of its sources."""
    found: dict[str, int] = {INPUT: -1}
    for layer in network.layers:
        if isinstance(layer, spiking):
            found[layer.name] = 1 + last_onset(network, layer.inputs[0], spiking, found)
    return found


def last_onset(
    network: Network, node: str, spiking: tuple[type[Layer], ...], found: Mapping[str, int]
) -> int:
    """Latest onset of the sources of the value of `node`."""
    return max(found[path.source] for path in linear_paths(network, node, spiking))
