"""Own images: every format against the arrays that were written, and hostile files refused."""

import gzip
import io
import struct
import sys
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from ann2brian.models.networks import own_images, png_files
from ann2brian.models.networks.dataset_files import DatasetError
from ann2brian.models.networks.own_images import read
from ann2brian.models.networks.png_files import require_whole_png

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow: pip install pillow")

RNG = np.random.default_rng(11)
GREY = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([2, 0, 1, 1, 0, 2])


def idx(array, code=0x08):
    """Content of an IDX file, by its definition."""
    header = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npy(shape, dtype="|u1", content=b"", header=None):
    """Content of an .npy file that may say anything."""
    text = header or f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    text = text.ljust(118 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + content


def refused(path, message):
    """The one line with which a file is refused; little memory is taken before."""
    tracemalloc.start()
    with pytest.raises(DatasetError, match=message) as error:
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    said = str(error.value)
    assert "\n" not in said and path.name.split("/")[0] in said, said
    assert peak < 20e6, f"{peak:,} bytes were taken"
    return said


# ---- what is read ----


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("images", [GREY, COLOUR, COLOUR / 255, GREY > 100, GREY.reshape(6, -1)])
def test_npz(tmp_path, save, images):
    """Images, labels and classes of an archive, packed or not, against what was saved."""
    classes = np.array(["ant", "bee", "cat"])
    save(tmp_path / "x.npz", images=images, labels=LABELS[:, None], classes=classes, more=GREY)
    found = read(tmp_path / "x.npz")
    np.testing.assert_array_equal(found.images, images)
    assert found.images.dtype == (np.uint8 if images.dtype == bool else images.dtype)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert (found.name, found.classes) == ("x.npz", ("ant", "bee", "cat"))


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["<u2", ">i4", "<f4", ">f8"])
def test_npy_with_and_without_labels_beside_it(tmp_path, order, dtype):
    """Arrays of other byte orders and layouts, and labels by the name of the file."""
    np.save(tmp_path / "my-images.npy", np.asarray(COLOUR, dtype, order=order))
    found = read(tmp_path / "my-images.npy")
    np.testing.assert_array_equal(found.images, COLOUR)
    assert found.labels is None and found.images.dtype.isnative
    np.save(tmp_path / "my-labels.npy", LABELS)
    np.testing.assert_array_equal(read(tmp_path / "my-images.npy").labels, LABELS)


@pytest.mark.parametrize("name", ["t10k-{}-idx{}-ubyte{}", "t10k-{}.idx{}-ubyte{}", "{}.idx{}{}"])
@pytest.mark.parametrize("pack, end", [(bytes, ""), (gzip.compress, ".gz")])
def test_idx(tmp_path, name, pack, end):
    """IDX files, packed or not, with labels in the file beside them."""
    path = tmp_path / name.format("images", 3, end)
    path.write_bytes(pack(idx(GREY)))
    assert read(path).labels is None
    (tmp_path / name.format("labels", 1, end)).write_bytes(pack(idx(LABELS.astype(np.uint8))))
    found = read(path)
    np.testing.assert_array_equal(found.images, GREY)
    np.testing.assert_array_equal(found.labels, LABELS)


