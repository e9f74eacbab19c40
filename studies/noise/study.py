"""The noise study: networks trained with noise for one step, run for several."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pandas as pd
from ann2brian.models.conversion.as_trained import as_trained
from ann2brian.models.conversion.options import options_of
from ann2brian.models.schemes.noise import SCHEME
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.studies.frame import rate_conversion
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.flags import place_of
from ann2brian.studies.frame.network_under_test import Subject, shown_of
from ann2brian.studies.frame.study import Study
from ann2brian.studies.noise import conditions as noise_conditions
from ann2brian.studies.noise import single_neuron
from ann2brian.studies.noise.comparison import comparison
from ann2brian.studies.noise.figures import FIGURES
from ann2brian.studies.noise.published import PUBLISHED
from ann2brian.studies.noise.tables import columns, printed, tables, trained_scores

NETWORKS = {"digits": "digits-noise", "fashion-mnist": "fashion-noise"}
QUICK_STEPS = 4
QUICK_EFFORT = single_neuron.Effort(n_singles=200, n_trials=8)


def conditions(
    subjects: list[Subject], asked: list[NoiseOptions], arguments: argparse.Namespace
) -> list[Case]:
    """Every network under every condition, the one to be shown last."""
    spiking = [one for one in subjects if noise_conditions.is_spiking(one.network)]
    if (len(spiking) < len(subjects) and not arguments.study) or not spiking:
        names = ", ".join(one.network.name for one in subjects if one not in spiking)
        raise ValueError(
            f"{names}: no spiking units; such networks take part in --study only, as rate "
            "conversion beside others. Name a network that was trained for it "
            "(docs/train-your-own.md, or studies/train.py --scheme noise)"
        )
    if arguments.study:
        _refuse_variants(arguments, as_trained(NoiseOptions(), spiking[0].network))
    shown = shown_of(spiking, noise_conditions.DEFAULT)
    cases = []
    for subject in [*(other for other in subjects if other is not shown), shown]:
        if subject not in spiking:
            found = noise_conditions.rate_conditions(
                QUICK_STEPS if arguments.quick else rate_conversion.N_STEPS
            )
        elif arguments.study:
            base = asked[0]
            if base.n_steps is None:  # the networks differ, a study compares the same steps
                base = replace(base, n_steps=NoiseOptions.declared("n_steps").otherwise)
            base = as_trained(base, subject.network)
            found = noise_conditions.study(base, subject.setting, has_variants=subject is shown)
            if subject is shown:  # its plain condition comes last
                found = [*found[1:], found[0]]
        else:
            told = (as_trained(options, subject.network) for options in asked)
            found = noise_conditions.labelled(dict.fromkeys(told))
        cases += [Case(subject=subject, options=c.options, label=c.label) for c in found]
    return cases


def _refuse_variants(arguments: argparse.Namespace, told: NoiseOptions) -> None:
    """A study varies rule, leak, reset, start and mean itself; `told` is as trained."""
    for option in options_of(NoiseOptions):
        value = getattr(arguments, place_of(option))
        usual = (option.default, getattr(told, option.name))
        if option.name in STUDY.sweeps:
            (value,) = value if len(value) == 1 else (value,)
        if option.name not in ("n_steps", "dt_ms", "weight_bits") and value not in usual:
            raise ValueError(
                f"--{option.flag}: --study varies the rules and their options itself; leave out "
                "one of the two"
            )


def summaries(
    cases: list[Case], tables: dict[str, pd.DataFrame], arguments: argparse.Namespace
) -> dict[str, pd.DataFrame]:
    """One neuron over trials, and the steps that each method needs."""
    if not arguments.study:
        return {}
    effort = QUICK_EFFORT if arguments.quick else single_neuron.Effort()
    found = single_neuron.tables(effort, arguments.seed, arguments.target)
    compared = comparison(cases, tables["time"], arguments)
    return found if compared.empty else found | {"comparison": compared}


def checks(tables: dict[str, pd.DataFrame], arguments: argparse.Namespace) -> pd.DataFrame | None:
    """What the study must show."""
    return noise_conditions.checks(tables["time"])


STUDY = Study(
    scheme=SCHEME,
    networks=NETWORKS,
    compares_networks=True,
    comparisons="all comparisons: rules, control, variants, one neuron, steps to equal accuracy",
    sweeps=("rule",),
    imports_refused="ONNX and Keras files hold no spiking units, which networks of this scheme are "
    "trained with (docs/train-your-own.md); modules with such units come from PyTorch, by "
    "studies/import_network.py, and so do networks that --study converts to rates beside them",
    conditions=conditions,
    quick={"steps": QUICK_STEPS, "spikes": 20},
    trained_scores=trained_scores,
    columns=columns,
    tables=tables,
    summaries=summaries,
    checks=checks,
    printed=printed,
    remarks={
        "comparison": "what each method needs to be as accurate as the noise-trained network",
        "checks": "what must hold of a whole study",
    },
    figures=FIGURES,
    published=PUBLISHED,
)
