"""From the nodes of an ONNX graph to layers.

ONNX is channels-first, and its values have a batch axis, which ours lack: a model is read as what
it makes of one image. Constants are arrays; what an operator makes of constants alone is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array
from .assembler import Assembler, Value
from .onnx_files import MAX_BYTES, Graph, Node
from .pointwise import GRID, Function, recognised
from .resizing import resizing

MAX_ENTRIES = 2**26  # of a value; images of 4096 x 4096
MAX_CHAIN = 32  # element-by-element nodes that are looked at together
_NOTHING_TO_DO = ("Identity", "Cast", "CastLike", "Dropout")
_QUANTISED = "is of a quantised network; export the one before the quantisation, with float weights"
_RECURRENT = "is recurrent or a loop; only feed-forward networks are converted"
_RANDOM = "draws random numbers; export the network in evaluation mode"
_OWN_STATISTICS = "normalises every image by its own statistics, for which there is no layer"
_WHY_NOT = {
    **dict.fromkeys(
        (
            "QuantizeLinear",
            "DequantizeLinear",
            "DynamicQuantizeLinear",
            "QLinearConv",
            "QLinearMatMul",
            "ConvInteger",
            "MatMulInteger",
        ),
        _QUANTISED,
    ),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Loop", "Scan"), _RECURRENT),
    **dict.fromkeys(
        (
            "RandomNormal",
            "RandomUniform",
            "RandomNormalLike",
            "RandomUniformLike",
            "Bernoulli",
            "Multinomial",
        ),
        _RANDOM,
    ),
    **dict.fromkeys(
        (
            "InstanceNormalization",
            "LayerNormalization",
            "GroupNormalization",
            "RMSNormalization",
            "MeanVarianceNormalization",
            "LpNormalization",
            "LRN",
        ),
        _OWN_STATISTICS,
    ),
}
_PLAIN = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "HardSwish": "hardswish"}
# Operators that work element by element: chains of them are looked at as a whole.
_SIMPLE = (
    *("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Clip", "Softplus", "Elu", "Celu"),
    *("Neg", "Abs", "Erf", "Sqrt", "Exp", "Log", "Reciprocal", "Identity", "Cast"),
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not", "And", "Or"),
)
_COMPOSED = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Where")


@dataclass(eq=False)
class _Term:
    """What a name of the graph stands for: a value of ours, or a node that may become one."""

    node: Node | None = None
    operands: tuple[_Term | np.ndarray | None, ...] = ()
    value: Value | None = None


class OnnxReader:
    """Walks through a graph and hands its layers to an assembler.

    Parameters
    ----------
    graph : Graph
        Parsed.
    assembler : Assembler
        Receives the layers.

    Attributes
    ----------
    values : dict of str to Value
        What was made of the names of the graph, in the order of computation.
    places : dict of str to str
        The nodes that give them, for messages.
    """

    def __init__(self, graph: Graph, assembler: Assembler) -> None:
        self.values: dict[str, Value] = {}
        self.places: dict[str, str] = {}
        self._graph = graph
        self._assembler = assembler
        self._known: dict[str, _Term | np.ndarray] = dict(graph.constants)
        self._users: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self._users.setdefault(name, []).append(node)
        self._ends: dict[int, Node] = {}  # the last of several nodes that are one layer
        self._done: set[int] = set()  # those that went into an earlier one's
        self._depth = 0  # of branches
        self._folded = 0  # bytes
        self._batch = max(graph.batch, 1)
        self._rules: dict[str, Callable[[Node, Any], Any]] = {
            "Conv": self._conv,
            "Gemm": self._gemm,
            "MatMul": self._mat_mul,
            "BatchNormalization": self._batch_norm,
            "MaxPool": self._max_pool,
            "AveragePool": self._average_pool,
            "GlobalAveragePool": self._global_average_pool,
            "GlobalMaxPool": self._global_max_pool,
            "ReduceMean": self._reduce_mean,
            "ReduceSum": self._reduce_sum,
            "ReduceMax": self._reduce_max,
            "ReduceMin": self._reduce_min,
            "Reshape": self._reshape,
            "Flatten": self._flatten,
            "Squeeze": self._squeeze,
            "Unsqueeze": self._unsqueeze,
            "Transpose": self._transpose,
            "Slice": self._slice,
            "Gather": self._gather,
            "Concat": self._concat,
            "Expand": self._expand,
            "Tile": self._tile,
            "DepthToSpace": self._depth_to_space,
            "SpaceToDepth": self._space_to_depth,
            "Pad": self._pad,
            "Resize": self._resize,
            "Softmax": self._softmax,
            "LogSoftmax": self._softmax,
            **dict.fromkeys(_NOTHING_TO_DO, self._nothing),
            **dict.fromkeys(_PLAIN, self._plain),
            "HardSigmoid": self._hard_sigmoid,
            "Clip": self._clip,
            "LeakyRelu": self._leaky_relu,
            "PRelu": self._prelu,
            "Elu": self._elu,
            "Selu": self._selu,
            "Celu": self._celu,
            "Softplus": self._softplus,
            "Gelu": self._gelu,
            "Swish": self._swish,
            "Mish": self._mish,
            "Abs": self._abs,
            "Neg": self._neg,
            "Add": self._add,
            "Sum": self._add,
            "Sub": self._sub,
            "Mul": self._mul,
            "Div": self._div,
            "Pow": self._pow,
            "Max": self._max,
            "Min": self._min,
            "Mean": self._mean,
            "Where": self._where,
        }

    def read(self, value: Value) -> Value:
        """Append the layers of the whole graph.

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
            If an operator or one of its options is not supported; the message names the node.
        """
        self._known[self._graph.input] = _Term(value=value)
        try:
            self._walk(self._graph.nodes)
            output = self._known.get(self._graph.output)
            if not isinstance(output, _Term):
                raise ValueError(f"its output {self._graph.output!r} does not depend on its input")
            return self._value(output)
        except RecursionError:
            raise ValueError("has hundreds of element-by-element nodes in a row") from None

    def _walk(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if id(node) in self._done:
                continue
            for name in node.inputs:
                if name and name not in self._known:
                    raise ValueError(f"{node.place}: no earlier node gives its input {name!r}")
            with _Place(node):
                self._append(node, [self._known[name] if name else None for name in node.inputs])

    def _append(self, node: Node, inputs: list[_Term | np.ndarray | None]) -> None:
        """Give the outputs of a node a meaning."""
        if node.op in _WHY_NOT:
            raise ValueError(_WHY_NOT[node.op])
        if node.op == "If":
            self._if(node, inputs)
        elif node.op == "Shape" and isinstance(inputs[0], _Term):
            shape = np.array([self._batch, *self._value(inputs[0]).shape])
            part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
            self._known[node.outputs[0]] = shape[part]
        elif not any(isinstance(x, _Term) for x in inputs) and node.op != "Split":
            self._fold(node, inputs)
        elif node.op == "Split":
            self._split(node, inputs)
        elif self._is_pointwise(node, inputs):
            self._known[node.outputs[0]] = _Term(node, tuple(inputs))
        elif node.op not in self._rules:
            raise ValueError(_not_supported(node.op))
        else:
            value = self._rules[node.op](node, inputs)
            end = self._ends.get(id(node), node)
            self._keep(end, end.outputs[0], value)

    def _keep(self, node: Node, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            self._known[name] = value
            return
        self._known[name] = _Term(node, (), value)
        self._show(node, name, value)

    def _show(self, node: Node, name: str, value: Value) -> None:
        """Remember a value for the comparison; no evaluator gives those inside of branches."""
        if not self._depth:
            self.values[name] = value
            self.places[name] = node.place

    def _fold(self, node: Node, inputs: Sequence[Any]) -> None:
        if "." in node.op:
            raise ValueError(_not_supported(node.op))
        if node.op == "Constant" and isinstance(node.attributes.get("value"), np.ndarray):
            made = [node.attributes["value"]]
        else:
            made = self._graph.folded(node, inputs)
            self._folded += sum(np.asarray(array).nbytes for array in made)
            if self._folded > MAX_BYTES:
                raise ValueError(f"constants that are computed take more than {MAX_BYTES} bytes")
        self._known.update(zip(node.outputs, made, strict=False))

    def _if(self, node: Node, inputs: Sequence[Any]) -> None:
        """Take the branch of a condition that is known."""
        if not isinstance(inputs[0], np.ndarray) or inputs[0].size != 1:
            raise ValueError("what it computes depends on the image; only fixed graphs are read")
        branch = node.attributes["then_branch" if inputs[0].item() else "else_branch"]
        nodes, weights, outputs = branch
        self._known.update(weights)
        self._depth += 1
        self._walk(nodes)
        found = [self._known[name] for name in outputs]
        made = [self._value(x) if isinstance(x, _Term) else x for x in found]
        self._depth -= 1
        for name, value in zip(node.outputs, made, strict=True):
            self._keep(node, name, value)

    # Chains of element-by-element nodes

    def _is_pointwise(self, node: Node, inputs: Sequence[Any]) -> bool:
        if node.op not in (*_SIMPLE, *_COMPOSED):
            return False
        return all(x is None or isinstance(x, _Term) or x.size == 1 for x in inputs)

    def _value(self, term: Any) -> Value:
        """The value that a term stands for; what it needs becomes layers now."""
        if not isinstance(term, _Term):
            raise ValueError("is supported on a value of the network here, not on a constant")
        if term.value is None:
            assert term.node is not None
            with _Place(term.node):
                term.value = self._as_activation(term) or self._by_rule(term)
            self._show(term.node, term.node.outputs[0], term.value)
        return term.value

    def _by_rule(self, term: _Term) -> Value:
        node = term.node
        assert node is not None
        if node.op not in self._rules:
            raise ValueError(_not_supported(node.op))
        return self._rules[node.op](node, term.operands)

    def _as_activation(self, term: _Term) -> Value | None:
        """Recognise a known function of one earlier value in a chain, the longest first."""
        assert term.node is not None
        if term.node.op not in _COMPOSED:
            return None
        chain: list[_Term] = []  # all that the term depends on, the earliest first
        waiting: list[tuple[_Term, bool]] = [(term, False)]
        while waiting and len(chain) < MAX_CHAIN:
            at, is_ready = waiting.pop()
            if is_ready:
                if at not in chain:
                    chain.append(at)
                continue
            waiting.append((at, True))
            waiting += [(x, False) for x in at.operands if isinstance(x, _Term) and x not in chain]
        for base in chain:
            if base is term or not _depends_only_on(term, base):
                continue
            function = recognised(self._on_grid(term, base, {}))
            if function is not None:
                return self._applied(function, self._value(base))
        return None

    def _applied(self, function: Function, value: Value) -> Value:
        value = self._scaled(value, function.before, 0.0)
        if function.name == "leaky_relu":
            value = self._assembler.leaky_relu(value, *function.parameters)
        else:
            value = self._assembler.activation(value, function.name, function.parameters)
        return self._scaled(value, function.after, 0.0)

    def _on_grid(self, term: _Term, base: _Term, found: dict[int, Array]) -> Array:
        """Values of a term where `base` has those of the grid."""
        if term is base:
            return GRID.astype(np.float32)
        if id(term) not in found:
            assert term.node is not None
            inputs = [
                self._on_grid(x, base, found) if isinstance(x, _Term) else x for x in term.operands
            ]
            inputs = [x.reshape(()) if x is not None and x.size == 1 else x for x in inputs]
            with np.errstate(all="ignore"):
                found[id(term)] = self._graph.folded(term.node, inputs)[0].reshape(GRID.shape)
        return found[id(term)]

    # Layout

    def _laid_out(self, term: Any, operate: Callable[[np.ndarray], np.ndarray]) -> Value:
        """Change a value's layout; `operate` sees the batch axis, of one image."""

        def on_one(x: np.ndarray) -> np.ndarray:
            made = operate(x[None])
            if made.ndim < 1 or len(made) != 1:
                raise ValueError(f"makes the shape {made.shape} of one image; its batch is lost")
            return made[0]

        return self._assembler.reindexed(self._value(term), on_one)

    def _taken(self, term: Any, operate: Callable[[np.ndarray], np.ndarray]) -> Any:
        """Some entries of a value; none at all are an empty constant."""
        shape = operate(np.empty((1, *self._value(term).shape))).shape
        return np.empty(shape) if 0 in shape else self._laid_out(term, operate)

    def _reshape(self, node: Node, inputs: Any) -> Value:
        shape = self._shape_of(_whole(inputs[1], "shape"))
        old = (1, *self._value(inputs[0]).shape)
        if not node.attributes.get("allowzero"):
            shape = [old[i] if n == 0 and i < len(old) else n for i, n in enumerate(shape)]
        return self._laid_out(inputs[0], lambda x: x.reshape(shape))

    def _shape_of(self, shape: list[int]) -> list[int]:
        """A shape for one image, of one that may hold the file's batch."""
        return [1, *shape[1:]] if shape and shape[0] == self._batch else shape

    def _flatten(self, node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        axis = _axis(node.attributes.get("axis", 1), len(value.shape) + 2)  # may be the rank itself
        return self._laid_out(
            inputs[0], lambda x: x.reshape(int(np.prod(x.shape[:axis], dtype=int)), -1)
        )

    def _axes(self, node: Node, inputs: Any, rank: int) -> tuple[int, ...] | None:
        """Axes of an operator that has them as an option or, later, as an input."""
        given = node.attributes.get("axes")
        if given is None and len(inputs) > 1 and inputs[1] is not None:
            given = _whole(inputs[1], "axes")
        if given is None:
            return None
        axes = tuple(_axis(axis, rank) for axis in given)
        if 0 in axes:
            raise ValueError("changes the batch axis")
        return axes

    def _squeeze(self, node: Node, inputs: Any) -> Value:
        shape = self._value(inputs[0]).shape
        axes = self._axes(node, inputs, len(shape) + 1)
        if axes is None:
            axes = tuple(i + 1 for i, n in enumerate(shape) if n == 1)
        return self._laid_out(inputs[0], lambda x: x.squeeze(axes))

    def _unsqueeze(self, node: Node, inputs: Any) -> Value:
        given = node.attributes.get("axes")
        n_new = len(given if given is not None else _whole(inputs[1], "axes"))
        rank = len(self._value(inputs[0]).shape) + 1 + n_new
        axes = self._axes(node, inputs, rank)
        return self._laid_out(inputs[0], lambda x: np.expand_dims(x, axes or ()))

    def _transpose(self, node: Node, inputs: Any) -> Value:
        axes = (
            node.attributes.get("perm") or list(range(len(self._value(inputs[0]).shape) + 1))[::-1]
        )
        if axes[0]:
            raise ValueError(f"moves the batch axis (perm={list(axes)})")
        return self._laid_out(inputs[0], lambda x: x.transpose(axes))

    def _slice(self, _node: Node, inputs: Any) -> Any:
        rank = len(self._value(inputs[0]).shape) + 1
        starts, ends = _whole(inputs[1], "starts"), _whole(inputs[2], "ends")
        given = [*inputs[3:], None, None]
        axes = range(len(starts)) if given[0] is None else _whole(given[0], "axes")
        steps = [1] * len(starts) if given[1] is None else _whole(given[1], "steps")
        parts = [slice(None)] * rank
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            parts[_axis(axis, rank)] = slice(start, end, step)
        return self._taken(inputs[0], lambda x: x[tuple(parts)])

    def _split(self, node: Node, inputs: Any) -> None:
        value = self._value(inputs[0])
        axis = _axis(node.attributes.get("axis", 0), len(value.shape) + 1)
        if axis == 0:
            raise ValueError("splits the batch axis")
        extent, n_parts = value.shape[axis - 1], len(node.outputs)
        sizes = node.attributes.get("split")
        if len(inputs) > 1 and inputs[1] is not None:
            sizes = _whole(inputs[1], "split")
        if sizes is None:
            each = -(-extent // n_parts)
            sizes = [min(each, extent - i * each) for i in range(n_parts)]
        ends = np.cumsum(sizes)
        for name, start, end in zip(node.outputs, [0, *ends[:-1]], ends, strict=True):
            places = np.arange(start, end)
            part = self._taken(inputs[0], partial(np.take, indices=places, axis=axis))
            self._keep(node, name, part)

    def _gather(self, node: Node, inputs: Any) -> Value:
        axis = _axis(node.attributes.get("axis", 0), len(self._value(inputs[0]).shape) + 1)
        index = inputs[1]
        if axis == 0 or not isinstance(index, np.ndarray):
            raise ValueError("picks images, or places that depend on the image")
        self._bound(self._value(inputs[0]), index.size)
        return self._laid_out(inputs[0], lambda x: np.take(x, index.astype(int), axis=axis))

    def _expand(self, _node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        shape = np.broadcast_shapes(
            (1, *value.shape), tuple(self._shape_of(_whole(inputs[1], "shape")))
        )
        self._bound(value, float(np.prod(shape, dtype=float)) / max(int(np.prod(value.shape)), 1))
        return self._laid_out(inputs[0], lambda x: np.broadcast_to(x, shape))

    def _tile(self, _node: Node, inputs: Any) -> Value:
        times = _whole(inputs[1], "repeats")
        self._bound(self._value(inputs[0]), float(np.prod(times, dtype=float)))
        return self._laid_out(inputs[0], lambda x: np.tile(x, times))

    def _depth_to_space(self, node: Node, inputs: Any) -> Value:
        size = int(node.attributes["blocksize"])
        is_depth_first = node.attributes.get("mode", "DCR") == "DCR"

        def spread(x: np.ndarray) -> np.ndarray:
            n, c, h, w = x.shape
            if is_depth_first:
                blocks = x.reshape(n, size, size, -1, h, w).transpose(0, 3, 4, 1, 5, 2)
            else:
                blocks = x.reshape(n, -1, size, size, h, w).transpose(0, 1, 4, 2, 5, 3)
            return blocks.reshape(n, c // size**2, h * size, w * size)

        return self._laid_out(inputs[0], spread)

    def _space_to_depth(self, node: Node, inputs: Any) -> Value:
        size = int(node.attributes["blocksize"])

        def gathered(x: np.ndarray) -> np.ndarray:
            n, c, h, w = x.shape
            blocks = x.reshape(n, c, h // size, size, w // size, size).transpose(0, 3, 5, 1, 2, 4)
            return blocks.reshape(n, c * size**2, h // size, w // size)

        return self._laid_out(inputs[0], gathered)

    def _concat(self, node: Node, inputs: Any) -> Value:
        values = [self._value(x) for x in inputs if isinstance(x, _Term) or x.size]
        axis = _axis(node.attributes["axis"], len(values[0].shape) + 1)
        if axis == 0:
            raise ValueError("joins images, not their channels")
        return values[0] if len(values) == 1 else self._assembler.concat(values, axis - 1)

    def _pad(self, node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        rank = len(value.shape) + 1
        given = [*inputs[1:], None, None, None]
        pads = _whole(given[0], "pads")
        axes = range(rank) if given[2] is None else _whole(given[2], "axes")
        widths = [(0, 0)] * rank
        for axis, before, after in zip(
            axes, pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True
        ):
            widths[_axis(axis, rank)] = (before, after)
        fill = 0.0 if given[1] is None or not given[1].size else _number(given[1])
        mode = node.attributes.get("mode", "constant")
        grown = [n + max(sum(w), 0) for n, w in zip((1, *value.shape), widths, strict=True)]
        self._bound(value, float(np.prod(grown, dtype=float)) / np.prod(value.shape))
        if any(widths[0]):
            raise ValueError("pads the batch axis")
        if not any(map(any, widths)):
            return value
        if mode != "constant":
            return self._laid_out(inputs[0], lambda x: np.pad(x, widths, mode=mode))
        if fill:
            raise ValueError(f"pads with {fill:g}, not with zeros")
        return self._assembler.pad(value, widths[1:])

    # Layers with weights

    def _conv(self, node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        kernel = _weights(inputs[1], "kernel")
        n_axes = kernel.ndim - 2
        if n_axes not in (1, 2) or len(value.shape) != n_axes + 1:
            raise ValueError(
                f"kernel of shape {kernel.shape} on a value of shape {value.shape}; convolutions "
                "go over one or two axes"
            )
        if n_axes == 1:
            kernel = kernel[:, :, None]
        dilation = _pair(node.attributes.get("dilations"), n_axes)
        size = (kernel.shape[2], kernel.shape[3])
        stride, padding = self._stride_and_padding(node, value, size, dilation)
        bias = inputs[2] if len(inputs) > 2 else None
        return self._assembler.conv(
            value,
            kernel.transpose(2, 3, 1, 0),
            None if bias is None else _weights(bias, "bias"),
            stride,
            padding,
            dilation,
            int(node.attributes.get("group", 1)),
            channels_last=False,
        )

    def _gemm(self, node: Node, inputs: Any) -> Value:
        if node.attributes.get("transA"):
            raise ValueError("takes its input transposed (transA)")
        kernel = _weights(inputs[1], "matrix") * node.attributes.get("alpha", 1.0)
        kernel = kernel.T if node.attributes.get("transB") else kernel
        bias = np.zeros(kernel.shape[1])
        if len(inputs) > 2 and inputs[2] is not None:
            bias = bias + _weights(inputs[2], "bias").reshape(-1) * node.attributes.get("beta", 1.0)
        return self._assembler.dense(self._value(inputs[0]), kernel, bias)

    def _mat_mul(self, node: Node, inputs: Any) -> Value:
        if not isinstance(inputs[0], _Term) or isinstance(inputs[1], _Term):
            raise ValueError("is supported as a value times a constant matrix only")
        kernel = _weights(inputs[1], "matrix")
        if kernel.ndim != 2:
            raise ValueError(f"its matrix has the shape {kernel.shape}")
        value, bias = self._value(inputs[0]), np.zeros(kernel.shape[1])
        users = self._users.get(node.outputs[0], [])
        if len(users) == 1 and users[0].op == "Add" and node.outputs[0] != self._graph.output:
            # The usual way to write a dense layer with bias.
            others = [name for name in users[0].inputs if name != node.outputs[0]]
            constant = self._known.get(others[0]) if len(others) == 1 else None
            if isinstance(constant, np.ndarray) and constant.shape in (
                bias.shape,
                (1, *bias.shape),
            ):
                bias = _weights(constant, "bias").reshape(-1)
                self._ends[id(node)] = users[0]
                self._done.add(id(users[0]))
        return self._assembler.dense(value, kernel, bias)

    def _batch_norm(self, node: Node, inputs: Any) -> Value:
        if node.attributes.get("training_mode"):
            raise ValueError("is in training mode; export the network in evaluation mode")
        gamma, beta, mean, variance = (_weights(x, "statistics") for x in inputs[1:5])
        epsilon = float(node.attributes.get("epsilon", 1e-5))
        return self._assembler.batch_norm(
            self._value(inputs[0]), gamma, beta, mean, variance, epsilon, channels_last=False
        )

    # Pooling

    def _stride_and_padding(
        self, node: Node, value: Value, size: tuple[int, int], dilation: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Stride, and (top, bottom, left, right) of what is padded."""
        n_axes = len(value.shape) - 1
        stride = _pair(node.attributes.get("strides"), n_axes)
        how = node.attributes.get("auto_pad", "NOTSET")
        extents = (1, *value.shape[1:])[-2:]
        if how == "NOTSET":
            pads = [int(n) for n in node.attributes.get("pads") or [0] * 2 * n_axes]
            if len(pads) != 2 * n_axes or min(pads) < 0:
                raise ValueError(f"pads={pads} are not {2 * n_axes} numbers >= 0")
            pairs = [(0, 0), *zip(pads[:n_axes], pads[n_axes:], strict=True)][-2:]
        elif how == "VALID":
            pairs = [(0, 0), (0, 0)]
        elif how in ("SAME_UPPER", "SAME_LOWER"):
            pairs = []
            for extent, window, step, spread in zip(extents, size, stride, dilation, strict=True):
                reach = (window - 1) * spread + 1
                total = max((-(-extent // step) - 1) * step + reach - extent, 0)
                halves = (total // 2, total - total // 2)
                pairs.append(halves if how == "SAME_UPPER" else halves[::-1])
        else:
            raise ValueError(f"auto_pad={how!r} is not supported")
        grown = [extent + sum(pair) for extent, pair in zip(extents, pairs, strict=True)]
        self._bound(value, grown[0] * grown[1] / (extents[0] * extents[1]))
        return stride, (*pairs[0], *pairs[1])

    def _pooled(self, node: Node, value: Value) -> tuple[tuple[int, int], Any, Any]:
        if len(value.shape) not in (2, 3):
            raise ValueError(f"does not go over a value of shape {value.shape}")
        size = _pair(node.attributes["kernel_shape"], len(value.shape) - 1)
        if any(n != 1 for n in node.attributes.get("dilations") or ()):
            raise ValueError("has a dilation, which pooling is not supported with")
        return size, *self._stride_and_padding(node, value, size, (1, 1))

    def _max_pool(self, node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        size, stride, padding = self._pooled(node, value)
        is_ceil = bool(node.attributes.get("ceil_mode"))
        return self._assembler.max_pool(
            value, size, stride, padding, channels_last=False, ceil_mode=is_ceil
        )

    def _average_pool(self, node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        size, stride, padding = self._pooled(node, value)
        return self._assembler.avg_pool(
            value,
            size,
            stride,
            padding,
            channels_last=False,
            ceil_mode=bool(node.attributes.get("ceil_mode")),
            count_padding=bool(node.attributes.get("count_include_pad")),
        )

    def _global_average_pool(self, _node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        return self._assembler.mean(value, range(1, len(value.shape)), keep_axes=True)

    def _global_max_pool(self, _node: Node, inputs: Any) -> Value:
        return self._assembler.adaptive_max_pool(
            self._value(inputs[0]), (1, 1), channels_last=False
        )

    def _reduced(self, node: Node, inputs: Any) -> tuple[Value, tuple[int, ...], bool]:
        """Value, axes without the batch's, and whether they are kept."""
        value = self._value(inputs[0])
        axes = self._axes(node, inputs, len(value.shape) + 1)
        if not axes:
            raise ValueError("goes over the batch axis too")
        return value, tuple(a - 1 for a in axes), bool(node.attributes.get("keepdims", 1))

    def _reduce_mean(self, node: Node, inputs: Any) -> Value:
        return self._assembler.mean(*self._reduced(node, inputs))

    def _reduce_sum(self, node: Node, inputs: Any) -> Value:
        value, axes, keep = self._reduced(node, inputs)
        number = int(np.prod([value.shape[axis] for axis in axes]))
        return self._scaled(self._assembler.mean(value, axes, keep), number, 0.0)

    def _reduce_max(self, node: Node, inputs: Any) -> Value:
        return self._assembler.largest(*self._reduced(node, inputs))

    def _reduce_min(self, node: Node, inputs: Any) -> Value:
        value, axes, keep = self._reduced(node, inputs)
        found = self._assembler.largest(self._scaled(value, -1.0, 0.0), axes, keep)
        return self._scaled(found, -1.0, 0.0)

    def _resize(self, node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        shape = (1, *value.shape)
        given = [*inputs[1:], None, None, None]
        options = node.attributes
        axes = options.get("axes") or range(len(shape))
        sizes, scales = list(shape), [1.0] * len(shape)
        is_by_size = given[2] is not None and given[2].size
        for i, axis in enumerate(axes):
            if is_by_size:
                sizes[axis] = _whole(given[2], "sizes")[i]
                scales[axis] = sizes[axis] / shape[axis]
            else:
                scales[axis] = float(given[1].ravel()[i])
                sizes[axis] = int(np.float32(shape[axis]) * np.float32(scales[axis]))
        mode, how = (
            options.get("mode", "nearest"),
            options.get("keep_aspect_ratio_policy", "stretch"),
        )
        if is_by_size:
            sizes[0] = 1
            scales[0] = 1.0
        fits = len(shape) in (3, 4) and sizes[:2] == list(shape[:2])
        if (
            not fits
            or mode not in ("nearest", "linear")
            or how != "stretch"
            or options.get("antialias")
        ):
            raise ValueError(
                "is supported with mode nearest or linear over rows and columns of (n, C, H, W), "
                "without antialias and keep_aspect_ratio_policy"
            )
        self._bound(value, float(np.prod(sizes, dtype=float)) / np.prod(shape))
        rows, columns = (
            resizing(
                n_in,
                n_out,
                scale,
                linear=mode == "linear",
                coordinates=options.get("coordinate_transformation_mode", "half_pixel"),
                rounding=options.get("nearest_mode", "round_prefer_floor"),
            )
            for n_in, n_out, scale in zip(
                (1, *shape[2:])[-2:], (1, *sizes[2:])[-2:], (1.0, *scales[2:])[-2:], strict=True
            )
        )
        return self._assembler.resample(value, rows, columns, channels_last=False)

    # Activations

    def _nothing(self, node: Node, inputs: Any) -> Value:
        if node.op == "Cast" and node.attributes.get("to") not in (1, 10, 11, 16):
            raise ValueError("makes whole numbers of a value")
        if node.op == "Dropout" and len(inputs) > 2 and inputs[2] is not None and inputs[2].any():
            raise ValueError("is in training mode; export the network in evaluation mode")
        return self._value(inputs[0])

    def _softmax(self, node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        default = -1 if self._graph.opset >= 13 else 1
        axis = _axis(node.attributes.get("axis", default), len(value.shape) + 1)
        if axis == 0:
            raise ValueError("goes over the batch axis")
        return self._assembler.softmax(value, axis - 1)

    def _scaled(self, value: Value, scale: Any, shift: Any) -> Value:
        return self._assembler.scale_shift(value, scale, shift, channels_last=False)

    def _plain(self, node: Node, inputs: Any) -> Value:
        return self._assembler.activation(self._value(inputs[0]), _PLAIN[node.op])

    def _hard_sigmoid(self, node: Node, inputs: Any) -> Value:
        alpha = float(node.attributes.get("alpha", 0.2))
        beta = float(node.attributes.get("beta", 0.5))
        value = self._value(inputs[0])
        if np.isclose(alpha, 1 / 6, rtol=1e-6, atol=0) and beta == 0.5:
            return self._assembler.activation(value, "hardsigmoid")
        return self._assembler.activation(self._scaled(value, alpha, beta), "clip", (0.0, 1.0))

    def _clip(self, node: Node, inputs: Any) -> Value:
        given = [*inputs[1:], None, None]
        low = node.attributes.get("min") if given[0] is None else _number(given[0])
        high = node.attributes.get("max") if given[1] is None else _number(given[1])
        return self._between(self._value(inputs[0]), low, high)

    def _between(self, value: Value, low: float | None, high: float | None) -> Value:
        """Clip; a limit near the largest float32 is none."""
        most = 1e37
        low = None if low is None or low < -most else low
        high = None if high is None or high > most else high
        if low is not None and high is not None:
            return self._assembler.activation(value, "clip", (float(low), float(high)))
        if low is not None:  # low + relu(x - low)
            shifted = self._scaled(value, 1.0, -low) if low else value
            shifted = self._assembler.activation(shifted, "relu")
            return self._scaled(shifted, 1.0, low) if low else shifted
        if high is not None:  # high - relu(high - x)
            shifted = self._assembler.activation(self._scaled(value, -1.0, high), "relu")
            return self._scaled(shifted, -1.0, high)
        return value

    def _leaky_relu(self, node: Node, inputs: Any) -> Value:
        slope = float(node.attributes.get("alpha", 0.01))
        return self._assembler.leaky_relu(self._value(inputs[0]), slope)

    def _prelu(self, _node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        return self._assembler.leaky_relu(value, _fitting(inputs[1], value))

    def _elu(self, node: Node, inputs: Any) -> Value:
        alpha = float(node.attributes.get("alpha", 1.0))
        return self._assembler.activation(self._value(inputs[0]), "elu", (alpha,))

    def _selu(self, node: Node, inputs: Any) -> Value:
        alpha = float(node.attributes.get("alpha", 1.6732632423543772))
        gamma = float(node.attributes.get("gamma", 1.0507009873554805))
        value = self._assembler.activation(self._value(inputs[0]), "elu", (alpha,))
        return self._scaled(value, gamma, 0.0)

    def _celu(self, node: Node, inputs: Any) -> Value:
        alpha = float(node.attributes.get("alpha", 1.0))  # alpha * elu(x / alpha)
        value = self._scaled(self._value(inputs[0]), 1 / alpha, 0.0)
        return self._scaled(self._assembler.activation(value, "elu", (1.0,)), alpha, 0.0)

    def _softplus(self, _node: Node, inputs: Any) -> Value:
        return self._assembler.activation(self._value(inputs[0]), "softplus", (1.0,))

    def _gelu(self, node: Node, inputs: Any) -> Value:
        function = {"none": "gelu", "tanh": "gelu_tanh"}[node.attributes.get("approximate", "none")]
        return self._assembler.activation(self._value(inputs[0]), function)

    def _swish(self, node: Node, inputs: Any) -> Value:
        alpha = float(node.attributes.get("alpha", 1.0))  # silu(alpha x) / alpha
        value = self._value(inputs[0])
        if alpha == 1:
            return self._assembler.activation(value, "silu")
        value = self._assembler.activation(self._scaled(value, alpha, 0.0), "silu")
        return self._scaled(value, 1 / alpha, 0.0)

    def _mish(self, _node: Node, inputs: Any) -> Value:
        value = self._value(inputs[0])
        inner = self._assembler.activation(value, "softplus", (1.0,))
        return self._assembler.multiply(value, self._assembler.activation(inner, "tanh"))

    # Arithmetic

    def _with_constant(self, inputs: Any, scaled: Callable[[Array], tuple[Any, Any]]) -> Value:
        """Scale and shift a value by a constant, which may stand first."""
        value = self._value(next(x for x in inputs if isinstance(x, _Term)))
        constant = next(x for x in inputs if not isinstance(x, _Term))
        return self._scaled(value, *scaled(_fitting(constant, value)))

    def _add(self, node: Node, inputs: Any) -> Value:
        if len(inputs) == 1:
            return self._value(inputs[0])
        if len(inputs) > 2:
            first = _Term(value=self._add(node, inputs[:2]))
            return self._add(node, [first, *inputs[2:]])
        if _are_values(inputs):
            return self._assembler.add(*map(self._value, inputs))
        return self._with_constant(inputs, lambda c: (1.0, c))

    def _sub(self, _node: Node, inputs: Any) -> Value:
        if _are_values(inputs):
            return self._assembler.subtract(*map(self._value, inputs))
        sign = 1.0 if isinstance(inputs[0], _Term) else -1.0
        return self._with_constant(inputs, lambda c: (sign, -sign * c))

    def _neg(self, _node: Node, inputs: Any) -> Value:
        return self._scaled(self._value(inputs[0]), -1.0, 0.0)

    def _mul(self, _node: Node, inputs: Any) -> Value:
        if _are_values(inputs):
            return self._assembler.multiply(*map(self._value, inputs))
        return self._with_constant(inputs, lambda c: (c, 0.0))

    def _div(self, _node: Node, inputs: Any) -> Value:
        if isinstance(inputs[1], _Term):
            raise ValueError("divides by a value of the network; only constants may be divided by")
        if not np.all(inputs[1]):
            raise ValueError("divides by zero")
        return self._with_constant(inputs, lambda c: (1 / c, 0.0))

    def _pow(self, _node: Node, inputs: Any) -> Value:
        if isinstance(inputs[1], _Term):
            raise ValueError("has an exponent that is not one constant")
        return self._assembler.power(self._value(inputs[0]), _number(inputs[1]))

    def _abs(self, _node: Node, inputs: Any) -> Value:
        value, add = self._value(inputs[0]), self._assembler  # relu(x) + relu(-x)
        negative = add.activation(self._scaled(value, -1.0, 0.0), "relu")
        return add.add(add.activation(value, "relu"), negative)

    def _max(self, node: Node, inputs: Any) -> Value:
        return self._extreme(inputs, self._assembler.maximum, 1.0)

    def _min(self, node: Node, inputs: Any) -> Value:
        return self._extreme(inputs, self._assembler.minimum, -1.0)

    def _extreme(self, inputs: Any, of_two: Callable[[Value, Value], Value], sign: float) -> Value:
        """The largest of all inputs for the sign 1, the smallest for -1."""
        values = [self._value(x) for x in inputs if isinstance(x, _Term)]
        best = values[0]
        for value in values[1:]:
            best = of_two(best, value)
        for constant in inputs:
            if isinstance(constant, _Term):
                continue
            if np.size(constant) == 1:
                limit = _number(constant)
                best = self._between(best, *((limit, None) if sign > 0 else (None, limit)))
            else:  # max: c + relu(x - c), min: c - relu(c - x)
                limits = _fitting(constant, best)
                above = self._scaled(best, sign, -sign * limits)
                best = self._scaled(self._assembler.activation(above, "relu"), sign, limits)
        return best

    def _where(self, _node: Node, inputs: Any) -> Value:
        """One value where a constant mask is set, another elsewhere."""
        if isinstance(inputs[0], _Term):
            raise ValueError(
                "chooses by values of the image, in no way that is a known activation; use Max, "
                "Min, Clip or Relu"
            )
        parts = []
        shift: Any = 0.0
        value = self._value(next(x for x in inputs[1:] if isinstance(x, _Term)))
        mask = _fitting(inputs[0], value)
        for operand, chosen in zip(inputs[1:], (mask, 1.0 - mask), strict=True):
            if isinstance(operand, _Term):
                parts.append(self._scaled(self._value(operand), chosen, 0.0))
            elif np.isfinite(operand).all():
                shift = shift + chosen * _fitting(operand, value)
            else:
                raise ValueError("fills in inf or NaN; in a network are finite numbers only")
        chosen_parts = parts[0] if len(parts) == 1 else self._assembler.add(*parts)
        return self._scaled(chosen_parts, 1.0, shift)

    def _mean(self, node: Node, inputs: Any) -> Value:
        return self._scaled(self._add(node, inputs), 1 / len(inputs), 0.0)

    def _bound(self, value: Value, times: float) -> None:
        """Refuse what would make a value grow beyond measure."""
        if times * float(np.prod(value.shape)) > MAX_ENTRIES:
            raise ValueError(f"makes more than {MAX_ENTRIES} entries of shape {value.shape}")


class _Place:
    """Errors inside name the node, unless an inner one has done so."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None or getattr(error, "names_node", False):
            return
        if isinstance(error, ValueError):
            named = ValueError(f"{self._node.place}: {error}")
        elif isinstance(
            error, KeyError | TypeError | IndexError | AttributeError | ArithmeticError
        ):
            # A damaged node lacks what its operator needs.
            named = ValueError(f"{self._node.place}: is not a valid node ({error!r}); export again")
        else:
            return
        named.names_node = True  # type: ignore[attr-defined]
        raise named from error


def _not_supported(op: str) -> str:
    if op.startswith("com.microsoft."):
        return "is onnxruntime's own; read the file as it was before onnxruntime optimised it"
    return "is not supported; docs/bring-a-network.md lists the operators that are"


def _depends_only_on(term: _Term, base: _Term) -> bool:
    """Whether a term is computed from `base` and constants alone."""
    waiting, seen = [term], set()
    while waiting:
        at = waiting.pop()
        if at is base or id(at) in seen:
            continue
        seen.add(id(at))
        inner = [x for x in at.operands if isinstance(x, _Term)]
        if not inner or len(seen) > MAX_CHAIN:
            return False
        waiting += inner
    return True


def _are_values(inputs: Sequence[Any]) -> bool:
    return all(isinstance(x, _Term) for x in inputs)


def _axis(axis: int, rank: int) -> int:
    """A counted-from-the-end axis counted from the start."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a value with {rank} axes, the batch's included")
    return int(axis) % rank


def _pair(given: Sequence[int] | None, n_axes: int) -> tuple[int, int]:
    """(rows, columns) of an option; one-dimensional maps have one row."""
    values = [int(n) for n in given or [1] * n_axes]
    if len(values) != n_axes or min(values) < 1:
        raise ValueError(f"{values} are not {n_axes} numbers >= 1")
    return (1, values[0]) if n_axes == 1 else (values[0], values[1])


def _whole(given: Any, what: str) -> list[int]:
    """An input that must be a constant list of whole numbers."""
    if not isinstance(given, np.ndarray):
        raise ValueError(f"its {what} are not constant")
    return [int(n) for n in given.ravel()]


def _number(given: Any) -> float:
    if not isinstance(given, np.ndarray) or given.size != 1:
        raise ValueError("its number is not one constant")
    return float(given.reshape(()))


def _fitting(given: Any, value: Value) -> Array:
    """A constant of at most the value's axes with as many as it has; the batch's taken off."""
    constant = np.asarray(given, dtype=np.float64)
    rank = len(value.shape)
    if constant.size == 1 and constant.ndim <= rank + 1:
        return constant.reshape(())
    if constant.ndim == rank + 1 and len(constant) == 1:
        constant = constant[0]
    if constant.ndim > rank:
        raise ValueError(f"a constant of shape {constant.shape} on a value of shape {value.shape}")
    return constant.reshape((1,) * (rank - constant.ndim) + constant.shape)


def _weights(given: Any, what: str) -> Array:
    """An input that must be a constant array of floats."""
    if not isinstance(given, np.ndarray):
        raise ValueError(f"its {what} is not constant")
    if given.dtype.kind != "f" and given.dtype.name != "bfloat16":
        raise ValueError(f"its {what} is of type {given.dtype}; {_QUANTISED}")
    return given.astype(np.float64)
