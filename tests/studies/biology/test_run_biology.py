"""The command: tables against direct simulations, one's own perturbation, controls, resuming."""

import json

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.places import ROOT
from ann2brian.studies import run_biology
from ann2brian.studies.biology import runs as single
from ann2brian.studies.biology.arms import arms
from ann2brian.studies.biology.kinds import KINDS
from ann2brian.studies.frame import study_images
from ann2brian.studies.frame.console import Refused

import ann2brian as ab
from tests.support.pages import blocks

PAGE = ROOT / "docs" / "biology.md"
SCHEMES, N_IMAGES = ("noise", "albsnn"), 12
DEAD = "dead neurons"


def page_file(folder):
    """The perturbation of docs/biology.md, as a user would save it."""
    (block,) = [b for b in blocks(PAGE) if b.language == "python" and "KIND = " in b.text]
    path = folder / "my_perturbation.py"
    path.write_text(block.text)
    return path


def run(out, *flags):
    few = ("--quick", "--images", str(N_IMAGES), "--trains", "6", "--schemes", *SCHEMES)
    return run_biology.main([*few, "--jobs", "1", "--out", str(out), *map(str, flags)])


def with_current(folder):
    return ("--perturbation", f"{page_file(folder)}:KIND", "--only", DEAD, "current")


@pytest.fixture(scope="module")
def result(once):
    """A sweep of two schemes and two perturbations, one of which is the user's own."""
    return once("biology", lambda folder: run(folder, *with_current(folder)))


@pytest.fixture(scope="module")
def table(result):
    return lambda name: pd.read_csv(result / f"{name}.csv")


def digits():
    """Both arms, as the command has them."""
    source = study_images.load(
        "digits",
        own=None,
        n_images=N_IMAGES,
        has_fewer=True,
        own_calibration=None,
        n_calibration=100,
        seed=1,
        data=None,
    )
    return {arm.scheme: arm for arm in arms(SCHEMES, "digits", source)}


def test_the_sweep_holds_both_perturbations_from_none_on(table):
    """Rows of each strength in order, and controls that lose nothing."""
    sweep = table("sweep")
    for scheme in SCHEMES:
        for name, most in ((DEAD, [0, 0.02, 0.1, 0.5]), ("current", [0, 1 / 16, 1])):
            own = sweep[(sweep.scheme == scheme) & (sweep.perturbation == name)]
            assert own.relative.tolist() == most[: len(own)]
            assert len(own) >= 2
    none = sweep[sweep.is_none]
    assert (none.loss == 0).all() and (none.agreement == 1).all()
    assert (none.n_seeds == 1).all()
    assert (sweep[~sweep.is_none].n_seeds == 2).all()
    assert ((sweep.loss_low <= sweep.loss) & (sweep.loss <= sweep.loss_high)).all()
    assert ((sweep.accuracy_low <= sweep.accuracy) & (sweep.accuracy <= sweep.accuracy_high)).all()


def test_the_sweep_is_what_a_user_gets(table):
    """Accuracy, agreement and spikes against simulations through the public interface."""
    arm = digits()["noise"]
    base = ab.simulate(arm.spiking, arm.images, target="numpy", seed=1)
    one, two = (
        ab.simulate(
            ab.perturbed(arm.spiking, ab.biology.dead_neurons(0.5), seed=seed),
            arm.images,
            target="numpy",
            seed=seed,
        )
        for seed in (1, 2)
    )
    sweep = table("sweep").set_index(["scheme", "perturbation", "relative"])
    row = sweep.loc["noise", DEAD, 0.5]
    right = [(r.predictions == arm.labels).mean() for r in (one, two)]
    assert row.accuracy == np.mean(right)
    assert row.loss == pytest.approx((base.predictions == arm.labels).mean() - np.mean(right))
    assert row.agreement == np.mean(
        [(r.predictions == base.predictions).mean() for r in (one, two)]
    )
    assert row.spikes_per_image == np.mean([one.spikes_per_image, two.spikes_per_image])
    assert row.physical == 50
    current = sweep.loc["noise", "current", 1]
    assert current.physical == pytest.approx(ab.biology.threshold_mv(arm.spiking))


def test_every_run_has_a_row(table):
    """Runs of metrics: one unperturbed, one for each strength and seed, and those of pairs."""
    metrics, sweep, pairs = (table(name) for name in ("metrics", "sweep", "pairs"))
    assert (metrics[metrics.perturbation == "none"].groupby("scheme").size() == 1).all()
    plain = metrics[metrics.perturbation.isin([DEAD, "current"])]
    assert len(plain) >= sweep.n_seeds.sum()
    both = metrics[metrics.perturbation == f"{DEAD} + current"]
    both = both if len(both) else metrics[metrics.perturbation == f"current + {DEAD}"]
    assert len(both) == pairs.n_seeds.sum()


