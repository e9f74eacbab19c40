"""The NIR study: a spiking network from a file, as the program ran it that wrote the file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from ann2brian.models.schemes.nir import SCHEME
from ann2brian.models.schemes.nir.options import NirOptions
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.measures import Run
from ann2brian.studies.frame.network_under_test import Subject
from ann2brian.studies.frame.publishing import Published
from ann2brian.studies.frame.study import Study
from ann2brian.studies.nir.figures import FIGURES

REFERENCE_IMAGES = 64  # at once, in plain NumPy


def conditions(
    subjects: list[Subject], asked: list[NirOptions], arguments: argparse.Namespace
) -> list[Case]:
    """The network with all that is asked for; as many steps as an input has that has steps."""
    (subject,) = subjects
    if subject.images.ndim == 5:
        n_steps = subject.images.shape[1]
        if arguments.steps not in (None, n_steps):
            raise ValueError(
                f"--steps {arguments.steps}: the input has {n_steps} steps; leave the flag out"
            )
        asked = [replace(options, n_steps=n_steps) for options in asked]
    return [Case(subject=subject, options=own, label=_label(own)) for own in asked]


def _label(options: NirOptions) -> str:
    """What is asked for, in words."""
    names = ("written_by", "reset", "is_floored", "is_single_spike")
    given = [(name, getattr(options, name)) for name in names]
    told = [str(own) if own is not True else name[3:] for name, own in given if own]
    return ", ".join([*told, f"T = {options.n_steps}"])


def reference_scores(case: Case, _recording: Recording) -> np.ndarray:
    """What the network says in plain NumPy, by its writer's arithmetic: what was trained."""
    images, parts = case.subject.images, []
    for start in range(0, len(images), REFERENCE_IMAGES):
        run = SCHEME.reference(case.conversion, images[start : start + REFERENCE_IMAGES])
        parts.append(run.scores[:, -1])
    return np.concatenate(parts)


def columns(run: Run) -> dict[str, Any]:
    """Conventions that were applied, and how exact the conversion is."""
    conversion = run.case.conversion
    options = conversion.options
    return {
        "written_by": options.written_by,
        "dt_ms": options.dt_ms,
        "reset": options.reset,
        "weight_error": conversion.weight_error,
    }


def printed(row: Any, _tables: Any) -> dict[str, str]:
    """Which convention was applied."""
    return {
        "conventions": f"{row.written_by}, reset {row.reset}",
        "step": f"{row.dt_ms:g} ms",
    }


STUDY = Study(
    scheme=SCHEME,
    networks={"digits": "digits-lif"},
    conditions=conditions,
    sweeps=("written_by", "reset"),
    by_network={"n_steps": "100, or as many as the input has"},
    takes_sequences=True,
    quick={"steps": 8, "spikes": 20},
    trained_scores=reference_scores,
    columns=columns,
    tables=lambda run: {"layers": run.trains.summary()},
    printed=printed,
    figures=FIGURES,
    published=Published(
        collect=lambda folders: {}, tables={}, varies=("n_steps", "written_by", "dt_ms", "reset")
    ),
)
