"""Statistics of spike trains against pen and paper, plain loops, SciPy and closed forms."""

import math
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.statistics.accuracy import accuracy_interval, accuracy_over_time
from ann2brian.analysis.statistics.gate_codes import (
    _gates,
    activation_error,
    code_words,
    decoded,
    firing_by_position,
    latencies,
    per_layer,
    spikes_per_gate,
)
from ann2brian.models.schemes.amos.gates import fs_gate, relu_gate, signed_gate
from ann2brian.models.spiking.recording import RecordedLayer, Recording, Spikes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, entropy

WALL_TIMES = {f.name: 0.0 for f in fields(Recording) if f.name.endswith("_s")}  # not analysed


def recording_of(fired, dt_ms=1.0, events=None, keep=True):
    """Recording of given decisions, one array (n_images, n_positions, n_units) for each layer."""
    layers, parts, onset = [], [], 0
    for index, decisions in enumerate(fired):
        _, n_positions, n_units = decisions.shape
        layers.append(
            RecordedLayer(
                name=f"layer{index}", shape=(1, 1, n_units), n_positions=n_positions, onset=onset
            )
        )
        image, position, unit = np.nonzero(decisions)
        parts.append(
            Spikes(
                image=image,
                layer=np.full(image.size, index),
                neuron=position * n_units + unit,
                step=onset + position,
            )
        )
        onset += n_positions
    n_images = len(fired[0])
    return Recording(
        scheme="amos",
        network="handmade",
        layers=tuple(layers),
        n_images=n_images,
        dt_ms=dt_ms,
        phase_steps=1,
        period=1,
        scores=np.zeros((n_images, 1, 2)),
        readout_onset=0,
        readout_every=1,
        spike_counts=tuple(decisions.sum(axis=0) for decisions in fired),
        most_spikes=1,
        events_by_step={name: np.array([n]) for name, n in (events or {}).items()},
        spikes_by_step={},
        spikes=Spikes.of(parts) if keep else None,
        traces={},
        end_potentials={},
        **WALL_TIMES,
    )


@st.composite
def decisions(draw):
    """Random decisions of one to three layers, from silent to always firing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_images = draw(st.integers(1, 5))
    sizes = draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 7)), min_size=1, max_size=3))
    rates = draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=3, max_size=3))
    return [
        rng.random((n_images, n_positions, n_units)) < rate
        for (n_positions, n_units), rate in zip(sizes, rates, strict=False)
    ]


@pytest.fixture
def two_layers():
    """Two images. Layer 0: 2 positions, 2 units; layer 1: 3 positions, 2 units."""
    first = np.zeros((2, 2, 2), dtype=bool)
    first[0, 0, 0] = first[0, 1, 0] = first[0, 1, 1] = True
    first[1, 1, 0] = True
    second = np.zeros((2, 3, 2), dtype=bool)
    second[0, 0, 0] = second[0, 2, 0] = True  # word 101
    second[1, 0, 1] = second[1, 2, 1] = True  # word 101
    second[1, 2, 0] = True  # word 001
    events = {
        "layer0->layer1": 8,
        "layer0->readout": 4,
        "layer1->readout": 50,
        "layer0 inhibition": 2,
        "layer1 inhibition": 6,
    }
    return recording_of([first, second], dt_ms=0.5, events=events)


# ---- firing probabilities and layer table ----


def test_firing_by_position_pen_and_paper(two_layers):
    """Firing probabilities against hand counts over two images and two units."""
    table = firing_by_position(two_layers)
    assert table["layer"].tolist() == ["layer0"] * 2 + ["layer1"] * 3
    assert table["position"].tolist() == [0, 1, 0, 1, 2]
    assert table["firing_probability"].tolist() == [0.25, 0.75, 0.5, 0.0, 0.75]


def test_per_layer_pen_and_paper(two_layers):
    """The layer table against hand counts."""
    table = per_layer(two_layers).set_index("layer")
    assert table["n_units"].tolist() == [2, 2]
    assert table["n_neurons"].tolist() == [4, 6]
    assert table["spikes_per_image"].tolist() == [2.0, 2.5]
    assert table["spikes_per_gate"].tolist() == [1.0, 1.25]
    assert table["spikes_per_neuron"].tolist() == [0.5, 2.5 / 6]
    assert table["synaptic_events_per_image"].tolist() == [6.0, 25.0]
    assert table["inhibition_events_per_image"].tolist() == [1.0, 3.0]


def test_per_layer_totals(two_layers):
    """Column sums of the layer table against the recording's own totals."""
    table = per_layer(two_layers)
    assert table["spikes_per_image"].sum() == two_layers.spikes_per_image == 4.5
    events = table[["synaptic_events_per_image", "inhibition_events_per_image"]]
    assert events.to_numpy().sum() == two_layers.events_per_image == 35.0


