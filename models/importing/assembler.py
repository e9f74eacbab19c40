"""From the operations of any framework to the layers of a `Network`.

A reader walks through the graph of its framework and tells an :class:`Assembler` what each
operation does. The assembler knows nothing of the framework: a tensor is a
:class:`~models.importing.values.Value`, which says where each of its entries stands in the output
of one of our layers. So an operation that only moves entries (reshape, transpose, slice, padding)
makes no layer at all; it makes another index. When a layer needs the entries in their order, the
smallest linear layer that brings them there is put in: a pick of places (`Resample2D`) or of
channels (`Conv2D` of size 1x1), and for a vector that becomes a map a `Conv2D` of the map's size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Integers
from ..networks.dynamics import Delay, Neurons, Previous
from ..networks.layers import (
    INPUT,
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    Pair,
    QuantisedReLU,
    Resample2D,
    Shape,
    Sides,
    Spike,
)
from ..networks.network import InputCoding, Network
from . import windows
from .arguments import class_names, network_name
from .values import (
    ZERO,
    Selection,
    Value,
    from_map,
    map_axes,
    one_hot,
    positions,
    selection,
    to_map,
)

LARGEST_SELECTION = 2**26  # weights that only bring entries into their order; 0.5 GB
HIGHEST_POWER = 4  # two products
MOST_COMPARED = 8  # entries whose maximum is taken two by two
GATED = {"sigmoid": "silu", "hardsigmoid": "hardswish"}  # f to the name of x * f(x)


class Assembler:
    """Collects the layers of a network.

    Methods return the value that the operation gives. Each raises a ValueError, of one line, if
    there is no layer for it; the reader adds where in its framework that was. Axes are counted
    without the batch axis, and `channels_last` says where the framework has its channels.

    Parameters
    ----------
    shape : tuple of int
        (H, W, C) of our input.

    Attributes
    ----------
    layers : list of Layer
        So far, each after its inputs; some may turn out to be of no use to the output.
    notes : list of str
        What the user should know, e.g. that a softmax was left out.
    shapes : dict of str to tuple of int
        (H, W, C) of each layer so far, and of ``"input"``.
    """

    def __init__(self, shape: Shape) -> None:
        self.layers: list[Layer] = []
        self.notes: list[str] = []
        self.shapes: dict[str, Shape] = {INPUT: shape}
        self._counts: dict[str, int] = {}
        self._channels_last = False  # as the framework sees the input
        self._moving: dict[tuple[object, ...], str] = {}  # what was put in to move entries

    def input(self, channels_last: bool, n_axes: int) -> Value:
        """The input as the framework sees it: a map (3), a sequence (2) or a vector (1 axis).

        Rows and columns of one channel are a sequence of rows; a map as a vector is in the order
        of the framework's axes.
        """
        self._channels_last = channels_last
        rows, columns, channels = self.shapes[INPUT]
        index = from_map(positions(self.shapes[INPUT]), 3, channels_last)
        if n_axes == 1:
            return Value(INPUT, index.reshape(-1))
        if n_axes == 2 and rows > 1 and channels == 1:
            return Value(INPUT, index.reshape(rows, columns))
        return self._seen(INPUT, n_axes, channels_last)

    def reindexed(self, value: Value, operate: Callable[[Integers], Integers]) -> Value:
        """What only moves entries: any NumPy operation on an array of the value's shape.

        Reshape, transpose, squeeze, slice, flip, repeat and broadcast are of this kind.
        """
        index = np.ascontiguousarray(operate(value.index.copy()), dtype=np.int64)
        if index.size == 0:
            raise ValueError(f"leaves nothing of a tensor of shape {value.shape}: {index.shape}")
        return replace(value, index=index)

    def pad(self, value: Value, widths: Sequence[Pair]) -> Value:
        """Zeros around a tensor: (before, after) of each axis; numbers below 0 cut off."""
        if len(widths) != value.index.ndim:
            raise ValueError(f"{len(widths)} paddings for a tensor of shape {value.shape}")
        _usable(value)
        kept = tuple(
            slice(max(-before, 0), extent - max(-after, 0))
            for (before, after), extent in zip(widths, value.shape, strict=True)
        )
        added = [(max(before, 0), max(after, 0)) for before, after in widths]
        return self.reindexed(value, lambda x: np.pad(x[kept], added, constant_values=ZERO))

    def conv(
        self,
        value: Value,
        kernel: Array,
        bias: Array | None,
        stride: Pair = (1, 1),
        padding: Sides = (0, 0, 0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
        *,
        channels_last: bool,
    ) -> Value:
        """Convolution; kernel (kh, kw, n_in / groups, n_out), of one row for a sequence."""
        source, padding = self._padded_map(value, channels_last, padding)
        name = self._append(
            Conv2D,
            "conv",
            source,
            kernel=kernel,
            bias=np.zeros(kernel.shape[3]) if bias is None else bias,
            stride=stride,
            padding=padding,
            groups=groups,
            dilation=dilation,
        )
        return self._seen(name, value.index.ndim, channels_last)

    def binary_conv(
        self,
        value: Value,
        signs: Array,
        scale: Array,
        stride: Pair = (1, 1),
        padding: Sides = (0, 0, 0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
        *,
        channels_last: bool,
    ) -> Value:
        """Convolution of signs times one scale a channel; arrays as of `BinaryConv2D`."""
        source, padding = self._padded_map(value, channels_last, padding)
        name = self._append(
            BinaryConv2D,
            "conv",
            source,
            signs=signs,
            scale=scale,
            stride=stride,
            padding=padding,
            groups=groups,
            dilation=dilation,
        )
        return self._seen(name, value.index.ndim, channels_last)

    def dense(self, value: Value, kernel: Array, bias: Array | None) -> Value:
        """Weighted sums along the last axis; kernel (n_in, n_out) in the framework's order."""
        _usable(value)
        n_in, n_out = kernel.shape
        bias = np.zeros(n_out) if bias is None else bias
        if value.index.ndim == 0 or value.shape[-1] != n_in:
            raise ValueError(f"takes {n_in} values and gets a tensor of shape {value.shape}")
        if value.index.size > n_in:  # at each place, so a convolution of size 1x1
            if self._is_map(value.source, value.index):
                return self.conv(value, kernel[None, None], bias, channels_last=True)
            found = self._dense_at_places(value, kernel, bias)
            return self.dense(self._ordered(value), kernel, bias) if found is None else found
        source, index = self._flat(value.source, value.index.ravel())
        rows = np.zeros((self.shapes[source][2], n_out))
        np.add.at(rows, index[index != ZERO], kernel[index != ZERO])
        name = self._append(Dense, "dense", source, kernel=rows, bias=bias)
        return Value(name, np.arange(n_out).reshape(*value.shape[:-1], n_out))

    def batch_norm(
        self,
        value: Value,
        gamma: Array,
        beta: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
        *,
        channels_last: bool,
    ) -> Value:
        """Batch normalisation with frozen statistics, one of each a channel."""
        given = (gamma, beta, mean, variance)
        (gamma, beta, mean, variance), at = self._by_channel(
            value, given, (1.0, 0.0, 0.0, 1.0), channels_last, keeps_zero=False
        )
        name = self._append(
            BatchNorm,
            "norm",
            at.source,
            gamma=gamma,
            beta=beta,
            mean=mean,
            variance=variance,
            epsilon=epsilon,
        )
        return Value(name, at.index)

    def scale_shift(
        self, value: Value, scale: ArrayLike, shift: ArrayLike, *, channels_last: bool
    ) -> Value:
        """Product with a constant, plus a constant.

        A constant is a scalar, one number a channel, or of as many axes as the value, whose shape
        it broadcasts to.
        """
        if np.all(np.equal(scale, 1)) and not np.any(shift):
            return value
        one, zero = np.ones(1), np.zeros(1)
        arrays = (np.asarray(scale), np.asarray(shift), zero, one)
        gamma, beta, mean, variance = (x.reshape(-1) if x.ndim == 0 else x for x in arrays)
        return self.batch_norm(value, gamma, beta, mean, variance, 0.0, channels_last=channels_last)

    def max_pool(
        self,
        value: Value,
        size: Pair,
        stride: Pair,
        padding: Sides = (0, 0, 0, 0),
        *,
        channels_last: bool,
        ceil_mode: bool = False,
        dilation: Pair = (1, 1),
    ) -> Value:
        """Maximum of windows; padding never wins. A dilation other than 1 is refused."""
        if tuple(dilation) != (1, 1):
            raise ValueError(f"max pooling with dilation {dilation}; only 1 is supported")
        source = self._map(value, channels_last)
        rows, columns = (
            windows.padding_after(*way, ceil_mode)
            for way in self._ways(source, size, stride, padding)
        )
        sides = (padding[0], rows, padding[2], columns)
        name = self._append(MaxPool2D, "pool", source, size=size, stride=stride, padding=sides)
        return self._seen(name, value.index.ndim, channels_last)

    def avg_pool(
        self,
        value: Value,
        size: Pair,
        stride: Pair,
        padding: Sides = (0, 0, 0, 0),
        *,
        channels_last: bool,
        ceil_mode: bool = False,
        count_padding: bool = True,
    ) -> Value:
        """Mean of windows; with `count_padding` the zeros of the padding count.

        What `ceil_mode` adds beyond the padding never counts.
        """
        if ceil_mode or (any(padding) and not count_padding):
            source = self._map(value, channels_last)
        else:
            source, padding = self._padded_map(value, channels_last, padding)
            count_padding = True  # zeros of the tensor itself count in any case
        ways = self._ways(source, size, stride, padding)
        is_plain = all(
            not windows.has_cut_windows(*way, ceil_mode)
            and max(way[3:]) < way[1]
            and (count_padding or not any(way[3:]))
            for way in ways
        )
        if is_plain:
            name = self._append(
                AvgPool2D, "pool", source, size=size, stride=stride, padding=padding
            )
        else:
            rows, columns = (windows.mean_weights(*way, ceil_mode, count_padding) for way in ways)
            name = self._append(Resample2D, "pool", source, rows=rows, columns=columns)
        return self._seen(name, value.index.ndim, channels_last)

    def adaptive_avg_pool(
        self, value: Value, size: tuple[int | None, int | None], *, channels_last: bool
    ) -> Value:
        """Mean of as many windows as `size` says, as PyTorch lays them; None keeps an axis."""
        source = self._map(value, channels_last)
        extent = self.shapes[source][:2]
        rows, columns = (own or full for own, full in zip(size, extent, strict=True))
        if (rows, columns) == extent:
            name = source
        elif rows == columns == 1:
            name = self._append(GlobalAvgPool, "pool", source)
        elif extent[0] % rows == extent[1] % columns == 0:
            window = (extent[0] // rows, extent[1] // columns)
            name = self._append(AvgPool2D, "pool", source, size=window, stride=window)
        else:
            name = self._append(
                Resample2D,
                "pool",
                source,
                rows=windows.adaptive_mean_weights(extent[0], rows),
                columns=windows.adaptive_mean_weights(extent[1], columns),
            )
        return self._seen(name, value.index.ndim, channels_last)

    def adaptive_max_pool(
        self, value: Value, size: tuple[int | None, int | None], *, channels_last: bool
    ) -> Value:
        """Likewise the maximum. (1, 1) is the maximum over the map."""
        source = self._map(value, channels_last)
        extent = self.shapes[source][:2]
        rows, columns = (own or full for own, full in zip(size, extent, strict=True))
        if extent[0] % rows or extent[1] % columns:
            down, height = windows.adaptive_picks(extent[0], rows)
            along, width = windows.adaptive_picks(extent[1], columns)
            source = self._append(Resample2D, "pick", source, rows=down, columns=along)
        else:
            height, width = extent[0] // rows, extent[1] // columns
        if (height, width) != (1, 1):
            window = (height, width)
            source = self._append(MaxPool2D, "pool", source, size=window, stride=window)
        return self._seen(source, value.index.ndim, channels_last)

    def mean(self, value: Value, axes: Sequence[int], keep_axes: bool = False) -> Value:
        """Mean over axes of the framework."""
        n_axes = value.index.ndim
        axes = sorted({range(n_axes)[axis] for axis in axes})
        if not self._is_map(value.source, value.index):
            mean = self._mean_over_places(value, axes)
            if mean is None:
                return self.mean(self._ordered(value), axes, keep_axes)
            return (
                self.reindexed(mean, lambda x: np.expand_dims(x, tuple(axes)))
                if keep_axes
                else mean
            )
        channels_last = self._orientation(value.source, value.index)
        source = self._map(value, channels_last)
        over = {map_axes(n_axes, channels_last)[axis] for axis in axes}
        rows, columns, channels = self.shapes[source]
        is_whole = (0 in over or rows == 1) and (1 in over or columns == 1)
        if is_whole and rows * columns > 1:
            source = self._append(GlobalAvgPool, "pool", source)
        elif rows > 1 and 0 in over:
            every = np.full((1, rows), 1 / rows)
            source = self._append(Resample2D, "pool", source, rows=every, columns=np.eye(columns))
        elif columns > 1 and 1 in over:
            every = np.full((1, columns), 1 / columns)
            source = self._append(Resample2D, "pool", source, rows=np.eye(rows), columns=every)
        if channels > 1 and 2 in over:
            kernel = np.full((1, 1, channels, 1), 1 / channels)
            source = self._append(Conv2D, "conv", source, kernel=kernel, bias=np.zeros(1))
        found = self._seen(source, n_axes, channels_last)
        return found if keep_axes else self.reindexed(found, lambda x: x.squeeze(tuple(axes)))

    def largest(self, value: Value, axes: Sequence[int], keep_axes: bool = False) -> Value:
        """Maximum over axes of the framework, channels first: all of space, or short ones."""
        n_axes = value.index.ndim
        axes = sorted({range(n_axes)[axis] for axis in axes})
        if n_axes > 1 and axes == list(range(1, n_axes)):
            found = self.adaptive_max_pool(value, (1, 1), channels_last=False)
        else:
            found = value
            for axis in axes:
                found = self._largest_part(found, axis)
        return found if keep_axes else self.reindexed(found, lambda x: x.squeeze(tuple(axes)))

    def _largest_part(self, value: Value, axis: int) -> Value:
        """Maximum along one axis, of length 1 afterwards, two by two."""
        extent = value.shape[axis]
        if extent > MOST_COMPARED:
            raise ValueError(
                f"is a maximum of {extent} entries; there may be {MOST_COMPARED} at most, unless "
                "it goes over all of space, (2, 3) of (n, C, H, W)"
            )
        # Of more than three axes, which no map has, the one that goes is taken away at once.
        is_deep = value.index.ndim > 3
        wanted: list[int | list[int]] = [i if is_deep else [i] for i in range(extent)]
        parts = [self.reindexed(value, partial(np.take, indices=i, axis=axis)) for i in wanted]
        while len(parts) > 1:
            left = parts[len(parts) // 2 * 2 :]
            pairs = zip(parts[::2], parts[1::2], strict=False)
            parts = [*(self.maximum(a, b) for a, b in pairs), *left]
        (found,) = parts
        return self.reindexed(found, lambda x: np.expand_dims(x, axis)) if is_deep else found

    def resample(self, value: Value, rows: Array, columns: Array, *, channels_last: bool) -> Value:
        """Weighted sums of places; rows (H', H) and columns (W', W) as of `Resample2D`."""
        source = self._map(value, channels_last)
        name = self._append(Resample2D, "resample", source, rows=rows, columns=columns)
        return self._seen(name, value.index.ndim, channels_last)

    def add(self, a: Value, b: Value) -> Value:
        """Sum; shapes have equally many axes and broadcast."""
        sources, index = self._together([a, b])
        return Value(self._append(Add, "add", *sources), index)

    def subtract(self, a: Value, b: Value) -> Value:
        """Difference a - b, likewise."""
        return self.add(a, self.scale_shift(b, -1.0, 0.0, channels_last=False))

    def maximum(self, a: Value, b: Value) -> Value:
        """The larger of two, likewise: a + relu(b - a)."""
        return self.add(a, self.activation(self.subtract(b, a), "relu"))

    def minimum(self, a: Value, b: Value) -> Value:
        """The smaller of two, likewise: a - relu(a - b)."""
        return self.subtract(a, self.activation(self.subtract(a, b), "relu"))

    def multiply(self, a: Value, b: Value) -> Value:
        """Product, likewise; x * sigmoid(x) becomes SiLU, x * hardsigmoid(x) Hardswish."""
        for x, gate in ((a, b), (b, a)):
            layer = next((own for own in self.layers if own.name == gate.source), None)
            if (
                isinstance(layer, Activation)
                and layer.function in GATED
                and layer.inputs == (x.source,)
                and np.array_equal(x.index, gate.index)
            ):
                return self.activation(x, GATED[layer.function])
        sources, index = self._together([a, b])
        return Value(self._append(Multiply, "mul", *sources), index)

    def power(self, value: Value, exponent: float) -> Value:
        """A whole power, as products."""
        if exponent not in range(1, HIGHEST_POWER + 1):
            raise ValueError(
                f"is a power other than a whole one from 1 to {HIGHEST_POWER}, which has no "
                "spiking form here"
            )
        if exponent == 1:
            return value
        square = self.multiply(value, value)
        if exponent == 2:
            return square
        return self.multiply(square, value if exponent == 3 else square)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """One after the other along an axis of the framework."""
        _usable(*values)
        index = np.concatenate([value.index for value in values], axis=axis)
        n_axes = index.ndim
        source = values[0].source
        if all(value.source == source for value in values) and (
            n_axes not in (2, 3) or self._is_map(source, index)
        ):
            return Value(source, index)
        if n_axes == 1:
            flat = [self._flat(value.source, value.index) for value in values]
            sources = [source for source, _ in flat]
            starts = np.cumsum([0, *(self.shapes[source][2] for source in sources)])
            parts = zip(flat, starts, strict=False)
            moved = [np.where(x == ZERO, ZERO, x + start) for (_, x), start in parts]
            return Value(self._append(Concat, "concat", *sources), np.concatenate(moved))
        axis = range(n_axes)[axis]
        channels_last = self._orientation_of_all([(v.source, v.index) for v in values])
        if map_axes(n_axes, channels_last)[axis] == 2:
            maps = [self._map(value, channels_last) for value in values]
            name = self._append(Concat, "concat", *maps)
            return self._seen(name, n_axes, channels_last)
        stops = np.cumsum([value.shape[axis] for value in values])
        total = int(stops[-1])
        placed = []
        for value, stop in zip(values, stops, strict=True):
            widths = [(0, 0)] * n_axes
            widths[axis] = (int(stop) - value.shape[axis], total - int(stop))
            placed.append(self._map(self.pad(value, widths), channels_last))
        return self._seen(self._append(Add, "add", *placed), n_axes, channels_last)

    def activation(self, value: Value, function: str, parameters: Sequence[float] = ()) -> Value:
        """Pointwise function of `ACTIVATIONS`."""
        return self._pointwise(value, Activation, function=function, parameters=tuple(parameters))

    def leaky_relu(self, value: Value, slope: ArrayLike, *, channels_last: bool = False) -> Value:
        """ReLU with a slope below 0: a constant as of `scale_shift`."""
        if not np.any(slope):
            return self.activation(value, "relu")
        (by_channel,), at = self._by_channel(
            value, (np.atleast_1d(slope),), (0.0,), channels_last, keeps_zero=True
        )
        return Value(self._append(LeakyReLU, "act", at.source, slope=by_channel), at.index)

    def quantised_relu(self, value: Value, step: float, levels: int) -> Value:
        """See `QuantisedReLU`."""
        return self._pointwise(value, QuantisedReLU, step=step, levels=levels)

    def spike(self, value: Value, **fields: float | str | int) -> Value:
        """See `Spike`, whose fields these are."""
        return self._pointwise(value, Spike, **fields)

    def neurons(
        self,
        value: Value,
        model: str,
        fields: Mapping[str, Array],
        *,
        name: str,
        told: Mapping[str, Any],
        is_whole: bool = False,
        is_vector: bool = False,
    ) -> Value:
        """Neurons with a state, one for each entry; see `Neurons`.

        `fields` have the shape of the value, one number a channel, or one; `told` are further
        fields. With `is_whole`, they stand in the order of the value's axes; with `is_vector` too,
        and in one axis.
        """
        value, spread = self._in_place(value, fields, is_whole, is_vector)
        layer = self._append_as(Neurons, model, name, value.source, model=model, **spread, **told)
        return Value(layer, value.index)

    def delay(self, value: Value, delay: Array, *, name: str, is_whole: bool = False) -> Value:
        """The same value later; see `Delay`. Arguments as of `neurons`."""
        value, spread = self._in_place(value, {"delay": delay}, is_whole)
        return Value(self._append_as(Delay, "delay", name, value.source, **spread), value.index)

    def previous(self, shape: tuple[int, ...]) -> Value:
        """What later neurons of a shape gave in the step before; `close` tells which."""
        rows, columns, channels = to_map(np.empty(shape, dtype=np.int64), channels_last=False).shape
        layer = self._append(Previous, "before", source="", shape=(rows, columns, channels))
        return self._seen(layer, len(shape), channels_last=False)

    def close(self, before: Value, value: Value) -> None:
        """Say whose output `previous` gives: neurons in the order of their axes."""
        if before.shape != value.shape:
            raise ValueError(
                f"{value.source!r} has the shape {value.shape} and is taken for {before.shape}, as "
                "its fields have it"
            )
        number = [layer.name for layer in self.layers].index(before.source)
        self.layers[number] = replace(self.layers[number], source=value.source)  # type: ignore[call-arg]

    def softmax(self, value: Value, axis: int = -1) -> Value:
        """Softmax or log-softmax over the classes, at the end: left out, with a note."""
        _usable(value)
        if value.index.ndim == 0 or value.shape[axis] != value.index.size:
            raise ValueError(
                f"a softmax over axis {axis} of shape {value.shape}; only one over the classes, at "
                "the end, can be left out"
            )
        return replace(value, is_probability=True)

    def network(
        self, output: Value, coding: InputCoding, classes: Sequence[str] | None, name: str
    ) -> Network:
        """The network whose logits are the entries of `output`, without layers of no use to it.

        Classes are named ``"0"``, ``"1"``, ... if `classes` is None.

        Raises
        ------
        ValueError
            If there is more than one axis of logits, no layer at all, or `classes` and `name` are
            not what they must be.
        """
        if coding.shape != self.shapes[INPUT]:
            raise ValueError(f"the coding is of {coding.shape}, the input of {self.shapes[INPUT]}")
        if max(output.shape, default=1) != output.index.size:
            raise ValueError(f"the output has shape {output.shape}, not one number for each class")
        last = self._place(output.source, output.index.reshape(1, 1, -1), output.shape)
        if last == INPUT:
            raise ValueError("the output is the input: there is no layer between them")
        if output.is_probability:
            self.notes.append("the softmax at the end is left out; it changes no class")
        used = {last, *(layer.source for layer in self.layers if isinstance(layer, Previous))}
        for layer in reversed(self.layers):
            if layer.name in used:
                used.update(layer.inputs)
        layers = [layer for layer in self.layers if layer.name in used]
        if layers[-1].name != last:  # neurons that only lead back stand behind the output
            layers.append(Flatten("output", (last,)))
        return Network(
            name=network_name(name),
            input=coding,
            layers=tuple(layers),
            classes=class_names(classes, output.index.size),
        )

    def _append(self, kind: type[Layer], prefix: str, *inputs: str, **fields: Any) -> str:
        """Add a layer, named by prefix and number."""
        number = self._counts.get(prefix, 0) + 1
        while f"{prefix}{number}" in self.shapes:  # as others called their neurons
            number += 1
        layer = kind(f"{prefix}{number}", inputs, **fields)
        self.shapes[layer.name] = layer.output_shape(*(self.shapes[name] for name in inputs))
        self._counts[prefix] = number
        self.layers.append(layer)
        return layer.name

    def _append_as(
        self, kind: type[Layer], prefix: str, wanted: str, *inputs: str, **fields: Any
    ) -> str:
        """Add a layer, named as wanted where that is an identifier, else by prefix and that."""
        name = re.sub(r"\W", "_", wanted)
        name = name if name.isidentifier() and name != INPUT else f"{prefix.lower()}_{name}"
        while name in self.shapes:
            name += "_"
        layer = kind(name, inputs, **fields)
        self.shapes[name] = layer.output_shape(*(self.shapes[source] for source in inputs))
        self.layers.append(layer)
        return name

    def _in_place(
        self, value: Value, fields: Mapping[str, Array], is_whole: bool, is_vector: bool = False
    ) -> tuple[Value, dict[str, Array]]:
        """A value whose source holds its entries and no others, and fields as that has them."""
        _usable(value)
        n_units = int(np.prod(self.shapes[value.source]))
        has_all = np.array_equal(np.sort(value.index, axis=None), np.arange(n_units))
        if is_vector:
            vector = self.reindexed(value, lambda index: index.reshape(-1))
            vector = self._seen(self._map(vector, False), 1, False)
            value = self.reindexed(vector, lambda index: index.reshape(value.shape))
        elif is_whole or not has_all:
            value = self._seen(self._map(value, False), value.index.ndim, False)
        found = {}
        for name, own in fields.items():
            if own.size == value.index.size:
                own = own.reshape(value.shape)
            try:
                full = _spread(own, value.shape, channels_last=False)
            except ValueError:
                raise ValueError(
                    f"{name} has shape {own.shape} for neurons of shape {value.shape}"
                ) from None
            if (full == full.flat[0]).all():
                found[name] = full.reshape(-1)[:1].reshape(1, 1, 1)
                continue
            placed = np.empty(n_units if has_all else value.index.size)
            placed[value.index.reshape(-1)] = full.reshape(-1)
            found[name] = placed.reshape(self.shapes[value.source])
        return value, found

    def _append_moving(self, kind: type[Layer], prefix: str, source: str, **fields: Any) -> str:
        """Likewise a layer that only moves entries, one for all who need it."""
        parts = (x.tobytes() if isinstance(x, np.ndarray) else x for x in fields.values())
        key = (kind, source, *parts)
        if key not in self._moving:
            self._moving[key] = self._append(kind, prefix, source, **fields)
        return self._moving[key]

    def _seen(self, source: str, n_axes: int, channels_last: bool) -> Value:
        """The whole output of a layer as the framework sees it."""
        return Value(source, from_map(positions(self.shapes[source]), n_axes, channels_last))

    def _map(self, value: Value, channels_last: bool) -> str:
        """The layer whose output is the value, after what brings its entries into order."""
        _usable(value)
        return self._place(value.source, to_map(value.index, channels_last), value.shape)

    def _padded_map(self, value: Value, channels_last: bool, padding: Sides) -> tuple[str, Sides]:
        """Likewise, without zeros around it: these are added to `padding`."""
        _usable(value)
        index = to_map(value.index, channels_last)
        is_held = index != ZERO
        sides: list[int] = []
        inside: list[slice] = []
        for axis, others in ((0, (1, 2)), (1, (0, 2))):
            held = np.flatnonzero(is_held.any(axis=others))
            first, last = (held[0], held[-1]) if held.size else (0, index.shape[axis] - 1)
            inside.append(slice(int(first), int(last) + 1))
            sides += [int(first), index.shape[axis] - 1 - int(last)]
        source = self._place(value.source, index[tuple(inside)], value.shape)
        top, bottom, left, right = (a + b for a, b in zip(sides, padding, strict=True))
        return source, (top, bottom, left, right)

    def _place(self, source: str, index: Integers, seen: tuple[int, ...]) -> str:
        """The layer whose (H, W, C) output is `index` of `source`; `seen` is for the message."""
        shape = self.shapes[source]
        chosen = selection(index, shape)
        if chosen is None:
            source, vector = self._flat(source, index.ravel())
            shape = self.shapes[source]
            if index.shape[:2] != (1, 1):
                return self._laid_out(source, vector.reshape(index.shape), seen)
            chosen = Selection(np.zeros(1, np.int64), np.zeros(1, np.int64), vector)
        rows, columns, channels = shape
        picks_channels = not np.array_equal(chosen.channels, np.arange(channels))
        stride = _stride(chosen.rows, rows), _stride(chosen.columns, columns)
        if stride == (1, 1) and not picks_channels:
            return source
        if 0 in stride:
            source = self._append_moving(
                Resample2D,
                "resample",
                source,
                rows=one_hot(chosen.rows, rows),
                columns=one_hot(chosen.columns, columns),
            )
            stride = (1, 1)
            if not picks_channels:
                return source
        n_out = len(chosen.channels)
        if not picks_channels:
            kernel, groups = np.ones((1, 1, 1, channels)), channels
        elif n_out * channels > LARGEST_SELECTION:
            raise ValueError(
                f"a tensor of shape {seen} takes {n_out} of {channels} channels of {source!r} in "
                f"an order that would need {n_out} x {channels} weights"
            )
        else:
            kernel, groups = one_hot(chosen.channels, channels).T[None, None], 1
        return self._append_moving(
            Conv2D,
            "select",
            source,
            kernel=kernel,
            bias=np.zeros(n_out),
            stride=stride,
            groups=groups,
        )

    def _laid_out(self, source: str, index: Integers, seen: tuple[int, ...]) -> str:
        """A map whose places hold any entries of a vector.

        The vector is the only place of a map, padded such that each place of the output sees it
        through another place of the kernel.
        """
        rows, columns, n_out = index.shape
        n_in = self.shapes[source][2]
        if index.size * n_in > LARGEST_SELECTION:
            raise ValueError(
                f"a tensor of shape {seen} takes its entries from {source!r} in an order that "
                f"would need {index.size} x {n_in} weights"
            )
        picks = one_hot(index.ravel(), n_in).reshape(rows, columns, n_out, n_in)
        return self._append_moving(
            Conv2D,
            "select",
            source,
            kernel=np.ascontiguousarray(picks[::-1, ::-1].swapaxes(2, 3)),
            bias=np.zeros(n_out),
            padding=(rows - 1, rows - 1, columns - 1, columns - 1),
        )

    def _flat(self, source: str, index: Integers) -> tuple[str, Integers]:
        """A vector (1, 1, N) that holds the entries at `index` of a map, and where."""
        shape = self.shapes[source]
        held = index[index != ZERO]
        used = [np.unique(part) for part in np.unravel_index(held, shape)[:2]]
        if held.size and any(len(u) < n for u, n in zip(used, shape[:2], strict=True)):
            rows, columns = (one_hot(u, n) for u, n in zip(used, shape[:2], strict=True))
            source = self._append_moving(Resample2D, "resample", source, rows=rows, columns=columns)
            old = np.unravel_index(held, shape)
            shape = self.shapes[source]
            new = (np.searchsorted(used[0], old[0]), np.searchsorted(used[1], old[1]), old[2])
            index = index.copy()
            index[index != ZERO] = np.ravel_multi_index(new, shape)
        if shape[:2] != (1, 1):
            source = self._append_moving(Flatten, "flatten", source)
        return source, index

    def _dense_at_places(self, value: Value, kernel: Array, bias: Array) -> Value | None:
        """Weighted sums of the channels at each place, in whatever order the places are.

        None where what is summed are not the same channels of each place.
        """
        n_channels = self.shapes[value.source][2]
        place, channel = np.divmod(value.index, n_channels)
        own = channel.reshape(-1, len(kernel))
        if (value.index == ZERO).any() or (own != own[0]).any() or (place != place[..., :1]).any():
            return None
        rows = np.zeros((n_channels, kernel.shape[1]))
        np.add.at(rows, own[0], kernel)
        name = self._append(Conv2D, "conv", value.source, kernel=rows[None, None], bias=bias)
        return Value(name, place[..., :1] * kernel.shape[1] + np.arange(kernel.shape[1]))

    def _mean_over_places(self, value: Value, axes: Sequence[int]) -> Value | None:
        """Mean of the same places of each channel, in whatever order the places are.

        None where it is of others.
        """
        rows, columns, n_channels = self.shapes[value.source]
        last = np.moveaxis(value.index, axes, range(-len(axes), 0))
        last = last.reshape(*last.shape[: -len(axes)], -1)
        place, channel = np.divmod(last, n_channels)
        place = np.sort(place, axis=-1).reshape(-1, last.shape[-1])
        weights = np.bincount(place[0].clip(0), minlength=rows * columns) / last.shape[-1]
        weights = weights.reshape(rows, columns)
        down, along = weights.sum(axis=1), weights.sum(axis=0)
        if (
            (value.index == ZERO).any()
            or (place != place[0]).any()
            or (channel != channel[..., :1]).any()
            or not np.allclose(weights, np.outer(down, along), rtol=0, atol=1e-12)
        ):
            return None
        if np.all(weights == weights[0, 0]):
            name = self._append(GlobalAvgPool, "pool", value.source)
        else:
            name = self._append(
                Resample2D, "pool", value.source, rows=down[None], columns=along[None]
            )
        return Value(name, channel[..., 0])

    def _ordered(self, value: Value) -> Value:
        """A tensor that is no map yet, as one."""
        if value.index.ndim > 3:
            raise ValueError(
                f"a tensor of shape {value.shape} takes its entries from {value.source!r} of shape "
                f"{self.shapes[value.source]} (H, W, C) in an order that no layer here makes"
            )
        return self._whole(value)

    def _ways(
        self, source: str, size: Pair, stride: Pair, padding: Sides
    ) -> tuple[tuple[int, int, int, int, int], ...]:
        """Extent, size, stride, padding before and after, along rows and along columns."""
        extent = self.shapes[source]
        return tuple(
            (extent[axis], size[axis], stride[axis], padding[2 * axis], padding[2 * axis + 1])
            for axis in (0, 1)
        )

    def _orientation(self, source: str, index: Integers) -> bool:
        """Whether the value is a map with the channels last, as far as its entries tell."""
        return self._orientation_of_all([(source, index)])

    def _is_map(self, source: str, index: Integers) -> bool:
        """Whether entries of a source are a map that one pick of places and channels makes."""
        return index.ndim <= 3 and self._picked_orientation([(source, index)]) is not None

    def _orientation_of_all(self, values: Sequence[tuple[str, Integers]]) -> bool:
        """Likewise for values that stand side by side; if both or no ways go, that of the input."""
        found = self._picked_orientation(values)
        return self._channels_last if found is None else found

    def _picked_orientation(self, values: Sequence[tuple[str, Integers]]) -> bool | None:
        """Likewise for values that picks of places and channels make; None for others."""
        ways = (self._channels_last, not self._channels_last)
        for may_flatten in (False, True):
            for channels_last in ways:
                maps = ((to_map(index, channels_last), self.shapes[name]) for name, index in values)
                if all(
                    selection(own, shape) is not None or (may_flatten and own.shape[:2] == (1, 1))
                    for own, shape in maps
                ):
                    return channels_last
        return None

    def _together(self, values: Sequence[Value]) -> tuple[list[str], Integers]:
        """Layers of one shape that hold the values, and the index of what is made unit by unit."""
        _usable(*values)
        shapes = [value.shape for value in values]
        if len({len(shape) for shape in shapes}) > 1:
            raise ValueError(f"shapes {shapes} have not equally many axes beside the batch")
        try:
            indices = np.broadcast_arrays(*(value.index for value in values))
        except ValueError:
            raise ValueError(f"shapes {shapes} do not match") from None
        sources = [value.source for value in values]
        if len({self.shapes[source] for source in sources}) == 1 and all(
            np.array_equal(index, indices[0]) for index in indices
        ):
            return sources, indices[0]
        n_axes = indices[0].ndim
        channels_last = self._orientation_of_all(list(zip(sources, indices, strict=True)))
        maps = [
            self._place(source, to_map(index, channels_last), index.shape)
            for source, index in zip(sources, indices, strict=True)
        ]
        return maps, from_map(positions(self.shapes[maps[0]]), n_axes, channels_last)

    def _pointwise(self, value: Value, kind: type[Layer], **fields: Any) -> Value:
        """The same function of each entry; entries need not be in order for that."""
        _usable(value)
        probe = kind("probe", (INPUT,), **fields)
        if (value.index == ZERO).any() and probe.apply(np.zeros((1, 1, 1, 1))).any():
            value = self._whole(value)
        return Value(self._append(kind, "act", value.source, **fields), value.index)

    def _whole(self, value: Value) -> Value:
        """The same tensor from a layer that holds its entries and no others."""
        channels_last = self._orientation(value.source, value.index)
        return self._seen(self._map(value, channels_last), value.index.ndim, channels_last)

    def _by_channel(
        self,
        value: Value,
        constants: Sequence[Array],
        neutral: Sequence[float],
        channels_last: bool,
        keeps_zero: bool,
    ) -> tuple[list[Array], Value]:
        """Constants of the framework's channels for those of a source, and the value there.

        Without `keeps_zero`, the zeros of a padding must become real, since 0 does not stay 0.
        """
        _usable(value)
        full = [_spread(own, value.shape, channels_last) for own in constants]
        if keeps_zero or not (value.index == ZERO).any():
            found = _of_channels(full, value.index, self.shapes[value.source][2], neutral)
            if found is not None:
                return found, value
        if value.index.ndim == 1:
            source, index = self._flat(value.source, value.index)
            if (keeps_zero or not (index == ZERO).any()) and source != value.source:
                found = _of_channels(full, index, self.shapes[source][2], neutral)
                if found is not None:
                    return found, Value(source, index)
        value = self._whole(value)
        found = _of_channels(full, value.index, self.shapes[value.source][2], neutral)
        if found is None:
            raise ValueError(
                f"constants of shape {' and '.join(str(own.shape) for own in constants)} differ "
                f"within a channel of the tensor of shape {value.shape}"
            )
        return found, value


def _usable(*values: Value) -> None:
    if any(value.is_probability for value in values):
        raise ValueError("comes after a softmax, which can be left out at the end only")


def _stride(chosen: Integers, extent: int) -> int:
    """Step that picks `chosen` of `extent` places from the first one on; 0 for none."""
    step = math.ceil(extent / len(chosen))
    return step if np.array_equal(chosen, np.arange(0, extent, step)) else 0


def _spread(constant: Array, shape: tuple[int, ...], channels_last: bool) -> Array:
    """A constant in the shape of the framework's tensor."""
    constant = np.asarray(constant, dtype=np.float64)
    try:
        if constant.ndim == 1 and constant.size > 1 and len(shape) > 1:
            axis = len(shape) - 1 if channels_last else 0
            if shape[axis] != constant.size:
                raise ValueError
            constant = np.expand_dims(constant, tuple(x for x in range(len(shape)) if x != axis))
        elif constant.size > 1 and constant.ndim != len(shape):
            raise ValueError
        return np.broadcast_to(constant.reshape(()) if constant.size == 1 else constant, shape)
    except ValueError:
        where = "last" if channels_last else "first"
        raise ValueError(
            f"a constant of shape {constant.shape} does not fit a tensor of shape {shape} with the "
            f"channels {where}"
        ) from None


def _of_channels(
    full: Sequence[Array], index: Integers, n_channels: int, neutral: Sequence[float]
) -> list[Array] | None:
    """One number for each channel of the source, or None where entries of one differ."""
    held = index != ZERO
    channel = index[held] % n_channels
    found = []
    for own, other in zip(full, neutral, strict=True):
        by_channel = np.full(n_channels, other)
        by_channel[channel] = own[held]
        if not np.array_equal(by_channel[channel], own[held]):
            return None
        found.append(by_channel)
    return found
