"""What a build takes: with an empty cache, and once it is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pandas as pd
from ann2brian.studies.benchmarks.contenders import PREVIOUS, THIS, Case, Task
from ann2brian.studies.benchmarks.part import Part, Setting, plain
from ann2brian.studies.benchmarks.spread import Quantity, of, ratio, spread
from ann2brian.studies.benchmarks.subjects import Subject, stack

SHALLOW, DEEP = 2, 16


def cases(setting: Setting) -> list[Case]:
    """A shallow and a deep network, in turns."""
    tasks = {}
    for depth in (SHALLOW, DEEP):
        subject = Subject(name=f"{depth} layers", network=partial(stack, depth, 8, 8))
        task = Task(subject=subject, n_images=4, options=plain(8))
        tasks[_name(depth, THIS)] = task
        if setting.has_previous:
            tasks[_name(depth, PREVIOUS)] = replace(task, program=PREVIOUS)
    return [Case(name="build", tasks=tasks, builds_anew=True)]


def _name(depth: int, program: str) -> str:
    return f"{depth} layers, {program}"


def quantities(case: str, rows: pd.DataFrame) -> Iterator[Quantity]:
    """Seconds, and ratios by depth, by start and by release."""
    deep, shallow = (_name(depth, THIS) for depth in (DEEP, SHALLOW))
    own = of(rows, deep)
    yield Quantity(f"{case}: {DEEP} layers (s)", spread(own.first_build_s))
    yield Quantity(
        f"{case}: {DEEP} layers / {SHALLOW} layers", ratio(rows, deep, shallow, "first_build_s")
    )
    yield Quantity(f"{case}: second start / first", spread(own.build_s / own.first_build_s))
    previous = _name(DEEP, PREVIOUS)
    if previous in set(rows.contender):
        for what, column in (("first start", "first_build_s"), ("second start", "build_s")):
            found = ratio(rows, previous, deep, column)
            yield Quantity(f"{case}: {what}, previous release / this one", found)


PART = Part(
    name="build",
    about="build time by depth, at the first and at the second start",
    cases=cases,
    quantities=quantities,
)
