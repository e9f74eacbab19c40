#!/usr/bin/env bash
# ONNX: the reference evaluator moves all windows of an AveragePool whose ceil_mode adds one.
#
# Version    onnx 1.23.2 beside onnxruntime 1.32.0 (numpy 2.3.5)
# Behaviour  Seven numbers, averaged three by three in steps of three: without ceil_mode the answers
#            are 2 and 5. ceil_mode=1 lets a third window begin at the last number, so that they are
#            2, 5 and 7; onnxruntime says so. onnx.reference.ReferenceEvaluator says 1.5, 4 and 6: it
#            takes the two places that the last window lacks for padding, puts half of it in front,
#            and so every window begins one place too early, also those that lacked nothing. If one
#            place is missing (eight numbers), nothing moves and both agree.
# For users  The evaluator is what exporters and runtimes are tested against, and what is at hand
#            where no runtime is installed. Where steps are as long as windows of three or more, all
#            features behind such a pooling come from other places, without a word. MaxPool is right.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.3.5
cat > "$work/pool.py" <<'MODEL'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def value(name, sizes):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)


for n, ceil_mode in ((7, 0), (7, 1), (8, 1), (10, 1)):
    pool = helper.make_node(
        "AveragePool", ["x"], ["y"], kernel_shape=[3], strides=[3], ceil_mode=ceil_mode
    )
    graph = helper.make_graph([pool], "pool", [value("x", [1, 1, n])], [value("y", [1, 1, "m"])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    x = {"x": np.arange(1, n + 1, dtype=np.float32)[None, None]}
    runtime = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for name, run in (("runtime  ", runtime.run), ("reference", ReferenceEvaluator(model).run)):
        print(f"1..{n} ceil_mode {ceil_mode} {name}", *run(None, x)[0].ravel())
MODEL
"$work/venv/bin/python" "$work/pool.py" | tee "$work/seen"
diff - "$work/seen" << 'SEEN'
1..7 ceil_mode 0 runtime   2.0 5.0
1..7 ceil_mode 0 reference 2.0 5.0
1..7 ceil_mode 1 runtime   2.0 5.0 7.0
1..7 ceil_mode 1 reference 1.5 4.0 6.0
1..8 ceil_mode 1 runtime   2.0 5.0 7.5
1..8 ceil_mode 1 reference 2.0 5.0 7.5
1..10 ceil_mode 1 runtime   2.0 5.0 8.0 10.0
1..10 ceil_mode 1 reference 1.5 4.0 7.0 9.0
SEEN
