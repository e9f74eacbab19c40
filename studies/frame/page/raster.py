"""Spikes of single images as an interactive plot, layers from the top to the bottom."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ann2brian.analysis.figures.style import sequence
from ann2brian.models.spiking.recording import RecordedLayer, Spikes
from ann2brian.studies.frame.page.plot import Part, Plot, empty_plot, finished_plot
from ann2brian.studies.frame.spike_files import load_spikes, read_out
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d
from matplotlib.colors import to_hex
from numpy.typing import NDArray

MOST_SPIKES = 200_000  # stored in a page
MOST_SPIKES_OF_IMAGE = 100_000  # drawn at once
GOLDEN = (np.sqrt(5) - 1) / 2  # whose multiples modulo 1 are evenly spread
EDGE = 0.01  # of the time axis, left of the onset


def raster(file: Path) -> Plot:
    """Spikes of one image after the other, each layer with the same height.

    The script of the page puts the spikes of the chosen image into the plot, from ``data``: those
    of image i and layer k are ``starts[i * n_layers + k]`` to ``starts[i * n_layers + k + 1]`` of
    ``neuron`` and ``step``.

    Parameters
    ----------
    file : Path
        As :func:`~studies.frame.spike_files.save_spikes` writes it.
    """
    spikes, layers, stored = load_spikes(file)
    n_images, n_layers = len(stored["labels"]), len(layers)
    chosen = list(_chosen(spikes, layers, n_images))
    kept = Spikes.following([one for one, *_ in chosen])
    n_steps = max(stored["latency_steps"], int(spikes.step.max(initial=0)) + 1)
    plot = _axes(layers, n_steps * stored["dt_ms"])
    parts = [
        _layer(plot, layer.name, to_hex(tuple(colour)))
        for layer, colour in zip(layers, sequence("depth", n_layers), strict=True)
    ]
    tips = [("layer", "$name"), ("neuron", "@neuron{0,0}"), ("time", "@time_ms{0.[000]} ms")]
    plot.add_tools(HoverTool(tooltips=tips, renderers=[part.drawn[0] for part in parts]))
    notes = ["Every layer has the same height, neuron 0 at its top."]
    if len(chosen) < n_images:
        notes.append(f"The first {len(chosen)} of {n_images} images; all are in {file.name}.")
    at = np.arange(len(chosen) * n_layers + 1)
    data = {
        "dt_ms": stored["dt_ms"],
        "layers": [layer.n_neurons for layer in layers],
        "images": [_image(stored, number, *found) for number, found in enumerate(chosen)],
        "starts": np.searchsorted(kept.image * n_layers + kept.layer, at).tolist(),
        "neuron": _packed(kept.neuron),
        "step": _packed(kept.step),
    }
    return finished_plot("raster", plot, parts, notes, data)


def _axes(layers: Sequence[RecordedLayer], end_ms: float) -> Any:
    """Axes with a name beside each layer and a line between layers."""
    plot = empty_plot("spikes", "time from the onset of the image (ms)", "")
    plot.output_backend = "webgl"
    n, start_ms = len(layers), -EDGE * end_ms
    plot.x_range = Range1d(start=start_ms, end=end_ms, bounds=(start_ms, end_ms))
    plot.y_range = Range1d(start=n, end=0, bounds=(0, n))
    middles = [index + 0.5 for index in range(n)]
    plot.yaxis.ticker = FixedTicker(ticks=middles)
    plot.yaxis.major_label_overrides = dict(zip(middles, (x.name for x in layers), strict=True))
    plot.yaxis.major_tick_line_color = None
    plot.ygrid.visible = False
    plot.hspan(y=list(range(1, n)), line_color="#cccccc")
    return plot


def _layer(plot: Any, name: str, colour: str) -> Part:
    """Spikes of a layer, of which there are none before an image is chosen."""
    source = ColumnDataSource({"time_ms": [], "y": [], "neuron": []})
    look = {"size": 3, "color": colour, "marker": "square", "name": name}
    return Part(
        label=name, colour=colour, drawn=[plot.scatter("time_ms", "y", source=source, **look)]
    )


def _chosen(
    spikes: Spikes, layers: Sequence[RecordedLayer], n_images: int
) -> Iterator[tuple[Spikes, int, int]]:
    """Images from the first on for which there is room.

    Neurons are left out evenly over each layer, whatever its shape; neuron 0 is never.

    Yields
    ------
    (Spikes, int, int)
        Spikes to draw, of one neuron in how many they are, and the number of all spikes.
    """
    starts = np.searchsorted(spikes.image, np.arange(n_images + 1))
    largest = max(layer.n_neurons for layer in layers)
    room = MOST_SPIKES
    for image in range(n_images):
        own = spikes.where(slice(starts[image], starts[image + 1]))
        kept, every = own, 1
        while len(kept) > MOST_SPIKES_OF_IMAGE and every < largest:
            every *= 2
            kept = own.where(np.modf(own.neuron * GOLDEN)[0] < 1 / every)
        room -= len(kept)
        if image and room < 0:
            return
        yield kept, every, len(own)


def _image(
    stored: Mapping[str, Any], number: int, kept: Spikes, every: int, n_all: int
) -> dict[str, str]:
    """What is told of an image: its class, and how much of it is drawn."""
    true, found = read_out(stored, number)
    note = f"{n_all:,} spikes, all of them drawn."
    if every > 1:
        note = (
            f"Drawn are the {len(kept):,} spikes of about one neuron in {every}; all neurons fired "
            f"{n_all:,}."
        )
    return {"name": f"image {number}: {true}, read out as {found}", "note": note}


def _packed(values: NDArray[np.integer]) -> dict[str, str]:
    """Numbers in as few bytes as they need, little end first, as text."""
    kind = np.min_scalar_type(int(values.max(initial=0)))
    content = base64.b64encode(values.astype(kind.newbyteorder("<")).tobytes())
    return {"type": kind.name, "base64": content.decode("ascii")}
