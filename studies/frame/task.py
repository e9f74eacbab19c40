"""A task: how one condition of a result is simulated, in parts if need be, and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ann2brian.models.spiking.recording import Recording

Report = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One condition of a result.

    The callables are to be picklable: module-level functions, or ``functools.partial`` of them
    over plain data.

    Parameters
    ----------
    name : str
        Its folder in the result.
    simulate : callable
        ``simulate(start, stop)``: recording of these of its images.
    n_images : int
        Its images.
    write : callable
        ``write(folder, recording)``: writes the tables (CSV) of all its images into that folder.
    whole : callable, optional
        ``whole(jobs, report)``: recording of all its images by so many processes, which tells
        ``report`` (images done, images in all); by default processes call `simulate`.
    title : str
        What the progress bar calls it; by default its name.
    about : str
        Line that is printed when it begins.
    """

    name: str
    simulate: Callable[[int, int], Recording]
    n_images: int
    write: Callable[[Path, Recording], None]
    whole: Callable[[int, Report], Recording] | None = None
    title: str = ""
    about: str = ""


def shards(n_images: int, most: int, at_least: int = 1) -> list[tuple[int, int]]:
    """First image of each shard, and the first that is no longer in it.

    All but the last are equal, so that they share a compiled program.

    Parameters
    ----------
    n_images : int
        Images in all.
    most : int
        Images of a shard.
    at_least : int
        Shards, if there are so many images.
    """
    size = -(-n_images // max(at_least, -(-n_images // most)))
    return [(start, min(start + size, n_images)) for start in range(0, n_images, size)]
