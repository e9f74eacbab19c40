"""IDX files, the format of MNIST: four bytes of magic number, the size of each axis, the values.

A file may be packed with gzip. Its header says how long it must be, so that a file that is cut
short, or whose sizes lie, is refused before memory is taken for what it promises.

Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

_GZIP = b"\x1f\x8b"
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20


def read_idx(path: str | Path, most_bytes: int) -> NDArray:
    """Read an IDX file.

    Parameters
    ----------
    path : str or Path
        The file, packed with gzip or not.
    most_bytes : int
        Values may take so much memory.

    Returns
    -------
    ndarray
        With the axes and type of the file, in the byte order of this machine.

    Raises
    ------
    ValueError
        If the file is no IDX file, cut short, longer than it says, or larger than allowed; the
        message names it.
    """
    path = Path(path)
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
        file.seek(0)
        if not is_packed:
            return _read(path, file, most_bytes)
        try:
            with gzip.open(file) as unpacked:
                return _read(path, cast(BinaryIO, unpacked), most_bytes)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged or cut short ({error})") from None


def _read(path: Path, file: BinaryIO, most_bytes: int) -> NDArray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not magic[3]:
        raise ValueError(f"{path}: not an IDX file: it begins with {magic.hex(' ') or 'nothing'}")
    dtype, n_axes = np.dtype(_DTYPES[magic[2]]), magic[3]
    sizes = file.read(4 * n_axes)
    if len(sizes) < 4 * n_axes:
        raise ValueError(f"{path}: cut short: its header promises {n_axes} axes")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    if 0 in shape:
        raise ValueError(f"{path}: holds nothing: its header promises the shape {shape}")
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > most_bytes:
        raise ValueError(
            f"{path}: its header promises {n_bytes:,} bytes, at most {most_bytes:,} are read"
        )
    content = bytearray()
    while len(content) <= n_bytes and (part := file.read(_CHUNK)):  # memory for what is there
        content += part
    if len(content) != n_bytes:
        found = "more" if len(content) > n_bytes else f"{len(content):,}"
        raise ValueError(
            f"{path}: damaged or cut short: its header promises {n_bytes:,} bytes for the shape "
            f"{shape}, it has {found}"
        )
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
