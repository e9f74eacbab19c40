"""Spiking networks from NIR files: run as Brian2 neurons as their writer ran them.

Reads a file of the Neuromorphic Intermediate Representation, applies the conventions of the program
that wrote it, presents images, rasters or events, and writes a result folder with tables, spike
trains and figures.

    python studies/run_nir.py                                  # a LIF network and the digits
    python studies/run_nir.py --network net.nir --written-by norse --images my_images.npz
    python studies/run_nir.py --network net.nir --written-by snntorch --spikes raster.npz
    python studies/run_nir.py --network net.nir --dt-ms 0.1 --written-by definition sinabs
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

from collections.abc import Sequence

from ann2brian.studies.frame.study import run
from ann2brian.studies.nir.study import STUDY


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    return run(STUDY, argv, about=__doc__)


if __name__ == "__main__":
    main()
