"""A network of neurons with a state, as a NIR graph: what `from_nir` read, written back.

Each layer is a node again. Layers of the network have their channels last and NIR has them first:
columns of matrices after a Flatten, and fields of neurons, are put in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..arrays import Array, Integers
from ..importing.from_nir import from_nir
from ..networks.dynamics import Delay, Neurons, Previous
from ..networks.layers import (
    INPUT,
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Shape,
)
from ..networks.network import Network
from ..networks.nir_files import Graph
from .graphs import OUTPUT, Builder
from .readers import READERS
from .weights import channels_first

SPYX = "spyx"  # whose files have the channels last after a Flatten, and pools with all padding


@dataclass(frozen=True, eq=False, kw_only=True)
class Tensor:
    """What a layer gives, as the graph has it.

    Parameters
    ----------
    node : str
        That gives it.
    shape : (int, int, int)
        (H, W, C) of the layer.
    units : ndarray of int, shape (n_units,)
        Which unit of the layer each entry is, in the graph's order.
    is_vector : bool
        Whether the graph has it as a vector, not as a map.
    """

    node: str
    shape: Shape
    units: Integers
    is_vector: bool

    @property
    def nir_shape(self) -> tuple[int, ...]:
        """As the file has it."""
        rows, columns, channels = self.shape
        return (self.units.size,) if self.is_vector else (channels, rows, columns)

    def placed(self, values: Array) -> Array:
        """Numbers of the units, shape (H, W, C) or one for all, in the graph's order."""
        full = np.broadcast_to(values, self.shape).reshape(-1)
        return full[self.units].reshape(self.nir_shape)


def graph_of(network: Network, written_for: str | None) -> Graph:
    """The graph of a network that `from_nir` read.

    Parameters
    ----------
    network : Network
        Of neurons and what a file can have between them.
    written_for : str, optional
        Program, whose own file it was.

    Raises
    ------
    ValueError
        If a layer has no node, or the neurons have the fields of another program; the message
        names the layer.
    """
    written_by = writer_of(network)
    if written_for is not None and written_for != written_by:
        means = "the definition" if written_by == "definition" else written_by
        raise ValueError(
            f"network {network.name!r}: its neurons have the fields that {means} means; they are "
            "written back as they are. Leave written_for out"
        )
    return _Writer(network, None if written_by == "definition" else written_by).graph()


def writer_of(network: Network) -> str:
    """The program whose fields the neurons of a network have.

    Raises
    ------
    ValueError
        If it has no neurons.
    """
    neurons = [layer for layer in network.layers if isinstance(layer, Neurons)]
    if not neurons:
        raise ValueError(
            f"network {network.name!r} has no neurons; convert it first: to_nir(convert(network, "
            "NoiseOptions()), path)"
        )
    return neurons[0].written_by or "definition"


