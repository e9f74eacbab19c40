"""Perturbations between neurons: weights, delays, and the course of synaptic currents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..conversion.draws import GRID_VOLT, ON_GRID
from ..dyadic import power_of_two_at_least, round_to
from ..spiking.network import READOUT, Population, SpikingNetwork
from ..spiking.neuron_type import NeuronType
from ..spiking.projections import Projection, WeightedProjection, round_kernels
from .edits import chosen_layers, edited, grid_of, phase_ms, strength_of, time_of
from .perturbation import Perturbation

NOISY_BITS = 16  # of weights that were changed, sign included
MOST_BITS = 32
NEAREST = 0.5  # of a step: jitter below it changes no delay


def weight_noise(deviation: float, layers: Sequence[str] | None = None) -> Perturbation:
    """Weights that miss their value by a factor, normally distributed; the same for all images.

    Parameters
    ----------
    deviation : float
        Standard deviation, as a fraction of each weight.
    layers : sequence of str, optional
        Populations whose inputs miss; by default all, the read-out too.

    Returns
    -------
    Perturbation
        Of stored weights: a kernel that serves many places misses in the same way at each. Binary
        weights become real ones.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        if not 0 <= deviation < np.inf:
            raise ValueError(f"deviation must be at least 0, got {deviation!r}")

        def missed(p: WeightedProjection) -> WeightedProjection:
            drawn = rng.standard_normal(p.weights.shape)
            if not deviation:
                return p
            real = replace(p, is_binary=False) if isinstance(p, Projection) else p
            return real.with_weights(real.weights * (1 + deviation * drawn))

        return _reweighted(network, missed, layers, deviation > 0, 1 + 6 * deviation)

    return Perturbation(name="weight noise", strength=float(deviation), unit="", change=change)


def weight_bits(n_bits: int, layers: Sequence[str] | None = None) -> Perturbation:
    """Weights rounded to a few bits, sign included, on one grid for each connection.

    Parameters
    ----------
    n_bits : int
        Bits of a weight, from 1 to 32. Binary weights, which have one, stay as they are.
    layers : sequence of str, optional
        Populations whose inputs are rounded; by default all, the read-out too.

    Returns
    -------
    Perturbation
        The grid is a power of two and reaches from the largest weight down.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        if n_bits != int(n_bits) or not 1 <= n_bits <= MOST_BITS:
            raise ValueError(f"n_bits must be a whole number from 1 to {MOST_BITS}, got {n_bits!r}")

        def coarse(p: WeightedProjection) -> WeightedProjection:
            largest = float(np.abs(p.weights).max(initial=0.0))
            if largest == 0 or (isinstance(p, Projection) and p.is_binary):
                return p
            step = power_of_two_at_least(largest) / 2 ** (int(n_bits) - 1)
            return p.with_weights(round_to(p.weights, step))

        return _reweighted(network, coarse, layers, False, 2.0)

    return Perturbation(name="weight bits", strength=float(n_bits), unit="bits", change=change)


def _reweighted(
    network: SpikingNetwork,
    change: Any,
    layers: Sequence[str] | None,
    is_off_grid: bool,
    largest: float,
) -> SpikingNetwork:
    """A network with other weights, on a grid for each target; `largest` times as large at most."""
    chosen = chosen_layers(network, layers) | ({READOUT} if layers is None else set())
    projections: list[Any] = [
        change(p) if isinstance(p, WeightedProjection) and p.target in chosen else p
        for p in network.projections
    ]
    if is_off_grid:
        for target in chosen:
            own = [
                i
                for i, p in enumerate(projections)
                if isinstance(p, WeightedProjection) and p.target == target
            ]
            if own:
                rounded, _, _ = round_kernels([projections[i] for i in own], NOISY_BITS)
                for i, p in zip(own, rounded, strict=True):
                    projections[i] = p
    stimuli = tuple(
        replace(s, projections=tuple(change(p) for p in s.projections)) if s.target in chosen else s
        for s in network.stimuli
    )
    seen = {s.target for s in stimuli if s.projections and s.target in chosen}
    populations = tuple(
        replace(p, largest_input=p.largest_input * largest) if p.name in seen else p
        for p in network.populations
    )
    return replace(
        network, projections=tuple(projections), stimuli=stimuli, populations=populations
    )


def delay_jitter(deviation: Any, layers: Sequence[str] | None = None) -> Perturbation:
    """Axons of various lengths: delays that miss by a time, normally distributed, drawn once.

    Parameters
    ----------
    deviation : brian2.Quantity or float
        Standard deviation, or how many steps of the algorithm it is long. Each delay is moved to
        the nearest simulation step, and not below 0.
    layers : sequence of str, optional
        Populations whose axons differ; by default all.

    Returns
    -------
    Perturbation
        Of each neuron and connection; all spikes of an axon take the same time.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        steps = time_of("deviation", deviation, network) / network.dt_ms
        chosen = chosen_layers(network, layers)
        projections = []
        for p in network.projections:
            source = network.population(p.source)
            drawn = rng.standard_normal((source.n_positions, source.n_units))
            moved = np.floor(steps * drawn + NEAREST).astype(np.int64)
            if p.source in chosen and moved.any():
                delays = p.delays.reshape(source.n_positions, -1)
                p = replace(p, delays=np.maximum(delays + moved, 0))
            projections.append(p)
        return replace(network, projections=tuple(projections))

    strength, unit = strength_of(deviation, "steps")
    return Perturbation(name="delay jitter", strength=strength, unit=unit, change=change)


