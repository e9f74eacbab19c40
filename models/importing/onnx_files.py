"""Graph and weights of ONNX files, and the values that an evaluator gives for them.

Nothing that a file says is believed before it is checked: how many parts it has is counted before
it is parsed, how large a tensor is before it is read, and other files are read only from the
file's own folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..installs import needed
from ..messages import one_line

_PURPOSE = "read ONNX files"
OLDEST_OPSET = 11
MAX_PARTS = 500_000  # messages in a file; a ResNet-152 has ten thousand
MAX_DEPTH = 60  # of messages in messages
MAX_NODES = 50_000  # after functions are put in place
MAX_BYTES = 2**30  # of weights, and of a constant that is computed
MAX_COMPARED = 2**32  # bytes of all values of a file's batch


@dataclass(frozen=True)
class Node:
    """A node of a graph as plain data.

    Parameters
    ----------
    op : str
        Operator; with its domain if it is not ONNX' own.
    name : str
        Its name, or that of its first output.
    inputs, outputs : tuple of str
        Names of values; optional ones that are left out are empty.
    attributes : dict
        Python values; tensors as arrays, graphs as (nodes, weights, names of outputs).
    proto : onnx.NodeProto
        The same, for the evaluator.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: Any

    @property
    def place(self) -> str:
        """For messages."""
        return f"node {self.name} ({self.op})"


