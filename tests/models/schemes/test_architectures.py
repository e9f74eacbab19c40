"""Networks as people write them in PyTorch, in the schemes that take networks as they are."""

import numpy as np
import pytest
from ann2brian.models.schemes.amos import calibrated_gates

import ann2brian as ab
from tests.support.networks import assert_same
from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from tests.support import architectures as nets

ARCHITECTURES = {
    "resnet20": (lambda: nets.ResNet20(width=2), (8, 8, 3)),
    "vgg11_bn": (lambda: nets.vgg11_bn(width=2), (32, 32, 3)),
    "mobilenet_v2": (nets.mobilenet_v2, (8, 8, 3)),
    "se_net": (nets.se_net, (8, 8, 3)),
    "inception": (nets.inception_net, (8, 8, 3)),
    "audio": (nets.AudioNet, (120, 1)),
    "mlp": (nets.mlp, (20,)),
}
OPTIONS = {
    "amos": ab.AmosOptions(neurons_per_gate=4),
    "burst": ab.BurstOptions(n_steps=3),
}
REFUSED = {("burst", "se_net"), ("burst", "mobilenet_v2")}  # or not, but with the layer's name
SOFTMAX = "ignore:the softmax at the end is left out"


@pytest.mark.filterwarnings(SOFTMAX)
@pytest.mark.parametrize("scheme", OPTIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_equal_reference(architecture, scheme, monkeypatch):
    """Import, conversion and Brian2 against the reference, spike for spike."""
    monkeypatch.setattr(calibrated_gates, "REFIT_EVALUATIONS", 50)
    make, shape = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    module = make()
    images = np.random.default_rng(5).integers(0, 256, (5, *shape)).astype(np.uint8)
    with torch.no_grad():  # statistics of these images, as after some training
        module.train()
        x = torch.from_numpy((images / 255 - 0.5) / 0.25).float()
        for _ in range(20):
            module(x.movedim(-1, 1) if x.ndim > 2 else x)
    network = ab.from_torch(module.eval(), images, mean=0.5, std=0.25)
    images = images.reshape(len(images), *network.input.shape)
    try:
        conversion = ab.convert(network, OPTIONS[scheme], calibration=images)
    except ValueError as refusal:
        assert (scheme, architecture) in REFUSED, refusal
        assert any(f"{layer.name!r} is" in str(refusal) for layer in network.layers), refusal
        return
    own = ab.SCHEMES[scheme]
    reference = own.reference(conversion, images[:2])
    run = ab.simulate(conversion, images[:2], target="numpy", record=True, batch=2)
    assert_same(run, reference)
    if scheme == "amos":
        assert run.most_spikes == 1
