"""Brian2 against the NumPy reference, spike for spike, and what must not change a result."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.conversion.scheme import Conversion
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import Activation, GlobalAvgPool
from ann2brian.models.networks.network import Network
from ann2brian.models.schemes.amos import conversion as amos
from ann2brian.models.schemes.amos import reference as amos_reference
from ann2brian.models.schemes.amos.options import AmosOptions
from ann2brian.models.spiking.network import READOUT
from ann2brian.models.spiking.projections import SparseProjection
from ann2brian.studies.benchmarks.explicit_synapses import unrolled, with_explicit_synapses
from brian2 import ms, volt

from tests.support.networks import (
    BUSIEST,
    COMPILED,
    KINDS,
    SETTINGS,
    assert_same,
    coding,
    conv,
    everything,
    images_for,
    of_kind,
    shipped,
    slow_unless,
)


def convert(network, images, **options):
    options = {"neurons_per_gate": 4, **options}
    return amos.convert(network, AmosOptions(**options), images)


@pytest.fixture(scope="module")
def case():
    """Network with every kind of layer, 67 images, and what the reference does with them."""
    network = everything()
    images = images_for(network, 67)
    conversion = convert(network, images)
    spiking = conversion.spiking
    return spiking, images, amos_reference.run(conversion, images)


@pytest.mark.parametrize("settings", [s for s in SETTINGS if s["batch"] == 64], ids=str)
def test_more_images_than_copies_equal_reference(case, settings):
    """Brian2's NumPy target against the slot-by-slot reference, the last copies half empty."""
    spiking, images, reference = case
    assert_same(simulate(spiking, images, target="numpy", record=True, **settings), reference)


@pytest.mark.parametrize("period", [1, 2, 4])
def test_any_period_gives_the_spikes_of_single_images(case, period):
    """Acceptance A6: pipelined with period 1, 2 and K against one image at a time."""
    spiking, images, reference = case
    run = simulate(spiking, images[:9], target="numpy", record=True, period=period, batch=2)
    alone = reference.spikes.where(reference.spikes.image < 9)
    assert np.array_equal(run.spikes.neuron, alone.neuron)
    assert np.array_equal(run.spikes.step, alone.step)
    assert np.array_equal(run.scores, reference.scores[:9])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["numpy", pytest.param("cython", marks=pytest.mark.slow)])
def test_each_kind_of_layer_equals_reference(kind, target):
    """One kind of connection at a time, pipelined in copies, against the reference.

    Cython runs the same C++ header as C++ standalone, and each scheme's contract test runs it.
    """
    network = of_kind(kind)
    images = images_for(network, 12)
    conversion = convert(network, images)
    spiking = conversion.spiking
    run = simulate(spiking, images, target=target, record=True, batch=3, pipelined=True)
    assert_same(run, amos_reference.run(conversion, images))


@pytest.mark.parametrize("pipelined", [False, True])
def test_sparse_weights_to_the_readout_equal_reference(pipelined):
    """No common kernel between the last activation and the scores."""
    rng = np.random.default_rng(0)
    layers = (
        conv(rng, "conv1", "input", (3, 3), 2, 4),
        Activation("act1", ("conv1",), "relu"),
        conv(rng, "conv2", "act1", (3, 3), 4, 3, padding=(1, 1)),
        conv(rng, "conv3", "conv2", (3, 3), 3, 5, padding=(0, 1, 1, 0)),
        GlobalAvgPool("gap", ("conv3",)),
    )
    network = Network("headless", coding((6, 7, 2)), layers, tuple("abcde"))
    images = images_for(network, 9)
    conversion = convert(network, images)
    (projection,) = conversion.spiking.incoming(READOUT)
    assert isinstance(projection, SparseProjection)
    settings = {"batch": 2, "pipelined": pipelined}
    run = simulate(conversion.spiking, images, target="numpy", record=True, **settings)
    assert_same(run, amos_reference.run(conversion, images))


