"""A converted network as a NIR graph.

Populations become nodes of neurons, projections convolutions and matrices. Where the reader allows
(:mod:`models.exporting.readers`), what NIR has no node for is written as a graph of what it has:

- a reset by subtraction: a potential (I, LI), a Threshold, and a weight of -1 back to it;
- up to Gamma spikes in a step: Gamma copies of the neuron with thresholds 1 ... Gamma, each of
  which takes one off all of them; floor(v) of them spike;
- max pooling with lateral inhibition: a potential for each place of the window, which the pooled
  spikes come back to, and a neuron that spikes where any of them is above threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array, Counts
from ..conversion.pooling import PoolingNeuron
from ..conversion.scheme import Conversion
from ..conversion.step_neurons import StepNeuron
from ..dyadic import grid_step
from ..networks.layers import Shape
from ..networks.nir_files import Graph
from ..spiking.inputs import Stimulus
from ..spiking.network import READOUT, Population, SpikingNetwork
from ..spiking.projections import Projection, WeightedProjection, WindowProjection
from .graphs import INPUT, OUTPUT, Builder
from .readers import FINEST_GAP, Case, Reader, Written
from .weights import Convolution, as_convolution, as_matrix, channels_first, require_size

INPUTS = ("standardised", "pixels", "currents")
UNIFORM = 1e-9  # to which biases of a channel that should be equal are


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the spikes of a population, or the input, are in the graph.

    Parameters
    ----------
    node : str
        That gives them.
    shape : (int, int, int)
        (H, W, C) of the units.
    is_map : bool
        Whether they stand in rows and columns; else in a vector, channels last.
    copies : int
        Neurons of a unit, whose spikes add up; one copy of all units after the other.
    population : str
        Whose spikes these are, as our reader names it.
    crossed, late : int
        Steps by which thresholds are crossed later than ours are, and by which spikes come later.
    """

    node: str
    shape: Shape
    is_map: bool
    copies: int = 1
    population: str = ""
    crossed: int = 0
    late: int = 0

    @property
    def nir_shape(self) -> tuple[int, ...]:
        """As the file has it."""
        rows, columns, channels = self.shape
        if self.is_map:
            return self.copies * channels, rows, columns
        return (self.copies * rows * columns * channels,)

    def laid_out(self, counts: Counts) -> Counts:
        """Spikes of units, shape (..., n_units), as a program has them that has no copies."""
        if not self.is_map:
            return counts
        found = counts.reshape(*counts.shape[:-1], *self.shape)
        return np.moveaxis(found, -1, -3)

    def counted(self, counts: Counts) -> Counts:
        """Spikes of units, from those of neurons as our reader has them, shape (..., n_neurons)."""
        if self.copies == 1:
            return counts
        lead = counts.shape[:-1]
        rows, columns, channels = self.shape
        if self.is_map:
            found = counts.reshape(*lead, rows, columns, self.copies, channels).sum(axis=-2)
        else:
            found = counts.reshape(*lead, self.copies, -1).sum(axis=-2)
        return found.reshape(*lead, -1).astype(np.int16)


@dataclass(frozen=True, eq=False, kw_only=True)
class Drawn:
    """A graph, and what is where in it.

    Parameters
    ----------
    graph : Graph
        To be written.
    places : mapping of str to Place
        Of the populations.
    input : Place
        Of the input.
    losses : tuple of str
        What the graph does not say, population first.
    kinds : frozenset of str
        Of nodes of neurons.
    """

    graph: Graph
    places: Mapping[str, Place]
    input: Place
    losses: tuple[str, ...]
    kinds: frozenset[str]


def drawn(
    conversion: Conversion, reader: Reader, *, dt: float, as_graph: bool, input_as: str
) -> Drawn:
    """The graph of a converted network.

    Raises
    ------
    ValueError
        If no file can hold it; the message names the population.
    """
    network = conversion.spiking
    neurons = conversion.step_neurons
    if neurons is None and any(kind.is_chain for kind in network.neurons):
        raise ValueError(
            f"network {network.name!r}: its {network.scheme} neurons decide one after the other in "
            "chains, each once; NIR has no such neuron, nor a nearest one"
        )
    if neurons is None:
        raise ValueError(
            f"network {network.name!r}: the scheme {network.scheme!r} does not say what a step of "
            "its neurons does. A network that from_nir read is written itself, not its conversion"
        )
    random = {own.draws for own in neurons.values() if own.draws}
    if random:
        raise ValueError(
            f"network {network.name!r}: its neurons draw {random.pop()}; a file has no random "
            'numbers. NoiseOptions(rule="residual") draws none'
        )
    return _Drawing(conversion, neurons, reader, dt, as_graph, input_as).drawn()