@settings(max_examples=40, deadline=None)
@given(decisions())
def test_firing_by_position_random(fired):
    """Firing probabilities against the mean of the decisions."""
    table = firing_by_position(recording_of(fired, keep=False))
    expected = np.concatenate([d.mean(axis=(0, 2)) for d in fired])
    np.testing.assert_allclose(table["firing_probability"], expected, rtol=1e-14)


# ---- spikes per gate and decoding ----


@settings(max_examples=40, deadline=None)
@given(decisions())
def test_spikes_per_gate_random(fired):
    """Spikes of each gate from the trains against the sum of its decisions."""
    recording = recording_of(fired)
    for index, layer in enumerate(recording.layers):
        counts = spikes_per_gate(recording.spikes, index, recording.n_images, layer)
        np.testing.assert_array_equal(counts, fired[index].sum(axis=1))


@pytest.mark.parametrize(
    "gate",
    [
        relu_gate(5, 3.0),
        relu_gate(3, 2.0, half_step=True),
        signed_gate(4, 1.5),
        fs_gate("silu", [1.0, 0.5, 0.0], [1.1, 0.4, -0.2], [0.8, 0.3, -1.0], (-4.0, 4.0)),
    ],
    ids=["relu", "half step", "signed", "fitted"],
)
def test_decoded_equals_gate(gate):
    """Activations decoded from a gate's spike trains against the gate's own output."""
    drive = np.random.default_rng(4).uniform(-3, 3, (6, 11))  # (n_images, n_units)
    fired = np.moveaxis(gate.spikes(drive), -1, 1)
    other = np.ones((6, 2, 3), dtype=bool)  # a layer before, which must not leak in
    recording = recording_of([other, fired])
    values = decoded(recording.spikes, 1, recording.layers[1], 6, gate.outputs, gate.offset)
    assert fired.any() and not fired.all()
    np.testing.assert_allclose(values, gate(drive), rtol=0, atol=1e-14)


def test_decoded_pen_and_paper(two_layers):
    """Activations of handmade spikes against hand sums, silent gates at the offset."""
    values = decoded(two_layers.spikes, 1, two_layers.layers[1], 2, [4.0, 2.0, 1.0], -10.0)
    np.testing.assert_array_equal(values, [[-5.0, -10.0], [-9.0, -5.0]])


def test_decoded_keeps_silent_images():
    """The shape of a decoded silent recording against the number of images presented."""
    recording = recording_of([np.zeros((3, 2, 4), dtype=bool)])
    values = decoded(recording.spikes, 0, recording.layers[0], 3, [1.0, 0.5], 0.25)
    np.testing.assert_array_equal(values, np.full((3, 4), 0.25))


def test_decoded_refuses_wrong_weights(two_layers):
    """The number of output weights against the number of positions."""
    with pytest.raises(ValueError, match=r"'layer1': outputs must have shape \(3,\), got \(2,\)"):
        decoded(two_layers.spikes, 1, two_layers.layers[1], 2, [1.0, 2.0], 0.0)


@pytest.mark.parametrize(
    ("n_images", "shape", "what"), [(1, (1, 1, 2), "image"), (2, (1, 1, 1), "neuron")]
)
def test_spikes_outside_the_layer(two_layers, n_images, shape, what):
    """Spike indices against a layer and a number of images that are too small for them."""
    layer = RecordedLayer(name="small", shape=shape, n_positions=2, onset=0)
    with pytest.raises(ValueError, match=f"'small': spikes of {what}"):
        spikes_per_gate(two_layers.spikes, 0, n_images, layer)


# ---- activation errors ----


