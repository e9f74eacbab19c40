"""Delays of connections, and what to say to another simulator for the same latency.

Simulators disagree on when a spike counts as sent and when as received:

============  ==========================================================  =====================
simulator     a spike that is fired in step n, with a delay of k steps    same latency as here
============  ==========================================================  =====================
Brian2, ours  is added after the thresholds of step n + k are tested; a   d
              target fires in step n + k + 1 at the earliest
NEST          is added before the threshold of step n + k is tested; a    d + dt, never below dt
              target fires in step n + k at the earliest
============  ==========================================================  =====================

So a network whose delays are copied number by number is one step faster for each layer in NEST.

Source: Brian2's order of operations in a step (groups, thresholds, synapses, resets), and runs of
Brian2 2.9.0 and NEST 3.10.0 side by side.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..network import SpikingNetwork


def delay_table(network: SpikingNetwork) -> pd.DataFrame:
    """Delays of all connections between layers, as Brian2 and as NEST has to be told.

    Parameters
    ----------
    network : SpikingNetwork
        Of a conversion, ``conversion.spiking``. Delays that a ``change`` sets are not in it.

    Returns
    -------
    DataFrame
        One row for each connection and position of a neuron in its unit, and where the axons of
        units differ, for each unit: connection, source, target, position, unit (-1 for all), steps,
        brian2_ms, and nest_ms, which is also the time from a spike of the
        source to the first that it can cause.
    """
    parts = []
    for projection in network.projections:
        steps = projection.delays.reshape(len(projection.delays), -1)
        position, unit = np.indices(steps.shape)
        own = {
            "connection": projection.name,
            "source": projection.source,
            "target": projection.target,
            "position": position.ravel(),
            "unit": unit.ravel() if projection.delays.ndim > 1 else -1,
            "steps": steps.ravel(),
        }
        parts.append(pd.DataFrame(own))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(
        brian2_ms=table["steps"] * network.dt_ms, nest_ms=(table["steps"] + 1) * network.dt_ms
    )
