"""Parts: what they compare, and numbers that follow from measurements, worked out by hand."""

import pandas as pd
import pytest
from ann2brian.studies.benchmarks import parts
from ann2brian.studies.benchmarks.contenders import PREVIOUS, THIS
from ann2brian.studies.benchmarks.part import Setting
from ann2brian.studies.benchmarks.parts import against, build, costs, explicit, growth, threads
from ann2brian.studies.benchmarks.parts import peers as of_peers
from ann2brian.studies.benchmarks.spread import slope, spread

ALL = Setting(has_previous=True, peers=("spikingjelly", "snntorch", "sinabs"))
COMMON = {
    **{"n_images": 10, "n_neurons": 100, "n_steps": 5, "steps_per_image": 4, "program_mb": 8.0},
    **{"memory_mb": 80.0, "spikes_per_image": 5.0, "events_per_image": 50.0, "accuracy": 0.9},
    **{"ann_accuracy": 0.95, "loop_s": 2.0, "all_s": 4.0, "build_s": 1.0, "first_build_s": 10.0},
}


def rows(**of_contenders):
    """Made-up measurements: for each contender, values of a column, one a round."""
    found = []
    for name, columns in of_contenders.items():
        n = max(len(values) for values in columns.values())
        for i in range(n):
            own = {column: values[i % len(values)] for column, values in columns.items()}
            found.append(COMMON | {"contender": name.replace("_", " "), "round": i} | own)
    return pd.DataFrame(found)


def by_name(part, case, table):
    return {quantity.name: quantity.spread for quantity in part.PART.quantities(case, table)}


def test_spread_is_median_and_quartiles():
    """Five rounds against numbers picked by hand."""
    assert spread(pd.Series([5, 1, 3, 2, 4])) == (3, 2, 4, 5)


def test_ratios_are_taken_round_by_round():
    """A machine that is twice as slow in one round leaves the ratio as it is."""
    table = rows(this={"loop_s": [1.0, 2.0, 1.0]}, previous={"loop_s": [5.0, 10.0, 6.0]})
    found = by_name(against, "c", table)["c: loop, previous release / this one"]
    assert found == (5, 5, 5.5, 3)
    assert by_name(against, "c", table)["c: loop, per image (ms)"].value == 100
    alone = by_name(against, "c", table[table.contender == THIS])
    assert not any("previous" in name for name in alone)
    assert len(alone) == 6


def test_peers_beside_ours():
    """Ratios to plain neurons and to those that pool as the peers do."""
    table = rows(
        **{"IF": {"all_s": [2.0]}, "IF,_or-pooling": {"all_s": [4.0]}, "burst": {"all_s": [8.0]}},
        sinabs={"all_s": [16.0], "accuracy": [0.8]},
    )
    found = by_name(of_peers, "c", table)
    assert found["c, sinabs / IF: all"].value == 8
    assert found["c, sinabs / IF, or-pooling: all"].value == 4
    assert found["c, sinabs: accuracy"].value == 0.8
    assert found["c, sinabs: all, per image (ms)"].value == 1600
    assert found["c: accuracy, trained (10 images)"].value == 0.95


def test_memory_for_connections_is_what_is_added():
    """Memory without connections is taken off before the ratio."""
    table = rows(
        shared={"program_mb": [5.0]},
        explicit={"program_mb": [104.0], "loop_s": [30.0]},
        none={"program_mb": [4.0]},
    )
    found = by_name(explicit, "c", table)
    assert found["c: memory for connections, explicit / shared"].value == 100
    assert found["c: loop, explicit / shared"].value == 15


def test_costs_are_per_event_and_per_update():
    """500 events and 4000 updates in known times, beside the limits of the same rounds."""
    table = rows(
        this={"delivery_s": [5e-6], "others_s": [8e-6]},
        convolutions={"delivery_s": [2e-6], "others_s": [1.0]},
        limits={"event_ns": [2.0], "update_ns": [0.5]},
    )
    found = by_name(costs, "c", table)
    assert found["c: delivery, per event (ns)"].value == pytest.approx(10)
    assert found["c: delivery, of the limit"].value == pytest.approx(5)
    assert found["c, convolutions alone: delivery, per event (ns)"].value == pytest.approx(4)
    assert found["c: all else, per neuron and step (ns)"].value == pytest.approx(2)
    assert found["c: all else, of the limit"].value == pytest.approx(4)
    assert found["c: delivery, share of the loop"].value == pytest.approx(5 / 13)


