"""Parts of the benchmark, in their order; each is a module that declares one `PART`."""

from __future__ import annotations

from ann2brian.studies.benchmarks.part import Part
from ann2brian.studies.benchmarks.parts import (
    against,
    build,
    costs,
    explicit,
    growth,
    peers,
    threads,
)

PARTS: tuple[Part, ...] = tuple(
    module.PART for module in (against, peers, explicit, costs, threads, build, growth)
)
