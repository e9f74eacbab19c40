"""Noisy spiking units in PyTorch against closed forms and loops in NumPy."""

import math

import numpy as np
import pytest

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.analysis.statistics.noise_theory import spike_gradient, spike_probability
from ann2brian.analysis.statistics.psychometric import largest_deviation
from ann2brian.models.pytorch import units as torch_layers
from ann2brian.models.pytorch.units import (
    SURROGATE_WIDTH,
    MeanOverSteps,
    NoisySpike,
    RepeatSteps,
    set_steps,
)
from ann2brian.models.schemes.noise.training import RESIDUAL_BAND, estimate_noise
from torch import nn

DRIVES = np.arange(-6, 19, 3) / 12  # in thresholds; 9 of them


def gradient(module, drives, weights=None):
    """Derivative of the (weighted) sum of all spikes for each drive."""
    x = torch.tensor(drives, dtype=torch.float64, requires_grad=True)
    spikes = module.double()(x)
    spikes.backward(torch.ones_like(x) if weights is None else torch.as_tensor(weights))
    return x.grad.numpy()


def phi(drives, mean, sigma):
    """Probability of a spike by the error function of the math module."""
    return np.array([0.5 * (1 + math.erf((x + mean - 1) / (sigma * 2**0.5))) for x in drives])


# ---- gradient ----


@pytest.mark.parametrize("mean, sigma", [(0.5, 0.3), (0.0, 0.5), (0.25, 1.0)])
@pytest.mark.parametrize("is_training", [True, False])
def test_gradient_is_that_of_the_probability(mean, sigma, is_training):
    """Gradient with the width of the noise against central differences of Phi, noise on or off."""
    step = 1e-5
    slope = (phi(DRIVES + step, mean, sigma) - phi(DRIVES - step, mean, sigma)) / (2 * step)
    # To single precision, in which the noise is stored.
    module = NoisySpike(mean, sigma, width=sigma).train(is_training)
    np.testing.assert_allclose(gradient(module, DRIVES), slope, rtol=1e-6, atol=1e-7)


def test_mean_spikes_have_that_slope():
    """Slope of the mean of a million sampled spikes against the gradient: 5 standard errors."""
    n, step = 1_000_000, 0.05
    module = NoisySpike(0.5, 0.3, width=0.3)
    torch.manual_seed(11)
    for drive in (-0.1, 0.2, 0.5, 0.65, 1.1):
        with torch.no_grad():
            low, high = (module(torch.full((n,), drive + s)).mean().item() for s in (-step, step))
        slope = (high - low) / (2 * step)
        error = math.sqrt((low * (1 - low) + high * (1 - high)) / n) / (2 * step)
        expected = gradient(NoisySpike(0.5, 0.3, width=0.3), [drive])[0]
        assert abs(slope - expected) < 5 * error
        assert 5 * error < 0.04  # or the comparison would be empty; the peak is 1.33


@pytest.mark.parametrize(
    "sigma, width, peak",
    [(0.3, 0.3, 1.3298), (0.3, None, 0.9974), (0.0, None, 0.9974), (0.5, None, 0.7979),
     (0.5, 0.3, 1.3298)],
)  # fmt: skip
def test_width_of_the_gradient(sigma, width, peak):
    """Peaks of test U2 of the specification: the noise's own width, but at least 0.4 thresholds."""
    module = NoisySpike(0.5, sigma, width=width)
    assert gradient(module, [0.5]) == pytest.approx([peak], abs=1e-4)
    wide = width or max(sigma, SURROGATE_WIDTH)
    expected = spike_gradient(DRIVES, 0.5, wide)
    np.testing.assert_allclose(gradient(module, DRIVES), expected, rtol=1e-6)


def test_gradient_scales_with_what_comes_from_above():
    """Gradients under weights on the spikes against the weighted bell."""
    weights = np.linspace(-2, 3, len(DRIVES))
    found = gradient(NoisySpike(), DRIVES, weights)
    np.testing.assert_allclose(found, weights * spike_gradient(DRIVES, 0.5, 0.4), rtol=1e-6)


