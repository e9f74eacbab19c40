"""Interactive plots of a stored result, as data that BokehJS draws without a server.

A plot is JSON, with what switches its lines on and off and with notes of what it leaves out. The
same result gives the same JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import COLOURS, SCHEME_COLOURS, sequence, spread
from ann2brian.analysis.statistics.accuracy import accuracy_interval
from ann2brian.models.spiking.recording import RecordedLayer, Spikes
from ann2brian.studies.frame.spike_files import load_spikes, read_out
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d, WheelZoomTool
from bokeh.plotting import figure
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

MOST_LINES = 40  # of the plot over time
MOST_POINTS = 10_000  # of all its lines together
MOST_BANDS = 6  # lines up to which their intervals are drawn
MOST_SPIKES = 200_000  # stored in a page
MOST_SPIKES_OF_IMAGE = 100_000  # drawn at once
DASHES = ("solid", "dashed", "dotted", "dotdash")


@dataclass(frozen=True, kw_only=True)
class Toggle:
    """Something of a plot that can be switched off.

    Parameters
    ----------
    label : str
        Its name.
    colour, dash : str
        How it is drawn; no dash for points.
    shows : sequence of str
        Identities of what is drawn.
    """

    label: str
    colour: str
    dash: str
    shows: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """An interactive plot.

    Parameters
    ----------
    name : str
        Of its place in the page.
    item : dict
        For ``Bokeh.embed.embed_item``.
    toggles : sequence of Toggle
        Its lines or layers.
    notes : sequence of str
        What it shows, and what it leaves out.
    data : dict
        What the page's own script puts into it.
    """

    name: str
    item: dict[str, Any]
    toggles: Sequence[Toggle]
    notes: Sequence[str]
    data: dict[str, Any] = field(default_factory=dict)


def naming_columns(time: pd.DataFrame) -> list[str]:
    """Columns of ``time.csv`` that name a condition: those before its steps."""
    columns = list(time.columns)
    return columns[: columns.index("step" if "step" in columns else "time_ms")]


def name_of(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Name of a row by some of its columns; what is no word has the name of its column before."""
    texts = []
    for column in columns:
        value = str(row[column])
        is_bare = value in ("", "True", "False") or not np.isnan(
            pd.to_numeric(value, errors="coerce")
        )
        texts.append(f"{column} {value or 'none'}" if is_bare else value)
    return ", ".join(texts)


