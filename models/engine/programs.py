"""One run of the model: as a compiled program, or inside Python."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2 import get_device, second
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from numpy.typing import NDArray

from . import builds
from .assembly import assemble
from .delivery import HEADER
from .job import Job, Part
from .objects import Objects
from .outcome import Outcome, outcome_of

TARGETS = ("cpp_standalone", "cython", "numpy")


@contextmanager
def runner(job: Job, target: str) -> Iterator[Callable[[Part], Outcome]]:
    """Yield a function that presents one part of the images; compiles first where that is needed.

    Parameters
    ----------
    job : Job
        What runs.
    target : str
        One of `TARGETS`; Brian2's device and preferences are those of it
        (:mod:`models.engine.settings`).

    Raises
    ------
    RuntimeError
        If the compiler is missing or fails.
    """
    builds.require_compiler(target)
    if target != "cpp_standalone":
        yield partial(_run_at_runtime, job, target)
        return
    device = get_device()
    empty = Part(0, np.zeros((0, *job.network.image_shape)), 0)
    with tempfile.TemporaryDirectory(prefix="ann2brian_") as generated:
        objects = _generate(job, empty, device, generated)
        project = Path(generated)
        with builds.program(project, builds.description(project, HEADER)) as folder:
            device.project_dir = str(folder)
            yield partial(_run_program, job, objects, device, folder)


def _generate(job: Job, part: Part, device: CPPStandaloneDevice, folder: str) -> Objects:
    """Write the sources of a program for any images of the same number."""
    objects = assemble(job, part, "cpp_standalone")
    seed = device.get_array_name(objects.copies.variables["noise_seed"])
    device.insert_code(
        "main", f"for (auto &generator : brian::_random_generators) generator.seed({seed}[0]);"
    )
    _run(job, objects)
    _order_clocks(device)
    device.build(directory=folder, compile=False, run=False)
    return objects


def _order_clocks(device: CPPStandaloneDevice) -> None:
    """Let the same network always give the same text.

    Brian2 sets the clocks back in the order of a set, another one in each process. What it sets
    are different variables, so that any order of these lines says the same.
    """
    of_clocks = {
        device.arrays[variable]
        for clock in device.clocks
        for variable in clock.variables.values()
        if variable in device.arrays
    }

    queue: list[tuple] = []
    together: list[tuple] = []  # settings of clocks that follow each other
    for entry in device.main_queue:
        if entry[0] == "set_by_single_value" and entry[1][0] in of_clocks:
            together.append(entry)
            continue
        queue += [*sorted(together, key=lambda entry: entry[1][0]), entry]
        together = []
    device.main_queue = queue + sorted(together, key=lambda entry: entry[1][0])


def _run(job: Job, objects: Objects) -> None:
    objects.network.run(job.n_steps * job.network.dt_s * second, namespace={})


def _run_program(
    job: Job, objects: Objects, device: CPPStandaloneDevice, folder: Path, part: Part
) -> Outcome:
    """Run the compiled program on one part of the images."""
    results = f"results_{part.start}"
    (folder / results).mkdir()
    arguments = _write_arguments(job, objects, folder / results, part)
    device.run(results_directory=results, with_output=False, run_args=arguments)
    loop_s = float((folder / results / "last_run_info.txt").read_text().split()[0])
    outcome = outcome_of(job, objects, part, loop_s)
    shutil.rmtree(folder / results)  # may hold gigabytes of spikes
    return outcome


def _write_arguments(job: Job, objects: Objects, folder: Path, part: Part) -> list[str]:
    """Write what enters with some images to files; returns Brian2's ``run_args``, which name them.

    Given the arrays themselves, Brian2 would hash each and write it to a file of that name. Here
    the currents, large for many images, never stand in memory as a whole.
    """
    copies, n_images, unit_volt = objects.copies, len(part.images), job.network.unit_volt
    found = []

    def write(name: str, blocks: Iterable[NDArray[Any]], size: int) -> None:
        """Write one array; what the blocks leave of its `size` in bytes is 0."""
        path = folder / f"{name}.dat"
        with path.open("wb") as file:
            for block in blocks:
                block.tofile(file)
            assert file.tell() <= size, name  # the program would leave another size unread
            file.truncate(size)
        found.append(f"{name}={path.parent.name}/{path.name}")

    for view, values in (
        (copies.n_images, job.images_of_copies(n_images)),
        (copies.noise_seed, np.full(job.layout.n_copies, job.part_seed(part.start))),
        (copies.first_image, part.start + np.arange(job.layout.n_copies)),
    ):
        given = values.astype(view.dtype)
        write(f"{view.group_name}.{view.name}", [given], given.nbytes)
    for name, one in objects.shared.items():
        write(name, [one], one.nbytes)
    for array, stimulus in zip(objects.stimuli, job.network.stimuli, strict=True):
        blocks = (block * unit_volt for block in stimulus.blocks(part.images))
        write(f"{array.name}.values", blocks, array.values.nbytes)
    for array, injection in zip(objects.injections, job.injected, strict=True):
        values = job.injected_values(injection, part.place, n_images) * unit_volt
        write(f"{array.name}.values", [values], array.values.nbytes)
    return found


def _run_at_runtime(job: Job, target: str, part: Part) -> Outcome:
    """Run the same model inside Python."""
    brian2.seed(job.part_seed(part.start))
    objects = assemble(job, part, target)
    started = time.perf_counter()
    _run(job, objects)
    loop_s = time.perf_counter() - started
    if target == "cython":
        _require_compiled(objects)
    return outcome_of(job, objects, part, loop_s)


def _require_compiled(objects: Objects) -> None:
    """Raise a RuntimeError if Brian2 left code out of a run.

    What Cython refuses to translate is printed and passed over, and the run goes on without it.
    """
    for one in objects.network.sorted_objects:
        for code in one.code_objects:
            for block, compiled in code.compiled_code.items():
                text = getattr(code.code, block, "").strip()
                if text and "EMPTY_CODE_BLOCK" not in text and compiled is None:
                    raise RuntimeError(
                        f"Cython could not translate {one.name!r}, so that the run went on without "
                        "it; its reasons stand above. Write what it names in another way (int(n) "
                        "of an integer as n, i of a synapse as i_pre), or choose another target"
                    )
