"""The comparison: rows, curves and figure against runs by hand, and who is left out and why."""

import pickle
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.networks.weight_files import (
    load_info,
    load_network,
    save_network,
    trained,
)
from ann2brian.studies import run_comparison
from ann2brian.studies.comparison import contenders as who
from ann2brian.studies.comparison.entries import entries, load_images
from ann2brian.studies.comparison.figures import comparison_frontier
from ann2brian.studies.comparison.published import COMPARISON, collect, comparison_table
from ann2brian.studies.comparison.tasks import task
from ann2brian.studies.frame import publishing
from ann2brian.studies.frame.figures import Result
from ann2brian.studies.frame.publishing import PUBLISHED, is_reference
from ann2brian.studies.frame.result_folder import REQUIRED_COLUMNS
from scipy.stats import binomtest

import ann2brian as ab

N_IMAGES = 20
SCHEMES = ["amos", "burst", "rate", "noise", "albsnn"]
KEYS = ["scheme", "network", "training_seed", "condition"]
WALL_TIMES = ["build_s", "run_s", "wall_s"]
SHIPPED = {
    "amos": "digits-relu",
    "burst": "digits-burst",
    "rate": "digits-burst",
    "noise": "digits-noise",
    "albsnn": "digits-albsnn",
}


def run(out, *flags, n_images=N_IMAGES, has_figures=False):
    fixed = ("--quick", "--target", "numpy", "--images", str(n_images), "--out", str(out))
    with pytest.MonkeyPatch.context() as patch:
        if not has_figures:
            patch.setattr(run_comparison, "make_figures", lambda folder, *_: [folder / "x"])
            patch.setattr(run_comparison, "try_report", lambda *_: None)
        return run_comparison.main([*fixed, *map(str, flags)])


@pytest.fixture
def result(once):
    """A quick run of everything on the first digits."""
    return once("comparison", lambda out: run(out, has_figures=True))


@pytest.fixture
def metrics(result):
    return pd.read_csv(result / "metrics.csv")


@pytest.fixture
def time(result):
    return pd.read_csv(result / "time.csv")


def row_of(metrics, scheme):
    return metrics[metrics.scheme == scheme].iloc[-1]


# ---- rows and curves ----


def test_every_scheme_has_its_rows(metrics, result):
    """Schemes, networks and settings by hand; the columns of every study."""
    assert set(REQUIRED_COLUMNS) <= set(metrics)
    assert list(dict.fromkeys(metrics.scheme)) == SCHEMES
    assert dict(zip(metrics.scheme, metrics.network, strict=True)) == SHIPPED
    wanted = ["K = 4", "K = 8", "T = 8", "T = 16", "N = 4", "T = 1", "T = 2"]
    assert metrics.condition.tolist() == wanted
    assert (metrics.n_images == N_IMAGES).all()
    assert not (result / "refused.csv").exists()
    assert (result / "report.html").exists()


def test_numbers_are_those_of_a_run_by_hand(metrics):
    """Accuracies, spikes, events and time of the public interface, without overlapping images."""
    images, labels = ab.load_images("digits", "test")
    network = ab.load_network(ab.trained("digits-noise"))
    conversion = ab.convert(network, ab.NoiseOptions(n_steps=4))
    recording = ab.simulate(conversion, images[:N_IMAGES], target="numpy")
    row = row_of(metrics, "noise")
    logits = network.forward(images[:N_IMAGES])
    assert row.snn_accuracy == (recording.predictions == labels[:N_IMAGES]).mean()
    assert row.ann_accuracy == (logits.argmax(axis=1) == labels[:N_IMAGES]).mean()
    assert row.agreement == (recording.predictions == logits.argmax(axis=1)).mean()
    assert row.spikes_per_image == recording.spikes_per_image
    assert row.spikes_per_neuron == recording.spikes_per_image / conversion.spiking.n_neurons
    assert row.synaptic_events_per_image == recording.events_per_image
    assert row.latency_ms == recording.latency_steps * recording.dt_ms
    assert row.images_per_biological_s == 1000 / 4  # N steps of 1 ms in the first layer


