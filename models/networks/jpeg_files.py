"""Whether a JPEG file has the pixels that its head promises.

A decoder that meets the marker of the end too early fills in grey, without a word. What it misses
it would take from bytes that are put in front of that marker: a picture that changes with them was
cut short.

Source: ITU-T T.81, sections B.1, B.2 and G.1.1; libjpeg's way to go on after a lost restart marker.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 1 << 28  # of a file
_END, _SCAN = 0xD9, 0xDA
_RESTARTS = range(0xD0, 0xD8)
_BARE = (0x01, *_RESTARTS, 0xD8)  # markers that no length follows
# Heads of images in Huffman codes. Arithmetic ones may leave out the end of their data.
_HUFFMAN_HEADS = (0xC0, 0xC1, 0xC2)
_HEADS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# What fills in: noise between all restart markers, in two orders, since libjpeg waits where it gets
# one of the next two.
_NOISE = np.random.default_rng(0).integers(0, 255, (2, 8, 256), dtype=np.uint8)
_FILLINGS = tuple(
    b"".join(own.tobytes() + bytes((0xFF, 0xD0 + (first + i) % 8)) for i, own in enumerate(noise))
    for first, noise in zip((0, 4), _NOISE, strict=True)
)


def require_whole_jpeg(path: str | Path, decode: Callable[[bytes], NDArray]) -> None:
    """Refuse a JPEG file that has fewer pixels than it promises.

    Parameters
    ----------
    path : str or Path
        A JPEG file.
    decode : callable
        Pixels of the content of a file.

    Raises
    ------
    ValueError
        If it has, or is too large to look at.
    """
    path = Path(path)
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"takes {path.stat().st_size:,} bytes, at most {_MOST_BYTES:,} are read")
    content = path.read_bytes()
    end, is_huffman, is_refined = _walk(content)
    if end is None or not is_refined:
        raise ValueError("its data end before the picture does")
    if not is_huffman:
        return
    pixels = decode(content)
    for filling in _FILLINGS:
        if not np.array_equal(pixels, decode(content[:end] + filling + content[end:])):
            raise ValueError("its data end before the picture does")


def _walk(content: bytes) -> tuple[int | None, bool, bool]:
    """Where the marker of the end stands; whether codes are Huffman's and all scans are there."""
    at, is_huffman = 2, False
    exact: dict[int, set[int]] = {}  # coefficients known to their last bit, by component
    while at + 2 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _END:
            return at, is_huffman, all(len(known) == 64 for known in exact.values())
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        segment = content[at + 4 : at + 2 + length]
        at += 2 + length
        if marker in _HEADS:
            is_huffman = marker in _HUFFMAN_HEADS
            exact = {component: set() for component in segment[6::3]}
        elif marker == _SCAN and segment:
            first, last, bits = segment[-3:]
            if not bits & 15:
                for component in segment[1 : 1 + 2 * segment[0] : 2]:
                    exact.setdefault(component, set()).update(range(first, last + 1))
            at = _after_codes(content, at)
    return None, is_huffman, False


def _after_codes(content: bytes, at: int) -> int:
    """The marker that follows the codes of a scan."""
    while 0 <= (at := content.find(b"\xff", at)) < len(content) - 1:
        if content[at + 1] and content[at + 1] not in _RESTARTS:
            return at
        at += 2
    return len(content)
