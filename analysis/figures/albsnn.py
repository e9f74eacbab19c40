"""Figures of locally binary networks: each draws one table on given axes.

The tables are those of the ALBSNN study; style and general colours are those of
`analysis.figures.style`. A **setting** is which layers have binary weights, and why; it has a
colour, the same in all figures. Layers have the colours of their depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from ann2brian.analysis.figures.style import (
    COLOURS,
    beside,
    check_rows,
    check_unique,
    only_value,
    sequence,
)
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

# Colour of each setting and its name in words, in the order in which settings are drawn.
SETTINGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "gap-real": ("#555555", "all layers real"),
        "gap-fixed": ("#E69F00", "given layers binary"),
        "gap-binary": ("#D55E00", "all layers binary"),
        "albsnn-2022": ("#56B4E9", "chosen, signs not optimised"),
        "albsnn-budget": ("#009E73", "chosen within a budget"),
        "albsnn-sign": ("#CC79A7", "chosen, no scale"),
        "albsnn-xnor": ("#8C6BB1", "chosen, XNOR gradient"),
        "albsnn-exact": ("#A6761D", "chosen, exact gradient"),
        "albsnn-t4": ("#000000", "chosen, trained at T = 4"),
        "albsnn": ("#0072B2", "chosen layers binary"),
    }
)
CHOSEN = "albsnn"  # how settings begin whose layers an estimate has chosen
REAL = "gap-real"
OTHER_COLOUR = "#999999"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PUBLISHED = "published"  # how the source of a figure of others begins
LEFT, RIGHT = -4.0, 102.0  # ends of an axis of savings, in per cent
PUBLISHED_LINES = ("--", ":", "-.")
ALL = "all"  # layers made binary
TIMING = (
    ("same_first", "same first spike (fraction)"),
    ("same_train", "same train (fraction)"),
    ("first_spike_shift", "first spike later (steps)"),
    ("van_rossum", "van Rossum distance"),
    ("rate_ratio", "ratio of spikes"),
)
KINDS = ("real", "binary")  # by whether weights are binary
WEIGHT_LINES: Mapping[str, Any] = MappingProxyType({"real": "-", "binary": (0, (1, 0.8))})
LINEAR_RISE = 0.05  # nats, up to which the axis of loss rises is linear; then logarithmic
KIBIBYTE = 8 * 1024  # bits
HATCH = "/////"  # of binary layers


# ---- accuracy ----


def accuracy_against_saving(
    axes: Sequence[Axes], metrics: pd.DataFrame, paper: pd.DataFrame | None = None
) -> None:
    """Accuracy against the storage that binary weights save, by setting and number of steps.

    Small markers are the seeds, hollow ones means over the seeds that save the same: a mean over
    different choices of layers would stand where no network does. A published accuracy is a line
    that begins at the least saving that was published with it.

    Parameters
    ----------
    axes : sequence of two Axes
        With a common vertical axis: everything, and the networks with binary layers, magnified;
        the legend stands right of the second.
    metrics : DataFrame
        Of one data set, one row per setting, seed and number of steps: dataset, setting,
        training_seed, n_steps, snn_accuracy, saving (fractions).
    paper : DataFrame, optional
        source, dataset, accuracy, saving (fractions, NaN for unknown); only sources that begin
        with "published" are drawn, and only of the same data set.

    Raises
    ------
    ValueError
        If there are no rows, several data sets, or several rows for one setting, seed and T.
    """
    dataset = only_value(metrics, "dataset")
    check_unique(metrics, ["setting", "training_seed", "n_steps"])
    looks = _looks(metrics["setting"])
    markers = {n: _marker(i) for i, n in enumerate(sorted(metrics["n_steps"].unique()))}
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="none", label=name)
        for colour, name in looks.values()
    ]
    handles += [
        Line2D([], [], color="0.3", marker=marker, linestyle="none", label=f"T = {n_steps}")
        for n_steps, marker in markers.items()
    ]
    published = [] if paper is None else list(_published(paper, dataset).itertuples())
    for ax in axes:
        lines = _published_lines(ax, published)
        for (setting, n_steps), rows in metrics.groupby(["setting", "n_steps"]):
            _cloud(
                ax,
                100 * rows["saving"],
                100 * rows["snn_accuracy"],
                looks[setting][0],
                markers[n_steps],
                f"{setting}, T = {n_steps}",
            )
        ax.set_xlabel("storage of the weights saved (%)")
    saving = 100 * metrics["saving"]
    is_binary = saving > 0
    low, high = saving[is_binary if is_binary.any() else slice(None)].agg(["min", "max"])
    room = max(0.15 * (high - low), 0.5)
    axes[0].set(xlim=(LEFT, RIGHT), ylabel="test accuracy (%)")
    axes[1].set(xlim=(low - room, high + room), title="magnified")
    axes[1].legend(handles=[*handles, *lines], loc="center left", bbox_to_anchor=(1.0, 0.5))


# ---- training ----


def choice_of_layers(axes: Sequence[Axes], history: pd.DataFrame) -> None:
    """Estimated harm of binary weights in each layer by epoch, and the layers that were binary.

    The estimate is made at the end of an epoch; a marker is full where the layer was binary in
    that epoch, and hollow where it was real. The grey field marks the epochs in which signs are
    optimised directly, so that binary layers have no estimate.

    Parameters
    ----------
    axes : sequence of two Axes
        With a common horizontal axis: loss rises and their thresholds above, binary epochs below.
    history : DataFrame
        Of one network whose layers were chosen, one row per epoch and layer: setting,
        training_seed, epoch (from 1), layer, is_binary, loss_rise (nats), and eps_on and eps_off:
        loss rise in nats below which a layer becomes binary, and above which it becomes real
        again, NaN if these did not decide.

    Raises
    ------
    ValueError
        If there are no rows, several networks, or several rows for an epoch and layer.
    """
    for column in ("setting", "training_seed"):
        only_value(history, column)
    check_unique(history, ["epoch", "layer"])
    above, below = axes
    names = list(dict.fromkeys(history["layer"]))
    without_estimate = history.loc[history["loss_rise"].isna(), "epoch"]
    end = history["epoch"].max() + 0.5
    for ax in axes:
        if len(without_estimate):
            start = without_estimate.min() - 0.5
            ax.axvspan(start, end, color="0.9", linewidth=0, label="signs optimised")
    for name, line in (("on", "--"), ("off", ":")):
        limit = history[f"eps_{name}"].iloc[0]
        if np.isnan(limit):
            continue
        label = rf"$\epsilon_\mathrm{{{name}}}$ = {limit:g}"
        above.axhline(limit, color=COLOURS["trained"], linestyle=line, linewidth=0.8, label=label)
    for row, (name, colour) in enumerate(zip(names, sequence("depth", len(names)), strict=True)):
        own = history[history["layer"] == name].sort_values("epoch")
        is_binary = own["is_binary"].to_numpy(dtype=bool)
        look: dict[str, Any] = {"color": colour, "marker": _marker(row), "markersize": 2.8}
        look |= {"linewidth": 0.8, "markeredgewidth": 0.6}
        above.plot(own["epoch"], own["loss_rise"], **look, markevery=is_binary, label=name)
        above.plot(
            own["epoch"],
            own["loss_rise"],
            **look,
            markevery=~is_binary,
            markerfacecolor="white",
            linestyle="none",
            label=f"_{name}, real",
        )
        binary = own.loc[is_binary, "epoch"]
        below.barh(np.full(len(binary), row), 1.0, 0.7, left=binary - 0.5, color=colour)
    above.set_yscale("symlog", linthresh=LINEAR_RISE)
    above.yaxis.set_major_formatter("{x:g}")
    above.set_ylabel("loss rise if binary (nats)")
    below.set(xlabel="epoch", xlim=(0.5, end), ylim=(len(names) - 0.5, -0.5))
    below.set_yticks(range(len(names)), names)
    below.tick_params(axis="y", length=0)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))


# ---- potentials ----


def potential_densities(axes: Sequence[Axes], potentials: pd.DataFrame) -> None:
    """Distribution of the potentials of the first step, one panel per layer, one line per setting.

    A line is the mean over seeds, solid if real weights lead to the layer, dotted if binary ones
    do; the field is the setting without binary layers. Numbers are the per cent of the potentials
    that are at the threshold (within 0.05 of it).

    Parameters
    ----------
    axes : sequence of Axes
        One for each layer; the legend stands right of the last.
    potentials : DataFrame
        One row per setting, seed, layer and bin: setting, training_seed, layer, is_binary, low,
        high (thresholds), density, fraction_at_threshold. Bins are the same everywhere.

    Raises
    ------
    ValueError
        If there are no rows, more or fewer layers than axes, or several rows for one bin.
    """
    check_rows(potentials)
    check_unique(potentials, ["setting", "training_seed", "layer", "low"])
    names = list(dict.fromkeys(potentials["layer"]))
    looks = _looks(potentials["setting"])
    for ax, name in zip(axes, names, strict=True):
        ax.axvline(1.0, color=COLOURS["trained"], linewidth=0.8, linestyle="--")
        _note(ax, 0, "at threshold", "0.3")
        for setting, (colour, _) in looks.items():
            rows = potentials[(potentials["layer"] == name) & (potentials["setting"] == setting)]
            for is_binary, own in rows.groupby(rows["is_binary"].astype(bool)):
                density = own.groupby("low")["density"].mean()
                is_field = setting == REAL
                ax.stairs(
                    density,
                    [*density.index, own["high"].max()],
                    color="0.85" if is_field else colour,
                    fill=is_field,
                    linestyle=WEIGHT_LINES[KINDS[is_binary]],
                    label=f"{setting}, {KINDS[is_binary]}",
                )
                at_threshold = own["fraction_at_threshold"].mean()
                _note(ax, len(ax.texts), f"{100 * at_threshold:.1f} %", colour)
        ax.set(title=name, xlabel="potential H (thresholds)")
        ax.set_xlim(potentials["low"].min(), potentials["high"].max())
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes[0].set_ylabel("density (per threshold)")
    handles: list[Any] = [
        Patch(facecolor="0.85", label=name)
        if setting == REAL
        else Line2D([], [], color=colour, label=name)
        for setting, (colour, name) in looks.items()
    ]
    handles += [
        Line2D([], [], color="0.3", linestyle=line, label=f"{kind} weights")
        for kind, line in WEIGHT_LINES.items()
    ]
    axes[-1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))


# ---- layers made binary after the training ----


def curve_of_layers(axes: Sequence[Axes], curve: pd.DataFrame) -> None:
    """Accuracy of networks of real weights against the storage saved, as layers become binary.

    Left, a marker is one layer made binary alone. Right, a line goes through the layers together,
    one after the other, the least harmful alone first; a marker is the layer that came last. One
    line, and one marker of a layer, for each seed; the grey line is the accuracy as trained, on
    the same images.

    Parameters
    ----------
    axes : sequence of two Axes
        The legend stands right of the second.
    curve : DataFrame
        Of `analysis.statistics.binarisation_effects.saving_curve`, with training_seed.

    Raises
    ------
    ValueError
        If there are no rows, or several rows for one case.
    """
    check_rows(curve)
    check_unique(curve, ["training_seed", "kind", "layers"])
    last = curve["layers"].fillna("").str.split(" ").str[-1]
    names = list(dict.fromkeys(last[curve["kind"] == "alone"]))
    colours = dict(zip(names, sequence("depth", len(names)), strict=True))
    markers = {name: _marker(index) for index, name in enumerate(names)}
    for _, rows in curve.groupby("training_seed"):
        (whole,) = 100 * rows.loc[rows["kind"] == "none", "accuracy"]
        for ax, kind in zip(axes, ("alone", "together"), strict=True):
            ax.axhline(whole, color="0.7", linewidth=0.8, label="_as trained")
            own = rows[rows["kind"] == kind]
            x, y = 100 * own["saving"], 100 * own["accuracy"]
            if kind == "together":
                line = ([0.0, *x], [whole, *y])
                ax.plot(*line, color="0.5", linewidth=0.8, label="_together")
            for name in names:
                is_name = last[own.index] == name
                look = {"color": colours[name], "marker": markers[name], "markersize": 4}
                ax.plot(x[is_name], y[is_name], **look, linestyle="none", label=name)
    for ax, title in zip(axes, ("one layer binary", "layer after layer"), strict=True):
        ax.set(title=title, xlabel="storage of the weights saved (%)")
        ax.set_xlim(LEFT, RIGHT)
    axes[0].set_ylabel("test accuracy (%)")
    handles = [
        Line2D([], [], color=colours[n], marker=markers[n], linestyle="none", label=n)
        for n in names
    ]
    handles.append(Line2D([], [], color="0.7", linewidth=0.8, label="as trained"))
    axes[1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))


# ---- spike times ----


def timing_by_layer(axes: Sequence[Axes], timing: pd.DataFrame) -> None:
    """How spike trains change where layers become binary, by layer.

    A line stands for what was made binary; large markers are means over seeds, small ones the
    seeds. Layers before a binary one do not change.

    Parameters
    ----------
    axes : sequence of five Axes
        First spikes, trains, shift of the first spike, distance, ratio of the rates.
    timing : DataFrame
        Of one number of steps, one row per seed, layer and what was made binary: training_seed,
        n_steps, layer, binarised (layers, or "all"), same_first, same_train, first_spike_shift
        (steps), van_rossum, rate_ratio.

    Raises
    ------
    ValueError
        If there are no rows, several numbers of steps, or several rows for one case.
    """
    only_value(timing, "n_steps")
    check_unique(timing, ["training_seed", "layer", "binarised"])
    names = list(dict.fromkeys(timing["layer"]))
    parts = [part for part in dict.fromkeys(timing["binarised"]) if part != ALL]
    colours: dict[str, Any] = dict(zip(parts, sequence("depth", len(parts)), strict=True))
    if ALL in set(timing["binarised"]):
        colours[ALL] = SETTINGS["gap-binary"][0]
    for ax, (column, label) in zip(axes, TIMING, strict=True):
        if column in ("first_spike_shift", "rate_ratio"):
            ax.axhline(float(column == "rate_ratio"), color="0.7", linewidth=0.8)
        for index, (part, colour) in enumerate(colours.items()):
            rows = timing[timing["binarised"] == part]
            look = {"color": colour, "marker": _marker(index)}
            mean = rows.groupby("layer", sort=False)[column].mean().reindex(names)
            ax.plot(range(len(names)), mean, **look, markersize=4, linewidth=0.8, label=part)
            if rows["training_seed"].nunique() > 1:
                x = rows["layer"].map(names.index)
                ax.plot(
                    x, rows[column], **look, markersize=2, alpha=0.5, ls="none", label=f"_{part}"
                )
        ax.set_xticks(range(len(names)), names)
        ax.set_ylabel(label)
        ax.margins(x=0.15)
    for ax in axes[:2]:
        ax.set_ylim(0, 1.05)


# ---- layers ----


def storage_and_events(axes: Sequence[Axes], layers: pd.DataFrame) -> None:
    """Storage of the weights and synaptic events of each layer, one bar per network.

    Hatched parts are binary layers.

    Parameters
    ----------
    axes : sequence of three Axes
        Storage, its shares, and events; with a common vertical axis, which runs downwards. The
        legend stands right of the last.
    layers : DataFrame
        Of one number of steps, one row per network and weighted layer: setting, training_seed,
        n_steps, layer, is_binary, n_weights, bits, events_per_image (NaN for the first layer, which
        a current drives).

    Raises
    ------
    ValueError
        If there are no rows, several numbers of steps, or several rows for one case.
    """
    only_value(layers, "n_steps")
    check_unique(layers, ["setting", "training_seed", "layer"])
    looks = _looks(layers["setting"])
    names = list(dict.fromkeys(layers["layer"]))
    colours = dict(zip(names, sequence("depth", len(names)), strict=True))
    most = 0.0
    for place, setting in enumerate(looks):
        of_setting = layers[layers["setting"] == setting]
        height = 0.8 / of_setting["training_seed"].nunique()
        for index, (_, rows) in enumerate(of_setting.groupby("training_seed")):
            y = place - 0.4 + (index + 0.5) * height
            storage = rows["bits"] / KIBIBYTE
            total = storage.sum()
            most = max(most, total)
            events = rows["events_per_image"].fillna(0) / 1e3
            for ax, values in zip(axes, (storage, 100 * storage / total, events), strict=True):
                bars = ax.barh(
                    np.full(len(rows), y),
                    values,
                    0.9 * height,
                    left=values.cumsum() - values,
                    color=[colours[name] for name in rows["layer"]],
                    edgecolor="white",
                    linewidth=0,
                )
                for bar, is_binary in zip(bars, rows["is_binary"], strict=True):
                    bar.set_hatch(HATCH if is_binary else None)
            saving = 1 - rows["bits"].sum() / (32 * rows["n_weights"].sum())
            beside(axes[0], total, y, f"{100 * saving:.1f} % saved")
    labels = (
        "storage of the weights (KiB)",
        "share of the storage (%)",
        "synaptic events per image (1000)",
    )
    for ax, label in zip(axes, labels, strict=True):
        ax.set_xlabel(label)
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(looks)), [name for _, name in looks.values()])
    axes[0].set(xlim=(0, 1.6 * most), ylim=(len(looks) - 0.5, -0.5))
    handles = [Patch(facecolor=colour, label=name) for name, colour in colours.items()]
    look: dict[str, Any] = {"facecolor": "0.5", "edgecolor": "white", "linewidth": 0}
    handles.append(Patch(**look, hatch=HATCH, label="binary"))
    axes[2].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))


# ---- helpers ----


def _looks(settings: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and name in words by setting, in the order of `SETTINGS`; others last, in grey."""
    found = list(dict.fromkeys(settings))
    known = [setting for setting in SETTINGS if setting in found]
    return {
        setting: SETTINGS.get(setting, (OTHER_COLOUR, setting))
        for setting in dict.fromkeys([*known, *found])
    }


