"""A network of a tool in ours and in the tool, spike for spike."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.importing.from_nir import from_nir
from ann2brian.models.networks.dynamics import Neurons, Previous
from ann2brian.models.schemes.nir import SCHEME
from ann2brian.models.schemes.nir.conversion import NirConversion
from ann2brian.models.schemes.nir.options import NirOptions
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.exchange.conventions import (
    DEFINITION,
    MEANT,
    convention,
    gone,
    told,
    untold,
)
from ann2brian.studies.exchange.files import Written

_OF_COMPARISON = ("differ", "step", "layer")
COLUMNS = [
    *("tool", "versions", "file", "module", "nodes", "weights", "lost", "n_steps"),
    *("reading", "read_as", "convention", "dt_ms", "left_open", "refused", "spikes"),
    *(f"numpy_{name}" for name in _OF_COMPARISON),
    *("potential_error", "target"),
    *(f"brian2_{name}" for name in _OF_COMPARISON),
]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Spikes of ours against those of a tool.

    Parameters
    ----------
    spikes : int
        Of the tool.
    differ : int
        That one has and the other has not, in the same step of the same neuron.
    step : int or None
        The first in which any differ, from 0; None if none do.
    layer : int or None
        The first to differ in that step.
    """

    spikes: int
    differ: int
    step: int | None
    layer: int | None


