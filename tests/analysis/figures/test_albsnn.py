"""Figures of locally binary networks: what is drawn against the tables it is drawn from."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures import albsnn as albsnn_figures
from ann2brian.analysis.figures import style as figures
from ann2brian.studies.albsnn import figures as script
from ann2brian.studies.frame.figures import Result, make_figures
from matplotlib.colors import to_hex

from tests.support.drawn import by_label, check_labels, labels, legend, on, panels

# setting, saving, accuracy, binary layers
SETTINGS = (
    ("albsnn", 0.958, 0.96, ("conv2", "conv3")),
    ("gap-real", 0.0, 0.98, ()),
    ("gap-binary", 0.963, 0.95, ("conv1", "conv2", "conv3")),
)
LAYERS = {"conv1": 160, "conv2": 3200, "conv3": 640}  # weights
OUTPUTS = {"conv1": 16, "conv2": 32, "conv3": 10}
STEPS = (1, 4)


def networks(seeds):
    """Columns that name a network, whatever the table."""
    for (index, (setting, *rest)), seed in itertools.product(enumerate(SETTINGS), seeds):
        keys = {"network": f"digits-{setting}", "setting": setting, "training_seed": seed}
        yield index, keys, rest


def metrics_table(seeds=(1, 2, 3)):
    rows = [
        keys
        | {
            "n_steps": n_steps,
            "dataset": "digits",
            "snn_accuracy": accuracy - 0.002 * seed - 0.003 * n_steps,
            "saving": saving,
        }
        for _, keys, (saving, accuracy, _) in networks(seeds)
        for seed, n_steps in [(keys["training_seed"], n) for n in STEPS]
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0, ignore_index=True)


def paper_table():
    return pd.DataFrame(
        {
            "source": ["published, 2022", "published, 2023", "published, 2023", "here, albsnn"],
            "dataset": ["digits", "digits", "cifar-10", "digits"],
            "n_steps": 1,
            "accuracy": [0.9292, 0.9339, 0.9212, 0.96],
            "saving": [0.2, np.nan, 0.2, 0.958],
        }
    )


def history_table(seeds=(1, 2), n_epochs=10, n_estimated=8):
    """conv1 stays real, conv2 is binary from epoch 3 on, conv3 from 2 to 4."""
    rows = []
    for _, keys, _ in networks(seeds):
        for epoch, (index, layer) in itertools.product(
            range(1, n_epochs + 1), enumerate(("conv1", "conv2", "conv3"))
        ):
            rise = 0.4 - 0.15 * index + 0.01 * epoch + 0.001 * keys["training_seed"]
            rows.append(
                keys
                | {
                    "epoch": epoch,
                    "layer": layer,
                    "is_binary": (False, epoch >= 3, 2 <= epoch <= 4)[index],
                    "loss_rise": rise if epoch <= n_estimated or index == 0 else np.nan,
                    "eps_on": 0.12,
                    "eps_off": 0.25,
                }
            )
    return pd.DataFrame(rows)


def potentials_table(seeds=(1, 2)):
    edges = np.linspace(-4, 4, 17)
    parts = [
        pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "density": np.exp(-((edges[:-1] - 0.1 * index) ** 2) / 2) / 2.5
                + 0.01 * keys["training_seed"],
                "fraction_at_threshold": 0.01 * (1 + index) + 0.002 * keys["training_seed"],
                "layer": layer,
                "is_binary": f"conv{layer[-1]}" in binary,
                **keys,
            }
        )
        for index, keys, (_, _, binary) in networks(seeds)
        for layer in ("act1", "act2")
    ]
    return pd.concat(parts, ignore_index=True)


def curve_table(seeds=(1, 2)):
    """Of two layers: conv2 does less harm alone than conv1, and comes first."""
    rows = [
        ("none", "", 0.0, 0.98),
        ("alone", "conv1", 0.2, 0.9),
        ("alone", "conv2", 0.7, 0.96),
        ("together", "conv2", 0.7, 0.96),
        ("together", "conv2 conv1", 0.9, 0.85),
    ]
    return pd.DataFrame(
        [
            {
                "setting": "gap-real",
                "training_seed": seed,
                "kind": kind,
                "layers": layers,
                "saving": saving,
                "accuracy": accuracy - 0.01 * seed,
            }
            for seed in seeds
            for kind, layers, saving, accuracy in rows
        ]
    )


def timing_table(seeds=(1, 2), steps=(2, 4)):
    rows = []
    for seed, n_steps, (b, binarised), (i, layer) in itertools.product(
        seeds, steps, enumerate(("conv1", "conv2", "all")), enumerate(("act1", "act2"))
    ):
        is_moved = binarised != "conv2" or layer == "act2"
        change = is_moved * (0.1 * (1 + b + i) + 0.01 * seed)
        rows.append(
            {
                "network": "digits-gap-real",
                "setting": "gap-real",
                "training_seed": seed,
                "n_steps": n_steps,
                "layer": layer,
                "binarised": binarised,
                "same_first": 1 - change,
                "same_train": 1 - 1.5 * change,
                "first_spike_shift": 0.2 * change,
                "van_rossum": 2 * change,
                "rate_ratio": 1 - 0.3 * change,
            }
        )
    return pd.DataFrame(rows)


def layers_table(seeds=(1, 2), steps=STEPS):
    rows = []
    for (_, keys, (_, _, binary)), n_steps in itertools.product(networks(seeds), steps):
        for name, n_weights in LAYERS.items():
            is_binary = name in binary
            bits = n_weights + 32 * OUTPUTS[name] if is_binary else 32 * n_weights
            events = {"conv1": np.nan, "conv2": 40e3, "conv3": 2e3}[name]
            rows.append(
                keys
                | {
                    "n_steps": n_steps,
                    "layer": name,
                    "is_binary": is_binary,
                    "n_weights": n_weights,
                    "bits": bits,
                    "events_per_image": events * n_steps + 100 * keys["training_seed"],
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def style():
    with figures.style():
        yield


# ---- looks ----


def test_settings_in_words():
    """Colours of the settings, all of which differ; unknown settings come last and in grey."""
    assert len({colour for colour, _ in albsnn_figures.SETTINGS.values()}) == 10
    axes = panels(1, 2)
    table = metrics_table(seeds=(1,)).replace({"setting": {"gap-binary": "mine"}})
    albsnn_figures.accuracy_against_saving(axes, table)
    expected = ["all layers real", "chosen layers binary", "mine", "T = 1", "T = 4"]
    assert legend(axes[1]) == expected
    assert by_label(axes[0])["_mine, T = 1"].get_color() == albsnn_figures.OTHER_COLOUR


# ---- accuracy ----


def test_accuracy_draws_the_table():
    """Markers of seeds and means against the table, in per cent, in both panels."""
    axes, metrics = panels(1, 2), metrics_table()
    albsnn_figures.accuracy_against_saving(axes, metrics, paper_table())
    markers = dict(zip(STEPS, albsnn_figures.MARKERS, strict=False))
    for ax in axes:
        drawn = by_label(ax)
        for (setting, saving, accuracy, _), n_steps in itertools.product(SETTINGS, STEPS):
            mean, seeds = (
                drawn[f"_{setting}, T = {n_steps}"],
                drawn[f"_{setting}, T = {n_steps}, seeds"],
            )
            values = [100 * (accuracy - 0.002 * seed - 0.003 * n_steps) for seed in (1, 2, 3)]
            np.testing.assert_allclose(np.sort(seeds.get_ydata())[::-1], values)
            np.testing.assert_allclose(seeds.get_xdata(), [100 * saving] * 3)
            np.testing.assert_allclose(mean.get_data(), [[100 * saving], [values[1]]])
            assert mean.get_marker() == markers[n_steps]
            assert mean.get_color() == albsnn_figures.SETTINGS[setting][0]
    left, right = axes[1].get_xlim()
    assert 90 < left < 95.8 < 96.3 < right < 98  # all of the binary networks, no other
    assert axes[0].get_xlabel() == "storage of the weights saved (%)"


def test_accuracy_of_different_choices():
    """Seeds that save differently against means of their own."""
    axes = panels(1, 2)
    table = metrics_table().query("setting == 'albsnn' and n_steps == 1")
    table = table.assign(saving=np.where(table["training_seed"] == 3, 0.5, 0.9))
    albsnn_figures.accuracy_against_saving(axes, table)
    mean = by_label(axes[0])["_albsnn, T = 1"]
    # Accuracies of 95.5, 95.3 and 95.1 %, the last of the network that saves less.
    np.testing.assert_allclose(mean.get_data(), [[50, 90], [95.1, 95.4]])


def test_published_accuracies_are_lines():
    """Lines of the same data set's published figures against accuracy and least saving."""
    axes = panels(1, 2)
    albsnn_figures.accuracy_against_saving(axes, metrics_table(), paper_table())
    drawn = by_label(axes[0])
    lines = {label: line for label, line in drawn.items() if label.startswith("published")}
    assert list(lines) == ["published, 2022 (92.92 %)", "published, 2023 (93.39 %)"]
    first, second = lines.values()
    np.testing.assert_allclose(first.get_data(), [[20, 102], [92.92, 92.92]])
    np.testing.assert_allclose(second.get_data(), [[-4, 102], [93.39, 93.39]])
    assert first.get_linestyle() != second.get_linestyle()
    assert legend(axes[1])[-2:] == list(lines)


