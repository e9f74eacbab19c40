"""Burst conversion: a trained classifier with max pooling as Brian2 neurons that burst.

Converts a trained network, runs it in Brian2 on test images beside plain integrate-and-fire
conversion of the same weights, and writes a result folder with tables, spike trains and figures.

    python studies/run_burst.py                       # the digits inside scikit-learn
    python studies/run_burst.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_burst.py --gamma 1 2 3 5 --normalisation percentile --percentile 99
    python studies/run_burst.py --dataset fashion-mnist --study --steps 64 --pipelined --jobs 2
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import bursts as burst_statistics
from ann2brian.analysis.statistics import conversion_error
from ann2brian.analysis.statistics.energy import energy_nj, multiply_accumulates
from ann2brian.analysis.statistics.trains import trains_of
from ann2brian.models.conversion.options import MOST_STEPS
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.layers import MaxPool2D, QuantisedReLU
from ann2brian.models.networks.network import Network, accuracy
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst.options import (
    BurstOptions,
)
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.burst import conditions as burst_conditions
from ann2brian.studies.burst.conditions import Condition
from ann2brian.studies.frame import network_under_test as subject
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame.network_under_test import Subject
from ann2brian.studies.frame.spike_files import save_spikes
from ann2brian.studies.make_figures import make_figures

NETWORKS = {"digits": "digits-burst", "fashion-mnist": "fashion-burst"}
DEFAULTS = BurstOptions()
QUICK_STEPS = 8


def parser() -> argparse.ArgumentParser:
    """Flags of the study."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subject.add_flags(flags, NETWORKS)
    flags.add_argument(
        "--study",
        action="store_true",
        help="all comparisons: limits, pooling rules, ablation, initial potential",
    )
    flags.add_argument(
        "--baseline-steps",
        type=common.natural,
        help="steps of plain integrate-and-fire conversion beside it; 0 for none (default: 8 T)",
    )
    scheme = flags.add_argument_group("conversion; several values of a flag make a sweep")
    scheme.add_argument(
        "--steps",
        type=common.positive,
        help=f"algorithmic steps T (default: {DEFAULTS.n_steps}; 1 for quantised networks)",
    )
    scheme.add_argument(
        "--gamma",
        type=common.positive,
        nargs="+",
        default=[DEFAULTS.gamma],
        help=f"most spikes of a neuron in a step (default: {DEFAULTS.gamma})",
    )
    scheme.add_argument(
        "--own-limits",
        action="store_true",
        help="lower the limit of each layer to what calibration needs",
    )
    scheme.add_argument(
        "--normalisation",
        nargs="+",
        choices=BurstOptions.declared("normalisation").choices,
        default=[DEFAULTS.normalisation],
        help=f"what one spike a step stands for (default: {DEFAULTS.normalisation})",
    )
    scheme.add_argument(
        "--percentile",
        type=float,
        default=DEFAULTS.percentile,
        help=f"of calibration outputs (default: {DEFAULTS.percentile})",
    )
    scheme.add_argument(
        "--channel-wise", action="store_true", help="a scale for each channel, not for the layer"
    )
    scheme.add_argument(
        "--initial",
        type=float,
        default=DEFAULTS.initial,
        help=f"initial potential in thresholds (default: {DEFAULTS.initial})",
    )
    scheme.add_argument(
        "--pooling",
        nargs="+",
        choices=BurstOptions.declared("pooling").choices,
        default=[DEFAULTS.pooling],
        help=f"how max pooling is done (default: {DEFAULTS.pooling})",
    )
    scheme.add_argument(
        "--timing",
        choices=BurstOptions.declared("timing").choices,
        default=DEFAULTS.timing,
        help=f"how steps are kept apart (default: {DEFAULTS.timing})",
    )
    for name, what in (
        ("intra_burst_ms", "interval between the spikes of a burst, and time step"),
        ("guard_ms", "pause after the longest burst"),
        ("delay_ms", "axonal delay, at most the pause"),
    ):
        value = getattr(DEFAULTS, name)
        scheme.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            default=value,
            help=f"{what} (default: {value:g} ms)",
        )
    common.add_run_flags(flags, spikes=10, use="analysed; the last condition's are kept")
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    arguments = parser().parse_args(argv)
    with common.refusals():
        return _study(arguments)


