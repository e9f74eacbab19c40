"""What is published of the engine's benchmark and of the cost of training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from ann2brian.studies.benchmarks.figures import (
    benchmark_cost,
    benchmark_growth,
    benchmark_speed,
    training_time,
)
from ann2brian.studies.frame.markdown import markdown
from ann2brian.studies.frame.publishing import Published, Report, configuration, finished


def collect_training(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Cost of a training step on each data set."""
    tables = []
    for folder in {f.name.rsplit("-", 1)[0]: f for f in sorted(folders, key=finished)}.values():
        table = pd.read_csv(folder / "metrics.csv")
        table.insert(0, "dataset", configuration(folder)["dataset"])
        tables.append(table)
    return {"training": pd.concat(tables)}


def collect_benchmark(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Numbers of the newest run of all parts."""
    newest = pd.read_csv(max(folders, key=finished) / "metrics.csv")
    return {"benchmark": newest.drop(columns="panel")}


def benchmark_table(quantities: pd.DataFrame) -> str:
    """Numbers of the benchmark, with the middle half of their rounds."""
    head = ["quantity", "median", "half of the rounds", "rounds"]
    rows = (
        [row.quantity, f"{row.value:.3g}", f"{row.low:.3g} to {row.high:.3g}", f"{row.rounds}"]
        for row in quantities.itertuples()
    )
    return markdown(head, rows)


def training_table(training: pd.DataFrame) -> str:
    """What a training step costs."""
    head = ["data", "method", "time per image", "of direct training, T = 4", "half of the rounds"]
    rows = (
        [
            row.dataset,
            row.method,
            f"{row.ms_per_image:.3f} ms",
            f"{row.ratio:.0%}",
            f"{row.low:.0%} to {row.high:.0%}",
        ]
        for row in training.itertuples()
    )
    return markdown(head, rows)


TRAINING = Report(
    name="training",
    figures=(training_time,),
    published=Published(collect=collect_training, tables={"training": training_table}),
)
BENCHMARK = Report(
    name="benchmark",
    figures=(benchmark_speed, benchmark_cost, benchmark_growth),
    published=Published(
        collect=collect_benchmark,
        tables={"benchmark": benchmark_table},
        pictures=("benchmark_speed.png", "benchmark_cost.png", "benchmark_growth.png"),
    ),
)
