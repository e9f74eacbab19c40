"""Figures of burst networks: each function draws one table on given axes.

The tables are those of the burst study; style and general colours are those of
`analysis.figures.style`. A **setting** is everything about a condition but Gamma, the largest
number of spikes of a burst: a setting has a colour, Gamma a line style and a marker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import (
    COLOURS,
    beside,
    colour_bar,
    doublings,
    log_axis,
    sequence,
    spread,
    trained_line,
)
from ann2brian.analysis.statistics.accuracy import accuracy_interval
from ann2brian.models.spiking.recording import RecordedLayer, Spikes
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

# Of the "muted" palette of Paul Tol, in an order that puts like colours apart.
SETTING_COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#AA4499",
    "#999933",
    "#882255",
    "#44AA99",
    "#DDCC77",
)
GAMMA_STYLES = ((":", "o"), ("--", "s"), ("-.", "^"), ((0, (6, 1)), "v"))
LARGEST_GAMMA_STYLE = ("-", "D")
POOLING: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "lipool": ("lateral inhibition", "#0072B2"),
        "gated": ("gated by the largest count", "#E69F00"),
        "or": ("OR of the spikes", "#D55E00"),
    }
)
INTERVALS: Mapping[str, str] = MappingProxyType({"within": "#D55E00", "between": "#0072B2"})
# Ratios to a conventional conversion from the abstract of Li and Zeng (2022), arXiv 2204.13271;
# the part of the paper that says how they were measured was not read.
PAPER: Mapping[str, tuple[float, str]] = MappingProxyType(
    {"time_ratio": (0.1, "1/10"), "energy_ratio": (0.693, "0.693")}
)
RATIOS = (
    ("time_ratio", "biological time / baseline"),
    ("spike_ratio", "spikes / baseline"),
    ("energy_ratio", "energy / baseline"),
)
EFFORTS = (
    ("step", "steps of the algorithm T"),
    ("sub_steps", "binary sub-steps Γ T"),
    ("time_ms", "biological time (ms)"),
)
ERRORS = (
    ("sin_fraction", "spikes of inactivated neurons\n(fraction of neurons)", "burst"),
    ("residual_fraction", "residual information\n(fraction of neurons)", "burst"),
    ("pooling_error", "pooling error\n(spikes per step)", "pool"),
)
HEADINGS = ("normalisation", "most spikes of a burst")
SAME_BUT_POOLING = ["normalisation", "percentile", "initial", "timing", "gamma"]
TICK = 0.45  # width of a spike in a raster, in steps; the rest is the gap to the next one


# ---- conditions ----


def settings(metrics: pd.DataFrame) -> dict[str, str]:
    """Name of the setting of each condition, in words.

    Parameters
    ----------
    metrics : DataFrame
        One row per condition: condition, normalisation, percentile, initial, timing, pooling.

    Returns
    -------
    dict of str to str
        By condition. The timing is named if there are several, the other exceptions where they
        apply.
    """
    has_timings = metrics["timing"].nunique() > 1
    names = {}
    for row in metrics.itertuples():
        percentile = f"{row.percentile:g} %"
        parts = [
            {
                "maximum": "maximum",
                "trained": "as trained",
                "percentile": percentile,
                "percentile/gamma": f"{percentile} / Γ",
                "compatibility": f"compatibility {percentile}",
            }[row.normalisation]
        ]
        if row.initial:
            parts.append(f"V(0) = {row.initial:g}")
        parts += [
            words
            for column, words in (
                ("channel_wise", "by channel"),
                ("own_limits", "own limits"),
                ("bias_correction", "corrected"),
            )
            if getattr(row, column, False)
        ]
        if row.pooling != "lipool":
            parts.append(f"pooling {row.pooling}")
        if has_timings:
            parts.append(str(row.timing))
        names[row.condition] = ", ".join(parts)
    return names


def pooling_groups(metrics: pd.DataFrame) -> list[pd.DataFrame]:
    """Conditions that differ in nothing but the pooling rule.

    Parameters
    ----------
    metrics : DataFrame
        One row per condition: condition, normalisation, percentile, initial, timing, gamma,
        pooling.

    Returns
    -------
    list of DataFrame
        Rows of each group with at least two rules, smaller Gamma first.
    """
    has_percentile = metrics["normalisation"] != "maximum"
    same = metrics.assign(percentile=metrics["percentile"].where(has_percentile))
    groups = [
        metrics.loc[rows.index]
        for _, rows in same.groupby(SAME_BUT_POOLING, dropna=False, sort=False)
        if rows["pooling"].nunique() > 1
    ]
    return sorted(groups, key=lambda rows: rows["gamma"].iloc[0])


def ablation_chain(metrics: pd.DataFrame) -> pd.DataFrame:
    """Conditions of the full method and of what is left as its parts go, one after the other.

    Parameters
    ----------
    metrics : DataFrame
        One row per condition: condition, normalisation, percentile, initial, timing, gamma,
        pooling.

    Returns
    -------
    DataFrame
        Rows of the longest chain with a column ``item``: all (lateral inhibition, the largest
        Gamma above 1, percentile), then without lateral inhibition (gated), also without bursts
        (Gamma 1), also without percentile (maximum). The first of equally long chains; empty if
        there is none of at least two.
    """
    best = metrics.iloc[:0].assign(item=pd.Series(dtype=str))
    is_full = (
        (metrics["pooling"] == "lipool")
        & (metrics["normalisation"] == "percentile")
        & (metrics["gamma"] > 1)
    )
    full = metrics[is_full].sort_values("gamma", ascending=False, kind="stable")
    for _, start in full.iterrows():
        chain = _chain_from(metrics, start)
        if len(chain) > max(len(best), 1):
            best = chain
    return best


def _chain_from(metrics: pd.DataFrame, start: pd.Series) -> pd.DataFrame:
    """Conditions that follow from one of the full method, up to the first that is missing."""
    wanted = {"pooling": "lipool", "gamma": start["gamma"], "normalisation": "percentile"}
    steps: tuple[tuple[str, dict[str, object]], ...] = (
        ("bursts, lateral inhibition, percentile", {}),
        ("− lateral inhibition", {"pooling": "gated"}),
        ("− bursts", {"gamma": 1}),
        ("− percentile", {"normalisation": "maximum"}),
    )
    found = []
    for item, change in steps:
        wanted |= change
        is_found = (metrics["initial"] == start["initial"]) & (metrics["timing"] == start["timing"])
        for column, value in wanted.items():
            is_found &= metrics[column] == value
        if wanted["normalisation"] == "percentile":
            is_found &= metrics["percentile"] == start["percentile"]
        if not is_found.any():
            break
        found.append(metrics[is_found].iloc[:1].assign(item=item))
    return pd.concat(found)


# ---- figures ----


def accuracy_against_effort(
    axes: Sequence[Axes], time: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    """Accuracy against steps, sub-steps and time, one line per condition.

    Parameters
    ----------
    axes : sequence of three Axes
        With a common vertical axis; the legend stands right of the last.
    time : DataFrame
        One row per condition and step: condition, step, sub_steps, time_ms, accuracy (fraction).
    metrics : DataFrame
        One row per condition to draw; see `settings`, and ann_accuracy (fraction).
    """
    names = settings(metrics)
    colours = _setting_colours(names)
    styles = _gamma_styles(metrics)
    for ax, (column, label) in zip(axes, EFFORTS, strict=True):
        for trained in metrics["ann_accuracy"].unique():
            trained_line(ax, float(trained))
        for row in metrics.itertuples():
            rows = time[time["condition"] == row.condition].sort_values("step")
            line, marker = styles[row.gamma]
            ax.plot(
                rows[column],
                100 * rows["accuracy"],
                color=colours[names[row.condition]],
                linestyle=line,
                marker=marker,
                markevery=doublings(rows["step"].to_numpy()),
                label=row.condition,
            )
        ax.set(xlabel=label, ylim=(0, 103))
        log_axis(ax, base=10 if column == "time_ms" else 2)
    axes[0].set_ylabel("test accuracy (%)")
    handles = [_heading(HEADINGS[0])]
    handles += [Line2D([], [], color=c, linewidth=2, label=n) for n, c in colours.items()]
    handles += [_heading(HEADINGS[1])]
    handles += [
        Line2D([], [], color="0.3", linestyle=line, marker=marker, label=f"Γ = {gamma}")
        for gamma, (line, marker) in styles.items()
    ]
    handles += [Line2D([], [], color="black", linewidth=0.8, linestyle="--", label="trained")]
    legend = axes[-1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for text in legend.get_texts():
        if text.get_text() in HEADINGS:
            text.set_fontweight("bold")


def pooling_rules(ax: Axes, time: pd.DataFrame, group: pd.DataFrame) -> None:
    """Mean squared error of the logits against steps, one line per pooling rule.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    time : DataFrame
        One row per condition and step: condition, step, logit_mse.
    group : DataFrame
        From `pooling_groups`.
    """
    for rule, (name, colour) in POOLING.items():
        for condition in group.loc[group["pooling"] == rule, "condition"]:
            rows = time[time["condition"] == condition].sort_values("step")
            ax.plot(
                rows["step"],
                rows["logit_mse"],
                color=colour,
                marker="o",
                markevery=doublings(rows["step"].to_numpy()),
                label=name,
            )
    ax.set_xlabel("steps of the algorithm T")
    ax.set_title(_group_title(group))
    log_axis(ax, base=2)
    log_axis(ax, base=10, which="y")


def matched_accuracy(axes: Sequence[Axes], matched: pd.DataFrame) -> None:
    """Time, spikes and energy at equal accuracy, relative to the baseline.

    Parameters
    ----------
    axes : sequence of three Axes
        With a common vertical axis, which runs downwards.
    matched : DataFrame
        One row per condition and loss_points (allowed loss against the trained network, in
        points): condition, loss_points, step (T at which the accuracy is reached), time_ratio,
        spike_ratio, energy_ratio (NaN where the baseline does not reach the accuracy).
    """
    conditions = list(dict.fromkeys(matched["condition"]))
    losses = sorted(matched["loss_points"].unique())
    height = 0.8 / len(losses)
    place = {name: i for i, name in enumerate(conditions)}
    for ax, (column, label) in zip(axes, RATIOS, strict=True):
        for index, (loss, colour) in enumerate(
            zip(losses, sequence("allowed_loss", len(losses)), strict=True)
        ):
            rows = matched[matched["loss_points"] == loss]
            y = rows["condition"].map(place) + (index - (len(losses) - 1) / 2) * height
            ax.barh(
                y,
                rows[column].fillna(0),
                0.9 * height,
                color=colour,
                label=f"at most {loss:g}",
            )
            for at, ratio, step in zip(y, rows[column], rows["step"], strict=True):
                text = "baseline not reached" if np.isnan(ratio) else f"{ratio:.2f}"
                if column == "time_ratio" and not np.isnan(ratio):
                    text += f" (T = {step:g})"
                ax.annotate(
                    text,
                    (0 if np.isnan(ratio) else ratio, at),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize="small",
                    bbox={"facecolor": "white", "linewidth": 0, "pad": 0.6},
                )
        ax.axvline(1.0, color=COLOURS["trained"], linewidth=0.8, linestyle="--")
        _mark_of_the_paper(ax, column)
        ax.set(xlabel=label, xlim=(0, 1.35 * max(1.0, matched[column].max(skipna=True))))
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(conditions)), conditions)
    axes[0].set_ylim(len(conditions) - 0.5, -0.5)


def ablation(axes: Sequence[Axes], chain: pd.DataFrame, time: pd.DataFrame) -> None:
    """What accuracy and logits lose as the parts of the method go, one after the other.

    Parameters
    ----------
    axes : sequence of two Axes
        With a common vertical axis, which runs downwards.
    chain : DataFrame
        From `ablation_chain`, with n_images and ann_accuracy (fraction).
    time : DataFrame
        One row per condition and step: condition, step, accuracy (fraction), logit_mse. The last
        step that all conditions of the chain have is drawn.

    Notes
    -----
    The bars of the accuracy carry its 95 % interval (Wilson). The images are the same in all rows,
    so differences between rows are surer than the intervals say.
    """
    rows = time[time["condition"].isin(chain["condition"])]
    n_steps = int(rows.groupby("condition")["step"].max().min())
    last = rows[rows["step"] == n_steps].set_index("condition").loc[chain["condition"]]
    trained = chain["ann_accuracy"].to_numpy()
    images = chain["n_images"].to_numpy()
    accuracy = last["accuracy"].to_numpy()
    ends = np.array(
        [accuracy_interval(round(a * n), int(n)) for a, n in zip(accuracy, images, strict=True)]
    )
    loss = 100 * (trained - accuracy)
    arms = 100 * np.abs(ends - accuracy[:, None]).T[::-1]
    y = np.arange(len(chain))
    axes[0].barh(y, loss, 0.6, color=COLOURS["spiking"])
    axes[0].errorbar(loss, y, xerr=arms, fmt="none", ecolor="0.3", elinewidth=0.8, capsize=2)
    right = loss + arms[1]
    for at, end, value in zip(y, right, accuracy, strict=True):
        beside(axes[0], end, at, f"{100 * value:.1f} %")
    low = min(0.0, 1.1 * float((loss - arms[0]).min()))
    axes[0].set(
        xlabel=f"accuracy lost at T = {n_steps} (points)",
        xlim=(low, float(right.max()) + 0.3 * (float(right.max()) - low)),
    )
    axes[0].axvline(0.0, color=COLOURS["trained"], linewidth=0.8)
    axes[0].set_yticks(y, chain["item"])
    axes[0].set_ylim(len(chain) - 0.5, -0.5)
    errors = last["logit_mse"].to_numpy()
    axes[1].plot(errors, y, "o", color=COLOURS["agreement"])
    for at, value in zip(y, errors, strict=True):
        beside(axes[1], value, at, f"{value:.2g}")
    axes[1].set_xlabel(f"mean squared error of the logits at T = {n_steps}")
    log_axis(axes[1], base=10)
    axes[1].margins(x=0.25)
    axes[1].grid(axis="y", color="0.9", linewidth=0.6)
    for ax in axes:
        ax.tick_params(axis="y", length=0)


def burst_raster(
    ax: Axes,
    spikes: Spikes,
    layers: Sequence[RecordedLayer],
    dt_ms: float,
    phase_steps: int,
    n_phases: int,
    *,
    most_neurons: int = 24,
) -> None:
    """Bursts of one image on their way through the layers, one row for each active neuron.

    Every other phase of a layer is shaded, from the one on in which the image reaches it. A spike
    is a tick at the start of its step, its colour the place of the spike in its burst.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    spikes : Spikes
        Of one image.
    layers : sequence of RecordedLayer
        All layers of the recording, in its order; the first is drawn at the top.
    dt_ms : float
        Length of a simulation step in ms.
    phase_steps : int
        Simulation steps of a phase.
    n_phases : int
        Phases to show, from the image's onset on.
    most_neurons : int
        Neurons drawn of each layer; of more active ones evenly spaced ones are, and the label
        says how many.

    Raises
    ------
    ValueError
        If the spikes belong to several images.
    """
    if len(np.unique(spikes.image)) > 1:
        raise ValueError(
            f"a raster shows one image, the spikes belong to {len(np.unique(spikes.image))}"
        )
    seen = spikes.where(spikes.step < n_phases * phase_steps)
    place = _place_in_burst(seen, phase_steps)
    colours = sequence("spike_of_burst", int(place.max(initial=0)) + 1)
    top, centres, names = 0, [], []
    for index, layer in enumerate(layers):
        is_own = seen.layer == index
        active = np.unique(seen.neuron[is_own])
        shown = active[spread(len(active), most_neurons)]
        is_drawn = is_own & np.isin(seen.neuron, shown)
        bottom = top + max(len(shown), 1)
        for phase in range(layer.onset + 1, n_phases, 2):
            left, right = np.array([phase, phase + 1]) * phase_steps * dt_ms
            ax.fill_between([left, right], top - 0.5, bottom - 0.5, color="0.92", linewidth=0)
        row = top + np.searchsorted(shown, seen.neuron[is_drawn])
        corners = np.stack([seen.step[is_drawn] * dt_ms, row - 0.42], axis=1)
        square = np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) * [TICK * dt_ms, 0.84]
        ticks = corners[:, None, :] + square
        ax.add_collection(
            PolyCollection(list(ticks), facecolors=colours[place[is_drawn]], linewidth=0)
        )
        centres.append((top + bottom - 1) / 2)
        names.append(f"{layer.name}\n{len(shown)} of {len(active)} active,\n{layer.n_units} in all")
        top = bottom + 2
    ax.set_yticks(centres, names)
    ax.tick_params(axis="y", length=0)
    ax.set(
        xlabel="time (ms); every other phase is shaded",
        ylabel="layer and its active neurons",
        ylim=(top - 2.5, -0.5),
        xlim=(0, n_phases * phase_steps * dt_ms),
    )
    ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    ax.spines["left"].set_visible(False)
    colour_bar(ax, colours, "spike of the burst", first=1)


def interval_histogram(ax: Axes, intervals: pd.DataFrame, threshold_ms: float) -> None:
    """Inter-spike intervals of one layer, within and between bursts.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    intervals : DataFrame
        One row per interval that occurs: interval_ms, count.
    threshold_ms : float
        Largest interval within a burst.
    """
    x = intervals["interval_ms"].to_numpy()
    share = intervals["count"].to_numpy() / max(intervals["count"].sum(), 1)
    is_within = x <= threshold_ms
    for name, chosen in (("within", is_within), ("between", ~is_within)):
        label = f"{name} bursts, {100 * share[chosen].sum():.1f} %"
        ax.vlines(x[chosen], 0, 100 * share[chosen], color=INTERVALS[name], linewidth=1.6)
        ax.plot([], [], color=INTERVALS[name], linewidth=1.6, label=label)
    ax.axvline(threshold_ms, color="0.5", linewidth=0.8, linestyle="--")
    room = 1.45 * 100 * share.max(initial=0.01)  # for the legend
    ax.set(xlabel="inter-spike interval (ms)", ylabel="intervals (%)", ylim=(0, room))
    log_axis(ax, base=10)
    ax.legend(loc="upper right")


def errors_by_layer(axes: Sequence[Axes], layers: pd.DataFrame) -> None:
    """Classes of error in each layer and condition, as numbers on a coloured field.

    Parameters
    ----------
    axes : sequence of three Axes
        Spikes of inactivated neurons, residual information, pooling error; with a common vertical
        axis, which runs downwards.
    layers : DataFrame
        One row per condition and layer: condition, layer, kind (burst or pool), sin_fraction and
        residual_fraction of the former, pooling_error of the latter.
    """
    conditions = list(dict.fromkeys(layers["condition"]))
    for ax, (column, title, kind) in zip(axes, ERRORS, strict=True):
        rows = layers[layers["kind"] == kind]
        names = list(dict.fromkeys(rows["layer"]))
        values = (
            rows.pivot(index="condition", columns="layer", values=column)
            .reindex(index=conditions, columns=names)
            .to_numpy(dtype=np.float64)
        )
        ax.set_title(title)
        ax.set_xticks(range(len(names)), names, rotation=90)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        if not values.size:
            ax.set_visible(False)
            continue
        largest = max(float(np.nanmax(values, initial=0.0)), 1e-12)
        ax.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=1.2 * largest)
        for (i, j), value in np.ndenumerate(values):
            colour = "white" if value > 0.66 * largest else "black"
            ax.text(j, i, _short(value), ha="center", va="center", fontsize=5.5, color=colour)
    axes[0].set_yticks(range(len(conditions)), conditions)


# ---- helpers ----


def _setting_colours(names: Mapping[str, str]) -> dict[str, Any]:
    """Colour by setting; of a colour map if there are more settings than colours."""
    found = list(dict.fromkeys(names.values()))
    if len(found) <= len(SETTING_COLOURS):
        return dict(zip(found, SETTING_COLOURS, strict=False))
    return dict(zip(found, sequence("position", len(found)), strict=True))


def _gamma_styles(metrics: pd.DataFrame) -> dict[int, tuple[Any, str]]:
    """Line style and marker by Gamma, ascending."""
    gammas = sorted(metrics["gamma"].unique())
    styles = {int(g): GAMMA_STYLES[i % len(GAMMA_STYLES)] for i, g in enumerate(gammas)}
    return styles | {int(gammas[-1]): LARGEST_GAMMA_STYLE}


def _heading(text: str) -> Line2D:
    """Entry of a legend that is a line of text only."""
    return Line2D([], [], linestyle="none", label=text)


def _group_title(group: pd.DataFrame) -> str:
    setting = settings(group.assign(pooling="lipool"))
    return f"{next(iter(setting.values()))}, Γ = {group['gamma'].iloc[0]}"


def _mark_of_the_paper(ax: Axes, column: str) -> None:
    """Vertical line at the published ratio, named above the axes."""
    if column not in PAPER:
        return
    ratio, text = PAPER[column]
    ax.axvline(ratio, color=COLOURS["agreement"], linewidth=1.0)
    ax.annotate(
        f"paper (abstract): {text}",
        (ratio, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="left" if ratio < 0.5 else "center",
        va="bottom",
        color=COLOURS["agreement"],
        fontsize="small",
    )


def _place_in_burst(spikes: Spikes, phase_steps: int) -> NDArray[np.int64]:
    """How many spikes of the same neuron and phase precede each spike."""
    table = pd.DataFrame(
        {
            "layer": spikes.layer,
            "neuron": spikes.neuron,
            "phase": spikes.step // phase_steps,
            "step": spikes.step,
        }
    ).sort_values("step", kind="stable")
    place = table.groupby(["layer", "neuron", "phase"]).cumcount()
    return place.sort_index().to_numpy(dtype=np.int64)


def _short(value: float) -> str:
    """Two digits, at most three after the point."""
    if np.isnan(value):
        return ""
    if value == 0 or abs(value) >= 0.095:
        return "0" if value == 0 else f"{value:.2f}"
    if abs(value) < 0.0005:
        return "<0.001" if value > 0 else ">-0.001"
    return f"{value:.3f}"
