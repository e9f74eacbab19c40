"""Networks from NIR files as Brian2 neurons, as the program ran them that wrote the file.

Pedersen et al. (2024), Nature Communications 15, 8122, define the nodes; what a file leaves open,
each writer means in its own way (:mod:`models.schemes.nir.dialects`). Spikes stay spikes: they
travel through the weights between neurons as synaptic events. The input of a step is a constant
current of one step. All layers take the same step one phase after the other, so that spike trains
are those of a program in which layers follow each other within a step.

Units: one network unit is 1 of the file, 2**-6 V = 15.625 mV.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from ...arrays import Array, Integers
from ...conversion.builder import build, named_apart
from ...conversion.linear_paths import path_sources, unrolled
from ...conversion.scheme import Conversion, ConversionWarning
from ...conversion.synapses import Weighted, weighted
from ...conversion.timing import Timing
from ...networks.dynamics import Delay, Neurons, Previous
from ...networks.layers import INPUT, Activation, Layer, MaxPool2D, QuantisedReLU, Spike
from ...networks.network import Network
from ...spiking.network import READOUT
from ...spiking.projections import WeightedProjection
from .dialects import Dialect, Told, dialect_of, single
from .laws import Law
from .neurons import nir_neuron
from .options import NirOptions

SPIKING = (Neurons, Delay, Previous)  # where paths of weights start
OFF_GRID = 1e-6  # of a step: rounding errors of times


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the spikes come from that a path of weights starts with.

    Parameters
    ----------
    neurons : str
        Population.
    is_late : bool
        Whether they are those of the step before.
    delay : ndarray of int, shape (n_units,)
        Further steps.
    """

    neurons: str
    is_late: bool
    delay: Integers


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NirConversion(Conversion):
    """A network from a NIR file and how it is run.

    Parameters
    ----------
    spiking : SpikingNetwork
        What runs.
    options : NirOptions
        With everything told.
    laws : dict of str to Law
        What a step does, by population.
    weight_error : float
        Largest relative root-mean-square rounding error of a kernel.
    """

    options: NirOptions
    laws: dict[str, Law]
    weight_error: float

    @property
    def dialect(self) -> Dialect:
        """The conventions that were applied."""
        return dialect_of(self.options.written_by)


def convert(
    network: Network, options: NirOptions | None = None, calibration: Array | None = None
) -> NirConversion:
    """Make Brian2 neurons of a network that has neurons with a state.

    Parameters
    ----------
    network : Network
        From :func:`~models.importing.from_nir.from_nir`.
    options : NirOptions, optional
        Defaults as stated there.
    calibration : ndarray, optional
        Not read: the file has all numbers.

    Returns
    -------
    NirConversion

    Raises
    ------
    ValueError
        If a layer cannot be run; the message names it.
    """
    options = NirOptions.given(options)
    network = network.fold_batch_norm()
    _require_neurons(network)
    network, thresholds = _fused(network)
    layers = [layer for layer in network.layers if isinstance(layer, Neurons)]
    is_asked = options.reset is not None
    options, dialect = _told(network, layers, options)
    assert options.dt_ms is not None
    dt = options.dt_ms * 1e-3
    origins = {
        layer.name: _origin(network, layer.name, dt, dialect.lag, options.n_steps)
        for layer in network.layers
        if isinstance(layer, SPIKING)
    }
    silent = _potentials(network, [layer for layer in layers if layer.name not in thresholds])
    laws = {}
    for layer in layers:
        own = _is_recurrent(network, layer, origins)
        laws[layer.name] = _law(network, layer, dialect, options, dt, own, thresholds, is_asked)
    clock = _Clock.of(network, layers, origins, options)
    limit = options.limit if any(law.is_multiple for law in laws.values()) else 1
    kinds = {
        layer.name: nir_neuron(
            layer.model.lower(),
            laws[layer.name],
            n_steps=options.n_steps,
            every=clock.every,
            limit=limit,
            dt=dt,
        )
        for layer in layers
    }

    def receive(node: str, target: str) -> Weighted:
        found = weighted(
            network,
            node,
            target,
            spiking=SPIKING,
            gains={name: np.ones(network.shapes[name][2]) for name in origins},
            scale=np.ones(1),
            delays=lambda _source, _target: np.zeros(1, dtype=np.int64),
            weight_bits=options.weight_bits,
        )
        timed = [
            part
            for path in found.projections
            for part in _timed(path, origins[path.source], clock, limit)
        ]
        return replace(found, projections=timed)

    def parameters(layer: Layer, received: Weighted) -> dict[str, Array]:
        shape = network.shapes[layer.name]
        numbers = laws[layer.name].numbers
        return {
            "bias": received.bias[None],
            **{name: np.broadcast_to(own, shape)[None] for name, own in numbers.items()},
        }

    spiking, error = build(
        network,
        scheme="nir",
        spiking=(Neurons,),
        neuron=named_apart(kinds),
        receive=receive,
        parameters=parameters,
        timing=Timing(
            onsets=clock.onsets,
            delays=lambda _source, _target: np.zeros(1, dtype=np.int64),
            phase_steps=limit,
            every=clock.every,
        ),
        n_steps=options.n_steps,
        dt_ms=options.dt_ms / (clock.every * limit),
        limits=dict.fromkeys((layer.name for layer in layers), limit),
    )
    readout = replace(spiking.readout, potentials=silent)
    to_readout = [p for p in spiking.projections if p.target == READOUT]
    spiking = replace(
        spiking,
        n_phases=clock.n_phases,
        readout=readout,
        projections=tuple(p for p in spiking.projections if not (silent and p in to_readout)),
    )
    return NirConversion(spiking=spiking, options=options, laws=laws, weight_error=error)


