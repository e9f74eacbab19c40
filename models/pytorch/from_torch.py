"""From a PyTorch module to a `Network`, through PyTorch's own tracing.

`tracing` gives the operations of the module's forward pass and says which tracer and why;
`operations` says what each becomes. Operations that no image enters are computed here: weight norm,
pruning and the like are gone from the network. The units of this project stay what they are
(`unit_operations`).
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
    from torch import fx, nn
    from torch.nn.parameter import is_lazy
except ImportError as error:
    raise ImportError(
        "PyTorch is needed to train or convert networks (not to simulate them); install it with: "
        "pip install torch==2.13.0"
    ) from error

from ..importing.assembler import Assembler
from ..importing.checking import DOUBLE, SINGLE, compare
from ..importing.entry import Layout, Sample, Standardisation, Transform, read_sample
from ..importing.formats import about
from ..importing.values import Value
from ..messages import one_line
from ..networks.network import InputCoding, Network
from . import operations
from .binary_conv import require_known_modes
from .tracing import (
    BATCH,
    Graph,
    evaluate,
    evaluated,
    in_double,
    named_errors,
    place,
    run,
    trace,
)
from .units import RepeatSteps, steps_of


def from_torch(
    model: nn.Module,
    example: Any = None,
    *,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    pixel_scale: float = 1.0,
    maximum: float | None = None,
    transform: Transform | None = None,
    input: InputCoding | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Network:
    """Read a trained module, and check the network layer by layer against it.

    The module sees x = (image / maximum * pixel_scale - mean) / std, channels first; real-valued
    images are not divided by their maximum. It is read in evaluation mode, whatever mode it is in,
    and left as it was; leak, reset and time steps of `NoisySpike` go along.

    Parameters
    ----------
    model : nn.Module
        Any that gives logits (n, classes), of operations that ``docs/bring-a-network.md`` lists.
    example : ndarray or Tensor
        Some images: an array of raw ones, (n, H, W, C), (n, H, W), (n, L, C) or (n, F), as the
        spiking network will get them; or a tensor of what the module takes, (n, C, H, W),
        (n, C, L) or (n, F), from which the pixels are computed back. Not needed with `input`.
    mean, std : float or sequence of float
        Of the standardisation, one number or one for each channel.
    pixel_scale : float
        The largest pixel before the standardisation: 1 after torchvision's ToTensor, 255 for 8-bit
        pixels as they are.
    maximum : float, optional
        Largest pixel that an image can hold. By default 255 of bytes and of tensors, else a guess
        from the example, with a warning.
    transform : callable, optional
        From a raw image of the example to what the module takes; compared with the standardisation.
    input : InputCoding, optional
        Says what an image is instead of mean, std, pixel_scale and maximum.
    classes : sequence of str, optional
        One name for each output; by default ``"0"``, ``"1"``, ...
    name : str, optional
        Of the network; by default the class of the module.

    Returns
    -------
    Network
        Layers are named by kind and position: conv1, norm1, act1, ...

    Raises
    ------
    TypeError
        If `model` is no nn.Module.
    ValueError
        If an operation is not supported, the message gives the module's path and what to do; if
        the images do not fit the module or the standardisation; if a value of the network differs
        from the module's.
    """
    model = getattr(model, "_orig_mod", model)  # of torch.compile
    _require_readable(model)
    n_steps = steps_of(model)  # refuses parts that disagree
    require_known_modes(model)
    is_tensor = isinstance(example, torch.Tensor)
    with evaluated(model):
        sample = read_sample(
            _array(example) if is_tensor else example,
            Standardisation(mean, std, pixel_scale, maximum),
            accepts=lambda x: _refusal(model, x),
            channels_first=True,
            input=input,
            transform=transform,
            is_model_input=is_tensor,
        )
        graph = trace(model, _tensor(model, _batches(sample.inputs)[0]))
        reader = _Reader(graph, sample.layout)
        output = reader.read()
        network = reader.to.network(
            output, sample.coding, classes, _class_name(model) if name is None else name
        )
        _check(model, graph, reader.known, network, sample)
    if n_steps > 1:
        with evaluated(model, in_steps=True):
            _check_steps(model, n_steps, network, sample, output.is_probability)
    for note in reader.to.notes:
        warnings.warn(note, stacklevel=2)
    return network


def _require_readable(model: object) -> None:
    """Refuse what is no module with weights as real numbers."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"from_torch takes an nn.Module, got {_described(model)}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("from_torch takes an nn.Module: give the one this TorchScript is made of")
    for path, part in model.named_modules():
        where = f"module {path or '(top)'} ({type(part).__name__})"
        if ".quantized" in type(part).__module__:
            raise ValueError(f"{where} is quantised: give the module before its quantisation")
        for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
            if is_lazy(tensor) or tensor.is_meta:
                raise ValueError(f"{where} has no weights yet: load them, or run it once")


