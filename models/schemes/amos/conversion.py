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
from .calibrated_gates import calibrated_gates, warn_of_unused_range
from .circuits import Circuits, circuits
from .gate_fits import FitReport
from .gates import Gate, pixel_gate, signed_gate
from .neurons import AMOS_NEURON
from .options import AmosOptions
from .size import AmosSize, LayerSize

OUTPUT_BITS = 10  # output weights d_i of fitted gates are rounded to max|d| / 2^10
DOMAIN_BITS = 16  # so are those of fitted gates to their range / 2^16, or finer
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
        By population: fraction of calibration drives outside the range of the gate; 0 where that is
        counted at the layer whose gate it shares.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    network : Network
        The trained network as circuits of gates; its activations are the populations.
    sizes : tuple of LayerSize
        By layer of the trained network: what it became, see
        :func:`models.schemes.amos.size.size_report`.
    fits : dict of str to FitReport
        By population whose gate was fitted to its drives: error of the fit on its range.
    undriven : tuple of str
        Populations within circuits that calibration did not drive above 0; they have the smallest
        range.
    """

    options: AmosOptions
    gates: dict[str, Gate]
    out_of_range: dict[str, float]
    weight_error: float
    network: Network
    sizes: tuple[LayerSize, ...]
    fits: dict[str, FitReport]
    undriven: tuple[str, ...]


def convert(
    network: Network, options: AmosOptions | None = None, calibration: Array | None = None
) -> AmosConversion:
    """Convert a trained network.

    Parameters
    ----------
    network : Network
        Any but with quantised or spiking units.
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
    circuit = circuits(network)
    network = circuit.network
    layers = circuit.activations
    _require_gates(network)
    if not layers:
        raise ValueError(
            f"network {network.name!r} has no activation, so there is nothing to make gates of"
        )
    calibration = required(calibration)
    calibrated = calibrated_gates(circuit, calibration, options)
    coding = network.input
    # DIFFERS: the input is coded as spikes too, with the standardisation in the first kernel.
    if coding.signed:
        warn_of_unused_range(network, calibration, options)
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

    for layer in layers:
        paths = linear_paths(network, layer.inputs[0])
        onset = max(onsets[path.source] + gates[path.source].n_neurons for path in paths)
        incoming = _projections(paths, layer.name, onset, onsets, gates, coding.gain)
        incoming, step, error = round_kernels(incoming, options.weight_bits)
        projections += incoming
        weight_error = max(weight_error, error)
        code = circuit.codes.get(layer.name)
        gate = gates[code] if code else calibrated.gates[layer.name]
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
        out_of_range=dict.fromkeys(circuit.codes, 0.0) | calibrated.out_of_range,
        weight_error=max(weight_error, error),
        network=network,
        sizes=_sizes(spiking, circuit),
        fits=calibrated.fits,
        undriven=calibrated.undriven,
    )


def _require_gates(network: Network) -> None:
    """Refuse, by name, layers that are neither gates nor linear."""
    for layer in network.layers:
        path_sources(network, layer.name)


def _sizes(spiking: SpikingNetwork, circuit: Circuits) -> tuple[LayerSize, ...]:
    """Populations by layer of the trained network."""
    of_layer: dict[str, list[Population]] = {}
    kinds = {INPUT: INPUT}
    for population in spiking.populations:
        origin = circuit.origins.get(population.name)
        name = INPUT if origin is None else origin.name
        of_layer.setdefault(name, []).append(population)
        if origin is not None:
            kinds[name] = (
                origin.function if isinstance(origin, Activation) else type(origin).__name__
            )
    return tuple(
        LayerSize(
            name=name,
            kind=kinds[name],
            n_gates=sum(population.n_units for population in own),
            size=AmosSize(
                n_neurons=sum(population.n_neurons for population in own),
                n_sublayers=max(p.onset + p.n_positions for p in own) - min(p.onset for p in own),
            ),
        )
        for name, own in of_layer.items()
    )


def output_unit(gate: Gate) -> float:
    """Size of the output weights' unit: they are whole multiples of it once on the grid.

    The unit itself goes into the next layer's kernel, so that a binary code costs as many bits
    as it has neurons whatever its scale.
    """
    if gate.function in ("relu", INPUT):
        return float(gate.outputs[-1])
    return float(np.abs(gate.outputs).max() / 2**OUTPUT_BITS)


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
    width = gate.domain[1] - gate.domain[0]
    step = min(step, power_of_two_at_least(width) / 2**DOMAIN_BITS)
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
        threshold=float(np.abs(gate.thresholds).max()),
    )