def _study(arguments: argparse.Namespace) -> Path:
    case = subject.load(arguments, NETWORKS[arguments.dataset])
    conditions, reference = _conditions(case, arguments)
    config = {
        "scheme": "burst",
        "network": case.network.name,
        "weights_sha256": case.weights_sha256,
        **{k: v for k, v in vars(arguments).items() if k not in ("out", "data", "network")},
        "images": len(case.images),
        "is_whole_test_split": case.is_whole,
        "conditions": [asdict(condition.options) for condition in conditions],
    }
    conversions = [
        burst.convert(case.network, condition.options, case.calibration) for condition in conditions
    ]
    print(
        f"{case.network.name}: {case.network.n_parameters} parameters, {len(case.images)} test "
        f"images, {len(conditions)} conditions"
    )
    label = f"{arguments.dataset}-{case.network.name}" + ("-study" if arguments.study else "")
    with common.ResultFolder(arguments.out / "burst", label, config) as folder:
        done = [
            folder.condition(
                f"{number:02d}",
                lambda working, c=condition, v=conversion: _condition(
                    working, case, c, v, arguments
                ),
            )
            for number, (condition, conversion) in enumerate(
                zip(conditions, conversions, strict=True)
            )
        ]
        time, metrics = (
            pd.concat([pd.read_csv(path / f"{name}.csv") for path in done], ignore_index=True)
            for name in ("time", "metrics")
        )
        matched = burst_conditions.matched(time, metrics, reference)
        matched.to_csv(folder.part / "matched.csv", index=False)
        checks = None
        if arguments.study and arguments.dataset == "fashion-mnist":
            checks = _checks(time, arguments.timing)
        if checks is not None:
            checks.to_csv(folder.part / "checks.csv", index=False)
        result = folder.finish(done, common.provenance(arguments.seed, arguments.target))
    figures = make_figures(result)
    _print(pd.read_csv(result / "metrics.csv"), matched)
    if checks is not None:
        print("\n" + checks.to_string(index=False))
    print(f"results: {result}\nfigures: {figures[0].parent if figures else 'none'}")
    return result


def _is_quantised(network: Network) -> bool:
    return any(isinstance(layer, QuantisedReLU) for layer in network.layers)


def _refuse_comparisons(network: Network, arguments: argparse.Namespace) -> None:
    """A quantised network is converted in one way only, so nothing can be compared."""
    given = {
        "--study": arguments.study,
        "--baseline-steps": bool(arguments.baseline_steps),
        "--gamma": arguments.gamma != [DEFAULTS.gamma],
        "--normalisation": arguments.normalisation != [DEFAULTS.normalisation],
        "--initial": arguments.initial != DEFAULTS.initial,
        "--channel-wise": arguments.channel_wise,
        "--own-limits": arguments.own_limits,
    }
    for flag, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{flag}: {network.name} has quantised activations, which bring their own scales, "
                "limits and initial potential; leave the flag out"
            )


def _checks(time: pd.DataFrame, timing: str) -> pd.DataFrame | None:
    """Shapes of a whole study; None, and a word about it, where something is left out."""
    try:
        return burst_conditions.shape_checks(time, timing)
    except KeyError as missing:
        print(f"the shapes are not checked: {missing.args[0]}")
        return None


def _conditions(case: Subject, arguments: argparse.Namespace) -> tuple[list[Condition], str]:
    """Conditions without repetition, the one to be shown last; and the label of the baseline."""
    is_quantised = _is_quantised(case.network)
    n_steps = arguments.steps or (1 if is_quantised else DEFAULTS.n_steps)
    n_steps = min(n_steps, QUICK_STEPS) if arguments.quick else n_steps
    asked = [
        Condition(
            is_quantised=is_quantised,
            options=BurstOptions(
                n_steps=n_steps,
                gamma=gamma,
                normalisation=normalisation,
                pooling=pooling,
                **{
                    name: getattr(arguments, name)
                    for name in (
                        "own_limits",
                        "percentile",
                        "channel_wise",
                        "initial",
                        "timing",
                        "intra_burst_ms",
                        "guard_ms",
                        "delay_ms",
                        "weight_bits",
                    )
                },
            ),
        )
        for gamma, normalisation, pooling in itertools.product(
            arguments.gamma, arguments.normalisation, arguments.pooling
        )
    ]
    if is_quantised:
        _refuse_comparisons(case.network, arguments)
    base = asked[-1].options
    steps = arguments.baseline_steps
    if steps is None:
        steps = 0 if is_quantised else min(8 * n_steps, MOST_STEPS)
    try:
        reference = burst_conditions.baseline(base, max(steps, 1))
    except ValueError as error:
        raise ValueError(f"--baseline-steps: {error}") from None
    wanted = [reference] if steps else []
    if arguments.study:
        wanted += burst_conditions.study(base)
    found: dict[str, Condition] = {}
    for condition in wanted + asked:
        # Of one name, the last counts, in its place; in a study, which compares, the longest.
        same = found.pop(condition.label, condition)
        is_longer = same.options.n_steps > condition.options.n_steps
        found[condition.label] = same if arguments.study and is_longer else condition
    return list(found.values()), reference.label


