"""Perturbations of the membrane: leak, mismatch of thresholds, noise from inside and outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from brian2 import Hz, Quantity, have_same_dimensions

from ..arrays import Array
from ..conversion.draws import GRID_VOLT
from ..dyadic import round_to
from ..philox import LARGEST_NORMAL, NORMAL_STEP
from ..spiking.network import Population, SpikingNetwork
from ..spiking.neuron_type import NeuronType
from .edits import (
    chosen_layers,
    dyadic,
    edited,
    grid_of,
    is_pooling,
    per_neuron,
    strength_of,
    time_of,
    voltage_of,
)
from .perturbation import Perturbation

MISMATCH_STEP = 2.0**-16  # grid of thresholds, as a fraction of the layer's threshold
MOST_RATE = 1.0  # background spikes of a kind that a neuron gets in a simulation step


def leak(tau: Any, layers: Sequence[str] | None = None) -> Perturbation:
    """Membranes that forget: ``dv/dt = -v/tau`` over each simulation step.

    Parameters
    ----------
    tau : brian2.Quantity or float
        Membrane time constant, or how many steps of the algorithm it is long; infinite for none.
    layers : sequence of str, optional
        Populations; by default all. So it is in all perturbations.

    Returns
    -------
    Perturbation
        Potentials lie on the multiples of 2**-40 V, where they are summed exactly. An AMOS neuron,
        whose potential is renewed in every step, forgets during that one.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        tau_ms = np.inf if _is_endless(tau) else time_of("tau", tau, network)
        keep = np.exp(-network.dt_ms / tau_ms) if tau_ms else 0.0
        return edited(
            network,
            equations="keep : 1  # exp(-dt/tau): what a step leaves of the potential",
            each_step="v = on_grid(keep*v)  # dv/dt = -v/tau over one step",
            parameters={"keep": (lambda _: keep, 1.0)},
            layers=layers,
            finest=grid_of(network, GRID_VOLT),
        )

    return _named("leak", tau, "steps", change)


def _is_endless(tau: Any) -> bool:
    return bool(np.isinf(np.asarray(tau, dtype=np.float64)))


def threshold_mismatch(deviation: Any, layers: Sequence[str] | None = None) -> Perturbation:
    """Thresholds that differ from neuron to neuron, normally distributed; the same for all images.

    Parameters
    ----------
    deviation : brian2.Quantity or float
        Standard deviation, or which fraction of the threshold it is.
    layers : sequence of str, optional
        Populations.

    Returns
    -------
    Perturbation
        A neuron with soft reset takes off its own threshold, so that its gain changes too. Of AMOS
        gates, whose neurons have thresholds of various size, the fraction is one of the largest.
        Neurons of pooling windows count spikes and keep their thresholds.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        chosen = chosen_layers(network, layers)
        shift = {}
        for p in network.populations:
            sigma = voltage_of("deviation", deviation, network, p) * (p.name in chosen)
            drawn = per_neuron(rng, p)
            step = MISMATCH_STEP * _power_of_two(p.threshold)
            shift[p.name] = round_to(sigma * drawn, step)
        step = min(MISMATCH_STEP * _power_of_two(p.threshold) for p in network.populations)
        return _with_thresholds(network, shift, step)

    return _named("threshold mismatch", deviation, "thresholds", change)


def _power_of_two(value: float) -> float:
    """Largest power of two that is not above a positive value."""
    return float(2.0 ** np.floor(np.log2(value)))


def _with_thresholds(network: SpikingNetwork, shift: dict[str, Any], step: float) -> SpikingNetwork:
    """A network whose neurons have thresholds of their own."""
    kinds: dict[str, NeuronType] = {}
    moved: dict[str, tuple[str, Array]] = {}
    for kind in network.neurons:
        mine = [p for p in network.populations if p.neurons == kind.name]
        if is_pooling(network, mine[0]):
            continue
        own = [name for name in ("theta", "v_th") if name in mine[0].parameters]
        if own:
            moved |= {p.name: (own[0], p.parameters[own[0]] + shift[p.name]) for p in mine}
        elif "v_th" in kind.constants:
            constants = {k: v for k, v in kind.constants.items() if k != "v_th"}
            line = "v_th : volt  # threshold of each neuron"
            kinds[kind.name] = replace(
                kind, equations=f"{kind.equations}\n{line}", constants=constants, sums=()
            )
            v_th = float(np.asarray(kind.constants["v_th"])) / network.unit_volt
            moved |= {p.name: ("v_th", v_th + shift[p.name]) for p in mine}
        else:
            raise ValueError(
                f"neurons of type {kind.name!r} have no threshold called v_th or theta; their "
                f"condition is {kind.threshold!r}"
            )
    populations = tuple(
        replace(
            p,
            parameters={**p.parameters, moved[p.name][0]: moved[p.name][1]},
            input_step=min(p.input_step, step),
        )
        if p.name in moved
        else p
        for p in network.populations
    )
    neurons = tuple(kinds.get(kind.name, kind) for kind in network.neurons)
    return replace(network, neurons=neurons, populations=populations)


def membrane_noise(sigma: Any, layers: Sequence[str] | None = None) -> Perturbation:
    """White noise on the potential, fresh for each image, neuron and step.

    Parameters
    ----------
    sigma : brian2.Quantity or float
        Standard deviation of what it adds in a step of the algorithm, or which fraction of the
        threshold that is. It is spread evenly over the simulation steps.
    layers : sequence of str, optional
        Populations.

    Returns
    -------
    Perturbation
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        def deviation(p: Population) -> float:
            a_phase = voltage_of("sigma", sigma, network, p)
            return dyadic(a_phase / np.sqrt(network.phase_steps))

        largest = max(deviation(p) for p in network.populations)
        finest = min((_grid(deviation(p)) for p in network.populations), default=np.inf)
        return edited(
            network,
            equations="noise : volt  # s.d. of what white noise adds in a simulation step",
            each_step="v = v + int(age >= 0)*noise*normal(seed, image, neuron, STEP, STREAM)",
            parameters={"noise": (deviation, 0.0)},
            layers=layers,
            finest=finest * NORMAL_STEP,
            largest=largest * LARGEST_NORMAL * network.phase_steps,
        )

    return _named("membrane noise", sigma, "thresholds", change)


