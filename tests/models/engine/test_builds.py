"""A compiled program is what its generated sources say, nothing less, and is used again."""

import subprocess
import sys

import numpy as np
import pytest
from ann2brian.models import places
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.amos import conversion
from ann2brian.models.schemes.amos.options import AmosOptions

from tests.support.networks import assert_same, images_for, of_kind


def network(seed=0):
    network = of_kind("dense", seed)
    images = images_for(network, 8)
    return conversion.convert(network, AmosOptions(neurons_per_gate=4), images), images


def order(when):
    """A change of the order of operations; all have one name and the same lines."""

    def change(objects):
        parts = objects.neurons["amos"].contained_objects
        (update,) = (part for part in parts if part.name == "amos_every_phase")
        update.when = when

    return change


def run(target, when, seed=0):
    converted, images = network(seed)
    change = order(when) if when else None
    return simulate(converted, images, target=target, record=True, batch=2, change=change)


def programs(cache):
    return {path: path.stat().st_mtime_ns for path in cache.glob("builds/*/main")}


@pytest.fixture(scope="module")
def right():
    """Runs of the NumPy target, where nothing is kept."""
    runs = {
        key: run("numpy", *key) for key in [(None,), (None, 1), ("after_thresholds",), ("end",)]
    }
    assert not np.array_equal(runs[None,].scores, runs["after_thresholds",].scores)
    assert not np.array_equal(runs["end",].scores, runs["after_thresholds",].scores)
    return runs


def test_no_program_is_stale_and_none_is_made_twice(right, tmp_path, monkeypatch):
    """Changed orders of operations, in both orders and across processes, against NumPy.

    The unchanged network, other weights and a second process compile nothing.
    """
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path))
    assert places.cache_folder() == tmp_path
    for key, n_programs in [
        (("after_thresholds",), 1),
        ((None,), 2),
        (("after_thresholds",), 2),
        ((None, 1), 2),
        (("end",), 3),
    ]:
        before = programs(tmp_path)
        assert_same(run("cpp_standalone", *key), right[key])
        after = programs(tmp_path)
        assert len(after) == n_programs
        assert before.items() <= after.items()
    code = (
        "from tests.models.engine.test_builds import run\n"
        "print([run('cpp_standalone', when).scores.sum() for when in ('after_thresholds', None)])"
    )
    for seed in ("1", "2"):  # of Python's own order of sets
        found = subprocess.run(
            [sys.executable, "-c", code],
            cwd=places.ROOT,
            env={"PYTHONHASHSEED": seed, "ANN2BRIAN_CACHE": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert eval(found) == [right[when,].scores.sum() for when in ("after_thresholds", None)]
    assert programs(tmp_path) == after
    assert not list(tmp_path.glob("builds/*/run_*"))
