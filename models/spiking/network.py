"""The spiking network as plain data: populations, projections, inhibition and read-out.

Nothing here knows Brian2's objects or a trained network. A conversion scheme fills these
classes, :mod:`models.engine.simulate` runs them, and a NumPy reference can evaluate them.
Potentials are floats in **network units**; one of them is a power of two in volts, the unit in
which Brian2 stores potentials, so that every sum that is exact in network units is exact there.

Time has two grains. A simulation **step** of ``dt_ms`` is the least interval between two spikes of
a neuron. A **phase** of ``phase_steps`` steps is what one layer needs before the next can go on:
a single step where a neuron decides at once (AMOS), a whole burst and a pause where it does not.
Onsets and ages count phases.

How populations are connected stands in :mod:`models.spiking.projections`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..dyadic import exact_bits, grid_step
from ..networks.network import InputCoding
from .inputs import Stimulus
from .neuron_type import NeuronType
from .projections import Projection, WeightedProjection, WindowProjection, largest_sum


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Population:
    """Neurons of one layer.

    Every unit (one position and channel of a feature map) is a chain of ``n_positions``
    neurons, which is one for schemes with one neuron a unit.

    Parameters
    ----------
    name : str
        Name of the layer of the trained network that it stands for.
    neurons : str
        Name of their type.
    shape : (int, int, int)
        Height, width and channels of the map of units.
    n_positions : int
        Neurons of a unit.
    onset : int
        Phase, counted from the image's onset, in which the image reaches position 0.
    parameters : mapping of str to ndarray, shape (n_positions, height, width, channels)
        Constants of each neuron: potentials in network units, factors and counts.
    inhibition : ndarray, shape (n_positions, n_positions)
        Row i, column j: what a spike of position j takes from position i > j of the same unit,
        i - j steps later, in network units. Negative entries excite.
    largest_input : float
        Bound of what a neuron gets in a phase besides spikes, in network units.
    input_step : float
        Grid on which that lies, and the initial potential; ``inf`` for none.
    threshold : float
        Scale of voltages, in network units: the threshold of its neurons before biases, the largest
        where those of a unit differ.
    """

    name: str
    neurons: str
    shape: tuple[int, int, int]
    n_positions: int = 1
    onset: int
    parameters: Mapping[str, NDArray[np.floating] | NDArray[np.integer]] = field(
        default_factory=dict
    )
    inhibition: Array = field(default_factory=lambda: np.zeros((1, 1)))
    largest_input: float = 0.0
    input_step: float = np.inf
    threshold: float = 1.0

    def __post_init__(self) -> None:
        """Refuse parameters of another shape."""
        wanted = (self.n_positions, *self.shape)
        for name, values in self.parameters.items():
            if np.shape(values) != wanted:
                raise ValueError(
                    f"population {self.name!r}: parameter {name!r} has shape {np.shape(values)}, "
                    f"{wanted} are needed (positions, rows, columns, channels)"
                )

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"Population({self.name}: {shape} units, {self.n_neurons:,} {self.neurons} neurons)"

    def gain(self, afferent: int) -> NDArray[np.floating] | NDArray[np.integer]:
        """Factor of what spikes bring to one of the afferent variables, one a neuron or for all."""
        return self.parameters.get(gain_of(afferent), np.ones(1)).reshape(-1)

    @property
    def n_units(self) -> int:
        """Units of the map."""
        return int(np.prod(self.shape))

    @property
    def n_neurons(self) -> int:
        """Neurons of one image copy."""
        return self.n_units * self.n_positions


READOUT = "readout"


def gain_of(afferent: int) -> str:
    """Parameter by which neurons multiply what spikes bring to one of their afferent variables."""
    return "gain" if afferent == 0 else f"gain{afferent + 1}"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Readout:
    """Where the class scores accumulate; it does not spike.

    Parameters
    ----------
    n_steps : int
        Steps of the read-out during which contributions arrive.
    offset : ndarray, shape (n_classes,)
        Added to the scores, in units of the trained network's logits.
    gain : float or ndarray, shape (n_classes,)
        Factor of what arrives.
    is_mean : bool
        Scores are means over the steps so far instead of sums.
    onset : int
        Phase, from the image's onset, in which the first contribution can arrive.
    every : int
        Phases between successive scores.
    potentials : str
        Population whose potentials are the scores, instead of what arrives; empty for none.
    n_rows : int
        Accumulators of a class: as many as there are steps if images follow each other so
        closely that a step of one coincides with another step of the next, else 1.

    Notes
    -----
    Every step of the window is kept, so that the scores can be read at any time.
    """

    n_steps: int
    offset: Array
    gain: Array | float = 1.0
    is_mean: bool = False
    onset: int
    every: int = 1
    potentials: str = ""
    n_rows: int = 1

    def __repr__(self) -> str:
        if self.potentials:
            return f"Readout({self.n_classes} potentials of {self.potentials!r})"
        what = "means" if self.is_mean else "sums"
        return f"Readout({self.n_classes} classes, {what} over {self.n_steps} steps)"

    @property
    def n_classes(self) -> int:
        """Class scores."""
        return self.offset.size

    def logits(self, received: Array) -> Array:
        """Scores as they stand after each step: estimates of the trained network's logits.

        Parameters
        ----------
        received : ndarray, shape (n_images, n_steps, n_classes)
            What arrives in each step, or the potentials after it, in network units; fewer steps
            than the read-out has are its first ones.

        Returns
        -------
        ndarray, shape (n_images, n_steps, n_classes)

        Notes
        -----
        A mean is divided last, so that classes with equal sums have equal scores.
        """
        if self.potentials:
            return self.gain * received + self.offset
        total = self.gain * np.cumsum(received, axis=1)
        if not self.is_mean:
            return total + self.offset
        steps = 1.0 + np.arange(received.shape[1])[:, None]
        return (total + steps * self.offset) / steps


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SpikingNetwork:
    """Populations, projections and read-out of one converted network.

    Parameters
    ----------
    scheme, name : str
        Conversion scheme and trained network.
    neurons : tuple of NeuronType
        The types of the populations' neurons.
    populations : tuple of Population
        In feed-forward order.
    projections : tuple of Projection, SparseProjection and WindowProjection
        Feed-forward connections.
    stimuli : tuple of Stimulus
        Where the image enters.
    readout : Readout
        Class scores.
    image_shape : (int, int, int)
        Height, width and channels of an image.
    coding : InputCoding, optional
        What an image may hold; without it, any finite numbers.
    unit_volt : float
        One network unit in volts, a power of two.
    dt_ms : float
        Length of a step in ms.
    phase_steps : int
        Steps of a phase.
    n_phases : int
        Phases that an image takes up in each layer; the next may follow at once.
    most_spikes : int
        Most spikes of a neuron for one image.

    Raises
    ------
    ValueError
        If a projection does not fit its populations; the message names it.
    """

    scheme: str
    name: str
    neurons: tuple[NeuronType, ...]
    populations: tuple[Population, ...]
    projections: tuple[WeightedProjection | WindowProjection, ...]
    stimuli: tuple[Stimulus, ...]
    readout: Readout
    image_shape: tuple[int, int, int]
    coding: InputCoding | None = None
    unit_volt: float = 2.0**-10
    dt_ms: float = 1.0
    phase_steps: int = 1
    n_phases: int = 1
    most_spikes: int = 1

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        for population in self.populations:
            self.kind(population.neurons)
        if self.readout.potentials:
            self.population(self.readout.potentials)
        if len(self.neurons) > 1 and any(kind.is_chain for kind in self.neurons):
            raise ValueError(f"network {self.name!r}: chains of neurons allow no other type")
        for projection in self.projections:
            problem = self._problem_at_source(projection) or self._problem_at_target(projection)
            if problem:
                raise ValueError(f"projection {projection.name}: {problem}")
        if not 2.0**-30 < self.dt_s < 2.0**10:
            raise ValueError(
                f"network {self.name!r}: a step must be from 1e-5 ms to 1e6 ms long, not "
                f"{self.dt_ms} ms"
            )

    def __repr__(self) -> str:
        return (
            f"SpikingNetwork({self.scheme}, {self.name}: {len(self.populations)} populations, "
            f"{self.n_neurons:,} neurons, {self.n_synapses:,} synapses of "
            f"{self.n_kernel_weights:,} weights, {self.latency_ms:,} ms)"
        )

    def _problem_at_source(self, p: WeightedProjection | WindowProjection) -> str | None:
        """What does not fit in weights or at the source; None if all does."""
        source = self.population(p.source)
        if int(np.prod(p.source_shape)) != source.n_units:
            return f"it sees {p.source_shape} units, the source has {source.shape}"
        if isinstance(p, Projection) and p.is_binary and not (np.abs(p.kernel) == 1).all():
            return (
                "binary weights are +1 and -1; move the scale to the gain of the target's neurons"
            )
        for what in ("gains", "delays"):
            if len(getattr(p, what)) != source.n_positions:
                return f"{len(getattr(p, what))} {what} for {source.n_positions} neurons a unit"
        if p.delays.ndim > 1 and p.delays.shape[1:] != (source.n_units,):
            return f"delays of shape {p.delays.shape} for {source.n_units} units"
        return "negative delay" if (p.delays < 0).any() else None

    def _problem_at_target(self, p: WeightedProjection | WindowProjection) -> str | None:
        """What does not fit at the target; None if all does."""
        n_target = int(np.prod(p.target_shape))
        if p.target == READOUT:
            expected = self.readout.n_classes
        else:
            expected = self.population(p.target).n_units
        if n_target != expected:
            return f"{n_target} outputs for {expected} targets"
        if p.target == READOUT:
            return None
        if isinstance(p, WindowProjection):
            needed = p.n_places
        else:
            needed = 1 + max(other.afferent for other in self.incoming(p.target))
        kind = self.kind(self.population(p.target).neurons)
        if len(kind.afferents) != needed:
            return (
                f"neurons of type {kind.name!r} have {len(kind.afferents)} afferent variables, "
                f"{needed} are needed"
            )
        return None

    def population(self, name: str) -> Population:
        """Population of that name; KeyError lists the names there are."""
        for population in self.populations:
            if population.name == name:
                return population
        names = ", ".join(population.name for population in self.populations)
        raise KeyError(f"no population {name!r}; there are {names}")

    def kind(self, name: str) -> NeuronType:
        """Type of neurons of that name; KeyError lists the names there are."""
        for kind in self.neurons:
            if kind.name == name:
                return kind
        names = ", ".join(kind.name for kind in self.neurons)
        raise KeyError(f"no type of neurons {name!r}; there are {names}")

    def check_images(self, images: NDArray[Any]) -> Array:
        """Images as floats, refused unless the network can see them.

        Parameters
        ----------
        images : ndarray, shape (n, height, width, channels) or (n, n_steps, ...)
            Values that the input population codes; with an axis of steps, those of each step.

        Raises
        ------
        ValueError
            Wrong shape, no image, or a value that the network cannot see.
        """
        shape = self.image_shape
        images = np.asarray(images)
        if images.ndim == 5:
            if images.shape[1] != self.readout.n_steps:
                raise ValueError(
                    f"images of {images.shape[1]} steps for a network of {self.readout.n_steps}; "
                    "convert it with as many steps"
                )
            frames = self.check_images(images.reshape(-1, *images.shape[2:]))
            return frames.reshape(images.shape)
        if images.ndim != 4 or images.shape[1:] != shape or not len(images):
            raise ValueError(
                f"images must have shape (n, {shape[0]}, {shape[1]}, {shape[2]}) with n >= 1, got "
                f"{images.shape}"
            )
        if images.dtype.kind not in "biuf":
            raise ValueError(f"images must be integers or floats, got dtype {images.dtype}")
        images = images.astype(np.float64)
        if self.coding is not None:
            return self.coding.check(images)
        bad = ~np.isfinite(images).all(axis=(1, 2, 3))
        if bad.any():
            raise ValueError(f"image {int(np.argmax(bad))} holds NaN or infinite values")
        return images

    def incoming(self, target: str) -> tuple[WeightedProjection, ...]:
        """Weighted projections that end at `target`."""
        return tuple(
            p for p in self.projections if p.target == target and isinstance(p, WeightedProjection)
        )

    def window(self, target: str) -> WindowProjection | None:
        """The projection that fills the windows of population `target`, if it has any."""
        for p in self.projections:
            if p.target == target and isinstance(p, WindowProjection):
                return p
        return None

    @property
    def n_neurons(self) -> int:
        """Neurons for one image."""
        return sum(population.n_neurons for population in self.populations)

    @property
    def latency_phases(self) -> int:
        """Phases from an image's onset until its last contribution has reached the read-out."""
        return self.readout.onset + self.readout.every * (self.readout.n_steps - 1) + 1

    @property
    def n_steps(self) -> int:
        """Steps from an image's onset until its scores are complete, read-out step included."""
        return self.latency_phases * self.phase_steps + 1

    @property
    def dt_s(self) -> float:
        """Length of a step in seconds, to the nearest 2**-40 s (0.9 ps).

        Brian2 has a clock for steps, phases and images each, and compares their times to 1e-14 s.
        Of a step with few bits every multiple is exact, so that equal times stay equal.
        """
        return round(self.dt_ms * 1e-3 * 2**40) / 2**40

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
        return sum(p.weights.size for p in self.projections if isinstance(p, WeightedProjection))

    def with_neurons(self, neurons: NeuronType) -> SpikingNetwork:
        """The same network with other neurons of the type of the same name."""
        self.kind(neurons.name)
        kinds = tuple(neurons if kind.name == neurons.name else kind for kind in self.neurons)
        return replace(self, neurons=kinds)

    @cached_property
    def needed_bits(self) -> int:
        """Mantissa bits with which every sum of the network is exact, in any order.

        For each target the largest possible sum of positive and of negative contributions is
        compared with the grid on which all of its weights lie.
        """
        bits = self._target_bits(READOUT, np.zeros((1, 1)), 0.0, np.inf, lambda _: np.ones(1))
        for p in self.populations:
            found = self._target_bits(p.name, p.inhibition, p.largest_input, p.input_step, p.gain)
            bits = max(bits, found)
        return bits

    def _target_bits(
        self,
        target: str,
        inhibition: Array,
        largest_input: float,
        input_step: float,
        gain: Callable[[int], NDArray[np.floating] | NDArray[np.integer]],
    ) -> int:
        sums = self._sums[target]
        steps = [step * grid_step(gain(afferent)) for afferent, (_, step) in sums.items()]
        steps += [grid_step(inhibition), input_step]
        steps += [s.step for s in self.stimuli if s.target == target and s.step]
        largest = sum(
            most * self.most_spikes * float(np.abs(gain(afferent)).max())
            for afferent, (most, _) in sums.items()
        )
        largest += np.abs(inhibition).sum(axis=1).max() + largest_input * self.n_phases
        return exact_bits(largest, min(steps))

    @cached_property
    def _sums(self) -> dict[str, dict[int, tuple[float, float]]]:
        """By target and afferent: largest sum if each source spikes once, and its grid."""
        found: dict[str, dict[int, tuple[float, float]]] = {}
        for target in [*(p.name for p in self.populations), READOUT]:
            incoming: dict[int, list[WeightedProjection]] = {}
            for p in self.incoming(target):
                incoming.setdefault(p.afferent, []).append(p)
            found[target] = {
                afferent: (
                    largest_sum(own),
                    min(grid_step(p.weights) * grid_step(p.gains) for p in own),
                )
                for afferent, own in incoming.items()
            }
        return found

    def bits_of_a_phase(self, kind: NeuronType) -> int:
        """Mantissa bits with which the variables `sums` of a type of neurons are exact.

        A neuron spikes at most once a step, so that what arrives in a phase is at most the largest
        sum as many times as a phase has steps. Pooling neurons count up to one spike a step.
        """
        bits = exact_bits(self.n_phases * self.phase_steps + 1, 1.0)
        for p in self.populations:
            if p.neurons == kind.name:
                for most, step in self._sums[p.name].values():
                    bits = max(bits, exact_bits(most * self.phase_steps, step))
        return bits


class Converted(Protocol):
    """Whatever holds a spiking network: the result of a conversion, say."""

    @property
    def spiking(self) -> SpikingNetwork:
        """The network that runs."""


def spiking_network(given: SpikingNetwork | Converted) -> SpikingNetwork:
    """Return a spiking network, or the one that a conversion holds.

    Raises
    ------
    TypeError
        If it is neither.
    """
    found = given if isinstance(given, SpikingNetwork) else getattr(given, "spiking", None)
    if not isinstance(found, SpikingNetwork):
        raise TypeError(
            f"a converted network is needed, got {type(given).__name__}; convert it first"
        )
    return found
