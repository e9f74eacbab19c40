"""Spike trains to each format and back: the same neurons and steps, whatever the step's length."""

import io
from itertools import product

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.spiking.recording import Spikes
from hypothesis import HealthCheck, given, settings

import ann2brian as ab
from tests.support.recordings import assert_same, layer, package_or_skip, recording_of, recordings


def by_pandas(recording, _):
    return ab.spikes_from_pandas(recording.to_pandas())


def by_csv(recording, _):
    text = recording.to_pandas().to_csv(index=False)
    return ab.spikes_from_pandas(pd.read_csv(io.StringIO(text)), recording.layers)


def by_raster(recording, _):
    parts = [
        ab.spikes_from_raster(recording.raster(layer.name), index)
        for index, layer in enumerate(recording.layers)
    ]
    return Spikes.of(parts)


def by_raster_of_one(recording, _):
    return of_each(
        recording,
        lambda index, layer, image: ab.spikes_from_raster(
            recording.raster(layer.name, image), index, image
        ),
    )


def by_events(recording, _):
    return of_each(
        recording,
        lambda index, layer, image: ab.spikes_from_events(
            recording.to_events(layer.name, image), layer, index=index, image=image
        ),
    )


def by_events_without_steps(recording, _):
    """As another tool would have them: places, polarity and microseconds."""

    def read(index, layer, image):
        own = recording.to_events(layer.name, image)
        events = own[["t", "x", "y", "c", "position"]]
        return ab.spikes_from_events(events, layer, index=index, image=image, dt_ms=recording.dt_ms)

    return of_each(recording, read)


def by_neo(recording, _):
    return of_each(
        recording,
        lambda index, layer, image: ab.spikes_from_neo(recording.to_neo(layer.name, image)),
    )


def by_neo_without_steps(recording, _):
    """Times alone, in seconds."""

    def read(index, layer, image):
        trains = [train.rescale("s") for train in recording.to_neo(layer.name, image)]
        for train in trains:
            train.array_annotations.clear()
        return ab.spikes_from_neo(trains, recording.dt_ms)

    return of_each(recording, read)


def by_nir(recording, _):
    parts = [
        ab.spikes_from_nir(recording.to_nir(layer.name), recording.dt_ms, index)
        for index, layer in enumerate(recording.layers)
    ]
    return Spikes.of(parts)


def by_nwb(recording, folder):
    return ab.spikes_from_nwb(recording.to_nwb(folder / "a.nwb", overwrite=True))


def of_each(recording, read):
    """Layers and images one by one, joined."""
    pairs = product(enumerate(recording.layers), range(recording.n_images))
    return Spikes.of([read(index, layer, image) for (index, layer), image in pairs])


ALWAYS = (by_pandas, by_csv, by_raster, by_raster_of_one, by_events, by_events_without_steps)
NEEDING = {by_neo: "neo", by_neo_without_steps: "neo", by_nir: "nir", by_nwb: "pynwb"}


@pytest.mark.parametrize("way", [*ALWAYS, *NEEDING], ids=lambda way: way.__name__)
def test_every_format_and_back_is_the_identity(way, tmp_path):
    """Random layers, images, steps and lengths of a step; none, few and many spikes."""
    if way in NEEDING:
        package_or_skip(NEEDING[way])

    @settings(
        max_examples=25 if way in NEEDING else 60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(recordings())
    def same(recording):
        assert_same(way(recording, tmp_path), recording.spikes)

    same()


@pytest.mark.parametrize("way", [by_pandas, by_events, *NEEDING], ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    ("rows", "n_steps"),
    [
        ([], 1),  # no spike at all
        ([(1, 0, k, 19) for k in range(24)], 20),  # all neurons at the last step
        ([(0, 0, 3, 7)] * 3 + [(0, 0, 3, 8)], 20),  # a neuron three times in one step
        ([(0, 0, 3, 2**31 - 1), (1, 0, 3, 2**31 - 2)], 20),  # beyond the window
    ],
)
def test_edges(way, rows, n_steps, tmp_path):
    """No spike, spikes at the last step, several of a neuron in a step, the largest step."""
    if way in NEEDING:
        package_or_skip(NEEDING[way])
    recording = recording_of(rows, n_steps=n_steps, dt_ms=0.1)
    assert_same(way(recording, tmp_path), recording.spikes)
    assert recording.trains.n_steps > recording.spikes.step.max(initial=0)
    said = f"SpikeTrains(handmade: {len(rows)} spikes, 1 of 1 layers, 2 images of "
    assert repr(recording.trains).startswith(said)


def test_rows_in_any_order_are_the_same_spikes():
    """A table that somebody sorted otherwise, and filtered."""
    recording = recording_of([(i, 0, n, s) for i in (0, 1) for n in (3, 1) for s in (9, 2)])
    table = recording.to_pandas().sort_values(["neuron", "step"], ascending=False)
    assert_same(ab.spikes_from_pandas(table), recording.spikes)
    kept = ab.spikes_from_pandas(table[table.image == 1])
    assert_same(kept, recording.spikes.where(recording.spikes.image == 1))


def test_a_table_says_where_each_neuron_stands():
    """Places against NumPy's own order of the array (positions, rows, columns, channels)."""
    shape = (2, 2, 3, 4)
    rows = [(0, 0, k, 0) for k in range(np.prod(shape))]
    table = recording_of(rows, [layer(shape=shape[1:], n_positions=2)]).to_pandas()
    numbers = np.arange(np.prod(shape)).reshape(shape)
    places = tuple(table[name] for name in ("position", "row", "column", "channel"))
    assert np.array_equal(numbers[places], table.neuron)
    assert list(table) == [
        *("image", "layer", "neuron", "position", "row", "column", "channel", "step", "time_ms")
    ]