def _condition(
    working: Path,
    case: Subject,
    condition: Condition,
    conversion: burst.BurstConversion,
    arguments: argparse.Namespace,
) -> None:
    """Run one conversion and write the tables of this condition."""
    spiking = conversion.spiking
    run: dict[str, Any] = {
        "batch": arguments.batch,
        "jobs": arguments.jobs,
        "target": arguments.target,
        "seed": arguments.seed,
    }
    print(f"{condition.label}: T = {condition.options.n_steps}, {spiking.n_neurons} neurons")
    with common.progress(condition.label, len(case.images)) as report:
        recording = simulate(
            spiking, case.images, pipelined=arguments.pipelined, progress=report, **run
        )
    trains = simulate(spiking, case.images[: arguments.spikes], record=True, **run)
    time = _time(condition, conversion, recording, case)
    layers, intervals = _layers(condition, conversion, trains, case)
    tables = {
        "metrics": pd.DataFrame([_metrics(condition, conversion, recording, case, arguments)]),
        "time": time,
        "layers": layers,
        "intervals": intervals,
    }
    for name, table in tables.items():
        if "condition" not in table:
            table.insert(0, "condition", condition.label)
        table.to_csv(working / f"{name}.csv", index=False)
    save_spikes(working / "spikes.npz", trains, case.labels[: trains.n_images])


def _gamma(conversion: burst.BurstConversion) -> int:
    """Most spikes of any neuron in a step, as it runs."""
    return max(conversion.limits.values())


def _time(
    condition: Condition, conversion: burst.BurstConversion, recording: Recording, case: Subject
) -> pd.DataFrame:
    """Accuracy, error and cost if the run is stopped after each step."""
    logits = recording.scores
    steps = 1 + np.arange(logits.shape[1])
    predictions = logits.argmax(axis=2)
    events = sum(recording.events_by_step.values()).cumsum() / recording.n_images
    return pd.DataFrame(
        {
            "condition": condition.label,
            "gamma": _gamma(conversion),
            "step": steps,
            "sub_steps": _gamma(conversion) * steps,
            "time_ms": recording.ready_steps * recording.dt_ms,
            "accuracy": (predictions == case.labels[:, None]).mean(axis=0),
            "agreement": (predictions == case.logits.argmax(axis=1)[:, None]).mean(axis=0),
            "logit_mse": ((logits - case.logits[:, None]) ** 2).mean(axis=(0, 2)),
            "spikes_per_image": sum(recording.spikes_by_step.values()).cumsum()
            / recording.n_images,
            "events_per_image": events,
            "energy_nj": [energy_nj(accumulates=float(n)) for n in events],
        }
    )


