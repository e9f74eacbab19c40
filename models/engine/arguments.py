"""Checks of what a simulation is asked for; each error names the argument."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import brian2
import numpy as np
from numpy.typing import NDArray

from ..spiking.inputs import Injection
from ..spiking.network import SpikingNetwork


def _is_whole(value: object, least: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return int(value) >= least


def _checked(network: SpikingNetwork, images: NDArray[Any]) -> NDArray[np.float64]:
    shape = network.image_shape
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != shape or not len(images):
        raise ValueError(
            f"images must have shape (n, {shape[0]}, {shape[1]}, {shape[2]}) with n >= 1, got "
            f"{images.shape}"
        )
    images = images.astype(np.float64)
    if network.coding is not None:
        return network.coding.check(images)
    bad = ~np.isfinite(images).all(axis=(1, 2, 3))
    if bad.any():
        raise ValueError(f"image {int(np.argmax(bad))} holds NaN or infinite values")
    return images


def _recorded_layers(network: SpikingNetwork, record: bool | Sequence[str]) -> tuple[int, ...]:
    names = [population.name for population in network.populations]
    if record is True:
        return tuple(range(len(names)))
    if not record:
        return ()
    unknown = sorted(set(record) - set(names))
    if unknown:
        raise ValueError(f"record: no layer {unknown[0]!r}; there are {', '.join(names)}")
    return tuple(sorted({names.index(name) for name in record}))


def _injections(
    network: SpikingNetwork, injections: Sequence[Injection], n_images: int
) -> tuple[Injection, ...]:
    names = [population.name for population in network.populations]
    places = [(injection.target, injection.variable) for injection in injections]
    if len(set(places)) < len(places):
        raise ValueError("inject: two injections into one variable of one layer")
    for injection in injections:
        what = f"injection into {injection.target!r}"
        if injection.target not in names:
            raise ValueError(f"{what}: no such layer; there are {', '.join(names)}")
        kind = network.kind(network.population(injection.target).neurons)
        variables = brian2.Equations(kind.equations).parameter_names
        if injection.variable not in variables:
            raise ValueError(
                f"{what}: neurons of type {kind.name!r} have no variable {injection.variable!r} to "
                f"set; there are {', '.join(sorted(variables))}"
            )
        if re.search(rf"^\s*{injection.variable}\s*=", kind.every_phase, re.MULTILINE):
            raise ValueError(
                f"{what}: neurons of type {kind.name!r} set {injection.variable!r} themselves in "
                "every phase; take a type that leaves it alone"
            )
        wanted = (n_images, network.n_phases, network.population(injection.target).n_units)
        if np.shape(injection.values) != wanted:
            raise ValueError(
                f"{what}: values of shape {np.shape(injection.values)}, {wanted} are needed "
                "(images, phases, units)"
            )
        if not np.isfinite(np.asarray(injection.values)).all():
            raise ValueError(f"{what}: values hold NaN or are infinite")
    return tuple(injections)


def _traced_neurons(
    network: SpikingNetwork, traces: Mapping[str, Sequence[int]]
) -> dict[str, NDArray[np.int64]]:
    """Neurons to trace, by type, in the order of the layers; for one copy."""
    names = [population.name for population in network.populations]
    unknown = [name for name in traces if name not in names]
    if unknown:
        raise ValueError(f"traces: no layer {unknown[0]!r}; there are {', '.join(names)}")
    offsets = dict.fromkeys((kind.name for kind in network.neurons), 0)
    found: dict[str, list[NDArray[np.int64]]] = {kind: [] for kind in offsets}
    for population in network.populations:
        neurons = np.asarray(traces.get(population.name, ()), dtype=np.int64)
        size = population.n_neurons
        if ((neurons < 0) | (neurons >= size)).any():
            raise ValueError(f"traces: neurons of layer {population.name!r} are 0 to {size - 1}")
        found[population.neurons].append(offsets[population.neurons] + neurons)
        offsets[population.neurons] += size
    return {kind: np.concatenate(parts) for kind, parts in found.items() if parts}
