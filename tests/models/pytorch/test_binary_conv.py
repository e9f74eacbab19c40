"""Binary weights in PyTorch against closed forms, loops in NumPy and finite differences."""

import math

import numpy as np
import pytest

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.models.pytorch.binary_conv import (
    GRADIENTS,
    BinaryConv2d,
    binary_weight,
    channel_scale,
)
from ann2brian.models.schemes.albsnn.training import weight_error
from torch import nn


def double(values):
    return torch.tensor(np.asarray(values), dtype=torch.float64)


def latent(shape, seed=0, size=0.8):
    """Latent weights, some of them beyond 1; none within 0.01 of a sign's change."""
    rng = np.random.default_rng(seed)
    w = rng.normal(0, size, shape)
    w += 0.01 * np.sign(w)
    assert 0.05 < (np.abs(w) > 1).mean() < 0.5
    return w


# ---- signs and scales ----


@pytest.mark.parametrize(
    "draw, expected, tolerance",
    [
        (lambda rng, n: rng.normal(0, 1, n), 1 - 2 / math.pi, 0.01),
        (lambda rng, n: rng.uniform(-1, 1, n), 0.25, 0.01),
        (lambda rng, n: rng.laplace(0, 1, n), 0.5, 0.01),
        (lambda rng, n: rng.choice([-0.375, 0.375], n), 0.0, 0.0),
    ],
    ids=["normal", "uniform", "laplace", "two points"],
)
def test_error_of_known_distributions(draw, expected, tolerance):
    """V1: error of each channel, whatever its size, against the closed form; of all, the mean."""
    sizes = np.array([1.0, 0.0625, 8.0])
    rng = np.random.default_rng(3)
    w = double(sizes[:, None] * np.stack([draw(rng, 10**6) for _ in sizes])).reshape(3, 1, 1000, -1)
    found = binary_weight(w)
    errors = [weight_error(w[c], found[c]) for c in range(3)]
    assert errors == pytest.approx([expected] * 3, rel=tolerance, abs=0)
    squares = w.square().sum(dim=(1, 2, 3)).numpy()
    whole = float(np.dot(errors, squares) / squares.sum())
    assert weight_error(w, found) == pytest.approx(whole, rel=1e-9)


def test_scale_is_the_best_one():
    """V2: scales against least squares of weights on signs; every other scale is worse."""
    w = latent((5, 3, 2, 4))
    found = binary_weight(double(w)).numpy()
    for channel, values in enumerate(w):
        signs = np.where(values >= 0, 1.0, -1.0)
        best, *_ = np.linalg.lstsq(signs.reshape(-1, 1), values.ravel(), rcond=None)
        np.testing.assert_allclose(found[channel], best.item() * signs, rtol=1e-12)
        least = ((values - found[channel]) ** 2).sum()
        for factor in (0.5, 0.99, 0.9999, 1.0001, 1.01, 2, -1):
            assert ((values - factor * found[channel]) ** 2).sum() > least
    assert channel_scale(double(w)).shape == (5, 1, 1, 1)


@pytest.mark.parametrize("scale", ["channel", "none"])
def test_sign_of_zero_is_plus_one(scale):
    """Signs of both zeros and of the smallest numbers against +1, +1 and their own."""
    w = double([0.0, -0.0, 5e-324, -5e-324, 2.0, -2.0]).reshape(1, 6, 1, 1)
    found = binary_weight(w, scale).ravel().tolist()
    size = 4 / 6 if scale == "channel" else 1.0
    assert found == pytest.approx([size * s for s in (1, 1, 1, -1, 1, -1)])


# ---- gradients ----


def gradient(w, g, **options):
    """Of sum(g W_hat), for the latent weights."""
    latent = double(w).requires_grad_()
    (binary_weight(latent, **options) * double(g)).sum().backward()
    return latent.grad.numpy()


@pytest.mark.parametrize("form", GRADIENTS)
def test_gradient_by_its_formula(form):
    """The three forms against loops over the weights, inside and outside of [-1, 1]."""
    w = latent((4, 2, 3, 3))
    g = np.random.default_rng(1).normal(size=w.shape)
    w[0, 0, 0, 0], w[1, 0, 0, 0] = 1.0, -1.0  # the border passes
    expected = np.zeros_like(w)
    n = w[0].size
    for c in range(4):
        alpha = sum(abs(x) for x in w[c].flat) / n
        pairs = zip(g[c].flat, w[c].flat, strict=True)
        from_scale = sum(a * (1 if x >= 0 else -1) for a, x in pairs) / n
        for i in np.ndindex(w[c].shape):
            passed = alpha * g[c][i] if abs(w[c][i]) <= 1 else 0.0
            more = {
                "detached": 0.0,
                "xnor": g[c][i] / n,
                "exact": from_scale * (1 if w[c][i] >= 0 else -1),
            }[form]
            expected[c][i] = passed + more
    found = gradient(w, g, gradient=form)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    outside = np.abs(w) > 1
    assert (found[outside] == 0).all() == (form == "detached")
    assert (found[~outside] != 0).all()


