"""Size of an AMOS conversion, layer by layer, and as counted from a description of a network.

A gate of K neurons adds K sub-layers to the depth, because its neurons decide one after the other
(published: the authors' AMOS logs count like this). In the architectures here every layer of
gates lies on the longest path, so the depth is a sum over all of them.

The structure of EfficientNet follows its reference implementation (Tan and Le 2019, arXiv
1905.11946) and that of the residual networks He et al. 2015, arXiv 1512.03385, in the variants
that the authors converted. The counts agree with the published ones (see the tests).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

# Neurons per gate in the authors' AMOS runs (published: their logs).
AUTHORS_NEURONS: Mapping[str, int] = MappingProxyType(
    {"relu": 10, "silu": 12, "sigmoid": 8, "product": 40}
)


@dataclass(frozen=True, slots=True)
class GateLayer:
    """One layer of gates of a trained network.

    Parameters
    ----------
    name : str
        Where in the network.
    gate : str
        ``"relu"``, ``"silu"``, ``"sigmoid"`` or ``"product"`` (of two activations).
    shape : (int, int, int)
        Height, width, channels.
    """

    name: str
    gate: str
    shape: tuple[int, int, int]

    @property
    def n_gates(self) -> int:
        """Number of gates."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class AmosSize:
    """Size of a converted network.

    Parameters
    ----------
    n_neurons : int
        Threshold neurons of all gates.
    n_sublayers : int
        Depth: neurons that decide one after the other. A slot each, so the latency in slots.
    """

    n_neurons: int
    n_sublayers: int


@dataclass(frozen=True, slots=True)
class LayerSize:
    """What one layer of a trained network became.

    Parameters
    ----------
    name : str
        Of the layer; ``"input"`` for the neurons that code the image.
    kind : str
        Activation, or kind of layer.
    n_gates : int
        Gates; more than units where the layer became a circuit of gates.
    size : AmosSize
        Their neurons, and the sub-layers from the first to the last of them. Layers that work at
        the same time share sub-layers, so that the depth may be less than the sum.
    """

    name: str
    kind: str
    n_gates: int
    size: AmosSize


