"""How much biology each scheme bears: perturbations from none to breakdown, five schemes.

Every perturbation of studies/biology/kinds.py is swept for each scheme, over seeds. Tables say what
each scheme bears, in physical units and relative to its own time and voltage scale; how the three
perturbations that matter most add up; and which layer fails first. See docs/biology.md.

    python studies/run_biology.py                              # digits
    python studies/run_biology.py --quick                      # minutes: fewer of everything
    python studies/run_biology.py --dataset fashion-mnist --images 1000
    python studies/run_biology.py --only leak refractory --schemes amos burst
    python studies/run_biology.py --perturbation my_perturbation.py:KIND

Results go to ``results/biology``. A run that was stopped continues after the last finished point;
a finished one is shown again, unless ``--rerun`` asks for it anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from ann2brian.models.engine.builds import usable_cores
from ann2brian.studies.biology import layers, tables
from ann2brian.studies.biology import runs as single
from ann2brian.studies.biology.arms import DATASETS, OPTIONS, Arm, arms
from ann2brian.studies.biology.figures import FIGURES
from ann2brian.studies.biology.kinds import KINDS, Kind, chosen, read_kind
from ann2brian.studies.biology.runs import Point, Runs
from ann2brian.studies.frame import console, flags, study_images
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.provenance import provenance
from ann2brian.studies.frame.report import try_report
from ann2brian.studies.frame.result_folder import COMPLETE, ResultFolder
from ann2brian.studies.frame.work import Task, computed

NAME = "biology"
N_SEEDS, N_TRAINS = 5, 100
QUICK_KINDS = (
    "leak",
    "threshold mismatch",
    "weight bits",
    "transmission failure",
    "dead neurons",
    "membrane noise",
)
QUICK = {"images": 40, "seeds": 2, "trains": 20}


def parser() -> argparse.ArgumentParser:
    """Flags of the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset", choices=tuple(DATASETS), default="digits", help="data (default: digits)"
    )
    parser.add_argument(
        "--images", type=flags.positive, help="test images to present, the first so many"
    )
    parser.add_argument(
        "--schemes", nargs="+", choices=tuple(OPTIONS), default=list(OPTIONS), help="default: all"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="perturbations to sweep (default: all)"
    )
    parser.add_argument(
        "--perturbation",
        action="append",
        default=[],
        metavar="FILE.py:KIND",
        help="a perturbation of your own, swept like the others; may be repeated",
    )
    parser.add_argument(
        "--seeds", type=flags.positive, default=N_SEEDS, help="seeds of what is random (default: 5)"
    )
    parser.add_argument(
        "--coarse", action="store_true", help="every second strength only (so with --quick)"
    )
    parser.add_argument(
        "--trains",
        type=flags.positive,
        default=N_TRAINS,
        help=f"images whose spike trains are compared, layer by layer (default: {N_TRAINS})",
    )
    parser.add_argument(
        "--calibration",
        type=flags.positive,
        default=flags.CALIBRATION,
        help=f"training images from which ranges are read (default: {flags.CALIBRATION})",
    )
    parser.add_argument("--batch", type=flags.positive, help="images side by side")
    parser.add_argument(
        "--jobs", type=flags.positive, help="processes that do the work (default: one a core)"
    )
    parser.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="Dask scheduler whose workers do the work (docs/many-machines.md)",
    )
    parser.add_argument(
        "--target",
        choices=("cpp_standalone", "cython", "numpy"),
        help="how Brian2 runs the networks (default: cpp_standalone; numpy with --quick)",
    )
    parser.add_argument(
        "--seed", type=flags.natural, default=1, help="first of the seeds (default: 1)"
    )
    flags.add_result_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> Path:
    """Sweep, check the controls, keep a result folder and print what each scheme bears."""
    arguments = parser().parse_args(argv)
    with console.refusals(), console.notes():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> Path:
    if arguments.jobs is None:
        arguments.jobs = 1 if arguments.scheduler else usable_cores()
    if arguments.target is None:
        arguments.target = "numpy" if arguments.quick else "cpp_standalone"
    own = [read_kind(text) for text in arguments.perturbation]
    kinds = {kind.name: kind for kind in _kinds(arguments, [kind for kind, _ in own])}
    source = study_images.load(
        arguments.dataset,
        own=None,
        n_images=arguments.images,
        has_fewer=arguments.quick,
        own_calibration=None,
        n_calibration=arguments.calibration,
        seed=arguments.seed,
        data=arguments.data,
    )
    found = {arm.scheme: arm for arm in arms(arguments.schemes, arguments.dataset, source)}
    config = _configuration(arguments, kinds, found, source, [path for _, path in own])
    parent, label = arguments.out / NAME, _label(arguments, own)
    with ResultFolder(parent, label, config, rerun=arguments.rerun) as folder:
        result = folder.path
        if not (result / COMPLETE).exists():
            result = _computed(folder, arguments, kinds, found)
        else:
            shutil.rmtree(folder.part)
            print("this result is finished; --rerun computes it anew")
    figures = make_figures(result, FIGURES)
    page = try_report(result, FIGURES)
    _print(result)
    print(f"results: {result}\nfigures: {figures[0].parent if figures else 'none'}")
    print(f"report: {page or 'none'}")
    return result


