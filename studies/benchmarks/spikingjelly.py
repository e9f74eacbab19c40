"""A trained network as SpikingJelly's converter makes it spike: what burst networks are timed with.

SpikingJelly is optional, for `studies/benchmark.py` alone. Its converter ("rate coding") puts an
integrate-and-fire neuron with soft reset between two voltage scalers in the place of each ReLU;
scaled by the largest calibration output these are the plain integrate-and-fire neurons of
:mod:`models.schemes.burst.conversion` with Gamma = 1. Max pooling stays what it was: a spike of any
unit passes. The image is presented anew in each step, and each step goes through all layers at
once.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from ann2brian.models.networks.layers import (
    Activation,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    MaxPool2D,
)
from ann2brian.models.networks.network import InputCoding, Network

# The constraints keep every installed package, PyTorch among them, as it is.
MISSING = (
    "the comparison with SpikingJelly is left out, since it is not installed; to include it: "
    "pip install --constraint constraints.txt torch==2.13.0 spikingjelly==2.0.0"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What SpikingJelly's network did.

    Parameters
    ----------
    predictions : ndarray of int, shape (n_images,)
        Class with the largest sum of outputs.
    spikes_per_image : float
        Of all integrate-and-fire neurons, and what max pooling lets pass.
    seconds : float
        Fastest presentation of all images, from pixels to sums of outputs.
    """

    predictions: np.ndarray
    spikes_per_image: float
    seconds: float


def is_installed() -> bool:
    """Whether PyTorch and SpikingJelly can be imported."""
    return all(find_spec(name) is not None for name in ("torch", "spikingjelly"))


def to_module(network: Network):
    """Return the network as a PyTorch module, with the same weights in single precision.

    Parameters
    ----------
    network : Network
        A chain of layers; ReLU, pooling, no batch normalisation.

    Returns
    -------
    torch.nn.Sequential
        In evaluation mode.

    Raises
    ------
    ValueError
        If a layer has no counterpart here; the message names it.
    """
    import torch
    from torch import nn

    modules: list[nn.Module] = []
    before, flat = "input", (1, 1)
    for layer in network.layers:
        if layer.inputs != (before,):
            raise ValueError(f"network {network.name!r}: {layer.label} does not follow {before!r}")
        module: Any
        if isinstance(layer, Conv2D):
            _, _, n_in, n_out = layer.kernel.shape
            module = nn.Conv2d(
                n_in * layer.groups,
                n_out,
                layer.kernel.shape[:2],
                stride=layer.stride,
                padding=_as_pair(layer),
                groups=layer.groups,
                dilation=layer.dilation,
            )
            kernel = layer.kernel.transpose(3, 2, 0, 1)
        elif isinstance(layer, Dense):
            n_in, n_out = layer.kernel.shape
            module = nn.Linear(n_in, n_out)
            kernel = layer.kernel.reshape(*flat, -1, n_out)  # PyTorch flattens channels first
            kernel = kernel.transpose(3, 2, 0, 1).reshape(n_out, n_in)
            flat = (1, 1)
        elif isinstance(layer, Activation) and layer.function == "relu":
            module = nn.ReLU()
        elif isinstance(layer, MaxPool2D | AvgPool2D):
            kind = nn.MaxPool2d if isinstance(layer, MaxPool2D) else nn.AvgPool2d
            module = kind(layer.size, layer.stride, _as_pair(layer))
        elif isinstance(layer, Flatten):
            module = nn.Flatten()
            flat = network.shapes[before][:2]
        else:
            raise ValueError(f"network {network.name!r}: {layer.label} has no counterpart here")
        if isinstance(layer, Conv2D | Dense):
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
                module.bias.copy_(torch.from_numpy(layer.bias.copy()))
        modules.append(module)
        before = layer.name
    return nn.Sequential(*modules).eval()


def _as_pair(layer: Conv2D | MaxPool2D | AvgPool2D) -> tuple[int, int]:
    """Rows and columns of padding, which PyTorch has the same on both sides."""
    top, bottom, left, right = layer.padding
    if (top, left) != (bottom, right):
        raise ValueError(f"{layer.label}: padding {layer.padding} has no counterpart here")
    return top, left


def to_tensor(images: np.ndarray, coding: InputCoding):
    """Return standardised images, single precision and channels first."""
    import torch

    pixels = coding.standardise(images).astype(np.float32).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pixels))


def present(
    network: Network,
    calibration: np.ndarray,
    images: np.ndarray,
    *,
    n_steps: int,
    batch: int,
    repeats: int,
) -> Outcome:
    """Convert a network with SpikingJelly, present images on one thread and take the time.

    Parameters
    ----------
    network : Network
        As for `to_module`.
    calibration, images : ndarray, shape (n, height, width, channels)
        Training images for the scales, and the images to present.
    n_steps : int
        Steps of each image.
    batch : int
        Images at once.
    repeats : int
        Timed presentations, after one that is not timed and counts the spikes.
    """
    import torch

    torch.set_num_threads(1)
    logging.getLogger("torch").setLevel(logging.ERROR)  # that there is no Triton
    with redirect_stderr(io.StringIO()):  # log and progress bar of the conversion
        from spikingjelly.activation_based import ann2snn, functional, neuron

        # All images at once: the largest output of several batches would be a moving average.
        recipe = ann2snn.RateCodingRecipe([to_tensor(calibration, network.input)], mode="max")
        converted = ann2snn.Converter(recipe).convert(to_module(network)).eval()

    def scores():
        """Step by step, one batch after the other."""
        found = []
        for start in range(0, len(images), batch):
            pixels = to_tensor(images[start : start + batch], network.input)
            functional.reset_net(converted)
            total = converted(pixels)
            for _ in range(n_steps - 1):
                total += converted(pixels)
            found.append(total)
        return torch.cat(found)

    sources = (neuron.IFNode, torch.nn.MaxPool2d)
    nodes = [part for part in converted.modules() if isinstance(part, sources)]
    with torch.no_grad():
        with _counted(nodes) as counts:
            predictions = scores().argmax(1).numpy()
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            scores()
            times.append(time.perf_counter() - started)
    return Outcome(
        predictions=predictions,
        spikes_per_image=sum(counts) / len(images),
        seconds=min(times),
    )


@contextmanager
def _counted(nodes) -> Iterator[list[int]]:
    """Collect the number of spikes that each call of each neuron layer returns."""
    counts: list[int] = []

    def count(_module, _inputs, spikes) -> None:
        counts.append(int(spikes.count_nonzero()))

    hooks = [node.register_forward_hook(count) for node in nodes]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()
