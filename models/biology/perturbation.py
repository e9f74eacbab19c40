"""What a perturbation is, and how networks are perturbed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..checks import require_whole
from ..spiking.network import Converted, SpikingNetwork, spiking_network

Change = Callable[[SpikingNetwork, np.random.Generator], SpikingNetwork]


@dataclass(frozen=True, kw_only=True, repr=False)
class Perturbation:
    """A change of a spiking network.

    Parameters
    ----------
    name : str
        What it is.
    strength : float
        How much, in `unit`.
    unit : str
        ``"ms"``, ``"mV"``, ``"Hz"``, ``"bits"`` or empty for a fraction; ``"steps"`` and
        ``"thresholds"`` where it goes with the network's own scales.
    change : callable
        ``change(network, rng)`` returns the changed network; `rng` is for what is drawn once, such
        as a mismatch. What is drawn in each step is drawn by the equations
        (:func:`models.biology.edits.edited`).
    is_last : bool
        Applied after all others, since it reads what they changed.
    """

    name: str
    strength: float
    unit: str
    change: Change
    is_last: bool = False

    def __repr__(self) -> str:
        return f"Perturbation({self.name}: {self.strength:g} {self.unit}".rstrip() + ")"


def perturbed(
    network: SpikingNetwork | Converted, *perturbations: Perturbation, seed: int = 0
) -> SpikingNetwork:
    """Return a network with perturbations; without any, the network itself.

    Parameters
    ----------
    network : SpikingNetwork or a conversion
        What is perturbed.
    *perturbations : Perturbation
        Each of another name. Their order does not matter to what each draws.
    seed : int
        Of what is drawn once: thresholds, weights, delays, dead neurons. Numbers of each step come
        with the seed of the run.

    Returns
    -------
    SpikingNetwork

    Raises
    ------
    ValueError
        If one comes twice, or changes what these neurons do not have; the message names it.
    TypeError
        If one is no perturbation.
    """
    found = spiking_network(network)
    require_whole("seed", seed, 0, 2**63)
    for one in perturbations:
        if not isinstance(one, Perturbation):
            raise TypeError(f"a perturbation is needed, ab.biology.leak(20*ms) say, got {one!r}")
    names = [one.name for one in perturbations]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"perturbation {name!r} comes twice; take one of them")
    for one in sorted(perturbations, key=lambda one: one.is_last):
        rng = np.random.default_rng([seed, zlib.crc32(one.name.encode())])
        try:
            found = one.change(found, rng)
        except ValueError as error:
            raise ValueError(f"perturbation {one.name!r}: {error}") from None
    return found
