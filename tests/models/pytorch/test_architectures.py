"""Modules as people write them, and what PyTorch does to modules, against the modules' logits."""

import copy
import warnings

import numpy as np
import pytest

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
import torch.nn.functional as F
from ann2brian.models.networks.layers import Conv2D, Multiply
from ann2brian.models.networks.network import InputCoding
from ann2brian.models.pytorch.binary_conv import BinaryConv2d
from ann2brian.models.pytorch.from_torch import from_torch
from ann2brian.models.pytorch.tracing import evaluated, trace
from ann2brian.models.pytorch.units import QCFS, NoisySpike
from torch import nn
from torch.nn.utils import parametrizations, prune

import ann2brian as ab
from tests.support import architectures as nets
from tests.support.networks import assert_same

IMAGES = {
    shape: np.random.default_rng(5).integers(0, 256, (6, *shape)).astype(np.uint8)
    for shape in ((8, 8, 1), (8, 8, 3), (16, 16, 1), (16, 16, 3), (32, 32, 3), (120, 1), (20,))
}
SOFTMAX = "ignore:the softmax at the end is left out"


def randomise(module, seed=4):
    """Statistics far from 0 and 1, so that a mix-up shows."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.3, 3.0, generator=generator)
    return module


def logits(module, images, mean=0.5, std=0.25):
    """What the module says in float64, without the mean over classes that a log-softmax moves."""
    x = torch.from_numpy((images / 255 - mean) / std)
    x = x.movedim(-1, 1) if x.ndim > 2 else x
    with torch.no_grad():
        return centred(copy.deepcopy(module).double().eval()(x).numpy())


def centred(scores):
    return scores - scores.mean(axis=1, keepdims=True)


def compare(module, images, expected=None):
    """Logits of the network and of the module; returns the network."""
    network = from_torch(module, images, mean=0.5, std=0.25)
    found = network.forward(images.reshape(len(images), *network.input.shape))
    expected = logits(module, images) if expected is None else expected
    assert expected.std() > 1e-4
    np.testing.assert_allclose(centred(found), expected, rtol=1e-8, atol=1e-9 * expected.std())
    return network


@pytest.mark.filterwarnings(SOFTMAX)
@pytest.mark.parametrize(
    "make, shape",
    [
        (nets.ResNet20, (16, 16, 3)),
        (nets.PaddedShortcut, (8, 8, 3)),
        (nets.vgg11_bn, (32, 32, 3)),
        (nets.mobilenet_v2, (16, 16, 3)),
        (nets.se_net, (8, 8, 3)),
        (nets.inception_net, (8, 8, 3)),
        (nets.shuffle_net, (8, 8, 3)),
        (nets.DenseNet, (8, 8, 3)),
        (nets.convnext, (8, 8, 3)),
        (nets.AudioNet, (120, 1)),
        (nets.Functional, (16, 16, 1)),
        (nets.mlp, (20,)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_architecture_equals_torch(make, shape):
    """A network of the usual kinds from raw images, against torch in float64."""
    torch.manual_seed(2)
    compare(randomise(make()), IMAGES[shape])


def test_gates_become_products():
    """The excitation of a SE block is one product of two layers."""
    torch.manual_seed(2)
    network = compare(nets.se_net(gate=nn.Hardsigmoid), IMAGES[8, 8, 3])
    assert sum(isinstance(layer, Multiply) for layer in network.layers) == 1


def se_net(gate):
    """Squeeze and excitation that opens its gates to different degrees."""
    module = nets.se_net(gate=gate)
    with torch.no_grad():
        module[2].fc[0].weight.abs_()
        module[2].fc[2].weight *= 8
    return module


CURVED = {
    "se_sigmoid": lambda: se_net(nn.Sigmoid),
    "se_hardsigmoid": lambda: se_net(nn.Hardsigmoid),
    "leaky_relu": lambda: nets.curved_net(nn.LeakyReLU(0.2)),
    "silu": lambda: nets.curved_net(nn.SiLU()),
    "gelu": lambda: nets.curved_net(nn.GELU()),
    "tanh": lambda: nets.curved_net(nn.Tanh()),
    "convnext": nets.convnext,
}
SCHEMES = [ab.BurstOptions(n_steps=4, pieces=4), ab.AmosOptions(neurons_per_gate=4)]


def curved(name):
    """A module, its images and the network."""
    torch.manual_seed(4)
    module, images = randomise(CURVED[name]()), IMAGES[8, 8, 3]
    return module, images, compare(module, images)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        pytest.param(options, name, marks=[pytest.mark.slow] * isinstance(options, ab.AmosOptions))
        for options in SCHEMES
        for name in CURVED
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_relu_equals_the_reference(options, name):
    """Squeeze and excitation, curves and their max pooling: Brian2 spike for spike."""
    _, images, network = curved(name)
    conversion = ab.convert(network, options, images)
    run = ab.simulate(conversion, images[:2], target="numpy", record=True)
    assert_same(run, ab.reference(conversion, images[:2]))


@pytest.mark.parametrize("name", CURVED)
def test_what_is_no_relu_has_the_logits_of_torch_after_many_steps(name):
    """Scores against the module's logits: nearer with more steps and with more pieces."""
    module, images, network = curved(name)
    images = images[:4]
    expected = logits(module, images)
    left = {}
    for n_steps, pieces in ((64, 16), (64, 2), (8, 16)):
        options = ab.BurstOptions(n_steps=n_steps, pieces=pieces, percentile=100.0)
        conversion = ab.convert(network, options, images)
        scores = ab.reference(conversion, images).scores[:, -1]
        left[n_steps, pieces] = np.abs(centred(scores) - expected).max() / np.ptp(expected)
    assert left[64, 16] < 0.01
    assert left[8, 16] > 3 * left[64, 16]
    assert left[64, 2] > 3 * left[64, 16] or not conversion.fits


