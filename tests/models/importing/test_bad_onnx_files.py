"""ONNX files that are damaged, hostile or not read are refused by name, in one line, cheaply."""

import tracemalloc

import numpy as np
import pytest
from ann2brian.models.importing import from_onnx as reader
from ann2brian.models.importing import onnx_files, onnx_operators
from ann2brian.models.importing.from_onnx import from_onnx

from tests.support.onnx_graphs import model, step, wrapped
from tests.support.with_files import onnx_or_skip

onnx = onnx_or_skip()
MAP = (2, 4, 4)


def conv(**attributes):
    return step("Conv", "", np.full((3, 2, 2, 2), 0.5), **attributes)


def refused(path, message, shape=MAP, most=2**25):
    """Read a file that must be refused: in one line, with its name, in little memory."""
    x = np.zeros((1, *shape[1:], shape[0]), np.uint8)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            from_onnx(path, x, maximum=255)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 600


def saved(built, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(built.SerializeToString())
    return path


def test_files_that_are_cut_short(tmp_path):
    """At any place; and files of other kinds."""
    whole = model(onnx, MAP, conv()).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path, "export it again|no ONNX file")
    for content in (b"text and more text", bytes(1000), b"\xff" * 1000, b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        refused(path, "export it again")
    refused(tmp_path / "missing.onnx", "no such file")


def test_a_file_of_very_many_parts(tmp_path):
    """Two bytes each that would take hundreds in memory."""
    nodes = b"\x0a\x00" * 2**21  # empty nodes of a graph
    content = b"\x3a" + varint(len(nodes)) + nodes
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"net.onnx: has more than 500000 parts"):
        from_onnx(tmp_path / "net.onnx")  # parsed, it would take 0.3 GB


def varint(number):
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def huge(tensor):
    tensor.dims[:] = [2**20, 2**20]


def longer(tensor):
    tensor.dims[:] = [3, 2, 2, 3]


def negative(tensor):
    tensor.dims[:] = [3, 2, -2, -2]


def of_text(tensor):
    tensor.ClearField("raw_data")
    tensor.data_type = onnx.TensorProto.STRING


def of_no_type(tensor):
    tensor.data_type = 99


def not_finite(tensor):
    tensor.raw_data = np.full((3, 2, 2, 2), np.nan, np.float32).tobytes()


def of_bytes(tensor):
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones((3, 2, 2, 2), np.int8), tensor.name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (huge, r"weight 'w0_1': the weights take more than"),
        (longer, r"weight 'w0_1': .*reshape"),
        (negative, r"weight 'w0_1': has the shape \(3, 2, -2, -2\)"),
        (of_text, r"weight 'w0_1': holds .*, not numbers"),
        (of_no_type, r"weight 'w0_1': has the unknown type 99"),
        (not_finite, r"node conv0 \(Conv\): .*kernel\[0, 0, 0, 0\] is nan"),
        (of_bytes, r"node conv0 \(Conv\): its kernel is of type int8; is of a quantised network"),
    ],
)
def test_weights_that_are_not_what_they_say(change, message, tmp_path):
    """Sizes that lie, and values that are no floats."""
    built = model(onnx, MAP, conv())
    change(built.graph.initializer[0])
    refused(saved(built, tmp_path), message)


def lies_at(built, location, **about):
    """Move the first weight to another file, in what the model says."""
    tensor = built.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **about}.items():
        tensor.external_data.add(key=key, value=str(value))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"location": "../secret"}, "from the file's folder only"),
        ({"location": "/etc/hostname"}, "from the file's folder only"),
        ({"location": ""}, "from the file's folder only"),
        ({"location": "inside"}, "inside, which is missing"),
        ({"location": "link"}, "a link out of the file's folder"),
        ({"location": "nothing"}, "which is missing"),
        ({"location": "data", "offset": 8}, "needs 96 bytes and lies at 8 to 104"),
        ({"location": "data", "length": 8}, "needs 96 bytes and lies at 0 to 8"),
        ({"location": "data", "offset": -1}, "needs 96 bytes and lies at -1"),
        ({"location": "data", "offset": "x"}, "where its data begin"),
    ],
)
def test_weights_elsewhere(about, message, tmp_path):
    """Files outside of the folder are not opened, and those inside only as far as they go."""
    (tmp_path / "secret").write_bytes(bytes(96))
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    (folder / "data").write_bytes(bytes(96))
    (folder / "link").symlink_to(tmp_path / "secret")
    built = model(onnx, MAP, conv())
    lies_at(built, **about)
    refused(saved(built, folder), f"weight 'w0_1': .*{message}")


