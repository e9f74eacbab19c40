"""The conditions of the noise study: which network runs by which rule, and how it is called.

A setting is what a network was trained with: `noise` (the default), other noises, the negative
control, direct training with several steps, or an analogue network for rate conversion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from ann2brian.models.networks.layers import Spike
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.studies.frame import rate_conversion

DEFAULT = "noise"
CONTROL = "noise-control"
DIRECT = {"direct2": 2, "direct4": 4}
RATE = "rate"
METHODS = {
    DEFAULT: "noise-trained, N steps",
    "direct2": "direct, T = 2",
    "direct4": "direct, T = 4",
    RATE: "rate conversion",
}
# What must hold on Fashion-MNIST: name, what, least value.
CHECKS = (
    ("T1", "accuracy (%) of one step", 90.0),
    ("N8", "accuracy (%) of 8 steps", 91.0),
    ("gain", "points gained by 8 steps", 0.5),
    ("never below", "least points gained by any N up to 8", -0.2),
    ("memoryless gain", "memoryless: points gained by 8 steps over one noisy step", 0.5),
    ("memoryless, never below", "memoryless: least points gained by any N up to 8", -0.2),
    ("control", "points that the negative control loses by N = 4", 3.0),
)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One way to run one network.

    Parameters
    ----------
    options : Options
        How to convert: those of this scheme, or of rate conversion for analogue networks.
    label : str
        Readable name.
    """

    options: Any
    label: str


def label_of(options: NoiseOptions) -> str:
    """Readable name, the same for the same options but steps, time step and weight bits."""
    parts = [options.rule]
    if options.rule != "memoryless":  # which has no use for what is carried
        if options.leak != 1:
            parts.append(f"leak {options.leak:g}")
        if options.reset != "soft":
            parts.append(f"{options.reset} reset")
        if options.start != "fixed":
            parts.append(f"{options.start} start")
        if options.has_floor:
            parts.append("floor")
    for name in ("mean", "sigma"):
        value = getattr(options, name)
        if value is not None:
            parts.append(f"{name} {value:g}")
    return ", ".join(parts)


def is_spiking(network: Network) -> bool:
    """Whether the network was trained with spiking units."""
    return any(isinstance(layer, Spike) for layer in network.layers)


def rate_conditions(n_steps: int) -> list[Condition]:
    """Rate conversion of an analogue network, with and without today's improvements."""
    return [
        Condition(
            options=rate_conversion.at_rest(n_steps),
            label="rate, maximum, start at rest",
        ),
        Condition(
            options=rate_conversion.improved(n_steps),
            label="rate, percentile 99.9, start at half",
        ),
    ]


def labelled(asked: Iterable[NoiseOptions]) -> list[Condition]:
    """Conditions with the given options."""
    return [Condition(options=options, label=label_of(options)) for options in asked]


def study(base: NoiseOptions, setting: str, has_variants: bool) -> list[Condition]:
    """Conditions of one network in the whole study.

    Parameters
    ----------
    base : NoiseOptions
        Steps, time step and weight bits hold for all.
    setting : str
        See the module.
    has_variants : bool
        Add the rule "both", hard reset, a drawn start, a forgotten mean, leak and diffusive noise.
    """
    found = [base]
    if setting not in (CONTROL, *DIRECT):
        found.append(replace(base, rule="memoryless"))
    if has_variants:
        found += [
            replace(base, rule="both"),
            replace(base, rule="diffusive"),
            replace(base, start="drawn"),
            replace(base, reset="hard"),
            replace(base, leak=0.5),
            replace(base, mean=0.0),
        ]
    return labelled(found)


def checks(time: pd.DataFrame) -> pd.DataFrame | None:
    """What the study must show, from means over training seeds; None where something is missing.

    Parameters
    ----------
    time : DataFrame
        One row per network, condition and step: setting, condition, step, accuracy.

    Returns
    -------
    DataFrame or None
        check, what, at_least, found, holds.
    """
    wanted = ((DEFAULT, "residual"), (DEFAULT, "memoryless"), (CONTROL, "residual"))
    curves = []
    for setting, condition in wanted:
        rows = time[(time["setting"] == setting) & (time["condition"] == condition)]
        curves.append(100 * rows.groupby("step")["accuracy"].mean())
    if any(len(curve) < 8 for curve in curves):
        return None
    own, memoryless, control = curves
    found = {
        "T1": own[1],
        "N8": own[8],
        "gain": own[8] - own[1],
        "never below": (own.loc[2:8] - own[1]).min(),
        "memoryless gain": memoryless[8] - memoryless[1],
        "memoryless, never below": (memoryless.loc[2:8] - memoryless[1]).min(),
        "control": control[1] - control[4],
    }
    table = pd.DataFrame(
        [
            {"check": name, "what": what, "at_least": least, "found": found[name]}
            for name, what, least in CHECKS
        ]
    )
    table["holds"] = table["found"] >= table["at_least"]
    return table
