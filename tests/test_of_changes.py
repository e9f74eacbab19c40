"""Which tests `make check` takes for a change."""

import importlib.util

import pytest
from ann2brian.models.places import ROOT


@pytest.fixture
def tests_of():
    spec = importlib.util.spec_from_file_location("of_changes", ROOT / "tests" / "of_changes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *files: set(module.tests_of(files)) - set(module.ALWAYS)


def test_tests_of_a_change_stand_in_its_folder(tests_of):
    """Code, tests and pages against the folders whose tests they call for."""
    assert tests_of("models/engine/builds.py") == {"tests/models/engine"}
    assert tests_of("models/dyadic.py") == {"tests/models"}
    assert tests_of("analysis/figures/style.py", "Makefile") == {"tests/analysis/figures"}
    assert tests_of("tests/test_notebooks.py") == {"tests/test_notebooks.py"}
    assert tests_of("tests/support/networks.py", "studies/nothing/there.py") == {"tests/studies"}
