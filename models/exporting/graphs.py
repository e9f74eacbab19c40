"""Graphs of NIR as they are put together: nodes by unique names, and edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from ..dyadic import narrowest
from ..networks.nir_files import Graph, Node, Value

INPUT, OUTPUT = "input", "output"


class Builder:
    """Collects the nodes of a graph."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []

    def add(self, kind: str, name: str, *sources: str, **fields: Any) -> str:
        """A node that gets the sum of its sources; its name, with ``_`` where there is one so."""
        is_end = kind in ("Input", "Output")
        while name in self.nodes or (name in (INPUT, OUTPUT) and not is_end):
            name += "_"
        values: dict[str, Value] = {
            key: value if isinstance(value, str) else _narrow(value)
            for key, value in fields.items()
        }
        self.nodes[name] = Node(kind=kind, fields=values)
        self.edges += [(source, name) for source in sources]
        return name

    def graph(self, version: str) -> Graph:
        """What was collected."""
        return Graph(nodes=self.nodes, edges=tuple(self.edges), version=version)

    # Shapes are those of NIR: channels first, without a batch.

    def affine(self, name: str, source: str, weight: Array, bias: Array | None) -> str:
        """A matrix, shape (n_out, n_in), and a bias."""
        bias = np.zeros(len(weight)) if bias is None else bias
        return self.add("Affine", name, source, weight=weight, bias=bias)

    def conv(
        self,
        name: str,
        source: str,
        weight: Array,
        bias: Array | None,
        space: Sequence[int],
        *,
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
    ) -> str:
        """A convolution of a map with `space` rows and columns; weight (out, in, rows, columns)."""
        return self.add(
            "Conv2d",
            name,
            source,
            input_shape=np.array(space, dtype=np.int64),
            weight=weight,
            bias=np.zeros(len(weight)) if bias is None else bias,
            stride=np.array(stride, dtype=np.int64),
            padding=np.array(padding, dtype=np.int64),
            dilation=np.array(dilation, dtype=np.int64),
            groups=np.int64(groups),
        )

    def flatten(self, name: str, source: str, shape: Sequence[int]) -> str:
        """All axes become one."""
        return self.add(
            "Flatten",
            name,
            source,
            start_dim=np.int64(0),
            end_dim=np.int64(-1),
            input_type=np.array(shape, dtype=np.int64),
        )


def _narrow(value: Any) -> Any:
    """Numbers in single precision where that holds them."""
    array = np.asarray(value)
    if array.dtype != np.float64:
        return array
    with np.errstate(over="ignore"):  # of numbers that it does not hold
        return narrowest(array)
