"""Checks of what a simulation is asked for; each error names the argument."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from brian2 import Equations

from ..arrays import Integers
from ..spiking.inputs import Injection
from ..spiking.network import SpikingNetwork
from ..spiking.sequences import Frames


def require_whole_number(name: str, value: object, least: int, what: str = "") -> None:
    """Raise a ValueError unless `value` is a whole number of at least `least`.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
        Its value.
    least : int
        Smallest one that is allowed.
    what : str
        What it counts, for the message.
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or int(value) < least:  # type: ignore[call-overload]
        counted = f"{least} {what}".strip()
        raise ValueError(f"{name} must be a whole number of at least {counted}, got {value!r}")


def recorded_layers(network: SpikingNetwork, record: bool | Sequence[str]) -> tuple[int, ...]:
    """Indices of the layers to record, in their order."""
    names = [population.name for population in network.populations]
    if isinstance(record, str):
        raise ValueError(f"record takes a list of layers, got the string {record!r}")
    if not isinstance(record, bool | Sequence | np.ndarray):
        raise TypeError(f"record takes True, False or a list of layers, got {record!r}")
    if record is True:
        return tuple(range(len(names)))
    if not record:
        return ()
    unknown = sorted(set(record) - set(names))
    if unknown:
        raise ValueError(f"record: no layer {unknown[0]!r}; there are {', '.join(names)}")
    return tuple(sorted({names.index(name) for name in record}))


def checked_injections(
    network: SpikingNetwork, injections: Sequence[Injection], n_images: int
) -> tuple[Injection, ...]:
    """Injections, refused unless each goes into a variable of its own that nothing else sets."""
    if not isinstance(injections, Sequence) or not all(
        isinstance(injection, Injection) for injection in injections
    ):
        raise TypeError(f"inject takes a list of Injection, got {injections!r}")
    places = [(injection.target, injection.variable) for injection in injections]
    if len(set(places)) < len(places):
        raise ValueError("inject: two injections into one variable of one layer")
    for injection in injections:
        problem = _injection_problem(network, injection, n_images)
        if problem:
            raise ValueError(f"injection into {injection.target!r}: {problem}")
    return tuple(injections)


def _injection_problem(network: SpikingNetwork, injection: Injection, n_images: int) -> str | None:
    """What is wrong with an injection; None if nothing is."""
    names = [population.name for population in network.populations]
    if injection.target not in names:
        return f"no such layer; there are {', '.join(names)}"
    population = network.population(injection.target)
    kind = network.kind(population.neurons)
    variables = Equations(kind.equations).parameter_names
    if injection.variable not in variables:
        return (
            f"neurons of type {kind.name!r} have no variable {injection.variable!r} to set; there "
            f"are {', '.join(sorted(variables))}"
        )
    if re.search(rf"^\s*{injection.variable}\s*=", kind.every_phase, re.MULTILINE):
        return (
            f"neurons of type {kind.name!r} set {injection.variable!r} themselves in every phase; "
            "take a type that leaves it alone"
        )
    wanted = (n_images, network.n_phases, population.n_units)
    values = injection.values
    shape = values.shape if isinstance(values, Frames) else np.shape(values)
    if shape != wanted:
        return f"values of shape {shape}, {wanted} are needed (images, phases, units)"
    if not isinstance(values, Frames) and not np.isfinite(np.asarray(values)).all():
        return "values hold NaN or are infinite"
    return None


def traced_neurons(
    network: SpikingNetwork, traces: Mapping[str, Sequence[int]]
) -> dict[str, Integers]:
    """Neurons to trace, by type, in the order of the layers; for one copy."""
    if not isinstance(traces, Mapping):
        raise TypeError(
            f"traces: neurons by layer are needed, {{'act1': [0, 1]}} say, got {traces!r}"
        )
    names = [population.name for population in network.populations]
    unknown = [name for name in traces if name not in names]
    if unknown:
        raise ValueError(f"traces: no layer {unknown[0]!r}; there are {', '.join(names)}")
    offsets = dict.fromkeys((kind.name for kind in network.neurons), 0)
    found: dict[str, list[Integers]] = {kind: [] for kind in offsets}
    for population in network.populations:
        neurons = np.asarray(traces.get(population.name, ()))
        if neurons.ndim != 1 or (neurons.size and neurons.dtype.kind not in "iu"):
            raise ValueError(f"traces: of layer {population.name!r} a list of whole numbers")
        neurons = neurons.astype(np.int64)
        size = population.n_neurons
        if ((neurons < 0) | (neurons >= size)).any():
            raise ValueError(f"traces: neurons of layer {population.name!r} are 0 to {size - 1}")
        found[population.neurons].append(offsets[population.neurons] + neurons)
        offsets[population.neurons] += size
    return {kind: np.concatenate(parts) for kind, parts in found.items() if parts}
