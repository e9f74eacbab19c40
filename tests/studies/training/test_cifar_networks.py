"""The networks for CIFAR-10 with a few channels: a little training, and what schemes make of it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.models.networks.grids import on_grid, to_dyadic
from ann2brian.models.networks.network import input_coding
from ann2brian.models.pytorch.from_torch import from_torch
from ann2brian.models.pytorch.units import QCFS, NoisySpike
from ann2brian.models.schemes.albsnn.training import Binarisation
from ann2brian.models.schemes.amos import calibrated_gates
from ann2brian.studies import train
from ann2brian.studies.training import fitting
from ann2brian.studies.training.architectures import gap_net, resnet, vgg, with_steps
from torch import nn

import ann2brian as ab
from tests.support.networks import assert_same

N_IMAGES, N_STEPS = 96, 6
TINY_VGG = ((2, 2), (3,), (4,), (4,))
AMOS = ("amos", ab.AmosOptions(neurons_per_gate=4))
# Of each network its recipe, the same with a few channels, the size of its images, and the scheme.
NETWORKS = {
    "relu, amos": ("cifar-resnet20", lambda: resnet(nn.ReLU, 8, width=2), 8, AMOS),
    "relu, burst": (
        "cifar-resnet20",
        lambda: resnet(nn.ReLU, 8, width=3),
        8,
        ("burst", ab.BurstOptions(n_steps=3)),
    ),
    "qcfs": (
        "cifar-resnet20-qcfs",
        lambda: resnet(lambda: QCFS(4), 8, width=3),
        8,
        ("burst", ab.BurstOptions(n_steps=1)),
    ),
    "qcfs, 8 levels": (
        "cifar-resnet20-qcfs8",
        lambda: resnet(lambda: QCFS(8), 8, width=3),
        8,
        ("burst", ab.BurstOptions(n_steps=2)),
    ),
    "vgg, amos": ("cifar-vgg", lambda: vgg(nn.ReLU, *TINY_VGG), 32, AMOS),
    "vgg, burst": (
        "cifar-vgg",
        lambda: vgg(nn.ReLU, *TINY_VGG),
        32,
        ("burst", ab.BurstOptions(n_steps=2)),
    ),
    "noise": (
        "cifar-noise20",
        lambda: with_steps(resnet(NoisySpike, 8, width=4)),
        8,
        ("noise", ab.NoiseOptions(n_steps=4)),
    ),
    "albsnn": (
        "cifardeep-albsnn",
        partial(gap_net, (6, 3, 1), (8, 3, 2), (8, 3, 1), (8, 3, 2), (8, 3, 1), n_in=3),
        8,
        ("albsnn", ab.AlbsnnOptions()),
    ),
}


@pytest.fixture(autouse=True)
def one_thread():
    """One thread: tiny layers on several wait for each other, for long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_images(size, n=N_IMAGES):
    """Coloured noise with labels that depend on its brightness."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 10, n)
    images = rng.integers(0, 56, (n, size, size, 3)) + 20 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def trained(recipe, images, labels, folder):
    """A module after a handful of steps, and its network as the training script saves it."""
    coding = input_coding(images, 255, recipe.is_dyadic)
    module, _ = fitting.fit(recipe, images, labels, coding, 1, folder)
    network = from_torch(module, input=coding, classes=[str(i) for i in range(10)], name="net")
    if recipe.is_dyadic:
        network = on_grid(network) if recipe.binarisation else to_dyadic(network)
    return module, network


@pytest.mark.parametrize("name", NETWORKS)
def test_trained_network_equals_reference(name, tmp_path, monkeypatch):
    """A few steps of the recipe, conversion and Brian2 against the reference, spike for spike.

    With one step also against the network itself, bit for bit.
    """
    monkeypatch.setattr(calibrated_gates, "REFIT_EVALUATIONS", 50)
    recipe, build, size, (scheme, options) = NETWORKS[name]
    recipe = replace(train.RECIPES[recipe], build=build, epochs=1, batch=N_IMAGES // N_STEPS)
    if recipe.binarisation:
        layers = Binarisation(variant="fixed", layers=("conv3", "conv5"), n_probe=16)
        recipe = replace(recipe, binarisation=layers)
    images, labels = random_images(size)
    _, network = trained(recipe, images, labels, tmp_path)
    conversion = ab.convert(network, options, calibration=images)
    reference = ab.SCHEMES[scheme].reference(conversion, images[:2])
    run = ab.simulate(conversion, images[:2], target="numpy", record=True, batch=2)
    assert_same(run, reference)
    if getattr(options, "n_steps", None) == 1:
        assert np.array_equal(reference.scores[:, -1], network.forward(images[:2]))


@pytest.mark.parametrize(
    "recipe, n_weights",
    [
        ("cifar-resnet20", 270_896),
        ("cifar-resnet14", 174_128),
        ("cifar-resnet8", 77_360),
        ("cifar-resnet20-qcfs", 270_896),
        ("cifar-noise20", 270_896),
        ("cifar-vgg", 847_200),
    ],
)
def test_weights(recipe, n_weights):
    """Weights of each network against counts by hand."""
    module = train.RECIPES[recipe].build()
    assert sum(p.numel() for p in module.parameters() if p.ndim > 1) == n_weights
    assert module.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize("depth", [2, 7, 18, 21])
def test_depth_that_no_resnet_has_is_refused(depth):
    """Depths between those of whole blocks against the message."""
    with pytest.raises(ValueError, match=f"has 8, 14, 20, ... layers, got depth {depth}"):
        resnet(nn.ReLU, depth)


def test_two_steps_of_momentum_by_hand():
    """Weights after two steps of Nesterov's form, against its formulas; biases do not decay."""
    torch.manual_seed(0)
    module = nn.Linear(2, 1).double()
    recipe = replace(train.RECIPES["cifar-resnet20"], momentum=0.5, weight_decay=0.25)
    optimiser = fitting.optimiser_of(module, recipe)
    for group in optimiser.param_groups:
        group["lr"] = 0.125
    wanted = {name: p.detach().clone() for name, p in module.named_parameters()}
    velocity = {name: torch.zeros_like(p) for name, p in wanted.items()}
    for _ in range(2):
        optimiser.zero_grad()
        (module.weight.sum() + 2 * module.bias.sum()).backward()
        optimiser.step()
        for name, slope in (("weight", 1 + 0.25 * wanted["weight"]), ("bias", torch.tensor(2.0))):
            velocity[name] = 0.5 * velocity[name] + slope
            wanted[name] = wanted[name] - 0.125 * (slope + 0.5 * velocity[name])
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.detach(), wanted[name], rtol=0, atol=1e-12)


def test_without_momentum_it_is_adamw():
    """The optimiser of the recipes before, and its decay."""
    optimiser = fitting.optimiser_of(nn.Linear(2, 1), train.RECIPES["digits-relu"])
    assert isinstance(optimiser, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.02, 0.0]


def test_channels_last_is_the_same_training(tmp_path):
    """Weights after a few steps in both layouts, to the rounding of single precision."""
    images, labels = random_images(8)
    recipe = replace(
        train.RECIPES["cifar-resnet20"],
        build=lambda: resnet(nn.ReLU, 8, width=2),
        epochs=1,
        learning_rate=1e-3,
        is_short=False,
    )
    found = {}
    for is_last in (True, False):
        module, _ = trained(
            replace(recipe, is_channels_last=is_last), images, labels, tmp_path / str(is_last)
        )
        kernel = module.state_dict()["3.body.0.weight"]
        assert kernel.is_contiguous(memory_format=torch.channels_last) == is_last
        found[is_last] = kernel
    torch.testing.assert_close(found[True], found[False], rtol=0, atol=1e-5)
    torch.manual_seed(1)
    assert not torch.allclose(found[True], recipe.build().state_dict()["3.body.0.weight"])
