"""NWB files: what stands in them for others, and how they are written."""

from datetime import UTC, datetime

import numpy as np
import pytest

import ann2brian as ab
from tests.support.recordings import assert_same, layer, package_or_skip, recording_of

pynwb = package_or_skip("pynwb")

LAYERS = (layer("act1", (1, 2, 2)), layer("act2", (1, 1, 3), 2), layer("act3", (1, 1, 1)))


@pytest.fixture
def recording():
    """Two layers of three, an image without a spike, spikes at both ends of windows."""
    rng = np.random.default_rng(0)
    rows = {(i, k, n, s) for i, k, n, s in rng.integers(0, (4, 2, 4, 20), (60, 4)) if i != 2}
    rows |= {(0, 0, 1, 19), (1, 0, 1, 0), (1, 0, 1, 19), (3, 1, 5, 0), (3, 1, 5, 19), (0, 2, 0, 4)}
    return recording_of(rows, LAYERS, n_images=4, n_steps=20, dt_ms=0.1, kept=[0, 1])


@pytest.fixture
def written(recording, tmp_path):
    """Tables of a file as pynwb reads them."""
    path = recording.to_nwb(tmp_path / "a.nwb", labels=[3, 1, 4, 1])
    assert not pynwb.validate(path=str(path))
    with pynwb.NWBHDF5IO(path, "r") as file:
        session = file.read()
        yield session, session.trials.to_dataframe(), session.units.to_dataframe()


def test_trials_are_the_images(recording, written):
    """Rows, labels and lengths of the table of trials."""
    _, trials, _ = written
    assert trials.image.tolist() == [0, 1, 2, 3]
    assert trials.label.tolist() == [3, 1, 4, 1]
    assert trials.prediction.tolist() == recording.predictions.tolist()
    assert np.allclose(trials.stop_time - trials.start_time, 20 * 0.1e-3)
    assert (trials.start_time[1:].to_numpy() > trials.stop_time[:-1].to_numpy()).all()


def test_units_are_the_neurons(recording, written):
    """Rows and times of the table of units against the rows of `to_pandas`."""
    _, trials, units = written
    table = recording.to_pandas()
    assert list(zip(units.layer, units.neuron, strict=True)) == [
        *(("act1", k) for k in range(4)),
        *(("act2", k) for k in range(6)),
    ]
    for row in units.itertuples():
        own = table[(table.layer == row.layer) & (table.neuron == row.neuron)]
        times_s = trials.start_time.to_numpy()[own.image] + own.time_ms / 1000
        assert np.allclose(row.spike_times, times_s, rtol=0, atol=1e-9)
        assert (np.diff(row.spike_times) > 0).all()
        assert np.array_equal(row.spike_steps, own.step)
        assert np.array_equal(row.spike_images, own.image)
        assert np.array_equal(row.obs_intervals, trials[["start_time", "stop_time"]])
        if len(own):
            places = own[["position", "row", "column", "channel"]].iloc[0]
            assert [row.position, row.row, row.column, row.channel] == places.tolist()


def test_windows_that_include_both_ends_count_every_spike_once(recording, written):
    """Windows closed at both ends, as several tools take them; and pynwb's own."""
    session, trials, units = written
    n_spikes = len(recording.trains.recorded[0]) + len(recording.trains.recorded[1])
    times = np.concatenate(list(units.spike_times))
    windows = trials[["start_time", "stop_time"]].to_numpy()
    in_each = [((times >= a) & (times <= b)).sum() for a, b in windows]
    by_image = np.bincount(recording.to_pandas().image, minlength=4)
    assert in_each == by_image.tolist() and sum(in_each) == n_spikes
    own = [
        sum(len(session.units.get_unit_spike_times(k, (a, b))) for k in range(len(units)))
        for a, b in windows
    ]
    assert own == in_each


