"""The linear paths between the activations of a trained network, as projections.

Between one layer of spiking units and the next, a trained network applies linear layers only:
convolution, dense, average pooling, resampling, flattening, concatenation and addition. Everything
that leads from one source to one target becomes a shared kernel where the layers have one in
common, else a sparse matrix; and all constants along the way one bias per unit.

Layers are merged one after the other onto a normal form, average pooling and then a convolution::

    1x1, then any convolution       one kernel; also after any convolution that is not padded again
    any convolution, then 1x1       one kernel
    pooling, then a convolution     the normal form itself
    1x1, then pooling               change places
    pooling, then pooling           one window if they tile, else a kernel of ones on the first
    flattening, then dense          a kernel that covers the map
    concatenation                   the next kernel's own channels; at the end, the target's
    resampling                      pooling or a depthwise kernel, if it treats all places alike

Each rule is exact at the border: where the zeros around a map in between would have to be something
else (3x3 padded, then 3x3 padded), none is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array, eye_array, kron

from ..arrays import Array
from ..networks.layers import (
    INPUT,
    Activation,
    Add,
    AvgPool2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Resample2D,
    Shape,
)
from ..networks.network import Network
from ..spiking.projections import Projection, SparseProjection, WeightedProjection
from .convolutions import (
    LARGEST_MATRIX,
    Convolution,
    TooLargeError,
    Windows,
    by_group,
    convolution_of,
    identity,
    nested,
    product,
    require_size,
    resampling,
    windows_of,
)

CONVOLUTIONS = (Conv2D, Dense, AvgPool2D, GlobalAvgPool)
LINEAR = (*CONVOLUTIONS, Resample2D, Flatten, Concat, Add)


def linear_paths(
    network: Network, node: str, ends: tuple[type[Layer], ...] = (Activation,)
) -> list[WeightedProjection]:
    """Paths from spiking layers (or the input) to the value of layer `node`.

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    node : str
        Name of a linear layer or of a spiking one.
    ends : tuple of type
        Kinds of layers whose units spike, so that paths start there.

    Returns
    -------
    list of Projection and SparseProjection
        To `node`, without gains and delays; their sum, plus a bias, is its value. The weights
        include the divisors of pooling.

    Raises
    ------
    ValueError
        If a layer on the way is not linear (max pooling, for instance), or if linear layers
        without a common kernel follow each other whose matrix is too large; the message names
        the layers.
    """
    starts, between = _region(network, node, ends)
    shapes = network.shapes
    forms: dict[str, list[_Form]] = {
        name: [_Kernel.unchanged(name, shapes[name])] for name in starts
    }
    for layer in between:
        found = []
        for number, source in enumerate(layer.inputs):
            for form in forms[source]:
                with _naming(network, (*form.layers, layer.name)):
                    found.append(_then(form, layer, number, shapes))
        with _naming(network, [layer.name]):
            forms[layer.name] = _summed(found)
    paths = []
    for form in forms[node]:
        with _naming(network, form.layers):
            paths.append(form.projection(node))
    return paths


def path_sources(
    network: Network, node: str, ends: tuple[type[Layer], ...] = (Activation,)
) -> list[str]:
    """Where the linear paths to `node` start; as :func:`linear_paths`, without their weights."""
    return _region(network, node, ends)[0]


def bias_map(network: Network, node: str, resting: dict[str, Array | float]) -> Array:
    """Value of `node` while every activation shows its resting output, shape (H, W, C).

    Parameters
    ----------
    network : Network
        Without batch normalisation.
    node : str
        Layer whose value is asked for.
    resting : dict of str to float or ndarray
        Output of each activation, and of ``"input"``, when no neuron spikes.

    Notes
    -----
    Biases and resting outputs go through the layers themselves, so that zero padding, which a
    constant bias per channel would get wrong at the border, is accounted for.
    """
    values = {
        name: np.broadcast_to(np.asarray(value, dtype=np.float64), (1, *network.shapes[name]))
        for name, value in resting.items()
    }
    for layer in network.layers:
        if layer.name not in values:
            values[layer.name] = layer.apply(*(values[source] for source in layer.inputs))
        if layer.name == node:
            break
    return values[node][0]


def unrolled(path: WeightedProjection) -> SparseProjection:
    """The same weights without a shared kernel.

    Raises
    ------
    TooLargeError
        If there are too many.
    """
    if isinstance(path, SparseProjection):
        return path
    channels = path.source_shape[2]
    pool = Convolution(
        *windows_of(path.pool, path.pool_stride, path.pool_padding, (1, 1)),
        np.ones((*path.pool, 1, channels)),
        channels,
    )
    size = path.kernel.shape[0], path.kernel.shape[1]
    windows = windows_of(size, path.stride, path.padding, path.dilation)
    convolution = Convolution(*windows, path.kernel, path.groups)
    matrix = product(pool.matrix(path.source_shape), convolution.matrix(path.pooled_shape))
    return SparseProjection(
        source=path.source,
        target=path.target,
        matrix=_placed(matrix, path.kernel.shape[3], path.channel, path.target_shape[2]),
        gains=path.gains,
        delays=path.delays,
        source_shape=path.source_shape,
        target_shape=path.target_shape,
    )


@contextmanager
def _naming(network: Network, layers: Sequence[str]) -> Iterator[None]:
    """Refuse a matrix that is too large with the names of the layers that need it."""
    try:
        yield
    except TooLargeError:
        names = ", ".join(layers)
        raise ValueError(
            f"network {network.name!r}: the layers {names} lie between two activations and have "
            f"no common kernel; as a sparse matrix they need more than {LARGEST_MATRIX:,} weights. "
            "Put an activation between them"
        ) from None


def _region(
    network: Network, node: str, ends: tuple[type[Layer], ...]
) -> tuple[list[str], list[Layer]]:
    """Spiking layers (or the input) from which linear layers lead to `node`, and these layers."""
    by_name = {layer.name: layer for layer in network.layers}
    starts: dict[str, None] = {}
    between: set[str] = set()
    pending = [node]
    while pending:
        name = pending.pop()
        if name in between:
            continue
        if name == INPUT or isinstance(by_name[name], ends):
            starts[name] = None
            continue
        layer = by_name[name]
        if not isinstance(layer, LINEAR):
            raise ValueError(
                f"network {network.name!r}: {layer.label} cannot become spiking neurons in this "
                "scheme: only dense, convolution, average pooling, resampling, flatten, "
                "concatenation and addition may stand between activations. Train with other "
                "layers instead, or choose a scheme that has this one"
            )
        between.add(name)
        pending += reversed(layer.inputs)
    return list(starts), [layer for layer in network.layers if layer.name in between]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Kernel:
    """Some linear layers as average pooling and a convolution.

    Parameters
    ----------
    source : str
        Where they start.
    layers : tuple of str
        Their names.
    source_shape : (int, int, int)
        Map of the source.
    pool : (Windows, Windows), optional
        Rows and columns of the windows that are summed.
    divisor : float
        Of all pooling.
    convolution : Convolution, optional
        Of the pooled map; None for none.
    first, total : int
        The result's channels are those from `first` on of `total`; the others are 0.
    factor : ndarray, shape (n_units,), optional
        If the result is flattened: what each of its units is multiplied by.
    """

    source: str
    layers: tuple[str, ...]
    source_shape: Shape
    pool: tuple[Windows, Windows] | None = None
    divisor: float = 1.0
    convolution: Convolution | None = None
    first: int = 0
    total: int
    factor: Array | None = None

    @classmethod
    def unchanged(cls, source: str, shape: Shape) -> _Kernel:
        """No layer yet."""
        return cls(source=source, layers=(), source_shape=shape, total=shape[2])

    @property
    def pooled_shape(self) -> Shape:
        """Map on which the convolution works."""
        height, width, channels = self.source_shape
        if self.pool is None:
            return self.source_shape
        return self.pool[0].count(height), self.pool[1].count(width), channels

    @property
    def own_shape(self) -> Shape:
        """Map that the convolution gives: the channels that are not 0, before any flattening."""
        if self.convolution is None:
            return self.pooled_shape
        return self.convolution.output_shape(self.pooled_shape)

    def then(self, layer: Layer, start: int, total: int) -> _Kernel | None:
        """One more layer that is not an addition, or None if the result has no such form.

        `start` and `total`: the channels among the layer's own to which it brings the result, for
        a concatenation.
        """
        if self.factor is not None:
            return self._flat_then(layer)
        if isinstance(layer, Flatten):
            return self._flattened()
        if isinstance(layer, Concat):
            return replace(self, first=self.first + start, total=total)
        if isinstance(layer, Resample2D):
            added = resampling(layer, self.total)
            if added is None:
                return None
            is_sum = bool((added.kernel == 1).all())
            return self._pooled(added, 1.0) if is_sum else self._convolved(added)
        if not isinstance(layer, CONVOLUTIONS):
            return None
        added, divisor = convolution_of(layer, (*self.own_shape[:2], self.total))
        if isinstance(layer, AvgPool2D | GlobalAvgPool):
            return self._pooled(added, divisor)
        return self._convolved(added)

    def _flattened(self) -> _Kernel:
        flat = self if self.total == self.own_shape[2] else self._whole()
        return replace(flat, factor=np.ones(int(np.prod(flat.own_shape))))

    def _flat_then(self, layer: Layer) -> _Kernel | None:
        """A layer after flattening: dense, or a factor of each unit, as batch normalisation is."""
        assert self.factor is not None
        if isinstance(layer, Flatten):
            return self
        if isinstance(layer, Dense):
            kernel = layer.kernel
        elif not isinstance(layer, Conv2D) or layer.size != (1, 1) or any(layer.padding):
            return None
        elif layer.groups == 1:
            kernel = layer.kernel[0, 0]
        elif layer.kernel.shape == (1, 1, 1, layer.groups):
            return replace(self, factor=self.factor * layer.kernel.ravel())
        else:
            return None
        height, width, channels = self.own_shape
        covering = (self.factor[:, None] * kernel).reshape(height, width, channels, -1)
        return replace(self, factor=None)._convolved(
            Convolution(Windows(height), Windows(width), covering)
        )

    def _pooled(self, added: Convolution, divisor: float) -> _Kernel | None:
        """Pooling, as a sum over windows that a 1x1 convolution lets through."""
        divisor *= self.divisor
        if self.convolution is None or self.convolution.is_pointwise:
            pool = self._pools(added)
            if pool is not None:
                return replace(self, pool=pool, divisor=divisor)
        found = self._convolved(added)
        return None if found is None else replace(found, divisor=divisor)

    def _pools(self, added: Convolution) -> tuple[Windows, Windows] | None:
        """Pooling after pooling as one, if every place is then in as many windows as before."""
        if self.pool is None:
            return _undilated(added.rows, added.columns)
        pools = []
        for own, more, extent in zip(
            self.pool, (added.rows, added.columns), self.source_shape[:2], strict=True
        ):
            both = nested(own, more, extent)
            if both is None or both.windows.size != own.size * more.size:
                return None
            pools.append(both.windows)
        return _undilated(pools[0], pools[1])

    def _convolved(self, added: Convolution) -> _Kernel | None:
        """A convolution; it sees its own channels of what is concatenated."""
        first, total = 0, added.kernel.shape[3]
        below = self
        if self.total != self.own_shape[2]:
            own = slice(self.first, self.first + self.own_shape[2])
            if added.groups == 1:
                added = replace(added, kernel=added.kernel[:, :, own])
            elif added.groups == self.total:
                each = added.kernel.shape[3] // self.total
                first = self.first * each
                made = slice(first, own.stop * each)
                n_own = self.own_shape[2]
                added = replace(added, kernel=added.kernel[..., made], groups=n_own)
            else:
                below = self._whole()
        if below.convolution is not None:
            merged = below.convolution.then(added, below.pooled_shape)
            if merged is None:
                return None
            added = merged
        return replace(below, convolution=added, first=first, total=total)

    def _whole(self) -> _Kernel:
        """The same with the channels that are 0 in the kernel."""
        own = self.convolution or identity(self.own_shape[2])
        kernel = by_group(own.kernel, own.groups, 1)[0]
        whole = np.zeros((*kernel.shape[:3], self.total))
        whole[..., self.first : self.first + kernel.shape[3]] = kernel
        return replace(self, convolution=replace(own, kernel=whole, groups=1), first=0)

    def plus(self, other: _Form) -> _Form | None:
        """Sum of two that start at one source, if their weights can be added."""
        if not isinstance(other, _Kernel) or self.divisor != other.divisor:
            return None
        one, two = (form.convolution or identity(form.own_shape[2]) for form in (self, other))
        is_alike = (
            (self.pool, self.first, self.total, one.rows, one.columns, one.groups)
            == (other.pool, other.first, other.total, two.rows, two.columns, two.groups)
        ) and one.kernel.shape == two.kernel.shape
        if not is_alike or self._scales or other._scales:
            return None
        return replace(self, convolution=replace(one, kernel=one.kernel + two.kernel))

    @property
    def _scales(self) -> bool:
        """Whether the units of the flattened result have factors, which no kernel has."""
        return self.factor is not None and bool((self.factor != 1).any())

    def as_matrix(self) -> _Matrix:
        """The same as a sparse matrix."""
        path = unrolled(replace(self, factor=None).projection(""))
        matrix = path.matrix
        if self._scales:
            assert self.factor is not None
            matrix = matrix.multiply(self.factor).tocsr()
        return _Matrix(
            source=self.source, layers=self.layers, source_shape=self.source_shape, matrix=matrix
        )

    def projection(self, node: str) -> WeightedProjection:
        """What brings the spikes of the source to `node`."""
        if self._scales:
            return self.as_matrix().projection(node)
        own = self.convolution or identity(self.own_shape[2])
        rows, columns = self.pool or (Windows(), Windows())
        return Projection(
            source=self.source,
            target=node,
            kernel=own.kernel / self.divisor,
            gains=np.ones(1),
            delays=np.zeros(1, dtype=np.int64),
            source_shape=self.source_shape,
            target_shape=(*self.own_shape[:2], self.total),
            pool=(rows.size, columns.size),
            pool_stride=(rows.stride, columns.stride),
            pool_padding=(rows.before, rows.after, columns.before, columns.after),
            stride=(own.rows.stride, own.columns.stride),
            padding=(own.rows.before, own.rows.after, own.columns.before, own.columns.after),
            dilation=(own.rows.dilation, own.columns.dilation),
            groups=own.groups,
            channel=self.first,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Matrix:
    """Some linear layers as a sparse matrix, shape (n_source_units, n_units)."""

    source: str
    layers: tuple[str, ...]
    source_shape: Shape
    matrix: csr_array

    def then(self, layer: Layer, shape: Shape, start: int, total: int) -> _Matrix:
        """One more layer that is not an addition, on a map of `shape`; as of `_Kernel`."""
        if isinstance(layer, Flatten):
            return self
        if isinstance(layer, Concat):
            return replace(self, matrix=_placed(self.matrix, shape[2], start, total))
        if isinstance(layer, Resample2D):
            step = _resampling_matrix(layer, shape[2])
        else:
            convolution, divisor = convolution_of(layer, shape)
            step = convolution.matrix(shape) / divisor
        return replace(self, matrix=product(self.matrix, step))

    def plus(self, other: _Form) -> _Form | None:
        """Sum of two that start at one source."""
        if not isinstance(other, _Matrix):
            return None
        total = (self.matrix + other.matrix).tocsr()
        require_size(total.nnz)
        return replace(self, matrix=total)

    def projection(self, node: str) -> SparseProjection:
        """What brings the spikes of the source to `node`."""
        return SparseProjection(
            source=self.source,
            target=node,
            matrix=self.matrix,
            gains=np.ones(1),
            delays=np.zeros(1, dtype=np.int64),
            source_shape=self.source_shape,
            target_shape=(1, 1, self.matrix.shape[1]),
        )


_Form = _Kernel | _Matrix


def _undilated(rows: Windows, columns: Windows) -> tuple[Windows, Windows] | None:
    """Windows without gaps, as pooling has them."""
    return (rows, columns) if rows.dilation == columns.dilation == 1 else None


def _then(form: _Form, layer: Layer, number: int, shapes: dict[str, Shape]) -> _Form:
    """The layers so far, and one more that takes them as its input of that number."""
    if isinstance(layer, Add):
        return form
    start = sum(shapes[source][2] for source in layer.inputs[:number])
    shape, total = shapes[layer.inputs[number]], shapes[layer.name][2]
    found: _Form | None = None
    if isinstance(form, _Kernel):
        found = form.then(layer, start, total)
    if found is None:
        matrix = form.as_matrix() if isinstance(form, _Kernel) else form
        found = matrix.then(layer, shape, start, total)
    return replace(found, layers=(*form.layers, layer.name))


def _summed(forms: list[_Form]) -> list[_Form]:
    """As few as possible with the same sum."""
    kept: list[_Form] = []
    for form in forms:
        for index, other in enumerate(kept):
            both = other.plus(form) if other.source == form.source else None
            if both is not None:
                kept[index] = both
                break
        else:
            kept.append(form)
    return kept


def _resampling_matrix(layer: Resample2D, channels: int) -> csr_array:
    """Matrix of resampling a map, source units to target units."""
    rows, columns = csr_array(layer.rows.T), csr_array(layer.columns.T)
    require_size(rows.nnz * columns.nnz * channels)
    return csr_array(kron(kron(rows, columns), eye_array(channels), format="csr"))


def _placed(matrix: csr_array, channels: int, start: int, total: int) -> csr_array:
    """Matrix to a map of `channels` as one to those from `start` on of `total`."""
    if channels == total:
        return matrix
    place, channel = np.divmod(matrix.indices, channels)
    n_places = matrix.shape[1] // channels
    return csr_array(
        (matrix.data, place * total + start + channel, matrix.indptr),
        shape=(matrix.shape[0], n_places * total),
    )