def _described(thing: object) -> str:
    """What was given instead of a module, and what to do with it."""
    if isinstance(thing, str | Path):
        return f"the name of a file; {thing} {about(thing)}"
    if isinstance(thing, type):
        return f"the class {thing.__name__}; give a module of it, with its weights"
    return (
        f"{type(thing).__name__}; weights go into the module with load_state_dict, those of a "
        "file with load_weights of models/pytorch/checkpoint.py"
    )


def _array(example: torch.Tensor) -> np.ndarray:
    """What a tensor holds, real numbers in float64."""
    try:
        return in_double(example).numpy()
    except Exception as error:  # without storage, sparse, quantised
        raise ValueError(
            f"example= must be a plain tensor that holds numbers, got one of {example.dtype}, "
            f"{example.layout} on the device {example.device} ({one_line(error, 200)})"
        ) from error


class _Reader:
    """Walks through a graph: what depends on the image becomes a value of ours, the rest a tensor.

    Parameters
    ----------
    graph : Graph
        Traced.
    layout : Layout
        How the module sees an image.
    """

    def __init__(self, graph: Graph, layout: Layout) -> None:
        self.graph = graph
        self.to = Assembler(layout.shape)
        self.known: dict[fx.Node, Any] = {
            node: in_double(tensor) for node, tensor in graph.constants.items()
        }
        self.known[graph.input] = layout.value

    def read(self) -> Value:
        """Emit all layers; returns the logits."""
        for node in self.graph.nodes:
            try:
                self.known[node] = self._read(node)
            except ValueError as error:
                raise ValueError(f"{place(node)}, {_name(node)}: {error}") from error
            except Exception as error:  # of an operation that is evaluated, of arguments unforeseen
                raise ValueError(
                    f"{place(node)}, {_name(node)}: is not read in this form; "
                    f"{operations.OTHERWISE} ({type(error).__name__}: {one_line(error, 200)})"
                ) from error
        output = self.known[self.graph.output]
        if not isinstance(output, Value):
            raise ValueError("the logits do not depend on the image")
        return output

    def _read(self, node: fx.Node) -> Any:
        name = _name(node)
        if name in operations.OF_SHAPES:
            shapes = {
                source: torch.zeros(BATCH, *value.shape)
                for source, value in self.known.items()
                if isinstance(value, Value) and source in node.all_input_nodes
            }
            return evaluate(node, {**self.known, **shapes})
        if not any(_holds_value(self.known[source]) for source in node.all_input_nodes):
            if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
                raise ValueError("draws random numbers in evaluation mode too")
            return evaluate(node, self.known)
        args: Any = fx.node.map_arg(node.args, self.known.__getitem__)
        kwargs: Any = fx.node.map_arg(node.kwargs, self.known.__getitem__)
        if node.target is operator.getitem:
            found = args[0][args[1]]
            if found is None:
                raise ValueError("uses a second result, such as the places of maxima")
            return found
        if name in operations.IDENTITIES:
            return args[0]
        if name in operations.LAYOUTS | operations.SEPARABLE:
            if not isinstance(args[0], Value) or any(map(_holds_value, args[1:])):
                raise ValueError("picks entries by computed places, which has no spiking form here")

            def operate(tensor: torch.Tensor) -> Any:
                return node.target(tensor, *args[1:], **kwargs)  # type: ignore[operator]

            does = operations.upsample if name in operations.SEPARABLE else operations.relayout
            return does(self.to, args[0], operate)
        if name not in operations.RULES:
            raise ValueError(
                f"is not supported; {operations.REMEDIES.get(name, operations.OTHERWISE)}"
            )
        return _applied(operations.RULES[name], self.to, node, args, kwargs)


def _holds_value(argument: Any) -> bool:
    """Whether an argument, or one in a list, is computed from the image."""
    if isinstance(argument, list | tuple):
        return any(_holds_value(each) for each in argument)
    return isinstance(argument, Value)


def _name(node: fx.Node) -> str:
    """Name of an operation, without its overload."""
    schema = getattr(node.target, "_schema", None)
    name = getattr(node.target, "__name__", node.target) if schema is None else schema.name
    return str(name).rpartition("::")[2]


def _applied(
    rule: Callable[..., Any], to: Assembler, node: fx.Node, args: Any, kwargs: dict[str, Any]
) -> Any:
    """Call a rule with the arguments of an operation by their names in ATen."""
    schema = node.target._schema  # type: ignore[union-attr]
    given = {
        argument.name: value for argument, value in zip(schema.arguments, args, strict=False)
    } | kwargs
    defaults = {argument.name: argument.default_value for argument in schema.arguments}
    parameters = inspect.signature(rule).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    named = {}
    for key, value in given.items():
        own = "x" if key in ("self", "input") else key
        if own in parameters or takes_all:
            named[own] = value
        elif value is not None and value != defaults[key]:
            raise ValueError(f"{key}={value!r} is not supported")
    return rule(to, **named)


