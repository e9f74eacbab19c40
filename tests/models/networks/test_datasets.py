"""The data sets against known facts about them, and every way in which reading can fail."""

import gzip
import hashlib
import io
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ann2brian.models.networks import dataset_files, datasets
from ann2brian.models.networks.datasets import DatasetError, classes, describe, load
from sklearn.datasets import load_digits

from tests.support import small_cifar

needs_fashion = pytest.mark.skipif(
    not os.environ.get(datasets.SETTING),
    reason="set ANN2BRIAN_DATA to a folder with fashion-mnist/*.gz",
)
needs_cifar = pytest.mark.skipif(
    not Path(os.environ.get(datasets.SETTING, ""), small_cifar.FOLDER, "test_batch.bin").is_file(),
    reason="set ANN2BRIAN_DATA to a folder with cifar-10-batches-bin/*.bin",
)


def test_digits_split_is_a_stratified_partition():
    """Both splits of the digits against all of scikit-learn's: each image once, 30 % per class."""
    train, train_labels = load("digits", "train")
    test, test_labels = load("digits", "test")
    everything = load_digits()
    for images, labels in ((train, train_labels), (test, test_labels)):
        assert images.shape == (len(labels), 8, 8, 1)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert max(train.max(), test.max()) == describe("digits").maximum
    found = [
        (*image.ravel(), label)
        for image, label in zip(
            np.concatenate([train, test]), np.concatenate([train_labels, test_labels]), strict=True
        )
    ]
    expected = [
        (*image.ravel().astype(int), label)
        for image, label in zip(everything.images, everything.target, strict=True)
    ]
    assert sorted(found) == sorted(expected)
    share = np.bincount(test_labels) / np.bincount(everything.target)
    np.testing.assert_allclose(share, 0.3, atol=0.01)  # whole images: up to 1 of 174


def test_digits_are_kept(tmp_path, monkeypatch):
    """Read again without scikit-learn: the same images and labels, and no file half written."""
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path))
    first = [load("digits", split) for split in ("train", "test")]
    monkeypatch.setattr("sklearn.datasets.load_digits", None)
    again = [load("digits", split) for split in ("train", "test")]
    for (images, labels), (kept, kept_labels) in zip(first, again, strict=True):
        assert kept.dtype == images.dtype == np.uint8
        assert np.array_equal(kept, images) and np.array_equal(kept_labels, labels)
    (file,) = (tmp_path / "data").iterdir()
    assert file.suffix == ".npz"


def test_digits_split_is_always_the_same():
    """The digits' test labels against a checksum noted with scikit-learn 1.9.1."""
    _, labels = load("digits", "test")
    found = hashlib.md5(labels.astype("<i8").tobytes()).hexdigest()
    assert found == "59226f7470fb5e6d2832b49eab3875fd"


