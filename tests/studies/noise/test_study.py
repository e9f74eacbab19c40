"""The noise study as a command: its tables against the reference, and what it must refuse.

Runs are tiny: a few digits, a few steps, Brian2's NumPy target.
"""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.statistics.accuracy import needed_steps
from ann2brian.analysis.statistics.residuals import residual_statistics
from ann2brian.models.networks import datasets
from ann2brian.models.networks import weight_files as storage
from ann2brian.models.networks.network import accuracy
from ann2brian.models.places import ROOT
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.models.schemes.noise import conversion as noise
from ann2brian.models.schemes.noise import reference as noise_reference
from ann2brian.models.schemes.noise.options import NoiseOptions
from ann2brian.studies import run_noise
from ann2brian.studies.frame import result_folder as common
from ann2brian.studies.frame import study as frame
from ann2brian.studies.frame.spike_files import load_spikes
from ann2brian.studies.noise import conditions as noise_conditions
from ann2brian.studies.noise import single_neuron as noise_neuron
from scipy.stats import norm
from sklearn.metrics import mutual_info_score

N_IMAGES, N_TRAINS, N_STEPS = 12, 6, 4
# An interpreter whose installation lacks PyTorch (None in sys.modules confuses SciPy).
NO_TORCH = (
    "import sys; "
    "from importlib.machinery import PathFinder as P; "
    "find = P.find_spec; "
    "P.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)"
)
SMALL = ["--images", str(N_IMAGES), "--spikes", str(N_TRAINS), "--steps", str(N_STEPS)]


def study(out, *flags, figures=False):
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr(frame, "make_figures", lambda *_: [])
            patch.setattr(frame, "try_report", lambda *_: None)
        return run_noise.main(
            ["--quick", "--target", "numpy", *SMALL, "--out", str(out), *map(str, flags)]
        )


