"""Packages that only some need, and need not be installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def needed(module: str, purpose: str) -> Any:
    """Import a package that need not be installed.

    Parameters
    ----------
    module : str
        Name of the package, for Python and for pip, or of a module inside it.
    purpose : str
        What it is needed for.

    Returns
    -------
    module
        What was asked for.

    Raises
    ------
    ImportError
        If it is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{package} is needed to {purpose}; install it with: pip install {package}"
        ) from error
