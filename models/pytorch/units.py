"""PyTorch modules that PyTorch lacks; `models.pytorch.from_torch` knows them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ..checks import require_between, require_one_of, require_whole

MOST_STEPS = 4096
SURROGATE_WIDTH = 0.4  # least width of the gradient, in thresholds


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
        # Not clamp, whose gradient costs as much as a convolution.
        return step * _rounded(nn.functional.hardtanh(x / step, 0.0, float(self.levels)))

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


class NoisySpike(nn.Module):
    """Integrate-and-fire units with Gaussian noise on the membrane.

    In each step the potential is ``H = V + x`` with ``V = mean`` in the first one, a unit spikes
    if ``H + sigma * N(0, 1) >= 1``, and ``V = leak (H - spike)``, or with hard reset
    ``V = leak H (1 - spike)``, is carried to the next step. The noise
    is drawn afresh for each unit, image and step, enters the comparison only, and is off in
    evaluation mode. With one step this is training by Jiang and Zhang (2022), arXiv 2211.05453,
    as the specification reconstructs it; with several and no noise it is direct training by
    backpropagation through time.

    The gradient of a spike is that of its probability, ``Phi((H - 1) / sigma)``, at the potential
    without noise, with a width of its own instead of sigma where that is too narrow to learn.

    Parameters
    ----------
    mean, sigma : float
        Of the noise, in thresholds; the mean is also the potential before the first step.
    width : float, optional
        Of the gradient; by default `sigma`, but at least `SURROGATE_WIDTH`.
    n_steps : int
        Time steps; the batch holds the images of the first step, then those of the second, ...
    leak : float
        Factor of the potential from step to step, from 0 to 1 (no leak).
    reset : str
        ``"soft"`` (by subtraction) or ``"hard"`` (to rest).

    Raises
    ------
    ValueError
        If a number is out of range or `reset` is unknown; and by a batch that cannot be divided
        into the steps.

    Notes
    -----
    Mean, leak, reset and steps travel with the network (:class:`~models.networks.layers.Spike`)
    and are what its conversion does unless it is told otherwise.
    """

    mean: torch.Tensor
    sigma: torch.Tensor

    def __init__(
        self,
        mean: float = 0.5,
        sigma: float = 0.3,
        width: float | None = None,
        n_steps: int = 1,
        leak: float = 1.0,
        reset: str = "soft",
    ) -> None:
        super().__init__()
        require_one_of("reset", reset, ("soft", "hard"))
        if sigma < 0 or (width is not None and width <= 0):
            raise ValueError(f"sigma must be >= 0 and width > 0, got {sigma!r} and {width!r}")
        require_between("leak", leak, 0, 1)
        require_whole("n_steps", n_steps, 1, MOST_STEPS)
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("sigma", torch.tensor(float(sigma)))
        self.width = width
        self.n_steps = n_steps
        self.leak, self.reset = leak, reset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spikes.

        Parameters
        ----------
        x : Tensor, shape (n_steps * n, ...)
            Synaptic drive in thresholds.

        Returns
        -------
        Tensor
            Zeros and ones, same shape.
        """
        return self.run(x)[0]

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spikes and the potentials that they leave.

        Parameters
        ----------
        x : Tensor, shape (n_steps * n, ...)
            Synaptic drive in thresholds.

        Returns
        -------
        spikes, residuals : Tensor
            Same shape.
        """
        if len(x) % self.n_steps:
            raise ValueError(f"a batch of {len(x)} cannot be divided into {self.n_steps} steps")
        width = max(float(self.sigma), SURROGATE_WIDTH) if self.width is None else self.width
        is_noisy = self.training and float(self.sigma) > 0
        v: torch.Tensor = self.mean
        spikes, residuals = [], []
        for drive in x.chunk(self.n_steps):
            h = v + drive
            noise = self.sigma * _normal(h) if is_noisy else None
            fired: torch.Tensor = _Fire.apply(h, noise, width)
            v = h - fired if self.reset == "soft" else h * (1.0 - fired)
            v = v if self.leak == 1.0 else self.leak * v
            spikes.append(fired)
            residuals.append(v)
        if self.n_steps == 1:
            return spikes[0], residuals[0]
        return torch.cat(spikes), torch.cat(residuals)

    def extra_repr(self) -> str:
        """Return the options for the module's text.

        Returns
        -------
        str
            Noise at this time, width and steps.
        """
        noise = f"mean={self.mean.item():g}, sigma={self.sigma.item():g}"
        carried = f"leak={self.leak}, reset={self.reset}"
        return f"{noise}, width={self.width}, n_steps={self.n_steps}, {carried}"


def _normal(like: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers in the shape and layout of a tensor without gaps.

    Drawn as one row, which PyTorch does several times faster than in a channels-last layout.
    """
    row = torch.randn(like.numel(), dtype=like.dtype, device=like.device)
    return row.as_strided(like.shape, like.stride())


