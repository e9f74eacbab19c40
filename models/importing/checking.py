"""An imported network against the framework that it comes from, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..networks.network import Network
from .values import Value

SINGLE = 1e-4  # relative to a value's largest entry: rounding of a framework in float32
DOUBLE = 1e-8  # the same in float64
HALF = {"float16": 1e-2, "bfloat16": 8e-2}  # the same where a framework computes in these


def compare(
    network: Network,
    images: np.ndarray,
    values: Iterable[tuple[str, Value, np.ndarray]],
    tolerance: float = SINGLE,
) -> None:
    """Compare a network's values with the framework's, in the order of computation.

    Parameters
    ----------
    network : Network
        Imported.
    images : ndarray, shape (n, H, W, C)
        Raw images; all values are held at once, so a few at a time.
    values : iterable of (str, Value, ndarray)
        Place in the framework's model, where the network has it, and what the framework computes
        there for the standardised images, shape (n, ...).
    tolerance : float
        Largest difference, relative to the value's largest entry.

    Raises
    ------
    ValueError
        At the first value that differs or is not finite: place, layer and difference.
    """
    ours = network.activations(images)
    for place, value, theirs in values:
        bad = np.argwhere(~np.isfinite(theirs))
        if len(bad):
            raise ValueError(
                f"{place}: gives {theirs[tuple(bad[0])]} for image {bad[0][0]} of the sample; the "
                "training has diverged or the weights are damaged"
            )
        if value.source not in ours or value.is_probability:  # of no use, or left out
            continue
        found = value.read(ours[value.source])
        if found.shape != theirs.shape:
            raise ValueError(
                f"{place}: the framework gives shape {theirs.shape[1:]}, {_layer(network, value)} "
                f"{found.shape[1:]}"
            )
        difference = float(np.abs(found - theirs).max())
        largest = float(np.abs(theirs).max())
        if difference > tolerance * max(largest, 1e-30):
            raise ValueError(
                f"{place}: {_layer(network, value)} differs from the framework by {difference:.3g} "
                f"where the largest value is {largest:.3g}; all layers before agree, so this one "
                "is not read as the framework computes it"
            )


def note_of_half(precision: str) -> str:
    """What the user should know of a model that computes in half precision.

    Parameters
    ----------
    precision : str
        A key of `HALF`.
    """
    return (
        f"it computes in {precision}, and the network in float64: they were compared to "
        f"{HALF[precision]:.0%} of the largest value only"
    )


def _layer(network: Network, value: Value) -> str:
    if value.source not in network.shapes or value.source == "input":
        return repr(value.source)
    return network.layer(value.source).label
