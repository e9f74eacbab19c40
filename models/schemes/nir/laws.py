"""What one step does to a neuron, as Brian2 statements: the laws that dialects are made of.

A law computes ``v_next`` (and ``i_next`` of a synaptic current) from ``v``, ``i_syn`` and the input
``x`` of the step. Where a writer computes in single precision, each statement is one operation, so
that it rounds as the writer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...arrays import Array

# Numbers of a neuron that laws use: unit, and what it is.
NUMBERS: dict[str, tuple[str, str]] = {
    "tau": ("second", "membrane time constant"),
    "tau_mem": ("second", "membrane time constant"),
    "tau_syn": ("second", "time constant of the synaptic current"),
    "r": ("1", "resistance: potential that a lasting input of 1 leads to"),
    "w_in": ("1", "factor of the input of the synaptic current"),
    "v_leak": ("volt", "potential at rest"),
    "v_th": ("volt", "threshold"),
    "v_reset": ("volt", "potential after a spike"),
    "v_start": ("volt", "potential before the first step"),
    "v_min": ("volt", "least potential"),
    "decay": ("1", "factor of the potential from step to step"),
    "syn_decay": ("1", "factor of the synaptic current from step to step"),
    "input_gain": ("1", "factor of the input"),
    "per_step": ("1", "part of the way to where the potential tends that it goes in a step"),
    "syn_per_step": ("1", "part of the synaptic current that is lost in a step"),
    "n_tau": ("1", "steps of a time constant"),
    "mixing": ("1", "potential that a synaptic current of 1, as it decays, leaves after a step"),
}
# Variables that laws use beside those numbers.
VARIABLES: dict[str, tuple[str, str]] = {
    "i_syn": ("volt", "synaptic current, as the potential that it leads to"),
    "i_next": ("volt", "the same after this step"),
    "v_inf": ("volt", "where the potential tends to in this step"),
    "p": ("volt", "on the way to the result; not biological"),
    "q": ("volt", "likewise"),
    "late": ("1", "whether the step before brought a spike"),
    "ratio": ("1", "thresholds that the potential holds"),
    "spikes": ("1", "spikes of this step"),
    "left": ("1", "those of them still to come; one in each simulation step"),
}


@dataclass(frozen=True, kw_only=True)
class Law:
    """One step of one model of neuron.

    Parameters
    ----------
    numbers : mapping of str to ndarray
        Of each neuron, by the names of `NUMBERS`; potentials in network units, times in seconds.
    step : str
        Statements.
    threshold : str
        Condition for a spike, after the step; empty for neurons that never spike.
    reset : str
        Statements for neurons that spiked.
    is_single : bool
        Whether the state is held in single precision, as the writer holds it.
    is_multiple : bool
        Whether a neuron spikes several times in a step.
    """

    numbers: Mapping[str, Array] = field(default_factory=dict)
    step: str
    threshold: str = "v > v_th"
    reset: str = ""
    is_single: bool = True
    is_multiple: bool = False
