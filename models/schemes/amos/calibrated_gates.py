"""The gates of a network's activations, as the calibration images want them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from ...arrays import Array
from ...conversion.calibration import Outside, Percentile, Reading, read
from ...networks.layers import Activation
from ...networks.network import Network
from .gate_fits import fit, fitted_gate
from .gates import Gate, alpha_for, relu_gate
from .options import MOST_INPUT_NEURONS, AmosOptions

RESTING = {"tanh": -1.0}  # output of a silent gate where it is not 0: the left asymptote
REFIT_EVALUATIONS = 10_000  # a few seconds for a layer
USED_SHARE = 0.25  # of an input's range; below, two of its neurons are idle and images lose detail


def calibrated_gates(
    network: Network, layers: Sequence[Activation], images: Array, options: AmosOptions
) -> tuple[dict[str, Gate], dict[str, float]]:
    """Choose a gate for each activation.

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    layers : sequence of Activation
        Its activations.
    images : ndarray, shape (n, height, width, channels)
        Calibration images.
    options : AmosOptions
        Size and kind of the gates, and the percentile that their ranges are read at.

    Returns
    -------
    gates : dict of str to Gate
        By layer.
    out_of_range : dict of str to float
        By layer: fraction of calibration drives outside the range of the gate.

    Raises
    ------
    ValueError
        If no image drives a ReLU above 0, or there is no gate for a layer.
    """
    n_neurons, percent = options.neurons_per_gate, options.range_percentile
    n_values = {x.name: len(images) * math.prod(network.shapes[x.name]) for x in layers}
    readings: dict[str, list[Reading]] = {}
    tops: dict[str, Percentile] = {}
    ends: dict[str, tuple[Percentile, Percentile]] = {}
    outside: dict[str, Outside] = {}
    gates: dict[str, Gate] = {}
    for layer in layers:
        name, n = layer.name, n_values[layer.name]
        of_drives = readings.setdefault(layer.inputs[0], [])
        if layer.function == "relu":
            tops[name] = Percentile(n, percent)
            readings.setdefault(name, []).append(tops[name])  # outputs above 0 are drives above 0
        elif options.refit:
            ends[name] = (Percentile(n, 100 - percent), Percentile(n, percent))
            of_drives += ends[name]
        else:
            gates[name] = fitted_gate(layer.function, n_neurons, kind=options.inhibition)
            outside[name] = Outside(*gates[name].domain)
            of_drives.append(outside[name])
    read(network, images, readings)
    of_fitted: dict[str, list[Reading]] = {}
    for layer in layers:
        name = layer.name
        if name in tops:
            gates[name] = _relu_gate(name, tops[name].value, options)
        elif name in ends:
            low, high = (end.value for end in ends[name])
            gates[name], _ = fit(
                layer.function,
                n_neurons,
                (low, high),
                kind=options.inhibition,
                offset=RESTING.get(layer.function, 0.0),
                n_evaluations=REFIT_EVALUATIONS,
            )
            outside[name] = Outside(*gates[name].domain)
            of_fitted.setdefault(layer.inputs[0], []).append(outside[name])
    read(network, images, of_fitted)
    n_outside = {name: top.n_above for name, top in tops.items()}
    n_outside |= {name: one.count for name, one in outside.items()}
    return gates, {name: n_outside[name] / n for name, n in n_values.items()}


def _relu_gate(name: str, largest: float, options: AmosOptions) -> Gate:
    """Gate of a ReLU whose largest code stands for `largest`."""
    if largest <= 0:
        raise ValueError(
            f"layer {name!r}: no calibration image drives it above 0, so its range is "
            "unknown; calibrate with more images or a higher percentile"
        )
    k = options.neurons_per_gate
    return relu_gate(k, alpha_for(largest, k), half_step=options.half_step)


def warn_of_unused_range(network: Network, images: Array, options: AmosOptions) -> None:
    """Warn if real input is declared far wider than it is, which leaves few levels to code it.

    Measured on the digits as real numbers with 8 input neurons: all stays right down to 1/16 of the
    range; at 1/64, 5 % of the images change their class, at 1/128, 70 %.
    """
    declared, n_neurons = network.input.maximum, options.input_neurons
    reached = max(float(images.max()), -float(images.min()))
    share = reached / declared
    if share >= USED_SHARE:
        return
    advice = ""
    if reached > 0:
        advice = f"; declare InputCoding.maximum={reached:.3g}"
        enough = n_neurons + math.floor(math.log2(1 / share))
        if enough <= MOST_INPUT_NEURONS:
            advice += f" or set input_neurons={enough}"
    warnings.warn(
        f"network {network.name!r}: calibration images reach {reached:.3g}, {100 * share:.2g} % of "
        f"the declared range of {declared:g}, so that they use {share * 2**n_neurons:.3g} of the "
        f"{2**n_neurons} levels of {n_neurons} input neurons{advice}",
        UserWarning,
        stacklevel=4,
    )
