"""Estimates, choice and direct optimisation of binary layers against what is done by hand."""

import copy
import io
import math

import numpy as np
import pytest

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.models.pytorch.binary_conv import BinaryConv2d
from ann2brian.models.schemes.albsnn import training as binarisation
from ann2brian.models.schemes.albsnn.training import (
    ESTIMATES,
    Binarisation,
    Binariser,
    binary_layers,
    choose,
    estimate,
    recalibrate,
)
from ann2brian.studies.training.architectures import gap_net
from torch import nn

NAMES = ("conv1", "conv2", "conv3")
cross_entropy = nn.CrossEntropyLoss()


def net(pattern="rbr", seed=0):
    """Two spiking layers and a head, in double precision, with statistics that are not trivial."""
    torch.manual_seed(seed)
    module = gap_net((4, 3, 2), (6, 3, 1), n_in=2, n_classes=3).double()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1, 0.3)
            nn.init.normal_(part.bias, 0.5, 0.3)
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            part.num_batches_tracked.fill_(7)
    for layer, letter in zip(binary_layers(module).values(), pattern, strict=True):
        layer.is_binary.fill_(letter == "b")
    return module


def probe(n=20, seed=1):
    torch.manual_seed(seed)
    return torch.randn(n, 2, 6, 6).double(), torch.randint(0, 3, (n,))


def signs_and_scale(w):
    """W_hat of latent weights, in NumPy."""
    return np.where(w >= 0, 1.0, -1.0) * np.abs(w).mean(axis=(1, 2, 3), keepdims=True)


def plain(module, modes):
    """A copy with PyTorch's own convolutions, which hold what a layer of that mode computes with.

    Its batch normalisation is in training mode, that is on statistics of the batch.
    """
    found = copy.deepcopy(module).train()
    for name, is_binary in modes.items():
        old = getattr(found, name)
        new = nn.Conv2d(
            old.in_channels,
            old.out_channels,
            old.kernel_size,
            old.stride,
            old.padding,
            bias=False,
        ).double()
        w = old.weight.detach().numpy()
        with torch.no_grad():
            new.weight.copy_(torch.from_numpy(signs_and_scale(w) if is_binary else w))
        setattr(found, name, new)
    return found


def name_index(module, name):
    return list(dict(module.named_children())).index(name)


def modes_of(module):
    return {name: bool(layer.is_binary) for name, layer in binary_layers(module).items()}


# ---- estimates ----


@pytest.mark.parametrize("pattern", ["rrr", "bbb", "rbr", "brb"])
def test_loss_rise_is_that_of_two_networks(pattern):
    """Loss rise of each layer against the losses of two networks made by hand; errors likewise."""
    module = net(pattern)
    x, y = probe()
    found = estimate(module, x, y, cross_entropy)
    assert list(found) == list(NAMES)
    modes = modes_of(module)
    for name in NAMES:
        losses = [
            cross_entropy(plain(module, modes | {name: is_binary})(x), y).item()
            for is_binary in (False, True)
        ]
        assert found[name]["loss_rise"] == pytest.approx(losses[1] - losses[0], abs=1e-12)
        assert abs(losses[1] - losses[0]) > 1e-4
        w = getattr(module, name).weight.detach().numpy()
        w_hat = signs_and_scale(w)
        error = ((w - w_hat) ** 2).sum() / (w**2).sum()
        assert found[name]["weight_error"] == pytest.approx(error, rel=1e-9)
        whole, index = plain(module, modes), name_index(module, name)
        with torch.no_grad():
            s = whole[:index](x)  # what the layer sees in the network as it is
            out = [plain(module, {name: is_binary})[index](s) for is_binary in (False, True)]
        error = ((out[1] - out[0]) ** 2).sum() / (out[0] ** 2).sum()
        assert found[name]["output_error"] == pytest.approx(error.item(), rel=1e-9)


