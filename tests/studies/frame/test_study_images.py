"""Images of one's own, classes and imported networks, as flags of a study."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.networks import datasets
from ann2brian.models.networks.layers import Activation, Dense, Flatten
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.networks.weight_files import load_network, save_network, trained
from ann2brian.studies import run_albsnn, run_amos, run_burst, run_noise
from ann2brian.studies.frame import importing
from ann2brian.studies.frame import study as frame
from ann2brian.studies.frame.importing import HAS_NAMES
from ann2brian.studies.frame.publishing import is_reference

RNG = np.random.default_rng(5)
DIGITS = tuple("0123456789")


class Reached(Exception):
    """A study has come to its first condition; its folder and configuration."""


@pytest.fixture
def reached(monkeypatch, tmp_path):
    """Run a study up to its first condition: the name of its result, and its configuration."""

    def stop(folder, *_, **__):
        raise Reached(folder.path.name, json.loads((folder.part / "config.json").read_text()))

    monkeypatch.setattr(frame, "_task", lambda *_, **__: None)
    monkeypatch.setattr(frame, "computed", stop)
    monkeypatch.setattr(frame.Case, "conversion", True)

    def run(command, *flags):
        with pytest.raises(Reached) as found:
            command.main(["--target", "numpy", "--out", str(tmp_path / "out"), *map(str, flags)])
        return found.value.args

    return run


@pytest.fixture
def refused(capsys, tmp_path):
    """The one line with which a study ends with status 2."""

    def run(command, *flags):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            command.main(["--target", "numpy", "--out", str(tmp_path / "out"), *map(str, flags)])
        assert stop.value.code == 2
        *_, last = re.split(r"[\r\n]+", capsys.readouterr().err.strip())
        return last.split("error: ", 1)[1]

    return run


@pytest.fixture
def own(tmp_path):
    """Digits in files of one's own: test and training images."""
    paths = {}
    for split in ("train", "test"):
        images, labels = datasets.load("digits", split)
        paths[split] = tmp_path / f"{split}.npz"
        np.savez(paths[split], images=images, labels=labels)
    return paths


def a_network(classes=DIGITS, shape=(28, 28, 1), maximum=255, name="mine"):
    """A small network of random weights."""
    layers = (
        Flatten("flat", ("input",)),
        Dense("hidden", ("flat",), RNG.normal(0, 0.1, (np.prod(shape), 6)), np.zeros(6)),
        Activation("act", ("hidden",), "relu"),
        Dense("out", ("act",), RNG.normal(0, 1, (6, len(classes))), np.zeros(len(classes))),
    )
    gain, offset = np.full(shape[2], 1 / 255), np.zeros(shape[2])
    return Network(name, InputCoding(shape, maximum, gain, offset), layers, tuple(classes))


@pytest.fixture
def fashion(monkeypatch):
    """Fashion-MNIST and MNIST of a few random images, without files."""

    class Random:
        def read(self, split, data):
            rng = np.random.default_rng(len(split))
            return rng.integers(0, 256, (20, 28, 28, 1), np.uint8), np.arange(20) % 10

    for name in ("mnist", "fashion-mnist"):
        known = replace(datasets.DATASETS[name], source=Random())
        monkeypatch.setitem(datasets.DATASETS, name, known)


# ---- images ----


def test_own_images_and_their_number(reached, own):
    """A file, a file and a number, and a number alone against the configuration."""
    network = ["--network", "digits-noise"]
    _, config = reached(run_noise, *network, "--images", own["test"])
    assert (config["dataset"], config["images"]) == ("test.npz", 540)
    _, few = reached(run_noise, *network, "--images", own["test"], 7)
    _, other_order = reached(run_noise, *network, "--images", 7, own["test"])
    assert few == other_order and few["images"] == 7
    _, quick = reached(run_noise, *network, "--images", own["test"], "--quick")
    assert quick["images"] == 50
    _, plain = reached(run_noise, "--images", 7)
    assert (plain["dataset"], plain["images"]) == ("digits", 7)
    hashes = [c["images_sha256"] for c in (config, few, quick)]
    assert len(set(hashes)) == 3 and plain["images_sha256"] == hashes[1]
    assert not any(str(own["test"]) in json.dumps(c) for c in (config, few))


