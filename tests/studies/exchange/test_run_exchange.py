"""The command: tools that are here and are not, files of before, resuming, what is published."""

import json
import shutil
import sys

import pandas as pd
import pytest
from ann2brian.studies import run_exchange
from ann2brian.studies.exchange import published, tools
from ann2brian.studies.exchange.conventions import DEFINITION, MEANT
from ann2brian.studies.exchange.writers import WRITERS

from tests.support.nir_files import FIXTURES

pytest.importorskip("h5py")
FEW = ("norse_iaf_grid", "norse_iaf_free", "rockpool_lif_bias_free")


@pytest.fixture
def files(tmp_path):
    """A folder with a few files of writers."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in FEW:
        shutil.copy2(FIXTURES / f"{name}.npz", folder)
    return folder


def run(out, *flags):
    return run_exchange.main([*map(str, flags), "--target", "numpy", "--out", str(out)])


def test_files_of_before(files, tmp_path, capsys):
    """Rows of each file, what is printed of them, and the table of the page."""
    result = run(tmp_path, "--files", files)
    assert result.parent.name == "exchange-parts"  # of some tools
    rows = pd.read_csv(result / "metrics.csv")
    assert rows.file.tolist() == [name for name in sorted(FEW) for _ in range(2)]
    assert rows.reading.tolist() == [MEANT, DEFINITION] * 3
    printed = capsys.readouterr().out
    assert "norse, 2 networks, 1,973 spikes" in printed
    assert (
        "rockpool_lif_bias_free, whose file has lost bias: 845 spikes differ, first in " in printed
    )
    assert "step 3 of node 1_LIFTorch" in printed
    table = published.exchange_table(published.collect([result])["exchange"]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[2:]]
    assert cells == [
        ["norse", "IF", "value", "", "2", "1,973", "0", "0", "100%, from step 0"],
        ["rockpool", "CubaLIF", "subtract", "bias", "1", "4,834"]
        + ["845, from step 3, node 1_LIFTorch"] * 2
        + ["99%, from step 3"],
    ]


def test_a_stopped_run_continues(files, tmp_path, monkeypatch):
    """Networks that were finished are not run again."""
    real, made = run_exchange.compared, []

    def stop_at_second(written, target):
        made.append(written.name)
        if len(made) == 2:
            raise RuntimeError("stopped here")
        return real(written, target)

    monkeypatch.setattr(run_exchange, "compared", stop_at_second)
    with pytest.raises(SystemExit):
        run(tmp_path, "--files", files)
    run(tmp_path, "--files", files)
    assert made == [sorted(FEW)[0], *sorted(FEW)[1:2] * 2, sorted(FEW)[2]]


def test_a_tool_that_is_not_installed_is_skipped_by_name(monkeypatch, tmp_path, capsys):
    """Each with what it needs; and without any tool, what to do."""
    few = {name: WRITERS[name] for name in ("spyx", "sinabs")}
    monkeypatch.setattr(tools, "WRITERS", few)
    with pytest.raises(SystemExit):
        run(tmp_path)
    said = capsys.readouterr().err
    assert (
        "sinabs is left out: sinabs is not installed; to include it: --python sinabs=PATH" in said
    )
    assert "spyx==1.0.0 nir==1.0.8 jax==0.10.2 flax==0.12.8" in said
    assert "error: no tool can write here; files of before: --files tests/data/nir" in said


@pytest.fixture
def other_python(files, tmp_path):
    """A stand-in for the Python of an environment with norse, which writes two networks."""
    path = tmp_path / "bin" / "python"
    path.parent.mkdir()
    versions = json.dumps({"norse": {"norse": "9.9"}})
    lines = (
        "#!/bin/sh",
        'test "$1 $2 $3" = "-m studies.exchange.writers norse" || exit 3',
        f"if test $4 = --versions; then echo noise; echo '{versions}'; exit; fi",
        f'cp {files}/norse_*.npz "$5"',
    )
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def test_a_tool_in_an_environment_of_its_own(other_python, monkeypatch, tmp_path):
    """It writes there and is compared here; the result says with which versions."""
    monkeypatch.setattr(tools, "WRITERS", {"norse": WRITERS["norse"], "spyx": WRITERS["spyx"]})
    result = run(tmp_path, "--python", f"norse={other_python}")
    rows = pd.read_csv(result / "metrics.csv")
    assert rows.file.unique().tolist() == sorted(FEW[:2])
    assert (rows[rows.reading == MEANT].brian2_differ == 0).all()
    config = json.loads((result / "config.json").read_text())
    assert config["writers"] == {"norse": {"norse": "9.9"}}
    assert [path.name for path in result.iterdir() if path.is_dir()] == []


def test_a_tool_that_stops_is_named(other_python, monkeypatch, tmp_path, capsys):
    """With the last line that it said."""
    monkeypatch.setattr(tools, "WRITERS", {"norse": WRITERS["norse"]})
    text = other_python.read_text().replace("cp ", "echo 'ValueError: no norse' >&2; exit 1; cp ")
    other_python.write_text(text)
    with pytest.raises(SystemExit):
        run(tmp_path, "--python", f"norse={other_python}")
    assert "error: norse: the tool stopped: ValueError: no norse" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--python", "nest=x"), "no writer 'nest'; there are snntorch"),
        (("--python", "norse"), "give WRITER=PATH"),
        (("--python", "norse=/nowhere/python"), "'/nowhere/python' is no program"),
        (("--files", "nowhere"), "nowhere: there is no file of a writer"),
        (("--files", "x", "--python", f"norse={sys.executable}"), "not allowed with"),
    ],
)
def test_wrong_flags(flags, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, *flags)
    assert message in capsys.readouterr().err


def test_quick_has_one_network_of_each_tool():
    """On the grid, where the threshold is hit, if there is one."""
    found = run_exchange._first_of_each([FIXTURES / f"{name}.npz" for name in sorted(FEW)])
    assert [path.stem for path in found] == ["norse_iaf_grid", "rockpool_lif_bias_free"]
