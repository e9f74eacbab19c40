"""What is published of the burst study."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from ann2brian.studies.burst.conditions import shape_checks
from ann2brian.studies.frame.markdown import accuracies, checks_table, markdown
from ann2brian.studies.frame.publishing import Published, checked_studies


def collect_burst(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Curves at powers of two; matched accuracy and checks of the whole study.

    Where a condition was run more than once, the study's curve counts.
    """
    curves: list[pd.DataFrame] = []
    seen: set[tuple] = set()
    study = checked_studies(folders)
    for folder in study + [folder for folder in folders if folder not in study]:
        time, metrics = (pd.read_csv(folder / f"{name}.csv") for name in ("time", "metrics"))
        time = time[(time["step"] & (time["step"] - 1)) == 0].drop(columns="gamma")
        keys = ["condition", "dataset", "network", "gamma", "pooling", "n_images", "ann_accuracy"]
        curve = time.merge(metrics[[*keys, "equal_logits"]], on="condition")
        names = list(curve[["dataset", "network", "condition"]].itertuples(index=False, name=None))
        curves.append(curve[[name not in seen for name in names]])
        seen |= set(names)
    found = {"burst": pd.concat(curves)}
    if not study:
        print("burst: no whole study, its published tables stay")
        return found
    return found | {
        "burst_matched": pd.read_csv(study[0] / "matched.csv"),
        "burst_checks": shape_checks(pd.read_csv(study[0] / "time.csv")),
    }


def burst_table(time: pd.DataFrame) -> str:
    """Accuracy of each conversion by the steps it may take."""
    steps = sorted(time["step"].unique())
    head = ["data", "scale, limit, start", "pooling", "trained", *(f"T = {t}" for t in steps)]
    head += ["spikes per image at T = 32"]
    rows = []
    for (dataset, network, name), own in time.groupby(
        ["dataset", "network", "condition"], sort=False
    ):
        by_step = own.set_index("step")
        first = own.iloc[0]
        at = by_step.spikes_per_image.get(32, float("nan"))
        kind = "" if network.endswith("burst") else f", {network.split('-')[-1]}"
        rows.append(
            [
                f"{dataset}{kind} ({first.n_images:,})",
                name,
                first.pooling,
                f"{first.ann_accuracy:.2%}",
                *accuracies(by_step, steps),
                "" if pd.isna(at) else f"{at:,.0f}",
            ]
        )
    return markdown(head, rows)


def burst_matched_table(matched: pd.DataFrame) -> str:
    """Fewest steps within a loss, beside plain integrate-and-fire conversion."""
    head = ["loss at most", "scale, limit, start", "T", "sub-steps", "biological time", "accuracy"]
    head += ["spikes", "energy", "T, ratio", "time, ratio", "spikes, ratio", "energy, ratio"]
    rows = (
        [
            f"{row.loss_points:g}",
            row.condition,
            f"{row.step:g}",
            f"{row.sub_steps:g}",
            f"{row.time_ms:g} ms",
            f"{row.accuracy:.2%}",
            f"{row.spikes_per_image:,.0f}",
            f"{row.energy_nj / 1000:.3g} uJ",
            f"{row.step_ratio:.3g}",
            f"{row.time_ratio:.3g}",
            f"{row.spike_ratio:.3g}",
            f"{row.energy_ratio:.3g}",
        ]
        for row in matched.itertuples()
    )
    return markdown(head, rows)


PUBLISHED = Published(
    collect=collect_burst,
    tables={
        "burst": burst_table,
        "burst_matched": burst_matched_table,
        "burst_checks": checks_table,
    },
    pictures=("burst_raster.png", "burst_accuracy.png"),
    varies=(
        "n_steps",
        "gamma",
        "own_limits",
        "normalisation",
        "percentile",
        "channel_wise",
        "initial",
        "bias_correction",
        "pooling",
    ),
)
