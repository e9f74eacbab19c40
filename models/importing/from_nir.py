"""From a NIR file to a `Network` whose neurons have a state in time.

What the file says is kept as it says it; which convention its writer followed is applied when the
network is converted (:mod:`models.schemes.nir`). Graphs in graphs are taken apart; a recurrent
connection begins with what neurons gave in the step before
(:class:`~models.networks.dynamics.Previous`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..messages import one_line
from ..networks.dynamics import MODELS, SILENT, WRITERS
from ..networks.file_formats import checked_path, other_format
from ..networks.layers import Pair, Sides
from ..networks.network import InputCoding, Network
from ..networks.nir_files import Node, read
from .arguments import one_number, shown
from .assembler import Assembler
from .nir_graphs import FlatGraph, Order, flat, ordered
from .nir_writers import as_meant
from .values import Value

LARGEST_MAP = 2**24  # values of an input
NO_LEAK = 1e30  # seconds, for an infinite time constant
LARGEST_INPUT = 2.0**8  # unless told; it bounds the sums that are to be exact


def from_nir(
    path: str | Path,
    *,
    dt: float | None = None,
    written_by: str | None = None,
    maximum: float = LARGEST_INPUT,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Network:
    """Read a spiking network from a NIR file.

    Parameters
    ----------
    path : str or Path
        A ``.nir`` file, as ``nir.write`` or one of the tools that use it wrote it.
    dt : float, optional
        Length in seconds of a step of the program that wrote it; by default as that program has
        it, see docs/nir.md.
    written_by : str, optional
        Program that wrote it, which tells what the file leaves open: one of
        :data:`models.networks.dynamics.WRITERS`. By default the definition of NIR.
    maximum : float
        Largest size of an input value.
    classes : sequence of str, optional
        Names of the outputs; by default numbers.
    name : str, optional
        Of the network; by default the file's name.

    Returns
    -------
    Network
        With the nodes' names where they are identifiers. ``convert(network, NirOptions(...))``
        makes Brian2 neurons of it.

    Raises
    ------
    TypeError
        If `path` is no path.
    ImportError
        If h5py is missing; the message says how to install it.
    ValueError
        If the file is missing, damaged or hostile, or holds what cannot be run; the message names
        file and node.
    """
    path = checked_path(path, "from_nir", "a graph is written with nir.write('net.nir', graph)")
    maximum = one_number("maximum", maximum)
    dt = None if dt is None else one_number("dt", dt)
    if written_by is not None and written_by not in WRITERS:
        known = ", ".join(WRITERS)
        raise ValueError(f"written_by must be one of {known}, got {shown(written_by)}")
    try:
        network, notes = _network(
            path, dt, written_by, maximum, classes, path.stem if name is None else name
        )
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
    except RecursionError:
        raise ValueError(f"{path}: too many nodes without a state follow each other") from None
    for note in notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return network


def _network(
    path: Path,
    dt: float | None,
    written_by: str | None,
    maximum: float,
    classes: Sequence[str] | None,
    name: str,
) -> tuple[Network, list[str]]:
    other = other_format(path, "hdf5")
    if other is not None:
        raise ValueError(other)
    graph = as_meant(flat(read(path)), written_by)
    order = ordered(graph)
    shape = _shape(graph, order)
    reader = _Reader(graph, order, shape, {"written_by": written_by, "dt": dt})
    output = reader.output()
    _require_shape(graph, order, output)
    assembler = reader.assembler
    rows, columns, channels = assembler.shapes["input"]
    coding = InputCoding(
        (rows, columns, channels),
        maximum,
        gain=np.ones(channels),
        offset=np.zeros(channels),
        signed=True,
    )
    flat_output = assembler.reindexed(output, lambda index: index.reshape(-1))
    return assembler.network(flat_output, coding, classes, name), assembler.notes


def _shape(graph: FlatGraph, order: Order) -> tuple[int, ...]:
    """Shape of the input, channels first, without a batch or steps that a writer left in it."""
    values = np.atleast_1d(np.asarray(graph.nodes[order.input].fields["shape"]))
    first = [graph.nodes[to] for source, to in graph.edges if source == order.input]
    is_vector = all(node.kind in ("Affine", "Linear") for node in first)
    while values.ndim == 1 and values.size > 3 and values[0] == 1:
        values = values[1:]
    if is_vector and values.ndim == 1 and (values[:-1] == 1).all():
        values = values[-1:]
    if values.ndim != 1 or not 1 <= values.size <= 3 or (values < 1).any():
        raise ValueError(
            f"its input has the shape {values.tolist()}; there may be one to three axes (channels "
            "first), without a batch"
        )
    shape = tuple(int(size) for size in values)
    if math.prod(shape) > LARGEST_MAP:
        raise ValueError(f"its input has the shape {shape}; {LARGEST_MAP:,} values are the most")
    return shape


def _layout(graph: FlatGraph, order: Order, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows, columns and channels of the input.

    Two axes are channels and places, of a Conv1d. Where Flatten comes first nothing says so, and
    they are rows and columns of an image: else one as long as wide would be taken transposed.
    """
    first = [graph.nodes[to].kind for source, to in graph.edges if source == order.input]
    if len(shape) == 2 and set(first) == {"Flatten"}:
        return (*shape, 1)
    channels, *space = shape
    rows, columns = (1, *space)[-2:] if space else (1, 1)
    return rows, columns, channels


