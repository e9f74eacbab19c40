"""Tables of the README, as Markdown, from the numbers in ``studies/published``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : iterable of sequence of str
        Cells, row by row.

    Returns
    -------
    str
        Lines of equal numbers of cells.
    """
    first, *others = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *others])


def amos_table(metrics: pd.DataFrame) -> str:
    """Accuracy of both networks and what the spiking one costs."""
    head = ["data, gate", "K", "range", "trained", "spiking", "agree", "spikes per neuron"]
    head += ["latency", "synaptic events per image"]
    rows = []
    for row in metrics.itertuples():
        fitted = "refit" if row.refit else "shipped fit"
        rows.append(
            [
                f"{row.dataset}, {row.gate} ({row.n_images:,})",
                f"{row.neurons_per_gate}",
                f"{row.range_percentile:g} %" if row.gate == "relu" else fitted,
                f"{row.ann_accuracy:.2%}",
                f"{row.snn_accuracy:.2%}",
                f"{row.agreement:.2%}",
                f"{row.spikes_per_neuron:.3f}",
                f"{row.latency_ms:g} ms",
                f"{row.synaptic_events_per_image / 1e6:.3g} M",
            ]
        )
    return markdown(head, rows)


def benchmark_table(ratios: pd.DataFrame) -> str:
    """The benchmark's ratios."""
    rows = ([row.quantity, f"{row.value:.3g}"] for row in ratios.itertuples())
    return markdown(["quantity", "measured"], rows)


def burst_table(time: pd.DataFrame) -> str:
    """Accuracy of each conversion by the steps it may take."""
    steps = sorted(time["step"].unique())
    head = ["data", "scale, limit, start", "pooling", "trained", *(f"T = {t}" for t in steps)]
    head += ["spikes per image at T = 32"]
    rows = []
    for (dataset, network, name), own in time.groupby(
        ["dataset", "network", "condition"], sort=False
    ):
        by_step = own.set_index("step")
        first = own.iloc[0]
        at = by_step.spikes_per_image.get(32, float("nan"))
        kind = "" if network.endswith("burst") else f", {network.split('-')[-1]}"
        rows.append(
            [
                f"{dataset}{kind} ({first.n_images:,})",
                name,
                first.pooling,
                f"{first.ann_accuracy:.2%}",
                *_accuracies(by_step, steps),
                "" if pd.isna(at) else f"{at:,.0f}",
            ]
        )
    return markdown(head, rows)


def burst_matched_table(matched: pd.DataFrame) -> str:
    """Fewest steps within a loss, beside plain integrate-and-fire conversion."""
    head = ["loss at most", "scale, limit, start", "T", "sub-steps", "biological time", "accuracy"]
    head += ["spikes", "energy", "T, ratio", "time, ratio", "spikes, ratio", "energy, ratio"]
    rows = (
        [
            f"{row.loss_points:g}",
            row.condition,
            f"{row.step:g}",
            f"{row.sub_steps:g}",
            f"{row.time_ms:g} ms",
            f"{row.accuracy:.2%}",
            f"{row.spikes_per_image:,.0f}",
            f"{row.energy_nj / 1000:.3g} uJ",
            f"{row.step_ratio:.3g}",
            f"{row.time_ratio:.3g}",
            f"{row.spike_ratio:.3g}",
            f"{row.energy_ratio:.3g}",
        ]
        for row in matched.itertuples()
    )
    return markdown(head, rows)


def checks_table(checks: pd.DataFrame) -> str:
    """What must hold, and what was found."""
    rows = (
        [row.check, row.what, f"{row.at_least:g}", f"{row.found:.3g}"]
        for row in checks.itertuples()
    )
    return markdown(["check", "what", "at least", "found"], rows)


def noise_table(time: pd.DataFrame) -> str:
    """Accuracy of each network and rule by the steps it runs, means over seeds."""
    steps = sorted(time["step"].unique())
    head = ["data", "trained as", "run as", "seeds", *(f"N = {t}" for t in steps)]
    head += ["spikes per image at N = 8"]
    rows = []
    for (dataset, setting, condition), own in time.groupby(
        ["dataset", "setting", "condition"], sort=False
    ):
        by_step = own.set_index("step")
        first = own.iloc[0]
        at = by_step.spikes_per_image.get(8, float("nan"))
        rows.append(
            [
                f"{dataset} ({first.n_images:,})",
                setting,
                condition,
                f"{first.n_seeds}",
                *_accuracies(by_step, steps),
                "" if pd.isna(at) else f"{at:,.0f}",
            ]
        )
    return markdown(head, rows)


def noise_comparison_table(comparison: pd.DataFrame) -> str:
    """What each method needs to be as accurate as the noise-trained network."""
    head = ["data, seed", "method", "aim", "steps", "accuracy", "biological time"]
    head += ["wall time per image", "spikes per image"]
    rows = []
    for row in comparison.itertuples():
        cells = [f"{row.dataset}, {row.training_seed}", row.method, f"{row.target_accuracy:.2%}"]
        if pd.isna(row.n_steps):
            cells += ["not reached", f"{row.accuracy:.2%}", "", "", ""]
        else:
            cells += [
                f"{row.n_steps:g}",
                f"{row.accuracy:.2%}",
                f"{row.latency_ms:g} ms",
                f"{row.ms_per_image:.2f} ms",
                f"{row.spikes_per_image:,.0f}",
            ]
        rows.append(cells)
    return markdown(head, rows)


