"""What the study of locally binary networks compares, and with what.

A setting is how a network was trained: `albsnn` (layers chosen by the estimate of the loss, and
binary weights optimised at the end, as in the journal version), `albsnn-2022` (without the
latter), `albsnn-...` (another option of :mod:`studies.training.recipe`), `gap-real`, `gap-binary`
and `gap-fixed` (no layers, all, or given layers are binary).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from ann2brian.models.schemes.albsnn.options import ESTIMATES
from ann2brian.studies.albsnn.binary_cost import KERNELS

DEFAULT = "albsnn"
REAL = "gap-real"
# What must hold on Fashion-MNIST, one step: name, what, least value.
CHECKS = (
    ("seeds", "seeds of training that both networks have", 3),
    ("real", "accuracy (%) of real weights, mean", 92.0),
    ("albsnn", "points gained over real weights, mean", -0.5),
    ("saving", "storage saving (%) of the weights, least of all seeds", 60.0),
    ("equal logits", "images (%) with the trained network's logits bit for bit; to inform", 0.0),
    ("time", "wall time (%) saved by binary synapses beside real ones of the same weights", 0.0),
    ("memory", "memory for weights, real / binary", 15.0),  # 16 but for what is filled up
)
# Of one step: source, data set, accuracy. Both abstracts save "more than 20 %" of the storage.
PUBLISHED = (
    ("2022", "fashion-mnist", 0.9292),
    ("2022", "cifar-10", 0.9163),
    ("2022", "cifar-100", 0.6354),
    ("2023", "fashion-mnist", 0.9339),
    ("2023", "cifar-10", 0.9212),
    ("2023", "cifar-100", 0.6955),
)
PUBLISHED_SAVING = 0.20


def history(info: dict[str, Any]) -> pd.DataFrame:
    """What a weight file tells of the choice of binary layers.

    Parameters
    ----------
    info : dict
        Of :func:`models.networks.weight_files.load_info`; without ``layers`` there is nothing to
        tell.

    Returns
    -------
    DataFrame
        One row per epoch and layer: epoch (from 1), layer, is_binary (in that epoch), the values
        named in `ESTIMATES` (see :mod:`models.schemes.albsnn.training`), NaN where binary weights
        were optimised directly, and the thresholds eps_on and eps_off in nats, NaN where they did
        not decide.
    """
    columns = ["epoch", "layer", "is_binary", *ESTIMATES]
    options = info.get("binarisation", {})
    decides = options.get("variant") == "estimated" and options["budget"] is None
    thresholds = {k: options[k] if decides else np.nan for k in ("eps_on", "eps_off")}
    tables = [
        pd.DataFrame(values | {"layer": name, "epoch": 1 + np.arange(len(values["is_binary"]))})
        for name, values in info.get("layers", {}).items()
    ]
    if not tables:
        return pd.DataFrame(columns=[*columns, *thresholds])
    table = pd.concat(tables)[columns].astype(dict.fromkeys(ESTIMATES, float)).assign(**thresholds)
    return table.sort_values("epoch", kind="stable", ignore_index=True)


def last_estimates(table: pd.DataFrame) -> pd.DataFrame:
    """Estimates of each layer in the last epoch that has any.

    Parameters
    ----------
    table : DataFrame
        Of `history`.

    Returns
    -------
    DataFrame
        weight_error, output_error and loss_rise by layer; no row for a layer without any.
    """
    with_any = table.dropna(subset=["loss_rise"])
    last = with_any.groupby("layer", sort=False).last()
    return last[["weight_error", "output_error", "loss_rise"]]


def paper(metrics: pd.DataFrame) -> pd.DataFrame:
    """Published figures beside those of this study in one step.

    Parameters
    ----------
    metrics : DataFrame
        One row per network and T: dataset, setting, training_seed, n_steps, snn_accuracy, saving,
        weight_bits_real.

    Returns
    -------
    DataFrame
        source, dataset, n_steps, accuracy, saving (of weight storage), n_weights (NaN: not
        established), what. Accuracy and saving are fractions, of this study means over seeds.
    """
    rows: list[dict[str, Any]] = [
        {
            "source": f"published, {year}",
            "dataset": dataset,
            "n_steps": 1,
            "accuracy": accuracy,
            "saving": PUBLISHED_SAVING,
            "n_weights": np.nan,
            "what": "abstract; the saving is more than this; network not established",
        }
        for year, dataset, accuracy in PUBLISHED
    ]
    one = metrics[metrics["n_steps"] == 1]
    for (dataset, setting), own in one.groupby(["dataset", "setting"], sort=False):
        n_seeds = own["training_seed"].nunique()
        rows.append(
            {
                "source": f"here, {setting}",
                "dataset": dataset,
                "n_steps": 1,
                "accuracy": own["snn_accuracy"].mean(),
                "saving": own["saving"].mean(),
                "n_weights": own["weight_bits_real"].mean() / 32,
                "what": f"mean over {n_seeds} seed{'s' if n_seeds > 1 else ''}; network of our own",
            }
        )
    return pd.DataFrame(rows)


def checks(metrics: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame | None:
    """What the study must show in one step; None if nothing can be compared.

    Parameters
    ----------
    metrics : DataFrame
        One row per network and T: setting, training_seed, n_steps, snn_accuracy, saving,
        equal_logits. Seeds count that networks of real and of chosen weights both have.
    cost : DataFrame
        Of :func:`studies.albsnn.binary_cost.measure`.

    Returns
    -------
    DataFrame or None
        check, what, at_least, found, holds.
    """
    one = metrics[metrics["n_steps"] == 1]
    values = ["snn_accuracy", "saving", "equal_logits"]
    real, own = (
        one[one["setting"] == setting].set_index("training_seed")[values]
        for setting in (REAL, DEFAULT)
    )
    common = real.index.intersection(own.index)
    if common.empty:
        return None
    real, own = real.loc[common], own.loc[common]
    packed, numbers = (cost.set_index("kernels").loc[kernels] for kernels in KERNELS)
    found = {
        "seeds": len(common),
        "real": 100 * real["snn_accuracy"].mean(),
        "albsnn": 100 * (own["snn_accuracy"] - real["snn_accuracy"]).mean(),
        "saving": 100 * own["saving"].min(),
        "equal logits": 100 * pd.concat([real, own])["equal_logits"].mean(),
        "time": 100 * (1 - packed["time_ratio"]),
        "memory": numbers["weight_bytes"] / packed["weight_bytes"],
    }
    table = pd.DataFrame(
        [
            {"check": name, "what": what, "at_least": least, "found": found[name]}
            for name, what, least in CHECKS
        ]
    )
    table["holds"] = table["found"] >= table["at_least"]
    return table
