"""How a network is converted to burst neurons."""

from __future__ import annotations

from dataclasses import dataclass

from ...conversion.membrane import RELEASES
from ...conversion.options import Options, documented, option, steps_option, weight_bits_option
from ...conversion.pooling import RULES

MOST_INTERVALS = 1000  # of a pause or a delay


@documented
@dataclass(frozen=True, kw_only=True)
class BurstOptions(Options):
    """How to convert a network to burst neurons."""

    n_steps: int = steps_option(32)
    gamma: int = option(5, "Most spikes of a neuron in a step.", least=1, most=64)
    own_limits: bool = option(
        False,
        "Lower the limit of each layer to what its neurons need on the calibration images, so that "
        "at most a thousandth of its spikes waits for a later step.",
    )
    normalisation: str = option(
        "percentile/gamma",
        "Lambda, what one spike a step stands for: the maximum of the layer's calibration outputs; "
        "their percentile; percentile/gamma, so that a full burst stands for it; or compatibility, "
        "the rule of the authors' later framework (BrainCog), in which every output is cut at "
        "Gamma before it goes on and lambda is the percentile of what is left.",
        choices=("maximum", "percentile", "percentile/gamma", "compatibility"),
    )
    percentile: float = option(
        99.99, "Of the calibration outputs; not used by the maximum.", above=0, most=100
    )
    channel_wise: bool = option(False, "A lambda for each channel instead of one for the layer.")
    pieces: int = option(
        8,
        "Most straight pieces, each a ReLU, for a function that is no sum of ReLUs (sigmoid, tanh, "
        "SiLU, GELU, the squares of a product, ...) on the range of its calibration drives.",
        least=1,
        most=256,
    )
    initial: float = option(
        0.5,
        "Potential at the onset of an image, in thresholds: 0 as the authors have it, 0.5 rounds "
        "to the nearest instead of down.",
        least=0,
        below=1,
    )
    bias_correction: bool = option(
        False,
        "Take off, in the biases after each channel, what its neurons answer too much in n_steps, "
        "the mean over the first 128 calibration images: for few steps, after the last of which "
        "the scores are read.",
    )
    pooling: str = option(
        "lipool",
        "Max pooling by lipool, lateral inhibition (exact); gated, spikes of the unit that leads "
        "so far; or, most spikes in this step.",
        choices=RULES,
    )
    timing: str = option(
        "double-buffer",
        "How the steps of the layers are kept apart: a dendritic store hands over what a phase "
        "brought (double-buffer), or layers take turns (alternating).",
        choices=tuple(RELEASES),
    )
    intra_burst_ms: float = option(
        2.0,
        "Interval between the spikes of a burst in ms; also the time step of the simulation.",
        least=1e-3,
        most=1e3,
    )
    guard_ms: float = option(
        4.0, "Pause after the longest burst in ms, a whole number of intervals.", least=0
    )
    delay_ms: float = option(
        2.0, "Axonal delay in ms, a whole number of intervals, at most the pause.", least=0
    )
    weight_bits: int = weight_bits_option()

    def __post_init__(self) -> None:
        """Refuse values out of range, and pauses and delays that are no whole intervals."""
        super().__post_init__()
        for name in ("guard_ms", "delay_ms"):
            n = getattr(self, name) / self.intra_burst_ms
            if not (n <= MOST_INTERVALS and abs(n - round(n)) < 1e-6):
                raise ValueError(
                    f"{name} must be a whole number of intervals of {self.intra_burst_ms} ms, at "
                    f"most {MOST_INTERVALS}, got {getattr(self, name)!r}"
                )
        if self.delay_ms > self.guard_ms:
            raise ValueError(
                f"delay_ms {self.delay_ms} is longer than guard_ms {self.guard_ms}: the last spike "
                "of a burst would come too late"
            )
