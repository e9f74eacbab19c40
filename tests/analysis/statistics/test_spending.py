"""Spikes and events over time against counting those of the trains one by one."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.analysis.statistics.spending import spending

import ann2brian as ab

N_IMAGES = 3


@pytest.fixture(scope="module")
def recorded():
    """Recordings with spike trains, by network."""
    images, _ = ab.load_images("digits", "test")
    calibration, _ = ab.load_images("digits", "train")

    def run(name, options):
        spiking = ab.convert(ab.load_network(ab.trained(name)), options, calibration[:50]).spiking
        return spiking, ab.simulate(spiking, images[:N_IMAGES], target="numpy", record=True)

    return run


@pytest.mark.parametrize("network", ["digits-relu", "digits-burst", "digits-silu"])
def test_slots_of_gates(recorded, network):
    """Chains of neurons, with circuits for max pooling, and gates that excite."""
    spiking, run = recorded(network, ab.AmosOptions(neurons_per_gate=4))
    found = spending(run, spiking)
    assert len(found) == run.scores.shape[1]
    for step, row in found.iterrows():
        until = run.spikes.step <= run.readout_onset + step
        assert row.spikes_per_image == until.sum() / N_IMAGES
        assert row.events_per_image == pytest.approx(events(spiking, run, until) / N_IMAGES)
    assert found.events_per_image.iloc[-1] == pytest.approx(run.events_per_image)


def events(spiking, run, chosen):
    """Neurons that the chosen spikes reach, spike by spike."""
    total = 0
    for layer, neuron in zip(run.spikes.layer[chosen], run.spikes.neuron[chosen], strict=True):
        population = spiking.populations[layer]
        position, unit = divmod(int(neuron), population.n_units)
        total += np.count_nonzero(population.inhibition[:, position])
        for projection in spiking.projections:
            if projection.source == population.name:
                total += projection.fan_out[unit]
    return total


def test_steps(recorded):
    """A network that runs in steps against a shorter run of it."""
    spiking, run = recorded("digits-noise", ab.NoiseOptions(n_steps=4))
    _, shorter = recorded("digits-noise", ab.NoiseOptions(n_steps=2))
    found = spending(run, spiking)
    assert found.spikes_per_image[1] == shorter.spikes_per_image
    assert found.events_per_image[1] == shorter.events_per_image
    assert found.spikes_per_image[3] == run.spikes_per_image


def test_other_steps_are_refused(recorded):
    """A read-out whose steps are not those of the neurons."""
    spiking, run = recorded("digits-noise", ab.NoiseOptions(n_steps=3))
    other = replace(run, scores=run.scores[:, :2])
    with pytest.raises(ValueError, match="runs 3 steps and is read out in 2"):
        spending(other, spiking)
