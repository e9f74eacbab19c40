"""How a noise-trained network is run."""

from __future__ import annotations

from dataclasses import dataclass

from ...conversion.as_trained import without_network
from ...conversion.options import (
    Options,
    documented,
    leak_option,
    option,
    reset_option,
    step_length_option,
    trained_steps_option,
    weight_bits_option,
)
from ...spiking.neuron_type import NeuronType
from .neurons import RULES, noisy_neuron


@documented
@dataclass(frozen=True, kw_only=True)
class NoiseOptions(Options):
    """How to run a noise-trained network."""

    n_steps: int | None = trained_steps_option(8)
    rule: str = option(
        "residual",
        "What becomes of the noise of training: residual, what a step leaves on the membrane takes "
        "its place; memoryless, escape noise and nothing carried; both, escape noise and the "
        "potential carried; diffusive, white noise in the membrane equation.",
        choices=RULES,
    )
    mean: float | None = option(
        None,
        "Of the noise in thresholds, instead of that each layer was trained with.",
        least=-4,
        most=4,
    )
    sigma: float | None = option(
        None,
        "Deviation of the noise in thresholds, instead of that each layer was trained with.",
        least=0,
        most=4,
    )
    start: str = option(
        "fixed",
        "Of the residual rule: the leaked initial potential is fixed at the mean, or drawn from "
        "the noise.",
        choices=("fixed", "drawn"),
    )
    leak: float | None = leak_option(1.0)
    reset: str | None = reset_option("soft")
    has_floor: bool = option(
        False, "Raise negative potentials to rest after each step.", flag="floor"
    )
    dt_ms: float = step_length_option()
    weight_bits: int = weight_bits_option()

    def __post_init__(self) -> None:
        """Refuse values out of range, and a drawn start where neurons have noise anyway."""
        super().__post_init__()
        if self.start == "drawn" and self.rule != "residual":
            raise ValueError(
                f"start 'drawn' is for the residual rule; with the {self.rule} rule neurons have "
                "noise anyway, so leave it 'fixed'"
            )

    @property
    def neuron(self) -> NeuronType:
        """The type of all neurons but those for pooling.

        Leak and reset that are left to the network are those of one that says nothing about them.
        """
        return self._neuron(is_noise_given=False)

    @property
    def neuron_with_given_noise(self) -> NeuronType:
        """The same, with noise ``eps`` that is set from outside instead of drawn."""
        return self._neuron(is_noise_given=True)

    def _neuron(self, is_noise_given: bool) -> NeuronType:
        own = without_network(self)
        assert own.leak is not None and own.reset is not None
        return noisy_neuron(
            self.rule,
            leak=own.leak,
            reset=own.reset,
            has_floor=self.has_floor,
            is_start_drawn=self.start == "drawn",
            is_noise_given=is_noise_given,
            dt_ms=self.dt_ms,
        )

    @property
    def has_noise(self) -> bool:
        """Whether the neurons draw random numbers."""
        return self.rule != "residual" or self.start == "drawn"
