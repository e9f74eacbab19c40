"""How a network is trained: a recipe, and what its scheme does beside the training.

Each scheme has its recipes in ``studies/<scheme>/recipes.py``; `studies.train` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from ann2brian.models.networks.network import Network
from torch import nn


class Companion:
    """What a scheme does beside the gradient steps of a training; this one does nothing.

    Parameters
    ----------
    module : nn.Module
        In training.
    recipe : Recipe
        How it is trained.
    """

    n_probe = 0  # training images that are held out for it

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        self.module, self.recipe = module, recipe

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows of ``layers.csv``."""
        return []

    def start_epoch(self, epoch: int, sample: Callable[[int], torch.Tensor]) -> None:
        """Before the first step of an epoch; `sample` gives so many standardised images."""

    def before_step(self) -> None:
        """Between gradient and step of the optimiser."""

    def after_step(self) -> None:
        """After the step of the optimiser."""

    def end_epoch(
        self, epoch: int, x: torch.Tensor, y: torch.Tensor, loss_of: nn.Module
    ) -> dict[str, float]:
        """After an epoch, with the images held out; returns columns of ``epochs.csv``."""
        return {}

    def finish(self, batches: Iterator[torch.Tensor]) -> None:
        """After the training, with standardised training images."""

    def about(self) -> dict[str, Any]:
        """What the weight file says of it: JSON values."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"history": self.history}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one network is built and trained.

    Parameters
    ----------
    scheme : str
        The conversion the network is meant for.
    dataset : str
        Name in `datasets.DATASETS`.
    build : callable
        Returns the untrained module; needs no argument.
    epochs, batch : int
        Passes over the training images, and images per step.
    learning_rate : float
        Peak of the one-cycle schedule.
    momentum : float
        Of stochastic gradient descent in Nesterov's form; 0 stands for AdamW.
    weight_decay : float
        On kernels only, not on biases and batch normalisation; decoupled with AdamW, a part of the
        gradient otherwise.
    label_smoothing : float
        Fraction of the target spread over all classes.
    is_flipped : bool
        Whether half of the images are mirrored left to right.
    max_shift : int
        Largest random shift in pixels, along rows and columns.
    is_dyadic : bool
        Whether every number of the saved network is a multiple of a power of two, so coarse that
        the forward pass is exact in any order of summation; for modules whose activations are
        `QCFS` or `NoisySpike`. The standardisation is rounded before the training, kernels and
        biases after it, when batch normalisation is folded, or, with `binarisation`, rounded too;
        the quoted accuracy is that of the rounded network.
    n_steps : int
        Time steps of a spiking network, in training and for the quoted accuracy.
    estimate_every : int
        Epochs between estimates of the noise from the network's own residual potentials, 0 for a
        noise that is fixed.
    binarisation : Binarisation, optional
        Which layers get binary weights, for modules with `BinaryConv2d`.
    companion : callable
        ``companion(module, recipe)`` to the :class:`Companion` of the training.
    as_network : callable, optional
        ``as_network(network)``: what is made of the trained network before it is measured and
        saved; by default it stays as it is.
    is_short : bool
        Whether convolutions are computed in bfloat16 in training, faster where the processor has
        it; weights are kept in single precision.
    is_channels_last : bool
        Whether images and kernels lie in memory channel by channel, faster for small kernels;
        changes the order of sums.
    """

    scheme: str
    dataset: str
    build: Callable[..., nn.Module]
    epochs: int
    batch: int = 128
    learning_rate: float = 4e-3
    momentum: float = 0.0
    weight_decay: float = 0.02
    label_smoothing: float = 0.0
    is_flipped: bool = False
    max_shift: int = 0
    is_dyadic: bool = False
    n_steps: int = 1
    estimate_every: int = 0
    binarisation: Any = None
    companion: Callable[..., Companion] = Companion
    as_network: Callable[[Network], Network] = lambda network: network
    is_short: bool = False
    is_channels_last: bool = False
