"""A PyTorch convolution whose weights are either real or signs with a scale for each channel.

Signs and scales (published: XNOR-Net, of which the specification gives the derivation)::

    B = sign(W), sign(0) = +1        alpha_c = mean(abs(W_c))        W_hat = alpha_c B

where alpha_c minimises the squared error of output channel c. The real ("latent") weights W are
kept and trained in both modes, so that a layer can become binary and real again. The gradient of
the sign is that of the identity where abs(W) <= 1 and zero elsewhere (straight-through, as the
specification has it); latent weights are clipped to that range (published: BinaryConnect). Which
form of the gradient ALBSNN (arXiv 2208.00398) uses, and whether it scales at all, is not
established; both are options.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ..checks import require_one_of

SCALES = ("channel", "none")
GRADIENTS = ("detached", "xnor", "exact")


class _Sign(torch.autograd.Function):
    """Signs, +1 for zero; backwards, the identity where abs(w) <= 1."""

    @staticmethod
    def forward(ctx: Any, w: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(w)
        return torch.where(w >= 0, 1.0, -1.0).to(w.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (w,) = ctx.saved_tensors
        return grads[0] * (w.abs() <= 1)


def channel_scale(w: torch.Tensor) -> torch.Tensor:
    """Mean size of the weights of each output channel.

    Parameters
    ----------
    w : Tensor, shape (n_out, ...)
        Weights.

    Returns
    -------
    Tensor, shape (n_out, 1, ...)
        alpha.
    """
    return w.abs().mean(dim=tuple(range(1, w.ndim)), keepdim=True)


def binary_weight(
    w: torch.Tensor, scale: str = "channel", gradient: str = "detached"
) -> torch.Tensor:
    """Return W_hat, with a gradient for the latent weights.

    Parameters
    ----------
    w : Tensor, shape (n_out, ...)
        Latent weights W.
    scale : str
        ``"channel"`` for alpha_c, ``"none"`` for pure signs.
    gradient : str
        With g = dL/dW_hat, of n weights a channel:
        ``"detached"``  alpha 1(abs(W) <= 1) g;
        ``"xnor"``      (1/n + alpha 1(abs(W) <= 1)) g (published: XNOR-Net);
        ``"exact"``     alpha 1(abs(W) <= 1) g + B/n sum(g B).

    Returns
    -------
    Tensor
        Same shape.
    """
    signs: torch.Tensor = _Sign.apply(w)
    if scale == "none":
        return signs
    alpha = channel_scale(w)
    if gradient == "exact":
        return alpha * signs
    found = alpha.detach() * signs
    if gradient == "xnor":
        found = found + (w - w.detach()) / w[0].numel()
    return found


class BinaryConv2d(nn.Conv2d):
    """Convolution without bias that is binary while `is_binary` is set.

    Parameters
    ----------
    *args, **kwargs
        As of nn.Conv2d.
    scale, gradient : str
        See `binary_weight`.
    is_binary : bool
        Mode to start with.

    Attributes
    ----------
    is_binary : Tensor of bool, shape ()
        The present mode; saved with the weights. Set it to True or False at any time.
    fixed_scale : Tensor, shape (n_out, 1, 1, 1)
        Scale that no longer follows the latent weights, 0 while it does; see `fix_scale`.
    used : list of Tensor
        The weights of the last forward pass, for gradients with respect to them.

    Raises
    ------
    ValueError
        For an unknown option.
    TypeError
        If `is_binary` is set to something else than True or False.
    """

    is_binary: torch.Tensor
    fixed_scale: torch.Tensor

    def __init__(
        self,
        *args: Any,
        scale: str = "channel",
        gradient: str = "detached",
        is_binary: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **{"bias": False, **kwargs})
        if self.bias is not None:
            raise ValueError("a layer with binary weights has no bias; batch norm has one")
        require_one_of("padding_mode", self.padding_mode, ("zeros",))
        require_one_of("scale", scale, SCALES)
        require_one_of("gradient", gradient, GRADIENTS)
        self.scale, self.gradient = scale, gradient
        self.register_buffer("is_binary", torch.tensor(False))
        self.is_binary = is_binary  # type: ignore[assignment]
        self.register_buffer("fixed_scale", torch.zeros(self.out_channels, 1, 1, 1))
        self.used: list[torch.Tensor] = []  # a list, lest it become a parameter

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the mode in place, so that it stays on its device and in the saved state."""
        if name != "is_binary" or "is_binary" not in self.__dict__.get("_buffers", {}):
            super().__setattr__(name, value)
            return
        is_tensor = isinstance(value, torch.Tensor) and value.dtype == torch.bool and not value.ndim
        if not is_tensor and not isinstance(value, bool | np.bool_):
            raise TypeError(f"is_binary is True or False, got {value!r}")
        self.is_binary.fill_(bool(value))

    @property
    def is_scale_fixed(self) -> bool:
        """Whether `fix_scale` was called."""
        return bool(self.fixed_scale.any())

    def as_binary(self) -> torch.Tensor:
        """Return W_hat, whatever the mode, shape (n_out, n_in / groups, kh, kw)."""
        if self.is_scale_fixed:
            return self.fixed_scale * _Sign.apply(self.weight)
        return binary_weight(self.weight, self.scale, self.gradient)

    def fix_scale(self) -> None:
        """Keep today's scale from now on and make the latent weights the signs themselves."""
        with torch.no_grad():
            one = torch.ones_like(self.fixed_scale)
            self.fixed_scale.copy_(channel_scale(self.weight) if self.scale == "channel" else one)
            self.weight.copy_(_Sign.apply(self.weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve with the weights of the present mode.

        Parameters
        ----------
        x : Tensor, shape (n, C, H, W)
            Spikes or pixels.

        Returns
        -------
        Tensor, shape (n, n_out, H', W')
            Weighted sums.
        """
        w = self.as_binary() if self.is_binary else self.weight
        self.used[:] = [w]
        return self._conv_forward(x, w, None)

    def extra_repr(self) -> str:
        """Return the options for the module's text.

        Returns
        -------
        str
            Without the mode, which changes in training.
        """
        return f"{super().extra_repr()}, scale={self.scale}, gradient={self.gradient}"


def require_known_modes(module: nn.Module) -> None:
    """Refuse, by path, an `is_binary` that no layer reads.

    Raises
    ------
    ValueError
        If the attribute was set on something else than a `BinaryConv2d`.
    """
    for path, part in module.named_modules():
        if "is_binary" in vars(part):
            raise ValueError(
                f"module {path or '(top)'} ({type(part).__name__}) has is_binary="
                f"{vars(part)['is_binary']!r}, which it does not read; only a BinaryConv2d has "
                "binary weights"
            )
