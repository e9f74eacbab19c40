"""From the layers of a Keras file to layers of ours.

Keras is channels-last like us, unless a layer says otherwise. Its ``same`` padding is that of
TensorFlow: where the total is odd, the larger half comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..arrays import Array
from .assembler import Assembler, Value
from .keras_files import KerasFile, LayerRecord, as_damage
from .resizing import resizing

MAX_ENTRIES = 2**26  # of a value; images of 4096 x 4096
MODELS = ("Sequential", "Functional", "Model")
_NOTHING_TO_DO = (
    "InputLayer",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "GaussianDropout",
    "GaussianNoise",
    "AlphaDropout",
    "ActivityRegularization",
    "RandomFlip",
    "RandomRotation",
    "RandomZoom",
    "RandomTranslation",
    "RandomContrast",
    "RandomBrightness",
)
_WHY_NOT = {
    "Lambda": "holds Python code, which is not run; use layers, or keras.ops in a layer of its own",
    "TFOpLambda": "is a TensorFlow function; use a Keras layer, such as Add for +",
    "SlicingOpLambda": "is a TensorFlow function; use a Cropping layer",
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D"),
        "is recurrent; only feed-forward networks are converted",
    ),
}
_NOT_SUPPORTED = "is not supported; docs/bring-a-network.md lists the layers that are"
_POINTWISE = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "hard_silu": "hardswish",
    "hard_swish": "hardswish",
}
_SELU = (1.6732632423543772, 1.0507009873554805)  # alpha, scale


class KerasReader:
    """Walks through a Keras model and hands its layers to an assembler.

    Parameters
    ----------
    file : KerasFile
        Open.
    assembler : Assembler
        Receives the layers.

    Attributes
    ----------
    values : dict of str to Value
        What each layer of the outermost model that is called once gives, by its name.
    """

    def __init__(self, file: KerasFile, assembler: Assembler) -> None:
        self._file = file
        self._assembler = assembler
        self.values: dict[str, Value] = {}
        self._rules: dict[str, Callable[[LayerRecord, Value], Value]] = {
            "Conv1D": self._conv,
            "Conv2D": self._conv,
            "Convolution1D": self._conv,
            "Convolution2D": self._conv,
            "DepthwiseConv1D": self._depthwise_conv,
            "DepthwiseConv2D": self._depthwise_conv,
            "SeparableConv1D": self._separable_conv,
            "SeparableConv2D": self._separable_conv,
            "Dense": self._dense,
            "BatchNormalization": self._batch_norm,
            "Rescaling": self._rescaling,
            "Normalization": self._normalization,
            "Activation": lambda layer, value: self._activation(layer.config["activation"], value),
            "ReLU": self._relu,
            "LeakyReLU": self._leaky_relu,
            "PReLU": self._prelu,
            "ELU": self._elu,
            "Softmax": self._softmax,
            **dict.fromkeys(("MaxPooling1D", "MaxPooling2D"), self._max_pool),
            **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), self._average_pool),
            **dict.fromkeys(
                ("GlobalAveragePooling1D", "GlobalAveragePooling2D"), self._global_average_pool
            ),
            **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D"), self._global_max_pool),
            "Flatten": self._flatten,
            "Reshape": self._reshape,
            "Permute": self._permute,
            "RepeatVector": self._repeat_vector,
            **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), self._zero_padding),
            **dict.fromkeys(("Cropping1D", "Cropping2D"), self._cropping),
            **dict.fromkeys(("UpSampling1D", "UpSampling2D"), self._up_sampling),
            **dict.fromkeys(_NOTHING_TO_DO, lambda _layer, value: value),
            # Functions that Keras 3 records as if they were layers.
            **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "Silu"), self._function),
        }
        self._merging: dict[str, Callable[[LayerRecord, Sequence[Value]], Value]] = {
            "Add": self._add,
            "Subtract": lambda _layer, values: self._assembler.subtract(*values),
            "Multiply": self._multiply,
            "Average": self._average,
            "Maximum": self._maximum,
            "Minimum": self._minimum,
            "Concatenate": self._concatenate,
        }

    def read(self, value: Value) -> Value:
        """Append the layers of the whole model.

        Parameters
        ----------
        value : Value
            Its input.

        Returns
        -------
        Value
            Its output.

        Raises
        ------
        ValueError
            If a layer or one of its options is not supported, or the file contradicts itself; the
            message names the layer.
        """
        structure = self._file.structure
        return self._model(structure["class_name"], _layers_of(structure), value, None)

    def _model(
        self, kind: str, config: dict[str, Any], value: Value, within: LayerRecord | None
    ) -> Value:
        layers = self._file.layers(config, within)
        if kind == "Sequential":
            for layer in layers:
                value = self._call(layer, [value])
                self._keep(layer, value, within)
            return value
        return self._functional(config, layers, value, within)

    def _functional(
        self,
        config: dict[str, Any],
        layers: list[LayerRecord],
        value: Value,
        within: LayerRecord | None,
    ) -> Value:
        source = _only(config["input_layers"], "inputs")
        target = _only(config["output_layers"], "outputs")
        calls = {
            (layer.name, i): (layer, _arguments(call))
            for layer in layers
            for i, call in enumerate(layer.calls)
        }
        # Calls of a model are counted from 0 or from 1; only those that are used stand in a file.
        used: dict[str, set[int]] = {target[0]: {target[1]}}
        for _layer, arguments in calls.values():
            for name, number in filter(_is_reference, arguments):
                used.setdefault(name, set()).add(number)
        numbers = {name: sorted(found) for name, found in used.items()}
        values = {(source[0], 0): value}
        waiting = dict(calls)
        while waiting:
            ready = []
            for key, (_layer, arguments) in waiting.items():
                sources = [
                    (a[0], numbers[a[0]].index(a[1])) if _is_reference(a) else None
                    for a in arguments
                ]
                if all(s is None or s in values for s in sources):
                    ready.append((key, sources))
            if not ready:
                names = ", ".join(sorted({name for name, _ in waiting}))
                raise ValueError(f"layers {names}: their inputs come from nowhere")
            for key, sources in ready:
                layer, arguments = waiting.pop(key)
                given = [
                    a if s is None else values[s] for a, s in zip(arguments, sources, strict=True)
                ]
                values[key] = self._call(layer, given)
                if len(layer.calls) == 1:
                    self._keep(layer, values[key], within)
        key = (target[0], numbers[target[0]].index(target[1]))
        if key not in values:
            raise ValueError(f"its output {target[0]!r} is none of its layers")
        return values[key]

    def _keep(self, layer: LayerRecord, value: Value, within: LayerRecord | None) -> None:
        if within is None and layer.kind != "InputLayer":
            self.values[layer.name] = value

    def _call(self, layer: LayerRecord, given: Sequence[Any]) -> Value:
        """Append what one call of a layer computes; scalars stand between the values given."""
        try:
            with as_damage():
                return self._called(layer, given)
        except ValueError as error:
            raise ValueError(f"layer {layer.name} ({layer.kind}): {error}") from error

    def _called(self, layer: LayerRecord, given: Sequence[Any]) -> Value:
        if layer.kind in self._merging:
            if not all(isinstance(v, Value) for v in given):
                return self._with_number(layer, given)
            if len(given) < 2:
                raise ValueError("needs two inputs")
            return self._merging[layer.kind](layer, given)
        if layer.kind == "TrueDivide":
            return self._with_number(layer, given)
        if layer.kind not in (*MODELS, *self._rules):
            raise ValueError(_WHY_NOT.get(layer.kind, _NOT_SUPPORTED))
        if len(given) != 1 or not isinstance(given[0], Value):
            raise ValueError(f"is called with {len(given)} inputs, not one")
        if layer.kind in MODELS:
            return self._model(layer.kind, _layers_of({"config": layer.config}), given[0], layer)
        return self._rules[layer.kind](layer, given[0])

    # Layers with weights

    def _conv(self, layer: LayerRecord, value: Value) -> Value:
        names = ("kernel", "bias") if layer.config["use_bias"] else ("kernel",)
        weights = self._file.weights(layer, names)
        kernel = weights["kernel"]
        value = self._convolved(layer, value, kernel, weights.get("bias"), layer.config)
        return self._activation(layer.config.get("activation"), value)

    def _depthwise_conv(self, layer: LayerRecord, value: Value) -> Value:
        config = layer.config
        # Early Keras 3 calls it depthwise_kernel in .h5 files, Keras 3 kernel; numbered: the same.
        weights = self._weights_of(layer, "depthwise_kernel")
        value = self._convolved(
            layer,
            value,
            weights["depthwise_kernel"],
            weights.get("bias"),
            config,
            is_depthwise=True,
        )
        return self._activation(config.get("activation"), value)

    def _weights_of(self, layer: LayerRecord, name: str) -> dict[str, Array]:
        """Weights of a depthwise convolution, whose kernel has two names in files by name."""
        bias = ("bias",) if layer.config["use_bias"] else ()
        try:
            return self._file.weights(layer, (name, *bias))
        except ValueError:
            weights = self._file.weights(layer, ("kernel", *bias))
            return {name: weights.pop("kernel"), **weights}

    def _separable_conv(self, layer: LayerRecord, value: Value) -> Value:
        config = layer.config
        bias = ("bias",) if config["use_bias"] else ()
        weights = self._file.weights(layer, ("depthwise_kernel", "pointwise_kernel", *bias))
        kernel = weights["depthwise_kernel"]
        value = self._convolved(layer, value, kernel, None, config, is_depthwise=True)
        plain = {"data_format": config.get("data_format")}
        kernel = weights["pointwise_kernel"]
        value = self._convolved(layer, value, kernel, weights.get("bias"), plain)
        return self._activation(config.get("activation"), value)

    def _convolved(
        self,
        layer: LayerRecord,
        value: Value,
        kernel: Array,
        bias: Array | None,
        config: dict[str, Any],
        *,
        is_depthwise: bool = False,
    ) -> Value:
        n_axes = _n_axes(layer)
        if kernel.ndim != n_axes + 2 or _rank(value) != n_axes + 1:
            raise ValueError(
                f"kernel of shape {kernel.shape} does not go over a value of shape {value.shape}"
            )
        if n_axes == 1:
            kernel = kernel[None]
        groups = int(config.get("groups") or 1)
        if is_depthwise:
            # Keras has (kh, kw, n_in, multiplier); a channel's copies are neighbours.
            groups = kernel.shape[2]
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
        stride = _window(layer, config.get("strides", 1))
        dilation = _window(layer, config.get("dilation_rate", 1))
        return self._assembler.conv(
            value,
            kernel,
            bias,
            stride,
            self._padding(
                config.get("padding", "valid"), layer, value, kernel.shape[:2], stride, dilation
            ),
            dilation,
            groups,
            channels_last=_is_last(config),
        )

    def _dense(self, layer: LayerRecord, value: Value) -> Value:
        names = ("kernel", "bias") if layer.config["use_bias"] else ("kernel",)
        weights = self._file.weights(layer, names)
        value = self._assembler.dense(value, weights["kernel"], weights.get("bias"))
        return self._activation(layer.config.get("activation"), value)

    def _batch_norm(self, layer: LayerRecord, value: Value) -> Value:
        config = layer.config
        names = [
            *(["gamma"] if config["scale"] else []),
            *(["beta"] if config["center"] else []),
            "moving_mean",
            "moving_variance",
        ]
        weights = self._file.weights(layer, names)
        mean = weights["moving_mean"]
        return self._assembler.batch_norm(
            value,
            weights.get("gamma", np.ones(mean.shape)),
            weights.get("beta", np.zeros(mean.shape)),
            mean,
            weights["moving_variance"],
            float(config["epsilon"]),
            channels_last=self._axis_is_last(config["axis"], value),
        )

    def _normalization(self, layer: LayerRecord, value: Value) -> Value:
        config = layer.config
        if config.get("mean") is None:
            weights = self._file.weights(layer, ("mean", "variance", "count"), unread=("count",))
            mean, variance = weights["mean"], weights["variance"]
        else:
            mean, variance = (np.asarray(config[k], dtype=float) for k in ("mean", "variance"))
        std = np.maximum(np.sqrt(variance.ravel()), 1e-7)  # Keras' own floor
        mean = mean.ravel()
        scale, shift = (std, mean) if config.get("invert") else (1 / std, -mean / std)
        axis = config["axis"]
        is_last = mean.size == 1 or self._axis_is_last(axis, value)
        return self._scaled(value, scale, shift, is_last)

    # Layers without weights

    def _rescaling(self, layer: LayerRecord, value: Value) -> Value:
        scale, shift = (np.asarray(layer.config[k], dtype=float) for k in ("scale", "offset"))
        return self._scaled(value, scale.ravel(), shift.ravel())

    def _scaled(self, value: Value, scale: Any, shift: Any, channels_last: bool = True) -> Value:
        return self._assembler.scale_shift(value, scale, shift, channels_last=channels_last)

    def _activation(self, function: Any, value: Value) -> Value:
        """Append an activation by its name in a config."""
        if isinstance(function, dict):  # a layer that is handed to another as its activation
            if function.get("class_name") in (None, "__lambda__"):
                raise ValueError(f"has an activation that {_WHY_NOT['Lambda']}")
            kind, config = str(function["class_name"]), function["config"]
            if kind not in ("ReLU", "LeakyReLU", "ELU", "Softmax"):
                raise ValueError(f"the activation {kind} {config!r} is not supported")
            return self._rules[kind](LayerRecord(kind, kind, dict(config), (), "", ""), value)
        if function in (None, "linear"):
            return value
        add = self._assembler
        if function in _POINTWISE:
            return add.activation(value, _POINTWISE[function])
        if function == "relu6":
            return add.activation(value, "clip", (0.0, 6.0))
        if function == "elu":
            return add.activation(value, "elu", (1.0,))
        if function == "selu":
            alpha, scale = _SELU
            value = add.activation(value, "elu", (alpha,))
            return self._scaled(value, scale, 0.0)
        if function == "softplus":
            return add.activation(value, "softplus", (1.0,))
        if function == "leaky_relu":
            return add.leaky_relu(value, 0.2)
        if function == "hard_sigmoid" and self._file.is_keras_2:  # clip(x / 5 + 1/2, 0, 1)
            value = self._scaled(value, 0.2, 0.5)
            return add.activation(value, "clip", (0.0, 1.0))
        if function == "hard_sigmoid":  # clip(x / 6 + 1/2, 0, 1)
            return add.activation(value, "hardsigmoid")
        if function in ("softmax", "log_softmax"):
            return add.softmax(value)
        raise ValueError(f"the activation {function!r} is not supported")

    def _function(self, layer: LayerRecord, value: Value) -> Value:
        return self._activation(layer.kind.lower(), value)

    def _relu(self, layer: LayerRecord, value: Value) -> Value:
        config = layer.config
        slope = float(config.get("negative_slope") or 0)
        most, threshold = config.get("max_value"), float(config.get("threshold") or 0)
        if threshold or (slope and most is not None):
            raise ValueError(
                f"threshold={threshold:g}, negative_slope={slope:g} and max_value={most} together "
                "are not supported; only a slope or a largest value is"
            )
        if slope:
            return self._assembler.leaky_relu(value, slope)
        if most is not None:
            return self._assembler.activation(value, "clip", (0.0, float(most)))
        return self._assembler.activation(value, "relu")

    def _leaky_relu(self, layer: LayerRecord, value: Value) -> Value:
        config = layer.config
        slope = config["negative_slope"] if "negative_slope" in config else config["alpha"]
        return self._assembler.leaky_relu(value, float(slope))

    def _prelu(self, layer: LayerRecord, value: Value) -> Value:
        slope = self._file.weights(layer, ("alpha",))["alpha"]
        try:
            return self._assembler.leaky_relu(value, slope, channels_last=True)
        except ValueError as error:
            raise ValueError(f"{error}; share them by shared_axes=[1, 2]") from error

    def _elu(self, layer: LayerRecord, value: Value) -> Value:
        return self._assembler.activation(value, "elu", (float(layer.config["alpha"]),))

    def _softmax(self, layer: LayerRecord, value: Value) -> Value:
        axis = layer.config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        if axis not in (-1, _rank(value)):
            raise ValueError(f"goes over axis {axis}, not over the classes")
        return self._assembler.softmax(value)

    def _max_pool(self, layer: LayerRecord, value: Value) -> Value:
        size, stride, padding = self._pooling(layer, value)
        is_last = _is_last(layer.config)
        return self._assembler.max_pool(value, size, stride, padding, channels_last=is_last)

    def _average_pool(self, layer: LayerRecord, value: Value) -> Value:
        size, stride, padding = self._pooling(layer, value)
        return self._assembler.avg_pool(
            value,
            size,
            stride,
            padding,
            channels_last=_is_last(layer.config),
            count_padding=False,
        )

    def _pooling(self, layer: LayerRecord, value: Value) -> tuple[Any, Any, Any]:
        config = layer.config
        size = _window(layer, config["pool_size"])
        stride = _window(layer, config["strides"] or config["pool_size"])
        return size, stride, self._padding(config["padding"], layer, value, size, stride, (1, 1))

    def _padding(
        self,
        padding: str,
        layer: LayerRecord,
        value: Value,
        size: Sequence[int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
    ) -> tuple[int, int, int, int]:
        """(top, bottom, left, right) of a word for it."""
        extents = value.shape[:-1] if _is_last(layer.config) else value.shape[1:]
        extents = (1, *extents) if len(extents) == 1 else extents
        widths = []
        for axis, extent in enumerate(extents):
            reach = (size[axis] - 1) * dilation[axis] + 1
            if padding == "same":
                steps = -(-extent // stride[axis])
                total = max((steps - 1) * stride[axis] + reach - extent, 0)
                widths += [total // 2, total - total // 2]
            elif padding == "causal":  # of Conv1D
                widths += [reach - 1, 0]
            elif padding == "valid":
                widths += [0, 0]
            else:
                raise ValueError(f"padding={padding!r} is not supported")
        top, bottom, left, right = widths
        grown = (extents[0] + top + bottom) * (extents[1] + left + right)
        _bounded(grown / (extents[0] * extents[1]), value)
        return top, bottom, left, right

    def _global_average_pool(self, layer: LayerRecord, value: Value) -> Value:
        keep = bool(layer.config.get("keepdims"))
        return self._assembler.mean(value, _space(layer, value), keep_axes=keep)

    def _global_max_pool(self, layer: LayerRecord, value: Value) -> Value:
        axes = _space(layer, value)
        is_last = _is_last(layer.config)
        value = self._assembler.adaptive_max_pool(value, (1, 1), channels_last=is_last)
        if layer.config.get("keepdims"):
            return value
        return self._assembler.reindexed(value, lambda x: x.squeeze(axes))

    def _flatten(self, layer: LayerRecord, value: Value) -> Value:
        is_first = not _is_last(layer.config) and _rank(value) > 1  # Keras moves channels last
        return self._assembler.reindexed(
            value, lambda x: (np.moveaxis(x, 0, -1) if is_first else x).ravel()
        )

    def _reshape(self, layer: LayerRecord, value: Value) -> Value:
        shape = tuple(int(n) for n in layer.config["target_shape"])
        return self._assembler.reindexed(value, lambda x: x.reshape(shape))

    def _permute(self, layer: LayerRecord, value: Value) -> Value:
        axes = [int(axis) - 1 for axis in layer.config["dims"]]
        return self._assembler.reindexed(value, lambda x: x.transpose(axes))

    def _repeat_vector(self, layer: LayerRecord, value: Value) -> Value:
        times = int(layer.config["n"])
        _bounded(times, value)
        return self._assembler.reindexed(value, lambda x: np.repeat(x[None], times, axis=0))

    def _zero_padding(self, layer: LayerRecord, value: Value) -> Value:
        return self._padded(layer, value, layer.config["padding"], 1)

    def _cropping(self, layer: LayerRecord, value: Value) -> Value:
        return self._padded(layer, value, layer.config["cropping"], -1)

    def _padded(self, layer: LayerRecord, value: Value, given: Any, sign: int) -> Value:
        """Zeros around rows and columns, or less of them."""
        if _n_axes(layer) == 1 or isinstance(given, int):
            given = [given] * _n_axes(layer)
        widths = [(0, 0)] * _rank(value)
        for axis, width in zip(_space(layer, value), given, strict=True):
            before, after = _pair(width)
            if min(before, after) < 0:
                raise ValueError(f"widths {given} are negative")
            widths[axis] = (sign * before, sign * after)
        grown = [n + max(0, sum(w)) for n, w in zip(value.shape, widths, strict=True)]
        _bounded(float(np.prod(grown, dtype=float)) / np.prod(value.shape), value)
        return self._assembler.pad(value, widths)

    def _up_sampling(self, layer: LayerRecord, value: Value) -> Value:
        config = layer.config
        size = _pair(config["size"])
        axes = _space(layer, value)
        times = size[-len(axes) :]
        _bounded(float(np.prod(times, dtype=float)), value)
        how = config.get("interpolation", "nearest")
        if how == "nearest":

            def repeated(x: Any) -> Any:
                for axis, n in zip(axes, times, strict=True):
                    x = np.repeat(x, n, axis=axis)
                return x

            return self._assembler.reindexed(value, repeated)
        if how != "bilinear":
            raise ValueError(f"interpolation={how!r} is not supported; nearest and bilinear are")
        extents = [value.shape[axis] for axis in axes]
        rows, columns = (
            resizing(n, n * k, linear=True) for n, k in zip(extents, times, strict=True)
        )
        return self._assembler.resample(value, rows, columns, channels_last=_is_last(config))

    # Several inputs

    def _with_number(self, layer: LayerRecord, given: Sequence[Any]) -> Value:
        """An operation of Keras 3 between a value and a number, in either order."""
        numbers = [float(v) for v in given if isinstance(v, float | int)]
        if len(given) != 2 or len(numbers) != 1 or not any(isinstance(v, Value) for v in given):
            raise ValueError("is supported between layers, or between one and a number")
        (number,), is_second = numbers, isinstance(given[0], Value)
        value = given[0] if is_second else given[1]
        how: dict[str, tuple[float, float] | None] = {
            "Add": (1.0, number),
            "Subtract": (1.0, -number) if is_second else (-1.0, number),
            "Multiply": (number, 0.0),
            "TrueDivide": (1 / number, 0.0) if is_second and number else None,
        }
        found = how.get(layer.kind)
        if found is None:
            raise ValueError("is not supported with a number in this place")
        return self._scaled(value, *found)

    def _add(self, _layer: LayerRecord, values: Sequence[Value]) -> Value:
        total = values[0]
        for value in values[1:]:
            total = self._assembler.add(total, value)
        return total

    def _multiply(self, _layer: LayerRecord, values: Sequence[Value]) -> Value:
        product = values[0]
        for value in values[1:]:
            product = self._assembler.multiply(product, value)
        return product

    def _average(self, layer: LayerRecord, values: Sequence[Value]) -> Value:
        total = self._add(layer, values)
        return self._scaled(total, 1 / len(values), 0.0)

    def _maximum(self, _layer: LayerRecord, values: Sequence[Value]) -> Value:
        return reduce(self._assembler.maximum, values)

    def _minimum(self, _layer: LayerRecord, values: Sequence[Value]) -> Value:
        return reduce(self._assembler.minimum, values)

    def _concatenate(self, layer: LayerRecord, values: Sequence[Value]) -> Value:
        axis = int(layer.config.get("axis", -1))
        if axis == 0:
            raise ValueError("joins images, not their channels (axis=0)")
        return self._assembler.concat(values, axis % (_rank(values[0]) + 1) - 1)

    def _axis_is_last(self, axis: Any, value: Value) -> bool:
        """Whether an axis, counted with the batch's, is the last one; else it must be the first."""
        axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
        rank = _rank(value)
        if axis in (-1, rank):
            return True
        if axis in (1, -rank):
            return False
        raise ValueError(f"axis={axis} is not the channels")


