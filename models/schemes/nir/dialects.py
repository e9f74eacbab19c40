"""What each program means where a NIR file does not say: one declaration for each writer.

A dialect turns the fields of a node into the law of a step, as the program ran it that wrote the
file. Measured with nir 1.0.8 (sinabs also with 1.0.4, which it asks for) against each program's own
spikes; docs/nir.md has the table. `definition` is that of the format itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.special import lambertw

from ...arrays import Array
from ...networks.dynamics import SILENT
from .laws import Law

Fields = Mapping[str, Array]
RESETS = ("value", "subtract", "zero", "none", "subtract-at-once", "zero-at-once")
NO_SPIKE = ""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a dialect may be told beside the file.

    Parameters
    ----------
    dt : float
        Step in seconds of the program that wrote the file.
    reset : str
        One of `RESETS`.
    is_recurrent : bool
        Whether the neurons' own spikes come back to them.
    is_floored : bool
        Whether the potential stops at minus the threshold.
    is_single_spike : bool
        Whether a neuron spikes once in a step at most, where several are usual.
    is_normed : bool, optional
        Whether the input is multiplied by 1 - decay, where the writer has a choice.
    """

    dt: float
    reset: str
    is_recurrent: bool = False
    is_floored: bool = False
    is_single_spike: bool = False
    is_normed: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a program means its files.

    Parameters
    ----------
    name : str
        Of the program.
    versions : str
        With which it was measured.
    law : callable
        ``law(model, fields, told)`` for neurons of one model.
    models : tuple of str
        That it writes.
    resets : tuple of str
        What may become of the potential after a spike; the first unless told.
    dt : float or None
        Step in seconds unless told or found; None if it must be told.
    find_dt : callable, optional
        ``find_dt(model, fields)``: the step as the fields of neurons tell it, or None.
    changes_graph : bool
        Whether the graph of a file is not the one that the program ran, so that the file must be
        read as the program's own (:mod:`models.importing.nir_writers`).
    lag : int
        Steps by which a spike acts later than in the step in which the threshold is passed, on
        others; not of potentials with a threshold behind them.
    left_open : tuple of str
        What the file does not tell, for the warning.
    options : tuple of str
        Further options of :class:`~models.schemes.nir.options.NirOptions` that it takes.
    """

    name: str
    versions: str
    law: Callable[[str, Fields, Told], Law]
    models: tuple[str, ...]
    resets: tuple[str, ...]
    dt: float | None
    find_dt: Callable[[str, Fields], float | None] = lambda _model, _fields: None
    changes_graph: bool = False
    lag: int = 0
    left_open: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def single(values: Array | float) -> Array:
    """Rounded to single precision."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def _v_reset(fields: Fields) -> Array:
    """Where the reset leads to, if the file says it."""
    if "v_reset" not in fields:
        raise ValueError(
            "there is no v_reset to reset to; files before nir 1.0.6 have none, and by their "
            "definition the threshold is subtracted: reset='subtract', where the writer has that"
        )
    return fields["v_reset"]


def _countable(fields: Fields) -> Array:
    """The threshold of neurons that spike as often as their potential holds it."""
    found = single(fields["v_threshold"])
    if not (found > 0).all():
        raise ValueError(
            f"v_threshold holds {found.min():g}; it is above 0 where thresholds count spikes"
        )
    return found


# ---- the format's own definition ----


