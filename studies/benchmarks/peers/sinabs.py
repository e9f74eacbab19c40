"""sinabs' converter with its own defaults: all steps of a batch at once, layer by layer.

Its neurons may spike several times a step, with a lower bound of the potential. Weights are scaled
as for the other libraries.
"""

from __future__ import annotations

from ann2brian.studies.benchmarks.peers.module import normalised
from ann2brian.studies.benchmarks.peers.spiking import Spiking


def spiking(module, calibration, n_steps: int) -> Spiking:
    """Convert a module; see `Spiking`."""
    import sinabs.layers
    from sinabs.from_torch import from_model
    from torch import nn

    network = from_model(normalised(module, calibration), num_timesteps=n_steps)
    converted = network.spiking_model.eval()

    def present(pixels):
        network.reset_states()
        steps = converted(pixels.repeat_interleave(n_steps, dim=0))
        return steps.unflatten(0, (len(pixels), n_steps)).sum(1)

    sources = (sinabs.layers.IAFSqueeze, nn.MaxPool2d)
    return Spiking(
        present=present,
        nodes=[part for part in converted.modules() if isinstance(part, sources)],
        count=lambda spikes: spikes.sum(),
    )