def test_activation_error_pen_and_paper():
    """All five error measures against hand calculation."""
    error = activation_error([[1.0, 2.0], [3.0, 6.0]], [[0.0, 2.0], [4.0, 4.0]])
    assert error["bias"] == 0.5
    assert error["rmse"] == pytest.approx(math.sqrt(1.5), rel=1e-15)
    assert error["max_abs"] == 2.0
    assert error["relative_rmse"] == pytest.approx(math.sqrt(1.5) / 3.0, rel=1e-15)
    # Deviations -2 -1 0 3 and -2.5 -.5 1.5 1.5: 10 / sqrt(14 * 11).
    assert error["correlation"] == pytest.approx(10 / math.sqrt(154), rel=1e-14)


@pytest.mark.parametrize(
    ("half_step", "bias", "mean_square"), [(False, -1 / 2, 1 / 3), (True, 0.0, 1 / 12)]
)
def test_activation_error_of_quantiser(half_step, bias, mean_square):
    """Error of a ReLU code on uniform drives against the closed form of a floor quantiser."""
    gate = relu_gate(6, 4.0, half_step=half_step)
    q = gate.outputs[-1]
    n = 128_000
    # Up to the largest code; with the half step the first interval is half as wide.
    low = q / 2 if half_step else 0.0
    drive = low + (4.0 - q - low) * (np.arange(n) + 0.5) / n
    error = activation_error(gate(drive), drive)
    assert error["bias"] / q == pytest.approx(bias, abs=0.01)
    assert (error["rmse"] / q) ** 2 == pytest.approx(mean_square, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10), st.floats(-5, 5))
def test_activation_error_of_affine_map(seed, gain, shift):
    """Correlation and bias of an affine image of the activations against 1 and its mean."""
    trained = np.random.default_rng(seed).normal(size=50)
    error = activation_error(gain * trained + shift, trained)
    assert error["correlation"] == pytest.approx(1.0, abs=1e-9)
    assert error["bias"] == pytest.approx((gain - 1) * trained.mean() + shift, abs=1e-12)
    assert abs(error["bias"]) <= error["rmse"] * (1 + 1e-12) <= error["max_abs"] * (1 + 1e-9)


def test_activation_error_undefined():
    """Measures that do not exist against NaN, the others against their values."""
    error = activation_error([1.0, 1.0], [0.0, 0.0])
    assert math.isnan(error["relative_rmse"]) and math.isnan(error["correlation"])
    assert (error["bias"], error["rmse"], error["max_abs"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], [])])
def test_activation_error_refuses(a, b):
    """Arrays that cannot be compared against the error message."""
    with pytest.raises(ValueError, match="one shape and not be empty"):
        activation_error(a, b)


# ---- latencies ----


def test_latencies_pen_and_paper(two_layers):
    """First-spike times in slots of 0.5 ms against hand values."""
    table = latencies(two_layers).set_index("layer")
    # Layer 0, onset 0: gates speak first in slots 0, 1, 1; one of four is silent.
    first = table.loc["layer0"]
    assert first["silent_fraction"] == 0.25
    assert first["mean_in_gate_ms"] == pytest.approx(1 / 3, rel=1e-15)
    assert first["median_in_gate_ms"] == first["median_from_onset_ms"] == 0.5
    assert first["lower_quartile_in_gate_ms"] == 0.25
    assert first["upper_quartile_in_gate_ms"] == 0.5
    assert first["decision_ms"] == 1.0
    # Layer 1, onset 2: slots 0, 0 and 2 of the gate.
    second = table.loc["layer1"]
    assert second["silent_fraction"] == 0.25
    assert second["mean_in_gate_ms"] == pytest.approx(1 / 3, rel=1e-15)
    assert second["median_in_gate_ms"] == 0.0
    assert second["mean_from_onset_ms"] == pytest.approx(4 / 3, rel=1e-15)
    assert second["upper_quartile_from_onset_ms"] == 1.5
    assert second["decision_ms"] == 2.5


