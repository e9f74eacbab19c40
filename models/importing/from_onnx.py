"""From an ONNX file to a `Network`.

Files of any exporter, of opset 11 to the newest that the package onnx knows. The network is
compared with what onnxruntime, or ONNX' own reference evaluator, computes, node by node.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..messages import one_line
from ..networks.file_formats import checked_path, other_format
from ..networks.network import InputCoding, Network
from .arguments import require_types
from .assembler import Assembler
from .checking import HALF, SINGLE, compare, note_of_half
from .entry import Layout, Standardisation, Transform, read_sample
from .onnx_files import MAX_COMPARED, Graph, Node, read_graph
from .onnx_operators import OnnxReader


def from_onnx(
    path: str | Path,
    example: Any = None,
    *,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    pixel_scale: float = 1.0,
    maximum: float | None = None,
    transform: Transform | None = None,
    input: InputCoding | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Network:
    """Read a trained network from an ONNX file.

    The model sees x = (image / maximum * pixel_scale - mean) / std, channels first or last as its
    input has them.

    Parameters
    ----------
    path : str or Path
        A ``.onnx`` file of one input, whose axes but the batch are fixed, and one output. Weights
        in other files are read from its folder.
    example : ndarray, optional
        Some raw images, (n, H, W, C), (n, H, W), (n, L, C) or (n, F), as the spiking network will
        get them; by default random ones.
    mean, std, pixel_scale, maximum, transform, input, classes
        As of `from_torch`.
    name : str, optional
        Of the network; by default the file's name.

    Returns
    -------
    Network
        Layers are named by kind and position: conv1, norm1, act1, ...

    Raises
    ------
    TypeError
        If `path` is no path.
    ImportError
        If onnx is missing; the message says how to install it.
    ValueError
        If the file is missing, damaged, hostile or quantised, an operator is not supported, the
        images do not fit the model, or the network differs from what the file computes; the
        message names the file and the node.
    """
    instead = "a module is written with torch.onnx.export, or given to from_torch"
    path = checked_path(path, "from_onnx", instead)
    try:
        network, notes = _read(
            path,
            example,
            Standardisation(mean, std, pixel_scale, maximum),
            transform,
            input,
            classes,
            path.stem if name is None else name,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
    for note in notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return network


def _read(
    path: Path,
    example: Any,
    stated: Standardisation,
    transform: Transform | None,
    input: InputCoding | None,
    classes: Sequence[str] | None,
    name: str,
) -> tuple[Network, list[str]]:
    require_types(input, transform)
    other = other_format(path, "onnx")
    if other is not None:
        raise ValueError(other)
    graph = read_graph(path)
    declared = _declared(graph, _shape(example)[1:] if input is None else input.shape)
    sample = read_sample(
        example,
        stated,
        accepts=lambda x: None if x.shape[1:] == graph.shape else f"it takes {graph.shape}",
        channels_first=declared.axes not in ("(n, H, W, C)", "(n, L, C)"),
        input=input,
        transform=transform,
        declared=declared,
    )
    assembler = Assembler(sample.layout.shape)
    reader = OnnxReader(graph, assembler)
    output = reader.read(sample.layout.value)
    network = assembler.network(output, sample.coding, classes, name)
    entries = sum(value.index.size for value in reader.values.values())
    if 4 * entries * graph.batch > MAX_COMPARED:
        raise ValueError(
            f"takes {graph.batch} images at once, too many to compare; export it for one image, or "
            "for any number"
        )
    theirs = graph.values(sample.inputs, list(reader.values))
    compare(
        network,
        sample.images,
        [(reader.places[name], value, theirs[name]) for name, value in reader.values.items()],
        HALF["float16"] if graph.is_half else SINGLE,
    )
    notes = [note_of_half("float16")] if graph.is_half else []
    return network, [*assembler.notes, *notes]


def _shape(example: Any) -> tuple[int, ...]:
    """Shape of an example; () of what is none, which is refused later."""
    try:
        return np.shape(example)
    except Exception:  # images of several sizes
        return ()


def _declared(graph: Graph, given: tuple[int, ...]) -> Layout:
    """How the model says that it sees an image; images of the shape `given` decide if they can."""
    shape = graph.shape
    if len(shape) == 1:
        return Layout((1, 1, shape[0]), "(n, F)")
    if len(shape) == 2:
        kernels = [graph.constants[n] for n in _kernels(graph) if n in graph.constants]
        if given[-2:] == shape or not any(k.ndim == 3 for k in kernels):
            return Layout((*shape, 1), "(n, H, W)")
        return Layout((1, shape[1], shape[0]), "(n, C, L)")
    if len(shape) != 3:
        raise ValueError(f"its input has the shape {shape}; images have three axes, sequences two")
    first = Layout((shape[1], shape[2], shape[0]), "(n, C, H, W)")
    last = Layout(shape, "(n, H, W, C)")
    telling = _first_telling(graph)
    if telling is not None and telling.op == "Conv":
        return first
    if first.shape != last.shape and given in (first.shape, last.shape):
        return first if given == first.shape else last
    return last if _is_channels_last(graph, telling) else first


def _kernels(graph: Graph) -> list[str]:
    return [node.inputs[1] for node in graph.nodes if node.op == "Conv"]


def _first_telling(graph: Graph) -> Node | None:
    """The first node that tells one axis of a map that comes in from another, if one does."""
    name = graph.input
    while True:
        users = [node for node in graph.nodes if name in node.inputs]
        node = next((n for n in users if n.op in ("Conv", "Transpose", "Reshape")), None)
        node = node or next(iter(users), None)
        if node is None or node.op not in ("Add", "Sub", "Mul", "Div", "Cast", "Identity"):
            return node
        name = node.outputs[0]


def _is_channels_last(graph: Graph, telling: Node | None) -> bool:
    """Whether a map comes in as (H, W, C), by the node that says so."""
    if telling is None:
        return False
    if telling.op == "Transpose":
        return list(telling.attributes.get("perm") or ()) == [0, 3, 1, 2]
    # Nothing says; the short axis is that of the channels.
    return graph.shape[2] <= 4 < graph.shape[0]
