"""Recordings of spikes that a test chooses, without a simulation, and packages to hand them on."""

import numpy as np
import pytest
from ann2brian.models.spiking.recording import COLUMNS, RecordedLayer, Recording, Spikes
from hypothesis import strategies as st


def layer(name="act1", shape=(2, 3, 4), n_positions=1):
    return RecordedLayer(name=name, shape=shape, n_positions=n_positions, onset=0)


LAYERS = (layer(),)


def spikes_of(rows):
    """Spikes of rows of (image, layer, neuron, step)."""
    columns = np.array(list(rows), dtype=np.int64).reshape(-1, 4).T
    return Spikes.of([Spikes(**dict(zip(COLUMNS, columns, strict=True)))])


def recording_of(rows, layers=LAYERS, *, n_images=2, n_steps=20, dt_ms=1.0, kept=None):
    """A recording of rows of (image, layer, neuron, step); of the layers `kept`, or of all."""
    spikes = spikes_of(rows)
    counts = tuple(
        np.bincount(spikes.neuron[spikes.layer == k], minlength=x.n_neurons).reshape(
            x.n_positions, -1
        )
        for k, x in enumerate(layers)
    )
    if kept is not None:
        spikes = spikes.where(np.isin(spikes.layer, kept))
    return Recording(
        scheme="burst",
        network="handmade",
        layers=tuple(layers),
        n_images=n_images,
        dt_ms=dt_ms,
        phase_steps=1,
        period=n_steps,
        scores=np.arange(3.0 * n_images).reshape(n_images, 1, 3) % 5,
        readout_onset=n_steps - 2,
        readout_every=1,
        spike_counts=counts,
        most_spikes=1,
        events_by_step={},
        spikes_by_step={},
        spikes=spikes,
        traces={},
        end_potentials={},
        build_s=0.0,
        run_s=0.0,
        loop_s=0.0,
    )


STEPS_MS = st.one_of(
    st.sampled_from([0.1, 0.3, 0.25, 1.0, 2.0, 1 / 3, 0.0625]), st.floats(2e-3, 50.0)
)


@st.composite
def recordings(draw):
    """Recordings of random layers, images and steps; any number of spikes, several at the end."""
    layers = tuple(
        layer(f"act{k}", draw(st.tuples(*[st.integers(1, 3)] * 3)), draw(st.integers(1, 3)))
        for k in range(draw(st.integers(1, 3)))
    )
    n_images, last = draw(st.integers(1, 4)), draw(st.integers(0, 2000))
    which = st.integers(0, len(layers) - 1)
    step = st.one_of(st.just(last), st.just(0), st.integers(0, last))
    row = which.flatmap(
        lambda k: st.tuples(
            st.integers(0, n_images - 1), st.just(k), st.integers(0, layers[k].n_neurons - 1), step
        )
    )
    rows = draw(st.sets(row, max_size=60))
    return recording_of(rows, layers, n_images=n_images, n_steps=last + 1, dt_ms=draw(STEPS_MS))


def assert_same(spikes, wanted):
    for name in COLUMNS:
        assert np.array_equal(getattr(spikes, name), getattr(wanted, name)), name


def package_or_skip(name):
    """A package that spike trains are handed on to."""
    return pytest.importorskip(name, reason=f"{name} is not installed")
