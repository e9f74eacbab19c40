"""The layers of a trained network as plain data, each with its forward pass in NumPy.

Everything is channels-last: one unit shape is a triple (H, W, C), a dense vector has the shape
(1, 1, C), and batches put the image first, (n, H, W, C). All arithmetic is float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from scipy.special import erf, expit

from .products import convolution, product

Shape = tuple[int, int, int]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # top, bottom, left, right

INPUT = "input"
RESETS = ("soft", "hard")  # of a spiking unit: by subtraction of the threshold, or to rest


def _hardsigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


# Functions of an array, and of the numbers that `PARAMETERS` names.
ACTIVATIONS: dict[str, Callable[..., np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * expit(x),
    "sigmoid": expit,
    "tanh": np.tanh,
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x / np.sqrt(2.0))),
    "gelu_tanh": _gelu_tanh,
    "clip": lambda x, low, high: np.clip(x, low, high),
    "hardsigmoid": _hardsigmoid,
    "hardswish": lambda x: x * _hardsigmoid(x),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))),
    "softplus": lambda x, beta: np.logaddexp(0.0, beta * x) / beta,
    "square": np.square,
}
PARAMETERS: dict[str, tuple[str, ...]] = {
    "clip": ("low", "high"),
    "elu": ("alpha",),
    "softplus": ("beta",),
}


def frozen_array(values: object, owner: str, field: str, n_axes: int) -> np.ndarray:
    """Return a read-only float64 copy of `values`, refusing a wrong rank, NaN and inf."""
    try:
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{owner}: {field} is not an array of real numbers ({error})") from error
    if array.ndim != n_axes:
        raise ValueError(f"{owner}: {field} must have {n_axes} axes, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{owner}: {field} is empty, shape {array.shape}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{owner}: {field}{list(where)} is {array[where]} ({len(bad)} of {array.size} values "
            "are not finite); the training has diverged or the weights are damaged"
        )
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layer(ABC):
    """What all layers have in common.

    Parameters
    ----------
    name : str
        Unique in the network; a Python identifier other than ``input``.
    inputs : tuple of str
        Names of earlier layers, or ``"input"`` for the standardised image.

    Raises
    ------
    ValueError
        If a field is malformed or an array holds NaN or inf; the message names the layer.
    """

    ARRAYS: ClassVar[dict[str, int]] = {}  # array field -> number of axes
    OPTIONAL: ClassVar[tuple[str, ...]] = ()  # the array fields that may be None
    TRAINED: ClassVar[tuple[str, ...]] = ()  # the array fields that training adjusts
    IN_DOUBLE: ClassVar[bool] = False  # whether weight files keep the arrays in double precision
    SIGNS: ClassVar[tuple[str, ...]] = ()  # the array fields that hold +1 and -1 only
    PAIRS: ClassVar[dict[str, int]] = {}  # field of two integers -> smallest allowed value
    SIDES: ClassVar[tuple[str, ...]] = ()  # fields of four integers >= 0, one a side
    N_INPUTS: ClassVar[tuple[int, int | None]] = (1, 1)  # fewest, most (None: any number)

    name: str
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier() or self.name == INPUT:
            raise ValueError(
                f"{type(self).__name__}: name must be an identifier other than {INPUT!r}, "
                f"got {self.name!r}"
            )
        if isinstance(self.inputs, str):
            raise ValueError(f"{self.label}: inputs must be a tuple of names, got {self.inputs!r}")
        object.__setattr__(self, "inputs", tuple(self.inputs))
        fewest, most = self.N_INPUTS
        if len(self.inputs) < fewest or (most is not None and len(self.inputs) > most):
            wanted = f"{fewest}" if most == fewest else f"at least {fewest}"
            raise ValueError(f"{self.label}: needs {wanted} input(s), got {self.inputs}")
        for field, n_axes in self.ARRAYS.items():
            given = getattr(self, field)
            if given is None and field in self.OPTIONAL:
                continue
            array = frozen_array(given, self.label, field, n_axes)
            object.__setattr__(self, field, array)
        for field, smallest in self.PAIRS.items():
            object.__setattr__(self, field, self._whole_numbers(field, smallest, (2,)))
        for field in self.SIDES:
            own = self._whole_numbers(field, 0, (2, 4))
            sides = own if len(own) == 4 else (own[0], own[0], own[1], own[1])
            object.__setattr__(self, field, sides)
        self._check()

    def __repr__(self) -> str:
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in self.ARRAYS and value is not None:
                value = "x".join(map(str, value.shape))
            if field.name not in ("name", "inputs") and value not in (None, ()):
                parts.append(f"{field.name} {value}")
        about = f": {', '.join(parts)}" if parts else ""
        sources = f" of {' and '.join(self.inputs)}" if self.inputs else ""
        return f"{type(self).__name__}({self.name}{sources}{about})"

    @property
    def label(self) -> str:
        """Kind and name for messages, e.g. ``Conv2D 'conv1'``."""
        return f"{type(self).__name__} {self.name!r}"

    def _whole_numbers(self, field: str, smallest: int, counts: tuple[int, ...]) -> tuple[int, ...]:
        value = getattr(self, field)
        try:
            whole = tuple(int(v) for v in value)
            is_good = whole == tuple(value) and len(whole) in counts and min(whole) >= smallest
        except (TypeError, ValueError, OverflowError):
            is_good = False
        if not is_good:
            wanted = " or ".join({2: "two", 4: "four"}[count] for count in counts)
            raise ValueError(
                f"{self.label}: {field} must be {wanted} whole numbers >= {smallest}, got {value!r}"
            )
        return whole

    def _same_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        if len(set(shapes)) > 1:
            given = ", ".join(f"{n} {s}" for n, s in zip(self.inputs, shapes, strict=True))
            raise ValueError(f"{self.label}: inputs differ in shape: {given}")
        return shapes[0]

    def _check(self) -> None:  # noqa: B027 (most layers have nothing to add)
        """Check what only this kind of layer knows; called at the end of the construction."""

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape (H, W, C) of the output for inputs of the given shapes.

        Parameters
        ----------
        *shapes : tuple of int
            One (H, W, C) per input.

        Returns
        -------
        tuple of int
            (H, W, C).

        Raises
        ------
        ValueError
            If the layer cannot take these shapes; the message names the layer and the shapes.
        """

    @abstractmethod
    def apply(self, *values: np.ndarray) -> np.ndarray:
        """Output of the layer for a batch.

        Parameters
        ----------
        *values : ndarray, shape (n, H, W, C)
            One array per input.

        Returns
        -------
        ndarray, shape (n, H', W', C')
            float64.
        """


