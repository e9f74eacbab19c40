"""Statistics over trials against elephant, pandas, scikit-learn and known processes."""

import itertools
import math

import elephant.statistics as elephant
import numpy as np
import pandas as pd
import pytest
import quantities as pq
from ann2brian.analysis.statistics.distances import mean_over_pairs, van_rossum, victor_purpura
from ann2brian.analysis.statistics.trials import (
    fano_factor,
    information_per_spike,
    interval_histogram,
    interval_variation,
    noise_correlation,
    reliability,
    spike_jitter,
    summary,
    windowed_counts,
)
from elephant.conversion import BinnedSpikeTrain
from elephant.kernels import GaussianKernel
from elephant.spike_train_dissimilarity import van_rossum_distance, victor_purpura_distance
from neo import SpikeTrain
from sklearn.metrics import mutual_info_score

# elephant 1.2 still gives quantities an argument without effect.
pytestmark = pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated")

DURATION_MS = 200.0
DT_MS = 0.1
SCALES = {"window_ms": 40.0, "sigma_ms": 3.0, "cost_per_ms": 0.2, "tau_ms": 7.0}


def random_trains(n_spikes, seed=0):
    """Spikes in random steps of a trial, for each number of spikes."""
    rng = np.random.default_rng(seed)
    n_steps = round(DURATION_MS / DT_MS)
    return [np.sort(rng.choice(n_steps, n, replace=False)) * DT_MS for n in n_spikes]


def poisson_trains(n_trials, rate_hz, duration_ms, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rate_hz * duration_ms / 1000, n_trials)
    return [np.sort(rng.uniform(0, duration_ms, n)) for n in counts]


def of_neo(trains, t_start=0.0, t_stop=DURATION_MS):
    return [SpikeTrain(t, units="ms", t_start=t_start, t_stop=t_stop) for t in trains]


TRAINS = {
    "several": random_trains([12, 3, 1, 20, 12, 2]),
    "some empty": random_trains([4, 0, 7, 0, 30, 1], seed=1),
    "two equal ones": [*random_trains([9, 15], seed=2), *random_trains([9], seed=2)],
    "a pair": random_trains([40, 33], seed=3),
}
ANY_TRAINS = pytest.mark.parametrize("trains", TRAINS.values(), ids=TRAINS.keys())


# ---- intervals ----


@ANY_TRAINS
def test_interval_histogram(trains):
    """Intervals of each trial against elephant, counted by pandas."""
    intervals = np.concatenate([elephant.isi(train) for train in trains])
    oracle = pd.Series(intervals / DT_MS).round().astype(int).value_counts().sort_index()
    table = interval_histogram(trains, DT_MS)
    assert table.columns.tolist() == ["interval_ms", "count", "fraction"]
    np.testing.assert_allclose(table["interval_ms"], oracle.index * DT_MS)
    assert table["count"].tolist() == oracle.tolist()
    np.testing.assert_allclose(table["fraction"], oracle / oracle.sum())


def test_interval_histogram_of_single_spikes():
    """Intervals never span trials: single spikes have none."""
    assert interval_histogram([[1.0], [5.0], []], 0.5).empty


@ANY_TRAINS
def test_interval_variation(trains):
    """CV of pooled intervals and CV2 against elephant; its CV2 of trials, by pairs of each."""
    of_trials = [elephant.isi(train) for train in trains]
    pooled = np.concatenate(of_trials)
    long = [intervals for intervals in of_trials if intervals.size > 1]
    cv2 = np.average([elephant.cv2(i) for i in long], weights=[i.size - 1 for i in long])
    found = interval_variation(trains)
    assert found["n_intervals"] == pooled.size
    assert found["mean_interval_ms"] == pytest.approx(pooled.mean())
    assert found["cv"] == pytest.approx(elephant.cv(pooled))
    assert found["cv2"] == pytest.approx(cv2)


@pytest.mark.parametrize(
    ("trains", "n", "mean", "cv", "cv2"),
    [
        ([[0, 2, 4], [1, 3, 5, 7]], 5, 2.0, 0.0, 0.0),
        ([[0, 1, 4]], 2, 2.0, 0.5, 1.0),
        ([[0, 1], [7, 10]], 2, 2.0, 0.5, math.nan),  # intervals, but no successive ones
        ([[0, 3], [5]], 1, 3.0, math.nan, math.nan),
        ([[], []], 0, math.nan, math.nan, math.nan),
    ],
)
def test_interval_variation_by_hand(trains, n, mean, cv, cv2):
    """Regular, short and silent trains against pen and paper."""
    expected = {"n_intervals": n, "mean_interval_ms": mean, "cv": cv, "cv2": cv2}
    assert interval_variation(trains) == pytest.approx(expected, nan_ok=True)


