"""Options that declare themselves: what is checked, and what is said, shown and derived."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from ann2brian.models.conversion.options import Options, documented, option, options_of


@documented
@dataclass(frozen=True, kw_only=True)
class Tea(Options):
    """How to make tea."""

    n_cups: int = option(2, "Cups.", least=1, most=6)
    n_leaves: int = option(100, "Leaves in the pot.", least=1)
    minutes: float = option(3.0, "Time to draw.", above=0, most=10)
    sugar: float = option(0.0, "Of the cup.", least=0, below=1)
    degrees: float | None = option(None, "Of the water.", least=50)
    kind: str = option("green", "Leaves.", choices=("green", "black"))
    has_milk: bool = option(False, "After the tea.", flag="milk")
    name: str = option("mine", "On the cup.")
    spoons: int | None = option(None, "In the cup.", least=0, otherwise=2)


def test_values_in_range_are_taken():
    """Bounds that belong to the range, NumPy's numbers, whole numbers for floats, and None."""
    tea = Tea(n_cups=np.int64(6), minutes=10, sugar=np.float32(0), degrees=50, has_milk=True)
    assert replace(tea, degrees=None, n_cups=1, kind="black", n_leaves=10**9).degrees is None
    assert Tea() == Tea(n_cups=2) != tea


@pytest.mark.parametrize(
    ("name", "bad", "wanted"),
    [
        ("n_cups", (0, 7, 2.0, True, "2", None, math.nan), "a whole number from 1 to 6"),
        ("n_leaves", (0, 1.5), "a whole number at least 1"),
        ("minutes", (0.0, 10.1, math.nan, "3", False), "above 0 and at most 10"),
        ("sugar", (-0.1, 1.0, math.inf, 1j), "at least 0 and below 1"),
        ("degrees", (49, math.inf, math.nan, True), "at least 50 and finite"),
        ("kind", ("red", 1, None, "gree"), "one of green, black"),
        ("has_milk", (1, 0, "yes", None), "True or False"),
        ("name", (1, None), "text"),
    ],
)
def test_values_out_of_range_are_refused(name, bad, wanted):
    """Below, above, at open bounds and of other types: error with name, range and value."""
    for value in bad:
        with pytest.raises(ValueError) as refusal:
            Tea(**{name: value})
        assert str(refusal.value) == f"{name} must be {wanted}, got {value!r}"


def test_what_is_derived():
    """Order, defaults, flags and kinds as declared."""
    declared = options_of(Tea)
    assert [d.name for d in declared] == list(Tea.__dataclass_fields__)
    assert {d.name: d.default for d in declared} == vars(Tea())
    flags = ["cups", "leaves", "minutes", "sugar", "degrees", "kind", "milk", "name", "spoons"]
    assert [d.flag.removeprefix("n-") for d in declared] == flags
    assert [d.kind for d in declared] == [int, int, float, float, float, str, bool, str, int]
    optional = ("degrees", "spoons")
    assert [d.is_optional for d in declared] == [d.name in optional for d in declared]
    assert [Tea.declared(name).otherwise for name in ("n_cups", *optional)] == [None, None, 2]
    usual = [Tea.declared(name).usual for name in ("n_cups", "minutes", *optional)]
    assert usual == ["2", "3", "as trained", "as trained, else 2"]
    assert Tea.declared("kind").choices == ("green", "black")


def test_docstring_shows_every_option():
    """Name, type, help, range and default of each, below the class's own words."""
    assert Tea.__doc__.startswith("How to make tea.")
    for d in options_of(Tea):
        assert f"\n    {d.name} : {d.kind.__name__}" in Tea.__doc__
        text = " ".join(Tea.__doc__.split())
        default = d.default if d.otherwise is None else d.usual
        shown = default if isinstance(default, str) and d.default is None else repr(default)
        assert f"{d.help} {d.range.capitalize()}; {shown} by default." in text
    assert "degrees : float, optional" in Tea.__doc__
    assert max(map(len, Tea.__doc__.splitlines())) <= 92
