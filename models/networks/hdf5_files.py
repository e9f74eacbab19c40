"""Arrays and texts of HDF5 files that may be damaged or hostile.

Sizes that a file declares are compared with what it holds before memory is given to them; links
that lead elsewhere are not followed; nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..installs import needed
from ..messages import one_line

MAX_ARRAYS = 2**30  # bytes
MAX_TEXT = 2**24  # bytes of one text
FILTERS = (None, "gzip", "lzf")


class Budget:
    """Bytes that may still be read from a file.

    Parameters
    ----------
    n_bytes : int
        In all.
    most_ratio : float
        Largest allowed ratio of declared to stored bytes of an array.
    """

    def __init__(self, n_bytes: int, most_ratio: float) -> None:
        self.n_bytes = n_bytes
        self.most_ratio = most_ratio

    def read(self, dataset: Any, name: str) -> NDArray[Any]:
        """Read a dataset whose declared size its stored bytes bear out.

        Parameters
        ----------
        dataset : h5py.Dataset
            Of numbers.
        name : str
            For messages.

        Raises
        ------
        ValueError
            If it lies elsewhere, is packed in a way that is not read, or is declared larger than
            what is stored can be.
        """
        if dataset.external is not None or dataset.is_virtual:
            raise ValueError(f"{name} lies in another file; save the whole network in one")
        if dataset.compression not in FILTERS:
            raise ValueError(f"{name} is compressed by {dataset.compression}, which is not read")
        stored = dataset.id.get_storage_size()
        if dataset.nbytes > min(self.n_bytes, self.most_ratio * stored):
            raise ValueError(
                f"{name} is declared as {dataset.shape}, {dataset.nbytes} bytes, and "
                f"{stored} are stored; at most {MAX_ARRAYS} are read"
            )
        self.n_bytes -= dataset.nbytes
        return np.asarray(dataset[()])


def member(group: Any, path: str) -> Any:
    """Follow a path, through hard links only: others may lead out of the file; None if absent."""
    for part in path.split("/"):
        if not hasattr(group, "keys") or part in ("", ".", "..") or part not in group:
            return None
        if type(group.get(part, getlink=True)).__name__ != "HardLink":
            raise ValueError(f"{part!r} is a link to somewhere else; save the model in one file")
        group = group[part]
    return group


@contextmanager
def opened(path: Path, purpose: str, remedy: str) -> Iterator[Any]:
    """Open an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    purpose : str
        For the message where h5py is missing.
    remedy : str
        What to do with a damaged file.

    Yields
    ------
    h5py.File

    Raises
    ------
    ImportError
        If h5py is missing.
    ValueError
        If the file is missing, cut short or damaged.
    """
    h5py = needed("h5py", purpose)
    if not path.is_file():
        raise ValueError("no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:  # h5py reports damage by any of these
        raise ValueError(
            f"is damaged or cut short, or no HDF5 file ({one_line(error, 300)}); {remedy}"
        ) from error
