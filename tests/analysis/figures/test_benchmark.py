"""Figures of the benchmark."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import style
from ann2brian.analysis.figures.benchmark import growth
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@pytest.mark.parametrize("x", [(0.05, 0.6, 3, 9), (2, 8, 33, 130), (32, 128, 512, 2048), (2, 16)])
def test_numbers_of_an_axis_stand_apart(x):
    """Boxes of the numbers under a panel as small as the benchmark's, and that there are some."""
    points = pd.DataFrame({"x": x, "y": np.sqrt(x)}).assign(
        growth="events", xlabel="x", ylabel="y", slope=0.5
    )
    with style.style():
        figure = Figure(figsize=(9, 1.9))
        axes = figure.subplots(1, 5)
        growth(axes[:1], points)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        low, high = axes[0].get_xlim()
        labels = [
            label.get_window_extent(canvas.get_renderer())
            for label, at in zip(axes[0].get_xticklabels(), axes[0].get_xticks(), strict=True)
            if low <= at <= high
        ]
    assert len(labels) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(labels))
