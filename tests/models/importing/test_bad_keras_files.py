"""Keras files that are damaged, hostile or not read are refused by name, in one line, cheaply."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from ann2brian.models.importing import keras_files, keras_oracle
from ann2brian.models.importing.from_keras import from_keras

h5py = pytest.importorskip("h5py", reason="h5py is not installed")


def layer(kind, name, before=None, **config):
    """A layer as Keras 3 records it."""
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [before, 0, 0]}}
    calls = [{"args": [tensor], "kwargs": {}}] if before else []
    config = {"name": name, **config}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": calls}


def dense(before="in", **config):
    usual = {"units": 2, "activation": "linear", "use_bias": False}
    return layer("Dense", "out", before, **usual | config)


def structure(*layers, shape=(None, 3), **config):
    """A model of one input, then `layers`; the last one is its output."""
    layers = [layer("InputLayer", "in", batch_shape=list(shape)), *layers]
    config = {"input_layers": ["in", 0, 0], "output_layers": [layers[-1]["name"], 0, 0], **config}
    return {"class_name": "Functional", "config": {"name": "net", "layers": layers, **config}}


def weights(kernel=None, **entries):
    """Bytes of an HDF5 file with the weights of one dense layer."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"] = np.ones((3, 2), np.float32) if kernel is None else kernel
        for change in entries.values():
            change(group)
    return held.getvalue()


def archive(path, model=None, compression=zipfile.ZIP_STORED, **members):
    """Write a .keras file; `members` replace its parts, None leaves one out."""
    parts = {
        "config.json": json.dumps(structure(dense()) if model is None else model),
        "metadata.json": json.dumps({"keras_version": "3.15.1"}),
        "model.weights.h5": weights(),
    }
    parts |= {name.replace("_", "."): content for name, content in members.items()}
    parts["model.weights.h5"] = parts.pop("weights", parts["model.weights.h5"])
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in parts.items():
            if content is not None:
                file.writestr(name, content)
    return path


def refused(path, message, most=2**24):
    """Read a file that must be refused: in one line, with its name, in little memory."""
    x = np.zeros((1, 3), np.uint8)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            from_keras(path, x)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 600


@pytest.mark.filterwarnings("ignore:.*not compared")
def test_the_file_that_the_others_are_made_of_is_read(tmp_path):
    """Else nothing below would say anything."""
    network = from_keras(archive(tmp_path / "net.keras"), np.full((1, 3), 255, np.uint8))
    np.testing.assert_array_equal(network.forward(np.full((1, 1, 1, 3), 255)), [[3, 3]])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_that_are_cut_short(suffix, tmp_path):
    """At any place; and files of other kinds."""
    path = archive(tmp_path / "whole.keras")
    whole = path.read_bytes()
    if suffix == ".h5":
        held = h5py.File(tmp_path / "whole.h5", "w")
        held.attrs["model_config"] = json.dumps(structure(dense()))
        held["model_weights/out/out/kernel"] = np.ones((3, 2))
        held["model_weights/out"].attrs["weight_names"] = [b"out/kernel"]
        held.close()
        whole = (tmp_path / "whole.h5").read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in (0, 3, 4, 100, 600, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        refused(cut, "save the model again|save the whole model")
    for content in (b"text", b"\x89HDF\r\n\x1a\n" + bytes(2000), b"PK\x03\x04" + bytes(2000)):
        cut.write_bytes(content)
        refused(cut, "save the model again")
    refused(tmp_path / f"missing{suffix}", "no such file")


def test_archives_that_lie_about_sizes(tmp_path):
    """Bombs are refused before they are unpacked."""
    packed = zipfile.ZIP_DEFLATED
    bomb = archive(tmp_path / "a.keras", compression=packed, config_json=b" " * 2**26)
    refused(bomb, r"config.json is declared as 67108864 bytes")
    bomb = archive(tmp_path / "b.keras", compression=packed, weights=bytes(2**26))
    refused(bomb, r"model.weights.h5 is declared as 67108864 bytes")
    deep = archive(tmp_path / "c.keras", config_json="[" * 100_000 + "]" * 100_000)
    refused(deep, "no valid JSON")
    refused(archive(tmp_path / "d.keras", config_json="[1]"), "no JSON object")
    refused(archive(tmp_path / "e.keras", config_json=None), "holds no config.json")
    refused(archive(tmp_path / "f.keras", weights=None), "holds no model.weights.h5")
    refused(archive(tmp_path / "g.keras", weights=b"nothing"), "damaged or cut short")
    path = archive(tmp_path / "h.keras")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Dense", b"Dents", 1))
    refused(path, "damaged or cut short.*CRC")


def external(group):
    group["0"] = h5py.ExternalLink("other.h5", "/secret")


def soft(group):
    group["0"] = h5py.SoftLink("/elsewhere")


def raw_file(group):
    group.create_dataset("0", (3, 2), "f4", external=[("/etc/hostname", 0, 24)])


def virtual(group):
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 2))
    group.create_virtual_dataset("0", layout)


def unwritten(group):
    group.create_dataset("0", (2**15, 2**14), "f4", chunks=(2**9, 2**9))


def packed_zeros(group):
    group.create_dataset("0", data=np.zeros((2**11, 2**10), np.float32), compression="gzip")


def objects(group):
    group.create_dataset("0", (3, 2), h5py.string_dtype())


