"""Accuracy over time against values by hand."""

import numpy as np
import pytest
from ann2brian.analysis.statistics.accuracy import needed_steps


@pytest.mark.parametrize(
    ("accuracies", "target", "needed"),
    [
        ([0.5, 0.9, 0.95], 0.9, 2),
        ([0.9, 0.8, 0.95], 0.9, 3),
        ([0.9, 0.95, 0.8], 0.9, None),
        ([0.9, 0.9], 0.9, 1),
    ],
)
def test_needed_steps(accuracies, target, needed):
    """The first step from which on the accuracy stays."""
    assert needed_steps(np.array(accuracies), target) == needed
