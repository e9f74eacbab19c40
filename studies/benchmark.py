"""What the engine costs, as ratios measured side by side in one run.

    python studies/benchmark.py            # everything; some minutes on two cores
    python studies/benchmark.py --quick    # small networks, to see that it works

Measured, each in a process of its own: build time against depth and a second start without
compiling; the Caffe LeNet (20/50/500) with shared kernels against the same network with explicit
Brian2 synapses, at the same spikes, in time per image and step and in memory for connections;
cost against batch size, depth and activity. Times of the simulation loop exclude the start of the
program and the reading of its arrays, which would make the explicit network look worse still.

Burst networks, LeNet-5 and the Caffe LeNet with max pooling: against explicit synapses again, and
against SpikingJelly's converter (optional, see `studies/benchmarks/spikingjelly.py`) on the same
weights, calibration and test images, T = 50 steps, one thread each. SpikingJelly has plain
integrate-and-fire neurons only, so these are compared; burst neurons stand beside them. All time
stands for the run from pixels to scores (standardisation, input currents, start of the program
and its files; not the build or the conversion), the fastest of three.
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
from ann2brian.models.engine.objects import Objects
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import Activation, AvgPool2D, Conv2D, Dense, GlobalAvgPool
from ann2brian.models.networks.network import InputCoding, Network, accuracy
from ann2brian.models.places import RESULTS, cache_folder
from ann2brian.models.schemes import SCHEMES, convert
from ann2brian.models.spiking.network import SpikingNetwork
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.benchmarks import spikingjelly as spikingjelly_network
from ann2brian.studies.benchmarks.explicit_synapses import (
    with_explicit_synapses,
    without_connections,
)
from ann2brian.studies.benchmarks.published import BENCHMARK
from ann2brian.studies.frame import console
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.flags import positive
from ann2brian.studies.frame.provenance import provenance
from ann2brian.studies.frame.result_folder import ResultFolder
from brian2 import get_device

AMOS: Any = SCHEMES["amos"].options
STATUS = "status.txt"  # written by the measured program at its end, in its build folder
SAVE_STATUS = f'std::ofstream("{STATUS}") << std::ifstream("/proc/self/status").rdbuf();'

LENETS = {"fashion-lenet5-max": "LeNet-5", "fashion-caffe-max": "Caffe LeNet"}  # max pooling
QUICK_LENETS = {"digits-burst": "small network"}
INPUTS = {
    "IF": "constant current, no pause, no delay",
    "IF, or-pooling": "constant current, no pause, no delay",
    "burst": "constant current",
    "SpikingJelly": "image in each step",
}
CALIBRATION = 512  # training images
SPIKINGJELLY_BATCH = 64
REPEATS = 3
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def neurons_of_lenets(n_steps: int) -> dict[str, Any]:
    """Neurons that are measured: plain integrate-and-fire, without pause and delay, and burst."""
    burst: Any = SCHEMES["burst"].options
    plain = burst(
        n_steps=n_steps, gamma=1, normalisation="maximum", initial=0, guard_ms=0, delay_ms=0
    )
    return {
        "IF": plain,
        "IF, or-pooling": replace(plain, pooling="or"),  # what max pooling is in SpikingJelly
        "burst": burst(n_steps=n_steps),
    }


def lenet_images(task: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibration images, and test images with their labels, for a burst task."""
    dataset = "digits" if task["quick"] else "fashion-mnist"
    data = Path(task["data"]) if task["data"] else None
    training, _ = datasets.load(dataset, "train", data)
    images, labels = datasets.load(dataset, "test", data)
    return training[:CALIBRATION], images[: task["images"]], labels[: task["images"]]


