"""The burst study as a command: its tables against the reference, and what must change a number.

Runs are tiny: a few digits, a few steps, Brian2's NumPy target. Figures are drawn once.
"""

import itertools
import json
from dataclasses import fields
from functools import partial

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.network import accuracy
from ann2brian.models.schemes.burst import conversion as burst
from ann2brian.models.schemes.burst import reference as burst_reference
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies import run_burst
from ann2brian.studies.burst import conditions as burst_conditions
from ann2brian.studies.burst.conditions import Condition
from ann2brian.studies.burst.figures import burst_accuracy, burst_matched
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame import study as frame
from ann2brian.studies.frame.conditions import Case
from ann2brian.studies.frame.figures import Result
from ann2brian.studies.frame.spike_files import load_spikes
from ann2brian.studies.frame.work import Task

NORMALISATIONS, POOLINGS, TIMINGS = (
    BurstOptions.declared(name).choices for name in ("normalisation", "pooling", "timing")
)


N_IMAGES, N_TRAINS, N_STEPS = 12, 5, 4
SMALL = ["--images", str(N_IMAGES), "--spikes", str(N_TRAINS), "--steps", str(N_STEPS)]
TINY = ["--images", "2", "--spikes", "2", "--steps", "2"]
TABLES = ("metrics", "time", "layers", "intervals", "matched")
WALL_TIMES = ["build_s", "run_s"]
BASELINE, SHOWN = "max, gamma 1, V0 0", "Q99.99/gamma, gamma 5, V0 0.5"
LAYERS = {"act1": (8, 8, 12), "pool1": (4, 4, 12), "act2": (4, 4, 24), "pool2": (2, 2, 24)}
# Targets of a spike: a pooling neuron; 24 channels at up to 3 x 3 places of a padded 4 x 4 map;
# a pooling neuron; the ten classes.
NEAR_THE_EDGE = np.array([2, 3, 3, 2])
FAN_OUT = {
    "act1": 1,
    "pool1": np.multiply.outer(NEAR_THE_EDGE, NEAR_THE_EDGE)[..., None] * 24,
    "act2": 1,
    "pool2": 10,
}


def study(out, *flags, sizes=SMALL, figures=False):
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr(frame, "make_figures", lambda *_: [])
            patch.setattr(frame, "try_report", lambda *_: None)
        return run_burst.main(
            ["--quick", "--target", "numpy", *sizes, "--out", str(out), *map(str, flags)]
        )


def table(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


def row_of(folder, condition, name="metrics"):
    """The only row of a condition."""
    rows = table(folder, name)
    (row,) = rows[rows["condition"] == condition].to_dict("records")
    return row


def labels_of(folder):
    return table(folder, "metrics")["condition"].tolist()


def assert_same_numbers(folder, other, but=()):
    """All tables and spike trains of two results, exactly; wall times and `but` apart."""
    for name in TABLES:
        ours, theirs = (
            table(f, name).drop(columns=[*WALL_TIMES, *but], errors="ignore")
            for f in (folder, other)
        )
        assert len(ours) > 0
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    ours, theirs = (load_spikes(f / "spikes.npz")[0] for f in (folder, other))
    assert len(ours) > 0
    for column in ("image", "layer", "neuron", "step"):
        np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))


class Expected:
    """What the NumPy reference does in each condition of a result, from its configuration."""

    def __init__(self, folder, network="digits-burst"):
        config = json.loads((folder / "config.json").read_text())
        self.network = storage.load_network(storage.trained(network))
        images, labels = datasets.load("digits", "test")
        training, _ = datasets.load("digits", "train")
        chosen = np.random.default_rng(config["seed"]).permutation(len(training))
        calibration = training[chosen[: config["calibration"]]]
        self.images, self.labels = images[: config["images"]], labels[: config["images"]]
        self.n_trains = config["spikes"]
        self.logits = self.network.forward(self.images)
        self.options, self.conversions, self.runs = {}, {}, {}
        for options in config["conditions"]:
            named = {field.name for field in fields(BurstOptions)}
            options = BurstOptions(**{k: v for k, v in options.items() if k in named})
            name = Condition(options=options).label
            self.options[name] = options
            self.conversions[name] = burst.convert(self.network, options, calibration)
            self.runs[name] = burst_reference.run(self.conversions[name], self.images)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def quick(once):
    """Result of the quick run that most tests look at."""
    return once("burst-quick", study)


