"""What every reader asks of its caller: what an image is and how the model sees it.

A model sees a standardised image, laid out as its framework likes it. Here, raw images and a
standardisation, or inputs of the model from which the images are computed back, become the input
coding of the network and a few images to check it on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array, Integers
from ..messages import one_line
from ..networks.layers import INPUT, Shape
from ..networks.network import InputCoding
from .arguments import numbers, one_number, require_types
from .values import Value

N_CHECKED = 8  # images on which an imported network is compared with its model
LARGEST_BYTE = 255
Transform = Callable[[np.ndarray], Any]  # a raw image -> what the model takes, an array or tensor

# Views of images (n, H, W, C) as models take them. All are permutations of the entries.
_VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "(n, C, H, W)": lambda x: x.transpose(0, 3, 1, 2),
    "(n, H, W, C)": lambda x: x,
    "(n, H, W)": lambda x: x[..., 0],
    "(n, C, L)": lambda x: x[:, 0].transpose(0, 2, 1),
    "(n, L, C)": lambda x: x[:, 0],
    "(n, F)": lambda x: x.reshape(len(x), -1),
    "(n, C * H * W)": lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1),
}
_FLAT = ("(n, C * H * W)", "(n, F)")


@dataclass(frozen=True)
class Layout:
    """How a model sees an image of ours.

    Parameters
    ----------
    shape : tuple of int
        (H, W, C) of ours.
    axes : str
        The model's axes, e.g. ``"(n, C, H, W)"``.
    """

    shape: Shape
    axes: str

    def seen(self, images: np.ndarray) -> np.ndarray:
        """Return images as the model takes them.

        Parameters
        ----------
        images : ndarray, shape (n, H, W, C)
            Ours.

        Returns
        -------
        ndarray, shape (n, ...)
            The same values in the model's order.
        """
        return _VIEWS[self.axes](images)

    def images(self, seen: np.ndarray) -> np.ndarray:
        """Undo `seen`.

        Parameters
        ----------
        seen : ndarray, shape (n, ...)
            As the model takes them.

        Returns
        -------
        ndarray, shape (n, H, W, C)
            Ours.
        """
        images = np.empty((len(seen), np.prod(self.shape)), seen.dtype)
        images[:, self._index.ravel()] = seen.reshape(len(seen), -1)
        return images.reshape(len(seen), *self.shape)

    @property
    def value(self) -> Value:
        """The model's input as a value of the network under construction."""
        return Value(INPUT, self._index)

    @property
    def _index(self) -> Integers:
        places = np.arange(np.prod(self.shape), dtype=np.int64)
        return self.seen(places.reshape(1, *self.shape))[0]


@dataclass(frozen=True, eq=False)
class Sample:
    """What an image is, and a few of them to check on.

    Parameters
    ----------
    coding : InputCoding
        Of the network.
    layout : Layout
        How the model sees an image.
    images : ndarray, shape (n, H, W, C)
        Raw images, at most `N_CHECKED`.
    """

    coding: InputCoding
    layout: Layout
    images: np.ndarray

    @property
    def inputs(self) -> Array:
        """What the model takes for these images, shape (n, ...)."""
        return self.layout.seen(self.coding.standardise(self.images))


