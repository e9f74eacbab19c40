"""JPEG files that end too early, by an encoder's whole files and the pixels that a cut changes."""

import io

import numpy as np
import pytest
from ann2brian.models.networks import jpeg_files
from ann2brian.models.networks.dataset_files import DatasetError
from ann2brian.models.networks.jpeg_files import require_whole_jpeg
from ann2brian.models.networks.own_images import read

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow: pip install pillow")

RNG = np.random.default_rng(7)
SMOOTH = (np.add.outer(3 * np.arange(47), 2 * np.arange(61)) % 256).astype(np.uint8)
PICTURES = {
    "noise": RNG.integers(0, 256, (47, 61), dtype=np.uint8),
    "colours": RNG.integers(0, 256, (40, 33, 3), dtype=np.uint8),
    "smooth": SMOOTH,
    "flat": np.full((32, 40, 3), 90, np.uint8),
}
KINDS = {
    "plain": {},
    "coarse": {"quality": 5},
    "fine": {"quality": 100, "subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 1},
    "both": {"progressive": True, "restart_marker_blocks": 2},
}
END = b"\xff\xd9"
EARLY = "its data end before the picture does"


def encoded(pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", **options)
    return content.getvalue()


def decoded(content):
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


def is_whole(content, tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    try:
        require_whole_jpeg(path, decoded)
    except ValueError as error:
        assert str(error) == EARLY
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PICTURES)
def test_cut_files_are_told_from_whole_ones(name, kind, tmp_path):
    """Cut at many places and closed by the marker of the end, as a decoder takes it."""
    content = encoded(PICTURES[name], **KINDS[kind])
    assert content.endswith(END) and is_whole(content, tmp_path)
    start = content.index(b"\xff\xda") + 14
    n_changed = 0
    for at in np.linspace(start, len(content) - 3, 15).astype(int):
        cut = content[:at] + END
        try:
            changes = not np.array_equal(decoded(cut), decoded(content))
        except Exception:  # cut within a marker, which the decoder itself refuses
            continue
        if content[at - 1] == 0xFF or not changes:
            continue
        n_changed += 1
        assert not is_whole(cut, tmp_path), at
    assert n_changed > (0 if name == "flat" else 5)


def test_what_may_stand_around_a_picture(tmp_path):
    """A thumbnail with an end of its own in front, anything behind, more bytes between markers."""
    small = encoded(PICTURES["flat"])
    content = encoded(SMOOTH, exif=b"Exif\0\0" + small, comment=b"\xff\xd9")
    assert content.count(END) > 2
    assert is_whole(content, tmp_path) and is_whole(content + small, tmp_path)
    table = content.index(b"\xff\xdb")
    assert is_whole(content[:table] + b"\xff\xff" + content[table:], tmp_path)
    assert not is_whole(content[:-400] + END, tmp_path)


def test_a_missing_scan(tmp_path):
    """Progressive files whose last scans are missing as a whole; any decoder takes them."""
    content = encoded(SMOOTH, progressive=True)
    scans = [at for at in range(len(content)) if content[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for at in scans[1:]:
        assert not is_whole(content[:at] + END, tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\0\2", b"\xff\xd8\xff\xc0"]
)
def test_files_without_a_picture(content, tmp_path):
    """Nothing is decoded."""
    assert not is_whole(content, tmp_path)


def test_large_files_are_not_read(tmp_path, monkeypatch):
    """Their size is known before."""
    monkeypatch.setattr(jpeg_files, "_MOST_BYTES", 10)
    path = tmp_path / "x.jpg"
    path.write_bytes(bytes(11))
    with pytest.raises(ValueError, match="takes 11 bytes, at most 10"):
        require_whole_jpeg(path, decoded)


def test_own_images_are_looked_at(tmp_path):
    """One line that names the file."""
    folder = tmp_path / "own" / "cat"
    folder.mkdir(parents=True)
    content = encoded(PICTURES["noise"])
    (folder / "a.jpg").write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / "own").images[0, ..., 0], decoded(content))
    (folder / "b.jpg").write_bytes(content[: len(content) // 2] + END)
    with pytest.raises(DatasetError, match=rf"b\.jpg: .*cut short \({EARLY}\)"):
        read(tmp_path / "own")
