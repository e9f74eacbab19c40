"""Steps and wall time with which each method is as accurate as the noise-trained network."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.accuracy import needed_steps
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.measures import simulated
from ann2brian.studies.noise import conditions as noise_conditions
from ann2brian.studies.noise.tables import is_noise

TIMED_IMAGES = 1000  # of the comparison of wall times


def comparison(
    cases: list[Case], time: pd.DataFrame, arguments: argparse.Namespace
) -> pd.DataFrame:
    """Steps and wall time with which each method is as accurate as the noise-trained network.

    The aim is what the noise-trained network has after all of its steps, less 0.2 points. A
    network of direct training takes all of its steps, no fewer.
    """
    rows: list[dict[str, Any]] = []
    for seed in sorted({case.subject.training_seed for case in cases}):
        of_seed = time[time["training_seed"] == seed]
        noisy = of_seed[
            (of_seed["setting"] == noise_conditions.DEFAULT) & (of_seed["condition"] == "residual")
        ]
        if noisy.empty:
            continue
        target = float(noisy["accuracy"].iloc[-1]) - 0.002
        for case in cases:
            setting, label = case.keys["setting"], case.label
            is_method = setting in noise_conditions.METHODS and label == "residual"
            is_rate = not is_noise(case)
            if case.subject.training_seed != seed or not (is_method or is_rate):
                continue
            curve = of_seed[
                (of_seed["network"] == case.subject.network.name) & (of_seed["condition"] == label)
            ]
            if setting in noise_conditions.DIRECT:
                curve = curve[curve["step"] == noise_conditions.DIRECT[setting]]
                needed = None if curve.empty else noise_conditions.DIRECT[setting]
                if needed is not None and float(curve["accuracy"].iloc[0]) < target - 1e-9:
                    needed = None
            else:
                needed = needed_steps(curve["accuracy"].to_numpy(), target)
            rows.append(_needed(case, seed, target, needed, curve, arguments))
    return pd.DataFrame(rows)


def _needed(
    case: Case,
    seed: int,
    target: float,
    needed: int | None,
    curve: pd.DataFrame,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """One row of the comparison; the wall time is that of a run of just so many steps."""
    method = case.label
    if is_noise(case):
        method = noise_conditions.METHODS[case.keys["setting"]]
    row: dict[str, Any] = {
        "method": method,
        "network": case.subject.network.name,
        "training_seed": seed,
        "target_accuracy": target,
        "n_steps": np.nan if needed is None else needed,
        "accuracy": float(curve["accuracy"].iloc[-1]) if len(curve) else np.nan,
    }
    if needed is None:
        nothing = ("latency_ms", "ms_per_image", "spikes_per_image", "events_per_image")
        return row | dict.fromkeys(nothing, np.nan)
    at = curve[curve["step"] == needed].iloc[0]
    spiking = case.converted(replace(case.options, n_steps=needed)).spiking
    images = case.subject.images[:TIMED_IMAGES]
    recording = simulated(spiking, images, arguments, jobs=1, pipelined=arguments.pipelined)
    return row | {
        "accuracy": float(at["accuracy"]),
        "latency_ms": float(at["time_ms"]),
        "ms_per_image": 1e3 * recording.run_s / len(images),
        "spikes_per_image": float(at["spikes_per_image"]),
        "events_per_image": float(at["events_per_image"]),
    }
