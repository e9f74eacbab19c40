"""What an event and a neuron's step cost, beside what the processor can do at best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from ann2brian.studies.benchmarks.contenders import LIMITS, THIS, Case
from ann2brian.studies.benchmarks.part import Part, Setting, networks
from ann2brian.studies.benchmarks.spread import Quantity, of, spread

CONVOLUTIONS = "convolutions"
# Taken away, what is left are the convolutions, at the same spikes.
DENSE = {"Caffe LeNet, IF": ("pool2->act3", "act3->readout")}


def cases(setting: Setting) -> list[Case]:
    """Every network with its parts of a step timed, in turns with the micro-benchmark."""
    found = []
    for name, task in networks(setting).items():
        profiled = replace(task, profile=True)
        tasks = {THIS: profiled}
        if name in DENSE:
            tasks[CONVOLUTIONS] = replace(profiled, cut=DENSE[name])
        tasks[LIMITS] = replace(task, program=LIMITS)
        found.append(Case(name=name, tasks=tasks))
    return found


def quantities(case: str, rows: pd.DataFrame) -> Iterator[Quantity]:
    """Nanoseconds, and how many times the limit they are."""
    limits = of(rows, LIMITS)
    for name, what in ((THIS, ""), (CONVOLUTIONS, ", convolutions alone")):
        own = of(rows, name)
        if own.empty:
            continue
        events = own.delivery_s / (own.n_images * own.events_per_image)
        yield Quantity(f"{case}{what}: delivery, per event (ns)", spread(1e9 * events), "event")
        yield Quantity(
            f"{case}{what}: delivery, of the limit", spread(1e9 * events / limits.event_ns)
        )
    own = of(rows, THIS)
    updates = own.others_s / (own.n_images * own.n_neurons * own.steps_per_image)
    yield Quantity(f"{case}: all else, per neuron and step (ns)", spread(1e9 * updates), "update")
    yield Quantity(f"{case}: all else, of the limit", spread(1e9 * updates / limits.update_ns))
    share = own.delivery_s / (own.delivery_s + own.others_s)
    yield Quantity(f"{case}: delivery, share of the loop", spread(share))
    yield Quantity(f"{case}: limit, per event (ns)", spread(limits.event_ns), "event limit")
    limit = spread(limits.update_ns)
    yield Quantity(f"{case}: limit, per neuron and step (ns)", limit, "update limit")


PART = Part(
    name="costs",
    about="cost of an event and of a neuron's step, beside the processor's measured limit",
    cases=cases,
    quantities=quantities,
)
