"""Spikes here against those of a tool: equal, or where the first differs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.studies.exchange.comparison import COLUMNS, compared, difference
from ann2brian.studies.exchange.conventions import DEFINITION, MEANT
from ann2brian.studies.exchange.files import unpacked, written_files
from ann2brian.studies.exchange.writers import WRITERS

from tests.support.nir_files import FIXTURES, fixture

pytest.importorskip("h5py")


def test_difference_by_hand():
    """The step counts before the layer; several spikes of a neuron are several."""
    theirs = [np.array([[0, 1], [2, 0], [0, 0]]), np.array([[0], [1], [1]])]
    mine = [np.array([[0, 1], [2, 0], [3, 1]]), np.array([[0], [0], [1]])]
    found = difference(mine, theirs)
    assert (found.spikes, found.differ, found.step, found.layer) == (5, 5, 1, 1)
    found = difference([theirs[0], mine[1]], [mine[0], theirs[1]])
    assert (found.spikes, found.differ, found.step, found.layer) == (9, 5, 1, 1)


def test_equal_spikes_have_no_first_difference():
    """Also of a tool that shows its spikes late, of which there are fewer steps; as bytes."""
    theirs = np.array([[1], [0]], np.uint8)
    found = difference([np.array([[1], [0], [7]])], [theirs])
    assert (found.spikes, found.differ, found.step, found.layer) == (1, 0, None, None)
    found = difference([np.array([[0], [0], [7]])], [theirs])
    assert (found.differ, found.step, found.layer) == (1, 0, 0)


@pytest.mark.parametrize("name", ["norse_lif_below_grid", "spyx_rif_grid", "sinabs_lif_plain_grid"])
def test_same_spikes_with_the_conventions_and_others_without(name, tmp_path):
    """Hard reset, a step of latency, several spikes a step; NumPy, and Brian2 on NumPy."""
    meant, plain = compared(fixture(name, tmp_path), "numpy").to_dict("records")
    assert list(meant) == COLUMNS
    assert (meant["reading"], meant["target"], meant["read_as"]) == (MEANT, "numpy", meant["tool"])
    assert meant["spikes"] > 500
    assert meant["numpy_differ"] == meant["brian2_differ"] == 0
    assert pd.isna(meant["numpy_layer"])
    assert meant["left_open"]
    assert (plain["reading"], plain["read_as"]) == (DEFINITION, DEFINITION)
    assert plain["numpy_differ"] > 100
    assert plain["numpy_layer"]
    assert plain["nodes"] == meant["nodes"]


def test_a_changed_spike_is_named(tmp_path):
    """One more of the tool in the second layer, in step 40: node '3' of the file."""
    written = fixture("snntorch_leaky_zero_grid", tmp_path)
    changed = written.spikes[1].copy()
    changed[40, 7] += 1
    row = compared(replace(written, spikes=[written.spikes[0], changed]), "numpy").iloc[0]
    for where in ("numpy", "brian2"):
        assert row[f"{where}_differ"] == 1
        assert (row[f"{where}_step"], row[f"{where}_layer"]) == (40, "node 3")


def test_what_a_file_has_lost_is_named(tmp_path):
    """A bias that no field holds, and recurrent weights."""
    lost = {"rockpool_lif_bias_free": "bias", "rockpool_lif_recurrent_grid": "recurrent weights"}
    for name, what in lost.items():
        row = compared(fixture(name, tmp_path), "numpy").iloc[0]
        assert row.lost == what
        assert row.numpy_differ == row.brian2_differ > 500
        assert row.numpy_layer == "node 1_LIFTorch"


def test_potentials_of_a_readout(tmp_path):
    """Largest error against the tool's own."""
    row = compared(fixture("norse_readout_free", tmp_path), "numpy").iloc[0]
    assert 0 < row.potential_error < 1e-5


def test_a_file_that_cannot_be_read_is_a_row(tmp_path):
    """Without its dialect, a neuron that never leaks; and what is no network at all."""
    written = fixture("snntorch_no_leak_grid", tmp_path)
    meant, plain = compared(written, "numpy").to_dict("records")
    assert meant["numpy_differ"] == 0
    assert plain["refused"].startswith("node '1' (LIF): tau is infinite")
    assert np.isnan(plain["numpy_differ"])
    written.path.write_bytes(b"nothing")
    rows = compared(written, "numpy")
    assert rows.refused.notna().all()
    assert str(tmp_path) not in rows.refused.iloc[0]


def test_only_files_of_writers_are_found():
    """Those named after a tool and a kind of weights, not the hand-made ones beside them."""
    found = {path.stem for path in written_files(FIXTURES)}
    assert "definitions" not in found
    assert {name.partition("_")[0] for name in found} == {own.tool for own in WRITERS.values()}
    assert {name.rpartition("_")[2] for name in found} == {"grid", "free"}


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_other_files_are_refused_by_name(content, tmp_path):
    """An empty file, text, and an archive of something else."""
    path = tmp_path / "norse_x_grid.npz"
    if content is None:
        np.savez(path, input=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"norse_x_grid\.npz: .*studies\.exchange\.writers"):
        unpacked(path, tmp_path)
