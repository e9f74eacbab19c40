"""Files that the writers made: a network as a tool wrote it, and what the tool saw and gave."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NEEDED = ("nir", "input", "about", "spikes_0")


@dataclass(frozen=True, kw_only=True, eq=False)
class Written:
    """A network file as a tool wrote it, with what the tool saw and gave.

    Parameters
    ----------
    name : str
        Of the network.
    path : Path
        The NIR file.
    about : dict
        The tool, its versions and parameters, `nodes`: the layers' names in the file; see
        :mod:`studies.exchange.writers`.
    input : ndarray, shape (steps, *input)
        In the tool's order of axes.
    spikes : sequence of ndarray, shape (steps, *layer)
        Of each spiking layer.
    output : ndarray, shape (steps, n), optional
        Potentials of a leaky readout.
    """

    name: str
    path: Path
    about: dict[str, Any]
    input: np.ndarray
    spikes: Sequence[np.ndarray]
    output: np.ndarray | None

    @property
    def tool(self) -> str:
        """That wrote it."""
        return str(self.about["tool"])


def unpacked(path: Path, folder: Path) -> Written:
    """Read a writer's file; its NIR file goes into `folder`.

    Raises
    ------
    ValueError
        If it is no file of a writer.
    """
    try:
        with np.load(path) as arrays:
            if any(name not in arrays for name in NEEDED):
                raise ValueError(
                    f"it has no {' or no '.join(n for n in NEEDED if n not in arrays)}"
                )
            network = folder / f"{path.stem}.nir"
            network.write_bytes(arrays["nir"].tobytes())
            layers = sorted(key for key in arrays if key.startswith("spikes_"))
            return Written(
                name=path.stem,
                path=network,
                about=json.loads(arrays["about"].tobytes()),
                input=arrays["input"],
                spikes=[arrays[key] for key in layers],
                output=arrays.get("output"),
            )
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: {error}; files of writers are made by python -m studies.exchange.writers"
        ) from error


def written_files(folder: Path) -> list[Path]:
    """Files of writers in a folder, by name: ``<tool>_<network>_<grid|free>.npz``.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = sorted(path for kind in ("grid", "free") for path in folder.glob(f"*_*_{kind}.npz"))
    if not found:
        raise ValueError(
            f"{folder}: there is no file of a writer, <tool>_<network>_<grid or free>.npz, in it"
        )
    return found
