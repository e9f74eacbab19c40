"""ISI-distance, SPIKE-distance and SPIKE-synchronization against PySpike and pen and paper.

Victor-Purpura and van Rossum distances are tested with the trials, against elephant.

PySpike 0.9.0 is built from source, by a compiler for C and with the headers of Python, so that it
is no requirement of the tests: what it gave is written down here, and where it is installed
(``pip install pyspike``) random trains are compared as well.
"""

import numpy as np
import pytest
from ann2brian.analysis.statistics.distances import (
    isi_distance,
    spike_distance,
    spike_synchronization,
)
from hypothesis import given, settings
from hypothesis import strategies as st

WINDOW = 20
TRAINS = [[], [0], [10], [3, 7, 15], [3, 9, 19], [0, 1, 2, 3, 12], [5, 6, 18]]
# made = [pyspike.SpikeTrain(train, (0, WINDOW)) for train in TRAINS], then
# pyspike.isi_distance_matrix(made), spike_distance_matrix and spike_sync_matrix.
OF_PYSPIKE = {
    isi_distance: [
        *(0.0, 0.5, 0.67, 0.59, 0.61, 0.515),
        *(0.5, 0.67, 0.59, 0.61, 0.515),
        *(0.34, 0.18, 0.22, 0.286666666667),
        *(0.251666666667, 0.295833333333, 0.3375),
        *(0.28, 0.25),
        0.383888888889,
    ],
    spike_distance: [
        *(0.0, 0.444444444444, 0.324654903628, 0.285783694938, 0.300836710427, 0.228958652211),
        *(0.444444444444, 0.324654903628, 0.285783694938, 0.300836710427, 0.228958652211),
        *(0.422222222222, 0.158125, 0.233561502713, 0.41753902663),
        *(0.267911816578, 0.335249674113, 0.295324170525),
        *(0.261672677935, 0.262403721819),
        0.421189342404,
    ],
    spike_synchronization: [
        *(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        *(0.0, 0.0, 0.0, 0.333333333333, 0.0),
        *(0.0, 0.5, 0.333333333333, 0.0),
        *(0.333333333333, 0.5, 0.333333333333),
        *(0.25, 0.333333333333),
        0.0,
    ],
}
MEASURES = pytest.mark.parametrize("measure", OF_PYSPIKE)


@st.composite
def windows(draw):
    """A window, and three trains in it."""
    n_steps = draw(st.integers(2, 60))
    train = st.sets(st.integers(0, n_steps - 1), max_size=12).map(sorted)
    return n_steps, [draw(train) for _ in range(3)]


@MEASURES
def test_what_pyspike_gave(measure):
    """Silent, single, regular and bursting trains, with spikes at both ends of the window."""
    found = measure(TRAINS, WINDOW)
    np.testing.assert_allclose(found[np.triu_indices(7, 1)], OF_PYSPIKE[measure], atol=1e-11)
    assert (found.diagonal() == (measure is spike_synchronization)).all()


@MEASURES
@settings(max_examples=200, deadline=None)
@given(case=windows())
def test_random_trains_against_pyspike(measure, case):
    pyspike = pytest.importorskip("pyspike", reason="PySpike is not installed")
    name = {spike_synchronization: "spike_sync"}.get(measure, measure.__name__)
    n_steps, trains = case
    made = [pyspike.SpikeTrain(train, (0, n_steps)) for train in trains]
    wanted = getattr(pyspike, f"{name}_matrix")(made)
    np.testing.assert_allclose(measure(trains, n_steps), wanted, atol=1e-11)


@MEASURES
@settings(max_examples=50, deadline=None)
@given(case=windows())
def test_neither_units_nor_direction_of_time_matter(measure, case):
    """Eighths of a step, exact in binary, for whole ones; and time that runs backwards."""
    n_steps, trains = case
    found = measure(trains, n_steps)
    scaled = [np.array(train) / 8 for train in trains]
    np.testing.assert_allclose(measure(scaled, n_steps / 8), found, atol=1e-12)
    assert (found >= 0).all() and (found <= 1).all()
    # A spike at the onset has no mirror image before the end of the window.
    inner = [[step for step in train if step] for train in trains]
    mirrored = [[n_steps - step for step in reversed(train)] for train in inner]
    np.testing.assert_allclose(measure(mirrored, n_steps), measure(inner, n_steps), atol=1e-12)


def test_pen_and_paper():
    """Two regular trains, of intervals 2 and 4, and their coincidences."""
    fast, slow = np.arange(0.0, 16.0, 2.0), np.arange(0.0, 16.0, 4.0)
    assert isi_distance([fast, slow], 16)[0, 1] == pytest.approx(0.5)
    assert spike_synchronization([fast, slow], 16)[0, 1] == pytest.approx(2 * 4 / 12)
    # Half of an interval apart is not together.
    assert spike_synchronization([[4, 8, 12], [6, 10, 14]], 16)[0, 1] == 0
    assert spike_synchronization([[4, 8, 12], [5, 9, 13]], 16)[0, 1] == 1
    assert spike_synchronization([[], []], 16)[0, 1] == 1


@MEASURES
def test_bad_input_is_refused(measure):
    for trains, window, said in (
        ([[1.0, 9.0]], 9.0, "spike at 9.0 ms, outside 0 to 9 ms"),
        ([[1.0]], np.inf, "duration_ms must be finite"),
        ([[2.0, 1.0]], 9.0, "sort the times"),
    ):
        with pytest.raises(ValueError, match=said):
            measure(trains, window)
