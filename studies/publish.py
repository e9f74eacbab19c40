"""Put the numbers and the pictures of README and docs in place, from stored results.

    python studies/publish.py

Copies the numbers of complete reference results to ``studies/published/*.csv``, of studies the
largest on each data set, pictures beside them, and writes everything between the markers of
README.md and docs: tables of numbers, options of each scheme, shipped networks. Nothing is typed
by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
from collections.abc import Callable, Sequence
from functools import partial

from ann2brian.models.places import RESULTS
from ann2brian.studies.catalogue import REPORTS, STUDIES
from ann2brian.studies.frame import publishing
from ann2brian.studies.frame.console import refusals
from ann2brian.studies.frame.headlines import costs_table, schemes_table
from ann2brian.studies.frame.markdown import networks_table, options_table


def tables() -> dict[str, Callable[..., str]]:
    """By marker, what makes the lines between."""
    options = {
        f"options {study.name}": partial(options_table, study.scheme.options, study.unused)
        for study in STUDIES
    }
    summaries = {
        "networks": networks_table,
        "schemes": partial(schemes_table, publishing.PUBLISHED),
        "costs": partial(costs_table, publishing.PUBLISHED),
    }
    return publishing.generators(REPORTS) | options | summaries


def main(argv: Sequence[str] | None = None) -> None:
    """Collect, copy and write; what has no stored result stays as it was published."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--results", type=Path, default=RESULTS, help="folder of the schemes")
    arguments = flags.parse_args(argv)
    with refusals():
        for report in REPORTS:
            publishing.copy_results(report, arguments.results)
        for page in publishing.pages():
            page.write_text(publishing.filled(page.read_text(), tables()))


if __name__ == "__main__":
    main()
