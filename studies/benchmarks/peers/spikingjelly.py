"""SpikingJelly's converter: integrate-and-fire neurons with soft reset, one step at a time.

Its "rate coding" puts a neuron between two voltage scalers in the place of each ReLU; scaled by
the largest calibration output these are the plain integrate-and-fire neurons of
:mod:`models.schemes.burst.conversion` with Gamma = 1. Max pooling stays what it was: a spike of
any unit passes. The image is presented anew in each step, and each step goes through all layers at
once.
"""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr

from ann2brian.studies.benchmarks.peers.spiking import Spiking


def spiking(module, calibration, n_steps: int) -> Spiking:
    """Convert a module; see `Spiking`."""
    import torch

    logging.getLogger("torch").setLevel(logging.ERROR)  # that there is no Triton
    with redirect_stderr(io.StringIO()):  # log and progress bar of the conversion
        from spikingjelly.activation_based import ann2snn, functional, neuron

        # All images at once: the largest output of several batches would be a moving average.
        recipe = ann2snn.RateCodingRecipe([calibration], mode="max")
        converted = ann2snn.Converter(recipe).convert(module).eval()

    def present(pixels):
        functional.reset_net(converted)
        total = converted(pixels)
        for _ in range(n_steps - 1):
            total += converted(pixels)
        return total

    sources = (neuron.IFNode, torch.nn.MaxPool2d)
    return Spiking(
        present=present,
        nodes=[part for part in converted.modules() if isinstance(part, sources)],
        count=lambda spikes: spikes.count_nonzero(),  # pooling passes scaled ones
    )
