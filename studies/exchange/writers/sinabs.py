"""Networks of sinabs."""

from importlib import import_module

from .drawing import MAP, N_HIDDEN, N_IN, N_OUT, N_READ, Save
from .on_torch import fill, watch


def write(save: Save, new: bool = False) -> None:
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
                seen: list[list] = [[] for _ in stateful]
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

    def one_sided():
        return [
            nn.Conv2d(2, 3, (3, 2), stride=(2, 1), bias=False),
            sl.IAFSqueeze(**one),
            sl.SumPool2d((1, 2)),
            nn.Flatten(),
            nn.Linear(27, N_OUT),
            sl.IAFSqueeze(**one),
        ]

    save("conv", attempt(one_sided, (1, 0.5), MAP), MAP, module="IAFSqueeze", **told)
