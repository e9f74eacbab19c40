"""Gates fitted to a function: the shipped ones, the published ones, and new fits.

AMOS coefficients for SiLU and sigmoid were never published in a readable source: the fits here
are this project's own (``gate_fits.json``, remade by ``studies/fit_gates.py``). Few-spike
coefficients that others published are kept apart (``published_gates.json``), for comparison.

Kinds: ``"fs"`` restricts h_ij to h_j, so that the gate also runs as one few-spike neuron;
``"amos"`` leaves h_ij free.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...networks.layers import ACTIVATIONS, PARAMETERS
from .gate_search import GRID_POINTS, STARTS, Progress, Search, Target, loss
from .gates import Gate, fs_gate

Function = Callable[[Array], Array]

FITS_FILE = Path(__file__).with_name("gate_fits.json")
PUBLISHED_FILE = Path(__file__).with_name("published_gates.json")
KINDS = ("fs", "amos")
DECIMALS = 4  # of the stored coefficients


class GateFileError(ValueError):
    """A coefficient file that is missing, damaged or inconsistent; the message names it."""


@dataclass(frozen=True)
class FitReport:
    """How well a gate follows a function, for drives spread evenly over a range.

    Parameters
    ----------
    mse : float
        Mean squared error.
    max_abs_err : float
        Largest absolute error.
    spikes_per_gate : float
        Mean number of spikes.
    levels : int
        Number of distinct spike patterns, each with its output value.
    """

    mse: float
    max_abs_err: float
    spikes_per_gate: float
    levels: int


@dataclass(frozen=True, eq=False)
class StoredFit:
    """One entry of the shipped fits.

    Parameters
    ----------
    gate : Gate
        With the rounded values of the file.
    kind : str
        ``"fs"`` or ``"amos"``.
    report : FitReport
        Quality of the rounded values on the gate's domain, 200 001 points, as stored.
    origin : str
        Which fit the values come from.
    """

    gate: Gate
    kind: str
    report: FitReport
    origin: str


def quality(
    gate: Gate, function: str | Function, domain: tuple[float, float], n_points: int = 200_001
) -> FitReport:
    """Compare a gate with a function at equally spaced drives.

    Parameters
    ----------
    gate : Gate
        The gate.
    function : str or callable
        A name of `models.networks.layers.ACTIVATIONS`, or a function of an array.
    domain : (float, float)
        Range of drives, both ends included.
    n_points : int
        Number of drives.

    Returns
    -------
    FitReport

    Raises
    ------
    ValueError
        If there is no activation of that name, or the range is not finite and increasing.
    """
    x = _points(domain, n_points)
    spikes = gate.spikes(x)
    error = gate.decode(spikes) - _callable(function)(x)
    codes = spikes @ (2 ** np.arange(gate.n_neurons, dtype=np.int64))
    return FitReport(
        mse=float(np.mean(error**2)),
        max_abs_err=float(np.abs(error).max()),
        spikes_per_gate=float(np.count_nonzero(spikes) / n_points),
        levels=int(np.unique(codes).size),
    )


def fit(
    function: str | Function,
    n_neurons: int,
    domain: tuple[float, float],
    *,
    kind: str = "amos",
    offset: float = 0.0,
    seed: int = 0,
    n_evaluations: int = 40_000,
    start: Gate | None = None,
    progress: Progress | None = None,
) -> tuple[Gate, FitReport]:
    """Fit a gate to a function, the error weighted evenly over a range of drives.

    Parameters
    ----------
    function : str or callable
        A name of `models.networks.layers.ACTIVATIONS`, or any function of an array.
    n_neurons : int
        K.
    domain : (float, float)
        Range of drives; outside it the gate may break down, so choose it wide enough.
    kind : str
        ``"amos"`` (h_ij free) or ``"fs"`` (h_ij = h_j).
    offset : float
        Output of the silent gate; fixed. -1 suits tanh.
    seed : int
        Of the random changes. Same arguments, same result (on one machine: the linear algebra
        library may round differently on another).
    n_evaluations : int
        Budget. 40 000 take about 10 s on one core.
    start : Gate, optional
        Gate of the same size and offset to start from, instead of binary codes. The result is
        never worse than it.
    progress : callable, optional
        Called with the evaluations so far and the smallest mean squared error so far.

    Returns
    -------
    gate : Gate
        Strict (u_i > 0).
    report : FitReport
        Its quality on `domain`, 200 001 points.

    Raises
    ------
    ValueError
        If an argument is out of range, the function is not finite on the range or `start` does
        not fit the other arguments.

    Notes
    -----
    The recipe is this project's own, see `models.schemes.amos.gate_search`; the authors of
    few-spike neurons trained with a surrogate gradient (published: their ``find_coeffs.py``).
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if n_neurons < 1 or n_evaluations < 1:
        raise ValueError(
            f"n_neurons and n_evaluations must be at least 1, got {n_neurons!r}, {n_evaluations!r}"
        )
    name = function if isinstance(function, str) else getattr(function, "__name__", "custom")
    follow = _callable(function)
    x = _points(domain, GRID_POINTS)
    values = np.asarray(follow(x), dtype=np.float64)
    if values.shape != x.shape or not np.isfinite(values).all():
        raise ValueError(f"{name} is not a finite number at every point of {domain}")
    low, width = float(domain[0]), float(domain[1]) - float(domain[0])
    target = Target(values - offset)
    search = Search(target, n_neurons, kind == "fs", np.random.default_rng(seed))
    if start is None:
        starts = [search.binary_code(*ends) for ends in STARTS]
    else:
        _check_start(start, n_neurons, kind, offset)
        starts = [search.pack((start.thresholds - low) / width, start.inhibition / width)]
    thresholds, inhibition = search.run(starts, n_evaluations, progress)
    gate = Gate(
        function=name,
        thresholds=low + width * thresholds,
        outputs=loss(thresholds, inhibition, target).outputs,
        inhibition=width * inhibition,
        domain=(low, low + width),
        offset=offset,
    )
    report = quality(gate, follow, domain)
    if start is not None:
        before = quality(start, follow, domain)
        if before.mse < report.mse:
            return start, before
    return gate, report


