"""Run a spiking network in Brian2 and return a recording.

One NeuronGroup holds all neurons, one Synapses object all axons, whatever the depth, so that the
time to compile does not grow with it. Images are presented side by side (copies that share every
kernel) and one after another; several processes can each take a part of them. The result is the
same, spike for spike, for any number of copies and processes and for every target, unless the
neurons draw random numbers of their own.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2 import (
    SpikeMonitor,
    ms,
    mV,
    prefs,
)
from numpy.typing import NDArray

from . import builds
from .assembly import UNIT, Job, Objects, build, first_decisions, stimulus_of
from .cache import cache_folder
from .delivery import HEADER, Plan, plan
from .dyadic import require_exact
from .recording import RecordedLayer, Recording, Spikes
from .spiking import SpikingNetwork

TARGETS = ("cpp_standalone", "cython", "numpy")
NEURONS_IN_CACHE = 100_000  # of all copies; more copies are slower (studies/benchmark.py)
IMAGES_PER_RUN = 1000  # images of one program start: bounds memory, and lets progress be shown


def simulate(
    network: SpikingNetwork,
    images: NDArray[Any],
    *,
    batch: int | None = None,
    pipelined: bool = False,
    period: int | None = None,
    jobs: int = 1,
    target: str = "cpp_standalone",
    record: bool | Sequence[str] = (),
    traces: Mapping[str, Sequence[int]] | None = None,
    change: Callable[[Objects], None] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Present images to a spiking network.

    Parameters
    ----------
    network : SpikingNetwork
        What to run.
    images : ndarray, shape (n, height, width, channels)
        Values that the input population codes.
    batch : int, optional
        Images side by side in one process; by default as many as fit the processor's cache.
    pipelined : bool
        A new image enters each copy in every step, instead of one at a time.
    period : int, optional
        Steps between the onsets of successive images, instead of 1 (pipelined) or the whole
        latency (one at a time).
    jobs : int
        Processes that share the images.
    target : str
        ``"cpp_standalone"``, ``"cython"`` or ``"numpy"``.
    record : bool or sequence of str
        Layers whose spike trains to keep; True for all.
    traces : mapping of str to sequence of int, optional
        Neurons of each layer (index as in :class:`~models.recording.Spikes`) whose membrane
        potential to keep, for the first copy; needs ``batch=1`` and one process run.
    change : callable, optional
        Called with the Brian2 :class:`Objects` before they run, to alter a delay, say.
    seed : int
        Seed of Brian2's random numbers, for neuron types that draw any. With such neurons the
        result holds for one target, batch and number of processes.
    progress : callable, optional
        Called with (images done, images in all).

    Returns
    -------
    Recording

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.
    RuntimeError
        If the compiler is missing or a program fails.
    """
    gc.collect()  # names of earlier Brian2 objects become free again, so that builds are reused
    started = time.perf_counter()
    images = _checked(network, images)
    if batch is None:
        batch = max(1, min(32, NEURONS_IN_CACHE // network.n_neurons))
    for name, value in (("batch", batch), ("jobs", jobs)):
        if not _is_whole(value, 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    if period is None:
        period = 1 if pipelined else network.n_steps - 1
    if not _is_whole(period, 1):
        raise ValueError(f"period must be a whole number of at least 1 step, got {period!r}")
    if not _is_whole(seed, 0):
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
    if isinstance(record, str):
        raise ValueError(f"record takes a list of layers, got the string {record!r}")
    batch = min(batch, len(images))
    n_runs = max(jobs, -(-len(images) // max(IMAGES_PER_RUN, batch)))
    depth = -(-len(images) // (batch * n_runs))
    require_exact(network.needed_bits)
    layout = plan(network, batch)
    job = Job(
        network=network,
        plan=layout,
        period=period,
        depth=depth,
        record=_recorded_layers(network, record),
        traced=_traced_neurons(network, layout, traces or {}),
        seed=seed,
        change=change,
    )
    starts = range(0, len(images), batch * depth)
    parts = [(start, images[start : start + batch * depth]) for start in starts]
    if traces and len(parts) * batch > 1:
        raise ValueError("traces need batch=1 and at most one program run; present fewer images")
    outcomes = []
    with _runner(job, target) as run:
        built = time.perf_counter()
        for outcome in _in_processes(run, parts, jobs):
            outcomes.append(outcome)
            if progress is not None:
                progress(sum(len(o["scores"]) for o in outcomes), len(images))
    outcomes.sort(key=lambda outcome: outcome["start"])
    return _collect(job, outcomes, built - started, time.perf_counter() - built)


def _is_whole(value: object, least: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return int(value) >= least


def _checked(network: SpikingNetwork, images: NDArray[Any]) -> NDArray[np.float64]:
    shape = network.populations[0].shape
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != shape or not len(images):
        raise ValueError(
            f"images must have shape (n, {shape[0]}, {shape[1]}, {shape[2]}) with n >= 1, got "
            f"{images.shape}"
        )
    images = images.astype(np.float64)
    if network.coding is not None:
        return network.coding.check(images)
    bad = ~np.isfinite(images).all(axis=(1, 2, 3))
    if bad.any():
        raise ValueError(f"image {int(np.argmax(bad))} holds NaN or infinite values")
    return images


def _recorded_layers(network: SpikingNetwork, record: bool | Sequence[str]) -> tuple[int, ...]:
    names = [population.name for population in network.populations]
    if record is True:
        return tuple(range(len(names)))
    if not record:
        return ()
    unknown = sorted(set(record) - set(names))
    if unknown:
        raise ValueError(f"record: no layer {unknown[0]!r}; there are {', '.join(names)}")
    return tuple(sorted({names.index(name) for name in record}))


def _traced_neurons(
    network: SpikingNetwork, layout: Plan, traces: Mapping[str, Sequence[int]]
) -> NDArray[np.int64]:
    names = [population.name for population in network.populations]
    found = []
    for name, chosen in traces.items():
        if name not in names:
            raise ValueError(f"traces: no layer {name!r}; there are {', '.join(names)}")
        layer = layout.layers[names.index(name)]
        neurons = np.asarray(chosen, dtype=np.int64)
        size = layer.positions * layer.units
        if ((neurons < 0) | (neurons >= size)).any():
            raise ValueError(f"traces: neurons of layer {name!r} are 0 to {size - 1}")
        found.append(layer.offset + neurons)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


@contextmanager
def _runner(job: Job, target: str) -> Iterator[Callable[[tuple[int, NDArray[Any]]], dict]]:
    """Function that presents one part of the images; compiles first where that is needed."""
    builds.require_compiler(target)
    with _brian2_settings(target):
        if target != "cpp_standalone":
            yield partial(_run_at_runtime, job, target)
            return
        with builds.build_folder(_description(job)) as folder:
            empty = np.zeros((0, *job.network.populations[0].shape))
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
                objects.network.run(objects.n_steps * job.network.dt_ms * ms, namespace={})
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
    values, n_images = stimulus_of(job, images)
    results = f"results_{start}_{os.getpid()}"  # not where the program of a killed run writes
    device.run(
        results_directory=results,
        with_output=False,
        run_args={
            objects.stimulus: values * UNIT,
            objects.copies.n_images: n_images,
            objects.copies.noise_seed: np.full(job.plan.n_copies, _noise_seed(job, start)),
            objects.neurons.clocked: first_decisions(job, n_images),
        },
    )
    loop_s = float((folder / results / "last_run_info.txt").read_text().split()[0])
    return _outcome(job, objects, start, len(images), loop_s)


def _run_at_runtime(job: Job, target: str, part: tuple[int, Any]) -> dict:
    """Run the same model inside Python."""
    start, images = part
    brian2.seed(_noise_seed(job, start))
    objects = build(job, images, target)
    started = time.perf_counter()
    objects.network.run(objects.n_steps * job.network.dt_ms * ms, namespace={})
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
    kind = {k: v for k, v in asdict(job.network.neurons).items() if k != "constants"}
    constants = {k: str(v) for k, v in job.network.neurons.constants.items()}
    layout = job.plan
    sizes = (
        layout.n_copies,
        layout.n_neurons,
        layout.n_rows,
        len(layout.layers),
        layout.axon_sources.size,
        job.depth,
        job.period,
        job.network.dt_ms,
        job.network.readout.n_steps,
        job.network.populations[0].n_units,
        bool(job.record),
        job.traced.tolist(),
        getattr(job.change, "__qualname__", None),
    )
    # The compiler is told to use what this processor has, so a shared cache must tell them apart.
    processor = Path("/proc/cpuinfo")
    features = processor.read_text().split("\n\n")[0] if processor.exists() else ""
    flags = [line for line in features.splitlines() if line.startswith(("flags", "Features"))]
    return repr((brian2.__version__, HEADER.read_text(), flags, kind, constants, sizes))


def _in_processes(run: Callable[[Any], dict], parts: Sequence[Any], jobs: int) -> Iterator[dict]:
    """Outcomes of all parts, in this process or in forked ones that inherit the build."""
    if jobs == 1 or len(parts) == 1:
        yield from map(run, parts)
        return
    global _forked
    _forked = run
    context = multiprocessing.get_context("fork")
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(min(jobs, len(parts)), context, _await_orders)
    try:
        for future in as_completed([pool.submit(_run_forked, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process was ended from outside, perhaps for want of memory; run with fewer "
            "--jobs or a smaller --batch"
        ) from error
    except BaseException:
        for worker in set(multiprocessing.active_children()).difference(others):
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        _forked = None


_forked: Callable[[Any], dict] | None = None  # inherited by forked workers; Brian2 cannot pickle


def _await_orders() -> None:
    """Let the parent end a worker, with the program it runs, and its death end it too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    def follow() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        while True:  # the first ends the program, the next the worker that awaits another
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    threading.Thread(target=follow, daemon=True).start()


def _run_forked(part: Any) -> dict:
    assert _forked is not None
    return _forked(part)


def _outcome(job: Job, objects: Objects, start: int, n_images: int, loop_s: float) -> dict:
    """Read one run's arrays and put them in the order of the images."""
    network, layout = job.network, job.plan
    n_copies, readout = layout.n_copies, network.readout
    score = np.asarray(objects.scores.score / UNIT, dtype=np.float64)
    score = score.reshape(readout.n_steps, n_copies, len(readout.bias), -1)
    index = np.arange(n_images)
    copy, turn = index % n_copies, index // n_copies
    at = turn[:, None] * job.period + readout.onset + np.arange(readout.n_steps)
    scores = score[np.arange(readout.n_steps), copy[:, None], :, at]
    counts = np.asarray(objects.neurons.n_spikes[:])
    outcome: dict[str, Any] = {
        "start": start,
        "loop_s": loop_s,
        "scores": scores,
        "counts": [
            counts[layer.offset : layer.offset + layer.positions * layer.units * n_copies]
            .reshape(layer.positions, n_copies, layer.units)
            .sum(axis=1)
            for layer in layout.layers
        ],
        "most": int(np.max(objects.neurons.most_in_image[:])),
        "reached": np.bincount(
            layout.axon_routes,
            weights=np.asarray(objects.axons.reached[:]),
            minlength=len(layout.routes),
        ).astype(np.int64),
        "spikes": None,
        "traces": None,
    }
    if objects.spikes is not None:
        outcome["spikes"] = _spike_trains(job, objects.spikes, start)
    if objects.traces is not None:
        outcome["traces"] = np.asarray(objects.traces.v / mV)
    return outcome


def _spike_trains(job: Job, monitor: SpikeMonitor, start: int) -> Spikes:
    """Spikes as image, layer, neuron in the layer, and step since the image's onset."""
    n_copies = job.plan.n_copies
    neuron = np.asarray(monitor.i[:], dtype=np.int64)
    step = np.rint(np.asarray(monitor.t / ms) / job.network.dt_ms).astype(np.int64)
    table = np.array(job.plan.layers, dtype=np.int64)
    layer = np.searchsorted(table[:, 0], neuron, side="right") - 1
    offset, units, _, onset = table[layer].T
    position, rest = np.divmod(neuron - offset, units * n_copies)
    copy, unit = np.divmod(rest, units)
    turn = (step - onset - position) // job.period
    spikes = Spikes(
        image=start + turn * n_copies + copy,
        layer=layer,
        neuron=position * units + unit,
        step=step - turn * job.period,
    )
    return spikes.where(np.isin(layer, job.record))


def _collect(job: Job, outcomes: list[dict], build_s: float, run_s: float) -> Recording:
    network = job.network
    scores = np.concatenate([outcome["scores"] for outcome in outcomes])
    reached = sum(outcome["reached"] for outcome in outcomes)
    lateral = [p.name for p in network.populations if p.inhibition.any()]
    names = [p.name for p in network.projections] + [f"{name} inhibition" for name in lateral]
    events = dict.fromkeys(names, 0)
    for name, count in zip(names, reached, strict=True):
        events[name] += int(count)  # two paths between the same layers count together
    traces = {}
    if outcomes[0]["traces"] is not None:
        table = np.array(job.plan.layers)
        layer = np.searchsorted(table[:, 0], job.traced, side="right") - 1
        for index in np.unique(layer):
            traces[network.populations[index].name] = outcomes[0]["traces"][layer == index]
    return Recording(
        scheme=network.scheme,
        network=network.name,
        layers=tuple(
            RecordedLayer(name=p.name, shape=p.shape, n_positions=p.n_positions, onset=p.onset)
            for p in network.populations
        ),
        n_images=len(scores),
        dt_ms=network.dt_ms,
        period=job.period,
        scores=np.cumsum(scores, axis=1) + network.readout.bias,
        readout_onset=network.readout.onset,
        spike_counts=tuple(
            sum(outcome["counts"][i] for outcome in outcomes).astype(np.int64)
            for i in range(len(network.populations))
        ),
        most_spikes=max(outcome["most"] for outcome in outcomes),
        synaptic_events=events,
        spikes=Spikes.of([o["spikes"] for o in outcomes]) if job.record else None,
        traces=traces,
        build_s=build_s,
        run_s=run_s,
        loop_s=sum(outcome["loop_s"] for outcome in outcomes),
    )