@pytest.fixture(scope="module")
def expected(quick):
    return Expected(quick)


@pytest.fixture(scope="module")
def alternating(once):
    """The same with steps kept apart in the other way, another rhythm and another limit."""
    flags = ["--timing", "alternating", "--gamma", 3, "--intra-burst-ms", 1.5]
    flags += ["--guard-ms", 3, "--delay-ms", 1.5, "--baseline-steps", 3]
    return once("burst-alternating", lambda out: study(out, *flags))


@pytest.fixture(scope="module")
def rules(once):
    """The three pooling rules, with so low a scale that neurons fall behind."""
    flags = ["--gamma", 2, "--normalisation", "percentile", "--percentile", 90, "--initial", 0]
    flags += ["--pooling", *POOLINGS, "--baseline-steps", 0]
    return once("burst-rules", lambda out: study(out, *flags))


# ---- what is written ----


@pytest.mark.parametrize("result", ["quick", "alternating"])
def test_metrics_against_reference(result, request):
    """The rows of metrics.csv against trained network, reference, and closed forms of the sizes."""
    folder = request.getfixturevalue(result)
    expected = Expected(folder)
    assert labels_of(folder) == list(expected.options)
    assert set(common.REQUIRED_COLUMNS) <= set(table(folder, "metrics"))
    for name, options in expected.options.items():
        row, run = row_of(folder, name), expected.runs[name]
        for column, value in vars(options).items():
            assert row[column] == value, column
        assert (row["scheme"], row["dataset"], row["network"]) == (
            *("burst", "digits"),
            "digits-burst",
        )
        assert (row["n_images"], row["calibration"]) == (N_IMAGES, 100)
        assert row["limits"] == " ".join(f"{layer}:{options.gamma}" for layer in LAYERS)
        assert row["n_neurons"] == sum(np.prod(shape) for shape in LAYERS.values())
        # Weights of spikes: the second convolution and the read-out; the first takes the image.
        assert row["n_kernel_weights"] == 3 * 3 * 12 * 24 + 2 * 2 * 24 * 10
        # Each connection once: windows that do not overlap, 10 x 10 edges of the padded map.
        convolution = int(NEAR_THE_EDGE.sum()) ** 2 * 12 * 24
        assert row["n_synapses"] == 8 * 8 * 12 + convolution + 4 * 4 * 24 + 96 * 10

        assert row["sub_steps"] == options.gamma * options.n_steps
        assert row["phase_ms"] == options.gamma * options.intra_burst_ms + options.guard_ms
        every = {"double-buffer": 1, "alternating": 2}[options.timing]
        assert row["pipeline_latency_phases"] == len(LAYERS) - 1 + every - 1

        final = run.scores[:, -1]
        assert row["ann_accuracy"] == accuracy(expected.logits, expected.labels) > 0.8
        assert row["snn_accuracy"] == np.mean(final.argmax(axis=1) == expected.labels)
        assert row["agreement"] == np.mean(final.argmax(axis=1) == expected.logits.argmax(axis=1))
        assert row["equal_logits"] == 0  # after so few steps
        counts = sum(c.sum() for c in run.counts.values())
        assert row["spikes_per_image"] == pytest.approx(counts / N_IMAGES)
        most = max(c.sum(axis=1).max() for c in run.counts.values())
        assert row["max_spikes_per_neuron"] == most > 0
        assert row["energy_nj"] == pytest.approx(0.9e-3 * row["synaptic_events_per_image"])
        assert row["build_s"] >= 0 < row["run_s"] < 600