def rounded(gate: Gate, decimals: int = DECIMALS) -> Gate:
    """Gate with all coefficients rounded, as they are stored.

    Parameters
    ----------
    gate : Gate
    decimals : int
        Digits after the decimal point.

    Returns
    -------
    Gate
    """
    return replace(
        gate,
        thresholds=np.round(gate.thresholds, decimals),
        outputs=np.round(gate.outputs, decimals),
        inhibition=np.round(gate.inhibition, decimals),
    )


def entry(fit: StoredFit) -> dict[str, Any]:
    """Plain JSON values of a stored fit, in the layout of ``gate_fits.json``."""
    gate, report = fit.gate, fit.report
    return {
        "gate": gate.function,
        "kind": fit.kind,
        "K": gate.n_neurons,
        "range": list(gate.domain),
        "offset": gate.offset,
        "origin": fit.origin,
        "mse": report.mse,
        "max_abs_err": report.max_abs_err,
        "spikes_per_gate": report.spikes_per_gate,
        "levels": report.levels,
        "T": gate.thresholds.tolist(),
        "d": gate.outputs.tolist(),
        "h": gate.inhibition.tolist(),
    }


def load_fits(path: Path = FITS_FILE) -> dict[tuple[str, int, str], StoredFit]:
    """Read stored fits.

    Parameters
    ----------
    path : Path
        The file; by default the shipped one.

    Returns
    -------
    dict of (str, int, str) to StoredFit
        By function, K and kind.

    Raises
    ------
    GateFileError
        If the file is missing, is no JSON or holds an entry that is no valid gate; the message
        names the file and the entry.
    """
    fits: dict[tuple[str, int, str], StoredFit] = {}
    for number, item in enumerate(_entries(path, "fits")):
        try:
            gate = Gate(
                function=item["gate"],
                thresholds=np.array(item["T"], dtype=np.float64),
                outputs=np.array(item["d"], dtype=np.float64),
                inhibition=np.array(item["h"], dtype=np.float64),
                domain=_pair(item["range"]),
                offset=float(item["offset"]),
            )
            kind, origin = item["kind"], item["origin"]
            if kind not in KINDS or (kind == "fs" and not gate.is_restricted):
                raise ValueError(f"h does not have the form of kind {kind!r}")
            if item["K"] != gate.n_neurons:
                raise ValueError(f"K is {item['K']}, T holds {gate.n_neurons} values")
            report = FitReport(
                mse=float(item["mse"]),
                max_abs_err=float(item["max_abs_err"]),
                spikes_per_gate=float(item["spikes_per_gate"]),
                levels=int(item["levels"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, number, error) from error
        fits[gate.function, gate.n_neurons, kind] = StoredFit(gate, kind, report, origin)
    return fits


def fitted_gate(function: str, n_neurons: int, kind: str = "amos") -> Gate:
    """Shipped gate for an activation.

    Parameters
    ----------
    function : str
        One of `shipped_functions`; ReLU needs no fit, see `models.schemes.amos.gates.relu_gate`.
    n_neurons : int
        K.
    kind : str
        ``"amos"`` or ``"fs"``.

    Returns
    -------
    Gate

    Raises
    ------
    ValueError
        If there is none; the message lists what there is.
    """
    fits = _shipped()
    if (function, n_neurons, kind) in fits:
        return fits[function, n_neurons, kind].gate
    functions = shipped_functions()
    if function not in functions:
        raise ValueError(f"no fitted gate for {function!r}; there are {', '.join(functions)}")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    sizes = sorted(key[1] for key in fits if key[0] == function and key[2] == kind)
    raise ValueError(
        f"no fitted {function} gate with {n_neurons} neurons; there are fits with "
        f"{', '.join(map(str, sizes))} neurons (others: models.schemes.amos.gate_fits.fit)"
    )


def shipped_functions() -> list[str]:
    """Activations that `fitted_gate` has gates for, in alphabetical order."""
    return sorted({function for function, _, _ in _shipped()})


def published_gate(name: str) -> Gate:
    """Few-spike coefficients that others published, as a gate.

    Parameters
    ----------
    name : str
        ``"fs-silu-16"`` or ``"fs-sigmoid-12"`` (the authors of arXiv 2002.00860: the file
        ``fs_weights.py`` of their public code), ``"tbpi-silu-4"``, ``-8``, ``-12`` or ``-16``
        (arXiv 2409.00044: stored outputs of its public code).

    Returns
    -------
    Gate
        Restricted and strict.

    Raises
    ------
    ValueError
        If there is no set of that name; the message lists what there is.
    GateFileError
        If the file is damaged.
    """
    names = []
    for number, item in enumerate(_entries(PUBLISHED_FILE, "gates")):
        try:
            if item["name"] == name:
                return fs_gate(item["gate"], item["h"], item["d"], item["T"], _pair(item["range"]))
            names.append(item["name"])
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(PUBLISHED_FILE, number, error) from error
    raise ValueError(f"no published gate {name!r}; there are {', '.join(names)}")


@cache
def _shipped() -> Mapping[tuple[str, int, str], StoredFit]:
    return load_fits()


def _callable(function: str | Function) -> Function:
    if not isinstance(function, str):
        return function
    if function not in ACTIVATIONS:
        raise ValueError(f"no activation {function!r}; there are {', '.join(ACTIVATIONS)}")
    if function in PARAMETERS:
        raise ValueError(
            f"activation {function!r} needs the numbers {', '.join(PARAMETERS[function])}; give a "
            "function of an array instead of a name"
        )
    return ACTIVATIONS[function]


def _points(domain: tuple[float, float], n_points: int) -> Array:
    low, high = domain
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"domain must be finite and increasing, got {domain!r}")
    return np.linspace(low, high, n_points)


def _check_start(start: Gate, n_neurons: int, kind: str, offset: float) -> None:
    """Refuse a start that another search would be needed for."""
    if start.n_neurons != n_neurons:
        raise ValueError(f"start has {start.n_neurons} neurons, the fit {n_neurons}")
    if start.offset != offset:
        raise ValueError(f"start has the offset {start.offset}, the fit {offset}")
    if kind == "fs" and not start.is_restricted:
        raise ValueError("start has free h_ij, a fit of kind 'fs' needs h_ij = h_j")


def _entries(path: Path, key: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))[key]
    except OSError as error:
        raise GateFileError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise GateFileError(
            f"{path}: not a file of gates ({error!r}); restore it (git checkout)"
        ) from error
    if not isinstance(entries, list):
        raise GateFileError(f"{path}: {key} is not a list; restore it (git checkout)")
    return entries


def _pair(values: ArrayLike) -> tuple[float, float]:
    low, high = np.asarray(values, dtype=np.float64)
    return float(low), float(high)


def _damaged(path: Path, number: int, error: Exception) -> GateFileError:
    return GateFileError(
        f"{path}: entry {number} is damaged ({error!r}); restore the file (git checkout)"
    )