def _require_shape(graph: FlatGraph, order: Order, output: Value) -> None:
    """Refuse an output that the file says is of another size."""
    stated = np.asarray(graph.nodes[order.output].fields["shape"])
    if np.prod(stated, dtype=np.float64) != output.index.size:
        raise ValueError(
            f"node {order.output!r} (Output) has the shape {stated.tolist()} and gets "
            f"{list(output.shape)}"
        )


class _Reader:
    """Makes layers of the nodes, each when it is asked for."""

    def __init__(
        self, graph: FlatGraph, order: Order, shape: tuple[int, ...], told: dict[str, Any]
    ) -> None:
        self.assembler = Assembler(_layout(graph, order, shape))
        self._graph = graph
        self._order = order
        self._input = self.assembler.input(False, len(shape))
        self._told = told
        # By node, and by the neurons before it whose output of the step before it gets.
        self._done: dict[tuple[str, frozenset[str]], Value] = {}
        self._recurrent: dict[str, Value] = {}  # by neurons: their output of the step before
        self._shapes: dict[str, tuple[int, ...]] = {}  # of neurons that are not done

    def output(self) -> Value:
        """What the graph's output gets."""
        for name in self._order.neurons:
            self._neurons(name)
        found = self._arriving(self._order.output, frozenset())
        self._close()
        return found

    def _neurons(self, name: str) -> None:
        """Neurons or a delay, with all that leads to them."""
        node = self._graph.nodes[name]
        late = self._order.late_sources(name)
        for source in self._order.sources[name]:
            if source not in late and not self._order.upstream[source] & late:
                self._shapes[name] = self._value(source, late).shape
        value = self._arriving(name, late)
        is_whole = name in self._order.recurrent
        with self._naming(name, node):
            if node.kind == "Delay":
                found = self.assembler.delay(
                    value, _real(node, "delay"), name=name, is_whole=is_whole
                )
            else:
                fields = {key: _real(node, key) for key in MODELS[node.kind] if key in node.fields}
                if node.kind.startswith("Cuba"):
                    fields.setdefault("w_in", np.ones(()))
                fields = {key: self._finite(key, own) for key, own in fields.items()}
                is_read = node.kind in SILENT and name in self._order.upstream[self._order.output]
                found = self.assembler.neurons(
                    value,
                    node.kind,
                    fields,
                    name=name,
                    told=self._told,
                    is_whole=is_whole,
                    is_vector=is_read,  # potentials are read where they stand
                )
        self._done[name, frozenset()] = found

    def _finite(self, key: str, values: Array) -> Array:
        """Fields without infinities, which one writer has for neurons that do not leak."""
        if np.isfinite(values).all():
            return values
        if self._told["written_by"] != "snntorch":
            raise ValueError(
                f"{key} is infinite; snnTorch writes that for neurons without a leak. If it wrote "
                "the file, say written_by='snntorch'"
            )
        return np.clip(values, -NO_LEAK, NO_LEAK)

    def _arriving(self, name: str, late: frozenset[str]) -> Value:
        """Sum of what arrives at a node; of the neurons in `late`, their output before."""
        sources = self._order.sources[name]
        parts = [self._value(source, late) for source in sources]
        total = parts[0]
        for source, part in zip(sources[1:], parts[1:], strict=True):
            with self._naming(name, self._graph.nodes[name]):
                if part.shape != total.shape:
                    raise ValueError(
                        f"gets {total.shape} from {sources[0]!r} and {part.shape} from {source!r}"
                    )
                total = self.assembler.add(total, part)
        return total

    def _value(self, name: str, late: frozenset[str]) -> Value:
        if name == self._order.input:
            return self._input
        if name in self._order.neurons:
            return self._before(name) if name in late else self._done[name, frozenset()]
        key = name, late & self._order.upstream[name]
        if key not in self._done:
            self._done[key] = self._linear(name, key[1])
        return self._done[key]

    def _before(self, name: str) -> Value:
        """Output of neurons in the step before."""
        if name not in self._recurrent:
            done = self._done.get((name, frozenset()))
            shape = self._order.shape_of(name, self._shapes) if done is None else done.shape
            self._recurrent[name] = self.assembler.previous(shape)
        return self._recurrent[name]

    def _close(self) -> None:
        """Say to each beginning of a recurrent connection whose output it is."""
        for name, value in self._recurrent.items():
            self.assembler.close(value, self._done[name, frozenset()])

    def _linear(self, name: str, late: frozenset[str]) -> Value:
        node = self._graph.nodes[name]
        value = self._arriving(name, late)
        with self._naming(name, node):
            return LINEAR[node.kind](self.assembler, node, value)

    def _naming(self, name: str, node: Node) -> _Naming:
        return _Naming(name, node.kind)


