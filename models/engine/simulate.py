"""Run a spiking network in Brian2 and return a recording.

One NeuronGroup holds all neurons of a type, one Synapses object their axons, whatever the depth,
so that the time to compile does not grow with it. Images are presented side by side (copies that
share every kernel) and one after another; several processes can each take a part of them. The
result is the same, spike for spike, for any number of copies and processes and for every target,
unless the neurons draw random numbers of their own.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
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
from brian2 import mV, prefs, second, volt
from numpy.typing import NDArray

from ..dyadic import require_exact
from ..places import cache_folder
from ..spiking.network import Injection, SpikingNetwork
from ..spiking.recording import RecordedLayer, Recording, Spikes
from . import builds
from .assembly import Job, Objects, build, images_of_copies, injected_values, stimulus_values
from .delivery import HEADER, Layer, plan

TARGETS = ("cpp_standalone", "cython", "numpy")
NEURONS_IN_CACHE = 20_000  # of all copies; more copies are slower (studies/benchmark.py)
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
    inject: Sequence[Injection] = (),
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
        A new image enters each copy as soon as its first layer is free, instead of one at a time.
    period : int, optional
        Phases (one step each, where neurons decide at once) between the onsets of successive
        images, instead of the fewest possible (pipelined) or the whole latency (one at a time).
    jobs : int
        Processes that share the images.
    target : str
        ``"cpp_standalone"``, ``"cython"`` or ``"numpy"``.
    record : bool or sequence of str
        Layers whose spike trains to keep, and their potentials at the end of each image unless
        another image is in the network at the same time; True for all.
    traces : mapping of str to sequence of int, optional
        Neurons of each layer (index as in :class:`~models.spiking.recording.Spikes`) whose membrane
        potential to keep, for the first copy; needs ``batch=1`` and one process run.
    inject : sequence of Injection
        Values that neurons get in every phase beside the images: currents, or noise.
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
        period = network.n_phases if pipelined else network.latency_phases
    if not _is_whole(period, network.n_phases):
        raise ValueError(
            f"period must be a whole number of at least {network.n_phases} phases, got {period!r}"
        )
    if not _is_whole(seed, 0):
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
    if isinstance(record, str):
        raise ValueError(f"record takes a list of layers, got the string {record!r}")
    batch = min(batch, len(images))
    n_runs = max(jobs, -(-len(images) // max(IMAGES_PER_RUN, batch)))
    depth = -(-len(images) // (batch * n_runs))
    require_exact(network.needed_bits)
    layout = plan(network, batch, period)
    job = Job(
        network=network,
        plan=layout,
        period=period,
        depth=depth,
        record=_recorded_layers(network, record),
        traced=_traced_neurons(network, traces or {}),
        injected=_injections(network, inject, len(images)),
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
    shape = network.image_shape
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


def _injections(
    network: SpikingNetwork, injections: Sequence[Injection], n_images: int
) -> tuple[Injection, ...]:
    names = [population.name for population in network.populations]
    places = [(injection.target, injection.variable) for injection in injections]
    if len(set(places)) < len(places):
        raise ValueError("inject: two injections into one variable of one layer")
    for injection in injections:
        what = f"injection into {injection.target!r}"
        if injection.target not in names:
            raise ValueError(f"{what}: no such layer; there are {', '.join(names)}")
        kind = network.kind(network.population(injection.target).neurons)
        variables = brian2.Equations(kind.equations).parameter_names
        if injection.variable not in variables:
            raise ValueError(
                f"{what}: neurons of type {kind.name!r} have no variable {injection.variable!r} to "
                f"set; there are {', '.join(sorted(variables))}"
            )
        if re.search(rf"^\s*{injection.variable}\s*=", kind.every_phase, re.MULTILINE):
            raise ValueError(
                f"{what}: neurons of type {kind.name!r} set {injection.variable!r} themselves in "
                "every phase; take a type that leaves it alone"
            )
        wanted = (n_images, network.n_phases, network.population(injection.target).n_units)
        if np.shape(injection.values) != wanted:
            raise ValueError(
                f"{what}: values of shape {np.shape(injection.values)}, {wanted} are needed "
                "(images, phases, units)"
            )
        if not np.isfinite(np.asarray(injection.values)).all():
            raise ValueError(f"{what}: values hold NaN or are infinite")
    return tuple(injections)


def _traced_neurons(
    network: SpikingNetwork, traces: Mapping[str, Sequence[int]]
) -> dict[str, NDArray[np.int64]]:
    """Neurons to trace, by type, in the order of the layers; for one copy."""
    names = [population.name for population in network.populations]
    unknown = [name for name in traces if name not in names]
    if unknown:
        raise ValueError(f"traces: no layer {unknown[0]!r}; there are {', '.join(names)}")
    offsets = dict.fromkeys((kind.name for kind in network.neurons), 0)
    found: dict[str, list[NDArray[np.int64]]] = {kind: [] for kind in offsets}
    for population in network.populations:
        neurons = np.asarray(traces.get(population.name, ()), dtype=np.int64)
        size = population.n_neurons
        if ((neurons < 0) | (neurons >= size)).any():
            raise ValueError(f"traces: neurons of layer {population.name!r} are 0 to {size - 1}")
        found[population.neurons].append(offsets[population.neurons] + neurons)
        offsets[population.neurons] += size
    return {kind: np.concatenate(parts) for kind, parts in found.items() if parts}


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
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

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
    # Until here a worker may just end; from here on it has to take its program with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return _forked(part)


def _outcome(job: Job, objects: Objects, start: int, n_images: int, loop_s: float) -> dict:
    """Read one run's arrays and put them in the order of the images."""
    network, layout = job.network, job.plan
    n_copies, readout = layout.n_copies, network.readout
    unit = network.unit_volt * volt
    score = np.asarray(objects.scores.score / unit, dtype=np.float64)
    score = score.reshape(readout.n_rows, n_copies, readout.n_classes, -1)
    index = np.arange(n_images)
    copy, turn = index % n_copies, index // n_copies
    steps = np.arange(readout.n_steps)
    # What arrived in a phase is read at the start of the next.
    at = turn[:, None] * job.period + readout.onset + readout.every * steps + 1
    scores = score[steps % readout.n_rows, copy[:, None], :, at]
    spikes = {name: np.asarray(group.n_spikes[:]) for name, group in objects.neurons.items()}
    tally = (len(layout.routes), layout.sizes.steps)
    outcome: dict[str, Any] = {
        "start": start,
        "loop_s": loop_s,
        "scores": scores,
        "counts": [
            spikes[population.neurons][_block(layer, n_copies)]
            .reshape(layer.positions, n_copies, layer.units)
            .sum(axis=1)
            for population, layer in zip(network.populations, layout.layers, strict=True)
        ],
        "most": max(int(np.max(group.most_in_image[:])) for group in objects.neurons.values()),
        "arrivals": np.asarray(objects.tally.n_arrived[:]).reshape(tally).astype(np.int64),
        "events": np.asarray(objects.tally.n_reached[:]).reshape(tally).astype(np.int64),
        "spikes": _spike_trains(job, objects, start) if objects.spikes else None,
        "traces": {name: np.asarray(trace.v / mV) for name, trace in objects.traces.items()},
        "ends": _ends(job, objects, copy, turn),
    }
    return outcome


