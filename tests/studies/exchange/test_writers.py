"""Writers run where their tool is, with nothing of this project beside them."""

import ast
import re
import tomllib

import pytest
from ann2brian.models.places import ROOT
from ann2brian.studies.exchange import writers
from ann2brian.studies.exchange.writers import WRITERS, drawing
from packaging.requirements import Requirement

from tests.support.nir_files import fixture, names

FILES = sorted((ROOT / "studies/exchange/writers").glob("*.py"))
ALONE = ("sinabs",)  # with an nir of its own; see requirements-exchange.txt


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_writer_needs_nothing_of_this_project(path):
    """Imports at the top and inside: the standard library, NumPy, and files beside it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or (node.level == 0 and "ann2brian" not in node.module)
        elif isinstance(node, ast.Import):
            known = {"numpy", "json", "os", "sys", "argparse", "tempfile", "warnings"}
            assert {alias.name for alias in node.names} <= known
    assert "ann2brian" not in re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)


def test_versions_are_those_of_the_files(tmp_path):
    """Files of each writer, made with the versions that it states."""
    found = {}
    for name in names():
        about = fixture(name, tmp_path).about
        found.setdefault(about["tool"], []).append((name, about["versions"]))
    assert set(found) == {writer.tool for writer in WRITERS.values()}
    for name, versions in (own for files in found.values() for own in files):
        tool = "sinabs_new" if name.startswith("sinabs_new") else name.partition("_")[0]
        stated = WRITERS[tool].packages
        # Of PyTorch, the builds have one version each.
        assert all(stated[package] == own.partition("+")[0] for package, own in versions.items())


def requirements(name):
    """Exact versions in a requirements file."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {own.name: str(own.specifier) for own in found}


def test_requirements_have_the_versions_of_the_writers():
    """One environment for all but one, whose format is older."""
    stated = requirements("requirements-exchange.txt")
    for writer in WRITERS.values():
        if writer.name.partition("_")[0] in ALONE:
            continue
        for package, version in writer.packages.items():
            assert stated[package] == f"=={version}", package
    assert WRITERS["sinabs"].packages["nir"] == "1.0.4"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    extra = {own.name: str(own.specifier) for own in map(Requirement, extras["exchange"])}
    assert extra == stated


def test_only_a_format_of_the_right_age(monkeypatch):
    """Of one tool's two writers, that which suits the installed nir."""
    installed = {"sinabs": "3.1.3", "nir": "1.0.4", "nirtorch": "1.0", "torch": "2.13.0"}
    monkeypatch.setattr(writers, "version", installed.__getitem__)
    assert WRITERS["sinabs"].missing == ""
    assert "nir 1.0.4 is installed" in WRITERS["sinabs_new"].missing
    installed["nir"] = "1.0.10"
    assert "before 1.0.6" in WRITERS["sinabs"].missing
    assert WRITERS["sinabs_new"].missing == ""


def test_counts_that_do_not_fit_are_no_spikes():
    """More spikes in a step than the file can hold, and parts of spikes."""
    with pytest.raises(ValueError, match="spikes from 0 to 40000"):
        drawing.as_counts([0, 40_000])
    with pytest.raises(ValueError, match="parts of them"):
        drawing.as_counts([0.5])
    assert drawing.as_counts([0, 300]).tolist() == [0, 300]