def _definition(model: str, fields: Fields, told: Told) -> Law:
    """Exact integration of an input that is constant within a step."""
    numbers: dict[str, Array] = {}
    threshold, reset = NO_SPIKE, ""
    if model == "Threshold":
        return Law(
            numbers={"v_th": fields["threshold"]},
            step="v_next = x",
            is_single=False,
        )
    if model not in SILENT:
        threshold, reset = "v > v_th", _AFTER[told.reset]
        numbers = {"v_th": fields["v_threshold"]}
        if told.reset == "value":
            numbers["v_reset"] = _v_reset(fields)
    if model in ("I", "IF"):
        numbers |= {"input_gain": fields["r"] * told.dt}
        step = "v_next = v + input_gain*x"
    elif model in ("LI", "LIF"):
        numbers |= {name: fields[name] for name in ("tau", "r", "v_leak")}
        numbers["v_start"] = fields["v_leak"]
        step = """
            v_inf = v_leak + r*x
            v_next = v_inf + (v - v_inf)*exp(-step/tau)
        """
    else:
        names = ("tau_mem", "tau_syn", "r", "w_in", "v_leak")
        numbers |= {name: fields[name] for name in names}
        numbers |= {"mixing": mixing(fields["tau_mem"], fields["tau_syn"], told.dt)}
        numbers["v_start"] = fields["v_leak"]
        step = """
            p = w_in*x
            i_next = p + (i_syn - p)*exp(-step/tau_syn)
            v_inf = v_leak + r*p
            v_next = v_inf + (v - v_inf)*exp(-step/tau_mem) + r*(i_syn - p)*mixing
        """
    return Law(numbers=numbers, step=step, threshold=threshold, reset=reset, is_single=False)


_AFTER = {
    "value": "v = v_reset",
    "subtract": "v = v - v_th",
    "zero": "v = 0*volt",
    "none": "",
}


def mixing(tau_mem: Array, tau_syn: Array, dt: float) -> Array:
    """Potential that a synaptic current of 1, as it decays, leaves after a step, for r = 1.

    Parameters
    ----------
    tau_mem, tau_syn : ndarray
        Time constants in seconds; they may be equal.
    dt : float
        Step in seconds.
    """
    mem, syn = dt / tau_mem, dt / tau_syn
    # By the slower of the two: expm1 of a large positive number would be infinite.
    slower, difference = np.minimum(mem, syn), np.abs(mem - syn)
    is_equal = difference == 0
    safe = np.where(is_equal, 1.0, difference)
    growth = np.where(is_equal, 1.0, -np.expm1(-safe) / safe)
    return np.asarray(mem * np.exp(-slower) * growth)


# ---- snnTorch ----

SNNTORCH_DT = float(np.float32(1e-4))


def _snntorch(model: str, fields: Fields, told: Told) -> Law:
    """Decay, input, and the reset of the spike of the step before."""
    numbers = {"v_th": fields["v_threshold"]}
    kind = told.reset.removesuffix("-at-once")
    is_at_once = kind != told.reset
    # The potential that brought the last spike still stands there, unless it was reset at once.
    lines = ["late = int(v > v_th)"]
    if model == "LIF":
        numbers["decay"] = single(1.0 - SNNTORCH_DT / fields["tau"])
        is_zeroed_before = kind == "zero" and not told.is_recurrent
        lines.append("p = v*(1 - late)" if is_zeroed_before else "p = v")
        lines += ["v_next = decay*p", "v_next = v_next + x"]
    else:
        numbers["decay"] = single(1.0 - SNNTORCH_DT / fields["tau_mem"])
        numbers["syn_decay"] = single(1.0 - SNNTORCH_DT / fields["tau_syn"])
        is_zeroed_before = False
        lines += ["i_next = syn_decay*i_syn", "i_next = i_next + x"]
        lines += ["v_next = decay*v", "v_next = v_next + i_next"]
    if kind == "subtract":
        lines += ["q = late*v_th", "v_next = v_next - q"]
    elif kind == "zero" and not is_zeroed_before:
        lines.append("v_next = v_next*(1 - late)")
    if not is_at_once:
        return Law(numbers=numbers, step="\n".join(lines))
    taken = "v_th" if kind == "subtract" else "v_next"
    lines += ["spikes = int(v_next > v_th)", f"q = (spikes - late)*{taken}", "v_next = v_next - q"]
    return Law(numbers=numbers, step="\n".join(lines), threshold="spikes > 0")


# ---- spikingjelly ----