@pytest.mark.parametrize("result", ["quick", "alternating"])
def test_accuracy_over_time_against_reference(result, request):
    """Each row of time.csv from scores and counts of the reference; times by closed forms."""
    folder = request.getfixturevalue(result)
    expected = Expected(folder)
    assert expected.network.layer("conv2").kernel.shape[:2] == (3, 3)
    time = table(folder, "time")
    assert len(time) == sum(options.n_steps for options in expected.options.values())
    for name, options in expected.options.items():
        rows, run = time[time["condition"] == name], expected.runs[name]
        steps = 1 + np.arange(options.n_steps)
        assert rows["step"].tolist() == steps.tolist()
        assert set(rows["gamma"]) == {options.gamma}
        assert rows["sub_steps"].tolist() == (options.gamma * steps).tolist()
        # Layers work one phase after the other; the first spikes of the last layer are released
        # at the end of phase 4, or 5 if every layer first takes in and then releases. The scores
        # are there one interval after the phase.
        phases = {"double-buffer": 3 + steps, "alternating": 3 + 2 * steps}[options.timing]
        phase_ms = options.gamma * options.intra_burst_ms + options.guard_ms
        np.testing.assert_allclose(rows["time_ms"], phases * phase_ms + options.intra_burst_ms)

        logits = run.scores
        predictions = logits.argmax(axis=2)
        trained = expected.logits.argmax(axis=1)
        for column, truth in (("accuracy", expected.labels), ("agreement", trained)):
            np.testing.assert_allclose(rows[column], (predictions == truth[:, None]).mean(axis=0))
        for step, found in zip(steps, rows["logit_mse"], strict=True):
            assert found == pytest.approx(((logits[:, step - 1] - expected.logits) ** 2).mean())

        spikes, events = np.zeros(options.n_steps), np.zeros(options.n_steps)
        for layer, counts in run.counts.items():
            by_step = counts.reshape(N_IMAGES, options.n_steps, *LAYERS[layer])
            spikes += by_step.sum(axis=(0, 2, 3, 4))
            events += (by_step * FAN_OUT[layer]).sum(axis=(0, 2, 3, 4))
        np.testing.assert_allclose(rows["spikes_per_image"], spikes.cumsum() / N_IMAGES)
        np.testing.assert_allclose(rows["events_per_image"], events.cumsum() / N_IMAGES)
        np.testing.assert_allclose(rows["energy_nj"], 0.9e-3 * events.cumsum() / N_IMAGES)
        assert events[-1] > spikes[-1] > 0


def test_metrics_are_those_of_the_last_step(quick, alternating):
    """Every number that both tables hold, of every condition, against the last row of time.csv."""
    for folder in (quick, alternating):
        last = table(folder, "time").groupby("condition", sort=False).last()
        metrics = table(folder, "metrics").set_index("condition")
        assert last.index.tolist() == metrics.index.tolist()
        for ours, theirs in {
            "n_steps": "step",
            "gamma": "gamma",
            "sub_steps": "sub_steps",
            "latency_ms": "time_ms",
            "snn_accuracy": "accuracy",
            "agreement": "agreement",
            "spikes_per_image": "spikes_per_image",
            "synaptic_events_per_image": "events_per_image",
            "energy_nj": "energy_nj",
        }.items():
            np.testing.assert_allclose(metrics[ours], last[theirs], err_msg=ours)


