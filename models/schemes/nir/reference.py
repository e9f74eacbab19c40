"""NIR networks in plain NumPy: all layers step by step, by the arithmetic of each program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array, Counts
from ...conversion.reference import ReferenceRun, spike_table
from ...spiking.network import READOUT, SpikingNetwork
from ...spiking.projections import WeightedProjection
from .conversion import NirConversion
from .laws import Law

Values = NDArray[Any]  # in the precision of the program
State = dict[str, Values]  # v, i_syn


def run(conversion: NirConversion, images: Array) -> ReferenceRun:
    """Present each input on its own; with an axis of steps, another value in each.

    Parameters
    ----------
    conversion : NirConversion
        What runs.
    images : ndarray, shape (n, height, width, channels) or (n, n_steps, ...)
        Input.
    """
    network = conversion.spiking
    n, n_steps = len(images), network.readout.n_steps
    frames = images if images.ndim == 5 else np.repeat(images[:, None], n_steps, axis=1)
    counts: dict[str, Counts] = {
        p.name: np.zeros((n, n_steps, p.n_units), dtype=np.int16) for p in network.populations
    }
    states = {name: _start(law, n) for name, law in conversion.laws.items()}
    stimuli = {s.target: s for s in network.stimuli}
    shown = np.zeros((n, n_steps, network.readout.n_classes))
    for t in range(n_steps):
        for population in network.populations:
            name = population.name
            x = np.asarray(population.parameters["bias"], dtype=np.float64).reshape(1, -1)
            x = np.repeat(x, n, axis=0)
            if name in stimuli:
                x += stimuli[name].values(frames[:, t])
            for p in network.incoming(name):
                x += _brought(network, p, counts, t)
            spikes, states[name] = _step(conversion, name, states[name], x)
            counts[name][:, t] = spikes
        if network.readout.potentials:
            shown[:, t] = states[network.readout.potentials]["v"]
        for p in network.incoming(READOUT):
            shown[:, t] += _brought(network, p, counts, t)
    return ReferenceRun(
        counts=counts,
        potentials={name: state["v"].astype(np.float64) for name, state in states.items()},
        scores=network.readout.logits(shown),
        spikes=spike_table(network, counts),
    )


def _brought(
    network: SpikingNetwork, p: WeightedProjection, counts: Mapping[str, Counts], t: int
) -> Array | float:
    """What a projection brings in step `t`: spikes as many steps ago as it takes."""
    every, at = network.readout.every, network.population(p.source).onset
    if p.target == READOUT:
        due = network.readout.onset
    else:
        due = network.population(p.target).onset + every - 2
    # A spike of step s comes in phase at + every (s + 1) - 1 + delay, in time for due + every t.
    phases = at + every - 1 + int(p.delays[0]) // network.phase_steps - due
    earlier = t - max(-(-phases // every), 0)
    if earlier < 0:
        return 0.0
    return p.forward(counts[p.source][:, earlier].astype(np.float64))


def _start(law: Law, n: int) -> State:
    kind = np.float32 if law.is_single else np.float64
    size = max((np.size(own) for own in law.numbers.values()), default=1)
    first = law.numbers.get("v_start", np.zeros(size))
    v = np.repeat(np.reshape(first, (1, -1)), n, axis=0).astype(kind)
    return {"v": v, "i_syn": np.zeros_like(v)}


def _step(conversion: NirConversion, name: str, state: State, x: Array) -> tuple[Values, State]:
    """Spikes of a step, and the state after it."""
    law = conversion.laws[name]
    kind = np.float32 if law.is_single else np.float64
    size = x.shape[1]
    numbers = {
        key: np.broadcast_to(np.reshape(own, (1, -1)), (1, size)).astype(kind)
        for key, own in law.numbers.items()
    }
    v = np.broadcast_to(state["v"], x.shape)
    i = np.broadcast_to(state["i_syn"], x.shape)
    # A Threshold is the same of all writers, and in double precision, as the definition is.
    step = _STEPS[str(conversion.options.written_by)] if law.is_single else _of_definition
    return step(v, i, x.astype(kind), numbers, law, conversion)


def _spiked(law: Law, v: Values, numbers: State) -> Values:
    return (v > numbers["v_th"]) if "v_th" in numbers else np.zeros(v.shape, dtype=bool)


def _of_definition(
    v: Values, i: Values, x: Values, n: State, law: Law, conversion: NirConversion
) -> tuple[Values, State]:
    dt = float(conversion.options.dt_ms or 0) * 1e-3
    if "input_gain" in n:
        v = v + n["input_gain"] * x
    elif "tau" in n:
        a = np.exp(-dt / n["tau"])
        rest = n["v_leak"] + n["r"] * x
        v = rest + (v - rest) * a
    elif "tau_mem" in n:
        j = n["w_in"] * x
        rest = n["v_leak"] + n["r"] * j
        v = rest + (v - rest) * np.exp(-dt / n["tau_mem"]) + n["r"] * (i - j) * n["mixing"]
        i = j + (i - j) * np.exp(-dt / n["tau_syn"])
    else:
        v = x
    fired = _spiked(law, v, n)
    if "v_reset" in n:
        v = np.where(fired, n["v_reset"], v)
    elif law.reset:
        v = np.where(fired, 0.0 if "volt" in law.reset else v - n["v_th"], v)
    return fired, {"v": v, "i_syn": i}


def _of_snntorch(
    v: Values, i: Values, x: Values, n: State, law: Law, conversion: NirConversion
) -> tuple[Values, State]:
    late = (v > n["v_th"]).astype(v.dtype)
    kind, _, at_once = str(conversion.options.reset).partition("-")
    is_synaptic = "syn_decay" in n
    # Of a spike without recurrence, the input of the step after stays.
    stays = kind == "zero" and not is_synaptic and "p = v*" in law.step
    if is_synaptic:
        i = n["syn_decay"] * i + x
        v = n["decay"] * v + i
    else:
        v = n["decay"] * (v * (1 - late) if stays else v) + x
    if kind == "subtract":
        v = v - late * n["v_th"]
    elif kind == "zero" and not stays:
        v = v * (1 - late)
    fired = (v > n["v_th"]).astype(v.dtype)
    if at_once:
        v = v - (fired - late) * (n["v_th"] if kind == "subtract" else v)
    return fired, {"v": v, "i_syn": i}


def _of_spikingjelly(
    v: Values, i: Values, x: Values, n: State, law: Law, conversion: NirConversion
) -> tuple[Values, State]:
    if "syn_decay" in n:
        i = n["syn_decay"] * i + x
        v = n["decay"] * v + i
    elif "n_tau" not in n:
        v = v + x
    elif "p + x" in law.step:
        v = v - (v - n["v_reset"]) / n["n_tau"] + x
    else:
        v = v + (x - (v - n["v_reset"])) / n["n_tau"]
    fired = v >= n["v_th"]
    return fired, {"v": np.where(fired, n["v_reset"], v), "i_syn": i}


def _of_norse(
    v: Values, i: Values, x: Values, n: State, law: Law, conversion: NirConversion
) -> tuple[Values, State]:
    if "per_step" not in n:
        v = v + x
    elif "syn_per_step" in n:
        i = i + x
        v = v + n["per_step"] * ((n["v_leak"] - v) + i)
        i = i - n["syn_per_step"] * i
    elif "v_th" in n:
        v = v + n["per_step"] * (x + n["v_leak"] - v)
    else:
        v = v + n["per_step"] * ((n["v_leak"] - v) + x)
    fired = _spiked(law, v, n)
    if law.reset:
        after = v - n["v_th"] if conversion.options.reset == "subtract" else n["v_reset"]
        v = np.where(fired, after, v)
    return fired, {"v": v, "i_syn": i}


def _of_sinabs(
    v: Values, i: Values, x: Values, n: State, law: Law, conversion: NirConversion
) -> tuple[Values, State]:
    v = n["decay"] * v + n["input_gain"] * x if "decay" in n else v + x
    if not law.reset:
        return _spiked(law, v, n), {"v": v, "i_syn": i}
    if conversion.options.is_single_spike:
        fired = (v >= n["v_th"]).astype(v.dtype)
    else:
        fired = np.where(v > 0, np.trunc(v / n["v_th"]), 0).astype(v.dtype)
    v = v - fired * n["v_th"] if conversion.options.reset == "subtract" else v * (fired == 0)
    if "v_min" in n:
        v = np.maximum(v - n["v_min"], 0) + n["v_min"]
    return fired, {"v": v, "i_syn": i}


def _of_rockpool(
    v: Values, i: Values, x: Values, n: State, law: Law, conversion: NirConversion
) -> tuple[Values, State]:
    if not law.reset:
        v = n["syn_decay"] * (v + x)
        return _spiked(law, v, n), {"v": v, "i_syn": i}
    if "syn_decay" in n:
        i = n["syn_decay"] * (i + x)
        v = n["decay"] * v + i
    else:
        v = n["decay"] * v + x
    most = 1 if conversion.options.is_single_spike else np.inf
    fired = np.where(v >= n["v_th"], np.minimum(np.floor(v / n["v_th"]), most), 0).astype(v.dtype)
    return fired, {"v": v - fired * n["v_th"], "i_syn": i}


def _of_spyx(
    v: Values, i: Values, x: Values, n: State, law: Law, conversion: NirConversion
) -> tuple[Values, State]:
    if "v_th" not in n or not law.threshold:
        v = n["decay"] * v + x
        return np.zeros(v.shape), {"v": v, "i_syn": i}
    if "p = v_th" not in law.step:  # a Threshold behind a potential
        v = n["decay"] * v + x
        return v > n["v_th"], {"v": v, "i_syn": i}
    lost = (v > n["v_th"]) * n["v_th"]
    if "syn_decay" in n:
        i = n["syn_decay"] * i + x
        v = n["decay"] * (v - lost) + i
    else:
        v = (n["decay"] * v if "decay" in n else v) + x - lost
    return v > n["v_th"], {"v": v, "i_syn": i}


Step = Callable[[Values, Values, Values, State, Law, NirConversion], tuple[Values, State]]
_STEPS: dict[str, Step] = {
    "definition": _of_definition,
    "snntorch": _of_snntorch,
    "spikingjelly": _of_spikingjelly,
    "norse": _of_norse,
    "sinabs": _of_sinabs,
    "rockpool": _of_rockpool,
    "spyx": _of_spyx,
}