@pytest.mark.parametrize("kind", KINDS)
def test_decoded_scores_approach_the_trained_network(kind):
    """Reference with 12 neurons a gate against the trained network's own logits.

    Five steps of the coarsest code, 2^-12 of its range, and their growth through two layers stay
    below 1 % of the logits' spread; a wrong geometry or bias is off by its whole size.
    """
    network = of_kind(kind)
    images = images_for(network, 12)
    conversion = convert(network, images, neurons_per_gate=12, range_percentile=100.0)
    scores = amos_reference.run(conversion, images).scores[:, -1]
    logits = network.forward(images)
    assert np.abs(scores - logits).max() < 0.01 * logits.std()


@pytest.mark.parametrize("function", ["silu", "sigmoid", "tanh", "gelu"])
@pytest.mark.parametrize("inhibition", ["amos", "fs"])
def test_fitted_gates_equal_reference(function, inhibition):
    """Networks of fitted gates, with free and restricted inhibition, against the reference."""
    network = everything(function)
    images = images_for(network, 10)
    conversion = convert(network, images, neurons_per_gate=8, inhibition=inhibition)
    spiking = conversion.spiking
    run = simulate(spiking, images, target="numpy", record=True, batch=4, pipelined=True)
    assert_same(run, amos_reference.run(conversion, images))


def test_signed_input_is_coded_as_spikes():
    """Signed real images against the reference, and the scores against the trained network."""
    network = everything()
    network = replace(network, input=replace(network.input, signed=True, maximum=2.0))
    images = images_for(network, 10)
    conversion = convert(
        network, images, neurons_per_gate=12, input_neurons=12, range_percentile=100.0
    )
    spiking = conversion.spiking
    run = simulate(spiking, images, target="numpy", record=True, batch=4)
    assert_same(run, amos_reference.run(conversion, images))
    assert (run.spike_counts[0] > 0).any()
    logits = network.forward(images)
    assert np.abs(run.scores[:, -1] - logits).max() < 0.02 * logits.std()


@pytest.mark.parametrize(
    ("name", "target"),
    slow_unless(
        lambda name, target: target == "numpy" or (name, target) == ("digits-relu", COMPILED[0]),
        itertools.product(shipped("amos"), ("numpy", *COMPILED)),
    ),
)
def test_shipped_networks_equal_reference(name, target):
    """Shipped networks, real images, on every target against the reference."""
    network = storage.load_network(storage.trained(name))
    dataset = "digits" if name.startswith("digits") else "fashion-mnist"
    try:
        images, _ = datasets.load(dataset, "test")
    except datasets.DatasetError as error:
        pytest.skip(str(error))
    images = images[: 16 if target == "numpy" else 64]
    conversion = convert(network, images, neurons_per_gate=8)
    spiking = conversion.spiking
    run = simulate(spiking, images, target=target, record=True, pipelined=True, batch=2)
    assert_same(run, amos_reference.run(conversion, images))
    assert run.most_spikes == 1