@dataclass(frozen=True, eq=False)
class Standardisation:
    """What the caller of a reader says about the images.

    Whole-number images are seen as x = (image / maximum * pixel_scale - mean) / std, real-valued
    ones as x = (image * pixel_scale - mean) / std.

    Parameters
    ----------
    mean, std : float or sequence of float
        Of one channel each, or of all.
    pixel_scale : float
        What the largest pixel is before the standardisation: 1 after torchvision's ToTensor, 255
        for pixels as they are.
    maximum : float, optional
        Largest value of a raw image.

    Raises
    ------
    ValueError
        If something is no number, or several where there is one; if `std`, `pixel_scale` or
        `maximum` is not positive, or a number is not finite.
    """

    mean: Any = 0.0
    std: Any = 1.0
    pixel_scale: float = 1.0
    maximum: float | None = None

    def __post_init__(self) -> None:
        for field in ("mean", "std", "pixel_scale", "maximum"):
            given = getattr(self, field)
            if given is None and field == "maximum":
                continue
            read = numbers if field in ("mean", "std") else one_number
            found = read(field, given)
            if not np.isfinite(found).all() or (field != "mean" and np.any(found <= 0)):
                wanted = "finite" if field == "mean" else "finite and > 0"
                raise ValueError(f"{field} must be {wanted}, got {given!r}")
            object.__setattr__(self, field, found)

    @property
    def is_stated(self) -> bool:
        """Whether the caller said anything at all."""
        is_plain = not np.any(self.mean) and np.all(np.asarray(self.std) == 1)
        return not (is_plain and self.pixel_scale == 1 and self.maximum is None)

    def coding(self, shape: Shape, maximum: float, signed: bool) -> InputCoding:
        """Return the input coding of images of a shape.

        Parameters
        ----------
        shape : tuple of int
            (H, W, C).
        maximum : float
            Largest value of an image.
        signed : bool
            Whether images are real-valued.

        Returns
        -------
        InputCoding
            Its gain and offset do what this class says.

        Raises
        ------
        ValueError
            If `mean` or `std` has neither one number nor one for each channel.
        """
        channels = shape[2]
        arrays = {}
        for field in ("mean", "std"):
            array = np.asarray(getattr(self, field), dtype=np.float64).ravel()
            if array.size not in (1, channels):
                raise ValueError(
                    f"{field} has {array.size} numbers, images of shape {shape} have "
                    f"{channels} channels"
                )
            arrays[field] = np.broadcast_to(array, (channels,))
        scale = self.pixel_scale if signed else self.pixel_scale / maximum
        return InputCoding(
            shape,
            maximum,
            gain=scale / arrays["std"],
            offset=-arrays["mean"] / arrays["std"],
            signed=signed,
        )


def read_sample(
    example: np.ndarray | None,
    stated: Standardisation,
    *,
    accepts: Callable[[np.ndarray], str | None],
    channels_first: bool,
    input: InputCoding | None = None,
    transform: Transform | None = None,
    is_model_input: bool = False,
    declared: Layout | None = None,
) -> Sample:
    """Find out what an image is and how the model sees it.

    Parameters
    ----------
    example : ndarray or None
        Raw images (n, H, W, C), (n, H, W), (n, L, C) or (n, F), or with `is_model_input` what the
        model takes.
    stated : Standardisation
        What the caller says.
    accepts : callable
        Says why the model cannot take an array (n, ...), or None if it can.
    channels_first : bool
        How the model's framework lays images out.
    input : InputCoding or None
        Says what an image is instead of `stated`.
    transform : callable or None
        From a raw image to what the model takes; compared with what is stated.
    is_model_input : bool
        Whether the example is standardised and laid out already.
    declared : Layout or None
        What the model itself says, if it does; used without example.

    Returns
    -------
    Sample
        Coding, layout and images to check on; random ones of the whole range without example.

    Raises
    ------
    ValueError
        If the parts contradict each other or the model; the message says which, with numbers.
    """
    require_types(input, transform)
    if input is not None and stated.is_stated:
        raise ValueError(
            "input= says what an image is: leave mean, std, pixel_scale and maximum out"
        )
    if example is None:
        if transform is not None:
            raise ValueError("transform= is compared on images: give raw ones as example=")
        return _without_example(stated, accepts, channels_first, input, declared)
    example = _numbers(example)
    if is_model_input:
        if transform is not None:
            raise ValueError("transform= takes raw images, but example= holds inputs of the model")
        return _from_inputs(example, stated, accepts, channels_first, input)
    picked = example[np.unique(np.linspace(0, len(example) - 1, N_CHECKED).astype(int))]
    given = None if transform is None else _transformed(picked, transform)
    if channels_first and transform is None and input is None:
        _require_channels_last(example.shape, picked, accepts)
    layout = _accepted(_of_images(example.shape, channels_first, input), picked, accepts, given)
    if input is None:
        input = stated.coding(layout.shape, *_range(example, stated.maximum))
    images = picked.reshape(len(picked), *layout.shape)
    sample = Sample(input, layout, input.check(images))
    if given is not None:
        _compare(sample.inputs, given)
    return sample


