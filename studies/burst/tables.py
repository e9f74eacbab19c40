"""What the burst study measures beyond what every study does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import bursts, conversion_error
from ann2brian.analysis.statistics.energy import energy_nj, multiply_accumulates
from ann2brian.analysis.statistics.trains import trains_of
from ann2brian.models.networks.layers import MaxPool2D
from ann2brian.studies.burst.conditions import is_quantised
from ann2brian.studies.frame.measures import Run


def columns(run: Run) -> dict[str, Any]:
    """Limits, sub-steps, energy, and how exact the conversion is."""
    conversion, subject, spiking = (
        run.case.conversion,
        run.case.subject,
        run.case.conversion.spiking,
    )
    trained = {"normalisation": "trained", "initial": 0.5} if is_quantised(subject.network) else {}
    inputs = [p for stimulus in spiking.stimuli for p in stimulus.projections]
    operations = multiply_accumulates(subject.network.fold_batch_norm())["multiply_accumulates"]
    return {
        **trained,
        "gamma": _gamma(run),
        "limits": " ".join(f"{name}:{limit}" for name, limit in conversion.limits.items()),
        "sub_steps": _gamma(run) * run.case.options.n_steps,
        "phase_ms": run.recording.phase_steps * run.recording.dt_ms,
        "equal_logits": float(np.mean((run.logits == subject.logits).all(axis=1))),
        "pipeline_latency_phases": spiking.readout.onset,
        "input_current_nj": energy_nj(
            multiply_accumulates=sum(int(p.fan_out.sum()) for p in inputs)
        ),
        "ann_energy_nj": energy_nj(multiply_accumulates=operations.sum()),
        "weight_error": conversion.weight_error,
        "calibration": run.arguments.calibration,
    }


def _gamma(run: Run) -> int:
    """Most spikes of any neuron in a step, as it runs."""
    return max(run.case.conversion.limits.values())


def time_columns(run: Run) -> dict[str, Any]:
    """Sub-steps, and the error of the logits."""
    scores, logits = run.recording.scores, run.case.subject.logits
    return {
        "gamma": _gamma(run),
        "sub_steps": _gamma(run) * (1 + np.arange(scores.shape[1])),
        "logit_mse": ((scores - logits[:, None]) ** 2).mean(axis=(0, 2)),
    }


def tables(run: Run) -> dict[str, pd.DataFrame]:
    """Layers, and the intervals between their spikes."""
    layers, intervals = _layers(run)
    return {"layers": layers, "intervals": intervals}


def _layers(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bursts, irregularity and errors of each layer; and the intervals between its spikes."""
    trains, conversion, subject = run.trains, run.case.conversion, run.case.subject
    spiking, options = conversion.spiking, run.case.options
    n_images = trains.n_images
    network = conversion.network
    activations = network.activations(subject.images[:n_images])
    unit_mv = spiking.unit_volt * 1e3
    phase_ms = trains.phase_steps * trains.dt_ms
    rows, intervals, outcomes, counts = [], [], {}, {}
    for train in trains_of(trains):
        name, shape = train.layer.name, train.layer.shape
        flat = train.image * train.layer.n_units + train.neuron
        n_units = train.layer.n_units
        counts[name] = np.bincount(flat, minlength=n_images * n_units).reshape(n_images, n_units)
        longest_ms = bursts.WITHIN_BURST_STEPS * trains.dt_ms
        detected = bursts.bursts(train, longest_ms)
        exact = bursts.phase_bursts(train, trains.phase_steps, trains.readout_every)
        quality = bursts.detection(exact, detected)
        split = bursts.interval_split(train, longest_ms)
        threshold = bursts.log_interval_threshold(
            train.intervals_ms, trains.dt_ms, longest_intra_ms=phase_ms
        )
        left = trains.end_potentials[name] / unit_mv
        rows.append(
            bursts.summary(train, detected, spiking.n_phases * phase_ms)
            | bursts.residual_potential(left)
            | {
                "intra_burst_share": split["intra_fraction"],
                "detection_precision": quality["precision"],
                "detection_recall": quality["recall"],
                "log_interval_threshold_ms": threshold.threshold_ms,
            }
        )
        histogram = bursts.interval_histogram(train)
        intervals.append(histogram)
        layer = network.layer(name)
        if isinstance(layer, MaxPool2D):
            source = layer.inputs[0]
            outcomes[name] = conversion_error.PoolingOutcome(
                counts_in=counts[source].reshape(n_images, *network.shapes[source]),
                counts_out=counts[name].reshape(n_images, *shape),
                size=layer.size,
                stride=layer.stride,
                padding=layer.padding,
            )
        else:
            outcomes[name] = conversion_error.NeuronOutcome(
                counts=counts[name],
                final=left,
                trained=(activations[name] / conversion.scales[name]).reshape(n_images, -1),
            )
    errors = conversion_error.error_table(
        outcomes, options.n_steps, 0.5 if is_quantised(subject.network) else options.initial
    )
    table = pd.DataFrame(rows).drop(columns="residual_fraction").merge(errors, on="layer")
    return table, pd.concat(intervals, ignore_index=True)


def printed(row: Any, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """What matters of bursts."""
    return {
        "steps T, sub-steps": f"{row.n_steps}, {row.sub_steps}",
        "energy of the events": f"{row.energy_nj:.3g} nJ",
    }
