"""AMOS: a trained classifier as Brian2 neurons that spike at most once per image.

Converts a trained network with K neurons per gate, runs it in Brian2 on test images, compares it
with the network it came from and writes a result folder with tables, spike trains and figures.

    python studies/run_amos.py                        # the digits inside scikit-learn
    python studies/run_amos.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_amos.py --neurons-per-gate 2 3 4 5 6 8 10
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

from collections.abc import Sequence

from ann2brian.studies.amos.study import STUDY
from ann2brian.studies.frame.study import run


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    return run(STUDY, argv, about=__doc__)


if __name__ == "__main__":
    main()
