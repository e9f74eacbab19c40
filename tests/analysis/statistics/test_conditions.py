"""Two conditions against scipy and statsmodels on tables of single images, and pen and paper."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.statistics.conditions import STATISTICS, compare_conditions, holm
from ann2brian.analysis.statistics.layers import spike_statistics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel, wilcoxon
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from tests.support.recordings import layer, recording_of, recordings

N_IMAGES, N_STEPS, DT_MS = 20, 30, 0.5
LAYERS = (layer("act1", (1, 1, 6)), layer("act2", (1, 2, 2)))
OPTIONS = {"burst_interval_ms": 2 * DT_MS, "pairs_per_image": 100}


def rows_of(seed, probability, spread):
    """Random spikes, of images that differ in their rate."""
    rng = np.random.default_rng(seed)
    rates = probability + spread * np.random.default_rng(99).random(N_IMAGES)
    return [
        (image, index, neuron, step)
        for index, own in enumerate(LAYERS)
        for image, neuron, step in zip(
            *np.nonzero(rng.random((N_IMAGES, own.n_neurons, N_STEPS)) < rates[:, None, None]),
            strict=True,
        )
    ]


def made_of(rows, n_images=N_IMAGES, layers=LAYERS, **options):
    return recording_of(rows, layers, n_images=n_images, n_steps=N_STEPS, dt_ms=DT_MS, **options)


ONE, OTHER = rows_of(0, 0.05, 0.1), rows_of(1, 0.08, 0.1)


def by_image(rows):
    """Tables of every image alone, from the statistics of its own recording."""
    alone = [[(0, *row[1:]) for row in rows if row[0] == image] for image in range(N_IMAGES)]
    return [spike_statistics(made_of(own, 1), **OPTIONS).set_index("layer") for own in alone]


@pytest.mark.parametrize("test", ["wilcoxon", "t"])
def test_tests_against_scipy(test):
    """Each statistic of each layer, from tables of single images."""
    table = compare_conditions(made_of(ONE), made_of(OTHER), test=test, **OPTIONS)
    singles = by_image(ONE), by_image(OTHER)
    assert table["layer"].tolist() == ["act1"] * len(STATISTICS) + ["act2"] * len(STATISTICS)
    n_tested = 0
    for row in table.itertuples():
        one, other = (
            np.array([of.loc[row.layer, row.statistic] for of in own], float) for own in singles
        )
        both = ~np.isnan(one) & ~np.isnan(other)
        one, other = one[both], other[both]
        assert row.n_images == both.sum() and row.test == test
        assert row.one == pytest.approx(one.mean()) and row.other == pytest.approx(other.mean())
        assert row.difference == pytest.approx(row.other - row.one)
        if test == "t":
            assert row.p == pytest.approx(ttest_rel(other, one).pvalue)
            t = ttest_rel(other, one).statistic
            assert row.effect_size == pytest.approx(t / math.sqrt(both.sum()))
        else:
            change = np.round(other - one, 9)
            assert row.p == pytest.approx(wilcoxon(change[change != 0]).pvalue)
            ranks = wilcoxon(change[change != 0], alternative="greater", method="asymptotic")
            n = (change != 0).sum()
            positive = ranks.statistic / (n * (n + 1) / 2)  # share of the ranks that increase
            assert row.effect_size == pytest.approx(2 * positive - 1)
        n_tested += 1
    assert n_tested == 2 * len(STATISTICS)
    assert table["p"].min() < 0.01 and table["p"].max() > 0.3
    corrected = multipletests(table["p"], method="holm")[1]
    np.testing.assert_allclose(table["p_holm"], corrected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7))
def test_few_ranks_with_ties_against_scipy(changes):
    """Exact for few images, zeros left out; images of different numbers of spikes of one neuron."""
    rows = [
        [(image, 0, 0, step) for image, change in enumerate(changes) for step in range(4 + change)],
        [(image, 0, 0, step) for image, _ in enumerate(changes) for step in range(4)],
    ]
    one, other = (made_of(own, len(changes)) for own in rows)
    row = compare_conditions(one, other, **OPTIONS).iloc[0]
    changed = -np.array([change for change in changes if change], float)
    assert row.statistic == "rate_hz"
    assert row.p == pytest.approx(wilcoxon(changed).pvalue if changed.size else 1.0)


def test_accuracies_against_statsmodels():
    """Right and wrong before and after: 3 images gained, 1 lost."""
    scores = np.zeros((2, N_IMAGES, 1, 3))
    labels = np.arange(N_IMAGES) % 3
    for own, wrong in zip(scores, ([0, 1, 2, 5], [2, 8]), strict=True):
        predicted = labels.copy()
        predicted[wrong] = (predicted[wrong] + 1) % 3
        own[np.arange(N_IMAGES), 0, predicted] = 1
    one, other = (replace(made_of(ONE), scores=own) for own in scores)
    row = compare_conditions(one, other, labels, **OPTIONS).iloc[-1]
    assert (row.layer, row.statistic, row.test) == ("(network)", "accuracy", "mcnemar")
    assert (row.one, row.other) == pytest.approx((16 / 20, 18 / 20)) and row.n_images == 20
    assert row.difference == pytest.approx(2 / 20) and row.effect_size == pytest.approx(2 / 4)
    assert row.p == pytest.approx(mcnemar([[15, 1], [3, 1]], exact=True).pvalue)
    same = compare_conditions(one, one, labels, **OPTIONS)
    assert (same["p"] == 1).all() and (same["effect_size"] == 0).all()
    assert "accuracy" not in set(compare_conditions(one, other, **OPTIONS)["statistic"])


def test_a_perturbation_is_seen():
    """Neurons of one layer fall silent at random, in the second half of each image only."""
    kept = [
        row
        for row in ONE
        if row[1] == 0 or row[3] < 15 or np.random.default_rng(row[3]).random() < 0.3
    ]
    table = compare_conditions(made_of(ONE), made_of(kept), **OPTIONS)
    table = table.set_index(["layer", "statistic"])
    assert (table.loc["act1", "p_holm"] == 1).all()
    assert (table.loc["act1", "difference"] == 0).all()
    rate = table.loc[("act2", "rate_hz")]
    assert rate.difference < 0 and rate.effect_size < -0.9 and rate.p_holm < 0.05
    pd.testing.assert_series_equal(
        table.loc["act1", "one"], table.loc["act1", "other"], check_names=False
    )


@settings(max_examples=25, deadline=None)
@given(recordings(), st.sampled_from(["wilcoxon", "t"]), st.data())
def test_the_other_way_round(recording, test, data):
    """Spikes taken away at random: swapped conditions give the opposite with equal p."""
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=60, max_size=60)))
    fewer = recording.spikes.where(kept[: len(recording.spikes)])
    counts = tuple(
        np.bincount(fewer.neuron[fewer.layer == k], minlength=own.n_neurons).reshape(
            own.n_positions, -1
        )
        for k, own in enumerate(recording.layers)
    )
    other = replace(recording, spikes=fewer, spike_counts=counts)
    options = {"test": test, "burst_interval_ms": 3 * recording.dt_ms}
    there = compare_conditions(recording, other, **options)
    back = compare_conditions(other, recording, **options)
    for name in ("p", "p_holm", "n_images"):
        np.testing.assert_allclose(there[name], back[name])
    for name in ("difference", "effect_size"):
        np.testing.assert_allclose(there[name], -back[name])
    np.testing.assert_allclose(there["one"], back["other"])
    fires = there["n_images"] > 0
    assert there.loc[~fires, ["one", "other", "difference", "p"]].isna().all(axis=None)
    assert there.query("statistic == 'rate_hz'")["difference"].max() <= 0


def test_both_rates_are_those_of_one_window():
    """A late spike makes one window longer, which leaves the rate of equal counts equal."""
    early, late = made_of([(0, 0, 0, 1)]), made_of([(0, 0, 0, 99)])
    assert early.summary()["rate_hz"][0] != late.summary()["rate_hz"][0]
    row = compare_conditions(early, late, **OPTIONS).iloc[0]
    assert row.statistic == "rate_hz" and row.difference == 0 and row.one > 0


def test_an_image_without_a_spike():
    """It has a rate, but neither a first spike nor bursts nor intervals."""
    rows = [(image, 0, 0, step) for image in range(3) for step in (3, 4)]
    table = compare_conditions(made_of(rows, 3), made_of(rows[:4], 3), **OPTIONS)
    images = table.set_index(["layer", "statistic"])["n_images"]["act1"]
    counted = ["rate_hz", "active_fraction", "bursts_per_image"]
    timed = ["first_spike_ms", "isi_mean_ms", "spikes_per_burst", "burst_fraction"]
    assert (images[counted] == 3).all() and (images[timed] == 2).all()


def test_changes_without_spread():
    """One spike more for every image: the t test has nothing to divide by; few images decide
    nothing."""
    rows = [(image, 0, 0, 3) for image in range(5)]
    more = rows + [(image, 0, 1, 3) for image in range(5)]
    one, other = made_of(rows, 5), made_of(more, 5)
    row = compare_conditions(one, other, test="t", **OPTIONS).iloc[0]
    assert row.effect_size == math.inf and row.p == 0
    row = compare_conditions(one, other, **OPTIONS).iloc[0]
    assert row.effect_size == 1 and row.p == 2 / 2**5
    single = made_of(rows[:1], 1), made_of(more[:1] + more[5:6], 1)
    assert math.isnan(compare_conditions(*single, test="t", **OPTIONS).iloc[0].p)
    assert compare_conditions(*single, **OPTIONS).iloc[0].p == 1


def test_layers_that_were_not_recorded_are_not_compared():
    """Kept in one of the conditions only."""
    table = compare_conditions(made_of(ONE), made_of(OTHER, kept=[0]), **OPTIONS)
    own = table.query("layer == 'act2'")
    assert len(own) == len(STATISTICS) and (own["n_images"] == 0).all()
    assert own[["one", "other", "difference", "effect_size", "p", "p_holm"]].isna().all(axis=None)
    assert table.query("layer == 'act1'")["p_holm"].notna().all()


def test_one_border_for_the_bursts_of_both():
    """Pairs of spikes one step apart; in the other condition, whose own histogram has no border,
    all spikes are three steps apart."""
    starts = np.arange(0, 40_000, 40) + np.random.default_rng(0).integers(0, 12, 1000)
    layers = (layer("act1", (1, 1, 1)),)
    pairs = [(0, 0, 0, step + k) for step in starts for k in (0, 1)]
    regular = [(0, 0, 0, step) for step in range(0, 6000, 3)]
    one, other = (made_of(rows, 1, layers) for rows in (pairs, regular))
    assert spike_statistics(other)["burst_rule"].tolist() == ["none"]
    table = compare_conditions(one, other).set_index("statistic")
    assert table.loc["burst_fraction", "one"] == 1
    border = spike_statistics(one)["burst_interval_ms"][0]
    assert table.loc["burst_fraction", "other"] == float(border >= 3 * DT_MS)


@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(0.01)), min_size=1, max_size=20),
    st.integers(0, 20),
)
def test_holm_against_statsmodels(values, place):
    """And a test that was not made changes nothing."""
    found = holm(values)
    np.testing.assert_allclose(found, multipletests(values, method="holm")[1])
    place = min(place, len(values))
    with_gap = holm(np.insert(values, place, math.nan))
    assert math.isnan(with_gap[place])
    np.testing.assert_array_equal(np.delete(with_gap, place), found)


def test_refusals():
    made = made_of(ONE)
    labels = np.zeros(N_IMAGES, int)
    for arguments, options, said in (
        ((made, replace(made, network="x"), labels), {}, "the other recording: network is 'x'"),
        ((made, replace(made, scheme="amos"), labels), {}, "the other recording: scheme"),
        ((made, made_of(ONE[:1], 3), labels), {}, "n_images is 3, of the first recording 20"),
        ((made, made_of([], layers=LAYERS[:1]), labels), {}, "see layer 'act2'"),
        ((made, replace(made, spikes=None), labels), {}, "holds no spike trains"),
        ((made, made, labels[1:]), {}, r"labels must be .* shape \(20,\), got .*\(19,\)"),
        ((made, made, labels.astype(str)), {}, "labels must be whole numbers"),
        ((made, made), {"test": "anova"}, "test must be one of wilcoxon, t, got 'anova'"),
        ((made, made), {"time_scale_ms": -1}, "time_scale_ms must be finite and above 0"),
    ):
        with pytest.raises(ValueError, match=said):
            compare_conditions(*arguments, **options)
