"""A study: a scheme, its networks and conditions, and what is measured; and the loop that runs it.

A study declares itself as ``STUDY`` (``studies/<scheme>/study.py``); ``studies/run_<scheme>.py``
runs it. What every study has stands here and beside: flags, resuming, common numbers, printing,
provenance, figures. A scheme adds columns, tables, figures and conditions only.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.models.conversion.options import options_of
from ann2brian.models.conversion.scheme import Scheme
from ann2brian.models.spiking.recording import Recording
from ann2brian.studies.frame import console, flags, importing, measures, study_images
from ann2brian.studies.frame.conditions import Case, require_distinct
from ann2brian.studies.frame.figures import Draw, make_figures
from ann2brian.studies.frame.measures import Run
from ann2brian.studies.frame.network_under_test import Subject, load
from ann2brian.studies.frame.provenance import provenance
from ann2brian.studies.frame.publishing import Published
from ann2brian.studies.frame.report import try_report
from ann2brian.studies.frame.result_folder import ResultFolder
from ann2brian.studies.frame.spike_files import SPIKES, save_spikes
from ann2brian.studies.frame.task import Report, Task
from ann2brian.studies.frame.work import computed

Arguments = argparse.Namespace
Tables = dict[str, pd.DataFrame]
CHECKED = "fashion-mnist"  # whose studies are checked; digits are too easy to tell methods apart


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


def _no_parts(_: Sequence[Case]) -> Sequence[str]:
    return ()


def _logits(case: Case, _: Any) -> np.ndarray:
    return case.subject.logits


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """What a study of a scheme consists of.

    Parameters
    ----------
    scheme : Scheme
        Whose options are the flags.
    networks : mapping of str to str
        Default network of each data set.
    conditions : callable
        ``conditions(subjects, asked, arguments)``: cases, the one to be shown last; `asked` has
        the options of the command line, the product of all sweeps.
    figures : sequence of callable
        Each draws a :class:`~studies.frame.figures.Result`, or returns None.
    published : Published
        What is published of its results.
    sweeps : sequence of str
        Options that take several values.
    unused : sequence of str
        Options that no network of these data sets reads; they have no flag.
    imports_refused : str
        Why no ONNX or Keras file holds a network for it, and what to do; then there are no flags
        for an import.
    by_network : mapping of str to str
        Options whose default depends on the network, and what it is.
    add_flags : callable
        Adds further flags to a parser.
    default_network : callable, optional
        ``default_network(arguments)``, if it depends on more than the data set.
    takes_sequences : bool
        ``--spikes`` may name a file with input that changes from step to step.
    compares_networks : bool
        ``--network`` takes several.
    comparisons : str
        What ``--study`` runs beyond what is asked for; empty if there is no such flag.
    quick : mapping of str to int
        Flags and their largest value with ``--quick``.
    n_spikes : int
        Images whose spike trains are analysed by default.
    records_all : int
        Neurons times images up to which all spike trains are kept.
    trained_scores : callable
        ``trained_scores(case, recording)``: scores of the network as it was trained; by default
        its logits.
    columns, time_columns : callable
        Of a :class:`~studies.frame.measures.Run`: columns that the scheme adds to ``metrics`` and
        ``time``.
    tables : callable
        Of a run: further tables, by name.
    summaries : callable
        ``summaries(cases, tables, arguments)``: tables of all cases, from ``metrics`` and
        ``time``.
    checks : callable, optional
        ``checks(tables, arguments)``: what must hold of a whole study, None if something is left
        out.
    printed : callable
        ``printed(row, tables)``: rows that the scheme adds to the printed summary of a case, from
        its row of ``metrics`` and its rows of the other tables.
    remarks : mapping of str to str
        Tables that are printed at the end, and the line above each.
    label : callable
        ``label(cases)``: what the name of a result folder tells beyond data set and network.
    """

    scheme: Scheme
    networks: Mapping[str, str]
    conditions: Callable[[list[Subject], list[Any], Arguments], list[Case]]
    figures: Sequence[Draw]
    published: Published
    sweeps: Sequence[str] = ()
    unused: Sequence[str] = ()
    imports_refused: str = ""
    by_network: Mapping[str, str] = field(default_factory=dict)
    add_flags: flags.AddFlags = _nothing  # type: ignore[assignment]
    default_network: Callable[[Arguments], str] | None = None
    takes_sequences: bool = False
    compares_networks: bool = False
    comparisons: str = ""
    quick: Mapping[str, int] = field(default_factory=dict)
    n_spikes: int = 100
    records_all: int = 0
    trained_scores: Callable[[Case, Any], np.ndarray] = _logits
    columns: measures.Columns = _nothing
    time_columns: measures.Columns = _nothing
    tables: Callable[[Run], Tables] = _nothing
    summaries: Callable[[list[Case], Tables, Arguments], Tables] = _nothing
    checks: Callable[[Tables, Arguments], pd.DataFrame | None] | None = None
    printed: Callable[[Any, Tables], dict[str, str]] = _nothing
    remarks: Mapping[str, str] = field(default_factory=dict)
    label: Callable[[Sequence[Case]], Sequence[str]] = _no_parts

    @property
    def name(self) -> str:
        """Of the scheme, and of the folder with its results."""
        return self.scheme.name

    @property
    def imports(self) -> bool:
        """Whether ``--network`` takes files of other frameworks."""
        if self.imports_refused:
            return False
        options = options_of(self.scheme.options)
        return importing.takes_input_flags([flags.place_of(option) for option in options])

    def parser(self, about: str | None = None) -> argparse.ArgumentParser:
        """Flags: what every study has, and one for each option of the scheme."""
        parser = argparse.ArgumentParser(
            description=about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        flags.add_subject_flags(
            parser,
            self.networks,
            takes_several=self.compares_networks,
            reads_calibration=self.scheme.reads_calibration,
            imports=self.imports,
        )
        if self.comparisons:
            parser.add_argument("--study", action="store_true", help=self.comparisons)
        self.add_flags(parser)
        if self.imports:
            importing.add_input_flags(
                parser.add_argument_group("how an imported network sees an image")
            )
        flags.add_option_flags(
            parser,
            self.scheme.options,
            sweeps=self.sweeps,
            unused=self.unused,
            by_network=self.by_network,
        )
        flags.add_run_flags(parser, self.n_spikes, takes_sequences=self.takes_sequences)
        return parser


def run(study: Study, argv: Sequence[str] | None = None, about: str | None = None) -> Path:
    """Run a study.

    Parameters
    ----------
    study : Study
        What to run.
    argv : sequence of str, optional
        Flags; by default those of the process.
    about : str, optional
        For ``--help``.

    Returns
    -------
    Path
        The result folder.

    Raises
    ------
    Refused
        If the input is bad; the printed line names flag or file, and value.
    """
    arguments = study.parser(about).parse_args(argv)
    with console.refusals(), console.notes():
        return _run(study, arguments)


def _run(study: Study, arguments: Arguments) -> Path:
    if arguments.quick:
        flags.reduce(arguments, study.quick)
    subjects = _subjects(study, arguments)
    networks = [subject.network for subject in subjects]
    flags.tell_as_trained(arguments, study.scheme.options, networks)
    if arguments.quick:
        flags.reduce(arguments, study.quick)  # what the networks told, too
    asked = flags.options_asked(study.scheme.options, arguments)
    cases = study.conditions(subjects, asked, arguments)
    require_distinct(cases)
    for case in cases:
        _ = case.conversion  # what cannot be converted is refused before anything runs
    if study.scheme.reads_calibration:  # as many as there are, in tables and configuration
        arguments.calibration = len(subjects[0].source.calibration.images)
    config = _configuration(study, arguments, cases)
    conditions = f"{len(cases)} condition{'s' if len(cases) > 1 else ''}"
    print(f"{len(subjects[0].images)} test images, {conditions}")

    def summarise(path: Path, done: Sequence[Path]) -> None:
        _summarise(path, study, cases, done, arguments)

    parent = arguments.out / study.name
    label = _label(study, arguments, cases)
    with ResultFolder(parent, label, config, rerun=arguments.rerun) as folder:
        tasks = [
            _task(f"{number:03d}", study, case, arguments, is_shown=case is cases[-1])
            for number, case in enumerate(cases)
        ]
        done = computed(folder, tasks, scheduler=arguments.scheduler, jobs=arguments.jobs)
        summary = folder.condition("all", lambda path: summarise(path, done))
        result = folder.finish([summary, *done], provenance(arguments.seed, arguments.target))
    figures = make_figures(result, study.figures)
    page = try_report(result, study.figures)
    _print(study, result, cases)
    print(f"results: {result}\nfigures: {figures[0].parent if figures else 'none'}")
    print(f"report: {page or 'none'}")
    return result


def _subjects(study: Study, arguments: Arguments) -> list[Subject]:
    """Every network that ``--network`` names, in its order, and the images for all of them."""
    names = _networks(study, arguments)
    seen = importing.InputFlags.of(arguments) if study.imports else None
    paths = [  # before anything is loaded
        importing.network_path(name, seen, study.imports_refused) for name in names
    ]
    needs_own = study.scheme.reads_calibration and arguments.own_images
    if needs_own and arguments.calibration_images is None:
        raise ValueError(
            f"--images {arguments.own_images}: ranges are read from training images; name them "
            "with --calibration-images"
        )
    source = study_images.load(
        arguments.dataset,
        own=arguments.own_images,
        own_spikes=arguments.own_spikes,
        dt_ms=getattr(arguments, "dt_ms", None),
        n_steps=getattr(arguments, "steps", None) if study.takes_sequences else None,
        n_images=arguments.images,
        has_fewer=arguments.quick,
        own_calibration=arguments.calibration_images,
        n_calibration=flags.n_calibration(arguments),
        seed=arguments.seed,
        data=arguments.data,
    )
    arguments.dataset = source.name  # as it is, in tables and configuration
    return [load(path, source, any_classes=arguments.any_classes, seen=seen) for path in paths]


def _networks(study: Study, arguments: Arguments) -> list[str]:
    """Names of the networks, by data set if none was named; sets the data set."""
    if arguments.own_images and arguments.dataset:
        raise ValueError(
            f"--dataset {arguments.dataset}: --images names other images; leave one of them out"
        )
    names = arguments.network
    for flag, own in (("--images", arguments.own_images), ("--spikes", arguments.own_spikes)):
        if names is None and own:
            raise ValueError(f"{flag} {own}: name a network for them: --network")
    if arguments.own_spikes and (arguments.dataset or arguments.own_images):
        raise ValueError(
            f"--spikes {arguments.own_spikes}: another flag names images; leave one of them out"
        )
    arguments.dataset = arguments.dataset or next(iter(study.networks))
    if names is None and arguments.dataset not in study.networks:
        raise ValueError(
            f"--dataset {arguments.dataset}: no {study.name} network is shipped for it; name one "
            f"with --network (shipped for {', '.join(study.networks)})"
        )
    if names is None:
        of = study.default_network
        names = study.networks[arguments.dataset] if of is None else of(arguments)
    return names if isinstance(names, list) else [names]


NOT_IN_CONFIGURATION = (  # by content
    *("out", "data", "network", "own_images", "own_spikes", "calibration_images"),
    *("scheduler", "rerun"),  # which must not change a number
)


def _configuration(study: Study, arguments: Arguments, cases: Sequence[Case]) -> dict[str, Any]:
    """What decides the numbers of a study."""
    first = cases[0].subject
    config = {
        "scheme": study.name,
        "weights_sha256": [case.subject.weights_sha256 for case in cases],
        **{k: v for k, v in vars(arguments).items() if k not in NOT_IN_CONFIGURATION},
        "images": len(first.images),
        "images_sha256": first.source.sha256,
        "is_whole_test_split": first.source.is_whole,
        "conditions": [case.keys | asdict(case.options) for case in cases],
    }
    if any(case.reads_calibration for case in cases):
        config["calibration_sha256"] = first.source.calibration_sha256
        config["own_calibration"] = first.source.own_calibration is not None
    if not study.compares_networks:
        config |= {"network": first.network.name, "weights_sha256": first.weights_sha256}
    return config


def _label(study: Study, arguments: Arguments, cases: Sequence[Case]) -> str:
    """Readable part of a result's name: data set, network if it is one, study, size of gates."""
    parts = [arguments.dataset]
    if len({case.subject.weights_sha256 for case in cases}) == 1:
        parts.append(cases[0].subject.network.name)
    if study.comparisons and arguments.study:
        parts.append("study")
    return "-".join([*parts, *study.label(cases)])


