"""Where a converted network differs from the trained one, neuron by neuron.

A neuron that integrates its input, fires and subtracts the threshold obeys, with potentials in
units of the threshold, ``sum of inputs = count + V(T) - V(0)`` after T steps. Its rate r = count /
T should be ReLU(z) of its own mean input z = r + (V(T) - V(0)) / T; the classes of `CASES` say
how it differs (derived; the distinction of residual information, spikes of inactivated neurons
and pooling error is that of Li and Zeng 2022, arXiv 2204.13271, published in its abstract and
Figure 1):

===============  ============================  ===================================================
case             condition                     error r - ReLU(z)
===============  ============================  ===================================================
quantisation     0 <= V(T) < 1                 below 1/T in size
residual         V(T) >= 1                     negative: input that was not passed on
over-fired       V(T) < 0, z > 0               positive: spikes too many, but the neuron is active
inactivated      V(T) < 0, z <= 0, count > 0   +count/T: it should have been silent
correct zero     z < 0, count = 0              0
===============  ============================  ===================================================

Counts are spikes of one image, each spike of a burst counted singly. Trained activations are
those of the trained network by the scale of the layer, so that a rate stands for its activation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ann2brian.models.arrays import Array
from ann2brian.models.networks.layers import Pair, Sides, windows
from numpy.typing import ArrayLike, NDArray

CASES = ("quantisation", "residual", "over-fired", "inactivated", "correct zero")


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuronOutcome:
    """What the neurons of a layer did, and what they should have done.

    Parameters
    ----------
    counts : ndarray of int, shape (n_images, n_units)
        Spikes.
    final : ndarray, shape (n_images, n_units)
        V(T), potential after the last step, in units of the threshold.
    trained : ndarray, shape (n_images, n_units)
        Activation of the trained network by the layer's scale, >= 0.
    """

    counts: NDArray
    final: NDArray
    trained: NDArray


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolingOutcome:
    """What went into a pooling layer and what came out.

    Parameters
    ----------
    counts_in : ndarray of int, shape (n_images, H, W, C)
        Spikes of the map that is pooled.
    counts_out : ndarray of int, shape (n_images, H', W', C)
        Spikes of the pooling neurons.
    size, stride, padding : tuple of int
        Of the windows, as in `models.networks.layers.MaxPool2D`.
    """

    counts_in: NDArray
    counts_out: NDArray
    size: Pair
    stride: Pair
    padding: Sides = (0, 0, 0, 0)


def conservation_error(
    inputs: ArrayLike, counts: ArrayLike, final: ArrayLike, initial: float
) -> Array:
    """Potential that was lost or made up: sum of inputs + V(0) - V(T) - count.

    Parameters
    ----------
    inputs : array_like, shape (n_images, n_units)
        Sum of each neuron's input over all steps, bias included, in units of the threshold.
    counts, final : array_like, shape (n_images, n_units)
        Spikes, and V(T) in units of the threshold.
    initial : float
        V(0) in units of the threshold.

    Returns
    -------
    ndarray, shape (n_images, n_units)
        Zero for every neuron that only integrates and subtracts.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    total, spikes, left = _alike(inputs=inputs, counts=counts, final=final)
    return total + initial - left - spikes


def own_input(counts: ArrayLike, final: ArrayLike, initial: float, n_steps: int) -> Array:
    """Mean input z of each neuron per step, as its spikes and its potential tell it.

    Parameters
    ----------
    counts, final : array_like, shape (n_images, n_units)
        Spikes, and V(T) in units of the threshold.
    initial : float
        V(0) in units of the threshold.
    n_steps : int
        Algorithmic steps T.

    Returns
    -------
    ndarray, shape (n_images, n_units)
        z = (count + V(T) - V(0)) / T in units of the threshold.

    Raises
    ------
    ValueError
        If the shapes differ, a count is negative, `n_steps` is below 1 or `initial` is not from 0
        to below 1.
    """
    spikes, left = _alike(counts=counts, final=final)
    _check(spikes, initial, n_steps)
    return (spikes + left - initial) / n_steps


def classify(counts: ArrayLike, final: ArrayLike, initial: float) -> NDArray[np.int8]:
    """Case of every neuron in every image.

    Parameters
    ----------
    counts, final : array_like, shape (n_images, n_units)
        Spikes, and V(T) in units of the threshold.
    initial : float
        V(0) in units of the threshold.

    Returns
    -------
    ndarray of int8, shape (n_images, n_units)
        Index into `CASES`. The sign of z does not depend on the number of steps.

    Raises
    ------
    ValueError
        If the shapes differ, a count is negative or `initial` is not from 0 to below 1.
    """
    spikes, left = _alike(counts=counts, final=final)
    z = own_input(spikes, left, initial, n_steps=1)
    # The first condition that holds decides.
    conditions = [
        (spikes == 0) & (z < 0),
        left >= 1,
        left >= 0,
        z <= 0,
    ]
    order = ["correct zero", "residual", "quantisation", "inactivated"]
    codes = [CASES.index(name) for name in order]
    return np.select(conditions, codes, CASES.index("over-fired")).astype(np.int8)


