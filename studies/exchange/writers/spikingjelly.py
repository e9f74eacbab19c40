"""Networks of SpikingJelly."""

from importlib import import_module

from .drawing import MAP, N_HIDDEN, N_IN, N_OUT, Save
from .on_torch import fill, stepwise


def write(save: Save) -> None:
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

    class Branches(nn.Module):  # type: ignore[name-defined]
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