def _grid(value: float) -> float:
    """Grid of a number made by `dyadic`; infinite for 0."""
    return float(np.ldexp(1.0, np.frexp(value)[1] - 12)) if value else np.inf


def background(rate: Any, size: Any = 0.25, layers: Sequence[str] | None = None) -> Perturbation:
    """Spikes from outside, as many that excite as that inhibit, at random times.

    Parameters
    ----------
    rate : brian2.Quantity or float
        Of either kind for each neuron, or how many come in a step of the algorithm. At most one a
        simulation step.
    size : brian2.Quantity or float
        By which one moves the potential, or which fraction of the threshold that is.
    layers : sequence of str, optional
        Populations.

    Returns
    -------
    Perturbation
        In each step a neuron gets one of either kind or none, so that short steps make a Poisson
        process.
    """

    def change(network: SpikingNetwork, rng: np.random.Generator) -> SpikingNetwork:
        if isinstance(rate, Quantity) and not have_same_dimensions(rate, Hz):
            raise ValueError(f"rate is in Hz, 5*Hz say, got {rate}")
        if isinstance(rate, Quantity):
            a_step = float(rate / Hz) * network.dt_ms * 1e-3
        else:
            a_step = float(rate) / network.phase_steps
        if not 0 <= a_step <= MOST_RATE:
            most = f"{1e3 / network.dt_ms:g} Hz or {network.phase_steps} in a step"
            raise ValueError(f"rate must be from 0 to one a simulation step, {most}, got {rate}")

        def kick(p: Population) -> float:
            return dyadic(voltage_of("size", size, network, p))

        probability = dyadic(a_step)
        drawn = "int(uniform(seed, image, neuron, STEP, STREAM) < p_background)"
        return edited(
            network,
            equations="""
                kick : volt       # by which a background spike moves the potential
                p_background : 1  # of one in a simulation step
            """,
            each_step=f"v = v + int(age >= 0)*kick*({drawn} - {drawn})",
            parameters={"kick": (kick, 0.0), "p_background": (lambda _: probability, 0.0)},
            layers=layers,
            finest=min((_grid(kick(p)) for p in network.populations), default=np.inf),
            largest=max(kick(p) for p in network.populations) * network.phase_steps,
        )

    found = _named("background", rate, "in a step", change)
    if isinstance(rate, Quantity):
        found = replace(found, strength=float(rate / Hz), unit="Hz")
    return found


def _named(name: str, given: Any, own: str, change: Any) -> Perturbation:
    strength, unit = strength_of(given, own)
    return Perturbation(name=name, strength=strength, unit=unit, change=change)
