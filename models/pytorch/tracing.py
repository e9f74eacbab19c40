"""A module's forward pass as a graph of ATen operations, and the module as it was before.

The graph is that of `torch.export`. Of PyTorch's tracers it loses least: it runs the module's own
`__call__`, so that hooks, weight norm, spectral norm, parametrisations, pruning and data-parallel
wrappers are in the graph as the operations that they are, and whatever Python does on the way
(loops, `len(x)`, a module used twice) is followed. `torch.fx` keeps modules whole, which is
pleasant to read, but passes over the hooks on them without a word, and stops at `len` and at
DataParallel. What depends on the values of an image is an error in both.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import fx, nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.nn.modules import module as of_all_modules

from .unit_operations import as_operations

BATCH = 2  # images in the traced batch

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)
_HELD = ("_parameters", "_buffers", "_modules")


@contextmanager
def evaluated(module: nn.Module, *, in_steps: bool = False) -> Iterator[None]:
    """Put a module into evaluation mode, units as operations, and leave it as it was.

    Restored are modes, attributes, parameters and buffers of all its modules and the state of
    PyTorch's random numbers. What a hook does outside of the module is not undone.

    Parameters
    ----------
    module : nn.Module
        Any.
    in_steps : bool
        Let units run their time steps instead, as in the training.
    """
    parts = list(module.modules())
    attributes = [dict(vars(part)) for part in parts]
    held = [{name: dict(vars(part)[name]) for name in _HELD} for part in parts]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    cuda = {t.device for t in module.state_dict().values() if getattr(t, "is_cuda", False)}
    with torch.random.fork_rng(devices=sorted(cuda, key=str)), torch.no_grad():
        try:
            for part in parts:
                part.training = False
            with nullcontext() if in_steps else as_operations(module):
                yield
        finally:
            for part, kept, contents in zip(parts, attributes, held, strict=True):
                vars(part).clear()
                vars(part).update(kept)
                for name, values in contents.items():  # in place: handles of hooks know the dicts
                    vars(part)[name].clear()
                    vars(part)[name].update(values)
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def run(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a module that is `evaluated`.

    Parameters
    ----------
    module : nn.Module
        Any.
    x : Tensor, shape (n, ...)
        Its input.

    Returns
    -------
    Tensor, shape (n, n_classes)
        Its logits.

    Raises
    ------
    ValueError
        If it fails, the message names the module inside, or gives something else than logits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a module that its user knows
        with named_errors(module, f"does not run on an input of shape {tuple(x.shape)}"):
            logits = module(x)
    if not isinstance(logits, torch.Tensor):
        raise ValueError(
            f"the module gives a {type(logits).__name__}, not one tensor of logits; wrap it in a "
            "module that returns the logits only"
        )
    if logits.ndim != 2 or len(logits) != len(x):
        raise ValueError(
            f"the module gives shape {tuple(logits.shape)} for an input of shape "
            f"{tuple(x.shape)}, not (n, classes)"
        )
    return logits


@dataclass(frozen=True, eq=False)
class Graph:
    """A traced forward pass.

    Parameters
    ----------
    nodes : list of Node
        The operations that the logits depend on, in order; functional ATen.
    constants : dict of Node to Tensor
        Parameters, buffers and constants.
    input, output : Node
        Image and logits.
    """

    nodes: list[fx.Node]
    constants: dict[fx.Node, torch.Tensor]
    input: fx.Node
    output: fx.Node

    def values(self, x: torch.Tensor, *, exact: bool) -> dict[fx.Node, Any]:
        """Compute all values.

        Parameters
        ----------
        x : Tensor, shape (BATCH, ...)
            Input of the module.
        exact : bool
            Compute in float64 on the CPU, not as the module does.

        Returns
        -------
        dict of Node to Tensor
            One (or several, as a tuple) of each operation, with the batch axis.
        """
        found: dict[fx.Node, Any] = {**self.constants, self.input: x}
        if exact:
            found = {node: in_double(tensor) for node, tensor in found.items()}
        for node in self.nodes:
            found[node] = evaluate(node, found, exact=exact)
        return found


def evaluate(node: fx.Node, known: dict[fx.Node, Any], *, exact: bool = True) -> Any:
    """Compute the value of one operation from those of its arguments.

    Parameters
    ----------
    node : Node
        The operation.
    known : dict of Node to Tensor
        Values of its arguments.
    exact : bool
        Whether types and devices that the graph names are float64 and the CPU instead.

    Returns
    -------
    Tensor or tuple of Tensor
        What it gives.
    """

    def known_or_given(argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return known[argument]
        if exact and isinstance(argument, torch.dtype) and argument.is_floating_point:
            return torch.float64
        return torch.device("cpu") if exact and isinstance(argument, torch.device) else argument

    arguments = fx.node.map_aggregate((node.args, node.kwargs), known_or_given)
    args, kwargs = arguments  # type: ignore[misc]
    # Strides may be others than the tracing expects, of weights in channels-last format say.
    target = torch.ops.aten.reshape.default if node.target in _VIEWS else node.target
    found = target(*args, **kwargs)  # type: ignore[operator]
    return in_double(found) if exact and isinstance(found, torch.Tensor) else found


def in_double(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of real numbers in float64, others as they are, on the CPU."""
    tensor = tensor.detach().cpu()
    return tensor.double() if tensor.is_floating_point() else tensor


