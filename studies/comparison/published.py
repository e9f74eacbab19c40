"""What is published of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from ann2brian.analysis.figures.comparison import NAMES
from ann2brian.studies.comparison.figures import FIGURES
from ann2brian.studies.frame.markdown import markdown
from ann2brian.studies.frame.publishing import Published, Report, configuration, largest


def is_whole(config: dict[str, Any]) -> bool:
    """Whether a result has every scheme."""
    return set(NAMES) <= {own["scheme"] for own in config["conditions"]}


def collect(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Rows of the largest result on each data set."""
    found = largest(folders, is_whole)
    if not found:
        print("comparison: no result with every scheme, its published table stays")
        return {}
    tables = {"comparison": "metrics", "comparison_matched": "matched"}
    return {
        name: pd.concat(_read(folder, file) for folder in found.values())
        for name, file in tables.items()
    }


def _read(folder: Path, name: str) -> pd.DataFrame:
    """A table of a result, with the name of the data set."""
    table = pd.read_csv(folder / f"{name}.csv")
    return table if "dataset" in table else table.assign(dataset=configuration(folder)["dataset"])


def comparison_table(rows: pd.DataFrame) -> str:
    """Every scheme and setting: how well, how fast, at which cost."""
    head = ["scheme", "setting", "network", "trained", "spiking (95 % interval)", "agreement"]
    head += [
        "latency",
        "images per biological s",
        "neurons",
        "spikes",
        "per neuron",
        "events",
        "energy",
    ]
    head += ["trained network's energy", "weights", "training", "build + run"]
    return markdown(
        head,
        (
            [
                NAMES[row.scheme],
                row.condition,
                f"`{row.network}`",
                f"{row.ann_accuracy:.2%}",
                f"{row.snn_accuracy:.2%} ({row.accuracy_low:.1%} to {row.accuracy_high:.1%})",
                f"{row.agreement:.2%}",
                f"{row.latency_ms:g} ms",
                _three_digits(row.images_per_biological_s),
                f"{row.n_neurons:,}",
                f"{row.spikes_per_image:,.0f}",
                f"{row.spikes_per_neuron:.3f}",
                f"{row.synaptic_events_per_image:,.0f}",
                f"{_three_digits(row.energy_nj)} nJ",
                f"{_three_digits(row.ann_energy_nj)} nJ",
                f"{_three_digits(row.weight_bits / 1e3)} kbit",
                "" if pd.isna(row.training_s) else f"{row.training_s:,.0f} s",
                f"{_three_digits(row.build_s)} + {_three_digits(row.run_s)} s",
            ]
            for row in rows.itertuples()
        ),
    )


def matched_table(rows: pd.DataFrame) -> str:
    """What each scheme needs to come within a point of its trained network."""
    head = ["scheme", "setting", "network", "trained", "step", "spiking (95 % interval)"]
    head += ["time", "spikes", "events", "energy"]
    return markdown(head, (_matched_cells(row) for row in rows.itertuples()))


def _matched_cells(row: Any) -> list[str]:
    cells = [NAMES[row.scheme], row.condition, f"`{row.network}`", f"{row.ann_accuracy:.2%}"]
    if pd.isna(row.step):
        return [*cells, "none", *[""] * 5]
    return [
        *cells,
        f"{row.step:.0f}",
        f"{row.accuracy:.2%} ({row.accuracy_low:.1%} to {row.accuracy_high:.1%})",
        f"{row.time_ms:g} ms",
        f"{row.spikes_per_image:,.0f}",
        f"{row.events_per_image:,.0f}",
        f"{_three_digits(row.energy_nj)} nJ",
    ]


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


COMPARISON = Report(
    name="comparison",
    figures=FIGURES,
    published=Published(
        collect=collect,
        tables={"comparison": comparison_table, "comparison_matched": matched_table},
        pictures=("comparison_frontier.png",),
        is_wanted=is_whole,
        takes_parts=True,
    ),
)