def _require_neurons(network: Network) -> None:
    """Refuse a network that says nothing of neurons, or has units of another kind too."""
    for layer in network.layers:
        if isinstance(layer, Activation | QuantisedReLU | Spike | MaxPool2D):
            raise ValueError(
                f"network {network.name!r}: {layer.label} is no neuron of NIR; this scheme runs "
                "networks that from_nir read"
            )
    if not any(isinstance(layer, Neurons) for layer in network.layers):
        raise ValueError(
            f"network {network.name!r} has no neurons; this scheme runs networks that from_nir read"
        )


def _fused(network: Network) -> tuple[Network, dict[str, Array]]:
    """A threshold right behind a potential is the neuron's own; by neuron, the thresholds."""
    by_name = {layer.name: layer for layer in network.layers}
    users: dict[str, list[str]] = {}
    for layer in network.layers:
        for source in (layer.source,) if isinstance(layer, Previous) else layer.inputs:
            users.setdefault(source, []).append(layer.name)
    thresholds: dict[str, Array] = {}
    renamed: dict[str, str] = {}
    layers: list[Layer] = []
    for layer in network.layers:
        layer = replace(layer, inputs=tuple(renamed.get(s, s) for s in layer.inputs))
        before = by_name.get(layer.inputs[0]) if layer.inputs else None
        if (
            isinstance(layer, Neurons)
            and layer.model == "Threshold"
            and isinstance(before, Neurons)
            and not before.spikes
            and users[before.name] == [layer.name]
        ):
            assert layer.threshold is not None
            thresholds[before.name] = layer.threshold
            renamed[layer.name] = before.name
            continue
        layers.append(layer)
    followed = tuple(
        replace(layer, source=renamed.get(layer.source, layer.source))
        if isinstance(layer, Previous)
        else layer
        for layer in layers
    )
    return replace(network, layers=followed), thresholds


def _told(
    network: Network, layers: Sequence[Neurons], options: NirOptions
) -> tuple[NirOptions, Dialect]:
    """Options with everything told, and the dialect."""
    stated = next((layer.written_by for layer in layers if layer.written_by), None)
    dialect = dialect_of(options.written_by or stated)
    if dialect.changes_graph != dialect_of(stated).changes_graph:
        raise ValueError(
            f"network {network.name!r} was read as written by {stated or 'no program told'} and is "
            f"to run as of {dialect.name}, whose graph is another; read the file again with "
            f"from_nir(..., written_by={dialect.name!r})"
        )
    for layer in layers:
        if layer.model not in dialect.models and layer.model != "Threshold":
            raise ValueError(
                f"network {network.name!r}: {layer.label} is of the model {layer.model}, which "
                f"{dialect.name} does not write; it writes {', '.join(dialect.models)}"
            )
    reset = options.reset or _usual_reset(dialect, layers)
    if reset not in dialect.resets:
        raise ValueError(
            f"network {network.name!r}: reset {reset!r} is none of {dialect.name}; it has "
            f"{', '.join(dialect.resets)}"
        )
    for name in ("is_floored", "is_single_spike", "norm_input", "v_reset"):
        is_usual = getattr(options, name) == NirOptions.declared(name).default
        if not is_usual and name not in dialect.options:
            raise ValueError(f"network {network.name!r}: {name} is none of {dialect.name}")
    dt_ms = options.dt_ms
    if dt_ms is None:
        dt = next((layer.dt for layer in layers if layer.dt), None)
        dt = _found_dt(network, layers, dialect) if dt is None else dt
        dt_ms = 1e3 * dt
    if dialect.left_open and stated is None and options.written_by is None:
        warnings.warn(
            f"network {network.name!r}: its file does not say "
            f"{' nor '.join(dialect.left_open)}; it runs by the definition of NIR: a spike lasts "
            f"one step, here {dt_ms:g} ms. Say which program wrote it, written_by=..., to run it "
            "as that program does",
            ConversionWarning,
            stacklevel=4,
        )
    told = replace(options, written_by=dialect.name, reset=reset, dt_ms=dt_ms)
    return told, dialect


