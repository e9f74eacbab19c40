"""Statistics of bursts against pen and paper, plain loops and closed forms."""

import itertools
import math
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.statistics.bursts import (
    burst_lengths,
    bursts,
    detection,
    interval_histogram,
    interval_split,
    irregularity,
    log_interval_threshold,
    phase_bursts,
    residual_potential,
    summary,
)
from ann2brian.analysis.statistics.trains import Trains, trains_of
from ann2brian.models.spiking.recording import RecordedLayer, Recording, Spikes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import variation

WALL_TIMES = {f.name: 0.0 for f in fields(Recording) if f.name.endswith("_s")}  # not analysed


def layer_of(n_units, onset=0, name="layer"):
    return RecordedLayer(name=name, shape=(1, 1, n_units), n_positions=1, onset=onset)


def spikes_of(image, neuron, step, layer=0):
    columns = {"image": image, "neuron": neuron, "step": step}
    arrays = {name: np.asarray(values, dtype=np.int64) for name, values in columns.items()}
    return Spikes(**arrays, layer=np.full(len(arrays["step"]), layer))


def trains(image, neuron, step, n_images=2, n_units=3, dt_ms=2.0, onset=0):
    layer = layer_of(n_units, onset)
    return Trains.of(spikes_of(image, neuron, step), layer, n_images, dt_ms)


def single_train(intervals, dt_ms=1.0):
    """One neuron in one image, with these intervals in steps."""
    step = np.concatenate([[0], np.cumsum(intervals)])
    return trains(np.zeros(step.size), np.zeros(step.size), step, 1, 1, dt_ms)


def by_train(fired):
    """Spike steps of each (image, neuron) of an array (n_images, n_units, n_steps)."""
    return {
        (image, unit): np.flatnonzero(fired[image, unit]).tolist()
        for image in range(fired.shape[0])
        for unit in range(fired.shape[1])
    }


def trains_from(fired, dt_ms=0.5, onset=0):
    image, unit, step = np.nonzero(fired)
    shuffled = np.random.default_rng(0).permutation(image.size)
    return trains(
        image[shuffled],
        unit[shuffled],
        step[shuffled],
        fired.shape[0],
        fired.shape[1],
        dt_ms,
        onset,
    )


