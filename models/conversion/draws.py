"""Counted random numbers in the equations of neurons, and roundings that are the same everywhere.

``normal(seed, image, neuron, step, stream)`` and ``uniform(...)`` are the functions of
:mod:`models.philox`; a type of neurons that names them has them among its constants, and the lines
`ADDRESS` among its equations, which the engine fills. Unlike ``randn()`` they give the same numbers
for any batch, number of processes and target. ``on_grid(x)`` is the nearest multiple of
`GRID_VOLT`: a potential that is multiplied, by a leak say, comes back to a grid on which sums are
exact.
"""

from __future__ import annotations

import numpy as np
from brian2 import Function

from .. import philox

# What a neuron is told that draws numbers; see NeuronType.
ADDRESS = """
    seed : integer (shared)      # of the run
    image : integer              # number of the present image
    neuron : integer (constant)  # number of the neuron in the network
"""
GRID_BITS = 40
GRID_VOLT = 2.0**-GRID_BITS

_PHILOX = f"""
#ifndef ANN2BRIAN_PHILOX
#define ANN2BRIAN_PHILOX
#include <cmath>
#include <cstdint>
// First word of Philox 4x32-{philox.ROUNDS}; models/philox.py has the source.
static inline uint32_t ann2brian_philox(
    uint32_t k0, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {{
    uint32_t k1 = 0;
    for (int i = 0; i < {philox.ROUNDS}; i++) {{
        const uint64_t p0 = uint64_t({philox.MULTIPLIERS[0]}u) * c0;
        const uint64_t p1 = uint64_t({philox.MULTIPLIERS[1]}u) * c2;
        c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
        c1 = uint32_t(p1);
        c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
        c3 = uint32_t(p0);
        k0 += {philox.WEYL[0]}u;
        k1 += {philox.WEYL[1]}u;
    }}
    return c0;
}}
static inline double ann2brian_uniform(uint32_t word) {{
    return double(word) * {2.0**-32!r};
}}
static inline double ann2brian_normal(uint32_t word, const int32_t *quantiles) {{
    const uint32_t rest = word & 0x7fffffffu;
    const int octave = 31 - __builtin_clz(rest | 1);
    const int shift = octave > 7 ? octave - 7 : 0;
    const uint32_t knot = shift * {philox.KNOTS} + (rest >> shift);
    const int64_t fraction = rest & ((1u << shift) - 1);
    const int64_t low = quantiles[knot], high = quantiles[knot + 1];
    const int64_t fine = low + (((high - low) * fraction) >> shift);
    const int64_t size = (fine + {1 << (philox.FINE_BITS - 1)}) >> {philox.FINE_BITS};
    return double(word >> 31 ? -size : size) * {philox.NORMAL_STEP!r};
}}
#endif
"""
_NUMBERS = ("seed", "image", "neuron", "step", "stream")
_TABLE = "_namespacenormal_quantiles"


def _drawn(name: str) -> Function:
    """One of the functions of philox.py, for all targets."""
    python = getattr(philox, name)
    has_table = name == "normal"
    function = Function(
        python,
        arg_units=[1] * len(_NUMBERS),
        arg_types=["integer"] * len(_NUMBERS),
        return_unit=1,
        return_type="float",
    )
    table = {"normal_quantiles": philox.QUANTILES.astype(np.int32)} if has_table else {}
    given = ", ".join(f"int {number}" for number in _NUMBERS)
    word = f"ann2brian_philox({', '.join(_NUMBERS)})"
    drawn = f"ann2brian_{name}({word}{f', {_TABLE}' if has_table else ''})"
    # Most neurons of chains have no image in most steps: a branch spares them the work.
    call = f"step < 0 ? {0.0 if has_table else 1.0} : {drawn}"
    function.implementations.add_implementation(
        "cpp",
        f"{_PHILOX}\nstatic inline double {name}({given}) {{ return {call}; }}\n",
        namespace=table,
        name=name,
    )
    pointer = f", int32_t *{_TABLE}" if has_table else ""
    passed = f", <int32_t *>{_TABLE}" if has_table else ""
    function.implementations.add_implementation(
        "cython",
        f'''
cdef extern from *:
    """
    {_PHILOX}
    static inline double run_{name}({given}{pointer}) {{ return {call}; }}
    """
    double run_{name}({given}{pointer})

cdef double {name}({given}):
    return run_{name}({", ".join(_NUMBERS)}{passed})
''',
        namespace=table,
        name=name,
    )
    return function


NORMAL, UNIFORM = _drawn("normal"), _drawn("uniform")

# A sum or product may be computed in one rounding or in two; half a step of the grid is far more.
ON_GRID = Function(
    lambda x: np.ldexp(np.rint(np.ldexp(np.asarray(x, dtype=np.float64), GRID_BITS)), -GRID_BITS),
    arg_units=[None],
    return_unit=lambda unit: unit,
)
ON_GRID.implementations.add_implementation(
    "cpp",
    "static inline double on_grid(double x) "
    f"{{ return std::nearbyint(x * {2.0**GRID_BITS!r}) * {GRID_VOLT!r}; }}",
    name="on_grid",
)
ON_GRID.implementations.add_implementation(
    "cython",
    f"""
from libc.math cimport nearbyint

cdef double on_grid(double x):
    return nearbyint(x * {2.0**GRID_BITS!r}) * {GRID_VOLT!r}
""",
    name="on_grid",
)
