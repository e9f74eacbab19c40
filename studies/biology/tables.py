"""Tables of the sweep: accuracy against strength, what each scheme bears, and pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import tolerance
from ann2brian.studies.biology.arms import Arm
from ann2brian.studies.biology.kinds import Kind
from ann2brian.studies.biology.runs import Point, Runs

POINTS = (1, 10)  # of accuracy lost, for which strengths are looked for
WITHIN, BEFORE, BEYOND = "within", "before", "beyond"  # of what was tested, where a strength lies
N_PAIRED = 3  # perturbations of which all pairs are run


def sweep(
    runs: Runs, arms: Mapping[str, Arm], kinds: Mapping[str, Kind], dataset: str
) -> pd.DataFrame:
    """Accuracy, agreement and cost at each strength, with intervals over seeds and images."""
    rows = []
    for scheme, arm in arms.items():
        base = runs.unperturbed(scheme)
        control = runs.predictions[base] == arm.labels
        for kind in kinds.values():
            factor = kind.scale.factor(arm.spiking)
            for strength in (kind.none, *runs.strengths(scheme, kind)):
                parts = ((kind.name, strength),)
                own = [p for p in runs.rows if p.scheme == scheme and p.parts == parts]
                right = runs.correct(scheme, parts, arm.labels)
                (lost,), drawn = tolerance.losses(right[None], control)
                low, high = tolerance.interval(drawn[:, 0])
                _, wrong = tolerance.losses(right[None], np.ones_like(control))
                accuracy = [1 - end for end in tolerance.interval(wrong[:, 0])[::-1]]
                agree = [(runs.predictions[p] == runs.predictions[base]).mean() for p in own]
                rows.append(
                    {
                        "scheme": scheme,
                        "dataset": dataset,
                        "perturbation": kind.name,
                        "relative": strength,
                        "relative_unit": kind.scale.relative,
                        "physical": strength * factor,
                        "physical_unit": kind.scale.physical,
                        "is_none": strength == kind.none,
                        "n_seeds": len(own),
                        "n_images": len(control),
                        "accuracy": right.mean(),
                        "accuracy_low": accuracy[0],
                        "accuracy_high": accuracy[1],
                        "loss": lost,
                        "loss_low": low,
                        "loss_high": high,
                        "agreement": np.mean(agree),
                        **{
                            column: np.mean([runs.rows[p][column] for p in own])
                            for column in ("spikes_per_image", "latency_ms")
                        },
                    }
                )
    return pd.DataFrame(rows)


def tolerances(
    runs: Runs, arms: Mapping[str, Arm], kinds: Mapping[str, Kind], dataset: str
) -> pd.DataFrame:
    """Strength at which 1 and 10 points of accuracy are lost, relative and in physical units.

    Numbers are missing where a strength lies outside of what was tested; `is` says on which side.
    """
    rows = []
    for scheme, arm in arms.items():
        control = runs.predictions[runs.unperturbed(scheme)] == arm.labels
        for kind in kinds.values():
            tested = runs.strengths(scheme, kind)
            correct = [runs.correct(scheme, ((kind.name, s),), arm.labels) for s in tested]
            found, drawn = tolerance.losses(correct, control)
            for n in POINTS:
                at, *ends = _crossings(kind, tested, found, drawn, n / 100)
                rows.append(
                    {"scheme": scheme, "dataset": dataset, "perturbation": kind.name, "points": n}
                    | {"place": place(kind, tested, at), "largest_loss": float(found.max())}
                    | _told(kind, tested, kind.scale.factor(arm.spiking), at, ends)
                )
    return pd.DataFrame(rows)


def _crossings(
    kind: Kind, tested: Sequence[float], found: np.ndarray, drawn: np.ndarray, level: float
) -> tuple[float, float, float]:
    """Strength at which a loss is reached, and the weak and the strong end of its interval.

    Infinite outside of what was tested: -inf before the weakest, inf beyond the strongest.
    """

    def at(lost: np.ndarray) -> float:
        return tolerance.crossing(tested, lost, level, is_log=kind.is_log)

    every = np.array([at(lost) for lost in drawn])
    if not _rise(kind.tested):  # order by what perturbs more, in which infinities stand already
        every = np.where(np.isfinite(every), -every, every)
    weak, strong = tolerance.interval(every)
    if not _rise(kind.tested):
        weak, strong = (-end if np.isfinite(end) else end for end in (weak, strong))
    return at(found), weak, strong


def place(kind: Kind, tested: Sequence[float], at: float) -> float:
    """Where a strength stands on the way from the weakest, 0, to the strongest of the kind, 1."""
    if not np.isfinite(at):
        at = tested[-1] if at > 0 else tested[0]
    x = np.array([kind.tested[0], at, kind.tested[-1]])
    low, own, high = np.log(x) if kind.is_log else x
    return float((own - low) / (high - low))


def _rise(tested: Sequence[float]) -> bool:
    return tested[-1] > tested[0]


def _place(value: float) -> str:
    return WITHIN if np.isfinite(value) else BEYOND if value > 0 else BEFORE


def _told(
    kind: Kind, tested: Sequence[float], factor: float, at: float, ends: Sequence[float]
) -> dict[str, Any]:
    """Columns of a strength: where it lies, numbers in both units, and in words."""
    row: dict[str, Any] = {"is": _place(at), "weak_is": _place(ends[0])}
    row["strong_is"] = _place(ends[1])
    for unit, times in (("relative", 1.0), ("physical", factor)):
        values = {"": at, "_weak": ends[0], "_strong": ends[1]}
        row |= {
            f"{unit}{name}": value * times if np.isfinite(value) else np.nan
            for name, value in values.items()
        }
        row[f"{unit}_unit"] = getattr(kind.scale, unit)
        row[f"{unit}_said"] = said(kind, tested, times, at, ends)
    row |= {"weakest": tested[0], "strongest": tested[-1]}
    return row


def said(
    kind: Kind, tested: Sequence[float], factor: float, at: float, ends: Sequence[float]
) -> str:
    """A strength with its interval in words, never outside of what was tested."""
    more, less = ("more than", "less than") if _rise(kind.tested) else ("less than", "more than")

    def word(value: float) -> str:
        if np.isfinite(value):
            return f"{value * factor:.3g}"
        word, end = (more, tested[-1]) if value > 0 else (less, tested[0])
        return f"{word} {end * factor:.3g}"

    low, high = map(word, ends if _rise(kind.tested) else ends[::-1])
    return word(at) if low == high == word(at) else f"{word(at)} ({low} to {high})"


def paired_kinds(table: pd.DataFrame, kinds: Mapping[str, Kind]) -> list[str]:
    """Names of the perturbations that matter most, of which pairs are run.

    First those of which most schemes lose a point within the strengths that were tested; then those
    of which they lose it earliest on the way from the weakest to the strongest, mean over schemes.
    Whole numbers have no strength of just one point.
    """
    own = table[(table["points"] == 1) & ~table["perturbation"].map(lambda n: kinds[n].is_whole)]
    ranked = own.groupby("perturbation", sort=False).agg(
        n_schemes=("is", lambda column: (column == WITHIN).sum()), place=("place", "mean")
    )
    ranked = ranked[ranked["n_schemes"] > 0].sort_values(
        ["n_schemes", "place"], ascending=[False, True]
    )
    return list(ranked.index[:N_PAIRED])


def pair_points(
    table: pd.DataFrame, kinds: Mapping[str, Kind], seeds: Sequence[int]
) -> list[list[Point]]:
    """Runs of each scheme's pairs, and of their parts, each at its strength of one point."""
    names = paired_kinds(table, kinds)
    found = []
    one = table[(table["points"] == 1) & (table["is"] == WITHIN)]
    for scheme, own in one.groupby("scheme", sort=False):
        at = own.set_index("perturbation")["relative"]
        parts = {name: (name, float(at[name])) for name in names if name in at}
        for chosen in (*((p,) for p in parts.values()), *combinations(parts.values(), 2)):
            is_random = any(kinds[name].is_random for name, _ in chosen)
            found.append(
                [
                    Point(scheme=str(scheme), parts=chosen, seed=seed)
                    for seed in (seeds if is_random else seeds[:1])
                ]
            )
    return found


