"""Neurons of noise-trained networks as Brian2 equations: noise-free, escape-noise and diffusive.

One algorithmic step is one simulation step, 1 ms by default. In every step

    H[t] = leak V[t-1] + X[t]        spike if H[t] >= v_th        V[t] = H[t] - v_th if it spiked

with the synaptic drive X (published in general terms: abstract of arXiv 2211.05453; this form is
the specification's reconstruction). A spike acts on the next layer one step later. The rules say
what becomes of the noise of training, N(mean, sigma^2):

residual
    No noise. The potential starts so that its leaked value is `mean`, and what is left of it
    after a step takes the place of the noise (soft reset). The start may be drawn at random.
memoryless
    Escape noise: ``eps`` is fresh in every step and enters the comparison only. Nothing is
    carried, so N steps are N independent copies of the network that was trained. P(spike) =
    Phi((mean + X - v_th) / sigma).
both
    Escape noise, and the potential carried.
diffusive
    White noise in the membrane equation, for comparison: it is carried with the potential. It is
    held for a step, which by Euler's method is what white noise ``xi`` adds.

Fresh noise is counted, not drawn in turn (:mod:`models.conversion.draws`): the same for any batch,
number of processes and target.

Theory of these neurons is in :mod:`analysis.statistics.noise_theory`.

Not biological: ``age``, the global rhythm of steps, unbounded negative potentials (unless floored),
both signs from one neuron, the constant current of the image, and ``eps``, a number redrawn in
every step.
"""

from __future__ import annotations

from brian2 import ms

from ...conversion.draws import ADDRESS, NORMAL
from ...conversion.membrane import RESETS, V_TH
from ...spiking.neuron_type import NeuronType

EPSILON = 2.0**-40 * V_TH  # Euler's steps round: a sum at the threshold may fall short
RULES = ("residual", "memoryless", "both", "diffusive")


def noisy_neuron(
    rule: str,
    *,
    leak: float = 1.0,
    reset: str = "soft",
    has_floor: bool = False,
    is_start_drawn: bool = False,
    is_noise_given: bool = False,
    dt_ms: float = 1.0,
) -> NeuronType:
    """Return the neuron of a conversion rule.

    Parameters
    ----------
    rule : str
        One of `RULES`.
    leak : float
        Factor of the potential from one step to the next, above 0 and at most 1. It stands for a
        membrane time constant of ``-dt / ln(leak)``; of the diffusive neuron, which Brian2
        integrates by Euler's method, ``dt / (1 - leak)``.
    reset : str
        ``"soft"`` subtracts the threshold, ``"hard"`` sets the potential to rest.
    has_floor : bool
        Raise negative potentials to rest after each step.
    is_start_drawn : bool
        Of ``"residual"``: start with noise on top of the mean.
    is_noise_given : bool
        Read the noise ``eps`` of each step from outside instead of drawing it.
    dt_ms : float
        Length of a step.

    Returns
    -------
    NeuronType
        Parameters ``bias``, ``v_start`` and, with noise, ``sigma`` (volt).
    """
    has_escape = rule in ("memoryless", "both")
    start = "v_start + eps/leak" if is_start_drawn else "v_start"
    before = "clip(v, 0*volt, most)" if has_floor else "v"
    carried = f"int(age == 0)*({start}) + int(age > 0)*{before}"
    if rule == "memoryless":
        carried = "v_start"
    lines = [
        "drive : volt               # what the spikes of the last step bring",
        "bias : volt                # offset of batch norm; of the first layer, the image",
        "v_start : volt (constant)  # mean of the noise; / leak where v is carried",
        "age : integer              # step of the present image, -1 between images; not biological",
    ]
    first = ""
    if rule != "residual" or is_start_drawn:
        lines.append("eps : volt                 # noise of this step, redrawn; not biological")
        lines.append("sigma : volt (constant)    # s.d. of the noise in a step")
        if not is_noise_given:
            lines.append(ADDRESS)
            first = "eps = sigma*normal(seed, image, neuron, age, 0)"
    constants: dict[str, object] = {"v_th": V_TH, "leak": leak, "most": 2.0**20 * V_TH}
    threshold = f"v {'+ eps ' if has_escape else ''}>= v_th and age >= 0"
    if first:
        constants["normal"] = NORMAL
    if rule == "diffusive":
        lines = [
            "dv/dt = active*(current + eps - (1 - leak)*v)/length : volt",
            *lines,
            "current : volt             # R I of this step: synapses, bias and image",
            "active = int(age >= 0) : 1 # rests between images",
        ]
        statements = f"""
            {first}
            v = int(age < 0)*v + {carried}
            current = drive + int(age >= 0)*bias
            drive = 0*volt
        """
        constants |= {"length": dt_ms * ms, "epsilon": EPSILON}
        threshold = "v >= v_th - epsilon and age >= 0"
    else:
        lines.insert(0, "v : volt                   # membrane potential above rest")
        decayed = "v_start" if rule == "memoryless" else f"leak*({carried})"
        statements = f"""
            {first}
            v = int(age < 0)*v + int(age >= 0)*({decayed} + bias) + drive
            drive = 0*volt
        """
    return NeuronType(
        name=rule,
        equations="\n".join(lines),
        every_phase=statements,
        threshold=threshold,
        reset="" if rule == "memoryless" else RESETS[reset],
        constants=constants,
        method="euler" if rule == "diffusive" else "exact",
        sums=("drive",),
    )