@needs_fashion
@pytest.mark.parametrize("split, n_images", [("train", 60000), ("test", 10000)])
def test_fashion_mnist_has_the_published_size(split, n_images):
    """Shape and class counts of Fashion-MNIST against its paper: as many images of each class."""
    images, labels = load("fashion-mnist", split)
    assert images.shape == (n_images, 28, 28, 1)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert (images.min(), images.max()) == (0, 255)
    assert np.bincount(labels).tolist() == [n_images // 10] * 10


@needs_fashion
def test_fashion_mnist_images_are_upright_and_labelled():
    """Mean images of three classes against what they show: which classes cover which pixels."""
    images, labels = load("fashion-mnist", "test")
    mean = {c: images[labels == i, ..., 0].mean(0) for i, c in enumerate(classes("fashion-mnist"))}
    # Trousers are narrow, and two separate legs at the bottom (rows run downwards).
    assert mean["Trouser"][:, :5].mean() < 10 < mean["Pullover"][:, :5].mean()
    legs, gap = mean["Trouser"][24, [10, 17]].mean(), mean["Trouser"][24, 13:15].mean()
    assert legs > 2 * gap
    # Sneakers lie on the ground: nothing in the upper quarter.
    assert mean["Sneaker"][:7].mean() < 5 < mean["Ankle boot"][:7].mean()


@needs_cifar
@pytest.mark.parametrize("split, n_images, first", [("train", 50000, 6), ("test", 10000, 3)])
def test_cifar_10_has_the_published_facts(split, n_images, first):
    """Shape, counts, first label, channel means and deviations of CIFAR-10 against known ones."""
    images, labels = load("cifar-10", split)
    assert images.shape == (n_images, 32, 32, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert images.flags.c_contiguous
    assert np.bincount(labels).tolist() == [n_images // 10] * 10
    assert labels[0] == first
    if split == "train":  # four digits are published, in units of the largest pixel
        mean, deviation = images.mean((0, 1, 2)) / 255, images.std((0, 1, 2)) / 255
        np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=1e-4)
        np.testing.assert_allclose(deviation, [0.2470, 0.2435, 0.2616], atol=1e-4)


def test_classes():
    """Class names against the published tables."""
    assert classes("digits") == classes("mnist") == tuple("0123456789")
    assert (len(classes("fashion-mnist")), classes("fashion-mnist")[9]) == (10, "Ankle boot")
    assert (len(classes("cifar-10")), classes("cifar-10")[6]) == (10, "frog")
    names = classes("cifar-100")
    assert (len(names), names[19], names[99]) == (100, "cattle", "worm")
    assert list(names) == sorted(names)  # the fine labels are numbered by their names


def test_unknown_names():
    """Wrong names of data set and split against the messages that list the right ones."""
    names = "digits, mnist, fashion-mnist, cifar-10, cifar-100"
    with pytest.raises(DatasetError, match=f"'imagenet'; there are {names}"):
        load("imagenet", "train")
    with pytest.raises(DatasetError, match="'imagenet'"):
        classes("imagenet")
    with pytest.raises(DatasetError, match="'validation'; there are train, test"):
        load("digits", "validation")


def with_source(monkeypatch, name, **changes):
    """Let the files of a data set have other checksums or sizes."""
    known = datasets.DATASETS[name]
    changed = replace(known, source=replace(known.source, **changes))
    monkeypatch.setitem(datasets.DATASETS, name, changed)


@pytest.fixture(params=["mnist", "fashion-mnist"])
def small_set(request, tmp_path, monkeypatch):
    """A folder laid out like the real one, with three images whose checksums are known."""
    name = request.param
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    labels = np.array([7, 0, 9], np.uint8)
    folder = tmp_path / name
    folder.mkdir()
    sums = {}
    for file, header, array in (
        ("t10k-images-idx3-ubyte.gz", (0x803, 3, 28, 28), images),
        ("t10k-labels-idx1-ubyte.gz", (0x801, 3), labels),
    ):
        content = gzip.compress(np.array(header, ">u4").tobytes() + array.tobytes())
        (folder / file).write_bytes(content)
        sums[file] = hashlib.md5(content).hexdigest()
    with_source(monkeypatch, name, md5=sums)
    monkeypatch.delenv(datasets.SETTING, raising=False)
    return name, tmp_path, images, labels


def test_argument_comes_before_the_environment(small_set, tmp_path, monkeypatch):
    """Images read by argument, by environment, and by both, against the written ones."""
    name, folder, images, labels = small_set

    def check(data):
        found_images, found_labels = load(name, "test", data)
        np.testing.assert_array_equal(found_images[..., 0], images)
        np.testing.assert_array_equal(found_labels, labels)

    check(folder)
    check(str(folder))
    monkeypatch.setenv(datasets.SETTING, str(tmp_path / "elsewhere"))
    check(folder)
    monkeypatch.setenv(datasets.SETTING, str(folder))
    check(None)


def test_missing_file(small_set, tmp_path):
    """A folder without the files against the message with file name and advice."""
    message = r"t10k-images.*no such file.*Set ANN2BRIAN_DATA.*--data"
    with pytest.raises(DatasetError, match=message):
        load(small_set[0], "test", tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-5], lambda c: c[:30] + bytes([c[30] ^ 1]) + c[31:], lambda c: b""]
)
def test_damaged_file(small_set, damage):
    """A file that is cut short, altered or empty against the message that names it."""
    name, folder, _, _ = small_set
    path = folder / name / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=rf"{path.name}: damaged or cut short.*Replace the file"):
        load(name, "test", folder)


