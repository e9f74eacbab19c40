"""What a neuron does in an algorithmic step, in words that no scheme owns.

In each step, with the threshold as the unit of the potential::

    H = leak V + X        s = clip(floor(H), 0, limit)        V = H - s (soft) or 0 where s > 0

X is what spikes and the image bring. Before the first step, leak V is `start`. Whoever writes a
converted network for another program reads this, and needs to know no scheme.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StepNeuron:
    """The neurons of one population.

    Parameters
    ----------
    leak : float
        Factor of the potential from step to step, at most 1; 0 carries nothing.
    reset : str
        ``"soft"`` takes the threshold off, ``"hard"`` sets the potential to rest.
    limit : int
        Most spikes in a step; of a hard reset 1.
    start : float
        What the first step finds, in thresholds.
    is_floored : bool
        Whether potentials below rest are raised to it after each step.
    draws : str
        What is drawn at random in each step or image; empty for nothing.
    """

    leak: float = 1.0
    reset: str = "soft"
    limit: int = 1
    start: float = 0.0
    is_floored: bool = False
    draws: str = ""
