"""Files are told apart by their names, and those that are not read say what to do."""

import subprocess
import sys

import pytest
from ann2brian.models.importing.formats import network_format
from ann2brian.models.installs import needed
from ann2brian.models.messages import one_line
from ann2brian.models.places import ROOT


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("net.onnx", "onnx"),
        ("net.keras", "keras"),
        ("folder/NET.H5", "keras"),
        ("net.hdf5", "keras"),
        ("net.safetensors", "safetensors"),
    ],
)
def test_files_that_are_read(name, kind):
    """By the ending, in any case."""
    assert network_format(name) == kind


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("net.pt", "weights_only=True"),
        ("net.pth", "weights_only=True"),
        ("net.pt2", "give the module to from_torch"),
        ("net.pb", "tf2onnx"),
        ("net.tflite", "save the Keras model"),
        ("net.mlmodel", "Core ML"),
        ("net.pkl", "is a pickle, which is not run"),
        ("net.npz", "no structure"),
        ("net.json", "no weights"),
        ("net.xyz", "in no format that is known here"),
        ("net", "in no format that is known here"),
    ],
)
def test_files_that_are_not_read(name, advice, tmp_path):
    """One line with the file's name."""
    with pytest.raises(ValueError, match=advice) as caught:
        network_format(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_folders(tmp_path):
    """A SavedModel is one, and any other."""
    with pytest.raises(ValueError, match="is a folder, not a network file"):
        network_format(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match=r"TensorFlow SavedModel; .* --saved-model "):
        network_format(tmp_path)


@pytest.mark.parametrize(
    ("reader", "file", "package"), [("onnx", "a.onnx", "onnx"), ("keras", "a.keras", "h5py")]
)
def test_a_missing_package_is_named(reader, file, package, tmp_path):
    """Reading says which; importing the reader needs none of them."""
    (tmp_path / file).write_bytes(b"x")
    code = (
        f"import sys; sys.modules['{package}'] = None; import ann2brian as ab\n"
        f"try: ab.from_{reader}({str(tmp_path / file)!r})\n"
        f"except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert f"{package} is needed" in done.stdout, done.stderr
    assert f"pip install {package}" in done.stdout


def test_needed_names_the_package_of_a_module():
    """pip knows packages only."""
    assert needed("json", "read") is __import__("json")
    with pytest.raises(ImportError, match=r"pip install no_such_thing$"):
        needed("no_such_thing.inner", "read")


def test_messages_of_others_become_one_line():
    """Without what a terminal obeys, and not longer than a message should be."""
    assert one_line(ValueError("a\n\n b\x1b[31m\tc")) == "a b [31m c"
    assert one_line(KeyError()) == "KeyError"
    assert len(one_line(ValueError("x" * 10**6))) < 600