@dataclass(frozen=True)
class Graph:
    """A parsed and checked ONNX model.

    Parameters
    ----------
    model : onnx.ModelProto
        All weights inside.
    nodes : list of Node
        In an order in which each comes after its inputs.
    constants : dict of str to ndarray
        Weights by name.
    input, output : str
        Names of the one input and output.
    shape : tuple of int
        Of the input, without its batch axis.
    batch : int
        Images that the model takes at once; 0 for any number.
    opset : int
        Version of ONNX' own operators.
    """

    model: Any
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    input: str
    output: str
    shape: tuple[int, ...]
    batch: int
    opset: int

    def folded(self, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """Compute a node whose inputs are all known, with ONNX' reference evaluator.

        Parameters
        ----------
        node : Node
            Of this graph.
        inputs : sequence of ndarray or None
            In the node's order; None where it is left out.

        Returns
        -------
        list of ndarray
            Its outputs.

        Raises
        ------
        ValueError
            If they cannot be computed, or would be larger than `MAX_BYTES`.
        """
        onnx = needed("onnx", _PURPOSE)
        known = {
            name: np.asarray(value)
            for name, value in zip(node.inputs, inputs, strict=True)
            if value is not None
        }
        try:
            self._check_size(onnx, node, known)
            named = [onnx.ValueInfoProto(name=name) for name in known]
            made = [onnx.ValueInfoProto(name=name) for name in node.outputs if name]
            graph = onnx.helper.make_graph([node.proto], "node", named, made)
            opsets = [onnx.helper.make_opsetid("", self.opset)]
            model = onnx.helper.make_model(graph, opset_imports=opsets)
            evaluator = needed("onnx.reference", _PURPOSE).ReferenceEvaluator
            return list(evaluator(model).run(None, known))
        except ValueError:
            raise
        except Exception as error:  # whatever a damaged node makes the evaluator raise
            raise ValueError(
                f"cannot be computed from constants ({one_line(error, 300)})"
            ) from error

    def _check_size(self, onnx: Any, node: Node, known: Mapping[str, np.ndarray]) -> None:
        schema = onnx.defs.get_schema(node.op, self.opset, "")
        tensors = {name: onnx.numpy_helper.from_array(value, name) for name, value in known.items()}
        types = {
            name: onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
            for name, tensor in tensors.items()
        }
        made = onnx.shape_inference.infer_node_outputs(schema, node.proto, types, tensors)
        for name, kind in made.items():
            shape = kind.tensor_type.shape.dim
            if not kind.tensor_type.HasField("shape") or not all(
                d.HasField("dim_value") for d in shape
            ):
                raise ValueError(f"the size of its output {name!r} cannot be told")
            size = 8 * int(np.prod([float(d.dim_value) for d in shape]))
            if size > MAX_BYTES:
                raise ValueError(
                    f"its output {name!r} takes {size} bytes, at most {MAX_BYTES} are kept"
                )

    def values(self, inputs: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Let the field's own evaluator compute values of the graph.

        Parameters
        ----------
        inputs : ndarray, shape (n, ...)
            As the model takes them, for any n.
        names : sequence of str
            Values.

        Returns
        -------
        dict of str to ndarray, shape (n, ...)
            By name. By onnxruntime, where it is installed and can run the file, else by ONNX'
            reference evaluator; all images at once, or one by one where a file has shapes for one.

        Raises
        ------
        ValueError
            If it cannot be computed.
        """
        onnx = needed("onnx", _PURPOSE)
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        for node in model.graph.node:
            _pad_by_number(onnx, node)
        for given in model.graph.input:
            if given.name == self.input:
                # From its sizes onnxruntime infers others for windows of ceil_mode than it
                # computes, and then refuses the model.
                given.type.tensor_type.ClearField("shape")
        inputs = inputs.astype(_ELEMENTS[self._element])
        sizes = (self.batch,) if self.batch else (len(inputs), 1)
        why = ""
        for evaluator in (_runtime, _reference):
            for size in sizes:
                try:
                    return self._by_batches(evaluator(model), inputs, names, size)
                except Exception as error:  # of the evaluators' own classes
                    why = one_line(error, 300)
        raise ValueError(f"cannot be compared, since no evaluator runs it ({why})")

    def _by_batches(
        self, run: Any, inputs: np.ndarray, names: Sequence[str], size: int
    ) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            filled = np.resize(part, (size, *part.shape[1:]))  # repeats images in the last part
            values = run(list(names), {self.input: filled})
            for name, value in zip(names, values, strict=True):
                found[name].append(np.asarray(value, dtype=np.float64)[: len(part)])
        return {name: np.concatenate(parts) for name, parts in found.items()}

    @property
    def is_half(self) -> bool:
        """Whether input or weights are of float16, in which the evaluator then computes."""
        types = {self._element, *(tensor.data_type for tensor in self.model.graph.initializer)}
        return 10 in types

    @property
    def _element(self) -> int:
        kind = next(
            i.type.tensor_type.elem_type for i in self.model.graph.input if i.name == self.input
        )
        return int(kind)


_ELEMENTS = {1: np.float32, 10: np.float16, 11: np.float64}  # numbers of ONNX' types


def read_graph(path: Path) -> Graph:
    """Parse an ONNX file.

    Parameters
    ----------
    path : Path
        A ``.onnx`` file; data files that it names stand in its folder.

    Returns
    -------
    Graph
        With functions put in place.

    Raises
    ------
    ImportError
        If onnx is missing.
    ValueError
        If the file is missing, truncated, hostile, too old or takes or gives other than one
        value; the caller adds the path.
    """
    onnx = needed("onnx", _PURPOSE)
    if not path.is_file():
        raise ValueError("no such file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"takes {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
    content = path.read_bytes()
    _count_parts(content, onnx.ModelProto.DESCRIPTOR)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's class of it differs from release to release
        raise ValueError(
            f"is damaged or cut short, or no ONNX file ({one_line(error, 300)}); export it again"
        ) from error
    if not model.graph.node:
        raise ValueError("holds no graph, so it is no ONNX file or an empty one; export it again")
    try:
        return _graph(onnx, model, path)
    except (TypeError, AttributeError, KeyError, IndexError, RuntimeError) as error:
        # What is text in a whole file may be bytes in a damaged one, and what is there missing.
        raise ValueError(f"is damaged ({one_line(error, 300)}); export it again") from error


def _graph(onnx: Any, model: Any, path: Path) -> Graph:
    opset = _opset(onnx, model)
    model = _without_functions(onnx, model)
    constants = _constants(onnx, model, path)
    inputs = [i for i in model.graph.input if i.name not in constants]
    outputs = list(model.graph.output)
    for what, values in (("inputs", inputs), ("outputs", outputs)):
        if len(values) != 1:
            names = ", ".join(v.name for v in values) or "none"
            raise ValueError(f"networks have one input and one output; its {what} are {names}")
    shape, batch = _input_shape(onnx, inputs[0])
    nodes = list(_nodes(onnx, model.graph))
    _require_order(nodes, {inputs[0].name, *constants})
    return Graph(
        model=model,
        nodes=nodes,
        constants=constants,
        input=inputs[0].name,
        output=outputs[0].name,
        shape=shape,
        batch=batch,
        opset=opset,
    )


def _require_order(nodes: Sequence[Node], known: set[str]) -> None:
    """Refuse nodes in another order than ONNX wants them, in which they may run in circles."""
    for node in nodes:
        for name in node.inputs:
            if name and name not in known:
                raise ValueError(f"{node.place}: no earlier node gives its input {name!r}")
        made = [name for name in node.outputs if name]
        if not made:
            raise ValueError(f"{node.place}: gives no value; export again")
        for name in made:
            if name in known:
                raise ValueError(f"{node.place}: gives {name!r}, which is there already")
        known.update(made)


def _count_parts(content: bytes, descriptor: Any) -> None:
    """Refuse a file with more messages than any network has: parsed, each takes far more memory.

    Walks through the bytes by protobuf's own rules, without keeping anything.
    """
    known: dict[str, dict[int, Any]] = {}

    def fields(message: Any) -> dict[int, Any]:
        if message.full_name not in known:
            known[message.full_name] = {f.number: f.message_type for f in message.fields}
        return known[message.full_name]

    inside = [(len(content), fields(descriptor))]  # ends of the messages that `at` is in
    at = parts = 0
    while inside:
        end, inner = inside[-1]
        if at == end:
            inside.pop()
            continue
        parts += 1
        if parts > MAX_PARTS or len(inside) > MAX_DEPTH:
            raise ValueError(f"has more than {MAX_PARTS} parts, or parts {MAX_DEPTH} deep")
        key, at = _varint(content, at, end)
        wire = key & 7
        if wire in (0, 2):
            length, at = _varint(content, at, end)
            length = length if wire == 2 else 0
        else:
            length = {1: 8, 5: 4}.get(wire, end)  # no others are in use
        if at + length > end:
            raise ValueError("is damaged or cut short, or no ONNX file; export it again")
        if wire == 2 and inner.get(key >> 3) is not None:
            inside.append((at + length, fields(inner[key >> 3])))
        else:
            at += length


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("is damaged or cut short, or no ONNX file; export it again")


def _opset(onnx: Any, model: Any) -> int:
    opset = next((i.version for i in model.opset_import if i.domain in ("", "ai.onnx")), 0)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        what = (
            f"onnx.version_converter.convert_version raises it to {OLDEST_OPSET}"
            if opset < OLDEST_OPSET
            else "update the package onnx"
        )
        raise ValueError(f"is of opset {opset}, read are {OLDEST_OPSET} to {newest}; {what}")
    return int(opset)


def _without_functions(onnx: Any, model: Any) -> Any:
    """Put the bodies of a model's own functions in place of their calls."""
    if not model.functions:
        return model
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(nodes: Any, inside: tuple[Any, ...]) -> int:
        """Nodes after the replacement; a few nested functions can stand for any number."""
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in inside or len(inside) > 100:
                raise ValueError(f"its function {node.op_type} calls itself")
            if key in bodies and key not in sizes:
                sizes[key] = size(bodies[key], (*inside, key))
            total += sizes.get(key, 1)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    total += size(attribute.g.node, inside)
            if total > MAX_NODES:
                raise ValueError(f"its functions stand for more than {MAX_NODES} nodes")
        return total

    size(model.graph.node, ())
    return needed("onnx.inliner", _PURPOSE).inline_local_functions(model)


def _constants(onnx: Any, model: Any, path: Path) -> dict[str, np.ndarray]:
    """Weights by name; those in other files are read and put into the model."""
    if model.graph.sparse_initializer:
        raise ValueError("holds sparse weights, which are not read; export it with dense ones")
    left = MAX_BYTES
    constants = {}
    for tensor in model.graph.initializer:
        try:
            size = _size(onnx, tensor)
            left -= size
            if left < 0:
                raise ValueError(f"the weights take more than {MAX_BYTES} bytes")
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raw = _external(tensor, path, size)
                del tensor.external_data[:]
                tensor.data_location = onnx.TensorProto.DEFAULT
                tensor.raw_data = raw
            constants[tensor.name] = _array(onnx, tensor)
        except (ValueError, TypeError, OSError) as error:
            raise ValueError(f"weight {tensor.name!r}: {one_line(error, 300)}") from error
    return constants


def _size(onnx: Any, tensor: Any) -> int:
    """Bytes that a tensor of numbers declares."""
    try:
        kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except KeyError:
        raise ValueError(f"has the unknown type {tensor.data_type}") from None
    if kind.hasobject or kind.kind in "SU":
        raise ValueError(f"holds {kind}, not numbers")
    if any(n < 0 for n in tensor.dims):
        raise ValueError(f"has the shape {tuple(tensor.dims)}")
    size = 1
    for n in tensor.dims:
        size *= n
    return size * kind.itemsize


def _array(onnx: Any, tensor: Any) -> np.ndarray:
    """A tensor's array; its data must be as long as its shape says."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ValueError("lies in another file, which only weights of the graph may")
    _size(onnx, tensor)
    array: np.ndarray = onnx.numpy_helper.to_array(tensor)
    # bfloat16 and float16 are widened: NumPy computes with the one slowly, with the other not.
    return array.astype(np.float32) if array.dtype.name in ("bfloat16", "float16") else array


def _external(tensor: Any, path: Path, size: int) -> bytes:
    """Read a tensor's bytes from another file in the folder of the model."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    location = about.get("location", "")
    folder = path.resolve().parent
    file = folder / location
    if not location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise ValueError(f"lies in {location!r}; data files are read from the file's folder only")
    if not file.is_file():
        raise ValueError(f"lies in {location}, which is missing; copy it beside the file")
    if not file.resolve().is_relative_to(folder):
        raise ValueError(f"lies in {location}, a link out of the file's folder, which is not read")
    try:
        offset, length = int(about.get("offset", 0)), int(about.get("length", size))
    except ValueError:
        raise ValueError("says in words, not numbers, where its data begin") from None
    if length != size or offset < 0 or offset + size > file.stat().st_size:
        raise ValueError(
            f"needs {size} bytes and lies at {offset} to {offset + length} of {location}, which "
            f"has {file.stat().st_size}; export it again"
        )
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(size)


def _input_shape(onnx: Any, value: Any) -> tuple[tuple[int, ...], int]:
    """Shape of the input without its batch axis, and the batch (0: any)."""
    kind = value.type.tensor_type
    if kind.elem_type not in _ELEMENTS:
        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
        raise ValueError(
            f"its input {value.name!r} is of type {name}; export the network with float inputs, "
            "before any quantisation"
        )
    axes = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in kind.shape.dim]
    if len(axes) < 2 or not all(isinstance(n, int) and n > 0 for n in axes[1:]):
        raise ValueError(
            f"its input {value.name!r} has the shape ({', '.join(map(str, axes))}); all axes but "
            "the first, the batch, must be fixed: export it with a fixed image size"
        )
    shape = tuple(int(n) for n in axes[1:])
    return shape, axes[0] if isinstance(axes[0], int) and axes[0] > 0 else 0


def _nodes(onnx: Any, graph: Any) -> Iterator[Node]:
    for proto in graph.node:
        domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}."
        yield Node(
            op=domain + proto.op_type,
            name=proto.name or next(iter(proto.output), "without name"),
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes={a.name: _attribute(onnx, a) for a in proto.attribute},
            proto=proto,
        )


