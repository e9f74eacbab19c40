"""From a PyTorch module to a `Network`.

PyTorch is channels-first and we are channels-last, so kernels are transposed and the inputs of
the first Linear after a Flatten are reordered. Nothing else changes: the logits are those of
``module.eval()`` up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError(
        "PyTorch is needed to train or convert networks (not to simulate them); install it with: "
        "pip install torch==2.13.0"
    ) from error

from ..networks.layers import (
    INPUT,
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool2D,
    Pair,
    QuantisedReLU,
    Shape,
    Sides,
    Spike,
)
from ..networks.network import InputCoding, Network
from .binary_conv import BinaryConv2d
from .units import QCFS, MeanOverSteps, NoisySpike, RepeatSteps


class Residual(nn.Module):
    """Sum of two branches: body(x) + shortcut(x).

    Parameters
    ----------
    body, shortcut : nn.Module
        Modules that `from_torch` knows; the shortcut is often an nn.Identity.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return body(x) + shortcut(x).

        Parameters
        ----------
        x : Tensor, shape (n, C, H, W) or (n, C)
            Input of both branches.

        Returns
        -------
        Tensor
            The sum; its shape is that of the branches' outputs.
        """
        return self.body(x) + self.shortcut(x)


def from_torch(module: nn.Module, input: InputCoding, classes: Sequence[str], name: str) -> Network:
    """Convert a trained module.

    Parameters
    ----------
    module : nn.Module
        An nn.Sequential, possibly nested, of Conv2d, Linear, BatchNorm1d/2d, AvgPool2d,
        AdaptiveAvgPool2d(1), MaxPool2d, Flatten, ReLU, SiLU, Sigmoid, Tanh, GELU, `QCFS`,
        `NoisySpike`, `BinaryConv2d`, Identity, Dropout and `Residual`. It is read in evaluation
        mode, whatever mode it is in, and time steps as a single one.
    input : InputCoding
        The module is taken to see the standardised images, channels first.
    classes : sequence of str
        One name per output.
    name : str
        Name of the network.

    Returns
    -------
    Network
        Layers are named by kind and position: conv1, norm1, act1, ...

    Raises
    ------
    ValueError
        If a module or one of its options is not supported, or shapes do not fit; the message
        gives the module's path and type.
    """
    converter = _Converter()
    end = converter.convert(module, "", _Stream(INPUT, input.shape))
    if end.order is not None:
        raise ValueError(
            f"{name}: the module ends with a Flatten over rows and columns; end with a Linear or "
            "with a pooling to 1x1 before the Flatten"
        )
    return Network(name=name, input=input, layers=tuple(converter.layers), classes=tuple(classes))


@dataclass(frozen=True)
class _Stream:
    """Where a tensor of the module is found in the network under construction.

    `order` is not None between a Flatten and the next Linear: our entry i of the vector is
    PyTorch's entry order[i].
    """

    source: str
    shape: Shape
    is_flat: bool = False
    order: np.ndarray | None = None


_POINTWISE: dict[type, str] = {
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.GELU: "gelu",
}
_NOTHING_TO_DO = (nn.Identity, nn.Dropout, nn.Dropout2d, RepeatSteps, MeanOverSteps)


class _Converter:
    """Collects layers while it walks through the module."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._counts: dict[str, int] = {}
        # Exact types: a subclass may compute something else.
        self._rules: dict[type, Callable[[Any, _Stream], _Stream]] = {
            nn.Conv2d: self._conv,
            BinaryConv2d: self._binary_conv,
            nn.Linear: self._linear,
            nn.BatchNorm1d: self._batch_norm,
            nn.BatchNorm2d: self._batch_norm,
            nn.AvgPool2d: self._avg_pool,
            nn.AdaptiveAvgPool2d: self._global_pool,
            nn.MaxPool2d: self._max_pool,
            nn.Flatten: self._flatten,
            **dict.fromkeys(_POINTWISE, self._pointwise),
            QCFS: self._quantised_relu,
            NoisySpike: self._spike,
        }

    def convert(self, module: nn.Module, path: str, at: _Stream) -> _Stream:
        """Append the layers of `module`, fed from `at`; return where its output is."""
        kind = type(module)
        if kind is nn.Sequential:
            for child, part in module.named_children():
                at = self.convert(part, f"{path}.{child}" if path else child, at)
            return at
        if kind is Residual:
            return self._residual(module, path, at)
        if kind in _NOTHING_TO_DO:
            return at
        place = f"module {path or '(top)'} ({kind.__name__})"
        if kind not in self._rules:
            known = (nn.Sequential, Residual, *_NOTHING_TO_DO, *self._rules)
            names = ", ".join(k.__name__ for k in known)
            raise ValueError(f"{place} is not supported; supported are {names}")
        try:
            return self._rules[kind](module, at)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error

    def _name(self, prefix: str) -> str:
        self._counts[prefix] = self._counts.get(prefix, 0) + 1
        return f"{prefix}{self._counts[prefix]}"

    def _append(self, layer: Layer, *sources: _Stream) -> _Stream:
        shape = layer.output_shape(*(stream.shape for stream in sources))
        self.layers.append(layer)
        return replace(sources[0], source=layer.name, shape=shape)

    def _residual(self, module: Any, path: str, at: _Stream) -> _Stream:
        prefix = f"{path}." if path else ""
        body = self.convert(module.body, f"{prefix}body", at)
        shortcut = self.convert(module.shortcut, f"{prefix}shortcut", at)
        place = f"module {path or '(top)'} (Residual)"
        if body.order is None or shortcut.order is None:
            same_order = body.order is shortcut.order
        else:
            same_order = np.array_equal(body.order, shortcut.order)
        if body.shape != shortcut.shape or body.is_flat != shortcut.is_flat or not same_order:
            raise ValueError(
                f"{place}: the body gives {body.shape}, the shortcut {shortcut.shape} (H, W, C), "
                "and only equal ones flattened alike can be added"
            )
        layer = Add(self._name("add"), (body.source, shortcut.source))
        return self._append(layer, body, shortcut)

    def _conv(self, module: nn.Conv2d, at: _Stream) -> _Stream:
        _need(not at.is_flat, "comes after a Flatten")
        _need(module.padding_mode == "zeros", f"padding_mode={module.padding_mode!r}, not 'zeros'")
        _need(_pair(module.dilation) == (1, 1), f"dilation={module.dilation}, not 1")
        weight = _array(module.weight)  # (n_out, n_in / groups, kh, kw)
        layer = Conv2D(
            name=self._name("conv"),
            inputs=(at.source,),
            kernel=weight.transpose(2, 3, 1, 0),
            bias=np.zeros(len(weight)) if module.bias is None else _array(module.bias),
            stride=_pair(module.stride),
            padding=_both_sides(_padding(module)),
            groups=module.groups,
        )
        return self._append(layer, at)

    def _binary_conv(self, module: BinaryConv2d, at: _Stream) -> _Stream:
        at = self._conv(module, at)
        layer = self.layers[-1]
        if module.is_binary and isinstance(layer, Conv2D):
            kernel = _array(module.as_binary()).transpose(2, 3, 1, 0)
            self.layers[-1] = BinaryConv2D(
                name=layer.name,
                inputs=layer.inputs,
                signs=np.where(layer.kernel >= 0, 1.0, -1.0),
                scale=np.abs(kernel[0, 0, 0]),
                stride=layer.stride,
                padding=layer.padding,
                groups=layer.groups,
            )
        return at

    def _linear(self, module: nn.Linear, at: _Stream) -> _Stream:
        _need(at.is_flat, "needs an nn.Flatten before it")
        _need(
            module.in_features == at.shape[2],
            f"takes {module.in_features} values and gets {at.shape[2]}",
        )
        kernel = _array(module.weight).T
        layer = Dense(
            name=self._name("dense"),
            inputs=(at.source,),
            kernel=kernel if at.order is None else kernel[at.order],
            bias=np.zeros(kernel.shape[1]) if module.bias is None else _array(module.bias),
        )
        return replace(self._append(layer, at), order=None)

    def _batch_norm(self, module: nn.BatchNorm1d | nn.BatchNorm2d, at: _Stream) -> _Stream:
        _need(at.is_flat == isinstance(module, nn.BatchNorm1d), "is 2d before, 1d after a Flatten")
        mean, variance = module.running_mean, module.running_var
        if mean is None or variance is None:
            raise ValueError("has no running statistics (track_running_stats=False)")
        _need(
            module.num_features == at.shape[2],
            f"takes {module.num_features} channels and gets {at.shape[2]}",
        )
        n = module.num_features
        arrays = {
            "gamma": np.ones(n) if module.weight is None else _array(module.weight),
            "beta": np.zeros(n) if module.bias is None else _array(module.bias),
            "mean": _array(mean),
            "variance": _array(variance),
        }
        if at.order is not None:
            arrays = {field: array[at.order] for field, array in arrays.items()}
        layer = BatchNorm(self._name("norm"), (at.source,), **arrays, epsilon=module.eps)
        return self._append(layer, at)

    def _avg_pool(self, module: nn.AvgPool2d, at: _Stream) -> _Stream:
        _need(not at.is_flat, "comes after a Flatten")
        _need(not module.ceil_mode, "ceil_mode=True is not supported")
        _need(module.divisor_override is None, "divisor_override is not supported")
        padding = _both_sides(_pair(module.padding))
        _need(
            module.count_include_pad or not any(padding),
            "count_include_pad=False is not supported with padding",
        )
        size = _pair(module.kernel_size)
        layer = AvgPool2D(self._name("pool"), (at.source,), size, _pair(module.stride), padding)
        return self._append(layer, at)

    def _max_pool(self, module: nn.MaxPool2d, at: _Stream) -> _Stream:
        _need(not at.is_flat, "comes after a Flatten")
        _need(not module.ceil_mode, "ceil_mode=True is not supported")
        _need(_pair(module.dilation) == (1, 1), f"dilation={module.dilation}, not 1")
        layer = MaxPool2D(
            self._name("pool"),
            (at.source,),
            _pair(module.kernel_size),
            _pair(module.stride),
            _both_sides(_pair(module.padding)),
        )
        return self._append(layer, at)

    def _global_pool(self, module: nn.AdaptiveAvgPool2d, at: _Stream) -> _Stream:
        _need(not at.is_flat, "comes after a Flatten")
        _need(
            module.output_size in (1, (1, 1), [1, 1]),
            f"output_size={module.output_size}, only 1 is supported",
        )
        return self._append(GlobalAvgPool(self._name("pool"), (at.source,)), at)

    def _flatten(self, module: nn.Flatten, at: _Stream) -> _Stream:
        _need(
            (module.start_dim, module.end_dim) == (1, -1),
            f"start_dim={module.start_dim}, end_dim={module.end_dim}, not 1 and -1",
        )
        rows, columns, channels = at.shape
        if at.is_flat or rows == columns == 1:  # already a vector in our shapes
            return replace(at, is_flat=True)
        channels_first = np.arange(rows * columns * channels).reshape(channels, rows, columns)
        order = channels_first.transpose(1, 2, 0).ravel()
        flat = self._append(Flatten(self._name("flatten"), (at.source,)), at)
        return replace(flat, is_flat=True, order=order)

    def _pointwise(self, module: nn.Module, at: _Stream) -> _Stream:
        if isinstance(module, nn.GELU):
            _need(module.approximate == "none", f"approximate={module.approximate!r}, not 'none'")
        layer = Activation(self._name("act"), (at.source,), _POINTWISE[type(module)])
        return self._append(layer, at)

    def _quantised_relu(self, module: QCFS, at: _Stream) -> _Stream:
        step = module.step.item()
        return self._append(QuantisedReLU(self._name("act"), (at.source,), step, module.levels), at)

    def _spike(self, module: NoisySpike, at: _Stream) -> _Stream:
        mean, sigma = module.mean.item(), module.sigma.item()
        return self._append(Spike(self._name("act"), (at.source,), 1.0, mean, sigma), at)


def _need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _pair(value: int | tuple[int, ...]) -> Pair:
    """Return (rows, columns) of an option that may be a single integer."""
    if isinstance(value, int):
        return value, value
    rows, columns = value
    return int(rows), int(columns)


def _both_sides(padding: Pair) -> Sides:
    return padding[0], padding[0], padding[1], padding[1]


def _padding(module: nn.Conv2d) -> Pair:
    """Return the padding in numbers; 'same' is symmetric for an odd kernel only."""
    if module.padding == "valid":
        return 0, 0
    if isinstance(module.padding, str):  # 'same', the only other word PyTorch accepts
        rows, columns = _pair(module.kernel_size)
        _need(rows % 2 == 1 and columns % 2 == 1, "padding='same' needs a kernel of odd size")
        return rows // 2, columns // 2
    return _pair(module.padding)
