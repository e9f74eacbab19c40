"""Figures of noise-trained networks: what is drawn against the tables it is drawn from."""

import itertools

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import noise_network as noise_network_figures
from ann2brian.analysis.figures import style as figures
from ann2brian.analysis.figures.noise_neuron import RULES
from scipy.special import ndtri

from tests.support.drawn import by_label, check_labels, labels, legend, on, panels

N_STEPS = 12
# setting, mean, sigma, best accuracy
SETTINGS = (
    ("direct4", np.nan, np.nan, 0.955),
    ("noise-control", 0.0, 0.0, 0.3),
    ("noise", 0.5, 0.3, 0.97),
    ("noise-matched", 0.5, 12**-0.5, 0.96),
)
VARIANTS = ("residual, hard reset", "diffusive", "memoryless")


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


# ---- names and looks ----


def test_setting_names():
    """Names in words against the noise, in the order of drawing; unknown settings come last."""
    own = pd.DataFrame({"setting": ["mine"], "mean": [np.nan], "sigma": [np.nan]})
    noisy = pd.DataFrame({"setting": ["other"], "mean": [0.25], "sigma": [0.125]})
    names = noise_network_figures.setting_names(pd.concat([own, metrics_table(), noisy]))
    assert list(names.items()) == [
        ("noise", "mean 0.5, σ = 0.3"),
        ("noise-matched", "mean 0.5, σ = 0.289"),
        ("noise-control", "control: mean 0, σ = 0"),
        ("direct4", "direct training, T = 4"),
        ("mine", "mine"),
        ("other", "mean 0.25, σ = 0.125"),
    ]


def test_every_setting_has_a_colour():
    """Colours of the settings, all of which differ."""
    assert len({look[2] for look in noise_network_figures.SETTINGS.values()}) == len(
        noise_network_figures.SETTINGS
    )


# ---- accuracy ----


def test_accuracy_by_setting_draws_the_table(pair):
    """Lines and bands against means, worst and best of the seeds, in per cent."""
    metrics = metrics_table()
    time = time_table(metrics)
    noise_network_figures.accuracy_by_setting(pair, time, metrics, "residual")
    names = noise_network_figures.setting_names(metrics)
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
    noise_network_figures.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
    for setting, _, _, best in SETTINGS:
        mark = by_label(pair[0])[f"_trained {setting}"]
        ((x,), (y,)) = mark.get_data()
        assert N_STEPS < x < pair[0].get_xlim()[1]
        assert y == pytest.approx(100 * (best + 0.001))
        assert mark.get_color() == noise_network_figures.SETTINGS[setting][2]


def test_control_looks_like_no_other(pair):
    """The control's line against those of the other settings: grey, dashed, crosses."""
    metrics = metrics_table()
    noise_network_figures.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
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
    noise_network_figures.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
    low, high = pair[1].get_ylim()
    assert 80 < low < 93  # direct4 ends at 94.7
    assert 97.1 < high < 101
    assert pair[1].get_title(loc="left") == "magnified"


def test_control_alone(pair):
    """A study of the control against a second panel like the first."""
    metrics = metrics_table().query("setting == 'noise-control'")
    noise_network_figures.accuracy_by_setting(pair, time_table(metrics), metrics, "residual")
    assert pair[1].get_ylim() == pair[0].get_ylim()


def test_one_seed_has_no_band(pair):
    """Networks of a single seed against lines without bands."""
    metrics = metrics_table(seeds=(7,))
    time = time_table(metrics)
    noise_network_figures.accuracy_by_setting(pair, time, metrics, "residual")
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
    noise_network_figures.accuracy_by_setting(pair, time, metrics, "residual")
    drawn = by_label(pair[0])["mean 0.5, σ = 0.3"].get_ydata()
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(drawn)), [2, N_STEPS - 1])
    assert np.isfinite(pair[1].get_ylim()).all()


def test_accuracy_by_condition_draws_the_table(pair):
    """Lines of the conditions against means over the seeds of that setting only."""
    metrics = metrics_table()
    time = time_table(metrics)
    noise_network_figures.accuracy_by_condition(pair, time, metrics, "noise")
    order = ["residual", "residual, hard reset", "memoryless", "diffusive"]
    for ax in pair:
        drawn = by_label(ax)
        assert list(drawn) == ["trained network", *order]
        np.testing.assert_allclose(drawn["trained network"].get_ydata(), [97.1, 97.1])
        for condition in order:
            rows = time[(time["setting"] == "noise") & (time["condition"] == condition)]
            expected = 100 * rows.groupby("step")["accuracy"].mean()
            np.testing.assert_allclose(drawn[condition].get_ydata(), expected, rtol=1e-12)
            assert drawn[condition].get_color() == RULES[condition.split(",")[0]]
    assert legend(pair[1]) == [*order, "trained network"]


