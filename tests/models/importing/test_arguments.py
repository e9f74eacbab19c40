"""What readers are handed of a wrong type is refused in one line: argument, value, what to do."""

import numpy as np
import pytest
from ann2brian.models.importing.arguments import class_names, shown
from ann2brian.models.importing.from_keras import from_keras
from ann2brian.models.importing.from_onnx import from_onnx
from ann2brian.models.networks.network import InputCoding

from tests.support.onnx_graphs import model, step
from tests.support.with_files import onnx_or_skip

CODING = InputCoding((6, 7, 2), 255, [1 / 255] * 2, [0.0] * 2)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 7, 2), dtype=np.uint8)
NAMES = r"classes= must be names, a sequence of 3 str in the order of the outputs, got "
NUMBERS = ("mean", "std", "pixel_scale", "maximum")
WRONG = [
    ({"classes": 10}, NAMES + "10"),
    ({"classes": 2.5}, NAMES + "2.5"),
    ({"classes": "cat dog"}, NAMES + "7: 'cat dog'"),
    ({"classes": {"a", "b", "c"}}, NAMES + "{"),
    ({"classes": ["a", b"b", "c"]}, NAMES + r"\['a', b'b', 'c'\]"),
    ({"classes": ["a", None, "c"]}, NAMES + r"\['a', None, 'c'\]"),
    ({"classes": ["a", "b"]}, NAMES + r"2: \['a', 'b'\]"),
    ({"classes": ["a", "b", "a"]}, NAMES + "'a' twice"),
    ({"name": 5}, "name= must be text, got 5"),
    ({"name": ""}, "name= must be text, got ''"),
    ({"input": (6, 7, 2)}, r"input= must be an InputCoding.*got \(6, 7, 2\)"),
    ({"transform": "ToTensor"}, "transform= must be a function .*, got 'ToTensor'"),
    ({"example": [IMAGES[0], IMAGES[1, :3]]}, "example= must be one array of images of one size"),
    ({"example": {}}, "example= must hold at least one image"),
    *[({name: "0.5"}, f"{name} must be numbers, got '0.5'") for name in NUMBERS],
    *[({name: 1j}, f"{name} must be numbers, got 1j") for name in NUMBERS],
    *[({name: [1, [2]]}, rf"{name} must be numbers, got \[1, \[2\]\]") for name in NUMBERS],
    *[({name: [1, 2]}, rf"{name} must be one number, got \[1, 2\]") for name in NUMBERS[2:]],
    *[({name: None}, f"{name} must be numbers, got None") for name in NUMBERS[:3]],
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An ONNX file of a network with three classes."""
    onnx = onnx_or_skip()
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    onnx.save(model(onnx, (2, 6, 7), step("Relu", "")), path)
    return path


@pytest.mark.parametrize(("keywords", "message"), WRONG)
def test_what_is_of_a_wrong_type(keywords, message, file):
    """Each keyword that the readers share."""
    with pytest.raises(ValueError, match=message) as caught:
        from_onnx(file, **{"example": IMAGES, **keywords})
    assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)


def test_numbers_may_come_as_arrays(file):
    """Also as lists of one, and names as whole numbers."""
    network = from_onnx(
        file, IMAGES, mean=np.full(2, 0.5), std=[0.5], pixel_scale=[1], classes=range(1, 4)
    )
    np.testing.assert_allclose(network.input.gain, 1 / 255 / 0.5)
    np.testing.assert_allclose(network.input.offset, -1.0)
    assert network.classes == ("1", "2", "3")


@pytest.mark.parametrize(
    ("reader", "message"),
    [(from_onnx, "from_onnx takes the path.*from_torch"), (from_keras, r"model\.save\('net.keras")],
)
def test_what_is_no_path(reader, message):
    """A model itself, bytes and nothing."""
    for thing in (object(), b"net.onnx", None, 5):
        with pytest.raises(TypeError, match=f"{message}") as caught:
            reader(thing)
        assert f"got {type(thing).__name__}; " in str(caught.value)


def test_values_in_messages_are_short():
    """Whatever their own representation is."""

    class Silent:
        def __repr__(self):
            raise RuntimeError

    assert shown(Silent()) == "Silent"
    assert len(shown(list(range(1000)))) < 80 and "\n" not in shown(np.zeros((50, 50)))


def test_names_by_default():
    """Numbers from 0."""
    assert class_names(None, 3) == ("0", "1", "2")
