"""Figures of noise-trained networks and of noisy neurons: each draws one table on given axes.

The tables are those of the noise study; style and general colours are those of `analysis.figures`.
A **setting** is how a network was trained, a **condition** how it is run: the rule that its
neurons follow and, after a comma, what is unusual about it, e.g. "residual, hard reset". A setting
has a colour, a line style and a marker, and so has a rule, the same in all figures; conditions of
one rule share its colour and differ in line style and marker. A way to get a spiking network (a
**method**) has the colour of its setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray
from scipy.special import ndtr

from .figures import COLOURS, beside, doublings, log_axis, trained_line

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
# How the names of methods begin, and the setting that lends the colour.
METHODS = (
    ("noise", "noise"),
    ("direct, T = 2", "direct2"),
    ("direct, T = 4", "direct4"),
    ("rate", "rate"),
    ("analogue", "rate"),  # the network that rate conversion starts from
)
# Of the palette of Okabe and Ito, like the general colours.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "residual": "#0072B2",
        "memoryless": "#D55E00",
        "both": "#009E73",
        "diffusive": "#CC79A7",
        "rate": "#44AA99",  # no noise at all: analogue networks
    }
)
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "<", ">")
TARGET_MARKERS = ("o", "s", "^", "D")
NEAR_POINTS = 10.0  # a magnified panel shows the lines that end this near to the best one
LEAST_POINTS = 3.0  # and at least this part of the axis
MOST_TRIALS = 40  # shown in a raster
LIMIT_PERCENT = 40.0  # of the training time of direct, T = 4; marked by a line
OF_TRIALS = (
    ("first_jitter_ms", "jitter of the first spike (ms)"),
    ("fano", "Fano factor of the counts"),
    ("cv2", "CV2 of the intervals"),
    ("reliability", "reliability"),
)
POISSON = ("fano", "cv2")  # measures that are 1 for a Poisson process
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


def rules(table: pd.DataFrame) -> list[str]:
    """Rules of a table, each once, in the order in which they are drawn.

    Parameters
    ----------
    table : DataFrame
        With a column rule.

    Returns
    -------
    list of str
        So many panels `trial_rasters` and `trial_intervals` draw.
    """
    return list(_looks(table["rule"]))


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
    looks = _looks(rows["condition"])
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
    layer, condition = _one(quantiles, "layer"), _one(quantiles, "condition")
    if not gaussian_layers(quantiles):
        raise ValueError(f"layer {layer}: no noise was assumed (sigma 0), nothing to compare with")
    ax.axline((0.5, 0.5), slope=1, color=COLOURS["exact"], linewidth=1.5, label="as assumed")
    colour = _looks([condition])[condition][2]
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
            label=f"seed {seed}",
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


# ---- one neuron ----


def psychometric_curves(ax: Axes, psychometric: pd.DataFrame, fits: pd.DataFrame) -> None:
    """Firing probability against drive: measured with intervals, in theory, and fitted, by rule.

    Lines of theory and points become smaller from rule to rule, so that those of rules that do the
    same can all be seen.

    Parameters
    ----------
    ax : Axes
        Where to draw; the legend stands right of it.
    psychometric : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        probability, low, high, theory.
    fits : DataFrame
        At most one row per rule: rule, threshold, width and their ends (_low, _high),
        theory_threshold, theory_width (thresholds). Without a row, or with NaN for the threshold,
        no fit is drawn; without a row, or with NaN for the width in theory, a line through the
        values in `psychometric` is the theory.

    Raises
    ------
    ValueError
        If there are no rows, or a rule has several leaks.
    """
    names = _rule_names(psychometric)
    low, high = psychometric["drive"].min(), psychometric["drive"].max()
    fine = np.linspace(low, high, 501)
    looks = _looks(psychometric["rule"])
    thickness = np.linspace(6.5, 2.0, len(looks))
    sizes = _shrinking(len(looks))
    for thick, size, rule in zip(thickness, sizes, looks, strict=True):
        _, marker, colour = looks[rule]
        rows = psychometric[psychometric["rule"] == rule].sort_values("drive")
        found = fits[fits["rule"] == rule]
        fit = found.iloc[0] if len(found) else None
        if fit is not None and fit["theory_width"] >= 0:
            x, y = fine, _normal(fine, fit["theory_threshold"], fit["theory_width"])
        else:
            x, y = rows["drive"].to_numpy(), rows["theory"].to_numpy()
        ax.plot(x, y, color=_pale(colour), linewidth=thick, label=f"_theory {rule}")
        text = "no fit"
        if fit is not None and fit["threshold"] == fit["threshold"]:
            y = _normal(fine, fit["threshold"], fit["width"])
            ax.plot(fine, y, color=colour, linewidth=1, linestyle="--", label=f"_fit {rule}")
            text = "\n".join(
                f"{name} {fit[name]:.3f} ({fit[f'{name}_low']:.3f} to {fit[f'{name}_high']:.3f})"
                for name in ("threshold", "width")
            )
        p = rows["probability"]
        ax.errorbar(
            rows["drive"],
            p,
            yerr=np.clip([p - rows["low"], rows["high"] - p], 0, None),
            color=colour,
            marker=marker,
            markersize=size,
            linestyle="none",
            elinewidth=0.8,
            label=f"{names[rule]}\n{text}",
        )
    handles, labels = ax.get_legend_handles_labels()
    handles += [
        Line2D([], [], color=_pale("0.3"), linewidth=4),
        Line2D([], [], color="0.3", linewidth=1, linestyle="--"),
    ]
    labels += ["theory", "fitted Φ((drive − threshold) / width)"]
    ax.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.9)
    ax.set(xlabel="drive (thresholds)", ylabel="firing probability", ylim=(-0.03, 1.03))
    ax.xaxis.set_major_locator(MaxNLocator(6))


def trial_rasters(
    axes: Sequence[Axes],
    raster: pd.DataFrame,
    trials: pd.DataFrame,
    drive: float,
    *,
    shown_ms: float | None = None,
) -> None:
    """Spikes of one neuron in repeated trials of the same drive, one panel per rule.

    Parameters
    ----------
    axes : sequence of Axes
        As many as there are `rules` in `trials`.
    raster : DataFrame
        One row per spike: rule, leak, drive, trial (from 0), time_ms.
    trials : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        n_trials.
    drive : float
        Which one.
    shown_ms : float, optional
        End of the time axis; the last spike of all panels by default.

    Raises
    ------
    ValueError
        If there are no trials or no spikes with this drive, or a rule has several leaks.
    """
    names = _rule_names(trials)
    at_drive = _at_drive(trials, drive)
    own = _of_trials(raster, at_drive)
    if own.empty:
        raise ValueError(f"the raster has no spikes of these trials with drive {drive:g}")
    end = shown_ms or 1.02 * float(own["time_ms"].max())
    own = own[(own["trial"] < MOST_TRIALS) & (own["time_ms"] <= end)]
    n_trials = at_drive["n_trials"].max()
    shown = min(n_trials, MOST_TRIALS)
    for ax, (rule, (_, _, colour)) in zip(axes, _looks(trials["rule"]).items(), strict=True):
        rows = own[own["rule"] == rule]
        y = rows["trial"]
        ax.vlines(rows["time_ms"], y - 0.4, y + 0.4, color=colour, linewidth=0.9)
        ax.set(title=names[rule], xlabel="time (ms)", xlim=(0, end), ylim=(shown - 0.4, -0.6))
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    of_all = f" (first {shown} of {n_trials})" if shown < n_trials else ""
    axes[0].set_ylabel(f"trial{of_all}")


def trial_intervals(
    axes: Sequence[Axes], intervals: pd.DataFrame, trials: pd.DataFrame, drive: float
) -> None:
    """Histograms of the intervals between spikes of one neuron, one panel per rule.

    Parameters
    ----------
    axes : sequence of Axes
        As many as there are `rules` in `trials`.
    intervals : DataFrame
        One row per rule, drive and interval that occurs: rule, leak, drive, interval_ms, fraction.
    trials : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        mean_interval_ms and cv (NaN without intervals).
    drive : float
        Which one.

    Raises
    ------
    ValueError
        If there are no trials with this drive, or a rule has several leaks.
    """
    _rule_names(trials)
    at_drive = _at_drive(trials, drive)
    own = _of_trials(intervals, at_drive)
    distance = np.diff(np.unique(own["interval_ms"]))
    width = 0.8 * float(distance.min(initial=distance[0])) if len(distance) else 0.8
    for ax, (rule, (_, _, colour)) in zip(axes, _looks(trials["rule"]).items(), strict=True):
        rows = own[own["rule"] == rule]
        ax.bar(rows["interval_ms"], 100 * rows["fraction"], width, color=colour)
        text = "no intervals"
        if len(rows):
            of_rule = at_drive[at_drive["rule"] == rule].iloc[0]
            text = f"mean {of_rule['mean_interval_ms']:.3g} ms\nCV {of_rule['cv']:.2f}"
        ax.annotate(
            text, (0.98, 0.98), xycoords="axes fraction", ha="right", va="top", fontsize="small"
        )
        room = 1.4 * 100 * max(rows["fraction"].max() if len(rows) else 0.0, 0.01)
        ax.set(xlabel="interval (ms)", ylim=(0, room))
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes[0].set_ylabel("intervals (%)")


def trial_statistics(axes: Sequence[Axes], trials: pd.DataFrame) -> None:
    """Jitter, Fano factor, CV2 and reliability of one neuron against its drive, by rule.

    Markers become smaller from rule to rule, so that rules that do the same can all be seen. The
    dashed line is a Poisson process.

    Parameters
    ----------
    axes : sequence of four Axes
        The legend stands right of the last.
    trials : DataFrame
        Of one leak for each rule, one row per rule and drive: rule, leak, drive (thresholds),
        first_jitter_ms, fano, cv2, reliability (NaN where it has no meaning).

    Raises
    ------
    ValueError
        If there are no rows, or a rule has several leaks.
    """
    names = _rule_names(trials)
    looks = _looks(trials["rule"])
    sizes = _shrinking(len(looks))
    for ax, (column, label) in zip(axes, OF_TRIALS, strict=True):
        if column in POISSON:
            ax.axhline(
                1.0, color=COLOURS["trained"], linewidth=0.8, linestyle="--", label="Poisson"
            )
        for size, (rule, (line, marker, colour)) in zip(sizes, looks.items(), strict=True):
            rows = trials[trials["rule"] == rule].sort_values("drive")
            ax.plot(
                rows["drive"],
                rows[column],
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=size,
                label=names[rule],
            )
        ax.set(xlabel="drive (thresholds)", ylabel=label)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]) if column == "first_jitter_ms" else -0.04)
    axes[-1].set_ylim(top=1.04)
    handles = [*axes[-1].lines, axes[1].lines[0]]
    axes[-1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))


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
    _one(layers, "setting")
    names = list(dict.fromkeys(layers["layer"]))
    place = {name: index for index, name in enumerate(names)}
    looks = _looks(layers["condition"])
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


# ---- comparison with other methods ----


def effort_at_accuracy(axes: Sequence[Axes], comparison: pd.DataFrame) -> None:
    """Steps and wall time until an accuracy is reached, one row per method.

    Small markers are the seeds; the large one with its number is their geometric mean, drawn if
    all of them reach the accuracy.

    Parameters
    ----------
    axes : sequence of two Axes
        Steps and wall time; with a common vertical axis, which runs downwards. With several
        accuracies the legend stands right of the second.
    comparison : DataFrame
        Of one data set, one row per method, seed and accuracy to reach: method, training_seed,
        target_accuracy (fraction), n_steps and ms_per_image (NaN n_steps: not reached), accuracy
        (what the method has in the end, if not reached; the mean over seeds is shown).

    Raises
    ------
    ValueError
        If there are no rows, or several for one method, seed and accuracy.
    """
    _some(comparison)
    _once(comparison, ["method", "training_seed", "target_accuracy"])
    methods = _ordered(comparison["method"])
    # Accuracies to reach may depend on the seed; the lowest ones of all seeds belong together.
    rank = comparison.groupby("training_seed")["target_accuracy"].rank("dense").astype(int)
    targets = {
        number: _percent_range(rows["target_accuracy"]) for number, rows in comparison.groupby(rank)
    }
    markers = {number: TARGET_MARKERS[(number - 1) % len(TARGET_MARKERS)] for number in targets}
    height = 0.75 / len(targets)
    is_reached = comparison["n_steps"].notna()
    several = len(targets) > 1
    aim = "an accuracy" if several else next(iter(targets.values()))
    for ax, (column, label) in zip(
        axes,
        (("n_steps", "steps until {} is reached"), ("ms_per_image", "wall time per image (ms)")),
        strict=True,
    ):
        values = comparison[column].where(is_reached)
        ax.set_xlabel(label.format(aim))
        log_axis(ax, base=10)
        low, high = _room_for_numbers(values)
        ax.set_xlim(low, high)
        if high > 200 * low:  # the numbers between powers of ten would touch
            ax.xaxis.set_major_locator(LogLocator(base=10))
        for border in range(1, len(methods)):
            ax.axhline(border - 0.5, color="0.9", linewidth=0.6)
        for number, (at, marker) in enumerate(markers.items()):
            for y, method in enumerate(methods):
                is_own = (comparison["method"] == method) & (rank == at)
                if is_own.any():
                    y_at = y + (number - (len(targets) - 1) / 2) * height
                    text = "not reached"
                    end = 100 * comparison.loc[is_own, "accuracy"].mean()
                    if column == "n_steps" and np.isfinite(end):
                        text += f" ({end:.1f} % in the end)"
                    _effort(ax, values[is_own], y_at, text, marker, _method_colour(method))
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(methods)), methods)
    axes[0].set_ylim(len(methods) - 0.5, -0.5)
    if several:
        handles = [
            Line2D([], [], color="0.3", marker=marker, linestyle="none", label=targets[number])
            for number, marker in markers.items()
        ]
        axes[-1].legend(
            handles=handles,
            title="accuracy to reach",
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            alignment="left",
        )


def training_time(ax: Axes, training: pd.DataFrame) -> None:
    """Time to train on an image, relative to direct training with four steps, by method.

    Parameters
    ----------
    ax : Axes
        Where to draw; its vertical axis runs downwards.
    training : DataFrame
        One row per method: method, ms_per_image, ratio, low, high (ends of its interval, NaN if
        there is none).

    Raises
    ------
    ValueError
        If there are no rows, or several for a method.
    """
    _some(training)
    _once(training, ["method"])
    rows = training.set_index("method").loc[_ordered(training["method"])]
    ratio, low, high = 100 * rows[["ratio", "low", "high"]].to_numpy().T
    y = np.arange(len(rows))
    ax.barh(y, ratio, 0.6, color=[_method_colour(method) for method in rows.index])
    arms = np.array([ratio - low, high - ratio])
    ax.errorbar(ratio, y, xerr=arms, fmt="none", ecolor="0.2", elinewidth=0.8, capsize=2)
    right = max(float(np.nanmax(np.fmax(ratio, high))), LIMIT_PERCENT)
    for at, value, time in zip(y, ratio, rows["ms_per_image"], strict=True):
        beside(ax, right, at, f"{value:.0f} % ({time:.3g} ms)")
    ax.axvline(LIMIT_PERCENT, color=COLOURS["trained"], linewidth=0.8, linestyle="--")
    ax.annotate(
        f"{LIMIT_PERCENT:g} %",
        (LIMIT_PERCENT, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize="small",
    )
    ax.set(
        xlabel="training time per image (% of direct, T = 4)",
        xlim=(0, 1.4 * right),
        ylim=(len(rows) - 0.5, -0.5),
    )
    ax.set_yticks(y, rows.index)
    ax.tick_params(axis="y", length=0)


# ---- helpers ----


def _looks(conditions: Iterable[str]) -> dict[str, tuple[Any, str, str]]:
    """Line style, marker and colour by condition, in the order of the rules.

    A rule on its own has the first line style and its own first marker; other conditions of the
    same rule take the next ones.
    """
    looks = {}
    found = list(dict.fromkeys(conditions))
    for first, (rule, colour) in enumerate(RULES.items()):
        variants = [c for c in found if c.startswith(f"{rule},")]
        for index, condition in enumerate([rule, *variants]):
            line = LINES[index % len(LINES)]
            looks[condition] = (line, MARKERS[(first + index) % len(MARKERS)], colour)
    unknown = [condition for condition in found if condition not in looks]
    if unknown:
        raise ValueError(
            f"condition {unknown[0]!r} does not begin with a rule, which are {', '.join(RULES)}"
        )
    return {condition: look for condition, look in looks.items() if condition in found}


def _setting_looks(settings: Iterable[str]) -> dict[str, tuple[Any, str, str]]:
    """Line style, marker and colour by setting; grey ones for those that are not known."""
    looks, others = {}, 0
    for setting in settings:
        looks[setting] = SETTINGS.get(setting, (LINES[others % len(LINES)], "*", OTHER_COLOUR))
        others += setting not in SETTINGS
    return looks


def _ordered(methods: Iterable[str]) -> list[str]:
    """Methods, each once, in the order of `METHODS`; others last."""

    def place(method: str) -> int:
        found = (i for i, (start, _) in enumerate(METHODS) if method.startswith(start))
        return next(found, len(METHODS))

    return sorted(dict.fromkeys(methods), key=place)


def _pale(colour: str) -> tuple[float, float, float]:
    """Mix a colour with white."""
    red, green, blue = (0.4 * part + 0.6 for part in to_rgb(colour))
    return red, green, blue


def _shrinking(n: int) -> NDArray[np.float64]:
    """Sizes of markers that lie on each other."""
    return np.linspace(5.5, 2.5, n)


def _rule_names(table: pd.DataFrame) -> dict[str, str]:
    """Name of each rule with its leak, of which there must be one."""
    _some(table)
    names = {}
    for rule in _looks(table["rule"]):
        leak = _one(table[table["rule"] == rule], "leak", f"rule {rule}: ")
        names[rule] = rule if leak == 1 else f"{rule}, leak {leak:g}"
    return names


def _of_trials(table: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Rows with the rule, leak and drive of one of the trials."""
    is_own = np.zeros(len(table), dtype=bool)
    for row in trials.itertuples():
        is_own |= (
            (table["rule"] == row.rule)
            & np.isclose(table["leak"], row.leak)
            & np.isclose(table["drive"], row.drive)
        )
    return table[is_own]


