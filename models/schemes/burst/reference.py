"""The burst algorithm step by step in plain NumPy, independent of Brian2 and of the engine.

The spikes of every neuron in every step must equal those of a simulation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...conversion.reference import ReferenceRun, step_by_step
from ...conversion.scheme import Conversion
from ...spiking.network import Population


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


def run(conversion: Conversion, images: Array) -> ReferenceRun:
    """Present each image on its own, layer by layer in every step.

    Parameters
    ----------
    conversion : Conversion
        From :func:`models.schemes.burst.conversion.convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    ReferenceRun
    """

    def respond(
        population: Population, t: int, v: Array, current: Array, received: Array
    ) -> tuple[Array, Array]:
        start, limit = (population.parameters[n].reshape(-1) for n in ("v_start", "limit"))
        return burst(v + start if t == 0 else v, current + received, limit)

    return step_by_step(conversion.spiking, images, respond)
