"""Networks of nirtorch."""

from importlib import import_module

import numpy as np

from .drawing import N_HIDDEN, N_IN, N_OUT, Save
from .on_torch import fill, stepwise


def write(save: Save) -> None:
    """Modules of one's own whose step follows the format's definition, by exponential Euler."""
    torch, nir, exporter = (import_module(m) for m in ("torch", "nir", "nirtorch"))
    nn, dt = torch.nn, 1e-3

    class Neurons(nn.Module):  # type: ignore[name-defined]
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

    class Loop(nn.Module):  # type: ignore[name-defined]
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

    class Net(nn.Module):  # type: ignore[name-defined]
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