def size_report(sizes: Sequence[LayerSize]) -> str:
    """A table of what each layer became, a line each.

    Parameters
    ----------
    sizes : sequence of LayerSize
        As of :class:`models.schemes.amos.conversion.AmosConversion`.

    Returns
    -------
    str
    """
    rows: list[tuple[str, ...]] = [("layer", "of", "gates", "neurons", "sub-layers")]
    for one in sizes:
        numbers = (one.n_gates, one.size.n_neurons, one.size.n_sublayers)
        rows.append((one.name, one.kind, *(f"{number:,}" for number in numbers)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        texts = [text.ljust(n) for text, n in zip(row[:2], widths[:2], strict=True)]
        texts += [text.rjust(n) for text, n in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(texts))
    return "\n".join(lines)


def gate_counts(layers: Sequence[GateLayer]) -> dict[str, int]:
    """Gates by type.

    Parameters
    ----------
    layers : sequence of GateLayer
        A whole network.

    Returns
    -------
    dict of str to int
    """
    counts: dict[str, int] = {}
    for layer in layers:
        counts[layer.gate] = counts.get(layer.gate, 0) + layer.n_gates
    return counts


def amos_size(layers: Sequence[GateLayer], neurons_per_gate: Mapping[str, int]) -> AmosSize:
    """Neurons and depth of an AMOS conversion.

    Parameters
    ----------
    layers : sequence of GateLayer
        A whole network.
    neurons_per_gate : mapping of str to int
        K by type of gate, e.g. `AUTHORS_NEURONS`; 0 for a type that is not converted (the
        authors also ran EfficientNet with exact products; published: their logs).

    Returns
    -------
    AmosSize

    Raises
    ------
    ValueError
        If a type of gate has no entry.
    """
    missing = sorted({layer.gate for layer in layers} - set(neurons_per_gate))
    if missing:
        raise ValueError(f"neurons_per_gate has no entry for {', '.join(missing)}")
    return AmosSize(
        n_neurons=sum(neurons_per_gate[layer.gate] * layer.n_gates for layer in layers),
        n_sublayers=sum(neurons_per_gate[layer.gate] for layer in layers),
    )


def cifar_resnet(n_layers: int) -> tuple[GateLayer, ...]:
    """Gates of a residual network for 32x32 images, with basic blocks of 16, 32 and 64 channels.

    Parameters
    ----------
    n_layers : int
        6n + 2 with n >= 1 blocks per stage.

    Returns
    -------
    tuple of GateLayer

    Raises
    ------
    ValueError
        If the number of layers has another form.

    Notes
    -----
    Version 1 (activation after the convolution). Version 2, the default of the code that the
    authors used, has its activations in other places but as many gates and layers (derived).
    """
    n_blocks, rest = divmod(n_layers - 2, 6)
    if rest or n_blocks < 1:
        raise ValueError(f"a CIFAR residual network has 6n + 2 layers, n >= 1, got {n_layers}")
    layers = [GateLayer("stem", "relu", (32, 32, 16))]
    for stage, (side, channels) in enumerate(((32, 16), (16, 32), (8, 64))):
        for block in range(n_blocks):
            name = f"stage{stage + 1}_block{block + 1}"
            layers += [
                GateLayer(f"{name}_conv{conv}", "relu", (side, side, channels)) for conv in (1, 2)
            ]
    return tuple(layers)


def imagenet_resnet50() -> tuple[GateLayer, ...]:
    """Gates of ResNet-50 for 224x224 images, the stride in the 3x3 convolution of a block.

    Returns
    -------
    tuple of GateLayer
    """
    layers = [GateLayer("stem", "relu", (112, 112, 64))]
    side = 56  # after the first pooling
    for stage, (n_blocks, channels) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(n_blocks):
            name = f"stage{stage + 1}_block{block + 1}"
            layers.append(GateLayer(f"{name}_conv1", "relu", (side, side, channels)))
            if stage > 0 and block == 0:
                side //= 2
            layers.append(GateLayer(f"{name}_conv2", "relu", (side, side, channels)))
            layers.append(GateLayer(f"{name}_conv3", "relu", (side, side, 4 * channels)))
    return tuple(layers)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Blocks of one stage of EfficientNet-B0: inverted bottlenecks with squeeze-and-excitation."""

    n_blocks: int
    stride: int  # of the first block
    expansion: int
    channels_in: int
    channels_out: int


_STAGES = (
    _Stage(1, 1, 1, 32, 16),
    _Stage(2, 2, 6, 16, 24),
    _Stage(2, 2, 6, 24, 40),
    _Stage(3, 2, 6, 40, 80),
    _Stage(3, 1, 6, 80, 112),
    _Stage(4, 2, 6, 112, 192),
    _Stage(1, 1, 6, 192, 320),
)
_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280
_SQUEEZE = 0.25  # squeezed channels per input channel of a block


def efficientnet(width: float, depth: float, resolution: int) -> tuple[GateLayer, ...]:
    """Gates of an EfficientNet.

    Parameters
    ----------
    width, depth : float
        Multipliers of channels and blocks. B0: 1, 1; B7: 2, 3.1.
    resolution : int
        Height and width of the image. B0: 224; B7: 600.

    Returns
    -------
    tuple of GateLayer
        SiLU after the stem, each expansion, depthwise convolution and squeeze, and the head;
        sigmoid after each excitation; product of each excitation with its map.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    if not (width > 0 and depth > 0 and resolution > 0):
        raise ValueError(
            f"width, depth and resolution must be above 0, got {width}, {depth}, {resolution}"
        )
    side = _strided(resolution, 2)
    layers = [GateLayer("stem", "silu", (side, side, _scaled(_STEM_CHANNELS, width)))]
    for number, stage in enumerate(_STAGES):
        channels = _scaled(stage.channels_in, width)
        for block in range(math.ceil(depth * stage.n_blocks)):
            name = f"stage{number + 1}_block{block + 1}"
            inner = channels * stage.expansion
            if stage.expansion > 1:
                layers.append(GateLayer(f"{name}_expand", "silu", (side, side, inner)))
            if block == 0:
                side = _strided(side, stage.stride)
            squeezed = max(1, int(channels * _SQUEEZE))
            layers += [
                GateLayer(f"{name}_depthwise", "silu", (side, side, inner)),
                GateLayer(f"{name}_squeeze", "silu", (1, 1, squeezed)),
                GateLayer(f"{name}_excite", "sigmoid", (1, 1, inner)),
                GateLayer(f"{name}_product", "product", (side, side, inner)),
            ]
            channels = _scaled(stage.channels_out, width)
    layers.append(GateLayer("head", "silu", (side, side, _scaled(_HEAD_CHANNELS, width))))
    return tuple(layers)


def _strided(side: int, stride: int) -> int:
    """Side of the output with padding of the kind SAME."""
    return -(-side // stride)


def _scaled(channels: int, width: float) -> int:
    """Channels times width, to the nearest multiple of 8 that loses less than a tenth."""
    wanted = channels * width
    found = max(8, int(wanted + 4) // 8 * 8)
    return found + 8 if found < 0.9 * wanted else found
