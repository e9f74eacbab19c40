"""Networks and images as every contender reads them."""

import numpy as np
import pytest
from ann2brian.models.networks.datasets import load
from ann2brian.models.networks.weight_files import load_network
from ann2brian.studies.benchmarks import subjects
from ann2brian.studies.benchmarks.subjects import Subject


def stored(subject, folder, n=4):
    """Network and arrays of the files."""
    files = subject.store(folder, n, None)
    return load_network(files["network"]), np.load(files["images"])


def test_stored_images_are_those_of_the_data_set(tmp_path):
    """Digits in the file against the data set, labels and accuracy included."""
    network, arrays = stored(subjects.DIGITS, tmp_path, 50)
    images, labels = load("digits", "test")
    assert np.array_equal(arrays["images"], images[:50])
    right = network.forward(images[:50]).argmax(axis=1) == labels[:50]
    assert arrays["ann_accuracy"] == right.mean()
    with pytest.raises(ValueError, match="digits has 540 test images, 1000 are asked for"):
        subjects.DIGITS.store(tmp_path, 1000, None)


@pytest.mark.parametrize(
    ("make", "units"),
    [
        (subjects.six_layers, 2 * 64 * 32**2 + 64 * 16**2 + 2 * 128 * 16**2 + 2 * 128 * 8**2),
        (subjects.residual, 7 * 16 * 32**2 + 6 * 32 * 16**2 + 6 * 64 * 8**2),
    ],
)
def test_random_networks_have_the_units_of_their_models(make, units):
    """Outputs of ReLU and max pooling against a count by hand."""
    network = make()
    spiking = [x for x in network.layers if type(x).__name__ in ("Activation", "MaxPool2D")]
    assert sum(np.prod(network.shapes[layer.name]) for layer in spiking) == units


def test_random_networks_do_not_die(tmp_path):
    """Activity of every layer of a deep random network; the same file each time."""
    subject = Subject(name="deep", network=lambda: subjects.stack(16, 8, 8))
    network, arrays = stored(subject, tmp_path)
    activations = network.forward(arrays["images"])
    assert np.isfinite(activations).all()
    assert activations.std() > 1e-3
    again, _ = stored(subject, tmp_path / "again")
    assert np.array_equal(again.layers[0].kernel, network.layers[0].kernel)


def test_brightness_dims_the_images(tmp_path):
    """Images of half the light against half the values, calibration unchanged."""
    network = lambda: subjects.stack(1, 4, 2)  # noqa: E731
    _, full = stored(Subject(name="s", network=network), tmp_path)
    _, half = stored(Subject(name="s", network=network, brightness=0.5), tmp_path)
    assert np.abs(half["images"] - full["images"] / 2).max() <= 0.5
    assert np.array_equal(half["calibration"], full["calibration"])
