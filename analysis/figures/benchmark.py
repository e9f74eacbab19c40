"""Figures of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from ann2brian.analysis.figures.style import COLOURS
from matplotlib.axes import Axes


def cost(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    """Draw what the engine costs against depth, batch size and activity.

    Parameters
    ----------
    axes : sequence of four Axes
        Build time and loop time against depth, loop time against batch, loop time against events.
    table : DataFrame
        Columns question, depth, batch, build_s, loop_us_per_image_and_step,
        synaptic_events_per_image and loop_s, one row per measurement.
    """
    depth = table[table.question == "depth"].sort_values("depth")
    batch = table[table.question == "batch"].sort_values("batch")
    activity = table[table.question == "activity"].sort_values("synaptic_events_per_image")
    per_step = "loop_us_per_image_and_step"
    panels = (
        (depth.depth, depth.build_s, "layers", "build time (s)"),
        (depth.depth, depth[per_step], "layers", "loop (µs per image and step)"),
        (batch.batch, batch[per_step], "images side by side", "loop (µs per image and step)"),
        (
            activity.synaptic_events_per_image / 1e3,
            activity[per_step],
            "synaptic events per image (1000)",
            "loop (µs per image and step)",
        ),
    )
    for ax, (x, y, xlabel, ylabel) in zip(axes, panels, strict=True):
        ax.plot(x, y, "o-", color=COLOURS["spiking"])
        ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    for ax in axes[:3]:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
