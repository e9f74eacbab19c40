"""Converted modules against PyTorch's own forward pass, and what cannot be converted."""

import copy
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.models.networks.layers import (
    INPUT,
    Activation,
    BatchNorm,
    BinaryConv2D,
    Conv2D,
    Dense,
    Flatten,
    QuantisedReLU,
    Spike,
)
from ann2brian.models.networks.network import InputCoding
from ann2brian.models.pytorch.binary_conv import BinaryConv2d
from ann2brian.models.pytorch.from_torch import from_torch
from ann2brian.models.pytorch.units import (
    QCFS,
    MeanOverSteps,
    NoisySpike,
    RepeatSteps,
    Residual,
    set_steps,
)
from ann2brian.studies.training.architectures import gap_net
from torch import nn

CODING = InputCoding((7, 6, 4), 255, [0.01, 0.02, 0.03, 0.015], [-1.0, 0.5, 0.0, -2.0])


def randomise(module, seed):
    """Give batch norms statistics that are far from 0 and 1, so that a mix-up shows."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.3, 3.0, generator=generator)
            if part.affine:
                nn.init.normal_(part.weight, generator=generator)
                nn.init.normal_(part.bias, generator=generator)


def compare(module, n_classes=3):
    """Logits of the converted module and of the module, for 9 random images; returns the former."""
    randomise(module, 4)
    module.train()  # the conversion must read the evaluation mode all the same
    network = from_torch(
        module, input=CODING, classes=[f"class {i}" for i in range(n_classes)], name="net"
    )
    images = np.random.default_rng(6).integers(0, 256, (9, 7, 6, 4))
    x = torch.from_numpy((images * CODING.gain + CODING.offset).transpose(0, 3, 1, 2))
    with torch.no_grad():
        expected = module.double().eval()(x).numpy()
    assert expected.std() > 1e-3  # not all the same, or the comparison would be empty
    # Both in float64; 1e-5 would be float32 rounding
    np.testing.assert_allclose(network.forward(images), expected, rtol=1e-9, atol=1e-9)
    return network


def head(n_in, n_out=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(n_in, n_out))


@pytest.mark.parametrize(
    "convolution, n_out",
    [
        (nn.Conv2d(4, 6, 3), 6 * 5 * 4),
        (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)), 6 * 4 * 5),
        (nn.Conv2d(4, 6, 5, stride=2, padding=2, bias=False), 6 * 4 * 3),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), 6 * 7 * 6),
        (nn.Conv2d(4, 8, 3, padding=1, groups=4), 8 * 7 * 6),
        (nn.Conv2d(4, 6, (3, 5), padding="same"), 6 * 7 * 6),
        (nn.Conv2d(4, 6, 2, padding="valid"), 6 * 6 * 5),
    ],
)
def test_convolution_equals_torch(convolution, n_out):
    """Strides, paddings and groups, then Flatten and Linear, against torch."""
    compare(nn.Sequential(convolution, nn.ReLU(), head(n_out)))


@pytest.mark.parametrize(
    "pooling, n_out",
    [
        (nn.AvgPool2d(2), 4 * 3 * 3),
        (nn.AvgPool2d((3, 2), stride=(1, 2), padding=1), 4 * 7 * 4),
        (nn.AvgPool2d(2, count_include_pad=False), 4 * 3 * 3),
        (nn.MaxPool2d(2), 4 * 3 * 3),
        (nn.MaxPool2d(3, stride=2, padding=1), 4 * 4 * 3),
        (nn.AdaptiveAvgPool2d(1), 4),
        (nn.AdaptiveAvgPool2d((1, 1)), 4),
        (nn.AdaptiveAvgPool2d((5, 4)), 4 * 5 * 4),
        (nn.AdaptiveMaxPool2d((5, 4)), 4 * 5 * 4),
    ],
)
def test_pooling_equals_torch(pooling, n_out):
    """Sizes, strides and paddings of poolings against torch."""
    compare(nn.Sequential(pooling, head(n_out)))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.GELU])
def test_activation_equals_torch(activation):
    """Each pointwise function against torch."""
    compare(nn.Sequential(nn.Conv2d(4, 5, 3), activation(), head(5 * 5 * 4)))


def qcfs(levels, log2_step):
    module = QCFS(levels)
    with torch.no_grad():
        module.log2_step.fill_(log2_step)
    return module


@pytest.mark.parametrize("log2_step", [-2.6, -0.4, 0.3, 2.2])
def test_qcfs_equals_torch(log2_step):
    """QCFS in a network against torch, and its fields against the rounded logarithm."""
    network = compare(nn.Sequential(nn.Conv2d(4, 5, 3), qcfs(3, log2_step), head(5 * 5 * 4)))
    layer = network.layer("act1")
    assert isinstance(layer, QuantisedReLU)
    assert (layer.step, layer.levels) == (2.0 ** round(log2_step), 3)


@pytest.mark.parametrize("log2_step", [-3.4, -0.3, 0.0, 1.6])
def test_qcfs_has_the_values_of_the_layer(log2_step):
    """Float32 values of QCFS, ties and both ends included, against the layer, without tolerance."""
    module, step = qcfs(5, log2_step), 2.0 ** round(log2_step)
    x = np.concatenate([np.arange(-4, 16) / 2, np.linspace(-2, 8, 501)]).astype(np.float32)
    x = (x * step).reshape(1, 1, 1, -1)
    found = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_array_equal(found, QuantisedReLU("q", ("input",), step, 5).apply(x))


def test_qcfs_starts_with_a_range_near_two():
    """Steps before any training against powers of two whose multiple by the levels is near 2."""
    assert {levels: QCFS(levels).step.item() for levels in (1, 4, 6, 8)} == {
        1: 2.0, 4: 0.5, 6: 0.25, 8: 0.25,
    }  # fmt: skip


def test_qcfs_input_gradient_is_the_slope_over_one_step():
    """Gradient for the input against the staircase's rise from one step before to one after.

    Over whole steps the staircase rises like the straight line that it approximates, so the
    difference quotient has no rounding error but at the two ends of the range.
    """
    module, step = qcfs(6, -1.2), 0.5
    x = torch.tensor([-2.0, -1.3, -0.6, 0.51, 0.8, 1.25, 1.9, 2.45, 3.6, 4.2], requires_grad=True)
    module(x).sum().backward()
    with torch.no_grad():
        slope = (module(x + step) - module(x - step)) / (2 * step)
    assert x.grad.tolist() == slope.tolist() == [0.0] * 3 + [1.0] * 5 + [0.0] * 2


def test_qcfs_step_gradient_scales_the_staircase():
    """Gradient for the step against Euler's identity for functions of degree one.

    Scaling input and step together scales the output, so that
    ``x * dy/dx + step * dy/dstep = y``, and log2(step) brings the factor step * ln 2.
    """
    module = qcfs(4, 0.8)
    x = torch.linspace(-5, 15, 83, requires_grad=True)
    y = module(x)
    y.sum().backward()
    expected = math.log(2) * (y - x * x.grad).sum()
    torch.testing.assert_close(module.log2_step.grad, expected, rtol=1e-5, atol=0)
    saturated = torch.tensor([20.0])
    module.zero_grad()
    module(saturated).backward()
    assert module.log2_step.grad.item() == pytest.approx(math.log(2) * 2 * 4, rel=1e-6)


def test_noisy_spikes_equal_torch():
    """Spiking layers in a network against torch in evaluation mode, and their fields."""
    network = compare(
        nn.Sequential(
            nn.Conv2d(4, 5, 3),
            nn.BatchNorm2d(5),
            NoisySpike(0.25, 0.375),
            nn.AvgPool2d(2),
            nn.Conv2d(5, 6, 2),
            NoisySpike(0.5, 0.3, width=0.1),
            head(6),
        )
    )
    first, second = network.layer("act1"), network.layer("act2")
    assert isinstance(first, Spike) and isinstance(second, Spike)
    assert (first.threshold, first.mean, first.sigma) == (1.0, 0.25, 0.375)
    assert (second.threshold, second.mean, second.sigma) == (1.0, 0.5, float(np.float32(0.3)))


@pytest.mark.parametrize("mean", [0.5, 0.0, -0.25])
def test_noisy_spike_has_the_values_of_the_layer(mean):
    """Float32 spikes of dyadic inputs, the tie included, against the layer, without tolerance."""
    module = NoisySpike(mean, 0.3)
    x = (np.arange(-256, 512) / 128).astype(np.float32).reshape(1, 6, 32, 4)
    assert (x + mean == 1).sum() == 1
    coding = InputCoding((6, 32, 4), 255, np.ones(4), np.zeros(4))
    network = from_torch(nn.Sequential(module, head(x.size)), input=coding)
    converted = network.layer("act1")
    assert isinstance(converted, Spike)
    found = module.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(converted.apply(x), found)
    np.testing.assert_array_equal(found, x >= 1 - mean)


@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": "none"},
        {"gradient": "exact", "groups": 2, "stride": (2, 1)},
        {"padding": (1, 0), "groups": 4},
    ],
    ids=str,
)
def test_binary_convolution_equals_torch(options, is_binary):
    """A layer that can be binary, in both modes, against torch in double precision; its fields."""
    layer = BinaryConv2d(4, 8, (3, 2), **options).double()
    layer.is_binary.fill_(is_binary)
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = 0.0  # whose sign is +1
    n_out = math.prod(layer(torch.zeros(1, 4, 7, 6).double()).shape)
    network = compare(nn.Sequential(layer, nn.Tanh(), head(n_out)).double())
    converted, w = network.layer("conv1"), layer.weight.detach().numpy().transpose(2, 3, 1, 0)
    if is_binary:
        assert isinstance(converted, BinaryConv2D)
        np.testing.assert_array_equal(converted.signs, np.where(w >= 0, 1, -1))
        size = np.abs(w).mean(axis=(0, 1, 2)) if "scale" not in options else np.ones(8)
        np.testing.assert_allclose(converted.scale, size, rtol=1e-12)
    else:
        assert isinstance(converted, Conv2D)
        np.testing.assert_array_equal(converted.kernel, w)
        assert not converted.bias.any()


def test_fixed_scale_is_converted():
    """A layer after its scale was fixed against itself before: the same network."""
    module = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8), nn.Tanh(), head(8 * 5 * 4))
    module = module.double()
    module[0].is_binary.fill_(True)
    before = compare(module)
    module[0].fix_scale()
    after = compare(module)
    for field in ("signs", "scale"):
        values = [getattr(network.layer("conv1"), field) for network in (before, after)]
        np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("pattern", ["rrr", "bbb", "rbr", "brb"])
def test_binary_networks_equal_torch(pattern):
    """Networks with a head of convolution and mean against torch, and against themselves folded."""
    torch.manual_seed(3)
    module = gap_net((5, 3, 2), (6, 3, 1), n_in=4, n_classes=3).double()
    for number, letter in enumerate(pattern, start=1):
        getattr(module, f"conv{number}").is_binary.fill_(letter == "b")
    network = compare(module)
    assert [layer.name for layer in network.layers] == [
        "conv1", "norm1", "act1", "conv2", "norm2", "act2", "conv3", "norm3", "pool1",
    ]  # fmt: skip
    binary = [isinstance(network.layer(f"conv{i}"), BinaryConv2D) for i in (1, 2, 3)]
    assert binary == [letter == "b" for letter in pattern]
    folded = network.fold_batch_norm()
    assert not any(isinstance(layer, BatchNorm | BinaryConv2D) for layer in folded.layers)
    images = np.random.default_rng(6).integers(0, 256, (9, 7, 6, 4))
    np.testing.assert_allclose(folded.forward(images), network.forward(images), atol=1e-12)
    for name in ("act1", "act2"):
        assert 0.02 < network.activations(images)[name].mean() < 0.98
    # Weights, a scale or a bias a channel, and batch normalisation.
    assert network.n_parameters == 5 * 4 * 9 + 6 * 5 * 9 + 3 * 6 + 3 * (5 + 6 + 3)


def test_time_steps_travel_with_the_network():
    """Networks of one and of three steps against the module: the same layers, other logits."""
    module = nn.Sequential(
        nn.Conv2d(4, 5, 3),
        RepeatSteps(),
        NoisySpike(leak=0.5, reset="hard"),
        head(5 * 5 * 4),
        MeanOverSteps(),
    )
    images = np.random.default_rng(6).integers(0, 256, (9, 7, 6, 4))
    x = torch.from_numpy(CODING.standardise(images).transpose(0, 3, 1, 2))
    found = []
    for n_steps in (1, 3):
        set_steps(module, n_steps)
        network = from_torch(module, input=CODING)
        assert [layer.name for layer in network.layers] == ["conv1", "act1", "flatten1", "dense1"]
        spike = network.layer("act1")
        assert isinstance(spike, Spike)
        assert (spike.leak, spike.reset, spike.n_steps) == (0.5, "hard", n_steps)
        with torch.no_grad():
            expected = copy.deepcopy(module).double().eval()(x).numpy()
        found.append(network.forward(images))
        np.testing.assert_allclose(found[-1], expected, atol=1e-9)
    assert not np.allclose(*found)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (RepeatSteps(), NoisySpike(), MeanOverSteps(), nn.MaxPool2d(2), head(4 * 9)),
        lambda: (RepeatSteps(), NoisySpike(), MeanOverSteps(), NoisySpike(), head(168)),
        lambda: (RepeatSteps(), NoisySpike(), MeanOverSteps(), QCFS(4), head(168)),
        lambda: (NoisySpike(), RepeatSteps(), NoisySpike(), head(168), MeanOverSteps()),
        lambda: (RepeatSteps(), NoisySpike(), head(168), nn.Softmax(1), MeanOverSteps()),
    ],
    ids=["pooled", "spiking again", "quantised", "before the steps", "mean of softmaxes"],
)
def test_steps_that_no_spiking_network_has_are_refused(make):
    """What is not linear outside of the steps, and spikes before them: other logits otherwise."""
    torch.manual_seed(2)
    module = nn.Sequential(*make())
    set_steps(module, 4)
    with pytest.raises(ValueError, match=r"over its 4 time steps the module gives other logits"):
        from_torch(module, input=CODING)


class InItsOwnType(nn.Sequential):
    def forward(self, x):
        return super().forward(x.float())


@pytest.mark.filterwarnings("ignore:the softmax at the end is left out")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(
            RepeatSteps(), NoisySpike(), nn.Flatten(), MeanOverSteps(), head(168)
        ),
        lambda: InItsOwnType(RepeatSteps(), NoisySpike(), head(168), MeanOverSteps()),
        lambda: nn.Sequential(NoisySpike(), head(168), MeanOverSteps()),
        lambda: nn.Sequential(RepeatSteps(), NoisySpike(), head(168)),
        lambda: nn.Sequential(NoisySpike(), head(168), nn.LogSoftmax(1), MeanOverSteps()),
        lambda: nn.Sequential(NoisySpike(), head(168), MeanOverSteps(), nn.Softmax(1)),
    ],
    ids=["linear after", "float32", "repeated before", "mean after", "log-softmax", "softmax"],
)
def test_steps_in_other_places(make):
    """Parts that the training loop has instead, and what changes no class, are taken."""
    torch.manual_seed(2)
    module = make()
    set_steps(module, 4)
    network = from_torch(module, input=CODING)
    images = np.random.default_rng(6).integers(0, 256, (9, 7, 6, 4))
    x = torch.from_numpy(CODING.standardise(images).transpose(0, 3, 1, 2)).float()
    x = x if any(isinstance(part, RepeatSteps) for part in module) else x.repeat(4, 1, 1, 1)
    with torch.no_grad():
        expected = module.eval()(x)
    expected = expected if len(expected) == 9 else expected.unflatten(0, (4, 9)).mean(0)
    assert (network.forward(images).argmax(1) == expected.argmax(1).numpy()).mean() > 0.8


def test_a_mode_that_no_layer_reads_is_refused():
    """`is_binary` set on an ordinary convolution against the message that names it."""
    module = nn.Sequential(nn.Conv2d(4, 5, 3), nn.Tanh(), head(100))
    module[0].is_binary = True
    with pytest.raises(ValueError, match=r"module 0 \(Conv2d\) has is_binary=True, which it does"):
        from_torch(module, input=CODING)


def test_steps_that_disagree_are_refused():
    """Two numbers of steps in one module against the message that names both."""
    module = nn.Sequential(NoisySpike(n_steps=2), head(168), MeanOverSteps(3))
    with pytest.raises(ValueError, match=r"n_steps=2.*n_steps=3"):
        from_torch(module, input=CODING)


def test_norms_around_a_flatten_equal_torch():
    """Batch norms before and after a Flatten, whose order differs from torch's, against torch."""
    network = compare(
        nn.Sequential(
            nn.Conv2d(4, 5, 3),
            nn.BatchNorm2d(5),
            nn.Identity(),
            nn.Flatten(),
            nn.BatchNorm1d(100),
            nn.SiLU(),
            nn.Dropout(0.5),
            nn.Linear(100, 8, bias=False),
            nn.BatchNorm1d(8, affine=False),
            nn.ReLU(),
            nn.Linear(8, 3),
        )
    )
    assert [layer.name for layer in network.layers] == [
        "conv1", "norm1", "flatten1", "norm2", "act1", "dense1", "norm3", "act2", "dense2",
    ]  # fmt: skip


