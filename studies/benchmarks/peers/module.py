"""A trained network as a PyTorch module, as the converters of other libraries need it."""

from __future__ import annotations

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


def normalised(module, calibration):
    """Scale the weights of a module so that the largest output of each ReLU is 1.

    Parameters
    ----------
    module : torch.nn.Sequential
        Of `to_module`; its weights are changed.
    calibration : torch.Tensor
        Images in which the largest outputs are found.

    Returns
    -------
    torch.nn.Sequential
        The module. Its last outputs are what they were.

    References
    ----------
    Diehl et al. (2015), Fast-classifying, high-accuracy spiking deep networks through weight and
    threshold balancing, IJCNN. doi:10.1109/IJCNN.2015.7280696
    """
    import torch
    from torch import nn

    weighted: Any = None
    scale, values = 1.0, calibration
    with torch.no_grad():
        for part in module:
            values = part(values)
            if isinstance(part, nn.Conv2d | nn.Linear):
                weighted = part
                weighted.weight *= scale  # what it receives is smaller by that
            elif isinstance(part, nn.ReLU):
                scale = float(values.max())
                weighted.weight /= scale
                weighted.bias /= scale
    return module