def test_gradient_through_time():
    """Gradients over three steps against the chain rule by hand: the carried potential counts.

    With g the bell at the potential of a step: dS1/dx1 = g1, dS2/dx1 = g2 (1 - g1) and
    dS3/dx1 = g3 (1 - g2) (1 - g1), because the spike itself is taken off the potential.
    """
    module = NoisySpike(0.25, 0.0, n_steps=3)
    drives, weights = np.array([0.5, 0.375, -0.25]), np.array([2.0, -1.0, 0.5])
    v, bells = 0.25, []
    for x in drives:
        h = v + x
        bells.append(spike_gradient(h, 0.0, SURROGATE_WIDTH))
        v = h - (h >= 1)
    expected = np.zeros(3)
    for late in range(3):
        for early in range(late + 1):
            kept = np.prod([1 - bells[k] for k in range(early, late)])
            expected[early] += weights[late] * bells[late] * kept
    np.testing.assert_allclose(gradient(module, drives, weights), expected, rtol=1e-6)


@pytest.mark.parametrize("leak", [1.0, 0.5])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_gradient_through_leak_and_reset(leak, reset):
    """Gradients over four steps against the chain rule by hand.

    With g the bell at the potential H of a step, what is carried, leak (H - S) or leak H (1 - S),
    has the slope leak (1 - g) or leak (1 - S - H g) in H.
    """
    module = NoisySpike(0.25, 0.0, n_steps=4, leak=leak, reset=reset)
    drives, weights = np.array([0.875, 0.375, -0.25, 1.125]), np.array([2.0, -1.0, 0.5, 3.0])
    v, bells, slopes, spikes = 0.25, [], [], []
    for x in drives:
        h = v + x
        fired = float(h >= 1)
        bells.append(spike_gradient(h, 0.0, SURROGATE_WIDTH))
        slopes.append(leak * (1 - bells[-1] if reset == "soft" else 1 - fired - h * bells[-1]))
        v = leak * (h - fired if reset == "soft" else h * (1 - fired))
        spikes.append(fired)
    assert 0 < sum(spikes) < 4
    expected = np.zeros(4)
    for late in range(4):
        for early in range(late + 1):
            expected[early] += weights[late] * bells[late] * np.prod(slopes[early:late])
    np.testing.assert_allclose(gradient(module, drives, weights), expected, rtol=1e-6)


# ---- spikes ----


@pytest.mark.parametrize("mean, sigma", [(0.5, 0.3), (0.0, 0.3), (0.25, 1.0)])
def test_firing_frequency(mean, sigma):
    """Spikes in training mode, 20 000 for each drive, against Phi: 4 standard errors."""
    n = 20_000
    module = NoisySpike(mean, sigma)
    torch.manual_seed(5)
    spikes = module(torch.tensor(DRIVES).float().repeat(n, 1)).numpy()
    assert set(np.unique(spikes)) == {0, 1}
    counts = spikes.sum(axis=0, dtype=np.int64)
    assert largest_deviation(DRIVES, n, counts, lambda x: spike_probability(x, mean, sigma)) < 4
    off = [(mean + 0.05, sigma), (mean, 2**0.5 * sigma)]  # a wrong mean; noise that acts twice
    for wrong in off:
        assert largest_deviation(DRIVES, n, counts, lambda x, w=wrong: spike_probability(x, *w)) > 4


def test_no_noise_in_evaluation_mode():
    """Spikes in evaluation mode, ties included, against the threshold; no number is drawn."""
    drives = torch.arange(-32, 65) / 64
    module = NoisySpike(0.5, 0.3).eval()
    state = torch.get_rng_state()
    assert torch.equal(module(drives), (drives >= 0.5).float())
    assert torch.equal(torch.get_rng_state(), state)
    silent = NoisySpike(0.5, 0.0).train()  # without noise no number is drawn in training either
    assert torch.equal(silent(drives), (drives >= 0.5).float())
    assert torch.equal(torch.get_rng_state(), state)