def _spikingjelly(model: str, fields: Fields, told: Told) -> Law:
    """Input at once, threshold reached is enough, reset to a value at once."""
    v_reset = single(_v_reset(fields))
    numbers = {"v_th": single(fields["v_threshold"]), "v_reset": v_reset, "v_start": v_reset}
    if model == "IF":
        step = "v_next = v + x"
    elif model == "LIF":
        n_tau = single(fields["tau"] / told.dt)
        numbers["n_tau"] = n_tau
        if (fields["r"] == 1).all():
            step = "p = v - v_reset\np = x - p\np = p/n_tau\nv_next = v + p"
        elif np.allclose(fields["r"], n_tau, rtol=1e-5, atol=0):
            step = "p = v - v_reset\np = p/n_tau\np = v - p\nv_next = p + x"
        else:
            raise ValueError(
                f"r is {fields['r'].flat[0]:g}; spikingjelly writes 1, or tau/dt where the input "
                f"does not decay, which is {n_tau.flat[0]:g} at dt = {told.dt:g} s. Say with which "
                "dt the file was written"
            )
    else:
        numbers["syn_decay"] = single(1.0 - told.dt / fields["tau_syn"])
        numbers["decay"] = single(1.0 - told.dt / fields["tau_mem"])
        step = """
            i_next = syn_decay*i_syn
            i_next = i_next + x
            v_next = decay*v
            v_next = v_next + i_next
        """
    return Law(numbers=numbers, step=step, threshold="v >= v_th", reset="v = v_reset")


# ---- norse ----


def _norse(model: str, fields: Fields, told: Told) -> Law:
    """Euler steps; time constants stand in the file too small by the factor dt."""
    numbers: dict[str, Array] = {}
    threshold, reset = NO_SPIKE, ""
    if model not in SILENT:
        threshold, reset = "v > v_th", _AFTER[told.reset]
        numbers = {"v_th": single(fields["v_threshold"])}
        if told.reset == "value":
            numbers["v_reset"] = single(_v_reset(fields))
    if model == "IF":
        step = "v_next = v + x"
    elif model in ("LI", "LIF"):
        numbers["v_start"] = numbers["v_leak"] = single(fields["v_leak"])
        numbers["per_step"] = _norse_part(fields["tau"], told.dt)
        towards = "p = v_leak - v\np = p + x" if model == "LI" else "p = x + v_leak\np = p - v"
        step = f"{towards}\np = per_step*p\nv_next = v + p"
    else:
        numbers["v_start"] = numbers["v_leak"] = single(fields["v_leak"])
        numbers["per_step"] = _norse_part(fields["tau_mem"], told.dt)
        numbers["syn_per_step"] = _norse_part(fields["tau_syn"], told.dt)
        step = """
            i_next = i_syn + x
            p = v_leak - v
            p = p + i_next
            p = per_step*p
            v_next = v + p
            q = syn_per_step*i_next
            i_next = i_next - q
        """
    return Law(numbers=numbers, step=step, threshold=threshold, reset=reset)


def _norse_part(tau: Array, dt: float) -> Array:
    """Part of a step, dt over the true time constant, as the program has it.

    It writes dt * tau in single precision; 1 / tau is recovered to the six digits in which people
    give it, if one is that near.
    """
    step = float(np.float32(dt))
    inverse = step / tau
    typed = np.array([float(f"{x:.6g}") for x in inverse.flat]).reshape(inverse.shape)
    is_typed = np.abs(typed / inverse - 1.0) < 3e-7
    rounded = single(step * single(step / tau))
    return np.where(is_typed, single(step * single(typed)), rounded)


# ---- sinabs ----


