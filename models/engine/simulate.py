"""Run a spiking network in Brian2 and return a recording.

One NeuronGroup holds all neurons of a type, one Synapses object their axons, whatever the depth,
so that the time to compile does not grow with it. Images are presented side by side (copies that
share every kernel) and one after another; several processes can each take a part of them. The
result is the same, spike for spike, for any number of copies and processes and for every target,
unless the neurons draw random numbers of their own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ..dyadic import require_exact
from ..spiking.inputs import Injection
from ..spiking.network import SpikingNetwork
from ..spiking.recording import Recording
from .arguments import _checked, _injections, _is_whole, _recorded_layers, _traced_neurons
from .assembly import Job, Objects
from .layout import plan
from .outcome import _collect
from .programs import _runner
from .workers import _in_processes

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
