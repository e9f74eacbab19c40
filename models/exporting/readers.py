"""What becomes of a neuron when a program reads it from a NIR file, and how ours are put to it.

Read from each program's own reader and checked by running it (tests/data/nir/check_exports.py):
none of them runs the definition, and none reads what it writes in the same way. A reader here says
which node, with which fields, it makes our neuron of, and what it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..conversion.step_neurons import StepNeuron

NO_LEAK = 1e30  # seconds, or steps: a time constant for ever
LEAST_GAP = 2.0**-24  # between 1 and what lies below it in single precision
FINEST_GAP = 2.0**-40  # of thresholds in double precision, for leaks that leave every grid
HUGE = 2.0**60  # by which input is larger than what a potential loses in a step of no leak


@dataclass(frozen=True, eq=False, kw_only=True)
class Written:
    """How a population is written.

    Parameters
    ----------
    kind : str
        Of the node.
    fields : mapping of str to float
        The same for all neurons.
    thresholds : tuple of float
        Of a node of thresholds behind it, one for each copy of a neuron; empty for none.
    back : float
        Weight from each spike back to all copies of the neuron; 0 for none.
    gain, bias : float
        By which all weights to the population are multiplied, and what its biases get on top,
        before that.
    losses : tuple of str
        What the file does not say.
    """

    kind: str
    fields: Mapping[str, float]
    thresholds: tuple[float, ...] = ()
    back: float = 0.0
    gain: float = 1.0
    bias: float = 0.0
    losses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A population to be written.

    Parameters
    ----------
    neuron : StepNeuron
        What it does.
    gap : float
        Half a step of the grid of its potentials: a threshold lower by it is reached by the same.
    n_steps : int
        Of an image.
    dt : float
        Of a step of the definition, in seconds.
    as_graph : bool
        Whether resets by subtraction and bursts are written as recurrent graphs.
    is_first : bool
        Whether only the image leads to it.
    is_biased : bool
        Whether it has biases.
    is_map : bool
        Whether its neurons stand in rows and columns.
    """

    neuron: StepNeuron
    gap: float
    n_steps: int
    dt: float
    as_graph: bool
    is_first: bool
    is_biased: bool
    is_map: bool

    @property
    def narrow_gap(self) -> float:
        """The same in single precision."""
        return max(self.gap, LEAST_GAP)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A program that reads NIR files.

    Parameters
    ----------
    name : str
        Of the program; ``definition`` for the format's own.
    versions : str
        With which it was checked.
    write : callable
        Makes a :class:`Written` of a :class:`Case`.
    reads : tuple of str
        Kinds of nodes.
    told : mapping of str to object
        Options of :class:`~models.schemes.nir.options.NirOptions` with which our reader runs the
        file as the program does.
    file_version : str
        Of ``nir``, that the file states.
    leave_out : tuple of str
        Fields that its version of ``nir`` does not know.
    has_single_fields : bool
        Whether fields of maps are vectors of one entry.
    is_channels_last : bool
        Whether Flatten puts the channels last.
    is_late : bool
        Whether spikes come a step late, but of potentials with a threshold behind them.
    takes_sums : bool
        Whether several edges into a node, or out of one, are read.
    call : str
        With which the program reads the file, a graph that ``nir.read(path)`` gave.
    note : str
        What a user of it should know.
    """

    name: str
    versions: str
    write: Callable[[Case], Written]
    reads: tuple[str, ...]
    told: Mapping[str, Any] = field(default_factory=dict)
    file_version: str = "1.0.8"
    leave_out: tuple[str, ...] = ()
    has_single_fields: bool = False
    is_channels_last: bool = False
    is_late: bool = False
    takes_sums: bool = True
    call: str = ""
    note: str = ""


def _without_time(case: Case) -> tuple[StepNeuron, float]:
    """The neuron, and its first threshold: of a single step, what it finds is part of that."""
    neuron = case.neuron
    if case.n_steps == 1 and not neuron.is_floored:
        return replace(neuron, leak=1.0, start=0.0), 1.0 - neuron.start
    return neuron, 1.0


def _losses(
    case: Case, reset: str, *, bursts: bool = False, starts: bool = False
) -> tuple[str, ...]:
    """What a reader with one reset, and one start, cannot do."""
    neuron, _ = _without_time(case)
    found = []
    if neuron.is_floored:
        found.append("potentials below rest are raised to it")
    if case.n_steps > 1 and neuron.leak and neuron.reset != reset:
        words = {"soft": "a spike takes the threshold off", "hard": "a spike leads to rest"}
        found.append(f"{words[neuron.reset]}, and there {words[reset]}")
    if bursts:
        spikes = "one spike" if neuron.limit == 1 else f"{neuron.limit} spikes"
        found.append(f"a step brings {spikes} at most, and there any number")
    elif neuron.limit > 1:
        found.append(f"a step brings up to {neuron.limit} spikes, and there one")
    if neuron.start and not starts:
        found.append(f"the first step finds {neuron.start:g} thresholds, and there none")
    return tuple(found)


# ---- the definition ----


def _definition(case: Case) -> Written:
    """``v > v_threshold``, exact integration, recurrent spikes one step later."""
    neuron, top = _without_time(case)
    if neuron.leak == 0:
        return Written(kind="Threshold", fields={"threshold": top - case.gap - neuron.start})
    is_soft = neuron.reset == "soft" and (case.n_steps > 1 or neuron.limit > 1)
    leak, gap = neuron.leak, case.gap
    start = neuron.start / leak  # before the leak of the first step
    floored = ("potentials below rest are raised to it",) if neuron.is_floored else ()
    drift = -start * (1.0 - leak)  # what the pull towards v_leak adds
    leaky = {"r": 1.0 / (1.0 - leak), "v_leak": start} if leak < 1 else {}
    if leak < 1:
        leaky["tau"] = -case.dt / np.log(leak)
    if is_soft and case.as_graph:
        numbers = range(neuron.limit)
        shift = start if leak == 1 else 0.0
        return Written(
            kind="LI" if leak < 1 else "I",
            fields=leaky or {"r": 1.0 / case.dt},
            thresholds=tuple(top + k - gap - shift for k in numbers),
            back=-leak,
            bias=drift,
            losses=floored,
        )
    losses = _losses(case, "hard", starts=True)
    if is_soft:
        losses = (*losses, "as_graph=True writes that exactly")
    if leak == 1:
        fields = {"r": 1.0 / case.dt, "v_threshold": top - gap - start, "v_reset": -start}
        return Written(kind="IF", fields=fields, losses=losses)
    fields = {**leaky, "v_threshold": top - gap, "v_reset": 0.0}
    return Written(kind="LIF", fields=fields, bias=drift, losses=losses)


# ---- programs ----


def _snntorch(case: Case) -> Written:
    """A LIF with dt = 0.1 ms, set to zero at once; ``v > v_threshold``; an IF leaks by 0.9."""
    neuron, top = _without_time(case)
    tau = 1e-4 / (1.0 - neuron.leak) if neuron.leak < 1 else NO_LEAK
    fields = {"tau": tau, "r": tau / 1e-4, "v_leak": 0.0, "v_reset": 0.0}
    fields["v_threshold"] = top - case.narrow_gap
    return Written(kind="LIF", fields=fields, losses=_losses(case, "hard"))


def _spikingjelly(case: Case) -> Written:
    """R = 1/dt, or tau/dt of a LIF, with dt = 0.1 ms; ``v >= v_threshold``, then v_reset."""
    neuron, top = _without_time(case)
    fields = {"v_threshold": top, "v_reset": 0.0}
    losses = _losses(case, "hard")
    if neuron.leak in (0, 1):  # none has tau = dt; where it gets whole numbers, a reset forgets all
        return Written(kind="IF", fields={**fields, "r": 1e4}, losses=losses)
    tau = 1e-4 / (1.0 - neuron.leak)
    fields |= {"tau": tau, "r": tau / 1e-4, "v_leak": 0.0}
    return Written(kind="LIF", fields=fields, losses=losses)


def _sinabs(case: Case) -> Written:
    """Tau in steps, no r; subtracts, spikes any number of times; a LIF has no least potential."""
    neuron, top = _without_time(case)
    tau = NO_LEAK
    if neuron.leak < 1:
        tau = -1.0 / np.log(neuron.leak) if neuron.leak else 1e-3
    fields = {"tau": tau, "r": 1.0, "v_leak": 0.0, "v_threshold": top}
    return Written(kind="LIF", fields=fields, losses=_losses(case, "soft", bursts=True))


def _norse(case: Case) -> Written:
    """Euler steps of dt = 1 ms; ``v > v_threshold``; starts at v_leak; r of a LIF not read.

    A CubaLIF resets by the method that the reader is told, and its threshold is what it takes off:
    half a grid step is in the start instead.
    """
    neuron, top = _without_time(case)
    if neuron.reset == "soft" and case.n_steps > 1 and neuron.leak == 1 and neuron.limit == 1:
        fields = {"tau_syn": _norse_tau(1.0), "tau_mem": _norse_tau(1.0 / HUGE)}
        fields |= {"r": 1.0, "w_in": 1.0, "v_threshold": 1.0, "v_reset": 0.0}
        fields["v_leak"] = neuron.start + max(case.gap, 2.0**-22)
        return Written(
            kind="CubaLIF", fields=fields, gain=HUGE, losses=_losses(case, "soft", starts=True)
        )
    if neuron.leak == 1:
        fields = {"r": 1.0, "v_threshold": top - case.narrow_gap, "v_reset": 0.0}
        return Written(kind="IF", fields=fields, losses=_losses(case, "hard"))
    part = 1.0 - neuron.leak  # of the input that a step takes in: potentials are smaller by it
    start = part * neuron.start / neuron.leak if neuron.leak else 0.0
    fields = {"tau": _norse_tau(part), "r": 1.0, "v_reset": 0.0, "v_leak": start}
    fields["v_threshold"] = part * (top - case.narrow_gap)
    return Written(
        kind="LIF",
        fields=fields,
        bias=-start,
        losses=_losses(case, "hard", starts=True),
    )


def _norse_tau(part: float) -> float:
    """Time constant of which a step is this part, as single precision has it."""
    dt = np.float32(1e-3)
    tau = np.float32(dt / np.float64(part))
    near = [tau]
    for away in (np.float32(0), np.float32(np.inf)):
        one = tau
        for _ in range(8):
            one = np.nextafter(one, away)
            near.append(one)
    return float(min(near, key=lambda t: abs(float(dt * (np.float32(1) / t)) / part - 1.0)))


def _spyx(case: Case) -> Written:
    """``v > v_threshold`` of the step before, subtracted; a step of each layer is one late.

    What is taken off is the threshold itself, lower by less than the spikes of an image can bring
    to half a grid step.
    """
    neuron, top = _without_time(case)
    if case.n_steps == 1 or neuron.leak == 0:
        return Written(
            kind="LI",
            fields={"tau": 1.0 if neuron.leak == 0 else NO_LEAK, "r": 1.0, "v_leak": 0.0},
            thresholds=(top - case.narrow_gap,),
            losses=_losses(case, "soft"),
        )
    losses = _losses(case, "soft")
    if case.is_biased and not case.is_first:
        losses = (*losses, "its biases act in steps before the first spikes come")
    fields = {"v_threshold": 1.0 - max(2 * case.gap / (case.n_steps + 2), LEAST_GAP)}
    if neuron.leak == 1:
        return Written(kind="IF", fields={**fields, "r": 1.0, "v_reset": 0.0}, losses=losses)
    fields |= {"tau_mem": 1.0 / (1.0 - neuron.leak), "tau_syn": 1.0, "r": neuron.leak}
    fields |= {"w_in": 1.0, "v_leak": 0.0, "v_reset": 0.0}
    if not case.is_map:
        return Written(kind="CubaLIF", fields=fields, losses=losses)
    fields = {"tau": fields["tau_mem"], **fields}
    del fields["tau_mem"], fields["tau_syn"], fields["w_in"]
    return Written(
        kind="LIF",
        fields=fields,
        losses=(*losses, "what a spike takes off decays, and there it does not"),
    )


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        reader.name: reader
        for reader in (
            Reader(
                name="definition",
                versions="nir 1.0.8",
                write=_definition,
                reads=("Affine", "Conv2d", "Flatten", "I", "LI", "IF", "LIF", "Threshold"),
                call="ann2brian.from_nir(path, dt=dt)",
            ),
            Reader(
                name="snntorch",
                versions="snntorch 1.0.0",
                write=_snntorch,
                reads=("Affine", "Conv2d", "Flatten", "LIF"),
                told={"reset": "zero-at-once"},
                call="snntorch.import_nir.import_from_nir(graph)",
                note="takes the batch for an axis: present images one by one",
            ),
            Reader(
                name="sinabs",
                versions="sinabs 3.1.3, nir 1.0.4",
                write=_sinabs,
                reads=("Affine", "Conv2d", "Flatten", "LIF"),
                told={"norm_input": "no"},
                call="sinabs.nir.from_nir(graph, batch_size=n)",
                note="with nir 1.0.4 and nirtorch 1.0; later ones refuse the file",
                file_version="1.0.4",
                leave_out=("v_reset",),
                has_single_fields=True,
                takes_sums=False,
            ),
            Reader(
                name="spikingjelly",
                versions="spikingjelly 2.0.0",
                write=_spikingjelly,
                reads=("Affine", "Conv2d", "Flatten", "IF", "LIF"),
                call="import_from_nir(graph)",
            ),
            Reader(
                name="norse",
                versions="norse 1.1.0",
                write=_norse,
                reads=("Affine", "Conv2d", "Flatten", "IF", "LIF", "CubaLIF"),
                # What it writes has time constants too small by dt, and what it reads has not.
                told={"dt_ms": 1e3 * np.sqrt(1e-3)},
                takes_sums=False,
                call="norse.torch.from_nir(graph, reset_method=reset_subtract)",
                note="takes the batch for an axis: present images one by one",
            ),
            Reader(
                name="spyx",
                versions="spyx 1.0.0",
                write=_spyx,
                reads=("Affine", "Conv2d", "Flatten", "IF", "LIF", "CubaLIF", "LI", "Threshold"),
                told={"dt_ms": 1e3},
                call="spyx.nir.from_nir(graph, data)",
                note="has maps channels last: data of shape (steps, n, height, width, channels)",
                is_channels_last=True,
                is_late=True,
                takes_sums=False,
            ),
        )
    }
)


def reader_of(name: str | None) -> Reader:
    """The reader of that name; the definition for None.

    Raises
    ------
    ValueError
        If there is none; the message lists them.
    """
    found = READERS.get(name or "definition")
    if found is None:
        names = ", ".join(READERS)
        raise ValueError(f"written_for must be one of {names}, got {name!r}")
    return found
