"""Accuracy over time as an interactive plot, one line for each condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import COLOURS, SCHEME_COLOURS, spread
from ann2brian.analysis.statistics.accuracy import accuracy_interval
from ann2brian.studies.frame.page.plot import Part, Plot, empty_plot, finished_plot
from bokeh.models import ColumnDataSource, HoverTool
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

MOST_LINES = 40
MOST_POINTS = 10_000  # of all lines together
MOST_BANDS = 6  # lines up to which their intervals are drawn
MOST_DOTS = 40  # points of a line that are large
DASHES = ("solid", "dashed", "dotted", "dotdash")
LIGHTEST = 0.55  # of several lines of a scheme: as far from its colour to white, or to black


def naming_columns(time: pd.DataFrame) -> list[str]:
    """Columns of ``time.csv`` that name a condition: those before its steps."""
    columns = list(time.columns)
    return columns[: columns.index("step" if "step" in columns else "time_ms")]


def name_of(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Name of a row by some of its columns; what is no word has the name of its column before."""
    texts = []
    for column in columns:
        text = str(row[column])
        is_word = text not in ("", "True", "False") and np.isnan(
            pd.to_numeric(text, errors="coerce")
        )
        texts.append(text if is_word else f"{column} {text or 'none'}")
    return ", ".join(texts)


def accuracy_over_time(time: pd.DataFrame, metrics: pd.DataFrame) -> Plot | None:
    """Accuracy if a run is stopped after each step.

    Parameters
    ----------
    time, metrics : DataFrame
        Those of the result, every cell as the text that stands in the file.

    Returns
    -------
    Plot or None
        None for a table without accuracies over time.
    """
    if time.empty or not {"time_ms", "accuracy"} <= set(time):
        return None
    keys = naming_columns(time)
    differing = [key for key in keys if time[key].nunique() > 1]
    conditions = list(time.groupby(keys, sort=False)) if keys else [((), time)]
    drawn = conditions[:MOST_LINES]
    most = max(2, MOST_POINTS // len(drawn))
    of_metrics = [_rows(metrics, keys, names) for names, _ in drawn]
    colours = _colours([_scheme(rows) for rows in of_metrics])
    plot = empty_plot("accuracy_over_time", "time from the onset of an image (ms)", "accuracy (%)")
    parts = []
    for number, (names, rows) in enumerate(drawn):
        columns = _columns(rows.iloc[spread(len(rows), most)], of_metrics[number])
        if len(drawn) > MOST_BANDS:
            columns = {key: columns[key] for key in columns if key not in ("low", "high")}
        label = name_of(dict(zip(keys, names, strict=True)), differing) or "spiking network"
        parts.append(_line(plot, columns, label, colours[number], DASHES[number % len(DASHES)]))
    plot.add_tools(_hover(parts))
    has_bands = any("low" in part.drawn[-1].data_source.data for part in parts)
    trained = _only_number(metrics, "ann_accuracy")
    if trained is not None:
        colour = COLOURS["trained"]
        line = plot.hspan(y=[100 * trained], line_color=colour, line_dash="dashed")
        parts.append(Part(label="trained network", colour=colour, dash="dashed", drawn=[line]))
    notes = []
    if has_bands:
        notes.append("Bands, or bars, are 95 % confidence intervals over the images.")
    if len(conditions) > len(drawn):
        notes.append(f"The first {len(drawn)} of {len(conditions)} conditions are drawn.")
    if any(len(rows) > most for _, rows in drawn):
        notes.append(f"At most {most} steps of a condition are drawn, evenly spaced.")
    return finished_plot("time", plot, parts, notes)


def _line(
    plot: Any, columns: Mapping[str, NDArray[np.float64]], label: str, colour: str, dash: str
) -> Part:
    """A line with its band, if it has one; its points come last and tell what they are."""
    source = ColumnDataSource(dict(columns))
    look = {"color": colour, "source": source, "name": label}
    drawn, n = [], len(columns["time_ms"])
    if "low" in columns and n > 1:
        drawn.append(
            plot.varea("time_ms", "low", "high", source=source, fill_color=colour, fill_alpha=0.15)
        )
    elif "low" in columns:  # a single step, at which a band has no width
        ends = plot.segment("time_ms", "low", "time_ms", "high", source=source, line_color=colour)
        drawn.append(ends)
    size = 5 if n <= MOST_DOTS else 2
    drawn.append(plot.line("time_ms", "accuracy", line_width=2, line_dash=dash, **look))
    drawn.append(plot.scatter("time_ms", "accuracy", size=size, **look))
    return Part(label=label, colour=colour, dash=dash, drawn=drawn)


def _hover(parts: Sequence[Part]) -> HoverTool:
    points = [part.drawn[-1] for part in parts]
    columns = set.intersection(*(set(one.data_source.data) for one in points))
    tips = [("condition", "$name"), ("time", "@time_ms{0.[000]} ms")]
    tips += [("step", "@step{0}")] if "step" in columns else []
    tips += [("accuracy", "@accuracy{0.00} %")]
    tips += [("95 % interval", "@low{0.0} to @high{0.0} %")] if "low" in columns else []
    return HoverTool(tooltips=tips, renderers=points)


def _columns(rows: pd.DataFrame, metrics: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Numbers of a line: time, accuracy in per cent; step and interval where they are known."""
    shown = {name: _numbers(rows[name]) for name in ("time_ms", "accuracy", "step") if name in rows}
    n_images = int(_only_number(metrics, "n_images") or 0)
    shown |= _interval(shown["accuracy"], n_images)
    return shown | {"accuracy": 100 * shown["accuracy"]}


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)


def _interval(accuracy: NDArray[np.float64], n_images: int) -> dict[str, NDArray[np.float64]]:
    """Ends of the 95 % confidence intervals, in per cent; none if these are no such fractions."""
    correct = np.rint(np.nan_to_num(accuracy) * n_images)
    is_of_images = np.isclose(correct, accuracy * n_images) & (correct <= n_images)
    if not n_images or not is_of_images.all():
        return {}
    ends = np.array([accuracy_interval(int(n), n_images) for n in correct])
    return {"low": 100 * ends[:, 0], "high": 100 * ends[:, 1]}


def _rows(metrics: pd.DataFrame, keys: Sequence[str], names: Sequence[Any]) -> pd.DataFrame:
    """Rows of the metrics that belong to a condition of the table over time."""
    for key, name in zip(keys, names, strict=True):
        if key in metrics:
            metrics = metrics[metrics[key] == name]
    return metrics


def _only_number(table: pd.DataFrame, column: str) -> float | None:
    values = set(table[column]) if column in table else set()
    return float(values.pop()) if len(values) == 1 and "" not in values else None


def _scheme(metrics: pd.DataFrame) -> str:
    """Scheme of the rows of a condition; empty if they do not tell."""
    return str(metrics["scheme"].iloc[0]) if len(metrics) and "scheme" in metrics else ""


def _colours(schemes: Sequence[str]) -> list[str]:
    """Colours of lines: that of the scheme, in shades from dark to light where it has several."""
    colours = []
    for number, scheme in enumerate(schemes):
        base = np.array(to_rgb(SCHEME_COLOURS.get(scheme, COLOURS["spiking"])))
        n, before = schemes.count(scheme), schemes[:number].count(scheme)
        place = 0.0 if n == 1 else LIGHTEST * (2 * before / (n - 1) - 1)
        shade = base + place * (1 - base) if place > 0 else base * (1 + place)
        colours.append(to_hex(tuple(shade)))
    return colours
