"""What is published of the AMOS study."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from ann2brian.studies.frame.markdown import markdown
from ann2brian.studies.frame.publishing import Published


def collect_amos(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Metrics of all results, by K."""
    keys = ["dataset", "gate", "refit", "range_percentile", "neurons_per_gate"]
    metrics = pd.concat([pd.read_csv(folder / "metrics.csv") for folder in folders])
    return {"amos": metrics.sort_values(keys, kind="stable")}


def amos_table(metrics: pd.DataFrame) -> str:
    """Accuracy of both networks and what the spiking one costs."""
    head = ["data, gate", "K", "range", "trained", "spiking", "agree", "spikes per neuron"]
    head += ["latency", "synaptic events per image"]
    rows = []
    for row in metrics.itertuples():
        fitted = "refit" if row.refit else "shipped fit"
        rows.append(
            [
                f"{row.dataset}, {row.gate} ({row.n_images:,})",
                f"{row.neurons_per_gate}",
                f"{row.range_percentile:g} %" if row.gate == "relu" else fitted,
                f"{row.ann_accuracy:.2%}",
                f"{row.snn_accuracy:.2%}",
                f"{row.agreement:.2%}",
                f"{row.spikes_per_neuron:.3f}",
                f"{row.latency_ms:g} ms",
                f"{row.synaptic_events_per_image / 1e6:.3g} M",
            ]
        )
    return markdown(head, rows)


PUBLISHED = Published(
    collect=collect_amos,
    tables={"amos": amos_table},
    pictures=("amos_raster.png",),
    varies=("neurons_per_gate", "range_percentile", "refit"),
)
