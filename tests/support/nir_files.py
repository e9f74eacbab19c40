"""NIR files for the tests: those of other tools, and bad ones."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parents[1] / "data" / "nir"


@dataclass(frozen=True)
class Fixture:
    """A network file as a tool wrote it, with what the tool saw and gave.

    Attributes
    ----------
    path : Path
        The NIR file.
    about : dict
        The tool, its parameters, `nodes`: the layers' names in the file; see `make_fixtures.py`.
    input : ndarray
        Shape (steps, *input), float32.
    spikes : list of ndarray
        Counts of each spiking layer, shape (steps, *layer).
    output : ndarray or None
        Potentials of a leaky readout, shape (steps, n).
    """

    path: Path
    about: dict
    input: np.ndarray
    spikes: list
    output: np.ndarray | None


def names(tool=""):
    """Of the fixtures of a tool."""
    return sorted(path.stem for path in FIXTURES.glob(f"{tool}*.npz"))


def fixture(name, folder):
    """The fixture of this name, its NIR file unpacked into `folder`."""
    with np.load(FIXTURES / f"{name}.npz") as arrays:
        path = Path(folder) / f"{name}.nir"
        path.write_bytes(arrays["nir"].tobytes())
        layers = sorted(key for key in arrays if key.startswith("spikes_"))
        return Fixture(
            path=path,
            about=json.loads(arrays["about"].tobytes()),
            input=arrays["input"],
            spikes=[arrays[key] for key in layers],
            output=arrays.get("output"),
        )