def loop(drives, mean, noise, leak=1.0, reset="soft"):
    """Spikes and what is carried of units, shape (n_steps, n, ...), by steps in NumPy."""
    v = np.full(drives.shape[1:], mean)
    spikes, residuals = np.zeros_like(drives), np.zeros_like(drives)
    for t, drive in enumerate(drives):
        potential = v + drive
        for unit in np.ndindex(v.shape):
            spikes[t][unit] = 1.0 if potential[unit] + noise[t][unit] >= 1.0 else 0.0
        v = np.where(spikes[t] == 1, potential - 1 if reset == "soft" else 0.0, potential) * leak
        residuals[t] = v
    return spikes, residuals


@pytest.mark.parametrize("n_steps", [1, 2, 7])
@pytest.mark.parametrize("is_training", [True, False])
def test_steps_equal_a_loop(n_steps, is_training):
    """Spikes and residuals of several steps against a loop with the same noise, exactly.

    In training mode with fresh noise in the comparison only; drives and mean are dyadic, so that
    the residuals, which hold no noise, are exact in single precision.
    """
    rng = np.random.default_rng(n_steps)
    drives = rng.integers(-64, 128, (n_steps, 5, 3, 2)) / 64
    module = NoisySpike(0.375, 0.3, n_steps=n_steps).train(is_training)
    torch.manual_seed(8)
    spikes, residuals = module.run(torch.tensor(drives).float().flatten(0, 1))
    torch.manual_seed(8)
    noise = [module.sigma * torch.randn(5, 3, 2) * is_training for _ in range(n_steps)]
    expected = loop(drives, 0.375, torch.stack(noise).numpy())
    for found, wanted in zip((spikes, residuals), expected, strict=True):
        np.testing.assert_array_equal(found.numpy().reshape(drives.shape), wanted)
    assert 0.1 < expected[0].mean() < 0.9
    if n_steps > 2:
        assert expected[1].max() >= 1  # some carry a whole threshold or more


@pytest.mark.parametrize("leak", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_leak_and_reset_equal_a_loop(leak, reset):
    """Spikes and carried potentials of either reset and several leaks against a loop, exactly."""
    rng = np.random.default_rng(4)
    drives = rng.integers(-32, 80, (5, 6, 4, 2)) / 64
    module = NoisySpike(0.0, 0.0, n_steps=5, leak=leak, reset=reset)
    found = module.run(torch.tensor(drives).float().flatten(0, 1))
    expected = loop(drives, 0.0, np.zeros_like(drives), leak, reset)
    for values, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values.numpy().reshape(drives.shape), wanted)
    assert 0.1 < expected[0].mean() < 0.9
    other = loop(drives, 0.0, np.zeros_like(drives), leak, "hard" if reset == "soft" else "soft")
    assert (expected[0] != other[0]).any()


def test_text_names_leak_and_reset():
    """Text of a module, by which runs are told apart, against its options."""
    assert str(NoisySpike(0.0, 0.0, leak=0.5, reset="hard")) == (
        "NoisySpike(mean=0, sigma=0, width=None, n_steps=1, leak=0.5, reset=hard)"
    )
    assert str(NoisySpike()).endswith("leak=1.0, reset=soft)")


def test_spikes_are_the_first_result_of_run():
    """Forward pass of several steps against `run` with the same seed."""
    module, x = NoisySpike(n_steps=3), torch.linspace(-1, 2, 30)
    torch.manual_seed(1)
    forward = module(x)
    torch.manual_seed(1)
    assert torch.equal(forward, module.run(x)[0])


def test_noise_follows_the_seed():
    """Spikes of one seed twice against each other, and against those of other seeds."""
    module, x = NoisySpike(), torch.full((400,), 0.5)
    found = []
    for seed in (1, 1, 2, 3):
        torch.manual_seed(seed)
        found.append(module(x))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert not torch.equal(found[2], found[3])
    assert not torch.equal(module(x), found[3])  # and every call draws anew


