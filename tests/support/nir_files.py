"""NIR files for the tests: those of other tools, and bad ones."""

from importlib import import_module
from pathlib import Path

import numpy as np
from ann2brian.studies.exchange.files import unpacked, written_files

FIXTURES = Path(__file__).parents[1] / "data" / "nir"


def names(tool=""):
    """Of the fixtures of a tool."""
    return [path.stem for path in written_files(FIXTURES) if path.stem.startswith(tool)]


def fixture(name, folder):
    """The network of this name with what its tool gave, its NIR file unpacked into `folder`."""
    return unpacked(FIXTURES / f"{name}.npz", Path(folder))


def definitions():
    """Names of the hand-made files of the format's own classes, in `definitions.npz`."""
    with np.load(FIXTURES / "definitions.npz") as files:
        return sorted(files)


def definition(name, folder):
    """The path of the hand-made file of this name, unpacked into `folder`."""
    path = Path(folder) / f"{name}.nir"
    with np.load(FIXTURES / "definitions.npz") as files:
        path.write_bytes(files[name].tobytes())
    return path


# --- files written field by field, so that every rule can be broken ----------------------------


def neurons(n=4, **fields):
    """The fields of a LIF node; None leaves one out."""
    full = {"type": "LIF", "tau": np.full(n, 0.01), "r": np.ones(n), "v_leak": np.zeros(n)}
    full |= {"v_threshold": np.ones(n), "v_reset": np.zeros(n)}
    return {key: value for key, value in (full | fields).items() if value is not None}


def dense(n_out=4, n_in=3, **fields):
    """The fields of a Linear node."""
    return {"type": "Linear", "weight": np.ones((n_out, n_in)) / 4} | fields


def ends(n_in=3, n_out=4):
    """An Input and an Output."""
    return {
        "input": {"type": "Input", "shape": np.array([n_in])},
        "output": {"type": "Output", "shape": np.array([n_out])},
    }


CHAIN = [("input", "dense"), ("dense", "neurons"), ("neurons", "output")]


def write_nir(path, nodes=None, edges=None, version="1.0.8"):
    """A file of nodes, given as dicts of their fields; a value may be a function of (group, key).

    Without `nodes` a good file: a dense layer and four leaky neurons. Changed nodes are merged
    over it, a node of None is left out.
    """
    good = ends() | {"dense": dense(), "neurons": neurons()}
    merged = {name: node for name, node in (good | (nodes or {})).items() if node is not None}
    h5py = import_module("h5py")
    with h5py.File(path, "w") as file:
        if version is not None:
            file["version"] = version
        write_graph(file.create_group("node"), merged, CHAIN if edges is None else edges)
    return Path(path)


def write_graph(group, nodes, edges):
    """The fields of a graph."""
    group["type"] = "NIRGraph"
    group["edges"] = np.array(edges, dtype=object).reshape(-1, 2).astype(bytes)
    inner = group.create_group("nodes")
    for name, fields in nodes.items():
        write_node(inner, name, fields)


def write_node(group, name, fields):
    """A node; a function writes what no value can say."""
    if callable(fields):
        fields(group, name)
        return
    node = group.create_group(name)
    for key, value in fields.items():
        if callable(value):
            value(node, key)
        else:
            node[key] = value


def claims(shape, dtype="f8"):
    """A dataset of this shape with nothing written, which takes no room in the file."""
    chunks = tuple(min(64, size) for size in shape)
    return lambda group, key: group.create_dataset(key, shape, dtype, chunks=chunks)


def graph(nodes, edges):
    """A graph in the graph."""
    return lambda group, name: write_graph(group.create_group(name), nodes, edges)


def variable_lengths(group, key):
    """Rows of different lengths."""
    kind = import_module("h5py").vlen_dtype(np.float64)
    data = group.create_dataset(key, (4,), kind)
    for row in range(4):
        data[row] = np.arange(row + 1.0)


def elsewhere(group, key):
    """A link into another file."""
    group[key] = import_module("h5py").ExternalLink("another.nir", "/node/nodes/dense/weight")


def nowhere(group, key):
    """A link to nothing."""
    group[key] = import_module("h5py").SoftLink("/not/there")


def outside(group, key):
    """Values kept as bytes of another file."""
    other = Path(group.file.filename).parent / "another.bin"
    group.create_dataset(key, (4, 3), "f8", external=[(str(other), 0, 96)])


def itself(group, name):
    """A node that is the graph it stands in."""
    group[name] = group.parent


def nest(depth):
    """Graphs in graphs."""

    def written(group, name):
        for _ in range(depth):
            inner = group.create_group(name)
            inner["type"] = "NIRGraph"
            inner["edges"] = np.array([("input", "deeper"), ("deeper", "output")]).astype(bytes)
            group, name = inner.create_group("nodes"), "deeper"
            for end, fields in ends(4, 4).items():
                write_node(group, end, fields)
        write_node(group, name, neurons())

    return written


