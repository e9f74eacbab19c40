"""What the AMOS study measures beyond what every study does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import gate_codes
from ann2brian.models.networks.layers import ACTIVATIONS, INPUT
from ann2brian.studies.frame.measures import Run

GATES = set(ACTIVATIONS) - {"clip", "hardsigmoid"}  # activations that are one gate each


def columns(run: Run) -> dict[str, Any]:
    """Gate, timing in slots, and how exact the conversion is."""
    conversion, recording = run.case.conversion, run.recording
    gates = {gate.function for name, gate in conversion.gates.items() if name != INPUT}
    return {
        "gate": "+".join(sorted(gates)),
        "latency_slots": recording.latency_steps,
        "images_per_biological_s": 1000.0 / (recording.period * recording.dt_ms),
        "weight_error": conversion.weight_error,
        "out_of_range": max(conversion.out_of_range.values()),
    }


def time_columns(run: Run) -> dict[str, Any]:
    """The slot whose spikes are the last that count."""
    recording = run.recording
    return {"slot": recording.readout_onset + np.arange(recording.scores.shape[1])}


def tables(run: Run) -> dict[str, pd.DataFrame]:
    """Layers, probability of a spike by the position in the gate, and what each layer became."""
    return {
        "layers": _layers(run),
        "positions": gate_codes.firing_by_position(run.recording),
        "sizes": _sizes(run),
    }


def _sizes(run: Run) -> pd.DataFrame:
    """Per layer of the trained network: gates, neurons and sub-layers."""
    return pd.DataFrame(
        {
            "trained_layer": one.name,
            "kind": one.kind,
            "n_gates": one.n_gates,
            "n_neurons": one.size.n_neurons,
            "n_sublayers": one.size.n_sublayers,
        }
        for one in run.case.conversion.sizes
    )


def _layers(run: Run) -> pd.DataFrame:
    """Per layer: counts, latencies, code words, and the error of the decoded activation."""
    trains, conversion = run.trains, run.case.conversion
    assert trains.spikes is not None
    table = gate_codes.per_layer(run.recording)
    for other in (gate_codes.latencies(trains), gate_codes.code_words(trains)):
        table = table.merge(other.drop(columns="n_positions", errors="ignore"), on="layer")
    images = run.case.subject.images[: trains.n_images]
    trained = conversion.network.activations(images)  # of the circuits' gates too
    errors: list[dict[str, Any]] = []
    for index, layer in enumerate(trains.layers):
        if layer.name == INPUT:
            errors.append({"layer": INPUT})
            continue
        gate = conversion.gates[layer.name]
        decoded = gate_codes.decoded(
            trains.spikes, index, layer, trains.n_images, gate.outputs, gate.offset
        )
        error = gate_codes.activation_error(
            decoded, trained[layer.name].reshape(trains.n_images, -1)
        )
        errors.append({"layer": layer.name, **error})
    return table.merge(pd.DataFrame(errors), on="layer")


def printed(row: Any, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """What matters of gates, and what layers cost that became circuits of gates."""
    sizes = tables["sizes"]
    made = sizes[~sizes["kind"].isin([INPUT, *GATES])]
    costs = [
        f"{one.trained_layer} {one.n_sublayers} slots, {one.n_neurons:,} neurons"
        for one in made.itertuples()
    ]
    return {
        **({"circuits": "; ".join(costs)} if costs else {}),
        "spikes per neuron": f"{row.spikes_per_neuron:.3f} of {row.n_neurons} neurons",
        "latency": f"{row.latency_slots} slots",
        "throughput": f"{row.images_per_biological_s:.1f} images per biological second",
    }
