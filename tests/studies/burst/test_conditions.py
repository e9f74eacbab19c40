"""Conditions of the burst study: names, contents, and the comparisons between them by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.schemes.burst.options import BurstOptions
from ann2brian.studies.burst.conditions import (
    BASELINE,
    CHECKS,
    Condition,
    baseline,
    matched,
    shape_checks,
    study,
)

NORMALISATIONS, POOLINGS, TIMINGS = (
    BurstOptions.declared(name).choices for name in ("normalisation", "pooling", "timing")
)


BASES = [
    BurstOptions(),
    BurstOptions(timing="alternating", n_steps=7, guard_ms=6.0, weight_bits=12),
    BurstOptions(
        own_limits=True, bias_correction=True, channel_wise=True, initial=0.25, percentile=99.9
    ),
]


# ---- names and contents ----


@pytest.mark.parametrize("base", BASES)
def test_labels_of_the_study_are_unique(base):
    """Labels of all conditions of a study, its base and the baseline against repetition."""
    labels = [c.label for c in (Condition(options=base), baseline(base, 64), *study(base))]
    assert len(set(labels)) == len(labels) == 2 + 12


def test_label_tells_conversions_apart():
    """Every combination of what a run can vary: other conversions have other labels."""
    seen = {}
    choices = {
        "normalisation": NORMALISATIONS,
        "gamma": (1, 5),
        "initial": (0.0, 0.5),
        "channel_wise": (False, True),
        "own_limits": (False, True),
        "bias_correction": (False, True),
        "pooling": POOLINGS,
        "timing": TIMINGS,
        "percentile": (99.0, 99.99),
    }
    for values in itertools.product(*choices.values()):
        options = BurstOptions(**dict(zip(choices, values, strict=True)))
        if options.normalisation == "maximum":
            options = replace(options, percentile=100.0)  # it makes no difference
        label = Condition(options=options).label
        assert seen.setdefault(label, options) == options
        assert Condition(options=replace(options, n_steps=3)).label == label
    n_rules = 2 * (len(NORMALISATIONS) - 1) + 1
    assert len(seen) == n_rules * 2**5 * len(POOLINGS) * len(TIMINGS)


@pytest.mark.parametrize("base", BASES)
def test_contents_of_the_study(base):
    """The conditions against a list by hand; timing and weights are those of the base."""
    found = [c.options for c in study(base)]
    assert [(o.normalisation, o.percentile, o.gamma, o.pooling, o.initial) for o in found] == [
        ("percentile", 99.0, 1, "lipool", 0.0),
        ("percentile", 99.0, 2, "lipool", 0.0),
        ("percentile", 99.0, 3, "lipool", 0.0),
        ("percentile", 99.0, 5, "lipool", 0.0),
        ("percentile", 90.0, 1, "lipool", 0.0),
        ("percentile", 90.0, 3, "lipool", 0.0),
        ("percentile", 99.0, 5, "gated", 0.0),
        ("percentile", 99.0, 5, "or", 0.0),
        ("percentile", 99.0, 1, "gated", 0.0),
        ("maximum", 99.0, 1, "gated", 0.0),
        ("percentile", 99.0, 5, "lipool", 0.5),
        ("maximum", 99.0, 5, "lipool", 0.0),
    ]
    assert not any(o.channel_wise or o.own_limits or o.bias_correction for o in found)
    for name in ("timing", "intra_burst_ms", "guard_ms", "delay_ms", "weight_bits"):
        assert {getattr(o, name) for o in found} == {getattr(base, name)}


@pytest.mark.parametrize("asked, twice, half", [(1, 2, 1), (64, 128, 32), (3000, 4096, 1500)])
def test_steps_of_the_study(asked, twice, half):
    """Steps of each condition: those asked for, twice as many for small errors, or half."""
    n_steps = {c.label: c.options.n_steps for c in study(BurstOptions(n_steps=asked))}
    others = {f"Q99, gamma 5, V0 0{rule}": twice for rule in ("", ", or")}
    others |= {f"Q90, gamma {gamma}, V0 0": half for gamma in (1, 3)}
    assert n_steps == dict.fromkeys(n_steps, asked) | others


@pytest.mark.parametrize("pooling", POOLINGS)
def test_baseline_is_plain_integrate_and_fire(pooling):
    """The baseline of an elaborate conversion against its options by hand."""
    base = BurstOptions(channel_wise=True, pooling=pooling, timing="alternating", n_steps=4)
    expected = BurstOptions(
        n_steps=99,
        gamma=1,
        normalisation="maximum",
        percentile=100.0,
        initial=0.0,
        pooling=pooling,
        timing="alternating",
    )
    assert baseline(base, 99).options == expected
    assert set(BASELINE) <= set(vars(expected))


# ---- at equal accuracy ----

REFERENCE = "baseline"


def curve(condition, accuracy, time_ms, spikes):
    """Rows of time.csv: gamma 2, a start-up of 10 ms, `time_ms` and `spikes` more in each step."""
    steps = 1 + np.arange(len(accuracy))
    return pd.DataFrame(
        {
            "condition": condition,
            "step": steps,
            "sub_steps": 2 * steps,
            "time_ms": 10.0 + time_ms * steps,
            "accuracy": accuracy,
            "spikes_per_image": spikes * steps,
            "energy_nj": 3.0 * spikes * steps,
        }
    )


def tables(curves, trained):
    """time.csv and metrics.csv as far as the comparison reads them."""
    metrics = pd.DataFrame({"condition": list(trained), "ann_accuracy": list(trained.values())})
    return pd.concat(curves, ignore_index=True), metrics


def test_matched_against_a_table_by_hand():
    """Steps, costs and ratios of three curves by hand; one is never close enough, one only once."""
    time, metrics = tables(
        [
            # Exactly at a loss of 1.0 in step 3 and of 0.3 in step 5.
            curve(REFERENCE, [0.5, 0.8, 0.89, 0.895, 0.897, 0.9], 4.0, 100.0),
            curve("burst", [0.7, 0.891, 0.886, 0.898], 10.0, 300.0),  # it may fall again
            curve("never", [0.1, 0.2, 0.88999], 10.0, 1.0),
            curve("other network", [0.94, 0.96], 1.0, 1.0),  # 1.0 below 0.965 is not reached in 1
        ],
        {REFERENCE: 0.9, "burst": 0.9, "never": 0.9, "other network": 0.965},
    )
    found = matched(time, metrics, REFERENCE)
    assert found[["condition", "loss_points", "step"]].to_numpy().tolist() == [
        [REFERENCE, 0.3, 5],
        ["burst", 0.3, 4],
        [REFERENCE, 1.0, 3],
        ["burst", 1.0, 2],
        ["other network", 1.0, 2],
    ]
    assert found["sub_steps"].tolist() == [10, 8, 6, 4, 4]
    assert found["time_ms"].tolist() == [30, 50, 22, 30, 12]
    assert found["accuracy"].tolist() == [0.897, 0.898, 0.89, 0.891, 0.96]
    assert found["spikes_per_image"].tolist() == [500, 1200, 300, 600, 2]
    assert found["energy_nj"].tolist() == [1500, 3600, 900, 1800, 6]
    ratios = {
        "step_ratio": [1, 4 / 5, 1, 2 / 3, 2 / 3],
        "time_ratio": [1, 50 / 30, 1, 30 / 22, 12 / 22],
        "spike_ratio": [1, 1200 / 500, 1, 600 / 300, 2 / 300],
        "energy_ratio": [1, 3600 / 1500, 1, 1800 / 900, 6 / 900],
    }
    for column, expected in ratios.items():
        np.testing.assert_allclose(found[column], expected)


@pytest.mark.parametrize("has_baseline", [True, False])
def test_matched_without_a_baseline_that_gets_there(has_baseline):
    """A baseline that is absent or too bad against costs without ratios."""
    curves = [curve("burst", [0.9], 1.0, 1.0)]
    if has_baseline:
        curves.append(curve(REFERENCE, [0.1, 0.895], 1.0, 1.0))
    found = matched(*tables(curves, {REFERENCE: 0.9, "burst": 0.9}), REFERENCE)
    rows = found.set_index(["condition", "loss_points"])
    assert rows.loc[("burst", 0.3), "step"] == 1
    ratios = ["step_ratio", "time_ratio", "spike_ratio", "energy_ratio"]
    assert (REFERENCE, 0.3) not in rows.index
    if not has_baseline:
        assert not {*ratios} & {*found}
        return
    assert rows.loc[("burst", 0.3), ratios].isna().all()
    # Half a point of loss is enough for the other comparison.
    assert rows.loc[("burst", 1.0), ratios].notna().all()
    assert (REFERENCE, 1.0) in rows.index


def test_matched_with_a_baseline_that_costs_nothing():
    """A baseline that is right before its first spike against times with ratios, costs without."""
    curves = [curve("burst", [0.9], 1.0, 3.0), curve(REFERENCE, [0.9], 2.0, 0.0)]
    found = matched(*tables(curves, {REFERENCE: 0.9, "burst": 0.9}), REFERENCE)
    assert found["time_ratio"].tolist() == [11 / 12, 1] * 2
    assert found[["spike_ratio", "energy_ratio"]].isna().all(axis=None)


def test_matched_when_none_gets_there(tmp_path):
    """No curve within the loss against a table without rows that can be stored and read."""
    found = matched(*tables([curve("burst", [0.2], 1.0, 1.0)], {"burst": 0.9}), REFERENCE)
    full = matched(*tables([curve("burst", [0.9], 1.0, 1.0)], {"burst": 0.9}), REFERENCE)
    assert found.empty
    found.to_csv(tmp_path / "matched.csv", index=False)
    assert pd.read_csv(tmp_path / "matched.csv").columns.tolist() == full.columns.tolist()


# ---- what must hold on the reference network ----


def shapes(suffix="", **changed):
    """Rows of time.csv that have all shapes, but for the values of `changed`.

    They are named after condition and step. Some errors are exactly at the bound.
    """
    at = {
        "q90_gamma1_32": (0.25, "accuracy"),
        "q90_gamma3_32": (0.25 + 0.125, "accuracy"),
        "q99_gamma1_64": (5.0, "logit_mse"),
        "q99_gamma2_64": (1.0, "logit_mse"),
        "q99_gamma5_64": (0.5, "logit_mse"),
        "q99_gamma3_64": (0.625, "logit_mse"),
        "max_gamma1_64": (1.25, "logit_mse"),
        "max_gamma5_64": (1.0, "logit_mse"),
        "gated_64": (1.0, "logit_mse"),
        "q99_gamma5_128": (0.25, "logit_mse"),
        "or_64": (1.25, "logit_mse"),
        "or_128": (2.5, "logit_mse"),
        "q99_gamma5_4": (0.5, "accuracy"),
        "half_4": (0.5 + 0.25, "accuracy"),
    }
    at |= {place: (value, at[place][1]) for place, value in changed.items()}
    labels = {
        "q90_gamma1": "Q90, gamma 1, V0 0",
        "q90_gamma3": "Q90, gamma 3, V0 0",
        "q99_gamma1": "Q99, gamma 1, V0 0",
        "q99_gamma2": "Q99, gamma 2, V0 0",
        "q99_gamma3": "Q99, gamma 3, V0 0",
        "q99_gamma5": "Q99, gamma 5, V0 0",
        "max_gamma1": "max, gamma 1, V0 0",
        "max_gamma5": "max, gamma 5, V0 0",
        "gated": "Q99, gamma 5, V0 0, gated",
        "or": "Q99, gamma 5, V0 0, or",
        "half": "Q99, gamma 5, V0 0.5",
    }
    rows = []
    for place, (value, column) in at.items():
        name, step = place.rsplit("_", 1)
        condition = {"condition": labels[name] + suffix}
        rows.append({**condition, "step": int(step), column: value})
        # Another step of the same condition, which is not to be looked at.
        rows.append({**condition, "step": int(step) + 1, column: -100.0})
    return pd.DataFrame(rows)


def test_shape_checks_pass():
    """A table by hand that has all shapes against the bounds of the specification."""
    found = shape_checks(shapes()).set_index("check")
    assert found["holds"].tolist() == [True] * len(CHECKS)
    assert found[["at_least", "found"]].T.to_dict("list") == {
        "S1": [10, 12.5],
        "S2": [5, 5],
        "S2b": [0.8, 0.8],
        "S2c": [0.8, 0.8],
        "S3a": [2, 2],
        "S3b": [10, 10],
        "S3c": [2, 2.5],
        "S4": [20, 25],
    }
    assert found["what"].is_unique


@pytest.mark.parametrize(
    "check, changed, measured",
    [
        ("S1", {"q90_gamma3_32": 0.34}, 9.0),
        ("S2", {"q99_gamma2_64": 1.25}, 4.0),
        ("S2b", {"q99_gamma3_64": 1.0}, 0.5),
        ("S2b", {"q99_gamma3_64": 0.25}, 0.5),
        ("S2c", {"max_gamma1_64": 2.0}, 0.5),
        ("S3a", {"gated_64": 0.75}, 1.5),
        ("S3b", {"or_128": 2.25}, 9.0),
        ("S3c", {"or_64": 0.75}, 1.5),
        ("S4", {"half_4": 0.69}, 19.0),
    ],
)
def test_each_shape_check_can_fail(check, changed, measured):
    """One value worse than the specification measured against the one check that then fails."""
    found = shape_checks(shapes(**changed)).set_index("check")
    assert found.index[~found["holds"]].tolist() == [check]
    assert found.loc[check, "found"] == pytest.approx(measured)


def test_shape_checks_name_what_is_missing():
    """A table without one condition, or too short, against the error with label and step."""
    time = shapes()
    with pytest.raises(KeyError, match=r"no condition 'Q99, gamma 5, V0 0, or' with step 128"):
        shape_checks(time[~time["condition"].str.endswith("or")])
    with pytest.raises(KeyError, match=r"no condition 'Q99, gamma 1, V0 0' with step 64"):
        shape_checks(time[time["step"] < 64])


@pytest.mark.parametrize(
    "timing, suffix", [("double-buffer", ""), ("alternating", ", alternating")]
)
def test_shape_checks_find_the_conditions_of_a_study(timing, suffix):
    """Names and steps that the checks look for against those of a study with either timing."""
    time = shapes(suffix)
    base = BurstOptions(n_steps=64, timing=timing)
    longest = {c.label: c.options.n_steps for c in [baseline(base, 64), *study(base)]}
    looked_at = time.iloc[::2].groupby("condition")["step"].max()
    assert (looked_at <= looked_at.index.map(longest)).all()
    assert shape_checks(time, timing)["holds"].all()
