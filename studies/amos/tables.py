"""What the AMOS study measures beyond what every study does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import gate_codes
from ann2brian.models.networks.layers import INPUT
from ann2brian.studies.frame.measures import Run


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
    """Layers, and the probability of a spike by the position in the gate."""
    return {"layers": _layers(run), "positions": gate_codes.firing_by_position(run.recording)}


def _layers(run: Run) -> pd.DataFrame:
    """Per layer: counts, latencies, code words, and the error of the decoded activation."""
    trains, subject = run.trains, run.case.subject
    assert trains.spikes is not None
    table = gate_codes.per_layer(run.recording)
    for other in (gate_codes.latencies(trains), gate_codes.code_words(trains)):
        table = table.merge(other.drop(columns="n_positions", errors="ignore"), on="layer")
    trained = subject.network.activations(subject.images[: trains.n_images])
    errors: list[dict[str, Any]] = []
    for index, layer in enumerate(trains.layers):
        if layer.name == INPUT:
            errors.append({"layer": INPUT})
            continue
        gate = run.case.conversion.gates[layer.name]
        decoded = gate_codes.decoded(
            trains.spikes, index, layer, trains.n_images, gate.outputs, gate.offset
        )
        error = gate_codes.activation_error(
            decoded, trained[layer.name].reshape(trains.n_images, -1)
        )
        errors.append({"layer": layer.name, **error})
    return table.merge(pd.DataFrame(errors), on="layer")


def printed(row: Any, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """What matters of gates."""
    return {
        "spikes per neuron": f"{row.spikes_per_neuron:.3f} of {row.n_neurons} neurons",
        "latency": f"{row.latency_slots} slots",
        "throughput": f"{row.images_per_biological_s:.1f} images per biological second",
    }
