"""Result folders: one for each configuration and state of the code, whole or not there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TextIO

import pandas as pd
from ann2brian.studies.frame.provenance import source_digest

COMPLETE = "metrics.csv"  # whose folder is finished
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
    rerun : bool
        Whether a result of this name, finished or not, is removed first.
    """

    def __init__(
        self, parent: Path, label: str, config: dict[str, Any], *, rerun: bool = False
    ) -> None:
        text = json.dumps(config, indent=2, sort_keys=True)
        key = hashlib.sha256((text + source_digest()).encode()).hexdigest()[:8]
        self.path = parent / f"{label}-{key}"
        self.part = parent / f"{label}-{key}.part"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(parent / f".{self.path.name}.lock")
            for folder in (self.path, self.part) if rerun else ():
                if folder.exists():
                    _remove(folder, folder.with_name(f"{folder.name}.old.part"))
            self.part.mkdir(exist_ok=True)
            (self.part / "config.json").write_text(text + "\n")
        except OSError as error:
            raise OSError(
                f"cannot write results to {parent}: {error.strerror or error}; "
                "choose another folder with --out"
            ) from error

    def path_of(self, name: str) -> Path:
        """Folder of one condition, which exists once it is finished."""
        return self.part / name

    def has(self, name: str) -> bool:
        """Whether a condition is finished."""
        return self.path_of(name).exists()

    def condition(self, name: str, compute: Callable[[Path], None]) -> Path:
        """Folder of one condition; computed unless an earlier run finished it."""
        done, working = self.path_of(name), self.part / f".{name}"
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
        metrics = pd.read_csv(self.part / COMPLETE)
        missing = [column for column in required if column not in metrics]
        if missing:
            raise RuntimeError(f"{COMPLETE} lacks the columns {', '.join(missing)}")
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
        file.parent for file in scheme.glob(f"*/{COMPLETE}") if file.parent.suffix != ".part"
    )
