"""Figures of noise training: what is drawn against the tables it is drawn from."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.special import ndtr, ndtri

from analysis import figures
from analysis import noise_figures as nf
from models import noise_neurons

N_STEPS = 12
# setting, mean, sigma, best accuracy
SETTINGS = (
    ("direct4", np.nan, np.nan, 0.955),
    ("noise-control", 0.0, 0.0, 0.3),
    ("noise", 0.5, 0.3, 0.97),
    ("noise-matched", 0.5, 12**-0.5, 0.96),
)
VARIANTS = ("residual, hard reset", "diffusive", "memoryless")
LEAKS = {"both": 0.9, "memoryless": 1.0, "diffusive": 0.9}
DRIVES = (0.125, 0.25, 0.5)


def metrics_table(seeds=(0, 1, 2)):
    rows = []
    for (setting, mean, sigma, best), seed in itertools.product(SETTINGS, seeds):
        for condition in ("residual", *(VARIANTS if setting == "noise" else ())):
            rows.append(
                {
                    "setting": setting,
                    "training_seed": seed,
                    "condition": condition,
                    "mean": mean,
                    "sigma": sigma,
                    "ann_accuracy": best + 0.001 * seed,
                }
            )
    return pd.DataFrame(rows)


def time_table(metrics):
    """Made-up but different numbers for every network, condition and step, in mixed order."""
    parts = []
    for index, row in enumerate(metrics.itertuples()):
        step = np.arange(1, N_STEPS + 1)
        accuracy = row.ann_accuracy - 0.1 / step - 1e-4 * index
        part = {"step": step, "accuracy": accuracy}
        parts.append(
            pd.DataFrame(part).assign(
                setting=row.setting, training_seed=row.training_seed, condition=row.condition
            )
        )
    return pd.concat(parts).sample(frac=1, random_state=0, ignore_index=True)


def quantile_tables(sigma=0.3, seeds=(0, 1), shift=0.1):
    p = (np.arange(9) + 0.5) / 9
    quantiles, residuals = [], []
    for layer, seed in itertools.product(("act2", "act1"), seeds):
        keys = {"training_seed": seed, "condition": "residual", "layer": layer}
        own_sigma = sigma if layer == "act2" else 0.0
        quantiles.append(
            pd.DataFrame(
                {"probability": p, "assumed": 0.5 + own_sigma * ndtri(p), "sample": p + shift}
            ).assign(**keys)
        )
        found = {"mean": 0.6 + 0.2 * seed, "sd": 0.25, "wasserstein_assumed": 0.1 * (1 + seed)}
        residuals.append(keys | found)
    return pd.concat(quantiles), pd.DataFrame(residuals)


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


def layers_table(seeds=(0, 1)):
    rows = []
    conditions = ("memoryless", "residual, hard reset", "residual")
    for (c, condition), (i, layer), seed in itertools.product(
        enumerate(conditions), enumerate(("act1", "act2")), seeds
    ):
        has_noise = condition == "memoryless"
        rows.append(
            {
                "setting": "noise",
                "training_seed": seed,
                "condition": condition,
                "layer": layer,
                "fano": 0.2 + 0.1 * i + 0.02 * seed if has_noise else np.nan,
                "noise_correlation": 0.01 * i if has_noise else np.nan,
                "bits_per_spike": 0.5 + 0.1 * c + 0.02 * seed,
                "silent_fraction": 0.3 * i,
            }
        )
    return pd.DataFrame(rows)


def comparison_table(seeds=(0, 1)):
    """Two accuracies to reach; direct, T = 2 reaches only the first, rate it once."""
    rows = []
    methods = (("rate conversion", 20), ("noise-trained, N steps", 4), ("direct, T = 2", 2))
    for (method, n_steps), seed, rank in itertools.product(methods, seeds, (0, 1)):
        is_missing = rank == 1 and (method == "direct, T = 2" or (n_steps == 20 and seed == 1))
        rows.append(
            {
                "method": method,
                "training_seed": seed,
                "target_accuracy": (0.95, 0.96 + 0.01 * seed)[rank],
                "n_steps": np.nan if is_missing else n_steps * (1 + 3 * seed) * (1 + rank),
                "ms_per_image": 0.5 * n_steps * (1 + rank),
                "accuracy": 0.93 + 0.002 * seed,
            }
        )
    return pd.DataFrame(rows)


def training_table():
    return pd.DataFrame(
        {
            "method": ["analogue", "direct, T = 4", "noise, T = 1"],
            "ms_per_image": [0.25, 1.05, 0.3141],
            "ratio": [0.24, 1.0, 0.29],
            "low": [0.22, np.nan, 0.27],
            "high": [0.27, np.nan, 0.32],
        }
    )


def panels(*shape, **options):
    return Figure(figsize=(9, 3)).subplots(*shape, **options)


@pytest.fixture(autouse=True)
def style():
    with figures.style():
        yield


@pytest.fixture
def ax():
    return panels()


@pytest.fixture
def pair():
    return panels(1, 2)


def by_label(ax):
    """Lines by label."""
    return {line.get_label(): line for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def labels(texts):
    return [text.get_text() for text in texts]


# ---- names and looks ----


def test_setting_names():
    """Names in words against the noise, in the order of drawing; unknown settings come last."""
    own = pd.DataFrame({"setting": ["mine"], "mean": [np.nan], "sigma": [np.nan]})
    noisy = pd.DataFrame({"setting": ["other"], "mean": [0.25], "sigma": [0.125]})
    names = nf.setting_names(pd.concat([own, metrics_table(), noisy]))
    assert list(names.items()) == [
        ("noise", "mean 0.5, σ = 0.3"),
        ("noise-matched", "mean 0.5, σ = 0.289"),
        ("noise-control", "control: mean 0, σ = 0"),
        ("direct4", "direct training, T = 4"),
        ("mine", "mine"),
        ("other", "mean 0.25, σ = 0.125"),
    ]


def test_every_rule_has_a_colour():
    """Rules of the neurons against the colours, all of which differ."""
    assert set(noise_neurons.RULES) < set(nf.RULES)
    assert len(set(nf.RULES.values())) == len(nf.RULES)
    assert len({look[2] for look in nf.SETTINGS.values()}) == len(nf.SETTINGS)


def test_looks_of_conditions():
    """Conditions against their rule's colour; the plain rule looks the same in any company."""
    looks = nf._looks(["residual, hard reset", "diffusive", "residual", "residual, mean 0"])
    assert list(looks) == ["residual", "residual, hard reset", "residual, mean 0", "diffusive"]
    assert len({looks[name][2] for name in list(looks)[:3]}) == 1
    assert looks["diffusive"][2] != looks["residual"][2]
    assert len({looks[name][:2] for name in list(looks)[:3]}) == 3
    assert nf._looks(["residual"])["residual"] == looks["residual"]
    without = nf._looks(["residual, hard reset"])["residual, hard reset"]
    assert without == looks["residual, hard reset"]
    with pytest.raises(ValueError, match="'residuals, x' does not begin with a rule"):
        nf._looks(["residual", "residuals, x"])


