"""Where a writer's graph does not say what its program computed, told by the writer's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ..networks.nir_files import Node
from .nir_graphs import FlatGraph


def as_meant(graph: FlatGraph, written_by: str | None) -> FlatGraph:
    """The graph that the program ran.

    Parameters
    ----------
    graph : FlatGraph
        As the file has it.
    written_by : str, optional
        Name of the program; None for the format's own definition, which changes nothing.
    """
    meant = _WRITERS.get(written_by or "")
    return graph if meant is None else meant(graph)


def _spyx(graph: FlatGraph) -> FlatGraph:
    """Input of recurrent layers, columns after Flatten and padding of pools (spyx 1.0.0)."""
    edges = set(graph.edges)
    nodes = dict(graph.nodes)
    moved = {}
    for source, target in graph.edges:
        # The input is written as if it went through the recurrent weights.
        back = next((to for own, to in graph.edges if own == target and (to, own) in edges), None)
        if target.endswith("w_rec") and back is not None and source != back:
            moved[source, target] = source, back
    for source, target in graph.edges:
        flatten, dense = nodes[source], nodes[target]
        if flatten.kind == "Flatten" and dense.kind in ("Affine", "Linear"):
            shape = np.atleast_1d(np.asarray(flatten.fields.get("input_type", ())))
            nodes[target] = _channels_first(dense, tuple(int(x) for x in shape))
    for name, node in nodes.items():
        if node.kind == "SumPool2d" and not isinstance(node.fields["padding"], str):
            total = np.broadcast_to(np.asarray(node.fields["padding"]), (2,))
            sides = [side for p in total for side in (p // 2, p - p // 2)]
            nodes[name] = replace(node, fields={**node.fields, "sides": np.array(sides)})
    return FlatGraph(nodes=nodes, edges=tuple(moved.get(edge, edge) for edge in graph.edges))


def _channels_first(dense: Node, shape: tuple[int, ...]) -> Node:
    """Columns of a map in the order (channel, row, column) instead of channels last."""
    weight = np.asarray(dense.fields["weight"])
    if len(shape) != 3 or weight.ndim != 2 or weight.shape[1] != np.prod(shape):
        return dense
    channels, rows, columns = shape
    last = weight.reshape(-1, rows, columns, channels)
    first = np.moveaxis(last, 3, 1).reshape(weight.shape)
    return replace(dense, fields={**dense.fields, "weight": first})


_WRITERS: Mapping[str, Callable[[FlatGraph], FlatGraph]] = {"spyx": _spyx}
