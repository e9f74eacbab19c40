"""Run a spiking network in Brian2 and return a recording.

One NeuronGroup holds all neurons of a type, one Synapses object their axons, whatever the depth,
so that the time to compile does not grow with it. Images are presented side by side (copies that
share every kernel) and one after another; several processes can each take a part of them. The
result is the same, spike for spike, for any number of copies and processes and for every target,
unless the neurons draw numbers by Brian2's own ``randn()``.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ..dyadic import require_exact
from ..spiking.inputs import Injection
from ..spiking.network import Converted, SpikingNetwork, spiking_network
from ..spiking.recording import Recording
from ..spiking.sequences import in_steps
from .arguments import (
    checked_injections,
    recorded_layers,
    require_whole_number,
    traced_neurons,
)
from .equation_checks import require_sound_neurons
from .job import Job, Part
from .layout import lay_out
from .objects import Objects
from .outcome import Outcome, recording_of
from .programs import TARGETS, runner
from .settings import own_brian2
from .workers import in_processes, require_jobs

NEURONS_IN_CACHE = 20_000  # of all copies; more copies are slower (studies/benchmark.py)
MOST_COPIES = 32
IMAGES_PER_RUN = 1000  # images of one program start: bounds memory, and lets progress be shown


def simulate(
    network: SpikingNetwork | Converted,
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
    first_image: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Present images to a spiking network.

    Parameters
    ----------
    network : SpikingNetwork or a conversion
        What to run; of a conversion, its ``spiking``.
    images : ndarray, shape (n, height, width, channels) or (n, n_steps, height, width, channels)
        Values that the input population codes; with an axis of steps, those of each algorithmic
        step: a spike raster, say.
    batch : int, optional
        Images side by side in one process; by default as many as fit the processor's cache, and
        1 if there are `traces`.
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
        potential to keep, in every step of the run: one image at a time, in one program run of
        at most 1000 images.
    inject : sequence of Injection
        Values that neurons get in every phase beside the images: currents, or noise.
    change : callable, optional
        Called with the Brian2 :class:`~models.engine.objects.Objects` before they run, to alter a
        delay, say: ``lambda objects: objects.set_delay("act1->act2", 3 * ms)``.
    seed : int
        Seed of random numbers, for neuron types that draw any. Counted ones
        (:mod:`models.conversion.draws`) are the same for any target, batch and number of
        processes; those of Brian2's ``randn()`` for one of each.
    first_image : int
        Number of the first image in the data set that `images` are a part of, which tells the
        neurons' random numbers for it from those for others.
    progress : callable, optional
        Called with (images done, images in all).

    Returns
    -------
    Recording

    Raises
    ------
    ValueError
        If an argument is out of range, or a type of neurons has equations that Brian2 cannot run;
        the message names argument, or type and line.
    TypeError
        If `network` is neither a spiking network nor a conversion, or `record`, `inject` or
        `change` is of a kind that nothing can be done with.
    RuntimeError
        If the compiler is missing or a program fails.
    """
    started = time.perf_counter()
    network = spiking_network(network)
    images = network.check_images(images)
    most_images = IMAGES_PER_RUN
    if images.ndim == 5:
        most_images = max(1, IMAGES_PER_RUN // images.shape[1])
        network, images, inject = in_steps(network, images, inject)
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    if period is None:
        latency = max(network.latency_phases, network.n_phases)
        period = network.n_phases if pipelined else latency
    require_whole_number("period", period, network.n_phases, "phases")
    require_whole_number("seed", seed, 0)
    require_whole_number("first_image", first_image, 0)
    require_whole_number("jobs", jobs, 1)
    require_jobs(jobs)
    traced = traced_neurons(network, traces or {})
    if batch is None:
        fitting = min(MOST_COPIES, NEURONS_IN_CACHE // network.n_neurons)
        batch = 1 if traces else max(1, fitting)
    require_whole_number("batch", batch, 1)
    batch = min(batch, len(images))
    n_runs = max(jobs, -(-len(images) // max(most_images, batch)))
    depth = -(-len(images) // (batch * n_runs))
    parts = _parts(images, batch * depth, first_image)
    if traces and (batch > 1 or len(parts) > 1):
        raise ValueError(
            f"traces show one image at a time in one program run: batch=1, jobs=1 and at most "
            f"{most_images} images, got batch={batch}, jobs={jobs} and {len(images)} images"
        )
    if change is not None and not callable(change):
        raise TypeError(f"change takes a function of the Brian2 objects, got {change!r}")
    recorded = recorded_layers(network, record)
    injected = checked_injections(network, inject, len(images))
    require_exact(network.needed_bits)
    outcomes: list[Outcome] = []
    with own_brian2("numpy"):
        require_sound_neurons(network)
    gc.collect()  # names of earlier objects become free again, so that builds are reused
    with own_brian2(target):
        job = Job(
            network=network,
            layout=lay_out(network, batch, period),
            period=period,
            depth=depth,
            record=recorded,
            traced=traced,
            injected=injected,
            seed=seed,
            change=change,
        )
        with runner(job, target) as run:
            built = time.perf_counter()
            for outcome in in_processes(run, parts, jobs):
                outcomes.append(outcome)
                if progress is not None:
                    progress(sum(o.n_images for o in outcomes), len(images))
    return recording_of(job, outcomes, built - started, time.perf_counter() - built)


def _parts(images: NDArray[Any], size: int, first_image: int) -> list[Part]:
    """Images of each program start."""
    return [
        Part(first_image + place, images[place : place + size], place)
        for place in range(0, len(images), size)
    ]
