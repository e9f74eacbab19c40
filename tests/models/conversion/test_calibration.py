"""Order statistics that come batch by batch, against the sorted values; memory; what is refused."""

import hashlib
import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.conversion import calibration
from ann2brian.models.conversion.calibration import (
    BATCH,
    ChannelOrderStatistic,
    Magnitude,
    OrderStatistics,
    Outside,
    Percentile,
    Range,
    read,
)
from ann2brian.models.networks import datasets
from ann2brian.models.networks.layers import Activation, Dense, Flatten
from ann2brian.models.networks.network import Network
from hypothesis import given, settings
from hypothesis import strategies as st

from ann2brian import AmosOptions, BurstOptions, convert, load_network, trained
from tests.support.networks import CLASSES, coding, conv, dense, images_for, pooled_network

EXTREMES = [0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, 1.7976931348623157e308, 1.0, -1.0]


def presented(reading, batches):
    """Passes that a reading takes."""
    for n_passes in range(1, 10):
        for values in batches:
            before = values.copy()
            reading.add(values)
            assert np.array_equal(values, before)
        if reading.end_pass():
            return n_passes
    raise AssertionError("never ends")


@st.composite
def drawn(draw):
    """Batches of shape (n, 1, 1, C): normal values, few different ones, or extreme ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    n, n_channels = sum(sizes), draw(st.integers(1, 4))
    values = {
        "normal": lambda: rng.normal(size=(n, 1, 1, n_channels)),
        "wide": lambda: rng.normal(size=(n, 1, 1, n_channels)) ** 61,
        "rectified": lambda: np.maximum(rng.normal(size=(n, 1, 1, n_channels)), 0.0),
        "ties": lambda: rng.integers(-2, 3, (n, 1, 1, n_channels)) / 3,
        "extreme": lambda: rng.choice(EXTREMES, (n, 1, 1, n_channels)),
    }[draw(st.sampled_from(["normal", "wide", "rectified", "ties", "extreme"]))]()
    return np.split(values, np.cumsum(sizes)[:-1])


@pytest.mark.parametrize("most_kept", [3, 2**18])
@given(drawn(), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_elements_of_the_sorted_values(most_kept, batches, place):
    """Every rank, also of each channel, against np.sort; ties, negative and extreme values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "KEPT", most_kept)
        patch.setattr(calibration, "LEAST_KEPT", min(most_kept, 2**12))
        values = np.concatenate(batches)
        n, n_channels = values.size, values.shape[3]
        rank = min(int(place * n), n - 1)
        reading = OrderStatistics(n, (rank, 0, n - 1))
        n_passes = presented(reading, batches)
        assert n_passes == 1 if most_kept > n else n_passes <= 7
        assert reading.values == list(np.sort(values, axis=None)[[rank, 0, n - 1]])
        rank //= n_channels
        channels = ChannelOrderStatistic(n // n_channels, n_channels, rank)
        presented(channels, batches)
        assert np.array_equal(channels.values, np.sort(values, axis=0)[rank, 0, 0])


@pytest.mark.parametrize("most_kept", [3, 2**18])
@given(drawn(), st.sampled_from([0, 0.1, 1, 10, 25, 50, 70, 90, 99, 99.9, 99.99, 100]))
@settings(max_examples=60, deadline=None)
def test_percentiles(most_kept, batches, percent):
    """Bit for bit NumPy's percentile, and how many values are above it."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore", invalid="ignore"):
        patch.setattr(calibration, "KEPT", most_kept)
        patch.setattr(calibration, "LEAST_KEPT", min(most_kept, 2**12))
        values = np.concatenate(batches)
        reading = Percentile(values.size, percent)
        presented(reading, batches)
        wanted = np.percentile(values, percent)
        assert np.isfinite(wanted)
        assert reading.value == wanted
        assert reading.n_above == np.count_nonzero(values > wanted)


def test_percentiles_of_many_values():
    """A layer's usual size, where the largest of each batch are kept or counted."""
    rng = np.random.default_rng(0)
    batches = np.split(rng.normal(size=(100, 20, 20, 16)), 10)
    values = np.concatenate(batches)
    for percent, n_passes in ((99.9, 1), (50.0, 2), (2.0, 2)):
        reading = Percentile(values.size, percent)
        assert presented(reading, batches) == n_passes
        assert reading.value == np.percentile(values, percent)
        assert reading.n_above == np.count_nonzero(values > reading.value)


@given(drawn(), st.sampled_from([30.0, 50.0, 90.0, 99.0, 99.99, 100.0]))
@settings(max_examples=60, deadline=None)
def test_range_without_its_extremes(batches, percent):
    """Both ends against the sorted values, as many of which are beyond either; in one pass."""
    values = np.sort(np.concatenate(batches), axis=None)
    reading = Range(values.size, percent)
    assert presented(reading, batches) == 1
    n_beyond = values.size - int(np.ceil(values.size * percent / 100))
    assert reading.ends == (values[n_beyond], values[-1 - n_beyond])
    whole = Range(values.size, 100.0)
    presented(whole, batches)
    assert whole.ends == (values.min(), values.max())


def test_values_outside_of_a_range():
    """The ends are inside."""
    reading = Outside(-1.0, 2.0)
    for values in ([-1.0, 2.0, 0.0], [-1.1, 2.1, np.nextafter(2.0, 3.0)]):
        reading.add(np.array(values).reshape(-1, 1, 1, 1))
        assert reading.end_pass()
    assert reading.count == 3


@pytest.mark.parametrize("n_images", [1, BATCH - 1, BATCH, 2 * BATCH + 5])
def test_readings_of_a_network_are_those_of_its_outputs(n_images):
    """Batches against all images at once; an altered output goes on to later layers."""
    network = pooled_network()
    images = images_for(network, n_images)
    values = network.activations(images)
    readings = {
        name: [Percentile(found.size, 99.0), Percentile(found.size, 40.0), Outside(-0.5, 0.5)]
        for name, found in values.items()
    }
    read(network, images, readings)
    for name, (high, low, outside) in readings.items():
        assert high.value == np.percentile(values[name], 99.0), name
        assert low.value == np.percentile(values[name], 40.0), name
        assert outside.count == np.count_nonzero(np.abs(values[name]) > 0.5), name

    def halved(layer, found):
        return found / 2 if layer.name == "act1" else found

    (size,) = {values["pool1"].size}
    after = Percentile(size, 99.0)
    read(network, images, {"pool1": [after]}, halved)
    assert after.value == np.percentile(values["pool1"] / 2, 99.0)


def test_layers_after_the_last_reading_are_not_computed(monkeypatch):
    """Nor anything more once all is known."""
    network = pooled_network()
    computed = []
    apply = Activation.apply
    monkeypatch.setattr(
        Activation, "apply", lambda self, *v: (computed.append(self.name), apply(self, *v))[1]
    )
    read(network, images_for(network, 3), {"act2": [Outside(0.0, 1.0)], "act3": []})
    assert computed == ["act1", "act2"]


def wide_network():
    """A few layers whose outputs are large beside the image."""
    rng = np.random.default_rng(0)
    layers = (
        conv(rng, "conv1", "input", (3, 3), 1, 16, padding=(1, 1)),
        Activation("act1", ("conv1",), "relu"),
        conv(rng, "conv2", "act1", (3, 3), 16, 16, padding=(1, 1)),
        Activation("act2", ("conv2",), "relu"),
        Flatten("flat", ("act2",)),
        dense(rng, "out", "flat", 16 * 256, 5),
    )
    return Network("wide", coding((16, 16, 1)), layers, CLASSES)


@pytest.mark.parametrize(
    "options",
    [
        AmosOptions(),
        BurstOptions(),
        BurstOptions(normalisation="percentile", percentile=60.0, channel_wise=True),
        BurstOptions(own_limits=True, n_steps=2),
    ],
)
def test_memory_does_not_grow_with_the_images(options, monkeypatch):
    """Peak of a conversion for n and 8 n images, with few values kept and with many."""
    monkeypatch.setattr(calibration, "KEPT", 2**12)
    require_constant_memory(wide_network(), options)


def test_memory_of_fits_does_not_grow_with_the_images(monkeypatch):
    """The same with a range to be read; pieces of the next layer's size would be many values."""
    monkeypatch.setattr(calibration, "KEPT", 2**12)
    network = wide_network()
    curved = replace(network.layer("act2"), function="sigmoid")
    layers = tuple(curved if layer.name == "act2" else layer for layer in network.layers)
    require_constant_memory(replace(network, layers=layers), BurstOptions(pieces=1))


def require_constant_memory(network, options):
    images = images_for(network, 8 * BATCH).astype(np.uint8)
    peaks = []
    for n_images in (BATCH, 8 * BATCH):
        some = images[:n_images]
        tracemalloc.start()
        convert(network, options, some)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    largest_batch = BATCH * 16 * 256 * 8  # bytes; all at once would be 8 times as many a layer
    assert peaks[1] < 10 * largest_batch


def test_forward_frees_what_no_later_layer_needs():
    """A deep network holds no more than a shallow one."""
    rng = np.random.default_rng(0)
    peaks = []
    for depth in (4, 40):
        names = ["input", *(f"act{i}" for i in range(depth))]
        layers = [Activation(b, (a,), "relu") for a, b in itertools.pairwise(names)]
        layers += [Flatten("flat", (names[-1],)), dense(rng, "out", "flat", 64 * 64, 5)]
        network = Network("deep", coding((64, 64, 1)), tuple(layers), CLASSES)
        images = images_for(network, 64)
        tracemalloc.start()
        network.forward(images)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_outputs_are_the_activations():
    """The same names and values, in order; shortcuts survive until they are used."""
    network = pooled_network()
    images = images_for(network, 5)
    values = network.activations(images)
    assert list(values) == list(network.shapes)
    for name, found in network.outputs(images):
        assert np.array_equal(found, values[name])


def test_refused_values():
    """Values that are not finite, by layer; images out of range, as everywhere."""
    network = pooled_network()
    layer = network.layers[-1]
    assert isinstance(layer, Dense)
    huge = replace(layer, kernel=np.full_like(layer.kernel, 1.7e308))
    network = replace(network, layers=(*network.layers[:-1], huge))
    images = images_for(network, 3)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ValueError, match=r"'pooled': .* in 'out' that are not finite"),
    ):
        read(network, images, {"out": [Outside(0.0, 1.0)]})
    images[2, 1, 0, 1] = 16
    with pytest.raises(ValueError, match=r"image 2 holds 16 .*\(1, 0, 1\).*1 of 3 images"):
        read(network, images, {"out": [Outside(0.0, 1.0)]})


