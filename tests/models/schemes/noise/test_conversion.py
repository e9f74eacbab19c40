"""Conversion of noise-trained networks: timing, parameters and refusals."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import Activation, GlobalAvgPool, MaxPool2D, Spike
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.amos import conversion as amos
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.noise import conversion as noise
from ann2brian.models.schemes.noise import reference as noise_reference
from ann2brian.models.schemes.noise.options import NoiseOptions

from tests.support.networks import CLASSES, coding, conv, dense, everything, images_for, noisy
from tests.support.networks import pooled_network as pooled


def test_reference_against_a_neuron_by_hand():
    """Drive 0.4 in thresholds, start at 0.5: potentials worked out on paper, for both resets."""
    options = NoiseOptions(n_steps=4, leak=1.0, reset="soft")
    v, spikes = np.zeros(1), []
    for t in range(4):
        fired, v = noise_reference.step(v, np.array([0.4]), 0.0, t, 0.5, options)
        spikes.append(int(fired[0]))
    assert spikes == [0, 1, 0, 1]  # 0.9, 1.3 -> 0.3, 0.7, 1.1 -> 0.1
    assert v[0] == pytest.approx(0.1)
    hard = replace(options, reset="hard", leak=0.5)
    v, spikes = np.zeros(1), []
    for t in range(4):
        fired, v = noise_reference.step(v, np.array([0.6]), 0.0, t, 0.5, hard)
        spikes.append(int(fired[0]))
    assert spikes == [1, 0, 0, 1]  # 0.5 + 0.6 -> 0, 0.6, 0.3 + 0.6 = 0.9, 0.45 + 0.6 -> 0


def test_floor_lifts_negative_potentials_only():
    """A silent neuron with and without floor after one step of inhibition."""
    options = NoiseOptions(n_steps=2, has_floor=True, leak=1.0, reset="soft")
    found = {}
    for has_floor in (True, False):
        v = np.zeros(1)
        for t, drive in enumerate((-3.0, 1.0)):
            fired, v = noise_reference.step(
                v, np.array([drive]), 0.0, t, 0.5, replace(options, has_floor=has_floor)
            )
        found[has_floor] = fired[0], v[0]
    assert found == {True: (1.0, 0.0), False: (0.0, -1.5)}


def test_layers_come_one_after_another():
    """Every spiking layer, pooling included, takes a step; the read-out takes none."""
    network = noisy(pooled())
    conversion = noise.convert(network, NoiseOptions(n_steps=6, dt_ms=2.0))
    onsets = {p.name: p.onset for p in conversion.spiking.populations}
    names = ["act1", "pool1", "act2", "act3", "pool2", "act4"]
    assert onsets == {name: i for i, name in enumerate(names)}
    assert conversion.spiking.readout.onset == 5
    assert conversion.spiking.n_steps == 5 + 6 + 1
    assert conversion.spiking.latency_ms == 24.0
    shortcut = next(
        p for p in conversion.spiking.incoming("act3") if p.source == "pool1"
    )  # it waits for the longer way
    assert shortcut.delays.tolist() == [1]


def test_start_is_the_mean_after_the_first_leak():
    """Trap of the specification: with leak the start is mean / leak; without memory the mean."""
    network = noisy(everything(), mean=0.5)
    starts = {
        rule: noise.convert(network, NoiseOptions(rule=rule, leak=0.25))
        .spiking.populations[0]
        .parameters["v_start"]
        for rule in ("residual", "both", "diffusive", "memoryless")
    }
    assert {rule: float(np.unique(v)[0]) for rule, v in starts.items()} == {
        "residual": 2.0,
        "both": 2.0,
        "diffusive": 2.0,
        "memoryless": 0.5,
    }


def test_noise_is_that_of_each_layer_unless_told_otherwise():
    """Means and deviations by layer, in thresholds, for a threshold that is not 1."""
    network = everything()
    layers = [
        Spike(layer.name, layer.inputs, 2.0, 0.5 * i, 0.25 * i)
        if isinstance(layer, Activation)
        else layer
        for i, layer in enumerate(network.layers)
    ]
    network = replace(network, layers=tuple(layers))
    own = noise.convert(network, NoiseOptions(rule="both"))
    index = {layer.name: i for i, layer in enumerate(network.layers)}
    assert own.means == {name: 0.25 * index[name] for name in own.means}
    assert own.sigmas == {name: 0.125 * index[name] for name in own.sigmas}
    other = noise.convert(network, NoiseOptions(rule="both", mean=0.0, sigma=0.75))
    assert set(other.means.values()) == {0.0}
    assert set(other.sigmas.values()) == {0.75}


def test_threshold_scales_the_weights():
    """A layer with threshold, mean, weights and bias doubled spikes just the same."""
    rng = np.random.default_rng(2)
    first, second = conv(rng, "c1", "input", (3, 3), 1, 4), conv(rng, "c2", "s1", (3, 3), 4, 6)
    out = dense(rng, "out", "gap", 6, 5)
    counts = []
    for factor in (1.0, 2.0):
        layers = (
            replace(first, kernel=factor * first.kernel, bias=factor * first.bias),
            Spike("s1", ("c1",), factor, 0.5 * factor),
            replace(second, kernel=factor * second.kernel, bias=factor * second.bias),
            Spike("s2", ("c2",), factor, 0.5 * factor),
            GlobalAvgPool("gap", ("s2",)),
            out,
        )
        network = Network("scaled", coding((7, 7, 1)), layers, CLASSES)
        images = images_for(network, 5)
        conversion = noise.convert(network, NoiseOptions(n_steps=3))
        counts.append(noise_reference.run(conversion, images).counts)
    assert counts[0]["s2"].any()
    for name in ("s1", "s2"):
        assert np.array_equal(counts[0][name], counts[1][name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number from 1 to 4096, got 0"),
        ({"n_steps": True}, "n_steps must be a whole number"),
        ({"weight_bits": 30}, "weight_bits must be a whole number from 2 to 24, got 30"),
        ({"rule": "C1"}, "rule must be one of residual, memoryless, both, diffusive, got 'C1'"),
        ({"reset": "none"}, "reset must be one of soft, hard, got 'none'"),
        ({"start": "late"}, "start must be one of fixed, drawn, got 'late'"),
        ({"leak": 0.0}, "leak must be from"),
        ({"leak": 1.5}, "leak must be from .* to 1, got 1.5"),
        ({"sigma": -0.1}, "sigma must be from 0 to 4, got -0.1"),
        ({"mean": float("nan")}, "mean must be from -4 to 4, got nan"),
        ({"dt_ms": 0.0}, "dt_ms must be from 0.001 to 1000, got 0.0"),
        ({"start": "drawn", "rule": "both"}, "leave it 'fixed'"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, message):
    """Errors that name the option and the value."""
    with pytest.raises(ValueError, match=message):
        NoiseOptions(**options)


def odd(*layers):
    rng = np.random.default_rng(0)
    return Network("odd", coding((6, 6, 1)), (conv(rng, "c", "input", (3, 3), 1, 2), *layers), "ab")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: everything(), "Activation 'act1' does not spike"),
        (
            lambda: odd(
                MaxPool2D("p", ("c",), (4, 4)), dense(np.random.default_rng(0), "d", "p", 2, 2)
            ),
            "'p' pools 'c', which does not spike",
        ),
        (lambda: odd(MaxPool2D("p", ("c",), (4, 4))), "does not spike"),
        (
            lambda: odd(Spike("s", ("c",)), MaxPool2D("p", ("s",), (4, 4))),
            "the last layer, MaxPool2D 'p', spikes",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(network, message):
    """Errors that name the layer."""
    with pytest.raises(ValueError, match=message):
        noise.convert(network())


def test_other_schemes_refuse_spiking_units_by_name():
    """AMOS and burst conversion of a network with spiking units."""
    network = noisy(everything())
    images = images_for(network, 4)
    for scheme in (amos, burst):
        with pytest.raises(ValueError, match=r"Spike 'act\d' cannot become|no activation"):
            scheme.convert(network, calibration=images)


def test_noise_can_only_be_given_where_it_is_drawn():
    """The residual rule draws nothing."""
    with pytest.raises(ValueError, match="'residual' draw no noise"):
        _ = noise.convert(noisy(everything())).with_given_noise


@pytest.mark.filterwarnings("ignore:.*had mean 0 in the one step")
def test_shipped_networks_are_exact():
    """Rounding to 16 bits changes nothing in a shipped network: its weights are on such grids."""
    for path in storage.trained_networks().values():
        network = storage.load_network(path)
        has_spikes = any(isinstance(layer, Spike) for layer in network.layers)
        if has_spikes and storage.load_info(path)["scheme"] == "noise":
            assert noise.convert(network).weight_error == 0.0
