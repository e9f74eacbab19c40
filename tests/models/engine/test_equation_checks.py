"""Errors in changed equations: one line that names neuron type and line, on every target."""

import logging

import pytest
from ann2brian.models.engine.simulate import TARGETS, simulate
from ann2brian.models.schemes.amos import conversion
from ann2brian.models.schemes.amos.options import AmosOptions
from brian2 import ms, mV

from tests.support.networks import images_for, of_kind


@pytest.fixture(scope="module")
def case():
    network = of_kind("dense")
    images = images_for(network, 2)
    return conversion.convert(network, AmosOptions(neurons_per_gate=4), images).spiking, images


def said_of(case, target="numpy", **edit):
    """What a run with an edited type says; None if it runs."""
    spiking, images = case
    kind = spiking.neurons[0].edited(**edit)
    try:
        simulate(spiking.with_neurons(kind), images, target=target)
    except ValueError as error:
        assert error.__cause__ is None and error.__context__ is None
        return str(error)
    return None


KNOWN = "neither of the neuron's variables nor of its constants: age, drive, inhibition, theta, v"
LEAKY_TAU = {"v : volt": "dv/dt = -v/tau : volt"}
LEAKY = {"v : volt": "dv/dt = -v/ms : volt"}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            {"threshold": {"theta": "thetaa"}},
            f"threshold 'v > thetaa and age == 0': unknown name 'thetaa', {KNOWN}",
        ),
        ({"threshold": {"theta": "2"}}, "threshold 'v > 2 and age == 0': Comparison of"),
        ({"threshold": "v > theta and"}, "threshold 'v > theta and': no valid expression"),
        ({"threshold": "v - theta"}, "threshold 'v - theta': it is no condition"),
        (
            {"equations": {"v : volt": "dv/dt = -v/tau : volt  # leaky"}},
            f"equation 'dv/dt = -v/tau : volt': unknown name 'tau', {KNOWN}",
        ),
        (
            {"equations": {"v : volt": "v : volt\n x = 2*v : amp"}},
            "equation 'x = 2*v : amp': the expression has the unit V, it needs the unit A",
        ),
        (
            {"equations": {"v : volt": "dv/dt = -v : volt"}},
            "equation 'dv/dt = -v : volt': the expression has the unit V, it needs",
        ),
        ({"equations": {"v : volt": "v volt"}}, "equation 'v volt': it has not the form"),
        (
            {"equations": {"v : volt": "v : wolt"}},
            # Brian2 2.9 has words of its own before this, see docs/brian2-releases.md.
            "equation 'v : wolt': ... Unit specification refers to 'wolt', but this is not a base",
        ),
        (
            {"equations": {"(constant)": "(constnt)"}},
            "equation 'theta : volt (constnt)': Equations of type 'parameter' cannot have a flag",
        ),
        (
            {"equations": {"v : volt": "v : volt\n n_before : 1"}},
            "equations: Duplicate definition of variable 'n_before'",
        ),
        ({"equations": {"age : integer": ""}}, "the equations define no 'age', which the network"),
        ({"equations": {"theta : volt (constant)": ""}}, "the equations define no 'theta'"),
        ({"equations": {"v : volt": "v : amp"}}, "equation 'v : amp': 'v' has to be in volt"),
        (
            {"equations": {"v : volt": "dv/dt = -v/(2*ms) : amp"}},
            "equation 'dv/dt = -v/(2*ms) : amp': 'v' has to be in volt",
        ),
        ({"equations": LEAKY, "method": "exat"}, "method 'exat': there are euler, exact,"),
        (
            {"equations": {"v : volt": "dv/dt = -v**2/ms/volt : volt"}},
            "method 'exact': The expression",
        ),
        (
            {"reset": "v = 0"},
            "reset 'v = 0': the expression has no unit, it needs the unit V",
        ),
        ({"reset": "v ="}, "reset 'v =': it has not the form 'variable = expression'"),
        ({"reset": "vv = 0*volt"}, f"reset 'vv = 0*volt': it sets 'vv', {KNOWN}"),
        (
            {"every_phase": {"inhibition": "inhib"}},
            f"every_phase 'v = drive - inhib': unknown name 'inhib', {KNOWN}",
        ),
        ({"every_phase": "x = drive\nv = y"}, "every_phase 'x = drive': it sets 'x'"),
        ({"every_phase": "x = 1\nv = x"}, "every_phase 'v = x': the expression has no unit"),
        (
            {"every_phase": "v += 2"},
            "every_phase 'v += 2': Expression 'v + 2' uses inconsistent units",
        ),
        ({"every_step": "v = foo(drive)"}, "every_step 'v = foo(drive)': unknown name 'foo'"),
        ({"equations": LEAKY}, None),
        (
            {
                "equations": {"v : volt": "dv/dt = (y - v)/tau : volt\n y = 2*drive : volt"},
                "every_phase": "x = drive; z = x - inhibition\nv = z + s*randn()\n",
                "threshold": "v > theta and not (age < 0)",
                "constants": {"tau": 20 * ms, "s": 1 * mV},
            },
            None,
        ),
    ],
    ids=str,
)
def test_an_error_names_type_and_line(case, edit, said):
    """One mistake at a time against the line that is said; changes without one run."""
    found = said_of(case, **edit)
    if said is None:
        assert found is None
    else:
        start, _, rest = said.partition("... ")
        assert found.startswith(f"neuron type 'amos': {start}") and rest in found
        assert "\n" not in found


