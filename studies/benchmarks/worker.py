"""A contender: this project, in any release, measured in a process of its own.

Runs as a script with the checkout that is measured on the path, so that it uses its public names
only. It reads a task from standard input, prepares it, and then measures once for each further
line; answers are lines of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STATUS, PROFILE = "status.txt", "profile.txt"  # written by the program at its end, in its folder
COPY = 'std::ofstream("{}") << std::ifstream({}).rdbuf();'
DELIVERY = "deliver"  # how the names of the engine's functions that deliver spikes begin

Facts = dict[str, Any]
Measure = Callable[[], Facts]


def serve(prepare: Callable[[Facts], tuple[Facts, Measure]]) -> None:
    """Answer on standard output: first the facts about a task, then one measurement a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    facts, measure = prepare(json.loads(sys.stdin.readline()))
    print(json.dumps(facts), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), file=answers, flush=True)


def peak_memory_mb(status: Path = Path("/proc/self/status")) -> float:
    """Largest resident memory of a process, from what the system says about it."""
    if not status.exists():  # macOS
        return float("nan")
    lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
    return float(lines["VmHWM"].split()[0]) / 1024


def prepare_network(task: Facts) -> tuple[Facts, Measure]:
    """Load, convert and build a network; a measurement presents all images."""
    import ann2brian as ab

    network = ab.load_network(task["network"])
    stored = np.load(task["images"])
    options = ab.SCHEMES[task["scheme"]].options(**task["options"])
    conversion = ab.convert(network, options, stored["calibration"])
    images, labels = stored["images"], stored["labels"]
    devices: list[Any] = []
    alter = _change(task, conversion, devices)

    def measure() -> Facts:
        started = time.perf_counter()
        recording = ab.simulate(
            conversion,
            images,
            batch=task["batch"],
            jobs=task["threads"],
            pipelined=True,
            record=task["record"],
            change=alter,
        )
        wall_s = time.perf_counter() - started
        folder = Path(devices.pop().project_dir)
        events = recording.synaptic_events
        found = {
            "build_s": recording.build_s,
            "loop_s": recording.loop_s,
            "all_s": recording.run_s,
            "wall_s": wall_s,
            "program_mb": peak_memory_mb(folder / STATUS),
            "spikes_per_image": recording.spikes_per_image,
            "events_per_image": sum(events.values()) / len(images),
            "steps_per_image": recording.period * recording.phase_steps,
            "accuracy": float((recording.predictions == labels).mean()),
            "digest": digest(recording),
            "events_digest": events_digest(recording),
        }
        if task["profile"]:
            found["delivery_s"], found["others_s"] = _delivery(folder / PROFILE)
        return {**found, "memory_mb": found["program_mb"] + peak_memory_mb()}

    first = measure()  # builds; not timed
    facts = {
        "checkout": str(Path(ab.__file__).parents[1]),
        "n_neurons": conversion.spiking.n_neurons,
        "n_steps": conversion.spiking.n_steps,
        "first_build_s": first["build_s"],
        "n_images": len(images),
        "ann_accuracy": float(stored["ann_accuracy"]),
    }
    return facts, measure


def _change(task: Facts, conversion: Any, devices: list[Any]) -> Callable[[Any], None]:
    """What is altered in the Brian2 objects of a run; it keeps the run's device."""
    from brian2 import get_device

    if task["connections"] != "shared":  # of this release only
        from ann2brian.studies.benchmarks import explicit_synapses
    explicit = (
        explicit_synapses.with_explicit_synapses(conversion.spiking)
        if task["connections"] == "explicit"
        else None
    )

    def change(objects: Any) -> None:
        device = get_device()
        device.insert_code("before_end", COPY.format(STATUS, '"/proc/self/status"'))
        if task["profile"]:
            device.build_options["profile"] = True
            where = 'brian::results_dir + "profiling_info.txt"'
            device.insert_code("after_end", COPY.format(PROFILE, where))
        if explicit is not None:
            explicit(objects)
        elif task["connections"] == "none":
            explicit_synapses.without_connections(objects)
        for connection in task["cut"]:
            objects.cut(connection)
        devices.append(device)

    return change


def digest(recording: Any) -> str:
    """SHA-256 of scores, counts, and spikes and potentials where they were recorded."""
    found = hashlib.sha256(np.asarray(recording.scores, dtype="<f8").tobytes())
    for counts in recording.spike_counts:
        found.update(np.asarray(counts, dtype="<i8").tobytes())
    if recording.spikes is not None:
        for field in ("image", "layer", "neuron", "step"):
            found.update(np.asarray(getattr(recording.spikes, field), dtype="<i8").tobytes())
    for name, potentials in sorted(recording.end_potentials.items()):
        found.update(name.encode() + np.asarray(potentials, dtype="<f8").tobytes())
    return found.hexdigest()


def events_digest(recording: Any) -> str:
    """SHA-256 of the synaptic events of each connection and step."""
    found = hashlib.sha256()
    for name, events in sorted(recording.events_by_step.items()):
        found.update(name.encode() + np.asarray(events, dtype="<i8").tobytes())
    return found.hexdigest()


def _delivery(profile: Path) -> tuple[float, float]:
    """Seconds in delivery, and in all other parts of a step."""
    rows = (line.split() for line in profile.read_text().splitlines())
    seconds = {name: float(value) for name, value in rows}
    delivery = sum(s for name, s in seconds.items() if name.startswith(DELIVERY))
    return delivery, sum(seconds.values()) - delivery


if __name__ == "__main__":
    serve(prepare_network)
