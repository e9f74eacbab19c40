"""What all tests share: a guard against tests that leave Brian2 changed, and a marker."""

import fcntl
import gc
import os
from pathlib import Path

import pytest
from brian2 import defaultclock, get_device, prefs

# The compiler of Cython code need not write down what only a debugger reads.
os.environ.setdefault("CFLAGS", "-g0")


def brian2_state():
    return {
        "device": type(get_device()).__name__,
        "codegen.target": prefs.codegen.target,
        "defaultclock.dt": float(defaultclock.dt),
        "preferences": prefs.as_file,
    }


@pytest.fixture(autouse=True)
def brian2_is_left_as_found():
    """Brian2's device, clock and preferences after a test against those before it."""
    before = brian2_state()
    yield
    after = brian2_state()
    changed = [name for name in before if after[name] != before[name]]
    assert not changed, f"the test changed Brian2's {', '.join(changed)}"


@pytest.fixture(autouse=True)
def cython_code_is_not_optimised(request, brian2_is_left_as_found):
    """Half of its compile time, in tests of values; the slow ones compile as users do."""
    name, node = "codegen.cpp.extra_compile_args_gcc", request.node
    if "cython" not in node.name or node.get_closest_marker("slow"):
        yield
        return
    before = prefs[name]
    prefs[name] = ["-O0" if one == "-O3" else one for one in before]
    yield
    prefs[name] = before


@pytest.fixture(autouse=True, scope="module")
def what_is_loaded_is_not_searched_for_garbage():
    """Brian2 collects garbage before every run, which takes the longer the more is loaded."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """What only the first of pytest's processes that asks for it makes, in a folder for all.

    Called with a name and a function that gets an empty folder and returns a path in it.
    """
    everybody = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        everybody = everybody.parent

    def made(name, make):
        place = everybody / f"{name}.made"
        with (everybody / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                folder = tmp_path_factory.mktemp(name)
                place.write_text(str(make(folder)))
        return Path(place.read_text())

    return made


def pytest_collection_modifyitems(items):
    """Tests of a compiled target bear the marker, so that a quick check can leave them out."""
    for item in items:
        values = getattr(getattr(item, "callspec", None), "params", {}).values()
        if {"cpp_standalone", "cython"} & {value for value in values if isinstance(value, str)}:
            item.add_marker(pytest.mark.compiled)
