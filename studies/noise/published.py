"""What is published of the noise study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from ann2brian.studies.frame.markdown import accuracies, checks_table, markdown
from ann2brian.studies.frame.publishing import Published, largest


def is_wanted(config: dict[str, Any]) -> bool:
    """Whole studies of eight steps."""
    return config["study"] and config["steps"] == 8


def collect_noise(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Whole studies: curves at powers of two, means over seeds; comparison and checks."""
    curves: list[pd.DataFrame] = []
    found: dict[str, pd.DataFrame] = {}
    shown = largest(folders, is_wanted)
    for folder in shown.values():
        time, metrics = (pd.read_csv(folder / f"{name}.csv") for name in ("time", "metrics"))
        time = time[(time["step"] & (time["step"] - 1)) == 0]
        by = ["setting", "condition", "step"]
        curve = time.groupby(by, sort=False, as_index=False).agg(
            accuracy=("accuracy", "mean"),
            lowest=("accuracy", "min"),
            highest=("accuracy", "max"),
            n_seeds=("training_seed", "nunique"),
            spikes_per_image=("spikes_per_image", "mean"),
        )
        curve.insert(0, "dataset", metrics["dataset"].iloc[0])
        curve["n_images"] = metrics["n_images"].iloc[0]
        curves.append(curve)
        for name in ("comparison", "checks"):
            if (folder / f"{name}.csv").exists():
                table = pd.read_csv(folder / f"{name}.csv")
                table.insert(0, "dataset", metrics["dataset"].iloc[0])
                found[f"noise_{name}"] = pd.concat([found.get(f"noise_{name}"), table])
    if curves:
        found["noise"] = pd.concat(curves)
    return found


def noise_table(time: pd.DataFrame) -> str:
    """Accuracy of each network and rule by the steps it runs, means over seeds."""
    steps = sorted(time["step"].unique())
    head = ["data", "trained as", "run as", "seeds", *(f"N = {t}" for t in steps)]
    head += ["spikes per image at N = 8"]
    rows = []
    for (dataset, setting, condition), own in time.groupby(
        ["dataset", "setting", "condition"], sort=False
    ):
        by_step = own.set_index("step")
        first = own.iloc[0]
        at = by_step.spikes_per_image.get(8, float("nan"))
        rows.append(
            [
                f"{dataset} ({first.n_images:,})",
                setting,
                condition,
                f"{first.n_seeds}",
                *accuracies(by_step, steps),
                "" if pd.isna(at) else f"{at:,.0f}",
            ]
        )
    return markdown(head, rows)


def noise_comparison_table(comparison: pd.DataFrame) -> str:
    """What each method needs to be as accurate as the noise-trained network."""
    head = ["data, seed", "method", "aim", "steps", "accuracy", "biological time"]
    head += ["wall time per image", "spikes per image"]
    rows = []
    for row in comparison.itertuples():
        cells = [f"{row.dataset}, {row.training_seed}", row.method, f"{row.target_accuracy:.2%}"]
        if pd.isna(row.n_steps):
            cells += ["not reached", f"{row.accuracy:.2%}", "", "", ""]
        else:
            cells += [
                f"{row.n_steps:g}",
                f"{row.accuracy:.2%}",
                f"{row.latency_ms:g} ms",
                f"{row.ms_per_image:.2f} ms",
                f"{row.spikes_per_image:,.0f}",
            ]
        rows.append(cells)
    return markdown(head, rows)


PUBLISHED = Published(
    collect=collect_noise,
    tables={
        "noise": noise_table,
        "noise_checks": checks_table,
        "noise_comparison": noise_comparison_table,
    },
    pictures=("noise_accuracy.png", "noise_psychometric.png"),
    varies=("n_steps", "rule"),
    is_wanted=is_wanted,
)