def input_shape(structure: dict[str, Any]) -> tuple[int, ...]:
    """Shape of one input of a model.

    Parameters
    ----------
    structure : dict
        Class name and config of the model.

    Returns
    -------
    tuple of int
        Without the batch axis.

    Raises
    ------
    ValueError
        If the file does not say, or leaves axes open.
    """
    kind = structure["class_name"]
    if kind not in MODELS:
        raise ValueError(
            f"the model is of the class {kind!r}, whose code is not in the file; only Sequential "
            "and Functional models are read"
        )
    config = _layers_of(structure)
    layers = config["layers"]
    first: dict[str, Any] = {}
    if "input_layers" in config:
        name = _only(config["input_layers"], "inputs")[0]
        first = next((x for x in layers if (x.get("name") or x["config"]["name"]) == name), {})
    elif layers:
        first = layers[0]
    own = first.get("config", {})
    if first.get("class_name") in MODELS and "layers" in own:
        return input_shape(first)
    candidates = (own.get("batch_shape"), own.get("batch_input_shape"))
    build = (structure.get("build_config") or {}).get("input_shape")
    shape = next((s for s in (*candidates, build, config.get("build_input_shape")) if s), None)
    if not shape:
        raise ValueError("does not say what shape its input has; give the model an Input")
    if any(n is None for n in shape[1:]):
        raise ValueError(
            f"its input has the shape {tuple(shape)} with axes left open; build it with an Input "
            "of fixed shape and save it again"
        )
    return tuple(int(n) for n in shape[1:])


