"""Networks of snnTorch."""

from importlib import import_module

import numpy as np

from .drawing import MAP, N_HIDDEN, N_IN, N_OUT, Save, weights
from .on_torch import fill, stepwise


def write(save: Save) -> None:
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