def fake_network(monkeypatch, tmp_path, answers):
    """Let a list of answers stand for the mirrors: an error to raise, or a file's content."""
    asked = []

    def downloader(**options):
        def download(url, output_file, pooch_object):
            asked.append(url)
            answer = answers[len(asked) - 1]
            if isinstance(answer, Exception):
                raise answer
            with open(output_file, "wb") as file:  # noqa: PTH123 - pooch gives a str
                file.write(answer)

        return download

    monkeypatch.setattr(dataset_files.pooch, "HTTPDownloader", downloader)
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path / "cache"))
    return asked


def test_download_takes_the_next_mirror(small_set, monkeypatch, tmp_path):
    """A first mirror that fails or sends another file, against the images from the second one."""
    name, folder, images, _ = small_set
    source = describe(name).source
    files = [(folder / name / f).read_bytes() for f in source.md5]
    answers = [OSError("unreachable"), files[0], b"an error page", files[1]]
    asked = fake_network(monkeypatch, tmp_path, answers)
    for _ in range(2):  # the second time from the cache
        np.testing.assert_array_equal(load(name, "test")[0][..., 0], images)
    assert len(asked) == 4
    assert asked[1].startswith(source.mirrors[1])


def test_no_network(small_set, monkeypatch, tmp_path):
    """Mirrors that all fail against the message with file, advice and both addresses."""
    fake_network(monkeypatch, tmp_path, [OSError("unreachable")] * 2)
    first, second = map(re.escape, describe(small_set[0]).source.mirrors)
    message = rf"t10k-images.*cannot be downloaded.*Set ANN2BRIAN_DATA.*{first}.*{second}"
    with pytest.raises(DatasetError, match=message):
        load(small_set[0], "test")


