"""ONNX files give the logits that ONNX' evaluators give, whatever operators they hold."""

import sys

import numpy as np
import pytest
from ann2brian.models.importing import onnx_operators
from ann2brian.models.importing.from_onnx import from_onnx

from tests.support.onnx_graphs import model, step, wrapped
from tests.support.with_files import onnx_or_skip

onnx = onnx_or_skip()
reference = pytest.importorskip("onnx.reference")
RNG = np.random.default_rng(3)


def images(*shape, n=3):
    """A few raw images of bytes, (n, H, W, C)."""
    return np.random.default_rng(1).integers(0, 256, (n, *shape), dtype=np.uint8)


def seen(x, shape, is_last):
    """Images as the model takes them, over 255."""
    x = x.astype(np.float32) / 255
    return (x if is_last else np.moveaxis(x, -1, 1)).reshape(len(x), *shape)


def agrees(built, shape, tmp_path, is_last=False, **keywords):
    """Write a model, read it, and compare the logits with those of the reference evaluator."""
    path = tmp_path / "net.onnx"
    onnx.save(built, path)
    rows_last = shape if is_last else (*shape[1:], shape[0])
    x = images(*rows_last)
    network = from_onnx(path, x, maximum=255, **keywords)
    given = seen(x, shape, is_last)
    evaluator = reference.ReferenceEvaluator(built)
    wanted = np.concatenate([evaluator.run(None, {"x": one[None]})[0] for one in given])
    found = network.forward(x.reshape(len(x), *network.input.shape))
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)
    return network


def weights(*shape):
    return RNG.uniform(-0.7, 0.7, shape)


def named(network):
    """Kinds of the layers, of activations their functions."""
    return [getattr(layer, "function", type(layer).__name__) for layer in network.layers]


