"""Networks of norse."""

from importlib import import_module

from .drawing import MAP, N_HIDDEN, N_IN, N_OUT, N_READ, Save
from .on_torch import fill, stepwise


def write(save: Save) -> None:
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
