"""Networks from one's own training loop: they run with the leak, reset and steps they learned."""

import warnings

import numpy as np
import pytest
from ann2brian.models.conversion.scheme import ConversionWarning
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.weight_files import load_network, save_network, trained
from ann2brian.models.schemes.noise import conversion as noise
from ann2brian.models.schemes.noise import reference as noise_reference
from ann2brian.models.schemes.noise.options import NoiseOptions

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.models.networks.network import InputCoding
from ann2brian.models.pytorch.from_torch import from_torch
from ann2brian.models.pytorch.units import MeanOverSteps, NoisySpike, RepeatSteps
from torch import nn

CODING = InputCoding((6, 5, 1), 16, [1 / 16], [0.0])
N_STEPS = 4


def trained_module(*dynamics, mean=0.25):
    """Two spiking layers of several steps, weights on a grid, so that sums are exact in any order.

    In double precision, and in the mode of training: `from_torch` reads the other one.
    """
    torch.manual_seed(1)
    first, second = (
        NoisySpike(mean, 0.3, n_steps=N_STEPS, leak=leak, reset=reset) for leak, reset in dynamics
    )
    module = nn.Sequential(
        nn.Conv2d(1, 6, 3),
        RepeatSteps(N_STEPS),
        first,
        nn.Conv2d(6, 8, 2),
        second,
        nn.AvgPool2d((1, 2)),
        nn.Flatten(),
        nn.Linear(24, 5),
        MeanOverSteps(N_STEPS),
    ).double()
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_((3 * weights * 64).round() / 64)
    return module


def seen(module, images):
    """Logits and spikes, shape (n_images, n_steps, n_units), of the module without noise."""
    spikes = []
    handles = [
        part.register_forward_hook(lambda _part, _x, out: spikes.append(out))
        for part in module
        if isinstance(part, NoisySpike)
    ]
    with torch.no_grad():
        x = torch.from_numpy(CODING.standardise(images)).permute(0, 3, 1, 2)
        logits = module.eval()(x).numpy()
    for handle in handles:
        handle.remove()
    by_step = [s.unflatten(0, (N_STEPS, -1)).permute(1, 0, 3, 4, 2) for s in spikes]
    return logits, [s.reshape(len(images), N_STEPS, -1).numpy() for s in by_step]


IMAGES = np.random.default_rng(0).integers(0, 17, (30, 6, 5, 1))


