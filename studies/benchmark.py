"""What the engine costs, as ratios measured side by side in one run.

    python studies/benchmark.py            # everything; some minutes on two cores
    python studies/benchmark.py --quick    # small networks, to see that it works

Measured, each in a process of its own: build time against depth and a second start without
compiling; the Caffe LeNet (20/50/500) with shared kernels against the same network with explicit
Brian2 synapses, at the same spikes, in time per image and step and in memory for connections;
cost against batch size, depth and activity. Times of the simulation loop exclude the start of the
program and the reading of its arrays, which would make the explicit network look worse still.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from brian2 import get_device

from models import amos, storage
from models.assembly import Objects
from models.builds import cache_folder
from models.layers import Activation, AvgPool2D, Conv2D, Dense, GlobalAvgPool
from models.network import InputCoding, Network
from models.recording import Recording
from models.simulation import simulate
from models.spiking import SpikingNetwork
from studies import common, datasets
from studies.explicit import with_explicit_synapses, without_connections
from studies.make_figures import make_figures

STATUS = "status.txt"  # written by the measured program at its end, in its build folder
SAVE_STATUS = f'std::ofstream("{STATUS}") << std::ifstream("/proc/self/status").rdbuf();'


def stack(depth: int, channels: int = 8, size: int = 8, seed: int = 0) -> SpikingNetwork:
    """Random network of `depth` spiking convolutions, K = 4, for depth and activity."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    before, n_in = "input", 1
    for i in range(depth):
        kernel = rng.normal(size=(3, 3, n_in, channels)) * np.sqrt(2 / (9 * n_in))
        layers.append(Conv2D(f"conv{i}", (before,), kernel, np.zeros(channels), padding=(1, 1)))
        layers.append(Activation(f"act{i}", (f"conv{i}",), "relu"))
        before, n_in = f"act{i}", channels
    layers.append(GlobalAvgPool("pool", (before,)))
    layers.append(Dense("dense", ("pool",), rng.normal(size=(channels, 10)), np.zeros(10)))
    coding = InputCoding((size, size, 1), 15, np.array([1 / 15]), np.zeros(1))
    network = Network(f"stack-{depth}", coding, tuple(layers), tuple("0123456789"))
    images = stack_images(64, size)
    return amos.convert(network, images, amos.AmosOptions(neurons_per_gate=4)).spiking


def stack_images(n: int, size: int = 8) -> np.ndarray:
    """Random images for `stack`."""
    return np.random.default_rng(1).integers(0, 16, (n, size, size, 1))


def lenet(n_neurons: int, data: Path | None, quick: bool) -> tuple[SpikingNetwork, np.ndarray]:
    """Caffe LeNet with average pooling, trained on Fashion-MNIST, and test images."""
    if quick:
        return _small_lenet(n_neurons)
    network = storage.load_network(storage.trained("fashion-lenet"))
    training, _ = datasets.load("fashion-mnist", "train", data)
    images, _ = datasets.load("fashion-mnist", "test", data)
    options = amos.AmosOptions(neurons_per_gate=n_neurons)
    return amos.convert(network, training[:256], options).spiking, images


