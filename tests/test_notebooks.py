"""Notebooks against their own assertions: each is executed, cell by cell, as it is committed."""

import ast
import os

import nbformat
import pytest
from ann2brian.models.places import ROOT
from nbclient import NotebookClient

from tests.support.with_torch import torch_or_skip

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_CODE_CELLS = 15
CELL_TIMEOUT_S = 300  # the slowest cell takes some seconds; room for a loaded machine

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@every_notebook
def test_notebook_runs(path, tmp_path, monkeypatch):
    """Every cell runs without an exception; outputs stay in memory, settings in `tmp_path`."""
    if any("import torch" in cell.source for cell in code_cells(path)):
        torch_or_skip()
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]  # this checkout, whichever is installed
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    before = path.read_bytes(), sorted(FOLDER.iterdir())
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    assert (path.read_bytes(), sorted(FOLDER.iterdir())) == before
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_notebook_is_committed_without_outputs(path):
    for cell in code_cells(path):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert "execution" not in cell.metadata  # time stamps of a run


@every_notebook
def test_notebook_is_short_and_asserts_its_claims(path):
    cells = code_cells(path)
    assert 0 < len(cells) <= MOST_CODE_CELLS
    assert "\nassert " in cells[-1].source


@every_notebook
def test_notebook_imports_from_one_place(path):
    """Public names and the analysis; no room of the models, no study."""
    found = {
        node.module
        for cell in code_cells(path)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.ImportFrom)
    }
    assert {name for name in found if name.startswith("ann2brian.")} == {
        name for name in found if name.startswith("ann2brian.analysis.")
    }