OWN_LIMITS = BurstOptions(
    own_limits=True, n_steps=8, gamma=9, normalisation="percentile", percentile=97.0
)
# Digests of weights, thresholds and limits as they were when all outputs were held at once.
STORED = {
    ("digits-relu", AmosOptions()): "ccc36956fa8a2334",
    ("digits-relu", AmosOptions(range_percentile=90.0, neurons_per_gate=4)): "08346abc144ef3d4",
    ("digits-silu", AmosOptions()): "466377a9de6aba73",
    ("digits-burst", BurstOptions()): "a381a2f4140c63d9",
    ("digits-burst", BurstOptions(percentile=90.0, channel_wise=True)): "6ca18df6104f93c0",
    ("digits-burst", BurstOptions(normalisation="maximum")): "ad196a4d7cd5d431",
    (
        "digits-burst",
        BurstOptions(normalisation="compatibility", percentile=99.0),
    ): "fb8ed8725d3a2ae0",
    ("digits-burst", OWN_LIMITS): "5b4a75a6a0583a04",
}


@pytest.mark.parametrize(("name", "options"), STORED)
def test_conversions_are_those_of_all_outputs_at_once(name, options):
    """Numbers on their grids, so that they are the same on every processor."""
    images, _ = datasets.load("digits", "train")
    conversion = convert(load_network(trained(name)), options, images[:200])
    digest = hashlib.sha256()
    for projection in conversion.spiking.projections:
        digest.update(np.ascontiguousarray(getattr(projection, "kernel", 0.0)).tobytes())
    for population in conversion.spiking.populations:
        for _, array in sorted(population.parameters.items()):
            digest.update(np.ascontiguousarray(array).tobytes())
    if isinstance(options, AmosOptions):
        digest.update(repr(sorted(conversion.out_of_range.items())).encode())
    assert digest.hexdigest()[:16] == STORED[name, options]


def test_magnitude_is_the_largest_absolute_value():
    """Over batches, of either sign, against NumPy."""
    values = np.random.default_rng(0).normal(size=(3, 4, 2, 2, 3))
    for sign in (1, -1):
        reading = Magnitude()
        for batch in sign * values:
            reading.add(batch)
        assert reading.end_pass()
        assert reading.value == np.abs(values).max()
