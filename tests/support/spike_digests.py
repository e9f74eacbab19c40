"""Digests of spikes and scores, which every release of Brian2 has to give again.

They stand in ``tests/data/spike_digests.json``. After a change that is meant to change spikes,
and never to please another release of Brian2, write them again with

    python -m tests.support.spike_digests
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from ann2brian.models.engine.simulate import TARGETS, simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks.weight_files import load_network, trained
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.models.schemes.amos import conversion as amos
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.models.schemes.noise import conversion as noise
from ann2brian.models.schemes.noise.options import NoiseOptions

STORED = Path(__file__).resolve().parents[1] / "data" / "spike_digests.json"
IMAGES = 6
CALIBRATION = 200

# Scheme, network and options; the same spikes on every target.
CASES = {
    "amos, ReLU": (amos, "digits-relu", AmosOptions(neurons_per_gate=6)),
    "amos, SiLU": (amos, "digits-silu", AmosOptions(neurons_per_gate=4)),
    "burst": (burst, "digits-burst", BurstOptions(n_steps=6)),
    "burst, alternating": (
        burst,
        "digits-qcfs",
        BurstOptions(n_steps=4, timing="alternating", pooling="gated"),
    ),
    "noise, residual": (noise, "digits-noise", NoiseOptions(n_steps=4, leak=0.5)),
    "albsnn": (albsnn, "digits-albsnn", AlbsnnOptions(n_steps=2)),
}
# Neurons that draw random numbers of their own: the same spikes on one target only.
RANDOM = {
    "noise, memoryless": (noise, "digits-noise", NoiseOptions(n_steps=3, rule="memoryless")),
    "noise, diffusive": (noise, "digits-noise", NoiseOptions(n_steps=3, rule="diffusive")),
}


def digest(case, target):
    """SHA-256 of a case's spikes, sorted, and of its scores, as little-endian 8-byte numbers."""
    scheme, name, options = (CASES | RANDOM)[case]
    network = load_network(trained(name))
    images = datasets.load("digits", "test")[0][:IMAGES]
    calibration = datasets.load("digits", "train")[0][:CALIBRATION]
    spiking = scheme.convert(network, options, calibration).spiking
    run = simulate(spiking, images, target=target, record=True, batch=2, pipelined=True, seed=5)
    assert len(run.spikes) > 100
    found = hashlib.sha256()
    for column in ("image", "layer", "neuron", "step"):
        found.update(np.asarray(getattr(run.spikes, column), dtype="<i8").tobytes())
    found.update(np.asarray(run.scores, dtype="<f8").tobytes())
    return found.hexdigest()


def key(case, target):
    """Name under which a digest is stored."""
    return f"{case}, {target}" if case in RANDOM else case


def main():
    """Write all digests."""
    found = {case: digest(case, "numpy") for case in CASES}
    found |= {key(case, target): digest(case, target) for case in RANDOM for target in TARGETS}
    STORED.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
