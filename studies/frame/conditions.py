"""Cases of a study: one network under one condition, and what each is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ann2brian.models.schemes import scheme_of
from ann2brian.studies.frame.network_under_test import Subject


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One network under one condition.

    Parameters
    ----------
    subject : Subject
        Network and images.
    options : Options
        How it is converted; their type says by which scheme.
    label : str
        Readable name of the condition.
    named_by : dict of str to value
        Columns that name the condition in every table; by default ``condition``, the label.
    """

    subject: Subject
    options: Any
    label: str
    named_by: dict[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that name the case in every table."""
        return self.subject.keys | (self.named_by or {"condition": self.label})

    @property
    def title(self) -> str:
        """Network, seed or origin, and condition in one line."""
        return f"{self.subject.network.name}, {self.subject.origin}, {self.label}"

    @property
    def reads_calibration(self) -> bool:
        """Whether its scheme reads training images."""
        return scheme_of(self.options).reads_calibration

    @cached_property
    def conversion(self) -> Any:
        """The network converted by the scheme of the options."""
        return self.converted(self.options)

    def converted(self, options: Any) -> Any:
        """The network converted in another way."""
        scheme = scheme_of(options)
        calibration = self.subject.calibration if scheme.reads_calibration else None
        return scheme.convert(self.subject.network, options, calibration)


def require_distinct(cases: Sequence[Case]) -> None:
    """Refuse cases that no table could tell apart.

    Raises
    ------
    ValueError
        If two have the same title.
    """
    for title, count in Counter(case.title for case in cases).items():
        if count > 1:
            raise ValueError(f"{title}: would be run twice; name each network and seed once")