@pytest.mark.parametrize("result", ["quick", "alternating", "rules"])
def test_layers_against_reference(result, request):
    """Rates, bursts, potentials and classes of error of each layer, from the reference by hand."""
    folder = request.getfixturevalue(result)
    expected = Expected(folder)
    layers = table(folder, "layers")
    assert layers["layer"].tolist() == [*LAYERS] * len(expected.options)
    activations = expected.network.activations(expected.images[:N_TRAINS])
    for name, options in expected.options.items():
        run, conversion = expected.runs[name], expected.conversions[name]
        phase_ms = options.gamma * options.intra_burst_ms + options.guard_ms
        every = {"double-buffer": 1, "alternating": 2}[options.timing]
        observed_s = every * options.n_steps * phase_ms / 1000
        for layer, shape in LAYERS.items():
            is_own = (layers["condition"] == name) & (layers["layer"] == layer)
            (row,) = layers[is_own].to_dict("records")
            by_step = run.counts[layer][:N_TRAINS]
            counts = by_step.sum(axis=1)
            left = run.potentials[layer][:N_TRAINS]
            found = [
                *("n_units", "spikes_per_image", "rate_hz", "fraction_in_bursts"),
                *("potential_mean", "potential_sd", "negative_fraction"),
            ]
            wanted = [
                np.prod(shape),
                counts.sum() / N_TRAINS,
                counts.mean() / observed_s,
                by_step[by_step > 1].sum() / by_step.sum(),
                left.mean(),
                left.std(),
                np.mean(left < 0),
            ]
            np.testing.assert_allclose([row[column] for column in found], wanted, atol=1e-12)
            if (by_step > 1).any():
                assert row["spikes_per_burst"] == pytest.approx(by_step[by_step > 1].mean())
            classes = [c for c in row if c.endswith("_fraction") and c != "negative_fraction"]
            if layer.startswith("pool"):
                assert row["kind"] == "pool"
                source = run.counts[f"act{layer[-1]}"][:N_TRAINS].sum(axis=1)
                height, width, channels = shape
                windows = source.reshape(N_TRAINS, height, 2, width, 2, channels)
                surplus = counts.reshape(N_TRAINS, *shape) - windows.max(axis=(2, 4))
                assert row["pooling_error"] == pytest.approx(surplus.mean() / options.n_steps)
                assert row["pooling_error_fraction"] == pytest.approx(np.mean(surplus > 0))
                assert all(np.isnan(row[c]) for c in classes if c != "pooling_error_fraction")
                continue
            assert row["kind"] == "burst"
            assert np.isnan(row["pooling_error"])
            # What came in: V(T) = V(0) + input - count.
            current = left - options.initial + counts
            is_zero = (counts == 0) & (current < 0)
            ideal = activations[layer].reshape(N_TRAINS, -1) / np.tile(
                conversion.scales[layer], shape[0] * shape[1]
            )
            error = counts / options.n_steps - ideal
            wanted = {
                "correct_zero_fraction": is_zero,
                "residual_fraction": left >= 1,
                "quantisation_fraction": (left >= 0) & (left < 1) & ~is_zero,
                "inactivated_fraction": (left < 0) & (counts > 0) & (current <= 0),
                "over_fired_fraction": (left < 0) & (current > 0),
                "sin_fraction": (counts > 0) & (activations[layer].reshape(N_TRAINS, -1) == 0),
            }
            for column, holds in wanted.items():
                assert row[column] == pytest.approx(holds.mean()), column
            assert row["bias"] == pytest.approx(error.mean())
            assert row["relative_rmse"] == pytest.approx(np.sqrt((error**2).mean()) / ideal.std())


def test_errors_of_every_kind_occur(rules):
    """The low scale of the pooling rules against classes of error that are not all zero."""
    neurons = table(rules, "layers").query("kind == 'burst'")
    # Neurons inactivated by their own input are too rare for so few steps.
    for column in ("quantisation", "residual", "over_fired", "correct_zero", "sin"):
        assert neurons[f"{column}_fraction"].max() > 0, column