def test_plain_rate_conversion_is_burst_conversion_without_bursts(metrics):
    """One spike a step at most, by the options themselves."""
    images, _ = ab.load_images("digits", "test")
    calibration, _ = ab.load_images("digits", "train")
    chosen = np.random.default_rng(1).permutation(len(calibration))[:100]
    network = ab.load_network(ab.trained("digits-burst"))
    options = ab.BurstOptions(
        n_steps=16, gamma=1, normalisation="percentile", percentile=99.9, initial=0.5
    )
    spiking = ab.convert(network, options, calibration[chosen]).spiking
    recording = ab.simulate(spiking, images[:N_IMAGES], target="numpy")
    row = row_of(metrics, "rate")
    assert row.spikes_per_image == recording.spikes_per_image
    assert row.max_spikes_per_neuron <= 16


def test_intervals_are_those_of_wilson(metrics, time):
    """Against SciPy, in rows and curves."""
    for table, column in ((metrics, "snn_accuracy"), (time, "accuracy")):
        for row in table.itertuples():
            n_right = round(getattr(row, column) * N_IMAGES)
            low, high = binomtest(n_right, N_IMAGES).proportion_ci(method="wilson")
            assert (row.accuracy_low, row.accuracy_high) == pytest.approx((low, high), abs=1e-12)


def test_curves_end_where_the_rows_are(metrics, time):
    """Last step of each run, and costs that only grow."""
    last = time.groupby(KEYS, sort=False).last().reset_index()
    for here, there in {
        "accuracy": "snn_accuracy",
        "accuracy_low": "accuracy_low",
        "agreement": "agreement",
        "time_ms": "latency_ms",
        "step": "n_steps",
        "spikes_per_image": "spikes_per_image",
        "events_per_image": "synaptic_events_per_image",
        "energy_nj": "energy_nj",
    }.items():
        np.testing.assert_allclose(last[here], metrics[there], rtol=1e-12)
    costs = ["time_ms", "spikes_per_image", "events_per_image", "energy_nj"]
    for _, own in time.groupby(KEYS):
        assert (own[costs].diff().dropna() >= 0).all(axis=None)


def test_matched_steps_by_hand(result, metrics, time):
    """The first step after which no accuracy is a point below the trained network's."""
    matched = pd.read_csv(result / "matched.csv")
    assert matched[KEYS].equals(metrics[KEYS])
    for row, (_, own), whole in zip(
        matched.itertuples(), time.groupby(KEYS, sort=False), metrics.itertuples(), strict=True
    ):
        is_close = own.accuracy.to_numpy() >= whole.ann_accuracy - 0.01 - 1e-9
        steps = [step for step in own.step if is_close[step - 1 :].all()]
        if not steps:
            assert np.isnan(row.step)
            continue
        there = own[own.step == steps[0]].iloc[0]
        assert row.step == steps[0]
        assert (row.time_ms, row.energy_nj) == (there.time_ms, there.energy_nj)


def first_taps(network):
    """Pairs of a pixel and a unit of the first convolution that it reaches, one by one."""
    layer = network.layers[0]
    rows, columns, channels = network.shapes[layer.name]
    weights = layer.signs if hasattr(layer, "signs") else layer.kernel
    height, width, n_in = network.input.shape
    top, _, left, _ = layer.padding
    found = 0
    for y, x in np.ndindex(rows, columns):
        for dy, dx in np.ndindex(weights.shape[:2]):
            at = y * layer.stride[0] + dy - top, x * layer.stride[1] + dx - left
            found += 0 <= at[0] < height and 0 <= at[1] < width
    return found * n_in * channels


