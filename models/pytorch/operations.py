"""What each ATen operation becomes in a network under construction.

Functions carry the names of the operations and take their arguments by ATen's names, except that
``self`` and ``input`` are `x`. Values are those of one image: axes are counted without the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch

from ..arrays import Array, Integers
from ..importing.assembler import Assembler
from ..importing.values import ZERO, Value
from .tracing import BATCH

Operand: TypeAlias = Value | torch.Tensor | float
Rule = Callable[..., Any]

RULES: dict[str, Rule] = {}

# Operations that only move or select entries; run on the positions of the entries.
LAYOUTS = frozenset(
    """
    view _unsafe_view view_copy reshape flatten unflatten squeeze unsqueeze
    transpose permute permute_copy t movedim moveaxis swapaxes mT mH numpy_T
    select slice slice_copy narrow index index_select diagonal unfold
    split split_with_sizes unsafe_split unbind chunk unsafe_chunk tensor_split
    flip fliplr flipud roll rot90 channel_shuffle native_channel_shuffle
    pixel_shuffle pixel_unshuffle
    expand expand_copy broadcast_to repeat tile repeat_interleave
    upsample_nearest1d upsample_nearest2d
    reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d
    """.split()  # noqa: SIM905
)
IDENTITIES = frozenset(
    "contiguous clone detach alias lift_fresh lift_fresh_copy positive lift".split()  # noqa: SIM905
)
# Constants of which a value gives no more than the shape.
OF_SHAPES = frozenset(
    """
    zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty fill
    """.split()  # noqa: SIM905
)
# Linear on space, each axis by itself.
SEPARABLE = frozenset({"upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa"})
POINTWISE = ("relu", "silu", "sigmoid", "tanh", "hardsigmoid", "hardswish")
# What to do about operations that no scheme can hold.
REMEDIES = {
    "layer_norm": "it normalises each image by itself; train with BatchNorm",
    "native_layer_norm": "it normalises each image by itself; train with BatchNorm",
    "rms_norm": "it normalises each image by itself; train with BatchNorm",
    "group_norm": "it normalises each image by itself; train with BatchNorm",
    "native_group_norm": "it normalises each image by itself; train with BatchNorm",
    "instance_norm": "it normalises each image by itself; train with BatchNorm",
    "local_response_norm": "it normalises each image by itself; train with BatchNorm",
    "_native_batch_norm_legit": "it has no running statistics: track_running_stats=True",
    "conv_transpose1d": "upsample and convolve instead",
    "conv_transpose2d": "upsample and convolve instead",
    "conv3d": "images have two dimensions here",
    "scaled_dot_product_attention": "attention has no spiking form here",
    "bmm": "products of two computed matrices have no spiking form here",
    "lstm": "recurrent layers have no spiking form here",
    "gru": "recurrent layers have no spiking form here",
    "rnn_tanh": "recurrent layers have no spiking form here",
    "rnn_relu": "recurrent layers have no spiking form here",
    "embedding": "the input must be an image of numbers",
    "quantize_per_tensor": "give the module before its quantisation",
    "dequantize": "give the module before its quantisation",
    **dict.fromkeys(
        (
            *("gt", "lt", "ge", "le", "eq", "ne", "greater", "less", "sign", "heaviside"),
            *("floor", "ceil", "round", "trunc", "frac", "remainder", "logical_not"),
        ),
        "it jumps where its input passes a limit; use max, min, clamp, relu or leaky_relu",
    ),
    "argmax": "end with the logits",
    "topk": "end with the logits",
}
OTHERWISE = "replace it with an operation that docs/bring-a-network.md lists"


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declare what the operations of these names become."""

    def declare(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declare


def array(tensor: Any, what: str) -> Array:
    """Return a constant as an array.

    Parameters
    ----------
    tensor : Tensor or Value
        Known when the module is read, or computed from the image.
    what : str
        For the message.

    Returns
    -------
    ndarray
        float64.

    Raises
    ------
    ValueError
        If it is computed from the image, or holds NaN or inf.
    """
    if isinstance(tensor, Value):
        raise ValueError(f"its {what} is computed from the image, which has no spiking form here")
    if isinstance(tensor, torch.Tensor):
        tensor = tensor.detach().cpu().double().numpy()
    found: Array = np.asarray(tensor, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(found))
    if len(bad):
        raise ValueError(
            f"its {what}{bad[0].tolist()} is {found[tuple(bad[0])]} ({len(bad)} of {found.size} "
            "values are not finite); the training has diverged or the weights are damaged"
        )
    return found


def relayout(to: Assembler, value: Value, operate: Callable[[torch.Tensor], Any]) -> Any:
    """Move entries as an operation on a batch does.

    Parameters
    ----------
    to : Assembler
        Of the network under construction.
    value : Value
        What is moved.
    operate : callable
        The operation on a batch, (BATCH, ...).

    Returns
    -------
    Value or tuple of Value
        One for each tensor that it gives.

    Raises
    ------
    ValueError
        If it mixes images.
    """
    n = value.index.size
    places = torch.arange(BATCH * n, dtype=torch.float64).reshape(BATCH, *value.index.shape)
    results = operate(places)
    moved = []
    for result in [results] if isinstance(results, torch.Tensor) else results:
        if result.ndim == 0 or len(result) != BATCH or not torch.equal(result[1], result[0] + n):
            raise ValueError("mixes the images of a batch, or moves the batch axis from the front")
        moved.append(to.reindexed(value, _take(result[0].numpy().astype(np.int64))))
    return moved[0] if isinstance(results, torch.Tensor) else tuple(moved)


def _take(where: Integers) -> Callable[[Integers], Integers]:
    return lambda index: index.ravel()[where]


def _pair(numbers: Sequence[int], n_axes: int, along_rows: int) -> tuple[int, int]:
    """(rows, columns) of an option for one or two axes; a sequence lies along the columns."""
    given = [int(number) for number in numbers]
    if len(given) == 1:
        given = given * 2 if n_axes == 2 else [along_rows, *given]
    return given[0], given[1]


def _need(value: Value, n_axes: int) -> None:
    """Refuse a value without a channel axis and `n_axes` axes of space."""
    if value.index.ndim != n_axes + 1:
        wanted = "(n, C, H, W)" if n_axes == 2 else "(n, C, L)"
        raise ValueError(f"takes {wanted}, and gets (n, {', '.join(map(str, value.index.shape))})")


def _axis(dim: int, value: Value) -> int:
    """An axis without the batch, from one with it."""
    n_axes = value.index.ndim + 1
    if dim % n_axes == 0:
        raise ValueError("works along the batch axis, which mixes images")
    return dim % n_axes - 1


# Linear layers


@rule("conv1d", "conv2d")
def conv(
    to: Assembler,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Value:
    """Convolutions, also with padding in words."""
    kernel = array(weight, "weight")
    n_axes = kernel.ndim - 2
    _need(x, n_axes)
    if n_axes == 1:
        kernel = kernel[:, :, None]
    kernel = kernel.transpose(2, 3, 1, 0)  # (kh, kw, n_in / groups, n_out)
    dilated = _pair(dilation, n_axes, 1)
    return to.conv(
        x,
        kernel,
        np.zeros(kernel.shape[3]) if bias is None else array(bias, "bias"),
        _pair(stride, n_axes, 1),
        _widths(padding, n_axes, kernel.shape[:2], dilated),
        dilated,
        groups,
        channels_last=False,
    )


def _widths(
    padding: Sequence[int] | str, n_axes: int, size: Sequence[int], dilation: Sequence[int]
) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a padding in numbers or words."""
    if padding == "same":  # of an even kernel, more on the right
        rows, columns = (d * (k - 1) for k, d in zip(size, dilation, strict=True))
        return rows // 2, rows - rows // 2, columns // 2, columns - columns // 2
    rows, columns = (0, 0) if isinstance(padding, str) else _pair(padding, n_axes, 0)
    return rows, rows, columns, columns


@rule("convolution")
def convolution(to: Assembler, x: Value, weight: Any, bias: Any, **options: Any) -> Value:
    """A convolution after decomposition."""
    if options.pop("transposed"):
        raise ValueError(f"is transposed: {REMEDIES['conv_transpose2d']}")
    options.pop("output_padding")
    return conv(to, x, weight, bias, **options)


@rule("binary_conv2d")
def binary_conv2d(
    to: Assembler,
    x: Value,
    signs: Any,
    scale: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Value:
    """Our own binary convolution."""
    _need(x, 2)
    rows, columns = _pair(padding, 2, 0)
    return to.binary_conv(
        x,
        array(signs, "weight").transpose(2, 3, 1, 0),
        array(scale, "scale"),
        _pair(stride, 2, 1),
        (rows, rows, columns, columns),
        _pair(dilation, 2, 1),
        groups,
        channels_last=False,
    )


@rule("linear")
def linear(to: Assembler, x: Value, weight: Any, bias: Any = None) -> Value:
    """On the last axis."""
    kernel = array(weight, "weight").T
    if x.index.shape[-1] != len(kernel):
        raise ValueError(f"takes {len(kernel)} values and gets {x.index.shape[-1]}")
    return to.dense(x, kernel, np.zeros(kernel.shape[1]) if bias is None else array(bias, "bias"))


@rule("matmul")
def matmul(to: Assembler, x: Operand, other: Any) -> Value:
    """A product with a constant matrix on the right."""
    kernel = array(other, "right factor")
    if not isinstance(x, Value) or kernel.ndim != 2:
        raise ValueError("is a product whose left factor is constant; use nn.Linear")
    return linear(to, x, kernel.T)


@rule("mm")
def mm(to: Assembler, x: Operand, mat2: Any) -> Value:
    """The same of matrices."""
    return matmul(to, x, mat2)


@rule("addmm")
def addmm(
    to: Assembler, x: Any, mat1: Operand, mat2: Any, beta: float = 1, alpha: float = 1
) -> Value:
    """A product with a constant matrix and a bias."""
    product = matmul(to, mat1, alpha * array(mat2, "right factor"))
    return add(to, product, x, alpha=beta)


@rule("_native_batch_norm_legit_no_training")
def batch_norm(
    to: Assembler,
    x: Value,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    """Batch normalisation with frozen statistics, of which the first result is the values."""
    mean, variance = array(running_mean, "mean"), array(running_var, "variance")
    gamma = np.ones(mean.size) if weight is None else array(weight, "weight")
    beta = np.zeros(mean.size) if bias is None else array(bias, "bias")
    made = to.batch_norm(x, gamma, beta, mean, variance, eps, channels_last=False)
    return made, None, None


# Arithmetic


@rule("add")
def add(to: Assembler, x: Operand, other: Operand, alpha: float = 1) -> Value:
    """Sums of values, of a value and a constant."""
    if not isinstance(x, Value):
        assert isinstance(other, Value)
        return _scale_shift(to, other, alpha, x)
    if isinstance(other, Value):
        _aligned(x, other)
        return to.add(x, other if alpha == 1 else _scale_shift(to, other, alpha, 0.0))
    return _scale_shift(to, x, 1.0, alpha * other)


@rule("sub", "subtract")
def subtract(to: Assembler, x: Operand, other: Operand, alpha: float = 1) -> Value:
    """Differences of values, of a value and a constant."""
    if isinstance(x, Value) and isinstance(other, Value) and alpha == 1:
        _aligned(x, other)
        return to.subtract(x, other)
    return add(to, x, other, alpha=-alpha)


@rule("rsub")
def rsub(to: Assembler, x: Value, other: Operand, alpha: float = 1) -> Value:
    """The difference the other way round."""
    return subtract(to, other, x, alpha=alpha)


@rule("mul", "multiply")
def multiply(to: Assembler, x: Operand, other: Operand) -> Value:
    """Products of values, of a value and a constant."""
    if isinstance(x, Value) and isinstance(other, Value):
        _aligned(x, other)
        return to.multiply(x, other)
    if isinstance(x, Value):
        return _scale_shift(to, x, other, 0.0)
    assert isinstance(other, Value)
    return _scale_shift(to, other, x, 0.0)


@rule("div", "divide", "true_divide")
def divide(to: Assembler, x: Operand, other: Operand, rounding_mode: str | None = None) -> Value:
    """Division by a constant."""
    if isinstance(other, Value) or rounding_mode is not None:
        raise ValueError("divides by a computed value or rounds, which has no spiking form here")
    assert isinstance(x, Value)
    return _scale_shift(to, x, 1.0 / array(other, "divisor"), 0.0)


@rule("neg", "negative")
def negative(to: Assembler, x: Value) -> Value:
    """The negative."""
    return _scale_shift(to, x, -1.0, 0.0)


@rule("pow", "square")
def power(to: Assembler, x: Operand, exponent: Any = 2) -> Value:
    """A whole power, as products."""
    exponents = None if isinstance(exponent, Value) else array(exponent, "exponent")
    if not isinstance(x, Value) or exponents is None or exponents.size != 1:
        raise ValueError("has an exponent that is not one constant, which has no spiking form here")
    return to.power(x, exponents.item())


def _scale_shift(to: Assembler, x: Value, scale: Any, shift: Any) -> Value:
    """Linear function by constants, which PyTorch broadcasts from the last axis."""
    constants = []
    for constant in (scale, shift):
        full = array(constant, "factor or summand")
        if full.ndim > x.index.ndim:  # has a batch axis
            if full.ndim > x.index.ndim + 1 or (full != full[:1]).any():
                raise ValueError("takes a constant that differs between the images of a batch")
            full = full[0]
        missing = x.index.ndim - full.ndim if full.ndim else 0
        constants.append(full.reshape((1,) * missing + full.shape))
    return to.scale_shift(x, *constants, channels_last=False)


def _aligned(a: Value, b: Value) -> None:
    """Refuse two values whose batch axes PyTorch would not lay on each other."""
    if a.index.ndim != b.index.ndim:
        raise ValueError(
            f"combines (n, {', '.join(map(str, a.shape))}) with "
            f"(n, {', '.join(map(str, b.shape))}), which mixes images"
        )


@rule("addcmul")
def addcmul(to: Assembler, x: Operand, tensor1: Operand, tensor2: Operand, value: float = 1) -> Any:
    """A sum with a product."""
    return add(to, x, _product(to, tensor1, tensor2), alpha=value)


@rule("addcdiv")
def addcdiv(to: Assembler, x: Operand, tensor1: Operand, tensor2: Any, value: float = 1) -> Any:
    """A sum with a value that is divided by a constant."""
    return add(to, x, _product(to, tensor1, 1.0 / array(tensor2, "divisor")), alpha=value)


@rule("lerp")
def lerp(to: Assembler, x: Operand, end: Operand, weight: Operand) -> Value:
    """What lies between two: x + weight * (end - x)."""
    if not isinstance(x, Value) and not isinstance(end, Value):
        start = array(x, "start")
        return _scale_shift(to, _product(to, weight, array(end, "end") - start), 1.0, start)
    return add(to, x, _product(to, subtract(to, end, x), weight))


def _product(to: Assembler, a: Any, b: Any) -> Any:
    """The product of values, constants or both."""
    if isinstance(a, Value) or isinstance(b, Value):
        return multiply(to, a, b)
    return array(a, "factor") * array(b, "factor")


@rule("where")
def where(to: Assembler, condition: Any, x: Operand, other: Operand) -> Value:
    """One value where a constant mask is set, another elsewhere."""
    mask = array(condition, "condition")
    parts = []
    shift: Any = 0.0
    for operand, chosen in ((x, mask), (other, 1.0 - mask)):
        if isinstance(operand, Value):
            parts.append(_scale_shift(to, operand, chosen, 0.0))
        elif not torch.isfinite(torch.as_tensor(operand)).all():
            raise ValueError("fills in inf or NaN; in a network there are finite numbers only")
        else:
            shift = shift + chosen * array(operand, "constant")
    found = parts[0] if len(parts) == 1 else add(to, *parts)
    return _scale_shift(to, found, 1.0, shift)


@rule("masked_fill")
def masked_fill(to: Assembler, x: Operand, mask: Any, value: Operand) -> Value:
    """A number where a constant mask is set."""
    return where(to, mask, value, x)


@rule("abs", "absolute")
def absolute(to: Assembler, x: Value) -> Value:
    """The sum of both rectified halves."""
    return to.add(to.activation(x, "relu"), to.activation(negative(to, x), "relu"))


@rule("maximum", "fmax")
def maximum(to: Assembler, x: Operand, other: Operand) -> Value:
    """The larger of two, a + relu(b - a)."""
    difference = subtract(to, other, x)
    return add(to, x, to.activation(difference, "relu"))


@rule("minimum", "fmin")
def minimum(to: Assembler, x: Operand, other: Operand) -> Value:
    """The smaller of two, a - relu(a - b)."""
    difference = subtract(to, x, other)
    return subtract(to, x, to.activation(difference, "relu"))


@rule("cat", "concat", "concatenate")
def cat(to: Assembler, tensors: Sequence[Operand], dim: int = 0) -> Value:
    """Concatenation."""
    source = next(tensor.source for tensor in tensors if isinstance(tensor, Value))
    values = [_or_zeros(tensor, source) for tensor in tensors]
    return to.concat(values, _axis(dim, values[0]))


def _or_zeros(tensor: Any, source: str) -> Value:
    """A value as it is, or constant zeros as one that a layer is not asked for."""
    if isinstance(tensor, Value):
        return tensor
    if array(tensor, "part").any():
        raise ValueError("concatenates the image with constants other than 0")
    return Value(source, np.full(tensor.shape[1:], ZERO))


@rule("slice_scatter")
def slice_scatter(
    to: Assembler,
    x: Value,
    src: Any,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value:
    """What assigns to a part: that part anew, between what is left of the rest."""
    axis = _axis(dim, x)
    extent = x.index.shape[axis]
    first, last, _ = slice(start, end).indices(extent)
    if step != 1:
        raise ValueError("assigns to every second entry or so, only to a block is supported")
    parts = [
        to.reindexed(x, _block(axis, 0, first)) if first else None,
        _or_zeros(src, x.source),
        to.reindexed(x, _block(axis, last, extent)) if last < extent else None,
    ]
    return to.concat([part for part in parts if part is not None], axis)


@rule("copy")
def copy(to: Assembler, x: Operand, src: Operand, non_blocking: bool = False) -> Operand:
    """What is assigned, in the shape that it is assigned to."""
    if isinstance(src, Value) and isinstance(x, Value):
        _aligned(x, src)
        return to.reindexed(src, lambda index: np.broadcast_to(index, x.shape))
    if isinstance(src, torch.Tensor) and isinstance(x, Value):
        return src.expand(BATCH, *x.shape)
    raise ValueError("assigns the image to a part of a constant, which is not supported")


@rule("type_as")
def type_as(to: Assembler, x: Operand, other: Operand) -> Operand:
    """Another type of real numbers."""
    return x


def _block(axis: int, first: int, last: int) -> Callable[[Integers], Integers]:
    return lambda index: index.take(range(first, last), axis=axis)


@rule("stack")
def stack(to: Assembler, tensors: Sequence[Any], dim: int = 0) -> Value:
    """Concatenation along a new axis."""
    n_axes = tensors[0].index.ndim + 2
    wide = [relayout(to, tensor, lambda t: t.unsqueeze(dim)) for tensor in tensors]
    return cat(to, wide, dim % n_axes)


# Pooling and space


@rule("max_pool2d")
def max_pool(
    to: Assembler,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
    n_axes: int = 2,
) -> Value:
    """Max pooling."""
    _need(x, n_axes)
    rows, columns = _pair(padding, n_axes, 0)
    return to.max_pool(
        x,
        _pair(kernel_size, n_axes, 1),
        _pair(stride or kernel_size, n_axes, 1),
        (rows, rows, columns, columns),
        channels_last=False,
        ceil_mode=ceil_mode,
        dilation=_pair(dilation, n_axes, 1),
    )


@rule("max_pool2d_with_indices")
def max_pool_with_indices(to: Assembler, x: Value, **options: Any) -> tuple[Value, None]:
    """Max pooling whose places nobody may use."""
    return max_pool(to, x, **options), None


@rule("avg_pool2d")
def avg_pool(
    to: Assembler,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    n_axes: int = 2,
) -> Value:
    """Average pooling."""
    _need(x, n_axes)
    if divisor_override is not None and ceil_mode:
        raise ValueError("divisor_override with ceil_mode=True is not supported")
    size = _pair(kernel_size, n_axes, 1)
    rows, columns = _pair(padding, n_axes, 0)
    pooled = to.avg_pool(
        x,
        size,
        _pair(stride or kernel_size, n_axes, 1),
        (rows, rows, columns, columns),
        channels_last=False,
        ceil_mode=ceil_mode,
        count_padding=count_include_pad or divisor_override is not None,
    )
    if divisor_override is None:
        return pooled
    return _scale_shift(to, pooled, math.prod(size) / divisor_override, 0.0)


@rule("adaptive_avg_pool2d", "_adaptive_avg_pool2d")
def adaptive_avg_pool(
    to: Assembler, x: Value, output_size: Sequence[int], n_axes: int = 2
) -> Value:
    """Averages over as many parts as asked for."""
    _need(x, n_axes)
    return to.adaptive_avg_pool(x, _pair(output_size, n_axes, 1), channels_last=False)


@rule("adaptive_max_pool2d")
def adaptive_max_pool(
    to: Assembler, x: Value, output_size: Sequence[int], n_axes: int = 2
) -> tuple[Value, None]:
    """Maxima over as many parts as asked for; nobody may use the places."""
    _need(x, n_axes)
    return to.adaptive_max_pool(x, _pair(output_size, n_axes, 1), channels_last=False), None


@rule("mean")
def mean(
    to: Assembler,
    x: Value,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    **_others: Any,
) -> Value:
    """Averages over axes."""
    return to.mean(x, _axes(dim, x), keepdim)


@rule("sum")
def total(
    to: Assembler,
    x: Value,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    **_others: Any,
) -> Value:
    """Sums over axes."""
    axes = _axes(dim, x)
    count = math.prod(x.index.shape[axis] for axis in axes)
    return _scale_shift(to, to.mean(x, axes, keepdim), count, 0.0)


@rule("amax")
def amax(to: Assembler, x: Value, dim: Sequence[int] = (), keepdim: bool = False) -> Value:
    """Maxima over axes."""
    return to.largest(x, _axes(dim, x), keepdim)


@rule("amin")
def amin(to: Assembler, x: Value, dim: Sequence[int] = (), keepdim: bool = False) -> Value:
    """Minima over axes."""
    return negative(to, amax(to, negative(to, x), dim, keepdim))


def _of_two_or_along(of_two: Rule, along: Rule) -> Rule:
    """Rule of an operation of two values, or along an axis, whose places nobody may use."""

    def chosen(
        to: Assembler,
        x: Operand,
        other: Operand | None = None,
        dim: int | None = None,
        keepdim: bool = False,
    ) -> Value | tuple[Value, None]:
        if other is not None:
            return of_two(to, x, other)
        return along(to, x, () if dim is None else (dim,), keepdim), None

    return chosen


RULES["max"] = _of_two_or_along(maximum, amax)
RULES["min"] = _of_two_or_along(minimum, amin)


def _axes(dim: int | Sequence[int] | None, value: Value) -> list[int]:
    """Axes without the batch; all of them where none is named, which is refused."""
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        raise ValueError("goes over all axes, which mixes the images of a batch")
    return [_axis(axis, value) for axis in ([dim] if isinstance(dim, int) else dim)]


@rule("pad", "constant_pad_nd")
def pad(
    to: Assembler, x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Value:
    """Zeros around a value, or its own entries once more."""
    if mode != "constant":
        return relayout(to, x, lambda t: torch.nn.functional.pad(t, list(pad), mode=mode))
    pairs = [(int(a), int(b)) for a, b in zip(pad[::2], pad[1::2], strict=True)]  # last axis first
    if len(pairs) > x.index.ndim:
        raise ValueError("pads the batch axis")
    if value and any(width > 0 for pair in pairs for width in pair):
        raise ValueError(f"pads with {value:g}, only zeros are supported")
    return to.pad(x, [(0, 0)] * (x.index.ndim - len(pairs)) + pairs[::-1])


def upsample(to: Assembler, x: Value, operate: Callable[[torch.Tensor], torch.Tensor]) -> Value:
    """Resampling by weights that are the same for every channel."""
    _need(x, 2)
    rows, columns = x.index.shape[1:]
    # Weights of one axis add up to one, so that an image without change along the other shows them.
    down = operate(
        torch.eye(rows, dtype=torch.float64)[:, None, :, None].expand(-1, -1, -1, columns)
    )
    along = operate(torch.eye(columns, dtype=torch.float64)[:, None, None].expand(-1, -1, rows, -1))
    return to.resample(x, down[:, 0, :, 0].numpy().T, along[:, 0, 0].numpy().T, channels_last=False)


# Activations


@rule("gelu")
def gelu(to: Assembler, x: Value, approximate: str = "none") -> Value:
    """Both forms of GELU."""
    return to.activation(x, "gelu" if approximate == "none" else "gelu_tanh")


@rule("relu6")
def relu6(to: Assembler, x: Value) -> Value:
    """ReLU up to 6."""
    return to.activation(x, "clip", (0.0, 6.0))


@rule("clamp", "clip")
def clamp(to: Assembler, x: Value, min: Any = None, max: Any = None) -> Value:
    """Limits, on one side or both; they may be tensors."""
    is_one_each = [not isinstance(end, Value | torch.Tensor) or _is_one(end) for end in (min, max)]
    if not all(is_one_each):
        x = x if min is None else maximum(to, x, min)
        return x if max is None else minimum(to, x, max)
    low, high = (_limit(end) for end in (min, max))
    if low is not None and high is not None:
        return to.activation(x, "clip", (low, high))
    if low is not None:
        above = to.activation(x if low == 0 else _scale_shift(to, x, 1.0, -low), "relu")
        return above if low == 0 else _scale_shift(to, above, 1.0, low)
    if high is None:
        raise ValueError("has no limit")
    below = to.activation(_scale_shift(to, x, -1.0, high), "relu")
    return _scale_shift(to, below, -1.0, high)


def _is_one(end: Value | torch.Tensor) -> bool:
    return isinstance(end, torch.Tensor) and end.numel() == 1


def _limit(end: Any) -> float | None:
    """A limit as a number; None for none and for an infinite one."""
    if end is None or (isinstance(end, float) and math.isinf(end)):
        return None
    return float(array(end, "limit"))


@rule("hardtanh")
def hardtanh(to: Assembler, x: Value, min_val: float = -1, max_val: float = 1) -> Value:
    """Limits on both sides."""
    return clamp(to, x, min_val, max_val)


@rule("clamp_min")
def clamp_min(to: Assembler, x: Value, min: Any) -> Value:
    """A limit from below."""
    return clamp(to, x, min=min)


@rule("clamp_max")
def clamp_max(to: Assembler, x: Value, max: Any) -> Value:
    """A limit from above."""
    return clamp(to, x, max=max)


@rule("threshold")
def threshold(to: Assembler, x: Value, threshold: float, value: float) -> Value:
    """A limit from below, unless it jumps."""
    if threshold != value:
        raise ValueError(f"jumps from {value:g} to {threshold:g}; use a ReLU")
    return clamp(to, x, min=threshold)


@rule("leaky_relu")
def leaky_relu(to: Assembler, x: Value, negative_slope: float = 0.01) -> Value:
    """One slope."""
    return to.leaky_relu(x, negative_slope)


@rule("rrelu")
def rrelu(
    to: Assembler,
    x: Value,
    lower: float = 0.125,
    upper: float = 1 / 3,
    training: bool = False,
    **_others: Any,
) -> Value:
    """The mean slope, which it has in evaluation mode."""
    if training:
        raise ValueError("draws its slopes at random in evaluation mode too")
    return to.leaky_relu(x, (lower + upper) / 2)


@rule("prelu", "_prelu_kernel")
def prelu(to: Assembler, x: Value, weight: Any) -> Value:
    """One slope, or one for each channel."""
    slope = array(weight, "slope").ravel()
    if slope.size == 1:
        return to.leaky_relu(x, float(slope[0]))
    return to.leaky_relu(x, slope.reshape(-1, *(1,) * (x.index.ndim - 1)))


@rule("elu")
def elu(
    to: Assembler, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1
) -> Value:
    """For x above 0 scale * x, below scale * alpha * (exp(input_scale * x) - 1)."""
    if input_scale != 1:
        x = _scale_shift(to, x, input_scale, 0.0)
        alpha, scale = alpha * input_scale, scale / input_scale
    made = to.activation(x, "elu", (float(alpha),))
    return made if scale == 1 else _scale_shift(to, made, scale, 0.0)


@rule("selu")
def selu(to: Assembler, x: Value) -> Value:
    """ELU with the two constants of Klambauer et al. (2017)."""
    return elu(to, x, alpha=1.6732632423543772, scale=1.0507009873554805)


@rule("celu")
def celu(to: Assembler, x: Value, alpha: float = 1) -> Value:
    """ELU whose slope at 0 is 1."""
    return elu(to, x, alpha=alpha, input_scale=1 / alpha)


@rule("log_sigmoid")
def log_sigmoid(to: Assembler, x: Value) -> Value:
    """The logarithm of the sigmoid, -softplus(-x)."""
    return negative(to, to.activation(negative(to, x), "softplus", (1.0,)))


@rule("glu")
def glu(to: Assembler, x: Value, dim: int = -1) -> Value:
    """The product of one half with the sigmoid of the other: Dauphin et al. (2017)."""
    axis = _axis(dim, x)
    extent = x.index.shape[axis]
    halves = ((0, extent // 2), (extent // 2, extent))
    a, b = (to.reindexed(x, _block(axis, *half)) for half in halves)
    return to.multiply(a, to.activation(b, "sigmoid"))


@rule("softplus")
def softplus(to: Assembler, x: Value, beta: float = 1, threshold: float = 20) -> Value:
    """Softplus; above the threshold PyTorch leaves out what is below its rounding."""
    if threshold < 20:
        raise ValueError(f"threshold={threshold:g} cuts off more than rounding; leave it at 20")
    return to.activation(x, "softplus", (float(beta),))


@rule("mish")
def mish(to: Assembler, x: Value) -> Value:
    """The product x * tanh(softplus(x)): Misra (2020), arXiv 1908.08681."""
    return to.multiply(x, to.activation(to.activation(x, "softplus", (1.0,)), "tanh"))


@rule("softmax", "_softmax", "log_softmax", "_log_softmax")
def softmax(to: Assembler, x: Value, dim: int, **_others: Any) -> Value:
    """Left out at the end."""
    return to.softmax(x, _axis(dim, x))


@rule("quantised_relu")
def quantised_relu(to: Assembler, x: Value, step: Any, levels: int) -> Value:
    """Our own quantised ReLU."""
    return to.quantised_relu(x, float(array(step, "step")), levels)


@rule("spike")
def spike(
    to: Assembler, x: Value, mean: Any, sigma: Any, leak: float, reset: str, n_steps: int
) -> Value:
    """Our own spiking unit."""
    numbers = {"mean": float(array(mean, "mean")), "sigma": float(array(sigma, "sigma"))}
    return to.spike(x, **numbers, leak=leak, reset=reset, n_steps=n_steps)


@rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")
def dropout(to: Assembler, x: Value, p: float, train: bool) -> Value:
    """Nothing, in evaluation mode."""
    if train and p > 0:
        raise ValueError("drops at random in evaluation mode too; pass training=self.training")
    return x


@rule("to", "_to_copy")
def to_type(to: Assembler, x: Value, *, dtype: torch.dtype | None = None, **_others: Any) -> Value:
    """Another type of real numbers."""
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"makes {dtype} of the image, which has no spiking form here")
    return x


def _of_function(function: str) -> Rule:
    return lambda to, x: to.activation(x, function)


RULES.update({name: _of_function(name) for name in POINTWISE})
RULES.update(
    max_pool1d=partial(max_pool, n_axes=1),
    avg_pool1d=partial(avg_pool, n_axes=1),
    adaptive_avg_pool1d=partial(adaptive_avg_pool, n_axes=1),
    adaptive_max_pool1d=partial(adaptive_max_pool, n_axes=1),
)