def test_poisson_process():
    """CV, CV2 and the Fano factor of Poisson trains against 1; 4 to 5 standard errors."""
    found = interval_variation(poisson_trains(20, 500, 1000))
    assert found["n_intervals"] > 9000
    assert found["cv"] == pytest.approx(1, abs=0.05)
    assert found["cv2"] == pytest.approx(1, abs=0.03)
    counts = windowed_counts(poisson_trains(1000, 50, 200), 200, 20)
    assert fano_factor(counts).mean() == pytest.approx(1, abs=0.06)
    assert fano_factor(counts.sum(axis=1)) == pytest.approx(1, abs=0.2)


# ---- counts ----


@ANY_TRAINS
@pytest.mark.parametrize("window_ms", [0.3, 10.0, 70.0, 200.0])
def test_windowed_counts_and_fano_factor(trains, window_ms):
    """Counts in windows against elephant's bins, Fano factors against its function; 0.3 ms and
    70 ms leave a rest."""
    n_windows = {0.3: 666, 10.0: 20, 70.0: 2, 200.0: 1}[window_ms]
    binned = BinnedSpikeTrain(
        of_neo([t[t < n_windows * window_ms - 1e-6] for t in trains]),
        bin_size=window_ms * pq.ms,
        n_bins=n_windows,
        t_start=0 * pq.ms,
    )
    counts = windowed_counts(trains, DURATION_MS, window_ms)
    np.testing.assert_array_equal(counts, binned.to_array())
    # Of elephant's function, only the number of spikes of each train matters.
    oracle = [elephant.fanofactor([np.zeros(n) for n in window]) for window in counts.T]
    np.testing.assert_allclose(fano_factor(counts), oracle)


@ANY_TRAINS
def test_fano_factor(trains):
    """Fano factor of whole trials against elephant."""
    counts = [len(train) for train in trains]
    assert fano_factor(counts) == pytest.approx(elephant.fanofactor(of_neo(trains)))


def test_window_borders():
    """Spikes at the borders of windows, as rounding leaves them, belong to the later window."""
    assert 9 * 0.1 < 3 * (3 * 0.1)
    counts = windowed_counts([np.arange(300) * 0.1], 30.0, 3 * 0.1)
    assert counts.tolist() == [[3] * 100]
    assert 0.3 / 0.1 < 3
    assert windowed_counts([[]], 0.3, 0.1).shape == (1, 3)


def test_fano_factor_without_spikes():
    """A silent neuron beside one with equal counts."""
    np.testing.assert_array_equal(fano_factor([[0, 2], [0, 2]]), [math.nan, 0.0])


