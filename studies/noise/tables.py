"""What the noise study measures beyond what every study does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import residuals as residual_statistics
from ann2brian.analysis.statistics import trials as trial_statistics
from ann2brian.models.networks.layers import Spike
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.measures import Run, simulated
from ann2brian.studies.noise import conditions as noise_conditions

REPEATED_IMAGES, REPEATS = 5, 20  # of one image, for statistics over trials
PRINTED_STEPS = (1, 2, 4, 8, 16, 32, 64)


def is_noise(case: Case) -> bool:
    """Whether the network runs by this scheme, and not by rate conversion beside it."""
    return isinstance(case.options, NoiseOptions)


def trained_scores(case: Case, recording: Recording) -> np.ndarray:
    """Scores of the network as it was trained: of one step, or of all that it was trained with.

    A network of direct training with T steps is, run from its own start for T steps, the trained
    one; of the T steps there may be too few in this run, then the last counts.
    """
    steps = noise_conditions.DIRECT.get(case.subject.setting, 1)
    if steps == 1:
        return case.subject.logits
    return recording.scores[:, min(steps, recording.scores.shape[1]) - 1]


def columns(run: Run) -> dict[str, Any]:
    """Rule, the noise of the training, and how exact the conversion is."""
    subject, scores = run.case.subject, run.recording.scores
    steps = subject.network.n_steps  # whose mean the trained network's logits are
    first = scores[:, min(steps, scores.shape[1]) - 1]
    noisy = [layer for layer in subject.network.layers if isinstance(layer, Spike)]
    return {
        "rule": run.case.options.rule if is_noise(run.case) else "rate",
        "mean": float(np.mean([layer.mean for layer in noisy])) if noisy else np.nan,
        "sigma": float(np.mean([layer.sigma for layer in noisy])) if noisy else np.nan,
        "equal_first_logits": float((first == subject.logits).all(axis=1).mean()),
        "weight_error": run.case.conversion.weight_error,
    }


def tables(run: Run) -> dict[str, pd.DataFrame]:
    """Firing, information and residual potentials of each layer, and variation over trials."""
    case, subject, conversion = run.case, run.case.subject, run.case.conversion
    if not is_noise(case):
        return {}
    spiking, options, trains = conversion.spiking, case.options, run.trains
    labels = subject.labels[: trains.n_images]
    counts = _counts(trains)
    trials: dict[str, np.ndarray] = {}
    stimulus = np.repeat(np.arange(min(REPEATED_IMAGES, len(subject.images))), REPEATS)
    if options.has_noise:
        again = simulated(spiking, subject.images[stimulus], run.arguments, record=True)
        trials = _counts(again)
    rows, residuals, quantiles = [], [], []
    for name, fired in counts.items():
        information = trial_statistics.information_per_spike(fired, labels)
        total = fired.mean(axis=0).sum()
        row: dict[str, Any] = {
            "layer": name,
            "spikes_per_neuron_step": fired.mean() / options.n_steps,
            "silent_fraction": (fired == 0).mean(),
            "information_bits": information["corrected_bits"].mean(),
            "bits_per_spike": information["corrected_bits"].sum() / total if total else np.nan,
            "fano": np.nan,
            "noise_correlation": np.nan,
            "n_varying": 0,
        }
        if name in trials:
            by_image = [trials[name][stimulus == i] for i in np.unique(stimulus)]
            fano = np.concatenate([trial_statistics.fano_factor(part) for part in by_image])
            row["fano"] = np.nanmean(fano) if np.isfinite(fano).any() else np.nan
            correlation = trial_statistics.noise_correlation(trials[name], stimulus)
            row |= {
                "noise_correlation": correlation["noise_correlation"],
                "n_varying": correlation["n_neurons"],
            }
        rows.append(row)
        is_carried = options.rule != "memoryless" and name in conversion.means
        if is_carried and name in trains.end_potentials:
            left = trains.end_potentials[name].ravel() / (spiking.unit_volt * 1e3)
            if options.has_floor:
                left = np.maximum(left, 0.0)
            left = (
                conversion.by_layer[name].leak * left
            )  # what the noise stands for: what the next step gets
            layer = subject.network.layer(name)
            assert isinstance(layer, Spike)
            assumed = {"mu": layer.mean / layer.threshold, "sigma": layer.sigma / layer.threshold}
            carried = residual_statistics.residual_statistics(left, **assumed)
            residuals.append(
                {"layer": name}
                | carried
                | {"assumed_mean": assumed["mu"], "assumed_sigma": assumed["sigma"]}
            )
            table = residual_statistics.quantile_table(left, **assumed)
            table.insert(0, "layer", name)
            quantiles.append(table)
    found = {"layers": pd.DataFrame(rows)}
    if residuals:
        found["residuals"] = pd.DataFrame(residuals)
        found["quantiles"] = pd.concat(quantiles, ignore_index=True)
    return found


def _counts(recording: Recording) -> dict[str, np.ndarray]:
    """Spikes of every neuron for each image, shape (n_images, n_units), by layer."""
    spikes = recording.spikes
    assert spikes is not None
    found = {}
    for index, layer in enumerate(recording.layers):
        mine = spikes.layer == index
        flat = spikes.image[mine].astype(np.int64) * layer.n_units + spikes.neuron[mine]
        size = recording.n_images * layer.n_units
        found[layer.name] = np.bincount(flat, minlength=size).reshape(recording.n_images, -1)
    return found


def printed(row: Any, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Accuracy if the run is stopped early."""
    by_step = tables["time"].set_index("step")["accuracy"]
    return {f"accuracy, N = {n}": f"{by_step[n]:.2%}" for n in PRINTED_STEPS if n in by_step}
