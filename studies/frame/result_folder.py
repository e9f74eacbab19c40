"""What every study shares: flags, result folders, provenance and printed tables; no science."""

from __future__ import annotations

import _thread
import argparse
import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TextIO

import pandas as pd
from ann2brian.models.engine.builds import usable_cores
from ann2brian.models.places import RESULTS, ROOT
from tqdm import tqdm

PACKAGES = ("brian2", "numpy", "scipy", "pandas", "matplotlib", "scikit-learn", "safetensors")
REQUIRED_COLUMNS = (
    "scheme",
    "dataset",
    "network",
    "n_images",
    "ann_accuracy",
    "snn_accuracy",
    "agreement",
    "spikes_per_image",
    "max_spikes_per_neuron",
    "latency_ms",
    "synaptic_events_per_image",
    "build_s",
    "run_s",
)


class Refused(SystemExit):
    """Bad input: its message is printed, without a traceback, and the exit status is 2."""

    def __init__(self, message: object) -> None:
        print(f"error: {message}", file=sys.stderr)
        super().__init__(2)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn the errors that bad input raises, and Ctrl-C, into one printed line."""
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_repeat_interrupt, hook)
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        raise Refused(error) from error
    except KeyboardInterrupt:
        print("\nstopped; the same command continues where it can", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        sys.unraisablehook = hook


def _repeat_interrupt(hook: Callable[[Any], object], unraisable: Any) -> None:
    """Ctrl-C during the clean-up of an object, of which Brian2 has many, would have no effect."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        threading.Timer(0.05, _thread.interrupt_main).start()
    else:
        hook(unraisable)


def positive(text: str, smallest: int = 1) -> int:
    """Whole number of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = smallest - 1
    if value < smallest:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {smallest}")
    return value


def natural(text: str) -> int:
    """Whole number of at least 0, for argparse."""
    return positive(text, smallest=0)


def add_run_flags(
    parser: argparse.ArgumentParser, spikes: int = 100, use: str = "analysed"
) -> None:
    """Flags that mean the same in every study.

    Parameters
    ----------
    parser : ArgumentParser
        Of the study.
    spikes : int
        Images whose spike trains serve for more than counts, unless the user says otherwise.
    use : str
        What is done with these spike trains, for the help.
    """
    run = parser.add_argument_group("simulation")
    run.add_argument("--images", type=positive, help="test images to present (default: all)")
    run.add_argument(
        "--batch", type=positive, help="images side by side (default: what fits the cache)"
    )
    run.add_argument(
        "--jobs", type=positive, default=1, help="processes that share the images (default: 1)"
    )
    run.add_argument(
        "--target",
        choices=("cpp_standalone", "cython", "numpy"),
        default="cpp_standalone",
        help="how Brian2 runs the model (default: cpp_standalone)",
    )
    run.add_argument(
        "--seed", type=natural, default=1, help="seed of every random choice (default: 1)"
    )
    run.add_argument(
        "--weight-bits", type=int, default=16, help="bits of a synaptic weight (default: 16)"
    )
    run.add_argument(
        "--pipelined",
        action="store_true",
        help="let a new image enter as soon as the first layer is free",
    )
    result = parser.add_argument_group("data and results")
    result.add_argument(
        "--data", type=Path, help="folder with the data sets (default: ANN2BRIAN_DATA, or download)"
    )
    result.add_argument(
        "--out",
        type=Path,
        default=RESULTS,
        help="folder for result folders (default: results in the repository)",
    )
    result.add_argument(
        "--spikes",
        type=positive,
        default=spikes,
        help=f"images whose spike trains are {use} (default: {spikes})",
    )
    result.add_argument(
        "--quick", action="store_true", help="a small run that proves the installation works"
    )


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


class ResultFolder:
    """A result folder that appears complete or not at all.

    Work goes to ``<name>.part``; each finished condition is a folder in it, so that a run that
    was stopped continues after the last finished one. :meth:`finish` puts the tables together
    and gives the folder its name; an older result of the same name is replaced.

    Parameters
    ----------
    parent : Path
        ``<out>/<scheme>``.
    label : str
        Readable part of the name.
    config : dict
        Everything the result depends on but the code; written to ``config.json``.
    """

    def __init__(self, parent: Path, label: str, config: dict[str, Any]) -> None:
        text = json.dumps(config, indent=2, sort_keys=True)
        key = hashlib.sha256((text + source_digest()).encode()).hexdigest()[:8]
        self.path = parent / f"{label}-{key}"
        self.part = parent / f"{label}-{key}.part"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(parent / f".{self.path.name}.lock")
            self.part.mkdir(exist_ok=True)
            (self.part / "config.json").write_text(text + "\n")
        except OSError as error:
            raise OSError(
                f"cannot write results to {parent}: {error.strerror or error}; "
                "choose another folder with --out"
            ) from error

    def condition(self, name: str, compute: Callable[[Path], None]) -> Path:
        """Folder of one condition; computed unless an earlier run finished it."""
        done, working = self.part / name, self.part / f".{name}"
        if not done.exists():
            shutil.rmtree(working, ignore_errors=True)
            working.mkdir()
            compute(working)
            working.rename(done)
        return done

    def finish(
        self,
        conditions: Sequence[Path],
        provenance: dict[str, Any],
        required: Sequence[str] = REQUIRED_COLUMNS,
    ) -> Path:
        """Concatenate the tables of all conditions, keep other files of the last, and rename."""
        for name in sorted({path.name for folder in conditions for path in folder.glob("*.csv")}):
            files = [folder / name for folder in conditions]
            tables = [pd.read_csv(file) for file in files if file.exists()]
            pd.concat(tables, ignore_index=True).to_csv(self.part / name, index=False)
        for path in sorted(conditions[-1].iterdir()):
            if path.suffix != ".csv":
                shutil.copy2(path, self.part / path.name)
        metrics = pd.read_csv(self.part / "metrics.csv")
        missing = [column for column in required if column not in metrics]
        if missing:
            raise RuntimeError(f"metrics.csv lacks the columns {', '.join(missing)}")
        (self.part / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
        for path in conditions:
            _remove(path, path.with_name(f".{path.name}"))
        if self.path.exists():
            _remove(self.path, self.path.with_name(f"{self.path.name}.old.part"))
        self.part.rename(self.path)
        return self.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Let another run write this result."""
        self._lock.close()


def _remove(folder: Path, aside: Path) -> None:
    """Remove a folder under another name, so that half of it is never taken for the whole."""
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    shutil.rmtree(aside)


def _locked(path: Path) -> TextIO:
    """Lock that ends with this process, so that no two runs write one result."""
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise RuntimeError(f"another run is writing {path.name[1:-5]}; wait for it") from error
    return lock


def complete_results(scheme: Path) -> list[Path]:
    """Complete result folders of a scheme, sorted by name; unfinished ones do not count."""
    return sorted(
        file.parent for file in scheme.glob("*/metrics.csv") if file.parent.suffix != ".part"
    )


def source_digest(root: Path = ROOT) -> str:
    """Digest of the code: results of other code must not be continued."""
    digest = hashlib.sha256()
    for package in ("models", "analysis", "studies"):
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".h", ".json"):
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Progress bar over images, as `simulate` reports them."""
    with tqdm(total=total, desc=title, unit="image", leave=False) as bar:

        def update(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        yield update


def print_table(rows: Sequence[tuple[str, object]]) -> None:
    """Two aligned columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def steps(items: Sequence[Any], title: str) -> Iterator[Any]:
    """Go through long steps with a progress bar."""
    yield from tqdm(items, desc=title, leave=False)
