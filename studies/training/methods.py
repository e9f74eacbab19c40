"""Ways of training whose cost is measured; needs no PyTorch.

``studies/training_cost.py`` measures them, and what a whole training took is read from that.
"""

from __future__ import annotations

DATASETS = {"digits": "digits", "fashion-mnist": "fashion"}
METHODS = {  # part of the recipe's name, and what it is called
    "noise": "noise, T = 1",
    "direct2": "direct, T = 2",
    "direct4": "direct, T = 4",
    "rate": "analogue",
}
