"""Noise-trained networks: trained for one time step, run for N steps as Brian2 neurons.

Runs a network that was trained with noise on the membrane, without retraining, for N steps, and
writes a result folder with tables, spike trains and figures.

    python studies/run_noise.py                       # the digits inside scikit-learn
    python studies/run_noise.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_noise.py --rule residual memoryless both diffusive --leak 0.9
    python studies/run_noise.py --study --network digits-noise digits-noise-control my.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

from collections.abc import Sequence

from ann2brian.studies.frame.study import run
from ann2brian.studies.noise.study import STUDY


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    return run(STUDY, argv, about=__doc__)


if __name__ == "__main__":
    main()
