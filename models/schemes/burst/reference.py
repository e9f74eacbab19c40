"""The burst algorithm step by step in plain NumPy, independent of Brian2 and of the engine.

It reads the same converted network as the simulation, input currents included, but shares no code
with it beyond that: counts go through the layers by convolution in float64, where the engine
delivers one spike at a time. The spikes of every neuron in every step must equal those of a
simulation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...conversion.reference import ReferenceRun, spike_table, weighted_sum
from ...spiking.network import READOUT, Population, SpikingNetwork


def burst(v: Array, current: Array | float, limit: ArrayLike) -> tuple[Array, Array]:
    """One step of a burst neuron.

    Parameters
    ----------
    v : ndarray
        Potential before the step, in units of the threshold.
    current : ndarray
        What the step brings.
    limit : array_like of int
        Most spikes.

    Returns
    -------
    spikes, v : ndarray
        Spikes of the step and the potential after it.
    """
    v = v + current
    spikes = np.clip(np.floor(v), 0, limit)
    return spikes, v - spikes


def pool(rule: str, state: Array, arrived: Array) -> tuple[Array, Array]:
    """One step of a pooling neuron.

    Parameters
    ----------
    rule : str
        ``"lipool"``, ``"gated"`` or ``"or"``.
    state : ndarray, shape (..., n_places)
        Counts so far; for lateral inhibition less the output so far.
    arrived : ndarray, shape (..., n_places)
        Spikes of this step at each place.

    Returns
    -------
    spikes : ndarray, shape (...)
    state : ndarray, shape (..., n_places)
    """
    state = state + arrived
    if rule == "lipool":
        spikes = np.maximum(state.max(axis=-1), 0)
        return spikes, state - spikes[..., None]
    if rule == "gated":
        leads = state == state.max(axis=-1, keepdims=True)
        return np.where(leads, arrived, 0).max(axis=-1), state
    return arrived.max(axis=-1), state


def run(network: SpikingNetwork, images: Array) -> ReferenceRun:
    """Present each image on its own, layer by layer in every step.

    Parameters
    ----------
    network : SpikingNetwork
        From :func:`models.schemes.burst.conversion.convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    ReferenceRun
    """
    n_images, n_steps = len(images), network.readout.n_steps
    currents = {stimulus.target: stimulus.values(images) for stimulus in network.stimuli}
    counts = {
        p.name: np.zeros((n_images, n_steps, p.n_units), dtype=np.int16)
        for p in network.populations
    }
    limits = {p.name: p.parameters["limit"].reshape(-1) for p in network.populations}
    state: dict[str, Array] = {}
    for population in network.populations:
        window = network.window(population.name)
        if window is None:
            start = population.parameters["v_start"].reshape(-1)
            state[population.name] = np.tile(start, (n_images, 1))
            bias = population.parameters["bias"].reshape(-1)
            currents.setdefault(population.name, np.tile(bias, (n_images, 1)))
        else:
            state[population.name] = np.zeros((n_images, population.n_units, window.n_places))
    scores = np.zeros((n_images, n_steps, network.readout.n_classes))
    for step in range(n_steps):
        now: dict[str, Array] = {}
        for population in network.populations:
            name = population.name
            window = network.window(name)
            if window is None:
                current = currents[name] + weighted_sum(network, name, now)
                now[name], state[name] = burst(state[name], current, limits[name])
            else:
                rule = population.neurons.split("_")[0]
                arrived = window.by_place(now[window.source])
                now[name], state[name] = pool(rule, state[name], arrived)
            counts[name][:, step] = now[name]
        scores[:, step] = weighted_sum(network, READOUT, now)
    potentials = {p.name: _left(p, state[p.name]) for p in network.populations}
    return ReferenceRun(
        counts=counts,
        potentials=potentials,
        scores=network.readout.logits(scores),
        spikes=spike_table(network, counts),
    )


def _left(population: Population, state: Array) -> Array:
    """Potential after the last step; gated and OR pooling pass everything on at once."""
    if state.ndim == 2:
        return state
    left = state.max(axis=2)
    return left if population.neurons.startswith("lipool") else np.zeros_like(left)
