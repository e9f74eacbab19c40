"""The AMOS study: one network, converted with one or more sizes of gates."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.amos import SCHEME
from ann2brian.models.schemes.amos.circuits import circuits
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.studies.amos.figures import FIGURES
from ann2brian.studies.amos.published import PUBLISHED
from ann2brian.studies.amos.tables import columns, printed, tables, time_columns
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.network_under_test import Subject
from ann2brian.studies.frame.study import Study

NETWORKS = {"digits": "digits-relu", "fashion-mnist": "fashion-relu"}
GATES = ("relu", "silu")  # of shipped networks, whose names end with it


def add_flags(flags: argparse.ArgumentParser) -> None:
    """The choice between shipped networks."""
    flags.add_argument(
        "--gate", choices=GATES, help="activation of the shipped network (default: relu)"
    )


def default_network(arguments: argparse.Namespace) -> str:
    """Shipped network of a data set with the activation that is asked for."""
    return NETWORKS[arguments.dataset].replace("relu", arguments.gate or "relu")


def conditions(
    subjects: list[Subject], asked: list[AmosOptions], arguments: argparse.Namespace
) -> list[Case]:
    """One condition for each size of the gates, the largest last."""
    (subject,) = subjects
    arguments.gate = _gate(subject.network, arguments.gate)  # as it is, in the configuration
    return [
        Case(
            subject=subject,
            options=options,
            label=f"K = {options.neurons_per_gate}",
            named_by={"neurons_per_gate": options.neurons_per_gate},
        )
        for options in sorted(set(asked), key=lambda options: options.neurons_per_gate)
    ]


def _gate(network: Network, wanted: str | None) -> str:
    found = sorted({gate.function for gate in circuits(network).activations})
    if wanted is not None and found != [wanted]:
        raise ValueError(f"--gate {wanted}: {network.name} has {' and '.join(found)} activations")
    return "+".join(found)


def label(cases: Sequence[Case]) -> list[str]:
    """Sizes of the gates."""
    return ["K" + "-".join(str(case.options.neurons_per_gate) for case in cases)]


STUDY = Study(
    scheme=SCHEME,
    networks=NETWORKS,
    add_flags=add_flags,
    default_network=default_network,
    sweeps=("neurons_per_gate",),
    conditions=conditions,
    label=label,
    records_all=20_000_000,
    columns=columns,
    time_columns=time_columns,
    tables=tables,
    printed=printed,
    figures=FIGURES,
    published=PUBLISHED,
)
