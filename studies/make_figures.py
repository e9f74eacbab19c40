"""Draw all figures again from the stored results, and write their pages.

    python studies/make_figures.py [--results DIR] [--out DIR]

Every complete result folder ``results/<scheme>/*/`` (one with ``metrics.csv``) gets a folder
``figures`` with a PNG and a PDF of each figure of its study, and a page ``report.html`` with these,
the tables and two interactive plots. Nothing is simulated.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
from collections.abc import Sequence

from ann2brian.models.places import RESULTS
from ann2brian.studies.catalogue import REPORTS
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.report import write_report
from ann2brian.studies.frame.result_folder import complete_results


def main(argv: Sequence[str] | None = None) -> list[Path]:
    """Command line; returns the files written."""
    parser = argparse.ArgumentParser(
        description="Draw all figures again from stored results, and write their pages."
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the schemes")
    parser.add_argument(
        "--out", type=Path, help="write to OUT/<scheme>/<result> instead of each result's folder"
    )
    arguments = parser.parse_args(argv)
    files = []
    for report in REPORTS:
        for folder in complete_results(arguments.results / report.name):
            out = arguments.out and arguments.out / report.name / folder.name
            files += make_figures(folder, report.figures, out)
            files.append(write_report(folder, report.figures, out))
            print(f"{folder}: {files[-1]}")
    if not files:
        parser.error(f"no results in {arguments.results}: run studies/run_amos.py first")
    return files


if __name__ == "__main__":
    main()
