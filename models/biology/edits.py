"""Changes of all neurons of a network at once, and the scales of a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from brian2 import Quantity, have_same_dimensions, second, volt
from numpy.typing import NDArray

from ..arrays import Array
from ..conversion.draws import ADDRESS, NORMAL, ON_GRID, UNIFORM
from ..conversion.pooling import PoolingNeuron
from ..spiking.network import Population, SpikingNetwork
from ..spiking.neuron_type import NeuronType

FUNCTIONS = {"normal": NORMAL, "uniform": UNIFORM, "on_grid": ON_GRID}
Values = Callable[[Population], Any]
Text = str | Callable[[NeuronType], str]


def phase_ms(network: SpikingNetwork) -> float:
    """Time scale of a network in ms: what a layer needs for a step of the algorithm."""
    return network.phase_steps * network.dt_ms


def threshold_mv(network: SpikingNetwork) -> float:
    """Voltage scale of a network in mV: threshold of its neurons, mean over those that are tested.

    See :attr:`models.spiking.network.Population.threshold`.
    """
    neurons = [p for p in network.populations if not is_pooling(network, p)]
    sizes = [p.n_neurons for p in neurons]
    mean = np.average([p.threshold for p in neurons], weights=sizes)
    return float(mean * network.unit_volt * 1e3)


def is_pooling(network: SpikingNetwork, population: Population) -> bool:
    """Whether the neurons of a population count the spikes of a pooling window."""
    return isinstance(network.kind(population.neurons), PoolingNeuron)


def time_of(what: str, given: Any, network: SpikingNetwork) -> float:
    """A time in ms: a quantity, or a number of the network's own steps.

    Raises
    ------
    ValueError
        If it is no time, or below 0.
    """
    if isinstance(given, Quantity):
        if not have_same_dimensions(given, second):
            raise ValueError(f"{what} is a time, 2*ms say, got {given}")
        return _at_least_0(what, float(given / second) * 1e3)
    return _at_least_0(what, float(given)) * phase_ms(network)


def voltage_of(what: str, given: Any, network: SpikingNetwork, population: Population) -> float:
    """A voltage in network units: a quantity, or a fraction of the population's threshold.

    Raises
    ------
    ValueError
        If it is no voltage, or below 0.
    """
    if isinstance(given, Quantity):
        if not have_same_dimensions(given, volt):
            raise ValueError(f"{what} is a voltage, 1*mV say, got {given}")
        return _at_least_0(what, float(given / volt)) / network.unit_volt
    return _at_least_0(what, float(given)) * population.threshold


def _at_least_0(what: str, value: float) -> float:
    if not 0 <= value < np.inf:
        raise ValueError(f"{what} must be at least 0 and finite, got {value:g}")
    return value


def strength_of(given: Any, own: str) -> tuple[float, str]:
    """Number and unit of what a perturbation was given; `own` is the unit of a plain number."""
    if not isinstance(given, Quantity):
        return float(given), own
    if have_same_dimensions(given, second):
        return float(given / second) * 1e3, "ms"
    if have_same_dimensions(given, volt):
        return float(given / volt) * 1e3, "mV"
    return float(given), str(given.dim)


def dyadic(value: float, bits: int = 12) -> float:
    """Nearest number with few bits, so that its products stay exact."""
    if value == 0:
        return 0.0
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))


def edited(
    network: SpikingNetwork,
    *,
    equations: Text = "",
    before: Text = "",
    each_step: Text = "",
    threshold: str = "",
    reset: str = "",
    parameters: Mapping[str, tuple[Values, Any]] | None = None,
    layers: Sequence[str] | None = None,
    of_pooling: bool = False,
    finest: float = np.inf,
    largest: float = 0.0,
) -> SpikingNetwork:
    """Add to the equations of every type of neurons.

    Parameters
    ----------
    network : SpikingNetwork
        What is changed.
    equations : str or callable
        Further lines; here and in statements, text or ``text(kind)`` of a type. Neurons whose
        statements name ``normal`` or ``uniform`` get ``seed``, ``image`` and ``neuron`` by
        themselves; ``STEP`` in a statement stands for the number of the simulation step within the
        image, and ``STREAM`` for a number that no other draw has.
    before, each_step : str or callable
        Statements at the start of each phase, before those of the type, and of each step, after
        them: right before the threshold is tested.
    threshold, reset : str
        A further condition, and further statements after a spike.
    parameters : mapping of str to (callable, value)
        What a population gets for a variable, network units or numbers, broadcast to (n_positions,
        height, width, channels); and the value that changes nothing, for all other layers. Declare
        it among the equations.
    layers : sequence of str, optional
        Populations whose neurons change; by default all.
    of_pooling : bool
        Whether the neurons of pooling windows, which count spikes, change too.
    finest : float
        Grid in network units on which the potentials now lie, if that is finer.
    largest : float
        What is added to a potential in a phase at most, in network units.

    Returns
    -------
    SpikingNetwork

    Raises
    ------
    ValueError
        If there is no such layer, or the neurons are integrated by differential equations, whose
        steps statements cannot follow.
    """
    chosen = chosen_layers(network, layers)
    kinds = {}
    for kind in network.neurons:
        if isinstance(kind, PoolingNeuron) and not of_pooling:
            continue
        if re.search(r"^\s*d\w+\s*/\s*dt\s*=", kind.equations, re.MULTILINE):
            raise ValueError(
                f"neurons of type {kind.name!r} have a differential equation of their own; edit it "
                "instead (docs/change-the-biology.md)"
            )
        lines, first, last = (
            text if isinstance(text, str) else text(kind) for text in (equations, before, each_step)
        )
        kinds[kind.name] = _edited(kind, network.phase_steps, lines, first, last, threshold, reset)
    populations = tuple(
        _with_parameters(p, parameters or {}, p.name in chosen, finest, largest)
        if p.neurons in kinds
        else p
        for p in network.populations
    )
    neurons = tuple(kinds.get(kind.name, kind) for kind in network.neurons)
    return replace(network, neurons=neurons, populations=populations)


def chosen_layers(network: SpikingNetwork, layers: Sequence[str] | None) -> set[str]:
    """Names of the populations that are meant.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    names = [p.name for p in network.populations]
    if layers is None:
        return set(names)
    for name in [layers] if isinstance(layers, str) else layers:
        if name not in names:
            raise ValueError(f"no layer {name!r}; there are {', '.join(names)}")
    return {layers} if isinstance(layers, str) else set(layers)


