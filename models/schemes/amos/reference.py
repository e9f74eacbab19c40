"""The AMOS algorithm slot by slot in plain NumPy, independent of Brian2 and of the engine.

Every spike train of a simulation must equal this one.
"""

from __future__ import annotations

from ...arrays import Array
from ...conversion.reference import ReferenceRun, step_by_step
from ...conversion.scheme import Conversion
from ...spiking.network import Population


def run(conversion: Conversion, images: Array) -> ReferenceRun:
    """Present each image on its own and let every neuron decide in its slot.

    Parameters
    ----------
    conversion : Conversion
        From :func:`models.schemes.amos.conversion.convert`.
    images : ndarray, shape (n, height, width, channels)
        Values that the input population codes.

    Returns
    -------
    ReferenceRun
    """
    return step_by_step(conversion.spiking, images, decide)


def decide(
    population: Population, position: int, u: Array, current: Array, received: Array
) -> tuple[Array, Array]:
    """One slot of all gates of a layer: the neurons of one position decide.

    Parameters
    ----------
    population : Population
        The layer.
    position : int
        Of the neurons in their gates.
    u : ndarray, shape (n, n_neurons)
        Potentials, less the inhibition by the decisions so far; not used by position 0.
    current, received : ndarray, shape (n, n_units)
        Drive by the image and by spikes.

    Returns
    -------
    spikes : ndarray of bool, shape (n, n_units)
    u : ndarray, shape (n, n_neurons)
    """
    u = u.reshape(len(u), population.n_positions, population.n_units)
    if position == 0:
        u = u + (current + received)[:, None]
    theta = population.parameters["theta"][position].reshape(-1)
    spikes = u[:, position] > theta
    u = u - spikes[:, None] * population.inhibition[:, position][:, None]
    return spikes, u.reshape(len(u), -1)
