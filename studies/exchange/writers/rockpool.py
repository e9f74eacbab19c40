"""Networks of rockpool."""

from importlib import import_module

import numpy as np

from .drawing import N_HIDDEN, N_IN, N_OUT, N_READ, Save, weights
from .on_torch import fill


def write(save: Save) -> None:
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
        attempt(looped, (0.25, 0.25), recurrent=1 / 64),
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
