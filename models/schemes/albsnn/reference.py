"""Locally binary networks step by step in plain NumPy, independent of Brian2 and of the engine.

Weights are numbers here, not packed signs. The spikes of every neuron in
every step must equal those of a simulation.
"""

from __future__ import annotations

import numpy as np

from ...arrays import Array
from ...conversion.reference import ReferenceRun, step_by_step
from ...spiking.network import Population
from .conversion import AlbsnnConversion


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
        From :func:`models.schemes.albsnn.conversion.convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    ReferenceRun
    """

    def respond(
        population: Population, _t: int, v: Array, current: Array, received: Array
    ) -> tuple[Array, Array]:
        return _step(conversion, population, v, current + received)

    return step_by_step(conversion.spiking, images, respond)


def drives(conversion: AlbsnnConversion, images: Array) -> dict[str, Array]:
    """Potentials of the first step before the reset, H[1]: what the first step brings.

    Parameters
    ----------
    conversion : AlbsnnConversion
        From :func:`models.schemes.albsnn.conversion.convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    dict of str to ndarray, shape (n, n_units)
        In thresholds, by population; a neuron spikes in the first step where it is at least 1.
        Pooling neurons have no such potential.
    """
    found: dict[str, Array] = {}

    def respond(
        population: Population, _t: int, v: Array, current: Array, received: Array
    ) -> tuple[Array, Array]:
        found[population.name] = drive = current + received
        return _step(conversion, population, v, drive)

    step_by_step(conversion.spiking, images, respond, n_steps=1)
    return found


def _step(
    conversion: AlbsnnConversion, population: Population, v: Array, drive: Array
) -> tuple[Array, Array]:
    own = conversion.by_layer[population.name]
    assert own.leak is not None and own.reset is not None
    return step(v, drive, own.leak, own.reset)
