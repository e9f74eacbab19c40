"""What schemes bear, pairs and layers, from runs made by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.spiking.spikes import RecordedLayer
from ann2brian.studies.biology import layers, published, tables
from ann2brian.studies.biology.kinds import Kind, Scale
from ann2brian.studies.biology.runs import Point, Runs
from ann2brian.studies.frame.publishing import PUBLISHED

N = 1000
DOUBLE = Scale(relative="steps", physical="ms", factor=lambda network: 2.0)
LABELS = np.zeros(N, dtype=int)
ARMS = {"amos": SimpleNamespace(scheme="amos", spiking=None, labels=LABELS)}


def kind(name, strengths, **more):
    return Kind(name=name, make=lambda s: s, strengths=strengths, scale=DOUBLE, **more)


def runs(losses, seeds=(1, 2)):
    """Runs that lose so many images of 1,000, by parts; the unperturbed one loses none."""
    found = {Point(scheme="amos", parts=(), seed=1): 0}
    found |= {Point(scheme="amos", parts=p, seed=s): n for p, n in losses.items() for s in seeds}
    rows = {p: {"spikes_per_image": 10.0, "latency_ms": 3.0, "digest": ""} for p in found}
    return Runs(rows, {p: (np.arange(N) < n).astype(int) for p, n in found.items()})


def swept(kinds, losses):
    """Losses of one kind after the other, from none on."""
    return runs(
        {
            ((one.name, strength),): n
            for one, own in zip(kinds, losses, strict=True)
            for strength, n in zip(one.strengths, own, strict=True)
        }
    )


def test_tolerances_are_interpolated_and_told():
    """1 and 10 points: a power law, a falling one, and one that is lost before or beyond."""
    kinds = {
        one.name: one
        for one in (
            kind("rising", (0, 1, 4, 16)),
            kind("falling", (np.inf, 16, 4, 1)),
            kind("early", (0, 1, 2)),
            kind("late", (0, 1, 2)),
        )
    }
    lost = ([0, 0, 20, 120], [0, 0, 20, 120], [0, 50, 60], [0, 0, 9])
    table = tables.tolerances(swept(kinds.values(), lost), ARMS, kinds, "digits")
    table = table.set_index(["perturbation", "points"])
    assert table.loc[("rising", 1), "relative"] == pytest.approx(2)
    assert table.loc[("rising", 1), "physical"] == pytest.approx(4)
    assert table.loc[("rising", 10), "relative"] == pytest.approx(4 * 4**0.8)
    assert table.loc[("falling", 1), "relative"] == pytest.approx(8)
    assert table.loc[("falling", 1), "physical_said"].startswith("16 (")
    for name in ("rising", "falling"):
        row = table.loc[(name, 1)]
        low, high = sorted([row.relative_weak, row.relative_strong])
        assert low < row.relative < high
        assert row.relative_said == f"{row.relative:.3g} ({low:.3g} to {high:.3g})"
    assert table.loc[("early", 1), "is"] == "before"
    assert table.loc[("early", 1), "relative_said"] == "less than 1"
    assert np.isnan(table.loc[("early", 1), "relative"])
    assert table.loc[("late", 10), "is"] == "beyond"
    assert table.loc[("late", 10), "physical_said"] == "more than 4"
    assert table.loc[("late", 1), "relative_said"].startswith("more than 2 (")


def test_falling_strengths_beyond_are_less():
    """A membrane time constant that is shorter than the shortest tested."""
    one = kind("falling", (np.inf, 16, 4))
    assert tables.said(one, one.tested, 1.0, np.inf, (np.inf, np.inf)) == "less than 4"
    assert tables.said(one, one.tested, 2.0, -np.inf, (-np.inf, 10)) == (
        "more than 32 (20 to more than 32)"
    )


def test_pairs_are_of_what_is_lost_earliest():
    """Ranks by the schemes that lose a point, then by how early; whole numbers stay out."""
    kinds = {
        one.name: one
        for one in (
            kind("last", (0, 1, 2, 3)),
            kind("first", (0, 1, 2, 3)),
            kind("bits", (0, 1, 2, 3), is_whole=True),
            kind("middle", (0, 1, 2, 3)),
            kind("never", (0, 1, 2, 3)),
        )
    }
    lost = ([0, 0, 0, 20], [0, 5, 50, 60], [0, 5, 60, 70], [0, 0, 20, 30], [0, 0, 0, 0])
    table = tables.tolerances(swept(kinds.values(), lost), ARMS, kinds, "digits")
    assert tables.paired_kinds(table, kinds) == ["first", "middle", "last"]
    groups = tables.pair_points(table, kinds, (1, 2))
    assert [len(group[0].parts) for group in groups] == [1, 1, 1, 2, 2, 2]
    at = table[table.points == 1].set_index("perturbation").relative
    assert groups[3][0].parts == (("first", at["first"]), ("middle", at["middle"]))


def test_pairs_add_or_do_not():
    """Loss of both less the sum, paired by image: the same images lost twice count once."""
    parts = ((("a", 1.0),), (("b", 1.0),), (("a", 1.0), ("b", 1.0)))
    done = runs(dict(zip(parts, (20, 30, 80), strict=True)))
    groups = [[p for p in done.rows if p.parts == own] for own in parts]
    (row,) = tables.pairs(done, groups, ARMS, "digits").itertuples()
    assert (row.loss_first, row.loss_second) == pytest.approx((0.02, 0.03))
    assert (row.loss_sum, row.loss_both, row.excess) == pytest.approx((0.05, 0.08, 0.03))
    assert row.excess_low < row.excess < row.excess_high


def recording(spikes, phase_steps=1):
    """Two layers of three neurons; spikes as (image, layer, neuron, step)."""
    columns = np.array(spikes).reshape(-1, 4).T
    names = ("image", "layer", "neuron", "step")
    own = [RecordedLayer(name=n, shape=(1, 1, 3), n_positions=1, onset=0) for n in ("one", "two")]
    trains = SimpleNamespace(**dict(zip(names, columns, strict=True)))
    return SimpleNamespace(spikes=trains, layers=own, phase_steps=phase_steps)


def test_differing_counts_spikes_of_both_that_the_other_lacks():
    """One of two the same; all; none; and steps of one phase are one step."""
    base = recording([(0, 0, 0, 1), (0, 0, 1, 3), (0, 1, 0, 2)])
    other = recording([(0, 0, 0, 1), (0, 0, 1, 2), (1, 1, 0, 2)])
    assert layers.differing(base, other, 0) == 0.5
    assert layers.differing(base, other, 1) == 1
    assert layers.differing(base, base, 0) == 0
    coarse = [recording([(0, 0, 1, step)], phase_steps=4) for step in (2, 3, 4)]
    assert layers.differing(coarse[0], coarse[1], 0) == 0
    assert layers.differing(coarse[0], coarse[2], 0) == 1
    assert np.isnan(layers.differing(coarse[0], coarse[1], 1))


def test_the_first_strength_that_costs_a_point():
    """A loss of just a point counts; none does not."""
    sweep = pd.DataFrame(
        {
            "scheme": "amos",
            "perturbation": ["a"] * 4 + ["b"] * 2,
            "relative": [0, 1, 2, 3, 0, 1],
            "is_none": [True, False, False, False, True, False],
            "loss": [0.5, 0.0099, 0.01, 0.2, 0, 0.001],
        }
    )
    assert layers.failing(sweep) == {("amos", "a"): 2.0}


def test_published_tables_say_what_the_files_say():
    """Each cell of the page against its row."""
    table = pd.read_csv(PUBLISHED / "biology_tolerance.csv")
    shown = published.tolerance_table(table)
    for row in table.itertuples():
        assert row.physical_said in shown
        if row.physical_unit in ("ms", "mV", "Hz"):
            assert row.relative_said in shown
    assert table[table["is"] != "within"].relative.isna().all()
    assert table[table["is"] == "within"].relative.notna().all()
    n_pairs = len(pd.read_csv(PUBLISHED / "biology_pairs.csv"))
    pairs = published.pairs_table(pd.read_csv(PUBLISHED / "biology_pairs.csv"))
    assert len(pairs.splitlines()) == 2 + n_pairs
