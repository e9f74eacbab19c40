"""AMOS conversion: every gate of a trained network becomes a circuit of at-most-once neurons.

Stöckl and Maass (2019), arXiv 2001.01682. A gate is a chain of K threshold neurons that all see
the same drive x (weighted sum of the previous layer); neuron i also sees the spikes of the
earlier neurons of its own gate::

    u_i = x - sum_{j<i} h_ij s_j - T_i          s_i = 1 if u_i > 0 (ReLU: u_i >= 0)
    y   = sum_i d_i s_i                         an estimate of the activation f(x)

The form of these equations is recalled, not read in the paper; unit sizes and depth counting
agree with the authors' published logs. Timing is derived: neuron i (from 1) of layer l decides
in slot o_l + i - 1 after the image's onset, o_1 = 0 and o_{l+1} = o_l + K_l. A slot is one
simulation step.

Units: one unit of the trained network is 2**-10 V = 0.977 mV (see :mod:`models.spiking.network`).
Own extensions, marked ``DIFFERS`` below: pixels and signed input are coded as spikes (the authors
feed analogue values to the first convolution), a gate may have a resting output, and a new image
may enter in every slot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Array
from ...conversion.linear_paths import bias_map, linear_paths, path_sources
from ...conversion.scheme import Conversion, required
from ...dyadic import power_of_two_at_least, round_to
from ...networks.layers import INPUT, Activation
from ...networks.network import Network
from ...spiking.inputs import Stimulus
from ...spiking.network import READOUT, Population, Readout, SpikingNetwork
from ...spiking.projections import WeightedProjection, round_kernels
from .gate_fits import fit, fitted_gate
from .gates import Gate, alpha_for, pixel_gate, relu_gate, signed_gate
from .neurons import AMOS_NEURON
from .options import AmosOptions

OUTPUT_BITS = 10  # output weights d_i of fitted gates are rounded to max|d| / 2^10
RESTING = {"tanh": -1.0}  # output of a silent gate where it is not 0: the left asymptote
REFIT_EVALUATIONS = 10_000  # a few seconds for a layer
GATE_BITS = 8  # thresholds and inhibition are rounded to an output unit / 2^8, or finer


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class AmosConversion(Conversion):
    """A converted network and the gates that it is made of.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    options : AmosOptions
        As asked for.
    gates : dict of str to Gate
        By population: the gate as it runs, on the dyadic grid.
    out_of_range : dict of str to float
        By population: fraction of calibration drives outside the range of the gate.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    """

    options: AmosOptions
    gates: dict[str, Gate]
    out_of_range: dict[str, float]
    weight_error: float


def convert(
    network: Network, options: AmosOptions | None = None, calibration: Array | None = None
) -> AmosConversion:
    """Convert a trained network.

    Parameters
    ----------
    network : Network
        ReLU, SiLU, sigmoid, tanh or GELU activations; average pooling only.
    options : AmosOptions, optional
        Defaults as stated there.
    calibration : ndarray, shape (n, height, width, channels)
        Training images from which the range of each layer is read.

    Returns
    -------
    AmosConversion

    Raises
    ------
    ValueError
        If a layer cannot be converted; the message names it. If there are no training images.
    """
    options = AmosOptions.given(options)
    network = network.fold_batch_norm()
    layers = [layer for layer in network.layers if isinstance(layer, Activation)]
    path_sources(network, network.layers[-1].name)  # refuses, by name, what has no gate
    if not layers:
        raise ValueError(
            f"network {network.name!r} has no activation, so there is nothing to make gates of"
        )
    values = network.activations(required(calibration))
    coding = network.input
    # DIFFERS: the input is coded as spikes too, with the standardisation in the first kernel.
    if coding.signed:
        exact = signed_gate(options.input_neurons, coding.maximum)
        input_gate, step = _gate_on_grid(exact, np.inf)
        step *= 2.0**-GATE_BITS  # real input lies on no grid: equality within this counts
    else:
        input_gate, step = pixel_gate(int(np.ceil(np.log2(coding.maximum + 1)))), 1.0
    gates = {INPUT: input_gate}
    onsets = {INPUT: 0}
    resting: dict[str, Array | float] = {
        INPUT: gates[INPUT].offset * coding.gain + coding.offset,
    }
    weight_error = 0.0
    populations = [_population(INPUT, coding.shape, input_gate, 0, np.zeros(coding.shape), step)]
    projections: list[WeightedProjection] = []
    out_of_range: dict[str, float] = {}

    for layer in layers:
        drives = values[layer.inputs[0]]
        gate, out_of_range[layer.name] = _gate(layer, drives, options)
        paths = linear_paths(network, layer.inputs[0])
        onset = max(onsets[path.source] + gates[path.source].n_neurons for path in paths)
        incoming = _projections(paths, layer.name, onset, onsets, gates, coding.gain)
        incoming, step, error = round_kernels(incoming, options.weight_bits)
        projections += incoming
        weight_error = max(weight_error, error)
        gate, step = _gate_on_grid(gate, step)
        bias = round_to(bias_map(network, layer.inputs[0], resting), step)
        populations.append(
            _population(layer.name, network.shapes[layer.name], gate, onset, bias, step)
        )
        gates[layer.name], onsets[layer.name] = gate, onset
        resting[layer.name] = gate.offset

    output = network.layers[-1].name
    paths = linear_paths(network, output)
    first = min(onsets[path.source] for path in paths)
    last = max(onsets[path.source] + gates[path.source].n_neurons for path in paths)
    incoming = _projections(paths, READOUT, None, onsets, gates, coding.gain)
    incoming, step, error = round_kernels(incoming, options.weight_bits)
    projections += incoming
    bias = round_to(bias_map(network, output, resting), step).reshape(-1)
    spiking = SpikingNetwork(
        scheme="amos",
        name=network.name,
        neurons=(AMOS_NEURON,),
        populations=tuple(populations),
        projections=tuple(projections),
        stimuli=(Stimulus(target=INPUT, variable="drive"),),
        readout=Readout(n_steps=last - first, offset=bias, onset=first, n_rows=last - first),
        image_shape=coding.shape,
        coding=coding,
        dt_ms=options.slot_ms,
    )
    return AmosConversion(
        spiking=spiking,
        options=options,
        gates=gates,
        out_of_range=out_of_range,
        weight_error=max(weight_error, error),
    )


def output_unit(gate: Gate) -> float:
    """Size of the output weights' unit: they are whole multiples of it once on the grid.

    The unit itself goes into the next layer's kernel, so that a binary code costs as many bits
    as it has neurons whatever its scale.
    """
    if gate.function in ("relu", INPUT):
        return float(gate.outputs[-1])
    return float(np.abs(gate.outputs).max() / 2**OUTPUT_BITS)


def _gate(layer: Activation, drives: Array, options: AmosOptions) -> tuple[Gate, float]:
    """Gate of one activation layer and the fraction of drives that it cannot represent."""
    n_neurons = options.neurons_per_gate
    if layer.function == "relu":
        largest = float(np.percentile(np.maximum(drives, 0.0), options.range_percentile))
        if largest <= 0:
            raise ValueError(
                f"layer {layer.name!r}: no calibration image drives it above 0, so its range is "
                "unknown; calibrate with more images or a higher percentile"
            )
        gate = relu_gate(n_neurons, alpha_for(largest, n_neurons), half_step=options.half_step)
        return gate, float(np.mean(drives > largest))
    if options.refit:
        low, high = np.percentile(
            drives, [100 - options.range_percentile, options.range_percentile]
        )
        gate, _ = fit(
            layer.function,
            n_neurons,
            (float(low), float(high)),
            kind=options.inhibition,
            offset=RESTING.get(layer.function, 0.0),
            n_evaluations=REFIT_EVALUATIONS,
        )
    else:
        gate = fitted_gate(layer.function, n_neurons, kind=options.inhibition)
    low, high = gate.domain
    return gate, float(np.mean((drives < low) | (drives > high)))


def _projections(
    paths: list[WeightedProjection],
    target: str,
    onset: int | None,
    onsets: dict[str, int],
    gates: dict[str, Gate],
    input_gain: Array,
) -> list[WeightedProjection]:
    """Projections with exact real weights, the source's output unit inside the kernel."""
    projections: list[WeightedProjection] = []
    for path in paths:
        gate = gates[path.source]
        unit = output_unit(gate)
        path = path.scaled(input_gain) if path.source == INPUT else path
        positions = np.arange(gate.n_neurons)
        # All spikes of an image reach a gate's dendrite in the step before its first decision;
        # the read-out takes each spike in the slot of its own.
        delays = (
            np.zeros(gate.n_neurons, dtype=np.int64)
            if onset is None
            else onset - 1 - onsets[path.source] - positions
        )
        gains = np.round(gate.outputs / unit)
        weights = path.with_weights(path.weights * unit)
        projections.append(replace(weights, target=target, gains=gains, delays=delays))
    return projections