def _sinabs(model: str, fields: Fields, told: Told) -> Law:
    """Time constants are numbers of steps; several spikes a step; no floor in the file."""
    numbers: dict[str, Array] = {}
    if model == "IF":
        charge = "v_next = v + x"
    else:
        decay = single(np.exp(single(-1.0 / single(fields["tau"]))))
        is_normed = model == "LIF" if told.is_normed is None else told.is_normed
        gain = single(1.0 - decay) if is_normed else np.ones_like(decay)
        numbers = {"decay": decay, "input_gain": gain}
        charge = "p = decay*v\nq = input_gain*x\nv_next = p + q"
    if model == "LI":
        return Law(numbers=numbers, step=charge, threshold=NO_SPIKE)
    numbers["v_th"] = _countable(fields)
    if told.is_single_spike:
        count = "spikes = int(v_next >= v_th)"
    else:
        count = "ratio = v_next/v_th\nspikes = int(v_next > 0*volt)*floor(ratio)"
    after = {
        "subtract": "q = spikes*v_th\nv_next = v_next - q",
        "zero": "v_next = v_next*int(spikes == 0)",
    }[told.reset]
    floor = ""
    if told.is_floored:
        numbers["v_min"] = -numbers["v_th"]
        floor = "p = v_next - v_min\np = p*int(p > 0*volt)\nv_next = p + v_min"
    return Law(
        numbers=numbers,
        step="\n".join((charge, count, after, floor)),
        threshold="left > 0",
        reset="left = left - 1",
        is_multiple=True,
    )


# ---- rockpool ----


def _rockpool(model: str, fields: Fields, told: Told) -> Law:
    """Exact decay; input jumps in before the decay of the current, after that of the potential."""
    if model == "LI":  # its synaptic current, which is the output
        numbers = {"syn_decay": _rockpool_decay(fields["tau"], told.dt)}
        return Law(
            numbers=numbers, step="v_next = v + x\nv_next = syn_decay*v_next", threshold=NO_SPIKE
        )
    numbers = {"v_th": _countable(fields)}
    if model == "LIF":
        numbers["decay"] = _rockpool_decay(fields["tau"], told.dt)
        charge = "v_next = decay*v\nv_next = v_next + x"
    else:
        numbers["decay"] = _rockpool_decay(fields["tau_mem"], told.dt)
        numbers["syn_decay"] = _rockpool_decay(fields["tau_syn"], told.dt)
        charge = """
            i_next = i_syn + x
            i_next = syn_decay*i_next
            v_next = decay*v
            v_next = v_next + i_next
        """
    count = "ratio = v_next/v_th\nspikes = int(v_next >= v_th)*floor(ratio)"
    if told.is_single_spike:
        count = "spikes = int(v_next >= v_th)"
    after = f"""
        {count}
        q = spikes*v_th
        v_next = v_next - q
    """
    return Law(
        numbers=numbers,
        step=f"{charge}\n{after}",
        threshold="left > 0",
        reset="left = left - 1",
        is_multiple=True,
    )


def _rockpool_decay(tau: Array, dt: float) -> Array:
    """exp(-dt/tau), rounded as the program rounds on the way."""
    return single(np.exp(single(single(1.0 / single(tau)) * single(-dt))))


def _rockpool_dt(model: str, fields: Fields) -> float | None:
    """The step, which stands in r = tau exp(-dt/tau) / dt of spiking neurons."""
    if model not in ("LIF", "CubaLIF"):
        return None
    tau = fields["tau" if model == "LIF" else "tau_mem"]
    found = np.median(tau * np.real(lambertw(1.0 / fields["r"])))
    return float(f"{found:.5g}")


# ---- spyx ----


def _spyx(model: str, fields: Fields, told: Told) -> Law:
    """The reset of the spike before, undecayed; in r stands the decay itself."""
    if model == "LI":  # of a pair with a Threshold behind it
        numbers = {"decay": np.clip(single(1.0 - told.dt / fields["tau"]), 0, 1)}
        return Law(
            numbers=numbers, step="v_next = decay*v\nv_next = v_next + x", threshold=NO_SPIKE
        )
    numbers = {"v_th": single(fields["v_threshold"])}
    late = "p = v_th*int(v > v_th)"
    if model == "IF":
        charge = f"{late}\nv_next = v + x\nv_next = v_next - p"
    elif model == "LIF":
        numbers["decay"] = np.clip(single(fields["r"]), 0, 1)
        charge = f"{late}\nv_next = decay*v\nv_next = v_next + x\nv_next = v_next - p"
    else:
        numbers["decay"] = np.clip(single(fields["r"]), 0, 1)
        numbers["syn_decay"] = np.clip(single(1.0 - told.dt / fields["tau_syn"]), 0, 1)
        charge = f"""
            {late}
            p = v - p
            i_next = syn_decay*i_syn
            i_next = i_next + x
            v_next = decay*p
            v_next = v_next + i_next
        """
    return Law(numbers=numbers, step=charge)


