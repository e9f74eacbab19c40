"""Figures of spiking networks: each function draws one table on given axes.

Nothing here uses pyplot, opens a window or saves a file. A colour always has the same meaning,
see `COLOURS`, `SCHEME_COLOURS` and `SEQUENCES`. The style comes from ``style.mplstyle`` in the
folder of this file; it has to be in force while a figure is made, drawn on and saved::

    with style():
        figure = Figure()
        firing_by_position(figure.subplots(), table)
        figure.savefig("firing.pdf")
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.style import context
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

STYLE = Path(__file__).with_name("style.mplstyle")

# From the palette of Okabe and Ito, which stays apart in the common kinds of colour blindness.
COLOURS: Mapping[str, str] = MappingProxyType(
    {"trained": "#000000", "spiking": "#0072B2", "agreement": "#D55E00", "exact": "#BBBBBB"}
)

# Of each scheme, wherever schemes stand side by side: from the same palette, and grey for plain
# rate conversion, with which the others are compared. None is that of the trained network.
SCHEME_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "amos": "#0072B2",
        "burst": "#D55E00",
        "noise": "#009E73",
        "albsnn": "#CC79A7",
        "nir": "#E69F00",
        "rate": "#595959",
    }
)

# Colour map, and the part of it that is dark enough for thin lines on white.
SEQUENCES: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "position": ("viridis", 0.0, 0.86),
        "neurons_per_gate": ("plasma", 0.0, 0.8),
        "depth": ("cividis", 0.0, 0.82),
        "spike_of_burst": ("inferno", 0.15, 0.78),
        "allowed_loss": ("Greys_r", 0.15, 0.65),
    }
)

MOST_NAMES = 8  # layers named in a legend


def style() -> AbstractContextManager[None]:
    """Context in which Matplotlib uses the style of these figures."""
    return context(STYLE)


def sequence(meaning: str, n: int) -> NDArray[np.float64]:
    """Colours in the order of a quantity.

    Parameters
    ----------
    meaning : str
        A key of `SEQUENCES`.
    n : int
        How many.

    Returns
    -------
    ndarray, shape (n, 4)
        Red, green, blue and opacity, from 0 to 1.
    """
    name, low, high = SEQUENCES[meaning]
    return mpl.colormaps[name](np.linspace(low, high, n))


def spread(n: int, most: int) -> NDArray[np.int64]:
    """All of 0 to n - 1, or `most` of them evenly spaced with both ends."""
    if n <= most:
        return np.arange(n)
    return np.linspace(0, n - 1, most).round().astype(np.int64)


def trained_line(ax: Axes, accuracy: float) -> None:
    """Draw the accuracy of the trained network, a fraction, across the axes in per cent."""
    ax.axhline(
        100 * accuracy,
        color=COLOURS["trained"],
        linewidth=0.8,
        linestyle="--",
        label="trained network",
    )


def seed_label(seed: int) -> str:
    """Name of a seed of the training, which is below 0 where it is not known."""
    return f"seed {seed}" if seed >= 0 else "seed not known"


def colour_bar(ax: Axes, colours: NDArray[np.float64], label: str, first: int = 0) -> None:
    """Draw a colour bar with one field for each whole number from `first` on.

    Parameters
    ----------
    ax : Axes
        Beside which it is drawn.
    colours : ndarray, shape (n, 4)
        From `sequence`.
    label : str
        What the numbers count.
    first : int
        Number of the first colour.
    """
    numbers = first + np.arange(len(colours) + 1)
    scale = ScalarMappable(BoundaryNorm(numbers - 0.5, len(colours)), ListedColormap(colours))
    bar = ax.figure.colorbar(scale, ax=ax, ticks=numbers[:-1], aspect=30, pad=0.01)
    bar.ax.minorticks_off()
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    bar.set_label(label)


def doublings(step: NDArray) -> list[int]:
    """Indices of the steps that are powers of two, and of the last."""
    chosen = np.flatnonzero((step & (step - 1)) == 0).tolist()
    return sorted({*chosen, len(step) - 1}) if len(step) else []


def log_axis(ax: Axes, base: int, which: str = "x", *, is_long: bool = False) -> None:
    """Logarithmic axis with plain numbers, few enough to stand side by side.

    A long one, in the little space that it has, gets powers of the base only.
    """
    set_scale, axis = {"x": (ax.set_xscale, ax.xaxis), "y": (ax.set_yscale, ax.yaxis)}[which]
    set_scale("log", base=base)
    subs = (1.0, 2.0, 5.0) if base == 10 and not is_long else (1.0,)
    axis.set_major_locator(LogLocator(base=base, subs=subs, numticks=7))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def beside(ax: Axes, x: Any, y: Any, text: str) -> None:
    """Small text right of a point."""
    ax.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", fontsize="small"
    )


def check_rows(table: pd.DataFrame) -> None:
    """Refuse a table without rows."""
    if table.empty:
        raise ValueError("nothing to draw: the table has no rows")


def only_value(table: pd.DataFrame, column: str, where: str = "") -> Any:
    """The only value of a column, or a ValueError.

    Parameters
    ----------
    table : DataFrame
        To be drawn.
    column : str
        Its name.
    where : str
        How the message begins.

    Returns
    -------
    object
        The value.

    Raises
    ------
    ValueError
        If there are no rows, or several values.
    """
    check_rows(table)
    values = list(dict.fromkeys(table[column]))
    if len(values) > 1:
        found = ", ".join(map(str, values))
        raise ValueError(f"{where}draw one {column} at a time, the table has {found}")
    return values[0]


def check_unique(table: pd.DataFrame, columns: list[str], where: str = "") -> None:
    """Refuse a table in which the columns do not tell all rows apart.

    Parameters
    ----------
    table : DataFrame
        To be drawn.
    columns : list of str
        Their names.
    where : str
        How the message begins.

    Raises
    ------
    ValueError
        If two rows have the same values in all of the columns.
    """
    twice = table[table.duplicated(columns)]
    if len(twice):
        row = ", ".join(f"{column} {twice[column].iloc[0]}" for column in columns)
        raise ValueError(f"{where}several rows for {row}; choose the rows of one network first")
