"""Remake ``models/schemes/amos/gate_fits.json``: gates fitted to SiLU, GELU, sigmoid and tanh.

    python studies/fit_gates.py --only silu:8:amos

Deterministic for a seed and a budget on one machine. A stored fit is replaced only by a better
one; the file is written after every fit, in one step. All 48 fits take about half an hour.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
from collections.abc import Sequence

from ann2brian.models.schemes.amos.gate_fits import FITS_FILE
from ann2brian.studies.amos.gate_fitting import (
    EVALUATIONS,
    QUICK_EVALUATIONS,
    improve,
    parse_key,
)


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line without the program's name.

    Returns
    -------
    Path
        The file of fits.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--only",
        type=parse_key,
        nargs="+",
        metavar="FUNCTION:K:KIND",
        help="fit only these, e.g. silu:8:amos (default: all)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the search (default 0)")
    parser.add_argument("--quick", action="store_true", help="1 %% of the budget, for a trial")
    parser.add_argument(
        "--out", type=Path, default=FITS_FILE, help="file to improve or make (default: shipped)"
    )
    options = parser.parse_args(argv)
    n_evaluations = QUICK_EVALUATIONS if options.quick else EVALUATIONS
    improve(options.out, options.only or (), options.seed, n_evaluations)
    return options.out


if __name__ == "__main__":
    main()
