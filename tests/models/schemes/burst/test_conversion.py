"""Burst conversion: golden vectors, laws and limits of the algorithm, and options by name."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from ann2brian.analysis.statistics.conversion_error import conservation_error
from ann2brian.models.conversion.reference import pool
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.layers import (
    INPUT,
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    MaxPool2D,
    QuantisedReLU,
    Spike,
)
from ann2brian.models.networks.network import InputCoding, Network, accuracy
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst import reference as burst_reference
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.models.schemes.burst.scales import layer_scales, needed_limit
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import (
    CLASSES,
    coding,
    conv,
    curved_network,
    dense,
    images_for,
    pooled_network,
    unusual_pools,
)

GOLDEN = [  # section 3.3 of the specification: input, limit, spikes, potential at the end
    ("2.3 2.3 2.3 2.3 2.3", 1, [1, 1, 1, 1, 1], "6.5"),
    ("2.3 2.3 2.3 2.3 2.3", 2, [2, 2, 2, 2, 2], "1.5"),
    ("2.3 2.3 2.3 2.3 2.3", 3, [2, 2, 2, 3, 2], "0.5"),
    ("2.3 2.3 2.3 2.3 2.3", 5, [2, 2, 2, 3, 2], "0.5"),
    ("3.4 0 0 0", 1, [1, 1, 1, 0], "0.4"),
    ("3.4 0 0 0", 2, [2, 1, 0, 0], "0.4"),
    ("3.4 0 0 0", 3, [3, 0, 0, 0], "0.4"),
    ("1.2 -2 -1", 1, [1, 0, 0], "-2.8"),
    ("1.2 -2 -1", 5, [1, 0, 0], "-2.8"),
    ("-1 2.5 0", 1, [0, 1, 0], "0.5"),
    ("-1 2.5 0", 5, [0, 1, 0], "0.5"),
]


@pytest.mark.parametrize(("inputs", "limit", "spikes", "end"), GOLDEN)
def test_golden_vectors_of_the_burst_neuron(inputs, limit, spikes, end):
    """Acceptance B1, with rational arithmetic so that no value sits at .9999."""
    v, fired = np.array(Fraction(0), dtype=object), []
    for current in inputs.split():
        s, v = _rational_burst(v, Fraction(current), limit)
        fired.append(int(s))
    assert fired == spikes
    assert v == Fraction(end)
    v, fired = np.array([1e-9]), []  # the reference, lifted above the rounding of decimals
    for current in inputs.split():
        s, v = burst_reference.burst(v, float(current), limit)
        fired.append(int(s[0]))
    assert fired == spikes
    assert v[0] == pytest.approx(float(end), abs=2e-9)


def _rational_burst(v, current, limit):
    """The same formula by integers: whole thresholds in v, at most `limit`, at least none."""
    v = v + current
    s = min(max(v // 1, 0), limit)
    return s, v - s


@given(
    st.lists(st.integers(-4096, 8192), min_size=1, max_size=30),
    st.integers(1, 6),
    st.integers(0, 1023),
)
def test_reference_neuron_equals_rational_arithmetic(inputs, limit, start):
    """The reference's step on a dyadic grid against integers, and conservation (B2)."""
    v, exact = np.array([start / 1024]), Fraction(start, 1024)
    total = 0
    for current in inputs:
        s, v = burst_reference.burst(v, np.array([current / 1024]), limit)
        wanted, exact = _rational_burst(exact, Fraction(current, 1024), limit)
        assert (s[0], v[0]) == (wanted, exact)
        total += int(s[0])
    assert Fraction(sum(inputs) + start, 1024) == exact + total


@given(st.integers(0, 5 * 1024), st.integers(1, 5), st.integers(1, 50))
def test_constant_current_below_the_limit_leaves_less_than_one_spike(current, limit, n_steps):
    """Acceptance B3: 0 <= V < 1 and 0 <= I - r < 1/T up to I = Gamma; beyond, V grows."""
    v, total = np.zeros(1), 0
    level = current / 1024
    for step in range(1, n_steps + 1):
        s, v = burst_reference.burst(v, level, limit)
        total += int(s[0])
        if level <= limit:
            assert 0 <= v[0] < 1
            assert 0 <= level - total / step < 1 / step
        else:
            assert s[0] == limit
            assert v[0] == step * (level - limit)


