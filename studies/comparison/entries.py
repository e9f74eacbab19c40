"""Who takes part: every contender with every network that it can hold, and why others cannot."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from ann2brian.studies.comparison.contenders import Contender, label_of
from ann2brian.studies.frame import flags, importing, study_images
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.network_under_test import Subject, load
from ann2brian.studies.frame.study_images import StudyImages

REFUSED = ["scheme", "condition", "network", "reason"]
NO_NETWORK = "none"


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """A contender with a network that it can hold.

    Parameters
    ----------
    contender : Contender
        Scheme and setting.
    case : Case
        The network converted so.
    network_given : str
        How the command line names the network.
    """

    contender: Contender
    case: Case
    network_given: str

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that name the row in every table."""
        return {"scheme": self.contender.scheme, **self.case.keys}

    def is_like(self, other: Entry) -> bool:
        """Whether both run the same: settings that a network decides are the same for it."""
        return (
            self.contender.scheme == other.contender.scheme
            and self.case.subject is other.case.subject
            and self.case.options == other.case.options
        )


def load_images(arguments: argparse.Namespace) -> StudyImages:
    """Images for everyone; puts the name of their data set into the flags.

    Raises
    ------
    ValueError
        If flags contradict each other, or there are no such images.
    """
    own = arguments.own_images
    if own and arguments.dataset:
        raise ValueError(
            f"--dataset {arguments.dataset}: --images names other images; leave one of them out"
        )
    if own and arguments.network is None:
        raise ValueError(f"--images {own}: name a network for them: --network")
    source = study_images.load(
        arguments.dataset or "digits",
        own=own,
        n_images=arguments.images,
        has_fewer=arguments.quick,
        own_calibration=arguments.calibration_images,
        n_calibration=flags.n_calibration(arguments),
        seed=arguments.seed,
        data=arguments.data,
    )
    arguments.dataset = source.name  # as it is, in tables and configuration
    return source


def entries(
    contenders: Sequence[Contender], source: StudyImages, arguments: argparse.Namespace
) -> tuple[list[Entry], pd.DataFrame]:
    """Convert every network for every contender.

    Parameters
    ----------
    contenders : sequence of Contender
        Who may take part.
    source : StudyImages
        Of :func:`load_images`.
    arguments : Namespace
        Flags.

    Returns
    -------
    (list of Entry, DataFrame)
        Who does; and scheme, condition, network and reason of those who cannot.

    Raises
    ------
    ValueError
        If a network cannot be read, does not fit the images, or is named twice.
    """
    seen = importing.InputFlags.of(arguments)
    given = arguments.network or ()
    paths = {name: importing.network_path(name, seen) for name in given}  # before all else
    if any(one.reads_calibration for one in contenders) and (
        source.dataset is not None or source.own_calibration is not None
    ):
        _ = source.calibration  # what is wrong with it is no refusal of a scheme
    subjects: dict[str, Subject] = {}

    def subject_of(name: str) -> Subject:
        if name not in subjects:
            path: Path = paths.get(name) or importing.network_path(name, seen)
            subjects[name] = load(path, source, any_classes=arguments.any_classes, seen=seen)
        return subjects[name]

    for name, count in Counter(given).items():
        if count > 1:
            raise ValueError(f"--network {name}: is named {count} times; name each network once")
        subject_of(name)
    found: list[Entry] = []
    refused: list[dict[str, str]] = []
    for contender in contenders:
        for name in given or [None]:
            try:
                known = contender.network_for(arguments.dataset) if name is None else name
            except ValueError as error:
                refused.append(_refusal(contender, NO_NETWORK, error))
                continue
            subject = subject_of(known)
            try:
                entry = _entry(contender, subject, known)
            except ValueError as error:
                refused.append(_refusal(contender, subject.network.name, error))
                continue
            if not any(entry.is_like(other) for other in found):
                found.append(entry)
    _require_distinct(found)
    return found, refused_table(refused)


def _entry(contender: Contender, subject: Subject, given: str) -> Entry:
    options = contender.options_for(subject.network)
    case = Case(subject=subject, options=options, label=label_of(options))
    _ = case.conversion  # refused, if it is, before anything runs
    return Entry(contender=contender, case=case, network_given=given)


def _refusal(contender: Contender, network: str, error: ValueError) -> dict[str, str]:
    values = (contender.scheme, contender.name, network, " ".join(str(error).split()))
    return dict(zip(REFUSED, values, strict=True))


def refused_table(rows: Sequence[dict[str, str]]) -> pd.DataFrame:
    """Refusals; those of one scheme for one reason are one row."""
    table = pd.DataFrame(rows, columns=REFUSED)
    same = ["scheme", "network", "reason"]
    joined = table.groupby(same, sort=False)["condition"].agg(", ".join).reset_index()
    return joined[REFUSED]


def _require_distinct(found: Sequence[Entry]) -> None:
    seen: set[tuple] = set()
    for entry in found:
        key = tuple(entry.keys.values())
        if key in seen:
            raise ValueError(f"{entry.case.title}: would be run twice; name each network once")
        seen.add(key)
