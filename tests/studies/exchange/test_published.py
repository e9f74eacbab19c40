"""Published rows against what the page says, and the page against the dialects."""

import re

import pandas as pd
import pytest
from ann2brian.models.places import ROOT
from ann2brian.models.schemes.nir.dialects import DIALECTS
from ann2brian.models.schemes.nir.options import NirOptions
from ann2brian.studies.exchange.conventions import DEFINITION, GONE, MEANT
from ann2brian.studies.exchange.published import exchange_table
from ann2brian.studies.exchange.writers import WRITERS
from ann2brian.studies.frame.publishing import PUBLISHED

from tests.support.nir_files import names

PAGE = (ROOT / "docs" / "nir.md").read_text()
ROWS = {
    row[1]: row[0]
    for row in re.finditer(r"^\| `(\w+)` \(.*$", PAGE.split("What each writer means")[1], re.M)
}


@pytest.fixture(scope="module")
def rows():
    return pd.read_csv(PUBLISHED / "exchange.csv")


def test_published_files_are_those_of_the_tests(rows):
    """All of them, from every tool, with C++, as its tool means it and by the definition."""
    meant = rows[rows.reading == MEANT]
    assert meant.file.tolist() == names()
    assert (meant.target == "cpp_standalone").all()
    assert set(rows.tool) == {writer.tool for writer in WRITERS.values()}
    plain = rows[rows.reading == DEFINITION]
    assert set(plain.file) == set(meant[meant.tool != "nirtorch"].file)


def test_published_spikes_are_the_tools_own(rows):
    """Every one, in NumPy and in Brian2; but of files that have lost something."""
    meant = rows[rows.reading == MEANT]
    is_lost = meant.lost.notna()
    assert set(meant.lost[is_lost]) == set(GONE.values())
    assert (meant.spikes > 50).all()
    for where in ("numpy", "brian2"):
        assert (meant[~is_lost][f"{where}_differ"] == 0).all()
        assert (meant[is_lost][f"{where}_differ"] > 500).all()
        assert meant[is_lost][f"{where}_layer"].notna().all()
    assert meant.potential_error.dropna().max() < 1e-5
    assert meant.potential_error.notna().sum() == 3


def test_without_the_dialect_spikes_differ(rows):
    """Of all networks but one: weights without exact hits, hard reset, no leak."""
    plain = rows[(rows.reading == DEFINITION) & rows.refused.isna()]
    assert plain.file[plain.numpy_differ == 0].tolist() == ["spikingjelly_if_free"]


def test_the_page_has_a_row_for_each_kind(rows):
    """Kinds of networks, and all networks once."""
    table = exchange_table(rows).splitlines()[2:]
    assert len(table) < 50
    assert sum(int(line.split(" | ")[4]) for line in table) == len(names())


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_the_page_has_every_dialect(dialect):
    """With the versions and the options of its declaration."""
    row = ROWS[dialect.name]
    assert f"({dialect.versions})" in row
    for name in dialect.options:
        assert f"`--{NirOptions.declared(name).flag}" in row, name
    for reset in dialect.resets[1:] if dialect.name != DEFINITION else ():
        assert reset in row