# ---- accuracy ----


def test_accuracy_by_setting_draws_the_table(pair):
    """Lines and bands against means, worst and best of the seeds, in per cent."""
    metrics = metrics_table()
    time = time_table(metrics)
    nf.accuracy_by_setting(pair, time, metrics, "residual")
    names = nf.setting_names(metrics)
    for ax in pair:
        drawn = by_label(ax)
        assert [name for name in drawn if name[0] != "_"] == list(names.values())
        for number, (setting, name) in enumerate(names.items()):
            rows = time[(time["setting"] == setting) & (time["condition"] == "residual")]
            expected = 100 * rows.groupby("step")["accuracy"].agg(["mean", "min", "max"])
            x, y = drawn[name].get_data()
            np.testing.assert_array_equal(x, np.arange(1, N_STEPS + 1))
            np.testing.assert_allclose(y, expected["mean"], rtol=1e-12)
            band = ax.collections[number].get_paths()[0].vertices
            for column, extreme in (("min", np.min), ("max", np.max)):
                ends = [extreme(band[band[:, 0] == step, 1]) for step in x]
                np.testing.assert_allclose(ends, expected[column], rtol=1e-12)
        assert ax.get_xscale() == "log"
        assert ax.get_xlabel() == "steps N"
    assert pair[0].get_ylim() == (0, 103)
    assert pair[0].get_ylabel() == "test accuracy (%)"
    assert legend(pair[1]) == [*names.values(), "as trained"]


