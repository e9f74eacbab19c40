"""Brian2 as the engine needs it, and afterwards as the user left it."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import prefs
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import RuntimeDevice, runtime_device

from ..places import cache_folder

# By its full name, as the package has an object that is called like the module.
devices: Any = importlib.import_module("brian2.devices.device")
# How this machine compiles, and what is logged, stays as the user set it. The generated makefile
# holds the first, so that it is part of a build.
USERS = ("codegen.cpp.", "codegen.runtime.cython.", "logging.", "GSL.")

# Loops over neurons with many variables are vectorised, too: the compiler looks whether their
# arrays overlap, but by default gives up where there are more than ten pairs.
ALIAS_CHECKS = "--param=vect-max-version-for-alias-checks=1000"

# When a run fails, its error is enough; Brian2 would add one warning for each object.
logging.getLogger("brian2.core.base.unused_brian_object").addFilter(
    lambda record: str(Path(__file__).parent) not in record.getMessage()
)


@contextmanager
def own_brian2(target: str) -> Iterator[None]:
    """Device, preferences and random numbers of its own for a run.

    A standalone project of the user keeps its objects and results, and the user's preferences
    (threads, precision, optimisations, ...) neither change what a run computes nor get lost.

    Parameters
    ----------
    target : str
        ``"cpp_standalone"``, ``"cython"`` or ``"numpy"``.
    """
    preferences, device = dict(prefs), devices.active_device
    clock_dt = device.defaultclock.dt
    own = CPPStandaloneDevice() if target == "cpp_standalone" else RuntimeDevice()
    numbers = runtime_device.get_random_state()
    try:
        for name, value in _preferences(target).items():
            prefs[name] = value
        devices.active_device = own
        own.activate(build_on_run=False)
        own.defaultclock.dt = clock_dt
        yield
    finally:
        devices.active_device = device
        runtime_device.set_random_state(numbers)
        for name, value in preferences.items():
            prefs[name] = value


def _preferences(target: str) -> dict[str, Any]:
    """Brian2's defaults, but for what is the user's, and what a run needs."""
    defaults = {
        f"{section}.{name}": preference.default
        for section, (registered, _) in prefs.pref_register.items()
        for name, preference in registered.items()
    }
    return {name: value for name, value in defaults.items() if not name.startswith(USERS)} | {
        "core.default_float_dtype": np.float64,
        "codegen.cpp.extra_compile_args_gcc": [
            *prefs["codegen.cpp.extra_compile_args_gcc"],
            ALIAS_CHECKS,
        ],
        "codegen.target": "auto" if target == "cpp_standalone" else target,
        "codegen.runtime.cython.cache_dir": str(cache_folder() / "cython"),
        "core.stop_on_keyboard_interrupt": False,  # so that Ctrl-C raises KeyboardInterrupt
    }