def bad_files(folder):
    """Files that no reader may take, by name: the path and a word its refusal should hold."""
    folder = Path(folder)
    made = {}

    def bad(name, word, nodes=None, edges=None, **given):
        made[name] = write_nir(folder / f"{name}.nir", nodes, edges, **given), word

    def kernel(**fields):
        full = {"type": "Conv2d", "weight": np.ones((2, 1, 3, 3)), "bias": np.zeros(2)}
        full |= {"stride": np.array([1, 1]), "padding": np.array([0, 0]), "groups": 1}
        full |= {"dilation": np.array([1, 1]), "input_shape": np.array([4, 4])}
        return full | fields

    def convolved(name, word, node, n_out=(2, 2, 2)):
        shape = np.array([1, 4, 4])
        bad(
            name,
            word,
            {
                "input": {"type": "Input", "shape": shape},
                "dense": node,
                "neurons": None,
                "output": {"type": "Output", "shape": np.array(n_out)},
            },
            [("input", "dense"), ("dense", "output")],
        )

    # nodes and their fields
    bad("unknown_node", "Izhikevich", {"neurons": neurons(type="Izhikevich")})
    bad("no_type", "type", {"neurons": neurons(type=None)})
    bad("type_is_a_number", "type", {"neurons": neurons(type=3)})
    bad("no_tau", "tau", {"neurons": neurons(tau=None)})
    bad("no_threshold", "v_threshold", {"neurons": neurons(v_threshold=None)})
    bad("no_weight", "weight", {"dense": {"type": "Linear"}})
    bad("node_is_an_array", "neurons", {"neurons": lambda g, name: g.update({name: np.ones(4)})})
    bad("array_is_a_group", "weight", {"dense": dense(weight=lambda g, key: g.create_group(key))})
    # values
    bad("nan_weight", "weight", {"dense": dense(weight=np.full((4, 3), np.nan))})
    bad("infinite_weight", "weight", {"dense": dense(weight=np.full((4, 3), np.inf))})
    bad("nan_tau", "tau", {"neurons": neurons(tau=np.array([0.01, np.nan, 0.01, 0.01]))})
    bad("zero_tau", "tau", {"neurons": neurons(tau=np.zeros(4))})
    bad("negative_tau", "tau", {"neurons": neurons(tau=np.full(4, -0.01))})
    bad("nan_threshold", "v_threshold", {"neurons": neurons(v_threshold=np.full(4, np.nan))})
    bad("negative_delay", "delay", {"neurons": {"type": "Delay", "delay": np.full(4, -0.001)}})
    bad("nan_delay", "delay", {"neurons": {"type": "Delay", "delay": np.full(4, np.nan)}})
    # kinds of values
    bad("text_weight", "weight", {"dense": dense(weight="heavy")})
    bad("complex_weight", "weight", {"dense": dense(weight=np.ones((4, 3), complex))})
    bad("lengths_weight", "weight", {"dense": dense(weight=variable_lengths)})
    words = np.array([b"a"] * 12).reshape(4, 3)
    bad("words_weight", "weight", {"dense": dense(weight=words)})
    records = np.ones((4, 3), [("a", float), ("b", int)])
    bad("records_weight", "weight", {"dense": dense(weight=records)})
    bad("empty_weight", "weight", {"dense": dense(weight=np.ones((0, 3)))})
    # shapes
    bad("columns", "dense", {"dense": dense(n_in=5)})
    bad("rows", "neurons", {"dense": dense(n_out=5)})
    bad("weight_is_a_vector", "weight", {"dense": dense(weight=np.ones(3))})
    bad("fields_differ", "r", {"neurons": neurons(r=np.ones(3))})
    affine = {"type": "Affine", "weight": np.ones((4, 3)), "bias": np.zeros(5)}
    bad("bias", "bias", {"dense": affine})
    bad("output_shape", "Output", ends(3, 7))
    bad("negative_shape", "input", {"input": {"type": "Input", "shape": np.array([-3])}})
    convolved("kernel_flat", "weight", kernel(weight=np.ones((2, 3, 3))))
    convolved("kernel_channels", "dense", kernel(weight=np.ones((2, 3, 3, 3))))
    convolved("kernel_too_large", "dense", kernel(weight=np.ones((2, 1, 9, 9))))
    convolved("stride_zero", "stride", kernel(stride=np.array([0, 1])))
    convolved("stride_of_three", "stride", kernel(stride=np.array([1, 1, 1])))
    convolved("padding_negative", "padding", kernel(padding=np.array([-1, 0])))
    convolved("padding_unknown", "padding", kernel(padding="reflect"))
    convolved("groups_zero", "groups", kernel(groups=0))
    convolved("groups_odd", "groups", kernel(groups=3))
    pool = {"type": "SumPool2d", "stride": np.array([1, 1]), "padding": np.array([0, 0])}
    convolved("pool_zero", "kernel_size", pool | {"kernel_size": np.array([0, 2])}, (1, 3, 3))
    flatten = {"type": "Flatten", "start_dim": 2, "end_dim": 1, "input_type": np.array([1, 4, 4])}
    convolved("flatten_backwards", "dense", flatten, (16,))
    # edges
    bad("edge_to_nothing", "missing", edges=[*CHAIN, ("neurons", "missing")])
    bad("edge_from_nothing", "missing", edges=[*CHAIN, ("missing", "neurons")])
    bad("edge_twice", "dense", edges=[*CHAIN, CHAIN[1]])
    bad("no_edges_between", "edge", edges=[CHAIN[0], CHAIN[2]])
    bad("edges_of_numbers", "edges")
    rewritten(made["edges_of_numbers"][0], "node/edges", np.arange(6).reshape(3, 2))
    bad("edges_of_three", "edges")
    rewritten(made["edges_of_three"][0], "node/edges", np.full((2, 3), b"input"))
    bad("no_edges", "edges")
    rewritten(made["no_edges"][0], "node/edges", None)
    bad("no_input", "Input", {"input": None}, CHAIN[1:])
    bad("no_output", "Output", {"output": None}, CHAIN[:-1])
    bad("unfed", "spare", {"spare": neurons()}, [*CHAIN, ("spare", "output")])
    bad("into_the_input", "input", edges=[*CHAIN, ("neurons", "input")])
    loop = {"back": dense(4, 4), "forth": dense(4, 4)}
    circle = [("dense", "back"), ("back", "forth"), ("forth", "back"), ("forth", "neurons")]
    bad("circle", "back", loop, [*CHAIN, *circle])
    bad("circle_of_one", "back", loop, [*CHAIN, ("dense", "back"), ("back", "back"),
                                        ("back", "neurons"), ("dense", "forth"),
                                        ("forth", "neurons")])  # fmt: skip
    # the file
    bad("version_to_come", "9.0", version="9.0.0")
    bad("no_version", "version", version=None)
    bad("no_nodes", "nodes")
    rewritten(made["no_nodes"][0], "node/nodes", None)
    bad("nodes_is_an_array", "nodes")
    rewritten(made["nodes_is_an_array"][0], "node/nodes", np.ones(3))
    bad("no_node", "graph")
    rewritten(made["no_node"][0], "node", None)
    # more than there is
    bad("huge_weight", "weight", {"dense": dense(weight=claims((10**6, 10**6)))})
    bad("huge_tau", "tau", {"neurons": neurons(tau=claims((10**12,)))})
    bad("huge_axes", "weight", {"dense": dense(weight=claims((10**9, 3)))})
    bad("huge_input", "input", {"input": {"type": "Input", "shape": np.array([10**9, 10**9])}})
    bad("huge_text", "type", {"neurons": neurons(type=claims((10**10,), "S64"))})
    bad("huge_edges", "edges")
    rewritten(made["huge_edges"][0], "node/edges", claims((10**9, 2), "S64"))
    # links, to files that are there
    write_nir(folder / "another.nir")
    (folder / "another.bin").write_bytes(bytes(96))
    bad("linked_weight", "weight", {"dense": dense(weight=elsewhere)})
    bad("broken_link", "weight", {"dense": dense(weight=nowhere)})
    bad("weight_outside", "weight", {"dense": dense(weight=outside)})
    bad("graph_in_itself", "block", {"block": itself}, [*CHAIN, ("dense", "block")])
    bad("deep", "deep", {"block": nest(200)}, [*CHAIN, ("dense", "block"), ("block", "neurons")])
    two = {name: {"type": kind, "shape": np.array([4])}
           for name, kind in (("in", "Input"), ("one", "Output"), ("two", "Output"))}  # fmt: skip
    block = graph(two, [("in", "one"), ("in", "two")])
    bad("block_of_two_outputs", "block", {"block": block},
        [*CHAIN, ("dense", "block"), ("block", "neurons")])  # fmt: skip
    # no HDF5 at all
    for name, content in (("empty", b""), ("text", b"a network\n" * 20)):
        (folder / f"{name}.nir").write_bytes(content)
        made[name] = folder / f"{name}.nir", "HDF5"
    whole = write_nir(folder / "cut.nir")
    whole.write_bytes(whole.read_bytes()[:1500])
    made["cut"] = whole, "cut"
    return made


def rewritten(path, key, value):
    """The file with another value at this place, or with none."""
    with import_module("h5py").File(path, "r+") as file:
        del file[key]
        if callable(value):
            value(file[str(Path(key).parent)], Path(key).name)
        elif value is not None:
            file[key] = value
    return path