def test_trained_networks_stand_right_of_the_lines(pair):
    """Triangles against the mean accuracy of the trained networks, in the setting's colour."""
    metrics = metrics_table()
    nf.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
    for setting, _, _, best in SETTINGS:
        mark = by_label(pair[0])[f"_trained {setting}"]
        ((x,), (y,)) = mark.get_data()
        assert N_STEPS < x < pair[0].get_xlim()[1]
        assert y == pytest.approx(100 * (best + 0.001))
        assert mark.get_color() == nf.SETTINGS[setting][2]


def test_control_looks_like_no_other(pair):
    """The control's line against those of the other settings: grey, dashed, crosses."""
    metrics = metrics_table()
    nf.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
    lines = {name: line for name, line in by_label(pair[0]).items() if name[0] != "_"}
    control = lines.pop("control: mean 0, σ = 0")
    red, green, blue = (int(control.get_color()[i : i + 2], 16) for i in (1, 3, 5))
    assert red == green == blue
    assert control.get_linestyle() == "--"
    assert control.get_marker() == "x"
    for line in lines.values():
        assert line.get_color() != control.get_color()
        assert line.get_linestyle() != "--"
        assert line.get_marker() != "x"


def test_magnified_panel_leaves_the_control_out(pair):
    """Limits of the second panel against the ends of the good lines and of the control."""
    metrics = metrics_table()
    nf.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
    low, high = pair[1].get_ylim()
    assert 80 < low < 93  # direct4 ends at 94.7
    assert 97.1 < high < 101
    assert pair[1].get_title(loc="left") == "magnified"


def test_control_alone(pair):
    """A study of the control against a second panel like the first."""
    metrics = metrics_table().query("setting == 'noise-control'")
    nf.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
    assert pair[1].get_ylim() == pair[0].get_ylim()


def test_one_seed_has_no_band(pair):
    """Networks of a single seed against lines without bands."""
    metrics = metrics_table(seeds=(7,))
    time = time_table(metrics)
    nf.accuracy_by_setting(pair, time, metrics, "residual")
    assert not pair[0].collections
    rows = time.query("setting == 'noise' and condition == 'residual'").sort_values("step")
    drawn = by_label(pair[0])["mean 0.5, σ = 0.3"].get_ydata()
    np.testing.assert_allclose(drawn, 100 * rows["accuracy"])


def test_missing_values_leave_a_gap(pair):
    """Steps that one seed lacks, as a row or as a number, against no mean there."""
    metrics = metrics_table().assign(ann_accuracy=np.nan)
    time = time_table(metrics_table())
    is_own = (time["setting"] == "noise") & (time["training_seed"] == 1)
    time = time[~(is_own & (time["step"] == N_STEPS))]
    time.loc[is_own & (time["step"] == 3), "accuracy"] = np.nan
    nf.accuracy_by_setting(pair, time, metrics, "residual")
    drawn = by_label(pair[0])["mean 0.5, σ = 0.3"].get_ydata()
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(drawn)), [2, N_STEPS - 1])
    assert np.isfinite(pair[1].get_ylim()).all()


def test_accuracy_by_condition_draws_the_table(pair):
    """Lines of the conditions against means over the seeds of that setting only."""
    metrics = metrics_table()
    time = time_table(metrics)
    nf.accuracy_by_condition(pair, time, metrics, "noise")
    order = ["residual", "residual, hard reset", "memoryless", "diffusive"]
    for ax in pair:
        drawn = by_label(ax)
        assert list(drawn) == ["trained network", *order]
        np.testing.assert_allclose(drawn["trained network"].get_ydata(), [97.1, 97.1])
        for condition in order:
            rows = time[(time["setting"] == "noise") & (time["condition"] == condition)]
            expected = 100 * rows.groupby("step")["accuracy"].mean()
            np.testing.assert_allclose(drawn[condition].get_ydata(), expected, rtol=1e-12)
            assert drawn[condition].get_color() == nf.RULES[condition.split(",")[0]]
    assert legend(pair[1]) == [*order, "trained network"]