def test_at_most_one_spike_in_its_own_slot(case):
    """Acceptance A5: every spike lies in slot o_l + i, and no neuron spikes twice an image."""
    spiking, images, _ = case
    run = simulate(spiking, images, target="numpy", record=True, batch=5, pipelined=True)
    spikes = run.spikes
    keys = np.stack([spikes.image, spikes.layer, spikes.neuron])
    assert np.unique(keys, axis=1).shape[1] == len(spikes) > 0
    assert run.most_spikes == 1
    for index, layer in enumerate(run.layers):
        chosen = spikes.where(spikes.layer == index)
        assert np.array_equal(chosen.step, layer.onset + chosen.neuron // layer.n_units)


def test_more_spikes_than_one_would_be_counted(case):
    """The counter itself: a neuron type that fires at will must be reported above 1."""
    spiking, images, _ = case
    restless = spiking.neurons[0].edited(threshold="v > theta or t_in_timesteps % 2 == 0")
    run = simulate(spiking.with_neurons(restless), images[:2], target="numpy", batch=1)
    assert run.most_spikes > 1


def test_latency_is_the_sum_of_all_gates(case):
    """Acceptance A7: read-out after sum K_l slots, + 1 to read."""
    spiking, images, _ = case
    longest = [4, 4, 4, 4, 4]  # input of 16 levels, then four layers of K = 4
    assert spiking.n_steps == sum(longest) + 1
    assert simulate(spiking, images[:1], target="numpy").latency_steps == sum(longest) + 1


def test_order_and_neighbours_do_not_matter(case):
    """Acceptance A7: permuted images, pipelined, against the permuted result."""
    spiking, images, reference = case
    order = np.random.default_rng(5).permutation(20)
    run = simulate(spiking, images[order], target="numpy", pipelined=True, batch=3)
    assert np.array_equal(run.scores, reference.scores[order])


@pytest.mark.parametrize("target", ["numpy", "cpp_standalone"])
def test_counts_and_events_equal_the_spike_trains(case, target):
    """Counts per neuron and synaptic events against the trains and the geometry's fan-out."""
    spiking, images, _ = case
    run = simulate(spiking, images, target=target, record=True, **BUSIEST)
    for index, counts in enumerate(run.spike_counts):
        neurons = run.spikes.neuron[run.spikes.layer == index]
        assert np.array_equal(np.bincount(neurons, minlength=counts.size), counts.ravel())
    expected = Counter()
    for projection in spiking.projections:
        counts = run.spike_counts[run.layer(projection.source)].sum(axis=0)
        expected[projection.name] += int((counts * projection.fan_out).sum())
    assert min(expected.values()) > 0
    assert expected.items() <= run.synaptic_events.items()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "overlapping pool"])
def test_fan_out_equals_the_unrolled_network(kind):
    """Fan-out by geometry against the connections found by sending unit vectors through."""
    network = of_kind(kind)
    for projection in convert(network, images_for(network, 8)).spiking.projections:
        source, _, _ = unrolled(projection)
        assert np.array_equal(
            np.bincount(source, minlength=projection.fan_out.size), projection.fan_out
        )


def test_explicit_synapses_give_the_same_spikes(case):
    """Shared kernels against a network unrolled into explicit Brian2 synapses."""
    spiking, images, reference = case
    change = with_explicit_synapses(spiking)
    run = simulate(spiking, images, target="numpy", record=True, batch=1, change=change)
    assert_same(run, reference)


def test_chosen_layers_are_recorded(case):
    """Recording two layers against the same layers of a full recording."""
    spiking, images, reference = case
    run = simulate(spiking, images[:5], target="numpy", record=["act2", "input"])
    assert set(run.spikes.layer) == {0, run.layer("act2")}
    wanted = reference.spikes.where(
        np.isin(reference.spikes.layer, [0, 2]) & (reference.spikes.image < 5)
    )
    assert np.array_equal(run.spikes.neuron, wanted.neuron)
    assert simulate(spiking, images[:1], target="numpy").spikes is None


def test_traces_show_drive_less_inhibition(case):
    """Membrane of input neurons against pen and paper: x, then x less 8 after a spike."""
    spiking, images, _ = case
    unit = int(np.argmax(images[0].ravel() >= 8))
    value = float(images[0].ravel()[unit])
    n_units = images[0].size
    traces = {"input": [unit, n_units + unit]}
    run = simulate(spiking, images[:1], target="numpy", traces=traces)
    unit_mv = spiking.unit_volt * 1e3
    trace = run.traces["input"]
    assert trace[0, 0] == pytest.approx(value * unit_mv, rel=1e-6)
    assert trace[1, 1] == pytest.approx((value - 8) * unit_mv, rel=1e-6)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"record": 3}, "record takes True, False or a list of layers, got 3"),
        ({"inject": 3}, "inject takes a list of Injection, got 3"),
        ({"inject": [np.zeros(2)]}, r"inject takes a list of Injection, got \[array"),
        ({"change": 3}, "change takes a function of the Brian2 objects, got 3"),
    ],
    ids=str,
)
def test_arguments_of_another_kind_are_refused(case, argument, said):
    """Values that cannot be meant against the message."""
    with pytest.raises(TypeError, match=said):
        simulate(case[0], case[1][:1], target="numpy", **argument)


