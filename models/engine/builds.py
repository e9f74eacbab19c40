"""Folders of compiled C++ programs, reused as long as the program stays the same.

A build is what its generated sources say, nothing less: a folder is named after their text.
Weights and images are not in it but data that the program reads, in a folder of each run. A marker
is written when a build is complete, and locks let one process compile it and any number run it, so
that a run stopped half way, even by ``kill -9``, confuses nobody.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from ..places import cache_folder

COMPLETE = "complete"
PRECOMPILED = "standard.h"
MOST_BUILDS = 32  # kept; the ones unused for longest go first
RULES = "precompiled.mk"
DATA = "static_arrays"  # of a program, beside its sources
PROGRAM = "main"
RUN = "run_"  # first part of the names of folders in which a program runs
LOCK = "lock"  # in each, held as long as the run lives


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
def program(project: Path, description: str) -> Iterator[Path]:
    """Folder in which the program of a generated project can run, compiled if it is not yet.

    Any number of processes may run one program at once, each in a folder of its own with its own
    data; one compiles it while the others wait.

    Parameters
    ----------
    project : Path
        Folder that Brian2 generated. Its data are moved.
    description : str
        Everything the program depends on.

    Yields
    ------
    Path
        A folder with the program and the project's data, removed afterwards.

    Raises
    ------
    RuntimeError
        If the compiler fails.

    Notes
    -----
    If another process compiles the program this waits, and says so.
    """
    with build_folder(description, partial(_compile, project)) as folder, _run(folder) as own:
        shutil.move(project / DATA, own / DATA)
        (own / PROGRAM).symlink_to((folder / PROGRAM).absolute())
        yield own


@contextmanager
def build_folder(description: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """Folder with the complete build that `description` identifies, kept as long as it is used.

    Parameters
    ----------
    description : str
        Everything the build depends on.
    make : callable
        Builds it in the empty folder that it is given; called by one process, if none has done it.

    Yields
    ------
    Path
        The folder, which others may use at the same time.
    """
    key = hashlib.sha256(description.encode()).hexdigest()[:16]
    folder = cache_folder() / "builds" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("a+") as lock:
        while True:  # between the two locks another process may have removed it
            _wait_for(lock, fcntl.LOCK_SH, folder)
            if (folder / COMPLETE).exists():
                break
            fcntl.flock(lock, fcntl.LOCK_UN)
            _wait_for(lock, fcntl.LOCK_EX, folder)
            if not (folder / COMPLETE).exists():
                _make(folder, make)
        os.utime(folder)
        _remove_old_builds(folder)
        yield folder


def _wait_for(lock: IO[str], kind: int, folder: Path) -> None:
    """Take a lock; say so if that takes time."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError:
        print(f"waiting for another run that compiles {folder}", file=sys.stderr)
        fcntl.flock(lock, kind)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a build that is not there, or whose making was stopped."""
    if folder.exists():
        # Renamed first: a compiler that outlived its killed run may still write to it.
        folder.rename(folder.with_name(f"{folder.name}.{os.getpid()}.discarded"))
    for discarded in folder.parent.glob(f"{folder.name}.*.discarded"):
        shutil.rmtree(discarded, ignore_errors=True)
    folder.mkdir()
    make(folder)
    (folder / COMPLETE).touch()


@contextmanager
def _run(build: Path) -> Iterator[Path]:
    """Folder of one run in its build, removed afterwards; by the next run, if this one is killed.

    Runs are told from dead ones by their locks. A folder gets its name when it has one.
    """
    for path in build.glob(f"{RUN}*"):
        with suppress(OSError), (path / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    unnamed = Path(tempfile.mkdtemp(prefix=".", dir=build))
    with (unnamed / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = unnamed.rename(build / f"{RUN}{unnamed.name[1:]}")
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


def description(project: Path, header: Path) -> str:
    """Everything that a program depends on: its sources, and what this processor can do.

    Parameters
    ----------
    project : Path
        Folder that Brian2 generated, makefile included.
    header : Path
        File that its sources include and do not hold.
    """
    # The compiler is told to use what this processor has, so a shared cache must tell them apart.
    processor = Path("/proc/cpuinfo")
    features = processor.read_text().split("\n\n")[0] if processor.exists() else ""
    flags = [line for line in features.splitlines() if line.startswith(("flags", "Features"))]
    sources = {str(path): (project / path).read_text() for path in _sources(project)}
    return repr((header.read_text(), flags, sources))


def _sources(project: Path) -> list[Path]:
    """Files of a generated project but for its data, relative to it."""
    files = (path.relative_to(project) for path in project.rglob("*") if path.is_file())
    return sorted(path for path in files if path.parts[0] != DATA)


def _compile(project: Path, folder: Path) -> None:
    """Copy the sources of a project into its build folder, and compile them."""
    for name in _sources(project):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, folder / name)
    compile_program(folder)


def compile_program(folder: Path) -> None:
    """Compile Brian2's project in `folder` on all cores.

    Reading the standard headers is most of the compile time of a small source file, so they are
    precompiled, once for all programs. `make` is started here and not by Brian2, whose way of
    doing it takes Ctrl-C for a compiler error and hides what the compiler says.

    Raises
    ------
    RuntimeError
        If the compiler fails; the message holds the end of its output.
    """
    header = _header(folder) / PRECOMPILED
    (folder / RULES).write_text(
        "include makefile\n\n"
        "HEADER_FLAGS := $(CXXFLAGS)\n"  # not what the objects add; macOS's make has no `private`
        f"$(OBJS): CXXFLAGS += -include {header}\n"
        f"$(OBJS): {header}.gch\n\n"
        f"{header}.gch:\n"
        f"\t$(CXX) $(HEADER_FLAGS) -x c++-header {header} -o $@.$$$$ && mv $@.$$$$ $@\n"
    )
    # What depends on what: everything is made, so that the compiler need not find out first.
    (folder / "make.deps").touch()
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


_STANDARD_HEADERS = (
    *("algorithm", "climits", "cmath", "csignal", "cstdint", "cstring", "ctime", "fstream"),
    *("iostream", "limits", "map", "random", "set", "string", "tuple", "utility", "vector"),
)


def _header(folder: Path) -> Path:
    """Folder of the standard headers, precompiled as the program in `folder` needs them.

    A compiler that finds the file made by another one, or with other flags, reads the headers
    themselves.
    """
    compiler = os.environ.get("CXX", "g++")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    flags = [
        flag
        for line in (folder / "makefile").read_text().splitlines()
        if line.startswith(("OPTIMISATIONS", "CXXFLAGS"))
        for flag in line.split()
        if not flag.startswith("-I")
    ]
    text = "".join(f"#include <{name}>\n" for name in _STANDARD_HEADERS)
    key = hashlib.sha256(repr((version.stdout, flags, text)).encode()).hexdigest()[:16]
    place = cache_folder() / "headers" / key
    place.mkdir(parents=True, exist_ok=True)
    unfinished = place / f"{PRECOMPILED}.{os.getpid()}"
    unfinished.write_text(text)
    unfinished.replace(place / PRECOMPILED)
    return place


def _remove_old_builds(current: Path) -> None:
    """Remove the builds that were not used for longest, except those in use."""
    folders = sorted(
        (p for p in current.parent.iterdir() if p.is_dir() and "." not in p.name),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for folder in folders[MOST_BUILDS:]:
        with folder.with_name(f"{folder.name}.lock").open("a") as lock, suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