def test_accuracy_of_what_is_not_there(pair):
    """Names that the tables lack, and networks that cannot be told apart, against the errors."""
    metrics = metrics_table()
    time = time_table(metrics)
    with pytest.raises(ValueError, match=r"no row has condition 'both'; there are .*residual"):
        nf.accuracy_by_setting(pair, time, metrics, "both")
    with pytest.raises(ValueError, match="no row has setting 'mine'; there are none"):
        nf.accuracy_by_condition(pair, time.iloc[:0], metrics, "mine")
    with pytest.raises(ValueError, match="setting noise: several rows for training_seed"):
        nf.accuracy_by_setting(pair, pd.concat([time, time]), metrics, "residual")


# ---- residual potentials ----


def test_gaussian_layers():
    """Layers with an assumed width against those without any."""
    quantiles, _ = quantile_tables()
    assert nf.gaussian_layers(quantiles) == ["act2"]
    assert nf.gaussian_layers(quantile_tables(sigma=0.0)[0]) == []


@pytest.mark.parametrize(("shift", "corner"), [(0.1, (0.04, 0.97)), (-0.1, (0.98, 0.03))])
def test_quantiles_draw_the_table(ax, shift, corner):
    """Points, identity and numbers against the tables; the numbers stand off the identity."""
    quantiles, residuals = (t.query("layer == 'act2'") for t in quantile_tables(shift=shift))
    nf.residual_quantiles(ax, quantiles.sample(frac=1, random_state=1), residuals)
    identity, *seeds = ax.lines
    assert identity.get_slope() == 1
    assert identity.get_xy1() == (0.5, 0.5)
    assert [line.get_label() for line in seeds] == ["seed 0", "seed 1"]
    for seed, line in enumerate(seeds):
        rows = quantiles[quantiles["training_seed"] == seed]
        np.testing.assert_allclose(line.get_data(), rows[["assumed", "sample"]].to_numpy().T)
        assert line.get_color() == nf.RULES["residual"]
    assert labels(ax.texts) == ["mean 0.70\ns.d. 0.25\n$W_1$ = 0.150"]
    assert ax.texts[0].xy == corner
    assert ax.get_title(loc="left") == "act2"


def test_quantiles_refuse(ax):
    """A point instead of a Gaussian, several layers, and no rows against the errors."""
    quantiles, residuals = quantile_tables()
    with pytest.raises(ValueError, match=r"layer act1: no noise was assumed"):
        nf.residual_quantiles(ax, quantiles.query("layer == 'act1'"), residuals)
    with pytest.raises(ValueError, match="draw one layer at a time, the table has act2, act1"):
        nf.residual_quantiles(ax, quantiles, residuals)
    with pytest.raises(ValueError, match="nothing to draw"):
        nf.residual_quantiles(ax, quantiles.iloc[:0], residuals)


# ---- one neuron ----


def test_psychometric_draws_the_tables(ax):
    """Points, intervals, theory and fits against the tables, each in the colour of its rule."""
    curves, fits = psychometric_tables()
    nf.psychometric_curves(ax, curves.sample(frac=1, random_state=2), fits)
    order = ["memoryless", "both", "diffusive"]
    assert nf.rules(curves) == order
    drawn = by_label(ax)
    for container, rule in zip(ax.containers, order, strict=True):
        rows = curves[curves["rule"] == rule]
        points, _, (arms,) = container.lines
        np.testing.assert_allclose(
            points.get_data(orig=False), rows[["drive", "probability"]].to_numpy().T
        )
        ends = [np.sort(segment[:, 1]) for segment in arms.get_segments()]
        np.testing.assert_allclose(ends, rows[["low", "high"]], atol=1e-12)
        assert points.get_color() == nf.RULES[rule]
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
    nf.psychometric_curves(ax, curves, fits[fits["rule"] != "diffusive"])
    drawn = by_label(ax)
    assert "_fit both" not in drawn
    assert "_fit memoryless" in drawn
    x, y = drawn["_theory both"].get_data()
    np.testing.assert_array_equal(y, x >= 0.5)
    np.testing.assert_array_equal(nf._normal(np.array([0.4, 0.5]), 0.5, 0.0), [0, 1])
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
        nf.psychometric_curves(ax, two, fits)
    with pytest.raises(ValueError, match="nothing to draw"):
        nf.psychometric_curves(ax, curves.iloc[:0], fits)