def test_it_is_the_same_on_every_target(case, tmp_path, monkeypatch, caplog):
    """The error of each target against that of another, with nothing compiled and no warnings."""
    monkeypatch.setenv("ANN2BRIAN_CACHE", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        said = {
            said_of(case, target, equations={"v : volt": "dv/dt = -v/tau : volt"})
            for target in TARGETS
        }
    assert len(said) == 1 and None not in said
    assert not list(tmp_path.iterdir())
    assert not caplog.records


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"constants": {"theta": 3 * mV}}, "constant 'theta': the neuron has a variable of that"),
        (
            {"equations": LEAKY_TAU, "constants": {"tau": "20*ms"}},
            "constant 'tau': a number with or without a unit, not '20*ms'",
        ),
        (
            {"equations": LEAKY_TAU, "constants": {"tau": float("nan") * ms}},
            "constant 'tau': a number with or without a unit, not",
        ),
        ({"equations": LEAKY_TAU, "constants": {"tau": [1, 2] * ms}}, "constant 'tau': a number"),
        ({"every_phase": "t = 3*ms"}, "every_phase 't = 3*ms': 't' is not the neuron's to set"),
        ({"every_step": "i = 3"}, "every_step 'i = 3': 'i' is not the neuron's to set"),
        ({"reset": "n_spikes = 0"}, "reset 'n_spikes = 0': 'n_spikes' is not the neuron's to set"),
        (
            {"every_phase": "v = drive; v = v - inhibition  # what is left"},
            "neuron type 'amos': every_phase 'v = v - inhibition': after 'v = drive', 'v' and "
            "'drive' are one array on the NumPy target, where both would change; for a copy, write "
            "'v = -(-drive)'",
        ),
        (
            {"reset": "before = v; v -= theta; drive = before"},
            "neuron type 'amos': reset 'v -= theta': after 'before = v', 'v' and 'before' are one",
        ),
        (
            {
                "equations": {"v : volt": "v : volt\n rest = v - theta : volt"},
                "every_step": "v = 2*rest; drive = rest",
            },
            "neuron type 'amos': every_step 'drive = rest': 'rest' is not computed anew after "
            "'v = 2*rest'; write '(v - theta)' instead",
        ),
        ({"reset": "v = theta; v -= drive"}, "None"),
        ({"every_phase": "v = -(-drive); v -= inhibition"}, "None"),
    ],
)
def test_what_brian2_would_pass_over_is_refused(case, edit, said):
    """Constants behind variables of their name or no number, the engine's names, statements that do
    something else than they say."""
    assert said in str(said_of(case, **edit))
