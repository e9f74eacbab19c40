"""Noise-trained networks: trained for one time step, run for N steps as Brian2 neurons.

Runs a network that was trained with noise on the membrane, without retraining, for N steps, and
writes a result folder with tables, spike trains and figures.

    python studies/run_noise.py                       # the digits inside scikit-learn
    python studies/run_noise.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_noise.py --rule residual memoryless both diffusive --leak 0.9
    python studies/run_noise.py --study --network digits-noise digits-noise-control my.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.statistics import residuals as residual_statistics
from ann2brian.analysis.statistics import trials as trial_statistics
from ann2brian.analysis.statistics.energy import energy_nj
from ann2brian.models.conversion.membrane import RESETS
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.layers import Spike
from ann2brian.models.networks.network import accuracy
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst.conversion import BurstConversion
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.models.schemes.noise import conversion as noise
from ann2brian.models.schemes.noise.conversion import NoiseConversion
from ann2brian.models.schemes.noise.neurons import RULES
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame import network_under_test as subject
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame.conditions import (
    configuration,
    load_subjects,
    require_distinct,
    result_label,
    shown_of,
)
from ann2brian.studies.frame.network_under_test import Subject
from ann2brian.studies.frame.spike_files import save_spikes
from ann2brian.studies.make_figures import make_figures
from ann2brian.studies.noise import conditions as noise_conditions
from ann2brian.studies.noise import single_neuron as noise_neuron
from ann2brian.studies.noise.conditions import Condition

NETWORKS = {"digits": "digits-noise", "fashion-mnist": "fashion-noise"}
DEFAULTS = NoiseOptions()
QUICK_STEPS = 4
QUICK_EFFORT = noise_neuron.Effort(n_singles=200, n_trials=8)
REPEATED_IMAGES, REPEATS = 5, 20  # of one image, for statistics over trials
TIMED_IMAGES = 1000  # of the comparison of wall times


def parser() -> argparse.ArgumentParser:
    """Flags of the study."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subject.add_flags(flags, NETWORKS, takes_several=True)
    flags.add_argument(
        "--study",
        action="store_true",
        help="all comparisons: rules, control, variants, one neuron, steps to equal accuracy",
    )
    scheme = flags.add_argument_group("conversion; several values of a flag make a sweep")
    scheme.add_argument(
        "--steps", type=common.positive, default=DEFAULTS.n_steps, help="steps N (default: 8)"
    )
    scheme.add_argument(
        "--rule",
        nargs="+",
        choices=RULES,
        default=[DEFAULTS.rule],
        help=f"what becomes of the noise of training (default: {DEFAULTS.rule})",
    )
    scheme.add_argument(
        "--reset", choices=tuple(RESETS), default=DEFAULTS.reset, help="of the potential"
    )
    scheme.add_argument(
        "--start",
        choices=NoiseOptions.declared("start").choices,
        default=DEFAULTS.start,
        help="of the residual rule",
    )
    scheme.add_argument(
        "--leak",
        type=float,
        default=DEFAULTS.leak,
        help="factor of the potential from step to step (default: 1, no leak)",
    )
    scheme.add_argument("--floor", action="store_true", help="no potential below rest")
    scheme.add_argument(
        "--mean", type=float, help="of the noise, in thresholds (default: as trained)"
    )
    scheme.add_argument(
        "--sigma", type=float, help="s.d. of the noise, in thresholds (default: as trained)"
    )
    scheme.add_argument("--dt-ms", type=float, default=DEFAULTS.dt_ms, help="step (default: 1 ms)")
    common.add_run_flags(flags)
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    arguments = parser().parse_args(argv)
    with common.refusals():
        return _study(arguments)


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One network under one condition.

    Parameters
    ----------
    subject : Subject
        Network and images.
    condition : Condition
        How it runs.
    conversion : NoiseConversion or BurstConversion
        The spiking network.
    """

    subject: Subject
    condition: Condition
    conversion: NoiseConversion | BurstConversion

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that name the case in every table."""
        return self.subject.keys | {"condition": self.condition.label}

    @property
    def options(self) -> NoiseOptions | BurstOptions:
        """Of the conversion."""
        return self.condition.options

    @property
    def title(self) -> str:
        """The same in one line."""
        k = self.keys
        return f"{k['network']}, seed {k['training_seed']}, {k['condition']}"


