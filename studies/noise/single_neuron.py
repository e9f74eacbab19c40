"""One noisy neuron over many trials: psychometric curves and spike trains, run in Brian2."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import noise_theory, psychometric
from ann2brian.analysis.statistics import trials as trial_statistics
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.models.schemes.noise.single_neuron import single_neuron
from ann2brian.models.spiking.recording import Recording

MEAN, SIGMA = 0.5, 0.3  # of the noise, in thresholds
RULES = (("memoryless", 1.0), ("both", 0.9), ("diffusive", 0.9))
DRIVES = np.round(np.linspace(-0.4, 1.4, 13) * 2**10) / 2**10  # one step, in thresholds
TRIAL_DRIVES = (0.0625, 0.125, 0.25, 0.5)  # every step of a trial, in thresholds
RASTER_DRIVE = 0.125
TRIAL_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much to run.

    Parameters
    ----------
    n_singles : int
        Single steps at each drive of a psychometric curve.
    n_trials : int
        Trials of spike trains.
    """

    n_singles: int = 4000
    n_trials: int = 40


def tables(effort: Effort, seed: int, target: str) -> dict[str, pd.DataFrame]:
    """Psychometric curves, their fits, and statistics of spike trains by rule.

    Parameters
    ----------
    effort : Effort
        Numbers of trials.
    seed : int
        Of Brian2's noise.
    target : str
        How Brian2 runs the model.

    Returns
    -------
    dict of str to DataFrame
        ``psychometric``, ``fits``, ``neuron_trials``, ``raster`` and ``intervals``.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    # Neurons of all rules would draw the same numbers from one seed.
    seeds = np.random.SeedSequence(seed).generate_state(2 * len(RULES)).reshape(-1, 2) >> 1
    for (rule, leak), (first, second) in zip(RULES, seeds.tolist(), strict=True):
        own = _curve(rule, leak, effort, first, target)
        own |= _trains(rule, leak, effort, second, target)
        for name, table in own.items():
            table.insert(0, "rule", rule)
            table.insert(1, "leak", leak)
            found.setdefault(name, []).append(table)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}


def _run(
    rule: str, leak: float, n_steps: int, drives: np.ndarray, seed: int, target: str
) -> Recording:
    options = NoiseOptions(n_steps=n_steps, rule=rule, leak=leak)
    network = single_neuron(options, mean=MEAN, sigma=SIGMA)
    images = drives.reshape(-1, 1, 1, 1)
    return simulate(
        network, images, batch=min(len(images), 4096), target=target, seed=seed, record=True
    )


def _curve(
    rule: str, leak: float, effort: Effort, seed: int, target: str
) -> dict[str, pd.DataFrame]:
    """Spikes of single steps against the drive, and a fitted curve."""
    n = effort.n_singles
    recording = _run(rule, leak, 1, np.repeat(DRIVES, n), seed, target)
    n_spikes = recording.scores[:, -1, 0].reshape(DRIVES.size, n).sum(axis=1).astype(np.int64)
    curve = psychometric.firing_probability(DRIVES, n, n_spikes)
    curve["theory"] = noise_theory.spike_probability(DRIVES, MEAN, SIGMA)
    fit = asdict(psychometric.fit_probit(DRIVES, n, n_spikes))
    fit |= {"theory_threshold": 1 - MEAN, "theory_width": SIGMA}
    return {"psychometric": curve, "fits": pd.DataFrame([fit])}


def _trains(
    rule: str, leak: float, effort: Effort, seed: int, target: str
) -> dict[str, pd.DataFrame]:
    """Spike trains of the same drive given again and again."""
    n = effort.n_trials
    recording = _run(rule, leak, TRIAL_STEPS, np.repeat(TRIAL_DRIVES, n), seed, target)
    spikes, dt_ms = recording.spikes, recording.dt_ms
    assert spikes is not None
    by_trial = [spikes.step[spikes.image == i] * dt_ms for i in range(recording.n_images)]
    rows, intervals, rasters = [], [], []
    for number, drive in enumerate(TRIAL_DRIVES):
        trains = by_trial[number * n : (number + 1) * n]
        rows.append(
            {"drive": drive}
            | trial_statistics.summary(
                trains,
                TRIAL_STEPS * dt_ms,
                window_ms=20 * dt_ms,
                sigma_ms=2 * dt_ms,
                cost_per_ms=0.5 / dt_ms,
                tau_ms=5 * dt_ms,
            )
        )
        histogram = trial_statistics.interval_histogram(trains, dt_ms)
        histogram.insert(0, "drive", drive)
        intervals.append(histogram)
        if drive == RASTER_DRIVE:
            sizes = [len(train) for train in trains]
            rasters.append(
                pd.DataFrame(
                    {
                        "drive": drive,
                        "trial": np.repeat(np.arange(n), sizes),
                        "time_ms": np.concatenate(trains),
                    }
                )
            )
    return {
        "neuron_trials": pd.DataFrame(rows),
        "intervals": pd.concat(intervals, ignore_index=True),
        "raster": pd.concat(rasters, ignore_index=True),
    }
