"""What is written for each program, run by the step that its reader makes of the fields."""

import numpy as np
import pytest
from ann2brian.models.conversion.step_neurons import StepNeuron
from ann2brian.models.dyadic import grid_step
from ann2brian.models.exporting.readers import READERS, Case, reader_of

F = np.float32
STEP = 2.0**-6
N_STEPS = 40


def ours(neuron, drives):
    """As `StepNeuron` says, on a grid where all is exact."""
    v, found = None, []
    for x in drives:
        h = x + (neuron.start if v is None else neuron.leak * v)
        spikes = np.clip(np.floor(h), 0, neuron.limit)
        v = h - spikes if neuron.reset == "soft" else h * (spikes == 0)
        found.append(spikes)
    return np.array(found)


def snntorch(n, drives):
    """`Leaky(beta, threshold, reset_mechanism="zero", reset_delay=False)`."""
    assert np.isclose(n["r"] * 1e-4 / n["tau"], 1) and n["v_leak"] == 0
    beta, v = F(1 - F(1e-4) / F(n["tau"])), F(0)
    for x in drives:
        v = beta * v + x
        z = v - F(n["v_threshold"]) > 0
        v = np.where(z, F(0), v)
        yield z


def spikingjelly(n, drives):
    """`IFNode` or `LIFNode(decay_input=False)`."""
    v = F(n["v_reset"])
    tau = n["tau"] / 1e-4 if "tau" in n else None
    assert np.isclose(n["r"], 1e4 if tau is None else tau)
    for x in drives:
        v = v + x if tau is None else v - (v - F(n["v_reset"])) / F(tau) + x
        z = v >= F(n["v_threshold"])
        v = np.where(z, F(n["v_reset"]), v)
        yield z


def sinabs(n, drives):
    """`LIFSqueeze(norm_input=False, min_v_mem=None)`."""
    a, v = F(np.exp(-1.0 / n["tau"])), F(0)
    for x in drives:
        v = a * v + x
        z = np.where(v > 0, np.trunc(v / F(n["v_threshold"])), 0)
        v = v - F(z) * F(n["v_threshold"])
        yield z


def norse(n, drives):
    """`IAFCell`, `LIFBoxCell`; a CubaLIF with ``reset_method=reset_subtract``."""
    dt = F(1e-3)
    if "tau" not in n and "tau_mem" not in n:
        v = F(0)
        for x in drives:
            v = v + x
            z = v - F(n["v_threshold"]) > 0
            v = np.where(z, F(0), v)
            yield z
        return
    leak = F(n["v_leak"])
    v = i = leak
    for x in drives:
        if "tau_syn" in n:
            i = i + dt * (F(1) / F(n["tau_syn"])) * ((leak - i) + F(n["w_in"]) * x)
            x = F(n["r"]) * i
        v = v + dt * (F(1) / F(n.get("tau", n.get("tau_mem")))) * (x + leak - v)
        z = v - F(n["v_threshold"]) > 0
        v = v - z * F(n["v_threshold"]) if "tau_syn" in n else np.where(z, F(0), v)
        yield z


def spyx(n, drives):
    """`IF`, `CuBaLIF`: a spike is of the potential before; the last comes a step later."""
    v = i = np.zeros_like(drives[0])
    th = F(n["v_threshold"])
    beta = F(1 - 1 / n["tau_mem"]) if "tau_mem" in n else F(1)
    for x in [*drives, 0 * drives[0]]:
        z = v - th > 0
        i = F(1 - 1 / n.get("tau_syn", 1)) * i + x
        v = beta * (v - z * th) + i
        yield z


def definition(n, drives):
    """Exact integration with steps of 1 ms; a Threshold behind, and what comes back."""
    dt = 1e-3
    v, back = n.get("v_leak", 0.0), 0.0
    for x in drives.astype(float):
        x = x + back
        if "tau" in n:
            rest = n["v_leak"] + n["r"] * x
            v = rest + (v - rest) * np.exp(-dt / n["tau"])
        else:
            v = v + dt * n["r"] * x
        if n["thresholds"]:
            z = np.sum([v > own for own in n["thresholds"]], axis=0)
            back = n["back"] * z
        else:
            z = v > n["v_threshold"]
            v = np.where(z, n["v_reset"], v)
        yield z


