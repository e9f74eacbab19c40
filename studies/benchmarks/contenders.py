"""Contenders of a comparison: each in a process of its own, measured in turns.

What else the machine does then disturbs all of them alike, and their ratio is taken round by
round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd
from ann2brian.models.places import ROOT
from ann2brian.studies.benchmarks.subjects import Subject

THIS, PREVIOUS, LIMITS = "this", "previous", "limits"
WORKER = Path(__file__).with_name("worker.py")
MODULES = {LIMITS: "ann2brian.studies.benchmarks.limits"}
PEER_MODULE = "ann2brian.studies.benchmarks.peers"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one contender does.

    Parameters
    ----------
    subject : Subject
        Network and images.
    n_images : int
        Presented in each measurement.
    program : str
        `THIS` project, its `PREVIOUS` release, `LIMITS` of the processor, or the name of a peer.
    scheme, options : str, mapping
        How this project converts; peers read ``n_steps``.
    batch : int, optional
        Images side by side.
    threads : int
        Of a peer, or processes of this project.
    connections : str
        ``"shared"`` kernels, ``"explicit"`` synapses, or ``"none"``.
    cut : tuple of str
        Connections that are taken away.
    record, profile : bool
        Whether all spikes are recorded, and whether parts of a step are timed.
    """

    subject: Subject
    n_images: int
    program: str = THIS
    scheme: str = "burst"
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    threads: int = 1
    connections: str = "shared"
    cut: tuple[str, ...] = ()
    record: bool = False
    profile: bool = False

    def to_json(self, folder: Path, data: Path | None) -> str:
        """The task as its process reads it; network and images are written to `folder`."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "subject"}
        return json.dumps(own | self.subject.store(folder, self.n_images, data))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison.

    Parameters
    ----------
    name : str
        As tables call it.
    tasks : mapping of str to Task
        By the names of the contenders, in the order of their turns.
    same : tuple of str
        Contenders that must give the same spikes, scores and events.
    builds_anew : bool
        Each round is a process and a build cache of its own, so that the first build counts.
    """

    name: str
    tasks: Mapping[str, Task]
    same: tuple[str, ...] = ()
    builds_anew: bool = False


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where contenders work.

    Parameters
    ----------
    folder : Path
        For networks, images, builds and logs.
    data : Path or None
        Folder with the data sets.
    previous : Path or None
        Checkout of the previous release.
    """

    folder: Path
    data: Path | None = None
    previous: Path | None = None

    def checkout(self, program: str) -> Path:
        """Folder whose code a program runs."""
        if program != PREVIOUS:
            return ROOT
        if self.previous is None:
            raise ValueError("the previous release is measured from a checkout: --against PATH")
        return self.previous


class Contender:
    """A process that is prepared and measures when it is told to.

    Parameters
    ----------
    name : str
        For messages.
    task : Task
        What it does.
    room : Room
        Where it works.
    cache : Path, optional
        Its build cache; by default the room's.

    Raises
    ------
    RuntimeError
        If its process fails, when the message holds the last line that it printed, or runs the
        code of another checkout.
    """

    def __init__(self, name: str, task: Task, room: Room, cache: Path | None = None) -> None:
        # By its path and not as a module: the previous release has no such file.
        program = [str(WORKER)]
        if task.program not in (THIS, PREVIOUS):
            program = ["-m", MODULES.get(task.program, PEER_MODULE)]
        # Peers take threads in place of our processes, of which each has one.
        threads = 1 if task.program in (THIS, PREVIOUS) else task.threads
        checkout = str(room.checkout(task.program))
        environment = {
            **os.environ,
            **dict.fromkeys(THREADS, str(threads)),
            "PYTHONPATH": checkout,
            "ANN2BRIAN_CACHE": str(cache or room.folder / f"cache-{task.program}"),
        }
        question = task.to_json(room.folder, room.data)
        self._name = name
        self._log = tempfile.TemporaryFile(dir=room.folder)  # noqa: SIM115, closed at the end
        self._process = subprocess.Popen(
            [sys.executable, "-P", *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        try:
            self.facts = self._answer(question)
            if (found := self.facts.pop("checkout", checkout)) != checkout:
                raise RuntimeError(f"{name}: ran the code of {found} in place of {checkout}")
        except BaseException:
            self.__exit__()
            raise

    def measure(self) -> dict[str, Any]:
        """Measure once."""
        return self._answer("")

    def _answer(self, line: str) -> dict[str, Any]:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        with suppress(BrokenPipeError):  # of a process that has ended, which is told below
            asked.write(f"{line}\n")
            asked.flush()
        answer = answers.readline()
        if not answer:
            status = self._process.wait()
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip().split("\n")[-1]
            raise RuntimeError(f"{self._name}: its process ended with status {status}: {said}")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._process.terminate()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with suppress(BrokenPipeError):  # what it was not told any more
                stream.close()  # type: ignore[union-attr]
        self._process.wait()


def compare(
    case: Case, room: Room, rounds: int, tell: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """Measure the contenders of a case in turns.

    Parameters
    ----------
    case : Case
        What is compared.
    room : Room
        Where contenders work.
    rounds : int
        Measurements of each.
    tell : callable
        Called with what is done now.

    Returns
    -------
    DataFrame
        One row for each round and contender: case, contender, round, and what it measured.

    Raises
    ------
    RuntimeError
        If a process fails, or contenders that must give the same spikes do not.
    """
    rows = list(
        _rebuilt(case, room, rounds, tell)
        if case.builds_anew
        else _in_turns(case, room, rounds, tell)
    )
    _check_same(case, rows)
    return pd.DataFrame(rows)


def _in_turns(
    case: Case, room: Room, rounds: int, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        contenders = {}
        for name, task in case.tasks.items():
            tell(f"{name}: prepares")
            label = f"{case.name}, {name}"
            contenders[name] = stack.enter_context(Contender(label, task, room))
        for number in range(rounds):
            for name, contender in contenders.items():
                tell(f"{name}: round {number + 1} of {rounds}")
                yield _row(case, name, number, contender.facts, contender.measure())


def _rebuilt(
    case: Case, room: Room, rounds: int, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    for number in range(rounds):
        for name, task in case.tasks.items():
            tell(f"{name}: round {number + 1} of {rounds}")
            with (
                tempfile.TemporaryDirectory(dir=room.folder) as cache,
                Contender(f"{case.name}, {name}", task, room, Path(cache)) as contender,
            ):
                yield _row(case, name, number, contender.facts, contender.measure())


def _row(
    case: Case, name: str, number: int, facts: dict[str, Any], found: dict[str, Any]
) -> dict[str, Any]:
    task = case.tasks[name]
    about = {"threads": task.threads, "program": task.program}
    return {"case": case.name, "contender": name, "round": number, **about, **facts, **found}


def _check_same(case: Case, rows: list[dict[str, Any]]) -> None:
    """Refuse other spikes, and other events where no synapses are explicit, which count none."""
    columns = {"digest": "spikes", "events_digest": "synaptic events"}
    if any(case.tasks[name].connections != "shared" for name in case.same):
        del columns["events_digest"]
    for column, what in columns.items():
        digests = {row["contender"]: row[column] for row in rows if row["contender"] in case.same}
        if len(set(digests.values())) > 1:
            raise RuntimeError(f"{case.name}: {' and '.join(digests)} gave different {what}")
