"""Networks of ours as NIR files that other programs run.

`to_nir` writes; :class:`NirExport` says what was written, how the program is to read it, and, of
given images, how much the file's spikes differ from ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array, Counts
from ..conversion.reference import ReferenceRun
from ..conversion.scheme import Conversion
from ..importing.from_nir import from_nir
from ..networks.network import Network
from ..networks.nir_files import write
from ..schemes import SCHEMES, convert, reference
from ..spiking.network import READOUT, SpikingNetwork
from .conversions import INPUTS, Drawn, Place, drawn
from .neuron_networks import graph_of, require_same, writer_of
from .readers import READERS, reader_of

ON_LOSS = ("refuse", "nearest")
DT = 1e-3  # seconds of a step of the definition, unless told
MOST_WEIGHT_BITS = 32


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Loss:
    """How far a file's spikes are from ours on some images, by our reference of the file.

    Parameters
    ----------
    differing, spikes : dict of str to int
        By population: spikes that one of the two has and the other has not, and spikes of ours.
    agreement : float
        Part of the images of which both predict the same class.
    n_images : int
        How many.
    """

    differing: Mapping[str, int]
    spikes: Mapping[str, int]
    agreement: float
    n_images: int

    @property
    def is_none(self) -> bool:
        """Whether all spikes are the same."""
        return not any(self.differing.values())

    def __repr__(self) -> str:
        total, all_spikes = sum(self.differing.values()), sum(self.spikes.values())
        return (
            f"Loss({total:,} of {all_spikes:,} spikes differ, {self.agreement:.1%} of "
            f"{self.n_images} predictions agree)"
        )


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class NirExport:
    """A file that was written.

    Parameters
    ----------
    path : Path
        Of the file.
    written_for : str
        Program that reads it; ``definition`` for the format's own.
    input_as : str
        What its input is: ``pixels``, ``standardised`` images, or ``currents`` of the first
        neurons.
    losses : tuple of str
        What it does not say, by population; empty where its spikes are ours.
    loss : Loss or None
        Measured on the images that were given.
    conversion : Conversion or None
        What was written; None for networks of neurons that came from a file.
    """

    path: Path
    written_for: str
    input_as: str
    losses: tuple[str, ...] = ()
    loss: Loss | None = None
    conversion: Conversion | None = None
    _drawn: Drawn | None = field(default=None)
    _dt: float = DT

    def __repr__(self) -> str:
        exact = f"{len(self.losses)} losses" if self.losses else "no losses"
        measured = f", {self.loss!r}" if self.loss is not None else ""
        return f"NirExport({self.path.name} for {self.written_for}: {exact}{measured})"

    def inputs(self, images: Array) -> Array:
        """What the file's input is for some images, the same in each step.

        Parameters
        ----------
        images : ndarray, shape (n, height, width, channels)
            As the network sees them.

        Returns
        -------
        ndarray, shape (n, channels, height, width), or (n, units) of currents of a vector
        """
        conversion, place = self._of_conversion()
        spiking = conversion.spiking
        images = spiking.check_images(images)
        if self.input_as == "currents":
            (stimulus,) = spiking.stimuli
            maps = stimulus.values(images).reshape(len(images), *place.shape)
            if not place.is_map:
                return maps.reshape(len(images), -1)
        elif self.input_as == "standardised" and spiking.coding is not None:
            maps = spiking.coding.standardise(images)
        else:
            maps = images
        return np.ascontiguousarray(maps.transpose(0, 3, 1, 2), dtype=np.float64)

    def expected(self, images: Array) -> dict[str, Counts]:
        """Our spikes on some images, by the node that gives them, in the file's layout.

        Parameters
        ----------
        images : ndarray, shape (n, height, width, channels)

        Returns
        -------
        dict of str to ndarray of int, shape (n, n_steps, channels, height, width) or (..., units)
            They come as many steps later as `steps_late` says. Where a unit has several neurons in
            the file, one copy of all units after the other, these are their sum.
        """
        conversion, _ = self._of_conversion()
        assert self._drawn is not None
        run = reference(conversion, images)
        found = {}
        for name, place in self._drawn.places.items():
            found[place.node] = np.ascontiguousarray(place.laid_out(run.counts[name]))
        return found

    def read(self) -> Conversion:
        """The file as neurons again, as the program runs it that it was written for."""
        conversion, _ = self._of_conversion()
        assert self._drawn is not None
        reader = reader_of(self.written_for)
        spiking = conversion.spiking
        network = from_nir(
            self.path,
            written_by=None if reader.name == "definition" else reader.name,
            dt=self._dt if reader.name == "definition" else None,
            maximum=_largest(self, spiking),
        )
        told: dict[str, Any] = {"weight_bits": MOST_WEIGHT_BITS, **reader.told}
        if reader.name == "definition":
            told["written_by"] = "definition"
        if "CubaLIF" in self._drawn.kinds and reader.name == "norse":
            told["reset"] = "subtract"
        told["n_steps"] = spiking.readout.n_steps + max(self.steps_late.values())
        options = SCHEMES["nir"].options(**told)
        found = convert(network, options)
        assert isinstance(found, Conversion)
        return found

    def counts(self, run: ReferenceRun) -> dict[str, Counts]:
        """Spikes of a run of the file, as our populations have them."""
        conversion, _ = self._of_conversion()
        assert self._drawn is not None
        n_steps = conversion.spiking.readout.n_steps
        found = {}
        for population in conversion.spiking.populations:
            place = self._drawn.places[population.name]
            counts = place.counted(run.counts[place.population])
            late = place.crossed
            found[population.name] = counts[:, late : late + n_steps]
        return found

    def measured(self, images: Array) -> Loss:
        """Run our reference of both on images of ours."""
        conversion, _ = self._of_conversion()
        spiking = conversion.spiking
        ours = reference(conversion, images)
        file = self.read()
        theirs = self.counts(reference(file, _as_seen(self.inputs(images), file.spiking)))
        differing = {
            name: int(np.abs(own.astype(np.int64) - theirs[name]).sum())
            for name, own in ours.counts.items()
        }
        return Loss(
            differing=differing,
            spikes={name: int(own.sum(dtype=np.int64)) for name, own in ours.counts.items()},
            agreement=float(
                (ours.scores[:, -1].argmax(1) == _scores(spiking, theirs).argmax(1)).mean()
            ),
            n_images=len(images),
        )

    @property
    def steps_late(self) -> dict[str, int]:
        """Steps by which the program's spikes come later than ours, by node that gives them."""
        self._of_conversion()
        assert self._drawn is not None
        return {place.node: place.late for place in self._drawn.places.values()}

    @property
    def call(self) -> str:
        """How the program reads the file."""
        if self.written_for not in READERS:  # a network from a file of a program for which no
            return f"ann2brian.from_nir(path, written_by={self.written_for!r})"  # other is written
        reader = reader_of(self.written_for)
        return f"{reader.call}  # {reader.note}" if reader.note else reader.call

    def _of_conversion(self) -> tuple[Conversion, Place]:
        if self.conversion is None or self._drawn is None:
            raise ValueError(
                f"{self.path}: was written of a network from a file, which has no other spikes"
            )
        return self.conversion, self._drawn.input