def pairs(
    runs: Runs, groups: Sequence[Sequence[Point]], arms: Mapping[str, Arm], dataset: str
) -> pd.DataFrame:
    """Loss of two perturbations at once against the sum of their losses."""
    rows = []
    for group in groups:
        scheme, parts = group[0].scheme, group[0].parts
        if len(parts) < 2:
            continue
        arm = arms[scheme]
        control = runs.predictions[runs.unperturbed(scheme)] == arm.labels
        both = runs.correct(scheme, parts, arm.labels)
        alone = [runs.correct(scheme, (part,), arm.labels) for part in parts]
        # What draws nothing is the same for every seed.
        stack = np.stack([np.broadcast_to(one, both.shape) for one in (*alone, both)])
        (first, second, joint), drawn = tolerance.losses(stack, control)
        both_low, both_high = tolerance.interval(drawn[:, 2])
        low, high = tolerance.interval(drawn[:, 2] - drawn[:, 0] - drawn[:, 1])
        rows.append(
            {
                "scheme": scheme,
                "dataset": dataset,
                "first": parts[0][0],
                "first_relative": parts[0][1],
                "second": parts[1][0],
                "second_relative": parts[1][1],
                "n_seeds": len(both),
                "n_images": len(control),
                "loss_first": first,
                "loss_second": second,
                "loss_sum": first + second,
                "loss_both": joint,
                "both_low": both_low,
                "both_high": both_high,
                "excess": joint - first - second,
                "excess_low": low,
                "excess_high": high,
            }
        )
    return pd.DataFrame(rows)
