"""Noise of the training estimated from what a network leaves on its membranes."""

from __future__ import annotations

import torch
from torch import nn

from ...pytorch.units import NoisySpike, set_steps

RESIDUAL_BAND = (-1.0, 1.5)  # residual potentials that count, in thresholds


@torch.no_grad()
def estimate_noise(module: nn.Module, images: torch.Tensor, n_steps: int) -> None:
    """Give every `NoisySpike` the mean and deviation of its own residual potentials.

    A one-step network is run for several steps without noise; what its units carry from one step
    to the next is what the noise stands for. Potentials outside `RESIDUAL_BAND` do not count:
    silent units drift far down.

    Parameters
    ----------
    module : nn.Module
        Of one step, with `RepeatSteps` and `MeanOverSteps`.
    images : Tensor, shape (n, C, H, W)
        Calibration images.
    n_steps : int
        At least 2.

    Raises
    ------
    ValueError
        If there are fewer.
    """
    if n_steps < 2:
        raise ValueError(f"residual potentials need at least 2 steps, got {n_steps!r}")
    found: dict[NoisySpike, tuple[torch.Tensor, torch.Tensor]] = {}

    def observe(layer: nn.Module, args: tuple[torch.Tensor], _spikes: torch.Tensor) -> None:
        assert isinstance(layer, NoisySpike)
        carried = layer.run(args[0])[1][: -(len(args[0]) // n_steps)]  # not the last
        inside = carried[(carried > RESIDUAL_BAND[0]) & (carried < RESIDUAL_BAND[1])]
        if len(inside) > 1:
            found[layer] = inside.mean(), inside.std()

    layers = [part for part in module.modules() if isinstance(part, NoisySpike)]
    handles = [layer.register_forward_hook(observe) for layer in layers]
    was_training = module.training
    module.eval()
    set_steps(module, n_steps)
    try:
        module(images)
    finally:
        for handle in handles:
            handle.remove()
        set_steps(module, 1)
        module.train(was_training)
    for layer, (mean, sigma) in found.items():
        layer.mean.copy_(mean)
        layer.sigma.copy_(sigma)
