"""What is simulated and written of one entry."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.comparison import tables
from ann2brian.studies.comparison.entries import Entry
from ann2brian.studies.frame import measures
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.measures import Run
from ann2brian.studies.frame.task import Report, Task


def task(name: str, entry: Entry, arguments: argparse.Namespace, command: str) -> Task:
    """Work of one entry.

    Parameters
    ----------
    name : str
        Of its folder.
    entry : Entry
        Who runs.
    arguments : Namespace
        Flags.
    command : str
        What makes its row again, alone.
    """
    case, scheme = entry.case, entry.contender.scheme
    spiking, images = case.conversion.spiking, case.subject.images
    simulate = partial(
        measures.simulated, arguments=arguments, pipelined=arguments.pipelined, record=False
    )
    trained = entry.contender.study.trained_scores
    title = f"{scheme}, {case.title}"
    return Task(
        name=name,
        simulate=partial(_shard, partial(simulate, spiking), images),
        n_images=len(images),
        write=partial(_write, case, scheme, trained, arguments, command),
        whole=partial(_whole, partial(simulate, spiking, images)),
        title=title,
        about=f"{title}: {spiking.n_neurons} neurons, {spiking.n_synapses} synapses",
    )


def _shard(
    simulate: Callable[..., Recording], images: np.ndarray, start: int, stop: int
) -> Recording:
    return simulate(images[start:stop], jobs=1, first_image=start)


def _whole(simulate: Callable[..., Recording], jobs: int, report: Report) -> Recording:
    return simulate(jobs=jobs, progress=report)


def _write(
    case: Case,
    scheme: str,
    trained: Callable[[Case, Recording], np.ndarray],
    arguments: argparse.Namespace,
    command: str,
    working: Path,
    recording: Recording,
) -> None:
    """Write the row, the curve, and where it comes close to the trained network."""
    run = Run(
        case=case,
        recording=recording,
        trained=trained(case, recording),
        arguments=arguments,
    )
    metrics = tables.metrics(run, scheme, command)
    metrics.to_csv(working / "metrics.csv", index=False)
    over_time = tables.over_time(run)
    matched = tables.matched(over_time, metrics["ann_accuracy"].iloc[0])
    keys = {"scheme": scheme, **case.keys}
    for name, table in (("time", over_time), ("matched", matched)):
        measures.named(keys, table).to_csv(working / f"{name}.csv", index=False)