def test_accuracy_without_binary_layers():
    """A single network without binary layers against limits around its saving of 0."""
    axes = panels(1, 2)
    albsnn_figures.accuracy_against_saving(axes, metrics_table().query("setting == 'gap-real'"))
    assert axes[1].get_xlim() == (-0.5, 0.5)


# ---- training ----


def test_choice_draws_the_table():
    """Loss rises, binary epochs and the field without estimates against the table."""
    above, below = panels(2, 1)
    table = history_table().query("setting == 'albsnn' and training_seed == 2")
    rows = pd.concat([table[table["epoch"] == 1], table[table["epoch"] > 1].sample(frac=1)])
    albsnn_figures.choice_of_layers((above, below), rows)
    drawn = by_label(above)
    assert drawn[r"$\epsilon_\mathrm{on}$ = 0.12"].get_ydata()[0] == 0.12
    assert drawn[r"$\epsilon_\mathrm{off}$ = 0.25"].get_ydata()[0] == 0.25
    colours = {}
    for layer, binary in (("conv1", []), ("conv2", range(3, 11)), ("conv3", (2, 3, 4))):
        own = table[table["layer"] == layer]
        real = drawn[f"_{layer}, real"]
        for line in (drawn[layer], real):
            np.testing.assert_array_equal(line.get_xdata(), range(1, 11))
            np.testing.assert_array_equal(line.get_ydata(), own["loss_rise"])
        is_binary = [epoch in binary for epoch in range(1, 11)]
        assert list(drawn[layer].get_markevery()) == is_binary
        assert list(real.get_markevery()) == [not b for b in is_binary]
        assert real.get_markerfacecolor() == "white"
        colours[layer] = to_hex(drawn[layer].get_color())
    bars = {}
    for bar in below.patches:
        if bar.get_height() == pytest.approx(0.7):
            row = round(bar.get_y() + 0.35)
            epoch = round(bar.get_x() + bar.get_width() / 2)
            bars.setdefault((row, to_hex(bar.get_facecolor())), []).append(epoch)
    assert labels(below.get_yticklabels()) == ["conv1", "conv2", "conv3"]
    assert {key: sorted(epochs) for key, epochs in bars.items()} == {
        (1, colours["conv2"]): list(range(3, 11)),
        (2, colours["conv3"]): [2, 3, 4],
    }
    for ax in (above, below):
        (field,) = (p for p in ax.patches if p.get_label() == "signs optimised")
        assert (field.get_x(), field.get_x() + field.get_width()) == (8.5, 10.5)


