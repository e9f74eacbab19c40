"""The study of locally binary networks: layers with one bit a synapse beside real weights."""

from __future__ import annotations

import argparse

import pandas as pd
from ann2brian.models.conversion.as_trained import as_trained
from ann2brian.models.schemes.albsnn import SCHEME
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.studies.albsnn import conditions as albsnn_conditions
from ann2brian.studies.albsnn.comparisons import comparisons
from ann2brian.studies.albsnn.figures import FIGURES
from ann2brian.studies.albsnn.published import PUBLISHED
from ann2brian.studies.albsnn.tables import columns, history, printed, tables
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.measures import named
from ann2brian.studies.frame.network_under_test import Subject, shown_of
from ann2brian.studies.frame.study import Study

NETWORKS = {
    "digits": "digits-albsnn",
    "fashion-mnist": "fashion-albsnn",
    "cifar-10": "cifar-albsnn",  # not shipped
}


def conditions(
    subjects: list[Subject], asked: list[AlbsnnOptions], arguments: argparse.Namespace
) -> list[Case]:
    """Every network with every number of steps, the network to be shown last."""
    shown = shown_of(subjects, albsnn_conditions.DEFAULT)
    return [
        Case(
            subject=subject,
            options=options,
            label=f"T = {options.n_steps}",
            named_by={"n_steps": options.n_steps},
        )
        for subject in [*(other for other in subjects if other is not shown), shown]
        for options in sorted(
            {as_trained(options, subject.network) for options in asked},
            key=lambda options: options.n_steps,
        )
    ]


def summaries(
    cases: list[Case], tables: dict[str, pd.DataFrame], arguments: argparse.Namespace
) -> dict[str, pd.DataFrame]:
    """How layers were chosen, and what a study has beyond that."""
    subjects = dict.fromkeys(case.subject for case in cases)
    found = {"history": pd.concat([named(one.keys, history(one)) for one in subjects])}
    if not arguments.study:
        return found
    found |= comparisons(cases, tables["metrics"], arguments)
    if "timing" not in found:
        print(
            f"no timing.csv: it compares spike trains of a {albsnn_conditions.REAL} network, so "
            "name one, and --steps above 1"
        )
    return found


def checks(tables: dict[str, pd.DataFrame], arguments: argparse.Namespace) -> pd.DataFrame | None:
    """What the study must show; None without binary layers or common seeds."""
    if "cost" not in tables:
        return None
    return albsnn_conditions.checks(tables["metrics"], tables["cost"])


STUDY = Study(
    scheme=SCHEME,
    networks=NETWORKS,
    compares_networks=True,
    comparisons="also potentials, accuracy and spike timing with layers made binary after the "
    "training, what binary synapses cost in the engine, and the published figures",
    sweeps=("n_steps",),
    imports_refused="ONNX and Keras files hold no spiking units, which networks of this scheme are "
    "trained with (docs/train-your-own.md); modules with such units come from PyTorch, by "
    "studies/import_network.py",
    conditions=conditions,
    quick={"steps": 2, "spikes": 20},
    columns=columns,
    tables=tables,
    summaries=summaries,
    checks=checks,
    printed=printed,
    remarks={"checks": "what must hold of a whole study"},
    figures=FIGURES,
    published=PUBLISHED,
)
