"""Result folders that a test writes by hand, without a simulation."""

import json

import numpy as np
import pandas as pd
from ann2brian.studies.frame.spike_files import save_spikes
from matplotlib.figure import Figure

from tests.support.recordings import layer, recording_of

AWKWARD = "<!--<script <b>a & 'b'</b> \"c\" </script><script>fail()</script> @time_ms{0} $y %"
LAYERS = (layer("input", (2, 2, 1)), layer("act1", (2, 3, 4)))
SPIKES = ((0, 0, 1, 0), (0, 0, 3, 2), (0, 1, 23, 5), (1, 1, 0, 4), (1, 1, 7, 9))
N_IMAGES = 60


def first_figure(result):
    """What a reader <sees> first; None without conditions."""
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot(result.metrics["snn_accuracy"])
    return figure


def second_figure(result):
    """Another."""
    return first_figure(result)


def metrics_of(conditions, scheme="burst", n_images=N_IMAGES):
    """One row for each condition, with numbers of many digits and cells that are empty."""
    n = len(conditions)
    return pd.DataFrame(
        {
            "scheme": scheme,
            "dataset": "digits",
            "network": "net",
            "condition": conditions,
            "gamma": np.arange(1, n + 1),
            "n_images": n_images,
            "ann_accuracy": 59 / 60,
            "snn_accuracy": [(58 - k % 50) / 60 for k in range(n)],
            "agreement": 1.0,
            "latency_ms": 12.0,
            "spikes_per_image": 1234.5678901234,
            "synaptic_events_per_image": 1e6 / 7,
            "n_synapses": 981360000,
            "bits": np.nan,
            "pipelined": False,
            "run_s": 1.5e-7 / 3,
        }
    )


def time_of(metrics, n_steps=5):
    """Accuracy after each of some steps, for each row of the metrics."""
    rows = [
        {
            "network": row.network,
            "condition": row.condition,
            "step": step,
            "time_ms": 2.5 * step,
            "accuracy": round(row.snn_accuracy * 60 * step / n_steps) / 60,
            "agreement": step / n_steps,
        }
        for row in metrics.itertuples()
        for step in range(1, n_steps + 1)
    ]
    return pd.DataFrame(rows)


def write_result(folder, conditions=("plain", "other"), *, spikes=SPIKES, classes=(), **more):
    """A complete result folder; `more` for `metrics_of`."""
    folder.mkdir(parents=True)
    metrics = metrics_of(list(conditions), **more)
    metrics.to_csv(folder / "metrics.csv", index=False)
    time_of(metrics).to_csv(folder / "time.csv", index=False)
    pd.DataFrame({"layer": "act1", "interval": np.arange(2000)}).to_csv(
        folder / "intervals.csv", index=False
    )
    (folder / "config.json").write_text(json.dumps({"network": conditions[0], "list": [1, 2]}))
    origin = {"commit": "abc", "command": ["run.py", "--out", conditions[0]], "seed": 1}
    (folder / "provenance.json").write_text(json.dumps(origin))
    if spikes is not None:
        recording = recording_of(spikes, LAYERS, n_images=2, n_steps=12, dt_ms=0.5)
        save_spikes(folder / "spikes.npz", recording, [0, 2], classes)
    return folder
