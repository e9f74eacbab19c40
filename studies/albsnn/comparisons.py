"""What a whole study of locally binary networks compares."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.binarisation_effects import (
    binarised,
    potential_histogram,
    saving_curve,
    timing_change,
)
from ann2brian.models.schemes.albsnn.conversion import convert
from ann2brian.models.schemes.albsnn.reference import drives
from ann2brian.models.spiking.network import READOUT
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.albsnn import binary_cost
from ann2brian.studies.albsnn import conditions as albsnn_conditions
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.measures import named, simulated
from ann2brian.studies.frame.network_under_test import Subject

TIMED_IMAGES, TIMED_ROUNDS = 2000, 5  # of binary synapses beside real ones
CURVE_IMAGES = 2000  # of accuracy as layers become binary after the training


def comparisons(
    cases: list[Case], metrics: pd.DataFrame, arguments: argparse.Namespace
) -> dict[str, pd.DataFrame]:
    """Potentials, spike timing and accuracy after layers were made binary, and what it costs."""
    by_network = {case.subject: case for case in cases}
    real = [case for case in cases if case.subject.setting == albsnn_conditions.REAL]
    parts = {
        "potentials": [_potentials(case, arguments) for case in by_network.values()],
        "timing": [_timing(case, arguments) for case in real if case.options.n_steps > 1],
        "curve": [_curve(subject) for subject in dict.fromkeys(case.subject for case in real)],
        "paper": [albsnn_conditions.paper(metrics)],
        "cost": _cost(cases, arguments),
    }
    return {name: pd.concat(tables) for name, tables in parts.items() if tables}


def _potentials(case: Case, arguments: argparse.Namespace) -> pd.DataFrame:
    """Histogram of the potentials of each layer in the first step, before the reset."""
    images = case.subject.images[: arguments.spikes]
    driving = {b: a for a, b in case.conversion.driven.items()}
    parts = []
    for name, potentials in drives(case.conversion, images).items():
        about = {"layer": name, "is_binary": driving[name] in case.conversion.binary}
        parts.append(named(case.keys | {"n_steps": 1} | about, potential_histogram(potentials)))
    return pd.concat(parts)


def _timing(case: Case, arguments: argparse.Namespace) -> pd.DataFrame:
    """Spike trains of a network of real weights beside those after layers were made binary."""
    network, options = case.subject.network, case.options
    images = case.subject.images[: arguments.spikes]
    before = _trains(simulated(case.conversion.spiking, images, arguments, record=True))
    driven = case.conversion.driven
    alone = {name: [name] for name, target in driven.items() if target != READOUT}
    rows = []
    for label, names in (alone | {"all": list(driven)}).items():
        changed = convert(binarised(network, names), options).spiking
        after = _trains(simulated(changed, images, arguments, record=True))
        rows += [
            {"layer": layer, "binarised": label} | timing_change(before[layer], after[layer])
            for layer in before
        ]
    return named(case.keys, pd.DataFrame(rows))


def _trains(recording: Recording) -> dict[str, np.ndarray]:
    """Spikes in each step, 0 or 1, shape (n_images, n_steps, n_units), by layer."""
    spikes, n_steps = recording.spikes, recording.scores.shape[1]
    assert spikes is not None
    trains_of_layers = {}
    for index, layer in enumerate(recording.layers):
        mine = spikes.where(spikes.layer == index)
        trains = np.zeros((recording.n_images, n_steps, layer.n_units), dtype=np.int8)
        trains[mine.image, mine.step - layer.onset, mine.neuron] = 1
        trains_of_layers[layer.name] = trains
    return trains_of_layers


def _curve(subject: Subject) -> pd.DataFrame:
    """Accuracy and storage as layers of a network of real weights become binary."""
    images, labels = subject.images[:CURVE_IMAGES], subject.labels[:CURVE_IMAGES]
    keys = subject.keys | {"n_images": len(images)}
    return named(keys, saving_curve(subject.network, images, labels))


def _cost(cases: list[Case], arguments: argparse.Namespace) -> list[pd.DataFrame]:
    """Binary synapses of the network shown beside real ones of the same weights, if it has any."""
    case = next(case for case in cases if case.subject is cases[-1].subject)  # fewest steps
    if not case.conversion.binary:
        return []
    cost = binary_cost.measure(
        case.conversion.spiking,
        case.subject.images[:TIMED_IMAGES],
        rounds=1 if arguments.quick else TIMED_ROUNDS,
        batch=arguments.batch,
        target=arguments.target,
        pipelined=arguments.pipelined,
    )
    return [named(case.keys, cost)]
