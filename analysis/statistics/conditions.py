"""Two recordings of the same images, image by image: what a condition changes in each layer."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.bursts import train_irregularity
from ann2brian.analysis.statistics.layers import (
    Measure,
    layer_bursts,
    layer_trains,
    require_alike,
    train_table,
)
from ann2brian.analysis.statistics.synchrony import synchrony
from ann2brian.analysis.statistics.trains import Trains, _mean
from ann2brian.models.arrays import Array, Integers
from ann2brian.models.checks import require_one_of
from ann2brian.models.spiking.recording import Recording
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, rankdata, ttest_1samp, wilcoxon

NETWORK = "(network)"  # stands for a layer in rows of the whole network
ROUNDING = 1e-9  # of the largest value; smaller differences are none
FEW = 13  # differences with ties of which scipy makes an exact test
TESTS = ("wilcoxon", "t")
STATISTICS = (
    "rate_hz",
    "active_fraction",
    "first_spike_ms",
    "isi_mean_ms",
    "isi_cv",
    "isi_cv2",
    "isi_lv",
    "bursts_per_image",
    "spikes_per_burst",
    "burst_fraction",
    "correlation",
    "spike_synchronization",
)


def compare_conditions(
    one: Recording,
    other: Recording,
    labels: ArrayLike | None = None,
    *,
    test: str = "wilcoxon",
    time_scale_ms: float | None = None,
    burst_interval_ms: float | None = None,
    pairs_per_image: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Spike statistics of two conditions, with tests paired by image.

    Parameters
    ----------
    one, other : Recording
        Of one network and the same images in the same order, e.g. without and with a perturbation.
    labels : array_like of int, shape (n_images,), optional
        True classes; with them accuracies are compared too.
    test : {"wilcoxon", "t"}
        Wilcoxon's signed-rank test, or the paired t test.
    time_scale_ms, burst_interval_ms, pairs_per_image, seed
        As in :func:`.layers.spike_statistics`. Bursts of both conditions are found by the same
        interval, that of `one`, where intervals decide.

    Returns
    -------
    DataFrame
        One row for each layer and statistic, and with `labels` a last one of accuracy, whose layer
        is ``"(network)"``: layer, statistic (with its unit); n_images (in which both conditions
        have a value); one, other (means over these images), difference (other less one), test,
        effect_size, p (two-sided) and p_holm (corrected by Holm's method for all tests of the
        table). NaN where there is no image, as in layers whose spikes were not kept.

    Raises
    ------
    ValueError
        If the recordings do not fit each other or the labels, hold no spike trains, or an option
        is out of range.

    Notes
    -----
    The value of an image is the mean over its trains, neurons, intervals, bursts or pairs; each
    image has equal weight. So means differ from those of ``spike_statistics`` where some images
    have more trains than others. An image enters a statistic only where both conditions have it: of
    a first spike only images in which both fire, which n_images tells. Both rates are those of
    the longer of the two windows. Fano factors take several images and have no value of one.

    Effect sizes: of Wilcoxon's test the matched-pairs rank-biserial correlation, from -1 (all
    images decrease) to 1; of the t test Cohen's d_z, the mean difference by its standard deviation.
    Differences of 0 are left out of the ranks; without any other, p is 1 and the effect 0. So are
    differences below 1e-9 of the largest value, which are rounding.
    Accuracies are compared by McNemar's exact test, the binomial test of the images on which only
    one condition is right, whose rank-biserial correlation is (gained - lost) / (gained + lost).

    References
    ----------
    Wilcoxon (1945) Biometrics Bull 1:80. doi:10.2307/3001968
    McNemar (1947) Psychometrika 12:153. doi:10.1007/BF02295996
    Holm (1979) Scand J Stat 6:65
    Kerby (2014) Compr Psychol 3:11.IT.3.1. doi:10.2466/11.IT.3.1 (recalled)
    """
    require_one_of("test", test, TESTS)
    require_alike(one, other, "the other recording")
    truth = None if labels is None else _checked_labels(labels, one.n_images)
    measure = Measure.of((one, other), time_scale_ms, burst_interval_ms, pairs_per_image, seed)
    rows = []
    for index, layer in enumerate(one.layers):
        trains = layer_trains(one, index), layer_trains(other, index)
        if trains[0] is None or trains[1] is None:
            nothing = np.zeros(0)
            rows += [
                {"layer": layer.name, "statistic": name} | _compared(nothing, nothing, test)
                for name in STATISTICS
            ]
            continue
        rule, border, _ = layer_bursts(trains[0], one, measure.burst_interval_ms)
        first, second = (
            _image_statistics(own, recording, measure, None if rule == "phase" else border)
            for own, recording in zip(trains, (one, other), strict=True)
        )
        for name in STATISTICS:
            rows.append(
                {"layer": layer.name, "statistic": name}
                | _compared(first[name].to_numpy(), second[name].to_numpy(), test)
            )
    if truth is not None:
        rows.append(
            {"layer": NETWORK, "statistic": "accuracy"}
            | _correctness(one.predictions == truth, other.predictions == truth)
        )
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"])
    return table


