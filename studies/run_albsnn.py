"""Locally binary networks (ALBSNN): layers with one bit a synapse beside layers with real weights.

Runs networks whose training chose the layers with binary weights, one step by default, and writes
a result folder with tables (accuracy, storage, events, the choice of layers), spike trains and
figures.

    python studies/run_albsnn.py                      # the digits inside scikit-learn
    python studies/run_albsnn.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_albsnn.py --dataset cifar-10 --network FILE.safetensors
    python studies/run_albsnn.py --steps 1 2 4 --leak 0.2 --reset soft
    python studies/run_albsnn.py --study --steps 1 2 4 --network digits-gap-real digits-albsnn
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

from collections.abc import Sequence

from ann2brian.studies.albsnn.study import STUDY
from ann2brian.studies.frame.study import run


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    return run(STUDY, argv, about=__doc__)


if __name__ == "__main__":
    main()