def test_choice_with_all_estimates():
    """Estimates up to the last epoch against no grey field."""
    above, below = panels(2, 1)
    table = history_table(seeds=(1,), n_estimated=10).query("setting == 'albsnn'")
    albsnn_figures.choice_of_layers((above, below), table.assign(eps_on=np.nan, eps_off=np.nan))
    assert not [patch for patch in above.patches if patch.get_label() == "signs optimised"]
    assert not [label for label in by_label(above) if "epsilon" in label]  # a budget decided


# ---- potentials ----


def test_potentials_draw_the_table():
    """Steps against means over seeds, and notes against the fractions at the threshold."""
    axes, table = panels(1, 2), potentials_table()
    albsnn_figures.potential_densities(axes, table)
    assert [ax.get_title(loc="left") for ax in axes] == ["act1", "act2"]
    for ax, layer in zip(axes, ("act1", "act2"), strict=True):
        drawn = {patch.get_label(): patch for patch in ax.patches}
        kind = "real" if layer == "act1" else "binary"
        assert list(drawn) == ["gap-real, real", "gap-binary, binary", f"albsnn, {kind}"]
        for label, patch in drawn.items():
            setting = label.split(", ")[0]
            rows = table[(table["layer"] == layer) & (table["setting"] == setting)]
            mean = rows.pivot(index="low", columns="training_seed", values="density").mean(axis=1)
            values, edges, _ = patch.get_data()
            np.testing.assert_allclose(values, mean)
            np.testing.assert_array_equal(edges, np.linspace(-4, 4, 17))
            assert patch.get_fill() == (setting == "gap-real")
        assert len({patch.get_linestyle() for patch in ax.patches}) == 2
        # Means of 1.2 and 1.4 %, and so on, in the order of the legend.
        assert labels(ax.texts) == ["at threshold", "2.3 %", "3.3 %", "1.3 %"]
        assert by_label(ax)["_child0"].get_xdata() == [1, 1]
    assert legend(axes[1])[-2:] == ["real weights", "binary weights"]


