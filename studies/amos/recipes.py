"""Networks trained for AMOS."""

from __future__ import annotations

from dataclasses import replace

from ann2brian.studies.training.architectures import digits_net, fashion_net, lenet, resnet
from ann2brian.studies.training.recipe import Recipe
from torch import nn

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
# Not shipped yet. Burst and rate conversion take the same networks.
_CIFAR = Recipe(
    scheme="amos",
    dataset="cifar-10",
    build=lambda: resnet(nn.ReLU),
    epochs=45,
    learning_rate=0.2,
    momentum=0.9,
    weight_decay=5e-4,
    label_smoothing=0.05,
    is_flipped=True,
    max_shift=4,
    is_short=True,
    is_channels_last=True,
)
RECIPES: dict[str, Recipe] = {
    "digits-relu": _DIGITS,
    "digits-silu": replace(_DIGITS, build=lambda: digits_net(nn.SiLU)),
    "fashion-relu": _FASHION,
    "fashion-silu": replace(_FASHION, build=lambda: fashion_net(nn.SiLU), epochs=20),
    "fashion-lenet": replace(_FASHION, build=lenet, epochs=4, learning_rate=1.5e-3),
    "cifar-resnet20": _CIFAR,
    "cifar-resnet14": replace(_CIFAR, build=lambda: resnet(nn.ReLU, 14)),
    "cifar-resnet8": replace(_CIFAR, build=lambda: resnet(nn.ReLU, 8)),
}
