"""The burst study: a network as burst neurons, beside plain integrate-and-fire conversion."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pandas as pd
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.burst import SCHEME
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies.burst import conditions as burst_conditions
from ann2brian.studies.burst.conditions import Condition
from ann2brian.studies.burst.figures import FIGURES
from ann2brian.studies.burst.published import PUBLISHED
from ann2brian.studies.burst.tables import columns, printed, tables, time_columns
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.flags import natural
from ann2brian.studies.frame.network_under_test import Subject
from ann2brian.studies.frame.study import Study

NETWORKS = {"digits": "digits-burst", "fashion-mnist": "fashion-burst"}
DEFAULTS = BurstOptions()
QUICK_STEPS = 8


def add_flags(flags: argparse.ArgumentParser) -> None:
    """The baseline."""
    flags.add_argument(
        "--baseline-steps",
        type=natural,
        help="steps of plain integrate-and-fire conversion beside it; 0 for none (default: 8 T)",
    )


def conditions(
    subjects: list[Subject], asked: list[BurstOptions], arguments: argparse.Namespace
) -> list[Case]:
    """Baseline, the comparisons of a study and what is asked for, without repetition."""
    (subject,) = subjects
    is_quantised = burst_conditions.is_quantised(subject.network)
    if is_quantised:
        _refuse_comparisons(subject.network, arguments)
    n_steps = arguments.steps or (1 if is_quantised else DEFAULTS.n_steps)
    n_steps = min(n_steps, QUICK_STEPS) if arguments.quick else n_steps
    wanted = [
        Condition(is_quantised=is_quantised, options=replace(options, n_steps=n_steps))
        for options in asked
    ]
    base = wanted[-1].options
    steps = arguments.baseline_steps
    if steps is None:
        steps = 0 if is_quantised else burst_conditions.baseline_steps(n_steps)
    try:
        baseline = burst_conditions.baseline(base, max(steps, 1))
    except ValueError as error:
        raise ValueError(f"--baseline-steps: {error}") from None
    before = [baseline] if steps else []
    if arguments.study:
        before += burst_conditions.study(base)
    found: dict[str, Condition] = {}
    for condition in before + wanted:
        # Of one name, the last counts, in its place; in a study, which compares, the longest.
        same = found.pop(condition.label, condition)
        is_longer = same.options.n_steps > condition.options.n_steps
        found[condition.label] = same if arguments.study and is_longer else condition
    return [
        Case(subject=subject, options=condition.options, label=label)
        for label, condition in found.items()
    ]


def _refuse_comparisons(network: Network, arguments: argparse.Namespace) -> None:
    """A quantised network is converted in one way only, so nothing can be compared."""
    given = {
        "--study": arguments.study,
        "--baseline-steps": bool(arguments.baseline_steps),
        "--gamma": arguments.gamma != [DEFAULTS.gamma],
        "--normalisation": arguments.normalisation != [DEFAULTS.normalisation],
        "--initial": arguments.initial != DEFAULTS.initial,
        "--channel-wise": arguments.channel_wise,
        "--own-limits": arguments.own_limits,
        "--bias-correction": arguments.bias_correction,
    }
    for flag, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{flag}: {network.name} has quantised activations, which bring their own scales, "
                "limits and initial potential; leave the flag out"
            )


def summaries(
    cases: list[Case], tables: dict[str, pd.DataFrame], arguments: argparse.Namespace
) -> dict[str, pd.DataFrame]:
    """Fewest steps within a loss, beside the baseline of the conversion that is shown."""
    baseline = burst_conditions.baseline(cases[-1].options, 1).label
    return {"matched": burst_conditions.matched(tables["time"], tables["metrics"], baseline)}


def checks(tables: dict[str, pd.DataFrame], arguments: argparse.Namespace) -> pd.DataFrame | None:
    """Shapes of a whole study; None, and a word about it, where something is left out."""
    try:
        return burst_conditions.shape_checks(tables["time"], arguments.timing)
    except KeyError as missing:
        print(f"the shapes are not checked: {missing.args[0]}")
        return None


STUDY = Study(
    scheme=SCHEME,
    networks=NETWORKS,
    add_flags=add_flags,
    comparisons="all comparisons: limits, pooling rules, ablation, initial potential",
    sweeps=("gamma", "normalisation", "pooling"),
    by_network={"n_steps": f"{DEFAULTS.n_steps}; 1 for quantised networks"},
    conditions=conditions,
    n_spikes=10,
    columns=columns,
    time_columns=time_columns,
    tables=tables,
    summaries=summaries,
    checks=checks,
    printed=printed,
    remarks={
        "matched": "fewest steps within a loss, and ratios to plain integrate-and-fire conversion "
        "where it was run",
        "checks": "what must hold of a whole study",
    },
    figures=FIGURES,
    published=PUBLISHED,
)
