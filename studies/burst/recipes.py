"""Networks trained for burst conversion."""

from __future__ import annotations

from dataclasses import replace

from ann2brian.models.pytorch.units import QCFS
from ann2brian.studies.training.architectures import (
    digits_net,
    lenet,
    lenet5,
    pooled_fashion_net,
    resnet,
    vgg,
)
from ann2brian.studies.training.recipe import Recipe
from torch import nn

_DIGITS = Recipe(
    scheme="burst",
    dataset="digits",
    build=lambda: digits_net(nn.ReLU, nn.MaxPool2d),
    epochs=40,
    batch=32,
    learning_rate=1e-2,
)
_FASHION = Recipe(
    scheme="burst",
    dataset="fashion-mnist",
    build=lambda: pooled_fashion_net(nn.ReLU),
    epochs=20,
    is_flipped=True,
    max_shift=1,
)
_LENET = replace(_FASHION, build=lenet5, epochs=6, learning_rate=1.5e-3)
# Not shipped yet.
_CIFAR = Recipe(
    scheme="burst",
    dataset="cifar-10",
    build=lambda: resnet(lambda: QCFS(4)),
    epochs=30,  # AdamW, whose steps do not throw the quantisation about
    label_smoothing=0.05,
    is_flipped=True,
    max_shift=4,
    is_dyadic=True,
    is_short=True,
    is_channels_last=True,
)
_CIFAR_VGG = replace(
    _CIFAR,
    build=lambda: vgg(nn.ReLU, (32, 32), (64, 64), (128, 128), (192, 192)),  # 847 200 weights
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    is_dyadic=False,
)
RECIPES: dict[str, Recipe] = {
    "digits-burst": _DIGITS,
    "fashion-burst": _FASHION,
    "digits-qcfs": replace(
        _DIGITS, build=lambda: digits_net(lambda: QCFS(4), nn.MaxPool2d), is_dyadic=True
    ),
    "fashion-qcfs": replace(
        _FASHION, build=lambda: pooled_fashion_net(lambda: QCFS(8)), is_dyadic=True
    ),
    "fashion-lenet5-max": _LENET,
    "fashion-caffe-max": replace(_LENET, build=lambda: lenet(nn.MaxPool2d), epochs=4),
    "cifar-resnet20-qcfs": _CIFAR,
    "cifar-resnet20-qcfs8": replace(_CIFAR, build=lambda: resnet(lambda: QCFS(8))),
    "cifar-vgg": _CIFAR_VGG,
}