class _Naming:
    """Adds the node to the message of an error."""

    def __init__(self, name: str, kind: str) -> None:
        self._node = f"node {name!r} ({kind})"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, ValueError) and not str(error).startswith("node "):
            raise ValueError(f"{self._node}: {one_line(error)}") from error


def _real(node: Node, key: str) -> Array:
    values = node.fields[key]
    if isinstance(values, str):
        raise ValueError(f"{key} is the text {values!r}")
    return np.asarray(values, dtype=np.float64)


def _weight(node: Node, n_axes: int) -> Array:
    weight = _real(node, "weight")
    if weight.ndim != n_axes or not weight.size:
        raise ValueError(f"weight has shape {weight.shape}; {n_axes} axes are needed")
    return weight


def _whole(node: Node, key: str, n: int) -> tuple[int, ...]:
    """One whole number for each axis of space; one for all is repeated."""
    given: NDArray[Any] = np.atleast_1d(np.asarray(node.fields[key]))
    if given.dtype.kind == "f" and (given == np.floor(given)).all():
        given = given.astype(np.int64)
    if given.dtype.kind not in "iu" or given.ndim != 1 or given.size not in (1, n):
        raise ValueError(f"{key} is {given.tolist()}; a whole number or {n} of them are needed")
    return tuple(int(x) for x in np.broadcast_to(given, (n,)))


def _sides(node: Node, size: Pair, stride: Pair, dilation: Pair, extent: Pair, n: int) -> Sides:
    """Zeros around a map: as many as told, or by the words ``valid`` and ``same``."""
    given = node.fields["padding"]
    if isinstance(given, str):
        if given == "valid":
            return 0, 0, 0, 0
        if given != "same":
            raise ValueError(f"padding is {given!r}; it is a number, 'same' or 'valid'")
        if stride != (1, 1):
            raise ValueError(
                f"padding 'same' at stride {stride}, of which tools mean different things; write "
                "the numbers"
            )
        # As PyTorch, from which the word comes: the odd zero comes last.
        total = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
        return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2
    if "sides" in node.fields:  # each on its own, as no file has it
        top, bottom, left, right = (int(x) for x in np.asarray(node.fields["sides"]))
        return top, bottom, left, right
    rows, columns = (0, *_whole(node, "padding", n))[-2:]
    return rows, rows, columns, columns


def _pairs(node: Node, keys: Sequence[str], n: int) -> list[Pair]:
    """Whole numbers for rows and columns; a sequence has one row."""
    found = [_whole(node, key, n) for key in keys]
    for key, own in zip(keys, found, strict=True):
        if min(own) < 1:
            raise ValueError(f"{key} is {own}; it is at least 1")
    return [(1, own[0]) if n == 1 else (own[0], own[1]) for own in found]


