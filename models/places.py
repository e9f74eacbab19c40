"""Where builds, downloads and results are kept."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


def cache_folder() -> Path:
    """``ANN2BRIAN_CACHE``, or ``.cache`` in the repository."""
    return Path(os.environ.get("ANN2BRIAN_CACHE", ROOT / ".cache"))
