"""Checks of what a user wrote for a type of neurons, before anything is compiled.

Brian2 says what is wrong at the end of a long way through the objects that it prepares. Here each
line of a type is read by Brian2's own parser and in the order in which it runs, so that the error
names the type and the line, in the same words on every target.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from brian2 import DimensionMismatchError, Equations, NeuronGroup, get_unit, second, volt
from brian2 import Network as BrianNetwork
from brian2.core.clocks import Clock
from brian2.core.variables import Variable
from brian2.equations.equations import SingleEquation
from brian2.parsing.expressions import is_boolean_expression, parse_expression_dimensions
from brian2.parsing.statements import parse_statement
from brian2.stateupdaters.base import StateUpdateMethod, UnsupportedEquationsException
from brian2.units.fundamentalunits import DIMENSIONLESS, Dimension
from brian2.utils.stringtools import get_identifiers

from ..spiking.network import SpikingNetwork
from ..spiking.neuron_type import NeuronType
from .neurons import BOOKKEEPING, neuron_group
from .statement_traps import first_trap

STATEMENTS = ("every_phase", "every_step", "reset")

_sound: set[str] = set()  # all that was checked and found right in this process


class _Fault(Exception):
    """What is wrong with a type, in one line."""


def require_sound_neurons(network: SpikingNetwork) -> None:
    """Raise a ValueError that names neuron type and line if Brian2 cannot run one of the types.

    To be called with a runtime device of Brian2.

    Parameters
    ----------
    network : SpikingNetwork
        Whose types are checked.
    """
    for kind in network.neurons:
        needed = _set_outside(network, kind)
        key = repr([needed, *(getattr(kind, field.name) for field in fields(kind))])
        if key in _sound:
            continue
        fault = _fault_of(kind, needed)
        if fault is not None:
            raise ValueError(f"neuron type {kind.name!r}: {fault}")
        _sound.add(key)


def _set_outside(network: SpikingNetwork, kind: NeuronType) -> list[str]:
    """Variables of a type that its populations and stimuli set."""
    mine = [p for p in network.populations if p.neurons == kind.name]
    names = {p.name for p in mine}
    given = {name for p in mine for name in p.parameters}
    return sorted(given | {s.variable for s in network.stimuli if s.target in names})


def _fault_of(kind: NeuronType, needed: Sequence[str]) -> str | None:
    """What is wrong, or None. Nothing of Brian2's own errors and objects leaves this function."""
    try:
        _try(kind, needed)
    except _Fault as fault:
        return str(fault)
    return None


def _try(kind: NeuronType, needed: Sequence[str]) -> None:
    group = _group_of_equations(kind)
    _require_variables(kind, needed, group)
    _check_constants(kind, group)
    for line, equation in _equations_of(kind, group):
        where = f"equation {line!r}"
        wanted = group.variables[equation.varname].dim
        if equation.type == "differential equation":
            wanted = wanted / second.dim
        variables = _known(group, equation.identifiers, where)
        found = _dimensions(str(equation.expr), variables, where)
        _require_same(found, wanted, where)
    _check_threshold(kind, group)
    read = {name: _check_statements(getattr(kind, name), name, group) for name in STATEMENTS}
    _try_all(kind)
    for name, variables in read.items():
        lines = _statements(getattr(kind, name))
        trap = first_trap(lines, variables, is_for_all=name != "reset")
        if trap is not None:
            raise _Fault(f"{name} {trap.line!r}: {trap.words}")


def _group_of_equations(kind: NeuronType) -> NeuronGroup:
    """A neuron with the type's variables."""

    def neuron(equations: str) -> NeuronGroup:
        return NeuronGroup(1, equations, namespace=dict(kind.constants), name="checked_equations")

    try:
        return neuron(kind.equations + BOOKKEEPING)
    except Exception as error:
        for line in _lines(kind.equations):
            try:
                neuron(line)
            except Exception as own:
                words = _words(own)
                if "Expected" in words:  # of the parser
                    words = "it has not the form 'name = expression : unit' or 'name : unit'"
                raise _Fault(f"equation {line!r}: {words}") from None
        raise _Fault(f"equations: {_words(error)}") from None


def _require_variables(kind: NeuronType, set_outside: Sequence[str], group: NeuronGroup) -> None:
    """Refuse equations without a variable that the engine reads or sets."""
    in_volt = ["v", *kind.afferents, *(["inhibition"] if kind.is_chain else [])]
    for name in ("age", *in_volt, *set_outside):
        if name not in group.equations:
            raise _Fault(
                f"the equations define no {name!r}, which the network sets or reads; there are "
                f"{_listed(group)}"
            )
    for name in in_volt:
        if group.variables[name].dim is not volt.dim:
            lines = [
                line
                for line in _lines(kind.equations)
                if re.match(rf"(d{name}\s*/\s*dt\s*=|([\w\s,]*,\s*)?{name}\s*[=:,])", line)
            ]
            where = "".join(f"equation {line!r}: " for line in lines[:1])
            raise _Fault(f"{where}{name!r} has to be in volt")


def _check_constants(kind: NeuronType, group: NeuronGroup) -> None:
    """Refuse constants that Brian2 would pass over, or that are no number."""
    for name, value in kind.constants.items():
        if name in group.variables:
            raise _Fault(
                f"constant {name!r}: the neuron has a variable of that name, which counts; where "
                "it is a parameter, change the arrays of the populations"
            )
        if callable(value):
            continue
        numbers = np.asarray(value)
        if numbers.ndim or numbers.dtype.kind not in "biuf" or np.isnan(numbers):
            raise _Fault(f"constant {name!r}: a number with or without a unit, not {value!r}")