def _spyx_dt(model: str, fields: Fields) -> float | None:
    """The step, which stands in r = 1 - dt/tau."""
    if model not in ("LIF", "CubaLIF"):
        return None
    tau = fields["tau" if model == "LIF" else "tau_mem"]
    return float(f"{np.median(tau * (1.0 - fields['r'])):.6g}")


def _spikingjelly_dt(model: str, fields: Fields) -> float | None:
    """The step, which stands in r unless all neurons let their input decay."""
    if model == "Threshold":
        return None
    if model == "LIF":
        found = fields["tau"] / fields["r"]
        return None if (fields["r"] == 1).all() else float(f"{np.median(found):.6g}")
    found = 1.0 / fields["r"] if model == "IF" else fields["tau_mem"] / fields["r"]
    return float(f"{np.median(found):.6g}")


_ALL = ("I", "LI", "IF", "LIF", "CubaLI", "CubaLIF", "Threshold")
DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect(
                name="definition",
                versions="nir 1.0.8",
                law=_definition,
                models=_ALL,
                resets=("value", "subtract", "zero", "none"),
                dt=None,
                left_open=("dt", "how long a spike lasts (one step)"),
            ),
            Dialect(
                name="snntorch",
                versions="snntorch 1.0.0",
                law=_snntorch,
                models=("LIF", "CubaLIF"),
                resets=("subtract", "zero", "none", "subtract-at-once", "zero-at-once"),
                dt=SNNTORCH_DT,
                left_open=("the reset, and its delay of a step",),
            ),
            Dialect(
                name="spikingjelly",
                versions="spikingjelly 2.0.0",
                law=_spikingjelly,
                models=("IF", "LIF", "CubaLIF"),
                resets=("value",),
                dt=1e-4,
                find_dt=_spikingjelly_dt,
                left_open=("dt",),
            ),
            Dialect(
                name="norse",
                versions="norse 1.1.0",
                law=_norse,
                models=("IF", "LIF", "CubaLIF", "LI"),
                resets=("value", "subtract"),
                dt=1e-3,
                left_open=("dt", "the reset, and the potential after it"),
                options=("v_reset",),
            ),
            Dialect(
                name="sinabs",
                versions="sinabs 3.1.3, nir 1.0.4 and 1.0.8",
                law=_sinabs,
                models=("IF", "LIF", "LI"),
                resets=("subtract", "zero"),
                dt=1e-3,
                left_open=(
                    "the reset",
                    "whether potentials stop at minus the threshold",
                    "whether a neuron spikes several times in a step",
                    "whether the input is normed",
                    "tau_syn",
                ),
                options=("is_floored", "is_single_spike", "norm_input"),
            ),
            Dialect(
                name="rockpool",
                versions="rockpool 3.1.0",
                law=_rockpool,
                models=("LIF", "CubaLIF", "LI"),
                resets=("subtract",),
                dt=None,
                find_dt=_rockpool_dt,
                left_open=(
                    "bias and recurrent weights, which are lost",
                    "how often a neuron spikes in a step at most",
                ),
                options=("is_single_spike",),
            ),
            Dialect(
                name="spyx",
                versions="spyx 1.0.0",
                law=_spyx,
                models=("IF", "LIF", "CubaLIF", "LI"),
                resets=("subtract",),
                dt=1.0,
                find_dt=_spyx_dt,
                lag=1,
                changes_graph=True,
                left_open=("the reset", "the step by which each layer is late"),
            ),
        )
    }
)


def dialect_of(name: str | None) -> Dialect:
    """The dialect of a writer; the format's definition for None.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists them.
    """
    found = DIALECTS.get(name or "definition")
    if found is None:
        raise ValueError(f"written_by must be one of {', '.join(DIALECTS)}, got {name!r}")
    return found