def _method_colour(method: str) -> str:
    """Colour of the setting whose networks the method uses."""
    settings = (setting for start, setting in METHODS if method.startswith(start))
    setting = next(settings, None)
    return SETTINGS[setting][2] if setting else OTHER_COLOUR


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
        _once(own, ["training_seed", "step"], f"{column} {value}: ")
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


def _effort(ax: Axes, values: pd.Series, y: float, never: str, marker: str, colour: str) -> None:
    """Markers of the seeds of a method, their geometric mean, and what was not reached."""
    reached = values.dropna()
    missing = len(values) - len(reached)
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none"}
    if missing == len(values):
        ax.text(0.02, y, never, va="center", fontsize="small", transform=ax.get_yaxis_transform())
        return
    if len(values) > 1:
        ax.plot(reached, np.full(len(reached), y), **look, markersize=3, alpha=0.5)
    if missing:
        beside(ax, reached.max(), y, f"{missing} of {len(values)} not reached")
        return
    mean = float(np.exp(np.log(reached).mean()))
    ax.plot(mean, y, **look, markersize=6)
    beside(ax, reached.max(), y, f"{mean:.3g}")


def _room_for_numbers(values: pd.Series) -> tuple[float, float]:
    """Limits of a logarithmic axis with room right of the values."""
    found = values.dropna()
    if found.empty:
        return 1.0, 10.0
    low, high = np.log10([found.min(), found.max()])
    span = max(high - low, 0.5)
    return float(10 ** (low - 0.1 * span)), float(10 ** (high + 0.8 * span))


