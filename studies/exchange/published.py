"""What is published of the exchange between simulators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from ann2brian.studies.exchange.conventions import DEFINITION, MEANT
from ann2brian.studies.frame.markdown import markdown
from ann2brian.studies.frame.publishing import Published, Report, configuration, finished

COMPILED = "cpp_standalone"
SAME = ["tool", "nodes", "convention", "lost"]  # what a row of the page has in common


def collect(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Rows of the newest of the largest compiled runs, or of the largest of others."""

    def rank(folder: Path) -> tuple[bool, int, str]:
        n_rows = len(pd.read_csv(folder / "metrics.csv"))
        return configuration(folder)["target"] == COMPILED, n_rows, finished(folder)

    rows = pd.read_csv(max(folders, key=rank) / "metrics.csv")
    return {"exchange": rows.sort_values("file", kind="stable").convert_dtypes()}


def exchange_table(rows: pd.DataFrame) -> str:
    """Spikes that differ, by tool, nodes and convention; networks of one kind are one row."""
    head = [
        "written by",
        "nodes",
        "reset",
        "lost",
        "networks",
        "spikes",
        "differ, NumPy",
        "differ, Brian2",
        "read by the definition alone",
    ]
    rows = rows.fillna({"lost": ""})
    meant = rows[rows.reading == MEANT]
    plain = rows[rows.reading == DEFINITION]
    return markdown(
        head,
        (
            [
                str(tool),
                str(nodes),
                str(convention),
                str(lost),
                f"{len(own)}",
                f"{own.spikes.sum():,.0f}",
                _differ(own, "numpy"),
                _differ(own, "brian2"),
                _alone(plain[plain.file.isin(own.file)]),
            ]
            for (tool, nodes, convention, lost), own in meant.groupby(SAME)
        ),
    )


def _differ(own: pd.DataFrame, where: str) -> str:
    """How many differ, and the first."""
    n_differ = own[f"{where}_differ"].sum()
    if n_differ == 0:
        return "0"
    first = own.loc[own[f"{where}_step"].idxmin()]
    return f"{n_differ:,.0f}, from step {first[f'{where}_step']:.0f}, {first[f'{where}_layer']}"


def _alone(own: pd.DataFrame) -> str:
    """What a reader without a dialect gets: the share of spikes that differ, and the first step."""
    if own.empty:
        return "the same"
    read = own[own.spikes.notna()]
    said: Sequence[str] = ["refused"] if len(read) < len(own) else []
    if len(read):
        share = read.numpy_differ.sum() / read.spikes.sum()
        first = f", from step {read.numpy_step.min():.0f}" if share else ""
        said = [f"{share:.0%}{first}", *said]
    return "; ".join(said)


EXCHANGE = Report(
    name="exchange",
    figures=(),
    published=Published(collect=collect, tables={"exchange": exchange_table}),
)