# ---- layers made binary after the training ----


def test_curve_draws_the_table(tmp_path):
    """Layers alone and one after the other against the table, as it is read from a file."""
    curve_table().to_csv(tmp_path / "curve.csv", index=False)
    curve = pd.read_csv(tmp_path / "curve.csv")
    alone, together = panels(1, 2)
    albsnn_figures.curve_of_layers((alone, together), curve)

    def points(ax, layer):
        found = [line for line in ax.lines if line.get_label() == layer]
        return [(list(line.get_xdata()), list(line.get_ydata())) for line in found]

    assert points(alone, "conv1") == [([20.0], [pytest.approx(y)]) for y in (89, 88)]
    assert points(alone, "conv2") == [([70.0], [pytest.approx(y)]) for y in (95, 94)]
    assert points(together, "conv2") == points(alone, "conv2")
    assert points(together, "conv1") == [([90.0], [pytest.approx(y)]) for y in (84, 83)]
    lines = points(together, "_together")
    assert [x for x, _ in lines] == [[0, 70, 90]] * 2
    np.testing.assert_allclose([y for _, y in lines], [(97, 95, 84), (96, 94, 83)])
    for ax in (alone, together):
        assert [y[0] for _, y in points(ax, "_as trained")] == [
            pytest.approx(97),
            pytest.approx(96),
        ]
    assert legend(together) == ["conv1", "conv2", "as trained"]


# ---- spike times ----


