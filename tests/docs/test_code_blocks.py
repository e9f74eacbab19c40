"""Every code block of README and docs, as a reader would run it."""

import argparse
import contextlib
import importlib
import io
import re
import shlex

import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.places import ROOT

from tests.support.pages import PAGES, blocks, name
from tests.support.recordings import package_or_skip
from tests.support.with_torch import torch_or_skip

NEEDED = {"to_neo": "neo", "to_nwb": "pynwb"}  # packages of blocks that call these
PYTHON = [
    page for page in PAGES if any(b.language == "python" and not b.file for b in blocks(page))
]
COMMANDS = [
    pytest.param(line.partition("#")[0].strip(), id=f"{name(page)}: {line[:60]}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "sh"
    for line in block.text.splitlines()
    if line.partition("#")[0].strip()
]


@pytest.mark.parametrize("page", PYTHON, ids=name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """The blocks of a page, one after the other, on the target that needs no compiler."""
    own = [block for block in blocks(page) if block.language == "python" and not block.file]
    if any("torch" in block.text for block in own):
        torch_or_skip()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(simulate.__kwdefaults__, "target", "numpy")
    names = {"__name__": "__main__"}
    for block in own:
        for word, package in NEEDED.items():
            if word in block.text:
                package_or_skip(package)
        code = "\n" * block.line + block.text  # lines of errors are lines of the page
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, name(page), "exec"), names)


@pytest.mark.parametrize("command", COMMANDS)
def test_shell_commands_exist(command, monkeypatch):
    """Targets of make, and files and flags of studies and of Dask, without running them."""
    words = shlex.split(command)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    if words[0] == "dask":
        package_or_skip("distributed")
        command = importlib.import_module(f"distributed.cli.dask_{words[1]}").main
        command.make_context(words[1], words[2:])  # reads the flags, and no more
        return
    assert words[0] == "python"
    assert (ROOT / words[1]).is_file()
    if words[1] == "studies/train.py":
        torch_or_skip()
    module = importlib.import_module("ann2brian." + words[1].removesuffix(".py").replace("/", "."))
    seen = []

    def parse(self, arguments=None, namespace=None):
        seen.append(parse_args(self, arguments, namespace))
        raise KeyboardInterrupt  # the command is right; it need not run

    parse_args = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        module.main(words[2:])
    assert seen, f"{command}: refused"


def test_every_block_has_a_language_that_is_checked():
    languages = {block.language for page in PAGES for block in blocks(page)}
    assert languages <= {"python", "sh", "text", "diff"}
