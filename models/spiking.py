"""The spiking network as plain data: populations, projections, inhibition and read-out.

Nothing here knows Brian2's objects or a trained network. A conversion scheme fills these
classes, :mod:`models.simulation` runs them, and a NumPy reference can evaluate them. Times are
whole simulation steps of ``dt_ms``. Potentials are floats in **network units**, the units of the
trained network; one of them is 2**-10 V, or 0.977 mV. A power of two in volts, the unit in which
Brian2 stores potentials, keeps every sum exact that is exact in network units.

The one connection kind is the **pooled convolution**: an optional average-pooling window (its
divisor is already inside the kernel) followed by a convolution. A dense layer is the special
case whose kernel covers the whole map; global average pooling is a window as large as the map;
an identity shortcut is a 1x1 depthwise kernel. So one shared kernel serves every layer, and
nothing is unrolled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .dyadic import exact_bits, grid_step
from .layers import Conv2D, windows
from .network import InputCoding

Array = NDArray[np.float64]

UNIT_VOLT = 2.0**-10  # one network unit


@dataclass(frozen=True, kw_only=True)
class NeuronType:
    """Equations of one type of neuron, as Brian2 reads them.

    Parameters
    ----------
    name : str
        Name of the type and of its Brian2 group.
    equations : str
        Brian2 equations with units, one variable a line.
    every_step : str
        Statements run for every neuron at the start of each step, before integration.
    threshold, reset : str
        Brian2 threshold condition and reset statements.
    constants : mapping of str to brian2.Quantity
        Values of the names in the strings that are neither variables nor units.
    method : str
        Brian2 integration method of the differential equations, if there are any.

    Notes
    -----
    The engine needs the variables ``drive``, ``inhibition`` (volt), ``clocked`` (boolean) and
    one variable for each entry of :attr:`Population.parameters`; the rest is free. To change
    the biology, replace a type: ``network.with_neurons(replace(kind, equations=...))``.
    """

    name: str
    equations: str
    every_step: str
    threshold: str
    reset: str
    constants: Mapping[str, object] = field(default_factory=dict)
    method: str = "exact"


@dataclass(frozen=True, eq=False, kw_only=True)
class Population:
    """Neurons of one layer.

    Every unit (one position and channel of a feature map) is a chain of ``n_positions``
    neurons, which is one for schemes with one neuron a unit.

    Parameters
    ----------
    name : str
        Name of the layer of the trained network that it stands for.
    shape : (int, int, int)
        Height, width and channels of the map of units.
    n_positions : int
        Neurons of a unit.
    onset : int
        Step, counted from the image's onset, at which position 0 decides.
    parameters : mapping of str to ndarray, shape (n_positions, height, width, channels)
        Constants of each neuron, potentials in network units.
    inhibition : ndarray, shape (n_positions, n_positions)
        Row i, column j: what a spike of position j takes from position i > j of the same unit,
        i - j steps later, in network units. Negative entries excite.
    """

    name: str
    shape: tuple[int, int, int]
    n_positions: int
    onset: int
    parameters: Mapping[str, Array]
    inhibition: Array

    @property
    def n_units(self) -> int:
        """Units of the map."""
        return int(np.prod(self.shape))

    @property
    def n_neurons(self) -> int:
        """Neurons of one image copy."""
        return self.n_units * self.n_positions


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection:
    """A shared kernel from one population to another, or to the read-out.

    Parameters
    ----------
    source, target : str
        Population names; the read-out's name is ``READOUT``.
    kernel : ndarray, shape (kernel_h, kernel_w, channels_in / groups, channels_out)
        Weights in network units for a spike of gain 1.
    gains : ndarray, shape (n_positions of the source,)
        Factor of each position, dimensionless.
    delays : ndarray of int, shape (n_positions of the source,)
        Axonal delay of each position in steps.
    source_shape, target_shape : (int, int, int)
        The maps as this kernel sees them.
    pool, pool_stride, pool_padding : (int, int)
        Window summed before the convolution, (1, 1), (1, 1) and (0, 0) for none.
    stride, padding : (int, int)
        Of the convolution.
    groups : int
        Of the convolution.
    """

    source: str
    target: str
    kernel: Array
    gains: Array
    delays: NDArray[np.int64]
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    pool: tuple[int, int] = (1, 1)
    pool_stride: tuple[int, int] = (1, 1)
    pool_padding: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    @property
    def name(self) -> str:
        """Source and target in one string."""
        return f"{self.source}->{self.target}"

    @property
    def pooled_shape(self) -> tuple[int, int, int]:
        """Shape of the source map after pooling."""
        height, width, channels = self.source_shape
        rows = (height + 2 * self.pool_padding[0] - self.pool[0]) // self.pool_stride[0] + 1
        columns = (width + 2 * self.pool_padding[1] - self.pool[1]) // self.pool_stride[1] + 1
        return rows, columns, channels

    def forward(self, values: Array, kernel: Array | None = None) -> Array:
        """Weighted sum that each target unit receives.

        Parameters
        ----------
        values : ndarray, shape (n, n_source_units) or (n, height, width, channels)
            One value for each unit of the source.
        kernel : ndarray, optional
            Other weights of the same geometry.

        Returns
        -------
        ndarray, shape (n, n_target_units)
            In network units.
        """
        values = values.reshape(len(values), *self.source_shape)
        pooled = windows(values, self.pool, self.pool_stride, self.pool_padding, 0.0)
        kernel = self.kernel if kernel is None else kernel
        layer = Conv2D(
            name="projection",
            inputs=(self.source,),
            kernel=kernel,
            bias=np.zeros(kernel.shape[3]),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )
        return layer.apply(pooled.sum(axis=(4, 5))).reshape(len(values), -1)

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Target units reached by each source unit, shape (n_source_units,).

        Counted from the geometry: the number of (output, tap) pairs that use the unit. Zero
        weights inside a kernel count, and a unit in two overlapping pooling windows counts twice.
        """
        rows = _reach(self.source_shape[0], self.pooled_shape[0], self, 0)
        columns = _reach(self.source_shape[1], self.pooled_shape[1], self, 1)
        per_group = self.kernel.shape[3] // self.groups
        counts = rows[:, None, None] * columns[None, :, None] * per_group
        return np.broadcast_to(counts, self.source_shape).reshape(-1).astype(np.int64)


