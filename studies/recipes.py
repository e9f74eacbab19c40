"""What is trained: one recipe for each shipped network.

Each scheme adds its own; :mod:`studies.train` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one network is built and trained.

    Parameters
    ----------
    scheme : str
        The conversion the network is meant for.
    dataset : str
        Name in `datasets.DATASETS`.
    build : callable
        Returns the untrained module.
    epochs, batch : int
        Passes over the training images, and images per step.
    learning_rate : float
        Peak of the one-cycle schedule (AdamW).
    weight_decay : float
        On kernels only, not on biases and batch normalisation.
    label_smoothing : float
        Fraction of the target spread over all classes.
    is_flipped : bool
        Whether half of the images are mirrored left to right.
    max_shift : int
        Largest random shift in pixels, along rows and columns.
    """

    scheme: str
    dataset: str
    build: Callable[[], nn.Module]
    epochs: int
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.0
    is_flipped: bool = False
    max_shift: int = 0


def digits_net(activation: type[nn.Module]) -> nn.Module:
    """Return a convolutional network for 8x8 images with 1152 hidden units.

    Parameters
    ----------
    activation : type
        Of the hidden units, e.g. nn.ReLU.

    Returns
    -------
    nn.Module
        Untrained.
    """
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        activation(),
        nn.AvgPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        activation(),
        nn.AvgPool2d(2),  # 2x2 stay: where a stroke ends tells digits apart
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def fashion_net(activation: type[nn.Module]) -> nn.Module:
    """Return a convolutional network for 28x28 images with 18 816 hidden units.

    Few units, since each becomes several neurons: the first convolution already halves the image.

    Parameters
    ----------
    activation : type
        Of the hidden units, e.g. nn.ReLU.

    Returns
    -------
    nn.Module
        Untrained.
    """
    return nn.Sequential(
        nn.Conv2d(1, 24, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(24),
        activation(),
        nn.Conv2d(24, 48, 3, padding=1, bias=False),
        nn.BatchNorm2d(48),
        activation(),
        nn.AvgPool2d(2),
        nn.Conv2d(48, 96, 3, padding=1, bias=False),
        nn.BatchNorm2d(96),
        activation(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def lenet() -> nn.Module:
    """Return the LeNet of Caffe's MNIST example, with average pooling, for benchmarks.

    Returns
    -------
    nn.Module
        Untrained; no batch normalisation.
    """
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


_DIGITS = Recipe(
    scheme="amos",
    dataset="digits",
    build=lambda: digits_net(nn.ReLU),
    epochs=80,
    batch=32,
    learning_rate=1e-2,
)
_FASHION = Recipe(
    scheme="amos",
    dataset="fashion-mnist",
    build=lambda: fashion_net(nn.ReLU),
    epochs=40,
    is_flipped=True,
    max_shift=1,
)

RECIPES: dict[str, Recipe] = {
    "digits-relu": _DIGITS,
    "digits-silu": replace(_DIGITS, build=lambda: digits_net(nn.SiLU)),
    "fashion-relu": _FASHION,
    "fashion-silu": replace(_FASHION, build=lambda: fashion_net(nn.SiLU), epochs=20),
    "fashion-lenet": replace(_FASHION, build=lenet, epochs=4, learning_rate=1.5e-3),
}
