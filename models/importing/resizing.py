"""Matrices that resize one axis of a map, as ONNX' Resize and Keras' UpSampling define it."""

from __future__ import annotations

import numpy as np

from ..arrays import Array

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
)
ROUNDINGS = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resizing(
    n_in: int,
    n_out: int,
    scale: float | None = None,
    *,
    linear: bool = False,
    coordinates: str = "half_pixel",
    rounding: str = "round_prefer_floor",
) -> Array:
    """Return the matrix that takes an axis to another length.

    Parameters
    ----------
    n_in, n_out : int
        Lengths.
    scale : float, optional
        Factor between them, if it is not their ratio.
    linear : bool
        Between the two nearest places; else the nearest one.
    coordinates : str
        Where the new places lie on the old axis; one of `COORDINATES`.
    rounding : str
        What the nearest place is; one of `ROUNDINGS`.

    Returns
    -------
    ndarray, shape (n_out, n_in)
        Its rows sum to 1.

    Raises
    ------
    ValueError
        If `coordinates` or `rounding` is none of these.
    """
    if coordinates not in COORDINATES or rounding not in ROUNDINGS:
        raise ValueError(
            f"resizing with {coordinates} and {rounding} is not supported; supported are "
            f"{', '.join(COORDINATES)} and {', '.join(ROUNDINGS)}"
        )
    scale = n_out / n_in if scale is None else scale
    places = np.arange(n_out, dtype=np.float64)
    if coordinates == "align_corners":
        at = places * ((n_in - 1) / (n_out - 1) if n_out > 1 else 0)
    elif coordinates == "asymmetric":
        at = places / scale
    elif coordinates == "pytorch_half_pixel" and n_out == 1:
        at = np.zeros(1)
    else:
        at = (places + 0.5) / scale - 0.5
        if coordinates == "half_pixel_symmetric":
            at += n_in / 2 * (1 - n_out / (n_in * scale))
    if not linear:
        picked = np.clip(ROUNDINGS[rounding](at), 0, n_in - 1).astype(int)
        return np.eye(n_in)[picked]
    at = np.clip(at, 0, n_in - 1)
    low = np.minimum(np.floor(at).astype(int), n_in - 1)
    high = np.minimum(low + 1, n_in - 1)
    part = (at - low)[:, None]
    return np.eye(n_in)[low] * (1 - part) + np.eye(n_in)[high] * part
