"""Neurons of burst networks as Brian2 equations: the burst neuron and the pooling neuron.

Time is divided into phases that all layers share. The spikes of a phase come one simulation step
apart, from the phase's start, so a burst is a train of regular intervals (2 ms by default) with a
pause after it. Two timings:

double-buffer (default)
    A dendritic store collects what arrives in a phase and hands it to the membrane at the start of
    the next; every layer releases in every phase. Step t of a layer whose first phase is l is
    released in phase l + t.
alternating
    No store: the membrane integrates in one phase and releases in the next, and the layers take
    turns. The input current charges the membrane by a differential equation. Twice the biological
    time for the same spikes; step t is released in phase l + 2 t + 1.

In both a step is taken in completely before anything is released, because positive and negative
spikes of one step may arrive in any order (measured for the specification, on small random
networks: with one dense layer left free-running, 1 to 2 % of the spikes differ).

Not biological: the global rhythm of phases and its count ``age``, unbounded negative potentials,
no leak, both signs from one neuron, the store, and the separate potentials of a pooling window.
"""

from __future__ import annotations

from brian2 import ms, pF, volt

from ...spiking.network import NeuronType

UNIT_VOLT = 2.0**-6  # one network unit is the threshold
V_TH = UNIT_VOLT * volt
C_M = 200 * pF  # 3.125 pC charge the membrane to threshold
EPSILON = 2.0**-34 * V_TH  # more than rounding errors, less than half a step of the weights' grid

RELEASES = {  # when a layer may spike
    "double-buffer": "age >= 0",
    "alternating": "age >= 0 and age % 2 == 1",
}
# The first `limit` steps of a phase: at most Gamma spikes, one step apart.
IN_BURST = "t_in_timesteps % phase < limit"


def burst_neuron(timing: str, phase_steps: int, dt_ms: float) -> NeuronType:
    """Return the burst neuron.

    Parameters
    ----------
    timing : str
        ``"double-buffer"`` or ``"alternating"``.
    phase_steps : int
        Simulation steps of a phase.
    dt_ms : float
        Length of a simulation step.

    Returns
    -------
    NeuronType
        Parameters ``bias`` and ``v_start`` (volt) and ``limit`` (integer).
    """
    if timing == "double-buffer":
        return NeuronType(
            name="burst",
            equations="""
                v : volt                   # membrane potential above rest; V of arXiv 2204.13271
                drive : volt               # store: what spikes brought in this phase
                bias : volt                # what the constant current I_b adds in a step, I_b P/C_m
                v_start : volt (constant)  # v at the onset of an image; 0 in the paper's code
                limit : integer (constant) # Gamma, most spikes in a step
                age : integer              # algorithmic step, -1 between images; not biological
            """,
            every_phase="""
                v = int(age == 0)*v_start + int(age != 0)*v + drive + int(age >= 0)*bias
                drive = 0*volt
            """,
            threshold=f"v >= v_th and {RELEASES[timing]} and {IN_BURST}",
            reset="v -= v_th",  # soft reset (published: the authors' code)
            constants={"v_th": V_TH, "phase": phase_steps},
        )
    return NeuronType(
        name="burst",
        equations="""
            dv/dt = charging*I_b/C_m : volt  # membrane potential above rest; V of arXiv 2204.13271
            I_b = bias*C_m/length : amp      # constant input current
            charging = int(age >= 0 and age % 2 == 0) : 1  # in every other phase; not biological
            drive : volt                     # jumps by the spikes that came in the last step
            bias : volt                      # what the current adds in an algorithmic step
            v_start : volt (constant)        # v at the onset of an image; 0 in the paper's code
            limit : integer (constant)       # Gamma, most spikes in a step
            age : integer                    # phases of the present image, -1 between images
        """,
        every_phase="v = int(age == 0)*v_start + int(age != 0)*v",
        every_step="""
            v += drive
            drive = 0*volt
        """,
        # Charging in parts rounds, so a sum that should equal the threshold may fall short.
        threshold=f"v >= v_th - epsilon and {RELEASES[timing]} and {IN_BURST}",
        reset="v -= v_th",
        constants={
            "v_th": V_TH,
            "epsilon": EPSILON,
            "C_m": C_M,
            "phase": phase_steps,
            "length": phase_steps * dt_ms * ms,
        },
        method="euler",  # exact for a current that is constant within a step
    )


def pooling_neuron(rule: str, window: tuple[int, int], timing: str, phase_steps: int) -> NeuronType:
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
    NeuronType
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
        taken.append(f"v = {_largest(s)}")
        reset = "\n".join(f"{x} -= v_th" for x in ("v", *s))  # inhibition, winner included
    else:
        lines.append("v : volt  # spikes still to be passed on in this phase")
        reset = "v -= v_th"
        passing = u
        if rule == "gated":
            lines.append("lead : volt  # largest count so far")
            passing = [f"{b}*int({a} >= lead)" for a, b in zip(s, u, strict=True)]
            taken.insert(len(s), f"lead = {_largest(s)}")
        taken.insert(len(taken) - len(u), f"v = {_largest(passing)}")
    return NeuronType(
        name=f"{rule}_{window[0]}x{window[1]}",
        equations="\n".join(lines),
        every_phase="\n".join(taken),
        threshold=f"v >= v_th and {RELEASES[timing]} and {IN_BURST}",
        reset=reset,
        afferents=tuple(u),
        constants={"v_th": V_TH, "phase": phase_steps, "most": 2.0**20 * V_TH},
    )


def _largest(terms: list[str]) -> str:
    """Expression for the largest of several, none above `most`."""
    found = terms[0]
    for term in terms[1:]:
        found = f"clip({found}, {term}, most)"
    return found