class Linear(nn.Module):
    """Two layers without anything between them, so that every loss of the logits' kind is linear
    in the weights of either."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.first = BinaryConv2d(2, 5, 3, padding=1)
        self.second = BinaryConv2d(5, 3, 2, stride=2)

    def forward(self, x):
        return self.second(self.first(x))


@pytest.mark.parametrize("pattern", ["rr", "rb", "br", "bb"])
def test_first_order_is_exact_for_a_linear_loss(pattern):
    """V8: the dot product against the difference of losses, to 1e-9, from either mode."""
    module = Linear().double()
    for layer, letter in zip(binary_layers(module).values(), pattern, strict=True):
        layer.is_binary.fill_(letter == "b")
    x, y = probe()
    weights = torch.randn(20, 3, 3, 3).double()
    found = estimate(module, x, y, lambda logits, _: (weights * logits).sum())
    for values in found.values():
        assert abs(values["loss_rise"]) > 0.1
        assert values["first_order"] == pytest.approx(values["loss_rise"], abs=1e-9)


def test_first_order_is_close_for_a_small_change():
    """The dot product against the loss rise where both kinds of weights nearly agree."""
    module = net("rrr")
    with torch.no_grad():
        for layer in binary_layers(module).values():
            layer.weight.copy_(0.3 * layer.weight.sign() + 1e-4 * layer.weight)
    module[name_index(module, "spike1")] = nn.Tanh()
    module[name_index(module, "spike2")] = nn.Tanh()
    for values in estimate(module, *probe(), cross_entropy).values():
        assert values["first_order"] == pytest.approx(values["loss_rise"], rel=1e-2)


def everything_of(module):
    """All that an estimate must leave as it was."""
    return (
        {name: value.clone() for name, value in module.state_dict().items()},
        [part.training for part in module.modules()],
        [getattr(part, "momentum", None) for part in module.modules()],
        [p.grad is None for p in module.parameters()],
        [len(part._forward_pre_hooks) for part in module.modules()],
    )


def assert_equal(after, before):
    assert after[1:] == before[1:]
    changed = [name for name in before[0] if not torch.equal(after[0][name], before[0][name])]
    assert not changed


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("pattern", ["rbr", "brb"])
def test_estimating_changes_nothing(pattern, is_training):
    """Modes, weights, running averages, counters, gradients and hooks after it against before."""
    module = net(pattern).train(is_training)
    before = everything_of(module)
    estimate(module, *probe(), cross_entropy)
    assert_equal(everything_of(module), before)
    with pytest.raises(RuntimeError):
        estimate(module, torch.zeros(4, 3, 6, 6).double(), torch.zeros(4).long(), cross_entropy)
    assert_equal(everything_of(module), before)


def test_estimates_take_the_statistics_of_the_batch():
    """Estimates under other running averages, and in evaluation mode, against each other."""
    module, (x, y) = net(), probe()
    first = estimate(module, x, y, cross_entropy)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.fill_(3)
                part.running_var.fill_(20)
    assert estimate(module, x, y, cross_entropy) == first
    assert estimate(module.eval(), x, y, cross_entropy) == first
    other = estimate(module, x[:10], y[:10], cross_entropy)
    assert other["conv1"]["loss_rise"] != first["conv1"]["loss_rise"]


# ---- choice ----


def test_two_rounds_of_hysteresis():
    """V7: modes after two rounds with given rises against pen and paper."""
    options = Binarisation(eps_on=0.1, eps_off=0.2)
    modes = dict.fromkeys("abcdefgh", False) | dict.fromkeys("efgh", True)
    first = {"a": 0.09, "b": 0.1, "c": 0.15, "d": -2.0, "e": 0.15, "f": 0.2, "g": 0.21, "h": -1.0}
    modes = choose(first, modes, options)
    assert "".join(name for name in modes if modes[name]) == "adefh"  # b is not below, f not above
    second = {"a": 0.19, "b": 0.11, "c": 0.0, "d": 0.3, "e": 0.1, "f": 5.0, "g": 0.2, "h": 0.2}
    modes = choose(second, modes, options)
    assert "".join(name for name in modes if modes[name]) == "aceh"


def test_between_the_thresholds_nothing_changes():
    """Modes under rises from one threshold to the other against themselves."""
    options = Binarisation(eps_on=0.12, eps_off=0.25)
    for rise in np.linspace(0.12, 0.25, 14):
        for is_binary in (False, True):
            assert choose({"a": rise}, {"a": is_binary}, options) == {"a": is_binary}


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (0.0, "d"),
        (0.04, "d"),
        (0.05, "db"),
        (0.3, "dbc"),
        (0.54, "dbc"),
        (0.56, "dbca"),
        (9, "dbca"),
    ],
)
def test_budget(budget, chosen):
    """Layers in ascending order of their rise while the sum stays within; a gain adds nothing."""
    rises = {"a": 0.25, "b": 0.05, "c": 0.25 - 1e-9, "d": -0.5}
    for is_binary in (False, True):
        found = choose(rises, dict.fromkeys(rises, is_binary), Binarisation(budget=budget))
        assert found == {name: name in chosen for name in rises}


@pytest.mark.parametrize(
    ("options", "binary"),
    [
        ({"variant": "none"}, ()),
        ({"variant": "all"}, NAMES),
        ({"variant": "fixed", "layers": ("conv3", "conv1")}, ("conv1", "conv3")),
        ({"variant": "estimated"}, ()),
    ],
)
def test_variants(options, binary, monkeypatch):
    """Modes at the start against the variant's; and at the end, whatever the estimates are."""
    module = net("bbr")
    binariser = Binariser(module, Binarisation(**options), 4)
    assert modes_of(module) == {name: name in binary for name in NAMES}
    given(monkeypatch, dict.fromkeys(range(4), dict.fromkeys(NAMES, -1.0)))
    run_epochs(binariser, 1)
    chosen = NAMES if options["variant"] == "estimated" else binary
    assert modes_of(module) == {name: name in chosen for name in NAMES}