def _small_lenet(n_neurons: int) -> tuple[SpikingNetwork, np.ndarray]:
    rng = np.random.default_rng(0)
    layers = (
        Conv2D("conv1", ("input",), rng.normal(size=(3, 3, 1, 8)) / 3, np.zeros(8)),
        Activation("act1", ("conv1",), "relu"),
        AvgPool2D("pool", ("act1",)),
        Conv2D("conv2", ("pool",), rng.normal(size=(3, 3, 8, 16)) / 8, np.zeros(16)),
        Activation("act2", ("conv2",), "relu"),
        GlobalAvgPool("gap", ("act2",)),
        Dense("dense", ("gap",), rng.normal(size=(16, 10)), np.zeros(10)),
    )
    coding = InputCoding((12, 12, 1), 15, np.array([1 / 15]), np.zeros(1))
    network = Network("small", coding, layers, tuple("0123456789"))
    images = stack_images(64, 12)
    options = amos.AmosOptions(neurons_per_gate=n_neurons)
    return amos.convert(network, images, options).spiking, images


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Run one task in this process; see `main` for the tasks."""
    n_images = task["images"]
    changes: list[Callable[[Objects], None]] = []
    if task["network"] == "lenet":
        data = Path(task["data"]) if task["data"] else None
        network, images = lenet(task["k"], data, task["quick"])
        images = images[:n_images]
        if task["connections"] == "explicit":
            changes.append(with_explicit_synapses(network))
        elif task["connections"] == "none":
            changes.append(without_connections)
    else:
        network, images = stack(task["depth"], task["channels"]), stack_images(n_images)
        if "shift" in task:
            network = _easier(network, task["shift"])

    def change(objects: Objects) -> None:
        for alter in changes:
            alter(objects)
        get_device().insert_code("before_end", SAVE_STATUS)

    recording = simulate(network, images, batch=task["batch"], pipelined=True, change=change)
    return {**_summary(network, recording, task), "peak_memory_mb": _peak_memory_mb()}


def _peak_memory_mb() -> float:
    """Largest resident memory of the program that ran last in this build cache."""
    latest = max(
        cache_folder().glob(f"builds/*/{STATUS}"), key=lambda path: path.stat().st_mtime_ns
    )
    lines = dict(line.split(":", 1) for line in latest.read_text().splitlines())
    return float(lines["VmHWM"].split()[0]) / 1024


def _easier(network: SpikingNetwork, shift: float) -> SpikingNetwork:
    """The same network with every threshold multiplied: fewer or more spikes, same program."""
    populations = [
        replace(p, parameters={"theta": p.parameters["theta"] * (shift if i else 1.0)})
        for i, p in enumerate(network.populations)
    ]
    return replace(network, populations=tuple(populations))


def _summary(network: SpikingNetwork, run: Recording, task: dict[str, Any]) -> dict[str, Any]:
    steps = network.n_steps - 1
    events = sum(run.synaptic_events.values())
    return {
        **{k: v for k, v in task.items() if k not in ("data", "quick")},
        "n_neurons": network.n_neurons,
        "n_synapses": network.n_synapses,
        "n_kernel_weights": network.n_kernel_weights,
        "spikes_per_image": run.spikes_per_image,
        "synaptic_events_per_image": events / run.n_images,
        "spike_digest": hashlib.sha256(
            b"".join(counts.tobytes() for counts in run.spike_counts) + run.scores.tobytes()
        ).hexdigest(),
        "build_s": run.build_s,
        "run_s": run.run_s,
        "loop_s": run.loop_s,
        "loop_us_per_image_and_step": 1e6 * run.loop_s / run.n_images / steps,
        "loop_ns_per_event": 1e9 * run.loop_s / events if events else np.nan,
    }


def _in_new_process(task: dict[str, Any], cache: Path) -> dict[str, Any]:
    """Measure in a fresh process, so that neither memory nor names of earlier runs count."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)],
        env={**os.environ, "ANN2BRIAN_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the measurement {task} failed with status {done.returncode}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def tasks(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All measurements, in order; `question` groups them."""
    quick = arguments.quick
    depths = (2, 4) if quick else (2, 4, 8, 16)
    batches = (1, 4) if quick else (1, 2, 4, 8, 16, 32)
    shifts = (0.5, 2.0) if quick else (0.25, 0.5, 1.0, 2.0, 4.0)
    n = 16 if quick else 512
    random = {"network": "stack", "channels": 8, "batch": 1, "images": n, "quick": quick}
    trained = {
        "network": "lenet",
        "k": arguments.neurons_per_gate,
        "batch": 1,
        "images": 8 if quick else 100,
        "data": str(arguments.data) if arguments.data else "",
        "quick": quick,
    }
    found = [{"question": "depth", **random, "depth": depth} for depth in depths]
    found += [{"question": "second start", **random, "depth": depths[-1]}]
    found += [
        {"question": "batch", **random, "depth": 4, "channels": 16, "batch": batch}
        for batch in batches
    ]
    found += [
        {"question": "activity", **random, "depth": 4, "channels": 16, "shift": shift}
        for shift in shifts
    ]
    found += [
        {"question": "connections", **trained, "connections": connections}
        for connections in ("none", "shared", "explicit")
    ]
    return found


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that the project promises, from the rows measured in this run."""
    depth = table[table.question == "depth"].set_index("depth")
    second = table[table.question == "second start"].iloc[0]
    by = table[table.question == "connections"].set_index("connections")
    shared, explicit = by.loc["shared"], by.loc["explicit"]
    if shared.spike_digest != explicit.spike_digest:
        raise RuntimeError("shared kernels and explicit synapses gave different spikes")
    memory = by.peak_memory_mb - by.peak_memory_mb["none"]
    deepest, shallowest = int(depth.index.max()), int(depth.index.min())
    rows = [
        (
            f"build time, {deepest} layers / {shallowest} layers",
            depth.build_s[deepest] / depth.build_s[shallowest],
        ),
        ("build time, second start / first", second.build_s / depth.build_s[deepest]),
        (
            "time per image and step, explicit / shared",
            explicit.loop_us_per_image_and_step / shared.loop_us_per_image_and_step,
        ),
        ("memory for connections, explicit / shared", memory["explicit"] / memory["shared"]),
        ("memory for connections, shared (MB)", memory["shared"]),
        ("memory for connections, explicit (MB)", memory["explicit"]),
        ("time per synaptic event, shared (ns)", shared.loop_ns_per_event),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value"])


def parser() -> argparse.ArgumentParser:
    """Flags of the benchmark."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument(
        "--neurons-per-gate",
        type=common.positive,
        default=4,
        help="K of the LeNet; explicit synapses take about 1 GB for each (default: 4)",
    )
    flags.add_argument("--data", type=Path, help="folder with the data sets")
    flags.add_argument("--out", type=Path, default=common.RESULTS, help="folder for result folders")
    flags.add_argument("--quick", action="store_true", help="small networks only")
    flags.add_argument("--task", help=argparse.SUPPRESS)  # one measurement, by this script itself
    return flags


