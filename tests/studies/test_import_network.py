"""The command that imports a network: what it writes and prints, and what it refuses."""

import re

import numpy as np
import pytest
from ann2brian.models.importing.keras_oracle import NOT_COMPARED
from ann2brian.models.networks import datasets
from ann2brian.models.networks.network import accuracy
from ann2brian.models.networks.weight_files import load_info, load_network
from ann2brian.studies import import_network
from ann2brian.studies.frame.importing import HAS_NAMES

from tests.support.with_torch import torch_or_skip

torch = torch_or_skip()

MODULE = """
import torch.nn.functional as F
from torch import nn

from parts_of_mine import WIDTH

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTH, 3)
        self.fc = nn.Linear(9 * WIDTH, 10)

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.conv(x)), 2)
        return F.log_softmax(self.fc(x.flatten(1)), dim=1)

def build():
    return Net()

def broken():
    raise TypeError("two\\nlines")

def weights():
    return [1.0]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A file with a module, its weights, and digits as a sample; the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(MODULE)
    (tmp_path / "parts_of_mine.py").write_text("WIDTH = 4\n")
    images, labels = datasets.load("digits", "test")
    np.savez(tmp_path / "sample.npz", images=images[..., 0], labels=labels)
    module = import_network._built(tmp_path / "mynet.py", "build")
    torch.manual_seed(3)
    for tensor in module.parameters():
        torch.nn.init.normal_(tensor, 0, 0.3)
    torch.save({"epoch": 1, "state_dict": module.state_dict()}, tmp_path / "net.pt")
    return tmp_path, module, images, labels


SEEN = ("--images", "sample.npz", "--mean", ".3", "--std", ".4", "--maximum", "16")
BUILT = ("mynet.py:build", "--weights", "net.pt")


def test_module_becomes_a_weight_file(folder, capsys):
    """Logits of the written file against the module's, and what is printed."""
    _, module, images, labels = folder
    path = import_network.main([*BUILT, *SEEN, "--out", "own.safetensors"])
    network = load_network(path)
    with torch.no_grad():
        x = torch.from_numpy((images[..., 0] / 16 - 0.3) / 0.4)[:, None].float()
        expected = module(x).numpy()
    logits = network.forward(images)
    shifted = logits - logits.max(axis=1, keepdims=True)
    found = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (network.name, network.classes) == ("net", tuple("0123456789"))
    info = load_info(path)
    assert (info["imported_from"], info[HAS_NAMES], len(info["sha256"])) == ("mynet.py", False, 64)
    said = capsys.readouterr().out
    assert "Conv2D 'conv1'" in said and "6x6x4" in said and f"{network.n_parameters:,}" in said
    assert f"{accuracy(logits, labels):.2%} of 540 images" in said
    assert re.search("note: .*softmax", said) and "reach" not in said
    assert said.endswith("weight file: own.safetensors\n")


def test_names_and_defaults(folder, capsys):
    """Names of network and classes, the file without --out, and a range that is a guess."""
    tmp_path, *_ = folder
    names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    flags = ["--images", "sample.npz", "--name", "mine", "--classes", *names]
    path = import_network.main([*BUILT, *flags])
    network = load_network(tmp_path / "mine.safetensors")
    assert str(path) == "mine.safetensors"
    assert (network.name, network.classes) == ("mine", tuple(names))
    assert load_info(path)[HAS_NAMES] is True
    said = capsys.readouterr().out
    assert "note: the sample images reach 16 of 255" in said
    assert "the weights are those" not in said
    import_network.main([BUILT[0], *SEEN, "--out", "own.safetensors"])
    assert "note: the weights are those that build() gives" in capsys.readouterr().out


def test_classes_are_those_of_the_sample(folder, capsys):
    """Their order decides what an output means, so it is printed; other numbers are refused."""
    tmp_path, _, images, labels = folder
    names = np.array([f"class {9 - k}" for k in range(10)])
    np.savez(tmp_path / "named.npz", images=images[..., 0], labels=labels, classes=names)
    flags = ("--images", "named.npz", "--maximum", "16")
    path = import_network.main([*BUILT, *flags])
    assert (load_network(path).classes, load_info(path)[HAS_NAMES]) == (tuple(names), True)
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "classes, in its order class 9, class 8, class 7, class 6, ... (10): of named.npz" in said
    )
    np.savez(tmp_path / "named.npz", images=images[..., 0], labels=labels % 9, classes=names[:9])
    said = refused(capsys, *BUILT, *flags, "--force")
    assert "--images named.npz: names 9 classes, the network has 10; give all" in said


@pytest.mark.parametrize("said", [[], [f"n.keras: {NOT_COMPARED}: Keras is not installed"]])
def test_what_was_not_compared_is_not_said_to_agree(folder, capsys, monkeypatch, said):
    """A network whose reader warns that it was not compared with its framework."""
    tmp_path, *_ = folder
    network = load_network(import_network.main([*BUILT, *SEEN, "--out", "own.safetensors"]))
    (tmp_path / "n.keras").write_bytes(b"x")
    monkeypatch.setattr(import_network, "noted", lambda read: (network, said))
    capsys.readouterr()
    import_network.main(["n.keras"])
    row = re.search("compared with the framework +(.*)", capsys.readouterr().out)
    assert row[1] == ("no" if said else "every layer agrees, to rounding")


