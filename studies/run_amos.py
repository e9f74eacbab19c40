"""AMOS: a trained classifier as Brian2 neurons that spike at most once per image.

Converts a trained network with K neurons per gate, runs it in Brian2 on test images, compares it
with the network it came from and writes a result folder with tables, spike trains and figures.

    python studies/run_amos.py                        # the digits inside scikit-learn
    python studies/run_amos.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_amos.py --neurons-per-gate 2 3 4 5 6 8 10
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import gate_codes as spike_timing
from ann2brian.analysis.statistics.accuracy import accuracy_over_time
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.layers import INPUT, Activation
from ann2brian.models.networks.network import Network, accuracy
from ann2brian.models.schemes.amos import conversion as amos
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame import network_under_test as subject
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame.spike_files import save_spikes
from ann2brian.studies.make_figures import make_figures

SHIPPED = {"digits": "digits", "fashion-mnist": "fashion"}  # prefix of a data set's networks
RECORD_ALL = 20_000_000  # neurons times images up to which the one run keeps all spike trains


def parser() -> argparse.ArgumentParser:
    """Flags of the study."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subject.add_flags(flags, SHIPPED)
    flags.add_argument(
        "--gate", choices=("relu", "silu"), help="activation of the shipped network (default: relu)"
    )
    scheme = flags.add_argument_group("conversion")
    scheme.add_argument(
        "--neurons-per-gate",
        type=common.positive,
        nargs="+",
        default=[8],
        metavar="K",
        help="neurons that stand for one gate; several values make a sweep (default: 8)",
    )
    scheme.add_argument(
        "--range-percentile",
        type=float,
        default=99.9,
        help="percentile of a layer's activation that its largest code stands for (default: 99.9)",
    )
    scheme.add_argument(
        "--half-step", action="store_true", help="ReLU codes round to the nearest instead of down"
    )
    scheme.add_argument(
        "--inhibition",
        choices=("amos", "fs"),
        default="amos",
        help="fitted gates with free h_ij, or with the restricted h_j (default: amos)",
    )
    scheme.add_argument(
        "--refit",
        action="store_true",
        help="fit gates other than ReLU on each layer's own range; seconds for each layer",
    )
    scheme.add_argument(
        "--slot-ms", type=float, default=1.0, help="biological length of a slot (default: 1 ms)"
    )
    common.add_run_flags(flags, use="kept when not all can be")
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    arguments = parser().parse_args(argv)
    with common.refusals():
        return _study(arguments)


def _study(arguments: argparse.Namespace) -> Path:
    case = subject.load(arguments, f"{SHIPPED[arguments.dataset]}-{arguments.gate or 'relu'}")
    network, images, labels = case.network, case.images, case.labels
    gate = _gate(network, arguments.gate)
    neurons = sorted(set(arguments.neurons_per_gate))
    config = {
        "scheme": "amos",
        "network": network.name,
        "gate": gate,
        "weights_sha256": case.weights_sha256,
        **{k: v for k, v in vars(arguments).items() if k not in ("out", "data", "network", "gate")},
        "images": len(images),
        "is_whole_test_split": case.is_whole,
        "neurons_per_gate": neurons,
    }
    conversions = {k: _convert(network, case.calibration, k, arguments) for k in neurons}
    counts = "-".join(map(str, neurons))
    label = f"{arguments.dataset}-{network.name}-K{counts}"
    print(f"{network.name}: {network.n_parameters} parameters, {len(images)} test images")
    logits = case.logits

    def compute(working: Path, n_neurons: int) -> None:
        conversion = conversions[n_neurons]
        _condition(working, network, conversion, n_neurons, images, labels, logits, arguments)

    with common.ResultFolder(arguments.out / "amos", label, config) as folder:
        done = [
            folder.condition(f"K{k}", lambda working, k=k: compute(working, k)) for k in neurons
        ]
        result = folder.finish(done, common.provenance(arguments.seed, arguments.target))
    figures = make_figures(result)
    _print_metrics(pd.read_csv(result / "metrics.csv"))
    print(f"results: {result}\nfigures: {figures[0].parent if figures else 'none'}")
    return result


def _gate(network: Network, wanted: str | None) -> str:
    found = sorted({a.function for a in network.layers if isinstance(a, Activation)})
    if wanted is not None and found != [wanted]:
        raise ValueError(f"--gate {wanted}: {network.name} has {' and '.join(found)} activations")
    return "+".join(found)


def _convert(
    network: Network, calibration: np.ndarray, n_neurons: int, arguments: argparse.Namespace
) -> amos.AmosConversion:
    """Convert with `n_neurons` per gate."""
    options = AmosOptions(
        neurons_per_gate=n_neurons,
        range_percentile=arguments.range_percentile,
        half_step=arguments.half_step,
        inhibition=arguments.inhibition,
        refit=arguments.refit,
        weight_bits=arguments.weight_bits,
        slot_ms=arguments.slot_ms,
    )
    return amos.convert(network, options, calibration)


