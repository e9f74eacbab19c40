"""How synchronous the neurons of a layer are, by pairs that fire for the same image.

Nothing is subtracted for what the image itself brings: neurons that are driven at the same time are
synchronous, whatever the cause. All pairs of a layer would be too many, so a bounded number of each
image is drawn, always the same ones for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.distances import spike_synchronization
from ann2brian.analysis.statistics.trains import Trains, _mean_of_defined
from ann2brian.models.arrays import Integers
from ann2brian.models.checks import require_whole

MOST_PAIRS = 10_000  # of an image, held at once


def synchrony(
    trains: Trains, n_steps: int, bin_steps: int, pairs_per_image: int, seed: int = 0
) -> pd.DataFrame:
    """Correlation and SPIKE-synchronization of pairs of neurons, image by image.

    Parameters
    ----------
    trains : Trains
        Of one layer.
    n_steps : int
        Simulation steps of the window of an image, after the last spike.
    bin_steps : int
        Steps of a bin of the correlation.
    pairs_per_image : int
        Pairs of neurons drawn for each image without replacement; all where there are no more.
    seed : int
        Of the draw. The pairs of an image do not depend on the other images.

    Returns
    -------
    DataFrame
        One row per image, in order: correlation (mean over pairs of Pearson's coefficient of the
        spike counts in bins; a train with the same count in every bin has none) and
        spike_synchronization (mean over pairs, see :func:`.distances.spike_synchronization`; pairs
        of single spikes have no interval that says what is together, and are left out); NaN where
        there is no such pair.

    Raises
    ------
    ValueError
        If a spike lies outside the window, or a number is out of range.
    """
    last = int(trains.step.max(initial=0))
    if n_steps <= last:
        raise ValueError(
            f"layer {trains.layer.name!r}: a spike in step {last} of a window of {n_steps}"
        )
    require_whole("bin_steps", bin_steps, 1, n_steps)
    require_whole("pairs_per_image", pairs_per_image, 1, MOST_PAIRS)
    starts, ends = trains.bounds
    # Active trains of each image: from, to.
    block = trains.image[starts].searchsorted(np.arange(trains.n_images + 1))
    rows = []
    for image in range(trains.n_images):
        n_active = int(block[image + 1] - block[image])
        rng = np.random.default_rng([seed, image])
        correlations, coincidences = [], []
        for pair in _pairs(n_active, pairs_per_image, rng):
            a, b = (trains.step[starts[k] : ends[k]] for k in block[image] + pair)
            correlations.append(_correlation(a, b, n_steps, bin_steps))
            if a.size + b.size > 2:
                coincidences.append(spike_synchronization([a, b], n_steps)[0, 1])
        rows.append((_mean_of_defined(correlations), _mean_of_defined(coincidences)))
    return pd.DataFrame(rows, columns=["correlation", "spike_synchronization"], dtype=np.float64)


def _pairs(n: int, most: int, rng: np.random.Generator) -> Iterator[Integers]:
    """Pairs of different ones of n, as arrays (2,): all, or as many as drawn."""
    n_pairs = n * (n - 1) // 2
    drawn = np.arange(n_pairs) if n_pairs <= most else rng.choice(n_pairs, most, replace=False)
    for number in drawn.tolist():
        larger = (1 + math.isqrt(1 + 8 * number)) // 2  # pair 0 is (0, 1), then (0, 2), (1, 2), ...
        yield np.array([number - larger * (larger - 1) // 2, larger])


def _correlation(a: Integers, b: Integers, n_steps: int, bin_steps: int) -> float:
    """Pearson's coefficient of the counts in bins, NaN if one of them never changes."""
    n_bins = -(-n_steps // bin_steps)
    counts = np.stack([np.bincount(x // bin_steps, minlength=n_bins) for x in (a, b)])
    centred = counts - counts.mean(axis=1, keepdims=True)
    if not np.ptp(counts, axis=1).all():
        return math.nan
    (aa, ab), (_, bb) = centred @ centred.T
    return float(ab / math.sqrt(aa * bb))
