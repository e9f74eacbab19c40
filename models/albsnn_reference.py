"""Locally binary networks step by step in plain NumPy, independent of Brian2 and of the engine.

It reads the same converted network as the simulation, input currents included, but shares no code
with it beyond that: weights are numbers here, not packed signs. The spikes of every neuron in
every step must equal those of a simulation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .albsnn import AlbsnnConversion
from .reference import ReferenceRun, spike_table, weighted_sum
from .spiking import READOUT, Population, SpikingNetwork

Array = NDArray[np.float64]


def step(v: Array, drive: Array, leak: float, reset: str) -> tuple[Array, Array]:
    """One step of a leaky neuron.

    Parameters
    ----------
    v : ndarray
        Potential after the step before, in thresholds; 0 at the onset of an image.
    drive : ndarray
        What the step brings, gain and offset applied.
    leak : float
        Factor of `v`.
    reset : str
        ``"hard"`` or ``"soft"``.

    Returns
    -------
    spikes, v : ndarray
        Zeros and ones, and the potential after the step.
    """
    h = leak * v + drive
    spikes = (h >= 1.0).astype(np.float64)
    return spikes, h - spikes if reset == "soft" else h * (1.0 - spikes)


def run(conversion: AlbsnnConversion, images: Array) -> ReferenceRun:
    """Present each image on its own, layer by layer in every step.

    Parameters
    ----------
    conversion : AlbsnnConversion
        From :func:`models.albsnn.convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    ReferenceRun
        Its scores are those of a recording; ``conversion.logits`` makes logits of them.
    """
    network, options = conversion.spiking, conversion.options
    n_images = len(images)
    currents = {stimulus.target: stimulus.values(images) for stimulus in network.stimuli}
    counts = {
        p.name: np.zeros((n_images, options.n_steps, p.n_units), dtype=np.int16)
        for p in network.populations
    }
    state = {p.name: np.zeros((n_images, p.n_units)) for p in network.populations}
    scores = np.zeros((n_images, options.n_steps, network.readout.n_classes))
    for t in range(options.n_steps):
        now: dict[str, Array] = {}
        for population in network.populations:
            name = population.name
            window = network.window(name)
            if window is not None:
                now[name] = window.by_place(now[window.source]).max(axis=-1)
            else:
                drive = _drive(network, population, currents, now)
                now[name], state[name] = step(state[name], drive, options.leak, options.reset)
            counts[name][:, t] = now[name]
        scores[:, t] = weighted_sum(network, READOUT, now)
    return ReferenceRun(
        counts=counts,
        potentials=state,
        scores=np.cumsum(scores, axis=1),
        spikes=spike_table(network, counts),
    )


def drives(conversion: AlbsnnConversion, images: Array) -> dict[str, Array]:
    """Potentials of the first step before the reset, H[1]: what the first step brings.

    Parameters
    ----------
    conversion : AlbsnnConversion
        From :func:`models.albsnn.convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    dict of str to ndarray, shape (n, n_units)
        In thresholds, by population; a neuron spikes in the first step where it is at least 1.
        Pooling neurons have no such potential.
    """
    network, options = conversion.spiking, conversion.options
    currents = {stimulus.target: stimulus.values(images) for stimulus in network.stimuli}
    found: dict[str, Array] = {}
    now: dict[str, Array] = {}
    for population in network.populations:
        name = population.name
        window = network.window(name)
        if window is not None:
            now[name] = window.by_place(now[window.source]).max(axis=-1)
        else:
            found[name] = _drive(network, population, currents, now)
            rest = np.zeros_like(found[name])
            now[name], _ = step(rest, found[name], options.leak, options.reset)
    return found


def _drive(
    network: SpikingNetwork,
    population: Population,
    currents: dict[str, Array],
    now: dict[str, Array],
) -> Array:
    """What a step brings to a population, in thresholds, shape (n, n_units)."""
    gain, bias = (population.parameters[x].reshape(-1) for x in ("gain", "bias"))
    name = population.name
    return currents.get(name, bias) + gain * weighted_sum(network, name, now)