def _attribute(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        return _array(onnx, value)
    if isinstance(value, onnx.GraphProto):
        weights = {tensor.name: _array(onnx, tensor) for tensor in value.initializer}
        return list(_nodes(onnx, value)), weights, [output.name for output in value.output]
    if isinstance(value, float | int) or not hasattr(value, "__iter__"):
        return value
    return [v.decode(errors="replace") if isinstance(v, bytes) else v for v in value]


def _pad_by_number(onnx: Any, node: Any) -> None:
    """Write `same` padding of a dilated convolution in numbers, as onnxruntime wants it."""
    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    how, sizes, spread = (options.get(k) for k in ("auto_pad", "kernel_shape", "dilations"))
    is_same = node.op_type == "Conv" and how in (b"SAME_UPPER", b"SAME_LOWER")
    if not is_same or not sizes or not spread or set(options.get("strides", [1])) != {1}:
        return
    totals = [(size - 1) * step for size, step in zip(sizes, spread, strict=True)]
    less, more = [total // 2 for total in totals], [-(-total // 2) for total in totals]
    pads = [*less, *more] if how == b"SAME_UPPER" else [*more, *less]
    kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute("pads", pads)])


def _runtime(model: Any) -> Any:
    """Evaluator of onnxruntime; it lags behind onnx, and lacks some options."""
    onnxruntime = needed("onnxruntime", "run ONNX files")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=False,  # it would print
    ).run


def _reference(model: Any) -> Any:
    """ONNX' own evaluator: slow, and always there."""
    return needed("onnx.reference", _PURPOSE).ReferenceEvaluator(model).run
