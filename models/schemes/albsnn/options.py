"""How a locally binary network is run."""

from __future__ import annotations

from dataclasses import dataclass

from ...conversion.membrane import RESETS
from ...conversion.options import (
    Options,
    documented,
    leak_option,
    option,
    step_length_option,
    steps_option,
    weight_bits_option,
)

# Of a layer in training, as weight files have them; see models/schemes/albsnn/training.py.
ESTIMATES = ("weight_error", "output_error", "loss_rise", "first_order")


@documented
@dataclass(frozen=True, kw_only=True)
class AlbsnnOptions(Options):
    """How to run a locally binary network."""

    n_steps: int = steps_option(1)
    leak: float = leak_option(0.5)
    reset: str = option(
        "hard",
        "After a spike: to rest (hard), or by subtraction of the threshold (soft).",
        choices=tuple(RESETS),
    )
    dt_ms: float = step_length_option()
    weight_bits: int = weight_bits_option()