def windows(
    x: np.ndarray,
    size: Pair,
    stride: Pair,
    padding: Sides,
    fill: float,
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """View of all windows, shape (n, H', W', C, kh, kw), after padding with `fill`."""
    if any(padding):
        x = np.pad(x, ((0, 0), padding[:2], padding[2:], (0, 0)), constant_values=fill)
    axes: Any = (1, 2)  # NumPy's stub knows a single axis only
    spans = window_span(size, dilation)
    found = np.lib.stride_tricks.sliding_window_view(x, spans, axis=axes)
    return found[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def window_span(size: Pair, dilation: Pair) -> Pair:
    """Rows and columns from the first place of a window to its last."""
    return (size[0] - 1) * dilation[0] + 1, (size[1] - 1) * dilation[1] + 1


def window_count(extent: Pair, span: Pair, stride: Pair, padding: Sides) -> Pair:
    """Windows per axis; an incomplete last window is dropped. Below 1 where none fits."""
    rows, columns = extent[0] + sum(padding[:2]), extent[1] + sum(padding[2:])
    return (rows - span[0]) // stride[0] + 1, (columns - span[1]) // stride[1] + 1


def _fitting(layer: Layer, shape: Shape, span: Pair, stride: Pair, padding: Sides) -> Pair:
    """Windows per axis, at least one."""
    counts = window_count(shape[:2], span, stride, padding)
    if min(counts) < 1:
        raise ValueError(
            f"{layer.label}: window {span} with padding {padding} does not fit into its input of "
            f"shape {shape}"
        )
    return counts


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Conv2D(Layer):
    """Cross-correlation with zero padding, as deep-learning libraries define it.

    Parameters
    ----------
    kernel : ndarray, shape (kh, kw, n_in / groups, n_out)
        Output channel ``o`` belongs to group ``o // (n_out / groups)``.
    bias : ndarray, shape (n_out,)
        Added to each output channel.
    stride : tuple of int
        Rows and columns.
    padding : tuple of int
        Zeros at (top, bottom, left, right); a pair (rows, columns) stands for both sides of each.
    groups : int
        Number of channel groups; must divide n_in and n_out.
    dilation : tuple of int
        Distance of neighbouring kernel entries, in rows and columns.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"kernel": 4, "bias": 1}
    TRAINED: ClassVar[tuple[str, ...]] = ("kernel", "bias")
    PAIRS: ClassVar[dict[str, int]] = {"stride": 1, "dilation": 1}
    SIDES: ClassVar[tuple[str, ...]] = ("padding",)

    kernel: np.ndarray
    bias: np.ndarray
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    groups: int = 1
    dilation: Pair = (1, 1)

    def _check(self) -> None:
        n_out = self.kernel.shape[3]
        if self.bias.shape != (n_out,):
            raise ValueError(
                f"{self.label}: bias has shape {self.bias.shape}, the kernel of shape "
                f"{self.kernel.shape} needs ({n_out},)"
            )
        if self.groups != int(self.groups):
            raise ValueError(f"{self.label}: groups must be a whole number, got {self.groups!r}")
        object.__setattr__(self, "groups", int(self.groups))
        if self.groups < 1 or n_out % self.groups:
            raise ValueError(
                f"{self.label}: groups={self.groups} does not divide the {n_out} output channels"
            )

    @property
    def size(self) -> Pair:
        """Rows and columns of the kernel, without dilation."""
        return self.kernel.shape[0], self.kernel.shape[1]

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        n_in = self.kernel.shape[2] * self.groups
        if shape[2] != n_in:
            raise ValueError(
                f"{self.label}: kernel of shape {self.kernel.shape} with groups={self.groups} "
                f"takes {n_in} channels, its input has shape {shape}"
            )
        span = window_span(self.size, self.dilation)
        return *_fitting(self, shape, span, self.stride, self.padding), self.kernel.shape[3]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        views = windows(values[0], self.size, self.stride, self.padding, 0.0, self.dilation)
        out = convolution(views, self.kernel, self.groups)
        out += self.bias
        return out


def scale_and_shift(
    name: str, source: str, scale: np.ndarray, shift: np.ndarray | None = None
) -> Conv2D:
    """Product of each channel with a number, plus a number, as a convolution of size 1x1.

    Parameters
    ----------
    name, source : str
        Of the layer, and of its input.
    scale, shift : ndarray, shape (C,)
        By channel; no shift by default.
    """
    shift = np.zeros(scale.size) if shift is None else shift
    return Conv2D(name, (source,), scale.reshape(1, 1, 1, -1), shift, groups=scale.size)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BinaryConv2D(Layer):
    """Convolution without bias whose weights are signs times one scale a channel.

    Parameters
    ----------
    signs : ndarray, shape (kh, kw, n_in / groups, n_out)
        +1 or -1; one bit each in a weight file.
    scale : ndarray, shape (n_out,)
        Size of the weights of each output channel.
    stride, padding, groups, dilation
        As of `Conv2D`.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"signs": 4, "scale": 1}
    SIGNS: ClassVar[tuple[str, ...]] = ("signs",)
    TRAINED: ClassVar[tuple[str, ...]] = ("signs", "scale")
    PAIRS: ClassVar[dict[str, int]] = {"stride": 1, "dilation": 1}
    SIDES: ClassVar[tuple[str, ...]] = ("padding",)

    signs: np.ndarray
    scale: np.ndarray
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    groups: int = 1
    dilation: Pair = (1, 1)

    def _check(self) -> None:
        bad = np.argwhere(np.abs(self.signs) != 1)
        if len(bad):
            where = tuple(int(i) for i in bad[0])
            raise ValueError(
                f"{self.label}: signs{list(where)} is {self.signs[where]}, not +1 or -1"
            )
        if self.scale.shape != self.signs.shape[3:]:
            raise ValueError(
                f"{self.label}: scale has shape {self.scale.shape}, signs of shape "
                f"{self.signs.shape} need ({self.signs.shape[3]},)"
            )
        self.as_real()  # checks the groups

    def as_real(self) -> Conv2D:
        """The same convolution with weights as numbers."""
        return Conv2D(
            name=self.name,
            inputs=self.inputs,
            kernel=self.signs * self.scale,
            bias=np.zeros(self.scale.size),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
            dilation=self.dilation,
        )

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return self.as_real().output_shape(*shapes)

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return self.as_real().apply(*values)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dense(Layer):
    """Fully connected layer on a vector of shape (1, 1, n_in).

    Parameters
    ----------
    kernel : ndarray, shape (n_in, n_out)
        Weights.
    bias : ndarray, shape (n_out,)
        Added to the output.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"kernel": 2, "bias": 1}
    TRAINED: ClassVar[tuple[str, ...]] = ("kernel", "bias")

    kernel: np.ndarray
    bias: np.ndarray

    def _check(self) -> None:
        if self.bias.shape != self.kernel.shape[1:]:
            raise ValueError(
                f"{self.label}: bias has shape {self.bias.shape}, the kernel of shape "
                f"{self.kernel.shape} needs {self.kernel.shape[1:]}"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        if shape != (1, 1, self.kernel.shape[0]):
            raise ValueError(
                f"{self.label}: takes a vector of shape {(1, 1, self.kernel.shape[0])}, its input "
                f"has shape {shape}; put a Flatten or GlobalAvgPool before it"
            )
        return 1, 1, self.kernel.shape[1]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        out = product(values[0].reshape(len(values[0]), self.kernel.shape[0]), self.kernel)
        out += self.bias
        return out[:, None, None, :]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BatchNorm(Layer):
    """Batch normalisation with frozen statistics.

    The output is gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel.

    Parameters
    ----------
    gamma, beta, mean, variance : ndarray, shape (C,)
        Scale, shift and running statistics of each channel.
    epsilon : float
        Added to the variance.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"gamma": 1, "beta": 1, "mean": 1, "variance": 1}
    TRAINED: ClassVar[tuple[str, ...]] = ("gamma", "beta")

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float

    def _check(self) -> None:
        shapes = {field: getattr(self, field).shape for field in self.ARRAYS}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"{self.label}: arrays differ in shape: {shapes}")
        object.__setattr__(self, "epsilon", float(self.epsilon))
        if not (np.isfinite(self.epsilon) and np.min(self.variance) + self.epsilon > 0):
            raise ValueError(
                f"{self.label}: variance + epsilon must be > 0 everywhere, smallest variance is "
                f"{np.min(self.variance)}, epsilon is {self.epsilon}"
            )

    @property
    def scale(self) -> np.ndarray:
        """Factor of each channel, shape (C,)."""
        return self.gamma / np.sqrt(self.variance + self.epsilon)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        if shape[2] != self.gamma.size:
            raise ValueError(
                f"{self.label}: arrays of shape {self.gamma.shape} do not match its input of "
                f"shape {shape}"
            )
        return shape

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        out = values[0] - self.mean
        out *= self.scale
        out += self.beta
        return out


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Pool2D(Layer):
    """Fields and shape rule of both pooling layers."""

    PAIRS: ClassVar[dict[str, int]] = {"size": 1, "stride": 1}
    SIDES: ClassVar[tuple[str, ...]] = ("padding",)

    size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Sides = (0, 0, 0, 0)

    def _check(self) -> None:
        # More padding would make windows that see nothing but padding.
        if max(self.padding[:2]) >= self.size[0] or max(self.padding[2:]) >= self.size[1]:
            raise ValueError(
                f"{self.label}: padding {self.padding} is not smaller than the window {self.size}"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        return *_fitting(self, shape, self.size, self.stride, self.padding), shape[2]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AvgPool2D(_Pool2D):
    """Average over windows; padded zeros count, so the divisor is always the full window.

    Parameters
    ----------
    size, stride : tuple of int
        Rows and columns.
    padding : tuple of int
        As of `Conv2D`; smaller than the window.
    """

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        views = windows(values[0], self.size, self.stride, self.padding, 0.0)
        total = views[..., 0, 0].copy()
        for row, column in list(np.ndindex(self.size))[1:]:
            total += views[..., row, column]
        total /= self.size[0] * self.size[1]
        return total


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MaxPool2D(_Pool2D):
    """Maximum over windows; padding never wins.

    Parameters
    ----------
    size, stride : tuple of int
        Rows and columns.
    padding : tuple of int
        As of `Conv2D`; smaller than the window.
    """

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        views = windows(values[0], self.size, self.stride, self.padding, -np.inf)
        most = views[..., 0, 0].copy()
        for row, column in list(np.ndindex(self.size))[1:]:
            np.maximum(most, views[..., row, column], out=most)
        return most


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GlobalAvgPool(Layer):
    """Average over all rows and columns: (H, W, C) becomes (1, 1, C)."""

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return 1, 1, shapes[0][2]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return values[0].mean(axis=(1, 2), keepdims=True)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Resample2D(Layer):
    """Weighted sums of places, the same in every channel, first along rows, then along columns.

    y[i, j, c] = sum over a, b of rows[i, a] columns[j, b] x[a, b, c]. Averages of windows of any
    size, enlarging, cropping, padding with zeros and picking single places are of this form.

    Parameters
    ----------
    rows : ndarray, shape (H', H)
        Weights from each input row to each output row.
    columns : ndarray, shape (W', W)
        Likewise for columns.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"rows": 2, "columns": 2}

    rows: np.ndarray
    columns: np.ndarray

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        if shape[:2] != (self.rows.shape[1], self.columns.shape[1]):
            raise ValueError(
                f"{self.label}: takes {self.rows.shape[1]} rows and {self.columns.shape[1]} "
                f"columns, its input has shape {shape}"
            )
        return len(self.rows), len(self.columns), shape[2]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        n, rows, columns, channels = values[0].shape
        along_rows = self.rows @ values[0].reshape(n, rows, columns * channels)
        return self.columns @ along_rows.reshape(n, len(self.rows), columns, channels)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Flatten(Layer):
    """(H, W, C) becomes (1, 1, H * W * C), in C order: the channel runs fastest."""

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        rows, columns, channels = shapes[0]
        return 1, 1, rows * columns * channels

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        n, rows, columns, channels = values[0].shape
        return values[0].reshape(n, 1, 1, rows * columns * channels)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Add(Layer):
    """Sum of two or more inputs of the same shape."""

    N_INPUTS: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return self._same_shape(shapes)

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        total = values[0] + values[1]
        for value in values[2:]:
            total += value
        return total


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Multiply(Layer):
    """Product of two inputs of the same shape, unit by unit."""

    N_INPUTS: ClassVar[tuple[int, int | None]] = (2, 2)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return self._same_shape(shapes)

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return values[0] * values[1]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Concat(Layer):
    """Channels of two or more inputs of equal rows and columns, one input after the other."""

    N_INPUTS: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        if len({shape[:2] for shape in shapes}) > 1:
            given = ", ".join(f"{n} {s}" for n, s in zip(self.inputs, shapes, strict=True))
            raise ValueError(f"{self.label}: inputs differ in rows or columns: {given}")
        return *shapes[0][:2], sum(shape[2] for shape in shapes)

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return np.concatenate(values, axis=3)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Activation(Layer):
    """Pointwise function.

    Parameters
    ----------
    function : str
        One of `ACTIVATIONS`: relu, silu, sigmoid, tanh, gelu (the exact one, with the error
        function), gelu_tanh, clip, hardsigmoid, hardswish, elu, softplus or square.
    parameters : tuple of float
        In the order of `PARAMETERS`: low and high, low < high, of clip; alpha > 0 of elu; beta > 0
        of softplus; none otherwise.
    """

    function: str
    parameters: tuple[float, ...] = ()

    def _check(self) -> None:
        if self.function not in ACTIVATIONS:
            raise ValueError(
                f"{self.label}: unknown function {self.function!r}; there are "
                f"{', '.join(ACTIVATIONS)}"
            )
        names = PARAMETERS.get(self.function, ())
        try:
            parameters = tuple(float(value) for value in self.parameters)
            is_good = len(parameters) == len(names) and bool(np.isfinite(parameters).all())
        except (TypeError, ValueError, OverflowError):
            is_good = False
        if not is_good:
            wanted = f"the numbers {', '.join(names)}" if names else "none"
            raise ValueError(
                f"{self.label}: parameters of {self.function} must be {wanted}, got "
                f"{self.parameters!r}"
            )
        if self.function == "clip" and not parameters[0] < parameters[1]:
            raise ValueError(f"{self.label}: low must be below high, got {parameters}")
        if self.function in ("elu", "softplus") and not parameters[0] > 0:
            raise ValueError(f"{self.label}: {names[0]} must be > 0, got {parameters[0]!r}")
        object.__setattr__(self, "parameters", parameters)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return shapes[0]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return ACTIVATIONS[self.function](values[0], *self.parameters)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LeakyReLU(Layer):
    """x where x > 0, else slope * x; with a trained slope also known as PReLU.

    Parameters
    ----------
    slope : ndarray, shape (C,)
        Of each channel.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"slope": 1}

    slope: np.ndarray

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        if self.slope.shape != shape[2:]:
            raise ValueError(
                f"{self.label}: slope of shape {self.slope.shape} does not match its input of "
                f"shape {shape}"
            )
        return shape

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return np.where(values[0] > 0, values[0], self.slope * values[0])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QuantisedReLU(Layer):
    """ReLU with equal steps up to a largest value: step * clip(floor(x / step + 1/2), 0, levels).

    This is the quantisation clip-floor-shift activation of Bu et al. (2022), with
    lambda = step * levels.

    Parameters
    ----------
    step : float
        Distance of two neighbouring outputs, > 0.
    levels : int
        Largest output in units of the step, >= 1.
    """

    step: float
    levels: int

    def _check(self) -> None:
        object.__setattr__(self, "step", float(self.step))
        if not (np.isfinite(self.step) and self.step > 0):
            raise ValueError(f"{self.label}: step must be > 0, got {self.step!r}")
        if self.levels != int(self.levels) or self.levels < 1:
            raise ValueError(
                f"{self.label}: levels must be a whole number >= 1, got {self.levels!r}"
            )
        object.__setattr__(self, "levels", int(self.levels))

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return shapes[0]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return self.step * np.clip(np.floor(values[0] / self.step + 0.5), 0, self.levels)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spike(Layer):
    """Units that spike once or not at all: 1 where x + mean >= threshold, else 0.

    This is the first time step of a spiking network, without the noise that it was trained with;
    :meth:`step` makes any of them. Leak, reset and steps of the training are None where a file or
    a caller does not tell them; a scheme then takes its own.

    Parameters
    ----------
    threshold : float
        Of the potential, > 0.
    mean, sigma : float
        Mean and standard deviation, >= 0, of the potential's noise in training.
    leak : float, optional
        Factor of the potential from step to step, from 0 to 1; 1 is no leak.
    reset : str, optional
        After a spike: ``"soft"`` (by subtraction of the threshold) or ``"hard"`` (to rest).
    n_steps : int, optional
        Time steps of the training, >= 1. With more than one, leak and reset must be told.
    """

    threshold: float = 1.0
    mean: float = 0.0
    sigma: float = 0.0
    leak: float | None = None
    reset: str | None = None
    n_steps: int | None = None

    def _check(self) -> None:
        for field, is_good, wanted in (
            ("threshold", self.threshold > 0, "> 0"),
            ("mean", True, "finite"),
            ("sigma", self.sigma >= 0, ">= 0"),
        ):
            value = float(getattr(self, field))
            object.__setattr__(self, field, value)
            if not (np.isfinite(value) and is_good):
                raise ValueError(f"{self.label}: {field} must be {wanted}, got {value!r}")
        if self.leak is not None:
            if not 0 <= float(self.leak) <= 1:
                raise ValueError(f"{self.label}: leak must be from 0 to 1, got {self.leak!r}")
            object.__setattr__(self, "leak", float(self.leak))
        if self.reset not in (None, *RESETS):
            raise ValueError(
                f"{self.label}: reset must be one of {', '.join(RESETS)}, got {self.reset!r}"
            )
        if self.n_steps is None:
            return
        if self.n_steps != int(self.n_steps) or self.n_steps < 1:
            raise ValueError(
                f"{self.label}: n_steps must be a whole number >= 1, got {self.n_steps!r}"
            )
        object.__setattr__(self, "n_steps", int(self.n_steps))
        if self.n_steps > 1 and (self.leak is None or self.reset is None):
            raise ValueError(
                f"{self.label}: n_steps={self.n_steps} says nothing without leak and reset, of "
                "which at least one is missing"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return shapes[0]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return self.step(values[0])[0]

    def step(
        self, x: np.ndarray, carried: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """One time step of a batch.

        Parameters
        ----------
        x : ndarray, shape (n, H, W, C)
            What the step brings.
        carried : ndarray, shape (n, H, W, C), optional
            What the step before left, leaked; `mean` before the first.

        Returns
        -------
        spikes : ndarray, shape (n, H, W, C)
            Zeros and ones.
        carried : ndarray or None
            For the next step; None where there is none.
        """
        h = x + (self.mean if carried is None else carried)
        spikes = (h >= self.threshold).astype(np.float64)
        if self.n_steps in (None, 1) or self.leak is None:
            return spikes, None
        left = h - self.threshold * spikes if self.reset == "soft" else h * (1.0 - spikes)
        return spikes, self.leak * left