@pytest.mark.parametrize("what", ["images", "labels"])
def test_one_value_names_another_result(reached, own, tmp_path, what):
    """A result whose images differ in one pixel, or one label, has another name."""
    with np.load(own["test"]) as file:
        arrays = dict(file)
    flags = ["--network", "digits-noise", "--images"]
    name, _ = reached(run_noise, *flags, own["test"])
    again, _ = reached(run_noise, *flags, own["test"])
    arrays[what].flat[3] = (arrays[what].flat[3] + 1) % 10
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "test.npz", **arrays)
    other, _ = reached(run_noise, *flags, tmp_path / "other" / "test.npz")
    assert name == again != other


def test_calibration_images_are_part_of_a_result(reached, own, tmp_path):
    """Own training images: their hash and number, and a result that is not published."""
    with np.load(own["train"]) as file:
        np.savez(tmp_path / "few.npz", images=file["images"][:60])
    flags = ["--network", "digits-relu", "--calibration-images"]
    name, config = reached(run_amos, *flags, own["train"])
    plain_name, plain = reached(run_amos, "--network", "digits-relu")
    few_name, few = reached(run_amos, *flags, tmp_path / "few.npz")
    assert len({name, plain_name, few_name}) == 3
    assert config["calibration_sha256"] == plain["calibration_sha256"] != few["calibration_sha256"]
    assert (config["calibration"], few["calibration"]) == (512, 60)
    for configuration, is_published in ((config, False), (plain, True)):
        (tmp_path / "config.json").write_text(json.dumps(configuration))
        assert is_reference(run_amos.STUDY, tmp_path) == is_published


def test_own_images_are_never_published(reached, own, tmp_path):
    """A whole file of own images is not the whole test split of a data set."""
    _, config = reached(
        run_amos,
        *("--network", "digits-relu", "--images", own["test"]),
        *("--calibration-images", own["train"]),
    )
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert not is_reference(run_amos.STUDY, tmp_path)


def test_a_folder_named_like_a_data_set_is_told_apart(reached, tmp_path):
    """Pictures in a folder called digits."""
    image = pytest.importorskip("PIL.Image")
    images, labels = datasets.load("digits", "test")
    for number in range(5):
        folder = tmp_path / "digits" / str(labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(images[number, ..., 0]).save(folder / f"{number}.png")
    flags = ["--network", "digits-noise", "--images", tmp_path / "digits"]
    _, config = reached(run_noise, *flags)
    assert (config["dataset"], config["images"]) == ("own-digits", 5)


OWN = ("--network", "digits-relu", "--calibration-images", "TRAIN")


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--images", "TEST"], "--images TEST: name a network for them: --network"),
        (
            ["--images", "TEST", "--network", "digits-relu"],
            "--images TEST: ranges are read from training images; name them with "
            "--calibration-images",
        ),
        (
            ["--images", "TEST", "--dataset", "digits", "--network", "digits-relu"],
            "--dataset digits: --images names other images; leave one of them out",
        ),
        (["--images", "3", "4"], "takes a number of images, a file or folder with images, or one"),
        (["--images", "TEST", "TRAIN"], "takes a number of images, a file or folder"),
        (["--images", "nothing.npz", *OWN],
         "nothing.npz: no such file or folder"),
        (["--calibration-images", "nothing.npz"], "nothing.npz: no such file or folder"),
        (["--images", "TEST", "541", *OWN],
         "--images 541: test.npz has 540"),
        (["--dataset", "cifar-100"], "no amos network is shipped for it; name one with --network"),
        (["--dataset", "cifar-10", "--network", "net.pt"], "net.pt: holds weights and no module; "
         "import both with: python studies/import_network.py FILE.py:FUNCTION --weights net.pt"),
        (["--network", "mynet.py:build"], "mynet.py:build: is code that builds a module; import "
         "it first: python studies/import_network.py mynet.py:build --weights"),
        (["--network", "net.tflite"], "net.tflite: holds a TensorFlow Lite model"),
        (["--network", "net.onnx"], "net.onnx: no such file"),
        (["--network", "digits-relu", "--std", ".3"], "--std: digits-relu knows how it sees"),
    ],
)  # fmt: skip
def test_what_is_refused(refused, own, flags, message):
    """Flags that contradict each other, and files that are not there, in one line."""
    places = {"TEST": str(own["test"]), "TRAIN": str(own["train"])}
    said = refused(run_amos, *(places.get(flag, flag) for flag in flags))
    for name, path in places.items():
        said = said.replace(path, name)
    assert message in said


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": lambda x: x[:, :7]}, r"\(8, 8, 1\), x.npz has \(7, 8, 1\)"),
        ({"images": lambda x: x / 16}, "x.npz: .*image 0 holds 0.0625 .*whole number from 0 to 16"),
        ({"images": lambda x: x * 2}, "x.npz: .*expected a whole number from 0 to 16"),
        ({"labels": lambda x: x + 1}, "x.npz: has labels up to 10, the network has 10 classes"),
        ({"labels": lambda x: x[:-1]}, r"x.npz: labels have the shape \(539,\)"),
    ],
)
def test_images_that_do_not_fit_the_network(refused, own, tmp_path, change, message):
    """Images of another size or range, and wrong labels, by the name of their file."""
    with np.load(own["test"]) as file:
        arrays = {key: change.get(key, lambda x: x)(array) for key, array in file.items()}
    np.savez(tmp_path / "x.npz", **arrays)
    said = refused(run_noise, "--network", "digits-noise", "--images", tmp_path / "x.npz")
    assert re.search(message, said), said


