"""What a compiled program reads, without compiling one."""

from types import SimpleNamespace

import numpy as np
import pytest
from ann2brian.models.engine import programs
from ann2brian.models.engine.job import Job, Part
from ann2brian.models.engine.layout import lay_out
from ann2brian.models.engine.settings import own_brian2
from ann2brian.models.schemes import SCHEMES, convert
from ann2brian.models.spiking.inputs import Injection
from brian2 import Network, NeuronGroup, ms

from tests.support.networks import everything, images_for


def view(name, size):
    """As Brian2 names a variable of a group."""
    return SimpleNamespace(group_name="copies", name=name, dtype=np.dtype(np.int32), size=size)


@pytest.mark.parametrize("scheme", ["amos", "burst"])
def test_files_hold_what_the_images_set(scheme, tmp_path):
    """Currents and injections in volts, zeros where copies get no image, against whole arrays."""
    network = everything()
    images = images_for(network, 20).astype(np.float64)
    spiking = convert(network, SCHEMES[scheme].options(), images).spiking
    n_copies, depth, n_phases = 3, 7, spiking.n_phases
    population = spiking.populations[1]
    values = np.random.default_rng(0).normal(size=(20, n_phases, population.n_units))
    job = Job(
        network=spiking,
        layout=lay_out(spiking, n_copies, n_phases),
        period=n_phases,
        depth=depth,
        record=(),
        traced={},
        injected=(Injection(target=population.name, variable="v", values=values),),
        seed=5,
        change=None,
    )

    def array(name, rows, n_units):
        return SimpleNamespace(name=name, values=np.zeros((rows, n_copies * n_units)))

    (stimulus,) = spiking.stimuli
    objects = SimpleNamespace(
        copies=SimpleNamespace(
            n_images=view("n_images", n_copies),
            noise_seed=view("noise_seed", n_copies),
            first_image=view("first_image", n_copies),
        ),
        shared={"burst.limit": np.array([7], dtype=np.int32)},
        stimuli=[array("stimulus_0", depth, spiking.population(stimulus.target).n_units)],
        injections=[array("injection_0", depth * n_phases, population.n_units)],
    )
    arguments = programs._write_arguments(job, objects, tmp_path, Part(3, images[3:], 3))
    found = dict(argument.split("=") for argument in arguments)
    assert set(found) == {
        *("copies.n_images", "copies.noise_seed", "copies.first_image", "burst.limit"),
        *("stimulus_0.values", "injection_0.values"),
    }

    def read(name, dtype=np.float64):
        return np.fromfile(tmp_path.parent / found[name], dtype)

    unit = spiking.unit_volt
    assert read("copies.n_images", np.int32).tolist() == [6, 6, 5]
    assert (read("copies.noise_seed", np.int32) == job.part_seed(3)).all()
    assert read("copies.first_image", np.int32).tolist() == [3, 4, 5]
    assert read("burst.limit", np.int32).tolist() == [7]
    wanted = job.stimulus_values(stimulus, images[3:]) * unit
    assert np.array_equal(read("stimulus_0.values"), wanted.ravel())
    assert wanted.any() and not wanted.reshape(depth * n_copies, -1)[17:].any()
    wanted = job.injected_values(job.injected[0], 3, 17) * unit
    assert np.array_equal(read("injection_0.values"), wanted.ravel())


def test_code_that_cython_passes_over_is_an_error():
    """A statement that Brian2 leaves out after a message on stderr, and one that it runs."""
    with own_brian2("cython"):
        groups = []
        for code in ("k = n + 1", "k = int(n) + 1"):
            group = NeuronGroup(2, "n : integer\nk : integer", namespace={}, name="counter*")
            group.n = 3
            group.run_regularly(code, name=f"{group.name}_statement")
            network = Network(group)
            network.run(0.1 * ms, namespace={})
            groups.append((group, SimpleNamespace(network=network)))
        (right, run), (wrong, other_run) = groups
        programs._require_compiled(run)
        assert right.k[:].tolist() == [4, 4]
        assert wrong.k[:].tolist() == [0, 0]
        with pytest.raises(RuntimeError, match=f"translate '{wrong.name}_statement'.*int\\(n\\)"):
            programs._require_compiled(other_run)
