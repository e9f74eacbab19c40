"""How a network is converted to AMOS gates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...checks import require_one_of, require_whole


@dataclass(frozen=True, kw_only=True)
class AmosOptions:
    """How to convert.

    Parameters
    ----------
    neurons_per_gate : int
        K of every gate; the input has as many neurons as its pixels have bits.
    range_percentile : float
        Percentile of a ReLU's calibration outputs that its largest code stands for; 100 is the
        maximum, which a few outliers can make several times larger than what the layer uses
        (measured on the shipped Fashion-MNIST network: README, "Range").
    half_step : bool
        Lower the thresholds of ReLU gates by half a quantisation step, which removes the bias of
        the floor (an option of this project; the authors do not do it).
    inhibition : str
        ``"amos"`` for free h_ij, ``"fs"`` for the restricted h_j (few-spike neurons unrolled).
    refit : bool
        Fit the gates of each layer other than ReLU on the range that its calibration drives
        cover, instead of taking the shipped fit of a fixed range; some seconds for each layer.
    input_neurons : int
        Neurons for a signed real input value; unused for pixels.
    weight_bits : int
        Bits of a synaptic weight, sign included: the dyadic grid of a layer's kernels.
    slot_ms : float
        Biological length of a slot in ms.
    """

    neurons_per_gate: int = 8
    range_percentile: float = 99.9
    half_step: bool = False
    inhibition: str = "amos"
    refit: bool = False
    input_neurons: int = 8
    weight_bits: int = 16
    slot_ms: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_whole("neurons_per_gate", self.neurons_per_gate, 1, 16)
        require_whole("input_neurons", self.input_neurons, 1, 16)
        require_whole("weight_bits", self.weight_bits, 2, 24)
        if not 0 < self.range_percentile <= 100:
            raise ValueError(
                f"range_percentile must be above 0 and at most 100, got {self.range_percentile!r}"
            )
        require_one_of("inhibition", self.inhibition, ("amos", "fs"))
        if not 0 < self.slot_ms < np.inf:
            raise ValueError(f"slot_ms must be above 0 and finite, got {self.slot_ms!r}")
