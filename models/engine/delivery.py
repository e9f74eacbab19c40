"""Shared-kernel synapses through Brian2's public API: three functions, three implementations.

A network has one axon (one Brian2 synapse) per neuron and outgoing route. When a spike arrives
at its end, ``deliver_spike`` adds the rows of the shared kernel to the drive of the targets. At
the start of each phase ``set_ages`` tells every neuron how long its image has been there. Where
units are chains of neurons, ``travel`` moves their drive on between threshold test and arrivals.
All are Brian2 user functions with implementations for C++ standalone, Cython and NumPy; the first
two use the same header ``delivery.h``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import Function
from numpy.typing import NDArray

from ..dyadic import narrowest
from .layout import Plan
from .numpy_delivery import _NumpyDelivery

HEADER = Path(__file__).with_name("delivery.h")


# In the order of `State` in delivery.h.
TABLES = ("sizes", "layers", "routes", "weights", "gains", "signs")
SIGNATURES = {  # function: arguments, the tables that it reads, the state that it reads or writes
    "deliver_spike": (
        ("neuron", "route", "step"),
        ("sizes", "routes", "weights", "gains", "signs"),
        ("targets", "inhibition", "pending", "arrivals", "events"),
    ),
    "set_ages": (("copy", "phase"), ("sizes", "layers"), ("ages", "n_images")),
    "travel": (
        ("copy", "step"),
        ("sizes", "layers"),
        ("targets", "inhibition", "pending"),
    ),
}
STATE = {  # C++ type, in the order of `State`
    "targets": "double",
    "ages": "int32_t",
    "inhibition": "double",
    "pending": "double",
    "arrivals": "double",
    "events": "double",
    "n_images": "int32_t",
}
LISTS = ("targets", "ages")  # of arrays


def brian2_functions(plan: Plan, state: Mapping[str, Any]) -> dict[str, Function]:
    """Brian2 functions ``deliver_spike``, ``set_ages`` and, for chains, ``travel``.

    Parameters
    ----------
    plan : Plan
        Layout.
    state : mapping of str to list of ndarray or of str
        The state variables named in ``STATE``: their arrays for the NumPy and Cython targets,
        or their names in the generated program for C++ standalone. One entry for most; none for
        what the network lacks.

    Returns
    -------
    dict of str to Function
        By name; all are stateful.
    """
    tables: dict[str, NDArray[Any]] = {
        "sizes": np.array(plan.sizes, dtype=np.int32),
        "layers": np.array(plan.layers, dtype=np.int32).ravel(),
        "routes": np.array(plan.routes, dtype=np.int32).ravel(),
        "weights": narrowest(plan.weights * plan.unit_volt),
        "gains": plan.gains,
        "signs": plan.signs,
    }
    weight = {"float32": "float", "float64": "double"}[tables["weights"].dtype.name]
    is_standalone = isinstance(state["targets"][0], str)
    in_python = None if is_standalone else _NumpyDelivery(plan, tables["weights"], state)
    functions = {}
    for name, (arguments, needed, used) in SIGNATURES.items():
        if name == "travel" and not plan.sizes.chained:
            continue
        run = _not_in_python if in_python is None else getattr(in_python, name)
        function = Function(
            run,
            arg_units=[1] * len(arguments),
            arg_types=["integer"] * len(arguments),
            return_unit=1,
            return_type="integer",
            stateless=False,
        )
        namespace = {f"shared_{table}": tables[table] for table in needed}
        given = [f"_namespaceshared_{t}" if t in needed else "nullptr" for t in TABLES]
        if is_standalone:
            names = {key: [f"brian::{n}" for n in state[key]] for key in used}
            body = _call(name, arguments, given, names, weight)
            code = f"static inline int {name}({_declared(arguments)}) {{\n{body}}}\n"
            location = {"headers": [f'"{HEADER.name}"'], "include_dirs": [str(HEADER.parent)]}
            function.implementations.add_implementation(
                "cpp", code, namespace=namespace, name=name, compiler_kwds=location
            )
        else:
            kinds = {
                table: {"weights": weight, "gains": "double"}.get(table, "int32_t")
                for table in needed
            }
            arrays = {f"{key}_{i}": array for key in used for i, array in enumerate(state[key])}
            names = {key: [f"_namespace{key}_{i}" for i in range(len(state[key]))] for key in used}
            code = _cython_code(name, arguments, kinds, given, names, weight)
            function.implementations.add_implementation(
                "cython", code, namespace={**namespace, **arrays}, name=name
            )
            function.implementations.add_implementation("numpy", run, name=name)
        functions[name] = function
    return functions


def _not_in_python(*_: object) -> int:
    raise RuntimeError("this function runs inside generated C++ code only")


def _declared(arguments: Sequence[str]) -> str:
    return ", ".join(f"int {argument}" for argument in arguments)


def _call(
    name: str,
    arguments: Sequence[str],
    tables: Sequence[str],
    names: Mapping[str, Sequence[str]],
    weight: str,
) -> str:
    """C++ statements that collect the pointers and call the function of delivery.h."""
    lines, pointers = [], list(tables)
    for key, kind in STATE.items():
        found = names.get(key, [])
        if not found:
            pointers.append("nullptr")
        elif key in LISTS:
            lines.append(f"{kind} *const {key}[] = {{{', '.join(found)}}};")
            pointers.append(key)
        else:
            pointers.append(found[0])
    lines.append(f"const ann2brian::State<{weight}> state{{{', '.join(pointers)}}};")
    lines.append(f"return ann2brian::{name}(state, {', '.join(arguments)});")
    return "".join(f"    {line}\n" for line in lines)


def _cython_code(
    name: str,
    arguments: tuple[str, ...],
    tables: dict[str, str],
    given: list[str],
    names: Mapping[str, Sequence[str]],
    weight: str,
) -> str:
    """Cython code that calls the C++ header.

    The header stands in the code as text, because Brian2 recompiles when the text changes. The
    arrays of the function's namespace are module variables, handed over as pointers.
    """
    kinds = {f"_namespaceshared_{table}": kind for table, kind in tables.items()}
    kinds |= {pointer: STATE[key] for key, found in names.items() for pointer in found}
    declared = ", ".join(
        [f"{kind} *{pointer}" for pointer, kind in kinds.items()] + [_declared(arguments)]
    )
    passed = ", ".join([f"<{kind} *>{p}" for p, kind in kinds.items()] + list(arguments))
    return f'''
cdef extern from *:
    """
    {HEADER.read_text()}
    static inline int run_{name}({declared}) {{
{_call(name, arguments, given, names, weight)}    }}
    """
    int run_{name}({declared})

cdef int {name}({_declared(arguments)}):
    return run_{name}({passed})
'''
