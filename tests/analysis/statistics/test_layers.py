"""Statistics by layer against elephant, closed forms, and recordings of two schemes."""

import itertools
import math
from dataclasses import replace

import elephant.statistics as elephant
import numpy as np
import pandas as pd
import pytest
import quantities as pq
from ann2brian.analysis.statistics import layers
from ann2brian.analysis.statistics.distances import isi_distance, spike_distance
from ann2brian.analysis.statistics.layers import spike_statistics
from ann2brian.models.networks.datasets import load
from ann2brian.models.spiking.recording import COLUMNS
from elephant.conversion import BinnedSpikeTrain
from elephant.spike_train_correlation import correlation_coefficient
from elephant.spike_train_dissimilarity import van_rossum_distance, victor_purpura_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from neo import SpikeTrain

import ann2brian as ab
from tests.support.recordings import layer, recording_of, recordings

pytestmark = [  # elephant 1.2 and the quantities it uses
    pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated"),
    pytest.mark.filterwarnings("ignore:van_rossum_distance. very small negative values"),
    pytest.mark.filterwarnings("ignore:Correlation coefficient has been calculated"),
]

N_IMAGES, N_NEURONS, N_STEPS, DT_MS = 3, 5, 60, 0.5
ALL_PAIRS = {"pairs_per_image": 1000, "n_distances": 1000}
TIMING = [
    *("active_fraction", "first_spike_ms", "first_spike_sd_ms", "isi_mean_ms", "isi_cv"),
    *("isi_cv2", "isi_lv", "fano_images"),
]
OF_PAIRS = ["correlation", "spike_synchronization"]
OF_BURSTS = ["bursts_per_image", "spikes_per_burst", "burst_fraction"]
OF_REPEATS = ["fano_repeats", "van_rossum", "victor_purpura", "isi_distance", "spike_distance"]


def rows_of(fired):
    """Rows of the spikes of an array (n_images, n_neurons, n_steps) in layer 0."""
    return [
        (image, 0, neuron, step) for image, neuron, step in zip(*np.nonzero(fired), strict=True)
    ]


def of_array(fired, **changes):
    n_images, n_neurons, n_steps = fired.shape
    made = recording_of(
        rows_of(fired),
        (layer("act1", (1, 1, n_neurons)),),
        n_images=n_images,
        n_steps=n_steps,
        dt_ms=DT_MS,
    )
    return replace(made, **changes)


def only_row(*arguments, **options):
    (row,) = spike_statistics(*arguments, **options).to_dict("records")
    return row


def fired(seed, probability=0.2):
    return np.random.default_rng(seed).random((N_IMAGES, N_NEURONS, N_STEPS)) < probability


def neo_of(steps, t_stop=N_STEPS * DT_MS):
    return SpikeTrain(np.asarray(steps) * DT_MS, units="ms", t_stop=t_stop)


# ---- against elephant ----


def test_trains_against_elephant():
    """Rates, intervals, variation and Fano factor, train by train."""
    spikes = fired(0) & (np.arange(N_NEURONS) != 3)[:, None]  # neuron 3 never fires
    row = only_row(of_array(spikes))
    trains = [[neo_of(np.flatnonzero(one)) for one in image] for image in spikes]
    every = [train for image in trains for train in image]
    rates = [elephant.mean_firing_rate(train).rescale("Hz").item() for train in every]
    assert row["rate_hz"] == pytest.approx(np.mean(rates))
    intervals = [elephant.isi(train).magnitude for train in every if len(train) > 1]
    assert row["isi_mean_ms"] == pytest.approx(np.concatenate(intervals).mean())
    long = [own for own in intervals if own.size >= 2]
    for name in ("cv", "cv2", "lv"):
        wanted = np.mean([getattr(elephant, name)(own) for own in long])
        assert row[f"isi_{name}"] == pytest.approx(wanted)
    of_neurons = [elephant.fanofactor(list(own)) for own in zip(*trains, strict=True)]
    assert row["fano_images"] == pytest.approx(np.nanmean(of_neurons))
    firsts = [train[0].item() for train in every if len(train)]
    assert row["first_spike_ms"] == pytest.approx(np.mean(firsts))
    assert row["first_spike_sd_ms"] == pytest.approx(np.std(firsts))
    assert row["active_fraction"] == pytest.approx(len(firsts) / len(every))


