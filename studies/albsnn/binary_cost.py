"""What binary synapses cost in the engine, beside real ones of the same weights, in turns.

The same network runs with kernels of one bit a weight and with the same signs stored as numbers;
spikes and synaptic events are equal, so the times of the simulation loop can be compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.models.engine.layout import kernel_bytes
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.spiking.network import SpikingNetwork
from ann2brian.models.spiking.projections import Projection

KERNELS = ("packed", "numbers")


def with_kernels(network: SpikingNetwork, kernels: str) -> SpikingNetwork:
    """The network with its binary weights stored one bit each, or as numbers.

    Parameters
    ----------
    network : SpikingNetwork
        From :func:`models.schemes.albsnn.conversion.convert`.
    kernels : str
        One of `KERNELS`.
    """
    if kernels == "packed":
        return network
    projections = [
        replace(p, is_binary=False) if isinstance(p, Projection) else p for p in network.projections
    ]
    return replace(network, projections=tuple(projections))


def measure(
    network: SpikingNetwork, images: np.ndarray, *, rounds: int = 5, **run: Any
) -> pd.DataFrame:
    """Time of the loop and memory of the weights of binary projections.

    Parameters
    ----------
    network : SpikingNetwork
        With binary projections.
    images : ndarray, shape (n, height, width, channels)
        Pixels.
    rounds : int
        In each, both kernels run once, one right after the other, every other time the other way
        round.
    **run
        For :func:`models.engine.simulate.simulate`: batch, target, ...

    Returns
    -------
    DataFrame
        One row for each of `KERNELS`: ``kernels``, ``loop_s`` and ``ns_per_event`` (the fastest
        round), ``time_ratio`` (to numbers; median over the rounds, as other load on the machine
        hits both of a round), ``weight_bytes`` of the binary projections.

    Raises
    ------
    ValueError
        If the network has no binary projection.
    RuntimeError
        If the two do not give equal scores and events.
    """
    binary = [p for p in network.projections if isinstance(p, Projection) and p.is_binary]
    if not binary:
        raise ValueError(f"network {network.name!r} has no binary synapses, so none to time")
    times: dict[str, list[float]] = {kernels: [] for kernels in KERNELS}
    outcomes = {}
    for number in range(rounds):
        for kernels in KERNELS[:: -1 if number % 2 else 1]:
            recording = simulate(with_kernels(network, kernels), images, **run)
            times[kernels].append(recording.loop_s)
            outcomes[kernels] = recording
    packed, numbers = (outcomes[kernels] for kernels in KERNELS)
    if packed.synaptic_events != numbers.synaptic_events or not np.array_equal(
        packed.scores, numbers.scores
    ):
        raise RuntimeError("packed signs and numbers gave different scores or events")
    n_events = sum(packed.synaptic_events.values())
    only_binary = replace(network, projections=tuple(binary))
    rows = [
        {
            "kernels": kernels,
            "loop_s": min(times[kernels]),
            "ns_per_event": 1e9 * min(times[kernels]) / n_events,
            "time_ratio": float(np.median(np.divide(times[kernels], times["numbers"]))),
            "weight_bytes": kernel_bytes(with_kernels(only_binary, kernels)),
        }
        for kernels in KERNELS
    ]
    return pd.DataFrame(rows)
