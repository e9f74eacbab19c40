"""One run of the model: as a compiled program, or inside Python."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2 import prefs, second, volt
from numpy.typing import NDArray

from ..engine import builds
from ..places import cache_folder
from .assembly import Job, Objects, build, images_of_copies, injected_values, stimulus_values
from .delivery import HEADER
from .outcome import _outcome


@contextmanager
def _runner(job: Job, target: str) -> Iterator[Callable[[tuple[int, NDArray[Any]]], dict]]:
    """Function that presents one part of the images; compiles first where that is needed."""
    builds.require_compiler(target)
    with _brian2_settings(target):
        if target != "cpp_standalone":
            yield partial(_run_at_runtime, job, target)
            return
        with builds.build_folder(_description(job)) as folder:
            empty = np.zeros((0, *job.network.image_shape))
            brian2.set_device("cpp_standalone", build_on_run=False)
            try:
                device = brian2.get_device()
                objects = build(job, empty, target)
                seed = device.get_array_name(objects.copies.variables["noise_seed"])
                device.apply_run_args()
                device.insert_code(
                    "main",
                    f"for (auto &generator : brian::_random_generators) generator.seed({seed}[0]);",
                )
                objects.network.run(objects.n_steps * job.network.dt_s * second, namespace={})
                device.build(directory=str(folder), compile=False, run=False)
                builds.compile_program(folder)
                yield partial(_run_program, job, objects, device, folder)
            finally:
                device = brian2.get_device()
                device.reinit()
                device.activate()
                brian2.set_device("runtime")


def _noise_seed(job: Job, start: int) -> int:
    """Seed of the part of the images that starts at `start`; every part draws other numbers."""
    return int(np.random.SeedSequence([job.seed, start]).generate_state(1)[0] >> 1)


def _run_program(
    job: Job, objects: Objects, device: Any, folder: Path, part: tuple[int, Any]
) -> dict:
    """Run the compiled program on one part of the images."""
    start, images = part
    results = f"results_{start}_{os.getpid()}"  # not where the program of a killed run writes
    device.run(
        results_directory=results,
        with_output=False,
        run_args={
            objects.copies.n_images: images_of_copies(job, len(images)),
            objects.copies.noise_seed: np.full(job.plan.n_copies, _noise_seed(job, start)),
        }
        | {
            array: stimulus_values(job, stimulus, images) * job.network.unit_volt * volt
            for array, stimulus in zip(objects.stimuli, job.network.stimuli, strict=True)
        }
        | {
            array: injected_values(job, injection, start, len(images))
            * job.network.unit_volt
            * volt
            for array, injection in zip(objects.injections, job.injected, strict=True)
        },
    )
    loop_s = float((folder / results / "last_run_info.txt").read_text().split()[0])
    return _outcome(job, objects, start, len(images), loop_s)


def _run_at_runtime(job: Job, target: str, part: tuple[int, Any]) -> dict:
    """Run the same model inside Python."""
    start, images = part
    brian2.seed(_noise_seed(job, start))
    objects = build(job, images, target, start)
    started = time.perf_counter()
    objects.network.run(objects.n_steps * job.network.dt_s * second, namespace={})
    return _outcome(job, objects, start, len(images), time.perf_counter() - started)


@contextmanager
def _brian2_settings(target: str) -> Iterator[None]:
    """Preferences for a run; as they were, afterwards."""
    names = (
        "codegen.target",
        "codegen.runtime.cython.cache_dir",
        "core.stop_on_keyboard_interrupt",
    )
    before = {name: prefs[name] for name in names}
    prefs.codegen.target = target if target != "cpp_standalone" else "auto"
    prefs.codegen.runtime.cython.cache_dir = str(cache_folder() / "cython")
    prefs.core.stop_on_keyboard_interrupt = False  # it would end a run early, as if complete
    try:
        yield
    finally:
        for name, value in before.items():
            prefs[name] = value


def _description(job: Job) -> str:
    """Everything that the generated program depends on, but neither weights nor images."""
    network, layout = job.network, job.plan
    kinds = [
        {k: str(v) if k == "constants" else v for k, v in asdict(kind).items()}
        for kind in network.neurons
    ]
    sizes = (
        layout.sizes,
        layout.group_sizes,
        len(layout.routes),
        [axons.sources.size for axons in layout.axons],
        job.depth,
        network.dt_ms,
        network.readout.n_steps,
        network.latency_phases,
        [(s.variable, network.population(s.target).n_units) for s in network.stimuli],
        [network.population(s.target).onset for s in network.stimuli],
        [(x.target, x.variable, job.period) for x in job.injected],
        bool(job.record),
        [job.neurons_of(job.record, kind.name).size for kind in network.neurons],
        {kind: neurons.tolist() for kind, neurons in job.traced.items()},
        getattr(job.change, "__qualname__", None),
    )
    # The compiler is told to use what this processor has, so a shared cache must tell them apart.
    processor = Path("/proc/cpuinfo")
    features = processor.read_text().split("\n\n")[0] if processor.exists() else ""
    flags = [line for line in features.splitlines() if line.startswith(("flags", "Features"))]
    return repr((brian2.__version__, HEADER.read_text(), flags, kinds, sizes))
