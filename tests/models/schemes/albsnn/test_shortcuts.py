"""Branches that are added: a gain for each, signs that stay one bit, and networks of one's own."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.engine.layout import SPARE_SIGNS, lay_out
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks.layers import Add, AvgPool2D, GlobalAvgPool, Spike
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn import reference as albsnn_reference
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.models.spiking.network import READOUT
from ann2brian.studies.benchmarks.explicit_synapses import with_explicit_synapses

from tests.support.binary_networks import convolution, dyadic_coding, norm, residual, step_by_step
from tests.support.networks import CLASSES, assert_same, images_for

PATTERNS = ("bbbb", "rrrr", "brbr", "rbrb")
EXACT = 1e-12


def convert(network, **options):
    return albsnn.convert(network, AlbsnnOptions(**{"n_steps": 4, **options}))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_branches_equal_reference_and_layers(pattern):
    """Brian2 and the reference spike for spike, and both against the layers' own forward pass."""
    network = residual(pattern)
    images = images_for(network, 7)
    conversion = convert(network)
    reference = albsnn_reference.run(conversion, images)
    run = simulate(conversion, images, target="numpy", record=True, batch=3)
    assert_same(run, reference)
    logits, spikes, potentials = step_by_step(network, images, 4, 0.5, "hard")
    for name, counts in reference.counts.items():
        np.testing.assert_array_equal(counts, spikes[name])
        assert 0.02 < counts.mean() < 0.98, name
        found = run.end_potentials[name] / (conversion.spiking.unit_volt * 1e3)
        np.testing.assert_allclose(found, potentials[name], rtol=0, atol=EXACT)
    np.testing.assert_allclose(run.scores[:, -1], logits, rtol=0, atol=EXACT)
    assert logits.std(axis=0).min() > 0.01


@pytest.mark.parametrize("options", [{"n_steps": 1}, {"reset": "soft", "leak": 1.0}], ids=str)
def test_options_equal_reference(options):
    """One step, and perfect memory; images on their way at once."""
    network = residual("bbrb", seed=2)
    images = images_for(network, 5)
    conversion = convert(network, **options)
    run = simulate(conversion, images, target="numpy", record=True, batch=2, pipelined=True)
    assert_same(run, albsnn_reference.run(conversion, images))