MAP = (2, 6, 7)
CHAINS = {
    "conv": [
        step("Conv", "", weights(4, 1, 3, 2), weights(4), group=2, pads=[1, 0, 2, 1]),
        step("Conv", "", weights(3, 4, 2, 2), strides=[2, 1], dilations=[1, 2]),
    ],
    "same upper": [step("Conv", "", weights(3, 2, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])],
    "same lower": [step("Conv", "", weights(3, 2, 2, 4), auto_pad="SAME_LOWER", strides=[2, 2])],
    "same, spread": [
        step("Conv", "", weights(2, 2, 2, 3), auto_pad=how, dilations=[3, 2], kernel_shape=[2, 3])
        for how in ("SAME_UPPER", "SAME_LOWER")
    ],
    "valid": [step("Conv", "", weights(3, 2, 2, 4), auto_pad="VALID")],
    "norm": [
        step("BatchNormalization", "", weights(2), weights(2), weights(2), weights(2) ** 2 + 0.2)
    ],
    "max pool": [
        step("MaxPool", "", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=0),
        step("MaxPool", "", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    ],
    "average pool": [
        step("AveragePool", "", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1]),
        step("AveragePool", "", kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1),
    ],
    "average pool of zeros that count": [
        step("Pad", "", np.array([0, 0, 1, 0, 0, 0, 0, 1])),
        step("AveragePool", "", kernel_shape=[2, 2], strides=[2, 2]),
    ],
    "average pool, same": [
        step("AveragePool", "", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER")
    ],
    "global pools": [
        step("GlobalAveragePool", "", name="mean"),
        step("GlobalMaxPool", "x"),
        step("Concat", "", "mean", axis=1),
    ],
    "means": [
        step("ReduceMean", "", np.array([-1, 2]), keepdims=0, name="mean"),
        step("ReduceSum", "x", np.array([2, 3]), keepdims=0, name="sum"),
        step("ReduceMax", "x", np.array([2, 3]), keepdims=0),
        step("Concat", "", "mean", "sum", axis=-1),
    ],
    "mean of rows": [step("ReduceMean", "", np.array([2]), keepdims=1)],
    "layout": [
        step("Transpose", "", perm=[0, 2, 3, 1]),
        step("Reshape", "", np.array([0, 0, -1])),
        step("Unsqueeze", "", np.array([1, 3])),
        step("Squeeze", "", np.array([3])),
        step("Slice", "", np.array([0, -2]), np.array([2**63 - 1, 0]), np.array([2, 3]), [1, -3]),
        step("Squeeze", "", np.array([1])),
        step("Relu", ""),
    ],
    "parts": [
        step("Split", "", np.array([1, 1]), name=("a", "b"), axis=1),
        step("Gather", "a", np.array([4, 0, 0, 2]), axis=3, name="c"),
        step("Tile", "c", np.array([1, 2, 1, 1]), name="d"),
        step("Expand", "c", np.array([1, 2, 1, 1])),
        step("Concat", "", "d", axis=2),
        step("Relu", ""),
    ],
    "blocks": [
        step("Conv", "", weights(4, 2, 1, 2)),
        step("SpaceToDepth", "", blocksize=2),
        step("DepthToSpace", "", blocksize=2, mode="CRD"),
        step("Relu", ""),
        step("DepthToSpace", "", blocksize=2),
    ],
    "pad": [
        step("Pad", "", np.array([0, 0, 1, 0, 0, 0, 0, 2])),
        step("Conv", "", weights(3, 2, 3, 3)),
        step("Pad", "", np.array([0, 0, 1, 2, 0, 0, 1, 0]), mode="reflect"),
        step("Pad", "", np.array([1, 1]), None, np.array([3]), mode="edge"),
        step("Pad", "", np.array([0] * 8), np.float32(2)),
        step("Relu", ""),
    ],
    "resize": [
        step("Resize", "", None, np.array([1, 1, 2, 1.5]), mode="nearest", nearest_mode="floor"),
        step("Resize", "", None, np.array([1, 1, 0.5, 0.6]), mode="linear"),
        step("Relu", ""),
    ],
    "resize to a size": [
        step(
            "Resize",
            "",
            None,
            None,
            np.array([1, 2, 7, 9]),
            mode="linear",
            coordinate_transformation_mode="align_corners",
        )
    ],
    "activations": [
        step("Conv", "", weights(3, 2, 1, 1) * 3),
        step("Elu", "", alpha=0.5),
        step("LeakyRelu", "", alpha=0.2),
        step("PRelu", "", weights(3, 1, 1)),
        step("Clip", "", np.float32(-0.4), np.float32(0.9)),
        step("HardSwish", ""),
        step("Selu", ""),
        step("Celu", "", alpha=0.7),
        step("Softplus", ""),
        step("Abs", ""),
        step("HardSigmoid", ""),
        step("Neg", ""),
        step("Sigmoid", ""),
        step("Tanh", ""),
    ],
    "newer": [
        step("Conv", "", weights(3, 2, 1, 1) * 3),
        step("Mish", ""),
        step("Gelu", "", approximate="tanh"),
        step("Gelu", ""),
    ],
    "numbers": [
        step("Mul", "", np.float32(2)),
        step("Sub", np.float32(1), ""),
        step("Div", "", weights(2, 1, 1) + 2),
        step("Max", "", np.float32(0.2)),
        step("Min", np.float32(0.9), ""),
        step("Clip", "", np.float32(0.3)),
        step("Clip", "", None, np.float32(0.8)),
        *(step("Pow", "", np.float32(power)) for power in (2, 1, 3, 4)),
    ],
    "values": [
        step("Relu", "", name="a"),
        step("Conv", "x", weights(2, 2, 1, 1), name="b"),
        step("Max", "a", "b", name="c"),
        step("Min", "a", "b", "c", name="d"),
        step("Sum", "a", "b", "d", name="e"),
        step("Mean", "e", "a", name="f"),
        step("GlobalAveragePool", "f"),
        step("Mul", "f", ""),
        step("Sub", "", "c"),
    ],
    "limits": [
        step("Max", "", weights(2, 1, 1), name="a"),
        step("Min", weights(2, 1, 1), "x", name="b"),
        step("Max", "a", "b", np.float32(-0.2), weights(1, 2, 1, 1)),
    ],
    "maxima along axes": [
        step("ReduceMax", "", np.array([1]), keepdims=1, name="a"),
        step("ReduceMin", "x", np.array([-1]), keepdims=1, name="b"),
        step("ReduceMin", "x", np.array([2, 3]), keepdims=1, name="c"),
        step("Add", "a", "x"),
        step("Add", "", "b"),
        step("Add", "", "c"),
    ],
    "masks": [
        step("Relu", "", name="a"),
        step("Where", np.array([True, False])[:, None, None], "a", "x"),
        step("Where", np.array([[[True]], [[False]]]), np.float32(0.5), ""),
        step("Where", np.array(False), np.float32(0.5), ""),
    ],
    "nothing": [
        step("Identity", ""),
        step("Dropout", ""),
        step("Cast", "", to=1),
        step("Relu", ""),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
def test_logits_are_those_of_the_evaluator(name, tmp_path):
    """Every operator and its options."""
    agrees(model(onnx, MAP, *CHAINS[name], opset=20 if name == "newer" else 18), MAP, tmp_path)


@pytest.mark.parametrize("opset", [11, 13, 18, onnx.defs.onnx_opset_version()])
def test_opsets(opset, tmp_path):
    """Options that became inputs on the way."""
    axes = {"axes": [2, 3]} if opset < 13 else {}
    last = [np.array([2, 3])] if opset >= 13 else []
    mean = {"axes": [2, 3]} if opset < 18 else {}
    over = [np.array([2, 3])] if opset >= 18 else []
    built = model(
        onnx,
        MAP,
        step("Conv", "", weights(3, 2, 2, 2)),
        step("ReduceMean", "", *over, keepdims=1, **mean),
        step("Squeeze", "", *last, **axes),
        step("Unsqueeze", "", *last, **axes),
        step("Flatten", ""),
        opset=opset,
    )
    agrees(built, MAP, tmp_path)


# Ways to write one activation, as the exporters do


def erf_gelu(half_first):
    chain = [
        step("Div", "a", np.float32(np.sqrt(2))),
        step("Erf", ""),
        step("Add", "", np.float32(1)),
    ]
    if half_first:
        return [*chain, step("Mul", "", np.float32(0.5)), step("Mul", "a", "")]
    return [*chain, step("Mul", "a", ""), step("Mul", "", np.float32(0.5))]


def tanh_gelu():
    return [
        step("Pow", "a", np.float32(3)),
        step("Mul", "", np.float32(0.044715)),
        step("Add", "a", ""),
        step("Mul", "", np.float32(np.sqrt(2 / np.pi))),
        step("Tanh", ""),
        step("Add", "", np.float32(1), name="t"),
        step("Mul", "a", np.float32(0.5)),
        step("Mul", "", "t"),
    ]


WRITTEN_OUT = {
    "silu": [step("Sigmoid", "a"), step("Mul", "a", "")],
    "gelu": erf_gelu(True),
    "gelu, other order": erf_gelu(False),
    "gelu_tanh": tanh_gelu(),
    "hardswish": [
        step("Add", "a", np.float32(3)),
        step("Clip", "", np.float32(0), np.float32(6)),
        step("Mul", "a", ""),
        step("Div", "", np.float32(6)),
    ],
    "hardsigmoid": [
        step("Add", "a", np.float32(3)),
        step("Clip", "", np.float32(0), np.float32(6)),
        step("Mul", "", np.float32(1 / 6)),
    ],
    "relu": [step("Max", "a", np.float32(0))],
    "clip": [step("Max", "a", np.float32(-0.5)), step("Min", "", np.float32(1))],
    "softplus": [
        step("Mul", "a", np.float32(2)),
        step("Softplus", ""),
        step("Div", "", np.float32(2)),
    ],
    "LeakyReLU": [step("Mul", "a", np.float32(0.1)), step("Max", "a", "")],
    "elu": [
        step("Exp", "a"),
        step("Sub", "", np.float32(1)),
        step("Mul", "", np.float32(0.7), name="below"),
        step("Greater", "a", np.float32(0), name="is_above"),
        step("Where", "is_above", "a", "below"),
    ],
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_an_activation_that_is_written_out_is_recognised(name, tmp_path):
    """One layer, whatever nodes an exporter makes of it; and what uses a part of it sees that."""
    chain = [step("Conv", "", weights(3, 2, 1, 1) * 5, name="a"), *WRITTEN_OUT[name]]
    kind = name.partition(",")[0]
    network = agrees(model(onnx, MAP, *chain), MAP, tmp_path)
    assert named(network) == ["Conv2D", kind, "Flatten", "Dense"]
    both = [*chain[:-1], step(*chain[-1][:1], *chain[-1][1], name="whole"), step("Add", "", "a")]
    assert kind in named(agrees(model(onnx, MAP, *both), MAP, tmp_path))


def test_what_looks_like_an_activation_is_none(tmp_path):
    """A sigmoid of another value, and one that is steeper: products, not SiLU of the map."""
    other = [step("Conv", "", weights(2, 2, 1, 1)), step("Sigmoid", ""), step("Mul", "x", "")]
    network = agrees(model(onnx, MAP, *other), MAP, tmp_path)
    assert "Multiply" in named(network) and "silu" not in named(network)
    steep = [step("Mul", "x", np.float32(1.702)), step("Sigmoid", ""), step("Mul", "x", "")]
    network = agrees(model(onnx, MAP, *steep), MAP, tmp_path)  # silu(1.702 x) / 1.702
    assert named(network)[:3] == ["BatchNorm", "silu", "BatchNorm"]


def test_a_dense_layer_in_two_nodes_is_one(tmp_path):
    """MatMul and Add; a Gemm with its factors."""
    steps = [
        step("MatMul", "", weights(5, 4)),
        step("Add", "", weights(4)),
        step("Relu", ""),
        step("Gemm", "", weights(6, 4), weights(6), transB=1, alpha=0.5, beta=2.0),
    ]
    network = agrees(model(onnx, (5,), *steps), (5,), tmp_path)
    assert named(network) == ["Dense", "relu", "Dense", "Dense"]


def test_a_dense_layer_on_the_last_axis_of_a_map(tmp_path):
    """A convolution of size 1x1, as Keras' exporter writes Dense on maps."""
    steps = [step("MatMul", "", weights(3, 4)), step("Add", "", weights(4)), step("Relu", "")]
    built = model(onnx, (4, 5, 3), *steps)
    network = agrees(built, (4, 5, 3), tmp_path, is_last=True)
    assert named(network) == ["Conv2D", "relu", "Flatten", "Dense"]


def test_sequences(tmp_path):
    """One-dimensional convolution and pooling, padded unequally."""
    steps = [
        step("Conv", "", weights(4, 2, 3), weights(4), pads=[2, 1], strides=[2]),
        step("Relu", ""),
        step("Conv", "", weights(4, 1, 2), group=4, dilations=[2], auto_pad="SAME_LOWER"),
        step("MaxPool", "", kernel_shape=[2], strides=[2]),
        step("AveragePool", "", kernel_shape=[2], pads=[1, 0]),
        step("Resize", "", None, np.array([1, 1, 2])),
        step("GlobalAveragePool", ""),
    ]
    built = model(onnx, (2, 19), *steps)
    path = tmp_path / "net.onnx"
    onnx.save(built, path)
    x = images(19, 2)
    network = from_onnx(path, x, maximum=255)
    assert network.input.shape == (1, 19, 2)
    given = (x / np.float32(255)).transpose(0, 2, 1)
    wanted = reference.ReferenceEvaluator(built).run(None, {"x": given})[0]
    np.testing.assert_allclose(network.forward(x[:, None]), wanted, rtol=2e-4, atol=2e-4)


# Layout of the input


def test_images_with_the_channels_last_as_keras_exporters_write_them(tmp_path):
    """A Transpose, or for one channel a Reshape, stands before the first convolution."""
    convolved = [
        step("Conv", "", weights(4, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
        step("Relu", ""),
        step("Transpose", "", perm=[0, 2, 3, 1]),
    ]
    scaled = [step("Mul", "", np.float32(2)), step("Sub", "", np.array([0.5, 0.1, 0.2]))]
    built = model(onnx, (6, 6, 3), *scaled, step("Transpose", "", perm=[0, 3, 1, 2]), *convolved)
    network = agrees(built, (6, 6, 3), tmp_path, is_last=True)
    assert network.layer("conv1").padding == (0, 1, 0, 1)
    with pytest.warns(UserWarning, match="range of the images is a guess"):
        assert from_onnx(tmp_path / "net.onnx").input.shape == (6, 6, 3)
    one = [step("Reshape", "", np.array([-1, 1, 5, 6])), step("Conv", "", weights(4, 1, 3, 3))]
    built = model(onnx, (5, 6, 1), *one)
    assert agrees(built, (5, 6, 1), tmp_path, is_last=True).input.shape == (5, 6, 1)
    with pytest.warns(UserWarning, match="range of the images is a guess"):
        assert from_onnx(tmp_path / "net.onnx").input.shape == (5, 6, 1)


def test_grey_images_without_a_channel_axis(tmp_path):
    """(n, rows, columns) and a Flatten."""
    built = model(onnx, (4, 5))
    path = tmp_path / "net.onnx"
    onnx.save(built, path)
    x = images(4, 5)
    network = from_onnx(path, x, maximum=255)
    assert network.input.shape == (4, 5, 1)
    wanted = reference.ReferenceEvaluator(built).run(None, {"x": x / np.float32(255)})[0]
    np.testing.assert_allclose(network.forward(x[..., None]), wanted, rtol=2e-4, atol=2e-4)
    with pytest.warns(UserWarning, match="range of the images is a guess"):
        assert from_onnx(path).input.shape == (4, 5, 1)


@pytest.mark.parametrize("batch", ["n", 1, 2])
def test_batches(batch, tmp_path):
    """Any number of images at once, one, or two, with shapes that are computed from it."""
    steps = [
        step("Conv", "", weights(4, 2, 3, 3)),
        step("Shape", "", name="shape"),
        step("Gather", "shape", np.array([0]), axis=0, name="n"),
        step("Concat", "n", np.array([-1]), axis=0, name="wanted"),
        step("Reshape", "v0", "wanted"),
    ]
    built = model(onnx, (2, 4, 4), *steps, batch=batch, head=False)
    onnx.save(built, tmp_path / "net.onnx")
    x = images(4, 4, 2)
    network = from_onnx(tmp_path / "net.onnx", x, maximum=255)
    given = np.moveaxis(x / np.float32(255), -1, 1)
    evaluator = reference.ReferenceEvaluator(built)
    size = 3 if batch == "n" else batch
    wanted = evaluator.run(None, {"x": given[:size]})[0]
    np.testing.assert_allclose(network.forward(x[:size]), wanted, rtol=2e-4, atol=2e-4)


def test_softmax_at_the_end(tmp_path):
    """Left out, with a note."""
    built = model(onnx, (5,), step("Gemm", "", weights(5, 4)), step("Softmax", ""), head=False)
    onnx.save(built, tmp_path / "net.onnx")
    with pytest.warns(UserWarning, match="net.onnx: the softmax at the end is left out"):
        network = from_onnx(tmp_path / "net.onnx", images(5), maximum=255)
    assert named(network) == ["Dense"] and network.classes == ("0", "1", "2", "3")


# Functions, branches, and weights elsewhere


def test_functions_of_the_model_are_put_in_place(tmp_path):
    """A function that calls another one."""
    inner = onnx.helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [onnx.helper.make_node("Add", ["a", "a"], ["b"])],
        [onnx.helper.make_opsetid("", 18)],
    )
    outer = onnx.helper.make_function(
        "own",
        "Gate",
        ["a"],
        ["c"],
        [
            onnx.helper.make_node("Twice", ["a"], ["b"], domain="own"),
            onnx.helper.make_node("Relu", ["b"], ["c"]),
        ],
        [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)],
    )
    built = model(onnx, MAP, step("Relu", ""))
    built.graph.node[0].op_type, built.graph.node[0].domain = "Gate", "own"
    built.opset_import.extend([onnx.helper.make_opsetid("own", 1)])
    built.functions.extend([inner, outer])
    assert named(agrees(built, MAP, tmp_path))[:2] == ["Add", "relu"]


def test_a_branch_whose_condition_is_known(tmp_path):
    """The exporters' way to squeeze an axis if there is one."""
    value = onnx.helper.make_tensor_value_info
    branches = {
        f"{name}_branch": onnx.helper.make_graph(
            [onnx.helper.make_node(op, ["x"], [f"in_{name}"])],
            name,
            [],
            [value(f"in_{name}", 1, None)],
        )
        for name, op in (("then", "Relu"), ("else", "Neg"))
    }
    nodes = [
        onnx.helper.make_node("Constant", [], ["is"], value_ints=[1]),
        onnx.helper.make_node("Cast", ["is"], ["yes"], to=9),
        onnx.helper.make_node("If", ["yes"], ["y"], **branches),
    ]
    built = wrapped(onnx, nodes, [], (4,), "y", 18, "n")
    onnx.save(built, tmp_path / "net.onnx")
    network = from_onnx(tmp_path / "net.onnx", images(4), maximum=255)
    assert named(network) == ["relu"]


def test_weights_beside_the_file(tmp_path):
    """In a file of the same folder, at any offset."""
    built = model(onnx, MAP, step("Conv", "", weights(3, 2, 2, 2)), step("Relu", ""))
    wanted = agrees(built, MAP, tmp_path).forward(images(6, 7, 2))
    onnx.save(
        built,
        tmp_path / "other.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (tmp_path / "weights.bin").stat().st_size > 0
    network = from_onnx(tmp_path / "other.onnx", images(6, 7, 2), maximum=255)
    np.testing.assert_array_equal(network.forward(images(6, 7, 2)), wanted)


def test_weights_that_stand_among_the_inputs(tmp_path):
    """As files of old exporters have them."""
    built = model(onnx, MAP, step("Conv", "", weights(3, 2, 2, 2)))
    for tensor in built.graph.initializer:
        built.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    agrees(built, MAP, tmp_path)


# The check on entry


def test_a_standardisation_that_is_not_the_transforms(tmp_path):
    """Images and a transform say what the model sees."""
    built = model(onnx, MAP, step("Conv", "", weights(3, 2, 2, 2)))
    onnx.save(built, tmp_path / "net.onnx")
    x = images(6, 7, 2)
    stated = {"mean": (0.1, 0.2), "std": 0.3, "maximum": 255}

    def transform(image):
        return ((image / 255 - [0.1, 0.2]) / 0.3).transpose(2, 0, 1)

    network = from_onnx(tmp_path / "net.onnx", x, transform=transform, **stated)
    np.testing.assert_allclose(network.input.standardise(x)[0], transform(x[0]).transpose(1, 2, 0))
    with pytest.raises(ValueError, match=r"net.onnx: transform= gives"):
        from_onnx(tmp_path / "net.onnx", x, transform=transform, maximum=255)


@pytest.mark.parametrize("has_runtime", [True, False])
def test_the_check_names_the_node_that_is_read_wrongly(has_runtime, tmp_path, monkeypatch):
    """With onnxruntime, and with ONNX' reference evaluator alone."""
    if has_runtime:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    else:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    built = model(onnx, MAP, step("Conv", "", weights(3, 2, 2, 2)), step("LeakyRelu", ""))
    onnx.save(built, tmp_path / "net.onnx")
    from_onnx(tmp_path / "net.onnx", images(6, 7, 2), maximum=255)
    reader = onnx_operators.OnnxReader
    monkeypatch.setattr(
        reader,
        "_leaky_relu",
        lambda self, node, inputs: self._assembler.leaky_relu(self._value(inputs[0]), 0.1),
    )
    message = r"net.onnx: node leakyrelu1 \(LeakyRelu\): LeakyReLU 'act1' differs"
    with pytest.raises(ValueError, match=message):
        from_onnx(tmp_path / "net.onnx", images(6, 7, 2), maximum=255)


def test_half_precision_is_compared_to_its_rounding(tmp_path):
    """A file in float16 is read, with a note; a wrong layer is found all the same."""
    built = model(onnx, MAP, step("Conv", "", weights(3, 2, 3, 3)), step("Relu", ""))
    exact = reference.ReferenceEvaluator(built)
    for tensor in built.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    for value in (built.graph.input[0], built.graph.output[0]):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    path, x = tmp_path / "net.onnx", images(6, 7, 2)
    onnx.save(built, path)
    with pytest.warns(UserWarning, match="it computes in float16, and the network in float64"):
        network = from_onnx(path, x)
    wanted = exact.run(None, {"x": seen(x, MAP, False)})[0]
    np.testing.assert_allclose(network.forward(x), wanted, atol=0.02 * np.abs(wanted).max())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_operators.OnnxReader, "_plain", onnx_operators.OnnxReader._nothing)
        with pytest.raises(ValueError, match="differs from the framework"):
            from_onnx(path, x)


def test_raw_images_with_their_channels_first_are_refused(tmp_path):
    """Of a file that begins with a convolution; the message says how to move them."""
    path = tmp_path / "net.onnx"
    onnx.save(model(onnx, MAP, step("Conv", "", weights(3, 2, 3, 3))), path)
    with pytest.raises(
        ValueError, match=r"\(3, 2, 6, 7\) seems to have its channels first.*moveaxis"
    ):
        from_onnx(path, images(*MAP))
