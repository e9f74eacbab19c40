"""Weight files: what is read back against what was written, and every kind of damage."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layer_types import LAYER_TYPES
from ann2brian.models.networks.layers import (
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    BinaryConv2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    MaxPool2D,
    Multiply,
    QuantisedReLU,
    Resample2D,
    Spike,
)
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.networks.weight_files import (
    WeightFileError,
    load_info,
    load_network,
    save_network,
    trained,
    trained_networks,
)
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.support.networks import stateful

INFO = {"seed": 3, "test_accuracy": 0.9123, "versions": {"torch": "2.13.0"}, "note": None}


@pytest.fixture
def network():
    """One layer of each kind; the weights are float32 numbers, so a file can hold them exactly."""
    rng = np.random.default_rng(8)

    def weights(*shape):
        return rng.normal(size=shape).astype(np.float32)

    return Network(
        name="all layers",
        input=InputCoding((8, 6, 2), 1.5, weights(2), weights(2), signed=True),
        layers=(
            Conv2D("c", ("input",), weights(3, 3, 1, 4), weights(4), (2, 1), (1, 1), groups=2),
            BatchNorm("n", ("c",), weights(4), weights(4), weights(4), weights(4) ** 2, 1e-3),
            Activation("a", ("n",), "gelu"),
            Add("s", ("c", "a")),
            LeakyReLU("l", ("s",), weights(4)),
            Concat("e", ("l", "s")),
            Activation("t", ("e",), "clip", (-0.1, 0.7)),  # no float32 numbers either
            Multiply("x", ("t", "e")),
            Resample2D("r", ("x",), weights(4, 4), weights(6, 6)),
            Conv2D("c1", ("r",), weights(1, 2, 8, 4), weights(4), (1, 1), (0, 0, 1, 2), 1, (2, 3)),
            MaxPool2D("m", ("c1",), (3, 3), (1, 1), (1, 1)),
            QuantisedReLU("q", ("m",), 0.1, 6),
            AvgPool2D("p", ("q",), (2, 2), (2, 2)),
            Spike("k", ("p",), 1.5, 1.3, 0.1, 0.3, "hard", 4),  # no float32 numbers
            BinaryConv2D(
                "b", ("k",), np.sign(weights(1, 1, 2, 6)), weights(6), groups=2
            ),  # 12 bits
            Conv2D("c2", ("b",), weights(2, 1, 6, 3), weights(3)),
            GlobalAvgPool("g", ("c2",)),
            Flatten("f", ("g",)),
            Dense("d", ("f",), weights(3, 2), weights(2)),
        ),
        classes=("no", "yes"),
    )


@pytest.fixture
def file(network, tmp_path):
    return save_network(network, tmp_path / "new folder" / "net.safetensors", INFO)


def test_round_trip(network, file):
    """All fields of the loaded network against the saved one, and the logits, exactly."""
    loaded = load_network(file)
    assert_equal_networks(loaded, network)
    images = np.random.default_rng(0).uniform(-1.5, 1.5, (4, 8, 6, 2))
    np.testing.assert_array_equal(loaded.forward(images), network.forward(images))
    assert load_info(file) == INFO


def assert_equal_networks(loaded, network):
    """All fields of all layers, and their types."""
    assert (loaded.name, loaded.classes) == (network.name, network.classes)
    assert loaded.shapes == network.shapes
    for layer, original in zip(loaded.layers, network.layers, strict=True):
        assert type(layer) is type(original)
        for field in type(original).__dataclass_fields__:
            value, expected = getattr(layer, field), getattr(original, field)
            np.testing.assert_array_equal(value, expected)
            assert type(value) is type(expected), field


def test_round_trip_of_neurons_with_a_state(network, tmp_path):
    """Likewise a recurrent network of numbers as files hold them; what it lacks stays away."""
    recurrent = load_network(save_network(stateful(), tmp_path / "first.safetensors"))
    assert all(layer.tau is None for layer in recurrent.layers if layer.name in ("map", "first"))
    kinds = {type(layer) for layer in (*network.layers, *recurrent.layers)}
    assert kinds == set(LAYER_TYPES.values())
    path = save_network(recurrent, tmp_path / "net.safetensors")
    assert_equal_networks(load_network(path), recurrent)


def binary_network(shape, seed=0):
    """One layer of random signs on as many channels as it takes, and a mean."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], shape)
    code = InputCoding((*shape[:2], shape[2]), 1, np.ones(shape[2]), np.zeros(shape[2]))
    scale = rng.uniform(0.5, 1, shape[3]).astype(np.float32)
    layers = (BinaryConv2D("b", ("input",), signs, scale), GlobalAvgPool("g", ("b",)))
    return Network("signs", code, layers, tuple(f"class {i}" for i in range(shape[3])))


