"""The contract of a conversion scheme: what each declares, with the same signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..arrays import Array
from ..networks.network import Network
from ..spiking.network import SpikingNetwork
from .options import Options
from .reference import ReferenceRun
from .step_neurons import StepNeuron


class ConversionWarning(UserWarning):
    """What a user should know of a conversion that does as it was asked."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Conversion:
    """A converted network and how it was converted; a scheme's own class adds what it knows.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    options : Options
        As asked for; with what was left to the network, see :mod:`models.conversion.as_trained`.
    """

    spiking: SpikingNetwork
    options: Any

    @property
    def step_neurons(self) -> Mapping[str, StepNeuron] | None:
        """What a step does, by population but those for pooling; None if that says too little."""
        return None

    def __repr__(self) -> str:
        spiking = self.spiking
        return (
            f"{type(self).__name__}({spiking.name}: {spiking.n_neurons:,} neurons, "
            f"{spiking.n_synapses:,} synapses, {spiking.latency_ms:,g} ms; {self.options!r})"
        )


def required(calibration: Array | None) -> Array:
    """The calibration images of a scheme that reads them.

    Raises
    ------
    ValueError
        If there are none.
    """
    if calibration is None:
        raise ValueError(
            "this scheme reads the range of each layer from training images; pass some hundred as "
            "calibration="
        )
    if not len(calibration):
        raise ValueError("calibration needs at least one image")
    return calibration


@dataclass(frozen=True, eq=False, kw_only=True)
class Scheme:
    """A conversion scheme.

    Parameters
    ----------
    name : str
        As in result folders and tables.
    title : str
        For readers.
    paper : str
        Key of its paper in ``CITATION.cff``.
    options : type of Options
        Whose type tells which scheme converts.
    convert : callable
        ``convert(network, options=None, calibration=None)`` to a :class:`Conversion`.
    reference : callable
        ``reference(conversion, images)`` to a :class:`~models.conversion.reference.ReferenceRun`:
        the algorithm in plain NumPy, without Brian2 and the engine.
    reads_calibration : bool
        Training images are needed. Otherwise they are not loaded, and `convert` ignores them.
    """

    name: str
    title: str
    paper: str
    options: type[Options]
    convert: Callable[[Network, Any, Array | None], Conversion]
    reference: Callable[[Any, Array], ReferenceRun]
    reads_calibration: bool
