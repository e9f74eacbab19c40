"""The neuron of locally binary networks as Brian2 equations: leaky integrate-and-fire.

In every step of one simulation step, 1 ms by default,

    H[t] = leak V[t-1] + gain acc[t] + bias      spike if H[t] >= v_th
    V[t] = 0 (hard reset) or H[t] - v_th (soft reset) if it spiked, else H[t]

``acc`` is what the spikes of the last step brought: of a binary layer the sum of signs, in quanta
of one threshold, of a real layer the sum of weights. ``gain`` and ``bias`` are batch normalisation,
and in a binary layer ``gain`` holds the scale of the channel too, so that a synapse needs its sign
only. The form is that of the authors' group (specification; unverified); at one step from rest a
neuron spikes where ``gain acc + bias >= v_th``, whatever its leak and reset.

Not biological: ``age``, the global rhythm of steps, unbounded negative potentials, negative
``gain``, both signs from one neuron, and the constant current of the image.
"""

from __future__ import annotations

from ...conversion.membrane import RESETS, V_TH
from ...spiking.neuron_type import NeuronType


def leaky_neuron(leak: float, reset: str) -> NeuronType:
    """Return the neuron.

    Parameters
    ----------
    leak : float
        Factor of the potential from one step to the next, above 0 and at most 1 (no leak). It
        stands for a membrane time constant of ``-dt / ln(leak)``.
    reset : str
        ``"hard"`` sets the potential to rest, ``"soft"`` subtracts the threshold.

    Returns
    -------
    NeuronType
        Parameters ``bias`` (volt) and ``gain`` (dimensionless).
    """
    return NeuronType(
        name="leaky",
        equations="""v : volt             # membrane potential above rest
            acc : volt           # what the spikes of the last step bring; cleared, not biological
            gain : 1 (constant)  # batch norm and scale of the channel; 0 in front of the image
            bias : volt          # offset of batch norm; of the first layer, the image
            age : integer        # step of the present image, -1 between images; not biological""",
        every_phase="""
            v = int(age < 0)*v + int(age > 0)*leak*v + int(age >= 0)*bias + gain*acc
            acc = 0*volt
        """,
        threshold="v >= v_th and age >= 0",
        reset=RESETS[reset],
        afferents=("acc",),
        constants={"v_th": V_TH, "leak": leak},
    )