def test_rasters_draw_the_table():
    """Ticks of each panel against the spikes of its rule, leak and drive."""
    axes = panels(1, 3)
    trials, raster, _ = trial_tables()
    more = raster.assign(leak=0.25, time_ms=raster["time_ms"] + 0.5)
    nf.trial_rasters(axes, pd.concat([raster, more]), trials, 0.25)
    titles = ["memoryless", "both, leak 0.9", "diffusive, leak 0.9"]
    assert [ax.get_title(loc="left") for ax in axes] == titles
    for ax, rule in zip(axes, ("memoryless", "both", "diffusive"), strict=True):
        (ticks,) = ax.collections
        found = {(s[0, 0], round(s[:, 1].mean(), 9)) for s in ticks.get_segments()}
        rows = raster[(raster["rule"] == rule) & (raster["drive"] == 0.25)]
        assert found == set(zip(rows["time_ms"], rows["trial"], strict=True))
        assert to_hex(ticks.get_colors()[0]) == nf.RULES[rule].lower()
        bottom, top = ax.get_ylim()
        assert bottom > 2 > 0 > top
        assert ax.get_xlim()[1] == pytest.approx(1.02 * 34)
    assert axes[0].get_ylabel() == "trial"


def test_rasters_leave_out():
    """Trials and times beyond those to be shown against no tick, and a label that says so."""
    axes = panels(1, 3)
    trials, raster, _ = trial_tables(n_trials=60)
    nf.trial_rasters(axes, raster, trials, 0.5, shown_ms=25.0)
    segments = np.array(axes[0].collections[0].get_segments())
    assert segments[:, :, 0].max() <= 25
    assert segments[:, :, 1].max() < nf.MOST_TRIALS
    assert axes[0].get_ylabel() == "trial (first 40 of 60)"
    assert axes[0].get_xlim() == (0, 25)


def test_intervals_draw_the_table():
    """Bars against the fractions in per cent, and numbers against the trials."""
    axes = panels(1, 3)
    trials, _, intervals = trial_tables()
    is_silent = (intervals["rule"] == "diffusive") & (intervals["drive"] == 0.25)
    nf.trial_intervals(axes, intervals[~is_silent], trials, 0.25)
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
        nf.trial_intervals(axes, intervals, trials, 0.3)
    with pytest.raises(ValueError, match=r"no spikes of these trials with drive 0.25"):
        nf.trial_rasters(axes, raster[raster["drive"] == 0.5], trials, 0.25)


def test_trial_statistics_draw_the_table():
    """Lines of four measures against the table; what is missing is a gap."""
    axes = panels(1, 4)
    trials, _, _ = trial_tables()
    nf.trial_statistics(axes, trials.sample(frac=1, random_state=3))
    for ax, column in zip(axes, ("first_jitter_ms", "fano", "cv2", "reliability"), strict=True):
        drawn = by_label(ax)
        for rule, name in (("memoryless", "memoryless"), ("both", "both, leak 0.9")):
            rows = trials[trials["rule"] == rule]
            np.testing.assert_array_equal(
                drawn[name].get_data(), rows[["drive", column]].to_numpy().T
            )
            assert drawn[name].get_color() == nf.RULES[rule]
        assert ("Poisson" in drawn) == (column in ("fano", "cv2"))
    sizes = [line.get_markersize() for line in axes[0].lines]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    names = ["memoryless", "both, leak 0.9", "diffusive, leak 0.9", "Poisson"]
    assert legend(axes[3]) == names


# ---- layers ----


@pytest.mark.parametrize("seeds", [(0, 1), (4,)])
def test_layer_statistics_draw_the_table(seeds):
    """Markers of means and seeds against the table, in the row of their layer."""
    axes = panels(1, 4, sharey=True)
    table = layers_table(seeds)
    nf.layer_statistics(axes, table)
    assert labels(axes[0].get_yticklabels()) == ["act1", "act2"]
    bottom, top = axes[0].get_ylim()
    assert bottom > top
    order = ["residual", "residual, hard reset", "memoryless"]
    columns = ("fano", "noise_correlation", "bits_per_spike", "silent_fraction")
    for ax, column in zip(axes, columns, strict=True):
        drawn = by_label(ax)
        for index, condition in enumerate(order):
            rows = table[table["condition"] == condition]
            x, y = drawn[condition].get_data()
            np.testing.assert_allclose(x, rows.groupby("layer")[column].mean())
            np.testing.assert_allclose(y, np.arange(2) + 0.25 * (index - 1))
            assert (f"_{condition}" in drawn) == (len(seeds) > 1)
            if len(seeds) > 1:
                np.testing.assert_array_equal(drawn[f"_{condition}"].get_xdata(), rows[column])
    assert legend(axes[3]) == order
    looks = {(line.get_color(), line.get_marker()) for line in axes[2].lines if line.get_marker()}
    assert len(looks - {("0.9", "None")}) == 3


