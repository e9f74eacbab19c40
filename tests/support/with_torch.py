"""PyTorch for the tests of training and import, which 3.11 is the Python for."""

import importlib
import sys

import pytest


def torch_or_skip():
    """PyTorch; newer Pythons may lack it and skip the test or module, on 3.11 that is an error."""
    if sys.version_info >= (3, 12):
        return pytest.importorskip("torch")
    return importlib.import_module("torch")
