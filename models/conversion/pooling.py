"""Max pooling by neurons: the pooling neuron, its windows and its population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..networks.layers import MaxPool2D
from ..networks.network import Network
from ..spiking.network import Population
from ..spiking.neuron_type import NeuronType
from ..spiking.projections import WindowProjection
from .membrane import IN_BURST, RELEASES, V_TH
from .timing import Delays

RULES = ("lipool", "gated", "or")


@dataclass(frozen=True, kw_only=True, repr=False)
class PoolingNeuron(NeuronType):
    """The neuron of one pooling window.

    Parameters
    ----------
    rule : str
        One of `RULES`, see :func:`pooling_neuron`.
    """

    rule: str


def pooling_windows(network: Network, layer: MaxPool2D, delays: Delays) -> WindowProjection:
    """Every unit of a pooling window to a variable of its own."""
    source = layer.inputs[0]
    return WindowProjection(
        source=source,
        target=layer.name,
        delays=delays(source, layer.name),
        source_shape=network.shapes[source],
        target_shape=network.shapes[layer.name],
        pool=layer.size,
        pool_stride=layer.stride,
        pool_padding=layer.padding,
    )


def pooling_population(
    network: Network, layer: MaxPool2D, neurons: str, onset: int, limit: int
) -> Population:
    """Neurons of one layer, which pass on at most `limit` spikes in a step."""
    shape = network.shapes[layer.name]
    return Population(
        name=layer.name,
        neurons=neurons,
        shape=shape,
        onset=onset,
        parameters={"limit": np.full((1, *shape), limit)},
    )


def pooling_neuron(
    rule: str, window: tuple[int, int], timing: str, phase_steps: int
) -> PoolingNeuron:
    """Return the neuron that stands for one pooling window.

    Parameters
    ----------
    rule : str
        ``"lipool"``: an output spike takes v_th from every place of the window, the winner
        included, so that the cumulative output is the largest cumulative input at every step
        (published: the authors' code; exactness derived). ``"gated"``: the spikes of the place
        with the largest count so far pass, ties go to the one with most spikes now (published:
        the authors' default). ``"or"``: the most spikes of any place in this step.
    window : (int, int)
        Rows and columns.
    timing : str
        As for the burst neuron.
    phase_steps : int
        Simulation steps of a phase.

    Returns
    -------
    PoolingNeuron
        Named after rule and size; parameter ``limit`` (integer). Afferents ``u0``, ``u1``, ...:
        one for each place of the window, row by row.
    """
    places = range(window[0] * window[1])
    u, s = ([f"{name}{i}" for i in places] for name in "us")
    lines = [
        "limit : integer (constant)  # Gamma, most spikes in a step",
        "age : integer  # phases of the present image, -1 between images",
        *(f"{x} : volt  # spikes of place {i} in this phase, v_th each" for i, x in enumerate(u)),
    ]
    taken = [f"{x} = 0*volt" for x in u]
    if rule != "or":
        lines += [f"{x} : volt  # spikes of place {i} so far" for i, x in enumerate(s)]
        taken = [f"{a} = int(age != 0)*{a} + {b}" for a, b in zip(s, u, strict=True)] + taken
    if rule == "lipool":
        lines.append("v : volt  # largest lead of a place over the neuron's own spikes")
        taken += _largest("v", s)
        reset = "\n".join(f"{x} -= v_th" for x in ("v", *s))  # inhibition, winner included
    else:
        lines.append("v : volt  # spikes still to be passed on in this phase")
        reset = "v -= v_th"
        passing = u
        if rule == "gated":
            lines.append("lead : volt  # largest count so far")
            passing = [f"{b}*int({a} >= lead)" for a, b in zip(s, u, strict=True)]
            taken[len(s) : len(s)] = _largest("lead", s)
        taken[len(taken) - len(u) : len(taken) - len(u)] = _largest("v", passing)
    return PoolingNeuron(
        rule=rule,
        name=f"{rule}_{window[0]}x{window[1]}",
        equations="\n".join(lines),
        every_phase="\n".join(taken),
        threshold=f"v >= v_th and {RELEASES[timing]} and {IN_BURST}",
        reset=reset,
        afferents=tuple(u),
        constants={"v_th": V_TH, "phase": phase_steps},
        sums=("v", *u, *(() if rule == "or" else s), *(("lead",) if rule == "gated" else ())),
    )


def _largest(name: str, terms: list[str]) -> list[str]:
    """Statements that set a variable to the largest of several, without branches."""
    # The first is a sum: Brian2's NumPy code makes `v = s0` another name of s0, and `v +=` both.
    first, *later = terms
    found = [f"{name} = {first}"]
    for term in later:
        before = name if len(found) > 1 else first
        found.append(f"{name} = {before} + ({term} - {before})*int({term} > {before})")
    return found[1:] or found
