"""Spike trains as a pandas table, and what they amount to by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...arrays import Array, Integers
from ..spikes import COLUMNS, RecordedLayer, Spikes, SpikeTrains
from .grid import Grid

SUMMARY = [
    "layer",
    "neurons",
    "spikes",
    "rate_hz",
    "active_fraction",
    "first_spike_ms",
    "isi_mean_ms",
    "isi_cv",
]


def to_pandas(trains: SpikeTrains) -> pd.DataFrame:
    """One row for each spike; see :meth:`Recording.to_pandas`."""
    parts = [_rows(trains, index, own) for index, own in trains.recorded.items()]
    return pd.concat(parts).sort_values("image", kind="stable", ignore_index=True)


def _rows(trains: SpikeTrains, index: int, own: Spikes) -> pd.DataFrame:
    """Spikes of one layer."""
    names = [layer.name for layer in trains.layers]
    return pd.DataFrame(
        {
            "image": own.image,
            "layer": pd.Categorical.from_codes(own.layer, categories=names),
            "neuron": own.neuron,
            **trains.layers[index].places(own.neuron),
            "step": own.step,
            "time_ms": Grid(dt=trains.dt_ms).times(own.step),
        }
    )


def spikes_from_pandas(
    table: pd.DataFrame, layers: Sequence[RecordedLayer | str] | None = None
) -> Spikes:
    """Read back what :meth:`Recording.to_pandas` gave.

    Parameters
    ----------
    table : DataFrame
        With the columns image, layer, neuron and step, rows in any order.
    layers : sequence of RecordedLayer or str, optional
        All layers in order, as ``recording.layers``. Not needed where the column ``layer`` is still
        categorical, which a CSV file does not keep.

    Returns
    -------
    Spikes

    Raises
    ------
    ValueError
        If a column is missing, or a layer unknown.
    """
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ValueError(f"the table has no column {missing[0]!r}; it has {', '.join(table)}")
    if layers is None:
        if not isinstance(table["layer"].dtype, pd.CategoricalDtype):
            raise ValueError(
                "the table no longer says which layers there are; say layers=recording.layers"
            )
        names = list(table["layer"].cat.categories)
    else:
        names = [layer if isinstance(layer, str) else layer.name for layer in layers]
    index = pd.Index(names).get_indexer(table["layer"].astype(object))
    if (index < 0).any():
        unknown = table["layer"][index < 0].iloc[0]
        raise ValueError(f"the table has a layer {unknown!r}; there are {', '.join(names)}")
    columns = {name: table[name].to_numpy() for name in COLUMNS if name != "layer"}
    return Spikes.of([Spikes(layer=index, **columns)])


def summary(trains: SpikeTrains, counts: Sequence[Integers]) -> pd.DataFrame:
    """One row for each layer; see :meth:`Recording.summary`."""
    rows = []
    for index, (layer, of_neurons) in enumerate(zip(trains.layers, counts, strict=True)):
        n_trains = layer.n_neurons * trains.n_images
        n_spikes = int(of_neurons.sum())
        row = {
            "layer": layer.name,
            "neurons": layer.n_neurons,
            "spikes": n_spikes,
            "rate_hz": n_spikes / (n_trains * trains.n_steps * trains.dt_ms / 1000.0),
        }
        own = trains.recorded.get(index)
        rows.append(row | (_timing(own, layer, trains.dt_ms, n_trains) if own is not None else {}))
    return pd.DataFrame(rows, columns=SUMMARY)


def _timing(own: Spikes, layer: RecordedLayer, dt_ms: float, n_trains: int) -> dict[str, float]:
    """What is said of single trains, one for each neuron and image."""
    train = own.image.astype(np.int64) * layer.n_neurons + own.neuron
    order = np.lexsort((own.step, train))
    train, step = train[order], own.step[order]
    _, starts = np.unique(train, return_index=True)
    is_interval = np.diff(train) == 0
    interval = np.diff(step)[is_interval] * dt_ms
    return {
        "active_fraction": starts.size / n_trains,
        "first_spike_ms": _mean(step[starts] * dt_ms),
        "isi_mean_ms": _mean(interval),
        "isi_cv": _mean(_variations(interval, train[1:][is_interval])),
    }


def _variations(interval: Array, train: Integers) -> Array:
    """Coefficient of variation of each train of two intervals or more, as analysis defines it."""
    _, which, n_each = np.unique(train, return_inverse=True, return_counts=True)
    mean = np.bincount(which, interval) / n_each
    variance = np.bincount(which, (interval - mean[which]) ** 2) / n_each
    is_long = (n_each >= 2) & (mean > 0)
    return np.asarray(np.sqrt(variance[is_long]) / mean[is_long])


def _mean(values: NDArray[np.floating]) -> float:
    """Mean, or NaN of nothing."""
    return float(values.mean()) if values.size else math.nan