@pytest.mark.parametrize(
    "target", ["cython", pytest.param("cpp_standalone", marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_compiled_targets_equal_reference(target):
    """Two afferent variables, packed signs and real weights to one neuron, as compiled code."""
    network = residual("bbrb")
    images = images_for(network, 5)
    conversion = convert(network)
    run = simulate(conversion, images, target=target, record=True, batch=3, pipelined=True)
    assert_same(run, albsnn_reference.run(conversion, images))


def test_each_gain_has_its_afferent():
    """Gains and afferent variables by hand: of shortcuts, of two norms, of a sum of spikes."""
    network = residual("bbbb")
    spiking = convert(network).spiking
    kinds = {p.name: spiking.kind(p.neurons).afferents for p in spiking.populations}
    one, two = ("acc",), ("acc", "acc2")
    assert kinds == {"act1": one, "act2": two, "act3": two, "act6": one, "act4": one}
    found = [(p.name, p.afferent, p.is_binary) for p in spiking.projections]
    assert sorted(found) == [
        ("act1->act2", 0, True),
        ("act1->act2", 1, False),  # the spikes themselves
        ("act2->act3", 0, True),
        ("act2->act3", 1, True),
        ("act3->act4", 0, True),
        ("act3->act6", 0, True),
        ("act4->readout", 0, True),
        ("act6->act4", 0, True),  # the same weights and gain as of act3
    ]
    layer = network.layer

    def gains(name):
        own = spiking.population(name).parameters
        return [own[key][0, 0, 0] for key in ("gain", "gain2") if key in own]

    expected = {
        "act2": [layer("conv2").scale * layer("norm2").gamma, np.ones(6)],
        "act3": [
            layer("conv3").scale * layer("norm3").gamma * layer("both3").gamma,
            layer("short3").scale * layer("normed3").gamma * layer("both3").gamma / 4,
        ],
        "act6": [layer("conv6").scale],
        "act4": [layer("conv4").scale * layer("norm4").gamma],
    }
    for name, wanted in expected.items():
        for gain, value in zip(gains(name), wanted, strict=True):
            np.testing.assert_array_equal(gain, value)
    offset = layer("both3").gamma * (layer("norm3").beta + layer("normed3").beta)
    bias = spiking.population("act3").parameters["bias"]
    np.testing.assert_array_equal(bias, np.broadcast_to(offset + layer("both3").beta, bias.shape))


def test_signs_of_branches_take_a_bit_each():
    """Words of signs against the sizes of all binary layers: act6's are in twice, for two paths."""
    network = residual("bbbb")
    conversion = convert(network)
    layout = lay_out(conversion.spiking, 2, 1)
    names = ("conv2", "conv3", "short3", "conv6", "conv4", "conv4", "conv5")
    shapes = [network.layer(name).signs.shape for name in names]
    n_bits = sum(np.prod(shape[:3]) * (shape[3] + -shape[3] % 8) for shape in shapes)
    assert len(layout.signs) == -(-n_bits // 32) + SPARE_SIGNS
    assert conversion.binary == ("conv2", "conv3", "short3", "conv6", "conv4", "conv5")
    sizes = {name: len(own) for name, own in conversion.projections.items()}
    assert sizes == dict.fromkeys(names, 1) | {"conv4": 2, "conv1": 0, "again": 0}
    assert conversion.driven["short3"] == "act3" and conversion.driven["conv5"] == READOUT


def test_needed_bits_are_those_of_all_branches():
    """Bits of exact sums of two branches by hand: the shortcut's gain is 1, the other's is small.

    In 4 steps a little more than 4, by the shortcut and 16 signs of gain 2**-40, in steps of that.
    """
    rng = np.random.default_rng(0)
    body = convolution(rng, "b", "body", "act1", (1, 1), 4, 4)
    layers = (
        convolution(rng, "r", "conv1", "input", (1, 1), 1, 4),
        Spike("act1", ("conv1",)),
        replace(body, scale=np.full(4, 2.0**-40)),
        Add("sum", ("body", "act1")),
        Spike("act2", ("sum",)),
        convolution(rng, "b", "head", "act2", (1, 1), 4, 5),
        GlobalAvgPool("gap", ("head",)),
    )
    network = Network("bits", dyadic_coding((5, 5, 1)), layers, CLASSES)
    spiking = convert(network).spiking
    assert spiking.needed_bits == 3 + 40


def test_pooling_after_a_padded_border():
    """Average pooling that pads after the weights: the offset is missing in the zeros."""
    rng = np.random.default_rng(4)
    layers = (
        convolution(rng, "b", "conv1", "input", (3, 3), 1, 6, padding=(1, 1)),
        norm(rng, "norm1", "conv1", 6),
        Spike("act1", ("norm1",)),
        convolution(rng, "b", "conv2", "act1", (3, 3), 6, 4),
        norm(rng, "norm2", "conv2", 4),
        AvgPool2D("pool", ("norm2",), (2, 2), (2, 2), (1, 1)),
        Spike("act2", ("pool",)),
        Spike("act3", ("act2",)),  # a unit for each unit, without weights
        convolution(rng, "b", "conv3", "act3", (1, 1), 4, 5),
        GlobalAvgPool("gap", ("conv3",)),
    )
    network = Network("padded", dyadic_coding((8, 6, 1)), layers, CLASSES)
    images = images_for(network, 9)
    conversion = convert(network, n_steps=3)
    run = simulate(conversion, images, target="numpy", record=True, batch=4)
    assert_same(run, albsnn_reference.run(conversion, images))
    logits, spikes, _ = step_by_step(network, images, 3, 0.5, "hard")
    for name, counts in albsnn_reference.run(conversion, images).counts.items():
        np.testing.assert_array_equal(counts, spikes[name])
    np.testing.assert_allclose(run.scores[:, -1], logits, rtol=0, atol=EXACT)


def test_explicit_synapses_reach_the_same_variables():
    """A synapse for each weight and branch, in Brian2's own objects, against shared kernels."""
    network = residual("bbrb")
    images = images_for(network, 2)
    spiking = convert(network, n_steps=2).spiking
    own, explicit = (
        simulate(spiking, images, target="numpy", record=True, batch=1, change=change)
        for change in (None, with_explicit_synapses(spiking))
    )
    assert_same(explicit, own)
