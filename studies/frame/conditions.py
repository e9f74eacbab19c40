"""Studies of several networks under several conditions: which there are, and what they are called.

A case is one network under one condition. Each scheme has a class of its own for it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from ann2brian.studies.frame import network_under_test as subject
from ann2brian.studies.frame.network_under_test import Subject


class Case(Protocol):
    """What every scheme's case says of itself."""

    @property
    def subject(self) -> Subject:
        """Network and images."""

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that name the case in every table."""

    @property
    def title(self) -> str:
        """The same in one line."""

    @property
    def options(self) -> Any:
        """How the network is converted, a dataclass."""


def load_subjects(arguments: argparse.Namespace, default: str) -> list[Subject]:
    """Load every network that ``--network`` names.

    Parameters
    ----------
    arguments : Namespace
        See :func:`studies.frame.network_under_test.load`.
    default : str
        Network if none is named.

    Returns
    -------
    list of Subject
        In the order of the flag.
    """
    return [
        subject.load(argparse.Namespace(**{**vars(arguments), "network": name}), default)
        for name in arguments.network or [default]
    ]


def shown_of(found: Sequence[Subject], setting: str) -> Subject:
    """The network whose details are shown.

    Parameters
    ----------
    found : sequence of Subject
        All networks.
    setting : str
        Wanted.

    Returns
    -------
    Subject
        The first with this setting, or else the first.
    """
    return next((own for own in found if own.setting == setting), found[0])


def require_distinct(found: Sequence[Case]) -> None:
    """Refuse cases that no table could tell apart.

    Parameters
    ----------
    found : sequence of Case
        All cases.

    Raises
    ------
    ValueError
        If two have the same title.
    """
    for title, count in Counter(case.title for case in found).items():
        if count > 1:
            raise ValueError(f"{title}: would be run twice; name each network and seed once")


def configuration(
    scheme: str, arguments: argparse.Namespace, found: Sequence[Case]
) -> dict[str, Any]:
    """What decides the numbers of a study, for its result folder.

    Parameters
    ----------
    scheme : str
        Its name.
    arguments : Namespace
        All flags.
    found : sequence of Case
        All cases.

    Returns
    -------
    dict
        JSON values.
    """
    first = found[0].subject
    return {
        "scheme": scheme,
        "weights_sha256": [case.subject.weights_sha256 for case in found],
        **{k: v for k, v in vars(arguments).items() if k not in ("out", "data", "network")},
        "images": len(first.images),
        "is_whole_test_split": first.is_whole,
        "conditions": [case.keys | asdict(case.options) for case in found],
    }


def result_label(arguments: argparse.Namespace, found: Sequence[Case]) -> str:
    """How the result folder is called.

    Parameters
    ----------
    arguments : Namespace
        All flags.
    found : sequence of Case
        All cases.

    Returns
    -------
    str
        Data set, ``study`` if it is one, and the network if there is only one.
    """
    parts = [arguments.dataset, *(["study"] if arguments.study else [])]
    if len({case.subject.weights_sha256 for case in found}) == 1:
        parts.append(found[0].subject.network.name)
    return "-".join(parts)