@settings(max_examples=40, deadline=None)
@given(decisions())
def test_latencies_random(fired):
    """First-spike statistics against those of the first decision, found gate by gate."""
    recording = recording_of(fired, dt_ms=0.25)
    table = latencies(recording)
    assert len(table) == len(fired)
    for (_, row), layer, decided in zip(table.iterrows(), recording.layers, fired, strict=True):
        gates = np.moveaxis(decided, 1, -1).reshape(-1, decided.shape[1])
        first = [0.25 * list(gate).index(True) for gate in gates if gate.any()]
        assert row["silent_fraction"] == pytest.approx(1 - len(first) / len(gates), abs=1e-15)
        if not first:
            assert math.isnan(row["mean_in_gate_ms"]) and math.isnan(row["median_from_onset_ms"])
            continue
        onset = 0.25 * layer.onset
        assert row["mean_in_gate_ms"] == pytest.approx(np.mean(first), abs=1e-12)
        assert row["mean_from_onset_ms"] == pytest.approx(np.mean(first) + onset, abs=1e-12)
        for name, share in (("lower_quartile", 0.25), ("median", 0.5), ("upper_quartile", 0.75)):
            expected = np.quantile(first, share)
            assert row[f"{name}_in_gate_ms"] == pytest.approx(expected, abs=1e-12)
            assert row[f"{name}_from_onset_ms"] == pytest.approx(expected + onset, abs=1e-12)


def test_gates_beyond_32_bits():
    """Two spikes whose gates have numbers of more than 32 bits, in words and in counts."""
    layer = RecordedLayer(name="wide", shape=(1, 1, 2**16), n_positions=2, onset=0)
    spikes = Spikes(
        image=np.array([0, 2**16]),
        layer=np.zeros(2, dtype=np.int64),
        neuron=np.array([1, 2**16 + 1]),
        step=np.array([0, 1]),
    )
    assert _gates(spikes, layer).tolist() == [1, 2**32 + 1]


# ---- code words ----


def test_code_words_pen_and_paper(two_layers):
    """Words and entropy of handmade patterns against hand counts."""
    table = code_words(two_layers)
    # Layer 0: 11, 01, 01, 00; layer 1: 101, 101, 001, 000: one half and two quarters each.
    assert table["words_used"].tolist() == [3, 3]
    np.testing.assert_allclose(table["entropy_bits"], [1.5, 1.5], rtol=1e-15)
    assert table["n_positions"].tolist() == [2, 3]
    assert table["n_gates"].tolist() == [4, 4]


@pytest.mark.parametrize("n_positions", [1, 3, 8])
def test_code_words_uniform(n_positions):
    """Entropy of all words once each against the number of positions, in bits."""
    words = np.arange(2**n_positions)
    fired = (words[None, :] >> np.arange(n_positions)[:, None]) & 1 > 0
    table = code_words(recording_of([fired[None]]))
    assert table["words_used"][0] == 2**n_positions
    assert table["entropy_bits"][0] == pytest.approx(n_positions, rel=1e-14)


def test_code_words_of_long_chains():
    """Words that differ in their last neuron only, the 63rd, against the count of two."""
    fired = np.zeros((1, 63, 2), dtype=bool)
    fired[0, 3] = True
    fired[0, 62, 0] = True
    assert code_words(recording_of([fired]))["words_used"].tolist() == [2]


@pytest.mark.parametrize("value", [False, True])
def test_code_words_constant(value):
    """Entropy of one single word, silent or full, against zero."""
    table = code_words(recording_of([np.full((3, 2, 4), value)]))
    assert table["words_used"][0] == 1
    assert table["entropy_bits"][0] == 0.0


@settings(max_examples=40, deadline=None)
@given(decisions())
def test_code_words_random(fired):
    """Words against a set of tuples, and entropy against SciPy's; bounds hold."""
    table = code_words(recording_of(fired))
    assert len(table) == len(fired)
    for (_, row), decided in zip(table.iterrows(), fired, strict=True):
        words = np.moveaxis(decided, 1, -1).reshape(-1, decided.shape[1])
        frequencies = pd.Series([tuple(word) for word in words]).value_counts()
        assert row["words_used"] == len(frequencies)
        assert row["entropy_bits"] == pytest.approx(entropy(frequencies, base=2), abs=1e-12)
        assert 0 <= row["entropy_bits"] <= decided.shape[1] + 1e-12


def test_code_words_refuses_long_chains():
    """A gate of 64 neurons against the bits of an integer."""
    with pytest.raises(ValueError, match="64 neurons a gate"):
        code_words(recording_of([np.ones((1, 64, 1), dtype=bool)]))


