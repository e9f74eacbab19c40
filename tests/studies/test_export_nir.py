"""The command that writes NIR files: what it prints and leaves, and what it refuses."""

import pytest
from ann2brian.models.networks.nir_files import read
from ann2brian.studies import export_nir

from tests.support.nir_files import fixture

pytest.importorskip("h5py")


def test_a_conversion_is_written_and_measured(tmp_path, capsys):
    """With the options of the scheme, and how the program reads the file."""
    out = tmp_path / "net.nir"
    line = "--network digits-albsnn --scheme albsnn --steps 3 --for snntorch --images 5"
    assert export_nir.main([*line.split(), "--out", str(out)]) == out
    said = capsys.readouterr().out
    assert "import_from_nir(graph)" in said and "100.00% of 5 images agree" in said
    assert said.count("0 of ") == 3 and "lost" in said and "nothing" in said
    assert {node.kind for node in read(out).nodes.values()} >= {"LIF", "Conv2d"}


def test_a_loss_is_refused_or_printed(tmp_path, capsys):
    """A soft reset, which spikingjelly's reader does not have."""
    out = tmp_path / "net.nir"
    line = ["--network", "digits-noise", "--scheme", "noise", "--for", "spikingjelly"]
    line += ["--images", "3", "--out", str(out)]
    with pytest.raises(SystemExit):
        export_nir.main(line)
    assert "takes the threshold off, and there a spike leads to rest" in capsys.readouterr().err
    assert not out.exists()
    export_nir.main([*line, "--on-loss", "nearest"])
    said = capsys.readouterr().out
    assert "lost" in said and "act1: a spike takes the threshold off" in said


def test_graphs_are_exact(tmp_path, capsys):
    """Bursts, pooling with lateral inhibition and soft resets, from currents."""
    line = "--network digits-burst --scheme burst --steps 4 --as-graph --input currents --images 3"
    export_nir.main([*line.split(), "--out", str(tmp_path / "net.nir"), "--calibration", "50"])
    said = capsys.readouterr().out
    assert said.count(" 0 of ") == 4


def test_a_network_of_neurons_needs_no_scheme(tmp_path, capsys):
    """The shipped one, by the definition that it has."""
    out = tmp_path / "lif.nir"
    export_nir.main(["--network", "digits-lif", "--out", str(out)])
    assert "nothing" in capsys.readouterr().out
    assert [n.kind for n in read(out).nodes.values()].count("LIF") == 2


def test_a_file_is_written_back(tmp_path, capsys):
    """A file of another program, as it is, but never over one that exists."""
    path = fixture("sinabs_iaf_grid", tmp_path).path
    out = tmp_path / "again.nir"
    line = ["--network", str(path), "--written-by", "sinabs", "--out", str(out)]
    assert export_nir.main(line) == out
    assert read(out).version == "1.0.4"
    with pytest.raises(SystemExit):
        export_nir.main(line)
    assert "--force replaces it" in capsys.readouterr().err
    export_nir.main([*line, "--force"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--network digits-noise", "say by which scheme: burst, noise, albsnn"),
        ("--network net.nir --as-graph", "--as-graph: net.nir has neurons of its own"),
        ("--network net.nir --dt 0.002", "--dt: net.nir has neurons of its own"),
        ("--network net.nir --images 3", "--images: net.nir has neurons of its own"),
        ("--network net.nir --scheme noise", "has neurons of its own"),
        ("--network nowhere.onnx --scheme burst", "nowhere.onnx: no such file"),
        ("--network digits-noise --scheme noise --as-graph --for norse", "reads no such graphs"),
        ("--network digits-noise --scheme noise --dt 0", "dt must be above 0 s"),
    ],
)
def test_bad_lines_are_refused(line, words, capsys):
    """In one line, before anything is written."""
    with pytest.raises(SystemExit):
        export_nir.main(line.split())
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1