def _layers(
    condition: Condition, conversion: burst.BurstConversion, trains: Recording, case: Subject
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bursts, irregularity and errors of each layer; and the intervals between its spikes."""
    spiking, options = conversion.spiking, condition.options
    n_images = trains.n_images
    network = case.network.fold_batch_norm()
    activations = network.activations(case.images[:n_images])
    unit_mv = spiking.unit_volt * 1e3
    phase_ms = trains.phase_steps * trains.dt_ms
    rows, intervals, outcomes, counts = [], [], {}, {}
    for own in trains_of(trains):
        name, shape = own.layer.name, own.layer.shape
        flat = own.image * own.layer.n_units + own.neuron
        counts[name] = np.bincount(flat, minlength=n_images * own.layer.n_units)
        counts[name] = counts[name].reshape(n_images, own.layer.n_units)
        longest_ms = burst_statistics.WITHIN_BURST_STEPS * trains.dt_ms
        found = burst_statistics.bursts(own, longest_ms)
        exact = burst_statistics.phase_bursts(own, trains.phase_steps, trains.readout_every)
        detected = burst_statistics.detection(exact, found)
        split = burst_statistics.interval_split(own, longest_ms)
        threshold = burst_statistics.log_interval_threshold(
            own.intervals_ms, trains.dt_ms, longest_intra_ms=phase_ms
        )
        left = trains.end_potentials[name] / unit_mv
        rows.append(
            burst_statistics.summary(own, found, spiking.n_phases * phase_ms)
            | burst_statistics.residual_potential(left)
            | {
                "intra_burst_share": split["intra_fraction"],
                "detection_precision": detected["precision"],
                "detection_recall": detected["recall"],
                "log_interval_threshold_ms": threshold.threshold_ms,
            }
        )
        histogram = burst_statistics.interval_histogram(own)
        intervals.append(histogram)
        layer = network.layer(name)
        if isinstance(layer, MaxPool2D):
            source = layer.inputs[0]
            outcomes[name] = conversion_error.PoolingOutcome(
                counts_in=counts[source].reshape(n_images, *network.shapes[source]),
                counts_out=counts[name].reshape(n_images, *shape),
                size=layer.size,
                stride=layer.stride,
                padding=layer.padding,
            )
        else:
            outcomes[name] = conversion_error.NeuronOutcome(
                counts=counts[name],
                final=left,
                trained=(activations[name] / conversion.scales[name]).reshape(n_images, -1),
            )
    errors = conversion_error.error_table(
        outcomes, options.n_steps, 0.5 if condition.is_quantised else options.initial
    )
    table = pd.DataFrame(rows).drop(columns="residual_fraction").merge(errors, on="layer")
    return table, pd.concat(intervals, ignore_index=True)


def _metrics(
    condition: Condition,
    conversion: burst.BurstConversion,
    recording: Recording,
    case: Subject,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    spiking, options = conversion.spiking, condition.options
    return {
        "scheme": "burst",
        "dataset": arguments.dataset,
        "network": case.network.name,
        "condition": condition.label,
        "gamma": _gamma(conversion),
        "limits": " ".join(f"{name}:{limit}" for name, limit in conversion.limits.items()),
        **{
            name: getattr(options, name)
            for name in (
                "pooling",
                "normalisation",
                "percentile",
                "channel_wise",
                "own_limits",
                "initial",
                "timing",
                "n_steps",
                "intra_burst_ms",
                "guard_ms",
                "delay_ms",
                "weight_bits",
            )
        },
        **({"normalisation": "trained", "initial": 0.5} if condition.is_quantised else {}),
        "sub_steps": _gamma(conversion) * options.n_steps,
        "phase_ms": recording.phase_steps * recording.dt_ms,
        "n_images": recording.n_images,
        "ann_accuracy": accuracy(case.logits, case.labels),
        "snn_accuracy": accuracy(recording.scores[:, -1], case.labels),
        "agreement": float(np.mean(recording.predictions == case.logits.argmax(axis=1))),
        "equal_logits": float(np.mean((recording.scores[:, -1] == case.logits).all(axis=1))),
        "spikes_per_image": recording.spikes_per_image,
        "max_spikes_per_neuron": recording.most_spikes,
        "latency_ms": recording.latency_steps * recording.dt_ms,
        "pipeline_latency_phases": spiking.readout.onset,
        "synaptic_events_per_image": recording.events_per_image,
        "energy_nj": energy_nj(accumulates=recording.events_per_image),
        "input_current_nj": energy_nj(
            multiply_accumulates=sum(
                int(p.fan_out.sum()) for s in spiking.stimuli for p in s.projections
            )
        ),
        "ann_energy_nj": energy_nj(
            multiply_accumulates=multiply_accumulates(case.network.fold_batch_norm())[
                "multiply_accumulates"
            ].sum()
        ),
        "n_neurons": spiking.n_neurons,
        "n_synapses": spiking.n_synapses,
        "n_kernel_weights": spiking.n_kernel_weights,
        "exact_bits": spiking.needed_bits,
        "weight_error": conversion.weight_error,
        "calibration": arguments.calibration,
        "pipelined": arguments.pipelined,
        "jobs": arguments.jobs,
        "target": arguments.target,
        "seed": arguments.seed,
        "build_s": recording.build_s,
        "run_s": recording.run_s,
    }


def _print(metrics: pd.DataFrame, matched: pd.DataFrame) -> None:
    for _, row in metrics.iterrows():
        print(f"\nburst, {row.dataset}, {row.network}, {row.condition}")
        common.print_table(
            [
                ("accuracy, trained network", f"{row.ann_accuracy:.2%}"),
                ("accuracy, spiking network", f"{row.snn_accuracy:.2%}"),
                ("agreement of the two", f"{row.agreement:.2%} of {row.n_images} images"),
                ("steps T, sub-steps", f"{row.n_steps}, {row.sub_steps}"),
                ("biological time", f"{row.latency_ms:g} ms"),
                ("spikes per image", f"{row.spikes_per_image:.0f}"),
                ("synaptic events", f"{row.synaptic_events_per_image:.3g} per image"),
                ("energy of the events", f"{row.energy_nj:.3g} nJ"),
                ("wall time, build and run", f"{row.build_s:.1f} s, {row.run_s:.1f} s"),
            ]
        )
    if not matched.empty:
        print("\nfewest steps within a loss, and ratios to plain integrate-and-fire conversion:")
        print(matched.to_string(index=False, float_format=lambda x: f"{x:.4g}"))


if __name__ == "__main__":
    main()