@st.composite
def rasters(draw):
    """Random spikes (n_images, n_units, n_steps), from silent to every step."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 40)))
    return rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3, 0.8, 1.0]))


# ---- trains ----


def test_trains_beyond_32_bits():
    """Numbers of trains, image times neurons plus neuron, that 32 bits do not hold."""
    own = trains([0, 2**16], [3, 3], [0, 1], n_images=2**17, n_units=2**16)
    assert own.train.tolist() == [3, 2**32 + 3]
    assert own.image.tolist() == [0, 2**16]


def test_trains_refuse_other_layers():
    """Spikes of two layers, and outside the layer, against the message that names it."""
    both = Spikes.of([spikes_of([0], [0], [0]), spikes_of([0], [0], [0], layer=1)])
    with pytest.raises(ValueError, match="'layer': got spikes of 2 layers"):
        Trains.of(both, layer_of(1), 1, 1.0)
    with pytest.raises(ValueError, match="'layer': spikes of neuron 0 to 3, but there are 3"):
        trains([0, 0], [0, 3], [0, 0])
    with pytest.raises(ValueError, match="'layer': spikes of image 2 to 2, but there are 2"):
        trains([2], [0], [0])


def test_trains_refuse_double_spikes():
    """Two spikes of a neuron in one step against the error message."""
    with pytest.raises(ValueError, match="'layer': a neuron fires twice in one step"):
        trains([0, 0], [1, 1], [4, 4])


def recording_of(layers, parts, counts):
    """Recording of given spikes of two images."""
    return Recording(
        scheme="burst",
        network="handmade",
        layers=layers,
        n_images=2,
        dt_ms=2.0,
        phase_steps=7,
        period=1,
        scores=np.zeros((2, 1, 2)),
        readout_onset=0,
        readout_every=1,
        spike_counts=counts,
        most_spikes=1,
        events_by_step={},
        spikes_by_step={},
        spikes=Spikes.of(parts),
        traces={},
        end_potentials={},
        **WALL_TIMES,
    )


def test_trains_of_a_recording():
    """Trains of a recording against the layers that were recorded."""
    layers = tuple(layer_of(2, name=name) for name in ("a", "b", "c"))
    parts = [spikes_of([0, 1], [1, 1], [3, 5]), spikes_of([1, 1], [0, 0], [9, 8], layer=2)]
    counts = (np.array([[0, 2]]), np.array([[4, 0]]), np.array([[2, 0]]))  # b is not recorded
    first, third = trains_of(recording_of(layers, parts, counts))
    assert (first.layer.name, third.layer.name) == ("a", "c")
    assert (first.image.tolist(), first.neuron.tolist()) == ([0, 1], [1, 1])
    assert (third.step.tolist(), third.dt_ms, third.n_images) == ([8, 9], 2.0, 2)


# ---- intervals ----


def test_intervals_pen_and_paper():
    """Histogram and split of handmade trains against hand counts; no interval across trains."""
    # Neuron 0: steps 0 1 2 9 in image 0; 3 in image 1. Neuron 2: 5 6 in image 1.
    own = trains([0, 1, 0, 1, 0, 0, 1], [0, 2, 0, 0, 0, 0, 2], [9, 6, 0, 3, 1, 2, 5])
    table = interval_histogram(own)
    assert table.to_dict("list") == {
        "layer": ["layer", "layer"],
        "interval_ms": [2.0, 14.0],
        "count": [3, 1],
    }
    split = interval_split(own, 2.0)
    assert (split["n_intra"], split["n_inter"], split["intra_fraction"]) == (3, 1, 0.75)
    assert (split["mean_intra_ms"], split["mean_inter_ms"]) == (2.0, 14.0)


def test_interval_at_the_threshold_is_within():
    """Intervals of exactly the threshold against rounding of times such as 3 * 0.1 ms."""
    own = trains([0, 0, 0], [0, 0, 0], [0, 3, 7], dt_ms=0.1)
    assert 3 * 0.1 > 0.3
    assert interval_split(own, 0.3)["n_intra"] == 1
    assert bursts(own, 0.3)["n_spikes"].tolist() == [2]


@settings(max_examples=60, deadline=None)
@given(rasters())
def test_interval_histogram_random(fired):
    """Interval counts against a loop over neurons; they are spikes minus trains."""
    table = interval_histogram(trains_from(fired))
    expected = {}
    for steps in by_train(fired).values():
        for a, b in itertools.pairwise(steps):
            expected[0.5 * (b - a)] = expected.get(0.5 * (b - a), 0) + 1
    assert dict(zip(table["interval_ms"], table["count"], strict=True)) == expected
    assert table["interval_ms"].is_monotonic_increasing
    assert table["count"].sum() == fired.sum() - fired.any(axis=2).sum()


# ---- log intervals ----


def phased(rng, gamma, phase_steps, n_phases, n_units):
    """Bursts of 0 to gamma spikes in every phase: spikes (1, n_units, n_steps) and lengths."""
    lengths = rng.integers(0, gamma + 1, (n_units, n_phases))
    fired = np.arange(phase_steps) < lengths[:, :, None]
    return fired.reshape(1, n_units, -1), lengths


@pytest.mark.parametrize("gamma", [2, 3, 5])
def test_log_threshold_of_a_burst_network(gamma):
    """The threshold of bursts in phases of 14 ms against the intervals that make them."""
    fired, _ = phased(np.random.default_rng(gamma), gamma, 7, 40, 30)
    found = log_interval_threshold(trains_from(fired, 2.0).intervals_ms, 2.0, 14.0)
    # Within bursts 2 ms; between bursts at least 14 ms less the length of a burst.
    assert 2.0 < found.threshold_ms < 14.0 - 2.0 * (gamma - 1)
    assert found.void >= 0.7
    assert found.verdict == "two peaks"


@pytest.mark.parametrize("distance", [1.0, 2.0])
def test_log_threshold_of_two_lognormals(distance):
    """The threshold of two equal log-normal peaks against their geometric middle."""
    rng = np.random.default_rng(3)
    logs = np.concatenate([rng.normal(m, 0.15, 20_000) for m in (1.0, 1.0 + distance)])
    intervals = np.maximum(np.round(10**logs / 0.01), 1) * 0.01
    found = log_interval_threshold(intervals, 0.01, 40.0)
    assert math.log10(found.threshold_ms) == pytest.approx(1.0 + distance / 2, abs=0.06)
    # Both densities at the middle, by the density at a peak.
    valley = 2 * math.exp(-((distance / 2) ** 2) / (2 * 0.15**2))
    assert found.void == pytest.approx(1 - valley, abs=0.03)


def test_log_threshold_takes_the_first_valley():
    """Three separate peaks against the border after the highest early one, and its emptiness."""
    intervals = np.repeat([2.0, 20.0, 200.0], [1000, 500, 5000])
    found = log_interval_threshold(intervals, 2.0, 15.0)
    assert 2.0 < found.threshold_ms < 20.0
    assert found.void == 1.0
    later = log_interval_threshold(intervals, 2.0, 150.0)
    assert later.threshold_ms == found.threshold_ms  # 2 ms is still the highest below 150 ms
    swapped = np.repeat([2.0, 20.0, 200.0], [500, 1000, 5000])
    assert 20.0 < log_interval_threshold(swapped, 2.0, 150.0).threshold_ms < 200.0


@pytest.mark.parametrize("n", [100, 1000, 50_000])
@pytest.mark.parametrize("mean_steps", [3, 40, 2000])
def test_poisson_has_no_threshold(n, mean_steps):
    """Intervals of a Poisson process against no threshold, on coarse and on fine time steps.

    Three steps on average: the gaps between the few short intervals must not pass for a valley.
    """
    for seed in range(5):
        intervals = np.random.default_rng(seed).geometric(1 / mean_steps, n) * 2.0
        found = log_interval_threshold(intervals, 2.0, 100.0)
        assert math.isnan(found.threshold_ms) and math.isnan(found.void)
        assert found.verdict != "two peaks"


def test_bump_beside_a_high_peak_is_no_burst():
    """A bump of chance beside a peak eighty times as high against no threshold.

    The void between them is 0.9, as between two real peaks, since the high one dominates it.
    """
    centres = 10 ** np.arange(1.05, 2.1, 0.1)  # of bins from 10 ms on
    counts = [40, 60, 60, 45, 45, 60, 300, 1000, 3000, 5000, 2000]
    intervals = np.repeat(np.round(centres / 0.01) * 0.01, counts)
    found = log_interval_threshold(intervals, 0.01, 25.0)
    assert found.verdict == "no valley between peaks is empty enough"
    counts[3:5] = [1, 1]  # now it is a real valley
    intervals = np.repeat(np.round(centres / 0.01) * 0.01, counts)
    assert 15.0 < log_interval_threshold(intervals, 0.01, 25.0).threshold_ms < 32.0


@pytest.mark.parametrize(
    ("intervals", "longest", "verdict"),
    [
        ([], 14.0, "no intervals"),
        ([2.0] * 200, 14.0, "a single peak"),
        ([28.0] * 200, 14.0, "no peak below 14 ms"),
        ([2.0] * 1000 + [28.0] * 9, 14.0, "a single peak"),  # nine may be chance
        (
            [2.0] * 1000 + [4.0] * 200 + [6.0] * 150 + [8.0] * 200,
            14.0,
            "no valley between peaks is empty enough",
        ),
    ],
)
def test_log_threshold_says_why_not(intervals, longest, verdict):
    """Intervals without a border against the reason given."""
    found = log_interval_threshold(intervals, 2.0, longest)
    assert found.verdict == verdict
    assert math.isnan(found.threshold_ms)


def test_log_threshold_refuses_zero():
    """An interval of zero against the error message."""
    with pytest.raises(ValueError, match="above 0, the smallest is 0"):
        log_interval_threshold([0.0, 2.0], 2.0, 14.0)


# ---- bursts ----


def test_bursts_pen_and_paper():
    """Bursts of handmade trains against hand values; single spikes are none."""
    own = trains(
        image=[0, 0, 0, 0, 0, 0, 1, 1, 1],
        neuron=[1, 1, 1, 1, 1, 1, 0, 0, 2],
        step=[4, 5, 6, 10, 20, 21, 7, 8, 9],
    )
    table = bursts(own, 2.0)
    assert table.to_dict("list") == {
        "layer": ["layer"] * 3,
        "image": [0, 0, 1],
        "neuron": [1, 1, 0],
        "start_ms": [8.0, 40.0, 14.0],
        "duration_ms": [4.0, 2.0, 2.0],
        "n_spikes": [3, 2, 2],
    }
    assert bursts(own, 8.0)["n_spikes"].tolist() == [4, 2, 2]
    assert bursts(own, math.nan).empty


@settings(max_examples=60, deadline=None)
@given(rasters(), st.integers(1, 6))
def test_bursts_random(fired, most):
    """Bursts by a maximum interval against a loop over the spikes of each neuron."""
    table = bursts(trains_from(fired), 0.5 * most)
    expected = []
    for (image, unit), steps in by_train(fired).items():
        runs = []
        for step in steps:
            if runs and step - runs[-1][-1] <= most:
                runs[-1].append(step)
            else:
                runs.append([step])
        expected += [
            ("layer", image, unit, 0.5 * run[0], 0.5 * (run[-1] - run[0]), len(run))
            for run in runs
            if len(run) > 1
        ]
    assert list(table.itertuples(index=False, name=None)) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(0, 3),
    st.integers(0, 4),
    st.booleans(),
)
def test_phase_bursts_random(seed, gamma, onset, guard, is_alternating):
    """Exact bursts against the lengths that were put into each step of the algorithm."""
    width = gamma + guard
    fired, lengths = phased(np.random.default_rng(seed), gamma, width, 4, 3)
    if is_alternating:  # a phase of silence, in which the layer integrates, before each burst
        steps = fired.reshape(1, 3, 4, width)
        fired = np.concatenate([np.zeros_like(steps), steps], axis=3).reshape(1, 3, -1)
    fired = np.concatenate([np.zeros((1, 3, onset * width), dtype=bool), fired], axis=2)
    per_step = 1 + is_alternating
    table = phase_bursts(trains_from(fired, 0.5, onset), width, per_step)
    expected = [
        (unit, t, 0.5 * (onset + per_step * t + is_alternating) * width, 0.5 * (n - 1), n)
        for unit, row in enumerate(lengths)
        for t, n in enumerate(row)
        if n > 0
    ]
    columns = ["neuron", "algorithm_step", "start_ms", "duration_ms", "n_spikes"]
    assert list(table[columns].itertuples(index=False, name=None)) == expected


def test_phase_bursts_refuse_early_spikes():
    """A spike before the onset of its layer, and a phase without steps, against the messages."""
    own = trains([0], [0], [13], onset=2)
    with pytest.raises(ValueError, match="in step 13, before the onset at phase 2 of 7 steps"):
        phase_bursts(own, 7)
    with pytest.raises(ValueError, match="must be at least 1, got 0 and 1"):
        phase_bursts(own, 0)
    with pytest.raises(ValueError, match="must be at least 1, got 7 and 0"):
        phase_bursts(own, 7, 0)


def test_burst_lengths_pen_and_paper():
    """Distribution of lengths by phase against hand counts, single spikes included."""
    own = trains([0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2], [0, 1, 0, 7, 7, 8])
    first = phase_bursts(own, 7)
    other = first.assign(layer="a layer before in the alphabet")
    table = burst_lengths(pd.concat([first, other]))
    assert table["layer"].tolist() == [*["layer"] * 4, *["a layer before in the alphabet"] * 4]
    head = table[table["layer"] == "layer"].drop(columns="layer")
    assert head.to_numpy().tolist() == [[0, 1, 1], [0, 2, 1], [1, 1, 1], [1, 2, 1]]
    assert (table["count"] * table["n_spikes"]).sum() == 2 * len(own)


def test_detection_with_and_without_a_guard():
    """Detected against exact bursts: all of them with a pause between phases, else merged."""
    fired, lengths = phased(np.random.default_rng(5), 3, 7, 20, 10)
    own = trains_from(fired, 2.0)
    scores = detection(phase_bursts(own, 7), bursts(own, 2.0))
    n_bursts = int((lengths >= 2).sum())
    assert scores == {
        "n_exact": n_bursts,
        "n_found": n_bursts,
        "n_equal": n_bursts,
        "precision": 1.0,
        "recall": 1.0,
    }
    # Two phases of two steps, both full: one run of four, which is not an exact burst.
    merged = trains([0] * 4, [0] * 4, [0, 1, 2, 3])
    scores = detection(phase_bursts(merged, 2), bursts(merged, 2.0))
    assert (scores["n_exact"], scores["n_found"], scores["n_equal"]) == (2, 1, 0)
    assert (scores["precision"], scores["recall"]) == (0.0, 0.0)


def test_detection_of_nothing():
    """Trains without a burst against undefined precision and recall."""
    own = trains([0], [0], [0])
    scores = detection(phase_bursts(own, 7), bursts(own, 2.0))
    assert math.isnan(scores["precision"]) and math.isnan(scores["recall"])


# ---- irregularity and summary ----


@pytest.mark.parametrize("interval", [1, 3, 7])
def test_regular_train(interval):
    """All three coefficients of a regular train against zero, exactly."""
    found = irregularity(single_train([interval] * 9, dt_ms=0.1))
    assert found == {"cv": 0.0, "cv2": 0.0, "lv": 0.0, "n_trains": 1}


@pytest.mark.parametrize(("a", "b"), [(1, 2), (1, 5), (2, 30)])
def test_alternating_train(a, b):
    """Coefficients of two alternating intervals against their closed forms."""
    found = irregularity(single_train([a, b] * 10))
    contrast = abs(a - b) / (a + b)
    assert found["cv"] == pytest.approx(contrast, rel=1e-12)
    assert found["cv2"] == pytest.approx(2 * contrast, rel=1e-12)
    assert found["lv"] == pytest.approx(3 * contrast**2, rel=1e-12)


def test_poisson_train():
    """Coefficients of a Poisson train of 20 000 intervals against 1, within five deviations."""
    n = 20_000
    found = irregularity(single_train(np.random.default_rng(0).geometric(1e-3, n)))
    # Standard errors: 1 / sqrt(n) for cv; at most sqrt(3) times that of independent pairs else.
    assert found["cv"] == pytest.approx(1.0, abs=5 / math.sqrt(n))
    assert found["cv2"] == pytest.approx(1.0, abs=5 * 0.58 * math.sqrt(3 / n))
    assert found["lv"] == pytest.approx(1.0, abs=5 * 0.9 * math.sqrt(3 / n))


@settings(max_examples=60, deadline=None)
@given(rasters(), st.integers(2, 6))
def test_irregularity_random(fired, fewest):
    """Averaged coefficients against SciPy and the definitions, train by train."""
    found = irregularity(trains_from(fired), fewest)
    values = []
    for steps in by_train(fired).values():
        d = np.diff(steps).astype(float)
        if d.size >= fewest:
            pairs = np.array([abs(x - y) / (x + y) for x, y in itertools.pairwise(d)])
            values.append([variation(d), np.mean(2 * pairs), 3 * np.mean(pairs**2)])
    assert found["n_trains"] == len(values)
    if values:
        expected = np.mean(values, axis=0)
        given_ = [found["cv"], found["cv2"], found["lv"]]
        np.testing.assert_allclose(given_, expected, rtol=1e-12, atol=1e-14)
    else:
        assert math.isnan(found["cv"]) and math.isnan(found["cv2"]) and math.isnan(found["lv"])


def test_irregularity_refuses_one_interval():
    """A minimum of one interval against the error message."""
    with pytest.raises(ValueError, match="at least 2, got 1"):
        irregularity(single_train([1, 2, 3]), 1)


def test_summary_pen_and_paper():
    """One row of activity against hand values: three neurons, two images, 0.1 s each."""
    own = trains([0, 0, 0, 0, 1], [1, 1, 1, 1, 0], [4, 5, 6, 20, 7])
    row = summary(own, bursts(own, 2.0), observation_ms=100.0)
    assert row["layer"] == "layer"
    assert (row["n_units"], row["spikes_per_image"]) == (3, 2.5)
    assert row["rate_hz"] == pytest.approx(5 / (3 * 2 * 0.1), rel=1e-12)
    assert row["burst_rate_hz"] == pytest.approx(1 / (3 * 2 * 0.1), rel=1e-12)
    assert (row["spikes_per_burst"], row["fraction_in_bursts"]) == (3.0, 0.6)
    # Intervals 1, 1, 14.
    assert row["cv2"] == pytest.approx((0 + 26 / 15) / 2, rel=1e-12)
    assert row["n_trains"] == 1


def test_summary_ignores_single_spikes():
    """A table that lists single spikes against the same without them."""
    own = trains([0, 0, 0, 1], [1, 1, 1, 0], [0, 1, 14, 7])
    exact = phase_bursts(own, 7)
    assert exact["n_spikes"].tolist() == [2, 1, 1]
    assert summary(own, exact, 50.0) == pytest.approx(
        summary(own, bursts(own, 2.0), 50.0), nan_ok=True
    )


def test_summary_of_silence():
    """A silent layer against rates of zero and undefined means."""
    own = trains([], [], [])
    row = summary(own, bursts(own, 2.0), 50.0)
    assert (row["rate_hz"], row["burst_rate_hz"], row["n_trains"]) == (0.0, 0.0, 0)
    names = ("spikes_per_burst", "fraction_in_bursts", "cv", "cv2", "lv")
    assert all(math.isnan(row[name]) for name in names)
    assert phase_bursts(own, 7).empty and interval_histogram(own).empty
    assert math.isnan(interval_split(own, 2.0)["intra_fraction"])


def test_summary_refuses_no_time():
    """An observation of zero against the error message."""
    own = trains([0], [0], [0])
    with pytest.raises(ValueError, match=r"observation_ms must be above 0, got 0\.0"):
        summary(own, bursts(own, 2.0), 0.0)


def test_poisson_rate():
    """The rate of simulated Poisson trains against the one they were made with."""
    fired = np.random.default_rng(2).random((4, 50, 5000)) < 0.02  # 40 Hz at 0.5 ms
    own = trains_from(fired)
    row = summary(own, bursts(own, 1.0), observation_ms=2500.0)
    assert row["rate_hz"] == pytest.approx(40.0, abs=5 * math.sqrt(40 / 500))
    assert row["n_trains"] == 200


# ---- residual potential ----


def test_residual_potential_pen_and_paper():
    """Mean, deviation and fractions of handmade potentials against hand values, in mV."""
    found = residual_potential([[15.0, 0.0], [-30.0, 45.0]], threshold=15.0)
    assert found["potential_mean"] == 0.5
    assert found["potential_sd"] == pytest.approx(math.sqrt((0.25 + 0.25 + 6.25 + 6.25) / 4))
    assert found["residual_fraction"] == 0.5  # 15 mV is at the threshold
    assert found["negative_fraction"] == 0.25


@pytest.mark.parametrize(
    ("potentials", "threshold"), [(np.empty((0, 3)), 1.0), ([[0.5]], 0.0), ([[0.5]], math.nan)]
)
def test_residual_potential_refuses(potentials, threshold):
    """Nothing to describe, and no threshold, against the error message."""
    with pytest.raises(ValueError, match="need potentials and a threshold above 0"):
        residual_potential(potentials, threshold)
