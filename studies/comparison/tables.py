"""One row for each scheme and setting, and accuracy and cost over time."""

from __future__ import annotations

from typing import Any

import pandas as pd
from ann2brian.analysis.statistics.accuracy import accuracy_interval, needed_steps
from ann2brian.analysis.statistics.energy import (
    energy_nj,
    input_operations,
    trained_operations,
)
from ann2brian.analysis.statistics.spending import spending
from ann2brian.analysis.statistics.weight_storage import network_storage
from ann2brian.studies.comparison.training_time import training_time
from ann2brian.studies.frame import measures
from ann2brian.studies.frame.measures import Run

MATCHED_POINTS = 1.0  # below the trained network
COLUMNS = (
    *("scheme", "dataset", "network", "setting", "training_seed", "condition", "n_images"),
    *("ann_accuracy", "snn_accuracy", "accuracy_low", "accuracy_high", "agreement"),
    *("n_steps", "latency_ms", "images_per_biological_s", "n_neurons", "spikes_per_image"),
    *("spikes_per_neuron", "max_spikes_per_neuron", "synaptic_events_per_image"),
    *("input_multiply_accumulates", "input_accumulates", "event_energy_nj", "energy_nj"),
    *("ann_multiply_accumulates", "ann_accumulates", "ann_energy_nj", "weight_bits"),
    *("training_s", "training_time_from", "build_s", "run_s", "wall_s", "seed", "command"),
)


def metrics(run: Run, scheme: str, command: str) -> pd.DataFrame:
    """One row; the columns are explained in ``docs/compare.md``."""
    case, recording = run.case, run.recording
    network, spiking = case.subject.network, case.conversion.spiking
    entering, trained = input_operations(network, spiking), trained_operations(network)
    events = recording.events_per_image
    seconds, told_by = training_time(case.subject, run.arguments.data)
    own: dict[str, Any] = {
        "n_steps": recording.scores.shape[1],
        "images_per_biological_s": 1e3 / (spiking.n_phases * spiking.phase_steps * recording.dt_ms),
        "input_multiply_accumulates": entering.multiply_accumulates,
        "input_accumulates": entering.accumulates,
        "event_energy_nj": energy_nj(accumulates=events),
        "energy_nj": energy_nj(accumulates=events) + entering.energy_nj,
        "ann_multiply_accumulates": trained.multiply_accumulates,
        "ann_accumulates": trained.accumulates,
        "ann_energy_nj": trained.energy_nj,
        "weight_bits": network_storage(network)["weight_bits_stored"],
        "training_s": seconds,
        "training_time_from": told_by,
        "wall_s": recording.build_s + recording.run_s,
        "command": command,
    }
    row = measures.metrics(run, scheme, type(case.options), own)
    row["accuracy_low"], row["accuracy_high"] = _interval(row.snn_accuracy, recording.n_images)
    return row[list(COLUMNS)]


def over_time(run: Run) -> pd.DataFrame:
    """Accuracy with its interval, and what was spent, at each step of the read-out."""
    spent = spending(run.recording, run.case.conversion.spiking)
    entering = input_operations(run.case.subject.network, run.case.conversion.spiking)
    energy = [
        energy_nj(accumulates=events) + entering.energy_nj for events in spent["events_per_image"]
    ]
    table = measures.over_time(run, {**spent, "energy_nj": energy})
    low, high = _interval(table["accuracy"], run.recording.n_images)
    table.insert(list(table).index("accuracy") + 1, "accuracy_low", low)
    table.insert(list(table).index("accuracy") + 2, "accuracy_high", high)
    return table


def matched(over_time: pd.DataFrame, ann_accuracy: float) -> pd.DataFrame:
    """What it takes until the accuracy stays within a point of that of the trained network.

    Parameters
    ----------
    over_time : DataFrame
        Of one run, see :func:`over_time`.
    ann_accuracy : float
        Of the trained network.

    Returns
    -------
    DataFrame
        One row: loss_points, ann_accuracy, and the row of that step; nothing more if there is none.
    """
    step = needed_steps(over_time["accuracy"], ann_accuracy - MATCHED_POINTS / 100)
    found = pd.DataFrame({"loss_points": [MATCHED_POINTS], "ann_accuracy": [ann_accuracy]})
    row = over_time[over_time["step"] == step].reset_index(drop=True)
    return found.join(row)


def _interval(accuracies: pd.Series, n_images: int) -> tuple[list[float], list[float]]:
    """Ends of the 95 % intervals over the images."""
    ends = [accuracy_interval(round(own * n_images), n_images) for own in accuracies]
    return [low for low, _ in ends], [high for _, high in ends]