def holm(p: ArrayLike) -> Array:
    """P-values corrected for their number by Holm's step-down method.

    Parameters
    ----------
    p : array_like, shape (n_tests,)
        From 0 to 1; NaN for tests that were not made, which do not count.

    Returns
    -------
    ndarray, shape (n_tests,)
        Rejecting those up to alpha keeps the probability of any false rejection at alpha or below,
        however the tests depend on each other; NaN as in `p`.

    References
    ----------
    Holm (1979) Scand J Stat 6:65
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]  # NaN come last
    corrected = np.full(values.shape, math.nan)
    left = np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * left), 1.0)
    return corrected


def _checked_labels(labels: ArrayLike, n_images: int) -> Integers:
    """True classes as an array, or a ValueError."""
    truth = np.asarray(labels)
    if truth.shape != (n_images,) or not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(
            f"labels must be whole numbers of shape ({n_images},), got {truth.dtype} of shape "
            f"{truth.shape}"
        )
    return truth


def _image_statistics(
    trains: Trains, recording: Recording, measure: Measure, interval_ms: float | None
) -> pd.DataFrame:
    """Statistics of a layer, one row per image in order; NaN where an image has none."""
    images = pd.RangeIndex(trains.n_images)
    table = train_table(trains)
    by_image = table.groupby("image")
    n_spikes = by_image["n_spikes"].sum().reindex(images, fill_value=0)
    n_active = by_image.size().reindex(images, fill_value=0)
    n_intervals = (n_spikes - n_active).where(n_spikes > n_active)
    span_ms = (table["last_ms"] - table["first_ms"]).groupby(table["image"]).sum()
    irregularity = train_irregularity(trains).groupby("image")[["cv", "cv2", "lv"]].mean()
    rule, _, found = layer_bursts(trains, recording, interval_ms)
    lengths = found.groupby("image")["n_spikes"]
    in_bursts = lengths.sum().reindex(images, fill_value=0)
    n_bursts = lengths.size().reindex(images, fill_value=0)
    has_bursts = rule != "none"
    window_s = measure.n_steps * trains.dt_ms / 1000.0
    pairs = synchrony(
        trains, measure.n_steps, measure.bin_steps, measure.pairs_per_image, measure.seed
    )
    return pd.DataFrame(
        {
            "rate_hz": n_spikes / (trains.n_neurons * window_s),
            "active_fraction": n_active / trains.n_neurons,
            "first_spike_ms": by_image["first_ms"].mean(),
            "isi_mean_ms": span_ms / n_intervals,
            "isi_cv": irregularity["cv"],
            "isi_cv2": irregularity["cv2"],
            "isi_lv": irregularity["lv"],
            "bursts_per_image": n_bursts if has_bursts else math.nan,
            "spikes_per_burst": lengths.mean() if has_bursts else math.nan,
            "burst_fraction": in_bursts / n_spikes.where(n_spikes > 0) if has_bursts else math.nan,
            "correlation": pairs["correlation"],
            "spike_synchronization": pairs["spike_synchronization"],
        },
        index=images,
    ).astype(np.float64)


def _compared(one: Array, other: Array, test: str) -> dict[str, object]:
    """Means, test and effect of the images that have a value in both conditions."""
    both = ~(np.isnan(one) | np.isnan(other))
    one, other = one[both], other[both]
    # Means of equal values differ by their rounding, which must neither be a change nor part ties.
    unit = ROUNDING * max(np.abs(one).max(initial=0.0), np.abs(other).max(initial=0.0)) or 1.0
    differences = np.rint((other - one) / unit) * unit
    effect, p = (_wilcoxon if test == "wilcoxon" else _paired_t)(differences)
    return {
        "n_images": one.size,
        "one": _mean(one),
        "other": _mean(other),
        "difference": _mean(other - one),
        "test": test,
        "effect_size": effect,
        "p": p,
    }


def _wilcoxon(differences: Array) -> tuple[float, float]:
    """Matched-pairs rank-biserial correlation, and p of the signed-rank test."""
    changed = differences[differences != 0]
    if not changed.size:
        return (0.0, 1.0) if differences.size else (math.nan, math.nan)
    ranks = rankdata(np.abs(changed))
    effect = float(ranks @ np.sign(changed) / ranks.sum())
    if changed.size <= FEW and np.unique(ranks).size < ranks.size:
        return effect, _exact_p(ranks, changed > 0)
    return effect, float(wilcoxon(changed).pvalue)


def _exact_p(ranks: Array, is_gain: NDArray[np.bool_]) -> float:
    """Two-sided p of the sum of some ranks, if each is in it with probability 1/2.

    What scipy gives for few ranks with ties, in a second, since it makes all the sums one by one.
    """
    doubled = np.rint(2 * ranks).astype(np.int64)  # ties have half ranks
    ways = np.ones(1)
    for rank in doubled:
        ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
    reached = int(doubled[is_gain].sum())
    tail = min(ways[: reached + 1].sum(), ways[reached:].sum())
    return float(min(1.0, 2.0 * tail / ways.sum()))


def _paired_t(differences: Array) -> tuple[float, float]:
    """Cohen's d_z, and p of the paired t test; NaN below two images."""
    if differences.size < 2:
        return math.nan, math.nan
    if not differences.any():
        return 0.0, 1.0
    if not np.ptp(differences):  # all images change by the same
        return math.copysign(math.inf, differences[0]), 0.0
    effect = differences.mean() / differences.std(ddof=1)
    return float(effect), float(ttest_1samp(differences, 0.0).pvalue)


def _correctness(one: Array, other: Array) -> dict[str, object]:
    """McNemar's exact test of which images are classified correctly."""
    gained, lost = int((other & ~one).sum()), int((one & ~other).sum())
    n = gained + lost
    return {
        "n_images": one.size,
        "one": float(one.mean()),
        "other": float(other.mean()),
        "difference": float(other.mean() - one.mean()),
        "test": "mcnemar",
        "effect_size": (gained - lost) / n if n else 0.0,
        "p": float(binomtest(gained, n).pvalue) if n else 1.0,
    }
