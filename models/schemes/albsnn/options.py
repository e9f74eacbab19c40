"""How a locally binary network is run."""

from __future__ import annotations

from dataclasses import dataclass

from ...checks import require_between, require_one_of, require_whole
from ...conversion.membrane import RESETS

MOST_STEPS = 4096
# Of a layer in training, as weight files have them; see models/schemes/albsnn/training.py.
ESTIMATES = ("weight_error", "output_error", "loss_rise", "first_order")


@dataclass(frozen=True, kw_only=True)
class AlbsnnOptions:
    """How to run a locally binary network.

    Parameters
    ----------
    n_steps : int
        Steps T.
    leak : float
        Factor of the potential from step to step, above 0 and at most 1 (no leak).
    reset : str
        ``"hard"`` (to rest) or ``"soft"`` (by subtraction).
    dt_ms : float
        Length of a step, which is also the time that a spike takes to the next layer.
    weight_bits : int
        Bits of a real weight, sign included.
    """

    n_steps: int = 1
    leak: float = 0.5
    reset: str = "hard"
    dt_ms: float = 1.0
    weight_bits: int = 16

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_whole("n_steps", self.n_steps, 1, MOST_STEPS)
        require_whole("weight_bits", self.weight_bits, 2, 24)
        require_one_of("reset", self.reset, tuple(RESETS))
        require_between("leak", self.leak, 2.0**-10, 1)
        require_between("dt_ms", self.dt_ms, 1e-3, 1e3)
