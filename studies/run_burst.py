"""Burst conversion: a trained classifier with max pooling as Brian2 neurons that burst.

Converts a trained network, runs it in Brian2 on test images beside plain integrate-and-fire
conversion of the same weights, and writes a result folder with tables, spike trains and figures.

    python studies/run_burst.py                       # the digits inside scikit-learn
    python studies/run_burst.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_burst.py --network net.onnx --images test.npz --calibration-images train.npz
    python studies/run_burst.py --gamma 1 2 3 5 --normalisation percentile --percentile 99
    python studies/run_burst.py --dataset fashion-mnist --study --steps 64 --pipelined --jobs 2
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

from collections.abc import Sequence

from ann2brian.studies.burst.study import STUDY
from ann2brian.studies.frame.study import run


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    return run(STUDY, argv, about=__doc__)


if __name__ == "__main__":
    main()
