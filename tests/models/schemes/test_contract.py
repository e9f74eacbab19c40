"""What every scheme of the registry promises: one suite, which picks up a new scheme by itself."""

import itertools
import math
from functools import cache
from types import NoneType

import numpy as np
import pytest
from ann2brian.models.conversion.options import options_of
from ann2brian.models.conversion.scheme import Conversion
from ann2brian.models.networks.layers import Activation, GlobalAvgPool, Spike
from ann2brian.models.networks.network import Network
from ann2brian.models.networks.weight_files import load_info, load_network, trained_networks
from ann2brian.models.places import ROOT

import ann2brian as ab
from tests.support.binary_networks import mixed
from tests.support.networks import (
    BUSIEST,
    COMPILED,
    SETTINGS,
    assert_same,
    coding,
    conv,
    dense,
    everything,
    images_for,
    noisy,
    pooled_network,
    slow_unless,
    stateful,
)

SCHEMES = list(ab.SCHEMES.values())
OF_EACH = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
ONE_SIZE = (2, 2), (2, 2), (1, 0, 0, 1)  # pooling neurons of one type, so that less is compiled
SMALL = {"n_steps": 5, "neurons_per_gate": 4, "gamma": 3, "normalisation": "percentile"}
N_IMAGES = 7


def small(scheme, **changed):
    """Options of a scheme with few steps, spikes and neurons, where it has them."""
    names = {declared.name for declared in options_of(scheme.options)}
    return scheme.options(**{k: v for k, v in {**SMALL, **changed}.items() if k in names})


@cache
def network_for(scheme):
    """The first of some networks, from rich to plain, that a scheme converts."""
    refusals = []
    for network in (
        pooled_network(*ONE_SIZE),
        everything(),
        noisy(pooled_network(*ONE_SIZE)),
        mixed("rbbrb"),
        stateful(),
    ):
        try:
            scheme.convert(network, small(scheme), images_for(network, 3))
        except ValueError as refusal:
            refusals.append(str(refusal))
        else:
            return network
    raise AssertionError(f"no network for {scheme.name}: {refusals}")


@cache
def case(scheme):
    """A conversion, images and what its reference does with them."""
    network = network_for(scheme)
    images = images_for(network, N_IMAGES)
    conversion = scheme.convert(network, small(scheme), images)
    return conversion, images, scheme.reference(conversion, images)


# ---- simulation and reference ----


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@OF_EACH
def test_any_batch_and_processes_equal_reference(scheme, settings):
    """Brian2's NumPy target for any number of images side by side, one after another, processes."""
    conversion, images, reference = case(scheme)
    run = ab.simulate(conversion, images, target="numpy", record=True, **settings)
    assert_same(run, reference)
    assert np.array_equal(run.predictions, reference.scores[:, -1].argmax(axis=1))