def test_unknown_layers_are_refused():
    """A layer that cannot be binary, and one that is not there, against the message."""
    for name in ("norm1", "conv9"):
        with pytest.raises(ValueError, match=f"no layer '{name}' that .* are conv1, conv2, conv3"):
            Binariser(net(), Binarisation(variant="fixed", layers=("conv1", name)), 4)


def given(monkeypatch, rises):
    """Let estimates be those given, round by round; returns the networks' modes when asked."""
    rounds = iter(rises.values())

    def answer(module, x, y, loss_of):
        return {
            name: dict.fromkeys(ESTIMATES, 0.5) | {"loss_rise": rise}
            for name, rise in next(rounds).items()
        }

    monkeypatch.setattr(binarisation, "estimate", answer)


def run_epochs(binariser, n, start=0):
    x, y = probe(8)
    for epoch in range(start, start + n):
        binariser.start_epoch(epoch)
        binariser.end_epoch(epoch, x, y, cross_entropy)


def history_of(binariser, name):
    return [row["is_binary"] for row in binariser.history if row["layer"] == name]


@pytest.mark.parametrize(
    ("n_epochs", "frozen_part", "n_frozen", "first"),
    [
        (8, 0.25, 2, "rbrbrbr"),  # the last letter is the mode that stands
        (8, 0.0, 1, "rbrbrbrb"),
        (5, 0.6, 3, "rbr"),
        (5, 1.0, 4, "rb"),
        (1, 0.0, 1, "r"),
    ],
)
def test_frozen_rounds_change_nothing(n_epochs, frozen_part, n_frozen, first, monkeypatch):
    """Modes under estimates that ask for the opposite in each round: they follow, then stand.

    The choice is never changed after the last epoch, as no training would follow.
    """
    module = net("rrr")
    options = Binarisation(frozen_part=frozen_part, optimised_part=0.0)
    binariser = Binariser(module, options, n_epochs)
    rises = {e: dict.fromkeys(NAMES, 9.0 if e % 2 else -9.0) for e in range(n_epochs)}
    given(monkeypatch, rises)
    run_epochs(binariser, n_epochs)
    modes = history_of(binariser, "conv2")
    assert modes[: len(first)] == [letter == "b" for letter in first]
    assert len({*modes[n_epochs - n_frozen :], modes_of(module)["conv2"]}) == 1
    assert len(modes) == n_epochs


