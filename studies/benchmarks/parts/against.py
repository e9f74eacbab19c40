"""How much faster than the previous release, on the same networks, at the same spikes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from ann2brian.studies.benchmarks.contenders import PREVIOUS, THIS, Case, Task
from ann2brian.studies.benchmarks.part import Part, Setting, networks
from ann2brian.studies.benchmarks.spread import Quantity, of, ratio, spread

RECORDED = {"Caffe LeNet, burst": 8, "digits, IF": 16}  # all spikes kept, of so many images


def cases(setting: Setting) -> list[Case]:
    """Every network, and some of them with all spikes recorded."""
    tasks = networks(setting)
    recorded = {
        f"{name}, all spikes recorded": replace(
            tasks[name], n_images=setting.images(n), record=True
        )
        for name, n in RECORDED.items()
        if name in tasks
    }
    return [_case(name, task, setting) for name, task in (tasks | recorded).items()]


def _case(name: str, task: Task, setting: Setting) -> Case:
    contenders = {THIS: task}
    if setting.has_previous:
        contenders[PREVIOUS] = replace(task, program=PREVIOUS)
    return Case(name=name, tasks=contenders, same=tuple(contenders))


def quantities(case: str, rows: pd.DataFrame) -> Iterator[Quantity]:
    """Times of both for an image, and how many times as much the previous release takes."""
    ours = of(rows, THIS)
    is_recorded = "recorded" in case
    for what, column in (("loop", "loop_s"), ("all", "all_s")):
        yield Quantity(
            f"{case}: {what}, per image (ms)", spread(1e3 * ours[column] / ours.n_images)
        )
    yield Quantity(f"{case}: all / loop", spread(ours.all_s / ours.loop_s))
    yield Quantity(f"{case}: spikes per image", spread(ours.spikes_per_image))
    yield Quantity(f"{case}: synaptic events per image", spread(ours.events_per_image))
    yield Quantity(f"{case}: memory of the program (MB)", spread(ours.program_mb))
    if PREVIOUS not in set(rows.contender):
        return
    for what, column, panel in (
        ("loop", "loop_s", "" if is_recorded else "speed"),
        ("all", "all_s", "speed" if is_recorded else ""),
        ("memory of the program", "program_mb", ""),
    ):
        found = ratio(rows, PREVIOUS, THIS, column)
        yield Quantity(f"{case}: {what}, previous release / this one", found, panel)


PART = Part(
    name="against",
    about="this release, and the previous one given by --against, on the same networks",
    cases=cases,
    quantities=quantities,
)
