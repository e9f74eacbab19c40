"""What is published of the study of perturbations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from ann2brian.studies.biology.figures import FIGURES
from ann2brian.studies.frame.markdown import markdown
from ann2brian.studies.frame.publishing import Published, Report, largest

LEAST_IMAGES, LEAST_SEEDS = 500, 5  # of which a point of accuracy is more than a few images
TABLES = {  # published, by the name in a result
    "sweep": "biology",
    "tolerance": "biology_tolerance",
    "pairs": "biology_pairs",
    "layers": "biology_layers",
}
WORDS = {
    "rate": "rate",
    "first_spike": "first spike",
    "isi": "interval",
    "bursts": "bursts",
    "pattern": "pattern",
}


def is_wanted(config: dict[str, Any]) -> bool:
    """Whether a result is of enough images and seeds."""
    return config["images"] >= LEAST_IMAGES and config["seeds"] >= LEAST_SEEDS


def collect(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Tables of the largest result on each data set."""
    chosen = largest(folders, is_wanted).values()
    found = {}
    for name, published in TABLES.items():
        files = [folder / f"{name}.csv" for folder in chosen]
        tables = [pd.read_csv(file) for file in files if file.exists()]
        if tables:
            found[published] = pd.concat(tables)
    return found


def tolerance_table(table: pd.DataFrame) -> str:
    """What each scheme bears, in physical units and relative to its own scales.

    One row for each perturbation, data set and loss, and a second one where relative strengths are
    of the scheme's own scales.
    """
    schemes = list(dict.fromkeys(table["scheme"]))
    rows = []
    for (dataset, points, name), own in table.groupby(
        ["dataset", "points", "perturbation"], sort=False
    ):
        by_scheme = own.set_index("scheme")
        units = ["physical", "relative"]
        if (own["physical_said"] == own["relative_said"]).all() or "%" in set(own["physical_unit"]):
            units = ["physical"]
        for unit in units:
            cells = [
                str(by_scheme[f"{unit}_said"][scheme]) if scheme in by_scheme.index else ""
                for scheme in schemes
            ]
            label = own[f"{unit}_unit"].iloc[0]
            rows.append([str(dataset), str(points), str(name), label, *cells])
    return markdown(["data", "points lost", "perturbation", "unit", *schemes], rows)


def pairs_table(table: pd.DataFrame) -> str:
    """Losses of pairs in points, beside the sum of what each loses alone."""
    head = ["data", "scheme", "pair", "alone", "sum", "both", "more than the sum (95 %)"]
    rows = (
        [
            row.dataset,
            row.scheme,
            f"{row.first} and {row.second}",
            f"{100 * row.loss_first:.1f} and {100 * row.loss_second:.1f}",
            f"{100 * row.loss_sum:.1f}",
            f"{100 * row.loss_both:.1f}",
            f"{100 * row.excess:.1f} ({100 * row.excess_low:.1f} to {100 * row.excess_high:.1f})",
        ]
        for row in table.itertuples()
    )
    return markdown(head, rows)


def layers_table(table: pd.DataFrame) -> str:
    """First layer of each scheme that fails, and what changes most there."""
    schemes = list(dict.fromkeys(table["scheme"]))
    rows = []
    for (dataset, name), own in table.groupby(["dataset", "perturbation"], sort=False):
        cells = [_failing(own[own["scheme"] == scheme]) for scheme in schemes]
        rows.append([str(dataset), str(name), *cells])
    return markdown(["data", "perturbation", *schemes], rows)


def _failing(own: pd.DataFrame) -> str:
    """Layer that fails first, and its change; of nothing that costs a point, nothing."""
    if own.empty:
        return ""
    first = own[own["fails_first"]]
    if first.empty:
        return "none"
    row = first.iloc[0]
    change = "" if row["how"] == "pattern" else f" {100 * row[row['how']]:+.0f} %"
    share = f"{100 * row['differing']:.0f} % of spikes"
    return f"{row['layer']}: {WORDS[row['how']]}{change}, {share}"


BIOLOGY = Report(
    name="biology",
    figures=FIGURES,
    published=Published(
        collect=collect,
        tables={
            "biology_tolerance": tolerance_table,
            "biology_pairs": pairs_table,
            "biology_layers": layers_table,
        },
        pictures=tuple(f"{draw.__name__}.png" for draw in FIGURES),
        is_wanted=is_wanted,
    ),
)
