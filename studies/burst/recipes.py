"""Networks trained for burst conversion."""

from __future__ import annotations

from dataclasses import replace

from ann2brian.models.pytorch.units import QCFS
from ann2brian.studies.training.architectures import digits_net, lenet, lenet5, pooled_fashion_net
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
}