class _Fire(torch.autograd.Function):
    """Spikes of potentials with noise; backwards, the derivative of a Gaussian CDF."""

    @staticmethod
    def forward(
        ctx: Any, h: torch.Tensor, noise: torch.Tensor | None, width: float
    ) -> torch.Tensor:
        ctx.save_for_backward(h)
        ctx.width = width
        return ((h if noise is None else h + noise) >= 1.0).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (h,) = ctx.saved_tensors
        bell = (h - 1.0).div_(ctx.width).square_().mul_(-0.5).exp_()
        return bell.mul_(1.0 / (ctx.width * math.sqrt(2 * math.pi))).mul_(grads[0]), None, None


class RepeatSteps(nn.Module):
    """Give the same drive in every step; stands before the first `NoisySpike`.

    Parameters
    ----------
    n_steps : int
        Time steps.
    """

    def __init__(self, n_steps: int = 1) -> None:
        super().__init__()
        self.n_steps = n_steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` once for each step.

        Parameters
        ----------
        x : Tensor, shape (n, ...)
            Drive of each image.

        Returns
        -------
        Tensor, shape (n_steps * n, ...)
            Step by step.
        """
        return x if self.n_steps == 1 else torch.cat([x] * self.n_steps)


class MeanOverSteps(nn.Module):
    """Mean of the scores of all steps; stands at the end.

    Parameters
    ----------
    n_steps : int
        Time steps.
    """

    def __init__(self, n_steps: int = 1) -> None:
        super().__init__()
        self.n_steps = n_steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean.

        Parameters
        ----------
        x : Tensor, shape (n_steps * n, n_classes)
            Step by step.

        Returns
        -------
        Tensor, shape (n, n_classes)
            Mean scores.
        """
        return x if self.n_steps == 1 else x.unflatten(0, (self.n_steps, -1)).mean(0)


class Residual(nn.Module):
    """Sum of two branches: body(x) + shortcut(x).

    Parameters
    ----------
    body, shortcut : nn.Module
        The shortcut is often an nn.Identity.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return body(x) + shortcut(x).

        Parameters
        ----------
        x : Tensor, shape (n, C, H, W) or (n, C)
            Input of both branches.

        Returns
        -------
        Tensor
            The sum; its shape is that of the branches' outputs.
        """
        return self.body(x) + self.shortcut(x)


Stepping = NoisySpike | RepeatSteps | MeanOverSteps  # what knows of time steps


def set_steps(module: nn.Module, n_steps: int) -> None:
    """Run everything inside `module` that knows of time steps for `n_steps` of them."""
    for part in module.modules():
        if isinstance(part, Stepping):
            part.n_steps = n_steps


def steps_of(module: nn.Module) -> int:
    """Time steps of everything inside `module` that knows of them; 1 if nothing does.

    Raises
    ------
    ValueError
        If two parts disagree; the message names both.
    """
    parts = [(path, part) for path, part in module.named_modules() if isinstance(part, Stepping)]
    for path, part in parts[1:]:
        first_path, first = parts[0]
        if part.n_steps != first.n_steps:
            raise ValueError(
                f"module {first_path} ({type(first).__name__}) has n_steps={first.n_steps}, "
                f"module {path} ({type(part).__name__}) n_steps={part.n_steps}; "
                "set_steps(module, n) makes them equal"
            )
    return parts[0][1].n_steps if parts else 1
