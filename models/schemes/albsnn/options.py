"""How a locally binary network is run."""

from __future__ import annotations

from dataclasses import dataclass

from ...conversion.options import (
    Options,
    documented,
    leak_option,
    reset_option,
    step_length_option,
    trained_steps_option,
    weight_bits_option,
)

# Of a layer in training, as weight files have them; see models/schemes/albsnn/training.py.
ESTIMATES = ("weight_error", "output_error", "loss_rise", "first_order")


@documented
@dataclass(frozen=True, kw_only=True)
class AlbsnnOptions(Options):
    """How to run a locally binary network."""

    n_steps: int | None = trained_steps_option(1)
    leak: float | None = leak_option(0.5)
    reset: str | None = reset_option("hard")
    dt_ms: float = step_length_option()
    weight_bits: int = weight_bits_option()