def test_pooling_error_by_rule(rules):
    """Lateral inhibition against no error at all; the other rules fire too much somewhere."""
    rule = table(rules, "metrics")[["condition", "pooling"]]
    error = table(rules, "layers").query("kind == 'pool'").merge(rule, on="condition")
    largest = error.groupby("pooling")[["pooling_error", "pooling_error_fraction"]].max()
    assert largest.loc["lipool"].tolist() == [0.0, 0.0]
    assert (largest.loc[["gated", "or"]] > 0).all(axis=None)


def test_intervals_and_spike_trains(quick, expected):
    """intervals.csv and spikes.npz against the spike times of the reference, train by train."""
    intervals = table(quick, "intervals")
    assert intervals["condition"].drop_duplicates().tolist() == [BASELINE, SHOWN]
    for condition, run in expected.runs.items():
        spikes = run.spikes.where(run.spikes.image < N_TRAINS)
        for index, layer in enumerate(LAYERS):
            rows = intervals[(intervals["condition"] == condition) & (intervals["layer"] == layer)]
            own = spikes.where(spikes.layer == index)
            trains = pd.DataFrame({"image": own.image, "neuron": own.neuron, "ms": 2.0 * own.step})
            trains = trains.sort_values(["image", "neuron", "ms"])
            gaps = trains.groupby(["image", "neuron"])["ms"].diff().dropna()
            wanted = gaps.value_counts().sort_index()
            assert rows["interval_ms"].tolist() == wanted.index.tolist()
            assert rows["count"].tolist() == wanted.tolist()

    spikes, layers, stored = load_spikes(quick / "spikes.npz")
    assert {layer.name: layer.shape for layer in layers} == LAYERS
    own = expected.runs[SHOWN].spikes
    own = own.where(own.image < N_TRAINS)
    for column in ("image", "layer", "neuron", "step"):
        np.testing.assert_array_equal(getattr(spikes, column), getattr(own, column))
    np.testing.assert_array_equal(stored["labels"], expected.labels[:N_TRAINS])
    assert stored["classes"] == tuple("0123456789")
    assert stored["latency_steps"] * stored["dt_ms"] == row_of(quick, SHOWN)["latency_ms"]


def test_matched_is_that_of_the_whole_curves(quick):
    """matched.csv against the first step of each curve in time.csv that is close enough."""
    time, trained = table(quick, "time"), row_of(quick, SHOWN)["ann_accuracy"]
    matched = table(quick, "matched")
    assert len(matched) == 4
    for row in matched.to_dict("records"):
        curve = time[time["condition"] == row["condition"]].set_index("step")
        is_enough = curve["accuracy"] >= trained - row["loss_points"] / 100 - 1e-9
        assert row["step"] == is_enough.idxmax()
        assert row["time_ms"] == curve.loc[row["step"], "time_ms"]
    plain, shown = (matched[matched["condition"] == n].iloc[0] for n in (BASELINE, SHOWN))
    assert plain["step_ratio"] == 1
    assert shown["spike_ratio"] == shown["spikes_per_image"] / plain["spikes_per_image"] != 1


# ---- conditions ----


@pytest.fixture
def no_runs(monkeypatch):
    """Studies without conversions and simulations: which conditions there would be."""

    def tables_by_hand(case, working, recording):
        costs = dict.fromkeys(("sub_steps", "time_ms", "spikes_per_image", "energy_nj"), 1.0)
        time = {"condition": case.label, "accuracy": 0.5, "logit_mse": 1.0, **costs}
        steps = 1 + np.arange(case.options.n_steps)
        pd.DataFrame({**time, "step": steps}).to_csv(working / "time.csv", index=False)
        row = dict.fromkeys(common.REQUIRED_COLUMNS, 1) | {"ann_accuracy": 0.5}
        row |= vars(case.options) | {"condition": case.label}
        pd.DataFrame([row]).to_csv(working / "metrics.csv", index=False)

    def task(name, study, case, arguments, *, is_shown):
        return Task(
            name=name,
            simulate=lambda start, stop: None,
            n_images=1,
            write=partial(tables_by_hand, case),
        )

    monkeypatch.setattr(frame, "_task", task)
    monkeypatch.setattr(frame, "_print", lambda *_: None)
    monkeypatch.setattr(Case, "conversion", True)


