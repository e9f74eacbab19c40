"""Networks that are trained, as PyTorch modules; schemes share them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ann2brian.models.pytorch.binary_conv import BinaryConv2d
from ann2brian.models.pytorch.units import (
    MeanOverSteps,
    NoisySpike,
    RepeatSteps,
    Residual,
    set_steps,
)
from torch import nn

LEAK = 0.5  # of locally binary networks; matters from the second step on


def digits_net(
    activation: Callable[[], nn.Module], pooling: Callable[[int], nn.Module] = nn.AvgPool2d
) -> nn.Module:
    """Return a convolutional network for 8x8 images with 1152 hidden units.

    Parameters
    ----------
    activation : callable
        Makes one of the hidden layers, e.g. nn.ReLU.
    pooling : callable
        Makes a pooling layer for windows of the given size, e.g. nn.MaxPool2d.

    Returns
    -------
    nn.Module
        Untrained.
    """
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        activation(),
        pooling(2),
        nn.Conv2d(12, 24, 3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        activation(),
        pooling(2),  # 2x2 stay: where a stroke ends tells digits apart
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def fashion_net(activation: Callable[[], nn.Module]) -> nn.Module:
    """Return a convolutional network for 28x28 images with 18 816 hidden units.

    Few units, since each becomes several neurons: the first convolution already halves the image.

    Parameters
    ----------
    activation : callable
        Makes one of the hidden layers, e.g. nn.ReLU.

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