def _numbers(example: np.ndarray) -> np.ndarray:
    """The example as an array of finite numbers with a batch axis."""
    try:
        example = np.asarray(example)
    except Exception as error:  # images of several sizes, tensors that hold nothing
        raise ValueError(
            "example= must be one array of images of one size, got "
            f"{type(example).__name__} ({one_line(error, 200)})"
        ) from error
    if example.dtype.kind == "b":
        example = example.astype(np.uint8)
    if example.dtype.kind not in "iuf" or example.ndim not in (2, 3, 4) or not example.size:
        raise ValueError(
            "example= must hold at least one image as numbers, (n, rows, columns, channels), "
            f"(n, rows, columns), (n, length, channels) or (n, features), got {example.dtype} of "
            f"shape {example.shape}"
            + ("" if example.ndim else "; images of a file are ab.read_images(path).images")
        )
    if not np.isfinite(example).all():
        raise ValueError("example= holds NaN or inf")
    return example


def _require_channels_last(
    shape: tuple[int, ...], picked: np.ndarray, accepts: Callable[[np.ndarray], str | None]
) -> None:
    """Refuse raw images that look as a channels-first model takes them, and that it takes."""
    looks_so = len(shape) == 4 and shape[1] < shape[3]
    if looks_so and accepts(picked.astype(np.float64)) is None:
        raise ValueError(
            f"example= of shape {shape} seems to have its channels first: give raw images as "
            "(n, rows, columns, channels), np.moveaxis(x, 1, -1) moves them, or a tensor of what "
            "the model takes as example="
        )


def _axes(channels_first: bool) -> tuple[str, str, str]:
    """How a framework sees vectors, sequences and images."""
    if channels_first:
        return "(n, F)", "(n, C, L)", "(n, C, H, W)"
    return "(n, F)", "(n, L, C)", "(n, H, W, C)"


def _of_shape(shape: Shape, channels_first: bool) -> list[Layout]:
    """The ways in which a model may see images of a shape; the usual ones first."""
    rows, columns, channels = shape
    vector, sequence, a_map = _axes(channels_first)
    if rows == columns == 1:
        axes = [vector, a_map]
    else:
        # Who flattens colours beforehand may have done so in either order.
        flat = _FLAT if channels_first and channels > 1 else (vector,)
        other = [sequence] if rows == 1 else ["(n, H, W)"] if channels == 1 else []
        axes = [a_map, *other, *flat]
    return [Layout(shape, each) for each in axes]


def _of_images(
    raw: tuple[int, ...], channels_first: bool, input: InputCoding | None
) -> list[Layout]:
    """The ways in which a model may see raw images of a shape (n, ...)."""
    shapes: list[Shape]
    if len(raw) == 4:
        shapes = [(raw[1], raw[2], raw[3])]
    elif len(raw) == 3:  # grey images or sequences
        shapes = [(raw[1], raw[2], 1), (1, raw[1], raw[2])]
    else:
        shapes = [(1, 1, raw[1])]
    if input is not None:
        if input.shape not in shapes:
            raise ValueError(f"example= has shape {raw}, input= is for images of {input.shape}")
        shapes = [input.shape]
    layouts = _of_shape(shapes[0], channels_first)
    for shape in shapes[1:]:  # flat in the order of the array, if it is flat
        layouts += [x for x in _of_shape(shape, channels_first) if x.axes not in _FLAT]
    return sorted(layouts, key=lambda layout: layout.axes == "(n, H, W)")  # the least usual one