@pytest.mark.parametrize("code, dtype", [(0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4")])
def test_idx_types(tmp_path, code, dtype):
    """Other types of values against the array, with the largest axis first."""
    array = (GREY.astype(float) - 128).astype(dtype)
    (tmp_path / "x.idx").write_bytes(idx(array, code))
    np.testing.assert_array_equal(read(tmp_path / "x.idx").images, array)


def folder_of(root, pictures):
    """Class folders with pictures: (class, file, array or image)."""
    for name, file, picture in pictures:
        (root / name).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        picture.save(root / name / file)
    return root


def test_folder(tmp_path):
    """PNG files in class folders: order, classes sorted by name, hidden files left out."""
    pictures = [("bee", "2.png", COLOUR[2]), ("bee", "1.png", COLOUR[1]), ("Ant", "9.PNG", GREY[0])]
    root = folder_of(tmp_path / "own", pictures)
    (root / "bee" / ".DS_Store").write_bytes(b"x")
    (root / ".git").mkdir()
    (root / "README.md").write_text("about")
    found = read(root)
    assert (found.name, found.classes) == ("own", ("Ant", "bee"))
    assert found.labels.tolist() == [0, 1, 1]
    grey = np.repeat(GREY[0][..., None], 3, axis=-1)  # beside colour, grey is colour too
    np.testing.assert_array_equal(found.images, [grey, COLOUR[1], COLOUR[2]])


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("L", GREY[0][..., None]),
        ("1", np.where(GREY[0][..., None] >= 128, 255, 0)),
        ("RGB", COLOUR[0]),
        ("RGBA", COLOUR[0]),
        ("I;16", GREY[0][..., None].astype(int) * 257),
    ],
)
def test_kinds_of_pictures(tmp_path, mode, expected):
    """Pixels of grey, black and white, colour, opaque and 16-bit PNG files."""
    if mode == "I;16":
        picture = Image.fromarray(GREY[0].astype(np.uint16) * 257)
    elif mode == "1":
        picture = Image.fromarray(GREY[0] >= 128)
    else:
        picture = Image.fromarray(GREY[0] if mode == "L" else COLOUR[0]).convert(mode)
    assert picture.mode == mode
    found = read(folder_of(tmp_path / "own", [("a", "x.png", picture)]))
    np.testing.assert_array_equal(found.images, [expected])


def test_jpeg_is_what_its_decoder_says(tmp_path):
    """A JPEG file against the same file read by itself."""
    root = folder_of(tmp_path / "own", [("a", "x.jpg", np.kron(GREY[0], np.ones((8, 8), "u1")))])
    with Image.open(root / "a" / "x.jpg") as picture:
        np.testing.assert_array_equal(read(root).images[0, ..., 0], np.asarray(picture))


def test_without_pillow_the_error_says_what_to_install(tmp_path, monkeypatch):
    root = folder_of(tmp_path / "own", [("a", "x.png", GREY[0])])
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        read(root)


# ---- what is refused ----


def member(content, name="images.npy", packing=zipfile.ZIP_DEFLATED, **others):
    """An archive with one member, and more by name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        archive.writestr(name, content)
        for key, array in others.items():
            one = io.BytesIO()
            np.save(one, array)
            archive.writestr(f"{key}.npy", one.getvalue())
    return file.getvalue()


def with_lying_sizes(content, size):
    """The same archive, whose directory and local header say another uncompressed size."""
    content = bytearray(content)
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = content[22:26] = struct.pack("<I", size)
    return bytes(content)


BIG = (50_000, 1000, 100)  # 5 GB
LIES = npy((1000, 1000, 900), content=b"x" * 100)
OBJECTS = npy((2,), "|O", b"\x80\x04]\x94.")


@pytest.mark.parametrize(
    "content, message",
    [
        (LIES, r"promises|which are 900,000,000 bytes, and 100 follow"),
        (npy(BIG), "5,000,000,000 bytes, and 0 follow"),
        (OBJECTS, "holds Python objects, which are never unpickled"),
        (npy((2, 3), "<U4", b"\0" * 96), "images are of type <U4, numbers are needed"),
        (npy((2, 3), "<c8", b"\0" * 48), "images are of type complex64, numbers are needed"),
        (npy((2, 0, 3)), "damaged, cut short or empty"),
        (npy((-2, -3, 4), content=b"\0" * 24), "damaged, cut short or empty"),
        (npy((6,), content=b"\0" * 6), r"images have the shape \(6,\)"),
        (npy((1,) * 5, content=b"\0"), r"images have the shape \(1, 1, 1, 1, 1\)"),
        (npy((1,) * 40, content=b"\0"), r"the shape|dimension"),
        (npy((), header="{'descr': __import__('os'), 'shape': ()}"), "not a NumPy array"),
        (npy((2, 2), "<f4", np.array([0, 1, np.nan, 0], "<f4").tobytes()), "image 1 holds NaN"),
        (npy((2, 2), "<f8", np.array([np.inf, 1, 0, 0], "<f8").tobytes()), "image 0 holds NaN"),
        (npy((), header="{'descr': " + 3000 * "("), "not a NumPy array"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "not a NumPy array"),
        (b"\x93NUMPY\x03\x00\x01\x00\x00\x00{", r"version \(3, 0\)"),
        (b"", "not a NumPy array"),
        (b"pickle", "not a NumPy array"),
    ],
)
def test_hostile_arrays(tmp_path, content, message):
    """Headers that lie and arrays of other things, in .npy and in .npz files."""
    (tmp_path / "x.npy").write_bytes(content)
    refused(tmp_path / "x.npy", message)
    (tmp_path / "x.npz").write_bytes(member(content))
    refused(tmp_path / "x.npz", message)


def test_large_arrays_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    """A small archive of many zeros, whose header tells the truth."""
    content = npy((3, 1000, 10_000), content=bytes(30_000_000))
    packed = member(content)
    assert len(packed) < 60_000
    (tmp_path / "bomb.npz").write_bytes(packed)
    monkeypatch.setattr(own_images, "MOST_BYTES", 29_999_999)
    refused(tmp_path / "bomb.npz", "takes 30,000,000 bytes, at most 29,999,999 are read")
    monkeypatch.setattr(own_images, "MOST_BYTES", 30_000_000)
    assert read(tmp_path / "bomb.npz").images.shape == (3, 1000, 10_000)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda c: c[: len(c) // 2], "damaged or cut short"),
        (lambda c: c[:40] + bytes([c[40] ^ 255]) + c[41:], "damaged or cut short|not a NumPy"),
        (lambda c: with_lying_sizes(c, 900_000_128), "of 900,000,000 bytes"),
        (lambda c: with_lying_sizes(c, 200), "damaged or cut short"),
        (lambda c: b"", "damaged or cut short"),
        (lambda c: b"\x80\x04N.", "damaged or cut short"),
        (lambda c: member(GREY.tobytes(), packing=zipfile.ZIP_LZMA), "not packed as NumPy"),
        (lambda c: member(b"", "x_train.npy", y_train=LABELS), "holds 'x_train', 'y_train'; it"),
    ],
)
def test_hostile_archives(tmp_path, damage, message):
    """Archives that are cut short, altered, lie about sizes, or hold other arrays."""
    path = tmp_path / "x.npz"
    path.write_bytes(damage(member(LIES)))
    refused(path, message)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"labels": LABELS[:5]}, r"labels have the shape \(5,\), 6 images need \(6,\)"),
        ({"labels": np.eye(3)[LABELS].astype(int)}, r"labels have the shape \(6, 3\)"),
        ({"labels": LABELS / 1}, "labels are of type float64; they must be whole numbers"),
        ({"labels": LABELS - 1}, "image 1 has the label -1, labels are 0 or more"),
        ({"labels": LABELS, "classes": ["a", "b"]}, "image 0 has the label 2, labels are 0 to 1"),
        ({"labels": LABELS, "classes": ["a", "b", "a"]}, "two classes have one name"),
        ({"labels": LABELS, "classes": [1, 2, 3]}, "classes must be one axis of text"),
        ({"labels": LABELS, "classes": np.array([["a"]])}, "classes must be one axis of text"),
        ({"labels": np.array([0, None] * 3)}, "holds Python objects"),
    ],
)
def test_wrong_labels_and_classes(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", images=GREY, **arrays)
    refused(tmp_path / "x.npz", message)


def test_class_names_are_bounded(tmp_path):
    names = npy((2_000,), "<U9000", bytes(72_000_000))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("classes.npy", names)
        archive.writestr("images.npy", npy((1, 1), content=b"\0"))
    del names
    (tmp_path / "x.npz").write_bytes(file.getvalue())
    refused(tmp_path / "x.npz", "classes.npy: takes 72,000,000 bytes, at most")


@pytest.mark.parametrize(
    "content, message",
    [
        (idx(GREY)[:-1], r"promises 120 bytes for the shape \(6, 5, 4\), it has 119"),
        (idx(GREY) + b"\0", "it has more"),
        (struct.pack(">HBBIII", 0, 8, 3, 60_000, 280, 28), "470,400,000 bytes.*it has 0"),
        (struct.pack(">HBBIII", 0, 8, 3, 60_000, 28_000, 28_000), "at most 2,147,483,648 are"),
        (
            struct.pack(">HBBIII", 0, 8, 3, 0, 2**32 - 1, 2**32 - 1),
            "holds nothing: its header promises",
        ),
        (struct.pack(">HBB", 0, 8, 255), "cut short: its header promises 255 axes"),
        (struct.pack(">HBB", 0, 8, 200) + struct.pack(">200I", *[1] * 200) + b"\0", "dimension"),
        (struct.pack(">HBBI", 0, 7, 1, 1), "not an IDX file: it begins with 00 00 07 01"),
        (b"\x80\x04", "not an IDX file"),
        (b"", "not an IDX file: it begins with nothing"),
    ],
)
@pytest.mark.parametrize("pack, end", [(bytes, ""), (gzip.compress, ".gz")])
def test_hostile_idx_files(tmp_path, content, message, pack, end):
    path = tmp_path / f"x-images-idx3-ubyte{end}"
    path.write_bytes(pack(content))
    refused(path, message)


@pytest.mark.parametrize("keep", [5, 30, -4])
def test_gzip_file_that_is_cut_short(tmp_path, keep):
    path = tmp_path / "x-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(GREY))[:keep])
    refused(path, "damaged or cut short")


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(width, height, content=b""):
    """A PNG file that says a size and may hold anything."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content, message",
    [
        (png(4, 5)[:50], "not a readable PNG or JPEG file"),
        (png(4, 5, b"nonsense"), "not a readable PNG or JPEG file"),
        (png(4, 5, zlib.compress(b"\0" * 10)), "not a readable PNG or JPEG file"),
        (png(4, 5, zlib.compress(b"\0" * 26)), "its size needs 25 bytes of pixels"),
        (png(40_000, 40_000), "not a readable PNG or JPEG|promises|take"),
        (png(2**31 - 1, 2**31 - 1), "not a readable PNG or JPEG|promises|take"),
        (png(9, 5), "is 9 x 5 pixels, .*a.png is 4 x 5; bring all to the size of the training"),
        (b"GIF89a", "not a readable PNG or JPEG file"),
        (b"", "not a readable PNG or JPEG file"),
    ],
)
@pytest.mark.parametrize("name", ["b.png", "b.jpg"])
def test_hostile_pictures(tmp_path, content, message, name):
    """Pictures that are cut short, lie about their size or are something else, by their name."""
    root = folder_of(tmp_path / "own", [("cat", "a.png", GREY[0])])
    (root / "cat" / name).write_bytes(content)
    assert name in refused(root, message)


