"""A result as one HTML page that needs neither network nor server: ``report.html``.

Tables, figures, configuration and provenance are in the page, and two plots to look around in:
accuracy over time, and the spikes of single images. BokehJS, which draws them, is in it too.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from ann2brian.analysis.figures.style import COLOURS, SCHEME_COLOURS
from ann2brian.analysis.statistics.accuracy import accuracy_interval
from ann2brian.studies.frame.figures import Draw
from ann2brian.studies.frame.result_folder import COMPLETE
from ann2brian.studies.frame.spike_files import SPIKES

REPORT = "report.html"
PAGE = Path(__file__).with_name("page")
MOST_BYTES = 6_000_000  # of a page; figures for which there is no room stay outside
ROOM_OF_CAPTION = 1_000  # bytes of a figure's place in the page beside its content
FIGURE_SCALE = 0.6  # of their pixels, at which text is about as large as that of the page
MOST_HEADLINES = 50  # rows
MOST_CELLS = 2_000  # of a table
MOST_METRICS = 15_000  # of the table of conditions, which is whole up to there
MOST_TURNED = 4  # rows up to which a table has its columns one under the other
MOST_TEXT = 5_000  # characters of an entry of the configuration
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
HANDLING = (
    "Draw a box to zoom, or hold Ctrl and turn the wheel; the arrows in a circle beside the plot "
    "reset it."
)
# Column, name and form of the numbers that a reader asks first.
HEADLINES: tuple[tuple[str, str, str], ...] = (
    ("n_images", "images", "{:,.0f}"),
    ("ann_accuracy", "trained network", "{:.2%}"),
    ("snn_accuracy", "spiking network", "{:.2%}"),
    ("agreement", "agreement", "{:.2%}"),
    ("latency_ms", "biological time (ms)", "{:g}"),
    ("spikes_per_image", "spikes per image", "{:,.0f}"),
    ("synaptic_events_per_image", "synaptic events per image", "{:,.0f}"),
    ("energy_nj", "energy of the events (nJ)", "{:,.4g}"),
)
ACCURACIES = ("ann_accuracy", "snn_accuracy")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as it is shown.

    Parameters
    ----------
    name : str
        Of its file.
    columns : sequence of str
        Their names.
    rows : sequence of sequence of str
        Cells as they stand in the file.
    about : str
        How many rows there are, and how many of them are shown.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    about: str

    @property
    def turned(self) -> list[tuple[str, Sequence[str]]]:
        """Columns with their cells, if there are few rows and many columns; else empty."""
        if len(self.rows) > MOST_TURNED or len(self.columns) <= 2 * MOST_TURNED:
            return []
        return list(zip(self.columns, zip(*self.rows, strict=True), strict=True))


def write_report(folder: Path, draws: Sequence[Draw] = (), out: Path | None = None) -> Path:
    """Write the page of a result.

    Parameters
    ----------
    folder : Path
        Complete result folder.
    draws : sequence of callable
        What :func:`~studies.frame.figures.make_figures` has drawn, in the order of the page.
    out : Path, optional
        Where the figures are and the page goes, instead of ``figures`` inside the folder and the
        folder itself.

    Returns
    -------
    Path
        The page: the same bytes for the same result.

    Raises
    ------
    ValueError
        If the folder is not complete.
    """
    # Imported where it is needed: it takes a second, and a study runs without it.
    from ann2brian.studies.frame.page.over_time import accuracy_over_time
    from ann2brian.studies.frame.page.raster import raster
    from bokeh.resources import Resources
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    if not (folder / COMPLETE).exists():
        raise ValueError(f"{folder} is not a complete result: there is no {COMPLETE}")
    tables = {path.stem: _cells(path) for path in sorted(folder.glob("*.csv"))}
    metrics = tables["metrics"]
    config, origin = (_stored(folder / f"{name}.json") for name in ("config", "provenance"))
    scripts = Resources(mode="inline", components=["bokeh", "bokeh-gl"], log_level="error").js_raw
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["json"] = lambda value: Markup(_json(value))
    content = dict(
        title=_title(folder, metrics),
        folder=f"{folder.parent.name}/{folder.name}",
        colour=SCHEME_COLOURS.get(_only(metrics, "scheme"), COLOURS["trained"]),
        run=_run(metrics, config, origin),
        headlines=_headlines(metrics, tables.get("time")),
        time=accuracy_over_time(tables["time"], metrics) if "time" in tables else None,
        raster=raster(folder / SPIKES) if (folder / SPIKES).exists() else None,
        tables=[_table(name, cells) for name, cells in _ordered(tables)],
        configuration=_facts(config),
        provenance=_facts(origin),
        shown=shown,
        handling=HANDLING,
        css=Markup((PAGE / "report.css").read_text()),
        js=Markup((PAGE / "report.js").read_text()),
        bokeh=[Markup(script) for script in scripts],
    )
    template = environment.from_string((PAGE / "report.html.jinja").read_text())
    room = MOST_BYTES - len(template.render(content, figures=[]).encode())
    figures = _figures(draws, out or folder / "figures", out or folder, room)
    page = template.render(content, figures=figures)
    path = (out or folder) / REPORT
    working = path.with_name(f".{REPORT}")
    working.write_text(page, encoding="utf-8")
    return working.replace(path)


def try_report(folder: Path, draws: Sequence[Draw] = (), out: Path | None = None) -> Path | None:
    """The same, but without a page and with a line that says why where it cannot be written.

    A result is whole without its page, so that nothing that goes wrong with it may end a study.
    """
    try:
        return write_report(folder, draws, out)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        print(
            f"{folder / REPORT} could not be written: {reason}. The result is complete; "
            "studies/make_figures.py writes the page again",
            file=sys.stderr,
        )
        return None


def shown(text: str) -> str | None:
    """A cell as a number of at most six digits, whole ones as they are; None for other text."""
    if not NUMBER.fullmatch(text):
        return None
    if len(text) <= 8 or text.lstrip("-").isdigit():
        return text
    return f"{float(text):.6g}"


def _cells(path: Path) -> pd.DataFrame:
    """A table whose cells are the text of the file, so that numbers are those that stand there."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _stored(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _json(value: Any) -> str:
    """JSON that cannot end the element in which it stands."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _only(table: pd.DataFrame, column: str) -> str:
    """The only text of a column; empty if there are several, or no such column."""
    values = set(table[column]) if column in table else set()
    return values.pop() if len(values) == 1 else ""


def _title(folder: Path, metrics: pd.DataFrame) -> str:
    scheme, dataset, network = (_only(metrics, x) for x in ("scheme", "dataset", "network"))
    what = ", ".join(filter(None, (dataset, network)))
    return f"{scheme or folder.parent.name}, {what or folder.name}"


def _run(
    metrics: pd.DataFrame, config: Mapping[str, Any], origin: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """What was run, in words, as far as the result tells."""
    found: dict[str, str] = {}
    for column, name in (("scheme", "scheme"), ("dataset", "data"), ("network", "network")):
        if column in metrics:
            found[name] = ", ".join(dict.fromkeys(metrics[column]))
    found["conditions"] = f"{len(metrics):,}"
    if n_images := _only(metrics, "n_images"):
        is_part = config.get("is_whole_test_split") is False
        found["images"] = f"{float(n_images):,.0f}{', a part of the test split' if is_part else ''}"
    if config.get("quick"):
        found["quick"] = "yes: a small run, to see that it works"
    for name in ("target", "seed"):
        if name in origin:
            found[name] = str(origin[name])
    if origin.get("command"):
        found["command"] = " ".join(map(str, origin["command"]))
    if origin.get("finished"):
        found["finished"] = str(origin["finished"])
    if origin.get("commit"):
        changed = " with uncommitted changes" if origin.get("uncommitted_changes") else ""
        found["code"] = f"commit {origin['commit']}{changed}"
    return list(found.items())


def _headlines(metrics: pd.DataFrame, time: pd.DataFrame | None) -> dict[str, Any] | None:
    """The numbers that a reader asks first, one row for each row of the metrics."""
    from ann2brian.studies.frame.page.over_time import name_of, naming_columns

    columns = [one for one in HEADLINES if one[0] in metrics]
    if not {"n_images", "snn_accuracy"} <= set(metrics):
        return None
    before = list(metrics.columns[: list(metrics.columns).index("n_images")])
    if time is not None and "time_ms" in time:
        before = [key for key in naming_columns(time) if key in metrics]
    differing = [key for key in before if metrics[key].nunique() > 1]
    rows = []
    for _, row in metrics.head(MOST_HEADLINES).iterrows():
        cells: list[dict[str, str] | None] = []
        for column, _, form in columns:
            if shown(row[column]) is None:
                cells.append(None)
                continue
            cell = {"column": column, "value": row[column], "more": ""}
            cell["text"] = form.format(float(row[column]))
            if column in ACCURACIES and shown(row["n_images"]):
                cell["more"] = _interval(float(row[column]), round(float(row["n_images"])))
            cells.append(cell)
        rows.append((name_of(row, differing) or _only(metrics, "network") or "all", cells))
    about = f"{_count(len(rows), len(metrics), COMPLETE)} Brackets hold the 95 % confidence "
    about += "interval over the images (Wilson)."
    names = [name for _, name, _ in columns]
    turned = list(zip(names, zip(*(cells for _, cells in rows), strict=True), strict=True))
    is_turned = len(rows) <= MOST_TURNED
    return {
        "names": names,
        "rows": rows,
        "turned": turned if is_turned else [],
        "about": about,
    }


def _interval(accuracy: float, n_images: int) -> str:
    """Interval of an accuracy over images in brackets; nothing if it is none."""
    n_correct = round(accuracy * n_images)
    if n_images < 1 or abs(n_correct - accuracy * n_images) > 1e-6 * n_images:
        return ""
    low, high = accuracy_interval(n_correct, n_images)
    return f" ({low:.1%} to {high:.1%})"


def _count(n_shown: int, n: int, file: str) -> str:
    if n_shown < n:
        return f"The first {n_shown:,} of {n:,} rows; all are in {file}."
    return f"{n:,} row{'' if n == 1 else 's'}."


def _ordered(tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, pd.DataFrame]]:
    """Conditions first, then accuracy over time, then the others by name."""
    first = [name for name in ("metrics", "time") if name in tables]
    return [(name, tables[name]) for name in dict.fromkeys([*first, *tables])]


def _table(name: str, cells: pd.DataFrame) -> Table:
    most = MOST_METRICS if name == "metrics" else MOST_CELLS
    part = cells.head(max(1, most // max(1, len(cells.columns))))
    return Table(
        name=name,
        columns=list(cells.columns),
        rows=part.to_numpy().tolist(),
        about=_count(len(part), len(cells), f"{name}.csv"),
    )


def _figures(draws: Sequence[Draw], figures: Path, beside: Path, room: int) -> list[dict[str, Any]]:
    """Figures that there are: what they show, and their content while there is room in bytes."""
    found = []
    for draw in draws:
        file = figures / f"{draw.__name__}.png"
        if not file.exists():
            continue
        content = file.read_bytes()
        width, height = (round(n * FIGURE_SCALE) for n in struct.unpack(">II", content[16:24]))
        text = base64.b64encode(content).decode("ascii")
        about = " ".join((draw.__doc__ or draw.__name__).partition("\n\n")[0].split())
        found.append(
            {
                "name": file.name,
                "path": file.relative_to(beside).as_posix(),
                "width": width,
                "height": height,
                "data": text if len(text) + ROOM_OF_CAPTION <= room else "",
                "caption": re.split(r"; none ", about, flags=re.IGNORECASE)[0].rstrip(".") + ".",
            }
        )
        room -= ROOM_OF_CAPTION + len(found[-1]["data"])
    return found


def _facts(stored: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Entries of a JSON file, by name; very long ones end in an ellipsis that says so."""
    facts = []
    for key, value in sorted(stored.items()):
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        if len(text) > MOST_TEXT:
            text = f"{text[:MOST_TEXT]} … ({len(text):,} characters in all)"
        facts.append((key, text))
    return facts
