"""Run files that `make_exports.py` wrote in the tool that they are for, and compare its spikes.

    TOOL/bin/python check_exports.py TOOL FOLDER RESULT.csv

Needs the tool (nir 1.0.4 for sinabs, nir 1.0.8 for the others) and nothing of this project. Rows
are added to the result, or take the place of those of the same tool.
"""

import csv
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np


def snntorch(graph, x, n_steps, nodes):
    """Image by image, since Flatten is read as if the batch were an axis."""
    import torch
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(graph)
    return image_by_image(net, x, n_steps, nodes, lambda: forget(net), torch)


def forget(net):
    """Potentials back to 0."""
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()


def image_by_image(net, x, n_steps, nodes, forget_all, torch):
    """Each image on its own, step by step, with the state handed on."""
    seen = {name: [] for name in nodes}
    hook_all(net, seen)
    with torch.no_grad():
        for image in torch.from_numpy(x):
            forget_all()
            state = None
            for _ in range(n_steps):
                _, state = net(image, state)
    found = {name: np.stack([s.numpy() for s in own]) for name, own in seen.items()}
    return {n: own.reshape(len(x), n_steps, *own.shape[1:]) for n, own in found.items()}


def hook_all(net, seen):
    """Keep what the nodes of neurons give."""
    modules = dict(net.named_modules())
    for name, own in seen.items():

        def keep(_module, _given, out, own=own):
            own.append(out[0] if isinstance(out, tuple) else out)

        modules[name].register_forward_hook(keep)


def spikingjelly(graph, x, n_steps, nodes):
    """All images at once."""
    import torch
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    net = import_from_nir(graph)
    seen = {name: [] for name in nodes}
    hook_all(net, seen)
    state = None
    with torch.no_grad():
        for _ in range(n_steps):
            _, state = net(torch.from_numpy(x), state)
    return {name: np.stack([s.numpy() for s in own], axis=1) for name, own in seen.items()}


def sinabs(graph, x, n_steps, nodes):
    """All images and steps at once."""
    import torch
    from sinabs.nir import from_nir

    net = from_nir(graph, batch_size=len(x))
    seen = {name: [] for name in nodes}
    hook_all(net, seen)
    with torch.no_grad():
        net(torch.from_numpy(np.repeat(x, n_steps, axis=0)))
    return {
        name: own[0].numpy().reshape(len(x), n_steps, *own[0].shape[1:])
        for name, own in seen.items()
    }


def norse(graph, x, n_steps, nodes):
    """Image by image; soft resets are the method that the reader is told."""
    import torch
    from norse.torch.functional.reset import reset_subtract
    from norse.torch.utils.import_nir import from_nir

    net = from_nir(graph, reset_method=reset_subtract)
    return image_by_image(net, x, n_steps, nodes, lambda: None, torch)


def spyx(graph, x, n_steps, nodes):
    """All images at once; maps have their channels last there."""
    import jax.numpy as jnp
    from flax import nnx
    from spyx.nir import _build_model

    net = _build_model(graph, 1, nnx.Rngs(0))
    state = net.initial_state(len(x))
    neurons = [i for i, own in enumerate(state) if own is not None]
    assert len(neurons) == len(nodes), "as many layers of neurons as in the file"
    seen = {name: [] for name in nodes}
    x = jnp.asarray(np.moveaxis(x, 1, -1) if x.ndim == 4 else x)
    for _ in range(n_steps):
        value = x
        for i, layer in enumerate(net.layers):
            if i in neurons:
                value, state[i] = layer(value, state[i])
                spikes = np.asarray(value)
                spikes = np.moveaxis(spikes, -1, 1) if spikes.ndim == 4 else spikes
                seen[nodes[neurons.index(i)]].append(spikes)
            else:
                value = layer(value)
    return {name: np.stack(own, axis=1) for name, own in seen.items()}