def test_pictures_that_take_too_much_memory(tmp_path, monkeypatch):
    root = folder_of(tmp_path / "own", [("a", f"{i}.png", GREY[i]) for i in range(6)])
    monkeypatch.setattr(own_images, "MOST_BYTES", 119)
    refused(root, "6 pictures of 4 x 5 pixels take 120 bytes, at most 119 are read")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda root: None, "needs a folder for each class"),
        (lambda root: (root / "cat").mkdir(), "hold no PNG or JPEG files"),
        (lambda root: folder_of(root, [("a", "x.gif", GREY[0])]), "x.gif: not a PNG or JPEG file"),
        (lambda root: (root / "a" / "x.png").mkdir(parents=True), "x.png: not a PNG or JPEG"),
        (
            lambda root: folder_of(root, [("a", "x.png", GREY[0]), (".", "y.png", GREY[1])]),
            "y.png: stands in no folder of a class",
        ),
        (
            lambda root: folder_of(
                root, [("a", "x.png", GREY[0]), ("a", "y.png", Image.fromarray(GREY[0] * 1.0 > 9))]
            ),
            None,
        ),
        (
            lambda root: folder_of(
                root, [("a", "x.png", GREY[0]), ("a", "y.png", GREY[0].astype(np.uint16))]
            ),
            "y.png: has 16 bits, other pictures here have 8",
        ),
        (
            lambda root: folder_of(
                root, [("a", "x.png", np.concatenate([COLOUR[0], GREY[0][..., None]], axis=-1))]
            ),
            "x.png: has transparent pixels",
        ),
    ],
)
def test_folders_that_say_no_classes(tmp_path, make, message):
    """Folders without classes or with files that would be left out without a word."""
    root = tmp_path / "own"
    root.mkdir()
    make(root)
    if message is None:
        assert read(root).images.shape == (2, 5, 4, 1)
    else:
        refused(root, message)