def small(*middle, n_mid=4):
    """A convolution, what is to be tested on it, another one and a head for 8x8 images."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), *middle, nn.Conv2d(n_mid, 6, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(96, 5),
    )  # fmt: skip


# Wrong until they were read by tracing


def test_one_relu_used_twice():
    """The example of the issue: the second use is not lost."""
    torch.manual_seed(3)
    r = nn.ReLU()
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), r, nn.Conv2d(4, 6, 3), r, nn.Flatten(), nn.Linear(96, 5)
    )
    network = compare(module, IMAGES[8, 8, 1])
    assert [layer.name for layer in network.layers].count("act2") == 1


def test_tied_block():
    """A block in two places of an nn.Sequential."""
    torch.manual_seed(3)
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    network = compare(randomise(small(block, nn.AvgPool2d(3, 1, 1), block)), IMAGES[8, 8, 1])
    assert sum(isinstance(layer, Conv2D) for layer in network.layers) == 4


def old_weight_norm(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(module)


def pruned(module):
    prune.l1_unstructured(module, "weight", 0.5)
    return module


@pytest.mark.parametrize(
    "change",
    [
        old_weight_norm,
        parametrizations.weight_norm,
        nn.utils.spectral_norm,
        parametrizations.spectral_norm,
        pruned,
    ],
    ids=["weight_norm_hook", "weight_norm", "spectral_norm_hook", "spectral_norm", "pruned"],
)
def test_reparametrised_weights_after_load_state_dict(change):
    """Weights that the forward pass computes from others, which were loaded since."""
    torch.manual_seed(3)
    module, other = (small(nn.ReLU(), change(nn.Conv2d(4, 4, 1))) for _ in range(2))
    state = {name: 1.5 * tensor + 0.1 for name, tensor in other.state_dict().items()}
    for name, tensor in state.items():
        if name.endswith("mask"):
            state[name] = (tensor > 1).float()
    module.load_state_dict(state)
    x = torch.from_numpy((IMAGES[8, 8, 1] / 255 - 0.5) / 0.25).movedim(-1, 1).float()
    with torch.no_grad():
        expected = module.eval()(x).double().numpy()
    network = from_torch(module.train(), IMAGES[8, 8, 1], mean=0.5, std=0.25)
    np.testing.assert_allclose(network.forward(IMAGES[8, 8, 1]), expected, rtol=1e-4, atol=1e-6)


def test_hooks_are_part_of_the_forward_pass():
    """Hooks on a layer, a unit of ours and the whole module, before and after it."""
    torch.manual_seed(3)
    module = small(nn.ReLU(), QCFS(4))
    module[0].register_forward_hook(lambda _module, _args, out: 2 * out - 0.25)
    module[2].register_forward_hook(lambda _module, _args, out: out.flip(1))
    module[3].register_forward_pre_hook(lambda _module, args: (args[0] + 0.5,))
    module.register_forward_hook(lambda _module, _args, out: out * torch.arange(1.0, 6.0))
    compare(module, IMAGES[8, 8, 1])
    assert [len(part._forward_hooks) for part in module] == [1, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("is_nested", [False, True])
def test_data_parallel(is_nested):
    """DataParallel around the module or inside it, with a hook, against torch."""
    torch.manual_seed(3)
    inner = nn.DataParallel(nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1)))
    inner.register_forward_hook(lambda _module, _args, out: out + 1)
    module = small(inner)
    network = compare(module if is_nested else nn.DataParallel(module), IMAGES[8, 8, 1])
    assert network.name == "Sequential"


class Doubled(nn.ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


class Around(nn.Sequential):
    def forward(self, x):
        return x - super().forward(x)


class Twice(nn.Module):
    """A loop, a buffer that the forward pass counts in, and an attribute that it sets."""

    def __init__(self):
        super().__init__()
        self.step = nn.Conv2d(4, 4, 1)
        self.register_buffer("calls", torch.zeros(()))
        self.seen = None

    def forward(self, x):
        self.calls += 1
        for _ in range(2):
            x = self.seen = torch.relu(self.step(x))
        return x


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def four(like):
    return torch.tensor([0.25, -0.5, 1.0, 2.0], dtype=like.dtype)


MASK = torch.tensor([True, False, True, True])[:, None, None]


def tokens(x):
    return x.flatten(2).mT @ four(x).outer(four(x))


def in_place(x):
    y = x.relu_()
    y[:, :1] += 1  # and x with it
    y[:, 2:, :3] = 0
    return x + y


FUNCTIONS = {
    "functional": lambda x: F.relu(x) + F.relu6(3 * x) - torch.tanh(x) / 2,
    "clip": lambda x: x.clamp(-0.1, 0.3) + x.clamp(min=0.1) + x.clamp_max(0.2) + F.hardtanh(2 * x),
    "gates": lambda x: F.hardswish(x) + F.hardsigmoid(x) + x * torch.sigmoid(x) + F.silu(x),
    "exponential": lambda x: F.elu(x, 0.5) + F.selu(x) + F.celu(x, 0.7) + F.softplus(x, beta=2),
    "mish": lambda x: F.mish(x) - F.mish(2 * x),
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "leaky": lambda x: F.leaky_relu(x, 0.3) + F.rrelu(x) + F.threshold(x, 0.1, 0.1) + x.abs(),
    "prelu": lambda x: F.prelu(x, four(x)) + F.prelu(x, four(x)[:1]),
    "extrema": lambda x: torch.maximum(x, -2 * x) + torch.minimum(x, x**2),
    "constants": lambda x: (1 - x) * four(x)[:, None, None] / 3 + 0.1,
    "shuffle": lambda x: F.channel_shuffle(F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2), 2),
    "slices": lambda x: torch.cat([x[:, 2:].flip(2), x[:, :2, :, [1, 0, 2, 3, 3, 5]]], 1),
    "permuted": lambda x: (x.permute(0, 2, 3, 1) @ four(x).outer(four(x) + 1)).movedim(-1, 1),
    "split": lambda x: torch.cat([*x.split([1, 3], 1)[::-1]], 1) + torch.stack(x.unbind(1), 1),
    "padded": lambda x: F.avg_pool2d(F.pad(x, (1, 1, 2, 0)), 3, 1),
    "padded, not counted": lambda x: F.avg_pool2d(F.pad(x, (1, 0, 1, 0)), 2, 1, 0, False, False),
    "wider than the map": lambda x: F.avg_pool2d(x[..., :2], 3, 2, 0, True).repeat(1, 1, 2, 6),
    "reflected": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 1:-1],
    "resized": lambda x: F.interpolate(F.interpolate(x, (9, 4), mode="bilinear"), size=(6, 6)),
    "zeros": lambda x: torch.cat([x[:, :3], x.new_zeros(len(x), 1, 6, 6)], 1) + torch.zeros_like(x),
    "averages": lambda x: x - x.mean((2, 3), True) + x.sum(2, True) + x.mean(1, True),
    "tokens": lambda x: x + tokens(x).relu().mean(1)[..., None, None],
    "flat mean": lambda x: x * x.flatten(2).mean(-1).view(len(x), -1, 1, 1),
    "some means": lambda x: x * x[:, :, 1:4, ::2].flip(1).flatten(2).mean(-1)[..., None, None],
    "larger": lambda x: torch.max(x, -2 * x) + torch.min(x, x**2) + torch.fmax(x, four(x)[0]),
    "smaller": lambda x: torch.fmin(x, 0.3 * x) - torch.max(x, four(x)[:, None, None]),
    "maxima along axes": lambda x: x * x.max(1, keepdim=True)[0] + x.min(2, True).values,
    "maxout": lambda x: x.unflatten(1, (2, 2)).max(2)[0].repeat(1, 2, 1, 1) + x.amin((2, 3), True),
    "pairs": lambda x: x + x.mean((2, 3)).view(-1, 2, 2).amax(2).repeat(1, 2)[..., None, None],
    "laid out": lambda x: F.max_pool2d(x.flatten(1).view(-1, 6, 6, 4).movedim(3, 1), 3, 1, 1) * x,
    "powers": lambda x: x**3 - x.pow(4) + x**1.0,
    "glu": lambda x: F.glu(x, 1).repeat(1, 2, 1, 1) + F.glu(x).repeat(1, 1, 1, 2),
    "log sigmoid": lambda x: F.logsigmoid(x) - F.tanhshrink(x),
    "masks": lambda x: torch.where(MASK, x, x.relu()) + x.masked_fill(MASK, 0.5),
    "mask of one": lambda x: torch.where(MASK[:, 0], 0.25, x[:, :, 0])[:, :, None] + x,
    "limits": lambda x: torch.clamp(x, -four(x)[:, None, None].abs(), x.relu()) + x.clip(-1, 0.2),
    "products": lambda x: torch.addcmul(x, x, x.relu(), value=2) + torch.addcdiv(x, x, four(x)[3]),
    "between": lambda x: torch.lerp(x, x.relu(), 0.3) + torch.lerp(four(x)[0], four(x)[1], x),
    "maxima": lambda x: x + F.adaptive_max_pool2d(x, 1) + x.amax((2, 3), keepdim=True),
    "ceil": lambda x: F.pad(F.avg_pool2d(x, 4, 3, ceil_mode=True), (0, 4, 4, 0)),
    "divisor": lambda x: F.avg_pool2d(x, 3, 1, 1, divisor_override=2),
    "in_place": in_place,
    "type": lambda x: x.to(x.dtype).type_as(x).contiguous().detach().clone(),
    "einops": lambda x: x.unflatten(1, (2, 2)).permute(0, 2, 1, 3, 4).flatten(1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_equals_torch(name):
    """Functions, operators and methods on a map between two convolutions, against torch."""
    compare(small(Calls(FUNCTIONS[name])), IMAGES[8, 8, 1])


@pytest.mark.parametrize(
    "middle",
    [
        (Doubled(),),
        (Around(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh()),),
        (Twice(),),
        (nn.Identity(), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.FeatureAlphaDropout()),
        (nn.Unflatten(1, (2, 2)), nn.Flatten(1, 2)),
        (nn.Conv2d(4, 4, 3, dilation=2, padding=2, padding_mode="reflect"),),
        (nn.Conv2d(4, 4, (2, 4), padding="same"),),
        (nn.MaxPool2d(2, 1, ceil_mode=True), nn.ZeroPad2d((1, 0, 0, 1))),
        (nn.Upsample(scale_factor=2), nn.MaxPool2d(2)),
        (nn.Softplus(), nn.LeakyReLU(0.2), nn.PReLU(4), nn.ELU(), nn.Hardswish(), nn.ReLU6()),
    ],
    ids=lambda value: type(value[0]).__name__,
)
def test_module_equals_torch(middle):
    """Modules, and classes made from them, against torch."""
    compare(small(*middle), IMAGES[8, 8, 1])


def test_binary_convolution_behind_a_parametrisation():
    """Signs of weights that weight norm computes, with padding in words, against torch."""
    torch.manual_seed(3)
    layer = BinaryConv2d(4, 4, (3, 2), padding="same", is_binary=True)
    compare(small(nn.ReLU(), parametrizations.weight_norm(layer)), IMAGES[8, 8, 1])


def test_the_module_is_left_as_it_was():
    """Mode, hooks, parameters, gradients, attributes, buffers and random numbers stay."""
    torch.manual_seed(3)
    module = small(Twice(), old_weight_norm(nn.Conv2d(4, 4, 1)), NoisySpike(), QCFS(3))
    module[1].eval()
    module[0].weight.requires_grad_(False)
    handle = module[0].register_forward_hook(lambda _module, _args, out: out + 1)
    module(torch.rand(2, 1, 8, 8)).sum().backward()
    kept = {
        path: {name: value for name, value in vars(part).items()}
        for path, part in module.named_modules()
    }
    tensors = {
        name: (t, t.detach().clone()) for name, t in module.state_dict(keep_vars=True).items()
    }
    gradients = {
        name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None
    }
    state = torch.get_rng_state()
    from_torch(module, IMAGES[8, 8, 1])
    assert torch.equal(torch.get_rng_state(), state)
    for path, part in module.named_modules():
        assert vars(part).keys() == kept[path].keys()
        assert all(vars(part)[name] is value for name, value in kept[path].items())
    for name, tensor in module.state_dict(keep_vars=True).items():
        assert tensor is tensors[name][0] and torch.equal(tensor, tensors[name][1])
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad == (name != "0.weight")
        assert parameter.grad is None or torch.equal(parameter.grad, gradients[name])
    assert module.training and not module[1].training and module[1].calls == 1
    handle.remove()
    assert not module[0]._forward_hooks
    assert torch.is_grad_enabled()


def test_a_failing_module_is_left_as_it_was():
    """Units and mode after a refusal."""
    module = small(QCFS(4), nn.GroupNorm(1, 4))
    with pytest.raises(ValueError, match="GroupNorm"):
        from_torch(module, IMAGES[8, 8, 1])
    assert all(part.training and "forward" not in vars(part) for part in module.modules())
    assert not nn.modules.module._global_forward_hooks


def test_what_the_logits_do_not_need_is_not_read():
    """A second head that nobody uses may hold anything."""

    class WithAuxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = (
                nn.Conv2d(1, 4, 3),
                nn.GroupNorm(1, 4),
                nn.Linear(144, 5),
            )

        def forward(self, x):
            x = self.conv(x)
            self.norm(x)
            return self.fc(x.relu().flatten(1))

    torch.manual_seed(3)
    compare(WithAuxiliary(), IMAGES[8, 8, 1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_of_the_weights(dtype):
    """Modules in double and in half precision against their weights in float64."""
    compare(small(nn.ReLU()).to(dtype), IMAGES[8, 8, 1])


def test_wrong_rule_is_caught(monkeypatch):
    """A layer that is read wrongly against the message that names it, not a later one."""
    from ann2brian.models.pytorch import operations

    monkeypatch.setitem(operations.RULES, "relu", lambda to, x: to.activation(x, "silu"))
    message = r"module 1 \(ReLU\), relu: Activation 'act1' differs from the framework by"
    with pytest.raises(ValueError, match=message):
        from_torch(small(nn.ReLU()), IMAGES[8, 8, 1])


def test_graph_gives_the_modules_logits():
    """Values of the traced graph, as the module computes and exactly, against the module."""
    module = small(QCFS(4))
    x = torch.rand(2, 1, 8, 8)
    with evaluated(module):
        graph = trace(module, x)
        assert torch.equal(graph.values(x, exact=False)[graph.output], module(x))
        exact = graph.values(x, exact=True)[graph.output]
        assert exact.dtype == torch.float64
        torch.testing.assert_close(exact.float(), module(x), rtol=1e-4, atol=1e-5)


def test_logits_of_a_probability_are_noted():
    """A softmax at the end against the warning, and the logits before it."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Softmax(1))
    with pytest.warns(UserWarning, match="softmax at the end is left out"):
        network = from_torch(module, IMAGES[8, 8, 1])
    expected = logits(module[:2], IMAGES[8, 8, 1], 0, 1)
    np.testing.assert_allclose(centred(network.forward(IMAGES[8, 8, 1])), expected, atol=1e-9)


def test_names_and_coding():
    """Classes and name by default and as given; coding as given and as stated."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    coding = InputCoding((8, 8, 1), 255, [4 / 255], [-2.0])
    network = from_torch(module, input=coding)
    assert (network.name, network.classes, network.input) == ("Sequential", ("0", "1", "2"), coding)
    network = from_torch(module, IMAGES[8, 8, 1], mean=[0.5], std=[0.25], classes="abc", name="n")
    assert (network.name, network.classes) == ("n", ("a", "b", "c"))
    assert (network.input.gain, network.input.offset) == (coding.gain, coding.offset)
    with pytest.raises(ValueError, match=r"a sequence of 3 str .*, got 2: 'ab'"):
        from_torch(module, input=coding, classes="ab")
