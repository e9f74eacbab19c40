"""Spike statistics of a recording, layer by layer, from any scheme.

A **train** is one neuron for one image; intervals never span images. Times are from the onset of
the image. What has a time scale of its own, bins and the kernels of distances, takes a phase of the
recording unless told otherwise: a step in schemes of single spikes, else a whole burst. What would
take all pairs of trains is measured on a bounded random sample, the same one for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import bursts
from ann2brian.analysis.statistics.distances import (
    isi_distance,
    mean_over_pairs,
    spike_distance,
    van_rossum,
    victor_purpura,
)
from ann2brian.analysis.statistics.synchrony import synchrony
from ann2brian.analysis.statistics.trains import (
    Trains,
    _check_above_0,
    _mean_of_defined,
)
from ann2brian.analysis.statistics.trials import fano_factor
from ann2brian.models.arrays import Array, Integers
from ann2brian.models.checks import require_whole
from ann2brian.models.spiking.recording import Recording

LONGEST_INTRA_STEPS = 10  # of the commonest interval in bursts, where no phase says how long one is
BLOCK = 2**22  # counts held at once
DISTANCES = ("van_rossum", "victor_purpura", "isi_distance", "spike_distance")
COLUMNS = (  # beside those of the summary
    "recorded",
    "first_spike_sd_ms",
    "isi_cv2",
    "isi_lv",
    "fano_images",
    "fano_repeats",
    "burst_rule",
    "burst_interval_ms",
    "bursts_per_image",
    "spikes_per_burst",
    "burst_fraction",
    "correlation",
    "spike_synchronization",
    *DISTANCES,
)
MEASURED = tuple(name for name in COLUMNS if name not in ("recorded", "burst_rule"))


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How layers are measured; the parameters are those of :func:`spike_statistics`.

    Parameters
    ----------
    n_steps : int
        Simulation steps of the window of an image.
    bin_steps : int
        Steps of the time scale.
    burst_interval_ms : float or None
        Largest interval within a burst, for all layers.
    pairs_per_image, seed : int
        Of the sample of pairs of neurons.
    """

    n_steps: int
    bin_steps: int
    burst_interval_ms: float | None
    pairs_per_image: int
    seed: int

    @classmethod
    def of(
        cls,
        recordings: Sequence[Recording],
        time_scale_ms: float | None,
        burst_interval_ms: float | None,
        pairs_per_image: int,
        seed: int,
    ) -> Measure:
        """One measure for several recordings: the longest of their windows, a phase of the first.

        Raises
        ------
        ValueError
            If a time is not above 0, the time scale is longer than the window, or the recordings
            hold no spike trains.
        """
        for name, value in (
            ("time_scale_ms", time_scale_ms),
            ("burst_interval_ms", burst_interval_ms),
        ):
            if value is not None:
                _check_above_0(name, value)
        first = recordings[0]
        n_steps = max(recording.trains.n_steps for recording in recordings)
        bin_steps = (
            first.phase_steps
            if time_scale_ms is None
            else max(1, round(time_scale_ms / first.dt_ms))
        )
        if bin_steps > n_steps:
            raise ValueError(
                f"time_scale_ms must be at most the {n_steps * first.dt_ms:g} ms of an image, got "
                f"{time_scale_ms!r}"
            )
        return cls(
            n_steps=n_steps,
            bin_steps=bin_steps,
            burst_interval_ms=burst_interval_ms,
            pairs_per_image=pairs_per_image,
            seed=seed,
        )


