"""A contender: one of the peers, measured in a process of its own, from pixels to scores."""

from __future__ import annotations

import time
from importlib import import_module

import numpy as np
import torch
from ann2brian.models.networks.weight_files import load_network
from ann2brian.studies.benchmarks.peers.module import to_module, to_tensor
from ann2brian.studies.benchmarks.worker import Facts, Measure, peak_memory_mb, serve


def prepare(task: Facts) -> tuple[Facts, Measure]:
    """Convert the network; a measurement presents all images, batch by batch."""
    torch.set_num_threads(task["threads"])
    torch.set_grad_enabled(False)
    network = load_network(task["network"]).fold_batch_norm()
    stored = np.load(task["images"])
    images, labels, batch = stored["images"], stored["labels"], task["batch"]
    peer = import_module(f"ann2brian.studies.benchmarks.peers.{task['program']}")
    calibration = to_tensor(stored["calibration"], network.input)
    spiking = peer.spiking(to_module(network), calibration, task["options"]["n_steps"])

    def scores() -> torch.Tensor:
        return torch.cat(
            [
                spiking.present(to_tensor(images[start : start + batch], network.input))
                for start in range(0, len(images), batch)
            ]
        )

    with spiking.counted() as counts:
        right = scores().argmax(1).numpy() == labels
    facts = {
        "n_images": len(images),
        "spikes_per_image": sum(counts) / len(images),
        "accuracy": float(right.mean()),
        "ann_accuracy": float(stored["ann_accuracy"]),
    }

    def measure() -> Facts:
        started = time.perf_counter()
        scores()
        seconds = time.perf_counter() - started
        return {"all_s": seconds, "wall_s": seconds, "memory_mb": peak_memory_mb()}

    return facts, measure


if __name__ == "__main__":
    serve(prepare)