SHAPES = [(1, 1, 1, 1), (1, 1, 1, 7), (2, 2, 1, 2), (3, 3, 1, 1), (3, 1, 3, 5), (5, 5, 3, 11)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_signs_take_a_bit_each(shape, tmp_path):
    """Bytes and bits of packed signs against ceil(n / 8), and against a loop over the signs."""
    network = binary_network(shape)
    file = save_network(network, tmp_path / "net.safetensors")
    signs, n = network.layers[0].signs.ravel(), int(np.prod(shape))
    packed = load_file(file)["b.signs"]
    assert (packed.dtype, packed.shape) == (np.uint8, (-(-n // 8),))
    for index, byte in enumerate(packed.tolist()):
        bits = [int(sign > 0) for sign in signs[8 * index : 8 * index + 8]]
        bits += [0] * (8 - len(bits))
        assert byte == int("".join(map(str, bits)), 2)
    loaded = load_network(file).layers[0]
    np.testing.assert_array_equal(loaded.signs, network.layers[0].signs)
    np.testing.assert_array_equal(loaded.scale, network.layers[0].scale)


def test_every_sign_of_a_damaged_file_is_found_out(tmp_path):
    """Files with one flipped sign each, otherwise well-formed, against the checksum's error."""
    file = save_network(binary_network((3, 1, 3, 5)), tmp_path / "net.safetensors")
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
    for bit in range(48):  # 45 signs and what fills up the last byte
        tensors = load_file(file)
        tensors["b.signs"][bit // 8] ^= 128 >> bit % 8
        save_file(tensors, tmp_path / "damaged.safetensors", metadata=metadata)
        with pytest.raises(WeightFileError, match=r"damaged\.safetensors: the checksum does not"):
            load_network(tmp_path / "damaged.safetensors")


# Of the small network of the specification: n of each layer, and its output channels.
SMALL = {"conv1": (400, 16), "conv2": (4608, 32), "conv3": (9216, 32), "conv4": (320, 10)}
GEOMETRIES = {
    "conv1": ("input", 5, 1, (2, 2), (2, 2)),
    "conv2": ("act1", 3, 16, (2, 2), (1, 1)),
    "conv3": ("act2", 3, 32, (1, 1), (1, 1)),
    "conv4": ("act3", 1, 32, (1, 1), (0, 0)),
}


def small_network(binary):
    """16C5 stride 2 - 32C3 stride 2 - 32C3 - 10C1 - mean, with some layers binary."""
    rng = np.random.default_rng(0)
    layers = []
    for number, (name, (n, n_out)) in enumerate(SMALL.items(), start=1):
        before, size, n_in, stride, padding = GEOMETRIES[name]
        weights = rng.normal(size=(size, size, n_in, n_out))
        assert weights.size == n
        scale = np.abs(weights).mean(axis=(0, 1, 2))
        layers += [
            BinaryConv2D(name, (before,), np.sign(weights), scale, stride, padding)
            if name in binary
            else Conv2D(name, (before,), weights, np.zeros(n_out), stride, padding),
            BatchNorm(f"norm{number}", (name,), *np.ones((4, n_out)), 1e-5),
        ]
        if number < 4:
            layers.append(Spike(f"act{number}", (f"norm{number}",)))
    layers.append(GlobalAvgPool("gap", ("norm4",)))
    code = InputCoding((28, 28, 1), 255, [1 / 64], [-1])
    return Network("small", code, tuple(layers), tuple("0123456789"))


@pytest.mark.parametrize(
    ("binary", "saving"),
    [((), 0.0), (tuple(SMALL), 96.26), (("conv3",), 61.17), (("conv2", "conv3"), 91.64)],
)
def test_storage_of_the_small_network(binary, saving, tmp_path):
    """V4: bytes of the weights in a file against the saving of the specification, in percent.

    Signs and scales count as weights, biases and batch normalisation do not.
    """
    file = save_network(small_network(binary), tmp_path / "net.safetensors")
    tensors = load_file(file)
    n_bytes = 0
    for name, (n, n_out) in SMALL.items():
        fields = ("signs", "scale") if name in binary else ("kernel",)
        found = sum(tensors[f"{name}.{field}"].nbytes for field in fields)
        assert found == (n / 8 + 4 * n_out if name in binary else 4 * n)
        n_bytes += found
    assert 100 * (1 - n_bytes / (4 * 14544)) == pytest.approx(saving, abs=0.01)
    whole = save_network(small_network(()), tmp_path / "real.safetensors")
    # The files differ by that much less biases, and by text.
    biases = sum(4 * SMALL[name][1] for name in binary)
    assert whole.stat().st_size - file.stat().st_size == pytest.approx(
        4 * 14544 - n_bytes + biases, abs=600
    )


def test_transposed_kernel(tmp_path):
    """A kernel given as a transposed view against what is read back; the file is row-major."""
    kernel = np.arange(6.0).reshape(3, 2).T
    network = Network(
        "transposed",
        InputCoding((1, 1, 2), 1, [1, 1], [0, 0]),
        (Dense("d", ("input",), kernel, np.zeros(3)),),
        ("a", "b", "c"),
    )
    file = save_network(network, tmp_path / "net.safetensors")
    np.testing.assert_array_equal(load_network(file).layers[0].kernel, kernel)


def test_only_the_file_is_left(network, file):
    """The folder's content against the one file, after a save over an older one."""
    save_network(network, file, {"seed": 4})
    assert list(file.parent.iterdir()) == [file]
    assert load_info(file) == {"seed": 4}


def test_same_network_same_bytes(network, file, tmp_path):
    """Bytes of two saves of one network against each other."""
    again = save_network(network, tmp_path / "again.safetensors", INFO)
    assert again.read_bytes() == file.read_bytes()


def test_failed_save_keeps_the_old_file(network, file, monkeypatch):
    """The file after a save that breaks in the middle against the file before."""
    before = file.read_bytes()

    def broken(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(type(file), "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        save_network(network, file, {"seed": 4})
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_every_flipped_bit_is_found(tmp_path):
    """Copies with one flipped bit, at every byte, against the error that names the file."""
    file = save_network(binary_network((3, 1, 3, 5)), tmp_path / "net.safetensors", INFO)
    content = file.read_bytes()
    rng = np.random.default_rng(1)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        with pytest.raises(WeightFileError, match=r"net\.safetensors"):
            load_network(file)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_file(file, share):
    """The first part of a file against the error that names it."""
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    for read in (load_network, load_info):
        with pytest.raises(WeightFileError, match=r"net\.safetensors: .*cut short.*train it again"):
            read(file)


def test_missing_file(tmp_path):
    """A path without a file against the error that names it."""
    with pytest.raises(WeightFileError, match=r"nothing\.safetensors: no such weight file"):
        load_network(tmp_path / "nothing.safetensors")
    with pytest.raises(WeightFileError, match="is a folder, not a network file"):
        load_network(tmp_path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"ann2brian": "[]"}])
def test_foreign_file(tmp_path, metadata):
    """A safetensors file of other origin against the error that says how to convert."""
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": np.ones(3, np.float32)}, path, metadata=metadata)
    with pytest.raises(WeightFileError, match=r"foreign\.safetensors.*with from_torch"):
        load_network(path)


def rewrite(file, change):
    """Change the structure of a file and give it a valid checksum, as other code might."""
    tensors = load_file(file)
    structure = json.loads(json.dumps(storage._read(file)[0]))
    change(structure)
    document = {"sha256": storage._digest(structure, tensors), "structure": structure}
    save_file(tensors, file, metadata={"ann2brian": json.dumps(document)})


def test_files_from_before_uneven_padding(network, file):
    """Paddings as pairs, no dilation and no parameters are the same network."""
    even = replace(network.layer("c1"), padding=(0, 1), dilation=(1, 1))
    network = replace(network, layers=tuple(even if x.name == "c1" else x for x in network.layers))
    save_network(network, file)

    def older(structure):
        for layer in structure["layers"]:
            layer.pop("dilation", None)
            if not layer.get("parameters"):
                layer.pop("parameters", None)
            if "padding" in layer:
                layer["padding"] = layer["padding"][::2]

    rewrite(file, older)
    images = np.random.default_rng(0).uniform(-1.5, 1.5, (4, 8, 6, 2))
    np.testing.assert_array_equal(load_network(file).forward(images), network.forward(images))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.update(format="version 99"), "'version 99', this version reads"),
        (lambda s: s.update(classes=["one"]), "1 classes need"),
        (lambda s: s["layers"][0].update(kind="Conv9D"), "Conv9D"),
        (lambda s: s["layers"][0].update(colour="red"), "colour"),
        (lambda s: s["layers"][0].update(padding=[1, 2, 3]), "'c': padding must be two or four"),
        (lambda s: s["layers"][0].update(dilation=[0, 1]), "'c': dilation must be two whole"),
        (lambda s: s["layers"][2].update(function="elu"), "'a': parameters of elu must be"),
        (lambda s: s["layers"][-1].update(name="e"), "e.kernel"),
    ],
)
def test_valid_checksum_but_no_valid_network(file, change, message):
    """Structures that are intact but wrong against the error that names the file and the value."""
    rewrite(file, change)
    with pytest.raises(WeightFileError, match=rf"net\.safetensors: .*{message}"):
        load_network(file)


def test_refused_saves(network, tmp_path):
    """Saves that cannot be read back against their messages; nothing is written."""
    with pytest.raises(WeightFileError, match=r"net\.npz: a weight file is named"):
        save_network(network, tmp_path / "net.npz")
    for info in ({"path": tmp_path}, {"loss": float("nan")}):
        with pytest.raises(WeightFileError, match="info is not plain JSON"):
            save_network(network, tmp_path / "net.safetensors", info)
    huge = Network(
        "huge",
        InputCoding((1, 1, 1), 1, [1], [0]),
        (Dense("d", ("input",), [[1e300]], [0.0]),),
        ("one",),
    )
    with pytest.raises(WeightFileError, match=r"d\.kernel does not fit into float32"):
        save_network(huge, tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_list_of_trained_networks(network, tmp_path, monkeypatch):
    """The list and look-up of a folder's networks against the files in it."""
    monkeypatch.setattr(storage, "TRAINED_FOLDER", tmp_path)
    with pytest.raises(WeightFileError, match="there are none"):
        trained("b")
    for name in ("b", "a"):
        save_network(network, tmp_path / f"{name}.safetensors")
    (tmp_path / "notes.txt").write_text("not a network")
    assert list(trained_networks().items()) == [
        (name, tmp_path / f"{name}.safetensors") for name in ("a", "b")
    ]
    assert trained("b") == tmp_path / "b.safetensors"
    with pytest.raises(WeightFileError, match=r"'c' in .*there are a, b\. Train it with"):
        trained("c")


def test_shipped_networks_are_intact():
    """Every shipped file against its checksum, its name, and 2 MB."""
    files = trained_networks()
    assert files
    for name, path in files.items():
        assert load_network(path).name == name
        assert {"seed", "epochs", "test_accuracy", "command", "versions"} <= load_info(path).keys()
        assert path.stat().st_size < 2_000_000
