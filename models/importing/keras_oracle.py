"""What Keras itself makes of a file, where it is installed."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..messages import one_line

_BACKENDS = ("tensorflow", "jax", "torch")
# Loading a model looks up classes by module and name; no others than these are looked up here.
_MODULES = (
    "keras",
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.ops.",
)
_COMPILED = "compile_config"  # optimiser, loss and metrics, which are not loaded
NOT_COMPARED = "the network was not compared with what Keras computes"


class NotCompared(Exception):
    """Keras is missing or does not load the file; the message says which."""


def values(path: Path, structure: dict[str, Any], version: str, inputs: Array) -> dict[str, Array]:
    """Let Keras compute the outputs of a model's layers.

    Parameters
    ----------
    path : Path
        A file whose layers are all known and hold no code.
    structure : dict
        Class name and config of the model, as the file has them.
    version : str
        Of the Keras that wrote the file.
    inputs : ndarray, shape (n, ...)
        As the model takes them.

    Returns
    -------
    dict of str to ndarray, shape (n, ...)
        By layer, in the order of computation, of layers that are called once and are no models;
        last, as ``""``, the logits, without the softmax of the last layer, if it has one. They
        are left out if a softmax is itself the last layer.

    Raises
    ------
    NotCompared
        If Keras cannot say.
    """
    foreign = _foreign({name: part for name, part in structure.items() if name != _COMPILED})
    if foreign is not None:
        raise NotCompared(f"the file names {foreign}, which is not loaded")
    if version.startswith("2.") and "'hard_sigmoid'" in str(structure):
        raise NotCompared("Keras 3 takes hard_sigmoid for another function than Keras 2 did")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras and its backend, about themselves
        return _computed(_keras(), path, inputs)


def _computed(keras: Any, path: Path, inputs: Array) -> dict[str, Array]:
    if keras.__version__.startswith("2."):
        raise NotCompared(f"Keras {keras.__version__} is too old for it")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever another version's file makes it raise
        said = f"Keras {keras.__version__} does not load it ({one_line(error, 200)})"
        raise NotCompared(said) from error
    tensors = {}
    for layer in getattr(model, "operations", model.layers):
        if isinstance(layer, keras.Model):
            continue
        try:
            tensors[layer.name] = layer.output
        except (AttributeError, ValueError):  # called more than once
            continue
    if _has_logits(keras, model):
        tensors[""] = model.outputs[0]
    found = keras.Model(model.inputs, list(tensors.values()))(
        [inputs.astype(np.float32)], training=False
    )
    arrays = (np.asarray(keras.ops.convert_to_numpy(x), dtype=np.float64) for x in found)
    return dict(zip(tensors, arrays, strict=True))


def _has_logits(keras: Any, model: Any) -> bool:
    """Whether the output is logits, after the softmax of the last layer is made the identity."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    function = getattr(last, "activation", None)
    if function in (keras.activations.softmax, keras.activations.log_softmax):
        last.activation = keras.activations.linear
    return not isinstance(last, keras.layers.Softmax)


def _foreign(part: Any) -> str | None:
    """Name a class in a structure that is not Keras' own, if there is one."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            kind, module = str(part.get("class_name", "")), str(part.get("module") or "keras")
            is_known = module in _MODULES or module.startswith(_MODULES[-1])
            is_tensor = kind == "__keras_tensor__"
            if not is_known or (kind.startswith("__") and not is_tensor) or kind == "function":
                return f"{module}.{kind}"
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return None


def _keras() -> Any:
    """Keras, with a backend that is installed, unless one was chosen."""
    if "keras" in sys.modules:
        return sys.modules["keras"]
    if importlib.util.find_spec("keras") is None:
        raise NotCompared("Keras is not installed")
    with _backend():
        try:
            return importlib.import_module("keras")
        except ImportError as error:
            raise NotCompared(f"Keras has no backend ({error})") from error


@contextmanager
def _backend() -> Iterator[None]:
    """Tell Keras while it is imported which backend to take, if nobody else has."""
    name = next((n for n in _BACKENDS if importlib.util.find_spec(n) is not None), None)
    if name is None or "KERAS_BACKEND" in os.environ:
        yield
        return
    os.environ["KERAS_BACKEND"] = name
    try:
        yield
    finally:
        del os.environ["KERAS_BACKEND"]
