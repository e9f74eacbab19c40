"""How a network from a NIR file is run."""

from __future__ import annotations

from dataclasses import dataclass

from ...conversion.options import Options, documented, option, steps_option, weight_bits_option
from .dialects import DIALECTS, RESETS


@documented
@dataclass(frozen=True, kw_only=True)
class NirOptions(Options):
    """How to run a network from a NIR file."""

    n_steps: int = steps_option(100)
    written_by: str | None = option(
        None,
        "Program that wrote the file, which tells what the file leaves open; definition is the "
        "format's own. Unless given, as told when the file was read, else definition.",
        choices=tuple(DIALECTS),
    )
    dt_ms: float | None = option(
        None,
        "Length of a step in ms. Unless given, as told when the file was read, else that of the "
        "program; the definition has none.",
        least=1e-3,
        most=1e3,
    )
    reset: str | None = option(
        None,
        "What becomes of the potential after a spike, where the file does not tell; unless given, "
        "what is usual in the program.",
        choices=RESETS,
    )
    v_reset: float | None = option(
        None, "Potential after a spike, of norse, whose files hold 0 whatever it was."
    )
    is_floored: bool = option(
        False, "Potentials stop at minus the threshold (sinabs).", flag="floored"
    )
    is_single_spike: bool = option(
        False, "Neurons spike once in a step at most (sinabs, rockpool).", flag="single-spike"
    )
    norm_input: str | None = option(
        None,
        "Whether the input is multiplied by 1 - decay (sinabs); unless given, that of LIF is and "
        "that of LI is not.",
        choices=("yes", "no"),
    )
    limit: int = option(
        16,
        "Most spikes of a neuron in a step, of programs where it may have several; a run in which "
        "a neuron has more ends with an error.",
        least=1,
        most=1024,
    )
    weight_bits: int = weight_bits_option(26, most=32)