def _marker(index: int) -> str:
    """Marker of the first, second, ... value."""
    return MARKERS[index % len(MARKERS)]


def _note(ax: Axes, row: int, text: str, colour: str) -> None:
    """Small text in the upper right corner, a row below others."""
    ax.annotate(
        text,
        (1.0, 1.0),
        xycoords="axes fraction",
        xytext=(0, -9 * row),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize="small",
        color=colour,
    )


def _cloud(ax: Axes, x: pd.Series, y: pd.Series, colour: str, marker: str, label: str) -> None:
    """Small markers of the seeds, and hollow ones of their means at the same x."""
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none"}
    ax.plot(x, y, **look, markersize=3, markeredgewidth=0, label=f"_{label}, seeds")
    mean = y.groupby(x.round(6)).mean()
    look |= {"markersize": 7, "markerfacecolor": "none", "markeredgewidth": 1.1}
    ax.plot(mean.index, mean, **look, label=f"_{label}")


def _published_lines(ax: Axes, published: Sequence[Any]) -> list[Line2D]:
    """Lines at published accuracies, from the least published saving on."""
    lines = []
    for index, row in enumerate(published):
        start = LEFT if np.isnan(row.saving) else 100 * row.saving
        lines += ax.plot(
            [start, RIGHT],
            [100 * row.accuracy] * 2,
            color=COLOURS["trained"],
            linestyle=PUBLISHED_LINES[index % len(PUBLISHED_LINES)],
            linewidth=0.8,
            label=f"{row.source} ({100 * row.accuracy:.2f} %)",
        )
    return lines


def _published(paper: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Rows of others on the same data set."""
    is_of_others = paper["source"].str.startswith(PUBLISHED)
    return paper[is_of_others & (paper["dataset"] == dataset)]