def steps_of(folder):
    """Steps of each condition, in their order."""
    steps = table(folder, "time").groupby("condition", sort=False)["step"].max().to_dict()
    assert table(folder, "metrics").set_index("condition")["n_steps"].to_dict() == steps
    assert labels_of(folder) == list(steps)
    return steps


def test_sweep_is_the_product_in_the_order_asked(tmp_path, no_runs):
    """Values out of order against the conditions, in every table; the one asked last is last."""
    gammas, rules, poolings = (2, 1), ("percentile", "maximum"), ("or", "lipool")
    flags = ["--gamma", *gammas, "--normalisation", *rules, "--pooling", *poolings]
    folder = study(tmp_path, *flags, "--percentile", 99, "--baseline-steps", 0)
    names = {"percentile": "Q99", "maximum": "max", "lipool": "", "or": ", or"}
    wanted = [
        f"{names[rule]}, gamma {gamma}, V0 0.5{names[pooling]}"
        for gamma, rule, pooling in itertools.product(gammas, rules, poolings)
    ]
    assert steps_of(folder) == dict.fromkeys(wanted, N_STEPS)
    metrics = table(folder, "metrics")
    assert metrics["gamma"].tolist() == [2] * 4 + [1] * 4
    assert metrics["normalisation"].tolist() == (["percentile"] * 2 + ["maximum"] * 2) * 2
    assert metrics["pooling"].tolist() == ["or", "lipool"] * 4


def test_sweep_runs_each_condition_as_if_alone(rules, tmp_path, capsys):
    """The last rule of three against a run of it alone; the spike trains are that one's."""
    capsys.readouterr()
    flags = ["--gamma", 2, "--normalisation", "percentile", "--percentile", 90, "--initial", 0]
    alone = study(tmp_path, *flags, "--pooling", "or", "--baseline-steps", 0)
    # Nothing is said of a baseline that was not run.
    assert "NaN" not in capsys.readouterr().out
    assert list(table(alone, "matched")) == ["condition", "loss_points", *burst_conditions.COSTS]
    assert burst_matched(Result(alone)) is None
    assert table(rules, "metrics")["pooling"].tolist() == list(POOLINGS)
    for name in ("metrics", "time", "layers", "intervals"):
        rows = table(rules, name)
        assert rows["condition"].drop_duplicates().tolist() == labels_of(rules)
        rows = rows[rows["condition"] == labels_of(alone)[0]].reset_index(drop=True)
        ours, theirs = (
            t.drop(columns=WALL_TIMES, errors="ignore") for t in (rows, table(alone, name))
        )
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    ours, theirs = (load_spikes(f / "spikes.npz")[0] for f in (rules, alone))
    np.testing.assert_array_equal(ours.step, theirs.step)
    np.testing.assert_array_equal(ours.neuron, theirs.neuron)


def test_condition_asked_twice_is_run_once(tmp_path, no_runs):
    """A value that is repeated against one condition, in the last place, where it was asked for."""
    folder = study(tmp_path, "--gamma", 1, 2, 1, "--baseline-steps", 0)
    names = [f"Q99.99/gamma, gamma {gamma}, V0 0.5" for gamma in (2, 1)]
    assert steps_of(folder) == dict.fromkeys(names, N_STEPS)