@pytest.mark.parametrize("scheme", SCHEMES)
def test_energy_by_hand(metrics, scheme):
    """0.9 pJ an event, 4.6 pJ a product of the image's current; the image of AMOS is spikes."""
    row = row_of(metrics, scheme)
    products = 0 if scheme == "amos" else first_taps(load_network(trained(SHIPPED[scheme])))
    assert row.input_multiply_accumulates == products
    assert row.input_accumulates == 0
    events = row.synaptic_events_per_image
    assert row.event_energy_nj == pytest.approx(0.9e-3 * events)
    assert row.energy_nj == pytest.approx(0.9e-3 * events + 4.6e-3 * products)
    dense = row.ann_multiply_accumulates, row.ann_accumulates
    assert row.ann_energy_nj == pytest.approx(4.6e-3 * dense[0] + 0.9e-3 * dense[1])


def test_an_image_that_meets_binary_weights_is_added(tmp_path):
    """A network whose layers are all binary."""
    row = pd.read_csv(
        run(tmp_path, "--network", "digits-gap-binary", "--only", "albsnn-T1", n_images=2)
        / "metrics.csv"
    ).iloc[0]
    taps = first_taps(load_network(trained("digits-gap-binary")))
    assert (row.input_multiply_accumulates, row.input_accumulates) == (0, taps)
    assert row.energy_nj == pytest.approx(0.9e-3 * (row.synaptic_events_per_image + taps))
    assert row.ann_multiply_accumulates == 0 < row.ann_accumulates


def test_time_of_the_training(metrics, tmp_path):
    """Of a network whose steps were measured; of one that says it; of others none."""
    published = pd.read_csv(PUBLISHED / "training.csv").set_index(["dataset", "method"])
    per_image = published.ms_per_image["digits", "noise, T = 1"] / 1e3
    noise = row_of(metrics, "noise")
    epochs = load_info(trained("digits-noise"))["epochs"]
    assert noise.training_s == pytest.approx(per_image * epochs * 1257)  # training images
    others = metrics[metrics.scheme != "noise"]
    assert others.training_s.isna().all()
    assert set(others.training_time_from) == {"not known"}
    told = save_network(
        load_network(trained("digits-noise")), tmp_path / "n.safetensors", {"training_s": 7.5}
    )
    row = pd.read_csv(run(tmp_path, "--network", told, "--only", "noise") / "metrics.csv").iloc[0]
    assert (row.training_s, row.training_time_from) == (7.5, "weight file")


@pytest.mark.parametrize("name", ["amos-K4", "albsnn-T2"])
def test_a_row_is_made_again_alone_by_its_command(metrics, tmp_path, name):
    """The command that the row names, against the row."""
    (number,) = np.flatnonzero(metrics.command.str.contains(f"--only {name} "))
    program, file, *flags = shlex.split(metrics.command[number])
    assert (program, file) == ("python", "studies/run_comparison.py")
    again = pd.read_csv(run(tmp_path, *flags) / "metrics.csv")
    pd.testing.assert_frame_equal(
        again.drop(columns=WALL_TIMES),
        metrics.iloc[[number]].reset_index(drop=True).drop(columns=WALL_TIMES),
        check_dtype=False,
    )


def test_two_processes_give_the_same_numbers(metrics, time, tmp_path):
    """Tables of a run in which processes share the work."""
    other = run(tmp_path, "--only", "noise", "albsnn", "--jobs", "2")
    for name, here in (("metrics", metrics), ("time", time)):
        mine = here[here.scheme.isin(["noise", "albsnn"])].reset_index(drop=True)
        theirs = pd.read_csv(other / f"{name}.csv")
        drop = [*WALL_TIMES, "command"]
        pd.testing.assert_frame_equal(
            theirs.drop(columns=drop, errors="ignore"), mine.drop(columns=drop, errors="ignore")
        )


def test_rerun_begins_from_nothing(tmp_path):
    """What a stopped run has left is taken up, and not with the flag."""
    flags = ("--only", "noise")
    result = run(tmp_path, *flags, n_images=2)
    rows = pd.read_csv(result / "metrics.csv")
    left = result.with_name(f"{result.name}.part") / "000"
    for more, agreement in (((), -1.0), (("--rerun",), rows.agreement[0])):
        left.mkdir(parents=True)
        for table in ("metrics", "time", "matched"):
            own = pd.read_csv(result / f"{table}.csv").assign(agreement=-1.0)
            own.to_csv(left / f"{table}.csv", index=False)
        assert run(tmp_path, *flags, *more, n_images=2) == result
        assert pd.read_csv(result / "metrics.csv").agreement[0] == agreement


