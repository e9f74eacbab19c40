"""Data folders laid out like CIFAR-10, with few random images."""

from dataclasses import replace

import numpy as np
from ann2brian.models.networks import datasets

FOLDER = "cifar-10-batches-bin"
FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


def write(data, n_images, seed=5):
    """Write all files; returns images (channels last) and labels of each by its name."""
    rng = np.random.default_rng(seed)
    (data / FOLDER).mkdir(parents=True)
    found = {}
    for file in FILES:
        labels = rng.permutation(np.arange(n_images) % 10)
        red, green, blue = rng.integers(0, 256, (3, n_images, 32, 32), dtype=np.uint8)
        records = (
            bytes([label]) + r.tobytes() + g.tobytes() + b.tobytes()
            for label, r, g, b in zip(labels, red, green, blue, strict=True)
        )
        (data / FOLDER / file).write_bytes(b"".join(records))
        found[file] = np.stack([red, green, blue], axis=-1), labels
    return found


def shrink(monkeypatch, n_images):
    """Let every file of CIFAR-10 have so many images."""
    known = datasets.DATASETS["cifar-10"]
    files = {split: dict.fromkeys(own, n_images) for split, own in known.source.files.items()}
    changed = replace(known, source=replace(known.source, files=files))
    monkeypatch.setitem(datasets.DATASETS, "cifar-10", changed)