def constant(name, values, **more):
    """A node that computes something large from a small constant."""
    return [step("Constant", name="c", value_ints=values), step(name, "c", **more)]


@pytest.mark.parametrize(
    "steps",
    [
        [*constant("ConstantOfShape", [10**6, 10**6]), step("Add", "x", "")],
        [
            step("Range", np.int64(0), np.int64(10**12), np.int64(1)),
            step("Add", "x", ""),
        ],
        [step("Tile", "", np.array([1, 1, 10**6, 10**6])), step("Relu", "")],
        [step("Expand", "", np.array([1, 10**9, 2, 4, 4])), step("Relu", "")],
        [step("Pad", "", np.array([0, 0, 10**6, 0, 0, 0, 0, 10**6])), step("Relu", "")],
        [step("Resize", "", None, np.array([1, 1, 1e5, 1e5])), step("Relu", "")],
        [conv(pads=[10**5] * 4)],
        [step("MaxPool", "", kernel_shape=[2, 2], pads=[10**6] * 4)],
    ],
)
def test_what_would_become_very_large(steps, tmp_path):
    """Refused before it is computed."""
    built = model(onnx, MAP, *steps, head=False)
    refused(saved(built, tmp_path), r"node \w+ \(\w+\): .*(more than|at most|cannot be told)")


def test_a_very_large_batch(tmp_path, monkeypatch):
    """A file for so many images at once that their values would not fit; one for fewer is read."""
    path = saved(model(onnx, MAP, conv(), batch=8), tmp_path)
    assert from_onnx(path, np.zeros((1, 4, 4, 2), np.uint8)).n_parameters
    monkeypatch.setattr(reader, "MAX_COMPARED", 1000)
    refused(path, "takes 8 images at once, too many to compare")


def test_a_very_long_chain(tmp_path):
    """Element by element, without a layer between."""
    refused(
        saved(model(onnx, MAP, *[step("Neg", "")] * 900, head=False), tmp_path),
        "hundreds of element-by-element nodes",
    )


def test_many_constants_that_are_computed(tmp_path, monkeypatch):
    """Each is small enough, and all together are not."""
    monkeypatch.setattr(onnx_operators, "MAX_BYTES", 100_000)
    steps = [step("ConstantOfShape", np.array([2, 4000]), name=f"c{i}") for i in range(9)]
    path = saved(model(onnx, MAP, *steps, step("Relu", "x")), tmp_path)
    refused(path, r"node constantofshape3 .*take more than 100000 bytes")


def test_functions_that_stand_for_very_many_nodes(tmp_path):
    """Each calls the one before it twice; or one calls itself."""
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]

    def function(name, called, domain="own"):
        calls = [
            onnx.helper.make_node(called, ["a"], ["b"], domain=domain),
            onnx.helper.make_node(called, ["b"], ["c"], domain=domain),
        ]
        return onnx.helper.make_function("own", name, ["a"], ["c"], calls, opsets)

    nested = [function("F0", "Relu", "")]
    nested += [function(f"F{i}", f"F{i - 1}") for i in range(1, 40)]
    for functions, last, message in (
        (nested, "F39", "its functions stand for more than 50000 nodes"),
        ([function("F", "F")], "F", "its function F calls itself"),
        ([function("F", "G"), function("G", "F")], "F", r"its function \w calls itself"),
    ):
        nodes = [onnx.helper.make_node(last, ["x"], ["y"], domain="own")]
        built = wrapped(onnx, nodes, [], MAP, "y", 18, "n")
        built.opset_import.extend(opsets[1:])
        built.functions.extend(functions)
        refused(saved(built, tmp_path), message)