@pytest.mark.parametrize("bin_steps", [1, 4, 7])
def test_correlation_against_elephant(bin_steps):
    """All pairs of neurons of each image; 7 steps do not divide the window."""
    spikes = fired(1)
    spikes[1] = 0  # an image without a pair
    row = only_row(of_array(spikes), time_scale_ms=bin_steps * DT_MS, **ALL_PAIRS)
    n_bins = math.ceil(N_STEPS / bin_steps)
    of_images = []
    for image in spikes[[0, 2]]:
        trains = [
            neo_of(np.flatnonzero(own), n_bins * bin_steps * DT_MS) for own in image if own.any()
        ]
        binned = BinnedSpikeTrain(trains, bin_size=bin_steps * DT_MS * pq.ms, n_bins=n_bins)
        matrix = correlation_coefficient(binned)
        of_images.append(matrix[np.triu_indices(len(trains), 1)].mean())
    assert row["time_scale_ms"] == bin_steps * DT_MS
    assert row["correlation"] == pytest.approx(np.mean(of_images))


def test_repeats_against_elephant():
    """Three repetitions, of which some trains are silent in one or in all."""
    spikes = np.stack([fired(seed, 0.03) for seed in range(3)])
    spikes[:, 1, 2] = False
    first, *again = (of_array(own) for own in spikes)
    row = only_row(first, again, time_scale_ms=4 * DT_MS, **ALL_PAIRS)
    tau = 4 * DT_MS * pq.ms
    wanted = {name: [] for name in OF_REPEATS}
    for image, neuron in itertools.product(range(N_IMAGES), range(N_NEURONS)):
        steps = [np.flatnonzero(own[image, neuron]) for own in spikes]
        if not any(own.size for own in steps):
            continue
        trains = [neo_of(own) for own in steps]
        matrices = {
            "van_rossum": van_rossum_distance(trains, time_constant=tau),
            "victor_purpura": victor_purpura_distance(trains, cost_factor=1 / tau),
            "isi_distance": isi_distance(steps, N_STEPS),  # PySpike's, in test_distances
            "spike_distance": spike_distance(steps, N_STEPS),
        }
        for name, matrix in matrices.items():
            wanted[name].append(matrix[np.triu_indices(3, 1)].mean())
        wanted["fano_repeats"].append(elephant.fanofactor(trains))
    assert len(wanted["van_rossum"]) < N_IMAGES * N_NEURONS
    assert row["n_repeats"] == 3
    for name, values in wanted.items():
        assert row[name] == pytest.approx(np.mean(values)), name


# ---- closed forms ----


def test_regular_trains():
    """Every neuron every third step: no variation, one count, and together."""
    spikes = np.zeros((2, 4, 30), bool)
    spikes[:, :, ::3] = True
    row = only_row(of_array(spikes), [of_array(spikes)], burst_interval_ms=2 * DT_MS)
    for name in ("isi_cv", "isi_cv2", "isi_lv", "fano_images", "first_spike_ms", *OF_REPEATS):
        assert row[name] == pytest.approx(0.0, abs=1e-7), name
    assert row["isi_mean_ms"] == pytest.approx(3 * DT_MS)
    assert row["correlation"] == pytest.approx(1.0) and row["spike_synchronization"] == 1.0
    assert (row["bursts_per_image"], row["burst_fraction"]) == (0, 0)
    assert math.isnan(row["spikes_per_burst"])


