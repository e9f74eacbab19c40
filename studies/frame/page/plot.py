"""What the interactive plots of a page share: JSON that BokehJS draws without a server.

The same result gives the same JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bokeh.embed import json_item
from bokeh.models import SaveTool, WheelZoomTool
from bokeh.plotting import figure


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a plot that can be switched off: a line, or a layer.

    Parameters
    ----------
    label : str
        Its name.
    colour : str
        As ``#rrggbb``.
    dash : str
        How its line is drawn.
    drawn : sequence of model
        Renderers of Bokeh that show it.
    """

    label: str
    colour: str
    dash: str = "solid"
    drawn: Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Toggle:
    """What switches a part off.

    Parameters
    ----------
    label, colour, dash : str
        Of the part.
    shows : sequence of str
        Identities of its renderers.
    """

    label: str
    colour: str
    dash: str
    shows: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """An interactive plot, ready for a page.

    Parameters
    ----------
    name : str
        Of its section.
    item : dict
        For ``Bokeh.embed.embed_item``.
    toggles : sequence of Toggle
        One for each part.
    notes : sequence of str
        What it shows, and what it leaves out.
    data : dict
        What the page's own script puts into it.
    """

    name: str
    item: dict[str, Any]
    toggles: Sequence[Toggle]
    notes: Sequence[str]
    data: Mapping[str, Any] = field(default_factory=dict)


def empty_plot(name: str, x_label: str, y_label: str) -> Any:
    """Axes that zoom by a box, or by the wheel with Ctrl held; without it the page scrolls."""
    plot = figure(
        sizing_mode="stretch_width",
        height=420,
        tools="pan,box_zoom,reset",
        active_drag="box_zoom",
        x_axis_label=x_label,
        y_axis_label=y_label,
        lod_threshold=None,  # else most points would be left out while the plot is moved
    )
    wheel = WheelZoomTool(modifiers={"ctrl": True})
    plot.add_tools(wheel, SaveTool(filename=name))
    plot.toolbar.active_scroll = wheel
    plot.toolbar.logo = None
    return plot


def finished_plot(
    name: str,
    plot: Any,
    parts: Sequence[Part],
    notes: Sequence[str],
    data: Mapping[str, Any] | None = None,
) -> Plot:
    """Everything of a plot, with identities that do not depend on what was drawn before."""
    item: dict[str, Any] = dict(json_item(plot))
    del item["target_id"]
    names = {old: f"{name}-{new}" for new, old in enumerate(dict.fromkeys(_identities(item)))}
    toggles = [
        Toggle(
            label=part.label,
            colour=part.colour,
            dash=part.dash,
            shows=[names[one.id] for one in part.drawn],
        )
        for part in parts
    ]
    return Plot(
        name=name, item=_renamed(item, names), toggles=toggles, notes=notes, data=data or {}
    )


def _identities(part: Any) -> Iterator[str]:
    """Identities of all models in a serialised plot, in their order."""
    if isinstance(part, dict):
        if isinstance(part.get("id"), str):
            yield part["id"]
        for value in part.values():
            yield from _identities(value)
    elif isinstance(part, list):
        for value in part:
            yield from _identities(value)


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    """The same plot with other identities."""
    if isinstance(part, dict):
        return {
            key: names[value]
            if key in ("id", "root_id") and isinstance(value, str)
            else _renamed(value, names)
            for key, value in part.items()
        }
    return [_renamed(value, names) for value in part] if isinstance(part, list) else part
