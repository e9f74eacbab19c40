"""Networks trained with noise, and what noise training is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from ann2brian.analysis.statistics.noise_theory import residual_moments
from ann2brian.models.pytorch.units import NoisySpike
from ann2brian.models.schemes.noise.training import estimate_noise
from ann2brian.studies.training.architectures import digits_net, resnet, spiking_net, with_steps
from ann2brian.studies.training.recipe import Companion, Recipe
from torch import nn

ESTIMATE_STEPS, ESTIMATE_IMAGES = 8, 512
# Noise of the specification's settings: mean and deviation, in thresholds.
NOISES = {
    "noise": (0.5, 0.3),
    "noise-matched": tuple(float(x) for x in residual_moments()),
    "noise-wide": (0.5, 0.5),
    "noise-none": (0.5, 0.0),
    "noise-centred": (0.0, 0.3),
    "noise-control": (0.0, 0.0),  # the negative control
}


class NoiseEstimator(Companion):
    """Sets the noise to the network's own residual potentials every few epochs."""

    def start_epoch(self, epoch: int, sample: Callable[[int], torch.Tensor]) -> None:
        """Estimate, but not before the first epoch."""
        if epoch and epoch % self.recipe.estimate_every == 0:
            estimate_noise(self.module, sample(ESTIMATE_IMAGES), ESTIMATE_STEPS)


_DIGITS = Recipe(
    scheme="noise",
    dataset="digits",
    build=lambda: with_steps(digits_net(NoisySpike)),
    epochs=80,
    batch=32,
    learning_rate=1e-2,
    is_dyadic=True,
)
_FASHION = Recipe(
    scheme="noise",
    dataset="fashion-mnist",
    build=lambda: with_steps(spiking_net(NoisySpike)),
    epochs=12,
    is_flipped=True,
    is_dyadic=True,
)
# Not shipped yet. With ReLU these are cifar-resnet20, 14 and 8 of AMOS.
_CIFAR = Recipe(
    scheme="noise",
    dataset="cifar-10",
    build=lambda: with_steps(resnet(NoisySpike)),
    epochs=30,
    is_flipped=True,
    max_shift=4,
    is_dyadic=True,
    is_short=True,
    is_channels_last=True,
)


def _recipes(name: str, base: Recipe, net: Callable[..., nn.Module]) -> dict[str, Recipe]:
    """Recipes of one data set: every noise, and what noise training is compared with."""
    found = {
        f"{name}-{setting}": replace(
            base, build=lambda noise=noise: with_steps(net(lambda: NoisySpike(*noise)))
        )
        for setting, noise in NOISES.items()
    }
    found[f"{name}-noise-estimated"] = replace(base, estimate_every=2, companion=NoiseEstimator)
    for n_steps in (2, 4):
        found[f"{name}-direct{n_steps}"] = replace(
            base,
            build=lambda n=n_steps: with_steps(net(lambda: NoisySpike(0.0, 0.0)), n),
            n_steps=n_steps,
        )
    found[f"{name}-rate"] = replace(base, build=lambda: net(nn.ReLU), is_dyadic=False)
    return found


RECIPES: dict[str, Recipe] = {
    **_recipes("digits", _DIGITS, digits_net),
    **_recipes("fashion", _FASHION, spiking_net),
    "cifar-noise20": _CIFAR,
    "cifar-noise14": replace(_CIFAR, build=lambda: with_steps(resnet(NoisySpike, 14))),
    "cifar-noise8": replace(_CIFAR, build=lambda: with_steps(resnet(NoisySpike, 8))),
}
