"""The study of locally binary networks as a command: its tables against references and by hand.

Networks are small and random; runs are a few digits, a few steps, Brian2's NumPy target.
"""

import argparse
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.grids import on_grid
from ann2brian.models.networks.layers import BatchNorm, BinaryConv2D, Conv2D, GlobalAvgPool, Spike
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.schemes.albsnn import conversion as albsnn
from ann2brian.models.schemes.albsnn import reference as albsnn_reference
from ann2brian.models.schemes.albsnn.options import AlbsnnOptions
from ann2brian.studies import run_albsnn
from ann2brian.studies.albsnn import binary_cost, published
from ann2brian.studies.albsnn import conditions as albsnn_conditions
from ann2brian.studies.frame import network_under_test as subject
from ann2brian.studies.frame import publishing
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame import study as frame
from ann2brian.studies.frame.spike_files import load_spikes
from scipy.signal import correlate2d

N_IMAGES, N_TRAINS = 10, 5
SMALL = ["--images", str(N_IMAGES), "--spikes", str(N_TRAINS)]
# Layer: shape of the kernel, stride, places of the output map.
LAYERS = {
    "conv1": ((3, 3, 1, 6), (1, 1), 64),
    "conv2": ((3, 3, 6, 8), (2, 2), 16),
    "conv3": ((3, 3, 8, 12), (1, 1), 16),
    "conv4": ((1, 1, 12, 10), (1, 1), 16),
}
N_HIDDEN = 64 * 6 + 16 * 8 + 16 * 12
BINARY = {"digits-albsnn": ("conv2", "conv3"), "digits-gap-real": ()}
HISTORY = {
    "is_binary": [False, False, True],
    "weight_error": [0.25, 0.5, None],
    "output_error": [0.125, 0.25, None],
    "loss_rise": [0.2, -0.0625, None],
    "first_order": [0.5, 0.75, None],
}