def _affine(assembler: Assembler, node: Node, value: Value) -> Value:
    weight = _weight(node, 2)
    bias = _real(node, "bias") if node.kind == "Affine" else None
    n_out, n_in = weight.shape
    if bias is not None and bias.shape != (n_out,):
        raise ValueError(f"bias has shape {bias.shape} for {n_out} outputs")
    if value.index.size == n_in:
        # Writers leave the batch in the shape, count it as an axis of Flatten, or leave that out.
        value = assembler.reindexed(value, lambda index: index.reshape(-1))
    if value.shape[-1] != n_in:
        raise ValueError(f"takes {n_in} values and gets a tensor of shape {value.shape}")
    return assembler.dense(value, weight.T, bias)


def _conv(assembler: Assembler, node: Node, value: Value) -> Value:
    n = 2 if node.kind == "Conv2d" else 1
    weight = _weight(node, n + 2)
    if value.index.ndim != n + 1:
        raise ValueError(f"takes {n + 1} axes, channels first, and gets shape {value.shape}")
    stride, dilation = _pairs(node, ("stride", "dilation"), n)
    (groups,) = _whole(node, "groups", 1)
    bias = _real(node, "bias")
    n_out, n_in, *size = weight.shape
    if bias.shape not in ((n_out,), ()):
        raise ValueError(f"bias has shape {bias.shape} for {n_out} channels")
    if groups < 1 or n_in * groups != value.shape[0] or n_out % groups:
        raise ValueError(
            f"weight of shape {weight.shape} in {groups} groups for {value.shape[0]} channels"
        )
    kernel = weight.transpose(*range(2, n + 2), 1, 0).reshape((1, *size, n_in, n_out)[-4:])
    extent = (1, *value.shape[1:])[-2:]
    window = (1, *size)[-2:]
    padding = _sides(node, (window[0], window[1]), stride, dilation, (extent[0], extent[1]), n)
    return assembler.conv(
        value,
        kernel,
        np.broadcast_to(bias, (n_out,)),
        stride,
        padding,
        dilation,
        groups,
        channels_last=False,
    )


def _pool(assembler: Assembler, node: Node, value: Value) -> Value:
    if value.index.ndim != 3:
        raise ValueError(f"takes three axes, channels first, and gets shape {value.shape}")
    size, stride = _pairs(node, ("kernel_size", "stride"), 2)
    padding = _sides(node, size, stride, (1, 1), (value.shape[1], value.shape[2]), 2)
    found = assembler.avg_pool(value, size, stride, padding, channels_last=False)
    if node.kind == "AvgPool2d":
        return found
    return assembler.scale_shift(found, float(size[0] * size[1]), 0.0, channels_last=False)


def _scale(assembler: Assembler, node: Node, value: Value) -> Value:
    scale = _real(node, "scale")
    if scale.size == 1:
        scale = scale.reshape(())
    elif np.broadcast_shapes(scale.shape, value.shape) != value.shape:
        raise ValueError(f"scale has shape {scale.shape} for a tensor of shape {value.shape}")
    else:
        scale = np.broadcast_to(scale, value.shape)
        if (scale != scale[(slice(None), *[slice(1)] * (scale.ndim - 1))]).any():
            vector = assembler.reindexed(value, lambda index: index.reshape(-1))
            found = assembler.scale_shift(vector, scale.reshape(-1), 0.0, channels_last=False)
            return assembler.reindexed(found, lambda index: index.reshape(value.shape))
    return assembler.scale_shift(value, scale, 0.0, channels_last=False)


def _flatten(assembler: Assembler, node: Node, value: Value) -> Value:
    n_axes = value.index.ndim
    (start,), (end,) = _whole(node, "start_dim", 1), _whole(node, "end_dim", 1)
    if start == n_axes:  # of a vector, as writers that count the batch have it
        return value
    if not (-n_axes <= start < n_axes and -n_axes <= end <= n_axes):
        raise ValueError(f"axes {start} to {end} of a tensor of shape {value.shape}")
    first, last = range(n_axes)[start], end % n_axes if end < n_axes else n_axes - 1
    if first > last:
        raise ValueError(f"axes {start} to {end} of a tensor of shape {value.shape}")
    shape = (*value.shape[:first], -1, *value.shape[last + 1 :])
    return assembler.reindexed(value, lambda index: index.reshape(shape))


LINEAR: dict[str, Callable[[Assembler, Node, Value], Value]] = {
    "Affine": _affine,
    "Linear": _affine,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Scale": _scale,
    "Flatten": _flatten,
}
