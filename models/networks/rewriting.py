"""From a network to an equivalent one that a scheme can hold.

Each function returns a network with the same logits up to rounding, in which one kind of layer is
expressed by others; without that kind, the layers are the same. Only `with_pieces` is as near as
its pieces are. What takes the place of a layer ends with a layer of its name.
`Network.fold_batch_norm` is of this family.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from .layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    QuantisedReLU,
    Resample2D,
    Shape,
    scale_and_shift,
)
from .network import Network
from .piecewise import PiecewiseLinear

MONOTONE = ("relu", "sigmoid", "tanh", "clip", "hardsigmoid", "elu", "softplus")
Namer = Callable[[str], str]  # from what a new layer does to a name that no other layer has


def never_falls(layer: Layer) -> bool:
    """Whether a layer is a function of each unit alone that does not decrease."""
    if isinstance(layer, Activation):
        return layer.function in MONOTONE
    if isinstance(layer, LeakyReLU):
        return bool((layer.slope >= 0).all())
    if isinstance(layer, BatchNorm):
        return bool((layer.scale >= 0).all())
    return isinstance(layer, QuantisedReLU)


def pool_after_activation(
    network: Network, may_swap: Callable[[Layer], bool] = never_falls
) -> Network:
    """Max pooling after the activation that follows it, as pooling of spikes needs it.

    A function that never falls commutes with the maximum. Spiking units stay where they are:
    over several steps they depend on more than the present potential. Pooling that follows an
    activation stays, too.

    Parameters
    ----------
    network : Network
        With MaxPool2D whose only user is such an activation, or a batch normalisation without
        negative factors.
    may_swap : callable
        Which of the layers that never fall change places; all by default.

    Returns
    -------
    Network
        With the two in the other order and under their names.
    """

    def found(layers: Sequence[Layer]) -> tuple[Layer, Layer] | None:
        activations = {x.name for x in layers if isinstance(x, Activation | QuantisedReLU)}
        for pool in layers:
            if isinstance(pool, MaxPool2D) and pool.inputs[0] not in activations:
                after = _only_user(layers, pool)
                if after is not None and never_falls(after) and may_swap(after):
                    return pool, after
        return None

    return _swapped(network, found)


def pool_before_activation(network: Network, may_swap: Callable[[Layer], bool]) -> Network:
    """Max pooling before the activation that it follows, which is then of fewer units.

    Parameters
    ----------
    network : Network
        With MaxPool2D that is the only user of an activation that never falls.
    may_swap : callable
        Which of these activations change places.

    Returns
    -------
    Network
        With the two in the other order and under their names.
    """

    def found(layers: Sequence[Layer]) -> tuple[Layer, Layer] | None:
        for layer in layers:
            pool = _only_user(layers, layer)
            if isinstance(pool, MaxPool2D) and never_falls(layer) and may_swap(layer):
                return layer, pool
        return None

    return _swapped(network, found)


def _only_user(layers: Sequence[Layer], layer: Layer) -> Layer | None:
    users = [user for user in layers if layer.name in user.inputs]
    return users[0] if len(users) == 1 else None


def _swapped(
    network: Network, found: Callable[[Sequence[Layer]], tuple[Layer, Layer] | None]
) -> Network:
    """The network after a layer and its only user changed places, as long as two are found."""
    layers = list(network.layers)
    while (pair := found(layers)) is not None:
        first, second = pair
        swapped: list[Layer] = []
        for layer in layers:
            if layer is first:
                swapped.append(replace(second, inputs=first.inputs))
            elif layer is second:
                swapped.append(replace(first, inputs=(second.name,)))
            else:
                inputs = (first.name if name == second.name else name for name in layer.inputs)
                swapped.append(replace(layer, inputs=tuple(inputs)))
        layers = swapped
    return replace(network, layers=tuple(layers))


def pick_before_activation(network: Network) -> Network:
    """Places that max pooling picks from an activation are picked before it.

    Windows of several sizes are such picks. A function of each unit alone commutes with them, and
    pooling of spikes needs the units that spike.

    Parameters
    ----------
    network : Network
        With a Resample2D that only picks places, between an activation and MaxPool2D.

    Returns
    -------
    Network
        With an activation of the picked places, and without the first where nobody else uses it.
    """
    pools = {layer.inputs[0] for layer in network.layers if isinstance(layer, MaxPool2D)}

    def expand(layer: Layer, _: Shape, named: Namer) -> list[Layer]:
        if layer.name not in pools or not isinstance(layer, Resample2D) or not _picks(layer):
            return [layer]
        source = next((own for own in network.layers if own.name == layer.inputs[0]), None)
        if not isinstance(source, Activation | QuantisedReLU):
            return [layer]
        picked = replace(layer, name=named("of"), inputs=source.inputs)
        return [picked, replace(source, name=layer.name, inputs=(picked.name,))]

    return _expanded(network, expand)


def _picks(layer: Resample2D) -> bool:
    """Whether each output place is one of the input's."""
    return all(
        ((matrix == 0) | (matrix == 1)).all() and (matrix.sum(axis=1) == 1).all()
        for matrix in (layer.rows, layer.columns)
    )


