"""Without a dialect, the definition of NIR: exact solutions and an independent integration."""

import warnings

import numpy as np
import pytest
from ann2brian.models.conversion.scheme import ConversionWarning
from ann2brian.models.schemes.nir.dialects import mixing
from scipy.integrate import solve_ivp

import ann2brian as ab
from tests.support.nir_files import CHAIN, definition, dense, neurons, write_nir

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


def test_a_file_without_v_reset_subtracts_the_threshold(tmp_path):
    """By the definition before nir 1.0.6, not to 0; beside it, neurons of a later file keep theirs.

    An IF neuron that gets 0.6 thresholds a step has spiked floor(0.6 t) times after t steps.
    """
    old = {"type": "IF", "r": np.full(3, 1 / DT), "v_threshold": np.full(3, 1.0)}
    nodes = {"dense": None, "neurons": old, "output": {"type": "Output", "shape": np.array([3])}}
    edges = [("input", "neurons"), ("neurons", "output")]
    path = write_nir(tmp_path / "net.nir", nodes, edges, version="1.0.4")
    network = ab.from_nir(path, written_by="definition", dt=DT)
    frames = np.full((1, 1, 1, 3), 0.6)
    for options in (ab.NirOptions(n_steps=40), ab.NirOptions(n_steps=40, reset="subtract")):
        conversion = ab.convert(network, options)
        assert conversion.options.reset == "subtract"
        (counts,) = ab.reference(conversion, frames).counts.values()
        above = np.ceil(0.6 * np.arange(1, 41) - 1e-9) - 1  # strictly above the threshold
        assert np.array_equal(np.cumsum(counts[0, :, 0]), above)
        run = ab.simulate(conversion, frames, target="numpy", record=True)
        assert len(run.spikes) == 3 * above[-1]
    with pytest.raises(ValueError, match=r"'neurons': there is no v_reset to reset to"):
        ab.convert(network, ab.NirOptions(reset="value"))
    nodes |= {"next": old | {"v_reset": np.zeros(3)}}
    edges = [("input", "neurons"), ("neurons", "next"), ("next", "output")]
    path = write_nir(tmp_path / "net.nir", nodes, edges)
    mixed = ab.convert(ab.from_nir(path, written_by="definition", dt=DT), ab.NirOptions())
    assert {name: law.reset for name, law in mixed.laws.items()} == {
        "neurons": "v = v - v_th",
        "next": "v = v_reset",
    }


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
    with pytest.raises(ValueError, match=r"'net': .* has a state of its own, .* NirOptions"):
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


WRITERS = ("snntorch", "spikingjelly", "norse", "sinabs", "rockpool", "spyx")


def spiking(network, frames, **settings):
    """Reference and run on NumPy of some frames, which have the same spikes and scores."""
    conversion = ab.convert(network, ab.NirOptions(n_steps=frames.shape[1]))
    reference = ab.reference(conversion, frames)
    run = ab.simulate(conversion, frames, target="numpy", record=True, **settings)
    for column in ("image", "layer", "neuron", "step"):
        found, theirs = getattr(run.spikes, column), getattr(reference.spikes, column)
        assert np.array_equal(found, theirs), (settings, column)
    assert np.allclose(run.scores, reference.scores, rtol=0, atol=1e-12), settings
    return conversion, reference


@pytest.mark.parametrize("writer", WRITERS)
def test_thresholds_are_the_same_of_all_writers(writer, tmp_path):
    """Behind weights, once a step at most, whatever the neurons before do in a step."""
    node = neurons(r=np.full(4, 0.5 if writer == "spyx" else 1.0))
    nodes = {
        "neurons": node,
        "more": dense(4, 4, weight=np.eye(4)),
        "over": {"type": "Threshold", "threshold": np.full(4, 0.5)},
    }
    edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "more"), ("more", "over")]
    path = write_nir(tmp_path / "net.nir", nodes, [*edges, ("over", "output")])
    frames = np.abs(frames_for(20, n=3)[1]) * 2
    _, reference = spiking(ab.from_nir(path, written_by=writer, dt=1e-3), frames)
    before, own = reference.counts["neurons"], reference.counts["over"]
    late = before if writer != "spyx" else np.roll(before, 1, axis=1) * (np.arange(20) > 0)[:, None]
    assert own.any() == before.any() and np.array_equal(own, late > 0)