def test_builds_by_depth_start_and_release():
    """Ratios of made-up build times."""
    table = rows(
        **{"2_layers,_this": {"first_build_s": [8.0]}},
        **{"16_layers,_this": {"first_build_s": [10.0], "build_s": [1.0]}},
        **{"16_layers,_previous": {"first_build_s": [20.0], "build_s": [3.0]}},
    )
    found = by_name(build, "build", table)
    assert found["build: 16 layers / 2 layers"].value == 1.25
    assert found["build: second start / first"].value == 0.1
    assert found["build: first start, previous release / this one"].value == 2
    assert found["build: second start, previous release / this one"].value == 3


def test_two_cores():
    """One core's time over two cores'."""
    table = rows(**{"ours,_1": {"all_s": [6.0]}, "ours,_2": {"all_s": [3.0]}})
    assert by_name(threads, "c", table) == {"c, ours: all, one core / two": (2, 2, 2, 1)}


def test_slope_is_the_exponent():
    """Cost that grows with the square against 2, in every round."""
    one = pd.DataFrame({"round": 0, "x": [1.0, 2.0, 8.0], "y": [3.0, 12.0, 192.0]})
    two = pd.DataFrame({"round": 1, "x": [1.0, 2.0, 8.0], "y": [9.0, 36.0, 576.0]})
    assert slope(pd.concat([one, two]), "x", "y") == pytest.approx((2, 2, 2, 2))
    table = rows(**{"8": {"n_neurons": [10], "loop_s": [1.0]}, "16": {"n_neurons": [1000]}})
    found = by_name(growth, "neurons", table)
    assert found["growth with neurons: slope"].value == pytest.approx(0.5 * 0.30103)


def test_all_parts_declare_what_they_ask(monkeypatch):
    """Names that tell cases and contenders apart, and peers and previous only where there are."""
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    names = [part.name for part in parts.PARTS]
    assert len(set(names)) == len(names)
    for part in parts.PARTS:
        for quick in (False, True):
            full = part.cases(Setting(quick=quick, has_previous=True, peers=ALL.peers))
            assert len({case.name for case in full}) == len(full) > 0
            bare = part.cases(Setting(quick=quick))
            programs = {task.program for case in bare for task in case.tasks.values()}
            assert not programs & {PREVIOUS, *ALL.peers}
            for case in full:
                assert set(case.same) <= set(case.tasks)
                assert all(task.n_images >= 2 for task in case.tasks.values())
    monkeypatch.setattr(threads, "usable_cores", lambda: 1)
    assert threads.PART.cases(ALL) == []


def test_previous_release_has_no_need_of_new_names():
    """Tasks of the previous release ask nothing that only this one can do."""
    for case in [*against.PART.cases(ALL), *build.PART.cases(ALL)]:
        for task in case.tasks.values():
            if task.program == PREVIOUS:
                assert (task.connections, task.cut, task.profile) == ("shared", (), False)


def test_spikes_are_compared(monkeypatch):
    """With the previous release, with explicit synapses, and of two processes with one."""
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    for case in against.PART.cases(ALL):
        assert case.same == (THIS, PREVIOUS)
    for case in explicit.PART.cases(ALL):
        assert case.same == ("shared", "explicit")
    for case in threads.PART.cases(ALL):
        assert case.same == ("ours, 1", "ours, 2")


def test_scale_changes_the_numbers_of_images():
    """A tenth of the images, and never none."""
    setting = Setting(scale=0.1)
    assert (setting.images(640), setting.images(8)) == (64, 2)
    full, tenth = (of_peers.PART.cases(s)[0].tasks["IF"] for s in (Setting(), setting))
    assert tenth.n_images == full.n_images / 10