# ---- CIFAR-10 and CIFAR-100 ----


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A data folder with three images a file, and what they are."""
    small_cifar.shrink(monkeypatch, 3)
    monkeypatch.delenv(datasets.SETTING, raising=False)
    return tmp_path / "data", small_cifar.write(tmp_path / "data", 3)


def check_cifar(expected, data):
    """Both splits as they are read against the written images, in the order of the files."""
    for split, files in (("train", small_cifar.FILES[:5]), ("test", small_cifar.FILES[5:])):
        images, labels = load("cifar-10", split, data)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(images, np.concatenate([expected[f][0] for f in files]))
        np.testing.assert_array_equal(labels, np.concatenate([expected[f][1] for f in files]))


def test_cifar_by_argument_and_environment(cifar, monkeypatch):
    """Six files against the images and labels that were written into them."""
    data, expected = cifar
    check_cifar(expected, data)
    monkeypatch.setenv(datasets.SETTING, str(data))
    check_cifar(expected, None)


def test_cifar_places_of_bytes(cifar):
    """Single bytes of a file against pixels, by the published layout."""
    data, _ = cifar
    path = data / small_cifar.FOLDER / "test_batch.bin"
    content = bytearray(3 * 3073)
    content[3073] = 9  # label of the second image
    content[3073 + 1] = 10  # red, top left
    content[3073 + 1 + 31] = 20  # red, top right
    content[3073 + 1 + 1024 + 32] = 30  # green, first pixel of the second row
    content[3073 + 3072] = 40  # blue, bottom right
    path.write_bytes(content)
    images, labels = load("cifar-10", "test", data)
    assert labels.tolist() == [0, 9, 0]
    expected = np.zeros((3, 32, 32, 3))
    expected[1, 0, 0, 0], expected[1, 0, 31, 0] = 10, 20
    expected[1, 1, 0, 1], expected[1, 31, 31, 2] = 30, 40
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("file", ["data_batch_4.bin", "test_batch.bin"])
@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda c: c[:-1], "damaged or cut short: it has 9218 bytes, the published one 9219"),
        (lambda c: b"", "damaged or cut short: it has 0 bytes"),
        (lambda c: c + c[:3073], "damaged or cut short: it has 12292 bytes"),
        (
            lambda c: c[:3073] + b"\x0a" + c[3074:],
            "damaged: image 1 has the label 10, labels are 0 to 9",
        ),
    ],
    ids=["truncated", "empty", "longer", "label"],
)
def test_damaged_cifar_file(cifar, file, damage, message):
    """Files of another size or with another label against the message with name and remedy."""
    data, _ = cifar
    path = data / small_cifar.FOLDER / file
    path.write_bytes(damage(path.read_bytes()))
    split = "test" if file.startswith("test") else "train"
    with pytest.raises(DatasetError, match=f"{path}: {message}.*Replace the file. Set ANN2BRIAN"):
        load("cifar-10", split, data)


def test_missing_cifar_file(cifar):
    """A folder without one file against the message with file name and advice."""
    data, _ = cifar
    (data / small_cifar.FOLDER / "data_batch_5.bin").unlink()
    message = r"data_batch_5.bin: no such file.*Set ANN2BRIAN_DATA.*--data.*batches-bin/\*.bin"
    with pytest.raises(DatasetError, match=message):
        load("cifar-10", "train", data)
    load("cifar-10", "test", data)


def test_cifar_download_is_unpacked_once(cifar, monkeypatch, tmp_path):
    """Images from a downloaded archive against the packed ones; a file cut short, then deleted."""
    data, expected = cifar
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(data / small_cifar.FOLDER, small_cifar.FOLDER)
    content = packed.getvalue()
    sum_of_content = hashlib.md5(content).hexdigest()
    with_source(monkeypatch, "cifar-10", md5=sum_of_content)
    asked = fake_network(monkeypatch, tmp_path, [content])
    check_cifar(expected, None)
    assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
    path = tmp_path / "cache" / "data" / "cifar-10" / small_cifar.FOLDER / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:100])  # as after a kill
    with pytest.raises(DatasetError, match=f"{path}: .*100 bytes.*Delete the file: it is then"):
        load("cifar-10", "test")
    path.unlink()
    check_cifar(expected, None)
    assert len(asked) == 1


@pytest.mark.parametrize("answer", [OSError("unreachable"), b"an error page"], ids=["none", "page"])
def test_cifar_cannot_be_downloaded(cifar, monkeypatch, tmp_path, answer):
    """A mirror without the archive against the message with file, advice and address."""
    fake_network(monkeypatch, tmp_path, [answer])
    message = r"cifar-10-binary.tar.gz is not there and cannot be .*Set ANN2BRIAN_DATA.*toronto"
    with pytest.raises(DatasetError, match=message):
        load("cifar-10", "train")


def test_cifar_100_places_of_bytes(tmp_path, monkeypatch):
    """Single bytes of a file against pixels and labels: superclass, class, then the planes."""
    files = {"train": {"train.bin": 1}, "test": {"test.bin": 2}}
    with_source(monkeypatch, "cifar-100", files=files)
    content = bytearray(2 * 3074)
    content[3074] = 19  # superclass of the second image, which is not read
    content[3075] = 99
    content[3076 + 31] = 20  # red, top right
    content[3076 + 1024 + 32] = 30  # green, first pixel of the second row
    (tmp_path / "cifar-100-binary").mkdir()
    path = tmp_path / "cifar-100-binary" / "test.bin"
    path.write_bytes(content)
    images, labels = load("cifar-100", "test", tmp_path)
    assert labels.tolist() == [0, 99]
    expected = np.zeros((2, 32, 32, 3))
    expected[1, 0, 31, 0], expected[1, 1, 0, 1] = 20, 30
    np.testing.assert_array_equal(images, expected)
    content[1] = 100
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="image 0 has the label 100, labels are 0 to 99"):
        load("cifar-100", "test", tmp_path)
    with pytest.raises(DatasetError, match=r"train.bin: no such file.*cifar-100-binary/\*.bin"):
        load("cifar-100", "train", tmp_path)


@pytest.mark.parametrize("name", ["cifar-10", "cifar-100"])
def test_cifar_has_its_published_number_of_images(name):
    """Images by split against the published ones."""
    files = describe(name).source.files
    assert {split: sum(own.values()) for split, own in files.items()} == {
        "train": 50_000,
        "test": 10_000,
    }
