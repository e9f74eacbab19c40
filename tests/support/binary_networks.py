"""Small random networks with real and binary layers, and a forward pass of theirs in steps."""

from dataclasses import replace

import numpy as np
from ann2brian.models.networks.layers import (
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    GlobalAvgPool,
    MaxPool2D,
    Spike,
)
from ann2brian.models.networks.network import InputCoding, Network

from tests.support.networks import CLASSES

GAIN_STEP = 2.0**-8  # of scales and gammas
OFFSET_STEP = 2.0**-10  # of betas


def dyadic_coding(shape):
    """Pixels up to 16 at a power of two, so that all sums of pixels are exact."""
    n = shape[2]
    return InputCoding(shape, 16, np.full(n, 0.25), np.full(n, -1.5))


def convolution(rng, kind, name, before, size, n_in, n_out, **options):
    """Random convolution: ``"b"`` of signs and a scale a channel, ``"r"`` of reals with a bias."""
    shape = (*size, n_in // options.get("groups", 1), n_out)
    if kind == "b":
        signs = rng.choice([-1.0, 1.0], shape)
        scale = np.round(rng.uniform(0.3, 1.0, n_out) / GAIN_STEP) * GAIN_STEP
        return BinaryConv2D(name, (before,), signs, scale, **options)
    kernel = np.round(rng.normal(0, 0.6, shape) * 2**10) / 2**10
    bias = np.round(rng.normal(0, 0.3, n_out) * 2**6) / 2**6
    return Conv2D(name, (before,), kernel, bias, **options)


def norm(rng, name, before, n):
    """Batch normalisation of `n` channels: gammas of both signs, and some of the units fire."""
    gamma = rng.choice([-1.0, 1.0, 1.0], n) * rng.uniform(0.3, 0.8, n)
    return BatchNorm(
        name,
        (before,),
        np.round(gamma / GAIN_STEP) * GAIN_STEP,
        np.round(rng.normal(0.6, 0.3, n) / OFFSET_STEP) * OFFSET_STEP,
        np.zeros(n),
        np.ones(n),
        0.0,
    )


def mixed(pattern="rbrbr", channels=37, shape=(11, 10, 2), seed=0):
    """Every kind of layer that a locally binary network may have, on a grid.

    The letters of the pattern are the kinds of conv1 (of pixels, a stride on one axis), conv2
    (grouped, after average pooling), conv3 (after max pooling), conv4 (strided) and conv5, the
    head of 1x1, which global average pooling over 3x3 positions follows.
    """
    rng = np.random.default_rng(seed)
    geometries = (
        ("input", (3, 3), shape[2], 6, {"padding": (1, 1), "stride": (2, 1)}),
        ("pool1", (3, 3), 6, 8, {"padding": (1, 1), "groups": 2}),
        ("pool2", (3, 2), 8, channels, {"padding": (1, 1)}),
        ("act3", (2, 3), channels, 9, {"padding": (1, 1), "stride": (2, 2)}),
        ("act4", (1, 1), 9, 5, {}),
    )
    pools = {
        1: AvgPool2D("pool1", ("act1",), (2, 2), (1, 2), (1, 0)),
        2: MaxPool2D("pool2", ("act2",), (3, 2), (2, 1), (1, 0)),
    }
    layers = []
    for number, (before, size, n_in, n_out, options) in enumerate(geometries, start=1):
        name = f"conv{number}"
        kind = pattern[number - 1]
        layers.append(convolution(rng, kind, name, before, size, n_in, n_out, **options))
        layers.append(norm(rng, f"norm{number}", name, n_out))
        if number < 5:
            layers.append(Spike(f"act{number}", (f"norm{number}",)))
        if number in pools:
            layers.append(pools[number])
    layers.append(GlobalAvgPool("gap", ("norm5",)))
    return Network(f"mixed {pattern}", dyadic_coding(shape), tuple(layers), CLASSES)


def step_by_step(network, images, n_steps, leak, reset):
    """Mean logits, and spikes and potentials (at the end) of the units, by the layers themselves.

    In every step the layers' own forward pass; the neurons by hand.
    """
    spiking = [layer.name for layer in network.layers if isinstance(layer, Spike)]
    potentials = dict.fromkeys(spiking, 0.0)
    spikes = {name: [] for name in spiking}
    total = 0.0
    for _ in range(n_steps):
        values = {"input": network.input.standardise(images)}
        for layer in network.layers:
            given = [values[source] for source in layer.inputs]
            name = layer.name
            if name in spiking:
                h = leak * potentials[name] + given[0]
                fired = np.where(h >= layer.threshold, 1.0, 0.0)
                after = np.where(fired > 0, 0.0, h) if reset == "hard" else h - fired
                values[name], potentials[name] = fired, after
                spikes[name].append(fired.reshape(len(images), -1))
            else:
                values[name] = layer.apply(*given)
        total = total + values[network.layers[-1].name].reshape(len(images), -1)
    return (
        total / n_steps,
        {name: np.stack(fired, axis=1) for name, fired in spikes.items()},
        {name: v.reshape(len(images), -1) for name, v in potentials.items()},
    )


def residual(pattern="bbrb", seed=0):
    """Branches that are added, on a grid: every place where an addition may stand.

    The letters of the pattern are the kinds of conv2 (in a block whose shortcut is the image's
    spikes), conv3 and short3 (strided, batch normalisation on both branches and on their sum, and
    an average pooling before the weights of one), conv4 (after a sum of spikes; the image reaches
    its units a second time) and conv5, the head.
    """
    rng = np.random.default_rng(seed)
    layers = (
        convolution(rng, "r", "conv1", "input", (3, 3), 2, 6, padding=(1, 1)),
        norm(rng, "norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
        convolution(rng, pattern[0], "conv2", "act1", (3, 3), 6, 6, padding=(1, 1)),
        norm(rng, "norm2", "conv2", 6),
        Add("sum2", ("norm2", "act1")),
        Spike("act2", ("sum2",)),
        convolution(rng, pattern[1], "conv3", "act2", (3, 3), 6, 8, padding=(1, 1), stride=(2, 2)),
        norm(rng, "norm3", "conv3", 8),
        AvgPool2D("pool3", ("act2",), (2, 2), (2, 2)),
        convolution(rng, pattern[1], "short3", "pool3", (1, 1), 6, 8),
        norm(rng, "normed3", "short3", 8),
        Add("sum3", ("norm3", "normed3")),
        # Coarse, so that offsets stay on the conversion's grid.
        replace(norm(rng, "both3", "sum3", 8), gamma=rng.choice([-0.5, 0.5, 0.75], 8)),
        Spike("act3", ("both3",)),
        convolution(rng, "b", "conv6", "act3", (3, 3), 8, 8, padding=(1, 1)),
        Spike("act6", ("conv6",)),
        Add("spikes", ("act3", "act6")),
        convolution(rng, pattern[2], "conv4", "spikes", (3, 3), 8, 9, padding=(1, 1)),
        norm(rng, "norm4", "conv4", 9),
        convolution(rng, "r", "again", "input", (2, 2), 2, 9, stride=(2, 2)),
        Add("sum4", ("norm4", "again")),
        Spike("act4", ("sum4",)),
        convolution(rng, pattern[3], "conv5", "act4", (1, 1), 9, 5),
        norm(rng, "norm5", "conv5", 5),
        GlobalAvgPool("gap", ("norm5",)),
    )
    return Network(f"residual {pattern}", dyadic_coding((8, 6, 2)), layers, CLASSES)