@pytest.mark.parametrize(
    ("scheme", "target", "settings"),
    slow_unless(
        lambda _, __, settings: settings == BUSIEST,
        itertools.product(SCHEMES, COMPILED, [BUSIEST, *(s for s in SETTINGS if s != BUSIEST)]),
    ),
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_compiled_targets_equal_reference(scheme, target, settings):
    """C++ standalone and Cython, several images on their way at once in two processes."""
    conversion, images, reference = case(scheme)
    run = ab.simulate(conversion, images, target=target, record=True, **settings)
    assert_same(run, reference)


@OF_EACH
def test_reference_has_the_one_form(scheme):
    """Shapes of the result; the table of spikes, the counts and the scores belong together."""
    conversion, _, reference = case(scheme)
    spiking = conversion.spiking
    per_layer = np.bincount(reference.spikes.layer, minlength=len(spiking.populations))
    for number, population in zip(per_layer, spiking.populations, strict=True):
        counts = reference.counts[population.name]
        assert counts.dtype == np.int16 and counts.min() >= 0
        assert counts.shape[::2] == (N_IMAGES, population.n_units)
        assert counts.sum() == number > 0
        assert reference.potentials[population.name].shape == (N_IMAGES, population.n_neurons)
    readout = spiking.readout
    assert reference.scores.shape == (N_IMAGES, readout.n_steps, readout.n_classes)


@OF_EACH
def test_potentials_equal_those_of_the_reference(scheme):
    """Membranes at the end of each image, of neurons that keep theirs; some are not at rest."""
    conversion, images, reference = case(scheme)
    if any(kind.is_chain for kind in conversion.spiking.neurons):
        pytest.skip("neurons of a gate renew their potential in every slot")
    run = ab.simulate(conversion, images, target="numpy", record=True, batch=5)
    for name, wanted in reference.potentials.items():
        if conversion.spiking.window(name) is None or wanted.any():
            found = run.end_potentials[name] / (conversion.spiking.unit_volt * 1e3)
            assert np.allclose(found, wanted, rtol=0, atol=1e-12), name
    assert any(potentials.any() for potentials in reference.potentials.values())


# ---- options ----


def out_of_range(declared):
    """Values that an option must refuse, derived from its declaration."""
    wrong = {bool: [1, "yes"], str: [1], int: [1.5, True, "1"], float: [math.nan, True, "1"]}
    values = list(wrong[declared.kind])
    if declared.choices:
        values.append("of no kind")
    tiny = 1 if declared.kind is int else 1e-9
    values += [bound for bound in (declared.above, declared.below) if math.isfinite(bound)]
    values += [declared.least - tiny] if math.isfinite(declared.least) else []
    values += [declared.most + tiny] if math.isfinite(declared.most) else []
    if not declared.is_optional:
        values.append(None)
    return values


@OF_EACH
def test_options_out_of_range_are_refused(scheme):
    """Every option of every scheme: below, above, of another type; name, range, value are said."""
    for declared in options_of(scheme.options):
        for value in out_of_range(declared):
            with pytest.raises(ValueError) as refusal:
                scheme.options(**{declared.name: value})
            assert str(refusal.value) == (
                f"{declared.name} must be {declared.range}, got {value!r}"
            ), (declared.name, value)


@OF_EACH
def test_options_are_declared_and_described(scheme):
    """Every field is a declared option with a help text and a flag of its own."""
    options = options_of(scheme.options)
    assert len({declared.flag for declared in options}) == len(options)
    for declared in options:
        assert declared.help.endswith(".") and declared.kind is not NoneType
        assert f"    {declared.name} : " in scheme.options.__doc__
        declared.check(declared.default)
    paper = scheme.paper.removesuffix(scheme.paper[-4:])
    assert scheme.paper[-4:].isdigit() and paper.isalpha()
    assert scheme.title and (ROOT / "CITATION.cff").exists()


# ---- conversion ----


@OF_EACH
def test_conversion_has_the_one_form(scheme):
    """By the registry or by the scheme itself: what runs, and the options, all of them told."""
    network = network_for(scheme)
    options = small(scheme)
    conversion = ab.convert(network, options, images_for(network, 3))
    assert isinstance(conversion, Conversion)
    for declared in options_of(scheme.options):
        asked = getattr(options, declared.name)
        told = declared.otherwise if asked is None else asked
        is_left_open = told is None  # to the network
        assert is_left_open or getattr(conversion.options, declared.name) == told
    assert (conversion.spiking.scheme, conversion.spiking.name) == (scheme.name, network.name)
    assert type(ab.convert(network, scheme.options(), images_for(network, 3))) is type(conversion)


@OF_EACH
def test_calibration_is_read_or_ignored_as_declared(scheme):
    """Without images: refused where they are read; where not, nonsense changes nothing."""
    network = network_for(scheme)
    if scheme.reads_calibration:
        with pytest.raises(ValueError, match="calibration="):
            ab.convert(network, small(scheme))
        with pytest.raises(ValueError, match="calibration needs at least one image"):
            ab.convert(network, small(scheme), images_for(network, 1)[:0])
    else:
        _, images, reference = case(scheme)
        for calibration in (None, np.full((2, 3), np.nan)):
            other = ab.convert(network, small(scheme), calibration)
            assert np.array_equal(ab.reference(other, images).scores, reference.scores)


@OF_EACH
def test_layers_that_cannot_be_converted_are_named(scheme):
    """A network that no scheme has neurons for, against its name and that of a layer."""
    rng = np.random.default_rng(0)
    layers = (
        conv(rng, "conv", "input", (3, 3), 1, 2),
        Activation("bent", ("conv",), "gelu"),
        Spike("fires", ("bent",)),
        GlobalAvgPool("mean", ("fires",)),
        dense(rng, "out", "mean", 2, 5),
    )
    network = Network("odd", coding((6, 6, 1)), layers, tuple("abcde"))
    with pytest.raises(ValueError, match=r"network 'odd': .* '(bent|fires)'"):
        scheme.convert(network, small(scheme), images_for(network, 2))


@OF_EACH
def test_images_in_the_place_of_options_are_refused(scheme):
    """Calibration images where options belong are named, with the order of the arguments."""
    with pytest.raises(TypeError, match=rf"must be {scheme.options.__name__}, got ndarray"):
        scheme.convert(None, np.zeros((1, 8, 8, 1)))


# ---- shipped networks ----

# Images of the test split and how many of them are right, in per cent, with default options.
ACCURACY = {
    "digits-relu": (100, 100.0),
    "digits-silu": (100, 97.0),
    "digits-burst": (60, 96.7),
    "digits-noise": (300, 99.3),
    "digits-albsnn": (300, 97.3),
    "fashion-albsnn": (300, 95.0),
    "digits-lif": (300, 98.7),
}


def shipped_case(name, n_images):
    """A shipped network, its scheme, and images with labels for calibration and test."""
    path = trained_networks()[name]
    scheme = ab.SCHEMES[load_info(path)["scheme"]]
    dataset = "digits" if name.startswith("digits") else "fashion-mnist"
    try:
        images, labels = (part[:n_images] for part in ab.load_images(dataset, "test"))
        training, _ = ab.load_images(dataset, "train")
    except ValueError as missing:
        pytest.skip(str(missing))
    return load_network(path), scheme, images, labels, training[:512]


@pytest.mark.parametrize("name", ACCURACY)
def test_shipped_networks_are_right(name):
    """Predictions of shipped networks, without further ado, against the accuracy measured before.

    Without the gain and offset of their heads, digits-albsnn classifies 91.0 % of these images
    and fashion-albsnn 93.0 %.
    """
    n_images, accuracy = ACCURACY[name]
    network, scheme, images, labels, training = shipped_case(name, n_images)
    conversion = ab.convert(network, scheme.options(), training)
    run = ab.simulate(conversion, images, target="numpy", batch=100)
    assert round(100 * np.mean(run.predictions == labels), 1) == accuracy


@pytest.mark.parametrize("name", ["digits-qcfs", "digits-noise", "digits-albsnn"])
def test_one_step_is_the_network_that_was_trained(name):
    """Scores of networks that were trained for one step against their logits, bit for bit."""
    network, scheme, images, _, training = shipped_case(name, 60)
    conversion = ab.convert(network, scheme.options(n_steps=1), training)
    run = ab.simulate(conversion, images, target="numpy", batch=60)
    assert run.scores.shape[1] == 1
    assert np.array_equal(run.scores[:, 0], network.forward(images))


def test_every_scheme_has_a_shipped_network_here():
    """No scheme goes without a look at its accuracy."""
    paths = trained_networks()
    shipped = {load_info(path)["scheme"] for path in paths.values()} & set(ab.SCHEMES)
    assert {load_info(paths[name])["scheme"] for name in ACCURACY} == shipped
    assert len(shipped) > 3
