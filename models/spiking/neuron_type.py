"""Neuron types: the equations that a user can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class NeuronType:
    """Equations of one type of neuron, as Brian2 reads them.

    Parameters
    ----------
    name : str
        Name of the type and of its Brian2 group.
    equations : str
        Brian2 equations with units, one variable a line.
    every_phase : str
        Statements run for every neuron at the start of each phase, before integration.
    every_step : str
        Statements run at the start of each step, after those of the phase.
    threshold, reset : str
        Brian2 threshold condition and reset statements.
    afferents : tuple of str
        Variables to which the spikes that arrive are added. Several for a neuron that keeps the
        inputs of its window apart, in the order of the window's rows and columns.
    is_chain : bool
        Units are chains of neurons: the drive moves on from neuron to neuron, one a step, and
        earlier neurons inhibit later ones.
    constants : mapping of str to brian2.Quantity
        Values of the names in the strings that are neither variables nor units.
    method : str
        Brian2 integration method of the differential equations, if there are any.

    Notes
    -----
    The engine needs the variables of `afferents` (volt), ``v`` (volt), ``age`` (integer: phases
    since the present image reached the neuron, -1 for none), ``inhibition`` (volt) for chains,
    and one variable for each entry of :attr:`Population.parameters`; the rest is free. Neurons
    that multiply what spikes bring call the factor ``gain`` (dimensionless parameter), so that
    the exactness of their sums can be judged. To change the biology, replace a type:
    ``network.with_neurons(replace(kind, equations=...))``.
    """

    name: str
    equations: str
    threshold: str
    reset: str
    every_phase: str = ""
    every_step: str = ""
    afferents: tuple[str, ...] = ("drive",)
    is_chain: bool = False
    constants: Mapping[str, object] = field(default_factory=dict)
    method: str = "exact"
