"""All schemes side by side: accuracy against time, spikes and energy, on the same images.

Each scheme runs the network that is shipped for it, or your own, and so does plain rate conversion.
Accuracy is read out over time, with intervals; one table and one figure hold everything.

    python studies/run_comparison.py                       # the digits inside scikit-learn
    python studies/run_comparison.py --dataset fashion-mnist --images 1000 --jobs 2
    python studies/run_comparison.py --only amos burst     # these schemes only
    python studies/run_comparison.py --network net.safetensors --jobs 2

A network of your own is run by every scheme that can hold it; refused.csv says why the others
cannot. docs/compare.md explains the columns.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from ann2brian.studies.comparison.contenders import contenders
from ann2brian.studies.comparison.entries import Entry, entries, load_images
from ann2brian.studies.comparison.published import COMPARISON
from ann2brian.studies.comparison.tasks import task
from ann2brian.studies.frame import console, flags, importing
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.provenance import provenance
from ann2brian.studies.frame.report import try_report
from ann2brian.studies.frame.result_folder import ResultFolder
from ann2brian.studies.frame.study import NOT_IN_CONFIGURATION
from ann2brian.studies.frame.study_images import StudyImages
from ann2brian.studies.frame.work import computed

SHOWN = {  # columns that are printed
    "scheme": "scheme",
    "condition": "setting",
    "network": "network",
    "ann_accuracy": "trained",
    "snn_accuracy": "spiking",
    "accuracy_low": "from",
    "accuracy_high": "to",
    "latency_ms": "ms",
    "spikes_per_image": "spikes",
    "energy_nj": "nJ",
    "wall_s": "wall, s",
}


def parser() -> argparse.ArgumentParser:
    """Flags of the comparison."""
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_subject_flags(
        found, {"digits": ""}, takes_several=True, reads_calibration=True, imports=True
    )
    found.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="SCHEME",
        help="schemes, or single settings as amos-K8 (default: all)",
    )
    importing.add_input_flags(found.add_argument_group("how an imported network sees an image"))
    flags.add_simulation_flags(found)
    flags.add_result_flags(found.add_argument_group("data and results"))
    found.set_defaults(pipelined=True)  # the same scores sooner
    return found


def main(argv: Sequence[str] | None = None) -> Path:
    """Run what can be run, keep a result folder and print the table."""
    arguments = parser().parse_args(argv)
    with console.refusals(), console.notes():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> Path:
    asked = argparse.Namespace(**vars(arguments))  # as the commands in the table have it
    chosen = contenders(arguments.only, quick=arguments.quick)
    if arguments.quick:
        flags.reduce(arguments, {})
    source = load_images(arguments)
    found, refused = entries(chosen, source, arguments)
    for row in refused.itertuples():
        print(f"left out: {row.scheme} ({row.condition}): {row.reason}")
    if not found:
        raise ValueError(f"no scheme can be run, see above; the first: {refused.reason.iloc[0]}")
    print(f"{len(source.test.images)} test images, {len(found)} runs")
    config = _configuration(arguments, source, found, refused)
    label = "-".join([arguments.dataset, *_networks(arguments, found), *arguments.only])
    parent = arguments.out / COMPARISON.name
    with ResultFolder(parent, label, config, rerun=arguments.rerun) as folder:
        tasks = [
            task(f"{number:03d}", entry, arguments, _command(asked, entry))
            for number, entry in enumerate(found)
        ]
        done = computed(folder, tasks, scheduler=arguments.scheduler, jobs=arguments.jobs)
        if len(refused):

            def write(working: Path) -> None:
                refused.to_csv(working / "refused.csv", index=False)

            done = [folder.condition("refused", write), *done]
        result = folder.finish(done, provenance(arguments.seed, arguments.target))
    figures = make_figures(result, COMPARISON.figures)
    page = try_report(result, COMPARISON.figures)
    _print(pd.read_csv(result / "metrics.csv"))
    print(f"results: {result}\nfigures: {figures[0].parent}\nreport: {page or 'none'}")
    return result


def _networks(arguments: argparse.Namespace, found: Sequence[Entry]) -> list[str]:
    """Names of networks for that of the result, if they were asked for."""
    if arguments.network is None:
        return []
    return list(dict.fromkeys(entry.case.subject.network.name for entry in found))[:3]


def _configuration(
    arguments: argparse.Namespace,
    source: StudyImages,
    found: Sequence[Entry],
    refused: pd.DataFrame,
) -> dict[str, Any]:
    """What decides the numbers."""
    left_out = (*NOT_IN_CONFIGURATION, "only")
    config = {
        "scheme": COMPARISON.name,
        **{k: v for k, v in vars(arguments).items() if k not in left_out},
        "weights_sha256": [entry.case.subject.weights_sha256 for entry in found],
        "images": len(source.test.images),
        "images_sha256": source.sha256,
        "is_whole_test_split": source.is_whole,
        "conditions": [entry.keys | asdict(entry.case.options) for entry in found],
        "refused": refused.to_dict("records"),
    }
    if any(entry.case.reads_calibration for entry in found):
        config["calibration_sha256"] = source.calibration_sha256
        config["own_calibration"] = source.own_calibration is not None
    return config


def _command(asked: argparse.Namespace, entry: Entry) -> str:
    """What makes this row again, alone."""
    words = ["python", "studies/run_comparison.py", "--only", entry.contender.name]
    if asked.own_images is None:
        words += ["--dataset", asked.dataset or "digits"]
    if asked.network is not None:
        words += ["--network", entry.network_given]
    images = [str(one) for one in (asked.own_images, asked.images) if one is not None]
    words += ["--images", *images] if images else []
    usual = parser()
    for name in (
        *("calibration_images", "calibration", "any_classes", "mean", "std", "pixel_scale"),
        *("maximum", "target", "seed", "quick"),
    ):
        value = getattr(asked, name)
        if value != usual.get_default(name):
            words.append(f"--{name.replace('_', '-')}")
            if value is not True:
                words += map(str, value if isinstance(value, list) else [value])
    return shlex.join(words)


def _print(metrics: pd.DataFrame) -> None:
    """The table, as much of it as fits a screen."""
    shown = metrics[list(SHOWN)].rename(columns=SHOWN)
    for name in ("trained", "spiking", "from", "to"):
        shown[name] = shown[name].map("{:.2%}".format)
    print("\n" + shown.to_string(index=False, float_format=lambda x: f"{x:,.5g}") + "\n")


if __name__ == "__main__":
    main()
