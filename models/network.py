"""A trained feed-forward network as plain data, and its exact forward pass in NumPy.

Everything is channels-last. One unit shape is always a triple (H, W, C); a dense vector has the
shape (1, 1, C). Batches put the image first: (n, H, W, C). All arithmetic is float64, so this
forward pass is the reference that every spiking version of a network is compared with.

A network is a tuple of layers in an order in which each layer comes after its inputs. The name
``"input"`` stands for the standardised image, and the last layer is the output (the logits).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.special import erf, expit

Shape = tuple[int, int, int]
Pair = tuple[int, int]

INPUT = "input"

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * expit(x),
    "sigmoid": expit,
    "tanh": np.tanh,
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x / np.sqrt(2.0))),
}


def _frozen_array(values: object, owner: str, field: str, n_axes: int) -> np.ndarray:
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


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
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
    TRAINED: ClassVar[tuple[str, ...]] = ()  # the array fields that training adjusts
    PAIRS: ClassVar[dict[str, int]] = {}  # field of two integers -> smallest allowed value
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
            array = _frozen_array(getattr(self, field), self.label, field, n_axes)
            object.__setattr__(self, field, array)
        for field, smallest in self.PAIRS.items():
            object.__setattr__(self, field, self._pair(field, smallest))
        self._check()

    @property
    def label(self) -> str:
        """Kind and name for messages, e.g. ``Conv2D 'conv1'``."""
        return f"{type(self).__name__} {self.name!r}"

    def _pair(self, field: str, smallest: int) -> Pair:
        value = getattr(self, field)
        try:
            rows, columns = (int(v) for v in value)
            is_whole = (rows, columns) == tuple(value)
        except (TypeError, ValueError):
            is_whole = False
        if not is_whole or min(rows, columns) < smallest:
            raise ValueError(
                f"{self.label}: {field} must be two whole numbers >= {smallest}, got {value!r}"
            )
        return rows, columns

    def _check(self) -> None:
        """Check what only this kind of layer knows; called at the end of the construction."""

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
        raise NotImplementedError

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
        raise NotImplementedError


def windows(x: np.ndarray, size: Pair, stride: Pair, padding: Pair, fill: float) -> np.ndarray:
    """View of all windows, shape (n, H', W', C, kh, kw), after padding with `fill`."""
    if any(padding):
        (rows, columns) = padding
        widths = ((0, 0), (rows, rows), (columns, columns), (0, 0))
        x = np.pad(x, widths, constant_values=fill)
    axes: Any = (1, 2)  # NumPy's stub knows a single axis only
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=axes)
    return windows[:, :: stride[0], :: stride[1]]


def _window_count(layer: Layer, shape: Shape, size: Pair, stride: Pair, padding: Pair) -> Pair:
    """Windows per axis; an incomplete last window is dropped, as PyTorch does by default."""
    counts = []
    for extent, window, step, pad in zip(shape[:2], size, stride, padding, strict=True):
        if extent + 2 * pad < window:
            raise ValueError(
                f"{layer.label}: window {size} with padding {padding} does not fit into its "
                f"input of shape {shape}"
            )
        counts.append((extent + 2 * pad - window) // step + 1)
    return counts[0], counts[1]


@dataclass(frozen=True, slots=True, eq=False)
class Conv2D(Layer):
    """Cross-correlation with zero padding, as deep-learning libraries define it.

    Parameters
    ----------
    kernel : ndarray, shape (kh, kw, n_in / groups, n_out)
        Output channel ``o`` belongs to group ``o // (n_out / groups)``.
    bias : ndarray, shape (n_out,)
        Added to each output channel.
    stride, padding : tuple of int
        Rows and columns; the padding is the same on both sides.
    groups : int
        Number of channel groups; must divide n_in and n_out.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"kernel": 4, "bias": 1}
    TRAINED: ClassVar[tuple[str, ...]] = ("kernel", "bias")
    PAIRS: ClassVar[dict[str, int]] = {"stride": 1, "padding": 0}

    kernel: np.ndarray
    bias: np.ndarray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1

    def _check(self) -> None:
        n_out = self.kernel.shape[3]
        if self.bias.shape != (n_out,):
            raise ValueError(
                f"{self.label}: bias has shape {self.bias.shape}, the kernel of shape "
                f"{self.kernel.shape} needs ({n_out},)"
            )
        object.__setattr__(self, "groups", int(self.groups))
        if self.groups < 1 or n_out % self.groups:
            raise ValueError(
                f"{self.label}: groups={self.groups} does not divide the {n_out} output channels"
            )

    @property
    def size(self) -> Pair:
        """Rows and columns of the kernel."""
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
        rows, columns = _window_count(self, shape, self.size, self.stride, self.padding)
        return rows, columns, self.kernel.shape[3]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        patches_of = windows(values[0], self.size, self.stride, self.padding, 0.0)
        n, rows, columns = patches_of.shape[:3]
        kh, kw, n_in, n_out = self.kernel.shape
        n_out //= self.groups
        out = np.empty((n * rows * columns, self.kernel.shape[3]))
        for group in range(self.groups):
            taken = patches_of[..., group * n_in : (group + 1) * n_in, :, :]
            patches = taken.transpose(0, 1, 2, 4, 5, 3).reshape(len(out), kh * kw * n_in)
            made = slice(group * n_out, (group + 1) * n_out)
            out[:, made] = patches @ self.kernel[..., made].reshape(kh * kw * n_in, n_out)
        out += self.bias
        return out.reshape(n, rows, columns, -1)


