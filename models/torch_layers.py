"""PyTorch modules for activations that PyTorch does not have; `models.from_torch` converts them."""

from __future__ import annotations

import torch
from torch import nn


class QCFS(nn.Module):
    """Quantised ReLU whose step is learned as a power of two.

    The output is ``step * clip(floor(x / step + 1/2), 0, levels)``, the quantisation
    clip-floor-shift activation of Bu et al. (2022), "Optimal ANN-SNN conversion for high-accuracy
    and ultra-low-latency spiking neural networks", with their threshold
    ``lambda = step * levels``.

    Gradients take both roundings as the identity (straight-through). That of the input is 1 for
    0 < x < step * levels and 0 outside. That of the step is ``count - x / step`` in this range,
    where ``count`` is output / step, and ``levels`` above it.

    DIFFERS: the paper learns lambda as a real number. Here the base-2 logarithm of the step is
    learned and rounded to a whole number, so that all outputs lie on a dyadic grid.

    Parameters
    ----------
    levels : int
        Largest output in units of the step.
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        # After batch normalisation few values exceed 2: start with the power of two that gets
        # step * levels closest to it.
        self.log2_step = nn.Parameter(torch.log2(torch.tensor(2.0 / levels)).round())

    @property
    def step(self) -> torch.Tensor:
        """Distance of two neighbouring outputs: an exact power of two, shape ()."""
        return torch.exp2(_rounded(self.log2_step))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the quantised values.

        Parameters
        ----------
        x : Tensor
            Any shape.

        Returns
        -------
        Tensor
            Same shape.
        """
        step = self.step
        return step * _rounded((x / step).clamp(0, self.levels))

    def extra_repr(self) -> str:
        """Return the options for the module's text.

        Returns
        -------
        str
            The levels.
        """
        return f"levels={self.levels}"


def _rounded(x: torch.Tensor) -> torch.Tensor:
    """Nearest whole number, ties upwards, with the gradient of the identity."""
    return x + (torch.floor(x + 0.5) - x).detach()  # no rounding error: both lie close together
