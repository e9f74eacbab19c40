"""Without a dialect, the definition of NIR: exact solutions and an independent integration."""

import warnings

import numpy as np
import pytest
from ann2brian.models.conversion.scheme import ConversionWarning
from ann2brian.models.schemes.nir.dialects import mixing
from scipy.integrate import solve_ivp

import ann2brian as ab
from tests.support.nir_files import definition, dense, neurons, write_nir

pytest.importorskip("h5py")
DT = 2.0**-10  # seconds
N = 5
TAU = np.array([0.005, 0.01, 0.02, 0.03, 0.05])
TAU_SYN = np.array([0.002, 0.01, 0.004, 0.05, 0.006])
R = np.array([1.0, 2.0, 0.5, 4.0, 3.0])
LEAK = np.array([0.0, 0.25, -0.5, 0.1, -0.1])
THRESHOLD = np.array([1.0, 0.75, 0.5, 1.25, 2.0])
RESET = np.array([0.0, -0.25, -0.6, 0.2, 0.05])
W_IN = np.array([1.0, 2.0, 0.5, -1.0, 3.0])
WEIGHT = np.random.default_rng(0).integers(-4, 5, (N, N)) / 4


def converted(name, folder, n_steps=60, **options):
    """A hand-made file of the format's own classes, by the definition."""
    network = ab.from_nir(definition(name, folder), written_by="definition", dt=DT)
    return ab.convert(network, ab.NirOptions(n_steps=n_steps, **options))


def frames_for(n_steps=60, seed=0, n=N):
    """Input of each step, and the same as an input of our network."""
    x = np.random.default_rng(seed).normal(0.6, 1.0, (n_steps, n)) * 2
    x = np.round(x * 64) / 64
    return x, x[None, :, None, None]


def integrated(derivative, state, x):
    """State after each step by a solver that knows nothing of exponentials."""
    found = []
    for now in x:
        solution = solve_ivp(
            lambda _, y, now=now: derivative(y, now), (0, DT), state, rtol=1e-10, atol=1e-12
        )
        state = solution.y[:, -1]
        found.append(state)
    return np.array(found)


def test_potentials_of_i_li_and_cuba_li_are_integrals(tmp_path):
    """Scores of readouts without spikes, neurons all different, against an ODE solver."""
    x, frames = frames_for()
    derivatives = {
        "i": (lambda y, now: R * now, np.zeros(N)),
        "li": (lambda y, now: (LEAK - y + R * now) / TAU, LEAK),
        "cuba_li": (
            lambda y, now: np.concatenate(
                [(W_IN * now - y[:N]) / TAU_SYN, (LEAK - y[N:] + R * y[:N]) / TAU]
            ),
            np.concatenate([np.zeros(N), LEAK]),
        ),
    }
    for name, (derivative, start) in derivatives.items():
        wanted = integrated(derivative, start, x)[:, -N:]
        found = ab.simulate(converted(name, tmp_path), frames, target="numpy").scores[0]
        assert np.allclose(found, wanted, rtol=1e-8, atol=1e-9), name


def spiking_solution(derivative, start, x):
    """The same with threshold and reset at the end of each step: spikes, (steps, N)."""
    state, found = start, []
    for now in x:
        state = (
            solve_ivp(
                lambda _, y, now=now: derivative(y, now), (0, DT), state, rtol=1e-10, atol=1e-12
            )
            .y[:, -1]
            .copy()
        )
        fired = state[-N:] > THRESHOLD
        state[-N:][fired] = RESET[fired]
        found.append(fired)
    return np.array(found)


def test_spikes_of_if_lif_and_cuba_lif_follow_the_definition(tmp_path):
    """Strictly above the threshold, then to v_reset: NumPy reference and Brian2, every spike."""
    x, frames = frames_for()
    derivatives = {
        "if": (lambda y, now: 100 * R * now, np.zeros(N)),
        "lif": (lambda y, now: (LEAK - y + R * now) / TAU, LEAK),
        "cuba_lif": (
            lambda y, now: np.concatenate(
                [(W_IN * now - y[:N]) / TAU_SYN, (LEAK - y[N:] + R * y[:N]) / TAU]
            ),
            np.concatenate([np.zeros(N), LEAK]),
        ),
    }
    for name, (derivative, start) in derivatives.items():
        wanted = spiking_solution(derivative, start, x)
        conversion = converted(name, tmp_path)
        reference = ab.reference(conversion, frames)
        (counts,) = reference.counts.values()
        assert wanted.sum() > 15 and np.array_equal(counts[0], wanted), name
        run = ab.simulate(conversion, frames, target="numpy", record=True)
        assert np.array_equal(run.spikes.step, reference.spikes.step), name
        assert np.array_equal(run.spikes.neuron, reference.spikes.neuron), name