@pytest.mark.parametrize("with_labels", [True, False])
def test_noise_correlation(with_labels):
    """Mean correlation of residuals against pandas; one neuron is silent, another tells only the
    stimulus and has no residual."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    counts = rng.poisson(2, (90, 7)) + rng.poisson(1, (90, 1)) + 2 * labels[:, None]
    counts[:, 2] = 0
    counts[:, 4] = labels
    table = pd.DataFrame(counts)
    means = table.groupby(labels).transform("mean") if with_labels else table.mean()
    correlation = (table - means).corr().to_numpy()
    found = noise_correlation(counts, labels if with_labels else None)
    n = 5 if with_labels else 6
    assert found["n_neurons"] == n
    assert np.isfinite(correlation[np.triu_indices(7, 1)]).sum() == n * (n - 1) / 2
    oracle = np.nanmean(correlation[np.triu_indices(7, 1)])
    assert found["noise_correlation"] == pytest.approx(oracle)


def test_noise_correlation_of_known_sources():
    """Half of the variance shared: 1/2. A shared preference alone: 0 with labels, not without."""
    rng = np.random.default_rng(1)
    shared = rng.poisson(3, (4000, 10)) + rng.poisson(3, (4000, 1))
    assert noise_correlation(shared)["noise_correlation"] == pytest.approx(0.5, abs=0.05)
    labels = np.array(["a", "b"])[rng.integers(0, 2, 4000)]
    tuned = rng.poisson(np.where(labels == "a", 1, 8)[:, None], (4000, 10))
    assert noise_correlation(tuned, labels)["noise_correlation"] == pytest.approx(0, abs=0.02)
    assert noise_correlation(tuned)["noise_correlation"] > 0.5


@pytest.mark.parametrize(
    ("counts", "labels", "n"),
    [([[1, 2], [1, 3]], None, 1), ([[0, 0]], None, 0), ([[1, 2], [3, 1]], [0, 1], 0)],
)
def test_noise_correlation_without_pairs(counts, labels, n):
    """Fewer than two neurons that vary: no correlation, and the number says why."""
    found = noise_correlation(counts, labels)
    assert math.isnan(found["noise_correlation"])
    assert found["n_neurons"] == n


# ---- information ----


def test_information():
    """Information of 20 neurons against scikit-learn, its correction against counted values."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 150)
    rate = rng.uniform(0, 3, (4, 20))
    counts = rng.poisson(rate[labels])
    counts[:, 3] = 0
    table = information_per_spike(counts, labels)
    assert table["neuron"].tolist() == list(range(20))
    np.testing.assert_allclose(table["spikes_per_presentation"], counts.mean(axis=0))
    oracle = [mutual_info_score(labels, own) / math.log(2) for own in counts.T]
    np.testing.assert_allclose(table["information_bits"], oracle, atol=1e-12)
    for neuron, own in enumerate(counts.T):
        n_pairs = len({*zip(own.tolist(), labels.tolist(), strict=True)})
        bias = (n_pairs - len(set(own.tolist())) - 4 + 1) / (2 * 150 * math.log(2))
        corrected = oracle[neuron] - bias
        assert table["corrected_bits"][neuron] == pytest.approx(corrected, abs=1e-12)
        per_spike = corrected / own.mean() if own.any() else 0.0
        assert table["bits_per_spike"][neuron] == pytest.approx(per_spike, abs=1e-12)
    assert table.notna().all(axis=None)


@pytest.mark.parametrize(("spikes", "per_spike"), [(1, 2.0), (4, 0.5)])
def test_information_of_a_detector(spikes, per_spike):
    """Fires for one of two equally frequent classes only: 1 bit, at half the spikes each."""
    labels = np.repeat(["cat", "dog"], 5000)
    table = information_per_spike(spikes * (labels == "dog").astype(int), labels)
    assert table["information_bits"].tolist() == pytest.approx([1.0])
    assert table["bits_per_spike"].tolist() == pytest.approx([per_spike], rel=1e-3)


def test_information_without_any():
    """Neurons that know nothing: the correction takes the bias away, here with no rare count."""
    rng = np.random.default_rng(0)
    table = information_per_spike(rng.integers(0, 3, (300, 400)), rng.integers(0, 5, 300))
    assert table["information_bits"].mean() > 0.015
    assert abs(table["corrected_bits"].mean()) < 0.002


def test_information_of_one_class():
    """A single class and silent neurons tell nothing, without NaN."""
    table = information_per_spike([[0, 1], [0, 2], [0, 0]], [7, 7, 7])
    assert table["information_bits"].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert table["bits_per_spike"].tolist() == pytest.approx([0, 0], abs=1e-12)


# ---- spike times ----


@ANY_TRAINS
@pytest.mark.parametrize("sigma_ms", [1.0, 4.0])
def test_reliability(trains, sigma_ms):
    """Closed form against trains smoothed by elephant on a grid.

    The grid extends beyond the trial and its Gaussians to eight standard deviations, since the
    closed form cuts nothing off; spikes lie in the middle of its bins.
    """
    margin = 10 * sigma_ms
    padded = of_neo([t + DT_MS / 2 for t in trains], -margin, DURATION_MS + margin)
    rate = elephant.instantaneous_rate(
        padded, DT_MS * pq.ms, GaussianKernel(sigma_ms * pq.ms), cutoff=8
    ).magnitude.T
    pairs = []
    for a, b in itertools.combinations(rate, 2):
        norm = np.linalg.norm(a) * np.linalg.norm(b)
        pairs.append(a @ b / norm if norm else 0.0)
    assert reliability(trains, sigma_ms) == pytest.approx(np.mean(pairs), abs=1e-6)


@pytest.mark.parametrize(
    ("trains", "expected"),
    [
        ([[1.0, 5.0]] * 3, 1.0),
        ([[1.0], [1.0], []], 1 / 3),
        ([[0.0], [1000.0]], 0.0),
        ([[0.0], [2.0]], math.exp(-1 / 4)),
        ([[], []], math.nan),
        ([[1.0]], math.nan),
    ],
)
def test_reliability_by_hand(trains, expected):
    """Equal, missing and shifted trains, with a Gaussian of 2 ms."""
    assert reliability(trains, 2.0) == pytest.approx(expected, nan_ok=True)


