"""Put numbers, pictures and generated tables in place: CSV files, README and the pages of docs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from ann2brian.models.conversion.options import options_of
from ann2brian.models.conversion.scheme import Scheme
from ann2brian.models.places import ROOT
from ann2brian.studies.frame.figures import Draw
from ann2brian.studies.frame.flags import CALIBRATION, place_of
from ann2brian.studies.frame.result_folder import complete_results

PUBLISHED = ROOT / "studies" / "published"
PLAIN = {
    "quick": False,
    "is_whole_test_split": True,
    "seed": 1,
    "calibration": CALIBRATION,
    "own_calibration": False,
}

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is published of a study's results.

    Parameters
    ----------
    collect : callable
        Tables by name, from complete reference results.
    tables : mapping of str to callable
        By the name of a collected table, which is that of its marker: how it is shown.
    pictures : sequence of str
        Figures that are published.
    varies : sequence of str
        Options that differ between published results, as the tables show them; all others must
        have the scheme's own defaults.
    is_wanted : callable, optional
        By configuration, whether a result is in the tables; pictures are of the largest of them.
        By default any is, and pictures are of whole studies that were checked.
    takes_parts : bool
        Whether results of the first images of a test split are published, too; the tables say how
        many there were.
    """

    collect: Callable[[list[Path]], Tables]
    tables: Mapping[str, Callable[[pd.DataFrame], str]]
    pictures: Sequence[str] = ()
    varies: Sequence[str] = ()
    is_wanted: Callable[[dict[str, Any]], bool] | None = None
    takes_parts: bool = False


@dataclass(frozen=True, kw_only=True)
class Report:
    """Results that are no study of a scheme.

    Parameters
    ----------
    name : str
        Of the folder with the results.
    figures : sequence of callable
        See :class:`studies.frame.study.Study`.
    published : Published
        What is published.
    """

    name: str
    figures: Sequence[Draw]
    published: Published
    scheme: None = field(default=None, init=False)


class Reported(Protocol):
    """A study, or a report, as far as publishing and drawing know it."""

    @property
    def name(self) -> str:
        """Of the folder with the results."""

    @property
    def scheme(self) -> Scheme | None:
        """Whose defaults a reference result has."""

    @property
    def figures(self) -> Sequence[Draw]:
        """What is drawn of a result."""

    @property
    def published(self) -> Published:
        """What is published."""


def configuration(folder: Path) -> dict[str, Any]:
    """What a stored result was run with."""
    return json.loads((folder / "config.json").read_text())


def is_reference(report: Reported, folder: Path) -> bool:
    """Whether a result is of the whole data set, with nothing varied but what the tables show."""
    plain: dict[str, Any] = dict(PLAIN)
    if report.published.takes_parts:
        del plain["is_whole_test_split"]
    for option in options_of(report.scheme.options) if report.scheme else ():
        if option.name not in report.published.varies:
            plain[place_of(option)] = (
                option.default if option.otherwise is None else option.otherwise
            )
    config = configuration(folder)
    return all(config.get(key, value) == value for key, value in plain.items())


def finished(folder: Path) -> str:
    """When a result was finished, as text that sorts."""
    return json.loads((folder / "provenance.json").read_text())["finished"]


def largest(
    folders: Iterable[Path], is_wanted: Callable[[dict[str, Any]], bool]
) -> dict[str, Path]:
    """By data set, the wanted result with most networks, then most conditions; then the newest."""
    found: dict[str, tuple[tuple[int, int, str], Path]] = {}
    for folder in folders:
        config = configuration(folder)
        if is_wanted(config):
            n_networks = len(set(config["weights_sha256"]))
            own = ((n_networks, len(config["conditions"]), finished(folder)), folder)
            found[config["dataset"]] = max(own, found.get(config["dataset"], own))
    return {dataset: folder for dataset, (_, folder) in sorted(found.items())}


def checked_studies(folders: Iterable[Path]) -> list[Path]:
    """Whole studies that were checked, the newest first."""
    found = [f for f in folders if configuration(f).get("study") and (f / "checks.csv").exists()]
    return sorted(found, key=finished, reverse=True)


def pictured(published: Published, folders: Sequence[Path]) -> Path:
    """Whose pictures are published: of a study in the tables, on Fashion-MNIST if there is one."""
    if published.is_wanted is not None:
        in_tables = largest(folders, published.is_wanted)
        return in_tables.get("fashion-mnist") or next(iter(in_tables.values()), folders[0])
    fashion = [f for f in folders if f.name.startswith("fashion-mnist")]
    newest = sorted(folders, key=finished, reverse=True)
    return (checked_studies(folders) or fashion or newest)[0]


def copy_results(report: Reported, results: Path, published: Path = PUBLISHED) -> None:
    """Write published numbers and pictures anew; without a reference result they stay."""
    folders = [f for f in complete_results(results / report.name) if is_reference(report, f)]
    if not folders:
        print(f"{report.name}: no complete reference results, published numbers stay")
        return
    for name, table in report.published.collect(folders).items():
        table.to_csv(published / f"{name}.csv", index=False)
    for picture in report.published.pictures:
        source = pictured(report.published, folders) / "figures" / picture
        shutil.copy2(source, published / picture)


def generators(
    reports: Iterable[Reported], published: Path = PUBLISHED
) -> dict[str, Callable[..., str]]:
    """By marker, what makes a table of published numbers, of those that are published.

    It may be given a condition, as `DataFrame.query` reads it, for some of the rows.
    """

    def shown(name: str, table: Callable[[pd.DataFrame], str], condition: str) -> str:
        numbers = pd.read_csv(published / f"{name}.csv")
        return table(numbers.query(condition, engine="python") if condition else numbers)

    return {
        name: lambda condition="", name=name, table=table: shown(name, table, condition)
        for report in reports
        for name, table in report.published.tables.items()
        if (published / f"{name}.csv").exists()
    }


def filled(text: str, tables: Mapping[str, Callable[..., str]]) -> str:
    """Text with what is between markers written anew.

    Parameters
    ----------
    text : str
        Markdown with lines ``<!-- name -->`` and ``<!-- end name -->``. A page that shows some of
        the rows only says which: ``<!-- name: condition -->``.
    tables : mapping of str to callable
        By name, what makes the lines between.

    Raises
    ------
    ValueError
        If a marker has no table or no end; the message names it.
    """
    for marker, name, condition in re.findall(
        r"^(<!-- (?!end )([^:\n]+?)(?:: (.+))? -->)$", text, re.MULTILINE
    ):
        if name not in tables:
            raise ValueError(f"marker {name!r}: no such table; there are {', '.join(tables)}")
        end = f"<!-- end {name} -->"
        between = re.compile(f"({re.escape(marker)}\n).*?({end})", re.DOTALL)
        if not between.search(text):
            raise ValueError(f"marker {name!r}: there is no line {end} after it")
        rows = tables[name](condition) if condition else tables[name]()
        text = between.sub(lambda found, rows=rows: f"{found[1]}{rows}\n{found[2]}", text)  # type: ignore[misc]
    return text


def pages(root: Path = ROOT) -> list[Path]:
    """README and the pages of the documentation."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
