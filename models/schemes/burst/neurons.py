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

from brian2 import ms, pF

from ...conversion.membrane import IN_BURST, RELEASES, V_TH
from ...spiking.neuron_type import NeuronType

C_M = 200 * pF  # 3.125 pC charge the membrane to threshold
EPSILON = 2.0**-34 * V_TH  # more than rounding errors, less than half a step of the weights' grid


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
            sums=("drive",),
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