def _class_name(model: nn.Module) -> str:
    while isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        model = model.module
    return type(model).__name__


def _tensor(model: nn.Module, x: np.ndarray) -> torch.Tensor:
    """An input as the module takes it, in the type and on the device of its weights."""
    like = next((t for t in model.state_dict().values() if t.is_floating_point()), torch.empty(0))
    return torch.as_tensor(np.array(x, order="C"), dtype=like.dtype, device=like.device)


def _refusal(model: nn.Module, x: np.ndarray) -> str | None:
    """Why a module does not take an input, if it does not."""
    try:
        run(model, _tensor(model, x))
    except ValueError as error:
        return str(error)
    return None


def _batches(images: np.ndarray) -> list[np.ndarray]:
    """Batches as the graph takes them; the last image fills up."""
    missing = -len(images) % BATCH
    images = np.concatenate([images, *[images[-1:]] * missing])
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _check(
    model: nn.Module,
    graph: Graph,
    known: dict[fx.Node, Any],
    network: Network,
    sample: Sample,
) -> None:
    """Compare module, graph and network on the sample.

    The module is compared with the graph in its own precision, where both round alike, and the
    graph with the network in float64: so that neither check is in doubt where a unit with a
    threshold turns rounding into another value.
    """
    together = run(model, _tensor(model, sample.inputs)).double().cpu().numpy()
    apart = []
    for images in _batches(sample.images):
        inputs = sample.layout.seen(sample.coding.standardise(images))
        x = _tensor(model, inputs)
        logits = run(model, x)
        traced = graph.values(x, exact=False)[graph.output]
        if _differs(logits, traced):
            raise ValueError(
                "the module does not give twice what it gave once: it draws random numbers, or "
                "depends on something else than the image; this cannot be read"
            )
        apart.append(logits.double().cpu().numpy())
        values = graph.values(torch.from_numpy(np.array(inputs, order="C")), exact=True)
        compare(
            network,
            images,
            [
                (f"{place(node)}, {_name(node)}", value, values[node].numpy())
                for node, value in known.items()
                if isinstance(value, Value)
            ],
            DOUBLE,
        )
    one_by_one = np.concatenate(apart)[: len(together)]
    # Of most images only: rounding depends on the batch, and thresholds on rounding.
    different = np.abs(one_by_one - together).max(axis=1) > 1e-3 * np.abs(together).max()
    if different.mean() > 0.5:
        raise ValueError(
            "the module gives an image other logits in another batch: it mixes the images of a "
            "batch, which a network cannot; logits may depend on one image only"
        )


def _check_steps(
    model: nn.Module, n_steps: int, network: Network, sample: Sample, is_probability: bool
) -> None:
    """Compare a module that runs its time steps with the network.

    What is traced is a single step, in which the units that know of steps do nothing: only this
    shows whether they stand where a network of spiking neurons has them.
    """
    repeats = any(isinstance(part, RepeatSteps) for part in model.modules())
    x = torch.from_numpy(np.array(sample.inputs, order="C"))
    found, tolerance = _over_steps(model, x if repeats else torch.cat([x] * n_steps))
    n_images = len(sample.images)
    if len(found) == n_steps * n_images:  # the caller takes the mean
        found = found.unflatten(0, (n_steps, n_images)).mean(0)
    theirs, ours = found.double().cpu().numpy(), network.forward(sample.images)
    if theirs.shape == ours.shape:
        if is_probability:  # of which the network has the logits, up to a constant
            theirs = np.log(theirs) if (theirs > 0).all() else theirs
            theirs, ours = (x - x.mean(axis=1, keepdims=True) for x in (theirs, ours))
        # Of most images only: thresholds may turn rounding into another spike.
        different = np.abs(theirs - ours).max(axis=1) > tolerance * np.abs(ours).max()
        if different.mean() <= 0.5:
            return
    raise ValueError(
        f"over its {n_steps} time steps the module gives other logits than a spiking network, in "
        "which each unit sees every step and the scores are a mean: RepeatSteps must stand before "
        "all units that spike, and after MeanOverSteps there may be linear layers only"
    )


def _over_steps(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, float]:
    """What a module gives in float64 if it can, else in its own type; and how exact that is."""
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    exact = {name: in_double(tensor) for name, tensor in state.items()}
    try:
        return torch.func.functional_call(model, exact, (x,)), 1e-6
    except Exception:  # a forward pass that names its type or device
        with named_errors(model, "does not run its time steps"):
            return model(_tensor(model, x.numpy())), 0.05


def _differs(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(((a - b).abs() > SINGLE * a.abs().max()).any())
