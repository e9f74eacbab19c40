"""Input that changes from step to step, read from files: events counted, and refusals."""

import numpy as np
import pytest
from ann2brian.models.networks.dataset_files import DatasetError
from ann2brian.models.networks.spike_inputs import read_spikes

FIELDS = [("t", "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8"), ("sample", "i8")]


@pytest.fixture
def events(tmp_path):
    """Three events of two recordings, 0.1 ms a step, on a map of 2 channels, 3 rows, 4 columns."""
    found = np.array([(0, 3, 2, 1, 0), (150, 0, 1, 0, 0), (199, 1, 0, 1, 1)], dtype=FIELDS)
    path = tmp_path / "events.npz"
    np.savez(path, events=found, shape=(2, 3, 4), labels=np.array([0, 1]))
    return path


def test_events_are_counted_into_steps(events):
    """By sample, step, row, column and channel."""
    found = read_spikes(events, dt=1e-4)
    wanted = np.zeros((2, 2, 3, 4, 2))
    wanted[0, 0, 2, 3, 1] = wanted[0, 1, 1, 0, 0] = wanted[1, 1, 0, 1, 1] = 1
    assert np.array_equal(found.images, wanted) and found.is_stepped


def test_events_need_the_length_of_a_step(events):
    """A step that nobody named would count them into other steps than those of the run."""
    with pytest.raises(DatasetError, match=r"events.npz: its events .* say it with --dt-ms"):
        read_spikes(events, n_steps=20)


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
