"""What is published of the study of locally binary networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.studies.albsnn import conditions as albsnn_conditions
from ann2brian.studies.frame.markdown import accuracies, checks_table, markdown
from ann2brian.studies.frame.publishing import Published, largest


def is_wanted(config: dict[str, Any]) -> bool:
    """Whole studies with one step."""
    return config["study"] and 1 in config["steps"]


def collect_albsnn(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Whole studies: runs and layers as means over seeds; published figures and checks."""
    shown = largest(folders, is_wanted)
    runs, layers, costs, papers = [], [], [], []
    found: dict[str, pd.DataFrame] = {}
    for dataset, folder in shown.items():
        metrics = pd.read_csv(folder / "metrics.csv")
        metrics["n_weights"] = metrics["weight_bits_real"] / 32
        by = ["dataset", "setting", "n_steps", "n_images", "latency_ms"]
        runs.append(
            metrics.groupby(by, sort=False, as_index=False).agg(
                n_seeds=("training_seed", "nunique"),
                n_weights=("n_weights", "mean"),
                saving=("saving", "mean"),
                least_saving=("saving", "min"),
                most_saving=("saving", "max"),
                ann_accuracy=("ann_accuracy", "mean"),
                accuracy=("snn_accuracy", "mean"),
                lowest=("snn_accuracy", "min"),
                highest=("snn_accuracy", "max"),
                equal_logits=("equal_logits", "mean"),
                spikes_per_image=("spikes_per_image", "mean"),
                events_per_image=("synaptic_events_per_image", "mean"),
            )
        )
        table = pd.read_csv(folder / "layers.csv")
        is_shown = table["setting"].isin((albsnn_conditions.REAL, albsnn_conditions.DEFAULT))
        table = table[is_shown & (table["n_steps"] == 1)]
        means = ["loss_rise", "weight_error", "output_error", "n_weights", "n_file_bytes"]
        means += ["saving", "operations_per_image", "events_per_image", "spikes_per_neuron_step"]
        of_layers = table.groupby(
            ["setting", "layer", "is_binary"], sort=False, as_index=False
        ).agg(
            n_networks=("training_seed", "nunique"),
            **{name: (name, "mean") for name in means},
        )
        n_seeds = table.groupby("setting")["training_seed"].nunique()
        of_layers["n_seeds"] = of_layers["setting"].map(n_seeds)
        for column in ("layer", "setting"):  # in the order of the study, real ones first
            order = {value: place for place, value in enumerate(table[column].unique())}
            key = of_layers[column].map(order)
            of_layers = of_layers.iloc[np.argsort(key, kind="stable")]
        of_layers.insert(0, "dataset", dataset)
        layers.append(of_layers)
        if (folder / "cost.csv").exists():
            costs.append(pd.read_csv(folder / "cost.csv"))
            costs[-1].insert(0, "dataset", dataset)
        if dataset != "digits":  # on which nothing is published
            papers.append(pd.read_csv(folder / "paper.csv"))
        if (folder / "checks.csv").exists():
            found["albsnn_checks"] = pd.read_csv(folder / "checks.csv")
    if runs:
        tables = {"": runs, "_layers": layers, "_cost": costs, "_paper": papers}
        found |= {f"albsnn{name}": pd.concat(parts) for name, parts in tables.items() if parts}
    if papers:  # each has all published figures
        found["albsnn_paper"] = found["albsnn_paper"].drop_duplicates()
    return found


