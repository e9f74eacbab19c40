"""Neurons of NIR networks as Brian2 equations: a frame for the laws of all dialects.

A step of the writer's program is `every` phases of the run: one, unless connections lead back over
several layers, which work one after the other within a step. In the phase in which a layer works,
what arrived since the last step is the input ``x``, the law computes the new potential, and the
threshold is tested; in all others the neuron waits.

Not biological: the global rhythm of steps and its count ``age``, an input that is constant within a
step, both signs from one neuron, and, where a program has it, several spikes in no time: they come
one simulation step apart here.
"""

from __future__ import annotations

import re

import numpy as np
from brian2 import Function, second

from ...spiking.neuron_type import NeuronType
from .laws import NUMBERS, VARIABLES, Law

IN_SINGLE = ("v", "v_next", "x", "i_syn", "i_next", "p", "q", "ratio")

# Nearest number of single precision, of any unit. A variable of that type would not do: Brian2's
# NumPy target keeps what one statement gives to the next in double precision.
SINGLE = Function(
    lambda x: np.asarray(x, dtype=np.float32).astype(np.float64),
    arg_units=[None],
    return_unit=lambda unit: unit,
)
SINGLE.implementations.add_implementation(
    "cpp", "inline double single(double x) { return (double)(float)x; }", name="single"
)
SINGLE.implementations.add_implementation(
    "cython", "cdef double single(double x):\n    return <double><float>x\n", name="single"
)


def nir_neuron(
    name: str, law: Law, *, n_steps: int, every: int, limit: int, dt: float
) -> NeuronType:
    """Return the neuron of a law.

    Parameters
    ----------
    name : str
        Of the type.
    law : Law
        What a step does.
    n_steps : int
        Steps of an input.
    every : int
        Phases of a step.
    limit : int
        Most spikes in a step, where there may be several; as many simulation steps has a phase.
    dt : float
        Step in seconds.

    Returns
    -------
    NeuronType
        Parameters: the law's numbers, and ``bias`` (volt).
    """
    rounded = _in_single if law.is_single else str
    texts = f"{law.step}\n{law.threshold}\n{law.reset}"
    used = set(re.findall(r"\w+", texts))
    lines = [
        _line("v", "volt", "membrane potential; v of NIR"),
        _line("v_next", "volt", "the same after this step"),
        _line("x", "volt", "input of this step; I, or S, of NIR"),
        _line("drive", "volt", "what the spikes of this step bring"),
        _line("bias", "volt", "constant input; of the first layer, that of the step"),
        _line("works", "1", "1 in the phase that takes a step, 0 in others; not biological"),
        _line("age", "integer", "phases since the input came, -1 before; not biological"),
    ]
    lines += [
        _line(name, f"{NUMBERS[name][0]} (constant)", NUMBERS[name][1]) for name in law.numbers
    ]
    lines += [_line(name, *VARIABLES[name]) for name in VARIABLES if name in used]
    start = "int(age == 0)*v_start + " if "v_start" in law.numbers else ""
    keeps = [f"v = {start}int(age != 0)*v"]
    blends = ["v = works*v_next + (1 - works)*v"]
    if "i_syn" in used:
        keeps.append("i_syn = int(age != 0)*i_syn")
        blends.append("i_syn = works*i_next + (1 - works)*i_syn")
    must_be_zero = {}
    threshold = f"{law.threshold} and works > 0" if law.threshold else "False"
    if law.is_multiple:
        lines.append(_line("overrun", "1", "steps with more spikes than a phase has room for"))
        blends.append("left = works*spikes")
        blends.append("overrun = overrun + works*int(spikes > limit)")
        must_be_zero["overrun"] = (
            f"some would spike more than {limit} times in a step; convert with a larger limit"
        )
    cleared = "0*volt" if every == 1 else "int(age >= 0 and age < n_ages)*(1 - works)*drive"
    turn = "" if every == 1 else " and (age + 1) % every == 0"
    return NeuronType(
        name=name,
        equations="\n".join(lines),
        every_phase="\n".join(
            (
                f"works = int(age >= 0 and age < n_ages{turn})",
                *keeps,
                rounded("x = drive + bias"),
                f"drive = {cleared}",
                rounded(law.step),
                *blends,
            )
        ),
        threshold=threshold,
        reset=rounded(law.reset),
        constants={
            **({"single": SINGLE} if law.is_single else {}),
            "n_ages": every * n_steps,
            **({"every": every} if every > 1 else {}),
            **({"limit": limit} if law.is_multiple else {}),
            **({"step": dt * second} if "step" in used else {}),
        },
        sums=("drive",) if every == 1 else (),
        must_be_zero=must_be_zero,
    )


def _in_single(statements: str) -> str:
    """Statements whose results are rounded to single precision, one operation each."""
    pattern = rf"^(\s*)({'|'.join(IN_SINGLE)}) = (.*)$"
    return re.sub(pattern, r"\1\2 = single(\3)", statements, flags=re.MULTILINE)


def _line(name: str, unit: str, about: str) -> str:
    return f"{name} : {unit}  # {about}"