def whole_numbers(group):
    group["0"] = np.ones((3, 2), np.int8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "'0' is a link to somewhere else"),
        (soft, "'0' is a link to somewhere else"),
        (raw_file, "kernel lies in another file"),
        (virtual, "kernel lies in another file"),
        (unwritten, r"declared as \(32768, 16384\)"),
        (packed_zeros, r"declared as \(2048, 1024\)"),
        (objects, "dtype object, not floats"),
        (whole_numbers, "dtype int8, not floats; quantised"),
        (lambda group: group.create_group("0"), "kernel is a group"),
        (lambda group: None, "holds the weights none, expected are kernel"),
    ],
)
def test_weights_that_are_no_arrays_of_floats(change, message, tmp_path):
    """Links, other files, declared sizes that nothing is stored for, and objects."""

    def replace(group):
        del group["0"]
        change(group)

    path = archive(tmp_path / "net.keras", weights=weights(replace=replace))
    refused(path, rf"layer out \(Dense\): .*{message}")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (structure(layer("Lambda", "f", "in", function=["4wEA"])), r"f \(Lambda\): holds Python"),
        (structure(layer("LSTM", "r", "in", units=2)), r"layer r \(LSTM\): is recurrent"),
        (structure(layer("Mine", "m", "in")), r"layer m \(Mine\): is not supported"),
        (structure(dense(activation={"class_name": "function", "config": "x"})), "function"),
        (
            structure(dense(activation={"value": ["4wEA"]})),
            r"out \(Dense\): has an activation that",
        ),
        (structure(dense("nowhere")), "layers out: their inputs come from nowhere"),
        (structure(dense("out")), "layers out: their inputs come from nowhere"),
        (structure(dense(), shape=(None, None)), "axes left open"),
        (structure(dense(), output_layers=[["in", 0, 0], ["out", 0, 0]]), "several outputs"),
        (structure(dense(), input_layers=[["in", 0, 0], ["x", 0, 0]]), "several inputs"),
        ({"class_name": "Net", "config": {}}, "'Net', whose code is not in the file"),
        (structure(layer("Dense", "out", "in")), "its structure is not that of"),
        (structure(layer("Reshape", "s", "in", target_shape=[2, 2])), "cannot reshape"),
        (structure(layer("RepeatVector", "s", "in", n=10**9), dense("s")), "more than"),
    ],
)
def test_models_that_are_not_read(model, message, tmp_path):
    """The message names the layer and says why."""
    refused(archive(tmp_path / "net.keras", model), message)


def test_weights_that_do_not_fit(tmp_path):
    """NaN, and shapes that the structure contradicts."""
    refused(
        archive(tmp_path / "a.keras", weights=weights(np.full((3, 2), np.nan, np.float32))),
        r"layer out \(Dense\): .*kernel\[0, 0\] is nan",
    )
    refused(
        archive(tmp_path / "b.keras", weights=weights(np.ones((4, 2), np.float32))),
        r"layer out \(Dense\): takes 4 values",
    )
    refused(
        archive(tmp_path / "c.keras", weights=weights(named=renamed)),
        "the file holds the weights of 'other' in its place",
    )


def renamed(group):
    group.attrs["name"] = "other"


def test_files_with_weights_or_structure_only(tmp_path):
    """What `save_weights` and `to_json` write."""
    path = tmp_path / "net.weights.h5"
    path.write_bytes(weights())
    refused(path, "holds no structure, perhaps weights only; save the whole model")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(structure(dense()))
    refused(tmp_path / "net.h5", "a structure and no weights")


def test_limits_are_those_of_the_sum(tmp_path, monkeypatch):
    """Many weights may not take what one may not."""
    monkeypatch.setattr(keras_files, "MAX_ARRAYS", 2000)
    refused(archive(tmp_path / "net.keras"), "model.weights.h5 is declared")


def changed(part, rng):
    """The same JSON with one value somewhere left out or replaced."""
    places = []

    def collect(value):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            places.append((value, key))
            if isinstance(inner, dict | list):
                collect(inner)

    part = json.loads(json.dumps(part))
    collect(part)
    holder, key = places[rng.integers(len(places))]
    if rng.random() < 0.3:
        del holder[key]
    else:
        others = [None, -1, 10**30, 0.5, "", "Dense", [], {}, [[]], {"class_name": "Dense"}, True]
        holder[key] = others[rng.integers(len(others))]
    return part


@pytest.mark.filterwarnings("ignore:.*not compared")
def test_structures_with_any_value_wrong(tmp_path, monkeypatch):
    """Refused by a ValueError that names the file, or of no influence."""
    monkeypatch.setattr(keras_oracle, "values", not_compared)
    rng = np.random.default_rng(0)
    conv = {"filters": 2, "kernel_size": [2, 2], "strides": [1, 1], "padding": "same"}
    conv |= {"use_bias": False, "activation": "relu", "dilation_rate": [1, 1], "groups": 1}
    model = structure(
        layer("Conv2D", "c", "in", data_format="channels_last", **conv),
        layer("MaxPooling2D", "p", "c", pool_size=[2, 2], strides=None, padding="valid"),
        layer("Flatten", "f", "p"),
        dense("f"),
        shape=(None, 2, 2, 1),
    )
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file["layers/conv2d/vars/0"] = np.ones((2, 2, 1, 2))
        file["layers/dense/vars/0"] = np.ones((2, 2))
    x = np.ones((1, 2, 2, 1), np.uint8)
    path = archive(tmp_path / "net.keras", model, weights=held.getvalue())
    whole = from_keras(path, x, maximum=255)
    n_read = 0
    for _ in range(150):
        archive(path, changed(model, rng), weights=held.getvalue())
        try:
            network = from_keras(path, x, maximum=255)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            n_read += 1
            assert network.input.shape == whole.input.shape
    assert 0 < n_read < 75


def not_compared(*_arguments):
    raise keras_oracle.NotCompared("as told")