def albsnn_table(runs: pd.DataFrame) -> str:
    """Accuracy by training and steps, and what is saved, means over seeds."""
    steps = sorted(runs["n_steps"].unique())
    head = ["data", "trained as", "seeds", "weights", "storage saved"]
    head += [f"T = {t}" for t in steps]
    head += ["equal at T = 1", "spikes per image", "synaptic events", "latency"]
    rows = []
    for (dataset, setting), own in runs.groupby(["dataset", "setting"], sort=False):
        by_step = own.set_index("n_steps")
        first = by_step.loc[1]
        ends = [f"{first[end]:.1%}" for end in ("least_saving", "most_saving")]
        rows.append(
            [
                f"{dataset} ({first.n_images:,})",
                setting,
                f"{first.n_seeds}",
                f"{first.n_weights:,.0f}",
                " to ".join(dict.fromkeys(ends)),
                *_accuracies(by_step, steps),
                f"{first.equal_logits:.0%}",
                f"{first.spikes_per_image:,.0f}",
                f"{first.events_per_image / 1e6:.3g} M",
                f"{first.latency_ms:g} ms",
            ]
        )
    return markdown(head, rows)


def albsnn_layers_table(layers: pd.DataFrame) -> str:
    """Estimates, storage and events of each layer in one step, real and binary ones apart."""
    head = ["data, trained as", "layer", "weights are", "seeds", "loss rise", "weight error"]
    head += ["output error", "weights", "in the file", "saved", "operations, dense"]
    head += ["synaptic events", "spikes per neuron"]
    rows = []
    for row in layers.itertuples():
        estimates = [row.loss_rise, row.weight_error, row.output_error]
        rows.append(
            [
                f"{row.dataset}, {row.setting}",
                row.layer,
                "binary" if row.is_binary else "real",
                f"{row.n_networks} of {row.n_seeds}",
                *("" if pd.isna(value) else f"{value:.3g}" for value in estimates),
                f"{row.n_weights:,.0f}",
                f"{row.n_file_bytes:,.0f} B",
                f"{row.saving:.1%}",
                f"{row.operations_per_image / 1e6:.3g} M",
                "current"
                if pd.isna(row.events_per_image)
                else f"{row.events_per_image / 1e6:.3g} M",
                "" if pd.isna(row.spikes_per_neuron_step) else f"{row.spikes_per_neuron_step:.3f}",
            ]
        )
    return markdown(head, rows)


def albsnn_cost_table(cost: pd.DataFrame) -> str:
    """Binary synapses beside real ones of the same weights."""
    head = ["data", "kernels of binary layers", "loop", "per synaptic event", "of numbers"]
    head += ["memory", "of numbers"]
    numbers = cost[cost["kernels"] == "numbers"].set_index("dataset")["weight_bytes"]
    rows = (
        [
            row.dataset,
            {"packed": "signs, packed", "numbers": "numbers"}[row.kernels],
            f"{row.loop_s:.2f} s",
            f"{row.ns_per_event:.2f} ns",
            f"{row.time_ratio:.0%}",
            f"{row.weight_bytes:,} B",
            f"{row.weight_bytes / numbers[row.dataset]:.1%}",
        ]
        for row in cost.itertuples()
    )
    return markdown(head, rows)


def albsnn_paper_table(paper: pd.DataFrame) -> str:
    """Published figures beside ours."""
    head = ["source", "data", "T", "accuracy", "storage saved", "weights", "remark"]
    rows = []
    for row in paper.itertuples():
        is_here = row.source.startswith("here")
        rows.append(
            [
                row.source,
                row.dataset,
                f"{row.n_steps}",
                f"{row.accuracy:.2%}",
                f"{row.saving:.1%}" if is_here else f"more than {row.saving:.0%}",
                f"{row.n_weights:,.0f}" if is_here else "not established",
                row.what,
            ]
        )
    return markdown(head, rows)


def training_table(training: pd.DataFrame) -> str:
    """What a training step costs."""
    head = ["data", "method", "time per image", "of direct training, T = 4", "half of the rounds"]
    rows = (
        [
            row.dataset,
            row.method,
            f"{row.ms_per_image:.3f} ms",
            f"{row.ratio:.0%}",
            f"{row.low:.0%} to {row.high:.0%}",
        ]
        for row in training.itertuples()
    )
    return markdown(head, rows)


def _accuracies(by_step: pd.DataFrame, steps: Sequence[int]) -> list[str]:
    """Accuracy after each of some steps, nothing where there is none."""
    return [f"{by_step.accuracy[t]:.2%}" if t in by_step.index else "" for t in steps]


TABLES = {  # marker in the README and name of the CSV file
    "amos": amos_table,
    "burst": burst_table,
    "burst_matched": burst_matched_table,
    "burst_checks": checks_table,
    "noise": noise_table,
    "noise_checks": checks_table,
    "noise_comparison": noise_comparison_table,
    "albsnn": albsnn_table,
    "albsnn_layers": albsnn_layers_table,
    "albsnn_cost": albsnn_cost_table,
    "albsnn_paper": albsnn_paper_table,
    "albsnn_checks": checks_table,
    "training": training_table,
    "benchmark": benchmark_table,
}
