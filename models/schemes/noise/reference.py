"""Noise-trained networks step by step in plain NumPy, independent of Brian2 and of the engine.

Handed the same noise, the spikes of every neuron in every step must equal
those of a simulation; when Brian2 draws the noise, the two agree in law.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...arrays import Array
from ...conversion.reference import ReferenceRun, step_by_step
from ...networks.grids import NOISE_STEP
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
    """Noise for every image, step and neuron, on a grid so that sums are exact.

    Parameters
    ----------
    conversion : NoiseConversion
        Names the layers and their deviations.
    n_images : int
        Images.
    seed : int
        Of NumPy's generator.

    Returns
    -------
    dict of str to ndarray, shape (n_images, n_steps, n_units)
        By population, in thresholds.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for name, sigma in conversion.sigmas.items():
        population = conversion.spiking.population(name)
        shape = (n_images, conversion.spiking.readout.n_steps, population.n_units)
        found[name] = np.round(sigma * rng.standard_normal(shape) / NOISE_STEP) * NOISE_STEP
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
