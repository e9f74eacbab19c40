"""Keras files give the logits that Keras gives, whatever layers they hold."""

import importlib.util
import json
import sys

import numpy as np
import pytest
from ann2brian.models.importing import keras_layers
from ann2brian.models.importing.from_keras import from_keras
from ann2brian.models.networks.layers import Activation, Conv2D, Dense, Flatten

from tests.support.with_files import keras_or_skip

keras = keras_or_skip()
h5py = pytest.importorskip("h5py")
L = keras.layers


def images(*shape, n=3):
    """A few raw images of bytes."""
    return np.random.default_rng(1).integers(0, 256, (n, *shape), dtype=np.uint8)


def drawn(model, seed=0):
    """The model with weights of all kinds at random; variances are positive."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype != "float32":
            continue
        wanted = rng.uniform(-0.5, 0.5, variable.shape)
        variable.assign(np.abs(wanted) + 0.3 if "variance" in variable.path else wanted)
    return model


def sequential(*layers, shape):
    return keras.Sequential([keras.Input(shape), *layers])


def functional(shape, build):
    inputs = keras.Input(shape)
    return keras.Model(inputs, build(inputs))


def logits(model, x):
    """What Keras gives for images that it takes divided by 255; a softmax at the end undone."""
    return keras.ops.convert_to_numpy(model(x / np.float32(255), training=False))


def agrees(model, shape, tmp_path, suffix):
    """Write the model, read it, and compare the logits with its own."""
    path = tmp_path / f"net{suffix}"
    model.save(path)
    x = images(*shape)
    network = from_keras(path, x)
    np.testing.assert_allclose(
        network.forward(x if x.ndim == 4 else x.reshape(len(x), *network.input.shape)),
        logits(model, x),
        rtol=2e-4,
        atol=2e-4,
    )
    return network


def residual(x):
    y = L.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x)
    y = L.BatchNormalization()(y)
    y = L.ReLU()(y)
    z = L.Conv2D(4, 1, strides=2)(x)
    y = L.Activation("relu")(L.Add()([y, z]))
    return L.Dense(3)(L.GlobalAveragePooling2D()(y))


def shared(x):
    block = keras.Sequential([keras.Input((6, 6, 2)), L.Conv2D(2, 3, padding="same"), L.ReLU()])
    inner = keras.Input((6, 6, 2))
    nested = keras.Model(inner, L.Add()([L.BatchNormalization()(L.Conv2D(2, 1)(inner)), inner]))
    norm = L.BatchNormalization()
    y = norm(block(norm(block(x))))
    return L.Dense(3)(L.Flatten()(nested(nested(y))))


def operations(x):
    y = 0.5 - (L.Conv2D(2, 2)(x) * 2.0 + 1.0) / 3.0
    y = keras.ops.maximum(y, keras.ops.relu(y - y * y))
    return L.Dense(3)(L.Flatten()(y))


def branches(x):
    a = L.MaxPooling2D(3, strides=1, padding="same")(x)
    b = L.AveragePooling2D(3, strides=1, padding="same")(x)
    c = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="tanh")(x)
    joined = L.Concatenate()([a, b, c])
    gate = L.GlobalAveragePooling2D(keepdims=True)(joined)
    gate = L.Dense(8, activation="hard_sigmoid")(gate)
    y = L.Multiply()([joined, gate])
    y = L.Average()([L.Cropping2D(1)(y), L.MaxPooling2D(3, strides=1)(y)])
    y = L.Maximum()([y, L.Subtract()([y, L.LeakyReLU()(y)])])
    return L.Dense(4)(L.GlobalMaxPooling2D()(y))


MODELS = {
    "residual": ((7, 7, 2), lambda s: functional(s, residual)),
    "shared": ((6, 6, 2), lambda s: functional(s, shared)),
    "branches": ((6, 6, 2), lambda s: functional(s, branches)),
    "dense": ((9,), lambda s: sequential(L.Dense(5, activation="gelu"), L.Dense(3), shape=s)),
    "grey": (
        (5, 5, 1),
        lambda s: sequential(
            L.Rescaling(2.0, offset=-1.0),
            L.ZeroPadding2D(((1, 0), (2, 1))),
            L.Conv2D(3, (2, 3), dilation_rate=2, activation="silu"),
            L.UpSampling2D((2, 3)),
            L.UpSampling2D(2, interpolation="bilinear"),
            L.PReLU(shared_axes=[1, 2]),
            L.SpatialDropout2D(0.5),
            L.Permute((2, 1, 3)),
            L.Reshape((-1, 3)),
            L.Flatten(),
            L.Dense(2),
            shape=s,
        ),
    ),
    "separable": (
        (8, 8, 3),
        lambda s: sequential(
            L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 0.5]),
            L.SeparableConv2D(4, 3, strides=2, padding="same", activation="relu6"),
            L.Conv2D(4, 3, groups=2, activation="elu"),
            L.GlobalAveragePooling2D(),
            L.Dense(3, activation="softplus"),
            L.Dense(3, use_bias=False),
            shape=s,
        ),
    ),
    "sequence": (
        (11, 2),
        lambda s: sequential(
            L.Conv1D(4, 4, strides=2, padding="same", activation="relu"),
            L.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="leaky_relu"),
            L.ZeroPadding1D(1),
            L.MaxPooling1D(2),
            L.Cropping1D((0, 1)),
            L.SeparableConv1D(3, 2, activation="hard_silu"),
            L.AveragePooling1D(2, strides=1, padding="same"),
            L.UpSampling1D(2),
            L.GlobalMaxPooling1D(),
            L.RepeatVector(2),
            L.Flatten(),
            L.Dense(3, activation="selu"),
            shape=s,
        ),
    ),
    "clipped": (
        (4, 4, 2),
        lambda s: sequential(
            L.Conv2D(3, 2),
            L.BatchNormalization(scale=False),
            L.ReLU(max_value=0.5),
            L.ReLU(negative_slope=0.1),
            L.ELU(0.7),
            L.BatchNormalization(center=False),
            L.Flatten(),
            L.Dense(3, activation="sigmoid"),
            shape=s,
        ),
    ),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_keras(name, suffix, tmp_path):
    """Every kind of layer, in both formats."""
    shape, build = MODELS[name]
    agrees(drawn(build(shape)), shape, tmp_path, suffix)


def test_operations_that_keras_records(tmp_path):
    """Sums, products and functions outside of layers, which Keras reads from .keras only."""
    agrees(drawn(functional((4, 4, 2), operations)), (4, 4, 2), tmp_path, ".keras")


def test_channels_first(tmp_path):
    """A model that says so; Flatten goes over the channels last."""
    first = {"data_format": "channels_first"}
    model = sequential(
        L.Conv2D(3, 3, strides=2, padding="same", **first),
        L.BatchNormalization(axis=1),
        L.MaxPooling2D(2, strides=1, **first),
        L.Flatten(**first),
        L.Dense(2),
        shape=(2, 7, 7),
    )
    model = drawn(model)
    model.save(tmp_path / "net.keras")
    x = images(7, 7, 2)
    network = from_keras(tmp_path / "net.keras", x)
    wanted = logits(model, x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(network.forward(x), wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("is_layer", [False, True])
def test_a_softmax_at_the_end_is_left_out(is_layer, tmp_path):
    """With a note; what it would give is the softmax of the logits."""
    end = [L.Dense(3), L.Softmax()] if is_layer else [L.Dense(3, activation="softmax")]
    model = drawn(sequential(L.Dense(4, activation="relu"), *end, shape=(6,)))
    model.save(tmp_path / "net.keras")
    x = images(6)
    with pytest.warns(UserWarning, match="softmax at the end is left out"):
        network = from_keras(tmp_path / "net.keras", x)
    wanted = logits(model, x)
    found = network.forward(x[:, None, None])
    assert abs(found.sum(1) - 1).max() > 0.1  # logits, not probabilities
    np.testing.assert_allclose(
        np.exp(found) / np.exp(found).sum(1, keepdims=True), wanted, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
def test_half_precision_is_compared_to_its_rounding(policy, suffix, tmp_path):
    """A layer in half precision between others, with a note, and a wrong one all the same."""
    model = drawn(
        sequential(
            L.Conv2D(3, 3, activation="relu", dtype=policy),
            L.Flatten(),
            L.Dense(3),
            shape=(6, 6, 2),
        )
    )
    path, x = tmp_path / f"net{suffix}", images(6, 6, 2)
    model.save(path)
    name = policy.removeprefix("mixed_")
    with pytest.warns(UserWarning, match=f"it computes in {name}, and the network in float64"):
        network = from_keras(path, x)
    wanted, found = logits(model, x), network.forward(x)
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_layers.KerasReader, "_activation", lambda _self, _name, value: value)
        with pytest.raises(ValueError, match="differs from the framework"):
            from_keras(path, x)


def test_a_product_with_an_array_is_refused(tmp_path):
    """Which Keras 3 records as if it were an input."""
    factor = np.arange(1.0, 4.0, dtype=np.float32)
    functional((6, 6, 3), lambda x: L.Dense(2)(L.Flatten()(x * factor))).save(
        tmp_path / "net.keras"
    )
    with pytest.raises(ValueError, match=r"\(Multiply\): is supported between layers, or between"):
        from_keras(tmp_path / "net.keras", images(6, 6, 3))


def test_the_check_finds_a_layer_that_is_read_wrongly(tmp_path, monkeypatch):
    """A convolution whose padding is that of PyTorch, not of TensorFlow."""
    model = drawn(
        sequential(
            L.Conv2D(2, 3, strides=2, padding="same"), L.Flatten(), L.Dense(2), shape=(6, 6, 1)
        )
    )
    model.save(tmp_path / "net.keras")
    monkeypatch.setattr(keras_layers.KerasReader, "_padding", lambda *_: (1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"net.keras: layer conv2d\w*: Conv2D 'conv1' differs"):
        from_keras(tmp_path / "net.keras", images(6, 6, 1))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_compiled_model_is_compared(suffix, tmp_path, monkeypatch):
    """What it was trained with is in the file; without a warning, and a wrong layer is found."""
    model = drawn(
        sequential(
            L.Conv2D(2, 3, strides=2, padding="same"), L.Flatten(), L.Dense(2), shape=(6, 6, 1)
        )
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True), metrics=["accuracy"])
    agrees(model, (6, 6, 1), tmp_path, suffix)
    monkeypatch.setattr(keras_layers.KerasReader, "_padding", lambda *_: (1, 1, 1, 1))
    with pytest.raises(ValueError, match="Conv2D 'conv1' differs"):
        from_keras(tmp_path / f"net{suffix}", images(6, 6, 1))


def test_without_keras_a_note_says_that_nothing_was_compared(tmp_path, monkeypatch):
    """A program without Keras reads the same network."""
    model = drawn(sequential(L.Dense(3), shape=(6,)))
    model.save(tmp_path / "net.keras")
    x = images(6)
    wanted = from_keras(tmp_path / "net.keras", x).forward(x[:, None, None])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "keras")
    with pytest.warns(UserWarning, match="not compared .*Keras is not installed"):
        network = from_keras(tmp_path / "net.keras", x)
    np.testing.assert_array_equal(network.forward(x[:, None, None]), wanted)


# A file as Keras 2 wrote it, by hand


def written_by_keras_2(path, activation="hard_sigmoid", **changes):
    """Write a convolution of stride 2 with `same` padding, and a dense layer; returns the weights.

    `changes` go into the attributes of the convolution.
    """
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 3, 2, 3)), rng.normal(size=3)
    weights = rng.normal(size=(27, 4))
    conv = {
        "name": "conv",
        "filters": 3,
        "kernel_size": [3, 3],
        "strides": [2, 2],
        "padding": "same",
    }
    conv |= {"data_format": "channels_last", "dilation_rate": [1, 1], "use_bias": True}
    conv |= {"activation": activation} | changes
    dense = {"name": "out", "units": 4, "activation": "linear", "use_bias": False}
    first = {"name": "in", "batch_input_shape": [None, 6, 6, 2], "dtype": "float32"}
    flatten = {"name": "flat", "data_format": "channels_last"}
    layers = []
    for kind, config, before in (
        ("InputLayer", first, None),
        ("Conv2D", conv, "in"),
        ("Flatten", flatten, "conv"),
        ("Dense", dense, "flat"),
    ):
        calls = [[[before, 0, 0, {}]]] if before else []
        layers.append(
            {"class_name": kind, "config": config, "name": config["name"], "inbound_nodes": calls}
        )
    config = {"name": "net", "layers": layers}
    config |= {"input_layers": [["in", 0, 0]], "output_layers": [["out", 0, 0]]}
    with h5py.File(path, "w") as file:
        names = [layer["name"].encode() for layer in layers]
        file.create_group("model_weights").attrs["layer_names"] = names
        for name in names:
            file.create_group(b"model_weights/" + name).attrs["weight_names"] = []
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        held = {
            "conv": {"conv/kernel:0": kernel, "conv/bias:0": bias},
            "out": {"out/kernel:0": weights},
        }
        for layer, arrays in held.items():
            group = file[f"model_weights/{layer}"]
            group.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                group[name] = array
    return kernel, bias, weights


def test_same_padding_and_hard_sigmoid_of_keras_2(tmp_path):
    """TensorFlow pads an even map after its end only; Keras 2 has a steeper hard sigmoid."""
    kernel, bias, weights = written_by_keras_2(tmp_path / "net.h5")
    x = images(6, 6, 2)
    padded = np.pad(x / 255, ((0, 0), (0, 1), (0, 1), (0, 0)))
    maps = np.empty((3, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            window = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            maps[:, i, j] = np.tensordot(window, kernel, 3) + bias
    wanted = np.clip(0.2 * maps + 0.5, 0, 1).reshape(3, -1) @ weights
    with pytest.warns(UserWarning, match="Keras 3 takes hard_sigmoid for another function"):
        found = from_keras(tmp_path / "net.h5", x).forward(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_a_file_of_keras_2_is_compared_with_keras_3(tmp_path):
    """Without a warning, so it was."""
    written_by_keras_2(tmp_path / "net.h5", activation="relu")
    network = from_keras(tmp_path / "net.h5", images(6, 6, 2))
    assert [type(layer) for layer in network.layers] == [Conv2D, Activation, Flatten, Dense]