def test_traces_take_one_image_at_a_time(case):
    """Traces of several images against those of each alone; several copies or runs are refused."""
    spiking, images, _ = case
    traces = {"act1": [3, 4], "act4": [0]}
    run = simulate(spiking, images[:3], target="numpy", traces=traces)
    for name, trace in run.traces.items():
        assert trace.shape == (len(traces[name]), 2 * 20 + spiking.n_steps)
    for number in range(3):
        alone = simulate(spiking, images[number : number + 1], target="numpy", traces=traces)
        for name, trace in alone.traces.items():
            part = run.traces[name][:, 20 * number :][:, :20]
            assert np.array_equal(part, trace[:, :20])
    assert run.traces["act1"].any()
    for options in ({"batch": 2}, {"jobs": 2}):
        with pytest.raises(ValueError, match="batch=1, jobs=1 and at most 1000 images, got"):
            simulate(spiking, images[:3], target="numpy", traces=traces, **options)
    with pytest.raises(TypeError, match="traces: neurons by layer are needed"):
        simulate(spiking, images[:1], target="numpy", traces=["act1"])


@pytest.mark.parametrize(
    "traces", [{"act1": 5}, {"act1": [0.7]}, {"act1": [True, False]}, {"act1": "all"}]
)
def test_traces_take_lists_of_whole_numbers(case, traces):
    """A mask or a fraction would silently show other neurons than asked for."""
    spiking, images = case[0], case[1]
    with pytest.raises(ValueError, match=r"^traces"):
        simulate(spiking, images[:1], target="numpy", traces=traces)


def test_changed_equations_run_on_every_target(case):
    """A leaky membrane against a gate whose thresholds are raised by the same factor."""
    spiking, images, reference = case
    leaky = spiking.neurons[0].edited(
        equations={"v : volt": "dv/dt = -v/tau_m : volt"}, constants={"tau_m": 20 * ms}
    )
    raised = [
        replace(p, parameters={"theta": p.parameters["theta"] * np.exp(1 / 20)})
        for p in spiking.populations
    ]
    expected = amos_reference.run(
        Conversion(spiking=replace(spiking, populations=tuple(raised)), options=None), images[:20]
    )
    assert not np.array_equal(expected.scores, reference.scores[:20])
    for target in ("numpy", "cpp_standalone"):
        run = simulate(
            spiking.with_neurons(leaky), images[:20], target=target, record=True, batch=2
        )
        assert np.array_equal(run.scores, expected.scores)


@pytest.mark.parametrize("target", ["numpy", "cpp_standalone"])
def test_noise_is_seeded_and_differs_between_parts(case, target):
    """Noisy membranes: same seed, same scores; another seed or another part, others."""
    spiking, images, _ = case
    noisy = spiking.neurons[0].edited(
        every_phase="v = drive - inhibition + sigma*randn()",
        constants={"sigma": 0.5 * spiking.unit_volt * volt},
    )
    same = np.repeat(images[:1], 4, axis=0)

    def scores(seed):
        network = spiking.with_neurons(noisy)
        return simulate(network, same, target=target, batch=1, jobs=2, seed=seed).scores

    first = scores(1)
    assert np.array_equal(first, scores(1))
    assert not np.array_equal(first, scores(2))
    assert not np.array_equal(first[:2], first[2:])


def test_sums_that_cannot_be_exact_are_refused(case):
    """Weights of 24 bits beside others 2^40 times larger: double precision has 53 bits."""
    spiking, images, _ = case
    first, *rest = spiking.projections
    wide = first.kernel.copy()
    wide.flat[0] = 2.0**40 + 2.0**-12
    broken = replace(spiking, projections=(replace(first, kernel=wide), *rest))
    with pytest.raises(ValueError, match=r"need \d+ bits to be exact; double precision has 53"):
        simulate(broken, images[:1], target="numpy")
