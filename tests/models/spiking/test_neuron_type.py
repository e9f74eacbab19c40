"""Editing a neuron type: what it changes, and what it refuses."""

import pytest
from ann2brian.models.schemes.amos.neurons import AMOS_NEURON
from ann2brian.models.schemes.burst.neurons import burst_neuron
from ann2brian.models.spiking.neuron_type import NeuronType
from brian2 import Equations, ms, mV

KIND = NeuronType(
    name="kind",
    equations="""
        v : volt  # v_start at first
        lev : volt
        v_start : volt (constant)
    """,
    every_phase="v = v_start  # sets v",
    threshold="v > v_th and\n v > lev",
    reset="v -= v_th",
    constants={"v_th": 5 * mV},
)


@pytest.mark.parametrize("old", ["v : volt", "v:volt", " v  :\tvolt "])
def test_a_piece_is_found_for_any_spaces(old):
    """An edited equation against Brian2's reading of it: v only, in whole words."""
    leaky = KIND.edited(equations={old: "dv/dt = -v/tau_m : volt"}, constants={"tau_m": 20 * ms})
    equations = Equations(leaky.equations)
    assert equations.diff_eq_names == {"v"}
    assert equations.parameter_names == {"lev", "v_start"}
    assert leaky.constants == {"v_th": 5 * mV, "tau_m": 20 * ms}
    assert (leaky.threshold, leaky.reset) == (KIND.threshold, KIND.reset)
    assert KIND.constants == {"v_th": 5 * mV}


def test_every_text_can_be_edited():
    """Pieces and whole texts against what stands there afterwards."""
    edited = KIND.edited(
        threshold={"and v": "or v"},
        reset="v = 0*volt",
        every_phase={"v_start": "v_start + v_th"},
        every_step="v = v",
        constants={"v_th": 6 * mV},
        method="euler",
    )
    assert edited.threshold.split() == ["v", ">", "v_th", "or", "v", ">", "lev"]
    assert edited.reset == "v = 0*volt"
    assert edited.every_phase == "v = v_start + v_th  # sets v"
    assert (edited.every_step, edited.method) == ("v = v", "euler")
    assert edited.constants == {"v_th": 6 * mV}
    assert edited.equations == KIND.equations


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"equations": {"vv : volt": "x"}}, r"no 'vv : volt' in equations.*\n  v : volt\n  lev"),
        ({"equations": {"": "x"}}, "no '' in equations"),
        ({"equations": {"at first": "x"}}, "no 'at first' in equations"),  # in a comment only
        ({"equations": {"volt": "x"}}, "'volt' stands 3 times in equations"),
        ({"threshold": {"v_t": "x"}}, r"no 'v_t' in threshold.*\n  v > v_th and\n  v > lev"),
        ({"every_step": {"v": "x"}}, r"no 'v' in every_step.*\n  \(none\)"),
        ({"reset": {"v_th": "x", "v -= v_th": "y"}}, r"no 'v -= v_th' in reset.*\n  v -= x"),
        ({"constants": {"v_thh": 1 * mV}}, r"uses the constant 'v_thh'; there are\n  v : volt"),
        ({"constants": {"sets": 1 * mV}}, "uses the constant 'sets'"),  # in a comment only
    ],
)
def test_an_edit_that_changes_nothing_is_refused(edit, said):
    """Typos against the message: type, text, and the lines there are."""
    with pytest.raises(ValueError, match=rf"(?s)neuron type 'kind': .*{said}"):
        KIND.edited(**edit)


def test_the_neurons_of_the_schemes_take_a_leak():
    """The edit that the docs show against Brian2's reading of it."""
    for kind in (AMOS_NEURON, burst_neuron("double-buffer", 6, 2.0)):
        leaky = kind.edited(
            equations={"v : volt": "dv/dt = -v/tau_m : volt"}, constants={"tau_m": 20 * ms}
        )
        assert Equations(leaky.equations).diff_eq_names == {"v"}


@pytest.mark.parametrize("edit", [3, ["v : volt"], {"v : volt": 3}, {3: "v"}])
def test_an_edit_that_is_no_text_is_refused(edit):
    """Numbers and lists, as a whole and as pieces."""
    with pytest.raises(TypeError, match="'kind': equations takes a text, or old pieces and new"):
        KIND.edited(equations=edit)
