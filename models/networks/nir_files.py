"""NIR files: the graph of a spiking network in the Neuromorphic Intermediate Representation.

Pedersen et al. (2024), Nature Communications 15, 8122. A file is read by the names of its fields,
never by their order, which has changed between releases, and no shape in it is believed that an
array can tell. The package ``nir`` is not needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..installs import needed
from .hdf5_files import MAX_ARRAYS, MAX_TEXT, Budget, member, opened

MOST_DEPTH = 16  # of graphs in graphs
MOST_NODES = 10_000  # of a file
MOST_EDGES = 100_000  # of a graph
MOST_RATIO = 1100  # gzip shrinks an array of one value a thousandfold
GRAPH = "NIRGraph"
KNOWN = (1, 0)  # major and minor version that is read
# Fields of each node, which it must have, and which it may have.
FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Input": (("shape",), ()),
    "Output": (("shape",), ()),
    "Affine": (("weight", "bias"), ()),
    "Linear": (("weight",), ()),
    "Scale": (("scale",), ()),
    "Conv1d": (
        ("weight", "stride", "padding", "dilation", "groups", "bias"),
        ("input_shape",),
    ),
    "Conv2d": (
        ("weight", "stride", "padding", "dilation", "groups", "bias"),
        ("input_shape",),
    ),
    "SumPool2d": (("kernel_size", "stride", "padding"), ()),
    "AvgPool2d": (("kernel_size", "stride", "padding"), ()),
    "Flatten": (("start_dim", "end_dim"), ("input_type",)),
    "Threshold": (("threshold",), ()),
    "Delay": (("delay",), ()),
    "I": (("r",), ()),
    "LI": (("tau", "r", "v_leak"), ()),
    "IF": (("r", "v_threshold"), ("v_reset",)),
    "LIF": (("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "CubaLI": (("tau_syn", "tau_mem", "r", "v_leak"), ("w_in",)),
    "CubaLIF": (
        ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
        ("v_reset", "w_in"),
    ),
}
Value = NDArray[Any] | str


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """A node as a file holds it.

    Parameters
    ----------
    kind : str
        ``"Affine"``, ``"LIF"``, ...
    fields : mapping of str to ndarray or str
        Numbers and texts by name.
    """

    kind: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, eq=False, kw_only=True)
class Graph:
    """A graph as a file holds it.

    Parameters
    ----------
    nodes : mapping of str to Node or Graph
        By name, in the file's order, which is that of the names as text and tells nothing.
    edges : tuple of (str, str)
        Source and target.
    version : str
        Of the package ``nir`` that wrote it; empty for a graph in a graph.
    """

    nodes: Mapping[str, Node | Graph]
    edges: tuple[tuple[str, str], ...]
    version: str = ""
    kind: str = field(default=GRAPH, init=False)


def read(path: Path) -> Graph:
    """Read a file.

    Parameters
    ----------
    path : Path
        A ``.nir`` file.

    Raises
    ------
    ImportError
        If h5py is missing; the message says how to install it.
    ValueError
        If the file is missing, damaged or hostile, or holds a node or a field that NIR does not
        have; the message names node and field, and the caller adds the path.
    """
    remedy = "write it again with nir.write"
    with opened(path, "read NIR files", remedy) as file:
        root = member(file, "node")
        if root is None or member(root, "type") is None:
            raise ValueError(f"is an HDF5 file without a NIR graph in it; {remedy}")
        version = _version(file)
        reader = _Reader()
        found = reader.node(root, "the file", 0)
    if isinstance(found, Node):
        raise ValueError(f"holds one {found.kind} node and no graph; {remedy}")
    return Graph(nodes=found.nodes, edges=found.edges, version=version)


def _version(file: Any) -> str:
    """Version that the file states; one that is not known yet is refused."""
    stated = member(file, "version")
    if stated is None:
        raise ValueError(
            "does not say of which version of NIR it is; write it again with nir.write"
        )
    version = _text(stated, "version")
    numbers = version.split(".")
    if not all(part.isdigit() for part in numbers[:2]):
        raise ValueError(f"its version is {version!r}, which is none of NIR's")
    if tuple(map(int, numbers[:2])) > KNOWN:
        raise ValueError(
            f"was written by nir {version}; files of nir {KNOWN[0]}.{KNOWN[1]} are read. Write it "
            "with that release, or ask for this one to be supported"
        )
    return version


class _Reader:
    """Reads nodes and counts what they hold."""

    def __init__(self) -> None:
        self._budget = Budget(MAX_ARRAYS, MOST_RATIO)
        self._n_nodes = 0

    def node(self, group: Any, name: str, depth: int) -> Node | Graph:
        """A node with all that it holds."""
        self._n_nodes += 1
        if depth > MOST_DEPTH or self._n_nodes > MOST_NODES:
            raise ValueError(
                f"{name}: more than {MOST_NODES} nodes, or graphs more than {MOST_DEPTH} deep"
            )
        if not hasattr(group, "keys"):
            raise ValueError(f"{name} is an array where a node is expected")
        stated = member(group, "type")
        if stated is None:
            raise ValueError(f"{name} does not say of which type it is")
        kind = _text(stated, f"the type of {name}")
        if kind == GRAPH:
            return self._graph(group, name, depth)
        if kind not in FIELDS:
            raise ValueError(
                f"{name} is a node of type {kind!r}; there are {', '.join([*FIELDS, GRAPH])}"
            )
        needed_fields, others = FIELDS[kind]
        found: dict[str, Value] = {}
        for key in (*needed_fields, *others):
            value = member(group, key)
            if value is not None:
                found[key] = self._value(value, f"{kind} {name}: {key}")
            elif key in needed_fields:
                raise ValueError(f"{kind} {name} has no {key}")
        known = {"type", "metadata", "input_type", "output_type", *needed_fields, *others}
        unknown = sorted(set(map(str, group.keys())) - known)
        if unknown:
            raise ValueError(
                f"{kind} {name} has the field {unknown[0]!r}, which is none of NIR 1.0; known are "
                f"{', '.join((*needed_fields, *others))}"
            )
        return Node(kind=kind, fields=found)

    def _graph(self, group: Any, name: str, depth: int) -> Graph:
        inside, edges = member(group, "nodes"), member(group, "edges")
        if inside is None or not hasattr(inside, "keys"):
            raise ValueError(f"{name}: the graph has no nodes")
        if edges is None:
            raise ValueError(f"{name}: the graph has no edges")
        nodes = {str(key): self.node(member(inside, key), f"{key!r}", depth + 1) for key in inside}
        return Graph(nodes=nodes, edges=_edges(edges, name))

    def _value(self, dataset: Any, name: str) -> Value:
        if not hasattr(dataset, "dtype"):
            raise ValueError(f"{name} is a group, not an array")
        if dataset.dtype.kind in "OS":
            return _text(dataset, name)
        if dataset.dtype.kind not in "iuf":
            raise ValueError(f"{name} has dtype {dataset.dtype}, not numbers")
        values = self._budget.read(dataset, name)
        is_endless = name.rpartition(" ")[2] in ("tau", "tau_mem", "tau_syn", "r", "w_in")
        if np.isnan(values).any() or not (is_endless or np.isfinite(values).all()):
            raise ValueError(f"{name} holds NaN or infinite values")
        return values


def _text(dataset: Any, name: str) -> str:
    """A text of one entry."""
    if getattr(dataset, "shape", None) != () or dataset.dtype.kind not in "OS":
        raise ValueError(f"{name} is no text")
    if dataset.dtype.itemsize > MAX_TEXT:
        raise ValueError(f"{name} is a text of {dataset.dtype.itemsize} bytes")
    value = dataset[()]
    if not isinstance(value, bytes | str):
        raise ValueError(f"{name} is no text")
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _edges(dataset: Any, name: str) -> tuple[tuple[str, str], ...]:
    """Pairs of names."""
    shape = getattr(dataset, "shape", None)
    if shape is not None and 0 in shape:
        return ()
    is_text = shape is not None and dataset.dtype.kind in "OS"
    if shape is None or len(shape) != 2 or shape[1] != 2 or not is_text:
        raise ValueError(f"{name}: the edges are no pairs of names")
    if shape[0] > MOST_EDGES or not dataset.id.get_storage_size():
        raise ValueError(f"{name}: {shape[0]} edges are declared; at most {MOST_EDGES} are read")
    rows = dataset[()]
    if not all(isinstance(end, bytes | str) for row in rows for end in row):
        raise ValueError(f"{name}: the edges are no pairs of names")
    names = [[end.decode() if isinstance(end, bytes) else end for end in row] for row in rows]
    return tuple((source, target) for source, target in names)


def write(graph: Graph, path: Path, leave_out: Sequence[str] = ()) -> None:
    """Write a file, in one step: there is never a half-written one at `path`.

    Parameters
    ----------
    graph : Graph
        With the version that the file is to state.
    path : Path
        Where; the folder is made if needed.
    leave_out : sequence of str
        Fields that are not written, for readers that do not know them.
    """
    h5py = needed("h5py", "write NIR files")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(part, "w") as file:
            file.create_dataset("version", data=graph.version, dtype=h5py.string_dtype())
            _write(file.create_group("node"), graph, h5py.string_dtype(), frozenset(leave_out))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(group: Any, node: Node | Graph, text: Any, leave_out: frozenset[str]) -> None:
    group.create_dataset("type", data=node.kind, dtype=text)
    if isinstance(node, Graph):
        group.create_dataset(
            "edges", data=np.array(node.edges, dtype=object).reshape(-1, 2), dtype=text
        )
        inside = group.create_group("nodes")
        for name, own in node.nodes.items():
            _write(inside.create_group(name), own, text, leave_out)
        return
    for name, value in node.fields.items():
        if name in leave_out:
            continue
        if isinstance(value, str):
            group.create_dataset(name, data=value, dtype=text)
        elif np.ndim(value):
            group.create_dataset(name, data=value, compression="gzip")
        else:
            group.create_dataset(name, data=value)