def _edited(
    kind: NeuronType,
    phase_steps: int,
    equations: str,
    before: str,
    each_step: str,
    threshold: str,
    reset: str,
) -> NeuronType:
    """A type with what is added."""
    step = "age" if phase_steps == 1 else f"(age*{phase_steps} + t_in_timesteps % {phase_steps})"
    n_draws = len(re.findall(r"\b(?:normal|uniform)\(", _texts(kind)))

    def filled(text: str) -> str:
        text = re.sub(r"\bSTEP\b", step, text)
        nonlocal n_draws
        while "STREAM" in text:
            text = re.sub(r"\bSTREAM\b", str(n_draws), text, count=1)
            n_draws += 1
        return text

    changed = replace(
        kind,
        equations=_joined(kind.equations, equations),
        every_phase=_joined(filled(before), kind.every_phase),
        every_step=_joined(kind.every_step, filled(each_step)),
        threshold=f"({kind.threshold}) and {threshold}" if threshold else kind.threshold,
        reset=_joined(kind.reset, reset),
        sums=(),
    )
    texts = _texts(changed)
    used = {name: f for name, f in FUNCTIONS.items() if re.search(rf"\b{name}\(", texts)}
    if {"normal", "uniform"} & used.keys() and not re.search(r"^\s*seed\s*:", texts, re.MULTILINE):
        changed = replace(changed, equations=_joined(changed.equations, ADDRESS))
    return replace(changed, constants={**kind.constants, **used})


def _texts(kind: NeuronType) -> str:
    return "\n".join(
        (kind.equations, kind.every_phase, kind.every_step, kind.threshold, kind.reset)
    )


def _joined(*texts: str) -> str:
    return "\n".join(text for text in texts if text.strip())


def _with_parameters(
    population: Population,
    parameters: Mapping[str, tuple[Values, Any]],
    is_chosen: bool,
    finest: float,
    largest: float,
) -> Population:
    """A population with values for new variables, and bounds for its sums."""
    shape = (population.n_positions, *population.shape)
    new: dict[str, NDArray[Any]] = {
        name: np.broadcast_to(np.asarray(values(population) if is_chosen else neutral), shape)
        for name, (values, neutral) in parameters.items()
    }
    return replace(
        population,
        parameters={**population.parameters, **new},
        input_step=min(population.input_step, finest),
        largest_input=population.largest_input + largest,
    )


def grid_of(network: SpikingNetwork, volts: float) -> float:
    """A grid in volts, in network units."""
    return volts / network.unit_volt


def per_neuron(rng: np.random.Generator, population: Population) -> Array:
    """Normal numbers, shape (n_positions, height, width, channels)."""
    return rng.standard_normal((population.n_positions, *population.shape))
