"""NIR files as networks: every node against NumPy and SciPy, bad files by name."""

import tracemalloc
import warnings
from itertools import pairwise

import numpy as np
import pytest
from ann2brian.models.importing.from_nir import from_nir
from ann2brian.models.networks.dynamics import Delay, Neurons, Previous
from scipy.signal import correlate2d

import ann2brian as ab
from tests.support.nir_files import CHAIN, bad_files, dense, graph, neurons, write_nir

pytest.importorskip("h5py")
RNG = np.random.default_rng(0)


def spikes_of(shape):
    """A Threshold node behind what is looked at, which needs a neuron to follow."""
    return {"type": "Threshold", "threshold": np.full(shape, 0.5)}


def through(folder, node, shape, out_shape, inputs):
    """Values of a node without a state for some inputs, channels first, by our layers."""
    nodes = {
        "input": {"type": "Input", "shape": np.array(shape)},
        "dense": node,
        "neurons": spikes_of(out_shape),
        "output": {"type": "Output", "shape": np.array(out_shape)},
    }
    network = from_nir(write_nir(folder / "net.nir", nodes))
    frames = inputs if inputs.ndim == 2 else np.moveaxis(inputs, 1, -1)
    frames = frames.reshape(len(inputs), *network.input.shape)
    layers = [layer for layer in network.layers if not isinstance(layer, Neurons)]
    values = {"input": network.input.standardise(frames)}
    for layer in layers:
        if any(source not in values for source in layer.inputs):
            break  # behind the neurons
        values[layer.name] = layer.apply(*(values[s] for s in layer.inputs))
    spiking = next(layer for layer in network.layers if isinstance(layer, Neurons))
    found = values[spiking.inputs[0]]
    return found.reshape(len(inputs), -1) if len(out_shape) == 1 else np.moveaxis(found, -1, 1)


CONVOLUTIONS = [
    {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1},
    {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 1},
    {"stride": (1, 1), "padding": "same", "dilation": (2, 1), "groups": 2},
    {"stride": (1, 2), "padding": "valid", "dilation": (1, 1), "groups": 2},
]