class _Writer:
    def __init__(self, network: Network, written_by: str | None) -> None:
        self._network = network
        self._is_spyx = written_by == SPYX
        self._reader = READERS.get(written_by or "definition", READERS["definition"])
        self._builder = Builder()
        self._values: dict[str, Tensor] = {}
        self._names = {
            layer.name: _as_read(layer)
            for layer in network.layers
            if isinstance(layer, Neurons | Delay)
        }
        self._later: list[tuple[Previous, str]] = []  # and the node that gets it
        users = [name for layer in network.layers for name in layer.inputs]
        self._n_users = {layer.name: users.count(layer.name) for layer in network.layers}

    def graph(self) -> Graph:
        network, builder = self._network, self._builder
        is_vector = network.input.shape[:2] == (1, 1) and not any(
            isinstance(layer, Conv2D | AvgPool2D) and layer.inputs == (INPUT,)
            for layer in network.layers
        )
        self._values[INPUT] = _tensor("input", network.input.shape, is_vector)
        shape = np.array(self._values[INPUT].nir_shape, dtype=np.int64)
        builder.add("Input", "input", shape=shape)
        skipped: set[str] = set()
        for layer in network.layers:
            if layer.name not in skipped:
                self._values[layer.name] = self._layer(layer, skipped)
        last = self._values[network.layers[-1].name]
        if last.is_vector and (last.units != np.arange(last.units.size)).any():
            raise ValueError(
                f"network {network.name!r}: its outputs are in another order than a file has them"
            )
        shape = np.array(last.nir_shape, dtype=np.int64)
        builder.add("Output", OUTPUT, shape=shape)
        self._lead([network.layers[-1].name], OUTPUT)
        # v_reset came with nir 1.0.6, also for those who write for an older one.
        neurons = (own for own in self._network.layers if isinstance(own, Neurons))
        is_new = any(own.v_reset is not None for own in neurons)
        newest = READERS["definition"].file_version
        return builder.graph(newest if is_new else self._reader.file_version)

    def _layer(self, layer: Layer, skipped: set[str]) -> Tensor:
        shape = self._network.shapes[layer.name]
        if isinstance(layer, Previous):
            source = self._names.get(layer.source, layer.source)
            return _tensor(source, shape, shape[:2] == (1, 1))
        if isinstance(layer, Add):
            return self._add(layer)
        layer = _as_pool(layer, self._network)
        value = self._values[layer.inputs[0]]
        if isinstance(layer, Flatten):
            return self._flatten(layer, value)
        if isinstance(layer, Conv2D):
            return self._conv(layer, value)
        if isinstance(layer, Dense):
            return self._dense(layer, value)
        if isinstance(layer, AvgPool2D):
            return self._pool(layer, value, skipped)
        if isinstance(layer, BatchNorm):
            if layer.beta.any() or layer.mean.any():
                raise ValueError(f"{self._where(layer)}: NIR scales, but does not shift")
            return self._node("Scale", layer, value, scale=value.placed(layer.scale))
        if isinstance(layer, Neurons):
            fields = {key: value.placed(own) for key, own in layer.given.items()}
            if self._reader.has_single_fields and not value.is_vector:
                fields = {key: _short(own) for key, own in fields.items()}
            return self._node(layer.model, layer, value, **fields)
        if isinstance(layer, Delay):
            return self._node("Delay", layer, value, delay=value.placed(layer.delay))
        raise ValueError(f"{self._where(layer)}: NIR has no such node")

    def _where(self, layer: Layer) -> str:
        return f"network {self._network.name!r}: {layer.label}"

    def _node(self, kind: str, layer: Layer, value: Tensor, **fields: object) -> Tensor:
        """A node that changes neither shape nor order."""
        name = self._names.get(layer.name, layer.name)
        node = self._builder.add(kind, name, **fields)
        self._lead(layer.inputs, node)
        return replace(value, node=node, shape=self._network.shapes[layer.name])

    def _lead(self, layers: Sequence[str], node: str) -> None:
        """Edges from layers to a node; of a sum that nobody else uses, from its parts."""
        (name,) = layers
        parts = self._parts(name)
        nodes = [self._values[part].node for part in parts]
        keys = [_sorted_by(node) for node in nodes]
        if keys != sorted(keys) or len(set(nodes)) < len(nodes):
            # Sums are read in the order of names.
            for number, part in enumerate(parts):
                value = self._values[part]
                same = np.ones(value.nir_shape)
                nodes[number] = self._builder.add(
                    "Scale", f"{node}.{number}", value.node, scale=same
                )
        self._builder.edges += [(source, node) for source in nodes]

    def _parts(self, name: str) -> list[str]:
        """What a layer is the sum of, where the sum has no node of its own."""
        if self._values[name].node:
            return [name]
        first, second = self._network.layer(name).inputs
        return [*self._parts(first), second]

    def _add(self, layer: Add) -> Tensor:
        """A sum: edges into the one node that uses it, else a node that changes nothing."""
        values = [self._values[name] for name in layer.inputs]
        first = values[0]
        if len(values) > 2 or any((v.units != first.units).any() for v in values):
            raise ValueError(
                f"{self._where(layer)}: a file has sums of two, of values in the same order"
            )
        value = replace(first, is_vector=all(v.is_vector for v in values), node="")
        if self._n_users[layer.name] == 1 and values[1].node:
            return value
        if self._n_users[layer.name] == 0 and values[1].node:
            return value
        node = self._builder.add("Scale", layer.name, scale=np.ones(value.nir_shape))
        self._values[layer.name] = value
        self._lead([layer.name], node)
        return replace(value, node=node)

    def _flatten(self, layer: Flatten, value: Tensor) -> Tensor:
        shape = self._network.shapes[layer.name]
        if value.is_vector:
            return replace(value, shape=shape)
        node = self._builder.add(
            "Flatten",
            layer.name,
            start_dim=np.int64(0),
            end_dim=np.int64(-1),
            input_type=np.array(value.nir_shape, dtype=np.int64),
        )
        self._lead(layer.inputs, node)
        return Tensor(node=node, shape=shape, units=value.units, is_vector=True)

    def _dense(self, layer: Dense, value: Tensor) -> Tensor:
        name = self._builder.add("Affine", layer.name, **self._affine(layer, value))
        if not value.is_vector and value.shape[:2] == (1, 1):
            flat = f"{layer.name}_flat"
            node = self._builder.add(
                "Flatten",
                flat,
                start_dim=np.int64(0),
                end_dim=np.int64(-1),
                input_type=np.array(value.nir_shape, dtype=np.int64),
            )
            self._lead(layer.inputs, node)
            self._builder.edges.append((node, name))
        else:
            self._lead(layer.inputs, name)
        return _tensor(name, self._network.shapes[layer.name], is_vector=True)

    def _affine(self, layer: Dense, value: Tensor) -> dict[str, Array]:
        units = value.units
        if self._is_spyx and (units != np.arange(units.size)).any():
            units = np.arange(units.size)
        return {"weight": layer.kernel[units].T, "bias": layer.bias}

    def _conv(self, layer: Conv2D, value: Tensor) -> Tensor:
        shape = self._network.shapes[layer.name]
        if value.is_vector:
            return self._reordered(layer, value)
        node = self._builder.add(
            "Conv2d",
            layer.name,
            input_shape=np.array(value.shape[:2], dtype=np.int64),
            weight=layer.kernel.transpose(3, 2, 0, 1),
            bias=layer.bias,
            stride=np.array(layer.stride, dtype=np.int64),
            padding=self._padding(layer, layer.padding),
            dilation=np.array(layer.dilation, dtype=np.int64),
            groups=np.int64(layer.groups),
        )
        self._lead(layer.inputs, node)
        return _tensor(node, shape, is_vector=False)

    def _reordered(self, layer: Conv2D, value: Tensor) -> Tensor:
        """A convolution that only brings a vector into another order, which no file needs."""
        kernel = layer.kernel[0, 0] if layer.kernel.shape[:2] == (1, 1) else np.zeros((1, 1))
        n = value.units.size
        sources = kernel.argmax(axis=0)
        is_order = kernel.shape == (n, n) and (np.sort(sources) == np.arange(n)).all()
        if layer.groups > 1 or layer.bias.any() or not is_order or kernel.sum() != n:
            raise ValueError(f"{self._where(layer)}: NIR has no convolutions of vectors")
        to = np.argsort(sources)
        return replace(value, units=to[value.units])

    def _padding(self, layer: Conv2D | AvgPool2D, sides: Sequence[int]) -> object:
        top, bottom, left, right = sides
        if self._is_spyx and isinstance(layer, AvgPool2D):
            return np.array([top + bottom, left + right], dtype=np.int64)
        if top == bottom and left == right:
            return np.array([top, left], dtype=np.int64)
        if isinstance(layer, Conv2D) and layer.stride == (1, 1):
            total = [d * (k - 1) for k, d in zip(layer.size, layer.dilation, strict=True)]
            same = (total[0] // 2, -(-total[0] // 2), total[1] // 2, -(-total[1] // 2))
            if tuple(sides) == same:
                return "same"
        raise ValueError(f"{self._where(layer)}: NIR has the same padding on both sides of an axis")

    def _pool(self, layer: AvgPool2D, value: Tensor, skipped: set[str]) -> Tensor:
        """A pool; where its sums follow, a pool of sums."""
        scaled = self._scaled(layer)
        last = layer if scaled is None else scaled
        node = self._builder.add(
            "AvgPool2d" if scaled is None else "SumPool2d",
            last.name,
            kernel_size=np.array(layer.size, dtype=np.int64),
            stride=np.array(layer.stride, dtype=np.int64),
            padding=self._padding(layer, layer.padding),
        )
        self._lead(layer.inputs, node)
        found = _tensor(node, self._network.shapes[layer.name], is_vector=False)
        if scaled is not None:
            skipped.add(scaled.name)
            self._values[scaled.name] = found
        return found

    def _scaled(self, layer: AvgPool2D) -> BatchNorm | None:
        """What makes sums of the means, if it follows and nothing else does."""
        for other in self._network.layers:
            if other.inputs == (layer.name,) and isinstance(other, BatchNorm):
                size = layer.size[0] * layer.size[1]
                is_plain = not other.beta.any() and not other.mean.any()
                if is_plain and (other.scale == size).all() and self._n_users[layer.name] == 1:
                    return other
        return None


def _as_pool(layer: Layer, network: Network) -> Layer:
    """A mean over a whole map as the window that it is."""
    if not isinstance(layer, GlobalAvgPool):
        return layer
    rows, columns, _ = network.shapes.get(layer.inputs[0], network.input.shape)
    return AvgPool2D(layer.name, layer.inputs, size=(rows, columns), stride=(rows, columns))


def _tensor(node: str, shape: Shape, is_vector: bool) -> Tensor:
    units = np.arange(int(np.prod(shape))) if is_vector else channels_first(shape)
    return Tensor(node=node, shape=shape, units=units, is_vector=is_vector)


def _as_read(layer: Layer) -> str:
    """A name that the reader makes the layer's of, and puts in the same order."""
    kind = layer.model if isinstance(layer, Neurons) else "delay"
    rest = layer.name.removeprefix(f"{kind.lower()}_")
    return layer.name if rest.isidentifier() else rest


def _sorted_by(name: str) -> tuple[tuple[int, int, str], ...]:
    """As the reader sorts names: numbers by size."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in name.split("."))


def _short(values: Array) -> Array:
    """One number where all are the same."""
    return values.reshape(-1)[:1] if (values == values.flat[0]).all() else values


def require_same(network: Network, path: Path) -> None:
    """Refuse a file that is read as another network than it was written of.

    Raises
    ------
    ValueError
        The message names the first layer that differs.
    """
    neurons = next(layer for layer in network.layers if isinstance(layer, Neurons))
    again = from_nir(
        path,
        dt=neurons.dt,
        written_by=neurons.written_by,
        maximum=network.input.maximum,
        classes=network.classes,
        name=network.name,
    )
    problem = difference(network, again)
    if problem:
        raise ValueError(f"network {network.name!r} would be read as another: {problem}")


def difference(one: Network, other: Network) -> str:
    """What differs in two networks, in words; empty if nothing does but names of plain layers."""
    if one.input.shape != other.input.shape:
        return f"its input has the shape {other.input.shape}, not {one.input.shape}"
    if len(one.layers) != len(other.layers):
        return f"it has {len(other.layers)} layers, not {len(one.layers)}"
    names = {INPUT: INPUT}
    for layer, b in zip(one.layers, other.layers, strict=True):
        a = _as_pool(layer, one)
        inputs = tuple(names.get(name, "") for name in a.inputs)
        is_named = not isinstance(a, Neurons | Delay) or a.name == b.name
        if type(a) is not type(b) or inputs != b.inputs or not is_named:
            return f"{b!r} stands where {a!r} did"
        names[a.name] = b.name
        for field in a.__dataclass_fields__:
            own, given = getattr(a, field), getattr(b, field)
            is_same = np.array_equal(own, given) if field in a.ARRAYS else own == given
            if not is_same and field not in ("name", "inputs"):
                return f"{field} of {a.label}"
    return ""
