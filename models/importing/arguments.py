"""Types of what all readers are handed: each error names the argument, the value and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np

from ..messages import one_line
from ..networks.network import InputCoding

_LONGEST = 60  # characters of a value in a message


def shown(value: object) -> str:
    """Return a value for a message, in one line and not longer than a line."""
    try:
        return one_line(ValueError(repr(value)), _LONGEST)
    except Exception:  # whatever the caller's class does
        return type(value).__name__


def require_types(input: object, transform: object) -> None:
    """Refuse an input coding or a transform that is none.

    Raises
    ------
    ValueError
        If `input` is neither an `InputCoding` nor None, or `transform` no function and not None.
    """
    if input is not None and not isinstance(input, InputCoding):
        raise ValueError(
            f"input= must be an InputCoding, as input_coding makes it from images, got "
            f"{shown(input)}"
        )
    if transform is not None and not callable(transform):
        raise ValueError(
            "transform= must be a function from one raw image to what the model takes, got "
            f"{shown(transform)}"
        )


def numbers(name: str, given: object) -> np.ndarray:
    """Return numbers that a caller states, in float64.

    Parameters
    ----------
    name : str
        Of the argument.
    given : float or sequence of float
        Array or tensor, too.

    Raises
    ------
    ValueError
        If it holds something else, such as text or complex numbers.
    """
    try:
        found = np.asarray(given)
    except Exception:  # of sequences of unequal lengths, of tensors that hold nothing
        found = np.asarray(None)
    if found.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be numbers, got {shown(given)}")
    return found.astype(np.float64)


def one_number(name: str, given: object) -> float:
    """Return one number that a caller states.

    Raises
    ------
    ValueError
        If it is none, or several.
    """
    found = numbers(name, given)
    if found.size != 1:
        raise ValueError(f"{name} must be one number, got {shown(given)}")
    return float(found.reshape(()))


def network_name(name: Any) -> str:
    """Return the name of a network.

    Raises
    ------
    ValueError
        If it is no text, or an empty one.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name= must be text, got {shown(name)}")
    return name


def class_names(classes: Any, n_classes: int) -> tuple[str, ...]:
    """Return the names of the classes in the order of the outputs.

    Parameters
    ----------
    classes : sequence of str or int, or None
        As given; ``"0"``, ``"1"``, ... for None.
    n_classes : int
        How many outputs the network has.

    Raises
    ------
    ValueError
        If they are no names, not in an order, not as many, or not different.
    """
    if classes is None:
        return tuple(map(str, range(n_classes)))
    wanted = f"classes= must be names, a sequence of {n_classes} str in the order of the outputs"
    is_ordered = isinstance(classes, Iterable) and not isinstance(classes, bytes | Set)
    names: Sequence[object] = list(classes) if is_ordered else ()
    if not is_ordered or not all(isinstance(own, str | int | np.integer) for own in names):
        raise ValueError(f"{wanted}, got {shown(classes)}")
    if len(names) != n_classes:
        raise ValueError(f"{wanted}, got {len(names)}: {shown(classes)}")
    found = tuple(map(str, names))
    double = next((own for i, own in enumerate(found) if own in found[:i]), None)
    if double is not None:
        raise ValueError(f"{wanted}, got {double!r} twice")
    return found