def table(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


@pytest.fixture(scope="module")
def plain(once):
    return once("noise-plain", study)


@pytest.fixture(scope="module")
def whole(once):
    """A whole study: an analogue network, the negative control, and the noise-trained network."""
    networks = ("digits-relu", "digits-noise-control", "digits-noise")
    flags = ("--study", "--network", *networks)
    return once("noise-whole", lambda out: study(out, *flags, figures=True))


@pytest.fixture(scope="module")
def reference():
    """What the algorithm does with the same images."""
    images, labels = datasets.load("digits", "test", None)
    network = storage.load_network(storage.trained("digits-noise"))
    conversion = noise.convert(network, NoiseOptions(n_steps=N_STEPS))
    run = noise_reference.run(conversion, images[:N_IMAGES])
    return network, conversion, run, images[:N_IMAGES], labels[:N_IMAGES]


def test_accuracy_over_time_is_that_of_the_reference(plain, reference):
    network, _, run, images, labels = reference
    time = table(plain, "time")
    assert time["step"].tolist() == [1, 2, 3, 4]
    found = (run.scores.argmax(axis=2) == labels[:, None]).mean(axis=0)
    np.testing.assert_array_equal(time["accuracy"], found)
    (metrics,) = table(plain, "metrics").to_dict("records")
    assert metrics["snn_accuracy"] == found[-1]
    assert metrics["ann_accuracy"] == accuracy(network.forward(images), labels)
    assert metrics["equal_first_logits"] == 1.0  # bit for bit, on every image
    n_spikes = sum(int(counts.sum()) for counts in run.counts.values())
    assert metrics["spikes_per_image"] == pytest.approx(n_spikes / N_IMAGES)
    assert set(common.REQUIRED_COLUMNS) <= set(metrics)


def test_layers_and_residuals_are_those_of_the_reference(plain, reference):
    _, _, run, _, _ = reference
    layers = table(plain, "layers").set_index("layer")
    residuals = table(plain, "residuals").set_index("layer")
    for name, counts in run.counts.items():
        own = counts[:N_TRAINS]
        assert layers["spikes_per_neuron_step"][name] == pytest.approx(own.mean())
        silent = (own.sum(axis=1) == 0).mean()
        assert layers["silent_fraction"][name] == pytest.approx(silent)
        wanted = residual_statistics(run.potentials[name][:N_TRAINS].ravel(), 0.5, 0.3)
        for key, value in wanted.items():
            assert residuals[key][name] == pytest.approx(value, rel=1e-3), key
    assert layers["fano"].isna().all()  # nothing varies without noise
    spikes, _, stored = load_spikes(plain / "spikes.npz")
    assert len(spikes) == sum(int(c[:N_TRAINS].sum()) for c in run.counts.values())
    assert stored["dt_ms"] == 1.0


def test_whole_study_compares_what_it_says(whole):
    """Conditions of each network, and figures."""
    metrics = table(whole, "metrics")
    by_network = metrics.groupby("network")["condition"].apply(list).to_dict()
    variants = {"residual", "memoryless", "both", "diffusive", "residual, drawn start"}
    variants |= {"residual, hard reset", "residual, leak 0.5", "residual, mean 0"}
    assert set(by_network["digits-noise"]) == variants
    assert by_network["digits-noise-control"] == ["residual"]
    assert len(by_network["digits-relu"]) == 2
    assert metrics["condition"].iloc[-1] == "residual"  # whose spikes are kept
    assert metrics["network"].iloc[-1] == "digits-noise"
    time = table(whole, "time")
    assert len(time) == metrics["n_steps"].sum()
    layers = table(whole, "layers")
    noisy = layers[layers["condition"].isin(["memoryless", "both", "diffusive"])]
    assert noisy["fano"].gt(0).all()
    assert noisy["noise_correlation"].between(-1, 1).all()
    assert {p.suffix for p in (whole / "figures").iterdir()} == {".png", ".pdf"}


def test_one_neuron_follows_its_theory(whole):
    """Firing frequencies against the distribution function, 4 binomial deviations."""
    curve = table(whole, "psychometric")
    assert set(curve["rule"]) == {rule for rule, _ in noise_neuron.RULES}
    deviation = np.sqrt(curve["theory"] * (1 - curve["theory"]) / curve["n_trials"])
    assert ((curve["probability"] - curve["theory"]).abs() <= 4 * deviation + 1e-9).all()
    fits = table(whole, "fits")
    error = (fits["threshold_high"] - fits["threshold_low"]) / 2 / 1.96
    assert ((fits["threshold"] - fits["theory_threshold"]).abs() < 4 * error).all()
    trials = table(whole, "neuron_trials")
    assert len(trials) == len(noise_neuron.RULES) * len(noise_neuron.TRIAL_DRIVES)
    # The width is within 4 standard errors too.
    error = (fits["width_high"] - fits["width_low"]) / 2 / 1.96
    assert ((fits["width"] - fits["theory_width"]).abs() < 4 * error).all()
    # Without memory a train is a Bernoulli process: counts n p with variance n p (1 - p),
    # intervals geometric with mean 1 / p and deviation sqrt(1 - p) / p.
    memoryless = trials[trials["rule"] == "memoryless"]
    p = norm.cdf((memoryless["drive"] + noise_neuron.MEAN - 1) / noise_neuron.SIGMA)
    n_steps, n_trials = noise_neuron.TRIAL_STEPS, memoryless["n_trials"]
    error = np.sqrt(n_steps * p * (1 - p) / n_trials)
    assert ((memoryless["spikes_per_trial"] - n_steps * p).abs() < 4 * error).all()
    # A ratio of variance to mean has relative error sqrt(2 / n).
    assert (np.abs(np.log(memoryless["fano"] / (1 - p))) < 4 * np.sqrt(2 / n_trials)).all()
    assert np.allclose(memoryless["cv"], np.sqrt(1 - p), rtol=0.2)
    raster = table(whole, "raster")
    assert raster["time_ms"].between(0, noise_neuron.TRIAL_STEPS - 1).all()


def test_comparison_counts_the_steps_that_are_needed(whole):
    """The aim is the noise-trained network's last accuracy less 0.2 points."""
    comparison = table(whole, "comparison")
    time = table(whole, "time")
    own = time[(time["setting"] == "noise") & (time["condition"] == "residual")]
    assert comparison["target_accuracy"].tolist() == [
        pytest.approx(own["accuracy"].iloc[-1] - 0.002)
    ] * len(comparison)
    (row,) = comparison[comparison["method"] == "noise-trained, N steps"].to_dict("records")
    needed = needed_steps(own["accuracy"].to_numpy(), row["target_accuracy"])
    assert row["n_steps"] == needed
    assert row["ms_per_image"] > 0
    rate = {c.label for c in noise_conditions.rate_conditions(1)}
    assert set(comparison["method"]) == {"noise-trained, N steps", *rate}


def test_statistics_of_layers_are_those_of_the_spikes(tmp_path):
    """Information of one layer, recomputed from the stored spikes with scikit-learn."""
    folder = study(tmp_path, "--rule", "both", "memoryless", "--leak", "0.5")
    layers = table(folder, "layers").set_index(["condition", "layer"])
    assert set(table(folder, "residuals")["condition"]) == {"both, leak 0.5"}
    spikes, recorded, stored = load_spikes(folder / "spikes.npz")  # of the last condition
    index = [layer.name for layer in recorded].index("act2")
    mine = spikes.where(spikes.layer == index)
    counts = np.zeros((N_TRAINS, recorded[index].n_units), dtype=int)
    np.add.at(counts, (mine.image, mine.neuron), 1)
    labels = stored["labels"]
    bits = [mutual_info_score(labels, column) / np.log(2) for column in counts.T]
    n_cells = [len({*zip(labels, column, strict=True)}) for column in counts.T]
    n_values = [len(set(column)) for column in counts.T]
    # Miller-Madow: each entropy has (number of its values - 1) / 2n nats too little.
    surplus = np.array(n_values) + len(set(labels)) - np.array(n_cells) - 1
    corrected = np.array(bits) + surplus / (2 * N_TRAINS * np.log(2))
    found = layers.loc[("memoryless", "act2")]
    assert found["information_bits"] == pytest.approx(corrected.mean())
    assert found["bits_per_spike"] == pytest.approx(corrected.sum() / counts.mean(axis=0).sum())


def test_residuals_are_what_the_next_step_gets(tmp_path):
    """With leak and floor: carried potentials of the reference, beside the noise of training."""
    folder = study(tmp_path, "--leak", "0.5", "--floor", "--mean", "0")
    network = storage.load_network(storage.trained("digits-noise"))
    images, _ = datasets.load("digits", "test", None)
    options = NoiseOptions(n_steps=N_STEPS, leak=0.5, has_floor=True, mean=0.0)
    run = noise_reference.run(noise.convert(network, options), images[:N_TRAINS])
    residuals = table(folder, "residuals").set_index("layer")
    for name, left in run.potentials.items():
        carried = 0.5 * np.maximum(left, 0)
        assert residuals["mean"][name] == pytest.approx(carried.mean(), rel=1e-6)
        assert residuals["sd"][name] == pytest.approx(carried.std(), rel=1e-2)
    assert set(residuals["assumed_mean"]) == {0.5}
    np.testing.assert_allclose(residuals["assumed_sigma"], 0.3, atol=2**-16)


def test_rate_conversion_is_that_of_the_burst_scheme():
    """An analogue network with single spikes, by the labels of the study."""
    plain, improved = noise_conditions.rate_conditions(8)
    for condition in (plain, improved):
        assert isinstance(condition.options, BurstOptions)
        assert condition.options.gamma == 1
    assert (plain.options.initial, improved.options.initial) == (0.0, 0.5)


def curves(own, control):
    steps = np.arange(1, 9)
    return pd.concat(
        pd.DataFrame({"setting": name, "condition": rule, "step": steps, "accuracy": values})
        for name, rule, values in (
            ("noise", "residual", own),
            ("noise", "memoryless", own),
            ("noise-control", "residual", control),
        )
    )


def test_checks_compare_with_one_step():
    """Each demand with curves that meet it, and that just do not."""
    good = np.array([0.905, 0.904, 0.91, 0.91, 0.91, 0.91, 0.91, 0.911])
    collapse = np.linspace(0.9, 0.5, 8)
    table = noise_conditions.checks(curves(good, collapse)).set_index("check")
    assert table["holds"].all()
    assert table["found"]["gain"] == pytest.approx(0.6)
    assert table["found"]["never below"] == pytest.approx(-0.1)
    assert table["found"]["control"] == pytest.approx(100 * (collapse[0] - collapse[3]))
    bad = noise_conditions.checks(curves(good - [0, 0.01, 0, 0, 0, 0, 0, 0.002], good))
    assert bad.set_index("check")["holds"].to_dict() == {
        "T1": True,
        "N8": False,
        "gain": False,
        "never below": False,
        "memoryless gain": False,
        "memoryless, never below": False,
        "control": False,
    }
    assert noise_conditions.checks(curves(good, good).query("setting == 'noise'")) is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--network", "digits-relu"), "digits-relu: no spiking units"),
        (("--network", "digits-noise", "digits-noise"), "residual: would be run twice"),
        (("--study", "--leak", "0.5"), "--leak: --study varies the rules"),
        (("--leak", "0"), "argument --leak: leak must be"),
        (("--sigma", "-1"), "argument --sigma: sigma must be .* got -1.0"),
        (("--start", "drawn", "--rule", "both"), "start 'drawn' is for the residual rule"),
        (("--network", "no-such"), "no trained network 'no-such'"),
        (("--network", "fashion-relu"), r"takes images of shape \(28, 28, 1\)"),
    ],
    ids=str,
)
def test_bad_input_is_refused_in_one_line(tmp_path, capsys, flags, message):
    """The flag or file, and the value, on the last line of standard error; nothing written."""
    with pytest.raises(SystemExit) as error:
        study(tmp_path, *flags)
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert pd.Series([line]).str.contains(message).all(), line
    assert not list(tmp_path.rglob("metrics.csv"))


def test_training_cost_without_torch_says_how_to_install_it():
    code = f"import runpy; {NO_TORCH}; "
    code += f"runpy.run_path({str(ROOT / 'studies' / 'training_cost.py')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install torch==2.13.0" in done.stderr
