"""Networks trained for AMOS."""

from __future__ import annotations

from dataclasses import replace

from ann2brian.studies.training.architectures import digits_net, fashion_net, lenet
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
RECIPES: dict[str, Recipe] = {
    "digits-relu": _DIGITS,
    "digits-silu": replace(_DIGITS, build=lambda: digits_net(nn.SiLU)),
    "fashion-relu": _FASHION,
    "fashion-silu": replace(_FASHION, build=lambda: fashion_net(nn.SiLU), epochs=20),
    "fashion-lenet": replace(_FASHION, build=lenet, epochs=4, learning_rate=1.5e-3),
}
