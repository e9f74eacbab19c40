"""The neuron of AMOS gates as Brian2 equations."""

from __future__ import annotations

from ...spiking.neuron_type import NeuronType

AMOS_NEURON = NeuronType(
    name="amos",
    equations="""
        v : volt                 # membrane potential; u_i + T_i of arXiv 2001.01682 (recalled)
        theta : volt (constant)  # threshold T_i less the unit's bias
        drive : volt             # weighted sum x; reaches one neuron of the gate after the other
        inhibition : volt        # sum of h_ij s_j that is due in this slot
        age : integer            # 0: a decision is due, -1: not; not biological: a global clock
    """,
    every_phase="v = drive - inhibition",  # not biological: the potential is renewed every slot
    threshold="v > theta and age == 0",
    reset="v = 0*volt",
    is_chain=True,
)
