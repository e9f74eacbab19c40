"""One row for each scheme: what it is for, and what a published run of it loses and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from ann2brian.studies.frame.markdown import markdown

FASHION = 'dataset == "fashion-mnist" and n_images == 10000'


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The row of a scheme.

    Parameters
    ----------
    page, title : str
        Name of its page in ``docs/schemes``, and for readers.
    use : str
        When to take it.
    setting : str
        Steps or neurons of the run that is shown.
    table, rows : str
        Published table, and which rows of it are the run's seeds, as `DataFrame.query` reads it.
    trained : (str, str), optional
        Table and rows that say how accurate the network was as trained, where those above do not.
    columns : mapping of str to str
        Names of the columns of that table which are called otherwise than in :meth:`numbers`.
    """

    page: str
    title: str
    use: str
    setting: str
    table: str
    rows: str
    trained: tuple[str, str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def numbers(self, published: Path) -> dict[str, float]:
        """Means over seeds: accuracies, biological time in ms, spikes and events of an image."""
        run = _means(published, self.table, self.rows)
        names = ("ann_accuracy", "accuracy", "latency_ms", "spikes_per_image", "events_per_image")
        columns = {name: self.columns.get(name, name) for name in names}
        found = {name: run[column] for name, column in columns.items() if column in run}
        if self.trained:
            found["ann_accuracy"] = _means(published, *self.trained)["accuracy"]
        return found


def _means(published: Path, table: str, rows: str) -> dict[str, float]:
    found = pd.read_csv(published / f"{table}.csv").query(rows, engine="python")
    if found.empty:
        raise ValueError(f"{table}.csv has no row with {rows}; correct the headline of its scheme")
    return found.mean(numeric_only=True).to_dict()


HEADLINES = (
    Headline(
        page="amos",
        title="AMOS",
        use="any trained network, as it is; one spike a neuron at most",
        setting="K = 8 a gate",
        table="amos",
        rows=f"{FASHION} and gate == 'relu' and range_percentile == 99.9 and neurons_per_gate == 8",
        columns={"accuracy": "snn_accuracy", "events_per_image": "synaptic_events_per_image"},
    ),
    Headline(
        page="burst",
        title="Burst",
        use="a trained ReLU network with max pooling, as it is; scores at any time",
        setting="T = 8",
        table="burst",
        rows=f"{FASHION} and condition == 'Q99.99/gamma, gamma 5, V0 0.5' and step == 8",
        columns={"latency_ms": "time_ms"},
    ),
    Headline(
        page="noise",
        title="Noise",
        use="few steps, trained for one with noise; noisy neurons",
        setting="N = 2",
        table="noise_comparison",
        rows='dataset == "fashion-mnist" and method == "noise-trained, N steps"',
        trained=(
            "noise",
            f"{FASHION} and setting == 'noise' and condition == 'residual' and step == 1",
        ),
    ),
    Headline(
        page="albsnn",
        title="ALBSNN",
        use="synapses of one bit, in layers that the training chooses",
        setting="T = 1",
        table="albsnn",
        rows=f"{FASHION} and setting == 'albsnn' and n_steps == 1",
    ),
)


def schemes_table(published: Path) -> str:
    """Which scheme is for what, with one number."""
    head = ["scheme", "take it for", "steps", "Fashion-MNIST, trained → spiking"]
    rows = []
    for own in HEADLINES:
        found = own.numbers(published)
        link = f"[{own.title}](docs/schemes/{own.page}.md)"
        numbers = f"{found['ann_accuracy']:.2%} → {found['accuracy']:.2%}"
        rows.append([link, own.use, own.setting, f"{numbers} in {found['latency_ms']:g} ms"])
    return markdown(head, rows)


def costs_table(published: Path) -> str:
    """What each scheme loses and costs."""
    head = ["scheme", "steps", "trained", "spiking", "biological time", "spikes per image"]
    head += ["synaptic events"]
    rows = []
    for own in HEADLINES:
        found = own.numbers(published)
        rows.append(
            [
                f"[{own.title}](schemes/{own.page}.md)",
                own.setting,
                f"{found['ann_accuracy']:.2%}",
                f"{found['accuracy']:.2%}",
                f"{found['latency_ms']:g} ms",
                f"{found['spikes_per_image']:,.0f}",
                f"{found['events_per_image'] / 1e6:.3g} M",
            ]
        )
    return markdown(head, rows)