@given(st.lists(st.integers(-2048, 4096), min_size=1, max_size=30))
def test_limits(inputs):
    """Acceptance B4: limit 1 is integrate and fire; beyond the largest need, none is felt."""
    currents = np.array(inputs) / 1024
    v, soft = 0.0, np.zeros(1)
    for current in currents:  # soft-reset integrate and fire, written out
        v += current
        fires = v >= 1
        v -= fires
        s, soft = burst_reference.burst(soft, current, 1)
        assert (s[0], soft[0]) == (fires, v)
    need = int(max(1, np.maximum(currents, 0).sum() + 1))
    runs = []
    for limit in (need, need + 7):
        state, counts = np.zeros(1), []
        for current in currents:
            s, state = burst_reference.burst(state, current, limit)
            counts.append(s[0])
        runs.append(counts)
    assert runs[0] == runs[1]


def test_golden_vectors_of_pooling():
    """Acceptance B1: section 4.2, trains A and B through the three rules."""
    trains = np.array([[1, 1, 0, 0], [0, 1, 1, 1]]).T
    wanted = {"lipool": [1, 1, 0, 1], "gated": [1, 1, 1, 1], "or": [1, 1, 1, 1]}
    for rule, expected in wanted.items():
        state, found = np.zeros(2), []
        for arrived in trains:
            s, state = pool(rule, state, arrived)
            found.append(int(s))
        assert found == expected


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_lipool_is_the_largest_count_at_every_step(n_places, n_steps, limit, seed):
    """Acceptance B5: cumulative output against the maximum of cumulative inputs; gated above."""
    trains = np.random.default_rng(seed).integers(0, limit + 1, (n_steps, n_places))
    li, gated, so_far = np.zeros(n_places), np.zeros(n_places), 0
    out = 0
    for step, arrived in enumerate(trains, start=1):
        s, li = pool("lipool", li, arrived)
        assert 0 <= s <= limit
        out += s
        assert out == trains[:step].sum(axis=0).max()
        passed, gated = pool("gated", gated, arrived)
        so_far += passed
        assert so_far >= out


WINDOWS = [
    ((2, 2), (2, 2), (0, 0)),
    ((3, 3), (2, 2), (1, 1)),
    ((3, 2), (1, 2), (1, 0)),
    ((2, 2), (3, 3), (0, 0)),
]


@pytest.mark.parametrize(("size", "stride", "padding"), WINDOWS)
def test_lipool_map_is_the_maximum_at_every_step(size, stride, padding):
    """Acceptance B5 on maps: any kernel, stride and padding, against the layer's own maximum."""
    network = pooled_network(size, stride, padding)
    images = images_for(network, 6)
    conversion = burst.convert(network, BurstOptions(n_steps=9, gamma=3), images)
    run = burst_reference.run(conversion, images)
    pool = network.layer("pool1")
    shape = network.shapes["act1"]
    before = np.cumsum(run.counts["act1"], axis=1, dtype=float)
    after = np.cumsum(run.counts["pool1"], axis=1)
    assert after.any()
    for step in range(9):
        wanted = pool.apply(before[:, step].reshape(-1, *shape)).reshape(len(images), -1)
        assert np.array_equal(after[:, step], wanted)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("initial", [0.0, 0.5])
def test_conservation_in_a_network(limit, initial):
    """Acceptance B2: sum I + V(0) = V(T) + sum s, exactly, for every neuron of a network.

    The inputs are summed over all steps first, so that nothing depends on how the steps ran.
    """
    network = pooled_network()
    images = images_for(network, 5)
    options = BurstOptions(
        n_steps=12, gamma=limit, initial=initial, normalisation="percentile", percentile=90.0
    )
    conversion = burst.convert(network, options, images)
    spiking = conversion.spiking
    run = burst_reference.run(conversion, images)
    totals = {name: counts.sum(axis=1) for name, counts in run.counts.items()}
    stimulus = {s.target: s.values(images) for s in spiking.stimuli}
    for population in spiking.populations:
        if spiking.window(population.name) is not None:
            continue
        current = stimulus.get(population.name, population.parameters["bias"].reshape(1, -1))
        total = 12 * current + sum(
            p.forward(totals[p.source].astype(float)) for p in spiking.incoming(population.name)
        )
        lost = conservation_error(
            total, totals[population.name], run.potentials[population.name], initial
        )
        assert not lost.any()


