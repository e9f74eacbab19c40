"""The one import: names on demand, nothing loaded before, the same objects as in their modules."""

import ast
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.networks.layers import Flatten
from ann2brian.models.networks.weight_files import load_network, trained
from ann2brian.models.places import ROOT
from ann2brian.models.schemes.amos.gates import relu_gate

import ann2brian as ab
from tests.support.networks import everything, images_for

HEAVY = ("brian2", "numpy", "torch", "ann2brian.models")


def in_new_process(code):
    """What a program prints that starts in the checkout."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_the_import_alone_loads_nothing():
    """A fresh process imports the package, and then asks for names that need no Brian2."""
    listed = f"print([m for m in {HEAVY} if m in sys.modules])"
    assert in_new_process(f"import sys, ann2brian; {listed}") == "[]"
    said = in_new_process(f"import sys, ann2brian; ann2brian.load_network; {listed}")
    assert "brian2" not in said and "numpy" in said
    said = in_new_process(f"import sys, ann2brian; ann2brian.compare_conditions; {listed}")
    assert "brian2" not in said and "torch" not in said


def test_every_public_name_is_there():
    """Names in the list, in `dir`, and those that an editor sees."""
    for name in ab.__all__:
        if name != "from_torch":  # needs PyTorch
            assert getattr(ab, name) is not None
    assert [name for name in dir(ab) if name[0] != "_"] == sorted(ab.__all__)
    assert ab.load_network is load_network
    assert {scheme.options for scheme in ab.SCHEMES.values()} == {
        getattr(ab, name) for name in ab.__all__ if name.endswith("Options")
    }
    tree = ast.parse((ROOT / "ann2brian/__init__.py").read_text())
    seen = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert {name for name in ab.__all__ if not name.endswith("Options")} <= seen <= set(ab.__all__)
    with pytest.raises(AttributeError, match="no attribute 'AmosOption'"):
        _ = ab.AmosOption


def test_without_torch_the_error_says_what_to_install():
    """A process in which PyTorch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import ann2brian\n"
        "try: ann2brian.from_torch\n"
        "except ImportError as error: print(error)"
    )
    assert "pip install torch" in in_new_process(code)


def test_reprs_are_short():
    """Networks, layers, conversions and gates in one line, without an array's numbers."""
    network = load_network(trained("digits-relu"))
    assert repr(network) == (
        f"Network(digits-relu: 8x8x1 -> 10 classes, {len(network.layers)} layers, "
        f"{network.n_parameters:,} parameters)"
    )
    network = everything()
    conversion = ab.convert(network, ab.AmosOptions(), images_for(network, 4))
    expected = ab.reference(conversion, images_for(network, 4))
    things = [*network.layers, network.input, conversion, relu_gate(4, 1.0), expected]
    for thing in things:
        assert repr(thing).startswith(type(thing).__name__ + "(")
        assert "array" not in repr(thing) and "\n" not in repr(thing)
        assert len(repr(thing)) <= 300
    assert repr(network.layers[0]) == (
        "Conv2D(conv1 of input: kernel 3x3x2x6, bias 6, stride (2, 1), padding (1, 1, 1, 1), "
        "groups 1, dilation (1, 1))"
    )
    assert repr(replace(Flatten("f", ("a",)))) == "Flatten(f of a)"
    assert "AmosOptions(" in repr(conversion) and "everything" in repr(conversion)


def test_a_conversion_runs_and_shows_the_same_as_its_reference():
    """From a shipped network to predictions by public names only."""
    images, labels = (part[:20] for part in ab.load_images("digits", "test"))
    conversion = ab.convert(ab.load_network(ab.trained("digits-noise")), ab.NoiseOptions(n_steps=2))
    recording = ab.simulate(conversion, images, target="numpy")
    assert isinstance(recording, ab.Recording)
    assert np.array_equal(recording.scores, ab.reference(conversion, images).scores)
    assert ab.accuracy(recording.scores[:, -1], labels) > 0.8
