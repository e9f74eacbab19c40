"""Put the numbers and the picture of the README in place, from stored results.

    python studies/publish.py

Copies the metrics of all complete results to ``studies/published/*.csv``, one picture beside
them, and writes the tables between the markers of README.md. Nothing is typed by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import json
import re
import shutil
from collections.abc import Sequence

import pandas as pd

from studies import albsnn_conditions, common
from studies.burst_conditions import shape_checks

PUBLISHED = common.ROOT / "studies" / "published"
README = common.ROOT / "README.md"


def amos_table(metrics: pd.DataFrame) -> str:
    """Accuracy of both networks and what the spiking one costs, as Markdown."""
    lines = [
        "| data, gate | K | range | trained | spiking | agree | spikes per neuron | "
        "latency | synaptic events per image |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in metrics.itertuples():
        fitted = "refit" if row.refit else "shipped fit"
        reach = f"{row.range_percentile:g} %" if row.gate == "relu" else fitted
        lines.append(
            f"| {row.dataset}, {row.gate} ({row.n_images:,}) | {row.neurons_per_gate} | {reach} | "
            f"{row.ann_accuracy:.2%} | {row.snn_accuracy:.2%} | {row.agreement:.2%} | "
            f"{row.spikes_per_neuron:.3f} | {row.latency_ms:g} ms | "
            f"{row.synaptic_events_per_image / 1e6:.3g} M |"
        )
    return "\n".join(lines)


def benchmark_table(ratios: pd.DataFrame) -> str:
    """The benchmark's ratios as Markdown."""
    lines = ["| quantity | measured |", "|---|---|"]
    lines += [f"| {row.quantity} | {row.value:.3g} |" for row in ratios.itertuples()]
    return "\n".join(lines)