def test_timing_draws_the_table():
    """Lines against means over seeds, small markers against the seeds, in five panels."""
    axes = panels(1, 5)
    table = timing_table().query("n_steps == 4")
    albsnn_figures.timing_by_layer(axes, table)
    for ax, (column, label) in zip(axes, albsnn_figures.TIMING, strict=True):
        drawn = by_label(ax)
        assert ax.get_ylabel() == label
        assert labels(ax.get_xticklabels()) == ["act1", "act2"]
        for part in ("conv1", "conv2", "all"):
            own = table[table["binarised"] == part]
            mean = [own.loc[own["layer"] == layer, column].mean() for layer in ("act1", "act2")]
            np.testing.assert_allclose(drawn[part].get_ydata(), mean)
            np.testing.assert_array_equal(drawn[f"_{part}"].get_ydata(), own[column])
            np.testing.assert_array_equal(drawn[f"_{part}"].get_xdata(), [0, 1, 0, 1])
    assert drawn["all"].get_color() == albsnn_figures.SETTINGS["gap-binary"][0]
    assert len({to_hex(drawn[part].get_color()) for part in ("conv1", "conv2", "all")}) == 3


def test_timing_of_one_seed():
    """One seed against no small markers."""
    axes = panels(1, 5)
    albsnn_figures.timing_by_layer(axes, timing_table(seeds=(1,), steps=(2,)))
    assert "_conv1" not in by_label(axes[0])


# ---- layers ----


def test_layers_draw_the_table():
    """Parts of every bar against storage, shares and events; binary ones are hatched."""
    axes = panels(1, 3, sharey=True)
    table = layers_table().query("n_steps == 1")
    albsnn_figures.storage_and_events(axes, table)
    names = ["all layers real", "all layers binary", "chosen layers binary"]
    assert labels(axes[0].get_yticklabels()) == names
    order = [("gap-real", 1), ("gap-real", 2), ("gap-binary", 1), ("gap-binary", 2)]
    order += [("albsnn", 1), ("albsnn", 2)]
    rows = [
        table[(table["setting"] == setting) & (table["training_seed"] == seed)]
        for setting, seed in order
    ]
    wanted = (
        lambda own: own["bits"] / 8192,
        lambda own: 100 * own["bits"] / own["bits"].sum(),
        lambda own: own["events_per_image"].fillna(0) / 1000,
    )
    for ax, values in zip(axes, wanted, strict=True):
        bars = sorted(ax.patches, key=lambda bar: (round(bar.get_y(), 6), bar.get_x()))
        for index, own in enumerate(rows):
            parts = bars[3 * index : 3 * index + 3]
            widths = values(own).to_numpy()
            np.testing.assert_allclose([bar.get_width() for bar in parts], widths)
            np.testing.assert_allclose([bar.get_x() for bar in parts], np.cumsum(widths) - widths)
            assert [bool(bar.get_hatch()) for bar in parts] == own["is_binary"].tolist()
    saved = [1 - own["bits"].sum() / (32 * 4000) for own in rows]
    assert labels(axes[0].texts) == [f"{100 * value:.1f} % saved" for value in saved]
    assert legend(axes[2]) == ["conv1", "conv2", "conv3", "binary"]


# ---- refusals ----


def test_refusals():
    """Tables with nothing, several networks or repeated rows against the messages."""
    twice = pd.concat([metrics_table(), metrics_table()])
    with pytest.raises(ValueError, match="several rows for setting albsnn, training_seed"):
        albsnn_figures.accuracy_against_saving(panels(1, 2), twice)
    two = metrics_table().assign(dataset=["digits", "other"] * 9)
    with pytest.raises(ValueError, match="draw one dataset at a time, the table has digits, other"):
        albsnn_figures.accuracy_against_saving(panels(1, 2), two)
    with pytest.raises(ValueError, match="draw one setting at a time"):
        albsnn_figures.choice_of_layers(panels(2, 1), history_table())
    with pytest.raises(ValueError, match="nothing to draw: the table has no rows"):
        albsnn_figures.potential_densities(panels(1, 2), potentials_table()[:0])
    with pytest.raises(ValueError, match="draw one n_steps at a time, the table has 2, 4"):
        albsnn_figures.timing_by_layer(panels(1, 5), timing_table())
    with pytest.raises(ValueError, match="draw one n_steps at a time, the table has 1, 4"):
        albsnn_figures.storage_and_events(panels(1, 3), layers_table())