def test_classes_of_the_sample(folder, capsys):
    """Their names are the network's, unless they are numbers out of order."""
    tmp_path, _, images, labels = folder
    for names in ("abcdefghij", "0123456789", "0132456789"):
        np.savez(tmp_path / "named.npz", images=images, labels=labels, classes=list(names))
        flags = [*BUILT, "--images", "named.npz", "--maximum", "16", "--force"]
        if names != "0132456789":
            assert load_network(import_network.main(flags)).classes == tuple(names)
        else:
            with pytest.raises(SystemExit):
                import_network.main(flags)
            assert "numbers out of order (0, 1, 3, 2, " in capsys.readouterr().err
            import_network.main([*flags, "--classes", *names])


def test_files_of_other_frameworks(folder, monkeypatch):
    """An .onnx file goes to its reader, with images as they are and what the flags say."""
    tmp_path, *_ = folder
    network = load_network(import_network.main([*BUILT, *SEEN, "--out", "own.safetensors"]))
    asked = []

    def read_file(path, example, **keywords):
        asked.append((str(path), None if example is None else example.shape, keywords))
        return network

    monkeypatch.setattr(import_network, "read_file", read_file)
    (tmp_path / "n.onnx").write_bytes(b"x")
    import_network.main(["n.onnx", "--images", "sample.npz", "--pixel-scale", "255"])
    import_network.main(["n.onnx", "--force", "--std", ".2", ".3"])
    assert asked == [
        ("n.onnx", (540, 8, 8), {"pixel_scale": 255.0, "name": "n", "classes": None}),
        ("n.onnx", None, {"std": [0.2, 0.3], "name": "n", "classes": None}),
    ]


def test_nothing_is_replaced_without_being_told(folder, capsys):
    """A file that exists is kept, and a failed import leaves it and nothing else."""
    tmp_path, *_ = folder
    out = tmp_path / "own.safetensors"
    out.write_text("mine")
    before = sorted(tmp_path.iterdir())
    assert "there is such a file; --force" in refused(capsys, *BUILT, *SEEN, "--out", out)
    refused(capsys, "mynet.py:broken", *SEEN, "--out", out, "--force")
    assert out.read_text() == "mine"
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before
    import_network.main([*BUILT, *SEEN, "--out", str(out), "--force"])
    assert load_network(out).name == "net"


def refused(capsys, *flags):
    """The one line with which the command ends with status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        import_network.main(list(map(str, flags)))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["no.onnx"], "no.onnx: no such file"),
        (["no.py:build"], "no.py: no such file"),
        (["mynet.py"], "mynet.py: say which function builds the module: mynet.py:FUNCTION"),
        (["mynet.py:build"], "PyTorch modules need sample images: --images"),
        (["mynet.py:nothing", *SEEN], "mynet.py:nothing: AttributeError: .*no attribute 'nothing'"),
        (["mynet.py:broken", *SEEN], "mynet.py:broken: TypeError: two lines; it must be a funct"),
        (["mynet.py:weights", *SEEN], "mynet.py:weights: returns no nn.Module but list"),
        (["bad.py:build", *SEEN], "bad.py:build: SyntaxError"),
        (["mynet.py:build", "--weights", "no.pt", *SEEN], "no.pt: there is no such file"),
        (["mynet.py:build", "--weights", "whole.pt", *SEEN], "whole.pt: holds more than weights"),
        (["mynet.py:build", "--weights", "cut.pt", *SEEN], "cut.pt: is damaged"),
        (["mynet.py:build", "--weights", "other.pt", *SEEN], "other.pt: .*[Mm]issing key"),
        (["net.pt"], "net.pt: holds weights and no module; import both with"),
        (["sample.npz"], "sample.npz: holds arrays and no structure"),
        (["sample.npz", "--weights", "net.pt"], "--weights: sample.npz has its weights inside"),
        (["sample.npz", "--out", "x.onnx"], r"--out x.onnx: a weight file is named \*.safetensors"),
        ([*BUILT, "--images", "net.pt"], "net.pt: images are read from .npz"),
        ([*BUILT, *SEEN, "--maximum", "15"], "holds 16, above maximum=15"),
        ([*BUILT, *SEEN, "--std", "0"], "std must be finite and > 0"),
        ([*BUILT, *SEEN, "--classes", "a", "b"], "10|classes"),
        ([*BUILT, *SEEN, "--mean", "x"], "--mean: invalid float value: 'x'"),
    ],
)
def test_what_is_refused(folder, capsys, flags, message):
    """Files that are missing or of another kind, and code that fails, in one line."""
    tmp_path, *_ = folder
    (tmp_path / "bad.py").write_text("def build(:\n")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    content = (tmp_path / "net.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    said = refused(capsys, *flags)
    assert re.search(message, said), said
    assert not list(tmp_path.glob("*.safetensors"))