def to_nir(
    what: Network | Conversion,
    path: str | Path,
    written_for: str | None = None,
    *,
    on_loss: str = "refuse",
    as_graph: bool = False,
    input_as: str = "standardised",
    dt: float = DT,
    images: Array | None = None,
) -> NirExport:
    """Write a network as a NIR file.

    Parameters
    ----------
    what : Conversion or Network
        What :func:`convert` made with burst, noise or ALBSNN options; or a network from
        :func:`from_nir`, which is written back node by node.
    path : str or Path
        Of the file, ``net.nir``.
    written_for : str, optional
        Program that will read it: its own conventions are written, see docs/nir.md. One of
        :data:`models.exporting.readers.READERS`; by default the definition of NIR.
    on_loss : str
        Where the file would not have our spikes: ``"refuse"``, or write the ``"nearest"``.
    as_graph : bool
        Write resets by subtraction, bursts and pooling with lateral inhibition as recurrent graphs
        of potentials and thresholds, with exactly our spikes. Readers must pass spikes that come
        back one step later, and know the nodes I and Threshold: ours does.
    input_as : str
        What the file's input is, see :meth:`NirExport.inputs`: ``"standardised"`` images;
        ``"pixels"``, with the standardisation in the first weights; or ``"currents"`` of the first
        neurons.
    dt : float
        Length of a step in seconds, of the definition.
    images : ndarray, shape (n, height, width, channels), optional
        Images on which the loss is measured: the file is read again, and run by our reference.

    Returns
    -------
    NirExport

    Raises
    ------
    TypeError
        If `what` is neither.
    ValueError
        If an argument is none of its choices, or, by name, where the file would not have our
        spikes.
    ImportError
        If h5py is missing; the message says how to install it.
    """
    path = Path(path)
    reader = reader_of(written_for)
    for name, given, choices in (
        ("on_loss", on_loss, ON_LOSS),
        ("input_as", input_as, INPUTS),
    ):
        if given not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {given!r}")
    if as_graph and reader.name != "definition":
        raise ValueError(f"as_graph: {reader.name} reads no such graphs; it reads {reader.reads}")
    if not (np.isfinite(dt) and dt > 0):
        raise ValueError(f"dt must be above 0 s, got {dt!r}")
    if isinstance(what, Network):
        part = path.with_name(f".{path.name}.part")
        graph, writer = graph_of(what, written_for), writer_of(what)
        try:
            write(graph, part)  # with the fields that the file had
            require_same(what, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return NirExport(path=path, written_for=writer, input_as="standardised")
    if not isinstance(what, Conversion):
        raise TypeError(
            f"to_nir takes a conversion, or a network from from_nir, got a {type(what).__name__}"
        )
    found = drawn(what, reader, dt=dt, as_graph=as_graph, input_as=input_as)
    if found.losses and on_loss == "refuse":
        raise ValueError(
            f"network {what.spiking.name!r}: a file for {reader.name} does not have its spikes: "
            f'{"; ".join(found.losses)}. on_loss="nearest" writes the nearest'
        )
    write(found.graph, path, reader.leave_out)
    export = NirExport(
        path=path,
        written_for=reader.name,
        input_as=input_as,
        losses=found.losses,
        conversion=what,
        _drawn=found,
        _dt=dt,
    )
    return export if images is None else replace(export, loss=export.measured(images))


def _largest(export: NirExport, spiking: SpikingNetwork) -> float:
    """Bound of the input's values."""
    coding = spiking.coding
    if export.input_as == "currents":
        (stimulus,) = spiking.stimuli
        return float(2 * spiking.population(stimulus.target).largest_input + 1)
    if coding is None:
        return 2.0**8
    if export.input_as == "pixels":
        return float(coding.maximum)
    return float((np.abs(coding.gain) * coding.maximum + np.abs(coding.offset)).max())


def _as_seen(inputs: Array, spiking: SpikingNetwork) -> Array:
    """Inputs, channels first, in the shape of the network that was read."""
    rows, columns, channels = spiking.image_shape
    return inputs.reshape(len(inputs), channels, rows, columns).transpose(0, 2, 3, 1)


def _scores(spiking: SpikingNetwork, counts: Mapping[str, Counts]) -> Array:
    """Our scores of an image, of some spikes."""
    total = sum(
        p.forward(counts[p.source].sum(axis=1, dtype=np.float64)) for p in spiking.incoming(READOUT)
    )
    readout = spiking.readout
    n_steps = readout.n_steps if readout.is_mean else 1
    return np.asarray(readout.gain * total / n_steps + readout.offset)