def with_relu_only(network: Network) -> Network:
    """Piecewise linear activations as sums of ReLUs.

    clip(x, low, high) = low + relu(x - low) - relu(x - high), hardsigmoid(x) = relu(x / 6 + 1 / 2)
    - relu(x / 6 - 1 / 2), and LeakyReLU(x) = relu(x) - slope * relu(-x).

    Parameters
    ----------
    network : Network
        Any.

    Returns
    -------
    Network
        Without clip, hardsigmoid and LeakyReLU.
    """

    def expand(layer: Layer, shape: Shape, named: Namer) -> list[Layer]:
        terms = _relu_terms(layer)
        return [layer] if terms is None else _relu_sum(layer, layer.inputs, shape, named, terms)

    return _expanded(network, expand)


def with_pieces(network: Network, fits: Mapping[str, PiecewiseLinear]) -> Network:
    """Straight pieces in place of activations, as one layer of ReLUs each.

    Parameters
    ----------
    network : Network
        Any.
    fits : mapping of str to PiecewiseLinear
        By name of the activation.

    Returns
    -------
    Network
        With the pieces' values. The ReLUs of a channel follow each other, in the order of the
        terms.
    """

    def expand(layer: Layer, shape: Shape, named: Namer) -> list[Layer]:
        if layer.name not in fits:
            return [layer]
        terms, constant = fits[layer.name].terms()
        n = shape[2]
        scales, shifts, weights = (np.tile(values, n) for values in zip(*terms, strict=True))
        into = Conv2D(named("into"), layer.inputs, scales[None, None, None], shifts, groups=n)
        relu = Activation(named("relu"), (into.name,), "relu")
        kernel = weights.reshape(1, 1, n, -1).swapaxes(2, 3)
        return [
            into,
            relu,
            Conv2D(layer.name, (relu.name,), kernel, np.full(n, constant), groups=n),
        ]

    return _expanded(network, expand)


def pool_each_relu(network: Network) -> Network:
    """Max pooling of a clipped activation as a sum of max poolings of ReLUs.

    No ReLU of clip and hardsigmoid falls where another rises, so that all have their maximum at the
    same place of a window. Of LeakyReLU, one falls: it stays.

    Parameters
    ----------
    network : Network
        With MaxPool2D that follows a clip or hardsigmoid.

    Returns
    -------
    Network
        With ReLUs that are pooled one by one, and without the activation where nobody else uses it.
    """

    def expand(layer: Layer, shape: Shape, named: Namer) -> list[Layer]:
        source = next((own for own in network.layers if own.name == layer.inputs[0]), None)
        if source is None or isinstance(source, LeakyReLU) or not isinstance(layer, MaxPool2D):
            return [layer]
        terms = _relu_terms(source)
        if terms is None:
            return [layer]
        return _relu_sum(layer, source.inputs, shape, named, terms, pool=layer)

    return _expanded(network, expand)


def relu_sums(before: Network, after: Network) -> dict[str, tuple[str, ...]]:
    """The ReLUs that the functions of this file have put into a network.

    Parameters
    ----------
    before, after : Network
        The network and what it became.

    Returns
    -------
    dict of str to tuple of str
        By layer that became a sum or a tournament: its layers of ReLUs, in their order.
    """
    old = {layer.name for layer in before.layers}
    sums: dict[str, list[str]] = {}
    for layer in after.layers:
        of, is_term, _ = layer.name.rpartition("_relu")
        if is_term and layer.name not in old and isinstance(layer, Activation):
            sums.setdefault(of, []).append(layer.name)
    return {of: tuple(names) for of, names in sums.items()}


