"""How a network is converted to burst neurons."""

from __future__ import annotations

from dataclasses import dataclass

from ...checks import require_one_of, require_whole

NORMALISATIONS = ("maximum", "percentile", "percentile/gamma", "compatibility")
POOLINGS = ("lipool", "gated", "or")
TIMINGS = ("double-buffer", "alternating")
MOST_STEPS = 4096  # algorithmic steps of a conversion
MOST_INTERVALS = 1000  # of a pause or a delay


@dataclass(frozen=True, kw_only=True)
class BurstOptions:
    """How to convert.

    Parameters
    ----------
    n_steps : int
        Algorithmic steps T.
    gamma : int
        Most spikes of a neuron in a step.
    own_limits : bool
        Lower the limit of each layer to what its neurons need on the calibration images, so that
        at most a thousandth of its spikes waits for a later step.
    normalisation : str
        What lambda is: ``"maximum"`` of the layer's calibration outputs; their ``"percentile"``;
        ``"percentile/gamma"``, so that a full burst stands for it; or ``"compatibility"``, the
        rule of the authors' later framework (BrainCog): every output is cut at Gamma before it
        goes on, and lambda is the percentile of what is left.
    percentile : float
        Above 0, at most 100; not used by ``"maximum"``.
    channel_wise : bool
        A lambda for each channel instead of one for the layer.
    initial : float
        Potential at the onset of an image, as a fraction of the threshold: 0 (the authors) or
        0.5 (rounds to nearest instead of down), or anything between.
    pooling : str
        Max pooling by ``"lipool"`` (exact), ``"gated"`` (spikes of the unit that leads so far)
        or ``"or"`` (most spikes in this step).
    timing : str
        ``"double-buffer"`` or ``"alternating"``, see :mod:`models.schemes.burst.neurons`.
    intra_burst_ms : float
        Interval between the spikes of a burst; also the time step of the simulation.
    guard_ms : float
        Pause after the longest burst, a whole number of intervals.
    delay_ms : float
        Axonal delay, a whole number of intervals, at most the pause.
    weight_bits : int
        Bits of a synaptic weight, sign included: the dyadic grid of a layer's kernels.
    """

    n_steps: int = 32
    gamma: int = 5
    own_limits: bool = False
    normalisation: str = "percentile/gamma"
    percentile: float = 99.99
    channel_wise: bool = False
    initial: float = 0.5
    pooling: str = "lipool"
    timing: str = "double-buffer"
    intra_burst_ms: float = 2.0
    guard_ms: float = 4.0
    delay_ms: float = 2.0
    weight_bits: int = 16

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_whole("n_steps", self.n_steps, 1, MOST_STEPS)
        require_whole("gamma", self.gamma, 1, 64)
        require_whole("weight_bits", self.weight_bits, 2, 24)
        require_one_of("normalisation", self.normalisation, NORMALISATIONS)
        require_one_of("pooling", self.pooling, POOLINGS)
        require_one_of("timing", self.timing, TIMINGS)
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must be above 0 and at most 100, got {self.percentile!r}")
        if not 0 <= self.initial < 1:
            raise ValueError(f"initial must be at least 0 and below 1, got {self.initial!r}")
        if not 1e-3 <= self.intra_burst_ms <= 1e3:
            raise ValueError(
                f"intra_burst_ms must be from 0.001 to 1000, got {self.intra_burst_ms!r}"
            )
        for name in ("guard_ms", "delay_ms"):
            n = getattr(self, name) / self.intra_burst_ms
            if not (0 <= n <= MOST_INTERVALS and abs(n - round(n)) < 1e-6):
                raise ValueError(
                    f"{name} must be a whole number of intervals of {self.intra_burst_ms} ms, at "
                    f"most {MOST_INTERVALS}, got {getattr(self, name)!r}"
                )
        if self.delay_ms > self.guard_ms:
            raise ValueError(
                f"delay_ms {self.delay_ms} is longer than guard_ms {self.guard_ms}: the last spike "
                "of a burst would come too late"
            )