def spike_statistics(
    recording: Recording,
    repeats: Sequence[Recording] | None = None,
    *,
    time_scale_ms: float | None = None,
    burst_interval_ms: float | None = None,
    pairs_per_image: int = 20,
    n_distances: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Spike statistics of each layer of a recording, and of its repetitions.

    Parameters
    ----------
    recording : Recording
        With spike trains of some layers.
    repeats : sequence of Recording, optional
        The same images again, in the same order, e.g. with another seed of the noise.
    time_scale_ms : float, optional
        Bin of the correlation, time constant of the van Rossum distance, and inverse cost of the
        Victor-Purpura distance, to whole steps; without it a phase of the recording.
    burst_interval_ms : float, optional
        Largest interval within a burst. Without it, bursts are the spikes of a phase where a
        recording has phases of several steps, and else found by the border in the histogram of
        log intervals, where there is one.
    pairs_per_image : int
        Pairs of neurons from which synchrony is measured, for each image.
    n_distances : int
        Trains, of neurons that fire in any repetition, whose distances are measured.
    seed : int
        Of the samples.

    Returns
    -------
    DataFrame
        One row per layer: the columns of :meth:`.Recording.summary` (layer, neurons, spikes,
        rate_hz, active_fraction, first_spike_ms, isi_mean_ms, isi_cv) and

        - recorded: whether the layer's spikes were kept; else all that is not counted is NaN;
        - first_spike_sd_ms: standard deviation over trains with a spike;
        - isi_cv2, isi_lv: means over trains with two intervals or more, as isi_cv;
        - fano_images: Fano factor of a neuron's spike counts over images, mean over neurons that
          fire; fano_repeats: over repetitions of an image, mean over trains that fire in any;
        - burst_rule (``"phase"``, ``"interval"``, or ``"none"`` where intervals have no border),
          burst_interval_ms (the border), bursts_per_image, spikes_per_burst (mean) and
          burst_fraction (of the spikes); a burst has two spikes or more;
        - correlation, spike_synchronization: of pairs of neurons that both fire for an image, mean
          over images, see :func:`.synchrony.synchrony`;
        - van_rossum, victor_purpura, isi_distance, spike_distance: between two repetitions of a
          train, mean over pairs of repetitions and over trains; see :mod:`.distances`;
        - time_scale_ms and n_repeats (recordings, the first included).

        NaN where nothing is defined.

    Raises
    ------
    ValueError
        If the recording holds no spike trains, a repetition does not fit, or an option is out of
        range.

    Notes
    -----
    Variances and standard deviations divide by the number of values, as those of elephant: the Fano
    factor over n repetitions is too small by (n - 1) / n on average, half of it for two.
    Synchrony and distances are those of images as they are: a common drive counts.
    """
    again = list(repeats or ())
    for number, other in enumerate(again, start=1):
        require_alike(recording, other, f"repeat {number}")
    every = [recording, *again]
    measure = Measure.of(every, time_scale_ms, burst_interval_ms, pairs_per_image, seed)
    require_whole("n_distances", n_distances, 1, 1_000_000)
    rows = []
    for index in range(len(recording.layers)):
        trains = [layer_trains(one, index) for one in every]
        row: dict[str, object] = {"recorded": trains[0] is not None}
        if trains[0] is not None:
            row |= _of_layer(trains[0], recording, measure)
        kept = [own for own in trains if own is not None]
        if len(every) > 1 and len(kept) == len(every):
            row |= _of_repeats(kept, measure, n_distances)
        rows.append(row)
    more = pd.DataFrame(rows, columns=list(COLUMNS))
    more[list(MEASURED)] = more[list(MEASURED)].astype(np.float64)
    table = pd.concat([recording.summary(), more], axis=1)
    table.insert(1, "recorded", table.pop("recorded"))
    table["time_scale_ms"] = measure.bin_steps * recording.dt_ms
    table["n_repeats"] = len(every)
    return table


def require_alike(one: Recording, other: Recording, name: str) -> None:
    """Raise a ValueError unless two recordings are of one network, and of as many images.

    Parameters
    ----------
    one, other : Recording
        The images themselves are not in a recording, so that they cannot be compared.
    name : str
        Of `other`, for the message.
    """
    for what in ("scheme", "network", "n_images", "dt_ms"):
        a, b = getattr(one, what), getattr(other, what)
        if a != b:
            raise ValueError(f"{name}: {what} is {b!r}, of the first recording {a!r}")
    a, b = ([(x.name, x.shape, x.n_positions) for x in r.layers] for r in (one, other))
    if a != b:
        wrong = next(y or x for x, y in zip_longest(a, b) if x != y)
        raise ValueError(
            f"{name}: its layers are not those of the first recording, see layer {wrong[0]!r}"
        )


def layer_trains(recording: Recording, index: int) -> Trains | None:
    """Trains of a layer, or None if its spikes were not kept."""
    own = recording.trains.recorded.get(index)
    if own is None:
        return None
    return Trains.of(own, recording.layers[index], recording.n_images, recording.dt_ms)


def train_table(trains: Trains) -> pd.DataFrame:
    """What is said of single trains.

    Returns
    -------
    DataFrame
        One row per train with a spike: image, neuron, n_spikes, first_ms, last_ms; by image and
        neuron.
    """
    starts, ends = trains.bounds
    return pd.DataFrame(
        {
            "image": trains.image[starts],
            "neuron": trains.neuron[starts],
            "n_spikes": ends - starts,
            "first_ms": trains.step[starts] * trains.dt_ms,
            "last_ms": trains.step[ends - 1] * trains.dt_ms,
        }
    )


def layer_bursts(
    trains: Trains, recording: Recording, interval_ms: float | None
) -> tuple[str, float, pd.DataFrame]:
    """Bursts of a layer by the rule that suits the recording.

    Parameters
    ----------
    trains : Trains
        Of the layer.
    recording : Recording
        Which may have phases.
    interval_ms : float or None
        Largest interval within a burst, whatever the recording has.

    Returns
    -------
    (str, float, DataFrame)
        ``"phase"``, ``"interval"`` or ``"none"``; the largest interval, NaN for the others; one row
        per burst of two spikes or more: image and n_spikes among others.
    """
    if interval_ms is None and recording.phase_steps > 1:
        found = bursts.phase_bursts(
            trains, recording.phase_steps, recording.readout_every, spontaneous=True
        )
        return "phase", math.nan, found[found["n_spikes"] >= bursts.FEWEST_SPIKES]
    if interval_ms is None:
        interval_ms = bursts.log_interval_threshold(
            trains.intervals_ms, trains.dt_ms, LONGEST_INTRA_STEPS * trains.dt_ms
        ).threshold_ms
    rule = "none" if math.isnan(interval_ms) else "interval"
    return rule, interval_ms, bursts.bursts(trains, interval_ms)


def _of_layer(trains: Trains, recording: Recording, measure: Measure) -> dict[str, object]:
    """Statistics of one recording of a layer."""
    table = train_table(trains)
    irregularity = bursts.irregularity(trains)
    rule, border, found = layer_bursts(trains, recording, measure.burst_interval_ms)
    row: dict[str, object] = {
        "first_spike_sd_ms": _sd(table["first_ms"].to_numpy()),
        "isi_cv2": irregularity["cv2"],
        "isi_lv": irregularity["lv"],
        "fano_images": _mean_fano(
            table["image"].to_numpy(),
            table["neuron"].to_numpy(),
            table["n_spikes"].to_numpy(),
            trains.n_images,
        ),
        "burst_rule": rule,
        "burst_interval_ms": border,
    }
    if rule != "none":
        lengths = found["n_spikes"].to_numpy()
        row |= {
            "bursts_per_image": lengths.size / trains.n_images,
            "spikes_per_burst": _mean_of_defined(lengths),
            "burst_fraction": lengths.sum() / len(trains) if len(trains) else math.nan,
        }
    pairs = synchrony(
        trains, measure.n_steps, measure.bin_steps, measure.pairs_per_image, measure.seed
    )
    return row | {name: _mean_of_defined(values) for name, values in pairs.items()}


def _of_repeats(repeats: Sequence[Trains], measure: Measure, n_distances: int) -> dict[str, float]:
    """Statistics of a layer over repetitions."""
    counted = [np.unique(own.train, return_counts=True) for own in repeats]
    names = np.concatenate([train for train, _ in counted])
    fano = _mean_fano(
        np.repeat(np.arange(len(repeats)), [len(train) for train, _ in counted]),
        names,
        np.concatenate([count for _, count in counted]),
        len(repeats),
    )
    active = np.unique(names)
    rng = np.random.default_rng(measure.seed)
    if active.size > n_distances:
        active = np.sort(rng.choice(active, n_distances, replace=False))
    dt_ms = repeats[0].dt_ms
    scale_ms = measure.bin_steps * dt_ms
    rows = []
    for train in active:
        steps = [own.step[slice(*own.train.searchsorted([train, train + 1]))] for own in repeats]
        times = [own * dt_ms for own in steps]
        matrices = (
            van_rossum(times, scale_ms),
            victor_purpura(times, 1.0 / scale_ms),
            isi_distance(steps, measure.n_steps),
            spike_distance(steps, measure.n_steps),
        )
        rows.append([mean_over_pairs(matrix) for matrix in matrices])
    means = np.mean(rows, axis=0) if rows else np.full(len(DISTANCES), math.nan)
    return {"fano_repeats": fano} | dict(zip(DISTANCES, means.tolist(), strict=True))


def _mean_fano(trial: Integers, unit: Integers, count: Integers, n_trials: int) -> float:
    """Mean Fano factor over the units that fire, of counts where they are not 0.

    Returns NaN with a single trial or no spike. Memory is that of the counts and of one block.
    """
    if n_trials < 2:
        return math.nan
    units, column = np.unique(unit, return_inverse=True)
    order = np.argsort(column, kind="stable")
    trial, count, column = trial[order], count[order], column[order]
    width = max(1, BLOCK // n_trials)
    factors: list[Array] = []
    for start in range(0, units.size, width):
        own = slice(*column.searchsorted([start, start + width]))
        counts = np.zeros((n_trials, min(width, units.size - start)))
        counts[trial[own], column[own] - start] = count[own]
        factors.append(fano_factor(counts))
    return _mean_of_defined(np.concatenate(factors)) if factors else math.nan


def _sd(values: Array) -> float:
    """Standard deviation, or NaN of nothing."""
    return float(values.std()) if values.size else math.nan
