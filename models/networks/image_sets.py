"""Images with labels and class names, and how they are brought to what a network takes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..arrays import Integers
from .dataset_files import DatasetError
from .layers import Shape


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ImageSet:
    """Images as a file holds them, with labels and class names if it has any.

    Parameters
    ----------
    name : str
        Of the data set, file or folder.
    images : ndarray, shape (n, H, W, C), (n, H, W), (n, L, C) or (n, F)
        Finite numbers.
    labels : ndarray of int, shape (n,), optional
        Class of each image, from 0.
    classes : tuple of str, optional
        Names, in the order of the labels.
    is_stepped : bool
        Whether each image is a sequence: the second axis of `images` is that of its steps.
    """

    name: str
    images: NDArray
    labels: Integers | None = None
    classes: tuple[str, ...] | None = None
    is_stepped: bool = False

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        labels = "" if self.labels is None else ", labelled"
        classes = "" if self.classes is None else f", of {len(self.classes)} classes"
        return f"ImageSet({self.name}: {len(self.images)} images of {shape}{labels}{classes})"

    def taken(self, which: slice | Integers) -> Self:
        """Return some of the images.

        Parameters
        ----------
        which : slice or ndarray of int
            Their places.

        Returns
        -------
        ImageSet
            With their labels.
        """
        labels = None if self.labels is None else self.labels[which]
        return replace(self, images=self.images[which], labels=labels)

    def labels_among(self, classes: Sequence[str], *, any_names: bool = False) -> Integers:
        """Return the labels as a network numbers its classes: by name, if the images have names.

        Parameters
        ----------
        classes : sequence of str
            Of the network.
        any_names : bool
            Whether labels go by number, whatever the names are.

        Returns
        -------
        ndarray of int, shape (n,)
            From 0 to len(classes) - 1.

        Raises
        ------
        DatasetError
            If there are no labels, or one is no class of the network.
        """
        if self.labels is None:
            raise DatasetError(
                f"{self.name}: has no labels, so nothing says which answers are right; put them "
                "beside the images: an array labels in an .npz file, or a file *-labels* beside "
                "*-images*"
            )
        if self.classes is not None and not any_names:
            return self._numbers_among(classes)[self.labels]
        most = max(int(self.labels.max()), len(self.classes or ()) - 1)
        if most >= len(classes):
            raise DatasetError(
                f"{self.name}: has labels up to {most}, the network has {len(classes)} classes, 0 "
                f"to {len(classes) - 1}"
            )
        return self.labels

    def _numbers_among(self, classes: Sequence[str]) -> Integers:
        """Number of each class of the images as the network counts them."""
        assert self.classes is not None
        exact, plain = _places(classes), _places([_plain(name) for name in classes])
        found = [exact.get(name) or plain.get(_plain(name), []) for name in self.classes]
        remedy = (
            "choose other images or another network, or, if the numbers of the classes agree, say "
            "--any-classes"
        )
        unknown = [name for name, own in zip(self.classes, found, strict=True) if not own]
        if unknown:
            raise DatasetError(
                f"{self.name}: has the classes {shortened(self.classes)}, the network "
                f"{shortened(classes)}, but no {unknown[0]!r}; {remedy}"
            )
        taken: dict[int, str] = {}
        for name, (number, *others) in zip(self.classes, found, strict=True):
            if others:
                raise DatasetError(
                    f"{self.name}: the class {name!r} may be {number} ({classes[number]}) or "
                    f"{others[0]} ({classes[others[0]]}) of the network; {remedy}"
                )
            if number in taken:
                raise DatasetError(
                    f"{self.name}: the classes {taken[number]!r} and {name!r} are both "
                    f"{number} ({classes[number]}) of the network; {remedy}"
                )
            taken[number] = name
        return np.array([number for number, *_ in found])

    def shaped(self, shape: Shape) -> NDArray:
        """Return the images as a network takes them, if there is one way only to read them so.

        A missing axis of length 1 is added, and channels that stand first are moved last. Images
        of one channel and vectors become each other row by row, and grey is repeated for colour.

        Parameters
        ----------
        shape : tuple of int
            (H, W, C) of the network's input.

        Returns
        -------
        ndarray, shape (n, H, W, C), or (n, n_steps, H, W, C) of sequences
            The same values.

        Raises
        ------
        DatasetError
            If the images have another size; the message has both shapes.
        """
        if self.is_stepped:
            n, n_steps, *each = self.images.shape
            frames = replace(self, images=self.images.reshape(n * n_steps, *each), is_stepped=False)
            return frames.shaped(shape).reshape(n, n_steps, *shape)
        rows, columns, channels = shape
        images, n, own = self.images, len(self.images), self.images.shape[1:]
        same: list[tuple[int, ...]] = [shape]
        if channels == 1:
            same += [(rows, columns), (rows * columns,)]
        if rows == 1:
            same += [(columns, channels)]
        if rows == columns == 1:
            same += [(channels,)]
            if len(own) == 2 or 1 in own:  # grey images; colours may be flattened in any order
                same += [own] if math.prod(own) == channels else []
        if own in same:
            return images.reshape(n, *shape)
        if own == (channels, rows, columns) or (rows == 1 and own == (channels, columns)):
            return np.ascontiguousarray(np.moveaxis(images, 1, -1)).reshape(n, *shape)
        if channels == 3 and own in ((rows, columns), (rows, columns, 1)):
            return np.repeat(images.reshape(n, rows, columns, 1), 3, axis=-1)
        if channels == 1 and own == (rows, columns, 3) and (images == images[..., :1]).all():
            return images[..., :1].copy()
        raise DatasetError(
            f"the network takes images of shape {shape}, {self.name} has {own}: rows, columns, "
            "channels; bring them to this shape as for the training"
        )


def sha256(*arrays: NDArray) -> str:
    """Return what identifies arrays: a digest of their shapes, types and values.

    Parameters
    ----------
    *arrays : ndarray
        E.g. images and labels.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{array.shape} {array.dtype.str}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def is_numbered(classes: Sequence[str]) -> bool:
    """Whether classes have their numbers for names.

    Parameters
    ----------
    classes : sequence of str
        Names.

    Returns
    -------
    bool
        True for ``0``, ``1``, and so on.
    """
    return list(classes) == [str(number) for number in range(len(classes))]


def require_known_order(name: str, classes: Sequence[str]) -> None:
    """Refuse classes that are named by numbers out of order: 0, 1, 10, 2, as folders are sorted.

    A network without names may count them in this order, as it read them, or as the numbers say.

    Parameters
    ----------
    name : str
        Of the images, for the message.
    classes : sequence of str
        Their names.

    Raises
    ------
    DatasetError
        If these two differ.
    """
    if all(one.isdecimal() for one in classes):
        numbers = [int(one) for one in classes]
        if numbers != sorted(numbers):
            raise DatasetError(
                f"{name}: its classes are numbers out of order ({shortened(classes)}), and nothing "
                "says whether the network counts them so; import it with --classes and their names "
                "in its own order"
            )


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    """Where each name stands; several classes may have one, such as the cranes of ImageNet."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places


def _plain(name: str) -> str:
    """A name by its letters: "Lawn-Mower" and "lawn_mower" are one."""
    return name.casefold().replace("_", " ").replace("-", " ").strip()


def shortened(names: Sequence[str]) -> str:
    """Return names in one line, and how many there are if not all are shown.

    Parameters
    ----------
    names : sequence of str
        E.g. of classes.

    Returns
    -------
    str
        At most four of them.
    """
    shown = ", ".join(names[:4])
    return f"{shown}, ... ({len(names)})" if len(names) > 4 else shown
