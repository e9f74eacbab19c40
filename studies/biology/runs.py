"""Single runs: one scheme, what perturbs it and how much, and one seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.models.biology import Perturbation, perturbed
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.spiking.network import SpikingNetwork
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.biology.arms import Arm
from ann2brian.studies.biology.kinds import Kind
from ann2brian.studies.frame.work import Task
from numpy.typing import NDArray

ROW, PREDICTIONS = "run.json", "predictions.npy"
BREAKDOWN = 0.5  # of its accuracy lost: a scheme has broken down, and is swept no further
UNPERTURBED = "none"  # in the column of the perturbation
Made = tuple[tuple[Callable[[float], Perturbation], float], ...]


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is run once.

    Parameters
    ----------
    scheme : str
        Of the arm.
    parts : tuple of (str, float)
        Names and relative strengths of the perturbations; none for the unperturbed network.
    seed : int
        Of perturbation and run.
    """

    scheme: str
    parts: tuple[tuple[str, float], ...]
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        parts = [f"{name.replace(' ', '_')}={strength!r}" for name, strength in self.parts]
        return "-".join([self.scheme, *(parts or [UNPERTURBED]), f"seed{self.seed}"])


def points(scheme: str, kind: Kind, strength: float, seeds: Sequence[int]) -> list[Point]:
    """Runs at one strength; of what draws nothing, and of controls, one seed says all."""
    is_random = kind.is_random and strength != kind.none
    chosen = seeds if is_random else seeds[:1]
    return [Point(scheme=scheme, parts=((kind.name, strength),), seed=seed) for seed in chosen]


def swept(
    scheme: str,
    kinds: Iterable[Kind],
    seeds: Sequence[int],
    run: Callable[[Sequence[list[Point]]], Runs],
    labels: NDArray[Any],
) -> Runs:
    """Runs of a scheme under each perturbation, from none to breakdown.

    All perturbations take a step together; one that has broken down takes no more.

    Parameters
    ----------
    scheme : str
        Of an arm.
    kinds : iterable of Kind
        Perturbations.
    seeds : sequence of int
        Of what is random.
    run : callable
        ``run(groups)``: runs lists of points that share a program each.
    labels : ndarray of int, shape (n_images,)
        Classes of the images.
    """
    unperturbed = Point(scheme=scheme, parts=(), seed=seeds[0])
    done = run([[unperturbed], *(points(scheme, kind, kind.none, seeds) for kind in kinds)])
    require_sound_controls(done, {kind.name: kind for kind in kinds})
    least = (1 - BREAKDOWN) * (done.predictions[unperturbed] == labels).mean()
    left = {kind: list(kind.tested) for kind in kinds}
    while left:
        step = {
            kind: points(scheme, kind, strengths.pop(0), seeds) for kind, strengths in left.items()
        }
        done = done.plus(run(list(step.values())))
        left = {
            kind: ahead
            for kind, ahead in left.items()
            if ahead and done.correct(scheme, step[kind][0].parts, labels).mean() >= least
        }
    return done


def interleaved(groups: Sequence[list[Point]], width: int) -> list[Point]:
    """Points of `width` groups by turns, so that as many processes compile at once."""
    found: list[Point] = []
    for start in range(0, len(groups), width):
        turns = zip_longest(*groups[start : start + width])
        found += [point for point in chain.from_iterable(turns) if point is not None]
    return found


def task(point: Point, arm: Arm, kinds: Mapping[str, Kind], settings: Mapping[str, Any]) -> Task:
    """Simulation of a point; `settings` are those of :func:`simulate`."""
    made = tuple((kinds[name].make, strength) for name, strength in point.parts)
    run = partial(recorded, arm.spiking, arm.images, made, point.seed, settings)
    return Task(
        name=point.name,
        simulate=run,
        n_images=len(arm.images),
        write=partial(_write, point, arm.labels),
        title=point.name,
    )


def recorded(
    spiking: SpikingNetwork,
    images: NDArray[Any],
    made: Made,
    seed: int,
    settings: Mapping[str, Any],
    start: int,
    stop: int,
) -> Recording:
    """Recording of a perturbed network for images `start` to `stop`."""
    network = perturbed(spiking, *(make(strength) for make, strength in made), seed=seed)
    return simulate(network, images[start:stop], seed=seed, first_image=start, **settings)