@pytest.mark.parametrize("writer", ["norse", "sinabs", "rockpool", "spyx"])
def test_a_threshold_behind_a_potential_is_the_neurons_own(writer, tmp_path):
    """One spike in each step above it, by the potential that the same file has without it."""
    node = {key: own for key, own in neurons().items() if not key.startswith("v_") or "l" in key[2]}
    nodes = {"neurons": node | {"type": "LI"}}
    frames = frames_for(30, n=3)[1] * 8
    path = write_nir(tmp_path / "plain.nir", nodes)
    _, plain = spiking(ab.from_nir(path, written_by=writer, dt=1e-3), frames)
    level = float(np.median(plain.scores))
    nodes["over"] = {"type": "Threshold", "threshold": np.full(4, level)}
    edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "over"), ("over", "output")]
    path = write_nir(tmp_path / "net.nir", nodes, edges)
    _, reference = spiking(ab.from_nir(path, written_by=writer, dt=1e-3), frames)
    over = plain.scores > np.float32(level)
    assert 0 < over.mean() < 1 and np.array_equal(reference.counts["neurons"] > 0, over)


def test_a_potential_that_leads_back_is_no_spike(tmp_path):
    """Also where a Threshold stands behind it."""
    node = neurons(v_threshold=None, v_reset=None) | {"type": "LI"}
    over = {"type": "Threshold", "threshold": np.full(4, 0.5)}
    nodes = {"neurons": node, "over": over, "back": dense(4, 4)}
    edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "over"), ("over", "output")]
    edges += [("neurons", "back"), ("back", "neurons")]
    network = ab.from_nir(
        write_nir(tmp_path / "net.nir", nodes, edges), dt=DT, written_by="definition"
    )
    with pytest.raises(ValueError, match=r"'neurons' passes its potential on to other neurons"):
        ab.convert(network, ab.NirOptions())


def test_delays_before_the_output_leave_nothing_to_the_next_image(tmp_path):
    """Spikes that come after the last step count for no image; endless delays cost nothing."""
    for seconds, phases in ((np.arange(4) * 3 * DT, 29), (np.full(4, 1e20), 40)):
        nodes = {
            "neurons": neurons(r=np.full(4, 80.0)),
            "late": {"type": "Delay", "delay": seconds},
        }
        edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "late"), ("late", "output")]
        path = write_nir(tmp_path / "net.nir", nodes, edges)
        network = ab.from_nir(path, dt=DT, written_by="definition")
        frames = np.ones((3, 20, 1, 1, 3))
        wanted = np.clip(1 - seconds / DT / 20, 0, 1)
        for settings in ({"batch": 1}, {"batch": 1, "pipelined": True}, {"batch": 3}):
            conversion, reference = spiking(network, frames, **settings)
            assert np.allclose(reference.scores[:, -1], wanted)
            assert conversion.spiking.n_phases == phases


def test_half_a_step_of_delay_is_rounded_up(tmp_path):
    """As delays are that are set on a built network."""
    nodes = {"late": {"type": "Delay", "delay": np.full(4, 2.5 * DT)}}
    edges = [*CHAIN[:2], ("neurons", "late"), ("late", "output")]
    network = ab.from_nir(
        write_nir(tmp_path / "net.nir", nodes, edges), dt=DT, written_by="definition"
    )
    with pytest.warns(ConversionWarning, match=r"it is rounded to 2\.92969 ms"):
        ab.convert(network, ab.NirOptions())


def test_stiff_synapses_keep_their_numbers():
    """A membrane a thousand times faster than a step, and a current so."""
    dt, fast, slow = 1e-3, np.array([1e-7]), np.array([0.01])
    left = np.exp(-dt / slow)  # the membrane follows the current, or has got all of it
    assert np.isclose(mixing(fast, slow, dt)[0], left[0] * slow[0] / (slow[0] - fast[0]), rtol=1e-9)
    assert np.isclose(mixing(slow, fast, dt)[0], left[0] * fast[0] / (slow[0] - fast[0]), rtol=1e-9)


