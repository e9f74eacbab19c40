"""Draw all figures again from the stored results.

    python studies/make_figures.py [--results DIR] [--out DIR]

Every complete result folder ``results/<scheme>/*/`` (one with ``metrics.csv``) gets a folder
``figures`` with a PNG and a PDF of each figure of its scheme. `FIGURES` is the list of them.
Nothing is simulated.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis import figures
from models.gate_fits import fitted_gate
from models.gates import alpha_for, relu_gate
from studies import common
from studies.results import load_spikes

COMPLETE = "metrics.csv"
FORMATS: Mapping[str, dict[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "pdf": {"metadata": {"CreationDate": None}},  # the same results give the same bytes
}
STAIRCASES = {"relu": (2, 3, 4)}  # sizes whose steps can be seen; fitted gates: the next line
FITTED_STAIRCASES = (4, 6, 8)
SHOWN_DRIVES = (-6.0, 6.0)  # of fitted gates: where their functions bend


@dataclass(frozen=True)
class Result:
    """A stored result, read as far as a figure asks for it.

    Parameters
    ----------
    folder : Path
        Its folder.
    """

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """What was run."""
        return json.loads((self.folder / "config.json").read_text())

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row per K."""
        return pd.read_csv(self.folder / COMPLETE)

    def finest(self, table: str) -> pd.DataFrame:
        """Rows of a table, ``positions`` or ``time``, that belong to the largest K."""
        rows = pd.read_csv(self.folder / f"{table}.csv")
        return rows[rows["neurons_per_gate"] == rows["neurons_per_gate"].max()]


def amos_staircase(result: Result) -> Figure:
    """Gates of several sizes against the functions they stand for."""
    config = result.config
    functions = config["gate"].split("+")
    figure = Figure(figsize=(3.6 * len(functions), 3.0))
    for function, ax in zip(
        functions, figure.subplots(1, len(functions), squeeze=False)[0], strict=True
    ):
        sizes = STAIRCASES.get(function, FITTED_STAIRCASES)
        if function == "relu":
            # The range differs from layer to layer; in units of it all gates are the same.
            half_step = config["half_step"]
            gates = {k: relu_gate(k, alpha_for(1.0, k), half_step=half_step) for k in sizes}
            figures.staircase(ax, function, gates, (-0.25, 1.25))
            ax.set(xlabel="drive x / range of the layer", ylabel="activation / range of the layer")
        else:
            gates = {k: fitted_gate(function, k, kind=config["inhibition"]) for k in sizes}
            low, high = gates[sizes[0]].domain
            shown = (max(low, SHOWN_DRIVES[0]), min(high, SHOWN_DRIVES[1]))
            figures.staircase(ax, function, gates, shown)
    return figure


def amos_raster(result: Result) -> Figure:
    """Spikes of the first image on their way through the network."""
    spikes, layers, stored = load_spikes(result.folder / "spikes.npz")
    figure = Figure(figsize=(6.4, min(1.0 + 0.9 * len(layers), 7.0)))
    ax = figure.subplots()
    figures.travelling_raster(ax, spikes.where(spikes.image == 0), layers, stored["dt_ms"])
    latency_ms = stored["latency_steps"] * stored["dt_ms"]
    ax.axvline(latency_ms, color="0.6", linewidth=0.8)
    ax.set_xlim(right=1.02 * latency_ms)
    ax.set_title(
        f"{result.config['dataset']}, image 0: class {stored['labels'][0]}, "
        f"read out as {stored['predictions'][0]} after {latency_ms:g} ms (line)"
    )
    return figure


def amos_accuracy_against_k(result: Result) -> Figure | None:
    """Accuracy against the size of the gates; None for a single size."""
    if result.metrics["neurons_per_gate"].nunique() < 2:
        return None
    figure = Figure(figsize=(3.6, 2.7))
    figures.accuracy_against_k(figure.subplots(), result.metrics)
    return figure


def amos_accuracy_over_time(result: Result) -> Figure:
    """Accuracy of the read-out after each slot, for the largest K."""
    trained = result.metrics.sort_values("neurons_per_gate")["ann_accuracy"].iloc[-1]
    figure = Figure(figsize=(3.6, 2.7))
    figures.accuracy_over_time(figure.subplots(), result.finest("time"), float(trained))
    return figure


def amos_firing_by_position(result: Result) -> Figure:
    """Probability of a spike by the position in the gate, for the largest K."""
    figure = Figure(figsize=(4.4, 2.7))
    figures.firing_by_position(figure.subplots(), result.finest("positions"))
    return figure


def benchmark_cost(result: Result) -> Figure:
    """Build time against depth, and time of the loop against batch size and activity."""
    table = pd.read_csv(result.folder / "measurements.csv")
    figure = Figure(figsize=(9.0, 2.7))
    figures.cost(figure.subplots(1, 4), table)
    return figure


FIGURES: Mapping[str, Sequence[Callable[[Result], Figure | None]]] = {
    "amos": (
        amos_staircase,
        amos_raster,
        amos_accuracy_against_k,
        amos_accuracy_over_time,
        amos_firing_by_position,
    ),
    "benchmark": (benchmark_cost,),
}


def make_figures(folder: Path, out: Path | None = None) -> list[Path]:
    """Draw the figures of one result.

    Parameters
    ----------
    folder : Path
        Complete result folder.
    out : Path, optional
        Where to write, instead of ``figures`` inside the folder.

    Returns
    -------
    list of Path
        The files, a PNG and a PDF for each figure that the result has data for.

    Raises
    ------
    ValueError
        If the folder is not complete, or there are no figures for its scheme.
    """
    if not (folder / COMPLETE).exists():
        raise ValueError(f"{folder} is not a complete result: there is no {COMPLETE}")
    result = Result(folder)
    scheme = result.config["scheme"]
    if scheme not in FIGURES:
        raise ValueError(
            f"{folder}: no figures for scheme {scheme!r}; there are for {', '.join(FIGURES)}"
        )
    out = folder / "figures" if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    files = []
    with figures.style():
        for draw in FIGURES[scheme]:
            figure = draw(result)
            if figure is None:
                continue
            for suffix, options in FORMATS.items():
                files.append(out / f"{draw.__name__}.{suffix}")
                figure.savefig(files[-1], **options)
    return files


def main(argv: Sequence[str] | None = None) -> list[Path]:
    """Command line; returns the files written."""
    parser = argparse.ArgumentParser(description="Draw all figures again from stored results.")
    parser.add_argument(
        "--results",
        type=Path,
        default=common.RESULTS,
        help="folder of the schemes",
    )
    parser.add_argument(
        "--out", type=Path, help="write to OUT/<scheme>/<result> instead of each result's folder"
    )
    arguments = parser.parse_args(argv)
    found = [
        folder
        for scheme in FIGURES
        for folder in common.complete_results(arguments.results / scheme)
    ]
    if not found:
        parser.error(f"no results in {arguments.results}: run studies/run_amos.py first")
    files = []
    for folder in found:
        out = arguments.out and arguments.out / folder.parent.name / folder.name
        files += make_figures(folder, out)
        print(f"{folder}: {out or folder / 'figures'}")
    return files


if __name__ == "__main__":
    main()