def main(argv: Sequence[str] | None = None) -> Path | None:
    """Measure everything, write a result folder and print the ratios."""
    arguments = parser().parse_args(argv)
    if arguments.task:
        print(json.dumps(measure(json.loads(arguments.task))))
        return None
    with common.refusals():
        config = {
            "scheme": "benchmark",
            "quick": arguments.quick,
            "neurons_per_gate": arguments.neurons_per_gate,
        }
        label = "quick" if arguments.quick else "full"
        origin = common.provenance(0, "cpp_standalone")
        with common.ResultFolder(arguments.out / "benchmark", label, config) as folder:
            done = folder.condition("run", lambda working: _measure_all(working, arguments))
            result = folder.finish([done], origin, required=("quantity", "value"))
        figures = make_figures(result)
    table = pd.read_csv(result / "metrics.csv")
    common.print_table([(row.quantity, f"{row.value:.3g}") for row in table.itertuples()])
    print(f"results: {result}\nfigures: {figures[0].parent}")
    return result


def _measure_all(working: Path, arguments: argparse.Namespace) -> None:
    """Every task in a fresh process, with a build cache that starts empty."""
    with tempfile.TemporaryDirectory() as cache:
        rows = [
            _in_new_process(task, Path(cache))
            for task in common.steps(tasks(arguments), "benchmark")
        ]
    table = pd.DataFrame(rows)
    table.to_csv(working / "measurements.csv", index=False)
    ratios(table).to_csv(working / "metrics.csv", index=False)


if __name__ == "__main__":
    main()