@pytest.mark.parametrize(
    "dynamics",
    [
        [(0.5, "hard")] * 2,
        [(0.5, "soft")] * 2,
        [(1.0, "hard")] * 2,
        [(0.25, "soft"), (1.0, "hard")],  # neurons of two types
    ],
    ids=str,
)
def test_spikes_are_those_of_the_module(dynamics, tmp_path):
    """Every spike in Brian2, the reference and the network file against the module's own."""
    module = trained_module(*dynamics)
    logits, expected = seen(module, IMAGES)
    path = save_network(
        from_torch(module, input=CODING, classes="abcde", name="own"), tmp_path / "own.safetensors"
    )
    network = load_network(path)
    np.testing.assert_allclose(network.forward(IMAGES), logits, rtol=0, atol=1e-12)
    conversion = noise.convert(network)
    assert conversion.spiking.readout.n_steps == N_STEPS
    assert len(conversion.spiking.neurons) == len(set(dynamics))
    reference = noise_reference.run(conversion, IMAGES)
    run = simulate(conversion, IMAGES, target="numpy", record=True, batch=7)
    np.testing.assert_allclose(run.scores[:, -1], logits, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(run.scores, reference.scores)
    for index, (layer, spikes) in enumerate(zip(run.layers, expected, strict=True)):
        own = run.spikes.where(run.spikes.layer == index)
        fired = np.zeros_like(spikes)
        fired[own.image, own.step - layer.onset, own.neuron] = 1
        np.testing.assert_array_equal(fired, spikes)
        np.testing.assert_array_equal(reference.counts[layer.name], spikes)
        assert 0.05 < spikes.mean() < 0.95
        assert (spikes[:, 0] != spikes[:, -1]).any()  # the steps differ


def test_what_is_told_wins_and_is_said():
    """A leak given by hand against the same network trained with it; one warning."""
    network, other = (
        from_torch(trained_module(*[dynamics] * 2), input=CODING, classes="abcde", name="own")
        for dynamics in ((0.5, "hard"), (1.0, "hard"))
    )
    with pytest.warns(ConversionWarning, match=r"own.*: leak=1.0 \(trained with 0.5\); leave") as w:
        changed = noise.convert(network, NoiseOptions(leak=1.0))
    assert len(w) == 1
    found, wanted = (noise_reference.run(c, IMAGES).scores for c in (changed, noise.convert(other)))
    np.testing.assert_array_equal(found, wanted)
    assert (found != noise_reference.run(noise.convert(network), IMAGES).scores).any()


@pytest.mark.parametrize("leak", [0.9, 0.7, 0.3, 2**-10])
def test_the_start_is_the_mean_to_the_last_bit(leak):
    """What the first leak leaves, for means and leaks that are no binary fractions of each other.

    A unit whose drive makes the mean the threshold spikes, and one ulp would be too little.
    """
    means = np.round(np.random.default_rng(3).uniform(-1, 1, 200) * 2**16) / 2**16
    starts = [noise._before_leak(mean, leak) for mean in means]
    exact = leak * np.array(starts) == means
    assert exact.mean() > 0.8
    assert np.allclose(leak * np.array(starts), means, rtol=2**-52, atol=0)


# ---- a mean of 0 ----


def one_step(mean, n_steps=1):
    spikes = [NoisySpike(mean, 0.3, n_steps=n_steps) for _ in range(2)]
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), RepeatSteps(n_steps), spikes[0], nn.Conv2d(4, 4, 2), spikes[1],
        nn.Flatten(), nn.Linear(24, 5), MeanOverSteps(n_steps),
    )  # fmt: skip
    return from_torch(module, input=CODING, classes="abcde", name="own")


MEANLESS = r"network 'own': act1, act2 had mean 0 in the one step of the training, which has not"


@pytest.mark.parametrize("options", [{}, {"rule": "both"}, {"n_steps": 2, "leak": 0.5}], ids=str)
def test_one_step_with_mean_0_is_warned_of(options):
    """Rules that carry the potential; the message names the units and what to do."""
    with pytest.warns(ConversionWarning, match=MEANLESS + r".*NoisySpike\(mean=0.5\)"):
        noise.convert(one_step(0.0), NoiseOptions(**options))


@pytest.mark.parametrize(
    ("mean", "n_steps", "options"),
    [
        (0.5, 1, {}),
        (0.0, 3, {}),  # has met its own residuals
        (0.0, 1, {"n_steps": 1}),
        (0.0, 1, {"rule": "memoryless"}),
        (0.0, 1, {"mean": 0.0}),
        (0.0, 1, {"mean": 0.5}),
    ],
    ids=str,
)
def test_nothing_is_said_where_nothing_is_missing(mean, n_steps, options):
    """A mean, several steps of training, one step, nothing carried, or a mean given by hand."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        noise.convert(one_step(mean, n_steps), NoiseOptions(**options))


def test_old_files_are_warned_of_too():
    """The shipped negative control, whose file does not tell the steps of its training."""
    network = load_network(trained("digits-noise-control"))
    assert {layer.n_steps for layer in network.layers if hasattr(layer, "n_steps")} == {None}
    with pytest.warns(ConversionWarning, match=r"training \(as far as the file tells\)"):
        noise.convert(network)


def test_old_files_run_as_ever():
    """A shipped network against the defaults that there were before files told anything."""
    network = load_network(trained("digits-noise"))
    conversion = noise.convert(network)
    options = conversion.options
    assert (options.n_steps, options.leak, options.reset) == (8, 1.0, "soft")
    assert conversion.options == NoiseOptions(n_steps=8, leak=1.0, reset="soft")
