"""Figures of one noisy neuron: what is drawn against the tables it is drawn from."""

import itertools

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import noise_neuron as noise_neuron_figures
from ann2brian.analysis.figures import style as figures
from ann2brian.models.schemes.noise import neurons as noise_neurons
from matplotlib.colors import to_hex
from scipy.special import ndtr

from tests.support.drawn import by_label, check_labels, labels, legend, on, panels

LEAKS = {"both": 0.9, "memoryless": 1.0, "diffusive": 0.9}
DRIVES = (0.125, 0.25, 0.5)


def psychometric_tables():
    drive = np.linspace(-0.4, 1.4, 7)
    curves, fits = [], []
    for number, (rule, leak) in enumerate(LEAKS.items()):
        p = ndtr((drive - 0.5 - 0.1 * number) / 0.3)
        table = {"drive": drive, "probability": p, "low": 0.9 * p, "high": p + 0.1 * (1 - p)}
        curves.append(pd.DataFrame(table).assign(rule=rule, leak=leak, theory=p))
        fit = {"rule": rule, "leak": leak, "theory_threshold": 0.5 + 0.1 * number}
        fit |= {"theory_width": 0.3}
        for name, value in (("threshold", 0.52), ("width", 0.31)):
            fit |= {name: value, f"{name}_low": value - 0.01, f"{name}_high": value + 0.02}
        fits.append(fit)
    return pd.concat(curves), pd.DataFrame(fits)


def trial_tables(n_trials=3):
    trials, raster, intervals = [], [], []
    for (number, (rule, leak)), drive in itertools.product(enumerate(LEAKS.items()), DRIVES):
        keys = {"rule": rule, "leak": leak, "drive": drive}
        trials.append(
            keys
            | {
                "n_trials": n_trials,
                "mean_interval_ms": 8.0 + number,
                "cv": 0.1 * number,
                "first_jitter_ms": np.nan if number == 1 and drive == 0.5 else 4 * drive,
                "fano": 0.2 * number,
                "cv2": 0.3 * number,
                "reliability": 1 - 0.1 * number,
            }
        )
        for trial in range(n_trials):
            times = 10.0 * np.arange(1, 4) + number + trial
            raster.append(pd.DataFrame({"time_ms": times}).assign(trial=trial, **keys))
        counts = pd.DataFrame({"interval_ms": [8.0, 10.0, 16.0], "fraction": [0.25, 0.5, 0.25]})
        intervals.append(counts.assign(**keys))
    return pd.DataFrame(trials), pd.concat(raster), pd.concat(intervals)


@pytest.fixture(autouse=True)
def style():
    with figures.style():
        yield


@pytest.fixture
def ax():
    return panels()


# ---- rules and their looks ----


def test_every_rule_has_a_colour():
    """Rules of the neurons against the colours, all of which differ."""
    assert set(noise_neurons.RULES) < set(noise_neuron_figures.RULES)
    assert len(set(noise_neuron_figures.RULES.values())) == len(noise_neuron_figures.RULES)


def test_looks_of_conditions():
    """Conditions against their rule's colour; the plain rule looks the same in any company."""
    looks = noise_neuron_figures.condition_looks(
        ["residual, hard reset", "diffusive", "residual", "residual, mean 0"]
    )
    assert list(looks) == ["residual", "residual, hard reset", "residual, mean 0", "diffusive"]
    assert len({looks[name][2] for name in list(looks)[:3]}) == 1
    assert looks["diffusive"][2] != looks["residual"][2]
    assert len({looks[name][:2] for name in list(looks)[:3]}) == 3
    assert noise_neuron_figures.condition_looks(["residual"])["residual"] == looks["residual"]
    without = noise_neuron_figures.condition_looks(["residual, hard reset"])["residual, hard reset"]
    assert without == looks["residual, hard reset"]
    with pytest.raises(ValueError, match="'residuals, x' does not begin with a rule"):
        noise_neuron_figures.condition_looks(["residual", "residuals, x"])


# ---- firing probability ----


