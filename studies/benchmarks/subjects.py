"""Networks that are measured, and their images: written to files that every contender reads.

A contender may be an earlier release of this project or another library, so that networks travel
as weight files and images as arrays, not as objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ann2brian.models.networks import datasets
from ann2brian.models.networks.layers import (
    Activation,
    Add,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool2D,
)
from ann2brian.models.networks.network import InputCoding, Network, accuracy
from ann2brian.models.networks.weight_files import load_network, save_network, trained

CALIBRATION = 512  # training images; of random networks fewer random ones
RANDOM_CALIBRATION = 32
CLASSES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network and where its images come from.

    Parameters
    ----------
    name : str
        As tables and figures call it.
    network : str or callable
        A shipped network, or a function that makes one.
    dataset : str, optional
        Of the images; without it they are random.
    brightness : float
        Factor of random images: less light, fewer spikes.
    """

    name: str
    network: str | Callable[[], Network]
    dataset: str | None = None
    brightness: float = 1.0

    def store(self, folder: Path, n_images: int, data: Path | None) -> dict[str, str]:
        """Write network, images, labels and calibration images; paths by what they hold."""
        if isinstance(self.network, str):
            weights = trained(self.network)
        else:
            made = self.network()
            weights = folder / f"{made.name}.safetensors"
            if not weights.exists():
                save_network(made, weights)
        network = load_network(weights)
        images = folder / f"{network.name}-{n_images}-{self.brightness:g}.npz"
        if not images.exists():
            arrays = self._images(network, n_images, data)
            right = accuracy(network.forward(arrays["images"]), arrays["labels"])
            np.savez(images, ann_accuracy=np.float64(right), **arrays)  # type: ignore[arg-type]
        return {"network": str(weights), "images": str(images)}

    def _images(self, network: Network, n: int, data: Path | None) -> dict[str, np.ndarray]:
        if self.dataset is None:
            most = int(network.input.maximum)
            rng = np.random.default_rng(1)
            drawn = rng.integers(0, most + 1, (n + RANDOM_CALIBRATION, *network.input.shape))
            images = np.round(self.brightness * drawn[:n]).astype(np.int64)
            labels = network.forward(images).argmax(axis=1)
            return {"images": images, "labels": labels, "calibration": drawn[n:]}
        training, _ = datasets.load(self.dataset, "train", data)
        images, labels = datasets.load(self.dataset, "test", data)
        if n > len(images):
            raise ValueError(f"{self.dataset} has {len(images)} test images, {n} are asked for")
        return {"images": images[:n], "labels": labels[:n], "calibration": training[:CALIBRATION]}


class _Chain:
    """Layers with random weights (He et al. 2015), one after another."""

    def __init__(self, name: str, shape: tuple[int, int, int]) -> None:
        self.name, self.shape = name, shape
        self.layers: list[Layer] = []
        self.last, self.channels = "input", shape[2]
        self._rng = np.random.default_rng(0)

    def put(self, kind: Callable[..., Layer], *arrays: np.ndarray, **more: Any) -> str:
        """Append a layer that sees the last one, or `inputs`; returns its name."""
        name = f"{kind.__name__.lower()}{len(self.layers)}"
        inputs = more.pop("inputs", (self.last,))
        self.layers.append(kind(name, inputs, *arrays, **more))
        self.last = name
        return name

    def convolve(self, channels: int, size: int = 3, stride: int = 1) -> str:
        """Append a convolution that keeps the map, or halves it."""
        kernel = self._weights(size, size, self.channels, channels)
        sides = (size // 2,) * 4
        self.channels = channels
        return self.put(Conv2D, kernel, np.zeros(channels), stride=(stride, stride), padding=sides)

    def rectify(self) -> str:
        """Append a ReLU."""
        return self.put(Activation, function="relu")

    def classify(self, n_features: int) -> Network:
        """Append the classes and return the network."""
        self.put(Dense, self._weights(n_features, len(CLASSES)), np.zeros(len(CLASSES)))
        n = self.shape[2]
        coding = InputCoding(self.shape, 255, np.full(n, 1 / 255), np.zeros(n))
        return Network(self.name, coding, tuple(self.layers), CLASSES)

    def _weights(self, *shape: int) -> np.ndarray:
        return self._rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))


def stack(depth: int, size: int, channels: int) -> Network:
    """Random convolutions in a row, for growth with depth and with neurons."""
    chain = _Chain(f"stack-{depth}-{size}-{channels}", (size, size, 1))
    for _ in range(depth):
        chain.convolve(channels)
        chain.rectify()
    chain.put(GlobalAvgPool)
    return chain.classify(channels)


def six_layers() -> Network:
    """Six layers on 32×32×3: 64-64-M-128-128-M-128 and the classes; random weights."""
    chain = _Chain("six-layers", (32, 32, 3))
    for step in (64, 64, "M", 128, 128, "M", 128):
        if step == "M":
            chain.put(MaxPool2D)
        else:
            chain.convolve(int(step))
            chain.rectify()
    chain.put(Flatten)
    return chain.classify(8 * 8 * 128)


def residual() -> Network:
    """The shape of ResNet-20 (He et al. 2016) on 32×32×3, without batch normalisation."""
    chain = _Chain("residual", (32, 32, 3))
    chain.convolve(16)
    chain.rectify()
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            before, n_before = chain.last, chain.channels
            chain.convolve(channels, stride=stride)
            chain.rectify()
            main = chain.convolve(channels)
            if stride == 2:
                chain.last, chain.channels = before, n_before
                before = chain.convolve(channels, size=1, stride=2)
            chain.put(Add, inputs=(main, before))
            chain.rectify()
    chain.put(GlobalAvgPool)
    return chain.classify(64)


FASHION = "fashion-mnist"
LENET5 = Subject(name="LeNet-5", network="fashion-lenet5-max", dataset=FASHION)
CAFFE = Subject(name="Caffe LeNet", network="fashion-caffe-max", dataset=FASHION)
CAFFE_AVERAGE = Subject(
    name="Caffe LeNet, average pooling", network="fashion-lenet", dataset=FASHION
)
SIX_LAYERS = Subject(name="six-layer CNN", network=six_layers)
RESIDUAL = Subject(name="ResNet-20 shape", network=residual)
DIGITS = Subject(name="digits", network="digits-burst", dataset="digits")
DIGITS_GATES = Subject(name="digits, gates", network="digits-relu", dataset="digits")