class _Terms(NamedTuple):
    """The sum over terms (a, b, w) of w * relu(a * x + b), and a constant."""

    terms: Sequence[tuple[float, float, float | Array]]
    constant: float = 0.0


def _relu_terms(layer: Layer) -> _Terms | None:
    """A piecewise linear activation as such a sum."""
    if isinstance(layer, LeakyReLU):
        return _Terms([(1.0, 0.0, 1.0), (-1.0, 0.0, -layer.slope)])
    if isinstance(layer, Activation) and layer.function == "clip":
        low, high = layer.parameters
        return _Terms([(1.0, -low, 1.0), (1.0, -high, -1.0)], low)
    if isinstance(layer, Activation) and layer.function == "hardsigmoid":
        return _Terms([(1 / 6, 0.5, 1.0), (1 / 6, -0.5, -1.0)])
    return None


def _relu_sum(
    layer: Layer,
    inputs: tuple[str, ...],
    shape: Shape,
    named: Namer,
    wanted: _Terms,
    pool: MaxPool2D | None = None,
) -> list[Layer]:
    """The sum of ReLUs of `inputs`, each pooled if there is a `pool`; the constant in the last."""
    ones = np.ones(shape[2])
    layers: list[Layer] = []
    ends = []
    for number, (scale, shift, weight) in enumerate(wanted.terms, start=1):
        (end,) = inputs
        if (scale, shift) != (1.0, 0.0):
            layers.append(scale_and_shift(named("shifted"), end, scale * ones, shift * ones))
            end = layers[-1].name
        layers.append(Activation(named("relu"), (end,), "relu"))
        if pool is not None:
            layers.append(replace(pool, name=named("pool"), inputs=(layers[-1].name,)))
        if number == len(wanted.terms):
            end = layers[-1].name
            constant = wanted.constant * ones
            layers.append(scale_and_shift(named("scaled"), end, weight * ones, constant))
        ends.append(layers[-1].name)
    return [*layers, Add(layer.name, tuple(ends))]


def max_by_pairs(network: Network, pools: Container[str] | None = None) -> Network:
    """Max pooling as a tournament, in which max(a, b) = a + relu(b - a).

    First along rows, then along columns; a window of k places needs k - 1 ReLUs along an axis, in
    log2(k) rounds, rounded up. Places in the padding never win: behind a ReLU they are 0, so that
    all windows are alike and share one kernel; elsewhere the nearest place of the window that is on
    the map stands for them.

    Parameters
    ----------
    network : Network
        Any.
    pools : container of str, optional
        Names of the MaxPool2D to be rewritten; all by default.

    Returns
    -------
    Network
        Without these MaxPool2D.
    """
    never_negative = {
        layer.name
        for layer in network.layers
        if isinstance(layer, QuantisedReLU)
        or (isinstance(layer, Activation) and layer.function == "relu")
    }

    def expand(layer: Layer, shape: Shape, named: Namer) -> list[Layer]:
        if not isinstance(layer, MaxPool2D) or (pools is not None and layer.name not in pools):
            return [layer]
        (source,) = layer.inputs
        layers: list[Layer] = []
        after = layer.output_shape(shape)
        for axis, other in ((0, shape[1]), (1, after[0])):
            start = np.arange(after[axis]) * layer.stride[axis] - layer.padding[2 * axis]
            first = np.maximum(start, 0)
            last = np.minimum(start + layer.size[axis], shape[axis]) - 1
            picks = []
            for place in (start + i for i in range(layer.size[axis])):
                inside = np.clip(place, first, last)
                picks.append(np.eye(shape[axis])[inside])
                if layer.inputs[0] in never_negative:
                    picks[-1][inside != place] = 0
            line = _Line(axis, other, layers, named)
            source = line.largest(source, picks)
        if not layers:  # windows of one place
            layers = [Resample2D("x", (source,), np.eye(shape[0]), np.eye(shape[1]))]
        return [*layers[:-1], replace(layers[-1], name=layer.name)]

    return _expanded(network, expand)


class _Picked(NamedTuple):
    """One entry of each window: a layer, and a matrix that picks the entries along the axis."""

    source: str
    matrix: Array