# ---- classes ----


def test_a_network_of_digits_refuses_clothes(reached, refused, fashion, tmp_path):
    """Ten digits on Fashion-MNIST are refused, on MNIST not, and not if told otherwise."""
    path = save_network(a_network(), tmp_path / "mine.safetensors", {HAS_NAMES: True})
    flags = ["--network", path, "--dataset"]
    said = refused(run_amos, *flags, "fashion-mnist")
    assert said.startswith("fashion-mnist: has the classes T-shirt/top, Trouser, ")
    assert "the network 0, 1, 2, 3, ... (10)" in said and "--any-classes" in said
    _, config = reached(run_amos, *flags, "fashion-mnist", "--any-classes")
    assert config["any_classes"]
    reached(run_amos, *flags, "mnist")
    shipped = refused(run_amos, "--network", "fashion-relu", "--dataset", "mnist")
    assert "mnist: has the classes 0, 1, 2, 3, ... (10), the network T-shirt" in shipped


def test_numbers_that_an_import_made_up_are_no_names(reached, refused, fashion, tmp_path):
    """An import without names takes any data set with as many classes, and no other."""
    path = save_network(a_network(), tmp_path / "mine.safetensors", {HAS_NAMES: False})
    reached(run_amos, "--network", path, "--dataset", "fashion-mnist")
    eleven = a_network([str(number) for number in range(11)])
    path = save_network(eleven, tmp_path / "mine.safetensors", {HAS_NAMES: False})
    assert "(11)" in refused(run_amos, "--network", path, "--dataset", "fashion-mnist")


def test_folders_that_are_numbers_have_no_known_order(refused, reached, tmp_path):
    """Folders 0 to 11, sorted as text, on a network that does not name its classes."""
    names = [str(number) for number in range(12)]
    np.savez(
        tmp_path / "x.npz", images=np.zeros((12, 28, 28), np.uint8), labels=range(12),
        classes=sorted(names),
    )  # fmt: skip
    path = save_network(a_network(names), tmp_path / "mine.safetensors", {HAS_NAMES: False})
    flags = ["--network", path, "--images", tmp_path / "x.npz"]
    flags += ["--calibration-images", tmp_path / "x.npz"]
    assert "numbers out of order (0, 1, 10, 11, ... (12))" in refused(run_amos, *flags)
    reached(run_amos, *flags, "--any-classes")
    save_network(a_network(names), path, {HAS_NAMES: True})
    reached(run_amos, *flags)


def test_labels_go_by_the_names_of_classes(own, tmp_path):
    """A file whose classes have another order against the accuracy of the trained network."""
    with np.load(own["test"]) as file:
        images, labels = file["images"], file["labels"]
    np.savez(tmp_path / "x.npz", images=images, labels=9 - labels, classes=DIGITS[::-1])
    source = frame.study_images.load(
        "digits", own=tmp_path / "x.npz", n_images=None, has_fewer=False, own_calibration=None,
        n_calibration=1, seed=1, data=None,
    )  # fmt: skip
    subject = frame.load(trained("digits-relu"), source)
    np.testing.assert_array_equal(subject.labels, labels)


# ---- imports ----


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """A reader of files named *.onnx that gives a network, and what it was asked."""
    asked = []
    network = a_network(shape=(8, 8, 1), maximum=16)

    def read_file(path, example, **keywords):
        asked.append((path.name, example.shape, keywords))
        importing.warnings.warn("the softmax\n  is left out", stacklevel=2)
        importing.warnings.warn("of another library", DeprecationWarning, stacklevel=2)
        return replace(network, name=keywords["name"])

    monkeypatch.setattr(importing, "read_file", read_file)
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "net.onnx").write_bytes(b"")
    return tmp_path / "net.onnx", network, asked