def pooling_error(outcome: PoolingOutcome) -> Array:
    """Spikes that a pooling layer fired above the largest count in each of its windows.

    Parameters
    ----------
    outcome : PoolingOutcome
        Counts in and out.

    Returns
    -------
    ndarray, shape (n_images, H', W', C)
        count_out - max over the window of count_in; 0 for pooling by lateral inhibition.

    Raises
    ------
    ValueError
        If the windows do not give a map of the shape of `counts_out`.
    """
    counts = np.asarray(outcome.counts_in, dtype=np.float64)
    views = windows(counts, outcome.size, outcome.stride, outcome.padding, 0.0)
    largest = views.max(axis=(4, 5))
    if largest.shape != outcome.counts_out.shape:
        raise ValueError(
            f"windows of {outcome.size} give counts of shape {largest.shape}, got "
            f"{outcome.counts_out.shape}"
        )
    return outcome.counts_out - largest


def neuron_errors(outcome: NeuronOutcome, n_steps: int, initial: float) -> dict[str, float]:
    """Error measures of one layer of neurons.

    Parameters
    ----------
    outcome : NeuronOutcome
        Counts, potentials and trained activations.
    n_steps : int
        Algorithmic steps T.
    initial : float
        V(0) in units of the threshold.

    Returns
    -------
    dict of str to float
        Fractions of all neurons and images: ``<case>_fraction`` of the five `CASES` by the
        neurons' own input, with underscores for blanks and hyphens, which add up to 1, and
        sin_fraction, the spikes of inactivated neurons against the trained network (count > 0
        where its activation is 0). Then bias (mean of rate - activation, in units of the layer's
        scale) and relative_rmse (root mean square difference by the standard deviation of the
        trained activations; NaN if that is 0).

    Raises
    ------
    ValueError
        If the shapes differ, there is no neuron, a count is negative, `n_steps` is below 1 or
        `initial` is not from 0 to below 1.
    """
    spikes, _, trained = _alike(counts=outcome.counts, final=outcome.final, trained=outcome.trained)
    _check(spikes, initial, n_steps)
    cases = classify(outcome.counts, outcome.final, initial)
    shares = np.bincount(cases.ravel(), minlength=len(CASES)) / cases.size
    difference = spikes / n_steps - trained
    rmse = float(np.sqrt(np.mean(difference**2)))
    deviation = float(trained.std())
    return {
        **{_column(case): float(share) for case, share in zip(CASES, shares, strict=True)},
        "sin_fraction": float(np.mean((spikes > 0) & (trained <= 0))),
        "bias": float(difference.mean()),
        "relative_rmse": rmse / deviation if deviation > 0 else math.nan,
    }


def error_table(
    layers: Mapping[str, NeuronOutcome | PoolingOutcome], n_steps: int, initial: float
) -> pd.DataFrame:
    """Errors of all layers.

    Parameters
    ----------
    layers : mapping of str to NeuronOutcome or PoolingOutcome
        By name, in the order of the network.
    n_steps : int
        Algorithmic steps T.
    initial : float
        V(0) in units of the threshold.

    Returns
    -------
    DataFrame
        One row per layer: layer, kind (burst or pool) and, NaN for the other kind, the columns
        of `neuron_errors` for neurons; for pooling layers pooling_error (mean over-count in
        spikes per algorithmic step) and pooling_error_fraction (of the windows that over-count).

    Raises
    ------
    ValueError
        As `neuron_errors` and `pooling_error`; the message names the layer.
    """
    rows = []
    for name, outcome in layers.items():
        try:
            if isinstance(outcome, PoolingOutcome):
                error = pooling_error(outcome)
                values = {
                    "pooling_error": float(error.mean()) / n_steps,
                    "pooling_error_fraction": float(np.mean(error > 0)),
                }
                rows.append({"layer": name, "kind": "pool", **values})
            else:
                errors = neuron_errors(outcome, n_steps, initial)
                rows.append({"layer": name, "kind": "burst", **errors})
        except ValueError as error_of_layer:
            raise ValueError(f"layer {name!r}: {error_of_layer}") from None
    columns = [
        "layer",
        "kind",
        *map(_column, CASES),
        *("sin_fraction", "bias", "relative_rmse", "pooling_error", "pooling_error_fraction"),
    ]
    return pd.DataFrame(rows, columns=columns)


def _column(case: str) -> str:
    return case.replace(" ", "_").replace("-", "_") + "_fraction"


def _alike(**arrays: ArrayLike) -> list[Array]:
    """Arrays as floats, of one shape and not empty."""
    values = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in values.items()}
    if len(set(shapes.values())) > 1 or not all(array.size for array in values.values()):
        raise ValueError(f"arrays must have one shape and not be empty, got {shapes}")
    return list(values.values())


def _check(spikes: Array, initial: float, n_steps: int) -> None:
    if spikes.min() < 0:
        raise ValueError(f"counts must not be negative, the smallest is {spikes.min():g}")
    if not 0 <= initial < 1:
        raise ValueError(f"the initial potential must be from 0 to below 1, got {initial!r}")
    if n_steps < 1:
        raise ValueError(f"there must be at least one step, got {n_steps!r}")
