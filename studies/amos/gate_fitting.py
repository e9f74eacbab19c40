"""The shipped fits of gates: which there are, how each is made and how they are stored."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ann2brian.models.schemes.amos.gate_fits import (
    KINDS,
    StoredFit,
    entry,
    fit,
    load_fits,
    quality,
    rounded,
)
from ann2brian.models.schemes.amos.gates import Gate
from tqdm import tqdm

Key = tuple[str, int, str]
Fits = dict[Key, StoredFit]


@dataclass(frozen=True, slots=True)
class Task:
    """What is fitted: range of drives and output of the silent gate."""

    domain: tuple[float, float]
    offset: float = 0.0


TASKS = {
    "silu": Task((-8.0, 12.0)),  # range of the published few-spike fits
    "gelu": Task((-8.0, 12.0)),
    "sigmoid": Task((-10.0, 10.0)),  # range of the published few-spike fits
    "tanh": Task((-6.0, 6.0), offset=-1.0),
}
SIZES = (4, 6, 8, 10, 12, 16)
EVALUATIONS = 150_000
QUICK_EVALUATIONS = 1_500

HEADER = {
    "title": "Fitted coefficients of AMOS and few-spike (FS) gates",
    "origin": "This project's own fits, made by studies/fit_gates.py; not the authors' "
    "coefficients. Free to use.",
    "model": [
        "for i = 1..K:  u_i = x - sum_{j<i} h_ij*s_j - T_i ;  s_i = 1 if u_i > 0 else 0",
        "y = offset + sum_i d_i*s_i , an estimate of gate(x)",
    ],
    "fields": {
        "gate": "silu: x/(1+exp(-x)); gelu: x*(1+erf(x/sqrt(2)))/2; sigmoid: 1/(1+exp(-x)); tanh",
        "kind": "'fs': h_ij depends on j only, so the gate also runs as one FS neuron of K steps; "
        "'amos': h_ij free",
        "K": "number of neurons (amos) or time steps (fs)",
        "range": "interval [x_min, x_max] of the fit; drives outside it are not covered",
        "offset": "output without any spike; fixed in the fit",
        "origin": "seed, budget and start of the fit",
        "mse": "mean squared error, x uniform on 'range', 200001 points, from the rounded values",
        "max_abs_err": "largest absolute error on the same points",
        "spikes_per_gate": "mean number of spikes per gate on the same points",
        "levels": "number of distinct spike patterns on the same points",
        "T": "K thresholds",
        "d": "K output weights",
        "h": "K rows of K values: row i, column j (j < i) is the inhibition of neuron i by neuron "
        "j; negative = excitation; zero on and above the diagonal",
    },
}


def parse_key(text: str) -> Key:
    """Read function, K and kind from e.g. ``silu:8:amos``.

    Parameters
    ----------
    text : str
        Three parts with colons between them.

    Returns
    -------
    (str, int, str)

    Raises
    ------
    argparse.ArgumentTypeError
        If a part is none of those that this study fits.
    """
    function, _, rest = text.partition(":")
    size, _, kind = rest.partition(":")
    if function not in TASKS or kind not in KINDS or size not in map(str, SIZES):
        raise argparse.ArgumentTypeError(
            f"{text!r}: write FUNCTION:K:KIND with FUNCTION one of {', '.join(TASKS)}; "
            f"K one of {', '.join(map(str, SIZES))}; KIND one of {', '.join(KINDS)}"
        )
    return function, int(size), kind


def best_fit(key: Key, stored: Fits, seed: int, n_evaluations: int) -> StoredFit:
    """Fit one gate; of kind amos, half of the budget starts from the stored fs gate.

    Parameters
    ----------
    key : (str, int, str)
        Function, K and kind.
    stored : dict
        The fits so far.
    seed : int
        Of the search.
    n_evaluations : int
        Budget.

    Returns
    -------
    StoredFit
        The better one, with rounded coefficients.
    """
    function, n_neurons, kind = key
    task = TASKS[function]
    restricted = stored.get((function, n_neurons, "fs")) if kind == "amos" else None
    starts: list[Gate | None] = [None] if restricted is None else [None, restricted.gate]
    budget = n_evaluations // len(starts)
    # Rounding may make the free gate worse than the restricted one by a trifle.
    found = [] if restricted is None else [replace(restricted, kind=kind)]
    for start in starts:
        with tqdm(total=budget, desc=f"{function} {n_neurons} {kind}", leave=False) as bar:

            def show(done: int, mse: float, bar: tqdm = bar) -> None:
                bar.set_postfix_str(f"mse {mse:.4g}", refresh=False)
                bar.update(min(done, bar.total) - bar.n)

            gate, _ = fit(
                function,
                n_neurons,
                task.domain,
                kind=kind,
                offset=task.offset,
                seed=seed,
                n_evaluations=budget,
                start=start,
                progress=show,
            )
        gate = rounded(gate)
        source = "binary codes" if start is None else "the fs entry"
        origin = f"own fit: seed {seed}, {budget} evaluations, from {source}"
        found.append(StoredFit(gate, kind, quality(gate, function, task.domain), origin))
    return min(found, key=lambda candidate: candidate.report.mse)


def write_fits(path: Path, fits: Fits) -> None:
    """Write the file in one step, one line per array row.

    Parameters
    ----------
    path : Path
        JSON file; its folder is made if needed.
    fits : dict
        By function, K and kind.
    """
    order = [(f, n, k) for f in TASKS for k in KINDS for n in SIZES]
    blocks = [_block(entry(fits[key])) for key in order if key in fits]
    head = json.dumps(HEADER, indent=2).removesuffix("\n}")
    text = head + ',\n  "fits": [\n' + ",\n".join(blocks) + "\n  ]\n}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _block(item: dict[str, Any]) -> str:
    rows = ",\n           ".join(json.dumps(row) for row in item.pop("h"))
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in item.items()]
    return "    {" + ",\n     ".join(lines) + f',\n     "h": [{rows}]}}'


def improve(path: Path, keys: Sequence[Key], seed: int, n_evaluations: int) -> None:
    """Fit gates and keep those that are better than the stored ones.

    Parameters
    ----------
    path : Path
        File of fits, written after every better one; made if needed.
    keys : sequence of (str, int, str)
        Function, K and kind of each gate; empty for all.
    seed : int
        Of the search.
    n_evaluations : int
        Budget of each fit.
    """
    fits = load_fits(path) if path.exists() else {}
    for key in keys or [(f, n, k) for f in TASKS for n in SIZES for k in KINDS]:
        new, old = best_fit(key, fits, seed, n_evaluations), fits.get(key)
        name = "{} {} {}".format(*key)
        if old is not None and old.report.mse <= new.report.mse:
            print(f"{name}: mse {new.report.mse:.4g}, kept the stored {old.report.mse:.4g}")
            continue
        was = "new" if old is None else f"instead of {old.report.mse:.4g}"
        print(f"{name}: mse {new.report.mse:.4g}, {was}", flush=True)
        fits[key] = new
        write_fits(path, fits)