def test_psychometric_draws_the_tables(ax):
    """Points, intervals, theory and fits against the tables, each in the colour of its rule."""
    curves, fits = psychometric_tables()
    noise_neuron_figures.psychometric_curves(ax, curves.sample(frac=1, random_state=2), fits)
    order = ["memoryless", "both", "diffusive"]
    assert noise_neuron_figures.rules(curves) == order
    drawn = by_label(ax)
    for container, rule in zip(ax.containers, order, strict=True):
        rows = curves[curves["rule"] == rule]
        points, _, (arms,) = container.lines
        np.testing.assert_allclose(
            points.get_data(orig=False), rows[["drive", "probability"]].to_numpy().T
        )
        ends = [np.sort(segment[:, 1]) for segment in arms.get_segments()]
        np.testing.assert_allclose(ends, rows[["low", "high"]], atol=1e-12)
        assert points.get_color() == noise_neuron_figures.RULES[rule]
        fit = fits[fits["rule"] == rule].iloc[0]
        x, y = drawn[f"_theory {rule}"].get_data()
        np.testing.assert_allclose(y, ndtr((x - fit["theory_threshold"]) / 0.3))
        x, y = drawn[f"_fit {rule}"].get_data()
        np.testing.assert_allclose(y, ndtr((x - 0.52) / 0.31))
        assert drawn[f"_fit {rule}"].get_linestyle() == "--"
    numbers = "threshold 0.520 (0.510 to 0.540)\nwidth 0.310 (0.300 to 0.330)"
    assert legend(ax) == [
        f"memoryless\n{numbers}",
        f"both, leak 0.9\n{numbers}",
        f"diffusive, leak 0.9\n{numbers}",
        "theory",
        "fitted Φ((drive − threshold) / width)",
    ]


def test_psychometric_without_fit_or_noise(ax):
    """Rules without a fit against their points and theory; without noise theory is a step."""
    curves, fits = psychometric_tables()
    fits.loc[fits["rule"] == "both", ["threshold", "theory_width"]] = [np.nan, 0.0]
    fits.loc[fits["rule"] == "memoryless", "theory_width"] = np.nan
    noise_neuron_figures.psychometric_curves(ax, curves, fits[fits["rule"] != "diffusive"])
    drawn = by_label(ax)
    assert "_fit both" not in drawn
    assert "_fit memoryless" in drawn
    x, y = drawn["_theory both"].get_data()
    np.testing.assert_array_equal(y, x >= 0.5)
    np.testing.assert_array_equal(
        noise_neuron_figures._normal(np.array([0.4, 0.5]), 0.5, 0.0), [0, 1]
    )
    for rule in ("memoryless", "diffusive"):
        rows = curves[curves["rule"] == rule]
        np.testing.assert_allclose(
            drawn[f"_theory {rule}"].get_data(), rows[["drive", "theory"]].to_numpy().T
        )
    assert legend(ax)[1:3] == ["both, leak 0.9\nno fit", "diffusive, leak 0.9\nno fit"]


def test_one_leak_for_each_rule(ax):
    """Curves of one rule with two leaks, and no curves at all, against the errors."""
    curves, fits = psychometric_tables()
    two = pd.concat([curves, curves.assign(leak=0.5)])
    with pytest.raises(ValueError, match=r"rule memoryless: draw one leak at a time.* 1.0, 0.5"):
        noise_neuron_figures.psychometric_curves(ax, two, fits)
    with pytest.raises(ValueError, match="nothing to draw"):
        noise_neuron_figures.psychometric_curves(ax, curves.iloc[:0], fits)


# ---- trials ----


def test_rasters_draw_the_table():
    """Ticks of each panel against the spikes of its rule, leak and drive."""
    axes = panels(1, 3)
    trials, raster, _ = trial_tables()
    more = raster.assign(leak=0.25, time_ms=raster["time_ms"] + 0.5)
    noise_neuron_figures.trial_rasters(axes, pd.concat([raster, more]), trials, 0.25)
    titles = ["memoryless", "both, leak 0.9", "diffusive, leak 0.9"]
    assert [ax.get_title(loc="left") for ax in axes] == titles
    for ax, rule in zip(axes, ("memoryless", "both", "diffusive"), strict=True):
        (ticks,) = ax.collections
        found = {(s[0, 0], round(s[:, 1].mean(), 9)) for s in ticks.get_segments()}
        rows = raster[(raster["rule"] == rule) & (raster["drive"] == 0.25)]
        assert found == set(zip(rows["time_ms"], rows["trial"], strict=True))
        assert to_hex(ticks.get_colors()[0]) == noise_neuron_figures.RULES[rule].lower()
        bottom, top = ax.get_ylim()
        assert bottom > 2 > 0 > top
        assert ax.get_xlim()[1] == pytest.approx(1.02 * 34)
    assert axes[0].get_ylabel() == "trial"


