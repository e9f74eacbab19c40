"""What a second core gains: two processes of ours, two threads of the peers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from ann2brian.models.engine.builds import usable_cores
from ann2brian.studies.benchmarks.contenders import Case, Task
from ann2brian.studies.benchmarks.part import Part, Setting, networks
from ann2brian.studies.benchmarks.parts.peers import BATCH
from ann2brian.studies.benchmarks.peers import PEERS
from ann2brian.studies.benchmarks.spread import Quantity, ratio

THREADS = (1, 2)
OURS = {"Caffe LeNet, IF": True, "Caffe LeNet, burst": False, "digits, IF": True}  # with peers


def cases(setting: Setting) -> list[Case]:
    """Networks on one core and on two; none where there is one only."""
    if usable_cores() < max(THREADS):
        return []
    tasks = networks(setting)
    found = []
    for name, has_peers in OURS.items():
        if name not in tasks:
            continue
        contenders = {"ours": tasks[name]}
        for peer in setting.peers if has_peers else ():
            contenders[PEERS[peer].title] = _peer(tasks[name], peer, setting)
        turns = {
            f"{title}, {n}": replace(task, threads=n)
            for title, task in contenders.items()
            for n in THREADS
        }
        same = tuple(f"ours, {n}" for n in THREADS)
        found.append(Case(name=name, tasks=turns, same=same))
    return found


def _peer(task: Task, peer: str, setting: Setting) -> Task:
    options = {"n_steps": task.options["n_steps"]}
    n_images = setting.images(64 if setting.quick else 256, least=BATCH)
    return replace(task, program=peer, options=options, batch=BATCH, n_images=n_images)


def quantities(case: str, rows: pd.DataFrame) -> Iterator[Quantity]:
    """How many times as long one core takes as two, from pixels to scores."""
    for title in dict.fromkeys(name.rpartition(",")[0] for name in rows.contender):
        one, two = (f"{title}, {n}" for n in THREADS)
        yield Quantity(f"{case}, {title}: all, one core / two", ratio(rows, one, two, "all_s"))


PART = Part(
    name="threads",
    about="one core against two: processes of ours, threads of the peers",
    cases=cases,
    quantities=quantities,
)