@ANY_TRAINS
@pytest.mark.parametrize("nth", [1, 2, 5])
def test_spike_jitter(trains, nth):
    """Times of one spike against a pandas table of all trials with gaps."""
    column = pd.DataFrame([pd.Series(t, dtype=float) for t in trains])[nth - 1]
    found = spike_jitter(trains, nth)
    oracle = {
        "fraction": column.notna().mean(),
        "mean_ms": column.mean(),
        "jitter_ms": column.std(ddof=0) if column.count() > 1 else math.nan,
    }
    assert found == pytest.approx(oracle, nan_ok=True)


def test_spike_jitter_of_noise():
    """A spike with Gaussian jitter of 2 ms, missing in every other trial."""
    rng = np.random.default_rng(0)
    trains = [[t] if i % 2 else [] for i, t in enumerate(rng.normal(50, 2, 4000))]
    found = spike_jitter(trains)
    assert found["fraction"] == 0.5
    assert found["mean_ms"] == pytest.approx(50, abs=0.2)
    assert found["jitter_ms"] == pytest.approx(2, rel=0.08)
    assert spike_jitter(trains, 2)["fraction"] == 0.0


@ANY_TRAINS
@pytest.mark.parametrize("cost_per_ms", [0.0, 0.03, 0.4, 50.0])
def test_victor_purpura(trains, cost_per_ms):
    """Distances of all pairs against elephant."""
    oracle = victor_purpura_distance(of_neo(trains), cost_per_ms / pq.ms)
    np.testing.assert_allclose(victor_purpura(trains, cost_per_ms), oracle, atol=1e-9)


@pytest.mark.filterwarnings("ignore:van_rossum_distance. very small negative values")  # elephant
@ANY_TRAINS
@pytest.mark.parametrize("tau_ms", [0.5, 10.0, 3000.0])
def test_van_rossum(trains, tau_ms):
    """Distances of all pairs against elephant, whose single spike is 1 away from none too."""
    oracle = van_rossum_distance(of_neo(trains), tau_ms * pq.ms)
    np.testing.assert_allclose(van_rossum(trains, tau_ms), oracle, atol=1e-6)


def test_distances_have_their_limits():
    """Differences of counts for slow, sums of counts for fast comparisons."""
    trains = [[1.0, 20.0, 30.0], [4.0, 50.0], []]
    differ = np.array([[0, 1, 3], [1, 0, 2], [3, 2, 0]])
    add = np.array([[0, 5, 3], [5, 0, 2], [3, 2, 0]])
    np.testing.assert_allclose(victor_purpura(trains, 0.0), differ)
    np.testing.assert_allclose(victor_purpura(trains, 1e6), add)
    np.testing.assert_allclose(van_rossum(trains, 1e9), differ, atol=1e-3)
    np.testing.assert_allclose(van_rossum(trains, 1e-6), np.sqrt(add))


def test_van_rossum_by_its_integral():
    """The convention against the integral over a fine grid of time."""
    a, b, tau = np.array([3.0, 10.0]), np.array([5.0]), 4.0
    t, dt = np.linspace(0, 120, 1_200_001, retstep=True)

    def smoothed(train):
        return sum((t >= s) * np.exp(-np.maximum(t - s, 0) / tau) for s in train)

    integral = np.sum((smoothed(a) - smoothed(b)) ** 2) * dt
    assert van_rossum([a, b], tau)[0, 1] == pytest.approx(math.sqrt(2 / tau * integral), rel=1e-4)


def test_mean_over_pairs():
    """Mean of the upper triangle; none with a single trial."""
    assert mean_over_pairs([[0, 1, 2], [1, 0, 6], [2, 6, 0]]) == 3.0
    assert math.isnan(mean_over_pairs([[0.0]]))


# ---- summary ----


