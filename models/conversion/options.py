"""Options that declare themselves: one field, from which check, flag, column and docs row come.

At the end stand the options that several schemes have.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from ..networks.layers import RESETS

MOST_STEPS = 4096  # algorithmic steps of a conversion
Documented = TypeVar("Documented", bound="Options")


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
    otherwise: Any = None,
) -> Any:
    """Declare an option of a scheme.

    Parameters
    ----------
    default
        Its value unless the user gives another one.
    help : str
        What it is, for readers: sentences without its default and its range.
    least, most : float
        Bounds that belong to the range.
    above, below : float
        Bounds that do not.
    choices : sequence of str
        The values that there are.
    flag : str, optional
        On the command line, without the dashes; by default the field's name with hyphens.
    otherwise
        Of an option that is None by default and then as the network was trained: its value where
        the network does not tell, see :mod:`models.conversion.as_trained`.

    Returns
    -------
    dataclasses.Field
        The type of the value is the annotation of the field: int, float, bool or str, or one of
        them or None.
    """
    about = {"help": help, "choices": tuple(choices), "flag": flag, "otherwise": otherwise}
    bounds = {"least": least, "most": most, "above": above, "below": below}
    return dataclasses.field(default=default, metadata=about | bounds)


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
    otherwise: Any

    @property
    def usual(self) -> str:
        """Its value unless one is given, in words."""
        if self.default is not None:
            return f"{self.default:g}" if self.kind is float else str(self.default)
        return "as trained" if self.otherwise is None else f"as trained, else {self.otherwise}"

    @property
    def range(self) -> str:
        """Values that it may have, in words."""
        if self.choices:
            words = f"one of {', '.join(self.choices)}"
        elif self.kind is bool:
            words = "True or False"
        else:
            words = " ".join(
                part
                for part in ("a whole number" if self.kind is int else "", self._bounds)
                if part
            )
        return words or {float: "a number", str: "text"}[self.kind]

    @property
    def _bounds(self) -> str:
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"from {self.least:g} to {self.most:g}"
        bounds = (
            ("at least", self.least),
            ("above", self.above),
            ("at most", self.most),
            ("below", self.below),
        )
        parts = [f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound)]
        is_open = self.kind is float and math.isinf(self.most) and math.isinf(self.below)
        return " and ".join([*parts, "finite"] if parts and is_open else parts)

    def check(self, value: object) -> None:
        """Raise a ValueError that names option, range and value unless `value` is allowed."""
        if not ((value is None and self.is_optional) or self._is_allowed(value)):
            raise ValueError(f"{self.name} must be {self.range}, got {value!r}")

    def _is_allowed(self, value: Any) -> bool:
        if self.choices:
            return isinstance(value, str) and value in self.choices
        if self.kind is bool:
            return isinstance(value, bool | np.bool_)
        if self.kind is str:
            return isinstance(value, str)
        numbers = (int, np.integer) if self.kind is int else (int, float, np.integer, np.floating)
        return bool(
            isinstance(value, numbers)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and self.least <= value <= self.most
            and self.above < value < self.below
        )


class Options:
    """Base of the options of a scheme: a frozen, keyword-only dataclass of :func:`option` fields.

    The check, the flag of the command, the column in tables, the default and the row in the
    documentation all come from the field; :func:`documented` puts it into the docstring.

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

    @classmethod
    def given(cls, options: Self | None) -> Self:
        """These options, or the defaults for None.

        Raises
        ------
        TypeError
            If it is something else: the calibration images, say, which come after the options.
        """
        if options is None:
            return cls()
        if not isinstance(options, cls):
            what = type(options).__name__
            raise TypeError(
                f"options must be {cls.__name__}, got {what}; convert takes network, "
                "options, calibration in this order"
            )
        return options

    @classmethod
    def declared(cls, name: str) -> Option:
        """The option of that name, with its range and choices."""
        return next(declared for declared in options_of(cls) if declared.name == name)


def options_of(kind: type[Options]) -> tuple[Option, ...]:
    """Declared options of a scheme, in the order of its fields."""
    hints = typing.get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
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


def documented(kind: type[Documented]) -> type[Documented]:
    """Add the declared options to the docstring of their class."""
    lines = ["", "", "    Parameters", "    ----------"]
    for declared in options_of(kind):
        names = declared.kind.__name__ + (", optional" if declared.is_optional else "")
        lines.append(f"    {declared.name} : {names}")
        default = declared.usual if declared.otherwise is not None else repr(declared.default)
        text = f"{declared.help} {declared.range.capitalize()}; {default} by default."
        lines += textwrap.wrap(text, 92, initial_indent=" " * 8, subsequent_indent=" " * 8)
    kind.__doc__ = (kind.__doc__ or "").rstrip() + "\n".join(lines) + "\n"
    return kind


STEPS: dict[str, Any] = {
    "help": "Algorithmic steps for one image.",
    "least": 1,
    "most": MOST_STEPS,
    "flag": "steps",
}


def steps_option(default: int) -> Any:
    """Option of the number of algorithmic steps."""
    return option(default, **STEPS)


def trained_steps_option(otherwise: int) -> Any:
    """The same, of networks that may have been trained for several steps."""
    return option(None, **STEPS, otherwise=otherwise)


def step_length_option() -> Any:
    """Option of the length of a step of neurons that decide at once."""
    text = "Length of a step in ms, which is also the time that a spike takes to the next layer."
    return option(1.0, text, least=1e-3, most=1e3)


def leak_option(otherwise: float) -> Any:
    """Option of the leak of a membrane, by default that of the training."""
    text = "Factor of the potential from step to step; 1 is no leak."
    return option(None, text, least=2.0**-10, most=1.0, otherwise=otherwise)


def reset_option(otherwise: str) -> Any:
    """Option of the reset of a membrane, by default that of the training."""
    text = "After a spike: by subtraction of the threshold (soft), or to rest (hard)."
    return option(None, text, choices=RESETS, otherwise=otherwise)


def weight_bits_option(default: int = 16, most: int = 24) -> Any:
    """Option of the bits of a weight, which say on what grid the sums of potentials are exact."""
    text = "Bits of a synaptic weight, sign included: the dyadic grid of a layer's kernels."
    return option(default, text, least=2, most=most)