def _usual_reset(dialect: Dialect, layers: Iterable[Neurons]) -> str:
    """What becomes of a potential after a spike unless told.

    By the definition it goes to v_reset since nir 1.0.6; before, files had no such field, and the
    threshold was subtracted.
    """
    spiking = [layer for layer in layers if layer.v_threshold is not None]
    is_old = bool(spiking) and all(layer.v_reset is None for layer in spiking)
    return "subtract" if dialect.name == "definition" and is_old else dialect.resets[0]


def _found_dt(network: Network, layers: Sequence[Neurons], dialect: Dialect) -> float:
    """Step in seconds as the fields tell it, or as the program has it."""
    found = {layer.name: dialect.find_dt(layer.model, layer.given) for layer in layers}
    steps = {name: dt for name, dt in found.items() if dt is not None}
    for name, dt in steps.items():
        if not (np.isfinite(dt) and dt > 0):
            raise ValueError(
                f"network {network.name!r}: {name!r} has constants of no step that {dialect.name} "
                "could have run with; say dt, or which program wrote the file"
            )
    if steps:
        first, *others = steps.items()
        for name, dt in others:
            if abs(dt / first[1] - 1) > 1e-4:
                raise ValueError(
                    f"network {network.name!r}: the step that {dialect.name} ran with is "
                    f"{first[1]:g} s by {first[0]!r} and {dt:g} s by {name!r}; say dt"
                )
        return first[1]
    if dialect.dt is None:
        raise ValueError(
            f"network {network.name!r}: no step is known; NIR files hold none. Say how long one "
            "is, NirOptions(dt_ms=1) or --dt-ms 1, or which program wrote the file, written_by= or "
            "--written-by"
        )
    return dialect.dt


def _origin(network: Network, name: str, dt: float, lag: int, n_steps: int) -> Origin:
    """Follow delays and what was a step before to the neurons.

    Delays of more than all steps are as good as those of all: what they hold back never acts.
    """
    by_name = {layer.name: layer for layer in network.layers}
    is_late, delay = False, np.zeros(int(np.prod(network.shapes[name])))
    seen = set()
    while True:
        layer: Layer | None = by_name.get(name)
        if isinstance(layer, Neurons):
            # Where spikes act later than they come, the step before is that of the crossing.
            later = lag if layer.spikes and not is_late else 0
            whole = np.minimum(delay + later, n_steps).astype(np.int64)
            return Origin(neurons=name, is_late=is_late, delay=whole)
        if name in seen:
            raise ValueError(f"network {network.name!r}: {name!r} leads to itself without neurons")
        seen.add(name)
        if isinstance(layer, Previous):
            is_late, name = True, layer.source
        elif isinstance(layer, Delay):
            delay = delay + _in_steps(network, layer, dt)
            name = layer.inputs[0]
        else:
            what = layer.label if isinstance(layer, Layer) else "the input"
            raise ValueError(
                f"network {network.name!r}: a delay of {what}; spikes of neurons can be delayed. "
                "Put the delay right behind the neurons"
            )


def _in_steps(network: Network, layer: Delay, dt: float) -> Array:
    """Delays of all units in whole steps; a message says so where they are rounded."""
    steps = np.broadcast_to(layer.delay, network.shapes[layer.name]).reshape(-1) / dt
    whole = np.floor(steps + 0.5 + OFF_GRID)  # as Objects.set_delay rounds
    off = np.abs(steps - whole)
    if (off > OFF_GRID).any():
        worst = int(np.argmax(off))
        warnings.warn(
            f"network {network.name!r}: {layer.label} holds {steps[worst] * dt * 1e3:g} ms, no "
            f"whole number of steps of {dt * 1e3:g} ms; it is rounded to "
            f"{whole[worst] * dt * 1e3:g} ms",
            ConversionWarning,
            stacklevel=5,
        )
    return whole


def _potentials(network: Network, layers: Sequence[Neurons]) -> str:
    """The neurons whose potentials are the output, if they do not spike."""
    last = network.layers[-1].name
    for layer in layers:
        if layer.spikes:
            continue
        is_used = any(
            layer.name in own.inputs or (isinstance(own, Previous) and own.source == layer.name)
            for own in network.layers
        )
        if is_used or layer.name != last:
            raise ValueError(
                f"network {network.name!r}: {layer.label} passes its potential on to other "
                "neurons; in Brian2 neurons reach each other by spikes. A potential can be the "
                "output, or have a Threshold right behind it"
            )
    return last if any(layer.name == last and not layer.spikes for layer in layers) else ""