@ANY_TRAINS
def test_summary(trains):
    """Each entry against elephant where it has the function, or the function tested above."""
    spikes = of_neo(trains)
    windows = fano_factor(windowed_counts(trains, DURATION_MS, SCALES["window_ms"]))
    upper = np.triu_indices(len(trains), 1)
    jitter = spike_jitter(trains)
    found = summary(trains, DURATION_MS, **SCALES)
    assert found == pytest.approx(
        {
            "n_trials": len(trains),
            "spikes_per_trial": np.mean([len(t) for t in trains]),
            "rate_hz": np.mean([elephant.mean_firing_rate(s).rescale("Hz").item() for s in spikes]),
            **interval_variation(trains),
            "fano": elephant.fanofactor(spikes),
            "fano_windowed": np.nanmean(windows),
            "reliability": reliability(trains, SCALES["sigma_ms"]),
            "first_fraction": jitter["fraction"],
            "first_mean_ms": jitter["mean_ms"],
            "first_jitter_ms": jitter["jitter_ms"],
            "victor_purpura": victor_purpura_distance(spikes, SCALES["cost_per_ms"] / pq.ms)[
                upper
            ].mean(),
            "van_rossum": van_rossum(trains, SCALES["tau_ms"])[upper].mean(),
        }
    )


def test_summary_of_silence():
    """A neuron without spikes, and a single trial, against what is left to say."""
    silent = summary([[], []], DURATION_MS, **SCALES)
    zeros = {"spikes_per_trial", "rate_hz", "n_intervals", "first_fraction"}
    zeros |= {"victor_purpura", "van_rossum"}
    assert {name for name, value in silent.items() if value == 0} == zeros
    assert all(math.isnan(silent[name]) for name in set(silent) - zeros - {"n_trials"})
    single = summary([[1.0, 2.0, 4.0]], DURATION_MS, **SCALES)
    unknown = {"reliability", "first_jitter_ms", "victor_purpura", "van_rossum"}
    assert {name for name, value in single.items() if math.isnan(value)} == unknown


# ---- refusals ----


@pytest.mark.parametrize(
    ("trains", "message"),
    [
        ([], "at least one trial"),
        ([[1.0], [[2.0]]], r"trial 1: spike times must be 1-D, got shape \(1, 1\)"),
        ([[], [3.0, 2.0]], "trial 1: spike at 2.0 ms after one at 3.0 ms"),
        ([[2.0, 2.0]], "trial 0: spike at 2.0 ms after one at 2.0 ms"),
        ([[-0.5, 2.0]], "trial 0: spike at -0.5 ms"),
        ([[1.0, math.nan]], "trial 0: spike at nan ms"),
    ],
)
@pytest.mark.parametrize(
    "function",
    [
        interval_variation,
        spike_jitter,
        lambda trains: interval_histogram(trains, 1.0),
        lambda trains: windowed_counts(trains, 10.0, 5.0),
        lambda trains: reliability(trains, 1.0),
        lambda trains: victor_purpura(trains, 1.0),
        lambda trains: van_rossum(trains, 1.0),
        lambda trains: summary(trains, 10.0, **{**SCALES, "window_ms": 5.0}),
    ],
)
def test_trains_are_refused(function, trains, message):
    """Impossible trains against the message that names the trial."""
    with pytest.raises(ValueError, match=message):
        function(trains)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval_histogram([[]], 0.0), "dt_ms must be finite and above 0, got 0.0"),
        (lambda: windowed_counts([[]], 10.0, 0.0), "window_ms must be above 0"),
        (lambda: windowed_counts([[]], 10.0, 11.0), "at most the 10 ms of a trial, got 11.0"),
        (lambda: windowed_counts([[10.0]], 10.0, 5.0), "spike at 10.0 ms, outside 0 to 10 ms"),
        (lambda: fano_factor([1, -1]), "smallest -1"),
        (lambda: fano_factor([]), "smallest none"),
        (lambda: reliability([[]], math.inf), "sigma_ms must be finite and above 0, got inf"),
        (lambda: spike_jitter([[]], 0), "nth must be at least 1"),
        (lambda: victor_purpura([[]], math.inf), "cost_per_ms must be finite and at least 0"),
        (lambda: victor_purpura([[]], -1.0), "cost_per_ms must be finite and at least 0"),
        (lambda: van_rossum([[]], 0.0), "tau_ms must be finite and above 0, got 0.0"),
        (lambda: mean_over_pairs([[1.0, 2.0]]), r"got \(1, 2\)"),
        (lambda: noise_correlation([1, 2]), r"not empty, got \(2,\)"),
        (lambda: noise_correlation([[1], [2]], [0]), r"labels must have shape \(2,\), got \(1,\)"),
        (lambda: information_per_spike([1, 2], [0]), r"labels must have shape \(2,\)"),
        (lambda: information_per_spike([0.5, 2], [0, 1]), "got float64"),
        (lambda: information_per_spike([-1, 2], [0, 1]), "integers >= 0"),
    ],
)
def test_parameters_are_refused(call, message):
    """Impossible parameters against the message that names the value."""
    with pytest.raises(ValueError, match=message):
        call()
