"""Images brought to what a network takes: shapes and labels, where there is one way only."""

import hashlib

import numpy as np
import pytest
from ann2brian.models.networks.dataset_files import DatasetError
from ann2brian.models.networks.image_sets import ImageSet, is_numbered, require_known_order, sha256


def counted(*shape):
    """Images whose values tell where they stand."""
    return np.arange(2 * np.prod(shape)).reshape(2, *shape)


@pytest.mark.parametrize(
    "own, shape, expected",
    [
        ((4, 5, 3), (4, 5, 3), lambda x: x),
        ((4, 5), (4, 5, 1), lambda x: x[..., None]),
        ((20,), (4, 5, 1), lambda x: x.reshape(2, 4, 5, 1)),
        ((7, 3), (1, 7, 3), lambda x: x[:, None]),
        ((6,), (1, 1, 6), lambda x: x[:, None, None]),
        ((6,), (1, 6, 1), lambda x: x[:, None, :, None]),
        ((4, 5), (1, 1, 20), lambda x: x.reshape(2, 1, 1, 20)),
        ((4, 5, 1), (1, 1, 20), lambda x: x.reshape(2, 1, 1, 20)),
        ((3, 4, 5), (4, 5, 3), lambda x: x.transpose(0, 2, 3, 1)),
        ((1, 4, 5), (4, 5, 1), lambda x: x.transpose(0, 2, 3, 1)),
        ((3, 7), (1, 7, 3), lambda x: x.transpose(0, 2, 1)[:, None]),
        ((4, 5), (4, 5, 3), lambda x: np.stack([x] * 3, axis=-1)),
        ((4, 5, 1), (4, 5, 3), lambda x: np.concatenate([x] * 3, axis=-1)),
        ((3, 3, 3), (3, 3, 3), lambda x: x),  # as they stand
    ],
)
def test_shapes(own, shape, expected):
    """Every way to read images against the same with NumPy."""
    images = counted(*own)
    found = ImageSet(name="x", images=images).shaped(shape)
    assert found.shape == (2, *shape)
    np.testing.assert_array_equal(found, expected(images))


def test_grey_pictures_saved_in_colour():
    """Three equal channels for a network of one, and three that differ in one value."""
    images = np.repeat(counted(4, 5, 1), 3, axis=-1)
    np.testing.assert_array_equal(
        ImageSet(name="x", images=images).shaped((4, 5, 1)), images[..., :1]
    )
    images[1, 2, 3, 2] += 1
    with pytest.raises(DatasetError, match=r"shape \(4, 5, 1\), x has \(4, 5, 3\)"):
        ImageSet(name="x", images=images).shaped((4, 5, 1))


@pytest.mark.parametrize(
    "own, shape",
    [
        ((60,), (4, 5, 3)),  # channels first, last, or in between
        ((4, 5, 3), (1, 1, 60)),
        ((5, 4), (4, 5, 1)),
        ((4, 5, 2), (4, 5, 3)),
        ((4, 5), (1, 1, 21)),
        ((5, 4, 3), (4, 5, 3)),
        ((8, 8, 1), (28, 28, 1)),
    ],
)
def test_shapes_that_could_be_read_in_several_ways_or_none(own, shape):
    """What is not clear is refused with both shapes."""
    with pytest.raises(DatasetError) as error:
        ImageSet(name="mine.npz", images=counted(*own)).shaped(shape)
    assert f"images of shape {shape}, mine.npz has {own}" in str(error.value)


def test_labels_go_by_name():
    """Labels of a folder, sorted by name, as a network numbers the same names."""
    own = ImageSet(
        name="own", images=counted(1), labels=np.array([1, 0]), classes=("Lawn_Mower", "cat")
    )
    assert own.labels_among(("cat", "dog", "lawn-mower")).tolist() == [0, 2]
    assert own.labels_among(("x", "y"), any_names=True).tolist() == [1, 0]
    message = (
        "own: has the classes Lawn_Mower, cat, the network cat, dog, but no 'Lawn_Mower'; "
        ".*--any-classes"
    )
    with pytest.raises(DatasetError, match=message):
        own.labels_among(("cat", "dog"))
    with pytest.raises(DatasetError, match="labels up to 1, the network has 1 classes, 0 to 0"):
        own.labels_among(("x",), any_names=True)