def _study(arguments: argparse.Namespace) -> Path:
    cases = _cases(arguments)
    config = configuration("noise", arguments, cases)
    print(f"{len(cases[0].subject.images)} test images, {len(cases)} conditions")
    with common.ResultFolder(
        arguments.out / "noise", result_label(arguments, cases), config
    ) as folder:
        done = [
            folder.condition(f"{number:03d}", lambda path, c=case: _condition(path, c, arguments))
            for number, case in enumerate(cases)
        ]
        time = pd.concat([pd.read_csv(path / "time.csv") for path in done], ignore_index=True)
        if arguments.study:
            extra = folder.condition("study", lambda path: _extra(path, cases, time, arguments))
            done = [extra, *done]
        result = folder.finish(done, common.provenance(arguments.seed, arguments.target))
    figures = make_figures(result)
    _print(pd.read_csv(result / "metrics.csv"), time)
    for name in ("comparison", "checks"):
        if (result / f"{name}.csv").exists():
            print("\n" + pd.read_csv(result / f"{name}.csv").to_string(index=False))
    print(f"results: {result}\nfigures: {figures[0].parent if figures else 'none'}")
    return result


def _cases(arguments: argparse.Namespace) -> list[Case]:
    """Every network under every condition, the one to be shown last."""
    if arguments.quick:
        arguments.steps = min(arguments.steps, QUICK_STEPS)
        arguments.spikes = min(arguments.spikes, 20)
    base = NoiseOptions(
        n_steps=arguments.steps,
        mean=arguments.mean,
        sigma=arguments.sigma,
        start=arguments.start,
        leak=arguments.leak,
        reset=arguments.reset,
        has_floor=arguments.floor,
        dt_ms=arguments.dt_ms,
        weight_bits=arguments.weight_bits,
    )
    subjects = load_subjects(arguments, NETWORKS[arguments.dataset])
    spiking = [own for own in subjects if noise_conditions.is_spiking(own.network)]
    if (len(spiking) < len(subjects) and not arguments.study) or not spiking:
        names = ", ".join(own.network.name for own in subjects if own not in spiking)
        raise ValueError(
            f"{names}: no spiking units; such networks take part in --study only, as rate "
            "conversion beside others. Name a network of --scheme noise"
        )
    if arguments.study:
        _refuse_variants(arguments)
    shown = shown_of(spiking, noise_conditions.DEFAULT)
    found: list[Case] = []
    for own in [*(other for other in subjects if other is not shown), shown]:
        if own not in spiking:
            conditions = noise_conditions.rate_conditions(
                QUICK_STEPS if arguments.quick else noise_conditions.RATE_STEPS
            )
        elif arguments.study:
            conditions = noise_conditions.study(base, own.setting, has_variants=own is shown)
            if own is shown:  # its plain condition comes last
                conditions = [*conditions[1:], conditions[0]]
        else:
            conditions = noise_conditions.asked(base, arguments.rule)
        found += [
            Case(subject=own, condition=c, conversion=_convert(own, c.options)) for c in conditions
        ]
    require_distinct(found)
    return found


def _refuse_variants(arguments: argparse.Namespace) -> None:
    """A study varies rule, leak, reset, start and mean itself."""
    for name in ("rule", "leak", "reset", "start", "floor", "mean", "sigma"):
        if getattr(arguments, name) != parser().get_default(name):
            raise ValueError(
                f"--{name}: --study varies the rules and their options itself; leave out one of "
                "the two"
            )


def _convert(
    own: Subject, options: NoiseOptions | BurstOptions
) -> NoiseConversion | BurstConversion:
    if isinstance(options, BurstOptions):
        return burst.convert(own.network, options, own.calibration)
    return noise.convert(own.network, options)


