"""Figures of noise-trained networks: each draws one table on given axes.

The tables are those of the noise study; style and general colours are those of
`analysis.figures.style`. A **setting** is how a network was trained, a **condition** how it is run:
the rule that its neurons follow and, after a comma, what is unusual about it, e.g. "residual, hard
reset". A setting has a colour, a line style and a marker, the same in all figures; conditions look
as in `analysis.figures.noise_neuron`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.noise_neuron import LINES, condition_looks
from ann2brian.analysis.figures.style import (
    COLOURS,
    check_unique,
    doublings,
    log_axis,
    only_value,
    seed_label,
    trained_line,
)
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

# Line style, marker, colour of settings; colours of the "muted" palette of Paul Tol.
SETTINGS: Mapping[str, tuple[Any, str, str]] = MappingProxyType(
    {
        "noise": ("-", "o", "#332288"),
        "noise-matched": ("-", "s", "#117733"),
        "noise-estimated": ("-", "D", "#AA4499"),
        "noise-wide": ("-", "^", "#CC6677"),
        "noise-none": ("-", "v", "#88CCEE"),
        "noise-centred": ("-", "P", "#999933"),
        "noise-control": ((0, (3, 1.5)), "x", "#555555"),
        "direct2": ("-.", "X", "#DDCC77"),
        "direct4": ("-.", "d", "#882255"),
        "rate": (":", "h", "#44AA99"),
    }
)
OTHER_COLOUR = "#999999"
CONTROL = "noise-control"
# Of settings that their noise does not describe.
SETTING_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "noise-estimated": "estimated from residuals",
        "direct2": "direct training, T = 2",
        "direct4": "direct training, T = 4",
        "rate": "rate conversion",
    }
)
NEAR_POINTS = 10.0  # a magnified panel shows the lines that end this near to the best one
LEAST_POINTS = 3.0  # and at least this part of the axis
OF_LAYERS = (
    ("fano", "Fano factor"),
    ("noise_correlation", "noise correlation"),
    ("bits_per_spike", "bits per spike"),
    ("silent_fraction", "silent neurons (fraction)"),
)


# ---- names ----


def setting_names(metrics: pd.DataFrame) -> dict[str, str]:
    """Name of each setting in words, in the order in which settings are drawn.

    Parameters
    ----------
    metrics : DataFrame
        At least one row per setting: setting, mean and sigma (of the noise in training, in
        thresholds; NaN if there was none).

    Returns
    -------
    dict of str to str
        By setting. Mean and sigma where they say what is special about the setting; the name
        itself for a setting that is not known and has no noise.
    """
    known = [setting for setting in SETTINGS if (metrics["setting"] == setting).any()]
    names = {}
    for setting in dict.fromkeys([*known, *metrics["setting"]]):
        noise = metrics.loc[metrics["setting"] == setting, ["mean", "sigma"]].dropna()
        names[setting] = SETTING_WORDS.get(setting, setting)
        if setting not in SETTING_WORDS and len(noise):
            mean, sigma = noise.iloc[0]
            names[setting] = f"mean {mean:.3g}, σ = {sigma:.3g}"
        if setting == CONTROL:
            names[setting] = f"control: {names[setting]}"
    return names


def gaussian_layers(quantiles: pd.DataFrame) -> list[str]:
    """Layers for which a Gaussian was assumed that is wider than a point.

    Parameters
    ----------
    quantiles : DataFrame
        Of one setting and condition: layer, assumed.

    Returns
    -------
    list of str
        In the order of the table; each can be drawn by `residual_quantiles`.
    """
    width = quantiles.groupby("layer", sort=False)["assumed"].agg(np.ptp)
    return [str(layer) for layer in width.index[width > 0]]


# ---- accuracy ----


def accuracy_by_setting(
    axes: Sequence[Axes], time: pd.DataFrame, metrics: pd.DataFrame, condition: str
) -> None:
    """Accuracy against steps for one way to run the networks, one line per setting.

    A line is the mean over networks trained from different seeds, its band goes from the worst to
    the best of them. Triangles at the right are the trained networks in one step without noise.

    Parameters
    ----------
    axes : sequence of two Axes
        Everything, and the lines that end high, magnified; the legend stands right of the second.
    time : DataFrame
        Of one data set, one row per setting, seed, condition and step: setting, training_seed,
        condition, step, accuracy (fraction). Settings without the condition are left out.
    metrics : DataFrame
        One row per setting, seed and condition: setting, training_seed, condition, mean, sigma,
        ann_accuracy (fraction).
    condition : str
        Which one.

    Raises
    ------
    ValueError
        If no row has the condition, or a seed has several rows for the same step.
    """
    rows = _chosen(time, "condition", condition)
    own = _chosen(metrics, "condition", condition)
    names = setting_names(own[own["setting"].isin(rows["setting"])])
    trained = own.groupby("setting")["ann_accuracy"].mean()
    looks = _setting_looks(names)
    last = rows["step"].max()
    for ax in axes:
        _accuracy_lines(ax, rows, "setting", looks, names)
        for setting, (_, _, colour) in looks.items():
            ax.plot(
                last * 2**0.4,
                100 * trained[setting],
                color=colour,
                marker="<",
                markersize=4.5,
                linestyle="none",
                label=f"_trained {setting}",
            )
        ax.set_xlim(rows["step"].min() / 2**0.2, last * 2**0.7)
    _magnify(axes[1], [100 * trained[setting] for setting in names if setting != CONTROL])
    handles = _handles(looks, names)
    handles.append(Line2D([], [], color="0.3", marker="<", linestyle="none", label="as trained"))
    axes[1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes[0].set_ylabel("test accuracy (%)")


def accuracy_by_condition(
    axes: Sequence[Axes], time: pd.DataFrame, metrics: pd.DataFrame, setting: str
) -> None:
    """Accuracy against steps for the networks of one setting, one line per condition.

    A line is the mean over networks trained from different seeds, its band goes from the worst to
    the best of them.

    Parameters
    ----------
    axes : sequence of two Axes
        Everything, and the lines that end high, magnified; the legend stands right of the second.
    time : DataFrame
        See `accuracy_by_setting`.
    metrics : DataFrame
        One row per setting, seed and condition: setting, ann_accuracy (fraction).
    setting : str
        Which one.

    Raises
    ------
    ValueError
        If no row has the setting, a seed has several rows for the same step, or a condition does
        not begin with a rule.
    """
    rows = _chosen(time, "setting", setting)
    trained = float(_chosen(metrics, "setting", setting)["ann_accuracy"].mean())
    looks = condition_looks(rows["condition"])
    names = {condition: condition for condition in looks}
    last = rows["step"].max()
    for ax in axes:
        trained_line(ax, trained)
        _accuracy_lines(ax, rows, "condition", looks, names)
        ax.set_xlim(rows["step"].min() / 2**0.2, last * 2**0.2)
    _magnify(axes[1], [100 * trained])
    handles = _handles(looks, names)
    handles.append(axes[0].lines[0])
    axes[1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes[0].set_ylabel("test accuracy (%)")


# ---- residual potentials ----


def residual_quantiles(ax: Axes, quantiles: pd.DataFrame, residuals: pd.DataFrame) -> None:
    """Quantiles of what is left on the membranes of a layer against those of the assumed Gaussian.

    Points on the grey line have the value that was assumed. One row of points for each seed; the
    numbers are means over seeds.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    quantiles : DataFrame
        Of one setting, condition and layer, one row per seed and probability: training_seed,
        condition, layer, probability, assumed, sample (thresholds).
    residuals : DataFrame
        The same layer, one row per seed: mean, sd, wasserstein_assumed.

    Raises
    ------
    ValueError
        If there are no rows, several layers or conditions, or the Gaussian is a point.
    """
    layer, condition = only_value(quantiles, "layer"), only_value(quantiles, "condition")
    if not gaussian_layers(quantiles):
        raise ValueError(f"layer {layer}: no noise was assumed (sigma 0), nothing to compare with")
    ax.axline((0.5, 0.5), slope=1, color=COLOURS["exact"], linewidth=1.5, label="as assumed")
    colour = condition_looks([condition])[condition][2]
    for seed, rows in quantiles.groupby("training_seed"):
        own = rows.sort_values("probability")
        ax.plot(
            own["assumed"],
            own["sample"],
            color=colour,
            marker="o",
            markersize=2.5,
            markeredgewidth=0,
            linewidth=0.5,
            alpha=0.7,
            label=seed_label(seed),
        )
    mean = residuals[["mean", "sd", "wasserstein_assumed"]].mean()
    # Away from the grey line, which is above the points if the residual is below the assumption.
    is_below = quantiles["sample"].mean() < quantiles["assumed"].mean()
    ax.annotate(
        f"mean {mean['mean']:.2f}\ns.d. {mean['sd']:.2f}\n"
        f"$W_1$ = {mean['wasserstein_assumed']:.3f}",
        (0.98, 0.03) if is_below else (0.04, 0.97),
        xycoords="axes fraction",
        ha="right" if is_below else "left",
        va="bottom" if is_below else "top",
        fontsize="small",
    )
    ax.set(xlabel="assumed (thresholds)", ylabel="residual (thresholds)", title=layer)


# ---- layers ----


def layer_statistics(axes: Sequence[Axes], layers: pd.DataFrame) -> None:
    """Fano factor, noise correlation, bits per spike and silent neurons by layer and condition.

    Large markers are means over seeds, small ones the seeds.

    Parameters
    ----------
    axes : sequence of four Axes
        With a common vertical axis, which runs downwards; the legend stands right of the last.
    layers : DataFrame
        Of one setting, one row per seed, condition and layer: setting, training_seed, condition,
        layer, fano, noise_correlation, bits_per_spike, silent_fraction (NaN where it has no
        meaning).

    Raises
    ------
    ValueError
        If there are no rows, several settings, or a condition does not begin with a rule.
    """
    only_value(layers, "setting")
    names = list(dict.fromkeys(layers["layer"]))
    place = {name: index for index, name in enumerate(names)}
    looks = condition_looks(layers["condition"])
    height = 0.75 / len(looks)
    for ax, (column, label) in zip(axes, OF_LAYERS, strict=True):
        for border in range(1, len(names)):
            ax.axhline(border - 0.5, color="0.9", linewidth=0.6)
        if column == "noise_correlation":
            ax.axvline(0.0, color="0.7", linewidth=0.8)
        for index, (condition, (_, marker, colour)) in enumerate(looks.items()):
            rows = layers[layers["condition"] == condition]
            shift = (index - (len(looks) - 1) / 2) * height
            mean = rows.groupby("layer", sort=False)[column].mean()
            look: dict[str, Any] = {
                "color": colour,
                "marker": marker,
                "linestyle": "none",
                "markeredgewidth": 0,
            }
            if rows["training_seed"].nunique() > 1:
                y = rows["layer"].map(place) + shift
                ax.plot(rows[column], y, **look, markersize=2.5, alpha=0.5, label=f"_{condition}")
            ax.plot(mean, mean.index.map(place) + shift, **look, markersize=4.5, label=condition)
        ax.set_xlabel(label)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(3 if column == "noise_correlation" else 4))
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


# ---- helpers ----


def _setting_looks(settings: Iterable[str]) -> dict[str, tuple[Any, str, str]]:
    """Line style, marker and colour by setting; grey ones for those that are not known."""
    looks, others = {}, 0
    for setting in settings:
        looks[setting] = SETTINGS.get(setting, (LINES[others % len(LINES)], "*", OTHER_COLOUR))
        others += setting not in SETTINGS
    return looks


def _accuracy_lines(
    ax: Axes,
    rows: pd.DataFrame,
    column: str,
    looks: Mapping[str, tuple[Any, str, str]],
    names: Mapping[str, str],
) -> None:
    """Lines and bands of accuracies in per cent against steps, one for each value of a column."""
    for value, (line, marker, colour) in looks.items():
        own = rows[rows[column] == value]
        check_unique(own, ["training_seed", "step"], f"{column} {value}: ")
        by_seed = 100 * own.pivot(index="step", columns="training_seed", values="accuracy")
        # A mean over seeds of which some are missing would jump, so there is none.
        is_whole = by_seed.notna().all(axis=1)
        mean = by_seed.mean(axis=1).where(is_whole)
        step = by_seed.index.to_numpy()
        if by_seed.shape[1] > 1:
            ax.fill_between(
                step,
                by_seed.min(axis=1).where(is_whole),
                by_seed.max(axis=1).where(is_whole),
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
        ax.plot(
            step,
            mean,
            color=colour,
            linestyle=line,
            marker=marker,
            markevery=doublings(step),
            label=names[value],
            gid=value,
        )
    ax.set(xlabel="steps N", ylim=(0, 103))
    log_axis(ax, base=2)


def _magnify(ax: Axes, more: Sequence[float]) -> None:
    """Vertical limits around the lines that end near the best one, and around `more` values."""
    ends, best = [], []
    for line in ax.lines:
        values = np.asarray(line.get_ydata(), dtype=np.float64)
        values = values[np.isfinite(values)]
        if values.size and line.get_gid() not in (None, CONTROL):
            ends.append(values[-1])
            best.append(values.max())
    if not best:
        return
    more = [value for value in more if np.isfinite(value)]
    high = max([*best, *more])
    low = min([end for end in [*ends, *more] if end >= high - NEAR_POINTS], default=high)
    part = max(2.5 * (high - low), LEAST_POINTS)
    ax.set_ylim(high - part, min(high + 0.1 * part, 100.5))
    ax.set_title("magnified")


def _handles(looks: Mapping[str, tuple[Any, str, str]], names: Mapping[str, str]) -> list[Line2D]:
    """Entries of a legend."""
    return [
        Line2D([], [], linestyle=line, marker=marker, color=colour, label=names[key])
        for key, (line, marker, colour) in looks.items()
    ]


def _chosen(table: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """Rows with a value, or a ValueError that says which values there are."""
    rows = table[table[column] == value]
    if rows.empty:
        found = ", ".join(map(str, dict.fromkeys(table[column]))) or "none"
        raise ValueError(f"no row has {column} {value!r}; there are {found}")
    return rows
