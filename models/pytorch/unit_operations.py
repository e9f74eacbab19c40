"""The units of this project as single operations, by which a traced graph shows them.

PyTorch's tracing sees through a module down to its arithmetic, in which a quantised ReLU is no more
than divisions and floors. While `as_operations` lasts, units run as one operation that carries
their numbers; time steps run as a single one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .binary_conv import BinaryConv2d, channel_scale
from .units import QCFS, MeanOverSteps, NoisySpike, RepeatSteps

Forward = Callable[..., torch.Tensor]


@torch.library.custom_op("ann2brian::quantised_relu", mutates_args=())
def quantised_relu(x: torch.Tensor, step: torch.Tensor, levels: int) -> torch.Tensor:
    """Values of `QCFS`."""
    return step * torch.floor(x / step + 0.5).clamp(0, levels)


@torch.library.custom_op("ann2brian::spike", mutates_args=())
def spike(
    x: torch.Tensor,
    mean: torch.Tensor,
    sigma: torch.Tensor,
    leak: float,
    reset: str,
    n_steps: int,
) -> torch.Tensor:
    """Spikes of `NoisySpike` in its first step, without noise; the reader needs the rest."""
    return (x + mean >= 1.0).to(x.dtype)


@torch.library.custom_op("ann2brian::binary_conv2d", mutates_args=())
def binary_conv2d(
    x: torch.Tensor,
    signs: torch.Tensor,
    scale: torch.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> torch.Tensor:
    """Convolution of `BinaryConv2d` while it is binary; scale has the shape (n_out,)."""
    kernel = signs * scale[:, None, None, None]
    return F.conv2d(x, kernel, None, stride, padding, dilation, groups)


@quantised_relu.register_fake
def _(x: torch.Tensor, step: torch.Tensor, levels: int) -> torch.Tensor:
    return torch.empty_like(x)


@spike.register_fake
def _(
    x: torch.Tensor, mean: torch.Tensor, sigma: torch.Tensor, leak: float, reset: str, n_steps: int
) -> torch.Tensor:
    return torch.empty_like(x)


@binary_conv2d.register_fake
def _(
    x: torch.Tensor,
    signs: torch.Tensor,
    scale: torch.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> torch.Tensor:
    return F.conv2d(x, signs, None, stride, padding, dilation, groups)


def _quantised(unit: QCFS) -> Forward:
    return lambda x: quantised_relu(x, unit.step, unit.levels)


def _spikes(unit: NoisySpike) -> Forward:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return spike(x, unit.mean, unit.sigma, float(unit.leak), unit.reset, unit.n_steps)

    return forward


def _same(_unit: nn.Module) -> Forward:
    return lambda x: x


def _convolution(unit: BinaryConv2d) -> Forward:
    # Read before the tracing, in which numbers have no values.
    is_binary, is_scale_fixed = bool(unit.is_binary), unit.is_scale_fixed

    def forward(x: torch.Tensor) -> torch.Tensor:
        w, padding = unit.weight, unit.padding
        if not is_binary:
            return unit._conv_forward(x, w, None)
        if isinstance(padding, str):
            x, padding = F.pad(x, unit._reversed_padding_repeated_twice), (0, 0)
        signs = torch.where(w >= 0, 1.0, -1.0).to(w.dtype)
        scale = unit.fixed_scale
        if not is_scale_fixed:
            scale = channel_scale(w) if unit.scale == "channel" else torch.ones_like(scale)
        return binary_conv2d(
            x, signs, scale.flatten(), unit.stride, padding, unit.dilation, unit.groups
        )

    return forward


def _inner(parallel: Any) -> Forward:
    return lambda *args, **kwargs: parallel.module(*args, **kwargs)


_UNITS: dict[type[nn.Module], Callable[[Any], Forward]] = {
    QCFS: _quantised,
    NoisySpike: _spikes,
    RepeatSteps: _same,
    MeanOverSteps: _same,
    BinaryConv2d: _convolution,
    nn.DataParallel: _inner,
    nn.parallel.DistributedDataParallel: _inner,
}


@contextmanager
def as_operations(module: nn.Module) -> Iterator[None]:
    """Run the units inside a module as single operations.

    A subclass with a forward pass of its own is left alone, and hooks run as ever. Data-parallel
    wrappers run what they wrap.

    Parameters
    ----------
    module : nn.Module
        Holds the units; its attributes are put back at the end.
    """
    replaced = []
    for part in dict.fromkeys(module.modules()):
        for kind, make in _UNITS.items():
            is_plain = type(part).forward is kind.forward and "forward" not in vars(part)
            if isinstance(part, kind) and is_plain:
                vars(part)["forward"] = make(part)
                replaced.append(part)
                break
    try:
        yield
    finally:
        for part in replaced:
            del vars(part)["forward"]