def test_an_import_is_a_weight_file(reader, reached, capsys, tmp_path):
    """An imported network against the same from its weight file; what the reader was told."""
    path, network, asked = reader
    flags = ["--dataset", "digits", "--images", 9]
    seen = ["--mean", "-.5", "--std", ".5", "2", "--pixel-scale", "255"]
    name, config = reached(run_burst, "--network", path, *flags, *seen)
    assert "net.onnx: the softmax is left out\n" in capsys.readouterr().out
    expected = {"name": "net", "mean": [-0.5], "std": [0.5, 2.0], "pixel_scale": 255.0}
    assert asked == [("net.onnx", (9, 8, 8, 1), expected | {"maximum": 16})]
    assert {key: config[key] for key in ("mean", "std", "maximum")} == {
        "mean": [-0.5],
        "std": [0.5, 2.0],
        "maximum": None,
    }
    (written,) = (tmp_path / "cache" / "imported").iterdir()
    saved = load_network(written)
    assert (saved.name, saved.shapes) == ("net", network.shapes)
    again, _ = reached(run_burst, "--network", path, *flags, *seen)
    assert again == name and len(list(written.parent.iterdir())) == 1
    plain, by_import = (reached(run_burst, "--network", one, *flags)[0] for one in (written, path))
    assert plain == by_import != name


def test_a_stated_maximum_is_passed_on(reader, reached):
    path, _, asked = reader
    reached(run_burst, "--network", path, "--dataset", "digits", "--maximum", 16.0)
    assert asked[0][2]["maximum"] == 16.0


def test_a_scheme_whose_options_have_these_names_says_what_to_do(reader, refused):
    """A study with another --mean, so that a network is imported beforehand."""
    with pytest.raises(ValueError, match=r"import it first: python studies/import_network\.py"):
        importing.network_path(str(reader[0]), None)


@pytest.mark.parametrize("command", [run_noise, run_albsnn])
def test_a_scheme_of_spiking_units_imports_no_files_without_them(command, reader, refused, capsys):
    """At once, before anything is read, and without flags for it."""
    said = refused(command, "--network", reader[0])
    assert "net.onnx: ONNX and Keras files hold no spiking units" in said
    assert "docs/train-your-own.md" in said and not reader[2]
    with pytest.raises(SystemExit):
        command.main(["--pixel-scale", "255"])
    assert "unrecognized arguments: --pixel-scale" in capsys.readouterr().err


def test_what_is_said_of_where_a_network_comes_from(reader, tmp_path):
    """A seed where its file names one, the file of an import, and else that nobody knows."""
    source = frame.study_images.load(
        "digits", own=None, n_images=3, has_fewer=False, own_calibration=None, n_calibration=1,
        seed=1, data=None,
    )  # fmt: skip
    imported = frame.load(reader[0], source, seen=importing.InputFlags())
    seeded = frame.load(trained("digits-relu"), source)
    bare = frame.load(save_network(seeded.network, tmp_path / "x.safetensors"), source)
    found = {one.origin: one.keys["training_seed"] for one in (imported, seeded, bare)}
    assert list(found.items()) == [
        ("imported from net.onnx", -1),
        ("seed 1", 1),
        ("seed not known", -1),
    ]
    case = frame.Case(subject=imported, options=None, label="T = 1")
    assert case.title == "net, imported from net.onnx, T = 1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(22) + b"\x0c\0\0\0net/data.pkl", "import both with: .*--weights"),
        (b"\x89HDF\r\n\x1a\n", None),
        (b"version https://git-lfs.github.com", "git lfs pull"),
        (b"<!DOCTYPE html>", "is a web page"),
    ],
)
def test_what_a_file_is_counts_and_not_its_name(content, message, reader, reached, refused):
    """A file of another format under the name of one that is read."""
    path, _, asked = reader
    path.write_bytes(content)
    if message is None:
        reached(run_burst, "--network", path, "--dataset", "digits", "--images", 3)
        assert asked[0][0] == "net.onnx"
    else:
        assert re.search(rf"net\.onnx: .*{message}", refused(run_burst, "--network", path))


def test_a_missing_package_is_one_line(reader, refused, monkeypatch):
    def read_file(path, example, **keywords):
        raise ImportError("onnx is needed; install it with: pip install onnx")

    monkeypatch.setattr(importing, "read_file", read_file)
    assert "pip install onnx" in refused(run_burst, "--network", reader[0])
