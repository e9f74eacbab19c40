"""What the study of locally binary networks measures beyond what every study does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.weight_storage import layer_storage, network_storage
from ann2brian.studies.albsnn import conditions as albsnn_conditions
from ann2brian.studies.frame.measures import Run
from ann2brian.studies.frame.network_under_test import Subject


def columns(run: Run) -> dict[str, Any]:
    """Storage, and whether the logits are those of the trained network."""
    subject, n_steps = run.case.subject, run.case.options.n_steps
    is_same = (run.recording.scores[:, -1] == subject.logits).all(axis=1)
    return {
        "equal_logits": float(is_same.mean()) if n_steps == subject.network.n_steps else np.nan,
        **network_storage(subject.network, n_steps),
    }


def tables(run: Run) -> dict[str, pd.DataFrame]:
    """Storage, events, firing and the last estimates of each weighted layer."""
    case, recording = run.case, run.recording
    subject, conversion = case.subject, case.conversion
    counts = {
        layer.name: own for layer, own in zip(recording.layers, recording.spike_counts, strict=True)
    }
    events = {
        name: sum((counts[p.source] * p.fan_out).sum() for p in own) / recording.n_images
        for name, own in conversion.projections.items()
        if own
    }
    rates = {
        layer.name: counts.sum() / recording.n_images / layer.n_units / case.options.n_steps
        for layer, counts in zip(recording.layers, recording.spike_counts, strict=True)
    }
    table = layer_storage(subject.network)
    target = table["layer"].map(conversion.driven)
    table["n_file_bytes"] = table["layer"].map(_file_bytes(subject))
    table["operations_per_image"] = table["n_weights"] * table["layer"].map(_positions(subject))
    table["events_per_image"] = table["layer"].map(events)
    table["spikes_per_neuron_step"] = target.map(rates)
    table = table.join(albsnn_conditions.last_estimates(history(subject)), on="layer")
    return {"layers": table}


def _positions(subject: Subject) -> dict[str, int]:
    """Places at which each layer applies its weights, borders included."""
    return {name: shape[0] * shape[1] for name, shape in subject.network.shapes.items()}


def _file_bytes(subject: Subject) -> dict[str, int]:
    """Bytes of the weights of each layer in the weight file."""
    found: dict[str, int] = {}
    for name, size in subject.tensor_bytes.items():
        layer, field = name.rsplit(".", 1)
        if field in ("kernel", "signs", "scale"):
            found[layer] = found.get(layer, 0) + size
    return found


def history(subject: Subject) -> pd.DataFrame:
    """How the layers of a network were chosen, from its weight file."""
    return albsnn_conditions.history(subject.info)


def printed(row: Any, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Storage, and which layers are binary."""
    layers = tables["layers"]
    binary = layers.loc[layers["is_binary"], "layer"]
    return {
        "storage saved": f"{row.saving:.1%} of the weights",
        "binary layers": ", ".join(binary) or "none",
    }