def test_layer_statistics_of_two_settings():
    """Layers of several settings against the error message."""
    table = layers_table()
    two = pd.concat([table, table.assign(setting="noise-wide")])
    with pytest.raises(ValueError, match="one setting at a time, the table has noise, noise-wide"):
        nf.layer_statistics(panels(1, 4), two)


# ---- comparison ----


def markers(ax):
    """Large markers as (steps or time, row), small ones as their values by row."""
    points = [line for line in ax.lines if line.get_linestyle() == "None"]
    means = [
        (float(line.get_xdata()[0]), round(float(line.get_ydata()[0]), 6))
        for line in points
        if line.get_markersize() > 4
    ]
    seeds = {
        round(float(line.get_ydata()[0]), 6): line.get_xdata().tolist()
        for line in points
        if line.get_markersize() < 4
    }
    return means, seeds


def test_effort_draws_the_table(pair):
    """Seeds, geometric means, and what was not reached against the table, by method."""
    nf.effort_at_accuracy(pair, comparison_table())
    names = ["noise-trained, N steps", "direct, T = 2", "rate conversion"]
    assert labels(pair[0].get_yticklabels()) == names
    shift = 0.1875
    means, seeds = markers(pair[0])
    # The second seed needs four times the steps of the first: twice is the geometric mean.
    expected = [(8, -shift), (4, 1 - shift), (40, 2 - shift), (16, shift)]
    np.testing.assert_allclose(means, expected)
    assert seeds == {
        -shift: [4, 16],
        shift: [8, 32],
        1 - shift: [2, 8],
        2 - shift: [20, 80],
        2 + shift: [40],
    }
    texts = ["8", "4", "40", "16", "not reached (93.1 % in the end)", "1 of 2 not reached"]
    assert labels(pair[0].texts) == texts
    # A wall time counts only where the accuracy was reached.
    assert labels(pair[1].texts) == ["2", "1", "10", "4", "not reached", "1 of 2 not reached"]
    assert [ax.get_xscale() for ax in pair] == ["log", "log"]
    assert legend(pair[1]) == ["95.0 %", "96.0 to 97.0 %"]
    colours = {line.get_color() for line in pair[0].lines if line.get_linestyle() == "None"}
    assert colours == {nf.SETTINGS[setting][2] for setting in ("noise", "direct2", "rate")}


def test_effort_for_one_accuracy_and_seed(pair):
    """A table with one accuracy to reach against its name on the axis, and no small markers."""
    nf.effort_at_accuracy(pair, comparison_table(seeds=(0,)).query("target_accuracy < 0.955"))
    assert pair[0].get_xlabel() == "steps until 95.0 % is reached"
    means, seeds = markers(pair[0])
    np.testing.assert_allclose(means, [(4, 0), (2, 1), (20, 2)])
    assert seeds == {}
    assert pair[1].get_legend() is None


@pytest.mark.parametrize(("factor", "is_decades"), [(0.25, False), (100, True)])
def test_effort_axis_has_room(pair, factor, is_decades):
    """Numbers of a narrow and of a wide axis, and the text beside the last marker."""
    table = comparison_table()
    is_rate = table["method"] == "rate conversion"
    table["n_steps"] = table["n_steps"].where(~is_rate, factor * table["n_steps"])
    nf.effort_at_accuracy(pair, table)
    low, high = pair[0].get_xlim()
    ticks = [tick for tick in pair[0].get_xticks() if low <= tick <= high]
    assert all(np.log10(tick) % 1 == 0 for tick in ticks) == is_decades
    figure = pair[0].figure
    FigureCanvasAgg(figure).draw()
    right = pair[0].get_window_extent().x1
    assert max(text.get_window_extent().x1 for text in pair[0].texts) <= right


def test_effort_that_nobody_made(pair):
    """A table in which no accuracy was reached against axes that say so."""
    table = comparison_table().assign(n_steps=np.nan, accuracy=np.nan)
    nf.effort_at_accuracy(pair, table)
    assert set(labels(pair[0].texts)) == {"not reached"}
    assert pair[0].get_xlim() == (1, 10)


