"""A network that others trained, from its file to spikes: the ResNet-8 of MLPerf Tiny."""

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks.network import accuracy
from ann2brian.models.networks.weight_files import load_network
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies import import_network

import ann2brian as ab
from tests.support.with_files import keras_or_skip, public_network

N_IMAGES = 200
ACCURACY = 0.89  # in its own framework, on the first 500 test images, to half a point


def images(split, n):
    try:
        found, labels = datasets.load("cifar-10", split)
    except (OSError, ValueError) as error:
        pytest.skip(f"CIFAR-10 is not here ({error})")
    return found[:n], labels[:n]


@pytest.mark.slow
def test_resnet_of_others_keeps_its_accuracy(tmp_path):
    """One command, then AMOS and burst neurons in C++, against the trained network's accuracy."""
    keras_or_skip()
    path = public_network("mlperf-tiny-resnet8-cifar10.h5")
    (training, _), (test, labels) = images("train", 512), images("test", 500)
    sample = tmp_path / "sample.npz"
    np.savez(sample, images=training[:64])
    out = tmp_path / "resnet8.safetensors"
    flags = ["--images", str(sample), "--pixel-scale", "255", "--out", str(out)]
    import_network.main([str(path), *flags])
    network = load_network(out)
    logits = network.forward(test)
    assert accuracy(logits, labels) == pytest.approx(ACCURACY, abs=0.005)
    trained = accuracy(logits[:N_IMAGES], labels[:N_IMAGES])
    for options, loss in (
        (AmosOptions(neurons_per_gate=8), 0.005),
        (BurstOptions(n_steps=16, gamma=8, channel_wise=True, bias_correction=True), 0.01),
    ):
        conversion = ab.convert(network, options, training)
        run = simulate(conversion.spiking, test[:N_IMAGES], target="cpp_standalone")
        assert accuracy(run.scores[:, -1], labels[:N_IMAGES]) >= trained - loss
