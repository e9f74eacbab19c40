"""Locally binary networks (ALBSNN): layers with one bit a synapse beside layers with real weights.

Runs networks whose training chose the layers with binary weights, one step by default, and writes
a result folder with tables (accuracy, storage, events, the choice of layers), spike trains and
figures.

    python studies/run_albsnn.py                      # the digits inside scikit-learn
    python studies/run_albsnn.py --dataset fashion-mnist --pipelined --jobs 2
    python studies/run_albsnn.py --dataset cifar-10 --network FILE.safetensors
    python studies/run_albsnn.py --steps 1 2 4 --leak 0.2 --reset soft
    python studies/run_albsnn.py --study --steps 1 2 4 --network digits-gap-real digits-albsnn
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
from ann2brian.analysis.statistics.binarisation_effects import (
    binarised,
    potential_histogram,
    saving_curve,
    timing_change,
)
from ann2brian.analysis.statistics.weight_storage import layer_storage, network_storage
from ann2brian.models.conversion.membrane import RESETS
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.network import accuracy
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn import reference as albsnn_reference
from ann2brian.models.schemes.albsnn.conversion import AlbsnnConversion
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.models.spiking.network import READOUT
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.albsnn import binary_cost
from ann2brian.studies.albsnn import conditions as albsnn_conditions
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

NETWORKS = {
    "digits": "digits-albsnn",
    "fashion-mnist": "fashion-albsnn",
    "cifar-10": "cifar-albsnn",  # not shipped
}
DEFAULTS = AlbsnnOptions()
QUICK_STEPS = 2
TIMED_IMAGES, TIMED_ROUNDS = 2000, 5  # of binary synapses beside real ones
CURVE_IMAGES = 2000  # of accuracy as layers become binary after the training


def parser() -> argparse.ArgumentParser:
    """Flags of the study."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subject.add_flags(flags, NETWORKS, takes_several=True)
    flags.add_argument(
        "--study",
        action="store_true",
        help="also potentials, accuracy and spike timing with layers made binary after the "
        "training, what binary synapses cost in the engine, and the published figures",
    )
    scheme = flags.add_argument_group("conversion")
    scheme.add_argument(
        "--steps",
        nargs="+",
        type=common.positive,
        default=[DEFAULTS.n_steps],
        help="steps T; several are run one after the other (default: 1)",
    )
    scheme.add_argument(
        "--leak",
        type=float,
        default=DEFAULTS.leak,
        help="factor of the potential from step to step, 1 for no leak (default: 0.5)",
    )
    scheme.add_argument(
        "--reset", choices=tuple(RESETS), default=DEFAULTS.reset, help="of the potential"
    )
    scheme.add_argument(
        "--dt-ms",
        type=float,
        default=DEFAULTS.dt_ms,
        help="step (default: 1 ms); a leak is per step",
    )
    common.add_run_flags(flags, use="stored")
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Run the study; returns the result folder."""
    arguments = parser().parse_args(argv)
    with common.refusals():
        return _study(arguments)


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One network with one number of steps.

    Parameters
    ----------
    subject : Subject
        Network and images.
    conversion : AlbsnnConversion
        The spiking network.
    """

    subject: Subject
    conversion: AlbsnnConversion

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that name the case in every table."""
        return self.subject.keys | {"n_steps": self.options.n_steps}

    @property
    def options(self) -> AlbsnnOptions:
        """Of the conversion."""
        return self.conversion.options

    @property
    def title(self) -> str:
        """The same in one line."""
        k = self.keys
        return f"{k['network']}, seed {k['training_seed']}, T = {k['n_steps']}"


def _study(arguments: argparse.Namespace) -> Path:
    cases = _cases(arguments)
    config = configuration("albsnn", arguments, cases)
    print(f"{len(cases[0].subject.images)} test images, {len(cases)} conditions")
    with common.ResultFolder(
        arguments.out / "albsnn", result_label(arguments, cases), config
    ) as folder:
        done = [
            folder.condition(f"{number:03d}", lambda path, c=case: _condition(path, c, arguments))
            for number, case in enumerate(cases)
        ]
        metrics = pd.concat([pd.read_csv(path / "metrics.csv") for path in done])
        extra = folder.condition("all", lambda path: _extra(path, cases, metrics, arguments))
        provenance = common.provenance(arguments.seed, arguments.target)
        result = folder.finish([extra, *done], provenance)
    figures = make_figures(result)
    _print(pd.read_csv(result / "metrics.csv"), pd.read_csv(result / "layers.csv"))
    if (result / "checks.csv").exists():
        print("\n" + pd.read_csv(result / "checks.csv").to_string(index=False))
    if arguments.study and not (result / "timing.csv").exists():
        print(
            f"no timing.csv: it compares spike trains of a {albsnn_conditions.REAL} network, so "
            "name one, and --steps above 1"
        )
    print(f"results: {result}\nfigures: {figures[0].parent if figures else 'none'}")
    return result


def _cases(arguments: argparse.Namespace) -> list[Case]:
    """Every network with every number of steps, the network to be shown last."""
    if arguments.quick:
        arguments.steps = [min(n, QUICK_STEPS) for n in arguments.steps]
        arguments.spikes = min(arguments.spikes, 20)
    arguments.steps = sorted(set(arguments.steps))
    options = AlbsnnOptions(
        leak=arguments.leak,
        reset=arguments.reset,
        dt_ms=arguments.dt_ms,
        weight_bits=arguments.weight_bits,
    )
    subjects = load_subjects(arguments, NETWORKS[arguments.dataset])
    shown = shown_of(subjects, albsnn_conditions.DEFAULT)
    found = [
        Case(subject=own, conversion=albsnn.convert(own.network, replace(options, n_steps=n)))
        for own in [*(other for other in subjects if other is not shown), shown]
        for n in arguments.steps
    ]
    require_distinct(found)
    return found


def _condition(working: Path, case: Case, arguments: argparse.Namespace) -> None:
    """Run one case and write its tables."""
    own = case.subject
    with common.progress(case.title, len(own.images)) as report:
        recording = _run(
            case.conversion,
            own.images,
            arguments,
            jobs=arguments.jobs,
            pipelined=arguments.pipelined,
            progress=report,
        )
    trains = _run(case.conversion, own.images[: arguments.spikes], arguments, record=True)
    save_spikes(working / "spikes.npz", trains, own.labels[: trains.n_images])
    metrics = pd.DataFrame([case.keys | _metrics(case, recording, arguments)])
    metrics.to_csv(working / "metrics.csv", index=False)
    _named(case.keys, _layers(case, recording)).to_csv(working / "layers.csv", index=False)


def _run(
    conversion: AlbsnnConversion, images: np.ndarray, arguments: argparse.Namespace, **run: Any
) -> Recording:
    """Recording with the settings of the command line."""
    return simulate(
        conversion.spiking,
        images,
        batch=arguments.batch,
        target=arguments.target,
        seed=arguments.seed,
        **run,
    )


def _metrics(case: Case, recording: Recording, arguments: argparse.Namespace) -> dict[str, Any]:
    own, spiking, options = case.subject, case.conversion.spiking, case.options
    is_same = (recording.scores[:, 0] == own.logits).all(axis=1)
    return {
        "scheme": "albsnn",
        "dataset": arguments.dataset,
        "n_images": recording.n_images,
        "ann_accuracy": accuracy(own.logits, own.labels),
        "snn_accuracy": accuracy(recording.scores[:, -1], own.labels),
        "agreement": float((recording.predictions == own.logits.argmax(axis=1)).mean()),
        "equal_logits": float(is_same.mean()) if options.n_steps == 1 else np.nan,
        "leak": options.leak,
        "reset": options.reset,
        **network_storage(own.network, options.n_steps),
        "spikes_per_image": recording.spikes_per_image,
        "max_spikes_per_neuron": recording.most_spikes,
        "latency_ms": spiking.latency_ms,
        "synaptic_events_per_image": recording.events_per_image,
        "n_neurons": spiking.n_neurons,
        "exact_bits": spiking.needed_bits,
        "target": arguments.target,
        "jobs": arguments.jobs,
        "pipelined": arguments.pipelined,
        "seed": arguments.seed,
        "build_s": recording.build_s,
        "run_s": recording.run_s,
    }


def _layers(case: Case, recording: Recording) -> pd.DataFrame:
    """Storage, events, firing and the last estimates of each weighted layer."""
    own, spiking = case.subject, case.conversion.spiking
    events = {
        projection.target: recording.synaptic_events[projection.name] / recording.n_images
        for projection in spiking.projections
    }
    rates = {
        layer.name: counts.sum() / recording.n_images / layer.n_units / case.keys["n_steps"]
        for layer, counts in zip(recording.layers, recording.spike_counts, strict=True)
    }
    table = layer_storage(own.network)
    target = table["layer"].map(case.conversion.driven)
    table["n_file_bytes"] = table["layer"].map(_file_bytes(own))
    table["operations_per_image"] = table["n_weights"] * table["layer"].map(_positions(own))
    table["events_per_image"] = target.map(events)
    table["spikes_per_neuron_step"] = target.map(rates)
    return table.join(albsnn_conditions.last_estimates(_history(own)), on="layer")


def _positions(own: Subject) -> dict[str, int]:
    """Places at which each layer applies its weights, borders included."""
    return {name: shape[0] * shape[1] for name, shape in own.network.shapes.items()}


def _file_bytes(own: Subject) -> dict[str, int]:
    """Bytes of the weights of each layer in the weight file."""
    found: dict[str, int] = {}
    for name, size in storage.tensor_bytes(own.weights).items():
        layer, field = name.rsplit(".", 1)
        if field in ("kernel", "signs", "scale"):
            found[layer] = found.get(layer, 0) + size
    return found


def _extra(
    working: Path, cases: list[Case], metrics: pd.DataFrame, arguments: argparse.Namespace
) -> None:
    """Tables of all networks: how layers were chosen, and what a study has beyond that."""
    subjects = {case.subject: case for case in cases}
    tables = {"history": [_named(own.keys, _history(own)) for own in subjects]}
    if arguments.study:
        tables["potentials"] = [_potentials(case, arguments) for case in subjects.values()]
        real = [case for case in cases if case.keys["setting"] == albsnn_conditions.REAL]
        tables["timing"] = [_timing(case, arguments) for case in real if case.keys["n_steps"] > 1]
        tables["curve"] = [_curve(own) for own in dict.fromkeys(case.subject for case in real)]
        tables["paper"] = [albsnn_conditions.paper(metrics)]
        tables["cost"] = _cost(cases, arguments)
        # The demands are on Fashion-MNIST; digits are too easy to tell the variants apart.
        if arguments.dataset == "fashion-mnist" and tables["cost"]:
            checks = albsnn_conditions.checks(metrics, tables["cost"][0])
            tables["checks"] = [] if checks is None else [checks]
    for name, parts in tables.items():
        if parts:
            pd.concat(parts).to_csv(working / f"{name}.csv", index=False)


def _cost(cases: list[Case], arguments: argparse.Namespace) -> list[pd.DataFrame]:
    """Binary synapses of the network shown beside real ones of the same weights, if it has any."""
    case = next(case for case in cases if case.subject is cases[-1].subject)  # fewest steps
    if not case.conversion.binary:
        return []
    found = binary_cost.measure(
        case.conversion.spiking,
        case.subject.images[:TIMED_IMAGES],
        rounds=1 if arguments.quick else TIMED_ROUNDS,
        batch=arguments.batch,
        target=arguments.target,
        pipelined=arguments.pipelined,
    )
    return [_named(case.keys, found)]


def _history(own: Subject) -> pd.DataFrame:
    return albsnn_conditions.history(storage.load_info(own.weights))


def _potentials(case: Case, arguments: argparse.Namespace) -> pd.DataFrame:
    """Histogram of the potentials of each layer in the first step, before the reset."""
    images = case.subject.images[: arguments.spikes]
    driving = {b: a for a, b in case.conversion.driven.items()}
    parts = []
    for name, potentials in albsnn_reference.drives(case.conversion, images).items():
        about = {"layer": name, "is_binary": driving[name] in case.conversion.binary}
        parts.append(_named(case.keys | {"n_steps": 1} | about, potential_histogram(potentials)))
    return pd.concat(parts)


def _curve(own: Subject) -> pd.DataFrame:
    """Accuracy and storage as layers of a network of real weights become binary."""
    images, labels = own.images[:CURVE_IMAGES], own.labels[:CURVE_IMAGES]
    keys = own.keys | {"n_images": len(images)}
    return _named(keys, saving_curve(own.network, images, labels))


def _timing(case: Case, arguments: argparse.Namespace) -> pd.DataFrame:
    """Spike trains of a network of real weights beside those after layers were made binary."""
    network, options = case.subject.network, case.options
    images = case.subject.images[: arguments.spikes]
    before = _trains(_run(case.conversion, images, arguments, record=True))
    driven = case.conversion.driven
    alone = {name: [name] for name, target in driven.items() if target != READOUT}
    rows = []
    for label, names in (alone | {"all": list(driven)}).items():
        changed = albsnn.convert(binarised(network, names), options)
        after = _trains(_run(changed, images, arguments, record=True))
        rows += [
            {"layer": layer, "binarised": label} | timing_change(before[layer], after[layer])
            for layer in before
        ]
    return _named(case.keys, pd.DataFrame(rows))


def _trains(recording: Recording) -> dict[str, np.ndarray]:
    """Spikes in each step, 0 or 1, shape (n_images, n_steps, n_units), by layer."""
    spikes, n_steps = recording.spikes, recording.scores.shape[1]
    assert spikes is not None
    found = {}
    for index, layer in enumerate(recording.layers):
        own = spikes.where(spikes.layer == index)
        trains = np.zeros((recording.n_images, n_steps, layer.n_units), dtype=np.int8)
        trains[own.image, own.step - layer.onset, own.neuron] = 1
        found[layer.name] = trains
    return found


def _named(keys: dict[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns of `keys` first."""
    return pd.concat([pd.DataFrame(keys, index=table.index), table], axis=1)


def _print(metrics: pd.DataFrame, layers: pd.DataFrame) -> None:
    keys = ["network", "training_seed", "n_steps"]
    binary = layers[layers["is_binary"]].groupby(keys)["layer"].agg(", ".join)
    for _, row in metrics.iterrows():
        print(
            f"\n{row.scheme}, {row.dataset}, {row.network} (seed {row.training_seed}), "
            f"T = {row.n_steps}"
        )
        common.print_table(
            [
                ("accuracy, trained network", f"{row.ann_accuracy:.2%}"),
                ("accuracy, spiking network", f"{row.snn_accuracy:.2%}"),
                ("storage saved", f"{row.saving:.1%} of the weights"),
                ("binary layers", binary.get(tuple(row[keys]), "none")),
                ("spikes per image", f"{row.spikes_per_image:.0f}"),
                ("synaptic events", f"{row.synaptic_events_per_image:.3g} per image"),
                ("latency", f"{row.latency_ms:g} ms"),
                ("wall time, build and run", f"{row.build_s:.1f} s, {row.run_s:.1f} s"),
            ]
        )


if __name__ == "__main__":
    main()