def burst_table(time: pd.DataFrame) -> str:
    """Accuracy of each conversion by the steps it may take, as Markdown."""
    steps = sorted(time["step"].unique())
    head = ["data", "scale, limit, start", "pooling", "trained", *(f"T = {t}" for t in steps)]
    head += ["spikes per image at T = 32"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (dataset, network, name), rows in time.groupby(
        ["dataset", "network", "condition"], sort=False
    ):
        by_step = rows.set_index("step")
        first = rows.iloc[0]
        shown = [f"{by_step.accuracy[t]:.2%}" if t in by_step.index else "" for t in steps]
        at = by_step.spikes_per_image.get(32, float("nan"))
        kind = "" if network.endswith("burst") else f", {network.split('-')[-1]}"
        cells = [
            f"{dataset}{kind} ({first.n_images:,})",
            name,
            first.pooling,
            f"{first.ann_accuracy:.2%}",
            *shown,
            "" if pd.isna(at) else f"{at:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def burst_matched_table(matched: pd.DataFrame) -> str:
    """Fewest steps within a loss, beside plain integrate-and-fire conversion, as Markdown."""
    lines = [
        "| loss at most | scale, limit, start | T | sub-steps | biological time | accuracy | "
        "spikes | energy | T, ratio | time, ratio | spikes, ratio | energy, ratio |",
        "|---" * 12 + "|",
    ]
    for row in matched.itertuples():
        lines.append(
            f"| {row.loss_points:g} | {row.condition} | {row.step:g} | {row.sub_steps:g} | "
            f"{row.time_ms:g} ms | {row.accuracy:.2%} | {row.spikes_per_image:,.0f} | "
            f"{row.energy_nj / 1000:.3g} uJ | {row.step_ratio:.3g} | {row.time_ratio:.3g} | "
            f"{row.spike_ratio:.3g} | {row.energy_ratio:.3g} |"
        )
    return "\n".join(lines)


def checks_table(checks: pd.DataFrame) -> str:
    """Shapes that must hold, and what was found, as Markdown."""
    lines = ["| check | what | at least | found |", "|---|---|---|---|"]
    lines += [
        f"| {r.check} | {r.what} | {r.at_least:g} | {r.found:.3g} |" for r in checks.itertuples()
    ]
    return "\n".join(lines)


def noise_table(time: pd.DataFrame) -> str:
    """Accuracy of each network and rule by the steps it runs, means over seeds, as Markdown."""
    steps = sorted(time["step"].unique())
    head = ["data", "trained as", "run as", "seeds", *(f"N = {t}" for t in steps)]
    head += ["spikes per image at N = 8"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (dataset, setting, condition), rows in time.groupby(
        ["dataset", "setting", "condition"], sort=False
    ):
        by_step = rows.set_index("step")
        first = rows.iloc[0]
        at = by_step.spikes_per_image.get(8, float("nan"))
        cells = [
            f"{dataset} ({first.n_images:,})",
            setting,
            condition,
            str(first.n_seeds),
            *(f"{by_step.accuracy[t]:.2%}" if t in by_step.index else "" for t in steps),
            "" if pd.isna(at) else f"{at:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def noise_comparison_table(comparison: pd.DataFrame) -> str:
    """What each method needs to be as accurate as the noise-trained network, as Markdown."""
    lines = [
        "| data, seed | method | aim | steps | accuracy | biological time | wall time per image | "
        "spikes per image |",
        "|---" * 8 + "|",
    ]
    for row in comparison.itertuples():
        cells = [
            f"{row.dataset}, {row.training_seed}",
            row.method,
            f"{row.target_accuracy:.2%}",
        ]
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
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def albsnn_table(runs: pd.DataFrame) -> str:
    """Accuracy by training and steps, and what is saved, means over seeds, as Markdown."""
    steps = sorted(runs["n_steps"].unique())
    head = ["data", "trained as", "seeds", "weights", "storage saved"]
    head += [f"T = {t}" for t in steps]
    head += ["equal at T = 1", "spikes per image", "synaptic events", "latency"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (dataset, setting), rows in runs.groupby(["dataset", "setting"], sort=False):
        by_step = rows.set_index("n_steps")
        first = by_step.loc[1]
        cells = [
            f"{dataset} ({first.n_images:,})",
            setting,
            f"{first.n_seeds}",
            f"{first.n_weights:,.0f}",
            f"{first.saving:.1%}",
            *(f"{by_step.accuracy[t]:.2%}" if t in by_step.index else "" for t in steps),
            f"{first.equal_logits:.0%}",
            f"{first.spikes_per_image:,.0f}",
            f"{first.events_per_image / 1e6:.3g} M",
            f"{first.latency_ms:g} ms",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def albsnn_layers_table(layers: pd.DataFrame) -> str:
    """Choice, estimates, storage and events of each layer in one step, as Markdown."""
    lines = [
        "| data, trained as | layer | binary | loss rise | weight error | output error | weights | "
        "in the file | saved | synaptic events | spikes per neuron |",
        "|---" * 11 + "|",
    ]
    for row in layers.itertuples():
        estimates = [row.loss_rise, row.weight_error, row.output_error]
        cells = [
            f"{row.dataset}, {row.setting}",
            row.layer,
            f"{row.n_binary} of {row.n_seeds}",
            *("" if pd.isna(value) else f"{value:.3g}" for value in estimates),
            f"{row.n_weights:,.0f}",
            f"{row.n_file_bytes:,.0f} B",
            f"{row.saving:.1%}",
            "current" if pd.isna(row.events_per_image) else f"{row.events_per_image / 1e6:.3g} M",
            "" if pd.isna(row.spikes_per_neuron_step) else f"{row.spikes_per_neuron_step:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def albsnn_paper_table(paper: pd.DataFrame) -> str:
    """Published figures beside ours, as Markdown."""
    lines = [
        "| source | data | T | accuracy | storage saved | weights | remark |",
        "|---" * 7 + "|",
    ]
    for row in paper.itertuples():
        is_here = row.source.startswith("here")
        cells = [
            row.source,
            row.dataset,
            f"{row.n_steps}",
            f"{row.accuracy:.2%}",
            f"{row.saving:.1%}" if is_here else f"more than {row.saving:.0%}",
            f"{row.n_weights:,.0f}" if is_here else "not established",
            row.what,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def training_table(training: pd.DataFrame) -> str:
    """What a training step costs, as Markdown."""
    lines = [
        "| data | method | time per image | of direct training, T = 4 | half of the rounds |",
        "|---" * 5 + "|",
    ]
    lines += [
        f"| {row.dataset} | {row.method} | {row.ms_per_image:.3f} ms | {row.ratio:.0%} | "
        f"{row.low:.0%} to {row.high:.0%} |"
        for row in training.itertuples()
    ]
    return "\n".join(lines)


TABLES = {  # marker in the README and name of the CSV file
    "amos": amos_table,
    "burst": burst_table,
    "burst_matched": burst_matched_table,
    "burst_checks": checks_table,
    "noise": noise_table,
    "noise_checks": checks_table,
    "noise_comparison": noise_comparison_table,
    "albsnn": albsnn_table,
    "albsnn_layers": albsnn_layers_table,
    "albsnn_paper": albsnn_paper_table,
    "albsnn_checks": checks_table,
    "training": training_table,
    "benchmark": benchmark_table,
}


def filled(text: str, published: Path = PUBLISHED) -> str:
    """README text with every table that has published numbers written anew."""
    for name, table in TABLES.items():
        if not (published / f"{name}.csv").exists():
            continue
        between = re.compile(f"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        rows = table(pd.read_csv(published / f"{name}.csv"))
        text = between.sub(lambda found, rows=rows: f"{found[1]}{rows}\n{found[2]}", text)
    return text


def _is_reference(folder: Path) -> bool:
    """Whole data set, and nothing varied but what the tables show."""
    config = json.loads((folder / "config.json").read_text())
    plain = {"quick": False, "half_step": False, "inhibition": "amos", "weight_bits": 16}
    plain |= {"calibration": 512, "slot_ms": 1.0, "is_whole_test_split": True, "seed": 1}
    plain |= {"leak": 1.0, "reset": "soft", "start": "fixed", "floor": False, "dt_ms": 1.0}
    plain |= {"mean": None, "sigma": None}
    if config["scheme"] == "albsnn":
        plain |= {"leak": 0.5, "reset": "hard"}
    plain |= {"timing": "double-buffer", "intra_burst_ms": 2.0, "guard_ms": 4.0, "delay_ms": 2.0}
    return all(config.get(key, value) == value for key, value in plain.items())


def _finished(folder: Path) -> str:
    return json.loads((folder / "provenance.json").read_text())["finished"]


def _studies(folders: list[Path]) -> list[Path]:
    """Whole studies, those whose shapes were checked."""
    found = [f for f in folders if "-study" in f.name and (f / "checks.csv").exists()]
    return sorted(found, key=_finished, reverse=True)


def collect_amos(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Metrics of all results, by K."""
    keys = ["dataset", "gate", "refit", "range_percentile", "neurons_per_gate"]
    metrics = pd.concat([pd.read_csv(folder / "metrics.csv") for folder in folders])
    return {"amos": metrics.sort_values(keys, kind="stable")}


def collect_burst(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Curves at powers of two; matched accuracy and checks of the whole study.

    Where a condition was run more than once, the study's curve counts.
    """
    curves: list[pd.DataFrame] = []
    seen: set[tuple] = set()
    study = _studies(folders)
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


def collect_noise(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Whole studies: curves at powers of two, means over seeds; comparison and checks."""
    curves: list[pd.DataFrame] = []
    found: dict[str, pd.DataFrame] = {}
    newest: dict[str, Path] = {}  # by data set
    for folder in sorted(folders, key=_finished):
        config = json.loads((folder / "config.json").read_text())
        if config["study"] and config["steps"] == 8:
            newest[config["dataset"]] = folder
    for folder in newest.values():
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


def collect_albsnn(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Whole studies: runs and layers as means over seeds; published figures and checks."""
    newest: dict[str, Path] = {}  # by data set
    for folder in sorted(folders, key=_finished):
        config = json.loads((folder / "config.json").read_text())
        if config["study"] and 1 in config["steps"]:
            newest[config["dataset"]] = folder
    runs, layers = [], []
    found: dict[str, pd.DataFrame] = {}
    for dataset, folder in newest.items():
        metrics = pd.read_csv(folder / "metrics.csv")
        metrics["n_weights"] = metrics["weight_bits_real"] / 32
        by = ["dataset", "setting", "n_steps", "n_images", "latency_ms"]
        runs.append(
            metrics.groupby(by, sort=False, as_index=False).agg(
                n_seeds=("training_seed", "nunique"),
                n_weights=("n_weights", "mean"),
                saving=("saving", "mean"),
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
        shown = table["setting"].isin((albsnn_conditions.REAL, albsnn_conditions.DEFAULT))
        means = ["loss_rise", "weight_error", "output_error", "n_weights", "n_file_bytes"]
        means += ["saving", "events_per_image", "spikes_per_neuron_step"]
        by_layer = table[shown & (table["n_steps"] == 1)].groupby(
            ["setting", "layer"], sort=False, as_index=False
        )
        of_layers = by_layer.agg(
            n_seeds=("training_seed", "nunique"),
            n_binary=("is_binary", "sum"),
            **{name: (name, "mean") for name in means},
        )
        of_layers.insert(0, "dataset", dataset)
        layers.append(of_layers)
        for name in ("paper", "checks"):
            # The published figures are of Fashion-MNIST, and so are the demands.
            if dataset == "fashion-mnist" and (folder / f"{name}.csv").exists():
                found[f"albsnn_{name}"] = pd.read_csv(folder / f"{name}.csv")
    if runs:
        found |= {"albsnn": pd.concat(runs), "albsnn_layers": pd.concat(layers)}
    return found


def collect_training(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Cost of a training step on each data set."""
    tables = []
    for folder in {f.name.rsplit("-", 1)[0]: f for f in sorted(folders, key=_finished)}.values():
        table = pd.read_csv(folder / "metrics.csv")
        table.insert(0, "dataset", json.loads((folder / "config.json").read_text())["dataset"])
        tables.append(table)
    return {"training": pd.concat(tables)}


def collect_benchmark(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Ratios of the benchmark."""
    return {"benchmark": pd.concat([pd.read_csv(folder / "metrics.csv") for folder in folders])}


COLLECT = {
    "amos": collect_amos,
    "burst": collect_burst,
    "noise": collect_noise,
    "albsnn": collect_albsnn,
    "training": collect_training,
    "benchmark": collect_benchmark,
}
PICTURES = {
    "amos": ("amos_raster.png",),
    "burst": ("burst_raster.png", "burst_accuracy.png"),
    "noise": ("noise_accuracy.png", "noise_psychometric.png"),
    "albsnn": ("albsnn_accuracy.png", "albsnn_choice.png"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Collect, copy and write; what has no stored result stays as it was published."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--results", type=Path, default=common.RESULTS)
    arguments = flags.parse_args(argv)
    PUBLISHED.mkdir(exist_ok=True)
    with common.refusals():
        for scheme, collect in COLLECT.items():
            folders = common.complete_results(arguments.results / scheme)
            folders = [folder for folder in folders if _is_reference(folder)]
            if not folders:
                print(f"{scheme}: no complete reference results, published numbers stay")
                continue
            for name, table in collect(folders).items():
                table.to_csv(PUBLISHED / f"{name}.csv", index=False)
            fashion = [f for f in folders if f.name.startswith("fashion-mnist")]
            shown = _studies(folders) or fashion or folders
            for picture in PICTURES.get(scheme, ()):
                shutil.copy2(shown[0] / "figures" / picture, PUBLISHED / picture)
        README.write_text(filled(README.read_text()))


if __name__ == "__main__":
    main()
