"""Neurons of a type as a Brian2 group, with the engine's bookkeeping."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from brian2 import Clock, Equations, NeuronGroup
from brian2.equations.equations import PARAMETER, SingleEquation

from ..spiking.neuron_type import NeuronType

BOOKKEEPING = """
    n_spikes : integer  # since the start; bookkeeping, not biology
    n_before : integer  # of these, before the last image came
    fires : boolean     # whether the threshold condition is met in this step
"""
# `n_before` is written by `set_ages`. It is named here, at no cost, because Brian2 takes what no
# statement names for unchanged by a run.
COUNT = "n_spikes += 1 + 0*n_before"


def neuron_group(
    kind: NeuronType,
    size: int,
    steps: Clock,
    phases: Clock,
    single: Sequence[str] = (),
    shared: Sequence[str] = (),
) -> NeuronGroup:
    """Return the group of all neurons of a type; their parameters are still 0.

    Parameters
    ----------
    kind : NeuronType
        Equations and constants.
    size : int
        Neurons.
    steps, phases : brian2.Clock
        That tick once a step and once a phase.
    single : sequence of str
        Variables kept in single precision.
    shared : sequence of str
        Constants of the equations that are the same for all neurons.
    """
    neurons = NeuronGroup(
        size,
        _with_shared(kind.equations, shared) + Equations(BOOKKEEPING),
        threshold="False",  # what `fires` says is listed as spikes by `find_spikes`
        reset=f"{kind.reset}\n{COUNT}",
        method=kind.method,
        namespace=dict(kind.constants),
        clock=steps,
        name=kind.name,
        dtype=dict.fromkeys(single, np.float32),
    )
    # A loop without branches, which the compiler vectorises.
    neurons.run_regularly(
        f"fires = {kind.threshold}",
        when="thresholds",
        clock=steps,
        name=f"{kind.name}_fires",
    )
    for order, clock, statements, when in (
        (1, phases, kind.every_phase, "every_phase"),
        (2, steps, kind.every_step, "every_step"),
    ):
        if statements:
            neurons.run_regularly(
                statements, when="start", order=order, clock=clock, name=f"{kind.name}_{when}"
            )
    return neurons


def _with_shared(text: str, names: Sequence[str]) -> Equations:
    """Equations in which some constants are one number for all neurons."""
    return Equations(
        [
            SingleEquation(
                one.type,
                one.varname,
                one.dim,
                var_type=one.var_type,
                expr=one.expr,
                flags=[*one.flags, *(["shared"] if one.varname in names else [])],
            )
            for one in Equations(text).values()
        ]
    )


def can_be_shared(kind: NeuronType, name: str) -> bool:
    """Whether a variable of a type of neurons is declared constant."""
    return "constant" in Equations(kind.equations)[name].flags


def is_told(kind: NeuronType, name: str) -> bool:
    """Whether the neurons of a type have a variable of that name, which the engine then sets."""
    return name in Equations(kind.equations).parameter_names


def single_variables(kind: NeuronType) -> tuple[str, ...]:
    """Variables of a type for which single precision is enough where their sums are exact.

    None if one of the afferents among them is more than a sum that is cleared.
    """
    equations, statements = Equations(kind.equations), f"{kind.every_phase}\n{kind.every_step}"
    for name in set(kind.sums) & set(kind.afferents):
        is_cleared = re.search(rf"^\s*{name}\s*=\s*0\s*\*\s*volt\b", statements, re.MULTILINE)
        if equations[name].type != PARAMETER or not is_cleared:
            return ()
    return kind.sums