def _is_recurrent(network: Network, layer: Neurons, origins: Mapping[str, Origin]) -> bool:
    """Whether the spikes of neurons come back to them through weights."""
    starts = path_sources(network, layer.inputs[0], SPIKING)
    return any(name != INPUT and origins[name].neurons == layer.name for name in starts)


def _law(
    network: Network,
    layer: Neurons,
    dialect: Dialect,
    options: NirOptions,
    dt: float,
    is_recurrent: bool,
    thresholds: Mapping[str, Array],
    is_asked: bool,
) -> Law:
    """What a step does to the neurons of a layer."""
    shape = network.shapes[layer.name]
    fields = {name: np.broadcast_to(own, shape) for name, own in layer.given.items()}
    if options.v_reset is not None and "v_threshold" in fields:
        fields["v_reset"] = np.full(shape, options.v_reset)
    # In a network that holds neurons of both kinds, each goes by its own fields.
    is_mixed = options.reset == dialect.resets[0] and _usual_reset(dialect, [layer]) == "subtract"
    reset = "subtract" if is_mixed and not is_asked else str(options.reset)
    told = Told(
        dt=dt,
        reset=reset,
        is_recurrent=is_recurrent,
        is_floored=options.is_floored,
        is_single_spike=options.is_single_spike,
        is_normed={"yes": True, "no": False}.get(options.norm_input or ""),
    )
    try:
        law = dialect_of("definition" if layer.model == "Threshold" else dialect.name).law(
            layer.model, fields, told
        )
    except ValueError as error:
        raise ValueError(f"network {network.name!r}: {layer.label}: {error}") from None
    numbers = dict(law.numbers)
    if layer.name in thresholds:
        numbers["v_th"] = thresholds[layer.name]
        law = replace(law, threshold="v > v_th")
    if law.is_single:
        numbers = {name: single(own) for name, own in numbers.items()}
    return replace(law, numbers=numbers)


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """When the layers of a network work.

    Parameters
    ----------
    onsets : mapping of str to int
        Phase in which an input reaches each population, and the read-out.
    every : int
        Phases of a step.
    n_phases : int
        Phases that an input takes up in each layer, until the last late spike has come.
    """

    onsets: Mapping[str, int]
    every: int
    n_phases: int

    @classmethod
    def of(
        cls,
        network: Network,
        layers: Sequence[Neurons],
        origins: Mapping[str, Origin],
        options: NirOptions,
    ) -> _Clock:
        """Each layer one phase after the last that leads to it within the same step."""
        onsets: dict[str, int] = {}
        recurrent: list[tuple[str, str]] = []
        ends = [
            origins[name]
            for name in path_sources(network, network.layers[-1].name, SPIKING)
            if name != INPUT
        ]
        most_late = max((int(end.delay.max()) + end.is_late for end in ends), default=0)
        for layer in layers:
            first = 0
            for name in path_sources(network, layer.inputs[0], SPIKING):
                if name == INPUT:
                    continue
                origin = origins[name]
                most_late = max(most_late, int(origin.delay.max()) + origin.is_late)
                if origin.is_late:
                    recurrent.append((origin.neurons, layer.name))
                else:
                    first = max(first, onsets[origin.neurons] + 1)
            onsets[layer.name] = first
        every = 1 + max((onsets[a] - onsets[b] for a, b in recurrent), default=0)
        every = max(every, 1)
        last = max(onsets[end.neurons] for end in ends)
        onsets[READOUT] = last + every - 1
        return cls(onsets=onsets, every=every, n_phases=every * (options.n_steps + most_late))

    def between(self, origin: Origin, target: str) -> int:
        """Phases from a spike until it acts, less the one that every spike takes."""
        onset = self.onsets[origin.neurons]
        if target == READOUT:
            return self.onsets[READOUT] - self.every + 1 - onset + self.every * origin.is_late
        if origin.is_late:
            return self.onsets[target] + self.every - 1 - onset
        return self.onsets[target] - 1 - onset


def _timed(
    path: WeightedProjection, origin: Origin, clock: _Clock, phase_steps: int
) -> list[WeightedProjection]:
    """A path from the neurons themselves, once for each delay that they have."""
    base = clock.between(origin, path.target)
    different = np.unique(origin.delay)
    if different.size == 1:
        return [_delayed(path, origin, base + clock.every * int(different[0]), phase_steps)]
    matrix = unrolled(path)
    found = []
    for steps in different:
        rows = (origin.delay == steps).astype(np.float64)
        kept = csr_array(matrix.matrix.multiply(rows[:, None]))
        kept.eliminate_zeros()
        part = replace(matrix, matrix=kept)
        found.append(_delayed(part, origin, base + clock.every * int(steps), phase_steps))
    return found


def _delayed(
    path: WeightedProjection, origin: Origin, phases: int, phase_steps: int
) -> WeightedProjection:
    delays = np.array([phases * phase_steps])
    return replace(path, source=origin.neurons, delays=delays)