def test_random_trains():
    """Spikes with probability p in each step: CV^2 and Fano factor are 1 - p."""
    p = 0.02
    spikes = np.random.default_rng(3).random((40, 10, 20_000)) < p
    row = only_row(of_array(spikes), pairs_per_image=5)
    assert row["isi_cv"] == pytest.approx(math.sqrt(1 - p), abs=0.01)
    assert row["isi_cv2"] == pytest.approx(1.0, abs=0.02)
    assert row["isi_lv"] == pytest.approx(1.0, abs=0.04)
    # Over 40 images the variance is too small by 1/40.
    assert row["fano_images"] == pytest.approx((1 - p) * 39 / 40, abs=0.2)
    assert row["correlation"] == pytest.approx(0.0, abs=0.003)
    # Poisson trains of one rate: a quarter coincides, and the ISI-distance is 1/2.
    assert row["spike_synchronization"] == pytest.approx(0.25, abs=0.02)
    other = of_array(np.random.default_rng(4).random(spikes.shape) < p)
    again = only_row(of_array(spikes), [other], n_distances=30, pairs_per_image=1)
    assert again["isi_distance"] == pytest.approx(0.5, abs=0.02)
    assert again["fano_repeats"] == pytest.approx((1 - p) / 2, abs=0.1)


def test_bursts_by_phase_and_by_interval():
    """Phases of 6 steps, bursts of 3 spikes, and a single spike in another phase."""
    spikes = np.zeros((2, 1, 60), bool)
    spikes[:, 0, [6, 7, 8, 18, 19, 20, 30]] = True
    by_phase = only_row(of_array(spikes, phase_steps=6))
    assert by_phase["burst_rule"] == "phase" and math.isnan(by_phase["burst_interval_ms"])
    assert by_phase["time_scale_ms"] == 6 * DT_MS
    by_interval = only_row(of_array(spikes, phase_steps=6), burst_interval_ms=DT_MS)
    assert by_interval["burst_rule"] == "interval"
    assert by_interval["burst_interval_ms"] == DT_MS
    for row in (by_phase, by_interval):
        assert row["bursts_per_image"] == 2 and row["spikes_per_burst"] == 3
        assert row["burst_fraction"] == pytest.approx(6 / 7)
    # Two bursts in what a longer interval joins.
    joined = only_row(of_array(spikes), burst_interval_ms=10 * DT_MS)
    assert joined["spikes_per_burst"] == 7
    # Without phases and without a border nothing is said, rather than that there is no burst.
    unknown = only_row(of_array(spikes))
    assert unknown["burst_rule"] == "none"
    assert all(math.isnan(unknown[name]) for name in OF_BURSTS)


def test_a_border_between_intervals_is_found():
    """Pairs of spikes one step apart, every 30 to 60 steps."""
    starts = np.cumsum(np.random.default_rng(0).integers(30, 60, 400))
    spikes = np.zeros((1, 1, starts[-1] + 10), bool)
    spikes[0, 0, starts] = spikes[0, 0, starts + 1] = True
    row = only_row(of_array(spikes))
    assert row["burst_rule"] == "interval" and DT_MS < row["burst_interval_ms"] < 30 * DT_MS
    assert (row["bursts_per_image"], row["spikes_per_burst"]) == (400, 2)


def test_a_spike_before_the_onset_is_counted():
    """As neurons with noise of their own fire, in a layer that waits for two phases."""
    made = of_array(fired(2), phase_steps=5)
    late = replace(made, layers=(replace(made.layers[0], onset=2),))
    assert only_row(late)["bursts_per_image"] == only_row(made)["bursts_per_image"]


# ---- invariants ----


@settings(max_examples=40, deadline=None)
@given(recordings(), st.integers(1, 50))
def test_shift_in_time(recording, shift):
    """Later spikes in a window that is as much longer: only rates and first spikes change."""
    later = replace(
        recording,
        readout_onset=recording.readout_onset + shift,
        spikes=replace(recording.spikes, step=recording.spikes.step + shift),
    )
    options = {"burst_interval_ms": 3 * recording.dt_ms}
    before, after = (spike_statistics(one, **options) for one in (recording, later))
    same = [name for name in TIMING if name != "first_spike_ms"] + OF_BURSTS
    pd.testing.assert_frame_equal(before[same], after[same])
    np.testing.assert_allclose(
        after["first_spike_ms"], before["first_spike_ms"] + shift * recording.dt_ms
    )


