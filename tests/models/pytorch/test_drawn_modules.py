"""Random modules: the network has the module's logits, or the refusal names the layer."""

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
from ann2brian.models.networks.network import InputCoding
from ann2brian.models.pytorch.from_torch import from_torch

from tests.support.drawn_modules import drawn_modules

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # once in a process


def check(drawn, found):
    """Logits of 5 random images, in float64 on both sides."""
    module, shape = drawn
    coding = InputCoding(shape, 255, np.full(shape[2], 1 / 64), np.full(shape[2], -2.0))
    try:
        network = from_torch(module, input=coding)
    except ValueError as error:
        assert str(error).startswith("module "), error
        event("refused")
        found.append(False)
        return
    found.append(True)
    images = np.random.default_rng(1).integers(0, 256, (5, *shape))
    x = np.ascontiguousarray(coding.standardise(images).transpose(0, 3, 1, 2))
    x = x[:, :, 0] if shape[0] == 1 else x
    x = x[:, :, 0] if shape[:2] == (1, 1) else x
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(x)).numpy()
    largest = max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(network.forward(images), expected, rtol=0, atol=1e-8 * largest)


def check_many(n):
    found = []
    options = {
        "deadline": None,
        "derandomize": True,
        "database": None,
        "suppress_health_check": [*HealthCheck],
    }

    @settings(max_examples=n, **options)
    @given(drawn_modules())
    def run(drawn):
        check(drawn, found)

    run()
    assert len(found) >= n
    assert np.mean(found) > 0.9  # refusals are the exception


def test_drawn_modules_equal_torch():
    """A few modules against torch."""
    check_many(15)


@pytest.mark.slow
def test_many_drawn_modules_equal_torch():
    """500 modules against torch."""
    check_many(500)