def _reach(size: int, pooled: int, projection: Projection, axis: int) -> NDArray[np.int64]:
    """Pairs of (pooled position, tap) along one axis that start at each source position."""
    taps = np.zeros(pooled, dtype=np.int64)
    n_out = (
        pooled + 2 * projection.padding[axis] - projection.kernel.shape[axis]
    ) // projection.stride[axis] + 1
    for out in range(n_out):
        start = out * projection.stride[axis] - projection.padding[axis]
        stop = start + projection.kernel.shape[axis]
        taps[max(start, 0) : min(stop, pooled)] += 1
    reach = np.zeros(size, dtype=np.int64)
    for position in range(pooled):
        start = position * projection.pool_stride[axis] - projection.pool_padding[axis]
        reach[max(start, 0) : min(start + projection.pool[axis], size)] += taps[position]
    return reach


READOUT = "readout"


@dataclass(frozen=True, eq=False, kw_only=True)
class Readout:
    """Where the class scores accumulate; it does not spike.

    Parameters
    ----------
    bias : ndarray, shape (n_classes,)
        Added to the accumulated scores, in network units.
    onset : int
        Step, from the image's onset, in which the first contribution can arrive.
    n_steps : int
        Steps during which contributions arrive; each is kept, so that the scores can be read
        at any time.
    """

    bias: Array
    onset: int
    n_steps: int


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikingNetwork:
    """Populations, projections and read-out of one converted network.

    Parameters
    ----------
    scheme, name : str
        Conversion scheme and trained network.
    neurons : NeuronType
        The neurons of all populations.
    populations : tuple of Population
        In feed-forward order; the first is the input, driven by the image itself.
    projections : tuple of Projection
        Feed-forward connections.
    readout : Readout
        Class scores.
    input_scale : float
        Drive in network units of an image value of 1 at the input population.
    coding : InputCoding, optional
        What an image may hold; without it, any finite numbers.
    dt_ms : float
        Length of a step in ms.

    Raises
    ------
    ValueError
        If a projection does not fit its populations; the message names it.
    """

    scheme: str
    name: str
    neurons: NeuronType
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    readout: Readout
    input_scale: float = 1.0
    coding: InputCoding | None = None
    dt_ms: float = 1.0

    def __post_init__(self) -> None:
        """Check that every projection fits its two ends."""
        for projection in self.projections:
            source = self.population(projection.source)
            if int(np.prod(projection.source_shape)) != source.n_units:
                raise ValueError(
                    f"projection {projection.name}: it sees {projection.source_shape} units, "
                    f"the source has {source.shape}"
                )
            for what in ("gains", "delays"):
                if len(getattr(projection, what)) != source.n_positions:
                    raise ValueError(
                        f"projection {projection.name}: {len(getattr(projection, what))} {what} "
                        f"for {source.n_positions} neurons a unit"
                    )
            if (projection.delays < 0).any():
                raise ValueError(f"projection {projection.name}: negative delay")
            n_target = int(np.prod(projection.target_shape))
            expected = (
                len(self.readout.bias)
                if projection.target == READOUT
                else self.population(projection.target).n_units
            )
            if n_target != expected:
                raise ValueError(
                    f"projection {projection.name}: {n_target} outputs for {expected} targets"
                )

    def population(self, name: str) -> Population:
        """Population of that name; KeyError lists the names there are."""
        for population in self.populations:
            if population.name == name:
                return population
        names = ", ".join(population.name for population in self.populations)
        raise KeyError(f"no population {name!r}; there are {names}")

    def incoming(self, target: str) -> tuple[Projection, ...]:
        """Projections that end at `target`."""
        return tuple(p for p in self.projections if p.target == target)

    @property
    def n_neurons(self) -> int:
        """Neurons for one image."""
        return sum(population.n_neurons for population in self.populations)

    @property
    def n_steps(self) -> int:
        """Steps from an image's onset until its scores are complete, read-out step included."""
        return self.readout.onset + self.readout.n_steps + 1

    @property
    def latency_ms(self) -> float:
        """Biological time from an image's onset until its scores are complete, in ms."""
        return self.n_steps * self.dt_ms

    @property
    def n_synapses(self) -> int:
        """Synapses that an unrolled network would have: every weight of every position."""
        return sum(
            int(projection.fan_out.sum()) * len(projection.gains) for projection in self.projections
        )

    @property
    def n_kernel_weights(self) -> int:
        """Weights that are stored."""
        return sum(projection.kernel.size for projection in self.projections)

    def with_neurons(self, neurons: NeuronType) -> SpikingNetwork:
        """The same network with another neuron type."""
        return replace(self, neurons=neurons)

    @cached_property
    def needed_bits(self) -> int:
        """Mantissa bits with which every sum of the network is exact, in any order.

        For each target the largest possible sum of positive and of negative contributions is
        compared with the grid on which all of its weights lie.
        """
        bits = 0
        for population in self.populations:
            bits = max(bits, self._target_bits(population.name, population.inhibition))
        return max(bits, self._target_bits(READOUT, np.zeros((1, 1))))

    def _target_bits(self, target: str, inhibition: Array) -> int:
        incoming = self.incoming(target)
        steps = [grid_step(p.kernel) * grid_step(p.gains) for p in incoming]
        steps.append(grid_step(inhibition))
        largest = (largest_sum(incoming) if incoming else 0.0) + np.abs(inhibition).sum(
            axis=1
        ).max()
        return exact_bits(largest, min(steps))


def largest_sum(incoming: Sequence[Projection]) -> float:
    """Largest size, in network units, of any partial sum of projections to one target.

    All positive contributions may arrive before all negative ones or after, so the two are
    bounded separately.
    """
    bounds = []
    for sign in (1.0, -1.0):
        total: Array | float = 0.0
        for p in incoming:
            for part in (sign, -sign):
                gain = np.maximum(part * sign * p.gains, 0.0).sum()
                ones = np.full((1, int(np.prod(p.source_shape))), gain)
                total = total + p.forward(ones, np.maximum(part * p.kernel, 0.0))
        bounds.append(float(np.max(total)))
    return max(bounds)
