"""Networks written as NIR files by spiking-network tools, each with the tool's own spikes.

    python tests/data/nir/make_fixtures.py WRITER [WRITER ...]

in an environment that holds the writer; writers and the versions that made what is here:

    snntorch      snntorch 1.0.0,     nir 1.0.8, nirtorch 2.6, torch 2.13.0
    sinabs        sinabs 3.1.3,       nir 1.0.4, nirtorch 1.0 (what sinabs asks for)
    sinabs_new    sinabs 3.1.3,       nir 1.0.8, nirtorch 2.6
    spikingjelly  spikingjelly 2.0.0, nir 1.0.8, nirtorch 2.6
    norse         norse 1.1.0,        nir 1.0.8, nirtorch 2.6
    rockpool      rockpool 3.1.0,     nir 1.0.8, nirtorch 2.6
    spyx          spyx 1.0.0,         nir 1.0.8, jax 0.10.2, flax 0.12.8
    nirtorch      nirtorch 2.6,       nir 1.0.8

Each fixture is one `.npz`: `nir`, the bytes of the NIR file as the tool wrote it; `input`, of shape
(200, *input without batch), as the tool saw it; `spikes_<n>` of the n-th spiking layer, in its
step, in the tool's order of axes; `output`, the potentials of a leaky readout; and `about`, bytes
of JSON: the tool, its versions, the parameters, the layers' nodes in the file, what the file leaves
out, how often each layer's neurons fire. "grid" networks have weights and inputs on a dyadic grid,
where potentials hit the threshold exactly; "free" ones have random reals. Several writers keep
edges in a Python set: with PYTHONHASHSEED=0 the bytes repeat.
"""

import json
import os
import sys
import tempfile
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STEPS, N_IN, N_HIDDEN, N_OUT, N_READ = 200, 12, 16, 10, 4
MAP = (2, 8, 8)
RATES = 0.05, 0.6  # of the steps in which a layer's neurons fire


def weights(rng, shape, grid, gain=1.0):
    """Multiples of gain / 4, or normal."""
    drawn = rng.integers(-2, 3, shape) / 4 if grid else rng.normal(size=shape) * 0.4
    return (gain * drawn).astype(np.float32)


def inputs(rng, shape, grid):
    """Spikes; or values k/15, new in every step for a vector and one image held for a map."""
    if grid:
        return (rng.random((STEPS, *shape)) < (0.4 if len(shape) == 1 else 0.25)).astype(np.float32)
    drawn = rng.integers(0, 16, (STEPS if len(shape) == 1 else 1, *shape))
    return np.broadcast_to((drawn / 15).astype(np.float32), (STEPS, *shape)).copy()


def save(name, attempt, shape=(N_IN,), tool="", lost=(), grid=None, **parameters):
    """Draw networks until every spiking layer fires as often as it should; keep the first.

    `attempt(rng, grid)` builds a network and returns three functions and names: one that writes
    the file, one that runs an input and gives the spikes by layer and potentials or None, and the
    names of the spiking layers' nodes in the file.
    """
    for kind in ("grid", "free") if grid is None else (grid,):
        for seed in range(200):
            rng = np.random.default_rng(seed)
            write, run, nodes = attempt(rng, kind == "grid")
            given = inputs(rng, shape, kind == "grid")
            spikes, output = run(given)
            found = [round((layer > 0).mean().item(), 3) for layer in spikes]
            if all(RATES[0] <= rate <= RATES[1] for rate in found):
                break
        else:
            raise ValueError(f"{name}: no seed gives rates in {RATES}, the last {found}")
        about = {
            "tool": tool,
            "versions": versions(tool),
            "nodes": nodes,
            "parameters": parameters,
            "lost": list(lost),
            "weights": kind,
            "seed": seed,
            "rates": found,
        }
        arrays = {f"spikes_{n}": as_counts(layer) for n, layer in enumerate(spikes)}
        if output is not None:
            arrays["output"] = output.astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.nir"
            write(path)
            file = np.frombuffer(path.read_bytes(), np.uint8)
        text = np.frombuffer(json.dumps(about, default=float).encode(), np.uint8)
        target = HERE / f"{tool}_{name}_{kind}.npz"
        np.savez_compressed(target, nir=file, input=given, about=text, **arrays)
        print(f"{target.name}: seed {seed}, rates {found}, {target.stat().st_size} bytes")


