"""Latencies of Brian2 and the table of delays for other simulators."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, ms, prefs

import ann2brian as ab
from tests.support.networks import images_for, of_kind

DT_MS = 0.5


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_layer_costs_brian2_the_delay_and_a_step(steps):
    """A chain of three layers of plain Brian2, each of which fires as soon as it is told."""
    before = prefs.codegen.target
    prefs.codegen.target = "numpy"
    try:
        neurons = NeuronGroup(
            3, "v : 1", threshold="v > 0.5", reset="v = 0", dt=DT_MS * ms, namespace={}
        )
        synapses = Synapses(neurons, on_pre="v_post += 1", dt=DT_MS * ms, namespace={})
        synapses.connect(i=[0, 1], j=[1, 2])
        synapses.delay = steps * DT_MS * ms
        spikes = SpikeMonitor(neurons)
        neurons.v = [1, 0, 0]
        Network(neurons, synapses, spikes).run(8 * DT_MS * ms + 6 * steps * DT_MS * ms)
    finally:
        prefs.codegen.target = before
    assert list(spikes.i) == [0, 1, 2]
    assert np.allclose(np.diff(spikes.t / ms), (steps + 1) * DT_MS)


@pytest.mark.parametrize(
    "options",
    [ab.AmosOptions(neurons_per_gate=4), ab.BurstOptions(n_steps=3)],
    ids=["amos", "burst"],
)
def test_the_table_has_the_delays_of_the_run(options):
    """Delays in ms against those of the Brian2 objects; one step more for NEST."""
    network = of_kind("residual")
    images = images_for(network, 5)
    spiking = ab.convert(network, options, images).spiking
    found = {}

    def change(objects):
        names = {projection.name for projection in spiking.projections}
        found.update({name: objects.delay(name) / ms for name in names})

    ab.simulate(spiking, images[:1], target="numpy", change=change)
    table = ab.delay_table(spiking)
    assert set(table.connection) == set(found)
    for name, own in table.groupby("connection"):
        n_units = spiking.population(own.source.iloc[0]).n_units
        assert np.allclose(np.repeat(own.brian2_ms, n_units), found[name])
        assert own.position.tolist() == list(range(len(own)))
    assert np.allclose(table.nest_ms, table.brian2_ms + spiking.dt_ms)
    assert (table.nest_ms >= spiking.dt_ms).all()
    assert table.steps.nunique() > 1
