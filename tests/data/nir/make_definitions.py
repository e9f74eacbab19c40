"""One small NIR file for each node and shape of graph, written with the format's own classes.

    python tests/data/nir/make_definitions.py

with nir 1.0.8. All go into `definitions.npz`, one array of bytes for each file. Neurons differ in
every parameter, so that a mix-up shows.
"""

import tempfile
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np

N = 5
TAU = np.array([0.005, 0.01, 0.02, 0.03, 0.05])
TAU_SYN = np.array([0.002, 0.01, 0.004, 0.05, 0.006])  # the second is as slow as its membrane
R = np.array([1.0, 2.0, 0.5, 4.0, 3.0])
LEAK = np.array([0.0, 0.25, -0.5, 0.1, -0.1])
THRESHOLD = np.array([1.0, 0.75, 0.5, 1.25, 2.0])
RESET = np.array([0.0, -0.25, -0.6, 0.2, 0.05])
W_IN = np.array([1.0, 2.0, 0.5, -1.0, 3.0])
WEIGHT = np.random.default_rng(0).integers(-4, 5, (N, N)) / 4


def single(node, shape=(N,), output=None):
    """The node between an input and an output."""
    nodes = {
        "input": nir.Input(np.array(shape)),
        "node": node,
        "output": nir.Output(np.array(output or shape)),
    }
    return nir.NIRGraph(nodes, [("input", "node"), ("node", "output")], type_check=False)


def lif():
    return nir.LIF(tau=TAU, r=R, v_leak=LEAK, v_threshold=THRESHOLD, v_reset=RESET)


def plain(nodes, *edges, inputs=None, outputs=None):
    """A graph of these nodes, with inputs and outputs of N values."""
    ends = {name: nir.Input(np.array([N])) for name in inputs or ["input"]}
    ends |= {name: nir.Output(np.array([N])) for name in outputs or ["output"]}
    return nir.NIRGraph(ends | nodes, list(edges), type_check=False)


def neurons():
    current = {"tau_syn": TAU_SYN, "tau_mem": TAU, "r": R, "v_leak": LEAK, "w_in": W_IN}
    yield "i", single(nir.I(r=R))
    yield "if", single(nir.IF(r=R * 100, v_threshold=THRESHOLD, v_reset=RESET))
    yield "li", single(nir.LI(tau=TAU, r=R, v_leak=LEAK))
    yield "lif", single(lif())
    yield "cuba_li", single(nir.CubaLI(**current))
    yield "cuba_lif", single(nir.CubaLIF(v_threshold=THRESHOLD, v_reset=RESET, **current))
    one = (np.array([value]) for value in (0.01, 2.0, 0.25, 1.0, -0.25))
    yield "lif_one", single(nir.LIF(*one), (1,))
    maps = (np.broadcast_to(field[:, None, None], (N, 2, 3)).copy()
            for field in (TAU, R, LEAK, THRESHOLD, RESET))  # fmt: skip
    yield "lif_maps", single(nir.LIF(*maps), (N, 2, 3))


def stateless():
    rng = np.random.default_rng(1)
    yield "linear", single(nir.Linear(WEIGHT[:3]), output=(3,))
    yield "affine", single(nir.Affine(WEIGHT[:3], np.array([0.5, -1.0, 0.25])), output=(3,))
    yield "scale", single(nir.Scale(R))
    yield "threshold", single(nir.Threshold(THRESHOLD))
    yield "delay", single(nir.Delay(np.array([0.0, 0.001, 0.002, 0.003, 0.01])))
    yield "flatten", single(nir.Flatten(np.array([2, 3, 4]), 0, -1), (2, 3, 4), (24,))
    yield "flatten_maps", single(nir.Flatten(np.array([2, 3, 4]), 1, -1), (2, 3, 4), (2, 12))
    size = {"stride": np.array([2, 1]), "padding": np.array([1, 0])}
    kernel = np.array([2, 3])
    yield "sum_pool", single(nir.SumPool2d(kernel_size=kernel, **size), (2, 6, 5), (2, 4, 3))
    yield "avg_pool", single(nir.AvgPool2d(kernel_size=kernel, **size), (2, 6, 5), (2, 4, 3))
    weight, bias = rng.integers(-4, 5, (4, 2, 3)) / 4, np.array([0.0, 1.0, -0.5, 0.25])
    yield "conv_1d", single(nir.Conv1d(9, weight, 2, 1, 1, 1, bias), (2, 9), (4, 5))
    yield "conv_1d_same", single(nir.Conv1d(9, weight, 1, "same", 2, 1, bias), (2, 9), (4, 9))
    weight = rng.integers(-4, 5, (4, 2, 3, 2)) / 4
    yield (
        "conv_2d",
        single(nir.Conv2d((7, 6), weight, (2, 1), (1, 0), (1, 2), 1, bias), (2, 7, 6), (4, 4, 4)),
    )
    yield (
        "conv_2d_same",
        single(nir.Conv2d((7, 6), weight, 1, "same", 1, 1, bias), (2, 7, 6), (4, 7, 6)),
    )
    weight = rng.integers(-4, 5, (4, 1, 3, 3)) / 4
    yield (
        "conv_2d_groups",
        single(nir.Conv2d((7, 6), weight, 1, "valid", 1, 2, bias), (2, 7, 6), (4, 5, 4)),
    )