def convolved(x, weight, bias, stride, padding, dilation, groups):
    """By SciPy, one channel after the other."""
    n_out, per_group, rows, columns = weight.shape
    wide = np.zeros(
        (
            n_out,
            per_group,
            *((k - 1) * d + 1 for k, d in zip((rows, columns), dilation, strict=True)),
        )
    )
    wide[:, :, :: dilation[0], :: dilation[1]] = weight
    if padding == "same":
        total = [k - 1 for k in wide.shape[2:]]
        padding = [(t // 2, t - t // 2) for t in total]
    elif padding == "valid":
        padding = [(0, 0), (0, 0)]
    else:
        padding = [(p, p) for p in padding]
    x = np.pad(x, [(0, 0), (0, 0), *padding])
    each = n_out // groups
    found = [
        [
            bias[o]
            + sum(
                correlate2d(image[o // each * per_group + i], wide[o, i], mode="valid")
                for i in range(per_group)
            )
            for o in range(n_out)
        ]
        for image in x
    ]
    return np.array(found)[:, :, :: stride[0], :: stride[1]]


@pytest.mark.parametrize("how", CONVOLUTIONS, ids=str)
def test_conv2d(how, tmp_path):
    """Non-square kernels, strides, paddings, words for them, dilation and groups."""
    weight = RNG.normal(size=(4, 4 // how["groups"], 3, 2))
    bias, x = RNG.normal(size=4), RNG.normal(size=(2, 4, 7, 8))
    wanted = convolved(x, weight, bias, **how)
    fields = {k: np.array(v) if isinstance(v, tuple) else v for k, v in how.items()}
    # The shape that files state is wrong where kernels are not square, and not believed.
    node = {"type": "Conv2d", "weight": weight, "bias": bias, "input_shape": np.array([1, 1])}
    found = through(tmp_path, node | fields, (4, 7, 8), wanted.shape[1:], x)
    assert np.allclose(found, wanted)


def test_conv1d_takes_single_numbers(tmp_path):
    """A convolution of sequences, its fields written as numbers without axes."""
    weight, bias, x = RNG.normal(size=(3, 2, 3)), RNG.normal(size=3), RNG.normal(size=(2, 2, 9))
    how = {"stride": (1, 2), "padding": (0, 1), "dilation": (1, 2), "groups": 1}
    wanted = convolved(x[:, :, None], weight[:, :, None], bias, **how)[:, :, 0]
    node = {"type": "Conv1d", "weight": weight, "bias": bias, "input_shape": 9}
    node |= {"stride": 2, "padding": 1, "dilation": 2, "groups": 1}
    nodes = (tmp_path, node, (2, 9), wanted.shape[1:], x[:, :, None])
    assert np.allclose(through(*nodes).reshape(wanted.shape), wanted)


@pytest.mark.parametrize(("start", "end"), [(0, -1), (1, -1)])
def test_two_axes_that_are_flattened_are_rows_and_columns(start, end, tmp_path):
    """Of an image of one channel: a square one is not taken transposed."""
    x, weight = RNG.normal(size=(2, 4, 4)), RNG.normal(size=(5, 16))
    nodes = {
        "input": {"type": "Input", "shape": np.array([4, 4])},
        "flat": {"type": "Flatten", "start_dim": start, "end_dim": end},
        "dense": dense(weight=weight),
        "neurons": spikes_of(5),
        "output": {"type": "Output", "shape": np.array([5])},
    }
    network = from_nir(write_nir(tmp_path / "net.nir", nodes, [*pairwise(nodes)]))
    assert network.input.shape == (4, 4, 1)
    values = x[..., None]
    for layer in network.layers:
        if isinstance(layer, Neurons):
            break
        values = layer.apply(values)
    assert np.allclose(values.reshape(2, 5), x.reshape(2, 16) @ weight.T)


@pytest.mark.parametrize("kind", ["SumPool2d", "AvgPool2d"])
def test_pools_count_their_padding(kind, tmp_path):
    """Overlapping windows with a border of zeros: sums, and means of all places."""
    x = RNG.normal(size=(2, 3, 5, 6))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)])
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 2), (2, 3))[:, :, ::2]
    wanted = (np.sum if kind == "SumPool2d" else np.mean)(view, axis=(4, 5))
    node = {"type": kind, "kernel_size": np.array([3, 2])}
    node |= {"stride": np.array([2, 1]), "padding": np.array([1, 0])}
    assert np.allclose(through(tmp_path, node, (3, 5, 6), wanted.shape[1:], x), wanted)


@pytest.mark.parametrize(("start", "end"), [(0, -1), (0, 2), (1, -1), (-3, -1)])
def test_flatten_keeps_channels_first(start, end, tmp_path):
    """A dense layer behind it sees (C, H, W) row by row, whether or not the batch was counted."""
    x, weight = RNG.normal(size=(2, 3, 2, 4)), RNG.normal(size=(5, 24))
    nodes = {
        "input": {"type": "Input", "shape": np.array([3, 2, 4])},
        "flat": {"type": "Flatten", "start_dim": start, "end_dim": end},
        "dense": dense(weight=weight),
        "neurons": spikes_of(5),
        "output": {"type": "Output", "shape": np.array([5])},
    }
    edges = [("input", "flat"), ("flat", "dense"), ("dense", "neurons"), ("neurons", "output")]
    network = from_nir(write_nir(tmp_path / "net.nir", nodes, edges))
    values = {"input": np.moveaxis(x, 1, -1)}
    for layer in network.layers[:-1]:
        values[layer.name] = layer.apply(*(values[s] for s in layer.inputs))
    found = values[network.layers[-1].inputs[0]].reshape(2, -1)
    assert np.allclose(found, x.reshape(2, -1) @ weight.T)


def test_fields_of_a_map_keep_their_places(tmp_path):
    """Thresholds of a map, one a unit, stand at their row, column and channel."""
    threshold = RNG.uniform(1, 2, size=(2, 3, 4))
    nodes = {
        "input": {"type": "Input", "shape": np.array([2, 3, 4])},
        "dense": {"type": "Scale", "scale": np.full((2, 1, 1), 2.0)},
        "neurons": {"type": "IF", "r": np.ones((2, 3, 4)), "v_threshold": threshold},
        "output": {"type": "Output", "shape": np.array([2, 3, 4])},
    }
    network = from_nir(write_nir(tmp_path / "net.nir", nodes))
    (layer,) = (layer for layer in network.layers if isinstance(layer, Neurons))
    assert np.array_equal(layer.v_threshold, threshold.transpose(1, 2, 0))
    assert layer.r.shape == (1, 1, 1) and layer.v_reset is None
    # Outputs are numbered as the file has them: channels first.
    last = network.layers[-1]
    marked = np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)[None]
    values = {layer.name: marked}
    for after in network.layers[network.layers.index(layer) + 1 :]:
        values[after.name] = after.apply(*(values[s] for s in after.inputs))
    assert values[last.name].ravel().tolist() == list(range(24))