@pytest.mark.parametrize(
    "flags, steps",
    [
        ([], {BASELINE: 8 * N_STEPS, SHOWN: N_STEPS}),
        (["--steps", 1], {BASELINE: 8, SHOWN: 1}),
        (["--baseline-steps", 3], {BASELINE: 3, SHOWN: N_STEPS}),
        (["--baseline-steps", 0], {SHOWN: N_STEPS}),
        (["--pooling", "or"], {f"{BASELINE}, or": 8 * N_STEPS, f"{SHOWN}, or": N_STEPS}),
        # What is asked for may be the baseline itself.
        (["--gamma", 1, "--normalisation", "maximum", "--initial", 0], {BASELINE: N_STEPS}),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_baseline(tmp_path, no_runs, flags, steps):
    """The baseline with default, given and no steps against its name, place and curve."""
    folder = study(tmp_path, *flags)
    assert steps_of(folder) == steps
    matched = table(folder, "matched")
    if any("max" in label for label in steps):
        assert matched["step_ratio"].notna().all()
    else:  # nothing is said of a baseline that was not run
        assert not [column for column in matched if "ratio" in column]


def test_long_runs_have_the_longest_baseline_there_may_be(tmp_path, no_runs):
    """Steps of which eight times as many would be refused against the largest number taken."""
    folder = run_burst.main(["--steps", "1000", "--out", str(tmp_path)])
    assert steps_of(folder) == {BASELINE: 4096, SHOWN: 1000}
    with pytest.raises(ValueError, match="1 to 4096, got 4097"):
        BurstOptions(n_steps=4097)


@pytest.mark.parametrize("pooling", ["lipool", "gated"])
def test_conditions_of_the_whole_study(tmp_path, no_runs, pooling):
    """--study against its conditions in order; a baseline that is among them keeps its steps."""
    flags = ["--study", "--pooling", pooling, "--steps", 2]
    folder = study(tmp_path, *flags)
    assert folder.name.startswith("digits-digits-burst-study-")
    base = BurstOptions(n_steps=2, pooling=pooling)
    wanted = {c.label: c.options.n_steps for c in burst_conditions.study(base)}
    plain = burst_conditions.baseline(base, 1).label
    assert (plain in wanted) == (pooling == "gated")
    wanted |= {plain: 16, Condition(options=base).label: 2}
    found = steps_of(folder)
    assert found == wanted
    others = [label for label in found if label != plain]
    assert others == [label for label in wanted if label != plain]


def test_whole_study_runs(out):
    """--study on one image in one step against the number of its results."""
    sizes = ["--images", "1", "--spikes", "1", "--steps", "1", "--baseline-steps", "2"]
    folder = study(out, "--study", sizes=sizes)
    assert len(labels_of(folder)) == 2 + len(burst_conditions.study(BurstOptions()))
    assert table(folder, "layers")["layer"].tolist() == [*LAYERS] * len(labels_of(folder))
    assert not (folder / "checks.csv").exists()  # these belong to another data set


@pytest.mark.parametrize(
    "flags, is_checked",
    [
        (["--steps", "64"], True),
        (["--steps", "64", "--timing", "alternating"], True),
        # What is asked for is one of the compared, which need more steps.
        (
            [
                *("--steps", "64", "--normalisation", "percentile"),
                *("--percentile", "99", "--initial", "0"),
            ],
            True,
        ),
        (["--steps", "63"], False),
        (["--steps", "64", "--quick"], False),
        (["--steps", "64", "--baseline-steps", "0"], False),
        (["--steps", "64", "--pooling", "gated"], False),  # nor is its baseline the one compared
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_shapes_are_checked_where_they_can_be(
    tmp_path, monkeypatch, capsys, no_runs, flags, is_checked
):
    """A study of Fashion-MNIST, its runs replaced by hand, against checks.csv or none."""
    images, labels = np.zeros((50, 28, 28, 1), np.uint8), np.zeros(50, int)
    monkeypatch.setattr(datasets, "load", lambda *arguments: (images, labels))
    monkeypatch.setattr(frame, "make_figures", lambda *_: [])
    monkeypatch.setattr(frame, "try_report", lambda *_: None)
    fixed = ["--dataset", "fashion-mnist", "--study", "--out", str(tmp_path)]
    folder = run_burst.main([*fixed, *flags])
    assert (folder / "checks.csv").exists() == is_checked
    assert ("the shapes are not checked: no condition" in capsys.readouterr().out) != is_checked
    if is_checked:
        checks = table(folder, "checks")
        # Every condition is alike: no gains, all ratios 1.
        assert checks["found"].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
        assert checks["holds"].tolist() == [name in ("S2b", "S2c") for name in checks["check"]]


def test_curves_that_never_get_there(out):
    """A run too short for any accuracy against a complete result with nothing to match."""
    sizes = ["--images", "3", "--spikes", "1", "--steps", "1", "--baseline-steps", "1"]
    folder = study(out, "--gamma", 1, sizes=sizes)
    assert table(folder, "metrics")["snn_accuracy"].max() < 0.9
    assert table(folder, "matched").empty
    assert burst_accuracy(Result(folder)) is not None
    assert burst_matched(Result(folder)) is None


# ---- networks ----


def test_quantised_network_is_exact_in_one_step(out, quick):
    """Logits after one step against those of the trained network: equal, without a baseline."""
    sizes = ["--network", "digits-qcfs", "--images", "20", "--spikes", "3", "--steps", "1"]
    folder = study(out, sizes=sizes)
    (row,) = table(folder, "metrics").to_dict("records")
    network = storage.load_network(storage.trained("digits-qcfs"))
    levels = {name: network.layer(name).levels for name in ("act1", "act2")}
    limits = {layer: levels[f"act{layer[-1]}"] for layer in LAYERS}
    assert row["limits"] == " ".join(f"{layer}:{limit}" for layer, limit in limits.items())
    assert row["equal_logits"] == row["agreement"] == 1.0
    assert row["snn_accuracy"] == row["ann_accuracy"] > 0.8
    assert row["gamma"] == row["sub_steps"] == max(levels.values())
    assert table(folder, "time")["logit_mse"].tolist() == [0.0]
    layers = table(folder, "layers").set_index("layer")
    assert layers.loc[["act1", "act2"], "bias"].abs().max() < 1e-12
    assert layers.loc[["act1", "act2"], "sin_fraction"].tolist() == [0, 0]
    # The last logits are not exact if the steps go wrong: a network without this property.
    assert table(quick, "metrics")["equal_logits"].tolist() == [0, 0]


def test_quantised_network_takes_one_step_by_default(out, no_runs):
    """No --steps for a quantised network, and several, against the steps that are run."""
    sizes = ["--network", "digits-qcfs", "--images", "1", "--spikes", "1"]
    assert table(study(out, sizes=sizes), "metrics")["n_steps"].tolist() == [1]
    two = study(out, "--steps", 2, sizes=sizes)
    assert table(two, "metrics")["n_steps"].tolist() == [2]


def test_network_with_average_pooling(out):
    """A network without max pooling against the reference, its layers and agreement."""
    folder = study(out, "--network", "digits-relu", "--steps", 8, "--baseline-steps", 0)
    (row,) = table(folder, "metrics").to_dict("records")
    run = Expected(folder, "digits-relu").runs[SHOWN]
    assert folder.name.startswith("digits-digits-relu-")
    assert table(folder, "layers")["layer"].tolist() == ["act1", "act2"]
    assert row["spikes_per_image"] * N_IMAGES == sum(c.sum() for c in run.counts.values())
    assert row["agreement"] == 1 and row["snn_accuracy"] > 0.8


# ---- what must not change a number, and what must ----


def test_seed_decides_the_calibration_images(quick, out):
    """Another seed against other scales, the same trained network and the same images."""
    ours, theirs = (row_of(folder, SHOWN) for folder in (quick, study(out, "--seed", 2)))
    assert ours["ann_accuracy"] == theirs["ann_accuracy"]
    assert ours["spikes_per_image"] != theirs["spikes_per_image"]
