"""The neuron of locally binary networks as Brian2 equations: leaky integrate-and-fire.

In every step of one simulation step, 1 ms by default,

    H[t] = leak V[t-1] + gain acc[t] + bias      spike if H[t] >= v_th
    V[t] = 0 (hard reset) or H[t] - v_th (soft reset) if it spiked, else H[t]

``acc`` is what the spikes of the last step brought: of a binary layer the sum of signs, in quanta
of one threshold, of a real layer the sum of weights. ``gain`` and ``bias`` are batch normalisation,
and in a binary layer ``gain`` holds the scale of the channel too, so that a synapse needs its sign
only. Where branches are added, each has ``acc`` and ``gain`` of its own (``acc2``, ``gain2``, ...),
as a dendrite has. The form is that of the authors' group (specification; unverified); at one step
from rest a neuron spikes where ``gain acc + bias >= v_th``, whatever its leak and reset.

Not biological: ``age``, the global rhythm of steps, unbounded negative potentials, negative
``gain``, both signs from one neuron, and the constant current of the image.
"""

from __future__ import annotations

from ...conversion.membrane import RESETS, V_TH
from ...spiking.neuron_type import NeuronType


def leaky_neuron(leak: float, reset: str, n_inputs: int = 1) -> NeuronType:
    """Return the neuron.

    Parameters
    ----------
    leak : float
        Factor of the potential from one step to the next, above 0 and at most 1 (no leak). It
        stands for a membrane time constant of ``-dt / ln(leak)``.
    reset : str
        ``"hard"`` sets the potential to rest, ``"soft"`` subtracts the threshold.
    n_inputs : int
        Ways with gains of their own, on which spikes arrive: more than one after an addition.

    Returns
    -------
    NeuronType
        Parameters ``bias`` (volt) and ``gain`` (dimensionless), ``gain2``, ... of further ways.
    """
    numbers = ["" if i == 0 else str(i + 1) for i in range(n_inputs)]
    lines = ["v : volt             # membrane potential above rest"]
    for n in numbers:
        about = "what the spikes of the last step bring; cleared, not biological"
        lines.append(f"acc{n} : volt           # {about}")
        about = "batch norm and scale of the channel; 0 in front of the image"
        lines.append(f"gain{n} : 1 (constant)  # {about}")
    lines.append("bias : volt          # offset of batch norm; of the first layer, the image")
    about = "step of the present image, -1 between images; not biological"
    lines.append(f"age : integer        # {about}")
    drive = " + ".join(f"gain{n}*acc{n}" for n in numbers)
    cleared = "\n            ".join(f"acc{n} = 0*volt" for n in numbers)
    return NeuronType(
        name="leaky" if n_inputs == 1 else f"leaky_{n_inputs}_inputs",
        equations="\n            ".join(lines),
        every_phase=f"""
            v = int(age < 0)*v + int(age > 0)*leak*v + int(age >= 0)*bias + {drive}
            {cleared}
        """,
        threshold="v >= v_th and age >= 0",
        reset=RESETS[reset],
        afferents=tuple(f"acc{n}" for n in numbers),
        constants={"v_th": V_TH, "leak": leak},
        sums=tuple(f"acc{n}" for n in numbers),
    )
