"""Tools on PyTorch: modules in a chain, run step by step."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .drawing import weights

Run = Callable[[np.ndarray], tuple[list[np.ndarray], np.ndarray | None]]


def fill(modules: list, rng: np.random.Generator, grid: bool, gains: Sequence[float]) -> list:
    """New values for the parameters of the layers with weights, in order; returns the modules."""
    torch = import_module("torch")
    layers = [m for m in modules if getattr(m, "weight", None) is not None]
    with torch.no_grad():
        for layer, gain in zip(layers, gains, strict=True):
            layer.weight.copy_(torch.tensor(weights(rng, tuple(layer.weight.shape), grid, gain)))
            if layer.bias is not None:
                bias = weights(rng, tuple(layer.bias.shape), grid, gain / 4)
                layer.bias.copy_(torch.tensor(bias))
    return modules


def watch(modules: Sequence[Any], seen: Sequence[list]) -> None:
    """Hooks that append what each module puts out."""
    for module, kept in zip(modules, seen, strict=True):
        module.register_forward_hook(
            lambda _, __, out, kept=kept: kept.append(out[0] if isinstance(out, tuple) else out)
        )


def stepwise(
    call: Callable[[Any], object],
    spiking: Sequence[Any],
    readout: Any = None,
    batched: bool = True,
) -> Run:
    """A function that runs an input, one step at a time; `call` goes one step."""
    torch = import_module("torch")

    def run(given: np.ndarray) -> tuple[list[np.ndarray], np.ndarray | None]:
        watched = [*spiking, *([readout] if readout is not None else [])]
        seen: list[list] = [[] for _ in watched]
        watch(watched, seen)
        with torch.no_grad():
            for row in given:
                call(torch.tensor(row)[None] if batched else torch.tensor(row))
        layers = [torch.stack(kept).numpy() for kept in seen]
        layers = [layer[:, 0] for layer in layers] if batched else layers
        return (layers[:-1], layers[-1]) if readout is not None else (layers, None)

    return run
