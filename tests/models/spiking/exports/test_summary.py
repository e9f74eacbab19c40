"""The table by layer against analysis, pandas and pen and paper."""

import math

import numpy as np
import pytest
from ann2brian.analysis.statistics.bursts import irregularity
from ann2brian.analysis.statistics.gate_codes import latencies
from ann2brian.analysis.statistics.trains import trains_of
from hypothesis import given, settings

from tests.support.recordings import layer, recording_of, recordings


def test_pen_and_paper():
    """Four neurons and two images of 20 steps of 0.5 ms: 80 ms of neurons and images."""
    rows = [
        *((0, 0, 0, step) for step in (2, 4, 8)),  # intervals of 1 and 2 ms
        *((1, 0, 0, step) for step in (0, 6)),  # one of 3 ms
        (1, 0, 3, 10),
    ]
    layers = (layer("act1", (1, 1, 4)), layer("act2", (1, 1, 1)))
    table = recording_of(rows, layers, dt_ms=0.5).summary().set_index("layer")
    own = table.loc["act1"]
    assert (own.neurons, own.spikes) == (4, 6)
    assert math.isclose(own.rate_hz, 6 / 0.080)
    assert math.isclose(own.active_fraction, 3 / 8)
    assert math.isclose(own.first_spike_ms, (1 + 0 + 5) / 3)
    assert math.isclose(own.isi_mean_ms, 2.0)
    assert math.isclose(own.isi_cv, 0.5 / 1.5)
    silent = table.loc["act2"]
    assert (silent.spikes, silent.rate_hz, silent.active_fraction) == (0, 0, 0)
    assert silent[["first_spike_ms", "isi_mean_ms", "isi_cv"]].isna().all()


def test_a_layer_that_was_not_recorded_is_counted_only():
    recording = recording_of([(0, 0, 1, 2), (1, 1, 1, 3)], (layer(), layer("act2")), kept=[0])
    table = recording.summary().set_index("layer")
    assert table.spikes.tolist() == [1, 1] and (table.rate_hz > 0).all()
    timing = ["active_fraction", "first_spike_ms", "isi_mean_ms", "isi_cv"]
    assert table.loc["act2", timing].isna().all()
    assert not table.loc["act1", timing[:2]].isna().any()


def test_spikes_at_one_time_have_no_variation():
    """Three spikes in one step, which leave nothing to divide by."""
    (row,) = recording_of([(0, 0, 1, 2)] * 3).summary().itertuples()
    assert row.isi_mean_ms == 0 and math.isnan(row.isi_cv)


@settings(max_examples=60, deadline=None)
@given(recordings())
def test_the_numbers_are_those_of_analysis(recording):
    """Intervals and variation of random trains; silence and latency where a unit is a neuron."""
    table = recording.summary()
    firsts = latencies(recording)
    for row, trains in zip(table.itertuples(), trains_of(recording), strict=True):
        intervals = trains.intervals_ms
        assert row.isi_mean_ms == pytest.approx(
            intervals.mean() if intervals.size else np.nan, nan_ok=True
        )
        assert row.isi_cv == pytest.approx(irregularity(trains)["cv"], nan_ok=True)
        if trains.layer.n_positions == 1:
            assert row.active_fraction == pytest.approx(1 - firsts.silent_fraction[row.Index])
            wanted = firsts.mean_from_onset_ms[row.Index]
            assert row.first_spike_ms == pytest.approx(wanted, nan_ok=True)
