"""Figures of stored results: read what they need, draw, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from ann2brian.analysis.figures import style
from ann2brian.studies.frame.result_folder import COMPLETE
from matplotlib.figure import Figure

FORMATS: Mapping[str, dict[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "pdf": {"metadata": {"CreationDate": None}},  # the same results give the same bytes
}
MOST_PANELS = 6  # of a figure with one panel for each layer


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
        """One row per condition."""
        return pd.read_csv(self.folder / COMPLETE)

    @property
    def shown(self) -> str:
        """Setting of the network whose spikes are kept."""
        return str(self.metrics["setting"].iloc[-1])

    def table(self, name: str, **wanted: object) -> pd.DataFrame | None:
        """Rows of a table with the given values; None for no rows or no table."""
        file = self.folder / f"{name}.csv"
        if not file.exists():
            return None
        table = pd.read_csv(file)
        for column, value in wanted.items():
            table = table[table[column] == value]
        return None if wanted and table.empty else table


Draw = Callable[[Result], Figure | None]


def make_figures(folder: Path, draws: Sequence[Draw], out: Path | None = None) -> list[Path]:
    """Draw the figures of one result.

    Parameters
    ----------
    folder : Path
        Complete result folder.
    draws : sequence of callable
        One for each figure, which has its name; None for a result that has no data for it.
    out : Path, optional
        Where to write, instead of ``figures`` inside the folder.

    Returns
    -------
    list of Path
        The files, a PNG and a PDF for each figure that the result has data for.

    Raises
    ------
    ValueError
        If the folder is not complete.
    """
    if not (folder / COMPLETE).exists():
        raise ValueError(f"{folder} is not a complete result: there is no {COMPLETE}")
    result = Result(folder)
    out = folder / "figures" if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    files = []
    with style.style():
        for draw in draws:
            figure = draw(result)
            if figure is None:
                continue
            for suffix, options in FORMATS.items():
                files.append(out / f"{draw.__name__}.{suffix}")
                figure.savefig(files[-1], **options)
    return files
