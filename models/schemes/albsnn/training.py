"""Which layers of a network in training get binary weights, and how; needs PyTorch.

ALBSNN (arXiv 2208.00398; journal version Frontiers in Neuroscience 17:1225871) judges by an
"accuracy loss estimator", during the training, the harm of binary weights in each layer, and so
chooses the layers that have them; the journal version adds a "binary weight optimisation" once the
training has stalled (published: abstracts). The formulas of both are not established. What stands
here is the specification's reconstruction.

Estimates of layer l, on a probe batch held out from the weight updates and with batch
normalisation on the batch's own statistics:

weight error   sum (W - W_hat)^2 / sum W^2                          (diagnostic)
output error   sum (W*s - W_hat*s)^2 / sum (W*s)^2, its inputs s    (diagnostic)
loss rise      L(l binary, others as they are) - L(l real, others as they are)  (decides)
first order    sum grad (W_hat - W), the gradient at the weights in use         (diagnostic)

A layer whose loss rise is below `eps_on` becomes binary, one above `eps_off` real again; or, with
a budget, layers become binary in ascending order while their rises, summed, stay within it. Layers
in training with binary weights show a smaller rise than real ones (measured, specification), which
is a hysteresis of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...checks import require_between, require_one_of, require_whole
from ...pytorch.binary_conv import BinaryConv2d
from .options import ESTIMATES

VARIANTS = ("none", "all", "fixed", "estimated")
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Binarisation:
    """Which layers become binary, and when.

    Parameters
    ----------
    variant : str
        ``"none"``, ``"all"``, ``"fixed"`` (those named) or ``"estimated"``.
    layers : tuple of str
        Module paths of the ``"fixed"`` variant.
    eps_on, eps_off : float
        Loss rise in nats below which a layer becomes binary and above which it becomes real.
    budget : float, optional
        Sum of loss rises to spend, in nats, instead of the two thresholds.
    frozen_part : float
        Last part of the epochs, in which the choice stands: at least the last epoch, and never
        the first.
    n_probe : int
        Images held out for the estimates, at most a quarter of all.
    optimised_part : float
        Last part of the epochs in which binary weights are optimised directly, 0 for never (the
        first version of the paper).
    flip_memory, flip_threshold : float
        Of that: memory of the gradient's running mean, and the mean, in units of the gradient's
        root mean square, that flips a weight.
    """

    variant: str = "estimated"
    layers: tuple[str, ...] = ()
    eps_on: float = 0.12
    eps_off: float = 0.25
    budget: float | None = None
    frozen_part: float = 0.25
    n_probe: int = 2000
    optimised_part: float = 0.1
    flip_memory: float = 0.99
    flip_threshold: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_one_of("variant", self.variant, VARIANTS)
        require_whole("n_probe", self.n_probe, 1, 10**6)
        require_between("eps_on", self.eps_on, -100, 100)
        require_between("eps_off", self.eps_off, -100, 100)
        require_between("budget", self.budget, 0, 100)
        require_between("frozen_part", self.frozen_part, 0, 1)
        require_between("optimised_part", self.optimised_part, 0, 1)
        require_between("flip_memory", self.flip_memory, 0, 1 - 1e-9)
        require_between("flip_threshold", self.flip_threshold, 0, 1)
        if self.eps_off < self.eps_on:
            raise ValueError(
                f"eps_off {self.eps_off} is below eps_on {self.eps_on}: layers would flicker"
            )
        if bool(self.layers) != (self.variant == "fixed"):
            raise ValueError(
                f"variant {self.variant!r} with layers {self.layers}: name layers for the fixed "
                "variant, and for no other"
            )


def binary_layers(module: nn.Module) -> dict[str, BinaryConv2d]:
    """Layers that can be binary, by module path, in the order of the module."""
    return {name: part for name, part in module.named_modules() if isinstance(part, BinaryConv2d)}


@torch.no_grad()
def weight_error(w: torch.Tensor, w_hat: torch.Tensor) -> float:
    """Squared error of binary weights relative to the real ones, of the whole layer."""
    return float((w - w_hat).square().sum() / w.square().sum())


def estimate(
    module: nn.Module, x: torch.Tensor, y: torch.Tensor, loss_of: Loss
) -> dict[str, dict[str, float]]:
    """All estimates of every layer that can be binary.

    Parameters
    ----------
    module : nn.Module
        In its present modes, which are restored.
    x : Tensor, shape (n, C, H, W)
        Probe images, standardised.
    y : Tensor, shape (n,)
        Their labels.
    loss_of : callable
        From logits and labels to the mean loss.

    Returns
    -------
    dict of str to dict
        By module path: the values named in `ESTIMATES`; NaN for a layer whose signs are optimised
        directly, which has no real weights to compare with.
    """
    layers = binary_layers(module)
    found = {name: dict.fromkeys(ESTIMATES, math.nan) for name in layers}
    layers = {name: layer for name, layer in layers.items() if not layer.is_scale_fixed}
    if not layers:
        return found
    inputs: dict[str, torch.Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(
            lambda _, args, name=name: inputs.__setitem__(name, args[0].detach())
        )
        for name, layer in layers.items()
    ]
    with batch_statistics(module):
        try:
            loss = loss_of(module(x), y)
        finally:
            for handle in handles:
                handle.remove()
        used = [layer.used[0] for layer in layers.values()]
        gradients = torch.autograd.grad(loss, used)
        here = float(loss.detach())
        with torch.no_grad():
            for (name, layer), gradient in zip(layers.items(), gradients, strict=True):
                w, w_hat = layer.weight, layer.as_binary()
                was_binary = bool(layer.is_binary)
                layer.is_binary.fill_(not was_binary)
                try:
                    there = float(loss_of(module(x), y))
                finally:
                    layer.is_binary.fill_(was_binary)
                found[name] = {
                    "weight_error": weight_error(w, w_hat),
                    "output_error": _output_error(layer, inputs[name], w, w_hat),
                    "loss_rise": here - there if was_binary else there - here,
                    "first_order": float((gradient * (w_hat - w)).sum()),
                }
    return found


def _output_error(
    layer: BinaryConv2d, s: torch.Tensor, w: torch.Tensor, w_hat: torch.Tensor
) -> float:
    """Squared error of the layer's outputs relative to those of real weights."""
    real = layer._conv_forward(s, w, None)
    return float((layer._conv_forward(s, w_hat, None) - real).square().sum() / real.square().sum())


