"""Declarations of what is swept, and the sweep that stops at breakdown."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.studies.biology import runs as single
from ann2brian.studies.biology.kinds import BITS, FRACTION, KINDS, RATE, TIME, VOLTAGE, Kind
from ann2brian.studies.biology.runs import Point, Runs

import ann2brian as ab

LABELS = np.arange(10)
ONE = KINDS[-1]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_strength_makes_the_perturbation(kind):
    """With its number; a unit that goes with the network's scales has that name."""
    for strength in kind.strengths:
        made = kind.make(strength)
        assert isinstance(made, ab.biology.Perturbation)
        assert made.strength == strength
    own = {TIME: "steps", VOLTAGE: "thresholds", RATE: "in a step", FRACTION: "", BITS: "bits"}
    assert made.unit == own[kind.scale]
    assert made.name == kind.name


def test_physical_units_follow_from_the_scales():
    """Of burst neurons: a step of 14 ms, thresholds of 15.625 mV."""
    network = ab.load_network(ab.trained("digits-burst"))
    training, _ = ab.load_images("digits", "train")
    spiking = ab.convert(network, ab.BurstOptions(n_steps=2), training[:50]).spiking
    found = [scale.factor(spiking) for scale in (TIME, VOLTAGE, RATE, FRACTION, BITS)]
    assert found == pytest.approx([14, 15.625, 1000 / 14, 100, 1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "a/b"}, "its name needs letters"),
        ({"strengths": (0, 1)}, "none and at least two more"),
        ({"strengths": (0, 1, 0.5)}, "all rising or all falling"),
        ({"strengths": (-1, 0, 1)}, "finite and above 0"),
        ({"strengths": (0, 1, np.inf), "is_log": False}, "must be finite, got"),
    ],
)
def test_what_tables_cannot_hold_is_refused(changes, said):
    """By the name of the perturbation."""
    with pytest.raises(ValueError, match=said):
        replace(ONE, **changes)


def test_coarse_keeps_none_and_the_strongest():
    kind = Kind(name="x", make=ONE.make, strengths=[9, 5, 4, 3, 2, 1], scale=TIME)
    assert kind.coarse().strengths == (9, 5, 3, 1)
    assert kind.coarse().coarse().strengths == (9, 5, 1)
    assert replace(kind, strengths=(3, 2, 1)).coarse().strengths == (3, 2, 1)


def answers(n_wrong):
    return np.where(np.arange(10) < n_wrong, -1, LABELS)


def test_a_sweep_ends_at_breakdown():
    """Half of the control's accuracy lost: no stronger one is run, of this perturbation only."""
    weak = Kind(name="weak", make=ONE.make, strengths=(0, 1, 2, 3), scale=TIME)
    strong = Kind(name="strong", make=ONE.make, strengths=(0, 1, 2, 3), scale=TIME)
    wrong = {"weak": {0: 2, 1: 2, 2: 3, 3: 4}, "strong": {0: 2, 1: 5, 2: 8, 3: 9}}
    asked = []

    def run(groups):
        points = [point for group in groups for point in group]
        asked.append({p.parts[0] for p in points if p.parts})
        lost = {p: wrong[p.parts[0][0]][p.parts[0][1]] if p.parts else 2 for p in points}
        rows = {p: {"digest": "same"} for p in points}
        return Runs(rows, {p: answers(lost[p]) for p in points})

    done = single.swept("amos", [weak, strong], range(1, 3), run, LABELS)
    assert done.strengths("amos", weak) == (1, 2, 3)
    assert done.strengths("amos", strong) == (1, 2)
    assert asked[3] == {("weak", 3.0)}
    assert done.correct("amos", (("weak", 3.0),), LABELS).shape == (2, 10)
    assert done.correct("amos", (("weak", 0.0),), LABELS).shape == (1, 10)


def test_groups_take_turns():
    """So that two processes begin with two programs."""
    sizes = {"a": 2, "b": 3, "c": 1}
    groups = [[Point(scheme=s, parts=(), seed=i) for i in range(n)] for s, n in sizes.items()]
    names = [f"{p.scheme}{p.seed}" for p in single.interleaved(groups, 2)]
    assert names == ["a0", "b0", "a1", "b1", "b2", "c0"]


def test_folders_have_names_of_their_own():
    """Strengths as close as floats are, and pairs."""
    strengths = (0.1, 0.1 + 2**-55, 0.30000000000000004, np.inf)
    points = [Point(scheme="amos", parts=(("leak", s),), seed=1) for s in strengths]
    points.append(Point(scheme="amos", parts=(("leak", 0.1), ("dead neurons", 0.1)), seed=1))
    assert len({p.name for p in points}) == len(set(points))
