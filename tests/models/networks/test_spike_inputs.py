"""Rasters and events as input: counted into the steps and places where they belong."""

import numpy as np
import pytest
from ann2brian.models.networks.dataset_files import DatasetError
from ann2brian.models.networks.spike_inputs import read_spikes

FIELDS = [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "?")]


def events(rows, fields=FIELDS):
    """Events as the package tonic has them."""
    return np.array([tuple(row) for row in rows], dtype=fields)


def saved(folder, **arrays):
    """A file of arrays."""
    path = folder / "spikes.npz"
    np.savez(path, **arrays)
    return path


def test_events_are_counted_where_and_when_they_come(tmp_path):
    """Borders of steps belong to the later one; maps have their channels last."""
    found = events([(0, 0, 1, 0), (999, 0, 1, 0), (1000, 2, 0, 1), (2999, 2, 0, 1)])
    path = saved(tmp_path, events=found, shape=np.array([2, 2, 3]))
    images = read_spikes(path, dt=1e-3).images
    assert images.shape == (1, 3, 2, 3, 2) and images.sum() == 4
    assert images[0, 0, 1, 0, 0] == 2 and images[0, 1, 0, 2, 1] == images[0, 2, 0, 2, 1] == 1


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 3e-4])
def test_no_event_on_a_border_is_a_step_early(dt, tmp_path):
    """All multiples of a step, whose quotients are no whole numbers in double precision."""
    each = round(dt * 1e6)
    found = events([(each * step, 0) for step in range(4000)], [("t", "i8"), ("x", "i2")])
    path = saved(tmp_path, events=found, shape=np.array([1]))
    assert (read_spikes(path, dt=dt).images == 1).all()


def test_samples_need_no_labels(tmp_path):
    """As many as there are; labels of several want a field that tells them apart."""
    fields = [*FIELDS, ("sample", "i4")]
    found = events([(0, 0, 0, 0, 0), (0, 0, 0, 0, 2)], fields)
    shape = np.array([2, 1, 1])
    images = read_spikes(saved(tmp_path, events=found, shape=shape), dt=1e-3).images
    assert images.sum(axis=(1, 2, 3, 4)).tolist() == [1, 0, 1]
    labelled = saved(tmp_path, events=found[list("txyp")], shape=shape, labels=np.arange(3))
    with pytest.raises(DatasetError, match="3 labels, and events have no field 'sample'"):
        read_spikes(labelled, dt=1e-3)


def test_many_events_in_one_place_are_all_counted(tmp_path):
    """More than 16 bits hold."""
    found = np.zeros(70_000, dtype=[("t", "i8"), ("x", "i2")])
    images = read_spikes(saved(tmp_path, events=found, shape=np.array([1])), dt=1e-3).images
    assert images.tolist() == [[[70_000]]]


def test_events_want_the_step_to_be_told(tmp_path):
    """A network may have any; what is guessed would be wrong without a word."""
    found = events([(0, 0)], [("t", "i8"), ("x", "i2")])
    with pytest.raises(DatasetError, match=r"events have times; say how long a step .*--dt-ms"):
        read_spikes(saved(tmp_path, events=found, shape=np.array([1])))


def test_a_raster_needs_none(tmp_path):
    """Its axis is the step."""
    raster = np.random.default_rng(0).integers(0, 2, (2, 5, 1, 1, 3))
    np.savez(tmp_path / "raster.npz", spikes=raster)
    assert np.array_equal(read_spikes(tmp_path / "raster.npz").images, raster)


@pytest.mark.parametrize(
    ("name", "words"), [("none.npz", "no such file"), ("events.txt", "no .npz file")]
)
def test_other_files_are_refused(name, words, tmp_path):
    """One that is missing, and one of another format."""
    (tmp_path / "events.txt").write_text("0 1 2")
    with pytest.raises(DatasetError, match=words):
        read_spikes(tmp_path / name)