def accuracy_over_time(time: pd.DataFrame, metrics: pd.DataFrame) -> Plot | None:
    """Accuracy if a run is stopped after each step, one line for each condition.

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
    conditions = list(time.groupby(keys, sort=False)) if keys else [((), time)]
    drawn = conditions[:MOST_LINES]
    differing = [key for key in keys if time[key].nunique() > 1]
    colours = _line_colours([_scheme(keys, names, metrics) for names, _ in drawn])
    most = max(2, MOST_POINTS // len(drawn))
    plot = _figure("time from the onset of an image (ms)", "accuracy (%)")
    lines, points, notes = [], [], []
    has_bands = False
    for number, (names, rows) in enumerate(drawn):
        kept = rows.iloc[spread(len(rows), most)]
        shown = {"time_ms": _numbers(kept.time_ms), "accuracy": 100 * _numbers(kept.accuracy)}
        if "step" in kept:
            shown["step"] = _numbers(kept.step)
        n_images = _images(keys, names, metrics)
        shown |= _interval(shown["accuracy"] / 100, n_images)
        source = ColumnDataSource(shown)
        label = name_of(dict(zip(keys, names, strict=True)), differing) or "spiking network"
        look = {"color": colours[number], "source": source, "name": label}
        dash = DASHES[number % len(DASHES)]
        own: list[Any] = []
        if "low" in shown and len(drawn) <= MOST_BANDS:
            has_bands = True
            band = {"fill_alpha": 0.15, "fill_color": colours[number]}
            own.append(plot.varea("time_ms", "low", "high", source=source, **band))
        own.append(plot.line("time_ms", "accuracy", line_width=2, line_dash=dash, **look))
        points.append(plot.scatter("time_ms", "accuracy", size=5 if len(kept) <= 40 else 2, **look))
        lines.append((label, colours[number], dash, [*own, points[-1]]))
    plot.add_tools(_hover_over_time(points, has_step="step" in time))
    trained = _only_number(metrics, "ann_accuracy")
    if trained is not None:
        look = {"line_color": COLOURS["trained"], "line_dash": "dashed"}
        line = plot.hspan(y=[100 * trained], **look)
        lines.append(("trained network", COLOURS["trained"], "dashed", [line]))
    if has_bands:
        notes.append("Bands are 95 % confidence intervals over the images.")
    if len(conditions) > len(drawn):
        notes.append(f"The first {len(drawn)} of {len(conditions)} conditions are drawn.")
    if any(len(rows) > most for _, rows in drawn):
        notes.append(f"At most {most} steps of a condition are drawn, evenly spaced.")
    return _plot("time", plot, lines, notes)


def raster(file: Path) -> Plot:
    """Spikes of one image after the other, layers from the top to the bottom.

    Parameters
    ----------
    file : Path
        As :func:`~studies.frame.spike_files.save_spikes` writes it.
    """
    spikes, layers, stored = load_spikes(file)
    n_images = len(stored["labels"])
    chosen = list(_chosen(spikes, layers, n_images))
    kept = Spikes.following([one for one, _ in chosen])
    dt_ms, n_layers = stored["dt_ms"], len(layers)
    n_steps = max(stored["latency_steps"], int(spikes.step.max(initial=0)) + 1)
    plot = _figure("time from the onset of the image (ms)", "")
    plot.output_backend = "webgl"
    plot.lod_threshold = None  # else most spikes would be left out while the plot is moved
    end_ms = n_steps * dt_ms
    plot.x_range = Range1d(start=-0.01 * end_ms, end=end_ms, bounds=(-0.01 * end_ms, end_ms))
    plot.y_range = Range1d(start=n_layers, end=0, bounds=(0, n_layers))
    middles = [index + 0.5 for index in range(n_layers)]
    plot.yaxis.ticker = FixedTicker(ticks=middles)
    plot.yaxis.major_label_overrides = {
        middle: layer.name for middle, layer in zip(middles, layers, strict=True)
    }
    plot.yaxis.major_tick_line_color = None
    plot.ygrid.visible = False
    plot.hspan(y=list(range(1, n_layers)), line_color="#cccccc")
    colours = [to_hex(tuple(colour)) for colour in sequence("depth", n_layers)]
    lines, sources = [], []
    for layer, colour in zip(layers, colours, strict=True):
        source = ColumnDataSource({"time_ms": [], "y": [], "neuron": []})
        look = {"size": 3, "color": colour, "marker": "square", "name": layer.name}
        points = plot.scatter("time_ms", "y", source=source, **look)
        lines.append((layer.name, colour, "", [points]))
        sources.append(source.id)
    tips = [("layer", "$name"), ("neuron", "@neuron{0,0}"), ("time", "@time_ms{0.[000]} ms")]
    plot.add_tools(HoverTool(tooltips=tips, renderers=[points for *_, (points,) in lines]))
    notes = ["Every layer has the same height, neuron 0 at its top."]
    if len(chosen) < n_images:
        notes.append(f"The first {len(chosen)} of {n_images} images; all are in {file.name}.")
    at = np.arange(len(chosen) * n_layers + 1)
    data = {
        "dt_ms": dt_ms,
        "layers": [layer.n_neurons for layer in layers],
        "sources": sources,
        "images": [_image(spikes, n, stored, *found) for n, found in enumerate(chosen)],
        "starts": np.searchsorted(kept.image * n_layers + kept.layer, at).tolist(),
        "neuron": _packed(kept.neuron),
        "step": _packed(kept.step),
    }
    return _plot("raster", plot, lines, notes, data)


def _figure(x_label: str, y_label: str) -> Any:
    """Empty plot. The wheel zooms with Ctrl held, and scrolls the page as it does elsewhere."""
    plot = figure(
        sizing_mode="stretch_width",
        height=420,
        tools="pan,box_zoom,reset,save",
        active_drag="box_zoom",
        x_axis_label=x_label,
        y_axis_label=y_label,
    )
    wheel = WheelZoomTool(modifiers={"ctrl": True})
    plot.add_tools(wheel)
    plot.toolbar.active_scroll = wheel
    plot.toolbar.logo = None
    return plot


def _plot(
    name: str,
    plot: Any,
    lines: Sequence[tuple[str, str, str, Sequence[Any]]],
    notes: Sequence[str],
    data: dict[str, Any] | None = None,
) -> Plot:
    """Everything of a plot, with identities that do not depend on what was drawn before."""
    item: dict[str, Any] = dict(json_item(plot))
    item.pop("target_id")
    names = {old: f"{name}-{new}" for new, old in enumerate(dict.fromkeys(_identities(item)))}
    toggles = tuple(
        Toggle(label=label, colour=colour, dash=dash, shows=[names[one.id] for one in own])
        for label, colour, dash, own in lines
    )
    return Plot(
        name=name,
        item=_renamed(item, names),
        toggles=toggles,
        notes=tuple(notes),
        data=_renamed(data or {}, names),
    )


def _identities(part: Any) -> Iterator[str]:
    """Identities of all models in a serialised plot, in their order."""
    if isinstance(part, dict):
        if isinstance(part.get("id"), str):
            yield part["id"]
        for value in part.values():
            yield from _identities(value)
    elif isinstance(part, list):
        for value in part:
            yield from _identities(value)


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    """The same with other identities, where they stand as ``id``, ``root_id`` or ``sources``."""
    if isinstance(part, dict):
        return {
            key: names[value]
            if key in ("id", "root_id") and isinstance(value, str)
            else [names[one] for one in value]
            if key == "sources"
            else _renamed(value, names)
            for key, value in part.items()
        }
    return [_renamed(value, names) for value in part] if isinstance(part, list) else part


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)


def _rows(keys: Sequence[str], names: Sequence[Any], metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of the metrics that belong to a condition of the table over time."""
    both = [(key, value) for key, value in zip(keys, names, strict=True) if key in metrics]
    for key, value in both:
        metrics = metrics[metrics[key] == value]
    return metrics