def _accepted(
    layouts: list[Layout],
    raw: np.ndarray,
    accepts: Callable[[np.ndarray], str | None],
    given: np.ndarray | None = None,
) -> Layout:
    """The first layout that the model takes; with `given` inputs, one that has their shape."""
    seen = {
        layout: layout.seen(raw.reshape(len(raw), *layout.shape).astype(np.float64))
        for layout in layouts
    }
    if given is not None:
        seen = {layout: x for layout, x in seen.items() if x.shape == given.shape}
        if not seen:
            raise ValueError(
                f"transform= makes {given.shape[1:]} of an image of shape {raw.shape[1:]}: crop "
                "and resize the images beforehand, the spiking network gets them as they are"
            )
        # Several orders may have one shape: it is the one that the transform has.
        best = min(seen, key=lambda layout: _left_by_a_line(seen[layout], given))
        seen = {best: given}
    refused = ""
    for layout, x in seen.items():
        why = accepts(x)
        if why is not None:
            refused = refused or f"as {layout.axes} of shape {x.shape}: {why}"
            continue
        for other, y in seen.items():
            if y.shape == x.shape and not np.array_equal(x, y) and accepts(y) is None:
                raise _ambiguous(raw.shape, layout, other)
        return layout
    if raw.ndim == 4 and raw.shape[1] < raw.shape[3] and accepts(raw.astype(np.float64)) is None:
        refused = "their channels stand first: move them last, images.transpose(0, 2, 3, 1)"
    raise ValueError(f"the model gives no logits for images of shape {raw.shape[1:]}; {refused}")


def _ambiguous(shape: tuple[int, ...], one: Layout, other: Layout) -> ValueError:
    flatten = "let the model flatten by itself, " if {one.axes, other.axes} == {*_FLAT} else ""
    return ValueError(
        f"images of shape {shape} can be seen as {one.axes} or as {other.axes}, and the model "
        f"takes both: {flatten}give transform=, or a tensor of what the model takes as example= "
        "without input="
    )


def _left_by_a_line(x: np.ndarray, given: np.ndarray) -> float:
    """Sum of the squares that the best straight line of `x` leaves of `given`."""
    centred, wanted = x - x.mean(), given - given.mean()
    size = float((centred**2).sum())
    slope = float((centred * wanted).sum()) / size if size else 0.0
    return float(((wanted - slope * centred) ** 2).sum())


def _range(raw: np.ndarray, maximum: float | None) -> tuple[float, bool]:
    """Largest value of raw images, and whether they are real-valued."""
    signed = bool((raw < 0).any() or (raw.dtype.kind == "f" and (raw != np.floor(raw)).any()))
    largest = float(np.abs(raw.astype(np.float64)).max())
    if maximum is not None:
        if largest > maximum:
            raise ValueError(f"example= holds {largest:g}, above maximum={maximum:g}")
        return float(maximum), signed
    if signed:
        _guess(f"real numbers from {-largest:g} to {largest:g}, the largest in example=")
        return largest, True
    if raw.dtype == np.uint8:
        return float(LARGEST_BYTE), False
    found = float(2 ** max(int(largest).bit_length(), 1) - 1)
    if found != LARGEST_BYTE:
        _guess(f"whole numbers from 0 to {found:g}, from the largest in example=, {largest:g}")
    return found, False


def _guess(what: str) -> None:
    warnings.warn(
        f"the range of the images is a guess: {what}; state it with maximum=", stacklevel=2
    )


def _transformed(images: np.ndarray, transform: Transform) -> Array:
    """What a transform makes of raw images, shape (n, ...)."""
    try:
        return np.stack([np.asarray(transform(image), dtype=np.float64) for image in images])
    except Exception as error:  # whatever the caller's code raises
        raise ValueError(
            f"transform= fails on an image of shape {images.shape[1:]} and type {images.dtype}: "
            f"{type(error).__name__}: {one_line(error, 300)}"
        ) from error


def _compare(ours: Array, given: Array) -> None:
    """Refuse a standardisation that is not the transform's."""
    difference = np.abs(ours - given)
    if difference.max() <= 1e-4 * max(np.abs(given).max(), 1e-30):
        return
    at = np.unravel_index(int(difference.argmax()), given.shape)
    fit = ""
    if ours.std() > 0:
        slope, offset = np.polyfit(ours.ravel(), given.ravel(), 1)
        fit = f"; over all values, transform = {slope:.4g} * ours {offset:+.4g}"
    raise ValueError(
        f"transform= gives {given[at]:.6g} where mean, std, pixel_scale and maximum give "
        f"{ours[at]:.6g}{fit}: correct them (and leave random augmentation out of the transform)"
    )