@pytest.mark.parametrize(
    "options",
    [
        {"normalisation": "maximum"},
        {"normalisation": "percentile", "percentile": 99.0},
        {"normalisation": "percentile/gamma", "percentile": 99.0},
        {"normalisation": "maximum", "channel_wise": True},
        {"normalisation": "compatibility", "percentile": 99.0},
    ],
    ids=str,
)
def test_converted_network_equals_a_run_on_the_trained_layers(options):
    """Counts against the trained network's own layers, fed step by step with values s * lambda.

    Nothing of the conversion but lambda enters, so folding, normalisation, pooling, padding,
    residual paths and the merging of linear layers are checked at once; what remains is the
    rounding of the weights, which moves no spike of these networks by more than a step.
    """
    network = pooled_network()
    images = images_for(network, 8)
    options = BurstOptions(n_steps=20, gamma=3, weight_bits=24, **options)
    conversion = burst.convert(network, options, images)
    run = burst_reference.run(conversion, images)
    state = {}
    counts = {name: np.zeros_like(c, dtype=int) for name, c in run.counts.items()}
    logits = np.zeros((len(images), len(CLASSES)))
    for step in range(20):
        values = {INPUT: network.input.standardise(images)}
        for layer in network.layers:
            inputs = [values[source] for source in layer.inputs]
            if isinstance(layer, Activation):
                scale = conversion.scales[layer.name]
                v = state.get(layer.name, options.initial) + inputs[0] / scale
                s = np.clip(np.floor(v + 1e-9), 0, 3)
                state[layer.name] = v - s
                counts[layer.name][:, step] = s.reshape(len(images), -1)
                values[layer.name] = s * scale
            elif isinstance(layer, MaxPool2D):
                source = layer.inputs[0]
                scale = conversion.scales[source]
                so_far = counts[source].sum(axis=1, dtype=float)
                so_far = so_far.reshape(-1, *network.shapes[source])
                s = layer.apply(so_far) - state.get(layer.name, 0)
                state[layer.name] = state.get(layer.name, 0) + s
                counts[layer.name][:, step] = s.reshape(len(images), -1)
                values[layer.name] = s * scale
            else:
                values[layer.name] = layer.apply(*inputs)
        logits += values[network.layers[-1].name][:, 0, 0]
    for name, found in run.counts.items():
        differing = np.mean(np.cumsum(found, axis=1) != np.cumsum(counts[name], axis=1))
        assert differing < 2e-3, name
        assert found.any()
    logits /= run.scores.shape[1]
    assert np.abs(run.scores[:, -1] - logits).max() < 0.02 * logits.std()


def test_scores_approach_the_trained_network():
    """Rates after many steps against the trained network's logits: the error falls as 1/T."""
    network = pooled_network()
    images = images_for(network, 8)
    logits = network.forward(images)
    errors = []
    for n_steps in (64, 512):
        options = BurstOptions(
            n_steps=n_steps, gamma=4, normalisation="percentile/gamma", percentile=100.0
        )
        conversion = burst.convert(network, options, images)
        run = burst_reference.run(conversion, images)
        found = run.scores[:, -1]
        errors.append(np.abs(found - logits).max() / logits.std())
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 3


def quantised_network(levels=4, seed=0):
    """Convolutions with quantised activations on a dyadic grid, and max pooling."""
    rng = np.random.default_rng(seed)

    def on_grid(layer):
        arrays = {f: np.round(getattr(layer, f) * 256) / 256 for f in ("kernel", "bias")}
        return replace(layer, **arrays)

    layers = (
        on_grid(conv(rng, "conv1", INPUT, (3, 3), 1, 6, padding=(1, 1))),
        QuantisedReLU("act1", ("conv1",), 0.25, levels),
        MaxPool2D("pool1", ("act1",), (2, 2), (2, 2), (0, 0)),
        on_grid(conv(rng, "conv2", "pool1", (3, 3), 6, 8, padding=(1, 1))),
        QuantisedReLU("act2", ("conv2",), 0.125, levels),
        Flatten("flat", ("act2",)),
        on_grid(dense(rng, "out", "flat", 128, 5)),
    )
    image = replace(coding((8, 8, 1)), gain=np.array([0.125]), offset=np.array([-0.75]))
    return Network("quantised", image, layers, CLASSES)


