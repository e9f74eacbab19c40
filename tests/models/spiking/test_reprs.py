"""What a notebook prints of a spiking network and a recording."""

import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.amos import conversion
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.spiking.inputs import Injection
from ann2brian.models.spiking.network import spiking_network

from tests.support.networks import everything, images_for


@pytest.fixture(scope="module")
def converted():
    network = everything()
    images = images_for(network, 3)
    return conversion.convert(network, AmosOptions(neurons_per_gate=4), images), images


def test_a_line_or_two_say_what_it_is(converted):
    """Everything that holds arrays against 160 characters, with its name and sizes in them."""
    spiking, images = converted[0].spiking, converted[1]
    recording = simulate(spiking, images, target="numpy", record=True)
    n_spikes = len(recording.spikes)
    told = {
        spiking: ("SpikingNetwork(amos, everything", f"{spiking.n_neurons:,} neurons"),
        spiking.populations[0]: ("Population(input: 9x8x2", "576 amos neurons"),
        spiking.projections[0]: ("Projection(input->act1: 3x3x2x6 weights)",),
        spiking.projections[2]: ("SparseProjection(act2->act3: 9,000 weights of 120x120)",),
        spiking.readout: ("Readout(5 classes, sums over 4 steps)",),
        spiking.stimuli[0]: ("Stimulus(pixels -> input.drive)",),
        Injection(target="act1", variable="drive", values=np.zeros((3, 1, 7))): (
            "Injection(3 x 1 x 7 values -> act1.drive)",
        ),
        recording: ("Recording(amos, everything: 3 images, 5 layers", f"{n_spikes / 3:,.1f} sp"),
        recording.spikes: (f"Spikes({n_spikes:,} spikes of 3 images)",),
    }
    for thing, parts in told.items():
        assert len(repr(thing)) <= 160
        assert all(part in repr(thing) for part in parts), repr(thing)
    assert "spikes where v > theta" in repr(spiking.neurons[0])


def test_objects_and_layouts_say_what_they_hold(converted):
    """The objects that a change gets against their sizes and the names of the connections."""
    shown = []
    simulate(
        converted[0], converted[1], target="numpy", batch=1, change=lambda o: shown.append(repr(o))
    )
    assert "2,544 amos neurons" in shown[0] and "act1->act2, act2->act3" in shown[0]


def test_a_conversion_or_its_network_is_accepted(converted):
    """The network of a conversion, and what is neither."""
    assert spiking_network(converted[0]) is spiking_network(converted[0].spiking)
    with pytest.raises(TypeError, match="got Network; convert it first"):
        simulate(everything(), converted[1])