def _kinds(arguments: argparse.Namespace, own: Sequence[Kind]) -> list[Kind]:
    """What is swept; with ``--quick`` fewer, but all that are named."""
    if not arguments.quick:
        kinds = chosen([*KINDS, *own], arguments.only)
        return [kind.coarse() for kind in kinds] if arguments.coarse else kinds
    for name, most in QUICK.items():
        given = getattr(arguments, name)
        setattr(arguments, name, most if given is None else min(given, most))
    arguments.calibration = min(arguments.calibration, flags.QUICK_CALIBRATION)
    only = arguments.only or [*QUICK_KINDS, *(kind.name for kind in own)]
    return [kind.coarse() for kind in chosen([*KINDS, *own], only)]


def _configuration(
    arguments: argparse.Namespace,
    kinds: Mapping[str, Kind],
    found: Mapping[str, Arm],
    source: study_images.StudyImages,
    files: Sequence[Path],
) -> dict[str, Any]:
    """What decides the numbers."""
    return {
        "scheme": NAME,
        "dataset": arguments.dataset,
        "quick": arguments.quick,
        "seed": arguments.seed,
        "seeds": arguments.seeds,
        "trains": arguments.trains,
        "calibration": arguments.calibration,
        "target": arguments.target,
        "batch": arguments.batch,
        "images": len(source.test.images),
        "images_sha256": source.sha256,
        "weights_sha256": [arm.about["weights_sha256"] for arm in found.values()],
        "conditions": list(kinds),
        "arms": {scheme: arm.about | arm.scales for scheme, arm in found.items()},
        "perturbations": {name: [str(s) for s in kind.strengths] for name, kind in kinds.items()},
        "own": [hashlib.sha256(path.read_bytes()).hexdigest() for path in files],
    }


def _label(arguments: argparse.Namespace, own: Sequence[Any]) -> str:
    """Readable part of the name of the result."""
    is_part = arguments.only or own or set(arguments.schemes) != set(OPTIONS)
    parts = [arguments.dataset, "quick" if arguments.quick else "", "part" if is_part else ""]
    return "-".join(filter(None, parts))


def _computed(
    folder: ResultFolder,
    arguments: argparse.Namespace,
    kinds: Mapping[str, Kind],
    found: Mapping[str, Arm],
) -> Path:
    """Run everything that is not finished, and put the tables together."""
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    settings = {"batch": arguments.batch, "target": arguments.target}
    workers = {"scheduler": arguments.scheduler, "jobs": arguments.jobs}
    dataset = arguments.dataset

    def run(groups: Sequence[list[Point]]) -> Runs:
        points = list(dict.fromkeys(single.interleaved(groups, arguments.jobs)))
        tasks = [single.task(p, found[p.scheme], kinds, settings) for p in points]
        done = computed(folder, tasks, **workers)
        return Runs.read(dict(zip(points, done, strict=True)))

    print(f"{len(found)} schemes, {len(kinds)} perturbations, at most {arguments.seeds} seeds")
    done = Runs.read({})
    for scheme, arm in found.items():
        own = single.swept(scheme, list(kinds.values()), seeds, run, arm.labels)
        print(f"{scheme}: {len(own.rows)} runs; controls equal the unperturbed one", flush=True)
        done = done.plus(own)
    sweep = tables.sweep(done, found, kinds, dataset)
    borne = tables.tolerances(done, found, kinds, dataset)
    paired = tables.pair_points(borne, kinds, seeds)
    print(f"{sum(map(len, paired))} runs of pairs")
    done = done.plus(run(paired)) if paired else done
    at = layers.failing(sweep)
    tasks = [
        _trains(arm, kind, at, arguments, settings)
        for scheme, arm in found.items()
        for kind in kinds.values()
    ]
    print(f"spike trains of {len(tasks)} conditions")
    trains = computed(folder, tasks, **workers)

    def summarise(path: Path) -> None:
        for name, table in {
            "metrics": single.metrics(done, found, kinds, dataset),
            "sweep": sweep,
            "tolerance": borne,
            "pairs": tables.pairs(done, paired, found, dataset),
        }.items():
            if len(table):
                table.to_csv(path / f"{name}.csv", index=False)

    summary = folder.condition("all", summarise)
    points = [folder.path_of(point.name) for point in done.rows]
    return folder.finish([*points, *trains, summary], provenance(arguments.seed, arguments.target))


def _trains(
    arm: Arm,
    kind: Kind,
    at: Mapping[tuple[str, str], float],
    arguments: argparse.Namespace,
    settings: Mapping[str, Any],
) -> Task:
    """Spike trains of a scheme at the first strength of a perturbation that costs a point."""
    strength = at.get((arm.scheme, kind.name))
    return layers.task(
        arm, kind, strength, arguments.trains, arguments.seed, settings, arguments.dataset
    )


def _print(result: Path) -> None:
    """What each scheme bears, relative to its own scales."""
    table = pd.read_csv(result / "tolerance.csv", keep_default_na=True)
    for n, own in table.groupby("points"):
        print(f"strength that costs {n} point{'s' if n > 1 else ''} of accuracy")
        for name, rows in own.groupby("perturbation", sort=False):
            first = rows.iloc[0]
            print(f" {name}, in {first.physical_unit}; {first.relative_unit}")
            console.print_table(
                [
                    (row.scheme, f"{row.physical_said}; {row.relative_said}")
                    for row in rows.itertuples()
                ]
            )


if __name__ == "__main__":
    main()
