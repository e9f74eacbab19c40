"""What every study measures of a run: one row of numbers, and accuracy and cost over time."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.energy import energy_nj
from ann2brian.models.conversion.options import Options, options_of
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.network import accuracy
from ann2brian.models.spiking.network import SpikingNetwork
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame.conditions import Case


def simulated(
    network: SpikingNetwork, images: np.ndarray, arguments: argparse.Namespace, **more: Any
) -> Recording:
    """Recording with the settings of the command line; `more` for :func:`simulate`."""
    settings = {name: getattr(arguments, name) for name in ("batch", "jobs", "target", "seed")}
    return simulate(network, images, **(settings | more))


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A case that has been run.

    Parameters
    ----------
    case : Case
        Network and condition.
    recording : Recording
        Of all images.
    trained : ndarray, shape (n_images, n_classes)
        Scores of the network as it was trained.
    arguments : Namespace
        Flags.
    """

    case: Case
    recording: Recording
    trained: np.ndarray
    arguments: argparse.Namespace

    @cached_property
    def trains(self) -> Recording:
        """The same with spike trains: of all images if there is room, or else of the first few."""
        if self.recording.spikes is not None:
            return self.recording
        images = self.case.subject.images[: self.arguments.spikes]
        return simulated(self.case.conversion.spiking, images, self.arguments, record=True)

    @property
    def logits(self) -> np.ndarray:
        """Final scores of the spiking network, shape (n_images, n_classes)."""
        return self.recording.scores[:, -1]


def metrics(run: Run, scheme: str, kind: type[Options], columns: Mapping[str, Any]) -> pd.DataFrame:
    """One row: what was run, how well and at which cost.

    Parameters
    ----------
    run : Run
        A case that has been run.
    scheme : str
        Name of the study's scheme.
    kind : type of Options
        Of the study's scheme; each option is a column.
    columns : mapping of str to value
        What the study adds or knows better.
    """
    case, recording, arguments = run.case, run.recording, run.arguments
    spiking, labels = case.conversion.spiking, case.subject.labels
    row = {
        "scheme": scheme,
        "dataset": arguments.dataset,
        **case.keys,
        **{option.name: getattr(case.options, option.name, np.nan) for option in options_of(kind)},
        "n_images": recording.n_images,
        "ann_accuracy": accuracy(run.trained, labels),
        "snn_accuracy": accuracy(run.logits, labels),
        "agreement": float(np.mean(recording.predictions == run.trained.argmax(axis=1))),
        "spikes_per_image": recording.spikes_per_image,
        "spikes_per_neuron": recording.spikes_per_image / spiking.n_neurons,
        "max_spikes_per_neuron": recording.most_spikes,
        "latency_ms": recording.latency_steps * recording.dt_ms,
        "synaptic_events_per_image": recording.events_per_image,
        "energy_nj": energy_nj(accumulates=recording.events_per_image),
        "n_neurons": spiking.n_neurons,
        "n_synapses": spiking.n_synapses,
        "n_kernel_weights": spiking.n_kernel_weights,
        "exact_bits": spiking.needed_bits,
        **columns,
        **{name: getattr(arguments, name) for name in ("pipelined", "jobs", "target", "seed")},
        "build_s": recording.build_s,
        "run_s": recording.run_s,
    }
    return pd.DataFrame([row])


def over_time(run: Run, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Accuracy and cost if the run is stopped after each step of the read-out.

    Parameters
    ----------
    run : Run
        A case that has been run.
    columns : mapping of str to value or ndarray, shape (n_steps,)
        What the study adds.

    Returns
    -------
    DataFrame
        One row per step: step, time_ms, accuracy, agreement with the trained network; and
        spikes_per_image, events_per_image, energy_nj up to there, where the steps of the
        read-out are those of the neurons.
    """
    recording, labels = run.recording, run.case.subject.labels
    predictions = recording.scores.argmax(axis=2)
    n_steps = predictions.shape[1]
    table = {
        "step": 1 + np.arange(n_steps),
        "time_ms": recording.ready_steps * recording.dt_ms,
        "accuracy": (predictions == labels[:, None]).mean(axis=0),
        "agreement": (predictions == run.trained.argmax(axis=1)[:, None]).mean(axis=0),
    }
    spikes, events = (
        sum(by_step.values()).cumsum() / recording.n_images
        for by_step in (recording.spikes_by_step, recording.events_by_step)
    )
    if len(events) == n_steps:
        energy = [energy_nj(accumulates=float(n)) for n in events]
        table |= {"spikes_per_image": spikes, "events_per_image": events, "energy_nj": energy}
    return pd.DataFrame(table | dict(columns))


def named(keys: Mapping[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns of `keys` first."""
    rest = table.drop(columns=[key for key in keys if key in table])
    return pd.concat([pd.DataFrame(dict(keys), index=table.index), rest], axis=1)


Columns = Callable[[Run], dict[str, Any]]