def test_history_holds_estimates_and_modes(monkeypatch):
    """Rows of a history against the estimates given, and the modes of the epoch they are of."""
    module = net("rrr")
    binariser = Binariser(module, Binarisation(optimised_part=0.0), 8)
    given(
        monkeypatch,
        {
            0: {"conv1": 0.3, "conv2": 0.0, "conv3": 0.11},
            1: {"conv1": 0.2, "conv2": 0.2, "conv3": 0.3},
            2: {"conv1": 0.0, "conv2": 0.26, "conv3": 0.2},
        },
    )
    run_epochs(binariser, 3)
    columns = ("epoch", "layer", "is_binary", "loss_rise")
    assert [tuple(row[c] for c in columns) for row in binariser.history] == [
        (1, "conv1", False, 0.3), (1, "conv2", False, 0.0), (1, "conv3", False, 0.11),
        (2, "conv1", False, 0.2), (2, "conv2", True, 0.2), (2, "conv3", True, 0.3),
        (3, "conv1", False, 0.0), (3, "conv2", True, 0.26), (3, "conv3", False, 0.2),
    ]  # fmt: skip
    assert {row["weight_error"] for row in binariser.history} == {0.5}
    assert modes_of(module) == {"conv1": True, "conv2": False, "conv3": False}


def test_estimates_are_of_the_probe():
    """History of a real round against `estimate` called before it."""
    module, (x, y) = net("rrr"), probe()
    expected = estimate(module, x, y, cross_entropy)
    binariser = Binariser(module, Binarisation(), 8)
    binariser.end_epoch(0, x, y, cross_entropy)
    for row in binariser.history:
        assert {name: row[name] for name in ESTIMATES} == expected[row["layer"]]


# ---- direct optimisation ----


class One(nn.Module):
    """One binary weight, or a few; the loss is a weighted sum of them."""

    def __init__(self, n=1, w=0.5):
        super().__init__()
        self.conv = BinaryConv2d(1, n, 1)
        self.head = nn.Parameter(torch.ones(2, 2))
        with torch.no_grad():
            self.conv.weight.fill_(w)


def optimised(n=1, **options):
    module = One(n)
    options = {"variant": "all", "optimised_part": 1.0, **options}
    binariser = Binariser(module, Binarisation(**options), 1)
    binariser.start_epoch(0)
    assert (module.conv.weight == 1).all()
    return module, binariser


def step(module, binariser, gradients):
    module.conv.weight.grad = torch.tensor(gradients).reshape(-1, 1, 1, 1)
    n_flipped = binariser.before_step()
    assert module.conv.weight.grad is None  # nothing for the optimiser
    return n_flipped


@pytest.mark.parametrize("size", [1e-4, 1.0, 300.0])
@pytest.mark.parametrize(("memory", "threshold"), [(0.9, 0.5), (0.99, 0.5), (0.5, 0.8), (0.9, 0.0)])
def test_constant_gradient_flips_a_weight_once(memory, threshold, size):
    """Step of the flip against the closed form: mean over root mean square is sqrt(1 - beta^n).

    Then the weight stays, as does one which the gradient does not oppose.
    """
    module, binariser = optimised(2, flip_memory=memory, flip_threshold=threshold)
    flips = [step(module, binariser, [size, -size]) for _ in range(300)]
    n = math.floor(math.log(1 - threshold**2) / math.log(memory)) + 1
    assert flips == [int(i == n - 1) for i in range(300)]
    assert module.conv.weight.ravel().tolist() == [-1, 1]


def test_gradient_that_turns_flips_the_weight_back():
    """A weight under a gradient of one sign, then of the other: two flips, and which way."""
    module, binariser = optimised(flip_memory=0.9)
    for sign in (1.0, -1.0):
        assert sum(step(module, binariser, [sign]) for _ in range(100)) == 1
        assert module.conv.weight.item() == -sign


def test_alternating_gradient_never_flips():
    """A weight whose gradient changes sign in every step against where it was."""
    for memory in (0.9, 0.99):
        module, binariser = optimised(flip_memory=memory)
        assert not any(step(module, binariser, [(-1.0) ** i]) for i in range(1000))
        assert module.conv.weight.item() == 1


def test_means_start_anew_after_a_flip():
    """Gradients of one sign, then as many of the other, against the count without that memory."""
    module, binariser = optimised(flip_memory=0.9)
    n = 3  # sqrt(1 - 0.9**3) > 0.5
    flips = [step(module, binariser, [g]) for g in [1.0] * n + [-1.0] * n]
    assert flips == [0, 0, 1] * 2


