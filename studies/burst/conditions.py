"""The conditions of the burst study, and what must hold between them.

A condition is one conversion of one network. The baseline is the conversion that bursts are
measured against: scale from the maximum, one spike a step, start at rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from ann2brian.models.conversion.options import MOST_STEPS
from ann2brian.models.networks.layers import QuantisedReLU
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.burst.options import BurstOptions

LOSSES = (0.3, 1.0)  # points of accuracy below the trained network
COSTS = ("step", "sub_steps", "time_ms", "accuracy", "spikes_per_image", "energy_nj")
RATIOS = {
    "step_ratio": "step",
    "time_ratio": "time_ms",
    "spike_ratio": "spikes_per_image",
    "energy_ratio": "energy_nj",
}
BASELINE = {"normalisation": "maximum", "percentile": 100.0, "gamma": 1, "initial": 0.0}
PLAIN = {"channel_wise": False, "bias_correction": False}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One conversion.

    Parameters
    ----------
    options : BurstOptions
        How to convert.
    is_quantised : bool
        The network brings its own scales, limits and initial potential.
    """

    options: BurstOptions
    is_quantised: bool = False

    @property
    def label(self) -> str:
        """Readable name, the same for the same options but the number of steps."""
        o = self.options
        rule = {
            "maximum": "max",
            "percentile": f"Q{o.percentile:g}",
            "percentile/gamma": f"Q{o.percentile:g}/gamma",
            "compatibility": f"cut Q{o.percentile:g}",
        }[o.normalisation]
        extras = [
            rule + (" by channel" if o.channel_wise else ""),
            f"gamma {o.gamma}" + (" own limits" if o.own_limits else ""),
            f"V0 {o.initial:g}" + (" corrected" if o.bias_correction else ""),
        ]
        if self.is_quantised:
            extras = ["scales as trained", "V0 0.5"]
        if o.pooling != "lipool":
            extras.append(o.pooling)
        if o.timing != "double-buffer":
            extras.append(o.timing)
        return ", ".join(extras)


def is_quantised(network: Network) -> bool:
    """Whether the network has quantised activations, which bring scales, limits and start."""
    return any(isinstance(layer, QuantisedReLU) for layer in network.layers)


def baseline_steps(n_steps: int) -> int:
    """Steps of the baseline beside a conversion of `n_steps`, unless others are asked for."""
    return min(8 * n_steps, MOST_STEPS)


def baseline(base: BurstOptions, n_steps: int) -> Condition:
    """Plain integrate-and-fire conversion with the same weights, pooling and timing."""
    return Condition(options=replace(base, n_steps=n_steps, **PLAIN, **BASELINE))


