"""Where builds, downloads and results are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
IS_CHECKOUT = (ROOT / "pyproject.toml").exists()  # else an installed package


def cache_folder() -> Path:
    """``ANN2BRIAN_CACHE``; or ``.cache`` in a checkout, the user's cache folder elsewhere."""
    default = ROOT / ".cache" if IS_CHECKOUT else pooch.os_cache("ann2brian")
    return Path(os.environ.get("ANN2BRIAN_CACHE", default))
