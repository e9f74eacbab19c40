"""Options that declare themselves: one field, from which check, flag, column and docs row come."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def option(
    default: Any,
    help: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    choices: Sequence[str] = (),
    flag: str | None = None,
) -> Any:
    """Declare an option of a scheme.

    Parameters
    ----------
    default
        Its value unless the user gives another one.
    help : str
        What it is, one sentence without its default; the unit where there is one.
    least, most : float
        Bounds that belong to the range.
    above, below : float
        Bounds that do not.
    choices : sequence of str
        The values that there are.
    flag : str, optional
        On the command line, without the dashes; by default the field's name with hyphens.

    Returns
    -------
    dataclasses.Field
        The type of the value is the annotation of the field: int, float, bool or str, or one of
        them or None.
    """
    about = {"help": help, "least": least, "most": most, "above": above, "below": below}
    return dataclasses.field(
        default=default, metadata=about | {"choices": tuple(choices), "flag": flag}
    )


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option as it was declared; parameters as for :func:`option`.

    Parameters
    ----------
    name : str
        Of the field, and of the column in tables.
    kind : type
        int, float, bool or str.
    is_optional : bool
        None is a value.
    """

    name: str
    kind: type
    is_optional: bool
    default: Any
    help: str
    least: float
    most: float
    above: float
    below: float
    choices: tuple[str, ...]
    flag: str

    @property
    def range(self) -> str:
        """Values that it may have, in words; empty if there are no bounds."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        parts = [
            f"{word} {bound:g}"
            for word, bound in (
                ("at least", self.least),
                ("above", self.above),
                ("at most", self.most),
                ("below", self.below),
            )
            if math.isfinite(bound)
        ]
        return " and ".join(parts)

    def check(self, value: object) -> None:
        """Raise a ValueError that names option, range and value unless `value` is allowed."""
        if value is None and self.is_optional:
            return
        if self.choices:
            is_right = isinstance(value, str) and value in self.choices
        elif self.kind is bool:
            is_right = isinstance(value, bool)
        else:
            numbers = (int, np.integer) if self.kind is int else (int, float, np.number)
            is_right = (
                isinstance(value, numbers)
                and not isinstance(value, bool)
                and math.isfinite(value)  # type: ignore[arg-type]
                and bool(self.least <= value <= self.most)  # type: ignore[operator]
                and bool(self.above < value < self.below)  # type: ignore[operator]
            )
        if not is_right:
            what = {bool: "True or False", int: "a whole number", float: "a number"}.get(
                self.kind, "text"
            )
            text = self.range if self.choices else " ".join(x for x in (what, self.range) if x)
            raise ValueError(f"{self.name} must be {text}, got {value!r}")


class Options:
    """Base of the options of a scheme: a frozen, keyword-only dataclass of :func:`option` fields.

    Raises
    ------
    ValueError
        If a value is out of range; the message names it. A subclass that checks more does so in
        ``__post_init__`` after calling this one's.
    """

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for declared in options_of(type(self)):
            declared.check(getattr(self, declared.name))


def options_of(kind: type) -> tuple[Option, ...]:
    """Declared options of a scheme, in the order of its fields."""
    hints = typing.get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        about = dict(field.metadata)
        about["flag"] = about["flag"] or field.name.replace("_", "-")
        found.append(
            Option(
                name=field.name,
                kind=next(k for k in kinds if k is not types.NoneType),
                is_optional=types.NoneType in kinds,
                default=field.default,
                **about,
            )
        )
    return tuple(found)
