"""Put the numbers and the pictures of README and docs in place, from stored results.

    python studies/publish.py

Copies the numbers of complete reference results to ``studies/published/*.csv``, of studies the
largest on each data set, pictures beside them, and writes the tables between the markers of
README.md and docs. Nothing is typed by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import json
import re
import shutil
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from ann2brian.studies.albsnn import conditions as albsnn_conditions
from ann2brian.studies.burst.conditions import shape_checks
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame.headlines import costs_table, schemes_table
from ann2brian.studies.frame.markdown import TABLES

PUBLISHED = common.ROOT / "studies" / "published"
SUMMARIES = {"schemes": schemes_table, "costs": costs_table}  # of several tables
PAGES = (common.ROOT / "README.md", *sorted((common.ROOT / "docs").rglob("*.md")))


def filled(text: str, published: Path = PUBLISHED) -> str:
    """Text with every table that has published numbers written anew.

    A table stands between ``<!-- name -->`` and ``<!-- end name -->``. A page that shows some of
    the rows only says which: ``<!-- name: condition -->``, as `DataFrame.query` reads it.
    """
    for name, table in TABLES.items():
        if not (published / f"{name}.csv").exists():
            continue
        numbers = pd.read_csv(published / f"{name}.csv")
        between = re.compile(
            rf"(<!-- {name}(?:: ([^\n]+))? -->\n).*?(<!-- end {name} -->)", re.DOTALL
        )
        text = between.sub(
            lambda found, table=table, numbers=numbers: (
                f"{found[1]}{table(_rows(numbers, found[2]))}\n{found[3]}"
            ),
            text,
        )
    for name, summary in SUMMARIES.items():
        if f"<!-- {name} -->" in text:
            between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
            text = between.sub(rf"\g<1>{summary(published)}\n\g<2>", text)
    return text


def _rows(numbers: pd.DataFrame, condition: str | None) -> pd.DataFrame:
    return numbers if condition is None else numbers.query(condition, engine="python")


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


def _largest(folders: list[Path], is_wanted: Callable[[dict], bool]) -> dict[str, Path]:
    """By data set, the wanted result with most networks, then most conditions; then the newest."""
    found: dict[str, tuple[tuple[int, int, str], Path]] = {}
    for folder in folders:
        config = json.loads((folder / "config.json").read_text())
        if is_wanted(config):
            n_networks = len(set(config["weights_sha256"]))
            own = ((n_networks, len(config["conditions"]), _finished(folder)), folder)
            found[config["dataset"]] = max(own, found.get(config["dataset"], own))
    return {dataset: folder for dataset, (_, folder) in sorted(found.items())}


def _studies(folders: list[Path]) -> list[Path]:
    """Whole studies, those whose shapes were checked."""
    found = [f for f in folders if "-study" in f.name and (f / "checks.csv").exists()]
    return sorted(found, key=_finished, reverse=True)


def _pictured(scheme: str, folders: list[Path]) -> Path:
    """Whose pictures are published: of a study in the tables, on Fashion-MNIST if there is one."""
    if scheme in IS_STUDY:
        in_tables = _largest(folders, IS_STUDY[scheme])
        return in_tables.get("fashion-mnist") or next(iter(in_tables.values()), folders[0])
    fashion = [f for f in folders if f.name.startswith("fashion-mnist")]
    return (_studies(folders) or fashion or folders)[0]


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
    shown = _largest(folders, IS_STUDY["noise"])
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


def collect_albsnn(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Whole studies: runs and layers as means over seeds; published figures and checks."""
    shown = _largest(folders, IS_STUDY["albsnn"])
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


IS_STUDY: dict[str, Callable[[dict], bool]] = {  # by configuration, whether it is in the tables
    "noise": lambda config: config["study"] and config["steps"] == 8,
    "albsnn": lambda config: config["study"] and 1 in config["steps"],
}
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
            for picture in PICTURES.get(scheme, ()):
                shutil.copy2(_pictured(scheme, folders) / "figures" / picture, PUBLISHED / picture)
        for page in PAGES:
            page.write_text(filled(page.read_text()))


if __name__ == "__main__":
    main()
