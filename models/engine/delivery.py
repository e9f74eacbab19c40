"""Shared-kernel synapses through Brian2's public API: functions with three implementations.

``find_spikes`` lists the neurons whose threshold test, a Brian2 string, is met. ``deliver`` takes
the spikes of each block (one position of one layer in one copy) to the end of its axons, as many
steps later as they are long, and adds the rows of the shared kernel to the drive of the targets.
Where neurons of a block have delays of their own, they have axons of their own, one Brian2 synapse
each, and ``deliver_spike`` does the same for a single spike. At the start of each phase
``set_ages`` tells every neuron how long its image has been there. Where units are chains of
neurons, ``travel`` moves their drive on between threshold test and arrivals. All are Brian2 user
functions with implementations for C++ standalone, Cython and NumPy; the first two use the same
header ``delivery.h``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brian2 import Function
from numpy.typing import NDArray

from ..arrays import Integers
from ..dyadic import narrowest
from .layout import Layout
from .numpy_delivery import NumpyDelivery, State

HEADER = Path(__file__).with_name("delivery.h")


class Signature(NamedTuple):
    """Arguments of a function, and the tables and state variables that it reads or writes."""

    arguments: tuple[str, ...]
    tables: tuple[str, ...]
    state: tuple[str, ...]


TABLES = (  # as in State
    *("sizes", "groups", "layers", "routes", "weights", "packed", "gains", "signs", "columns"),
    *("places", "delays"),
)
ARRIVAL = Signature(
    arguments=("neuron", "route", "step"),
    tables=("sizes", "routes", "weights", "packed", "gains", "signs", "columns", "places"),
    state=("targets", "singles", "inhibition", "pending", "arrivals", "events"),
)
SIGNATURES = {
    "find_spikes": Signature(
        arguments=("step",), tables=("sizes", "groups"), state=("spikes", "fires", "remembered")
    ),
    "deliver": Signature(
        arguments=("step",),
        tables=(*ARRIVAL.tables, "groups", "delays"),
        state=(*ARRIVAL.state, "remembered"),
    ),
    "deliver_spike": ARRIVAL,
    "set_ages": Signature(
        arguments=("copy", "phase", "most"),
        tables=("sizes", "layers"),
        state=("ages", "images", "n_spikes", "n_before", "n_images", "first_image"),
    ),
    "travel": Signature(
        arguments=("copy", "step"),
        tables=("sizes", "layers"),
        state=("targets", "inhibition", "pending"),
    ),
}
C_TYPES = State(  # as in struct State
    targets="double",
    singles="float",
    ages="int32_t",
    images="int32_t",
    n_spikes="int32_t",
    n_before="int32_t",
    spikes="int32_t",
    fires="char",
    remembered="int32_t",
    inhibition="double",
    pending="double",
    arrivals="double",
    events="double",
    n_images="int32_t",
    first_image="int32_t",
)
LISTS = ("targets", "singles", "ages", "images", "n_spikes", "n_before", "spikes", "fires")


def brian2_functions(
    layout: Layout, state: State, names: Sequence[str], delays: Sequence[Integers] = ()
) -> dict[str, Function]:
    """Brian2 functions of those names, see above.

    Parameters
    ----------
    layout : Layout
        Where everything lies.
    state : State
        Arrays of the state variables for the NumPy and Cython targets, or their names in the
        generated program for C++ standalone; empty where none of the functions needs them.
    names : sequence of str
        Of `SIGNATURES`.
    delays : sequence of ndarray of int
        Of each route and position in steps, for ``deliver``; below 0 where it does not deliver.

    Returns
    -------
    dict of str to Function
        By name; all are stateful.
    """
    all_delays = np.concatenate([*delays, [-1]])
    sizes = layout.sizes._replace(remembered=int(all_delays.max()) + 1 or 1)
    tables: dict[str, NDArray[Any]] = {
        "sizes": np.array(sizes, dtype=np.int32),
        "groups": np.array(layout.groups, dtype=np.int32).ravel(),
        "layers": np.array(layout.layers, dtype=np.int32).ravel(),
        "routes": np.array(layout.routes or ((0,),), dtype=np.int32).ravel(),
        "weights": narrowest(layout.weights * layout.unit_volt),
        "packed": layout.packed.view(np.int32),  # a type that Brian2's Cython code knows
        "gains": layout.gains,
        "signs": layout.signs,
        "columns": layout.columns,
        "places": layout.places,
        "delays": all_delays.astype(np.int32),
    }
    weight = {"float32": "float", "float64": "double"}[tables["weights"].dtype.name]
    is_standalone = any(isinstance(own, str) for arrays in state for own in arrays)
    in_python = None if is_standalone else NumpyDelivery(layout, tables["weights"], state, delays)
    functions = {}
    for name in names:
        signature = SIGNATURES[name]
        run = _not_in_python if in_python is None else getattr(in_python, name)
        function = Function(
            run,
            arg_units=[1] * len(signature.arguments),
            arg_types=["integer"] * len(signature.arguments),
            return_unit=1,
            return_type="integer",
            stateless=False,
        )
        namespace = {f"shared_{table}": tables[table] for table in signature.tables}
        implementations = function.implementations
        used = {key: getattr(state, key) for key in signature.state}
        if in_python is None:
            code = _cpp_code(name, signature, used, weight)
            location = {"headers": [f'"{HEADER.name}"'], "include_dirs": [str(HEADER.parent)]}
            implementations.add_implementation(
                "cpp", code, namespace=namespace, name=name, compiler_kwds=location
            )
        else:
            arrays = {
                f"{key}_{i}": array.view(np.uint8) if array.dtype == np.bool_ else array
                for key, own in used.items()
                for i, array in enumerate(own)
                if array is not None
            }
            code = _cython_code(name, signature, used, weight)
            implementations.add_implementation(
                "cython", code, namespace={**namespace, **arrays}, name=name
            )
            implementations.add_implementation("numpy", run, name=name)
        functions[name] = function
    return functions


def _not_in_python(*_: object) -> int:
    raise RuntimeError("this function runs inside generated C++ code only")


def _declared(arguments: Sequence[str]) -> str:
    return ", ".join(f"int {argument}" for argument in arguments)


def _cpp_code(
    name: str, signature: Signature, used: Mapping[str, Sequence[str]], weight: str
) -> str:
    """C++ function that calls the one of the header with the program's arrays."""
    names = {
        key: ["nullptr" if n is None else f"brian::{n}" for n in own] for key, own in used.items()
    }
    declared = _declared(signature.arguments)
    return f"static inline int {name}({declared}) {{\n{_call(name, signature, names, weight)}}}\n"


