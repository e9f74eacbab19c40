"""Files of seven tools run here as they ran there: every spike, against the tools' own."""

import warnings

import numpy as np
import pytest
from ann2brian.models.networks.dynamics import WRITERS
from ann2brian.models.schemes.nir.dialects import DIALECTS
from ann2brian.studies.exchange.comparison import Reading, counted
from ann2brian.studies.exchange.conventions import told

import ann2brian as ab
from tests.support.nir_files import fixture, names

pytest.importorskip("h5py")
N_STEPS = 200
# What the file has lost and no option gives back: then spikes differ, see docs/nir.md.
LOST = ("rockpool_lif_bias_free", "rockpool_lif_recurrent_grid", "sinabs_lif_synapse_free")
READ = [name for name in names() if name not in LOST]
# Of each kind: recurrent, several spikes a step, late, maps, potentials.
ONE = "snntorch_rleaky_zero_grid"  # that is compiled in every test run
SIMULATED = [
    "nirtorch_loop_grid",
    "norse_cuba_grid",
    "norse_readout_free",
    "rockpool_lif_grid",
    "sinabs_conv_grid",
    "sinabs_iaf_clipped_grid",
    "snntorch_conv_subtract_grid",
    "snntorch_rleaky_zero_grid",
    "snntorch_synaptic_subtract_free",
    "spikingjelly_conv_grid",
    "spikingjelly_lif_whole_input_grid",
    "spyx_conv_same_grid",
    "spyx_rcuba_grid",
]


def case(name, folder):
    """A conversion, its input, and the tool's own spikes by population, (steps, units)."""
    found = fixture(name, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reading = Reading.of(found, told(found.about, N_STEPS))
    return reading.conversion, reading.frames, reading.theirs, found.output


def assert_equal_spikes(conversion, found, wanted):
    """Every spike, in its step."""
    for population, own, theirs in zip(conversion.spiking.populations, found, wanted, strict=False):
        assert theirs.sum() > 50
        assert np.array_equal(own[: len(theirs)], theirs), population.name


@pytest.mark.parametrize("name", READ)
def test_reference_spikes_as_the_writer_ran_it(name, tmp_path):
    """200 steps of random input in plain NumPy, and potentials of readouts, against the tool."""
    conversion, frames, wanted, output = case(name, tmp_path)
    reference = ab.reference(conversion, frames)
    found = [reference.counts[p.name][0] for p in conversion.spiking.populations]
    assert_equal_spikes(conversion, found, wanted)
    if output is not None:
        assert np.allclose(reference.scores[0], output, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in READ if name in SIMULATED])
def test_brian2_spikes_as_the_writer_ran_it(name, tmp_path):
    """The same in Brian2 on its NumPy target, spikes and scores."""
    conversion, frames, wanted, _ = case(name, tmp_path)
    run = ab.simulate(conversion, frames, target="numpy", record=True)
    layers = range(len(conversion.spiking.populations))
    assert_equal_spikes(conversion, [counted(run, conversion, k) for k in layers], wanted)
    assert np.array_equal(run.scores, ab.reference(conversion, frames).scores)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != ONE)) for name in READ]
)
def test_compiled_code_spikes_as_the_writer_ran_it(name, tmp_path):
    """All of them as generated C++."""
    conversion, frames, wanted, _ = case(name, tmp_path)
    run = ab.simulate(conversion, frames, record=True)
    layers = range(len(conversion.spiking.populations))
    assert_equal_spikes(conversion, [counted(run, conversion, k) for k in layers], wanted)


@pytest.mark.parametrize("name", LOST)
def test_what_a_file_has_lost_is_lost(name, tmp_path):
    """Bias, recurrent weights and a synaptic time constant that no field holds: spikes differ."""
    conversion, frames, wanted, _ = case(name, tmp_path)
    found = ab.reference(conversion, frames).counts[conversion.spiking.populations[0].name][0]
    assert not np.array_equal(found[: len(wanted[0])], wanted[0])


def test_every_writer_is_here():
    """No dialect without a file of its program."""
    tools = {name.partition("_")[0] for name in READ}
    assert tools == {*DIALECTS, "nirtorch"} - {"definition"}
    assert tuple(DIALECTS) == WRITERS