def pooled_fashion_net(activation: Callable[[], nn.Module]) -> nn.Module:
    """Return a convolutional network for 28x28 images with max pooling and 14 688 hidden units.

    Parameters
    ----------
    activation : callable
        Makes one of the hidden layers, e.g. nn.ReLU.

    Returns
    -------
    nn.Module
        Untrained.
    """

    def block(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
        return [*_normalised(n_in, n_out, size, stride), activation()]

    return nn.Sequential(
        *block(1, 24, size=5, stride=2),
        *block(24, 24),
        nn.MaxPool2d(2),
        *block(24, 48),
        *block(48, 48),
        nn.MaxPool2d(2),  # 7x7 becomes 3x3
        *block(48, 64),
        nn.Flatten(),
        nn.Linear(576, 10),
    )


def lenet(pooling: Callable[[int], nn.Module] = nn.AvgPool2d) -> nn.Module:
    """Return the LeNet of Caffe's MNIST example, for benchmarks.

    Parameters
    ----------
    pooling : callable
        Makes a pooling layer for windows of the given size; the original has nn.MaxPool2d.

    Returns
    -------
    nn.Module
        Untrained; no batch normalisation.
    """
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.ReLU(),
        pooling(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        pooling(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


def lenet5() -> nn.Module:
    """Return LeNet-5 in today's form, with ReLU and max pooling, for benchmarks.

    Returns
    -------
    nn.Module
        Untrained; no batch normalisation.
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def spiking_net(
    activation: Callable[[], nn.Module], pooling: Callable[[int], nn.Module] = nn.AvgPool2d
) -> nn.Module:
    """Return a convolutional network for 28x28 images with 12 544 hidden units.

    Parameters
    ----------
    activation : callable
        Makes one of the hidden layers, e.g. `NoisySpike`.
    pooling : callable
        Makes a pooling layer for windows of the given size.

    Returns
    -------
    nn.Module
        Untrained.
    """

    def block(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
        return [*_normalised(n_in, n_out, size, stride), activation()]

    return nn.Sequential(
        *block(1, 16, size=5, stride=2),
        *block(16, 32),
        pooling(2),
        *block(32, 64),
        nn.Flatten(),
        nn.Linear(3136, 10),
    )


def gap_net(
    *blocks: tuple[int, int, int],
    n_in: int = 1,
    n_classes: int = 10,
    n_steps: int = 1,
    **form: str,
) -> nn.Module:
    """Return a convolutional network with a global-average-pooling head, for binary weights.

    Parameters
    ----------
    *blocks : (int, int, int)
        Channels, kernel size and stride of each spiking layer.
    n_in, n_classes : int
        Channels of the image, and classes.
    n_steps : int
        Time steps of the training.
    **form : str
        ``scale`` and ``gradient`` of `BinaryConv2d`.

    Returns
    -------
    nn.Module
        Untrained. Every convolution can be binary, that to the classes too.
    """
    parts: dict[str, nn.Module] = {}  # named like the layers of the converted network
    for number, (n_out, size, stride) in enumerate(blocks, start=1):
        parts[f"conv{number}"] = BinaryConv2d(
            n_in, n_out, size, stride=stride, padding=size // 2, **form
        )
        parts[f"norm{number}"] = nn.BatchNorm2d(n_out)
        if number == 1:
            parts["repeat"] = RepeatSteps()
        parts[f"spike{number}"] = NoisySpike(0.0, 0.0, leak=LEAK, reset="hard")
        n_in = n_out
    number = len(blocks) + 1
    parts[f"conv{number}"] = BinaryConv2d(n_in, n_classes, 1, **form)
    parts[f"norm{number}"] = nn.BatchNorm2d(n_classes)
    parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "mean": MeanOverSteps()}
    whole = nn.Sequential(OrderedDict(parts))
    set_steps(whole, n_steps)
    return whole


def resnet(
    activation: Callable[[], nn.Module], depth: int = 20, *, width: int = 16, n_in: int = 3
) -> nn.Module:
    """Return a residual network for 32x32 images; with 20 layers it has 188 416 hidden units.

    After He et al. (2016), "Deep residual learning for image recognition", for CIFAR-10: three
    stages of equally many blocks of two convolutions.

    DIFFERS: where a stage halves the map, the shortcut is a 1x1 convolution with batch
    normalisation (their option B); for CIFAR-10 they take every other place and fill up with zeros.

    Parameters
    ----------
    activation : callable
        Makes one of the hidden layers, e.g. nn.ReLU.
    depth : int
        Layers with weights, shortcuts aside: 2 more than a multiple of 6.
    width : int
        Channels of the first stage; the others have two and four times as many.
    n_in : int
        Channels of the image.

    Returns
    -------
    nn.Module
        Untrained; by default 270 896 weights.

    Raises
    ------
    ValueError
        For another depth.
    """
    n_blocks, rest = divmod(depth - 2, 6)
    if rest or n_blocks < 1:
        raise ValueError(f"a residual network has 8, 14, 20, ... layers, got depth {depth}")

    def block(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        first, second = _normalised(n_in, n_out, stride=stride), _normalised(n_out, n_out)
        is_same = stride == 1 and n_in == n_out
        shortcut = [nn.Identity()] if is_same else _normalised(n_in, n_out, 1, stride)
        body = nn.Sequential(*first, activation(), *second)
        return [Residual(body, shortcut[0] if is_same else nn.Sequential(*shortcut)), activation()]

    parts = [*_normalised(n_in, width), activation()]
    n = width
    for stage in range(3):
        for number in range(n_blocks):
            parts += block(n, width * 2**stage, stride=2 if stage and not number else 1)
            n = width * 2**stage
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, 10))


def vgg(
    activation: Callable[[], nn.Module],
    *stages: tuple[int, ...],
    n_in: int = 3,
    pooling: Callable[[int], nn.Module] = nn.MaxPool2d,
) -> nn.Module:
    """Return a network of 3x3 convolutions with pooling after each stage, for 32x32 images.

    After Simonyan and Zisserman (2015), "Very deep convolutional networks for large-scale image
    recognition", with batch normalisation and one fully connected layer, that of the classes.

    Parameters
    ----------
    activation : callable
        Makes one of the hidden layers, e.g. nn.ReLU.
    *stages : tuple of int
        Channels of the convolutions of each stage.
    n_in : int
        Channels of the image.
    pooling : callable
        Makes a pooling layer for windows of the given size.

    Returns
    -------
    nn.Module
        Untrained.
    """
    parts: list[nn.Module] = []
    for stage in stages:
        for n_out in stage:
            parts += [*_normalised(n_in, n_out), activation()]
            n_in = n_out
        parts.append(pooling(2))
    n_places = (32 // 2 ** len(stages)) ** 2
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(n_places * n_in, 10))


def _normalised(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the map, or halves it, and batch normalisation for its bias."""
    conv = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)
    return [conv, nn.BatchNorm2d(n_out)]


def with_steps(module: nn.Module, n_steps: int = 1) -> nn.Module:
    """Return a sequence of modules as a spiking network of several time steps.

    Parameters
    ----------
    module : nn.Sequential
        With `NoisySpike` activations.
    n_steps : int
        Time steps.

    Returns
    -------
    nn.Module
        The image drives the first spiking layer in every step; the scores are the mean.
    """
    parts = list(module.children())
    first = next(i for i, part in enumerate(parts) if isinstance(part, NoisySpike))
    whole = nn.Sequential(*parts[:first], RepeatSteps(), *parts[first:], MeanOverSteps())
    set_steps(whole, n_steps)
    return whole