@pytest.mark.parametrize("levels", [1, 4, 7])
def test_quantised_network_is_exact_in_one_step(levels):
    """Acceptance B7: T = 1, Gamma = L, V(0) = v_th/2 against the trained network, bit for bit."""
    network = quantised_network(levels)
    images = images_for(network, 40)
    conversion = burst.convert(network, BurstOptions(n_steps=1), images)
    run = burst_reference.run(conversion, images)
    values = network.activations(images)
    for name in ("act1", "pool1", "act2"):
        scale = conversion.scales[name][0]
        found = run.counts[name][:, 0] * scale
        assert np.array_equal(found, values[name].reshape(len(images), -1))
        assert 0 < found.mean() < levels * scale
    assert np.array_equal(run.scores[:, 0], network.forward(images))


@pytest.mark.parametrize("name", ["digits-qcfs", "fashion-qcfs"])
def test_shipped_quantised_networks_are_exact_in_one_step(name):
    """Acceptance B7 on the shipped networks: logits bit for bit on test images."""
    network = storage.load_network(storage.trained(name))
    try:
        images, labels = datasets.load(
            "digits" if name.startswith("digits") else "fashion-mnist", "test"
        )
    except datasets.DatasetError as error:
        pytest.skip(str(error))
    images, labels = images[:200], labels[:200]
    conversion = burst.convert(network, BurstOptions(n_steps=1), images[:1])
    run = burst_reference.run(conversion, images)
    assert np.array_equal(run.scores[:, 0], network.forward(images))
    assert accuracy(run.scores[:, 0], labels) > 0.85
    assert conversion.weight_error == 0


def test_scales_by_rule():
    """Lambda of each rule against its definition on the sorted outputs."""
    network = pooled_network()
    images = images_for(network, 10)
    folded = network.fold_batch_norm()
    outputs = folded.activations(images)["act1"]
    ordered = np.sort(outputs.ravel())

    def scale(**options):
        return layer_scales(folded, images, BurstOptions(**options))["act1"]

    assert np.all(scale(normalisation="maximum") == outputs.max())
    at_90 = ordered[int(ordered.size * 0.9) - 1]
    assert np.all(scale(normalisation="percentile", percentile=90.0) == at_90)
    assert np.all(scale(normalisation="percentile/gamma", percentile=90.0, gamma=4) == at_90 / 4)
    by_channel = outputs.reshape(-1, outputs.shape[3]).max(axis=0)
    found = scale(normalisation="maximum", channel_wise=True)
    assert np.array_equal(found, np.where(by_channel > 0, by_channel, outputs.max()))
    # The compatibility rule cuts at Gamma, and what is cut goes on to the next layer.
    options = BurstOptions(normalisation="compatibility", percentile=100.0, gamma=1)
    scales = layer_scales(folded, images, options)
    assert np.all(scales["act1"] == min(1.0, outputs.max()))
    plain = layer_scales(folded, images, replace(options, normalisation="maximum"))
    assert scales["act2"][0] < plain["act2"][0]
    assert np.array_equal(scales["pool1"], scales["act1"])