STEPS = [snntorch, spikingjelly, sinabs, norse, spyx, definition]
HALF = {"leak": 0.5, "reset": "hard"}
# By program, the neurons that it runs without loss.
EXACT = {
    "snntorch": [{"reset": "hard"}, HALF],
    "spikingjelly": [{"reset": "hard"}, HALF],
    "sinabs": [{"limit": 99}],
    "norse": [{"reset": "hard"}, HALF, {**HALF, "start": 0.25}, {}, {"start": 0.5}],
    "spyx": [{}],
    "definition": [
        {"reset": "hard"},
        {"reset": "hard", "start": 0.5},
        HALF,
        {**HALF, "start": 0.25},
        {},
        {"start": 0.5},
        {"leak": 0.5, "start": 0.5},
        {"limit": 5, "start": 0.5},
        {"leak": 0.75, "limit": 3},
    ],
}
CASES = [
    pytest.param(step, StepNeuron(**given), id=f"{step.__name__}-{given}")
    for step in STEPS
    for given in EXACT[step.__name__]
]


def written(step, neuron, n_steps=N_STEPS):
    """What the reader of a name makes of a neuron."""
    return reader_of(step.__name__).write(
        Case(
            neuron=neuron,
            gap=STEP / 2 * grid_step([neuron.leak]) ** (7 if neuron.leak < 1 else 0),
            n_steps=n_steps,
            dt=1e-3,
            as_graph=True,
            is_first=True,
            is_biased=True,
            is_map=False,
        )
    )


@pytest.mark.parametrize(("step", "neuron"), CASES)
def test_the_reader_runs_our_neuron(step, neuron):
    """Drives on a grid, which meet the threshold exactly many times."""
    n_steps = 8 if neuron.leak < 1 else N_STEPS
    rng = np.random.default_rng(1)
    drives = np.round(rng.normal(0.3, 0.5, (n_steps, 300)) / 2**-4) * 2**-4
    if neuron.limit == 99:
        drives = np.abs(drives)
    made = written(step, neuron, n_steps)
    fields = {**made.fields, "thresholds": made.thresholds, "back": made.back}
    given = made.gain * (drives + made.bias)
    found = np.array(list(step(fields, given.astype(F))))[-n_steps:]
    wanted = ours(neuron, drives)
    assert wanted.any()
    assert np.array_equal(found, wanted)
    if step.__name__ != "sinabs":
        assert made.losses == ()


@pytest.mark.parametrize("name", [name for name in READERS if name != "definition"])
@pytest.mark.parametrize(
    "given",
    [{"reset": "soft", "limit": 3}, {"reset": "hard", "leak": 0.5}, {"is_floored": True}, {}],
    ids=str,
)
def test_what_is_lost_is_said(name, given):
    """Wherever the steps differ on drives that reach twice the threshold, a loss is stated."""
    step = globals()[name]
    neuron = StepNeuron(**given)
    drives = np.round(np.random.default_rng(2).normal(0.6, 1.0, (8, 300)) / 2**-4) * 2**-4
    made = written(step, neuron, 8)
    fields = {**made.fields, "thresholds": (), "back": 0.0}
    found = np.array(list(step(fields, (made.gain * (drives + made.bias)).astype(F))))[-8:]
    is_same = np.array_equal(found, ours(neuron, drives)) and not neuron.is_floored
    assert is_same == (made.losses == ())


def test_one_step_needs_no_reset():
    """Of a single step, start and reset are in the threshold; all programs have it."""
    neuron = StepNeuron(start=0.5, reset="soft")
    for name in ("snntorch", "spikingjelly", "norse", "spyx"):
        made = written(globals()[name], neuron, 1)
        top = made.thresholds[0] if made.thresholds else made.fields["v_threshold"]
        assert made.losses == () and np.isclose(top, 0.5, atol=STEP)


def test_an_unknown_program_is_refused():
    """With the names there are."""
    with pytest.raises(ValueError, match="definition, snntorch, sinabs"):
        reader_of("brian")
