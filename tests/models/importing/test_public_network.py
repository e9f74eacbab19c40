"""The ResNet-8 of MLPerf Tiny, trained by others: pixels as they are, TensorFlow's padding."""

import numpy as np
import pytest
from ann2brian.models.importing import keras_files, keras_oracle
from ann2brian.models.importing.from_keras import from_keras
from ann2brian.models.networks import datasets
from ann2brian.models.networks.network import accuracy

from tests.support.with_files import public_network

pytest.importorskip("h5py", reason="h5py is not installed")
NAME = "mlperf-tiny-resnet8-cifar10.h5"
pytestmark = pytest.mark.filterwarnings("ignore:.*(left out|not compared|a guess)")


def test_one_call_reads_it():
    """Where Keras is installed, each layer is compared on the way."""
    network = from_keras(public_network(NAME), pixel_scale=255)
    assert network.input.shape == (32, 32, 3) and len(network.classes) == 10
    assert network.n_parameters == 78_186  # without the statistics of batch norm
    strided = [layer for layer in network.layers if getattr(layer, "stride", ()) == (2, 2)]
    assert {layer.padding for layer in strided} == {(0, 1, 0, 1), (0, 0, 0, 0)}


def test_logits_are_those_of_keras():
    """On random images; those that the reader compared were others."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("keras", reason="Keras is not installed")
    path = public_network(NAME)
    images = np.random.default_rng(3).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    network = from_keras(path, pixel_scale=255)
    with keras_files.opened(path) as file:
        theirs = keras_oracle.values(path, file.structure, file.version, images.astype(float))
    np.testing.assert_allclose(network.forward(images), theirs[""], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_accuracy_on_cifar_10():
    """1,000 test images."""
    path = public_network(NAME)
    try:
        images, labels = datasets.load("cifar-10", "test")
    except (OSError, ValueError) as error:
        pytest.skip(f"CIFAR-10 is not here ({error})")
    network = from_keras(path, images[:64], pixel_scale=255)
    assert 0.875 < accuracy(network.forward(images[:1000]), labels[:1000]) < 0.895