@pytest.mark.parametrize("form", GRADIENTS)
def test_gradient_of_pure_signs(form):
    """Without a scale: the gradient itself within [-1, 1], zero outside, in every form."""
    w = latent((4, 2, 3, 3))
    g = np.random.default_rng(1).normal(size=w.shape)
    expected = np.where(np.abs(w) <= 1, g, 0.0)
    np.testing.assert_array_equal(gradient(w, g, scale="none", gradient=form), expected)


def loss_of(w_hat):
    """Not linear in the weights."""
    return (w_hat**3 * double(np.arange(w_hat.numel())).reshape(w_hat.shape)).sum() / 20


def test_finite_difference_with_signs_held():
    """V3: slope of the loss in each weight, its sign held, against the exact form's last term."""
    w = latent((2, 2, 3, 2))
    step = 1e-6
    assert np.abs(w).min() > step
    w_hat = binary_weight(double(w)).clone().requires_grad_()
    loss_of(w_hat).backward()
    g = w_hat.grad.numpy()
    signs = np.where(w >= 0, 1.0, -1.0)
    n = w[0].size
    slopes = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        at = []
        for sign in (1, -1):
            moved = w.copy()
            moved[i] += sign * step
            at.append(loss_of(binary_weight(double(moved))).item())
        slopes[i] = (at[0] - at[1]) / (2 * step)
    by_hand = signs / n * (g * signs).sum(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(slopes, by_hand, atol=1e-6)
    last = gradient(w, g, gradient="exact") - gradient(w, g, gradient="detached")
    np.testing.assert_allclose(last, slopes, atol=1e-6)
    assert np.abs(slopes).max() > 0.1


# ---- the layer ----


def layer(is_binary, **options):
    torch.manual_seed(2)
    found = BinaryConv2d(4, 6, (3, 2), stride=(1, 2), padding=1, groups=2, **options).double()
    with torch.no_grad():
        found.weight.copy_(double(latent((6, 2, 3, 2))))
    found.is_binary.fill_(is_binary)
    return found


def by_hand(w, x):
    """Convolution in two groups with stride (1, 2) and padding 1, by loops over the outputs."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = x.shape[2] - 2, (x.shape[3] - 2) // 2 + 1
    out = np.zeros((len(x), 6, rows, columns))
    for c, i, j in np.ndindex(6, rows, columns):
        seen = x[:, 2 * (c // 3) : 2 * (c // 3) + 2, i : i + 3, 2 * j : 2 * j + 2]
        out[:, c, i, j] = (seen * w[c]).sum(axis=(1, 2, 3))
    return out


@pytest.mark.parametrize("scale", ["channel", "none"])
def test_layer_in_both_modes(scale):
    """Outputs of a grouped and strided layer, real and binary, against loops in NumPy."""
    x = np.random.default_rng(4).normal(size=(3, 4, 5, 6))
    real, binary = layer(False, scale=scale), layer(True, scale=scale)
    w = real.weight.detach().numpy()
    signs = np.where(w >= 0, 1.0, -1.0)
    size = np.abs(w).mean(axis=(1, 2, 3), keepdims=True) if scale == "channel" else 1.0
    np.testing.assert_allclose(real(double(x)).detach().numpy(), by_hand(w, x), atol=1e-12)
    found = binary(double(x)).detach().numpy()
    np.testing.assert_allclose(found, by_hand(size * signs, x), atol=1e-12)
    np.testing.assert_allclose(real.as_binary().detach(), size * signs, rtol=1e-12)
    for module, weights in ((real, w), (binary, size * signs)):
        np.testing.assert_allclose(module.used[0].detach(), weights, rtol=1e-12)


def test_latent_weights_are_trained_in_both_modes():
    """Gradient of the latent weights, real and binary, against that of the weights in use."""
    x = double(np.random.default_rng(4).normal(size=(3, 4, 5, 6)))
    for is_binary in (False, True):
        module = layer(is_binary)
        out = module(x)
        (g,) = torch.autograd.grad(out.square().sum(), module.used, retain_graph=True)
        out.square().sum().backward()
        w = module.weight.detach()
        alpha = w.abs().mean(dim=(1, 2, 3), keepdim=True)
        expected = g * alpha * (w.abs() <= 1) if is_binary else g
        torch.testing.assert_close(module.weight.grad, expected, rtol=1e-12, atol=0)


def test_mode_and_scale_are_saved():
    """Tensors of the state against the weights, the mode and the fixed scale, and loaded again."""
    module = layer(True)
    module.fix_scale()
    other = layer(False)
    assert list(other.state_dict()) == ["weight", "is_binary", "fixed_scale"]
    assert not other.is_binary and not other.is_scale_fixed
    other.load_state_dict(module.state_dict())
    assert other.is_binary and other.is_scale_fixed
    torch.testing.assert_close(other.fixed_scale, module.fixed_scale)
    assert [name for name, _ in module.named_parameters()] == ["weight"]


@pytest.mark.parametrize("scale", ["channel", "none"])
def test_fixed_scale(scale):
    """A layer with its scale fixed against itself before: same outputs, then only signs move."""
    x = double(np.random.default_rng(4).normal(size=(3, 4, 5, 6)))
    module = layer(True, scale=scale)
    before = module(x).detach()
    alpha = module.weight.abs().mean(dim=(1, 2, 3), keepdim=True).detach()
    alpha = alpha if scale == "channel" else torch.ones_like(alpha)
    signs = np.where(module.weight.detach().numpy() >= 0, 1, -1)
    module.fix_scale()
    assert torch.equal(module(x), before)
    np.testing.assert_array_equal(module.weight.detach(), signs)
    module(x).square().sum().backward()
    (g,) = torch.autograd.grad(module(x).square().sum(), module.used)
    torch.testing.assert_close(module.weight.grad, alpha * g, rtol=1e-12, atol=0)
    with torch.no_grad():
        module.weight[1] *= -0.5  # of a new size, which no longer matters
    alpha = alpha.numpy()
    np.testing.assert_allclose(module.used[0].detach(), alpha * signs, rtol=1e-12)
    signs[1] *= -1
    np.testing.assert_allclose(module.as_binary().detach(), alpha * signs, rtol=1e-12)


def test_text_names_the_options():
    """Text of a module, by which runs are told apart, against its options; not the mode."""
    assert str(layer(True, scale="none", gradient="xnor")) == (
        "BinaryConv2d(4, 6, kernel_size=(3, 2), stride=(1, 2), padding=(1, 1), groups=2, "
        "bias=False, scale=none, gradient=xnor)"
    )
    assert str(layer(True)) == str(layer(False))
    assert isinstance(layer(True), nn.Conv2d)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": True}, "no bias; batch norm has one"),
        ({"scale": "layer"}, "scale must be one of channel, none, got 'layer'"),
        ({"gradient": "none"}, "gradient must be one of detached, xnor, exact, got 'none'"),
    ],
)
def test_bad_options_are_refused(options, message):
    """Errors that name the option and the value."""
    with pytest.raises(ValueError, match=message):
        BinaryConv2d(1, 2, 3, **options)


# ---- the mode is an attribute ----


def test_the_mode_is_set_like_any_attribute():
    """True, False and tensors of them: weights of the forward pass, and the state that is saved."""
    conv = layer(False)
    mode = conv.is_binary
    x = double(np.random.default_rng(0).normal(size=(2, 4, 5, 6)))
    for value in (True, False, torch.tensor(True), np.bool_(False), np.bool_(True)):
        conv.is_binary = value
        assert conv.is_binary is mode and bool(mode) == bool(value)  # the same buffer
        expected = conv.as_binary() if value else conv.weight
        found = conv(x).detach()
        np.testing.assert_allclose(found, by_hand(expected.detach().numpy(), x), atol=1e-12)
    assert bool(conv.state_dict()["is_binary"])
    assert [name for name, _ in conv.named_parameters()] == ["weight"]
    assert bool(BinaryConv2d(2, 3, 1, is_binary=True).is_binary)


def test_the_mode_is_loaded_with_the_weights():
    """A real layer that takes over the state of a binary one, and is real again."""
    binary, real = layer(True), layer(False)
    with torch.no_grad():
        binary.weight.mul_(0.5)
    real.load_state_dict(binary.state_dict())
    x = double(np.random.default_rng(0).normal(size=(2, 4, 5, 6)))
    np.testing.assert_array_equal(real(x).detach(), binary(x).detach())
    real.is_binary = False
    assert not np.allclose(real(x).detach(), binary(x).detach())


@pytest.mark.parametrize("value", [1, 0.5, "yes", None, torch.tensor([True]), [True, False]])
def test_other_modes_are_refused(value):
    """Numbers, words and several values against the error that names them; the mode stays."""
    conv = layer(True)
    with pytest.raises(TypeError, match="is_binary is True or False, got"):
        conv.is_binary = value
    assert bool(conv.is_binary)


def test_a_layer_made_binary_trains():
    """Latent weights and loss in an ordinary loop after the mode was set."""
    conv = layer(False)
    conv.is_binary = True
    x = double(np.random.default_rng(0).normal(size=(4, 4, 5, 6)))
    wanted = conv(x).detach().flip(1)
    optimiser = torch.optim.Adam(conv.parameters(), 0.05)
    losses = []
    for _ in range(20):
        loss = (conv(x) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_padding_with_anything_but_zeros_is_refused():
    with pytest.raises(ValueError, match="padding_mode must be one of zeros, got 'circular'"):
        BinaryConv2d(2, 3, 3, padding=1, padding_mode="circular")