class _Line:
    """Writes the layers of a tournament along one axis.

    Parameters
    ----------
    axis : int
        0 for rows, 1 for columns.
    other : int
        Extent of the other axis.
    layers : list of Layer
        Where the layers are put.
    named : callable
        Gives names.
    """

    def __init__(self, axis: int, other: int, layers: list[Layer], named: Namer) -> None:
        self.axis = axis
        self.other = other
        self.layers = layers
        self.named = named

    def largest(self, source: str, places: Sequence[Array]) -> str:
        """The layer that holds the largest of `places`, matrices along the axis of `source`."""
        rivals = [_Picked(source, matrix) for matrix in places]
        while len(rivals) > 1:
            left = rivals[len(rivals) // 2 * 2 :]
            pairs = list(zip(rivals[::2], rivals[1::2], strict=False))
            # What is taken from the same layers is one map, window behind window.
            winners: list[_Picked] = []
            for sources in dict.fromkeys((a.source, b.source) for a, b in pairs):
                own = [(a.matrix, b.matrix) for a, b in pairs if (a.source, b.source) == sources]
                a, b = (np.concatenate(matrices) for matrices in zip(*own, strict=True))
                winner = self._larger(_Picked(sources[0], a), _Picked(sources[1], b))
                parts = np.split(np.eye(len(a)), len(own))
                winners += [_Picked(winner, part) for part in parts]
            rivals = winners + left
        return self._picked(rivals[0])

    def _larger(self, a: _Picked, b: _Picked) -> str:
        """The layer that holds a + relu(b - a)."""
        if a.source == b.source:
            difference = self._picked(_Picked(a.source, b.matrix - a.matrix))
        else:
            parts = self._picked(b), self._picked(_Picked(a.source, -a.matrix))
            difference = self._put(Add(self.named("lead"), parts))
        gain = self._put(Activation(self.named("relu"), (difference,), "relu"))
        return self._put(Add(self.named("larger"), (self._picked(a), gain)))

    def _picked(self, entry: _Picked) -> str:
        matrix = entry.matrix
        if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix))):
            return entry.source
        rows, columns = (matrix, np.eye(self.other))[:: -1 if self.axis else 1]
        return self._put(Resample2D(self.named("pick"), (entry.source,), rows, columns))

    def _put(self, layer: Layer) -> str:
        self.layers.append(layer)
        return layer.name


def products_by_squares(network: Network) -> Network:
    """Products of two layers by squares: a * b = ((a + b)^2 - (a - b)^2) / 4.

    Parameters
    ----------
    network : Network
        Any.

    Returns
    -------
    Network
        Without Multiply, with activations ``"square"``.
    """

    def expand(layer: Layer, shape: Shape, named: Namer) -> list[Layer]:
        if not isinstance(layer, Multiply):
            return [layer]
        a, b = layer.inputs
        if a == b:
            return [Activation(layer.name, (a,), "square")]
        ones = np.ones(shape[2])
        minus = scale_and_shift(named("minus"), b, -ones)
        layers: list[Layer] = [minus]
        quarters = []
        for partner, sign in ((b, 1.0), (minus.name, -1.0)):
            total = Add(named("sum"), (a, partner))
            square = Activation(named("square"), (total.name,), "square")
            quarter = scale_and_shift(named("quarter"), square.name, sign / 4 * ones)
            layers += [total, square, quarter]
            quarters.append(quarter.name)
        return [*layers, Add(layer.name, tuple(quarters))]

    return _expanded(network, expand)


def _expanded(
    network: Network, expand: Callable[[Layer, Shape, Namer], Sequence[Layer]]
) -> Network:
    """The network with each layer replaced by those that `expand` makes of it.

    `expand` gets the layer, the shape of its first input, and a function that gives names. A layer
    that loses all its users is left out.
    """
    taken = {layer.name for layer in network.layers}
    layers: list[Layer] = []
    for layer in network.layers:

        def named(what: str, of: str = layer.name) -> str:
            number = 1
            while (name := f"{of}_{what}{number}") in taken:
                number += 1
            taken.add(name)
            return name

        layers += expand(layer, network.shapes[layer.inputs[0]], named)
    lost = _used(network.layers) - _used(layers)
    return replace(network, layers=tuple(own for own in layers if own.name not in lost))


def _used(layers: Sequence[Layer]) -> set[str]:
    return {name for layer in layers for name in layer.inputs}