PLACES = np.arange(32.0).reshape(2, 4, 4)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("Det", "")], r"node det0 \(Det\): is not supported"),
        ([step("LSTM", "", PLACES, PLACES)], r"\(LSTM\): is recurrent"),
        ([step("DequantizeLinear", "", np.float32(1))], "quantised network; export"),
        ([step("QuantizeLinear", "", np.float32(1))], "quantised network; export"),
        ([step("InstanceNormalization", "", np.ones(2), np.ones(2))], "its own statistics"),
        ([step("RandomNormalLike", "")], "draws random numbers"),
        ([step("RandomNormal", shape=[1, 2, 4, 4]), step("Add", "x", "")], "draws random numbers"),
        ([step("Add", "", PLACES)], "node add0 .*differ within a channel"),
        ([step("Conv", "", "x")], r"\(Conv\): its kernel is not constant"),
        ([step("MatMul", "", "x")], "a value times a constant matrix only"),
        ([step("Div", np.float32(1), "")], "divides by a value"),
        ([step("Div", "", np.float32(0))], "divides by zero"),
        ([step("MaxPool", "", kernel_shape=[2, 2], dilations=[2, 2])], "has a dilation"),
        ([step("MaxPool", "", kernel_shape=[2, 2], strides=[0, 1])], "not 2 numbers >= 1"),
        ([step("Transpose", "", perm=[1, 0, 2, 3])], "moves the batch axis"),
        ([step("Reshape", "", np.array([2, -1])), step("Relu", "")], "its batch is lost"),
        ([step("Reshape", "", np.array([0, 7]))], "reshape"),
        ([step("ReduceMean", "", np.array([0]))], "changes the batch axis"),
        ([step("Concat", "", "x", axis=0)], "joins images"),
        ([step("Pad", "", np.array([0, 0, 1, 0] + [0] * 4), np.float32(2))], "pads with 2"),
        ([step("Softmax", "", axis=1), step("Relu", "")], "only one over the classes"),
        ([step("Exp", "")], r"\(Exp\): is not supported"),
        ([step("TopK", "", np.array([1]))], r"\(TopK\): is not supported"),
        ([step("Cast", "", to=7), step("Cast", "", to=1), step("Relu", "")], "whole numbers"),
    ],
)
def test_operators_that_are_not_read(steps, message, tmp_path):
    """The message names the node and says why."""
    built = model(onnx, MAP, *steps, head=False)
    refused(saved(built, tmp_path), message)


def test_nodes_of_others(tmp_path):
    """Of another domain, of onnxruntime's optimiser, or without what they need."""
    built = model(onnx, MAP, step("Relu", ""), head=False)
    node = built.graph.node[0]
    node.domain = "com.microsoft"
    refused(saved(built, tmp_path), "com.microsoft.Relu.* before onnxruntime optimised it")
    node.domain = "my.own"
    refused(saved(built, tmp_path), r"node relu0 \(my.own.Relu\): is not supported")
    node.domain, node.input[:] = "", ["nothing"]
    refused(saved(built, tmp_path), "no earlier node gives its input 'nothing'")
    node.input[:] = []
    refused(saved(built, tmp_path), r"node relu0 \(Relu\)")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Identity", ["x"], ["x"])], "identity0 .*gives 'x', which is there already"),
        ([("Relu", ["x"], ["a"]), ("Relu", ["a"], ["a"])], "relu1 .*gives 'a', which is there"),
        ([("Add", ["x", "b"], ["a"]), ("Identity", ["a"], ["b"])], "no earlier node gives .*'b'"),
        ([("Identity", ["x"], [])], "identity0 .*gives no value"),
        ([("Identity", ["x"], [""])], "identity0 .*gives no value"),
    ],
)
def test_nodes_that_run_in_circles(nodes, message, tmp_path):
    """Names that are given twice, too early or not at all; nothing waits for ever."""
    made = [
        onnx.helper.make_node(op, inputs, outputs, name=f"{op.lower()}{i}")
        for i, (op, inputs, outputs) in enumerate(nodes)
    ]
    last = onnx.helper.make_node("Flatten", [nodes[-1][2][0] if nodes[-1][2] else "x"], ["y"])
    refused(saved(wrapped(onnx, [*made, last], [], MAP, "y", 18, "n"), tmp_path), message)


