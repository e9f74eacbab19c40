"""Digests of spikes and scores, which every release of Brian2 has to give again.

They stand in ``tests/data/spike_digests.json``. After a change that is meant to change spikes,
and never to please another release of Brian2, write them again with

    python -m tests.support.spike_digests
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ann2brian import (
    AlbsnnOptions,
    AmosOptions,
    BurstOptions,
    NoiseOptions,
    convert,
    load_images,
    load_network,
    simulate,
    trained,
)

STORED = Path(__file__).resolve().parents[1] / "data" / "spike_digests.json"
IMAGES = 6
CALIBRATION = 200

# Network and options; the same spikes on every target.
CASES = {
    "amos, ReLU": ("digits-relu", AmosOptions(neurons_per_gate=6)),
    "amos, SiLU": ("digits-silu", AmosOptions(neurons_per_gate=4)),
    "burst": ("digits-burst", BurstOptions(n_steps=6)),
    "burst, alternating": (
        "digits-qcfs",
        BurstOptions(n_steps=4, timing="alternating", pooling="gated"),
    ),
    "noise, residual": ("digits-noise", NoiseOptions(n_steps=4, leak=0.5)),
    "albsnn": ("digits-albsnn", AlbsnnOptions(n_steps=2)),
    "noise, memoryless": ("digits-noise", NoiseOptions(n_steps=3, rule="memoryless")),
    "noise, diffusive": ("digits-noise", NoiseOptions(n_steps=3, rule="diffusive")),
}


def digest(case, target):
    """SHA-256 of a case's spikes, sorted, and of its scores, as little-endian 8-byte numbers."""
    name, options = CASES[case]
    images = load_images("digits", "test")[0][:IMAGES]
    calibration = load_images("digits", "train")[0][:CALIBRATION]
    spiking = convert(load_network(trained(name)), options, calibration)
    run = simulate(spiking, images, target=target, record=True, batch=2, pipelined=True, seed=5)
    assert len(run.spikes) > 100
    found = hashlib.sha256()
    for column in ("image", "layer", "neuron", "step"):
        found.update(np.asarray(getattr(run.spikes, column), dtype="<i8").tobytes())
    found.update(np.asarray(run.scores, dtype="<f8").tobytes())
    return found.hexdigest()


def main():
    """Write all digests."""
    found = {case: digest(case, "numpy") for case in CASES}
    STORED.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
