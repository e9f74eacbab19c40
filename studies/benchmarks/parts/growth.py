"""How cost grows with neurons, events, depth, images and copies side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd
from ann2brian.studies.benchmarks.contenders import Case, Task
from ann2brian.studies.benchmarks.part import Part, Setting, plain
from ann2brian.studies.benchmarks.spread import Quantity, ratio, slope
from ann2brian.studies.benchmarks.subjects import Subject, stack

N_STEPS = 16


@dataclass(frozen=True, kw_only=True)
class Growth:
    """One quantity that grows.

    Parameters
    ----------
    values : tuple of float
        What is varied.
    task : callable
        From a value and a number of images, what is measured.
    n_images : int
        Images of each measurement.
    x, y : str
        Columns of what grows and of cost.
    xlabel : str
        Of `x` in the figure.
    xunit : float
        What is 1 there.
    has_slope : bool
        Whether the logarithms of both lie on a line.
    """

    values: tuple[float, ...]
    task: Callable[[float, int], Task]
    n_images: int
    x: str
    xlabel: str
    xunit: float = 1.0
    y: str = "loop_s_per_image"
    has_slope: bool = True


def _stack(depth: int, size: int, channels: int, brightness: float = 1.0) -> Subject:
    network = partial(stack, depth, size, channels)
    return Subject(name="stack", network=network, brightness=brightness)


def _task(subject: Subject, n_images: int, batch: int | None = None) -> Task:
    return Task(subject=subject, n_images=n_images, options=plain(N_STEPS), batch=batch)


GROWTHS: Mapping[str, Growth] = {
    "neurons": Growth(
        values=(8, 16, 32, 64),
        task=lambda size, n: _task(_stack(4, int(size), 8), n),
        n_images=64,
        x="n_neurons",
        xlabel="neurons (1000)",
        xunit=1e3,
    ),
    "events": Growth(
        values=(1 / 8, 1 / 4, 1 / 2, 1),
        task=lambda light, n: _task(_stack(4, 16, 32, light), n),
        n_images=64,
        x="events_per_image",
        xlabel="events per image (million)",
        xunit=1e6,
    ),
    "depth": Growth(
        values=(2, 4, 8, 16),
        task=lambda depth, n: _task(_stack(int(depth), 16, 16), n),
        n_images=64,
        x="value",
        xlabel="spiking layers",
    ),
    "images": Growth(
        values=(1, 4, 16, 64),
        task=lambda factor, n: _task(_stack(2, 16, 16), int(factor * n)),
        n_images=32,
        x="n_images",
        xlabel="images",
        y="all_s",
    ),
    "copies": Growth(
        values=(1, 2, 4, 8, 16, 32),
        task=lambda copies, n: _task(_stack(4, 8, 16), n, int(copies)),
        n_images=512,
        x="value",
        xlabel="copies side by side",
        has_slope=False,
    ),
}


def cases(setting: Setting) -> list[Case]:
    """One for each quantity that grows; quick ones have two values."""
    found = []
    for name, growth in GROWTHS.items():
        values = growth.values[:2] if setting.quick else growth.values
        n_images = setting.images(8 if setting.quick else growth.n_images)
        tasks = {f"{value:g}": growth.task(value, n_images) for value in values}
        found.append(Case(name=name, tasks=tasks))
    return found


def points(case: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a growth with x, y (ms) and their labels."""
    growth = GROWTHS[case]
    found = rows.assign(
        value=rows.contender.astype(float), loop_s_per_image=rows.loop_s / rows.n_images
    )
    return found.assign(
        x=found[growth.x] / growth.xunit,
        y=1e3 * found[growth.y],
        xlabel=growth.xlabel,
        ylabel="all (ms)" if growth.y == "all_s" else "loop per image (ms)",
    )


def quantities(case: str, rows: pd.DataFrame) -> Iterator[Quantity]:
    """Exponent of growth, or the last value's cost in terms of the first's."""
    if GROWTHS[case].has_slope:
        yield Quantity(f"growth with {case}: slope", slope(points(case, rows), "x", "y"))
        return
    first, *_, last = dict.fromkeys(rows.contender)
    found = ratio(rows, last, first, "loop_s")
    yield Quantity(f"growth with {case}: loop, {last} {case} / {first}", found)


PART = Part(
    name="growth",
    about="growth of cost with neurons, events, depth, images and copies, with slopes",
    cases=cases,
    quantities=quantities,
)