def test_models_of_other_shapes_and_versions(tmp_path):
    """Open axes, several inputs or outputs, other types, opsets that are too old or too new."""

    def open_rows(built):
        built.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "rows"

    def no_shape(built):
        built.graph.input[0].type.tensor_type.ClearField("shape")

    def two_inputs(built):
        built.graph.input.append(onnx.helper.make_tensor_value_info("z", 1, ["n", 3]))

    def two_outputs(built):
        built.graph.output.append(onnx.ValueInfoProto(name="v0"))

    def bytes_in(built):
        built.graph.input[0].type.tensor_type.elem_type = 2

    def other_output(built):
        built.graph.output[0].name = "w0_1"

    def sparse(built):
        built.graph.sparse_initializer.add()

    def opset(number):
        return lambda built: built.opset_import.__getitem__(0).__setattr__("version", number)

    for change, message in (
        (open_rows, r"shape \(n, 2, rows, 4\); all axes but the first"),
        (no_shape, r"has the shape \(\)"),
        (two_inputs, "one input and one output; its inputs are x, z"),
        (two_outputs, "one input and one output; its outputs are y, v0"),
        (bytes_in, "'x' is of type uint8; export"),
        (other_output, "does not depend on its input"),
        (sparse, "sparse weights"),
        (opset(9), "is of opset 9, read are 11 to"),
        (opset(99), "is of opset 99, .*update the package onnx"),
    ):
        built = model(onnx, MAP, conv())
        change(built)
        refused(saved(built, tmp_path), message)


def test_images_that_the_model_does_not_take(tmp_path):
    """The message has both shapes."""
    path = saved(model(onnx, MAP, conv()), tmp_path)
    with pytest.raises(ValueError, match=r"net.onnx: .*\(2, 4, 4\)"):
        from_onnx(path, np.zeros((1, 5, 4, 2), np.uint8))


def test_files_with_any_byte_wrong(tmp_path):
    """Refused by a ValueError that names the file, or read; nothing else is raised."""
    rng = np.random.default_rng(0)
    steps = [
        conv(pads=[0, 1, 1, 0], strides=[1, 1]),
        step("MaxPool", "", kernel_shape=[2, 2], strides=[2, 2]),
        step("Reshape", "", np.array([0, -1])),
        step("Clip", "", np.float32(0), np.float32(6)),
        step("Gemm", "", np.ones((12, 2)), transB=0),
    ]
    whole = model(onnx, MAP, *steps, head=False).SerializeToString()
    path = tmp_path / "net.onnx"
    x = np.ones((1, 4, 4, 2), np.uint8)
    n_read = 0
    for _ in range(150):
        changed = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        path.write_bytes(bytes(changed))
        try:
            from_onnx(path, x, maximum=255)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            n_read += 1
    assert 0 < n_read < 75


def test_the_limit_is_that_of_the_sum(tmp_path, monkeypatch):
    """Many weights may not take what one may not."""
    monkeypatch.setattr(onnx_files, "MAX_BYTES", 2000)
    large = [step("Conv", "", np.ones((2, 2, 4, 4)), pads=[2] * 4) for _ in range(9)]
    path = saved(model(onnx, MAP, *large), tmp_path)
    refused(path, "takes .* bytes, at most 2000 are read")
    tensors = model(onnx, MAP, *large).graph.initializer
    assert sum(len(tensor.raw_data) for tensor in tensors) > 2000
