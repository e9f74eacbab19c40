"""Accuracy: over time, and its interval."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
READOUT_STEPS = 2  # the slot of a spike itself and the one in which the read-out takes it


def accuracy_over_time(
    scores: ArrayLike,
    labels: ArrayLike,
    reference_predictions: ArrayLike,
    dt_ms: float,
    readout_onset: int,
) -> pd.DataFrame:
    """Accuracy of the read-out if it is stopped after each of its steps.

    Parameters
    ----------
    scores : array_like, shape (n_images, n_steps, n_classes)
        Class scores after each step of the read-out window.
    labels : array_like of int, shape (n_images,)
        True classes.
    reference_predictions : array_like of int, shape (n_images,)
        Classes that the trained network gives.
    dt_ms : float
        Length of a step in ms.
    readout_onset : int
        Step of the first entry of `scores`, from the image's onset.

    Returns
    -------
    DataFrame
        One row per step: slot (whose spikes are the last that count), time_ms (from the image's
        onset until these scores can be read, the read-out's own slot included, so that the last
        row stands at the recording's latency), accuracy and agreement with the trained network
        as fractions. The first of several equal scores decides.

    Raises
    ------
    ValueError
        If the shapes do not fit or there is no image or step.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(labels)
    reference = np.asarray(reference_predictions)
    if values.ndim != 3 or not values.size:
        raise ValueError(
            f"scores must have shape (n_images, n_steps, n_classes), not empty, got {values.shape}"
        )
    for name, classes in (("labels", truth), ("reference_predictions", reference)):
        if classes.shape != values.shape[:1]:
            raise ValueError(f"{name} must have shape ({len(values)},), got {classes.shape}")
    predictions = values.argmax(axis=2)
    slot = readout_onset + np.arange(values.shape[1])
    return pd.DataFrame(
        {
            "slot": slot,
            "time_ms": (slot + READOUT_STEPS) * dt_ms,
            "accuracy": np.mean(predictions == truth[:, None], axis=0),
            "agreement": np.mean(predictions == reference[:, None], axis=0),
        }
    )


def accuracy_interval(n_correct: int, n: int) -> tuple[float, float]:
    """Wilson 95 % confidence interval of an accuracy.

    Parameters
    ----------
    n_correct : int
        Images classified correctly.
    n : int
        Images.

    Returns
    -------
    (float, float)
        Lower and upper end, fractions from 0 to 1.

    Raises
    ------
    ValueError
        If `n` is below 1 or `n_correct` is not from 0 to `n`.

    References
    ----------
    Wilson (1927) J Am Stat Assoc 22:209. doi:10.1080/01621459.1927.10502953
    """
    if n < 1 or not 0 <= n_correct <= n:
        raise ValueError(f"need 0 <= n_correct <= n and n >= 1, got {n_correct!r} of {n!r}")
    p = n_correct / n
    scale = 1.0 + Z_95**2 / n
    centre = (p + Z_95**2 / (2 * n)) / scale
    half = Z_95 / scale * math.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n**2))
    # The ends are exact at no and at all correct; rounding would leave them 1e-17 off.
    low = 0.0 if n_correct == 0 else centre - half
    high = 1.0 if n_correct == n else centre + half
    return low, high


def needed_steps(accuracy: ArrayLike, target: float) -> int | None:
    """First step from which on every accuracy is at least `target`; None if the last is not.

    Parameters
    ----------
    accuracy : array_like, shape (n_steps,)
        After each step.
    target : float
        Accuracy to be reached.
    """
    values = np.asarray(accuracy)
    below = np.flatnonzero(values < target - 1e-9)
    first = int(below[-1]) + 2 if below.size else 1
    return first if first <= len(values) else None
