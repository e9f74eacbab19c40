"""Published numbers against what README and docs promise, and what is generated."""

import dataclasses

import pandas as pd
import pytest
from ann2brian.models.networks.weight_files import load_info, trained, trained_networks
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies import publish
from ann2brian.studies.albsnn import conditions as albsnn_conditions
from ann2brian.studies.burst.conditions import CHECKS, Condition
from ann2brian.studies.catalogue import REPORTS, STUDIES
from ann2brian.studies.frame import publishing
from ann2brian.studies.frame.result_folder import REQUIRED_COLUMNS
from ann2brian.studies.noise import conditions as noise_conditions


def test_published_pictures_exist():
    """Pictures of each study whose numbers are published."""
    for report in REPORTS:
        is_published = (publishing.PUBLISHED / f"{report.name}.csv").exists()
        for picture in report.published.pictures:
            assert (publishing.PUBLISHED / picture).exists() == is_published


@pytest.mark.parametrize(
    "text, message",
    [
        ("<!-- nothing -->\n<!-- end nothing -->", "marker 'nothing': no such table.*networks"),
        ("<!-- networks -->\n", "marker 'networks': there is no line <!-- end networks -->"),
    ],
)
def test_marker_that_means_nothing(text, message):
    """A misspelt marker, and one without an end, against the message that names it."""
    with pytest.raises(ValueError, match=message):
        publishing.filled(text, publish.tables())


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_options_are_shown_as_they_are_declared(study):
    """Rows between the markers of a scheme against the fields of its options, by hand."""
    name = f"options {study.name}"
    text = publishing.filled(f"<!-- {name} -->\n<!-- end {name} -->", publish.tables())
    head, _, *rows = text.split("\n")[1:-1]
    assert head == "| option | flag | default | range | what it is |"
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    fields = dataclasses.fields(study.scheme.options)
    assert [own[0] for own in cells] == [f"`{field.name}`" for field in fields]
    for own, field in zip(cells, fields, strict=True):
        otherwise = field.metadata["otherwise"]
        left = "as trained" if otherwise is None else f"as trained, else {otherwise}"
        assert own[2] == (left if field.default is None else f"`{field.default}`")
        assert all(choice in own[3] for choice in field.metadata["choices"])
        assert own[4] == field.metadata["help"]
    flags = {flag for a in study.parser()._actions for flag in a.option_strings}
    shown = {own[1].strip("`") for own in cells if own[1] != "none"}
    assert shown == flags & shown
    assert len(cells) - len(shown) == len(study.unused)


def test_shipped_networks_are_shown_with_their_accuracy():
    """One row for each weight file, and the accuracy that is in it."""
    text = publish.tables()["networks"]()
    assert len(text.split("\n")) == 2 + len(trained_networks())
    info = load_info(trained("digits-burst"))
    (row,) = [line for line in text.split("\n") if "| `digits-burst` |" in line]
    assert f"| burst | digits | {info['n_parameters']:,} | {info['test_accuracy']:.2%} |" in row


def test_published_amos_runs_keep_the_promises():
    """Committed reference runs against what the README promises."""
    metrics = pd.read_csv(publishing.PUBLISHED / "amos.csv")
    assert set(REQUIRED_COLUMNS) <= set(metrics.columns)
    assert (metrics.max_spikes_per_neuron == 1).all()
    whole = metrics[(metrics.dataset == "fashion-mnist") & (metrics.n_images == 10_000)]
    plain = whole[(whole.range_percentile == 99.9) & ~whole.refit].set_index(
        ["gate", "neurons_per_gate"]
    )
    assert (plain.ann_accuracy >= 0.91).all()
    lost = plain.ann_accuracy - plain.snn_accuracy
    assert lost["relu", 8] <= 0.002
    assert lost["silu", 12] <= 0.005


def test_published_benchmark_keeps_the_promises():
    """Ratios of the committed benchmark against what the engine promises."""
    ratios = pd.read_csv(publishing.PUBLISHED / "benchmark.csv").set_index("quantity").value
    assert ratios.filter(regex="16 layers / 2 layers").item() <= 1.3
    assert ratios.filter(regex="second start / first").item() < 0.5
    explicit = ratios.filter(regex="loop, explicit / shared").filter(regex="Caffe")
    assert len(explicit) == 3
    assert (explicit > 10).all()
    assert ratios.filter(regex="memory.*explicit / shared").item() >= 20
    peers = ratios.filter(regex="(SpikingJelly|snnTorch|sinabs) / IF: all")  # pixels to scores
    assert len(peers) == 6
    assert (peers > 2).all()
    previous = ratios.filter(regex="loop, previous").drop(
        ratios.filter(regex="recorded: loop, previous").index
    )
    assert len(previous) == 7
    assert (previous > 2).all()