def nirtorch(graph, x, n_steps, nodes):
    """The definition of NIR in a few lines of PyTorch, step by step as nirtorch passes spikes on.

    `x` in double precision, as the definition has no other.
    """
    import torch
    from nirtorch import nir_to_torch
    from torch import nn

    def tensor(values):
        return torch.from_numpy(np.asarray(values, dtype=np.float64))

    class Membrane(nn.Module):
        def __init__(self, node, dt=1e-3):
            super().__init__()
            self.node = {k: tensor(v) for k, v in vars(node).items() if isinstance(v, np.ndarray)}
            self.dt = dt

        def forward(self, x, state=None):
            own = self.node
            v = own.get("v_leak", 0.0) if state is None else state
            if "tau" in own:
                rest = own["v_leak"] + own["r"] * x
                v = rest + (v - rest) * torch.exp(-self.dt / own["tau"])
            else:
                v = v + self.dt * own["r"] * x
            if "v_threshold" not in own:
                return v, v
            z = v > own["v_threshold"]
            return z.double(), torch.where(z, own["v_reset"], v)

    class Threshold(nn.Module):
        def __init__(self, node):
            super().__init__()
            self.threshold = tensor(node.threshold)

        def forward(self, x):
            return (x > self.threshold).double()

    def linear(node):
        module = nn.Linear(*node.weight.shape[::-1], bias=hasattr(node, "bias"))
        return loaded(module, node)

    def loaded(module, node):
        module.weight.data = tensor(node.weight)
        if hasattr(node, "bias"):
            module.bias.data = tensor(node.bias)
        return module

    def convolution(node):
        n_out, n_in, *size = node.weight.shape
        pairs = {key: tuple(map(int, getattr(node, key))) for key in ("stride", "padding")}
        return loaded(nn.Conv2d(n_in, n_out, size, **pairs), node)

    kinds = {nir.Affine: linear, nir.Linear: linear, nir.Conv2d: convolution}
    kinds |= dict.fromkeys((nir.I, nir.LI, nir.IF, nir.LIF), Membrane)
    kinds |= {nir.Threshold: Threshold, nir.Flatten: lambda _: nn.Flatten(1, -1)}
    net = nir_to_torch(graph, kinds, dtype=torch.float64)
    seen = {name: [] for name in nodes}
    hook_all(net, seen)
    state = None
    with torch.no_grad():
        for _ in range(n_steps):
            _, state = net(torch.from_numpy(x.astype(np.float64)), state)
    return {name: np.stack([s.numpy() for s in own], axis=1) for name, own in seen.items()}


def compare(tool, path):
    """One row of the result."""
    with np.load(path) as arrays:
        about = json.loads(str(arrays["about"]))
        x = arrays["input"]
        x = x if tool == "nirtorch" else x.astype(np.float32)
        expected = {k[7:]: arrays[k] for k in arrays if k.startswith("spikes ")}
    late = about["late"]
    nodes = sorted(expected, key=lambda name: (late[name], list(expected).index(name)))
    n_steps = about["n_steps"] + max(late.values())
    row = {
        "tool": tool,
        "version": version(tool),
        "nir": version("nir"),
        "case": about["case"],
        "network": about["network"],
        "input": about["input"],
        "steps": about["n_steps"],
        "spikes": sum(int(own.sum()) for own in expected.values()),
        "stated": "; ".join(sorted({loss.partition(": ")[2] for loss in about["losses"]})),
        "by_our_reference": about["ours_differing"],
    }
    try:
        graph = nir.read(path.with_suffix(".nir"))
        found = globals()[tool](graph, x, n_steps, nodes)
    except Exception as error:
        return {**row, "differing": "", "first_difference": f"{type(error).__name__}: {error}"}
    differing, first = 0, ""
    for name in nodes:
        own = found[name][:, late[name] : late[name] + about["n_steps"]]
        wanted = expected[name].shape
        own = own.reshape(*wanted[:2], -1, *wanted[2:]).sum(axis=2)  # copies of a neuron
        unlike = np.abs(own.astype(np.int64) - expected[name])
        differing += int(unlike.sum())
        if unlike.any() and not first:
            step = int(np.nonzero(unlike.reshape(*unlike.shape[:2], -1).any(axis=(0, 2)))[0][0])
            first = f"{name}, step {step}"
    return {**row, "differing": differing, "first_difference": first}


def main(tool, folder, result):
    """All files for a tool."""
    rows = [compare(tool, path) for path in sorted(folder.glob(f"{tool}-*.npz"))]
    for row in rows:
        print(row)
    kept = []
    if result.exists():
        with result.open() as file:
            kept = [row for row in csv.DictReader(file) if row["tool"] != tool]
    with result.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(kept + rows, key=lambda row: row["tool"]))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