def small_network(name, seed=0):
    """Random network for the digits; its hidden units fire often, but not always."""
    rng = np.random.default_rng(seed)
    layers, before = [], "input"
    for number, (layer, (shape, stride, _)) in enumerate(LAYERS.items(), start=1):
        pad = (shape[0] // 2, shape[1] // 2)
        kernel = rng.normal(size=shape) / np.sqrt(np.prod(shape[:3]))
        n_out = shape[3]
        if layer in BINARY[name]:
            scale = np.abs(kernel).mean(axis=(0, 1, 2))
            conv = BinaryConv2D(layer, (before,), np.where(kernel < 0, -1, 1), scale, stride, pad)
        else:
            conv = Conv2D(layer, (before,), kernel, np.zeros(n_out), stride, pad)
        gamma, beta = rng.uniform(1, 2, n_out), rng.uniform(0.2, 0.8, n_out)
        norm = BatchNorm(
            f"norm{number}", (layer,), gamma, beta, np.zeros(n_out), np.ones(n_out), 0.0
        )
        before = f"act{number}"
        layers += [conv, norm, Spike(before, (norm.name,), 1.0)]
    layers[-1] = GlobalAvgPool("gap", ("norm4",))
    coding = InputCoding((8, 8, 1), 16, [0.25], [-1.25])
    network = Network(name, coding, tuple(layers), tuple("0123456789"))
    # The head is centred, so that images and not its offsets decide.
    images, _ = datasets.load("digits", "train", None)
    centre = network.activations(images[:100])["conv4"].mean(axis=(0, 1, 2))
    norm = network.layer("norm4")
    gamma = norm.gamma * np.tile([1, -1], 5)  # sums alone would name other classes
    head = replace(norm, mean=centre, gamma=gamma, beta=np.zeros(10))
    layers[-2] = head
    return on_grid(replace(network, layers=tuple(layers)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weight files, with a history of one layer in one of them."""
    folder = tmp_path_factory.mktemp("weights")
    options = {"variant": "estimated", "budget": None, "eps_on": 0.1, "eps_off": 0.2}
    infos = {
        "digits-albsnn": {"seed": 3, "binarisation": options, "layers": {"conv2": HISTORY}},
        "digits-gap-real": {},
    }
    return {
        name: storage.save_network(small_network(name), folder / f"{name}.safetensors", info)
        for name, info in infos.items()
    }


def study(out, *flags, target="numpy", figures=False):
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr(frame, "make_figures", lambda *_: [])
            patch.setattr(frame, "try_report", lambda *_: None)
        return run_albsnn.main(
            ["--quick", "--target", target, *SMALL, "--out", str(out), *map(str, flags)]
        )


def table(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


@pytest.fixture(scope="module")
def plain(files, once):
    """One network, one and two steps."""
    flags = ("--network", files["digits-albsnn"], "--steps", 2, 1)
    return once("albsnn-plain", lambda out: study(out, *flags))


@pytest.fixture(scope="module")
def whole(files, once):
    """A whole study with both networks."""
    names = (files["digits-albsnn"], files["digits-gap-real"])
    flags = ("--study", "--steps", 1, 2, "--network", *names)
    return once("albsnn-whole", lambda out: study(out, *flags, figures=True))


@pytest.fixture(scope="module")
def reference():
    """What the algorithm does with the same images, by number of steps."""
    images, labels = datasets.load("digits", "test", None)
    conversions = [
        albsnn.convert(small_network("digits-albsnn"), AlbsnnOptions(n_steps=n)) for n in (1, 2)
    ]
    runs = {c.options.n_steps: albsnn_reference.run(c, images[:N_IMAGES]) for c in conversions}
    logits = {c.options.n_steps: runs[c.options.n_steps].scores for c in conversions}
    return runs, logits, images[:N_IMAGES], labels[:N_IMAGES]


def test_accuracy_and_firing_are_those_of_the_reference(plain, reference):
    runs, logits, images, labels = reference
    metrics = table(plain, "metrics")
    assert set(common.REQUIRED_COLUMNS) <= set(metrics)
    keys = ["network", "setting", "training_seed", "n_steps"]
    assert list(metrics)[:6] == ["scheme", "dataset", *keys]
    assert metrics["n_steps"].tolist() == [1, 2]
    assert metrics["setting"].tolist() == ["albsnn"] * 2
    assert metrics["training_seed"].tolist() == [3, 3]
    trained = small_network("digits-albsnn").forward(images)
    for row in metrics.to_dict("records"):
        run, said = runs[row["n_steps"]], logits[row["n_steps"]][:, -1].argmax(axis=1)
        assert len(set(said)) > 1  # the comparisons below could fail
        assert row["snn_accuracy"] == (said == labels).mean()
        assert row["ann_accuracy"] == (trained.argmax(axis=1) == labels).mean()
        assert row["agreement"] == (said == trained.argmax(axis=1)).mean()
        n_spikes = sum(int(counts.sum()) for counts in run.counts.values())
        assert row["spikes_per_image"] == pytest.approx(n_spikes / N_IMAGES)
        most = max(int(c.sum(axis=1).max()) for c in run.counts.values())
        assert row["max_spikes_per_neuron"] == most == row["n_steps"]
        assert row["n_neurons"] == N_HIDDEN
        assert row["latency_ms"] == 3 + row["n_steps"]  # three layers, the steps, the read-out
    assert metrics["equal_logits"][0] == 1.0  # bit for bit, on every image
    assert np.isnan(metrics["equal_logits"][1])


def reached(counts, layer, n_before):
    """Targets of all spikes of an image through a layer: sums over windows, by SciPy."""
    (height, width, n_in, n_out), (stride, _), _ = LAYERS[layer]
    maps = counts.sum(axis=1).reshape(len(counts), n_before, n_before, n_in).sum(axis=3)
    ones = np.ones((height, width))
    sums = [correlate2d(image, ones, "same")[::stride, ::stride].sum() for image in maps]
    return n_out * np.mean(sums)


def test_layers_count_events_and_spikes(plain, reference):
    """Events of each layer counted from the reference's spikes, by another algorithm."""
    layers = table(plain, "layers")
    assert list(layers)[:4] == ["network", "setting", "training_seed", "n_steps"]
    metrics = table(plain, "metrics").set_index("n_steps")
    for n_steps, run in reference[0].items():
        own = layers[layers["n_steps"] == n_steps].set_index("layer")
        assert own.index.tolist() == list(LAYERS)
        wanted = [
            reached(run.counts["act1"], "conv2", 8),
            reached(run.counts["act2"], "conv3", 4),
            reached(run.counts["act3"], "conv4", 4),
        ]
        assert np.isnan(own["events_per_image"]["conv1"])  # a current, no spikes
        np.testing.assert_allclose(own["events_per_image"].iloc[1:], wanted)
        assert metrics["synaptic_events_per_image"][n_steps] == pytest.approx(sum(wanted))
        n_outputs = [64 * 6, 16 * 8, 16 * 12, 16 * 10]
        operations = [n * size for n, size in zip(n_outputs, (9, 54, 72, 12), strict=True)]
        assert own["operations_per_image"].tolist() == operations
        rates = [run.counts[name].mean() for name in ("act1", "act2", "act3")]
        np.testing.assert_allclose(own["spikes_per_neuron_step"].iloc[:3], rates)
        assert np.isnan(own["spikes_per_neuron_step"]["conv4"])


def test_storage_is_counted_by_hand(plain, files):
    """Bits by layer; the bytes of the file from its header, read without the library."""
    n = {layer: int(np.prod(shape)) for layer, (shape, *_) in LAYERS.items()}
    assert n == {"conv1": 54, "conv2": 432, "conv3": 864, "conv4": 120}
    bits = {"conv1": 32 * 54, "conv2": 432 + 32 * 8, "conv3": 864 + 32 * 12, "conv4": 32 * 120}
    layers = table(plain, "layers").query("n_steps == 1").set_index("layer")
    assert layers["bits"].to_dict() == bits
    assert layers["n_weights"].to_dict() == n
    assert layers["is_binary"].to_dict() == {k: k in ("conv2", "conv3") for k in LAYERS}
    content = files["digits-albsnn"].read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    held = {}
    for name, tensor in header.items():
        if name.split(".")[-1] in ("kernel", "signs", "scale"):
            low, high = tensor["data_offsets"]
            held[name.split(".")[0]] = held.get(name.split(".")[0], 0) + high - low
    assert layers["n_file_bytes"].to_dict() == held
    assert {k: 8 * v for k, v in held.items()} == bits  # this network fills its bytes
    (metrics,) = table(plain, "metrics").query("n_steps == 1").to_dict("records")
    assert metrics["weight_bits_stored"] == sum(bits.values())
    assert metrics["weight_bits_real"] == 32 * sum(n.values())
    assert metrics["saving"] == pytest.approx(1 - sum(bits.values()) / 32 / sum(n.values()))
    assert metrics["weight_share_binary"] == pytest.approx((432 + 864) / sum(n.values()))
    # Batch normalisation has four numbers a channel, the two real layers a bias each.
    assert metrics["other_bits"] == 32 * (4 * (6 + 8 + 12 + 10) + 6 + 10)


def test_history_of_the_choice(plain):
    """What the weight file says, epoch by epoch, and the last estimates beside each layer."""
    history = table(plain, "history")
    assert list(history)[:3] == ["network", "setting", "training_seed"]
    assert "n_steps" not in history
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["is_binary"].tolist() == HISTORY["is_binary"]
    for name in albsnn_conditions.ESTIMATES:
        np.testing.assert_array_equal(history[name], np.array(HISTORY[name], dtype=float))
    assert history[["eps_on", "eps_off"]].to_numpy().tolist() == [[0.1, 0.2]] * 3
    layers = table(plain, "layers").query("n_steps == 1").set_index("layer")
    wanted = {"weight_error": 0.5, "output_error": 0.25, "loss_rise": -0.0625}
    assert layers.loc["conv2", list(wanted)].to_dict() == wanted
    assert layers.drop("conv2")[list(wanted)].isna().all(axis=None)


def test_spikes_are_stored_with_the_predictions_of_the_logits(plain, reference):
    """Of the last condition; the head's gain and offset decide too."""
    runs, logits, _, labels = reference
    spikes, _, stored = load_spikes(plain / "spikes.npz")
    head = albsnn.convert(small_network("digits-albsnn"), AlbsnnOptions(n_steps=2)).spiking.readout
    sums = (logits[2][:N_TRAINS, -1] - head.offset) / head.gain  # as spikes alone have it
    assert (stored["predictions"] != sums.argmax(axis=1)).any()
    assert len(spikes) == sum(int(c[:N_TRAINS].sum()) for c in runs[2].counts.values())
    np.testing.assert_array_equal(stored["predictions"], logits[2][:N_TRAINS, -1].argmax(axis=1))
    np.testing.assert_array_equal(stored["labels"], labels[:N_TRAINS])


def test_whole_study_shows_the_default_setting_last(whole):
    """Order of the conditions, figures, and no demands on digits."""
    metrics = table(whole, "metrics")
    assert metrics["network"].tolist() == ["digits-gap-real"] * 2 + ["digits-albsnn"] * 2
    assert metrics["n_steps"].tolist() == [1, 2, 1, 2]
    assert metrics["equal_logits"][[0, 2]].tolist() == [1.0, 1.0]
    assert not (whole / "checks.csv").exists()
    assert {p.suffix for p in (whole / "figures").iterdir()} == {".png", ".pdf"}


def test_potentials_are_those_of_the_trained_network(whole, reference):
    """What batch normalisation says is the potential of the first step; bins counted by hand."""
    images = reference[2][:N_TRAINS]
    potentials = table(whole, "potentials").set_index(["network", "layer"])
    for name, binary in BINARY.items():
        values = small_network(name).activations(images)
        for number in (1, 2, 3):
            h = values[f"norm{number}"].ravel()
            own = potentials.loc[(name, f"act{number}")]
            width = own["high"] - own["low"]
            counts = [
                ((low <= h) & (h < high)).sum()
                for low, high in zip(own["low"], own["high"], strict=True)
            ]
            np.testing.assert_allclose(own["density"] * width * h.size, counts, atol=1e-6)
            near = np.mean(np.abs(h - 1) < 0.05)
            np.testing.assert_allclose(own["fraction_at_threshold"], near)
            assert set(own["is_binary"]) == {f"conv{number}" in binary}


def test_timing_compares_with_layers_made_binary_afterwards(whole, reference):
    """Trains of the reference with kernels replaced by alpha sign(W), pair by pair."""
    images = reference[2][:N_TRAINS]
    real = small_network("digits-gap-real")
    timing = table(whole, "timing").set_index(["binarised", "layer"])
    assert set(timing["network"]) == {"digits-gap-real"}
    assert set(timing["n_steps"]) == {2}

    def trains(names):
        layers = []
        for layer in real.layers:
            if layer.name in names:
                alpha = np.abs(layer.kernel).mean(axis=(0, 1, 2))
                layer = replace(layer, kernel=np.where(layer.kernel < 0, -alpha, alpha))
            layers.append(layer)
        options = AlbsnnOptions(n_steps=2)
        conversion = albsnn.convert(replace(real, layers=tuple(layers)), options)
        counts = albsnn_reference.run(conversion, images).counts
        return {name: np.moveaxis(c, 1, 2).reshape(-1, 2).tolist() for name, c in counts.items()}

    before = trains(())
    changed = {name: (name,) for name in ("conv1", "conv2", "conv3")}  # no spike after the head
    changed["all"] = tuple(LAYERS)
    assert set(timing.index.get_level_values("binarised")) == set(changed)
    for label, names in changed.items():
        for layer, after in trains(names).items():
            pairs = [p for p in zip(before[layer], after, strict=True) if any(p[0] + p[1])]
            shifts = [b.index(1) - a.index(1) for a, b in pairs if any(a) and any(b)]
            row = timing.loc[(label, layer)]
            assert row["same_train"] == pytest.approx(np.mean([a == b for a, b in pairs]))
            assert row["first_spike_shift"] == pytest.approx(np.mean(shifts))
            assert row["same_first"] == pytest.approx(shifts.count(0) / len(pairs))
            ratio = np.sum([b for _, b in pairs]) / np.sum([a for a, _ in pairs])
            assert row["rate_ratio"] == pytest.approx(ratio)
    assert timing.loc[("all", "act3"), "same_train"] < 1  # it compares something
    assert timing.loc[("conv3", "act2"), "same_train"] == 1


def test_curve_begins_with_the_network_as_trained(whole, reference):
    """Rows of the network with real weights, the first of them against its own accuracy."""
    curve, labels = table(whole, "curve"), reference[3]
    assert set(curve["network"]) == {"digits-gap-real"}
    assert curve["kind"].tolist() == ["none"] + ["alone"] * 4 + ["together"] * 4
    assert set(curve["n_images"]) == {N_IMAGES}
    said = small_network("digits-gap-real").forward(reference[2]).argmax(axis=1)
    assert curve["accuracy"][0] == (said == labels).mean()
    assert curve["saving"].iloc[-1] == pytest.approx(1 - (1 / 32 + 36 / 1470))


def test_cost_of_binary_synapses(whole):
    """Memory of the binary kernels against the shapes: 16 bits a weight, or one."""
    cost = table(whole, "cost").set_index("kernels")
    layers = table(whole, "layers")
    own = layers[(layers["network"] == cost["network"].iloc[0]) & layers["is_binary"]]
    shapes = [LAYERS[name][0] for name in own["layer"].unique() if name != "conv1"]
    n_weights = sum(np.prod(shape[:3]) * (shape[3] + -shape[3] % 8) for shape in shapes)
    assert cost["weight_bytes"]["numbers"] == 2 * n_weights
    assert cost["weight_bytes"]["packed"] == pytest.approx(n_weights / 8, abs=4)
    assert (cost["loop_s"] > 0).all()
    assert cost["time_ratio"]["numbers"] == 1
    assert set(cost["n_steps"]) == {1}


def test_cost_is_the_median_of_pairs(monkeypatch):
    """Ratios of given times, round by round, against the median; kernels change places."""
    times = iter([3.0, 2.0, 10.0, 2.0, 5.0, 10.0])  # packed, numbers; numbers, packed; ...
    asked = []

    def answer(network, images, **run):
        is_packed = any(p.is_binary for p in network.projections)
        asked.append("packed" if is_packed else "numbers")
        recording = simulate(network, images, batch=2, target="numpy")
        return replace(recording, loop_s=next(times))

    monkeypatch.setattr(binary_cost, "simulate", answer)
    images, _ = datasets.load("digits", "test", None)
    conversion = albsnn.convert(small_network("digits-albsnn"), AlbsnnOptions())
    cost = binary_cost.measure(conversion.spiking, images[:2], rounds=3).set_index("kernels")
    assert asked == ["packed", "numbers", "numbers", "packed", "packed", "numbers"]
    assert cost["loop_s"].to_dict() == {"packed": 2.0, "numbers": 2.0}
    assert cost["time_ratio"]["packed"] == 0.5  # of 1.5, 0.2 and 0.5


def test_study_says_what_timing_needs(files, tmp_path, capsys):
    """A study of one step, without a network of real weights."""
    folder = study(tmp_path, "--study", "--network", files["digits-albsnn"])
    assert "name one, and --steps above 1" in capsys.readouterr().out
    assert (folder / "potentials.csv").exists()
    assert not (folder / "timing.csv").exists()


def test_demands_are_checked_on_fashion_mnist(tmp_path):
    """Tables of a study from given metrics and costs, without networks."""
    seeds = dict.fromkeys((1, 2, 3), 0.93)
    for name in ("metrics", "time"):
        runs(seeds, seeds).to_csv(tmp_path / f"{name}.csv", index=False)
    given = replace(run_albsnn.STUDY, summaries=lambda *_: {"cost": COST})
    for dataset, is_checked in (("digits", False), ("fashion-mnist", True)):
        (tmp_path / dataset).mkdir()
        arguments = argparse.Namespace(study=True, dataset=dataset)
        frame._summarise(tmp_path / dataset, given, [], [tmp_path], arguments)
        assert (tmp_path / dataset / "checks.csv").exists() == is_checked
    assert table(tmp_path / "fashion-mnist", "checks")["holds"].all()


def test_compiled_study_has_the_same_tables(plain, files, tmp_path):
    """C++ standalone, pipelined, against NumPy."""
    compiled = study(
        tmp_path,
        *("--network", files["digits-albsnn"], "--steps", 2, 1, "--pipelined"),
        target="cpp_standalone",
    )
    pd.testing.assert_frame_equal(table(compiled, "layers"), table(plain, "layers"))
    other = ["target", "pipelined", "build_s", "run_s"]
    found, wanted = (table(folder, "metrics").drop(columns=other) for folder in (compiled, plain))
    pd.testing.assert_frame_equal(found, wanted)


def test_published_tables_are_means_over_seeds(whole, tmp_path):
    """A study with two seeds, made of one whose second seed has other numbers."""
    metrics, layers = table(whole, "metrics"), table(whole, "layers")
    other = metrics.assign(training_seed=9, snn_accuracy=metrics["snn_accuracy"] + 0.1)
    pd.concat([metrics, other]).to_csv(tmp_path / "metrics.csv", index=False)
    pd.concat([layers, layers.assign(training_seed=9, is_binary=True)]).to_csv(
        tmp_path / "layers.csv", index=False
    )
    for name in ("config.json", "provenance.json", "cost.csv"):
        (tmp_path / name).write_text((whole / name).read_text())
    found = published.collect_albsnn([tmp_path])
    assert set(found) == {"albsnn", "albsnn_layers", "albsnn_cost"}  # the rest: Fashion-MNIST
    own = found["albsnn"].set_index(["setting", "n_steps"])
    for row in metrics.itertuples():
        shown = own.loc[(row.setting, row.n_steps)]
        assert shown.accuracy == pytest.approx(row.snn_accuracy + 0.05)
        assert (shown.n_seeds, shown.n_weights) == (2, 54 + 432 + 864 + 120)
        assert shown.lowest == row.snn_accuracy
    shown = published.albsnn_table(found["albsnn"])
    saved = metrics["saving"].iloc[-1]
    assert f"| digits ({N_IMAGES}) | albsnn | 2 | 1,470 | {saved:.1%} |" in shown
    wide = found["albsnn"].assign(most_saving=0.999)
    ends = f"| {saved:.1%} to 99.9% |"
    assert ends in published.albsnn_table(wide)
    by_layer = found["albsnn_layers"].set_index(["setting", "layer", "is_binary"])
    by_layer = by_layer.sort_index()
    assert by_layer["n_networks"]["gap-real", "conv1", :].to_dict() == {False: 1, True: 1}
    assert by_layer["n_networks"]["albsnn", "conv2", :].to_dict() == {True: 2}
    assert set(by_layer["n_seeds"]) == {2}
    assert by_layer["loss_rise"]["albsnn", "conv2", True] == -0.0625
    text = published.albsnn_layers_table(found["albsnn_layers"])
    row = "| digits, albsnn | conv2 | binary | 2 of 2 | -0.0625 | 0.5 | 0.25 | 432 | 86 B |"
    assert row in text
    text = published.albsnn_cost_table(found["albsnn_cost"])
    assert "| digits | signs, packed |" in text
    n_bytes = table(whole, "cost").set_index("kernels")["weight_bytes"]
    assert f"| {n_bytes['packed']:,} B | {n_bytes['packed'] / n_bytes['numbers']:.1%} |" in text
    paper = published.albsnn_paper_table(table(whole, "paper"))
    assert "| published, 2023 | fashion-mnist | 1 | 93.39% | more than 20% |" in paper


def test_largest_study_is_published(tmp_path):
    """Of each data set, the study with most networks, then conditions; then the newest."""
    wanted = {}
    for name, dataset, n_networks, n, day in (
        ("a", "digits", 2, 4, "2026-01-01"),
        ("b", "digits", 2, 4, "2026-01-02"),
        ("c", "digits", 2, 2, "2026-01-03"),
        ("d", "digits", 1, 8, "2026-01-04"),
        ("e", "other", 1, 1, "2026-01-01"),
        ("f", "other", 1, 9, "2026-01-01"),  # no study
    ):
        folder = tmp_path / name
        folder.mkdir()
        config = {"dataset": dataset, "conditions": [0] * n, "study": n < 9, "steps": [1]}
        config["weights_sha256"] = list(range(n_networks)) * (n // n_networks)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "provenance.json").write_text(json.dumps({"finished": day}))
        wanted[name] = folder
    for folders in (list(wanted.values()), list(wanted.values())[::-1]):
        found = publishing.largest(folders, lambda config: config["study"])
        assert found == {"digits": wanted["b"], "other": wanted["e"]}
        assert publishing.pictured(published.PUBLISHED, folders) == wanted["b"]


def test_only_runs_with_the_default_options_are_published(whole, tmp_path):
    """Leak and reset of this scheme, not of the noise scheme."""
    config = json.loads((whole / "config.json").read_text())
    reference = {"quick": False, "is_whole_test_split": True}
    changes = ({}, {"leak": 1.0}, {"reset": "soft"}, {"dt_ms": 2.0})
    for change, is_reference in zip(changes, (True, False, False, False), strict=True):
        (tmp_path / "config.json").write_text(json.dumps(config | reference | change))
        assert publishing.is_reference(run_albsnn.STUDY, tmp_path) == is_reference


COST = pd.DataFrame(
    {"kernels": ["packed", "numbers"], "time_ratio": [0.9, 1.0], "weight_bytes": [100, 3150]}
)


def runs(real, own, saving=0.9, steps=1):
    """Metrics of a study: accuracies by seed."""
    rows = [
        {"setting": name, "training_seed": seed, "snn_accuracy": accuracy, "n_steps": n}
        for name, accuracies in (("gap-real", real), ("albsnn", own))
        for seed, accuracy in accuracies.items()
        for n in range(1, steps + 1)
    ]
    metrics = pd.DataFrame(rows)
    metrics["saving"] = np.where(metrics["setting"] == "albsnn", saving, 0.0)
    metrics["equal_logits"] = 1.0
    return metrics


def test_checks_compare_seeds_that_both_have():
    """Each demand with results that meet it, and that just do not."""
    good = runs(
        {1: 0.925, 2: 0.921, 3: 0.92, 5: 0.1}, {1: 0.921, 2: 0.916, 3: 0.916, 4: 0.1}, saving=0.61
    )
    found = albsnn_conditions.checks(good, COST).set_index("check")
    assert found["holds"].all()
    assert found["found"]["seeds"] == 3
    assert found["found"]["albsnn"] == pytest.approx(-13 / 30)
    assert found["found"]["real"] == pytest.approx((92.5 + 92.1 + 92) / 3)
    assert found["found"]["saving"] == pytest.approx(61)
    assert found["found"]["time"] == pytest.approx(10)
    assert found["found"]["memory"] == pytest.approx(31.5)
    bad = runs({1: 0.925, 2: 0.914}, {1: 0.915, 2: 0.913})
    bad.loc[2, "saving"] = 0.59  # one seed is enough
    bad.loc[0, "equal_logits"] = 0.0
    found = albsnn_conditions.checks(
        bad, COST.assign(time_ratio=[1.1, 1.0], weight_bytes=[1, 14])
    ).set_index("check")
    assert found["holds"].to_dict() == {
        "seeds": False,
        "real": False,
        "albsnn": False,
        "saving": False,
        "equal logits": True,
        "time": False,
        "memory": False,
    }
    assert found["found"]["equal logits"] == pytest.approx(75)
    later = good.assign(n_steps=good["n_steps"] + 1, snn_accuracy=0.0)
    both = albsnn_conditions.checks(pd.concat([good, later]), COST)
    pd.testing.assert_frame_equal(both, albsnn_conditions.checks(good, COST))  # one step counts
    assert albsnn_conditions.checks(runs({1: 0.925}, {2: 0.92}), COST) is None
    assert albsnn_conditions.checks(later, COST) is None


def test_checks_name_what_is_demanded():
    """Names and bounds of the acceptance."""
    wanted = {
        "seeds": 3,
        "real": 92.0,
        "albsnn": -0.5,
        "saving": 60.0,
        "equal logits": 0.0,
        "time": 0.0,
        "memory": 15.0,
    }
    assert {name: least for name, _, least in albsnn_conditions.CHECKS} == wanted


def test_paper_has_the_published_figures_and_ours():
    """Abstracts of both versions, then means over seeds in one step."""
    metrics = runs({1: 0.92, 2: 0.93}, {1: 0.9}, steps=2)
    metrics["dataset"], metrics["weight_bits_real"] = "fashion-mnist", 32 * 700
    paper = albsnn_conditions.paper(metrics).set_index(["source", "dataset"])
    assert paper["accuracy"]["published, 2023", "fashion-mnist"] == 0.9339
    assert paper["accuracy"]["published, 2023", "cifar-100"] == 0.6955
    assert paper["accuracy"]["published, 2022", "cifar-10"] == 0.9163
    assert len(paper) == 6 + 2
    assert paper["n_weights"].isna().sum() == 6
    own = paper.loc[("here, gap-real", "fashion-mnist")]
    assert (own["accuracy"], own["n_weights"], own["saving"]) == (pytest.approx(0.925), 700, 0)
    assert own["what"].startswith("mean over 2 seeds")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--network", "digits-relu"), "Activation 'act1' does not spike.*--scheme albsnn"),
        (("--network", "digits-noise"), "noise of mean 0.5; run it with NoiseOptions"),
        (("--network", "no-such"), "no trained network 'no-such'"),
        (
            ("--dataset", "cifar-10", "--network", "cifar-albsnn"),
            "no trained network 'cifar-albsnn'.*Train it with: .* --network cifar-albsnn",
        ),
        (("--network", "fashion-noise"), r"takes images of shape \(28, 28, 1\)"),
        (("--leak", "0"), "argument --leak: leak must be"),
        (("--leak", "1.5"), "argument --leak: leak must be .* got 1.5"),
        (("--dt-ms", "0"), "argument --dt-ms: dt_ms must be .* got 0.0"),
        (("--weight-bits", "1"), "--weight-bits: weight_bits must be a whole number .* got 1"),
        (("--steps", "0"), "--steps: n_steps must be a whole number .* got 0"),
        (("--reset", "none"), "--reset: invalid choice: 'none'"),
    ],
    ids=str,
)
def test_bad_input_is_refused_in_one_line(files, tmp_path, capsys, flags, message):
    """The flag or file, and the value, on the last line of standard error; nothing written."""
    network = () if "--network" in flags else ("--network", files["digits-albsnn"])
    with pytest.raises(SystemExit) as error:
        study(tmp_path, *network, *flags)
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert pd.Series([line]).str.contains(message).all(), line
    assert not list(tmp_path.rglob("metrics.csv"))


def test_default_networks_are_those_shown():
    """Data sets of the study, and the setting of their networks, against the default setting."""
    assert list(run_albsnn.STUDY.networks) == ["digits", "fashion-mnist", "cifar-10"]
    assert set(run_albsnn.STUDY.networks) < set(datasets.DATASETS)
    found = {subject.setting_of(name) for name in run_albsnn.STUDY.networks.values()}
    assert found == {albsnn_conditions.DEFAULT}


def test_network_named_twice_is_refused(files, tmp_path, capsys):
    """One network and seed, given twice, against the line with its name."""
    with pytest.raises(SystemExit):
        study(tmp_path, "--network", files["digits-albsnn"], files["digits-albsnn"])
    assert "digits-albsnn, seed 3, T = 1: would be run twice" in capsys.readouterr().err