def _check_threshold(kind: NeuronType, group: NeuronGroup) -> None:
    where = f"threshold {' '.join(kind.threshold.split())!r}"
    variables = _known(group, _names_in(kind.threshold, where), where)
    _dimensions(kind.threshold, variables, where)
    if not is_boolean_expression(kind.threshold, variables):
        raise _Fault(f"{where}: it is no condition, true or false")


def _check_statements(code: str, name: str, group: NeuronGroup) -> dict[str, Any]:
    """Check line after line; a line may use the names that lines before it set.

    Returns what the names stand for, but for those.
    """
    new: dict[str, Variable] = {}
    read: dict[str, Any] = dict(group.variables)
    lines = _statements(code)
    for number, line in enumerate(lines):
        where = f"{name} {line!r}"
        try:
            target, operation, expression, _ = parse_statement(line)
        except ValueError:
            raise _Fault(f"{where}: it has not the form 'variable = expression'") from None
        if operation != "=":
            expression = f"{target} {operation[0]} ({expression})"
        variables = _known(group, _names_in(expression, where), where, new)
        read |= {own: variable for own, variable in variables.items() if own not in new}
        found = _dimensions(expression, variables, where)
        if target in group.variables:
            if target not in group.equations or target in Equations(BOOKKEEPING):
                raise _Fault(f"{where}: {target!r} is not the neuron's to set")
            _require_same(found, group.variables[target].dim, where)
        elif target in new:
            _require_same(found, new[target].dim, where)
        elif any(re.search(rf"\b{target}\b", later) for later in lines[number + 1 :]):
            new[target] = Variable(name=target, dimensions=found)
        else:
            raise _Fault(f"{where}: it sets {target!r}, {_unknown(group)}")
    return read


def _names_in(expression: str, where: str) -> set[str]:
    try:
        ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        raise _Fault(f"{where}: no valid expression ({error.msg})") from None
    return get_identifiers(expression)


def _known(
    group: NeuronGroup, names: Iterable[str], where: str, new: Mapping[str, Variable] | None = None
) -> dict[str, Any]:
    """Variables, constants, units and functions of some names."""
    found: dict[str, Any] = {}
    for name in sorted(names):
        try:
            found |= group.resolve_all(
                [name], {}, user_identifiers=(), additional_variables=new or {}
            )
        except KeyError:
            raise _Fault(f"{where}: unknown name {name!r}, {_unknown(group)}") from None
    return found


def _dimensions(expression: str, variables: Mapping[str, Any], where: str) -> Dimension:
    try:
        return parse_expression_dimensions(expression, variables)
    except Exception as error:
        raise _Fault(f"{where}: {_words(error)}") from None


def _require_same(found: Dimension, wanted: Dimension, where: str) -> None:
    if found is not wanted:
        one, other = (
            "no unit" if dimensions is DIMENSIONLESS else f"the unit {get_unit(dimensions)!s}"
            for dimensions in (found, wanted)
        )
        raise _Fault(f"{where}: the expression has {one}, it needs {other}")


def _try_all(kind: NeuronType) -> None:
    """Let Brian2 prepare one neuron of the type; what is wrong now is wrong with the whole."""
    methods = StateUpdateMethod.stateupdaters
    if kind.method not in methods:
        raise _Fault(f"method {kind.method!r}: there are {', '.join(sorted(methods))}")
    steps, phases = Clock(1 * second, name="steps"), Clock(1 * second, name="phases")
    try:
        group = neuron_group(kind, 1, steps, phases)
        BrianNetwork(group).run(0 * second, namespace={})
    except Exception as error:
        cause = _innermost(error)
        is_of_method = isinstance(cause, UnsupportedEquationsException)
        where = f"method {kind.method!r}: " if is_of_method else ""
        raise _Fault(f"{where}{_words(cause)}") from None


def _lines(code: str) -> list[str]:
    """Lines with anything in them, without comments and superfluous spaces."""
    lines = (" ".join(line.partition("#")[0].split()) for line in code.splitlines())
    return [line for line in lines if line]


def _statements(code: str) -> list[str]:
    return _lines(code.replace(";", "\n"))


def _equations_of(kind: NeuronType, group: NeuronGroup) -> Iterator[tuple[str, SingleEquation]]:
    """Line, as it stands in the text, and equation of each variable that has an expression."""
    lines = _lines(kind.equations)
    for name, equation in group.equations.items():
        if equation.expr is not None:
            pattern = rf"(d{name}\s*/\s*dt|{name})\s*="
            yield next((line for line in lines if re.match(pattern, line)), name), equation


def _unknown(group: NeuronGroup) -> str:
    return f"neither of the neuron's variables nor of its constants: {_listed(group)}"


def _listed(group: NeuronGroup) -> str:
    own = set(Equations(BOOKKEEPING))
    names = [name for name in group.equations if name not in own]
    return ", ".join(sorted([*names, *group.namespace]))


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _words(error: BaseException) -> str:
    """What the innermost of Brian2's errors says, in one line."""
    error = _innermost(error)
    text = error.desc if isinstance(error, DimensionMismatchError) else str(error)
    return " ".join(text.replace("^", " ").split()) or type(error).__name__
