"""What this processor can do at best, measured beside the engine: see ``limits.cpp``."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from ann2brian.models.engine.settings import own_brian2
from ann2brian.studies.benchmarks.worker import Facts, Measure, serve

SOURCE = Path(__file__).with_suffix(".cpp")


def compiled(folder: Path) -> Path:
    """The compiled micro-benchmark, with the compiler and the flags of every program.

    Raises
    ------
    RuntimeError
        If the compiler fails; the message holds what it says.
    """
    from brian2.codegen.cpp_prefs import get_compiler_and_args

    program = folder / "limits"
    with own_brian2("cpp_standalone"):
        _, flags = get_compiler_and_args()
    command = ["g++", *flags, str(SOURCE), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{SOURCE.name}: g++ failed:\n{done.stderr[-2000:]}")
    return program


def measured(program: Path) -> dict[str, float]:
    """Nanoseconds of a synaptic event, and of a neuron's step."""
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    event, update = done.stdout.split()
    return {"event_ns": float(event), "update_ns": float(update)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))

        def prepare(_task: Facts) -> tuple[Facts, Measure]:
            """There is nothing to prepare."""
            return {}, lambda: dict(measured(program))

        serve(prepare)