@settings(max_examples=40, deadline=None)
@given(recordings(), st.randoms(use_true_random=False))
def test_order_of_neurons_and_images(recording, random):
    """Other numbers of neurons and images: the same statistics, where all pairs are measured."""
    spikes = recording.spikes
    neuron, counts = spikes.neuron.copy(), []
    for index, own in enumerate(recording.layers):
        order = np.array(random.sample(range(own.n_neurons), own.n_neurons))
        neuron[spikes.layer == index] = order[neuron[spikes.layer == index]]
        moved = np.empty(own.n_neurons, int)
        moved[order] = recording.spike_counts[index].ravel()
        counts.append(moved.reshape(own.n_positions, -1))
    images = np.array(random.sample(range(recording.n_images), recording.n_images))
    columns = {name: getattr(spikes, name) for name in COLUMNS}
    mixed = columns | {"neuron": neuron, "image": images[spikes.image]}
    other = replace(
        recording, spike_counts=tuple(counts), spikes=type(spikes).of([type(spikes)(**mixed)])
    )
    options = {"burst_interval_ms": 3 * recording.dt_ms, "pairs_per_image": 10_000}
    pd.testing.assert_frame_equal(
        spike_statistics(recording, **options), spike_statistics(other, **options)
    )


@settings(max_examples=40, deadline=None)
@given(recordings())
def test_the_first_columns_are_those_of_the_summary(recording):
    table = spike_statistics(recording, [recording])
    summary = recording.summary()
    pd.testing.assert_frame_equal(table[list(summary)], summary)
    assert (table["recorded"]).all() and (table["n_repeats"] == 2).all()
    fires = table["spikes"] > 0
    np.testing.assert_allclose(table.loc[fires, OF_REPEATS], 0.0, atol=1e-6)
    assert table.loc[~fires, [*OF_REPEATS, *OF_PAIRS, *TIMING[1:]]].isna().all(axis=None)


def test_samples_are_bounded_and_the_same_again():
    """Few of many pairs; another seed draws others, and their mean is that of all."""
    made, again = of_array(fired(5)), of_array(fired(6))
    some = {"pairs_per_image": 2, "n_distances": 4}
    few = [only_row(made, [again], seed=seed, **some) for seed in (0, 0, 1)]
    assert few[0] == pytest.approx(few[1], nan_ok=True)
    names = [*OF_PAIRS, *OF_REPEATS[1:]]
    assert all(few[0][name] != few[2][name] for name in names)
    every = only_row(made, [again], **ALL_PAIRS)
    drawn = pd.DataFrame([only_row(made, [again], seed=seed, **some) for seed in range(60)])
    error = (drawn[names].mean() - pd.Series(every)[names]) / (drawn[names].std() / math.sqrt(60))
    assert (error.abs() < 4).all()


@pytest.mark.parametrize("block", [1, 4, 7])
def test_fano_factors_in_blocks(monkeypatch, block):
    """Few counts held at once change nothing."""
    made, again = of_array(fired(7)), of_array(fired(8))
    whole = only_row(made, [again])
    monkeypatch.setattr(layers, "BLOCK", block)
    assert only_row(made, [again]) == pytest.approx(whole, nan_ok=True)


# ---- what is missing ----


def test_one_image_has_no_fano_factor():
    """Its variance would be 0, whatever it is."""
    row = only_row(of_array(fired(0)[:1]))
    assert math.isnan(row["fano_images"]) and math.isnan(row["fano_repeats"])
    assert not math.isnan(row["isi_lv"])


def test_layers_that_were_not_recorded_are_told_apart():
    """One layer kept, one that was not, one that is silent."""
    three = (layer(), layer("act2"), layer("act3"))
    rows = [(0, 0, 1, 2), (0, 0, 1, 5), (1, 1, 1, 3)]
    made = recording_of(rows, three, kept=[0])
    table = spike_statistics(made, [made]).set_index("layer")
    assert table["recorded"].tolist() == [True, False, True]
    assert table["spikes"].tolist() == [2, 1, 0]
    assert (
        table.loc["act2", ["burst_rule", *TIMING, *OF_BURSTS, *OF_PAIRS, *OF_REPEATS]].isna().all()
    )
    numbers = table.dtypes.drop(["recorded", "burst_rule"])
    assert all(np.issubdtype(kind, np.number) for kind in numbers)
    assert table.loc["act1", "fano_repeats"] == 0 and table.loc["act3", "active_fraction"] == 0
    whole = recording_of(rows, three)
    assert spike_statistics(whole, [made])["fano_repeats"].notna().tolist() == [True, False, False]