def test_work_can_go_to_other_machines(arguments, tmp_path):
    """A task that was pickled writes what it does here."""
    asked, source = arguments("--only", "noise", "--target", "numpy")
    (entry,), _ = entries(who.contenders(asked.only), source, asked)
    own = task("000", entry, asked, "command")
    sent = pickle.loads(pickle.dumps(own))
    tables = []
    for number, one in enumerate((own, sent)):
        folder = tmp_path / str(number)
        folder.mkdir()
        one.write(folder, one.simulate(0, 2))
        tables.append(pd.read_csv(folder / "metrics.csv").drop(columns=WALL_TIMES))
    pd.testing.assert_frame_equal(*tables)


# ---- own networks ----


@pytest.fixture
def arguments():
    """Flags of a small run, and its images."""

    def found(*flags):
        asked = run_comparison.parser().parse_args(["--images", "2", *map(str, flags)])
        return asked, load_images(asked)

    return found


@pytest.mark.parametrize(
    "network, held, reason",
    [
        ("digits-silu", {"amos", "burst", "rate"}, "Activation 'act1' does not spike"),
        ("digits-qcfs", {"burst"}, "it runs by burst conversion"),
        ("digits-noise", {"noise"}, "was trained with noise of mean 0.5"),
        ("digits-direct2", {"noise", "albsnn"}, "Spike 'act1' cannot become spiking neurons"),
        ("digits-lif", set(), "has a state of its own, as in NIR files"),
    ],
)
def test_who_can_hold_a_network(arguments, network, held, reason):
    """Schemes by hand, and the words of those that refuse."""
    asked, source = arguments("--network", network)
    found, refused = entries(who.contenders(quick=True), source, asked)
    assert {entry.contender.scheme for entry in found} == held
    if network == "digits-direct2":  # which says itself for how many steps it was trained
        assert [entry.case.label for entry in found] == ["N = 2", "T = 2"]
    assert set(refused.scheme) == set(SCHEMES) - held
    assert refused.reason.str.contains(reason).any()
    assert (refused.network == network).all()


def test_a_planted_network_that_some_schemes_hold(tmp_path, capsys):
    """Own file under its own name: rows of those, and a table of the others."""
    planted = replace(load_network(trained("digits-qcfs")), name="planted")
    file = save_network(planted, tmp_path / "own.safetensors")
    result = run(tmp_path, "--network", file, n_images=3)
    rows = pd.read_csv(result / "metrics.csv")
    assert rows[["scheme", "network", "condition"]].to_numpy().tolist() == [
        ["burst", "planted", "T = 1"]
    ]
    assert str(file) in rows.command[0]
    refused = pd.read_csv(result / "refused.csv")
    assert refused.scheme.tolist() == ["amos", "rate", "noise", "albsnn"]
    assert refused.condition[0] == "amos-K4, amos-K8"
    assert refused.reason.str.contains("'planted'").all()
    printed = capsys.readouterr().out
    assert all(
        f"left out: {row.scheme} ({row.condition}): {row.reason}" in printed
        for row in refused.itertuples()
    )


def test_no_scheme_can_hold_it(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, "--network", "digits-lif")
    said = capsys.readouterr().err.strip().splitlines()[-1]
    message = "error: no scheme can be run, see above; the first: network 'digits-lif'"
    assert said.startswith(message)
    assert not list(tmp_path.glob("comparison/*/metrics.csv"))


def test_training_seeds_have_a_row_each(tmp_path):
    """Two files of one network with two seeds; and one file twice."""
    network = load_network(trained("digits-noise"))
    files = [
        save_network(network, tmp_path / f"{seed}.safetensors", {"seed": seed}) for seed in (3, 4)
    ]
    rows = pd.read_csv(run(tmp_path, "--network", *files, n_images=3) / "metrics.csv")
    assert rows.training_seed.tolist() == [3, 4]
    with pytest.raises(SystemExit):
        run(tmp_path, "--network", files[0], files[0])