@dataclass(frozen=True, slots=True, eq=False)
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
        # Two axes, so that the whole batch is one matrix product.
        out = values[0].reshape(len(values[0]), self.kernel.shape[0]) @ self.kernel + self.bias
        return out[:, None, None, :]


@dataclass(frozen=True, slots=True, eq=False)
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
        return (values[0] - self.mean) * self.scale + self.beta


@dataclass(frozen=True, slots=True, eq=False)
class _Pool2D(Layer):
    """Fields and shape rule of both pooling layers."""

    PAIRS: ClassVar[dict[str, int]] = {"size": 1, "stride": 1, "padding": 0}

    size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Pair = (0, 0)

    def _check(self) -> None:
        # More padding would make windows that see nothing but padding (PyTorch refuses it too).
        if any(2 * pad > window for pad, window in zip(self.padding, self.size, strict=True)):
            raise ValueError(
                f"{self.label}: padding {self.padding} is more than half of the window {self.size}"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        rows, columns = _window_count(self, shape, self.size, self.stride, self.padding)
        return rows, columns, shape[2]


@dataclass(frozen=True, slots=True, eq=False)
class AvgPool2D(_Pool2D):
    """Average over windows; padded zeros count, so the divisor is always the full window.

    Parameters
    ----------
    size, stride, padding : tuple of int
        Rows and columns.
    """

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return windows(values[0], self.size, self.stride, self.padding, 0.0).mean(axis=(4, 5))


@dataclass(frozen=True, slots=True, eq=False)
class MaxPool2D(_Pool2D):
    """Maximum over windows; padding never wins.

    Parameters
    ----------
    size, stride, padding : tuple of int
        Rows and columns.
    """

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return windows(values[0], self.size, self.stride, self.padding, -np.inf).max(axis=(4, 5))


@dataclass(frozen=True, slots=True, eq=False)
class GlobalAvgPool(Layer):
    """Average over all rows and columns: (H, W, C) becomes (1, 1, C)."""

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return 1, 1, shapes[0][2]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return values[0].mean(axis=(1, 2), keepdims=True)


@dataclass(frozen=True, slots=True, eq=False)
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


@dataclass(frozen=True, slots=True, eq=False)
class Add(Layer):
    """Sum of two or more inputs of the same shape."""

    N_INPUTS: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        if len(set(shapes)) > 1:
            given = ", ".join(f"{n} {s}" for n, s in zip(self.inputs, shapes, strict=True))
            raise ValueError(f"{self.label}: inputs differ in shape: {given}")
        return shapes[0]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        total = values[0] + values[1]
        for value in values[2:]:
            total += value
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Activation(Layer):
    """Pointwise function.

    Parameters
    ----------
    function : str
        relu, silu, sigmoid, tanh or gelu (the exact one, with the error function).
    """

    function: str

    def _check(self) -> None:
        if self.function not in ACTIVATIONS:
            raise ValueError(
                f"{self.label}: unknown function {self.function!r}; there are "
                f"{', '.join(ACTIVATIONS)}"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return shapes[0]

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """See `Layer.apply`."""
        return ACTIVATIONS[self.function](values[0])


@dataclass(frozen=True, slots=True, eq=False)
class InputCoding:
    """What an image is, and how the network sees it: x = image * gain + offset.

    The standardisation of the training lives in `gain` and `offset`, e.g. gain = 1 / (255 * std)
    and offset = -mean / std. A padded first convolution pads x, not the image, with zeros.

    Parameters
    ----------
    shape : tuple of int
        (H, W, C) of one image.
    maximum : float
        Largest value: 255 for 8-bit images, 16 for the digits.
    gain, offset : ndarray, shape (C,)
        Dimensionless, per channel.
    signed : bool
        False: whole numbers 0..maximum. True: real numbers from -maximum to maximum.

    Raises
    ------
    ValueError
        If a field is malformed; the message names it.
    """

    shape: Shape
    maximum: float
    gain: np.ndarray
    offset: np.ndarray
    signed: bool = False

    def __post_init__(self) -> None:
        shape = tuple(int(v) for v in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"input: shape must be (H, W, C), all >= 1, got {self.shape!r}")
        if not (np.isfinite(self.maximum) and self.maximum > 0):
            raise ValueError(f"input: maximum must be > 0, got {self.maximum!r}")
        if not self.signed and self.maximum != int(self.maximum):
            raise ValueError(
                f"input: unsigned images hold whole numbers, so maximum must be one, got "
                f"{self.maximum!r}"
            )
        object.__setattr__(self, "shape", shape)
        for field in ("gain", "offset"):
            array = _frozen_array(getattr(self, field), "input", field, 1)
            if array.shape != shape[2:]:
                raise ValueError(
                    f"input: {field} has shape {array.shape}, images of shape {shape} need "
                    f"{shape[2:]}"
                )
            object.__setattr__(self, field, array)

    def check(self, images: np.ndarray) -> np.ndarray:
        """Return `images` unchanged if the network may see them.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Integers or floats; see `signed` for what they may hold.

        Returns
        -------
        ndarray, shape (n, H, W, C)
            The same values and dtype.

        Raises
        ------
        ValueError
            Wrong shape or dtype, or a value out of range or NaN; the message names the first bad
            image and the value.
        """
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[1:] != self.shape:
            raise ValueError(
                f"images must have shape (n, {', '.join(map(str, self.shape))}), got {images.shape}"
            )
        if images.dtype.kind not in "iuf":
            raise ValueError(f"images must be integers or floats, got dtype {images.dtype}")
        low = -self.maximum if self.signed else 0
        # Written so that NaN fails the comparison and counts as bad.
        good = (images >= low) & (images <= self.maximum)
        wanted = f"a real number from {low:g} to {self.maximum:g}"
        if not self.signed:
            wanted = f"a whole number from 0 to {self.maximum:g}"
            if images.dtype.kind == "f":
                good &= images == np.floor(images)
        if not good.all():
            bad = np.argwhere(~good)
            index, *where = (int(i) for i in bad[0])
            raise ValueError(
                f"image {index} holds {images[(index, *where)]} at (row, column, channel) "
                f"{tuple(where)}, expected {wanted}; {len(np.unique(bad[:, 0]))} of "
                f"{len(images)} images hold such values"
            )
        return images

    def standardise(self, images: np.ndarray) -> np.ndarray:
        """Return x = image * gain + offset.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Images as `check` wants them; not checked again here.

        Returns
        -------
        ndarray, shape (n, H, W, C)
            float64.
        """
        return np.asarray(images, dtype=np.float64) * self.gain + self.offset


@dataclass(frozen=True, eq=False)
class Network:
    """A trained classifier: input coding, layers and class names, checked as a whole.

    Parameters
    ----------
    name : str
        For titles and messages.
    input : InputCoding
        What an image is.
    layers : tuple of Layer
        Each after its inputs; the last one is the output, of shape (1, 1, n_classes).
    classes : tuple of str
        One name per logit.

    Raises
    ------
    ValueError
        Repeated or unknown names, a layer whose output nobody uses, shapes that do not fit, or an
        output that does not match the classes; the message names the layer and both shapes.
    """

    name: str
    input: InputCoding
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "classes", tuple(str(c) for c in self.classes))
        if not self.layers:
            raise ValueError(f"network {self.name!r}: has no layers")
        shapes = self.shapes  # walks all layers, so this is where names and shapes are checked
        used = {source for layer in self.layers for source in layer.inputs}
        for layer in self.layers[:-1]:
            if layer.name not in used:
                raise ValueError(
                    f"network {self.name!r}: nobody uses the output of {layer.label}; only the "
                    "last layer is the network's output"
                )
        last = self.layers[-1]
        if shapes[last.name] != (1, 1, len(self.classes)):
            raise ValueError(
                f"network {self.name!r}: {last.label} gives shape {shapes[last.name]}, "
                f"{len(self.classes)} classes need {(1, 1, len(self.classes))}"
            )

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Output shape (H, W, C) by layer name; ``"input"`` is included."""
        shapes: dict[str, Shape] = {INPUT: self.input.shape}
        for layer in self.layers:
            if layer.name in shapes:
                raise ValueError(f"network {self.name!r}: two layers are named {layer.name!r}")
            for source in layer.inputs:
                if source not in shapes:
                    raise ValueError(
                        f"network {self.name!r}: {layer.label} takes {source!r}, which is not "
                        f"{INPUT!r} and not the name of an earlier layer"
                    )
            try:
                shapes[layer.name] = layer.output_shape(*(shapes[s] for s in layer.inputs))
            except ValueError as error:
                sources = " and ".join(repr(s) for s in layer.inputs)
                raise ValueError(f"network {self.name!r}: {error} (from {sources})") from None
        return shapes

    @property
    def n_parameters(self) -> int:
        """Number of trained values: kernels, biases, gammas and betas."""
        return sum(getattr(layer, f).size for layer in self.layers for f in layer.TRAINED)

    def layer(self, name: str) -> Layer:
        """Return the layer of that name.

        Parameters
        ----------
        name : str
            Name of a layer.

        Returns
        -------
        Layer
            The layer.

        Raises
        ------
        ValueError
            If there is none; the message lists the names.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"network {self.name!r}: no layer {name!r}; there are "
            f"{', '.join(layer.name for layer in self.layers)}"
        )

    def check_images(self, images: np.ndarray) -> np.ndarray:
        """Return `images` if they are what this network takes; see `InputCoding.check`.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Images.

        Returns
        -------
        ndarray, shape (n, H, W, C)
            The same values and dtype.

        Raises
        ------
        ValueError
            The message names the network, the first bad image and the value.
        """
        try:
            return self.input.check(images)
        except ValueError as error:
            raise ValueError(f"network {self.name!r}: {error}") from None

    def activations(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of all layers.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Images as `check_images` wants them.

        Returns
        -------
        dict of str to ndarray, shape (n, H', W', C')
            By layer name, float64; ``"input"`` holds the standardised images.

        Raises
        ------
        ValueError
            If the images are not what the network takes.

        Notes
        -----
        All outputs are held at once; call it with a few hundred images at a time.
        """
        values = {INPUT: self.input.standardise(self.check_images(images))}
        for layer in self.layers:
            values[layer.name] = layer.apply(*(values[s] for s in layer.inputs))
        return values

    def forward(self, images: np.ndarray, batch: int = 128) -> np.ndarray:
        """Return the logits.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Images as `check_images` wants them.
        batch : int
            Images computed at once; bounds the memory and does not change the result beyond
            rounding.

        Returns
        -------
        ndarray, shape (n, n_classes)
            float64.

        Raises
        ------
        ValueError
            If the images are not what the network takes, or `batch` is below 1.
        """
        if batch < 1:
            raise ValueError(f"batch must be >= 1, got {batch!r}")
        images = self.check_images(images)
        logits = np.empty((len(images), len(self.classes)))
        output = self.layers[-1].name
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            logits[start : start + batch] = self.activations(part)[output][:, 0, 0]
        return logits

    def fold_batch_norm(self) -> Network:
        """Return the same function without batch normalisation.

        Each BatchNorm is merged into the Conv2D or Dense right before it, which keeps its name.

        Returns
        -------
        Network
            Without BatchNorm layers; same logits up to rounding.

        Raises
        ------
        ValueError
            If a BatchNorm follows something else, or the layer before it also feeds another
            layer; the message names both.
        """
        users: dict[str, list[str]] = {}
        for layer in self.layers:
            for source in layer.inputs:
                users.setdefault(source, []).append(layer.name)
        renamed: dict[str, str] = {}
        folded: dict[str, Layer] = {}
        for layer in self.layers:
            inputs = tuple(renamed.get(source, source) for source in layer.inputs)
            if not isinstance(layer, BatchNorm):
                folded[layer.name] = dataclasses.replace(layer, inputs=inputs)
                continue
            before = folded.get(inputs[0])
            if not isinstance(before, Conv2D | Dense):
                what = before.label if before is not None else f"{INPUT!r}"
                raise ValueError(
                    f"network {self.name!r}: {layer.label} cannot be folded: it follows {what}, "
                    "not a Conv2D or Dense"
                )
            if len(users[layer.inputs[0]]) > 1:
                raise ValueError(
                    f"network {self.name!r}: {layer.label} cannot be folded: {before.label} also "
                    f"feeds {', '.join(n for n in users[layer.inputs[0]] if n != layer.name)}"
                )
            folded[before.name] = dataclasses.replace(
                before,
                kernel=before.kernel * layer.scale,  # the output channel is the last axis
                bias=(before.bias - layer.mean) * layer.scale + layer.beta,
            )
            renamed[layer.name] = before.name
        return dataclasses.replace(self, layers=tuple(folded.values()))


LAYER_TYPES: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Conv2D,
        Dense,
        BatchNorm,
        AvgPool2D,
        GlobalAvgPool,
        MaxPool2D,
        Flatten,
        Add,
        Activation,
    )
}


def accuracy(logits: np.ndarray, labels: Sequence[int] | np.ndarray) -> float:
    """Fraction of images whose largest logit is the label's.

    Parameters
    ----------
    logits : ndarray, shape (n, n_classes)
        Logits, counts or anything whose largest entry decides; the first one wins a tie.
    labels : ndarray, shape (n,)
        Class indices.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If there is no image or the lengths differ.
    """
    labels = np.asarray(labels)
    if logits.ndim != 2 or not len(logits) or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits of shape {logits.shape} and labels of shape {labels.shape}")
    return float(np.mean(logits.argmax(axis=1) == labels))