def test_single_spikes_have_no_synchronization():
    """No interval says what is together: 1 would be what PySpike says of any two of them."""
    spikes = np.zeros((1, 2, 40), bool)
    spikes[0, 0, 3] = spikes[0, 1, 15] = True
    row = only_row(of_array(spikes))
    assert math.isnan(row["spike_synchronization"]) and row["correlation"] < 0
    spikes[0, 1, 25] = True
    assert only_row(of_array(spikes))["spike_synchronization"] == 0


def test_refusals():
    made = of_array(fired(0))
    for arguments, options, said in (
        ((replace(made, spikes=None),), {}, "record=True"),
        ((made, [replace(made, dt_ms=1.0)]), {}, "repeat 1: dt_ms is 1.0, of the first"),
        ((made, [made, replace(made, network="x")]), {}, "repeat 2: network is 'x'"),
        ((made, [replace(made, scheme="amos")]), {}, "repeat 1: scheme is 'amos'"),
        ((made, [of_array(fired(0)[:2])]), {}, "repeat 1: n_images is 2, of the first"),
        ((made, [of_array(fired(0)[:, :2])]), {}, "repeat 1: its layers .* layer 'act1'"),
        ((made,), {"time_scale_ms": 0.0}, "time_scale_ms must be finite and above 0"),
        ((made,), {"time_scale_ms": 31.0}, "time_scale_ms must be at most the 30 ms"),
        ((made,), {"burst_interval_ms": math.nan}, "burst_interval_ms must be finite"),
        ((made,), {"pairs_per_image": 0}, "pairs_per_image must be a whole number from 1"),
        ((made,), {"n_distances": 0}, "n_distances must be a whole number from 1"),
    ):
        with pytest.raises(ValueError, match=said):
            spike_statistics(*arguments, **options)


# ---- recordings of two schemes ----


def test_a_burst_network():
    """Its phases, bursts up to its limits, and no difference between two runs."""
    images = load("digits", "test")[0][:5]
    training = load("digits", "train")[0][:200]
    network = ab.load_network(ab.trained("digits-burst"))
    conversion = ab.convert(network, ab.BurstOptions(n_steps=3), training)
    recording = ab.simulate(conversion, images, target="numpy", record=True)
    again = ab.simulate(conversion, images, target="numpy", record=True, batch=2)
    table = ab.spike_statistics(recording, [again])
    assert table["layer"].tolist() == [own.name for own in recording.layers]
    assert (table["burst_rule"] == "phase").all() and recording.phase_steps > 1
    limits = table["layer"].map(conversion.limits)
    assert (table["spikes_per_burst"] >= 2).all() and (table["spikes_per_burst"] <= limits).all()
    assert (table["burst_fraction"] > 0.2).all() and (table["correlation"] > 0).all()
    assert (table[OF_REPEATS] == 0).all(axis=None)


def test_a_network_with_noise():
    """Escape noise of two seeds: repetitions differ, and less than images do."""
    images, labels = (part[:6] for part in load("digits", "test"))
    network = ab.load_network(ab.trained("digits-noise"))
    conversion = ab.convert(network, ab.NoiseOptions(n_steps=6, rule="memoryless"))
    one, other = (
        ab.simulate(conversion, images, target="numpy", record=True, seed=seed) for seed in (0, 1)
    )
    table = ab.spike_statistics(one, [other])
    assert (table["burst_rule"] == "none").all() and table[OF_BURSTS].isna().all(axis=None)
    assert (table["time_scale_ms"] == one.dt_ms).all()
    assert (table[OF_REPEATS] > 0).all(axis=None)
    # Halved by two repetitions, as the variance is.
    assert (2 * table["fano_repeats"] < table["fano_images"]).all()
    compared = ab.compare_conditions(one, other, labels)
    rates = compared.query("statistic == 'rate_hz'")
    np.testing.assert_allclose(rates["one"], table["rate_hz"])
    assert (rates["difference"] != 0).all() and not (compared["p_holm"] < 0.01).any()