def is_channels_first(structure: dict[str, Any]) -> bool:
    """Whether the first layer of a model that says so has its channels first.

    Parameters
    ----------
    structure : dict
        Class name and config of the model.

    Returns
    -------
    bool
        False if none says.
    """
    waiting = [structure]
    while waiting:
        config = waiting.pop().get("config") or {}
        if isinstance(config, dict) and "data_format" in config:
            return not _is_last(config)
        layers = config if isinstance(config, list) else config.get("layers", [])
        waiting += reversed(layers)
    return False


def precision(structure: dict[str, Any]) -> str | None:
    """Half precision in which a layer of a model computes.

    Parameters
    ----------
    structure : dict
        Class name and config of the model.

    Returns
    -------
    str or None
        ``"float16"`` or ``"bfloat16"``, the coarser one if both; None if all is in full precision.
    """
    found: set[str] = set()
    waiting = [structure]
    while waiting:
        config = waiting.pop().get("config") or {}
        layers = config if isinstance(config, list) else config.get("layers", [])
        waiting += [layer for layer in layers if isinstance(layer, dict)]
        policy = None if isinstance(config, list) else config.get("dtype")
        if isinstance(policy, dict):  # Keras 3
            policy = (policy.get("config") or {}).get("name")
        found.add(str(policy).removeprefix("mixed_"))
    return next((name for name in ("bfloat16", "float16") if name in found), None)


