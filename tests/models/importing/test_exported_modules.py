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

from tests.support import architectures
from tests.support.drawn_modules import drawn_modules

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # once in a process
WITH_SOFTMAX = (architectures.AudioNet, architectures.DenseNet)


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
        # In float64: a float32 convolution of PyTorch 2.13 to maps one place wide gives other
        # numbers from call to call.
        expected = module.double()(torch.from_numpy(np.ascontiguousarray(x))).numpy()
    largest = max(np.abs(expected).max(), 1.0)
    found = network.forward(images)
    if isinstance(module, WITH_SOFTMAX):  # which moves all classes alike
        found, expected = (y - y.mean(axis=1, keepdims=True) for y in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-4 * largest)


def inception():
    """Without the adaptive pooling to a size that does not divide."""
    net = architectures.inception_net()
    return torch.nn.Sequential(
        *net[:3], torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(9, 4)
    )


ARCHITECTURES = {
    "resnet20": (architectures.ResNet20, (16, 16, 3)),
    "vgg11_bn": (architectures.vgg11_bn, (32, 32, 3)),
    "mobilenet_v2": (architectures.mobilenet_v2, (16, 16, 3)),
    "se_net": (architectures.se_net, (8, 8, 3)),
    "inception": (inception, (8, 8, 3)),
    "densenet": (architectures.DenseNet, (8, 8, 3)),
    "shuffle_net": (architectures.shuffle_net, (8, 8, 3)),
    "convnext": (architectures.convnext, (16, 16, 3)),
    "audio": (architectures.AudioNet, (1, 120, 1)),
    "mlp": (architectures.mlp, (1, 1, 20)),
}


@pytest.mark.parametrize(
    ("name", "is_new"),
    [
        pytest.param(name, is_new, marks=pytest.mark.slow if is_new and name != "se_net" else ())
        for name in ARCHITECTURES
        for is_new in (False, True)
    ],
)
@pytest.mark.filterwarnings("ignore:.*the softmax at the end is left out")
def test_architectures(name, is_new, tmp_path):
    """As people write them, by both exporters."""
    build, shape = ARCHITECTURES[name]
    found = []
    torch.manual_seed(3)
    check((build(), shape), tmp_path / "net.onnx", found, is_new)
    assert found == [True]
    assert is_new == (tmp_path / "net.onnx.data").exists()  # whose weights lie beside it


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
@pytest.mark.parametrize(("is_new", "n"), [(False, 500), (True, 40)])
def test_many_drawn_modules(is_new, n, tmp_path):
    """500 modules, as against torch itself; fewer by the newer exporter, which takes its time."""
    check_many(n, tmp_path / "net.onnx", is_new)