def _task(name: str, study: Study, case: Case, arguments: Arguments, *, is_shown: bool) -> Task:
    """What is simulated and written of one case."""
    spiking, images = case.conversion.spiking, case.subject.images
    is_small = spiking.n_neurons * len(images) <= study.records_all
    is_kept = is_small or (len(images) <= arguments.spikes and not arguments.pipelined)
    simulate = partial(
        measures.simulated, arguments=arguments, pipelined=arguments.pipelined, record=is_kept
    )
    return Task(
        name=name,
        simulate=partial(_shard, partial(simulate, spiking), images),
        n_images=len(images),
        write=partial(_write, study, case, arguments, is_shown),
        whole=partial(_whole, partial(simulate, spiking, images)),
        title=case.title,
        about=f"{case.title}: {spiking.n_neurons} neurons, {spiking.n_synapses} synapses",
    )


def _shard(
    simulate: Callable[..., Recording], images: np.ndarray, start: int, stop: int
) -> Recording:
    return simulate(images[start:stop], jobs=1, first_image=start)


def _whole(simulate: Callable[..., Recording], jobs: int, report: Report) -> Recording:
    return simulate(jobs=jobs, progress=report)


def _write(
    study: Study,
    case: Case,
    arguments: Arguments,
    is_shown: bool,
    working: Path,
    recording: Recording,
) -> None:
    """Write the tables of one case, and its spike trains if it is the one that is shown."""
    done = Run(
        case=case,
        recording=recording,
        trained=study.trained_scores(case, recording),
        arguments=arguments,
    )
    options = study.scheme.options
    tables = {
        "metrics": measures.metrics(done, study.name, options, study.columns(done)),
        "time": measures.over_time(done, study.time_columns(done)),
        **study.tables(done),
    }
    for name, table in tables.items():
        if name != "metrics":
            table = measures.named(case.keys, table)
        table.to_csv(working / f"{name}.csv", index=False)
    if is_shown:
        labels = case.subject.labels[: done.trains.n_images]
        save_spikes(working / SPIKES, done.trains, labels, case.subject.network.classes)


