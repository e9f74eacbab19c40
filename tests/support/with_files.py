"""Packages that read and write network files, for the tests that need them."""

import os

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
