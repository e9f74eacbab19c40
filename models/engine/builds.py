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
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..places import cache_folder

COMPILED_MAIN = "main.cpp.compiled"
COMPLETE = "complete"
PRECOMPILED = "common.h"
MOST_BUILDS = 32  # kept; the ones unused for longest go first
RULES = "precompiled.mk"


def usable_cores() -> int:
    """Cores that this process may use, or all where the system does not tell (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_compiler(target: str) -> None:
    """Raise a RuntimeError that says what to install if `target` lacks make or g++."""
    needed = {"cpp_standalone": ("make", "g++"), "cython": ("g++",), "numpy": ()}[target]
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)} not found: the target {target} compiles C++. Install "
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
        if folder.exists() and not (folder / COMPLETE).exists():
            # Renamed first: a compiler that outlived its killed run may still write to it.
            folder.rename(folder.with_name(f"{key}.{os.getpid()}.discarded"))
        for discarded in folder.parent.glob(f"{key}.*.discarded"):
            shutil.rmtree(discarded, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        _remove_data(folder)
        _remove_old_builds(folder)
        yield folder
        _remove_data(folder)


def compile_program(folder: Path) -> None:
    """Compile Brian2's project in `folder` on all cores, and mark the folder complete.

    Reading the standard headers is most of the compile time of a small source file, so they are
    precompiled, once for all files. `make` is started here and not by Brian2, whose way of doing
    it takes Ctrl-C for a compiler error and hides what the compiler says.

    Raises
    ------
    RuntimeError
        If the compiler fails; the message holds the end of its output.
    """
    (folder / COMPLETE).unlink(missing_ok=True)
    main, compiled = folder / "main.cpp", folder / COMPILED_MAIN
    if compiled.exists() and sorted(_lines(main)) == sorted(_lines(compiled)):
        # Brian2 sets clocks back in the order of a set, another one in each process.
        shutil.copy2(compiled, main)
    header = folder / PRECOMPILED
    if not header.exists():
        lines = [f"#include <{name}>" for name in _STANDARD_HEADERS]
        header.write_text("\n".join(['#include "objects.h"', *lines, ""]))
    (folder / RULES).write_text(
        "include makefile\n\n"
        "HEADER_FLAGS := $(CXXFLAGS)\n"  # not what the objects add; macOS's make has no `private`
        f".INTERMEDIATE: {PRECOMPILED}.gch\n"  # 48 MB; removed when all is compiled
        f"$(OBJS): CXXFLAGS += -include {PRECOMPILED}\n"
        f"$(OBJS): {PRECOMPILED}.gch\n\n"
        f"{PRECOMPILED}.gch: {PRECOMPILED} objects.h synapses_classes.h makefile\n"
        "\t$(CXX) $(HEADER_FLAGS) -x c++-header $< -o $@\n"
    )
    done = subprocess.run(
        ["make", f"-j{usable_cores()}", "-f", RULES],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{folder}: make failed:\n{done.stdout[-2000:]}")
    shutil.copy2(main, compiled)
    (folder / COMPLETE).touch()


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


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
    """Remove what single runs leave in a build: their arguments, arrays and results."""
    for path in folder.glob("static_arrays/*"):
        path.unlink(missing_ok=True)
    for path in folder.glob("results*"):
        shutil.rmtree(path, ignore_errors=True)


def _remove_old_builds(current: Path) -> None:
    """Remove the builds that were not used for longest, except those in use."""
    os.utime(current)
    folders = sorted(
        (p for p in current.parent.iterdir() if p.is_dir() and "." not in p.name),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for folder in folders[MOST_BUILDS:]:
        with folder.with_name(f"{folder.name}.lock").open("w") as lock, suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
