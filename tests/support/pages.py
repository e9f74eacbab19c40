"""README and the pages of docs: their code blocks, links and tables."""

import re
from dataclasses import dataclass
from pathlib import Path

from ann2brian.models.places import ROOT

README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ((?:models|studies|analysis)/\S+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self):
        """The file that the block is, named in its first line, or None."""
        found = FILE.match(self.text)
        return found[1] if found else None


def blocks(page):
    """Fenced blocks of a page in order."""
    text = page.read_text()
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in BLOCK.finditer(text)
    ]


def name(page):
    """Path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()
