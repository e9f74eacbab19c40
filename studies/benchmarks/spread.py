"""Medians and quartiles over rounds: the numbers that a benchmark prints."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd


class Spread(NamedTuple):
    """Median of rounds, their quartiles, and how many rounds there were."""

    value: float
    low: float
    high: float
    rounds: int


class Quantity(NamedTuple):
    """A printed number.

    Parameters
    ----------
    name : str
        What it is.
    spread : Spread
        Over rounds.
    panel : str
        Of the figure that shows it; empty for none.
    """

    name: str
    spread: Spread
    panel: str = ""

    def row(self) -> dict[str, object]:
        """Columns of the table of all quantities."""
        return {"quantity": self.name, **self.spread._asdict(), "panel": self.panel}


def spread(rounds: pd.Series) -> Spread:
    """Median and quartiles of one value a round."""
    low, middle, high = np.quantile(np.asarray(rounds, dtype=np.float64), (0.25, 0.5, 0.75))
    return Spread(float(middle), float(low), float(high), len(rounds))


def of(rows: pd.DataFrame, contender: str) -> pd.DataFrame:
    """Rows of a contender, one a round, with the round as index."""
    return rows[rows.contender == contender].set_index("round").sort_index()


def ratio(rows: pd.DataFrame, above: str, below: str, column: str) -> Spread:
    """How many times as much one contender takes as another, round by round."""
    return spread(of(rows, above)[column] / of(rows, below)[column])


def slope(rows: pd.DataFrame, x: str, y: str) -> Spread:
    """Exponent of growth, round by round: the slope of a line through the logarithms."""
    return spread(
        pd.Series(
            [np.polyfit(np.log(one[x]), np.log(one[y]), 1)[0] for _, one in rows.groupby("round")]
        )
    )