def test_accuracy_of_what_is_not_there(pair):
    """Names that the tables lack, and networks that cannot be told apart, against the errors."""
    metrics = metrics_table()
    time = time_table(metrics)
    with pytest.raises(ValueError, match=r"no row has condition 'both'; there are .*residual"):
        noise_network_figures.accuracy_by_setting(pair, time, metrics, "both")
    with pytest.raises(ValueError, match="no row has setting 'mine'; there are none"):
        noise_network_figures.accuracy_by_condition(pair, time.iloc[:0], metrics, "mine")
    with pytest.raises(ValueError, match="setting noise: several rows for training_seed"):
        noise_network_figures.accuracy_by_setting(
            pair, pd.concat([time, time]), metrics, "residual"
        )


# ---- residual potentials ----


def test_gaussian_layers():
    """Layers with an assumed width against those without any."""
    quantiles, _ = quantile_tables()
    assert noise_network_figures.gaussian_layers(quantiles) == ["act2"]
    assert noise_network_figures.gaussian_layers(quantile_tables(sigma=0.0)[0]) == []


@pytest.mark.parametrize(("shift", "corner"), [(0.1, (0.04, 0.97)), (-0.1, (0.98, 0.03))])
def test_quantiles_draw_the_table(ax, shift, corner):
    """Points, identity and numbers against the tables; the numbers stand off the identity."""
    quantiles, residuals = (t.query("layer == 'act2'") for t in quantile_tables(shift=shift))
    noise_network_figures.residual_quantiles(
        ax, quantiles.sample(frac=1, random_state=1), residuals
    )
    identity, *seeds = ax.lines
    assert identity.get_slope() == 1
    assert identity.get_xy1() == (0.5, 0.5)
    assert [line.get_label() for line in seeds] == ["seed 0", "seed 1"]
    for seed, line in enumerate(seeds):
        rows = quantiles[quantiles["training_seed"] == seed]
        np.testing.assert_allclose(line.get_data(), rows[["assumed", "sample"]].to_numpy().T)
        assert line.get_color() == RULES["residual"]
    assert labels(ax.texts) == ["mean 0.70\ns.d. 0.25\n$W_1$ = 0.150"]
    assert ax.texts[0].xy == corner
    assert ax.get_title(loc="left") == "act2"


def test_quantiles_refuse(ax):
    """A point instead of a Gaussian, several layers, and no rows against the errors."""
    quantiles, residuals = quantile_tables()
    with pytest.raises(ValueError, match=r"layer act1: no noise was assumed"):
        noise_network_figures.residual_quantiles(ax, quantiles.query("layer == 'act1'"), residuals)
    with pytest.raises(ValueError, match="draw one layer at a time, the table has act2, act1"):
        noise_network_figures.residual_quantiles(ax, quantiles, residuals)
    with pytest.raises(ValueError, match="nothing to draw"):
        noise_network_figures.residual_quantiles(ax, quantiles.iloc[:0], residuals)


# ---- layers ----


@pytest.mark.parametrize("seeds", [(0, 1), (4,)])
def test_layer_statistics_draw_the_table(seeds):
    """Markers of means and seeds against the table, in the row of their layer."""
    axes = panels(1, 4, sharey=True)
    table = layers_table(seeds)
    noise_network_figures.layer_statistics(axes, table)
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
        noise_network_figures.layer_statistics(panels(1, 4), two)


# ---- all of them ----


def every_figure():
    """All figures as they are laid out."""
    metrics = metrics_table()
    quantiles, residuals = (t.query("layer == 'act2'") for t in quantile_tables())

    figure, axes = on((7.6, 3.0), 1, 2)
    noise_network_figures.accuracy_by_setting(axes, time_table(metrics), metrics, "residual")
    yield figure
    figure, axes = on((7.6, 3.0), 1, 2)
    noise_network_figures.accuracy_by_condition(axes, time_table(metrics), metrics, "noise")
    yield figure
    figure, axes = on((3.1, 2.3))
    noise_network_figures.residual_quantiles(axes, quantiles, residuals)
    yield figure
    figure, axes = on((8.8, 1.5), 1, 4, sharey=True)
    noise_network_figures.layer_statistics(axes, layers_table())
    yield figure


def test_no_label_covers_another(monkeypatch):
    """Texts of every figure against each other and the edges of the figure."""
    for figure in every_figure():
        check_labels(figure, monkeypatch)