def _condition(working: Path, case: Case, arguments: argparse.Namespace) -> None:
    """Run one case and write its tables."""
    own, spiking = case.subject, case.conversion.spiking
    run: dict[str, Any] = {
        "batch": arguments.batch,
        "jobs": arguments.jobs,
        "target": arguments.target,
        "seed": arguments.seed,
    }
    with common.progress(case.title, len(own.images)) as report:
        recording = simulate(
            spiking, own.images, pipelined=arguments.pipelined, progress=report, **run
        )
    time = _time(case, recording)
    tables = {
        "metrics": pd.DataFrame([_metrics(case, recording, arguments)]),
        "time": time,
    }
    if isinstance(case.conversion, NoiseConversion):
        trains = simulate(spiking, own.images[: arguments.spikes], record=True, **run)
        tables |= _layers(case, trains, run)
        save_spikes(working / "spikes.npz", trains, own.labels[: trains.n_images])
    for name, table in tables.items():
        for place, (key, value) in enumerate(case.keys.items()):
            if key not in table:
                table.insert(place, key, value)
        table.to_csv(working / f"{name}.csv", index=False)


def _time(case: Case, recording: Recording) -> pd.DataFrame:
    """Accuracy and cost if the run is stopped after each step."""
    predictions = recording.scores.argmax(axis=2)
    own, trained = case.subject, _trained_scores(case, recording).argmax(axis=1)
    n_steps = predictions.shape[1]
    events = sum(recording.events_by_step.values()).cumsum() / recording.n_images
    spikes = sum(recording.spikes_by_step.values()).cumsum() / recording.n_images
    return pd.DataFrame(
        {
            "step": 1 + np.arange(n_steps),
            "time_ms": recording.ready_steps * recording.dt_ms,
            "accuracy": (predictions == own.labels[:, None]).mean(axis=0),
            "agreement": (predictions == trained[:, None]).mean(axis=0),
            "spikes_per_image": spikes,
            "events_per_image": events,
            "energy_nj": [energy_nj(accumulates=float(n)) for n in events],
        }
    )


def _trained_scores(case: Case, recording: Recording) -> np.ndarray:
    """Scores of the network as it was trained: of one step, or of all that it was trained with.

    A network of direct training with T steps is, run from its own start for T steps, the trained
    one; of the T steps there may be too few in this run, then the last counts.
    """
    steps = noise_conditions.DIRECT.get(case.keys["setting"], 1)
    if steps == 1:
        return case.subject.logits
    return recording.scores[:, min(steps, recording.scores.shape[1]) - 1]


