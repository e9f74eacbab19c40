"""From the operations of any framework to the layers of a `Network`.

A reader walks through the graph of its framework and tells an :class:`Assembler` what each
operation does. The assembler knows nothing of the framework: a tensor is a :class:`Value`, which
says where each of its entries stands in the output of one of our layers. So an operation that only
moves entries (reshape, transpose, slice, padding) makes no layer at all; it makes another index.
When a layer needs the entries in their order, the smallest linear layer that brings them there is
put in: a pick of places (`Resample2D`) or of channels (`Conv2D` of size 1x1).

Shapes here have no batch axis. A map of the framework has three axes, a sequence two (channels
and places, which is a map of one row), a vector one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Integers
from ..networks.layers import Pair, Shape, Sides
from ..networks.network import InputCoding, Network

ZERO = -1  # in an index: the entry is a zero that no layer holds


@dataclass(frozen=True, eq=False, repr=False)
class Value:
    """A tensor of the framework, without its batch axis, as entries of a layer's output.

    Parameters
    ----------
    source : str
        Our layer, or ``"input"``.
    index : ndarray of int, of the framework's shape
        Flat position of each entry in the source's (H, W, C) output; `ZERO` for a zero that
        padding put there.
    is_probability : bool
        Whether a softmax that is left out stands between the source and the framework's tensor.
    """

    source: str
    index: Integers
    is_probability: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The framework's shape, without the batch axis."""
        return self.index.shape

    def read(self, output: Array) -> Array:
        """The tensor, from the output of its source.

        Parameters
        ----------
        output : ndarray, shape (n, H, W, C)
            Of the layer `source`, as `Network.activations` gives it.

        Returns
        -------
        ndarray, shape (n, *shape)
            As the framework has it (for `is_probability`: before the softmax).
        """
        flat = output.reshape(len(output), -1)
        return np.where(self.index == ZERO, 0.0, flat[:, self.index])


class Assembler:
    """Collects the layers of a network.

    Methods return the value that the operation gives. Each raises a ValueError, of one line, if
    there is no layer for it; the reader adds where in its framework that was.

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
        raise NotImplementedError

    def input(self, channels_last: bool, n_axes: int) -> Value:
        """The input as the framework sees it: a map (3), a sequence (2) or a vector (1 axis)."""
        raise NotImplementedError

    def reindexed(self, value: Value, operate: Callable[[Integers], Integers]) -> Value:
        """What only moves entries: any NumPy operation on an array of the value's shape.

        Reshape, transpose, squeeze, slice, flip, repeat and broadcast are of this kind.
        """
        raise NotImplementedError

    def pad(self, value: Value, widths: Sequence[Pair]) -> Value:
        """Zeros around a tensor: (before, after) of each axis of the framework; below 0 cuts off."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def dense(self, value: Value, kernel: Array, bias: Array | None) -> Value:
        """Weighted sums along the last axis; kernel (n_in, n_out) in the framework's order."""
        raise NotImplementedError

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
        raise NotImplementedError

    def scale_shift(
        self, value: Value, scale: ArrayLike, shift: ArrayLike, *, channels_last: bool
    ) -> Value:
        """value * scale + shift by constants.

        Constants are scalars, one number a channel, or of a shape that the value's shape broadcasts.
        """
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def adaptive_avg_pool(
        self, value: Value, size: tuple[int | None, int | None], *, channels_last: bool
    ) -> Value:
        """Mean of as many windows as `size` says, as PyTorch lays them; None keeps an axis."""
        raise NotImplementedError

    def adaptive_max_pool(
        self, value: Value, size: tuple[int | None, int | None], *, channels_last: bool
    ) -> Value:
        """Likewise the maximum; sizes must divide. (1, 1) is the maximum over the map."""
        raise NotImplementedError

    def mean(self, value: Value, axes: Sequence[int], keep_axes: bool = False) -> Value:
        """Mean over axes of the framework, counted without the batch axis."""
        raise NotImplementedError

    def resample(self, value: Value, rows: Array, columns: Array, *, channels_last: bool) -> Value:
        """Weighted sums of places; rows (H', H) and columns (W', W) as of `Resample2D`."""
        raise NotImplementedError

    def add(self, a: Value, b: Value) -> Value:
        """Sum; shapes have equally many axes and broadcast."""
        raise NotImplementedError

    def subtract(self, a: Value, b: Value) -> Value:
        """a - b, likewise."""
        raise NotImplementedError

    def multiply(self, a: Value, b: Value) -> Value:
        """Product, likewise; x * sigmoid(x) becomes SiLU, x * hardsigmoid(x) Hardswish."""
        raise NotImplementedError

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """One after the other along an axis of the framework, counted without the batch axis."""
        raise NotImplementedError

    def activation(self, value: Value, function: str, parameters: Sequence[float] = ()) -> Value:
        """Pointwise function of `ACTIVATIONS`."""
        raise NotImplementedError

    def leaky_relu(self, value: Value, slope: ArrayLike, *, channels_last: bool = False) -> Value:
        """ReLU with a slope below 0: one number, or one a channel (constants as `scale_shift`)."""
        raise NotImplementedError

    def quantised_relu(self, value: Value, step: float, levels: int) -> Value:
        """See `QuantisedReLU`."""
        raise NotImplementedError

    def spike(self, value: Value, **fields: float | str | int) -> Value:
        """See `Spike`, whose fields these are."""
        raise NotImplementedError

    def softmax(self, value: Value, axis: int = -1) -> Value:
        """Softmax or log-softmax over the classes, at the end: left out, with a note."""
        raise NotImplementedError

    def network(
        self, output: Value, coding: InputCoding, classes: Sequence[str] | None, name: str
    ) -> Network:
        """The network whose logits are the entries of `output`, without layers of no use to it.

        Classes are named ``"0"``, ``"1"``, ... if `classes` is None.
        """
        raise NotImplementedError