def _condition(
    working: Path,
    network: Network,
    conversion: amos.AmosConversion,
    n_neurons: int,
    images: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    arguments: argparse.Namespace,
) -> None:
    """Run one conversion and write the tables of this condition."""
    spiking = conversion.spiking
    is_small = spiking.n_neurons * len(images) <= RECORD_ALL
    run: dict[str, Any] = {
        "batch": arguments.batch,
        "pipelined": arguments.pipelined,
        "jobs": arguments.jobs,
        "target": arguments.target,
        "seed": arguments.seed,
    }
    print(f"K = {n_neurons}: {spiking.n_neurons} neurons, {spiking.n_synapses} synapses")
    with common.progress(f"K = {n_neurons}", len(images)) as report:
        recording = simulate(spiking, images, record=is_small, progress=report, **run)
    trains = recording
    if not is_small:
        trains = simulate(spiking, images[: arguments.spikes], record=True, **run)

    row = _metrics(conversion, recording, network, labels, logits, arguments, n_neurons)
    predictions = logits.argmax(axis=1)
    tables = {
        "metrics": pd.DataFrame([row]),
        "layers": _layers(conversion, recording, trains, network, images),
        "positions": spike_timing.firing_by_position(recording),
        "time": accuracy_over_time(
            recording.scores, labels, predictions, recording.dt_ms, recording.readout_onset
        ),
    }
    for name, table in tables.items():
        if name != "metrics":
            table.insert(0, "neurons_per_gate", n_neurons)
        table.to_csv(working / f"{name}.csv", index=False)
    save_spikes(working / "spikes.npz", trains, labels[: trains.n_images])


def _metrics(
    conversion: amos.AmosConversion,
    recording: Recording,
    network: Network,
    labels: np.ndarray,
    logits: np.ndarray,
    arguments: argparse.Namespace,
    n_neurons: int,
) -> dict[str, Any]:
    spiking = conversion.spiking
    period_ms = recording.period * recording.dt_ms
    return {
        "scheme": "amos",
        "dataset": arguments.dataset,
        "network": network.name,
        "gate": "+".join(sorted({g.function for n, g in conversion.gates.items() if n != INPUT})),
        "neurons_per_gate": n_neurons,
        "n_images": recording.n_images,
        "ann_accuracy": accuracy(logits, labels),
        "snn_accuracy": accuracy(recording.scores[:, -1], labels),
        "agreement": float(np.mean(recording.predictions == logits.argmax(axis=1))),
        "spikes_per_image": recording.spikes_per_image,
        "spikes_per_neuron": recording.spikes_per_image / spiking.n_neurons,
        "max_spikes_per_neuron": recording.most_spikes,
        "latency_slots": recording.latency_steps,
        "latency_ms": recording.latency_steps * recording.dt_ms,
        "images_per_biological_s": 1000.0 / period_ms,
        "synaptic_events_per_image": recording.events_per_image,
        "n_neurons": spiking.n_neurons,
        "n_synapses": spiking.n_synapses,
        "n_kernel_weights": spiking.n_kernel_weights,
        "exact_bits": spiking.needed_bits,
        "weight_error": conversion.weight_error,
        "out_of_range": max(conversion.out_of_range.values()),
        "half_step": arguments.half_step,
        "refit": arguments.refit,
        "range_percentile": arguments.range_percentile,
        "inhibition": arguments.inhibition,
        "weight_bits": arguments.weight_bits,
        "pipelined": arguments.pipelined,
        "jobs": arguments.jobs,
        "target": arguments.target,
        "seed": arguments.seed,
        "build_s": recording.build_s,
        "run_s": recording.run_s,
    }


def _layers(
    conversion: amos.AmosConversion,
    recording: Recording,
    trains: Recording,
    network: Network,
    images: np.ndarray,
) -> pd.DataFrame:
    """Per layer: counts, latencies, code words, and the error of the decoded activation."""
    table = spike_timing.per_layer(recording)
    for other in (spike_timing.latencies(trains), spike_timing.code_words(trains)):
        table = table.merge(other.drop(columns="n_positions", errors="ignore"), on="layer")
    trained = network.activations(images[: trains.n_images])
    errors = []
    for index, layer in enumerate(trains.layers):
        if layer.name == INPUT:
            errors.append({"layer": INPUT})
            continue
        assert trains.spikes is not None
        gate = conversion.gates[layer.name]
        decoded = spike_timing.decoded(
            trains.spikes, index, layer, trains.n_images, gate.outputs, gate.offset
        )
        error = spike_timing.activation_error(
            decoded, trained[layer.name].reshape(trains.n_images, -1)
        )
        errors.append({"layer": layer.name, **error})
    return table.merge(pd.DataFrame(errors), on="layer")


def _print_metrics(metrics: pd.DataFrame) -> None:
    for _, row in metrics.iterrows():
        print(f"\nAMOS, {row.dataset}, {row.network}, K = {row.neurons_per_gate}")
        common.print_table(
            [
                ("accuracy, trained network", f"{row.ann_accuracy:.2%}"),
                ("accuracy, spiking network", f"{row.snn_accuracy:.2%}"),
                ("agreement of the two", f"{row.agreement:.2%} of {row.n_images} images"),
                ("spikes per image", f"{row.spikes_per_image:.0f}"),
                ("spikes per neuron", f"{row.spikes_per_neuron:.3f} of {row.n_neurons} neurons"),
                ("most spikes of any neuron", f"{row.max_spikes_per_neuron} per image"),
                ("latency", f"{row.latency_slots} slots, {row.latency_ms:g} ms"),
                ("throughput", f"{row.images_per_biological_s:.1f} images per biological second"),
                ("synaptic events", f"{row.synaptic_events_per_image:.3g} per image"),
                ("wall time, build", f"{row.build_s:.1f} s"),
                ("wall time, run", f"{row.run_s:.1f} s"),
            ]
        )


if __name__ == "__main__":
    main()