def test_effort_refuses(pair):
    """No rows, and rows of two networks, against the errors."""
    table = comparison_table()
    with pytest.raises(ValueError, match="nothing to draw"):
        nf.effort_at_accuracy(pair, table.iloc[:0])
    with pytest.raises(ValueError, match="several rows for method rate conversion, training_seed"):
        nf.effort_at_accuracy(pair, pd.concat([table, table]))


def test_training_draws_the_table(ax):
    """Bars, intervals, numbers and the line against the table, in per cent."""
    nf.training_time(ax, training_table())
    assert labels(ax.get_yticklabels()) == ["noise, T = 1", "direct, T = 4", "analogue"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [29, 100, 24])
    faces = [to_hex(bar.get_facecolor()) for bar in ax.patches]
    assert faces == [nf.SETTINGS[s][2].lower() for s in ("noise", "direct4", "rate")]
    (arms,) = ax.containers[1].lines[2]
    drawn = [np.sort(segment[:, 0]) for segment in arms.get_segments() if len(segment)]
    drawn = [ends for ends in drawn if np.isfinite(ends).all()]
    np.testing.assert_allclose(drawn, [[27, 32], [22, 27]])
    assert labels(ax.texts) == ["29 % (0.314 ms)", "100 % (1.05 ms)", "24 % (0.25 ms)", "40 %"]
    lines = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert lines == [40]
    with pytest.raises(ValueError, match="several rows for method analogue"):
        nf.training_time(ax, pd.concat([training_table(), training_table()]))
    with pytest.raises(ValueError, match="nothing to draw"):
        nf.training_time(ax, training_table().iloc[:0])


# ---- all of them ----


def every_figure():
    """All figures as they are laid out."""
    metrics = metrics_table()
    trials, raster, intervals = trial_tables()
    quantiles, residuals = (t.query("layer == 'act2'") for t in quantile_tables())

    def on(figsize, *shape, **options):
        figure = Figure(figsize=figsize)
        return figure, figure.subplots(*shape, **options)

    figure, axes = on((7.6, 3.0), 1, 2)
    nf.accuracy_by_setting(axes, time_table(metrics), metrics, "residual")
    yield figure
    figure, axes = on((7.6, 3.0), 1, 2)
    nf.accuracy_by_condition(axes, time_table(metrics), metrics, "noise")
    yield figure
    figure, axes = on((3.1, 2.3))
    nf.residual_quantiles(axes, quantiles, residuals)
    yield figure
    figure, axes = on((5.6, 2.9))
    nf.psychometric_curves(axes, *psychometric_tables())
    yield figure
    figure, axes = on((6.0, 3.6), 2, 3, height_ratios=(1.5, 1.0), sharex="row")
    nf.trial_rasters(axes[0], raster, trials, 0.25)
    nf.trial_intervals(axes[1], intervals, trials, 0.25)
    yield figure
    figure, axes = on((9.0, 2.3), 1, 4)
    nf.trial_statistics(axes, trials)
    yield figure
    figure, axes = on((8.8, 1.5), 1, 4, sharey=True)
    nf.layer_statistics(axes, layers_table())
    yield figure
    figure, axes = on((7.6, 1.9), 1, 2, sharey=True)
    nf.effort_at_accuracy(axes, comparison_table())
    yield figure
    figure, axes = on((4.4, 1.5))
    nf.training_time(axes, training_table())
    yield figure


def test_no_label_covers_another(monkeypatch):
    """Boxes of all texts that are drawn against each other and the edges of the figure."""
    draw = Text.draw
    found = {}

    def note(text, renderer):
        if text.get_visible() and text.get_text().strip():
            found[id(text)] = text
        draw(text, renderer)

    for number, figure in enumerate(every_figure()):
        canvas = FigureCanvasAgg(figure)
        found.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", note)
            canvas.draw()
        boxes = [
            (text.get_text(), text.get_window_extent(canvas.get_renderer()))
            for text in found.values()
        ]
        assert len(boxes) > 8
        width, height = canvas.get_width_height()
        for text, box in boxes:
            assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -1, (number, text)
        for (a, one), (b, other) in itertools.combinations(boxes, 2):
            assert not one.padded(-1).overlaps(other.padded(-1)), (number, a, b)
