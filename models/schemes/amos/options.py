"""How a network is converted to AMOS gates."""

from __future__ import annotations

from dataclasses import dataclass

from ...conversion.options import Options, documented, option, weight_bits_option

MOST_INPUT_NEURONS = 16


@documented
@dataclass(frozen=True, kw_only=True)
class AmosOptions(Options):
    """How to convert a network to AMOS gates."""

    neurons_per_gate: int = option(
        8,
        "K, neurons of every gate; the input has as many as its pixels have bits.",
        least=1,
        most=16,
    )
    # 100 is the maximum, which a few outliers can make several times larger than what the layer
    # uses (measured on the shipped Fashion-MNIST network).
    range_percentile: float = option(
        99.9,
        "Percentile of a ReLU's calibration outputs that its largest code stands for.",
        above=0,
        most=100,
    )
    half_step: bool = option(
        False,
        "Lower the thresholds of ReLU gates by half a quantisation step, so that codes round to "
        "the nearest instead of down (not in the paper).",
    )
    inhibition: str = option(
        "amos",
        "Fitted gates with free inhibition h_ij (amos), or with the restricted h_j of few-spike "
        "neurons (fs).",
        choices=("amos", "fs"),
    )
    refit: bool = option(
        False,
        "Fit the gates of each layer other than ReLU on the range that its calibration drives "
        "cover, instead of taking the shipped fit of a fixed range; some seconds for each layer.",
    )
    input_neurons: int = option(
        8,
        "Neurons for a signed real input value; unused for pixels.",
        least=1,
        most=MOST_INPUT_NEURONS,
    )
    weight_bits: int = weight_bits_option()
    slot_ms: float = option(1.0, "Biological length of a slot in ms.", above=0)