def _call(name: str, signature: Signature, names: Mapping[str, Sequence[str]], weight: str) -> str:
    """C++ statements that collect the pointers and call the function of delivery.h."""
    lines = []
    pointers = [
        f"_namespaceshared_{table}" if table in signature.tables else "nullptr" for table in TABLES
    ]
    for key, kind in C_TYPES._asdict().items():
        own = names.get(key, [])
        if not own:
            pointers.append("nullptr")
        elif key in LISTS:
            lines.append(f"{kind} *const {key}[] = {{{', '.join(own)}}};")
            pointers.append(key)
        else:
            pointers.append(own[0])
    lines.append(f"const ann2brian::State<{weight}> state{{{', '.join(pointers)}}};")
    lines.append(f"return ann2brian::{name}(state, {', '.join(signature.arguments)});")
    return "".join(f"    {line}\n" for line in lines)


def _cython_code(
    name: str, signature: Signature, used: Mapping[str, Sequence[Any]], weight: str
) -> str:
    """Cython code that calls the C++ header.

    The header stands in the code as text, because Brian2 recompiles when the text changes. The
    arrays of the function's namespace are module variables, handed over as pointers.
    """
    names = {
        key: ["nullptr" if one is None else f"_namespace{key}_{i}" for i, one in enumerate(own)]
        for key, own in used.items()
    }
    kinds = {
        f"_namespaceshared_{table}": {
            "weights": weight,
            "gains": "double",
        }.get(table, "int32_t")
        for table in signature.tables
    }
    kinds |= {
        pointer: getattr(C_TYPES, key)
        for key, own in names.items()
        for pointer in own
        if pointer != "nullptr"
    }
    declared = ", ".join(
        [f"{kind} *{pointer}" for pointer, kind in kinds.items()] + [_declared(signature.arguments)]
    )
    passed = ", ".join([f"<{kind} *>{p}" for p, kind in kinds.items()] + list(signature.arguments))
    return f'''
cdef extern from *:
    """
    {HEADER.read_text()}
    static inline int run_{name}({declared}) {{
{_call(name, signature, names, weight)}    }}
    """
    int run_{name}({declared})

cdef int {name}({_declared(signature.arguments)}):
    return run_{name}({passed})
'''