def difference(mine: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> Difference:
    """Compare spikes of all layers.

    Parameters
    ----------
    mine : sequence of ndarray, shape (steps, units)
        By layer.
    theirs : sequence of ndarray, shape (steps, units)
        The same; those of a tool that shows spikes late have fewer steps.
    """
    off = [np.abs(own[: len(of)] - of.astype(int)) for own, of in zip(mine, theirs, strict=True)]
    first = [(int(np.argmax(own.any(axis=1))), k) for k, own in enumerate(off) if own.any()]
    step, layer = min(first, default=(None, None))
    return Difference(
        spikes=sum(int(own.sum()) for own in theirs),
        differ=sum(int(own.sum()) for own in off),
        step=step,
        layer=layer,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A file as it is read with some options.

    Parameters
    ----------
    nodes : sequence of str
        Models of the neurons, and ``recurrent`` if any are.
    conversion : NirConversion
        What runs.
    frames : ndarray, shape (1, steps, height, width, channels)
        Input.
    theirs : sequence of ndarray, shape (steps, units)
        The tool's spikes by population, without the first steps of a tool that shows them late.
    """

    nodes: Sequence[str]
    conversion: NirConversion
    frames: np.ndarray
    theirs: Sequence[np.ndarray]

    @classmethod
    def of(cls, written: Written, options: NirOptions) -> Reading:
        """Read and convert.

        Raises
        ------
        ValueError
            If the file cannot be read so.
        """
        network = from_nir(written.path, written_by=options.written_by)
        conversion = SCHEME.convert(network, options)
        is_last = written.tool == "spyx"  # as it runs, other than it writes
        maps = [
            own if is_last and own.ndim == 4 else channels_last(own)
            for own in (written.input.astype(np.float64), *written.spikes)
        ]
        frames, *spikes = maps
        is_late = written.about["parameters"]["module"] != "PSU_LIF"
        lag = conversion.dialect.lag if is_late else 0
        theirs = [own.reshape(len(own), -1)[lag:] for own in spikes]
        nodes = sorted({layer.model for layer in network.layers if isinstance(layer, Neurons)})
        if any(isinstance(layer, Previous) for layer in network.layers):
            nodes.append("recurrent")
        return cls(nodes=nodes, conversion=conversion, frames=frames[None], theirs=theirs)

    @property
    def n_layers(self) -> int:
        """Populations of which the tool's spikes are known: all but a readout."""
        return len(self.theirs)

    def reference(self) -> tuple[Difference, np.ndarray]:
        """Plain NumPy against the tool; and the class scores of each step."""
        run = SCHEME.reference(self.conversion, self.frames)
        populations = self.conversion.spiking.populations[: self.n_layers]
        mine = [run.counts[population.name][0] for population in populations]
        return difference(mine, self.theirs), run.scores[0]

    def simulated(self, target: str) -> Difference:
        """Brian2 against the tool."""
        run = simulate(self.conversion.spiking, self.frames, target=target, record=True)
        mine = [counted(run, self.conversion, layer) for layer in range(self.n_layers)]
        return difference(mine, self.theirs)


def channels_last(values: np.ndarray) -> np.ndarray:
    """The axes (steps, C, H, W), (steps, C, L) or (steps, n) as (steps, H, W, C)."""
    if values.ndim == 2:
        return values[:, None, None]
    if values.ndim == 3:
        return values.transpose(0, 2, 1)[:, None]
    return values.transpose(0, 2, 3, 1)


def counted(recording: Recording, conversion: NirConversion, layer: int) -> np.ndarray:
    """Spikes of each step of a population, (steps, units)."""
    spiking, found = conversion.spiking, recording.spikes
    population = spiking.populations[layer]
    mine = found.where(found.layer == layer)
    phase = mine.step // spiking.phase_steps - population.onset
    counts = np.zeros((spiking.readout.n_steps, population.n_units), dtype=int)
    np.add.at(counts, (phase // spiking.readout.every, mine.neuron), 1)
    return counts


def compared(written: Written, target: str) -> pd.DataFrame:
    """One row for each way to read a file: as its tool means it, and by the definition alone.

    Parameters
    ----------
    written : Written
        The file.
    target : str
        With which Brian2 runs it as its tool means it; by the definition it is only computed.

    Returns
    -------
    DataFrame
        What the file is, how it was read, how many spikes differ and which is the first.
    """
    n_steps = len(written.input)
    meant = told(written.about, n_steps)
    rows = [_row(written, MEANT, meant, target)]
    if meant.written_by != DEFINITION:
        nodes = {"nodes": rows[0].get("nodes")}  # also of a graph that is read otherwise
        rows.append(_row(written, DEFINITION, untold(written.about, n_steps), None) | nodes)
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(written: Written, reading: str, options: NirOptions, target: str | None) -> dict[str, Any]:
    """A file, how it is read, and what came out; of Brian2 if there is a target."""
    about = written.about
    row: dict[str, Any] = {
        "tool": written.tool,
        "versions": ", ".join(f"{name} {own}" for name, own in about["versions"].items()),
        "file": written.name,
        "module": about["parameters"]["module"],
        "weights": about["weights"],
        "lost": gone(about),
        "n_steps": len(written.input),
        "reading": reading,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the table says what they say
            found = Reading.of(written, options)
    except ValueError as error:
        return row | {"refused": str(error).removeprefix(f"{written.path}: ")}
    spikes, scores = found.reference()
    row |= _read(found) | {"spikes": spikes.spikes} | _columns("numpy", spikes, about)
    if written.output is not None:
        row["potential_error"] = float(np.abs(scores - written.output).max())
    if target is not None:
        row |= {"target": target} | _columns("brian2", found.simulated(target), about)
    return row


def _read(reading: Reading) -> dict[str, Any]:
    """How a file was read."""
    options = reading.conversion.options
    return {
        "nodes": ", ".join(reading.nodes),
        "read_as": options.written_by,
        "convention": convention(options),
        "dt_ms": options.dt_ms,
        "left_open": "; ".join(reading.conversion.dialect.left_open),
    }


def _columns(where: str, found: Difference, about: dict[str, Any]) -> dict[str, Any]:
    # Many are called 1 or 3, which a table would take for numbers.
    layer = None if found.layer is None else f"node {about['nodes'][found.layer]}"
    return {f"{where}_differ": found.differ, f"{where}_step": found.step, f"{where}_layer": layer}