def test_recurrence_begins_with_the_step_before(tmp_path):
    """Over one layer and over two, with a delay; side neurons stand behind the output."""
    nodes = {"back": dense(4, 4), "side": neurons(), "late": {"type": "Delay", "delay": 0.003}}
    edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "output")]
    edges += [("neurons", "side"), ("side", "late"), ("late", "back"), ("back", "neurons")]
    network = from_nir(write_nir(tmp_path / "net.nir", nodes, edges))
    kinds = [type(layer) for layer in network.layers]
    assert kinds.count(Previous) == kinds.count(Delay) == 1
    (before,) = (layer for layer in network.layers if isinstance(layer, Previous))
    assert before.source == "late" and network.layers[-1].inputs == ("neurons",)


@pytest.mark.parametrize("constant", [0.5, np.full((3, 1, 1), 0.5), np.full((1, 1, 1), 0.5)])
def test_recurrent_maps_may_have_constants_for_all(constant, tmp_path):
    """What leads to neurons tells their shape where their fields do not."""
    size = np.array([3, 2, 4])
    nodes = {
        "input": {"type": "Input", "shape": size},
        "dense": {"type": "Scale", "scale": np.array(2.0)},
        "neurons": {"type": "Threshold", "threshold": np.asarray(constant)},
        "late": {"type": "Delay", "delay": np.asarray(constant)},
        "output": {"type": "Output", "shape": size},
    }
    edges = [*CHAIN, ("neurons", "neurons"), ("neurons", "late"), ("late", "neurons")]
    network = from_nir(write_nir(tmp_path / "net.nir", nodes, edges))
    befores = [layer for layer in network.layers if isinstance(layer, Previous)]
    assert [layer.shape for layer in befores] == [(2, 4, 3)] * 2


def test_nodes_are_ordered_by_edges_alone(tmp_path):
    """Names as text would put 10 before 2."""
    chain = ["input", *(str(i) for i in range(1, 12)), "neurons", "output"]
    scales = {
        str(i): {"type": "Scale", "scale": np.array([1.0, 2.0, 0.5]) + i} for i in range(1, 12)
    }
    nodes = {**scales, "dense": None, "neurons": neurons(n=3), "output": None}
    nodes["output"] = {"type": "Output", "shape": np.array([3])}
    network = from_nir(write_nir(tmp_path / "net.nir", nodes, list(pairwise(chain))))
    folded = network.fold_batch_norm()
    values = np.ones((1, 1, 1, 3))
    for layer in folded.layers[:-1]:
        values = layer.apply(values)
    wanted = np.prod([scale["scale"] for scale in scales.values()], axis=0)
    assert np.allclose(values.ravel(), wanted)


def test_arguments_are_told_to_the_layers(tmp_path):
    """Writer, step, names and largest input."""
    path = write_nir(tmp_path / "net.nir")
    network = from_nir(path, dt=0.002, written_by="norse", maximum=7, classes="abcd", name="mine")
    (layer,) = (layer for layer in network.layers if isinstance(layer, Neurons))
    assert (layer.dt, layer.written_by, network.input.maximum) == (0.002, "norse", 7)
    assert (network.name, network.classes) == ("mine", ("a", "b", "c", "d"))
    assert from_nir(path).name == "net"


def test_scales_of_each_entry_of_a_map(tmp_path):
    """One number for each channel, row and column."""
    x, scale = RNG.normal(size=(2, 3, 2, 4)), RNG.normal(size=(3, 2, 4))
    nodes = {
        "input": {"type": "Input", "shape": np.array([3, 2, 4])},
        "dense": {"type": "Scale", "scale": scale},
        "neurons": {"type": "I", "r": np.array(1.0)},
        "output": {"type": "Output", "shape": np.array([3, 2, 4])},
    }
    network = from_nir(write_nir(tmp_path / "net.nir", nodes), dt=1.0, written_by="definition")
    conversion = ab.convert(network, ab.NirOptions(n_steps=1))
    found = ab.reference(conversion, np.moveaxis(x, 1, -1)).scores
    assert np.allclose(found.reshape(x.shape), x * scale, atol=1e-6)


@pytest.mark.parametrize(
    ("stated", "weights", "shape"),
    [((1, 3), 3, (1, 1, 3)), ((1, 1, 3), 3, (1, 1, 3)), ((1, 4, 3), 12, (4, 3, 1))],
)
def test_a_map_of_one_channel_before_weights_stays_a_map(stated, weights, shape, tmp_path):
    """A batch of one is left out of a vector, and no channel of a map."""
    nodes = {"input": {"type": "Input", "shape": np.array(stated)}, "dense": dense(4, weights)}
    assert from_nir(write_nir(tmp_path / "net.nir", nodes)).input.shape == shape