def _write(point: Point, labels: NDArray[Any], folder: Path, recording: Recording) -> None:
    """What is kept of a run."""
    predictions = recording.predictions
    row = {
        "scheme": point.scheme,
        "parts": point.parts,
        "seed": point.seed,
        "n_images": recording.n_images,
        "snn_accuracy": float((predictions == labels).mean()),
        "spikes_per_image": recording.spikes_per_image,
        "max_spikes_per_neuron": recording.most_spikes,
        "latency_ms": recording.latency_steps * recording.dt_ms,
        "synaptic_events_per_image": recording.events_per_image,
        "build_s": recording.build_s,
        "run_s": recording.run_s,
        "digest": digest(recording),
    }
    (folder / ROW).write_text(json.dumps(row) + "\n")
    np.save(folder / PREDICTIONS, predictions.astype(np.int32))


def digest(recording: Recording) -> str:
    """What two runs with the same spikes share: scores, and spikes by neuron and by step."""
    found = hashlib.sha256(np.ascontiguousarray(recording.scores, dtype=np.float64).tobytes())
    for counts in recording.spike_counts:
        found.update(np.ascontiguousarray(counts, dtype=np.int64).tobytes())
    for name, by_step in sorted(recording.spikes_by_step.items()):
        found.update(name.encode() + np.ascontiguousarray(by_step, dtype=np.int64).tobytes())
    return found.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Runs:
    """Finished runs.

    Parameters
    ----------
    rows : dict of Point to dict
        Numbers of each.
    predictions : dict of Point to ndarray, shape (n_images,)
        Classes that each gives.
    """

    rows: dict[Point, dict[str, Any]]
    predictions: dict[Point, NDArray[np.int32]]

    @classmethod
    def read(cls, folders: Mapping[Point, Path]) -> Runs:
        """Read the folders of some points."""
        return cls(
            {point: json.loads((path / ROW).read_text()) for point, path in folders.items()},
            {point: np.load(path / PREDICTIONS) for point, path in folders.items()},
        )

    def plus(self, others: Runs) -> Runs:
        """These and others."""
        return Runs(self.rows | others.rows, self.predictions | others.predictions)

    def strengths(self, scheme: str, kind: Kind) -> tuple[float, ...]:
        """Strengths of a perturbation with which a scheme was run, from the weakest; not none."""
        own = {p.parts for p in self.rows if p.scheme == scheme}
        return tuple(s for s in kind.tested if ((kind.name, s),) in own)

    def unperturbed(self, scheme: str) -> Point:
        """Point of the network without perturbation."""
        return next(p for p in self.rows if p.scheme == scheme and not p.parts)

    def correct(
        self, scheme: str, parts: tuple[tuple[str, float], ...], labels: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Which images are classified correctly, shape (n_seeds, n_images)."""
        own = sorted(
            (p for p in self.rows if p.scheme == scheme and p.parts == parts),
            key=lambda point: point.seed,
        )
        return np.array([self.predictions[point] == labels for point in own])


def require_sound_controls(runs: Runs, kinds: Mapping[str, Kind]) -> None:
    """Refuse a sweep in which no perturbation is not the unperturbed network, spike for spike.

    Raises
    ------
    RuntimeError
        The message names scheme and perturbation.
    """
    for point, row in runs.rows.items():
        if len(point.parts) != 1 or point.parts[0][1] != kinds[point.parts[0][0]].none:
            continue
        if row["digest"] != runs.rows[runs.unperturbed(point.scheme)]["digest"]:
            refuse_control(point.scheme, *point.parts[0])


def refuse_control(scheme: str, name: str, none: float) -> None:
    """Raise the error of a control that is none."""
    raise RuntimeError(
        f"{scheme}, {name}: at strength {none:g}, which is to change nothing, spikes differ from "
        "those of the unperturbed network; the sweep means nothing. Mend the perturbation"
    )


def metrics(
    runs: Runs, arms: Mapping[str, Arm], kinds: Mapping[str, Kind], dataset: str
) -> pd.DataFrame:
    """One row for each run: what was run, and what it gave."""
    found = []
    for point, row in runs.rows.items():
        arm = arms[point.scheme]
        base = runs.predictions[runs.unperturbed(point.scheme)]
        strengths = [f"{strength:g} {kinds[n].scale.relative}" for n, strength in point.parts]
        found.append(
            {
                "scheme": point.scheme,
                "dataset": dataset,
                "network": arm.network,
                "perturbation": " + ".join(name for name, _ in point.parts) or UNPERTURBED,
                "strength": " + ".join(strengths),
                "seed": point.seed,
                "n_images": row["n_images"],
                "ann_accuracy": arm.trained_accuracy,
                "snn_accuracy": row["snn_accuracy"],
                "agreement": float((runs.predictions[point] == base).mean()),
                **{k: v for k, v in row.items() if k not in ("scheme", "parts", "seed")},
            }
        )
    return pd.DataFrame(found)