def test_residual_equals_torch():
    """Nested blocks with identity, strided and flattened shortcuts against torch."""
    compare(
        nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1),
            Residual(
                nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
                nn.Identity(),
            ),
            nn.ReLU(),
            Residual(
                nn.Sequential(nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1)),
                nn.Conv2d(6, 8, 1, stride=2),
            ),
            Residual(nn.Sequential(nn.Tanh(), nn.Flatten()), nn.Flatten()),
            nn.Linear(8 * 4 * 3, 3),
        )
    )


def test_float32_module_equals_torch():
    """A module as trained, in float32, against torch to 1e-5: its own rounding."""
    module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.GELU(), head(6 * 5 * 4)).eval()
    images = np.random.default_rng(6).integers(0, 256, (9, 7, 6, 4))
    x = CODING.standardise(images).astype(np.float32).transpose(0, 3, 1, 2)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    found = from_torch(module, input=CODING).forward(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vector_input_needs_no_flatten_layer():
    """A dense network on (1, 1, C) against torch, and its layers against the expected kinds."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    coding = InputCoding((1, 1, 4), 16, CODING.gain, CODING.offset)
    network = from_torch(module, input=coding)
    assert [type(layer) for layer in network.layers] == [Dense, Activation, Dense]
    assert network.layers[0].inputs == (INPUT,)
    images = np.random.default_rng(2).integers(0, 17, (5, 1, 1, 4))
    with torch.no_grad():
        expected = module(torch.from_numpy(coding.standardise(images)[:, 0, 0])).numpy()
    np.testing.assert_allclose(network.forward(images), expected, atol=1e-12)


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def before_head(*modules):
    """Modules, and a head that fits what they give."""
    body = nn.Sequential(*modules)
    with torch.no_grad():
        n = body.eval()(torch.zeros(2, 4, 7, 6)).shape[1:].numel()
    return nn.Sequential(*modules, head(n))


def spoilt(module):
    """A module whose noise was damaged after it was made."""
    module.sigma.fill_(-0.5)
    return module


NORMALISES = "normalises each image by itself; train with BatchNorm"


@pytest.mark.parametrize(
    "module, message",
    [
        ([nn.GroupNorm(2, 4)], rf"module 0 \(GroupNorm\), group_norm.*{NORMALISES}"),
        ([nn.Identity(), nn.LayerNorm(6)], rf"module 1 \(LayerNorm\), .*{NORMALISES}"),
        ([nn.BatchNorm2d(4, track_running_stats=False)], r"0 \(BatchNorm2d\).*running statistics"),
        ([nn.ConvTranspose2d(4, 4, 3)], r"module 0 \(ConvTranspose2d\).*upsample and convolve"),
        ([nn.Sequential(nn.Softsign())], r"module 0\.0 \(Softsign\), div: divides by a computed"),
        ([nn.Softmax(1), nn.ReLU()], r"module 0 \(Softmax\), .*softmax.*end"),
        ([nn.MaxPool2d(2, dilation=2)], r"\(MaxPool2d\), .*dilation"),
        ([Calls(lambda x: x - x.mean(0))], r"\(Calls\), mean: works along the batch axis"),
        ([Calls(lambda x: x.reshape(-1, 4, 6, 7).flip(0))], "flip: mixes the images"),
        ([Calls(lambda x: x / x.abs().amax())], "amax: goes over all axes"),
        ([Calls(lambda x: x / x.sum((2, 3), keepdim=True))], "div: divides by a computed value"),
        ([Calls(lambda x: x**5)], "pow: is a power other than a whole one from 1 to 4"),
        ([Calls(lambda x: x**0.5)], "pow: is a power other than a whole one"),
        ([Calls(lambda x: 2**x)], "pow: has an exponent that is not one constant"),
        ([Calls(lambda x: x ** torch.arange(6.0))], "pow: has an exponent that is not one"),
        ([Calls(lambda x: x * torch.arange(6.0))], "mul: .*within a channel"),
        ([Calls(lambda x: torch.cat([x, torch.ones_like(x)], 1))], "cat: .* other than 0"),
        ([Calls(lambda x: x + torch.rand(1))], "rand: draws random numbers"),
        ([Calls(lambda x: nn.functional.dropout(x))], "dropout: drops at random in evaluation"),
        ([Calls(lambda x: x[:, x.mean((0, 2, 3)).argsort()])], r"module 0 \(Calls\)"),
        ([Calls(lambda x: x / len(x))], "other logits in another batch"),
        ([Calls(lambda x: x if x.sum() > 0 else 2 * x)], r"0 \(Calls\) cannot be traced; .*\(if,"),
        ([Calls(lambda x: x * x.mean().item())], r"module 0 \(Calls\), mean: goes over all axes"),
        ([nn.MaxPool2d(2, return_indices=True), Calls(lambda x: x[1] * 1.0)], r"second result"),
        ([Calls(lambda x: (x > 0).float())], r"gt: is not supported; it jumps .*use max, min"),
        ([Calls(lambda x: torch.where(x > 0, x, 3 * x))], r"gt: is not supported; it jumps .*relu"),
        ([Calls(lambda x: x.sign())], r"sign: is not supported; it jumps"),
        ([Calls(lambda x: x.exp())], r"exp: is not supported; replace it"),
        ([Calls(lambda x: x.max(1)[1].float()[:, None])], r"getitem: uses a second result"),
        ([Calls(lambda x: x + x.max())], r"max: goes over all axes"),
        ([Calls(lambda x: x + x.flatten(1).amax(1)[:, None, None, None])], r"amax: is a maximum of "
         "168 entries; there may be 8 at most"),
        ([Calls(lambda x: x.masked_fill(torch.ones(7, 6) > 0, -math.inf))], r"fill: fills in inf"),
        ([Calls(lambda x: torch.where(torch.eye(7, 6) > 0, x, 0.0))], r"where: .*within a channel"),
        ([spoilt(NoisySpike())], r"\(NoisySpike\), spike: .*: sigma must be >= 0, got -0.5"),
        ([NoisySpike(mean=math.nan)], r"\(NoisySpike\), spike: its mean\[\] is nan"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted(module, message):
    """Operations outside the list against the message with path, operation and what to do."""
    with pytest.raises(ValueError, match=message) as caught:
        from_torch(before_head(*module), input=CODING)
    assert "\n" not in str(caught.value)


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


@pytest.mark.parametrize(
    "module, message",
    [
        (nn.Conv2d(4, 6, 3), r"gives shape \(8, 6, 5, 4\).*not \(n, classes\)"),
        (head(9), r"module 1 \(Linear\) does not run on an input of shape.*8x168 and 9x3"),
        (nn.Sequential(nn.Sequential(nn.Conv2d(3, 6, 3))), r"module 0\.0 \(Conv2d\) does not run"),
        (TwoInputs(), r"module \(top\) \(TwoInputs\) does not run .*missing 1 required"),
        (Calls(lambda x: (x, x)), "gives a tuple, not one tensor of logits"),
        (Calls(lambda x: torch.ones(len(x), 3)), "the logits do not depend on the image"),
        (Calls(lambda x: torch.rand(len(x), 3)), "rand: draws random numbers"),
    ],
)
def test_what_is_no_classifier(module, message):
    """Modules that do not give logits of these images against the message."""
    with pytest.raises(ValueError, match=message) as caught:
        from_torch(module, input=CODING)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("thing", [{"weight": 1}, "net.pt", torch.zeros(3)])
def test_what_is_no_module(thing):
    """State dicts, paths and tensors against the message that says where weights go."""
    with pytest.raises(TypeError, match=r"takes an nn.Module, got .*(load_weights|--weights)"):
        from_torch(thing, input=CODING)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (nn.Linear, "got the class Linear; give a module of it"),
        ("net.onnx", r"got the name of a file; net\.onnx is an ONNX file; from_onnx reads it"),
        (Path("net.h5"), r"got the name of a file; net\.h5 is a Keras file; from_keras reads it"),
        ("net", "net is in no format that is known here"),
    ],
)
def test_what_is_the_name_of_something(thing, message):
    """Classes and files against the message that says who reads them."""
    with pytest.raises(TypeError, match=message):
        from_torch(thing, input=CODING)


PLAIN = "example= must be a plain tensor that holds numbers, got one of torch"


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.empty(2, 4, 7, 6, device="meta"), rf"{PLAIN}\.float32, .* on the device meta"),
        (torch.zeros(2, 4, 7, 6).to_sparse(), rf"{PLAIN}\.float32, torch\.sparse_coo"),
        (torch.zeros(2, 4, 7, 6, dtype=torch.complex64), "at least one image as numbers.*complex"),
    ],
)
def test_tensors_without_numbers(example, message):
    """What no example can be against one line."""
    with pytest.raises(ValueError, match=message) as caught:
        from_torch(head(168), example)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: torch.jit.script(head(168)), "this TorchScript is made of"),
        (lambda: torch.ao.quantization.quantize_dynamic(head(168)), r"1 \(Linear\) is quantised"),
        (lambda: head(168).to("meta"), r"module 1 \(Linear\) has no weights yet"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), r"1 \(LazyLinear\) has no weights"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # PyTorch's, that some of these are outdated
def test_what_has_no_weights_to_read(make, message):
    """TorchScript, quantised, meta and lazy modules against the message."""
    with pytest.raises((TypeError, ValueError), match=message):
        from_torch(make(), input=CODING)


def test_nan_weights_are_refused():
    """A NaN weight, and a NaN statistic, against the message that names the layer."""
    module = nn.Sequential(nn.BatchNorm2d(4), *head(168))
    with torch.no_grad():
        module[2].weight[2, 5] = torch.nan
    with pytest.raises(ValueError, match=r"module 2 \(Linear\), linear: its weight\[2, 5\] is nan"):
        from_torch(module, input=CODING)
    module[0].running_var[1] = torch.inf
    with pytest.raises(ValueError, match=r"module 0 \(BatchNorm2d\), .*its variance\[1\] is inf"):
        from_torch(module, input=CODING)


def test_flatten_is_in_our_order():
    """The kernel rows of a Linear after a Flatten against torch's index of the same unit."""
    module = head(168)
    network = from_torch(module, input=CODING)
    assert isinstance(network.layers[0], Flatten)
    row, column, channel = 5, 2, 3
    ours, theirs = (row * 6 + column) * 4 + channel, (channel * 7 + row) * 6 + column
    expected = module[1].weight[:, theirs].detach().numpy()
    np.testing.assert_array_equal(network.layers[1].kernel[ours], expected)


def test_missing_torch_says_how_to_install_it():
    """The import without torch, in a process of its own, against the install command."""
    code = "import sys; sys.modules['torch'] = None; import models.pytorch.from_torch"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode != 0
    assert "pip install torch==2.13.0" in run.stderr.splitlines()[-1]