def _scheme(keys: Sequence[str], names: Sequence[Any], metrics: pd.DataFrame) -> str:
    """Scheme of a condition, as its own table or the metrics tell; empty if neither does."""
    if "scheme" in keys:
        return str(names[keys.index("scheme")])
    rows = _rows(keys, names, metrics)
    return str(rows["scheme"].iloc[0]) if len(rows) and "scheme" in rows else ""


def _images(keys: Sequence[str], names: Sequence[Any], metrics: pd.DataFrame) -> int:
    """Images of a condition, 0 where the metrics do not tell."""
    return int(_only_number(_rows(keys, names, metrics), "n_images") or 0)


def _only_number(table: pd.DataFrame, column: str) -> float | None:
    values = set(table[column]) if column in table else set()
    return float(values.pop()) if len(values) == 1 and "" not in values else None


def _interval(accuracy: NDArray[np.float64], n_images: int) -> dict[str, NDArray[np.float64]]:
    """Ends of the 95 % confidence intervals, in per cent; none if these are no such fractions."""
    correct = np.rint(np.nan_to_num(accuracy) * n_images)
    is_of_images = np.isclose(correct, accuracy * n_images) & (correct <= n_images)
    if not n_images or not is_of_images.all():
        return {}
    ends = np.array([accuracy_interval(int(n), n_images) for n in correct])
    return {"low": 100 * ends[:, 0], "high": 100 * ends[:, 1]}


def _line_colours(schemes: Sequence[str]) -> list[str]:
    """Colours of lines: that of the scheme, in shades from dark to light where it has several."""
    colours = []
    for number, scheme in enumerate(schemes):
        base = np.array(to_rgb(SCHEME_COLOURS.get(scheme, COLOURS["spiking"])))
        n = schemes.count(scheme)
        place = 0.0 if n == 1 else 1.1 * schemes[:number].count(scheme) / (n - 1) - 0.55
        shade = base + place * (1 - base) if place > 0 else base * (1 + place)
        colours.append(to_hex(tuple(shade)))
    return colours


def _hover_over_time(points: Sequence[Any], *, has_step: bool) -> HoverTool:
    tips = [("condition", "$name"), ("time", "@time_ms{0.[000]} ms")]
    tips += [("step", "@step{0}")] if has_step else []
    tips.append(("accuracy", "@accuracy{0.00} %"))
    if all("low" in one.data_source.data for one in points):
        tips.append(("95 % interval", "@low{0.0} to @high{0.0} %"))
    return HoverTool(tooltips=tips, renderers=list(points))


def _chosen(
    spikes: Spikes, layers: Sequence[RecordedLayer], n_images: int
) -> Iterator[tuple[Spikes, int]]:
    """Spikes of the first images that there is room for, and how many neurons one stands for."""
    starts = np.searchsorted(spikes.image, np.arange(n_images + 1))
    room = MOST_SPIKES
    for image in range(n_images):
        own = spikes.where(slice(starts[image], starts[image + 1]))
        kept, every = own, 1
        while len(kept) > MOST_SPIKES_OF_IMAGE and every < max(x.n_neurons for x in layers):
            every *= 2
            kept = own.where(own.neuron % every == 0)
        room -= len(kept)
        if image and room < 0:
            return
        yield kept, every


def _image(
    spikes: Spikes, number: int, stored: Mapping[str, Any], kept: Spikes, every: int
) -> dict[str, Any]:
    """What is told of an image: its class, and how much of it is drawn."""
    true, found = read_out(stored, number)
    n_all = int(np.sum(spikes.image == number))
    note = f"{n_all:,} spikes, all of them drawn."
    if every > 1:
        note = (
            f"Drawn are the {len(kept):,} spikes of one neuron in {every}; "
            f"all neurons of the image fired {n_all:,}."
        )
    return {"name": f"image {number}: {true}, read out as {found}", "note": note}


def _packed(values: NDArray[np.integer]) -> dict[str, str]:
    """Numbers in as few bytes as they need, little end first, as text."""
    kind = np.min_scalar_type(int(values.max(initial=0)))
    content = base64.b64encode(values.astype(kind.newbyteorder("<")).tobytes())
    return {"type": kind.name, "base64": content.decode("ascii")}