def test_optimiser_does_not_move_binary_weights():
    """A real training of one binary weight: it only flips, whatever decay and rate there are."""
    module, binariser = optimised(flip_memory=0.9)
    optimiser = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.5)
    found = []
    for _ in range(6):
        optimiser.zero_grad(set_to_none=True)
        out = module.conv(torch.full((1, 1, 1, 1), 2.0))
        (out.sum() + module.head.square().sum()).backward()
        assert module.conv.weight.grad.item() == 1.0  # a scale of 0.5 times 2
        binariser.before_step()
        optimiser.step()
        binariser.after_step()
        found.append(module.conv.weight.item())
    assert found == [1, 1, -1, -1, -1, -1]
    assert (module.head < 0.9).all()


def test_phase_begins_in_time_and_keeps_the_function(monkeypatch):
    """Epoch of the first fixed scale against the options; real layers go on as they were."""
    module = net("rrr")
    binariser = Binariser(module, Binarisation(optimised_part=0.25, frozen_part=0.25), 8)
    given(monkeypatch, {e: {"conv1": 9.0, "conv2": -9.0, "conv3": 9.0} for e in range(8)})
    x, _ = probe()
    for epoch in range(8):
        before = module.eval()(x)
        binariser.start_epoch(epoch)
        torch.testing.assert_close(module(x), before, rtol=1e-12, atol=1e-12)
        fixed = [layer.is_scale_fixed for layer in binariser.layers.values()]
        assert fixed == [False, epoch >= 6, False]
        binariser.end_epoch(epoch, *probe(), cross_entropy)
    last = [row for row in binariser.history if row["epoch"] > 6]
    assert len(last) == 6
    assert history_of(binariser, "conv2") == [False] + [True] * 7
    real = binariser.layers["conv1"]
    real.weight.grad = torch.ones_like(real.weight)
    w = real.weight.clone()
    assert binariser.before_step() == 0
    assert torch.equal(real.weight, w) and real.weight.grad is not None


def test_signs_alone_have_no_estimate():
    """A layer whose signs are optimised directly has no real weights; the others are estimated."""
    module = net("rbr")
    x, y = probe()
    before = estimate(module, x, y, cross_entropy)
    module.get_submodule("conv2").fix_scale()
    found = estimate(module, x, y, cross_entropy)
    assert all(math.isnan(found["conv2"][name]) for name in ESTIMATES)
    for layer in ("conv1", "conv3"):
        assert found[layer] == pytest.approx(before[layer], rel=1e-9)
    for layer in binary_layers(module).values():
        layer.is_binary.fill_(True)
        layer.fix_scale()
    found = estimate(module, x, y, cross_entropy)
    assert all(math.isnan(value) for own in found.values() for value in own.values())


def test_choice_stands_while_signs_are_optimised(monkeypatch):
    """A direct optimisation that begins before the frozen epochs: real layers stay real."""
    module = net("rrr")
    binariser = Binariser(module, Binarisation(optimised_part=0.75, frozen_part=0.25), 8)
    rises = {e: {"conv1": 9.0, "conv2": -9.0, "conv3": -9.0} for e in range(8)}
    rises |= {e: dict.fromkeys(NAMES, -9.0) for e in range(2, 8)}  # conv1 too late
    given(monkeypatch, rises)
    run_epochs(binariser, 8)
    assert history_of(binariser, "conv1") == [False] * 8
    for name in ("conv2", "conv3"):
        assert history_of(binariser, name) == [False] + [True] * 7
    assert not modes_of(module)["conv1"]


def test_never_optimised_without_a_part():
    """The first version of the paper: latent weights to the end."""
    module = net("bbb")
    binariser = Binariser(module, Binarisation(variant="all", optimised_part=0.0), 10)
    for epoch in range(10):
        binariser.start_epoch(epoch)
    assert not any(layer.is_scale_fixed for layer in binariser.layers.values())