def graphs():
    inner = plain(
        {"below": nir.Linear(WEIGHT), "neurons": lif()},
        ("in", "below"), ("below", "neurons"), ("neurons", "out"), inputs=["in"], outputs=["out"],
    )  # fmt: skip
    yield "subgraph", plain(
        {"first": nir.Linear(WEIGHT.T.copy()), "block": inner, "last": nir.Scale(R)},
        ("input", "first"), ("first", "block"), ("block", "last"), ("last", "output"),
    )  # fmt: skip
    yield "loop_one", plain(
        {"neurons": lif(), "back": nir.Affine(WEIGHT, np.full(N, 0.125))},
        ("input", "neurons"), ("neurons", "back"), ("back", "neurons"), ("neurons", "output"),
    )  # fmt: skip
    yield "loop_itself", plain(
        {"neurons": lif()},
        ("input", "neurons"), ("neurons", "neurons"), ("neurons", "output"),
    )  # fmt: skip
    yield "soft_reset", plain(  # with a step of 1 ms: v += x; fires above; loses the threshold
        {
            "v": nir.I(np.full(N, 1000.0)), "fired": nir.Threshold(THRESHOLD),
            "loss": nir.Linear(-np.diag(THRESHOLD)),
        },
        ("input", "v"), ("v", "fired"), ("fired", "loss"), ("loss", "v"), ("fired", "output"),
    )  # fmt: skip
    yield "loop_two", plain(
        {
            "first": lif(), "up": nir.Linear(WEIGHT), "second": lif(),
            "down": nir.Linear(WEIGHT.T.copy()),
        },
        ("input", "first"), ("first", "up"), ("up", "second"), ("second", "down"),
        ("down", "first"), ("second", "output"),
    )  # fmt: skip
    yield "loop_delayed", plain(
        {
            "neurons": lif(), "back": nir.Linear(WEIGHT),
            "delay": nir.Delay(np.full(N, 0.003)),
        },
        ("input", "neurons"), ("neurons", "delay"), ("delay", "back"), ("back", "neurons"),
        ("neurons", "output"),
    )  # fmt: skip
    yield "branches", plain(
        {"left": nir.Linear(WEIGHT), "right": nir.Scale(R), "neurons": lif()},
        ("input", "left"), ("input", "right"), ("left", "neurons"), ("right", "neurons"),
        ("input", "neurons"), ("neurons", "output"),
    )  # fmt: skip
    yield "two_ends", plain(
        {"left": nir.Linear(WEIGHT), "neurons": lif()},
        ("x", "left"), ("y", "neurons"), ("left", "neurons"), ("neurons", "spikes"),
        ("left", "currents"), inputs=["x", "y"], outputs=["spikes", "currents"],
    )  # fmt: skip
    layers = {str(k): nir.Scale(np.full(N, float(k))) for k in range(1, 12)}
    chain = ["input", *layers, "output"]
    yield "eleven", plain(layers, *pairwise(chain))
    told = plain({"node": lif()}, ("input", "node"), ("node", "output"))
    told.metadata = {"author": "someone", "dt": 0.001}
    told.nodes["node"].metadata = {"kind": np.array([1.0, 2.0])}
    yield "metadata", told


if __name__ == "__main__":
    files = {}
    for name, graph in [*neurons(), *stateless(), *graphs()]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.nir"
            nir.write(path, graph)
            files[name] = np.frombuffer(path.read_bytes(), np.uint8)
    target = Path(__file__).parent / "definitions.npz"
    np.savez_compressed(target, **files)
    print(f"{target.name}: {len(files)} files, {target.stat().st_size} bytes")