# ---- recordings without, or with a part of, the spike trains ----


@pytest.mark.parametrize("statistic", [latencies, code_words])
def test_needs_spike_trains(statistic, two_layers):
    """A recording without spike trains against the advice in the message."""
    fired = [np.ones((1, 2, 1), dtype=bool)]
    with pytest.raises(ValueError, match="record=True"):
        statistic(recording_of(fired, keep=False))


@pytest.mark.parametrize("statistic", [latencies, code_words])
def test_leaves_out_unrecorded_layers(statistic, two_layers):
    """Layers of the table against those whose spikes were kept."""
    kept = two_layers.spikes.where(two_layers.spikes.layer == 1)
    partly = replace(two_layers, spikes=kept)
    expected = statistic(two_layers).iloc[[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(statistic(partly), expected)


def test_refuses_incomplete_trains(two_layers):
    """Spike trains that lost one spike against the spike counts."""
    kept = two_layers.spikes.where(np.arange(len(two_layers.spikes)) > 0)
    with pytest.raises(ValueError, match="'layer0': 3 spikes in the trains, 4 counted"):
        latencies(replace(two_layers, spikes=kept))


# ---- accuracy over time and its interval ----


def test_accuracy_over_time_pen_and_paper():
    """Accuracy and agreement after each slot against hand counts; ties go to the first class."""
    scores = np.array(
        [
            [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 2.0]],  # classes 0, 1, 2
            [[0.0, 0.0, 0.0], [3.0, 1.0, 0.0], [3.0, 4.0, 0.0]],  # classes 0, 0, 1
        ]
    )
    table = accuracy_over_time(scores, [2, 1], [2, 0], dt_ms=0.5, readout_onset=10)
    assert table["slot"].tolist() == [10, 11, 12]
    assert table["time_ms"].tolist() == [6.0, 6.5, 7.0]
    assert table["accuracy"].tolist() == [0.0, 0.0, 1.0]
    assert table["agreement"].tolist() == [0.5, 0.5, 0.5]


def test_accuracy_over_time_ends_at_the_latency():
    """The last row against the recording's own latency and predictions."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(40, 4, 3)).cumsum(axis=1)
    labels = rng.integers(0, 3, 40)
    recording = replace(
        recording_of([np.ones((40, 2, 1), dtype=bool)], dt_ms=2.0), scores=scores, readout_onset=7
    )
    last = accuracy_over_time(
        scores, labels, recording.predictions, recording.dt_ms, recording.readout_onset
    ).iloc[-1]
    assert last["time_ms"] == recording.latency_steps * recording.dt_ms
    assert last["accuracy"] == np.mean(recording.predictions == labels)
    assert last["agreement"] == 1.0


@pytest.mark.parametrize(
    ("scores", "labels", "reference", "message"),
    [
        (np.zeros((2, 3)), [0, 1], [0, 1], "scores must have shape"),
        (np.zeros((2, 0, 3)), [0, 1], [0, 1], "scores must have shape"),
        (np.zeros((2, 1, 3)), [0], [0, 1], r"labels must have shape \(2,\), got \(1,\)"),
        (np.zeros((2, 1, 3)), [0, 1], [[0, 1]], "reference_predictions must have shape"),
    ],
)
def test_accuracy_over_time_refuses(scores, labels, reference, message):
    """Arrays that do not fit against the message that names them."""
    with pytest.raises(ValueError, match=message):
        accuracy_over_time(scores, labels, reference, 1.0, 0)


@pytest.mark.parametrize("n", [1, 2, 10, 540, 10_000])
def test_accuracy_interval_is_wilson(n):
    """The interval against SciPy's Wilson interval, ends included."""
    for n_correct in sorted({0, 1, n // 3, n - 1, n}):
        expected = binomtest(n_correct, n).proportion_ci(method="wilson")
        low, high = accuracy_interval(n_correct, n)
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= low <= n_correct / n <= high <= 1


@pytest.mark.parametrize(("n_correct", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_accuracy_interval_refuses(n_correct, n):
    """Impossible counts against the error message."""
    with pytest.raises(ValueError, match="0 <= n_correct <= n"):
        accuracy_interval(n_correct, n)
