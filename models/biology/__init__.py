"""Biology that a converted network was not made for: perturbations of its equations and wiring.

=========================== =======================================================================
`leak`                      membrane that forgets
`refractory`                pause after each spike
`threshold_mismatch`        neurons with thresholds of their own
`membrane_noise`            white noise on the potential
`background`                excitatory and inhibitory spikes from outside
`synaptic_currents`         currents of finite rise and decay in place of jumps
`weight_noise`              weights that miss their value
`weight_bits`               weights of few bits
`delay_jitter`              axons of various lengths
`transmission_failure`      spikes that die on the axon
`dead_neurons`              neurons that never spike
=========================== =======================================================================

Each is a `Perturbation`, a change of a spiking network by what any user may change; `perturbed`
applies some, and what comes out runs like any other network.
"""

from .edits import edited, phase_ms, threshold_mv
from .membranes import background, leak, membrane_noise, threshold_mismatch
from .perturbation import Perturbation, perturbed
from .spikes import dead_neurons, refractory, transmission_failure
from .wiring import delay_jitter, synaptic_currents, weight_bits, weight_noise

__all__ = [
    "Perturbation",
    "background",
    "dead_neurons",
    "delay_jitter",
    "edited",
    "leak",
    "membrane_noise",
    "perturbed",
    "phase_ms",
    "refractory",
    "synaptic_currents",
    "threshold_mismatch",
    "threshold_mv",
    "transmission_failure",
    "weight_bits",
    "weight_noise",
]
