"""Options that are left to the network: where their values come from, and what is said."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.conversion.as_trained import as_trained, of_layer, warn_of_other_dynamics
from ann2brian.models.conversion.scheme import ConversionWarning
from ann2brian.models.networks.layers import Dense, Flatten, Spike
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.models.schemes.noise.options import NoiseOptions

USUAL = {NoiseOptions: (8, 1.0, "soft"), AlbsnnOptions: (1, 0.5, "hard")}


def network(*fields):
    """A chain of dense layers and spiking units, one of each for the fields given."""
    layers = [Flatten("flat", ("input",))]
    for number, own in enumerate(fields):
        dense = Dense(f"dense{number}", (layers[-1].name,), np.eye(4), np.zeros(4))
        layers += [dense, Spike(f"act{number}", (dense.name,), **own)]
    layers.append(Dense("out", (layers[-1].name,), np.eye(4), np.zeros(4)))
    return Network("net", InputCoding((2, 2, 1), 1, [1.0], [0.0]), tuple(layers), tuple("abcd"))


def told(options):
    return options.n_steps, options.leak, options.reset


TRAINED = {"leak": 0.25, "reset": "hard", "n_steps": 3}


@pytest.mark.parametrize("kind", USUAL)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (None, None, None)),
        ({"n_steps": 1}, (None, None, None)),  # the one step stands for many
        ({"n_steps": 1, "leak": 1.0, "reset": "soft"}, (None, 1.0, "soft")),
        ({"leak": 0.25, "reset": "hard"}, (None, 0.25, "hard")),
        (TRAINED, (3, 0.25, "hard")),
    ],
    ids=str,
)
def test_what_is_left_is_as_trained(kind, fields, expected):
    """The layer's own field, and what a scheme has otherwise; what is given wins."""
    expected = tuple(
        other if own is None else own for own, other in zip(expected, USUAL[kind], strict=True)
    )
    net = network(fields, fields)
    assert told(as_trained(kind(), net)) == told(of_layer(kind(), net.layer("act0"))) == expected
    given = kind(n_steps=5, leak=0.75, reset="soft", dt_ms=2.0)
    assert as_trained(given, net) == given


def test_layers_that_differ_are_told_one_by_one():
    """Leaks of two layers: each its own, none for the whole; the reset is the same."""
    net = network(TRAINED, TRAINED | {"leak": 0.5})
    assert told(as_trained(NoiseOptions(), net)) == (3, None, "hard")
    for name, leak in (("act0", 0.25), ("act1", 0.5)):
        assert told(of_layer(NoiseOptions(), net.layer(name))) == (3, leak, "hard")
    assert told(of_layer(NoiseOptions(leak=0.75), net.layer("act1"))) == (3, 0.75, "hard")


def test_a_leak_that_a_scheme_cannot_have_is_named():
    """Nothing carried at all, which a start before the first leak cannot make up for."""
    with pytest.raises(ValueError, match="Spike 'act0', as it was trained: leak must be from"):
        of_layer(NoiseOptions(), network({"leak": 0.0}).layer("act0"))


def test_layers_of_other_steps_are_no_network():
    """Steps of two layers against the message that names both."""
    message = "Spike 'act0' was trained for 3 time steps and Spike 'act1' for 1; all units"
    with pytest.raises(ValueError, match=message):
        network(TRAINED, TRAINED | {"n_steps": 1})


def said(options, net):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_other_dynamics(options, net)
    assert all(one.category is ConversionWarning for one in found)
    return [str(one.message) for one in found]


def test_other_dynamics_are_said_once():
    """One line for all options and layers that differ from a training of several steps."""
    net = network(TRAINED, TRAINED)
    for options in (NoiseOptions(), NoiseOptions(**TRAINED), NoiseOptions(mean=0.25)):
        assert said(options, net) == []
    (line,) = said(NoiseOptions(leak=1.0, reset="soft", n_steps=2), net)
    assert line == (
        "network 'net' runs otherwise than it was trained: n_steps=2 (trained with 3), leak=1.0 "
        "(trained with 0.25), reset='soft' (trained with 'hard'); leave these options out to run "
        "it as trained"
    )


def test_one_step_has_not_met_what_is_carried():
    """Networks of one step, and files that tell nothing: any leak, reset and steps are as good."""
    for fields in ({}, TRAINED | {"n_steps": 1}):
        assert said(NoiseOptions(leak=0.9, reset="soft", n_steps=2), network(fields)) == []


def test_several_steps_by_hand():
    """Spikes and logits of two units in four steps against potentials worked out on paper.

    Drives 0.5 and 0.75, start at 0.25, leak 1/2, soft: H = 0.75, 0.875, 0.9375, 0.96875 and
    1, 0.75, 1.125, 0.8125. Hard: the same first unit; 1, 0.75, 1.125, 0.75.
    """
    images = np.array([0.5, 0.75, 0.0, 0.0]).reshape(1, 2, 2, 1)
    for reset, last in (("soft", 0.8125), ("hard", 0.75)):
        fields = {"mean": 0.25, "leak": 0.5, "reset": reset, "n_steps": 4}
        net = network(fields)
        net = replace(net, input=InputCoding((2, 2, 1), 1, [1.0], [0.0], signed=True))
        spikes = np.stack([values["act0"][0, 0, 0] for values in net.steps(images)])
        assert spikes[:, :2].T.tolist() == [[0, 0, 0, 0], [1, 0, 1, 0]]
        assert net.forward(images)[0].tolist() == [0, 0.5, 0, 0]
        layer, carried = net.layer("act0"), None
        for _ in range(4):
            x = np.array([0.5, 0.75])
            h = x + (0.25 if carried is None else carried)
            _, carried = layer.step(x, carried)
        assert h.tolist() == [0.96875, last]
        # The outputs of all layers are those of the first step.
        assert net.activations(images)["act0"][0, 0, 0].tolist() == [0, 1, 0, 0]