def test_rasters_leave_out():
    """Trials and times beyond those to be shown against no tick, and a label that says so."""
    axes = panels(1, 3)
    trials, raster, _ = trial_tables(n_trials=60)
    noise_neuron_figures.trial_rasters(axes, raster, trials, 0.5, shown_ms=25.0)
    segments = np.array(axes[0].collections[0].get_segments())
    assert segments[:, :, 0].max() <= 25
    assert segments[:, :, 1].max() < noise_neuron_figures.MOST_TRIALS
    assert axes[0].get_ylabel() == "trial (first 40 of 60)"
    assert axes[0].get_xlim() == (0, 25)


def test_intervals_draw_the_table():
    """Bars against the fractions in per cent, and numbers against the trials."""
    axes = panels(1, 3)
    trials, _, intervals = trial_tables()
    is_silent = (intervals["rule"] == "diffusive") & (intervals["drive"] == 0.25)
    noise_neuron_figures.trial_intervals(axes, intervals[~is_silent], trials, 0.25)
    for ax in axes[:2]:
        bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in ax.patches]
        np.testing.assert_allclose(bars, [(8, 25), (10, 50), (16, 25)])
        assert ax.patches[0].get_width() < 2  # the smallest distance
        assert ax.get_ylim()[1] > 50
    assert not axes[2].patches
    texts = [labels(ax.texts)[0] for ax in axes]
    assert texts == ["mean 9 ms\nCV 0.10", "mean 8 ms\nCV 0.00", "no intervals"]


def test_trials_of_another_drive():
    """Drives without trials, or without stored spikes, against the errors."""
    axes = panels(1, 3)
    trials, raster, intervals = trial_tables()
    with pytest.raises(ValueError, match=r"no trials with drive 0.3; there are 0.125, 0.25, 0.5"):
        noise_neuron_figures.trial_intervals(axes, intervals, trials, 0.3)
    with pytest.raises(ValueError, match=r"no spikes of these trials with drive 0.25"):
        noise_neuron_figures.trial_rasters(axes, raster[raster["drive"] == 0.5], trials, 0.25)


def test_trial_statistics_draw_the_table():
    """Lines of four measures against the table; what is missing is a gap."""
    axes = panels(1, 4)
    trials, _, _ = trial_tables()
    noise_neuron_figures.trial_statistics(axes, trials.sample(frac=1, random_state=3))
    for ax, column in zip(axes, ("first_jitter_ms", "fano", "cv2", "reliability"), strict=True):
        drawn = by_label(ax)
        for rule, name in (("memoryless", "memoryless"), ("both", "both, leak 0.9")):
            rows = trials[trials["rule"] == rule]
            np.testing.assert_array_equal(
                drawn[name].get_data(), rows[["drive", column]].to_numpy().T
            )
            assert drawn[name].get_color() == noise_neuron_figures.RULES[rule]
        assert ("Poisson" in drawn) == (column in ("fano", "cv2"))
    sizes = [line.get_markersize() for line in axes[0].lines]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    names = ["memoryless", "both, leak 0.9", "diffusive, leak 0.9", "Poisson"]
    assert legend(axes[3]) == names


# ---- all of them ----


def every_figure():
    """All figures as they are laid out."""
    trials, raster, intervals = trial_tables()

    figure, axes = on((5.6, 2.9))
    noise_neuron_figures.psychometric_curves(axes, *psychometric_tables())
    yield figure
    figure, axes = on((6.0, 3.6), 2, 3, height_ratios=(1.5, 1.0), sharex="row")
    noise_neuron_figures.trial_rasters(axes[0], raster, trials, 0.25)
    noise_neuron_figures.trial_intervals(axes[1], intervals, trials, 0.25)
    yield figure
    figure, axes = on((9.0, 2.3), 1, 4)
    noise_neuron_figures.trial_statistics(axes, trials)
    yield figure


def test_no_label_covers_another(monkeypatch):
    """Texts of every figure against each other and the edges of the figure."""
    for figure in every_figure():
        check_labels(figure, monkeypatch)