# ---- the script ----


def write_result(folder, without=(), shown="albsnn"):
    """A result as the study leaves it, with numbers made up."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"scheme": "albsnn", "dataset": "digits"}))
    metrics = metrics_table()
    is_shown = metrics["setting"] == shown
    tables = {
        "metrics": pd.concat([metrics[~is_shown], metrics[is_shown]]),
        "paper": paper_table(),
        "history": history_table(),
        "potentials": potentials_table(),
        "timing": timing_table(),
        "curve": curve_table(),
        "layers": layers_table(),
    }
    for name, table in tables.items():
        if name not in without:
            table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def test_script_draws_every_figure(tmp_path):
    """Files of a whole study, and of a run without its extra tables, against the lists."""
    files = make_figures(write_result(tmp_path / "whole"), script.FIGURES)
    names = [draw.__name__ for draw in script.FIGURES]
    assert [file.stem for file in files[::2]] == names
    assert all(file.stat().st_size > 5000 for file in files)
    without = ("paper", "potentials", "timing", "curve")
    files = make_figures(write_result(tmp_path / "short", without), script.FIGURES)
    short = {"albsnn_accuracy", "albsnn_choice", "albsnn_layers"}
    assert {file.stem for file in files} == short
    files = make_figures(write_result(tmp_path / "real", without, shown="gap-real"), script.FIGURES)
    assert {file.stem for file in files} == short - {"albsnn_choice"}


def test_script_chooses_the_rows(tmp_path):
    """Panels of the script against seeds, numbers of steps and layers of the tables."""
    result = Result(write_result(tmp_path / "whole"))
    choice = script.albsnn_choice(result).axes
    assert [ax.get_title(loc="left") for ax in choice] == ["seed 1", "seed 2", "", ""]
    first, second = (by_label(ax)["conv1"].get_ydata()[0] for ax in choice[:2])
    assert second - first == pytest.approx(0.001)
    timing = script.albsnn_timing(result).axes
    assert [ax.get_title(loc="left") for ax in timing[::5]] == ["T = 2", "T = 4"]
    events = script.albsnn_layers(result).axes[2].patches
    assert max(bar.get_width() for bar in events) == pytest.approx(40.2)  # those of one step
    assert len(script.albsnn_potentials(result).axes) == 2


def test_script_has_room_for_few_settings(tmp_path):
    """Of many settings, the one that is shown and the first of the tables."""
    folder = write_result(tmp_path / "whole")
    for name in ("metrics", "potentials", "layers"):
        own = pd.read_csv(folder / f"{name}.csv")
        more = [own[own["setting"] == "gap-binary"].assign(setting=f"mine-{n}") for n in range(6)]
        pd.concat([*more, own]).to_csv(folder / f"{name}.csv", index=False)
    result = Result(folder)
    shown = ["chosen layers binary", *(f"mine-{n}" for n in range(4))]
    assert legend(script.albsnn_accuracy(result).axes[1])[:5] == shown
    assert legend(script.albsnn_potentials(result).axes[-1])[:5] == shown
    assert labels(script.albsnn_layers(result).axes[0].get_yticklabels()) == shown


def test_no_label_covers_another(tmp_path, monkeypatch):
    """Texts of every figure against each other and the edges of the figure."""
    result = Result(write_result(tmp_path / "whole"))
    for draw in script.FIGURES:
        check_labels(draw(result), monkeypatch)
    figure, axes = on((5.6, 3.4), 2, 1, sharex=True, height_ratios=(3, 1))  # as in the notebook
    albsnn_figures.choice_of_layers(
        axes, history_table(seeds=(1,), n_epochs=60).query("setting == 'albsnn'")
    )
    axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    check_labels(figure, monkeypatch)