def test_limits_of_their_own():
    """Limits from calibration: smaller where that is enough, and the smallest that is."""
    sizes = np.array([50, 50, 48, 0, 0, 2])
    assert needed_limit(sizes, held_back=0) == 5
    assert needed_limit(sizes, held_back=6 / 156) == 2
    assert needed_limit(sizes, held_back=5 / 156) == 3
    assert needed_limit(np.array([9])) == 1
    network = pooled_network()
    images = images_for(network, 20)
    options = BurstOptions(n_steps=16, gamma=6, normalisation="percentile", percentile=95.0)
    free = burst.convert(network, options, images)
    own = burst.convert(network, replace(options, own_limits=True), images)
    assert max(own.limits.values()) < 6
    assert own.limits["pool1"] == own.limits["act1"]
    before = burst_reference.run(free, images)
    after = burst_reference.run(own, images)
    assert max(after.counts["act1"].max(), 1) == own.limits["act1"]
    total = sum(int(c.sum()) for c in before.counts.values())
    assert abs(sum(int(c.sum()) for c in after.counts.values()) - total) < 0.02 * total
    assert own.spiking.phase_steps == max(own.limits.values()) + 2


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        (lambda rng: (AvgPool2D("p", (INPUT,)),), "no activation"),
        (
            lambda rng: (MaxPool2D("p", (INPUT,)), Spike("s", ("p",))),
            "Spike 's' cannot become spiking neurons in this scheme",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(layers, match):
    """Layers without a counterpart: the message names layer and remedy."""
    rng = np.random.default_rng(0)
    found = layers(rng)
    shapes = {INPUT: (8, 8, 2)}
    for layer in found:
        shapes[layer.name] = layer.output_shape(*(shapes[name] for name in layer.inputs))
    size = int(np.prod(shapes[found[-1].name]))
    head = (Flatten("f", (found[-1].name,)), dense(rng, "o", "f", size, 5))
    network = Network("odd", coding((8, 8, 2)), (*found, *head), CLASSES)
    with pytest.raises(ValueError, match=match):
        burst.convert(network, calibration=images_for(network, 2))


def made_of_relus(seed=0):
    """Activations that are sums of ReLUs, pooling before one, and batch norm where none folds."""
    rng = np.random.default_rng(seed)

    def norm(name, before):
        return BatchNorm(name, (before,), *rng.uniform(0.5, 1.5, size=(4, 6)), 1e-5)

    layers = (
        conv(rng, "conv1", INPUT, (3, 3), 2, 6, padding=(1, 1)),
        MaxPool2D("pool1", ("conv1",), (2, 2), (2, 2)),
        norm("norm1", "pool1"),
        Activation("act1", ("norm1",), "relu"),
        norm("norm2", "act1"),
        Activation("act2", ("norm2",), "clip", (0.0, 6.0)),
        conv(rng, "conv2", "act2", (3, 3), 6, 6, padding=(1, 1)),
        LeakyReLU("act3", ("conv2",), np.linspace(-0.2, 0.5, 6)),
        Add("sum", ("act3", "act2")),
        Activation("act4", ("sum",), "hardsigmoid"),
        conv(rng, "conv3", "act4", (3, 3), 6, 6),
        Activation("act5", ("conv3",), "clip", (-1.0, 0.1)),
        GlobalAvgPool("gap", ("act5",)),
        dense(rng, "out", "gap", 6, 5),
    )
    return Network("made of ReLUs", coding((9, 8, 2)), layers, CLASSES)


def test_sums_of_relus_reach_the_logits_of_the_trained_network():
    """Scores after many steps against the trained network's own layers: the error is of 1 / T."""
    network = made_of_relus()
    images = images_for(network, 6)
    logits = network.forward(images)
    options = BurstOptions(n_steps=512, percentile=100.0, weight_bits=24)
    conversion = burst.convert(network, options, images)
    left = np.abs(burst_reference.run(conversion, images).scores - logits[:, None]).max(axis=(0, 2))
    assert left[511] < 2e-3 * np.ptp(logits)
    assert left[511] < 0.1 * left[15]
    populations = [population.name for population in conversion.spiking.populations]
    assert populations[:4] == ["act1", "pool1", "act2_relu1", "act2_relu2"]
    assert len(populations) == 2 + 2 * 4


def test_unusual_pools_reach_the_logits_of_the_trained_network():
    """As above, with nothing but single ReLUs that are pooled."""
    network = unusual_pools()
    images = images_for(network, 6)
    logits = network.forward(images)
    options = BurstOptions(n_steps=512, percentile=100.0, weight_bits=24)
    conversion = burst.convert(network, options, images)
    left = np.abs(burst_reference.run(conversion, images).scores - logits[:, None]).max(axis=(0, 2))
    assert left[511] < 2e-3 * np.ptp(logits)
    assert left[511] < 0.1 * left[15]
    pools = [p.name for p in conversion.spiking.populations if "pool" in p.name]
    assert pools == ["pool1_relu1", "pool1_pool1", "pool1_relu2", "pool1_pool2", "pool2"]


def lost(network, images, n_steps, pieces):
    """Conversion, and the largest error of the scores after all steps, in the range of the logits.

    Against the trained network's own layers.
    """
    logits = network.forward(images)
    options = BurstOptions(n_steps=n_steps, pieces=pieces, percentile=100.0, weight_bits=24)
    conversion = burst.convert(network, options, images)
    scores = burst_reference.run(conversion, images).scores[:, -1]
    return conversion, np.abs(scores - logits).max() / np.ptp(logits)


def test_curved_functions_products_and_any_pooling_reach_the_logits():
    """Scores against the trained logits: nearer with more pieces and with more steps."""
    network = curved_network()
    images = images_for(network, 3)
    conversion, left = lost(network, images, 128, 16)
    assert left < 0.006
    assert lost(network, images, 128, 2)[1] > 5 * left
    assert lost(network, images, 8, 16)[1] > 3 * left
    fits = conversion.fits
    assert list(fits) == ["act1", "gate", "product_square1", "product_square2", "act3"]
    assert not any(isinstance(layer, MaxPool2D) for layer in conversion.network.layers)
    assert conversion.network.shapes["act2_relu1"] == (1, 1, 6)  # pooled before the activation
    values = network.activations(images)
    assert fits["act1"].knots[0] == pytest.approx(values["conv1"].min(), rel=1e-12)
    assert fits["act1"].knots[-1] == pytest.approx(values["conv1"].max(), rel=1e-12)
    pieces = fits["act1"](values["conv1"])
    assert np.abs(pieces - values["act1"]).max() <= fits["act1"].error * 1.001
    assert fits["act1"].error > np.abs(pieces - values["act1"]).max() / 2


def test_network_of_pieces_is_as_near_as_the_fits():
    """The network that is converted against the trained one, without any spikes."""
    network = curved_network()
    images = images_for(network, 12)
    logits = network.forward(images)
    left = []
    for pieces in (4, 16, 64):
        conversion = burst.convert(network, BurstOptions(n_steps=1, pieces=pieces), images)
        assert max(fit.n_pieces for fit in conversion.fits.values()) == pieces
        left.append(np.abs(conversion.network.forward(images) - logits).max() / np.ptp(logits))
    assert left[2] < 1e-3
    assert left[2] < left[1] / 2 < left[0] / 8
    relus = burst.convert(pooled_network(), calibration=images_for(pooled_network(), 3))
    assert relus.fits == {}


@pytest.mark.parametrize("channel_wise", [False, True])
def test_images_that_calibration_lacks_are_right_within_the_range(channel_wise):
    """A channel that calibration hardly drives against the function on all of the layer's range."""
    eye = np.eye(2)
    layers = (
        Conv2D("conv", (INPUT,), eye[None, None], np.zeros(2)),
        Activation("act", ("conv",), "silu"),
        Flatten("flat", ("act",)),
        Dense("out", ("flat",), eye, np.zeros(2)),
    )
    image = InputCoding((1, 1, 2), 4.0, np.ones(2), np.zeros(2), signed=True)
    network = Network("rare", image, layers, ("a", "b"))
    wide = np.linspace(-4, 4, 65)
    images = np.stack([wide, np.clip(wide, -0.1, 0.1)], axis=1)[:, None, None]
    options = BurstOptions(n_steps=200, percentile=100.0, channel_wise=channel_wise)
    conversion = burst.convert(network, options, images)
    rare = np.stack([np.zeros(9), np.linspace(-3.9, 3.9, 9)], axis=1)[:, None, None]
    found = burst_reference.run(conversion, rare).scores[:, -1]
    assert np.abs(found - network.forward(rare)).max() < conversion.fits["act"].error + 0.03
    spans = conversion.scales["act_relu1"].reshape(2, -1) * options.gamma
    assert np.allclose(spans, conversion.fits["act"].spans())


def test_ranges_follow_the_rule_of_the_scales():
    """The percentile cuts both ends, the maximum none; half of all and less leaves no range."""
    network = curved_network()
    images = images_for(network, 8)
    drives = np.sort(network.activations(images)["conv1"], axis=None)

    def knots(**options):
        fits = burst.convert(network, BurstOptions(n_steps=1, **options), images).fits
        return fits["act1"].knots[[0, -1]]

    n_beyond = drives.size - int(np.ceil(drives.size * 0.9))
    assert np.allclose(knots(percentile=90.0), drives[[n_beyond, -1 - n_beyond]], rtol=1e-12)
    at_ends = knots(normalisation="maximum", percentile=90.0)
    assert np.allclose(at_ends, drives[[0, -1]], rtol=1e-12)
    with pytest.raises(ValueError, match="layer 'act1': percentile 40 leaves no range"):
        knots(percentile=40.0)


def test_function_of_a_constant_drive_is_converted():
    """A layer without weights, and a pooling whose places are all equal, against the logits."""
    network = curved_network()
    images = images_for(network, 4)
    silent = replace(network.layer("conv1"), kernel=np.zeros((3, 3, 2, 6)), bias=np.ones(6))
    layers = tuple(silent if layer.name == "conv1" else layer for layer in network.layers)
    network = replace(network, layers=layers)
    logits = network.forward(images)
    conversion = burst.convert(network, BurstOptions(n_steps=64), images)
    scores = burst_reference.run(conversion, images).scores[:, -1]
    assert np.abs(scores - logits).max() < 0.05 * np.ptp(logits)


def test_function_that_overflows_is_refused_by_name():
    """A square of drives whose squares are no numbers."""
    network = curved_network()
    huge = Conv2D("conv3", ("pool2",), np.full((1, 1, 6, 8), 1e200), np.zeros(8))
    square = Activation("act3", ("conv3",), "square")
    changed = {"conv3": huge, "act3": square}
    layers = tuple(changed.get(layer.name, layer) for layer in network.layers)
    with (
        pytest.raises(ValueError, match=r"Activation 'act3': the function is not finite"),
        np.errstate(all="ignore"),
    ):
        burst.convert(replace(network, layers=layers), calibration=images_for(network, 2))


def test_inner_relu_that_no_image_drives_has_a_scale():
    """ReLU6 of small values against the rule: 1/64 of the scale beside it; by channel, too."""
    network = made_of_relus()
    images = images_for(network, 6)
    for channel_wise in (False, True):
        options = BurstOptions(channel_wise=channel_wise)
        scales = burst.convert(network, options, images).scales
        assert (scales["act2_relu2"] == scales["act2_relu1"].max() / 64).all() or channel_wise
        assert all((scale > 0).all() for scale in scales.values())
    silent = replace(network.layer("conv2"), kernel=np.zeros((3, 3, 6, 6)), bias=np.zeros(6))
    layers = tuple(silent if layer.name == "conv2" else layer for layer in network.layers)
    scales = burst.convert(replace(network, layers=layers), BurstOptions(), images).scales
    assert (scales["act3_relu1"] == 1 / 5).all()


@pytest.mark.parametrize("is_pooled", [False, True])
def test_corrected_biases_make_the_mean_scores_exact(is_pooled):
    """One spiking layer: mean scores over the calibration images against the mean logits.

    Its input is exact, and all its places count alike: the errors of its channels are all there is.
    """
    rng = np.random.default_rng(0)
    pool = (MaxPool2D("pool", ("act",), (2, 2), (2, 2)),) if is_pooled else ()
    layers = (
        conv(rng, "conv", INPUT, (3, 3), 2, 6),
        Activation("act", ("conv",), "relu"),
        *pool,
        Conv2D("mix", ("pool" if pool else "act",), rng.normal(size=(1, 1, 6, 6)), np.ones(6)),
        GlobalAvgPool("gap", ("mix",)),
        dense(rng, "out", "gap", 6, 5),
    )
    network = Network("one layer", coding((9, 8, 2)), layers, CLASSES)
    images = images_for(network, 12)
    logits = network.forward(images)
    lost = {}
    for is_corrected in (False, True):
        options = BurstOptions(
            n_steps=3, percentile=97.0, weight_bits=24, bias_correction=is_corrected
        )
        conversion = burst.convert(network, options, images)
        scores = burst_reference.run(conversion, images).scores[:, -1]
        lost[is_corrected] = np.abs(scores.mean(axis=0) - logits.mean(axis=0)).max()
        errors = burst.mean_errors(conversion, images)
    assert lost[True] < 1e-3 * lost[False]
    wanted = network.activations(images)["act"] / conversion.scales["act"]
    answered = np.clip(np.floor(3 * wanted + 0.5), 0, 3 * 5)
    expected = (answered / 3 - wanted).mean(axis=(0, 1, 2)) * conversion.scales["act"]
    assert np.allclose(errors["act"], expected, rtol=0, atol=1e-3 * conversion.scales["act"][0])


def test_scores_that_take_the_image_itself_are_neurons():
    """A shortcut from the image to the scores against the logits: two neurons for each class."""
    rng = np.random.default_rng(0)
    layers = (
        Flatten("f", (INPUT,)),
        dense(rng, "d", "f", 32, 32),
        Activation("a", ("d",), "relu"),
        Add("s", ("a", "f")),
        dense(rng, "o", "s", 32, 5),
    )
    network = Network("shortcut", coding((4, 4, 2)), layers, CLASSES)
    images = images_for(network, 6)
    options = BurstOptions(n_steps=256, percentile=100.0, weight_bits=24)
    conversion = burst.convert(network, options, images)
    assert list(conversion.scales) == ["a", "o_relu1", "o_relu2"]
    logits = network.forward(images)
    left = np.abs(burst_reference.run(conversion, images).scores - logits[:, None]).max(axis=(0, 2))
    assert left[255] < 5e-3 * np.ptp(logits)
    assert left[255] < 0.2 * left[15]


def test_spikes_at_the_end_are_refused():
    """A network that ends in an activation."""
    rng = np.random.default_rng(0)
    layers = (
        Flatten("f", (INPUT,)),
        dense(rng, "d", "f", 32, 5),
        Activation("a", ("d",), "relu"),
    )
    network = Network("end", coding((4, 4, 2)), layers, CLASSES)
    with pytest.raises(ValueError, match=r"last layer.*'a'"):
        burst.convert(network, calibration=images_for(network, 2))


def test_silent_calibration_is_refused():
    """No image, and a percentile at which a layer is silent."""
    network = pooled_network()
    with pytest.raises(ValueError, match="at least one image"):
        burst.convert(network, calibration=images_for(network, 1)[:0])
    with pytest.raises(ValueError, match=r"act1.*percentile 1 "):
        burst.convert(
            network,
            BurstOptions(normalisation="percentile", percentile=1.0),
            images_for(network, 2),
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_steps", 0),
        ("n_steps", 2.5),
        ("n_steps", True),
        ("gamma", 0),
        ("gamma", 65),
        ("normalisation", "median"),
        ("percentile", 0.0),
        ("percentile", 100.5),
        ("percentile", float("nan")),
        ("pieces", 0),
        ("pieces", 257),
        ("initial", -0.1),
        ("initial", 1.0),
        ("pooling", "max"),
        ("timing", "free"),
        ("intra_burst_ms", 0.0),
        ("guard_ms", 3.0),
        ("delay_ms", 6.0),
        ("delay_ms", -2.0),
        ("weight_bits", 1),
    ],
)
def test_options_out_of_range_are_refused_by_name(field, value):
    """Every option, with a message that names it."""
    with pytest.raises(ValueError, match=field):
        BurstOptions(**{field: value})


def test_intervals_that_rounding_makes_odd_are_taken():
    """0.3 / 0.1 is not 3 in floating point, but three intervals all the same."""
    options = BurstOptions(intra_burst_ms=0.1, guard_ms=0.3, delay_ms=0.1)
    network = pooled_network()
    conversion = burst.convert(network, options, images_for(network, 2))
    spiking = conversion.spiking
    assert spiking.phase_steps == options.gamma + 3