@contextmanager
def batch_statistics(module: nn.Module) -> Iterator[None]:
    """Have batch normalisation use the batch's statistics, and its running averages stand still.

    Parameters
    ----------
    module : nn.Module
        In its present mode, which is restored.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    before = [(norm.momentum, deepcopy(norm.num_batches_tracked)) for norm in norms]
    was_training = module.training
    module.train()
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
        module.train(was_training)


def choose(
    rises: Mapping[str, float], is_binary: Mapping[str, bool], options: Binarisation
) -> dict[str, bool]:
    """Which layers are binary from now on.

    Parameters
    ----------
    rises : mapping of str to float
        Loss rise of each layer, all measured before any switch.
    is_binary : mapping of str to bool
        Present modes.
    options : Binarisation
        Thresholds or budget.

    Returns
    -------
    dict of str to bool
        New modes.

    Raises
    ------
    ValueError
        If a rise is not a number; the message names the layer.
    """
    for name, rise in rises.items():
        if not math.isfinite(rise):
            raise ValueError(
                f"layer {name!r}: its loss rise is {rise}, so the training has diverged; lower the "
                "recipe's learning_rate"
            )
    if options.budget is None:
        return {
            name: rise <= options.eps_off if is_binary[name] else rise < options.eps_on
            for name, rise in rises.items()
        }
    chosen = dict.fromkeys(rises, False)
    spent = 0.0
    for name, rise in sorted(rises.items(), key=lambda item: item[1]):
        spent += max(rise, 0.0)
        chosen[name] = spent <= options.budget
    return chosen


class Binariser:
    """Carries a `Binarisation` through a training.

    Parameters
    ----------
    module : nn.Module
        In training. Without layers that can be binary, nothing happens.
    options : Binarisation
        What to do.
    n_epochs : int
        Of the whole training.

    Attributes
    ----------
    history : list of dict
        One row for each epoch and layer: ``epoch`` (1, 2, ...), ``layer``, ``is_binary`` (in that
        epoch) and the values named in `ESTIMATES`, NaN where signs are optimised directly and
        there are no latent weights.

    Raises
    ------
    ValueError
        If a layer named in the options cannot be binary or is not there.
    """

    def __init__(self, module: nn.Module, options: Binarisation, n_epochs: int) -> None:
        self.module, self.options, self.n_epochs = module, options, n_epochs
        self.layers = binary_layers(module)
        self.history: list[dict[str, Any]] = []
        self._moments: dict[str, torch.Tensor] = {}  # of the gradients, first and second
        unknown = [name for name in options.layers if name not in self.layers]
        if unknown:
            raise ValueError(
                f"no layer {unknown[0]!r} that can be binary; there are {', '.join(self.layers)}"
            )
        for name, layer in self.layers.items():
            layer.is_binary.fill_(options.variant == "all" or name in options.layers)

    def start_epoch(self, epoch: int) -> None:
        """Turn to the direct optimisation of binary weights when its time has come.

        Parameters
        ----------
        epoch : int
            From 0.
        """
        if epoch < self.n_epochs - math.ceil(self.options.optimised_part * self.n_epochs):
            return
        for layer in self.layers.values():
            if layer.is_binary and not layer.is_scale_fixed:
                layer.fix_scale()

    @torch.no_grad()
    def before_step(self) -> int:
        """Flip binary weights that their gradient has opposed for long; returns how many.

        The rule is that of T-BSO (published: ICML 2025): with running means m of the gradient g
        and q of its square, a weight w in {-1, +1} flips where ``w m > threshold sqrt(q)``. Here
        both means start anew for a weight that has flipped. The optimiser does not see these
        layers.
        """
        n_flipped = 0
        memory = self.options.flip_memory
        for name, layer in self.layers.items():
            g = layer.weight.grad
            if not layer.is_scale_fixed or g is None:
                continue
            moments = self._moments.setdefault(name, g.new_zeros(2, *g.shape))
            moments.mul_(memory).add_(torch.stack([g, g.square()]), alpha=1 - memory)
            mean, square = moments
            is_opposed = layer.weight * mean > self.options.flip_threshold * square.sqrt()
            layer.weight[is_opposed] *= -1
            moments[:, is_opposed] = 0
            layer.weight.grad = None
            n_flipped += int(is_opposed.sum())
        return n_flipped

    @torch.no_grad()
    def after_step(self) -> None:
        """Clip the latent weights of binary layers to [-1, 1]."""
        for layer in self.layers.values():
            if layer.is_binary:
                layer.weight.clamp_(-1, 1)

    def end_epoch(self, epoch: int, x: torch.Tensor, y: torch.Tensor, loss_of: Loss) -> None:
        """Estimate, note and choose; the last epochs change nothing.

        Parameters
        ----------
        epoch : int
            From 0.
        x, y : Tensor
            Probe images, standardised, and their labels.
        loss_of : callable
            From logits and labels to the mean loss.
        """
        if not self.layers:
            return
        modes = {name: bool(layer.is_binary) for name, layer in self.layers.items()}
        found = estimate(self.module, x, y, loss_of)
        self.history += [
            {"epoch": epoch + 1, "layer": name, "is_binary": modes[name], **found[name]}
            for name in self.layers
        ]
        n_free = max(self.n_epochs - round(self.options.frozen_part * self.n_epochs), 1)
        is_final = any(layer.is_scale_fixed for layer in self.layers.values())
        is_round = epoch < n_free and epoch + 1 < self.n_epochs and not is_final
        if self.options.variant == "estimated" and is_round:
            rises = {name: values["loss_rise"] for name, values in found.items()}
            for name, is_binary in choose(rises, modes, self.options).items():
                self.layers[name].is_binary.fill_(is_binary)

    def state_dict(self) -> dict[str, Any]:
        """What a training needs to go on, besides the module's own state."""
        return {"history": self.history, "moments": self._moments}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict` returned."""
        self.history, self._moments = list(state["history"]), dict(state["moments"])


@torch.no_grad()
def recalibrate(module: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Make the running averages of batch normalisation the plain means over some batches.

    Parameters
    ----------
    module : nn.Module
        With the weights that it will keep.
    batches : iterable of Tensor, shape (n, C, H, W)
        Standardised images.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    was_training = module.training
    module.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean
    try:
        for x in batches:
            module(x)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        module.train(was_training)


def by_layer(history: list[dict[str, Any]]) -> dict[str, dict[str, list[float | None]]]:
    """Return the history of the choice of binary layers in the form in which a weight file has it.

    Parameters
    ----------
    history : list of dict
        As `Binariser` keeps it.

    Returns
    -------
    dict of str to dict
        By layer: lists with one entry an epoch, of the estimates (five digits, None for NaN) and
        of ``is_binary``.
    """
    found: dict[str, dict[str, list[float | None]]] = {}
    for row in history:
        of_layer = found.setdefault(row["layer"], {})
        of_layer.setdefault("is_binary", []).append(row["is_binary"])
        for name in ESTIMATES:
            value = None if math.isnan(row[name]) else float(f"{row[name]:.5g}")
            of_layer.setdefault(name, []).append(value)
    return found