def _block(layer: Layer, n_copies: int) -> slice:
    """Neurons of a layer in their group."""
    return slice(layer.offset, layer.offset + layer.positions * layer.units * n_copies)


def _ends(
    job: Job, objects: Objects, copy: NDArray[np.int64], turn: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Potential in mV of recorded layers at each image's end, shape (n_images, n_neurons)."""
    found = {}
    done = dict.fromkeys(objects.ends, 0)
    for index in job.record if job.keeps_ends else ():
        population, layer = job.network.populations[index], job.plan.layers[index]
        kind, size = population.neurons, layer.positions * layer.units * job.plan.n_copies
        v = np.asarray(objects.ends[kind].v[done[kind] : done[kind] + size] / mV)
        done[kind] += size
        v = v.reshape(layer.positions, job.plan.n_copies, layer.units, -1)
        found[population.name] = np.moveaxis(v, 3, 0)[turn + 1, :, copy].reshape(len(turn), -1)
    return found


def _spike_trains(job: Job, objects: Objects, start: int) -> Spikes:
    """Spikes as image, layer, neuron in the layer, and step since the image's onset."""
    n_copies, network = job.plan.n_copies, job.network
    parts = []
    for group, kind in enumerate(network.neurons):
        monitor = objects.spikes[kind.name]
        neuron = np.asarray(monitor.i[:], dtype=np.int64)
        step = np.rint(np.asarray(monitor.t / second) / network.dt_s).astype(np.int64)
        mine = np.array([i for i, layer in enumerate(job.plan.layers) if layer.group == group])
        table = np.array([job.plan.layers[i] for i in mine], dtype=np.int64)
        row = np.searchsorted(table[:, 2], neuron, side="right") - 1
        _, _, offset, units, _, onset = table[row].T
        position, rest = np.divmod(neuron - offset, units * n_copies)
        copy, unit = np.divmod(rest, units)
        turn = (step - (onset + position) * network.phase_steps) // job.period_steps
        spikes = Spikes(
            image=start + turn * n_copies + copy,
            layer=mine[row],
            neuron=position * units + unit,
            step=step - turn * job.period_steps,
        )
        parts.append(spikes.where(np.isin(spikes.layer, job.record)))
    return Spikes.of(parts)


def _collect(job: Job, outcomes: list[dict], build_s: float, run_s: float) -> Recording:
    network = job.network
    scores = np.concatenate([outcome["scores"] for outcome in outcomes])
    arrivals = sum(outcome["arrivals"] for outcome in outcomes)
    events = sum(outcome["events"] for outcome in outcomes)
    lateral = [p.name for p in network.populations if p.inhibition.any()]
    names = [p.name for p in network.projections] + [f"{name} inhibition" for name in lateral]
    by_step: dict[str, NDArray[np.int64]] = {}
    for name, count in zip(names, events, strict=True):
        by_step[name] = by_step.get(name, 0) + count  # two paths between layers count together
    spikes_by_step = {
        p.source: count for p, count in zip(network.projections, arrivals, strict=False)
    }
    traces, done = {}, dict.fromkeys(job.traced, 0)
    for population in network.populations:
        kind = population.neurons
        rows = outcomes[0]["traces"].get(kind)
        if rows is None:
            continue
        size = population.n_neurons
        chosen = (job.traced[kind] >= done[kind]) & (job.traced[kind] < done[kind] + size)
        done[kind] += size
        if chosen.any():
            traces[population.name] = rows[chosen]
    return Recording(
        scheme=network.scheme,
        network=network.name,
        layers=tuple(
            RecordedLayer(name=p.name, shape=p.shape, n_positions=p.n_positions, onset=p.onset)
            for p in network.populations
        ),
        n_images=len(scores),
        dt_ms=network.dt_ms,
        phase_steps=network.phase_steps,
        period=job.period,
        scores=network.readout.logits(scores),
        readout_onset=network.readout.onset,
        readout_every=network.readout.every,
        spike_counts=tuple(
            sum(outcome["counts"][i] for outcome in outcomes).astype(np.int64)
            for i in range(len(network.populations))
        ),
        most_spikes=max(outcome["most"] for outcome in outcomes),
        events_by_step=by_step,
        spikes_by_step=spikes_by_step,
        spikes=Spikes.of([o["spikes"] for o in outcomes]) if job.record else None,
        traces=traces,
        end_potentials={
            name: np.concatenate([outcome["ends"][name] for outcome in outcomes])
            for name in outcomes[0]["ends"]
        },
        build_s=build_s,
        run_s=run_s,
        loop_s=sum(outcome["loop_s"] for outcome in outcomes),
    )
