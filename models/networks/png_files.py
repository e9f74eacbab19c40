"""Whether a PNG file has the pixels that its head promises.

Decoders leave pixels black where the stream of a file ends early, without a word.

Source: PNG specification (third edition), sections 8.1, 10.1 and 11.2.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_WHOLE = ((0, 0, 1, 1),)
# First column and row, and steps of both, of each pass of an interlaced image.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_PART = 1 << 16


def require_whole_png(path: str | Path) -> None:
    """Refuse a PNG file that has fewer or more pixels than it promises.

    Parameters
    ----------
    path : str or Path
        A PNG file.

    Raises
    ------
    ValueError
        If it has, or is no PNG file.
    """
    with Path(path).open("rb") as file:
        if file.read(8) != _SIGNATURE:
            raise ValueError("not a PNG file")
        promised, found, stream = 0, 0, zlib.decompressobj()
        for kind, content in _chunks(file):
            if kind == b"IHDR" and len(content) == 13:
                promised = _n_bytes(*struct.unpack(">IIBBBBB", content))
            elif kind == b"IDAT":
                while content and found <= promised:  # in parts, so that no bomb is unpacked
                    found += len(stream.decompress(content, _PART))
                    content = stream.unconsumed_tail
    if found != promised:
        raise ValueError(f"its size needs {promised:,} bytes of pixels, it has another number")


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, a large one in parts."""
    while len(head := file.read(8)) == 8:
        (length,) = struct.unpack(">I", head[:4])
        while length and (part := file.read(min(length, _PART))):
            yield head[4:], part
            length -= len(part)
        file.read(4)  # its checksum, which the decoder compares


def _n_bytes(
    columns: int, rows: int, bits: int, colour: int, _packing: int, _filters: int, interlaced: int
) -> int:
    """Bytes of the pixels: of each row its filter, then its pixels."""
    n_bits = bits * _CHANNELS.get(colour, 1)
    total = 0
    for x, y, dx, dy in _PASSES if interlaced else _WHOLE:
        width, height = -(-(columns - x) // dx), -(-(rows - y) // dy)
        if width > 0 and height > 0:
            total += height * (1 + -(-width * n_bits // 8))
    return total
