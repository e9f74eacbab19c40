"""Weights from a ``.pt`` or ``.pth`` file, of which nothing but tensors is read."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..networks.file_formats import other_format

# Where training scripts put the weights in a file with other things.
_INSIDE = ("state_dict", "model_state_dict", "model", "net")
_WRAPPERS = ("module.", "_orig_mod.")  # before every name: nn.DataParallel, torch.compile
_LONGEST = 500  # characters of a message that lists names
_SAVE = "save module.state_dict() with torch.save instead, and give the class that it belongs to"


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the weights of a file that torch.save wrote.

    Parameters
    ----------
    path : str or Path
        Holds a state dict, or a dict that has one under ``"state_dict"``, ``"model_state_dict"``,
        ``"model"`` or ``"net"``.

    Returns
    -------
    dict of str to Tensor
        On the CPU. Names are without DataParallel's ``module.`` and torch.compile's ``_orig_mod.``.

    Raises
    ------
    ValueError
        If the file is not one that torch.save wrote, is damaged, or holds more than tensors and
        plain data, such as a whole module: unpickling it could run any code.
    """
    path = Path(path)
    other = other_format(path, "torch", "torchscript", "torch.export", "pickle")
    if other is not None:
        raise ValueError(f"{path}: {other}")
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    _refuse_other_archives(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: holds more than weights, such as a whole module, and reading it could run "
            f"any code; {_SAVE}{_named(error)}"
        ) from None
    except Exception as error:  # a damaged file fails in many ways
        raise ValueError(
            f"{path}: is damaged or not a file of torch.save ({_first_line(error)})"
        ) from None
    for name in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not _is_state_dict(found):
        raise ValueError(f"{path}: holds no state dict; {_SAVE}")
    weights = dict(found)
    while (prefix := _wrapper(weights)) is not None:
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load the weights of a file into a module.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    path : str or Path
        See `read_state_dict`.

    Raises
    ------
    ValueError
        As `read_state_dict`, or if names, shapes or kinds of number are not the module's.
    """
    weights = read_state_dict(path)
    while isinstance(module, nn.DataParallel):
        module = module.module
    for name, own in module.state_dict().items():
        given = weights.get(name, own)
        is_real = isinstance(own, torch.Tensor) and own.is_floating_point()
        if is_real and not given.is_floating_point():  # PyTorch would convert them
            raise ValueError(
                f"{path}: {name} holds {given.dtype}, not real numbers; save the weights before "
                "any quantisation"
            )
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        what = " ".join(str(error).split())
        what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]} ..."
        raise ValueError(f"{path}: {what}") from None


def _refuse_other_archives(path: Path) -> None:
    """Refuse archives that torch.save never writes."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"{path}: is damaged ({_first_line(error)})") from None
    if any("/code/" in f"/{entry.filename}" for entry in entries):
        raise ValueError(f"{path}: is a TorchScript archive, which holds code; {_SAVE}")
    if any(Path(entry.filename).name == "archive_format" for entry in entries):
        raise ValueError(f"{path}: is an archive of torch.export, which is not read; {_SAVE}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError(f"{path}: is compressed, which torch.save never does; it is not read")


def _wrapper(weights: Mapping[str, torch.Tensor]) -> str | None:
    """What a wrapper has put before every name, if one has."""
    for prefix in _WRAPPERS:
        if weights and all(name.startswith(prefix) for name in weights):
            return prefix
    return None


def _is_state_dict(found: Any) -> bool:
    return (
        isinstance(found, Mapping)
        and len(found) > 0
        and all(isinstance(name, str) for name in found)
        and all(isinstance(tensor, torch.Tensor) for tensor in found.values())
    )


def _named(error: BaseException) -> str:
    """What the file names that is neither a tensor nor plain data, if torch says it."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" (it names {found[1]})" if found else ""


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
