"""Random modules for property tests of the import."""

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn


class Drawn(nn.Module):
    """Steps one after the other, each a module or a function.

    Parameters
    ----------
    steps : list of callable
        Those that are modules are registered.
    """

    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.parts = nn.ModuleList(step for step in steps if isinstance(step, nn.Module))

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


class Function(nn.Module):
    """A function of the input and of modules that are its parts."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return self.function(x, *self.parts)


def _shape(step, shape):
    """Shape after a step, without the batch; None if it does not run or gives too much."""
    if isinstance(step, nn.Module):
        step.eval()
    try:
        with torch.no_grad():
            out = step(torch.zeros(2, *shape))
    except (RuntimeError, ValueError):
        return None
    return tuple(out.shape[1:]) if 0 < out[0].numel() <= 2000 else None


ACTIVATIONS = {
    "relu": (nn.ReLU, F.relu),
    "relu in place": (lambda: nn.ReLU(inplace=True), lambda x: x.clone().relu_()),
    "relu6": (nn.ReLU6, F.relu6),
    "leaky": (lambda: nn.LeakyReLU(0.1), lambda x: F.leaky_relu(x, 0.3)),
    "silu": (nn.SiLU, lambda x: x * torch.sigmoid(x)),
    "gelu": (nn.GELU, lambda x: F.gelu(x, approximate="tanh")),
    "tanh": (nn.Tanh, torch.tanh),
    "elu": (nn.ELU, lambda x: F.elu(x, 0.7)),
    "hardswish": (nn.Hardswish, F.hardswish),
    "hardsigmoid": (nn.Hardsigmoid, F.hardsigmoid),
    "softplus": (nn.Softplus, lambda x: F.softplus(x, beta=2)),
    "clamp": (lambda: nn.Hardtanh(-0.5, 0.75), lambda x: x.clamp(-0.25, 1)),
}


@st.composite
def _convolution(draw, shape, n_out=None, keeps_size=False):
    """A convolution of one or two dimensions, as a module or as a function."""
    n_axes, channels = len(shape) - 1, shape[0]
    groups = draw(st.sampled_from([g for g in (1, 1, 2, channels) if channels % g == 0]))
    if n_out is None:
        n_out = groups * draw(st.integers(1, max(1, 8 // groups)))
    groups = groups if n_out % groups == 0 else 1

    def numbers(*choices):
        if draw(st.booleans()):
            return draw(st.sampled_from(choices))
        return tuple(draw(st.sampled_from(choices)) for _ in range(n_axes))

    size, dilation = numbers(1, 2, 3), numbers(1, 1, 2)
    if keeps_size:
        stride, padding = 1, "same"
    else:
        stride = numbers(1, 1, 2, 3)
        padding = draw(st.sampled_from([0, 1, 2, "valid", tuple(range(1, n_axes + 1))]))
    kind, function = (nn.Conv1d, F.conv1d) if n_axes == 1 else (nn.Conv2d, F.conv2d)
    module = kind(
        channels, n_out, size, stride=stride, padding=padding, dilation=dilation, groups=groups,
        bias=draw(st.booleans()),
    )  # fmt: skip
    if draw(st.booleans()):
        return module

    def call(x, own):
        return function(x, own.weight, own.bias, stride, padding, dilation, groups)

    return Function(call, module)


@st.composite
def _activation(draw):
    make, function = ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))]
    return make() if draw(st.booleans()) else function


@st.composite
def _norm(draw, shape):
    norm = (nn.BatchNorm1d if len(shape) < 3 else nn.BatchNorm2d)(
        shape[0], affine=draw(st.booleans()), eps=draw(st.sampled_from([1e-5, 1e-3]))
    )
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.3, 3.0)
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm


@st.composite
def _pooling(draw, shape):
    n_axes = len(shape) - 1
    name = draw(st.sampled_from(["max", "avg", "adaptive"]))
    if name == "adaptive":
        size = tuple(draw(st.integers(1, extent)) for extent in shape[1:])
        kind = draw(st.sampled_from(["avg", "max"]))
        function = getattr(F, f"adaptive_{kind}_pool{n_axes}d")
        module = getattr(nn, f"Adaptive{kind.title()}Pool{n_axes}d")
        return draw(st.sampled_from([module(size), lambda x: function(x, size)]))
    size = draw(st.integers(2, 3))
    options = {
        "stride": draw(st.sampled_from([None, 1, 2, 3])),
        "padding": draw(st.integers(0, size // 2)),
        "ceil_mode": draw(st.booleans()),
    }
    if name == "avg":
        options["count_include_pad"] = draw(st.booleans())
    function = getattr(F, f"{name}_pool{n_axes}d")
    module = getattr(nn, f"{name.title()}Pool{n_axes}d")
    if draw(st.booleans()):
        return module(size, **options)
    return lambda x: function(x, size, **options)


@st.composite
def _moving(draw, shape):
    """What moves, selects or repeats entries."""
    channels = shape[0]
    choices = [
        lambda x: x.flip(-1),
        lambda x: x[..., ::2],
        lambda x: x[:, : max(1, channels // 2)],
        lambda x: F.pad(x, (1, 2)),
        lambda x: x.roll(1, 1),
        lambda x: x.transpose(1, -1).contiguous().transpose(1, -1),
        lambda x: x.unsqueeze(2).squeeze(2),
        nn.Dropout(0.3),
        nn.Identity(),
    ]
    if len(shape) == 3:
        choices += [
            nn.ZeroPad2d((0, 1, 2, 0)),
            nn.ReflectionPad2d(1),
            nn.Upsample(scale_factor=2),
            nn.ChannelShuffle(2 if channels % 2 == 0 else 1),
            lambda x: x.transpose(2, 3),
            lambda x: x.flatten(2).unflatten(2, x.shape[2:]),
        ]
    return draw(st.sampled_from(choices))


@st.composite
def _branching(draw, shape, held):
    """Sums, concatenations, products and shared modules."""
    channels = shape[0]
    name = draw(st.sampled_from(["residual", "cat", "gate", "shared", "constant", "tied"]))
    if name == "constant":
        scale = torch.linspace(0.5, 1.5, channels).reshape(-1, *(1,) * (len(shape) - 1))
        return draw(st.sampled_from([lambda x: x * scale.to(x) - 0.25, lambda x: 1 - x / 3]))
    if name == "gate":
        squeeze = nn.Linear(channels, channels)

        def gated(x, own):
            s = torch.sigmoid(own(x.flatten(2).mean(-1)))
            return x * s.view(*s.shape, *(1,) * (x.ndim - 2))

        return Function(gated, squeeze)
    conv = draw(_convolution(shape, n_out=channels, keeps_size=True))
    act = draw(_activation())
    if name == "residual":
        return Function(lambda x, own: act(own(x) + x), conv)
    if name == "cat":
        other = draw(_convolution(shape, keeps_size=True))
        return Function(lambda x, own, two: torch.cat([own(x), x, two(x)], 1), conv, other)
    if name == "tied":
        return Function(lambda x, own: own(act(own(x))), conv)
    for known_shape, module in held:
        if known_shape == shape:
            return module
    held.append((shape, conv))
    return conv


@st.composite
def _head(draw, shape, n_classes):
    """From a map or a vector to logits."""
    channels = shape[0]
    if len(shape) == 1:
        return nn.Linear(channels, n_classes)
    n = torch.Size(shape).numel()
    axes = tuple(range(2, len(shape) + 1))
    choice = draw(st.sampled_from(["flatten", "view", "gap", "dense on places"]))
    if choice == "flatten":
        return nn.Sequential(nn.Flatten(), nn.Linear(n, n_classes))
    if choice == "view":
        hidden = nn.Sequential(
            nn.Linear(n, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, n_classes)
        )
        return Function(lambda x, own: own(x.reshape(x.size(0), -1)), hidden)
    if choice == "gap":
        return Function(lambda x, own: own(x.mean(axes)), nn.Linear(channels, n_classes))
    per_place = nn.Linear(channels, n_classes)
    return Function(lambda x, own: own(x.movedim(1, -1)).flatten(1, -2).mean(1), per_place)


@st.composite
def drawn_modules(draw, n_classes=3):
    """A module of random steps in float64, and the shape (H, W, C) of its images."""
    kind = draw(st.sampled_from(["map", "map", "map", "sequence", "vector"]))
    channels = draw(st.integers(1, 4))
    rows, columns = draw(st.integers(4, 9)), draw(st.integers(4, 9))
    shape = {"map": (channels, rows, columns), "sequence": (channels, 4 * columns)}.get(kind, (8,))
    image = {3: (rows, columns, channels), 2: (1, 4 * columns, channels), 1: (1, 1, 8)}[len(shape)]
    torch.manual_seed(draw(st.integers(0, 2**16)))
    steps, held = [], []
    for _ in range(draw(st.integers(1, 7))):
        if len(shape) == 1:
            step = draw(
                st.one_of(
                    st.builds(nn.Linear, st.just(shape[0]), st.integers(1, 9)),
                    _activation(),
                    _norm(shape),
                )
            )
        else:
            step = draw(
                st.one_of(
                    _convolution(shape),
                    _convolution(shape),
                    _activation(),
                    _norm(shape),
                    _pooling(shape),
                    _moving(shape),
                    _branching(shape, held),
                )
            )
        after = _shape(step, shape)
        if after is not None:
            steps.append(step)
            shape = after
    steps.append(draw(_head(shape, n_classes)))
    if draw(st.booleans()) and all(isinstance(step, nn.Module) for step in steps):
        module = nn.Sequential(*steps)
    else:
        module = Drawn(steps)
    return module.double(), image
