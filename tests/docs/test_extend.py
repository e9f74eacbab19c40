"""A fifth scheme, built from docs/extend.md alone, in a copy of the checkout."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.places import ROOT

from tests.support.pages import blocks

PAGE = ROOT / "docs" / "extend.md"
COPIED = ("ann2brian", "models", "analysis", "studies", "tests", "pyproject.toml", "CITATION.cff")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The checkout with the files of the page, and the two lines that it says."""
    root = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.png")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, root / name)
    n_lines = 0
    for block in blocks(PAGE):
        if block.file and block.language == "python":
            path = root / block.file
            assert not path.exists(), f"{block.file}: the page says that it is new"
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text.partition("\n")[2])
        elif block.file and block.language == "diff":
            _, before, added = block.text.splitlines()
            assert (before[0], added[0]) == (" ", "+")
            lines = (root / block.file).read_text().splitlines()
            lines.insert(lines.index(before[1:]) + 1, added[1:])
            (root / block.file).write_text("\n".join(lines) + "\n")
            n_lines += 1
    assert n_lines == 2
    return root


def run(checkout, *words):
    environment = os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, *words], cwd=checkout, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_study_of_the_new_scheme_runs(checkout):
    """Metrics, curve, spikes and figures of the new scheme on the digits."""
    printed = run(
        checkout,
        *("studies/run_toy.py", "--quick", "--target", "numpy", "--percentile", "99", "99.9"),
    )
    assert "toy, digits, digits-relu" in printed
    (folder,) = (path.parent for path in (checkout / "results/toy").glob("*/metrics.csv"))
    metrics = pd.read_csv(folder / "metrics.csv")
    assert metrics.percentile.tolist() == [99, 99.9]
    assert (metrics.snn_accuracy > 0.9).all()
    assert (metrics.max_spikes_per_neuron == 8).all()
    time = pd.read_csv(folder / "time.csv")
    assert len(time) == 2 * 8
    assert {"toy_accuracy.png", "toy_accuracy.pdf"} <= {
        p.name for p in (folder / "figures").iterdir()
    }
    with np.load(folder / "spikes.npz") as spikes:
        assert len(spikes["step"]) > 1000
    assert (folder / "provenance.json").exists()


def test_contract_tests_pick_the_new_scheme_up(checkout):
    """The suite over all schemes has cases of the new one, and they pass."""
    contract = "tests/models/schemes/test_contract.py"
    choice = "toy and not cython and not cpp_standalone"
    printed = run(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", contract, "-k", choice)
    assert " passed" in printed