def test_names_that_differ_in_case_only():
    """Letters of both cases, as EMNIST has them, are classes of their own."""
    letters = ("A", "B", "a", "b")
    own = ImageSet(name="own", images=counted(1), labels=np.array([1, 0]), classes=("b", "A"))
    assert own.labels_among(letters).tolist() == [0, 3]
    own = ImageSet(name="own", images=counted(1), labels=np.array([1, 0]), classes=("a", "A"))
    with pytest.raises(DatasetError, match=r"classes 'a' and 'A' are both 0 \(a\) .*--any-classes"):
        own.labels_among(("a", "b"))


def test_two_classes_of_one_name():
    """The two cranes of ImageNet: refused where the images have one, no matter where not."""
    own = ImageSet(name="own", images=counted(1), labels=np.array([0, 1]), classes=("Crane", "cat"))
    with pytest.raises(DatasetError, match=r"'Crane' may be 0 \(crane\) or 2 \(crane\) of the"):
        own.labels_among(("crane", "cat", "crane"))
    own = ImageSet(name="own", images=counted(1), labels=np.array([0, 0]), classes=("cat",))
    assert own.labels_among(("crane", "cat", "crane")).tolist() == [1, 1]


def test_numbers_out_of_order():
    """Folders 0 to 11 are sorted as text; those of one digit, or with zeros in front, are not."""
    require_known_order("own", tuple("0123456789"))
    require_known_order("own", [f"{number:02}" for number in range(12)])
    require_known_order("own", ("cat", "10", "2"))
    with pytest.raises(DatasetError, match=r"own: its classes are numbers out of order \(0, 1, 10"):
        require_known_order("own", sorted(str(number) for number in range(12)))


def test_labels_without_names():
    """Numbers are taken as they are; missing and too large ones are refused."""
    own = ImageSet(name="x.npz", images=counted(1), labels=np.array([0, 3]))
    assert own.labels_among(tuple("abcd")).tolist() == [0, 3]
    with pytest.raises(DatasetError, match=r"x.npz: has labels up to 3, the network has 3 classes"):
        own.labels_among(tuple("abc"))
    with pytest.raises(DatasetError, match=r"x.npy: has no labels"):
        ImageSet(name="x.npy", images=counted(1)).labels_among(tuple("abc"))


def test_repr():
    """What it holds in a line, and none of the values."""
    own = ImageSet(
        name="x.npz", images=counted(4, 5, 3), labels=np.array([0, 1]), classes=("a", "b")
    )
    assert repr(own) == "ImageSet(x.npz: 2 images of 4x5x3, labelled, of 2 classes)"
    assert repr(ImageSet(name="x.npy", images=counted(7))) == "ImageSet(x.npy: 2 images of 7)"


def test_taken():
    own = ImageSet(name="x", images=counted(3), labels=np.array([5, 6]))
    np.testing.assert_array_equal(own.taken(np.array([1, 0])).labels, [6, 5])
    assert own.taken(slice(1)).images.shape == (1, 3)


def test_is_numbered():
    assert is_numbered(tuple("0123456789")) and is_numbered(["0"])
    assert not is_numbered(tuple("1234567890")) and not is_numbered(["cat"])


def test_sha256_tells_arrays_apart():
    """One value, shape, type or order changes it; layout and byte order in memory do not."""
    x = counted(2, 3).astype(np.int32)
    swapped, turned = x.astype(">i4"), np.asfortranarray(x)
    assert sha256(x) == sha256(swapped) == sha256(turned)
    expected = hashlib.sha256(b"(2, 2, 3) <i4\n" + x.astype("<i4").tobytes()).hexdigest()
    assert sha256(x) == expected
    other = x.copy()
    other[1, 1, 2] += 1
    changed = [sha256(other), sha256(x.reshape(2, 3, 2)), sha256(x.astype(float)), sha256(x, x)]
    assert len({expected, *changed}) == 5
