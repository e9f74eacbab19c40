"""Brian2 of the user and of the engine: neither changes what the other computes."""

import multiprocessing

import brian2
import numpy as np
import pytest
from ann2brian.models.engine.simulate import simulate
from ann2brian.models.schemes.amos import conversion
from ann2brian.models.schemes.amos.options import AmosOptions
from brian2 import NeuronGroup, get_device, ms, prefs, set_device

from tests.support.networks import assert_same, images_for, of_kind

CHANGED = {
    "devices.cpp_standalone.openmp_threads": 2,
    "core.default_float_dtype": np.float32,
    "core.default_integer_dtype": np.int64,
    "codegen.loop_invariant_optimisations": False,
    "codegen.runtime.numpy.discard_units": True,
    "core.network.default_schedule": ["start", "groups", "synapses", "thresholds", "resets", "end"],
    "devices.cpp_standalone.run_cmd_unix": "./no-such-program",
    "legacy.refractory_timing": True,
}


@pytest.fixture(scope="module")
def case():
    network = of_kind("dense")
    images = images_for(network, 8)
    spiking = conversion.convert(network, AmosOptions(neurons_per_gate=4), images).spiking
    run = simulate(spiking, images, target="numpy", record=True, batch=2)
    return spiking, images, run


@pytest.mark.parametrize("target", ["numpy", "cpp_standalone"])
def test_preferences_change_no_spike(case, target):
    """Threads, precision and order of the user's own against a run without; they stay as set."""
    spiking, images, wanted = case
    before = {name: prefs[name] for name in CHANGED}
    try:
        for name, value in CHANGED.items():
            prefs[name] = value
        assert_same(simulate(spiking, images, target=target, record=True, batch=2), wanted)
        assert {name: prefs[name] for name in CHANGED} == CHANGED
    finally:
        for name, value in before.items():
            prefs[name] = value


def test_random_numbers_of_the_user_go_on(case):
    """Numbers drawn on both sides of a run against those drawn without one."""
    spiking, images, _ = case
    group = NeuronGroup(3, "x : 1", name="drawn")
    drawn = []
    for runs in (False, True):
        brian2.seed(5)
        group.x = "rand()"
        if runs:
            simulate(spiking, images[:1], target="numpy")
        group.x = "rand()"
        drawn.append(np.array(group.x))
    assert np.array_equal(*drawn)
    brian2.Network(group).run(0 * ms)


def test_a_standalone_project_of_the_user_is_left_alone(case, tmp_path):
    """Runs between the building, the run and the reading of another project against its result."""
    spiking, images, wanted = case

    def between(target):
        assert_same(simulate(spiking, images, target=target, record=True, batch=2), wanted)

    set_device("cpp_standalone", build_on_run=False, directory=None)
    try:
        device = get_device()
        group = NeuronGroup(
            2, "dv/dt = 1/(10*ms) : 1\nw : 1", method="euler", dt=1 * ms, name="own"
        )
        group.w = "2*i"
        between("numpy")
        network = brian2.Network(group)
        network.run(5 * ms, namespace={})
        between("cpp_standalone")
        device.build(directory=str(tmp_path / "project"), with_output=False)
        between("numpy")
        between("cpp_standalone")
        assert get_device() is device
        assert np.allclose(group.v[:], 0.5)
        assert np.allclose(group.w[:], [0, 2])
    finally:
        device.reinit()
        device.activate()
        set_device("runtime")


def test_more_processes_in_a_daemonic_one_are_refused(case):
    """Two jobs inside a worker of `multiprocessing` against the message; one job runs."""
    spiking, images, wanted = case
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def work():
        for jobs in (2, 1):
            try:
                answers.put(simulate(spiking, images, target="numpy", jobs=jobs).scores)
            except ValueError as error:
                answers.put(str(error))

    worker = context.Process(target=work, daemon=True)
    worker.start()
    refused, scores = answers.get(timeout=60), answers.get(timeout=60)
    worker.join()
    assert refused.startswith("jobs must be 1 inside a daemonic process")
    assert np.array_equal(scores, wanted.scores)