def stack(depth: int, channels: int = 8, size: int = 8, seed: int = 0) -> SpikingNetwork:
    """Random network of `depth` spiking convolutions, K = 4, for depth and activity."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    before, n_in = "input", 1
    for i in range(depth):
        kernel = rng.normal(size=(3, 3, n_in, channels)) * np.sqrt(2 / (9 * n_in))
        padding = (1, 1, 1, 1)
        layers.append(Conv2D(f"conv{i}", (before,), kernel, np.zeros(channels), padding=padding))
        layers.append(Activation(f"act{i}", (f"conv{i}",), "relu"))
        before, n_in = f"act{i}", channels
    layers.append(GlobalAvgPool("pool", (before,)))
    layers.append(Dense("dense", ("pool",), rng.normal(size=(channels, 10)), np.zeros(10)))
    coding = InputCoding((size, size, 1), 15, np.array([1 / 15]), np.zeros(1))
    network = Network(f"stack-{depth}", coding, tuple(layers), tuple("0123456789"))
    images = stack_images(64, size)
    return convert(network, AMOS(neurons_per_gate=4), images).spiking


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
    options = AMOS(neurons_per_gate=n_neurons)
    return convert(network, options, training[:256]).spiking, images


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
    options = AMOS(neurons_per_gate=n_neurons)
    return convert(network, options, images).spiking, images


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Run one task in this process; see `tasks`."""
    if task.get("neurons") == "SpikingJelly":
        return _measure_spikingjelly(task)
    n_images = task["images"]
    changes: list[Callable[[Objects], None]] = []
    labels = None
    if task["network"] == "lenet":
        data = Path(task["data"]) if task["data"] else None
        network, images = lenet(task["k"], data, task["quick"])
        images = images[:n_images]
    elif task["network"] == "stack":
        network, images = stack(task["depth"], task["channels"]), stack_images(n_images)
        if "shift" in task:
            network = _easier(network, task["shift"])
    else:
        trained = storage.load_network(storage.trained(task["network"]))
        calibration, images, labels = lenet_images(task)
        options = neurons_of_lenets(task["n_steps"])[task["neurons"]]
        network = convert(trained, options, calibration).spiking
    if task.get("connections") == "explicit":
        changes.append(with_explicit_synapses(network))
    elif task.get("connections") == "none":
        changes.append(without_connections)

    def change(objects: Objects) -> None:
        for alter in changes:
            alter(objects)
        get_device().insert_code("before_end", SAVE_STATUS)

    runs = [
        simulate(network, images, batch=task["batch"], pipelined=True, change=change)
        for _ in range(task.get("repeats", 1))
    ]
    fastest = min(runs, key=lambda run: run.run_s)
    summary = _summary(network, fastest, task)
    if labels is not None:
        summary |= {
            "accuracy": float((fastest.predictions == labels).mean()),
            "ann_accuracy": accuracy(trained.forward(images), labels),
        }
    return {**summary, "peak_memory_mb": _peak_memory_mb()}


def _measure_spikingjelly(task: dict[str, Any]) -> dict[str, Any]:
    """Run the network that SpikingJelly makes of the same weights."""
    network = storage.load_network(storage.trained(task["network"])).fold_batch_norm()
    calibration, images, labels = lenet_images(task)
    outcome = spikingjelly_network.present(
        network,
        calibration,
        images,
        n_steps=task["n_steps"],
        batch=task["batch"],
        repeats=task["repeats"],
    )
    return {
        **_flags_of(task),
        "spikes_per_image": outcome.spikes_per_image,
        "run_s": outcome.seconds,
        "accuracy": float((outcome.predictions == labels).mean()),
    }


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
        **_flags_of(task),
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


def _flags_of(task: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in task.items() if k not in ("data", "quick")}


def _in_new_process(task: dict[str, Any], cache: Path) -> dict[str, Any]:
    """Measure in a fresh process, so that neither memory nor names of earlier runs count."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)],
        env={**os.environ, **ONE_THREAD, "ANN2BRIAN_CACHE": str(cache)},
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
    return found + burst_tasks(arguments)


def burst_tasks(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measurements of burst networks; those with SpikingJelly where it is installed."""
    quick = arguments.quick
    common_to_all = {
        "n_steps": 8 if quick else 50,
        "data": str(arguments.data) if arguments.data else "",
        "quick": quick,
    }
    found: list[dict[str, Any]] = []
    for network in QUICK_LENETS if quick else LENETS:
        subject = {"network": network, **common_to_all}
        few = {"question": "burst connections", **subject, "images": 4 if quick else 24}
        found += [
            {**few, "neurons": neurons, "connections": connections, "batch": batch}
            for neurons in ("IF", "burst")
            for connections, batch in (("shared", None), ("explicit", 1))
        ]
        many = {
            "question": "converter",
            **subject,
            "images": 64 if quick else 640,
            "repeats": REPEATS,
        }
        found += [
            {**many, "neurons": neurons, "batch": None}
            for neurons in neurons_of_lenets(subject["n_steps"])
        ]
        if spikingjelly_network.is_installed():
            found += [{**many, "neurons": "SpikingJelly", "batch": SPIKINGJELLY_BATCH}]
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
        *burst_ratios(table),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value"])


