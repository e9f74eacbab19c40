"""What is published of our networks in other programs: files for each, run there."""

from __future__ import annotations

import pandas as pd
from ann2brian.studies.frame.markdown import markdown
from ann2brian.studies.frame.publishing import Published, Report

DEFINITION = "nirtorch"  # passes spikes on, and has no neurons of its own


def exports_table(exports: pd.DataFrame) -> str:
    """By case and program, the part of our spikes that its own are away from."""
    tools = sorted(exports.tool.unique(), key=lambda tool: (tool != DEFINITION, tool))
    versions = exports.groupby("tool").version.first()
    names = {DEFINITION: f"the definition, in {DEFINITION}"}
    rows = []
    for (case, network, steps), own in exports.groupby(["case", "network", "steps"], sort=False):
        by_tool = own.set_index("tool")
        parts = (by_tool.differing[tool] / by_tool.spikes[tool] for tool in tools)
        cells = ["equal" if part == 0 else f"{part:.2g} of them" for part in parts]
        rows.append([case, f"`{network}`", str(steps), f"{own.spikes.iloc[0]:,}", *cells])
    head = [
        "neurons",
        "network",
        "steps",
        "spikes",
        *(f"{names.get(t, t)} {versions[t]}" for t in tools),
    ]
    return markdown(head, rows)


EXPORTS = Report(
    name="nir_exports",
    figures=(),
    published=Published(collect=lambda _folders: {}, tables={"nir_exports": exports_table}),
)
