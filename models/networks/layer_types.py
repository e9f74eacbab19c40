"""All kinds of layers by name, as weight files call them."""

from __future__ import annotations

from .dynamics import Delay, Neurons, Previous
from .layers import (
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    QuantisedReLU,
    Resample2D,
    Spike,
)

LAYER_TYPES: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Conv2D,
        BinaryConv2D,
        Dense,
        BatchNorm,
        AvgPool2D,
        GlobalAvgPool,
        MaxPool2D,
        Resample2D,
        Flatten,
        Add,
        Multiply,
        Concat,
        Activation,
        LeakyReLU,
        QuantisedReLU,
        Spike,
        Neurons,
        Delay,
        Previous,
    )
}