def test_noise_is_saved_with_the_weights():
    """Mean and deviation against those in the state of the module, and after loading it."""
    state = NoisySpike(0.25, 0.75).state_dict()
    assert {name: value.item() for name, value in state.items()} == {"mean": 0.25, "sigma": 0.75}
    other = NoisySpike()
    other.load_state_dict(state)
    assert (other.mean.item(), other.sigma.item()) == (0.25, 0.75)
    assert not list(other.parameters())  # nothing for the optimiser


# ---- steps of a network ----


def test_repetition_and_mean():
    """Drives of several steps and mean scores against pen and paper, step by step."""
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert RepeatSteps(3)(x).tolist() == [[1, 2], [3, 4]] * 3
    scores = torch.tensor([[1.0, 0.0], [2.0, 0.0], [5.0, 8.0], [0.0, 4.0]])  # two steps
    assert MeanOverSteps(2)(scores).tolist() == [[3, 4], [1, 2]]
    assert RepeatSteps()(x) is x
    assert MeanOverSteps()(x) is x


def small_net(seed=0):
    """Two spiking layers; weights so large that some units spike in every step, some never."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 20),
        nn.BatchNorm1d(20),
        RepeatSteps(),
        NoisySpike(0.5, 0.3),
        nn.Sequential(nn.Linear(20, 15), nn.BatchNorm1d(15), NoisySpike(0.25, 0.3)),
        nn.Linear(15, 4),
        MeanOverSteps(),
    )
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.1, 0.5)
    return module.double()


def test_set_steps_reaches_every_part():
    """Steps of all parts, nested ones too, against the number asked for; and the scores."""
    module = small_net().eval()
    images = torch.randn(6, 3, 2, 2).double()
    set_steps(module, 5)
    steps = [p.n_steps for p in module.modules() if hasattr(p, "n_steps")]
    assert steps == [5, 5, 5, 5]
    first, second = module[4], module[5][2]
    drive = module[2](module[1](module[0](images)))
    spikes = first(drive.repeat(5, 1))
    expected = module[6](second(module[5][1](module[5][0](spikes))))
    torch.testing.assert_close(module(images), expected.reshape(5, 6, 4).mean(0))
    one = small_net().eval()
    assert not torch.allclose(one(images), module(images))


# ---- estimated noise ----

N_STEPS = 6


def numpy_estimates(module, images):
    """Mean and deviation of each layer's carried potentials, from the weights, by hand."""

    def affine(linear, norm, values):
        weight, bias = (p.detach().numpy() for p in (linear.weight, linear.bias))
        y = values @ weight.T + bias
        y = (y - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
        return y * norm.weight.detach().numpy() + norm.bias.detach().numpy()

    flat = images.numpy().reshape(len(images), -1)
    drive = affine(module[1], module[2], flat)
    potentials = [np.full((len(flat), n), v) for n, v in ((20, 0.5), (15, 0.25))]
    carried = ([], [])
    for _ in range(N_STEPS):
        values = drive
        for layer in range(2):
            h = potentials[layer] + values
            fired = np.where(h >= 1, 1.0, 0.0)
            potentials[layer] = h - fired
            carried[layer].append(potentials[layer])
            if layer == 0:
                values = affine(module[5][0], module[5][1], fired)
    found = []
    for layer in carried:
        values = np.array(layer[:-1]).ravel()  # what the last step leaves is not carried on
        inside = [v for v in values if RESIDUAL_BAND[0] < v < RESIDUAL_BAND[1]]
        assert 10 < len(inside) < len(values)
        mean = sum(inside) / len(inside)
        found.append((mean, math.sqrt(sum((v - mean) ** 2 for v in inside) / (len(inside) - 1))))
    return found


def test_estimated_noise():
    """Noise of each layer against residual potentials of a NumPy loop, band and steps included."""
    module = small_net().train()
    images = torch.randn(40, 3, 2, 2).double()
    expected = numpy_estimates(module, images)
    estimate_noise(module, images, N_STEPS)
    found = [(layer.mean.item(), layer.sigma.item()) for layer in (module[4], module[5][2])]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert not np.allclose(found, [(0.5, 0.3), (0.25, 0.3)], atol=0.01)


def test_estimating_changes_nothing_else():
    """Mode, steps, weights, statistics and random numbers after an estimate against before it."""
    for is_training in (True, False):
        module = small_net().train(is_training)
        images = torch.randn(40, 3, 2, 2).double()
        before = {k: v.clone() for k, v in module.state_dict().items()}
        state = torch.get_rng_state()
        estimate_noise(module, images, N_STEPS)
        assert torch.equal(torch.get_rng_state(), state)
        assert all(part.training == is_training for part in module.modules())
        assert {p.n_steps for p in module.modules() if hasattr(p, "n_steps")} == {1}
        assert all(p.grad is None for p in module.parameters())
        after = module.state_dict()
        changed = {k for k in before if not torch.equal(before[k], after[k])}
        assert changed == {"4.mean", "4.sigma", "5.2.mean", "5.2.sigma"}
        assert not any(part._forward_hooks for part in module.modules())
        again = {k: v.clone() for k, v in after.items()}
        estimate_noise(module, images, N_STEPS)  # from the new start, and without noise
        assert module[4].mean != again["4.mean"]


def test_failed_estimate_leaves_the_module_as_it_was():
    """Mode, steps, hooks and noise after images of a wrong shape against before."""
    module = small_net().train()
    with pytest.raises(RuntimeError):
        estimate_noise(module, torch.zeros(4, 3, 3, 3).double(), N_STEPS)
    assert module.training and module[4].n_steps == 1
    assert not module[4]._forward_hooks
    assert module[4].mean == 0.5


def test_layer_without_residuals_in_the_band_keeps_its_noise():
    """A layer of units that sink out of the band at once against its noise before."""
    module = nn.Sequential(RepeatSteps(), NoisySpike(0.5, 0.3), MeanOverSteps())
    estimate_noise(module, torch.full((8, 2), -5.0), 4)
    assert [v.item() for v in (module[1].mean, module[1].sigma)] == pytest.approx([0.5, 0.3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NoisySpike(sigma=-0.1), "sigma must be >= 0 .* got -0.1"),
        (lambda: NoisySpike(width=0.0), "width > 0, got 0.3 and 0.0"),
        (lambda: NoisySpike(reset="none"), "reset must be one of soft, hard, got 'none'"),
        (lambda: NoisySpike(n_steps=2)(torch.zeros(3, 4)), "batch of 3 .* into 2 steps"),
        (lambda: estimate_noise(small_net(), torch.zeros(2, 1, 8, 8), 1), "at least 2 steps, got"),
    ],
)
def test_impossible_values_are_refused(call, message):
    """Errors that name the value."""
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_unit_gets_a_number_of_its_own(layout):
    """Spikes of units at threshold in either layout: half of them, without any pattern."""
    torch.manual_seed(4)
    module = NoisySpike(0.5, 0.3).train()
    drive = torch.full((20, 6, 5, 4), 0.5).to(memory_format=layout)
    first, second = (module(drive).numpy() for _ in range(2))
    for spikes in (first, second):
        for axis in range(4):  # 4.5 binomial deviations, for 70 comparisons
            rest = tuple(i for i in range(4) if i != axis)
            n = spikes.size / spikes.shape[axis]
            assert np.abs(spikes.mean(axis=rest) - 0.5).max() < 4.5 * np.sqrt(0.25 / n)
    assert np.abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)
    noise = torch_layers._normal(drive)
    assert noise.stride() == drive.stride()
    assert len(np.unique(noise.numpy())) == drive.numel()
