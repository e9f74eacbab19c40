"""PyTorch modules, written to ONNX by its exporters and read back, give the module's logits."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.with_files import onnx_or_skip
from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()
onnx = onnx_or_skip()
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx needs, is not installed")
from ann2brian.models.importing.from_onnx import from_onnx
from ann2brian.models.networks.network import InputCoding

from tests.support.drawn_modules import drawn_modules


def export(module, shape, path, is_new):
    """Write a module by one of PyTorch's two exporters, for any number of images."""
    x = torch.zeros(2, *shape)
    options = {"dynamic_axes": {"x": {0: "n"}}, "opset_version": 17}
    if is_new:
        options = {"dynamic_shapes": ({0: torch.export.Dim.AUTO},)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        torch.onnx.export(
            module, (x,), path, input_names=["x"], dynamo=is_new, verbose=False, **options
        )


def check(drawn, path, found, is_new=False):
    """Logits of 5 random images, or a refusal that names the node."""
    module, shape = drawn
    module = module.float().eval()
    coding = InputCoding(shape, 255, np.full(shape[2], 1 / 64), np.full(shape[2], -2.0))
    images = np.random.default_rng(1).integers(0, 256, (5, *shape))
    x = coding.standardise(images).transpose(0, 3, 1, 2)
    x = x[:, :, 0] if shape[0] == 1 else x
    x = x[:, :, 0] if shape[:2] == (1, 1) else x
    try:
        export(module, x.shape[1:], path, is_new)
    except Exception:  # what an exporter does not write
        found.append(None)
        return
    try:
        network = from_onnx(path, input=coding)
    except ValueError as error:
        assert str(error).startswith(f"{path}: node "), error
        assert "differs from the framework" not in str(error), error
        found.append(False)
        return
    found.append(True)
    with torch.no_grad():
        expected = module(torch.from_numpy(np.ascontiguousarray(x)).float()).numpy()
    largest = max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(network.forward(images), expected, rtol=0, atol=3e-4 * largest)


def check_many(n, path, is_new=False):
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
        check(drawn, path, found, is_new)

    run()
    written = [is_read for is_read in found if is_read is not None]
    assert len(written) > 0.7 * n
    assert np.mean(written) > 0.8  # refusals are the exception


def test_drawn_modules(tmp_path):
    """A few modules."""
    check_many(8, tmp_path / "net.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(("is_new", "n"), [(False, 200), (True, 40)])
def test_many_drawn_modules(is_new, n, tmp_path):
    """Many modules, by both exporters."""
    check_many(n, tmp_path / "net.onnx", is_new)
