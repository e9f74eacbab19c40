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

from studies import common

PUBLISHED = common.ROOT / "studies" / "published"
README = common.ROOT / "README.md"
PICTURE = "amos_raster.png"


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


TABLES = {"amos": amos_table, "benchmark": benchmark_table}


def filled(text: str, published: Path = PUBLISHED) -> str:
    """README text with every table written anew from the published numbers."""
    for name, table in TABLES.items():
        between = re.compile(f"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        rows = table(pd.read_csv(published / f"{name}.csv"))
        text = between.sub(lambda found, rows=rows: f"{found[1]}{rows}\n{found[2]}", text)
    return text


def _is_reference(folder: Path) -> bool:
    """Whole data set, and nothing varied but what the tables show."""
    config = json.loads((folder / "config.json").read_text())
    plain = {"quick": False, "half_step": False, "inhibition": "amos", "weight_bits": 16}
    plain |= {"calibration": 512, "slot_ms": 1.0, "is_whole_test_split": True}
    return all(config.get(key, value) == value for key, value in plain.items())


def main(argv: Sequence[str] | None = None) -> None:
    """Collect, copy and write."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--results", type=Path, default=common.RESULTS)
    arguments = flags.parse_args(argv)
    PUBLISHED.mkdir(exist_ok=True)
    with common.refusals():
        for scheme in TABLES:
            folders = common.complete_results(arguments.results / scheme)
            folders = [folder for folder in folders if _is_reference(folder)]
            if not folders:
                raise ValueError(f"no complete results in {arguments.results / scheme}")
            tables = pd.concat([pd.read_csv(f / "metrics.csv") for f in folders])
            if scheme == "amos":
                keys = ["dataset", "gate", "refit", "range_percentile", "neurons_per_gate"]
                tables = tables.sort_values(keys, kind="stable")
                first = next(f for f in folders if f.name.startswith("fashion-mnist"))
                shutil.copy2(first / "figures" / PICTURE, PUBLISHED / PICTURE)
            tables.to_csv(PUBLISHED / f"{scheme}.csv", index=False)
        README.write_text(filled(README.read_text()))


if __name__ == "__main__":
    main()
