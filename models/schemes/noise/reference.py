"""Noise-trained networks step by step in plain NumPy, independent of Brian2 and of the engine.

Handed the noise of a seed, the spikes of every neuron in every step must equal those of a
simulation with this seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...arrays import Array
from ...conversion.reference import ReferenceRun, step_by_step
from ...philox import key_of, normal
from ...spiking.network import Population
from .conversion import NoiseConversion
from .options import NoiseOptions


def step(
    v: Array, drive: Array | float, eps: Array | float, age: int, mean: float, options: NoiseOptions
) -> tuple[Array, Array]:
    """One step of a noisy neuron.

    Parameters
    ----------
    v : ndarray
        Potential after the step before, in thresholds; not used in the first step.
    drive : ndarray
        What the step brings.
    eps : ndarray
        Noise of the step.
    age : int
        Number of the step, from 0.
    mean : float
        Of the noise.
    options : NoiseOptions
        Rule, leak, reset and floor; leak and reset told.

    Returns
    -------
    spikes, v : ndarray
        Zeros and ones, and the potential after the step.
    """
    rule = options.rule
    if rule == "memoryless":
        h = mean + drive + 0 * v
        return (h + eps >= 1.0).astype(np.float64), h
    assert options.leak is not None
    if age == 0:
        leaked = mean + eps + 0 * v if options.start == "drawn" else mean + 0 * v
    else:
        leaked = options.leak * (np.maximum(v, 0.0) if options.has_floor else v)
    h = leaked + drive
    if rule == "diffusive":
        h = h + eps
    spikes = (h + eps >= 1.0 if rule == "both" else h >= 1.0).astype(np.float64)
    return spikes, h - spikes if options.reset == "soft" else h * (1.0 - spikes)


def draw(conversion: NoiseConversion, n_images: int, seed: int) -> dict[str, Array]:
    """Noise for every image, step and neuron: that of a simulation with the same seed.

    Parameters
    ----------
    conversion : NoiseConversion
        Names the layers and their deviations.
    n_images : int
        Images.
    seed : int
        Of the run.

    Returns
    -------
    dict of str to ndarray, shape (n_images, n_steps, n_units)
        By population, in thresholds.
    """
    key, first, found = key_of(seed), 0, {}
    image = np.arange(n_images)[:, None, None]
    step = np.arange(conversion.spiking.readout.n_steps)[:, None]
    for population in conversion.spiking.populations:
        if population.name in conversion.sigmas:
            neuron = first + np.arange(population.n_units)
            drawn = normal(key, image, neuron, step, 0)
            found[population.name] = conversion.sigmas[population.name] * drawn
        first += population.n_neurons
    return found


def run(
    conversion: NoiseConversion, images: Array, noise: Mapping[str, Array] | None = None
) -> ReferenceRun:
    """Present each image on its own, layer by layer in every step.

    Parameters
    ----------
    conversion : NoiseConversion
        From :func:`models.schemes.noise.conversion.convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.
    noise : mapping of str to ndarray, shape (n, n_steps, n_units), optional
        Noise of each population, in thresholds; none by default.

    Returns
    -------
    ReferenceRun
    """
    options, means = conversion.by_layer, conversion.means
    given = noise or {}

    def respond(
        population: Population, t: int, v: Array, current: Array, received: Array
    ) -> tuple[Array, Array]:
        name = population.name
        eps = given[name][:, t] if name in given else 0.0
        return step(v, current + received, eps, t, means[name], options[name])

    return step_by_step(conversion.spiking, images, respond)