def _gate_on_grid(gate: Gate, step: float) -> tuple[Gate, float]:
    """Gate with thresholds and inhibition on a grid at least as fine as `step`, and that grid."""
    unit = output_unit(gate)
    step = min(step, power_of_two_at_least(unit) / 2**GATE_BITS)
    if gate.function in ("relu", INPUT):
        # Thresholds must be whole steps of the code: enlarge the unit, never lose range.
        scale = step * np.ceil(unit / step) / unit
        unit *= scale
        return replace(
            gate,
            thresholds=round_to(gate.thresholds * scale, step),
            outputs=round_to(gate.outputs * scale, unit),
            inhibition=round_to(gate.inhibition * scale, step),
            domain=(gate.domain[0] * scale, gate.domain[1] * scale),
            offset=gate.offset * scale,
        ), step
    return replace(
        gate,
        thresholds=round_to(gate.thresholds, step),
        outputs=round_to(gate.outputs, unit),
        inhibition=round_to(gate.inhibition, step),
    ), step


def _population(
    name: str, shape: tuple[int, int, int], gate: Gate, onset: int, bias: Array, step: float
) -> Population:
    """Neurons of one layer; the bias lowers the thresholds.

    A decision at equality counts as a spike for inclusive gates: all drives lie on the grid, so
    half a step below the threshold says the same with Brian2's strict comparison.
    """
    margin = 0.5 * step if gate.inclusive else 0.0
    thresholds = gate.thresholds[:, None, None, None] - bias[None] - margin
    return Population(
        name=name,
        neurons=AMOS_NEURON.name,
        shape=shape,
        n_positions=gate.n_neurons,
        onset=onset,
        parameters={"theta": np.broadcast_to(thresholds, (gate.n_neurons, *shape)).copy()},
        inhibition=gate.inhibition,
    )