def _from_inputs(
    inputs: np.ndarray,
    stated: Standardisation,
    accepts: Callable[[np.ndarray], str | None],
    channels_first: bool,
    input: InputCoding | None,
) -> Sample:
    """The sample whose images are computed back from inputs of the model."""
    if input is None:
        *space, channels = inputs.shape[1:]
        if channels_first:
            channels, *space = inputs.shape[1:]
        rows, columns = [1, 1, *space][-2:]
        layouts = [Layout((rows, columns, channels), _axes(channels_first)[inputs.ndim - 2])]
    else:
        layouts = _of_shape(input.shape, channels_first)
    layouts = [x for x in layouts if x.seen(np.empty((1, *x.shape))).shape[1:] == inputs.shape[1:]]
    if not layouts:
        raise ValueError(f"example= has shape {inputs.shape}, input= is for another: {input!r}")
    if len(layouts) > 1:
        raise _ambiguous(layouts[0].shape, layouts[0], layouts[1])
    layout, picked = layouts[0], inputs[:N_CHECKED]
    why = accepts(picked)
    if why is not None:
        raise ValueError(f"the model does not take example= of shape {inputs.shape}: {why}")
    x = layout.images(inputs.astype(np.float64))
    if input is not None:
        images = _undone(x, input)
        return Sample(input, layout, input.check(images)[:N_CHECKED])
    coding = stated.coding(layout.shape, stated.maximum or LARGEST_BYTE, signed=False)
    images = _undone(x, coding)
    is_whole = (images == np.round(images)) & (images >= 0) & (images <= coding.maximum)
    if not is_whole.all():
        if replace(stated, maximum=None).is_stated:
            bad = images[~is_whole].flat[0]
            raise ValueError(
                f"example= is not what mean, std and pixel_scale make of whole pixels from 0 to "
                f"{coding.maximum:g}: one comes out as {bad:.6g}; correct them, or give raw images "
                "as a NumPy array"
            )
        if stated.maximum is None:
            largest = float(np.abs(x).max()) or 1.0
            _guess(f"real numbers from {-largest:g} to {largest:g}, the largest in example=")
        else:
            largest = stated.maximum
        coding = stated.coding(layout.shape, largest, signed=True)
        images = coding.check(x)
    return Sample(coding, layout, images[:N_CHECKED])


def _undone(x: Array, coding: InputCoding) -> Array:
    """Images from standardised ones; whole numbers where the rounding of float32 hides them."""
    images = (x - coding.offset) / coding.gain
    whole = np.round(images)
    error = 1e-6 * np.abs(x / coding.gain).max() + 1e-6 * coding.maximum
    is_near = np.abs(images - whole) <= min(10 * error, 0.1)
    return images if coding.signed else np.where(is_near, whole, images)


def _without_example(
    stated: Standardisation,
    accepts: Callable[[np.ndarray], str | None],
    channels_first: bool,
    input: InputCoding | None,
    declared: Layout | None,
) -> Sample:
    """The sample of random images of the whole range."""
    rng = np.random.default_rng(0)
    if input is None:
        if declared is None:
            raise ValueError("what an image is must be known: give example=, or input=")
        maximum = stated.maximum
        if maximum is None:
            maximum = float(LARGEST_BYTE)
            _guess(f"whole numbers from 0 to {maximum:g}")
        input = stated.coding(declared.shape, maximum, signed=False)
    size = (N_CHECKED, *input.shape)
    if input.signed:
        images = rng.uniform(-input.maximum, input.maximum, size)
    else:
        images = rng.integers(0, int(input.maximum), size, endpoint=True).astype(np.float64)
    layouts = _of_shape(input.shape, channels_first)
    if declared is not None and declared.shape == input.shape:
        layouts = [declared]
    return Sample(input, _accepted(layouts, images, accepts), images)
