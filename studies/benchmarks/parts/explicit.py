"""What shared kernels gain over explicit Brian2 synapses, in time and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from ann2brian.studies.benchmarks.contenders import Case
from ann2brian.studies.benchmarks.part import Part, Setting, networks
from ann2brian.studies.benchmarks.spread import Quantity, of, ratio, spread

SHARED, EXPLICIT, NONE = "shared", "explicit", "none"
IMAGES = {
    "LeNet-5, IF": 32,
    "LeNet-5, burst": 32,
    "Caffe LeNet, IF": 32,
    "Caffe LeNet, burst": 16,
    "Caffe LeNet, AMOS": 32,
    "digits, IF": 16,
    "digits, AMOS": 16,
}
MEMORY = ("AMOS",)  # cases where the program is also measured without connections


def cases(setting: Setting) -> list[Case]:
    """Networks that are small enough to be unrolled."""
    tasks = networks(setting)
    found = []
    for name, n_images in IMAGES.items():
        if name not in tasks:
            continue
        task = replace(tasks[name], n_images=setting.images(n_images))
        alone = replace(task, batch=1)
        contenders = {SHARED: task, EXPLICIT: replace(alone, connections=EXPLICIT)}
        if name.endswith(MEMORY):
            contenders = {
                SHARED: alone,
                EXPLICIT: contenders[EXPLICIT],
                NONE: replace(alone, connections=NONE),
            }
        found.append(Case(name=name, tasks=contenders, same=(SHARED, EXPLICIT)))
    return found


def quantities(case: str, rows: pd.DataFrame) -> Iterator[Quantity]:
    """Time of the loop; memory for connections where it is measured without them, too."""
    found = ratio(rows, EXPLICIT, SHARED, "loop_s")
    yield Quantity(f"{case}: loop, explicit / shared", found, "speed")
    if NONE not in set(rows.contender):
        return
    shared, explicit, none = (of(rows, name).program_mb for name in (SHARED, EXPLICIT, NONE))
    yield Quantity(f"{case}: memory for connections, shared (MB)", spread(shared - none))
    yield Quantity(f"{case}: memory for connections, explicit (MB)", spread(explicit - none))
    quotient = spread((explicit - none) / (shared - none))
    yield Quantity(f"{case}: memory for connections, explicit / shared", quotient)


PART = Part(
    name="explicit",
    about="the same network with explicit Brian2 synapses, at the same spikes",
    cases=cases,
    quantities=quantities,
)