def trace(module: nn.Module, x: torch.Tensor) -> Graph:
    """Trace a module that is `evaluated`.

    Parameters
    ----------
    module : nn.Module
        Any that gives logits, see `run`.
    x : Tensor, shape (BATCH, ...)
        Its input.

    Returns
    -------
    Graph
        Without the operations that the logits do not depend on.

    Raises
    ------
    ValueError
        If the forward pass depends on the values of the image; the message names the module.
    """
    why = (
        "cannot be traced; if its forward pass depends on the values of the image (if, while, "
        "item(), an index that is computed), write it with tensor operations"
    )
    with _silent(), named_errors(module, why):
        exported = torch.export.export(module, (x,), strict=False)
        program = exported.run_decompositions({})  # no more than in-place operations undone
    tensors = {**program.state_dict, **program.constants}
    constants, inputs = {}, []
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
        if spec.kind == InputKind.USER_INPUT:
            inputs.append(node)
        elif isinstance(tensors.get(spec.target), torch.Tensor):
            constants[node] = tensors[spec.target]
    (outputs,) = next(node for node in program.graph.nodes if node.op == "output").args
    (output,) = (
        node
        for node, spec in zip(outputs, program.graph_signature.output_specs, strict=True)
        if spec.kind == OutputKind.USER_OUTPUT
    )
    needed = {output}
    for node in reversed(program.graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    nodes = [
        node
        for node in program.graph.nodes
        if node in needed and node.op not in ("placeholder", "output")
    ]
    return Graph(nodes, constants, inputs[0], output)


def place(node: fx.Node) -> str:
    """Return where an operation stands in the module, for messages and checks.

    Parameters
    ----------
    node : Node
        Of a `Graph`.

    Returns
    -------
    str
        Path and type of the innermost module, e.g. ``module features.3 (Conv2d)``.
    """
    stack = [*(node.meta.get("nn_module_stack") or {}).values()]
    if not stack:
        return "the module"
    path, kind = stack[-1]
    return _described(path, str(getattr(kind, "__name__", kind)).rpartition(".")[2])


def _described(path: str, kind: str) -> str:
    return f"module {path or '(top)'} ({kind})"


@contextmanager
def named_errors(module: nn.Module, why: str) -> Iterator[None]:
    """Turn what a forward pass raises into a ValueError that names the innermost module.

    Parameters
    ----------
    module : nn.Module
        What runs.
    why : str
        What it does not do, for the message.
    """
    paths = {part: path for path, part in reversed([*module.named_modules()])}
    running: list[nn.Module] = []

    def enter(part: nn.Module, _args: Any) -> None:
        running.append(part)

    def leave(_part: nn.Module, _args: Any, _result: Any) -> None:
        running.pop()

    handles = (
        of_all_modules.register_module_forward_pre_hook(enter),
        of_all_modules.register_module_forward_hook(leave),
    )
    try:
        yield
    except Exception as error:  # whatever the caller's code raises
        part = running[-1] if running else module
        where = _described(paths.get(part, ""), type(part).__name__)
        what = str(error).strip().split("\n")[0]
        raise ValueError(f"{where} {why} ({type(error).__name__}: {what[:300]})") from error
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the tracing's log, which repeats its errors at length, and its warnings quiet."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