def _layers_of(structure: dict[str, Any]) -> dict[str, Any]:
    """Config of a model; that of an early Sequential is the bare list of layers."""
    config = structure["config"]
    return {"layers": config} if isinstance(config, list) else config


def _only(layers: Any, what: str) -> tuple[str, int]:
    """The one input or output of a model, as name and number of the call."""
    if isinstance(layers, list) and len(layers) == 3 and isinstance(layers[0], str):
        layers = [layers]  # Keras 3
    if not isinstance(layers, list) or len(layers) != 1:
        names = ", ".join(str(x[0]) for x in layers)
        raise ValueError(f"the model has several {what} ({names}); networks have one")
    return str(layers[0][0]), int(layers[0][1])


def _arguments(call: Any) -> list[Any]:
    """Inputs of a call: (name, number of the call) of layers, and numbers."""
    found: list[Any] = []
    if isinstance(call, dict):  # Keras 3
        waiting = [*call["args"], *_extra(call["kwargs"])]
        while waiting:
            item = waiting.pop(0)
            if isinstance(item, list):
                waiting = [*item, *waiting]
            elif isinstance(item, dict) and item["class_name"] == "__keras_tensor__":
                name, number, _ = item["config"]["keras_history"]
                found.append((str(name), int(number)))
            else:
                found.append(item)
        return found
    if call and isinstance(call[0], str):
        call = [call]
    for name, number, _, *options in call:
        found += [(str(name), int(number)), *_extra(options[0] if options else {})]
    return found


