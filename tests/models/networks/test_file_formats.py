"""Formats told by content against the libraries that write them, whatever a file is called."""

import io
import json
import pickle
import zipfile
from functools import partial

import numpy as np
import pytest
from ann2brian.models.importing.formats import network_format
from ann2brian.models.importing.from_keras import from_keras
from ann2brian.models.importing.from_onnx import from_onnx
from ann2brian.models.networks.file_formats import ABOUT, other_format, recognised
from ann2brian.models.networks.own_images import read as read_images
from ann2brian.models.networks.weight_files import (
    WeightFileError,
    load_info,
    load_network,
    save_network,
)
from safetensors.numpy import save

from tests.support.networks import pooled_network
from tests.support.onnx_graphs import model, step
from tests.support.with_files import onnx_or_skip

NETWORK = pooled_network()


def archive(*members):
    """A zip archive of empty files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in members:
            file.writestr(name, b"content")
    return content.getvalue()


def npz():
    content = io.BytesIO()
    np.savez(content, images=np.zeros(3))
    return content.getvalue()


def onnx_model():
    onnx = onnx_or_skip()
    built = model(onnx, (2, 6, 7), step("Relu", ""))
    built.producer_name, built.doc_string = "an exporter", "two\nlines " * 600
    return built.SerializeToString()


def of_torch(new):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    content = io.BytesIO()
    state = {"weight": torch.zeros(3)}
    torch.save(state, content, _use_new_zipfile_serialization=new)
    return content.getvalue()


def hdf5():
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["a"] = np.zeros(3)
    return content.getvalue()


CONTENTS = {
    "onnx": onnx_model,
    "keras": lambda: archive("metadata.json", "config.json", "model.weights.h5"),
    "hdf5": hdf5,
    "safetensors": lambda: save({"a": np.zeros(3, np.float32)}, {"key": "value"}),
    "torch": lambda: of_torch(True),
    "torchscript": lambda: archive("net/data.pkl", "net/code/__torch__.py"),
    "torch.export": lambda: archive("net/archive_format", "net/data.pkl"),
    "pickle": lambda: pickle.dumps({"a": [1, 2]}),
    "tflite": lambda: b"\x1c\0\0\0TFL3" + bytes(100),
    "numpy": npz,
    "lfs": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    "page": lambda: b"<!DOCTYPE html>\n<html></html>",
}
MORE = {
    "torch": lambda: of_torch(False),  # before torch.save wrote archives
    "numpy": lambda: npz()[:40],  # cut short
    "keras": lambda: archive("config.json", "model.weights.h5")[:60],
    # Whose length makes it begin like a pickle.
    "safetensors": lambda: save({"a": np.zeros(3, np.float32)}, {"key": "a" * 556}),
}


def written(content, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_all_formats_are_tried():
    """None without a file here."""
    assert {*CONTENTS, "folder", "savedmodel"} == set(ABOUT)


@pytest.mark.parametrize(("name", "make"), [*CONTENTS.items(), *MORE.items()])
def test_format_is_told_by_content(name, make, tmp_path):
    """Under the name of another one."""
    path = written(make(), tmp_path, "net.any")
    assert recognised(path) == name
    assert other_format(path, name) is None and other_format(path) == ABOUT[name]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08",
        bytes(100),
        b"\x08\x01\x12\x05\x0a\x03\x1a\x01a",  # of a TensorFlow SavedModel, also in protobuf
        b"{}" * 50,
        b"PK\x03\x04" + bytes(100),
        json.dumps({"a": 1}).encode(),
        np.random.default_rng(0).bytes(5000),
    ],
)
def test_what_tells_nothing(content, tmp_path):
    """Damaged files and unknown ones; readers say what they find in them."""
    assert recognised(written(content, tmp_path, "net.onnx")) is None
    assert recognised(tmp_path / "absent.onnx") is None


@pytest.mark.parametrize(
    ("reader", "own"),
    [
        (from_onnx, ("onnx",)),
        (from_keras, ("keras", "hdf5")),
        (load_network, ("safetensors",)),
    ],
)
def test_a_reader_says_who_reads_a_file(reader, own, tmp_path):
    """By any name, and in one line."""
    for name in CONTENTS.keys() - {*own}:
        path = written(CONTENTS[name](), tmp_path, "net.onnx")
        with pytest.raises(ValueError, match=r"net\.onnx: (is|holds) ") as caught:
            reader(path)
        assert str(caught.value) == f"{path}: {ABOUT[name]}"
        assert isinstance(caught.value, WeightFileError) == (reader is load_network)


@pytest.mark.parametrize("reader", [from_onnx, from_keras, load_network, network_format])
def test_a_folder_is_no_missing_file(reader, tmp_path):
    """A SavedModel is one, and what any other is named does not matter."""
    for name in ("net", "net.onnx", "net.keras"):
        folder = tmp_path / name
        folder.mkdir()
        with pytest.raises(ValueError, match=rf"{name}: is a folder, not a network file"):
            reader(folder)
        (folder / "saved_model.pb").touch()
        with pytest.raises(ValueError, match=rf"{name}: is a TensorFlow SavedModel; save the Ker"):
            reader(folder)
    package = tmp_path / "net.mlpackage"
    package.mkdir()
    with pytest.raises(ValueError, match="Core ML"):
        network_format(package)


@pytest.mark.parametrize(
    ("taker", "name"),
    [
        (load_network, "load_network"),
        (load_info, "load_info"),
        (network_format, "network_format"),
        (read_images, "read_images"),
        (partial(save_network, NETWORK), "save_network"),
    ],
)
@pytest.mark.parametrize("path", [5, None, b"net.onnx", ["net.onnx"], NETWORK])
def test_what_is_no_path_is_named(taker, name, path):
    """The argument's type and who takes it."""
    with pytest.raises(TypeError, match=f"{name} takes the path of .*, got {type(path).__name__}"):
        taker(path)


def test_arguments_in_the_wrong_order_are_named(tmp_path):
    """The path first, and a module that was not read."""
    for first in (tmp_path / "net.safetensors", object()):
        with pytest.raises(TypeError, match="takes a Network and the path of a file, got "):
            save_network(first, NETWORK)


def test_names_count_only_where_content_tells_nothing(tmp_path):
    """The reader of a file with another's name."""
    assert network_format(written(CONTENTS["safetensors"](), tmp_path, "a.onnx")) == "safetensors"
    assert network_format(written(CONTENTS["keras"](), tmp_path, "a.pt")) == "keras"
    assert network_format(written(b"damaged", tmp_path, "b.onnx")) == "onnx"
    with pytest.raises(
        ValueError, match=r"a\.onnx: is a file of torch.save.*from_torch.*--weights"
    ):
        network_format(written(CONTENTS["torch"](), tmp_path, "a.onnx"))
