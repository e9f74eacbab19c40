"""What differs between the releases of Brian2, by docs/brian2-releases.md, and what must not."""

import json
import os
import subprocess
import sys

import brian2
import pytest
from ann2brian.models.engine import builds
from ann2brian.models.engine.delivery import HEADER
from ann2brian.models.places import ROOT, cache_folder
from ann2brian.studies.frame.provenance import provenance
from brian2 import Network, NeuronGroup, Synapses, ms, prefs
from packaging.requirements import Requirement

from tests.support import spike_digests

RELEASES = {"3.11": "2.9.0", "3.12": "2.10.1", "3.13": "2.11.0"}  # by Python
RELEASE = tuple(int(part) for part in brian2.__version__.split(".")[:2])


# ---- spikes are the same ----


def stored(case):
    return json.loads(spike_digests.STORED.read_text())[case]


@pytest.mark.parametrize("case", spike_digests.CASES)
def test_spikes_are_those_of_every_release(case):
    """Digest of spikes and scores, NumPy target, against the one that every release gave."""
    assert spike_digests.digest(case, "numpy") == stored(case)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cython", "cpp_standalone"])
@pytest.mark.parametrize("case", spike_digests.CASES)
def test_compiled_spikes_are_those_of_every_release(case, target):
    """The same on the compiled targets."""
    assert spike_digests.digest(case, target) == stored(case)


# ---- versions ----


def required(file, python):
    """Requirements of a file that hold for a Python, by name in small letters."""
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    place = {"python_version": python, "python_full_version": f"{python}.0"}
    kept = [one for one in found if one.marker is None or one.marker.evaluate(place)]
    assert len({one.name.lower() for one in kept}) == len(kept)
    return {one.name.lower(): one.specifier for one in kept}


@pytest.mark.parametrize("python", RELEASES)
def test_each_python_has_one_release(python):
    """Requirements and constraints of a Python: one release, versions that go together."""
    needed, tested = required("requirements.txt", python), required("constraints.txt", python)
    assert str(needed["brian2"]) == f"=={RELEASES[python]}"
    for name in needed.keys() & tested.keys():
        (exact,) = tested[name]
        assert needed[name].contains(exact.version), name
    for found in (required("requirements-train.txt", python), tested):
        assert ("torch" in found) == (python == "3.11")


def test_this_python_has_its_release():
    """The installed Brian2 against the one that these tests are for."""
    assert RELEASES[f"{sys.version_info.major}.{sys.version_info.minor}"] == brian2.__version__


# ---- what differs ----


def seen_by_synapses(name):
    """What two steps of synapses 0-0, 1-1 and 2-2 read as the index of their source."""
    before = prefs.codegen.target, prefs.codegen.runtime.cython.cache_dir
    prefs.codegen.target = "cython"
    prefs.codegen.runtime.cython.cache_dir = str(cache_folder() / "cython")
    try:
        group = NeuronGroup(3, "", threshold="True", reset="", namespace={}, name="source")
        code = f"seen = {name} + 10"
        synapses = Synapses(
            group, group, "seen : integer", on_pre=code, namespace={}, name="reader"
        )
        synapses.connect(i=[0, 1, 2], j=[0, 1, 2])
        Network(group, synapses).run(0.2 * ms, namespace={})
        return synapses.seen[:].tolist()
    finally:
        prefs.codegen.target, prefs.codegen.runtime.cython.cache_dir = before


@pytest.mark.slow  # the contract tests of the schemes, on Cython, rest on it
def test_cython_synapses_know_their_source_as_i_pre():
    """``i_pre`` in Cython code against the indices."""
    assert seen_by_synapses("i_pre") == [10, 11, 12]


@pytest.mark.xfail(
    RELEASE >= (2, 10),
    reason="the loop's own counter is called i",
    raises=AssertionError,  # and nothing else: Cython's error is dropped
    strict=True,
)
def test_cython_synapses_know_their_source_as_i():
    """The documented name of the same index: since 2.10 such synapses do nothing."""
    assert seen_by_synapses("i") == [10, 11, 12]


def test_standard_of_the_compiler():
    """C++ standard that Brian2 asks for against the one written down."""
    wanted = "-std=c++17" if RELEASE >= (2, 11) else "-std=c++11"
    flags = prefs.codegen.cpp.extra_compile_args_gcc
    assert [flag for flag in flags if flag.startswith("-std")] == [wanted]


def test_makefile(tmp_path):
    """How a generated program is made, by release."""
    brian2.set_device("cpp_standalone", build_on_run=False)
    device = brian2.get_device()
    try:
        group = NeuronGroup(1, "v : 1", namespace={}, name="alone")
        Network(group).run(0.1 * ms, namespace={})
        device.build(directory=str(tmp_path), compile=False, run=False)
    finally:
        device.reinit()
        device.activate()
        brian2.set_device("runtime")
    found = (tmp_path / "makefile").read_text()
    assert ("-MMD" in found, "DEPS = make.deps" in found) == (RELEASE >= (2, 11), RELEASE < (2, 11))
    assert ("brianlib/spikequeue.cpp" in found) == (RELEASE >= (2, 10))


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_header_compiles_by_every_standard(standard, tmp_path):
    """Our C++ header, on its own, by the standards of all releases."""
    source = tmp_path / "main.cpp"
    source.write_text(f'#include "{HEADER.name}"\nint main() {{}}\n')
    command = ["g++", f"-std={standard}", "-Wall", "-fsyntax-only", f"-I{HEADER.parent}", source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# ---- systems that do not tell which cores a process may use ----


@pytest.fixture
def silent_system(monkeypatch):
    """As on macOS: no `os.sched_getaffinity`; five cores."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)


def test_cores_of_a_silent_system(silent_system, monkeypatch):
    """All cores, or one where not even their number is known."""
    assert builds.usable_cores() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert builds.usable_cores() == 1


def test_provenance_on_a_silent_system(silent_system):
    """The note that goes with every result."""
    assert provenance(0, "numpy")["cores"] == 5


def test_compiling_on_a_silent_system(silent_system, tmp_path, monkeypatch):
    """What `make` is started with."""
    (tmp_path / "main.cpp").touch()
    (tmp_path / "makefile").touch()
    started = []

    def run(command, **options):
        started.append(command)
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr(subprocess, "run", run)
    builds.compile_program(tmp_path)
    assert [command[:2] for command in started if command[0] == "make"] == [["make", "-j5"]]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a silent system")
def test_affinity_counts_where_there_is_one():
    """Cores of this process, restricted to one, in a process of its own."""
    code = (
        "import os; from ann2brian.models.engine.builds import usable_cores; "
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "1\n"
