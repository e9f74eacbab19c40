"""Statistics of spike trains made of bursts: intervals, bursts, irregularity, left-over potential.

Arrays go in, tidy tables come out, with the unit in the column name. A **train** is one neuron
during one image; an interval lies between two successive spikes of one train, never across
images. Times are ``step * dt_ms`` from the onset of the image.

A burst network releases the spikes of each step of the algorithm in one **phase**, a fixed number
of simulation steps. Its exact bursts are therefore known, and `phase_bursts` lists them; `bursts`
finds bursts from the intervals alone, as one has to in a recording from tissue, and `detection`
compares the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.trains import Trains, _mean
from ann2brian.models.arrays import Array, Integers
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks

WITHIN_BURST_STEPS = 1.5  # longest interval within a burst, whose spikes are one step apart
FEWEST_SPIKES = 2  # of a burst; a single spike is none
BINS_PER_DECADE = 10  # of the histogram of log intervals
SMALLEST_VOID = 0.7  # of a valley that separates two peaks (recalled from Selinger et al. 2007)
SMALLEST_PEAK = 40  # intervals; lower peaks of a histogram may be chance
HIGHEST_VALLEY = 0.5  # of the lower of two peaks; higher ones may be chance
ROUNDING = 1e-9  # relative; times are multiples of dt, thresholds may be written as such


# ---- intervals ----


def interval_histogram(trains: Trains) -> pd.DataFrame:
    """How often each interval occurs.

    Parameters
    ----------
    trains : Trains
        Of one layer.

    Returns
    -------
    DataFrame
        One row per interval that occurs: layer, interval_ms (a multiple of dt, ascending), count.
    """
    steps, counts = np.unique(np.diff(trains.step)[trains.is_successor], return_counts=True)
    return pd.DataFrame(
        {"layer": trains.layer.name, "interval_ms": steps * trains.dt_ms, "count": counts}
    )


def interval_split(trains: Trains, threshold_ms: float) -> dict[str, object]:
    """Intervals within and between bursts, told apart by a threshold.

    Parameters
    ----------
    trains : Trains
        Of one layer.
    threshold_ms : float
        Largest interval within a burst.

    Returns
    -------
    dict
        layer, threshold_ms, n_intra, n_inter, intra_fraction, mean_intra_ms and mean_inter_ms
        (NaN without such intervals): one row of a table.
    """
    intervals = trains.intervals_ms
    is_intra = intervals <= threshold_ms * (1 + ROUNDING)
    return {
        "layer": trains.layer.name,
        "threshold_ms": threshold_ms,
        "n_intra": int(is_intra.sum()),
        "n_inter": int((~is_intra).sum()),
        "intra_fraction": _mean(is_intra),
        "mean_intra_ms": _mean(intervals[is_intra]),
        "mean_inter_ms": _mean(intervals[~is_intra]),
    }


@dataclass(frozen=True, kw_only=True)
class IntervalThreshold:
    """What the histogram of log intervals says about the border between and within bursts.

    Parameters
    ----------
    threshold_ms : float
        Largest interval within a burst; NaN if there is no such border.
    void : float
        How empty the valley at the threshold is, from 0 (none) to 1 (no interval); NaN likewise.
    verdict : str
        ``"two peaks"``, or why there is no threshold.
    """

    threshold_ms: float
    void: float
    verdict: str


def log_interval_threshold(
    intervals_ms: ArrayLike,
    dt_ms: float,
    longest_intra_ms: float,
    smallest_void: float = SMALLEST_VOID,
) -> IntervalThreshold:
    """Border between the intervals within and between bursts, from the histogram of their logs.

    Parameters
    ----------
    intervals_ms : array_like, shape (n_intervals,)
        Multiples of `dt_ms`, above 0.
    dt_ms : float
        Length of a simulation step in ms.
    longest_intra_ms : float
        The peak of intervals within bursts is looked for below it. In a burst network that is the
        length of a phase; in cultures of neurons it has been 100 ms.
    smallest_void : float
        Smallest void parameter of a valley that separates two peaks.

    Returns
    -------
    IntervalThreshold
        With a verdict instead of a threshold for a single peak, for none below
        `longest_intra_ms` and for no valley that is empty enough.

    Raises
    ------
    ValueError
        If an interval is not above 0.

    Notes
    -----
    The idea is that of Selinger et al. (2007) and Pasquale et al. (2010): the highest peak below
    `longest_intra_ms` stands for intervals within bursts; of the later peaks the first whose
    valley has ``void = 1 - valley / sqrt(peak_1 * peak_2) >= smallest_void`` gives the threshold.
    Neither paper was at hand; the rule was read in public code of an author of the second.

    Own choices: ten bins a decade, smoothed with weights 1/4, 1/2, 1/4 (the original uses a local
    regression); intervals are multiples of dt, so that short bins hold no, one or few of the
    possible values: bins without any are left out, and the others are scaled to the number that
    their width holds on average; a peak of fewer than 40 intervals is none, nor is a valley above
    half of the lower peak, since the void alone is also large for a chance bump beside a high
    peak; of several equally empty bins the middle one is the threshold.

    References
    ----------
    Selinger et al. (2007) J Neurosci Methods 162:64.
    Pasquale et al. (2010) J Comput Neurosci 29:213. doi:10.1007/s10827-009-0175-1
    """
    intervals = np.asarray(intervals_ms, dtype=np.float64)
    if not (intervals > 0).all():
        raise ValueError(f"intervals must be above 0, the smallest is {intervals.min()}")
    if not intervals.size:
        return _no_threshold("no intervals")
    centre, counts, density = _log_histogram(intervals, dt_ms)
    peaks = find_peaks(np.pad(density, 1))[0] - 1
    peaks = peaks[counts[peaks] >= SMALLEST_PEAK]
    early = peaks[centre[peaks] < longest_intra_ms]
    if not early.size:
        return _no_threshold(f"no peak below {longest_intra_ms:g} ms")
    first = early[density[early].argmax()]
    later = peaks[peaks > first]
    if not later.size:
        return _no_threshold("a single peak")
    for second in later:
        threshold, valley = _valley(centre, density, first, second)
        low, high = sorted(density[[first, second]])
        void = float(1.0 - valley / math.sqrt(low * high))
        if void >= smallest_void and valley <= HIGHEST_VALLEY * low:
            return IntervalThreshold(threshold_ms=threshold, void=void, verdict="two peaks")
    return _no_threshold("no valley between peaks is empty enough")


def _no_threshold(verdict: str) -> IntervalThreshold:
    return IntervalThreshold(threshold_ms=math.nan, void=math.nan, verdict=verdict)


def _log_histogram(intervals: Array, dt_ms: float) -> tuple[Array, Array, Array]:
    """Centres in ms, counts and densities of the bins that hold a multiple of dt, smoothed."""
    # One bin more at either end, so that no rounding leaves an interval out.
    low = math.floor(BINS_PER_DECADE * math.log10(intervals.min())) - 1
    high = math.floor(BINS_PER_DECADE * math.log10(intervals.max())) + 2
    edges = 10.0 ** (np.arange(low, high + 1) / BINS_PER_DECADE)
    possible = np.diff(np.ceil(edges / dt_ms))
    is_kept = possible > 0
    counts = np.histogram(intervals, edges)[0].astype(np.float64)
    density = counts * np.diff(edges) / dt_ms / np.maximum(possible, 1)
    centre = np.sqrt(edges[:-1] * edges[1:])
    weight = _smoothed(is_kept)  # bins left out do not pull their neighbours down
    return (
        centre[is_kept],
        _smoothed(counts)[is_kept] / weight[is_kept],
        _smoothed(density)[is_kept] / weight[is_kept],
    )


def _smoothed(values: NDArray) -> Array:
    """Each bin with half of its neighbours; nothing beyond the ends."""
    padded = np.pad(values.astype(np.float64), 1)
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def _valley(centre: Array, density: Array, first: int, second: int) -> tuple[float, float]:
    """Place in ms and height of the lowest bin between two peaks, the middle one of equals."""
    between = density[first : second + 1]
    lowest = first + np.flatnonzero(between == between.min())
    return float(centre[lowest[(len(lowest) - 1) // 2]]), float(between.min())


# ---- bursts ----


def bursts(trains: Trains, max_interval_ms: float) -> pd.DataFrame:
    """Bursts found from intervals: runs of spikes with no interval above a maximum.

    Parameters
    ----------
    trains : Trains
        Of one layer.
    max_interval_ms : float
        Largest interval within a burst, e.g. from `log_interval_threshold`; nothing is a burst if
        it is NaN.

    Returns
    -------
    DataFrame
        One row per burst of at least two spikes: layer, image, neuron, start_ms, duration_ms
        (first to last spike), n_spikes; by image, neuron and start.
    """
    is_joined = trains.is_successor & (
        np.diff(trains.step) * trains.dt_ms <= max_interval_ms * (1 + ROUNDING)
    )
    starts = _starts(trains, ~is_joined)
    table = _burst_table(trains, starts)
    return table[table["n_spikes"] >= FEWEST_SPIKES].reset_index(drop=True)


def phase_bursts(
    trains: Trains, phase_steps: int, phases_per_step: int = 1, *, spontaneous: bool = False
) -> pd.DataFrame:
    """Exact bursts of a burst network: the spikes of a neuron in one step of the algorithm.

    Parameters
    ----------
    trains : Trains
        Of one layer, whose onset counts phases.
    phase_steps : int
        Simulation steps of a phase.
    phases_per_step : int
        Phases from one step of the algorithm to the next: 2 where layers integrate and release
        in turn.
    spontaneous : bool
        Whether neurons may fire before the layer's onset, as those with background noise do; their
        steps are below 0.

    Returns
    -------
    DataFrame
        One row per neuron, image and step with a spike, single spikes included: layer, image,
        neuron, algorithm_step (0 from the onset), start_ms, duration_ms (first to last spike),
        n_spikes; by image, neuron and start.

    Raises
    ------
    ValueError
        If `phase_steps` or `phases_per_step` is below 1 or a spike precedes the layer's onset
        without `spontaneous`.
    """
    if phase_steps < 1 or phases_per_step < 1:
        raise ValueError(
            f"phase_steps and phases_per_step must be at least 1, got {phase_steps!r} and "
            f"{phases_per_step!r}"
        )
    phase = trains.step // phase_steps - trains.layer.onset
    if not spontaneous and len(trains) and phase.min() < 0:
        raise ValueError(
            f"layer {trains.layer.name!r}: a spike in step {trains.step.min()}, before the onset "
            f"at phase {trains.layer.onset} of {phase_steps} steps"
        )
    algorithm_step = phase // phases_per_step
    starts = _starts(trains, ~trains.is_successor | (np.diff(algorithm_step) > 0))
    table = _burst_table(trains, starts)
    table.insert(3, "algorithm_step", algorithm_step[starts])
    return table


def burst_lengths(exact: pd.DataFrame) -> pd.DataFrame:
    """Distribution of the spikes per burst in each step of the algorithm.

    Parameters
    ----------
    exact : DataFrame
        From `phase_bursts`, of one or several layers.

    Returns
    -------
    DataFrame
        One row per layer, step and length that occurs: layer, algorithm_step (from 0), n_spikes,
        count (bursts over all images and neurons, single spikes included). Layers keep their
        order.
    """
    keys = ["layer", "algorithm_step", "n_spikes"]
    counts = exact.groupby(keys, sort=False).size().rename("count").reset_index()
    rank = {name: i for i, name in enumerate(dict.fromkeys(exact["layer"]))}
    order = np.lexsort([counts["n_spikes"], counts["algorithm_step"], counts["layer"].map(rank)])
    return counts.iloc[order].reset_index(drop=True)


def detection(exact: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    """How many bursts found from intervals are exact ones.

    Parameters
    ----------
    exact : DataFrame
        From `phase_bursts`; single spikes are left out.
    found : DataFrame
        From `bursts`, of the same layers.

    Returns
    -------
    dict of str to float
        n_exact, n_found, n_equal (same layer, image, neuron, first spike and number of spikes),
        precision (n_equal / n_found) and recall (n_equal / n_exact), NaN where there is none.
    """
    exact = exact[exact["n_spikes"] >= FEWEST_SPIKES]
    keys = ["layer", "image", "neuron", "start_ms", "n_spikes"]
    n_equal = len(exact.merge(found, on=keys))
    return {
        "n_exact": len(exact),
        "n_found": len(found),
        "n_equal": n_equal,
        "precision": n_equal / len(found) if len(found) else math.nan,
        "recall": n_equal / len(exact) if len(exact) else math.nan,
    }


def _starts(trains: Trains, is_border: NDArray[np.bool_]) -> Integers:
    """First spike of each run, given whether there is a border after spike i."""
    return np.flatnonzero(np.append(True, is_border)[: len(trains)])


def _burst_table(trains: Trains, starts: Integers) -> pd.DataFrame:
    """Table of runs of successive spikes, by the index of their first one."""
    last = np.append(starts[1:], len(trains)) - 1 if starts.size else starts
    return pd.DataFrame(
        {
            "layer": trains.layer.name,
            "image": trains.image[starts],
            "neuron": trains.neuron[starts],
            "start_ms": trains.step[starts] * trains.dt_ms,
            "duration_ms": (trains.step[last] - trains.step[starts]) * trains.dt_ms,
            "n_spikes": last - starts + 1,
        }
    )


# ---- summaries ----


def irregularity(trains: Trains, fewest_intervals: int = 2) -> dict[str, float]:
    """Coefficients of variation of the intervals, averaged over trains.

    Parameters
    ----------
    trains : Trains
        Of one layer.
    fewest_intervals : int
        Trains with fewer intervals do not enter; at least 2.

    Returns
    -------
    dict of str to float
        cv, cv2 and lv, see `train_irregularity`, each averaged over trains with equal weight, NaN
        without any; n_trains (how many entered).

    Raises
    ------
    ValueError
        If `fewest_intervals` is below 2.
    """
    of_trains = train_irregularity(trains, fewest_intervals)
    means = {name: _mean(of_trains[name].to_numpy()) for name in ("cv", "cv2", "lv")}
    return means | {"n_trains": len(of_trains)}


def train_irregularity(trains: Trains, fewest_intervals: int = 2) -> pd.DataFrame:
    """Coefficients of variation of the intervals of each train.

    Parameters
    ----------
    trains : Trains
        Of one layer.
    fewest_intervals : int
        Trains with fewer intervals are left out; at least 2.

    Returns
    -------
    DataFrame
        One row per train: image, neuron, cv (standard deviation by mean of the intervals), cv2
        (mean over successive intervals a, b of 2 |a - b| / (a + b)) and lv (mean of
        3 ((a - b) / (a + b))^2).

    Raises
    ------
    ValueError
        If `fewest_intervals` is below 2.

    Notes
    -----
    All three are 0 for a regular train and 1 on average for a Poisson process. The standard
    deviation divides by the number of intervals, so cv is biased downwards in short trains.

    References
    ----------
    Holt et al. (1996) J Neurophysiol 75:1806. doi:10.1152/jn.1996.75.5.1806
    Shinomoto, Shima, Tanji (2003) Neural Comput 15:2823. doi:10.1162/089976603322518759
    """
    if fewest_intervals < 2:
        raise ValueError(f"fewest_intervals must be at least 2, got {fewest_intervals!r}")
    interval = np.diff(trains.step)[trains.is_successor].astype(np.float64)
    train, n_each = np.unique(trains.train[1:][trains.is_successor], return_counts=True)
    is_long = n_each >= fewest_intervals
    interval = interval[np.repeat(is_long, n_each)]
    train, n_each = train[is_long], n_each[is_long]
    which = np.repeat(np.arange(n_each.size), n_each)
    mean = np.bincount(which, interval) / n_each
    variance = np.bincount(which, (interval - mean[which]) ** 2) / n_each
    is_pair = np.diff(which) == 0
    contrast = (np.diff(interval) / (interval[1:] + interval[:-1]))[is_pair]
    pairs = which[1:][is_pair]
    return pd.DataFrame(
        {
            "image": train // trains.n_neurons,
            "neuron": train % trains.n_neurons,
            "cv": np.sqrt(variance) / mean,
            "cv2": np.bincount(pairs, 2 * np.abs(contrast)) / (n_each - 1),
            "lv": np.bincount(pairs, 3 * contrast**2) / (n_each - 1),
        }
    )


def summary(
    trains: Trains, found: pd.DataFrame, observation_ms: float, fewest_intervals: int = 2
) -> dict[str, object]:
    """Activity, bursts and irregularity of one layer.

    Parameters
    ----------
    trains : Trains
        Of one layer.
    found : DataFrame
        Its bursts, from `bursts` or `phase_bursts`; single spikes do not count as bursts.
    observation_ms : float
        Time for which each neuron is observed in each image. For a burst network: the phases of
        the image in this layer times their length.
    fewest_intervals : int
        Of a train that enters cv, cv2 and lv; see `irregularity`.

    Returns
    -------
    dict
        One row of a table: layer, n_units, spikes_per_image, rate_hz and burst_rate_hz (both per
        neuron), spikes_per_burst (mean; NaN without bursts), fraction_in_bursts (of the spikes;
        NaN without spikes), cv, cv2, lv and n_trains (see `irregularity`).

    Raises
    ------
    ValueError
        If `observation_ms` is not above 0 or `fewest_intervals` is below 2.
    """
    if not observation_ms > 0:
        raise ValueError(f"observation_ms must be above 0, got {observation_ms!r}")
    lengths = found.loc[found["n_spikes"] >= FEWEST_SPIKES, "n_spikes"].to_numpy()
    neuron_seconds = trains.n_neurons * trains.n_images * observation_ms / 1000.0
    return {
        "layer": trains.layer.name,
        "n_units": trains.layer.n_units,
        "spikes_per_image": len(trains) / trains.n_images,
        "rate_hz": len(trains) / neuron_seconds,
        "spikes_per_burst": _mean(lengths),
        "burst_rate_hz": len(lengths) / neuron_seconds,
        "fraction_in_bursts": float(lengths.sum()) / len(trains) if len(trains) else math.nan,
        **irregularity(trains, fewest_intervals),
    }


def residual_potential(potentials: ArrayLike, threshold: float = 1.0) -> dict[str, float]:
    """What is left on the membranes of a layer when the last burst is over.

    Parameters
    ----------
    potentials : array_like, shape (n_images, n_units)
        Membrane potentials at the end, from rest.
    threshold : float
        In the same unit; above 0.

    Returns
    -------
    dict of str to float
        potential_mean and potential_sd in units of the threshold, residual_fraction (at or above
        the threshold: information that was not passed on) and negative_fraction (below rest).

    Raises
    ------
    ValueError
        If there are no potentials or `threshold` is not above 0.
    """
    values = np.asarray(potentials, dtype=np.float64)
    if not values.size or not threshold > 0:
        raise ValueError(
            f"need potentials and a threshold above 0, got shape {values.shape} and {threshold!r}"
        )
    return {
        "potential_mean": float(values.mean() / threshold),
        "potential_sd": float(values.std() / threshold),
        "residual_fraction": float(np.mean(values >= threshold)),
        "negative_fraction": float(np.mean(values < 0)),
    }
