"""What all tests share: a guard against tests that leave Brian2 changed, and a marker."""

import pytest
from brian2 import defaultclock, get_device, prefs


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


def pytest_collection_modifyitems(items):
    """Tests of a compiled target bear the marker, so that a quick check can leave them out."""
    for item in items:
        values = getattr(getattr(item, "callspec", None), "params", {}).values()
        if {"cpp_standalone", "cython"} & {value for value in values if isinstance(value, str)}:
            item.add_marker(pytest.mark.compiled)