@pytest.mark.parametrize("writer", ["sinabs", "rockpool"])
def test_spikes_are_not_counted_in_thresholds_below_0(writer, tmp_path):
    """By the layer's name."""
    path = write_nir(
        tmp_path / "net.nir", {"neurons": neurons(v_threshold=np.array([0, 1, 1, 1.0]))}
    )
    network = ab.from_nir(path, written_by=writer, dt=1e-3)
    with pytest.raises(ValueError, match=r"'neurons': v_threshold holds 0; it is above 0"):
        ab.convert(network, ab.NirOptions())


def test_a_graph_that_is_another_of_its_writer_is_read_again(tmp_path):
    """The file's graph is put right when it is read, so its writer is told there."""
    path = write_nir(tmp_path / "net.nir", {"neurons": neurons(r=np.full(4, 0.5))})
    for read, run in ((None, "spyx"), ("spyx", "definition")):
        network = ab.from_nir(path, written_by=read, dt=1e-3)
        with pytest.raises(ValueError, match=rf"from_nir\(..., written_by='{run}'\)"):
            ab.convert(network, ab.NirOptions(written_by=run))


@pytest.mark.parametrize("writer", ["spikingjelly", "rockpool"])
def test_constants_of_no_step_are_refused(writer, tmp_path):
    """By the layer's name."""
    path = write_nir(tmp_path / "net.nir", {"neurons": neurons(r=np.zeros(4))})
    with (
        np.errstate(divide="ignore"),
        pytest.raises(ValueError, match=r"'neurons' has constants of"),
    ):
        ab.convert(ab.from_nir(path, written_by=writer), ab.NirOptions())


def test_potentials_beyond_all_numbers_end_the_run(tmp_path):
    """They would be no number for the next image either."""
    node = neurons(v_threshold=None, v_reset=None) | {"type": "LI", "r": np.full(4, 1e308)}
    path = write_nir(tmp_path / "net.nir", {"neurons": node})
    network = ab.from_nir(path, dt=1.0, written_by="definition")
    conversion = ab.convert(network, ab.NirOptions(n_steps=2))
    endless = pytest.raises(RuntimeError, match=r"type 'li': potentials grew beyond all numbers")
    with np.errstate(all="ignore"), endless:
        ab.simulate(conversion, np.full((2, 1, 1, 3), 200.0), target="numpy")


def test_delays_of_a_built_network_are_those_of_the_file(tmp_path):
    """Read back and set again they change nothing; the file's others are told apart by name."""
    seconds = np.array([3, 0, 1, 2]) * DT
    nodes = {
        "neurons": neurons(r=np.full(4, 80.0)),
        "late": {"type": "Delay", "delay": seconds},
        "more": dense(4, 4, weight=np.arange(16.0).reshape(4, 4) / 4 - 1.75),
        "end": neurons(r=np.full(4, 80.0)),
    }
    edges = [("input", "dense"), ("dense", "neurons"), ("neurons", "late"), ("late", "more")]
    edges += [("more", "end"), ("end", "output")]
    path = write_nir(tmp_path / "net.nir", nodes, edges)
    network = ab.from_nir(path, dt=DT, written_by="definition")
    conversion = ab.convert(network, ab.NirOptions(n_steps=20))
    found = []

    def again(objects):
        found.append(np.asarray(objects.delay("neurons->end")))
        objects.set_delay("neurons->end", objects.delay("neurons->end"))

    frames = np.abs(frames_for(20, n=3)[1])
    same = ab.simulate(conversion, frames, target="numpy", record=True)
    run = ab.simulate(conversion, frames, target="numpy", record=True, change=again)
    assert np.allclose(found[0] - found[0].min(), seconds)
    assert np.array_equal(run.spikes.step, same.spikes.step) and same.spikes.step.size > 20
