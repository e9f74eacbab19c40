"""A trained feed-forward network as plain data, and its exact forward pass in NumPy.

Everything is channels-last. One unit shape is always a triple (H, W, C); a dense vector has the
shape (1, 1, C). Batches put the image first: (n, H, W, C). All arithmetic is float64, so this
forward pass is the reference that every spiking version of a network is compared with.

A network is a tuple of layers in an order in which each layer comes after its inputs. The name
``"input"`` stands for the standardised image, and the last layer is the output (the logits).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .dynamics import Delay, Neurons, Previous
from .layers import (
    INPUT,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    Dense,
    Layer,
    Shape,
    Spike,
    frozen_array,
    scale_and_shift,
)

CHECKED = 256  # images whose values are checked at once


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
            array = frozen_array(getattr(self, field), "input", field, 1)
            if array.shape != shape[2:]:
                raise ValueError(
                    f"input: {field} has shape {array.shape}, images of shape {shape} need "
                    f"{shape[2:]}"
                )
            object.__setattr__(self, field, array)

    def __repr__(self) -> str:
        kind = "real numbers" if self.signed else "whole numbers"
        return f"InputCoding({_by(self.shape)}, {kind} up to {self.maximum:g})"

    def check(self, images: np.ndarray) -> np.ndarray:
        """Return `images` unchanged if the network may see them.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C) or (n, n_steps, H, W, C)
            Integers or floats; see `signed` for what they may hold.

        Returns
        -------
        ndarray, of the same shape
            The same values and dtype.

        Raises
        ------
        ValueError
            Wrong shape or dtype, or a value out of range or NaN; the message names the first bad
            image and the value.
        """
        images = np.asarray(images)
        if images.ndim == 5:
            return self.check(images.reshape(-1, *images.shape[2:])).reshape(images.shape)
        if images.ndim != 4 or images.shape[1:] != self.shape:
            raise ValueError(
                f"images must have shape (n, {', '.join(map(str, self.shape))}), got {images.shape}"
            )
        if images.dtype.kind not in "iuf":
            raise ValueError(f"images must be integers or floats, got dtype {images.dtype}")
        bad = [
            start + np.flatnonzero(~self._is_good(images[start : start + CHECKED]).all((1, 2, 3)))
            for start in range(0, len(images), CHECKED)
        ]
        if any(map(len, bad)):
            indices = np.concatenate(bad)
            index = int(indices[0])
            where = tuple(int(i) for i in np.argwhere(~self._is_good(images[index]))[0])
            wanted = f"a whole number from 0 to {self.maximum:g}"
            if self.signed:
                wanted = f"a real number from {-self.maximum:g} to {self.maximum:g}"
            raise ValueError(
                f"image {index} holds {images[(index, *where)]} at (row, column, channel) "
                f"{where}, expected {wanted}; {len(indices)} of {len(images)} images hold such "
                "values"
            )
        return images

    def _is_good(self, images: np.ndarray) -> np.ndarray:
        """Whether the network may see each value."""
        low = -self.maximum if self.signed else 0
        # Written so that NaN fails the comparison and counts as bad.
        good = (images >= low) & (images <= self.maximum)
        if not self.signed and images.dtype.kind == "f":
            good &= images == np.floor(images)
        return good

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


@dataclass(frozen=True, eq=False, repr=False)
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
        used |= self._remembered(shapes)
        for layer in self.layers[:-1]:
            if layer.name not in used:
                raise ValueError(
                    f"network {self.name!r}: nobody uses the output of {layer.label}; only the "
                    "last layer is the network's output"
                )
        _ = self.n_steps  # refuses layers that disagree
        last = self.layers[-1]
        if shapes[last.name] != (1, 1, len(self.classes)):
            raise ValueError(
                f"network {self.name!r}: {last.label} gives shape {shapes[last.name]}, "
                f"{len(self.classes)} classes need {(1, 1, len(self.classes))}"
            )

    def _remembered(self, shapes: dict[str, Shape]) -> set[str]:
        """Layers whose output of the step before is used; refuses it where there is none."""
        found = {layer.source: layer for layer in self.layers if isinstance(layer, Previous)}
        spiking = {layer.name for layer in self.layers if isinstance(layer, Neurons | Delay)}
        for source, layer in found.items():
            if source not in spiking or shapes[source] != layer.shape:
                raise ValueError(
                    f"network {self.name!r}: {layer.label} takes the output of {source!r} of the "
                    f"step before, in shape {layer.shape}; no neurons have that name and shape"
                )
        return set(found)

    def __repr__(self) -> str:
        return (
            f"Network({self.name}: {_by(self.input.shape)} -> {len(self.classes)} classes, "
            f"{len(self.layers)} layers, {self.n_parameters:,} parameters)"
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

    @cached_property
    def n_steps(self) -> int:
        """Time steps of the training; 1 for units that do not spike, or do not tell."""
        spiking = [layer for layer in self.layers if isinstance(layer, Spike)]
        for layer in spiking:
            if (layer.n_steps or 1) != (spiking[0].n_steps or 1):
                raise ValueError(
                    f"network {self.name!r}: {spiking[0].label} was trained for "
                    f"{spiking[0].n_steps or 1} time steps and {layer.label} for "
                    f"{layer.n_steps or 1}; all units take the same steps"
                )
        return (spiking[0].n_steps or 1) if spiking else 1

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
        All outputs are held at once; call it with a few hundred images at a time, or take them one
        by one from `outputs`. Of a network of several time steps they are those of the first.
        """
        return next(self.steps(images))

    def steps(self, images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Yield the outputs of all layers in each time step of the training, without noise.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Images as `check_images` wants them; the same in every step.

        Yields
        ------
        dict of str to ndarray, shape (n, H', W', C')
            As `activations` has them.

        Raises
        ------
        ValueError
            If the images are not what the network takes.
        """
        images = self.check_images(images)
        carried: dict[str, np.ndarray | None] = {}
        for _ in range(self.n_steps):
            yield dict(self.outputs(images, carried=carried))

    def outputs(
        self,
        images: np.ndarray,
        alter: Callable[[Layer, np.ndarray], np.ndarray] | None = None,
        carried: dict[str, np.ndarray | None] | None = None,
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the output of one layer after the other, held no longer than others need it.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Images as `check_images` wants them; not checked again here.
        alter : callable, optional
            Gets a layer and its output; returns what later layers shall see instead.
        carried : dict of str to ndarray, optional
            What spiking layers keep from one time step to the next; empty before the first.

        Yields
        ------
        name : str
            Of the layer; first ``"input"``, the standardised images.
        values : ndarray, shape (n, H', W', C')
            float64.
        """
        carried = {} if carried is None else carried
        last_user = {source: layer.name for layer in self.layers for source in layer.inputs}
        values = {INPUT: self.input.standardise(images)}
        yield INPUT, values[INPUT]
        for layer in self.layers:
            given = [values[source] for source in layer.inputs]
            if isinstance(layer, Spike):
                found, carried[layer.name] = layer.step(given[0], carried.get(layer.name))
            else:
                found = layer.apply(*given)
            values[layer.name] = found if alter is None else alter(layer, found)
            for source in set(layer.inputs):
                if last_user[source] == layer.name:
                    del values[source]
            yield layer.name, values[layer.name]

    def forward(self, images: np.ndarray, batch: int = 128) -> np.ndarray:
        """Return the logits; of a network of several time steps, their mean over the steps.

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
            carried: dict[str, np.ndarray | None] = {}
            total = np.zeros((len(part), len(self.classes)))
            for _ in range(self.n_steps):
                for name, values in self.outputs(part, carried=carried):
                    if name == output:
                        total += values[:, 0, 0]
            logits[start : start + batch] = total / self.n_steps
        return logits

    def fold_batch_norm(self) -> Network:
        """Return the same function without batch normalisation and with real weights only.

        A BatchNorm is merged into the Conv2D or Dense right before it, which keeps its name,
        unless that feeds another layer too. Anywhere else it becomes a Conv2D of size 1x1 with a
        group for each channel. A BinaryConv2D becomes a Conv2D.

        Returns
        -------
        Network
            Without BatchNorm layers; same logits up to rounding.
        """
        users: dict[str, list[str]] = {}
        for layer in self.layers:
            for source in layer.inputs:
                users.setdefault(source, []).append(layer.name)
        renamed: dict[str, str] = {}
        folded: dict[str, Layer] = {}
        for layer in self.layers:
            inputs = tuple(renamed.get(source, source) for source in layer.inputs)
            if isinstance(layer, BinaryConv2D):
                layer = layer.as_real()
            if not isinstance(layer, BatchNorm):
                folded[layer.name] = dataclasses.replace(layer, inputs=inputs)
                continue
            before = folded.get(inputs[0])
            shift = layer.beta - layer.mean * layer.scale
            if not isinstance(before, Conv2D | Dense) or len(users[layer.inputs[0]]) > 1:
                folded[layer.name] = scale_and_shift(layer.name, inputs[0], layer.scale, shift)
                continue
            folded[before.name] = dataclasses.replace(
                before,
                kernel=before.kernel * layer.scale,  # the output channel is the last axis
                bias=(before.bias - layer.mean) * layer.scale + layer.beta,
            )
            renamed[layer.name] = before.name
        return dataclasses.replace(self, layers=tuple(folded.values()))


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))


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


def input_coding(images: np.ndarray, maximum: int, is_dyadic: bool = False) -> InputCoding:
    """Return the coding that gives the training images mean 0 and variance 1 in each channel.

    Parameters
    ----------
    images : ndarray, shape (n, H, W, C)
        Training images.
    maximum : int
        Largest pixel value the data set can hold.
    is_dyadic : bool
        Round the gain to a power of two and the mean to a whole number.

    Returns
    -------
    InputCoding
        For unsigned images.

    Raises
    ------
    ValueError
        If the images have not four axes.
    """
    if images.ndim != 4:
        raise ValueError(
            f"images must have shape (n, rows, columns, channels), got {images.shape}; "
            "grey images have one channel: images[..., None]"
        )
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    std = images.std(axis=(0, 1, 2), dtype=np.float64)
    gain, offset = 1.0 / std, -mean / std
    if is_dyadic:
        gain = np.exp2(np.round(np.log2(gain)))
        offset = -np.round(mean) * gain
    rows, columns, channels = images.shape[1:]
    return InputCoding((rows, columns, channels), maximum, gain=gain, offset=offset)