def test_first_spike_of_a_constant_current(tmp_path):
    """tau ln(r I / (r I - threshold)), to the end of the step in which it comes."""
    current = 3.0
    conversion = converted("lif", tmp_path, n_steps=100)
    reference = ab.reference(conversion, np.full((1, 1, 1, N), current))
    (counts,) = reference.counts.values()
    for k in range(N):
        above = LEAK[k] + R[k] * current
        if above <= THRESHOLD[k]:
            assert not counts[0, :, k].any()
            continue
        exact = TAU[k] * np.log((above - LEAK[k]) / (above - THRESHOLD[k]))
        assert np.argmax(counts[0, :, k]) == int(np.floor(exact / DT))


@pytest.mark.parametrize("ratio", [1.0, 1.0 + 1e-13, 1.0 + 1e-7, 1.5, 40.0])
def test_equal_time_constants_are_no_special_case(ratio):
    """What a decaying current leaves, against its integral, also where the formula divides 0/0."""
    tau_mem, tau_syn, dt = np.array([0.01]), np.array([0.01 * ratio]), 0.003
    found = solve_ivp(
        lambda t, v: (np.exp(-t / tau_syn) - v) / tau_mem, (0, dt), [0.0], rtol=1e-11, atol=1e-13
    ).y[0, -1]
    assert np.isclose(mixing(tau_mem, tau_syn, dt)[0], found, rtol=1e-7)


def lif_step(v, x):
    """One step of the neurons of the hand-made files; spikes and potential."""
    rest = LEAK + R * x
    v = rest + (v - rest) * np.exp(-DT / TAU)
    fired = (v > THRESHOLD).astype(float)
    return fired, np.where(fired > 0, RESET, v)


LOOPS = {
    "loop_itself": lambda x, z: x + z["neurons"],
    "loop_one": lambda x, z: x + z["neurons"] @ WEIGHT.T + 0.125,
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_over_one_layer_bring_the_step_before(name, tmp_path):
    """Own spikes straight back, and through weights with a bias."""
    x, frames = frames_for()
    v, z, wanted = LEAK, {"neurons": np.zeros(N)}, []
    for now in x:
        z["neurons"], v = lif_step(v, LOOPS[name](now, z))
        wanted.append(z["neurons"])
    assert_spikes(converted(name, tmp_path), frames, {"neurons": wanted})


def test_a_loop_over_two_layers_takes_one_step(tmp_path):
    """Up within the step, down to the next; a step is two phases of the run."""
    x, frames = (24 * own for own in frames_for(200))
    v, z = [LEAK, LEAK], [np.zeros(N), np.zeros(N)]
    wanted = {"first": [], "second": []}
    for now in x:
        z[0], v[0] = lif_step(v[0], now + z[1] @ WEIGHT)
        z[1], v[1] = lif_step(v[1], z[0] @ WEIGHT.T)
        for name, own in zip(wanted, z, strict=True):
            wanted[name].append(own)
    conversion = converted("loop_two", tmp_path, n_steps=200)
    assert conversion.spiking.readout.every == 2
    assert conversion.spiking.dt_ms == pytest.approx(1e3 * DT / 2)
    assert_spikes(conversion, frames, wanted)


def test_a_loop_with_a_delay_takes_it_too(tmp_path):
    """Three milliseconds are three steps here, after the one that a loop takes."""
    x, frames = frames_for()
    v, past, wanted = LEAK, [np.zeros(N)] * 4, []
    for now in x:
        fired, v = lif_step(v, now + past[-4] @ WEIGHT.T)
        past.append(fired)
        wanted.append(fired)
    with pytest.warns(ConversionWarning, match=r"3 ms, no whole number of steps of 0.976562 ms"):
        conversion = converted("loop_delayed", tmp_path)
    assert_spikes(conversion, frames, {"neurons": wanted})


def test_graphs_in_graphs_and_branches(tmp_path):
    """The same neurons inside of another graph, and with three edges into them."""
    x, frames = frames_for()
    v, wanted = LEAK, []
    for now in x:
        fired, v = lif_step(v, x=(now @ WEIGHT) @ WEIGHT.T)
        wanted.append(fired)
    assert_spikes(converted("subgraph", tmp_path), frames, {"block_neurons": wanted})
    v, wanted = LEAK, []
    for now in x:
        fired, v = lif_step(v, now @ WEIGHT.T + R * now + now)
        wanted.append(fired)
    assert_spikes(converted("branches", tmp_path), frames, {"neurons": wanted})


def assert_spikes(conversion, frames, wanted):
    """Every spike of some populations: reference, and Brian2 with one image after another."""
    both = np.concatenate([frames, -frames[:, ::-1], frames])
    reference = ab.reference(conversion, both)
    for name, own in wanted.items():
        assert np.sum(own) > 5
        assert np.array_equal(reference.counts[name][0], own), name
        assert np.array_equal(reference.counts[name][2], own), name
    for settings in ({"batch": 1}, {"batch": 2, "pipelined": True}):
        run = ab.simulate(conversion, both, target="numpy", record=True, **settings)
        for column in ("image", "layer", "neuron", "step"):
            found, theirs = getattr(run.spikes, column), getattr(reference.spikes, column)
            assert np.array_equal(found, theirs), (settings, column)
        assert np.allclose(run.scores, reference.scores, rtol=0, atol=1e-12)


def test_delays_hold_back_each_neuron_on_its_own(tmp_path):
    """Spikes of neurons that fire in step 0, at thresholds 0, 1, 2, ... steps later."""
    n = 4
    nodes = {
        "dense": dense(weight=np.eye(n, 3) + 1.0),
        "neurons": neurons(n=n, r=np.full(n, 1e3)),
        "delay": {"type": "Delay", "delay": np.arange(n) * DT * 2},
        "out": {"type": "Threshold", "threshold": np.full(n, 0.5)},
    }
    edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "delay"), ("delay", "out")]
    path = write_nir(tmp_path / "net.nir", nodes, [*edges, ("out", "output")])
    network = ab.from_nir(path, written_by="definition", dt=DT)
    conversion = ab.convert(network, ab.NirOptions(n_steps=10))
    frames = np.zeros((2, 10, 1, 1, 3))
    frames[0, 0] = 1.0
    frames[1, 9] = 1.0  # too late to arrive: not in the next image either
    shown = np.concatenate([frames[1:], frames])
    reference = ab.reference(conversion, shown)
    first = [np.flatnonzero(reference.counts["out"][1][:, k]).tolist() for k in range(n)]
    assert first == [[0], [2], [4], [6]]
    assert reference.counts["out"][0].sum() == 1
    for settings in ({"batch": 1}, {"batch": 1, "pipelined": True}, {"batch": 3}):
        run = ab.simulate(conversion, shown, target="numpy", record=True, **settings)
        assert np.array_equal(run.spikes.step, reference.spikes.step), settings
        assert np.array_equal(run.spikes.image, reference.spikes.image), settings