def albsnn_table(runs: pd.DataFrame) -> str:
    """Accuracy by training and steps, and what is saved, means over seeds."""
    steps = sorted(runs["n_steps"].unique())
    head = ["data", "trained as", "seeds", "weights", "storage saved"]
    head += [f"T = {t}" for t in steps]
    head += ["equal at T = 1", "spikes per image", "synaptic events", "latency"]
    rows = []
    for (dataset, setting), own in runs.groupby(["dataset", "setting"], sort=False):
        by_step = own.set_index("n_steps")
        first = by_step.loc[1]
        ends = [f"{first[end]:.1%}" for end in ("least_saving", "most_saving")]
        rows.append(
            [
                f"{dataset} ({first.n_images:,})",
                setting,
                f"{first.n_seeds}",
                f"{first.n_weights:,.0f}",
                " to ".join(dict.fromkeys(ends)),
                *accuracies(by_step, steps),
                f"{first.equal_logits:.0%}",
                f"{first.spikes_per_image:,.0f}",
                f"{first.events_per_image / 1e6:.3g} M",
                f"{first.latency_ms:g} ms",
            ]
        )
    return markdown(head, rows)


def albsnn_layers_table(layers: pd.DataFrame) -> str:
    """Estimates, storage and events of each layer in one step, real and binary ones apart."""
    head = ["data, trained as", "layer", "weights are", "seeds", "loss rise", "weight error"]
    head += ["output error", "weights", "in the file", "saved", "operations, dense"]
    head += ["synaptic events", "spikes per neuron"]
    rows = []
    for row in layers.itertuples():
        estimates = [row.loss_rise, row.weight_error, row.output_error]
        rows.append(
            [
                f"{row.dataset}, {row.setting}",
                row.layer,
                "binary" if row.is_binary else "real",
                f"{row.n_networks} of {row.n_seeds}",
                *("" if pd.isna(value) else f"{value:.3g}" for value in estimates),
                f"{row.n_weights:,.0f}",
                f"{row.n_file_bytes:,.0f} B",
                f"{row.saving:.1%}",
                f"{row.operations_per_image / 1e6:.3g} M",
                "current"
                if pd.isna(row.events_per_image)
                else f"{row.events_per_image / 1e6:.3g} M",
                "" if pd.isna(row.spikes_per_neuron_step) else f"{row.spikes_per_neuron_step:.3f}",
            ]
        )
    return markdown(head, rows)


def albsnn_cost_table(cost: pd.DataFrame) -> str:
    """Binary synapses beside real ones of the same weights."""
    head = ["data", "kernels of binary layers", "loop", "per synaptic event", "of numbers"]
    head += ["memory", "of numbers"]
    numbers = cost[cost["kernels"] == "numbers"].set_index("dataset")["weight_bytes"]
    rows = (
        [
            row.dataset,
            {"packed": "signs, packed", "numbers": "numbers"}[row.kernels],
            f"{row.loop_s:.2f} s",
            f"{row.ns_per_event:.2f} ns",
            f"{row.time_ratio:.0%}",
            f"{row.weight_bytes:,} B",
            f"{row.weight_bytes / numbers[row.dataset]:.1%}",
        ]
        for row in cost.itertuples()
    )
    return markdown(head, rows)


def albsnn_paper_table(paper: pd.DataFrame) -> str:
    """Published figures beside ours."""
    head = ["source", "data", "T", "accuracy", "storage saved", "weights", "remark"]
    rows = []
    for row in paper.itertuples():
        is_here = row.source.startswith("here")
        rows.append(
            [
                row.source,
                row.dataset,
                f"{row.n_steps}",
                f"{row.accuracy:.2%}",
                f"{row.saving:.1%}" if is_here else f"more than {row.saving:.0%}",
                f"{row.n_weights:,.0f}" if is_here else "not established",
                row.what,
            ]
        )
    return markdown(head, rows)


PUBLISHED = Published(
    collect=collect_albsnn,
    tables={
        "albsnn": albsnn_table,
        "albsnn_layers": albsnn_layers_table,
        "albsnn_cost": albsnn_cost_table,
        "albsnn_paper": albsnn_paper_table,
        "albsnn_checks": checks_table,
    },
    pictures=("albsnn_accuracy.png", "albsnn_choice.png"),
    varies=("n_steps",),
    is_wanted=is_wanted,
)
