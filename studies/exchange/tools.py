"""Tools in environments of their own, or in this one, write their networks in a process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ann2brian.models.places import ROOT
from ann2brian.studies.exchange.writers import WRITERS, Writer


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A writer and the Python that has its packages.

    Parameters
    ----------
    writer : Writer
        What is written.
    python : str
        Program that writes.
    versions : mapping of str to str
        Of the tool and the packages of the format.
    """

    writer: Writer
    python: str
    versions: Mapping[str, str]

    @property
    def tool(self) -> str:
        """That writes."""
        return self.writer.tool

    def write(self, folder: Path) -> None:
        """Write all its networks.

        Raises
        ------
        RuntimeError
            If it stops; the message has its last line.
        """
        done = _run(self.python, self.writer.name, "--out", str(folder.resolve()))
        if done.returncode:
            raise RuntimeError(f"{self.writer.name}: the tool stopped: {_last(done.stderr)}")


def found(pythons: Mapping[str, str], default: str) -> tuple[list[Tool], dict[str, str]]:
    """Writers that can write, and by name of the others why they cannot.

    Parameters
    ----------
    pythons : mapping of str to str
        By writer, a Python of its own.
    default : str
        Python of the others.
    """
    tools, missing = [], {}
    for name, writer in WRITERS.items():
        python = pythons.get(name, default)
        done = _run(python, name, "--versions")
        if done.returncode:
            missing[name] = _last(done.stderr).removeprefix(f"{name}: ")
        else:
            versions = json.loads(done.stdout.splitlines()[-1])[name]
            tools.append(Tool(writer=writer, python=python, versions=versions))
    return tools, missing


def remedy(name: str, why: str) -> str:
    """What to do about a writer that cannot write here."""
    packages = " ".join(f"{own}=={version}" for own, version in WRITERS[name].packages.items())
    return (
        f"{name} is left out: {why}; to include it: --python {name}=PATH, the Python of an "
        f"environment with {packages}"
    )


def _run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "studies.exchange.writers", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise ValueError(f"{python}: cannot be run: {error.strerror}") from error


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "without a word"
