"""Recordings put together against the recording of one run."""

from dataclasses import fields, replace

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.amos import conversion as amos
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.models.schemes.noise import conversion as noise
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.models.spiking.merging import merged
from ann2brian.models.spiking.recording import COLUMNS

from tests.support.networks import everything, images_for, noisy, pooled_network
from tests.support.recordings import layer, recording_of

WALL_TIMES = {"build_s", "run_s", "loop_s"}


def assert_equal(one, other, *, but=WALL_TIMES):
    """Every field of two recordings, bit for bit."""
    for field in fields(one):
        if field.name not in but:
            assert_same_values(getattr(one, field.name), getattr(other, field.name), field.name)


def assert_same_values(one, other, name):
    if isinstance(one, dict):
        assert list(one) == list(other), name
        one, other = tuple(one.values()), tuple(other.values())
    if isinstance(one, tuple) and one and isinstance(one[0], np.ndarray):
        assert len(one) == len(other), name
        for pair in zip(one, other, strict=True):
            assert np.array_equal(*pair) and pair[0].dtype == pair[1].dtype, name
    elif name == "spikes" and one is not None:
        for column in COLUMNS:
            assert np.array_equal(getattr(one, column), getattr(other, column)), column
    elif isinstance(one, np.ndarray):
        assert np.array_equal(one, other) and one.dtype == other.dtype, name
    else:
        assert one == other, name


@pytest.fixture(scope="module")
def spiking():
    network = everything()
    images = images_for(network, 11)
    return amos.convert(network, AmosOptions(neurons_per_gate=4), images).spiking, images


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("record", [True, ("act1", "act3"), ()], ids=str)
def test_merged_equals_one_run(spiking, pipelined, record):
    """Runs of 4, 1 and 6 images against one of all 11, every field bit for bit."""
    network, images = spiking
    settings = {"target": "numpy", "record": record, "batch": 3, "pipelined": pipelined}
    whole = simulate(network, images, **settings)
    parts = [simulate(network, part, **settings) for part in np.split(images, (4, 5))]
    joined = merged(parts)
    assert_equal(joined, whole)
    for name in WALL_TIMES:
        assert getattr(joined, name) == sum(getattr(part, name) for part in parts)


def test_place_in_the_data_set():
    """A run in parts that is told where its images stand against one that is not.

    Without random numbers it changes nothing: spikes, and what enters in each step, are numbered
    within the run.
    """
    network = everything()
    images = images_for(network, 20)
    network = burst.convert(network, BurstOptions(n_steps=4), images).spiking
    sequences = images.reshape(5, 4, *images.shape[1:])
    settings = {"target": "numpy", "record": True, "batch": 1, "jobs": 2}
    one, other = (simulate(network, sequences, first_image=n, **settings) for n in (0, 100))
    assert_equal(one, other)
    assert one.spikes.image.max() == 4


def test_one_is_itself():
    """A single recording against itself."""
    one = recording_of([(0, 0, 1, 2)])
    assert merged([one]) is one


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"network": "another"}, "network is handmade in the one and another in the other"),
        ({"period": 3}, "period is 20 in the one and 3"),
        ({"layers": (layer("x"),)}, "layers is"),
        ({"spikes": None}, "whether spike trains were kept is True in the one and False"),
        ({"scores": np.zeros((2, 2, 3))}, r"scores, steps and classes, is \(1, 3\) .* \(2, 3\)"),
        ({"events_by_step": {"a->b": np.zeros(2)}}, "events_by_step is of .* and of a->b"),
        ({"traces": {"act1": np.zeros((1, 2))}}, "recording 1 holds membrane traces of act1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_recordings_that_do_not_fit(changes, said):
    """Recordings that differ in one thing against the message that names it."""
    one = recording_of([(0, 0, 1, 2)])
    with pytest.raises(ValueError, match=said):
        merged([one, replace(one, **changes)])


def test_none_at_all():
    """No recordings against the message."""
    with pytest.raises(ValueError, match="no recordings"):
        merged([])


def test_random_numbers_of_a_part():
    """Noisy neurons run in two parts against the same parts of one run, and another place."""
    network = noisy(pooled_network())
    images = images_for(network, 6)
    spiking = noise.convert(network, NoiseOptions(n_steps=3, rule="memoryless")).spiking
    settings = {"target": "numpy", "record": True, "batch": 3}
    whole = simulate(spiking, images, jobs=2, **settings)
    parts = [simulate(spiking, images[k : k + 3], first_image=k, **settings) for k in (0, 3)]
    assert_equal(merged(parts), whole)
    elsewhere = simulate(spiking, images[:3], first_image=3, **settings)
    assert not np.array_equal(elsewhere.scores, parts[0].scores)