def test_potentials_of_a_map_are_an_output(tmp_path):
    """In the order of the file, channels first, each with its own constants."""
    leak = RNG.normal(size=(2, 3, 4))
    node = {"type": "LI", "tau": np.full((2, 1, 1), 0.01), "r": np.array(2.0), "v_leak": leak}
    nodes = {
        "input": {"type": "Input", "shape": np.array([2, 3, 4])},
        "dense": {"type": "Scale", "scale": np.array(2.0)},
        "neurons": node,
        "output": {"type": "Output", "shape": np.array([2, 3, 4])},
    }
    network = from_nir(write_nir(tmp_path / "net.nir", nodes), dt=1e-3, written_by="definition")
    conversion = ab.convert(network, ab.NirOptions(n_steps=3))
    x = RNG.normal(size=(2, 2, 3, 4))
    frames = np.moveaxis(x, 1, -1)
    rest = leak + 2.0 * 2.0 * x
    wanted = [rest + (leak - rest) * np.exp(-0.1 * t) for t in (1, 2, 3)]
    wanted = np.stack(wanted, axis=1).reshape(2, 3, -1)
    for found in (
        ab.reference(conversion, frames),
        ab.simulate(conversion, frames, target="numpy"),
    ):
        assert np.allclose(found.scores, wanted)


def test_names_that_graphs_in_graphs_take_are_refused(tmp_path):
    """A node called as another one in a graph is."""
    inner = {"in": {"type": "Input", "shape": np.array([4])}, "b": neurons()}
    inner["out"] = {"type": "Output", "shape": np.array([4])}
    nodes = {"a": graph(inner, [("in", "b"), ("b", "out")]), "a.b": dense(4, 4), "neurons": None}
    edges = [("input", "dense"), ("dense", "a.b"), ("a.b", "a"), ("a", "output")]
    with pytest.raises(ValueError, match=r"two nodes are called 'a.b'"):
        from_nir(write_nir(tmp_path / "net.nir", nodes, edges))


def test_a_long_row_of_nodes_is_refused(tmp_path):
    """One line, and no error of the recursion."""
    names = [f"scale{i}" for i in range(2000)]
    nodes = {name: {"type": "Scale", "scale": np.array(2.0)} for name in names}
    edges = list(pairwise(["input", "dense", *names, "neurons", "output"]))
    with pytest.raises(ValueError, match=r"net.nir: too many nodes without a state"):
        from_nir(write_nir(tmp_path / "net.nir", nodes, edges))


def test_bad_files_are_refused_by_name(tmp_path):
    """One line with the file and what is wrong in it, and no memory for what is only claimed."""
    tracemalloc.start()
    try:
        for name, (path, word) in bad_files(tmp_path).items():
            with warnings.catch_warnings(), pytest.raises(ValueError) as refusal:
                warnings.simplefilter("ignore")
                from_nir(path)
            text = str(refusal.value)
            assert str(path) in text and "\n" not in text, name
            assert word in text, (name, word, text)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_no_path_is_refused():
    """What is no path, by what it is."""
    with pytest.raises(TypeError, match=r"from_nir takes the path of a file, got int"):
        from_nir(3)


def test_missing_and_other_files_say_who_reads_them(tmp_path):
    """A file that is not there, and one of another format."""
    with pytest.raises(ValueError, match="no such file"):
        from_nir(tmp_path / "none.nir")
    (tmp_path / "net.nir").write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(ValueError, match=r"net.nir: "):
        from_nir(tmp_path / "net.nir")


def test_arguments_are_refused_by_name(tmp_path):
    """Text for a number, and a program that is not known."""
    path = write_nir(tmp_path / "net.nir")
    for told, message in (
        ({"dt": "a"}, "dt must be numbers, got 'a'"),
        ({"maximum": "large"}, "maximum must be numbers, got 'large'"),
        ({"written_by": "brian"}, "written_by must be one of definition, .*, got 'brian'"),
    ):
        with pytest.raises(ValueError, match=message):
            from_nir(path, **told)


def test_padding_has_one_number_a_side_pair(tmp_path):
    """Four numbers, as some tools write them elsewhere, are no NIR."""
    node = {"type": "SumPool2d", "kernel_size": 2, "stride": 2, "padding": np.zeros(4, int)}
    with pytest.raises(ValueError, match=r"padding is \[0, 0, 0, 0\]; a whole number or 2"):
        through(tmp_path, node, (1, 4, 4), (1, 2, 2), np.zeros((1, 1, 4, 4)))
