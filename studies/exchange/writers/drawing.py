"""Networks drawn at random, and what is kept of each: its file, an input, the tool's own spikes."""

import json
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

STEPS, N_IN, N_HIDDEN, N_OUT, N_READ = 200, 12, 16, 10, 4
MAP = (2, 8, 8)
RATES = 0.05, 0.6  # of the steps in which a layer's neurons fire
SEEDS = 200

Save = Callable[..., None]  # `save` below, with its folder
Shape = tuple[int, ...]


def weights(rng: np.random.Generator, shape: Shape, grid: bool, gain: float = 1.0) -> np.ndarray:
    """Multiples of gain / 4, or normal."""
    drawn = rng.integers(-2, 3, shape) / 4 if grid else rng.normal(size=shape) * 0.4
    return (gain * drawn).astype(np.float32)


def inputs(rng: np.random.Generator, shape: Shape, grid: bool) -> np.ndarray:
    """Spikes; or values k/15, new in every step for a vector and one image held for a map."""
    if grid:
        return (rng.random((STEPS, *shape)) < (0.4 if len(shape) == 1 else 0.25)).astype(np.float32)
    drawn = rng.integers(0, 16, (STEPS if len(shape) == 1 else 1, *shape))
    return np.broadcast_to((drawn / 15).astype(np.float32), (STEPS, *shape)).copy()


def saving(folder: Path) -> Save:
    """A function that saves into a folder."""
    return partial(save, folder)


def save(
    folder: Path,
    name: str,
    attempt: Callable[..., Any],
    shape: Shape = (N_IN,),
    tool: str = "",
    lost: Iterable[str] = (),
    grid: str | None = None,
    **parameters: Any,
) -> None:
    """Draw networks until every spiking layer fires as often as it should; keep the first.

    Parameters
    ----------
    folder : Path
        Gets ``<tool>_<name>_<grid|free>.npz``.
    name : str
        Of the network.
    attempt : callable
        ``attempt(rng, grid)`` builds a network and returns three: a function that writes the file,
        one that runs an input and gives the spikes by layer and potentials or None, and the names
        of the spiking layers' nodes in the file.
    shape : tuple of int
        Of the input.
    tool : str
        That writes.
    lost : iterable of str
        What the file leaves out.
    grid : str, optional
        ``grid`` or ``free``; by default both.
    **parameters
        What the tool was told.

    Raises
    ------
    ValueError
        If no network fires as it should.
    """
    for kind in ("grid", "free") if grid is None else (grid,):
        for seed in range(SEEDS):
            rng = np.random.default_rng(seed)
            write, run, nodes = attempt(rng, kind == "grid")
            given = inputs(rng, shape, kind == "grid")
            spikes, output = run(given)
            found = [round((layer > 0).mean().item(), 3) for layer in spikes]
            if all(RATES[0] <= rate <= RATES[1] for rate in found):
                break
        else:
            raise ValueError(f"{name}: no seed gives rates in {RATES}, the last {found}")
        about = {
            "tool": tool,
            "versions": versions(tool),
            "nodes": nodes,
            "parameters": parameters,
            "lost": list(lost),
            "weights": kind,
            "seed": seed,
            "rates": found,
        }
        arrays: dict[str, Any] = {f"spikes_{n}": as_counts(layer) for n, layer in enumerate(spikes)}
        if output is not None:
            arrays["output"] = output.astype(np.float32)
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "net.nir"
            write(path)
            file = np.frombuffer(path.read_bytes(), np.uint8)
        text = np.frombuffer(json.dumps(about, default=float).encode(), np.uint8)
        target = folder / f"{tool}_{name}_{kind}.npz"
        np.savez_compressed(target, nir=file, input=given, about=text, **arrays)
        print(f"{target.name}: seed {seed}, rates {found}, {target.stat().st_size} bytes")


def versions(tool: str) -> dict[str, str]:
    """Of the tool and the packages of the format."""
    found = {}
    for package in (tool, "nir", "nirtorch", "torch", "jax"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if tool == "spyx":
        found.pop("torch", None)
    return found


def as_counts(layer: Any) -> np.ndarray:
    """Spikes as small integers; a tool may count several a step.

    Raises
    ------
    ValueError
        If they are no whole numbers below 2**15.
    """
    whole = np.asarray(layer)
    if not np.array_equal(whole, np.round(whole)) or not 0 <= whole.min() <= whole.max() < 2**15:
        raise ValueError(f"spikes from {whole.min():g} to {whole.max():g}, or parts of them")
    return whole.astype(np.uint8 if whole.max() < 256 else np.int16)
