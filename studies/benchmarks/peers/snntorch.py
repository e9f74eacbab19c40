"""snnTorch: its leaky neurons without leak, in place of each ReLU, one step at a time.

It has no converter. Weights are scaled as for the other libraries, and the image is presented anew
in each step.
"""

from __future__ import annotations

from ann2brian.studies.benchmarks.peers.module import normalised
from ann2brian.studies.benchmarks.peers.spiking import Spiking


def spiking(module, calibration, n_steps: int) -> Spiking:
    """Convert a module; see `Spiking`."""
    import snntorch
    from snntorch.utils import reset
    from torch import nn

    converted = nn.Sequential(
        *(
            snntorch.Leaky(beta=1.0, reset_mechanism="subtract", init_hidden=True)
            if isinstance(part, nn.ReLU)
            else part
            for part in normalised(module, calibration)
        )
    ).eval()

    def present(pixels):
        reset(converted)
        total = converted(pixels)
        for _ in range(n_steps - 1):
            total = total + converted(pixels)
        return total

    sources = (snntorch.Leaky, nn.MaxPool2d)
    return Spiking(
        present=present,
        nodes=[part for part in converted if isinstance(part, sources)],
        count=lambda spikes: spikes.sum(),
    )