class _Drawing:
    def __init__(
        self,
        conversion: Conversion,
        neurons: Mapping[str, StepNeuron],
        reader: Reader,
        dt: float,
        as_graph: bool,
        input_as: str,
    ) -> None:
        self._network = conversion.spiking
        self._neurons = neurons
        self._reader = reader
        self._dt = dt
        self._as_graph = as_graph
        self._input_as = input_as
        self._builder = Builder()
        self._places: dict[str, Place] = {}
        self._flats: dict[str, str] = {}
        self._losses: list[str] = []
        self._kinds: set[str] = set()

    def drawn(self) -> Drawn:
        network = self._network
        self._from_image = {s.target: self._image_paths(s) for s in network.stimuli}
        self._input = self._input_place()
        builder = self._builder
        shape = np.array(self._input.nir_shape, dtype=np.int64)
        builder.add("Input", INPUT, shape=shape)
        for population in network.populations:
            window = network.window(population.name)
            if window is None:
                self._places[population.name] = self._population(population)
            else:
                self._places[population.name] = self._pooling(population, window)
        n_classes = network.readout.n_classes
        ends = self._readout()
        self._require_readable(ends)
        builder.add("Output", OUTPUT, *ends, shape=np.array([n_classes], dtype=np.int64))
        return Drawn(
            graph=builder.graph(self._reader.file_version),
            places=self._places,
            input=self._input,
            losses=tuple(self._losses),
            kinds=frozenset(self._kinds),
        )

    def _require_readable(self, ends: Sequence[str]) -> None:
        """Refuse sums where the program takes one of the parts without a word."""
        reader = self._reader
        if len(ends) > 1 and reader.name != "definition":
            raise ValueError(
                f"network {self._network.name!r}: its scores are a sum over {len(ends)} "
                f"populations, of which {reader.name} gives each part on its own"
            )
        sources = [source for source, _ in self._builder.edges]
        targets = [target for _, target in self._builder.edges]
        for name, node in self._builder.nodes.items():
            rows, columns = np.shape(node.fields.get("weight", 0))[2:] or (1, 1)
            if rows != columns and reader.name != "definition":
                raise ValueError(
                    f"network {self._network.name!r}: {name!r} has a kernel of {rows} x {columns}, "
                    "which no zeros make square; the package nir refuses such files"
                )
        twice = [n for own in (sources, targets) for n in own if own.count(n) > 1]
        if twice and not reader.takes_sums:
            raise ValueError(
                f"network {self._network.name!r}: {reader.name} reads chains of layers only, and "
                f"at {twice[0]!r} the network is none"
            )

    # ---- the image ----

    def _input_place(self) -> Place:
        if self._input_as != "currents":
            shape = self._network.image_shape
            return Place(node=INPUT, shape=shape, is_map=True)
        if len(self._network.stimuli) > 1:
            targets = ", ".join(s.target for s in self._network.stimuli)
            raise ValueError(
                f"network {self._network.name!r}: the image leads to {targets}; as currents it can "
                'lead to one population. Take "pixels" or "standardised"'
            )
        (stimulus,) = self._network.stimuli
        population = self._network.population(stimulus.target)
        return Place(node=INPUT, shape=population.shape, is_map=self._is_map(population))

    def _image_paths(self, stimulus: Stimulus) -> tuple[list[WeightedProjection], Array]:
        """From the input to a population, and what is added there, shape (H, W, C)."""
        coding = self._network.coding
        shape = self._network.population(stimulus.target).shape
        bias = np.broadcast_to(stimulus.bias, shape)
        if self._input_as == "currents":
            return [_unchanged(INPUT, stimulus.target, shape)], np.zeros(shape)
        fine = min(grid_step(p.weights) for p in stimulus.projections)
        is_whole = coding is not None and not coding.signed
        if stimulus.step > fine or not is_whole:
            self._losses.append(
                f"{stimulus.target}: the current of the image is rounded to {stimulus.step:g} "
                'thresholds, and not by a file; input_as="currents" leaves that to you'
            )
        paths = list(stimulus.projections)
        if self._input_as == "pixels" or coding is None:
            return paths, bias
        rest = np.broadcast_to(coding.offset / coding.gain, self._network.image_shape)[None]
        bias = bias - np.sum([p.forward(rest)[0] for p in paths], axis=0).reshape(shape)
        # At a border the same bias comes out but for the rounding of the weights.
        even = np.broadcast_to(np.median(bias, axis=(0, 1)), shape)
        if np.abs(bias - even).max() <= max(stimulus.step, UNIFORM):
            bias = even
        return [p.scaled(1.0 / coding.gain) for p in paths], bias

    # ---- populations ----

    def _incoming(self, name: str) -> tuple[list[WeightedProjection], Array]:
        """Weights with the gains of the neurons, and the bias, shape (H, W, C)."""
        population = self._network.population(name)
        paths = []
        for p in self._network.incoming(name):
            gain = population.gain(p.afferent).astype(np.float64)
            paths.append(_multiplied(p, gain, population.shape))
        bias = np.asarray(population.parameters["bias"], dtype=np.float64)[0]
        if name in self._from_image:
            own, bias = self._from_image[name]
            paths = [*own, *paths]
        return paths, bias

    def _is_map(self, population: Population) -> bool:
        """Whether a population can stand in rows and columns: all that leads to it can."""
        if population.shape[:2] == (1, 1):
            return False
        window = self._network.window(population.name)
        if window is not None:
            return self._places[window.source].is_map
        if self._input_as == "currents" and population.name in self._from_image:
            paths = list(self._network.incoming(population.name))
            bias = np.zeros(population.shape)
        else:
            paths, bias = self._incoming(population.name)
        return _by_channel(bias) is not None and all(
            self._place(p.source).is_map and self._is_written(as_convolution(p)) for p in paths
        )

    def _is_written(self, form: Convolution | None) -> bool:
        """Whether a convolution can be: nir refuses files with other kernels than square ones."""
        return form is not None and (form.is_square or self._reader.name == "definition")

    def _place(self, source: str) -> Place:
        return self._places.get(source, self._input)

    def _population(self, population: Population) -> Place:
        name = population.name
        paths, bias = self._incoming(name)
        is_map = self._is_map(population)
        neuron = self._neurons[name]
        written = self._reader.write(
            Case(
                neuron=neuron,
                gap=_gap(population, paths, bias, neuron, self._network),
                n_steps=self._network.readout.n_steps,
                dt=self._dt,
                as_graph=self._as_graph,
                is_first=all(p.source not in self._places for p in paths),
                is_biased=bool(bias.any()),
                is_map=is_map,
            )
        )
        copies = max(len(written.thresholds), 1)
        crossed = max(self._place(p.source).late for p in paths)
        place = Place(
            node=name, shape=population.shape, is_map=is_map, copies=copies, crossed=crossed
        )
        self._losses += [f"{name}: {loss}" for loss in written.losses]
        sources = self._connected(name, paths, bias, place, written)
        return self._write(place, written, sources)

    def _connected(
        self,
        name: str,
        paths: Sequence[WeightedProjection],
        bias: Array,
        place: Place,
        written: Written | None = None,
    ) -> list[str]:
        """Nodes of weights to a place; the bias is in the first."""
        gain = 1.0 if written is None else written.gain
        bias = gain * (bias + (0.0 if written is None else written.bias))
        found = []
        for number, path in enumerate(paths):
            source = self._place(path.source)
            is_plain = source is self._input and self._input_as == "currents"
            if is_plain and place.copies == 1 and gain == 1 and not bias.any():
                found.append(source.node)
                continue
            label = f"{name}_in{number + 1 if number else ''}"
            own = bias if not found else np.zeros_like(bias)
            found.append(self._weights(label, path, source, place, own, gain))
        return found

    def _weights(
        self,
        label: str,
        path: WeightedProjection,
        source: Place,
        place: Place,
        bias: Array,
        gain: float,
    ) -> str:
        if place.is_map:
            form = as_convolution(path)
            by_channel = _by_channel(bias)
            assert form is not None and by_channel is not None
            weight = np.tile(gain * form.weight, (place.copies, source.copies, 1, 1))
            return self._builder.conv(
                label,
                source.node,
                weight,
                np.tile(by_channel, place.copies),
                source.shape[:2],
                stride=form.stride,
                padding=form.padding,
            )
        require_size(math.prod(place.nir_shape), math.prod(source.nir_shape), place.node)
        matrix = gain * as_matrix(path)
        node = source.node
        if source.is_map:
            node = self._flattened(source)
            if not self._reader.is_channels_last:
                matrix = matrix[:, channels_first(source.shape)]
            elif source.copies > 1:
                raise AssertionError("no reader with channels last takes copies")
        matrix = np.tile(matrix, (place.copies, source.copies))
        return self._builder.affine(label, node, matrix, np.tile(bias.reshape(-1), place.copies))

    def _flattened(self, source: Place) -> str:
        if source.node not in self._flats:
            name = f"{source.node}_flat"
            shape = source.nir_shape
            self._flats[source.node] = self._builder.flatten(name, source.node, shape)
        return self._flats[source.node]

    def _write(self, place: Place, written: Written, sources: Sequence[str]) -> Place:
        """Nodes of neurons; the place where their spikes are."""
        is_single = self._reader.has_single_fields and place.is_map
        shape = (1,) if is_single else place.nir_shape
        fields = {key: np.full(shape, value) for key, value in written.fields.items()}
        self._kinds.add(written.kind)
        node = self._builder.add(written.kind, place.node, *sources, **fields)
        is_late = self._reader.is_late and not written.thresholds
        place = replace(place, node=node, population=node, late=place.crossed + is_late)
        if not written.thresholds:
            return place
        values = np.repeat(written.thresholds, int(np.prod(shape)) // len(written.thresholds))
        spikes = self._builder.add(
            "Threshold", f"{node}_spikes", node, threshold=values.reshape(shape)
        )
        place = replace(place, node=spikes)
        if written.back:
            if not place.is_map:
                n_neurons = math.prod(place.nir_shape)
                require_size(n_neurons, n_neurons, place.node)
            units = np.eye(place.shape[2] if place.is_map else int(np.prod(place.shape)))
            back = np.tile(written.back * units, (place.copies, place.copies))
            self._return(place, node, back)
        return place

    def _return(self, place: Place, target: str, weight: Array) -> None:
        """Spikes back to what they come from, by a weight from unit to unit, or channel."""
        label = f"{target}_back"
        if place.is_map:
            weight = weight[:, :, None, None]
            node = self._builder.conv(label, place.node, weight, None, place.shape[:2])
        else:
            node = self._builder.add("Linear", label, place.node, weight=weight)
        self._builder.edges.append((node, target))

    # ---- pooling ----

    def _pooling(self, population: Population, window: WindowProjection) -> Place:
        """Maximum of the spikes in windows: with lateral inhibition a graph, else a logical OR."""
        name = population.name
        source = self._places[window.source]
        if not source.is_map:
            raise ValueError(
                f"population {name!r} pools {window.source!r}, which is no map in the file: what "
                "leads to it is no plain convolution, or its biases differ at the border, as they "
                'do with input_as="pixels" where zeros pad standardised images'
            )
        kind = self._network.kind(population.neurons)
        assert isinstance(kind, PoolingNeuron)
        n_places = window.n_places
        rule = kind.rule
        if rule == "lipool" and self._as_graph:
            return self._inhibited(name, window, source, n_places)
        limit = int(population.parameters["limit"].flat[0])
        if rule != "or":
            self._losses.append(
                f"{name}: windows of {n_places} places pool by the rule {rule!r} over the steps, "
                "and there each step on its own"
                + (", as_graph=True writes that exactly" if rule == "lipool" else "")
            )
        written = self._reader.write(
            Case(
                neuron=StepNeuron(leak=0.0),
                gap=0.5,
                n_steps=self._network.readout.n_steps,
                dt=self._dt,
                as_graph=False,
                is_first=False,
                is_biased=False,
                is_map=True,
            )
        )
        if limit > source.copies:
            self._losses.append(f"{name}: a step brings up to {limit} spikes, and there one")
        self._losses += [f"{name}: {loss}" for loss in written.losses]
        channels = source.copies * source.shape[2]
        ones = np.broadcast_to(np.eye(channels), (*window.pool, channels, channels))
        place = Place(
            node=name,
            shape=population.shape,
            is_map=True,
            copies=source.copies,
            crossed=source.late,
        )
        form = self._windowed(window, source, written.gain * ones)
        return self._write(place, written, [self._convolved(f"{name}_in", source, form)])

    def _inhibited(
        self, name: str, window: WindowProjection, source: Place, n_places: int
    ) -> Place:
        """Lateral inhibition: potentials of all places, in as many copies as the source has."""
        copies, channels = source.copies, source.shape[2]
        many = copies * n_places * channels  # the channel runs fastest, then the place
        unit = np.eye(channels)
        kernel = np.zeros((*window.pool, copies * channels, many))
        for number, (row, column) in enumerate(np.ndindex(window.pool)):
            at = np.zeros((n_places, 1))
            at[number] = 1.0
            # From all copies to all copies, at one place.
            kernel[row, column] = np.tile(np.kron(at.T, unit), (copies, copies))
        arrived = self._convolved(f"{name}_in", source, self._windowed(window, source, kernel))
        shape = (many, *window.target_shape[:2])
        r = {"r": np.full(shape, 1.0 / self._dt)}
        potentials = self._builder.add("I", f"{name}_places", arrived, **r)
        self._kinds.add("I")
        numbers = np.repeat(np.arange(copies) + 0.5, n_places * channels)
        leads = self._builder.add(
            "Threshold",
            f"{name}_leads",
            potentials,
            threshold=np.broadcast_to(numbers[:, None, None], shape),
        )
        summed = np.asarray(np.kron(np.eye(copies), np.tile(unit, n_places)), dtype=np.float64)
        rows_columns = window.target_shape[:2]
        any_leads = self._builder.conv(
            f"{name}_any", leads, summed[..., None, None], None, rows_columns
        )
        place = Place(node=name, shape=window.target_shape, is_map=True, copies=copies)
        node = self._builder.add(
            "Threshold", name, any_leads, threshold=np.full(place.nir_shape, 0.5)
        )
        place = replace(place, node=node, population=node)
        taken = np.tile(-np.tile(unit, (n_places, 1)), (copies, copies))
        self._return(place, potentials, taken)
        return place

    def _windowed(self, window: WindowProjection, source: Place, kernel: Array) -> Convolution:
        """A kernel on the windows, from the copies of the source."""
        rows, columns, _ = window.source_shape
        form = as_convolution(
            Projection(
                source=window.source,
                target=window.target,
                kernel=kernel,
                gains=np.ones(1),
                delays=np.zeros(1, dtype=np.int64),
                source_shape=(rows, columns, kernel.shape[2]),
                target_shape=(*window.target_shape[:2], kernel.shape[3]),
                stride=window.pool_stride,
                padding=window.pool_padding,
            )
        )
        if form is None:
            raise ValueError(
                f"population {window.target!r}: its windows {window.pool} with padding "
                f"{window.pool_padding} are no plain convolution"
            )
        return form

    def _convolved(self, label: str, source: Place, form: Convolution) -> str:
        return self._builder.conv(
            label,
            source.node,
            form.weight,
            None,
            source.shape[:2],
            stride=form.stride,
            padding=form.padding,
        )

    # ---- the scores ----

    def _readout(self) -> list[str]:
        """Nodes whose sum, as a mean over the steps, is the scores."""
        readout = self._network.readout
        gain = np.broadcast_to(np.asarray(readout.gain, dtype=np.float64), readout.offset.shape)
        place = Place(node=READOUT, shape=(1, 1, readout.n_classes), is_map=False)
        shape = place.shape
        paths = [_multiplied(p, gain, shape) for p in self._network.incoming(READOUT)]
        return self._connected(READOUT, paths, readout.offset.reshape(shape), place)


def _unchanged(source: str, target: str, shape: Shape) -> Projection:
    """Each unit to the one at the same place."""
    return Projection(
        source=source,
        target=target,
        kernel=np.eye(shape[2])[None, None],
        gains=np.ones(1),
        delays=np.zeros(1, dtype=np.int64),
        source_shape=shape,
        target_shape=shape,
    )


def _multiplied(p: WeightedProjection, gain: Array, shape: Shape) -> WeightedProjection:
    """With weights times the gain of each target neuron, which its channel tells."""
    if gain.size == 1:
        return p if gain[0] == 1 else p.times(np.repeat(gain, shape[2]))
    by_place = gain.reshape(-1, shape[2])
    if not (by_place == by_place[0]).all():
        raise ValueError(
            f"projection {p.name}: the gains of its neurons differ within a channel, so they are "
            "no part of its weights"
        )
    return p.times(by_place[0])


def _by_channel(bias: Array) -> Array | None:
    """Biases of the channels of a map, shape (C,), unless they differ from place to place."""
    first = np.median(bias, axis=(0, 1))
    return first if np.abs(bias - first).max() <= UNIFORM else None


def _gap(
    population: Population,
    paths: Sequence[WeightedProjection],
    bias: Array,
    neuron: StepNeuron,
    network: SpikingNetwork,
) -> float:
    """Half a step of the grid on which potentials lie in all steps of an image."""
    steps = [grid_step(p.weights) for p in paths if p.source not in (INPUT, "input")]
    steps += [population.input_step, grid_step([neuron.start]), grid_step([neuron.leak])]
    if not any(s.target == population.name for s in network.stimuli):
        steps.append(grid_step(bias))
    step = min(*steps, 1.0)
    # Each step of a leak adds the digits of the leak.
    digits = grid_step([neuron.leak]) if neuron.leak < 1 else 1.0
    step *= digits ** (network.readout.n_steps - 1)
    return max(step / 2, FINEST_GAP)
