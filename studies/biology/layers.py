"""Which layer fails first, and how: spike trains with a perturbation against those without."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics.conditions import compare_conditions
from ann2brian.analysis.statistics.layers import spike_statistics
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.biology.arms import Arm
from ann2brian.studies.biology.kinds import Kind
from ann2brian.studies.biology.runs import Made, recorded, refuse_control
from ann2brian.studies.frame.work import Task
from numpy.typing import NDArray

TABLE = "layers.csv"
FAILS_FROM = 0.1  # of a layer's spikes that differ
FEATURES: Mapping[str, str] = {  # of a layer's code: column, and statistic
    "rate": "rate_hz",
    "first_spike": "first_spike_ms",
    "isi": "isi_mean_ms",
    "bursts": "bursts_per_image",
}
LEAST_CHANGE = 0.02  # of a statistic; where none changes as much, other neurons or times spike


def failing(sweep: pd.DataFrame, level: float = 0.01) -> dict[tuple[str, str], float]:
    """First tested strength at which a scheme loses a point of accuracy, by scheme and name."""
    lossy = sweep[~sweep["is_none"] & (sweep["loss"] >= level - 1e-9)]
    first = lossy.groupby(["scheme", "perturbation"], sort=False)["relative"].first()
    return {(str(scheme), str(name)): float(at) for (scheme, name), at in first.items()}


def task(
    arm: Arm,
    kind: Kind,
    strength: float | None,
    n_images: int,
    seed: int,
    settings: Mapping[str, Any],
    dataset: str,
) -> Task:
    """Spike trains of a perturbed scheme against the unperturbed one, and those of the control.

    Parameters
    ----------
    strength : float or None
        At which a point is lost; None if at no strength, then the control is compared only.
    n_images : int
        The first so many images.
    settings : mapping
        For :func:`simulate`.
    """
    n_images = min(n_images, len(arm.images))
    trains = dict(settings) | {"record": True}

    def recording(made: Made) -> partial[Recording]:
        return partial(recorded, arm.spiking, arm.images[:n_images], made, seed, trains)

    control = recording(((kind.make, kind.none),))
    name = f"layers-{arm.scheme}-{kind.name.replace(' ', '_')}"
    write = partial(
        _write,
        scheme=arm.scheme,
        name=kind.name,
        none=kind.none,
        dataset=dataset,
        strength=strength,
        unit=kind.scale.relative,
        labels=arm.labels[:n_images],
        unperturbed=recording(()),
        control=control,
    )
    simulate = control if strength is None else recording(((kind.make, strength),))
    return Task(name=name, simulate=simulate, n_images=n_images, write=write, title=name)


def _write(
    folder: Path,
    perturbed: Recording,
    *,
    scheme: str,
    name: str,
    none: float,
    dataset: str,
    strength: float | None,
    unit: str,
    labels: NDArray[Any],
    unperturbed: partial[Recording],
    control: partial[Recording],
) -> None:
    """Refuse a control that has other spikes; then the table of the layers."""
    base = unperturbed(0, len(labels))
    same = perturbed if strength is None else control(0, len(labels))
    if not same_spikes(base, same):
        refuse_control(scheme, name, none)
    if strength is None:
        return
    table = changes(base, perturbed, labels)
    keys = {"scheme": scheme, "dataset": dataset, "perturbation": name, "relative": strength}
    keys |= {"relative_unit": unit, "n_images": len(labels)}
    for place, (column, value) in enumerate(keys.items()):
        table.insert(place, column, value)
    table.to_csv(folder / TABLE, index=False)


def same_spikes(one: Recording, other: Recording) -> bool:
    """Whether every spike of two recordings is the same, and every score."""
    a, b = one.spikes, other.spikes
    assert a is not None and b is not None
    names = ("image", "layer", "neuron", "step")
    return np.array_equal(one.scores, other.scores) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in names
    )


def changes(base: Recording, perturbed: Recording, labels: NDArray[Any]) -> pd.DataFrame:
    """What a perturbation changes in each layer, one row per layer in the order of depth.

    Returns
    -------
    DataFrame
        layer, depth; differing, the part of the spikes of both that the other lacks (in the same
        neuron, image and step of the algorithm); relative changes of the features' means over
        images, p_<feature> by Wilcoxon's test, corrected by Holm for the whole network;
        van_rossum, mean distance of a train from itself without perturbation, 1 for a spike more
        or less; fails_first, for the first layer of whose spikes a tenth differs; how, the feature
        that changes most there.
    """
    compared = compare_conditions(base, perturbed, labels).set_index(["layer", "statistic"])
    distances = spike_statistics(base, [perturbed]).set_index("layer")["van_rossum"]
    rows = []
    for depth, layer in enumerate(base.layers):
        row: dict[str, Any] = {"layer": layer.name, "depth": depth + 1}
        row["differing"] = differing(base, perturbed, depth)
        for feature, statistic in FEATURES.items():
            own = compared.loc[(layer.name, statistic)]
            row[feature] = own["difference"] / own["one"] if own["one"] else np.nan
            row[f"p_{feature}"] = own["p_holm"]
        row["van_rossum"] = distances[layer.name]
        rows.append(row)
    table = pd.DataFrame(rows)
    is_failing = table["differing"] >= FAILS_FROM
    table["fails_first"] = is_failing & (is_failing.cumsum() == 1)
    table["how"] = [_how(row) for row in table.to_dict("records")]
    return table


def differing(one: Recording, other: Recording, index: int) -> float:
    """Part of a layer's spikes that the other recording lacks, of the spikes of both.

    0 if each neuron spikes as often in each step of the algorithm for each image, 1 if no spike is
    in both; NaN without any.
    """
    counts = []
    layer = one.layers[index]
    for recording in (one, other):
        spikes = recording.spikes
        assert spikes is not None
        mine = spikes.layer == index
        phase = spikes.step[mine].astype(np.int64) // recording.phase_steps
        n_neurons = layer.n_units * layer.n_positions
        cell = spikes.image[mine].astype(np.int64) * n_neurons + spikes.neuron[mine]
        values, n = np.unique(cell * 2**32 + phase, return_counts=True)
        counts.append(pd.Series(n, index=values))
    first, second = counts[0].align(counts[1], fill_value=0)
    total = float((first + second).sum())
    return float((first - second).abs().sum()) / total if total else np.nan


def _how(row: Mapping[str, Any]) -> str:
    """Feature that changes most, and by how much; empty for a layer that does not fail first."""
    if not row["fails_first"]:
        return ""
    values = {name: abs(row[name]) for name in FEATURES if np.isfinite(row[name])}
    if not values or max(values.values()) < LEAST_CHANGE:
        return "pattern"
    return max(values, key=lambda name: values[name])
