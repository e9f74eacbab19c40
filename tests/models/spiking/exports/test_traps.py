"""Where the obvious way to hand spikes on is wrong without a word, and ours is not."""

import numpy as np
import pytest
from brian2 import ms, second

import ann2brian as ab
from tests.support.recordings import assert_same, layer, package_or_skip, recording_of

# elephant 1.2 and neo 0.14 still give quantities an argument without effect.
pytestmark = pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated")

STEPS_MS = [0.1, 0.3, 0.7, 1.0, 1 / 3, 2.0, 0.0625, 1e-3]


@pytest.fixture(scope="module")
def run():
    """A recording, and what Brian2's own monitor has of it: neurons and times in seconds."""
    conversion = ab.convert(ab.load_network(ab.trained("digits-noise")), ab.NoiseOptions(n_steps=3))
    images, _ = ab.load_images("digits", "test")
    monitors = {}
    recording = ab.simulate(
        conversion,
        images[:1],
        record=True,
        target="numpy",
        change=lambda objects: monitors.update(objects.spikes),
    )
    return recording, monitors


def test_times_are_those_of_brian2(run):
    """All times of all layers against the monitors; its times as ms would be a thousandth."""
    package_or_skip("neo")
    recording, monitors = run
    trains = [t for layer in recording.layers for t in recording.to_neo(layer.name, 0)]
    times_ms = np.sort(np.concatenate([train.rescale("ms").magnitude for train in trains]))
    wanted = np.sort(np.concatenate([monitor.t / second for monitor in monitors.values()]))
    assert times_ms.size == len(recording.spikes) > 100
    assert np.allclose(times_ms, 1000 * wanted)
    assert np.allclose(np.sort(recording.to_pandas().time_ms), 1000 * wanted)


def test_neo_takes_times_of_brian2_for_what_it_is_told(run):
    """The trap: a quantity of Brian2 is seconds to everybody else, whatever its unit."""
    neo = package_or_skip("neo")
    monitor = max(run[1].values(), key=lambda monitor: len(monitor.t))
    last = float(monitor.t[-1] / ms)
    wrong = neo.SpikeTrain(monitor.t, units="ms", t_stop=10 * last)
    assert np.isclose(float(wrong[-1]), last / 1000)


def test_steps_of_the_first_10_000_times():
    """One spike in each step of 0.1 ms; cutting instead of rounding is one too low for many."""
    steps = np.arange(10_000)
    recording = recording_of([(0, 0, 0, k) for k in steps], dt_ms=0.1)
    table = recording.to_pandas()
    assert np.array_equal(np.rint(table.time_ms / 0.1), table.step)
    cut = ((steps * (0.1 * ms)) / (0.1 * ms)).astype(int)
    assert np.count_nonzero(cut != steps) == 573
    package_or_skip("neo")
    trains = recording.to_neo("act1", 0)
    for train in trains:
        train.array_annotations.clear()
    assert_same(ab.spikes_from_neo(trains, 0.1), recording.spikes)


@pytest.mark.parametrize("dt_ms", STEPS_MS)
def test_a_window_ends_after_its_last_step(dt_ms):
    """A spike at the last step and units of all lengths; Neo compares without a tolerance."""
    neo = package_or_skip("neo")
    for n_steps in (1, 3, 7, 30, 1000):
        rows = [(0, 0, 0, 0), (0, 0, 0, n_steps - 1)]
        train = recording_of(rows, n_steps=n_steps, dt_ms=dt_ms).to_neo("act1", 0)[0]
        for unit in ("us", "s", "min"):
            times = train.rescale(unit).magnitude
            other = neo.SpikeTrain(times, t_stop=train.t_stop, units=unit)
            assert len(other) == len(train)
            assert other.max() < other.t_stop
        assert np.isclose(float(train.t_stop), n_steps * dt_ms)
        assert float(train.t_start) == 0


def test_neo_compares_the_end_without_a_tolerance():
    """The trap: one instant in two units, as a spike and as the end that it must not pass."""
    neo, quantities = package_or_skip("neo"), package_or_skip("quantities")
    with pytest.raises(ValueError, match="after t_stop"):
        neo.SpikeTrain([0.0041], units="s", t_stop=4.1 * quantities.ms)


def test_touching_windows_count_every_spike_once():
    """Windows of ten steps by Neo's own slices and by the raster."""
    neo = package_or_skip("neo")
    recording = recording_of([(0, 0, 0, k) for k in range(30)], n_steps=30, dt_ms=1.0)
    fired = recording.raster("act1", 0)
    assert sum(fired[k : k + 10].sum() for k in (0, 10, 20)) == 30
    train = recording.to_neo("act1", 0)[0]
    assert isinstance(train, neo.SpikeTrain)
    slices = [train.time_slice(k * train.t_stop / 3, (k + 1) * train.t_stop / 3) for k in range(3)]
    assert sum(map(len, slices)) == 32  # the trap
    step = train.array_annotations["step"]
    assert sum(((step >= k) & (step < k + 10)).sum() for k in (0, 10, 20)) == 30


@pytest.mark.parametrize("dt_ms", STEPS_MS)
def test_elephant_bins_as_the_raster(dt_ms):
    """Bins of one step by Elephant against our raster, spikes at both ends included."""
    package_or_skip("neo")
    conversion = package_or_skip("elephant.conversion")
    quantities = package_or_skip("quantities")
    rng = np.random.default_rng(0)
    rows = [(0, 0, *row) for row in np.argwhere(rng.random((6, 200)) < 0.2)]
    rows += [(0, 0, 0, 0), (0, 0, 5, 199)]
    small = [layer(shape=(1, 1, 6))]
    recording = recording_of(set(rows), small, n_steps=200, dt_ms=dt_ms)
    bins = conversion.BinnedSpikeTrain(recording.to_neo("act1", 0), bin_size=dt_ms * quantities.ms)
    assert np.array_equal(bins.to_bool_array(), recording.raster("act1", 0).T)


@pytest.mark.parametrize("dt_ms", STEPS_MS)
def test_nir_reads_every_step_as_it_was(dt_ms):
    """nir's own way from events to its grid, against the raster; its own events lose some."""
    nir = package_or_skip("nir")
    rows = [(image, 0, k % 24, k) for image in (0, 1) for k in range(image, 1000)]
    recording = recording_of(rows, n_steps=1000, dt_ms=dt_ms)
    fired = recording.raster("act1")
    gridded = recording.to_nir("act1").to_time_gridded(dt_ms / 1000)
    assert np.array_equal(gridded.data, fired)
    if dt_ms == 0.1:
        own = nir.TimeGriddedData(fired[:1], dt_ms / 1000).to_event(1000)
        back = own.to_time_gridded(dt_ms / 1000).data
        assert (back & fired[:1]).sum() == 932  # the trap
        assert_same(
            ab.spikes_from_nir(own, dt_ms), recording.spikes.where(recording.spikes.image == 0)
        )