def test_equal_recordings_have_equal_identifiers(recording, tmp_path):
    """The same twice, other spikes, and another time that was asked for."""

    def session(recording, name, **options):
        path = recording.to_nwb(tmp_path / name, **options)
        with pynwb.NWBHDF5IO(path, "r") as file:
            read = file.read()
            return read.identifier, read.session_start_time

    first, second = session(recording, "a.nwb"), session(recording, "b.nwb")
    assert first == second and first[1].year == 1970
    other = recording_of([(0, 0, 0, 1)], LAYERS, n_images=4, dt_ms=0.1)
    assert session(other, "c.nwb")[0] != first[0]
    asked = datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert session(recording, "d.nwb", session_start=asked)[1] == asked


def test_labels_may_be_names(recording, tmp_path):
    path = recording.to_nwb(tmp_path / "a.nwb", ["coat", "bag", "coat", "boot"])
    with pynwb.NWBHDF5IO(path, "r") as file:
        assert list(file.read().trials["label"][:]) == ["coat", "bag", "coat", "boot"]


def test_a_file_is_replaced_only_when_asked(recording, tmp_path):
    """An older file of the name, without a word and with one."""
    path = tmp_path / "new" / "a.nwb"
    recording.to_nwb(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.nwb is there already; .* overwrite=True"):
        recording.to_nwb(path)
    assert path.read_bytes() == before
    other = recording_of([(0, 0, 0, 1)], LAYERS)
    other.to_nwb(path, overwrite=True)
    assert_same(ab.spikes_from_nwb(path), other.spikes)
    assert [file.name for file in path.parent.iterdir()] == ["a.nwb"]


def test_a_file_appears_complete_or_not_at_all(recording, tmp_path, monkeypatch):
    """A write that breaks off leaves what was there."""
    path = recording.to_nwb(tmp_path / "a.nwb")
    before = path.read_bytes()

    def broken(self, *_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", broken)
    with pytest.raises(OSError, match="disk full"):
        recording.to_nwb(path, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused(recording, tmp_path):
    """Endings, labels, times without a zone, and something that is no path."""
    for options, said in (
        ({"path": tmp_path / "a.h5"}, r"a\.h5: .* is named \*\.nwb"),
        ({"path": tmp_path / "a.nwb", "labels": [1, 2]}, r"\(2,\) labels, where 4 images"),
        ({"path": tmp_path / "a.nwb", "session_start": datetime(2026, 1, 1)}, "no time zone"),
    ):
        with pytest.raises(ValueError, match=said):
            recording.to_nwb(**options)
    with pytest.raises(TypeError, match="to_nwb takes the path of a file, got list"):
        recording.to_nwb([1, 2])
    assert not list(tmp_path.iterdir())


def test_files_of_others_and_altered_ones_are_refused(recording, tmp_path):
    """No file, no HDF5, something else in it, and steps that are not those of the times."""
    h5py = package_or_skip("h5py")
    with pytest.raises(FileNotFoundError, match=r"none\.nwb: no such file"):
        ab.spikes_from_nwb(tmp_path / "none.nwb")
    text = tmp_path / "text.nwb"
    text.write_text("not HDF5")
    with pytest.raises(ValueError, match=r"text\.nwb: "):
        ab.spikes_from_nwb(text)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with pynwb.NWBHDF5IO(tmp_path / "other.nwb", "w") as file:
        file.write(pynwb.NWBFile("a", "b", start))
    with pytest.raises(ValueError, match=r"other\.nwb: it has no table of units with steps"):
        ab.spikes_from_nwb(tmp_path / "other.nwb")
    path = recording.to_nwb(tmp_path / "a.nwb")
    path.with_name("cut.nwb").write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r"cut\.nwb: "):
        ab.spikes_from_nwb(path.with_name("cut.nwb"))
    for column, value, said in (
        ("spike_steps", 77, "units: its steps are not those of its times"),
        ("spike_images", -1, "units: spikes of image -1 to 3, but there are 4"),
        ("spike_images", 4, "units: spikes of image 0 to 4, but there are 4"),
    ):
        recording.to_nwb(path, overwrite=True)
        with h5py.File(path, "r+") as file:
            file[f"units/{column}"][-1] = value
        with pytest.raises(ValueError, match=rf"a\.nwb: {said}"):
            ab.spikes_from_nwb(path)