def _percent_range(fractions: pd.Series) -> str:
    """Values in per cent, as one number if they are all the same."""
    low, high = f"{100 * fractions.min():.1f}", f"{100 * fractions.max():.1f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _normal(x: NDArray, threshold: float, width: float) -> NDArray:
    """Firing probability with Gaussian noise; a step at the threshold without."""
    return ndtr((x - threshold) / width) if width > 0 else (x >= threshold).astype(np.float64)


def _chosen(table: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """Rows with a value, or a ValueError that says which values there are."""
    rows = table[table[column] == value]
    if rows.empty:
        found = ", ".join(map(str, dict.fromkeys(table[column]))) or "none"
        raise ValueError(f"no row has {column} {value!r}; there are {found}")
    return rows


def _at_drive(trials: pd.DataFrame, drive: float) -> pd.DataFrame:
    """Rows with a drive, or a ValueError that says which drives there are."""
    rows = trials[np.isclose(trials["drive"], drive)]
    if rows.empty:
        found = ", ".join(f"{value:g}" for value in sorted(trials["drive"].unique()))
        raise ValueError(f"no trials with drive {drive:g}; there are {found}")
    return rows


def _some(table: pd.DataFrame) -> None:
    if table.empty:
        raise ValueError("nothing to draw: the table has no rows")


def _one(table: pd.DataFrame, column: str, where: str = "") -> Any:
    """The only value of a column, or a ValueError."""
    _some(table)
    values = list(dict.fromkeys(table[column]))
    if len(values) > 1:
        found = ", ".join(map(str, values))
        raise ValueError(f"{where}draw one {column} at a time, the table has {found}")
    return values[0]


def _once(table: pd.DataFrame, columns: list[str], where: str = "") -> None:
    """Refuse a table in which the columns do not tell all rows apart."""
    twice = table[table.duplicated(columns)]
    if len(twice):
        row = ", ".join(f"{column} {twice[column].iloc[0]}" for column in columns)
        raise ValueError(f"{where}several rows for {row}; choose the rows of one network first")