def test_published_burst_runs_keep_the_promises():
    """Committed reference runs on all test images against what the README promises."""
    time = pd.read_csv(publishing.PUBLISHED / "burst.csv")
    fashion = time[(time.dataset == "fashion-mnist") & (time.n_images == 10_000)]
    default = Condition(options=BurstOptions()).label
    trained = fashion[fashion.network == "fashion-burst"]
    assert trained.ann_accuracy.min() >= 0.92
    runs = trained[trained.condition == default].groupby("step").first()
    lost = runs.ann_accuracy - runs.accuracy
    assert runs.gamma.unique() == [5]
    assert lost[32] <= 0.003
    assert lost[4] <= 0.01
    quantised = fashion[(fashion.network == "fashion-qcfs") & (fashion.step == 1)]
    assert len(quantised) == 1
    assert quantised.equal_logits.item() == 1.0
    assert quantised.accuracy.item() == quantised.ann_accuracy.item()
    matched = pd.read_csv(publishing.PUBLISHED / "burst_matched.csv")
    ours = matched[(matched.loss_points == 0.3) & (matched.condition == default)]
    assert ours.step_ratio.item() <= 1 / 8
    assert ours.spike_ratio.item() < 1
    checks = pd.read_csv(publishing.PUBLISHED / "burst_checks.csv")
    assert checks.check.tolist() == [name for name, *_ in CHECKS]
    assert (checks.found >= checks.at_least).all()


def test_published_noise_runs_keep_the_promises():
    """Committed reference runs on all test images against what the README promises."""
    checks = pd.read_csv(publishing.PUBLISHED / "noise_checks.csv")
    assert checks.check.tolist() == [name for name, *_ in noise_conditions.CHECKS]
    assert (checks.found >= checks.at_least).all()
    time = pd.read_csv(publishing.PUBLISHED / "noise.csv")
    fashion = time[(time.dataset == "fashion-mnist") & (time.n_images == 10_000)]
    own = fashion[(fashion.setting == "noise") & (fashion.condition == "residual")]
    assert own.n_seeds.min() >= 3
    by_step = own.set_index("step").accuracy
    assert by_step[1] >= 0.90
    assert by_step[8] >= max(by_step[1] + 0.005, 0.91)
    for rule in ("memoryless", "both"):  # why residual is the default
        other = fashion[(fashion.setting == "noise") & (fashion.condition == rule)]
        few = other.set_index("step").accuracy[[1, 2]]
        if rule == "memoryless":
            assert (by_step[[1, 2]] > few).all()
        else:  # run for one network only, so the bound is that of its start
            assert by_step[1] > few[1]
    training = pd.read_csv(publishing.PUBLISHED / "training.csv")
    ratio = training[training.method == "noise, T = 1"].set_index("dataset").ratio
    assert ratio["fashion-mnist"] <= 0.4


def test_published_albsnn_runs_keep_the_promises():
    """Committed reference runs on all test images against what the README promises."""
    checks = pd.read_csv(publishing.PUBLISHED / "albsnn_checks.csv")
    assert checks.check.tolist() == [name for name, *_ in albsnn_conditions.CHECKS]
    assert (checks.found >= checks.at_least).all()
    runs = pd.read_csv(publishing.PUBLISHED / "albsnn.csv")
    one_step = runs[runs.n_steps == 1]
    assert (one_step.equal_logits == 1.0).all()  # bit for bit, on every image
    saving = one_step.set_index(["dataset", "setting"]).saving
    assert (saving.xs("gap-real", level="setting") == 0).all()
    assert saving["fashion-mnist", "albsnn"] >= 0.6
    layers = pd.read_csv(publishing.PUBLISHED / "albsnn_layers.csv")
    packed = 8 * layers.n_file_bytes <= 32 * layers.n_weights * (1 - layers.saving) + 8
    assert packed.all()  # the file is as small as the table says
    paper = pd.read_csv(publishing.PUBLISHED / "albsnn_paper.csv")
    assert paper[paper.source.str.startswith("published")].n_weights.isna().all()
