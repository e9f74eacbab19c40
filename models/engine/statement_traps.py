"""Valid statements of which Brian2 makes something else than they say.

*Two names of one array.* In the code for NumPy, ``v = u`` makes ``v`` another name of the array of
``u``, where compiled code copies each value. It does no harm until one of the two is changed in
place: by ``v += x``, or by ``v = v + x``, which Brian2 turns into it. Then the other changes, too.

*Old values.* A subexpression that was read is not always computed anew when a variable that it
rests on has changed: not if the line that read it changed the variable, nor if it rests on the
variable by way of another subexpression.

``findings/`` shows both on the releases of Brian2.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
from brian2.codegen.statements import Statement
from brian2.codegen.translation import get_identifiers_recursively, make_statements
from brian2.core.variables import ArrayVariable
from brian2.parsing.statements import parse_statement
from brian2.utils.stringtools import get_identifiers


class Trap(NamedTuple):
    """A line, and what is wrong with it."""

    line: str
    words: str


def first_trap(
    lines: Sequence[str], variables: Mapping[str, Any], *, is_for_all: bool
) -> Trap | None:
    """First line that does not do what it says, or None.

    Parameters
    ----------
    lines : sequence of str
        Statements that Brian2 can run, one each.
    variables : mapping of str to Variable or Function
        Brian2's, by name: all but those that the lines make for themselves.
    is_for_all : bool
        Whether they run for all neurons; what they do not set is then the neurons' own array, and
        not a copy of the values of some.
    """
    scalars, statements = make_statements("\n".join(lines), variables, np.float64)
    numbers = {statement.var for statement in scalars}
    left = [line for line in lines if parse_statement(line)[0] not in numbers]
    paired = []
    for statement in statements:
        paired.append((left[0], statement))
        if not statement.subexpression:  # which stands before the line that reads it
            left.pop(0)
    return _old_value(paired, variables) or _shared_array(paired, variables, numbers, is_for_all)


def _old_value(
    paired: Sequence[tuple[str, Statement]], variables: Mapping[str, Any]
) -> Trap | None:
    """Subexpression that is read after a change of what it rests on, and not computed anew."""
    rests_on: dict[str, set[str]] = {}  # those computed so far
    old: dict[str, str] = {}  # subexpressions, and the line that changed what they rest on
    for line, statement in paired:
        for name in sorted(get_identifiers(statement.expr) & old.keys()):
            expression = variables[name].expr
            words = (
                f"{name!r} is not computed anew after {old[name]!r}; write '({expression})' instead"
            )
            return Trap(line, words)
        if statement.subexpression:
            own = get_identifiers_recursively([variables[statement.var].expr], variables)
            rests_on[statement.var] = own
            old.pop(statement.var, None)
        else:
            old |= {name: line for name, own in rests_on.items() if statement.var in own}
    return None


def _shared_array(
    paired: Sequence[tuple[str, Statement]],
    variables: Mapping[str, Any],
    numbers: Set[str],
    is_for_all: bool,
) -> Trap | None:
    """Change in place of a variable whose array has another name, that is read or kept later."""

    def is_array(name: str) -> bool:
        return isinstance(variables.get(name), ArrayVariable)

    kept = {statement.var for _, statement in paired if is_array(statement.var)}
    arrays: dict[str, object] = {}  # of each name that had part in an assignment
    made: dict[str, tuple[str, str]] = {}  # line that gave a name its array, and a copy instead
    spoiled: dict[str, Trap] = {}  # names whose array was changed under another name
    for line, statement in paired:
        name = statement.var
        read = get_identifiers(statement.expr) | ({name} if statement.inplace else set())
        for other in sorted(read & spoiled.keys()):
            return spoiled[other]
        if not statement.inplace:
            spoiled.pop(name, None)
            source = _source(statement.expr, variables, numbers)
            arrays[name] = arrays.setdefault(source, object()) if source else object()
            made[name] = line, f"{name} = -(-{source})"
            continue
        for other in sorted(arrays.keys() - {name}):
            if arrays[other] is arrays.get(name):
                assignment, instead = made[name] if name in made else made[other]
                spoiled[other] = Trap(
                    line,
                    f"after {assignment!r}, {name!r} and {other!r} are one array on the NumPy "
                    f"target, where both would change; for a copy, write {instead!r}",
                )
                if is_for_all and is_array(other) and other not in kept:
                    return spoiled[other]
    return next((spoiled[name] for name in sorted(spoiled.keys() & kept)), None)


def _source(expression: str, variables: Mapping[str, Any], numbers: Set[str]) -> str | None:
    """The variable that an expression is, if it is one alone and not a single number."""
    node = ast.parse(expression.strip(), mode="eval").body
    is_int = isinstance(node, ast.Call) and ast.unparse(node.func) == "int"
    name = ast.unparse(node.args[0] if isinstance(node, ast.Call) and is_int else node)
    variable = variables.get(name)
    if not name.isidentifier() or name in numbers or getattr(variable, "scalar", False):
        return None
    if is_int and not getattr(variable, "is_integer", False):
        return None
    return name
