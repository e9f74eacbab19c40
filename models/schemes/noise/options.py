"""How a noise-trained network is run."""

from __future__ import annotations

from dataclasses import dataclass

from ...checks import require_between, require_one_of, require_whole
from ...conversion.membrane import RESETS
from ...spiking.neuron_type import NeuronType
from .neurons import RULES, noisy_neuron

STARTS = ("fixed", "drawn")
MOST_STEPS = 4096


@dataclass(frozen=True, kw_only=True)
class NoiseOptions:
    """How to run a noise-trained network.

    Parameters
    ----------
    n_steps : int
        Steps N.
    rule : str
        What becomes of the noise: ``"residual"``, ``"memoryless"``, ``"both"`` or
        ``"diffusive"``, see :mod:`models.schemes.noise.neurons`.
    mean, sigma : float, optional
        Of the noise, in thresholds, instead of those each layer was trained with.
    start : str
        Of the residual rule: the leaked initial potential is ``"fixed"`` at the mean, or
        ``"drawn"`` from the noise.
    leak : float
        Factor of the potential from step to step, above 0 and at most 1 (no leak).
    reset : str
        ``"soft"`` (by subtraction) or ``"hard"`` (to rest).
    has_floor : bool
        Raise negative potentials to rest after each step.
    dt_ms : float
        Length of a step, which is also the time that a spike takes to the next layer.
    weight_bits : int
        Bits of a synaptic weight, sign included.
    """

    n_steps: int = 8
    rule: str = "residual"
    mean: float | None = None
    sigma: float | None = None
    start: str = "fixed"
    leak: float = 1.0
    reset: str = "soft"
    has_floor: bool = False
    dt_ms: float = 1.0
    weight_bits: int = 16

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_whole("n_steps", self.n_steps, 1, MOST_STEPS)
        require_whole("weight_bits", self.weight_bits, 2, 24)
        require_one_of("rule", self.rule, RULES)
        require_one_of("start", self.start, STARTS)
        require_one_of("reset", self.reset, tuple(RESETS))
        require_between("mean", self.mean, -4, 4)
        require_between("sigma", self.sigma, 0, 4)
        require_between("leak", self.leak, 2.0**-10, 1)
        require_between("dt_ms", self.dt_ms, 1e-3, 1e3)
        if self.start == "drawn" and self.rule != "residual":
            raise ValueError(
                f"start 'drawn' is for the residual rule; with the {self.rule} rule neurons have "
                "noise anyway, so leave it 'fixed'"
            )

    @property
    def neuron(self) -> NeuronType:
        """The type of all neurons but those for pooling."""
        return self._neuron(is_noise_given=False)

    @property
    def neuron_with_given_noise(self) -> NeuronType:
        """The same, with noise ``eps`` that is set from outside instead of drawn."""
        return self._neuron(is_noise_given=True)

    def _neuron(self, is_noise_given: bool) -> NeuronType:
        return noisy_neuron(
            self.rule,
            leak=self.leak,
            reset=self.reset,
            has_floor=self.has_floor,
            is_start_drawn=self.start == "drawn",
            is_noise_given=is_noise_given,
            dt_ms=self.dt_ms,
        )

    @property
    def has_noise(self) -> bool:
        """Whether the neurons draw random numbers."""
        return self.rule != "residual" or self.start == "drawn"