def test_what_a_file_leaves_open_is_said_once(tmp_path):
    """A warning without a writer, none with one; no step is an error."""
    path = write_nir(tmp_path / "net.nir")
    with pytest.raises(ValueError, match=r"'net': no step is known; NIR files hold none.*--dt-ms"):
        ab.convert(ab.from_nir(path), ab.NirOptions())
    with pytest.raises(ValueError, match=r"'net' has neurons of its own; .* NirOptions"):
        ab.convert(ab.from_nir(path), ab.NoiseOptions())
    with pytest.warns(ConversionWarning, match=r"does not say dt nor how long a spike lasts"):
        ab.convert(ab.from_nir(path, dt=1e-3), ab.NirOptions())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conversion = ab.convert(ab.from_nir(path, written_by="norse"), ab.NirOptions())
    assert conversion.options.dt_ms == 1.0 and conversion.dialect.name == "norse"


REFUSED = {
    "reset": ({"written_by": "spikingjelly", "reset": "subtract"}, "reset 'subtract' is none of"),
    "model": ({"written_by": "snntorch"}, "is of the model IF, which snntorch does not write"),
    "option": ({"written_by": "norse", "is_floored": True}, "is_floored is none of norse"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_of_other_writers_are_refused(name, tmp_path):
    """What a dialect does not have, by its name."""
    options, message = REFUSED[name]
    network = ab.from_nir(definition("if", tmp_path))
    with pytest.raises(ValueError, match=message):
        ab.convert(network, ab.NirOptions(dt_ms=1.0, **options))


def test_potentials_do_not_reach_other_neurons(tmp_path):
    """A leaky integrator before weights, by its name; with a threshold behind it, it spikes."""
    node = {key: value for key, value in neurons(v_threshold=None, v_reset=None).items()}
    nodes = {"neurons": node | {"type": "LI"}, "more": dense(4, 4), "end": neurons()}
    edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "more"), ("more", "end")]
    path = write_nir(tmp_path / "net.nir", nodes, [*edges, ("end", "output")])
    with pytest.raises(ValueError, match=r"'neurons' passes its potential on to other neurons"):
        ab.convert(ab.from_nir(path, dt=DT, written_by="definition"), ab.NirOptions())
    nodes["fires"] = {"type": "Threshold", "threshold": np.full(4, 0.5)}
    edges = [*edges[:2], ("neurons", "fires"), ("fires", "more"), ("more", "end")]
    path = write_nir(tmp_path / "net.nir", nodes, [*edges, ("end", "output")])
    conversion = ab.convert(ab.from_nir(path, dt=DT, written_by="definition"), ab.NirOptions())
    assert [p.name for p in conversion.spiking.populations] == ["neurons", "end"]


def test_a_neuron_with_too_many_spikes_ends_the_run(tmp_path):
    """More spikes in a step than a phase has room for, instead of fewer without a word."""
    path = write_nir(tmp_path / "net.nir", {"neurons": neurons(r=np.ones(4), tau=np.full(4, 5.0))})
    network = ab.from_nir(path, written_by="sinabs")
    frames = np.full((1, 1, 1, 3), 200.0)
    conversion = ab.convert(network, ab.NirOptions(n_steps=3, limit=4))
    with pytest.raises(RuntimeError, match=r"spike more than 4 times in a step; .* larger limit"):
        ab.simulate(conversion, frames, target="numpy")
    enough = ab.convert(network, ab.NirOptions(n_steps=3, limit=64))
    assert ab.simulate(enough, frames, target="numpy").most_spikes > 12
