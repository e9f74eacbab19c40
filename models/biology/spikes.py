"""Perturbations of the spikes: pauses after them, spikes that get lost, neurons that have none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dyadic import round_to
from ..spiking.network import Population, SpikingNetwork
from ..spiking.neuron_type import NeuronType
from .edits import edited, strength_of, time_of
from .perturbation import Perturbation

OFF_GRID = 1e-6  # of a step: rounding errors of times


def refractory(pause: Any, layers: Sequence[str] | None = None) -> Perturbation:
    """No spike within a time after each.

    Parameters
    ----------
    pause : brian2.Quantity or float
        Least interval between two spikes of a neuron, or how many steps of the algorithm it is
        long; up to the next simulation step. What arrives meanwhile is kept.
    layers : sequence of str, optional
        Populations.

    Returns
    -------
    Perturbation
        Each image starts with rested neurons. AMOS neurons spike once at most, and never feel it.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        steps = time_of("pause", pause, network) / network.dt_ms
        n_steps = int(np.ceil(steps - OFF_GRID))
        return edited(
            network,
            equations="""
                rest : integer   # simulation steps until the neuron may spike again
                pause : integer  # least interval in simulation steps
            """,
            before="rest = int(age != 0)*rest",
            each_step="rest = rest - int(rest > 0)",
            threshold="rest == 0",
            reset="rest = pause",
            parameters={"pause": (lambda _: n_steps, 0)},
            layers=layers,
            of_pooling=True,
        )

    strength, unit = strength_of(pause, "steps")
    return Perturbation(name="refractory", strength=strength, unit=unit, change=change)


def dead_neurons(fraction: float, layers: Sequence[str] | None = None) -> Perturbation:
    """Neurons that never spike, drawn once.

    Parameters
    ----------
    fraction : float
        Probability that a neuron is dead, from 0 to 1.
    layers : sequence of str, optional
        Populations.

    Returns
    -------
    Perturbation
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        _require_fraction("fraction", fraction)
        # Drawn for all populations, whichever are chosen: a neuron's fate is its own.
        lives = {
            p.name: (rng.random((p.n_positions, *p.shape)) >= fraction).astype(np.int64)
            for p in network.populations
        }

        def own(p: Population) -> Any:
            return lives[p.name]

        return edited(
            network,
            equations="lives : integer  # 0: a dead neuron",
            threshold="lives > 0",
            parameters={"lives": (own, 1)},
            layers=layers,
            of_pooling=True,
        )

    return Perturbation(name="dead neurons", strength=float(fraction), unit="", change=change)


def transmission_failure(probability: float, layers: Sequence[str] | None = None) -> Perturbation:
    """Spikes that die on the axon, so that none of their targets hears of them.

    Parameters
    ----------
    probability : float
        Of each spike, from 0 to 1; fresh for each image, neuron and step.
    layers : sequence of str, optional
        Populations whose spikes fail.

    Returns
    -------
    Perturbation
        The neuron is reset as after any spike. Recordings and counts hold the spikes that travel.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        _require_fraction("probability", probability)
        rounded = float(round_to(probability, 2.0**-32))
        drawn = "int(uniform(seed, image, neuron, STEP, STREAM) < p_failure)"
        return edited(
            network,
            equations="""
                p_failure : 1   # probability that a spike dies on the axon
                lost : integer  # 1: the neuron spiked in this step, and its spike died
            """,
            each_step=lambda kind: f"lost = int({kind.threshold})*{drawn}\n{_where_lost(kind)}",
            threshold="lost == 0",
            parameters={"p_failure": (lambda _: rounded, 0.0)},
            layers=layers,
            of_pooling=True,
        )

    return Perturbation(
        name="transmission failure",
        strength=float(probability),
        unit="",
        change=change,
        is_last=True,
    )


def _where_lost(kind: NeuronType) -> str:
    """A type's reset, as statements that act where ``lost`` is 1 and change nothing elsewhere."""
    found = []
    for line in kind.reset.splitlines():
        code = line.split("#")[0].strip()
        if not code:
            continue
        parts = re.fullmatch(r"(\w+)\s*([-+*/]?)=\s*(.+)", code)
        if parts is None:
            raise ValueError(f"its reset {code!r} is no assignment of a line")
        name, operation, value = parts.groups()
        after = f"{name} {operation} ({value})" if operation else value
        is_zero = re.fullmatch(r"0(\.0*)?(\s*\*\s*\w+)?", after)
        kept = f"{name} = (1 - lost)*{name}"
        found.append(kept if is_zero else f"{kept} + lost*({after})")
    return "\n".join(found)


def _require_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}")