def test_state_goes_on_where_it_was():
    """Flips and history of a binariser that was saved and loaded against one that was not."""
    module, binariser = optimised(3, flip_memory=0.9)
    turning = torch.sin(torch.arange(60)[:, None] / 4 + torch.arange(3))
    gradients = turning + 0.2 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    for g in gradients[:11].tolist():
        step(module, binariser, g)
    binariser.history.append({"epoch": 1, "layer": "conv", "is_binary": True, "loss_rise": 0.5})
    file = io.BytesIO()
    torch.save([module.state_dict(), binariser.state_dict()], file)
    file.seek(0)
    other = One(3)
    resumed = Binariser(other, Binarisation(variant="all", optimised_part=1.0, flip_memory=0.9), 1)
    weights, state = torch.load(file, weights_only=True)
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    resumed.start_epoch(0)
    pairs = (module, binariser), (other, resumed)
    flips = [[step(m, b, g) for g in gradients[11:].tolist()] for m, b in pairs]
    assert flips[0] == flips[1]
    assert sum(flips[0]) > 3
    assert torch.equal(module.conv.weight, other.conv.weight)
    assert resumed.history == binariser.history


# ---- latent weights and statistics ----


def test_only_latent_weights_of_binary_layers_are_clipped():
    """Weights of both kinds of layers after a step against those before, clipped or not."""
    module = net("rbr")
    binariser = Binariser(module, Binarisation(variant="fixed", layers=("conv2",)), 4)
    with torch.no_grad():
        for layer in binariser.layers.values():
            layer.weight.mul_(20)
    before = {
        name: layer.weight.detach().numpy().copy() for name, layer in binariser.layers.items()
    }
    binariser.after_step()
    for name, layer in binariser.layers.items():
        expected = np.clip(before[name], -1, 1) if name == "conv2" else before[name]
        np.testing.assert_array_equal(layer.weight.detach().numpy(), expected)
        assert (np.abs(before[name]) > 1).any()


@pytest.mark.parametrize("is_training", [True, False])
def test_recalibration_is_the_plain_mean(is_training):
    """Running averages of every norm against means over the batches of what it sees."""
    module = net("rbr").train(is_training)
    batches = [probe(n, seed)[0] for n, seed in ((20, 1), (20, 2), (7, 3))]
    other = copy.deepcopy(module).train()
    seen = {}
    for name, part in other.named_children():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_pre_hook(
                lambda _, args, name=name: seen.setdefault(name, []).append(args[0].numpy())
            )
    with torch.no_grad():
        for x in batches:
            other(x)
    weights = {name: p.clone() for name, p in module.named_parameters()}
    for _ in range(2):  # what was before does not matter
        recalibrate(module, iter(batches))
    for name, inputs in seen.items():
        norm = getattr(module, name)
        means = np.mean([a.mean(axis=(0, 2, 3)) for a in inputs], axis=0)
        variances = np.mean([a.var(axis=(0, 2, 3), ddof=1) for a in inputs], axis=0)
        np.testing.assert_allclose(norm.running_mean, means, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(norm.running_var, variances, rtol=1e-9)
        assert (norm.momentum, norm.num_batches_tracked.item()) == (0.1, 3)
    assert len(seen) == 3
    assert all(part.training == is_training for part in module.modules())
    assert all(torch.equal(p, weights[name]) for name, p in module.named_parameters())


# ---- options ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "some"}, "variant must be one of none, all, fixed, estimated, got 'some'"),
        ({"n_probe": 0}, "n_probe must be a whole number from 1 to 1000000, got 0"),
        ({"eps_on": 0.3}, r"eps_off 0.25 is below eps_on 0.3"),
        ({"eps_off": float("nan")}, "eps_off must be from -100 to 100, got nan"),
        ({"budget": -1.0}, "budget must be from 0 to 100, got -1.0"),
        ({"frozen_part": 1.1}, "frozen_part must be from 0 to 1, got 1.1"),
        ({"optimised_part": -0.1}, "optimised_part must be from 0 to 1, got -0.1"),
        ({"flip_memory": 1.0}, "flip_memory must be from 0 to 1, got 1.0"),
        ({"flip_threshold": 2.0}, "flip_threshold must be from 0 to 1, got 2.0"),
        ({"variant": "fixed"}, r"variant 'fixed' with layers \(\): name layers"),
        ({"layers": ("conv1",)}, r"variant 'estimated' with layers \('conv1',\): name layers"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, message):
    """Errors that name the option and the value."""
    with pytest.raises(ValueError, match=message):
        Binarisation(**options)