def _extra(options: dict[str, Any]) -> list[Any]:
    """What a call is told beside its inputs; nothing that matters may be among it."""
    if options.get("training"):
        raise ValueError("a layer is called with training=True; networks are read as evaluated")
    return [
        v for k, v in options.items() if k not in ("training", "mask", "name") and v is not None
    ]


def _is_reference(argument: Any) -> bool:
    return isinstance(argument, tuple)


def _n_axes(layer: LayerRecord) -> int:
    return 1 if layer.kind.endswith("1D") else 2


def _is_last(config: dict[str, Any]) -> bool:
    return config.get("data_format") != "channels_first"


def _rank(value: Value) -> int:
    return len(value.shape)


def _space(layer: LayerRecord, value: Value) -> tuple[int, ...]:
    """Axes of a value that are rows and columns."""
    n_axes = _n_axes(layer)
    if _rank(value) != n_axes + 1:
        raise ValueError(f"does not go over a value of shape {value.shape}")
    return tuple(range(n_axes)) if _is_last(layer.config) else tuple(range(1, n_axes + 1))


def _pair(value: Any) -> tuple[int, int]:
    """(rows, columns) of an option; of a single number, or of one axis, that number twice."""
    values = [int(v) for v in np.atleast_1d(value)]
    rows, columns = values * 2 if len(values) == 1 else values
    return rows, columns


def _window(layer: LayerRecord, value: Any) -> tuple[int, int]:
    """(rows, columns) of an option; one-dimensional maps have one row."""
    rows, columns = _pair(value)
    if min(rows, columns) < 1:
        raise ValueError(f"{value!r} is not positive")
    return (rows, columns) if _n_axes(layer) == 2 else (1, columns)


def _bounded(times: float, value: Value) -> None:
    """Refuse what would make a value grow beyond measure."""
    if times * float(np.prod(value.shape)) > MAX_ENTRIES:
        raise ValueError(f"makes more than {MAX_ENTRIES} entries of shape {value.shape}")