def _summarise(
    working: Path, study: Study, cases: list[Case], done: Sequence[Path], arguments: Arguments
) -> None:
    """Write the tables of all cases together."""
    tables = {
        name: pd.concat([pd.read_csv(path / f"{name}.csv") for path in done], ignore_index=True)
        for name in ("metrics", "time")
    }
    summaries = study.summaries(cases, tables, arguments)
    if study.checks and arguments.study and arguments.dataset == CHECKED:
        checks = study.checks(tables | summaries, arguments)
        if checks is not None:
            summaries["checks"] = checks
    for name, table in summaries.items():
        table.to_csv(working / f"{name}.csv", index=False)


def _print(study: Study, result: Path, cases: Sequence[Case]) -> None:
    """Print what a reader asks first of each case, and the tables at the end."""
    tables = {path.stem: pd.read_csv(path) for path in sorted(result.glob("*.csv"))}
    metrics = tables["metrics"]
    for number, (_, row) in enumerate(metrics.iterrows()):
        case, keys = cases[number], list(cases[number].keys)
        own = {
            name: table[(table[keys] == metrics.loc[number, keys]).all(axis=1)]
            for name, table in tables.items()
            if set(keys) <= set(table)
        }
        origin = f" ({case.subject.origin})" if study.compares_networks else ""
        print(f"\n{study.name}, {row.dataset}, {row.network}{origin}, {case.label}")
        console.print_table(
            {
                "accuracy, trained network": f"{row.ann_accuracy:.2%}",
                "accuracy, spiking network": f"{row.snn_accuracy:.2%}",
                "agreement of the two": f"{row.agreement:.2%} of {row.n_images} images",
                **study.printed(row, own),
                "spikes per image": f"{row.spikes_per_image:.0f}",
                "most spikes of any neuron": f"{row.max_spikes_per_neuron} per image",
                "synaptic events": f"{row.synaptic_events_per_image:.3g} per image",
                "biological time": f"{row.latency_ms:g} ms",
                "wall time, build and run": f"{row.build_s:.1f} s, {row.run_s:.1f} s",
            }.items()
        )
    for name, title in study.remarks.items():
        if name in tables and not tables[name].empty:
            shown = tables[name].to_string(index=False, float_format=lambda x: f"{x:.4g}")
            print(f"\n{title}:\n{shown}")
