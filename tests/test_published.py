"""The README's numbers, and the borders between the packages."""

import ast
import re

import pandas as pd
import pytest

from studies import publish
from studies.common import REQUIRED_COLUMNS, ROOT


def test_readme_shows_the_published_numbers():
    """README tables against the committed CSV files."""
    text = publish.README.read_text()
    assert publish.filled(text) == text
    assert (publish.PUBLISHED / publish.PICTURE).exists()


def test_published_runs_keep_the_promises():
    """Committed reference runs against what the README and the issue promise."""
    metrics = pd.read_csv(publish.PUBLISHED / "amos.csv")
    assert set(REQUIRED_COLUMNS) <= set(metrics.columns)
    assert (metrics.max_spikes_per_neuron == 1).all()
    whole = metrics[(metrics.dataset == "fashion-mnist") & (metrics.n_images == 10_000)]
    plain = whole[(whole.range_percentile == 99.9) & ~whole.refit].set_index(
        ["gate", "neurons_per_gate"]
    )
    assert (plain.ann_accuracy >= 0.91).all()
    lost = plain.ann_accuracy - plain.snn_accuracy
    assert lost["relu", 8] <= 0.002
    assert lost["silu", 12] <= 0.005
    ratios = pd.read_csv(publish.PUBLISHED / "benchmark.csv").set_index("quantity").value
    assert ratios.filter(regex="build time, 16").item() <= 1.3
    assert ratios.filter(regex="second start").item() < 0.5
    assert ratios.filter(regex="explicit / shared").filter(regex="time").item() >= 10
    assert ratios.filter(regex="memory.*explicit / shared").item() >= 20


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("models", ("analysis", "studies")), ("analysis", ("brian2", "studies"))],
)
def test_imports_go_one_way(package, forbidden):
    """Imports of every module against the direction that data flows in."""
    files = sorted((ROOT / package).glob("*.py"))
    assert len(files) > 2
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] not in forbidden, f"{path.name} imports {name}"


def test_readme_names_files_that_exist():
    """Every path in the README against the tree."""
    text = publish.README.read_text()
    paths = re.findall(r"`((?:models|studies|analysis|notebooks)/[\w./]+\.\w+)`", text)
    assert len(paths) > 8
    for path in paths:
        assert (ROOT / path).exists(), path