def versions(tool):
    """Of the tool and the packages of the format."""
    found = {}
    for package in (tool, "nir", "nirtorch", "torch", "jax"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if tool == "spyx":
        found.pop("torch", None)
    return found


def as_counts(layer):
    """Spikes as small integers; a tool may count several a step."""
    whole = np.asarray(layer)
    assert np.array_equal(whole, np.round(whole)), "spikes are whole numbers"
    return whole.astype(np.uint8 if whole.max(initial=0) < 256 else np.int16)


# --- tools on PyTorch: modules in a chain, run step by step or all steps at once ---------------


def fill(modules, rng, grid, gains):
    """New values for the parameters of the layers with weights, in order; returns the modules."""
    torch = import_module("torch")
    layers = [m for m in modules if getattr(m, "weight", None) is not None]
    with torch.no_grad():
        for layer, gain in zip(layers, gains, strict=True):
            layer.weight.copy_(torch.tensor(weights(rng, tuple(layer.weight.shape), grid, gain)))
            if layer.bias is not None:
                bias = weights(rng, tuple(layer.bias.shape), grid, gain / 4)
                layer.bias.copy_(torch.tensor(bias))
    return modules


def watch(modules, seen):
    """Hooks that append what each module puts out."""
    for module, kept in zip(modules, seen, strict=True):
        module.register_forward_hook(
            lambda _, __, out, kept=kept: kept.append(out[0] if isinstance(out, tuple) else out)
        )


def stepwise(call, spiking, readout=None, batched=True):
    """A function that runs an input, one step at a time; `call` goes one step."""
    torch = import_module("torch")

    def run(given):
        watched = [*spiking, *([readout] if readout is not None else [])]
        seen = [[] for _ in watched]
        watch(watched, seen)
        with torch.no_grad():
            for row in given:
                call(torch.tensor(row)[None] if batched else torch.tensor(row))
        layers = [torch.stack(kept).numpy() for kept in seen]
        layers = [layer[:, 0] for layer in layers] if batched else layers
        return (layers[:-1], layers[-1]) if readout is not None else (layers, None)

    return run


def snntorch():
    """Leaky, Synaptic and their recurrent kin; the file names neither reset nor its delay."""
    torch, nir, snn = (import_module(m) for m in ("torch", "nir", "snntorch"))
    export = import_module("snntorch.export_nir").export_to_nir
    nn = torch.nn

    def full(value, shape):
        return torch.full(shape if isinstance(shape, tuple) else (shape,), float(value))

    def attempt(layers, gains, shape=(N_IN,)):
        def made(rng, grid):
            modules = fill(layers(rng, grid), rng, grid, gains)
            net = nn.Sequential(*modules)
            spiking = [m for m in modules if isinstance(m, snn.SpikingNeuron)]
            for module in spiking:
                if hasattr(module, "recurrent"):
                    recur(module.recurrent, rng, grid)
            graph = export(net, torch.zeros(1, *shape), ignore_dims=[0])
            for module in spiking:
                module.reset_mem()
            names = [
                f"{k}.lif" if hasattr(m, "recurrent") else str(k)
                for k, m in enumerate(modules)
                if m in spiking
            ]
            return lambda path: nir.write(path, graph), stepwise(net, spiking), names

        return made

    def recur(module, rng, grid):
        with torch.no_grad():
            for parameter in module.parameters():
                drawn = weights(rng, tuple(parameter.shape), grid, 0.5)
                parameter.copy_(torch.tensor(drawn))

    def decays(rng, grid, n, value):
        drawn = np.full(n, value) if grid else rng.uniform(0.5, 0.97, n)
        return torch.tensor(drawn.astype(np.float32))

    lost = ["reset_mechanism", "reset_delay"]
    told = {"tool": "snntorch", "lost": lost, "dt": 1e-4}
    for reset in ("subtract", "zero", "none"):
        for delay in (True, False) if reset != "none" else (True,):
            kind = {"init_hidden": True, "reset_mechanism": reset, "reset_delay": delay}

            def leaky(rng, grid, kind=kind):
                return [
                    nn.Linear(N_IN, N_HIDDEN),
                    snn.Leaky(decays(rng, grid, N_HIDDEN, 0.75), full(1, N_HIDDEN), **kind),
                    nn.Linear(N_HIDDEN, N_OUT),
                    snn.Leaky(decays(rng, grid, N_OUT, 0.5), full(0.75, N_OUT), **kind),
                ]

            name = f"leaky_{reset}" + ("" if delay else "_at_once")
            gains = (0.5, 0.5) if reset == "none" else (1, 2)
            only = None if delay else "grid"
            save(name, attempt(leaky, gains), grid=only, module="Leaky", **kind, **told)

    for reset in ("subtract", "zero"):
        kind = {"init_hidden": True, "reset_mechanism": reset}

        def synaptic(rng, grid, kind=kind):
            return [
                nn.Linear(N_IN, N_HIDDEN),
                snn.Synaptic(
                    decays(rng, grid, N_HIDDEN, 0.5),
                    decays(rng, grid, N_HIDDEN, 0.75),
                    full(2, N_HIDDEN),
                    **kind,
                ),
                nn.Linear(N_HIDDEN, N_OUT),
                snn.Synaptic(
                    decays(rng, grid, N_OUT, 0.75),
                    decays(rng, grid, N_OUT, 0.5),
                    full(1, N_OUT),
                    **kind,
                ),
            ]

        def recurrent(rng, grid, kind=kind):
            return [
                nn.Linear(N_IN, N_HIDDEN),
                snn.RLeaky(
                    decays(rng, grid, N_HIDDEN, 0.75),
                    threshold=full(1, N_HIDDEN),
                    linear_features=N_HIDDEN,
                    **kind,
                ),
                nn.Linear(N_HIDDEN, N_OUT),
                snn.RLeaky(
                    decays(rng, grid, N_OUT, 0.5),
                    threshold=full(0.75, N_OUT),
                    V=full(0, N_OUT),
                    all_to_all=False,
                    **kind,
                ),
            ]

        def recurrent_synaptic(rng, grid, kind=kind):
            return [
                nn.Linear(N_IN, N_HIDDEN),
                snn.RSynaptic(
                    decays(rng, grid, N_HIDDEN, 0.5),
                    decays(rng, grid, N_HIDDEN, 0.75),
                    threshold=full(2, N_HIDDEN),
                    linear_features=N_HIDDEN,
                    **kind,
                ),
                nn.Linear(N_HIDDEN, N_OUT),
            ]

        def convolution(rng, grid, kind=kind):
            return [
                nn.Conv2d(2, 3, 3, stride=(2, 1), padding=(1, 0)),
                snn.Leaky(full(0.75, (3, 4, 6)), full(1, (3, 4, 6)), **kind),
                nn.AvgPool2d((1, 2)),
                nn.Flatten(),
                nn.Linear(36, N_OUT),
                snn.Leaky(full(0.5, N_OUT), full(0.5, N_OUT), **kind),
            ]

        only = None if reset == "subtract" else "grid"
        made = attempt(synaptic, (1, 2))
        save(f"synaptic_{reset}", made, grid=only, module="Synaptic", **kind, **told)
        made = attempt(recurrent, (1, 2))
        save(f"rleaky_{reset}", made, grid=only, module="RLeaky", **kind, **told)
        made = attempt(recurrent_synaptic, (1, 1))
        save(f"rsynaptic_{reset}", made, grid="grid", module="RSynaptic", **kind, **told)
        if reset == "subtract":
            save("conv", attempt(convolution, (1, 1), MAP), MAP, module="Leaky", **kind, **told)

    kind = {"init_hidden": True}

    def no_leak(rng, grid):
        return [
            nn.Linear(N_IN, N_HIDDEN),
            snn.Leaky(full(1, N_HIDDEN), full(1, N_HIDDEN), **kind),
        ]

    def groups(rng, grid):
        return [
            nn.Conv2d(2, 4, 3, padding="same", groups=2, bias=False),
            snn.Leaky(full(0.75, (4, 8, 8)), full(1, (4, 8, 8)), **kind),
        ]

    save("no_leak", attempt(no_leak, (1,)), grid="grid", module="Leaky(beta=1)", **told)
    save("groups", attempt(groups, (1,), MAP), MAP, grid="grid", module="Leaky", **told)


def sinabs(new=False):
    """IAF, LIF and ExpLeak, which run all steps at once; with nir 1.0.4 there is no v_reset."""
    torch, nir, sl, act = (
        import_module(m) for m in ("torch", "nir", "sinabs.layers", "sinabs.activation")
    )
    export = import_module("sinabs.nir").to_nir
    nn = torch.nn

    def attempt(layers, gains, shape=(N_IN,), readout=False):
        def made(rng, grid):
            modules = fill(layers(), rng, grid, gains)
            net = nn.Sequential(*modules)
            stateful = [m for m in modules if isinstance(m, sl.StatefulLayer)]
            graph = export(net, torch.zeros(1, *shape))
            if len(shape) > 1:
                graph.infer_types()  # else a convolution without its shape cannot be written
            for module in stateful:
                module.reset_states()

            def run(given):
                seen = [[] for _ in stateful]
                watch(stateful, seen)
                with torch.no_grad():
                    net(torch.tensor(given))
                found = [kept[0].numpy() for kept in seen]
                return (found[:-1], found[-1]) if readout else (found, None)

            names = [str(k) for k, m in enumerate(modules) if m in stateful]
            return lambda path: nir.write(path, graph), run, names

        return made

    def dense(neuron, last=None):
        n_out = N_READ if last else N_OUT
        return lambda: [
            nn.Linear(N_IN, N_HIDDEN),
            neuron(N_HIDDEN),
            nn.Linear(N_HIDDEN, n_out, bias=False),
            (last or neuron)(n_out),
        ]

    one = {"batch_size": 1}
    lost = ["min_v_mem", "spike_fn", "reset_fn"]
    told = {"tool": "sinabs", "lost": lost}
    if new:
        made = attempt(dense(lambda n: sl.IAFSqueeze(**one)), (1, 1))
        save("new_iaf", made, grid="grid", module="IAFSqueeze", **told)

        def vectors(n):
            return sl.LIFSqueeze(
                tau_mem=torch.linspace(2, 20, n),
                spike_threshold=torch.linspace(0.5, 1.5, n),
                norm_input=False,
                **one,
            )

        save(
            "new_lif",
            attempt(dense(vectors), (1, 1)),
            grid="free",
            norm_input=False,
            tau_mem="2 to 20",
            module="LIFSqueeze",
            **told,
        )

        def convolution():
            return [
                nn.Conv2d(2, 3, 3, stride=(2, 1), padding=(1, 0), bias=False),
                sl.IAFSqueeze(**one),
                sl.SumPool2d((2, 1), stride=(2, 3)),
                nn.Flatten(),
                nn.Linear(12, N_OUT),
                sl.IAFSqueeze(**one),
            ]

        save(
            "new_conv",
            attempt(convolution, (1, 0.5), MAP),
            MAP,
            grid="grid",
            module="IAFSqueeze",
            **told,
        )
        return

    save("iaf", attempt(dense(lambda n: sl.IAFSqueeze(**one)), (1, 1)), module="IAFSqueeze", **told)
    clipped = {"min_v_mem": -1.0}
    made = attempt(dense(lambda n: sl.IAFSqueeze(**clipped, **one)), (1, 1))
    save("iaf_clipped", made, grid="grid", module="IAFSqueeze", **clipped, **told)
    single = {"spike_fn": act.SingleSpike}
    made = attempt(dense(lambda n: sl.IAFSqueeze(**single, **one)), (1, 1))
    save("iaf_single", made, grid="grid", module="IAFSqueeze", spike_fn="SingleSpike", **told)
    hard = {"spike_fn": act.SingleSpike, "reset_fn": act.MembraneReset()}
    made = attempt(dense(lambda n: sl.IAFSqueeze(**hard, **one)), (1, 1))
    save(
        "iaf_reset",
        made,
        grid="grid",
        module="IAFSqueeze",
        spike_fn="SingleSpike",
        reset_fn="MembraneReset",
        **told,
    )
    made = attempt(dense(lambda n: sl.LIFSqueeze(tau_mem=10.0, **one)), (8, 8))
    save(
        "lif",
        made,
        module="LIFSqueeze",
        tau_mem=10,
        norm_input=True,
        **told | {"lost": [*lost, "norm_input"]},
    )
    plain = {"tau_mem": 5.0, "norm_input": False}
    made = attempt(dense(lambda n: sl.LIFSqueeze(**plain, **one)), (1, 1))
    save("lif_plain", made, module="LIFSqueeze", **plain, **told)
    made = attempt(dense(lambda n: sl.LIFSqueeze(**plain, **hard, **one)), (1, 1))
    save(
        "lif_reset",
        made,
        grid="grid",
        module="LIFSqueeze",
        spike_fn="SingleSpike",
        reset_fn="MembraneReset",
        **plain,
        **told,
    )
    synapse = {"tau_mem": 5.0, "tau_syn": 3.0, "norm_input": False}
    made = attempt(dense(lambda n: sl.LIFSqueeze(**synapse, **one)), (0.5, 0.5))
    save(
        "lif_synapse",
        made,
        grid="free",
        module="LIFSqueeze",
        **synapse,
        **told | {"lost": [*lost, "tau_syn"]},
    )
    made = attempt(
        dense(lambda n: sl.IAFSqueeze(**one), lambda n: sl.ExpLeakSqueeze(tau_mem=8.0, **one)),
        (1, 1),
        readout=True,
    )
    save("readout", made, grid="free", module="IAFSqueeze, ExpLeakSqueeze", tau_mem=8, **told)

    def convolution():
        return [
            nn.Conv2d(2, 3, (3, 2), stride=(2, 1), bias=False),
            sl.IAFSqueeze(**one),
            sl.SumPool2d((1, 2)),
            nn.Flatten(),
            nn.Linear(27, N_OUT),
            sl.IAFSqueeze(**one),
        ]

    save("conv", attempt(convolution, (1, 0.5), MAP), MAP, module="IAFSqueeze", **told)


def sinabs_new():
    sinabs(new=True)


def spikingjelly():
    """IF, LIF, parametric LIF and current-based LIF, always with hard reset; no recurrence."""
    torch = import_module("torch")
    neuron, layer, functional, exchange = (
        import_module(f"spikingjelly.activation_based.{m}")
        for m in ("neuron", "layer", "functional", "nir_exchange.to_nir")
    )
    nn = torch.nn

    def attempt(layers, gains, shape=(N_IN,), dt=1e-4):
        def made(rng, grid):
            built = layers()
            net = built if isinstance(built, nn.Module) else nn.Sequential(*built)
            modules = fill(list(net.children()), rng, grid, gains)
            spiking = [m for m in modules if isinstance(m, neuron.BaseNode)]
            names = [
                k if k.isidentifier() else f"_{k}" for k, m in net.named_children() if m in spiking
            ]

            def write(path):
                functional.reset_net(net)
                exchange.export_to_nir(net, torch.zeros(1, *shape), save_path=path, dt=dt)

            return write, stepwise(net, spiking), names

        return made

    def dense(make, last=None):
        return lambda: [
            layer.Linear(N_IN, N_HIDDEN),
            make(),
            layer.Linear(N_HIDDEN, N_OUT, bias=False),
            (last or make)(),
        ]

    told = {"tool": "spikingjelly"}
    save("if", attempt(dense(neuron.IFNode), (1, 1)), module="IFNode", dt=1e-4, **told)
    low = {"v_threshold": 1.5, "v_reset": -0.25}
    made = attempt(dense(lambda: neuron.IFNode(**low)), (1, 1), dt=1e-3)
    save("if_below", made, grid="grid", module="IFNode", dt=1e-3, **low, **told)
    for name, decay in (("lif", True), ("lif_whole_input", False)):
        for kind, tau in (("grid", 4.0), ("free", 2.7)):
            given = {"tau": tau, "decay_input": decay}
            made = attempt(dense(lambda g=given: neuron.LIFNode(**g)), (4, 4) if decay else (1, 1))
            save(name, made, grid=kind, module="LIFNode", dt=1e-4, **given, **told)
    given = {"tau": 2.0, "v_reset": -0.25, "v_threshold": 0.75}
    made = attempt(dense(lambda: neuron.LIFNode(**given)), (2, 2), dt=1e-3)
    save("lif_below", made, grid="grid", module="LIFNode", dt=1e-3, **given, **told)
    made = attempt(dense(lambda: neuron.ParametricLIFNode(10.0, decay_input=False)), (1, 1))
    save(
        "plif",
        made,
        grid="free",
        module="ParametricLIFNode",
        init_tau=10,
        decay_input=False,
        dt=1e-4,
        **told,
    )
    made = attempt(dense(neuron.CUBALIFNode), (0.5, 0.5))
    save("cuba", made, grid="grid", module="CUBALIFNode", dt=1e-4, **told)
    given = {"c_decay": 0.83, "v_decay": 0.91, "v_threshold": 1.5, "v_reset": 0.125}
    made = attempt(dense(lambda: neuron.CUBALIFNode(**given)), (0.5, 0.5), dt=1e-3)
    save("cuba", made, grid="free", module="CUBALIFNode", dt=1e-3, **given, **told)

    def convolution():
        return [
            layer.Conv2d(2, 3, 3, stride=(2, 1), padding=(1, 0), bias=False),
            neuron.IFNode(),
            layer.AvgPool2d((1, 2), stride=(1, 2)),
            layer.Flatten(),
            layer.Linear(36, N_OUT),
            neuron.LIFNode(tau=2.0, decay_input=False),
        ]

    def padded():
        return [
            layer.Conv2d(2, 3, 3, padding="same"),
            neuron.IFNode(),
            layer.AvgPool2d(2, 2, 1),
            layer.Conv2d(3, 4, 3, dilation=(2, 1), padding=(1, 0)),
            neuron.IFNode(v_threshold=0.5),
        ]

    def one_axis():
        return [
            layer.Conv1d(2, 3, 3, stride=2, padding=1),
            neuron.IFNode(),
            layer.Flatten(),
            layer.Linear(12, N_OUT),
            neuron.IFNode(),
        ]

    class Branches(nn.Module):
        """A layer's spikes go on twice, once past a dense layer."""

        def __init__(self):
            super().__init__()
            self.first = layer.Linear(N_IN, N_HIDDEN)
            self.below = neuron.IFNode()
            self.second = layer.Linear(N_HIDDEN, N_HIDDEN)
            self.above = neuron.IFNode(v_threshold=1.5)

        def forward(self, x):
            below = self.below(self.first(x))
            return self.above(self.second(below) + below)

    save("conv", attempt(convolution, (1, 1), MAP), MAP, module="IFNode, LIFNode", dt=1e-4, **told)
    save(
        "conv_padded",
        attempt(padded, (1, 1), MAP),
        MAP,
        grid="grid",
        module="IFNode",
        dt=1e-4,
        **told,
    )
    save(
        "conv_1d",
        attempt(one_axis, (1, 1), (2, 8)),
        (2, 8),
        grid="grid",
        module="IFNode",
        dt=1e-4,
        **told,
    )
    save("branches", attempt(Branches, (1, 1)), grid="grid", module="IFNode", dt=1e-4, **told)


def norse():
    """IAF, LIF without and with a current, and a leaky readout; time constants come out dt-fold."""
    torch, nir, nt = (import_module(m) for m in ("torch", "nir", "norse.torch"))
    iaf, box, lif, li, out = (
        import_module(f"norse.torch.{m}")
        for m in (
            "module.iaf",
            "module.lif_box",
            "module.lif",
            "module.leaky_integrator_box",
            "utils.export_nir",
        )
    )
    subtract = import_module("norse.torch.functional.reset").reset_subtract
    cell = import_module("norse.torch.module.snn").SNNCell
    nn = torch.nn

    def full(value, shape):
        return torch.full(shape if isinstance(shape, tuple) else (shape,), float(value))

    def attempt(layers, gains, shape=(N_IN,), batched=True, readout=False, dt=1e-3):
        def made(rng, grid):
            modules = fill(layers(), rng, grid, gains)
            net = nt.SequentialState(*modules)
            stateful = [m for m in modules if isinstance(m, cell)]
            graph = out.to_nir(net, torch.zeros((1, *shape) if batched else shape), dt=dt)
            if len(shape) > 1:
                graph.infer_types()  # else a convolution without its shape cannot be written
            state = [None]

            def call(row):
                _, state[0] = net(row, state[0])

            spiking = stateful[:-1] if readout else stateful
            last = stateful[-1] if readout else None
            names = [str(k) for k, m in enumerate(modules) if m in stateful]
            return (
                lambda path: nir.write(path, graph),
                stepwise(call, spiking, last, batched),
                names,
            )

        return made

    def dense(make, last=None):
        n_out = N_READ if last else N_OUT
        return lambda: [
            nn.Linear(N_IN, N_HIDDEN),
            make(N_HIDDEN),
            nn.Linear(N_HIDDEN, n_out),
            (last or make)(n_out),
        ]

    def integrate(shape):
        return iaf.IAFCell(iaf.IAFParameters(v_th=full(1, shape)))

    def leaky(inverse=250.0, leak=0.0, dt=1e-3, **given):
        return lambda n: box.LIFBoxCell(
            box.LIFBoxParameters(full(inverse, n), v_leak=full(leak, n), v_th=full(1, n), **given),
            dt=dt,
        )

    def current(n):
        return lif.LIFCell(
            lif.LIFParameters(
                tau_syn_inv=full(250, n),
                tau_mem_inv=full(125, n),
                v_leak=full(0, n),
                v_th=full(0.5, n),
            )
        )

    told = {"tool": "norse", "lost": ["v_reset", "reset_method", "dt"]}
    save("iaf", attempt(dense(integrate), (1, 1)), module="IAFCell", dt=1e-3, **told)
    save(
        "lif",
        attempt(dense(leaky()), (4, 4)),
        module="LIFBoxCell",
        dt=1e-3,
        tau_mem_inv=250,
        **told,
    )
    below = {"v_reset": torch.tensor(-0.5)}
    made = attempt(dense(leaky(leak=0.25, **below)), (4, 4))
    save(
        "lif_below",
        made,
        grid="grid",
        module="LIFBoxCell",
        dt=1e-3,
        tau_mem_inv=250,
        v_leak=0.25,
        v_reset=-0.5,
        **told,
    )
    made = attempt(dense(leaky(reset_method=subtract)), (4, 4))
    save(
        "lif_subtract",
        made,
        grid="grid",
        module="LIFBoxCell",
        dt=1e-3,
        tau_mem_inv=250,
        reset_method="subtract",
        **told,
    )
    made = attempt(dense(leaky(2500.0, dt=1e-4)), (4, 4), dt=1e-4)
    save("lif_fine", made, grid="grid", module="LIFBoxCell", dt=1e-4, tau_mem_inv=2500, **told)
    save(
        "cuba",
        attempt(dense(current), (4, 4)),
        module="LIFCell",
        dt=1e-3,
        tau_syn_inv=250,
        tau_mem_inv=125,
        **told,
    )
    made = attempt(
        dense(integrate, lambda n: li.LIBoxCell(li.LIBoxParameters(full(125, n), full(0.125, n)))),
        (1, 1),
        readout=True,
    )
    save(
        "readout",
        made,
        grid="free",
        module="IAFCell, LIBoxCell",
        dt=1e-3,
        tau_mem_inv=125,
        v_leak=0.125,
        **told,
    )

    def convolution():
        return [
            nn.Conv2d(2, 3, 3, stride=(2, 1), padding=1),
            integrate((3, 4, 8)),
            nn.Conv2d(3, 2, 3),
            leaky()((2, 2, 6)),
        ]

    save(
        "conv",
        attempt(convolution, (1, 4), MAP, batched=False),
        MAP,
        grid="grid",
        module="IAFCell, LIFBoxCell",
        dt=1e-3,
        **told,
    )


def rockpool():
    """Dense layers only; bias, recurrence and the limit of spikes do not reach the file."""
    torch, nir, mods, parameters = (
        import_module(m) for m in ("torch", "nir", "rockpool.nn.modules", "rockpool.parameters")
    )
    combined = import_module("rockpool.nn.combinators").Sequential
    export = import_module("rockpool.nn.modules.torch.nir").to_nir

    def attempt(neurons, gains, has_bias=False, readout=False, recurrent=None):
        def made(rng, grid):
            below, above = neurons()
            linear = [
                mods.LinearTorch((N_IN, N_HIDDEN), has_bias=has_bias),
                mods.LinearTorch((N_HIDDEN, N_READ if readout else N_OUT), has_bias=has_bias),
            ]
            fill(linear, rng, grid, gains)
            if recurrent:
                drawn = weights(rng, (N_HIDDEN, N_HIDDEN), grid, recurrent)
                below.w_rec.data.copy_(torch.tensor(drawn))
            modules = [linear[0], below, linear[1], above]
            net = combined(*modules)
            graph = export(net)
            net.reset_state()
            names = [f"{k}_{type(m).__name__}" for k, m in enumerate(modules) if k % 2]

            def run(given):
                with torch.no_grad():
                    _, _, record = net(torch.tensor(given)[None], record=True)
                found = [record[f"{name}_output"][0].numpy() for name in names]
                return (found[:-1], found[-1]) if readout else (found, None)

            return lambda path: nir.write(path, graph), run, names

        return made

    def pair(kind, **given):
        return lambda: (kind(N_HIDDEN, **given), kind(N_OUT, **given))

    told = {"tool": "rockpool"}
    lif, bare = mods.LIFTorch, mods.LIFNeuronTorch
    save("lif", attempt(pair(lif), (0.25, 0.25)), module="LIFTorch", dt=1e-3, **told)
    given = {"dt": 1e-2, "tau_mem": 0.03, "tau_syn": 0.015, "threshold": 0.75}
    save(
        "lif_coarse",
        attempt(pair(lif, **given), (1, 1), has_bias=True),
        grid="grid",
        module="LIFTorch",
        **given,
        **told,
    )
    halves = {"dt": 1e-3, "tau_mem": float(1e-3 / np.log(2)), "tau_syn": float(1e-3 / np.log(4))}
    save(
        "lif_halves",
        attempt(pair(lif, **halves), (4, 4)),
        grid="grid",
        module="LIFTorch",
        **halves,
        **told,
    )
    given = {"max_spikes_per_dt": torch.tensor(1)}
    save(
        "lif_single",
        attempt(pair(lif, **given), (0.25, 0.25)),
        grid="free",
        module="LIFTorch",
        dt=1e-3,
        max_spikes_per_dt=1,
        **told | {"lost": ["max_spikes_per_dt"]},
    )
    save(
        "lif_bias",
        attempt(pair(lif, bias=0.05), (0.125, 0.25)),
        grid="free",
        module="LIFTorch",
        dt=1e-3,
        bias=0.05,
        **told | {"lost": ["bias"]},
    )

    def vectors():
        def one(n):
            return lif(
                n,
                dt=2e-3,
                tau_mem=torch.linspace(0.005, 0.05, n),
                tau_syn=torch.linspace(0.002, 0.02, n)[:, None],
                threshold=torch.linspace(0.5, 2, n),
            )

        return one(N_HIDDEN), one(N_OUT)

    save(
        "lif_vectors", attempt(vectors, (0.5, 0.5)), grid="free", module="LIFTorch", dt=2e-3, **told
    )

    def looped():
        return lif(N_HIDDEN, has_rec=True), lif(N_OUT)

    save(
        "lif_recurrent",
        attempt(looped, (0.25, 0.25), recurrent=0.125),
        grid="grid",
        module="LIFTorch",
        dt=1e-3,
        **told | {"lost": ["w_rec"]},
    )
    save("neuron", attempt(pair(bare), (1, 1)), module="LIFNeuronTorch", dt=1e-3, **told)
    given = {"dt": 1e-3, "tau_mem": halves["tau_mem"]}
    save(
        "neuron_half",
        attempt(pair(bare, **given), (2, 2)),
        grid="grid",
        module="LIFNeuronTorch",
        **given,
        **told,
    )

    def readout():
        tau = parameters.Constant(torch.full((N_READ,), 0.02))
        return bare(N_HIDDEN), mods.ExpSynTorch(N_READ, tau=tau, dt=1e-3)

    save(
        "readout",
        attempt(readout, (1, 1), readout=True),
        grid="free",
        module="LIFNeuronTorch, ExpSynTorch",
        dt=1e-3,
        **told,
    )


def spyx():
    """IF, LIF and current-based LIF, a step late, also recurrent; channels come last in spyx."""
    jnp, nnx, nir, snn = (import_module(m) for m in ("jax.numpy", "flax.nnx", "nir", "spyx.nn"))
    export = import_module("spyx.nir").to_nir

    def attempt(layers, gains, shape=(N_IN,), dt=1.0):
        def made(rng, grid):
            rngs = nnx.Rngs(int(rng.integers(1000)))
            modules = layers(rngs, grid)
            gain = iter(gains)
            for module in modules:
                if hasattr(module, "kernel"):
                    scale = next(gain)
                    for parameter, size in ((module.kernel, scale), (module.bias, scale / 4)):
                        if parameter is not None:
                            parameter[...] = jnp.array(weights(rng, parameter.shape, grid, size))
                if hasattr(module, "recurrent_w"):
                    drawn = weights(rng, module.recurrent_w.shape, grid, 0.5)
                    module.recurrent_w[...] = jnp.array(drawn)
            spiking = [k for k, m in enumerate(modules) if hasattr(m, "initial_state")]

            def run(given):
                series = jnp.array(given)[:, None]
                found = []
                for last in spiking:
                    chain = snn.Sequential(*modules[: last + 1])
                    found.append(np.asarray(snn.run(chain, series)[0])[:, 0])
                return found, None

            def write(path):
                n_out = modules[-1].hidden_shape
                sizes = {"input": np.array([*shape[-1:], *shape[:-1]])}, {"output": np.array(n_out)}
                nir.write(path, export(snn.Sequential(*modules), *sizes, dt=dt))

            names = [node_name(k, modules[k]) for k in spiking]
            return write, run, names

        return made

    def node_name(k, module):
        inner = f"layer_{k}/layer_{k}.lif" if hasattr(module, "recurrent_w") else f"layer_{k}"
        return f"{inner}_threshold" if isinstance(module, snn.PSU_LIF) else inner

    def dense(kind, dyadic=None, last=None, **given):
        def layers(rngs, grid):
            chosen = dict(given, **(dyadic or {})) if grid else given
            return [
                nnx.Linear(N_IN, N_HIDDEN, rngs=rngs),
                kind((N_HIDDEN,), rngs=rngs, **chosen),
                nnx.Linear(N_HIDDEN, N_OUT, rngs=rngs),
                (last or kind)((N_OUT,), rngs=rngs, **chosen),
            ]

        return layers

    told = {"tool": "spyx", "lost": ["latency of a step", "reset"]}
    half, quarter = {"beta": 0.75}, {"alpha": 0.5, "beta": 0.75}
    save("if", attempt(dense(snn.IF), (1, 1)), module="IF", dt=1, **told)
    save("lif", attempt(dense(snn.LIF, half), (1, 1), dt=1e-3), module="LIF", dt=1e-3, **told)
    made = attempt(dense(snn.CuBaLIF, quarter), (0.5, 0.5))
    save("cuba", made, module="CuBaLIF", dt=1, **told)
    wrong = told | {"lost": [*told["lost"], "edge of the input"]}
    save(
        "rif",
        attempt(dense(snn.RIF, threshold=1.5), (1, 1)),
        grid="grid",
        module="RIF",
        dt=1,
        **wrong,
    )
    save("rlif", attempt(dense(snn.RLIF, half), (1, 1)), module="RLIF", dt=1, **wrong)
    made = attempt(dense(snn.RCuBaLIF, quarter), (0.5, 0.5))
    save("rcuba", made, grid="grid", module="RCuBaLIF", dt=1, **wrong)
    made = attempt(dense(snn.PSU_LIF, half), (0.5, 0.5))
    save("psu", made, grid="grid", module="PSU_LIF", dt=1, **told)

    def convolution(rngs, grid):
        return [
            nnx.Conv(2, 3, (3, 3), strides=(2, 1), padding="VALID", rngs=rngs),
            snn.IF((3, 6, 3)),
            snn.SumPool((1, 2), (1, 2), "VALID"),
            snn.Flatten(),
            nnx.Linear(27, N_OUT, rngs=rngs),
            snn.LIF((N_OUT,), beta=0.75, rngs=rngs),
        ]

    def same(rngs, grid):
        return [
            nnx.Conv(2, 3, (3, 3), padding="SAME", rngs=rngs),
            snn.LIF((8, 8, 3), beta=0.5, rngs=rngs),
            snn.SumPool(3, 3, "SAME"),
            snn.Flatten(),
            nnx.Linear(27, N_OUT, rngs=rngs),
            snn.IF((N_OUT,)),
        ]

    turned = *MAP[1:], MAP[0]
    columns = told | {"lost": [*told["lost"], "order of the columns after Flatten"]}
    columns |= {"axes": "height, width, channels, of input and spikes"}
    save(
        "conv",
        attempt(convolution, (1, 0.5), turned),
        turned,
        grid="grid",
        module="IF, LIF",
        dt=1,
        **columns,
    )
    save(
        "conv_same",
        attempt(same, (1, 0.25), turned),
        turned,
        grid="grid",
        module="LIF, IF",
        dt=1,
        **columns,
    )


def nirtorch():
    """Modules of one's own whose step follows the format's definition, by exponential Euler."""
    torch, nir, exporter = (import_module(m) for m in ("torch", "nir", "nirtorch"))
    nn, dt = torch.nn, 1e-3

    class Neurons(nn.Module):
        """Leaky neurons of different time constants, leak and reset."""

        def __init__(self, n):
            super().__init__()
            self.tau, self.r = torch.linspace(0.005, 0.02, n), torch.linspace(1, 3, n)
            self.leak, self.reset = torch.linspace(-0.25, 0.25, n), torch.linspace(-0.5, 0, n)
            self.threshold = torch.linspace(0.5, 1, n)

        def forward(self, x, state=None):
            v = self.leak.expand_as(x) if state is None else state
            end = self.leak + self.r * x
            v = end + (v - end) * torch.exp(-dt / self.tau)
            fired = v > self.threshold
            return fired.float(), torch.where(fired, self.reset, v)

        def node(self):
            fields = self.tau, self.r, self.leak, self.threshold, self.reset
            return nir.LIF(*(field.numpy() for field in fields))

    class Loop(nn.Module):
        """Neurons that feed back, mapped to a graph in the graph."""

        def __init__(self, n):
            super().__init__()
            self.neurons, self.back = Neurons(n), nn.Linear(n, n, bias=False)
            self.n = n

        def forward(self, x, state=None):
            fired, v = (torch.zeros_like(x), None) if state is None else state
            fired, v = self.neurons(x + self.back(fired), v)
            return fired, (fired, v)

        def node(self):
            nodes = {
                "in": nir.Input(np.array([self.n])),
                "neurons": self.neurons.node(),
                "back": nir.Linear(self.back.weight.detach().numpy()),
                "out": nir.Output(np.array([self.n])),
            }
            edges = [
                ("in", "neurons"),
                ("neurons", "back"),
                ("back", "neurons"),
                ("neurons", "out"),
            ]
            return nir.NIRGraph(nodes, edges)

    class Net(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.below, self.first = nn.Linear(N_IN, N_HIDDEN), kind(N_HIDDEN)
            self.above, self.second = nn.Linear(N_HIDDEN, N_OUT), Neurons(N_OUT)

        def forward(self, x, state=None):
            states = [None, None] if state is None else state
            fired, first = self.first(self.below(x), states[0])
            fired, second = self.second(self.above(fired), states[1])
            return fired, [first, second]

    def attempt(kind):
        def made(rng, grid):
            net = Net(kind)
            fill([net.below, net.above], rng, grid, (2, 6))
            if kind is Loop:
                fill([net.first.back], rng, grid, (0.5,))
            state = [None]

            def call(row):
                _, state[0] = net(row, state[0])

            def write(path):
                mapped = {kind: lambda module: module.node(), Neurons: lambda module: module.node()}
                graph = exporter.torch_to_nir(
                    net, mapped, stateful_modules={kind, Neurons}, concrete_args={"state": None}
                )
                nir.write(path, graph)

            names = ["first/neurons" if kind is Loop else "first", "second"]
            return write, stepwise(call, [net.first, net.second]), names

        return made

    told = {"tool": "nirtorch", "dt": dt, "lost": ["dt"]}
    save("lif", attempt(Neurons), module="own, exponential Euler", **told)
    save("loop", attempt(Loop), module="own, exponential Euler, graph in the graph", **told)


WRITERS = [snntorch, sinabs, sinabs_new, spikingjelly, norse, rockpool, spyx, nirtorch]


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    warnings.simplefilter("ignore")
    known = {writer.__name__: writer for writer in WRITERS}
    wanted = sys.argv[1:]
    if not wanted or any(name not in known for name in wanted):
        sys.exit(f"give one or more of {', '.join(known)}")
    for name in wanted:
        known[name]()
