"""Trained neural networks as Brian2 neurons.

In a checkout, the folders `models`, `analysis` and `studies` beside this one are its packages; an
installation has them inside.
"""

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1]
if (_CHECKOUT / "pyproject.toml").exists():
    __path__.append(str(_CHECKOUT))
