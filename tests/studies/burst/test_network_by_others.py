"""A network that others trained, from its file to spikes: the ResNet-8 of MLPerf Tiny.

Its file stands in ``ANN2BRIAN_NETWORKS``, or in ``networks`` beside the folder of the data sets.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks.dataset_files import DatasetError
from ann2brian.models.networks.network import accuracy
from ann2brian.models.networks.weight_files import load_network
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies import import_network

import ann2brian as ab
from tests.support.with_files import keras_or_skip

N_IMAGES = 200
ACCURACY = 0.89  # in its own framework, on the first 500 test images, to half a point


def network_file():
    beside = Path(os.environ.get("ANN2BRIAN_DATA", ".")).resolve().parent / "networks"
    folder = Path(os.environ.get("ANN2BRIAN_NETWORKS", beside))
    path = folder / "mlperf-tiny-resnet8-cifar10.h5"
    if not path.is_file():
        pytest.skip(f"{path}: no such file")
    return path


def images(split, n):
    folder = os.environ.get("ANN2BRIAN_DATA")
    if folder is None or not (Path(folder) / "cifar-10-batches-bin").is_dir():
        pytest.skip("no CIFAR-10 in ANN2BRIAN_DATA")
    try:
        found, labels = datasets.load("cifar-10", split)
    except DatasetError as error:
        pytest.skip(str(error))
    return found[:n], labels[:n]


@pytest.mark.slow
def test_resnet_of_others_keeps_its_accuracy(tmp_path):
    """One command, then AMOS and burst neurons in C++, against the trained network's accuracy."""
    keras_or_skip()
    path, (training, _), (test, labels) = network_file(), images("train", 512), images("test", 500)
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
        (BurstOptions(n_steps=16, bias_correction=True, channel_wise=True), 0.01),
    ):
        conversion = ab.convert(network, options, training)
        run = simulate(conversion.spiking, test[:N_IMAGES], target="cpp_standalone")
        assert accuracy(run.scores[:, -1], labels[:N_IMAGES]) >= trained - loss