def _layers(case: Case, trains: Recording, run: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Firing, information and residual potentials of each layer, and variation over trials."""
    own, conversion = case.subject, case.conversion
    assert isinstance(conversion, NoiseConversion)
    spiking, options = conversion.spiking, conversion.options
    labels = own.labels[: trains.n_images]
    counts = _counts(trains)
    trials: dict[str, np.ndarray] = {}
    stimulus = np.repeat(np.arange(min(REPEATED_IMAGES, len(own.images))), REPEATS)
    if options.has_noise:
        images = own.images[stimulus]
        trials = _counts(simulate(spiking, images, record=True, **run))
    rows, residuals, quantiles = [], [], []
    for name, fired in counts.items():
        information = trial_statistics.information_per_spike(fired, labels)
        total = fired.mean(axis=0).sum()
        row: dict[str, Any] = {
            "layer": name,
            "spikes_per_neuron_step": fired.mean() / options.n_steps,
            "silent_fraction": (fired == 0).mean(),
            "information_bits": information["corrected_bits"].mean(),
            "bits_per_spike": information["corrected_bits"].sum() / total if total else np.nan,
            "fano": np.nan,
            "noise_correlation": np.nan,
            "n_varying": 0,
        }
        if name in trials:
            by_image = [trials[name][stimulus == i] for i in np.unique(stimulus)]
            fano = np.concatenate([trial_statistics.fano_factor(part) for part in by_image])
            row["fano"] = np.nanmean(fano) if np.isfinite(fano).any() else np.nan
            found = trial_statistics.noise_correlation(trials[name], stimulus)
            row |= {
                "noise_correlation": found["noise_correlation"],
                "n_varying": found["n_neurons"],
            }
        rows.append(row)
        is_carried = options.rule != "memoryless" and name in conversion.means
        if is_carried and name in trains.end_potentials:
            left = trains.end_potentials[name].ravel() / (spiking.unit_volt * 1e3)
            if options.has_floor:
                left = np.maximum(left, 0.0)
            left = options.leak * left  # what the noise stands for: what the next step gets
            layer = own.network.layer(name)
            assert isinstance(layer, Spike)
            assumed = {"mu": layer.mean / layer.threshold, "sigma": layer.sigma / layer.threshold}
            found = residual_statistics.residual_statistics(left, **assumed)
            residuals.append(
                {"layer": name}
                | found
                | {"assumed_mean": assumed["mu"], "assumed_sigma": assumed["sigma"]}
            )
            table = residual_statistics.quantile_table(left, **assumed)
            table.insert(0, "layer", name)
            quantiles.append(table)
    tables = {"layers": pd.DataFrame(rows)}
    if residuals:
        tables["residuals"] = pd.DataFrame(residuals)
        tables["quantiles"] = pd.concat(quantiles, ignore_index=True)
    return tables


def _counts(recording: Recording) -> dict[str, np.ndarray]:
    """Spikes of every neuron for each image, shape (n_images, n_units), by layer."""
    spikes = recording.spikes
    assert spikes is not None
    found = {}
    for index, layer in enumerate(recording.layers):
        mine = spikes.layer == index
        flat = spikes.image[mine] * layer.n_units + spikes.neuron[mine]
        size = recording.n_images * layer.n_units
        found[layer.name] = np.bincount(flat, minlength=size).reshape(recording.n_images, -1)
    return found


def _metrics(case: Case, recording: Recording, arguments: argparse.Namespace) -> dict[str, Any]:
    own, conversion = case.subject, case.conversion
    scores = _trained_scores(case, recording)
    trained = scores.argmax(axis=1)
    spiking = conversion.spiking
    is_noise = isinstance(conversion, NoiseConversion)
    trained_with = [layer for layer in own.network.layers if isinstance(layer, Spike)]
    first = recording.scores[:, 0]
    return {
        "scheme": "noise",
        "dataset": arguments.dataset,
        **case.keys,
        "rule": conversion.options.rule if is_noise else "rate",
        "mean": float(np.mean([x.mean for x in trained_with])) if trained_with else np.nan,
        "sigma": float(np.mean([x.sigma for x in trained_with])) if trained_with else np.nan,
        "n_steps": spiking.readout.n_steps,
        "n_images": recording.n_images,
        "ann_accuracy": accuracy(scores, own.labels),
        "snn_accuracy": float((recording.predictions == own.labels).mean()),
        "agreement": float((recording.predictions == trained).mean()),
        "equal_first_logits": float((first == own.logits).all(axis=1).mean()),
        "spikes_per_image": recording.spikes_per_image,
        "max_spikes_per_neuron": recording.most_spikes,
        "latency_ms": spiking.latency_ms,
        "synaptic_events_per_image": recording.events_per_image,
        "n_neurons": spiking.n_neurons,
        "n_synapses": spiking.n_synapses,
        "exact_bits": spiking.needed_bits,
        "weight_error": conversion.weight_error,
        "pipelined": arguments.pipelined,
        "jobs": arguments.jobs,
        "target": arguments.target,
        "seed": arguments.seed,
        "build_s": recording.build_s,
        "run_s": recording.run_s,
    }


def _extra(
    working: Path, cases: list[Case], time: pd.DataFrame, arguments: argparse.Namespace
) -> None:
    """One neuron over trials, and the steps that each method needs."""
    effort = QUICK_EFFORT if arguments.quick else noise_neuron.Effort()
    tables = noise_neuron.tables(effort, arguments.seed, arguments.target)
    comparison = _comparison(cases, time, arguments)
    if not comparison.empty:
        tables["comparison"] = comparison
    # The demands are on Fashion-MNIST; digits are too easy to tell the rules apart.
    checks = noise_conditions.checks(time) if arguments.dataset == "fashion-mnist" else None
    if checks is not None:
        tables["checks"] = checks
    for name, table in tables.items():
        table.to_csv(working / f"{name}.csv", index=False)


def _comparison(
    cases: list[Case], time: pd.DataFrame, arguments: argparse.Namespace
) -> pd.DataFrame:
    """Steps and wall time with which each method is as accurate as the noise-trained network.

    The aim is what the noise-trained network has after all of its steps, less 0.2 points. A
    network of direct training takes all of its steps, no fewer.
    """
    rows: list[dict[str, Any]] = []
    for seed in sorted({case.subject.training_seed for case in cases}):
        of_seed = time[time["training_seed"] == seed]
        own = of_seed[
            (of_seed["setting"] == noise_conditions.DEFAULT) & (of_seed["condition"] == "residual")
        ]
        if own.empty:
            continue
        target = float(own["accuracy"].iloc[-1]) - 0.002
        for case in cases:
            setting, label = case.keys["setting"], case.condition.label
            is_method = setting in noise_conditions.METHODS and label == "residual"
            is_rate = isinstance(case.options, BurstOptions)
            if case.subject.training_seed != seed or not (is_method or is_rate):
                continue
            curve = of_seed[
                (of_seed["network"] == case.subject.network.name) & (of_seed["condition"] == label)
            ]
            if setting in noise_conditions.DIRECT:
                curve = curve[curve["step"] == noise_conditions.DIRECT[setting]]
                needed = None if curve.empty else noise_conditions.DIRECT[setting]
                if needed is not None and float(curve["accuracy"].iloc[0]) < target - 1e-9:
                    needed = None
            else:
                needed = noise_conditions.needed_steps(curve["accuracy"].to_numpy(), target)
            rows.append(_needed(case, seed, target, needed, curve, arguments))
    return pd.DataFrame(rows)


def _needed(
    case: Case,
    seed: int,
    target: float,
    needed: int | None,
    curve: pd.DataFrame,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """One row of the comparison; the wall time is that of a run of just so many steps."""
    method = case.condition.label
    if not isinstance(case.options, BurstOptions):
        method = noise_conditions.METHODS[case.keys["setting"]]
    row: dict[str, Any] = {
        "method": method,
        "network": case.subject.network.name,
        "training_seed": seed,
        "target_accuracy": target,
        "n_steps": np.nan if needed is None else needed,
        "accuracy": float(curve["accuracy"].iloc[-1]) if len(curve) else np.nan,
    }
    if needed is None:
        nothing = ("latency_ms", "ms_per_image", "spikes_per_image", "events_per_image")
        return row | dict.fromkeys(nothing, np.nan)
    at = curve[curve["step"] == needed].iloc[0]
    options = replace(case.options, n_steps=needed)
    spiking = _convert(case.subject, options).spiking
    images = case.subject.images[:TIMED_IMAGES]
    recording = simulate(
        spiking,
        images,
        pipelined=arguments.pipelined,
        batch=arguments.batch,
        target=arguments.target,
    )
    return row | {
        "accuracy": float(at["accuracy"]),
        "latency_ms": float(at["time_ms"]),
        "ms_per_image": 1e3 * recording.run_s / len(images),
        "spikes_per_image": float(at["spikes_per_image"]),
        "events_per_image": float(at["events_per_image"]),
    }


def _print(metrics: pd.DataFrame, time: pd.DataFrame) -> None:
    for _, row in metrics.iterrows():
        print(
            f"\n{row.scheme}, {row.dataset}, {row.network} (seed {row.training_seed}), "
            f"{row.condition}"
        )
        own = time[
            (time["network"] == row.network)
            & (time["training_seed"] == row.training_seed)
            & (time["condition"] == row.condition)
        ]
        shown = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= row.n_steps]
        by_step = own.set_index("step")["accuracy"]
        common.print_table(
            [
                ("accuracy, as trained (noise off)", f"{row.ann_accuracy:.2%}"),
                *((f"accuracy, N = {n}", f"{by_step[n]:.2%}") for n in shown),
                ("spikes per image", f"{row.spikes_per_image:.0f}"),
                ("synaptic events", f"{row.synaptic_events_per_image:.3g} per image"),
                ("biological time", f"{row.latency_ms:g} ms"),
                ("wall time, build and run", f"{row.build_s:.1f} s, {row.run_s:.1f} s"),
            ]
        )


if __name__ == "__main__":
    main()