@pytest.mark.parametrize(
    "name, message",
    [("x.npz", "no such file or folder"), ("x.txt", r"images are read from \.npz")],
)
def test_missing_and_unknown_files(tmp_path, name, message):
    if name.endswith("txt"):
        (tmp_path / name).write_text("1 2 3")
    refused(tmp_path / name, message)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (4, 5), (17, 9)])
def test_whole_png_files_are_taken(tmp_path, mode, size):
    """Files of all kinds of pixels against the count of their bytes."""
    Image.new(mode, size).save(tmp_path / "x.png")
    require_whole_png(tmp_path / "x.png")


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (17, 9)])
def test_interlaced_png(tmp_path, size):
    """A file of seven passes, made here, and the same with one row less."""
    columns, rows = size
    x, y = np.arange(columns), np.arange(rows)
    passes = [(x[a::c], y[b::d]) for a, b, c, d in png_files._PASSES]
    content = b"".join(b"\0" * (1 + len(i)) * len(j) for i, j in passes if len(i))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 1))
    (tmp_path / "own" / "a").mkdir(parents=True)
    path = tmp_path / "own" / "a" / "x.png"

    def write(content):
        body = chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)

    write(content)
    assert read(tmp_path / "own").images.shape == (1, rows, columns, 1)
    write(content[:-1])
    refused(tmp_path / "own", "x.png: not a readable PNG|x.png: .*bytes of pixels")