def test_what_is_not_shipped_is_named(arguments, monkeypatch):
    """Each scheme without a network for the data set, and what to do."""
    monkeypatch.setattr(who, "trained_networks", lambda: {"digits-relu": None})
    asked, source = arguments()
    found, refused = entries(who.contenders(quick=True), source, asked)
    assert {entry.contender.scheme for entry in found} == {"amos"}
    assert refused.scheme.tolist() == SCHEMES[1:]
    message = "no noise network (digits-noise) is shipped for digits; train one"
    assert message in refused.reason[2]
    with pytest.raises(ValueError, match="no amos network is shipped for mnist; train one"):
        who.contenders()[0].network_for("mnist")


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--only", "nir"), "--only nir: there are amos, amos-K4, amos-K8, burst, rate, noise"),
        (("--dataset", "digits", "--images", "x.npz"), "--dataset digits: --images names other"),
        (("--network", "none.safetensors"), "none.safetensors"),
        (("--network", "digits-relu", "--mean", "1"), "--mean: digits-relu knows how it sees"),
        (("--mean", "1"), "--mean: digits-relu knows how it sees an image"),
        (("--network", "digits-relu", "digits-relu"), "digits-relu: is named 2 times"),
    ],
)
def test_bad_input_is_refused_in_a_line(tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit):
        run(tmp_path, *flags)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]


def test_only_takes_schemes_and_settings():
    names = [one.name for one in who.contenders(["amos", "burst"])]
    assert names == ["amos-K4", "amos-K6", "amos-K8", "amos-K10", "burst"]
    assert [one.name for one in who.contenders(["amos-K6"])] == ["amos-K6"]


# ---- figure and page ----


def test_figure_has_what_the_table_says(result, time, metrics):
    """Lines of the three panels against the curves, in the colours of the schemes."""
    figure = comparison_frontier(Result(result))
    for ax, cost in zip(figure.axes, ("time_ms", "spikes_per_image", "energy_nj"), strict=True):
        assert ax.get_xscale() == "log"
        curves = [own for _, own in time.groupby(KEYS, sort=False)]
        lines = [line for line in ax.lines if line.get_marker() == "None"]
        assert len(lines) == len(curves) == len(metrics)
        for line, own in zip(lines, curves, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), own[cost])
            np.testing.assert_allclose(line.get_ydata(), 100 * own.accuracy)
        colours = {
            own.scheme.iloc[0]: line.get_color() for line, own in zip(lines, curves, strict=True)
        }
        assert len(set(colours.values())) == len(SCHEMES)
    names = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert names[:5] == [
        *("AMOS, K = 4, 8", "burst", "noise", "ALBSNN, T = 1, 2", "rate conversion")
    ]


def test_only_whole_results_are_published(result, tmp_path, monkeypatch):
    """A quick run and one of some schemes are not; a whole one of the first images is."""
    assert not is_reference(COMPARISON, result)
    config = publishing.configuration(result)
    plain = {**config, "quick": False, "calibration": 512, "is_whole_test_split": False}
    monkeypatch.setattr(publishing, "configuration", lambda _: plain)
    assert is_reference(COMPARISON, result)
    for table in collect([result]).values():
        assert len(table) == len(plain["conditions"])
        assert set(table.dataset) == {"digits"}
    plain["conditions"] = [own for own in plain["conditions"] if own["scheme"] != "rate"]
    assert collect([result]) == {}


def test_page_shows_the_published_rows():
    """Cells of the page against the CSV."""
    rows = pd.read_csv(PUBLISHED / "comparison.csv")
    assert set(rows.scheme) == set(SCHEMES)
    table = comparison_table(rows).splitlines()
    assert len(table) == 2 + len(rows)
    for line, row in zip(table[2:], rows.itertuples(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[1:4] == [row.condition, f"`{row.network}`", f"{row.ann_accuracy:.2%}"]
        assert cells[4].startswith(f"{row.snn_accuracy:.2%} (")
        assert cells[9] == f"{row.spikes_per_image:,.0f}"
