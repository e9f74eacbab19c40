"""Folders of compiled C++ programs, reused as long as the program stays the same.

A folder belongs to one architecture and run shape, not to weights or images: those are data that
the program reads. A marker is written when a build is complete, and a lock keeps two processes
out of one folder, so that a run stopped half way, even by ``kill -9``, confuses nobody.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brian2 import prefs

ROOT = Path(__file__).resolve().parents[1]
COMPLETE = "complete"
PRECOMPILED = "common.h"


def cache_folder() -> Path:
    """Cache of builds and downloads: ``ANN2BRIAN_CACHE``, or ``.cache`` in the repository."""
    return Path(os.environ.get("ANN2BRIAN_CACHE", ROOT / ".cache"))


def require_compiler() -> None:
    """Raise a RuntimeError that says what to install if make or g++ is missing."""
    missing = [name for name in ("make", "g++") if shutil.which(name) is None]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)} not found: the target cpp_standalone compiles C++. Install "
            "them (Debian: apt-get install make g++), or run with --target numpy"
        )


@contextmanager
def build_folder(description: str) -> Iterator[Path]:
    """Locked folder for the build that `description` identifies.

    Parameters
    ----------
    description : str
        Everything the generated code depends on.

    Yields
    ------
    Path
        An empty folder, or the complete build of an earlier run.

    Notes
    -----
    If another process holds the folder this waits, and says so.
    """
    key = hashlib.sha256(description.encode()).hexdigest()[:16]
    folder = cache_folder() / "builds" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"waiting for another run that uses {folder}", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        _remove_data(folder)
        yield folder
        _remove_data(folder)


def mark_complete(folder: Path) -> None:
    """Note that the program in `folder` is compiled."""
    (folder / COMPLETE).touch()


def prepare(folder: Path) -> None:
    """Set Brian2's build preferences: all cores, and one precompiled header for every file.

    Reading the standard headers is most of the compile time of a small source file; the header
    is compiled once per folder.
    """
    header = folder / PRECOMPILED
    if not header.exists():
        lines = [f"#include <{name}>" for name in _STANDARD_HEADERS]
        header.write_text("\n".join(['#include "objects.h"', *lines, ""]))
        rules = (
            "include makefile\n\n"
            f"$(OBJS): {PRECOMPILED}.gch\n\n"
            f"{PRECOMPILED}.gch: {PRECOMPILED} objects.h synapses_classes.h makefile\n"
            "\t$(CXX) $(CXXFLAGS) -x c++-header $< -o $@\n"
        )
        (folder / "precompiled.mk").write_text(rules)
    cores = len(os.sched_getaffinity(0))
    prefs.devices.cpp_standalone.extra_make_args_unix = [f"-j{cores}", "-f", "precompiled.mk"]


_STANDARD_HEADERS = (
    "brianlib/common_math.h",
    "brianlib/stdint_compat.h",
    "cmath",
    "ctime",
    "iostream",
    "fstream",
    "climits",
    "vector",
    "algorithm",
)


def _remove_data(folder: Path) -> None:
    """Remove what single runs leave in a build: their arguments and results."""
    for path in folder.glob("static_arrays/init_*"):
        path.unlink(missing_ok=True)
    for path in folder.glob("results*"):
        shutil.rmtree(path, ignore_errors=True)