def synaptic_currents(
    decay: Any, rise: Any = 0.0, layers: Sequence[str] | None = None
) -> Perturbation:
    """Currents of finite rise and decay in place of jumps of the potential; the same charge in all.

    Parameters
    ----------
    decay, rise : brian2.Quantity or float
        Time constants, or how many steps of the algorithm they are long; 0 for a jump.
    layers : sequence of str, optional
        Populations whose synapses are slow; by default all. The read-out's are not.

    Returns
    -------
    Perturbation
        What has not arrived when the image ends is lost. All neurons of an AMOS gate see the same
        current, from the arrival of the spikes to the slot in which each decides.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        times = [
            time_of(name, given, network) for name, given in (("rise", rise), ("decay", decay))
        ]
        if any(kind.is_chain for kind in network.neurons):
            return _slow_gates(network, times, layers)
        kept = [float(np.exp(-phase_ms(network) / t)) if t else 0.0 for t in times]
        return edited(
            network,
            equations=lambda kind: "\n".join(
                [
                    "rising : 1    # what an algorithmic step leaves of a rising current",
                    "decaying : 1  # the same of a decaying one",
                    *(f"{c} : volt  # charge on its way" for _, c, _ in _stages(kind)),
                ]
            ),
            before=lambda kind: "\n".join(
                f"{current} = int(age > 0)*{current} + {afferent}\n"
                f"{afferent} = on_grid((1 - {keep})*{current})\n"
                f"{current} = {current} - {afferent}"
                for afferent, current, keep in _stages(kind)
            ),
            parameters={
                "rising": (lambda _: kept[0], 0.0),
                "decaying": (lambda _: kept[1], 0.0),
            },
            layers=layers,
            finest=grid_of(network, GRID_VOLT),
        )

    strength, unit = strength_of(decay, "steps")
    return Perturbation(name="synaptic currents", strength=strength, unit=unit, change=change)


def _stages(kind: NeuronType) -> list[tuple[str, str, str]]:
    """What a type's afferents pass through: afferent, variable of the current, its constant."""
    return [
        (afferent, f"{stage}_{afferent}", keep)
        for afferent in kind.afferents
        for stage, keep in (("rise", "rising"), ("decay", "decaying"))
    ]


def _slow_gates(
    network: SpikingNetwork, times: Sequence[float], layers: Sequence[str] | None
) -> SpikingNetwork:
    """Gates whose neurons see the part of the charge that has come when each decides."""

    def arrived(p: Population) -> Any:
        since = phase_ms(network) * (1 + np.arange(p.n_positions))[:, None, None, None]
        return part_of_charge(since, *times)

    found = edited(
        network,
        equations="arrived : 1  # part of the charge that has come when the neuron decides",
        parameters={"arrived": (arrived, 1.0)},
        layers=layers,
        finest=grid_of(network, GRID_VOLT),
    )
    (kind,) = found.neurons
    return found.with_neurons(
        kind.edited(every_phase={"drive": "on_grid(arrived*drive)"}, constants={"on_grid": ON_GRID})
    )


def part_of_charge(since_ms: Any, rise_ms: float, decay_ms: float) -> Any:
    """Part of its charge that a synaptic current has brought so long after the spike.

    Parameters
    ----------
    since_ms : array_like
        Time since the spike.
    rise_ms, decay_ms : float
        Time constants of the double-exponential current; 0 for none.

    Returns
    -------
    ndarray
        Integral of ``(exp(-t/decay) - exp(-t/rise))/(decay - rise)``, from 0 to 1.
    """
    t = np.asarray(since_ms, dtype=np.float64)
    slow, fast = max(rise_ms, decay_ms), min(rise_ms, decay_ms)
    if slow == 0:
        return np.ones_like(t)
    if fast == 0:
        return -np.expm1(-t / slow)
    if np.isclose(slow, fast):
        return 1 - (1 + t / slow) * np.exp(-t / slow)
    return 1 - (slow * np.exp(-t / slow) - fast * np.exp(-t / fast)) / (slow - fast)
