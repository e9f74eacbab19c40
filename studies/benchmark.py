"""What the engine costs, as ratios measured side by side in one run.

    python studies/benchmark.py                         # all parts
    python studies/benchmark.py --against ../previous   # with the previous release, a checkout
    python studies/benchmark.py --only peers,threads    # some parts
    python studies/benchmark.py --quick                 # digits, to see that it works

Every contender is a process of its own on one thread, and contenders take turns: this release, the
previous one, the same network with explicit Brian2 synapses, and SpikingJelly, snnTorch and sinabs
where they are installed. A ratio is taken round by round; its median and quartiles are printed.
What must give the same spikes is compared by a digest of scores, counts and events.

*Loop* is the simulation loop alone; *all* is everything from pixels to scores (standardisation,
input currents, start of the program and its files), but not the build or the conversion.

A run that was stopped continues after the last finished comparison. Results of all parts go to
``results/benchmark``, those of some parts to ``results/benchmark-parts``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd
from ann2brian.studies.benchmarks.contenders import Case, Room, compare
from ann2brian.studies.benchmarks.part import Part, Setting
from ann2brian.studies.benchmarks.parts import PARTS
from ann2brian.studies.benchmarks.peers import PEERS, installed
from ann2brian.studies.benchmarks.published import BENCHMARK
from ann2brian.studies.frame import console
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.flags import add_result_flags, positive
from ann2brian.studies.frame.provenance import provenance
from ann2brian.studies.frame.report import try_report
from ann2brian.studies.frame.result_folder import ResultFolder
from tqdm import tqdm

ROUNDS, QUICK_ROUNDS = 5, 2
MEASUREMENTS = "measurements.csv"
NO_PREVIOUS = (
    "the comparison with the previous release is left out; to include it: --against PATH, a "
    "checkout of it"
)


def chosen_parts(text: str) -> tuple[Part, ...]:
    """Parts by their names with commas between, in their own order, for argparse."""
    known = {part.name: part for part in PARTS}
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no part {name!r}; there are {', '.join(known)}")
    return tuple(part for part in PARTS if part.name in names)


def checkout(text: str) -> Path:
    """Folder that holds a release of this project, for argparse."""
    path = Path(text).expanduser().resolve()
    if not (path / "ann2brian" / "__init__.py").exists():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no checkout of this project: there is no ann2brian/__init__.py in it"
        )
    return path


def factor(text: str) -> float:
    """Number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def parser() -> argparse.ArgumentParser:
    """Flags of the benchmark."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    about = "; ".join(f"{part.name}: {part.about}" for part in PARTS)
    flags.add_argument(
        "--only",
        type=chosen_parts,
        default=PARTS,
        metavar="PART,...",
        help=f"parts to measure (default: all). {about}",
    )
    flags.add_argument(
        "--against", type=checkout, metavar="PATH", help="checkout of the previous release"
    )
    flags.add_argument(
        "--rounds",
        type=positive,
        help=f"measurements of each contender (default: {ROUNDS}; quick: {QUICK_ROUNDS})",
    )
    flags.add_argument(
        "--scale", type=factor, default=1.0, help="factor of all numbers of images (default: 1)"
    )
    add_result_flags(flags)
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Measure, write a result folder and print the numbers."""
    arguments = parser().parse_args(argv)
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    setting = Setting(
        quick=arguments.quick,
        rounds=rounds,
        scale=arguments.scale,
        has_previous=arguments.against is not None,
        peers=installed(),
    )
    _tell_what_is_missing(setting)
    is_whole = len(arguments.only) == len(PARTS)
    with console.refusals():
        previous = arguments.against and commit(arguments.against)
        config = {
            "scheme": "benchmark",
            "quick": setting.quick,
            "rounds": rounds,
            "scale": setting.scale,
            "parts": [part.name for part in arguments.only],
            "peers": {name: version(name) for name in setting.peers},
            "previous": previous,
        }
        parent = arguments.out / ("benchmark" if is_whole else "benchmark-parts")
        label = "quick" if setting.quick else "-".join(["full"] if is_whole else config["parts"])
        with (
            ResultFolder(parent, label, config, rerun=arguments.rerun) as folder,
            tempfile.TemporaryDirectory(prefix="ann2brian_benchmark_") as place,
        ):
            room = Room(folder=Path(place), data=arguments.data, previous=arguments.against)
            result = _measure(folder, arguments.only, setting, room)
        figures = make_figures(result, BENCHMARK.figures)
        page = try_report(result, BENCHMARK.figures)
    _print(pd.read_csv(result / "metrics.csv"))
    print(f"results: {result}")
    if figures:
        print(f"figures: {figures[0].parent}")
    print(f"report: {page or 'none'}")
    return result


def _tell_what_is_missing(setting: Setting) -> None:
    missing = [peer.missing for name, peer in PEERS.items() if name not in setting.peers]
    for line in [*missing, *([] if setting.has_previous else [NO_PREVIOUS])]:
        print(line, file=sys.stderr)


def commit(path: Path) -> str:
    """Commit of a checkout, or its path where Git does not tell."""
    command = ["git", "-C", str(path), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return str(path)
    return done.stdout.strip() if done.returncode == 0 else str(path)


def _measure(folder: ResultFolder, parts: Sequence[Part], setting: Setting, room: Room) -> Path:
    """All comparisons that an earlier run did not finish, and what follows from them."""
    cases = [(part, case) for part in parts for case in part.cases(setting)]
    done = []
    with tqdm(cases, unit="comparison", leave=False) as bar:
        for part, case in bar:
            bar.set_description(f"{part.name}: {case.name}")

            def compute(working: Path, part: Part = part, case: Case = case) -> None:
                table = compare(case, room, setting.rounds, bar.set_postfix_str)
                table.insert(0, "part", part.name)
                table.to_csv(working / MEASUREMENTS, index=False)

            name = f"{part.name}-{case.name}".replace(" ", "_").replace("/", "_")
            done.append(folder.condition(name, compute))
    tables = [pd.read_csv(path / MEASUREMENTS) for path in done]
    if not tables:
        raise ValueError("nothing to measure: the parts asked for need what is missing here")
    rows = quantities(parts, pd.concat(tables, ignore_index=True))
    last = folder.condition(
        "quantities", lambda working: rows.to_csv(working / "metrics.csv", index=False)
    )
    return folder.finish([*done, last], provenance(0, "cpp_standalone"), ("quantity", "value"))


def quantities(parts: Sequence[Part], measurements: pd.DataFrame) -> pd.DataFrame:
    """Numbers that are printed, one a row, in the order of the parts and their cases."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        own = measurements[measurements.part == part.name]
        for case in dict.fromkeys(own.case):
            found = part.quantities(case, own[own.case == case])
            rows += [{"part": part.name, **quantity.row()} for quantity in found]
    return pd.DataFrame(rows)


def _print(table: pd.DataFrame) -> None:
    """Part by part: median, and quartiles in brackets."""
    for name, rows in table.groupby("part", sort=False):
        print(f"{name}, median of {rows.rounds.iloc[0]} rounds (half of them)")
        console.print_table(
            (row.quantity, f"{row.value:.3g} ({row.low:.3g} to {row.high:.3g})")
            for row in rows.itertuples()
        )


if __name__ == "__main__":
    main()