def test_a_result_is_printed_and_drawn_and_shown_again(result, tmp_path, capsys, monkeypatch):
    """The same command finds its result; figures and page are there."""
    figures = {path.name for path in (result / "figures").glob("*.png")}
    assert {"biology_accuracy.png", "biology_tolerance.png"} <= figures
    assert (result / "report.html").exists()
    monkeypatch.setattr(run_biology, "computed", lambda *_, **__: pytest.fail("was run again"))
    monkeypatch.setattr(run_biology, "make_figures", lambda *_: [])
    monkeypatch.setattr(run_biology, "try_report", lambda *_: None)
    out = result.parents[1]
    assert run(out, *with_current(tmp_path)) == result
    printed = capsys.readouterr().out
    assert "this result is finished; --rerun computes it anew" in printed
    assert "strength that costs 10 points of accuracy" in printed
    assert " current, in mV; thresholds" in printed


def test_a_stopped_run_continues(tmp_path, monkeypatch):
    """Points that were finished are not run again; --rerun forgets them."""
    monkeypatch.setattr(run_biology, "make_figures", lambda *_: [])
    monkeypatch.setattr(run_biology, "try_report", lambda *_: None)
    real, made = single.simulate, []

    def stopping(*args, **more):
        if len(made) == 3:
            raise RuntimeError("stopped")
        made.append(more["seed"])
        return real(*args, **more)

    flags = ("--schemes", "noise", "--only", DEAD, "--seeds", "1", "--images", "4")
    monkeypatch.setattr(single, "simulate", stopping)
    for _ in range(2):  # the third point stays the first that is missing
        with pytest.raises(Refused):
            run(tmp_path, *flags)
    assert len(made) == 3
    with pytest.raises(Refused):
        made.clear()
        run(tmp_path, *flags, "--rerun")
    assert len(made) == 3


BROKEN = """
from ann2brian.studies.biology.kinds import FRACTION, Kind
import ann2brian as ab
def make(strength):
    return ab.biology.dead_neurons(min(1, strength + {shift}))
KIND = Kind(name="broken", make=make, strengths=(0, 0.1, 1), scale=FRACTION)
"""


def test_a_control_with_other_spikes_ends_the_study(tmp_path, capsys):
    """A perturbation whose none kills neurons is refused by name, and leaves no result."""
    (tmp_path / "broken.py").write_text(BROKEN.format(shift=0.2))
    flags = ("--perturbation", f"{tmp_path}/broken.py:KIND", "--only", "broken")
    with pytest.raises(Refused):
        run(tmp_path, *flags, "--schemes", "noise", "--images", "3")
    said = capsys.readouterr().err
    assert "noise, broken: at strength 0, which is to change nothing, spikes differ" in said
    assert not list(tmp_path.glob("biology/*/metrics.csv"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--only", "leek"), "--only 'leek': no such perturbation; there are 'leak', 'refractory'"),
        (("--perturbation", "mine"), "--perturbation mine: give a file and a name in it"),
        (("--perturbation", "no.py:KIND"), "there is no file no.py"),
        (
            ("--perturbation", "{tmp}/a.py:NONE"),
            "NONE is no studies.biology.kinds.Kind there; KIND",
        ),
        (("--perturbation", "{tmp}/b.py:KIND"), "b.py fails: division by zero"),
        (("--perturbation", "{tmp}/c.py:KIND"), "two perturbations are called 'leak'"),
    ],
)
def test_bad_input_is_refused_in_a_line(flags, said, tmp_path, capsys):
    """By the flag and what is there; before anything is run."""
    (tmp_path / "a.py").write_text(BROKEN.format(shift=0))
    (tmp_path / "b.py").write_text("KIND = 1/0\n")
    leak = BROKEN.format(shift=0).replace('"broken"', '"leak"')
    (tmp_path / "c.py").write_text(leak)
    with pytest.raises(Refused):
        run(tmp_path, *(flag.format(tmp=tmp_path) for flag in flags))
    assert said in capsys.readouterr().err


def test_the_configuration_says_what_was_run(result):
    """Strengths, scales and the file of the own perturbation."""
    config = json.loads((result / "config.json").read_text())
    assert config["conditions"] == [DEAD, "current"]
    assert config["perturbations"]["current"] == ["0.0", "0.0625", "1.0"]
    assert len(config["own"]) == 1
    assert config["arms"]["noise"]["phase_ms"] == 1
    assert len(KINDS) == 11


@pytest.mark.slow
def test_strengths_and_seeds_share_a_program(tmp_path, monkeypatch):
    """Compiled programs of a scheme: one unperturbed and one for each perturbation."""
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path))
    arm = digits()["noise"]
    by_name = {kind.name: kind for kind in KINDS}
    for name in ("threshold mismatch", "leak"):
        before = len(list((tmp_path / "builds").glob("*/complete")))
        for strength in by_name[name].strengths:
            for seed in (1, 2):
                single.recorded(
                    arm.spiking,
                    arm.images,
                    ((by_name[name].make, strength),),
                    seed,
                    {"target": "cpp_standalone"},
                    0,
                    N_IMAGES,
                )
        assert len(list((tmp_path / "builds").glob("*/complete"))) == before + 1
