"""Small ONNX models, written node by node."""

from importlib import import_module

import numpy as np


def step(op, *inputs, name=None, **attributes):
    """A node: inputs are "" (what came before), names or constants; `name` is its output's."""
    return op, inputs, name, attributes


def model(onnx, shape, *steps, opset=18, batch="n", n_out=3, head=True, kind=1):
    """A model of one input of `shape`; with `head`, a dense layer follows on what comes out."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    made = list(steps)
    if head:
        made += [step("Flatten", "", axis=1)]
    for number, (op, inputs, name, attributes) in enumerate(made):
        names = []
        for given in inputs:
            if isinstance(given, str):
                names.append(given or last)
            elif given is None:
                names.append("")
            else:
                array = np.asarray(given)
                array = array.astype(np.float32) if array.dtype == np.float64 else array
                weights.append(onnx.numpy_helper.from_array(array, f"w{number}_{len(names)}"))
                names.append(weights[-1].name)
        outputs = [name or f"v{number}"] if not isinstance(name, tuple) else list(name)
        last = outputs[0]
        nodes.append(
            onnx.helper.make_node(op, names, outputs, name=f"{op.lower()}{number}", **attributes)
        )
    built = wrapped(onnx, nodes, weights, shape, last, opset, batch, kind)
    if not head:
        return built
    zeros = np.zeros((1 if isinstance(batch, str) else batch, *shape), np.float32)
    evaluator = import_module("onnx.reference").ReferenceEvaluator(built)
    n_in = evaluator.run(None, {"x": zeros})[0].shape[1]
    kernel = rng.normal(size=(n_in, n_out)).astype(np.float32)
    weights.append(onnx.numpy_helper.from_array(kernel, "head"))
    nodes.append(onnx.helper.make_node("MatMul", [last, "head"], ["y"], name="head"))
    return wrapped(onnx, nodes, weights, shape, "y", opset, batch, kind)


def wrapped(onnx, nodes, weights, shape, output, opset, batch, kind=1):
    """A model of these nodes."""
    given = onnx.helper.make_tensor_value_info("x", kind, [batch, *shape])
    made = onnx.ValueInfoProto(name=output)
    made.type.tensor_type.elem_type = kind
    graph = onnx.helper.make_graph(nodes, "net", [given], [made], weights)
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
