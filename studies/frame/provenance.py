"""Where a result comes from: commit, versions, machine, command; and a digest of the code."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ann2brian.models.engine.builds import usable_cores
from ann2brian.models.places import ROOT

PACKAGES = ("brian2", "numpy", "scipy", "pandas", "matplotlib", "scikit-learn", "safetensors")


def provenance(seed: int, target: str) -> dict[str, Any]:
    """Where a result comes from: commit, versions, machine, command."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": None
        if (changes := _git("status", "--porcelain")) is None
        else bool(changes),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "seed": seed,
        "target": target,
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "compiler": _first_line(["g++", "--version"]),
        "platform": platform.platform(),
        "cores": usable_cores(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git(*arguments: str) -> str | None:
    return _first_line(["git", "-C", str(ROOT), *arguments])


def _first_line(command: Sequence[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else None


def source_digest(root: Path = ROOT) -> str:
    """Digest of the code: results of other code must not be continued."""
    digest = hashlib.sha256()
    for package in ("ann2brian", "models", "analysis", "studies"):
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".h", ".cpp", ".json"):
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
