"""The gates of a network's activations, as the calibration images want them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...arrays import Array
from ...conversion.calibration import Magnitude, Outside, Percentile, Reading, read
from ...networks.layers import Activation
from ...networks.network import Network
from .circuits import Circuits
from .gate_fits import FitReport, fit, fitted_gate, shipped_functions
from .gates import Gate, alpha_for, relu_gate
from .options import MOST_INPUT_NEURONS, AmosOptions

REFIT_EVALUATIONS = 10_000  # a few seconds for a layer
USED_SHARE = 0.25  # of an input's range; below, two of its neurons are idle and images lose detail
LEAST_WIDTH = 2.0**-10  # of the range of a fit, in the largest drive

# Output of a silent gate where it is not 0: the left asymptote.
RESTING: dict[str, Callable[[Activation], float]] = {
    "tanh": lambda layer: -1.0,
    "elu": lambda layer: -layer.parameters[0],
}


@dataclass(frozen=True, eq=False)
class CalibratedGates:
    """Gates, by layer, and how they suit the calibration images.

    Parameters
    ----------
    gates : dict of str to Gate
        But for ReLUs that share the gate of another layer.
    out_of_range : dict of str to float
        Fraction of calibration drives outside the range of the gate.
    fits : dict of str to FitReport
        Of gates that were fitted to the drives: how well they follow their function.
    undriven : tuple of str
        ReLUs of circuits that no image drives above 0, but for a share beyond the percentile;
        their range is one step of a gate as wide as their drives.
    """

    gates: dict[str, Gate]
    out_of_range: dict[str, float]
    fits: dict[str, FitReport]
    undriven: tuple[str, ...]


def calibrated_gates(circuits: Circuits, images: Array, options: AmosOptions) -> CalibratedGates:
    """Choose a gate for each activation.

    Parameters
    ----------
    circuits : Circuits
        The network; its own drives give the ranges.
    images : ndarray, shape (n, height, width, channels)
        Calibration images.
    options : AmosOptions
        Size and kind of the gates, and the percentile that their ranges are read at.

    Returns
    -------
    CalibratedGates

    Raises
    ------
    ValueError
        If no image drives a trained ReLU above 0, or there is no gate for a layer.
    """
    n_neurons, percent = options.neurons_per_gate, options.range_percentile
    network = circuits.network
    layers = [layer for layer in circuits.activations if layer.name not in circuits.codes]
    n_values = {x.name: len(images) * math.prod(network.shapes[x.name]) for x in layers}
    readings: dict[str, list[Reading]] = {}
    tops: dict[str, Percentile] = {}
    magnitudes: dict[str, Magnitude] = {}
    ends: dict[str, tuple[Percentile, Percentile]] = {}
    outside: dict[str, Outside] = {}
    gates: dict[str, Gate] = {}
    for layer in layers:
        name, n = layer.name, n_values[layer.name]
        of_drives = readings.setdefault(layer.inputs[0], [])
        if layer.function == "relu":
            tops[name] = Percentile(n, percent)
            readings.setdefault(name, []).append(tops[name])  # outputs above 0 are drives above 0
            if circuits.is_inner(name):
                magnitudes[name] = Magnitude()
                of_drives.append(magnitudes[name])
        elif options.refit or layer.function not in shipped_functions():
            ends[name] = (Percentile(n, 100 - percent), Percentile(n, percent))
            of_drives += ends[name]
        else:
            gates[name] = fitted_gate(layer.function, n_neurons, kind=options.inhibition)
            outside[name] = Outside(*gates[name].domain)
            of_drives.append(outside[name])
    read(network, images, readings)
    fits: dict[str, FitReport] = {}
    undriven: list[str] = []
    of_fitted: dict[str, list[Reading]] = {}
    for layer in layers:
        name = layer.name
        if name in tops:
            largest = tops[name].value
            if largest <= 0 and name in magnitudes:
                undriven.append(name)
                largest = (magnitudes[name].value or 1.0) / 2**n_neurons
            gates[name] = _relu_gate(name, largest, options)
        elif name in ends:
            low, high = (end.value for end in ends[name])
            gates[name], fits[name] = _own_fit(layer, low, high, options)
            outside[name] = Outside(*gates[name].domain)
            of_fitted.setdefault(layer.inputs[0], []).append(outside[name])
    read(network, images, of_fitted)
    n_outside = {name: top.n_above for name, top in tops.items()}
    n_outside |= {name: one.count for name, one in outside.items()}
    out_of_range = {name: n_outside[name] / n for name, n in n_values.items()}
    return CalibratedGates(gates, out_of_range, fits, tuple(undriven))


def _relu_gate(name: str, largest: float, options: AmosOptions) -> Gate:
    """Gate of a ReLU whose largest code stands for `largest`."""
    if largest <= 0:
        raise ValueError(
            f"layer {name!r}: no calibration image drives it above 0, so its range is "
            "unknown; calibrate with more images or a higher percentile"
        )
    k = options.neurons_per_gate
    return relu_gate(k, alpha_for(largest, k), half_step=options.half_step)


def _own_fit(
    layer: Activation, low: float, high: float, options: AmosOptions
) -> tuple[Gate, FitReport]:
    """Gate fitted to a function on the range of a layer's drives."""
    least = LEAST_WIDTH * (max(abs(low), abs(high)) or 1.0)
    if high - low < least:  # drives that hardly change; a gate needs a range
        low, high = (low + high - least) / 2, (low + high + least) / 2
    resting = RESTING.get(layer.function)
    gate, report = fit(
        layer.apply if layer.parameters else layer.function,
        options.neurons_per_gate,
        (low, high),
        kind=options.inhibition,
        offset=0.0 if resting is None else resting(layer),
        n_evaluations=REFIT_EVALUATIONS,
    )
    return replace(gate, function=layer.function), report


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