def study(base: BurstOptions) -> list[Condition]:
    """Conditions of the whole study, apart from `base` itself and the baseline.

    Parameters
    ----------
    base : BurstOptions
        Its timing, intervals and weights hold for all; its steps too, but for comparisons that
        need twice or half as many.

    Returns
    -------
    list of Condition
        Limits 1, 2, 3 and 5 at an aggressive percentile (99) and a very aggressive one (90); the
        pooling rules; the chain of the ablation; the initial potential; and bursts without
        percentile.
    """
    plain = replace(
        base,
        normalisation="percentile",
        percentile=99.0,
        initial=0.0,
        own_limits=False,
        pooling="lipool",
        **PLAIN,
    )
    long = {"n_steps": min(2 * base.n_steps, MOST_STEPS)}  # where little error is left
    short = {"n_steps": max(base.n_steps // 2, 1), "percentile": 90.0}
    changes: list[dict] = [{"gamma": gamma} for gamma in (1, 2, 3)] + [long]
    changes += [{**short, "gamma": gamma} for gamma in (1, 3)]
    changes += [{"pooling": "gated"}, {**long, "pooling": "or"}]
    changes += [{"gamma": 1, "pooling": "gated"}]
    changes += [{"gamma": 1, "pooling": "gated", "normalisation": "maximum"}]
    changes += [{"initial": 0.5}]
    changes += [{"normalisation": "maximum"}]
    return [Condition(options=replace(plain, **{"gamma": 5, **change})) for change in changes]


def matched(time: pd.DataFrame, metrics: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Fewest steps with which each condition is within a given loss, against the baseline.

    Parameters
    ----------
    time : DataFrame
        One row per condition and step: condition, step, sub_steps, time_ms, accuracy,
        spikes_per_image, energy_nj.
    metrics : DataFrame
        One row per condition: condition, ann_accuracy.
    reference : str
        Label of the baseline.

    Returns
    -------
    DataFrame
        One row per condition and loss that it reaches: condition, loss_points, step, sub_steps,
        time_ms, accuracy, spikes_per_image, energy_nj, and step_ratio, time_ratio, spike_ratio,
        energy_ratio to the baseline; NaN where the baseline does not get there, or for nothing.
        Without ratios if the baseline was not run.
    """
    trained = metrics.set_index("condition")["ann_accuracy"]
    rows = []
    for loss in LOSSES:
        is_enough = time["accuracy"] >= time["condition"].map(trained) - loss / 100 - 1e-9
        first = time[is_enough].groupby("condition", sort=False).first()
        for name, row in first.iterrows():
            found = {"condition": name, "loss_points": loss}
            found |= {column: row[column] for column in COSTS}
            for ratio, column in RATIOS.items():
                plain = first[column].get(reference, 0)
                found[ratio] = row[column] / plain if plain > 0 else np.nan
            rows.append(found)
    ratios = RATIOS if (time["condition"] == reference).any() else ()
    return pd.DataFrame(rows, columns=["condition", "loss_points", *COSTS, *ratios])


@dataclass(frozen=True, kw_only=True)
class _Values:
    """Values of the conditions of `study` by label and step."""

    time: pd.DataFrame
    timing: str

    def at(self, column: str, step: int, **change: object) -> float:
        options: dict = {
            "normalisation": "percentile",
            "percentile": 99.0,
            "initial": 0.0,
            "gamma": 5,
            "timing": self.timing,
            **change,
        }
        label = Condition(options=BurstOptions(**options)).label
        rows = self.time[(self.time["condition"] == label) & (self.time["step"] == step)]
        if rows.empty:
            raise KeyError(f"no condition {label!r} with step {step}")
        return float(rows[column].iloc[0])


def _alike(one: float, other: float) -> float:
    return min(one, other) / max(one, other)


# What must hold on the reference network: the shapes of the specification, section 10. Own: the
# bound 0.8 where it says "without effect", and T = 128 in S3b, which asks for 10 at T = 64. There
# S3c shows what this network reaches.
CHECKS: tuple[tuple[str, str, float, Callable[[_Values], float]], ...] = (
    (
        "S1",
        "Q90, T = 32: points gained by bursts of 3",
        10.0,
        lambda v: (
            100
            * (
                v.at("accuracy", 32, percentile=90.0, gamma=3)
                - v.at("accuracy", 32, percentile=90.0, gamma=1)
            )
        ),
    ),
    (
        "S2",
        "Q99, T = 64: error of the logits of single spikes over that of pairs",
        5.0,
        lambda v: v.at("logit_mse", 64, gamma=1) / v.at("logit_mse", 64, gamma=2),
    ),
    (
        "S2b",
        "Q99, T = 64: error of the logits, limits 3 and 5, the smaller over the larger",
        0.8,
        lambda v: _alike(v.at("logit_mse", 64, gamma=3), v.at("logit_mse", 64)),
    ),
    (
        "S2c",
        "maximum, T = 64: error of the logits, limits 1 and 5, the smaller over the larger",
        0.8,
        lambda v: _alike(
            v.at("logit_mse", 64, normalisation="maximum", gamma=1),
            v.at("logit_mse", 64, normalisation="maximum"),
        ),
    ),
    (
        "S3a",
        "Q99, T = 64: error of the logits of gated pooling over that of LIPool",
        2.0,
        lambda v: v.at("logit_mse", 64, pooling="gated") / v.at("logit_mse", 64),
    ),
    (
        "S3b",
        "Q99, T = 128: error of the logits of OR pooling over that of LIPool",
        10.0,
        lambda v: v.at("logit_mse", 128, pooling="or") / v.at("logit_mse", 128),
    ),
    (
        "S3c",
        "Q99, T = 64: error of the logits of OR pooling over that of LIPool",
        2.0,
        lambda v: v.at("logit_mse", 64, pooling="or") / v.at("logit_mse", 64),
    ),
    (
        "S4",
        "Q99, T = 4: points gained by starting at half the threshold",
        20.0,
        lambda v: 100 * (v.at("accuracy", 4, initial=0.5) - v.at("accuracy", 4)),
    ),
)


def shape_checks(time: pd.DataFrame, timing: str = BurstOptions.timing) -> pd.DataFrame:
    """Compare the conditions of `study` with the shapes measured for the specification.

    Parameters
    ----------
    time : DataFrame
        One row per condition and step: condition, step, accuracy, logit_mse. All conditions of
        `study` with at least 64 steps, and the baseline with LIPool.
    timing : str
        Of the study; no shape depends on it.

    Returns
    -------
    DataFrame
        check, what, at_least, found, holds.
    """
    values = _Values(time=time, timing=timing)
    rows = [
        {"check": name, "what": what, "at_least": least, "found": measure(values)}
        for name, what, least, measure in CHECKS
    ]
    table = pd.DataFrame(rows)
    table["holds"] = table["found"] >= table["at_least"]
    return table