def burst_ratios(table: pd.DataFrame) -> list[tuple[str, float]]:
    """Quantities and values for burst networks, network by network."""
    rows: list[tuple[str, float]] = []
    few, many = (
        table[table.question == question].set_index(["network", "neurons"])
        for question in ("burst connections", "converter")
    )
    for network, label in (LENETS | QUICK_LENETS).items():
        if network not in many.index:
            continue
        runs = many.loc[network]
        title = f"{label}, T = {runs.n_steps.iloc[0]:g}"
        for neurons in ("IF", "burst"):
            by = few.loc[[(network, neurons)]].set_index("connections")
            if by.spike_digest["shared"] != by.spike_digest["explicit"]:
                raise RuntimeError(
                    f"{label}, {neurons}: shared kernels and explicit synapses gave different "
                    "spikes"
                )
            rows.append(
                (
                    f"{title}, {neurons}: loop, explicit / ours",
                    by.loop_s["explicit"] / by.loop_s["shared"],
                )
            )
        n_images = runs.images.iloc[0]
        rows.append((f"{title}: accuracy, trained ({n_images} images)", runs.ann_accuracy["IF"]))
        for neurons, run in runs.iterrows():
            rows += [
                (f"{title}, {neurons}: accuracy ({INPUTS[neurons]})", run.accuracy),
                (f"{title}, {neurons}: spikes per image", run.spikes_per_image),
                (f"{title}, {neurons}: all, per image (ms)", 1e3 * run.run_s / n_images),
            ]
            if neurons != "SpikingJelly":
                rows += [
                    (f"{title}, {neurons}: loop, per image (ms)", 1e3 * run.loop_s / n_images),
                    (
                        f"{title}, {neurons}: synaptic events per image",
                        run.synaptic_events_per_image,
                    ),
                ]
        if "SpikingJelly" in runs.index:
            theirs = runs.run_s["SpikingJelly"]
            for neurons in ("IF", "IF, or-pooling"):
                ours = runs.loc[neurons]
                rows += [
                    (f"{title}, SpikingJelly / {neurons}: all", theirs / ours.run_s),
                    (f"{title}, SpikingJelly all / {neurons} loop", theirs / ours.loop_s),
                ]
    return rows


def parser() -> argparse.ArgumentParser:
    """Flags of the benchmark."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument(
        "--neurons-per-gate",
        type=positive,
        default=4,
        help="K of the LeNet; explicit synapses take about 1 GB for each (default: 4)",
    )
    flags.add_argument("--data", type=Path, help="folder with the data sets")
    flags.add_argument("--out", type=Path, default=RESULTS, help="folder for result folders")
    flags.add_argument("--quick", action="store_true", help="small networks only")
    flags.add_argument("--task", help=argparse.SUPPRESS)  # one measurement, by this script itself
    return flags


def main(argv: Sequence[str] | None = None) -> Path | None:
    """Measure everything, write a result folder and print the ratios."""
    arguments = parser().parse_args(argv)
    if arguments.task:
        print(json.dumps(measure(json.loads(arguments.task))))
        return None
    if not spikingjelly_network.is_installed():
        print(spikingjelly_network.MISSING, file=sys.stderr)
    with console.refusals():
        config = {
            "scheme": "benchmark",
            "quick": arguments.quick,
            "neurons_per_gate": arguments.neurons_per_gate,
            "spikingjelly": spikingjelly_network.is_installed(),
        }
        label = "quick" if arguments.quick else "full"
        origin = provenance(0, "cpp_standalone")
        with ResultFolder(arguments.out / "benchmark", label, config) as folder:
            done = folder.condition("run", lambda working: _measure_all(working, arguments))
            result = folder.finish([done], origin, required=("quantity", "value"))
        figures = make_figures(result, BENCHMARK.figures)
    table = pd.read_csv(result / "metrics.csv")
    console.print_table([(row.quantity, f"{row.value:.3g}") for row in table.itertuples()])
    print(f"results: {result}\nfigures: {figures[0].parent}")
    return result


def _measure_all(working: Path, arguments: argparse.Namespace) -> None:
    """Every task in a fresh process, with a build cache that starts empty."""
    with tempfile.TemporaryDirectory() as cache:
        rows = [
            _in_new_process(task, Path(cache))
            for task in console.steps(tasks(arguments), "benchmark")
        ]
    table = pd.DataFrame(rows)
    table.to_csv(working / "measurements.csv", index=False)
    ratios(table).to_csv(working / "metrics.csv", index=False)


if __name__ == "__main__":
    main()
