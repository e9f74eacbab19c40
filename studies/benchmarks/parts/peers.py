"""How other libraries do on the same weights and images, from pixels to scores, one thread each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd
from ann2brian.studies.benchmarks.contenders import Case, Task
from ann2brian.studies.benchmarks.part import Part, Setting, plain
from ann2brian.studies.benchmarks.peers import PEERS
from ann2brian.studies.benchmarks.spread import Quantity, of, ratio, spread
from ann2brian.studies.benchmarks.subjects import CAFFE, DIGITS, LENET5

BATCH = 64  # of the peers
PLAIN, OR, BURST = "IF", "IF, or-pooling", "burst"


def ours(task: Task, n_steps: int) -> dict[str, Task]:
    """Our neurons: plain ones, the same with pooling as the peers have it, and burst."""
    return {
        PLAIN: replace(task, options=plain(n_steps)),
        OR: replace(task, options={**plain(n_steps), "pooling": "or"}),
        BURST: replace(task, options={"n_steps": n_steps}),
    }


def cases(setting: Setting) -> list[Case]:
    """Networks with max pooling, T = 50."""
    found = []
    subjects, n_steps = ((DIGITS,), 8) if setting.quick else ((LENET5, CAFFE), 50)
    for subject in subjects:
        task = Task(
            subject=subject, n_images=setting.images(64 if setting.quick else 640, least=BATCH)
        )
        theirs = {
            PEERS[name].title: replace(
                task, program=name, options={"n_steps": n_steps}, batch=BATCH
            )
            for name in setting.peers
        }
        tasks = ours(task, n_steps) | theirs
        found.append(Case(name=f"{subject.name}, T = {n_steps}", tasks=tasks))
    return found


def quantities(case: str, rows: pd.DataFrame) -> Iterator[Quantity]:
    """Accuracy, time for an image and memory of each; how many times ours the peers take."""
    trained = of(rows, PLAIN)
    yield Quantity(
        f"{case}: accuracy, trained ({trained.n_images.iloc[0]:.0f} images)",
        spread(trained.ann_accuracy),
    )
    measures: Mapping[str, tuple[str, float]] = {
        "accuracy": ("accuracy", 1.0),
        "spikes per image": ("spikes_per_image", 1.0),
        "memory of all processes (MB)": ("memory_mb", 1.0),
    }
    for name in dict.fromkeys(rows.contender):
        own = of(rows, name)
        for what, (column, factor) in measures.items():
            yield Quantity(f"{case}, {name}: {what}", spread(factor * own[column]))
        yield Quantity(
            f"{case}, {name}: all, per image (ms)", spread(1e3 * own.all_s / own.n_images)
        )
    for name in (peer.title for peer in PEERS.values()):
        if name in set(rows.contender):
            for neurons in (PLAIN, OR, BURST):
                found = ratio(rows, name, neurons, "all_s")
                panel = "speed" if neurons == PLAIN else ""
                yield Quantity(f"{case}, {name} / {neurons}: all", found, panel)


PART = Part(
    name="peers",
    about="SpikingJelly, snnTorch and sinabs, where installed, at batch 64 on one thread",
    cases=cases,
    quantities=quantities,
)
