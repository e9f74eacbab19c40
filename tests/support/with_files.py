"""Packages that read and write network files, for the tests that need them."""

import os
from pathlib import Path

import pytest


def onnx_or_skip():
    """The package onnx."""
    return pytest.importorskip("onnx", reason="onnx is not installed")


def keras_or_skip():
    """Keras on PyTorch, which stands in the requirements of Python 3.11 only."""
    pytest.importorskip("h5py", reason="h5py is not installed")
    pytest.importorskip("torch", reason="PyTorch, the backend of Keras here, is not installed")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="Keras is not installed")


def public_network(name):
    """A trained network by others, in the folder of the variable, or beside that of the data."""
    folder = os.environ.get("ANN2BRIAN_NETWORKS")
    data = os.environ.get("ANN2BRIAN_DATA")
    folders = [Path(folder)] if folder else []
    folders += [Path(data).resolve().parent / "networks"] if data else []
    for path in (folder / name for folder in folders):
        if path.is_file():
            return path
    return pytest.skip(f"{name} is not here; set ANN2BRIAN_NETWORKS to the folder that holds it")
