"""Networks of other tools here and there: the same spikes, or the first that differs.

Each tool writes networks as NIR files, presents 200 steps of random input to them and keeps its
own spikes. The files are read with what the tool means by them, and run in plain NumPy and in
Brian2; and once more by the definition of NIR alone, as a reader would who knows of no tool.

    python studies/run_exchange.py                             # tools that are installed here
    python studies/run_exchange.py --python norse=PATH --python spyx=PATH    # and others elsewhere
    python studies/run_exchange.py --files tests/data/nir      # written before: needs no tool
    python studies/run_exchange.py --files tests/data/nir --quick

requirements-exchange.txt says which tools fit into one environment. Results of all tools go to
``results/exchange``, those of some to ``results/exchange-parts``. A run that was stopped continues
after the last network.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from ann2brian.models.places import RESULTS
from ann2brian.studies.exchange import tools
from ann2brian.studies.exchange.comparison import compared
from ann2brian.studies.exchange.conventions import DEFINITION, MEANT
from ann2brian.studies.exchange.files import unpacked, written_files
from ann2brian.studies.exchange.writers import WRITERS
from ann2brian.studies.frame import console
from ann2brian.studies.frame.provenance import provenance
from ann2brian.studies.frame.report import try_report
from ann2brian.studies.frame.result_folder import ResultFolder

METRICS = "metrics.csv"


def own_python(text: str) -> tuple[str, str]:
    """A writer and the Python of its environment, for argparse."""
    name, _, path = text.partition("=")
    if name not in WRITERS:
        raise argparse.ArgumentTypeError(f"no writer {name!r}; there are {', '.join(WRITERS)}")
    python = Path(path).expanduser().absolute()
    if not path or not python.is_file():
        raise argparse.ArgumentTypeError(f"{path!r} is no program; give WRITER=PATH of a Python")
    return name, str(python)


def parser() -> argparse.ArgumentParser:
    """Flags of the study."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = flags.add_mutually_exclusive_group()
    source.add_argument(
        "--python",
        type=own_python,
        action="append",
        default=[],
        metavar="WRITER=PATH",
        help=f"Python that has a writer's packages; one of {', '.join(WRITERS)}. May be repeated",
    )
    source.add_argument(
        "--files", type=Path, metavar="FOLDER", help="files that writers made before; runs no tool"
    )
    flags.add_argument(
        "--target",
        choices=("cpp_standalone", "cython", "numpy"),
        default="cpp_standalone",
        help="how Brian2 runs the networks (default: cpp_standalone, some seconds each)",
    )
    flags.add_argument("--out", type=Path, default=RESULTS, help="folder for result folders")
    flags.add_argument(
        "--quick", action="store_true", help="one network of each tool, on the numpy target"
    )
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Write, compare, keep a result folder and print what differs."""
    arguments = parser().parse_args(argv)
    target = "numpy" if arguments.quick else arguments.target
    with console.refusals():
        source: dict[str, dict[str, Any]]
        if arguments.files is None:
            writing, files = _tools(dict(arguments.python)), []
            names = {own.tool for own in writing}
            source = {"writers": {own.writer.name: dict(own.versions) for own in writing}}
        else:
            writing, files = [], written_files(arguments.files)
            names = {_tool(path) for path in files}
            source = {"files": {path.stem: _digest(path) for path in files}}
        config = {"scheme": "exchange", "target": target, "quick": arguments.quick, **source}
        is_whole = names == {writer.tool for writer in WRITERS.values()}
        parent = arguments.out / ("exchange" if is_whole else "exchange-parts")
        label = "quick" if arguments.quick else target
        with ResultFolder(parent, label, config) as folder:
            done = [
                folder.condition(f"writer-{own.writer.name}", own.write)
                for own in console.steps(writing, "tools write")
            ]
            files += [path for place in done for path in written_files(place)]
            chosen = _first_of_each(files) if arguments.quick else files
            for path in console.steps(chosen, "networks"):
                done.append(folder.condition(path.stem, partial(_compare, path, target)))
            result = folder.finish(done, provenance(0, target), ("tool", "spikes"))
    _print(pd.read_csv(result / METRICS), target)
    print(f"results: {result}\nreport: {try_report(result) or 'none'}")
    return result


def _tools(pythons: dict[str, str]) -> list[tools.Tool]:
    """Tools that can write; says which cannot."""
    found, missing = tools.found(pythons, sys.executable)
    for name, why in missing.items():
        print(tools.remedy(name, why), file=sys.stderr)
    if not found:
        raise ValueError("no tool can write here; files of before: --files tests/data/nir")
    return found


def _compare(path: Path, target: str, working: Path) -> None:
    """Rows of one file."""
    with tempfile.TemporaryDirectory(prefix="ann2brian_exchange_") as place:
        rows = compared(unpacked(path, Path(place)), target)
    rows.to_csv(working / METRICS, index=False)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _tool(path: Path) -> str:
    return path.stem.partition("_")[0]


def _first_of_each(files: Sequence[Path]) -> list[Path]:
    """One file of each tool, if there is one with weights on the grid."""
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: not path.stem.endswith("_grid")):
        found.setdefault(_tool(path), path)
    return list(found.values())


def _print(rows: pd.DataFrame, target: str) -> None:
    """Tool by tool; then each network that does not spike as there."""
    meant = rows[rows.reading == MEANT]
    for tool, own in meant.groupby("tool", sort=False):
        plain = rows[(rows.tool == tool) & (rows.reading == DEFINITION)]
        print(f"{tool}, {len(own)} networks, {own.spikes.sum():,.0f} spikes")
        console.print_table(
            [
                ("differ, NumPy", f"{own.numpy_differ.sum():,.0f}"),
                (f"differ, Brian2 ({target})", f"{own.brian2_differ.sum():,.0f}"),
                ("differ, read by the definition alone", f"{plain.numpy_differ.sum():,.0f}"),
            ]
        )
    for row in meant[meant.refused.notna()].itertuples():
        print(f"{row.file} cannot be read: {row.refused}")
    for row in meant[(meant.numpy_differ > 0) | (meant.brian2_differ > 0)].itertuples():
        lost = f", whose file has lost {row.lost}" if isinstance(row.lost, str) else ""
        where = f"first in step {row.numpy_step:.0f} of {row.numpy_layer}"
        print(f"{row.file}{lost}: {row.numpy_differ:,.0f} spikes differ, {where}")


if __name__ == "__main__":
    main()
